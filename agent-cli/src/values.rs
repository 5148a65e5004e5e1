//! Artifacts on their way into templates: which are pulled, and which text of each is meant.
//!
//! A value leaves here only as what a mark stands for; no reason and no error holds one.

mod failures;

pub(crate) use failures::{Failures, gate};

use crate::output::text::printable;
use crate::progress::call_all;
use crate::session::Session;
use crate::stop::Stop;
use bursar_proto::call::{ArtifactGet, LibraryResolve};
use bursar_proto::client::Client;
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::library::Elements;
use bursar_proto::name::{OrganizationName, Qualified, Reference};
use bursar_proto::reply::{Artifact, Resolved};
use bursar_proto::sensitive::Sensitive;
use bursar_proto::template::{Mark, Subject};
use failures::unresolved;
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
    artifact.field(field).ok_or_else(|| unchosen("there is no such field".to_owned()))
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
    let Pulled { values, missed } = pull(session, client, &[group], &BTreeMap::new())?;
    Failures::of(missed.into_iter().map(|(_, error)| error)).end()?;
    Ok(values)
}

/// What was pulled, and why the rest was not.
#[derive(Default)]
pub(crate) struct Pulled {
    pub(crate) values: Values,
    pub(crate) missed: Missed,
}

/// Why there is no artifact for what templates name.
pub(crate) type Missed = Vec<(Subject, CallError)>;

/// Pulls `secrets`, which stand by the names that templates have for them, and resolves all elements; once each of these
/// can be used, pulls their secrets, each once.
///
/// # Errors
/// What has nothing to do with any one name: the vault is locked, the agent is gone.
pub(crate) fn pull(
    session: &Session,
    client: &mut Client,
    groups: &[Group],
    secrets: &BTreeMap<Reference, Reference>,
) -> Result<Pulled, Stop> {
    let mut done = Pulled::default();
    let resolved = resolve(session, client, groups, &mut done.missed)?;
    let gets: Vec<_> = secrets.values().map(|secret| get(secret.clone(), None)).collect();
    let pulled = call_all(session, client, "pulling", &gets)?;
    for (name, artifact) in secrets.keys().zip(pulled) {
        let subject = || Subject::Secret(name.clone());
        if let Some(artifact) = kept(artifact, [subject()], &mut done.missed)? {
            done.values.insert(subject(), artifact);
        }
    }
    if !done.missed.is_empty() {
        return Ok(done);
    }

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
        let subjects: Vec<_> = names.into_iter().map(Subject::Element).collect();
        if let Some(artifact) = kept(artifact, subjects.iter().cloned(), &mut done.missed)?.map(Rc::new) {
            done.values.0.extend(subjects.into_iter().map(|subject| (subject, Rc::clone(&artifact))));
        }
    }
    Ok(done)
}

/// The elements that can be used.
fn resolve(
    session: &Session,
    client: &mut Client,
    groups: &[Group],
    missed: &mut Missed,
) -> Result<Vec<Resolved>, Stop> {
    let calls: Vec<_> = groups.iter().flat_map(in_requests).collect();
    let mut good = Vec::new();
    for (call, resolution) in calls.iter().zip(call_all(session, client, "resolving", &calls)?) {
        let asked = call.elements.keys().cloned().map(Subject::Element);
        for one in kept(resolution, asked, missed)?.into_iter().flat_map(|resolution| resolution.elements) {
            match unresolved(None, &one) {
                None => good.push(one),
                Some(error) => missed.push((Subject::Element(one.element), error)),
            }
        }
    }
    Ok(good)
}

/// The answer, where it was not refused because of what `subjects` name.
///
/// # Errors
/// It was refused because of something else.
pub(crate) fn kept<T>(
    answer: Result<T, CallError>,
    subjects: impl IntoIterator<Item = Subject>,
    missed: &mut Missed,
) -> Result<Option<T>, Stop> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if blames_a_name(error.name) => {
            missed.extend(subjects.into_iter().map(|subject| (subject, error.clone())));
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether an error says something of the thing that was named, and not of the agent or the connection.
fn blames_a_name(error: ErrorName) -> bool {
    use ErrorName as E;
    let refused = matches!(error, E::Invalid | E::Denied | E::NotFound);
    let unusable = matches!(error, E::Expired | E::Inactive | E::Unbound | E::Unresolved);
    let unexchanged = matches!(error, E::NeedsAuthorization | E::IssuerUnreachable | E::Failed | E::Pending);
    refused || unusable || unexchanged
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
