//! A workspace: the directory with a `bursar.toml`, and what the agent knows of it.
//!
//! | module | holds |
//! |---|---|
//! | `manifest` | what `bursar.toml` says |
//! | `document` | TOML, with the places of its faults |
//! | `tree` | what lies below the root; no symlink is followed |

mod document;
pub(crate) mod manifest;
pub(crate) mod tree;

use crate::stop::Stop;
use bursar_proto::call::WorkspaceShow;
use bursar_proto::client::Client;
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::library::Digest;
use bursar_proto::reply;
use manifest::{MANIFEST, Manifest};
use std::path::{Path, PathBuf};
use tree::{Tree, sha256};

/// The longest `bursar.toml`, in bytes: a thousand elements with three long names each fit.
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
    pub(crate) fn find() -> Result<Option<Self>, Stop> {
        let here = Path::new(".");
        let here = here.canonicalize().map_err(|error| Stop::unreadable(here, &error))?;
        // a link that leads nowhere is there too, and is named as one
        let root = here.ancestors().find(|above| above.join(MANIFEST).symlink_metadata().is_ok());
        root.map(Self::at).transpose()
    }

    /// The same where there must be one.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub(crate) fn open() -> Result<Self, Stop> {
        Self::find()?.ok_or_else(|| {
            let message = format!("no workspace: there is no {MANIFEST} here or above");
            Stop::from(CallError::new(ErrorName::NotFound, message)).hint("make one: bursar workspace init")
        })
    }

    /// Reads the workspace at `root`, a path without symlinks.
    fn at(root: &Path) -> Result<Self, Stop> {
        let tree = Tree::open(root)?;
        let text = tree.text(MANIFEST, MANIFEST_MAX)?.ok_or_else(|| {
            let path = root.join(MANIFEST);
            Stop::unreadable(&path, &std::io::ErrorKind::NotFound.into())
        })?;
        let (manifest, digest) = (Manifest::read(&text)?, sha256(text.as_bytes())?);
        Ok(Self { root: root.to_owned(), manifest, digest, text: text.to_string(), tree })
    }

    /// Its path, as the agent is told it.
    ///
    /// # Errors
    /// The path is no UTF-8.
    pub(crate) fn path(&self) -> Result<String, Stop> {
        let path = self.root.to_str().map(str::to_owned);
        path.ok_or_else(|| Stop::usage("the path of a workspace must be utf-8"))
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
