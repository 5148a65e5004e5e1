//! `bursar check`: the matrix of elements and stages. No value is pulled, so nobody's trust is asked.

use crate::args::live::{Check, Stages};
use crate::live::Scope;
use crate::output::Printer;
use crate::output::text::{cell, grid, printable};
use crate::progress::call_all;
use crate::session::Session;
use crate::stop::Stop;
use crate::values::{Failures, in_parts};
use crate::workspace::environment_in;
use crate::workspace::library::Names;
use crate::workspace::operations::versions;
use bursar_proto::call::{ElementList, EnvironmentShow, LibraryResolve, PackageResolve};
use bursar_proto::client::Client;
use bursar_proto::error::CallError;
use bursar_proto::kind::{ElementState, Stage};
use bursar_proto::library::{Definition, Elements, Slots};
use bursar_proto::name::{OrganizationName, Qualified, Reference};
use bursar_proto::reply::{Environment, Resolution, Resolved};
use bursar_proto::semver::Version;
use serde::Serialize;
use std::collections::BTreeMap;

pub(crate) fn run(session: &Session, check: Check) -> Result<(), Stop> {
    let stages = match check.stage {
        None => Vec::new(),
        Some(Stages::One(stage)) => vec![stage],
        Some(Stages::All) => Stage::ALL.to_vec(),
    };
    let scope = Scope::find(session, check.environment)?;
    let client = session.connect()?;
    let matrix = Ask { session, client, scope: &scope, stages, own: None }.matrix()?;
    session.printer.reply(&matrix.rows(), |printer| matrix.describe(printer))?;
    if matrix.is_good() { Ok(()) } else { Err(Stop::NotCurrent) }
}

/// Elements whose bare names belong to one organization; the agent's default where none is said.
type OfOrganization = (Option<OrganizationName>, Elements);

/// Where elements are looked at, as calls say it: in an environment, or in a stage.
type Target = (Option<Reference>, Option<Stage>);

/// One run: who asks, over which connection, and where elements are looked at.
struct Ask<'a> {
    session: &'a Session,
    client: Client,
    scope: &'a Scope,
    /// The stages that were asked for; none where an environment was.
    stages: Vec<Stage>,
    /// The environment that the workspace sets.
    own: Option<Environment>,
}

impl Ask<'_> {
    /// Looks at the workspace's library and packages; outside of one, at data elements.
    fn matrix(mut self) -> Result<Matrix, Stop> {
        let mut matrix = Matrix::default();
        let Some(workspace) = &self.scope.workspace else {
            let all = self.data()?;
            self.elements(&mut matrix, &all)?;
            return Ok(Matrix { stages: self.stages, ..matrix });
        };
        // a name that is nobody's is told where there is no element, too
        if self.stages.is_empty() {
            self.scope.shown(&mut self.client)?;
        } else if let Some(environment) = workspace.manifest.environment.clone() {
            self.own = Some(self.client.call(&EnvironmentShow { environment })?);
        }
        let mut elements = Vec::new();
        if let Some(library) = &workspace.manifest.library {
            let content = workspace.content(library, Names::OfOrganization)?;
            elements.push((library.name.organization.clone(), content.elements));
        }
        let packages = versions(self.session, &mut self.client, workspace)?;
        self.elements(&mut matrix, &elements)?;
        self.packages(&mut matrix, packages)?;
        Ok(Matrix { stages: self.stages, ..matrix })
    }

    /// The data elements of the organization whose environment was said; of all where stages were.
    fn data(&mut self) -> Result<Vec<OfOrganization>, Stop> {
        let organization = if self.stages.is_empty() {
            Some(self.scope.shown(&mut self.client)?.environment.organization)
        } else {
            None
        };
        let mut all: BTreeMap<OrganizationName, Elements> = BTreeMap::new();
        for element in self.client.call(&ElementList { organization })? {
            let name = Reference::from(element.element.clone());
            let of_organization = all.entry(element.element.organization).or_default();
            of_organization.insert(name.clone(), Definition::Uses(name));
        }
        Ok(all.into_iter().map(|(organization, elements)| (Some(organization), elements)).collect())
    }

    fn elements(&mut self, matrix: &mut Matrix, all: &[OfOrganization]) -> Result<(), Stop> {
        let mut calls = Vec::new();
        for (organization, elements) in all {
            let targets = self.targets(organization.as_ref())?;
            calls.extend(targets.into_iter().flat_map(|(environment, stage)| {
                in_parts(elements).map(move |elements| LibraryResolve {
                    organization: organization.clone(),
                    elements,
                    environment: environment.clone(),
                    stage,
                })
            }));
        }
        let mut failures = Failures::default();
        for resolution in call_all(self.session, &mut self.client, "resolving", &calls)? {
            if let Some(resolution) = failures.sift(resolution) {
                matrix.take(None, resolution);
            }
        }
        failures.end()
    }

    fn packages(&mut self, matrix: &mut Matrix, all: Vec<(Qualified, Version)>) -> Result<(), Stop> {
        let mut calls = Vec::new();
        for (package, version) in &all {
            let targets = self.targets(Some(&package.organization))?.into_iter();
            calls.extend(targets.map(|(environment, stage)| PackageResolve {
                package: package.clone().into(),
                version: version.clone(),
                environment,
                stage,
            }));
        }
        let each = self.stages.len().max(1);
        let mut resolutions = call_all(self.session, &mut self.client, "resolving", &calls)?.into_iter();
        let mut failures = Failures::default();
        for (package, _) in all {
            let of_package: Vec<_> = resolutions.by_ref().take(each).collect();
            if of_package.iter().all(Result::is_err) {
                // there is nothing to show of it, and the stages say the same
                of_package.into_iter().next().and_then(|resolution| failures.sift(resolution));
                continue;
            }
            for resolution in of_package {
                match resolution {
                    Ok(resolution) => matrix.take(Some(&package), resolution),
                    // an organization may lack an environment of a stage
                    Err(error) => matrix.missing.push((package.clone(), error)),
                }
            }
        }
        failures.end()
    }

    /// Where an organization's elements are looked at: each stage that was asked for, or the environment in force.
    fn targets(&mut self, organization: Option<&OrganizationName>) -> Result<Vec<Target>, Stop> {
        if !self.stages.is_empty() {
            return Ok(self.stages.iter().map(|stage| self.of_stage(organization, *stage)).collect());
        }
        let environment = self.scope.environment_for(&mut self.client, organization)?;
        Ok(vec![(Some(environment), None)])
    }

    /// A stage in an organization: where it is that of the workspace's own environment, what `bursar.toml` says for it.
    fn of_stage(&self, organization: Option<&OrganizationName>, stage: Stage) -> Target {
        let own = self.own.as_ref().filter(|own| own.stage == stage);
        let said = own.zip(self.scope.workspace.as_ref()).and_then(|(own, workspace)| {
            let home = Reference::from(own.environment.clone());
            let organization = organization.unwrap_or(&own.environment.organization);
            environment_in(organization, &home, &workspace.manifest.environments)
        });
        if said.is_some() { (said, None) } else { (None, Some(stage)) }
    }
}

#[derive(Default)]
struct Matrix {
    /// The stages that were asked for; none where an environment was.
    stages: Vec<Stage>,
    rows: BTreeMap<(Option<Qualified>, Reference), Slots<Resolved>>,
    /// Stages for which a package cannot be looked at.
    missing: Vec<(Qualified, CallError)>,
}

/// A row as `--json` shows it.
#[derive(Serialize)]
struct Row<'a> {
    package: Option<&'a Qualified>,
    element: &'a Reference,
    #[serde(flatten)]
    cells: &'a Slots<Resolved>,
}

impl Matrix {
    fn take(&mut self, package: Option<&Qualified>, resolution: Resolution) {
        for resolved in resolution.elements {
            let row = self.rows.entry((package.cloned(), resolved.element.clone())).or_default();
            *row.of_mut(resolution.stage) = Some(resolved);
        }
    }

    fn rows(&self) -> Vec<Row<'_>> {
        let rows = self.rows.iter();
        rows.map(|((package, element), cells)| Row { package: package.as_ref(), element, cells }).collect()
    }

    fn is_good(&self) -> bool {
        let good = |cells: &Slots<Resolved>| {
            self.stages.iter().all(|stage| cells.of(*stage).is_some())
                && cells.filled().all(|(_, resolved)| resolved.state == ElementState::Good)
        };
        self.missing.is_empty() && self.rows.values().all(good)
    }

    fn describe(&self, printer: &Printer) -> String {
        let shown = |stage: &&Stage| {
            self.stages.contains(stage) || self.rows.values().any(|cells| cells.of(**stage).is_some())
        };
        let columns: Vec<Stage> = Stage::ALL.iter().filter(shown).copied().collect();
        let names: Vec<String> = columns.iter().map(|stage| stage.as_str().to_uppercase()).collect();
        let heading: Vec<&str> = ["ELEMENT"].into_iter().chain(names.iter().map(String::as_str)).collect();
        let rows: Vec<Vec<String>> = self
            .rows
            .iter()
            .map(|((package, element), cells)| {
                let state = |stage| cell(cells.of(stage).map(|resolved| resolved.state));
                [prefixed(package.as_ref(), element)]
                    .into_iter()
                    .chain(columns.iter().copied().map(state))
                    .collect()
            })
            .collect();
        let mut text = grid(printer, &heading, &rows);
        for (problem, hint) in self.problems() {
            text.extend(["\n", &printable(&problem), "\n"]);
            text.extend(hint.map(|hint| format!("  hint: {}\n", printable(hint))));
        }
        text
    }

    /// What is wrong, and what to do about it.
    fn problems(&self) -> impl Iterator<Item = (String, Option<&str>)> {
        let cells = self.rows.iter().flat_map(|((package, _), cells)| {
            cells.filled().filter_map(move |(_, resolved)| {
                Some((prefixed(package.as_ref(), resolved.problem.as_ref()?), resolved.hint.as_deref()))
            })
        });
        let missing = self.missing.iter();
        cells.chain(
            missing.map(|(package, error)| (prefixed(Some(package), &error.message), error.hint.as_deref())),
        )
    }
}

/// `acme/site: API_TOKEN`
fn prefixed(package: Option<&Qualified>, text: &impl std::fmt::Display) -> String {
    package.map_or_else(|| text.to_string(), |package| format!("{package}: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn resolution(stage: &str, elements: &[(&str, &str)]) -> Resolution {
        let elements: Vec<_> = elements
            .iter()
            .map(|(element, state)| {
                let problem = (*state != "good").then(|| format!("{element}, {stage}: it is {state}"));
                json!({
                    "element": element, "stage": stage, "secret": null, "environment": null, "type": null,
                    "expires_at": null, "state": state, "problem": problem, "hint": problem.as_ref().map(|_| "mend it")
                })
            })
            .collect();
        serde_json::from_value(json!({ "environment": null, "stage": stage, "elements": elements })).unwrap()
    }

    fn site() -> Qualified {
        "acme/site".parse().unwrap()
    }

    #[test]
    fn a_row_has_a_cell_for_each_stage_and_problems_stand_below() {
        let mut matrix = Matrix { stages: vec![Stage::Staging, Stage::Production], ..Matrix::default() };
        matrix.take(None, resolution("staging", &[("TOKEN", "good")]));
        matrix.take(None, resolution("production", &[("TOKEN", "empty")]));
        matrix.take(Some(&site()), resolution("staging", &[("KEY", "good")]));
        assert!(!matrix.is_good());
        assert_eq!(
            matrix.describe(&Printer::new(false, true)),
            "ELEMENT         STAGING  PRODUCTION\nTOKEN           good     empty\nacme/site: KEY  good     -\n\n\
             TOKEN, production: it is empty\n  hint: mend it\n"
        );
        let rows = serde_json::to_value(matrix.rows()).unwrap();
        assert_eq!((&rows[0]["package"], &rows[1]["package"]), (&json!(null), &json!("acme/site")));
        assert_eq!(
            (&rows[0]["production"]["state"], &rows[1]["production"]),
            (&json!("empty"), &json!(null))
        );
    }

    #[test]
    fn all_cells_that_were_asked_for_must_be_good() {
        let mut matrix = Matrix::default();
        matrix.take(None, resolution("staging", &[("TOKEN", "good")]));
        assert!(matrix.is_good());
        matrix.stages = vec![Stage::Staging];
        assert!(matrix.is_good());
        matrix.stages.push(Stage::Production);
        assert!(!matrix.is_good());
    }

    #[test]
    fn a_stage_that_a_package_lacks_is_not_good() {
        let mut matrix = Matrix { stages: vec![Stage::Staging], ..Matrix::default() };
        matrix.take(Some(&site()), resolution("staging", &[("KEY", "good")]));
        assert!(matrix.is_good());
        let error = CallError::new(bursar_proto::error::ErrorName::NotFound, "acme has no production");
        matrix.missing.push((site(), error));
        assert!(!matrix.is_good());
        assert!(
            matrix.describe(&Printer::new(false, true)).ends_with("\nacme/site: acme has no production\n")
        );
    }
}
