//! A store that is written anew beside the old one: what is gone is gone from the disk, and no step in between loses anything.

use super::*;
use crate::vault::catalog::Tombstone;
use crate::vault::store::Id;
use crate::vault::tests::{at, made, open, put, unlock};
use crate::vault::{Change, Vault};
use bursar_proto::kind::VaultState;

/// Every byte that lies below `directory`, a file at a time.
fn files(directory: &Path) -> Vec<Vec<u8>> {
    let mut read = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { read.extend(files(&path)) } else { read.push(std::fs::read(path).unwrap()) }
    }
    read
}

fn lies_in(directory: &Path, bytes: &[u8]) -> bool {
    files(directory).iter().any(|file| file.windows(bytes.len()).any(|window| window == bytes))
}

/// What is stored of a secret: its record, its credentials, its artifact.
fn sealed(vault: &mut Vault, id: Id) -> Vec<Sealed> {
    let store = &vault.unlocked().unwrap().store;
    let kinds = [Kind::Secret, Kind::Credentials, Kind::Artifact];
    kinds.map(|kind| store.get(&Key::new(kind, id)).unwrap().unwrap()).to_vec()
}

/// Deletes a secret, and leaves its tombstone.
fn delete(vault: &mut Vault, id: Id) {
    let written = vault.unlocked().unwrap().write(&[], |catalog| {
        let secret = catalog.remove_secret(&id).unwrap().full_name();
        catalog.tombstones.insert(id, Tombstone { secret, deleted_at: at(4), stored: true });
        let content = [Change::Credentials(id, None), Change::Artifact(id, None)];
        Ok::<_, VaultError>((
            content.into_iter().chain([Change::Secret(id), Change::Tombstone(id)]).collect(),
            (),
        ))
    });
    written.unwrap().0.durable_blocking().unwrap();
}

fn shows(vault: &mut Vault, name: &str) -> bool {
    let unlocked = vault.unlocked().unwrap();
    let id = unlocked.catalog.secret_id("personal", name);
    id.is_some_and(|id| unlocked.artifact(&id, &mut Vec::new()).unwrap().is_some())
}

/// A vault with a secret `a`, one that was deleted, and what was stored of it; a snapshot holds both.
fn with_a_deleted_one(dir: &Path) -> (Vault, Vec<Sealed>) {
    let mut vault = made(dir);
    put(&mut vault, "a", "one");
    let gone = put(&mut vault, "gone", "two");
    let left = sealed(&mut vault, gone);
    assert!(vault.snapshot(at(5)).unwrap());
    delete(&mut vault, gone);
    (vault, left)
}

#[test]
fn a_compacted_store_and_its_snapshots_hold_nothing_of_what_was_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let (mut vault, left) = with_a_deleted_one(dir.path());
    let state = dir.path().join("state");
    for bytes in &left {
        assert!(lies_in(&state.join("store"), bytes) && lies_in(&state.join("snapshots"), bytes));
    }
    vault.compact(at(6)).unwrap();
    assert_eq!(vault.newest_snapshot(), None);
    assert!(vault.snapshot(at(7)).unwrap(), "a new snapshot is kept though nothing changed");
    for bytes in &left {
        assert!(!lies_in(&state, bytes));
    }
    assert!(shows(&mut vault, "a") && !shows(&mut vault, "gone"));
    drop(vault);
    let mut vault = open(dir.path());
    unlock(&mut vault).unwrap();
    assert!(shows(&mut vault, "a"));
    assert_eq!(vault.unlocked().unwrap().catalog.tombstones.len(), 1);
}

/// Opens the vault as after a kill: all that was there is there, and nothing is left lying about.
fn opens_whole(dir: &Path, store_holds: &[Sealed]) {
    let mut vault = open(dir);
    unlock(&mut vault).unwrap();
    assert!(shows(&mut vault, "a"));
    assert!(vault.unlocked().unwrap().catalog.tombstones.values().all(|one| one.stored));
    assert!(!dir.join("state/store.new").exists());
    for bytes in store_holds {
        assert!(lies_in(&dir.join("state"), bytes));
    }
    // and the next one gets all the way
    vault.compact(at(9)).unwrap();
    assert!(shows(&mut vault, "a"));
}

#[test]
fn a_kill_while_the_copy_is_written_leaves_the_old_store() {
    let dir = tempfile::tempdir().unwrap();
    let (vault, left) = with_a_deleted_one(dir.path());
    let place = vault.place.clone();
    drop(vault);
    let half = Store::open(&place.new_store()).unwrap();
    half.commit(vec![(Key::MANIFEST, Some(vec![1].into()))]).durable_blocking().unwrap();
    drop(half);
    opens_whole(dir.path(), &left);
}

#[test]
fn a_kill_before_the_stores_change_places_leaves_the_old_store() {
    let dir = tempfile::tempdir().unwrap();
    let (mut vault, left) = with_a_deleted_one(dir.path());
    let place = vault.place.clone();
    let whole = Store::open(&place.new_store()).unwrap();
    copy(&vault.unlocked().unwrap().store, &whole).unwrap();
    drop((vault, whole));
    opens_whole(dir.path(), &left);
}

#[test]
fn a_kill_after_the_stores_changed_places_leaves_the_new_store() {
    for snapshots_are_gone in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let (mut vault, _) = with_a_deleted_one(dir.path());
        let place = vault.place.clone();
        let whole = Store::open(&place.new_store()).unwrap();
        copy(&vault.unlocked().unwrap().store, &whole).unwrap();
        drop(whole);
        vault.exchange_stores(&place.new_store()).unwrap();
        drop(vault);
        if snapshots_are_gone {
            remove_directory(&place.snapshots()).unwrap();
        }
        opens_whole(dir.path(), &[]);
    }
}

#[test]
fn a_copy_that_fails_leaves_an_open_vault_and_nothing_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let (mut vault, _) = with_a_deleted_one(dir.path());
    let store = &vault.unlocked().unwrap().store;
    let header = store.get(&Key::HEADER).unwrap();
    store.commit(vec![(Key::HEADER, None)]).durable_blocking().unwrap();
    assert!(matches!(vault.compact(at(6)), Err(VaultError::Tampered("its header is missing"))));
    assert_eq!(vault.state(), VaultState::Unlocked);
    assert!(!dir.path().join("state/store.new").exists(), "a half copy takes the room that is short");
    vault.unlocked().unwrap().store.commit(vec![(Key::HEADER, header)]).durable_blocking().unwrap();
    put(&mut vault, "b", "three");
    assert!(shows(&mut vault, "a") && shows(&mut vault, "b"));
    assert!(vault.newest_snapshot().is_some());
    vault.compact(at(7)).unwrap();
    assert!(shows(&mut vault, "a") && shows(&mut vault, "b"));
}

#[test]
fn stores_that_cannot_change_places_leave_the_vault_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let (mut vault, _) = with_a_deleted_one(dir.path());
    let absent = dir.path().join("state/store.new");
    assert!(matches!(vault.exchange_stores(&absent), Err(VaultError::Store(_))));
    assert_eq!(vault.state(), VaultState::Locked);
    unlock(&mut vault).unwrap();
    assert!(shows(&mut vault, "a"));
}

#[test]
fn snapshots_that_cannot_be_removed_leave_an_open_vault_and_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let (mut vault, _) = with_a_deleted_one(dir.path());
    let snapshots = dir.path().join("state/snapshots");
    std::fs::remove_dir_all(&snapshots).unwrap();
    std::fs::write(&snapshots, b"no directory").unwrap();
    assert!(vault.compact(at(6)).is_err());
    assert_eq!(vault.state(), VaultState::Unlocked);
    put(&mut vault, "b", "three");
    std::fs::remove_file(&snapshots).unwrap();
    vault.compact(at(7)).unwrap();
    assert!(shows(&mut vault, "a") && shows(&mut vault, "b"));
    assert!(!dir.path().join("state/store.new").exists());
}
