//! Filling a store from a backup, and building one anew where the old one is damaged.

use super::backup::{self, BackupError};
use super::store::{Key, Kind, Sealed, Store, StoreError};
use super::{Place, VaultError, tidy};
use bursar_proto::time::Timestamp;
use std::path::Path;

/// Writes a store beside the present one. Where that fails nothing is left of it: it may be what filled the disk.
pub(super) fn write_beside<T>(
    place: &Place,
    write: impl FnOnce(&Store) -> Result<T, VaultError>,
) -> Result<T, VaultError> {
    remove_directory(&place.new_store())?;
    let written = Store::open(&place.new_store()).map_err(VaultError::from).and_then(|fresh| write(&fresh));
    if written.is_err() {
        tidy(remove_directory(&place.new_store()));
    }
    written
}

/// Fills an empty store from a backup; durable when it returns. Answers how many records.
pub(super) fn fill(store: &Store, path: &Path) -> Result<u64, VaultError> {
    let mut last = None;
    let (header, records) =
        backup::read(path, |key, sealed| last = Some(store.commit(vec![(key, Some(sealed))])))?;
    if let Some(last) = last {
        last.durable_blocking()?;
    }
    store.commit(vec![(Key::HEADER, Some(Sealed::from(header.write()?)))]).durable_blocking()?;
    Ok(records)
}

/// Copies every record, sealed as it is; durable when it returns.
pub(super) fn copy(store: &Store, fresh: &Store) -> Result<(), VaultError> {
    let mut last = None;
    for kind in Kind::SEALED {
        store.scan(kind, |key, sealed| last = Some(fresh.commit(vec![(key, Some(sealed))])))?;
    }
    let header = store.get(&Key::HEADER)?.ok_or(VaultError::Tampered("its header is missing"))?;
    if let Some(last) = last {
        last.durable_blocking()?;
    }
    // the header last: without it nobody takes the copy for a vault
    Ok(fresh.commit(vec![(Key::HEADER, Some(header))]).durable_blocking()?)
}

/// Moves a damaged store aside and builds one from the newest snapshot that is whole.
pub(super) fn rebuild(place: &Place, now: Timestamp) -> Result<Store, VaultError> {
    let aside = place.aside("store", "damaged", now);
    std::fs::rename(place.store(), &aside).map_err(StoreError::from)?;
    tracing::error!(moved_to = %aside.display(), "the store was damaged and has been moved aside");
    for snapshot in backup::snapshots(&place.snapshots()) {
        match write_beside(place, |store| fill(store, &snapshot)) {
            Ok(records) => {
                std::fs::rename(place.new_store(), place.store()).map_err(StoreError::from)?;
                tracing::error!(snapshot = %snapshot.display(), records, "the store was built anew from a snapshot; what came after it is lost");
                return Ok(Store::open(&place.store())?);
            }
            Err(error @ VaultError::Backup(BackupError::Damaged(_))) => {
                tracing::error!(snapshot = %snapshot.display(), reason = %error, "a snapshot cannot be used");
            }
            // the disk may be full, or descriptors short: that passes, and no snapshot is to blame
            Err(error) => return Err(error),
        }
    }
    tracing::error!(
        "there is no snapshot to build the store from; restore a backup with: bursar restore FILE"
    );
    let store = Store::open(&place.store())?;
    match std::fs::remove_file(place.marker()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(StoreError::from(error).into()),
        _ => Ok(store),
    }
}

pub(super) fn remove_directory(path: &Path) -> Result<(), VaultError> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(StoreError::from(error).into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
