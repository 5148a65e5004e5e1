//! Every method with its parameters, in one table.
//!
//! A method is a struct of parameters that knows its name and its reply, so a client cannot mix them up;
//! [`Call`] is all of them as one enum, so the daemon's match over it is exhaustive. Decoding never echoes
//! input; see [`crate::fields`].

use crate::client_secret::PublicId;
use crate::fields::{Edit, Fields, Invalid};
use crate::kind::{Analytics, ExchangePolicy, Issuer, Role, SecretType, Stage, Status};
use crate::library::{Digest, Elements, PackageFile, WorkspaceFile};
use crate::name::{OrganizationName, Reference};
use crate::reply;
use crate::sensitive::{Sensitive, SensitiveJson, expose};
use crate::time::Timestamp;
use semver::Version;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// How many secrets a page of `secret.list` holds at the most: an answer of about a megabyte.
pub const SECRETS_PAGE_MAX: u64 = 1_000;

/// The shortest passphrase, in bytes; Argon2id makes guessing dear, not impossible.
pub const PASSPHRASE_MIN: usize = 8;

/// The longest passphrase, in bytes: longer ones are files, and a vault takes those as key files.
pub const PASSPHRASE_MAX: usize = 1_024;

/// The longest life of a client secret, in seconds: 24 months of 31 days, rounded up to whole days of the calendar.
pub const CLIENT_SECRET_LIFE_MAX: u64 = 731 * 86_400;

/// How long a client secret lives if nobody says, in seconds: 90 days.
pub const CLIENT_SECRET_LIFE: u64 = 90 * 86_400;

/// The longest description of a client secret, in bytes.
pub const DESCRIPTION_MAX: usize = 200;

/// How many entries a page of `audit.list` holds at the most: an answer of about a third of a megabyte.
pub const AUDIT_PAGE_MAX: u64 = 1_000;

/// How far back usage is kept, in days: a year, and the month that is not over.
pub const USAGE_DAYS_MAX: u64 = 365;

/// How many facts a CI may say of itself.
pub const CI_FACTS_MAX: usize = 8;

/// The longest name or text of such a fact, in bytes.
pub const CI_FACT_MAX: usize = 256;

/// The longest address that a browser ended on, in bytes: what an address bar takes, and far more than a code needs.
pub const REDIRECT_MAX: usize = 8 * 1024;

/// The longest id or secret of an issuer's client, in bytes; Google's have less than a hundred.
pub const ISSUER_CLIENT_MAX: usize = 2_048;

/// A method: its parameters, its name, its reply.
pub trait Method: Serialize + Sized {
    /// The name on the wire.
    const NAME: &'static str;
    /// What it answers.
    type Reply: DeserializeOwned;

    /// Reads the parameters.
    ///
    /// # Errors
    /// A field that is missing, unknown, or not what it should be.
    fn decode(fields: Fields<'_>) -> Result<Self, Invalid>;
}

macro_rules! methods {
    ($(
        $(#[$doc:meta])*
        $name:literal $method:ident { $( $(#[$field_doc:meta])* $field:ident: $type:ty ),* $(,)? } -> $reply:ty;
    )+) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Serialize)]
            pub struct $method { $( $(#[$field_doc])* pub $field: $type ),* }

            impl Method for $method {
                const NAME: &'static str = $name;
                type Reply = $reply;
                fn decode(fields: Fields<'_>) -> Result<Self, Invalid> {
                    fields.only(&[$(stringify!($field).trim_start_matches("r#")),*])?;
                    Ok(Self { $($field: fields.take(stringify!($field).trim_start_matches("r#"))?),* })
                }
            }
        )+

        /// Any call.
        #[derive(Debug)]
        pub enum Call {
            $($(#[$doc])* $method($method)),+
        }

        impl Call {
            /// Every method, in the order of the reference.
            pub const METHODS: &'static [&'static str] = &[$($name),+];

            /// Reads a call; `None` where there is no such method.
            ///
            /// # Errors
            /// See [`Method::decode`].
            pub fn decode(method: &str, params: Option<&str>) -> Option<Result<Self, Invalid>> {
                match method {
                    $($name => Some(Fields::parse(params)
                        .map_err(|_| Invalid::new("params: expected an object, each member once"))
                        .and_then($method::decode).map(Self::$method)),)+
                    _ => None,
                }
            }

            /// The method's name, safe for logs.
            pub const fn method(&self) -> &'static str {
                match self { $(Self::$method(_) => $name),+ }
            }
        }
    };
}

methods! {
    /// Says who is there and which protocols it speaks. Optional, and always allowed.
    "hello" Hello {
        /// The protocol that the client speaks, if it wants that checked.
        protocol: Option<u64>,
    } -> reply::Hello;

    /// From now on this connection has the rights of client secrets alone, whoever is on the other end.
    "authenticate" Authenticate {
        /// The client secrets; each request needs one of them that allows it.
        #[serde(serialize_with = "expose")]
        client_secrets: Vec<Sensitive>,
        /// The command that this is for, `[a-z-]{1,20}`; usage counts by it.
        command: Option<String>,
        /// What the CI says of itself; kept where analytics is complete.
        ci: Option<BTreeMap<String, String>>,
    } -> reply::Authenticated;

    /// The state of the agent: vault, counts, next refresh, store.
    "agent.status" AgentStatus {} -> reply::AgentStatus;
    /// Stops the daemon after what is under way has been answered.
    "agent.stop" AgentStop {} -> reply::Empty;
    /// What protects the agent here, and what does not.
    "agent.doctor" AgentDoctor {} -> reply::Doctor;

    /// Makes the vault, with one of passphrase, key file and credential.
    "vault.init" VaultInit {
        /// The passphrase.
        #[serde(serialize_with = "expose")]
        passphrase: Option<Sensitive>,
        /// An absolute path; the file is made (0600) if absent, and remembered.
        key_file: Option<String>,
        /// The name of a credential that systemd hands to the daemon (`LoadCredentialEncrypted=`); remembered.
        credential: Option<String>,
    } -> reply::Vault;
    /// Brings the keys into memory.
    "vault.unlock" VaultUnlock {
        /// The passphrase.
        #[serde(serialize_with = "expose")]
        passphrase: Option<Sensitive>,
        /// An absolute path; without both, the remembered key file or credential.
        key_file: Option<String>,
    } -> reply::Vault;
    /// Wipes the keys from memory.
    "vault.lock" VaultLock {} -> reply::Vault;
    /// Sets a new passphrase; the data keys stay.
    "vault.passphrase" VaultPassphrase {
        /// The present passphrase, where the vault has one.
        #[serde(serialize_with = "expose")]
        current: Option<Sensitive>,
        /// The new one.
        #[serde(serialize_with = "expose")]
        new: Sensitive,
    } -> reply::Vault;
    /// Makes new data keys and writes the whole store anew.
    "vault.rekey" VaultRekey {
        /// The passphrase, where the vault has one.
        #[serde(serialize_with = "expose")]
        passphrase: Option<Sensitive>,
        /// The name of a credential that opens it from now on, in the place of an older one.
        credential: Option<String>,
    } -> reply::Vault;
    /// Writes the whole vault into one sealed file.
    "vault.backup" VaultBackup {
        /// An absolute path; written 0600 by rename.
        file: String,
    } -> reply::Backup;
    /// Proves a backup and puts it in the place of the present vault.
    "vault.restore" VaultRestore {
        /// An absolute path.
        file: String,
        /// The passphrase of the backup.
        #[serde(serialize_with = "expose")]
        passphrase: Option<Sensitive>,
        /// The key file of the backup; without both, the one that it remembers.
        key_file: Option<String>,
    } -> reply::Backup;

    /// Makes an organization, with its environment `development`.
    "organization.create" OrganizationCreate {
        /// Its name.
        organization: OrganizationName,
    } -> reply::Organization;
    /// All organizations, by name.
    "organization.list" OrganizationList {} -> Vec<reply::Organization>;
    /// Deletes an organization that has no secrets.
    "organization.delete" OrganizationDelete {
        /// Its name.
        organization: OrganizationName,
    } -> reply::Empty;

    /// Makes an environment.
    "environment.create" EnvironmentCreate {
        /// Its name.
        environment: Reference,
        /// Its stage; one staging and one production at most in an organization.
        stage: Stage,
    } -> reply::Environment;
    /// Environments, by name.
    "environment.list" EnvironmentList {
        /// Only this organization's.
        organization: Option<OrganizationName>,
    } -> Vec<reply::Environment>;
    /// One environment.
    "environment.show" EnvironmentShow {
        /// Its name.
        environment: Reference,
    } -> reply::Environment;
    /// Deletes an environment: its secrets become unbound, their artifacts are dropped.
    "environment.delete" EnvironmentDelete {
        /// Its name.
        environment: Reference,
    } -> reply::EnvironmentDeleted;

    /// Makes a secret and starts its exchange.
    "secret.create" SecretCreate {
        /// Its name.
        secret: Reference,
        /// Its type.
        r#type: SecretType,
        /// What it is bound to; `development` of its organization if not said.
        environment: Option<Reference>,
        /// Bind it to nothing.
        unbound: Option<bool>,
        /// The type's fields.
        #[serde(serialize_with = "expose")]
        credentials: SensitiveJson,
        /// Which lifetimes are accepted; the config's default if not said.
        exchange_policy: Option<ExchangePolicy>,
        /// When it ends; not for certificates, whose own date it is.
        expiration_date: Option<Timestamp>,
    } -> reply::Secret;
    /// Secrets by name, a page at a time.
    "secret.list" SecretList {
        /// Only this organization's.
        organization: Option<OrganizationName>,
        /// Only of this type.
        r#type: Option<SecretType>,
        /// Only bound to this environment.
        environment: Option<Reference>,
        /// Only in this status.
        status: Option<Status>,
        /// Only names after this one: the last of the page before.
        after: Option<Reference>,
        /// How many at most; 1,000 is the most and the default.
        limit: Option<u64>,
    } -> Vec<reply::Secret>;
    /// One secret with all its attributes.
    "secret.show" SecretShow {
        /// Its name.
        secret: Reference,
    } -> reply::Secret;
    /// Changes a secret and exchanges it again. What is absent stays, null clears.
    "secret.edit" SecretEdit {
        /// Its name.
        secret: Reference,
        /// Its new name, in the same organization.
        name: Option<Reference>,
        /// Its type, which stays: another one is a conflict.
        #[serde(skip_serializing_if = "Option::is_none")]
        r#type: Option<SecretType>,
        /// Binds an unbound secret; a bound one stays where it is.
        #[serde(skip_serializing_if = "Edit::is_keep")]
        environment: Edit<Reference>,
        /// The fields that change.
        #[serde(serialize_with = "expose")]
        credentials: Option<SensitiveJson>,
        /// Which lifetimes are accepted.
        exchange_policy: Option<ExchangePolicy>,
        /// When it ends.
        #[serde(skip_serializing_if = "Edit::is_keep")]
        expiration_date: Edit<Timestamp>,
    } -> reply::Secret;
    /// Binds an unbound secret to an environment, once.
    "secret.bind" SecretBind {
        /// Its name.
        secret: Reference,
        /// An environment of the same organization.
        environment: Reference,
    } -> reply::Secret;
    /// Runs an exchange and reports it; changes nothing.
    "secret.test" SecretTest {
        /// Its name.
        secret: Reference,
    } -> reply::ExchangeTest;
    /// Runs the exchange anew, from `pending`.
    "secret.retry" SecretRetry {
        /// Its name.
        secret: Reference,
    } -> reply::Secret;
    /// Asks a person for the grant of a secret anew. What was granted before counts until then.
    "secret.reauthorize" SecretReauthorize {
        /// Its name.
        secret: Reference,
    } -> reply::Secret;
    /// Takes the address that a browser ended on, where it could not reach this machine.
    "secret.authorize" SecretAuthorize {
        /// Its name.
        secret: Reference,
        /// The whole address: `http://127.0.0.1:PORT/oauth2/callback?…`.
        #[serde(serialize_with = "expose")]
        redirect: Sensitive,
    } -> reply::Secret;
    /// Answers when the secret is no longer pending, and no person can authorize it any more.
    "secret.wait" SecretWait {
        /// Its name.
        secret: Reference,
    } -> reply::Secret;
    /// Where a secret is applied.
    "secret.where" SecretWhere {
        /// Its name.
        secret: Reference,
    } -> reply::Applied;
    /// Makes a secret unavailable until it is reactivated.
    "secret.deactivate" SecretDeactivate {
        /// Its name.
        secret: Reference,
    } -> reply::Secret;
    /// Undoes a deactivation.
    "secret.reactivate" SecretReactivate {
        /// Its name.
        secret: Reference,
    } -> reply::Secret;
    /// Deletes a secret for good.
    "secret.delete" SecretDelete {
        /// Its name.
        secret: Reference,
    } -> reply::Empty;

    /// Secrets that were deleted, while their values may still lie somewhere.
    "secret.deleted" SecretDeleted {} -> Vec<reply::Tombstone>;

    /// Sets the client by which a named issuer knows this vault, and where that issuer is.
    "issuer.configure" IssuerConfigure {
        /// Which issuer.
        issuer: Issuer,
        /// The OAuth client's id.
        client_id: String,
        /// The OAuth client's secret.
        #[serde(serialize_with = "expose")]
        client_secret: Sensitive,
        /// Where a person is sent; the issuer's own if not said.
        authorization_url: Option<String>,
        /// Where codes and refresh tokens are exchanged; the issuer's own if not said.
        token_url: Option<String>,
    } -> reply::IssuerSettings;
    /// The settings of a named issuer, without its client's secret.
    "issuer.show" IssuerShow {
        /// Which issuer.
        issuer: Issuer,
    } -> reply::IssuerSettings;

    /// Hands out an artifact.
    "artifact.get" ArtifactGet {
        /// The secret's name.
        secret: Reference,
        /// How many seconds it must still be valid; 1 if not said.
        min_validity: Option<u64>,
        /// Only if the secret is bound to this environment.
        environment: Option<Reference>,
    } -> reply::Artifact;
    /// Starts notifications `artifact.changed` on this connection.
    "artifact.watch" ArtifactWatch {
        /// Only of this secret.
        secret: Option<Reference>,
    } -> reply::Empty;

    /// Hands a process of a systemd unit a credential that the config names for that unit.
    "credential.get" CredentialGet {
        /// The credential's name, as in `LoadCredential=`.
        credential: String,
        /// How many seconds it must still be valid, where the config does not ask for more.
        min_validity: Option<u64>,
    } -> reply::Credential;

    /// Makes a data element, or fills and empties slots of one. What is absent stays, null empties.
    "element.set" ElementSet {
        /// Its name.
        element: Reference,
        /// A secret bound to a development environment.
        #[serde(skip_serializing_if = "Edit::is_keep")]
        development: Edit<Reference>,
        /// A secret bound to the staging environment.
        #[serde(skip_serializing_if = "Edit::is_keep")]
        staging: Edit<Reference>,
        /// A secret bound to the production environment.
        #[serde(skip_serializing_if = "Edit::is_keep")]
        production: Edit<Reference>,
    } -> reply::Element;
    /// Data elements, by name.
    "element.list" ElementList {
        /// Only this organization's.
        organization: Option<OrganizationName>,
    } -> Vec<reply::Element>;
    /// One data element.
    "element.show" ElementShow {
        /// Its name.
        element: Reference,
    } -> reply::Element;
    /// Deletes a data element; the secrets in its slots stay.
    "element.delete" ElementDelete {
        /// Its name.
        element: Reference,
    } -> reply::Empty;
    /// Says which secret an element stands for in an environment, once that secret can be used. Without a value.
    "element.resolve" ElementResolve {
        /// Its name.
        element: Reference,
        /// An environment of the same organization.
        environment: Reference,
    } -> reply::Resolved;

    /// Resolves the elements of a library that is not published, all of them. Waits for exchanges that run or
    /// are due. Without a value.
    "library.resolve" LibraryResolve {
        /// The library's organization; the config's if not said.
        organization: Option<OrganizationName>,
        /// Its elements.
        elements: Elements,
        /// For this environment of the organization,
        environment: Option<Reference>,
        /// or for this stage: each for the environment that its secret is bound to.
        stage: Option<Stage>,
    } -> reply::Resolution;

    /// Publishes a version of a package, for good.
    "package.publish" PackagePublish {
        /// Its name.
        package: Reference,
        /// Its version, higher or lower than the others, but a new one.
        version: Version,
        /// The library's elements.
        elements: Elements,
        /// The library's files.
        files: Vec<PackageFile>,
        /// Check everything, and publish nothing.
        dry_run: Option<bool>,
    } -> reply::PackageVersion;
    /// Packages, by name.
    "package.list" PackageList {
        /// Only this organization's.
        organization: Option<OrganizationName>,
    } -> Vec<reply::PackageListed>;
    /// A package's versions, the highest first, one of them with elements and files. Without a value or a template.
    "package.show" PackageShow {
        /// Its name.
        package: Reference,
        /// The version whose elements and files are told; the highest if not said.
        version: Option<Version>,
    } -> reply::Package;
    /// The content of one version: elements and templates.
    "package.fetch" PackageFetch {
        /// The package.
        package: Reference,
        /// The version.
        version: Version,
    } -> reply::PackageContent;
    /// Resolves all elements of one version. Waits for exchanges that run or are due. Without a value.
    "package.resolve" PackageResolve {
        /// The package.
        package: Reference,
        /// The version.
        version: Version,
        /// For this environment of the package's organization,
        environment: Option<Reference>,
        /// or for the organization's only environment of this stage.
        stage: Option<Stage>,
    } -> reply::Resolution;
    /// Hands out the artifact that one element of a version stands for in an environment.
    "package.get" PackageGet {
        /// The package.
        package: Reference,
        /// The version.
        version: Version,
        /// An environment of the package's organization.
        environment: Reference,
        /// The element, as the package's templates name it.
        element: Reference,
        /// How many seconds the artifact must still be valid; 1 if not said.
        min_validity: Option<u64>,
    } -> reply::Artifact;

    /// What the agent knows of a workspace; all of it empty where it knows nothing.
    "workspace.show" WorkspaceShow {
        /// Its absolute path.
        workspace: String,
    } -> reply::Workspace;
    /// The workspaces that the agent knows, by path.
    "workspace.list" WorkspaceList {} -> Vec<reply::WorkspaceListed>;
    /// Notes that a person trusts a workspace whose `bursar.toml` has this digest.
    "workspace.trust" WorkspaceTrust {
        /// Its absolute path.
        workspace: String,
        /// The SHA-256 of `bursar.toml`, in hex.
        digest: Digest,
    } -> reply::Workspace;
    /// Notes what is, or is about to be, written into a workspace: all of it.
    "workspace.record" WorkspaceRecord {
        /// Its absolute path.
        workspace: String,
        /// The environment that it was built for.
        environment: Reference,
        /// Its files.
        files: Vec<WorkspaceFile>,
        /// Whether all of it is written; if not said, it is about to be.
        synced: Option<bool>,
        /// The digest of `bursar.toml` after an edit of our own, where it was trusted before.
        trusted: Option<Digest>,
    } -> reply::Workspace;
    /// Forgets a workspace; its files stay.
    "workspace.forget" WorkspaceForget {
        /// Its absolute path.
        workspace: String,
        /// The user who synced it; the caller if not said.
        uid: Option<u64>,
    } -> reply::Empty;

    /// Issues a client secret. The answer is the only one that ever shows its value.
    "client_secret.create" ClientSecretCreate {
        /// The organization that it is for.
        organization: OrganizationName,
        /// What it is for, in words.
        description: String,
        /// What it may do.
        role: Role,
        /// Only in this environment of the organization.
        environment: Option<Reference>,
        /// How long it lives, in seconds; 90 days if not said, 24 months at the most.
        expires_in: Option<u64>,
        /// How much is kept of its use; `limited` if not said.
        analytics: Option<Analytics>,
    } -> reply::ClientSecretIssued;
    /// Client secrets, the newest first. Never a value.
    "client_secret.list" ClientSecretList {
        /// Only this organization's.
        organization: Option<OrganizationName>,
    } -> Vec<reply::ClientSecret>;
    /// One client secret.
    "client_secret.show" ClientSecretShow {
        /// Its public id.
        id: PublicId,
    } -> reply::ClientSecret;
    /// Sets how much is kept of a client secret's use: all of it that ever changes.
    "client_secret.set_analytics" ClientSecretSetAnalytics {
        /// Its public id.
        id: PublicId,
        /// How much.
        analytics: Analytics,
    } -> reply::ClientSecret;
    /// Issues a successor, and ends the present one after an overlap.
    "client_secret.rotate" ClientSecretRotate {
        /// The public id of the present one.
        id: PublicId,
        /// How much longer it lives, in seconds; 0 if not said. It never lives longer than it would have.
        overlap: Option<u64>,
    } -> reply::ClientSecretIssued;
    /// Ends a client secret at once and for good.
    "client_secret.revoke" ClientSecretRevoke {
        /// Its public id.
        id: PublicId,
    } -> reply::ClientSecret;

    /// The record of accesses, a page at a time, the oldest of a page first.
    "audit.list" AuditList {
        /// Only entries after this number: pages forwards.
        after: Option<u64>,
        /// Only entries before this number: pages backwards. Without both, the newest page.
        before: Option<u64>,
        /// Only of this secret.
        secret: Option<Reference>,
        /// Only by this client secret.
        client_secret: Option<PublicId>,
        /// Only from this time on.
        since: Option<Timestamp>,
        /// How many at most; 1,000 is the most and the default.
        limit: Option<u64>,
    } -> reply::AuditPage;
    /// Starts notifications `audit.entry` on this connection.
    "audit.watch" AuditWatch {
        /// Only of this secret.
        secret: Option<Reference>,
        /// Only by this client secret.
        client_secret: Option<PublicId>,
    } -> reply::Empty;
    /// Proves the whole record, or says where it was cut or changed.
    "audit.verify" AuditVerify {} -> reply::AuditProof;

    /// How often secrets and client secrets were used.
    "usage.list" UsageList {
        /// Only this organization's.
        organization: Option<OrganizationName>,
        /// Only this secret.
        secret: Option<Reference>,
        /// Only this client secret.
        client_secret: Option<PublicId>,
        /// How many days back; 30 if not said, 365 at the most.
        days: Option<u64>,
        /// Only what was not used for so many seconds.
        unused: Option<u64>,
    } -> Vec<reply::Usage>;

    /// What ends soon, or has ended, the first first.
    "expiring.list" ExpiringList {
        /// Within so many seconds; 30 days if not said.
        within: Option<u64>,
        /// Only this organization's.
        organization: Option<OrganizationName>,
    } -> Vec<reply::Expiring>;
}

impl SecretCreate {
    /// The parameters as they stand in a file: `secret` beside the members of the file.
    ///
    /// # Errors
    /// A member that is unknown or wrong.
    pub fn from_file(secret: Reference, json: &str) -> Result<Self, Invalid> {
        let fields = Fields::parse(Some(json))?;
        fields.only(&[
            "type",
            "environment",
            "unbound",
            "credentials",
            "exchange_policy",
            "expiration_date",
        ])?;
        // null says that there is none, as answers show it; absent leaves it to the default
        let (environment, unbound) = match fields.take("environment")? {
            Edit::Keep => (None, fields.take("unbound")?),
            Edit::Clear => (None, Some(true)),
            Edit::Set(environment) => (Some(environment), fields.take("unbound")?),
        };
        Ok(Self {
            secret,
            r#type: fields.take("type")?,
            environment,
            unbound,
            credentials: fields.take("credentials")?,
            exchange_policy: fields.take("exchange_policy")?,
            expiration_date: fields.take("expiration_date")?,
        })
    }
}

/// The parameters of `artifact.get`, borrowed: the one call that must cost nothing.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuickGet<'a> {
    /// The secret's name, unparsed.
    #[serde(borrow)]
    pub secret: &'a str,
    /// See [`ArtifactGet::min_validity`].
    pub min_validity: Option<u64>,
}

impl<'a> QuickGet<'a> {
    /// Reads well-formed parameters; `None` means: decode in full, for the right words.
    pub fn read(params: Option<&'a str>) -> Option<Self> {
        serde_json::from_str(params?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(method: &str, params: &str) -> Result<Call, String> {
        Call::decode(method, Some(params)).expect("a method").map_err(|e| e.to_string())
    }

    #[test]
    fn parameters_read_as_they_are_written() {
        let call = SecretEdit {
            secret: "acme/x".parse().unwrap(),
            name: None,
            r#type: None,
            environment: Edit::Keep,
            credentials: Some(SensitiveJson::new(r#"{"token":"t"}"#.into()).unwrap()),
            exchange_policy: None,
            expiration_date: Edit::Clear,
        };
        let json = serde_json::to_string(&call).unwrap();
        let Ok(Call::SecretEdit(read)) = decode("secret.edit", &json) else { panic!("{json}") };
        assert_eq!(read.expiration_date, Edit::Clear);
        assert_eq!(read.credentials.unwrap().expose(), r#"{"token":"t"}"#);
    }

    #[test]
    fn a_fault_names_its_field() {
        let wrong = |params| decode("artifact.get", params).unwrap_err();
        assert_eq!(wrong("{}"), "field secret: is required");
        assert_eq!(wrong(r#"{"secret":"a","ttl":1}"#), "unknown field ttl");
        assert_eq!(
            wrong(r#"{"secret":"a","min_validity":"1"}"#),
            "field min_validity: expected a whole number, found a text"
        );
        assert_eq!(wrong("[1]"), "params: expected an object, each member once");
        assert!(Call::decode("artifact.put", None).is_none());
    }

    #[test]
    fn the_quick_reading_agrees_with_the_full_one() {
        for params in [r#"{"secret":"acme/x"}"#, r#"{"min_validity":600,"secret":"x"}"#] {
            let quick = QuickGet::read(Some(params)).unwrap();
            let Ok(Call::ArtifactGet(full)) = decode("artifact.get", params) else { panic!() };
            assert_eq!((quick.secret.parse(), quick.min_validity), (Ok(full.secret), full.min_validity));
        }
        assert!(QuickGet::read(Some(r#"{"secret":"x","y":1}"#)).is_none());
    }
}
