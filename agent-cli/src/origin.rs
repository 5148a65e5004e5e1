//! Where fields came from, so that a fault names the file or the flag to mend. It never repeats what is in them.

use crate::args::fields::flag;
use crate::stop::Stop;
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::kind::SecretType;
use bursar_proto::sensitive::SensitiveJson;
use std::path::Path;

/// Where fields came from.
pub(crate) enum Origin {
    /// A file, by its name, or standard input.
    File(String),
    /// Flags for a secret of this type.
    Flags(SecretType),
}

impl Origin {
    pub(crate) fn file(path: &Path) -> Self {
        Self::File(place(path))
    }

    /// Says of an input that was refused where it stands.
    pub(crate) fn blame(&self, error: CallError) -> CallError {
        if error.name != ErrorName::Invalid {
            return error;
        }
        let message = match self {
            Self::File(name) => format!("{name}: {}", error.message),
            Self::Flags(kind) => by_flag(*kind, &error.message).unwrap_or(error.message),
        };
        CallError { message, ..error }
    }
}

/// How a file is called.
pub(crate) fn place(path: &Path) -> String {
    if path.as_os_str() == "-" { "standard input".to_owned() } else { path.display().to_string() }
}

/// `field token_url: …` as `--token-url: …`.
fn by_flag(kind: SecretType, message: &str) -> Option<String> {
    let (name, reason) = message.strip_prefix("field ")?.split_once(": ")?;
    if !name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') {
        return None;
    }
    let field = kind.fields().iter().find(|field| field.name == name);
    Some(format!("--{}: {reason}", field.map_or_else(|| name.replace('_', "-"), flag)))
}

/// Reads one JSON value; `place` is the file or the flag that holds it.
pub(crate) fn read_json(text: &str, place: &str) -> Result<SensitiveJson, Stop> {
    if text.trim().is_empty() {
        return Err(Stop::usage(format!("{place}: is empty")));
    }
    SensitiveJson::new(text.to_owned()).map_err(|fault| {
        Stop::usage(format!("{place}: no json: line {}, column {}", fault.line, fault.column))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blamed(origin: &Origin, message: &str) -> String {
        origin.blame(CallError::new(ErrorName::Invalid, message)).message
    }

    #[test]
    fn a_file_is_named_before_its_field() {
        let origin = Origin::file("crm.json".as_ref());
        assert_eq!(blamed(&origin, "field token: is required"), "crm.json: field token: is required");
        let stdin = Origin::file("-".as_ref());
        assert_eq!(blamed(&stdin, "expected an object"), "standard input: expected an object");
        let other = CallError::new(ErrorName::Conflict, "acme/x exists");
        assert_eq!(origin.blame(other).message, "acme/x exists");
    }

    #[test]
    fn a_field_that_came_by_a_flag_is_named_as_the_flag() {
        let origin = Origin::Flags(SecretType::Jwt);
        assert_eq!(blamed(&origin, "field token_url: no url"), "--token-url: no url");
        assert_eq!(blamed(&origin, "field private_key: no pem"), "--private-key-file: no pem");
        assert_eq!(blamed(&origin, "field expiration_date: it ended"), "--expiration-date: it ended");
        assert_eq!(blamed(&origin, "too long"), "too long");
    }

    #[test]
    fn what_is_no_json_is_told_by_place() {
        let refused = |text| match read_json(text, "crm.json") {
            Err(Stop::Failed(error)) => error.message,
            _ => panic!("{text}: was read"),
        };
        assert_eq!(refused("{\n  \"a\": hunter2}"), "crm.json: no json: line 2, column 8");
        assert_eq!(refused(" \n"), "crm.json: is empty");
        assert_eq!(read_json("{\n \"a\": 1\n}", "crm.json").unwrap().expose(), r#"{"a":1}"#);
    }
}
