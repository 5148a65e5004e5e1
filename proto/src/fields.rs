//! Reads a JSON object member by member, and never echoes what it read.
//!
//! serde's own messages quote input. Here a fault names the field and what was expected, nothing else: an
//! unknown field is named only if its name is `[a-z_]{1,40}`, and by its place otherwise.

use crate::name::{Name, OrganizationName, Qualified, Reference};
use crate::sensitive::{Sensitive, SensitiveJson};
use crate::time::Timestamp;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// The longest name of an unknown field that an error repeats.
const ECHO_MAX: usize = 40;

/// The longest version, in bytes.
const VERSION_MAX: usize = 64;

/// What a version is, for whoever wrote another.
const VERSION: &str =
    "expected a version: MAJOR.MINOR.PATCH, perhaps with a pre-release, of at most 64 bytes";

/// An input that was refused: which field, and what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(String);

impl Invalid {
    /// An input refused for `reason`, which must not hold any of it.
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }

    /// The field `name` refused for `reason`.
    pub fn field(name: &str, reason: impl fmt::Display) -> Self {
        Self(format!("field {name}: {reason}"))
    }
}

/// The members of one JSON object, each still its text.
pub struct Fields<'a> {
    members: Vec<(Cow<'a, str>, &'a RawValue)>,
}

impl<'a> Fields<'a> {
    /// Splits `json` into its members. An absent text (`None`) is an empty object.
    ///
    /// # Errors
    /// No object, or a member given twice.
    pub fn parse(json: Option<&'a str>) -> Result<Self, Invalid> {
        let members = match json {
            None => Vec::new(),
            Some(text) => {
                let Members(members) =
                    serde_json::from_str(text).map_err(|_| Invalid::new("expected an object"))?;
                members
            }
        };
        // by sorting: a hostile line holds tens of thousands of members
        let mut by_name: Vec<usize> = (0..members.len()).collect();
        by_name.sort_unstable_by(|a, b| members[*a].0.cmp(&members[*b].0).then(a.cmp(b)));
        if let Some(pair) = by_name.windows(2).find(|pair| members[pair[0]].0 == members[pair[1]].0) {
            return Err(Invalid::new(format!("{} is given twice", place(&members[pair[1]].0, pair[1]))));
        }
        Ok(Self { members })
    }

    /// Takes the member `name` as `T`.
    ///
    /// # Errors
    /// It is missing though `T` is not optional, or is no `T`.
    pub fn take<T: FromField>(&self, name: &str) -> Result<T, Invalid> {
        T::from_field(self.raw(name)).map_err(|wrong| Invalid::field(name, wrong))
    }

    /// Takes the member `name` as its text, null included.
    pub fn raw(&self, name: &str) -> Option<&'a RawValue> {
        self.members.iter().find(|(member, _)| member == name).map(|(_, raw)| *raw)
    }

    /// The members in the order in which they stand, for objects whose names are free.
    pub fn into_members(self) -> Vec<(Cow<'a, str>, &'a RawValue)> {
        self.members
    }

    /// Whether a member `name` is there, null included.
    pub fn has(&self, name: &str) -> bool {
        self.members.iter().any(|(member, _)| member == name)
    }

    /// Refuses what is not among `names`: asked first, so that a mistyped field is named before the one that is
    /// missing for it.
    ///
    /// # Errors
    /// The first unknown field.
    pub fn only(&self, names: &[&str]) -> Result<(), Invalid> {
        let unknown = self.members.iter().position(|(member, _)| !names.contains(&member.as_ref()));
        match unknown {
            None => Ok(()),
            Some(at) => Err(Invalid::new(format!("unknown {}", place(&self.members[at].0, at)))),
        }
    }
}

/// Names a member without repeating what might be a secret.
fn place(name: &str, at: usize) -> String {
    let plain =
        (1..=ECHO_MAX).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    if plain { format!("field {name}") } else { format!("field number {}", at + 1) }
}

/// What was expected of a field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Wrong(pub Cow<'static, str>);

impl Wrong {
    /// `expected` in words: `a text`, `a whole number`.
    pub fn expected(expected: &'static str, raw: &RawValue) -> Self {
        let found = match raw.get().as_bytes().first() {
            Some(b'"') => "a text",
            Some(b'{') => "an object",
            Some(b'[') => "an array",
            Some(b't' | b'f') => "true or false",
            Some(b'n') => "null",
            _ => "a number",
        };
        if expected == "a whole number" && found == "a number" {
            Self("expected a whole number, without sign or fraction".into())
        } else if found == expected {
            // the right kind of value, but out of its bounds
            Self(format!("expected {expected} that fits").into())
        } else {
            Self(format!("expected {expected}, found {found}").into())
        }
    }

    pub(crate) const MISSING: Self = Self(Cow::Borrowed("is required"));
}

/// A fault inside a member is the member's.
impl From<Invalid> for Wrong {
    fn from(invalid: Invalid) -> Self {
        Self(invalid.0.into())
    }
}

/// What can be read from a member of an object.
pub trait FromField: Sized {
    /// Reads the member's text; `None` where it is absent.
    ///
    /// # Errors
    /// What was expected instead, without the text.
    fn from_field(raw: Option<&RawValue>) -> Result<Self, Wrong>;
}

impl<T: FromField> FromField for Option<T> {
    /// Absent and null are the same.
    fn from_field(raw: Option<&RawValue>) -> Result<Self, Wrong> {
        match raw {
            None => Ok(None),
            Some(raw) if raw.get() == "null" => Ok(None),
            Some(raw) => T::from_field(Some(raw)).map(Some),
        }
    }
}

/// A field of an edit: absent keeps, null clears, a value sets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Edit<T> {
    /// Leave it as it is.
    #[default]
    Keep,
    /// Make it empty.
    Clear,
    /// Make it this.
    Set(T),
}

impl<T> Edit<T> {
    /// For `skip_serializing_if`: a kept field is absent on the wire.
    pub fn is_keep(&self) -> bool {
        matches!(self, Self::Keep)
    }
}

impl<T: serde::Serialize> serde::Serialize for Edit<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Keep | Self::Clear => serializer.serialize_none(),
            Self::Set(value) => value.serialize(serializer),
        }
    }
}

impl<T: FromField> FromField for Edit<T> {
    fn from_field(raw: Option<&RawValue>) -> Result<Self, Wrong> {
        match raw {
            None => Ok(Self::Keep),
            Some(raw) if raw.get() == "null" => Ok(Self::Clear),
            Some(raw) => T::from_field(Some(raw)).map(Self::Set),
        }
    }
}

macro_rules! from_json {
    ($($type:ty: $expected:literal),+ $(,)?) => {$(
        impl FromField for $type {
            fn from_field(raw: Option<&RawValue>) -> Result<Self, Wrong> {
                let raw = raw.ok_or(Wrong::MISSING)?;
                serde_json::from_str(raw.get()).map_err(|_| Wrong::expected($expected, raw))
            }
        }
    )+};
}
from_json! {
    String: "a text",
    Sensitive: "a text",
    bool: "true or false",
    u64: "a whole number",
    Vec<String>: "an array of texts",
    BTreeMap<String, String>: "an object of texts",
}

macro_rules! from_text {
    ($($type:ty),+ $(,)?) => {$(
        impl FromField for $type {
            fn from_field(raw: Option<&RawValue>) -> Result<Self, Wrong> {
                let text = String::from_field(raw)?;
                text.parse().map_err(|error: <$type as std::str::FromStr>::Err| Wrong(error.to_string().into()))
            }
        }
    )+};
}
from_text!(Timestamp, OrganizationName, Name, Qualified, Reference);
from_text!(crate::library::FilePath, crate::library::FileMode, crate::library::Digest);
from_text!(crate::client_secret::PublicId, crate::kind::Issuer, crate::kind::Role, crate::kind::Analytics);
from_text!(crate::kind::SecretType, crate::kind::Stage, crate::kind::Status, crate::kind::ExchangePolicy);

impl FromField for semver::Version {
    fn from_field(raw: Option<&RawValue>) -> Result<Self, Wrong> {
        let text = String::from_field(raw)?;
        let version = Self::parse(&text).ok().filter(|version| version.build.is_empty());
        version.filter(|_| text.len() <= VERSION_MAX).ok_or(Wrong(Cow::Borrowed(VERSION)))
    }
}

/// Reads an array, and says of a fault which member has it.
fn list<T>(
    raw: Option<&RawValue>,
    expected: &'static str,
    read: impl Fn(&RawValue) -> Result<T, Wrong>,
) -> Result<Vec<T>, Wrong> {
    let raw = raw.ok_or(Wrong::MISSING)?;
    let items: Vec<&RawValue> =
        serde_json::from_str(raw.get()).map_err(|_| Wrong::expected(expected, raw))?;
    let one = |(at, item): (usize, &RawValue)| {
        read(item).map_err(|wrong| Wrong(format!("number {}: {wrong}", at + 1).into()))
    };
    items.into_iter().enumerate().map(one).collect()
}

/// Reads an array of objects, `most` at the most.
pub(crate) fn objects<T>(
    raw: Option<&RawValue>,
    most: usize,
    read: impl Fn(&Fields<'_>) -> Result<T, Invalid>,
) -> Result<Vec<T>, Wrong> {
    let objects = list(raw, "an array", |item| Ok(read(&Fields::parse(Some(item.get()))?)?))?;
    if objects.len() > most { Err(Wrong(format!("has at most {most} members").into())) } else { Ok(objects) }
}

macro_rules! from_list {
    ($($type:ty),+ $(,)?) => {$(
        impl FromField for Vec<$type> {
            fn from_field(raw: Option<&RawValue>) -> Result<Self, Wrong> {
                list(raw, "an array of texts", |item| <$type>::from_field(Some(item)))
            }
        }
    )+};
}
from_list!(Qualified, Sensitive, crate::library::Digest);

impl FromField for SensitiveJson {
    fn from_field(raw: Option<&RawValue>) -> Result<Self, Wrong> {
        raw.map(Self::from_raw).ok_or(Wrong::MISSING)
    }
}

/// An object as a list of members, in order, duplicates included.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((Key(name), value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// A member's name, borrowed where it holds no escape.
struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refused(json: &str) -> String {
        let fields = Fields::parse(Some(json)).map_err(|e| e.to_string()).unwrap();
        let read = || {
            fields.only(&["ttl", "iss", "aud"])?;
            fields.take::<Option<u64>>("ttl")?;
            fields.take::<Option<String>>("iss")?;
            fields.take::<String>("aud")
        };
        read().unwrap_err().to_string()
    }

    #[test]
    fn faults_name_the_field_and_never_the_value() {
        assert_eq!(refused(r#"{"ttl":"hunter2"}"#), "field ttl: expected a whole number, found a text");
        assert_eq!(refused(r#"{"ttl":-4}"#), "field ttl: expected a whole number, without sign or fraction");
        assert_eq!(refused(r#"{"iss":["hunter2"]}"#), "field iss: expected a text, found an array");
        assert_eq!(refused(r#"{"passwort":"hunter2"}"#), "unknown field passwort");
        assert_eq!(refused(r#"{"iss":"x","hunter2!":1}"#), "unknown field number 2");
        assert_eq!(refused(r#"{"iss":"x"}"#), "field aud: is required");
    }

    #[test]
    fn a_member_given_twice_is_refused() {
        let error = Fields::parse(Some(r#"{"iss":"a","iss":"b"}"#)).err().unwrap();
        assert_eq!(error.to_string(), "field iss is given twice");
    }

    #[test]
    fn absent_null_and_set_differ_in_an_edit() {
        let fields = Fields::parse(Some(r#"{"a":null,"b":"x"}"#)).unwrap();
        assert_eq!(fields.take::<Edit<String>>("a"), Ok(Edit::Clear));
        assert_eq!(fields.take::<Edit<String>>("b"), Ok(Edit::Set("x".into())));
        assert_eq!(fields.take::<Edit<String>>("c"), Ok(Edit::Keep));
    }

    proptest! {
        #[test]
        fn no_input_panics_and_no_error_echoes_it(text in "\\PC{0,80}") {
            if let Err(error) = Fields::parse(Some(&text)) {
                prop_assert!(text.len() < 8 || !error.to_string().contains(&text));
            }
        }
    }
}
