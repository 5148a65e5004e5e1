//! workspace.*: which directories hold artifacts, and which `bursar.toml` a person trusts.

use super::package::usable;
use super::request::{Request, user_of};
use super::{Agent, environment_id, new_id, secret_id};
use crate::vault::Change;
use crate::vault::catalog::{Catalog, Workspace, WorkspaceFile};
use crate::vault::part::{cut, drop_parts};
use crate::vault::store::Id;
use bursar_proto::call::{WorkspaceForget, WorkspaceRecord, WorkspaceTrust};
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::fields::Invalid;
use bursar_proto::library::{DIGESTS_MAX, Digest, WORKSPACE_PATH_MAX, WORKSPACES_MAX, WorkspaceFile as Sent};
use bursar_proto::name::Qualified;
use bursar_proto::reply;

/// How many workspaces are kept of a user who is no owner: each takes memory, and a service has a few.
const OTHERS_WORKSPACES_MAX: usize = 100;

impl Agent {
    pub(super) fn workspace_show(
        &self,
        path: &str,
        request: &Request,
    ) -> Result<reply::Workspace, CallError> {
        check_path(path)?;
        let mut vault = self.vault();
        let catalog = &vault.unlocked()?.catalog;
        let known = catalog.workspace_id(request.user(), path).and_then(|id| catalog.workspaces.get(&id));
        let shown =
            known.map_or_else(|| view(catalog, &new(None, path)), |workspace| view(catalog, workspace));
        Ok(seen(shown, request))
    }

    pub(super) fn workspace_list(&self) -> Result<Vec<reply::WorkspaceListed>, CallError> {
        let mut vault = self.vault();
        let catalog = &vault.unlocked()?.catalog;
        let listed = |workspace: &Workspace| reply::WorkspaceListed {
            workspace: workspace.path.to_string(),
            uid: workspace.uid.unwrap_or_else(|| rustix::process::geteuid().as_raw()),
            trusted: workspace.trusted.map(Digest::from),
            environment: environment(catalog, workspace),
            synced_at: workspace.synced_at,
            files: workspace.files.len() as u64,
        };
        Ok(catalog.workspaces_by_path().map(|(_, workspace)| listed(workspace)).collect())
    }

    pub(super) async fn workspace_trust(
        &self,
        call: WorkspaceTrust,
        request: &Request,
    ) -> Result<reply::Workspace, CallError> {
        check_path(&call.workspace)?;
        let digest = call.digest.bytes();
        self.change_workspace(&call.workspace, request, |_, workspace| {
            workspace.trusted = Some(digest);
            Ok(())
        })
        .await
    }

    pub(super) async fn workspace_record(
        &self,
        call: WorkspaceRecord,
        request: &Request,
    ) -> Result<reply::Workspace, CallError> {
        check_path(&call.workspace)?;
        let environment = self.resolve(call.environment);
        // who comes with client secrets is not asked for trust, and has none to give
        let trusted = call.trusted.filter(|_| request.party.session.is_none()).map(|digest| digest.bytes());
        let synced_at = call.synced.unwrap_or(false).then(|| self.clock.now());
        let files = {
            let mut vault = self.vault();
            let unlocked = vault.unlocked()?;
            let noted = |file: Sent| {
                let usable = (!request.is_owners()).then(|| {
                    file.version.as_ref().map(|version| usable(&unlocked.catalog, &file.package, version))
                });
                // who is no owner learns nothing of a name that no package hands out
                let secret = |name: &Qualified| match (&usable, secret_id(unlocked, name)) {
                    (None, found) => found.map(Some),
                    (Some(usable), found) => {
                        let usable = usable.as_deref().unwrap_or_default();
                        Ok(found.ok().filter(|id| usable.contains(id)))
                    }
                };
                noted(file, secret)
            };
            call.files.into_iter().map(noted).collect::<Result<Vec<_>, _>>()?
        };
        let files = by_path(files)?;
        self.change_workspace(&call.workspace, request, |catalog, workspace| {
            workspace.environment = Some(environment_id(catalog, &environment)?);
            let mut files = files;
            for file in &mut files {
                file.secrets.extend(still_held(catalog, workspace, file, synced_at.is_some(), request));
            }
            // what the caller is not told of, it does not make the agent forget
            let unseen = workspace.files.iter().filter(|old| !request.sees(&old.package.organization));
            let unseen = unseen.filter(|old| files.iter().all(|file| file.path != old.path));
            let unseen: Vec<_> = unseen.cloned().collect();
            files.extend(unseen);
            files.sort_by(|a, b| a.path.cmp(&b.path));
            workspace.synced_at = synced_at.or(workspace.synced_at);
            workspace.files = files;
            // trust is a person's: an edit of our own only carries on what was said before
            workspace.trusted = workspace.trusted.map(|before| trusted.unwrap_or(before));
            Ok(())
        })
        .await
    }

    pub(super) async fn workspace_forget(
        &self,
        call: WorkspaceForget,
        request: &Request,
    ) -> Result<reply::Empty, CallError> {
        let path = &call.workspace;
        check_path(path)?;
        let user = match call.uid {
            None => request.user(),
            Some(uid) => user_of(u32::try_from(uid).map_err(|_| Invalid::field("uid", "no user has it"))?),
        };
        self.write(request, |catalog| {
            let id = catalog.workspace_id(user, path).ok_or_else(|| {
                CallError::new(ErrorName::NotFound, format!("no workspace {path} is known"))
                    .hint("see which are: bursar workspace list")
            })?;
            let parts = catalog.remove_workspace(&id).map(|workspace| workspace.parts).unwrap_or_default();
            let mut changes: Vec<_> = drop_parts(id, &parts).collect();
            changes.push(Change::Workspace(id));
            changes.extend(catalog.bury(|_| false).into_iter().map(Change::Tombstone));
            Ok((changes, reply::Empty {}))
        })
        .await
    }

    /// Changes what is known of a workspace, and writes its list of files anew.
    async fn change_workspace(
        &self,
        path: &str,
        request: &Request,
        change: impl FnOnce(&Catalog, &mut Workspace) -> Result<(), CallError>,
    ) -> Result<reply::Workspace, CallError> {
        let (fresh, user) = (new_id()?, request.user());
        let most = if request.is_owners() { WORKSPACES_MAX } else { OTHERS_WORKSPACES_MAX };
        self.write(request, |catalog| {
            let id = catalog.workspace_id(user, path).unwrap_or(fresh);
            if !catalog.workspaces.contains_key(&id) && catalog.workspaces_of(user) >= most {
                let message = format!("the agent knows {most} workspaces of this user already");
                return Err(CallError::new(ErrorName::Conflict, message)
                    .hint("forget those that are gone: bursar workspace forget PATH"));
            }
            let known = catalog.workspaces.get(&id);
            let mut workspace = known.cloned().unwrap_or_else(|| new(user, path));
            change(catalog, &mut workspace)?;
            let mut changes: Vec<_> = drop_parts(id, &workspace.parts).collect();
            let (parts, written) = cut(id, &workspace.files_record()).map_err(CallError::from)?;
            workspace.parts = parts;
            changes.extend(written);
            changes.push(Change::Workspace(id));
            let shown = seen(view(catalog, &workspace), request);
            catalog.insert_workspace(id, workspace);
            changes.extend(catalog.bury(|_| false).into_iter().map(Change::Tombstone));
            Ok((changes, shown))
        })
        .await
    }
}

/// A path by which a workspace is known: absolute and plain, so that one directory has one name.
fn check_path(path: &str) -> Result<(), Invalid> {
    let plain = path.starts_with('/')
        && path.len() <= WORKSPACE_PATH_MAX
        && !path.chars().any(char::is_control)
        && (path == "/" || !path[1..].split('/').any(|part| matches!(part, "" | "." | "..")));
    let reason = format!("expected an absolute path without . and .., of at most {WORKSPACE_PATH_MAX} bytes");
    if plain { Ok(()) } else { Err(Invalid::field("workspace", reason)) }
}

/// A workspace of which nothing is known.
fn new(uid: Option<u32>, path: &str) -> Workspace {
    Workspace {
        uid,
        path: path.into(),
        trusted: None,
        environment: None,
        synced_at: None,
        files: Vec::new(),
        parts: Vec::new(),
    }
}

fn noted(
    file: Sent,
    secret: impl Fn(&Qualified) -> Result<Option<Id>, CallError>,
) -> Result<WorkspaceFile, CallError> {
    if !(1..=DIGESTS_MAX).contains(&file.digests.len()) {
        let reason = format!("{}: expected 1 to {DIGESTS_MAX} digests", file.path);
        return Err(Invalid::field("files", reason).into());
    }
    Ok(WorkspaceFile {
        path: file.path,
        package: file.package,
        version: file.version,
        digests: file.digests.iter().map(Digest::bytes).collect(),
        secrets: file.secrets.iter().filter_map(|name| secret(name).transpose()).collect::<Result<_, _>>()?,
    })
}

/// The deleted secrets whose values lie in a file that has not changed since: a name stands for them no more. Before a file is
/// written it is told with what it is and what it will be, and at the end of a sync with what it is alone: what was dropped
/// then was written over.
///
/// Of who is no owner more stays: the secrets of a file that is as it was, and those of a file that this caller is not told of.
fn still_held(
    catalog: &Catalog,
    known: &Workspace,
    file: &WorkspaceFile,
    at_end: bool,
    request: &Request,
) -> Vec<Id> {
    let Some(old) = known.files.iter().find(|old| old.path == file.path) else { return Vec::new() };
    let mut kept = old.digests.iter().map(|digest| file.digests.contains(digest));
    let is_same = if at_end { kept.all(|kept| kept) } else { kept.any(|kept| kept) };
    let is_unseen = !request.sees(&old.package.organization);
    let stays = |id: &&Id| match (is_unseen, is_same) {
        (true, _) => true,
        (false, true) => !request.is_owners() || catalog.tombstones.contains_key(*id),
        (false, false) => false,
    };
    let fresh = old.secrets.iter().filter(stays).filter(|id| !file.secrets.contains(id));
    fresh.copied().collect()
}

/// What a caller is told of a workspace: of other organizations nothing, and a record of its own leaves that as it is.
fn seen(mut shown: reply::Workspace, request: &Request) -> reply::Workspace {
    shown.files.retain(|file| request.sees(&file.package.organization));
    shown.environment = shown.environment.filter(|name| request.sees(&name.organization));
    shown.deleted.retain(|path| shown.files.iter().any(|file| file.path == *path));
    for file in &mut shown.files {
        file.secrets.retain(|secret| request.sees(&secret.organization));
    }
    shown
}

/// Files in the order of their paths, each once.
fn by_path(mut files: Vec<WorkspaceFile>) -> Result<Vec<WorkspaceFile>, Invalid> {
    files.sort_by(|a, b| a.path.cmp(&b.path));
    match files.windows(2).find(|pair| pair[0].path == pair[1].path) {
        Some(pair) => Err(Invalid::field("files", format!("{} is there twice", pair[0].path))),
        None => Ok(files),
    }
}

fn view(catalog: &Catalog, workspace: &Workspace) -> reply::Workspace {
    let files = workspace.files.iter().map(|file| Sent {
        path: file.path.clone(),
        package: file.package.clone(),
        version: file.version.clone(),
        digests: file.digests.iter().copied().map(Digest::from).collect(),
        secrets: file.secrets.iter().filter_map(|id| Some(catalog.secrets.get(id)?.full_name())).collect(),
    });
    let deleted = workspace.files.iter().filter(|file| {
        file.secrets.iter().any(|id| !catalog.secrets.contains_key(id) && catalog.tombstones.contains_key(id))
    });
    reply::Workspace {
        deleted: deleted.map(|file| file.path.clone()).collect(),
        workspace: workspace.path.to_string(),
        trusted: workspace.trusted.map(Digest::from),
        environment: environment(catalog, workspace),
        synced_at: workspace.synced_at,
        files: files.collect(),
    }
}

fn environment(catalog: &Catalog, workspace: &Workspace) -> Option<Qualified> {
    Some(catalog.environments.get(&workspace.environment?)?.name.clone())
}

/// The workspaces in whose files the artifact of a secret is.
pub(super) fn applied(catalog: &Catalog, secret: &Id) -> Vec<reply::AppliedWorkspace> {
    let of = |workspace: &Workspace| {
        let files = workspace.files.iter().filter(|file| file.secrets.contains(secret));
        let files: Vec<_> = files.map(|file| file.path.clone()).collect();
        (!files.is_empty()).then(|| reply::AppliedWorkspace {
            workspace: workspace.path.to_string(),
            files,
            synced_at: workspace.synced_at,
        })
    };
    catalog.workspaces_by_path().filter_map(|(_, workspace)| of(workspace)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workspace_has_one_plain_absolute_path() {
        for path in ["/", "/home/ann/site", "/a b"] {
            assert_eq!(check_path(path), Ok(()), "{path}");
        }
        for path in ["", "site", "/a/../b", "/a//b", "/a/", "/a/.", "/a\nb"] {
            assert!(check_path(path).is_err(), "{path}");
        }
        assert!(check_path(&format!("/{}", "x".repeat(WORKSPACE_PATH_MAX - 1))).is_ok());
        assert!(check_path(&format!("/{}", "x".repeat(WORKSPACE_PATH_MAX))).is_err());
    }
}
