//! One exchange at a time per secret: whoever needs it joins the flight, and all share its outcome.

use super::plan;
use crate::agent::Agent;
use crate::audit::{Entry, OK};
use crate::credentials::{Artifact, Credentials};
use crate::exchange::{Failure, Granted, Lifetime, judge};
use crate::hook::{Event, Occasion};
use crate::vault::catalog::{Catalog, Secret};
use crate::vault::store::{Id, IdMap};
use crate::vault::{Change, Unlocked, VaultError};
use bursar_proto::kind::{Change as Happened, ExchangePolicy, RefreshStatus, Status};
use bursar_proto::time::Timestamp;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// After a write that failed, or credentials that cannot be read, a secret is not exchanged again sooner than this.
const PAUSE_AFTER_WRITE_FAILURE: Duration = Duration::from_mins(1);

/// The exchanges that are under way.
#[derive(Default)]
pub(crate) struct Flights {
    under_way: Mutex<IdMap<Flight>>,
    /// Whose turn it is with a secret's issuer: a flight's, or a test's.
    turns: Mutex<IdMap<Arc<tokio::sync::Mutex<()>>>>,
}

/// An exchange under way; cheap to clone, harmless to drop.
#[derive(Clone)]
pub(crate) struct Flight(watch::Receiver<()>);

impl Flight {
    /// Waits until it is over, however it went.
    pub(crate) async fn landed(mut self) {
        // the sender says nothing and is dropped at the end
        while self.0.changed().await.is_ok() {}
    }
}

impl Flights {
    /// Waits for the turn to exchange a secret: one exchange at a time, a test's included.
    pub(crate) async fn turn(&self, id: Id) -> Turn<'_> {
        let turn = self.turns().entry(id).or_default().clone();
        let held = turn.lock_owned().await;
        Turn { flights: self, id, held: Some(held) }
    }

    fn turns(&self) -> MutexGuard<'_, IdMap<Arc<tokio::sync::Mutex<()>>>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The flight of a secret, if there is one.
    #[cfg(test)]
    pub(crate) fn under_way(&self, id: &Id) -> Option<Flight> {
        self.all().get(id).cloned()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.all().len()
    }

    fn all(&self) -> MutexGuard<'_, IdMap<Flight>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The turn to exchange a secret.
pub(crate) struct Turn<'f> {
    flights: &'f Flights,
    id: Id,
    held: Option<tokio::sync::OwnedMutexGuard<()>>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut turns = self.flights.turns();
        self.held = None;
        if turns.get(&self.id).is_some_and(|turn| Arc::strong_count(turn) == 1) {
            turns.remove(&self.id);
        }
    }
}

/// What an exchange needs to know.
struct Job {
    credentials: Arc<Credentials>,
    policy: ExchangePolicy,
    revision: u64,
}

/// The store does not give the credentials out.
struct Unreadable;

/// What came of it.
type Outcome = Result<(Granted, Lifetime), Failure>;

impl Agent {
    /// Joins the exchange of a secret, or starts it.
    pub(crate) fn join(self: &Arc<Self>, id: Id, unlocked: &mut Unlocked) -> Flight {
        let mut flights = self.flights.all();
        unlocked.catalog.update_secret(&id, |secret| secret.in_flight = true);
        if let Some(flight) = flights.get(&id) {
            return flight.clone();
        }
        let (landing, flight) = watch::channel(());
        let flight = Flight(flight);
        flights.insert(id, flight.clone());
        drop(flights);
        let agent = self.clone();
        self.tasks.spawn(async move { agent.fly(id, landing).await });
        flight
    }

    async fn fly(self: Arc<Self>, id: Id, landing: watch::Sender<()>) {
        let written = loop {
            let job = match self.job(id) {
                Ok(Some(job)) => job,
                Ok(None) => break true,
                Err(Unreadable) => break false,
            };
            let turn = self.flights.turn(id).await;
            let outcome = self.issuers().exchange(job.credentials.clone(), self.clock.clone()).await;
            drop(turn);
            let sent_at = outcome.as_ref().map_or_else(|_| self.clock.now(), |granted| granted.sent_at);
            let outcome = outcome.and_then(|granted| {
                let lifetime = judge(&job.credentials, job.policy, granted.expires_in)?;
                Ok((granted, lifetime))
            });
            match self.settle(id, job.revision, outcome, sent_at).await {
                Settled::Durable => break true,
                Settled::Superseded => {}
                Settled::NotWritten => break false,
            }
        };
        if written {
            self.end_flight(id);
            drop(landing);
        } else {
            // whoever waits learns it now; the flight stays, so that nobody starts another at once
            drop(landing);
            tokio::select! {
                () = tokio::time::sleep(PAUSE_AFTER_WRITE_FAILURE) => {}
                () = self.shutdown.cancelled() => {}
            }
            self.end_flight(id);
        }
        self.wake.notify_one();
    }

    fn end_flight(&self, id: Id) {
        self.flights.all().remove(&id);
        if let Ok(unlocked) = self.vault().unlocked() {
            unlocked.catalog.update_secret(&id, |secret| secret.in_flight = false);
        }
    }

    /// What to exchange; nothing where the secret is gone or the vault is locked.
    fn job(&self, id: Id) -> Result<Option<Job>, Unreadable> {
        let mut vault = self.vault();
        let Ok(unlocked) = vault.unlocked() else { return Ok(None) };
        let Some(secret) = unlocked.catalog.secrets.get(&id) else { return Ok(None) };
        let (policy, revision, name) =
            (secret.policy.unwrap_or(ExchangePolicy::Standard), secret.revision, secret.full_name());
        match unlocked.credentials(&id) {
            Ok(credentials) => Ok(Some(Job { credentials: Arc::new(credentials), policy, revision })),
            Err(error) => {
                tracing::error!(secret = %name, %error, "the credentials cannot be read");
                Err(Unreadable)
            }
        }
    }

    /// Takes an outcome into the record and waits until that is durable.
    async fn settle(&self, id: Id, revision: u64, outcome: Outcome, sent_at: Timestamp) -> Settled {
        let written = {
            let mut vault = self.vault();
            // locked meanwhile: the secret is still pending or due, and the next unlock takes it up
            let Ok(unlocked) = vault.unlocked() else { return Settled::Durable };
            let name = match unlocked.catalog.secrets.get(&id) {
                None => return Settled::Durable,
                Some(secret) if secret.revision != revision => return Settled::Superseded,
                Some(secret) => secret.full_name(),
            };
            let number = unlocked.audit_bounds().1;
            let word = outcome.as_ref().map_or("failed", |_| OK);
            let entry = [Entry::of_agent("exchange", (id, name), word, self.clock.now()).record()];
            let written = unlocked.write(&entry, |catalog| {
                let mut happened = None;
                let mut changes = Vec::new();
                catalog.update_secret(&id, |secret| {
                    secret.in_flight = false;
                    let outcome = outcome.map_err(|failure| failure.of(&secret.full_name()));
                    let (what, artifact) = settled(secret, outcome, sent_at);
                    happened = Some(what);
                    if let Some((expires_at, artifact)) = artifact {
                        changes.push(Change::Artifact(id, Some((Some(expires_at), artifact))));
                    }
                });
                changes.push(Change::Secret(id));
                Ok::<_, VaultError>((changes, happened))
            });
            written.map(|written| (written, number, entry))
        };
        let happened = match written {
            Ok(((committed, happened), number, entry)) => match self.durable(committed).await {
                Ok(()) => {
                    self.audit.tell(number, &entry);
                    happened
                }
                Err(_) => return Settled::NotWritten,
            },
            Err(error) => {
                tracing::error!(%error, "the outcome of an exchange could not be written");
                self.unspoil();
                return Settled::NotWritten;
            }
        };
        let mut vault = self.vault();
        if let Ok(unlocked) = vault.unlocked()
            && let Some(secret) = unlocked.catalog.secrets.get(&id)
            && let Some(happened) = happened
        {
            log(secret, happened);
            self.tell(secret, happened);
            if let Some(occasion) = occasion(&unlocked.catalog, secret, happened, self.clock.now()) {
                self.hooks.fire(occasion);
            }
        }
        Settled::Durable
    }
}

enum Settled {
    /// The outcome is on disk, or there is nothing left to write it to.
    Durable,
    /// The credentials were changed meanwhile: exchange the new ones.
    Superseded,
    /// The disk did not take it.
    NotWritten,
}

/// Takes an outcome into a record: pure. Answers what happened and the artifact to save.
fn settled(
    secret: &mut Secret,
    outcome: Outcome,
    sent_at: Timestamp,
) -> (Happened, Option<(Timestamp, Artifact)>) {
    let first = secret.status == Status::Pending;
    match outcome {
        Ok((granted, lifetime)) => {
            let seconds = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
            let expires_at = sent_at.plus(seconds(lifetime.expires_in));
            secret.status = Status::Succeeded;
            secret.status_details = None;
            secret.expires_at = Some(expires_at);
            secret.refresh_at = Some(expires_at.plus(-seconds(lifetime.refresh_offset)));
            secret.refresh_status = (!first).then_some(RefreshStatus::Succeeded);
            secret.refresh_status_details = None;
            secret.failed_attempts = 0;
            secret.last_attempt_at = Some(sent_at);
            secret.last_failure = None;
            secret.recover = false;
            let artifact = secret.environment.is_some().then(|| {
                secret.activated_at = Some(sent_at);
                (expires_at, Artifact::access_token(granted.access_token))
            });
            (Happened::Refreshed, artifact)
        }
        Err(failure) if first => {
            secret.status = Status::Failed;
            secret.status_details = Some(failure.details.into());
            secret.last_attempt_at = Some(sent_at);
            secret.last_failure = Some(failure.cause);
            secret.recover = false;
            (Happened::Failed, None)
        }
        Err(failure) => {
            plan::refresh_failed(secret, failure.cause, &failure.details, sent_at);
            (Happened::RefreshFailed, None)
        }
    }
}

/// What the hook is told of.
fn occasion(catalog: &Catalog, secret: &Secret, happened: Happened, now: Timestamp) -> Option<Occasion> {
    let event = match happened {
        _ if secret.status == Status::ManualAuthorization => Event::NeedsAuthorization,
        Happened::Refreshed => Event::Refreshed,
        Happened::RefreshFailed => Event::RefreshFailed,
        _ => return None,
    };
    let name = secret.full_name();
    let details = secret.refresh_status_details.as_deref().or(secret.status_details.as_deref());
    let details = details.filter(|_| event != Event::Refreshed);
    let (details, hint) = match details.map(|text| text.split_once("; hint: ").unwrap_or((text, ""))) {
        None => (None, None),
        Some((reason, "")) => (Some(reason), Some(format!("try again: bursar secret retry {name}"))),
        Some((reason, hint)) => (Some(reason), Some(hint.to_owned())),
    };
    Some(Occasion {
        secret: Some(name),
        environment: secret.environment.and_then(|id| Some(catalog.environments.get(&id)?.name.clone())),
        expires_at: secret.expires_at,
        details: details.map(str::to_owned),
        hint,
        ..Occasion::new(event, now)
    })
}

fn log(secret: &Secret, happened: Happened) {
    let name = secret.full_name();
    match happened {
        Happened::Refreshed => tracing::info!(secret = %name, "exchanged"),
        Happened::Failed => {
            let details = secret.status_details.as_deref().unwrap_or_default();
            tracing::warn!(secret = %name, details, "the exchange failed");
        }
        _ => {
            let details = secret.refresh_status_details.as_deref().unwrap_or_default();
            tracing::warn!(secret = %name, attempt = secret.failed_attempts, details, "an attempt to refresh failed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Cause;
    use bursar_proto::kind::SecretType;
    use bursar_proto::sensitive::Sensitive;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    #[expect(clippy::unnecessary_wraps, reason = "an outcome, like `refused`")]
    fn granted(expires_in: u64, refresh_offset: u64) -> Outcome {
        let access_token = Sensitive::new("t".into());
        Ok((
            Granted { access_token, expires_in, token_type: None, scope: None, sent_at: at(0) },
            Lifetime { expires_in, refresh_offset },
        ))
    }

    fn refused(cause: Cause) -> Outcome {
        Err(Failure { cause, details: "no".into() })
    }

    fn secret(bound: bool) -> Secret {
        let mut secret = Secret::new(&"acme/x".parse().unwrap(), SecretType::Jwt, at(0));
        secret.environment = bound.then_some([1; 16]);
        secret
    }

    #[test]
    fn a_first_success_sets_the_times_and_saves_the_artifact_of_a_bound_secret() {
        let mut bound = secret(true);
        let (happened, artifact) = settled(&mut bound, granted(36_000, 14_400), at(100));
        assert_eq!((happened, artifact.is_some()), (Happened::Refreshed, true));
        assert_eq!((bound.expires_at, bound.refresh_at), (Some(at(36_100)), Some(at(21_700))));
        assert_eq!(
            (bound.status, bound.refresh_status, bound.activated_at),
            (Status::Succeeded, None, Some(at(100)))
        );
        let mut unbound = secret(false);
        let (_, artifact) = settled(&mut unbound, granted(36_000, 14_400), at(100));
        assert!(artifact.is_none() && unbound.activated_at.is_none());
    }

    #[test]
    fn a_refresh_that_fails_leaves_status_and_times_alone() {
        let mut secret = secret(true);
        settled(&mut secret, granted(36_000, 14_400), at(0));
        let (happened, _) = settled(&mut secret, refused(Cause::Transient), at(21_600));
        assert_eq!(
            (happened, secret.status, secret.failed_attempts),
            (Happened::RefreshFailed, Status::Succeeded, 1)
        );
        assert_eq!(secret.expires_at, Some(at(36_000)));
        let (_, _) = settled(&mut secret, granted(36_000, 14_400), at(24_000));
        assert_eq!((secret.refresh_status, secret.failed_attempts), (Some(RefreshStatus::Succeeded), 0));
        assert_eq!((secret.expires_at, secret.refresh_status_details), (Some(at(60_000)), None));
    }

    #[test]
    fn a_first_failure_is_explained() {
        let mut secret = secret(true);
        let (happened, _) = settled(&mut secret, refused(Cause::Permanent), at(5));
        assert_eq!((happened, secret.status), (Happened::Failed, Status::Failed));
        assert_eq!(secret.status_details.as_deref(), Some("no"));
    }
}
