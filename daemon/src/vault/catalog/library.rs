//! Data elements and packages in the catalog. Of a package's content its elements stay in memory, because each sync
//! resolves them; its templates stay sealed in the store.

use super::Catalog;
use crate::vault::crypto::Tag;
use crate::vault::record::{
    DefinitionV1, ElementV1, PackageContentV1, PackageFileV1, PackageV1, PartV1, UnknownForm,
};
use crate::vault::store::Id;
use bursar_proto::library::{FileMode, FilePath, Slots};
use bursar_proto::name::{Name, OrganizationName, Qualified, Reference};
use bursar_proto::semver::Version;
use bursar_proto::template::{Subject, Template};
use bursar_proto::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A data element.
pub(crate) struct Element {
    pub(crate) name: Qualified,
    /// The secrets by their ids, so that a slot follows a new name.
    pub(crate) slots: Slots<Id>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

/// A package: one published version of a library.
pub(crate) struct Package {
    pub(crate) name: Qualified,
    pub(crate) version: Version,
    /// SHA-256 over name, version and content.
    pub(crate) digest: [u8; 32],
    pub(crate) published_at: Timestamp,
    pub(crate) published_by: Box<str>,
    pub(crate) elements: BTreeMap<Reference, Definition>,
    pub(crate) files: Vec<FileListed>,
    /// Where its content lies.
    pub(crate) parts: Vec<PartV1>,
}

/// An element of a library; names are of the library's organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Definition {
    /// The organization's data element.
    Uses(Name),
    /// One of the library's own: a secret for each stage.
    Defines(Slots<Name>),
}

/// A file of a package without its template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileListed {
    pub(crate) path: FilePath,
    pub(crate) mode: FileMode,
    pub(crate) bytes: usize,
    /// The elements that its template names.
    pub(crate) elements: BTreeSet<Reference>,
}

impl FileListed {
    /// Of a template that has been read.
    pub(crate) fn of(path: FilePath, mode: FileMode, template: &Template<'_>, bytes: usize) -> Self {
        let elements = template.marks().filter_map(|mark| match &mark.subject {
            Subject::Element(name) => Some(name.clone()),
            Subject::Secret(_) => None,
        });
        Self { path, mode, bytes, elements: elements.collect() }
    }
}

impl Catalog {
    /// An element by its name.
    pub(crate) fn element_id(&self, name: &Qualified) -> Option<Id> {
        self.organizations.get(&name.organization)?.elements.get(&name.name).copied()
    }

    /// Adds an element, or puts it in the place of the one with its id.
    pub(crate) fn insert_element(&mut self, id: Id, element: Element) {
        if let Some(organization) = self.organizations.get_mut(&element.name.organization) {
            organization.elements.insert(element.name.name.clone(), id);
            self.elements.insert(id, element);
        }
    }

    /// Takes an element out.
    pub(crate) fn remove_element(&mut self, id: &Id) -> Option<Element> {
        let element = self.elements.remove(id)?;
        if let Some(organization) = self.organizations.get_mut(&element.name.organization) {
            organization.elements.remove(&element.name.name);
        }
        Some(element)
    }

    /// Empties the slots that hold a secret; answers whose they are.
    pub(crate) fn empty_slots_of(&mut self, secret: &Id, now: Timestamp) -> Vec<Id> {
        let mut emptied = Vec::new();
        for (id, element) in &mut self.elements {
            let held: Vec<_> =
                element.slots.filled().filter(|(_, held)| *held == secret).map(|(stage, _)| stage).collect();
            for stage in &held {
                *element.slots.of_mut(*stage) = None;
            }
            if !held.is_empty() {
                element.updated_at = now;
                emptied.push(*id);
            }
        }
        emptied
    }

    /// All versions of a package.
    pub(crate) fn versions(&self, name: &Qualified) -> Option<&BTreeMap<Version, Id>> {
        self.organizations.get(&name.organization)?.packages.get(&name.name)
    }

    /// Adds a version of a package.
    pub(crate) fn insert_package(&mut self, id: Id, package: Package) {
        if let Some(organization) = self.organizations.get_mut(&package.name.organization) {
            let versions = organization.packages.entry(package.name.name.clone()).or_default();
            versions.insert(package.version.clone(), id);
            self.packages.insert(id, package);
        }
    }

    /// Takes a version of a package out.
    pub(crate) fn remove_package(&mut self, id: &Id) -> Option<Package> {
        let package = self.packages.remove(id)?;
        if let Some(organization) = self.organizations.get_mut(&package.name.organization)
            && let Some(versions) = organization.packages.get_mut(&package.name.name)
        {
            versions.remove(&package.version);
            if versions.is_empty() {
                organization.packages.remove(&package.name.name);
            }
        }
        Some(package)
    }

    /// Notes which version of a part belongs to a package, a workspace, a secret's grant or an issuer's client.
    pub(crate) fn tag_part(&mut self, of: &Id, part: &Id, tag: Tag) {
        let package = self.packages.get_mut(of).map(|package| &mut package.parts);
        let parts = package
            .or_else(|| self.workspaces.get_mut(of).map(|workspace| &mut workspace.parts))
            .or_else(|| self.secrets.get_mut(of).map(|secret| &mut secret.grant))
            .or_else(|| self.issuers.get_mut(of).map(|issuer| &mut issuer.client));
        if let Some(known) = parts.into_iter().flatten().find(|known| known.id == *part) {
            known.tag = tag;
        }
    }

    /// An element's record.
    pub(crate) fn element_record(&self, id: &Id) -> Option<ElementV1> {
        let element = self.elements.get(id)?;
        let slots = &element.slots;
        Some(ElementV1 {
            organization: self.organizations.get(&element.name.organization)?.id,
            name: element.name.name.to_string(),
            slots: [slots.development, slots.staging, slots.production],
            created_at: element.created_at.seconds(),
            updated_at: element.updated_at.seconds(),
        })
    }

    /// A package's record.
    pub(crate) fn package_record(&self, id: &Id) -> Option<PackageV1> {
        let package = self.packages.get(id)?;
        Some(PackageV1 {
            organization: self.organizations.get(&package.name.organization)?.id,
            name: package.name.name.to_string(),
            version: package.version.to_string(),
            digest: package.digest,
            published_at: package.published_at.seconds(),
            published_by: package.published_by.to_string(),
            parts: package.parts.clone(),
        })
    }

    /// Takes in a record of an element; the secrets are there already.
    pub(crate) fn load_element(
        &mut self,
        id: Id,
        record: &ElementV1,
        organizations: &HashMap<Id, OrganizationName>,
    ) -> Result<(), UnknownForm> {
        let name = qualified(organizations, &record.organization, &record.name)?;
        if record.slots.iter().flatten().any(|secret| !self.secrets.contains_key(secret)) {
            return Err(UnknownForm::Unreadable);
        }
        let [development, staging, production] = record.slots;
        let element = Element {
            name,
            slots: Slots { development, staging, production },
            created_at: Timestamp::from_seconds(record.created_at),
            updated_at: Timestamp::from_seconds(record.updated_at),
        };
        self.insert_element(id, element);
        Ok(())
    }

    /// Takes in a record of a package with its content.
    pub(crate) fn load_package(
        &mut self,
        id: Id,
        record: PackageV1,
        content: PackageContentV1,
        organizations: &HashMap<Id, OrganizationName>,
    ) -> Result<(), UnknownForm> {
        let elements = content.elements.into_iter().map(|(name, definition)| {
            Ok((name.parse().map_err(|_| UnknownForm::Unreadable)?, definition_of(definition)?))
        });
        // what a stricter version would not publish any more is not listed, and keeps no vault shut
        let files = content.files.into_iter().filter_map(|file| {
            let (path, mode) = file_place(&file).ok()?;
            let template = Template::parse(&file.template).ok()?;
            Some(FileListed::of(path, mode, &template, file.template.len()))
        });
        let package = Package {
            name: qualified(organizations, &record.organization, &record.name)?,
            version: Version::parse(&record.version).map_err(|_| UnknownForm::Unreadable)?,
            digest: record.digest,
            published_at: Timestamp::from_seconds(record.published_at),
            published_by: record.published_by.into_boxed_str(),
            elements: elements.collect::<Result<_, _>>()?,
            files: files.collect(),
            parts: record.parts,
        };
        self.insert_package(id, package);
        Ok(())
    }
}

/// A definition as it is stored.
pub(crate) fn definition_record(definition: &Definition) -> DefinitionV1 {
    match definition {
        Definition::Uses(name) => DefinitionV1::Uses(name.to_string()),
        Definition::Defines(slots) => {
            let text = |name: &Option<Name>| name.as_ref().map(ToString::to_string);
            DefinitionV1::Defines([text(&slots.development), text(&slots.staging), text(&slots.production)])
        }
    }
}

fn definition_of(record: DefinitionV1) -> Result<Definition, UnknownForm> {
    let name = |text: String| text.parse::<Name>().map_err(|_| UnknownForm::Unreadable);
    Ok(match record {
        DefinitionV1::Uses(text) => Definition::Uses(name(text)?),
        DefinitionV1::Defines([development, staging, production]) => Definition::Defines(Slots {
            development: development.map(name).transpose()?,
            staging: staging.map(name).transpose()?,
            production: production.map(name).transpose()?,
        }),
    })
}

/// Path and mode of a stored file.
pub(crate) fn file_place(file: &PackageFileV1) -> Result<(FilePath, FileMode), UnknownForm> {
    let path = file.path.parse().map_err(|_| UnknownForm::Unreadable)?;
    Ok((path, FileMode::from_bits(file.mode).ok_or(UnknownForm::Unreadable)?))
}

/// A full name out of an organization's id and a stored name.
fn qualified(
    organizations: &HashMap<Id, OrganizationName>,
    organization: &Id,
    name: &str,
) -> Result<Qualified, UnknownForm> {
    Ok(Qualified {
        organization: organizations.get(organization).ok_or(UnknownForm::Unreadable)?.clone(),
        name: name.parse().map_err(|_| UnknownForm::Unreadable)?,
    })
}
