//! One connection: lines in, lines out, time limits. A whole burst of requests is read, handled and answered
//! with one write; what has to wait answers later, by its id.

use super::envelope::{decode, parse, write_error, write_head, write_notification};
use super::patience::Patience;
use super::peer::Caller;
use super::session::{Party, Session};
use crate::agent::{Agent, Got, Wanted};
use crate::policy::Policy;
use bursar_proto::call::{ArtifactWatch, AuditWatch, Authenticate, Call, Method as _, QuickGet};
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::frame::{REQUEST_MAX, UNDER_WAY_MAX};
use bursar_proto::name::Qualified;
use bursar_proto::reply::{AuditEntry, Changed, Missed};
use memchr::memchr;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::{broadcast, mpsc};

/// Room for what is read at once, in bytes: many requests, and most of the long ones.
const READ: usize = 4 * 1024;

/// How much is answered with one write, in bytes; what a burst asks beyond that waits for the next.
const WRITE: usize = 64 * 1024;

/// How long a peer may take to read an answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// A buffer that grew beyond this, in bytes, is given back.
const BUFFER_KEPT: usize = 2 * WRITE;

/// Serves `stream` until the peer leaves, breaks a limit, or the daemon stops.
pub(crate) async fn serve(agent: Arc<Agent>, stream: UnixStream, caller: Caller) {
    let limits = agent.config().socket;
    let connection = Connection {
        agent,
        stream,
        party: Party::new(Arc::new(caller)),
        input: Vec::with_capacity(READ),
        searched: 0,
        handled: false,
        output: Vec::new(),
        answers: None,
        under_way: 0,
        paused: false,
        watch: None,
        audit_watch: None,
        patience: Patience::new(limits),
    };
    connection.run().await;
}

struct Connection {
    agent: Arc<Agent>,
    stream: UnixStream,
    party: Arc<Party>,
    /// What was read and not handled yet.
    input: Vec<u8>,
    /// How much of it is known to hold no newline.
    searched: usize,
    /// Whether a whole line has come since the time limits were last looked at.
    handled: bool,
    output: Vec<u8>,
    /// Where requests that wait send their answers to; made for the first of them.
    answers: Option<Answers>,
    under_way: usize,
    /// Whole lines may be left in the input, because too many requests were under way.
    paused: bool,
    watch: Option<Watch>,
    audit_watch: Option<AuditWatched>,
    patience: Patience,
}

struct Answers {
    go: mpsc::Sender<Vec<u8>>,
    come: mpsc::Receiver<Vec<u8>>,
}

struct Watch {
    changes: broadcast::Receiver<Arc<Changed>>,
    only: Option<Qualified>,
}

struct AuditWatched {
    entries: broadcast::Receiver<Arc<AuditEntry>>,
    wanted: Wanted,
}

enum Event {
    Read(std::io::Result<usize>),
    Answered(Vec<u8>),
    Change(Result<Arc<Changed>, broadcast::error::RecvError>),
    Audited(Result<Arc<AuditEntry>, broadcast::error::RecvError>),
    OutOfPatience,
    Stopping,
}

impl Connection {
    async fn run(mut self) {
        let shutdown = self.agent.shutdown.clone();
        let mut stopping = pin!(shutdown.cancelled());
        loop {
            let event = tokio::select! {
                biased;
                read = self.stream.read_buf(&mut self.input), if !self.paused => Event::Read(read),
                answer = next_answer(&mut self.answers) => Event::Answered(answer),
                change = next_change(&mut self.watch) => Event::Change(change),
                entry = next_entry(&mut self.audit_watch) => Event::Audited(entry),
                () = &mut stopping => Event::Stopping,
                () = self.patience.run_out() => Event::OutOfPatience,
            };
            let goes_on = match event {
                Event::Read(Err(_)) => return,
                // the peer has said all, or the daemon stops: what was asked is still answered
                Event::Read(Ok(read)) if read == 0 || shutdown.is_cancelled() => {
                    self.drain().await;
                    false
                }
                Event::Read(Ok(_)) => self.handle_burst().await,
                Event::Answered(answer) => {
                    self.take_answer(answer);
                    while let Some(answer) =
                        self.answers.as_mut().and_then(|answers| answers.come.try_recv().ok())
                    {
                        self.take_answer(answer);
                    }
                    !self.paused || self.handle_burst().await
                }
                Event::Change(change) => {
                    self.notify(change);
                    true
                }
                Event::Audited(entry) => {
                    self.notify_entry(entry);
                    true
                }
                Event::OutOfPatience => {
                    // whoever waits for us is not slow
                    let watches = self.watch.is_some() || self.audit_watch.is_some();
                    if self.under_way > 0 || (watches && self.input.is_empty()) {
                        self.patience.idle();
                        continue;
                    }
                    let error = CallError::new(ErrorName::TooSlow, self.patience.complaint());
                    write_error(&mut self.output, None, error);
                    false
                }
                Event::Stopping => {
                    self.drain().await;
                    false
                }
            };
            if !self.flush().await || !goes_on {
                return;
            }
            self.patience.next(std::mem::take(&mut self.handled), self.input.is_empty());
        }
    }

    fn take_answer(&mut self, mut answer: Vec<u8>) {
        self.under_way -= 1;
        self.output.extend_from_slice(&answer);
        wipe(&mut answer);
    }

    /// Waits for what is under way.
    async fn drain(&mut self) {
        while self.under_way > 0 {
            let answer = next_answer(&mut self.answers).await;
            self.take_answer(answer);
        }
    }

    /// Writes what has gathered, in one go. False if the peer is gone or does not read.
    async fn flush(&mut self) -> bool {
        if self.output.is_empty() {
            return true;
        }
        let written = match self.stream.try_write(&self.output) {
            Ok(written) if written == self.output.len() => true,
            Ok(written) => self.write_rest(written).await,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => self.write_rest(0).await,
            Err(_) => false,
        };
        wipe(&mut self.output);
        written
    }

    async fn write_rest(&mut self, from: usize) -> bool {
        let write = self.stream.write_all(&self.output[from..]);
        matches!(tokio::time::timeout(WRITE_TIMEOUT, write).await, Ok(Ok(())))
    }

    /// Handles every whole line, and writes as often as the output gets large. False if the connection has to end.
    async fn handle_burst(&mut self) -> bool {
        let mut input = std::mem::take(&mut self.input);
        let mut start = 0;
        let mut fits = true;
        self.paused = false;
        while let Some(length) = memchr(b'\n', &input[self.searched.max(start)..]) {
            self.paused = self.under_way >= UNDER_WAY_MAX;
            if self.paused {
                break;
            }
            self.handled = true;
            let end = self.searched.max(start) + length;
            fits = end - start <= REQUEST_MAX;
            if !fits {
                break;
            }
            self.handle_line(&input[start..end]);
            start = end + 1;
            if self.output.len() >= WRITE && !self.flush().await {
                wipe(&mut input);
                return false;
            }
        }
        let rest = input.len() - start;
        let goes_on = fits && (self.paused || rest <= REQUEST_MAX);
        if goes_on {
            input.copy_within(start.., 0);
        } else {
            let error =
                CallError::new(ErrorName::LineTooLong, format!("a request has at most {REQUEST_MAX} bytes"));
            write_error(&mut self.output, None, error);
        }
        // what was handled, and the tail that moved to the front, may hold credentials
        input[rest..].fill(0);
        black_box(&mut input[..]);
        input.truncate(rest);
        if rest == 0 && input.capacity() > BUFFER_KEPT {
            input = Vec::new();
        }
        if input.capacity() - rest < READ {
            input.reserve(READ.max(rest));
        }
        self.searched = if self.paused { 0 } else { rest };
        self.input = input;
        goes_on
    }

    fn handle_line(&mut self, line: &[u8]) {
        if line.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        let request = match parse(line) {
            Ok(request) => request,
            Err((id, error)) => {
                // what meant to give rights away and was not understood must not leave them
                if [b"client_secret".as_slice(), b"authenticate"].iter().any(|word| holds(line, word)) {
                    self.deprive();
                }
                return write_error(&mut self.output, id, error);
            }
        };
        let id = request.id;
        if request.method == "artifact.get"
            && let Some(get) = QuickGet::read(request.params)
        {
            return self.handle_get(id, request.params, get);
        }
        if request.method == Authenticate::NAME {
            // it takes the rights away that were there before, whatever comes of it
            self.deprive();
        }
        match decode(&request) {
            Err(error) => {
                // a misspelt name is no reason to go on with the rights of before
                if error.name == ErrorName::UnknownMethod && holds(line, b"\"client_secrets\"") {
                    self.deprive();
                }
                write_error(&mut self.output, Some(id), error);
            }
            Ok(Call::Authenticate(call)) => self.authenticate(id, call),
            Ok(Call::ArtifactWatch(watch)) => self.start_watch(id, watch),
            Ok(Call::AuditWatch(watch)) => self.start_audit_watch(id, watch),
            Ok(call) => self.spawn(id, call),
        }
    }

    /// Takes all rights of the connection away.
    fn deprive(&mut self) {
        self.watch = None;
        self.audit_watch = None;
        self.party = self.party.authenticated(Session::default());
    }

    /// The call that is made most: answered here and now unless it has to wait.
    fn handle_get(&mut self, id: &str, params: Option<&str>, get: QuickGet<'_>) {
        let start = self.output.len();
        write_head(&mut self.output, id);
        let secret = get.secret;
        let got = Policy::authorize(&self.party.bare_principal(), get, &[])
            .and_then(|get| self.agent.get_now(get, &self.party, &mut self.output));
        match got {
            Ok(Got::Written) => self.output.extend_from_slice(b"}\n"),
            Ok(Got::Waits(_)) => {
                self.output.truncate(start);
                match Call::decode("artifact.get", params) {
                    Some(Ok(call)) => self.spawn(id, call),
                    Some(Err(invalid)) => write_error(&mut self.output, Some(id), invalid.into()),
                    None => {}
                }
            }
            Err(error) => {
                self.output.truncate(start);
                self.agent.record_refused_get(&self.party, secret, error.name);
                write_error(&mut self.output, Some(id), error);
            }
        }
    }

    /// Answered here and now, so that whatever comes behind it on this connection has the new rights.
    fn authenticate(&mut self, id: &str, call: Authenticate) {
        let (party, answer) = self.agent.authenticate(call, &self.party);
        self.party = party;
        match answer {
            Ok(result) => {
                write_head(&mut self.output, id);
                self.output.extend_from_slice(&result);
                self.output.extend_from_slice(b"}\n");
            }
            Err(error) => write_error(&mut self.output, Some(id), error),
        }
    }

    /// Watches from now on, so that nothing is lost between the answer and the first notification.
    fn start_watch(&mut self, id: &str, watch: ArtifactWatch) {
        let agent = &self.agent;
        let mut begun = None;
        let secret = watch.secret.clone().map(|name| agent.resolve(name));
        let started = agent.authorize_watch(&self.party, watch, ArtifactWatch::NAME, secret, |watch| {
            begun = Some(Watch { changes: agent.changes(), only: agent.watch(&watch)? });
            Ok(())
        });
        if started.is_ok() {
            self.watch = begun;
        }
        self.answer_watch(id, started);
    }

    fn start_audit_watch(&mut self, id: &str, watch: AuditWatch) {
        let agent = &self.agent;
        let mut begun = None;
        let secret = watch.secret.clone().map(|name| agent.resolve(name));
        let started = agent.authorize_watch(&self.party, watch, AuditWatch::NAME, secret, |watch| {
            begun = Some(AuditWatched { entries: agent.audit.watch(), wanted: agent.audit_watch(watch)? });
            Ok(())
        });
        if started.is_ok() {
            self.audit_watch = begun;
        }
        self.answer_watch(id, started);
    }

    fn answer_watch(&mut self, id: &str, started: Result<(), CallError>) {
        match started {
            Ok(()) => {
                write_head(&mut self.output, id);
                self.output.extend_from_slice(b"{}}\n");
            }
            Err(error) => write_error(&mut self.output, Some(id), error),
        }
    }

    /// Handles a call beside the connection; it goes on even if the peer leaves.
    fn spawn(&mut self, id: &str, call: Call) {
        self.under_way += 1;
        let answers = self.answers.get_or_insert_with(|| {
            let (go, come) = mpsc::channel(UNDER_WAY_MAX);
            Answers { go, come }
        });
        let (agent, party, answers, id) =
            (self.agent.clone(), self.party.clone(), answers.go.clone(), id.to_owned());
        self.agent.tasks.spawn(async move {
            let method = call.method();
            let answer = agent.serve(call, &party).await;
            let mut line = Vec::new();
            match answer {
                Ok(result) => {
                    line.reserve(result.len() + id.len() + 64);
                    write_head(&mut line, &id);
                    line.extend_from_slice(&result);
                    line.extend_from_slice(b"}\n");
                }
                Err(error) => {
                    tracing::debug!(method, outcome = %error.name, "a request was not carried out");
                    write_error(&mut line, Some(&id), error);
                }
            }
            // the peer may have left
            drop(answers.send(line).await);
        });
    }

    fn notify(&mut self, change: Result<Arc<Changed>, broadcast::error::RecvError>) {
        match change {
            Ok(changed) => {
                let wanted = self
                    .watch
                    .as_ref()
                    .is_some_and(|watch| watch.only.as_ref().is_none_or(|only| *only == changed.secret));
                if wanted {
                    write_notification(&mut self.output, "artifact.changed", &*changed);
                }
            }
            Err(broadcast::error::RecvError::Lagged(count)) => {
                write_notification(&mut self.output, "artifact.missed", &Missed { count });
            }
            Err(broadcast::error::RecvError::Closed) => self.watch = None,
        }
    }

    fn notify_entry(&mut self, entry: Result<Arc<AuditEntry>, broadcast::error::RecvError>) {
        match entry {
            Ok(entry) => {
                if self.audit_watch.as_ref().is_some_and(|watch| watch.wanted.shows(&entry)) {
                    write_notification(&mut self.output, "audit.entry", &*entry);
                }
            }
            Err(broadcast::error::RecvError::Lagged(count)) => {
                write_notification(&mut self.output, "audit.missed", &Missed { count });
            }
            Err(broadcast::error::RecvError::Closed) => self.audit_watch = None,
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        wipe(&mut self.input);
        wipe(&mut self.output);
    }
}

/// Whether `word` stands anywhere in a line.
fn holds(line: &[u8], word: &[u8]) -> bool {
    memchr::memmem::find(line, word).is_some()
}

async fn next_answer(answers: &mut Option<Answers>) -> Vec<u8> {
    if let Some(answers) = answers
        && let Some(answer) = answers.come.recv().await
    {
        return answer;
    }
    std::future::pending().await
}

async fn next_change(watch: &mut Option<Watch>) -> Result<Arc<Changed>, broadcast::error::RecvError> {
    match watch {
        Some(watch) => watch.changes.recv().await,
        None => std::future::pending().await,
    }
}

async fn next_entry(
    watch: &mut Option<AuditWatched>,
) -> Result<Arc<AuditEntry>, broadcast::error::RecvError> {
    match watch {
        Some(watch) => watch.entries.recv().await,
        None => std::future::pending().await,
    }
}

/// Empties a buffer and leaves no trace in it.
fn wipe(buffer: &mut Vec<u8>) {
    buffer.fill(0);
    // the compiler must believe that somebody looks
    black_box(&mut buffer[..]);
    buffer.clear();
    if buffer.capacity() > BUFFER_KEPT {
        *buffer = Vec::new();
    }
}
