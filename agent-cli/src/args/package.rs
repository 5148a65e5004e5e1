//! Flags of what packages and libraries need: `add`, `sync`, `status`, `info`, `publish`, `build`.

use bursar_proto::name::Reference;
use bursar_proto::semver::{Version, VersionReq};
use std::str::FromStr;

// Where to build. It stands first in each command.
#[derive(clap::Args)]
pub(crate) struct For {
    /// Build for this environment; the workspace's if not said
    #[arg(long, short, value_name = "ENV")]
    pub(crate) environment: Option<Reference>,
}

// What a person allows.
#[derive(Clone, Copy, clap::Args)]
pub(crate) struct Allowed {
    /// Write over files that somebody edited, and remove those that no package wants any more
    #[arg(long)]
    pub(crate) force: bool,
    /// Write values also where git would track them
    #[arg(long)]
    pub(crate) allow_tracked: bool,
}

#[derive(clap::Args)]
pub(crate) struct Add {
    /// A package: NAME, ORGANIZATION/NAME, or either with a version requirement; may be given several times
    #[arg(long, short, required = true, value_name = "PACKAGE[@REQ]")]
    pub(crate) package: Vec<Wish>,
    #[command(flatten)]
    pub(crate) place: For,
    #[command(flatten)]
    pub(crate) allowed: Allowed,
}

#[derive(clap::Args)]
pub(crate) struct Sync {
    #[command(flatten)]
    pub(crate) place: For,
    #[command(flatten)]
    pub(crate) allowed: Allowed,
    /// Move the pins in bursar.lock to the highest versions that bursar.toml asks for
    #[arg(long)]
    pub(crate) update: bool,
}

#[derive(clap::Args)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) place: For,
}

#[derive(clap::Args)]
pub(crate) struct Shown {
    /// The package: NAME or ORGANIZATION/NAME; after @ the version whose elements and files are shown, the highest if not said.
    /// Without a package all are listed
    #[arg(value_name = "PACKAGE[@VERSION]")]
    pub(crate) package: Option<At<Version>>,
}

#[derive(clap::Args)]
pub(crate) struct Publish {
    /// Check everything and show what would go, and publish nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(clap::Args)]
pub(crate) struct Build {
    #[command(flatten)]
    pub(crate) place: For,
    #[command(flatten)]
    pub(crate) allowed: Allowed,
}

/// A package and what may stand after `@`.
#[derive(Clone)]
pub(crate) struct At<T> {
    pub(crate) package: Reference,
    pub(crate) at: Option<T>,
}

/// A package and the versions of it that are wanted.
pub(crate) type Wish = At<VersionReq>;

/// What may stand after `@`, in words.
pub(crate) trait AfterAt: FromStr {
    const WORDS: &'static str;
}

impl AfterAt for VersionReq {
    const WORDS: &'static str = "after @ stands a version requirement such as 1.2, ^1.2, >=1.0 or *";
}

impl AfterAt for Version {
    const WORDS: &'static str = "after @ stands a version such as 1.2.0";
}

impl<T: AfterAt> FromStr for At<T> {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (package, at) = match text.split_once('@') {
            None => (text, None),
            Some((package, at)) => (package, Some(at)),
        };
        let package = package.parse().map_err(|error: bursar_proto::name::NameError| error.to_string())?;
        Ok(Self { package, at: at.map(str::parse).transpose().map_err(|_| T::WORDS)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_may_have_a_requirement() {
        for (text, package, requirement) in [
            ("acme/site", "acme/site", None),
            ("site@1.2", "site", Some("^1.2")),
            ("acme/site@>=1, <3", "acme/site", Some(">=1, <3")),
            ("acme/site@*", "acme/site", Some("*")),
        ] {
            let wish: Wish = text.parse().unwrap();
            assert_eq!(wish.package.to_string(), package);
            assert_eq!(wish.at.map(|one| one.to_string()).as_deref(), requirement);
        }
        for text in ["", "@1", "a/b/c", "a@", "a@one", "a@1@2"] {
            assert!(text.parse::<Wish>().is_err(), "{text}");
        }
    }
}
