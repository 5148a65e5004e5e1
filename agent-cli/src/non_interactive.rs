//! Commands without a person: client secrets alone decide what may be done, nothing is asked, and few commands exist.
//!
//! Every connection that is made in this mode authenticates before anything else is said on it
//! ([`Session::connect`](crate::session::Session::connect)), so the rights of the user who runs the command never count.
//!
//! | module | holds |
//! |---|---|
//! | `list` | where client secrets come from, and how a list is read |
//! | `form` | whether they are written as such |
//! | `ci` | what a CI says of itself |

mod ci;
mod form;
mod list;

pub(crate) use list::taken;

use crate::args::{Args, Command};
use crate::input::Input;
use crate::output::Printer;
use crate::output::text::printable;
use crate::stop::Stop;
use crate::surroundings::Unattended;
use bursar_proto::call::Authenticate;
use bursar_proto::client::Client;
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::reply::AuthenticatedSecret;
use form::{Sorted, looks_like_one};
use list::Given;
use std::ffi::OsString;
use zeroize::Zeroize;

/// What is said once where client secrets stand in the command line.
const READABLE: &str = "warning: every user of this machine can read what stands on a command line; give client secrets in a \
                        file (--client-secrets-file) or in the variable BURSAR_CLIENT_SECRETS";

/// What a command in this mode authenticates with. The client secrets are wiped on drop.
pub(crate) struct NonInteractive {
    call: Authenticate,
}

impl NonInteractive {
    /// Begins the mode where the command line asks for it; `called` is the command in full.
    ///
    /// # Errors
    /// The command does not exist in this mode, there are no client secrets, too many, or none that is written as one; or
    /// they were given without the mode.
    pub(crate) fn begin(
        args: &Args,
        called: impl FnOnce() -> String,
        unattended: impl FnOnce() -> Unattended,
        printer: &Printer,
    ) -> Result<Option<Self>, Stop> {
        let global = &args.global;
        if !global.non_interactive {
            let flag = (!global.client_secrets.is_empty()).then_some("--client-secrets");
            let file = global.client_secrets_file.as_ref().map(|_| "--client-secrets-file");
            return flag.or(file).map_or(Ok(None), |flag| Err(without_mode(flag)));
        }
        let command = existing(&args.command).ok_or_else(|| refused(&called()))?;
        let unattended = unattended();
        let given = Given {
            flag: &global.client_secrets,
            file: global.client_secrets_file.as_ref(),
            variable: unattended.client_secrets.as_ref(),
            is_singular: unattended.is_singular,
        };
        if !global.client_secrets.is_empty() {
            printer.note(READABLE);
        }
        let sorted = Sorted::of(given.read(&Input::default())?, !global.client_secrets.is_empty());
        sorted.check()?;
        for line in sorted.warnings() {
            printer.note(&line);
        }
        let call = Authenticate {
            client_secrets: sorted.good,
            command: Some(command.to_owned()),
            ci: ci::facts(&unattended.ci),
        };
        Ok(Some(Self { call }))
    }

    /// Gives a new connection the rights of the client secrets, and takes all others from it.
    ///
    /// # Errors
    /// None of them counts: the agent's words.
    pub(crate) fn authenticate(&self, client: &mut Client, printer: &Printer) -> Result<(), CallError> {
        let authenticated = client.call(&self.call)?;
        for line in authenticated.client_secrets.iter().enumerate().filter_map(warning) {
            printer.note(&line);
        }
        Ok(())
    }
}

/// The variables of a CI that are looked at.
pub(crate) fn variables() -> impl Iterator<Item = &'static str> {
    ci::variables()
}

/// Refuses a client secret in the place of a name, which would be sent, recorded and printed.
///
/// # Errors
/// There is one.
pub(crate) fn refuse_stray(arguments: &[OsString], args: &Args) -> Result<(), Stop> {
    let is_given = |text: &str| args.global.client_secrets.iter().any(|one| one.expose() == text);
    let mut own = arguments.iter().take_while(|argument| *argument != "--").filter_map(|text| text.to_str());
    if own.any(|text| looks_like_one(text) && !is_given(text)) {
        return Err(Stop::usage("a client secret stands where a name is expected")
            .hint("client secrets follow --client-secrets, with spaces between them and no ="));
    }
    Ok(())
}

/// Wipes what looks like a client secret in our copy of the command line. The one that other processes can read is the
/// system's, and stays.
pub(crate) fn wipe(arguments: &mut [OsString], args: &Args) {
    let is_given = |text: &OsString| {
        let given = args.global.client_secrets.iter().map(|one| one.expose());
        text.to_str().is_none_or(|text| given.into_iter().any(|one| text.ends_with(one)))
    };
    for argument in arguments.iter_mut().skip(1).filter(|text| is_given(text)) {
        std::mem::take(argument).into_encoded_bytes().zeroize();
    }
}

/// The command's name where it exists in this mode. A command that is not named here does not, so a new one has no way
/// into it by accident.
fn existing(command: &Command) -> Option<&'static str> {
    match command {
        Command::Add(_) => Some("add"),
        Command::Sync(_) => Some("sync"),
        Command::Status(_) => Some("status"),
        Command::Publish(_) => Some("publish"),
        Command::Info(_) => Some("info"),
        _ => None,
    }
}

fn refused(called: &str) -> Stop {
    let message = format!(
        "{called} does not exist in non-interactive mode: add, sync, status, publish and info are all that does"
    );
    Stop::from(CallError::new(ErrorName::Denied, message)).hint("an owner runs it without --non-interactive")
}

fn without_mode(flag: &str) -> Stop {
    Stop::usage(format!("{flag} counts only with --non-interactive, which is missing"))
        .hint(format!("add --non-interactive, or leave {flag} out"))
}

/// What is said of a client secret that does not count.
fn warning((at, one): (usize, &AuthenticatedSecret)) -> Option<String> {
    let error = one.error?;
    let name = one.id.as_ref().map_or_else(|| format!("{}", at + 1), ToString::to_string);
    // the agent's words name it already
    let problem = one.problem.clone().unwrap_or_else(|| format!("client secret {name}: {error}"));
    let hint = one.hint.as_ref().map(|hint| format!("; hint: {hint}")).unwrap_or_default();
    Some(printable(&format!("warning: {problem}; it does not count{hint}")))
}

#[cfg(test)]
mod tests;
