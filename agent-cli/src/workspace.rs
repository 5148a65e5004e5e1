//! A workspace: the directory with a `bursar.toml`, and what the agent knows of it.
//!
//! | module | holds |
//! |---|---|
//! | `manifest` | what `bursar.toml` says |
//! | `edit` | our own edits of it |
//! | `lock` | `bursar.lock`: the pinned versions |
//! | `document` | TOML, with the places of its faults |
//! | `library` | what a workspace publishes and builds |
//! | `operations` | `sync`, `add`, `status`, `build`, in order |
//! | `versions` | which version of a package a workspace gets |
//! | `packages` | from names of packages to rendered files |
//! | `wanted` | files as they should be |
//! | `plan` | what has to happen so that they are; pure |
//! | `update` | makes it happen |
//! | `drafts` | writes, all or nothing |
//! | `git` | whether git would track a file |
//! | `tree` | what lies below the root; no symlink is followed |

pub(crate) mod document;
mod drafts;
mod edit;
mod git;
pub(crate) mod library;
pub(crate) mod lock;
pub(crate) mod manifest;
pub(crate) mod operations;
mod packages;
pub(crate) mod plan;
pub(crate) mod tree;
pub(crate) mod update;
mod versions;
mod wanted;

use crate::session::Session;
use crate::stop::Stop;
use crate::surroundings::Surroundings;
use bursar_proto::call::WorkspaceShow;
use bursar_proto::client::Client;
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::library::Digest;
use bursar_proto::name::{OrganizationName, Reference};
use bursar_proto::reply;
use drafts::{Drafts, Interrupt, NewFile};
use lock::{LOCK, Lock};
use manifest::{MANIFEST, Manifest, complete};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tree::{Tree, sha256};

/// The longest `bursar.toml` and `bursar.lock`, in bytes: a thousand elements with three long names each fit.
pub(crate) const MANIFEST_MAX: usize = 256 * 1024;

/// A workspace, read.
pub(crate) struct Workspace {
    /// Its directory, without symlinks.
    pub(crate) root: PathBuf,
    /// What its `bursar.toml` says.
    pub(crate) manifest: Manifest,
    /// The SHA-256 of `bursar.toml`.
    pub(crate) digest: Digest,
    /// Its text, for edits.
    text: String,
    tree: Tree,
}

impl Workspace {
    /// Reads the workspace whose `bursar.toml` is here or in the nearest directory above.
    ///
    /// # Errors
    /// There is one, and it cannot be read.
    pub(crate) fn find(surroundings: &Surroundings) -> Result<Option<Self>, Stop> {
        root(surroundings)?.map(|root| Self::at(&root)).transpose()
    }

    /// The same where there must be one.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub(crate) fn open(surroundings: &Surroundings) -> Result<Self, Stop> {
        Self::at(&required(root(surroundings)?)?)
    }

    /// The same, and nobody else writes there as long as this lives.
    pub(crate) fn hold(session: &Session) -> Result<Self, Stop> {
        let root = required(root(&session.surroundings)?)?;
        let tree = Tree::open(&root)?;
        tree.hold(|| session.printer.note("waiting for another bursar that writes in this workspace …"))?;
        Self::read(&root, tree)
    }

    /// Reads the workspace at `root`, a path without symlinks.
    fn at(root: &Path) -> Result<Self, Stop> {
        Self::read(root, Tree::open(root)?)
    }

    fn read(root: &Path, tree: Tree) -> Result<Self, Stop> {
        let text = tree.text(MANIFEST, MANIFEST_MAX)?.ok_or_else(|| {
            let path = root.join(MANIFEST);
            Stop::unreadable(&path, &std::io::ErrorKind::NotFound.into())
        })?;
        let (manifest, digest) = (Manifest::read(&text)?, sha256(text.as_bytes()));
        Ok(Self { root: root.to_owned(), manifest, digest, text: text.to_string(), tree })
    }

    /// Makes a workspace of the directory `root`, a path without symlinks.
    ///
    /// # Errors
    /// It is one already, or the system refuses.
    pub(crate) fn create(root: &Path, text: &str) -> Result<Self, Stop> {
        let tree = Tree::open(root)?;
        if tree.text(MANIFEST, MANIFEST_MAX)?.is_some() {
            let message = format!("{} is there already", root.join(MANIFEST).display());
            return Err(CallError::new(ErrorName::Conflict, message)
                .hint("trust it: bursar workspace trust")
                .into());
        }
        let file = NewFile { path: MANIFEST, content: text.as_bytes(), mode: None };
        Drafts::write(&tree, [file], &Interrupt::default())?.commit([])?;
        Self::read(root, tree)
    }

    /// Its path, as the agent is told it.
    ///
    /// # Errors
    /// The path is no UTF-8.
    pub(crate) fn path(&self) -> Result<String, Stop> {
        path_text(&self.root)
    }

    /// What `bursar.lock` pins; nothing where there is none.
    ///
    /// # Errors
    /// It is broken.
    pub(crate) fn lock(&self) -> Result<Lock, Stop> {
        self.tree.text(LOCK, MANIFEST_MAX)?.map_or_else(|| Ok(Lock::new()), |text| lock::read(&text))
    }

    /// The environment to build for: the one that was said, or the workspace's.
    ///
    /// # Errors
    /// There is neither.
    pub(crate) fn environment(&self, said: Option<Reference>) -> Result<Reference, Stop> {
        let said = said.map(|environment| complete(environment, self.manifest.organization.as_ref()));
        said.or_else(|| self.manifest.environment.clone()).ok_or_else(no_environment)
    }

    /// What `[environments]` says for other organizations. It goes with the workspace's own environment: another one may
    /// be of another stage, and stages do not mix.
    pub(crate) fn others(&self, environment: &Reference) -> &BTreeMap<OrganizationName, Reference> {
        static NONE: BTreeMap<OrganizationName, Reference> = BTreeMap::new();
        let is_another = self.manifest.environment.as_ref().is_some_and(|own| own != environment);
        if is_another { &NONE } else { &self.manifest.environments }
    }

    /// What the agent knows of it.
    pub(crate) fn known(&self, client: &mut Client) -> Result<reply::Workspace, Stop> {
        Ok(client.call(&WorkspaceShow { workspace: self.path()? })?)
    }

    /// The same, once a person has trusted `bursar.toml` as it is.
    ///
    /// # Errors
    /// [`ErrorName::Untrusted`] where nobody has, and where it changed since.
    pub(crate) fn require_trust(&self, client: &mut Client) -> Result<reply::Workspace, Stop> {
        let known = self.known(client)?;
        if known.trusted.as_ref() == Some(&self.digest) {
            return Ok(known);
        }
        let file = self.root.join(MANIFEST);
        let reason =
            if known.trusted.is_some() { "has changed since it was trusted" } else { "is not trusted" };
        let message = format!("{} {reason}: no value is handed out for it", file.display());
        Err(Stop::from(CallError::new(ErrorName::Untrusted, message))
            .hint(format!("look at {MANIFEST}, then: bursar workspace trust")))
    }
}

/// The refusal where no environment is said.
pub(crate) fn no_environment() -> Stop {
    Stop::usage(format!("no environment: neither -e nor a {MANIFEST} says one"))
        .hint(format!("name one, -e NAME, or set it in {MANIFEST}; see them: bursar environment list"))
}

/// The environment in which the names of an organization are looked up: `home` in its own, in others the one that is said
/// for them. `None` stands for the only one of the same stage.
pub(crate) fn environment_in(
    organization: &OrganizationName,
    home: &Reference,
    others: &BTreeMap<OrganizationName, Reference>,
) -> Option<Reference> {
    if home.organization.as_ref() == Some(organization) {
        return Some(home.clone());
    }
    others.get(organization).cloned()
}

/// The directory with the nearest `bursar.toml`, here or above; nothing is read.
pub(crate) fn root(surroundings: &Surroundings) -> Result<Option<PathBuf>, Stop> {
    Ok(nearest(&here()?, own_config(surroundings).as_deref()))
}

/// The directory of the agent's own config, without symlinks: the `bursar.toml` there makes no workspace of it.
pub(crate) fn own_config(surroundings: &Surroundings) -> Option<PathBuf> {
    surroundings.config_dir()?.canonicalize().ok()
}

/// The nearest directory with a `bursar.toml`, `here` or above, but for `config`.
fn nearest(here: &Path, config: Option<&Path>) -> Option<PathBuf> {
    // a link that leads nowhere is there too, and is named as one
    let is_root = |above: &&Path| Some(*above) != config && above.join(MANIFEST).symlink_metadata().is_ok();
    here.ancestors().find(is_root).map(Path::to_owned)
}

/// The same where there must be one.
///
/// # Errors
/// There is none.
pub(crate) fn required(root: Option<PathBuf>) -> Result<PathBuf, Stop> {
    root.ok_or_else(|| {
        let message = format!("no workspace: there is no {MANIFEST} here or above");
        Stop::from(CallError::new(ErrorName::NotFound, message)).hint("make one: bursar workspace init")
    })
}

/// The working directory, without symlinks.
pub(crate) fn here() -> Result<PathBuf, Stop> {
    let here = Path::new(".");
    here.canonicalize().map_err(|error| Stop::unreadable(here, &error))
}

/// A path as the agent is told it.
///
/// # Errors
/// The path is no UTF-8.
pub(crate) fn path_text(path: &Path) -> Result<String, Stop> {
    path.to_str().map(str::to_owned).ok_or_else(|| Stop::usage("the path of a workspace must be utf-8"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn home() -> (tempfile::TempDir, PathBuf) {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().canonicalize().unwrap();
        (home, root)
    }

    fn refused(result: Result<Workspace, Stop>) -> (u8, String) {
        match result {
            Err(Stop::Failed(error)) => (error.name.exit_code(), error.message),
            _ => panic!("was not refused"),
        }
    }

    #[test]
    fn a_workspace_is_made_once() {
        let (_home, root) = home();
        let made = Workspace::create(&root, "organization = 'acme'\n").unwrap();
        assert_eq!(made.digest, sha256(b"organization = 'acme'\n"));
        let (code, said) = refused(Workspace::create(&root, ""));
        assert!(code == 10 && said.ends_with("bursar.toml is there already"), "{said}");
        assert_eq!(Workspace::at(&root).unwrap().digest, made.digest);
    }

    #[test]
    fn what_is_no_manifest_is_refused_by_size_text_and_kind() {
        let (_home, root) = home();
        let with = |bytes: &[u8]| {
            fs::write(root.join(MANIFEST), bytes).unwrap();
            Workspace::at(&root)
        };
        assert!(with(&vec![b'\n'; MANIFEST_MAX]).is_ok());
        assert_eq!(refused(with(&vec![b'\n'; MANIFEST_MAX + 1])), (2, "bursar.toml: over 256 KiB".into()));
        assert_eq!(refused(with(b"\x7fELF\0\0")).0, 2);
        assert_eq!(refused(with(b"a = '\xff'")), (2, "bursar.toml, line 1: no utf-8 text".into()));
        fs::remove_file(root.join(MANIFEST)).unwrap();
        fs::create_dir(root.join(MANIFEST)).unwrap();
        assert_eq!(refused(Workspace::at(&root)), (2, "bursar.toml is no plain file".into()));
    }

    #[test]
    fn an_environment_is_said_or_set() {
        let (_home, root) = home();
        let workspace = Workspace::create(&root, "organization = 'acme'\n").unwrap();
        let said = |text: &str| workspace.environment(Some(text.parse().unwrap())).unwrap().to_string();
        assert_eq!((said("staging"), said("beta/x")), ("acme/staging".to_owned(), "beta/x".to_owned()));
        assert!(workspace.environment(None).is_err());
        fs::write(root.join(MANIFEST), "environment = 'a/stg'\n[environments]\nbeta = 's'").unwrap();
        let workspace = Workspace::at(&root).unwrap();
        let others = |said: &str| workspace.others(&said.parse().unwrap()).len();
        assert_eq!((others("a/stg"), others("a/prod")), (1, 0));
        fs::write(root.join(MANIFEST), "environment = 'x'").unwrap();
        assert_eq!(Workspace::at(&root).unwrap().environment(None).unwrap().to_string(), "x");
    }

    #[test]
    fn the_config_of_the_agent_makes_no_workspace() {
        let (_home, root) = home();
        let (config, below) = (root.join("outer/config"), root.join("outer/config/below/deep"));
        fs::create_dir_all(&below).unwrap();
        fs::write(config.join(MANIFEST), "").unwrap();
        assert_eq!(nearest(&below, None), Some(config.clone()));
        assert_eq!(nearest(&below, Some(&config)), None);
        fs::write(root.join("outer").join(MANIFEST), "").unwrap();
        assert_eq!(nearest(&config, Some(&config)), Some(root.join("outer")));
        fs::write(below.join(MANIFEST), "").unwrap();
        assert_eq!(nearest(&below, Some(&config)), Some(below));

        std::os::unix::fs::symlink(&config, root.join("link")).unwrap();
        let surroundings = Surroundings { home: Some(root.join("link").into()), ..Surroundings::default() };
        assert_eq!(own_config(&surroundings), Some(config));
        assert_eq!(own_config(&Surroundings::default()), None);
    }

    #[test]
    fn an_organization_has_its_own_environment_or_the_one_that_is_said_for_it() {
        let others = BTreeMap::from([("beta".parse().unwrap(), "beta/stage-2".parse().unwrap())]);
        for (home, organization, environment) in [
            ("acme/staging", "acme", Some("acme/staging")),
            ("acme/staging", "beta", Some("beta/stage-2")),
            ("beta/one", "beta", Some("beta/one")),
            ("acme/staging", "gamma", None),
            ("staging", "acme", None),
        ] {
            let found = environment_in(&organization.parse().unwrap(), &home.parse().unwrap(), &others);
            assert_eq!(found.map(|one| one.to_string()).as_deref(), environment, "{home} {organization}");
        }
    }

    #[test]
    fn without_a_lock_nothing_is_pinned() {
        let (_home, root) = home();
        let workspace = Workspace::create(&root, "").unwrap();
        assert!(workspace.lock().unwrap().is_empty());
        fs::write(root.join(LOCK), "x").unwrap();
        assert!(workspace.lock().is_err());
    }
}
