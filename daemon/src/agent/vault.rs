//! vault.*: make, open, close, copy and replace the vault. Derivations run on worker threads.

use super::client_secret::{end_again, standing};
use super::request::Request;
use super::{Agent, on_worker};
use crate::audit::{Entry, OK};
use crate::harden::landlock;
use crate::vault::VaultError;
use crate::vault::crypto::RootKey;
use crate::vault::header::{Header, HeaderError, Opener, is_credential_name, make_key_file};
use bursar_proto::call::{VaultBackup, VaultInit, VaultPassphrase, VaultRekey, VaultRestore, VaultUnlock};
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::kind::VaultState;
use bursar_proto::reply;
use bursar_proto::sensitive::Sensitive;
use bursar_proto::time::Timestamp;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// The longest wait after wrong passphrases: guessing stays dear, a person who mistyped comes back.
const WAIT_MAX: Duration = Duration::from_mins(1);

/// After such a time without a wrong one the count begins anew: guessing stays dear, and what happened last week is over.
const FORGOTTEN_AFTER: Duration = Duration::from_hours(1);

/// Wrong passphrases, or client secrets, and the wait that they cost: the first none, the second one second, then twice as long each time.
#[derive(Default)]
pub(super) struct Throttle {
    wrong: u32,
    until: Option<Instant>,
}

impl Throttle {
    /// Refuses whoever has to wait still; `what` was wrong.
    pub(super) fn check(&self, now: Instant, what: &str) -> Result<(), CallError> {
        match self.until {
            Some(until) if until > now => {
                let seconds = (until - now).as_secs() + 1;
                Err(CallError::new(
                    ErrorName::Throttled,
                    format!("the last {what} was wrong; wait {seconds} s"),
                )
                .hint("look which one it was, and try again then"))
            }
            _ => Ok(()),
        }
    }

    /// Notes another wrong one.
    pub(super) fn wrong(&mut self, now: Instant) {
        if self.until.is_some_and(|until| now.saturating_duration_since(until) > FORGOTTEN_AFTER) {
            self.wrong = 0;
        }
        let wait = match self.wrong {
            0 => Duration::ZERO,
            n => Duration::from_secs(1 << (n - 1).min(6)).min(WAIT_MAX),
        };
        self.wrong = self.wrong.saturating_add(1);
        self.until = Some(now + wait);
    }
}

impl Agent {
    pub(super) async fn vault_init(
        self: &Arc<Self>,
        call: VaultInit,
        request: &Request,
    ) -> Result<reply::Vault, CallError> {
        let _turn = self.vault_change.lock().await;
        if self.vault().state() != VaultState::Absent {
            return Err(VaultError::Exists.into());
        }
        let enrolment = match (call.passphrase, call.key_file, call.credential) {
            (Some(passphrase), None, None) => Enrolment::Passphrase(passphrase),
            (None, Some(file), None) => {
                let path = absolute(file, "key_file")?;
                // one that is there is only read
                if !path.exists() {
                    landlock::check(&path)?;
                }
                Enrolment::KeyFile(path)
            }
            (None, None, Some(name)) => Enrolment::Credential(credential(name)?),
            _ => {
                return Err(CallError::new(
                    ErrorName::Invalid,
                    "a vault is made with a passphrase, a key file or a credential",
                )
                .hint("give one of passphrase, key_file and credential"));
            }
        };
        let credentials = self.paths.credentials.clone();
        let (root, header) = on_worker(move || {
            let root = RootKey::generate()?;
            let mut header = Header::new();
            match enrolment {
                Enrolment::Passphrase(passphrase) => header.enrol_passphrase(&passphrase, &root)?,
                Enrolment::KeyFile(path) => {
                    make_key_file(&path)?;
                    header.enrol_key_file(&path, &root)?;
                }
                Enrolment::Credential(name) => {
                    header.enrol_credential(&name, credentials.as_deref(), &root)?;
                }
            }
            Ok::<_, HeaderError>((root, header))
        })
        .await??;
        let entry = Entry { outcome: OK, ..request.taken() }.record();
        let committed = self.vault().create(root, header, self.clock.now(), &[entry]);
        let committed = committed.inspect_err(|_| request.not_taken())?;
        self.durable(committed).await.inspect_err(|_| request.not_taken())?;
        self.wake.notify_one();
        tracing::info!("the vault was made");
        self.vault_state()
    }

    pub(super) async fn vault_unlock(self: &Arc<Self>, call: VaultUnlock) -> Result<reply::Vault, CallError> {
        let _turn = self.vault_change.lock().await;
        self.vault().mend(self.clock.now());
        let header = self.vault().header()?.clone();
        if self.vault().state() == VaultState::Unlocked {
            return self.vault_state();
        }
        let root = self.open(header, self.opener(call.passphrase, call.key_file)?).await?;
        let now = self.clock.now();
        self.unlock_with(root, now)?;
        self.wake.notify_one();
        tracing::info!("the vault was unlocked");
        self.vault_state()
    }

    /// Unlocks; where the store does not hold what was written, the newest snapshot is the way out.
    fn unlock_with(&self, root: RootKey, now: Timestamp) -> Result<(), CallError> {
        let mut vault = self.vault();
        vault.unlock(root, now).map_err(|error| {
            let tampered = matches!(error, VaultError::Tampered(_));
            match vault.newest_snapshot().filter(|_| tampered) {
                Some(snapshot) => CallError::from(error)
                    .hint(format!("go back to the newest snapshot: bursar restore {}", snapshot.display())),
                None => error.into(),
            }
        })?;
        self.audit.open();
        self.opened.notify_waiters();
        self.rendering.notify_one();
        Ok(())
    }

    /// Unlocks a vault that remembers a key file or a credential, before anybody can ask for it.
    pub(crate) fn unlock_at_start(&self) {
        let mut vault = self.vault();
        let Ok(header) = vault.header() else { return };
        if !header.opens_by_itself() {
            return;
        }
        let opened = header.open(&self.remembered()).map_err(VaultError::from);
        match opened.and_then(|root| vault.unlock(root, self.clock.now())) {
            Ok(()) => {
                self.audit.open();
                tracing::info!("the vault was unlocked by what it remembers");
            }
            Err(error) => {
                tracing::error!(reason = %error, "the vault stays locked");
                // everybody may learn why; where the key file lies is for those who read the log
                vault.stays_locked(match error {
                    VaultError::Header(HeaderError::KeyFile { reason, .. }) => {
                        format!("its key file: {reason}")
                    }
                    error => error.to_string(),
                });
            }
        }
    }

    /// Opens by what the vault remembers.
    fn remembered(&self) -> Opener {
        Opener::Remembered(self.paths.credentials.clone())
    }

    fn opener(&self, passphrase: Option<Sensitive>, key_file: Option<String>) -> Result<Opener, CallError> {
        match (passphrase, key_file) {
            (Some(_), Some(_)) => {
                Err(CallError::new(ErrorName::Invalid, "give one of passphrase and key_file, not both"))
            }
            (Some(passphrase), None) => Ok(Opener::Passphrase(Arc::new(passphrase))),
            (None, Some(file)) => Ok(Opener::KeyFile(absolute(file, "key_file")?)),
            (None, None) => Ok(self.remembered()),
        }
    }

    pub(super) async fn vault_lock(self: &Arc<Self>, request: &Request) -> Result<reply::Vault, CallError> {
        self.vault().unlocked()?;
        // its own entry has to be in before the keys are gone
        self.audit.note(Entry { outcome: OK, ..request.taken() }, false)?;
        self.lock_recorded().await;
        self.vault_state()
    }

    pub(super) async fn vault_passphrase(
        self: &Arc<Self>,
        call: VaultPassphrase,
        request: &Request,
    ) -> Result<reply::Vault, CallError> {
        let _turn = self.vault_change.lock().await;
        self.vault().unlocked()?;
        let mut header = self.vault().header()?.clone();
        let root = self.prove_key(&header, call.current.map(Arc::new)).await?;
        let header = on_worker(move || {
            header.enrol_passphrase(&call.new, &root)?;
            Ok::<_, HeaderError>(header)
        })
        .await??;
        let entry = [Entry { outcome: OK, ..request.taken() }.record()];
        let written = {
            let mut vault = self.vault();
            let number = vault.unlocked()?.audit_bounds().1;
            vault.replace_header(header, &entry).map(|committed| (number, committed))
        };
        let (number, committed) = written.inspect_err(|_| request.not_taken())?;
        self.durable(committed).await.inspect_err(|_| request.not_taken())?;
        self.audit.tell(number, &entry);
        tracing::info!("the passphrase was changed");
        self.vault_state()
    }

    pub(super) async fn vault_rekey(self: &Arc<Self>, call: VaultRekey) -> Result<reply::Vault, CallError> {
        let _turn = self.vault_change.lock().await;
        self.vault().unlocked()?;
        let header = self.vault().header()?.clone();
        let (key_file, has_passphrase) = (header.key_file().map(PathBuf::from), header.has_passphrase());
        let named = call.credential.map(credential).transpose()?;
        let name = named.or_else(|| header.credential().map(str::to_owned));
        let credentials = self.paths.credentials.clone();
        let passphrase = call.passphrase.map(Arc::new);
        self.prove_key(&header, passphrase.clone()).await?;
        let (root, header) = on_worker(move || {
            let root = RootKey::generate()?;
            let mut header = Header::new();
            if let (true, Some(passphrase)) = (has_passphrase, &passphrase) {
                header.enrol_passphrase(passphrase, &root)?;
            }
            if let Some(path) = key_file {
                header.enrol_key_file(&path, &root)?;
            }
            if let Some(name) = name {
                header.enrol_credential(&name, credentials.as_deref(), &root)?;
            }
            Ok::<_, HeaderError>((root, header))
        })
        .await??;
        let (agent, stored) = (self.clone(), self.stored_tombstones());
        on_worker(move || agent.vault().rekey(root, &header, agent.clock.now())).await??;
        self.swept(&stored).await?;
        self.wake.notify_one();
        tracing::info!("the vault has new keys");
        self.vault_state()
    }

    pub(super) async fn vault_backup(
        self: &Arc<Self>,
        call: &VaultBackup,
    ) -> Result<reply::Backup, CallError> {
        let path = absolute(call.file.clone(), "file")?;
        landlock::check(&path)?;
        self.vault().unlocked()?;
        let agent = self.clone();
        let (records, secrets) = on_worker({
            let path = path.clone();
            move || agent.vault().backup(&path)
        })
        .await??;
        tracing::info!("a backup was written");
        let file = path.display().to_string();
        Ok(reply::Backup { file, records, secrets: Some(secrets), replaced: None })
    }

    pub(super) async fn vault_restore(
        self: &Arc<Self>,
        call: VaultRestore,
    ) -> Result<reply::Backup, CallError> {
        let _turn = self.vault_change.lock().await;
        let path = absolute(call.file, "file")?;
        let header = on_worker({
            let path = path.clone();
            move || crate::vault::backup::read(&path, |_, _| ()).map(|(header, _)| header)
        })
        .await?
        .map_err(VaultError::from)?;
        let opener = self.opener(call.passphrase, call.key_file)?;
        let root = self.open(header, opener.clone()).await?;
        // a vault that is locked has a record and ended rights as well, and most often it is the same key that shows them
        let locked = {
            let vault = self.vault();
            vault.header().ok().filter(|_| vault.state() == VaultState::Locked).cloned()
        };
        let present = match locked {
            Some(header) => on_worker(move || header.open(&opener)).await?.ok(),
            None => None,
        };
        // what waits for the record belongs to the vault that is replaced
        self.write_accesses().await;
        let agent = self.clone();
        let (records, secrets, replaced) = on_worker({
            let path = path.clone();
            move || {
                let (mut vault, now) = (agent.vault(), agent.clock.now());
                let was_locked = present.is_some_and(|root| vault.unlock(root, now).is_ok());
                let standing = standing(&mut vault);
                let restored = vault.restore(&path, root, now);
                if restored.is_err() && was_locked {
                    vault.lock();
                }
                let restored = restored?;
                end_again(&mut vault, standing)?;
                Ok::<_, VaultError>(restored)
            }
        })
        .await??;
        // they were for the secrets of the vault that is gone, of whatever id and revision
        self.authorizations.forget_all();
        self.audit.open();
        self.opened.notify_waiters();
        self.rendering.notify_one();
        self.wake.notify_one();
        tracing::info!("a backup was restored");
        Ok(reply::Backup {
            file: path.display().to_string(),
            records,
            secrets: Some(secrets),
            replaced: replaced.map(|path| path.display().to_string()),
        })
    }

    /// Keeps a snapshot if anything changed; for the refresh loop and the end of the daemon.
    pub(crate) async fn snapshot(self: &Arc<Self>) {
        if self.vault().unlocked().is_err() {
            return;
        }
        let agent = self.clone();
        match on_worker(move || agent.vault().snapshot(agent.clock.now())).await {
            Ok(Ok(true)) => tracing::info!("a snapshot was kept"),
            Ok(Ok(false)) => {}
            Ok(Err(error)) => tracing::warn!(reason = %error, "no snapshot could be kept"),
            Err(error) => tracing::warn!(reason = %error, "no snapshot could be kept"),
        }
    }

    /// Opens a header with what the caller brought; a wrong key costs growing time.
    async fn open(&self, header: Header, opener: Opener) -> Result<RootKey, CallError> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner).check(Instant::now(), "key")?;
        let root = on_worker(move || header.open(&opener)).await?;
        let mut throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        match &root {
            Ok(_) => *throttle = Throttle::default(),
            Err(HeaderError::WrongKey(_)) => throttle.wrong(Instant::now()),
            Err(_) => {}
        }
        Ok(root?)
    }

    /// Proves that the caller knows the present passphrase, where the vault has one, and answers the root key.
    async fn prove_key(
        &self,
        header: &Header,
        current: Option<Arc<Sensitive>>,
    ) -> Result<RootKey, CallError> {
        let opener = match (header.has_passphrase(), current) {
            (true, Some(passphrase)) => Opener::Passphrase(passphrase),
            (true, None) => {
                return Err(CallError::new(
                    ErrorName::PassphraseRequired,
                    "the present passphrase is required",
                )
                .hint("give it: --current-file FILE, or --passphrase-file FILE for rekey"));
            }
            (false, _) => self.remembered(),
        };
        self.open(header.clone(), opener).await
    }

    fn vault_state(&self) -> Result<reply::Vault, CallError> {
        let vault = self.vault();
        let header = vault.header()?;
        Ok(reply::Vault {
            vault: vault.state(),
            passphrase: header.has_passphrase(),
            key_file: header.key_file().map(|path| path.display().to_string()),
            credential: header.credential().map(str::to_owned),
        })
    }
}

enum Enrolment {
    Passphrase(Sensitive),
    KeyFile(PathBuf),
    Credential(String),
}

/// A credential's name from a caller: a file of systemd's directory, and no other.
fn credential(name: String) -> Result<String, CallError> {
    if is_credential_name(&name) {
        return Ok(name);
    }
    let message = "field credential: expected the name of a credential, as in LoadCredentialEncrypted=";
    Err(CallError::new(ErrorName::Invalid, message))
}

/// A path from a caller: the daemon has a working directory of its own, so only absolute ones mean anything.
fn absolute(path: String, field: &str) -> Result<PathBuf, CallError> {
    let path = PathBuf::from(path);
    if path.is_absolute() && !path.as_os_str().as_encoded_bytes().contains(&0) {
        Ok(path)
    } else {
        Err(CallError::new(ErrorName::Invalid, format!("field {field}: expected an absolute path")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_is_free_and_each_further_one_costs_twice_the_wait_up_to_a_minute() {
        let start = Instant::now();
        let mut throttle = Throttle::default();
        let mut waits = Vec::new();
        for _ in 0..10 {
            throttle.wrong(start);
            waits.push((throttle.until.unwrap() - start).as_secs());
        }
        assert_eq!(waits, [0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert!(throttle.check(start, "key").is_err());
        assert!(throttle.check(start + WAIT_MAX, "key").is_ok());
    }
}
