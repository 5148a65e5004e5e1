//! Artifacts on their way into templates: which are pulled, and which text of each is meant.
//!
//! A value leaves here only as what a mark stands for; no reason and no error holds one.

use crate::output::text::printable;
use crate::progress::call_all;
use crate::session::Session;
use crate::stop::Stop;
use bursar_proto::call::{ArtifactGet, LibraryResolve};
use bursar_proto::client::Client;
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::kind::ElementState;
use bursar_proto::library::Elements;
use bursar_proto::name::{OrganizationName, Qualified, Reference};
use bursar_proto::reply::{Artifact, Resolved};
use bursar_proto::sensitive::Sensitive;
use bursar_proto::template::{Mark, Subject};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// How many elements one request resolves: with four names of the greatest length each they fit a request, and the
/// answers come in steps that can be shown.
pub(crate) const RESOLVE_MAX: usize = 200;

/// Artifacts by what stands for them in templates.
#[derive(Default)]
pub(crate) struct Values(BTreeMap<Subject, Rc<Artifact>>);

impl Values {
    pub(crate) fn insert(&mut self, subject: Subject, artifact: Artifact) {
        self.0.insert(subject, Rc::new(artifact));
    }

    /// The text that a mark stands for, before its filters.
    ///
    /// # Errors
    /// Why there is none, as the reason of a fault.
    pub(crate) fn text(&self, mark: &Mark) -> Result<&str, String> {
        let subject = &mark.subject;
        let artifact = self.0.get(subject).ok_or_else(|| format!("there is no element {subject} here"))?;
        let chosen = choose(artifact, mark.field.as_deref()).map_err(|unchosen| match mark.field {
            None => format!("{}; write %{subject}:FIELD% with one of: {}", unchosen.reason, unchosen.fields),
            Some(_) => format!("{}; choose one of: {}", unchosen.reason, unchosen.fields),
        });
        chosen.map(Sensitive::expose)
    }

    /// The secret whose artifact stands there.
    pub(crate) fn secret(&self, subject: &Subject) -> Option<&Qualified> {
        self.0.get(subject).map(|artifact| &artifact.secret)
    }
}

/// Why no text of an artifact was chosen.
pub(crate) struct Unchosen {
    pub(crate) reason: String,
    /// The names of the fields that could be.
    pub(crate) fields: String,
}

/// The one text of an artifact that is meant: its single value, or a field.
pub(crate) fn choose<'a>(artifact: &'a Artifact, field: Option<&str>) -> Result<&'a Sensitive, Unchosen> {
    let kind = artifact.r#type;
    let unchosen = |reason: String| {
        let single = artifact.value.as_ref().and(kind.value_field());
        let several = artifact.fields.iter().flatten().map(|(name, _)| name.as_str());
        let names: BTreeSet<&str> = several.chain(single).collect();
        let fields = printable(&names.into_iter().collect::<Vec<_>>().join(", "));
        Unchosen { reason, fields }
    };
    let Some(field) = field else {
        return artifact.value.as_ref().ok_or_else(|| {
            unchosen(format!("a secret of type {kind} has several fields, and none was chosen"))
        });
    };
    let listed = artifact.fields.as_ref().and_then(|fields| fields.get(field));
    let single = || artifact.value.as_ref().filter(|_| field == "value" || kind.value_field() == Some(field));
    listed.or_else(single).ok_or_else(|| unchosen("there is no such field".to_owned()))
}

/// Elements that are resolved together: for one environment of one organization.
pub(crate) struct Group {
    /// Where bare names of elements and secrets belong; the agent's default if not said.
    pub(crate) organization: Option<OrganizationName>,
    pub(crate) environment: Reference,
    pub(crate) elements: Elements,
}

/// The artifacts of a library's elements.
pub(crate) fn library_values(
    session: &Session,
    client: &mut Client,
    elements: &Elements,
    organization: Option<&OrganizationName>,
    environment: &Reference,
) -> Result<Values, Stop> {
    let group = Group {
        organization: organization.cloned(),
        environment: environment.clone(),
        elements: elements.clone(),
    };
    pull(session, client, &[group], &BTreeMap::new())
}

/// Pulls `secrets`, which stand by the names that templates have for them, and resolves all elements; once each of these
/// can be used, pulls their secrets, each once.
///
/// # Errors
/// All that fail, at once.
pub(crate) fn pull(
    session: &Session,
    client: &mut Client,
    groups: &[Group],
    secrets: &BTreeMap<Reference, Reference>,
) -> Result<Values, Stop> {
    let mut failures = Failures::default();
    let resolved = resolve(session, client, groups, &mut failures)?;
    let mut values = Values::default();
    let gets: Vec<_> = secrets.values().map(|secret| get(secret.clone(), None)).collect();
    let pulled = call_all(session, client, "pulling", &gets)?;
    for (name, artifact) in secrets.keys().zip(pulled) {
        if let Some(artifact) = failures.sift(artifact) {
            values.insert(Subject::Secret(name.clone()), artifact);
        }
    }
    failures.end()?;

    let mut names: BTreeMap<Qualified, Vec<Reference>> = BTreeMap::new();
    let mut gets = BTreeMap::new();
    for one in resolved {
        // what passed the gate has both
        let (Some(secret), environment) = (one.secret, one.environment) else { continue };
        gets.insert(secret.clone(), get(secret.clone().into(), environment.map(Reference::from)));
        names.entry(secret).or_default().push(one.element);
    }
    let gets: Vec<_> = gets.into_values().collect();
    let pulled = call_all(session, client, "pulling", &gets)?;
    for (artifact, names) in pulled.into_iter().zip(names.into_values()) {
        let Some(artifact) = failures.sift(artifact).map(Rc::new) else { continue };
        values.0.extend(names.into_iter().map(|name| (Subject::Element(name), Rc::clone(&artifact))));
    }
    failures.end()?;
    Ok(values)
}

fn resolve(
    session: &Session,
    client: &mut Client,
    groups: &[Group],
    failures: &mut Failures,
) -> Result<Vec<Resolved>, Stop> {
    let calls: Vec<_> = groups.iter().flat_map(in_requests).collect();
    let resolved: Vec<_> = call_all(session, client, "resolving", &calls)?
        .into_iter()
        .filter_map(|resolution| failures.sift(resolution))
        .flat_map(|resolution| resolution.elements)
        .collect();
    failures.gate(resolved.iter().map(|one| (None, one)));
    Ok(resolved)
}

fn in_requests(group: &Group) -> impl Iterator<Item = LibraryResolve> {
    in_parts(&group.elements).map(|elements| LibraryResolve {
        organization: group.organization.clone(),
        elements,
        environment: Some(group.environment.clone()),
        stage: None,
    })
}

/// Elements, as many at a time as one request may hold.
pub(crate) fn in_parts(elements: &Elements) -> impl Iterator<Item = Elements> {
    let all: Vec<_> = elements.iter().collect();
    let parts: Vec<Elements> = all
        .chunks(RESOLVE_MAX)
        .map(|part| part.iter().map(|(name, one)| ((*name).clone(), (*one).clone())).collect())
        .collect();
    parts.into_iter()
}

fn get(secret: Reference, environment: Option<Reference>) -> ArtifactGet {
    ArtifactGet { secret, min_validity: None, environment }
}

/// Lets through only what can be used, all of it; an element may be a package's.
///
/// # Errors
/// [`ErrorName::Unresolved`] with everything that cannot, a line each.
pub(crate) fn gate<'a>(
    resolved: impl IntoIterator<Item = (Option<&'a Qualified>, &'a Resolved)>,
) -> Result<(), Stop> {
    let mut failures = Failures::default();
    failures.gate(resolved);
    failures.end()
}

/// What failed of many things, to be told at once.
#[derive(Default)]
pub(crate) struct Failures(Vec<CallError>);

impl Failures {
    /// Keeps a failure, and answers what did not fail.
    pub(crate) fn sift<T>(&mut self, result: Result<T, CallError>) -> Option<T> {
        result.map_err(|error| self.0.push(error)).ok()
    }

    fn gate<'a>(&mut self, resolved: impl IntoIterator<Item = (Option<&'a Qualified>, &'a Resolved)>) {
        let bad = resolved.into_iter().filter(|(_, one)| one.state != ElementState::Good);
        self.0.extend(bad.map(|(package, one)| {
            let problem = one.problem.clone();
            let problem = problem.unwrap_or_else(|| format!("{} is {}", one.element, one.state));
            let problem = package.map_or_else(|| problem.clone(), |package| format!("{package}: {problem}"));
            let hint = one.hint.clone().unwrap_or_else(|| "see them all: bursar check".to_owned());
            CallError::new(ErrorName::Unresolved, problem).hint(hint)
        }));
    }

    /// One error of all that were kept, a line each; the hint is the first's.
    pub(crate) fn end(&mut self) -> Result<(), Stop> {
        let mut all = std::mem::take(&mut self.0);
        let Some(first) = all.first() else { return Ok(()) };
        if all.len() == 1 {
            return Err(all.swap_remove(0).into());
        }
        let closed = all.iter().any(|error| error.name == ErrorName::Unresolved);
        let name = if closed { ErrorName::Unresolved } else { first.name };
        let lines: Vec<_> = all.iter().map(|error| format!("\n  {}", error.message)).collect();
        let message = format!("{} problems:{}", all.len(), lines.concat());
        let hint = all.into_iter().find_map(|error| error.hint);
        Err(CallError { name, message, hint }.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bursar_proto::library::Definition;
    use bursar_proto::template::Template;

    fn artifact(json: &str) -> Artifact {
        serde_json::from_str(json).unwrap()
    }

    fn values() -> Values {
        let mut values = Values::default();
        values.insert(
            Subject::Element("token".parse().unwrap()),
            artifact(r#"{"secret":"acme/t","type":"token","value":"v","fields":null,"header":null,"expires_at":null}"#),
        );
        values.insert(
            Subject::Secret("acme/cert".parse().unwrap()),
            artifact(
                r#"{"secret":"acme/cert","type":"certificate","value":null,
                    "fields":{"certificate":"C","private_key":"K"},"header":null,"expires_at":null}"#,
            ),
        );
        values
    }

    fn rendered(template: &str) -> Result<String, String> {
        let values = values();
        match Template::parse(template).unwrap().render(|mark| values.text(mark)) {
            Ok(text) => Ok(text.to_string()),
            Err(faults) => Err(faults.iter().map(ToString::to_string).collect()),
        }
    }

    fn resolved(name: &str, state: &str, problem: Option<&str>, hint: Option<&str>) -> Resolved {
        serde_json::from_value(serde_json::json!({
            "element": name, "stage": "staging", "secret": null, "environment": null, "type": null,
            "expires_at": null, "state": state, "problem": problem, "hint": hint
        }))
        .unwrap()
    }

    #[test]
    fn a_mark_stands_for_a_value_or_a_field() {
        assert_eq!(rendered("%token% %token:token% %secret:acme/cert:private_key%"), Ok("v v K".into()));
        assert_eq!(
            values().secret(&Subject::Element("token".parse().unwrap())).unwrap().to_string(),
            "acme/t"
        );
    }

    #[test]
    fn what_a_mark_cannot_stand_for_is_said_without_a_value() {
        assert_eq!(
            rendered("%secret:acme/cert%").unwrap_err(),
            "line 1, column 1: a secret of type certificate has several fields, and none was chosen; write \
             %secret:acme/cert:FIELD% with one of: certificate, private_key"
        );
        assert_eq!(
            rendered("%token:basic%").unwrap_err(),
            "line 1, column 1: there is no such field; choose one of: token"
        );
        assert_eq!(rendered("\n %other%").unwrap_err(), "line 2, column 2: there is no element other here");
    }

    #[test]
    fn the_gate_tells_all_that_cannot_be_used() {
        let good = resolved("a", "good", None, None);
        assert!(gate([(None, &good)]).is_ok());
        let empty = resolved("b", "empty", Some("b: its slot staging is empty"), None);
        let dead = resolved("c", "expired", Some("c: acme/c is expired"), Some("bursar secret retry acme/c"));
        let Err(Stop::Failed(error)) = gate([(None, &good), (None, &empty)]) else { panic!("it opened") };
        assert_eq!(error.message, "b: its slot staging is empty");
        assert_eq!((error.name.exit_code(), error.hint.unwrap().as_str()), (7, "see them all: bursar check"));
        let Err(Stop::Failed(error)) =
            gate([(Some(&"acme/site".parse().unwrap()), &dead), (None, &good), (None, &empty)])
        else {
            panic!("it opened")
        };
        assert_eq!(
            error.message,
            "2 problems:\n  acme/site: c: acme/c is expired\n  b: its slot staging is empty"
        );
        assert_eq!(error.hint.unwrap(), "bursar secret retry acme/c");
    }

    #[test]
    fn a_request_holds_no_more_elements_than_it_may() {
        let one = |number: usize| {
            let name: Reference = format!("e{number}").parse().unwrap();
            (name.clone(), Definition::Uses(name))
        };
        for (elements, parts) in [(0, 0), (1, 1), (RESOLVE_MAX, 1), (RESOLVE_MAX + 1, 2)] {
            let elements: Elements = (0..elements).map(one).collect();
            let split: Vec<_> = in_parts(&elements).collect();
            assert_eq!(split.len(), parts);
            assert_eq!(split.into_iter().flatten().collect::<Elements>(), elements);
        }
    }

    #[test]
    fn the_largest_request_fits_a_line() {
        use bursar_proto::frame::{REQUEST_MAX, size_of};
        use bursar_proto::library::Slots;
        let longest =
            |number: usize| -> Reference { format!("{}/{:0>100}", "o".repeat(39), number).parse().unwrap() };
        let slots =
            Slots { development: Some(longest(0)), staging: Some(longest(0)), production: Some(longest(0)) };
        let elements = (0..RESOLVE_MAX).map(|at| (longest(at), Definition::Defines(slots.clone()))).collect();
        let group = Group { organization: None, environment: longest(0), elements };
        let call = in_requests(&group).next().unwrap();
        assert!(size_of(&call) <= REQUEST_MAX);
    }
}
