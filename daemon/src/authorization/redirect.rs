//! What the issuer sends a browser back with: RFC 6749 sections 4.1.2 and 4.1.2.1.

use super::CALLBACK;
use bursar_proto::sensitive::Sensitive;
use std::borrow::Cow;
use url::{Host, Url};

/// The longest address that is read, in bytes: what a browser's address bar takes, and far more than a code needs.
pub(crate) const ADDRESS_MAX: usize = 8 * 1024;

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
        if address.len() > ADDRESS_MAX {
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
}
