//! What records look like on disk: a version byte, then bincode, fixed integers, no trailing bytes.
//!
//! A struct per version; an added field is a new version, and old ones keep decoding. Only authenticated
//! bytes come here. Words are stored as numbers of their own, so that renaming one never changes a store.

mod accesses;
mod grants;

pub(crate) use accesses::{
    AuditBlockV1, AuditEntriesV1, AuditEntryV1, ClientSecretV1, TombstoneV1, UsageDayV1, UsageMonthV1,
};

pub(crate) use grants::{GrantV1, IssuerClientV1, IssuerV1, SecretV2, UnansweredV1};

use crate::exchange::{By, Cause};
use crate::vault::crypto::Tag;
use crate::vault::store::{Id, RECORD_MAX};
use bincode::Options as _;
use bursar_proto::kind::{Analytics, ExchangePolicy, Issuer, RefreshStatus, Role, SecretType, Stage, Status};
use bursar_proto::time::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// A record that this version cannot read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnknownForm {
    /// Its version is higher than ours.
    #[error("a record was written by a newer version")]
    Newer,
    /// It is no record.
    #[error("a record cannot be read")]
    Unreadable,
}

/// What is wrong with a record whose version byte is not the present one.
fn unknown(version: u8, present: u8) -> UnknownForm {
    if version > present { UnknownForm::Newer } else { UnknownForm::Unreadable }
}

/// An organization.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OrganizationV1 {
    pub(crate) name: String,
    pub(crate) created_at: i64,
}

/// An environment.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EnvironmentV1 {
    pub(crate) organization: Id,
    pub(crate) name: String,
    pub(crate) stage: u8,
    pub(crate) created_at: i64,
}

/// A secret's attributes, as they were before there were grants of a person. The tags name the one version of its credentials and artifact that belong to it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SecretV1 {
    pub(crate) organization: Id,
    pub(crate) name: String,
    pub(crate) kind: u8,
    pub(crate) environment: Option<Id>,
    pub(crate) policy: Option<u8>,
    pub(crate) status: u8,
    pub(crate) status_details: Option<String>,
    pub(crate) active: bool,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
    pub(crate) activated_at: Option<i64>,
    pub(crate) expires_at: Option<i64>,
    pub(crate) refresh_at: Option<i64>,
    pub(crate) refresh_status: Option<u8>,
    pub(crate) refresh_status_details: Option<String>,
    pub(crate) failed_attempts: u8,
    pub(crate) last_attempt_at: Option<i64>,
    pub(crate) last_failure: Option<u8>,
    pub(crate) expiration_date: Option<i64>,
    pub(crate) revision: u64,
    pub(crate) credentials_tag: Tag,
    pub(crate) artifact_tag: Option<Tag>,
}

/// Count and digest of the small records, and the digest of the header: as it was before there was a record of accesses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ManifestV1 {
    pub(crate) generation: u64,
    pub(crate) records: u64,
    pub(crate) sum: u128,
    pub(crate) header: u128,
}

/// Count and digest of the small records, the digest of the header, where the record of accesses stands, and up to when
/// endings were told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ManifestV2 {
    pub(crate) generation: u64,
    pub(crate) records: u64,
    pub(crate) sum: u128,
    pub(crate) header: u128,
    pub(crate) audit: AuditHeadV1,
    pub(crate) endings_told: i64,
}

/// Where the record of accesses begins and ends, and the key of its chain.
#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AuditHeadV1 {
    /// Random, and the vault's alone; a new root key leaves it, so that the chain goes on.
    pub(crate) key: [u8; 32],
    /// The number of the oldest entry that is kept, from 1 on.
    pub(crate) first: u64,
    /// The chain before it.
    pub(crate) before: [u8; 32],
    /// The number of the next entry.
    pub(crate) next: u64,
    /// The chain after the newest.
    pub(crate) mac: [u8; 32],
}

impl std::fmt::Debug for AuditHeadV1 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AuditHeadV1 {{ first: {}, next: {} }}", self.first, self.next)
    }
}

impl From<ManifestV1> for ManifestV2 {
    /// Without a key yet: see [`AuditHeadV1::key`].
    fn from(old: ManifestV1) -> Self {
        let ManifestV1 { generation, records, sum, header } = old;
        Self { generation, records, sum, header, ..Self::default() }
    }
}

/// A data element; its slots in the order of the stages' numbers.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ElementV1 {
    pub(crate) organization: Id,
    pub(crate) name: String,
    pub(crate) slots: [Option<Id>; 3],
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
}

/// One published version. Its content stands in parts.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PackageV1 {
    pub(crate) organization: Id,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) digest: [u8; 32],
    pub(crate) published_at: i64,
    pub(crate) published_by: String,
    pub(crate) parts: Vec<PartV1>,
}

/// Where a part lies, and the one version of it that belongs here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PartV1 {
    pub(crate) id: Id,
    pub(crate) tag: Tag,
}

/// What a package holds.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PackageContentV1 {
    /// By the names that templates use; see [`DefinitionV1`].
    pub(crate) elements: Vec<(String, DefinitionV1)>,
    pub(crate) files: Vec<PackageFileV1>,
}

/// An element of a package, by names within the package's organization.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum DefinitionV1 {
    Uses(String),
    Defines([Option<String>; 3]),
}

/// A file of a package.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PackageFileV1 {
    pub(crate) path: String,
    pub(crate) mode: u32,
    pub(crate) template: String,
}

/// A workspace. Its files stand in parts.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WorkspaceV1 {
    pub(crate) path: String,
    pub(crate) trusted: Option<[u8; 32]>,
    pub(crate) environment: Option<Id>,
    pub(crate) synced_at: Option<i64>,
    pub(crate) parts: Vec<PartV1>,
}

/// A workspace, and the user whose it is; none for the daemon's own.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WorkspaceV2 {
    pub(crate) uid: Option<u32>,
    pub(crate) path: String,
    pub(crate) trusted: Option<[u8; 32]>,
    pub(crate) environment: Option<Id>,
    pub(crate) synced_at: Option<i64>,
    pub(crate) parts: Vec<PartV1>,
}

impl From<WorkspaceV1> for WorkspaceV2 {
    fn from(old: WorkspaceV1) -> Self {
        let WorkspaceV1 { path, trusted, environment, synced_at, parts } = old;
        Self { uid: None, path, trusted, environment, synced_at, parts }
    }
}

/// What was written into a workspace.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WorkspaceFilesV1 {
    pub(crate) files: Vec<WorkspaceFileV1>,
}

/// A file that was written into a workspace.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WorkspaceFileV1 {
    pub(crate) path: String,
    pub(crate) package: String,
    pub(crate) version: Option<String>,
    pub(crate) digests: Vec<[u8; 32]>,
    pub(crate) secrets: Vec<Id>,
}

/// The longest content that stands in parts, in bytes: a request is 256 KiB, and names grow a little on disk.
pub(crate) const CONTENT_MAX: usize = 1024 * 1024;

/// A form of a record with its version.
pub(crate) trait Versioned: Serialize + DeserializeOwned {
    /// The byte that leads it.
    const VERSION: u8 = 1;
    /// The most bytes that it takes.
    const MAX: usize = RECORD_MAX;
}
impl Versioned for OrganizationV1 {}
impl Versioned for EnvironmentV1 {}
impl Versioned for SecretV1 {}
impl Versioned for ManifestV1 {}
impl Versioned for ElementV1 {}
impl Versioned for PackageV1 {}
impl Versioned for WorkspaceV1 {}
impl Versioned for ManifestV2 {
    const VERSION: u8 = 2;
}
impl Versioned for WorkspaceV2 {
    const VERSION: u8 = 2;
}
impl Versioned for PackageContentV1 {
    const MAX: usize = CONTENT_MAX;
}
impl Versioned for WorkspaceFilesV1 {
    const MAX: usize = CONTENT_MAX;
}

fn options(most: usize) -> impl bincode::Options {
    bincode::DefaultOptions::new().with_fixint_encoding().with_limit(most as u64).reject_trailing_bytes()
}

/// A record's bytes, version first.
pub(crate) fn encode<T: Versioned>(record: &T) -> Result<Zeroizing<Vec<u8>>, UnknownForm> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(256));
    bytes.push(T::VERSION);
    options(T::MAX).serialize_into(&mut *bytes, record).map_err(|_| UnknownForm::Unreadable)?;
    Ok(bytes)
}

/// Reads a record of the present version.
pub(crate) fn decode<T: Versioned>(bytes: &[u8]) -> Result<T, UnknownForm> {
    match bytes.split_first() {
        Some((version, rest)) if *version == T::VERSION => {
            options(T::MAX).deserialize(rest).map_err(|_| UnknownForm::Unreadable)
        }
        Some((version, _)) => Err(unknown(*version, T::VERSION)),
        None => Err(UnknownForm::Unreadable),
    }
}

/// Reads a record of the present version, or of the one before.
pub(crate) fn decode_since<Old: Versioned + Into<New>, New: Versioned>(
    bytes: &[u8],
) -> Result<New, UnknownForm> {
    match bytes.first() {
        Some(version) if *version == Old::VERSION => Ok(decode::<Old>(bytes)?.into()),
        _ => decode(bytes),
    }
}

/// The version byte of credentials, which are JSON after it.
const CREDENTIALS_VERSION: u8 = 1;

/// Credentials as their record.
pub(crate) fn encode_credentials(json: &str) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(json.len() + 1));
    bytes.push(CREDENTIALS_VERSION);
    bytes.extend_from_slice(json.as_bytes());
    bytes
}

/// The JSON of credentials.
pub(crate) fn decode_credentials(bytes: &[u8]) -> Result<&str, UnknownForm> {
    match bytes.split_first() {
        Some((&CREDENTIALS_VERSION, json)) => std::str::from_utf8(json).map_err(|_| UnknownForm::Unreadable),
        Some((version, _)) => Err(unknown(*version, CREDENTIALS_VERSION)),
        None => Err(UnknownForm::Unreadable),
    }
}

/// The version byte of artifacts: first the members of the reply, escaped already, `expires_at` the last of
/// them; then the second in which it ends (8 bytes, little-endian, `i64::MAX` for never); then this byte. The
/// members stand first so that an artifact can be opened where its answer is written.
const ARTIFACT_VERSION: u8 = 1;

/// An artifact as its record. `members` is JSON without its braces.
pub(crate) fn encode_artifact(expires_at: Option<Timestamp>, members: &[u8]) -> Zeroizing<Vec<u8>> {
    let text = expires_at.map_or_else(|| "null".to_owned(), |time| format!("\"{time}\""));
    let mut bytes = Zeroizing::new(Vec::with_capacity(members.len() + text.len() + 32));
    bytes.extend_from_slice(members);
    bytes.extend_from_slice(b",\"expires_at\":");
    bytes.extend_from_slice(text.as_bytes());
    bytes.extend_from_slice(&expires_at.map_or(i64::MAX, Timestamp::seconds).to_le_bytes());
    bytes.push(ARTIFACT_VERSION);
    bytes
}

/// A saved artifact, opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Saved {
    /// When it ends; `None` for never.
    pub(crate) expires_at: Option<Timestamp>,
    /// How many bytes the members of the reply take.
    pub(crate) length: usize,
}

/// Reads an artifact's record.
pub(crate) fn decode_artifact(bytes: &[u8]) -> Result<Saved, UnknownForm> {
    let (version, rest) = bytes.split_last().ok_or(UnknownForm::Unreadable)?;
    let (members, expires_at) = rest.split_last_chunk().ok_or(UnknownForm::Unreadable)?;
    if *version != ARTIFACT_VERSION {
        return Err(unknown(*version, ARTIFACT_VERSION));
    }
    let expires_at = i64::from_le_bytes(*expires_at);
    let expires_at = (expires_at != i64::MAX).then(|| Timestamp::from_seconds(expires_at));
    Ok(Saved { expires_at, length: members.len() })
}

macro_rules! numbers {
    ($($word:ty as $to:ident, $from:ident { $($variant:ident = $number:literal),+ $(,)? })+) => {$(
        #[doc = "The number of a word on disk."]
        pub(crate) fn $to(word: $word) -> u8 {
            match word { $(<$word>::$variant => $number),+ }
        }
        #[doc = "The word of a number on disk."]
        pub(crate) fn $from(number: u8) -> Result<$word, UnknownForm> {
            match number { $($number => Ok(<$word>::$variant),)+ _ => Err(UnknownForm::Unreadable) }
        }
    )+};
}
numbers! {
    SecretType as kind_number, kind_of {
        ClientCredentialsGrant = 1, Jwt = 2, Google = 3, SimpleHttp = 4, Token = 5, ApiKey = 6,
        BearerToken = 7, ClientCredentials = 8, Certificate = 9, KeyValue = 10,
    }
    Stage as stage_number, stage_of { Development = 1, Staging = 2, Production = 3 }
    Status as status_number, status_of { Pending = 1, Succeeded = 2, Failed = 3, ManualAuthorization = 4 }
    RefreshStatus as refresh_number, refresh_of { Succeeded = 1, Failed = 2 }
    ExchangePolicy as policy_number, policy_of { Standard = 1, ShortLived = 2 }
    Role as role_number, role_of { Viewer = 1, Contributor = 2 }
    Analytics as analytics_number, analytics_of { Disabled = 1, Limited = 2, Complete = 3 }
    Cause as cause_number, cause_of { Unreachable = 1, Transient = 2, Permanent = 3, Withdrawn = 4 }
    Issuer as issuer_number, issuer_of { Google = 1 }
    By as by_number, by_of { Code = 1, RefreshToken = 2 }
}

#[cfg(test)]
mod tests;
