//! Waits until a person has authorized a secret, or can no more, and counts the time down that is left.

use crate::output::text::now;
use crate::progress::{PACE, clear, redraw, shown};
use crate::session::Session;
use crate::signals::Interrupt;
use crate::stop::Stop;
use bursar_proto::call::SecretWait;
use bursar_proto::reply::Secret;
use bursar_proto::time::Timestamp;
use std::io::{self, IsTerminal};
use std::process::Child;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;

/// Answers with the secret as it is then. `browser` is what was started for it.
///
/// # Errors
/// The agent's own, or a person interrupts: the hour goes on nevertheless.
pub(super) fn until_ended(
    session: &Session,
    secret: &Secret,
    mut browser: Option<Child>,
) -> Result<Secret, Stop> {
    let name = &secret.name;
    let until = secret.authorization_url_expires_at;
    let mut client = session.connect()?;
    let interrupt = Interrupt::take()?;
    let call = SecretWait { secret: name.clone().into() };
    let (tell, told) = channel();
    // it ends with the answer, or with this process
    thread::spawn(move || {
        let _ = tell.send(client.call(&call));
    });
    let mut line = Line::begin(session);
    loop {
        line.show(until, now());
        match told.recv_timeout(PACE) {
            Ok(answer) => return Ok(answer?),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(Stop::local("nothing waits any more")),
        }
        if let Err(stop) = interrupt.check() {
            drop(line);
            session.printer.note(&left_open(name, until));
            return Err(stop);
        }
        if has_failed(&mut browser) {
            line.erase();
            session.printer.note("the browser could not be opened: open the address by hand");
        }
    }
}

/// What is said where a person waits no longer.
fn left_open(name: &impl std::fmt::Display, until: Option<Timestamp>) -> String {
    let until = until.map(|at| format!(" until {at}")).unwrap_or_default();
    format!("it can still be authorized{until}; to wait again: bursar wait {name}")
}

/// Whether a browser has ended in failure since it was last asked for.
fn has_failed(browser: &mut Option<Child>) -> bool {
    let ended = browser.as_mut().and_then(|child| child.try_wait().ok().flatten());
    if ended.is_some() {
        *browser = None;
    }
    ended.is_some_and(|status| !status.success())
}

/// The one line about the time that is left. It is gone when this is dropped.
struct Line<'a> {
    session: &'a Session,
    /// Whether it is drawn anew as time passes.
    redrawn: bool,
    text: Option<String>,
}

impl<'a> Line<'a> {
    fn begin(session: &'a Session) -> Self {
        let redrawn = shown(session.printer.json(), io::stderr().is_terminal());
        Self { session, redrawn, text: None }
    }

    /// Draws it where it says something new; elsewhere than on a terminal it is said once.
    fn show(&mut self, until: Option<Timestamp>, now: Timestamp) {
        if self.redrawn {
            let text = countdown(until, now);
            if self.text.as_ref() != Some(&text) {
                redraw(&text);
                self.text = Some(text);
            }
        } else if self.text.is_none() {
            self.session.printer.note(self.text.insert(WAITING.to_owned()));
        }
    }

    fn erase(&mut self) {
        if self.redrawn && self.text.take().is_some() {
            clear();
        }
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        self.erase();
    }
}

const WAITING: &str = "waiting for the browser …";

/// Short enough for any terminal: a line that wraps is not drawn over.
fn countdown(until: Option<Timestamp>, now: Timestamp) -> String {
    match until.map(|until| until.since(now)) {
        Some(left @ 1..) => format!("{WAITING} {}:{:02} left", left / 60, left % 60),
        Some(_) => format!("{WAITING} the time is over"),
        None => WAITING.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn the_time_that_is_left_is_counted_down_in_minutes_and_seconds() {
        let now = Timestamp::from_seconds(1_000_000);
        let line = |left: i64| countdown(Some(now.plus(left)), now);
        assert_eq!(line(3600), "waiting for the browser … 60:00 left");
        assert_eq!(line(3599), "waiting for the browser … 59:59 left");
        assert_eq!(line(61), "waiting for the browser … 1:01 left");
        assert_eq!(line(1), "waiting for the browser … 0:01 left");
        assert_eq!(line(0), "waiting for the browser … the time is over");
        assert_eq!(line(-5), line(0));
        assert_eq!(countdown(None, now), WAITING);
        assert!(line(3600).chars().count() < 40);
        assert!(!line(3600).contains('\x1b'));
    }

    #[test]
    fn who_waits_no_longer_hears_how_to_wait_again() {
        assert_eq!(
            left_open(&"acme/ads", Some(Timestamp::from_seconds(0))),
            "it can still be authorized until 1970-01-01T00:00:00Z; to wait again: bursar wait acme/ads"
        );
    }

    #[test]
    fn a_browser_that_failed_is_told_once() {
        for (program, fails) in [("false", true), ("true", false)] {
            let mut child = Command::new(program).spawn().unwrap();
            child.wait().unwrap();
            let mut browser = Some(child);
            assert_eq!(has_failed(&mut browser), fails, "{program}");
            assert!(!has_failed(&mut browser));
        }
    }
}
