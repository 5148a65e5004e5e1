use super::*;
use std::fs;

fn run(directory: &Path, arguments: &[&str]) {
    let mut command = git(directory);
    command.args(["-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "init.defaultBranch=main"]);
    let output = command.args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
}

fn refused(root: &Path, paths: &[&str]) -> Result<(), String> {
    let paths: Vec<FilePath> = paths.iter().map(|path| path.parse().unwrap()).collect();
    match refuse_tracked(root, &paths) {
        Ok(()) => Ok(()),
        Err(Stop::Failed(error)) => Err(error.message),
        Err(other) => panic!("{other:?}"),
    }
}

fn repository() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    run(home.path(), &["init", "-q"]);
    home
}

const WOULD: &str = "git would track what has values in it: ";

#[test]
fn without_a_repository_nothing_is_tracked() {
    let home = tempfile::tempdir().unwrap();
    assert_eq!(refused(home.path(), &["x", "a/b"]), Ok(()));
    assert_eq!(refused(home.path(), &[]), Ok(()));
}

#[test]
fn what_is_not_ignored_is_refused_and_named() {
    let home = repository();
    fs::write(home.path().join(".gitignore"), "/.npmrc\nsecret/\n").unwrap();
    assert_eq!(refused(home.path(), &[".npmrc", "secret/a/b"]), Ok(()));
    assert_eq!(refused(home.path(), &[".npmrc", "x", "new/dir/y"]), Err(format!("{WOULD}new/dir/y, x")));
    fs::create_dir_all(home.path().join("deep/er")).unwrap();
    fs::write(home.path().join("deep/.gitignore"), "token\n").unwrap();
    assert_eq!(refused(home.path(), &["deep/er/token", "deep/token"]), Ok(()));
    assert_eq!(
        refused(home.path(), &["deep/er/other", "token"]),
        Err(format!("{WOULD}deep/er/other, token"))
    );
}

#[test]
fn what_is_tracked_is_refused_though_it_is_ignored() {
    let home = repository();
    fs::write(home.path().join(".npmrc"), "x").unwrap();
    run(home.path(), &["add", ".npmrc"]);
    fs::write(home.path().join(".gitignore"), ".npmrc\n").unwrap();
    assert_eq!(refused(home.path(), &[".npmrc"]), Err(format!("{WOULD}.npmrc")));
}

#[test]
fn odd_names_are_taken_as_they_are() {
    let home = repository();
    fs::write(home.path().join(".gitignore"), "/ignored*\n").unwrap();
    let odd = [":x", ":(top)ignored", "*", "a b", "é", "\"q\"", "-v", "!x", "#x", "ignored:é \"", "?"];
    let Err(said) = refused(home.path(), &odd) else { panic!("all are ignored") };
    for name in odd.iter().filter(|name| !name.starts_with("ignored")) {
        assert!(said.contains(name), "{name}: {said}");
    }
    assert_eq!(refused(home.path(), &["ignored:é \"", "ignored*"]), Ok(()));
}

#[test]
fn a_repository_inside_has_its_own_rules() {
    let home = repository();
    fs::write(home.path().join(".gitignore"), "*\n").unwrap();
    let inner = home.path().join("inner");
    fs::create_dir(&inner).unwrap();
    run(&inner, &["init", "-q"]);
    assert_eq!(refused(home.path(), &["x", "inner/x"]), Err(format!("{WOULD}inner/x")));
}

#[test]
fn a_workspace_below_a_repository_is_in_it() {
    let home = repository();
    let below = home.path().join("a/b");
    fs::create_dir_all(&below).unwrap();
    assert_eq!(refused(&below, &["x"]), Err(format!("{WOULD}x")));
    fs::write(home.path().join(".gitignore"), "a\n").unwrap();
    assert_eq!(refused(&below, &["x"]), Ok(()));
}

#[test]
fn inside_of_a_git_directory_nothing_is_written() {
    let home = repository();
    let said = refused(&home.path().join(".git"), &["x"]).unwrap_err();
    assert!(said.contains("is inside of a git directory"), "{said}");
    let bare = tempfile::tempdir().unwrap();
    let made = Command::new("git").args(["init", "-q", "--bare"]).arg(bare.path()).status().unwrap();
    assert!(made.success());
    assert!(refused(bare.path(), &["x"]).unwrap_err().contains("cannot use bare repository"));
}

#[test]
fn what_git_cannot_read_is_refused_with_its_reason() {
    let home = repository();
    fs::write(home.path().join(".git/config"), "[core\n").unwrap();
    let said = refused(home.path(), &["x"]).unwrap_err();
    assert!(
        said.starts_with("whether git would track the files cannot be told: bad config line 1"),
        "{said}"
    );
}

#[test]
fn a_repository_runs_nothing() {
    let home = repository();
    let mark = home.path().join("mark");
    let script = home.path().join("script");
    fs::write(&script, format!("#!/bin/sh\ntouch '{}'\n", mark.display())).unwrap();
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    run(home.path(), &["add", "script"]);
    run(home.path(), &["config", "core.fsmonitor", script.to_str().unwrap()]);
    run(home.path(), &["config", "core.pager", script.to_str().unwrap()]);
    assert!(refused(home.path(), &["x"]).is_err());
    assert!(!mark.exists());
}

#[test]
fn many_paths_do_not_block() {
    let home = repository();
    fs::write(home.path().join(".gitignore"), "*\n").unwrap();
    let paths: Vec<String> = (0..2_000).map(|at| format!("{at:0>190}")).collect();
    assert_eq!(refused(home.path(), &paths.iter().map(String::as_str).collect::<Vec<_>>()), Ok(()));
}

#[test]
fn without_git_a_repository_is_refused() {
    let home = tempfile::tempdir().unwrap();
    assert!(without_git(home.path()).is_ok());
    fs::write(home.path().join(".git"), "gitdir: /x").unwrap();
    let inner = home.path().join("inner");
    assert!(without_git(&inner).is_err());
}

#[test]
fn who_takes_too_long_is_ended_and_who_does_not_is_heard() {
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec cat /dev/zero"]).stdout(Stdio::null()).stderr(Stdio::piped());
    let said = answer(&mut shell, Vec::new(), Duration::from_millis(50)).unwrap_err();
    let Stop::Failed(error) = silent(&said) else { panic!("{said}") };
    assert!(error.message.ends_with("git took over 30 seconds, and was ended"), "{}", error.message);
    let mut shell = Command::new("sh");
    shell.args(["-c", "cat; echo no >&2; exit 3"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = answer(&mut shell, b"yes".to_vec(), GIT_LIMIT).unwrap();
    assert_eq!(
        (output.status.code(), &output.stdout[..], &output.stderr[..]),
        (Some(3), &b"yes"[..], &b"no\n"[..])
    );
}

#[test]
fn git_inherits_no_client_secret() {
    let git = git(Path::new("/"));
    for name in ["BURSAR_CLIENT_SECRETS", "BURSAR_CLIENT_SECRET"] {
        assert!(git.get_envs().any(|(taken, value)| taken == name && value.is_none()), "{name}");
    }
}
