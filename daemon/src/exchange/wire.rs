//! Judges what an issuer says, once: an answer becomes a grant or a failure in words. Pure.
//!
//! Whatever an issuer sends is hostile. Nothing of a body reaches a failure but an error code that is short
//! and plain, and not part of the credential that was sent.

use super::refusal::refusal;
use super::{By, Cause, Failure, Granted};
use crate::issuer::named;
use bursar_proto::kind::Issuer;
use bursar_proto::sensitive::Sensitive;
use bursar_proto::time::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

/// The longest token, in bytes of its JSON text. An artifact holds it twice, within
/// [`crate::credentials::STORED_MAX`].
pub(super) const TOKEN_MAX: usize = 40 * 1024;

/// The longest lifetime that is believed, in seconds: a hundred years. A longer one is cut to it, so that
/// instants stay within four digits of a year.
pub(super) const EXPIRES_IN_MAX: u64 = 100 * 365 * 86_400;

/// The longest refresh token, in bytes: with what else is kept of a grant it fits one record.
const REFRESH_TOKEN_MAX: usize = 16 * 1024;

/// The most bytes of a token type or a scope that are kept.
const NOTE_MAX: usize = 1024;

/// An answer as it came.
pub(super) struct Answer<'a> {
    /// When it was asked for.
    pub(super) sent_at: Timestamp,
    pub(super) status: u16,
    pub(super) content_type: Option<&'a str>,
    pub(super) body: &'a [u8],
}

/// The request that an answer is for.
pub(super) struct Sent<'a> {
    /// What it carried, and no words may repeat.
    pub(super) secrets: Vec<&'a str>,
    /// Whose client sent it and with what, where it was a person's grant.
    pub(super) person: Option<(Issuer, By)>,
}

/// The members of an answer that count; all others are skipped.
#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow)]
    access_token: Option<&'a RawValue>,
    #[serde(borrow)]
    expires_in: Option<&'a RawValue>,
    #[serde(borrow)]
    refresh_token: Option<&'a RawValue>,
    #[serde(borrow)]
    token_type: Option<&'a RawValue>,
    #[serde(borrow)]
    scope: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

/// Reads an answer.
///
/// # Errors
/// It grants nothing: which status, which code, what to do.
pub(super) fn judge(answer: &Answer<'_>, sent: &Sent<'_>) -> Result<Granted, Failure> {
    let members = members(answer.body);
    match (answer.status, members) {
        (200, Some(members)) if members.access_token.is_some() || members.error.is_none() => {
            grant(&members, sent, answer.sent_at).map_err(|failure| {
                // whatever else is wrong with the answer, the token that was sent may be void now
                let token = members.refresh_token.and_then(|raw| refresh_token(raw).ok());
                failure.with_rotated(sent.person.map(|(_, by)| by), token)
            })
        }
        (200, None) => Err(no_json(answer)),
        (300..400, _) => Err(Failure::new(
            Cause::Transient,
            format!(
                "the issuer redirects (HTTP {}), and redirects are not followed; hint: set token_url to the final address",
                answer.status
            ),
        )),
        (status, members) => {
            let error = members.and_then(|members| members.error);
            Err(refusal(status, error, answer.body.is_empty(), sent))
        }
    }
}

/// Takes a token that we made ourselves as a grant.
///
/// # Errors
/// It is too large to be kept.
pub(super) fn own(token: Sensitive, expires_in: u64, sent_at: Timestamp) -> Result<Granted, Failure> {
    if json_len(token.expose()) > TOKEN_MAX {
        return Err(Failure::new(
            Cause::Permanent,
            format!("the signed jwt is over {} KiB; hint: give fewer custom_claims", TOKEN_MAX / 1024),
        ));
    }
    Ok(Granted {
        access_token: token,
        expires_in,
        token_type: None,
        scope: None,
        refresh_token: None,
        sent_at,
    })
}

fn members(body: &[u8]) -> Option<Members<'_>> {
    // a struct would be read from an array as well
    let is_object = body.trim_ascii_start().starts_with(b"{");
    // a member given twice fails here, which is right: two tokens are none
    if is_object { serde_json::from_slice(body).ok() } else { None }
}

fn grant(members: &Members<'_>, sent: &Sent<'_>, sent_at: Timestamp) -> Result<Granted, Failure> {
    let access_token = access_token(members.access_token)?;
    let expires_in = match (members.expires_in, sent.person) {
        // RFC 6749 section 5.1 only recommends to say it, and for these the rule is ours
        (None, Some((issuer, _))) => named(issuer).lifetime.expires_in,
        (given, _) => lifetime_of(given)?,
    };
    let refresh_token = sent.person.and(members.refresh_token).map(refresh_token).transpose()?;
    let come = [Some(&access_token), refresh_token.as_ref()];
    let held = |text: &str, secret: &str| text.contains(secret);
    let note = |raw| {
        note(raw).filter(|text| {
            !sent.secrets.iter().any(|secret| held(text, secret))
                && !come.iter().flatten().any(|secret| held(text, secret.expose()))
        })
    };
    let (token_type, scope) = (note(members.token_type), note(members.scope));
    Ok(Granted { access_token, expires_in, token_type, scope, refresh_token, sent_at })
}

/// RFC 6749 appendix A.17.
fn refresh_token(raw: &RawValue) -> Result<Sensitive, Failure> {
    let token: Sensitive =
        serde_json::from_str(raw.get()).map_err(|_| unusable("refresh_token is no text"))?;
    let text = token.expose();
    if text.trim().is_empty() || !text.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        return Err(unusable("refresh_token is empty, or has characters other than visible ascii"));
    }
    if text.len() > REFRESH_TOKEN_MAX {
        return Err(unusable(&format!("refresh_token is over {} KiB", REFRESH_TOKEN_MAX / 1024)));
    }
    Ok(token)
}

fn access_token(raw: Option<&RawValue>) -> Result<Sensitive, Failure> {
    let token = given(raw, "access_token")?;
    let token: Sensitive =
        serde_json::from_str(token.get()).map_err(|_| unusable("access_token is no text"))?;
    let text = token.expose();
    if text.trim().is_empty() {
        return Err(unusable("access_token is empty"));
    }
    if json_len(text) > TOKEN_MAX {
        return Err(unusable(&format!("access_token is over {} KiB", TOKEN_MAX / 1024)));
    }
    // RFC 6749 appendix A.12
    if !text.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        return Err(unusable("access_token has characters other than visible ascii"));
    }
    Ok(token)
}

/// Reads a whole number, or a text of digits, as some issuers send it.
fn lifetime_of(raw: Option<&RawValue>) -> Result<u64, Failure> {
    let raw = given(raw, "expires_in")?.get();
    let digits = raw.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(raw);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(unusable("expires_in is no whole number of seconds"));
    }
    // more digits than fit are a longer time than is believed
    Ok(digits.parse::<u64>().unwrap_or(u64::MAX).min(EXPIRES_IN_MAX))
}

fn given<'a>(raw: Option<&'a RawValue>, name: &str) -> Result<&'a RawValue, Failure> {
    raw.ok_or_else(|| unusable(&format!("{name} is missing")))
}

/// A text that may be shown; `None` where it is none, or holds what a terminal should not.
fn note(raw: Option<&RawValue>) -> Option<String> {
    let mut text: String = serde_json::from_str(raw?.get()).ok()?;
    if text.is_empty() || !text.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        return None;
    }
    text.truncate(NOTE_MAX);
    Some(text)
}

/// The length of a visible ASCII text in JSON, without its quotes.
fn json_len(text: &str) -> usize {
    text.len() + text.bytes().filter(|b| matches!(b, b'"' | b'\\')).count()
}

fn unusable(what: &str) -> Failure {
    Failure::new(
        Cause::Transient,
        format!(
            "the issuer's answer (HTTP 200) cannot be used: {what}; hint: check that token_url is the token endpoint"
        ),
    )
}

fn no_json(answer: &Answer<'_>) -> Failure {
    let html = answer
        .content_type
        .is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("text/html"));
    unusable(match answer.body.is_empty() {
        true => "its body is empty",
        false if html => "it is a web page, not a json object",
        false => "it is no json object",
    })
}

#[cfg(test)]
mod tests {
    use super::super::refusal::CODE_MAX;
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }
    use proptest::prelude::*;

    const SECRET: &str = "hunter_two";

    fn answer(status: u16, body: &str) -> Result<Granted, Failure> {
        judge(
            &Answer { sent_at: at(0), status, content_type: Some("application/json"), body: body.as_bytes() },
            &Sent { secrets: vec![SECRET], person: None },
        )
    }

    fn lifetime(expires_in: &str) -> Option<u64> {
        answer(200, &format!(r#"{{"access_token":"t","expires_in":{expires_in}}}"#))
            .ok()
            .map(|g| g.expires_in)
    }

    fn words(status: u16, body: &str) -> String {
        answer(status, body).unwrap_err().details
    }

    #[test]
    fn a_lifetime_is_a_whole_number_or_a_text_of_digits() {
        for (given, read) in [
            ("3600", Some(3_600)),
            ("\"3600\"", Some(3_600)),
            ("0", Some(0)),
            ("99999999999999999999999", Some(EXPIRES_IN_MAX)),
            ("3600.0", None),
            ("3600.5", None),
            ("36e2", None),
            ("-1", None),
            ("\"+5\"", None),
            ("\"\"", None),
            ("\"1h\"", None),
            ("null", None),
            ("true", None),
            ("[3600]", None),
        ] {
            assert_eq!(lifetime(given), read, "{given}");
        }
    }

    #[test]
    fn type_and_scope_are_kept_where_they_can_be_shown() {
        let granted = answer(
            200,
            r#"{"access_token":"t0k","expires_in":60,"token_type":"bearer","scope":"a b","x":[{}]}"#,
        )
        .unwrap();
        assert_eq!(granted.access_token.expose(), "t0k");
        assert_eq!((granted.token_type.as_deref(), granted.scope.as_deref()), (Some("bearer"), Some("a b")));
        for scope in [r#"["a"]"#, r#""\u001b[31m""#, "null", r#""x hunter_two""#, r#""see t0k""#] {
            let body = format!(r#"{{"access_token":"t0k","expires_in":60,"scope":{scope}}}"#);
            assert_eq!(answer(200, &body).unwrap().scope, None, "{scope}");
        }
    }

    #[test]
    fn an_answer_that_cannot_be_used_says_why() {
        for (body, why) in [
            ("", "its body is empty"),
            ("<html>", "it is no json object"),
            ("[\"t\",60,null,null,null]", "it is no json object"),
            ("{\"access_token\":\"t\"", "it is no json object"),
            ("{}", "access_token is missing"),
            (r#"{"access_token":"t"}"#, "expires_in is missing"),
            (r#"{"access_token":7,"expires_in":60}"#, "access_token is no text"),
            (r#"{"access_token":"","expires_in":60}"#, "access_token is empty"),
            (r#"{"access_token":"a\nb","expires_in":60}"#, "other than visible ascii"),
            (r#"{"access_token":"t","access_token":"u","expires_in":60}"#, "it is no json object"),
        ] {
            let failure = answer(200, body).unwrap_err();
            assert_eq!(failure.cause, Cause::Transient);
            assert!(failure.details.contains(why), "{body}: {}", failure.details);
        }
    }

    #[test]
    fn json_under_another_content_type_is_read_and_a_page_is_named() {
        let judged = |body: &str| {
            judge(
                &Answer {
                    sent_at: at(0),
                    status: 200,
                    content_type: Some("Text/HTML; x"),
                    body: body.as_bytes(),
                },
                &Sent { secrets: vec![SECRET], person: None },
            )
        };
        assert!(judged(r#" {"access_token":"t","expires_in":60}"#).is_ok());
        assert!(judged("<p>").unwrap_err().details.contains("a web page"));
    }

    #[test]
    fn refusals_show_code_and_status_and_what_to_do() {
        use Cause::{Permanent, Transient, Unreachable};
        for (status, body, cause, shown) in [
            (
                401,
                r#"{"error":"invalid_client"}"#,
                Permanent,
                "(invalid_client, HTTP 401); hint: check client_id",
            ),
            (400, r#"{"error":"invalid_grant"}"#, Permanent, "(invalid_grant, HTTP 400)"),
            (400, r#"{"error":"unauthorized_client"}"#, Permanent, "(unauthorized_client, HTTP 400)"),
            (200, r#"{"error":"invalid_client"}"#, Permanent, "(invalid_client, HTTP 200)"),
            (400, r#"{"error":"invalid_scope"}"#, Transient, "check scope in options"),
            (400, r#"{"error":"slow_down"}"#, Transient, "(slow_down, HTTP 400)"),
            (403, "", Transient, "(HTTP 403 with an empty body); hint: check the client's id and secret"),
            (404, "<html>", Transient, "(HTTP 404); hint: check token_url"),
            (429, "", Transient, "HTTP 429"),
            (201, r#"{"access_token":"t","expires_in":60}"#, Transient, "HTTP 201"),
            (302, "", Transient, "redirects (HTTP 302)"),
            (503, r#"{"error":"invalid_client"}"#, Unreachable, "invalid_client, HTTP 503"),
            (500, "", Unreachable, "HTTP 500 with an empty body"),
        ] {
            let failure = answer(status, body).unwrap_err();
            assert_eq!(failure.cause, cause, "{status} {body}");
            assert!(failure.details.contains(shown), "{}", failure.details);
        }
    }

    #[test]
    fn an_error_that_echoes_is_not_repeated() {
        for code in ["hunter_two", "hunter", "Bad thing", "x\\u001b", &"a".repeat(CODE_MAX + 1)] {
            let said = words(400, &format!(r#"{{"error":"{code}","error_description":"hunter_two"}}"#));
            assert!(said.contains("(HTTP 400)"), "{said}");
        }
    }

    #[test]
    fn the_largest_token_fits_a_record_twice() {
        let body = |token: &str| format!(r#"{{"access_token":"{token}","expires_in":60}}"#);
        for token in ["a".repeat(TOKEN_MAX), "\\\"".repeat(TOKEN_MAX / 2)] {
            let granted = answer(200, &body(&token)).unwrap();
            let mut out = zeroize::Zeroizing::new(Vec::new());
            crate::credentials::Artifact::access_token(granted.access_token).write_json(&mut out);
            assert!(out.len() <= crate::credentials::STORED_MAX, "{}", out.len());
        }
        assert!(words(200, &body(&"a".repeat(TOKEN_MAX + 1))).contains("over 40 KiB"));
    }

    proptest! {
        #[test]
        fn no_answer_panics_and_no_failure_repeats_it(
            status in 100_u16..600,
            body in prop_oneof![
                "\\PC{0,60}",
                "\\{\"(access_token|error)\":\"[A-Z]{12,20}\"(,\"expires_in\":\"?[0-9a-z.-]{0,25}\"?)?\\}",
            ],
        ) {
            if let Err(failure) = answer(status, &body) {
                for part in body.split(['"', ' ']).filter(|part| part.len() >= 12 && *part != "access_token") {
                    prop_assert!(!failure.details.contains(part), "{}", failure.details);
                }
            }
        }
    }
}
