//! A secret's attributes as an answer: one, or a page of them.

use super::named;
use crate::agent::organization::no_organization;
use crate::agent::{Agent, environment_id, secret_id};
use crate::authorization::HOUR;
use crate::exchange::{By, Cause};
use crate::vault::Unlocked;
use crate::vault::catalog::{Secret, Unanswered};
use crate::vault::crypto::hex;
use crate::vault::store::Id;
use bursar_proto::call::{SECRETS_PAGE_MAX, SecretList};
use bursar_proto::error::{CallError, split_hint};
use bursar_proto::fields::Invalid;
use bursar_proto::kind::{FailureCause, Status};
use bursar_proto::name::{Name, OrganizationName, Reference};
use bursar_proto::reply;
use bursar_proto::time::Timestamp;
use std::ops::Bound;

impl Agent {
    pub(in crate::agent) fn secret_show(&self, secret: Reference) -> Result<reply::Secret, CallError> {
        let name = self.resolve(secret);
        let mut vault = self.vault();
        let unlocked = vault.unlocked()?;
        let id = secret_id(unlocked, &name)?;
        self.view(unlocked, &id)
    }

    pub(in crate::agent) fn secret_list(&self, call: SecretList) -> Result<Vec<reply::Secret>, CallError> {
        let limit = call.limit.unwrap_or(SECRETS_PAGE_MAX);
        if !(1..=SECRETS_PAGE_MAX).contains(&limit) {
            return Err(Invalid::field("limit", format!("expected 1 to {SECRETS_PAGE_MAX}")).into());
        }
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let after = call.after.map(|name| self.resolve(name));
        let environment = call.environment.map(|name| match &call.organization {
            Some(organization) => name.within(organization),
            None => self.resolve(name),
        });
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
            .map(|id| self.view(unlocked, id))
            .collect()
    }

    /// A secret's attributes for an answer.
    pub(in crate::agent) fn view(&self, unlocked: &Unlocked, id: &Id) -> Result<reply::Secret, CallError> {
        let secret = named(&unlocked.catalog, id)?;
        let environment = secret.environment.and_then(|id| unlocked.catalog.environments.get(&id));
        // one record that cannot be read must not hide all others
        let (credentials, unreadable) = match unlocked.credentials(id) {
            Ok(credentials) => (credentials.public(), None),
            Err(error) => (serde_json::Map::new(), Some(error.to_string())),
        };
        Ok(reply::Secret {
            name: secret.full_name(),
            id: hex(id),
            r#type: secret.kind,
            environment: environment.map(|e| e.name.clone()),
            stage: environment.map(|e| e.stage),
            credentials,
            exchange_policy: secret.policy,
            status: secret.status,
            status_details: unreadable.or_else(|| self.status_details(secret, id)),
            failure: secret.last_failure.map(|cause| match cause {
                Cause::Unreachable => FailureCause::Unreachable,
                Cause::Transient => FailureCause::Transient,
                Cause::Permanent | Cause::Withdrawn => FailureCause::Permanent,
            }),
            active: secret.active,
            created_at: secret.created_at,
            updated_at: secret.updated_at,
            activated_at: secret.activated_at,
            expires_at: secret.expires_at,
            refresh_at: secret.refresh_at,
            refresh_status: secret.refresh_status,
            refresh_status_details: with_unanswered(
                secret.refresh_status_details.as_deref(),
                secret.unanswered.filter(|sent| sent.by == By::RefreshToken),
            ),
            refresh_attempt: secret.failed_attempts.into(),
            next_attempt_at: crate::refresh::plan::due(secret),
            expiration_date: secret.expiration_date,
            authorization_url: None,
            authorization_url_expires_at: None,
        })
    }

    /// Why a secret stands as it does: what is kept of it, and of a person's authorization what is known now.
    fn status_details(&self, secret: &Secret, id: &Id) -> Option<String> {
        let kept = secret.status_details.as_deref();
        if secret.status != Status::ManualAuthorization || kept.is_some() {
            return kept.map(str::to_owned);
        }
        let (full, now) = (secret.full_name(), self.clock.now());
        let again = format!("ask for a new one: bursar secret reauthorize {full}");
        if self.authorizations.landed(id) {
            return Some(format!(
                "it was allowed in the browser, and is being exchanged; hint: wait for it: bursar wait {full}"
            ));
        }
        let waiting = self.authorizations.waiting(id, now).map(|(until, _)| until);
        // within the second of the start: before it, for only a restart ends an address so soon
        let since_start = |ended: Timestamp| self.started_at < ended.plus(-HOUR);
        let details = match (waiting, secret.authorization_expires_at) {
            (Some(until), _) => {
                format!(
                    "a person has to open its authorization url, until {until}; hint: open it, or {again}"
                )
            }
            (None, Some(ended)) if ended <= now => {
                format!("its authorization url expired at {ended}; hint: {again}")
            }
            (None, Some(ended)) if since_start(ended) => {
                format!("its authorization url is not open any more; hint: {again}")
            }
            (None, _) => {
                format!(
                    "its authorization url is not open any more: the agent was started anew; hint: {again}"
                )
            }
        };
        with_unanswered(Some(&details), secret.unanswered.filter(|sent| sent.by == By::Code))
    }
}

/// Details with a word on the request whose answer is not known.
fn with_unanswered(details: Option<&str>, unanswered: Option<Unanswered>) -> Option<String> {
    let Some(Unanswered { at, .. }) = unanswered else { return details.map(str::to_owned) };
    let sent = format!("a request was sent at {at}, and its answer is not known");
    Some(match details {
        None => sent,
        // the failure that is told is that of this very request
        Some(details) if details.contains("its answer is not known") => details.to_owned(),
        Some(details) => match split_hint(details) {
            (reason, Some(hint)) => format!("{reason}; before that, {sent}; hint: {hint}"),
            (reason, None) => format!("{reason}; before that, {sent}"),
        },
    })
}
