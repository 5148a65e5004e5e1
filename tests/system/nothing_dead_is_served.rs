//! An artifact is handed out only while everything about it is alive; each refusal has its own name.

use bursar_tests::secrets::{grant, token};
use bursar_tests::{FaultIssuer, Reply, open_vault, until};
use serde_json::json;
use std::time::{SystemTime, UNIX_EPOCH};

#[test]
fn inactive_until_reactivated() {
    let (home, _daemon) = open_vault();
    home.create(token("t", "value"));
    assert_eq!(home.ok("secret.deactivate", json!({ "secret": "t" }))["active"], false);
    assert_eq!(home.refused("artifact.get", json!({ "secret": "t" })), "inactive");
    assert_eq!(home.ok("secret.reactivate", json!({ "secret": "t" }))["active"], true);
    assert_eq!(home.artifact("t")["value"], "value");
}

#[test]
fn unbound_failed_deleted_and_unknown() {
    let (home, _daemon) = open_vault();
    let issuer = FaultIssuer::new(Reply::Json(401, r#"{"error":"invalid_client"}"#));
    let mut unbound = token("unbound", "value");
    unbound["unbound"] = json!(true);
    assert_eq!(home.create(unbound)["status"], "succeeded");
    home.create(grant("failed", &issuer.token_url()));
    let get = |name: &str| home.refused("artifact.get", json!({ "secret": name }));
    assert_eq!(get("unbound"), "unbound");
    assert_eq!(get("failed"), "failed");
    assert_eq!(get("nowhere"), "not_found");

    issuer.from_now_on(Reply::Held(36_000));
    assert_eq!(home.ok("secret.create", grant("slow", &issuer.token_url()))["status"], "pending");
    // while the first exchange runs, a get waits for it
    let mut caller = home.connect();
    caller.ask("artifact.get", &json!({ "secret": "slow" }));
    issuer.until_count(2);
    issuer.release();
    assert_eq!(caller.json()["result"]["value"], "granted-1");
    assert_eq!(home.ok("secret.wait", json!({ "secret": "slow" }))["status"], "succeeded");
    assert_eq!(home.artifact("slow")["value"], "granted-1");

    home.ok("secret.delete", json!({ "secret": "slow" }));
    assert_eq!(get("slow"), "not_found");
}

#[test]
fn a_secret_ends_on_its_date() {
    let (home, _daemon) = open_vault();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let soon = bursar_proto::time::Timestamp::from_seconds(i64::try_from(now).unwrap() + 3);
    let mut params = token("t", "value");
    params["expiration_date"] = json!(soon);
    home.create(params);
    assert_eq!(home.artifact("t")["value"], "value");
    let refused = until("the date comes", || home.call("artifact.get", json!({ "secret": "t" })).err());
    assert_eq!(refused.name, "expired", "{refused}");

    home.ok("secret.edit", json!({ "secret": "t", "expiration_date": null }));
    assert_eq!(home.artifact("t")["value"], "value");
}

#[test]
fn nothing_is_served_while_locked() {
    let (home, _daemon) = open_vault();
    home.create(token("t", "value"));
    assert_eq!(home.ok("vault.lock", json!({}))["vault"], "locked");
    for (method, params) in [
        ("artifact.get", json!({ "secret": "t" })),
        ("secret.show", json!({ "secret": "t" })),
        ("secret.list", json!({})),
        ("organization.list", json!({})),
        ("environment.list", json!({})),
        ("artifact.watch", json!({})),
        ("secret.delete", json!({ "secret": "t" })),
    ] {
        assert_eq!(home.refused(method, params), "locked", "{method}");
    }
    assert!(home.ok("agent.status", json!({}))["secrets"].is_null());
    home.ok("vault.unlock", json!({}));
    assert_eq!(home.artifact("t")["value"], "value");
}

#[test]
fn more_validity_than_the_issuer_gives_is_refused_without_asking_it() {
    let (home, _daemon) = open_vault();
    let issuer = FaultIssuer::new(Reply::Grant(3600));
    home.create(grant("hour", &issuer.token_url()));
    let get = |seconds: u64| home.call("artifact.get", json!({ "secret": "hour", "min_validity": seconds }));
    assert_eq!(get(3601).unwrap_err().name, "validity_too_long");
    assert_eq!(issuer.count(), 1);
    assert_eq!(get(600).unwrap()["value"], "granted-1");
}
