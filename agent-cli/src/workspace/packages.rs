//! From names of packages to rendered files: which versions, their content, their elements, their values. All of it over
//! one connection, and nothing is written here.

use super::library::Content;
use super::lock::{Lock, Pin};
use super::manifest::Library;
use super::versions::{choose, highest, latest};
use super::wanted::{Origin, WantedFile, check_paths, marks, render};
use super::{Workspace, environment_in};
use crate::live::only_of_stage;
use crate::progress::call_all;
use crate::session::Session;
use crate::stop::{Stop, told};
use crate::values::{Failures, Values, gate, in_parts, library_values};
use bursar_proto::call::{
    EnvironmentList, EnvironmentShow, LibraryResolve, Method, PackageFetch, PackageGet, PackageResolve,
    PackageShow,
};
use bursar_proto::client::Client;
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::kind::ElementState;
use bursar_proto::library::{Digest, Elements, PackageFile};
use bursar_proto::name::{OrganizationName, Qualified, Reference};
use bursar_proto::reply::{Environment, Package, PackageContent, Resolution};
use bursar_proto::semver::{Version, VersionReq};
use bursar_proto::template::Subject;
use std::collections::{BTreeMap, BTreeSet};

/// A package at the version that a workspace gets.
pub(super) struct Chosen {
    pub(super) package: Qualified,
    pub(super) version: Version,
    pub(super) digest: Digest,
    /// The highest version that meets the requirement.
    pub(super) latest: Option<Version>,
}

impl Chosen {
    pub(super) fn origin(&self) -> Origin {
        Origin { package: self.package.clone(), version: Some(self.version.clone()) }
    }

    pub(super) fn pin(&self) -> (Qualified, Pin) {
        (self.package.clone(), Pin { version: self.version.clone(), digest: self.digest })
    }
}

/// What files are made of.
pub(super) enum Source {
    Package(Chosen),
    /// The workspace's own library, by its name.
    Library(Qualified),
}

/// A package, or the workspace's library, whose content is here and whose elements were looked at.
pub(super) struct Fetched {
    pub(super) source: Source,
    pub(super) elements: Elements,
    pub(super) files: Vec<PackageFile>,
    pub(super) resolution: Resolution,
}

impl Fetched {
    /// The version that was chosen; a library has none.
    pub(super) fn chosen(&self) -> Option<&Chosen> {
        match &self.source {
            Source::Package(chosen) => Some(chosen),
            Source::Library(_) => None,
        }
    }

    pub(super) fn origin(&self) -> Origin {
        match &self.source {
            Source::Package(chosen) => chosen.origin(),
            Source::Library(name) => Origin { package: name.clone(), version: None },
        }
    }

    pub(super) fn is_good(&self) -> bool {
        self.resolution.elements.iter().all(|one| one.state == ElementState::Good)
    }
}

/// One run: who asks, and over which connection.
pub(super) struct Ask<'a> {
    pub(super) session: &'a Session,
    pub(super) client: &'a mut Client,
}

impl Ask<'_> {
    /// What there is of packages, in the order of `names`.
    pub(super) fn packages<'n>(
        &mut self,
        names: impl IntoIterator<Item = &'n Reference>,
    ) -> Result<Vec<Package>, Stop> {
        let calls: Vec<_> =
            names.into_iter().map(|name| PackageShow { package: name.clone(), version: None }).collect();
        self.all("looking at packages", &calls)
    }

    /// The packages of a workspace, at the versions that it gets; `update` leaves the pins out.
    ///
    /// # Errors
    /// See [`choose`].
    pub(super) fn chosen(
        &mut self,
        workspace: &Workspace,
        lock: &Lock,
        update: bool,
    ) -> Result<Vec<Chosen>, Stop> {
        let packages = self.packages(workspace.manifest.packages.keys())?;
        if let Some(twice) = twice(&packages) {
            let message = format!("{twice} is named twice, with and without its organization");
            return Err(Stop::usage(message).hint("leave one of the two out of bursar.toml"));
        }
        let requirements: Vec<&VersionReq> = workspace.manifest.packages.values().collect();
        select(&packages, &requirements, lock, update)
    }

    /// The content of packages, and how their elements stand in the environments that `place` says.
    ///
    /// # Errors
    /// A content is not the one that was listed, or files clash; elements that cannot be used are none.
    pub(super) fn fetch(&mut self, chosen: Vec<Chosen>, place: &Place<'_>) -> Result<Vec<Fetched>, Stop> {
        let calls: Vec<_> = chosen
            .iter()
            .map(|one| PackageFetch { package: one.package.clone().into(), version: one.version.clone() })
            .collect();
        let contents = self.all("fetching", &calls)?;
        for (one, content) in chosen.iter().zip(&contents) {
            if one.digest != content.digest {
                let message = format!("{} came with another content than was listed", one.origin());
                return Err(CallError::new(ErrorName::Conflict, message).into());
            }
        }
        let origins: Vec<Origin> = chosen.iter().map(Chosen::origin).collect();
        let files = origins
            .iter()
            .zip(&contents)
            .flat_map(|(origin, content)| content.files.iter().map(move |file| (&file.path, origin)));
        check_paths(files, &[])?;
        let resolves: Vec<_> = chosen.iter().map(|one| place.resolve(one)).collect();
        let resolutions = self.all("resolving", &resolves)?;
        let all = chosen.into_iter().zip(contents).zip(resolutions);
        let fetched = all.map(|((chosen, PackageContent { elements, files, .. }), resolution)| Fetched {
            source: Source::Package(chosen),
            elements,
            files,
            resolution,
        });
        Ok(fetched.collect())
    }

    /// The workspace's library, and how its elements stand in the environment of its organization.
    pub(super) fn library(
        &mut self,
        library: &Library,
        content: Content,
        place: &Place<'_>,
    ) -> Result<Fetched, Stop> {
        let Environment { environment: home, stage, .. } = &place.home;
        let name = library.name.clone();
        let organization = name.organization.as_ref().unwrap_or(&home.organization).clone();
        let said = environment_in(&organization, &home.clone().into(), place.others);
        let environment = if let Some(environment) = said {
            environment.within(&organization)
        } else {
            let all = self.client.call(&EnvironmentList { organization: Some(organization.clone()) })?;
            only_of_stage(&organization, *stage, all)?
        };
        let calls: Vec<_> = in_parts(&content.elements)
            .map(|elements| LibraryResolve {
                organization: Some(organization.clone()),
                elements,
                environment: Some(environment.clone().into()),
                stage: None,
            })
            .collect();
        let parts = self.all("resolving", &calls)?;
        let elements = parts.into_iter().flat_map(|part| part.elements).collect();
        Ok(Fetched {
            source: Source::Library(name.within(&organization)),
            elements: content.elements,
            files: content.files,
            resolution: Resolution { environment: Some(environment), stage: *stage, elements },
        })
    }

    /// The files of packages with their values; where elements of one cannot all be used, without them.
    ///
    /// # Errors
    /// All faults of all templates; or values that are not to be had after all.
    pub(super) fn render(&mut self, fetched: &[Fetched]) -> Result<Vec<WantedFile>, Stop> {
        let mut faults = Vec::new();
        let mut gets = Vec::new();
        let mut own = Vec::new();
        for (at, one) in fetched.iter().enumerate().filter(|(_, one)| one.is_good()) {
            match (used(one), &one.source) {
                (Ok(elements), Source::Package(chosen)) => {
                    let environment = one.environment()?;
                    gets.extend(elements.into_keys().map(|element| (at, chosen.get(environment, element))));
                }
                (Ok(elements), Source::Library(name)) => own.push((at, elements, name)),
                (Err(all), _) => faults.extend(all),
            }
        }
        told(&faults)?;
        let (places, gets): (Vec<usize>, Vec<PackageGet>) = gets.into_iter().unzip();
        let artifacts = call_all(self.session, self.client, "pulling", &gets)?;
        let mut failures = Failures::default();
        let mut values: BTreeMap<usize, Values> = BTreeMap::new();
        for ((at, get), artifact) in places.iter().zip(gets).zip(artifacts) {
            if let Some(artifact) = failures.sift(artifact) {
                values.entry(*at).or_default().insert(Subject::Element(get.element), artifact);
            }
        }
        failures.end()?;
        for (at, elements, name) in own {
            let environment = fetched[at].environment()?.clone().into();
            let organization = Some(&name.organization);
            let pulled = library_values(self.session, self.client, &elements, organization, &environment)?;
            values.insert(at, pulled);
        }
        let mut wanted = Vec::new();
        for (at, one) in fetched.iter().enumerate() {
            let values = one.is_good().then(|| values.remove(&at).unwrap_or_default());
            wanted.extend(render(&one.origin(), &one.files, values.as_ref(), &mut faults));
        }
        told(&faults)?;
        Ok(wanted)
    }

    /// Makes calls of which each must succeed.
    fn all<M: Method>(&mut self, what: &'static str, calls: &[M]) -> Result<Vec<M::Reply>, Stop> {
        let replies = call_all(self.session, self.client, what, calls)?;
        Ok(replies.into_iter().collect::<Result<_, _>>()?)
    }
}

/// The first package that is there twice.
pub(super) fn twice(packages: &[Package]) -> Option<&Qualified> {
    let mut seen = BTreeSet::new();
    packages.iter().map(|one| &one.package).find(|name| !seen.insert(*name))
}

/// Which versions a workspace gets of packages; `update` leaves the pins out.
///
/// # Errors
/// See [`choose`].
pub(super) fn select(
    packages: &[Package],
    requirements: &[&VersionReq],
    lock: &Lock,
    update: bool,
) -> Result<Vec<Chosen>, Stop> {
    let one = |(package, requirement): (&Package, &&VersionReq)| {
        let pin = lock.get(&package.package);
        let version = if update { highest(package, requirement) } else { choose(package, requirement, pin) }?;
        Ok(Chosen {
            package: package.package.clone(),
            version: version.version.clone(),
            digest: version.digest,
            latest: latest(package, requirement).map(|latest| latest.version.clone()),
        })
    };
    packages.iter().zip(requirements).map(one).collect()
}

/// All that cannot be used, of all packages, as one error.
pub(super) fn gate_all(fetched: &[Fetched]) -> Result<(), Stop> {
    gate(fetched.iter().flat_map(|one| {
        let package = one.chosen().map(|chosen| &chosen.package);
        one.resolution.elements.iter().map(move |resolved| (package, resolved))
    }))
}

/// Where a workspace builds.
pub(super) struct Place<'a> {
    pub(super) home: Environment,
    pub(super) others: &'a BTreeMap<OrganizationName, Reference>,
}

impl<'a> Place<'a> {
    pub(super) fn ask(
        client: &mut Client,
        environment: Reference,
        workspace: &'a Workspace,
    ) -> Result<Self, Stop> {
        let others = workspace.others(&environment);
        Ok(Self { home: client.call(&EnvironmentShow { environment })?, others })
    }

    /// In the workspace's environment; in other organizations in the one that is said for them, else in that of the same
    /// stage.
    fn resolve(&self, chosen: &Chosen) -> PackageResolve {
        let home = self.home.environment.clone().into();
        let environment = environment_in(&chosen.package.organization, &home, self.others);
        let stage = environment.is_none().then_some(self.home.stage);
        PackageResolve {
            package: chosen.package.clone().into(),
            version: chosen.version.clone(),
            environment,
            stage,
        }
    }
}

impl Fetched {
    fn environment(&self) -> Result<&Qualified, Stop> {
        self.resolution.environment.as_ref().ok_or_else(|| {
            let stage = self.resolution.stage;
            Stop::local(format!("{} was resolved for no environment of stage {stage}", self.origin()))
        })
    }
}

impl Chosen {
    fn get(&self, environment: &Qualified, element: Reference) -> PackageGet {
        PackageGet {
            package: self.package.clone().into(),
            version: self.version.clone(),
            environment: environment.clone().into(),
            element,
            min_validity: None,
        }
    }
}

/// The elements that templates name, each once.
fn used(fetched: &Fetched) -> Result<Elements, Vec<String>> {
    let marks = marks(&fetched.origin(), &fetched.files)?;
    let named = marks.into_iter().filter_map(|mark| match mark.subject {
        Subject::Element(name) => Some(name),
        // rendering tells that there is none
        Subject::Secret(_) => None,
    });
    Ok(named
        .filter_map(|name| fetched.elements.get_key_value(&name))
        .map(|(name, one)| (name.clone(), one.clone()))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(package: &str) -> Chosen {
        Chosen {
            package: package.parse().unwrap(),
            version: "1.0.0".parse().unwrap(),
            digest: "ab".repeat(32).parse().unwrap(),
            latest: None,
        }
    }

    #[test]
    fn a_package_is_built_for_the_environment_of_its_organization() {
        let others = BTreeMap::from([("beta".parse().unwrap(), "beta/stage-2".parse().unwrap())]);
        let home = serde_json::json!({
            "environment": "acme/staging", "stage": "staging", "created_at": "2026-11-21T06:00:00Z", "secrets": 0
        });
        let place = Place { home: serde_json::from_value(home).unwrap(), others: &others };
        for (package, environment, stage) in [
            ("acme/x", Some("acme/staging"), false),
            ("beta/x", Some("beta/stage-2"), false),
            ("gamma/x", None, true),
        ] {
            let resolve = place.resolve(&chosen(package));
            assert_eq!(resolve.environment.map(|one| one.to_string()).as_deref(), environment);
            assert_eq!(resolve.stage.is_some(), stage);
        }
    }

    #[test]
    fn only_elements_that_templates_name_are_pulled() {
        let content = serde_json::json!({
            "package": "acme/x", "version": "1.0.0", "digest": "ab".repeat(32),
            "elements": { "a": "acme/a", "b": "acme/b" },
            "files": [
                { "path": "f", "mode": "0600", "template": "%a% %a|json% %secret:acme/x% %nowhere%" },
                { "path": "g", "mode": "0600", "template": "%a%" }
            ]
        });
        let resolution =
            serde_json::json!({ "environment": "acme/staging", "stage": "staging", "elements": [] });
        let PackageContent { elements, files, .. } = serde_json::from_value(content).unwrap();
        let fetched = Fetched {
            source: Source::Package(chosen("acme/x")),
            elements,
            files,
            resolution: serde_json::from_value(resolution).unwrap(),
        };
        let names: Vec<String> = used(&fetched).unwrap().keys().map(ToString::to_string).collect();
        assert_eq!(names, ["a"]);
    }
}
