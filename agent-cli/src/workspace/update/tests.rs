use super::*;
use crate::workspace::plan::State;
use crate::workspace::wanted::{Origin, render};
use bursar_proto::library::{Digest, FileMode, PackageFile};
use std::fs;

struct Home {
    directory: tempfile::TempDir,
    workspace: Workspace,
}

impl Home {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        fs::write(root.join(MANIFEST), "").unwrap();
        let workspace = Workspace::at(&root).unwrap();
        Self { directory, workspace }
    }

    fn put(&self, path: &str, content: &str) {
        let path = self.directory.path().join(path);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }
}

fn digest(content: &str) -> Digest {
    sha256(content.as_bytes())
}

fn wanted(files: &[(&str, &str)]) -> Vec<WantedFile> {
    let origin = Origin { package: "acme/site".parse().unwrap(), version: Some("1.0.0".parse().unwrap()) };
    let file = |(path, text): &(&str, &str)| PackageFile {
        path: path.parse().unwrap(),
        mode: FileMode::PRIVATE,
        template: (*text).to_owned(),
    };
    let files: Vec<_> = files.iter().map(file).collect();
    render(&origin, &files, Some(&crate::values::Values::default()), &mut Vec::new())
}

fn record(path: &str, version: Option<&str>, contents: &[&str], secret: &str) -> WorkspaceFile {
    WorkspaceFile {
        path: path.parse().unwrap(),
        package: "acme/site".parse().unwrap(),
        version: version.map(|version| version.parse().unwrap()),
        digests: contents.iter().map(|content| digest(content)).collect(),
        secrets: vec![secret.parse().unwrap()],
    }
}

fn known(files: Vec<WorkspaceFile>) -> reply::Workspace {
    reply::Workspace {
        workspace: "/w".to_owned(),
        trusted: None,
        environment: None,
        synced_at: None,
        files,
        deleted: Vec::new(),
    }
}

fn paths(files: &[WorkspaceFile]) -> Vec<&str> {
    files.iter().map(|file| file.path.as_str()).collect()
}

#[test]
fn the_agent_knows_old_and_new_content_before_anything_is_renamed() {
    let home = Home::new();
    home.put("a", "old");
    home.put("gone", "old");
    home.put("edited", "mine");
    let known = known(vec![
        record("a", Some("1.0.0"), &["older", "old"], "acme/was"),
        record("gone", Some("1.0.0"), &["old"], "acme/was"),
        record("edited", Some("1.0.0"), &["old"], "acme/was"),
        record("vanished", Some("1.0.0"), &["old"], "acme/was"),
    ]);
    let wanted = wanted(&[("a", "new"), ("b", "new")]);
    let comparison = Comparison::new(&home.workspace, &wanted, &known, |_| true).unwrap();

    let between = comparison.between(false);
    assert_eq!(paths(&between), ["a", "b", "edited", "gone"]);
    assert_eq!(between[0].digests, [digest("new"), digest("old")]);
    assert_eq!(between[0].secrets, ["acme/was".parse().unwrap()]);
    assert_eq!(between[3].digests, [digest("old")]);

    let end = comparison.end(false);
    assert_eq!(paths(&end), ["a", "b", "edited"]);
    assert_eq!((&end[0].digests[..], &end[0].secrets[..]), (&[digest("new")][..], &[][..]));
    assert_eq!(paths(&comparison.end(true)), ["a", "b"]);
}

#[test]
fn files_of_a_build_stay_as_they_are_for_packages() {
    let home = Home::new();
    home.put("built", "x");
    home.put("old", "x");
    let known = known(vec![
        record("built", None, &["x"], "acme/s"),
        record("built-and-gone", None, &["x"], "acme/s"),
        record("old", Some("1.0.0"), &["x"], "acme/s"),
    ]);
    let none = wanted(&[]);
    let comparison = Comparison::new(&home.workspace, &none, &known, |file| file.version.is_some()).unwrap();
    assert_eq!(comparison.plan.removals(false).map(FilePath::as_str).collect::<Vec<_>>(), ["old"]);
    assert_eq!(paths(&comparison.end(false)), ["built", "built-and-gone"]);
    let clash = wanted(&[("built", "y")]);
    assert!(Comparison::new(&home.workspace, &clash, &known, |file| file.version.is_some()).is_err());
    let free = wanted(&[("built-and-gone", "y")]);
    let taken = Comparison::new(&home.workspace, &free, &known, |file| file.version.is_some()).unwrap();
    let end = taken.end(false);
    assert_eq!(paths(&end), ["built", "built-and-gone"]);
    assert!(end[1].version.is_some(), "whose place is taken is no longer known");
}

#[test]
fn what_somebody_edited_is_refused_and_named() {
    let home = Home::new();
    home.put("a", "mine");
    home.put("b", "mine too");
    let known = known(vec![record("a", Some("1.0.0"), &["old"], "acme/s")]);
    let wanted = wanted(&[("a", "x"), ("b", "y"), ("c", "z")]);
    let comparison = Comparison::new(&home.workspace, &wanted, &known, |_| true).unwrap();
    let Err(Stop::Failed(error)) = comparison.refuse_edited() else { panic!("it was not refused") };
    let message = "a was edited; b is there already, and not by bursar";
    assert_eq!((error.name.exit_code(), error.message.as_str()), (10, message));
}

#[test]
fn what_is_no_plain_file_is_refused_by_who_writes_and_edited_for_who_looks() {
    let home = Home::new();
    let link =
        |name: &str| std::os::unix::fs::symlink("elsewhere", home.directory.path().join(name)).unwrap();
    link("a");
    link("old");
    home.put("b", "new");
    let known = known(vec![
        record("a", Some("1.0.0"), &["old"], "acme/s"),
        record("old", Some("1.0.0"), &["old"], "acme/s"),
    ]);
    let wanted = wanted(&[("a", "new"), ("b", "new")]);
    let Err(Stop::Failed(error)) = Comparison::new(&home.workspace, &wanted, &known, |_| true) else {
        panic!("it was not refused")
    };
    assert!(error.message.starts_with("a is a symlink"), "{}", error.message);
    let plan = Comparison::glimpse(&home.workspace, &wanted, &known, |_| true).unwrap().plan;
    assert_eq!(plan.states.values().copied().collect::<Vec<_>>(), [State::Edited, State::Current]);
    assert_eq!(plan.leftovers.values().copied().collect::<Vec<_>>(), [State::Edited]);
}

#[test]
fn what_changes_between_look_and_rename_is_refused() {
    let home = Home::new();
    home.put("a", "old");
    let known = known(vec![record("a", Some("1.0.0"), &["old"], "acme/s")]);
    let wanted = wanted(&[("a", "new")]);
    let comparison = Comparison::new(&home.workspace, &wanted, &known, |_| true).unwrap();
    let holds = || match comparison.still_holds(&home.workspace, wanted.iter().map(|file| &file.path)) {
        Ok(()) => String::new(),
        Err(Stop::Failed(error)) => error.message,
        Err(other) => panic!("{other:?}"),
    };
    assert_eq!(holds(), "");
    home.put("a", "mine");
    assert_eq!(holds(), "a was changed by somebody else just now");
    home.put("a", "old");
    home.put(MANIFEST, "# mine");
    assert_eq!(holds(), "bursar.toml was changed by somebody else just now");
}

#[test]
fn a_record_fits_a_request() {
    let of = |count: usize| WorkspaceRecord {
        workspace: "/w".to_owned(),
        environment: "acme/e".parse().unwrap(),
        files: (0..count)
            .map(|at| record(&format!("{at:0>200}"), Some("1.0.0"), &["x", "y"], "acme/s"))
            .collect(),
        synced: Some(true),
        trusted: None,
    };
    let one = serde_json::to_vec(&of(1)).unwrap().len();
    let most = REQUEST_MAX / one;
    assert!(check_size(&of(most - 1)).is_ok());
    let Err(Stop::Failed(error)) = check_size(&of(most + most / 5)) else { panic!("it fits") };
    assert!(error.message.ends_with("256 KiB is the most"), "{}", error.message);
}
