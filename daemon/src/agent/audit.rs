//! audit.*: the record of accesses, page by page, and its proof.

use super::Agent;
use super::client_secret::found;
use crate::audit::{Written, shown};
use crate::vault::audit::Proof;
use crate::vault::record::AuditEntryV1;
use crate::vault::store::Id;
use bursar_proto::call::{AUDIT_PAGE_MAX, AuditList, AuditWatch};
use bursar_proto::client_secret::PublicId;
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::fields::Invalid;
use bursar_proto::name::{Qualified, Reference};
use bursar_proto::reply::{AuditEntry, AuditPage, AuditProof};
use bursar_proto::time::Timestamp;
use std::sync::Arc;

/// How many blocks one page looks through, at the most, whether or not it finds anything: some milliseconds.
const BLOCKS_LOOKED_AT: usize = 1_024;

/// How many blocks are proved while the vault is held: a millisecond that answers wait.
const PROVED_AT_ONCE: usize = 256;

/// How far times may run back from one entry to the next, in seconds: a clock that is set by hours is looked past.
const CLOCK_SLACK: i64 = 24 * 3_600;

/// How many faults a proof tells.
const FAULTS_TOLD: usize = 100;

/// What of the record is wanted.
pub(crate) struct Wanted {
    secret: Option<(Option<Id>, Qualified)>,
    client_secret: Option<PublicId>,
    since: Option<Timestamp>,
}

impl Wanted {
    fn fits(&self, entry: &AuditEntryV1) -> bool {
        // by its id, and by its name: what was before a new name, and what was before it was deleted
        let of_secret = self.secret.as_ref().is_none_or(|(id, name)| {
            entry
                .secret
                .as_ref()
                .is_some_and(|(of, named)| id.is_some_and(|id| id == *of) || *named == name.to_string())
        });
        let of_client =
            self.client_secret.as_ref().is_none_or(|id| entry.client_secret.as_deref() == Some(id.as_str()));
        of_secret && of_client && self.since.is_none_or(|since| entry.at >= since.seconds())
    }

    /// Whether a watcher is told of an entry.
    pub(crate) fn shows(&self, entry: &AuditEntry) -> bool {
        self.secret.as_ref().is_none_or(|(_, name)| entry.secret.as_ref() == Some(name))
            && self
                .client_secret
                .as_ref()
                .is_none_or(|id| entry.principal.strip_prefix("client secret ") == Some(id.as_str()))
    }
}

impl Agent {
    pub(super) async fn audit_list(self: &Arc<Self>, call: AuditList) -> Result<AuditPage, CallError> {
        self.recorded_so_far().await?;
        let limit =
            usize::try_from(call.limit.unwrap_or(AUDIT_PAGE_MAX).clamp(1, AUDIT_PAGE_MAX)).unwrap_or(1);
        let wanted = self.wanted(call.secret, call.client_secret, call.since)?;
        match (call.after, call.before) {
            (Some(_), Some(_)) => Err(Invalid::new("give after or before, not both").into()),
            (Some(after), None) => self.page_after(after, limit, &wanted),
            (None, before) => self.page_before(before, limit, &wanted),
        }
    }

    /// What a watch of the record tells.
    pub(crate) fn audit_watch(&self, call: AuditWatch) -> Result<Wanted, CallError> {
        self.vault().unlocked()?;
        self.wanted(call.secret, call.client_secret, None)
    }

    fn wanted(
        &self,
        secret: Option<Reference>,
        client_secret: Option<PublicId>,
        since: Option<Timestamp>,
    ) -> Result<Wanted, CallError> {
        let name = secret.map(|secret| self.resolve(secret));
        let mut vault = self.vault();
        let catalog = &vault.unlocked()?.catalog;
        if let Some(id) = &client_secret {
            found(catalog, id)?;
        }
        let secret =
            name.map(|name| (catalog.secret_id(name.organization.as_str(), name.name.as_str()), name));
        Ok(Wanted { secret, client_secret, since })
    }

    fn page_after(&self, after: u64, limit: usize, wanted: &Wanted) -> Result<AuditPage, CallError> {
        let mut vault = self.vault();
        let unlocked = vault.unlocked()?;
        let (first, end) = unlocked.audit_bounds();
        let mut number = after.saturating_add(1).max(first);
        let mut entries = Vec::new();
        for _ in 0..BLOCKS_LOOKED_AT {
            // what stands behind the end is for the proof to tell
            let Some((start, block)) = unlocked.audit_from(number)?.filter(|(start, _)| *start < end) else {
                return Ok(AuditPage { entries, next: None });
            };
            for (at, entry) in (start..).zip(&block).filter(|(at, _)| *at >= number) {
                if entries.len() == limit {
                    return Ok(AuditPage { entries, next: Some(at - 1) });
                }
                if wanted.fits(entry) {
                    entries.push(shown(at, entry));
                }
            }
            number = start + block.len() as u64;
            if number >= end {
                return Ok(AuditPage { entries, next: None });
            }
        }
        Ok(AuditPage { entries, next: Some(number - 1) })
    }

    fn page_before(
        &self,
        before: Option<u64>,
        limit: usize,
        wanted: &Wanted,
    ) -> Result<AuditPage, CallError> {
        let mut vault = self.vault();
        let unlocked = vault.unlocked()?;
        let (first, end) = unlocked.audit_bounds();
        let mut number = before.unwrap_or(end).min(end);
        let mut entries = Vec::new();
        let page = |mut entries: Vec<AuditEntry>, next| {
            entries.reverse();
            AuditPage { entries, next }
        };
        for _ in 0..BLOCKS_LOOKED_AT {
            let Some((start, block)) = unlocked.audit_before(number)? else {
                return Ok(page(entries, None));
            };
            let numbered: Vec<_> = (start..).zip(&block).filter(|(at, _)| *at < number).collect();
            for (at, entry) in numbered.into_iter().rev() {
                if entries.len() == limit {
                    return Ok(page(entries, Some(at + 1)));
                }
                if wanted.fits(entry) {
                    entries.push(shown(at, entry));
                }
                if wanted.since.is_some_and(|since| entry.at < since.seconds() - CLOCK_SLACK) {
                    return Ok(page(entries, None));
                }
            }
            number = start;
            if number <= first {
                return Ok(page(entries, None));
            }
        }
        Ok(page(entries, Some(number)))
    }

    pub(super) async fn audit_verify(self: &Arc<Self>) -> Result<AuditProof, CallError> {
        self.recorded_so_far().await?;
        let mut proof = Proof::default();
        let bounds = loop {
            let bounds = {
                let mut vault = self.vault();
                let unlocked = vault.unlocked()?;
                unlocked.prove_audit(&mut proof, PROVED_AT_ONCE)?;
                unlocked.audit_bounds()
            };
            if proof.done {
                break bounds;
            }
            tokio::task::yield_now().await;
        };
        let (first, next) = bounds;
        let mut faults = proof.faults;
        let sound = faults.is_empty();
        faults.truncate(FAULTS_TOLD);
        if !sound {
            tracing::error!(
                faults = faults.len(),
                "the record of accesses does not hold what was written to it"
            );
        }
        Ok(AuditProof { sound, entries: next - first, first, next, faults })
    }

    /// Brings what waits to the disk first, so that an answer holds what came before its question.
    pub(super) async fn recorded_so_far(self: &Arc<Self>) -> Result<(), CallError> {
        match self.write_accesses().await {
            Written::All => Ok(()),
            Written::Locked => Err(self
                .vault()
                .unlocked()
                .err()
                .map_or_else(|| CallError::new(ErrorName::Locked, "the vault is locked"), CallError::from)),
            Written::Failed => Err(crate::audit::NotRecorded.into()),
        }
    }
}

#[cfg(test)]
mod tests;
