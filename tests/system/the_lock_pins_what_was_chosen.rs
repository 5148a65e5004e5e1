//! `bursar.lock` holds each package at the version that was chosen, and where it disagrees with `bursar.toml` or with the vault
//! nothing is written; both files are read strictly, and edited without touching what a person wrote.

use bursar_tests::library::{acme_with_api, file, publish};
use bursar_tests::{Daemon, Home, Workspace, open_vault};
use serde_json::json;
use std::fs;

const HEAD: &str = "organization = 'acme'\nenvironment = 'staging'\n";

fn vault_with(versions: &[&str]) -> (Home, Daemon) {
    let (home, daemon) = open_vault();
    acme_with_api(&home);
    for version in versions {
        site(&home, version);
    }
    (home, daemon)
}

fn site(home: &Home, version: &str) -> String {
    publish(
        home,
        "acme/site",
        version,
        json!({ "TOKEN": "acme/api" }),
        json!([file("v", version), file("t", "%TOKEN%")]),
    )
}

fn shop<'h>(home: &'h Home, name: &str, requirement: &str) -> Workspace<'h> {
    Workspace::with(home, name, &format!("{HEAD}[packages]\nsite = '{requirement}'\n"))
}

fn require(workspace: &Workspace<'_>, requirement: &str) {
    workspace.write("bursar.toml", format!("{HEAD}[packages]\nsite = '{requirement}'\n"));
    workspace.run(&["workspace", "trust"]).ok();
}

/// The refusal of a sync that writes nothing.
#[track_caller]
fn refused(workspace: &Workspace<'_>, code: i32, name: &str) -> String {
    let before = workspace.stamps();
    let said = workspace.refused(code, name, &["sync"]);
    assert_eq!(workspace.refused(code, name, &["status"]), said);
    assert_eq!(workspace.stamps(), before, "{said}");
    said
}

#[test]
fn a_pin_holds_until_it_is_moved() {
    let (home, _daemon) = vault_with(&["1.0.0", "1.1.0-rc.1"]);
    let shop = shop(&home, "shop", "1");
    assert_eq!(
        shop.run(&["sync", "--json"]).ok().json()["packages"][0]["version"],
        "1.0.0",
        "no pre-release by chance"
    );
    let lock = shop.read("bursar.lock");
    assert!(
        lock.starts_with("# ") && lock.contains("name = \"acme/site\"\nversion = \"1.0.0\"\ndigest = \""),
        "{lock}"
    );
    site(&home, "1.10.0");
    site(&home, "1.9.0");
    site(&home, "2.0.0");
    shop.run(&["sync"]).ok();
    assert_eq!(shop.read("v"), "1.0.0");
    let status = shop.run(&["status", "--json"]).ok().json();
    assert_eq!(
        (&status["packages"][0]["version"], &status["packages"][0]["latest"]),
        (&json!("1.0.0"), &json!("1.10.0"))
    );
    assert!(
        shop.run(&["status"]).ok().out.contains("1.10.0 is there"),
        "a pin is current, and says what is newer"
    );
    shop.run(&["sync", "--update"]).ok();
    assert_eq!(shop.read("v"), "1.10.0");
    // a clone with the lock gets the same, one without it what is highest now
    site(&home, "1.11.0");
    let (clone, fresh) = (self::shop(&home, "clone", "1"), self::shop(&home, "fresh", "1"));
    clone.write("bursar.lock", shop.read("bursar.lock"));
    for (workspace, version) in [(&clone, "1.10.0"), (&fresh, "1.11.0")] {
        workspace.run(&["sync"]).ok();
        assert_eq!(workspace.read("v"), version);
    }
    assert_eq!(clone.read("bursar.lock"), shop.read("bursar.lock"));
    // lines that git has turned are the same lock
    clone.write("bursar.lock", shop.read("bursar.lock").replace('\n', "\r\n"));
    assert_eq!(clone.run(&["sync"]).ok().out, "everything is current\n");
    // an add of what is there moves its pin, and keeps the others
    publish(&home, "acme/base", "1.0.0", json!({}), json!([file("b", "1.0.0")]));
    clone.run(&["add", "-p", "base"]).ok();
    publish(&home, "acme/base", "1.1.0", json!({}), json!([file("b", "1.1.0")]));
    let added = clone.run(&["add", "-p", "site@1.11", "--json"]).ok().json();
    assert_eq!(added["packages"][0]["version"], "1.11.0", "{added}");
    assert_eq!((clone.read("v"), clone.read("b")), ("1.11.0".into(), "1.0.0".into()));
    clone.run(&["status"]).ok();
}

#[test]
fn a_lock_that_disagrees_is_told_and_mended_by_an_update() {
    let (home, _daemon) = vault_with(&["1.0.0", "1.1.0", "2.0.0"]);
    let shop = shop(&home, "shop", "1.0");
    shop.run(&["sync"]).ok();
    let lock = shop.read("bursar.lock");
    require(&shop, "2");
    let said = refused(&shop, 10, "conflict");
    assert!(said.starts_with("bursar.lock pins acme/site 1.1.0, which does not meet ^2\n"), "{said}");
    assert!(said.ends_with("bursar sync --update"), "{said}");
    shop.run(&["sync", "--update"]).ok();
    assert_eq!(shop.read("v"), "2.0.0");

    require(&shop, "1");
    shop.write("bursar.lock", lock.replace("1.1.0", "1.2.0"));
    let said = refused(&shop, 5, "not_found");
    assert!(said.contains("pins acme/site 1.2.0") && said.contains("2.0.0, 1.1.0, 1.0.0"), "{said}");
    assert!(said.ends_with("bursar sync --update"), "{said}");

    let digest = lock.split("digest = \"").nth(1).unwrap().split('"').next().unwrap();
    shop.write("bursar.lock", lock.replace(digest, &"0".repeat(64)));
    let said = refused(&shop, 10, "conflict");
    assert!(said.starts_with("acme/site 1.1.0 is not the one that bursar.lock pins: "), "{said}");
    shop.run(&["sync", "--update"]).ok();
    assert_eq!(shop.read("bursar.lock"), lock);

    require(&shop, "3");
    let said = shop.refused(5, "not_found", &["sync", "--update"]);
    assert!(said.starts_with("no version of acme/site meets ^3: there are 2.0.0, 1.1.0, 1.0.0\n"), "{said}");
    assert!(said.contains("bursar info acme/site"), "{said}");
    let said = shop.refused(5, "not_found", &["add", "-p", "site@>=1.5, <2"]);
    assert!(said.contains("meets >=1.5, <2"), "{said}");
    shop.refused(5, "not_found", &["add", "-p", "acme/nothing"]);
    shop.refused(2, "invalid", &["add", "-p", "site@one"]);
    shop.refused(2, "invalid", &["add", "-p", "a/b/c"]);
    assert_eq!(shop.read("bursar.lock"), lock);
    // a package that is pinned and no longer used is dropped, not an error
    require(&shop, "1");
    shop.write("bursar.lock", lock.clone() + &lock.replace("acme/site", "acme/gone").replace("# ", "#"));
    assert_eq!(shop.run(&["status"]).code, 1);
    shop.run(&["sync"]).ok();
    assert_eq!(shop.read("bursar.lock"), lock);
}

#[test]
fn a_version_of_another_vault_is_not_taken_for_the_same() {
    let (home, _daemon) = vault_with(&[]);
    let (other, _other_daemon) = vault_with(&[]);
    let (mine, theirs) = (site(&home, "1.0.0"), site(&other, "1.0.0"));
    assert_eq!(mine, theirs, "the same content has the same digest everywhere");
    let shop = shop(&home, "shop", "1");
    shop.run(&["sync"]).ok();
    let elsewhere = self::shop(&other, "shop", "1");
    elsewhere.write("bursar.lock", shop.read("bursar.lock"));
    elsewhere.run(&["sync"]).ok();
    publish(&home, "acme/base", "1.0.0", json!({}), json!([file("b", "ours")]));
    publish(&other, "acme/base", "1.0.0", json!({}), json!([file("b", "theirs")]));
    shop.run(&["add", "-p", "base"]).ok();
    elsewhere.write("bursar.toml", shop.read("bursar.toml"));
    elsewhere.write("bursar.lock", shop.read("bursar.lock"));
    elsewhere.run(&["workspace", "trust"]).ok();
    let said = refused(&elsewhere, 10, "conflict");
    assert!(said.starts_with("acme/base 1.0.0 is not the one that bursar.lock pins"), "{said}");
    assert!(!elsewhere.has("b"));
}

#[test]
fn a_broken_lock_says_where_and_how_it_is_mended() {
    let (home, _daemon) = vault_with(&["1.0.0"]);
    let shop = shop(&home, "shop", "1");
    shop.run(&["sync"]).ok();
    let lock = shop.read("bursar.lock");
    let mut long = lock.clone();
    while long.len() <= 256 * 1024 {
        long += "# and so on, line by line, until nobody wants to read it any more\n";
    }
    for (text, begins) in [
        (lock.replace("[[package]]", "<<<<<<< HEAD\n[[package]]"), "bursar.lock, line 3: "),
        (
            lock.replace("\"1.0.0\"", "1"),
            "bursar.lock, line 5: package.1.version: expected a text, found a number",
        ),
        (lock.replace("1.0.0", "one"), "bursar.lock, line 5: package.1.version: "),
        (lock.replace("version", "versoin"), "bursar.lock, line 5: unknown key versoin in [package.1]"),
        (lock.replace("name", "#"), "bursar.lock, line 3: package.1.name is missing"),
        (lock.replace("acme/site", "a/b/c"), "bursar.lock, line 4: package.1.name: "),
        (lock.clone() + "x = 'y", "bursar.lock, line 7: "),
        (long, "bursar.lock: over 256 KiB"),
        ("\0".into(), "bursar.lock: "),
    ] {
        shop.write("bursar.lock", &text);
        let said = refused(&shop, 2, "invalid");
        assert!(said.starts_with(begins), "{begins}: {said}");
        shop.refused(2, "invalid", &["add", "-p", "site"]);
        shop.refused(2, "invalid", &["check"]);
    }
    shop.write("bursar.lock", b"# \xff\n");
    assert!(refused(&shop, 2, "invalid").starts_with("bursar.lock, line 1: no utf-8 text"));
    fs::remove_file(shop.path("bursar.lock")).unwrap();
    shop.run(&["sync"]).ok();
    assert_eq!(shop.read("bursar.lock"), lock, "the hint's way out");
}

#[test]
fn a_manifest_with_a_fault_is_refused_with_its_line_and_what_was_meant() {
    let (home, _daemon) = vault_with(&["1.0.0"]);
    let shop = shop(&home, "shop", "1");
    shop.run(&["sync"]).ok();
    let secret = "hunter2-and-more";
    for (text, line, words) in [
        ("envrionment = 'x'\n", 3, "unknown key envrionment\nhint: did you mean: environment"),
        ("[packages]\nsite = '1'\n[packges]\n", 5, "unknown key packges\nhint: did you mean: packages"),
        (
            "[library]\nname = 'x'\nverison = '1.0.0'\n",
            5,
            "unknown key verison in [library]\nhint: did you mean: version",
        ),
        ("[library]\nname = 'x'\n[[library.files]]\ntemplate = 'a'\npath = 'b'\nmdoe = '0600'\n", 8, "mdoe"),
        ("[library]\nname = 'x'\n[library.elements]\nA = { stagin = 'x' }\n", 6, "did you mean: staging"),
        ("zzzzzzzz = 1\n", 3, "hint: known there: organization, environment, "),
        ("packages = 'hunter2-and-more'\n", 3, "packages: expected a table, found a text"),
        ("[packages]\nsite = 1\n", 4, "packages.site: expected a text, found a number"),
        ("[packages]\nsite = 'hunter2-and-more'\n", 4, "packages.site: expected a version requirement"),
        ("[packages]\n'a/b/c' = '1'\n", 4, "a reference is"),
        ("[packages]\nsite = '1'\n'acme/site' = '1'\n", 5, "named twice"),
        ("[env]\nA = ['hunter2-and-more']\n", 4, "env.A: expected a text, found a list"),
        ("[env]\nA = '%x'\n", 4, "env.A: in the template, line 1, column 1: "),
        ("[env]\n'A=hunter2-and-more' = 'x'\n", 4, "a variable's name"),
        (
            "[environments]\nbeta = 'acme/staging'\n",
            4,
            "environments.beta: an environment of beta is expected",
        ),
        ("[library]\nversion = '1.0.0'\n", 3, "library.name is missing"),
        ("[library]\nname = 'x'\nversion = '1'\n", 5, "library.version: expected a version"),
        ("[library]\nname = 'x'\nfiles = 3\n", 5, "library.files: expected a list of tables, found a number"),
        ("[library]\nname = 'x'\nfiles = [{ template = 'a', path = 'b', mode = '9' }]\n", 5, "mode: "),
        ("x = [[[\n", 3, ""),
        ("organization = 'beta'\n", 3, ""),
        ("= hunter2-and-more\n", 3, ""),
    ] {
        shop.write("bursar.toml", format!("{HEAD}{text}"));
        let before = shop.stamps();
        for arguments in
            [&["sync"][..], &["status"], &["publish"], &["check"], &["workspace", "trust"], &["render", "v"]]
        {
            let said = shop.refused(2, "invalid", arguments);
            assert!(said.starts_with(&format!("bursar.toml, line {line}: ")), "{text}: {said}");
            assert!(said.contains(words), "{text}: {said}");
            assert!(!said.contains(secret), "{text}: {said}");
        }
        assert_eq!(shop.stamps(), before);
    }
    let run = shop.run(&["exec", "--", "true"]);
    assert_eq!(run.code, 125, "{run:?}");
    shop.write("bursar.toml", "organization = 'acme'\n[packages]\nsite = '1'\n");
    shop.run(&["workspace", "trust"]).ok();
    assert!(shop.refused(2, "invalid", &["sync"]).contains("no environment"));
    shop.refused(5, "not_found", &["sync", "-e", "nowhere"]);
    shop.run(&["sync", "-e", "staging"]).ok();
    shop.write("bursar.toml", vec![b'#'; 256 * 1024 + 1]);
    assert!(shop.refused(2, "invalid", &["sync"]).starts_with("bursar.toml: over 256 KiB"));
    shop.write("bursar.toml", b"# \xff");
    assert!(shop.refused(2, "invalid", &["sync"]).starts_with("bursar.toml, line 1: "));
}

#[test]
fn what_a_person_wrote_in_the_manifest_stays_as_it_was() {
    let (home, _daemon) = vault_with(&["1.0.0", "1.2.0"]);
    publish(&home, "acme/base", "0.3.1", json!({}), json!([file("b", "x")]));
    let text = "# mine, first\nenvironment   =   'staging' # soon production\norganization = \"acme\"\n\n\
                [packages] # what is used\n# old, but good\nsite='=1.0.0'   # why\n\n\n[env]\n  B = 'x'\nA = \"\"\"\n%%\"\"\"\n\n\
                [environments]\n# none yet\n# the end, without a newline";
    let shop = Workspace::with(&home, "shop", text);
    shop.run(&["sync"]).ok();
    assert_eq!(shop.read("bursar.toml"), text, "a sync does not touch it");
    let added = shop.run(&["add", "-p", "base", "--json"]).ok().json();
    assert_eq!(added["packages"].as_array().map(Vec::len), Some(1), "{added}");
    let expected = text.replace("# why\n", "# why\n\"acme/base\" = \"^0.3.1\"\n");
    assert_eq!(shop.read("bursar.toml"), expected);
    shop.run(&["add", "-p", "acme/site@1"]).ok();
    let expected = expected.replace("'=1.0.0'", "\"^1\"");
    assert_eq!(shop.read("bursar.toml"), expected);
    assert_eq!(shop.read("v"), "1.2.0");
    let stamp = shop.stamps();
    shop.run(&["add", "-p", "acme/site@^1"]).ok();
    assert_eq!(shop.stamps(), stamp, "an add that changes nothing writes nothing");
    shop.run(&["status"]).ok();
    assert_eq!(home.ok("workspace.list", json!({}))[0]["files"], 3);
}

#[test]
fn an_add_keeps_the_line_ends_and_names_each_package_once() {
    let (home, _daemon) = vault_with(&["1.0.0", "1.2.0"]);
    let text = "\u{feff}organization = 'acme'\r\nenvironment = 'staging'\r\n[packages]\r\n# none yet\r\n";
    let shop = Workspace::with(&home, "shop", text);
    let before = shop.stamps();
    let said = shop.refused(2, "invalid", &["add", "-p", "site", "-p", "acme/site@1"]);
    assert!(said.starts_with("acme/site is given twice\n"), "{said}");
    assert_eq!(shop.stamps(), before, "nothing is written");
    shop.run(&["add", "-p", "site"]).ok();
    let after = shop.read("bursar.toml");
    assert!(after.starts_with('\u{feff}') && after.contains("\"acme/site\" = \"^1.2.0\"\r\n"), "{after:?}");
    assert_eq!(after.matches('\n').count(), after.matches("\r\n").count(), "{after:?}");
    shop.run(&["status"]).ok();
}

#[test]
fn a_lock_that_is_gone_is_told_and_written_anew() {
    let (home, _daemon) = vault_with(&["1.0.0"]);
    let shop = shop(&home, "shop", "1");
    shop.run(&["sync"]).ok();
    let lock = shop.read("bursar.lock");
    fs::remove_file(shop.path("bursar.lock")).unwrap();
    let status = shop.run(&["status"]);
    assert_eq!(status.code, 1);
    assert!(status.out.contains("bursar.lock does not pin what is used here: bursar sync"), "{}", status.out);
    assert_eq!(shop.run(&["status", "--json"]).json()["pinned"], false);
    shop.run(&["sync"]).ok();
    assert_eq!(shop.read("bursar.lock"), lock);
    assert_eq!(shop.run(&["status", "--json"]).ok().json()["pinned"], true);
    let listed = shop.run(&["info", "--json"]).ok().json();
    assert_eq!((&listed[0]["package"], &listed[0]["latest"]), (&json!("acme/site"), &json!("1.0.0")));
}
