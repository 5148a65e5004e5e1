//! A backup brings back what there was, but no right that ended since, and the record goes on.

use bursar_tests::client_secrets::{Issued, authenticated, issue, issue_with, issued};
use bursar_tests::library::{acme_with_api, organization, publish};
use bursar_tests::record::{counted, entries, sound};
use bursar_tests::secrets::token;
use bursar_tests::{Daemon, Home, open_vault, until};
use serde_json::{Value, json};
use std::path::PathBuf;

/// A vault with `acme/site`, an organization `beta`, and where its backup is to lie.
fn vault() -> (Home, Daemon, PathBuf) {
    let (home, daemon) = open_vault();
    acme_with_api(&home);
    organization(&home, "beta");
    publish(&home, "acme/site", "1.0.0", json!({ "TOKEN": "api" }), json!([]));
    let file = home.path().join("backup");
    (home, daemon, file)
}

fn back_up(home: &Home, file: &PathBuf) {
    home.ok("vault.backup", json!({ "file": file }));
}

fn restore(home: &Home, file: &PathBuf) {
    home.ok("vault.restore", json!({ "file": file }));
}

/// Why a client secret does not count; empty where it does.
fn refusal(home: &Home, secret: &Issued) -> String {
    let answer = home.call("authenticate", json!({ "client_secrets": [secret.value] }));
    answer.err().map(|refused| refused.name).unwrap_or_default()
}

fn numbers(entries: &[Value]) -> Vec<u64> {
    entries.iter().map(|entry| entry["number"].as_u64().unwrap()).collect()
}

/// That the entries of `before` are all there, with their numbers, none twice, and the restore behind them.
#[track_caller]
fn goes_on(before: &[Value], after: &[Value]) {
    assert_eq!(after[..before.len()], *before, "what was recorded stays");
    assert_eq!(numbers(after), (1..=after.len() as u64).collect::<Vec<_>>());
    let restored = |entry: &Value| entry["method"] == "vault.restore" && entry["outcome"] == "ok";
    assert!(after[before.len()..].iter().any(restored), "the restore is recorded");
}

#[test]
fn what_was_revoked_stays_so_and_the_record_goes_on() {
    let (home, daemon, file) = vault();
    let (good, gone) = (issue(&home, "acme", "viewer", None), issue(&home, "acme", "viewer", None));
    back_up(&home, &file);
    let of_site =
        json!({ "package": "acme/site", "version": "1.0.0", "environment": "staging", "element": "TOKEN" });
    let mut socket = authenticated(&home, &[&gone]);
    socket.call("package.get", of_site.clone()).unwrap();
    home.ok("client_secret.revoke", json!({ "id": gone.id }));
    home.create(token("later", "later"));
    home.artifact("later");
    for _ in 0..2 {
        let before = entries(&home);
        restore(&home, &file);
        assert_eq!(home.refused("secret.show", json!({ "secret": "later" })), "not_found");
        assert_eq!(refusal(&home, &gone), "client_secret_revoked");
        let refused = socket.call("package.get", of_site.clone()).unwrap_err();
        assert_eq!(refused.name, "client_secret_revoked", "{refused}");
        assert_eq!(refusal(&home, &good), "");
        let after = entries(&home);
        goes_on(&before, &after);
        assert_eq!(counted(&after, "client_secret.revoke", "ok"), 1);
        assert_eq!(counted(&after, "artifact.get", "ok"), 1);
        sound(&home);
    }
    let before = entries(&home);
    daemon.kill9();
    let _daemon = home.start();
    let shown = home.ok("client_secret.show", json!({ "id": gone.id }));
    assert_eq!(shown["status"], "revoked", "{shown}");
    assert_eq!(entries(&home)[..before.len()], before);
    sound(&home);
}

#[test]
fn what_ended_in_another_way_stays_so_too() {
    let (home, _daemon, file) = vault();
    let environment = json!({ "expires_in": 86_400, "environment": "staging" });
    let of_staging = issue_with(&home, "acme", "viewer", environment);
    let of_beta = issue(&home, "beta", "viewer", None);
    let rotated = issue(&home, "acme", "viewer", None);
    let brief = issue_with(&home, "acme", "viewer", json!({ "expires_in": 1 }));
    back_up(&home, &file);
    home.ok("secret.delete", json!({ "secret": "acme/api-staging" }));
    home.ok("environment.delete", json!({ "environment": "acme/staging" }));
    home.ok("organization.delete", json!({ "organization": "beta" }));
    issued(&home.ok("client_secret.rotate", json!({ "id": rotated.id })));
    let all = [&of_staging, &of_beta, &rotated, &brief];
    until("they end", || all.iter().all(|one| !refusal_of_known(&home, one).is_empty()).then_some(()));
    restore(&home, &file);
    for (secret, what) in all.iter().zip(["environment", "organization", "rotated", "expired"]) {
        assert_ne!(refusal(&home, secret), "", "{what}");
    }
}

/// The same without a guess: one that is gone costs the next one a wait.
fn refusal_of_known(home: &Home, secret: &Issued) -> String {
    match home.call("client_secret.show", json!({ "id": secret.id })) {
        Ok(shown) if shown["status"] == "active" => String::new(),
        Ok(_) => refusal(home, secret),
        Err(refused) => refused.name,
    }
}

#[test]
fn a_vault_that_is_locked_meanwhile_is_no_other() {
    let (home, _daemon, file) = vault();
    let gone = issue(&home, "acme", "viewer", None);
    back_up(&home, &file);
    home.ok("client_secret.revoke", json!({ "id": gone.id }));
    let before = entries(&home);
    home.ok("vault.lock", json!({}));
    restore(&home, &file);
    drop(home.call("vault.unlock", json!({})));
    assert_eq!(refusal(&home, &gone), "client_secret_revoked");
    goes_on(&before, &entries(&home));
    sound(&home);
}

#[test]
fn another_vaults_backup_brings_its_own_record() {
    let (other, _other_daemon, file) = vault();
    let theirs = issue(&other, "acme", "viewer", None);
    let before = entries(&other);
    back_up(&other, &file);
    let (home, _daemon) = open_vault();
    home.ok("organization.create", json!({ "organization": "ours" }));
    let ours = issue(&home, "ours", "viewer", None);
    let of_ours = |entries: &[Value]| entries.iter().filter(|one| one["subject"] == "ours").count();
    assert_ne!(of_ours(&entries(&home)), 0);
    home.ok("vault.restore", json!({ "file": file, "key_file": other.key_file() }));
    drop(home.call("vault.unlock", json!({ "key_file": other.key_file() })));
    let after = entries(&home);
    goes_on(&before, &after);
    assert_eq!(of_ours(&after), 0, "what was done in another vault is not in this one's record");
    assert_eq!(refusal(&home, &theirs), "");
    assert_eq!(refusal(&home, &ours), "client_secret_unknown");
    sound(&home);
}
