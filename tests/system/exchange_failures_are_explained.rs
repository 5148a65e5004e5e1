//! Whatever an issuer answers: a failure says what failed and what to do, and never what was in the answer.

use bursar_tests::secrets::grant;
use bursar_tests::{FaultIssuer, Home, Reply, Wall, configured, open_vault};
use serde_json::{Value, json};

/// Stands in every answer of the issuer, and must not come back.
const CANARY: &str = "canary-9f3a";

fn fails(home: &Home, name: &str, url: &str) -> String {
    let secret = home.create(grant(name, url));
    assert_eq!(secret["status"], "failed", "{name}: {secret}");
    let details = secret["status_details"].as_str().unwrap().to_owned();
    assert!(!details.contains(CANARY) && !details.contains("cs-0123456789"), "{name}: {details}");
    assert!(details.len() > 15, "{name}: {details}");
    details
}

#[test]
fn an_answer_that_is_no_grant_is_named() {
    let (home, _daemon) = open_vault();
    let issuer = FaultIssuer::new(Reply::Drop);
    let json = Reply::Json;
    let table: &[(&str, Reply, &[&str])] = &[
        (
            "invalid-client",
            json(401, r#"{"error":"invalid_client","error_description":"canary-9f3a"}"#),
            &["invalid_client", "401"],
        ),
        ("invalid-scope", json(400, r#"{"error":"invalid_scope"}"#), &["invalid_scope", "400"]),
        ("a-secret-as-code", json(400, r#"{"error":"cs-0123456789"}"#), &["400"]),
        ("a-canary-as-code", json(400, r#"{"error":"canary-9f3a <b>"}"#), &["400"]),
        ("empty-403", Reply::Answer(403, "text/plain", String::new()), &["403"]),
        ("500", json(500, r#"{"oops":"canary-9f3a"}"#), &["500"]),
        ("503", Reply::Answer(503, "text/html", CANARY.into()), &["503"]),
        ("201", json(201, r#"{"access_token":"canary-9f3a","expires_in":90000}"#), &["201"]),
        ("html", Reply::Answer(200, "text/html", format!("<p>{CANARY}</p>")), &[]),
        ("no-json", json(200, "{canary-9f3a"), &[]),
        ("array", json(200, r#"["canary-9f3a"]"#), &[]),
        ("no-token", json(200, r#"{"expires_in":90000}"#), &["access_token"]),
        ("token-is-no-text", json(200, r#"{"access_token":7,"expires_in":90000}"#), &["access_token"]),
        ("empty-token", json(200, r#"{"access_token":"","expires_in":90000}"#), &["access_token"]),
        ("no-lifetime", json(200, r#"{"access_token":"canary-9f3a"}"#), &["expires_in"]),
        (
            "lifetime-in-words",
            json(200, r#"{"access_token":"canary-9f3a","expires_in":"soon"}"#),
            &["expires_in"],
        ),
        (
            "negative-lifetime",
            json(200, r#"{"access_token":"canary-9f3a","expires_in":-9}"#),
            &["expires_in"],
        ),
        (
            "half-a-second",
            json(200, r#"{"access_token":"canary-9f3a","expires_in":90000.5}"#),
            &["expires_in"],
        ),
        ("huge", Reply::Huge(2 * 1024 * 1024), &[]),
        ("endless", Reply::Endless, &[]),
        ("drop", Reply::Drop, &[]),
    ];
    for (name, reply, words) in table {
        issuer.then(reply.clone());
        let details = fails(&home, name, &issuer.token_url());
        for word in *words {
            assert!(details.contains(word), "{name}: no {word} in: {details}");
        }
    }
    assert!(!home.log().contains(CANARY));
}

#[test]
fn a_redirect_is_not_followed() {
    let (home, _daemon) = open_vault();
    let elsewhere = FaultIssuer::new(Reply::Grant(90_000));
    let issuer = FaultIssuer::new(Reply::Redirect(elsewhere.token_url()));
    let details = fails(&home, "moved", &issuer.token_url());
    assert!(details.contains("redirect"), "{details}");
    assert_eq!((issuer.count(), elsewhere.count()), (1, 0));
}

#[test]
fn silence_is_bounded_and_an_unreachable_issuer_is_no_fault_of_the_credentials() {
    let (home, _daemon) = configured("[http]\ntotal_timeout = \"2s\"\n");
    let issuer = FaultIssuer::new(Reply::Hang);
    fails(&home, "silent", &issuer.token_url());
    let gone = Wall::new();
    fails(&home, "gone", &gone.token_url());
    assert_eq!(home.refused("secret.test", json!({ "secret": "gone" })), "failed");
}

#[test]
fn odd_but_legal_answers_are_read() {
    let (home, _daemon) = open_vault();
    let issuer = FaultIssuer::new(Reply::Drop);
    for (name, body) in [
        ("text", r#"{"access_token":"t","token_type":"bearer","expires_in":"36000"}"#),
        (
            "more",
            r#"{"access_token":"t","token_type":"bearer","expires_in":36000,"refresh_token":"r","x":[{}]}"#,
        ),
    ] {
        issuer.then(Reply::Answer(200, "application/json; charset=utf-8", body.into()));
        assert_eq!(home.create(grant(name, &issuer.token_url()))["status"], "succeeded", "{name}");
    }
}

#[test]
fn a_request_is_a_form_with_its_options() {
    let (home, _daemon) = open_vault();
    let issuer = FaultIssuer::new(Reply::Grant(36_000));
    let mut params = grant("form", &issuer.token_url());
    params["credentials"]["options"] = json!({ "scope": "a b", "audience": "ä&=+" });
    home.create(params);
    let request = issuer.requests().remove(0);
    let field = |name: &str| request.form.get(name).map(String::as_str);
    assert_eq!(field("grant_type"), Some("client_credentials"));
    assert_eq!((field("client_id"), field("client_secret")), (Some("robot"), Some("cs-0123456789")));
    assert_eq!((field("scope"), field("audience")), (Some("a b"), Some("ä&=+")));
    assert!(!request.headers.contains_key("authorization"));
}

#[test]
fn a_private_ca_is_trusted_once_the_config_names_it() {
    let issuer = FaultIssuer::over_tls(Reply::Grant(90_000));
    let home = Home::new();
    let ca = home.file("ca.pem", issuer.ca_pem());
    let daemon = home.start();
    home.ok("vault.init", json!({ "key_file": home.key_file() }));
    let details = fails(&home, "private", &issuer.token_url());
    assert!(details.contains("certificate"), "{details}");
    assert_eq!(issuer.count(), 0, "nothing is sent to an issuer that cannot prove itself");
    assert!(daemon.stop().success());

    home.config(&format!("[http]\nextra_ca_file = {}\n", Value::from(ca.to_str().unwrap())));
    let _daemon = home.start();
    home.ok("secret.retry", json!({ "secret": "private" }));
    assert_eq!(home.ok("secret.wait", json!({ "secret": "private" }))["status"], "succeeded");
    assert_eq!(home.artifact("private")["value"], "granted-1");
}
