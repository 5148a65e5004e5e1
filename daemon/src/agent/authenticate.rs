//! `authenticate`: which client secrets a connection came with, and how they stand. A value is compared here and kept nowhere.

use super::request::grant_of;
use super::vault::Throttle;
use super::{Agent, Answer, answer};
use crate::audit::Entry;
use crate::policy::{Lapse, Principal};
use crate::server::session::{Party, Session};
use crate::vault::catalog::{Catalog, ClientSecret, Hash};
use crate::vault::store::Id;
use bursar_proto::call::{Authenticate, CI_FACT_MAX, CI_FACTS_MAX};
use bursar_proto::client_secret::{self, CLIENT_SECRETS_MAX, PublicId};
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::fields::Invalid;
use bursar_proto::reply::{Authenticated, AuthenticatedSecret};
use bursar_proto::sensitive::Sensitive;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError};
use std::time::Instant;

/// The longest word for a command, in bytes.
const COMMAND_MAX: usize = 20;

/// How many users' waits after wrong client secrets are remembered; beyond that, those that are over are dropped.
pub(super) const WAITS_KEPT: usize = 1_024;

/// The waits after wrong client secrets, by user.
pub(super) type Waits = HashMap<u32, Throttle>;

impl Agent {
    /// Takes the client secrets of a connection: from now on they alone give rights, even where this fails.
    pub(crate) fn authenticate(
        self: &Arc<Self>,
        call: Authenticate,
        party: &Arc<Party>,
    ) -> (Arc<Party>, Answer) {
        let (session, told) = match self.check_client_secrets(call, party.caller.uid()) {
            Ok((session, told)) => (session, Ok(told)),
            Err(error) => (Session::default(), Err(error)),
        };
        let told = told.and_then(|told| refusal(&told).map_or(Ok(told), Err));
        let party = party.authenticated(session);
        let mut entry = Entry::of_request(
            &party,
            &Principal::Secrets(Arc::default()),
            None,
            "authenticate",
            self.clock.now(),
        );
        if let Some(session) = &party.session {
            let ids: Vec<String> = session.secrets.iter().map(ToString::to_string).collect();
            if let Some(first) = ids.first() {
                entry.principal = format!("client secret {first}").into();
                entry.subject = (ids.len() > 1).then(|| ids.join(" ").into());
            }
        }
        self.add_ci(&mut entry, &party);
        (party, self.record(entry, answer(told), false, true))
    }

    fn check_client_secrets(
        self: &Arc<Self>,
        call: Authenticate,
        uid: u32,
    ) -> Result<(Session, Authenticated), CallError> {
        let given = call.client_secrets;
        if !(1..=CLIENT_SECRETS_MAX).contains(&given.len()) {
            let reason = format!("expected 1 to {CLIENT_SECRETS_MAX} client secrets");
            return Err(Invalid::field("client_secrets", reason).into());
        }
        check_command(call.command.as_deref())?;
        check_ci(call.ci.as_ref())?;
        let now = self.clock.now();
        self.throttled(uid)?;
        let mut session = Session::new(call.command, call.ci);
        let mut lapsed = Vec::new();
        let mut wrong = false;
        let told = {
            let mut vault = self.vault();
            let catalog = &vault.unlocked()?.catalog;
            let one = |text: &Sensitive| match checked(catalog, text) {
                Err(refused) => {
                    wrong |= refused.name == ErrorName::ClientSecretUnknown;
                    refused_secret(client_secret::shown_id(text.expose()), refused)
                }
                Ok((id, secret)) => {
                    if !session.secrets.contains(&secret.public) {
                        session.secrets.push(secret.public.clone());
                    }
                    let grant = grant_of(catalog, secret, now);
                    if matches!(grant.lapse, Some(Lapse::Expired(_)))
                        && !secret.lapsed
                        && !lapsed.contains(&id)
                    {
                        lapsed.push(id);
                    }
                    match grant.lapse {
                        Some(lapse) => refused_secret(Some(secret.public.clone()), ended(secret, lapse)),
                        None => AuthenticatedSecret {
                            id: Some(secret.public.clone()),
                            organization: Some(secret.organization.clone()),
                            environment: grant.environment.flatten(),
                            role: Some(secret.role),
                            expires_at: Some(secret.expires_at),
                            error: None,
                            problem: None,
                            hint: None,
                        },
                    }
                }
            };
            given.iter().map(one).collect()
        };
        self.lapse(lapsed);
        // who has a right one is guessing nothing: an old one in its list costs it no wait
        if wrong && session.secrets.is_empty() {
            self.note_wrong(uid);
        }
        Ok((session, Authenticated { client_secrets: told }))
    }

    /// Refuses a user who has to wait after wrong client secrets; others do not.
    pub(super) fn throttled(&self, uid: u32) -> Result<(), CallError> {
        let waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        waits.get(&uid).map_or(Ok(()), |wait| wait.check(Instant::now(), "client secret"))
    }

    pub(super) fn note_wrong(&self, uid: u32) {
        let now = Instant::now();
        let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        if waits.len() >= WAITS_KEPT {
            waits.retain(|_, wait| wait.check(now, "").is_err());
        }
        waits.entry(uid).or_default().wrong(now);
    }
}

/// The client secret whose value a text is. What is not known and what is wrong are one refusal, and take the same time.
fn checked<'c>(catalog: &'c Catalog, text: &Sensitive) -> Result<(Id, &'c ClientSecret), CallError> {
    let (public, random) = client_secret::parse(text.expose()).map_err(|malformed| {
        let which = client_secret::shown_id(text.expose()).map_or_else(String::new, |id| format!(" {id}"));
        CallError::new(ErrorName::ClientSecretMalformed, format!("client secret{which}: {malformed}"))
            .hint("look how it was stored: quotes, a line that was cut, two of them in one")
    })?;
    let known = catalog.client_secret(&public);
    let fits = known.map_or(&Hash::NONE, |(_, secret)| &secret.hash).fits(&random);
    known.filter(|_| fits).ok_or_else(|| {
        let message = format!("client secret {public} is none that this agent issued");
        CallError::new(ErrorName::ClientSecretUnknown, message)
            .hint("it may be another machine's, or its organization was deleted")
    })
}

/// The error for a client secret that ended.
fn ended(secret: &ClientSecret, lapse: Lapse) -> CallError {
    let name = match lapse {
        Lapse::Expired(_) => ErrorName::ClientSecretExpired,
        Lapse::Revoked(_) => ErrorName::ClientSecretRevoked,
    };
    CallError::new(name, format!("client secret {} {lapse}", secret.public)).hint(format!(
        "issue another: bursar client-secret create --organization {} --role {} --description WHAT-FOR",
        secret.organization, secret.role
    ))
}

fn refused_secret(id: Option<PublicId>, error: CallError) -> AuthenticatedSecret {
    AuthenticatedSecret {
        id,
        organization: None,
        environment: None,
        role: None,
        expires_at: None,
        error: Some(error.name),
        problem: Some(error.message),
        hint: error.hint,
    }
}

/// The error where none of them counts: the first one's, with what is wrong with each.
fn refusal(told: &Authenticated) -> Option<CallError> {
    if told.client_secrets.iter().any(|one| one.error.is_none()) {
        return None;
    }
    let name = told.client_secrets.iter().find_map(|one| one.error)?;
    let problems: Vec<&str> = told.client_secrets.iter().filter_map(|one| one.problem.as_deref()).collect();
    let error = CallError::new(name, problems.join("; "));
    Some(match told.client_secrets.iter().find_map(|one| one.hint.clone()) {
        Some(hint) => error.hint(hint),
        None => error,
    })
}

fn check_command(word: Option<&str>) -> Result<(), Invalid> {
    let fits = word.is_none_or(|word| {
        (1..=COMMAND_MAX).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
    });
    if fits {
        Ok(())
    } else {
        Err(Invalid::field("command", format!("expected 1 to {COMMAND_MAX} of a-z and -")))
    }
}

fn check_ci(facts: Option<&BTreeMap<String, String>>) -> Result<(), Invalid> {
    let Some(facts) = facts else { return Ok(()) };
    let short = |text: &String| text.len() <= CI_FACT_MAX && !text.chars().any(char::is_control);
    if facts.len() <= CI_FACTS_MAX && facts.iter().all(|(name, text)| short(name) && short(text)) {
        return Ok(());
    }
    let reason =
        format!("expected at most {CI_FACTS_MAX} texts of at most {CI_FACT_MAX} bytes, each on one line");
    Err(Invalid::field("ci", reason))
}
