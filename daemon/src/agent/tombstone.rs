//! What becomes of deleted secrets: secret.deleted, and the sweeping of the places where their values may still lie.

use super::workspace::applied;
use super::{Agent, on_worker};
use crate::vault::Change;
use crate::vault::store::Id;
use bursar_proto::error::CallError;
use bursar_proto::reply;
use bursar_proto::time::Timestamp;
use std::sync::Arc;

/// How long a deleted secret is remembered with the places of its values, in seconds: 30 days.
const REMEMBERED: i64 = 30 * DAY;

/// After how long the store is written anew without what was deleted, in seconds: a day gathers what goes together.
const REWRITTEN_AFTER: i64 = DAY;

const DAY: i64 = 24 * 3_600;

impl Agent {
    pub(super) fn secret_deleted(&self) -> Result<Vec<reply::Tombstone>, CallError> {
        let mut vault = self.vault();
        let catalog = &vault.unlocked()?.catalog;
        let shown = catalog.tombstones.iter().map(|(id, one)| reply::Tombstone {
            secret: one.secret.clone(),
            deleted_at: one.deleted_at,
            until: one.deleted_at.plus(REMEMBERED),
            store: one.stored,
            snapshots: one.stored,
            workspaces: applied(catalog, id),
        });
        let mut shown: Vec<_> = shown.collect();
        shown.sort_by(|a, b| a.deleted_at.cmp(&b.deleted_at).then_with(|| a.secret.cmp(&b.secret)));
        Ok(shown)
    }

    /// Writes the store anew where deleted values have lain in its log for a day, drops the snapshots that hold them, and
    /// forgets what is a month old.
    pub(crate) async fn sweep(self: &Arc<Self>, now: Timestamp) {
        let due = {
            let mut vault = self.vault();
            let Ok(unlocked) = vault.unlocked() else { return };
            let mut tombstones = unlocked.catalog.tombstones.values();
            tombstones.any(|one| one.stored && now.since(one.deleted_at) >= REWRITTEN_AFTER)
        };
        if due {
            let stored = self.stored_tombstones();
            let agent = self.clone();
            let compacted = on_worker(move || agent.vault().compact(agent.clock.now())).await;
            match compacted {
                Ok(Ok(())) => {
                    tracing::info!("the store was written anew without what was deleted");
                    if let Err(error) = self.swept(&stored).await {
                        tracing::warn!(reason = %error, "it could not be kept that the store was written anew");
                    }
                    // the old ones are gone
                    self.snapshot().await;
                }
                Ok(Err(error)) => tracing::warn!(reason = %error, "the store could not be written anew"),
                Err(error) => tracing::warn!(reason = %error, "the store could not be written anew"),
            }
        }
        if let Err(error) = self.bury(now, &[]).await {
            tracing::warn!(reason = %error, "deleted secrets could not be forgotten");
        }
    }

    /// What was deleted and may lie in the store's log: to be asked for before the store is written anew, because what is
    /// deleted while that goes on may lie in the new one's.
    pub(super) fn stored_tombstones(&self) -> Vec<Id> {
        let mut vault = self.vault();
        let Ok(unlocked) = vault.unlocked() else { return Vec::new() };
        unlocked.catalog.tombstones.iter().filter(|(_, one)| one.stored).map(|(id, _)| *id).collect()
    }

    /// Notes that neither the store nor a snapshot holds these deleted secrets.
    pub(super) async fn swept(self: &Arc<Self>, ids: &[Id]) -> Result<(), CallError> {
        self.bury(self.clock.now(), ids).await
    }

    async fn bury(self: &Arc<Self>, now: Timestamp, swept: &[Id]) -> Result<(), CallError> {
        let written = {
            let mut vault = self.vault();
            let unlocked = vault.unlocked()?;
            let is_over = |deleted_at: Timestamp| now.since(deleted_at) >= REMEMBERED;
            let catalog = &unlocked.catalog;
            let any = catalog
                .tombstones
                .iter()
                .any(|(id, one)| is_over(one.deleted_at) || !one.stored && !catalog.holds_values_of(id));
            if !any && swept.is_empty() {
                return Ok(());
            }
            unlocked.write(&[], |catalog| {
                let mut changes: Vec<Change> = Vec::new();
                for id in swept {
                    if let Some(one) = catalog.tombstones.get_mut(id) {
                        one.stored = false;
                        changes.push(Change::Tombstone(*id));
                    }
                }
                for one in catalog.tombstones.values() {
                    if is_over(one.deleted_at) {
                        tracing::warn!(secret = %one.secret, "a month after it was deleted nobody looks for its values any more");
                    }
                }
                let buried = catalog.bury(|one| is_over(one.deleted_at));
                changes.extend(buried.into_iter().map(Change::Tombstone));
                Ok::<_, CallError>((changes, ()))
            })
        };
        let (committed, ()) = written.inspect_err(|_| self.unspoil())?;
        self.durable(committed).await
    }
}

#[cfg(test)]
mod tests;
