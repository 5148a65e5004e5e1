//! Whether client secrets are written as such, told before anybody is asked. No word of it repeats one; what names it is
//! its place in the list, and its public id where it shows one.

use bursar_proto::client_secret::{Malformed, PREFIX, PublicId, parse, shown_id};
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::sensitive::Sensitive;

/// What to do about a comma.
const COMMA: &str = "commas do not separate client secrets: in BURSAR_CLIENT_SECRETS semicolons do, after --client-secrets \
                     spaces, in a file new lines";

/// What to do about something else than a client secret.
const ANOTHER: &str = "a client secret begins with bcs_, and is shown once, by: bursar client-secret create";

/// The same where a name may have been taken for one.
const A_NAME: &str = "names stand before --client-secrets: what follows it, up to the next flag or command, is taken for \
                      client secrets, and these begin with bcs_";

/// What to do about one that was lost in part.
const IN_PART: &str =
    "copy it again, all of it; it was shown once, so where it is lost: bursar client-secret rotate ID";

/// A list, sorted by form.
pub(super) struct Sorted {
    /// Those that are written as client secrets.
    pub(super) good: Vec<Sensitive>,
    /// What is wrong with the others.
    pub(super) faults: Vec<Fault>,
}

/// What is wrong with one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Its place, from 1 on.
    place: usize,
    id: Option<PublicId>,
    reason: Malformed,
    hint: &'static str,
}

impl Sorted {
    /// Sorts a list; `of_flag` says that it stood behind a flag, where other words may follow.
    pub(super) fn of(all: Vec<Sensitive>, of_flag: bool) -> Self {
        let mut sorted = Self { good: Vec::with_capacity(all.len()), faults: Vec::new() };
        for (at, one) in all.into_iter().enumerate() {
            match parse(one.expose()) {
                Ok(_) => sorted.good.push(one),
                Err(reason) => sorted.faults.push(Fault {
                    place: at + 1,
                    id: shown_id(one.expose()),
                    reason,
                    hint: match reason {
                        _ if one.expose().contains(',') => COMMA,
                        Malformed::Prefix if of_flag => A_NAME,
                        Malformed::Prefix => ANOTHER,
                        _ => IN_PART,
                    },
                }),
            }
        }
        sorted
    }

    /// Makes sure that one is left that the agent can be asked about, and that none was meant for something else.
    ///
    /// # Errors
    /// [`ErrorName::ClientSecretMalformed`] of all of them; `Invalid` where a word behind the flag is a name by its looks, and
    /// the command would do without it what nobody asked for.
    pub(super) fn check(&self) -> Result<(), CallError> {
        if !self.good.is_empty() {
            let name = self.faults.iter().find(|fault| fault.hint == A_NAME);
            return name.map_or(Ok(()), |fault| {
                Err(CallError::new(ErrorName::Invalid, fault.message()).hint(A_NAME))
            });
        }
        let told: Vec<String> = self.faults.iter().map(Fault::message).collect();
        let message = match &told[..] {
            [only] => only.clone(),
            several => format!("no client secret is written as one:\n  {}", several.join("\n  ")),
        };
        // one hint for all of them: the one for what is most likely what happened
        let hint = [COMMA, A_NAME, ANOTHER, IN_PART]
            .into_iter()
            .find(|hint| self.faults.iter().any(|fault| fault.hint == *hint));
        Err(CallError::new(ErrorName::ClientSecretMalformed, message).hint(hint.unwrap_or(IN_PART)))
    }

    /// What is said of those that do not count beside others that may, a line each.
    pub(super) fn warnings(&self) -> impl Iterator<Item = String> {
        self.faults
            .iter()
            .map(|fault| format!("warning: {}; it does not count; hint: {}", fault.message(), fault.hint))
    }
}

impl Fault {
    fn message(&self) -> String {
        let id = self.id.as_ref().map(|id| format!(" ({id})")).unwrap_or_default();
        format!("client secret {}{id} is malformed: {}", self.place, self.reason)
    }
}

/// Whether an argument is, by its looks, a client secret, whole or in part: its id and something behind it.
pub(super) fn looks_like_one(argument: &str) -> bool {
    // behind the flag and its equals sign it stands where it belongs
    let elsewhere = !argument.starts_with("--client-secrets=");
    elsewhere && argument.match_indices(PREFIX).any(|(at, _)| shown_id(&argument[at..]).is_some())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use bursar_proto::client_secret::{Random, compose};
    use proptest::prelude::*;
    use zeroize::Zeroizing;

    pub(in super::super) fn made(number: u8) -> String {
        let id = PublicId::from_random([number; 8]);
        compose(&id, &Random::new(Zeroizing::new([number; 32]))).expose().to_owned()
    }

    fn sorted(all: &[&str]) -> Sorted {
        Sorted::of(all.iter().map(|one| Sensitive::new((*one).to_owned())).collect(), false)
    }

    #[test]
    fn one_that_stands_in_the_place_of_a_name_is_seen_wherever_it_hides() {
        let one = made(1);
        for (argument, is_one) in [
            (one.clone(), true),
            (format!("acme/{one}"), true),
            (format!("--package={one}"), true),
            (format!("--client-secrets={one};{one}"), false),
            ("acme/bcs_site".to_owned(), false),
        ] {
            assert_eq!(looks_like_one(&argument), is_one, "{argument}");
        }
    }

    #[test]
    fn one_that_is_malformed_is_named_by_place_and_id() {
        let (one, two) = (made(1), made(2));
        let id = shown_id(&two).unwrap();
        let sorted = sorted(&[&one, &two[..two.len() - 1], "hunter2"]);
        assert_eq!(sorted.good.len(), 1);
        assert!(sorted.check().is_ok());
        let told: Vec<String> = sorted.warnings().collect();
        assert!(
            told[0].starts_with(&format!(
                "warning: client secret 2 ({id}) is malformed: it has 74 characters, and a client secret has 75; \
                 it does not count; hint: copy it again"
            )),
            "{told:?}"
        );
        let third =
            "warning: client secret 3 is malformed: it does not begin with bcs_; it does not count; hint: ";
        assert_eq!(told[1], format!("{third}{ANOTHER}"));
        let of_flag = Sorted::of(vec![Sensitive::new("acme/site".to_owned())], true);
        assert_eq!(of_flag.check().unwrap_err().hint.unwrap(), A_NAME);
        let beside = Sorted::of(vec![Sensitive::new(made(1)), Sensitive::new("acme/site".to_owned())], true);
        assert_eq!(beside.check().unwrap_err().name, ErrorName::Invalid);
    }

    #[test]
    fn where_all_are_malformed_all_are_told() {
        let error = sorted(&["hunter2"]).check().unwrap_err();
        assert_eq!((error.name.exit_code(), error.name.as_str()), (4, "client_secret_malformed"));
        assert_eq!(error.message, "client secret 1 is malformed: it does not begin with bcs_");
        let one = made(1);
        let longer = one.replacen("bcs_", "bcs_0", 1);
        let error = sorted(&["a", &longer]).check().unwrap_err();
        assert!(
            error.message.starts_with("no client secret is written as one:\n  client secret 1 is"),
            "{error}"
        );
        assert!(error.message.contains("\n  client secret 2 is malformed: it has 76 characters"), "{error}");
        let error = sorted(&[&one[..one.len() - 3]]).check().unwrap_err();
        assert_eq!(error.hint.unwrap(), IN_PART);
    }

    #[test]
    fn a_comma_gets_a_hint() {
        let list = format!("{},{}", made(1), made(2));
        assert_eq!(sorted(&[&list]).check().unwrap_err().hint.unwrap(), COMMA);
        let good = made(3);
        assert!(sorted(&[&good, &list]).warnings().all(|line| line.ends_with(COMMA)));
        assert!(sorted(&[&good]).warnings().next().is_none());
    }

    #[test]
    fn what_looks_like_one_is_told_from_an_id() {
        let whole = made(1);
        for (text, is_one) in
            [(&whole[..], true), (&whole[..20], true), (&whole[..14], false), ("acme/site", false)]
        {
            assert_eq!(looks_like_one(text), is_one, "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_is_said_repeats_what_was_given(random: u8, at in 15_usize..70, text in "[A-Z]{8,40}") {
            let whole = made(random);
            let secret = format!("{}{text}{}", &whole[..at], &whole[at..]);
            let sorted = sorted(&[&secret, &text]);
            let error = sorted.check().unwrap_err();
            let said = sorted.warnings().fold(format!("{error} {:?} {:?}", error.hint, sorted.faults), |all, one| all + &one);
            prop_assert!(!said.contains(&text) && !said.contains(&whole[15..30]), "{}", said);
        }
    }
}
