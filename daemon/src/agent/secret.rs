//! secret.*

use super::organization::no_organization;
use super::{Agent, environment_id, new_id, on_worker, secret_id};
use crate::credentials::Credentials;
use crate::server::peer::Caller;
use crate::vault::catalog::{Catalog, Secret};
use crate::vault::store::Id;
use crate::vault::{Change, FIRST_ENVIRONMENT, Unlocked};
use bursar_proto::call::{SECRETS_PAGE_MAX, SecretBind, SecretCreate, SecretEdit, SecretList};
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::fields::{Edit, Invalid};
use bursar_proto::kind::{Change as Happened, ExchangePolicy, SecretType, Status};
use bursar_proto::name::{Name, OrganizationName, Qualified, Reference};
use bursar_proto::reply;
use bursar_proto::time::Timestamp;
use ring::digest;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::ops::Bound;
use std::sync::{Arc, PoisonError};

/// How many callers are remembered of one secret; the one that asked longest ago makes room.
const CALLERS_KEPT: usize = 32;

/// Who asked for which artifact since the agent started.
#[derive(Default)]
pub(super) struct Callers(HashMap<Id, Vec<Seen>>);

struct Seen {
    executable: Option<Arc<str>>,
    uid: u32,
    last_seen_at: Timestamp,
    count: u64,
}

impl Callers {
    fn note(&mut self, id: Id, caller: &Caller, now: Timestamp) {
        let seen = self.0.entry(id).or_default();
        let executable = caller.executable();
        if let Some(known) =
            seen.iter_mut().find(|s| s.uid == caller.uid() && s.executable.as_ref() == executable)
        {
            known.last_seen_at = now;
            known.count += 1;
            return;
        }
        if seen.len() == CALLERS_KEPT
            && let Some(oldest) = (0..seen.len()).min_by_key(|at| seen[*at].last_seen_at)
        {
            seen.swap_remove(oldest);
        }
        let executable = executable.cloned();
        seen.push(Seen { executable, uid: caller.uid(), last_seen_at: now, count: 1 });
    }
}

impl Agent {
    /// Remembers that `caller` was given an artifact.
    pub(super) fn note_caller(&self, id: Id, caller: &Caller, now: Timestamp) {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner).note(id, caller, now);
    }

    pub(super) async fn secret_create(
        self: &Arc<Self>,
        call: SecretCreate,
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
        let credentials = on_worker(move || Credentials::parse(kind, policy, credentials.expose())).await??;
        let now = self.clock.now();
        let expiration_date = expiration(kind, &credentials, call.expiration_date, now)?;
        let id = new_id()?;
        self.write(|catalog| {
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
            Ok((renewed(catalog, id, Some(&credentials), &credentials, now), ()))
        })
        .await?;
        self.exchange_soon(&id, Happened::Created)
    }

    pub(super) async fn secret_edit(self: &Arc<Self>, call: SecretEdit) -> Result<reply::Secret, CallError> {
        let name = self.resolve(call.secret);
        let new_name = call.name.map(|new| of_organization(new, &name)).transpose()?.map(|full| full.name);
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
        let changed = call.credentials;
        let credentials = on_worker(move || {
            let json = changed.as_ref().map_or("{}", |json| json.expose());
            old.edited(kind, policy, json)
        })
        .await??;
        let now = self.clock.now();
        let given = match call.expiration_date {
            Edit::Set(date) => Some(date),
            Edit::Keep | Edit::Clear => None,
        };
        let expiration_date = expiration(kind, &credentials, given, now)?;
        let keep_date = call.expiration_date.is_keep() && kind != SecretType::Certificate;
        self.write(|catalog| {
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
            if let Some(new) = new_name {
                catalog.rename_secret(&id, new);
            }
            catalog.update_secret(&id, |secret| {
                secret.policy = policy;
                secret.updated_at = now;
                if !keep_date {
                    secret.expiration_date = expiration_date;
                }
            });
            Ok((renewed(catalog, id, Some(&credentials), &credentials, now), ()))
        })
        .await?;
        self.exchange_soon(&id, Happened::Edited)
    }

    pub(super) async fn secret_bind(self: &Arc<Self>, call: SecretBind) -> Result<reply::Secret, CallError> {
        let name = self.resolve(call.secret);
        let environment = of_organization(call.environment, &name)?;
        let now = self.clock.now();
        let (id, credentials) = self.stored(&name)?;
        self.write(|catalog| {
            let environment_id = environment_id(catalog, &environment)?;
            if let Some(bound) = named(catalog, &id)?.environment {
                let to = catalog.environments.get(&bound).map_or_else(String::new, |e| e.name.to_string());
                return Err(CallError::new(
                    ErrorName::Conflict,
                    format!("{name} is bound to {to}, and a binding stays"),
                )
                .hint("create another secret for another environment"));
            }
            catalog.update_secret(&id, |secret| {
                secret.environment = Some(environment_id);
                secret.updated_at = now;
            });
            Ok((renewed(catalog, id, None, &credentials, now), ()))
        })
        .await?;
        self.exchange_soon(&id, Happened::Bound)
    }

    pub(super) async fn secret_retry(
        self: &Arc<Self>,
        secret: Reference,
    ) -> Result<reply::Secret, CallError> {
        let name = self.resolve(secret);
        let now = self.clock.now();
        let (id, credentials) = self.stored(&name)?;
        self.write(|catalog| {
            if !named(catalog, &id)?.active {
                return Err(inactive(&name));
            }
            Ok((renewed(catalog, id, None, &credentials, now), ()))
        })
        .await?;
        self.exchange_soon(&id, Happened::Edited)
    }

    pub(super) async fn secret_test(
        self: &Arc<Self>,
        secret: Reference,
    ) -> Result<reply::ExchangeTest, CallError> {
        let name = self.resolve(secret);
        let (id, credentials) = self.stored(&name)?;
        let (policy, flight) = {
            let mut vault = self.vault();
            let unlocked = vault.unlocked()?;
            let secret = named(&unlocked.catalog, &id)?;
            if !secret.kind.is_oauth2() {
                return Err(Invalid::new(format!(
                    "{name} is a {}, and only an oauth2 secret has an exchange to test",
                    secret.kind
                ))
                .into());
            }
            if !secret.active {
                return Err(inactive(&name));
            }
            if secret.status != Status::Succeeded {
                return Err(CallError::new(
                    ErrorName::Failed,
                    format!("{name} has not been exchanged: it is {}", secret.status),
                )
                .hint(format!("exchange it: bursar secret retry {name}")));
            }
            (secret.policy.unwrap_or(ExchangePolicy::Standard), self.flights.under_way(&id))
        };
        // one exchange at a time: what is under way comes first
        if let Some(flight) = flight {
            flight.landed().await;
        }
        let credentials = Arc::new(credentials);
        let granted =
            self.issuers().exchange(credentials.clone(), self.clock.now()).await.and_then(|granted| {
                crate::exchange::judge(&credentials, policy, granted.expires_in)?;
                Ok(granted)
            });
        let granted = granted.map_err(|failure| failed(&name, failure.cause, &failure.details))?;
        let sum = digest::digest(&digest::SHA256, granted.access_token.expose().as_bytes());
        let fingerprint = sum.as_ref()[..8].iter().fold(String::new(), |mut text, byte| {
            // writing to a string cannot fail
            let _ = write!(text, "{byte:02x}");
            text
        });
        Ok(reply::ExchangeTest {
            secret: name,
            expires_in: granted.expires_in,
            token_type: granted.token_type,
            scope: granted.scope,
            fingerprint,
        })
    }

    pub(super) async fn secret_wait(self: &Arc<Self>, secret: Reference) -> Result<reply::Secret, CallError> {
        let name = self.resolve(secret);
        loop {
            let flight = {
                let mut vault = self.vault();
                let unlocked = vault.unlocked()?;
                let id = secret_id(unlocked, &name)?;
                let secret = named(&unlocked.catalog, &id)?;
                if secret.status != Status::Pending || !secret.active {
                    return view(unlocked, &id);
                }
                self.join(id, unlocked)
            };
            flight.landed().await;
        }
    }

    pub(super) async fn secret_set_active(
        self: &Arc<Self>,
        secret: Reference,
        active: bool,
    ) -> Result<reply::Secret, CallError> {
        let name = self.resolve(secret);
        let now = self.clock.now();
        let id = secret_id(self.vault().unlocked()?, &name)?;
        self.write(|catalog| {
            if named(catalog, &id)?.active == active {
                return Ok((Vec::new(), ()));
            }
            catalog.update_secret(&id, |secret| {
                secret.active = active;
                secret.updated_at = now;
                // whatever was overdue meanwhile is due now
                secret.recover = active && secret.last_failure.is_some();
            });
            Ok((vec![Change::Secret(id)], ()))
        })
        .await?;
        self.wake.notify_one();
        let mut vault = self.vault();
        let unlocked = vault.unlocked()?;
        self.tell(
            named(&unlocked.catalog, &id)?,
            if active { Happened::Reactivated } else { Happened::Deactivated },
        );
        view(unlocked, &id)
    }

    pub(super) async fn secret_delete(&self, secret: Reference) -> Result<reply::Empty, CallError> {
        let name = self.resolve(secret);
        let id = secret_id(self.vault().unlocked()?, &name)?;
        let deleted = self
            .write(|catalog| {
                let deleted = catalog.remove_secret(&id).ok_or_else(|| gone(&name))?;
                Ok((
                    vec![Change::Secret(id), Change::Credentials(id, None), Change::Artifact(id, None)],
                    deleted,
                ))
            })
            .await?;
        self.callers.lock().unwrap_or_else(PoisonError::into_inner).0.remove(&id);
        self.tell(&deleted, Happened::Deleted);
        Ok(reply::Empty {})
    }

    pub(super) fn secret_show(&self, secret: Reference) -> Result<reply::Secret, CallError> {
        let name = self.resolve(secret);
        let mut vault = self.vault();
        let unlocked = vault.unlocked()?;
        let id = secret_id(unlocked, &name)?;
        view(unlocked, &id)
    }

    pub(super) fn secret_list(&self, call: SecretList) -> Result<Vec<reply::Secret>, CallError> {
        let limit = call.limit.unwrap_or(SECRETS_PAGE_MAX);
        if !(1..=SECRETS_PAGE_MAX).contains(&limit) {
            return Err(Invalid::field("limit", format!("expected 1 to {SECRETS_PAGE_MAX}")).into());
        }
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let after = call.after.map(|name| self.resolve(name));
        let environment = call.environment.map(|name| self.resolve(name));
        let mut vault = self.vault();
        let unlocked = vault.unlocked()?;
        let catalog = &unlocked.catalog;
        if let Some(organization) = &call.organization
            && !catalog.organizations.contains_key(organization)
        {
            return Err(no_organization(organization));
        }
        let environment = environment.map(|name| environment_id(catalog, &name)).transpose()?;
        let first = after.as_ref().map_or(Bound::Unbounded, |after| Bound::Included(&after.organization));
        catalog
            .organizations
            .range::<OrganizationName, _>((first, Bound::Unbounded))
            .filter(|(name, _)| call.organization.as_ref().is_none_or(|only| only == *name))
            .flat_map(|(name, organization)| {
                let from: Bound<&Name> = match &after {
                    Some(after) if after.organization == *name => Bound::Excluded(&after.name),
                    _ => Bound::Unbounded,
                };
                organization.secrets.range::<Name, _>((from, Bound::Unbounded)).map(|(_, id)| id)
            })
            .filter(|id| {
                catalog.secrets.get(*id).is_some_and(|secret| {
                    call.r#type.is_none_or(|kind| secret.kind == kind)
                        && call.status.is_none_or(|status| secret.status == status)
                        && environment.is_none_or(|environment| secret.environment == Some(environment))
                })
            })
            .take(limit)
            .map(|id| view(unlocked, id))
            .collect()
    }

    pub(super) fn secret_where(&self, secret: Reference) -> Result<reply::Applied, CallError> {
        let name = self.resolve(secret);
        let mut vault = self.vault();
        let unlocked = vault.unlocked()?;
        let id = secret_id(unlocked, &name)?;
        let secret = named(&unlocked.catalog, &id)?;
        let environment = secret.environment.and_then(|id| unlocked.catalog.environments.get(&id));
        let callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut callers: Vec<_> = callers
            .0
            .get(&id)
            .into_iter()
            .flatten()
            .map(|seen| reply::CallerSeen {
                executable: seen.executable.as_deref().map(str::to_owned),
                uid: seen.uid,
                last_seen_at: seen.last_seen_at,
                count: seen.count,
            })
            .collect();
        callers.sort_by_key(|seen| std::cmp::Reverse(seen.last_seen_at));
        Ok(reply::Applied { secret: name, environment: environment.map(|e| e.name.clone()), callers })
    }

    /// A secret's id and its credentials as they are stored.
    fn stored(&self, name: &Qualified) -> Result<(Id, Credentials), CallError> {
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
            (false, Some(_)) => Err(Invalid::field("exchange_policy", format!("a {kind} has none")).into()),
        }
    }

    /// After a durable change: starts the exchange if the secret waits for one, tells watchers, shows it.
    fn exchange_soon(self: &Arc<Self>, id: &Id, happened: Happened) -> Result<reply::Secret, CallError> {
        let mut vault = self.vault();
        let unlocked = vault.unlocked()?;
        let secret = named(&unlocked.catalog, id)?;
        self.tell(secret, happened);
        if secret.status == Status::Pending {
            drop(self.join(*id, unlocked));
        } else if happened != Happened::Created {
            self.tell(named(&unlocked.catalog, id)?, Happened::Refreshed);
        }
        view(unlocked, id)
    }
}

/// Starts a secret anew after a change: an oauth2 secret waits for an exchange and keeps its old artifact until
/// then; the other types have their artifact at once. Answers what to write.
fn renewed(
    catalog: &mut Catalog,
    id: Id,
    to_store: Option<&Credentials>,
    credentials: &Credentials,
    now: Timestamp,
) -> Vec<Change> {
    let mut changes = Vec::new();
    if let Some(credentials) = to_store {
        changes.push(Change::Credentials(id, Some(credentials.store())));
    }
    catalog.update_secret(&id, |secret| {
        secret.revision += 1;
        secret.status_details = None;
        match credentials.artifact() {
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

/// A secret's attributes for an answer.
pub(super) fn view(unlocked: &Unlocked, id: &Id) -> Result<reply::Secret, CallError> {
    let secret = named(&unlocked.catalog, id)?;
    let environment = secret.environment.and_then(|id| unlocked.catalog.environments.get(&id));
    Ok(reply::Secret {
        name: secret.full_name(),
        id: id.iter().fold(String::new(), |mut text, byte| {
            // writing to a string cannot fail
            let _ = write!(text, "{byte:02x}");
            text
        }),
        r#type: secret.kind,
        environment: environment.map(|e| e.name.clone()),
        stage: environment.map(|e| e.stage),
        credentials: unlocked.credentials(id)?.public(),
        exchange_policy: secret.policy,
        status: secret.status,
        status_details: secret.status_details.as_deref().map(str::to_owned),
        active: secret.active,
        created_at: secret.created_at,
        updated_at: secret.updated_at,
        activated_at: secret.activated_at,
        expires_at: secret.expires_at,
        refresh_at: secret.refresh_at,
        refresh_status: secret.refresh_status,
        refresh_status_details: secret.refresh_status_details.as_deref().map(str::to_owned),
        refresh_attempt: secret.failed_attempts.into(),
        next_attempt_at: crate::refresh::plan::due(secret),
        expiration_date: secret.expiration_date,
        authorization_url: None,
        authorization_url_expires_at: None,
    })
}

/// A secret whose id came from the catalog.
pub(super) fn named<'c>(catalog: &'c Catalog, id: &Id) -> Result<&'c Secret, CallError> {
    catalog
        .secrets
        .get(id)
        .ok_or_else(|| CallError::new(ErrorName::NotFound, "the secret was deleted meanwhile"))
}

/// The error for a deactivated secret.
pub(super) fn inactive(name: &Qualified) -> CallError {
    CallError::new(ErrorName::Inactive, format!("{name} is deactivated"))
        .hint(format!("undo that: bursar secret reactivate {name}"))
}

/// The error for an exchange that failed.
pub(super) fn failed(name: &Qualified, cause: crate::exchange::Cause, details: &str) -> CallError {
    let error = match cause {
        crate::exchange::Cause::Unreachable => ErrorName::IssuerUnreachable,
        crate::exchange::Cause::Transient | crate::exchange::Cause::Permanent => ErrorName::Failed,
    };
    explained(error, &format!("the exchange of {name} failed: "), details, name)
}

/// An error out of a failure's details, which end with what to do about them.
pub(super) fn explained(error: ErrorName, what: &str, details: &str, name: &Qualified) -> CallError {
    let (reason, hint) = details.split_once("; hint: ").unwrap_or((details, "see to that"));
    CallError::new(error, format!("{what}{reason}")).hint(format!("{hint}; then: bursar secret retry {name}"))
}

fn gone(name: &Qualified) -> CallError {
    CallError::new(ErrorName::NotFound, format!("no secret {name}"))
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
