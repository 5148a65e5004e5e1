//! Where log lines go: to the journal with their fields, where standard error is the journal; otherwise to standard error as text.
//!
//! | field of a line | in the journal |
//! |---|---|
//! | what happened, and the fields in words behind it | `MESSAGE` |
//! | `secret`, `environment`, `caller`, `method`, `outcome`, `reason`, … | `BURSAR_SECRET`, `BURSAR_ENVIRONMENT`, … |
//! | `error`, `warn`, `info`, `debug` and `trace` | `PRIORITY` 3, 4, 6, 7 |
//!
//! What a caller is refused, and what it changes, is a line each ([`Agent::log_access`]), within the limits of `noise`; what is only
//! read is in the record of accesses. A line never holds a value, or what a caller sent and nobody vouches for.

use crate::agent::Agent;
use crate::audit::{Entry, OK};
use crate::config;
use crate::noise::Kind;
use bursar_proto::error::ErrorName;
use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tracing::field::{Field, Visit, display};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

/// Where journald listens for lines with fields.
const SOCKET: &str = "/run/systemd/journal/socket";

/// The name under which `journalctl -t` finds them.
const IDENTIFIER: &str = "bursard";

/// The longest value of a field, in bytes; what is longer is cut. All that a line has fits into one datagram.
const VALUE_MAX: usize = 8 * 1024;

/// Sends log lines from now on where they belong. Of libraries, only warnings count. One who `lives_briefly` writes to the stream: of a
/// process that has ended journald cannot tell the unit.
pub(crate) fn start(level: LevelFilter, lives_briefly: bool) {
    let wanted = Targets::new()
        .with_target(env!("CARGO_CRATE_NAME"), level)
        .with_default(level.min(LevelFilter::WARN));
    if is_stderr() {
        let socket = UnixDatagram::unbound().ok().filter(|_| !lives_briefly);
        let socket = socket.filter(|socket| socket.set_nonblocking(true).is_ok());
        let journal = Journal { socket, lost: AtomicU64::new(0) };
        tracing_subscriber::registry().with(journal.with_filter(wanted)).init();
    } else {
        let text =
            tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(false).with_target(false);
        tracing_subscriber::registry().with(text.with_filter(wanted)).init();
    }
}

/// Whether standard error is the stream that systemd connected with the journal, and not one that it was redirected to since.
fn is_stderr() -> bool {
    let stderr = rustix::fs::fstat(io::stderr()).ok();
    stderr
        .zip(config::journal_stream())
        .is_some_and(|(stderr, stream)| (stderr.st_dev, stderr.st_ino) == stream)
}

struct Journal {
    socket: Option<UnixDatagram>,
    /// Lines that it did not take since the last one that it took.
    lost: AtomicU64,
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        let level = priority(*event.metadata().level());
        match self.send(&line, level) {
            Ok(()) => {}
            // it stands still, and so would who waited for it
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.lost.fetch_add(1, Ordering::Relaxed);
                return;
            }
            Err(_) => {
                // systemd keeps the stream, and reads the priority
                let text = line.message.replace('\n', " ");
                let _ = writeln!(io::stderr(), "<{level}>{text}");
            }
        }
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let message = format!("{lost} lines are missing here: the journal stood still");
            // as lost as they are, if that fails
            drop(self.send(&Line { message, ..Line::default() }, priority(Level::WARN)));
        }
    }
}

impl Journal {
    fn send(&self, line: &Line, priority: u8) -> io::Result<()> {
        let socket = self.socket.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        socket.send_to(&line.datagram(priority), SOCKET).map(drop)
    }
}

/// The priority of syslog(3). What is usual is no notice: those who look for notices have not asked for it.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

/// A line on its way.
#[derive(Default)]
struct Line {
    /// What happened, and behind it the fields in words.
    message: String,
    fields: Vec<u8>,
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field.name(), &format!("{value:?}"));
    }
}

impl Line {
    fn take(&mut self, name: &str, value: &str) {
        let value: String = value.chars().map(|c| if steers(c) { ' ' } else { c }).collect();
        let value = &value[..value.floor_char_boundary(VALUE_MAX)];
        if name == "message" {
            // a message comes before the fields, whatever the order
            self.message.insert_str(0, value);
            return;
        }
        // writing into memory does not fail
        let _ = write!(self.message, " {name}={value}");
        let name = name.to_ascii_uppercase();
        put(&mut self.fields, &format!("BURSAR_{name}"), value);
    }

    fn datagram(&self, priority: u8) -> Vec<u8> {
        let mut datagram = self.fields.clone();
        put(&mut datagram, "MESSAGE", &self.message);
        put(&mut datagram, "PRIORITY", &priority.to_string());
        put(&mut datagram, "SYSLOG_IDENTIFIER", IDENTIFIER);
        datagram
    }
}

/// What would move a terminal's cursor. Line ends stay: a mistake in the config is shown with its place.
fn steers(c: char) -> bool {
    c.is_control() && c != '\n'
}

/// Appends a field as journald reads it: in one line, or with its length where it has several.
fn put(to: &mut Vec<u8>, name: &str, value: &str) {
    to.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        to.push(b'\n');
        to.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        to.push(b'=');
    }
    to.extend_from_slice(value.as_bytes());
    to.push(b'\n');
}

impl Agent {
    /// Tells how a request ended, if it was refused or changed something.
    pub(crate) fn log_access(self: &Arc<Self>, entry: &Entry, outcome: &str, changed: bool) {
        let refused = is_refusal(outcome);
        // what a unit is handed or refused is told with the reason, where it is decided
        let told = refused || changed && outcome == OK;
        if !told || entry.is_of_unit() {
            return;
        }
        let Entry { method, pid, .. } = *entry;
        let caller = entry.uid.map_or_else(|| entry.principal.to_string(), |uid| format!("uid {uid}"));
        let principal = &*entry.principal;
        let kind = if refused { Kind::Refused } else { Kind::Done };
        self.log_of(kind, &caller, || {
            let secret = entry.secret.as_ref();
            let environment = secret.and_then(|(id, _)| self.environment_of(&(*id)?)).map(display);
            let secret = secret.map(|(_, name)| display(name));
            if refused {
                tracing::warn!(
                    caller,
                    pid,
                    principal,
                    method,
                    secret,
                    environment,
                    outcome,
                    "a request was refused"
                );
            } else {
                tracing::info!(
                    caller,
                    pid,
                    principal,
                    method,
                    secret,
                    environment,
                    outcome,
                    "a request was carried out"
                );
            }
        });
    }
}

/// Whether an outcome says that the caller may not, and not that something failed.
fn is_refusal(outcome: &str) -> bool {
    use ErrorName as E;
    [
        E::Denied,
        E::WrongKey,
        E::Throttled,
        E::ClientSecretMalformed,
        E::ClientSecretUnknown,
        E::ClientSecretExpired,
        E::ClientSecretRevoked,
        E::WrongRole,
        E::WrongOrganization,
        E::WrongEnvironment,
    ]
    .iter()
    .any(|refusal| refusal.as_str() == outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(fields: &[(&str, &str)]) -> Line {
        let mut line = Line::default();
        for (name, value) in fields {
            line.take(name, value);
        }
        line
    }

    #[test]
    fn a_line_has_its_fields_and_a_message_that_shows_them() {
        let line = line(&[("secret", "acme/api"), ("message", "exchanged"), ("reason", "a\nb\u{1b}[2J")]);
        let expected = "BURSAR_SECRET=acme/api\nBURSAR_REASON\n\u{7}\0\0\0\0\0\0\0a\nb [2J\n\
                        MESSAGE\n\u{28}\0\0\0\0\0\0\0exchanged secret=acme/api reason=a\nb [2J\n\
                        PRIORITY=4\nSYSLOG_IDENTIFIER=bursard\n";
        assert_eq!(String::from_utf8(line.datagram(4)).unwrap(), expected);
    }

    #[test]
    fn a_value_is_cut_where_it_is_too_long() {
        let line = line(&[("reason", &"é".repeat(VALUE_MAX))]);
        assert_eq!(line.message.len(), " reason=".len() + VALUE_MAX);
    }

    #[test]
    fn priorities_fit_the_levels() {
        let all = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE].map(priority);
        assert_eq!(all, [3, 4, 6, 7, 7]);
    }

    #[test]
    fn who_may_not_is_refused_and_what_fails_is_not() {
        assert!(is_refusal("denied") && is_refusal("wrong_key") && is_refusal("client_secret_unknown"));
        assert!(!is_refusal(OK) && !is_refusal("not_found") && !is_refusal("issuer_unreachable"));
    }
}
