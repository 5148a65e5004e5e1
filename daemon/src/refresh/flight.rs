//! One exchange at a time per secret: whoever needs it joins the flight, and all share its outcome.

use super::person::PersonsJob;
use super::settle::{Over, Settled};
use crate::agent::Agent;
use crate::credentials::Credentials;
use crate::exchange::{By, Failure, Granted, Lifetime, Offer, judge};
use crate::vault::Unlocked;
use crate::vault::store::{Id, IdMap};
use bursar_proto::kind::ExchangePolicy;
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

/// What there is to do for a secret. `J` is what an exchange of it needs.
pub(crate) enum Next<J> {
    /// Nothing: it is gone, the vault is locked, or a person has to come first.
    Nothing,
    /// It is known how an exchange would end, or ended elsewhere.
    Known(Failure, By),
    /// An exchange.
    Exchange(J),
}

/// What an exchange needs to know.
pub(crate) struct Job {
    credentials: Arc<Credentials>,
    policy: ExchangePolicy,
    /// What a person granted, where that is exchanged.
    pub(crate) person: Option<PersonsJob>,
}

impl Job {
    /// What was granted with the lifetime that it counts for.
    ///
    /// # Errors
    /// The policy refuses the lifetime.
    pub(crate) fn judged(&self, granted: Granted) -> Result<(Granted, Lifetime), Failure> {
        match judge(&self.credentials, self.policy, granted.expires_in) {
            Ok(lifetime) => Ok((granted, lifetime)),
            Err(failure) => {
                let by = self.person.as_ref().map(|person| person.grant.by());
                Err(failure.with_rotated(by, granted.refresh_token))
            }
        }
    }

    /// What is offered to the issuer.
    pub(crate) fn offer(&self) -> Offer {
        match &self.person {
            Some(person) => Offer::Grant(person.grant.clone()),
            None => Offer::Credentials(self.credentials.clone()),
        }
    }
}

/// The store does not give the credentials out.
pub(crate) struct Unreadable;

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
        let mut landing = Some(landing);
        let mut written = true;
        // the turn until the outcome is kept: a test must find the refresh token that counts by then
        'exchange: while let Some((_turn, over)) = self.exchange_once(id).await.unwrap_or_else(|Unreadable| {
            written = false;
            None
        }) {
            loop {
                if over.must_be_kept() && self.vault().unlocked().is_err() {
                    // whoever waits learns now that the vault is locked
                    landing = None;
                    if !self.until_unlocked().await {
                        break 'exchange;
                    }
                }
                match self.settle(id, &over).await {
                    Settled::Locked if over.must_be_kept() => {}
                    Settled::Durable | Settled::Locked => break 'exchange,
                    Settled::Superseded => continue 'exchange,
                    Settled::NotWritten => {
                        // whoever waits learns it now; the flight stays, so that nobody starts another at once
                        landing = None;
                        if !over.must_be_kept() {
                            written = false;
                            break 'exchange;
                        }
                        if !self.pause().await {
                            // the daemon stops, and there may be room by now
                            self.settle(id, &over).await;
                            break 'exchange;
                        }
                    }
                }
            }
        }
        if !written {
            landing = None;
            self.pause().await;
        }
        self.end_flight(id);
        drop(landing);
        self.wake.notify_one();
    }

    /// Waits before the next attempt at what the disk did not take or give; false where the daemon stops.
    pub(super) async fn pause(&self) -> bool {
        tokio::select! {
            () = tokio::time::sleep(PAUSE_AFTER_WRITE_FAILURE) => true,
            () = self.shutdown.cancelled() => false,
        }
    }

    /// Waits until the vault is open; false where the daemon stops first.
    pub(crate) async fn until_unlocked(&self) -> bool {
        loop {
            let opened = self.opened.notified();
            if self.vault().unlocked().is_ok() {
                return true;
            }
            tokio::select! {
                () = opened => {}
                () = self.shutdown.cancelled() => return false,
            }
        }
    }

    /// Exchanges a secret once, when its turn has come; nothing where there is nothing to do.
    async fn exchange_once(self: &Arc<Self>, id: Id) -> Result<Option<(Turn<'_>, Over)>, Unreadable> {
        // the turn first: a test may put another refresh token in the place of the one that is kept
        let turn = self.flights.turn(id).await;
        let (revision, next) = self.next(id)?;
        let over = |by, person, sent_at, outcome| Some(Over { revision, by, person, sent_at, outcome });
        let over = match next {
            Next::Nothing => None,
            Next::Known(failure, by) => over(Some(by), None, self.clock.now(), Err(failure)),
            Next::Exchange(job) => {
                let outcome = self.issuers().exchange(job.offer(), self.clock.clone()).await;
                let sent_at = outcome.as_ref().map_or_else(|_| self.clock.now(), |granted| granted.sent_at);
                let by = job.person.as_ref().map(|person| person.grant.by());
                let outcome = outcome.and_then(|granted| job.judged(granted));
                over(by, job.person, sent_at, outcome)
            }
        };
        Ok(over.map(|over| (turn, over)))
    }

    fn end_flight(&self, id: Id) {
        self.flights.all().remove(&id);
        if let Ok(unlocked) = self.vault().unlocked() {
            unlocked.catalog.update_secret(&id, |secret| secret.in_flight = false);
        }
    }

    /// What to exchange, and of which revision.
    pub(crate) fn next(self: &Arc<Self>, id: Id) -> Result<(u64, Next<Job>), Unreadable> {
        let mut vault = self.vault();
        let Ok(unlocked) = vault.unlocked() else { return Ok((0, Next::Nothing)) };
        let Some(secret) = unlocked.catalog.secrets.get(&id) else { return Ok((0, Next::Nothing)) };
        let (policy, revision, name) =
            (secret.policy.unwrap_or(ExchangePolicy::Standard), secret.revision, secret.full_name());
        let next = unlocked.credentials(&id).and_then(|credentials| {
            let credentials = Arc::new(credentials);
            let Credentials::Consent(consent) = &*credentials else {
                return Ok(Next::Exchange(Job { credentials, policy, person: None }));
            };
            Ok(match self.persons_job(unlocked, id, consent)? {
                Next::Nothing => Next::Nothing,
                Next::Known(failure, by) => Next::Known(failure, by),
                Next::Exchange(person) => {
                    Next::Exchange(Job { credentials: credentials.clone(), policy, person: Some(person) })
                }
            })
        });
        match next {
            Ok(next) => Ok((revision, next)),
            Err(error) => {
                tracing::error!(secret = %name, reason = %error, "the credentials cannot be read");
                Err(Unreadable)
            }
        }
    }
}

#[cfg(test)]
mod tests;
