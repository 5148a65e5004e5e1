//! The verbs of the vault: `init`, `unlock`, `lock`, `passphrase`, `rekey`, `backup`, `restore`.

use crate::agent::connect_or_start;
use crate::args::vault::{Backup, Key, Passphrase, Rekey, Restore};
use crate::file::absolute_text;
use crate::output::text::{record, yes_no};
use crate::session::Session;
use crate::stop::Stop;
use bursar_proto::call::{
    AgentStatus, Method, VaultBackup, VaultInit, VaultLock, VaultPassphrase, VaultRekey, VaultRestore,
    VaultUnlock,
};
use bursar_proto::client::Client;
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::kind::VaultState;
use bursar_proto::reply;
use bursar_proto::sensitive::Sensitive;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

pub(crate) fn init(session: &Session, key: &Key) -> Result<(), Stop> {
    let asks = key.passphrase_file.is_none() && key.key_file.is_none();
    if asks && !session.input.interactive() {
        return Err(Stop::usage("no passphrase, and no terminal to ask on")
            .hint("use --key-file FILE, or --passphrase-file FILE"));
    }
    let mut passphrase = read_passphrase(session, key.passphrase_file.as_deref())?;
    let key_file = key_path(key)?;
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
        passphrase = Some(sensitive(session.input.new_passphrase()?));
    }
    let vault = client.call(&VaultInit { passphrase, key_file })?;
    print_vault(session, &vault)
}

pub(crate) fn unlock(session: &Session, key: &Key) -> Result<(), Stop> {
    let key_file = key_path(key)?;
    let passphrase = read_passphrase(session, key.passphrase_file.as_deref())?;
    let mut client = session.connect()?;
    let on: &[_] = if key_file.is_none() { &[ErrorName::WrongKey, ErrorName::Invalid] } else { &[] };
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
            Some(session.input.prompt("present passphrase (empty if a key file opens the vault)")?)
                .filter(|typed| !typed.is_empty())
        }
        None => None,
    };
    let new = match new_file {
        Some(file) => session.input.value(file)?,
        None => session.input.new_passphrase()?,
    };
    let vault = session.ask(&VaultPassphrase { current: current.map(sensitive), new: sensitive(new) })?;
    print_vault(session, &vault)
}

pub(crate) fn rekey(session: &Session, rekey: &Rekey) -> Result<(), Stop> {
    let passphrase = read_passphrase(session, rekey.passphrase_file.as_deref())?;
    let mut client = session.connect()?;
    session.printer.progress("writing the whole store anew …");
    let vault = ask_if_needed(session, &mut client, passphrase, &[ErrorName::Invalid], |passphrase| {
        VaultRekey { passphrase }
    })?;
    print_vault(session, &vault)
}

pub(crate) fn backup(session: &Session, backup: &Backup) -> Result<(), Stop> {
    let reply = session.ask(&VaultBackup { file: absolute_text(&backup.file)? })?;
    print_backup(session, &reply)
}

pub(crate) fn restore(session: &Session, restore: &Restore) -> Result<(), Stop> {
    let file = absolute_text(&restore.file)?;
    let key_file = key_path(&restore.key)?;
    let passphrase = read_passphrase(session, restore.key.passphrase_file.as_deref())?;
    let (mut client, _) = connect_or_start(session)?;
    if client.call(&AgentStatus {})?.vault != VaultState::Absent {
        session.input.confirm(
            "putting a backup in the place of the present vault",
            "restore",
            restore.confirmation.yes,
        )?;
    }
    // not on `Invalid`: that speaks of the file
    let on: &[_] = if key_file.is_none() { &[ErrorName::WrongKey] } else { &[] };
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
    match client.call(&method(passphrase)) {
        Err(error) if may_ask && on.contains(&error.name) => {
            let typed = session.input.prompt("passphrase")?;
            // the connection may have been idle for too long while a person typed
            Ok(session.connect()?.call(&method(Some(sensitive(typed))))?)
        }
        reply => Ok(reply?),
    }
}

fn key_path(key: &Key) -> Result<Option<String>, Stop> {
    key.key_file.as_ref().map(|path: &PathBuf| absolute_text(path)).transpose()
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
