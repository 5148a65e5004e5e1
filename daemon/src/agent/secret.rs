//! secret.*: what changes secrets. `view` shows them, `callers` knows who asked.

mod callers;
mod test;
mod view;

pub(super) use callers::Callers;

use super::fault::{inactive, needs_authorization};
use super::organization::no_organization;
use super::package::naming;
use super::request::Request;
use super::{Agent, environment_id, new_id, no_secret, on_worker, secret_id};
use crate::authorization::{Prepared, ended};
use crate::credentials::Credentials;
use crate::exchange::By;
use crate::refresh::ungranted;
use crate::vault::catalog::{Catalog, Secret, Tombstone};
use crate::vault::store::Id;
use crate::vault::{Change, FIRST_ENVIRONMENT, part, usage};
use bursar_proto::call::{SecretBind, SecretCreate, SecretEdit};
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::fields::{Edit, Invalid};
use bursar_proto::kind::{Change as Happened, ExchangePolicy, SecretType, Status};
use bursar_proto::name::{Qualified, Reference};
use bursar_proto::reply;
use bursar_proto::time::Timestamp;
use std::sync::{Arc, PoisonError};

/// How many exchanges a waiting caller sees end without an outcome (the vault was locked meanwhile, the disk was
/// full) before it is told so.
const LANDINGS: u32 = 3;

impl Agent {
    pub(super) async fn secret_create(
        self: &Arc<Self>,
        call: SecretCreate,
        request: &Request,
    ) -> Result<reply::Secret, CallError> {
        let name = self.resolve(call.secret);
        let kind = call.r#type;
        let environment = match (call.environment, call.unbound.unwrap_or(false)) {
            (Some(_), true) => return Err(Invalid::new("give environment or unbound, not both").into()),
            (None, true) => None,
            (Some(environment), false) => Some(of_organization(environment, &name)?),
            (None, false) => Some(of_organization(first_environment()?, &name)?),
        };
        let policy = self.policy(kind, call.exchange_policy)?;
        let credentials = call.credentials;
        let parse = move || Credentials::parse(kind, policy, credentials.expose());
        let credentials = if has_keys(kind) { on_worker(parse).await?? } else { parse()? };
        let now = self.clock.now();
        let expiration_date = expiration(kind, &credentials, call.expiration_date, now)?;
        let asked = self.ask(&credentials, request)?;
        let id = new_id()?;
        // so that its creation is found under every later name
        request.about_secret(id, name.clone());
        let write = self.write(request, |catalog| {
            let organization = catalog
                .organizations
                .get(&name.organization)
                .ok_or_else(|| no_organization(&name.organization))?;
            if organization.secrets.contains_key(&name.name) {
                return Err(CallError::new(ErrorName::Conflict, format!("secret {name} exists"))
                    .hint(format!("change it: bursar secret edit {name}")));
            }
            let mut secret = Secret::new(&name, kind, now);
            secret.environment =
                environment.as_ref().map(|name| environment_id(catalog, name)).transpose()?;
            secret.policy = policy;
            secret.expiration_date = expiration_date;
            catalog.insert_secret(id, secret);
            let changes = restarted(catalog, id, Some(&credentials), &credentials, asked.as_ref(), now);
            Ok((changes, named(catalog, &id)?.revision))
        });
        let revision = write.await?;
        self.exchange_soon(&id, Some(Happened::Created), asked.map(|asked| (asked, revision)))
    }

    pub(super) async fn secret_edit(
        self: &Arc<Self>,
        call: SecretEdit,
        request: &Request,
    ) -> Result<reply::Secret, CallError> {
        let name = self.resolve(call.secret);
        let new_name = call.name.map(|new| of_organization(new, &name)).transpose()?.map(|full| full.name);
        let environment = match call.environment {
            Edit::Keep => None,
            Edit::Clear => Some(None),
            Edit::Set(environment) => Some(Some(of_organization(environment, &name)?)),
        };
        let (id, kind, old, old_policy, revision) = {
            let mut vault = self.vault();
            let unlocked = vault.unlocked()?;
            let id = secret_id(unlocked, &name)?;
            let old = unlocked.credentials(&id)?;
            let secret = named(&unlocked.catalog, &id)?;
            (id, secret.kind, old, secret.policy, secret.revision)
        };
        let policy = match call.exchange_policy {
            None => old_policy,
            given => self.policy(kind, given)?,
        };
        let edits = call.credentials;
        let (credentials, asks_the_same) = on_worker(move || {
            let json = edits.as_ref().map_or("{}", |json| json.expose());
            old.edited(kind, policy, json).map(|new| {
                let same = old.public() == new.public();
                (new, same)
            })
        })
        .await??;
        let now = self.clock.now();
        let given = match call.expiration_date {
            Edit::Set(date) => Some(date),
            Edit::Keep | Edit::Clear => None,
        };
        let expiration_date = expiration(kind, &credentials, given, now)?;
        let asked = self.ask(&credentials, request)?;
        let keep_date = call.expiration_date.is_keep() && kind != SecretType::Certificate;
        let write = self.write(request, |catalog| {
            let secret = named(catalog, &id)?;
            if secret.revision != revision {
                return Err(CallError::new(
                    ErrorName::Conflict,
                    format!("{name} was changed by another caller"),
                )
                .hint("look at it and try again"));
            }
            if let Some(new) = &new_name
                && *new != secret.name
                && catalog.secret_id(name.organization.as_str(), new.as_str()).is_some()
            {
                return Err(CallError::new(
                    ErrorName::Conflict,
                    format!("secret {}/{new} exists", name.organization),
                ));
            }
            if new_name.as_ref().is_some_and(|new| *new != secret.name)
                && let Some(package) = naming(catalog, &name)
            {
                let message =
                    format!("{name} is named by {} {}, so its name stays", package.name, package.version);
                return Err(CallError::new(ErrorName::Conflict, message)
                    .hint("create another secret, or let libraries use a data element instead"));
            }
            if call.r#type.is_some_and(|other| other != kind) {
                return Err(CallError::new(
                    ErrorName::Conflict,
                    format!("{name} is a {kind}, and a type stays"),
                )
                .hint("create another secret of the other type"));
            }
            let bind_to = match environment {
                None => None,
                Some(environment) => binding(catalog, &name, secret, environment.as_ref())?,
            };
            if let Some(new) = new_name {
                catalog.rename_secret(&id, new);
            }
            catalog.update_secret(&id, |secret| {
                secret.policy = policy;
                secret.updated_at = now;
                secret.environment = bind_to.or(secret.environment);
                if !keep_date {
                    secret.expiration_date = expiration_date;
                }
            });
            let mut changes = restarted(catalog, id, Some(&credentials), &credentials, asked.as_ref(), now);
            if !asks_the_same {
                // what was allowed was something else
                changes.extend(ungranted(catalog, id));
            }
            Ok((changes, named(catalog, &id)?.revision))
        });
        let revision = write.await?;
        self.exchange_soon(&id, Some(Happened::Edited), asked.map(|asked| (asked, revision)))
    }

    pub(super) async fn secret_bind(
        self: &Arc<Self>,
        call: SecretBind,
        request: &Request,
    ) -> Result<reply::Secret, CallError> {
        let name = self.resolve(call.secret);
        let environment = of_organization(call.environment, &name)?;
        let now = self.clock.now();
        let (id, credentials) = self.stored(&name)?;
        self.write(request, |catalog| {
            let secret = named(catalog, &id)?;
            if secret.environment.is_some() {
                return Err(bound(catalog, &name, secret));
            }
            let environment_id = environment_id(catalog, &environment)?;
            catalog.update_secret(&id, |secret| {
                secret.environment = Some(environment_id);
                secret.updated_at = now;
            });
            if waits_for_person(named(catalog, &id)?) {
                // whoever authorizes meanwhile does so for the environment as well
                return Ok((vec![Change::Secret(id)], ()));
            }
            Ok((restarted(catalog, id, None, &credentials, None, now), ()))
        })
        .await?;
        self.exchange_soon(&id, Some(Happened::Bound), None)
    }

    pub(super) async fn secret_retry(
        self: &Arc<Self>,
        secret: Reference,
        request: &Request,
    ) -> Result<reply::Secret, CallError> {
        let name = self.resolve(secret);
        let now = self.clock.now();
        let (id, credentials) = self.stored(&name)?;
        self.write(request, |catalog| {
            let secret = named(catalog, &id)?;
            if !secret.active {
                return Err(inactive(&name));
            }
            if waits_for_person(secret) {
                return Err(needs_authorization(secret));
            }
            Ok((restarted(catalog, id, None, &credentials, None, now), ()))
        })
        .await?;
        self.exchange_soon(&id, None, None)
    }

    pub(super) async fn secret_wait(self: &Arc<Self>, secret: Reference) -> Result<reply::Secret, CallError> {
        let name = self.resolve(secret);
        let mut landings = 0;
        let mut changes = self.changes();
        while landings < LANDINGS {
            let (flight, person) = {
                let mut vault = self.vault();
                let unlocked = vault.unlocked()?;
                let id = secret_id(unlocked, &name)?;
                let secret = named(&unlocked.catalog, &id)?;
                let (status, active) = (secret.status, secret.active);
                let person = self.authorizations.waiting(&id, self.clock.now());
                match (status, person) {
                    (Status::Pending, _) if active => (Some(self.join(id, unlocked)), None),
                    (Status::ManualAuthorization, Some((_, over))) if active => (None, Some(over)),
                    _ => return self.view(unlocked, &id),
                }
            };
            if let Some(over) = person {
                tokio::select! {
                    () = ended(over) => {}
                    // it may be deactivated now
                    _ = changes.recv() => {}
                    () = self.shutdown.cancelled() => {
                        return Err(CallError::new(ErrorName::Stopping, "the agent is stopping"));
                    }
                }
            }
            if let Some(flight) = flight {
                flight.landed().await;
                landings += 1;
            }
        }
        Err(CallError::new(
            ErrorName::Pending,
            format!("the exchange of {name} ended, and its outcome could not be kept"),
        )
        .hint("see the agent's log and the disk; it is tried again by itself"))
    }

    pub(super) async fn secret_set_active(
        self: &Arc<Self>,
        secret: Reference,
        active: bool,
        request: &Request,
    ) -> Result<reply::Secret, CallError> {
        let name = self.resolve(secret);
        let now = self.clock.now();
        let id = secret_id(self.vault().unlocked()?, &name)?;
        let changed = self
            .write(request, |catalog| {
                if named(catalog, &id)?.active == active {
                    return Ok((Vec::new(), false));
                }
                catalog.update_secret(&id, |secret| {
                    secret.active = active;
                    secret.updated_at = now;
                    // whatever was overdue meanwhile is due now
                    secret.recover = active && secret.last_failure.is_some();
                });
                Ok((vec![Change::Secret(id)], true))
            })
            .await?;
        self.wake.notify_one();
        let mut vault = self.vault();
        let unlocked = vault.unlocked()?;
        if changed {
            let happened = if active { Happened::Reactivated } else { Happened::Deactivated };
            self.tell(named(&unlocked.catalog, &id)?, happened);
        }
        self.view(unlocked, &id)
    }

    pub(super) async fn secret_delete(
        &self,
        secret: Reference,
        request: &Request,
    ) -> Result<reply::Empty, CallError> {
        let name = self.resolve(secret);
        let now = self.clock.now();
        let id = secret_id(self.vault().unlocked()?, &name)?;
        let deleted = self
            .write(request, |catalog| {
                let deleted = catalog.remove_secret(&id).ok_or_else(|| no_secret(&name))?;
                let emptied = catalog.empty_slots_of(&id, now).into_iter().map(Change::Element);
                let mut changes =
                    vec![Change::Secret(id), Change::Credentials(id, None), Change::Artifact(id, None)];
                changes.extend(part::drop_parts(id, &deleted.grant));
                changes.extend(emptied);
                changes.extend(usage::forget(&id, now));
                let tombstone = Tombstone { secret: name.clone(), deleted_at: now, stored: true };
                catalog.tombstones.insert(id, tombstone);
                changes.push(Change::Tombstone(id));
                Ok((changes, deleted))
            })
            .await?;
        self.callers.lock().unwrap_or_else(PoisonError::into_inner).forget(&id);
        self.authorizations.forget(&id);
        self.tell(&deleted, Happened::Deleted);
        Ok(reply::Empty {})
    }

    /// A secret's id and its credentials as they are stored.
    pub(super) fn stored(&self, name: &Qualified) -> Result<(Id, Credentials), CallError> {
        let mut vault = self.vault();
        let unlocked = vault.unlocked()?;
        let id = secret_id(unlocked, name)?;
        Ok((id, unlocked.credentials(&id)?))
    }

    /// The policy of a secret: as given, or the config's; none for types that have none.
    fn policy(
        &self,
        kind: SecretType,
        given: Option<ExchangePolicy>,
    ) -> Result<Option<ExchangePolicy>, CallError> {
        match (kind.has_policy(), given) {
            (true, given) => Ok(Some(given.unwrap_or(self.config().exchange_policy))),
            (false, None) => Ok(None),
            (false, Some(_)) => {
                Err(Invalid::field("exchange_policy", format!("the type {kind} has none")).into())
            }
        }
    }

    /// After a durable change: starts the exchange if the secret waits for one, or the hour of whom it asks, tells watchers,
    /// shows it. `asked` is with the revision that it is for: where somebody changed the secret since, a person is asked
    /// by that change.
    pub(super) fn exchange_soon(
        self: &Arc<Self>,
        id: &Id,
        happened: Option<Happened>,
        asked: Option<(Prepared, u64)>,
    ) -> Result<reply::Secret, CallError> {
        let mut vault = self.vault();
        let unlocked = vault.unlocked()?;
        let secret = named(&unlocked.catalog, id)?;
        if let Some(happened) = happened {
            self.tell(secret, happened);
        }
        let asked = asked.filter(|(_, revision)| *revision == secret.revision).map(|(asked, _)| asked);
        if let Some(asked) = &asked {
            asked.open(*id, secret.revision);
        }
        if secret.status == Status::Pending {
            self.authorizations.lapse(id);
            drop(self.join(*id, unlocked));
        }
        let shown = self.view(unlocked, id)?;
        Ok(match asked {
            None => shown,
            Some(asked) => reply::Secret {
                authorization_url: Some(asked.url.clone()),
                authorization_url_expires_at: Some(asked.expires_at),
                ..shown
            },
        })
    }
}

/// The environment that an edit binds a secret to; `None` where it is there already, or stays in none.
fn binding(
    catalog: &Catalog,
    name: &Qualified,
    secret: &Secret,
    wanted: Option<&Qualified>,
) -> Result<Option<Id>, CallError> {
    let wanted = wanted.map(|environment| environment_id(catalog, environment)).transpose()?;
    match secret.environment {
        None => Ok(wanted),
        Some(present) if wanted == Some(present) => Ok(None),
        Some(_) => Err(bound(catalog, name, secret)),
    }
}

/// The error for a binding that would change.
fn bound(catalog: &Catalog, name: &Qualified, secret: &Secret) -> CallError {
    let environment = secret.environment.and_then(|id| catalog.environments.get(&id));
    let to = environment.map_or_else(String::new, |environment| environment.name.to_string());
    CallError::new(ErrorName::Conflict, format!("{name} is bound to {to}, and a binding stays"))
        .hint("create another secret for another environment")
}

/// Starts a secret anew after a change: an oauth2 secret waits for an exchange, or for the person who was `asked`, and keeps
/// its old artifact until then; the other types have their artifact at once. Answers what to write.
pub(super) fn restarted(
    catalog: &mut Catalog,
    id: Id,
    to_store: Option<&Credentials>,
    credentials: &Credentials,
    asked: Option<&Prepared>,
    now: Timestamp,
) -> Vec<Change> {
    let mut changes = Vec::new();
    if let Some(credentials) = to_store {
        changes.push(Change::Credentials(id, Some(credentials.store())));
    }
    catalog.update_secret(&id, |secret| {
        secret.revision += 1;
        secret.status_details = None;
        secret.refresh_status = None;
        secret.refresh_status_details = None;
        secret.failed_attempts = 0;
        secret.last_failure = None;
        // a refresh token may have gone out, and it is still the one that is kept
        secret.unanswered = secret.unanswered.filter(|sent| sent.by == By::RefreshToken);
        match credentials.artifact() {
            None if asked.is_some() => {
                secret.status = Status::ManualAuthorization;
                secret.authorization_expires_at = asked.map(|asked| asked.expires_at);
            }
            None => secret.status = Status::Pending,
            Some(artifact) => {
                secret.status = Status::Succeeded;
                if secret.environment.is_some() {
                    secret.activated_at = Some(now);
                    changes.push(Change::Artifact(id, Some((None, artifact))));
                }
            }
        }
    });
    changes.push(Change::Secret(id));
    changes
}

/// Whether only a person can bring about a token of a secret.
fn waits_for_person(secret: &Secret) -> bool {
    secret.kind.issuer().is_some() && secret.grant.is_empty()
}

/// A secret whose id came from the catalog.
pub(super) fn named<'c>(catalog: &'c Catalog, id: &Id) -> Result<&'c Secret, CallError> {
    catalog
        .secrets
        .get(id)
        .ok_or_else(|| CallError::new(ErrorName::NotFound, "the secret was deleted meanwhile"))
}

/// A name in the organization of a secret: said without one it is the secret's.
fn of_organization(reference: Reference, secret: &Qualified) -> Result<Qualified, CallError> {
    let full = reference.within(&secret.organization);
    if full.organization == secret.organization {
        Ok(full)
    } else {
        Err(Invalid::new(format!("{full} is of another organization than {secret}")).into())
    }
}

/// Whether checking the credentials takes the arithmetic of large numbers: work for another thread.
fn has_keys(kind: SecretType) -> bool {
    matches!(kind, SecretType::Jwt | SecretType::Certificate)
}

fn first_environment() -> Result<Reference, CallError> {
    FIRST_ENVIRONMENT
        .parse()
        .map_err(|_| CallError::new(ErrorName::Internal, "the first environment has no name"))
}

/// When a secret ends: a certificate by its own date, the others by what was given.
fn expiration(
    kind: SecretType,
    credentials: &Credentials,
    given: Option<Timestamp>,
    now: Timestamp,
) -> Result<Option<Timestamp>, CallError> {
    let (date, field) = match (kind, given) {
        (SecretType::Certificate, Some(_)) => {
            return Err(Invalid::field("expiration_date", "a certificate has its own").into());
        }
        (SecretType::Certificate, None) => (credentials.expiration(), "certificate"),
        (_, given) => (given, "expiration_date"),
    };
    match date {
        Some(date) if date <= now => Err(Invalid::field(field, format!("it ended at {date}")).into()),
        date => Ok(date),
    }
}
