//! A data element stands for the secret of its stage, and for nothing that is not bound, alive and of that environment.

use bursar_tests::library::{
    STAGES, acme_with_api, bound, brief_grant, environment, organization, until_past,
};
use bursar_tests::secrets::{grant, token};
use bursar_tests::{Daemon, FaultIssuer, Home, Refused, Reply, open_vault, seconds, until};
use serde_json::{Value, json};

fn with_api() -> (Home, Daemon) {
    let (home, daemon) = open_vault();
    acme_with_api(&home);
    (home, daemon)
}

/// The element `acme/e` with `secret` in the slot of development.
fn hold(home: &Home, secret: &str) {
    home.ok("element.set", json!({ "element": "acme/e", "development": secret }));
}

fn asked(environment: &str) -> Value {
    json!({ "element": "acme/e", "environment": environment })
}

/// Why `acme/e` does not resolve in `environment`.
#[track_caller]
fn unresolved(home: &Home, environment: &str) -> Refused {
    let refused = home.call("element.resolve", asked(environment)).expect_err(environment);
    assert_eq!(refused.name, "unresolved", "{refused}");
    refused
}

#[track_caller]
fn says(refused: &Refused, message: &str, hint: &str) {
    assert_eq!(refused.message, message, "{refused}");
    assert!(refused.hint.contains(hint), "{refused}");
}

#[test]
fn a_slot_takes_only_a_bound_secret_of_its_stage_and_organization() {
    let (home, _daemon) = open_vault();
    organization(&home, "acme");
    organization(&home, "beta");
    bound(&home, "acme/dev", "development", "v");
    bound(&home, "beta/x", "development", "v");
    let mut unbound = token("acme/unbound", "v");
    unbound["unbound"] = json!(true);
    home.create(unbound);
    let refusals = [
        (
            "staging",
            "acme/dev",
            "invalid",
            "field staging: acme/dev is bound to acme/development, which is of stage development",
            "of stage staging",
        ),
        (
            "development",
            "acme/unbound",
            "invalid",
            "field development: acme/unbound is bound to no environment",
            "bursar secret bind acme/unbound",
        ),
        (
            "development",
            "beta/x",
            "invalid",
            "field development: beta/x is of another organization than acme/e",
            "",
        ),
        ("production", "acme/nowhere", "not_found", "no secret acme/nowhere", "bursar secret list"),
    ];
    for (stage, secret, name, message, hint) in refusals {
        // beside a slot that would do: one refusal leaves both as they were
        let params = json!({ "element": "acme/e", "development": "acme/dev", stage: secret });
        let refused = home.call("element.set", params).expect_err(secret);
        assert_eq!(refused.name, name, "{refused}");
        says(&refused, message, hint);
        assert_eq!(home.ok("element.list", json!({})), json!([]));
    }
    let refused = |params: Value| home.call("element.set", params).unwrap_err();
    assert_eq!(refused(json!({ "element": "nobody/e" })).name, "not_found");
    assert_eq!(refused(json!({ "element": "acme/e", "qa": "acme/dev" })).message, "unknown field qa");
    let mistyped = refused(json!({ "element": "acme/e", "staging": "no name" }));
    assert!(mistyped.message.starts_with("field staging: "), "{mistyped}");
    // a name alone is of the element's organization
    hold(&home, "dev");
    assert_eq!(home.ok("element.show", json!({ "element": "acme/e" }))["development"], "acme/dev");
}

#[test]
fn slots_are_set_kept_and_emptied_one_by_one() {
    let (home, _daemon) = with_api();
    let first = home.ok("element.set", json!({ "element": "acme/e", "development": "api-development" }));
    assert_eq!(
        (&first["development"], &first["staging"], &first["production"]),
        (&json!("acme/api-development"), &Value::Null, &Value::Null)
    );
    home.ok("element.set", json!({ "element": "acme/e", "staging": "acme/api-staging" }));
    let params = json!({ "element": "acme/e", "development": null, "production": "acme/api-production" });
    let last = home.ok("element.set", params);
    assert_eq!(
        (&last["development"], &last["staging"], &last["production"]),
        (&Value::Null, &json!("acme/api-staging"), &json!("acme/api-production"))
    );
    assert_eq!(last["created_at"], first["created_at"]);
    assert_eq!(home.ok("element.show", json!({ "element": "acme/e" })), last);

    organization(&home, "beta");
    home.ok("element.set", json!({ "element": "beta/z" }));
    home.ok("element.set", json!({ "element": "mine" }));
    let names = |params: Value| {
        let found = home.ok("element.list", params);
        let names =
            found.as_array().unwrap().iter().map(|element| element["element"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    assert_eq!(names(json!({})), ["acme/api", "acme/e", "beta/z", "personal/mine"]);
    assert_eq!(names(json!({ "organization": "acme" })), ["acme/api", "acme/e"]);
    assert_eq!(home.refused("element.list", json!({ "organization": "nobody" })), "not_found");

    home.ok("element.delete", json!({ "element": "acme/e" }));
    for method in ["element.show", "element.delete"] {
        let refused = home.call(method, json!({ "element": "acme/e" })).unwrap_err();
        says(&refused, "no data element acme/e", "bursar element list");
    }
    assert_eq!(home.refused("element.resolve", asked("acme/staging")), "not_found");
    assert_eq!(home.artifact("acme/api-staging")["value"], "value-of-staging", "the secret stays");
}

#[test]
fn each_stage_has_its_own_secret() {
    let (home, _daemon) = with_api();
    for stage in STAGES {
        let params = json!({ "element": "acme/api", "environment": stage });
        let expected = json!({
            "element": "acme/api", "stage": stage, "secret": format!("acme/api-{stage}"),
            "environment": format!("acme/{stage}"), "type": "token", "expires_at": null, "state": "good",
            "problem": null, "hint": null,
        });
        assert_eq!(home.ok("element.resolve", params), expected);
    }
    organization(&home, "beta");
    let params = json!({ "element": "acme/api", "environment": "beta/staging" });
    let refused = home.call("element.resolve", params).unwrap_err();
    says(&refused, "beta/staging is of another organization than acme/api", "");
    assert_eq!(
        home.refused("element.resolve", json!({ "element": "acme/api", "environment": "qa" })),
        "not_found"
    );
}

#[test]
fn an_empty_slot_resolves_to_nothing() {
    let (home, _daemon) = with_api();
    hold(&home, "api-development");
    says(
        &unresolved(&home, "staging"),
        "acme/e, staging: the slot staging of acme/e is empty",
        "bursar element set acme/e --staging SECRET",
    );
}

#[test]
fn the_one_development_slot_serves_the_environment_of_its_secret_alone() {
    let (home, _daemon) = with_api();
    environment(&home, "acme/dev-2", "development");
    hold(&home, "api-development");
    says(
        &unresolved(&home, "dev-2"),
        "acme/e, development: acme/api-development is bound to acme/development, not to acme/dev-2",
        "bursar secret list --organization acme",
    );
    bound(&home, "acme/other", "dev-2", "v");
    hold(&home, "other");
    assert_eq!(home.ok("element.resolve", asked("dev-2"))["secret"], "acme/other");
    unresolved(&home, "development");
}

#[test]
fn a_secret_whose_environment_went_serves_none_until_it_is_bound_again() {
    let (home, _daemon) = open_vault();
    organization(&home, "acme");
    environment(&home, "acme/old", "development");
    bound(&home, "acme/s", "old", "v");
    hold(&home, "s");
    home.ok("environment.delete", json!({ "environment": "acme/old" }));
    assert_eq!(home.refused("element.resolve", asked("old")), "not_found");
    says(
        &unresolved(&home, "development"),
        "acme/e, development: acme/s is bound to no environment",
        "bursar secret bind acme/s ENVIRONMENT",
    );
    // and of another stage it is not what the slot is for
    home.ok("secret.bind", json!({ "secret": "acme/s", "environment": "acme/staging" }));
    says(
        &unresolved(&home, "development"),
        "acme/e, development: acme/s is bound to acme/staging, not to acme/development",
        "",
    );
    says(&unresolved(&home, "staging"), "acme/e, staging: the slot staging of acme/e is empty", "");
}

#[test]
fn an_inactive_a_failed_and_an_expired_secret_resolve_to_nothing() {
    let (home, _daemon) = open_vault();
    organization(&home, "acme");
    bound(&home, "acme/s", "development", "v");
    hold(&home, "s");
    home.ok("secret.deactivate", json!({ "secret": "acme/s" }));
    says(
        &unresolved(&home, "development"),
        "acme/e, development: acme/s is deactivated",
        "bursar secret reactivate acme/s",
    );
    home.ok("secret.reactivate", json!({ "secret": "acme/s" }));
    home.ok("element.resolve", asked("development"));

    let issuer = FaultIssuer::new(Reply::Json(401, r#"{"error":"invalid_client"}"#));
    home.create(grant("acme/refused", &issuer.token_url()));
    hold(&home, "refused");
    let refused = unresolved(&home, "development");
    assert!(
        refused.message.starts_with("acme/e, development: the exchange of acme/refused failed: ")
            && refused.message.contains("invalid_client"),
        "{refused}"
    );
    assert_eq!(issuer.count(), 1, "a permanent refusal is not asked about again");

    let now = seconds(&home.ok("secret.show", json!({ "secret": "acme/refused" }))["created_at"]);
    let date = bursar_proto::time::Timestamp::from_seconds(now + 4);
    let mut ends = token("acme/ends", "v");
    ends["expiration_date"] = json!(date);
    home.create(ends);
    hold(&home, "ends");
    until_past(&json!(date));
    says(
        &unresolved(&home, "development"),
        &format!("acme/e, development: acme/ends expired at {date}"),
        "bursar secret edit acme/ends --expiration-date DATE",
    );
}

#[test]
fn an_edit_that_failed_is_no_good_even_while_the_old_artifact_lives() {
    let (home, _daemon) = open_vault();
    organization(&home, "acme");
    let issuer = FaultIssuer::new(Reply::Grant(36_000));
    home.create(grant("acme/s", &issuer.token_url()));
    hold(&home, "s");
    home.ok("element.resolve", asked("development"));
    issuer.from_now_on(Reply::Json(401, r#"{"error":"invalid_client"}"#));
    home.ok("secret.edit", json!({ "secret": "acme/s", "credentials": { "client_secret": "wrong" } }));
    let refused = unresolved(&home, "development");
    assert!(refused.message.contains("invalid_client"), "{refused}");
    assert_eq!(home.artifact("acme/s")["value"], "granted-1");
}

/// Asks, and answers once it is sure that the daemon holds the answer back.
fn held_back(home: &Home) -> bursar_tests::RawSocket {
    let mut socket = home.connect();
    socket.ask("element.resolve", &asked("acme/development"));
    let later = socket.ask("hello", &json!({}));
    assert_eq!(socket.json()["id"], later, "the resolution was not held back");
    socket
}

#[test]
fn a_slow_exchange_is_waited_for() {
    let (home, _daemon) = open_vault();
    organization(&home, "acme");
    let issuer = FaultIssuer::new(Reply::Held(36_000));
    assert_eq!(home.ok("secret.create", grant("acme/s", &issuer.token_url()))["status"], "pending");
    hold(&home, "s");
    let mut waiting = held_back(&home);
    issuer.until_count(1);
    issuer.release();
    let resolved = waiting.json();
    assert_eq!(resolved["result"]["state"], "good", "{resolved}");
    assert!(!resolved["result"]["expires_at"].is_null(), "{resolved}");
    assert_eq!(issuer.count(), 1, "it joined the exchange that was under way");
}

#[test]
fn a_token_that_ran_out_is_exchanged_first() {
    let (home, _daemon) = open_vault();
    organization(&home, "acme");
    let issuer = FaultIssuer::new(Reply::Grant(2));
    let old = home.create(brief_grant("acme/s", &issuer.token_url()));
    home.ok("secret.deactivate", json!({ "secret": "acme/s" })); // its timers stop
    hold(&home, "s");
    until_past(&home.ok("secret.show", json!({ "secret": "acme/s" }))["expires_at"]);
    issuer.from_now_on(Reply::Held(36_000));
    let before = issuer.count();
    home.ok("secret.reactivate", json!({ "secret": "acme/s" }));
    let mut waiting = held_back(&home);
    issuer.until_count(before + 1);
    issuer.release();
    let resolved = waiting.json();
    assert_eq!(resolved["result"]["state"], "good", "{resolved}");
    assert!(seconds(&resolved["result"]["expires_at"]) > seconds(&old["expires_at"]) + 30_000, "{resolved}");
}

#[test]
fn a_token_whose_refresh_fails_is_good_to_its_end_and_then_expired() {
    let (home, _daemon) = open_vault();
    organization(&home, "acme");
    let issuer = FaultIssuer::new(Reply::Grant(6));
    home.create(brief_grant("acme/s", &issuer.token_url()));
    hold(&home, "s");
    issuer.from_now_on(Reply::Json(500, "{}"));
    assert_eq!(home.ok("element.resolve", asked("development"))["state"], "good");
    let refused = until("the token ends", || home.call("element.resolve", asked("development")).err());
    assert_eq!(refused.name, "unresolved", "{refused}");
    assert!(
        refused.message.starts_with("acme/e, development: the artifact of acme/s expired at ")
            && refused.message.contains("500"),
        "{refused}"
    );
    issuer.from_now_on(Reply::Grant(36_000));
    home.ok("secret.retry", json!({ "secret": "acme/s" }));
    assert_eq!(home.ok("element.resolve", asked("development"))["state"], "good");
}

#[test]
fn a_deleted_secret_leaves_empty_slots_and_a_renamed_one_stays_in_them() {
    let (home, daemon) = with_api();
    hold(&home, "api-development");
    home.ok("secret.edit", json!({ "secret": "acme/api-development", "name": "new-name" }));
    for element in ["acme/api", "acme/e"] {
        assert_eq!(home.ok("element.show", json!({ "element": element }))["development"], "acme/new-name");
    }
    assert_eq!(home.ok("element.resolve", asked("development"))["secret"], "acme/new-name");
    home.ok("secret.delete", json!({ "secret": "acme/new-name" }));
    // one that takes the name is another one
    bound(&home, "acme/new-name", "development", "another");
    let check = || {
        let api = home.ok("element.show", json!({ "element": "acme/api" }));
        assert!(api["development"].is_null(), "{api}");
        assert_eq!(api["staging"], "acme/api-staging");
        says(
            &unresolved(&home, "development"),
            "acme/e, development: the slot development of acme/e is empty",
            "",
        );
    };
    check();
    daemon.kill9();
    let _daemon = home.start();
    check();
}

#[test]
fn elements_survive_a_kill_new_keys_and_a_backup() {
    let (home, daemon) = with_api();
    home.ok("element.set", json!({ "element": "mine" }));
    let before = home.ok("element.list", json!({}));
    let good = || {
        assert_eq!(home.ok("element.list", json!({})), before);
        let params = json!({ "element": "acme/api", "environment": "staging" });
        assert_eq!(home.ok("element.resolve", params)["secret"], "acme/api-staging");
    };
    daemon.kill9();
    let _daemon = home.start();
    good();
    home.ok("vault.rekey", json!({}));
    good();
    let backup = home.path().join("backup");
    home.ok("vault.backup", json!({ "file": backup }));
    home.ok("element.delete", json!({ "element": "acme/api" }));
    home.ok("vault.restore", json!({ "file": backup }));
    home.call("vault.unlock", json!({})).ok(); // a restored vault may be locked
    good();
}
