//! What libraries and packages are made of: slots, element definitions, files. `file` has their paths, modes and digests.

mod file;

pub use file::{
    BadDigest, BadMode, BadPath, DRAFT_END, Digest, FILE_PATH_MAX, FileMode, FilePath, OWN_FILES,
};

use crate::fields::{Fields, FromField, Invalid, Wrong, objects};
use crate::kind::Stage;
use crate::name::Reference;
use crate::template::TEMPLATE_MAX;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// How many elements a library has at the most: each is resolved at every sync.
pub const ELEMENTS_MAX: usize = 1_000;

/// How many files a package has at the most: a set of configs, not a source tree.
pub const PACKAGE_FILES_MAX: usize = 100;

/// How many files a workspace has at the most: what is written there is told to the agent in one request.
pub const WORKSPACE_FILES_MAX: usize = 500;

/// How many versions a package has at the most: two releases a week for ten years.
pub const VERSIONS_MAX: usize = 1_000;

/// How many workspaces the agent knows at the most: more than anybody works in, and a bound for who makes one in a loop.
pub const WORKSPACES_MAX: usize = 10_000;

/// How many digests a file of a workspace has at the most: what was written, and what is about to be.
pub const DIGESTS_MAX: usize = 4;

/// The longest path of a workspace, in bytes.
pub const WORKSPACE_PATH_MAX: usize = 1_024;

/// One thing for each stage, or none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slots<T> {
    /// For development.
    pub development: Option<T>,
    /// For staging.
    pub staging: Option<T>,
    /// For production.
    pub production: Option<T>,
}

impl<T> Default for Slots<T> {
    /// Empty ones.
    fn default() -> Self {
        Self { development: None, staging: None, production: None }
    }
}

impl<T> Slots<T> {
    /// The slot of a stage.
    pub fn of(&self, stage: Stage) -> Option<&T> {
        match stage {
            Stage::Development => self.development.as_ref(),
            Stage::Staging => self.staging.as_ref(),
            Stage::Production => self.production.as_ref(),
        }
    }

    /// The slot of a stage, to be changed.
    pub fn of_mut(&mut self, stage: Stage) -> &mut Option<T> {
        match stage {
            Stage::Development => &mut self.development,
            Stage::Staging => &mut self.staging,
            Stage::Production => &mut self.production,
        }
    }

    /// The slots that hold something.
    pub fn filled(&self) -> impl Iterator<Item = (Stage, &T)> {
        Stage::ALL.iter().filter_map(|stage| Some((*stage, self.of(*stage)?)))
    }

    /// The same slots with other content.
    ///
    /// # Errors
    /// The first of `change`.
    pub fn try_map<U, E>(&self, mut change: impl FnMut(&T) -> Result<U, E>) -> Result<Slots<U>, E> {
        Slots::try_from_fn(|stage| self.of(stage).map(&mut change).transpose())
    }

    /// What `of` says of each stage.
    ///
    /// # Errors
    /// The first of `of`.
    pub fn try_from_fn<E>(mut of: impl FnMut(Stage) -> Result<Option<T>, E>) -> Result<Self, E> {
        Ok(Self {
            development: of(Stage::Development)?,
            staging: of(Stage::Staging)?,
            production: of(Stage::Production)?,
        })
    }

    /// What `of` says of each stage.
    pub fn from_fn(mut of: impl FnMut(Stage) -> Option<T>) -> Self {
        Self {
            development: of(Stage::Development),
            staging: of(Stage::Staging),
            production: of(Stage::Production),
        }
    }
}

/// A library's element: one of its organization, by name, or one of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Definition {
    /// The organization's data element of this name.
    Uses(Reference),
    /// The library's own: a secret for each stage.
    Defines(Slots<Reference>),
}

/// A library's elements by the names that its templates use. A name with an organization stands for itself.
pub type Elements = BTreeMap<Reference, Definition>;

/// A file of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageFile {
    /// Where it is written in a workspace.
    pub path: FilePath,
    /// With which permissions.
    pub mode: FileMode,
    /// The template, see [`crate::template`].
    pub template: String,
}

/// A file that was written into a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkspaceFile {
    /// Where.
    pub path: FilePath,
    /// The package or the library that it comes from.
    pub package: crate::name::Qualified,
    /// The package's version; none for a build of the workspace's own library.
    pub version: Option<semver::Version>,
    /// What was written: the SHA-256 of its content in hex. While a sync runs, also what is about to be.
    pub digests: Vec<Digest>,
    /// The secrets whose artifacts it holds.
    pub secrets: Vec<crate::name::Qualified>,
}

impl FromField for Definition {
    fn from_field(raw: Option<&RawValue>) -> Result<Self, Wrong> {
        let text = raw.map_or("", RawValue::get);
        if !text.starts_with('{') {
            return Reference::from_field(raw).map(Self::Uses);
        }
        let slots = || {
            let fields = Fields::parse(Some(text))?;
            fields.only(&["development", "staging", "production"])?;
            Slots::try_from_fn(|stage| fields.take(stage.as_str()))
        };
        slots().map(Self::Defines).map_err(Wrong::from)
    }
}

impl FromField for Elements {
    fn from_field(raw: Option<&RawValue>) -> Result<Self, Wrong> {
        let raw = raw.ok_or(Wrong::MISSING)?;
        let members = Fields::parse(Some(raw.get())).map_err(Wrong::from)?.into_members();
        if members.len() > ELEMENTS_MAX {
            return Err(Wrong(format!("a library has at most {ELEMENTS_MAX} elements").into()));
        }
        let read = |(at, (name, definition)): (usize, (std::borrow::Cow<'_, str>, &RawValue))| {
            let at = at + 1;
            let name: Reference =
                name.parse().map_err(|error| Wrong(format!("name number {at}: {error}").into()))?;
            let definition = Definition::from_field(Some(definition))
                .map_err(|wrong| Wrong(format!("{name}: {wrong}").into()))?;
            Ok((name, definition))
        };
        members.into_iter().enumerate().map(read).collect()
    }
}

impl FromField for Vec<PackageFile> {
    fn from_field(raw: Option<&RawValue>) -> Result<Self, Wrong> {
        objects(raw, PACKAGE_FILES_MAX, |fields| {
            fields.only(&["path", "mode", "template"])?;
            let file = PackageFile {
                path: fields.take("path")?,
                mode: fields.take("mode")?,
                template: fields.take("template")?,
            };
            if file.template.len() > TEMPLATE_MAX {
                let most = TEMPLATE_MAX / 1024;
                return Err(Invalid::field("template", format!("has at most {most} KiB")));
            }
            Ok(file)
        })
    }
}

impl FromField for Vec<WorkspaceFile> {
    fn from_field(raw: Option<&RawValue>) -> Result<Self, Wrong> {
        objects(raw, WORKSPACE_FILES_MAX, |fields| {
            fields.only(&["path", "package", "version", "digests", "secrets"])?;
            Ok(WorkspaceFile {
                path: fields.take("path")?,
                package: fields.take("package")?,
                version: fields.take("version")?,
                digests: fields.take("digests")?,
                secrets: fields.take("secrets")?,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_are_a_name_or_slots() {
        let json = r#"{"A":"acme/a","B":{"staging":"b"},"acme/c":"acme/c"}"#;
        let raw: Box<RawValue> = serde_json::from_str(json).unwrap();
        let elements = Elements::from_field(Some(&raw)).unwrap();
        assert_eq!(elements[&"A".parse().unwrap()], Definition::Uses("acme/a".parse().unwrap()));
        let Definition::Defines(slots) = &elements[&"B".parse().unwrap()] else { panic!() };
        assert_eq!(slots.filled().collect::<Vec<_>>(), [(Stage::Staging, &"b".parse().unwrap())]);
        let read: Elements = serde_json::from_str(&serde_json::to_string(&elements).unwrap()).unwrap();
        assert_eq!(read, elements);
    }

    #[test]
    fn a_fault_names_the_member_that_has_it() {
        let refused = |json: &str| {
            let raw: Box<RawValue> = serde_json::from_str(json).unwrap();
            <Vec<PackageFile>>::from_field(Some(&raw)).unwrap_err().to_string()
        };
        let file = r#"{"path":"a","mode":"0600","template":""}"#;
        let escapes = r#"{"path":"../a","mode":"0600","template":""}"#;
        assert!(refused(&format!("[{file},{escapes}]")).starts_with("number 2: field path: the path leaves"));
        assert_eq!(refused("{}"), "expected an array, found an object");
        let many = format!("[{}]", vec![file; PACKAGE_FILES_MAX + 1].join(","));
        assert_eq!(refused(&many), "has at most 100 members");
        let long = format!(r#"[{{"path":"a","mode":"0600","template":"{}"}}]"#, "x".repeat(TEMPLATE_MAX + 1));
        assert_eq!(refused(&long), "number 1: field template: has at most 128 KiB");
    }
}
