//! Files as they should be: templates with their values, in memory. A text that holds values is wiped on drop.

use super::plan::Target;
use super::tree::sha256;
use crate::stop::Stop;
use crate::values::Values;
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::library::{Digest, FileMode, FilePath, PackageFile, WORKSPACE_FILES_MAX, WorkspaceFile};
use bursar_proto::name::Qualified;
use bursar_proto::semver::Version;
use bursar_proto::template::{Fault, Mark, Template};
use std::collections::BTreeSet;
use std::fmt;
use zeroize::Zeroizing;

/// Where a file comes from: a package at a version, or the workspace's own library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) package: Qualified,
    pub(super) version: Option<Version>,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Some(version) => write!(f, "{} {version}", self.package),
            None => self.package.fmt(f),
        }
    }
}

/// A file as it should be.
pub(super) struct WantedFile {
    pub(super) path: FilePath,
    pub(super) mode: FileMode,
    pub(super) origin: Origin,
    /// Whether its template has a mark.
    pub(super) has_values: bool,
    /// The secrets whose artifacts it holds, each once.
    pub(super) secrets: Vec<Qualified>,
    /// Its content and the digest of it; none where its values are not to be had.
    pub(super) content: Option<(Zeroizing<String>, Digest)>,
}

impl WantedFile {
    pub(super) fn digest(&self) -> Option<Digest> {
        self.content.as_ref().map(|(_, digest)| *digest)
    }

    pub(super) fn target(&self) -> Target {
        Target { digest: self.digest(), mode: self.mode }
    }

    /// What the agent is told of it once it is written.
    pub(super) fn record(&self) -> WorkspaceFile {
        WorkspaceFile {
            path: self.path.clone(),
            package: self.origin.package.clone(),
            version: self.origin.version.clone(),
            digests: self.digest().into_iter().collect(),
            secrets: self.secrets.clone(),
        }
    }
}

/// The marks of some files, in the order in which they stand.
///
/// # Errors
/// All faults of the templates, a line each.
pub(super) fn marks(origin: &Origin, files: &[PackageFile]) -> Result<Vec<Mark>, Vec<String>> {
    let (mut marks, mut faults) = (Vec::new(), Vec::new());
    for file in files {
        match Template::parse(&file.template) {
            Ok(template) => marks.extend(template.marks().cloned()),
            Err(all) => faults.extend(all.iter().map(|fault| line(origin, &file.path, fault))),
        }
    }
    if faults.is_empty() { Ok(marks) } else { Err(faults) }
}

/// The files of a package with `values`; without values they are known by path and origin alone. What is wrong with a
/// template is added to `faults`.
pub(super) fn render(
    origin: &Origin,
    files: &[PackageFile],
    values: Option<&Values>,
    faults: &mut Vec<String>,
) -> Vec<WantedFile> {
    let mut wanted = Vec::with_capacity(files.len());
    for file in files {
        let mut told = |all: &[Fault]| {
            faults.extend(all.iter().map(|fault| line(origin, &file.path, fault)));
        };
        let template = match Template::parse(&file.template) {
            Ok(template) => template,
            Err(all) => {
                told(&all);
                continue;
            }
        };
        let secrets: BTreeSet<&Qualified> = values
            .iter()
            .flat_map(|values| template.marks().filter_map(|mark| values.secret(&mark.subject)))
            .collect();
        let none = Values::default();
        // what names nothing needs no values
        let values = values.or_else(|| template.marks().next().is_none().then_some(&none));
        let content = match values.map(|values| template.render(|mark| values.text(mark))) {
            None => None,
            Some(Ok(text)) => {
                let digest = sha256(text.as_bytes());
                Some((text, digest))
            }
            Some(Err(all)) => {
                told(&all);
                continue;
            }
        };
        wanted.push(WantedFile {
            path: file.path.clone(),
            mode: file.mode,
            origin: origin.clone(),
            has_values: template.marks().next().is_some(),
            secrets: secrets.into_iter().cloned().collect(),
            content,
        });
    }
    wanted
}

fn line(origin: &Origin, path: &FilePath, fault: &Fault) -> String {
    format!("{origin}: {path}: {fault}")
}

/// Makes sure that all files can stand beside each other, and beside those that others wrote.
///
/// # Errors
/// Two want one path, or one is a directory for the other; both are named. Or there are too many.
pub(super) fn check_paths<'a>(
    wanted: impl IntoIterator<Item = (&'a FilePath, &'a Origin)>,
    others: &[&WorkspaceFile],
) -> Result<(), Stop> {
    let named = |origin: &Origin| {
        let by_build = if origin.version.is_none() { " (bursar build)" } else { "" };
        format!("{origin}{by_build}")
    };
    let other = others.iter().map(|other| {
        let origin = Origin { package: other.package.clone(), version: other.version.clone() };
        (&other.path, named(&origin))
    });
    let mut all: Vec<(&FilePath, String)> =
        wanted.into_iter().map(|(path, origin)| (path, named(origin))).chain(other).collect();
    let count = all.len();
    if count > WORKSPACE_FILES_MAX {
        let message =
            format!("a workspace has at most {WORKSPACE_FILES_MAX} files, and this one would have {count}");
        return Err(Stop::usage(message));
    }
    // a directory comes before what is in it, though not always right before
    all.sort_unstable();
    for (at, (path, origin)) in all.iter().enumerate() {
        let clash = all[at + 1..].iter().find(|(other, _)| path.clashes_with(other));
        if let Some((other, other_origin)) = clash {
            let what = if path == other {
                format!("both {origin} and {other_origin} write {path}")
            } else {
                format!(
                    "{origin} writes the file {path}, and {other_origin} needs it as a directory for {other}"
                )
            };
            return Err(Stop::from(CallError::new(ErrorName::Conflict, what))
                .hint("use one of the two, in bursar.toml under [packages]"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bursar_proto::template::Subject;

    fn origin(package: &str) -> Origin {
        Origin { package: package.parse().unwrap(), version: Some("1.0.0".parse().unwrap()) }
    }

    fn file(path: &str, template: &str) -> PackageFile {
        PackageFile { path: path.parse().unwrap(), mode: FileMode::PRIVATE, template: template.to_owned() }
    }

    fn values() -> Values {
        let mut values = Values::default();
        let artifact =
            r#"{"secret":"acme/t","type":"token","value":"v","fields":null,"header":null,"expires_at":null}"#;
        let subject = |name: &str| Subject::Element(name.parse().unwrap());
        values.insert(subject("token"), serde_json::from_str(artifact).unwrap());
        values.insert(subject("same"), serde_json::from_str(artifact).unwrap());
        values
    }

    fn refused(result: Result<(), Stop>) -> (u8, String) {
        match result {
            Err(Stop::Failed(error)) => (error.name.exit_code(), error.message),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_file_is_rendered_with_its_digest_and_secrets() {
        let mut faults = Vec::new();
        let files = [file("a", "t=%token% %same%"), file("b", "plain")];
        let wanted = render(&origin("acme/site"), &files, Some(&values()), &mut faults);
        assert_eq!(wanted[0].content.as_ref().unwrap().0.as_str(), "t=v v");
        assert_eq!(wanted[0].record().digests, [sha256(b"t=v v")]);
        assert_eq!(wanted[0].record().secrets, ["acme/t".parse().unwrap()]);
        assert_eq!(wanted.iter().map(|file| file.has_values).collect::<Vec<_>>(), [true, false]);
        assert!(faults.is_empty());
    }

    #[test]
    fn without_values_a_file_is_known_by_its_path() {
        let wanted = render(&origin("acme/site"), &[file("a", "%token%")], None, &mut Vec::new());
        assert!(wanted[0].digest().is_none() && wanted[0].record().digests.is_empty());
    }

    #[test]
    fn all_faults_are_told_with_package_file_line_and_column() {
        let mut faults = Vec::new();
        let files = [file("a", "x\n%nope%"), file("b", "%token:basic% %"), file("c", "%token%")];
        render(&origin("acme/site"), &files, Some(&values()), &mut faults);
        assert_eq!(faults[0], "acme/site 1.0.0: a: line 2, column 1: there is no element nope here");
        assert!(faults[1].starts_with("acme/site 1.0.0: b: line 1, column 15: "), "{}", faults[1]);
        assert_eq!((faults.len(), refused(crate::stop::told(&faults)).0), (2, 2));
        assert_eq!(marks(&origin("acme/site"), &files).unwrap_err().len(), 1);
    }

    #[test]
    fn files_that_cannot_stand_beside_each_other_are_both_named() {
        let (site, base) = (origin("acme/site"), origin("acme/base"));
        let path = |text: &str| text.parse::<FilePath>().unwrap();
        let check = |one: &str, other: &str| check_paths([(&path(one), &site), (&path(other), &base)], &[]);
        assert_eq!(refused(check("x", "x")), (10, "both acme/base 1.0.0 and acme/site 1.0.0 write x".into()));
        let message =
            "acme/site 1.0.0 writes the file x, and acme/base 1.0.0 needs it as a directory for x/y";
        assert_eq!(refused(check("x", "x/y")), (10, message.into()));
        assert!(check("x", "x-y").is_ok());
        let own = render(&origin("acme/own"), &[file("x", "")], None, &mut Vec::new());
        let built = WorkspaceFile { version: None, ..own[0].record() };
        let (_, said) = refused(check_paths([(&path("x"), &site)], &[&built]));
        assert_eq!(said, "both acme/own (bursar build) and acme/site 1.0.0 write x");
    }

    #[test]
    fn a_directory_clashes_though_another_file_sorts_between() {
        let paths = ["x", "x-y", "x/y"].map(|text| text.parse::<FilePath>().unwrap());
        let origin = origin("acme/site");
        assert!(check_paths(paths.iter().map(|path| (path, &origin)), &[]).is_err());
    }

    #[test]
    fn the_number_of_files_is_bounded() {
        let origin = origin("acme/site");
        let many = |count: usize| {
            let paths: Vec<FilePath> = (0..count).map(|at| format!("f{at}").parse().unwrap()).collect();
            check_paths(paths.iter().map(|path| (path, &origin)), &[])
        };
        assert!(many(WORKSPACE_FILES_MAX).is_ok());
        assert!(refused(many(WORKSPACE_FILES_MAX + 1)).1.contains("at most 500 files"));
    }
}
