//! Who may do what: one table of methods by principals, pure.
//!
//! [`Policy`] is the only maker of [`Authorized`], and nothing acts on a call that is not one. A method
//! without a row in the table does not compile; `docs/access.md` is printed from it. What a unit is handed is the table of
//! units to say, and [`Policy::unit`] to allow.

#[cfg(test)]
mod access_doc;
mod subject;
#[cfg(test)]
mod tests;
mod unit;

pub(crate) use subject::{Place, Subject};

use bursar_proto::call::{self, Call};
use bursar_proto::client_secret::PublicId;
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::kind::Role;
use bursar_proto::name::{OrganizationName, Qualified};
use bursar_proto::time::Timestamp;
use std::fmt;
use std::sync::Arc;

/// How many grants that do not fit are told of in one refusal: a few help, more hide the first.
const REASONS_MAX: usize = 4;

/// As whom a connection acts: found out before its first request is read, and by `authenticate`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Principal {
    /// The daemon's own user.
    Own,
    /// A user whom the config makes an owner.
    Owner,
    /// Whom the config lets in, with the roles that it gives; perhaps none.
    Admitted(Arc<[Grant]>),
    /// The client secrets of an `authenticate`, as they stood at this request; perhaps none.
    Secrets(Arc<[Grant]>),
    /// Anybody else. A stranger is turned away before a byte is read, so this row is a second wall.
    Stranger,
}

/// A role in an organization, and what gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) organization: OrganizationName,
    /// Only in this environment; `None` for all of the organization, `Some(None)` for one that is gone.
    #[expect(clippy::option_option, reason = "for all of them, and for one that is gone, are not the same")]
    pub(crate) environment: Option<Option<Qualified>>,
    pub(crate) role: Role,
    pub(crate) by: GrantedBy,
    /// Why it no longer counts.
    pub(crate) lapse: Option<Lapse>,
}

/// Why a client secret no longer counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lapse {
    /// Its time has passed: this was its end.
    Expired(Timestamp),
    /// It was revoked, then.
    Revoked(Timestamp),
}

/// What gives a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum GrantedBy {
    /// A rule of the config, as it is told: `uid 33`, `group deploy`, `unit nginx.service`.
    Rule(Arc<str>),
    /// A client secret.
    Secret(PublicId),
}

/// What a method takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Needs {
    /// To be let in.
    Anyone,
    /// To be a process, and no client secret; the table of units says the rest: `Policy::unit`.
    Unit,
    /// A role in the organization and the environment that it is about.
    Viewer,
    /// The same, and that the config gives it: it is for the user of a workspace to say, not for a client secret.
    User,
    /// The role of a contributor there.
    Contributor,
    /// To be an owner.
    Owner,
    /// To be the daemon's own user: the daemon reads or writes a file of the caller's choice.
    Own,
}

macro_rules! table {
    ($($needs:ident: $($method:ident)+;)+) => {
        /// What a call takes.
        fn needs(call: &Call) -> Needs {
            match call {
                // the path of a key file is the daemon's to open
                Call::VaultInit(call::VaultInit { key_file: Some(_), .. })
                | Call::VaultUnlock(call::VaultUnlock { key_file: Some(_), .. }) => Needs::Own,
                $($(Call::$method(_))|+ => Needs::$needs,)+
            }
        }

        /// The table as it is printed: every method with what it takes.
        #[cfg(test)]
        const TABLE: &[(&str, Needs)] =
            &[$($((<call::$method as call::Method>::NAME, Needs::$needs)),+),+];
    };
}

table! {
    Anyone:
        Hello Authenticate;
    Unit:
        CredentialGet;
    Viewer:
        EnvironmentShow
        PackageList PackageShow PackageFetch PackageResolve PackageGet
        WorkspaceShow WorkspaceRecord;
    User:
        WorkspaceTrust;
    Contributor:
        PackagePublish;
    Owner:
        AgentStatus AgentStop AgentDoctor
        VaultInit VaultUnlock VaultLock VaultPassphrase VaultRekey
        OrganizationCreate OrganizationList OrganizationDelete
        EnvironmentCreate EnvironmentList EnvironmentDelete
        SecretCreate SecretList SecretShow SecretEdit SecretBind SecretTest SecretRetry
        SecretReauthorize SecretAuthorize SecretWait SecretWhere
        SecretDeactivate SecretReactivate SecretDelete SecretDeleted
        IssuerConfigure IssuerShow
        ArtifactGet ArtifactWatch
        ElementSet ElementList ElementShow ElementDelete ElementResolve
        LibraryResolve
        WorkspaceList WorkspaceForget
        ClientSecretCreate ClientSecretList ClientSecretShow ClientSecretSetAnalytics ClientSecretRotate ClientSecretRevoke
        AuditList AuditWatch AuditVerify
        UsageList
        ExpiringList;
    Own:
        VaultBackup VaultRestore;
}

/// A call that may be carried out, and what allowed it. Only [`Policy::authorize`] and [`Policy::unit`] make one.
pub(crate) struct Authorized<T> {
    call: T,
    by: Option<GrantedBy>,
}

impl<T> Authorized<T> {
    /// The call.
    pub(crate) fn into_inner(self) -> T {
        self.call
    }

    /// The grant that allowed it; none for owners, and for what takes no right.
    pub(crate) fn by(&self) -> Option<&GrantedBy> {
        self.by.as_ref()
    }
}

/// What has a row in the table.
pub(crate) trait Asks {
    /// What it takes.
    fn needs(&self) -> Needs;
}

impl Asks for Call {
    fn needs(&self) -> Needs {
        needs(self)
    }
}

impl Asks for call::ArtifactWatch {
    fn needs(&self) -> Needs {
        Needs::Owner
    }
}

impl Asks for call::AuditWatch {
    fn needs(&self) -> Needs {
        Needs::Owner
    }
}

impl Asks for call::QuickGet<'_> {
    fn needs(&self) -> Needs {
        Needs::Owner
    }
}

/// The table.
pub(crate) struct Policy;

impl Policy {
    /// Lets a call pass, or says why not. `places` is what it is about: a right is needed in each of them; a call about no
    /// place takes a right in any. The refusal follows from the table, the rights and the names in the call alone, never from
    /// what the vault holds.
    ///
    /// # Errors
    /// `denied`; where roles are concerned `wrong_organization`, `wrong_environment` or `wrong_role`; where a client secret
    /// would do if it still counted, `client_secret_expired` or `client_secret_revoked`.
    pub(crate) fn authorize<T: Asks>(
        principal: &Principal,
        call: T,
        places: &[Place],
    ) -> Result<Authorized<T>, CallError> {
        let by = Self::check(principal, call.needs(), places)?;
        Ok(Authorized { call, by })
    }

    /// The same without a call: whether a right is still there.
    ///
    /// # Errors
    /// As [`Self::authorize`].
    pub(crate) fn check(
        principal: &Principal,
        needs: Needs,
        places: &[Place],
    ) -> Result<Option<GrantedBy>, CallError> {
        Ok(match (principal, needs) {
            (Principal::Stranger, _) => {
                return Err(CallError::new(ErrorName::Denied, "this agent serves other users"));
            }
            (Principal::Owner, Needs::Own) => {
                return Err(CallError::new(
                    ErrorName::Denied,
                    "only the agent's own user may have it read or write files",
                )
                .hint("run this as the user as whom bursard runs"));
            }
            (_, Needs::Anyone)
            | (Principal::Own | Principal::Owner, _)
            | (Principal::Admitted(_), Needs::Unit) => None,
            (Principal::Admitted(_), Needs::Owner | Needs::Own) => {
                return Err(CallError::new(ErrorName::Denied, "only an owner of the agent may do this"));
            }
            (Principal::Secrets(_), Needs::Unit | Needs::User | Needs::Owner | Needs::Own) => {
                let message = "client secrets reach what published packages hand out, and nothing else";
                return Err(CallError::new(ErrorName::Denied, message));
            }
            (
                Principal::Admitted(grants) | Principal::Secrets(grants),
                Needs::Viewer | Needs::User | Needs::Contributor,
            ) => Some(granted(grants, needs, places)?),
        })
    }
}

/// What gives the right, in each of `places`; of several, what gives it in the first.
fn granted(grants: &[Grant], needs: Needs, places: &[Place]) -> Result<GrantedBy, CallError> {
    let anywhere = [Place::Anywhere];
    let places = if places.is_empty() { &anywhere } else { places };
    let mut first = None;
    for place in places {
        let by = allowing(grants, needs, place)?;
        first.get_or_insert(by);
    }
    first.cloned().ok_or_else(|| CallError::new(ErrorName::Denied, "there is no right to this"))
}

/// The grant that allows something in one place.
fn allowing<'g>(grants: &'g [Grant], needs: Needs, place: &Place) -> Result<&'g GrantedBy, CallError> {
    let mut refused: Vec<(Misfit, &Grant)> = Vec::with_capacity(grants.len());
    for grant in grants {
        match grant.misfit(needs, place) {
            None => return Ok(&grant.by),
            Some(misfit) => refused.push((misfit, grant)),
        }
    }
    // the one that came nearest is what the caller means; the others are told behind it
    refused.sort_by(|(a, _), (b, _)| b.cmp(a));
    let Some((nearest, _)) = refused.first() else {
        return Err(CallError::new(ErrorName::Denied, "this process has no role here")
            .hint("authenticate with a client secret, or see [access] in the agent's config"));
    };
    let (name, hint) = nearest.told();
    let is_rule = refused.first().is_some_and(|(_, grant)| matches!(grant.by, GrantedBy::Rule(_)));
    let hint = if is_rule {
        "the roles of users, groups and units stand in the agent's config, under [access]"
    } else {
        hint
    };
    let told = refused.iter().take(REASONS_MAX).map(|(misfit, grant)| grant.reason(*misfit, place));
    let mut message = told.collect::<Vec<_>>().join("; ");
    if refused.len() > REASONS_MAX {
        message = format!("{message}; and {} more do not fit", refused.len() - REASONS_MAX);
    }
    Err(CallError::new(name, message).hint(hint))
}

/// Why a grant does not allow something: what comes later came nearer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Misfit {
    Organization,
    Environment,
    Role,
    Expired,
    Revoked,
}

impl Misfit {
    fn told(self) -> (ErrorName, &'static str) {
        let renew = "issue another: bursar client-secret create, or rotate";
        match self {
            Self::Organization => (
                ErrorName::WrongOrganization,
                "add a client secret of that organization; several count together",
            ),
            Self::Environment => {
                (ErrorName::WrongEnvironment, "use one that is for that environment, or for all")
            }
            Self::Role => (ErrorName::WrongRole, "use one with the role contributor"),
            Self::Expired => (ErrorName::ClientSecretExpired, renew),
            Self::Revoked => (ErrorName::ClientSecretRevoked, renew),
        }
    }
}

impl Grant {
    fn misfit(&self, needs: Needs, place: &Place) -> Option<Misfit> {
        let (organization, environment) = match place {
            Place::Anywhere => (true, true),
            Place::Organization(name) => (*name == self.organization, true),
            Place::Environment(name) => (
                name.organization == self.organization,
                self.environment.as_ref().is_none_or(|only| only.as_ref() == Some(name)),
            ),
            Place::Stage(name, _, only) => (
                *name == self.organization,
                self.environment.as_ref().is_none_or(|own| own.is_some() && own == only),
            ),
            Place::SomeEnvironment(name) => (*name == self.organization, self.environment.is_none()),
        };
        if !organization {
            Some(Misfit::Organization)
        } else if !environment {
            Some(Misfit::Environment)
        } else if needs == Needs::Contributor && self.role != Role::Contributor {
            Some(Misfit::Role)
        } else {
            self.lapse.map(|lapse| match lapse {
                Lapse::Expired(_) => Misfit::Expired,
                Lapse::Revoked(_) => Misfit::Revoked,
            })
        }
    }

    fn reason(&self, misfit: Misfit, place: &Place) -> String {
        let (by, organization) = (&self.by, &self.organization);
        match (misfit, self.lapse) {
            (Misfit::Expired | Misfit::Revoked, Some(lapse)) => format!("{by} {lapse}"),
            (Misfit::Organization, _) => format!("{by} is for {organization}, not for {place}"),
            (Misfit::Environment, _) => match &self.environment {
                Some(Some(only)) => format!("{by} is for {only}, not for {place}"),
                _ => format!("{by} is for an environment that is gone"),
            },
            _ => format!(
                "{by} has the role {} in {organization}, and this takes the role contributor",
                self.role
            ),
        }
    }
}

impl fmt::Display for GrantedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule(rule) => f.write_str(rule),
            Self::Secret(id) => write!(f, "client secret {id}"),
        }
    }
}

impl fmt::Display for Lapse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired(at) => write!(f, "expired at {at}"),
            Self::Revoked(at) => write!(f, "was revoked at {at}"),
        }
    }
}

impl Principal {
    /// Whether it has a right to anything.
    pub(crate) fn has_rights(&self) -> bool {
        match self {
            Self::Own | Self::Owner => true,
            Self::Admitted(grants) | Self::Secrets(grants) => !grants.is_empty(),
            Self::Stranger => false,
        }
    }

    /// Whether answers may hold what belongs to an organization.
    pub(crate) fn sees(&self, organization: &OrganizationName) -> bool {
        match self {
            Self::Own | Self::Owner => true,
            Self::Admitted(grants) | Self::Secrets(grants) => {
                grants.iter().any(|grant| grant.lapse.is_none() && grant.organization == *organization)
            }
            Self::Stranger => false,
        }
    }

    /// Whether a secret of an organization, bound to an environment or to none, is within its reach as a publisher.
    pub(crate) fn reaches(&self, organization: &OrganizationName, environment: Option<&Qualified>) -> bool {
        let within = |grant: &Grant| match (&grant.environment, environment) {
            (None, _) | (Some(_), None) => true,
            (Some(only), Some(bound)) => only.as_ref() == Some(bound),
        };
        match self {
            Self::Own | Self::Owner => true,
            Self::Admitted(grants) | Self::Secrets(grants) => grants
                .iter()
                .filter(|grant| grant.lapse.is_none() && grant.role == Role::Contributor)
                .any(|grant| grant.organization == *organization && within(grant)),
            Self::Stranger => false,
        }
    }

    /// Whether it is an owner, who may see all.
    pub(crate) fn owns(&self) -> bool {
        matches!(self, Self::Own | Self::Owner)
    }
}
