//! Starts the daemon and waits until it answers; waits until it is gone.

use crate::file::{absolute, create_private_dir};
use crate::output::text::printable;
use crate::session::{START_SERVER, Session};
use crate::stop::Stop;
use crate::surroundings::CLIENT_SECRETS;
use bursar_proto::PROTOCOL;
use bursar_proto::call::Hello;
use bursar_proto::client::Client;
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::reply::AgentStatus;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a daemon may take until it answers: opening a large store with a key file takes a fraction of it.
const START_LIMIT: Duration = Duration::from_secs(10);

/// How long a daemon may take to stop: it finishes what is under way first, exchanges among it.
const STOP_LIMIT: Duration = Duration::from_mins(1);

/// The first and the longest pause between two looks at the socket.
const PAUSES: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(100));

/// How much of the end of a log is shown, in bytes and lines.
const LOG_TAIL: (u64, usize) = (4096, 5);

/// The daemon's program.
const DAEMON: &str = "bursard";

/// Connects to the daemon; starts one where none answers. Says whether it did.
pub(crate) fn connect_or_start(session: &Session) -> Result<(Client, bool), Stop> {
    match session.connect() {
        Ok(client) => Ok((client, false)),
        Err(error) if error.name == ErrorName::DaemonUnreachable => {
            start(session).map(|client| (client, true))
        }
        // the agent of the server is not for this user, who may have one nevertheless
        Err(error) if error.name == ErrorName::Denied && session.places.candidates().len() > 1 => {
            start(session).map(|client| (client, true))
        }
        Err(error) => Err(error.into()),
    }
}

fn start(session: &Session) -> Result<Client, Stop> {
    if session.means_the_server() {
        let error = CallError::new(ErrorName::DaemonUnreachable, "the agent of this server does not run");
        return Err(error.hint(START_SERVER).into());
    }
    let log = log_path(session)?;
    let from = log.metadata.len();
    let mut child = spawn(session, log.file)?;
    let mut exited = None;
    let end = Instant::now() + START_LIMIT;
    let mut pause = PAUSES.0;
    loop {
        if let Ok(client) = greet(session, end) {
            return Ok(client);
        }
        // it ended and nobody else has come up in its place
        if let Some(status) = exited {
            let message = format!("{DAEMON} ended as it started ({status})");
            return Err(last_words(session, message, &tail(&log.path, from))
                .hint(format!("its log is {}", log.path.display())));
        }
        exited = child.try_wait().map_err(|error| cannot_run(&error))?;
        if exited.is_none() {
            if Instant::now() >= end {
                let seconds = START_LIMIT.as_secs();
                return Err(Stop::Failed(CallError::new(
                    ErrorName::DaemonUnreachable,
                    format!("{DAEMON} was started but does not answer after {seconds} s"),
                ))
                .hint(format!("its log is {}", log.path.display())));
            }
            sleep(pause);
            pause = (pause * 2).min(PAUSES.1);
        }
    }
}

/// The error of a daemon that ended; what it said stands on lines of its own, in JSON within the message.
fn last_words(session: &Session, message: String, said: &[String]) -> Stop {
    if said.is_empty() {
        return Stop::local(message);
    }
    if session.printer.json() {
        return Stop::local(format!("{message}: {}", said.join(" | ")));
    }
    for line in said {
        session.printer.note(&printable(line));
    }
    Stop::local(message)
}

/// Connects and makes sure that somebody answers.
fn greet(session: &Session, end: Instant) -> Result<Client, CallError> {
    let mut client = session.connect()?;
    let left = end.saturating_duration_since(Instant::now()).max(PAUSES.1);
    let unusable = |error: io::Error| CallError::new(ErrorName::Internal, error.kind().to_string());
    client.set_timeout(Some(left)).map_err(unusable)?;
    client.call(&Hello { protocol: Some(PROTOCOL) })?;
    client.set_timeout(None).map_err(unusable)?;
    Ok(client)
}

/// A daemon that is to end.
pub(crate) enum Ending {
    /// Known by its socket: when it is gone, nobody answers there. Another place that answers is another agent's.
    Socket(PathBuf),
    /// Known by its process, as systemd keeps the socket, and would start another one for whoever looks.
    Process(Option<OwnedFd>),
}

impl Ending {
    /// How the end of the daemon of `status` will be seen; asked before it is told to end.
    pub(crate) fn of(client: &Client, status: &AgentStatus) -> Result<Self, Stop> {
        if !status.activated {
            return Ok(Self::Socket(client.path().to_owned()));
        }
        let pid = i32::try_from(status.pid).ok().and_then(Pid::from_raw);
        match pid.map(|pid| pidfd_open(pid, PidfdFlags::empty())) {
            Some(Ok(process)) => Ok(Self::Process(Some(process))),
            // gone already
            Some(Err(Errno::SRCH)) => Ok(Self::Process(None)),
            _ => Err(Stop::local(format!("the agent's process {} cannot be watched", status.pid))
                .hint("stop it by its unit: systemctl stop bursar.service")),
        }
    }

    /// Waits until it is gone.
    pub(crate) fn await_it(self) -> Result<(), Stop> {
        let process = match self {
            Self::Socket(path) => return await_silence(&path),
            Self::Process(None) => return Ok(()),
            Self::Process(Some(process)) => process,
        };
        let limit = Timespec { tv_sec: i64::try_from(STOP_LIMIT.as_secs()).unwrap_or(i64::MAX), tv_nsec: 0 };
        let mut watched = [PollFd::new(&process, PollFlags::IN)];
        match retry_on_intr(|| poll(&mut watched, Some(&limit))) {
            Ok(0) => Err(still_there()),
            Ok(_) => Ok(()),
            Err(error) => Err(Stop::local(format!("the agent's end cannot be seen: {error}"))),
        }
    }
}

fn still_there() -> Stop {
    Stop::local(format!("the agent still answers after {} s", STOP_LIMIT.as_secs()))
}

/// Waits until nobody answers any more.
fn await_silence(socket: &Path) -> Result<(), Stop> {
    let end = Instant::now() + STOP_LIMIT;
    let mut pause = PAUSES.0;
    while UnixStream::connect(socket).is_ok() {
        if Instant::now() >= end {
            return Err(still_there());
        }
        sleep(pause);
        pause = (pause * 2).min(PAUSES.1);
    }
    Ok(())
}

struct Log {
    path: PathBuf,
    file: File,
    metadata: std::fs::Metadata,
}

fn log_path(session: &Session) -> Result<Log, Stop> {
    let dir = session.surroundings.state_dir().ok_or_else(|| {
        Stop::usage("no place for the agent's log: neither HOME nor BURSAR_HOME is set")
            .hint("set BURSAR_HOME to a directory of yours")
    })?;
    let dir = absolute(&dir)?;
    create_private_dir(&dir)?;
    let path = dir.join("bursar.log");
    let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
    let unwritable = |error: io::Error| Stop::unwritable(&path, &error);
    let file = opened.map_err(unwritable)?;
    let metadata = file.metadata().map_err(unwritable)?;
    Ok(Log { path, file, metadata })
}

fn spawn(session: &Session, log: File) -> Result<Child, Stop> {
    let mut command = without_client_secrets(Command::new(program()));
    // a socket that was said is said on; paths are absolute, for the daemon stands in no directory of ours
    if session.places.flag.is_some() || session.surroundings.sock.is_some() {
        command.arg("--socket").arg(absolute(&session.places.own())?);
    }
    if let Some(home) = &session.surroundings.home {
        command.env("BURSAR_HOME", absolute(Path::new(home))?);
    }
    command.current_dir("/").process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Stop::local(format!("{DAEMON} is neither beside bursar nor on PATH"))
            .hint(format!("install {DAEMON} beside bursar")),
        _ => cannot_run(&error),
    })
}

/// A program that we start for ourselves lives long, and its environment can be read: what is given to one command is not
/// for it.
pub(crate) fn without_client_secrets(mut command: Command) -> Command {
    for name in CLIENT_SECRETS {
        command.env_remove(name);
    }
    command
}

fn cannot_run(error: &io::Error) -> Stop {
    Stop::local(format!("cannot run {DAEMON}: {}", error.kind()))
}

/// The daemon beside this program; else its bare name, which is looked for on PATH.
fn program() -> PathBuf {
    let beside = std::env::current_exe().ok().map(|path| path.with_file_name(DAEMON));
    beside.filter(|path| path.is_file()).unwrap_or_else(|| PathBuf::from(DAEMON))
}

/// The last lines that were written to a log since it was `from` bytes long.
fn tail(path: &Path, from: u64) -> Vec<String> {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let from = from.max(file.metadata()?.len().saturating_sub(LOG_TAIL.0));
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(LOG_TAIL.0).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let last = lines.get(lines.len().saturating_sub(LOG_TAIL.1)..).unwrap_or_default();
    last.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_inherits_no_client_secret() {
        let command = without_client_secrets(Command::new(program()));
        let taken: Vec<_> = command.get_envs().filter(|(_, value)| value.is_none()).collect();
        assert_eq!(
            taken,
            CLIENT_SECRETS.map(|name| (name.as_ref(), None)).into_iter().rev().collect::<Vec<_>>()
        );
    }

    #[test]
    fn the_end_of_a_log_leaves_out_what_was_there_before() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("log");
        std::fs::write(&path, "old\n1\n2\n3\n4\n5\n6\n").unwrap();
        assert_eq!(tail(&path, 4), ["2", "3", "4", "5", "6"]);
        assert_eq!(tail(&path, 14), ["6"]);
        assert!(tail(&path, 16).is_empty());
        assert!(tail(&home.path().join("none"), 0).is_empty());
    }
}
