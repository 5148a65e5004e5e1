//! The value of a deleted secret does not stay in files that a sync wrote: the next sync there takes it away, also where it can
//! build nothing; what a person edited is left and named, and until then everybody is told.

use bursar_tests::client_secrets::issue;
use bursar_tests::library::{acme_with_api, bound, file, publish};
use bursar_tests::{Daemon, Home, Workspace, open_vault, unattended};
use serde_json::{Value, json};
use std::fs::{self, OpenOptions};
use std::io::Write as _;

const SHOP: &str = "organization = 'acme'\nenvironment = 'staging'\n[packages]\nsite = '1'\n";

/// What lies in the first file, and goes.
const VALUE: &str = "api=value-of-staging";

/// `acme/site` with one file for each of two secrets, and one for none.
fn acme() -> (Home, Daemon) {
    let (home, daemon) = open_vault();
    acme_with_api(&home);
    bound(&home, "acme/cdn-staging", "staging", "value-of-cdn");
    home.ok("element.set", json!({ "element": "acme/cdn", "staging": "acme/cdn-staging" }));
    let files = json!([file("api.conf", "api=%API%"), file("etc/cdn.conf", "cdn=%CDN%"), file("plain", "-")]);
    publish(&home, "acme/site", "1.0.0", json!({ "API": "acme/api", "CDN": "acme/cdn" }), files);
    (home, daemon)
}

fn synced<'h>(home: &'h Home, name: &str) -> Workspace<'h> {
    let workspace = Workspace::with(home, name, SHOP);
    workspace.run(&["sync"]).ok();
    assert_eq!(workspace.read("api.conf"), VALUE);
    workspace
}

fn delete(home: &Home) -> String {
    home.cli(&["secret", "delete", "acme/api-staging", "--yes"]).ok().err
}

/// The workspaces in whose files values of deleted secrets lie, and in which.
fn lying(home: &Home) -> Vec<(String, Value)> {
    let all = home.cli(&["secret", "deleted", "--json"]).ok().json();
    let places = all.as_array().unwrap().iter().flat_map(|one| one["workspaces"].as_array().unwrap());
    places.map(|place| (place["workspace"].as_str().unwrap().to_owned(), place["files"].clone())).collect()
}

/// How a file stands.
#[track_caller]
fn state(workspace: &Workspace<'_>, path: &str) -> Value {
    let run = workspace.run(&["status", "--json"]);
    assert_eq!(run.code, 1, "{run:?}");
    let status = run.json();
    let files = status["packages"][0]["files"].as_array().unwrap();
    files.iter().find(|file| file["path"] == path).expect("a file")["state"].clone()
}

#[test]
fn a_file_goes_with_the_next_sync_though_nothing_can_be_built() {
    let (home, _daemon) = acme();
    let (shop, other) = (synced(&home, "shop"), synced(&home, "other"));
    let before = shop.stamps();
    let said = delete(&home);
    assert!(
        said.contains("its values lie in workspaces until their next sync: bursar secret deleted"),
        "{said}"
    );
    let place = |workspace: &Workspace<'_>| {
        (workspace.root().canonicalize().unwrap().display().to_string(), json!(["api.conf"]))
    };
    let mut both = [place(&other), place(&shop)];
    both.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(lying(&home), both);
    let told = home.cli(&["secret", "deleted"]).ok().out;
    assert!(told.starts_with("acme/api-staging, deleted "), "{told}");
    for (workspace, _) in &both {
        assert!(told.contains(&format!("\n  in {workspace}: api.conf\n")), "{told}");
    }
    assert!(
        told.ends_with("hint: a sync in a workspace replaces or removes its files: bursar sync\n"),
        "{told}"
    );

    // who looks is told, and nothing is changed by that
    assert_eq!(state(&shop, "api.conf"), "holds_deleted_value");
    assert_eq!(state(&shop, "plain"), "current");
    let run = shop.run(&["status"]);
    assert!(run.out.contains("  file api.conf: holds a deleted value\n"), "{run:?}");
    assert!(run.out.contains("the values of deleted secrets go with a sync"), "{run:?}");
    assert_eq!(shop.run(&["status", "--json"]).json()["deleted"], json!(["api.conf"]));
    assert_eq!(shop.stamps(), before);

    let run = shop.run(&["sync"]);
    assert_eq!(run.code, 7, "the build is stopped: {run:?}");
    assert!(
        run.err.starts_with("note: removed api.conf: the value of a deleted secret was in it\nerror: "),
        "{run:?}"
    );
    assert!(run.err.contains("\nhint: fill it: bursar element set acme/api --staging SECRET\n"), "{run:?}");
    let mut left = before;
    left.remove("api.conf");
    assert_eq!(shop.stamps(), left, "that file alone has gone");
    assert_eq!(lying(&home), [place(&other)]);
    assert_eq!(state(&shop, "api.conf"), "missing");
    // said once; and the same again changes nothing
    let run = shop.run(&["sync"]);
    assert!(run.code == 7 && !run.err.contains("note: "), "{run:?}");

    // under --json there is one object, which says it too
    let said = other.refused(7, "unresolved", &["sync"]);
    assert!(said.contains("; removed api.conf: the value of a deleted secret was in it"), "{said}");
    assert!(lying(&home).is_empty());
    let told = home.cli(&["secret", "deleted"]).ok().out;
    assert!(!told.contains("  in /") && !told.contains("hint: "), "{told}");

    // with a successor all is as before
    bound(&home, "acme/api-next", "staging", "value-of-next");
    home.cli(&["element", "set", "acme/api", "--staging", "api-next"]).ok();
    shop.run(&["sync"]).ok();
    assert_eq!(shop.read("api.conf"), "api=value-of-next");
    shop.run(&["status"]).ok();
}

#[test]
fn a_file_that_was_edited_is_left_and_named() {
    let (home, _daemon) = acme();
    let shop = synced(&home, "shop");
    delete(&home);
    let mut edited = OpenOptions::new().append(true).open(shop.path("api.conf")).unwrap();
    edited.write_all(b"\n# mine\n").unwrap();
    let named = "api.conf stays as it is, and the value of a deleted secret may be in it: take it out, or: rm api.conf";
    for _ in 0..2 {
        assert_eq!(state(&shop, "api.conf"), "holds_deleted_value");
        let run = shop.run(&["sync"]);
        assert_eq!(run.code, 7, "{run:?}");
        assert!(run.err.contains(&format!("note: {named}\n")), "{run:?}");
        assert_eq!(shop.read("api.conf"), format!("{VALUE}\n# mine\n"));
        assert_eq!(lying(&home).len(), 1);
    }
    assert!(shop.refused(7, "unresolved", &["sync"]).contains(named));
    fs::remove_file(shop.path("api.conf")).unwrap();
    assert_eq!(state(&shop, "api.conf"), "missing");
    assert_eq!(shop.run(&["sync"]).code, 7);
    bound(&home, "acme/api-next", "staging", "value-of-next");
    home.cli(&["element", "set", "acme/api", "--staging", "api-next"]).ok();
    shop.run(&["sync"]).ok();
    assert!(lying(&home).is_empty());
}

#[test]
fn a_sync_that_succeeds_writes_over_it_or_removes_it() {
    let (home, _daemon) = acme();
    let (replaced, dropped) = (synced(&home, "replaced"), synced(&home, "dropped"));
    delete(&home);
    bound(&home, "acme/api-next", "staging", "value-of-next");
    home.cli(&["element", "set", "acme/api", "--staging", "api-next"]).ok();
    assert_eq!(lying(&home).len(), 2, "a new value in the slot is none in the file");
    assert_eq!(state(&replaced, "api.conf"), "holds_deleted_value");
    let run = replaced.run(&["sync"]).ok();
    assert!(run.out.contains("wrote api.conf (acme/site 1.0.0)\n"), "{run:?}");
    assert_eq!(replaced.read("api.conf"), "api=value-of-next");
    assert_eq!(lying(&home).len(), 1);
    replaced.run(&["status"]).ok();

    dropped.write("bursar.toml", SHOP.replace("site = '1'\n", ""));
    dropped.run(&["workspace", "trust"]).ok();
    let run = dropped.run(&["status"]);
    assert!(run.code == 1 && run.out.contains("api.conf  holds a deleted value"), "{run:?}");
    let run = dropped.run(&["sync", "--json"]).ok().json();
    assert_eq!(run["removed"], json!(["api.conf", "etc/cdn.conf", "plain"]));
    assert_eq!(run["deleted"], json!([]));
    assert!(lying(&home).is_empty() && !dropped.has("api.conf"));
}

#[test]
fn automation_takes_it_away_too() {
    let (home, _daemon) = acme();
    let viewer = issue(&home, "acme", "viewer", None);
    let shop = Workspace::empty(&home, "shop");
    shop.write("bursar.toml", SHOP);
    unattended::run(&shop, &[&viewer], &["sync"]).ok();
    delete(&home);
    let run = unattended::run(&shop, &[&viewer], &["status"]);
    assert!(run.code == 1 && run.out.contains("  file api.conf: holds a deleted value\n"), "{run:?}");
    let run = unattended::run(&shop, &[&viewer], &["sync"]);
    assert_eq!(run.code, 7, "{run:?}");
    assert!(run.err.starts_with("note: removed api.conf: "), "{run:?}");
    assert!(!shop.has("api.conf") && shop.has("etc/cdn.conf") && lying(&home).is_empty());
}
