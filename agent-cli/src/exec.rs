//! A command with live values: in its environment, in files that end with it, and not in its output.
//!
//! It takes the place of this process, so its terminal, its signals and its exit code are its own; only a command whose
//! output is masked is our child. Where values come from is not known here.

mod files;
mod forms;
mod mask;
mod piped;

pub(crate) use files::{Files, sweep};
pub(crate) use mask::{PATTERNS_MAX, Patterns, VALUE_MIN};

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

/// The exit code where something of ours failed, before a command or beside it, as env(1) has it.
pub(crate) const FAILED_BEFORE: u8 = 125;

/// The exit code of a command that cannot be run.
const CANNOT_RUN: u8 = 126;

/// The exit code where there is no such command.
const NOT_FOUND: u8 = 127;

/// What runs a script that names no interpreter.
const SHELL: &str = "/bin/sh";

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

/// Why a command was not run, or not all that it wrote came out.
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
    /// It cannot be run, or what comes out cannot be written.
    pub(crate) fn masked(mut self, patterns: &Patterns) -> Result<u8, NotRun> {
        // they go when the command ends, also where something that it left behind still writes
        let mut files = self.files.take();
        let mut run = |mut command: Command| piped::run(&mut command, patterns, || drop(files.take()));
        let ended = match run(self.prepared()) {
            Err(error) if error.raw_os_error() == Some(Errno::NOEXEC.raw_os_error()) => run(self.by_shell()),
            ended => ended,
        };
        let ended = ended.map_err(|error| self.not_run(&error))?;
        match ended.unwritten {
            None => Ok(ended.exit_code),
            Some(error) => Err(unwritten(error)),
        }
    }

    fn program(&self) -> &OsStr {
        self.command.first().map_or(OsStr::new(""), OsString::as_os_str)
    }

    fn prepared(&self) -> Command {
        let mut command = Command::new(self.program());
        command.args(self.command.iter().skip(1));
        self.with_variables(command)
    }

    /// The command as the shell starts it, which is how the system runs a script that names no interpreter; a command
    /// that takes our place is run so without our doing.
    fn by_shell(&self) -> Command {
        let mut command = Command::new(SHELL);
        command.args(["-c", "exec \"$0\" \"$@\""]).args(&self.command);
        self.with_variables(command)
    }

    fn with_variables(&self, mut command: Command) -> Command {
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

fn unwritten(error: Errno) -> NotRun {
    let kind = io::Error::from(error).kind();
    let message = format!("cannot write what the command says: {kind}; a part of it is lost");
    NotRun { error: CallError::new(ErrorName::Internal, message), exit_code: FAILED_BEFORE }
}

/// Refuses what no variable can hold.
pub(crate) fn check_variable(place: &str, value: &str) -> Result<(), Stop> {
    if value.contains('\0') {
        return Err(Stop::usage(format!("{place}: the value has a zero byte, and no variable can hold it"))
            .hint("hand it over in a file: --file NAME=TEMPLATE"));
    }
    Ok(())
}
