//! How often secrets and client secrets are used: a record for each and for each month, added up from the record of accesses.
//!
//! It is a statistic. The record of accesses is the proof; this one may be lost and nothing else is.

use super::record::{self, AuditEntryV1, UsageDayV1, UsageMonthV1};
use super::store::{Committed, Id, IdMap, Key, Kind};
use super::{Change, Unlocked, VaultError};
use crate::audit::{Entry, OK};
use bursar_proto::call::{ArtifactGet, CredentialGet, Method as _, PackageGet};
use bursar_proto::kind::Analytics;
use bursar_proto::time::Timestamp;
use chrono::{DateTime, Datelike as _, Utc};
use std::collections::{BTreeMap, HashMap};
use zeroize::Zeroizing;

/// How many months are kept: a year back from any day lies in thirteen.
pub(crate) const MONTHS_KEPT: u16 = 13;

/// How many commands or methods are told apart on one day: there are some dozens of names, and who is let in may say others.
const NAMES_MAX: usize = 32;

/// What is counted under no name of its own.
pub(crate) const OTHERS: &str = "others";

/// A month, counted from the year 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Month(u16);

impl Month {
    /// The month and the day of the month.
    pub(crate) fn and_day(at: Timestamp) -> (Self, u8) {
        let date = DateTime::<Utc>::from_timestamp(at.seconds(), 0).unwrap_or_default();
        let month = date.year() * 12 + i32::try_from(date.month0()).unwrap_or_default();
        (Self(u16::try_from(month).unwrap_or_default()), u8::try_from(date.day()).unwrap_or_default())
    }

    /// The day of this month as text: `2026-11-21`.
    pub(crate) fn day(self, day: u8) -> String {
        format!("{:04}-{:02}-{day:02}", self.0 / 12, self.0 % 12 + 1)
    }

    /// The month so many before.
    pub(crate) fn before(self, months: u16) -> Self {
        Self(self.0.saturating_sub(months))
    }
}

/// Where a month of use of `id` lies: at the id with the month added to its end.
fn place(id: &Id, month: Month) -> Id {
    let mut place = *id;
    if let Some(end) = place.last_chunk_mut::<2>() {
        *end = u16::from_be_bytes(*end).wrapping_add(month.0).to_be_bytes();
    }
    place
}

/// All of an id but the two bytes to which a month is added.
type IdStart = [u8; 14];

/// An id, or a place, in two parts.
fn apart(id: &Id) -> (IdStart, Month) {
    let [start @ .., high, low] = *id;
    (start, Month(u16::from_be_bytes([high, low])))
}

/// A use that is counted.
struct Use {
    id: Id,
    at: Timestamp,
    by: String,
    count: u64,
}

impl Unlocked {
    /// Writes entries of the record of accesses, and what they add to the use of secrets and client secrets.
    pub(crate) fn write_accesses(
        &mut self,
        records: &[AuditEntryV1],
        entries: &[Entry],
        secrets: Analytics,
    ) -> Result<Committed, VaultError> {
        let uses = self.uses(entries, secrets);
        let mut changes = self.months(&uses)?;
        let used_at = entries.iter().filter_map(|entry| Some((entry.client_secret.as_ref()?, entry)));
        let used_at = used_at.filter(|(_, entry)| entry.used_for.is_some());
        let mut last: IdMap<Timestamp> = IdMap::default();
        for (public, entry) in used_at {
            if let Some((id, _)) = self.catalog.client_secret(public) {
                last.insert(id, entry.at);
            }
        }
        let written = self.write(records, |catalog| {
            for (id, at) in last {
                if let Some(secret) = catalog.client_secrets.get_mut(&id) {
                    secret.last_used_at = Some(at);
                    changes.push(Change::ClientSecret(id));
                }
            }
            Ok::<_, VaultError>((changes, ()))
        })?;
        Ok(written.0)
    }

    /// What of the entries is counted.
    fn uses(&self, entries: &[Entry], secrets: Analytics) -> Vec<Use> {
        let mut uses = Vec::new();
        for entry in entries {
            let hands_out = entry.outcome == OK
                && matches!(entry.method, ArtifactGet::NAME | PackageGet::NAME | CredentialGet::NAME);
            if let Some((Some(id), _)) = &entry.secret
                && hands_out
                && self.catalog.secrets.contains_key(id)
            {
                // where nothing is counted, it is still kept when that was
                let count = if secrets == Analytics::Disabled { 0 } else { entry.count };
                uses.push(Use { id: *id, at: entry.at, by: entry.method.to_owned(), count });
            }
            // what a client secret allowed is a use of it, whatever became of that
            if let Some(command) = &entry.used_for
                && let Some(public) = &entry.client_secret
                && let Some((id, secret)) = self.catalog.client_secret(public)
                && secret.analytics != Analytics::Disabled
            {
                uses.push(Use { id, at: entry.at, by: command.to_string(), count: entry.uses });
            }
        }
        uses
    }

    /// The months that uses change, as they are written.
    fn months(&self, uses: &[Use]) -> Result<Vec<Change>, VaultError> {
        let mut months: BTreeMap<(Id, Month), UsageMonthV1> = BTreeMap::new();
        for used in uses {
            let (month, day) = Month::and_day(used.at);
            let record = match months.entry((used.id, month)) {
                std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
                std::collections::btree_map::Entry::Vacant(new) => {
                    new.insert(self.month(&used.id, month)?.unwrap_or_default())
                }
            };
            record.last_used_at = record.last_used_at.max(used.at.seconds());
            if used.count > 0 {
                count(record, day, used);
            }
        }
        let mut changes = Vec::with_capacity(months.len() * 2);
        for ((id, month), record) in months {
            changes.push(Change::Usage(place(&id, month), Some(record::encode(&record)?)));
            let old = place(&id, month.before(MONTHS_KEPT));
            changes.push(Change::Usage(old, None));
        }
        Ok(changes)
    }

    /// Deletes what is older than is kept, and what is known of the use of what is gone.
    pub(crate) fn stale_usage(&self, now: Timestamp) -> Result<Vec<Change>, VaultError> {
        let oldest = Month::and_day(now).0.before(MONTHS_KEPT - 1);
        let ids = self.catalog.secrets.keys().chain(self.catalog.client_secrets.keys());
        let known: HashMap<IdStart, Month> = ids.map(apart).collect();
        let mut stale = Vec::new();
        self.store.scan(Kind::Usage, |key, _| {
            let (start, Month(end)) = apart(&key.id());
            let month = known.get(&start).map(|of| Month(end.wrapping_sub(of.0)));
            // what lies ahead may be the fault of the present clock, and stays
            if month.is_none_or(|month| month < oldest) {
                stale.push(Change::Usage(key.id(), None));
            }
        })?;
        Ok(stale)
    }

    /// What is known of one month of use; one that cannot be read counts as none.
    pub(crate) fn month(&self, id: &Id, month: Month) -> Result<Option<UsageMonthV1>, VaultError> {
        let key = Key::new(Kind::Usage, place(id, month));
        let Some(sealed) = self.store.get(&key)? else { return Ok(None) };
        let mut plain = Zeroizing::new(Vec::new());
        let read = self.keys.open(&key, &sealed, &mut plain).ok().and_then(|()| record::decode(&plain).ok());
        if read.is_none() {
            tracing::warn!("a month of usage cannot be read, and is counted anew");
        }
        Ok(read)
    }
}

/// Deletes what is known of the use of `id`.
pub(crate) fn forget(id: &Id, now: Timestamp) -> impl Iterator<Item = Change> + use<'_> {
    let (month, _) = Month::and_day(now);
    (0..=MONTHS_KEPT).map(move |back| Change::Usage(place(id, month.before(back)), None))
}

fn count(record: &mut UsageMonthV1, day: u8, used: &Use) {
    let known = record.days.iter().position(|one| one.day == day);
    let at = known.unwrap_or_else(|| {
        record.days.push(UsageDayV1 { day, by: Vec::new() });
        record.days.len() - 1
    });
    let by = &mut record.days[at].by;
    let name =
        if by.len() < NAMES_MAX || by.iter().any(|(name, _)| *name == used.by) { &used.by } else { OTHERS };
    match by.iter_mut().find(|(known, _)| known == name) {
        Some((_, count)) => *count = count.saturating_add(used.count),
        None => by.push((name.to_owned(), used.count)),
    }
}

#[cfg(test)]
mod tests;
