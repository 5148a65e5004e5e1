//! What a workspace publishes and builds: its templates from disk, and the elements that they name.

use super::Workspace;
use super::document::nearest;
use super::manifest::{Library, LibraryFile};
use crate::stop::{Stop, told};
use bursar_proto::library::{Definition, Elements, FilePath, PackageFile};
use bursar_proto::name::Reference;
use bursar_proto::reply;
use bursar_proto::template::{Mark, Subject, TEMPLATE_MAX, Template};
use std::collections::BTreeSet;

/// Which elements templates may name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    /// Those under `[library.elements]`: what a person trusted with `bursar.toml`.
    Listed,
    /// Data elements of the library's organization too, which join as they are named.
    OfOrganization,
}

/// A library with the content of its files.
pub(crate) struct Content {
    pub(crate) elements: Elements,
    pub(crate) files: Vec<PackageFile>,
}

/// The elements that a template names; one with faults was refused before.
fn names(template: &str) -> Vec<Reference> {
    let marks = Template::parse(template).map(|read| read.marks().cloned().collect::<Vec<_>>());
    let named = marks.unwrap_or_default().into_iter().filter_map(|mark| match mark.subject {
        Subject::Element(name) => Some(name),
        Subject::Secret(_) => None,
    });
    named.collect()
}

impl Workspace {
    /// What the workspace publishes.
    ///
    /// # Errors
    /// It publishes nothing.
    pub(crate) fn library(&self) -> Result<&Library, Stop> {
        self.manifest.library.as_ref().ok_or_else(|| {
            Stop::usage(format!("{} has no [library]", self.root.join(super::MANIFEST).display()))
                .hint("say there what the workspace publishes: [library] with a name")
        })
    }

    /// The library with those of its files that were built here before.
    ///
    /// # Errors
    /// See [`content`](Self::content).
    pub(super) fn built(&self, known: &reply::Workspace) -> Result<Option<(&Library, Content)>, Stop> {
        let Some(library) = &self.manifest.library else { return Ok(None) };
        let built: BTreeSet<&FilePath> =
            known.files.iter().filter(|file| file.version.is_none()).map(|file| &file.path).collect();
        let files: Vec<_> = library.files.iter().filter(|file| built.contains(&file.path)).collect();
        if files.is_empty() {
            return Ok(None);
        }
        let mut content = self.content_of(library, files, Names::Listed)?;
        // what only another file needs is a matter of the next build
        let named: BTreeSet<Reference> =
            content.files.iter().flat_map(|file| names(&file.template)).collect();
        content.elements.retain(|name, _| named.contains(name));
        Ok(Some((library, content)))
    }

    /// Reads the library's templates.
    ///
    /// # Errors
    /// All that is wrong with any of them, a line each.
    pub(crate) fn content(&self, library: &Library, names: Names) -> Result<Content, Stop> {
        self.content_of(library, &library.files, names)
    }

    /// The same for some of its files.
    ///
    /// # Errors
    /// All that is wrong with any of them, a line each.
    pub(crate) fn content_of<'l>(
        &self,
        library: &Library,
        files: impl IntoIterator<Item = &'l LibraryFile>,
        names: Names,
    ) -> Result<Content, Stop> {
        let mut content = Content { elements: library.elements.clone(), files: Vec::new() };
        let mut faults = Vec::new();
        for file in files {
            let path = file.template.as_str();
            let template = match self.tree.text(path, TEMPLATE_MAX) {
                Ok(Some(text)) => text.to_string(),
                Ok(None) => {
                    faults.push(format!("{path}: no such file"));
                    continue;
                }
                Err(Stop::Failed(error)) => {
                    faults.push(error.message);
                    continue;
                }
                Err(other) => return Err(other),
            };
            match Template::parse(&template) {
                Ok(read) => {
                    for mark in read.marks() {
                        if let Err(reason) = name(library, names, &mut content.elements, mark) {
                            faults.push(format!("{path}: {}: {reason}", mark.place));
                        }
                    }
                    if read.marks().next().is_some() && !file.mode.is_private() {
                        let mode = file.mode;
                        faults.push(format!("{path}: it has values, and mode {mode} lets others read them"));
                    }
                }
                Err(all) => faults.extend(all.iter().map(|fault| format!("{path}: {fault}"))),
            }
            content.files.push(PackageFile { path: file.path.clone(), mode: file.mode, template });
        }
        told(&faults).map_err(|stop| to_list(library, names, &content.elements, stop)).map(|()| content)
    }
}

/// Says how elements come under `[library.elements]` that must be there.
fn to_list(library: &Library, names: Names, elements: &Elements, stop: Stop) -> Stop {
    let unlisted = elements.keys().filter(|name| !library.elements.contains_key(*name));
    let lines: Vec<String> = unlisted.map(|name| format!("\"{name}\" = \"{name}\"")).collect();
    if names == Names::OfOrganization || lines.is_empty() {
        return stop;
    }
    stop.hint(format!("add {} under [library.elements], then: bursar workspace trust", lines.join(" and ")))
}

/// Finds what a mark names among the elements; the organization's own are added as they are named.
fn name(library: &Library, names: Names, elements: &mut Elements, mark: &Mark) -> Result<(), String> {
    let element = match &mark.subject {
        Subject::Secret(_) => {
            return Err("a library names no secret, but an element that stands for it".to_owned());
        }
        Subject::Element(element) => element,
    };
    if library.elements.contains_key(element) {
        return Ok(());
    }
    match &element.organization {
        Some(organization) if library.name.organization.as_ref().is_none_or(|own| own == organization) => {
            elements.insert(element.clone(), Definition::Uses(element.clone()));
            match names {
                Names::OfOrganization => Ok(()),
                Names::Listed => Err(format!("{element} is not under [library.elements], which was trusted")),
            }
        }
        Some(_) => Err(format!("{element} belongs to another organization than the library")),
        None => Err(unknown(elements, element)),
    }
}

fn unknown(elements: &Elements, element: &Reference) -> String {
    let known: Vec<String> = elements.keys().map(ToString::to_string).collect();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    match nearest(&element.to_string(), &known) {
        Some(meant) => format!("there is no element {element} in [library.elements]; did you mean {meant}"),
        None => format!("there is no element {element} in [library.elements]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bursar_proto::error::CallError;
    use std::fs;
    use std::os::unix::fs::symlink;

    const HEAD: &str = "[library]\nname = 'acme/site'\n[library.elements]\ntoken = 'acme/t'\n";

    fn content(files: &[(&str, &str)], mode: &str) -> Result<Content, String> {
        content_with(files, mode, Names::OfOrganization).map_err(|error| error.message)
    }

    fn content_with(files: &[(&str, &str)], mode: &str, names: Names) -> Result<Content, CallError> {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().canonicalize().unwrap();
        let mut manifest = HEAD.to_owned();
        for (template, text) in files {
            let file = format!("template = '{template}'\npath = 'out/{template}'\nmode = '{mode}'\n");
            manifest = manifest + "[[library.files]]\n" + &file;
            if *text == "(link)" {
                symlink("/etc/hostname", root.join(template)).unwrap();
            } else if *text != "(none)" {
                fs::write(root.join(template), text).unwrap();
            }
        }
        fs::write(root.join("bursar.toml"), manifest).unwrap();
        let workspace = Workspace::at(&root).unwrap();
        workspace.content(workspace.library().unwrap(), names).map_err(|stop| match stop {
            Stop::Failed(error) => error,
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn templates_are_read_and_elements_of_the_organization_join() {
        let content = content(&[("a", "%token% %acme/other%"), ("b", "plain")], "0600").unwrap();
        let names: Vec<String> = content.elements.keys().map(ToString::to_string).collect();
        assert_eq!(names, ["token", "acme/other"]);
        assert_eq!(
            content.files.iter().map(|file| file.path.to_string()).collect::<Vec<_>>(),
            ["out/a", "out/b"]
        );
    }

    #[test]
    fn where_elements_must_be_listed_no_other_joins() {
        assert!(content_with(&[("a", "%token%")], "0600", Names::Listed).is_ok());
        let said = content_with(&[("a", "%token%\n %acme/root%")], "0600", Names::Listed);
        let error = said.map(|_| ()).unwrap_err();
        assert_eq!(
            error.message,
            "a: line 2, column 2: acme/root is not under [library.elements], which was trusted"
        );
        assert_eq!(
            error.hint.unwrap(),
            "add \"acme/root\" = \"acme/root\" under [library.elements], then: bursar workspace trust"
        );
    }

    #[test]
    fn all_that_is_wrong_is_told() {
        let said = content(
            &[
                ("a", "x\n %tokn% %beta/x%"),
                ("b", "%secret:acme/s%"),
                ("c", "%"),
                ("d", "(none)"),
                ("e", "(link)"),
            ],
            "0600",
        );
        let lines = [
            "a: line 2, column 2: there is no element tokn in [library.elements]; did you mean token",
            "a: line 2, column 9: beta/x belongs to another organization than the library",
            "b: line 1, column 1: a library names no secret, but an element that stands for it",
            "c: line 1, column 1: this mark is not closed on its line; write %% for a percent sign",
            "d: no such file",
            "e is a symlink, and nothing is read or written through one",
        ];
        assert_eq!(said.map(|_| ()).unwrap_err(), lines.join("\n"));
    }

    #[test]
    fn a_file_with_values_is_private() {
        assert!(content(&[("a", "plain")], "0644").is_ok());
        let said = content(&[("a", "%token%")], "0640").map(|_| ()).unwrap_err();
        assert_eq!(said, "a: it has values, and mode 0640 lets others read them");
    }

    #[test]
    fn a_template_is_bounded() {
        assert!(content(&[("a", &"x".repeat(TEMPLATE_MAX))], "0600").is_ok());
        let said = content(&[("a", &"x".repeat(TEMPLATE_MAX + 1))], "0600").map(|_| ()).unwrap_err();
        assert_eq!(said, "a: over 128 KiB");
    }
}
