//! What a person's authorization begins and ends with: asking for it, and taking what the issuer sent back.

use super::Agent;
use super::fault::inactive;
use super::issuer::settings;
use super::request::Request;
use super::secret::{named, restarted};
use crate::audit::{Entry, NotRecorded, OK};
use crate::authorization::{NotTaken, Outcome, Prepared, Redirect, Refused};
use crate::credentials::Credentials;
use crate::refresh::Flight;
use crate::vault::catalog::Secret;
use crate::vault::store::Id;
use bursar_proto::call::SecretAuthorize;
use bursar_proto::error::{CallError, ErrorName, split_hint};
use bursar_proto::fields::Invalid;
use bursar_proto::kind::{Change as Happened, Status};
use bursar_proto::name::{Qualified, Reference};
use bursar_proto::reply;
use std::sync::Arc;

impl Agent {
    /// Prepares to ask a person, where credentials take one.
    ///
    /// # Errors
    /// `not_configured`, `no_listener`.
    pub(super) fn ask(
        self: &Arc<Self>,
        credentials: &Credentials,
        request: &Request,
    ) -> Result<Option<Prepared>, CallError> {
        let Credentials::Consent(consent) = credentials else { return Ok(None) };
        let mut vault = self.vault();
        let settings = settings(&vault.unlocked()?.catalog, consent.issuer)?;
        let asker = request.party.caller.uid();
        self.authorizations.prepare(self, settings, consent.scopes.list(), asker).map(Some)
    }

    pub(super) async fn secret_reauthorize(
        self: &Arc<Self>,
        secret: Reference,
        request: &Request,
    ) -> Result<reply::Secret, CallError> {
        let name = self.resolve(secret);
        let now = self.clock.now();
        let (id, credentials) = self.stored(&name)?;
        let asked = self.ask(&credentials, request)?.ok_or_else(|| no_person(&name))?;
        let revision = self
            .write(request, |catalog| {
                if !named(catalog, &id)?.active {
                    return Err(inactive(&name));
                }
                let changes = restarted(catalog, id, None, &credentials, Some(&asked), now);
                Ok((changes, named(catalog, &id)?.revision))
            })
            .await?;
        self.exchange_soon(&id, Some(Happened::NeedsAuthorization), Some((asked, revision)))
    }

    pub(super) async fn secret_authorize(
        self: &Arc<Self>,
        call: SecretAuthorize,
        request: &Request,
    ) -> Result<reply::Secret, CallError> {
        let name = self.resolve(call.secret);
        let (id, credentials) = self.stored(&name)?;
        if !matches!(credentials, Credentials::Consent(_)) {
            return Err(no_person(&name));
        }
        let redirect = Redirect::parse_address(call.redirect.expose()).map_err(|_| {
            Invalid::field("redirect", "it is no address that an issuer sends a browser to; hint: copy the whole address bar, from http://127.0.0.1 on")
        })?;
        let user = Some(request.party.caller.uid());
        let (_, flight) =
            self.land(redirect, user, Some(id)).map_err(|refused| not_taken(&refused, &name))?;
        flight.landed().await;
        let mut vault = self.vault();
        self.view(vault.unlocked()?, &id)
    }

    /// Takes a redirect that `user` brought, for any secret or only for `wanted`: uses its state up and starts the exchange.
    /// Answers the name of the last page.
    pub(crate) fn land(
        self: &Arc<Self>,
        redirect: Redirect,
        user: Option<u32>,
        wanted: Option<Id>,
    ) -> Result<(Box<str>, Flight), NotTaken> {
        let now = self.clock.now();
        // before anything else is said: who has no state, or somebody else's, learns nothing of vault and secrets
        let found = self.authorizations.asker(redirect.state.expose());
        let (asker, id) = found.ok_or(NotTaken::Refused(Refused::Unknown, None))?;
        let trusted = [0, asker, rustix::process::geteuid().as_raw()];
        if !user.is_some_and(|user| trusted.contains(&user)) {
            self.note_browser(user, wanted, id, ErrorName::Denied.as_str());
            return Err(NotTaken::Stranger);
        }
        let mut vault = self.vault();
        let unlocked = vault.unlocked().map_err(|_| NotTaken::Locked)?;
        let catalog = &unlocked.catalog;
        let refused = |refused: Refused| {
            let id = match refused {
                Refused::Unknown => None,
                Refused::Used(id) | Refused::Lapsed(id) => Some(id),
            };
            let name = id.and_then(|id| catalog.secrets.get(&id)).map(Secret::full_name);
            NotTaken::Refused(refused, name)
        };
        let landing = self.authorizations.find(redirect.state.expose(), now).map_err(refused)?;
        if wanted.is_some_and(|wanted| wanted != landing.secret) {
            return Err(refused(Refused::Unknown));
        }
        match catalog.secrets.get(&landing.secret) {
            Some(secret) if !secret.active => return Err(NotTaken::Inactive(secret.full_name())),
            Some(secret) if secret.revision == landing.revision => {}
            _ => return Err(refused(Refused::Lapsed(landing.secret))),
        }
        let spent = || refused(Refused::Used(landing.secret));
        let result = self.authorizations.land(redirect, now).ok_or_else(spent)?;
        let flight = self.join(landing.secret, unlocked);
        drop(vault);
        self.note_browser(user, wanted, landing.secret, OK);
        let (agent, landed, page) = (self.clone(), flight.clone(), result.clone());
        self.tasks.spawn(async move {
            landed.landed().await;
            agent.authorizations.end(&page, agent.clock.now());
        });
        Ok((result, flight))
    }

    /// Records that a browser brought a redirect. What came as a call is recorded as that.
    fn note_browser(&self, user: Option<u32>, wanted: Option<Id>, id: Id, outcome: &'static str) {
        let name = {
            let mut vault = self.vault();
            let secret = vault.unlocked().ok().and_then(|unlocked| unlocked.catalog.secrets.get(&id));
            secret.map(Secret::full_name)
        };
        if let (None, Some(name)) = (wanted, name) {
            let entry = Entry::of_agent("secret.authorize", (id, name), outcome, self.clock.now());
            // the redirect is taken or not, whether or not the record has room
            let entry = Entry { principal: "browser".into(), uid: user, ..entry };
            let _: Result<(), NotRecorded> = self.audit.note(entry, false);
        }
    }

    /// How an authorization of a secret ended.
    pub(crate) fn authorized(&self, id: &Id) -> Outcome {
        let mut vault = self.vault();
        let secret = vault.unlocked().ok().and_then(|unlocked| unlocked.catalog.secrets.get(id));
        match secret {
            None => Outcome::Unknown,
            Some(secret) if secret.status == Status::Succeeded && secret.environment.is_none() => {
                Outcome::Unbound(secret.full_name())
            }
            Some(secret) if secret.status == Status::Succeeded => Outcome::Succeeded(secret.full_name()),
            Some(secret) => {
                let details = secret.status_details.as_deref().unwrap_or("it ended before there was a token");
                let (reason, hint) = split_hint(details);
                Outcome::Failed(secret.full_name(), reason.to_owned(), hint.unwrap_or_default().to_owned())
            }
        }
    }
}

/// The error for asking a person about a secret that needs none.
fn no_person(name: &Qualified) -> CallError {
    Invalid::new(format!(
        "{name} is of a type that no person authorizes; hint: exchange it anew: bursar secret retry {name}"
    ))
    .into()
}

/// A redirect that was pasted and not taken.
fn not_taken(refused: &NotTaken, name: &Qualified) -> CallError {
    let again = |message: String| {
        CallError::new(ErrorName::NeedsAuthorization, message)
            .hint(format!("start over: bursar secret reauthorize {name}"))
    };
    match refused {
        NotTaken::Locked => crate::vault::VaultError::Locked(None).into(),
        NotTaken::Inactive(name) => inactive(name),
        NotTaken::Stranger => CallError::new(
            ErrorName::Denied,
            format!("another user asked for the authorization of {name}, and only that user can finish it"),
        ),
        NotTaken::Refused(Refused::Unknown, _) => {
            again(format!("the address is not of an authorization of {name} that waits here"))
        }
        NotTaken::Refused(Refused::Used(_), _) => {
            again(format!("the address was used already, and counts once; see bursar secret show {name}"))
        }
        NotTaken::Refused(Refused::Lapsed(_), _) => {
            again(format!("the authorization url of {name} has expired, or another one was asked for since"))
        }
    }
}

#[cfg(test)]
mod tests;
