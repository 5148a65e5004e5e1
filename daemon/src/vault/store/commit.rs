//! The one thread that writes: it applies what waits, flushes, reaches the disk, and only then answers.

use super::{Batch, Sealed, StoreError, Waiting, describe, lock};
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use tokio::sync::oneshot;

/// How many waiting batches share one flush: a bound for the memory that one commit takes.
const SHARED_MAX: usize = 1_024;

/// A batch on its way to the disk.
pub(super) struct Commit {
    pub(super) number: u64,
    pub(super) batch: Batch,
    pub(super) done: oneshot::Sender<Result<(), StoreError>>,
}

/// The one thread that writes.
pub(super) struct Committer {
    pub(super) tree: sled::Tree,
    pub(super) root: File,
    pub(super) queued: Arc<Waiting>,
    pub(super) failed: Arc<AtomicBool>,
}

impl Committer {
    pub(super) fn run(self, waiting: &mpsc::Receiver<Commit>) {
        while let Ok(first) = waiting.recv() {
            let mut shared = vec![first];
            while shared.len() < SHARED_MAX {
                match waiting.try_recv() {
                    Ok(next) => shared.push(next),
                    Err(_) => break,
                }
            }
            let outcome = if self.failed.load(Ordering::Acquire) {
                Err(StoreError::Disk("an earlier write failed".into()))
            } else {
                catch_unwind(AssertUnwindSafe(|| self.write(&shared))).unwrap_or_else(|_| {
                    Err(StoreError::Disk("the store stopped in the middle of a write".into()))
                })
            };
            if outcome.is_err() {
                self.failed.store(true, Ordering::Release);
            }
            self.forget(&shared);
            for commit in shared {
                // nobody may be waiting any more
                drop(commit.done.send(outcome.clone()));
            }
        }
    }

    fn write(&self, shared: &[Commit]) -> Result<(), StoreError> {
        // somebody asks whether there is an answer, and no disk need turn for it
        if shared.iter().all(|commit| commit.batch.is_empty()) {
            return Ok(());
        }
        let mut batch = sled::Batch::default();
        for (key, value) in shared.iter().flat_map(|commit| &commit.batch) {
            match value {
                Some(Sealed(bytes)) => batch.insert(key.bytes(), bytes.clone()),
                None => batch.remove(key.bytes()),
            }
        }
        #[cfg(test)]
        self.breaks(super::Breaks::Applying)?;
        self.tree.apply_batch(batch).map_err(|error| describe(&error))?;
        self.tree.flush().map_err(|error| describe(&error))?;
        #[cfg(test)]
        self.breaks(super::Breaks::Syncing)?;
        Ok(rustix::fs::syncfs(&self.root)?)
    }

    #[cfg(test)]
    fn breaks(&self, at: super::Breaks) -> Result<(), StoreError> {
        let broken = *lock(&self.queued.breaks) == Some(at);
        if broken { Err(StoreError::Disk("a test broke it".into())) } else { Ok(()) }
    }

    /// Drops from the queue what these commits applied, unless something newer waits.
    fn forget(&self, shared: &[Commit]) {
        let mut queued = lock(&self.queued.queued);
        for commit in shared {
            for (key, _) in &commit.batch {
                if queued.newest.get(key).is_some_and(|(number, _)| *number <= commit.number) {
                    queued.newest.remove(key);
                }
            }
        }
        if queued.newest.is_empty() && queued.newest.capacity() > SHARED_MAX {
            queued.newest.shrink_to_fit();
        }
        self.queued.applied.notify_all();
    }
}
