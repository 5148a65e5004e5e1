//! `sync`, `add`, `status` and `build` as they go: what is read, what is asked, what is compared, in this order. Nothing
//! is written before all of it is good.

use super::Workspace;
use super::deleted;
use super::edit::with_packages;
use super::git::tracked;
use super::library::Names;
use super::lock::{self, LOCK, Lock};
use super::manifest::{MANIFEST, Manifest, complete};
use super::packages::{Ask, Chosen, Fetched, Place, gate_all, select, twice};
use super::plan::State;
use super::update::{Comparison, Update};
use super::versions::caret;
use super::wanted::{Origin, WantedFile};
use crate::args::package::{Allowed, Wish};
use crate::session::Session;
use crate::stop::Stop;
use bursar_proto::client::Client;
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::library::{Digest, FilePath, WorkspaceFile};
use bursar_proto::name::{Qualified, Reference};
use bursar_proto::reply::{self, Resolved};
use bursar_proto::semver::{Version, VersionReq};
use serde::Serialize;
use std::collections::BTreeMap;

/// What was brought up to date.
#[derive(Serialize)]
pub(crate) struct Synced {
    pub(crate) workspace: String,
    pub(crate) environment: Qualified,
    pub(crate) packages: Vec<Used>,
    pub(crate) written: Vec<Written>,
    pub(crate) removed: Vec<FilePath>,
    /// Files that nothing wants any more and that somebody edited.
    pub(crate) kept: Vec<FilePath>,
    /// Files that stay though the value of a deleted secret may be in them.
    pub(crate) deleted: Vec<FilePath>,
}

/// A package at its version.
#[derive(Serialize)]
pub(crate) struct Used {
    pub(crate) package: Qualified,
    pub(crate) version: Version,
    pub(crate) digest: Digest,
}

/// A file, and where it comes from.
#[derive(Serialize)]
pub(crate) struct Written {
    pub(crate) path: FilePath,
    pub(crate) package: Qualified,
    pub(crate) version: Option<Version>,
}

/// How a workspace stands.
#[derive(Serialize)]
pub(crate) struct Status {
    pub(crate) workspace: String,
    pub(crate) environment: Qualified,
    pub(crate) packages: Vec<PackageStatus>,
    /// Files that nothing wants any more.
    pub(crate) leftovers: Vec<FileStatus>,
    /// Files in which the value of a deleted secret lies.
    pub(crate) deleted: Vec<FilePath>,
    /// Files with values that git would track.
    pub(crate) tracked: Vec<FilePath>,
    /// What keeps the workspace's own library from being looked at.
    pub(crate) faults: Vec<String>,
    /// Whether `bursar.lock` pins what is used.
    pub(crate) pinned: bool,
    pub(crate) current: bool,
}

/// How a package stands, or the workspace's own library.
#[derive(Serialize)]
pub(crate) struct PackageStatus {
    pub(crate) package: Qualified,
    /// None where it is the workspace's own library; it was built here then.
    pub(crate) version: Option<Version>,
    pub(crate) digest: Option<Digest>,
    /// What it is built for.
    pub(crate) environment: Option<Qualified>,
    /// The highest version that meets the requirement.
    pub(crate) latest: Option<Version>,
    pub(crate) elements: Vec<Resolved>,
    pub(crate) files: Vec<FileStatus>,
}

/// How a file stands.
#[derive(Serialize)]
pub(crate) struct FileStatus {
    pub(crate) path: FilePath,
    pub(crate) state: State,
}

/// Brings the whole workspace to what its files say; with `update` at the highest versions that meet them.
pub(crate) fn sync(
    session: &Session,
    environment: Option<Reference>,
    allowed: Allowed,
    update: bool,
) -> Result<Synced, Stop> {
    let workspace = Workspace::hold(session)?;
    let environment = workspace.environment(environment)?;
    let asked = Asked { environment, lock: workspace.lock()?, allowed, update };
    let mut client = session.connect()?;
    let known = workspace.known(&mut client)?;
    brought_up(session, &mut client, &workspace, &known, &asked).map_err(|stop| {
        deleted::after_stop(session, &mut client, &workspace, &known, &asked.environment, stop)
    })
}

/// What a sync was asked for, and what is pinned.
struct Asked {
    environment: Reference,
    lock: Lock,
    allowed: Allowed,
    update: bool,
}

fn brought_up(
    session: &Session,
    client: &mut Client,
    workspace: &Workspace,
    known: &reply::Workspace,
    asked: &Asked,
) -> Result<Synced, Stop> {
    admit(session, workspace, known)?;
    let place = Place::ask(client, asked.environment.clone(), workspace)?;
    let mut ask = Ask { session, client };
    let chosen = ask.chosen(workspace, &asked.lock, asked.update)?;
    let mut fetched = ask.fetch(chosen, &place)?;
    let with_built = looks_at_built(session, known);
    if with_built && let Some((library, content)) = workspace.built(known)? {
        fetched.push(ask.library(library, content, &place)?);
    }
    gate_all(&fetched)?;
    let wanted = ask.render(&fetched)?;
    let pins = pins(&fetched);
    let own = workspace.new_lock(&pins)?.into_iter().collect();
    let environment = &place.home.environment;
    let update = Update { session, workspace, known, environment, own, allowed: asked.allowed };
    let mut synced = synced(client, &update, &wanted, |file| with_built || of_packages(file), &fetched)?;
    let is_wanted = |path: &FilePath| wanted.iter().any(|file| file.path == *path);
    let cleaned = deleted::after_sync(session, client, workspace, known, is_wanted)?;
    synced.removed.extend(cleaned.removed);
    synced.deleted = cleaned.left;
    Ok(synced)
}

/// Adds packages to `bursar.toml`, pins them, and builds them.
pub(crate) fn add(
    session: &Session,
    wishes: Vec<Wish>,
    environment: Option<Reference>,
    allowed: Allowed,
) -> Result<(Synced, Vec<(Qualified, VersionReq)>), Stop> {
    let workspace = Workspace::hold(session)?;
    let environment = workspace.environment(environment)?;
    let mut lock = workspace.lock()?;
    let mut client = session.connect()?;
    let known = workspace.known(&mut client)?;
    admit(session, &workspace, &known)?;
    let place = Place::ask(&mut client, environment, &workspace)?;
    let mut ask = Ask { session, client: &mut client };

    let home = workspace.manifest.organization.as_ref();
    let names: Vec<Reference> = wishes.iter().map(|wish| complete(wish.package.clone(), home)).collect();
    let packages = ask.packages(&names)?;
    if let Some(twice) = twice(&packages) {
        return Err(Stop::usage(format!("{twice} is given twice")).hint("say it once, with one requirement"));
    }
    let mut added = Vec::with_capacity(wishes.len());
    for (wish, package) in wishes.into_iter().zip(&packages) {
        let requirement = wish.at.or_else(|| caret(package)).ok_or_else(|| {
            CallError::new(ErrorName::NotFound, format!("{} has no version", package.package))
        })?;
        added.push((package.package.clone(), requirement));
    }
    let requirements: Vec<&VersionReq> = added.iter().map(|(_, requirement)| requirement).collect();
    let chosen = select(&packages, &requirements, &lock, true)?;
    let fetched = ask.fetch(chosen, &place)?;
    gate_all(&fetched)?;
    let wanted = ask.render(&fetched)?;

    let text = with_packages(&workspace.text, home, &added)?;
    Manifest::read(&text)?;
    lock.extend(pins(&fetched));
    let edited = (text != workspace.text).then_some((MANIFEST, text));
    let own = workspace.new_lock(&lock)?.into_iter().chain(edited).collect();
    let environment = &place.home.environment;
    let update = Update { session, workspace: &workspace, known: &known, environment, own, allowed };
    let is_added =
        |file: &WorkspaceFile| of_packages(file) && added.iter().any(|(name, _)| *name == file.package);
    Ok((synced(&mut client, &update, &wanted, is_added, &fetched)?, added))
}

/// Compares a workspace with what its files say.
pub(crate) fn status(session: &Session, environment: Option<Reference>) -> Result<Status, Stop> {
    let workspace = Workspace::open(&session.surroundings)?;
    let environment = workspace.environment(environment)?;
    let lock = workspace.lock()?;
    let mut client = session.connect()?;
    let known = workspace.known(&mut client)?;
    admit(session, &workspace, &known)?;
    let place = Place::ask(&mut client, environment, &workspace)?;
    let mut ask = Ask { session, client: &mut client };
    let chosen = ask.chosen(&workspace, &lock, false)?;
    let mut fetched = ask.fetch(chosen, &place)?;
    // the packages are told about also where a template of our own is half edited
    let with_built = looks_at_built(session, &known);
    let built = if with_built { workspace.built(&known) } else { Ok(None) };
    let faults = match built {
        Ok(None) => Vec::new(),
        Ok(Some((library, content))) => {
            fetched.push(ask.library(library, content, &place)?);
            Vec::new()
        }
        Err(Stop::Failed(error)) => error.message.lines().map(str::to_owned).collect(),
        Err(stop) => return Err(stop),
    };
    let wanted = ask.render(&fetched)?;
    let is_looked_at = |file: &WorkspaceFile| with_built && faults.is_empty() || of_packages(file);
    let comparison = Comparison::glimpse(&workspace, &wanted, &known, is_looked_at)?;
    comparison.sweep(&workspace);
    let pins = pins(&fetched);
    let plan = &comparison.plan;
    let tracked = tracked(&workspace.root, comparison.with_values())?;
    let pinned = workspace.new_lock(&pins)?.is_none();
    let good = fetched.iter().all(Fetched::is_good);
    let deleted = deleted::lying(&workspace, &known, plan);
    let clean = tracked.is_empty() && deleted.is_empty();
    let current = plan.is_current() && clean && good && pinned && faults.is_empty();
    let stands = |(path, state): (&FilePath, &State)| {
        let state = if deleted.contains(path) { State::HoldsDeleted } else { *state };
        FileStatus { path: path.clone(), state }
    };
    let packages = fetched
        .into_iter()
        .map(|one| {
            let Origin { package, version } = one.origin();
            let files = one.files.iter().filter_map(|file| plan.states.get_key_value(&file.path));
            PackageStatus {
                package,
                version,
                digest: one.chosen().map(|chosen| chosen.digest),
                latest: one.chosen().and_then(|chosen| chosen.latest.clone()),
                files: files.map(stands).collect(),
                environment: one.resolution.environment,
                elements: one.resolution.elements,
            }
        })
        .collect();
    Ok(Status {
        workspace: workspace.path()?,
        environment: place.home.environment,
        packages,
        leftovers: plan.leftovers.iter().map(stands).collect(),
        deleted,
        tracked,
        faults,
        pinned,
        current,
    })
}

/// The packages of a workspace, at the versions that [`sync`] would give it.
pub(crate) fn versions(
    session: &Session,
    client: &mut Client,
    workspace: &Workspace,
) -> Result<Vec<(Qualified, Version)>, Stop> {
    let chosen = Ask { session, client }.chosen(workspace, &workspace.lock()?, false)?;
    Ok(chosen.into_iter().map(|one| (one.package, one.version)).collect())
}

/// Builds the workspace's own library.
pub(crate) fn build(
    session: &Session,
    environment: Option<Reference>,
    allowed: Allowed,
) -> Result<Synced, Stop> {
    let workspace = Workspace::hold(session)?;
    let library = workspace.library()?;
    let environment = workspace.environment(environment)?;
    let content = workspace.content(library, Names::Listed)?;
    let mut client = session.connect()?;
    let known = workspace.require_trust(&mut client)?;
    let place = Place::ask(&mut client, environment, &workspace)?;
    let mut ask = Ask { session, client: &mut client };
    let fetched = [ask.library(library, content, &place)?];
    gate_all(&fetched)?;
    let wanted = ask.render(&fetched)?;
    let environment = &place.home.environment;
    let update =
        Update { session, workspace: &workspace, known: &known, environment, own: Vec::new(), allowed };
    synced(&mut client, &update, &wanted, |file| !of_packages(file), &fetched)
}

/// Whether a file came from a package; the others came from a build of the workspace's library.
fn of_packages(file: &WorkspaceFile) -> bool {
    file.version.is_some()
}

/// Lets through a workspace for which values may be handed out: a person has trusted it as it is, or there is none to be
/// asked, and client secrets alone decide.
///
/// # Errors
/// It is not trusted.
fn admit(session: &Session, workspace: &Workspace, known: &reply::Workspace) -> Result<(), Stop> {
    if session.is_non_interactive() { Ok(()) } else { workspace.check_trust(known) }
}

/// Whether what was built of the workspace's own library is looked at, too: that takes an owner, for it names secrets
/// that no package has published. Otherwise it stays as it is, and that is said.
fn looks_at_built(session: &Session, known: &reply::Workspace) -> bool {
    let is_closed = session.is_non_interactive();
    if is_closed && known.files.iter().any(|file| !of_packages(file)) {
        session.printer.note("note: what bursar build wrote here takes an owner, and is not looked at");
    }
    !is_closed
}

fn pins(fetched: &[Fetched]) -> Lock {
    fetched.iter().filter_map(Fetched::chosen).map(Chosen::pin).collect()
}

impl Workspace {
    /// The text that `bursar.lock` should have, where it has another.
    fn new_lock(&self, pins: &Lock) -> Result<Option<(&'static str, String)>, Stop> {
        if self.lock()? == *pins { Ok(None) } else { Ok(Some((LOCK, lock::write(pins)))) }
    }
}

/// Brings those of the files that `is_ours` to what is wanted, and tells what was done.
fn synced(
    client: &mut Client,
    update: &Update<'_>,
    wanted: &[WantedFile],
    is_ours: impl Fn(&WorkspaceFile) -> bool,
    fetched: &[Fetched],
) -> Result<Synced, Stop> {
    let comparison = Comparison::new(update.workspace, wanted, update.known, is_ours)?;
    let done = update.run(client, &comparison)?;
    let origins: BTreeMap<&FilePath, &Origin> =
        wanted.iter().map(|file| (&file.path, &file.origin)).collect();
    let written = done.written.iter().filter_map(|path| {
        let Origin { package, version } = origins.get(path)?;
        Some(Written { path: path.clone(), package: package.clone(), version: version.clone() })
    });
    let used = |one: &Chosen| Used {
        package: one.package.clone(),
        version: one.version.clone(),
        digest: one.digest,
    };
    Ok(Synced {
        workspace: update.workspace.path()?,
        environment: update.environment.clone(),
        packages: fetched.iter().filter_map(Fetched::chosen).map(used).collect(),
        written: written.collect(),
        removed: done.removed,
        kept: done.kept,
        deleted: Vec::new(),
    })
}

#[cfg(test)]
mod tests;
