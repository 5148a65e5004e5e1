//! expiring.list, and the calendar behind it: everything that ends, and who is told when.

use super::Agent;
use super::organization::chosen;
use crate::hook::{Event, Occasion};
use crate::vault::VaultError;
use crate::vault::catalog::{Catalog, ClientSecret, Secret};
use bursar_proto::call::ExpiringList;
use bursar_proto::error::{CallError, split_hint};
use bursar_proto::kind::{Ending, SecretType, Status};
use bursar_proto::name::OrganizationName;
use bursar_proto::reply::Expiring;
use bursar_proto::time::Timestamp;
use std::sync::Arc;

/// How far ahead is looked, in seconds, if nobody says: 30 days.
const WITHIN: u64 = 30 * DAY_SECONDS;

const DAY_SECONDS: u64 = 86_400;

/// The longest time between two looks at what ends, in seconds.
const LOOKED_AT_EVERY: i64 = 3_600;

/// How many days before an end somebody is told; 0 is the end itself.
const TOLD_BEFORE: [i64; 4] = [30, 7, 1, 0];

impl Agent {
    pub(super) fn expiring_list(&self, call: &ExpiringList) -> Result<Vec<Expiring>, CallError> {
        let now = self.clock.now();
        let within = i64::try_from(call.within.unwrap_or(WITHIN)).unwrap_or(i64::MAX);
        let mut vault = self.vault();
        let catalog = &vault.unlocked()?.catalog;
        drop(chosen(catalog, call.organization.as_ref())?);
        let mut all = endings(catalog, call.organization.as_ref(), now, true);
        all.retain(|one| one.expires_at <= now.plus(within));
        Ok(all)
    }

    /// Tells whoever wants to hear it what ends in 30, 7 and 1 days and what has ended since it was last asked. What was told
    /// is kept with the next commit, so a kill in between tells it twice rather than never. Answers when to look
    /// again; nothing while the vault is locked.
    pub(crate) async fn tell_endings(self: &Arc<Self>, now: Timestamp) -> Option<Timestamp> {
        let (told, next) = {
            let mut vault = self.vault();
            let unlocked = vault.unlocked().ok()?;
            // a clock that was ahead must not keep quiet what ends until then
            let (kept, since) = (unlocked.endings_told(), unlocked.endings_told().min(now));
            let all = endings(&unlocked.catalog, None, now, false);
            let next = all.iter().flat_map(|one| times_told(one.expires_at)).filter(|at| *at > now).min();
            let due: Vec<(Expiring, i64)> = all
                .into_iter()
                .filter_map(|one| Some((reached(one.expires_at, since, now)?, one)))
                .map(|(days, one)| (one, days))
                .collect();
            for (one, days) in due.iter().rev() {
                let name = one.secret.as_ref().map_or_else(
                    || one.client_secret.as_ref().map(ToString::to_string).unwrap_or_default(),
                    ToString::to_string,
                );
                tracing::warn!(what = one.what.as_str(), name, days, expires_at = %one.expires_at, "it ends");
                let secret = one.secret.as_ref().and_then(|name| {
                    let id = unlocked.catalog.secret_id(name.organization.as_str(), name.name.as_str())?;
                    let environment = unlocked.catalog.secrets.get(&id)?.environment?;
                    Some(unlocked.catalog.environments.get(&environment)?.name.clone())
                });
                self.hooks.fire(Occasion {
                    event: Event::Expiring,
                    at: now,
                    secret: one.secret.clone(),
                    client_secret: one.client_secret.clone(),
                    description: one.description.clone(),
                    environment: secret,
                    expires_at: Some(one.expires_at),
                    days: u32::try_from(*days).ok(),
                    details: one.reason.clone(),
                    hint: one.hint.clone(),
                });
            }
            let told =
                if due.is_empty() && kept <= now { None } else { Some(unlocked.keep_endings_told(now)) };
            (told, next)
        };
        match told {
            None => {}
            Some(Ok(committed)) => drop(self.durable(committed).await),
            Some(Err(error)) => self.not_kept(&error),
        }
        // what is made meanwhile is found within the hour
        let latest = now.plus(LOOKED_AT_EVERY);
        Some(next.map_or(latest, |next| next.min(latest)))
    }

    fn not_kept(&self, error: &VaultError) {
        tracing::warn!(reason = %error, "it could not be kept that endings were told");
        self.unspoil();
    }
}

/// When somebody is told of an end.
fn times_told(end: Timestamp) -> impl Iterator<Item = Timestamp> {
    let day = i64::try_from(DAY_SECONDS).unwrap_or(i64::MAX);
    TOLD_BEFORE.into_iter().map(move |days| end.plus(-days * day))
}

/// The days before `end` that were reached after `since`, up to now: of several the fewest.
fn reached(end: Timestamp, since: Timestamp, now: Timestamp) -> Option<i64> {
    let day = i64::try_from(DAY_SECONDS).unwrap_or(i64::MAX);
    TOLD_BEFORE.into_iter().rev().find(|days| {
        let at = end.plus(-days * day);
        since < at && at <= now
    })
}

/// Everything that ends, the first first; with client secrets that have a successor, or without: who rotated one knows.
fn endings(
    catalog: &Catalog,
    only: Option<&OrganizationName>,
    now: Timestamp,
    with_rotated: bool,
) -> Vec<Expiring> {
    let wanted = |organization: &OrganizationName| only.is_none_or(|only| only == organization);
    let secrets = catalog.secrets.values().filter(|secret| secret.active && wanted(&secret.organization));
    let client_secrets = catalog.client_secrets.values().filter(|one| wanted(&one.organization));
    let client_secrets = client_secrets.filter(|one| with_rotated || one.successor.is_none());
    let mut all: Vec<Expiring> = secrets
        .flat_map(|secret| [dated(secret, now), failing(secret, now)])
        .chain(client_secrets.map(|one| issued(one, now)))
        .flatten()
        .collect();
    all.sort_by(|a, b| a.expires_at.cmp(&b.expires_at).then_with(|| a.secret.cmp(&b.secret)));
    all
}

/// A secret that has a date.
fn dated(secret: &Secret, now: Timestamp) -> Option<Expiring> {
    let expires_at = secret.expiration_date?;
    let name = secret.full_name();
    let (what, flag) = match secret.kind {
        SecretType::Certificate => (Ending::Certificate, "--certificate-file FILE --private-key-file FILE"),
        _ => (Ending::Secret, "--expiration-date DATE"),
    };
    let hint = Some(format!("put in the next one: bursar secret edit {name} {flag}"));
    Some(Expiring { hint, ..of_secret(what, secret, expires_at, now) })
}

/// A token that is not refreshed: attempts fail, or a person has to come first.
fn failing(secret: &Secret, now: Timestamp) -> Option<Expiring> {
    let expires_at = secret.expires_at?;
    let name = secret.full_name();
    let (details, otherwise, mends) = match secret.status {
        Status::Succeeded if secret.last_failure.is_some() => (
            &secret.refresh_status_details,
            "its refresh fails",
            format!("try again: bursar secret retry {name}"),
        ),
        Status::ManualAuthorization => (
            &secret.status_details,
            "a person has to authorize it",
            format!("authorize it: bursar secret reauthorize {name}"),
        ),
        Status::Failed => {
            (&secret.status_details, "its exchange failed", format!("try again: bursar secret retry {name}"))
        }
        Status::Succeeded | Status::Pending => return None,
    };
    secret.environment?;
    let details = details.as_deref().unwrap_or(otherwise);
    let (reason, hint) = split_hint(details);
    let (reason, hint) = (Some(reason.to_owned()), Some(hint.map_or(mends, str::to_owned)));
    Some(Expiring { reason, hint, ..of_secret(Ending::Token, secret, expires_at, now) })
}

fn of_secret(what: Ending, secret: &Secret, expires_at: Timestamp, now: Timestamp) -> Expiring {
    Expiring {
        what,
        secret: Some(secret.full_name()),
        client_secret: None,
        description: None,
        expires_at,
        expired: expires_at <= now,
        reason: None,
        hint: None,
    }
}

/// A client secret that somebody may rely on: not revoked, and if it has a successor, not at its end yet.
fn issued(one: &ClientSecret, now: Timestamp) -> Option<Expiring> {
    (one.revoked_at.is_none() && (one.successor.is_none() || one.expires_at > now)).then(|| Expiring {
        what: Ending::ClientSecret,
        secret: None,
        client_secret: Some(one.public.clone()),
        description: Some(one.description.to_string()),
        expires_at: one.expires_at,
        expired: one.expires_at <= now,
        reason: None,
        // what is over and needed no more would be listed for ever
        hint: Some(match &one.successor {
            Some(successor) => format!("put its successor {successor} wherever it is used"),
            None => format!(
                "issue a successor: bursar client-secret rotate {id}, or end it: bursar client-secret revoke {id}",
                id = one.public
            ),
        }),
    })
}

#[cfg(test)]
mod tests;
