//! What the vault promises of elements, packages and workspaces, whose content may lie in parts.

use super::{cut, drop_parts};
use crate::vault::catalog::{
    Definition, Element, FileListed, Package, Workspace, WorkspaceFile, definition_record,
};
use crate::vault::crypto::{self, RootKey};
use crate::vault::header::{Header, Opener};
use crate::vault::record::{CONTENT_MAX, PackageContentV1, PackageFileV1, PartV1};
use crate::vault::store::{Batch, Id, Key, Kind, Sealed, Store};
use crate::vault::tests::{at, made, meddle, open, put, unlock};
use crate::vault::{Change, Vault, VaultError};
use bursar_proto::library::{FileMode, Slots};
use bursar_proto::name::Reference;
use bursar_proto::template::Template;

/// The ids of an element, a package and a workspace.
struct Library {
    element: Id,
    package: Id,
    workspace: Id,
}

impl Library {
    /// The records of the three.
    fn records(&self) -> [Key; 3] {
        let Self { element, package, workspace } = *self;
        [
            Key::new(Kind::Element, element),
            Key::new(Kind::Package, package),
            Key::new(Kind::Workspace, workspace),
        ]
    }
}

/// What a template of the package is: longer than a part takes.
fn template() -> String {
    "a line of it, %A%\n".repeat(6_000)
}

/// Puts in an element that holds `secret`, a package of several parts, and a workspace.
fn put_library(vault: &mut Vault, secret: Id) -> Library {
    let [element, package, workspace] = [(); 3].map(|()| crypto::generate().unwrap());
    let elements: [(Reference, _); 1] = [("A".parse().unwrap(), Definition::Uses("e".parse().unwrap()))];
    let template = template();
    let content = PackageContentV1 {
        elements: elements.iter().map(|(name, one)| (name.to_string(), definition_record(one))).collect(),
        files: vec![PackageFileV1 { path: "f".into(), mode: 0o600, template: template.clone() }],
    };
    let (parts, written) = cut(package, &content).unwrap();
    assert!(parts.len() > 2, "{}", parts.len());
    let parsed = Template::parse(&template).unwrap();
    let file = FileListed::of("f".parse().unwrap(), FileMode::PRIVATE, &parsed, template.len());
    let (committed, ()) = vault
        .unlocked()
        .unwrap()
        .write(&[], |catalog| {
            let slots = Slots { development: Some(secret), ..Slots::default() };
            let name = "personal/e".parse().unwrap();
            catalog.insert_element(element, Element { name, slots, created_at: at(3), updated_at: at(3) });
            let name = "personal/p".parse().unwrap();
            let version = "1.0.0".parse().unwrap();
            let package_record = Package {
                name,
                version,
                digest: [7; 32],
                published_at: at(3),
                published_by: "uid 1".into(),
                elements: elements.into(),
                files: vec![file],
                parts,
            };
            catalog.insert_package(package, package_record);
            let mut changes = written;
            changes.extend([Change::Element(element), Change::Package(package)]);
            Ok::<_, VaultError>((changes, ()))
        })
        .unwrap();
    committed.durable_blocking().unwrap();
    put_workspace(vault, workspace, secret, 1);
    Library { element, package, workspace }
}

/// Notes one file in the workspace, whose digest is made of `number`.
fn put_workspace(vault: &mut Vault, id: Id, secret: Id, number: u8) {
    let (committed, ()) = vault
        .unlocked()
        .unwrap()
        .write(&[], |catalog| {
            let old = catalog.workspaces.get(&id).map(|old| old.parts.clone()).unwrap_or_default();
            let file = WorkspaceFile {
                path: "f".parse().unwrap(),
                package: "personal/p".parse().unwrap(),
                version: None,
                digests: vec![[number; 32]],
                secrets: vec![secret],
            };
            let mut workspace = Workspace {
                uid: None,
                path: "/w".into(),
                trusted: Some([number; 32]),
                environment: None,
                synced_at: Some(at(i64::from(number))),
                files: vec![file],
                parts: Vec::new(),
            };
            let (parts, written) = cut(id, &workspace.files_record())?;
            workspace.parts = parts;
            catalog.insert_workspace(id, workspace);
            let changes = drop_parts(id, &old).chain(written).chain([Change::Workspace(id)]);
            Ok::<_, VaultError>((changes.collect(), ()))
        })
        .unwrap();
    committed.durable_blocking().unwrap();
}

/// All that [`put_library`] put in is there, the workspace as [`put_workspace`] noted it with `number`.
fn assert_library(vault: &mut Vault, library: &Library, secret: Id, number: u8) {
    let unlocked = vault.unlocked().unwrap();
    let content = unlocked.package_content(&library.package).unwrap();
    assert_eq!(content.files[0].template, template());
    let catalog = &unlocked.catalog;
    assert_eq!(catalog.elements[&library.element].slots.development, Some(secret));
    let package = &catalog.packages[&library.package];
    assert_eq!((package.files[0].bytes, package.elements.len()), (template().len(), 1));
    let workspace = &catalog.workspaces[&library.workspace];
    assert_eq!((workspace.trusted, workspace.synced_at), (Some([number; 32]), Some(at(i64::from(number)))));
    assert_eq!(
        (&workspace.files[0].digests, &workspace.files[0].secrets),
        (&vec![[number; 32]], &vec![secret])
    );
}

fn count(store: &Store, kind: Kind) -> usize {
    let mut count = 0;
    store.scan(kind, |_, _| count += 1).unwrap();
    count
}

#[test]
fn elements_packages_and_workspaces_are_there_after_a_restart_new_keys_and_a_backup() {
    let dir = tempfile::tempdir().unwrap();
    let mut vault = made(dir.path());
    let secret = put(&mut vault, "a", "one");
    let library = put_library(&mut vault, secret);
    let parts = count(&vault.unlocked().unwrap().store, Kind::Part);
    put_workspace(&mut vault, library.workspace, secret, 2);
    assert_eq!(count(&vault.unlocked().unwrap().store, Kind::Part), parts, "parts of before are gone");
    assert_library(&mut vault, &library, secret, 2);
    drop(vault);
    let mut vault = open(dir.path());
    unlock(&mut vault).unwrap();
    assert_library(&mut vault, &library, secret, 2);

    let root = RootKey::generate().unwrap();
    let mut header = Header::new();
    header.enrol_key_file(&dir.path().join("key"), &root).unwrap();
    vault.rekey(root, &header, at(6)).unwrap();
    assert_library(&mut vault, &library, secret, 2);
    assert_eq!(count(&vault.unlocked().unwrap().store, Kind::Part), parts);
    // and what comes after new keys is told apart from what is older, as before
    put_workspace(&mut vault, library.workspace, secret, 3);
    vault.lock();
    unlock(&mut vault).unwrap();
    assert_library(&mut vault, &library, secret, 3);

    let file = dir.path().join("backup");
    vault.backup(&file).unwrap();
    put_workspace(&mut vault, library.workspace, secret, 4);
    let root = vault.header().unwrap().open(&Opener::Remembered(None)).unwrap();
    vault.restore(&file, root, at(9)).unwrap();
    assert_library(&mut vault, &library, secret, 3);
}

#[test]
fn a_library_record_or_a_part_that_is_missing_moved_or_older_is_noticed() {
    type Meddling = fn(&Store, &Before) -> Batch;
    /// What a thief of the disk has from before.
    struct Before {
        library: Library,
        records: Vec<(Key, Sealed)>,
        parts: Vec<(Key, Sealed)>,
        package_parts: Vec<Key>,
        workspace_part: Key,
    }
    let meddlings: [(&str, Meddling); 10] = [
        ("the element is gone", |_, before| vec![(before.library.records()[0], None)]),
        ("the package is gone", |_, before| vec![(before.library.records()[1], None)]),
        ("the workspace is gone", |_, before| vec![(before.library.records()[2], None)]),
        ("the element is older", |_, before| vec![(before.records[0].0, Some(before.records[0].1.clone()))]),
        ("the workspace is older", |_, before| {
            vec![(before.records[2].0, Some(before.records[2].1.clone()))]
        }),
        ("the workspace is older, with its parts", |_, before| {
            let whole = before.parts.iter().chain([&before.records[2]]);
            whole.map(|(key, sealed)| (*key, Some(sealed.clone()))).collect()
        }),
        ("a part of the package is gone", |_, before| vec![(before.package_parts[1], None)]),
        ("two parts of the package change places", |store, before| {
            let [one, other] = [before.package_parts[0], before.package_parts[1]];
            vec![(one, store.get(&other).unwrap()), (other, store.get(&one).unwrap())]
        }),
        ("a part of the workspace is the package's", |store, before| {
            vec![(before.workspace_part, store.get(&before.package_parts[0]).unwrap())]
        }),
        ("a bit of a part is another", |store, before| {
            let mut bytes = store.get(&before.package_parts[2]).unwrap().unwrap().to_vec();
            *bytes.last_mut().unwrap() ^= 1;
            vec![(before.package_parts[2], Some(Sealed::from(bytes)))]
        }),
    ];
    for (what, meddling) in meddlings {
        let dir = tempfile::tempdir().unwrap();
        let mut vault = made(dir.path());
        let secret = put(&mut vault, "a", "one");
        let library = put_library(&mut vault, secret);
        let unlocked = vault.unlocked().unwrap();
        let kept = |key: Key| (key, unlocked.store.get(&key).unwrap().unwrap());
        let records: Vec<_> = library.records().into_iter().map(kept).collect();
        let part = |part: &PartV1| Key::new(Kind::Part, part.id);
        let older = &unlocked.catalog.workspaces[&library.workspace].parts;
        let parts: Vec<_> = older.iter().map(|one| kept(part(one))).collect();
        let package_parts: Vec<_> =
            unlocked.catalog.packages[&library.package].parts.iter().map(part).collect();
        put_workspace(&mut vault, library.workspace, secret, 2);
        let element = library.element;
        let (committed, ()) = vault
            .unlocked()
            .unwrap()
            .write(&[], |catalog| {
                catalog.empty_slots_of(&secret, at(4));
                Ok::<_, VaultError>((vec![Change::Element(element)], ()))
            })
            .unwrap();
        committed.durable_blocking().unwrap();
        let workspace_part = part(&vault.unlocked().unwrap().catalog.workspaces[&library.workspace].parts[0]);
        let before = Before { library, records, parts, package_parts, workspace_part };
        drop(vault);
        let mut untouched = open(dir.path());
        unlock(&mut untouched).unwrap();
        drop(untouched);
        meddle(dir.path(), |store| meddling(store, &before));
        let mut vault = open(dir.path());
        assert!(matches!(unlock(&mut vault), Err(VaultError::Tampered(_))), "{what}");
        assert!(matches!(vault.unlocked(), Err(VaultError::Locked(None))), "{what}");
    }
}

#[test]
fn content_has_a_limit() {
    let content = |length: usize| {
        let file = PackageFileV1 { path: "f".into(), mode: 0o600, template: "x".repeat(length) };
        PackageContentV1 { elements: Vec::new(), files: vec![file] }
    };
    // the rest is what frames it
    let (parts, _) = cut([1; 16], &content(CONTENT_MAX - 100)).unwrap();
    assert!(parts.len() > 20, "{}", parts.len());
    assert!(cut([1; 16], &content(CONTENT_MAX + 1)).is_err());
}
