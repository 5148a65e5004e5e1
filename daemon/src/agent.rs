//! The agent: carries out authorized calls. One exhaustive match, one file per group of methods.
//!
//! | file | methods |
//! |---|---|
//! | `status` | hello, agent.* |
//! | `vault` | vault.* |
//! | `organization`, `environment` | organization.*, environment.* |
//! | `secret` | secret.* |
//! | `artifact` | artifact.get, what `get` may hand out |
//! | `tombstone` | secret.deleted, and the sweeping of deleted values |
//! | `credential` | credential.get, and what systemd asks for |
//! | `doctor` | agent.doctor |
//! | `element` | element.* |
//! | `library` | library.resolve, what an element stands for |
//! | `package` | package.* |
//! | `render` | what templates of the config become |
//! | `workspace` | workspace.* |
//! | `client_secret` | `client_secret.*`, authenticate |
//! | `audit`, `usage`, `expiring` | audit.*, usage.list, expiring.list |
//! | `request` | the way of a request: principal, policy, entry in the record of accesses |
//! | `fault` | inner errors, mapped to the wire's |
//!
//! Handlers return values and never hold a socket. The vault sits behind one lock that is never held across
//! an await.

mod artifact;
mod audit;
mod authenticate;
mod authorization;
mod client_secret;
mod credential;
mod doctor;
mod element;
mod environment;
mod expiring;
mod fault;
mod issuer;
mod library;
mod organization;
mod package;
mod render;
mod request;
mod secret;
mod status;
#[cfg(test)]
pub(crate) mod tests;
mod tombstone;
mod usage;
mod vault;
mod workspace;

pub(crate) use artifact::Got;
pub(crate) use audit::Wanted;

use crate::audit::{Audit, OK};
use crate::authorization::Authorizations;
use crate::clock::Clock;
use crate::config::{Config, Paths};
use crate::exchange::Exchange;
use crate::hook::Hooks;
use crate::noise::Noise;
use crate::policy::Authorized;
use crate::refresh::Flights;
use crate::systemd::notify::Told;
use crate::systemd::watchdog::Pulse;
use crate::vault::catalog::{Catalog, Secret};
use crate::vault::store::{Committed, Id};
use crate::vault::{Unlocked, Vault, VaultError};
use authenticate::Waits;
use bursar_proto::call::Call;
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::kind::Change;
use bursar_proto::name::{Qualified, Reference};
use bursar_proto::reply::{Changed, Empty};
use bursar_proto::time::Timestamp;
use request::Request;
use secret::Callers;
use serde::Serialize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use vault::Throttle;
use zeroize::Zeroizing;

/// Changes that a watcher may lag behind before some are dropped, and it is told how many.
const CHANGES_KEPT: usize = 1_024;

/// Everything that handlers work on.
pub(crate) struct Agent {
    pub(crate) paths: Paths,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) started_at: Timestamp,
    config: RwLock<Arc<Config>>,
    issuers: RwLock<Arc<dyn Exchange>>,
    vault: Mutex<Vault>,
    /// Held while the vault itself changes: one unlock, one rekey at a time.
    vault_change: tokio::sync::Mutex<()>,
    throttle: Mutex<Throttle>,
    pub(crate) flights: Flights,
    /// The hours in which a person may authorize.
    pub(crate) authorizations: Authorizations,
    /// Rings when the vault was unlocked.
    pub(crate) opened: Notify,
    /// Whether systemd keeps the socket.
    pub(crate) activated: bool,
    /// The turns of the refresh loop, for the watchdog.
    pub(crate) pulse: Pulse,
    /// What the service manager was told last.
    pub(crate) told: Told,
    /// Tasks that outlive the connection that asked for them.
    pub(crate) tasks: TaskTracker,
    /// Wakes the refresh loop: something is due that was not before.
    pub(crate) wake: Notify,
    /// Rings when a rendered file may not be up to date any more.
    pub(crate) rendering: Notify,
    /// Ends the daemon.
    pub(crate) shutdown: CancellationToken,
    changes: broadcast::Sender<Arc<Changed>>,
    callers: Mutex<Callers>,
    /// The record of accesses.
    pub(crate) audit: Audit,
    /// The waits of users who came with wrong client secrets.
    waits: Mutex<Waits>,
    /// Whom the config wants told of what happens.
    pub(crate) hooks: Hooks,
    /// The log lines that callers cause.
    pub(crate) noise: Noise,
    /// The last second in which somebody used the vault; for auto-lock.
    used_at: Mutex<Timestamp>,
}

/// One answer: the JSON of the `result` member.
pub(crate) type Answer = Result<Zeroizing<Vec<u8>>, CallError>;

impl Agent {
    pub(crate) fn new(
        paths: Paths,
        config: Config,
        vault: Vault,
        issuers: Arc<dyn Exchange>,
        clock: Arc<dyn Clock>,
        hooks: Hooks,
        activated: bool,
    ) -> Arc<Self> {
        let now = clock.now();
        Arc::new(Self {
            paths,
            started_at: now,
            config: RwLock::new(Arc::new(config)),
            issuers: RwLock::new(issuers),
            vault: Mutex::new(vault),
            vault_change: tokio::sync::Mutex::new(()),
            throttle: Mutex::default(),
            flights: Flights::default(),
            authorizations: Authorizations::default(),
            opened: Notify::new(),
            activated,
            pulse: Pulse::default(),
            told: Told::default(),
            tasks: TaskTracker::new(),
            wake: Notify::new(),
            rendering: Notify::new(),
            shutdown: CancellationToken::new(),
            changes: broadcast::Sender::new(CHANGES_KEPT),
            callers: Mutex::default(),
            audit: Audit::default(),
            waits: Mutex::default(),
            hooks,
            noise: Noise::default(),
            used_at: Mutex::new(now),
            clock,
        })
    }

    /// Carries out a call.
    async fn handle(self: &Arc<Self>, call: Authorized<Call>, request: &Request) -> Answer {
        let call = call.into_inner();
        if !matches!(call, Call::Hello(_) | Call::AgentStatus(_) | Call::AgentDoctor(_)) {
            self.used(self.clock.now());
        }
        match call {
            Call::Hello(call) => answer(Self::hello(&call)),
            Call::Authenticate(_) => {
                Err(CallError::new(ErrorName::Internal, "a connection authenticates by itself"))
            }
            Call::AgentStatus(_) => answer(Ok(self.status())),
            Call::AgentStop(_) => answer(Ok(self.stop())),
            Call::AgentDoctor(_) => answer(self.doctor().await),
            Call::VaultInit(call) => answer(self.vault_init(call, request).await),
            Call::VaultUnlock(call) => answer(self.vault_unlock(call).await),
            Call::VaultLock(_) => answer(self.vault_lock(request).await),
            Call::VaultPassphrase(call) => answer(self.vault_passphrase(call, request).await),
            Call::VaultRekey(call) => answer(self.vault_rekey(call).await),
            Call::VaultBackup(call) => answer(self.vault_backup(&call).await),
            Call::VaultRestore(call) => answer(self.vault_restore(call).await),
            Call::OrganizationCreate(call) => answer(self.organization_create(call, request).await),
            Call::OrganizationList(_) => answer(self.organization_list()),
            Call::OrganizationDelete(call) => answer(self.organization_delete(call, request).await),
            Call::EnvironmentCreate(call) => answer(self.environment_create(call, request).await),
            Call::EnvironmentList(call) => answer(self.environment_list(&call)),
            Call::EnvironmentShow(call) => answer(self.environment_show(call)),
            Call::EnvironmentDelete(call) => answer(self.environment_delete(call, request).await),
            Call::SecretCreate(call) => answer(self.secret_create(call, request).await),
            Call::SecretList(call) => answer(self.secret_list(call)),
            Call::SecretShow(call) => answer(self.secret_show(call.secret)),
            Call::SecretEdit(call) => answer(self.secret_edit(call, request).await),
            Call::SecretBind(call) => answer(self.secret_bind(call, request).await),
            Call::SecretTest(call) => answer(self.secret_test(call.secret).await),
            Call::SecretRetry(call) => answer(self.secret_retry(call.secret, request).await),
            Call::SecretReauthorize(call) => answer(self.secret_reauthorize(call.secret, request).await),
            Call::SecretAuthorize(call) => answer(self.secret_authorize(call, request).await),
            Call::IssuerConfigure(call) => answer(self.issuer_configure(call, request).await),
            Call::IssuerShow(call) => answer(self.issuer_show(&call)),
            Call::SecretWait(call) => answer(self.secret_wait(call.secret).await),
            Call::SecretWhere(call) => answer(self.secret_where(call.secret)),
            Call::SecretDeactivate(call) => answer(self.secret_set_active(call.secret, false, request).await),
            Call::SecretReactivate(call) => answer(self.secret_set_active(call.secret, true, request).await),
            Call::SecretDelete(call) => answer(self.secret_delete(call.secret, request).await),
            Call::SecretDeleted(_) => answer(self.secret_deleted()),
            Call::ArtifactGet(call) => self.artifact_get(call, request).await,
            Call::CredentialGet(call) => self.credential_get(call, request).await,
            Call::ElementSet(call) => answer(self.element_set(call, request).await),
            Call::ElementList(call) => answer(self.element_list(&call)),
            Call::ElementShow(call) => answer(self.element_show(call.element)),
            Call::ElementDelete(call) => answer(self.element_delete(call.element, request).await),
            Call::ElementResolve(call) => answer(self.element_resolve(call).await),
            Call::LibraryResolve(call) => answer(self.library_resolve(call).await),
            Call::PackagePublish(call) => answer(self.package_publish(call, request).await),
            Call::PackageList(call) => answer(self.package_list(&call, request)),
            Call::PackageShow(call) => answer(self.package_show(call)),
            Call::PackageFetch(call) => answer(self.package_fetch(call)),
            Call::PackageResolve(call) => answer(self.package_resolve(call, request).await),
            Call::PackageGet(call) => self.package_get(call, request).await,
            Call::WorkspaceShow(call) => answer(self.workspace_show(&call.workspace, request)),
            Call::WorkspaceList(_) => answer(self.workspace_list()),
            Call::WorkspaceTrust(call) => answer(self.workspace_trust(call, request).await),
            Call::WorkspaceRecord(call) => answer(self.workspace_record(call, request).await),
            Call::WorkspaceForget(call) => answer(self.workspace_forget(call, request).await),
            Call::ArtifactWatch(call) => answer(self.watch(&call).map(|_| Empty {})),
            Call::ClientSecretCreate(call) => answer(self.client_secret_create(call, request).await),
            Call::ClientSecretList(call) => answer(self.client_secret_list(&call)),
            Call::ClientSecretShow(call) => answer(self.client_secret_show(&call.id)),
            Call::ClientSecretSetAnalytics(call) => {
                answer(self.client_secret_set_analytics(call, request).await)
            }
            Call::ClientSecretRotate(call) => answer(self.client_secret_rotate(call, request).await),
            Call::ClientSecretRevoke(call) => answer(self.client_secret_revoke(&call.id, request).await),
            Call::AuditList(call) => answer(self.audit_list(call).await),
            Call::AuditWatch(call) => answer(self.audit_watch(call).map(|_| Empty {})),
            Call::AuditVerify(_) => answer(self.audit_verify().await),
            Call::UsageList(call) => answer(self.usage_list(call).await),
            Call::ExpiringList(call) => answer(self.expiring_list(&call)),
        }
    }

    /// The present config.
    pub(crate) fn config(&self) -> Arc<Config> {
        self.config.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts a new config, and what speaks with issuers under it, in the place of the old ones.
    pub(crate) fn reconfigure(&self, config: Config, issuers: Arc<dyn Exchange>) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
        *self.issuers.write().unwrap_or_else(PoisonError::into_inner) = issuers;
        self.rendering.notify_one();
    }

    /// What speaks with issuers.
    pub(crate) fn issuers(&self) -> Arc<dyn Exchange> {
        self.issuers.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The vault. A thread that panicked with the lock has changed nothing that was acknowledged.
    pub(crate) fn vault(&self) -> MutexGuard<'_, Vault> {
        self.vault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a commit. If it fails, memory goes back to what the disk holds.
    pub(crate) async fn durable(&self, committed: Committed) -> Result<(), CallError> {
        let durable = committed.durable().await;
        if let Err(error) = &durable {
            tracing::error!(reason = %error, "a write failed");
            self.unspoil();
        }
        self.rendering.notify_one();
        Ok(durable?)
    }

    /// Opens the store anew where memory and disk may differ; of many who see it, the first does it.
    pub(crate) fn unspoil(&self) {
        let mut vault = self.vault();
        if vault.spoilt() {
            tracing::warn!("the store is opened anew");
            vault.reopen(self.clock.now());
            self.wake.notify_one();
        }
    }

    /// Makes a change, with its entry in the record of accesses, and waits until both are durable.
    async fn write<T>(
        &self,
        request: &Request,
        change: impl FnOnce(&mut Catalog) -> Result<(Vec<crate::vault::Change>, T), CallError>,
    ) -> Result<T, CallError> {
        let entry = [crate::audit::Entry { outcome: OK, ..request.taken() }.record()];
        let written = {
            let mut vault = self.vault();
            vault.unlocked().map_err(CallError::from).and_then(|unlocked| {
                let number = unlocked.audit_bounds().1;
                Ok((number, unlocked.write(&entry, change)?))
            })
        };
        let (number, (committed, value)) = written.inspect_err(|_| {
            request.not_taken();
            self.unspoil();
        })?;
        self.durable(committed).await.inspect_err(|_| request.not_taken())?;
        self.audit.tell(number, &entry);
        Ok(value)
    }

    /// The full name behind a reference.
    pub(crate) fn resolve(&self, reference: Reference) -> Qualified {
        match reference.organization {
            Some(_) => reference.within(&bursar_proto::name::OrganizationName::personal()),
            None => reference.within(&self.config().organization),
        }
    }

    /// Tells watchers that something happened to a secret.
    pub(crate) fn tell(&self, secret: &Secret, change: Change) {
        if self.changes.receiver_count() > 0 {
            let changed = Changed {
                secret: secret.full_name(),
                change,
                at: self.clock.now(),
                status: secret.status,
                expires_at: secret.expires_at,
            };
            // nobody listening any more is no fault
            drop(self.changes.send(Arc::new(changed)));
        }
    }

    /// What watchers receive from.
    pub(crate) fn changes(&self) -> broadcast::Receiver<Arc<Changed>> {
        self.changes.subscribe()
    }

    /// Notes that the vault is in use, for auto-lock.
    fn used(&self, now: Timestamp) {
        *self.used_at.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// Locks the vault if nobody used it for as long as the config says; answers when to look again.
    pub(crate) async fn auto_lock(self: &Arc<Self>, now: Timestamp) -> Option<Timestamp> {
        let limit = i64::try_from(self.config().vault.auto_lock.as_secs()).unwrap_or(i64::MAX);
        if limit == 0 {
            return None;
        }
        let end = {
            self.vault().unlocked().ok()?;
            self.used_at.lock().unwrap_or_else(PoisonError::into_inner).plus(limit)
        };
        if end > now {
            return Some(end);
        }
        self.lock_recorded().await;
        tracing::info!("the vault was idle");
        None
    }
}

/// The id of a secret.
fn secret_id(unlocked: &Unlocked, name: &Qualified) -> Result<Id, CallError> {
    unlocked.catalog.secret_id(name.organization.as_str(), name.name.as_str()).ok_or_else(|| no_secret(name))
}

/// The error for a secret that is not there.
fn no_secret(name: &Qualified) -> CallError {
    CallError::new(ErrorName::NotFound, format!("no secret {name}"))
        .hint("see which there are: bursar secret list")
}

/// The id of an environment.
fn environment_id(catalog: &Catalog, name: &Qualified) -> Result<Id, CallError> {
    catalog.environment_id(name).ok_or_else(|| {
        CallError::new(ErrorName::NotFound, format!("no environment {name}"))
            .hint("see which there are: bursar environment list")
    })
}

/// A new random id.
fn new_id() -> Result<Id, CallError> {
    Ok(crate::vault::crypto::generate().map_err(VaultError::from)?)
}

fn answer<T: Serialize>(result: Result<T, CallError>) -> Answer {
    let mut json = Zeroizing::new(Vec::with_capacity(256));
    serde_json::to_writer(&mut *json, &result?)
        .map_err(|_| CallError::new(ErrorName::Internal, "the answer cannot be written"))?;
    Ok(json)
}

/// Runs what takes long on a thread of its own.
async fn on_worker<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, CallError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| CallError::new(ErrorName::Internal, "a worker stopped in the middle of its work"))
}
