//! usage.list: how often secrets and client secrets were used, day by day.

use super::client_secret::found;
use super::organization::chosen;
use super::{Agent, secret_id};
use crate::vault::store::Id;
use crate::vault::usage::{MONTHS_KEPT, Month};
use crate::vault::{Unlocked, VaultError};
use bursar_proto::call::{USAGE_DAYS_MAX, UsageList};
use bursar_proto::client_secret::PublicId;
use bursar_proto::error::CallError;
use bursar_proto::fields::Invalid;
use bursar_proto::kind::{Analytics, ClientSecretStatus};
use bursar_proto::name::{OrganizationName, Qualified};
use bursar_proto::reply::{Usage, UsageDay};
use bursar_proto::time::Timestamp;
use std::sync::Arc;

/// How many days back, if nobody says.
const DAYS: u64 = 30;

/// How many are looked up while the vault is held: a millisecond that answers wait.
const AT_ONCE: usize = 64;

const DAY: i64 = 86_400;

/// Whose use is asked for.
enum Used {
    Secret(Id, Qualified),
    ClientSecret(Id, PublicId),
}

/// From when on, and what counts as unused.
struct Span {
    from: Timestamp,
    now: Timestamp,
    unused: Option<i64>,
}

impl Agent {
    pub(super) async fn usage_list(self: &Arc<Self>, call: UsageList) -> Result<Vec<Usage>, CallError> {
        let days = call.days.unwrap_or(DAYS);
        if !(1..=USAGE_DAYS_MAX).contains(&days) {
            return Err(Invalid::field("days", format!("expected 1 to {USAGE_DAYS_MAX}")).into());
        }
        self.recorded_so_far().await?;
        let now = self.clock.now();
        let today = now.seconds() - now.seconds() % DAY;
        let back = i64::try_from(days - 1).unwrap_or_default() * DAY;
        let span = Span {
            from: Timestamp::from_seconds(today - back),
            now,
            unused: call.unused.map(|seconds| i64::try_from(seconds).unwrap_or(i64::MAX)),
        };
        let all = self.counted(call)?;
        let mut answer = Vec::with_capacity(all.len());
        for some in all.chunks(AT_ONCE) {
            let secrets = self.config().usage.secrets;
            let mut vault = self.vault();
            let unlocked = vault.unlocked()?;
            for used in some {
                answer.extend(usage(unlocked, used, &span, secrets)?);
            }
        }
        Ok(answer)
    }

    /// Drops what is known of use that is longer ago than is kept.
    pub(crate) async fn drop_stale_usage(self: &Arc<Self>, now: Timestamp) {
        let written = {
            let mut vault = self.vault();
            let Ok(unlocked) = vault.unlocked() else { return };
            match unlocked.stale_usage(now) {
                Ok(stale) if stale.is_empty() => return,
                Ok(stale) => unlocked.write(&[], |_| Ok::<_, VaultError>((stale, ()))),
                Err(error) => Err(error),
            }
        };
        match written {
            Ok((committed, ())) => drop(self.durable(committed).await),
            Err(error) => {
                tracing::warn!(reason = %error, "old usage could not be dropped");
                self.unspoil();
            }
        }
    }

    /// Secrets by name, then client secrets, the newest first.
    fn counted(&self, call: UsageList) -> Result<Vec<Used>, CallError> {
        let name = call.secret.map(|secret| self.resolve(secret));
        let mut vault = self.vault();
        let unlocked = vault.unlocked()?;
        let catalog = &unlocked.catalog;
        match (name, call.client_secret) {
            (Some(_), Some(_)) => return Err(Invalid::new("give secret or client_secret, not both").into()),
            (Some(name), None) => return Ok(vec![Used::Secret(secret_id(unlocked, &name)?, name)]),
            (None, Some(public)) => return Ok(vec![Used::ClientSecret(found(catalog, &public)?.0, public)]),
            (None, None) => {}
        }
        let organizations = chosen(catalog, call.organization.as_ref())?;
        let full = |organization: &OrganizationName, name: &bursar_proto::name::Name| Qualified {
            organization: organization.clone(),
            name: name.clone(),
        };
        let mut all: Vec<Used> = organizations
            .flat_map(|(organization, content)| {
                content.secrets.iter().map(move |(name, id)| Used::Secret(*id, full(organization, name)))
            })
            .collect();
        let mut client_secrets: Vec<_> = catalog
            .client_secrets
            .iter()
            .filter(|(_, one)| call.organization.as_ref().is_none_or(|only| *only == one.organization))
            .collect();
        client_secrets.sort_by_key(|(_, one)| std::cmp::Reverse(one.created_at));
        all.extend(client_secrets.into_iter().map(|(id, one)| Used::ClientSecret(*id, one.public.clone())));
        Ok(all)
    }
}

/// How often one was used; nothing where it is gone, or was used though only the unused are wanted.
fn usage(
    unlocked: &Unlocked,
    used: &Used,
    span: &Span,
    secrets: Analytics,
) -> Result<Option<Usage>, CallError> {
    let client_secret = |id: &Id| unlocked.catalog.client_secrets.get(id);
    let (id, known_at) = match used {
        Used::Secret(id, _) if !unlocked.catalog.secrets.contains_key(id) => return Ok(None),
        Used::Secret(id, _) => (id, None),
        Used::ClientSecret(id, _) => match client_secret(id) {
            None => return Ok(None),
            Some(one) => (id, one.last_used_at),
        },
    };
    let mut usage = Usage {
        secret: None,
        client_secret: None,
        description: None,
        analytics: secrets,
        last_used_at: known_at,
        count: 0,
        days: Vec::new(),
    };
    match used {
        Used::Secret(_, name) => usage.secret = Some(name.clone()),
        Used::ClientSecret(id, public) => {
            usage.client_secret = Some(public.clone());
            if let Some(one) = client_secret(id) {
                usage.description = Some(one.description.to_string());
                usage.analytics = one.analytics;
            }
        }
    }
    let (newest, _) = Month::and_day(span.now);
    let (oldest, first_day) = Month::and_day(span.from);
    for back in (0..MONTHS_KEPT).rev() {
        let month = newest.before(back);
        let Some(record) = unlocked.month(id, month)? else { continue };
        usage.last_used_at = usage.last_used_at.max(Some(Timestamp::from_seconds(record.last_used_at)));
        let mut days: Vec<_> =
            record.days.into_iter().filter(|day| (month, day.day) >= (oldest, first_day)).collect();
        days.sort_by_key(|day| day.day);
        usage.days.extend(days.into_iter().map(|day| UsageDay {
            day: month.day(day.day),
            count: day.by.iter().map(|(_, count)| count).sum(),
            by: day.by.into_iter().collect(),
        }));
    }
    usage.count = usage.days.iter().map(|day| day.count).sum();
    // what is new was not unused for longer than it is there, and what ended is used no more anyway
    let since = match used {
        Used::Secret(id, _) => unlocked.catalog.secrets.get(id).map(|one| one.created_at),
        Used::ClientSecret(id, _) => client_secret(id)
            .filter(|one| one.status(span.now) == ClientSecretStatus::Active)
            .map(|one| one.created_at),
    };
    let unused = |seconds| {
        since.is_some_and(|since| {
            span.now.since(usage.last_used_at.map_or(since, |at| at.max(since))) >= seconds
        })
    };
    Ok(span.unused.is_none_or(unused).then_some(usage))
}

#[cfg(test)]
mod tests;
