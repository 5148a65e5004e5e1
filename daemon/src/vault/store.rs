//! Sealed bytes at rest, in sled. It never sees a key or a plaintext, and nothing above it names sled.
//!
//! One commit path: a batch is queued in the order in which it was asked for; one thread applies what waits,
//! flushes, runs `syncfs` (sled's flush alone does not reach the disk), and only then answers all of it.
//! Until then reads see the queued bytes, so memory and store agree.

mod commit;

pub(crate) use super::key::{Id, IdMap, Key, Kind};

use commit::{Commit, Committer};
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// The largest sealed record, in bytes: sled leaks disk for values over 128 KiB, so records keep well below.
pub(crate) const RECORD_MAX: usize = 64 * 1024;

/// sled's page cache, in bytes. The kernel's own cache stands behind it.
const CACHE: u64 = 8 * 1024 * 1024;

/// Free disk below which writes are refused, in bytes: sled writes segments of 512 KiB, and cannot mend a
/// write that the disk broke off.
pub(crate) const FREE_MIN: u64 = 8 * 1024 * 1024;

/// How long an opener waits for the lock: sled lets go of it on a thread of its own, some time after a store was
/// closed. Two daemons never meet here, because the state directory has a lock of its own.
const LET_GO: Duration = Duration::from_secs(2);

/// The pause between two looks at the lock.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Sealed bytes as the store hands them out; cheap to clone.
#[derive(Clone)]
pub(crate) struct Sealed(sled::IVec);

impl std::ops::Deref for Sealed {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Sealed {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

/// Changes that reach the disk together or not at all. `None` deletes.
pub(crate) type Batch = Vec<(Key, Option<Sealed>)>;

/// Why the store does not serve.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StoreError {
    /// Another daemon has it open.
    #[error("another process has the store open")]
    InUse,
    /// The disk has too little room.
    #[error("the disk has {} KiB left, and a write needs {} KiB", free / 1024, FREE_MIN / 1024)]
    DiskFull {
        /// Bytes that are left.
        free: u64,
    },
    /// The file system takes no writes.
    #[error("the file system is read-only")]
    ReadOnly,
    /// A write failed; the store has to be opened anew.
    #[error("the disk failed: {0}")]
    Disk(String),
    /// sled cannot read its own files.
    #[error("the store's files are damaged")]
    Damaged,
    /// A record over [`RECORD_MAX`].
    #[error("a record would have {0} bytes, and {RECORD_MAX} is the most")]
    TooLarge(usize),
}

/// An open store.
pub(crate) struct Store {
    tree: sled::Tree,
    directory: PathBuf,
    queued: Arc<Waiting>,
    failed: Arc<AtomicBool>,
    commits: Option<mpsc::Sender<Commit>>,
    committer: Option<std::thread::JoinHandle<()>>,
    // dropped after the tree: closing it lets go of the lock
    _db: sled::Db,
}

/// What was asked for, and the bell that rings when some of it was applied.
#[derive(Default)]
struct Waiting {
    queued: Mutex<Queued>,
    applied: Condvar,
    #[cfg(test)]
    breaks: Mutex<Option<Breaks>>,
}

/// Where a test makes writes fail, until the store is opened anew.
#[cfg(test)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Breaks {
    /// Before anything of it is there.
    Applying,
    /// When all of it is there, and it is not known whether the disk has it.
    Syncing,
}

/// What was asked for and is not applied yet: the newest bytes of each key, with the number of their batch.
#[derive(Default)]
struct Queued {
    newest: HashMap<Key, (u64, Option<Sealed>)>,
    batches: u64,
}

/// The promise of a commit: it comes when the batch is on the disk.
pub(crate) struct Committed(oneshot::Receiver<Result<(), StoreError>>);

impl Committed {
    /// Waits until the batch is durable.
    pub(crate) async fn durable(self) -> Result<(), StoreError> {
        self.0.await.unwrap_or_else(|_| Err(StoreError::Disk("the writer stopped".into())))
    }

    /// The same, for a thread that may block.
    pub(crate) fn durable_blocking(self) -> Result<(), StoreError> {
        self.0.blocking_recv().unwrap_or_else(|_| Err(StoreError::Disk("the writer stopped".into())))
    }
}

impl Store {
    /// Opens the store in `directory`, made 0700 if absent. The process has set its umask.
    pub(crate) fn open(directory: &Path) -> Result<Self, StoreError> {
        make_private(directory)?;
        remove_unfinished_snapshots(directory)?;
        let config = sled::Config::new().path(directory).cache_capacity(CACHE).flush_every_ms(None);
        let started = Instant::now();
        let db = loop {
            // a damaged store may panic inside sled instead of failing
            let opened = catch_unwind(AssertUnwindSafe(|| config.open())).map_err(|_| StoreError::Damaged)?;
            match opened.map_err(|error| at_open(&error)) {
                Err(StoreError::InUse) if started.elapsed() < LET_GO => std::thread::sleep(LOOK_AGAIN),
                opened => break opened?,
            }
        };
        let tree: sled::Tree = (*db).clone();
        let queued = Arc::new(Waiting::default());
        let failed = Arc::new(AtomicBool::new(false));
        let (commits, waiting) = mpsc::channel();
        let root = File::open(directory)?;
        let writer = Committer { tree: tree.clone(), root, queued: queued.clone(), failed: failed.clone() };
        let committer =
            std::thread::Builder::new().name("commit".into()).spawn(move || writer.run(&waiting))?;
        let directory = directory.to_owned();
        Ok(Self {
            tree,
            directory,
            queued,
            failed,
            commits: Some(commits),
            committer: Some(committer),
            _db: db,
        })
    }

    /// Whether a write would be taken now.
    pub(crate) fn writable(&self) -> Result<(), StoreError> {
        if self.failed() {
            return Err(StoreError::Disk("an earlier write failed".into()));
        }
        room_at(&self.directory)
    }

    /// Whether a write has failed since it was opened.
    pub(crate) fn failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Makes writes fail from now on.
    #[cfg(test)]
    pub(crate) fn break_at(&self, breaks: Breaks) {
        *lock(&self.queued.breaks) = Some(breaks);
    }

    /// Queues a batch; batches become durable in the order of these calls.
    pub(crate) fn commit(&self, batch: Batch) -> Committed {
        let (done, receiver) = oneshot::channel();
        let mut queued = lock(&self.queued.queued);
        queued.batches += 1;
        let number = queued.batches;
        for (key, value) in &batch {
            queued.newest.insert(*key, (number, value.clone()));
        }
        let commit = Commit { number, batch, done };
        // under the lock, so that the order of numbers is the order of commits; a stopped writer drops `done`
        if let Some(commits) = &self.commits {
            drop(commits.send(commit));
        }
        Committed(receiver)
    }

    /// Blocks until everything that was asked for has been applied, so that a scan sees all of it.
    pub(crate) fn settle(&self) {
        let mut queued = lock(&self.queued.queued);
        while !queued.newest.is_empty() {
            queued = self.queued.applied.wait(queued).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The newest bytes at `key`.
    pub(crate) fn get(&self, key: &Key) -> Result<Option<Sealed>, StoreError> {
        {
            let queued = lock(&self.queued.queued);
            if let Some((_, value)) = queued.newest.get(key) {
                return Ok(value.clone());
            }
        }
        Ok(self.tree.get(key.bytes()).map_err(|error| describe(&error))?.map(Sealed))
    }

    /// Whether it holds nothing at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.tree.is_empty()
    }

    /// The first record at `key` or after it, of the same kind, once all that was asked for has been applied.
    pub(crate) fn at_or_after(&self, key: &Key) -> Result<Option<(Key, Sealed)>, StoreError> {
        self.settle();
        of_kind(key.kind(), self.tree.range(key.bytes()..).next())
    }

    /// The first record after `key`, of the same kind.
    pub(crate) fn after(&self, key: &Key) -> Result<Option<(Key, Sealed)>, StoreError> {
        self.settle();
        self.applied_after(key)
    }

    /// The same among those that have been applied: it never waits for the disk.
    pub(crate) fn applied_after(&self, key: &Key) -> Result<Option<(Key, Sealed)>, StoreError> {
        let beyond = (std::ops::Bound::Excluded(key.bytes()), std::ops::Bound::Unbounded);
        of_kind(key.kind(), self.tree.range::<&[u8], _>(beyond).next())
    }

    /// The last record at `key` or before it, of the same kind.
    pub(crate) fn at_or_before(&self, key: &Key) -> Result<Option<(Key, Sealed)>, StoreError> {
        self.settle();
        of_kind(key.kind(), self.tree.range(..=key.bytes()).next_back())
    }

    /// Visits all records of `kind`, once all that was asked for has been applied.
    pub(crate) fn scan(&self, kind: Kind, mut visit: impl FnMut(Key, Sealed)) -> Result<(), StoreError> {
        self.settle();
        for entry in self.tree.scan_prefix([kind.byte()]) {
            let (key, value) = entry.map_err(|error| describe(&error))?;
            if let Some(key) = Key::read(&key) {
                visit(key, Sealed(value));
            }
        }
        Ok(())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.commits = None;
        if let Some(committer) = self.committer.take() {
            // a writer that panicked has answered nobody, and everybody was told so
            drop(committer.join());
        }
    }
}

/// What a range came to, if that is a record of `kind`.
fn of_kind(
    kind: Kind,
    found: Option<sled::Result<(sled::IVec, sled::IVec)>>,
) -> Result<Option<(Key, Sealed)>, StoreError> {
    let found = found.transpose().map_err(|error| describe(&error))?;
    let read = found.and_then(|(key, value)| Some((Key::read(&key)?, Sealed(value))));
    Ok(read.filter(|(key, _)| key.kind() == kind))
}

/// Whether the file system of `directory` would take a write.
pub(crate) fn room_at(directory: &Path) -> Result<(), StoreError> {
    let system = rustix::fs::statvfs(directory)?;
    if system.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY) {
        return Err(StoreError::ReadOnly);
    }
    let free = system.f_bavail.saturating_mul(system.f_frsize);
    if free < FREE_MIN { Err(StoreError::DiskFull { free }) } else { Ok(()) }
}

/// Makes `directory` and what leads to it, 0700 where it was absent.
pub(crate) fn make_private(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// A snapshot that sled did not finish makes every later open fail, and holds no key that is not in the log.
fn remove_unfinished_snapshots(directory: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            tracing::warn!("removed a snapshot that was not finished");
            std::fs::remove_file(entry.path())?;
            File::open(directory)?.sync_all()?;
        }
    }
    Ok(())
}

/// What the system says, as people know it.
pub(crate) fn in_words(kind: io::ErrorKind) -> String {
    match kind {
        io::ErrorKind::NotFound => "no such file or directory".into(),
        kind => kind.to_string(),
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        Self::Disk(error.kind().to_string())
    }
}

impl From<rustix::io::Errno> for StoreError {
    fn from(error: rustix::io::Errno) -> Self {
        io::Error::from(error).into()
    }
}

/// What keeps a store from opening: what sled does not understand of its own files is damage.
fn at_open(error: &sled::Error) -> StoreError {
    match error {
        sled::Error::Unsupported(_) | sled::Error::ReportableBug(_) => StoreError::Damaged,
        error => describe(error),
    }
}

/// sled's errors as ours; their texts name no key or value.
fn describe(error: &sled::Error) -> StoreError {
    match error {
        sled::Error::Io(io) if io.kind() == io::ErrorKind::WouldBlock => StoreError::InUse,
        // sled wraps the failed lock into an untyped error
        sled::Error::Io(io) if io.to_string().contains("could not acquire lock") => StoreError::InUse,
        sled::Error::Io(io) => StoreError::Disk(io.kind().to_string()),
        sled::Error::Corruption { .. } => StoreError::Damaged,
        _ => StoreError::Disk("the store reports a fault of its own".into()),
    }
}

/// A poisoned lock guards plain maps that every change leaves whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::crypto::ID_LEN;

    fn key(n: u8) -> Key {
        Key::new(Kind::Secret, [n; ID_LEN])
    }

    fn put(n: u8, bytes: &[u8]) -> Batch {
        vec![(key(n), Some(Sealed::from(bytes.to_vec())))]
    }

    #[test]
    fn what_was_committed_is_there_after_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.commit(put(1, b"one")).durable_blocking().unwrap();
        store
            .commit(vec![(key(1), None), (key(2), Some(Sealed::from(b"two".to_vec())))])
            .durable_blocking()
            .unwrap();
        drop(store);
        let store = Store::open(dir.path()).unwrap();
        assert!(store.get(&key(1)).unwrap().is_none());
        assert_eq!(&*store.get(&key(2)).unwrap().unwrap(), b"two");
    }

    #[test]
    fn a_queued_batch_is_read_before_it_is_durable() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let waiting: Vec<_> = (0..50).map(|n| store.commit(put(3, &[n]))).collect();
        assert_eq!(&*store.get(&key(3)).unwrap().unwrap(), [49]);
        for committed in waiting {
            committed.durable_blocking().unwrap();
        }
        assert_eq!(&*store.get(&key(3)).unwrap().unwrap(), [49]);
        assert!(lock(&store.queued.queued).newest.is_empty());
    }

    #[test]
    fn a_second_opener_is_told_that_the_store_is_in_use() {
        let dir = tempfile::tempdir().unwrap();
        let _first = Store::open(dir.path()).unwrap();
        assert_eq!(Store::open(dir.path()).err(), Some(StoreError::InUse));
    }

    #[test]
    fn an_unfinished_snapshot_does_not_keep_the_store_shut() {
        let dir = tempfile::tempdir().unwrap();
        drop(Store::open(dir.path()).unwrap());
        let unfinished = dir.path().join("snap.00000000000000FF.generating");
        std::fs::write(&unfinished, b"half").unwrap();
        drop(Store::open(dir.path()).unwrap());
        assert!(!unfinished.exists());
    }
}
