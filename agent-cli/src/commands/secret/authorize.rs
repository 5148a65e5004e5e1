//! A secret that a person has to authorize: what is said of it, the browser, and the way to its end.
//!
//! The address that a browser ends on holds a code that counts once: it is read unseen, goes into one call, and stands in
//! no message.

mod wait;

use super::{outcome, print, verdict};
use crate::args::secret::{Browsing, Following};
use crate::browser::{self, Opening, opening};
use crate::output::text::{now, printable, time};
use crate::session::Session;
use crate::stop::Stop;
use bursar_proto::call::{REDIRECT_MAX, SecretAuthorize};
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::kind::SecretType;
use bursar_proto::name::Qualified;
use bursar_proto::reply::Secret;
use bursar_proto::sensitive::Sensitive;
use bursar_proto::time::Timestamp;
use std::io::{IsTerminal, stdout};
use std::process::Child;
use zeroize::Zeroizing;

/// What a person can mend by another paste.
const RETRIED: [ErrorName; 3] = [ErrorName::Invalid, ErrorName::NeedsAuthorization, ErrorName::Locked];

/// How often a person may paste something else.
const TRIES: u32 = 3;

/// How the address begins that a browser ends on.
const REDIRECTS: [&str; 2] = ["http://127.0.0.1", "http://localhost"];

const QUESTION: &str = "the address (not shown; nothing, if the browser says that it worked)";

/// Makes sure of the flags, before anything is changed.
///
/// # Errors
/// No person authorizes secrets of this type, or standard input is at its end already.
pub(super) fn check(session: &Session, kind: SecretType, browsing: &Browsing) -> Result<(), Stop> {
    let flag = match browsing {
        Browsing { browser: true, .. } => "--browser",
        Browsing { no_browser: true, .. } => "--no-browser",
        _ => return Ok(()),
    };
    if kind.issuer().is_none() {
        let takers: Vec<&str> =
            SecretType::ALL.iter().filter(|kind| kind.issuer().is_some()).map(|kind| kind.as_str()).collect();
        return Err(Stop::usage(format!("{flag} is for other types than {kind}"))
            .hint(format!("a person authorizes secrets of: {}", takers.join(", "))));
    }
    if browsing.no_browser && !session.input.is_open() {
        return Err(Stop::usage(
            "standard input was read to its end, and --no-browser reads an address from it",
        )
        .hint("give the fields in a file"));
    }
    Ok(())
}

/// Tells a person where to authorize `secret`, and follows that to its end where that is wanted.
pub(super) fn run(
    session: &Session,
    secret: &Secret,
    url: &str,
    following: &Following,
    browsing: &Browsing,
) -> Result<(), Stop> {
    let opening = opening(session, browsing);
    let json = session.printer.json();
    let followed = opening == Opening::Elsewhere || following.is_wanted(!json && stdout().is_terminal());
    // the one document has the address, which is answered this once: it must not come when the hour is over
    if json || !followed {
        print(session, secret)?;
    }
    session.printer.note(&notice(secret, url, opening, now()));
    let browser = match opening {
        Opening::Open => open(session, url),
        // who does not follow it wants the prompt back
        Opening::Offer if followed && session.input.agrees("open it in a browser now?") => open(session, url),
        Opening::Elsewhere => {
            if let Some(ended) = pasted(session, &secret.name)? {
                return end(session, &ended);
            }
            None
        }
        Opening::Offer | Opening::Leave => None,
    };
    if !followed {
        return Ok(());
    }
    end(session, &wait::until_ended(session, secret, browser)?)
}

/// What a person has to do, the address on a line of its own.
fn notice(secret: &Secret, url: &str, opening: Opening, now: Timestamp) -> String {
    let name = &secret.name;
    let until =
        secret.authorization_url_expires_at.map(|at| format!(" until {}", time(at, now))).unwrap_or_default();
    let place = if opening == Opening::Elsewhere { "any" } else { "this" };
    let first = format!("a person has to authorize {name}{until}: open this in a browser on {place} machine");
    let last = match opening {
        Opening::Elsewhere => format!(
            "in the end the browser shows an address that begins with {}, and may fail to open it: paste that address here",
            REDIRECTS[0]
        ),
        Opening::Leave => {
            format!(
                "hint: if the browser is on another machine: bursar secret reauthorize {name} --no-browser"
            )
        }
        Opening::Open | Opening::Offer => String::new(),
    };
    format!("{first}\n{}\n{last}", printable(url))
}

/// Opens a browser; where that fails, the address is there still.
fn open(session: &Session, url: &str) -> Option<Child> {
    match browser::open(&session.surroundings, url) {
        Ok(child) => Some(child),
        Err(reason) => {
            session.printer.note(&printable(&format!("no browser was opened: {reason}")));
            None
        }
    }
}

/// Hands over the address that a browser elsewhere ended on; `None` where a person says that none is needed.
fn pasted(session: &Session, name: &Qualified) -> Result<Option<Secret>, Stop> {
    let on_terminal = session.input.interactive();
    let read = || {
        if on_terminal { session.input.prompt(QUESTION) } else { session.input.line(REDIRECT_MAX) }
    };
    // a person takes a while: the connection is a new one
    let send = |redirect| {
        let sent = session.connect()?.call(&SecretAuthorize { secret: name.clone().into(), redirect });
        // the field is what was pasted, and nobody here has given a field
        sent.map_err(|refused| CallError {
            message: refused.message.trim_start_matches("field redirect: ").to_owned(),
            ..refused
        })
    };
    let tell = |refused: &CallError| session.printer.note(&printable(&refused.message));
    take(on_terminal, read, send, tell).map_err(|stop| match stop {
        Stop::Failed(refused) => {
            let again = format!("start over: bursar secret reauthorize {name} --no-browser");
            let hint = match refused.hint.as_deref() {
                None => again,
                Some(hint) if hint.contains("bursar ") => hint.to_owned(),
                Some(hint) => format!("{hint}; then {again}"),
            };
            Stop::Failed(refused.hint(hint))
        }
        other => other,
    })
}

/// Reads an address and sends it; what is none is told, and asked for again where a person is there.
fn take(
    on_terminal: bool,
    mut read: impl FnMut() -> Result<Zeroizing<String>, Stop>,
    send: impl Fn(Sensitive) -> Result<Secret, CallError>,
    tell: impl Fn(&CallError),
) -> Result<Option<Secret>, Stop> {
    let mut left = if on_terminal { TRIES } else { 1 };
    loop {
        left -= 1;
        let text = read()?;
        if on_terminal && text.trim().is_empty() {
            return Ok(None);
        }
        match address(&text).and_then(&send) {
            Ok(ended) => return Ok(Some(ended)),
            // the hour still runs, whatever was pasted: an older address, half of one, or into a locked vault
            Err(refused) if RETRIED.contains(&refused.name) && left > 0 => tell(&refused),
            Err(refused) => return Err(refused.into()),
        }
    }
}

/// Takes a text for the address, or says why it is clearly none. Quotes around it come of habit.
fn address(text: &str) -> Result<Sensitive, CallError> {
    let text = text.trim().trim_matches(['"', '\'']);
    let refused = |reason: String| CallError::new(ErrorName::Invalid, reason);
    if text.len() > REDIRECT_MAX {
        return Err(refused(format!("the address is over {} KiB", REDIRECT_MAX / 1024)));
    }
    if !REDIRECTS.iter().any(|start| text.starts_with(start)) {
        let starts = REDIRECTS.join(" or ");
        return Err(refused(format!(
            "that is not the address that the browser ended on: it begins with {starts}"
        )));
    }
    Ok(Sensitive::new(text.to_owned()))
}

/// Shows how it ended. Under `--json` the document is out, and the exit code tells.
fn end(session: &Session, ended: &Secret) -> Result<(), Stop> {
    if session.printer.json() {
        verdict(ended).map_or(Ok(()), |error| Err(error.into()))
    } else {
        outcome(session, ended)
    }
}

#[cfg(test)]
mod tests;
