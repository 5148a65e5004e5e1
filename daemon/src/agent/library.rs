//! What a data element stands for in an environment, and whether that can be used now; `library.resolve`.
//!
//! [`Asked`] is pure: it reads the catalog, opens nothing, waits for nothing. [`Agent::resolve_all`] waits for exchanges
//! first.

use super::artifact::{MIN_VALIDITY, Verdict, judge, refusal};
use super::organization::no_organization;
use super::{Agent, environment_id};
use crate::vault::catalog::{Catalog, Definition, Secret};
use crate::vault::record::Saved;
use crate::vault::store::Id;
use bursar_proto::call::LibraryResolve;
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::fields::Invalid;
use bursar_proto::kind::{ElementState, Stage, Status};
use bursar_proto::library;
use bursar_proto::name::{Name, OrganizationName, Qualified, Reference};
use bursar_proto::reply::{Resolution, Resolved};
use bursar_proto::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What an element is resolved for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    /// One environment.
    Environment(Id, Stage),
    /// A stage: whichever environment of it the secret is bound to.
    Stage(Stage),
}

impl Target {
    pub(crate) fn stage(self) -> Stage {
        match self {
            Self::Environment(_, stage) | Self::Stage(stage) => stage,
        }
    }
}

impl Agent {
    pub(super) async fn library_resolve(
        self: &Arc<Self>,
        call: LibraryResolve,
    ) -> Result<Resolution, CallError> {
        let organization = call.organization.unwrap_or_else(|| self.config().organization.clone());
        let elements = own(&organization, call.elements)?;
        let environment = call.environment.map(|name| name.within(&organization));
        if let Some(environment) = environment.as_ref().filter(|name| name.organization != organization) {
            return Err(foreign(&organization, environment).into());
        }
        let target = {
            let mut vault = self.vault();
            let catalog = &vault.unlocked()?.catalog;
            if !catalog.organizations.contains_key(&organization) {
                return Err(no_organization(&organization));
            }
            match (&environment, call.stage) {
                (Some(name), None) => environment_target(catalog, name)?,
                (None, Some(stage)) => Target::Stage(stage),
                _ => return Err(Invalid::new("give environment or stage, one of them").into()),
            }
        };
        let elements = self.resolve_all(&organization, &elements, target).await?;
        Ok(Resolution { environment, stage: target.stage(), elements })
    }

    /// Resolves elements, once the exchanges have ended that they wait for.
    pub(super) async fn resolve_all(
        self: &Arc<Self>,
        organization: &OrganizationName,
        elements: &BTreeMap<Reference, Definition>,
        target: Target,
    ) -> Result<Vec<Resolved>, CallError> {
        let all = || elements.iter().map(|(name, definition)| Asked { organization, name, definition });
        let flights = {
            let mut vault = self.vault();
            let unlocked = vault.unlocked()?;
            let now = self.clock.now();
            let mut awaited: Vec<Id> =
                all().filter_map(|asked| asked.awaits(&unlocked.catalog, target, now)).collect();
            awaited.sort_unstable();
            awaited.dedup();
            awaited.into_iter().map(|id| self.join(id, unlocked)).collect::<Vec<_>>()
        };
        for flight in flights {
            flight.landed().await;
        }
        let now = self.clock.now();
        let mut vault = self.vault();
        let catalog = &vault.unlocked()?.catalog;
        Ok(all().map(|asked| asked.resolve(catalog, target, now)).collect())
    }
}

/// The elements of a library by names within its organization.
pub(super) fn own(
    organization: &OrganizationName,
    elements: library::Elements,
) -> Result<BTreeMap<Reference, Definition>, Invalid> {
    let name = |reference: &Reference| {
        let full = reference.clone().within(organization);
        if full.organization == *organization { Ok(full.name) } else { Err(foreign(organization, &full)) }
    };
    let one = |(element, definition): (Reference, library::Definition)| {
        let definition = match definition {
            library::Definition::Uses(used) => Definition::Uses(name(&used)?),
            library::Definition::Defines(slots) => Definition::Defines(slots.try_map(name)?),
        };
        if element.organization.is_some() && definition != Definition::Uses(name(&element)?) {
            let reason =
                format!("{element}: a name with an organization stands for that data element itself");
            return Err(Invalid::field("elements", reason));
        }
        Ok((element, definition))
    };
    elements.into_iter().map(one).collect()
}

/// A definition as it goes over the wire.
pub(super) fn shown(organization: &OrganizationName, definition: &Definition) -> library::Definition {
    let full = |name: &Name| Reference { organization: Some(organization.clone()), name: name.clone() };
    match definition {
        Definition::Uses(name) => library::Definition::Uses(full(name)),
        Definition::Defines(slots) => {
            library::Definition::Defines(library::Slots::from_fn(|stage| slots.of(stage).map(full)))
        }
    }
}

/// An environment to resolve for.
pub(super) fn environment_target(catalog: &Catalog, name: &Qualified) -> Result<Target, CallError> {
    let id = environment_id(catalog, name)?;
    let stage = catalog.environments.get(&id).map(|environment| environment.stage);
    let stage =
        stage.ok_or_else(|| CallError::new(ErrorName::Internal, "an environment without a record"))?;
    Ok(Target::Environment(id, stage))
}

fn foreign(organization: &OrganizationName, name: &Qualified) -> Invalid {
    Invalid::new(format!("{name} is of another organization than the library, which is {organization}'s"))
}

/// An element of a library, with the organization whose names it uses.
pub(crate) struct Asked<'a> {
    pub(crate) organization: &'a OrganizationName,
    pub(crate) name: &'a Reference,
    pub(crate) definition: &'a Definition,
}

impl Asked<'_> {
    /// The secret in the slot of a stage, whether or not it can be used.
    pub(crate) fn secret(&self, catalog: &Catalog, stage: Stage) -> Option<Id> {
        self.held(catalog, stage).ok()
    }

    /// Whether an exchange runs, or is due at once, that may make the difference.
    pub(crate) fn awaits(&self, catalog: &Catalog, target: Target, now: Timestamp) -> Option<Id> {
        let id = self.secret(catalog, target.stage())?;
        let secret = catalog.secrets.get(&id)?;
        let saved = saved(secret);
        let may_help = secret.status == Status::Pending && secret.active && !secret.ended(now)
            || judge(secret, saved.as_ref(), MIN_VALIDITY, true, now) == Verdict::Exchange;
        may_help.then_some(id)
    }

    /// What the element stands for, and what is wrong with it.
    pub(crate) fn resolve(&self, catalog: &Catalog, target: Target, now: Timestamp) -> Resolved {
        let stage = target.stage();
        let mut resolved = Resolved {
            element: self.name.clone(),
            stage,
            secret: None,
            environment: None,
            r#type: None,
            expires_at: None,
            state: ElementState::Good,
            problem: None,
            hint: None,
        };
        let fault = match self.held(catalog, stage) {
            Err(fault) => Some(fault),
            Ok(id) => catalog.secrets.get(&id).and_then(|secret| {
                let bound = secret.environment.and_then(|id| catalog.environments.get(&id));
                resolved.secret = Some(secret.full_name());
                resolved.environment = bound.map(|environment| environment.name.clone());
                resolved.r#type = Some(secret.kind);
                resolved.expires_at = secret.expires_at;
                unusable(catalog, secret, target, now)
            }),
        };
        if let Some(Fault { state, reason, hint }) = fault {
            resolved.state = state;
            resolved.problem = Some(format!("{}, {stage}: {reason}", self.name));
            resolved.hint = hint;
        }
        resolved
    }

    /// The secret in the slot of a stage.
    fn held(&self, catalog: &Catalog, stage: Stage) -> Result<Id, Fault> {
        let full = |name: &Name| Qualified { organization: self.organization.clone(), name: name.clone() };
        match self.definition {
            Definition::Uses(name) => {
                let name = full(name);
                let element = catalog.element_id(&name).and_then(|id| catalog.elements.get(&id));
                let element = element.ok_or_else(|| Fault {
                    state: ElementState::Missing,
                    reason: format!("there is no data element {name}"),
                    hint: Some(format!("make it: bursar element set {name} --{stage} SECRET")),
                })?;
                element.slots.of(stage).copied().ok_or_else(|| Fault {
                    state: ElementState::Empty,
                    reason: format!("the slot {stage} of {name} is empty"),
                    hint: Some(format!("fill it: bursar element set {name} --{stage} SECRET")),
                })
            }
            Definition::Defines(slots) => {
                let secret = slots.of(stage).ok_or_else(|| Fault {
                    state: ElementState::Empty,
                    reason: format!("the slot {stage} is empty"),
                    hint: Some(format!(
                        "name a secret for {stage} under [library.elements] in bursar.toml; see which there are: bursar \
                         secret list --organization {}",
                        self.organization
                    )),
                })?;
                let name = full(secret);
                catalog.secret_id(name.organization.as_str(), name.name.as_str()).ok_or_else(|| Fault {
                    state: ElementState::Missing,
                    reason: format!("there is no secret {name}"),
                    hint: Some(format!("create it: bursar secret create {name}")),
                })
            }
        }
    }
}

/// The error for an element that does not resolve.
pub(crate) fn unresolved(resolved: &Resolved) -> Option<CallError> {
    let error = CallError::new(ErrorName::Unresolved, resolved.problem.clone()?);
    Some(match &resolved.hint {
        Some(hint) => error.hint(hint.clone()),
        None => error,
    })
}

/// What is wrong with an element.
struct Fault {
    state: ElementState,
    reason: String,
    hint: Option<String>,
}

/// Why a secret in a slot cannot be used.
fn unusable(catalog: &Catalog, secret: &Secret, target: Target, now: Timestamp) -> Option<Fault> {
    let name = secret.full_name();
    let bound = secret.environment.and_then(|id| Some((id, catalog.environments.get(&id)?)));
    if let Some((id, environment)) = bound {
        let elsewhere = match target {
            Target::Environment(wanted, _) if id != wanted => {
                let wanted = catalog.environments.get(&wanted).map(|wanted| wanted.name.to_string());
                Some(wanted.unwrap_or_default())
            }
            Target::Stage(stage) if environment.stage != stage => Some(format!("an environment of {stage}")),
            _ => None,
        };
        if let Some(wanted) = elsewhere {
            return Some(Fault {
                state: ElementState::Elsewhere,
                reason: format!("{name} is bound to {}, not to {wanted}", environment.name),
                hint: Some(format!(
                    "put another one into the slot; see which there are: bursar secret list --organization {}",
                    name.organization
                )),
            });
        }
    }
    let saved = saved(secret);
    let served = judge(secret, saved.as_ref(), MIN_VALIDITY, false, now) == Verdict::Serve;
    if served && secret.status == Status::Succeeded {
        return None;
    }
    let refused = refusal(secret, saved.as_ref(), MIN_VALIDITY, now);
    let state = match refused.name {
        ErrorName::Inactive => ElementState::Inactive,
        ErrorName::Unbound => ElementState::Unbound,
        ErrorName::Expired | ErrorName::ValidityTooLong => ElementState::Expired,
        ErrorName::Pending => ElementState::Pending,
        ErrorName::NeedsAuthorization => ElementState::NeedsAuthorization,
        _ => ElementState::Failed,
    };
    Some(Fault { state, reason: refused.message, hint: refused.hint })
}

/// The artifact as the catalog knows it.
fn saved(secret: &Secret) -> Option<Saved> {
    secret.artifact_tag.map(|_| Saved { expires_at: secret.expires_at, length: 0 })
}
