//! What the issuer sends a browser back with: RFC 6749 sections 4.1.2 and 4.1.2.1.

use super::CALLBACK;
use bursar_proto::call::REDIRECT_MAX;
use bursar_proto::sensitive::Sensitive;
use std::borrow::Cow;
use url::{Host, Url};

/// The longest state or code, in bytes; Google's codes have less than a hundred.
const PART_MAX: usize = 4 * 1024;

/// The longest error code that is repeated; the registered ones have at most 25 characters.
const ERROR_MAX: usize = 40;

/// A redirect, taken apart.
pub(crate) struct Redirect {
    pub(crate) state: Sensitive,
    pub(crate) answer: Answer,
}

/// What the issuer says.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The person allowed it.
    Code(Sensitive),
    /// The issuer's error code; none where it is not fit to be shown.
    Error(Option<Box<str>>),
}

/// It is no redirect of an issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

impl Redirect {
    /// Reads the query of a redirect. What is given twice is refused: two codes are none.
    pub(crate) fn parse(query: &str) -> Result<Self, Malformed> {
        let (mut state, mut code, mut error) = (None, None, None);
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let place = match &*name {
                "state" => &mut state,
                "code" => &mut code,
                "error" => &mut error,
                _ => continue,
            };
            if place.is_some() || value.is_empty() || value.len() > PART_MAX {
                return Err(Malformed);
            }
            *place = Some(Sensitive::new(Cow::into_owned(value)));
        }
        let answer = match (code, error) {
            (Some(code), None) if visible(code.expose()) => Answer::Code(code),
            (None, Some(error)) => Answer::Error(plain(error.expose()).then(|| error.expose().into())),
            _ => return Err(Malformed),
        };
        Ok(Self { state: state.filter(|state| visible(state.expose())).ok_or(Malformed)?, answer })
    }

    /// Reads a whole address, as a person copies it out of a browser.
    pub(crate) fn parse_address(address: &str) -> Result<Self, Malformed> {
        let address = address.trim();
        if address.len() > REDIRECT_MAX {
            return Err(Malformed);
        }
        let url = Url::parse(address).map_err(|_| Malformed)?;
        let here = match url.host() {
            Some(Host::Ipv4(host)) => host.is_loopback(),
            Some(Host::Domain(host)) => host.eq_ignore_ascii_case("localhost"),
            _ => false,
        };
        if !here || url.scheme() != "http" || url.path() != CALLBACK {
            return Err(Malformed);
        }
        Self::parse(url.query().ok_or(Malformed)?)
    }
}

/// RFC 6749 appendices A.5 and A.11.
fn visible(text: &str) -> bool {
    text.bytes().all(|b| (b' '..=b'~').contains(&b))
}

fn plain(code: &str) -> bool {
    code.len() <= ERROR_MAX && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_redirect_has_one_state_and_one_answer() {
        let read = Redirect::parse("code=4%2F0Ab&state=s&scope=a%20b&iss=x").ok().unwrap();
        assert_eq!(read.state.expose(), "s");
        assert!(matches!(read.answer, Answer::Code(code) if code.expose() == "4/0Ab"));
        let denied = Redirect::parse("state=s&error=access_denied").ok().unwrap();
        assert!(matches!(denied.answer, Answer::Error(Some(code)) if &*code == "access_denied"));
        let odd = Redirect::parse("state=s&error=%3Cb%3E").ok().unwrap();
        assert!(matches!(odd.answer, Answer::Error(None)));
        for query in [
            "",
            "state=s",
            "code=c",
            "code=c&state=",
            "code=&state=s",
            "code=c&code=d&state=s",
            "code=c&state=s&state=s",
            "code=c&error=e&state=s",
            "code=c%0A&state=s",
            "code=c&state=%C3%A4",
            &format!("code={}&state=s", "c".repeat(PART_MAX + 1)),
        ] {
            assert!(Redirect::parse(query).is_err(), "{query}");
        }
    }

    #[test]
    fn a_pasted_address_is_one_of_ours() {
        for address in [
            " http://127.0.0.1:4711/oauth2/callback?code=c&state=s\n",
            "http://localhost:4711/oauth2/callback?state=s&code=c",
        ] {
            assert!(Redirect::parse_address(address).is_ok(), "{address}");
        }
        for address in [
            "c",
            "https://127.0.0.1/oauth2/callback?code=c&state=s",
            "http://127.0.0.1/?code=c&state=s",
            "http://example.org/oauth2/callback?code=c&state=s",
            "http://127.0.0.1/oauth2/callback",
            "http://127.0.0.1/oauth2/callback#code=c&state=s",
        ] {
            assert!(Redirect::parse_address(address).is_err(), "{address}");
        }
    }

    #[test]
    fn what_is_longer_than_any_issuers_is_refused() {
        let query = |code: usize| format!("code={}&state=s", "c".repeat(code));
        assert!(Redirect::parse(&query(PART_MAX)).is_ok());
        assert!(Redirect::parse(&query(PART_MAX + 1)).is_err());
        let address =
            |fill: usize| format!("http://127.0.0.1:1{CALLBACK}?code=c&state=s&x={}", "x".repeat(fill));
        let room = REDIRECT_MAX - address(0).len();
        assert!(Redirect::parse_address(&address(room)).is_ok());
        assert!(Redirect::parse_address(&address(room + 1)).is_err());
    }

    #[test]
    fn nothing_of_a_redirect_is_in_a_debug_text() {
        let read = Redirect::parse("code=hunter2&state=hunter2").ok().unwrap();
        assert!(!format!("{:?} {:?}", read.answer, read.state).contains("hunter2"));
    }

    proptest! {
        #[test]
        fn what_an_issuer_sends_back_is_read_as_it_was_sent(
            code in "[ -~]{1,60}",
            state in "[ -~]{1,60}",
            more in prop::collection::vec(("[a-z_]{1,8}", "\\PC{0,10}"), 0..4),
            first: bool,
        ) {
            let more: Vec<_> =
                more.into_iter().filter(|(name, _)| !["code", "state", "error"].contains(&name.as_str())).collect();
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            let both = [("code", &code), ("state", &state)];
            if first {
                query.extend_pairs(&more).extend_pairs(both.iter().rev());
            } else {
                query.extend_pairs(both).extend_pairs(&more);
            }
            let address = format!("http://127.0.0.1:4711{CALLBACK}?{}", query.finish());
            let Redirect { state: read, answer: Answer::Code(given) } = Redirect::parse_address(&address).unwrap_or_else(|_| panic!("{address}")) else {
                panic!("{address}");
            };
            prop_assert_eq!((read.expose(), given.expose()), (&*state, &*code));
        }

        #[test]
        fn whatever_is_read_has_one_state_and_one_answer_in_visible_characters(query in prop_oneof![
            "\\PC{0,80}",
            "((code|state|error|iss|)(=|)([a-z%0-9+&]|%0a|%C3%A4){0,8}&){0,5}",
        ]) {
            if let Ok(Redirect { state, answer }) = Redirect::parse(&query) {
                let legal = |text: &str| !text.is_empty() && text.len() <= PART_MAX && visible(text);
                prop_assert!(legal(state.expose()));
                match answer {
                    Answer::Code(code) => prop_assert!(legal(code.expose())),
                    Answer::Error(code) => prop_assert!(code.is_none_or(|code| plain(&code))),
                }
                let pairs: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).collect();
                let count = |wanted: &[&str]| pairs.iter().filter(|(name, _)| wanted.contains(&&**name)).count();
                prop_assert_eq!((count(&["state"]), count(&["code", "error"])), (1, 1));
            }
        }

        #[test]
        fn no_address_but_one_of_this_machine_is_read(host in "[a-z0-9.:@\\[\\]-]{1,20}", rest in "\\PC{0,10}") {
            let address = format!("http://{host}{rest}{CALLBACK}?code=c&state=s");
            if Redirect::parse_address(&address).is_ok() {
                let url = Url::parse(&address).unwrap();
                let host = url.host_str().unwrap();
                prop_assert!(host == "localhost" || host.starts_with("127."), "{}", host);
                prop_assert_eq!(url.path(), CALLBACK);
            }
        }
    }
}
