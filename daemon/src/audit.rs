//! The record of accesses on its way to the disk: entries that wait, at most a second. Never a value.
//!
//! What changes the vault is written with its entry (`Agent::write`); everything else waits here for the next turn of
//! [`run`]. A value is handed out only if its entry has a place: where the queue is full, or the disk refuses it,
//! reads are refused.

mod entry;
mod writer;

pub(crate) use entry::{Entry, OK, shown};
pub(crate) use writer::{Written, run};

use crate::vault::record::AuditEntryV1;
use crate::vault::store::{Id, IdMap};
use crate::vault::usage::OTHERS;
use bursar_proto::client_secret::PublicId;
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::reply::AuditEntry;
use bursar_proto::time::Timestamp;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, broadcast};

/// Entries that wait, at the most: some megabytes of memory. What is the same within a second is one entry.
const WAITING_MAX: usize = 16_384;

/// How many end the time to gather.
const HALF_FULL: usize = WAITING_MAX / 2;

/// How many calls of a user who is no owner are kept whole in a second, values that are handed out apart: what comes beyond is
/// counted by method and outcome alone, so that whoever is let in neither fills the queue nor soon makes the oldest entries go.
const OTHERS_A_SECOND: usize = 64;

/// How far back an entry is looked for that is the same: calls come in runs.
const SAME_WITHIN: usize = 8;

/// Entries that a watcher may lag behind before some are dropped, and it is told how many.
const WATCHED_KEPT: usize = 1_024;

/// The access cannot be recorded, and so it is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotRecorded;

impl From<NotRecorded> for CallError {
    fn from(_: NotRecorded) -> Self {
        Self::new(ErrorName::StoreFailed, "the access cannot be recorded, and so it is not given")
            .hint("see the disk and the agent's log: bursar agent status")
    }
}

/// What waits to be written.
pub(crate) struct Audit {
    queue: Mutex<Queue>,
    /// Rings when something waits that did not before.
    bell: Notify,
    /// Rings when so many wait that they should gather no longer.
    half_full: Notify,
    /// Whether the last commit failed.
    failed: AtomicBool,
    /// Whether the vault is locked.
    closed: AtomicBool,
    /// One commit at a time, so that entries keep their order.
    turn: tokio::sync::Mutex<()>,
    watched: broadcast::Sender<Arc<AuditEntry>>,
}

/// By what calls beyond a user's share are counted: user, client secret, whether that counts as a use of it, method, outcome.
type Together = (u32, Option<PublicId>, bool, &'static str, &'static str);

#[derive(Default)]
struct Queue {
    waiting: Vec<Entry>,
    /// How many are being written, and wait again if that fails.
    under_way: usize,
    /// How many entries each user who is no owner added in a second.
    others: HashMap<u32, (Timestamp, usize)>,
    /// Where a user's calls wait that are counted together, by method and outcome, in that second.
    together: HashMap<Together, (Timestamp, usize)>,
    /// What gave nothing and found no place since the last turn.
    lost: u64,
    /// Where a party's `artifact.get` of a secret waits, in the second `quick_at`.
    quick: IdMap<Vec<(u64, usize)>>,
    quick_at: Option<Timestamp>,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            queue: Mutex::default(),
            bell: Notify::new(),
            half_full: Notify::new(),
            failed: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            turn: tokio::sync::Mutex::default(),
            watched: broadcast::Sender::new(WATCHED_KEPT),
        }
    }
}

impl Audit {
    /// Takes an entry. `gives` says whether something is handed out if there is a place for it.
    pub(crate) fn note(&self, entry: Entry, gives: bool) -> Result<(), NotRecorded> {
        // under the lock: whoever closes the record takes what waits after that
        let mut queue = self.lock();
        self.recording(gives)?;
        let (entry, together) = queue.bounded(entry);
        let known = together.as_ref().and_then(|key| queue.together.get(key));
        if let Some((_, at)) = known.copied().filter(|(second, _)| *second == entry.at) {
            queue.waiting[at].count += entry.count;
            queue.waiting[at].uses += entry.uses;
            return Ok(());
        }
        if let Some(at) = queue.recent(&entry) {
            queue.waiting[at].count += entry.count;
            return Ok(());
        }
        if !queue.has_room() {
            if !gives {
                queue.lost += 1;
                return Ok(());
            }
            return Err(NotRecorded);
        }
        let at = entry.at;
        self.add(&mut queue, entry);
        if let Some(key) = together {
            let place = queue.waiting.len() - 1;
            queue.together.insert(key, (at, place));
        }
        Ok(())
    }

    /// The vault is locked: what is handed out from now on could not be recorded before its keys are back.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// The vault is open, or was: what waits can be written.
    pub(crate) fn open(&self) {
        self.closed.store(false, Ordering::Release);
        self.bell.notify_one();
    }

    /// Takes the entry of a party's `artifact.get` of a secret; `entry` makes it where this second has none yet.
    pub(crate) fn note_get(
        &self,
        party: u64,
        secret: &Id,
        now: Timestamp,
        entry: impl FnOnce() -> Entry,
    ) -> Result<(), NotRecorded> {
        let mut queue = self.lock();
        self.recording(true)?;
        if queue.quick_at != Some(now) {
            queue.quick.clear();
            queue.quick_at = Some(now);
        }
        let known = queue.quick.get(secret).and_then(|places| places.iter().find(|(of, _)| *of == party));
        if let Some((_, at)) = known.copied()
            && let Some(known) = queue.waiting.get_mut(at)
        {
            known.count += 1;
            return Ok(());
        }
        if !queue.has_room() {
            return Err(NotRecorded);
        }
        let entry = entry();
        let at = if let Some(at) = queue.recent(&entry) {
            // another connection of the same process
            queue.waiting[at].count += 1;
            at
        } else {
            self.add(&mut queue, entry);
            queue.waiting.len() - 1
        };
        queue.quick.entry(*secret).or_default().push((party, at));
        Ok(())
    }

    fn add(&self, queue: &mut Queue, entry: Entry) {
        queue.waiting.push(entry);
        // the first starts the time to gather, half of the room ends it
        match queue.waiting.len() {
            1 => self.bell.notify_one(),
            HALF_FULL => self.half_full.notify_one(),
            _ => {}
        }
    }

    /// What is handed out takes a disk that records it.
    fn recording(&self, gives: bool) -> Result<(), NotRecorded> {
        let kept = !self.failed.load(Ordering::Acquire) && !self.closed.load(Ordering::Acquire);
        if kept || !gives { Ok(()) } else { Err(NotRecorded) }
    }

    /// Whether accesses are being recorded.
    pub(crate) fn records(&self) -> bool {
        !self.failed.load(Ordering::Acquire)
    }

    /// What watchers receive from.
    pub(crate) fn watch(&self) -> broadcast::Receiver<Arc<AuditEntry>> {
        self.watched.subscribe()
    }

    /// Tells watchers of entries that are on the disk, numbered from `first` on.
    pub(crate) fn tell(&self, first: u64, entries: &[AuditEntryV1]) {
        if self.watched.receiver_count() > 0 {
            for (number, entry) in (first..).zip(entries) {
                // nobody listening any more is no fault
                drop(self.watched.send(Arc::new(shown(number, entry))));
            }
        }
    }

    /// Everything that waits, which is under way from now on.
    pub(crate) fn take(&self) -> Vec<Entry> {
        let mut queue = self.lock();
        queue.quick.clear();
        queue.together.clear();
        if queue.lost > 0 {
            tracing::warn!(count = queue.lost, "refusals could not be recorded: there were too many");
            queue.lost = 0;
        }
        let taken = std::mem::take(&mut queue.waiting);
        queue.under_way += taken.len();
        taken
    }

    /// Ends what was under way: what was not written waits again, before what came since.
    pub(crate) fn landed(&self, written: usize, not_written: Vec<Entry>) {
        let mut queue = self.lock();
        queue.under_way = queue.under_way.saturating_sub(written + not_written.len());
        if !not_written.is_empty() {
            queue.quick.clear();
            queue.together.clear();
            let since = std::mem::replace(&mut queue.waiting, not_written);
            queue.waiting.extend(since);
        }
    }

    fn fails(&self, failed: bool) {
        self.failed.store(failed, Ordering::Release);
    }

    fn is_empty(&self) -> bool {
        self.lock().waiting.is_empty()
    }

    fn is_half_full(&self) -> bool {
        self.lock().waiting.len() >= HALF_FULL
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// The entry as it is kept: of users who are no owners, and have had their share of this second, without what it is about,
    /// and with what it is counted together with.
    fn bounded(&mut self, entry: Entry) -> (Entry, Option<Together>) {
        let (Some(uid), false) = (entry.uid, entry.is_kept_whole()) else { return (entry, None) };
        let (second, count) = self.others.entry(uid).or_insert((entry.at, 0));
        if *second != entry.at {
            (*second, *count) = (entry.at, 0);
        }
        *count += 1;
        if *count <= OTHERS_A_SECOND {
            return (entry, None);
        }
        let used_for = entry.used_for.is_some().then(|| OTHERS.into());
        let key = (uid, entry.client_secret.clone(), used_for.is_some(), entry.method, entry.outcome);
        let bare = Entry { subject: None, secret: None, pid: None, executable: None, ci: None, ..entry };
        (Entry { used_for, ..bare }, Some(key))
    }

    /// Where one of the last entries waits that is the same but for its count.
    fn recent(&self, entry: &Entry) -> Option<usize> {
        let from = self.waiting.len().saturating_sub(SAME_WITHIN);
        (from..self.waiting.len()).rev().find(|at| self.waiting[*at].same_as(entry))
    }

    fn has_room(&self) -> bool {
        self.waiting.len() + self.under_way < WAITING_MAX
    }
}

#[cfg(test)]
mod tests;
