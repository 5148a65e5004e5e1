//! What a workspace publishes and builds: its templates from disk, and the elements that they name.

use super::Workspace;
use super::document::nearest;
use super::manifest::Library;
use crate::stop::{Stop, told};
use bursar_proto::library::{Definition, Elements, PackageFile};
use bursar_proto::name::Reference;
use bursar_proto::template::{Mark, Subject, TEMPLATE_MAX, Template};

/// A library with the content of its files.
pub(crate) struct Content {
    pub(crate) elements: Elements,
    pub(crate) files: Vec<PackageFile>,
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

    /// Reads the library's templates.
    ///
    /// # Errors
    /// All that is wrong with any of them, a line each.
    pub(crate) fn content(&self, library: &Library) -> Result<Content, Stop> {
        let mut content = Content { elements: library.elements.clone(), files: Vec::new() };
        let mut faults = Vec::new();
        for file in &library.files {
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
                        if let Err(reason) = name(library, &mut content.elements, mark) {
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
        told(&faults).map(|()| content)
    }
}

/// Finds what a mark names among the elements; the organization's own are added as they are named.
fn name(library: &Library, elements: &mut Elements, mark: &Mark) -> Result<(), String> {
    let element = match &mark.subject {
        Subject::Secret(_) => {
            return Err("a library names no secret, but an element that stands for it".to_owned());
        }
        Subject::Element(element) => element,
    };
    if elements.contains_key(element) {
        return Ok(());
    }
    match &element.organization {
        Some(organization) if library.name.organization.as_ref().is_none_or(|own| own == organization) => {
            elements.insert(element.clone(), Definition::Uses(element.clone()));
            Ok(())
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
    use std::fs;
    use std::os::unix::fs::symlink;

    const HEAD: &str = "[library]\nname = 'acme/site'\n[library.elements]\ntoken = 'acme/t'\n";

    fn content(files: &[(&str, &str)], mode: &str) -> Result<Content, String> {
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
        workspace.content(workspace.library().unwrap()).map_err(|stop| match stop {
            Stop::Failed(error) => error.message,
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
