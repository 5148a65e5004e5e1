//! The JSON file in which an issuer's console offers an OAuth client. No error repeats what is in it.
//!
//! Its addresses are left alone: they are those that count anyway where none is said, and a file must not say where a
//! client's secret is sent.

use crate::origin::{place, read_json};
use crate::session::Session;
use crate::stop::Stop;
use bursar_proto::sensitive::{Sensitive, SensitiveJson};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::path::Path;

/// What makes a file that fits.
const HINT: &str =
    "in Google's console make an OAuth client of type \"Desktop app\", and download its JSON file";

/// An OAuth client.
#[derive(Deserialize)]
pub(super) struct Client {
    pub(super) client_id: String,
    pub(super) client_secret: Sensitive,
}

#[derive(Deserialize)]
struct File {
    installed: Option<Client>,
    web: Option<IgnoredAny>,
}

/// Reads a client.
///
/// # Errors
/// The file cannot be read, is of another kind of client, or of none.
pub(super) fn read(session: &Session, path: &Path) -> Result<Client, Stop> {
    let place = place(path);
    client(&read_json(&session.input.file(path)?, &place)?, &place)
}

fn client(json: &SensitiveJson, place: &str) -> Result<Client, Stop> {
    let file: Option<File> = serde_json::from_str(json.expose()).ok();
    let reason = match file {
        Some(File { installed: Some(client), .. }) => return Ok(client),
        Some(File { web: Some(_), .. }) => {
            "the client in it is one for web servers, to which no browser can come back here"
        }
        _ => "no OAuth client: expected {\"installed\": {\"client_id\", \"client_secret\"}}",
    };
    Err(Stop::usage(format!("{place}: {reason}")).hint(HINT))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Client, (u8, String, Option<String>)> {
        match read_json(text, "c.json").and_then(|json| client(&json, "c.json")) {
            Ok(client) => Ok(client),
            Err(Stop::Failed(error)) => Err((error.name.exit_code(), error.message, error.hint)),
            Err(other) => panic!("{other:?}"),
        }
    }

    fn refused(text: &str) -> (u8, String, Option<String>) {
        read(text).err().expect(text)
    }

    #[test]
    fn a_desktop_client_is_taken() {
        let client = read(
            r#"{"installed": {"client_id": "i", "client_secret": "s\u0041", "auth_uri": "https://x", "x": [1]}}"#,
        );
        let client = client.unwrap_or_else(|refused| panic!("{refused:?}"));
        assert_eq!((client.client_id.as_str(), client.client_secret.expose()), ("i", "sA"));
    }

    #[test]
    fn a_web_client_is_refused_with_what_to_make() {
        let (code, message, hint) = refused(r#"{"web": {"client_id": "i", "client_secret": "hunter2"}}"#);
        assert_eq!(code, 2);
        assert!(message.starts_with("c.json: the client in it is one for web servers"), "{message}");
        assert_eq!(hint.as_deref(), Some(HINT));
    }

    #[test]
    fn what_is_no_client_is_refused_unseen() {
        for text in [
            r#"{"installed": {"client_id": "hunter2"}}"#,
            r#"{"installed": {"client_id": 7, "client_secret": "hunter2"}}"#,
            r#"{"installed": "hunter2"}"#,
            r#"{"type": "service_account", "private_key": "hunter2"}"#,
            r#"["hunter2"]"#,
            r#""hunter2""#,
            r#"{"installed": hunter2}"#,
            "hunter2",
            "",
        ] {
            let (code, message, hint) = refused(text);
            assert_eq!(code, 2, "{text}");
            assert!(message.starts_with("c.json: "), "{message}");
            assert!(!format!("{message} {hint:?}").contains("unter2"), "{text}: {message}");
        }
    }
}
