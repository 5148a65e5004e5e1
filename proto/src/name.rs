//! Names: organizations, names within one, and references that may leave the organization out.
//!
//! An organization is `[a-z0-9][a-z0-9-]{0,38}`, any other name `[A-Za-z0-9][A-Za-z0-9._-]{0,99}`.
//! What does not fit is refused without being echoed.

use std::fmt;
use std::str::FromStr;

/// The longest name of an organization, in bytes.
pub const ORGANIZATION_MAX: usize = 39;

/// The longest other name, in bytes.
pub const NAME_MAX: usize = 100;

/// The organization that exists from the start, and that a bare name belongs to unless the config says otherwise.
pub const PERSONAL: &str = "personal";

/// A text that is no name. It says the rule, never the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not an organization's name.
    #[error("an organization's name has 1 to 39 of a-z 0-9 - and starts with a letter or digit")]
    Organization,
    /// Not another thing's name.
    #[error("a name has 1 to 100 of A-Z a-z 0-9 . _ - and starts with a letter or digit")]
    Name,
    /// More than one slash.
    #[error("a reference is NAME or ORGANIZATION/NAME")]
    Reference,
}

macro_rules! text_serde {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                <String as serde::Deserialize>::deserialize(deserializer)?
                    .parse()
                    .map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use text_serde;

/// The name of an organization.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrganizationName(Box<str>);

impl OrganizationName {
    /// The organization `personal`.
    pub fn personal() -> Self {
        Self(PERSONAL.into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for OrganizationName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let bytes = text.as_bytes();
        let well_formed = (1..=ORGANIZATION_MAX).contains(&bytes.len())
            && fits(bytes[0])
            && bytes.iter().all(|&b| fits(b) || b == b'-');
        if well_formed { Ok(Self(text.into())) } else { Err(NameError::Organization) }
    }
}

impl fmt::Display for OrganizationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
text_serde!(OrganizationName);

impl std::borrow::Borrow<str> for OrganizationName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// The name of a secret, an environment, an element, a library, within its organization.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<str>);

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let bytes = text.as_bytes();
        let well_formed = (1..=NAME_MAX).contains(&bytes.len())
            && bytes[0].is_ascii_alphanumeric()
            && bytes.iter().all(|&b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        if well_formed { Ok(Self(text.into())) } else { Err(NameError::Name) }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
text_serde!(Name);

impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// A name with its organization: `acme/adobe-io`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Qualified {
    /// The namespace.
    pub organization: OrganizationName,
    /// The name in it.
    pub name: Name,
}

impl FromStr for Qualified {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let (organization, name) = text.split_once('/').ok_or(NameError::Reference)?;
        Ok(Self { organization: organization.parse()?, name: name.parse()? })
    }
}

impl fmt::Display for Qualified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.organization, self.name)
    }
}
text_serde!(Qualified);

/// A name whose organization may be left out: `adobe-io` or `acme/adobe-io`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// The namespace, where it was said.
    pub organization: Option<OrganizationName>,
    /// The name in it.
    pub name: Name,
}

impl Reference {
    /// The full name, in `organization` where none was said.
    pub fn within(self, organization: &OrganizationName) -> Qualified {
        Qualified { organization: self.organization.unwrap_or_else(|| organization.clone()), name: self.name }
    }
}

impl From<Qualified> for Reference {
    fn from(full: Qualified) -> Self {
        Self { organization: Some(full.organization), name: full.name }
    }
}

impl FromStr for Reference {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        match text.split_once('/') {
            None => Ok(Self { organization: None, name: text.parse()? }),
            Some((_, name)) if name.contains('/') => Err(NameError::Reference),
            Some((organization, name)) => {
                Ok(Self { organization: Some(organization.parse()?), name: name.parse()? })
            }
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(organization) = &self.organization {
            write!(f, "{organization}/")?;
        }
        write!(f, "{}", self.name)
    }
}
text_serde!(Reference);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn limits_are_exact() {
        assert!("a".repeat(ORGANIZATION_MAX).parse::<OrganizationName>().is_ok());
        assert!("a".repeat(ORGANIZATION_MAX + 1).parse::<OrganizationName>().is_err());
        assert!("A".repeat(NAME_MAX).parse::<Name>().is_ok());
        assert!("A".repeat(NAME_MAX + 1).parse::<Name>().is_err());
    }

    #[test]
    fn rubbish_is_refused_without_an_echo() {
        for text in ["", "-a", ".a", "a/b/c", "a\0", "a\nb", "a b", "../x", "ä", "A/x", "/x", "x/"] {
            let refused = text.parse::<Reference>().expect_err(text).to_string();
            assert!(text.len() < 3 || !refused.contains(text), "{refused}");
        }
    }

    proptest! {
        #[test]
        fn what_parses_prints_the_same(text in "[a-z0-9/._-]{0,60}") {
            if let Ok(reference) = text.parse::<Reference>() {
                prop_assert_eq!(reference.to_string(), text);
            }
        }
    }
}
