//! Text that is wiped on drop, has no `Debug` of its content, no `Clone` and no `Serialize`.
//!
//! A struct that must put such text on the wire says so, field by field, with
//! `#[serde(serialize_with = "expose")]`.

use serde::de::{Deserialize, Deserializer};
use serde::ser::{Error as _, Serialize, Serializer};
use serde_json::value::RawValue;
use std::fmt;
use zeroize::Zeroizing;

/// A sensitive text: a passphrase, a token, a private key. Wiped on drop.
pub struct Sensitive(Zeroizing<String>);

impl Sensitive {
    /// Takes over `text`; the caller's string is the one that is wiped.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Another one of the same text, for a second place that has to have it. It is wiped by itself.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self::new(self.expose().to_owned())
    }

    /// The text itself. Every use of it is a place to look at in a review.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Sensitive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sensitive(…)")
    }
}

impl<'de> Deserialize<'de> for Sensitive {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

/// A JSON value, kept as its text, that may hold sensitive members. Wiped on drop.
pub struct SensitiveJson(Zeroizing<String>);

impl SensitiveJson {
    /// Keeps `json`, which must be one JSON value.
    ///
    /// # Errors
    /// Says nothing of the content where it is no JSON.
    pub fn new(json: String) -> Result<Self, NotJson> {
        let json = Zeroizing::new(json);
        match serde_json::from_str::<&RawValue>(&json) {
            Ok(_) => Ok(Self(on_one_line(&json))),
            Err(error) => Err(NotJson { line: error.line(), column: error.column() }),
        }
    }

    pub(crate) fn from_raw(raw: &RawValue) -> Self {
        Self(on_one_line(raw.get()))
    }

    /// The JSON text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// The same JSON without the white space between its tokens: a request is one line, whatever file it came from.
fn on_one_line(json: &str) -> Zeroizing<String> {
    let mut line = Zeroizing::new(String::with_capacity(json.len()));
    let (mut in_text, mut escaped) = (false, false);
    for character in json.chars() {
        if in_text {
            in_text = escaped || character != '"';
            escaped = !escaped && character == '\\';
        } else if character.is_ascii_whitespace() {
            continue;
        } else {
            in_text = character == '"';
        }
        line.push(character);
    }
    line
}

impl fmt::Debug for SensitiveJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SensitiveJson(…)")
    }
}

/// A text that is no JSON: where, never what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no valid json at line {line}, column {column}")]
pub struct NotJson {
    /// Line of the first fault, from 1.
    pub line: usize,
    /// Column of the first fault, from 1.
    pub column: usize,
}

/// What may be written to the wire on purpose.
pub trait Expose {
    /// Writes the content through `serializer`.
    ///
    /// # Errors
    /// The serializer's own.
    fn expose_to<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;
}

impl Expose for Sensitive {
    fn expose_to<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl Expose for Vec<Sensitive> {
    fn expose_to<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Sensitive::expose))
    }
}

impl Expose for SensitiveJson {
    fn expose_to<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde_json::from_str::<&RawValue>(&self.0)
            .map_err(|_| S::Error::custom("the kept text is no json"))?
            .serialize(serializer)
    }
}

impl<T: Expose> Expose for Option<T> {
    fn expose_to<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Some(content) => content.expose_to(serializer),
            None => serializer.serialize_none(),
        }
    }
}

/// For `#[serde(serialize_with = "expose")]`: the one way for a sensitive value onto the wire.
///
/// # Errors
/// The serializer's own.
pub fn expose<T: Expose, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    value.expose_to(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        let text = format!("{:?} {:?}", Sensitive::new("hunter2".into()), SensitiveJson::new("[7]".into()));
        assert!(!text.contains("hunter2") && !text.contains('7'), "{text}");
    }

    #[test]
    fn an_indented_file_becomes_one_line_and_texts_keep_their_blanks() {
        let json =
            SensitiveJson::new("{\n  \"a b\": [1,\t2],\r\n  \"c\": \"x \\\" y\\\\\"\n}\n".into()).unwrap();
        assert_eq!(json.expose(), r#"{"a b":[1,2],"c":"x \" y\\"}"#);
    }

    #[test]
    fn what_is_no_json_is_refused_by_place() {
        let refused = SensitiveJson::new("{\"a\": hunter2}".into()).unwrap_err().to_string();
        assert_eq!(refused, "no valid json at line 1, column 7");
    }
}
