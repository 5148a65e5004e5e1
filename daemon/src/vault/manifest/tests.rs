//! A store as the version before left it: it opens, keeps everything, and is written on in the present form.

use super::*;
use crate::vault::Vault;
use crate::vault::catalog::{Workspace, WorkspaceFile};
use crate::vault::record::{AuditEntryV1, SecretV2, WorkspaceV2};
use crate::vault::store::Sealed;
use crate::vault::tests::{at, made, open, put, unlock};
use crate::vault::{Change, Unlocked};

fn workspace(secret: Id) -> Workspace {
    Workspace {
        uid: None,
        path: "/home/ann/site".into(),
        trusted: Some([9; 32]),
        environment: None,
        synced_at: Some(at(4)),
        files: vec![WorkspaceFile {
            path: "token.txt".parse().unwrap(),
            package: "personal/site".parse().unwrap(),
            version: None,
            digests: vec![[3; 32]],
            secrets: vec![secret],
        }],
        parts: Vec::new(),
    }
}

/// Writes a workspace.
fn note(vault: &mut Vault, id: Id, mut workspace: Workspace, entries: &[AuditEntryV1]) {
    let (parts, changes) = part::cut(id, &workspace.files_record()).unwrap();
    workspace.parts = parts;
    let written = vault.unlocked().unwrap().write(entries, |catalog| {
        catalog.insert_workspace(id, workspace);
        Ok::<_, VaultError>((changes.into_iter().chain([Change::Workspace(id)]).collect(), ()))
    });
    written.unwrap().0.durable_blocking().unwrap();
}

/// The plaintext of a record.
fn plain(unlocked: &Unlocked, key: &Key) -> Vec<u8> {
    let sealed = unlocked.store.get(key).unwrap().unwrap();
    let mut plain = Vec::new();
    unlocked.keys.open(key, &sealed, &mut plain).unwrap();
    plain
}

/// Puts the records of a secret, of a workspace and of the manifest back to the form that they had before there was a record
/// of accesses, as that version wrote them.
fn as_the_version_before(unlocked: &mut Unlocked, secret: Id, workspace: Id) {
    let replace = |unlocked: &mut Unlocked, key: Key, old: Vec<u8>| {
        let sealed = unlocked.store.get(&key).unwrap().unwrap();
        let old = unlocked.keys.seal(&key, &old).unwrap();
        unlocked.manifest.forget(&unlocked.keys, &key, &sealed);
        unlocked.manifest.count(&unlocked.keys, &key, &old);
        (key, Some(Sealed::from(old)))
    };
    let SecretV2 { attributes, authorization_expires_at, unanswered, grant } =
        unlocked.catalog.secret_record(&secret).unwrap();
    assert_eq!((authorization_expires_at, unanswered, grant), (None, None, Vec::new()));
    let old = record::encode(&attributes).unwrap().to_vec();
    let secret = replace(unlocked, Key::new(Kind::Secret, secret), old);
    let key = Key::new(Kind::Workspace, workspace);
    let WorkspaceV2 { uid, path, trusted, environment, synced_at, parts } =
        unlocked.catalog.workspace_record(&workspace).unwrap();
    assert_eq!(uid, None);
    let old = WorkspaceV1 { path, trusted, environment, synced_at, parts };
    let workspace = replace(unlocked, key, record::encode(&old).unwrap().to_vec());
    let ManifestV2 { generation, records, sum, header, .. } = unlocked.manifest;
    let manifest = ManifestV1 { generation, records, sum, header };
    let manifest = unlocked.keys.seal(&Key::MANIFEST, &record::encode(&manifest).unwrap()).unwrap();
    let batch = vec![secret, workspace, (Key::MANIFEST, Some(Sealed::from(manifest)))];
    unlocked.store.commit(batch).durable_blocking().unwrap();
}

#[test]
fn a_store_of_the_version_before_opens_keeps_everything_and_goes_on_in_the_present_form() {
    let dir = tempfile::tempdir().unwrap();
    let mut vault = made(dir.path());
    let (secret, id) = (put(&mut vault, "a", "one"), [7; 16]);
    note(&mut vault, id, workspace(secret), &[]);
    let unlocked = vault.unlocked().unwrap();
    as_the_version_before(unlocked, secret, id);
    let generation = unlocked.manifest.generation;
    let forms = |unlocked: &Unlocked| {
        let keys = [Key::MANIFEST, Key::new(Kind::Workspace, id), Key::new(Kind::Secret, secret)];
        keys.map(|key| plain(unlocked, &key)[0])
    };
    assert_eq!(forms(unlocked), [1, 1, 1]);
    drop(vault);

    // as often as it is only opened, nothing is written
    for _ in 0..2 {
        let mut vault = open(dir.path());
        unlock(&mut vault).unwrap();
        let unlocked = vault.unlocked().unwrap();
        assert_eq!(forms(unlocked), [1, 1, 1]);
        assert_eq!((unlocked.manifest.generation, unlocked.audit_bounds()), (generation, (1, 1)));
        assert_ne!(unlocked.manifest.audit.key, [0; 32]);
        let known =
            &unlocked.catalog.workspaces[&unlocked.catalog.workspace_id(None, "/home/ann/site").unwrap()];
        assert_eq!((known.trusted, known.synced_at), (Some([9; 32]), Some(at(4))));
        assert_eq!(known.files_record(), workspace(secret).files_record());
        let mut members = Vec::new();
        unlocked.artifact(&secret, &mut members).unwrap().unwrap();
        assert!(members.windows(3).any(|bytes| bytes == b"one"));
        let known = &unlocked.catalog.secrets[&secret];
        assert_eq!((known.authorization_expires_at, known.unanswered), (None, None));
        assert!(unlocked.grant(&secret).unwrap().is_none());
    }

    let mut vault = open(dir.path());
    unlock(&mut vault).unwrap();
    let entry = AuditEntryV1 {
        at: 5,
        principal: "owner".into(),
        uid: None,
        pid: None,
        executable: None,
        method: "workspace.record".into(),
        subject: None,
        secret: None,
        client_secret: None,
        outcome: "ok".into(),
        count: 1,
        ci: None,
    };
    let changed = Workspace { synced_at: Some(at(5)), ..workspace(secret) };
    note(&mut vault, id, changed, &[entry]);
    assert_eq!(forms(vault.unlocked().unwrap()), [2, 2, 1]);
    let written = vault.unlocked().unwrap().write(&[], |catalog| {
        catalog.update_secret(&secret, |secret| secret.active = false);
        Ok::<_, VaultError>((vec![Change::Secret(secret)], ()))
    });
    written.unwrap().0.durable_blocking().unwrap();
    assert_eq!(forms(vault.unlocked().unwrap()), [2, 2, 2]);
    drop(vault);
    let mut vault = open(dir.path());
    unlock(&mut vault).unwrap();
    let unlocked = vault.unlocked().unwrap();
    assert_eq!(unlocked.audit_bounds(), (1, 2));
    let mut proof = crate::vault::audit::Proof::default();
    unlocked.prove_audit(&mut proof, 10).unwrap();
    assert!(proof.done && proof.faults.is_empty());
    assert_eq!(unlocked.catalog.workspaces[&id].synced_at, Some(at(5)));
    assert!(!unlocked.catalog.secrets[&secret].active);
}

#[test]
fn a_record_that_is_named_twice_in_one_change_is_counted_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut vault = made(dir.path());
    let secret = put(&mut vault, "a", "one");
    let written = vault.unlocked().unwrap().write(&[], |catalog| {
        catalog.update_secret(&secret, |secret| secret.active = false);
        Ok::<_, VaultError>((vec![Change::Secret(secret), Change::Secret(secret)], ()))
    });
    written.unwrap().0.durable_blocking().unwrap();
    drop(vault);
    let mut vault = open(dir.path());
    unlock(&mut vault).unwrap();
    assert!(!vault.unlocked().unwrap().catalog.secrets[&secret].active);
}
