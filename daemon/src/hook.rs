//! The hook: a command of the config that is run when something happens to a secret, one run at a time.
//!
//! It is told what happened by a JSON document on its standard input, and never a value of a secret. It must not hold
//! up what it tells of: [`Hooks::fire`] only queues, and a run that takes too long is ended with all that it started.

#[cfg(test)]
mod tests;

use bursar_proto::call::DESCRIPTION_MAX;
use bursar_proto::client_secret::PublicId;
use bursar_proto::name::Qualified;
use bursar_proto::time::{Timestamp, parse_duration};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

/// The most words of the command: a program with what it takes, far from the system's own bounds.
const WORDS_MAX: usize = 64;

/// The longest time limit: what takes longer is no hook, and would hold up all that waits behind it.
const TIMEOUT_MAX: Duration = Duration::from_hours(1);

/// How many occasions wait at once: some hundred bytes each, and more than a vault of ten thousand secrets has within
/// the time of some runs.
const QUEUE_MAX: usize = 1_024;

/// The largest document, in bytes: the least that a pipe holds, so that writing one never waits for a reader.
const DOCUMENT_MAX: usize = 4_096;

/// The longest `details`, in bytes. With the other texts, each escaped, it stays below [`DOCUMENT_MAX`].
const DETAILS_MAX: usize = 1_024;

/// The longest `hint`, in bytes: a command.
const HINT_MAX: usize = 400;

/// How long the end of the daemon waits for a run that is under way.
const LAST_RUN: Duration = Duration::from_secs(2);

/// How long the end waits further for a killed command to go: one that hangs in the kernel is left behind.
const LET_GO: Duration = Duration::from_secs(1);

/// Where a command finds programs. The daemon's own environment is not handed on: it may hold what is not for others.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// `[hook]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HookConfig {
    /// The program by its absolute path, and its arguments; empty for no hook.
    #[serde(deserialize_with = "command")]
    pub(crate) command: Vec<String>,
    /// How long a run may take.
    #[serde(deserialize_with = "timeout")]
    pub(crate) timeout: Duration,
    /// What it is run on.
    pub(crate) events: Vec<Event>,
}

impl Default for HookConfig {
    fn default() -> Self {
        Self {
            command: Vec::new(),
            // a mail or a call of a chat takes a second or two
            timeout: Duration::from_secs(30),
            events: Event::ALL.to_vec(),
        }
    }
}

impl HookConfig {
    fn wants(&self, event: Event) -> bool {
        !self.command.is_empty() && self.events.contains(&event)
    }
}

fn command<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let fault = |reason| Err(serde::de::Error::custom(reason));
    let words = Vec::<String>::deserialize(deserializer)?;
    if words.len() > WORDS_MAX {
        return fault(format!("at most {WORDS_MAX} words"));
    }
    if words.first().is_some_and(|program| !Path::new(program).is_absolute()) {
        return fault("expected the program by its absolute path first".into());
    }
    if words.iter().any(|word| word.contains('\0')) {
        return fault("a word must not hold a zero byte".into());
    }
    Ok(words)
}

fn timeout<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let seconds = parse_duration(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)?;
    match Duration::from_secs(seconds) {
        Duration::ZERO => Err(serde::de::Error::custom("at least 1s")),
        timeout if timeout > TIMEOUT_MAX => Err(serde::de::Error::custom("at most 1h")),
        timeout => Ok(timeout),
    }
}

/// What a hook is run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Event {
    /// A refresh brought a new artifact.
    Refreshed,
    /// A refresh failed.
    RefreshFailed,
    /// A person has to authorize in a browser.
    NeedsAuthorization,
    /// Something ends within some days.
    Expiring,
}

impl Event {
    /// Every event.
    const ALL: [Self; 4] = [Self::Refreshed, Self::RefreshFailed, Self::NeedsAuthorization, Self::Expiring];

    /// The word in the config, in documents and in the log.
    const fn word(self) -> &'static str {
        match self {
            Self::Refreshed => "refreshed",
            Self::RefreshFailed => "refresh_failed",
            Self::NeedsAuthorization => "needs_authorization",
            Self::Expiring => "expiring",
        }
    }
}

/// What happened: the document that a hook reads, one JSON object in a line. Every attribute is present, null where empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Occasion {
    /// What happened.
    pub(crate) event: Event,
    /// When.
    pub(crate) at: Timestamp,
    /// To which secret.
    pub(crate) secret: Option<Qualified>,
    /// Or to which client secret.
    pub(crate) client_secret: Option<PublicId>,
    /// What the client secret is for.
    pub(crate) description: Option<String>,
    /// The environment that the secret is bound to.
    pub(crate) environment: Option<Qualified>,
    /// When it ends.
    pub(crate) expires_at: Option<Timestamp>,
    /// Within how many days it ends, where that is what happened.
    pub(crate) days: Option<u32>,
    /// Why a refresh failed.
    pub(crate) details: Option<String>,
    /// The command that mends it.
    pub(crate) hint: Option<String>,
}

impl Occasion {
    /// An event with nothing known about it but the time.
    pub(crate) fn new(event: Event, at: Timestamp) -> Self {
        Self {
            event,
            at,
            secret: None,
            client_secret: None,
            description: None,
            environment: None,
            expires_at: None,
            days: None,
            details: None,
            hint: None,
        }
    }

    /// The same with texts that keep the document below [`DOCUMENT_MAX`].
    fn bounded(mut self) -> Self {
        for (text, most) in [
            (&mut self.description, DESCRIPTION_MAX),
            (&mut self.details, DETAILS_MAX),
            (&mut self.hint, HINT_MAX),
        ] {
            if let Some(text) = text {
                // a hook may print it; and a control character takes six bytes in JSON, any other at most twice its own
                *text = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
                text.truncate(text.floor_char_boundary(most));
            }
        }
        self
    }

    fn document(&self) -> io::Result<Vec<u8>> {
        let mut document = serde_json::to_vec(self)?;
        document.push(b'\n');
        // the bounds of the texts see to it; a write that waited would hold up all that follows
        if document.len() > DOCUMENT_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(document)
    }
}

/// The thread that runs the hook, and what waits for it.
pub(crate) struct Hooks(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Rings at every change of the state.
    bell: Condvar,
}

struct State {
    config: HookConfig,
    /// What the config wants, in order.
    waiting: VecDeque<Occasion>,
    /// How many found the queue full since the last run.
    lost: u64,
    /// Whether the program that was started last has ended by itself.
    ended: bool,
    /// When a run that is under way is cut off, once the daemon ends.
    last: Option<Instant>,
    /// Whether the thread has nothing left to do.
    gone: bool,
}

/// A run, as it is told.
#[derive(Debug)]
struct Run {
    event: Event,
    outcome: Outcome,
    lost: u64,
}

#[derive(Debug)]
enum Outcome {
    Ended(ExitStatus),
    NotRun(io::Error),
    TooLong(Duration),
    CutOff,
}

impl Hooks {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub(crate) fn start(config: HookConfig) -> io::Result<Self> {
        Self::start_telling(config, |run| log(&run))
    }

    fn start_telling(config: HookConfig, tell: impl Fn(Run) + Send + 'static) -> io::Result<Self> {
        let waiting = VecDeque::new();
        let state = State { config, waiting, lost: 0, ended: false, last: None, gone: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), bell: Condvar::new() });
        let own = shared.clone();
        Builder::new().name("hook".into()).spawn(move || own.serve(tell))?;
        Ok(Self(shared))
    }

    /// Takes over a config that was read anew. It holds for what waits, and what it does not want is dropped; a run that is
    /// under way keeps its limit.
    pub(crate) fn reconfigure(&self, config: HookConfig) {
        let mut state = self.0.lock();
        state.waiting.retain(|occasion| config.wants(occasion.event));
        state.config = config;
    }

    /// Queues a run, where the config wants one. Never waits.
    pub(crate) fn fire(&self, occasion: Occasion) {
        let mut state = self.0.lock();
        if state.last.is_some() || !state.config.wants(occasion.event) {
            return;
        }
        if state.waiting.len() >= QUEUE_MAX {
            state.lost += 1;
            return;
        }
        state.waiting.push_back(occasion.bounded());
        self.0.bell.notify_all();
    }

    /// Drops what waits, and gives a run that is under way two seconds to end. Blocks until then.
    pub(crate) fn stop(&self) {
        let mut state = self.0.lock();
        let last = *state.last.get_or_insert_with(|| Instant::now() + LAST_RUN);
        let dropped = std::mem::take(&mut state.waiting).len();
        if dropped > 0 {
            tracing::info!(dropped, "the hook is not run any more for what waited");
        }
        self.0.bell.notify_all();
        while let Some(left) = until(last + LET_GO).filter(|_| !state.gone) {
            state = self.0.wait(state, left);
        }
    }
}

impl Drop for Hooks {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    /// A poisoned lock guards plain values that every change leaves whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, most: Duration) -> MutexGuard<'a, State> {
        self.bell.wait_timeout(state, most).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Runs what waits, one after the other, until the daemon ends.
    fn serve(&self, tell: impl Fn(Run)) {
        while let Some((occasion, config, lost)) = self.next() {
            let outcome = self.run(&occasion, &config).unwrap_or_else(Outcome::NotRun);
            tell(Run { event: occasion.event, outcome, lost });
        }
        self.lock().gone = true;
        self.bell.notify_all();
    }

    /// The next occasion, with what holds for it; `None` at the end.
    fn next(&self) -> Option<(Occasion, HookConfig, u64)> {
        let mut state = self.lock();
        while state.last.is_none() {
            if let Some(occasion) = state.waiting.pop_front() {
                return Some((occasion, state.config.clone(), std::mem::take(&mut state.lost)));
            }
            state = self.bell.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        None
    }

    fn run(&self, occasion: &Occasion, config: &HookConfig) -> io::Result<Outcome> {
        let document = occasion.document()?;
        let mut child = spawn(&config.command)?;
        let group = Pid::from_child(&child);
        self.lock().ended = false;
        let told = hand_over(&mut child, &document);
        let cut = std::thread::scope(|scope| {
            let ending = || {
                // without reaping it: until that, its number names no other group
                let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
                // fails only where there is nothing to wait for
                let _ = rustix::io::retry_on_intr(|| waitid(WaitId::Pid(group), options));
                self.lock().ended = true;
                self.bell.notify_all();
            };
            let waiter =
                told.and_then(|()| Builder::new().name("hook-wait".into()).spawn_scoped(scope, ending));
            let cut = waiter.map(|_| self.cut_off(config.timeout));
            // also what a program left behind that ended: the next run would not be the only one. It fails only where
            // nobody is left, or nobody who may be killed
            let _ = kill_process_group(group, Signal::KILL);
            cut
        });
        let status = child.wait()?;
        Ok(cut?.unwrap_or(Outcome::Ended(status)))
    }

    /// Waits for the end of the program; answers why it cannot be waited for any longer.
    fn cut_off(&self, limit: Duration) -> Option<Outcome> {
        let end = Instant::now() + limit;
        let mut state = self.lock();
        while !state.ended {
            let (at, outcome) = match state.last {
                Some(last) if last < end => (last, Outcome::CutOff),
                _ => (end, Outcome::TooLong(limit)),
            };
            let Some(left) = until(at) else { return Some(outcome) };
            state = self.wait(state, left);
        }
        None
    }
}

/// The time that is left until `at`; `None` where none is.
fn until(at: Instant) -> Option<Duration> {
    at.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
}

/// Starts the command in a process group of its own, in `/`, with a path and nothing else of an environment.
fn spawn(command: &[String]) -> io::Result<Child> {
    let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}

/// Writes the document, which the empty pipe takes at once, and closes the pipe.
fn hand_over(child: &mut Child, document: &[u8]) -> io::Result<()> {
    match child.stdin.take().map(|mut stdin| stdin.write_all(document)) {
        // a program need not read it
        Some(Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Tells how a run ended, and nothing of what it was told.
fn log(run: &Run) {
    let event = run.event.word();
    if run.lost > 0 {
        tracing::warn!(lost = run.lost, "the hook was not run each time: too much waited for it");
    }
    match &run.outcome {
        Outcome::Ended(status) if status.success() => tracing::debug!(event, "hook ended"),
        Outcome::Ended(status) => tracing::warn!(event, %status, "the hook failed"),
        Outcome::NotRun(error) => tracing::warn!(event, reason = %error, "the hook could not be run"),
        Outcome::TooLong(limit) => {
            tracing::warn!(event, limit_s = limit.as_secs(), "the hook took too long, and was ended");
        }
        Outcome::CutOff => tracing::warn!(event, "the hook was ended with the daemon"),
    }
}
