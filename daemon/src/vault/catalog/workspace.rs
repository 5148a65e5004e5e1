//! Workspaces in the catalog: which directories hold artifacts, in which files, and which `bursar.toml` is trusted.

use super::Catalog;
use crate::vault::record::{PartV1, UnknownForm, WorkspaceFileV1, WorkspaceFilesV1, WorkspaceV2};
use crate::vault::store::Id;
use bursar_proto::library::FilePath;
use bursar_proto::name::Qualified;
use bursar_proto::semver::Version;
use bursar_proto::time::Timestamp;

/// A workspace.
#[derive(Clone)]
pub(crate) struct Workspace {
    /// The user whose it is; `None` for the daemon's own.
    pub(crate) uid: Option<u32>,
    /// Its absolute path.
    pub(crate) path: Box<str>,
    /// The SHA-256 of the `bursar.toml` that a person trusts.
    pub(crate) trusted: Option<[u8; 32]>,
    /// The environment that it was last built for, where that still exists.
    pub(crate) environment: Option<Id>,
    pub(crate) synced_at: Option<Timestamp>,
    pub(crate) files: Vec<WorkspaceFile>,
    /// Where the list of its files lies.
    pub(crate) parts: Vec<PartV1>,
}

/// A file that was written into a workspace.
#[derive(Clone)]
pub(crate) struct WorkspaceFile {
    pub(crate) path: FilePath,
    pub(crate) package: Qualified,
    pub(crate) version: Option<Version>,
    pub(crate) digests: Vec<[u8; 32]>,
    /// The secrets whose artifacts it holds; some may have been deleted since.
    pub(crate) secrets: Vec<Id>,
}

impl Catalog {
    /// A user's workspace by its path.
    pub(crate) fn workspace_id(&self, uid: Option<u32>, path: &str) -> Option<Id> {
        self.workspaces_by_path.get(&(uid, path.into())).copied()
    }

    /// How many workspaces of a user are known.
    pub(crate) fn workspaces_of(&self, uid: Option<u32>) -> usize {
        self.workspaces.values().filter(|workspace| workspace.uid == uid).count()
    }

    /// The workspaces, by user and path.
    pub(crate) fn workspaces_by_path(&self) -> impl Iterator<Item = (&Id, &Workspace)> {
        self.workspaces_by_path.values().filter_map(|id| self.workspaces.get_key_value(id))
    }

    /// Adds a workspace, or puts it in the place of the one with its id.
    pub(crate) fn insert_workspace(&mut self, id: Id, workspace: Workspace) {
        self.workspaces_by_path.insert((workspace.uid, workspace.path.clone()), id);
        self.workspaces.insert(id, workspace);
    }

    /// Takes a workspace out.
    pub(crate) fn remove_workspace(&mut self, id: &Id) -> Option<Workspace> {
        let workspace = self.workspaces.remove(id)?;
        self.workspaces_by_path.remove(&(workspace.uid, workspace.path.clone()));
        Some(workspace)
    }

    /// A workspace's record.
    pub(crate) fn workspace_record(&self, id: &Id) -> Option<WorkspaceV2> {
        let workspace = self.workspaces.get(id)?;
        Some(WorkspaceV2 {
            uid: workspace.uid,
            path: workspace.path.to_string(),
            trusted: workspace.trusted,
            environment: workspace.environment,
            synced_at: workspace.synced_at.map(Timestamp::seconds),
            parts: workspace.parts.clone(),
        })
    }

    /// Takes in a record of a workspace with the list of its files.
    pub(crate) fn load_workspace(
        &mut self,
        id: Id,
        record: WorkspaceV2,
        content: WorkspaceFilesV1,
    ) -> Result<(), UnknownForm> {
        let workspace = Workspace {
            uid: record.uid,
            path: record.path.into_boxed_str(),
            trusted: record.trusted,
            environment: record.environment,
            synced_at: record.synced_at.map(Timestamp::from_seconds),
            files: content.files.into_iter().map(file_of).collect::<Result<_, _>>()?,
            parts: record.parts,
        };
        self.insert_workspace(id, workspace);
        Ok(())
    }
}

impl Workspace {
    /// Its list of files as it is stored.
    pub(crate) fn files_record(&self) -> WorkspaceFilesV1 {
        let files = self.files.iter().map(|file| WorkspaceFileV1 {
            path: file.path.to_string(),
            package: file.package.to_string(),
            version: file.version.as_ref().map(ToString::to_string),
            digests: file.digests.clone(),
            secrets: file.secrets.clone(),
        });
        WorkspaceFilesV1 { files: files.collect() }
    }
}

fn file_of(record: WorkspaceFileV1) -> Result<WorkspaceFile, UnknownForm> {
    Ok(WorkspaceFile {
        path: record.path.parse().map_err(|_| UnknownForm::Unreadable)?,
        package: record.package.parse().map_err(|_| UnknownForm::Unreadable)?,
        version: match record.version {
            None => None,
            Some(version) => Some(Version::parse(&version).map_err(|_| UnknownForm::Unreadable)?),
        },
        digests: record.digests,
        secrets: record.secrets,
    })
}
