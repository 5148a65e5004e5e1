//! A command with live values: in its environment, in files that end with it, and not in its output.
//!
//! It takes the place of this process, so its terminal, its signals and its exit code are its own; only a command whose
//! output is masked is our child. Where values come from is not known here.

mod files;
mod mask;
mod piped;

pub(crate) use files::{Files, sweep};
pub(crate) use mask::{Patterns, VALUE_MIN};

use crate::harden::as_found;
use crate::stop::Stop;
use bursar_proto::error::{CallError, ErrorName};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use zeroize::Zeroizing;

/// The exit code where a command was not run because something failed before it, as env(1) has it.
pub(crate) const FAILED_BEFORE: u8 = 125;

/// The exit code of a command that cannot be run.
const CANNOT_RUN: u8 = 126;

/// The exit code where there is no such command.
const NOT_FOUND: u8 = 127;

/// A command, ready to run.
pub(crate) struct Launch {
    /// The program and its arguments.
    pub(crate) command: Vec<OsString>,
    /// Variables with values.
    pub(crate) variables: Vec<(String, Zeroizing<String>)>,
    /// Variables with the paths of files.
    pub(crate) paths: Vec<(String, PathBuf)>,
    /// The directory of these files.
    pub(crate) files: Option<Files>,
}

/// Why a command was not run.
pub(crate) struct NotRun {
    pub(crate) error: CallError,
    pub(crate) exit_code: u8,
}

impl Launch {
    /// Puts the command in the place of this process; comes back only where that fails.
    pub(crate) fn replace(self) -> NotRun {
        let error = as_found(|| self.prepared().exec());
        self.not_run(&error)
    }

    /// Runs the command with `patterns` masked in its output; answers its exit code.
    ///
    /// # Errors
    /// It cannot be run.
    pub(crate) fn masked(mut self, patterns: &Patterns) -> Result<u8, NotRun> {
        // they go when the command ends, also where something that it left behind still writes
        let files = self.files.take();
        let run = piped::run(&mut self.prepared(), patterns, || drop(files));
        run.map_err(|error| self.not_run(&error))
    }

    fn program(&self) -> &OsStr {
        self.command.first().map_or(OsStr::new(""), OsString::as_os_str)
    }

    fn prepared(&self) -> Command {
        let mut command = Command::new(self.program());
        command.args(self.command.iter().skip(1));
        command.envs(self.variables.iter().map(|(name, value)| (name, value.as_str())));
        command.envs(self.paths.iter().map(|(name, path)| (name, path)));
        command
    }

    fn not_run(&self, error: &io::Error) -> NotRun {
        let program = self.program().display();
        if error.kind() == io::ErrorKind::NotFound {
            let error = CallError::new(ErrorName::NotFound, format!("cannot run {program}: no such command"));
            return NotRun { error, exit_code: NOT_FOUND };
        }
        let refused = CallError::new(ErrorName::Internal, format!("cannot run {program}: {}", error.kind()));
        let too_big = error.raw_os_error() == Some(Errno::TOOBIG.raw_os_error());
        let error = if too_big {
            refused.hint("a variable takes 128 KiB at the most; hand a long value over in a file: --file NAME=TEMPLATE")
        } else {
            refused
        };
        NotRun { error, exit_code: CANNOT_RUN }
    }
}

/// Refuses what no variable can hold.
pub(crate) fn check_variable(place: &str, value: &str) -> Result<(), Stop> {
    if value.contains('\0') {
        return Err(Stop::usage(format!("{place}: the value has a zero byte, and no variable can hold it"))
            .hint("hand it over in a file: --file NAME=TEMPLATE"));
    }
    Ok(())
}
