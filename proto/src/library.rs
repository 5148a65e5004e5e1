//! What libraries and packages are made of: slots, element definitions, files and their paths.

use crate::fields::{Fields, FromField, Invalid, Wrong};
use crate::kind::Stage;
use crate::name::Reference;
use crate::template::TEMPLATE_MAX;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// How many elements a library has at the most: each is resolved at every sync.
pub const ELEMENTS_MAX: usize = 1_000;

/// How many files a package has at the most: a set of configs, not a source tree.
pub const PACKAGE_FILES_MAX: usize = 100;

/// How many files a workspace has at the most: what is written there is told to the agent in one request.
pub const WORKSPACE_FILES_MAX: usize = 500;

/// The longest path of a file in a workspace, in bytes.
pub const FILE_PATH_MAX: usize = 200;

/// The longest path of a workspace, in bytes.
pub const WORKSPACE_PATH_MAX: usize = 1_024;

/// The files by which a workspace is steered; no package writes one.
pub const OWN_FILES: [&str; 2] = ["bursar.toml", "bursar.lock"];

/// How the names of files end that Bursar writes on the way; no package writes one.
pub const DRAFT_END: &str = ".bursar-draft";

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
        Ok(Slots {
            development: self.development.as_ref().map(&mut change).transpose()?,
            staging: self.staging.as_ref().map(&mut change).transpose()?,
            production: self.production.as_ref().map(&mut change).transpose()?,
        })
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

/// The permissions of a file, three octal digits: `0600`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileMode(u32);

impl FileMode {
    /// Read and write for the owner alone.
    pub const PRIVATE: Self = Self(0o600);

    /// The bits, as `chmod` takes them.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// Whether group and others have nothing of it.
    pub fn is_private(self) -> bool {
        self.0 & !0o700 == 0
    }
}

impl FromStr for FileMode {
    type Err = BadMode;
    fn from_str(text: &str) -> Result<Self, BadMode> {
        let digits = text.strip_prefix('0').unwrap_or(text);
        let octal = digits.len() == 3 && digits.bytes().all(|b| (b'0'..=b'7').contains(&b));
        match u32::from_str_radix(digits, 8) {
            Ok(bits) if octal && bits & 0o400 != 0 => Ok(Self(bits)),
            _ => Err(BadMode),
        }
    }
}

/// A text that is no mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a mode has three octal digits, the owner can read, and no more: 0600")]
pub struct BadMode;

impl fmt::Display for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

/// Where a file stands in a workspace: relative, below it, with `/` between its parts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePath(Box<str>);

impl FilePath {
    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its parts, the file's name last.
    pub fn parts(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// Whether one of two files would have to be the directory of the other.
    pub fn clashes_with(&self, other: &Self) -> bool {
        let (short, long) = if self.0.len() <= other.0.len() { (self, other) } else { (other, self) };
        long.0.strip_prefix(&*short.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// Why a path is none for a file in a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    /// Empty, too long, or with control characters.
    #[error("a path has 1 to {FILE_PATH_MAX} bytes, and no control character")]
    Text,
    /// `/x`, `..`, and the like.
    #[error("the path leaves the workspace, or is not plain: no leading slash, no . or .. and no empty part")]
    Leaves,
    /// What git or Bursar itself would read.
    #[error(
        "the path is git's or bursar's own: no .git, no bursar.toml or bursar.lock, and no part ends in {DRAFT_END}"
    )]
    Steers,
}

impl FromStr for FilePath {
    type Err = BadPath;
    fn from_str(text: &str) -> Result<Self, BadPath> {
        if !(1..=FILE_PATH_MAX).contains(&text.len()) || text.chars().any(char::is_control) {
            return Err(BadPath::Text);
        }
        if text.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(BadPath::Leaves);
        }
        let steers = |part: &str| part.eq_ignore_ascii_case(".git") || part.ends_with(DRAFT_END);
        let own = OWN_FILES.iter().any(|own| text.eq_ignore_ascii_case(own));
        if own || text.split('/').any(steers) {
            return Err(BadPath::Steers);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A SHA-256 digest, 64 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(Box<str>);

impl Digest {
    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that is no digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a digest is a sha-256, 64 digits of 0-9 a-f")]
pub struct BadDigest;

impl FromStr for Digest {
    type Err = BadDigest;
    fn from_str(text: &str) -> Result<Self, BadDigest> {
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() == 64 && text.bytes().all(hex) { Ok(Self(text.into())) } else { Err(BadDigest) }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

crate::name::text_serde!(FileMode);
crate::name::text_serde!(FilePath);
crate::name::text_serde!(Digest);

impl FromField for Definition {
    fn from_field(raw: Option<&RawValue>) -> Result<Self, Wrong> {
        let text = raw.map_or("", RawValue::get);
        if !text.starts_with('{') {
            return Reference::from_field(raw).map(Self::Uses);
        }
        let slots = || {
            let fields = Fields::parse(Some(text))?;
            fields.only(&["development", "staging", "production"])?;
            Ok::<_, Invalid>(Slots {
                development: fields.take("development")?,
                staging: fields.take("staging")?,
                production: fields.take("production")?,
            })
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

/// Reads an array of objects, and says of a fault which of them has it.
fn list<T>(
    raw: Option<&RawValue>,
    most: usize,
    read: impl Fn(&Fields<'_>) -> Result<T, Invalid>,
) -> Result<Vec<T>, Wrong> {
    let raw = raw.ok_or(Wrong::MISSING)?;
    let items: Vec<&RawValue> =
        serde_json::from_str(raw.get()).map_err(|_| Wrong::expected("an array", raw))?;
    if items.len() > most {
        return Err(Wrong(format!("has at most {most} members").into()));
    }
    let one = |(at, item): (usize, &RawValue)| {
        let fields = Fields::parse(Some(item.get()));
        let read = fields.and_then(|fields| read(&fields));
        read.map_err(|invalid| Wrong(format!("number {}: {invalid}", at + 1).into()))
    };
    items.into_iter().enumerate().map(one).collect()
}

impl FromField for Vec<PackageFile> {
    fn from_field(raw: Option<&RawValue>) -> Result<Self, Wrong> {
        list(raw, PACKAGE_FILES_MAX, |fields| {
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
        list(raw, WORKSPACE_FILES_MAX, |fields| {
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
    use proptest::prelude::*;

    #[test]
    fn a_path_stays_below_its_workspace() {
        for path in [".npmrc", "a/b/c.xml", "..x", "a b", ".github/x", "sub/bursar.toml"] {
            assert_eq!(path.parse::<FilePath>().unwrap().to_string(), path);
        }
        for path in ["/etc/x", "../x", "a/../b", "a//b", "a/", ".", "./a"] {
            assert_eq!(path.parse::<FilePath>(), Err(BadPath::Leaves), "{path}");
        }
        for path in
            [".git/hooks/post-commit", "a/.GIT/config", "bursar.toml", "Bursar.lock", ".x.bursar-draft"]
        {
            assert_eq!(path.parse::<FilePath>(), Err(BadPath::Steers), "{path}");
        }
        assert_eq!("a\nb".parse::<FilePath>(), Err(BadPath::Text));
        assert!("x".repeat(FILE_PATH_MAX).parse::<FilePath>().is_ok());
        assert_eq!("x".repeat(FILE_PATH_MAX + 1).parse::<FilePath>(), Err(BadPath::Text));
    }

    #[test]
    fn a_file_cannot_be_the_directory_of_another() {
        let clash = |a: &str, b: &str| a.parse::<FilePath>().unwrap().clashes_with(&b.parse().unwrap());
        assert!(clash("a", "a") && clash("a", "a/b") && clash("a/b/c", "a/b"));
        assert!(!clash("a", "ab") && !clash("a/b", "a/c") && !clash("a.b/c", "a"));
    }

    #[test]
    fn modes_are_octal_and_readable() {
        let mode = |text: &str| text.parse::<FileMode>().map(|mode| (mode.to_string(), mode.is_private()));
        assert_eq!(mode("0600"), Ok(("0600".into(), true)));
        assert_eq!(mode("644"), Ok(("0644".into(), false)));
        for text in ["", "6", "0200", "4755", "01777", "rw-", "888", "+60"] {
            assert_eq!(mode(text), Err(BadMode), "{text}");
        }
    }

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

    proptest! {
        #[test]
        fn what_is_a_path_prints_the_same(text in "[a-z./\\\\ A-Z-]{0,40}") {
            if let Ok(path) = text.parse::<FilePath>() {
                prop_assert_eq!(path.to_string(), text);
                prop_assert!(path.parts().all(|part| part != ".." && !part.is_empty()));
            }
        }
    }
}
