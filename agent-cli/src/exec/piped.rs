//! A command whose output passes through the masker. It has our input, and our signals; we have its exit code.

use super::mask::{Masker, Patterns};
use crate::harden::as_found;
use crate::output::write_to;
use crate::signals::heeded;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, getpgrp, pidfd_open, pidfd_send_signal};
use rustix::termios::tcgetpgrp;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use zeroize::Zeroizing;

/// The signals that are passed on.
const PASSED_ON: [i32; 6] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2];

/// How much is read at once, in bytes: a quarter of what a pipe holds.
const CHUNK: usize = 16 * 1024;

/// What is added to the number of the signal that ended a command, as shells have it.
const BY_SIGNAL: i32 = 128;

/// How a command ended.
pub(super) struct Ended {
    pub(super) exit_code: u8,
    /// Why a part of its output is lost.
    pub(super) unwritten: Option<Errno>,
}

/// Runs a command to its end, says so, and goes on to the end of its output.
///
/// # Errors
/// It cannot be run.
pub(super) fn run(command: &mut Command, patterns: &Patterns, ended: impl FnOnce()) -> io::Result<Ended> {
    let mut signals = Signals::new(heeded(&PASSED_ON))?;
    let passing = signals.handle();
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = as_found(|| command.spawn())?;
    let process = handle(child.id())?;
    let streams = (child.stdout.take(), child.stderr.take());
    let (status, written) = thread::scope(|scope| {
        scope.spawn(|| signals.forever().for_each(|signal| pass_on(&process, signal)));
        let out = scope.spawn(|| copy(streams.0, io::stdout(), patterns));
        let err = scope.spawn(|| copy(streams.1, io::stderr(), patterns));
        let status = child.wait();
        ended();
        // a thread that is gone has written no more
        let written = [out.join(), err.join()].map(|joined| joined.unwrap_or(Err(Errno::IO)));
        passing.close();
        (status, written)
    });
    // whoever closes a pipe has seen enough
    let unwritten = written.into_iter().filter_map(Result::err).find(|error| *error != Errno::PIPE);
    Ok(Ended { exit_code: exit_code(status?), unwritten })
}

fn handle(id: u32) -> io::Result<OwnedFd> {
    let id = i32::try_from(id).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidData)?;
    Ok(pidfd_open(id, PidfdFlags::empty())?)
}

fn pass_on(process: &OwnedFd, signal: i32) {
    // the terminal has sent these to the command, too
    if matches!(signal, SIGINT | SIGQUIT) && in_foreground() {
        return;
    }
    let sent = Signal::from_named_raw(signal).map(|signal| pidfd_send_signal(process, signal));
    if sent == Some(Err(Errno::SRCH)) {
        // the command is gone, and what it left behind still holds its output: the signal means us
        let _ = signal_hook::low_level::emulate_default_handler(signal);
    }
}

/// Whether the keys of a terminal reach this process.
fn in_foreground() -> bool {
    File::open("/dev/tty").is_ok_and(|terminal| tcgetpgrp(&terminal).is_ok_and(|group| group == getpgrp()))
}

/// Passes a stream through the masker to its end, or until it cannot be written; then the command is told by its next
/// write.
///
/// # Errors
/// What came cannot be written.
fn copy(from: Option<impl Read>, to: impl AsFd, patterns: &Patterns) -> Result<(), Errno> {
    let Some(mut from) = from else { return Ok(()) };
    let mut masker = Masker::new(patterns);
    let mut chunk = Zeroizing::new([0_u8; CHUNK]);
    loop {
        let read = match from.read(&mut *chunk) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        write_to(&to, &masker.push(&chunk[..read]))?;
    }
    write_to(&to, &masker.end())
}

fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| BY_SIGNAL + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_told_as_shells_tell_it() {
        assert_eq!(exit_code(ExitStatus::from_raw(3 << 8)), 3);
        assert_eq!(exit_code(ExitStatus::from_raw(9)), 137);
    }
}
