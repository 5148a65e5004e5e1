//! A sync writes the files of its packages, below the workspace and nowhere else, and touches nothing that a person wrote.

use bursar_tests::library::{acme_with_api, bound, environment, file, organization, publish};
use bursar_tests::{Daemon, Home, Workspace, open_vault};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

const SHOP: &str = "organization = 'acme'\nenvironment = 'staging'\n[packages]\nsite = '*'\n";

fn acme() -> (Home, Daemon) {
    let (home, daemon) = open_vault();
    acme_with_api(&home);
    (home, daemon)
}

fn site_with(home: &Home, version: &str, paths: &[&str]) {
    let files: Value = paths.iter().map(|path| file(path, &format!("{path} %TOKEN% {version}\n"))).collect();
    publish(home, "acme/site", version, json!({ "TOKEN": "acme/api" }), files);
}

fn mode(workspace: &Workspace<'_>, name: &str) -> u32 {
    fs::metadata(workspace.path(name)).unwrap().permissions().mode() & 0o7777
}

fn set_mode(workspace: &Workspace<'_>, name: &str, mode: u32) {
    fs::set_permissions(workspace.path(name), fs::Permissions::from_mode(mode)).unwrap();
}

fn states(workspace: &Workspace<'_>) -> Vec<String> {
    let status = workspace.run(&["status", "--json"]).json();
    let text =
        |file: &Value| format!("{} {}", file["path"].as_str().unwrap(), file["state"].as_str().unwrap());
    let packages = status["packages"].as_array().unwrap().iter();
    let files = packages.flat_map(|one| one["files"].as_array().unwrap()).map(text);
    files.chain(status["leftovers"].as_array().unwrap().iter().map(|file| text(file) + " left")).collect()
}

#[test]
fn what_a_person_wrote_or_edited_is_not_written_over() {
    let (home, _daemon) = acme();
    site_with(&home, "1.0.0", &["a", "deep/b"]);
    let shop = Workspace::with(&home, "shop", SHOP);
    shop.write("a", "my own, from before");
    let before = shop.stamps();
    let said = shop.refused(10, "conflict", &["sync"]);
    assert!(said.starts_with("a is there already, ") && said.contains("--force"), "{said}");
    assert_eq!(shop.stamps(), before);
    assert_eq!(states(&shop), ["a edited", "deep/b missing"]);
    fs::remove_file(shop.path("a")).unwrap();
    shop.run(&["sync"]).ok();
    assert_eq!(states(&shop), ["a current", "deep/b current"]);

    shop.write("deep/b", shop.read("deep/b") + "# mine\n");
    shop.write("a", "");
    assert_eq!(states(&shop), ["a edited", "deep/b edited"]);
    assert_eq!(shop.run(&["status"]).code, 1);
    let before = shop.stamps();
    let said = shop.refused(10, "conflict", &["sync"]);
    assert!(said.contains("a was edited") && said.contains("deep/b was edited"), "{said}");
    // all the more where there is something new
    site_with(&home, "1.1.0", &["a", "deep/b", "c"]);
    shop.refused(10, "conflict", &["sync", "--update"]);
    shop.refused(10, "conflict", &["add", "-p", "site"]);
    assert_eq!(shop.stamps(), before, "and nothing else is written either");
    shop.run(&["sync", "--force"]).ok();
    assert_eq!(shop.read("deep/b"), "deep/b value-of-staging 1.0.0\n");
    // a file that somebody made the same by hand is right
    shop.write("a", "a value-of-staging 1.1.0\n");
    set_mode(&shop, "a", 0o600);
    shop.run(&["sync", "--update"]).ok();
    assert_eq!(states(&shop), ["a current", "c current", "deep/b current"]);
}

#[test]
fn files_go_with_their_package_and_what_was_edited_stays() {
    let (home, _daemon) = acme();
    site_with(&home, "1.0.0", &["a", "deep/er/b", "old", "edited"]);
    site_with(&home, "1.1.0", &["a", "new", "edited"]);
    publish(&home, "acme/base", "1.0.0", json!({}), json!([file("base", "plain")]));
    let pinned = SHOP.replace("'*'", "'=1.0.0'") + "base = '1'\n";
    let shop = Workspace::with(&home, "shop", &pinned);
    shop.write("deep/mine", "mine");
    shop.run(&["sync"]).ok();
    // a new version lacks some
    let manifest = |text: &str| {
        shop.write("bursar.toml", text);
        shop.run(&["workspace", "trust"]).ok();
    };
    manifest(&(SHOP.to_owned() + "base = '1'\n"));
    let done = shop.run(&["sync", "--update", "--json"]).ok().json();
    assert_eq!(done["removed"], json!(["deep/er/b", "old"]), "{done}");
    assert_eq!(
        shop.files(),
        ["a", "base", "bursar.lock", "bursar.toml", "deep/mine", "edited", "new"],
        "what a person put beside it stays"
    );
    // the package goes
    shop.write("edited", "changed");
    manifest("organization = 'acme'\nenvironment = 'staging'\n[packages]\nbase = '1'\n");
    assert_eq!(states(&shop), ["base current", "a stale left", "edited edited left", "new stale left"]);
    assert_eq!(shop.run(&["status"]).code, 1);
    let run = shop.run(&["sync"]).ok();
    assert!(run.err.contains("edited") && run.err.contains("--force"), "{run:?}");
    assert_eq!(shop.files(), ["base", "bursar.lock", "bursar.toml", "deep/mine", "edited"]);
    assert!(!shop.read("bursar.lock").contains("acme/site"), "{}", shop.read("bursar.lock"));
    let again = shop.run(&["sync", "--json"]).ok().json();
    assert_eq!((&again["kept"], &again["removed"]), (&json!(["edited"]), &json!([])));
    let known = home.ok("workspace.show", json!({ "workspace": shop.root().canonicalize().unwrap() }));
    assert!(known.to_string().contains("\"edited\""), "a value may still lie there: {known}");
    shop.run(&["sync", "--force"]).ok();
    assert!(!shop.has("edited"));
    shop.run(&["status"]).ok();
    assert_eq!(home.ok("workspace.list", json!({}))[0]["files"], 1);
    // what is gone already is no matter
    fs::remove_file(shop.path("base")).unwrap();
    manifest("organization = 'acme'\nenvironment = 'staging'\n");
    shop.run(&["sync"]).ok();
    assert_eq!(home.ok("workspace.list", json!({}))[0]["files"], 0);
}

#[test]
fn no_symlink_and_nothing_odd_is_written_through() {
    let (home, _daemon) = acme();
    let outside = Workspace::empty(&home, "outside");
    outside.write("file", "theirs");
    let before = outside.stamps();
    site_with(&home, "1.0.0", &["a", "deep/b"]);
    let shop = Workspace::with(&home, "shop", SHOP);
    let refused = |path: &str, arguments: &[&str]| {
        let said = shop.refused(2, "invalid", arguments);
        assert!(said.starts_with(&format!("{path} is ")), "{path}: {said}");
        assert_eq!(outside.stamps(), before, "{path}");
        assert!(!shop.has("bursar.lock"), "{path}: nothing is written");
        said
    };
    for (path, target) in [
        ("a", outside.path("file")),
        ("a", outside.path("nowhere")),
        ("a", "/dev/null".into()),
        ("a", "bursar.toml".into()),
        ("deep", outside.root().to_owned()),
        ("deep", outside.path("nowhere")),
        ("deep", ".".into()),
    ] {
        symlink(&target, shop.path(path)).unwrap();
        for arguments in [&["sync"][..], &["sync", "--force"], &["add", "-p", "site", "--force"]] {
            assert!(refused(path, arguments).contains("symlink"), "{}", target.display());
        }
        assert!(shop.path(path).symlink_metadata().unwrap().is_symlink(), "it is left alone");
        fs::remove_file(shop.path(path)).unwrap();
    }
    fs::create_dir(shop.path("a")).unwrap();
    refused("a", &["sync", "--force"]);
    fs::remove_dir(shop.path("a")).unwrap();
    shop.write("deep", "a file");
    refused("deep", &["sync", "--force"]);
    fs::remove_file(shop.path("deep")).unwrap();
    let socket = UnixListener::bind(shop.path("a")).unwrap();
    refused("a", &["sync", "--force"]);
    drop(socket);
    fs::remove_file(shop.path("a")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(shop.path("a")).status().unwrap();
    assert!(made.success());
    refused("a", &["sync", "--force"]);
    fs::remove_file(shop.path("a")).unwrap();
    shop.run(&["sync"]).ok();
    // a link in the place of what was written
    fs::remove_file(shop.path("a")).unwrap();
    symlink(outside.path("file"), shop.path("a")).unwrap();
    assert_eq!(states(&shop), ["a edited", "deep/b current"]);
    assert_ne!(shop.run(&["sync"]).code, 0);
    // the package goes: the link is not what we wrote, and its end is not ours at all
    shop.write("bursar.toml", "organization = 'acme'\nenvironment = 'staging'\n");
    shop.run(&["workspace", "trust"]).ok();
    for arguments in [&["sync"][..], &["sync", "--force"]] {
        assert!(shop.refused(2, "invalid", arguments).starts_with("a is a symlink"));
        assert_eq!(outside.stamps(), before, "{arguments:?}");
    }
    fs::remove_file(shop.path("a")).unwrap();
    shop.run(&["sync"]).ok();
    assert!(!shop.has("deep/b"));
    // our own files as links
    fs::remove_file(shop.path("bursar.toml")).unwrap();
    outside.write("bursar.toml", SHOP);
    symlink(outside.path("bursar.toml"), shop.path("bursar.toml")).unwrap();
    assert!(shop.refused(2, "invalid", &["sync"]).contains("symlink"));
}

#[test]
fn a_path_that_leaves_the_workspace_is_no_path() {
    let (home, _daemon) = acme();
    let library = Workspace::empty(&home, "library");
    library.write("t", "%TOKEN%");
    symlink("/etc/hostname", library.path("link")).unwrap();
    let with = |template: &str, path: &str| {
        let text = format!(
            "organization = 'acme'\nenvironment = 'staging'\n[library]\nname = 'own'\nversion = '1.0.0'\n\
             [library.elements]\nTOKEN = 'api'\n[[library.files]]\ntemplate = \"{template}\"\npath = \"{path}\"\n"
        );
        library.write("bursar.toml", text);
    };
    for path in [
        "../x",
        "/etc/x",
        "a/../../x",
        "a/..",
        "./x",
        "a//b",
        "",
        ".git/config",
        "a/.git/hooks/x",
        "bursar.toml",
        "Bursar.LOCK",
        "a\\nb",
    ] {
        for (template, target, key) in [("t", path, "path"), (path, "x", "template")] {
            if key == "template" && (path.to_lowercase().starts_with("bursar") || path.contains(".git")) {
                continue;
            }
            with(template, target);
            for arguments in
                [&["publish"][..], &["publish", "--dry-run"], &["build"], &["workspace", "trust"]]
            {
                let said = library.refused(2, "invalid", arguments);
                let line = if key == "path" { 10 } else { 9 };
                assert!(
                    said.starts_with(&format!("bursar.toml, line {line}: library.files.1.{key}: ")),
                    "{path}: {said}"
                );
            }
        }
    }
    with("link", "x");
    assert!(library.refused(2, "invalid", &["publish"]).contains("symlink"));
    // on the wire as well
    let refused = home.refused(
        "package.publish",
        json!({ "package": "acme/own", "version": "1.0.0", "elements": {}, "files": [file("../x", "")] }),
    );
    assert_eq!(refused, "invalid");
    assert_eq!(home.ok("package.list", json!({})), json!([]));
}

#[test]
fn packages_that_write_one_path_are_both_named() {
    let (home, _daemon) = acme();
    for (name, path) in
        [("site", "x/y"), ("same", "x/y"), ("below", "x/y/z"), ("above", "x"), ("beside", "x/y-z")]
    {
        publish(&home, &format!("acme/{name}"), "1.0.0", json!({}), json!([file(path, name)]));
    }
    let shop = Workspace::with(&home, "shop", SHOP);
    shop.run(&["sync"]).ok();
    let before = shop.stamps();
    for other in ["same", "below", "above"] {
        let said = shop.refused(10, "conflict", &["add", "-p", other]);
        for word in [&format!("acme/{other} 1.0.0"), "acme/site 1.0.0", "x/y"] {
            assert!(said.contains(word), "{said}");
        }
        assert_eq!(shop.stamps(), before, "{other}");
        let manifest = format!("{SHOP}{other} = '1'\n");
        let cloned = Workspace::with(&home, other, &manifest);
        cloned.refused(10, "conflict", &["sync", "--force"]);
        assert_eq!(cloned.files(), ["bursar.toml"], "{other}");
    }
    shop.run(&["add", "-p", "beside"]).ok();
    assert_eq!((shop.read("x/y"), shop.read("x/y-z")), ("site".into(), "beside".into()));
}

#[test]
fn a_new_version_may_make_a_directory_of_what_was_a_file_and_back() {
    let (home, _daemon) = acme();
    for (version, path) in [("1.0.0", "t"), ("2.0.0", "t/u"), ("3.0.0", "t")] {
        publish(&home, "acme/site", version, json!({}), json!([file(path, version)]));
    }
    let turn = Workspace::empty(&home, "turn");
    let refusals = [
        None,
        Some((
            "t was written by bursar as a file, and acme/site 2.0.0 needs a directory there\n\
             hint: remove it, then sync again: rm t",
            "t",
        )),
        Some((
            "t/u was written by bursar, and acme/site 3.0.0 needs t as a file\n\
             hint: remove the directory, then sync again: rm -r t",
            "t/u",
        )),
    ];
    for ((version, path), refusal) in
        [("1.0.0", "t"), ("2.0.0", "t/u"), ("3.0.0", "t")].into_iter().zip(refusals)
    {
        turn.write("bursar.toml", SHOP.replace('*', &format!("={version}")));
        turn.run(&["workspace", "trust"]).ok();
        if let Some((said, in_the_way)) = refusal {
            let before = turn.stamps();
            assert_eq!(turn.refused(10, "conflict", &["sync", "--update"]), said);
            assert_eq!(turn.refused(10, "conflict", &["sync", "--update", "--force"]), said);
            assert_eq!(turn.stamps(), before, "nothing is written");
            fs::remove_file(turn.path(in_the_way)).unwrap();
            if in_the_way.contains('/') {
                fs::remove_dir(turn.path("t")).unwrap();
            }
        }
        turn.run(&["sync", "--update"]).ok();
        assert_eq!(turn.read(path), version);
        turn.run(&["status"]).ok();
    }
}

#[test]
fn a_mode_that_lets_others_in_is_mended() {
    let (home, _daemon) = acme();
    let files = json!([
        { "path": "private", "mode": "0600", "template": "%TOKEN%" },
        { "path": "read-only", "mode": "0400", "template": "%TOKEN%" },
        { "path": "script", "mode": "0700", "template": "#!/bin/sh\necho %TOKEN%\n" },
        { "path": "open", "mode": "0644", "template": "plain" },
    ]);
    publish(&home, "acme/site", "1.0.0", json!({ "TOKEN": "acme/api" }), files);
    let shop = Workspace::with(&home, "shop", SHOP);
    let modes = || ["private", "read-only", "script", "open"].map(|name| mode(&shop, name));
    shop.run(&["sync"]).ok();
    assert_eq!(modes(), [0o600, 0o400, 0o700, 0o644]);
    for name in ["private", "read-only", "script", "open"] {
        set_mode(&shop, name, 0o666);
    }
    assert_eq!(shop.run(&["status"]).code, 1);
    shop.run(&["sync"]).ok();
    assert_eq!(modes(), [0o600, 0o400, 0o700, 0o644]);
    // stricter is good enough
    set_mode(&shop, "private", 0o400);
    shop.run(&["status"]).ok();
    assert_eq!(shop.run(&["sync"]).ok().out, "everything is current\n");
    // whatever the umask lets through or takes away
    for mask in ["000", "077"] {
        let made = Workspace::with(&home, &format!("umask-{mask}"), SHOP);
        let mut shell = std::process::Command::new("sh");
        let bursar = &bursar_tests::binaries::binaries().bursar;
        shell.arg("-c").arg(format!("umask {mask}; exec \"$BURSAR\" sync")).env("BURSAR", bursar);
        shell.env("BURSAR_HOME", home.path()).current_dir(made.root());
        let output = shell.output().unwrap();
        assert!(output.status.success(), "{mask}: {output:?}");
        assert_eq!([mode(&made, "private"), mode(&made, "open")], [0o600, 0o644], "{mask}");
    }
}

#[test]
fn a_workspace_may_be_built_for_another_environment() {
    let (home, _daemon) = acme();
    site_with(&home, "1.0.0", &["a"]);
    let shop = Workspace::with(&home, "shop", SHOP);
    shop.run(&["sync"]).ok();
    for environment in ["production", "acme/development", "staging"] {
        let stage = environment.trim_start_matches("acme/");
        shop.run(&["sync", "-e", environment]).ok();
        assert_eq!(shop.read("a"), format!("a value-of-{stage} 1.0.0\n"));
        shop.run(&["status", "-e", environment]).ok();
        assert_eq!(shop.run(&["status"]).code == 0, stage == "staging");
        let known = home.ok("workspace.list", json!({}));
        assert_eq!(known[0]["environment"], format!("acme/{stage}"));
    }
}

#[test]
fn a_secret_that_was_deleted_stops_no_sync_of_others() {
    let (home, _daemon) = acme();
    for name in ["old", "new"] {
        bound(&home, &format!("acme/{name}"), "acme/staging", &format!("value-of-{name}"));
    }
    home.ok("element.set", json!({ "element": "acme/e", "staging": "acme/old" }));
    let files = json!([file("written", "%E%"), file("edited", "%E%")]);
    publish(&home, "acme/site", "1.0.0", json!({ "E": "acme/e" }), files);
    publish(&home, "acme/site", "2.0.0", json!({ "E": "acme/e" }), json!([file("written", "%E%")]));
    let shop = Workspace::with(&home, "shop", &SHOP.replace('*', "=1.0.0"));
    shop.run(&["sync"]).ok();
    shop.write("edited", "value-of-old, and more");
    home.ok("element.set", json!({ "element": "acme/e", "staging": "acme/new" }));
    home.ok("secret.delete", json!({ "secret": "acme/old" }));
    assert_eq!(states(&shop), ["edited holds_deleted_value", "written holds_deleted_value"]);
    shop.write("bursar.toml", SHOP);
    shop.run(&["workspace", "trust"]).ok();
    shop.run(&["sync", "--update"]).ok();
    assert_eq!(shop.read("written"), "value-of-new");
    shop.run(&["sync", "--force"]).ok();
    assert!(!shop.has("edited"));
}

#[test]
fn packages_of_two_organizations_are_built_each_for_its_own_environment() {
    let (home, _daemon) = acme();
    organization(&home, "beta");
    bound(&home, "beta/stg", "beta/staging", "beta-staging");
    environment(&home, "beta/dev-two", "development");
    bound(&home, "beta/two", "beta/dev-two", "beta-dev-two");
    site_with(&home, "1.0.0", &["a"]);
    let own = json!({ "T": { "staging": "beta/stg", "development": "beta/two" } });
    publish(&home, "beta/tools", "1.0.0", own, json!([file("b", "%T%")]));
    let manifest = SHOP.to_owned() + "'beta/tools' = '1'\n";
    let shop = Workspace::with(&home, "shop", &manifest);
    let done = shop.run(&["sync", "--json"]).ok().json();
    assert_eq!(done["environment"], "acme/staging");
    assert_eq!(
        (shop.read("a"), shop.read("b")),
        ("a value-of-staging 1.0.0\n".into(), "beta-staging".into())
    );
    let status = shop.run(&["status", "--json"]).ok().json();
    let places: Vec<_> =
        status["packages"].as_array().unwrap().iter().map(|one| &one["environment"]).collect();
    assert_eq!(places, ["acme/staging", "beta/staging"], "the only environment of the same stage");
    // two of one stage: it has to be said
    let before = shop.stamps();
    let said = shop.refused(2, "invalid", &["sync", "-e", "development"]);
    assert!(
        said.contains("beta/dev-two") && said.contains("beta/development") && said.contains("[environments]"),
        "{said}"
    );
    assert_eq!(shop.stamps(), before);
    let said_so = manifest.replace("[packages]", "[environments]\nbeta = 'dev-two'\n[packages]");
    shop.write("bursar.toml", said_so.replace("'staging'", "'development'"));
    shop.run(&["workspace", "trust"]).ok();
    shop.run(&["sync"]).ok();
    assert_eq!(
        (shop.read("a"), shop.read("b")),
        ("a value-of-development 1.0.0\n".into(), "beta-dev-two".into())
    );
    // what stands there is for the workspace's own environment: stages do not mix
    shop.run(&["sync", "-e", "staging"]).ok();
    assert_eq!(
        (shop.read("a"), shop.read("b")),
        ("a value-of-staging 1.0.0\n".into(), "beta-staging".into())
    );
}
