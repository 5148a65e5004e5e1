//! Brings files to what they should be: compare, ask git, write, and tell the agent, in an order in which no file with
//! a value is ever unknown to it.

use super::drafts::{Drafts, NewFile, sweep};
use super::git::refuse_tracked;
use super::manifest::MANIFEST;
use super::plan::Plan;
use super::tree::{Found, sha256};
use super::wanted::{WantedFile, check_paths};
use super::{Workspace, changed};
use crate::args::package::Allowed;
use crate::session::Session;
use crate::signals::Interrupt;
use crate::stop::Stop;
use bursar_proto::call::WorkspaceRecord;
use bursar_proto::client::Client;
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::frame::{REQUEST_MAX, size_of};
use bursar_proto::library::{FilePath, WorkspaceFile};
use bursar_proto::name::Qualified;
use bursar_proto::reply;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long the agent may take to note what is written, while nobody can interrupt us.
const RECORD_LIMIT: Duration = Duration::from_secs(30);

/// What files should be, beside what they are.
pub(super) struct Comparison<'a> {
    wanted: &'a [WantedFile],
    /// What the agent knows of files that are not looked at.
    others: Vec<&'a WorkspaceFile>,
    /// Those of them that are there.
    standing: Vec<&'a WorkspaceFile>,
    /// What it knows of the others.
    recorded: BTreeMap<&'a FilePath, &'a WorkspaceFile>,
    found: BTreeMap<FilePath, Found>,
    pub(super) plan: Plan,
}

impl<'a> Comparison<'a> {
    /// Looks at the files that are wanted, and at those that `is_ours` says were written before for the same reason.
    ///
    /// # Errors
    /// Files clash, or something is in a place that cannot be read.
    pub(super) fn new(
        workspace: &Workspace,
        wanted: &'a [WantedFile],
        known: &'a reply::Workspace,
        is_ours: impl Fn(&WorkspaceFile) -> bool,
    ) -> Result<Self, Stop> {
        refuse_turned(workspace, wanted, known.files.iter().filter(|file| is_ours(file)))?;
        Self::of(wanted, known, is_ours, |path| workspace.tree.found(path))
    }

    /// The same for who only shows it: what cannot be read counts as edited.
    ///
    /// # Errors
    /// Files clash.
    pub(super) fn glimpse(
        workspace: &Workspace,
        wanted: &'a [WantedFile],
        known: &'a reply::Workspace,
        is_ours: impl Fn(&WorkspaceFile) -> bool,
    ) -> Result<Self, Stop> {
        Self::of(wanted, known, is_ours, |path| Ok(workspace.tree.glimpsed(path)))
    }

    fn of(
        wanted: &'a [WantedFile],
        known: &'a reply::Workspace,
        is_ours: impl Fn(&WorkspaceFile) -> bool,
        look: impl Fn(&FilePath) -> Result<Option<Found>, Stop>,
    ) -> Result<Self, Stop> {
        let (ours, others): (Vec<&WorkspaceFile>, Vec<_>) =
            known.files.iter().partition(|file| is_ours(file));
        // what others wrote is in the way as long as it is there
        let mut standing = Vec::with_capacity(others.len());
        for other in &others {
            if look(&other.path)?.is_some() {
                standing.push(*other);
            }
        }
        check_paths(wanted.iter().map(|file| (&file.path, &file.origin)), &standing)?;
        let recorded: BTreeMap<_, _> = ours.into_iter().map(|file| (&file.path, file)).collect();
        let mut found = BTreeMap::new();
        for path in wanted.iter().map(|file| &file.path).chain(recorded.keys().copied()) {
            if let Some(one) = look(path)? {
                found.insert(path.clone(), one);
            }
        }
        let targets = wanted.iter().map(|file| (file.path.clone(), file.target())).collect();
        let digests = recorded.iter().map(|(path, file)| ((*path).clone(), file.digests.clone())).collect();
        let plan = Plan::new(&targets, &digests, &found);
        // they stay known where they are gone, too, unless their place is taken
        let is_wanted = |path: &FilePath| wanted.iter().any(|file| file.path == *path);
        let others = others.into_iter().filter(|other| !is_wanted(&other.path)).collect();
        Ok(Self { wanted, others, standing, recorded, found, plan })
    }

    /// The files that have values in them or will have some: those that are wanted, and those that others wrote.
    pub(super) fn with_values(&self) -> impl Iterator<Item = &FilePath> {
        let wanted = self.wanted.iter().filter(|file| file.has_values).map(|file| &file.path);
        wanted.chain(self.standing.iter().filter(|file| !file.secrets.is_empty()).map(|file| &file.path))
    }

    /// The files that were looked at.
    fn paths(&self) -> impl Iterator<Item = &FilePath> {
        self.wanted.iter().map(|file| &file.path).chain(self.recorded.keys().copied())
    }

    /// Removes the drafts that a killed process left, where nobody else writes just now.
    pub(super) fn sweep(&self, workspace: &Workspace) {
        // the drafts of who writes are theirs; where nobody can be asked, none is touched
        if workspace.tree.try_hold().is_ok_and(|held| held) {
            sweep(&workspace.tree, self.paths().map(FilePath::as_str));
        }
    }

    /// Makes sure that nothing of anybody else is written over.
    ///
    /// # Errors
    /// Files would be written over that somebody else wrote; all are named.
    fn refuse_edited(&self) -> Result<(), Stop> {
        let reason = |path: &FilePath| {
            let what = if self.recorded.contains_key(path) {
                "was edited"
            } else {
                "is there already, and not by bursar"
            };
            format!("{path} {what}")
        };
        let reasons: Vec<String> = self.plan.edited().map(reason).collect();
        if reasons.is_empty() {
            return Ok(());
        }
        Err(Stop::from(CallError::new(ErrorName::Conflict, reasons.join("; ")))
            .hint("move it away, or write over it: --force"))
    }

    /// Makes sure that files are still the ones that were compared, and that our own are those that were read, right before
    /// they are replaced.
    ///
    /// # Errors
    /// Somebody wrote to one meanwhile.
    fn still_holds<'p>(
        &self,
        workspace: &Workspace,
        paths: impl Iterator<Item = &'p FilePath>,
    ) -> Result<(), Stop> {
        for path in paths {
            if workspace.tree.found(path)?.as_ref() != self.found.get(path) {
                return Err(changed(path.as_str()));
            }
        }
        workspace.still_holds()
    }

    /// What the agent should know once all is written.
    fn end(&self, force: bool) -> Vec<WorkspaceFile> {
        let wanted = self.wanted.iter().map(WantedFile::record);
        let kept =
            self.plan.kept(force).filter_map(|path| self.recorded.get(path)).map(|file| (*file).clone());
        sorted(wanted.chain(kept).chain(self.others.iter().map(|file| (*file).clone())))
    }

    /// The same while files may be the old ones or the new ones.
    fn between(&self, force: bool) -> Vec<WorkspaceFile> {
        let end = self.end(force);
        let mut between: BTreeMap<FilePath, WorkspaceFile> =
            end.into_iter().map(|file| (file.path.clone(), file)).collect();
        for (path, old) in &self.recorded {
            let lies = self.found.get(*path).and_then(|found| found.digest);
            let Some(lies) = lies.filter(|digest| old.digests.contains(digest)) else { continue };
            let file = between
                .entry((*path).clone())
                .or_insert_with(|| WorkspaceFile { digests: Vec::new(), ..(*old).clone() });
            if !file.digests.contains(&lies) {
                file.digests.push(lies);
            }
            let secrets = old.secrets.iter().filter(|secret| !file.secrets.contains(secret)).cloned();
            file.secrets.extend(secrets.collect::<Vec<_>>());
        }
        between.into_values().collect()
    }
}

/// Makes sure that no file of ours lies where a directory is needed now, and no directory with one where a file is.
///
/// # Errors
/// There is one; it is for a person to remove.
fn refuse_turned<'f>(
    workspace: &Workspace,
    wanted: &[WantedFile],
    ours: impl Iterator<Item = &'f WorkspaceFile>,
) -> Result<(), Stop> {
    for old in ours.map(|file| &file.path) {
        if wanted.iter().any(|file| file.path == *old) {
            continue;
        }
        let clash = wanted.iter().find(|file| file.path.clashes_with(old));
        let Some(WantedFile { path: new, origin, .. }) = clash else { continue };
        // what is there no more is in nobody's way; neither is what cannot be looked at there
        if !matches!(workspace.tree.found(old), Ok(Some(_))) {
            continue;
        }
        let (message, hint) = if old.as_str().len() < new.as_str().len() {
            let message =
                format!("{old} was written by bursar as a file, and {origin} needs a directory there");
            (message, format!("remove it, then sync again: rm {old}"))
        } else {
            let message = format!("{old} was written by bursar, and {origin} needs {new} as a file");
            (message, format!("remove the directory, then sync again: rm -r {new}"))
        };
        return Err(Stop::from(CallError::new(ErrorName::Conflict, message)).hint(hint));
    }
    Ok(())
}

fn sorted(files: impl Iterator<Item = WorkspaceFile>) -> Vec<WorkspaceFile> {
    let by_path: BTreeMap<FilePath, WorkspaceFile> = files.map(|file| (file.path.clone(), file)).collect();
    by_path.into_values().collect()
}

/// What was done.
pub(super) struct Done {
    pub(super) written: Vec<FilePath>,
    pub(super) removed: Vec<FilePath>,
    pub(super) kept: Vec<FilePath>,
}

/// What an update needs beside the comparison.
pub(super) struct Update<'a> {
    pub(super) session: &'a Session,
    pub(super) workspace: &'a Workspace,
    pub(super) known: &'a reply::Workspace,
    pub(super) environment: &'a Qualified,
    /// New texts of `bursar.toml` and `bursar.lock`.
    pub(super) own: Vec<(&'static str, String)>,
    pub(super) allowed: Allowed,
}

impl Update<'_> {
    /// Brings the files to what they should be.
    ///
    /// # Errors
    /// Git would track values, somebody edited a file, or the system refuses; then nothing has changed. Or the agent
    /// cannot be told at the end; the next run tells it.
    pub(super) fn run(&self, client: &mut Client, comparison: &Comparison<'_>) -> Result<Done, Stop> {
        let Allowed { force, allow_tracked } = self.allowed;
        let plan = &comparison.plan;
        sweep(&self.workspace.tree, comparison.paths().map(FilePath::as_str));
        let writes: Vec<&WantedFile> = {
            let paths: BTreeSet<&FilePath> = plan.writes().collect();
            comparison.wanted.iter().filter(|file| paths.contains(&file.path)).collect()
        };
        let removals: Vec<&FilePath> = plan.removals(force).collect();
        if !allow_tracked {
            refuse_tracked(&self.workspace.root, comparison.with_values())?;
        }
        if !force {
            comparison.refuse_edited()?;
        }
        let end = self.record(comparison.end(force), true)?;
        check_size(&end)?;
        client
            .set_timeout(Some(RECORD_LIMIT))
            .map_err(|error| Stop::local(format!("no time limit: {}", error.kind())))?;
        if !(writes.is_empty() && removals.is_empty() && self.own.is_empty()) {
            self.write(client, comparison, &writes, &removals)?;
            client.call(&end)?;
        } else if end.files != self.known.files
            || self.known.environment.as_ref() != Some(self.environment)
            || !self.known.deleted.is_empty()
        {
            client.call(&end)?;
        }
        Ok(Done {
            written: writes.iter().map(|file| file.path.clone()).collect(),
            removed: removals.into_iter().cloned().collect(),
            kept: plan.kept(force).cloned().collect(),
        })
    }

    /// Drafts, a note to the agent, renames: a signal counts until these begin.
    fn write(
        &self,
        client: &mut Client,
        comparison: &Comparison<'_>,
        writes: &[&WantedFile],
        removals: &[&FilePath],
    ) -> Result<(), Stop> {
        let between = self.record(comparison.between(self.allowed.force), false)?;
        check_size(&between)?;
        let interrupt = Interrupt::take()?;
        // first the agent: no file with a value, and no draft of one, is ever unknown to it
        client.call(&between)?;
        let drafts = drafts(self.workspace, writes, &self.own, &interrupt).and_then(|drafts| {
            comparison.still_holds(
                self.workspace,
                writes.iter().map(|file| &file.path).chain(removals.iter().copied()),
            )?;
            interrupt.check()?;
            Ok(drafts)
        });
        let drafts = drafts.inspect_err(|stop| {
            // nothing was written, which the agent may know again; if it cannot be told, the next run tells it
            if let Ok(mut before) = self.record(self.known.files.clone(), false) {
                before.environment =
                    self.known.environment.as_ref().unwrap_or(self.environment).clone().into();
                let _ = client.call(&before);
            }
            if matches!(stop, Stop::Ended(_)) {
                self.session.printer.note("interrupted: nothing was changed");
            }
        })?;
        drafts.commit(removals.iter().map(|path| path.as_str()))
    }

    /// What the agent is told; at the end also that our own edit of `bursar.toml` is trusted as it was before. Trust is a
    /// person's: where none is, none was asked for, and none is carried on.
    pub(super) fn record(&self, files: Vec<WorkspaceFile>, at_end: bool) -> Result<WorkspaceRecord, Stop> {
        let is_trusted = at_end && !self.session.is_non_interactive();
        let edited = self.own.iter().find(|(name, _)| *name == MANIFEST && is_trusted);
        Ok(WorkspaceRecord {
            workspace: self.workspace.path()?,
            environment: self.environment.clone().into(),
            files,
            synced: at_end.then_some(true),
            trusted: edited.map(|(_, text)| sha256(text.as_bytes())),
        })
    }
}

fn drafts<'t>(
    workspace: &'t Workspace,
    writes: &[&WantedFile],
    own: &[(&'static str, String)],
    interrupt: &Interrupt,
) -> Result<Drafts<'t>, Stop> {
    let files = writes.iter().filter_map(|file| {
        let (text, _) = file.content.as_ref()?;
        Some(NewFile { path: file.path.as_str(), content: text.as_bytes(), mode: Some(file.mode.bits()) })
    });
    // last, so that they never speak of files that are not there
    let own = own.iter().map(|(path, text)| NewFile { path, content: text.as_bytes(), mode: None });
    Drafts::write(&workspace.tree, files.chain(own), interrupt)
}

fn check_size(record: &WorkspaceRecord) -> Result<(), Stop> {
    let size = size_of(record);
    if size <= REQUEST_MAX {
        return Ok(());
    }
    let (size, most) = (size.div_ceil(1024), REQUEST_MAX / 1024);
    Err(Stop::usage(format!(
        "what the agent has to note of these files takes {size} KiB, and {most} KiB is the most"
    ))
    .hint("use fewer packages in one workspace"))
}

#[cfg(test)]
mod tests;
