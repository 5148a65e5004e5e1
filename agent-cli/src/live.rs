//! Live values for `render` and `exec`: what the names in a person's own templates stand for.
//!
//! A name is an element of the workspace's library, or else a data element; `%secret:…%` names a secret. Every name is
//! looked up in the environment of its own organization.

mod placed;

pub(crate) use placed::{Placed, parse, render};

use crate::session::Session;
use crate::stop::Stop;
use crate::values::{Group, Missed, Values, kept, pull};
use crate::workspace::document::nearest;
use crate::workspace::manifest::complete;
use crate::workspace::{Workspace, environment_in, no_environment};
use bursar_proto::call::{ElementList, EnvironmentList, EnvironmentShow};
use bursar_proto::client::Client;
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::kind::Stage;
use bursar_proto::library::{Definition, Elements};
use bursar_proto::name::{OrganizationName, Qualified, Reference};
use bursar_proto::reply::Environment;
use bursar_proto::template::{Mark, Subject};
use std::collections::{BTreeMap, BTreeSet};

/// Where names belong.
pub(crate) struct Scope {
    /// The workspace in force.
    pub(crate) workspace: Option<Workspace>,
    environment: Option<Reference>,
    /// Whether the environment was said, and is not the workspace's.
    is_said: bool,
}

impl Scope {
    /// The workspace around, and the environment that was said; the workspace's if none was.
    pub(crate) fn find(session: &Session, environment: Option<Reference>) -> Result<Self, Stop> {
        Ok(Self::of(Workspace::find(&session.surroundings)?, environment))
    }

    fn of(workspace: Option<Workspace>, said: Option<Reference>) -> Self {
        let mut scope = Self { workspace, environment: None, is_said: said.is_some() };
        let set = || scope.workspace.as_ref().and_then(|workspace| workspace.manifest.environment.clone());
        scope.environment = said.or_else(set).map(|name| complete(name, scope.home()));
        scope
    }

    /// Pulls what templates name. Without a name, a workspace and an environment that was said nobody is asked.
    ///
    /// # Errors
    /// The workspace is not trusted, no environment was said, or values are not to be had: all of them are told.
    pub(crate) fn values(&self, session: &Session, templates: &[Placed<'_>]) -> Result<Values, Stop> {
        let marks = || templates.iter().flat_map(|placed| placed.template.marks());
        if self.workspace.is_none() && !self.is_said && marks().next().is_none() {
            return Ok(Values::default());
        }
        let mut client = session.connect()?;
        if let Some(workspace) = &self.workspace {
            workspace.require_trust(&mut client)?;
        }
        let Named { library, data, secrets } = self.sort(marks());
        // one that is not there is told as what it is, also where nothing is looked up in it
        if self.is_said || !library.is_empty() || !data.is_empty() {
            self.shown(&mut client)?;
        }
        let mut missed = Missed::new();
        let groups = self.groups(&mut client, library, data, &mut missed)?;
        let pulled = pull(session, &mut client, &groups, &secrets)?;
        missed.extend(pulled.missed);
        self.reword(&groups, &mut missed);
        placed::tell(templates, &missed).map_err(|stop| self.suggest(&mut client, &missed, stop))?;
        Ok(pulled.values)
    }

    fn home(&self) -> Option<&OrganizationName> {
        self.workspace.as_ref().and_then(|workspace| workspace.manifest.organization.as_ref())
    }

    fn library(&self) -> Option<(&Elements, Option<&OrganizationName>)> {
        let library = self.workspace.as_ref()?.manifest.library.as_ref()?;
        Some((&library.elements, library.name.organization.as_ref()))
    }

    /// What marks name, each once, by what it is.
    fn sort<'m>(&self, marks: impl Iterator<Item = &'m Mark>) -> Named {
        let mut named = Named::default();
        for mark in marks {
            match &mark.subject {
                Subject::Secret(name) => {
                    named.secrets.insert(name.clone(), complete(name.clone(), self.home()));
                }
                Subject::Element(name) => match self.library().and_then(|(elements, _)| elements.get(name)) {
                    Some(definition) => {
                        named.library.insert(name.clone(), definition.clone());
                    }
                    None => {
                        named.data.insert(name.clone());
                    }
                },
            }
        }
        named
    }

    /// What is resolved together: each organization's elements.
    fn groups(
        &self,
        client: &mut Client,
        library: Elements,
        data: BTreeSet<Reference>,
        missed: &mut Missed,
    ) -> Result<Vec<Group>, Stop> {
        let mut by_organization: BTreeMap<Option<OrganizationName>, Elements> = BTreeMap::new();
        if !library.is_empty() {
            let organization = self.library().and_then(|(_, organization)| organization.cloned());
            by_organization.insert(organization, library);
        }
        for name in data {
            let full = complete(name.clone(), self.home());
            let elements = by_organization.entry(full.organization.clone()).or_default();
            elements.insert(name, Definition::Uses(full));
        }
        let mut groups = Vec::with_capacity(by_organization.len());
        for (organization, elements) in by_organization {
            let environment = match self.environment_for(client, organization.as_ref()) {
                Ok(environment) => Ok(environment),
                Err(Stop::Failed(error)) => Err(error),
                Err(stop) => return Err(stop),
            };
            if let Some(environment) =
                kept(environment, elements.keys().cloned().map(Subject::Element), missed)?
            {
                groups.push(Group { organization, environment, elements });
            }
        }
        Ok(groups)
    }

    /// The environment that was said, as the agent knows it.
    pub(crate) fn shown(&self, client: &mut Client) -> Result<Environment, Stop> {
        Ok(client.call(&EnvironmentShow { environment: self.said()?.clone() })?)
    }

    fn said(&self) -> Result<&Reference, Stop> {
        self.environment.as_ref().ok_or_else(no_environment)
    }

    /// The environment in which an organization's elements are looked up.
    pub(crate) fn environment_for(
        &self,
        client: &mut Client,
        organization: Option<&OrganizationName>,
    ) -> Result<Reference, Stop> {
        let said = self.said()?;
        let Some(organization) = organization else { return Ok(said.clone()) };
        let none = BTreeMap::new();
        let others = self.workspace.as_ref().map_or(&none, |workspace| workspace.others(said));
        if let Some(found) = environment_in(organization, said, others) {
            return Ok(found);
        }
        // a name without an organization has one for the agent
        let said = self.shown(client)?;
        if said.environment.organization == *organization {
            return Ok(said.environment.into());
        }
        let all = client.call(&EnvironmentList { organization: Some(organization.clone()) })?;
        Ok(only_of_stage(organization, said.stage, all)?.into())
    }

    /// Says of a bare name, where no workspace says whose it is, what is missing; the agent speaks of libraries.
    fn reword(&self, groups: &[Group], missed: &mut Missed) {
        let Some(of) = self.environment.as_ref().and_then(|said| said.organization.as_ref()) else { return };
        let of_library = |name: &Reference| self.library().is_some_and(|(all, _)| all.contains_key(name));
        let bare = groups.iter().filter(|group| group.organization.is_none());
        let bare: BTreeSet<&Reference> =
            bare.flat_map(|group| group.elements.keys()).filter(|name| !of_library(name)).collect();
        for (subject, error) in missed.iter_mut().filter(|(_, error)| error.name == ErrorName::Invalid) {
            if let Subject::Element(name) = subject
                && bare.contains(name)
            {
                let message = format!("{name} names no organization, and the environment is one of {of}");
                *error = CallError::new(ErrorName::Invalid, message)
                    .hint(format!("name the organization in the template: %{of}/{name}%"));
            }
        }
    }

    /// Names what was probably meant, where a name is nobody's.
    fn suggest(&self, client: &mut Client, missed: &Missed, stop: Stop) -> Stop {
        let unresolved = missed.iter().filter(|(_, error)| error.name == ErrorName::Unresolved);
        let wanted: BTreeSet<String> = unresolved.map(|(subject, _)| subject.to_string()).collect();
        if wanted.is_empty() {
            return stop;
        }
        let Ok(listed) = client.call(&ElementList { organization: None }) else { return stop };
        let mut known: BTreeSet<String> = listed.iter().map(|one| one.element.to_string()).collect();
        let home = listed.iter().filter(|one| Some(&one.element.organization) == self.home());
        known.extend(home.map(|one| one.element.name.to_string()));
        known.extend(
            self.library().into_iter().flat_map(|(elements, _)| elements.keys().map(ToString::to_string)),
        );
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let unknown = wanted.iter().filter(|name| !known.contains(&name.as_str()));
        let meant: Vec<_> = unknown.filter_map(|name| nearest(name, &known)).collect();
        if meant.is_empty() { stop } else { stop.hint(format!("did you mean: {}", meant.join(", "))) }
    }
}

/// An organization's one environment of a stage.
///
/// # Errors
/// In the words that the agent has for packages: there is none, or there are several.
pub(crate) fn only_of_stage(
    organization: &OrganizationName,
    stage: Stage,
    all: Vec<Environment>,
) -> Result<Qualified, CallError> {
    let mut of_stage = all.into_iter().filter(|one| one.stage == stage).map(|one| one.environment);
    match (of_stage.next(), of_stage.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => {
            let message = format!("{organization} has no environment of stage {stage}");
            Err(CallError::new(ErrorName::NotFound, message)
                .hint(format!("make one: bursar environment create {organization}/{stage} --stage {stage}")))
        }
        (Some(one), Some(other)) => {
            let message = format!("{organization} has several environments of stage {stage}: {one}, {other}");
            Err(CallError::new(ErrorName::Invalid, message).hint(format!(
                "say which, under [environments] in bursar.toml: {organization} = \"{}\"",
                one.name
            )))
        }
    }
}

/// What templates name.
#[derive(Default)]
struct Named {
    library: Elements,
    data: BTreeSet<Reference>,
    /// Secrets by the names that the templates have for them.
    secrets: BTreeMap<Reference, Reference>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace(text: &str) -> (tempfile::TempDir, Workspace) {
        let home = tempfile::tempdir().unwrap();
        let workspace = Workspace::create(&home.path().canonicalize().unwrap(), text).unwrap();
        (home, workspace)
    }

    #[test]
    fn an_environment_belongs_to_the_organization_around() {
        let manifest = "organization = 'acme'\nenvironment = 'staging'\n";
        for (around, said, environment) in [
            (true, Some("production"), Some("acme/production")),
            (true, Some("beta/production"), Some("beta/production")),
            (true, None, Some("acme/staging")),
            (false, Some("production"), Some("production")),
            (false, None, None),
        ] {
            let found = around.then(|| workspace(manifest));
            let (_home, workspace) = found.unzip();
            let scope = Scope::of(workspace, said.map(|name| name.parse().unwrap()));
            assert_eq!(scope.environment.map(|one| one.to_string()).as_deref(), environment, "{said:?}");
        }
    }

    #[test]
    fn a_stage_stands_for_an_organizations_only_environment_of_it() {
        let organization: OrganizationName = "beta".parse().unwrap();
        let only = |names: &[&str]| {
            let one = |name: &&str| {
                let stage = if name.starts_with("dev") { "development" } else { "staging" };
                serde_json::json!({
                    "environment": format!("beta/{name}"), "stage": stage,
                    "created_at": "2026-11-21T06:00:00Z", "secrets": 0
                })
            };
            let all = names.iter().map(|name| serde_json::from_value(one(name)).unwrap()).collect();
            only_of_stage(&organization, Stage::Development, all)
        };
        assert_eq!(only(&["stg", "dev"]).unwrap().to_string(), "beta/dev");
        let none = only(&["stg"]).unwrap_err();
        assert_eq!(
            (none.name.exit_code(), none.message.as_str()),
            (5, "beta has no environment of stage development")
        );
        let several = only(&["dev", "dev-two"]).unwrap_err();
        assert_eq!(
            several.message,
            "beta has several environments of stage development: beta/dev, beta/dev-two"
        );
        assert!(several.hint.unwrap().ends_with("beta = \"dev\""));
    }

    #[test]
    fn names_are_sorted_by_what_they_name() {
        let (_home, workspace) =
            workspace("organization = 'acme'\n[library]\nname = 'site'\n[library.elements]\nb = 'acme/b'\n");
        let scope = Scope::of(Some(workspace), None);
        let marks = parse([("t".to_owned(), "%b:c% %secret:x% %secret:x/y% %acme/b% %b%")]).unwrap();
        let named = scope.sort(marks[0].template.marks());
        let texts =
            |names: &mut dyn Iterator<Item = &Reference>| names.map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(texts(&mut named.library.keys()), ["b"]);
        assert_eq!(texts(&mut named.data.iter()), ["acme/b"]);
        assert_eq!(texts(&mut named.secrets.keys()), ["x", "x/y"]);
        assert_eq!(texts(&mut named.secrets.values()), ["acme/x", "x/y"]);
    }

    #[test]
    fn outside_of_a_workspace_a_name_is_a_data_element_each_once() {
        let scope = Scope::of(None, Some("acme/staging".parse().unwrap()));
        let marks = parse([("t".to_owned(), "%a% %secret:x/y% %b:c% %acme/a% %a%")]).unwrap();
        let named = scope.sort(marks[0].template.marks());
        assert_eq!(named.data.iter().map(ToString::to_string).collect::<Vec<_>>(), ["a", "b", "acme/a"]);
        assert_eq!(named.secrets.len(), 1);
        assert!(named.library.is_empty());
    }
}
