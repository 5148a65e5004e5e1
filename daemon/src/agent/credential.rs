//! credential.get: what a unit is handed, by the API socket and by the one that systemd fetches from. `policy` says whether, the table
//! of units what, and `artifact` whether that may be handed out now.

#[cfg(test)]
mod tests;

use super::library::{Asked, Target, environment_target, unresolved};
use super::request::Request;
use super::{Agent, Answer, answer, secret_id};
use crate::audit::OK;
use crate::noise::Kind;
use crate::policy::Policy;
use crate::units::{Value, Wanted};
use crate::vault::Unlocked;
use crate::vault::catalog::{Catalog, Definition};
use crate::vault::header::{CREDENTIAL_NAME_MAX, is_credential_name};
use crate::vault::store::Id;
use bursar_proto::call::CredentialGet;
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::fields::Invalid;
use bursar_proto::name::{OrganizationName, Qualified, Reference};
use bursar_proto::reply::Artifact;
use bursar_proto::sensitive::Sensitive;
use bursar_proto::time::Timestamp;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use tracing::field::display;

/// How long a unit waits for a value, where an exchange has to end first: less than the 90 s after which systemd gives up a start.
const VALUE_TIMEOUT: Duration = Duration::from_mins(1);

/// A [`bursar_proto::reply::Credential`] on its way out.
#[derive(Serialize)]
struct Shown<'a> {
    credential: &'a str,
    unit: &'a str,
    secret: &'a Qualified,
    value: &'a str,
    expires_at: Option<Timestamp>,
}

impl Agent {
    /// Hands the caller's unit what the table says. The log has what comes of it: systemd knows no words for a refusal.
    pub(super) async fn credential_get(self: &Arc<Self>, call: CredentialGet, request: &Request) -> Answer {
        if !is_credential_name(&call.credential) {
            let reason =
                format!("expected 1 to {CREDENTIAL_NAME_MAX} visible ASCII characters without / and :");
            return Err(Invalid::field("credential", reason).into());
        }
        let unit = request.party.caller.unit();
        self.hand_to_unit(unit, &call.credential, call.min_validity, request).await
    }

    /// Tells what became of a credential, once that is recorded.
    pub(super) fn log_handed(self: &Arc<Self>, refused: Option<&CallError>, request: &Request) {
        let (subject, secret) = (request.subject(), request.secret());
        let credential = subject.as_deref();
        let environment = secret.as_ref().and_then(|(id, _)| self.environment_of(id)).map(display);
        let secret = secret.map(|(_, name)| display(name));
        let Request { party, .. } = request;
        let caller = party.caller.unit().map_or_else(|| format!("uid {}", party.caller.uid()), str::to_owned);
        match refused {
            None => self.log_of(Kind::Done, &caller, || {
                tracing::info!(
                    secret,
                    environment,
                    caller,
                    credential,
                    outcome = OK,
                    "a credential was handed out"
                );
            }),
            Some(refused) => self.log_of(Kind::Refused, &caller, || {
                let (outcome, reason, hint) =
                    (refused.name.as_str(), &*refused.message, refused.hint.as_deref());
                tracing::warn!(
                    secret,
                    environment,
                    caller,
                    credential,
                    outcome,
                    reason,
                    hint,
                    "a credential was refused"
                );
            }),
        }
    }

    async fn hand_to_unit(
        self: &Arc<Self>,
        unit: Option<&str>,
        credential: &str,
        min_validity: Option<u64>,
        request: &Request,
    ) -> Answer {
        let allowed = || Policy::unit(&self.config().credential, unit, credential);
        let wanted: Wanted = allowed()?.into_inner();
        let min_validity = wanted.min_validity.max(min_validity);
        let behind = Behind::of(wanted.value.clone(), &self.config().organization);
        let find = |unlocked: &mut Unlocked| {
            // the table may have been read anew while an exchange ran
            if allowed()?.into_inner() != wanted {
                let message = format!("the [[credential]] for {credential} was changed meanwhile");
                return Err(CallError::new(ErrorName::Denied, message).hint("start the unit again"));
            }
            let id = behind.secret(unlocked, self.clock.now())?;
            if let Some(secret) = unlocked.catalog.secrets.get(&id) {
                request.about_secret(id, secret.full_name());
            }
            Ok(id)
        };
        let in_time = async {
            self.landed(&behind).await?;
            self.hand_out_in_time(find, min_validity, request).await
        };
        let artifact = tokio::time::timeout(VALUE_TIMEOUT, in_time).await.unwrap_or_else(|_| {
            let message = format!("an exchange has not ended within {} s", VALUE_TIMEOUT.as_secs());
            Err(CallError::new(ErrorName::Pending, message).hint("it goes on; start the unit again later"))
        })?;
        let artifact: Artifact = serde_json::from_slice(&artifact)
            .map_err(|_| CallError::new(ErrorName::Internal, "the artifact cannot be read"))?;
        answer(Ok(Shown {
            credential,
            unit: unit.unwrap_or_default(),
            secret: &artifact.secret,
            value: choose(&artifact, wanted.field.as_deref(), credential)?.expose(),
            expires_at: artifact.expires_at,
        }))
    }

    /// Waits for the exchange that an element needs to resolve.
    async fn landed(self: &Arc<Self>, behind: &Behind) -> Result<(), CallError> {
        let flight = {
            let mut vault = self.vault();
            let unlocked = vault.unlocked()?;
            behind.awaits(&unlocked.catalog, self.clock.now())?.map(|id| self.join(id, unlocked))
        };
        if let Some(flight) = flight {
            flight.landed().await;
        }
        Ok(())
    }

    /// The environment that a secret is bound to.
    pub(crate) fn environment_of(&self, id: &Id) -> Option<Qualified> {
        let mut vault = self.vault();
        let catalog = &vault.unlocked().ok()?.catalog;
        let environment = catalog.secrets.get(id)?.environment?;
        Some(catalog.environments.get(&environment)?.name.clone())
    }
}

/// Where a value is looked for.
enum Behind {
    Secret(Qualified),
    Element {
        name: Reference,
        organization: OrganizationName,
        definition: Definition,
        environment: Qualified,
    },
}

impl Behind {
    fn of(value: Value, home: &OrganizationName) -> Self {
        match value {
            Value::Secret(secret) => Self::Secret(secret.within(home)),
            Value::Element(element, environment) => {
                let (element, environment) = Value::full(element, environment, home);
                Self::Element {
                    organization: element.organization.clone(),
                    definition: Definition::Uses(element.name.clone()),
                    name: element.into(),
                    environment,
                }
            }
        }
    }

    /// The exchange that an element has to wait for; what a secret waits for is found when it is handed out.
    fn awaits(&self, catalog: &Catalog, now: Timestamp) -> Result<Option<Id>, CallError> {
        let Some((asked, target)) = self.asked(catalog)? else { return Ok(None) };
        Ok(asked.awaits(catalog, target, now))
    }

    fn secret(&self, unlocked: &Unlocked, now: Timestamp) -> Result<Id, CallError> {
        let catalog = &unlocked.catalog;
        match (self, self.asked(catalog)?) {
            (Self::Secret(name), _) => secret_id(unlocked, name),
            (Self::Element { .. }, asked) => {
                let resolved = asked.map(|(asked, target)| {
                    let refused = unresolved(&asked.resolve(catalog, target, now));
                    refused.map_or_else(|| Ok(asked.secret(catalog, target.stage())), Err)
                });
                resolved
                    .transpose()?
                    .flatten()
                    .ok_or_else(|| CallError::new(ErrorName::Internal, "an element resolved to no secret"))
            }
        }
    }

    /// The element and what it is asked for, where it is one.
    fn asked(&self, catalog: &Catalog) -> Result<Option<(Asked<'_>, Target)>, CallError> {
        let Self::Element { name, organization, definition, environment } = self else { return Ok(None) };
        let target = environment_target(catalog, environment)?;
        Ok(Some((Asked { organization, name, definition }, target)))
    }
}

/// The one text of an artifact that is meant: the field that the rule names, the single value, or the field that the credential is
/// named after.
fn choose<'a>(
    artifact: &'a Artifact,
    field: Option<&str>,
    credential: &str,
) -> Result<&'a Sensitive, CallError> {
    let secret = &artifact.secret;
    let fields = artifact.fields.as_ref();
    let (wanted, by) = match (field, &artifact.value) {
        (Some(field), _) => (field, "the [[credential]] says"),
        (None, Some(value)) => return Ok(value),
        (None, None) => match credential.rsplit_once('.') {
            Some((_, field)) => (field, "the credential's name ends with"),
            None => ("", "the credential's name ends with"),
        },
    };
    artifact.field(wanted).ok_or_else(|| {
        let names: Vec<&str> = match fields {
            Some(fields) => fields.keys().map(String::as_str).collect(),
            None => artifact.r#type.value_field().into_iter().collect(),
        };
        let message = if wanted.is_empty() {
            format!("{secret} has several fields, and nothing says which one")
        } else {
            format!("{secret} has no field {wanted}, and {by} so")
        };
        let names = names.join(", ");
        CallError::new(ErrorName::NotFound, message).hint(format!(
            "say field = in the [[credential]], or end the credential's name with a dot and one of: {names}"
        ))
    })
}
