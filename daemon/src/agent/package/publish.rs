//! Publishing: everything about a version is checked before it is there for good.

use super::{leak, view};
use crate::agent::library::{own, shown};
use crate::agent::organization::no_organization;
use crate::agent::request::Request;
use crate::agent::{Agent, new_id, on_worker};
use crate::policy::Principal;
use crate::vault::Change;
use crate::vault::catalog::{Catalog, Definition, FileListed, Package, definition_record};
use crate::vault::part::cut;
use crate::vault::record::{PackageContentV1, PackageFileV1};
use bursar_proto::call::PackagePublish;
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::fields::Invalid;
use bursar_proto::library::{Elements, PackageFile, VERSIONS_MAX};
use bursar_proto::name::{Qualified, Reference};
use bursar_proto::reply;
use bursar_proto::semver::Version;
use bursar_proto::template::{FAULTS_MAX, Fault, Subject, Template};
use ring::digest;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Agent {
    pub(in crate::agent) async fn package_publish(
        self: &Arc<Self>,
        call: PackagePublish,
        request: &Request,
    ) -> Result<reply::PackageVersion, CallError> {
        let name = self.resolve(call.package);
        let elements = own(&name.organization, call.elements)?;
        let mut files = call.files;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let listed = check_files(&elements, &files)?;
        let digest = digest_of(&name, &call.version, &elements, &files)?;
        let content = content(&elements, &files);
        self.refuse_live_secrets(files, request.acts_as().clone()).await?;
        self.allowed_still(request)?;
        let (id, now) = (new_id()?, self.clock.now());
        let (parts, written) = cut(id, &content)?;
        let is_dry = call.dry_run.unwrap_or(false);
        let package = Package {
            name: name.clone(),
            version: call.version,
            digest,
            published_at: now,
            published_by: publisher(request).into(),
            elements,
            files: listed,
            parts,
        };
        if is_dry {
            let mut vault = self.vault();
            check_new(&vault.unlocked()?.catalog, &package)?;
            return Ok(view(&package));
        }
        self.write(request, |catalog| {
            check_new(catalog, &package)?;
            let shown = reply::PackageVersion { published_at: Some(now), ..view(&package) };
            catalog.insert_package(id, package);
            let mut changes = written;
            changes.push(Change::Package(id));
            Ok((changes, shown))
        })
        .await
    }

    /// Refuses templates that hold what a live secret of the vault is.
    ///
    /// Who is no owner is told of the secrets within its reach alone: that another has this value is not its to know.
    async fn refuse_live_secrets(
        self: &Arc<Self>,
        files: Vec<PackageFile>,
        publisher: Principal,
    ) -> Result<(), CallError> {
        let agent = self.clone();
        match on_worker(move || leak::find(&agent, &files, &publisher)).await?? {
            None => Ok(()),
            Some(leak) => Err(leak.into()),
        }
    }
}

/// Who publishes: an owner by the user, others by what gives them the right.
fn publisher(request: &Request) -> String {
    if request.is_owners() { format!("uid {}", request.party.caller.uid()) } else { request.principal() }
}

/// Reads the templates, and checks what they name and where they go. All their faults are told.
fn check_files(
    elements: &BTreeMap<Reference, Definition>,
    files: &[PackageFile],
) -> Result<Vec<FileListed>, Invalid> {
    let mut faults = Vec::new();
    let mut listed: Vec<FileListed> = Vec::new();
    for file in files {
        if let Some(other) = listed.iter().find(|other| other.path.clashes_with(&file.path)) {
            faults.push(format!("{}: clashes with the file {}", file.path, other.path));
        }
        let mut fault = |fault: &Fault| faults.push(format!("{}: {fault}", file.path));
        let template = match Template::parse(&file.template) {
            Ok(template) => template,
            Err(found) => {
                found.iter().for_each(fault);
                continue;
            }
        };
        for mark in template.marks() {
            let reason = match &mark.subject {
                Subject::Element(name) if elements.contains_key(name) => continue,
                Subject::Element(name) => format!("{name} is no element of this library"),
                Subject::Secret(_) => "a library reaches a secret through an element alone".to_owned(),
            };
            fault(&Fault { place: mark.place, reason: reason.into() });
        }
        if !file.mode.is_private() && template.marks().next().is_some() {
            faults.push(format!("{}: a file with values is for its owner alone: mode 0600", file.path));
        }
        listed.push(FileListed::of(file.path.clone(), file.mode, &template, file.template.len()));
    }
    let left = faults.len().saturating_sub(FAULTS_MAX);
    faults.truncate(FAULTS_MAX);
    if left > 0 {
        faults.push(format!("and {left} more"));
    }
    if faults.is_empty() { Ok(listed) } else { Err(Invalid::new(faults.join("\n"))) }
}

/// A version can be published once, and there is room for it.
fn check_new(catalog: &Catalog, package: &Package) -> Result<(), CallError> {
    let (name, version) = (&package.name, &package.version);
    if !catalog.organizations.contains_key(&name.organization) {
        return Err(no_organization(&name.organization));
    }
    let Some(versions) = catalog.versions(name) else { return Ok(()) };
    if versions.contains_key(version) {
        let message = format!("{name} {version} is published, and a version can't change");
        return Err(CallError::new(ErrorName::Conflict, message)
            .hint("give it a new version under [library] in bursar.toml"));
    }
    if versions.len() >= VERSIONS_MAX {
        let message = format!("{name} has {VERSIONS_MAX} versions, which is the most");
        return Err(CallError::new(ErrorName::Conflict, message).hint("publish under another name"));
    }
    Ok(())
}

fn content(elements: &BTreeMap<Reference, Definition>, files: &[PackageFile]) -> PackageContentV1 {
    let file = |file: &PackageFile| PackageFileV1 {
        path: file.path.to_string(),
        mode: file.mode.bits(),
        template: file.template.clone(),
    };
    PackageContentV1 {
        elements: elements.iter().map(|(name, one)| (name.to_string(), definition_record(one))).collect(),
        files: files.iter().map(file).collect(),
    }
}

/// The SHA-256 over all that makes a version: its JSON, members in this order, elements and files by name.
fn digest_of(
    name: &Qualified,
    version: &Version,
    elements: &BTreeMap<Reference, Definition>,
    files: &[PackageFile],
) -> Result<[u8; 32], CallError> {
    #[derive(Serialize)]
    struct Whole<'a> {
        package: &'a Qualified,
        version: &'a Version,
        elements: Elements,
        files: &'a [PackageFile],
    }
    let elements = elements.iter().map(|(at, one)| (at.clone(), shown(&name.organization, one))).collect();
    let json = serde_json::to_vec(&Whole { package: name, version, elements, files })
        .map_err(|_| CallError::new(ErrorName::Internal, "the package cannot be written"))?;
    let mut sum = [0; 32];
    sum.copy_from_slice(digest::digest(&digest::SHA256, &json).as_ref());
    Ok(sum)
}
