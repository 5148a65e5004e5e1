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
//! | `deleted` | files in which the value of a deleted secret lies |
//! | `git` | whether git would track a file |
//! | `tree` | what lies below the root; no symlink is followed |

mod deleted;
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
use crate::signals::Interrupt;
use crate::stop::Stop;
use crate::surroundings::Surroundings;
use bursar_proto::call::WorkspaceShow;
use bursar_proto::client::Client;
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::library::Digest;
use bursar_proto::name::{OrganizationName, Reference};
use bursar_proto::reply;
use drafts::{Drafts, NewFile};
use lock::{LOCK, Lock};
use manifest::{MANIFEST, Manifest, complete};
use rustix::process::geteuid;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
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
    /// The text of `bursar.lock`, once it was read.
    lock: OnceCell<Option<String>>,
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
        tree.hold(&root, || {
            session.printer.note("waiting for another bursar that writes in this workspace …");
        })?;
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
        Self::of(root, tree, &text)
    }

    fn of(root: &Path, tree: Tree, text: &str) -> Result<Self, Stop> {
        let (manifest, digest) = (Manifest::read(text)?, sha256(text.as_bytes()));
        Ok(Self {
            root: root.to_owned(),
            manifest,
            digest,
            text: text.to_owned(),
            lock: OnceCell::new(),
            tree,
        })
    }

    /// Makes a workspace of the directory `root`, a path without symlinks; it is what was written, not what is read back.
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
        Self::of(root, tree, text)
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
        let read = if let Some(read) = self.lock.get() {
            read
        } else {
            let text = self.tree.text(LOCK, MANIFEST_MAX)?;
            self.lock.get_or_init(|| text.map(|text| text.to_string()))
        };
        read.as_deref().map_or_else(|| Ok(Lock::new()), lock::read)
    }

    /// Makes sure that `bursar.toml` and `bursar.lock` are still what was read of them.
    ///
    /// # Errors
    /// Somebody wrote to one meanwhile.
    fn still_holds(&self) -> Result<(), Stop> {
        let manifest = Some(Some(self.text.as_str()));
        for (name, read) in [(MANIFEST, manifest), (LOCK, self.lock.get().map(Option::as_deref))] {
            let Some(read) = read else { continue };
            if self.tree.text(name, MANIFEST_MAX)?.as_deref().map(String::as_str) != read {
                return Err(changed(name));
            }
        }
        Ok(())
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
        self.check_trust(&known).map(|()| known)
    }

    /// Lets through what a person has trusted; the agent says what that is.
    ///
    /// # Errors
    /// See [`require_trust`](Self::require_trust).
    fn check_trust(&self, known: &reply::Workspace) -> Result<(), Stop> {
        if known.trusted.as_ref() == Some(&self.digest) {
            return Ok(());
        }
        let file = self.root.join(MANIFEST);
        let reason =
            if known.trusted.is_some() { "has changed since it was trusted" } else { "is not trusted" };
        let message = format!("{} {reason}: no value is handed out for it", file.display());
        Err(Stop::from(CallError::new(ErrorName::Untrusted, message))
            .hint(format!("look at {MANIFEST}, then: bursar workspace trust")))
    }
}

/// The refusal where a file is not what it was a moment ago.
fn changed(path: &str) -> Stop {
    let message = format!("{path} was changed by somebody else just now");
    Stop::from(CallError::new(ErrorName::Conflict, message)).hint("look at it, then try again")
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
    Ok(nearest(&here()?, own_config(surroundings).as_deref(), geteuid().as_raw()))
}

/// The directory of the agent's own config, without symlinks: the `bursar.toml` there makes no workspace of it.
pub(crate) fn own_config(surroundings: &Surroundings) -> Option<PathBuf> {
    surroundings.config_dir()?.canonicalize().ok()
}

/// The nearest directory with a `bursar.toml`, `here` or above, but for `config`; above, one that belongs to neither
/// `user` nor root is passed over: anybody may put one into a directory that all share.
fn nearest(here: &Path, config: Option<&Path>, user: u32) -> Option<PathBuf> {
    let is_root = |above: &&Path| {
        // a link that leads nowhere is there too, and is named as one
        let manifest = above.join(MANIFEST).symlink_metadata();
        let counts = |manifest: Metadata| *above == here || [user, 0].contains(&manifest.uid());
        Some(*above) != config && manifest.is_ok_and(counts)
    };
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
mod tests;
