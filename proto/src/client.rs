//! A blocking client: one connection, one call at a time, buffers wiped.

use crate::call::Method;
use crate::error::{CallError, ErrorName};
use crate::frame::{Incoming, REPLY_MAX, RequestOut, UNDER_WAY_MAX};
use crate::reply::{AuditEntry, Changed, Missed};
use crate::socket::{SYSTEM, check_path};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::{Zeroize, Zeroizing};

/// How many calls of [`Client::call_all`] are under way at once: half of what the agent takes, and enough to keep it busy.
const IN_FLIGHT: usize = UNDER_WAY_MAX / 2;

/// How many bytes of them, where there is more than one: they fit the socket's buffer, so that neither end waits for the
/// other to read.
const IN_FLIGHT_BYTES: usize = 64 * 1024;

/// A connection to the daemon.
pub struct Client {
    stream: UnixStream,
    path: PathBuf,
    /// What was read; `start` is where the next line begins.
    input: Zeroizing<Vec<u8>>,
    start: usize,
    next_id: u64,
}

/// What a watching connection is told.
#[derive(Debug)]
pub enum Notification {
    /// A change.
    Changed(Changed),
    /// Changes, or entries, that were not told.
    Missed(Missed),
    /// An entry of the record of accesses.
    Audited(Box<AuditEntry>),
}

impl Client {
    /// Connects to the first of `candidates` that answers.
    ///
    /// # Errors
    /// [`ErrorName::DaemonUnreachable`] with the place that was tried, `Denied` where this user may not go there, or
    /// `Invalid` for a path that is too long.
    pub fn connect(candidates: &[PathBuf]) -> Result<Self, CallError> {
        let mut last: Option<(&Path, io::Error)> = None;
        for path in candidates {
            check_path(path).map_err(|error| CallError::new(ErrorName::Invalid, error.to_string()))?;
            match UnixStream::connect(path) {
                Ok(stream) => {
                    check_peer(&stream, path)?;
                    return Ok(Self {
                        stream,
                        path: path.clone(),
                        input: Zeroizing::new(Vec::new()),
                        start: 0,
                        next_id: 1,
                    });
                }
                // the place that exists but refuses says more than the ones that are not there
                Err(error) if last.is_none() || error.kind() != io::ErrorKind::NotFound => {
                    last = Some((path, error));
                }
                Err(_) => {}
            }
        }
        let reason = match last {
            Some((path, error)) if error.kind() == io::ErrorKind::PermissionDenied => {
                let message = format!("the agent at {} belongs to another user", path.display());
                let error = CallError::new(ErrorName::Denied, message);
                return Err(if path == Path::new(SYSTEM) {
                    error.hint(
                        "a server's agent is for the members of a group: see ls -l /run/bursar/bursar.sock",
                    )
                } else {
                    error
                });
            }
            Some((path, error)) if error.kind() == io::ErrorKind::NotFound => {
                format!("no agent runs: there is no socket at {}", path.display())
            }
            Some((path, error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                format!("no agent runs: nobody answers at {}", path.display())
            }
            Some((path, error)) => format!("no agent at {}: {}", path.display(), error.kind()),
            None => "no place to look for a socket".to_owned(),
        };
        Err(CallError::new(ErrorName::DaemonUnreachable, reason).hint("start one: bursar agent start"))
    }

    /// The socket that answered.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bounds how long a call may wait for its answer; `None` waits for ever.
    ///
    /// # Errors
    /// The system refuses the option.
    pub fn set_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.stream.set_read_timeout(timeout)
    }

    /// Makes a call and waits for its answer.
    ///
    /// # Errors
    /// The daemon's error as it stands, or [`ErrorName::DaemonUnreachable`] where the connection breaks.
    pub fn call<M: Method>(&mut self, method: &M) -> Result<M::Reply, CallError> {
        let (id, line) = self.request(method)?;
        self.send(&line)?;
        drop(line);
        loop {
            let line = self.line()?;
            let incoming: Incoming<'_> = parse(&self.input[line.clone()])?;
            if let Some(error) = incoming.error {
                return Err(error.into());
            }
            if incoming.id == Some(id) {
                let result = incoming.result.map_or("null", serde_json::value::RawValue::get);
                let reply = serde_json::from_str(result).map_err(|_| unreadable());
                self.wipe(line);
                return reply;
            }
        }
    }

    /// Makes many calls of one method over this connection, some dozens of them at once, and answers in their order.
    /// `done` hears how many have been answered.
    ///
    /// # Errors
    /// The outer one where the connection breaks; the daemon's own stand in the place of the answer that they are.
    pub fn call_all<M: Method>(
        &mut self,
        methods: &[M],
        mut done: impl FnMut(usize),
    ) -> Result<Vec<Result<M::Reply, CallError>>, CallError> {
        let first = self.next_id;
        let mut replies: Vec<Option<Result<M::Reply, CallError>>> = methods.iter().map(|_| None).collect();
        let mut lengths = Vec::with_capacity(methods.len());
        let (mut answered, mut under_way) = (0, 0);
        let mut waiting = None;
        while answered < methods.len() {
            while lengths.len() < methods.len() && lengths.len() - answered < IN_FLIGHT {
                let line = match waiting.take() {
                    Some(line) => line,
                    None => self.request(&methods[lengths.len()])?.1,
                };
                if under_way > 0 && under_way + line.len() > IN_FLIGHT_BYTES {
                    waiting = Some(line);
                    break;
                }
                self.send(&line)?;
                lengths.push(line.len());
                under_way += line.len();
            }
            let line = self.line()?;
            let incoming: Incoming<'_> = parse(&self.input[line.clone()])?;
            let place =
                incoming.id.and_then(|id| id.checked_sub(first)).and_then(|at| usize::try_from(at).ok());
            let reply = match (incoming.error, incoming.result) {
                (Some(error), _) => Err(error.into()),
                (None, Some(result)) => Ok(serde_json::from_str(result.get()).map_err(|_| unreadable())?),
                // a notification
                (None, None) => continue,
            };
            self.wipe(line);
            match (place.and_then(|at| replies.get_mut(at)), reply) {
                (Some(slot @ None), reply) => {
                    *slot = Some(reply);
                    under_way -= place.and_then(|at| lengths.get(at)).copied().unwrap_or_default();
                }
                // an error that is no call's is the connection's
                (_, Err(error)) => return Err(error),
                _ => return Err(unreadable()),
            }
            answered += 1;
            done(answered);
        }
        Ok(replies.into_iter().flatten().collect())
    }

    /// A call's id and its line.
    fn request<M: Method>(&mut self, method: &M) -> Result<(u64, Zeroizing<Vec<u8>>), CallError> {
        let id = self.next_id;
        self.next_id += 1;
        let mut line = Zeroizing::new(Vec::with_capacity(256));
        let request = RequestOut { jsonrpc: "2.0", id, method: M::NAME, params: method };
        serde_json::to_writer(&mut *line, &request).map_err(|_| unreadable())?;
        line.push(b'\n');
        Ok((id, line))
    }

    /// Sends a line; [`Self::call`] reads its answer.
    ///
    /// # Errors
    /// [`ErrorName::DaemonUnreachable`] where the connection breaks.
    fn send(&mut self, line: &[u8]) -> Result<(), CallError> {
        match self.stream.write_all(line) {
            Ok(()) => Ok(()),
            // who turns us away says why and closes, perhaps before we have written
            Err(error) => {
                match self.line().and_then(|line| parse(&self.input[line])?.error.ok_or_else(unreadable)) {
                    Ok(told) => Err(told.into()),
                    Err(_) => Err(self.broken(&error)),
                }
            }
        }
    }

    /// Waits for the next notification, after a call of `artifact.watch` or `audit.watch`.
    ///
    /// # Errors
    /// [`ErrorName::DaemonUnreachable`] where the connection breaks.
    pub fn next_notification(&mut self) -> Result<Notification, CallError> {
        loop {
            let line = self.line()?;
            let incoming: Incoming<'_> = parse(&self.input[line])?;
            let params = incoming.params.map_or("null", serde_json::value::RawValue::get);
            match incoming.method {
                Some("artifact.changed") => {
                    return serde_json::from_str(params).map(Notification::Changed).map_err(|_| unreadable());
                }
                Some("artifact.missed" | "audit.missed") => {
                    return serde_json::from_str(params).map(Notification::Missed).map_err(|_| unreadable());
                }
                Some("audit.entry") => {
                    return serde_json::from_str(params).map(Notification::Audited).map_err(|_| unreadable());
                }
                _ => {
                    if let Some(error) = incoming.error {
                        return Err(error.into());
                    }
                }
            }
        }
    }

    /// Reads until a whole line lies in the buffer; answers where.
    fn line(&mut self) -> Result<std::ops::Range<usize>, CallError> {
        let mut searched = self.start;
        loop {
            if let Some(at) = self.input[searched..].iter().position(|&b| b == b'\n') {
                let line = self.start..searched + at;
                self.start = line.end + 1;
                return Ok(line);
            }
            searched = self.input.len();
            if self.start > 0 {
                let rest = self.input.split_off(self.start);
                self.input.zeroize();
                *self.input = rest;
                searched -= self.start;
                self.start = 0;
            }
            if self.input.len() > REPLY_MAX {
                return Err(CallError::new(ErrorName::Internal, "the agent's answer is over 64 MiB"));
            }
            let mut chunk = Zeroizing::new([0_u8; 16 * 1024]);
            let read = loop {
                match self.stream.read(&mut *chunk) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    read => break read.map_err(|error| self.broken(&error))?,
                }
            };
            if read == 0 {
                return Err(CallError::new(ErrorName::DaemonUnreachable, "the agent closed the connection")
                    .hint("see whether it runs: bursar agent status"));
            }
            grow_wiped(&mut self.input, read);
            self.input.extend_from_slice(&chunk[..read]);
        }
    }

    fn wipe(&mut self, line: std::ops::Range<usize>) {
        self.input[line].zeroize();
    }

    fn broken(&self, error: &io::Error) -> CallError {
        let reason = match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                "the agent did not answer in time".to_owned()
            }
            kind => format!("the connection to {} broke: {kind}", self.path.display()),
        };
        CallError::new(ErrorName::DaemonUnreachable, reason).hint("see whether it runs: bursar agent status")
    }
}

/// Makes sure that the process on the other end may be told secrets: it runs as this user or as root, or it is the
/// system's agent, whose directory only root can make. Anybody can put a socket into a directory for all.
fn check_peer(stream: &UnixStream, path: &Path) -> Result<(), CallError> {
    let own = rustix::process::geteuid();
    let trusted = match rustix::net::sockopt::socket_peercred(stream) {
        Ok(peer) => peer.uid == own || peer.uid.is_root() || path == Path::new(SYSTEM),
        Err(_) => false,
    };
    if trusted {
        return Ok(());
    }
    let message = format!("the process at {} runs as another user, and is told nothing", path.display());
    Err(CallError::new(ErrorName::Denied, message).hint("name your own agent's socket: --socket PATH"))
}

/// Makes room for `more` bytes without leaving a copy of the old ones behind.
fn grow_wiped(buffer: &mut Zeroizing<Vec<u8>>, more: usize) {
    if buffer.capacity() - buffer.len() < more {
        let mut grown = Vec::with_capacity((buffer.len() + more).next_power_of_two().max(4096));
        grown.extend_from_slice(buffer);
        buffer.zeroize();
        **buffer = grown;
    }
}

fn parse(line: &[u8]) -> Result<Incoming<'_>, CallError> {
    serde_json::from_slice(line).map_err(|_| unreadable())
}

fn unreadable() -> CallError {
    CallError::new(ErrorName::Incompatible, "the agent's answer cannot be read")
        .hint("client and agent may differ in version: bursar agent status")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::SecretShow;
    use crate::call::{ElementDelete, WorkspaceShow};
    use std::io::{BufRead, BufReader};

    /// A client of `agent`, which has the other end.
    fn client<T: Send + 'static>(
        agent: impl FnOnce(UnixStream) -> T + Send + 'static,
    ) -> (Client, std::thread::JoinHandle<T>) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let client = Client {
            stream: ours,
            path: "pair".into(),
            input: Zeroizing::new(Vec::new()),
            start: 0,
            next_id: 7,
        };
        (client, std::thread::spawn(move || agent(theirs)))
    }

    fn id(line: &str) -> u64 {
        serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].as_u64().unwrap()
    }

    fn deletes(count: usize) -> Vec<ElementDelete> {
        (0..count).map(|at| ElementDelete { element: format!("e{at}").parse().unwrap() }).collect()
    }

    #[test]
    fn answers_come_in_the_order_of_their_calls() {
        let (mut client, agent) = client(|mut stream| {
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
            // the later one first, and a notification between them; the second of each pair fails
            for _ in 0..5 {
                let (one, two) = (id(&lines.next().unwrap()), id(&lines.next().unwrap()));
                let error = r#"{"code":-32030,"message":"none","data":{"name":"not_found","hint":null}}"#;
                writeln!(stream, r#"{{"jsonrpc":"2.0","id":{two},"error":{error}}}"#).unwrap();
                writeln!(stream, r#"{{"jsonrpc":"2.0","method":"artifact.missed","params":{{"count":1}}}}"#)
                    .unwrap();
                writeln!(stream, r#"{{"jsonrpc":"2.0","id":{one},"result":{{}}}}"#).unwrap();
            }
        });
        let mut told = Vec::new();
        let replies = client.call_all(&deletes(10), |done| told.push(done)).unwrap();
        let good: Vec<bool> = replies.iter().map(Result::is_ok).collect();
        assert_eq!(good, [true, false].repeat(5));
        assert_eq!(told, (1..=10).collect::<Vec<_>>());
        agent.join().unwrap();
    }

    #[test]
    fn an_error_of_no_call_is_the_connections() {
        let (mut client, agent) = client(|mut stream| {
            let error = r#"{"code":-32004,"message":"stopping","data":{"name":"stopping","hint":null}}"#;
            writeln!(stream, r#"{{"jsonrpc":"2.0","id":null,"error":{error}}}"#).unwrap();
            stream
        });
        let told = client.call_all(&deletes(3), |_| ()).unwrap_err();
        assert_eq!(told.name, ErrorName::Stopping);
        agent.join().unwrap();
    }

    #[test]
    fn no_more_is_sent_than_is_taken_at_once() {
        let (mut client, agent) = client(|mut stream| {
            let mut most = 0;
            let mut left = 200;
            let mut chunk = vec![0; 1024 * 1024];
            stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
            let mut unanswered = Vec::new();
            while left > 0 {
                // reads until nothing more comes: that is all that the client sends unanswered
                while let Ok(read @ 1..) = stream.read(&mut chunk) {
                    unanswered.extend_from_slice(&chunk[..read]);
                }
                let text = String::from_utf8(std::mem::take(&mut unanswered)).unwrap();
                let count = text.lines().count();
                most = most.max(count);
                left -= count;
                for line in text.lines() {
                    writeln!(stream, r#"{{"jsonrpc":"2.0","id":{},"result":{{}}}}"#, id(line)).unwrap();
                }
            }
            most
        });
        client.call_all(&deletes(200), |_| ()).unwrap();
        assert_eq!(agent.join().unwrap(), IN_FLIGHT);
    }

    #[test]
    fn long_calls_go_one_after_the_other() {
        let long = || WorkspaceShow { workspace: "x".repeat(IN_FLIGHT_BYTES / 2 + 1) };
        let (mut client, agent) = client(|mut stream| {
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
            for _ in 0..3 {
                let line = lines.next().unwrap();
                stream.set_nonblocking(true).unwrap();
                let waiting = stream.read(&mut [0; 1]).is_err();
                stream.set_nonblocking(false).unwrap();
                assert!(waiting, "another call came before the answer to a long one");
                let empty = r#"{"workspace":"/w","trusted":null,"environment":null,"synced_at":null,"files":[],"deleted":[]}"#;
                writeln!(stream, r#"{{"jsonrpc":"2.0","id":{},"result":{empty}}}"#, id(&line)).unwrap();
            }
        });
        let replies = client.call_all(&[long(), long(), long()], |_| ()).unwrap();
        assert!(replies.iter().all(Result::is_ok));
        agent.join().unwrap();
    }

    #[test]
    fn a_calls_size_is_that_of_its_line() {
        let (mut client, agent) = client(drop);
        let call = SecretShow { secret: "acme/x".parse().unwrap() };
        client.next_id = u64::MAX - 1;
        let (_, line) = client.request(&call).unwrap();
        assert_eq!(crate::frame::size_of(&call), line.len() - 1);
        agent.join().unwrap();
    }
}
