//! What a call is about: for the policy the organizations and environments, for the record of accesses a name.

use crate::vault::catalog::Catalog;
use bursar_proto::call::Call;
use bursar_proto::client_secret::{PREFIX, PublicId, shown_id};
use bursar_proto::kind::Stage;
use bursar_proto::name::{OrganizationName, Qualified, Reference};
use bursar_proto::semver::Version;
use std::collections::BTreeSet;
use std::fmt;

/// The longest text that the record keeps of what a call was about, in bytes: a path, most often.
const TOLD_MAX: usize = 512;

/// Where a right is needed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// In any organization.
    Anywhere,
    /// In an organization.
    Organization(OrganizationName),
    /// In an environment.
    Environment(Qualified),
    /// In the environment that a stage of an organization stands for. Where it stands for no single one, only a right to all
    /// of them will do. It is told as the stage alone, so that a refusal does not say what there is.
    Stage(OrganizationName, Stage, Option<Qualified>),
    /// In an environment of an organization, and it does not say which: only a right to all of them will do.
    SomeEnvironment(OrganizationName),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anywhere => f.write_str("this"),
            Self::Organization(name) => write!(f, "{name}"),
            Self::Environment(name) => write!(f, "{name}"),
            Self::Stage(name, stage, _) => write!(f, "{stage} of {name}"),
            Self::SomeEnvironment(name) => write!(f, "every environment of {name}"),
        }
    }
}

/// What a call is about.
#[derive(Debug, Default)]
pub(crate) struct Subject {
    /// As the record tells it; nothing where `secret` says it.
    pub(crate) told: Option<String>,
    /// The secret, where it is about one.
    pub(crate) secret: Option<Qualified>,
    /// Where a right is needed.
    pub(crate) places: Vec<Place>,
}

impl Subject {
    /// What `call` is about. `home` is what a bare name belongs to; without a catalog (the vault is locked) a stage stands for
    /// no environment.
    pub(crate) fn of(call: &Call, home: &OrganizationName, catalog: Option<&Catalog>) -> Self {
        let full = |name: &Reference| name.clone().within(home);
        let secret = |name: &Reference| Self { secret: Some(full(name)), ..Self::default() };
        let named = |name: &Reference| Self::telling(&full(name).to_string());
        let maybe = |name: Option<&Reference>| name.map(secret).unwrap_or_default();
        let package = |name: &Reference, version: &Version| {
            let name = full(name);
            Self::telling(&format!("{name}@{version}")).at(Place::Organization(name.organization))
        };
        match call {
            Call::Hello(_)
            | Call::Authenticate(_)
            | Call::AgentStatus(_)
            | Call::AgentStop(_)
            | Call::AgentDoctor(_)
            | Call::VaultInit(_)
            | Call::VaultUnlock(_)
            | Call::VaultLock(_)
            | Call::VaultPassphrase(_)
            | Call::VaultRekey(_)
            | Call::OrganizationList(_)
            | Call::SecretDeleted(_)
            | Call::WorkspaceList(_)
            | Call::AuditVerify(_) => Self::default(),
            Call::CredentialGet(call) => Self::telling(&call.credential),
            Call::IssuerConfigure(call) => Self::telling(call.issuer.as_str()),
            Call::IssuerShow(call) => Self::telling(call.issuer.as_str()),
            Call::VaultBackup(call) => Self::telling(&call.file),
            Call::VaultRestore(call) => Self::telling(&call.file),
            Call::OrganizationCreate(call) => Self::within(Some(&call.organization)),
            Call::OrganizationDelete(call) => Self::within(Some(&call.organization)),
            Call::ClientSecretCreate(call) => Self::within(Some(&call.organization)),
            Call::EnvironmentList(call) => Self::within(call.organization.as_ref()),
            Call::SecretList(call) => Self::within(call.organization.as_ref()),
            Call::ElementList(call) => Self::within(call.organization.as_ref()),
            Call::LibraryResolve(call) => Self::within(call.organization.as_ref()),
            Call::ClientSecretList(call) => Self::within(call.organization.as_ref()),
            Call::ExpiringList(call) => Self::within(call.organization.as_ref()),
            Call::PackageList(call) => Self::within(call.organization.as_ref()),
            Call::EnvironmentCreate(call) => named(&call.environment),
            Call::EnvironmentDelete(call) => named(&call.environment),
            Call::EnvironmentShow(call) => {
                named(&call.environment).at(Place::Environment(full(&call.environment)))
            }
            Call::SecretCreate(call) => secret(&call.secret),
            Call::SecretShow(call) => secret(&call.secret),
            Call::SecretEdit(call) => secret(&call.secret),
            Call::SecretBind(call) => secret(&call.secret),
            Call::SecretTest(call) => secret(&call.secret),
            Call::SecretRetry(call) => secret(&call.secret),
            Call::SecretReauthorize(call) => secret(&call.secret),
            Call::SecretAuthorize(call) => secret(&call.secret),
            Call::SecretWait(call) => secret(&call.secret),
            Call::SecretWhere(call) => secret(&call.secret),
            Call::SecretDeactivate(call) => secret(&call.secret),
            Call::SecretReactivate(call) => secret(&call.secret),
            Call::SecretDelete(call) => secret(&call.secret),
            Call::ArtifactGet(call) => secret(&call.secret),
            Call::ArtifactWatch(call) => maybe(call.secret.as_ref()),
            Call::AuditList(call) => maybe(call.secret.as_ref()),
            Call::AuditWatch(call) => maybe(call.secret.as_ref()),
            Call::UsageList(call) => maybe(call.secret.as_ref()),
            Call::ElementSet(call) => named(&call.element),
            Call::ElementShow(call) => named(&call.element),
            Call::ElementDelete(call) => named(&call.element),
            Call::ElementResolve(call) => named(&call.element),
            Call::PackagePublish(call) => package(&call.package, &call.version),
            Call::PackageFetch(call) => package(&call.package, &call.version),
            Call::PackageShow(call) => {
                let name = full(&call.package);
                Self::telling(&name.to_string()).at(Place::Organization(name.organization))
            }
            Call::PackageResolve(call) => {
                let organization = full(&call.package).organization;
                let place = match (&call.environment, call.stage) {
                    (Some(name), _) => Place::Environment(name.clone().within(&organization)),
                    (None, Some(stage)) => {
                        let only = catalog.and_then(|all| only_environment(all, &organization, stage));
                        Place::Stage(organization, stage, only)
                    }
                    (None, None) => Place::SomeEnvironment(organization),
                };
                package(&call.package, &call.version).at(place)
            }
            Call::PackageGet(call) => {
                let of = package(&call.package, &call.version);
                let environment = call.environment.clone().within(&full(&call.package).organization);
                let told = of.told.unwrap_or_default();
                Self::telling(&format!("{} of {told} in {environment}", call.element))
                    .at(Place::Organization(full(&call.package).organization))
                    .at(Place::Environment(environment))
            }
            Call::WorkspaceShow(call) => Self::telling(&call.workspace),
            Call::WorkspaceTrust(call) => Self::telling(&call.workspace),
            Call::WorkspaceForget(call) => Self::telling(&call.workspace),
            Call::WorkspaceRecord(call) => {
                let organizations = call.files.iter().flat_map(|file| {
                    let secrets = file.secrets.iter().map(|secret| secret.organization.clone());
                    secrets.chain([file.package.organization.clone()])
                });
                let mut places: BTreeSet<Place> = organizations.map(Place::Organization).collect();
                places.insert(Place::Environment(full(&call.environment)));
                Self { places: places.into_iter().collect(), ..Self::telling(&call.workspace) }
            }
            Call::ClientSecretShow(call) => Self::telling(&call.id.to_string()),
            Call::ClientSecretSetAnalytics(call) => Self::telling(&call.id.to_string()),
            Call::ClientSecretRotate(call) => Self::telling(&call.id.to_string()),
            Call::ClientSecretRevoke(call) => Self::telling(&call.id.to_string()),
        }
    }

    fn telling(text: &str) -> Self {
        // what is printed on a terminal one day, and what may be a client secret in the wrong place
        let mut text: String = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        if let Some((id, at)) = shown_in(&text) {
            text.truncate(at);
            text.push_str(PREFIX);
            text.push_str(id.as_str());
            text.push('…');
        }
        if text.len() > TOLD_MAX {
            text.truncate(text.floor_char_boundary(TOLD_MAX));
            text.push('…');
        }
        Self { told: Some(text), ..Self::default() }
    }

    fn within(name: Option<&OrganizationName>) -> Self {
        match name {
            Some(name) => Self::telling(&name.to_string()).at(Place::Organization(name.clone())),
            None => Self::default(),
        }
    }

    fn at(mut self, place: Place) -> Self {
        self.places.push(place);
        self
    }
}

/// The environment that a stage stands for, where it can stand for only one.
fn only_environment(catalog: &Catalog, organization: &OrganizationName, stage: Stage) -> Option<Qualified> {
    let all = catalog.organizations.get(organization)?.environments.values();
    let mut of_stage = all.filter_map(|id| catalog.environments.get(id)).filter(|one| one.stage == stage);
    let only = of_stage.next()?;
    of_stage.next().is_none().then(|| only.name.clone())
}

/// The public id of the first client secret in a text, and where it begins.
fn shown_in(text: &str) -> Option<(PublicId, usize)> {
    text.match_indices(PREFIX).find_map(|(at, _)| Some((shown_id(&text[at..])?, at)))
}
