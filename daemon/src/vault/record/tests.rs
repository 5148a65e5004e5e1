//! What records look like on disk, byte for byte.

use super::*;
use bursar_proto::sensitive::Sensitive;
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
fn version_1_of_client_secrets_and_tombstones_is_written_as_it_always_was() {
    let zeros = ("00", 7); // of a number of eight bytes that fits one
    let secret = ClientSecretV1 {
        public: "k3j9".into(),
        organization: [3; 16],
        environment: Some([4; 16]),
        description: "d".into(),
        role: role_number(Role::Contributor),
        analytics: analytics_number(Analytics::Complete),
        created_at: 64,
        expires_at: 65,
        revoked_at: Some(66),
        lapsed: true,
        last_used_at: None,
        successor: Some("z".into()),
        key: [5; 32],
        hash: [6; 32],
    };
    let of = [("01", 1), ("04", 1), zeros, ("6b336a39", 1), ("03", 16), ("01", 1), ("04", 16)];
    let what = [("01", 1), zeros, ("64", 1), ("02", 1), ("03", 1)];
    let when = [("40", 1), zeros, ("41", 1), zeros, ("01", 1), ("42", 1), zeros, ("01", 1), ("00", 1)];
    let rest = [("01", 1), ("01", 1), zeros, ("7a", 1), ("05", 32), ("06", 32)];
    is_written_as(secret, &[&of[..], &what, &when, &rest].concat());
    let tombstone = TombstoneV1 { secret: "o/s".into(), deleted_at: 67, stored: true };
    is_written_as(tombstone, &[("01", 1), ("03", 1), zeros, ("6f2f73", 1), ("43", 1), zeros, ("01", 1)]);
}

#[test]
fn version_1_of_the_record_of_accesses_and_of_usage_is_written_as_it_always_was() {
    let zeros = ("00", 7);
    let full = AuditEntryV1 {
        at: 64,
        principal: "p".into(),
        uid: Some(65),
        pid: Some(66),
        executable: Some("/x".into()),
        method: "m".into(),
        subject: Some("s".into()),
        secret: Some(([7; 16], "o/n".into())),
        client_secret: Some("c".into()),
        outcome: "ok".into(),
        count: 67,
        ci: Some(vec![("a".into(), "b".into())]),
    };
    let empty = AuditEntryV1 {
        at: -1,
        principal: String::new(),
        uid: None,
        pid: None,
        executable: None,
        method: String::new(),
        subject: None,
        secret: None,
        client_secret: None,
        outcome: String::new(),
        count: 0,
        ci: None,
    };
    let entries = AuditEntriesV1 { entries: vec![full, empty] };
    let text = |digits: &'static str| [("01", 1), ("01", 1), zeros, (digits, 1)];
    let who = [("01", 1), ("02", 1), zeros, ("40", 1), zeros, ("01", 1), zeros, ("70", 1)];
    let process = [("0141000000", 1), ("0142000000", 1), ("01", 1), ("02", 1), zeros, ("2f78", 1)];
    let method = [("01", 1), zeros, ("6d", 1)];
    let secret = [("01", 1), ("07", 16), ("03", 1), zeros, ("6f2f6e", 1)];
    let outcome = [("02", 1), zeros, ("6f6b", 1), ("43", 1), zeros];
    let ci = [("01", 1), ("01", 1), zeros, ("01", 1), zeros, ("61", 1), ("01", 1), zeros, ("62", 1)];
    let nothing = [("ff", 8), ("00", 8), ("00", 3), ("00", 8), ("00", 3), ("00", 8), ("00", 8), ("00", 1)];
    let pieces = [&who[..], &process, &method, &text("73"), &secret, &text("63"), &outcome, &ci, &nothing];
    is_written_as(entries, &pieces.concat());
    let block = AuditBlockV1 { before: [1; 32], entries: vec![8, 9], mac: [2; 32] };
    is_written_as(block, &[("01", 1), ("01", 32), ("02", 1), zeros, ("0809", 1), ("02", 32)]);
    let month =
        UsageMonthV1 { last_used_at: 64, days: vec![UsageDayV1 { day: 21, by: vec![("sync".into(), 65)] }] };
    let days = [("01", 1), zeros, ("15", 1), ("01", 1), zeros];
    let by = [("04", 1), zeros, ("73796e63", 1), ("41", 1), zeros];
    is_written_as(month, &[&[("01", 1), ("40", 1), zeros][..], &days, &by].concat());
}

#[test]
fn version_2_of_the_manifest_and_of_workspaces_is_written_as_it_always_was_and_version_1_is_read() {
    let zeros = ("00", 7);
    let digests = [("40", 1), zeros, ("41", 1), zeros, ("42", 1), ("00", 15), ("43", 1), ("00", 15)];
    let old = ManifestV1 { generation: 64, records: 65, sum: 66, header: 67 };
    is_written_as(old, &[&[("01", 1)][..], &digests].concat());
    let audit = AuditHeadV1 { key: [5; 32], first: 68, before: [6; 32], next: 69, mac: [7; 32] };
    let manifest = ManifestV2 { audit, endings_told: 70, ..old.into() };
    let head = [("05", 32), ("44", 1), zeros, ("06", 32), ("45", 1), zeros, ("07", 32)];
    let told = [("46", 1), zeros];
    is_written_as(manifest, &[&[("02", 1)][..], &digests, &head, &told].concat());
    let read = decode_since::<ManifestV1, ManifestV2>(&encode(&old).unwrap()).unwrap();
    assert_eq!(
        read,
        ManifestV2 { generation: 64, records: 65, sum: 66, header: 67, ..ManifestV2::default() }
    );
    assert_eq!(decode_since::<ManifestV1, ManifestV2>(&encode(&manifest).unwrap()), Ok(manifest));

    let workspace = |uid| WorkspaceV2 {
        uid,
        path: "/w".into(),
        trusted: Some([9; 32]),
        environment: Some([10; 16]),
        synced_at: Some(67),
        parts: vec![PartV1 { id: [7; 16], tag: [8; 16] }],
    };
    let path = [("02", 1), ("01e9030000", 1), ("02", 1), zeros, ("2f77", 1)];
    let rest = [("01", 1), ("09", 32), ("01", 1), ("0a", 16), ("01", 1), ("43", 1), zeros];
    let part = [("01", 1), zeros, ("07", 16), ("08", 16)];
    is_written_as(workspace(Some(1_001)), &[&path[..], &rest, &part].concat());
    let WorkspaceV2 { path, trusted, environment, synced_at, parts, .. } = workspace(None);
    let old = encode(&WorkspaceV1 { path, trusted, environment, synced_at, parts }).unwrap();
    assert_eq!(decode_since::<WorkspaceV1, WorkspaceV2>(&old), Ok(workspace(None)));
    let newer = [&[3][..], &old[1..]].concat();
    assert_eq!(decode_since::<WorkspaceV1, WorkspaceV2>(&newer), Err(UnknownForm::Newer));
}

/// What a secret's attributes are written as, without their version.
const ATTRIBUTES: [(&str, usize); 44] = [
    ("03", 16),
    ("01", 1),
    ("00", 7),
    ("73", 1),
    ("03", 1),
    ("01", 1),
    ("04", 16),
    ("01", 1),
    ("02", 1),
    ("04", 1),
    ("01", 1),
    ("01", 1),
    ("00", 7),
    ("64", 1),
    ("01", 1),
    ("40", 1),
    ("00", 7),
    ("41", 1),
    ("00", 7),
    ("01", 1),
    ("42", 1),
    ("00", 7),
    ("01", 1),
    ("43", 1),
    ("00", 7),
    ("01", 1),
    ("44", 1),
    ("00", 7),
    ("01", 1),
    ("02", 1),
    ("01", 1),
    ("01", 1),
    ("00", 7),
    ("72", 1),
    ("03", 1),
    ("01", 1),
    ("45", 1),
    ("00", 7),
    ("01", 1),
    ("04", 1),
    ("00", 1),
    ("46", 1),
    ("00", 7),
    ("07", 16),
];

fn attributes() -> SecretV1 {
    SecretV1 {
        organization: [3; 16],
        name: "s".into(),
        kind: kind_number(SecretType::Google),
        environment: Some([4; 16]),
        policy: Some(policy_number(ExchangePolicy::ShortLived)),
        status: status_number(Status::ManualAuthorization),
        status_details: Some("d".into()),
        active: true,
        created_at: 64,
        updated_at: 65,
        activated_at: Some(66),
        expires_at: Some(67),
        refresh_at: Some(68),
        refresh_status: Some(refresh_number(RefreshStatus::Failed)),
        refresh_status_details: Some("r".into()),
        failed_attempts: 3,
        last_attempt_at: Some(69),
        last_failure: Some(cause_number(Cause::Withdrawn)),
        expiration_date: None,
        revision: 70,
        credentials_tag: [7; 16],
        artifact_tag: Some([8; 16]),
    }
}

#[test]
fn version_2_of_secrets_is_written_as_it_always_was_and_version_1_is_read() {
    let zeros = ("00", 7);
    let artifact = [("01", 1), ("08", 16)];
    is_written_as(attributes(), &[&[("01", 1)][..], &ATTRIBUTES, &artifact].concat());
    let secret = SecretV2 {
        attributes: attributes(),
        authorization_expires_at: Some(71),
        unanswered: Some(UnansweredV1 { at: 72, by: by_number(By::RefreshToken) }),
        grant: vec![PartV1 { id: [9; 16], tag: [10; 16] }],
    };
    let of_a_person = [("01", 1), ("47", 1), zeros, ("01", 1), ("48", 1), zeros, ("02", 1)];
    let grant = [("01", 1), zeros, ("09", 16), ("0a", 16)];
    is_written_as(secret, &[&[("02", 1)][..], &ATTRIBUTES, &artifact, &of_a_person, &grant].concat());
    let none = SecretV2::from(attributes());
    assert_eq!((none.authorization_expires_at, none.unanswered, none.grant.len()), (None, None, 0));
    is_written_as(
        none,
        &[&[("02", 1)][..], &ATTRIBUTES, &artifact, &[("00", 1), ("00", 1), ("00", 8)]].concat(),
    );
    let old = encode(&attributes()).unwrap();
    assert_eq!(decode_since::<SecretV1, SecretV2>(&old), Ok(attributes().into()));
    let newer = [&[3][..], &old[1..]].concat();
    assert_eq!(decode_since::<SecretV1, SecretV2>(&newer), Err(UnknownForm::Newer));
}

#[test]
fn version_1_of_grants_and_issuers_is_written_as_it_always_was() {
    let zeros = ("00", 7);
    let is_written = |bytes: &[u8], pieces: &[(&str, usize)]| {
        let expected: String = pieces.iter().map(|(digits, times)| digits.repeat(*times)).collect();
        assert_eq!(hex(bytes), expected);
    };
    let grant = GrantV1 {
        refresh_token: Sensitive::new("1//r".into()),
        client_id: "c".into(),
        token_url: "https://t".into(),
    };
    let written = encode(&grant).unwrap();
    let token = [("01", 1), ("04", 1), zeros, ("312f2f72", 1)];
    let client = [("01", 1), zeros, ("63", 1), ("09", 1), zeros, ("68747470733a2f2f74", 1)];
    is_written(&written, &[&token[..], &client].concat());
    let read = decode::<GrantV1>(&written).unwrap();
    assert_eq!((read.refresh_token.expose(), &*read.client_id, &*read.token_url), ("1//r", "c", "https://t"));
    let issuer = IssuerV1 {
        issuer: issuer_number(Issuer::Google),
        client_id: "c".into(),
        authorization_url: "a".into(),
        token_url: "t".into(),
        updated_at: 64,
        client: vec![PartV1 { id: [7; 16], tag: [8; 16] }],
    };
    let text = |digits: &'static str| [("01", 1), zeros, (digits, 1)];
    let part = [("40", 1), zeros, ("01", 1), zeros, ("07", 16), ("08", 16)];
    let which = [("01", 1), ("01", 1)];
    is_written_as(issuer, &[&which[..], &text("63"), &text("61"), &text("74"), &part].concat());
    let client = IssuerClientV1 { client_secret: Sensitive::new("hunter2".into()) };
    let written = encode(&client).unwrap();
    is_written(&written, &[("01", 1), ("07", 1), zeros, ("68756e74657232", 1)]);
    assert_eq!(decode::<IssuerClientV1>(&written).unwrap().client_secret.expose(), "hunter2");
    let told = format!("{grant:?} {client:?}");
    assert!(!told.contains("1//r") && !told.contains("hunter2"), "{told}");
}

#[test]
fn the_longest_grant_fits_one_part() {
    let grant = GrantV1 {
        refresh_token: Sensitive::new("r".repeat(16 * 1024)),
        client_id: "c".repeat(2_048),
        token_url: format!("https://t/{}", "t".repeat(2_048)),
    };
    assert_eq!(crate::vault::part::cut([1; 16], &grant).unwrap().0.len(), 1);
}

#[test]
fn a_key_of_the_chain_is_in_no_debug_text() {
    let head = AuditHeadV1 { key: [171; 32], before: [171; 32], mac: [171; 32], first: 1, next: 2 };
    let manifest = ManifestV2 { audit: head, ..ManifestV2::default() };
    let told = format!("{head:?} {manifest:?}");
    assert!(told.contains("first: 1") && !told.contains("171") && !told.contains("ab"), "{told}");
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
    for issuer in Issuer::ALL {
        assert_eq!(issuer_of(issuer_number(*issuer)), Ok(*issuer));
    }
    let causes = [Cause::Unreachable, Cause::Transient, Cause::Permanent, Cause::Withdrawn];
    assert_eq!(causes.map(cause_number), [1, 2, 3, 4]);
    assert_eq!([1, 2, 3, 4].map(cause_of), causes.map(Ok));
    assert_eq!([By::Code, By::RefreshToken].map(by_number), [1, 2]);
    assert_eq!([1, 2].map(by_of), [Ok(By::Code), Ok(By::RefreshToken)]);
    assert_eq!((cause_of(5), by_of(3)), (Err(UnknownForm::Unreadable), Err(UnknownForm::Unreadable)));
    assert_eq!((issuer_of(0), issuer_of(2)), (Err(UnknownForm::Unreadable), Err(UnknownForm::Unreadable)));
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
        // behind a version byte that is known, so that the rest is looked at
        for version in [1, 2] {
            let bytes = [&[version][..], &bytes].concat();
            let _ = decode::<ClientSecretV1>(&bytes);
            let _ = decode::<TombstoneV1>(&bytes);
            let _ = decode::<AuditBlockV1>(&bytes);
            let _ = decode::<AuditEntriesV1>(&bytes);
            let _ = decode::<UsageMonthV1>(&bytes);
            let _ = decode_since::<ManifestV1, ManifestV2>(&bytes);
            let _ = decode_since::<WorkspaceV1, WorkspaceV2>(&bytes);
            let _ = decode_since::<SecretV1, SecretV2>(&bytes);
            let _ = decode::<GrantV1>(&bytes);
            let _ = decode::<IssuerV1>(&bytes);
            let _ = decode::<IssuerClientV1>(&bytes);
        }
    }

    #[test]
    fn an_altered_record_decodes_to_an_error_or_a_record_but_never_panics(at: prop::sample::Index, flip in 1_u8..) {
        let entry = AuditEntryV1 {
            at: 64, principal: "p".into(), uid: Some(65), pid: Some(66), executable: Some("/x".into()),
            method: "m".into(), subject: Some("s".into()), secret: Some(([7; 16], "o/n".into())),
            client_secret: Some("c".into()), outcome: "ok".into(), count: 67, ci: Some(vec![("a".into(), "b".into())]),
        };
        let mut bytes = encode(&AuditEntriesV1 { entries: vec![entry] }).unwrap().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let _ = decode::<AuditEntriesV1>(&bytes);
        prop_assert!(decode::<AuditEntriesV1>(&bytes[..at]).is_err());
    }
}
