//! `bursar secret create` and `bursar secret edit`: flags, files and prompts into one call.

use super::authorize::check;
use super::{follow, show_where};
use crate::args::secret::{Create, Edit};
use crate::credentials;
use crate::origin::{Origin, place, read_json};
use crate::session::Session;
use crate::stop::Stop;
use bursar_proto::call::{SecretCreate, SecretEdit, SecretShow};
use bursar_proto::error::CallError;
use bursar_proto::fields::{Edit as Change, Fields, Invalid};
use bursar_proto::name::Reference;
use std::path::Path;

pub(super) fn create(session: &Session, create: Create) -> Result<(), Stop> {
    let secret = session.complete(create.named.secret)?;
    let (origin, call) = match (create.from_file, create.r#type) {
        (Some(file), _) => {
            let (origin, mut call) = from_file(session, &file, |json| SecretCreate::from_file(secret, json))?;
            // what was said last, and by hand, counts
            if create.unbound || create.environment.is_some() {
                call.environment = create.environment;
                call.unbound = create.unbound.then_some(true);
            }
            call.exchange_policy = create.exchange_policy.or(call.exchange_policy);
            call.expiration_date = create.expiration_date.or(call.expiration_date);
            (origin, call)
        }
        (None, None) => return Err(Stop::usage("missing: --type, or --from-file")),
        (None, Some(kind)) => (
            Origin::Flags(kind),
            SecretCreate {
                secret,
                r#type: kind,
                environment: create.environment,
                unbound: create.unbound.then_some(true),
                credentials: credentials::of_new(kind, &create.fields.given, &session.input)?,
                exchange_policy: create.exchange_policy,
                expiration_date: create.expiration_date,
            },
        ),
    };
    check(session, call.r#type, &create.browsing)?;
    // a prompt comes before the connection: the agent need not wait for a person
    let mut client = session.connect()?;
    let made = client.call(&call).map_err(|error| origin.blame(error))?;
    follow(session, &mut client, made, &create.following, &create.browsing)
}

pub(super) fn edit(session: &Session, edit: Edit) -> Result<(), Stop> {
    let named = session.complete(edit.named.secret)?;
    let mut client = session.connect()?;
    let present = client.call(&SecretShow { secret: named })?;
    let secret = Reference::from(present.name);
    let (origin, call) = match edit.from_file {
        Some(file) => from_file(session, &file, |json| edit_from_file(secret.clone(), json))?,
        None => (
            Origin::Flags(present.r#type),
            SecretEdit {
                secret: secret.clone(),
                name: edit.name,
                r#type: None,
                environment: edit.environment.map_or(Change::Keep, Change::Set),
                credentials: credentials::of_edit(present.r#type, &edit.fields.given, &session.input)?,
                exchange_policy: edit.exchange_policy,
                expiration_date: match edit.expiration_date {
                    _ if edit.no_expiration_date => Change::Clear,
                    Some(date) => Change::Set(date),
                    None => Change::Keep,
                },
            },
        ),
    };
    if changes_nothing(&call) {
        return Err(Stop::usage("nothing to change was said").hint("see bursar secret edit --help"));
    }
    check(session, present.r#type, &edit.browsing)?;
    show_where(session, &mut client, secret)?;
    let edited = client.call(&call).map_err(|error| origin.blame(error))?;
    follow(session, &mut client, edited, &edit.following, &edit.browsing)
}

/// Reads a call from a file; every fault begins with the file's name.
fn from_file<C>(
    session: &Session,
    file: &Path,
    read: impl FnOnce(&str) -> Result<C, Invalid>,
) -> Result<(Origin, C), Stop> {
    let origin = Origin::file(file);
    let text = session.input.file(file)?;
    let json = read_json(&text, &place(file))?;
    let call = read(json.expose()).map_err(|fault| origin.blame(CallError::from(fault)))?;
    Ok((origin, call))
}

fn edit_from_file(secret: Reference, json: &str) -> Result<SecretEdit, Invalid> {
    let fields = Fields::parse(Some(json))?;
    fields.only(&["name", "type", "environment", "credentials", "exchange_policy", "expiration_date"])?;
    Ok(SecretEdit {
        secret,
        name: fields.take("name")?,
        r#type: fields.take("type")?,
        environment: fields.take("environment")?,
        credentials: fields.take("credentials")?,
        exchange_policy: fields.take("exchange_policy")?,
        expiration_date: fields.take("expiration_date")?,
    })
}

fn changes_nothing(call: &SecretEdit) -> bool {
    call.name.is_none()
        && call.r#type.is_none()
        && call.environment.is_keep()
        && call.credentials.is_none()
        && call.exchange_policy.is_none()
        && call.expiration_date.is_keep()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<SecretEdit, String> {
        edit_from_file("acme/x".parse().unwrap(), json).map_err(|error| error.to_string())
    }

    #[test]
    fn a_file_of_changes_may_hold_any_part() {
        let call = read(r#"{"expiration_date":null,"credentials":{"token":"t"}}"#).unwrap();
        assert_eq!(call.expiration_date, Change::Clear);
        assert_eq!(call.credentials.unwrap().expose(), r#"{"token":"t"}"#);
        assert!(changes_nothing(&read("{}").unwrap()));
        assert_eq!(read(r#"{"unbound":true}"#).unwrap_err(), "unknown field unbound");
    }
}
