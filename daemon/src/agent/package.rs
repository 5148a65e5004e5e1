//! package.*: handing out what versions hold. `publish` makes them; a version stays as it is.

mod leak;
mod publish;

use super::library::{Asked, Target, environment_target, shown, unresolved};
use super::organization::{chosen, no_organization};
use super::request::Request;
use super::{Agent, Answer};
use crate::vault::catalog::{Catalog, Definition, FileListed, Package, file_place};
use crate::vault::store::Id;
use bursar_proto::call::{PackageFetch, PackageGet, PackageList, PackageResolve, PackageShow};
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::fields::Invalid;
use bursar_proto::kind::Stage;
use bursar_proto::library::{Elements, PackageFile};
use bursar_proto::name::{OrganizationName, Qualified, Reference};
use bursar_proto::reply;
use bursar_proto::semver::Version;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Agent {
    pub(super) fn package_list(
        &self,
        call: &PackageList,
        request: &Request,
    ) -> Result<Vec<reply::PackageListed>, CallError> {
        let mut vault = self.vault();
        let catalog = &vault.unlocked()?.catalog;
        let packages = chosen(catalog, call.organization.as_ref())?.flat_map(|(organization, content)| {
            content.packages.iter().map(move |(name, versions)| (organization, name, versions))
        });
        Ok(packages
            .filter(|(organization, _, _)| request.sees(organization))
            .filter_map(|(organization, name, versions)| {
                let all = versions.values().filter_map(|id| catalog.packages.get(id));
                Some(reply::PackageListed {
                    package: Qualified { organization: organization.clone(), name: name.clone() },
                    latest: versions.last_key_value()?.0.clone(),
                    versions: versions.len() as u64,
                    published_at: all.map(|package| package.published_at).max()?,
                })
            })
            .collect())
    }

    pub(super) fn package_show(&self, call: PackageShow) -> Result<reply::Package, CallError> {
        let name = self.resolve(call.package);
        let mut vault = self.vault();
        let catalog = &vault.unlocked()?.catalog;
        let versions = catalog.versions(&name).ok_or_else(|| no_package(&name))?;
        if let Some(wanted) = &call.version {
            version(catalog, &name, wanted)?;
        }
        let wanted = call.version.as_ref().or_else(|| versions.last_key_value().map(|(highest, _)| highest));
        let all = versions.values().rev().filter_map(|id| catalog.packages.get(id));
        let versions = all.map(|package| {
            let whole = wanted == Some(&package.version);
            let listed = if whole { view(package) } else { listed(package) };
            reply::PackageVersion { published_at: Some(package.published_at), ..listed }
        });
        Ok(reply::Package { package: name, versions: versions.collect() })
    }

    pub(super) fn package_fetch(&self, call: PackageFetch) -> Result<reply::PackageContent, CallError> {
        let name = self.resolve(call.package);
        let mut vault = self.vault();
        let unlocked = vault.unlocked()?;
        let (id, package) = version(&unlocked.catalog, &name, &call.version)?;
        let content = unlocked.package_content(&id)?;
        let files = content.files.into_iter().map(|file| {
            let (path, mode) = file_place(&file).map_err(crate::vault::VaultError::from)?;
            Ok::<_, CallError>(PackageFile { path, mode, template: file.template })
        });
        Ok(reply::PackageContent {
            package: package.name.clone(),
            version: package.version.clone(),
            digest: package.digest.into(),
            elements: shown_elements(package),
            files: files.collect::<Result<_, _>>()?,
        })
    }

    pub(super) async fn package_resolve(
        self: &Arc<Self>,
        call: PackageResolve,
        request: &Request,
    ) -> Result<reply::Resolution, CallError> {
        let name = self.resolve(call.package);
        let (target, environment, elements) = {
            let mut vault = self.vault();
            let catalog = &vault.unlocked()?.catalog;
            let (_, package) = version(catalog, &name, &call.version)?;
            let environment = match (call.environment, call.stage) {
                (Some(environment), None) => of_package(&name, environment)?,
                (None, Some(stage)) => only_environment(catalog, &name.organization, stage)?,
                _ => return Err(Invalid::new("give environment or stage, one of them").into()),
            };
            (environment_target(catalog, &environment)?, environment, package.elements.clone())
        };
        let elements = self.resolve_all(&name.organization, &elements, target).await?;
        self.allowed_still(request)?;
        Ok(reply::Resolution { environment: Some(environment), stage: target.stage(), elements })
    }

    pub(super) async fn package_get(self: &Arc<Self>, call: PackageGet, request: &Request) -> Answer {
        let name = self.resolve(call.package);
        let environment = of_package(&name, call.environment)?;
        let awaited = {
            let mut vault = self.vault();
            let unlocked = vault.unlocked()?;
            let (asked, target) = ask(&unlocked.catalog, &name, &call.version, &call.element, &environment)?;
            let awaited = asked.awaits(&unlocked.catalog, target, self.clock.now());
            awaited.map(|id| self.join(id, unlocked))
        };
        if let Some(flight) = awaited {
            flight.landed().await;
            self.allowed_still(request)?;
        }
        let find = |unlocked: &mut crate::vault::Unlocked| {
            let catalog = &unlocked.catalog;
            let (asked, target) = ask(catalog, &name, &call.version, &call.element, &environment)?;
            let resolved = asked.resolve(catalog, target, self.clock.now());
            match unresolved(&resolved) {
                Some(error) => Err(error),
                None => asked
                    .secret(catalog, target.stage())
                    .ok_or_else(|| CallError::new(ErrorName::Internal, "an element resolved to no secret")),
            }
        };
        self.hand_out_in_time(find, call.min_validity, request).await
    }
}

/// One version of a package.
fn version<'c>(
    catalog: &'c Catalog,
    name: &Qualified,
    version: &Version,
) -> Result<(Id, &'c Package), CallError> {
    let versions = catalog.versions(name).ok_or_else(|| no_package(name))?;
    let id = versions.get(version);
    id.and_then(|id| Some((*id, catalog.packages.get(id)?))).ok_or_else(|| {
        CallError::new(ErrorName::NotFound, format!("no version {version} of {name}"))
            .hint(format!("see which there are: bursar info {name}"))
    })
}

/// One element of a version, and what it is asked for.
fn ask<'c>(
    catalog: &'c Catalog,
    name: &'c Qualified,
    version: &Version,
    element: &'c Reference,
    environment: &Qualified,
) -> Result<(Asked<'c>, Target), CallError> {
    let (_, package) = self::version(catalog, name, version)?;
    let definition = package.elements.get(element).ok_or_else(|| {
        CallError::new(ErrorName::NotFound, format!("no element {element} in {name} {version}"))
            .hint(format!("see which there are: bursar info {name}"))
    })?;
    let asked = Asked { organization: &name.organization, name: element, definition };
    Ok((asked, environment_target(catalog, environment)?))
}

/// An environment of the package's organization.
fn of_package(package: &Qualified, environment: Reference) -> Result<Qualified, Invalid> {
    let environment = environment.within(&package.organization);
    if environment.organization == package.organization {
        return Ok(environment);
    }
    Err(Invalid::new(format!("{environment} is of another organization than {package}")))
}

/// The one environment of a stage.
pub(super) fn only_environment(
    catalog: &Catalog,
    organization: &OrganizationName,
    stage: Stage,
) -> Result<Qualified, CallError> {
    let known = catalog.organizations.get(organization).ok_or_else(|| no_organization(organization))?;
    let all = known.environments.values().filter_map(|id| catalog.environments.get(id));
    let mut of_stage = all.filter(|environment| environment.stage == stage).map(|found| &found.name);
    match (of_stage.next(), of_stage.next()) {
        (Some(only), None) => Ok(only.clone()),
        (None, _) => {
            let message = format!("{organization} has no environment of stage {stage}");
            Err(CallError::new(ErrorName::NotFound, message)
                .hint(format!("make one: bursar environment create {organization}/{stage} --stage {stage}")))
        }
        (Some(one), Some(other)) => {
            let message = format!("{organization} has several environments of stage {stage}: {one}, {other}");
            Err(CallError::new(ErrorName::Invalid, message).hint(format!("name one: -e {one}; for packages of another organization, under [environments] in bursar.toml: {organization} = \"{}\"", one.name)))
        }
    }
}

/// The error for a package that is not there.
fn no_package(name: &Qualified) -> CallError {
    CallError::new(ErrorName::NotFound, format!("no package {name}")).hint("see which there are: bursar info")
}

fn shown_elements(package: &Package) -> Elements {
    let organization = &package.name.organization;
    package.elements.iter().map(|(name, one)| (name.clone(), shown(organization, one))).collect()
}

/// A version for an answer, as it is before it is published.
fn view(package: &Package) -> reply::PackageVersion {
    let file = |file: &FileListed| reply::PackageFileListed {
        path: file.path.clone(),
        mode: file.mode,
        bytes: file.bytes as u64,
        elements: file.elements.iter().cloned().collect(),
    };
    reply::PackageVersion {
        elements: Some(shown_elements(package)),
        files: Some(package.files.iter().map(file).collect()),
        ..listed(package)
    }
}

/// The same without what it holds.
fn listed(package: &Package) -> reply::PackageVersion {
    reply::PackageVersion {
        package: package.name.clone(),
        version: package.version.clone(),
        digest: package.digest.into(),
        published_at: None,
        published_by: package.published_by.to_string(),
        elements: None,
        files: None,
    }
}

/// The versions that use a secret, and by which element and slot.
pub(super) fn applied(catalog: &Catalog, secret: &Id, of: &OrganizationName) -> Vec<reply::AppliedPackage> {
    let mut applied = Vec::new();
    for package in packages_of(catalog, of) {
        for (name, definition) in &package.elements {
            let asked = Asked { organization: of, name, definition };
            let slots = Stage::ALL.iter().filter(|stage| asked.secret(catalog, **stage) == Some(*secret));
            applied.extend(slots.map(|stage| reply::AppliedPackage {
                package: package.name.clone(),
                version: package.version.clone(),
                element: name.clone(),
                stage: *stage,
            }));
        }
    }
    applied
}

/// The secrets that a version can hand out, in whatever stage.
pub(super) fn usable(catalog: &Catalog, name: &Qualified, version: &Version) -> Vec<Id> {
    let Ok((_, package)) = self::version(catalog, name, version) else { return Vec::new() };
    let of = |(element, definition)| {
        let asked = Asked { organization: &name.organization, name: element, definition };
        Stage::ALL.iter().filter_map(|stage| asked.secret(catalog, *stage)).collect::<Vec<_>>()
    };
    package.elements.iter().flat_map(of).collect()
}

/// A version that names a secret itself: such a name can't change.
pub(super) fn naming<'c>(catalog: &'c Catalog, secret: &Qualified) -> Option<&'c Package> {
    let names = |definition: &Definition| match definition {
        Definition::Defines(slots) => slots.filled().any(|(_, name)| *name == secret.name),
        Definition::Uses(_) => false,
    };
    packages_of(catalog, &secret.organization).find(|package| package.elements.values().any(names))
}

/// All versions of all packages of an organization, by name and version.
fn packages_of<'c>(catalog: &'c Catalog, of: &OrganizationName) -> impl Iterator<Item = &'c Package> {
    let organization = catalog.organizations.get(of);
    let ids = organization.into_iter().flat_map(|o| o.packages.values()).flat_map(BTreeMap::values);
    ids.filter_map(|id| catalog.packages.get(id))
}
