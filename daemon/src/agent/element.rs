//! element.*

use super::library::{environment_target, unresolved};
use super::organization::{chosen, no_organization};
use super::request::Request;
use super::{Agent, new_id, no_secret};
use crate::vault::Change;
use crate::vault::catalog::{Catalog, Definition, Element, Secret};
use crate::vault::store::Id;
use bursar_proto::call::{ElementList, ElementResolve, ElementSet};
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::fields::{Edit, Invalid};
use bursar_proto::kind::Stage;
use bursar_proto::library::Slots;
use bursar_proto::name::{Qualified, Reference};
use bursar_proto::reply;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Agent {
    pub(super) async fn element_set(
        &self,
        call: ElementSet,
        request: &Request,
    ) -> Result<reply::Element, CallError> {
        let name = self.resolve(call.element);
        let slots = [
            (Stage::Development, call.development),
            (Stage::Staging, call.staging),
            (Stage::Production, call.production),
        ];
        let (fresh, now) = (new_id()?, self.clock.now());
        self.write(request, |catalog| {
            if !catalog.organizations.contains_key(&name.organization) {
                return Err(no_organization(&name.organization));
            }
            let id = catalog.element_id(&name).unwrap_or(fresh);
            let known = catalog.elements.get(&id);
            let mut element = Element {
                name: name.clone(),
                slots: known.map_or_else(Slots::default, |known| known.slots.clone()),
                created_at: known.map_or(now, |known| known.created_at),
                updated_at: now,
            };
            for (stage, edit) in slots {
                match edit {
                    Edit::Keep => {}
                    Edit::Clear => *element.slots.of_mut(stage) = None,
                    Edit::Set(secret) => {
                        *element.slots.of_mut(stage) = Some(fitting(catalog, &name, stage, secret)?);
                    }
                }
            }
            if let Some(known) = known.filter(|known| known.slots == element.slots) {
                return Ok((Vec::new(), view(catalog, known)));
            }
            let shown = view(catalog, &element);
            catalog.insert_element(id, element);
            Ok((vec![Change::Element(id)], shown))
        })
        .await
    }

    pub(super) fn element_list(&self, call: &ElementList) -> Result<Vec<reply::Element>, CallError> {
        let mut vault = self.vault();
        let catalog = &vault.unlocked()?.catalog;
        let ids = chosen(catalog, call.organization.as_ref())?
            .flat_map(|(_, organization)| organization.elements.values());
        Ok(ids.filter_map(|id| catalog.elements.get(id)).map(|element| view(catalog, element)).collect())
    }

    pub(super) fn element_show(&self, element: Reference) -> Result<reply::Element, CallError> {
        let name = self.resolve(element);
        let mut vault = self.vault();
        let catalog = &vault.unlocked()?.catalog;
        let element = catalog.element_id(&name).and_then(|id| catalog.elements.get(&id));
        element.map(|element| view(catalog, element)).ok_or_else(|| no_element(&name))
    }

    pub(super) async fn element_delete(
        &self,
        element: Reference,
        request: &Request,
    ) -> Result<reply::Empty, CallError> {
        let name = self.resolve(element);
        self.write(request, |catalog| {
            let id = catalog.element_id(&name).ok_or_else(|| no_element(&name))?;
            catalog.remove_element(&id);
            Ok((vec![Change::Element(id)], reply::Empty {}))
        })
        .await
    }

    pub(super) async fn element_resolve(
        self: &Arc<Self>,
        call: ElementResolve,
    ) -> Result<reply::Resolved, CallError> {
        let name = self.resolve(call.element);
        let environment = call.environment.within(&name.organization);
        if environment.organization != name.organization {
            return Err(Invalid::new(format!("{environment} is of another organization than {name}")).into());
        }
        let target = {
            let mut vault = self.vault();
            let catalog = &vault.unlocked()?.catalog;
            catalog.element_id(&name).ok_or_else(|| no_element(&name))?;
            environment_target(catalog, &environment)?
        };
        let alone = BTreeMap::from([(name.clone().into(), Definition::Uses(name.name.clone()))]);
        let resolved = self.resolve_all(&name.organization, &alone, target).await?;
        let resolved = resolved.into_iter().next().ok_or_else(|| no_element(&name))?;
        unresolved(&resolved).map_or(Ok(resolved), Err)
    }
}

/// The secret that is to go into a slot, if it may.
fn fitting(catalog: &Catalog, element: &Qualified, stage: Stage, secret: Reference) -> Result<Id, CallError> {
    let refuse = |reason: String| CallError::from(Invalid::field(stage.as_str(), reason));
    let secret = secret.within(&element.organization);
    if secret.organization != element.organization {
        return Err(refuse(format!("{secret} is of another organization than {element}")));
    }
    let id = catalog.secret_id(secret.organization.as_str(), secret.name.as_str());
    let id = id.ok_or_else(|| no_secret(&secret))?;
    let bound = catalog.secrets.get(&id).and_then(|secret| secret.environment);
    match bound.and_then(|environment| catalog.environments.get(&environment)) {
        Some(environment) if environment.stage == stage => Ok(id),
        Some(environment) => Err(refuse(format!(
            "{secret} is bound to {}, which is of stage {}",
            environment.name, environment.stage
        ))
        .hint(format!("name a secret that is bound to an environment of stage {stage}"))),
        None => Err(refuse(format!("{secret} is bound to no environment"))
            .hint(format!("bind it: bursar secret bind {secret} ENVIRONMENT"))),
    }
}

/// The slots that hold a secret, by element.
pub(super) fn applied(catalog: &Catalog, secret: &Id) -> Vec<reply::AppliedElement> {
    let held = |element: &Element| {
        let name = element.name.clone();
        let slots = element.slots.filled().filter(|(_, held)| *held == secret);
        slots.map(|(stage, _)| reply::AppliedElement { element: name.clone(), stage }).collect::<Vec<_>>()
    };
    let mut applied: Vec<_> = catalog.elements.values().flat_map(held).collect();
    applied.sort_by(|a, b| a.element.cmp(&b.element).then(a.stage.cmp(&b.stage)));
    applied
}

/// The error for an element that is not there.
fn no_element(name: &Qualified) -> CallError {
    CallError::new(ErrorName::NotFound, format!("no data element {name}"))
        .hint("see which there are: bursar element list")
}

/// An element for an answer.
fn view(catalog: &Catalog, element: &Element) -> reply::Element {
    let secret = |id: &Option<Id>| catalog.secrets.get(id.as_ref()?).map(Secret::full_name);
    reply::Element {
        element: element.name.clone(),
        development: secret(&element.slots.development),
        staging: secret(&element.slots.staging),
        production: secret(&element.slots.production),
        created_at: element.created_at,
        updated_at: element.updated_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::library::{Asked, Target};
    use crate::vault::catalog::Environment;
    use bursar_proto::kind::{ElementState, SecretType, Status};
    use bursar_proto::time::Timestamp;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    /// acme with two development environments, and `x` bound to the first of them and in the slot of `e`.
    fn catalog() -> Catalog {
        let mut catalog = Catalog::default();
        catalog.insert_organization("acme".parse().unwrap(), [9; 16], at(0));
        for (n, name) in [(1, "acme/dev"), (2, "acme/dev-2")] {
            let name = name.parse().unwrap();
            let environment = Environment { name, stage: Stage::Development, created_at: at(0) };
            catalog.insert_environment([n; 16], environment);
        }
        let mut secret = Secret::new(&"acme/x".parse().unwrap(), SecretType::Token, at(0));
        secret.environment = Some([1; 16]);
        secret.status = Status::Succeeded;
        secret.artifact_tag = Some([0; 16]);
        catalog.insert_secret([5; 16], secret);
        let slots = Slots { development: Some([5; 16]), ..Slots::default() };
        let element =
            Element { name: "acme/e".parse().unwrap(), slots, created_at: at(0), updated_at: at(0) };
        catalog.insert_element([7; 16], element);
        catalog
    }

    fn state(catalog: &Catalog, definition: &Definition, target: Target) -> (ElementState, String) {
        let (organization, name) = ("acme".parse().unwrap(), "E".parse().unwrap());
        let asked = Asked { organization: &organization, name: &name, definition };
        let resolved = asked.resolve(catalog, target, at(100));
        (resolved.state, resolved.problem.unwrap_or_default())
    }

    #[test]
    fn the_one_development_slot_serves_the_environment_of_its_secret_alone() {
        let catalog = catalog();
        let uses = Definition::Uses("e".parse().unwrap());
        let resolve = |id| state(&catalog, &uses, Target::Environment([id; 16], Stage::Development));
        assert_eq!(resolve(1), (ElementState::Good, String::new()));
        let elsewhere = "E, development: acme/x is bound to acme/dev, not to acme/dev-2";
        assert_eq!(resolve(2), (ElementState::Elsewhere, elsewhere.into()));
        assert_eq!(state(&catalog, &uses, Target::Stage(Stage::Development)).0, ElementState::Good);
    }

    #[test]
    fn each_refusal_says_slot_secret_and_reason() {
        let uses = Definition::Uses("e".parse().unwrap());
        let target = Target::Environment([1; 16], Stage::Development);
        let cases = [
            (|s: &mut Secret| s.active = false, ElementState::Inactive, "acme/x is deactivated"),
            (
                |s: &mut Secret| s.environment = None,
                ElementState::Unbound,
                "acme/x is bound to no environment",
            ),
            (|s: &mut Secret| s.expiration_date = Some(at(50)), ElementState::Expired, "acme/x expired at"),
            (
                |s: &mut Secret| s.status = Status::Pending,
                ElementState::Pending,
                "the exchange of acme/x still runs",
            ),
            (
                |s: &mut Secret| s.status = Status::Failed,
                ElementState::Failed,
                "the exchange of acme/x failed",
            ),
            (
                |s: &mut Secret| s.status = Status::ManualAuthorization,
                ElementState::NeedsAuthorization,
                "acme/x waits for a person",
            ),
            (
                |s: &mut Secret| (s.kind, s.expires_at) = (SecretType::Jwt, Some(at(100))),
                ElementState::Expired,
                "the artifact of acme/x expired",
            ),
        ] as [(fn(&mut Secret), _, _); 7];
        for (kill, expected, words) in cases {
            let mut catalog = catalog();
            catalog.update_secret(&[5; 16], kill);
            let (state, problem) = state(&catalog, &uses, target);
            assert_eq!(state, expected, "{problem}");
            assert!(problem.starts_with(&format!("E, development: {words}")), "{problem}");
        }
    }

    #[test]
    fn what_is_not_there_is_told_apart_from_an_empty_slot() {
        let catalog = catalog();
        let named = |definition| state(&catalog, &definition, Target::Stage(Stage::Development));
        assert_eq!(named(Definition::Uses("f".parse().unwrap())).0, ElementState::Missing);
        assert_eq!(named(Definition::Defines(Slots::default())).0, ElementState::Empty);
        let slots = Slots { development: Some("y".parse().unwrap()), ..Slots::default() };
        let (missing, problem) = named(Definition::Defines(slots));
        assert_eq!(
            (missing, problem.as_str()),
            (ElementState::Missing, "E, development: there is no secret acme/y")
        );
        let uses = Definition::Uses("e".parse().unwrap());
        assert_eq!(state(&catalog, &uses, Target::Stage(Stage::Staging)).0, ElementState::Empty);
    }
}
