//! The vault: absent, locked or unlocked. What reads plaintext exists on [`Unlocked`] only.
//!
//! | file | holds |
//! |---|---|
//! | `crypto` | derive, wrap, seal, open; no I/O |
//! | `store` | sealed bytes in sled, the one commit path |
//! | `key` | where a record lies |
//! | `header` | how the root key is wrapped |
//! | `record` | the forms of records, by version |
//! | `catalog` | names and attributes in memory while unlocked |
//! | `unlocked` | what reads and writes plaintext |
//! | `audit` | the record of accesses, chained |
//! | `part` | content that does not fit one record |
//! | `usage` | how often secrets are used |
//! | `manifest` | that nothing is missing or older |
//! | `recovery` | filling, proving and rebuilding a store |
//! | `backup` | the whole store in one sealed file |

pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod catalog;
pub(crate) mod crypto;
pub(crate) mod header;
mod key;
mod manifest;
pub(crate) mod part;
pub(crate) mod record;
mod recovery;
pub(crate) mod store;
#[cfg(test)]
mod tests;
mod unlocked;
pub(crate) mod usage;

pub(crate) use unlocked::{Change, Unlocked};

use crate::audit::OK;
use backup::BackupError;
use bursar_proto::kind::{Stage, VaultState};
use bursar_proto::name::{OrganizationName, Qualified};
use bursar_proto::time::Timestamp;
use catalog::{Catalog, Environment};
use crypto::{CryptoError, Keys, RootKey};
use header::{Header, HeaderError};
use manifest::{load, prove};
use record::{AuditEntryV1, AuditHeadV1, ManifestV2, UnknownForm};
use recovery::{copy, fill, rebuild, remove_directory, write_beside};
use std::path::{Path, PathBuf};
use store::{Committed, Id, Key, Sealed, Store, StoreError};

/// The name of the environment that every organization starts with.
pub(crate) const FIRST_ENVIRONMENT: &str = "development";

/// Why the vault does not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VaultError {
    /// There is none.
    #[error("there is no vault yet in {}", .0.display())]
    Absent(PathBuf),
    /// There is one already.
    #[error("there is a vault already")]
    Exists,
    /// It is locked, and perhaps why it did not open by itself.
    #[error("the vault is locked{}", .0.as_ref().map_or_else(String::new, |why| format!(": {why}")))]
    Locked(Option<String>),
    /// It was made by a newer version: nothing is damaged.
    #[error("the vault was made by a newer version of bursar")]
    Newer,
    /// It cannot be opened as it lies there; a backup can take its place.
    #[error("the vault cannot be used: {0}")]
    Unusable(String),
    /// The header or the key.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The disk.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is on disk is not what was written: records that do not open, are missing, or are older ones.
    #[error("the store does not hold what was written to it: {0}")]
    Tampered(&'static str),
    /// The backup file.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The cryptography.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}

impl From<UnknownForm> for VaultError {
    fn from(form: UnknownForm) -> Self {
        match form {
            UnknownForm::Newer => Self::Newer,
            UnknownForm::Unreadable => Self::Tampered("a record cannot be read"),
        }
    }
}

/// Where the vault lies: the store, beside it its snapshots and what was moved aside.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The directory that holds all of it.
    pub(crate) state: PathBuf,
    /// How many entries of the record of accesses are kept.
    pub(crate) audit_kept: u64,
}

impl Place {
    fn store(&self) -> PathBuf {
        self.state.join("store")
    }

    /// A store that is being written anew; left over only by a crash.
    fn new_store(&self) -> PathBuf {
        self.state.join("store.new")
    }

    fn snapshots(&self) -> PathBuf {
        self.state.join("snapshots")
    }

    /// Says that a vault was made here. sled takes a log that turned to rubbish for an empty one, and an
    /// empty store must not pass for a vault that never was.
    fn marker(&self) -> PathBuf {
        self.state.join("made")
    }

    fn mark(&self) -> std::io::Result<()> {
        let directory = std::fs::File::open(&self.state)?;
        std::fs::File::create(self.marker())?.sync_all()?;
        directory.sync_all()
    }

    /// A name for what is moved aside that nothing has yet.
    fn aside(&self, what: &str, why: &str, now: Timestamp) -> PathBuf {
        let name = |n: u32| match n {
            0 => format!("{what}.{why}-{}", now.seconds()),
            n => format!("{what}.{why}-{}-{n}", now.seconds()),
        };
        (0..u32::MAX).map(|n| self.state.join(name(n))).find(|path| !path.exists()).unwrap_or_default()
    }
}

/// The vault.
pub(crate) struct Vault {
    place: Place,
    state: State,
    /// Why it did not open by itself.
    problem: Option<String>,
}

enum State {
    /// The store, empty.
    Absent(Store),
    /// The store and the way to its key.
    Locked(Store, Header),
    /// Everything.
    Unlocked(Box<Unlocked>),
    /// The store cannot be opened, and why.
    Broken(String),
    /// The store is a newer version's.
    Newer(Store),
}

impl Vault {
    /// Opens what lies at `place`. A store that is damaged is moved aside and built anew from the newest
    /// snapshot; the log says so.
    pub(crate) fn open(place: Place, now: Timestamp) -> Result<Self, VaultError> {
        store::make_private(&place.state).map_err(StoreError::from)?;
        remove_directory(&place.new_store())?;
        let store = match Store::open(&place.store()) {
            Err(StoreError::Damaged) => rebuild(&place, now)?,
            Ok(store) if place.marker().exists() && store.is_empty() => {
                drop(store);
                rebuild(&place, now)?
            }
            opened => opened?,
        };
        let state = at_rest(store).unwrap_or_else(|error| {
            tracing::error!(reason = %error, "the vault cannot be used; put a backup in its place: bursar restore FILE");
            State::Broken(error.to_string())
        });
        Ok(Self { place, state, problem: None })
    }

    /// Why it did not open by itself; nothing while it is open.
    pub(crate) fn problem(&self) -> Option<&str> {
        self.problem.as_deref().filter(|_| self.state() != VaultState::Unlocked)
    }

    /// Keeps in mind why it does not open by itself.
    pub(crate) fn stays_locked(&mut self, why: String) {
        self.problem = Some(why);
    }

    /// Where it stands.
    pub(crate) fn state(&self) -> VaultState {
        match &self.state {
            State::Absent(_) => VaultState::Absent,
            State::Locked(..) | State::Broken(_) | State::Newer(_) => VaultState::Locked,
            State::Unlocked(_) => VaultState::Unlocked,
        }
    }

    /// What keeps the store from taking writes, if anything does.
    pub(crate) fn writable(&self) -> Result<(), String> {
        match &self.state {
            State::Broken(why) => Err(why.clone()),
            _ => self.store().map_or(Ok(()), |store| store.writable().map_err(|error| error.to_string())),
        }
    }

    /// The store past the vault, as somebody with the disk has it.
    #[cfg(test)]
    pub(crate) fn bare_store(&self) -> &Store {
        self.store().expect("the store is open")
    }

    /// The open store; none while broken.
    fn store(&self) -> Option<&Store> {
        match &self.state {
            State::Absent(store) | State::Locked(store, _) | State::Newer(store) => Some(store),
            State::Unlocked(unlocked) => Some(&unlocked.store),
            State::Broken(_) => None,
        }
    }

    /// The header, where there is a vault.
    pub(crate) fn header(&self) -> Result<&Header, VaultError> {
        match &self.state {
            State::Absent(_) => Err(VaultError::Absent(self.place.state.clone())),
            State::Locked(_, header) => Ok(header),
            State::Unlocked(unlocked) => Ok(&unlocked.header),
            State::Broken(why) => Err(VaultError::Unusable(why.clone())),
            State::Newer(_) => Err(VaultError::Newer),
        }
    }

    /// The unlocked vault.
    pub(crate) fn unlocked(&mut self) -> Result<&mut Unlocked, VaultError> {
        match &mut self.state {
            State::Absent(_) => Err(VaultError::Absent(self.place.state.clone())),
            State::Locked(..) => Err(VaultError::Locked(self.problem.clone())),
            State::Unlocked(unlocked) => Ok(unlocked),
            State::Broken(why) => Err(VaultError::Unusable(why.clone())),
            State::Newer(_) => Err(VaultError::Newer),
        }
    }

    /// Makes a vault under `root`, with the organization `personal`. It counts once the promise has come.
    pub(crate) fn create(
        &mut self,
        root: RootKey,
        header: Header,
        now: Timestamp,
        entries: &[AuditEntryV1],
    ) -> Result<Committed, VaultError> {
        match &self.state {
            State::Absent(store) => store.writable()?,
            _ => return Err(VaultError::Exists),
        }
        self.place.mark().map_err(StoreError::from)?;
        let keys = Keys::derive(&root)?;
        let written = header.write()?;
        let manifest = ManifestV2 {
            header: keys.digest_header(&written),
            audit: AuditHeadV1::generate()?,
            endings_told: now.seconds(),
            ..ManifestV2::default()
        };
        let personal = crypto::generate()?;
        let development = crypto::generate()?;
        let State::Absent(store) =
            std::mem::replace(&mut self.state, State::Broken("it is being made".into()))
        else {
            return Err(VaultError::Exists);
        };
        let mut unlocked = Unlocked {
            store,
            keys,
            root,
            header,
            manifest,
            audit_kept: self.place.audit_kept,
            catalog: Catalog::default(),
            snapshot_of: None,
            spoilt: false,
        };
        let changes = found_organization(
            &mut unlocked.catalog,
            OrganizationName::personal(),
            personal,
            development,
            now,
        );
        let sealed = unlocked.sealed_batch(&changes, entries);
        let mut batch = match sealed {
            Ok(batch) => batch,
            Err(error) => {
                self.state = State::Absent(unlocked.store);
                return Err(error);
            }
        };
        batch.push((Key::HEADER, Some(Sealed::from(written))));
        let committed = unlocked.store.commit(batch);
        self.state = State::Unlocked(Box::new(unlocked));
        Ok(committed)
    }

    /// Unlocks with the root key that the header gave: reads and proves the small records.
    pub(crate) fn unlock(&mut self, root: RootKey, now: Timestamp) -> Result<(), VaultError> {
        let State::Locked(store, _) = &self.state else { return Ok(()) };
        let keys = Keys::derive(&root)?;
        let (manifest, mut catalog) = load(store, &keys)?;
        catalog.recover_all(now);
        let snapshot_of = self.newest_snapshot().and_then(|path| backup::generation(&path));
        if snapshot_of > Some(manifest.generation) {
            return Err(VaultError::Tampered("it is older than its newest snapshot"));
        }
        if let State::Locked(store, header) =
            std::mem::replace(&mut self.state, State::Broken("unlocking".into()))
        {
            self.state = State::Unlocked(Box::new(Unlocked {
                store,
                keys,
                root,
                header,
                manifest,
                audit_kept: self.place.audit_kept,
                catalog,
                snapshot_of,
                spoilt: false,
            }));
        }
        Ok(())
    }

    /// Wipes the keys from memory. From now on it is locked because somebody wanted it so.
    pub(crate) fn lock(&mut self) {
        self.problem = None;
        if let State::Unlocked(unlocked) = std::mem::replace(&mut self.state, State::Broken("locking".into()))
        {
            let Unlocked { store, header, .. } = *unlocked;
            self.state = State::Locked(store, header);
        }
    }

    /// After a failed write: closes the store and opens it again, so that memory and disk agree.
    pub(crate) fn reopen(&mut self, now: Timestamp) {
        let state = std::mem::replace(&mut self.state, State::Broken("reopening".into()));
        let root = match state {
            State::Unlocked(unlocked) => {
                let Unlocked { store, root, .. } = *unlocked;
                drop(store);
                Some(root)
            }
            State::Absent(store) | State::Locked(store, _) | State::Newer(store) => {
                drop(store);
                None
            }
            State::Broken(_) => None,
        };
        let reopened =
            Store::open(&self.place.store()).map_err(VaultError::from).and_then(at_rest).and_then(|state| {
                self.state = state;
                root.map_or(Ok(()), |root| self.unlock(root, now))
            });
        if let Err(error) = reopened {
            tracing::error!(reason = %error, "the store could not be opened again");
            if matches!(self.state, State::Broken(_)) {
                self.state = State::Broken(error.to_string());
            }
        }
    }

    /// Replaces the header; the data keys stay.
    pub(crate) fn replace_header(
        &mut self,
        header: Header,
        entries: &[AuditEntryV1],
    ) -> Result<Committed, VaultError> {
        self.unlocked()?.write_header(header, entries)
    }

    /// Writes the store anew under `root`, and drops the old one with all that lay in its log, and the
    /// snapshots under the old key. Blocks for as long as that takes.
    pub(crate) fn rekey(&mut self, root: RootKey, header: &Header, now: Timestamp) -> Result<(), VaultError> {
        let place = self.place.clone();
        let unlocked = self.unlocked()?;
        unlocked.store.writable()?;
        let keys = Keys::derive(&root)?;
        write_beside(&place, |fresh| unlocked.rewrite(fresh, &keys, header))?;
        // they open under the old key alone; a crash from here on leaves a whole vault without snapshots
        remove_directory(&place.snapshots())?;
        self.exchange_stores(&place.new_store())?;
        self.open_anew(root, now)?;
        tidy(remove_directory(&place.new_store()));
        Ok(())
    }

    /// Writes the store anew as it stands, and drops the old one with all that lay in its log, and the snapshots, which are as
    /// old as that. Blocks for as long as that takes.
    pub(crate) fn compact(&mut self, now: Timestamp) -> Result<(), VaultError> {
        let place = self.place.clone();
        let unlocked = self.unlocked()?;
        unlocked.store.writable()?;
        write_beside(&place, |fresh| {
            copy(&unlocked.store, fresh)?;
            // the old store and the snapshots go: what takes their place is looked at whole first
            let (_, catalog) = load(fresh, &unlocked.keys)?;
            prove(fresh, &unlocked.keys, &catalog)
        })?;
        let aside = State::Broken("the store is being written anew".into());
        let State::Unlocked(unlocked) = std::mem::replace(&mut self.state, aside) else {
            return Err(VaultError::Locked(None));
        };
        let Unlocked { store, root, .. } = *unlocked;
        drop(store);
        let swapped = self.exchange_stores(&place.new_store());
        if swapped.is_ok() {
            self.open_anew(root, now)?;
        } else {
            self.unlock(root, now)?;
        }
        swapped?;
        tidy(remove_directory(&place.new_store()));
        remove_directory(&place.snapshots())?;
        self.unlocked()?.snapshot_of = None;
        Ok(())
    }

    /// Writes everything into one sealed file. Blocks; whoever holds the vault keeps new writes away meanwhile.
    pub(crate) fn backup(&mut self, path: &Path) -> Result<(u64, u64), VaultError> {
        let unlocked = self.unlocked()?;
        unlocked.store.settle();
        let records = backup::write(&unlocked.store, &unlocked.header, path)?;
        Ok((records, unlocked.catalog.secrets.len() as u64))
    }

    /// Proves a backup whose root key is `root` and puts it in the place of the present store, which is moved
    /// aside if it held a vault. Blocks. Answers records, secrets, and where the old one lies.
    pub(crate) fn restore(
        &mut self,
        path: &Path,
        root: RootKey,
        now: Timestamp,
    ) -> Result<(u64, u64, Option<PathBuf>), VaultError> {
        store::room_at(&self.place.state)?;
        let keys = Keys::derive(&root)?;
        let (records, secrets, manifest) = write_beside(&self.place, |fresh| {
            let records = fill(fresh, path)?;
            let (manifest, catalog) = load(fresh, &keys)?;
            prove(fresh, &keys, &catalog)?;
            Ok((records, catalog.secrets.len() as u64, manifest))
        })?;
        // what was done since the backup stays in the record
        let since = match &self.state {
            // a store that cannot be read is what a backup is for
            State::Unlocked(present) => present.audit_since(&manifest).unwrap_or_else(|error| {
                tracing::warn!(reason = %error, "the record of accesses since the backup could not be read");
                Vec::new()
            }),
            _ => Vec::new(),
        };
        let held_a_vault = !matches!(self.state, State::Absent(_));
        // what comes out of the exchange lies at its last name at once: a kill in between loses neither
        let aside = self.place.aside("store", "replaced", now);
        std::fs::rename(self.place.new_store(), &aside).map_err(StoreError::from)?;
        if self.place.snapshots().exists() {
            let snapshots = self.place.aside("snapshots", "replaced", now);
            std::fs::rename(self.place.snapshots(), snapshots).map_err(StoreError::from)?;
        }
        self.place.mark().map_err(StoreError::from)?;
        self.exchange_stores(&aside)?;
        self.open_anew(root, now)?;
        if !since.is_empty() {
            let (committed, ()) = self
                .unlocked()?
                .write(&since, |catalog| Ok::<_, VaultError>((bereft(catalog, &since), ())))?;
            committed.durable_blocking()?;
        }
        let replaced = if held_a_vault {
            Some(aside)
        } else {
            tidy(remove_directory(&aside));
            None
        };
        Ok((records, secrets, replaced))
    }

    /// Keeps a snapshot if anything changed since the last one. Blocks.
    pub(crate) fn snapshot(&mut self, now: Timestamp) -> Result<bool, VaultError> {
        let directory = self.place.snapshots();
        let unlocked = self.unlocked()?;
        let generation = unlocked.manifest.generation;
        if unlocked.snapshot_of == Some(generation) {
            return Ok(false);
        }
        unlocked.store.settle();
        backup::snapshot(&unlocked.store, &unlocked.header, &directory, now.seconds(), generation)?;
        unlocked.snapshot_of = Some(generation);
        Ok(true)
    }

    /// The newest snapshot, for a hint.
    pub(crate) fn newest_snapshot(&self) -> Option<PathBuf> {
        backup::snapshots(&self.place.snapshots()).into_iter().next()
    }

    /// Closes the present store and swaps it with the one at `new` in one step of the file system.
    fn exchange_stores(&mut self, new: &Path) -> Result<(), VaultError> {
        drop(std::mem::replace(&mut self.state, State::Broken("the store is being replaced".into())));
        let old = self.place.store();
        let swapped = rustix::fs::renameat_with(
            rustix::fs::CWD,
            &old,
            rustix::fs::CWD,
            new,
            rustix::fs::RenameFlags::EXCHANGE,
        );
        if let Err(error) = swapped {
            self.state = at_rest(Store::open(&old)?)?;
            return Err(StoreError::from(error).into());
        }
        tidy(std::fs::File::open(&self.place.state).and_then(|directory| directory.sync_all()));
        Ok(())
    }

    /// Opens and unlocks what lies in the place of the store now.
    fn open_anew(&mut self, root: RootKey, now: Timestamp) -> Result<(), VaultError> {
        self.state = at_rest(Store::open(&self.place.store())?)?;
        self.unlock(root, now)
    }

    /// Tries again to open a store that could not be opened.
    pub(crate) fn mend(&mut self, now: Timestamp) {
        if matches!(self.state, State::Broken(_)) {
            self.reopen(now);
        }
    }

    /// Whether memory and disk may differ, because a change was begun and not written.
    pub(crate) fn spoilt(&self) -> bool {
        let begun = matches!(&self.state, State::Unlocked(unlocked) if unlocked.spoilt);
        begun || self.store().is_some_and(Store::failed)
    }
}

/// Logs what could not be tidied up after a step that counts already.
fn tidy<E: std::fmt::Display>(result: Result<(), E>) {
    if let Err(error) = result {
        tracing::warn!(reason = %error, "something was left behind");
    }
}

/// Ends the client secrets of organizations that were deleted `since`: they went with those, and a backup has them again.
fn bereft(catalog: &mut Catalog, since: &[AuditEntryV1]) -> Vec<Change> {
    let mut changes = Vec::new();
    for entry in since.iter().filter(|entry| entry.method == "organization.delete" && entry.outcome == OK) {
        let of = |name: &str| entry.subject.as_deref() == Some(name);
        for id in catalog.client_secrets_of(|one| of(one.organization.as_str())) {
            if let Some(one) = catalog.client_secrets.get_mut(&id) {
                one.revoked_at.get_or_insert(Timestamp::from_seconds(entry.at));
                changes.push(Change::ClientSecret(id));
            }
        }
    }
    changes
}

/// Puts a new organization with its first environment into the catalog; answers what to write.
pub(crate) fn found_organization(
    catalog: &mut Catalog,
    name: OrganizationName,
    organization: Id,
    environment: Id,
    now: Timestamp,
) -> Vec<Change> {
    catalog.insert_organization(name.clone(), organization, now);
    // the constant is a well-formed name
    if let Ok(first) = FIRST_ENVIRONMENT.parse() {
        let name = Qualified { organization: name, name: first };
        catalog.insert_environment(
            environment,
            Environment { name, stage: Stage::Development, created_at: now },
        );
    }
    vec![Change::Organization(organization), Change::Environment(environment)]
}

/// Where an open store stands before there is a key.
fn at_rest(store: Store) -> Result<State, VaultError> {
    match store.get(&Key::HEADER)? {
        None if store.is_empty() => Ok(State::Absent(store)),
        None => Err(VaultError::Tampered("its header is missing")),
        Some(bytes) => match Header::read(&bytes) {
            Ok(header) => Ok(State::Locked(store, header)),
            Err(HeaderError::Newer) => {
                tracing::error!("the vault was made by a newer version of bursar");
                Ok(State::Newer(store))
            }
            Err(error) => Err(error.into()),
        },
    }
}
