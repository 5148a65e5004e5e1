//! The record of accesses on its way to the disk: entries that wait, at most a second. Never a value.
//!
//! What changes the vault is written with its entry (`Agent::write`); everything else waits here for the next turn of
//! [`run`]. A value is handed out only if its entry has a place: where the queue is full, or the disk refuses it,
//! reads are refused.

use crate::agent::Agent;
use crate::policy::{GrantedBy, Principal};
use crate::server::session::Party;
use crate::vault::record::AuditEntryV1;
use crate::vault::store::{Committed, Id, IdMap};
use crate::vault::usage::OTHERS;
use crate::vault::{Unlocked, VaultError};
use bursar_proto::client_secret::PublicId;
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::name::Qualified;
use bursar_proto::reply::AuditEntry;
use bursar_proto::time::Timestamp;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, broadcast};

/// Entries that wait, at the most: some megabytes of memory. What is the same within a second is one entry.
const WAITING_MAX: usize = 16_384;

/// How many end the time to gather.
const HALF_FULL: usize = WAITING_MAX / 2;

/// How long entries gather before they are written: with what a commit takes, they are on the disk within a second.
const GATHER: Duration = Duration::from_millis(300);

/// The pause after a commit that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// How many calls of a user who is no owner are kept whole in a second, values that are handed out apart: what comes beyond is
/// counted by method and outcome alone, so that whoever is let in neither fills the queue nor soon makes the oldest entries go.
const OTHERS_A_SECOND: usize = 64;

/// How far back an entry is looked for that is the same: calls come in runs.
const SAME_WITHIN: usize = 8;

/// Entries that a watcher may lag behind before some are dropped, and it is told how many.
const WATCHED_KEPT: usize = 1_024;

/// The longest path of an executable that is kept, in bytes.
const EXECUTABLE_MAX: usize = 512;

/// The outcome of what was done.
pub(crate) const OK: &str = "ok";

/// One access.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) at: Timestamp,
    pub(crate) principal: Cow<'static, str>,
    pub(crate) uid: Option<u32>,
    pub(crate) pid: Option<u32>,
    pub(crate) executable: Option<Arc<str>>,
    pub(crate) method: &'static str,
    pub(crate) subject: Option<Arc<str>>,
    /// The secret; its id where there is one of that name.
    pub(crate) secret: Option<(Option<Id>, Qualified)>,
    pub(crate) client_secret: Option<PublicId>,
    /// The command by which that client secret is used, where this is the first that it allowed on its connection.
    pub(crate) used_for: Option<Arc<str>>,
    /// How many uses that are, where several are counted together.
    pub(crate) uses: u64,
    pub(crate) outcome: &'static str,
    pub(crate) count: u64,
    pub(crate) ci: Option<Arc<BTreeMap<String, String>>>,
}

impl Entry {
    /// Something that the agent did by itself.
    pub(crate) fn of_agent(
        method: &'static str,
        secret: (Id, Qualified),
        outcome: &'static str,
        at: Timestamp,
    ) -> Self {
        Self {
            at,
            principal: "agent".into(),
            uid: None,
            pid: None,
            executable: None,
            method,
            subject: None,
            secret: Some((Some(secret.0), secret.1)),
            client_secret: None,
            used_for: None,
            uses: 1,
            outcome,
            count: 1,
            ci: None,
        }
    }

    /// A request of `party`, as `principal`, allowed by `by`.
    pub(crate) fn of_request(
        party: &Party,
        principal: &Principal,
        by: Option<&GrantedBy>,
        method: &'static str,
        at: Timestamp,
    ) -> Self {
        let client_secret = match by {
            Some(GrantedBy::Secret(id)) => Some(id.clone()),
            Some(GrantedBy::Rule(_)) => None,
            None => party.session.as_ref().and_then(|session| session.secrets.first().cloned()),
        };
        let used_for = party.session.as_ref().zip(client_secret.as_ref().filter(|_| by.is_some())).and_then(
            |(session, id)| {
                let command = session.command.clone().unwrap_or_else(|| method.into());
                session.first_use(id).then_some(command)
            },
        );
        let executable = party.caller.executable().map(|path| {
            if path.len() > EXECUTABLE_MAX {
                path[..path.floor_char_boundary(EXECUTABLE_MAX)].into()
            } else {
                path.clone()
            }
        });
        Self {
            at,
            principal: told(principal, by),
            uid: Some(party.caller.uid()),
            pid: party.caller.pid().and_then(|pid| pid.try_into().ok()),
            executable,
            method,
            subject: None,
            secret: None,
            client_secret,
            used_for,
            uses: 1,
            outcome: OK,
            count: 1,
            ci: None,
        }
    }

    /// As the store keeps it.
    pub(crate) fn record(&self) -> AuditEntryV1 {
        AuditEntryV1 {
            at: self.at.seconds(),
            principal: self.principal.to_string(),
            uid: self.uid,
            pid: self.pid,
            executable: self.executable.as_deref().map(str::to_owned),
            method: self.method.to_owned(),
            subject: self.subject.as_deref().map(str::to_owned),
            secret: self.secret.as_ref().map(|(id, name)| (id.unwrap_or_default(), name.to_string())),
            client_secret: self.client_secret.as_ref().map(ToString::to_string),
            outcome: self.outcome.to_owned(),
            count: self.count,
            ci: self
                .ci
                .as_ref()
                .map(|facts| facts.iter().map(|(name, text)| (name.clone(), text.clone())).collect()),
        }
    }

    /// Whether it is kept as it is however many there are: an owner's, the agent's own, and values that are handed out.
    fn is_kept_whole(&self) -> bool {
        let gives_a_value = self.method == "package.get" && self.outcome == OK;
        gives_a_value || matches!(&*self.principal, "owner" | "agent")
    }

    /// Whether `next` is the same but for its count. A use that is counted stays an entry of its own.
    fn same_as(&self, next: &Self) -> bool {
        let Self { at, principal, uid, pid, executable, method, subject, secret, .. } = self;
        let Self { client_secret, outcome, ci, .. } = self;
        next.used_for.is_none()
            && (at, pid, uid, method, outcome)
                == (&next.at, &next.pid, &next.uid, &next.method, &next.outcome)
            && (secret, subject) == (&next.secret, &next.subject)
            && (principal, client_secret) == (&next.principal, &next.client_secret)
            && (executable, ci) == (&next.executable, &next.ci)
    }
}

/// As whom, in words.
fn told(principal: &Principal, by: Option<&GrantedBy>) -> Cow<'static, str> {
    match (principal, by) {
        (_, Some(by)) => by.to_string().into(),
        (Principal::Own | Principal::Owner, None) => "owner".into(),
        (Principal::Admitted(grants) | Principal::Secrets(grants), None) => {
            grants.first().map_or("nobody".into(), |grant| grant.by.to_string().into())
        }
        (Principal::Stranger, None) => "nobody".into(),
    }
}

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

/// An entry as it is answered. A record that was written by us reads; a name that does not is left out.
pub(crate) fn shown(number: u64, entry: &AuditEntryV1) -> AuditEntry {
    let secret = entry.secret.as_ref().and_then(|(_, name)| name.parse::<Qualified>().ok());
    AuditEntry {
        number,
        at: Timestamp::from_seconds(entry.at),
        principal: entry.principal.clone(),
        uid: entry.uid,
        pid: entry.pid,
        executable: entry.executable.clone(),
        method: entry.method.clone(),
        subject: entry.subject.clone().or_else(|| Some(secret.as_ref()?.to_string())),
        secret,
        outcome: entry.outcome.clone(),
        count: entry.count,
        ci: entry.ci.as_ref().map(|facts| facts.iter().cloned().collect()),
    }
}

/// Writes what waits, until the daemon stops.
pub(crate) async fn run(agent: Arc<Agent>) {
    loop {
        tokio::select! {
            () = agent.shutdown.cancelled() => return,
            () = agent.audit.bell.notified() => {}
        }
        while !agent.audit.is_empty() {
            if !agent.audit.is_half_full() {
                tokio::select! {
                    () = agent.shutdown.cancelled() => return,
                    // not the bell: what came while others were written has rung it, and may gather as well
                    () = agent.audit.half_full.notified() => {}
                    () = tokio::time::sleep(GATHER) => {}
                }
            }
            match agent.write_accesses().await {
                Written::All => {}
                // the next unlock rings
                Written::Locked => break,
                Written::Failed => tokio::select! {
                    () = agent.shutdown.cancelled() => return,
                    () = tokio::time::sleep(PAUSE) => {}
                },
            }
        }
    }
}

/// What came of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    All,
    Locked,
    Failed,
}

impl Agent {
    /// Writes what waits; answers when it is on the disk.
    pub(crate) async fn write_accesses(self: &Arc<Self>) -> Written {
        let _turn = self.audit.turn.lock().await;
        let begun = self.vault().unlocked().map(|unlocked| self.begin_accesses(unlocked));
        match begun {
            Ok(None) => Written::All,
            Ok(Some(under_way)) => self.end_accesses(under_way).await,
            Err(_) if self.audit.is_empty() => Written::All,
            Err(_) => Written::Locked,
        }
    }

    /// Writes what waits, and wipes the keys in the same moment: nothing is handed out in between.
    pub(crate) async fn lock_recorded(self: &Arc<Self>) {
        let _turn = self.audit.turn.lock().await;
        if let Some(under_way) = self.close_vault() {
            self.end_accesses(under_way).await;
        }
    }

    /// The same for a thread that may block.
    pub(crate) fn lock_now(&self) {
        if let Some(UnderWay { entries, records, written }) = self.close_vault() {
            let durable = written.and_then(|(first, committed)| {
                committed.durable_blocking().map_err(VaultError::from)?;
                Ok(first)
            });
            self.settle_accesses(entries, &records, durable);
        }
    }

    fn close_vault(&self) -> Option<UnderWay> {
        let mut vault = self.vault();
        self.audit.close();
        let under_way = vault.unlocked().ok().and_then(|unlocked| self.begin_accesses(unlocked));
        vault.lock();
        tracing::info!("the vault was locked");
        under_way
    }

    /// Hands what waits to the disk.
    fn begin_accesses(&self, unlocked: &mut Unlocked) -> Option<UnderWay> {
        let entries = self.audit.take();
        if entries.is_empty() {
            return None;
        }
        let records: Vec<AuditEntryV1> = entries.iter().map(Entry::record).collect();
        let first = unlocked.audit_bounds().1;
        let written = unlocked.write_accesses(&records, &entries, self.config().usage.secrets);
        let written = written.map(|committed| (first, committed));
        Some(UnderWay { entries, records, written })
    }

    async fn end_accesses(&self, under_way: UnderWay) -> Written {
        let UnderWay { entries, records, written } = under_way;
        let durable = match written {
            Ok((first, committed)) => committed.durable().await.map(|()| first).map_err(VaultError::from),
            Err(error) => Err(error),
        };
        self.settle_accesses(entries, &records, durable)
    }

    fn settle_accesses(
        &self,
        entries: Vec<Entry>,
        records: &[AuditEntryV1],
        durable: Result<u64, VaultError>,
    ) -> Written {
        self.audit.fails(durable.is_err());
        match durable {
            Ok(first) => {
                self.audit.landed(entries.len(), Vec::new());
                self.audit.tell(first, records);
                Written::All
            }
            Err(error) => {
                tracing::error!(%error, "accesses could not be recorded");
                self.unspoil();
                // where the disk took it all the same it is told twice, which is better than not at all
                self.audit.landed(0, entries);
                Written::Failed
            }
        }
    }
}

/// Accesses on their way to the disk, and the number of the first of them.
struct UnderWay {
    entries: Vec<Entry>,
    records: Vec<AuditEntryV1>,
    written: Result<(u64, Committed), VaultError>,
}

#[cfg(test)]
mod tests;
