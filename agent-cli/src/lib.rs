//! The command line of Bursar: reads flags, asks the daemon, prints the answer.
//!
//! It has no runtime, keeps no state, and holds no rule that the daemon has too; `bursar get` does nothing
//! before it has asked, but look whose a bare name is.
//!
//! | module | holds |
//! |---|---|
//! | `args` | every command and flag, as clap definitions; completions and man pages come from them too |
//! | `usage` | what clap refuses, in words that repeat no value |
//! | `surroundings` | the one reader of environment variables |
//! | `non_interactive` | client secrets in a person's place |
//! | `session` | what a command has at hand: a connection, the printer, the keyboard |
//! | `agent` | starting the daemon and waiting for it |
//! | `browser` | whether a browser is opened for a person, and how |
//! | `input` | passphrases, files, prompts, confirmations |
//! | `credentials` | a secret's fields, from flags, files and prompts to JSON |
//! | `origin` | which file or flag a refused field came from |
//! | `output` | the one printer |
//! | `progress` | many calls at once, and a line while they last |
//! | `values` | artifacts on their way into templates |
//! | `file` | files with values: 0600, by rename |
//! | `harden` | no core file |
//! | `live` | what the names in a person's own templates stand for |
//! | `exec` | a command with live values |
//! | `signals` | which signals are heeded |
//! | `stop` | why a command ends early |
//! | `workspace` | the directory with a `bursar.toml`: what it says, and what lies in it |
//! | `commands` | one file for each noun |

mod agent;
mod args;
mod browser;
mod commands;
mod credentials;
mod exec;
mod file;
mod harden;
mod input;
mod live;
mod non_interactive;
mod origin;
mod output;
mod progress;
mod session;
mod signals;
mod stop;
mod surroundings;
mod usage;
mod values;
mod workspace;

use crate::args::artifact::Get;
use crate::args::{Args, Command, Global};
use crate::non_interactive::NonInteractive;
use crate::output::Printer;
use crate::session::Session;
use crate::stop::Stop;
use crate::surroundings::{Surroundings, Unattended};
use clap::Parser;
use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the command that `arguments` say, the program's name first.
pub fn run(mut arguments: Vec<OsString>) -> ExitCode {
    harden::no_core();
    if let Some(done) = exec::sweep(&arguments) {
        return done;
    }
    let surroundings = Surroundings::read();
    // what follows is the command line of another program
    let mut own = arguments.iter().take_while(|argument| *argument != "--");
    let wants_json = own.any(|argument| argument == "--json");
    let printer = Printer::new(wants_json, surroundings.no_color);
    let args = match plain_get(&arguments) {
        Some(args) => args,
        None => match Args::try_parse_from(&arguments) {
            Ok(args) => args,
            Err(error) => return usage::refuse(&error, &arguments, &printer),
        },
    };
    let mode = match mode(&mut arguments, &args, &printer) {
        Ok(mode) => mode,
        Err(stop) => return end(&printer, Err(stop)),
    };
    let session = Session::new(called_as(&arguments), args.global, surroundings, printer, mode);
    end(&session.printer, commands::run(&session, args.command))
}

/// Begins non-interactive mode where the command line asks for it.
fn mode(arguments: &mut [OsString], args: &Args, printer: &Printer) -> Result<Option<NonInteractive>, Stop> {
    non_interactive::refuse_stray(arguments, args)?;
    let called = || usage::called_in_full(arguments);
    let unattended = || Unattended::read(non_interactive::variables());
    let mode = NonInteractive::begin(args, called, unattended, printer)?;
    if mode.is_some() {
        non_interactive::wipe(arguments, args);
    }
    Ok(mode)
}

/// Says what failed, and answers the exit code.
fn end(printer: &Printer, ended: Result<(), Stop>) -> ExitCode {
    match ended {
        // whoever read our output has seen enough
        Ok(()) | Err(Stop::ReaderLeft) => ExitCode::SUCCESS,
        Err(Stop::NotCurrent) => ExitCode::FAILURE,
        Err(Stop::Ended(code)) => ExitCode::from(code),
        Err(Stop::Failed(error)) => {
            printer.failure(&error);
            ExitCode::from(error.name.exit_code())
        }
    }
}

/// What to type to run this program again: its path where it was called by one, its bare name otherwise.
fn called_as(arguments: &[OsString]) -> String {
    let path = arguments.first().and_then(|name| name.to_str()).filter(|name| name.contains('/'));
    path.unwrap_or("bursar").to_owned()
}

/// Reads `bursar get NAME`, the command that is run most, without building the whole command line first, which
/// takes longer than the answer.
fn plain_get(arguments: &[OsString]) -> Option<Args> {
    match arguments {
        [_, verb, secret] if verb == "get" => {
            let secret = secret.to_str()?.parse().ok()?;
            let get = Get { secret, header: false, field: None, min_validity: None, output: None };
            Some(Args { global: Global::default(), command: Command::Get(get) })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn a_plain_get_reads_as_the_whole_command_line_would() {
        let line = arguments("bursar get acme/api");
        let (Some(short), Ok(long)) = (plain_get(&line), Args::try_parse_from(line)) else { panic!() };
        let (Command::Get(short), Command::Get(long)) = (short.command, long.command) else { panic!() };
        assert_eq!(short.secret, long.secret);
        assert!(!long.header && long.field.is_none() && long.min_validity.is_none() && long.output.is_none());
        for other in
            ["bursar get", "bursar get --help", "bursar get a/b/c", "bursar get x --json", "bursar wait x"]
        {
            assert!(plain_get(&arguments(other)).is_none(), "{other}");
        }
    }

    #[test]
    fn a_get_without_a_person_is_no_plain_one() {
        for line in [
            "bursar get x --non-interactive",
            "bursar get --non-interactive x",
            "bursar --non-interactive get x",
            "bursar get --non-interactive",
        ] {
            assert!(plain_get(&arguments(line)).is_none(), "{line}");
        }
    }
}
