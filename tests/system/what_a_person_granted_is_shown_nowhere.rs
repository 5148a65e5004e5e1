//! What a grant is made of is found nowhere: no refresh token, code, verifier, state or client secret in any answer, page,
//! log or record, nor on the disk.

use bursar_tests::google::{address, ads, ask_again};
use bursar_tests::http::{parameters, visit};
use bursar_tests::{Daemon, FaultIssuer, Google, Home, Reply, open_vault};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;

/// Stands in every value of the token endpoint, and in the client secret.
const CANARY: &str = "canary-93d7";

/// A grant whose refresh token is rotated by every answer.
fn tokens(number: u32) -> Reply {
    let access = format!("{CANARY}-access-{number}");
    let refresh = format!("{CANARY}-refresh-{number}");
    let body = json!({ "access_token": access, "refresh_token": refresh, "expires_in": 3599 });
    Reply::Answer(200, "application/json", body.to_string())
}

/// A vault whose Google asks at `google`, and exchanges at `issuer`.
fn configured(google: &Google, issuer: &FaultIssuer) -> (Home, Daemon) {
    let (home, daemon) = open_vault();
    let settings = json!({
        "issuer": "google", "client_id": google.client_id, "client_secret": format!("{CANARY}-client"),
        "authorization_url": google.authorization_url(), "token_url": issuer.token_url(),
    });
    home.ok("issuer.configure", settings);
    (home, daemon)
}

/// What the issuer was sent in a request, and stays between it and the daemon.
fn sent(issuer: &FaultIssuer, at: usize) -> BTreeMap<String, String> {
    let mut form = issuer.requests()[at].form.clone();
    form.retain(|name, _| {
        ["code", "code_verifier", "refresh_token", "client_secret"].contains(&name.as_str())
    });
    form
}

#[test]
fn a_grant_passes_through_and_leaves_nothing() {
    let google = Google::authlib();
    let issuer = FaultIssuer::new(tokens(0));
    let (home, daemon) = configured(&google, &issuer);
    let mut said = String::new();
    let mut hear = |answer: &Value| said += &answer.to_string();

    issuer.then(tokens(1)).then(tokens(2)).then(tokens(3));
    let asked = home.ok("secret.create", ads("ads"));
    let url = address(&asked);
    let redirect = google.consent(&url);
    let (landed, page) = visit(&redirect);
    hear(&home.ok("secret.wait", json!({ "secret": "ads" })));
    hear(&json!([landed, page.body, page.headers]));
    hear(&home.ok("secret.retry", json!({ "secret": "ads" })));
    hear(&home.ok("secret.wait", json!({ "secret": "ads" })));
    hear(&home.ok("secret.test", json!({ "secret": "ads" })));
    // and on the ways that fail
    hear(&json!(visit(&redirect).1.body));
    let paste = json!({ "secret": "ads", "redirect": redirect });
    hear(&json!(home.call("secret.authorize", paste.clone()).unwrap_err().to_string()));
    let used = google.consent(&ask_again(&home, "ads"));
    let echo = json!({ "error": "invalid_grant", "error_description": parameters(&used)["code"] });
    issuer.then(Reply::Answer(400, "application/json", echo.to_string()));
    hear(&json!(visit(&used).1.body));
    hear(&home.ok("secret.wait", json!({ "secret": "ads" })));

    for method in ["secret.show", "secret.where", "artifact.watch", "secret.deactivate"] {
        hear(&home.ok(method, json!({ "secret": "ads" })));
    }
    for method in ["secret.list", "audit.list", "usage.list", "expiring.list", "agent.status"] {
        hear(&home.ok(method, json!({})));
    }
    hear(&home.ok("issuer.show", json!({ "issuer": "google" })));
    home.ok("secret.reactivate", json!({ "secret": "ads" }));
    said += &home.cli(&["secret", "show", "ads"]).ok().out;
    said += &home.cli(&["google", "show"]).ok().out;
    home.ok("vault.backup", json!({ "file": home.path().join("backup") }));
    let own = [format!("/proc/{}/cmdline", daemon.pid()), format!("/proc/{}/environ", daemon.pid())];
    let mut read: Vec<_> = own.iter().map(|file| (file.clone(), fs::read(file).unwrap())).collect();
    assert!(daemon.stop().success());

    let mut hidden = vec![CANARY.to_owned(), parameters(&url)["state"].clone()];
    assert_eq!(issuer.count(), 4);
    for at in 0..issuer.count() {
        let sent = sent(&issuer, at);
        assert_eq!(sent.len(), if [0, 3].contains(&at) { 3 } else { 2 }, "{sent:?}");
        hidden.extend(sent.into_values());
    }
    assert_eq!(sent(&issuer, 1)["refresh_token"], format!("{CANARY}-refresh-1"));
    assert_eq!(sent(&issuer, 2)["refresh_token"], format!("{CANARY}-refresh-2"), "it was rotated");
    let files = home.files();
    assert!(files.len() > 4, "{files:?}");
    read.extend(files.iter().map(|file| (file.display().to_string(), fs::read(file).unwrap())));
    for text in hidden {
        assert!(!said.contains(&text), "an answer holds {text}: {said}");
        for (file, bytes) in &read {
            let holds = bytes.windows(text.len()).any(|part| part == text.as_bytes());
            assert!(!holds, "{file} holds {text}");
        }
    }
}

#[test]
fn what_was_granted_is_in_a_backup_and_only_for_its_vault() {
    let google = Google::oidc();
    let (home, daemon) = open_vault();
    google.configure(&home);
    google.granted(&home, "ads");
    home.ok("vault.passphrase", json!({ "new": "a passphrase for the backup" }));
    let file = home.path().join("backup");
    home.ok("vault.backup", json!({ "file": file }));
    assert!(daemon.stop().success());

    let there = Home::new();
    let _daemon = there.start();
    there.ok("vault.restore", json!({ "file": file, "passphrase": "a passphrase for the backup" }));
    there.ok("secret.retry", json!({ "secret": "ads" }));
    assert_eq!(there.ok("secret.wait", json!({ "secret": "ads" }))["status"], "succeeded");
    assert_eq!(google.seen().refreshes_granted, 1);
}
