//! A `bursar.toml` that came from elsewhere pulls no value until a person has trusted it; a changed one asks again, and what we
//! write ourselves does not.

use bursar_tests::library::{acme_with_api, bound, file, publish};
use bursar_tests::{Daemon, Home, Workspace, open_vault};
use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;

const CLONED: &str = "organization = 'acme'\nenvironment = 'staging'\n[packages]\nsite = '1'\n[env]\nT = '%api%'\n\
                      [library]\nname = 'own'\nversion = '1.0.0'\n[library.elements]\nOWN = 'api'\n\
                      [[library.files]]\ntemplate = 't'\npath = 'built'\n";

fn acme() -> (Home, Daemon) {
    let (home, daemon) = open_vault();
    acme_with_api(&home);
    publish(&home, "acme/site", "1.0.0", json!({ "TOKEN": "acme/api" }), json!([file("token", "%TOKEN%")]));
    (home, daemon)
}

fn cloned<'h>(home: &'h Home, name: &str) -> Workspace<'h> {
    let workspace = Workspace::empty(home, name);
    workspace.write("bursar.toml", CLONED);
    workspace.write("t", "%OWN%");
    workspace
}

const PULLS: [&[&str]; 6] = [
    &["sync"],
    &["sync", "--force", "--allow-tracked", "--update"],
    &["status"],
    &["build"],
    &["add", "-p", "site"],
    &["render", "t"],
];

#[test]
fn a_clone_pulls_nothing_until_it_is_trusted() {
    let (home, _daemon) = acme();
    let clone = cloned(&home, "clone");
    let before = clone.stamps();
    for arguments in PULLS {
        let said = clone.refused(4, "untrusted", arguments);
        let file = clone.path("bursar.toml").canonicalize().unwrap();
        assert!(said.starts_with(&format!("{} is not trusted: ", file.display())), "{arguments:?}: {said}");
        assert!(said.ends_with("bursar workspace trust"), "{arguments:?}: {said}");
    }
    let run = clone.run(&["exec", "--", "sh", "-c", "echo $T"]);
    assert_eq!((run.code, run.out.as_str()), (125, ""), "{run:?}");
    assert_eq!(clone.stamps(), before);
    assert_eq!(home.ok("secret.where", json!({ "secret": "acme/api-staging" }))["workspaces"], json!([]));
    // what shows no value asks nobody
    clone.run(&["check"]).ok();
    clone.run(&["check", "--stage", "all"]).ok();
    clone.run(&["info", "acme/site"]).ok();
    clone.run(&["publish", "--dry-run"]).ok();
    clone.run(&["publish"]).ok();
    home.cli(&["get", "acme/api-staging"]).ok();

    let trusted = clone.run(&["workspace", "trust"]).ok().out;
    for word in ["acme/staging", "acme/site", "T", "own"] {
        assert!(trusted.contains(word), "a person sees what is trusted: {trusted}");
    }
    clone.run(&["sync"]).ok();
    clone.run(&["build"]).ok();
    assert_eq!(
        (clone.read("token"), clone.read("built")),
        ("value-of-staging".into(), "value-of-staging".into())
    );
    assert_eq!(clone.run(&["exec", "--", "sh", "-c", "echo $T"]).ok().out, "value-of-staging\n");
    // the same file elsewhere is another workspace
    let second = cloned(&home, "second");
    second.refused(4, "untrusted", &["sync"]);
    assert!(!second.has("token"));
    // and by another name the same one
    let link = home.path().join("link");
    symlink(clone.root(), &link).unwrap();
    let mut bursar = clone.command(&["sync"]);
    bursar_tests::Run::finish(bursar.current_dir(&link).spawn().unwrap(), None).ok();
}

#[test]
fn a_change_asks_again_and_putting_it_back_does_not() {
    let (home, _daemon) = acme();
    let shop = Workspace::with(&home, "shop", CLONED);
    shop.write("t", "%OWN%");
    shop.run(&["sync"]).ok();
    for changed in [
        CLONED.replace("'%api%'", "'%secret:api-production%'"),
        CLONED.replace("'staging'", "'production'"),
        format!("{CLONED}# a word more\n"),
    ] {
        shop.write("bursar.toml", &changed);
        let before = shop.stamps();
        for arguments in PULLS {
            let said = shop.refused(4, "untrusted", arguments);
            assert!(said.contains("has changed since it was trusted"), "{said}");
        }
        assert_eq!(shop.stamps(), before);
        shop.write("bursar.toml", CLONED);
        shop.run(&["sync"]).ok();
    }
    // a pin and a template are no part of it
    shop.write("bursar.lock", "");
    shop.write("t", "changed %OWN%");
    shop.run(&["sync"]).ok();
    shop.run(&["build"]).ok();
    // what cannot be read cannot be trusted
    shop.write("bursar.toml", "environment = \n");
    let said = shop.refused(2, "invalid", &["workspace", "trust"]);
    assert!(said.starts_with("bursar.toml, line 1: "), "{said}");
    fs::remove_file(shop.path("bursar.toml")).unwrap();
    shop.refused(5, "not_found", &["workspace", "trust"]);
    shop.refused(5, "not_found", &["sync"]);
}

#[test]
fn a_template_that_changed_pulls_nothing_that_was_not_trusted() {
    let (home, _daemon) = acme();
    bound(&home, "acme/root-staging", "acme/staging", "value-of-root");
    home.ok("element.set", json!({ "element": "acme/root", "staging": "acme/root-staging" }));
    let shop = Workspace::with(&home, "shop", CLONED);
    shop.write("t", "%OWN%");
    shop.run(&["build"]).ok();
    shop.write("t", "%OWN%\n %acme/root%");
    let before = shop.stamps();
    for arguments in [&["build"][..], &["build", "--force"], &["sync"]] {
        assert_eq!(
            shop.refused(2, "invalid", arguments),
            "t: line 2, column 2: acme/root is not under [library.elements], which was trusted\n\
             hint: add \"acme/root\" = \"acme/root\" under [library.elements], then: bursar workspace trust"
        );
        assert_eq!(shop.stamps(), before, "nothing is written");
    }
    let status = shop.run(&["status", "--json"]);
    assert_eq!(status.code, 1);
    let fault = "t: line 2, column 2: acme/root is not under [library.elements], which was trusted";
    assert_eq!(status.json()["faults"], json!([fault]));
    // who publishes hands out no value
    let published = shop.run(&["publish", "--json"]).ok().json();
    assert!(published["elements"].get("acme/root").is_some(), "{published}");
    shop.write(
        "bursar.toml",
        CLONED.replace("OWN = 'api'\n", "OWN = 'api'\n\"acme/root\" = \"acme/root\"\n"),
    );
    shop.refused(4, "untrusted", &["build"]);
    shop.run(&["workspace", "trust"]).ok();
    shop.run(&["build"]).ok();
    assert_eq!(shop.read("built"), "value-of-staging\n value-of-root");
}

#[test]
fn what_we_write_ourselves_is_trusted() {
    let (home, _daemon) = acme();
    publish(&home, "acme/base", "0.3.0", json!({}), json!([file("base", "plain")]));
    let shop = Workspace::empty(&home, "shop");
    let made =
        shop.run(&["workspace", "init", "--organization", "acme", "-e", "staging", "--json"]).ok().json();
    assert_eq!(made["workspace"], shop.root().canonicalize().unwrap().to_str().unwrap());
    shop.run(&["sync"]).ok();
    shop.run(&["add", "-p", "acme/site"]).ok();
    shop.run(&["add", "-p", "base@0.3"]).ok();
    shop.run(&["sync"]).ok();
    shop.run(&["status"]).ok();
    assert_eq!((shop.read("token"), shop.read("base")), ("value-of-staging".into(), "plain".into()));
    // an add that fails leaves the trust as it was
    shop.refused(5, "not_found", &["add", "-p", "nothing"]);
    shop.run(&["sync"]).ok();
    // a person's edit asks, and an add does not slip it in
    let edited = shop.read("bursar.toml") + "# mine\n";
    shop.write("bursar.toml", &edited);
    shop.refused(4, "untrusted", &["add", "-p", "base"]);
    shop.refused(4, "untrusted", &["sync"]);
    assert_eq!(shop.read("bursar.toml"), edited);
    // a second one in the same place
    shop.refused(10, "conflict", &["workspace", "init"]);
    let known = home.cli(&["workspace", "list", "--json"]).ok().json();
    assert_eq!(known.as_array().unwrap().len(), 1, "{known}");
    assert_eq!(known[0]["environment"], "acme/staging");
    let table = home.cli(&["workspace", "list"]).ok().out;
    assert!(table.contains(shop.root().canonicalize().unwrap().to_str().unwrap()), "{table}");
}

#[test]
fn a_forgotten_workspace_is_untrusted_and_keeps_its_files() {
    let (home, _daemon) = acme();
    let shop = Workspace::with(&home, "shop", CLONED);
    shop.run(&["sync"]).ok();
    let before = shop.stamps();
    shop.run(&["workspace", "forget"]).ok();
    assert_eq!(shop.stamps(), before);
    assert_eq!(home.ok("workspace.list", json!({})), json!([]));
    shop.refused(4, "untrusted", &["sync"]);
    shop.refused(5, "not_found", &["workspace", "forget"]);
    // known again, its files are found to be right, not somebody's edits
    shop.run(&["workspace", "trust"]).ok();
    assert_eq!(shop.run(&["sync"]).ok().out, "everything is current\n");
    assert_eq!(shop.stamps(), before);
    let path = shop.root().to_str().unwrap().to_owned();
    fs::remove_dir_all(shop.root()).unwrap();
    home.cli(&["workspace", "forget", &path]).ok();
    assert_eq!(home.ok("workspace.list", json!({})), json!([]));
}

#[test]
fn a_locked_vault_and_a_missing_agent_are_named() {
    let (home, _daemon) = acme();
    let shop = Workspace::with(&home, "shop", CLONED);
    home.ok("vault.lock", json!({}));
    for arguments in
        [&["sync"][..], &["status"], &["build"], &["check"], &["publish"], &["workspace", "trust"]]
    {
        shop.write("t", "%OWN%");
        shop.refused(3, "locked", arguments);
    }
    let fresh = Workspace::empty(&home, "fresh");
    fresh.refused(3, "locked", &["workspace", "init"]);
    assert_eq!(fresh.files(), Vec::<String>::new(), "what cannot be trusted is not written");
    home.ok("agent.stop", json!({}));
    bursar_tests::until("the agent ends", || (!home.socket().exists()).then_some(()));
    shop.refused(9, "daemon_unreachable", &["sync"]);
    fresh.refused(9, "daemon_unreachable", &["workspace", "init"]);
    assert!(!fresh.has("bursar.toml"));
}

#[test]
fn a_package_without_an_organization_is_the_workspaces() {
    let (home, _daemon) = acme();
    let shop = Workspace::with(&home, "shop", CLONED);
    let info = shop.run(&["info", "acme/site", "--json"]).ok().json();
    assert_eq!(info["versions"][0]["files"][0]["path"], "token");
    assert_eq!(shop.run(&["info", "site", "--json"]).ok().json(), info);
}
