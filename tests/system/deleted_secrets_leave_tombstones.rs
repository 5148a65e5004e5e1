//! Of a deleted secret it is known where its values still lie, until they are gone.

use bursar_tests::library::acme_with_api;
use bursar_tests::library::bound;
use bursar_tests::{Daemon, Home, open_vault, seconds};
use serde_json::{Value, json};

const DAY: i64 = 86_400;

/// A digest that ends with `number`.
fn digest(number: u64) -> String {
    format!("{number:064x}")
}

/// Notes that a workspace has these files: each with the number of its content and the secrets in it.
fn record(home: &Home, workspace: &str, files: &[(&str, u64, &[&str])]) -> Value {
    let file = |(path, number, secrets): &(&str, u64, &[&str])| json!({ "path": path, "package": "acme/site", "version": "1.0.0", "digests": [digest(*number)], "secrets": secrets });
    let files: Vec<Value> = files.iter().map(file).collect();
    let params =
        json!({ "workspace": workspace, "environment": "acme/staging", "files": files, "synced": true });
    home.ok("workspace.record", params)
}

fn deleted(home: &Home) -> Vec<Value> {
    home.ok("secret.deleted", json!({})).as_array().unwrap().clone()
}

/// The one tombstone that there is.
#[track_caller]
fn only(home: &Home) -> Value {
    let mut all = deleted(home);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

/// The files of each workspace that a tombstone lists.
fn places(tombstone: &Value) -> Vec<(String, Value)> {
    let of = |one: &Value| (one["workspace"].as_str().unwrap().to_owned(), one["files"].clone());
    tombstone["workspaces"].as_array().unwrap().iter().map(of).collect()
}

fn in_files(home: &Home, workspace: &str) -> Value {
    home.ok("workspace.show", json!({ "workspace": workspace }))["deleted"].clone()
}

/// `acme/api-staging` and `-production` in files of two workspaces.
fn synced() -> (Home, Daemon) {
    let (home, daemon) = open_vault();
    acme_with_api(&home);
    let both: &[&str] = &["acme/api-staging", "acme/api-production"];
    record(&home, "/w/one", &[(".npmrc", 1, &both[..1]), ("other", 2, &both[1..]), ("plain", 3, &[])]);
    record(&home, "/w/two", &[("sub/both", 4, both)]);
    (home, daemon)
}

fn delete(home: &Home, secret: &str) {
    home.ok("secret.delete", json!({ "secret": secret }));
}

#[test]
fn a_tombstone_lists_every_place_in_which_values_lie() {
    let (home, daemon) = synced();
    assert_eq!(deleted(&home), [] as [Value; 0]);
    for workspace in ["/w/one", "/w/two", "/w/none"] {
        assert_eq!(in_files(&home, workspace), json!([]));
    }
    delete(&home, "acme/api-staging");
    assert_eq!(home.refused("artifact.get", json!({ "secret": "acme/api-staging" })), "not_found");
    let check = || {
        let tombstone = only(&home);
        assert_eq!(tombstone["secret"], "acme/api-staging");
        assert_eq!((&tombstone["store"], &tombstone["snapshots"]), (&json!(true), &json!(true)));
        let expected = [("/w/one".to_owned(), json!([".npmrc"])), ("/w/two".to_owned(), json!(["sub/both"]))];
        assert_eq!(places(&tombstone), expected);
        assert_eq!(seconds(&tombstone["until"]) - seconds(&tombstone["deleted_at"]), 30 * DAY);
        assert_eq!(
            (in_files(&home, "/w/one"), in_files(&home, "/w/two")),
            (json!([".npmrc"]), json!(["sub/both"]))
        );
    };
    check();
    daemon.kill9();
    let _daemon = home.start();
    check();
    home.ok("vault.lock", json!({}));
    assert_eq!(home.refused("secret.deleted", json!({})), "locked");
    home.ok("vault.unlock", json!({}));
    check();
    // one that comes under its name is another one: it has no part in what lies there, and clears none of it
    bound(&home, "acme/api-staging", "staging", "anew");
    check();
    let applied = home.ok("secret.where", json!({ "secret": "acme/api-staging" }));
    assert_eq!(applied["workspaces"], json!([]), "{applied}");

    delete(&home, "acme/api-production");
    let all = deleted(&home);
    let mut names: Vec<&str> = all.iter().map(|one| one["secret"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["acme/api-production", "acme/api-staging"]);
    assert_eq!(in_files(&home, "/w/one"), json!([".npmrc", "other"]));
    assert_eq!(in_files(&home, "/w/two"), json!(["sub/both"]), "a file is told once");
}

#[test]
fn a_sync_that_writes_or_removes_the_files_clears_them() {
    let (home, _daemon) = synced();
    delete(&home, "acme/api-staging");
    // before it is written nothing is cleared: a file with its old content still holds the value
    let unchanged = record(&home, "/w/one", &[(".npmrc", 1, &[]), ("other", 2, &["acme/api-production"])]);
    assert_eq!(unchanged["deleted"], json!([".npmrc"]));
    assert_eq!(places(&only(&home)).len(), 2);
    // written anew
    let written = record(&home, "/w/one", &[(".npmrc", 5, &[]), ("other", 2, &["acme/api-production"])]);
    assert_eq!(written["deleted"], json!([]));
    assert_eq!(places(&only(&home)), [("/w/two".to_owned(), json!(["sub/both"]))]);
    // removed
    assert_eq!(record(&home, "/w/two", &[])["deleted"], json!([]));
    let tombstone = only(&home);
    assert_eq!((places(&tombstone).len(), &tombstone["store"]), (0, &json!(true)), "the store still has it");
    home.ok("vault.rekey", json!({}));
    assert_eq!(deleted(&home), [] as [Value; 0], "nothing is left of it");
}

#[test]
fn new_keys_clear_the_store_and_the_snapshots_but_no_file() {
    let (home, daemon) = synced();
    delete(&home, "acme/api-staging");
    delete(&home, "acme/api-development");
    assert_eq!(deleted(&home).len(), 2);
    home.ok("vault.rekey", json!({}));
    let check = |places_left: usize| {
        let tombstone = only(&home);
        assert_eq!(tombstone["secret"], "acme/api-staging", "of the other one nothing was in a file");
        assert_eq!((&tombstone["store"], &tombstone["snapshots"]), (&json!(false), &json!(false)));
        assert_eq!(places(&tombstone).len(), places_left);
    };
    check(2);
    daemon.kill9();
    let _daemon = home.start();
    check(2);
    record(&home, "/w/two", &[("sub/both", 6, &["acme/api-production"])]);
    check(1);
    home.ok("workspace.forget", json!({ "workspace": "/w/one" }));
    assert_eq!(deleted(&home), [] as [Value; 0]);
}

#[test]
fn a_backup_holds_tombstones_and_files_with_them() {
    let (home, _daemon) = synced();
    let before = home.path().join("before");
    home.ok("vault.backup", json!({ "file": before }));
    delete(&home, "acme/api-staging");
    let after = home.path().join("after");
    home.ok("vault.backup", json!({ "file": after }));
    let tombstone = only(&home);
    record(&home, "/w/one", &[]);
    record(&home, "/w/two", &[]);
    home.ok("vault.restore", json!({ "file": after }));
    home.call("vault.unlock", json!({})).ok();
    assert_eq!(only(&home), tombstone);
    home.ok("vault.restore", json!({ "file": before }));
    home.call("vault.unlock", json!({})).ok();
    assert_eq!(deleted(&home), [] as [Value; 0], "there it is not deleted");
    assert_eq!(home.artifact("acme/api-staging")["value"], "value-of-staging");
}
