//! Brings what waits to the disk: in turns, before an answer that needs it, and in the moment in which the vault is locked.

use super::Entry;
use crate::agent::Agent;
use crate::vault::record::AuditEntryV1;
use crate::vault::store::Committed;
use crate::vault::{Unlocked, VaultError};
use std::sync::Arc;
use std::time::Duration;

/// How long entries gather before they are written: with what a commit takes, they are on the disk within a second.
pub(super) const GATHER: Duration = Duration::from_millis(300);

/// The pause after a commit that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Writes what waits, until the daemon stops.
pub(crate) async fn run(agent: Arc<Agent>) {
    loop {
        tokio::select! {
            () = agent.shutdown.cancelled() => return,
            () = agent.audit.bell.notified() => {}
        }
        while !agent.audit.is_empty() {
            if !agent.audit.is_half_full() {
                tokio::select! {
                    () = agent.shutdown.cancelled() => return,
                    // not the bell: what came while others were written has rung it, and may gather as well
                    () = agent.audit.half_full.notified() => {}
                    () = tokio::time::sleep(GATHER) => {}
                }
            }
            match agent.write_accesses().await {
                Written::All => {}
                // the next unlock rings
                Written::Locked => break,
                Written::Failed => tokio::select! {
                    () = agent.shutdown.cancelled() => return,
                    () = tokio::time::sleep(PAUSE) => {}
                },
            }
        }
    }
}

/// What came of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    All,
    Locked,
    Failed,
}

impl Agent {
    /// Writes what waits; answers when it is on the disk.
    pub(crate) async fn write_accesses(self: &Arc<Self>) -> Written {
        let _turn = self.audit.turn.lock().await;
        let begun = self.vault().unlocked().map(|unlocked| self.begin_accesses(unlocked));
        match begun {
            Ok(None) => Written::All,
            Ok(Some(under_way)) => self.end_accesses(under_way).await,
            Err(_) if self.audit.is_empty() => Written::All,
            Err(_) => Written::Locked,
        }
    }

    /// Writes what waits, and wipes the keys in the same moment: nothing is handed out in between.
    pub(crate) async fn lock_recorded(self: &Arc<Self>) {
        let _turn = self.audit.turn.lock().await;
        if let Some(under_way) = self.close_vault() {
            self.end_accesses(under_way).await;
        }
    }

    /// The same for a thread that may block.
    pub(crate) fn lock_now(&self) {
        if let Some(UnderWay { entries, records, written }) = self.close_vault() {
            let durable = written.and_then(|(first, committed)| {
                committed.durable_blocking().map_err(VaultError::from)?;
                Ok(first)
            });
            self.settle_accesses(entries, &records, durable);
        }
    }

    fn close_vault(&self) -> Option<UnderWay> {
        let mut vault = self.vault();
        self.audit.close();
        let under_way = vault.unlocked().ok().and_then(|unlocked| self.begin_accesses(unlocked));
        vault.lock();
        self.wake.notify_one();
        tracing::info!("the vault was locked");
        under_way
    }

    /// Hands what waits to the disk.
    fn begin_accesses(&self, unlocked: &mut Unlocked) -> Option<UnderWay> {
        let entries = self.audit.take();
        if entries.is_empty() {
            return None;
        }
        let records: Vec<AuditEntryV1> = entries.iter().map(Entry::record).collect();
        let first = unlocked.audit_bounds().1;
        let written = unlocked.write_accesses(&records, &entries, self.config().usage.secrets);
        let written = written.map(|committed| (first, committed));
        Some(UnderWay { entries, records, written })
    }

    async fn end_accesses(&self, under_way: UnderWay) -> Written {
        let UnderWay { entries, records, written } = under_way;
        let durable = match written {
            Ok((first, committed)) => committed.durable().await.map(|()| first).map_err(VaultError::from),
            Err(error) => Err(error),
        };
        self.settle_accesses(entries, &records, durable)
    }

    fn settle_accesses(
        &self,
        entries: Vec<Entry>,
        records: &[AuditEntryV1],
        durable: Result<u64, VaultError>,
    ) -> Written {
        self.audit.fails(durable.is_err());
        match durable {
            Ok(first) => {
                self.audit.landed(entries.len(), Vec::new());
                self.audit.tell(first, records);
                Written::All
            }
            Err(error) => {
                tracing::error!(reason = %error, "accesses could not be recorded");
                self.unspoil();
                // where the disk took it all the same it is told twice, which is better than not at all
                self.audit.landed(0, entries);
                Written::Failed
            }
        }
    }
}

/// Accesses on their way to the disk, and the number of the first of them.
struct UnderWay {
    entries: Vec<Entry>,
    records: Vec<AuditEntryV1>,
    written: Result<(u64, Committed), VaultError>,
}
