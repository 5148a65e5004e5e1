//! What the vault promises of what it holds, on a real store.

use super::store::{Batch, Kind};
use super::*;
use crate::credentials::Credentials;
use crate::vault::catalog::Secret;
use crate::vault::header::Opener;
use bursar_proto::kind::SecretType;
use bursar_proto::kind::Status;

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

pub(super) fn open(dir: &Path) -> Vault {
    Vault::open(Place { state: dir.join("state"), audit_kept: 1_000 }, at(1)).unwrap()
}

pub(super) fn unlock(vault: &mut Vault) -> Result<(), VaultError> {
    let root = vault.header()?.open(&Opener::Remembered(None))?;
    vault.unlock(root, at(2))
}

pub(super) fn made(dir: &Path) -> Vault {
    let mut vault = open(dir);
    let root = RootKey::generate().unwrap();
    let mut header = Header::new();
    header::make_key_file(&dir.join("key")).unwrap();
    header.enrol_key_file(&dir.join("key"), &root).unwrap();
    vault.create(root, header, at(1), &[]).unwrap().durable_blocking().unwrap();
    vault
}

/// Puts a token secret in; its value is `value`.
pub(super) fn put(vault: &mut Vault, name: &str, value: &str) -> Id {
    let id = crypto::generate().unwrap();
    let json = format!(r#"{{"token":"{value}"}}"#);
    let credentials = Credentials::parse(SecretType::Token, None, &json).unwrap();
    let unlocked = vault.unlocked().unwrap();
    let (committed, ()) = unlocked
        .write(&[], |catalog| {
            let mut secret =
                Secret::new(&format!("personal/{name}").parse().unwrap(), SecretType::Token, at(3));
            secret.status = Status::Succeeded;
            catalog.insert_secret(id, secret);
            let artifact = credentials.artifact().unwrap();
            let changes = vec![
                Change::Credentials(id, Some(credentials.store())),
                Change::Artifact(id, Some((None, artifact))),
                Change::Secret(id),
            ];
            Ok::<_, VaultError>((changes, ()))
        })
        .unwrap();
    committed.durable_blocking().unwrap();
    id
}

fn value(vault: &mut Vault, name: &str) -> Option<String> {
    let unlocked = vault.unlocked().unwrap();
    let id = unlocked.catalog.secret_id("personal", name)?;
    let mut plain = Vec::new();
    unlocked.artifact(&id, &mut plain).unwrap().unwrap();
    let json: serde_json::Value =
        serde_json::from_str(&format!("{{{}}}", std::str::from_utf8(&plain).unwrap())).unwrap();
    Some(json["value"].as_str().unwrap().to_owned())
}

#[test]
fn what_was_put_in_is_there_after_a_lock_and_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut vault = made(dir.path());
    put(&mut vault, "a", "one");
    vault.lock();
    assert!(matches!(vault.unlocked(), Err(VaultError::Locked(None))));
    unlock(&mut vault).unwrap();
    assert_eq!(value(&mut vault, "a").as_deref(), Some("one"));
    drop(vault);
    let mut vault = open(dir.path());
    unlock(&mut vault).unwrap();
    assert_eq!(value(&mut vault, "a").as_deref(), Some("one"));
}

#[test]
fn another_key_opens_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut vault = made(dir.path());
    vault.lock();
    let refused = vault.unlock(RootKey::generate().unwrap(), at(2));
    assert!(matches!(refused, Err(VaultError::Tampered(_))));
    assert!(matches!(vault.unlocked(), Err(VaultError::Locked(None))));
}

/// Writes into the store past the vault, as somebody with the disk could.
pub(super) fn meddle(dir: &Path, batch: impl FnOnce(&Store) -> Batch) {
    let store = Store::open(&dir.join("state/store")).unwrap();
    let batch = batch(&store);
    store.commit(batch).durable_blocking().unwrap();
}

type Meddling = fn(&Store, Id, Id, Sealed) -> Batch;

#[test]
fn a_record_that_is_missing_moved_or_older_is_noticed() {
    let secret = |id| Key::new(Kind::Secret, id);
    let meddlings: [Meddling; 5] = [
        |_, a, _, _| vec![(Key::new(Kind::Secret, a), None)],
        |store, a, b, _| vec![(Key::new(Kind::Secret, a), store.get(&Key::new(Kind::Secret, b)).unwrap())],
        |_, a, _, older| vec![(Key::new(Kind::Secret, a), Some(older))],
        |_, _, _, _| vec![(Key::MANIFEST, None)],
        |store, _, _, _| {
            let header = store.get(&Key::HEADER).unwrap().unwrap();
            vec![(Key::HEADER, Some(Sealed::from([&header[..], b" "].concat())))]
        },
    ];
    for meddling in meddlings {
        let dir = tempfile::tempdir().unwrap();
        let mut vault = made(dir.path());
        let (a, b) = (put(&mut vault, "a", "one"), put(&mut vault, "b", "two"));
        let unlocked = vault.unlocked().unwrap();
        let older = unlocked.store.get(&secret(a)).unwrap().unwrap();
        let (committed, ()) = unlocked
            .write(&[], |catalog| {
                catalog.update_secret(&a, |secret| secret.active = false);
                Ok::<_, VaultError>((vec![Change::Secret(a)], ()))
            })
            .unwrap();
        committed.durable_blocking().unwrap();
        drop(vault);
        meddle(dir.path(), |store| meddling(store, a, b, older));
        assert!(matches!(unlock(&mut open(dir.path())), Err(VaultError::Tampered(_))));
    }
}

#[test]
fn an_artifact_that_is_older_or_anothers_is_not_served() {
    let dir = tempfile::tempdir().unwrap();
    let mut vault = made(dir.path());
    let (a, b) = (put(&mut vault, "a", "one"), put(&mut vault, "b", "two"));
    drop(vault);
    meddle(dir.path(), |store| {
        vec![(Key::new(Kind::Artifact, a), store.get(&Key::new(Kind::Artifact, b)).unwrap())]
    });
    let mut vault = open(dir.path());
    unlock(&mut vault).unwrap();
    let refused = vault.unlocked().unwrap().artifact(&a, &mut Vec::new()).err();
    assert!(matches!(refused, Some(VaultError::Tampered(_))));
    assert_eq!(value(&mut vault, "b").as_deref(), Some("two"));
}

#[test]
fn new_keys_keep_everything_and_leave_nothing_under_the_old_ones() {
    let dir = tempfile::tempdir().unwrap();
    let mut vault = made(dir.path());
    put(&mut vault, "a", "one");
    vault.snapshot(at(5)).unwrap();
    let before = vault.unlocked().unwrap().store.get(&Key::MANIFEST).unwrap().unwrap().to_vec();
    let root = RootKey::generate().unwrap();
    let mut header = Header::new();
    header::make_key_file(&dir.path().join("key")).unwrap();
    header.enrol_key_file(&dir.path().join("key"), &root).unwrap();
    vault.rekey(root, &header, at(6)).unwrap();
    assert_eq!(value(&mut vault, "a").as_deref(), Some("one"));
    assert_eq!(vault.newest_snapshot(), None);
    drop(vault);
    let on_disk = std::fs::read(dir.path().join("state/store/db")).unwrap();
    assert!(!on_disk.windows(before.len()).any(|bytes| bytes == before));
    unlock(&mut open(dir.path())).unwrap();
}

#[test]
fn a_backup_brings_everything_back_and_the_replaced_vault_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut vault = made(dir.path());
    put(&mut vault, "a", "one");
    let file = dir.path().join("backup");
    vault.backup(&file).unwrap();
    put(&mut vault, "b", "two");
    let root = vault.header().unwrap().open(&Opener::Remembered(None)).unwrap();
    let (_, secrets, replaced) = vault.restore(&file, root, at(9)).unwrap();
    assert_eq!((secrets, value(&mut vault, "a").as_deref(), value(&mut vault, "b")), (1, Some("one"), None));
    assert!(replaced.unwrap().is_dir());
}

#[test]
fn a_backup_that_does_not_prove_itself_replaces_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut vault = made(dir.path());
    put(&mut vault, "a", "one");
    let file = dir.path().join("backup");
    vault.backup(&file).unwrap();
    let refused = vault.restore(&file, RootKey::generate().unwrap(), at(9));
    assert!(matches!(refused, Err(VaultError::Tampered(_))));
    assert_eq!(value(&mut vault, "a").as_deref(), Some("one"));
}

#[test]
fn a_store_that_turned_to_rubbish_is_moved_aside_and_built_from_the_newest_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let mut vault = made(dir.path());
    put(&mut vault, "a", "one");
    assert!(vault.snapshot(at(5)).unwrap());
    assert!(!vault.snapshot(at(6)).unwrap(), "nothing changed");
    vault.lock();
    unlock(&mut vault).unwrap();
    assert!(!vault.snapshot(at(7)).unwrap(), "nothing changed while it was locked");
    drop(vault);
    std::fs::write(dir.path().join("state/store/db"), vec![0xA5; 600_000]).unwrap();
    let mut vault = open(dir.path());
    unlock(&mut vault).unwrap();
    assert_eq!(value(&mut vault, "a").as_deref(), Some("one"));
    assert!(dir.path().join("state/store.damaged-1").is_dir());
}

#[test]
fn a_lost_store_without_a_snapshot_is_said_and_does_not_pass_for_new_silently() {
    let dir = tempfile::tempdir().unwrap();
    drop(made(dir.path()));
    std::fs::remove_dir_all(dir.path().join("state/store")).unwrap();
    let vault = open(dir.path());
    assert_eq!(vault.state(), VaultState::Absent);
    assert!(dir.path().join("state/store.damaged-1").is_dir());
}

#[test]
fn a_damaged_header_keeps_nothing_but_the_way_back_open() {
    let dir = tempfile::tempdir().unwrap();
    let mut vault = made(dir.path());
    put(&mut vault, "a", "one");
    let file = dir.path().join("backup");
    vault.backup(&file).unwrap();
    drop(vault);
    for damaged in [Some(b"rubbish".to_vec()), Some(Vec::new()), None] {
        meddle(dir.path(), |_| vec![(Key::HEADER, damaged.map(Sealed::from))]);
        let mut vault = open(dir.path());
        assert_eq!(vault.state(), VaultState::Locked);
        assert!(matches!(vault.unlocked(), Err(VaultError::Unusable(_))));
        let (header, _) = backup::read(&file, |_, _| ()).unwrap();
        let root = header.open(&Opener::Remembered(None)).unwrap();
        vault.restore(&file, root, at(20)).unwrap();
        assert_eq!(value(&mut vault, "a").as_deref(), Some("one"));
        std::fs::remove_dir_all(dir.path().join("state/store.replaced-20")).unwrap();
    }
}

#[test]
fn a_lock_right_after_a_change_finds_everything_at_the_next_unlock() {
    let dir = tempfile::tempdir().unwrap();
    let mut vault = made(dir.path());
    let id = put(&mut vault, "a", "one");
    for round in 0..20 {
        for active in [false, true] {
            let unlocked = vault.unlocked().unwrap();
            // nobody waits for the disk
            let _ = unlocked.write(&[], |catalog| {
                catalog.update_secret(&id, |secret| secret.active = active);
                Ok::<_, VaultError>((vec![Change::Secret(id)], ()))
            });
        }
        vault.lock();
        unlock(&mut vault).unwrap_or_else(|error| panic!("round {round}: {error}"));
    }
}

#[test]
fn a_backup_in_the_middle_of_changes_proves_itself() {
    let dir = tempfile::tempdir().unwrap();
    let mut vault = made(dir.path());
    let id = put(&mut vault, "a", "one");
    for round in 0..10 {
        for active in [false, true] {
            let _ = vault.unlocked().unwrap().write(&[], |catalog| {
                catalog.update_secret(&id, |secret| secret.active = active);
                Ok::<_, VaultError>((vec![Change::Secret(id)], ()))
            });
        }
        let file = dir.path().join("backup");
        vault.backup(&file).unwrap();
        let root = vault.header().unwrap().open(&Opener::Remembered(None)).unwrap();
        vault.restore(&file, root, at(round)).unwrap();
    }
}

#[test]
fn a_store_that_is_older_than_its_newest_snapshot_is_not_taken_for_whole() {
    let dir = tempfile::tempdir().unwrap();
    let mut vault = made(dir.path());
    put(&mut vault, "a", "one");
    let early = dir.path().join("early");
    vault.backup(&early).unwrap();
    put(&mut vault, "b", "two");
    vault.snapshot(at(5)).unwrap();
    drop(vault);
    std::fs::remove_dir_all(dir.path().join("state/store")).unwrap();
    let store = Store::open(&dir.path().join("state/store")).unwrap();
    fill(&store, &early).unwrap();
    drop(store);
    let mut vault = open(dir.path());
    let told = unlock(&mut vault).err().unwrap().to_string();
    assert!(told.ends_with("it is older than its newest snapshot"), "{told}");
}

#[test]
fn two_restores_in_one_second_keep_both_replaced_vaults() {
    let dir = tempfile::tempdir().unwrap();
    let mut vault = made(dir.path());
    let file = dir.path().join("backup");
    vault.backup(&file).unwrap();
    let mut kept = Vec::new();
    for _ in 0..2 {
        let root = vault.header().unwrap().open(&Opener::Remembered(None)).unwrap();
        kept.push(vault.restore(&file, root, at(9)).unwrap().2.unwrap());
    }
    assert!(kept[0] != kept[1] && kept.iter().all(|path| path.is_dir()));
}

#[test]
fn a_vault_of_a_newer_version_is_left_alone_and_called_that() {
    let dir = tempfile::tempdir().unwrap();
    let mut vault = made(dir.path());
    let newer = String::from_utf8(vault.header().unwrap().write().unwrap())
        .unwrap()
        .replace("\"version\":1", "\"version\":2");
    vault.lock();
    drop(vault);
    meddle(dir.path(), |_| vec![(Key::HEADER, Some(Sealed::from(newer.into_bytes())))]);
    let mut vault = open(dir.path());
    assert!(matches!(vault.unlocked(), Err(VaultError::Newer)));
    assert!(matches!(vault.header(), Err(VaultError::Newer)));
}
