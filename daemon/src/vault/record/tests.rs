//! What records look like on disk, byte for byte.

use super::*;
use proptest::prelude::*;

/// The bytes that version 1 has always written: a store of that version must stay readable.
const ENVIRONMENT_V1: &str = "010303030303030303030303030303030307000000000000007374616769\
                              6e67024000000000000000";

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

#[test]
fn version_1_is_written_as_it_always_was() {
    let record = EnvironmentV1 { organization: [3; 16], name: "staging".into(), stage: 2, created_at: 64 };
    assert_eq!(hex(&encode(&record).unwrap()), ENVIRONMENT_V1.replace(' ', ""));
    assert_eq!(decode::<EnvironmentV1>(&encode(&record).unwrap()), Ok(record));
}

/// What `record` is written as: `pieces` of hex digits, each so many times.
fn is_written_as<T: Versioned + PartialEq + std::fmt::Debug>(record: T, pieces: &[(&str, usize)]) {
    let expected: String = pieces.iter().map(|(digits, times)| digits.repeat(*times)).collect();
    let written = encode(&record).unwrap();
    assert_eq!(hex(&written), expected, "{record:?}");
    assert_eq!(decode::<T>(&written), Ok(record));
}

#[test]
fn version_1_of_libraries_and_workspaces_is_written_as_it_always_was() {
    let zeros = ("00", 7); // of a number of eight bytes that fits one
    let parts = vec![PartV1 { id: [7; 16], tag: [8; 16] }];
    let element = ElementV1 {
        organization: [3; 16],
        name: "e".into(),
        slots: [Some([4; 16]), None, Some([5; 16])],
        created_at: 64,
        updated_at: 65,
    };
    let slots = [("01", 1), ("04", 16), ("00", 1), ("01", 1), ("05", 16)];
    let name = [("01", 1), ("03", 16), ("01", 1), zeros];
    is_written_as(
        element,
        &[&name[..], &[("65", 1)], &slots, &[("40", 1), zeros, ("41", 1), zeros]].concat(),
    );
    let package = PackageV1 {
        organization: [3; 16],
        name: "p".into(),
        version: "1.0.0".into(),
        digest: [6; 32],
        published_at: 66,
        published_by: "uid 1".into(),
        parts: parts.clone(),
    };
    let version = [("70", 1), ("05", 1), zeros, ("312e302e30", 1)];
    let published = [("06", 32), ("42", 1), zeros, ("05", 1), zeros, ("7569642031", 1)];
    let part = [("01", 1), zeros, ("07", 16), ("08", 16)];
    is_written_as(package, &[&name[..], &version, &published, &part].concat());
    let content = PackageContentV1 {
        elements: vec![
            ("A".into(), DefinitionV1::Uses("e".into())),
            ("B".into(), DefinitionV1::Defines([None, Some("s".into()), None])),
        ],
        files: vec![PackageFileV1 { path: "f".into(), mode: 0o600, template: "%A%".into() }],
    };
    let uses = [("01", 1), zeros, ("41", 1), ("00000000", 1), ("01", 1), zeros, ("65", 1)];
    let defines = [("01", 1), zeros, ("42", 1), ("01000000", 1), ("0001", 1), ("01", 1), zeros, ("7300", 1)];
    let file =
        [("01", 1), zeros, ("01", 1), zeros, ("66", 1), ("80010000", 1), ("03", 1), zeros, ("254125", 1)];
    is_written_as(content, &[&[("01", 1), ("02", 1), zeros][..], &uses, &defines, &file].concat());
    let workspace = WorkspaceV1 {
        path: "/w".into(),
        trusted: Some([9; 32]),
        environment: Some([10; 16]),
        synced_at: Some(67),
        parts,
    };
    let path = [("01", 1), ("02", 1), zeros, ("2f77", 1)];
    let rest = [("01", 1), ("09", 32), ("01", 1), ("0a", 16), ("01", 1), ("43", 1), zeros];
    is_written_as(workspace, &[&path[..], &rest, &part].concat());
    let files = WorkspaceFilesV1 {
        files: vec![WorkspaceFileV1 {
            path: "f".into(),
            package: "o/p".into(),
            version: Some("1".into()),
            digests: vec![[11; 32]],
            secrets: vec![[12; 16]],
        }],
    };
    let path = [("01", 1), ("01", 1), zeros, ("01", 1), zeros, ("66", 1)];
    let package = [("03", 1), zeros, ("6f2f70", 1), ("01", 1), ("01", 1), zeros, ("31", 1)];
    let rest = [("01", 1), zeros, ("0b", 32), ("01", 1), zeros, ("0c", 16)];
    is_written_as(files, &[&path[..], &package, &rest].concat());
}

#[test]
fn another_version_is_refused() {
    let mut bytes = encode(&OrganizationV1 { name: "acme".into(), created_at: 1 }).unwrap();
    bytes[0] = 2;
    assert_eq!(decode::<OrganizationV1>(&bytes), Err(UnknownForm::Newer));
    bytes[0] = 1;
    bytes.push(0);
    assert_eq!(decode::<OrganizationV1>(&bytes), Err(UnknownForm::Unreadable));
}

#[test]
fn every_word_has_its_number() {
    for kind in SecretType::ALL {
        assert_eq!(kind_of(kind_number(*kind)), Ok(*kind));
    }
    for status in Status::ALL {
        assert_eq!(status_of(status_number(*status)), Ok(*status));
    }
}

proptest! {
    #[test]
    fn rubbish_decodes_to_an_error_or_a_record_but_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = decode::<SecretV1>(&bytes);
        let _ = decode::<ManifestV1>(&bytes);
        let _ = decode_artifact(&bytes);
        let _ = decode_credentials(&bytes);
        let _ = decode::<PackageV1>(&bytes);
        let _ = decode::<PackageContentV1>(&bytes);
        let _ = decode::<WorkspaceFilesV1>(&bytes);
    }
}
