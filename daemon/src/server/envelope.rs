//! The envelopes of JSON-RPC: reading a request's, writing those of answers, errors and notifications.

use bursar_proto::call::Call;
use bursar_proto::error::{CallError, ErrorName, WireError};
use bursar_proto::frame::{ID_MAX, Request};
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

/// A request whose envelope is in order.
pub(super) struct Parsed<'a> {
    pub(super) id: &'a str,
    pub(super) method: &'a str,
    pub(super) params: Option<&'a str>,
}

/// Reads a request's envelope.
///
/// # Errors
/// What is wrong, and the id where that could be read.
pub(super) fn parse(line: &[u8]) -> Result<Parsed<'_>, (Option<&str>, CallError)> {
    let Ok(request) = serde_json::from_slice::<Request<'_>>(line) else {
        return Err(match serde_json::from_slice::<IgnoredAny>(line) {
            Ok(_) => (read_id(line), invalid("a request is an object of jsonrpc, id, method and params")),
            Err(error) => {
                let message = format!("the line is no json: column {}", error.column());
                (None, CallError::new(ErrorName::ParseError, message))
            }
        });
    };
    let id = request.id.map(RawValue::get).ok_or_else(|| (None, invalid("id: is required")))?;
    if !is_id(id) {
        return Err((None, invalid("id: expected a number or a text of at most 128 bytes")));
    }
    if request.jsonrpc != Some("2.0") {
        return Err((Some(id), invalid("jsonrpc: expected \"2.0\"")));
    }
    let method = request.method.ok_or_else(|| (Some(id), invalid("method: is required")))?;
    let params = request.params.map(RawValue::get).filter(|params| *params != "null");
    Ok(Parsed { id, method, params })
}

fn invalid(what: &str) -> CallError {
    CallError::new(ErrorName::InvalidRequest, what)
}

fn is_id(id: &str) -> bool {
    id.len() <= ID_MAX && id.starts_with(|c: char| c == '"' || c == '-' || c.is_ascii_digit())
}

/// The id of a line whose other members are not in order.
fn read_id(line: &[u8]) -> Option<&str> {
    #[derive(serde::Deserialize)]
    struct Id<'a> {
        #[serde(borrow)]
        id: Option<&'a RawValue>,
    }
    serde_json::from_slice::<Id<'_>>(line).ok()?.id.map(RawValue::get).filter(|id| is_id(id))
}

pub(super) fn decode(request: &Parsed<'_>) -> Result<Call, CallError> {
    match Call::decode(request.method, request.params) {
        None => Err(CallError::new(ErrorName::UnknownMethod, "no such method")
            .hint("docs/protocol.md lists them; this agent may be older than the client")),
        Some(decoded) => Ok(decoded?),
    }
}

pub(super) fn write_head(out: &mut Vec<u8>, id: &str) {
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
    out.extend_from_slice(id.as_bytes());
    out.extend_from_slice(b",\"result\":");
}

/// Writes an error line; without an id where the request had none that can be told.
pub(super) fn write_error(out: &mut Vec<u8>, id: Option<&str>, error: CallError) {
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
    out.extend_from_slice(id.unwrap_or("null").as_bytes());
    out.extend_from_slice(b",\"error\":");
    write_json(out, &WireError::from(error));
    out.extend_from_slice(b"}\n");
}

pub(super) fn write_notification<T: serde::Serialize>(out: &mut Vec<u8>, method: &str, params: &T) {
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"method\":\"");
    out.extend_from_slice(method.as_bytes());
    out.extend_from_slice(b"\",\"params\":");
    write_json(out, params);
    out.extend_from_slice(b"}\n");
}

/// Our own types: plain structs whose writing into memory cannot fail.
fn write_json<T: serde::Serialize>(out: &mut Vec<u8>, value: &T) {
    if serde_json::to_writer(&mut *out, value).is_err() {
        tracing::error!("an answer could not be written");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refused(line: &str) -> (ErrorName, String) {
        let (_, error) = parse(line.as_bytes()).err().unwrap();
        (error.name, error.message)
    }

    #[test]
    fn each_fault_of_an_envelope_has_its_own_words() {
        assert_eq!(refused("{\"jsonrpc\"").0, ErrorName::ParseError);
        assert_eq!(refused("[]").0, ErrorName::InvalidRequest);
        for (line, word) in [
            (r#"{"id":1,"method":"hello"}"#, "jsonrpc"),
            (r#"{"jsonrpc":"1.0","id":1,"method":"hello"}"#, "jsonrpc"),
            (r#"{"jsonrpc":"2.0","method":"hello"}"#, "id"),
            (r#"{"jsonrpc":"2.0","id":{},"method":"hello"}"#, "id"),
            (r#"{"jsonrpc":"2.0","id":1}"#, "method"),
            (r#"{"jsonrpc":"2.0","id":1,"method":"hello","extra":1}"#, "a request is an object"),
        ] {
            let (name, message) = refused(line);
            assert_eq!(name, ErrorName::InvalidRequest, "{line}");
            assert!(message.starts_with(word), "{line}: {message}");
        }
        let long = format!(r#"{{"jsonrpc":"2.0","id":"{}","method":"hello"}}"#, "x".repeat(ID_MAX));
        assert_eq!(refused(&long).0, ErrorName::InvalidRequest);
    }

    #[test]
    fn an_error_carries_the_id_where_it_could_be_read() {
        for line in [
            r#"{"jsonrpc":"2.0","id":7}"#,
            r#"{"jsonrpc":"2.0","id":7,"method":5}"#,
            r#"{"id":7,"method":"hello"}"#,
            r#"{"jsonrpc":"2.0","id":7,"method":"hello","extra":1}"#,
        ] {
            assert_eq!(parse(line.as_bytes()).err().unwrap().0, Some("7"), "{line}");
        }
    }

    #[test]
    fn null_params_are_no_params() {
        let parsed = parse(br#"{"jsonrpc":"2.0","id":"a","method":"hello","params":null}"#).ok().unwrap();
        assert_eq!((parsed.id, parsed.method, parsed.params), ("\"a\"", "hello", None));
    }

    proptest! {
        #[test]
        fn no_line_panics_and_no_error_repeats_it(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Err((_, error)) = parse(&line) {
                let text = String::from_utf8_lossy(&line);
                prop_assert!(line.len() < 12 || !error.message.contains(&*text));
            }
        }
    }
}
