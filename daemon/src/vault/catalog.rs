//! What the vault holds, in memory while it is unlocked: names, attributes, due times. Never a credential
//! or an artifact; those stay sealed in the store. `library` has elements and packages, the other files what they are named after.

mod client_secret;
mod issuer;
mod library;
mod tombstone;
mod workspace;

pub(crate) use client_secret::{ClientSecret, Hash};
pub(crate) use issuer::IssuerSettings;
pub(crate) use library::{Definition, Element, FileListed, Package, definition_record, file_place};
pub(crate) use tombstone::Tombstone;
pub(crate) use workspace::{Workspace, WorkspaceFile};

use crate::exchange::{By, Cause};
use crate::refresh::plan;
use crate::vault::crypto::Tag;
use crate::vault::record::{
    self, EnvironmentV1, OrganizationV1, PartV1, SecretV1, SecretV2, UnansweredV1, UnknownForm,
};
use crate::vault::store::{Id, IdMap};
use bursar_proto::client_secret::PublicId;
use bursar_proto::kind::{ExchangePolicy, RefreshStatus, SecretType, Stage, Status};
use bursar_proto::name::{Name, OrganizationName, Qualified};
use bursar_proto::semver::Version;
use bursar_proto::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// An organization with the names in it.
pub(crate) struct Organization {
    pub(crate) id: Id,
    pub(crate) created_at: Timestamp,
    pub(crate) environments: BTreeMap<Name, Id>,
    pub(crate) secrets: BTreeMap<Name, Id>,
    pub(crate) elements: BTreeMap<Name, Id>,
    /// Every version of every package.
    pub(crate) packages: BTreeMap<Name, BTreeMap<Version, Id>>,
}

/// An environment.
pub(crate) struct Environment {
    pub(crate) name: Qualified,
    pub(crate) stage: Stage,
    pub(crate) created_at: Timestamp,
}

/// A request that was sent: the issuer may have acted on it, whatever became of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unanswered {
    pub(crate) at: Timestamp,
    /// With what.
    pub(crate) by: By,
}

/// A secret's attributes, as the record has them, and what is only known while the agent runs.
pub(crate) struct Secret {
    pub(crate) organization: OrganizationName,
    pub(crate) name: Name,
    pub(crate) kind: SecretType,
    pub(crate) environment: Option<Id>,
    pub(crate) policy: Option<ExchangePolicy>,
    pub(crate) status: Status,
    pub(crate) status_details: Option<Box<str>>,
    pub(crate) active: bool,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) activated_at: Option<Timestamp>,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) refresh_at: Option<Timestamp>,
    pub(crate) refresh_status: Option<RefreshStatus>,
    pub(crate) refresh_status_details: Option<Box<str>>,
    /// Attempts of the present refresh that failed, 0 to 4.
    pub(crate) failed_attempts: u8,
    pub(crate) last_attempt_at: Option<Timestamp>,
    /// Why the last attempt failed; `None` after a success.
    pub(crate) last_failure: Option<Cause>,
    pub(crate) expiration_date: Option<Timestamp>,
    /// Grows with every edit, so that an exchange of older credentials is known as such.
    pub(crate) revision: u64,
    pub(crate) credentials_tag: Tag,
    pub(crate) artifact_tag: Option<Tag>,
    /// Until when a person may authorize; of the last time that one was asked.
    pub(crate) authorization_expires_at: Option<Timestamp>,
    /// The request with a code or a refresh token that was sent, and whose answer is not known.
    pub(crate) unanswered: Option<Unanswered>,
    /// Where the grant of a person lies: one part, or none.
    pub(crate) grant: Vec<PartV1>,
    /// Try again soon, because the agent, the vault or the machine just woke.
    pub(crate) recover: bool,
    /// An exchange is under way.
    pub(crate) in_flight: bool,
    /// Where it stands among the due ones.
    due: Option<Timestamp>,
}

impl Secret {
    /// A new secret, pending, bound to nothing, without credentials.
    pub(crate) fn new(full: &Qualified, kind: SecretType, now: Timestamp) -> Self {
        Self {
            organization: full.organization.clone(),
            name: full.name.clone(),
            kind,
            environment: None,
            policy: None,
            status: Status::Pending,
            status_details: None,
            active: true,
            created_at: now,
            updated_at: now,
            activated_at: None,
            expires_at: None,
            refresh_at: None,
            refresh_status: None,
            refresh_status_details: None,
            failed_attempts: 0,
            last_attempt_at: None,
            last_failure: None,
            expiration_date: None,
            revision: 0,
            credentials_tag: Tag::default(),
            artifact_tag: None,
            authorization_expires_at: None,
            unanswered: None,
            grant: Vec::new(),
            recover: false,
            in_flight: false,
            due: None,
        }
    }

    /// The name with its organization.
    pub(crate) fn full_name(&self) -> Qualified {
        Qualified { organization: self.organization.clone(), name: self.name.clone() }
    }

    /// Whether the secret's own date has passed.
    pub(crate) fn ended(&self, now: Timestamp) -> bool {
        self.expiration_date.is_some_and(|date| date <= now)
    }

    /// Whether its exchange or its refresh stands as failed.
    pub(crate) fn failing(&self) -> bool {
        self.status == Status::Failed || self.refresh_status == Some(RefreshStatus::Failed)
    }
}

/// All of it, by name and by id.
#[derive(Default)]
pub(crate) struct Catalog {
    pub(crate) organizations: BTreeMap<OrganizationName, Organization>,
    pub(crate) environments: IdMap<Environment>,
    pub(crate) secrets: IdMap<Secret>,
    pub(crate) elements: IdMap<Element>,
    pub(crate) packages: IdMap<Package>,
    pub(crate) workspaces: IdMap<Workspace>,
    workspaces_by_path: BTreeMap<(Option<u32>, Box<str>), Id>,
    pub(crate) client_secrets: IdMap<ClientSecret>,
    client_secrets_by_public: HashMap<PublicId, Id>,
    pub(crate) tombstones: IdMap<Tombstone>,
    pub(crate) issuers: IdMap<IssuerSettings>,
    /// When each secret is next exchanged, the earliest first.
    due: BTreeSet<(Timestamp, Id)>,
}

impl Catalog {
    /// A secret by its name.
    pub(crate) fn secret_id(&self, organization: &str, name: &str) -> Option<Id> {
        self.organizations.get(organization)?.secrets.get(name).copied()
    }

    /// An environment by its name.
    pub(crate) fn environment_id(&self, name: &Qualified) -> Option<Id> {
        self.organizations.get(&name.organization)?.environments.get(&name.name).copied()
    }

    /// Adds an organization that is not there yet.
    pub(crate) fn insert_organization(&mut self, name: OrganizationName, id: Id, created_at: Timestamp) {
        let organization = Organization {
            id,
            created_at,
            environments: BTreeMap::new(),
            secrets: BTreeMap::new(),
            elements: BTreeMap::new(),
            packages: BTreeMap::new(),
        };
        self.organizations.insert(name, organization);
    }

    /// Adds an environment to its organization.
    pub(crate) fn insert_environment(&mut self, id: Id, environment: Environment) {
        if let Some(organization) = self.organizations.get_mut(&environment.name.organization) {
            organization.environments.insert(environment.name.name.clone(), id);
            self.environments.insert(id, environment);
        }
    }

    /// Takes an environment out.
    pub(crate) fn remove_environment(&mut self, id: &Id) -> Option<Environment> {
        let environment = self.environments.remove(id)?;
        if let Some(organization) = self.organizations.get_mut(&environment.name.organization) {
            organization.environments.remove(&environment.name.name);
        }
        Some(environment)
    }

    /// Adds a secret to its organization.
    pub(crate) fn insert_secret(&mut self, id: Id, secret: Secret) {
        if let Some(organization) = self.organizations.get_mut(&secret.organization) {
            organization.secrets.insert(secret.name.clone(), id);
            self.secrets.insert(id, secret);
            self.reschedule(&id);
        }
    }

    /// Takes a secret out.
    pub(crate) fn remove_secret(&mut self, id: &Id) -> Option<Secret> {
        let secret = self.secrets.remove(id)?;
        if let Some(due) = secret.due {
            self.due.remove(&(due, *id));
        }
        if let Some(organization) = self.organizations.get_mut(&secret.organization) {
            organization.secrets.remove(&secret.name);
        }
        Some(secret)
    }

    /// Gives a secret another name in its organization.
    pub(crate) fn rename_secret(&mut self, id: &Id, name: Name) {
        if let Some(secret) = self.secrets.get_mut(id)
            && let Some(organization) = self.organizations.get_mut(&secret.organization)
        {
            organization.secrets.remove(&secret.name);
            organization.secrets.insert(name.clone(), *id);
            secret.name = name;
        }
    }

    /// Changes a secret and what follows from it: its place among the due ones.
    pub(crate) fn update_secret(&mut self, id: &Id, change: impl FnOnce(&mut Secret)) {
        if let Some(secret) = self.secrets.get_mut(id) {
            change(secret);
            self.reschedule(id);
        }
    }

    /// Derives anew when a secret is due; the schedule is never stored.
    fn reschedule(&mut self, id: &Id) {
        let Some(secret) = self.secrets.get_mut(id) else { return };
        let due = plan::due(secret);
        if due != secret.due {
            if let Some(old) = secret.due {
                self.due.remove(&(old, *id));
            }
            if let Some(new) = due {
                self.due.insert((new, *id));
            }
            secret.due = due;
        }
    }

    /// The earliest due time.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(time, _)| *time)
    }

    /// The secrets that are due at `now`, the most urgent first, `most` at the most.
    pub(crate) fn due_at(&self, now: Timestamp, most: usize) -> Vec<Id> {
        self.due.iter().take_while(|(time, _)| *time <= now).take(most).map(|(_, id)| *id).collect()
    }

    /// Asks every failing secret to try again soon: the agent, the vault or the machine just woke.
    /// A last attempt in the future is a clock that was set back since.
    pub(crate) fn recover_all(&mut self, now: Timestamp) {
        let failing: Vec<Id> =
            self.secrets.iter().filter(|(_, s)| s.last_failure.is_some()).map(|(id, _)| *id).collect();
        for id in failing {
            self.update_secret(&id, |secret| {
                secret.recover = true;
                secret.last_attempt_at = secret.last_attempt_at.map(|last| last.min(now));
            });
        }
    }

    /// The secrets bound to an environment.
    pub(crate) fn bound_to(&self, environment: &Id) -> Vec<Id> {
        self.secrets.iter().filter(|(_, s)| s.environment == Some(*environment)).map(|(id, _)| *id).collect()
    }

    /// An organization's record.
    pub(crate) fn organization_record(&self, id: &Id) -> Option<OrganizationV1> {
        let (name, organization) = self.organizations.iter().find(|(_, o)| o.id == *id)?;
        Some(OrganizationV1 { name: name.to_string(), created_at: organization.created_at.seconds() })
    }

    /// An environment's record.
    pub(crate) fn environment_record(&self, id: &Id) -> Option<EnvironmentV1> {
        let environment = self.environments.get(id)?;
        Some(EnvironmentV1 {
            organization: self.organizations.get(&environment.name.organization)?.id,
            name: environment.name.name.to_string(),
            stage: record::stage_number(environment.stage),
            created_at: environment.created_at.seconds(),
        })
    }

    /// A secret's record.
    pub(crate) fn secret_record(&self, id: &Id) -> Option<SecretV2> {
        let secret = self.secrets.get(id)?;
        let seconds = |time: Option<Timestamp>| time.map(Timestamp::seconds);
        let attributes = SecretV1 {
            organization: self.organizations.get(&secret.organization)?.id,
            name: secret.name.to_string(),
            kind: record::kind_number(secret.kind),
            environment: secret.environment,
            policy: secret.policy.map(record::policy_number),
            status: record::status_number(secret.status),
            status_details: secret.status_details.as_deref().map(str::to_owned),
            active: secret.active,
            created_at: secret.created_at.seconds(),
            updated_at: secret.updated_at.seconds(),
            activated_at: seconds(secret.activated_at),
            expires_at: seconds(secret.expires_at),
            refresh_at: seconds(secret.refresh_at),
            refresh_status: secret.refresh_status.map(record::refresh_number),
            refresh_status_details: secret.refresh_status_details.as_deref().map(str::to_owned),
            failed_attempts: secret.failed_attempts,
            last_attempt_at: seconds(secret.last_attempt_at),
            last_failure: secret.last_failure.map(record::cause_number),
            expiration_date: seconds(secret.expiration_date),
            revision: secret.revision,
            credentials_tag: secret.credentials_tag,
            artifact_tag: secret.artifact_tag,
        };
        let unanswered = secret.unanswered;
        Some(SecretV2 {
            attributes,
            authorization_expires_at: seconds(secret.authorization_expires_at),
            unanswered: unanswered
                .map(|sent| UnansweredV1 { at: sent.at.seconds(), by: record::by_number(sent.by) }),
            grant: secret.grant.clone(),
        })
    }

    /// Takes in a record of an organization.
    pub(crate) fn load_organization(&mut self, id: Id, record: &OrganizationV1) -> Result<(), UnknownForm> {
        let name = record.name.parse().map_err(|_| UnknownForm::Unreadable)?;
        self.insert_organization(name, id, Timestamp::from_seconds(record.created_at));
        Ok(())
    }

    /// Takes in a record of an environment; its organization is there already.
    pub(crate) fn load_environment(
        &mut self,
        id: Id,
        record: &EnvironmentV1,
        organizations: &HashMap<Id, OrganizationName>,
    ) -> Result<(), UnknownForm> {
        let organization = organizations.get(&record.organization).ok_or(UnknownForm::Unreadable)?.clone();
        let name =
            Qualified { organization, name: record.name.parse().map_err(|_| UnknownForm::Unreadable)? };
        let stage = record::stage_of(record.stage)?;
        let created_at = Timestamp::from_seconds(record.created_at);
        self.insert_environment(id, Environment { name, stage, created_at });
        Ok(())
    }

    /// Takes in a record of a secret; its organization and environment are there already.
    pub(crate) fn load_secret(
        &mut self,
        id: Id,
        record: SecretV2,
        organizations: &HashMap<Id, OrganizationName>,
    ) -> Result<(), UnknownForm> {
        let SecretV2 { attributes: record, authorization_expires_at, unanswered, grant } = record;
        let time = |seconds: Option<i64>| seconds.map(Timestamp::from_seconds);
        let secret = Secret {
            organization: organizations.get(&record.organization).ok_or(UnknownForm::Unreadable)?.clone(),
            name: record.name.parse().map_err(|_| UnknownForm::Unreadable)?,
            kind: record::kind_of(record.kind)?,
            environment: record.environment,
            policy: record.policy.map(record::policy_of).transpose()?,
            status: record::status_of(record.status)?,
            status_details: record.status_details.map(String::into_boxed_str),
            active: record.active,
            created_at: Timestamp::from_seconds(record.created_at),
            updated_at: Timestamp::from_seconds(record.updated_at),
            activated_at: time(record.activated_at),
            expires_at: time(record.expires_at),
            refresh_at: time(record.refresh_at),
            refresh_status: record.refresh_status.map(record::refresh_of).transpose()?,
            refresh_status_details: record.refresh_status_details.map(String::into_boxed_str),
            failed_attempts: record.failed_attempts,
            last_attempt_at: time(record.last_attempt_at),
            last_failure: record.last_failure.map(record::cause_of).transpose()?,
            expiration_date: time(record.expiration_date),
            revision: record.revision,
            credentials_tag: record.credentials_tag,
            artifact_tag: record.artifact_tag,
            authorization_expires_at: time(authorization_expires_at),
            unanswered: unanswered
                .map(|sent| {
                    let by = record::by_of(sent.by)?;
                    Ok::<_, UnknownForm>(Unanswered { at: Timestamp::from_seconds(sent.at), by })
                })
                .transpose()?,
            grant,
            recover: false,
            in_flight: false,
            due: None,
        };
        if secret.environment.is_some_and(|environment| !self.environments.contains_key(&environment)) {
            return Err(UnknownForm::Unreadable);
        }
        self.insert_secret(id, secret);
        Ok(())
    }
}
