//! A secret is bound to one environment, once; only the end of the environment frees it.

use bursar_tests::secrets::{grant, token};
use bursar_tests::{FaultIssuer, Home, Reply, open_vault};
use serde_json::json;

fn environment(home: &Home, name: &str, stage: &str) {
    home.ok("environment.create", json!({ "environment": name, "stage": stage }));
}

#[test]
fn an_unbound_secret_keeps_no_artifact_and_is_bound_once() {
    let (home, _daemon) = open_vault();
    let issuer = FaultIssuer::new(Reply::Grant(36_000));
    let mut params = grant("s", &issuer.token_url());
    params["unbound"] = json!(true);
    let secret = home.create(params);
    assert_eq!(secret["status"], "succeeded", "{secret}");
    assert!(secret["environment"].is_null() && secret["activated_at"].is_null(), "{secret}");
    assert_eq!(home.refused("artifact.get", json!({ "secret": "s" })), "unbound");

    environment(&home, "live", "production");
    home.ok("secret.bind", json!({ "secret": "s", "environment": "live" }));
    let secret = home.ok("secret.wait", json!({ "secret": "s" }));
    assert_eq!((&secret["environment"], &secret["stage"]), (&json!("personal/live"), &json!("production")));
    assert_eq!(home.artifact("s")["value"], "granted-2", "binding exchanges again");
    for other in ["live", "development"] {
        let again = json!({ "secret": "s", "environment": other });
        assert_eq!(home.refused("secret.bind", again), "conflict");
    }
}

#[test]
fn deleting_the_environment_frees_its_secrets() {
    let (home, _daemon) = open_vault();
    environment(&home, "old", "staging");
    let mut params = token("s", "value");
    params["environment"] = json!("old");
    home.create(params);
    assert_eq!(home.artifact("s")["value"], "value");

    let deleted = home.ok("environment.delete", json!({ "environment": "old" }));
    assert_eq!(deleted["unbound"], json!(["personal/s"]));
    assert_eq!(home.refused("artifact.get", json!({ "secret": "s" })), "unbound");
    environment(&home, "new", "staging");
    home.ok("secret.bind", json!({ "secret": "s", "environment": "new" }));
    home.ok("secret.wait", json!({ "secret": "s" }));
    assert_eq!(home.artifact("s")["value"], "value");
}

#[test]
fn one_staging_one_production_and_any_number_of_development() {
    let (home, _daemon) = open_vault();
    for stage in ["staging", "production"] {
        environment(&home, stage, stage);
        let second = json!({ "environment": format!("{stage}-2"), "stage": stage });
        assert_eq!(home.refused("environment.create", second), "conflict");
    }
    environment(&home, "dev-2", "development");
    environment(&home, "dev-3", "development");
    let again = json!({ "environment": "dev-3", "stage": "development" });
    assert_eq!(home.refused("environment.create", again), "conflict");
    assert_eq!(home.ok("environment.list", json!({})).as_array().unwrap().len(), 5);
}

#[test]
fn a_secret_stays_within_its_organization() {
    let (home, _daemon) = open_vault();
    home.ok("organization.create", json!({ "organization": "acme" }));
    assert_eq!(home.refused("organization.create", json!({ "organization": "acme" })), "conflict");
    let mut params = token("acme/s", "value");
    params["environment"] = json!("personal/development");
    assert_eq!(home.refused("secret.create", params), "invalid");
    let mut params = token("acme/s", "value");
    params["environment"] = json!("acme/nowhere");
    assert_eq!(home.refused("secret.create", params), "not_found");
    assert_eq!(home.refused("secret.create", token("nobody/s", "value")), "not_found");

    assert_eq!(home.create(token("acme/s", "value"))["environment"], "acme/development");
    assert_eq!(home.refused("secret.create", token("acme/s", "other")), "conflict");
    assert_eq!(home.refused("organization.delete", json!({ "organization": "acme" })), "conflict");
    home.ok("secret.delete", json!({ "secret": "acme/s" }));
    home.ok("organization.delete", json!({ "organization": "acme" }));
    assert_eq!(home.ok("organization.list", json!({})).as_array().unwrap().len(), 1);
}

#[test]
fn an_edit_changes_the_name_and_the_credentials_and_keeps_the_id() {
    let (home, _daemon) = open_vault();
    let before = home.create(token("old", "first"));
    home.create(token("taken", "x"));
    assert_eq!(home.refused("secret.edit", json!({ "secret": "old", "name": "taken" })), "conflict");
    let edit = json!({ "secret": "old", "name": "new", "credentials": { "token": "second" } });
    home.ok("secret.edit", edit);
    let after = home.ok("secret.wait", json!({ "secret": "new" }));
    assert_eq!((&after["id"], &after["name"]), (&before["id"], &json!("personal/new")));
    assert_eq!(home.artifact("new")["value"], "second");
    assert_eq!(home.refused("artifact.get", json!({ "secret": "old" })), "not_found");
}

#[test]
fn an_edit_that_fails_leaves_the_old_artifact_in_service() {
    let (home, _daemon) = open_vault();
    let issuer = FaultIssuer::new(Reply::Grant(36_000));
    home.create(grant("s", &issuer.token_url()));
    issuer.from_now_on(Reply::Json(401, r#"{"error":"invalid_client"}"#));
    home.ok("secret.edit", json!({ "secret": "s", "credentials": { "client_secret": "wrong" } }));
    assert_eq!(home.ok("secret.wait", json!({ "secret": "s" }))["status"], "failed");
    assert_eq!(home.artifact("s")["value"], "granted-1");
}

#[test]
fn an_edit_binds_what_is_unbound_and_changes_neither_binding_nor_type() {
    let (home, _daemon) = open_vault();
    environment(&home, "live", "production");
    let mut params = token("s", "value");
    params["unbound"] = json!(true);
    home.create(params);
    let edit = |change: serde_json::Value| {
        let mut params = json!({ "secret": "s" });
        params.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        params
    };
    let bound = home.ok("secret.edit", edit(json!({ "environment": "live" })));
    assert_eq!(bound["environment"], "personal/live");
    assert_eq!(home.artifact("s")["value"], "value");
    home.ok("secret.edit", edit(json!({ "environment": "live", "type": "token" })));
    for change in [
        json!({ "environment": "development" }),
        json!({ "environment": null }),
        json!({ "type": "api-key" }),
    ] {
        assert_eq!(home.refused("secret.edit", edit(change.clone())), "conflict", "{change}");
    }
}
