//! Whom the config lets in beside the daemon's own user: `[access]`, and what its rules make of a process.
//!
//! Pure once it is read. It asks the kernel nothing; `server::peer` does.

#[cfg(test)]
mod tests;
mod who;

pub(crate) use who::{Reader, group_id, readers, service};

use crate::policy::{Grant, GrantedBy, Principal};
use bursar_proto::kind::Role;
use bursar_proto::name::{OrganizationName, Reference};
use serde::{Deserialize, Deserializer};
use who::{Fault, Who};

/// The most entries of a list: a server has some dozens of services, and each new connection looks at all.
const RULES_MAX: usize = 256;

/// `[access]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Access {
    /// Owners beside the daemon's own user.
    #[serde(deserialize_with = "owners")]
    owners: Vec<Who>,
    /// Who may connect, without a right of their own.
    #[serde(deserialize_with = "admit")]
    admit: Vec<Who>,
    /// Who has a role in an organization.
    #[serde(deserialize_with = "roles")]
    roles: Vec<Rule>,
}

/// What the kernel says of a process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The user id, as of the connect.
    pub(crate) uid: u32,
    /// The group id, as of the connect.
    pub(crate) gid: u32,
    /// The supplementary groups, where a rule needs them and they could be read.
    pub(crate) groups: Vec<u32>,
    /// The systemd unit, where a rule needs it and it could be read.
    pub(crate) unit: Option<String>,
}

impl Access {
    /// As whom a process acts that is not the daemon's own user's. An owner needs no role; roles add up.
    pub(crate) fn principal(&self, peer: &Facts) -> Principal {
        let matches = |list: &[Who]| list.iter().any(|who| who.is(peer));
        if matches(&self.owners) {
            return Principal::Owner;
        }
        let grants: Vec<Grant> =
            self.roles.iter().filter(|rule| rule.who.is(peer)).map(|rule| rule.grant.clone()).collect();
        if grants.is_empty() && !matches(&self.admit) {
            return Principal::Stranger;
        }
        Principal::Admitted(grants.into())
    }

    /// Whether a rule asks for more than the socket itself says: for supplementary groups, or for a unit.
    pub(crate) fn asks_the_process(&self) -> bool {
        let lists = self.owners.iter().chain(&self.admit);
        lists.chain(self.roles.iter().map(|rule| &rule.who)).any(Who::asks_the_process)
    }
}

/// A role for some.
#[derive(Debug, Clone, PartialEq)]
struct Rule {
    who: Who,
    grant: Grant,
}

/// A rule as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(deserialize_with = "who")]
    who: Who,
    organization: OrganizationName,
    environment: Option<Reference>,
    role: Role,
}

impl Written {
    fn rule(self) -> Result<Rule, Fault> {
        let Self { who, organization, environment, role } = self;
        let environment = environment.map(|name| name.within(&organization));
        if environment.as_ref().is_some_and(|name| name.organization != organization) {
            return Err(Fault::Environment);
        }
        let by = GrantedBy::Rule(who.told().clone());
        let grant = Grant { organization, environment: environment.map(Some), role, by, lapse: None };
        Ok(Rule { who, grant })
    }
}

fn owners<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Who>, D::Error> {
    let owners = list(deserializer, "access.owners")?;
    // whoever gets a command to run in a unit would own the vault
    if owners.iter().any(Who::is_unit) {
        return Err(Fault::UnitAsOwner.of("access.owners"));
    }
    Ok(owners)
}

fn admit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Who>, D::Error> {
    list(deserializer, "access.admit")
}

fn list<'de, D: Deserializer<'de>>(deserializer: D, key: &str) -> Result<Vec<Who>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    if texts.len() > RULES_MAX {
        return Err(Fault::TooMany(RULES_MAX).of(key));
    }
    texts.iter().map(|text| text.parse::<Who>().map_err(|fault| fault.of(key))).collect()
}

fn who<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Who, D::Error> {
    String::deserialize(deserializer)?.parse::<Who>().map_err(|fault| fault.of("access.roles.who"))
}

fn roles<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Rule>, D::Error> {
    let written = Vec::<Written>::deserialize(deserializer)?;
    if written.len() > RULES_MAX {
        return Err(Fault::TooMany(RULES_MAX).of("access.roles"));
    }
    written
        .into_iter()
        .map(|rule| rule.rule().map_err(|fault| fault.of("access.roles.environment")))
        .collect()
}
