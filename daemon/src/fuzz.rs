//! What strangers send and only the inside reads, for the fuzz targets in `tests/fuzz`. It is there where cargo-fuzz builds, and
//! nowhere else. What must hold is the targets' to say.

use crate::authorization::{Answer, Redirect};
use crate::exchange::{By, judged};
use crate::server::peer::address::Claim;
use crate::server::peer::unit::{unit_of, user_unit_of};
use bursar_proto::sensitive::Sensitive;

/// A redirect that was read: its state, and the code or the issuer's error code.
pub type Read = (String, Result<String, Option<String>>);

/// Reads the query of a redirect.
pub fn query(text: &str) -> Option<Read> {
    Redirect::parse(text).ok().map(read)
}

/// Reads a whole address, as a person pastes it.
pub fn address(text: &str) -> Option<Read> {
    Redirect::parse_address(text).ok().map(read)
}

fn read(redirect: Redirect) -> Read {
    let answer = match redirect.answer {
        Answer::Code(code) => Ok(code.expose().to_owned()),
        Answer::Error(code) => Err(code.map(String::from)),
    };
    (redirect.state.expose().to_owned(), answer)
}

/// What an answer of a token endpoint grants.
#[derive(Debug)]
pub struct Tokens {
    /// The access token.
    pub access_token: String,
    /// Its lifetime in seconds.
    pub expires_in: u64,
    /// The refresh token, where one came.
    pub refresh_token: Option<String>,
    /// What is shown beside: its type and its scope.
    pub shown: [Option<String>; 2],
}

/// Judges an answer to a code, or to a refresh token, that was sent with `secrets`.
///
/// # Errors
/// The words that a person reads.
pub fn tokens(status: u16, body: &[u8], by_code: bool, secrets: &[&str]) -> Result<Tokens, String> {
    let by = if by_code { By::Code } else { By::RefreshToken };
    let text = |token: Sensitive| token.expose().to_owned();
    match judged(status, body, by, secrets.to_vec()) {
        Ok(granted) => Ok(Tokens {
            access_token: text(granted.access_token),
            expires_in: granted.expires_in,
            refresh_token: granted.refresh_token.map(text),
            shown: [granted.token_type, granted.scope],
        }),
        Err(failure) => Err(failure.details),
    }
}

/// The unit and the credential that an abstract address asks for, which anybody can take.
pub fn claim(address: &[u8]) -> Option<(&str, &str)> {
    Claim::read(address).map(|claim| (claim.unit, claim.credential))
}

/// The unit of the system and the one of a user, by what `/proc/PID/cgroup` says, in which a process names its own groups.
pub fn units(cgroup: &str, uid: u32) -> [Option<&str>; 2] {
    [unit_of(cgroup), user_unit_of(cgroup, uid)]
}
