//! What a template of `[[render]]` becomes: the same as for `bursar render`, without waiting for anything.

use super::Agent;
use super::artifact::{ARTIFACT_ROOM, MIN_VALIDITY, Verdict, judge, refusal, write_head};
use super::library::{Asked, Target, environment_target};
use super::package::only_environment;
use super::{no_secret, secret::named};
use crate::audit::{Entry, NotRecorded, OK};
use crate::render::{Filled, Render, Values, parsed};
use crate::vault::Unlocked;
use crate::vault::catalog::{Catalog, Definition};
use crate::vault::store::Id;
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::kind::ElementState;
use bursar_proto::name::{OrganizationName, Qualified};
use bursar_proto::reply::Artifact;
use bursar_proto::sensitive::Sensitive;
use bursar_proto::template::{Mark, Subject, Template};
use bursar_proto::time::Timestamp;
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// The secret behind a name, and what is handed out for it.
struct Pulled {
    secret: (Id, Qualified),
    artifact: Artifact,
}

impl Pulled {
    /// The text that a mark stands for.
    fn text(&self, field: Option<&str>) -> Result<&str, String> {
        let Self { secret: (_, name), artifact } = self;
        let text = match field {
            None => artifact.value.as_ref(),
            Some(field) => artifact.field(field),
        };
        text.map(Sensitive::expose).ok_or_else(|| match field {
            None => {
                format!("{name} is of type {}, which has several fields; name one of them", artifact.r#type)
            }
            Some(_) => format!("{name} has no such field"),
        })
    }
}

impl Values for Agent {
    fn fill(&self, render: &Render) -> Filled {
        let text = match render.source.read() {
            Ok(text) => text,
            Err(error) => return Filled::NotNow(format!("its template: {error}")),
        };
        let template = match parsed(&text, render.environment.as_ref()) {
            Ok(template) => template,
            Err(reason) => return Filled::NotNow(format!("its template: {reason}")),
        };
        let pulled = match self.pull_marks(render, &template) {
            Ok(pulled) => pulled,
            Err(missing) => return missing,
        };
        let value = |mark: &Mark| {
            let pulled = pulled.get(&mark.subject).ok_or_else(|| format!("no value of {}", mark.subject))?;
            pulled.text(mark.field.as_deref())
        };
        match template.render(value) {
            Ok(text) => {
                let secrets: BTreeMap<Id, Qualified> =
                    pulled.values().map(|pulled| pulled.secret.clone()).collect();
                Filled::Text(text, secrets.into_iter().collect())
            }
            Err(faults) => {
                let told: Vec<_> = faults.iter().map(ToString::to_string).collect();
                Filled::NotNow(format!("its template: {}", told.join("; ")))
            }
        }
    }

    fn record(&self, file: &str, secrets: &[(Id, Qualified)]) -> Result<(), NotRecorded> {
        for secret in secrets {
            let entry = Entry::of_agent("render", secret.clone(), OK, self.clock.now());
            self.audit.note(Entry { subject: Some(file.into()), ..entry }, true)?;
        }
        Ok(())
    }
}

impl Agent {
    /// What the marks of a template stand for; each name is looked at once.
    fn pull_marks(
        &self,
        render: &Render,
        template: &Template<'_>,
    ) -> Result<BTreeMap<Subject, Pulled>, Filled> {
        let environment = render.environment.clone().map(|name| self.resolve(name));
        let now = self.clock.now();
        let mut vault = self.vault();
        let Ok(unlocked) = vault.unlocked() else { return Err(Filled::Locked) };
        let mut pulled = BTreeMap::new();
        let mut missing = None;
        for mark in template.marks() {
            if pulled.contains_key(&mark.subject) {
                continue;
            }
            let id = match (&mark.subject, &environment) {
                (Subject::Secret(name), _) => {
                    let name = self.resolve(name.clone());
                    let id = unlocked.catalog.secret_id(name.organization.as_str(), name.name.as_str());
                    id.ok_or_else(|| missed(&no_secret(&name)))
                }
                (Subject::Element(name), Some(environment)) => {
                    element(&unlocked.catalog, &self.resolve(name.clone()), environment, now)
                }
                // `parsed` has seen to it
                (Subject::Element(name), None) => Err(Filled::NotNow(format!("{name}: no environment"))),
            };
            match id.and_then(|id| open(unlocked, id, now)) {
                Ok(one) => drop(pulled.insert(mark.subject.clone(), one)),
                // one that is gone decides
                Err(gone @ Filled::Gone(_)) => return Err(gone),
                Err(other) => missing = missing.or(Some(other)),
            }
        }
        missing.map_or(Ok(pulled), Err)
    }
}

/// The secret that a data element stands for.
fn element(
    catalog: &Catalog,
    name: &Qualified,
    environment: &Qualified,
    now: Timestamp,
) -> Result<Id, Filled> {
    let target = target(catalog, &name.organization, environment).map_err(|error| missed(&error))?;
    let (reference, definition) = (name.clone().into(), Definition::Uses(name.name.clone()));
    let asked = Asked { organization: &name.organization, name: &reference, definition: &definition };
    let resolved = asked.resolve(catalog, target, now);
    let problem = resolved.problem.unwrap_or_default();
    match resolved.state {
        ElementState::Good => asked
            .secret(catalog, target.stage())
            .ok_or_else(|| Filled::NotNow(format!("{name} resolved to no secret"))),
        ElementState::Missing
        | ElementState::Empty
        | ElementState::Elsewhere
        | ElementState::Inactive
        | ElementState::Unbound => Err(Filled::Gone(problem)),
        ElementState::Expired
        | ElementState::Pending
        | ElementState::Failed
        | ElementState::NeedsAuthorization => Err(Filled::NotNow(problem)),
    }
}

/// Where elements of an organization are looked up: in another one than the environment's it is its only one of that stage.
fn target(
    catalog: &Catalog,
    organization: &OrganizationName,
    environment: &Qualified,
) -> Result<Target, CallError> {
    let target = environment_target(catalog, environment)?;
    if environment.organization == *organization {
        return Ok(target);
    }
    environment_target(catalog, &only_environment(catalog, organization, target.stage())?)
}

/// What is handed out for a secret now.
fn open(unlocked: &Unlocked, id: Id, now: Timestamp) -> Result<Pulled, Filled> {
    let secret = named(&unlocked.catalog, &id).map_err(|error| missed(&error))?;
    let mut json = Zeroizing::new(Vec::with_capacity(ARTIFACT_ROOM));
    write_head(&mut json, secret);
    let saved = unlocked.artifact(&id, &mut json).map_err(|error| Filled::NotNow(error.to_string()))?;
    if judge(secret, saved.as_ref(), MIN_VALIDITY, false, now) != Verdict::Serve {
        return Err(missed(&refusal(secret, saved.as_ref(), MIN_VALIDITY, now)));
    }
    json.push(b'}');
    let artifact = serde_json::from_slice(&json)
        .map_err(|_| Filled::NotNow(format!("the artifact of {} cannot be read", secret.full_name())))?;
    Ok(Pulled { secret: (id, secret.full_name()), artifact })
}

/// Whether an error says that something is gone, or that it cannot be had now.
fn missed(error: &CallError) -> Filled {
    let reason = match &error.hint {
        Some(hint) => format!("{}; hint: {hint}", error.message),
        None => error.message.clone(),
    };
    match error.name {
        ErrorName::NotFound | ErrorName::Inactive | ErrorName::Unbound => Filled::Gone(reason),
        _ => Filled::NotNow(reason),
    }
}
