//! Where client secrets come from, and how a list of them is read. A value leaves here only as [`Sensitive`]; no error
//! holds one.
//!
//! No client secret has white space or a semicolon in it, so all of these separate, wherever the list comes from.

use crate::input::Input;
use crate::origin::place;
use crate::stop::Stop;
use bursar_proto::client_secret::CLIENT_SECRETS_MAX;
use bursar_proto::sensitive::Sensitive;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroize;

/// The byte order mark, with which some editors begin a file.
const MARK: char = '\u{feff}';

/// What to do where there is none.
const TO_GIVE: &str = "give them in a file, --client-secrets-file FILE, or in a variable, BURSAR_CLIENT_SECRETS='S1;S2'; \
                       on the command line, --client-secrets S1 S2, other processes can read them";

/// What was given by each way.
pub(super) struct Given<'a> {
    /// After `--client-secrets`; empty where that was not said.
    pub(super) flag: &'a [Arc<Sensitive>],
    /// `--client-secrets-file`.
    pub(super) file: Option<&'a PathBuf>,
    /// `BURSAR_CLIENT_SECRETS`.
    pub(super) variable: Option<&'a Sensitive>,
    /// Whether `BURSAR_CLIENT_SECRET` is set, which is looked at by nobody.
    pub(super) is_singular: bool,
}

impl Given<'_> {
    /// The client secrets that count: the flag's, else the file's, else the variable's.
    ///
    /// # Errors
    /// There is none, or more than count together.
    pub(super) fn read(&self, input: &Input) -> Result<Vec<Sensitive>, Stop> {
        let (source, read): (String, Vec<Sensitive>) = if !self.flag.is_empty() {
            let all = self.flag.iter().flat_map(|one| entries(one.expose()));
            ("--client-secrets".to_owned(), all.collect())
        } else if let Some(path) = self.file {
            (place(path), entries(&file(input, path)?).collect())
        } else if let Some(text) = self.variable {
            ("BURSAR_CLIENT_SECRETS".to_owned(), entries(text.expose()).collect())
        } else {
            return Err(self.none("non-interactive mode needs client secrets, and none was given"));
        };
        if read.is_empty() {
            return Err(self.none(&format!("{source}: there is no client secret in it")));
        }
        if read.len() > CLIENT_SECRETS_MAX {
            let message = format!(
                "{source}: {} client secrets, and {CLIENT_SECRETS_MAX} is the most that count together",
                read.len()
            );
            return Err(Stop::usage(message).hint("give those alone that this workspace needs"));
        }
        Ok(read)
    }

    fn none(&self, message: &str) -> Stop {
        let hint = if self.is_singular {
            "BURSAR_CLIENT_SECRET is set, and the variable that counts is BURSAR_CLIENT_SECRETS"
        } else {
            TO_GIVE
        };
        Stop::usage(message).hint(hint)
    }
}

fn file(input: &Input, path: &Path) -> Result<zeroize::Zeroizing<String>, Stop> {
    if path.as_os_str() == "-" && input.interactive() {
        return Err(Stop::usage("standard input is a terminal, and in non-interactive mode nobody is asked")
            .hint("name a file: --client-secrets-file FILE"));
    }
    input.file(path)
}

/// The parts of a list that are not empty.
fn entries(text: &str) -> impl Iterator<Item = Sensitive> {
    let separates = |c: char| c == ';' || c == MARK || c.is_whitespace();
    text.split(separates).filter(|entry| !entry.is_empty()).map(|entry| Sensitive::new(entry.to_owned()))
}

/// Takes over what the system hands to a process. What is no UTF-8 is no client secret either, and is told as one that is
/// malformed.
pub(crate) fn taken(text: OsString) -> Sensitive {
    let text = String::from_utf8(text.into_encoded_bytes()).unwrap_or_else(|error| {
        let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
        error.into_bytes().zeroize();
        text
    });
    Sensitive::new(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::fs;

    fn sensitive(text: &str) -> Sensitive {
        Sensitive::new(text.to_owned())
    }

    fn nothing() -> Given<'static> {
        Given { flag: &[], file: None, variable: None, is_singular: false }
    }

    fn read(given: &Given<'_>) -> Result<Vec<String>, (String, String)> {
        match given.read(&Input::without_terminal()) {
            Ok(read) => Ok(read.iter().map(|one| one.expose().to_owned()).collect()),
            Err(Stop::Failed(error)) => {
                assert_eq!(error.name.exit_code(), 2);
                Err((error.message, error.hint.unwrap()))
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_flag_wins_over_the_file_and_the_file_over_the_variable() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("list");
        fs::write(&path, "\u{feff}\r\n f1 \r\n\r\n\tf2\r\n").unwrap();
        let (flag, variable) = ([Arc::new(sensitive("a")), Arc::new(sensitive("b"))], sensitive(";v1;;v2;"));
        let all = Given { flag: &flag, file: Some(&path), variable: Some(&variable), is_singular: false };
        assert_eq!(read(&all).unwrap(), ["a", "b"]);
        assert_eq!(read(&Given { flag: &[], ..all }).unwrap(), ["f1", "f2"]);
        assert_eq!(read(&Given { variable: Some(&variable), ..nothing() }).unwrap(), ["v1", "v2"]);
    }

    #[test]
    fn what_is_given_and_empty_decides_too() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("list");
        fs::write(&path, "\n\r\n ; \n").unwrap();
        let (flag, empty, full) = ([Arc::new(sensitive(" "))], sensitive(";;\n"), sensitive("v"));
        for (given, said) in [
            (
                Given { flag: &flag, variable: Some(&full), ..nothing() },
                "--client-secrets: there is no client",
            ),
            (
                Given { file: Some(&path), variable: Some(&full), ..nothing() },
                "list: there is no client secret",
            ),
            (
                Given { variable: Some(&empty), ..nothing() },
                "BURSAR_CLIENT_SECRETS: there is no client secret",
            ),
            (nothing(), "non-interactive mode needs client secrets, and none was given"),
        ] {
            let (message, hint) = read(&given).unwrap_err();
            assert!(message.contains(said), "{message}");
            assert!(hint.contains("--client-secrets-file") && hint.contains("BURSAR_CLIENT_SECRETS='S1;S2'"));
        }
    }

    #[test]
    fn the_singular_name_is_told_where_nothing_else_was_given() {
        let (_, hint) = read(&Given { is_singular: true, ..nothing() }).unwrap_err();
        assert_eq!(
            hint,
            "BURSAR_CLIENT_SECRET is set, and the variable that counts is BURSAR_CLIENT_SECRETS"
        );
        let variable = sensitive("v");
        assert!(read(&Given { is_singular: true, variable: Some(&variable), ..nothing() }).is_ok());
    }

    #[test]
    fn no_more_are_taken_than_count_together() {
        let list = |count: usize| sensitive(&"x;".repeat(count));
        let most = list(CLIENT_SECRETS_MAX);
        assert_eq!(read(&Given { variable: Some(&most), ..nothing() }).unwrap().len(), CLIENT_SECRETS_MAX);
        for count in [CLIENT_SECRETS_MAX + 1, 1_000] {
            let many = list(count);
            let (message, _) = read(&Given { variable: Some(&many), ..nothing() }).unwrap_err();
            let said = format!("BURSAR_CLIENT_SECRETS: {count} client secrets, and 32 is the most");
            assert!(message.starts_with(&said), "{message}");
        }
    }

    #[test]
    fn what_is_no_text_is_taken_as_something_malformed() {
        use std::os::unix::ffi::OsStringExt;
        assert_eq!(taken(OsString::from_vec(b"bcs_\xff".to_vec())).expose(), "bcs_\u{fffd}");
        assert_eq!(taken("bcs_x".into()).expose(), "bcs_x");
    }

    fn separators() -> impl Strategy<Value = String> {
        vec(prop::sample::select(vec![";", "\n", "\r\n", " ", "\t", "\u{feff}"]), 0..4)
            .prop_map(|all| all.concat())
    }

    proptest! {
        #[test]
        fn separators_in_any_order_and_number_change_nothing(
            parts in vec(("[0-9a-z_,]{1,9}", separators()), 0..8),
            before in separators(),
        ) {
            let list = parts.iter().fold(before, |list, (entry, between)| list + entry + between + ";");
            let read: Vec<String> = entries(&list).map(|one| one.expose().to_owned()).collect();
            let given: Vec<&String> = parts.iter().map(|(entry, _)| entry).collect();
            prop_assert_eq!(read.iter().collect::<Vec<_>>(), given);
        }
    }
}
