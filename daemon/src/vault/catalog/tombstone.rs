//! Tombstones in the catalog: secrets that were deleted, while their values may still lie in files or in the store's log.

use super::Catalog;
use crate::vault::record::{TombstoneV1, UnknownForm};
use crate::vault::store::Id;
use bursar_proto::name::Qualified;
use bursar_proto::time::Timestamp;

/// A secret that was deleted.
#[derive(Debug, Clone)]
pub(crate) struct Tombstone {
    /// The name that it had.
    pub(crate) secret: Qualified,
    pub(crate) deleted_at: Timestamp,
    /// Whether the store's log and the snapshots may hold its sealed values.
    pub(crate) stored: bool,
}

impl Catalog {
    /// The workspaces with files in which values of a secret lie.
    pub(crate) fn holds_values_of(&self, secret: &Id) -> bool {
        self.workspaces.values().any(|one| one.files.iter().any(|file| file.secrets.contains(secret)))
    }

    /// Takes out the tombstones of which nothing is left, or whose time is over; answers which.
    pub(crate) fn bury(&mut self, over: impl Fn(&Tombstone) -> bool) -> Vec<Id> {
        let gone = |(id, tombstone): (&Id, &Tombstone)| {
            (over(tombstone) || !tombstone.stored && !self.holds_values_of(id)).then_some(*id)
        };
        let gone: Vec<Id> = self.tombstones.iter().filter_map(gone).collect();
        for id in &gone {
            self.tombstones.remove(id);
        }
        gone
    }

    /// A tombstone's record.
    pub(crate) fn tombstone_record(&self, id: &Id) -> Option<TombstoneV1> {
        let tombstone = self.tombstones.get(id)?;
        Some(TombstoneV1 {
            secret: tombstone.secret.to_string(),
            deleted_at: tombstone.deleted_at.seconds(),
            stored: tombstone.stored,
        })
    }

    /// Takes in a record of a tombstone.
    pub(crate) fn load_tombstone(&mut self, id: Id, record: &TombstoneV1) -> Result<(), UnknownForm> {
        let tombstone = Tombstone {
            secret: record.secret.parse().map_err(|_| UnknownForm::Unreadable)?,
            deleted_at: Timestamp::from_seconds(record.deleted_at),
            stored: record.stored,
        };
        self.tombstones.insert(id, tombstone);
        Ok(())
    }
}
