//! A client secret at the owner's user id sees and changes what its own organizations have in a workspace, and nothing else.

use bursar_tests::client_secrets::{authenticated, issue};
use bursar_tests::library::{acme_with_api, bound, organization, publish};
use bursar_tests::{Daemon, Home, RawSocket, open_vault};
use serde_json::{Value, json};

/// How many workspaces who is no owner may make known.
const OTHERS_WORKSPACES_MAX: usize = 100;

/// `acme` and `beta`, each with a package; `acme/private` is in none.
fn with_sites() -> (Home, Daemon) {
    let (home, daemon) = open_vault();
    acme_with_api(&home);
    organization(&home, "beta");
    bound(&home, "beta/api", "staging", "value-of-beta");
    bound(&home, "acme/private", "staging", "value-of-private");
    publish(&home, "acme/site", "1.0.0", json!({ "TOKEN": "api" }), json!([]));
    publish(&home, "beta/site", "1.0.0", json!({ "TOKEN": { "staging": "beta/api" } }), json!([]));
    (home, daemon)
}

fn file(path: &str, package: &str, secrets: &[&str]) -> Value {
    json!({ "path": path, "package": package, "version": "1.0.0", "digests": ["0".repeat(64)], "secrets": secrets })
}

fn recording(environment: &str, files: Value) -> Value {
    json!({ "workspace": "/w", "environment": environment, "files": files, "synced": true })
}

fn paths(workspace: &Value) -> Vec<&str> {
    let files = workspace["files"].as_array().unwrap().iter();
    files.map(|file| file["path"].as_str().unwrap()).collect()
}

/// The owner's workspace with files of both, and a connection for `beta` alone.
fn shared() -> (Home, Daemon, RawSocket) {
    let (home, daemon) = with_sites();
    let files = json!([
        file("of-acme", "acme/site", &["acme/api-staging", "acme/api-production"]),
        file("of-beta", "beta/site", &["beta/api"]),
    ]);
    home.ok("workspace.trust", json!({ "workspace": "/w", "digest": "1".repeat(64) }));
    home.ok("workspace.record", recording("acme/staging", files));
    let beta = issue(&home, "beta", "viewer", None);
    let socket = authenticated(&home, &[&beta]);
    (home, daemon, socket)
}

#[test]
fn nothing_is_told_of_another_organizations_files() {
    let (home, _daemon, mut beta) = shared();
    home.ok("secret.delete", json!({ "secret": "acme/api-production" }));
    let shown = beta.call("workspace.show", json!({ "workspace": "/w" })).unwrap();
    assert_eq!(paths(&shown), ["of-beta"]);
    assert_eq!((&shown["environment"], &shown["deleted"]), (&Value::Null, &json!([])));
    assert!(!shown.to_string().contains("acme"), "{shown}");
    let recorded = beta.call("workspace.record", recording("beta/staging", json!([]))).unwrap();
    assert!(!recorded.to_string().contains("acme"), "{recorded}");
}

#[test]
fn what_one_records_leaves_the_other_organizations_files() {
    let (home, _daemon, mut beta) = shared();
    home.ok("secret.delete", json!({ "secret": "acme/api-production" }));
    for files in [json!([file("another", "beta/site", &["beta/api"])]), json!([])] {
        let recorded = beta.call("workspace.record", recording("beta/staging", files.clone())).unwrap();
        assert_eq!(recorded["files"], files);
        let workspace = home.ok("workspace.show", json!({ "workspace": "/w" }));
        let mut expected: Vec<&str> = files.as_array().unwrap().iter().map(|_| "another").collect();
        expected.push("of-acme");
        assert_eq!(paths(&workspace), expected);
        assert_eq!(workspace["deleted"], json!(["of-acme"]));
        assert_eq!(workspace["trusted"], "1".repeat(64), "trust is no client secret's to take");
        let held = home.ok("secret.where", json!({ "secret": "acme/api-staging" }));
        assert_eq!(held["workspaces"][0]["files"], json!(["of-acme"]), "{held}");
        let deleted = home.ok("secret.deleted", json!({}));
        assert_eq!(deleted[0]["secret"], "acme/api-production", "{deleted}");
        assert_eq!(deleted[0]["workspaces"][0]["files"], json!(["of-acme"]), "{deleted}");
    }
    assert_eq!(beta.call("workspace.forget", json!({ "workspace": "/w" })).unwrap_err().name, "denied");
    let named = json!([file("x", "acme/site", &[])]);
    let refused = beta.call("workspace.record", recording("beta/staging", named)).unwrap_err();
    assert_eq!(refused.name, "wrong_organization");
}

#[test]
fn recording_a_name_tells_nothing_of_it() {
    let (home, _daemon) = with_sites();
    let viewer = issue(&home, "acme", "viewer", None);
    let mut socket = authenticated(&home, &[&viewer]);
    let mut record = |secrets: &[&str], version: Value| {
        let mut file = file("f", "acme/site", secrets);
        file["version"] = version;
        let mut answer = socket.call("workspace.record", recording("acme/staging", json!([file]))).unwrap();
        answer["synced_at"].take();
        answer
    };
    let held = |secret: &str| home.ok("secret.where", json!({ "secret": secret }))["workspaces"].clone();
    for version in [json!("1.0.0"), json!("9.9.9"), Value::Null] {
        // one that is there, and that no package hands out, and one that is not
        let there = record(&["acme/private"], version.clone());
        assert_eq!(held("acme/private"), json!([]), "{version}");
        assert_eq!(there, record(&["acme/nowhere"], version.clone()), "{version}");
        assert_eq!(there["files"][0]["secrets"], json!([]), "{there}");
    }
    assert_eq!(held("acme/api-staging"), json!([]));
    let handed = record(&["acme/private", "acme/api-staging", "acme/nowhere"], json!("1.0.0"));
    assert_eq!(handed["files"][0]["secrets"], json!(["acme/api-staging"]));
    assert_eq!(held("acme/api-staging")[0]["files"], json!(["f"]));
    assert_eq!(held("acme/private"), json!([]));
}

#[test]
fn who_is_no_owner_makes_a_hundred_known() {
    let (home, _daemon) = with_sites();
    let viewer = issue(&home, "acme", "viewer", None);
    let mut socket = authenticated(&home, &[&viewer]);
    let numbered = |number: usize| {
        let mut params = recording("acme/staging", json!([]));
        params["workspace"] = json!(format!("/w/{number}"));
        params
    };
    for number in 0..OTHERS_WORKSPACES_MAX {
        socket.call("workspace.record", numbered(number)).unwrap();
    }
    let refused = socket.call("workspace.record", numbered(OTHERS_WORKSPACES_MAX)).unwrap_err();
    assert_eq!(refused.name, "conflict", "{refused}");
    socket.call("workspace.record", numbered(7)).unwrap(); // one that is known
    for number in OTHERS_WORKSPACES_MAX..OTHERS_WORKSPACES_MAX + 20 {
        home.ok("workspace.record", numbered(number));
    }
    let known = home.ok("workspace.list", json!({})).as_array().unwrap().len();
    assert_eq!(known, OTHERS_WORKSPACES_MAX + 20);
}
