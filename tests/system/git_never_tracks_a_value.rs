//! No value is written where git would track it: git itself is asked, with all of its rules, and nothing that a repository
//! configures is run.

use bursar_tests::library::{acme_with_api, file, publish};
use bursar_tests::{Daemon, Home, Run, Workspace, open_vault};
use serde_json::json;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

const SHOP: &str = "organization = 'acme'\nenvironment = 'staging'\n[packages]\nsite = '*'\n";

fn acme() -> (Home, Daemon) {
    let (home, daemon) = open_vault();
    acme_with_api(&home);
    let files =
        json!([file("secret", "%TOKEN%"), file("deep/er/secret", "%TOKEN%"), file("plain", "no value")]);
    publish(&home, "acme/site", "1.0.0", json!({ "TOKEN": "acme/api" }), files);
    (home, daemon)
}

/// Real git in a directory, with no settings of the machine.
fn git(directory: &Path, arguments: &[&str]) -> String {
    let mut git = Command::new("git");
    git.args(["-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "init.defaultBranch=main"]);
    git.args(["-c", "protocol.file.allow=always"]).args(arguments).current_dir(directory).env_clear();
    git.env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", directory).env("GIT_CONFIG_NOSYSTEM", "1");
    let output = git.output().expect("git");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn repository(workspace: &Workspace<'_>) {
    git(workspace.root(), &["init", "-q"]);
}

/// The files that a sync must not write, named by its refusal; nothing was written.
#[track_caller]
fn tracked(workspace: &Workspace<'_>, arguments: &[&str]) -> Vec<String> {
    let before = workspace.stamps();
    let said = workspace.refused(10, "conflict", arguments);
    assert_eq!(workspace.stamps(), before, "nothing is written: {said}");
    assert!(said.contains("--allow-tracked") && said.contains(".gitignore"), "{said}");
    let named = said.lines().next().unwrap().rsplit_once(": ").expect("files are named").1;
    named.split(", ").map(str::to_owned).collect()
}

fn seen_by_git(workspace: &Workspace<'_>) -> String {
    git(workspace.root(), &["status", "--porcelain", "-uall"])
}

#[test]
fn what_is_not_ignored_is_not_written_and_what_is_ignored_is() {
    let (home, _daemon) = acme();
    let shop = Workspace::with(&home, "shop", SHOP);
    repository(&shop);
    assert_eq!(tracked(&shop, &["sync"]), ["deep/er/secret", "secret"], "the file without a value is fine");
    assert_eq!(tracked(&shop, &["sync", "--force"]), ["deep/er/secret", "secret"]);
    assert_eq!(tracked(&shop, &["add", "-p", "site"]), ["deep/er/secret", "secret"]);
    shop.write(".gitignore", "/secret\n");
    assert_eq!(tracked(&shop, &["sync"]), ["deep/er/secret"]);
    // a subdirectory has rules of its own, and may take one back
    shop.write("deep/.gitignore", "secret\n");
    shop.write("deep/er/.gitignore", "!secret\n");
    assert_eq!(tracked(&shop, &["sync"]), ["deep/er/secret"]);
    fs::remove_file(shop.path("deep/er/.gitignore")).unwrap();
    shop.run(&["sync"]).ok();
    assert_eq!(shop.read("deep/er/secret"), "value-of-staging");
    assert!(!seen_by_git(&shop).contains("secret"), "{}", seen_by_git(&shop));
    // tracked, though ignored
    shop.run(&["status"]).ok();
    git(shop.root(), &["add", "-f", "secret"]);
    assert_eq!(tracked(&shop, &["sync"]), ["secret"], "though nothing is to be written");
    let run = shop.run(&["status", "--json"]);
    assert_eq!((run.code, &run.json()["tracked"]), (1, &json!(["secret"])), "{run:?}");
    let run = shop.run(&["status"]);
    assert!(run.code == 1 && run.out.contains("git would track secret"), "{run:?}");
    home.ok(
        "secret.edit",
        json!({ "secret": "acme/api-staging", "credentials": { "token": "value-of-later" } }),
    );
    home.ok("secret.wait", json!({ "secret": "acme/api-staging" }));
    assert_eq!(tracked(&shop, &["sync"]), ["secret"]);
    shop.run(&["sync", "--allow-tracked"]).ok();
    assert_eq!(shop.read("secret"), "value-of-later");
    git(shop.root(), &["rm", "-q", "-f", "--cached", "secret"]);
    shop.run(&["sync"]).ok();
    // a pattern that is gone makes what is there a value that git would track
    fs::remove_file(shop.path(".gitignore")).unwrap();
    fs::remove_file(shop.path("secret")).unwrap();
    assert_eq!(tracked(&shop, &["sync"]), ["secret"]);
}

#[test]
fn a_library_is_built_where_git_does_not_look_either() {
    let (home, _daemon) = acme();
    let library = Workspace::with(
        &home,
        "library",
        "organization = 'acme'\nenvironment = 'staging'\n[library]\nname = 'own'\n[library.elements]\nT = 'api'\n\
         [[library.files]]\ntemplate = 't'\npath = 'built'\n",
    );
    library.write("t", "%T%");
    repository(&library);
    assert_eq!(tracked(&library, &["build"]), ["built"]);
    library.run(&["build", "--allow-tracked"]).ok();
    assert_eq!(library.read("built"), "value-of-staging");
    // it lies there now, whoever asks
    assert_eq!(tracked(&library, &["sync"]), ["built"]);
    assert_eq!(tracked(&library, &["add", "-p", "site"]), ["built", "deep/er/secret", "secret"]);
    assert_eq!(library.run(&["status", "--json"]).json()["tracked"], json!(["built"]));
    library.write(".gitignore", "built\n");
    library.run(&["sync"]).ok();
    library.run(&["status"]).ok();
}

#[test]
fn excludes_of_the_person_and_of_the_repository_count() {
    let (home, _daemon) = acme();
    let shop = Workspace::with(&home, "shop", SHOP);
    repository(&shop);
    let excludes = home.file("excludes", "secret\n");
    let config = home.file(".gitconfig", format!("[core]\n\texcludesFile = {}\n", excludes.display()));
    assert_eq!(tracked(&shop, &["sync"]).len(), 2);
    let mut sync = shop.command(&["sync"]);
    sync.env("HOME", home.path());
    Run::finish(sync.spawn().unwrap(), None).ok();
    fs::remove_file(config).unwrap();
    for name in ["secret", "deep/er/secret"] {
        fs::remove_file(shop.path(name)).unwrap();
    }
    assert_eq!(tracked(&shop, &["sync"]).len(), 2);
    shop.write(".git/info/exclude", "secret\n");
    shop.run(&["sync"]).ok();
}

#[test]
fn the_repository_that_a_file_is_in_decides() {
    let (home, _daemon) = acme();
    // a workspace below a repository, and none above
    let outer = Workspace::empty(&home, "outer");
    repository(&outer);
    let below = Workspace::with(&home, "outer/apps/shop", SHOP);
    assert_eq!(tracked(&below, &["sync"]).len(), 2);
    outer.write(".gitignore", "apps/*/secret\n");
    assert_eq!(tracked(&below, &["sync"]), ["deep/er/secret"]);
    // a repository inside has rules of its own
    fs::create_dir_all(below.path("deep")).unwrap();
    git(&below.path("deep"), &["init", "-q"]);
    outer.write(".gitignore", "secret\n");
    assert_eq!(tracked(&below, &["sync"]), ["deep/er/secret"]);
    below.write("deep/.gitignore", "secret\n");
    below.run(&["sync"]).ok();

    // a submodule too: its `.git` is a file
    let source = Workspace::empty(&home, "source");
    repository(&source);
    source.write("x", "x");
    git(source.root(), &["add", "x"]);
    git(source.root(), &["commit", "-q", "-m", "x"]);
    let with = Workspace::with(&home, "with-submodule", SHOP);
    repository(&with);
    git(with.root(), &["submodule", "--quiet", "add", source.root().to_str().unwrap(), "deep"]);
    assert!(with.path("deep/.git").is_file());
    with.write(".gitignore", "secret\n");
    assert_eq!(tracked(&with, &["sync"]), ["deep/er/secret"]);
    with.write("deep/.gitignore", "secret\n");
    with.run(&["sync"]).ok();
    // a worktree
    git(source.root(), &["worktree", "add", "-q", home.path().join("tree").to_str().unwrap()]);
    let tree = Workspace::with(&home, "tree", SHOP);
    assert_eq!(tracked(&tree, &["sync"]).len(), 2);

    // inside of a git directory there is no place for a value, ignored or not
    let inside = Workspace::with(&home, "outer/.git/shop", SHOP);
    let said = inside.run(&["sync"]);
    assert!(said.code != 0 && said.err.contains("git directory"), "{said:?}");
    assert_eq!(inside.files(), ["bursar.toml"]);
    // no repository, no question
    let alone = Workspace::with(&home, "alone", SHOP);
    alone.run(&["sync"]).ok();
}

#[test]
fn a_hook_of_another_repository_does_not_decide() {
    let (home, _daemon) = acme();
    let other = Workspace::empty(&home, "other");
    repository(&other);
    other.write(".gitignore", "*\n");
    other.write(".git/info/exclude", "*\n");
    let shop = Workspace::with(&home, "shop", SHOP);
    repository(&shop);
    // as a hook of the other one would run us
    let strayed = |variables: &[(&str, PathBuf)]| {
        let mut sync = shop.command(&["--json", "sync"]);
        let run = Run::finish(sync.envs(variables.iter().cloned()).spawn().unwrap(), None);
        assert_eq!(run.code, 10, "{variables:?}: {run:?}");
        assert!(!shop.has("secret"));
    };
    let directory = other.path(".git");
    strayed(&[("GIT_DIR", directory.clone())]);
    strayed(&[("GIT_DIR", directory.clone()), ("GIT_WORK_TREE", other.root().to_owned())]);
    strayed(&[("GIT_DIR", directory.clone()), ("GIT_WORK_TREE", shop.root().to_owned())]);
    strayed(&[
        ("GIT_DIR", directory.clone()),
        ("GIT_INDEX_FILE", directory.join("index")),
        ("GIT_PREFIX", "x/".into()),
    ]);
    strayed(&[("GIT_CEILING_DIRECTORIES", shop.root().to_owned())]);
    strayed(&[("GIT_CEILING_DIRECTORIES", home.path().to_owned())]);
    strayed(&[("GIT_COMMON_DIR", directory)]);
    for variable in
        ["GIT_LITERAL_PATHSPECS", "GIT_GLOB_PATHSPECS", "GIT_NOGLOB_PATHSPECS", "GIT_ICASE_PATHSPECS"]
    {
        strayed(&[(variable, "1".into())]);
    }
    // a hook of its own: a real commit
    shop.write(".gitignore", "secret\n.bursar*\n");
    let bursar = &bursar_tests::binaries::binaries().bursar;
    let hook =
        format!("#!/bin/sh\nBURSAR_HOME='{}' exec '{}' sync\n", home.path().display(), bursar.display());
    shop.write(".git/hooks/pre-commit", hook);
    fs::set_permissions(shop.path(".git/hooks/pre-commit"), fs::Permissions::from_mode(0o755)).unwrap();
    git(shop.root(), &["add", "bursar.toml"]);
    git(shop.root(), &["commit", "-q", "-m", "x"]);
    assert_eq!(shop.read("secret"), "value-of-staging");
    assert!(!git(shop.root(), &["ls-files"]).contains("secret"));
}

#[test]
fn nothing_that_a_repository_configures_is_run() {
    let (home, _daemon) = acme();
    let shop = Workspace::with(&home, "shop", SHOP);
    repository(&shop);
    shop.write("x", "x");
    let ran = home.path().join("ran");
    let script = home.file("script", format!("#!/bin/sh\necho \"$0 $@\" >> '{}'\nexit 0\n", ran.display()));
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let script = script.to_str().unwrap();
    git(shop.root(), &["add", "x"]);
    for key in [
        "core.fsmonitor",
        "core.pager",
        "core.editor",
        "core.sshCommand",
        "core.askPass",
        "core.gitProxy",
        "filter.x.clean",
        "filter.x.smudge",
        "filter.x.process",
        "diff.external",
        "credential.helper",
        "alias.check-ignore",
        "alias.rev-parse",
        "trace2.eventTarget",
        "pager.check-ignore",
        "pager.rev-parse",
    ] {
        let value = if key.starts_with("alias.") { format!("!{script}") } else { script.to_owned() };
        git(shop.root(), &["config", key, &value]);
    }
    shop.write(".gitattributes", "* filter=x diff=x\n");
    for hook in ["post-index-change", "fsmonitor-watchman", "reference-transaction"] {
        let path = format!(".git/hooks/{hook}");
        shop.write(&path, fs::read(script).unwrap());
        fs::set_permissions(shop.path(&path), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let index = fs::read(shop.path(".git/index")).unwrap();
    assert_eq!(tracked(&shop, &["sync"]).len(), 2);
    shop.write(".gitignore", "secret\n");
    shop.run(&["sync"]).ok();
    assert!(!ran.exists(), "{}", fs::read_to_string(&ran).unwrap_or_default());
    assert_eq!(fs::read(shop.path(".git/index")).unwrap(), index, "the index is not written");
    // the same repository does run it where a person asks git
    let mut status = Command::new("git");
    status.arg("status").current_dir(shop.root()).env("HOME", home.path()).env("GIT_CONFIG_NOSYSTEM", "1");
    status.output().unwrap();
    assert!(ran.exists(), "the trap works");
}

#[test]
fn what_git_cannot_say_is_refused() {
    let (home, _daemon) = acme();
    let shop = Workspace::with(&home, "shop", SHOP);
    repository(&shop);
    shop.write(".gitignore", "secret\n");
    let config = shop.read(".git/config");
    shop.write(".git/config", "[core\n");
    let run = shop.run(&["sync"]);
    assert!(run.code != 0 && run.err.contains("git") && !shop.has("secret"), "{run:?}");
    shop.run(&["sync", "--allow-tracked"]).ok();
    fs::remove_file(shop.path("secret")).unwrap();
    shop.write(".git/config", config);

    // git is not there, and a repository is
    let empty = home.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let without_git = |workspace: &Workspace<'_>, flags: &[&str]| {
        let mut sync = workspace.command(&[&["sync"], flags].concat());
        Run::finish(sync.env("PATH", &empty).spawn().unwrap(), None)
    };
    let run = without_git(&shop, &[]);
    assert!(run.code != 0 && run.err.contains("git is not installed") && !shop.has("secret"), "{run:?}");
    without_git(&shop, &["--allow-tracked"]).ok();
    assert_eq!(shop.read("secret"), "value-of-staging");
    let alone = Workspace::with(&home, "alone", SHOP);
    without_git(&alone, &[]).ok();
    // a git of the workspace's own is not taken for git
    let odd = Workspace::with(&home, "odd", SHOP);
    let ran = home.path().join("ran");
    odd.write("git", format!("#!/bin/sh\ntouch '{}'\necho true\n", ran.display()));
    fs::set_permissions(odd.path("git"), fs::Permissions::from_mode(0o755)).unwrap();
    odd.run(&["sync"]).ok();
    assert!(!ran.exists());
    // and a repository behind a link is where the link leads
    let real = Workspace::empty(&home, "real");
    repository(&real);
    fs::create_dir(real.path("shop")).unwrap();
    symlink(real.path("shop"), home.path().join("linked")).unwrap();
    let linked = Workspace::with(&home, "linked", SHOP);
    assert_eq!(tracked(&linked, &["sync"]).len(), 2);
}
