//! What methods answer. Every attribute is present in JSON, null where empty.

use crate::client_secret::PublicId;
use crate::error::ErrorName;
use crate::kind::{
    Analytics, AuditFault, Change, ClientSecretStatus, ElementState, Ending, ExchangePolicy, FailureCause,
    FindingState, Issuer, RefreshStatus, Role, SecretType, Stage, Status, VaultState,
};
use crate::library::{Digest, Elements, FileMode, FilePath, PackageFile, WorkspaceFile};
use crate::name::{OrganizationName, Qualified, Reference};
use crate::sensitive::{Sensitive, expose};
use crate::time::Timestamp;
use semver::Version;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Nothing but success: `{}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

/// Answers `hello`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Always `bursard`.
    pub agent: String,
    /// The daemon's version.
    pub version: String,
    /// The newest protocol that it speaks.
    pub protocol: u64,
    /// The oldest that it still understands.
    pub protocol_oldest: u64,
}

/// Answers `agent.status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentStatus {
    /// The daemon's version.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// Its socket's path.
    pub socket: String,
    /// The directory in which the vault lies.
    pub state: String,
    /// When it started.
    pub started_at: Timestamp,
    /// Where the vault stands.
    pub vault: VaultState,
    /// `writable`, or what keeps the store from taking writes.
    pub store: String,
    /// How many secrets there are; null while locked.
    pub secrets: Option<u64>,
    /// How many of them failed to exchange or to refresh; null while locked.
    pub failing: Option<u64>,
    /// When the next exchange is due; null while locked, or where none is.
    pub next_attempt_at: Option<Timestamp>,
    /// Why the vault is not open, where it should have opened by itself.
    pub problem: Option<String>,
    /// Whether systemd keeps the socket, and starts the agent when somebody calls.
    #[serde(default)]
    pub activated: bool,
}

/// What protects the agent, and what does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doctor {
    /// One for each thing that was looked at.
    pub findings: Vec<Finding>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What, as `memory lock`.
    pub about: String,
    /// How it stands.
    pub state: FindingState,
    /// What was found, in words.
    pub told: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Answers what changes the vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vault {
    /// Where it stands now.
    pub vault: VaultState,
    /// Whether a passphrase opens it.
    pub passphrase: bool,
    /// The key file that opens it, where there is one.
    pub key_file: Option<String>,
    /// The credential of systemd that opens it, where there is one.
    pub credential: Option<String>,
}

/// Answers `vault.backup` and `vault.restore`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    /// The file.
    pub file: String,
    /// How many records it holds.
    pub records: u64,
    /// How many of them are secrets; null where the vault was locked and nobody could count.
    pub secrets: Option<u64>,
    /// Where the vault that was replaced lies now.
    pub replaced: Option<String>,
}

/// One organization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Organization {
    /// Its name.
    pub organization: OrganizationName,
    /// When it was made.
    pub created_at: Timestamp,
    /// How many environments it has.
    pub environments: u64,
    /// How many secrets it has.
    pub secrets: u64,
    /// How many data elements it has.
    pub elements: u64,
    /// How many packages it has.
    pub packages: u64,
    /// How many client secrets of it count.
    pub client_secrets: u64,
}

/// One environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// Its name.
    pub environment: Qualified,
    /// Its stage.
    pub stage: Stage,
    /// When it was made.
    pub created_at: Timestamp,
    /// How many secrets are bound to it.
    pub secrets: u64,
}

/// Answers `environment.delete`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentDeleted {
    /// The secrets that were bound to it.
    pub unbound: Vec<Qualified>,
    /// The client secrets that were for it alone, and are revoked now.
    pub revoked: Vec<PublicId>,
}

/// A secret's attributes. Never a sensitive field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Secret {
    /// Its name.
    pub name: Qualified,
    /// A random id that a new name does not change.
    pub id: String,
    /// Its type.
    pub r#type: SecretType,
    /// What it is bound to.
    pub environment: Option<Qualified>,
    /// That environment's stage.
    pub stage: Option<Stage>,
    /// The fields that are not sensitive.
    pub credentials: serde_json::Map<String, serde_json::Value>,
    /// Which lifetimes are accepted; null for types without a policy.
    pub exchange_policy: Option<ExchangePolicy>,
    /// How the last exchange of the present credentials ended.
    pub status: Status,
    /// Why it failed, and what to do.
    pub status_details: Option<String>,
    /// What the failure of the last exchange or refresh means; null after a success.
    pub failure: Option<FailureCause>,
    /// False while deactivated.
    pub active: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its attributes or credentials last changed.
    pub updated_at: Timestamp,
    /// When the present artifact was saved.
    pub activated_at: Option<Timestamp>,
    /// When the present artifact ends.
    pub expires_at: Option<Timestamp>,
    /// When it is first refreshed.
    pub refresh_at: Option<Timestamp>,
    /// How the last refresh ended; null before the first.
    pub refresh_status: Option<RefreshStatus>,
    /// Why it failed, and what to do.
    pub refresh_status_details: Option<String>,
    /// How many attempts of the present refresh failed, 0 to 4.
    pub refresh_attempt: u64,
    /// When the next attempt is due.
    pub next_attempt_at: Option<Timestamp>,
    /// When the secret itself ends.
    pub expiration_date: Option<Timestamp>,
    /// Where a person authorizes; in the answers to create, edit and reauthorize alone.
    pub authorization_url: Option<String>,
    /// Until when.
    pub authorization_url_expires_at: Option<Timestamp>,
}

/// Answers `issuer.configure` and `issuer.show`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuerSettings {
    /// The issuer.
    pub issuer: Issuer,
    /// The OAuth client's id.
    pub client_id: String,
    /// Where a person is sent.
    pub authorization_url: String,
    /// Where codes and refresh tokens are exchanged.
    pub token_url: String,
    /// When they were set last.
    pub updated_at: Timestamp,
    /// How many secrets are of this issuer.
    pub secrets: u64,
}

/// Answers `secret.test`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExchangeTest {
    /// The secret.
    pub secret: Qualified,
    /// The lifetime of the token that came, in seconds.
    pub expires_in: u64,
    /// Its type, as the issuer says.
    pub token_type: Option<String>,
    /// Its scope, as the issuer says.
    pub scope: Option<String>,
    /// The first 16 hex digits of the token's SHA-256.
    pub fingerprint: String,
}

/// Answers `secret.where`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The secret.
    pub secret: Qualified,
    /// What it is bound to.
    pub environment: Option<Qualified>,
    /// The data elements in whose slots it is.
    pub elements: Vec<AppliedElement>,
    /// The published versions that name it, themselves or by a data element.
    pub packages: Vec<AppliedPackage>,
    /// The workspaces in whose files its artifact is.
    pub workspaces: Vec<AppliedWorkspace>,
    /// Who asked for its artifact since the agent started, the last first.
    pub callers: Vec<CallerSeen>,
}

/// A data element in whose slot a secret is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedElement {
    /// The element.
    pub element: Qualified,
    /// The slot.
    pub stage: Stage,
}

/// A published version that uses a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedPackage {
    /// The package.
    pub package: Qualified,
    /// Its version.
    pub version: Version,
    /// The element, as the package's templates name it.
    pub element: Reference,
    /// The slot.
    pub stage: Stage,
}

/// A workspace in whose files an artifact is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedWorkspace {
    /// Its absolute path.
    pub workspace: String,
    /// The files.
    pub files: Vec<FilePath>,
    /// When they were last written.
    pub synced_at: Option<Timestamp>,
}

/// A process that asked for an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallerSeen {
    /// Its executable, where that could be read.
    pub executable: Option<String>,
    /// Its user.
    pub uid: u32,
    /// When it last asked.
    pub last_seen_at: Timestamp,
    /// How often.
    pub count: u64,
}

/// Answers `artifact.get`. The daemon writes it piece by piece; clients read it into this.
#[derive(Debug, Deserialize)]
pub struct Artifact {
    /// The secret.
    pub secret: Qualified,
    /// Its type.
    pub r#type: SecretType,
    /// The value; null for types with several fields.
    pub value: Option<Sensitive>,
    /// The fields of types that have several, and of the header types; null for the others.
    pub fields: Option<BTreeMap<String, Sensitive>>,
    /// How the value is sent in a header; null for types that are not.
    pub header: Option<Header>,
    /// When the artifact ends; null if never.
    pub expires_at: Option<Timestamp>,
}

impl Artifact {
    /// A field by its name, as types with several have them; of a single value it is `value`, and what its type calls it.
    pub fn field(&self, name: &str) -> Option<&Sensitive> {
        let listed = self.fields.as_ref().and_then(|fields| fields.get(name));
        let is_the_value = name == "value" || self.r#type.value_field() == Some(name);
        listed.or_else(|| self.value.as_ref().filter(|_| is_the_value))
    }
}

/// Answers `credential.get`.
#[derive(Debug, Deserialize)]
pub struct Credential {
    /// The credential.
    pub credential: String,
    /// The unit that asks.
    pub unit: String,
    /// The secret that stands behind it.
    pub secret: Qualified,
    /// The value: of the secret, or of one of its fields.
    pub value: Sensitive,
    /// When it ends; null if never.
    pub expires_at: Option<Timestamp>,
}

/// How a value is sent in a header: the line is `NAME: PREFIXVALUE`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The header's name.
    pub name: String,
    /// What stands before the value: `Bearer `, `Basic `, or nothing.
    pub prefix: String,
}

/// The parameters of the notification `artifact.changed`. Never a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// The secret.
    pub secret: Qualified,
    /// What happened.
    pub change: Change,
    /// When.
    pub at: Timestamp,
    /// Its status now.
    pub status: Status,
    /// When its artifact ends.
    pub expires_at: Option<Timestamp>,
}

/// The parameters of the notification `artifact.missed`: the client read too slowly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missed {
    /// How many changes it was not told.
    pub count: u64,
}

/// One data element.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Element {
    /// Its name.
    pub element: Qualified,
    /// The secret for development.
    pub development: Option<Qualified>,
    /// The secret for staging.
    pub staging: Option<Qualified>,
    /// The secret for production.
    pub production: Option<Qualified>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When a slot last changed.
    pub updated_at: Timestamp,
}

/// What an element stands for, and whether that can be used. Never a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolved {
    /// The element, as it was asked for.
    pub element: Reference,
    /// The slot that was looked at.
    pub stage: Stage,
    /// The secret in it.
    pub secret: Option<Qualified>,
    /// What that secret is bound to.
    pub environment: Option<Qualified>,
    /// Its type.
    pub r#type: Option<SecretType>,
    /// When its artifact ends; null if never, or where there is none.
    pub expires_at: Option<Timestamp>,
    /// Whether it can be used, and if not, what kind of fault it is.
    pub state: ElementState,
    /// What is wrong: element, slot, secret, reason; null where it is good.
    pub problem: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Answers `library.resolve` and `package.resolve`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolution {
    /// The environment; null where a stage was asked for as such.
    pub environment: Option<Qualified>,
    /// Its stage.
    pub stage: Stage,
    /// Every element, in the order of their names.
    pub elements: Vec<Resolved>,
}

/// A package in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageListed {
    /// Its name.
    pub package: Qualified,
    /// Its highest version.
    pub latest: Version,
    /// How many versions it has.
    pub versions: u64,
    /// When the last of them was published.
    pub published_at: Timestamp,
}

/// A package with its versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// Its name.
    pub package: Qualified,
    /// Its versions, the highest first.
    pub versions: Vec<PackageVersion>,
}

/// One version of a package, without its templates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageVersion {
    /// The package.
    pub package: Qualified,
    /// The version.
    pub version: Version,
    /// The SHA-256 of its content.
    pub digest: Digest,
    /// When it was published; null for a dry run.
    pub published_at: Option<Timestamp>,
    /// Who published it: `uid 1000`, `unit deploy.service`, `client secret k3j9x2m4pq`.
    pub published_by: String,
    /// Its elements; null for versions that are only listed.
    pub elements: Option<Elements>,
    /// Its files; null for versions that are only listed.
    pub files: Option<Vec<PackageFileListed>>,
}

/// A file of a package, without its template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageFileListed {
    /// Where it is written in a workspace.
    pub path: FilePath,
    /// With which permissions.
    pub mode: FileMode,
    /// The length of its template, in bytes.
    pub bytes: u64,
    /// The elements that it names, each once.
    pub elements: Vec<Reference>,
}

/// The content of one version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageContent {
    /// The package.
    pub package: Qualified,
    /// The version.
    pub version: Version,
    /// The SHA-256 of its content.
    pub digest: Digest,
    /// Its elements.
    pub elements: Elements,
    /// Its files with their templates.
    pub files: Vec<PackageFile>,
}

/// A workspace in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkspaceListed {
    /// Its absolute path.
    pub workspace: String,
    /// The user who synced it.
    pub uid: u32,
    /// The digest of the `bursar.toml` that a person trusts.
    pub trusted: Option<Digest>,
    /// The environment that it was last built for.
    pub environment: Option<Qualified>,
    /// When files were last written.
    pub synced_at: Option<Timestamp>,
    /// How many files were written.
    pub files: u64,
}

/// What the agent knows of a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workspace {
    /// Its absolute path.
    pub workspace: String,
    /// The digest of the `bursar.toml` that a person trusts.
    pub trusted: Option<Digest>,
    /// The environment that it was last built for.
    pub environment: Option<Qualified>,
    /// When files were last written.
    pub synced_at: Option<Timestamp>,
    /// The files that were written, by path.
    pub files: Vec<WorkspaceFile>,
    /// Those of them in which values of deleted secrets lie.
    pub deleted: Vec<FilePath>,
}

/// Answers `authenticate`. It is refused as a whole only if none of them counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authenticated {
    /// In the order in which they were given.
    pub client_secrets: Vec<AuthenticatedSecret>,
}

/// How one of the client secrets stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthenticatedSecret {
    /// Its public id; null where it shows none.
    pub id: Option<PublicId>,
    /// Its organization; null where it does not count.
    pub organization: Option<OrganizationName>,
    /// The one environment that it is for.
    pub environment: Option<Qualified>,
    /// What it may do; null where it does not count.
    pub role: Option<Role>,
    /// When it ends; null where it does not count.
    pub expires_at: Option<Timestamp>,
    /// Why it does not count.
    pub error: Option<ErrorName>,
    /// The same in words.
    pub problem: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

/// One client secret, without its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientSecret {
    /// Its public id.
    pub id: PublicId,
    /// The organization that it is for.
    pub organization: OrganizationName,
    /// The one environment that it is for.
    pub environment: Option<Qualified>,
    /// What it is for, in words.
    pub description: String,
    /// What it may do.
    pub role: Role,
    /// How it stands.
    pub status: ClientSecretStatus,
    /// When it was issued.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When it last allowed something.
    pub last_used_at: Option<Timestamp>,
    /// How much is kept of its use.
    pub analytics: Analytics,
    /// The one that was issued in its place.
    pub successor: Option<PublicId>,
}

/// A client secret at the moment when it is issued.
#[derive(Debug, Serialize, Deserialize)]
pub struct ClientSecretIssued {
    /// Its value, shown this once.
    #[serde(serialize_with = "expose")]
    pub client_secret: Sensitive,
    /// Everything else.
    #[serde(flatten)]
    pub about: ClientSecret,
}

/// A secret that was deleted, and the places where its values may still lie.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// The name that it had.
    pub secret: Qualified,
    /// When it was deleted.
    pub deleted_at: Timestamp,
    /// When this is forgotten, whatever still lies there: 30 days later.
    pub until: Timestamp,
    /// Whether the store's own log may hold it, sealed; it is rewritten within days.
    pub store: bool,
    /// Whether a snapshot may hold it, sealed; it goes with the store's log.
    pub snapshots: bool,
    /// The workspaces in whose files a value was written; a sync there replaces or removes them.
    pub workspaces: Vec<AppliedWorkspace>,
}

/// An entry of the record of accesses. Never a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Its number, from 1 on.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// As whom: `owner`, `agent`, `nobody`, `unit deploy.service`, `client secret k3j9x2m4pq`.
    pub principal: String,
    /// The user of the process; null for the agent itself.
    pub uid: Option<u32>,
    /// Its process id, where it is known.
    pub pid: Option<u32>,
    /// Its executable, where that could be read.
    pub executable: Option<String>,
    /// The method, or `exchange` for what the agent does at an issuer by itself.
    pub method: String,
    /// What it was about: a name, an id, a path.
    pub subject: Option<String>,
    /// The secret whose value it was about, where it was about one.
    pub secret: Option<Qualified>,
    /// `ok`, or the name of the error.
    pub outcome: String,
    /// How often, in this second.
    pub count: u64,
    /// What the CI said of itself, where analytics is complete.
    pub ci: Option<BTreeMap<String, String>>,
}

/// Answers `audit.list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditPage {
    /// The entries, the oldest first.
    pub entries: Vec<AuditEntry>,
    /// What to give as `after` (or `before`, if that was given or neither) for the next page; null at the end. A page may be
    /// short, or empty, where few entries of it were wanted.
    pub next: Option<u64>,
}

/// Answers `audit.verify`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditProof {
    /// Whether nothing is wrong.
    pub sound: bool,
    /// How many entries are kept.
    pub entries: u64,
    /// The number of the first of them.
    pub first: u64,
    /// The number that the next entry will have.
    pub next: u64,
    /// What is wrong, and where; a hundred faults at the most.
    pub faults: Vec<AuditFaultFound>,
}

/// Something wrong in the record of accesses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditFaultFound {
    /// What.
    pub fault: AuditFault,
    /// The number of the first entry that it concerns.
    pub from: u64,
    /// The number of the last.
    pub to: u64,
}

/// How often a secret or a client secret was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// The secret, if it is one.
    pub secret: Option<Qualified>,
    /// The client secret, if it is one.
    pub client_secret: Option<PublicId>,
    /// The client secret's description.
    pub description: Option<String>,
    /// How much is kept.
    pub analytics: Analytics,
    /// When it was last used; null where that was never, or longer ago than is kept.
    pub last_used_at: Option<Timestamp>,
    /// How often in the days that were asked for.
    pub count: u64,
    /// The days on which it was used, the oldest first.
    pub days: Vec<UsageDay>,
}

/// One day of use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageDay {
    /// The day in UTC: `2026-11-21`.
    pub day: String,
    /// How often.
    pub count: u64,
    /// By which method, or for a client secret by which command.
    pub by: BTreeMap<String, u64>,
}

/// Something that ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expiring {
    /// What it is.
    pub what: Ending,
    /// The name of the secret, if it is one's.
    pub secret: Option<Qualified>,
    /// The public id, if it is a client secret.
    pub client_secret: Option<PublicId>,
    /// The client secret's description.
    pub description: Option<String>,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Whether it has.
    pub expired: bool,
    /// Why it ends, where it is not its date: what keeps its token from being refreshed.
    pub reason: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}
