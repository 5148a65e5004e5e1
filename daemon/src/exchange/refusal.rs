//! What an issuer's refusal means, and what to do about it, in words that hold nothing of its body but a plain error code. Pure.

use super::wire::Sent;
use super::{By, Cause, Failure};
use bursar_proto::kind::Issuer;
use serde_json::value::RawValue;

/// The longest error code that is repeated; the registered ones have at most 28 characters.
pub(super) const CODE_MAX: usize = 40;

/// Codes of RFC 6749 section 5.2 (and its kin), each with what to do.
const CODES: [(&str, Cause, &str); 9] = [
    (
        "invalid_client",
        Cause::Permanent,
        "check client_id, client_secret and client_auth (or iss and private_key)",
    ),
    ("invalid_grant", Cause::Permanent, "check iss, sub, aud, private_key, and the clock of this machine"),
    ("unauthorized_client", Cause::Permanent, "have the issuer allow this client this kind of grant"),
    ("invalid_scope", Cause::Transient, "check scope in options"),
    ("invalid_request", Cause::Transient, "check options, client_auth and token_url"),
    ("invalid_target", Cause::Transient, "check resource or audience in options"),
    ("unsupported_grant_type", Cause::Transient, "check that token_url is the token endpoint"),
    ("temporarily_unavailable", Cause::Transient, "wait; the issuer is busy"),
    ("access_denied", Cause::Transient, "have the issuer allow what is asked for"),
];

/// The failure of an answer that grants nothing, with the member `error` of its body.
pub(super) fn refusal(status: u16, error: Option<&RawValue>, empty: bool, sent: &Sent<'_>) -> Failure {
    let code = error.and_then(code);
    let known = code.as_deref().and_then(|code| CODES.iter().find(|(name, ..)| *name == code));
    let echoes = |code: &str| {
        let mut secrets = sent.secrets.iter().filter(|secret| !secret.is_empty());
        secrets.any(|secret| secret.contains(code) || code.contains(secret))
    };
    let shown = match &code {
        Some(code) if known.is_some() || !echoes(code) => format!("{code}, HTTP {status}"),
        _ if empty => format!("HTTP {status} with an empty body"),
        _ => format!("HTTP {status}"),
    };
    if status >= 500 {
        let details =
            format!("the issuer is out of order ({shown}); hint: wait, or ask whoever runs the issuer");
        return Failure::new(Cause::Unreachable, details);
    }
    if let Some((issuer, by)) = sent.person {
        return refused_person(issuer, by, code.as_deref(), status, &shown);
    }
    let (cause, hint) = match (known, status) {
        (Some((_, cause, hint)), _) => (*cause, *hint),
        (None, 401 | 403) => (Cause::Transient, "check the client's id and secret, and what it may ask for"),
        (None, 404 | 405 | 410) => (Cause::Transient, "check token_url"),
        (None, 429) => (Cause::Transient, "wait; the issuer gets too many requests"),
        (None, _) => (Cause::Transient, "check token_url, options and the credentials"),
    };
    Failure::new(cause, format!("the issuer refused the request ({shown}); hint: {hint}"))
}

/// The refusal of what a person granted.
fn refused_person(issuer: Issuer, by: By, code: Option<&str>, status: u16, shown: &str) -> Failure {
    let (cause, reason, hint) = match (code, by) {
        (Some("invalid_grant"), By::RefreshToken) => (
            Cause::Withdrawn,
            format!("what was allowed is over ({shown}): it was withdrawn, or its time has passed"),
            "allow it anew: bursar secret reauthorize NAME".to_owned(),
        ),
        (Some("invalid_grant"), By::Code) => (
            Cause::Permanent,
            format!("the issuer refused the code ({shown}): it was used already, or is too old"),
            "start over: bursar secret reauthorize NAME".to_owned(),
        ),
        (Some("invalid_client" | "unauthorized_client"), _) => (
            Cause::Permanent,
            format!("the issuer refused the client ({shown})"),
            match by {
                By::Code => format!("set its id and secret anew: bursar {issuer} configure"),
                By::RefreshToken => {
                    format!(
                        "set its id and secret anew: bursar {issuer} configure; then: bursar secret retry NAME"
                    )
                }
            },
        ),
        (_, _) if status == 429 || code == Some("temporarily_unavailable") => {
            (Cause::Transient, format!("the issuer gets too many requests ({shown})"), "wait".to_owned())
        }
        (_, _) => (
            Cause::Transient,
            format!("the issuer refused the request ({shown})"),
            format!("check the client and its addresses: bursar {issuer} show"),
        ),
    };
    Failure::new(cause, format!("{reason}; hint: {hint}"))
}

fn code(raw: &RawValue) -> Option<String> {
    let code: String = serde_json::from_str(raw.get()).ok()?;
    let plain =
        (1..=CODE_MAX).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    plain.then_some(code)
}
