//! Files in a workspace: where they may stand, with which permissions, and what tells their contents apart.

use std::fmt;
use std::str::FromStr;

/// The longest path of a file in a workspace, in bytes.
pub const FILE_PATH_MAX: usize = 200;

/// The files by which a workspace is steered; no package writes one.
pub const OWN_FILES: [&str; 2] = ["bursar.toml", "bursar.lock"];

/// What git reads of a repository: what it tracks is asked of git, and no package answers for it.
const GIT_FILES: [&str; 4] = [".git", ".gitignore", ".gitattributes", ".gitmodules"];

/// How the names of files end that Bursar writes on the way; no package writes one.
pub const DRAFT_END: &str = ".bursar-draft";

/// The permissions of a file, three octal digits: `0600`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileMode(u32);

impl FileMode {
    /// Read and write for the owner alone.
    pub const PRIVATE: Self = Self(0o600);

    /// The mode of these bits; `None` where they are no mode of a file here.
    pub fn from_bits(bits: u32) -> Option<Self> {
        (bits & !0o777 == 0 && bits & 0o400 != 0).then_some(Self(bits))
    }

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
        let bits = u32::from_str_radix(digits, 8).ok().filter(|_| octal);
        bits.and_then(Self::from_bits).ok_or(BadMode)
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
        "the path is git's or bursar's own: no .git, .gitignore or the like, no bursar.toml or bursar.lock"
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
        let own = |part: &str| {
            GIT_FILES.iter().any(|own| part.eq_ignore_ascii_case(own)) || part.ends_with(DRAFT_END)
        };
        let name = text.rsplit('/').next().unwrap_or(text);
        if OWN_FILES.iter().any(|own| name.eq_ignore_ascii_case(own)) || text.split('/').any(own) {
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

/// A SHA-256 digest; as text, 64 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Its bytes.
    pub fn bytes(&self) -> [u8; 32] {
        self.0
    }
}

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// A text that is no digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a digest is a sha-256, 64 digits of 0-9 a-f")]
pub struct BadDigest;

impl FromStr for Digest {
    type Err = BadDigest;
    fn from_str(text: &str) -> Result<Self, BadDigest> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(BadDigest);
        }
        let digit = |at: usize| match digits[at] {
            b @ b'0'..=b'9' => Ok(b - b'0'),
            b @ b'a'..=b'f' => Ok(b - b'a' + 10),
            _ => Err(BadDigest),
        };
        let mut bytes = [0; 32];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = digit(2 * at)? << 4 | digit(2 * at + 1)?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

crate::name::text_serde!(FileMode);
crate::name::text_serde!(FilePath);
crate::name::text_serde!(Digest);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_path_stays_below_its_workspace() {
        for path in [".npmrc", "a/b/c.xml", "..x", "a b", ".github/x", "bursar.toml/x"] {
            assert_eq!(path.parse::<FilePath>().unwrap().to_string(), path);
        }
        for path in ["/etc/x", "../x", "a/../b", "a//b", "a/", ".", "./a"] {
            assert_eq!(path.parse::<FilePath>(), Err(BadPath::Leaves), "{path}");
        }
        for path in [
            ".git/hooks/post-commit",
            "a/.GIT/config",
            "sub/bursar.toml",
            "Bursar.lock",
            ".x.bursar-draft",
            "d/.gitignore",
        ] {
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
    fn a_digest_prints_as_it_was_read() {
        let text = "00ff7f80".repeat(8);
        let digest: Digest = text.parse().unwrap();
        assert_eq!((digest.to_string(), digest.bytes()[1]), (text, 0xff));
        for text in ["", "00", &"0".repeat(63), &"0".repeat(65), &"G".repeat(64), &"A".repeat(64)] {
            assert_eq!(text.parse::<Digest>(), Err(BadDigest), "{text}");
        }
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
