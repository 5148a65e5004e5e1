//! The verbs of the vault: `init`, `unlock`, `lock`, `passphrase`, `rekey`, `backup`, `restore`.

use crate::agent::connect_or_start;
use crate::args::vault::{Backup, Init, Passphrase, Rekey, Restore, Unlock};
use crate::file::{absolute_text, check_readable};
use crate::output::text::{record, yes_no};
use crate::session::Session;
use crate::stop::Stop;
use bursar_proto::call::{
    AgentStatus, Method, VaultBackup, VaultInit, VaultLock, VaultPassphrase, VaultRekey, VaultRestore,
    VaultUnlock,
};
use bursar_proto::client::Client;
use bursar_proto::error::ErrorName::PassphraseRequired;
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::kind::VaultState;
use bursar_proto::reply;
use bursar_proto::sensitive::Sensitive;
use std::path::Path;
use zeroize::Zeroizing;

pub(crate) fn init(session: &Session, init: &Init) -> Result<(), Stop> {
    let asks = init.passphrase_file.is_none() && init.key_file.is_none() && init.credential.is_none();
    if asks && !session.input.interactive() {
        return Err(Stop::usage("no passphrase, and no terminal to ask on")
            .hint("use --key-file FILE, or --passphrase-file FILE"));
    }
    let mut passphrase = match &init.passphrase_file {
        Some(file) => Some(sensitive(session.input.new_passphrase(Some(file))?)),
        None => None,
    };
    let key_file = key_path(init.key_file.as_deref())?;
    session.warn_of_two_homes();
    let (mut client, started) = connect_or_start(session)?;
    if started {
        session.printer.note("the agent was started");
    }
    if asks {
        // asked for only where it will be used
        if client.call(&AgentStatus {})?.vault != VaultState::Absent {
            let error = CallError::new(ErrorName::Conflict, "there is a vault already");
            return Err(error.hint("open it: bursar unlock").into());
        }
        passphrase = Some(sensitive(session.input.new_passphrase(None)?));
    }
    let vault = client.call(&VaultInit { passphrase, key_file, credential: init.credential.clone() })?;
    print_vault(session, &vault)
}

pub(crate) fn unlock(session: &Session, unlock: &Unlock) -> Result<(), Stop> {
    let key_file = key_path(unlock.key_file.as_deref())?;
    let passphrase = read_passphrase(session, unlock.passphrase_file.as_deref())?;
    let mut client = session.connect()?;
    let on: &[_] =
        if key_file.is_none() { &[PassphraseRequired, ErrorName::WrongKey, ErrorName::Invalid] } else { &[] };
    let vault = ask_if_needed(session, &mut client, passphrase, on, |passphrase| VaultUnlock {
        passphrase,
        key_file: key_file.clone(),
    })?;
    print_vault(session, &vault)
}

pub(crate) fn lock(session: &Session) -> Result<(), Stop> {
    let vault = session.ask(&VaultLock {})?;
    print_vault(session, &vault)
}

pub(crate) fn passphrase(session: &Session, passphrase: &Passphrase) -> Result<(), Stop> {
    let Passphrase { current_file, new_file } = passphrase;
    if new_file.is_none() && !session.input.interactive() {
        return Err(Stop::usage("no new passphrase, and no terminal to ask on").hint("use --new-file FILE"));
    }
    // a prompt comes before the connection: the agent need not wait for a person
    let current = match current_file {
        Some(file) => Some(session.input.value(file)?),
        None if session.input.interactive() => {
            Some(session.input.prompt("present passphrase, empty if there is none")?)
                .filter(|typed| !typed.is_empty())
        }
        None => None,
    };
    let new = session.input.new_passphrase(new_file.as_deref())?;
    let call = VaultPassphrase { current: current.map(sensitive), new: sensitive(new) };
    let vault = session.connect()?.call(&call).map_err(|error| {
        let hint = (error.name == PassphraseRequired).then(|| "use --current-file FILE".to_owned());
        CallError { hint: hint.or(error.hint), ..error }
    })?;
    print_vault(session, &vault)
}

pub(crate) fn rekey(session: &Session, rekey: &Rekey) -> Result<(), Stop> {
    let passphrase = read_passphrase(session, rekey.passphrase_file.as_deref())?;
    let mut client = session.connect()?;
    session.printer.progress("writing the whole store anew …");
    let vault = ask_if_needed(session, &mut client, passphrase, &[PassphraseRequired], |passphrase| {
        VaultRekey { passphrase, credential: rekey.credential.clone() }
    })?;
    print_vault(session, &vault)
}

pub(crate) fn backup(session: &Session, backup: &Backup) -> Result<(), Stop> {
    let file = absolute_text(&backup.file)?;
    if backup.file.exists() {
        session.input.confirm(&format!("writing over {file}"), "overwrite", backup.yes)?;
    }
    let reply = session.ask(&VaultBackup { file })?;
    print_backup(session, &reply)
}

pub(crate) fn restore(session: &Session, restore: &Restore) -> Result<(), Stop> {
    let file = absolute_text(&restore.file)?;
    check_readable(&restore.file)?;
    let key_file = key_path(restore.key_file.as_deref())?;
    let passphrase = read_passphrase(session, restore.passphrase_file.as_deref())?;
    let (mut client, _) = connect_or_start(session)?;
    if client.call(&AgentStatus {})?.vault != VaultState::Absent {
        session.input.confirm(
            "putting a backup in the place of the present vault",
            "restore",
            restore.confirmation.yes,
        )?;
    }
    // not on `Invalid`: that speaks of the file
    let on: &[_] = if key_file.is_none() { &[PassphraseRequired, ErrorName::WrongKey] } else { &[] };
    let reply = ask_if_needed(session, &mut client, passphrase, on, |passphrase| VaultRestore {
        file: file.clone(),
        passphrase,
        key_file: key_file.clone(),
    })?;
    print_backup(session, &reply)
}

/// Makes the call with the passphrase that was given; where none was, and the call fails with one of `on`, asks for it
/// and tries again. So nobody is asked for a passphrase that a key file makes needless.
fn ask_if_needed<M: Method>(
    session: &Session,
    client: &mut Client,
    passphrase: Option<Sensitive>,
    on: &[ErrorName],
    method: impl Fn(Option<Sensitive>) -> M,
) -> Result<M::Reply, Stop> {
    let may_ask = passphrase.is_none() && session.input.interactive();
    let unasked = passphrase.is_none() && !may_ask;
    match client.call(&method(passphrase)) {
        Err(error) if unasked && error.name == PassphraseRequired => {
            Err(Stop::usage("no passphrase, and no terminal to ask on").hint("use --passphrase-file FILE"))
        }
        Err(error) if may_ask && on.contains(&error.name) => {
            let typed = session.input.prompt("passphrase")?;
            // the connection may have been idle for too long while a person typed
            Ok(session.connect()?.call(&method(Some(sensitive(typed))))?)
        }
        reply => Ok(reply?),
    }
}

fn key_path(file: Option<&Path>) -> Result<Option<String>, Stop> {
    file.map(absolute_text).transpose()
}

fn read_passphrase(session: &Session, file: Option<&Path>) -> Result<Option<Sensitive>, Stop> {
    file.map(|file| session.input.value(file).map(sensitive)).transpose()
}

fn sensitive(mut text: Zeroizing<String>) -> Sensitive {
    Sensitive::new(std::mem::take(&mut *text))
}

fn print_vault(session: &Session, vault: &reply::Vault) -> Result<(), Stop> {
    session.printer.reply(vault, |_| describe(vault))
}

pub(super) fn describe(vault: &reply::Vault) -> String {
    record(&[
        ("vault", Some(vault.vault.to_string())),
        ("passphrase", Some(yes_no(vault.passphrase))),
        ("key file", vault.key_file.clone()),
        ("credential", vault.credential.clone()),
    ])
}

fn print_backup(session: &Session, backup: &reply::Backup) -> Result<(), Stop> {
    session.printer.reply(backup, |_| {
        record(&[
            ("file", Some(backup.file.clone())),
            ("records", Some(backup.records.to_string())),
            ("secrets", backup.secrets.map(|count| count.to_string())),
            ("replaced vault", backup.replaced.clone()),
        ])
    })
}
