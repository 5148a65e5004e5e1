//! A request on its way through: as whom, about what, and its entry in the record of accesses.
//!
//! [`Agent::serve`] is the way of every call but the quickest one: who is asking, what about, may they, do it, record it.

use super::{Agent, Answer};
use crate::audit::{Entry, NotRecorded};
use crate::policy::{Asks, Authorized, Grant, GrantedBy, Lapse, Needs, Place, Policy, Principal, Subject};
use crate::server::session::{Party, Session};
use crate::vault::catalog::Catalog;
use crate::vault::store::Id;
use crate::vault::{Change, VaultError};
use bursar_proto::call::{Call, CredentialGet, Method as _};
use bursar_proto::client_secret;
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::kind::{Analytics, ClientSecretStatus};
use bursar_proto::name::{OrganizationName, Qualified};
use bursar_proto::time::Timestamp;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A request that is being carried out.
pub(crate) struct Request {
    pub(crate) party: Arc<Party>,
    principal: Principal,
    /// What it takes, and where.
    right: (Needs, Vec<Place>),
    entry: Mutex<Entry>,
    /// Whether its entry was written with what it changed.
    recorded: AtomicBool,
}

impl Request {
    /// Whether the answer may hold what belongs to an organization.
    pub(super) fn sees(&self, organization: &OrganizationName) -> bool {
        self.principal.sees(organization)
    }

    /// As whom it is made.
    pub(super) fn acts_as(&self) -> &Principal {
        &self.principal
    }

    /// Whether an owner asks, who may see all.
    pub(super) fn is_owners(&self) -> bool {
        self.principal.owns()
    }

    /// As whom, as the record tells it: `owner`, `unit deploy.service`, `client secret k3j9x2m4pq`.
    pub(super) fn principal(&self) -> String {
        self.entry().principal.to_string()
    }

    /// The user whose workspaces are meant; none for the daemon's own.
    pub(super) fn user(&self) -> Option<u32> {
        user_of(self.party.caller.uid())
    }

    /// Says what it is about where only its handler knows. Answers what it was about so far.
    pub(super) fn about(&self, subject: Option<Arc<str>>) -> Option<Arc<str>> {
        std::mem::replace(&mut self.entry().subject, subject)
    }

    /// Says whose value it is about where only its handler knows.
    pub(super) fn about_secret(&self, id: Id, name: Qualified) {
        self.entry().secret = Some((Some(id), name));
    }

    /// What it is about, as the record tells it.
    pub(super) fn subject(&self) -> Option<Arc<str>> {
        self.entry().subject.clone()
    }

    /// Whose value it is about, as far as that is known.
    pub(super) fn secret(&self) -> Option<(Id, Qualified)> {
        let secret = self.entry().secret.clone();
        secret.and_then(|(id, name)| Some((id?, name)))
    }

    /// Its entry, to be written with what it changes.
    pub(super) fn taken(&self) -> Entry {
        self.recorded.store(true, Ordering::Release);
        self.entry().clone()
    }

    /// The change was not written, and so its entry was not.
    pub(super) fn not_taken(&self) {
        self.recorded.store(false, Ordering::Release);
    }

    fn entry(&self) -> std::sync::MutexGuard<'_, Entry> {
        self.entry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A user of workspaces: none for the daemon's own.
pub(super) fn user_of(uid: u32) -> Option<u32> {
    (uid != rustix::process::geteuid().as_raw()).then_some(uid)
}

impl Agent {
    /// Answers a call of a connection.
    pub(crate) async fn serve(self: &Arc<Self>, call: Call, party: &Arc<Party>) -> Answer {
        let method = call.method();
        let (subject, secret_id) = self.subject(&call);
        let silent = matches!(call, Call::Hello(_) | Call::AgentStatus(_) | Call::AgentDoctor(_));
        let opens = matches!(call, Call::VaultUnlock(_));
        // who can neither open the vault nor stop the daemon cannot mend a disk that takes no record
        let gives = !matches!(call, Call::VaultUnlock(_) | Call::AgentStop(_));
        let right = (call.needs(), subject.places.clone());
        let (principal, authorized) = self.authorize(party, call, &subject.places)?;
        let by = authorized.as_ref().ok().and_then(Authorized::by);
        let entry = self.entry(party, &principal, by, method, subject, secret_id);
        let request = Request {
            party: party.clone(),
            principal,
            right,
            entry: Mutex::new(entry),
            recorded: AtomicBool::new(false),
        };
        let answer = match authorized {
            Ok(call) => self.handle(call, &request).await,
            Err(refused) => Err(refused),
        };
        if silent {
            return answer;
        }
        let entry = request.entry().clone();
        if request.recorded.load(Ordering::Acquire) {
            self.log_access(&entry, outcome_of(&answer), true);
            return answer;
        }
        let answer = self.record(entry, answer, opens, gives);
        if method == CredentialGet::NAME {
            self.log_handed(answer.as_ref().err(), &request);
        }
        answer
    }

    /// Records how a request ended, before its answer goes out. `gives` says whether that has to be recorded to be answered.
    pub(super) fn record(self: &Arc<Self>, entry: Entry, answer: Answer, opens: bool, gives: bool) -> Answer {
        let outcome = outcome_of(&answer);
        self.log_access(&entry, outcome, false);
        // a locked vault gives nothing, and has no place for it either
        let nothing = matches!(&answer, Err(error) if gives_nothing(error.name)) && !opens;
        if !nothing {
            self.audit.note(Entry { outcome, ..entry }, gives && answer.is_ok())?;
        }
        answer
    }

    /// Whether a party may do something, and as whom it asks.
    ///
    /// # Errors
    /// The outer one where its rights cannot be looked up: the vault is locked.
    fn authorize<T: Asks>(
        self: &Arc<Self>,
        party: &Party,
        call: T,
        places: &[Place],
    ) -> Result<(Principal, Result<Authorized<T>, CallError>), CallError> {
        let principal = match &party.session {
            None => party.caller.principal().clone(),
            // what takes no right is allowed while the vault is locked, too
            Some(_) if call.needs() == Needs::Anyone => Principal::Secrets(Arc::default()),
            Some(session) => Principal::Secrets(self.grants(session)?),
        };
        let authorized = Policy::authorize(&principal, call, places);
        Ok((principal, authorized))
    }

    /// Refuses a request whose right ended while it waited for something.
    pub(super) fn allowed_still(self: &Arc<Self>, request: &Request) -> Result<(), CallError> {
        let Some(session) = &request.party.session else { return Ok(()) };
        let (needs, places) = &request.right;
        Policy::check(&Principal::Secrets(self.grants(session)?), *needs, places).map(drop)
    }

    /// Lets a watch begin, or not; either is recorded.
    pub(crate) fn authorize_watch<T: Asks>(
        self: &Arc<Self>,
        party: &Arc<Party>,
        call: T,
        method: &'static str,
        secret: Option<Qualified>,
        start: impl FnOnce(T) -> Result<(), CallError>,
    ) -> Result<(), CallError> {
        let (principal, authorized) = self.authorize(party, call, &[])?;
        let by = authorized.as_ref().ok().and_then(Authorized::by);
        let entry = self.entry(party, &principal, by, method, Subject { secret, ..Subject::default() }, None);
        let started = authorized.and_then(|call| start(call.into_inner()));
        self.record(entry, started.map(|()| zeroize::Zeroizing::default()), false, true).map(drop)
    }

    /// Records that an artifact was not handed out.
    pub(crate) fn record_refused_get(self: &Arc<Self>, party: &Party, secret: &str, refused: ErrorName) {
        if gives_nothing(refused) {
            return;
        }
        let name = secret.parse().ok().map(|name| self.resolve(name));
        let subject = Subject { secret: name, ..Subject::default() };
        let principal = match &party.session {
            None => party.caller.principal().clone(),
            Some(session) => Principal::Secrets(self.grants(session).unwrap_or_default()),
        };
        let entry = self.entry(party, &principal, None, "artifact.get", subject, None);
        self.log_access(&entry, refused.as_str(), false);
        // a refusal goes out in any case
        let _: Result<(), NotRecorded> = self.audit.note(Entry { outcome: refused.as_str(), ..entry }, false);
    }

    /// Records that somebody tried to fetch a credential as a service manager does, and is none.
    pub(crate) fn record_forged(&self, party: &Party) {
        let now = self.clock.now();
        let entry = Entry::of_request(party, &Principal::Stranger, None, CredentialGet::NAME, now);
        // a refusal goes out in any case
        let _: Result<(), NotRecorded> =
            self.audit.note(Entry { outcome: ErrorName::Denied.as_str(), ..entry }, false);
    }

    /// Records that a party is given a secret's artifact by the short way.
    pub(super) fn record_get(
        &self,
        party: &Party,
        id: &Id,
        name: impl FnOnce() -> Qualified,
        now: Timestamp,
    ) -> Result<(), NotRecorded> {
        self.audit.note_get(party.number, id, now, || {
            let mut entry = Entry::of_request(party, &Principal::Own, None, "artifact.get", now);
            entry.secret = Some((Some(*id), name()));
            entry
        })
    }

    fn subject(&self, call: &Call) -> (Subject, Option<Id>) {
        let home = self.config().organization.clone();
        let mut vault = self.vault();
        let catalog = vault.unlocked().ok().map(|unlocked| &unlocked.catalog);
        let subject = Subject::of(call, &home, catalog);
        let id = subject
            .secret
            .as_ref()
            .and_then(|name| catalog?.secret_id(name.organization.as_str(), name.name.as_str()));
        (subject, id)
    }

    fn entry(
        &self,
        party: &Party,
        principal: &Principal,
        by: Option<&GrantedBy>,
        method: &'static str,
        subject: Subject,
        secret_id: Option<Id>,
    ) -> Entry {
        let mut entry = Entry::of_request(party, principal, by, method, self.clock.now());
        let asks_as_unit = method == CredentialGet::NAME && party.session.is_none();
        let unit = party.caller.unit().filter(|_| asks_as_unit);
        if let Some(unit) = unit {
            entry.principal = GrantedBy::unit(unit).to_string().into();
        }
        // who has no right here says names that nobody vouches for
        if principal.has_rights() || unit.is_some() {
            entry.subject = subject.told.map(Into::into);
            // a client secret where a name belongs is no name to keep
            let name = subject.secret.filter(|name| client_secret::shown_id(name.name.as_str()).is_none());
            entry.secret = name.map(|name| (secret_id, name));
        }
        self.add_ci(&mut entry, party);
        entry
    }

    /// Adds what the CI says of itself, where that is kept of the client secret.
    pub(super) fn add_ci(&self, entry: &mut Entry, party: &Party) {
        let Some(session) = party.session.as_ref().filter(|session| session.ci.is_some()) else { return };
        let mut vault = self.vault();
        let Ok(unlocked) = vault.unlocked() else { return };
        let known = entry.client_secret.as_ref().and_then(|id| unlocked.catalog.client_secret(id));
        if known.is_some_and(|(_, secret)| secret.analytics == Analytics::Complete) {
            entry.ci.clone_from(&session.ci);
        }
    }

    /// What a session's client secrets allow now: revoked, expired or not.
    fn grants(self: &Arc<Self>, session: &Session) -> Result<Arc<[Grant]>, CallError> {
        let now = self.clock.now();
        let mut lapsed = Vec::new();
        let grants = {
            let mut vault = self.vault();
            let catalog = &vault.unlocked()?.catalog;
            let known = session.secrets.iter().filter_map(|public| catalog.client_secret(public));
            let grant = known.map(|(id, secret)| {
                let grant = grant_of(catalog, secret, now);
                if matches!(grant.lapse, Some(Lapse::Expired(_))) && !secret.lapsed {
                    lapsed.push(id);
                }
                grant
            });
            grant.collect()
        };
        self.lapse(lapsed);
        Ok(grants)
    }

    /// Keeps in mind that client secrets were found expired, so that a clock that is set back does not revive them.
    pub(super) fn lapse(self: &Arc<Self>, ids: Vec<Id>) {
        if ids.is_empty() {
            return;
        }
        let agent = self.clone();
        self.tasks.spawn(async move {
            let written = agent.vault().unlocked().and_then(|unlocked| {
                unlocked.write(&[], |catalog| {
                    for id in &ids {
                        if let Some(secret) = catalog.client_secrets.get_mut(id) {
                            secret.lapsed = true;
                        }
                    }
                    Ok::<_, VaultError>((ids.into_iter().map(Change::ClientSecret).collect(), ()))
                })
            });
            match written {
                Ok((committed, ())) => drop(agent.durable(committed).await),
                Err(error) => {
                    tracing::warn!(reason = %error, "it could not be kept that a client secret expired");
                    agent.unspoil();
                }
            }
        });
    }
}

/// What a client secret allows.
pub(super) fn grant_of(
    catalog: &Catalog,
    secret: &crate::vault::catalog::ClientSecret,
    now: Timestamp,
) -> Grant {
    let lapse = match (secret.status(now), secret.revoked_at) {
        (ClientSecretStatus::Active, _) => None,
        (ClientSecretStatus::Revoked, Some(at)) => Some(Lapse::Revoked(at)),
        (ClientSecretStatus::Revoked | ClientSecretStatus::Expired, _) => {
            Some(Lapse::Expired(secret.expires_at))
        }
    };
    let environment = secret.environment.map(|id| Some(catalog.environments.get(&id)?.name.clone()));
    Grant {
        organization: secret.organization.clone(),
        environment,
        role: secret.role,
        by: GrantedBy::Secret(secret.public.clone()),
        lapse,
    }
}

fn outcome_of(answer: &Answer) -> &'static str {
    answer.as_ref().map_or_else(|error| error.name.as_str(), |_| crate::audit::OK)
}

fn gives_nothing(refused: ErrorName) -> bool {
    matches!(refused, ErrorName::Locked | ErrorName::NoVault | ErrorName::Stopping)
}
