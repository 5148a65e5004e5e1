//! What `bursar.toml` says. Reading it writes nothing and asks nobody; names without an organization get the one that
//! the file sets.

use super::document::{Entry, Source, Table};
use crate::stop::Stop;
use bursar_proto::library::{
    Definition, ELEMENTS_MAX, Elements, FileMode, FilePath, PACKAGE_FILES_MAX, Slots,
};
use bursar_proto::name::{OrganizationName, Reference};
use bursar_proto::semver::{Version, VersionReq};
use bursar_proto::template::Template;
use std::collections::BTreeMap;

/// The file's name.
pub(crate) const MANIFEST: &str = "bursar.toml";

/// What a version requirement is, for whoever wrote something else.
pub(super) const REQUIREMENT: &str = "a version requirement such as 1.2, ^1.2, >=1.0, <2.0 or *";

/// What `bursar.toml` says.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Manifest {
    /// Whose the names without an organization are.
    pub(crate) organization: Option<OrganizationName>,
    /// What the workspace builds for.
    pub(crate) environment: Option<Reference>,
    /// The environments of other organizations, for their packages.
    pub(crate) environments: BTreeMap<OrganizationName, Reference>,
    /// The packages that it uses.
    pub(crate) packages: BTreeMap<Reference, VersionReq>,
    /// Variables for `exec`: names and templates.
    pub(crate) env: BTreeMap<String, String>,
    /// What it publishes.
    pub(crate) library: Option<Library>,
}

/// What a workspace publishes.
#[derive(Debug, PartialEq)]
pub(crate) struct Library {
    /// The package's name.
    pub(crate) name: Reference,
    /// The version that is to be published.
    pub(crate) version: Option<Version>,
    /// The elements that templates may name.
    pub(crate) elements: Elements,
    /// The files.
    pub(crate) files: Vec<LibraryFile>,
}

/// A file that a workspace publishes.
#[derive(Debug, PartialEq)]
pub(crate) struct LibraryFile {
    /// Where the template lies, below the root.
    pub(crate) template: FilePath,
    /// Where the file is written.
    pub(crate) path: FilePath,
    /// With which permissions.
    pub(crate) mode: FileMode,
}

impl Manifest {
    /// Reads the text of a `bursar.toml`.
    ///
    /// # Errors
    /// The first fault, with its line. Nothing of `[env]` is repeated but names.
    pub(crate) fn read(text: &str) -> Result<Self, Stop> {
        let source = Source::new(MANIFEST, text);
        let document = source.parse()?;
        let top = source.table(&document);
        top.only(&["organization", "environment", "environments", "packages", "env", "library"])?;
        let organization: Option<OrganizationName> =
            top.entry("organization").map(|entry| entry.parsed()).transpose()?;
        let home = organization.as_ref();
        Ok(Self {
            environment: top.entry("environment").map(|entry| name(&entry, home)).transpose()?,
            environments: read(&top, "environments", environments)?,
            packages: read(&top, "packages", |table| packages(table, home))?,
            env: read(&top, "env", variables)?,
            library: top.entry("library").map(|entry| library(&entry.table()?, home)).transpose()?,
            organization,
        })
    }
}

/// Reads a table that may be absent.
fn read<T: Default>(
    top: &Table<'_>,
    key: &str,
    read: impl FnOnce(&Table<'_>) -> Result<T, Stop>,
) -> Result<T, Stop> {
    top.entry(key).map_or_else(|| Ok(T::default()), |entry| read(&entry.table()?))
}

/// A name, completed.
fn name(entry: &Entry<'_>, home: Option<&OrganizationName>) -> Result<Reference, Stop> {
    Ok(complete(entry.parsed()?, home))
}

/// A name, in `home` where it says no organization.
pub(crate) fn complete(mut name: Reference, home: Option<&OrganizationName>) -> Reference {
    if name.organization.is_none() {
        name.organization = home.cloned();
    }
    name
}

fn environments(table: &Table<'_>) -> Result<BTreeMap<OrganizationName, Reference>, Stop> {
    let one = |(key, entry): (&str, Entry<'_>)| {
        let organization: OrganizationName = key.parse().map_err(|error| entry.fault(error))?;
        let environment = name(&entry, Some(&organization))?;
        if environment.organization.as_ref() != Some(&organization) {
            return Err(entry.fault(format!("an environment of {organization} is expected here")));
        }
        Ok((organization, environment))
    };
    table.entries().map(one).collect()
}

fn packages(
    table: &Table<'_>,
    home: Option<&OrganizationName>,
) -> Result<BTreeMap<Reference, VersionReq>, Stop> {
    let mut packages = BTreeMap::new();
    for (key, entry) in table.entries() {
        let package = complete(key.parse().map_err(|error| entry.fault(error))?, home);
        if packages.insert(package, entry.expected(REQUIREMENT)?).is_some() {
            return Err(entry.fault("the package is named twice, with and without its organization"));
        }
    }
    Ok(packages)
}

fn variables(table: &Table<'_>) -> Result<BTreeMap<String, String>, Stop> {
    let one = |(key, entry): (&str, Entry<'_>)| {
        if key.is_empty() || key.contains(['=', '\0']) {
            return Err(entry.fault("a variable's name is not empty, and has no = and no zero byte"));
        }
        let template = entry.text()?;
        Template::parse(template).map_err(|faults| {
            let reasons: Vec<String> = faults.iter().map(ToString::to_string).collect();
            entry.fault(format!("in the template, {}", reasons.join("; ")))
        })?;
        Ok((key.to_owned(), template.to_owned()))
    };
    table.entries().map(one).collect()
}

fn library(table: &Table<'_>, home: Option<&OrganizationName>) -> Result<Library, Stop> {
    table.only(&["name", "version", "elements", "files"])?;
    let name = name(&table.required("name")?, home)?;
    let version = "a version: MAJOR.MINOR.PATCH, perhaps with a pre-release";
    let version = table.entry("version").map(|entry| entry.expected(version)).transpose()?;
    let elements = read(table, "elements", |elements| self::elements(elements, name.organization.as_ref()))?;
    let files = table.entry("files").map(|entry| files(&entry)).transpose()?.unwrap_or_default();
    Ok(Library { name, version, elements, files })
}

fn elements(table: &Table<'_>, organization: Option<&OrganizationName>) -> Result<Elements, Stop> {
    let one = |(key, entry): (&str, Entry<'_>)| {
        let element: Reference = key.parse().map_err(|error| entry.fault(error))?;
        let definition = if entry.is_text() {
            Definition::Uses(name(&entry, organization)?)
        } else {
            Definition::Defines(slots(&entry.table()?, organization)?)
        };
        Ok((element, definition))
    };
    let elements = table.entries().map(one).collect::<Result<Elements, Stop>>()?;
    if elements.len() > ELEMENTS_MAX {
        return Err(table.fault(format!("a library has at most {ELEMENTS_MAX} elements")));
    }
    Ok(elements)
}

fn slots(table: &Table<'_>, organization: Option<&OrganizationName>) -> Result<Slots<Reference>, Stop> {
    table.only(&["development", "staging", "production"])?;
    let slot = |stage| table.entry(stage).map(|entry| name(&entry, organization)).transpose();
    Ok(Slots {
        development: slot("development")?,
        staging: slot("staging")?,
        production: slot("production")?,
    })
}

fn files(entry: &Entry<'_>) -> Result<Vec<LibraryFile>, Stop> {
    let tables = entry.tables()?;
    if tables.len() > PACKAGE_FILES_MAX {
        return Err(entry.fault(format!("a library has at most {PACKAGE_FILES_MAX} files")));
    }
    let mut files: Vec<LibraryFile> = Vec::with_capacity(tables.len());
    for table in &tables {
        table.only(&["template", "path", "mode"])?;
        let template = table.required("template")?.parsed()?;
        let target = table.required("path")?;
        let path: FilePath = target.parsed()?;
        let mode = table.entry("mode").map_or(Ok(FileMode::PRIVATE), |entry| entry.parsed())?;
        if let Some(other) = files.iter().find(|other| other.path.clashes_with(&path)) {
            return Err(target.fault(format!("clashes with the file {} of this library", other.path)));
        }
        files.push(LibraryFile { template, path, mode });
    }
    Ok(files)
}

#[cfg(test)]
mod tests;
