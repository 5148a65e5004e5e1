//! `bursar.lock`: which version of each package a workspace uses, and the digest that its content has.

use super::document::Source;
use crate::stop::Stop;
use bursar_proto::library::Digest;
use bursar_proto::name::Qualified;
use bursar_proto::semver::Version;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The file's name.
pub(crate) const LOCK: &str = "bursar.lock";

const HEAD: &str =
    "# Written by bursar: the versions that this workspace uses. Keep it beside bursar.toml.\n";

const MEND: &str = "put back the bursar.lock that was there, or delete it and pin anew: bursar sync";

/// The version that a package is held at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pin {
    pub(crate) version: Version,
    pub(crate) digest: Digest,
}

/// All pins.
pub(crate) type Lock = BTreeMap<Qualified, Pin>;

/// Reads the text of a `bursar.lock`.
///
/// # Errors
/// The first fault, with its line.
pub(super) fn read(text: &str) -> Result<Lock, Stop> {
    let source = Source::new(LOCK, text).mend(MEND);
    let document = source.parse()?;
    let top = source.table(&document);
    top.only(&["package"])?;
    let mut lock = Lock::new();
    for package in top.entry("package").map_or_else(|| Ok(Vec::new()), |entry| entry.tables())? {
        package.only(&["name", "version", "digest"])?;
        let name = package.required("name")?;
        let pin = Pin {
            version: package.required("version")?.expected("a version")?,
            digest: package.required("digest")?.parsed()?,
        };
        if lock.insert(name.parsed()?, pin).is_some() {
            return Err(name.fault("the package is pinned twice"));
        }
    }
    Ok(lock)
}

/// The text of a `bursar.lock`.
pub(super) fn write(lock: &Lock) -> String {
    let mut text = HEAD.to_owned();
    for (name, Pin { version, digest }) in lock {
        // names, versions and digests have no character that toml would escape; writing to a text cannot fail
        let _ = write!(
            text,
            "\n[[package]]\nname = \"{name}\"\nversion = \"{version}\"\ndigest = \"{digest}\"\n"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pin(version: &str) -> Pin {
        Pin { version: version.parse().unwrap(), digest: "ab".repeat(32).parse().unwrap() }
    }

    fn refused(text: &str) -> (String, String) {
        match read(text) {
            Err(Stop::Failed(error)) => (error.message, error.hint.unwrap_or_default()),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for lock in [
            Lock::new(),
            Lock::from([("acme/site".parse().unwrap(), pin("1.2.0"))]),
            Lock::from([
                ("acme/site".parse().unwrap(), pin("1.2.0-rc.1")),
                ("beta/base".parse().unwrap(), pin("0.1.0")),
            ]),
        ] {
            let text = write(&lock);
            assert!(text.starts_with("# Written by bursar"));
            assert_eq!(read(&text).unwrap(), lock);
        }
    }

    #[test]
    fn a_broken_lock_says_where_and_what_to_do() {
        let good = write(&Lock::from([("acme/site".parse().unwrap(), pin("1.2.0"))]));
        for (from, to, message) in [
            ("1.2.0", "1.2", "line 5: package.1.version: expected a version"),
            ("acme/site", "site", "line 4: package.1.name: a reference is"),
            ("abab", "xbab", "line 6: package.1.digest: a digest is a sha-256"),
            ("\nversion", "\nverzion", "line 5: unknown key verzion in [package.1]"),
            ("digest = ", "#", "line 3: package.1.digest is missing"),
            ("[[package]]", "<<<<<<< HEAD", "line 3: "),
            ("[[package]]", "[package]", "line 3: package: expected a list of tables, found a table"),
        ] {
            let (said, _) = refused(&good.replacen(from, to, 1));
            assert!(said.starts_with(&format!("bursar.lock, {message}")), "{said}");
        }
        let (said, hint) = refused(&format!("{good}{}", good.trim_start_matches(HEAD)));
        assert_eq!(said, "bursar.lock, line 9: package.2.name: the package is pinned twice");
        assert_eq!(hint, MEND);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[\\PC\n]{0,200}") {
            let _ = read(&text);
        }
    }
}
