//! Files in which the value of a deleted secret still lies. A sync lets none of them stay, also where nothing can be built:
//! what lies there as it was written is removed, and what a person edited since is left and named.

use super::Workspace;
use super::drafts::Drafts;
use super::plan::{Plan, State};
use crate::session::Session;
use crate::signals::Interrupt;
use crate::stop::Stop;
use bursar_proto::call::WorkspaceRecord;
use bursar_proto::client::Client;
use bursar_proto::library::{FilePath, WorkspaceFile};
use bursar_proto::name::Reference;
use bursar_proto::reply;

/// What became of such files.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Cleaned {
    pub(super) removed: Vec<FilePath>,
    /// Those that stay: somebody edited them, or the system refuses.
    pub(super) left: Vec<FilePath>,
    /// Those that somebody removed before.
    pub(super) gone: Vec<FilePath>,
}

/// Those of the files that are there, and are not what they should be. One that is current has values of secrets that
/// there are.
pub(super) fn lying(workspace: &Workspace, known: &reply::Workspace, plan: &Plan) -> Vec<FilePath> {
    let is_current = |path: &FilePath| plan.states.get(path) == Some(&State::Current);
    let lies = |path: &&FilePath| !is_current(path) && workspace.tree.glimpsed(path).is_some();
    known.deleted.iter().filter(lies).cloned().collect()
}

/// Removes, after a sync that brought all else up to date, those that are none of what it wrote: `is_wanted` says which
/// these are.
///
/// # Errors
/// The agent cannot be told; the next sync tells it.
pub(super) fn after_sync(
    session: &Session,
    client: &mut Client,
    workspace: &Workspace,
    known: &reply::Workspace,
    is_wanted: impl Fn(&FilePath) -> bool,
) -> Result<Cleaned, Stop> {
    let wanting = known.deleted.iter().filter(|path| !is_wanted(path));
    let cleaned = clean(workspace, &known.files, wanting);
    for line in lines(&cleaned) {
        session.printer.note(&format!("note: {line}"));
    }
    if cleaned.is_news() {
        tell(client, workspace, &cleaned, None)?;
    }
    Ok(cleaned)
}

/// Removes them after a sync was stopped, says so, and answers why it was; `environment` is the one that it was for.
pub(super) fn after_stop(
    session: &Session,
    client: &mut Client,
    workspace: &Workspace,
    known: &reply::Workspace,
    environment: &Reference,
    stop: Stop,
) -> Stop {
    // who interrupts it wants nothing changed
    let Stop::Failed(mut error) = stop else { return stop };
    let cleaned = clean(workspace, &known.files, &known.deleted);
    let mut told = lines(&cleaned);
    if cleaned.is_news() && tell(client, workspace, &cleaned, Some(environment)).is_err() {
        told.push("the agent could not be told that they are gone; the next sync tells it".to_owned());
    }
    if session.printer.json() {
        error.message = told.iter().fold(error.message, |message, line| message + "; " + line);
    }
    for line in told {
        session.printer.note(&format!("note: {line}"));
    }
    Stop::Failed(error)
}

/// Removes those of `paths` that lie there as they were recorded.
fn clean<'p>(
    workspace: &Workspace,
    recorded: &[WorkspaceFile],
    paths: impl IntoIterator<Item = &'p FilePath>,
) -> Cleaned {
    let is_as_written = |path: &FilePath| {
        let found = workspace.tree.glimpsed(path).and_then(|found| found.digest);
        let ours = recorded.iter().filter(|file| file.path == *path).flat_map(|file| &file.digests);
        found.is_some_and(|found| ours.into_iter().any(|digest| *digest == found))
    };
    let lies = |path: &FilePath| workspace.tree.glimpsed(path).is_some();
    let (there, gone): (Vec<&FilePath>, Vec<&FilePath>) = paths.into_iter().partition(|path| lies(path));
    let ours = there.iter().filter(|path| is_as_written(path)).map(|path| path.as_str());
    // what could not be removed is found again
    let _ = Drafts::write(&workspace.tree, [], &Interrupt::default()).and_then(|none| none.commit(ours));
    let (left, removed) = there.into_iter().cloned().partition(lies);
    Cleaned { removed, left, gone: gone.into_iter().cloned().collect() }
}

impl Cleaned {
    /// Whether the agent has to hear of it.
    fn is_news(&self) -> bool {
        !self.removed.is_empty() || !self.gone.is_empty()
    }
}

/// Tells the agent what is there no more.
fn tell(
    client: &mut Client,
    workspace: &Workspace,
    cleaned: &Cleaned,
    environment: Option<&Reference>,
) -> Result<(), Stop> {
    // an update that was under way has told it of other files meanwhile
    let known = workspace.known(client)?;
    let environment = known.environment.map(Reference::from).or_else(|| environment.cloned());
    // where it knows of no environment, it knows of no file
    let Some(environment) = environment else { return Ok(()) };
    let is_there = |path: &FilePath| !cleaned.removed.contains(path) && !cleaned.gone.contains(path);
    let files = known.files.into_iter().filter(|file| is_there(&file.path)).collect();
    client.call(&WorkspaceRecord {
        workspace: workspace.path()?,
        environment,
        files,
        synced: None,
        trusted: None,
    })?;
    Ok(())
}

fn lines(cleaned: &Cleaned) -> Vec<String> {
    let removed =
        cleaned.removed.iter().map(|path| format!("removed {path}: the value of a deleted secret was in it"));
    let left = cleaned.left.iter().map(|path| {
        format!("{path} stays as it is, and the value of a deleted secret may be in it: take it out, or: rm {path}")
    });
    removed.chain(left).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::manifest::MANIFEST;
    use crate::workspace::tree::{Found, sha256};
    use std::collections::BTreeMap;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn workspace() -> (tempfile::TempDir, Workspace) {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().canonicalize().unwrap();
        fs::write(root.join(MANIFEST), "").unwrap();
        let workspace = Workspace::at(&root).unwrap();
        (home, workspace)
    }

    fn recorded(paths: &[&str]) -> Vec<WorkspaceFile> {
        let one = |path: &&str| WorkspaceFile {
            path: path.parse().unwrap(),
            package: "acme/site".parse().unwrap(),
            version: None,
            digests: vec![sha256(b"older"), sha256(b"written")],
            secrets: Vec::new(),
        };
        paths.iter().map(one).collect()
    }

    fn paths(all: &[&str]) -> Vec<FilePath> {
        all.iter().map(|path| path.parse().unwrap()).collect()
    }

    #[test]
    fn what_lies_there_as_it_was_written_goes_and_what_was_edited_stays() {
        let (home, workspace) = workspace();
        let at = |path: &str| home.path().join(path);
        fs::create_dir_all(at("deep/er")).unwrap();
        for (path, content) in [
            ("as-written", "written"),
            ("deep/er/as-written", "older"),
            ("edited", "mine"),
            ("other", "written"),
        ] {
            fs::write(at(path), content).unwrap();
        }
        symlink("as-written", at("link")).unwrap();
        let names = ["as-written", "deep/er/as-written", "edited", "gone", "link", "other"];
        let cleaned = clean(&workspace, &recorded(&names), &paths(&names[..5]));
        assert_eq!(cleaned.removed, paths(&["as-written", "deep/er/as-written"]));
        assert_eq!(cleaned.left, paths(&["edited", "link"]));
        assert!(!at("as-written").exists() && !at("deep").exists());
        assert!(at("edited").exists() && at("link").is_symlink() && at("other").exists());
        // and once more, where nothing is left to do
        let again = clean(&workspace, &recorded(&names), &paths(&names[..5]));
        assert_eq!((again.removed.len(), again.left), (0, paths(&["edited", "link"])));
    }

    #[test]
    fn a_file_that_was_never_recorded_is_nobodys_to_remove() {
        let (home, workspace) = workspace();
        fs::write(home.path().join("x"), "written").unwrap();
        assert_eq!(
            clean(&workspace, &[], &paths(&["x"])),
            Cleaned { left: paths(&["x"]), ..Cleaned::default() }
        );
    }

    #[test]
    fn each_file_is_told_with_what_to_do() {
        let told = lines(&Cleaned { removed: paths(&["a"]), left: paths(&["b"]), gone: paths(&["c"]) });
        assert_eq!(
            told,
            [
                "removed a: the value of a deleted secret was in it",
                "b stays as it is, and the value of a deleted secret may be in it: take it out, or: rm b"
            ]
        );
    }

    #[test]
    fn what_is_as_it_should_be_holds_no_deleted_value() {
        let (home, workspace) = workspace();
        for path in ["current", "stale", "unwanted"] {
            fs::write(home.path().join(path), "written").unwrap();
        }
        let mut known = reply::Workspace {
            workspace: "/w".to_owned(),
            trusted: None,
            environment: None,
            synced_at: None,
            files: Vec::new(),
            deleted: paths(&["current", "stale", "unwanted", "gone"]),
        };
        let target = |content: &str| crate::workspace::plan::Target {
            digest: Some(sha256(content.as_bytes())),
            mode: bursar_proto::library::FileMode::PRIVATE,
        };
        let wanted = ["current", "stale", "gone"].map(|path| (path.parse().unwrap(), target(path)));
        let found = |content: &str| Found { digest: Some(sha256(content.as_bytes())), mode: 0o600 };
        let there = ["current", "stale"].map(|path| (path.parse().unwrap(), found("current")));
        let plan = Plan::new(&BTreeMap::from(wanted), &BTreeMap::new(), &BTreeMap::from(there));
        assert_eq!(lying(&workspace, &known, &plan), paths(&["stale", "unwanted"]));
        known.deleted.clear();
        assert!(lying(&workspace, &known, &plan).is_empty());
    }
}
