//! `bursar quickstart`: from nothing to a first secret, without a question. Run again, it changes nothing.

use crate::agent::connect_or_start;
use crate::file::{absolute_text, create_private_dir};
use crate::output::shell::{Syntax, assignment, word};
use crate::output::text::record;
use crate::session::Session;
use crate::stop::Stop;
use bursar_proto::call::{
    AgentStatus, ArtifactGet, SecretCreate, SecretShow, SecretWait, VaultInit, VaultUnlock,
};
use bursar_proto::client::Client;
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::kind::{SecretType, VaultState};
use bursar_proto::name::{OrganizationName, Qualified, Reference};
use bursar_proto::sensitive::SensitiveJson;
use serde::Serialize;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use zeroize::Zeroizing;

/// The name of the first secret, in the organization `personal`.
const SECRET: &str = "hello";

/// Random bytes in its value.
const VALUE_BYTES: usize = 32;

/// What was found and what was made.
#[derive(Serialize)]
struct Done {
    socket: String,
    started: bool,
    vault_created: bool,
    key_file: Option<String>,
    secret: Qualified,
    secret_created: bool,
}

pub(crate) fn run(session: &Session) -> Result<(), Stop> {
    session.warn_of_two_homes();
    let (mut client, started) = connect_or_start(session)?;
    let status = client.call(&AgentStatus {})?;
    let key_file = open_vault(session, &mut client, status.vault)?;
    let (secret, secret_created) = first_secret(&mut client)?;
    let artifact =
        client.call(&ArtifactGet { secret: secret.clone().into(), min_validity: None, environment: None })?;
    let length = artifact.value.as_ref().map_or(0, |value| value.expose().len());
    let vault_created = status.vault == VaultState::Absent;
    let done = Done { socket: status.socket, started, vault_created, key_file, secret, secret_created };
    session.printer.reply(&done, |_| describe(&done, length) + &next(session, &done.secret))
}

/// Brings the vault to unlocked; answers the key file that was used.
fn open_vault(session: &Session, client: &mut Client, state: VaultState) -> Result<Option<String>, Stop> {
    match state {
        VaultState::Unlocked => Ok(None),
        // the remembered key file opens it, or the daemon says what does
        VaultState::Locked => Ok(client.call(&VaultUnlock { passphrase: None, key_file: None })?.key_file),
        VaultState::Absent => {
            let dir = session.surroundings.config_dir().ok_or_else(|| {
                Stop::usage("no place for a key file: neither HOME nor BURSAR_HOME is set")
                    .hint("set BURSAR_HOME to a directory of yours")
            })?;
            create_private_dir(&dir)?;
            let key_file = Some(absolute_text(&dir.join("vault.key"))?);
            Ok(client.call(&VaultInit { passphrase: None, key_file, credential: None })?.key_file)
        }
    }
}

/// Finds the first secret, or makes it; says which.
fn first_secret(client: &mut Client) -> Result<(Qualified, bool), Stop> {
    let name = SECRET.parse().map_err(|_| Stop::local("the first secret's name is no name"))?;
    let secret = Reference { organization: Some(OrganizationName::personal()), name };
    let show = SecretShow { secret: secret.clone() };
    match client.call(&show) {
        Ok(found) => return Ok((found.name, false)),
        Err(CallError { name: ErrorName::NotFound, .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let value = random_hex()?;
    let credentials = SensitiveJson::new(format!(r#"{{"token":"{}"}}"#, value.as_str()))
        .map_err(|_| Stop::local("the first secret cannot be written as json"))?;
    client.call(&SecretCreate {
        secret: secret.clone(),
        r#type: SecretType::Token,
        environment: None,
        unbound: None,
        credentials,
        exchange_policy: None,
        expiration_date: None,
    })?;
    Ok((client.call(&SecretWait { secret })?.name, true))
}

fn random_hex() -> Result<Zeroizing<String>, Stop> {
    let mut bytes = Zeroizing::new([0_u8; VALUE_BYTES]);
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut *bytes))
        .map_err(|error| Stop::local(format!("no random bytes: {}", error.kind())))?;
    let mut hex = Zeroizing::new(String::with_capacity(VALUE_BYTES * 2));
    for byte in bytes.iter() {
        // writing to a text cannot fail
        let _ = write!(hex, "{byte:02x}");
    }
    Ok(hex)
}

fn describe(done: &Done, length: usize) -> String {
    let made = |made: bool, what: &str| Some(format!("{what} ({})", if made { "made" } else { "was there" }));
    let key = done.key_file.as_ref().map_or_else(String::new, |file| format!("opened by {file}"));
    let vault = if key.is_empty() { "unlocked".to_owned() } else { key };
    let secret = done.secret.to_string();
    record(&[
        ("agent", Some(format!("{} ({})", done.socket, if done.started { "started" } else { "ran" }))),
        ("vault", made(done.vault_created, &vault)),
        ("secret", made(done.secret_created, &secret)),
        ("artifact", Some(format!("{length} characters were handed out"))),
    ])
}

/// Commands to go on with, as they would have to be typed in this shell.
fn next(session: &Session, secret: &Qualified) -> String {
    let mut text = String::from("\nnext:\n");
    if let Some(home) = session.surroundings.home.as_ref().and_then(|home| absolute_text(home.as_ref()).ok())
    {
        text += "  ";
        text += &assignment(Syntax::Sh, "BURSAR_HOME", &home);
    }
    let program = word(&session.program);
    for command in [
        &format!("get {secret}"),
        "secret create my-token --type token --token-file -",
        "secret list",
        "agent stop",
    ] {
        // writing to a text cannot fail
        let _ = writeln!(text, "  {program} {command}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_is_random_hex() {
        let (one, other) = (random_hex().unwrap(), random_hex().unwrap());
        assert_eq!(one.len(), VALUE_BYTES * 2);
        assert!(one.bytes().all(|b| b.is_ascii_hexdigit()));
        assert!(*one != *other);
    }
}
