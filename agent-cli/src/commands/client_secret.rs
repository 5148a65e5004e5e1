//! `bursar client-secret …`. A value goes from the one reply that has it to stdout or a file, and nowhere else.

mod show;

use crate::args::client_secret::{Create, Issued, Revoke, Rotate, Verb};
use crate::file::{absolute, write_private};
use crate::output::text::now;
use crate::output::write_out;
use crate::session::Session;
use crate::stop::Stop;
use crate::workspace::Workspace;
use bursar_proto::call::{
    ClientSecretCreate, ClientSecretList, ClientSecretRevoke, ClientSecretRotate, ClientSecretSetAnalytics,
    ClientSecretShow,
};
use bursar_proto::error::CallError;
use bursar_proto::name::{OrganizationName, Reference};
use bursar_proto::reply::{ClientSecret, ClientSecretIssued};
use bursar_proto::sensitive::Sensitive;
use std::io;
use std::path::Path;
use zeroize::Zeroizing;

pub(crate) fn run(session: &Session, verb: Verb) -> Result<(), Stop> {
    match verb {
        Verb::Create(create) => self::create(session, create),
        Verb::List(list) => {
            let all = session.ask(&ClientSecretList { organization: list.organization })?;
            session.printer.reply(&all, |printer| show::list(printer, &all))
        }
        Verb::Show(named) => print(session, &session.ask(&ClientSecretShow { id: named.id })?),
        Verb::SetAnalytics(set) => {
            let call = ClientSecretSetAnalytics { id: set.named.id, analytics: set.analytics };
            print(session, &session.ask(&call)?)
        }
        Verb::Rotate(rotate) => self::rotate(session, rotate),
        Verb::Revoke(revoke) => self::revoke(session, revoke),
    }
}

fn create(session: &Session, create: Create) -> Result<(), Stop> {
    check(&create.issued)?;
    let organization = organization(session, create.organization, create.environment.as_ref())?;
    let environment = create.environment.map(|name| name.within(&organization).into());
    let call = ClientSecretCreate {
        organization,
        description: create.description,
        role: create.role,
        environment,
        expires_in: create.expires,
        analytics: create.analytics,
    };
    let made = session.connect()?.call(&call).map_err(by_flag)?;
    hand_over(session, &made, &create.issued)
}

/// Whose client secret it becomes: what the flag says, or the environment's name, or the workspace.
fn organization(
    session: &Session,
    said: Option<OrganizationName>,
    environment: Option<&Reference>,
) -> Result<OrganizationName, Stop> {
    if let Some(said) = said.or_else(|| environment.and_then(|name| name.organization.clone())) {
        return Ok(said);
    }
    let workspace = Workspace::find(&session.surroundings)?;
    Ok(workspace.and_then(|one| one.manifest.organization).unwrap_or_else(OrganizationName::personal))
}

fn rotate(session: &Session, rotate: Rotate) -> Result<(), Stop> {
    check(&rotate.issued)?;
    let old = rotate.named.id;
    let call = ClientSecretRotate { id: old.clone(), overlap: Some(rotate.overlap) };
    let mut client = session.connect()?;
    let made = client.call(&call).map_err(by_flag)?;
    hand_over(session, &made, &rotate.issued)?;
    // it is done, and the value is out: a failure here is none of the rotation
    if let Ok(old) = client.call(&ClientSecretShow { id: old }) {
        session.printer.note(&show::overlap(&old, now()));
    }
    Ok(())
}

/// Makes sure that there is a place for a value, before one is issued that would be lost.
fn check(to: &Issued) -> Result<(), Stop> {
    let Some(path) = to.file() else { return Ok(()) };
    let directory = absolute(path)?.parent().map(Path::to_owned);
    let found = directory.as_deref().map_or(Ok(()), |directory| std::fs::read_dir(directory).map(drop));
    found.map_err(|error| Stop::unwritable(path, &error))?;
    if path.is_dir() {
        return Err(Stop::unwritable(path, &io::ErrorKind::IsADirectory.into()));
    }
    Ok(())
}

/// Gives a value to whoever asked for it, and says beside it what it is.
fn hand_over(session: &Session, made: &ClientSecretIssued, to: &Issued) -> Result<(), Stop> {
    let given = match to.file() {
        Some(path) => write_private(path, &line(&made.client_secret))
            // the document without the value: that is in the file
            .and_then(|()| session.printer.reply(&made.about, |_| String::new())),
        None if session.printer.json() => session.printer.reply(made, |_| String::new()),
        None => write_out(&line(&made.client_secret)),
    };
    given.map_err(|stop| lost(stop, &made.about))?;
    session.printer.note(&show::issued(&made.about, to.file(), now()));
    Ok(())
}

fn line(value: &Sensitive) -> Zeroizing<Vec<u8>> {
    let mut line = Zeroizing::new(Vec::with_capacity(value.expose().len() + 1));
    line.extend_from_slice(value.expose().as_bytes());
    line.push(b'\n');
    line
}

/// A client secret counts from now on, and nobody has it.
fn lost(stop: Stop, about: &ClientSecret) -> Stop {
    let id = &about.id;
    let stop = match stop {
        Stop::ReaderLeft => Stop::local(format!("nobody has read the client secret {id}")),
        other => other,
    };
    stop.hint(format!("its value is lost, end it: bursar client-secret revoke {id} --yes"))
}

fn revoke(session: &Session, revoke: Revoke) -> Result<(), Stop> {
    let found = session.ask(&ClientSecretShow { id: revoke.named.id })?;
    let what = format!("revoking the client secret {} for good", show::named(&found));
    session.input.confirm(&what, "revoke", revoke.confirmation.yes)?;
    let revoked = session.ask(&ClientSecretRevoke { id: found.id })?;
    session.printer.reply(&revoked, |_| format!("revoked {}\n", show::named(&revoked)))
}

/// `field expires_in: …` as `--expires: …`.
fn by_flag(error: CallError) -> CallError {
    let message = error.message.strip_prefix("field ").map(|rest| match rest.strip_prefix("expires_in") {
        Some(rest) => format!("--expires{rest}"),
        None => format!("--{rest}"),
    });
    CallError { message: message.unwrap_or(error.message), ..error }
}

fn print(session: &Session, one: &ClientSecret) -> Result<(), Stop> {
    session.printer.reply(one, |_| show::describe(one, now()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bursar_proto::error::ErrorName;

    #[test]
    fn a_refused_field_is_told_by_its_flag() {
        let told = |message: &str| by_flag(CallError::new(ErrorName::Invalid, message)).message;
        assert_eq!(told("field expires_in: at most 24 months"), "--expires: at most 24 months");
        assert_eq!(told("field overlap: too long"), "--overlap: too long");
        assert_eq!(told("no organization acme"), "no organization acme");
    }

    #[test]
    fn a_value_that_nobody_got_is_told_with_what_ends_it() {
        let about = show::tests::example();
        for stop in [Stop::ReaderLeft, Stop::local("cannot write x: no space")] {
            let Stop::Failed(error) = lost(stop, &about) else { panic!() };
            assert_eq!(error.name.exit_code(), 1);
            assert!(error.hint.unwrap().ends_with("bursar client-secret revoke k3j9x2m4pq --yes"));
        }
    }

    #[test]
    fn a_value_is_alone_on_its_line() {
        assert_eq!(&**line(&Sensitive::new("bcs_x".to_owned())), b"bcs_x\n");
    }
}
