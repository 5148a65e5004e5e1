//! A client secret's value is in the one answer that issues it, and nowhere else; what is left of it works for its whole life.

use bursar_tests::client_secrets::{Issued, authenticated, issue, issue_with, issued};
use bursar_tests::library::{acme_with_api, organization, publish};
use bursar_tests::{Daemon, Home, open_vault, seconds};
use serde_json::{Value, json};
use std::fs;

const DAY: i64 = 86_400;

/// The length of the pieces of a value that are looked for, in bytes.
const LEAK: usize = 16;

fn with_site() -> (Home, Daemon) {
    let (home, daemon) = open_vault();
    acme_with_api(&home);
    publish(&home, "acme/site", "1.0.0", json!({ "TOKEN": "api" }), json!([]));
    (home, daemon)
}

fn token_of_site() -> Value {
    json!({ "package": "acme/site", "version": "1.0.0", "environment": "staging", "element": "TOKEN" })
}

fn works(home: &Home, issued: &Issued) -> bool {
    let mut ci = home.connect();
    ci.call("authenticate", json!({ "client_secrets": [issued.value] })).is_ok()
        && ci.call("package.get", token_of_site()).is_ok_and(|got| got["value"] == "value-of-staging")
}

fn show(home: &Home, issued: &Issued) -> Value {
    home.ok("client_secret.show", json!({ "id": issued.id }))
}

/// Whether bytes hold some of the value, as text or as the random bytes that it stands for.
fn leaks(bytes: &[u8], issued: &Issued) -> bool {
    let text = &issued.value.as_bytes()[15..67];
    let (_, random) = bursar_proto::client_secret::parse(&issued.value).unwrap();
    let mut parts = text.chunks_exact(LEAK).chain(random.expose().chunks_exact(LEAK));
    parts.any(|part| bytes.windows(LEAK).any(|window| window == part))
}

#[test]
fn it_is_listed_with_all_but_its_value() {
    let (home, _daemon) = with_site();
    organization(&home, "beta");
    let further = json!({ "environment": "staging", "expires_in": 3_600, "analytics": "complete", "description": "site, in the CI" });
    let answer = home.ok("client_secret.create", {
        let mut params = json!({ "organization": "acme", "role": "contributor" });
        params.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
        params
    });
    let first = issued(&answer);
    let mut expected = answer.clone();
    expected.as_object_mut().unwrap().remove("client_secret");
    assert_eq!(show(&home, &first), expected);
    assert_eq!(
        expected,
        json!({
            "id": first.id, "organization": "acme", "environment": "acme/staging", "description": "site, in the CI",
            "role": "contributor", "status": "active", "created_at": expected["created_at"],
            "expires_at": expected["expires_at"], "revoked_at": null, "last_used_at": null, "analytics": "complete",
            "successor": null,
        })
    );
    assert_eq!(seconds(&expected["expires_at"]) - seconds(&expected["created_at"]), 3_600);
    let plain = issue(&home, "beta", "viewer", None);
    let shown = show(&home, &plain);
    assert_eq!(seconds(&shown["expires_at"]) - seconds(&shown["created_at"]), 90 * DAY, "{shown}");
    assert_eq!((&shown["analytics"], &shown["environment"]), (&json!("limited"), &Value::Null));

    let list = |params: Value| home.ok("client_secret.list", params);
    let ids = |listed: &Value| -> Vec<String> {
        let id = |one: &Value| one["id"].as_str().unwrap().to_owned();
        let mut ids: Vec<_> = listed.as_array().unwrap().iter().map(id).collect();
        ids.sort();
        ids
    };
    let mut both = [first.id.clone(), plain.id];
    both.sort();
    assert_eq!(ids(&list(json!({}))), both);
    assert_eq!(list(json!({ "organization": "acme" })), json!([expected]));
    assert_eq!(home.refused("client_secret.list", json!({ "organization": "none" })), "not_found");
    assert_eq!(home.refused("client_secret.show", json!({ "id": "k3j9x2m4pq" })), "not_found");
    let organizations = home.ok("organization.list", json!({}));
    let counts: Vec<&Value> =
        organizations.as_array().unwrap().iter().map(|one| &one["client_secrets"]).collect();
    assert_eq!(counts, [1, 1, 0], "{organizations}");

    // the one thing that changes
    let changed = home.ok("client_secret.set_analytics", json!({ "id": first.id, "analytics": "disabled" }));
    expected["analytics"] = json!("disabled");
    assert_eq!((&changed, &show(&home, &first)), (&expected, &expected));
    for further in [json!({ "role": "viewer" }), json!({ "expires_in": 1 }), json!({ "description": "x" })] {
        let mut params = json!({ "id": first.id, "analytics": "limited" });
        params.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
        assert_eq!(home.refused("client_secret.set_analytics", params), "invalid", "{further}");
    }
}

#[test]
fn what_cannot_be_issued_is_refused() {
    let (home, _daemon) = with_site();
    let good = json!({ "organization": "acme", "role": "viewer", "description": "of a test" });
    for (name, value, refusal) in [
        ("organization", json!("none"), "not_found"),
        ("organization", json!("Not A Name"), "invalid"),
        ("environment", json!("none"), "not_found"),
        ("environment", json!("beta/staging"), "invalid"),
        ("role", json!("owner"), "invalid"),
        ("analytics", json!("all"), "invalid"),
        ("expires_in", json!(0), "invalid"),
        ("expires_in", json!(-1), "invalid"),
        ("expires_in", json!(732 * DAY), "invalid"),
        ("expires_in", json!(u64::MAX), "invalid"),
        ("description", json!(""), "invalid"),
        ("description", json!("  "), "invalid"),
        ("description", json!("x".repeat(201)), "invalid"),
        ("description", json!("two\nlines"), "invalid"),
        ("description", json!("\u{1b}[31m"), "invalid"),
        ("client_secret", json!("bcs_mine"), "invalid"),
    ] {
        let mut params = good.clone();
        params[name] = value;
        assert_eq!(home.refused("client_secret.create", params.clone()), refusal, "{params}");
    }
    for name in ["organization", "role", "description"] {
        let mut params = good.clone();
        params.as_object_mut().unwrap().remove(name);
        assert_eq!(home.refused("client_secret.create", params), "invalid", "{name}");
    }
    assert_eq!(home.ok("client_secret.list", json!({})), json!([]));
    let longest = issue_with(&home, "acme", "viewer", json!({ "expires_in": 731 * DAY }));
    assert!(works(&home, &longest));
}

#[test]
fn its_value_is_in_no_other_answer_not_on_the_disk_and_not_in_the_log() {
    let (home, daemon) = with_site();
    let first = issue(&home, "acme", "contributor", None);
    let rotated = home.ok("client_secret.rotate", json!({ "id": first.id, "overlap": 3_600 }));
    let next = issued(&rotated);
    let both = [&first, &next];
    let mut ci = authenticated(&home, &both);
    ci.call("package.get", token_of_site()).unwrap();
    let mut answers = String::new();
    for (method, params) in [
        (
            "authenticate",
            json!({ "client_secrets": [first.value, next.value], "command": "sync", "ci": { "run": "7" } }),
        ),
        ("authenticate", json!({ "client_secrets": [first.value, next.value], "command": first.value })),
        ("authenticate", json!({ "client_secrets": [&first.value[..60], format!("{}x", next.value)] })),
        ("authenticate", json!({ "client_secrets": first.value })),
        ("authenticate", json!({ "client_secrets": [next.value], "ci": next.value })),
        ("package.show", json!({ "package": first.value })),
        ("environment.show", json!({ "environment": next.value })),
        ("client_secret.show", json!({ "id": first.value })),
        (first.value.as_str(), json!({})),
        ("workspace.show", json!({ "workspace": next.value })),
    ] {
        let answer = ci.call(method, params);
        answers += &answer.map_or_else(|refused| refused.to_string(), |answer| answer.to_string());
    }
    for (method, params) in [
        ("client_secret.list", json!({})),
        ("client_secret.show", json!({ "id": first.id })),
        ("client_secret.show", json!({ "id": first.value })),
        ("client_secret.set_analytics", json!({ "id": next.id, "analytics": "complete" })),
        ("client_secret.rotate", json!({ "id": first.id })),
        ("client_secret.revoke", json!({ "id": first.id })),
        (
            "client_secret.create",
            json!({ "organization": next.value, "role": first.value, "description": next.value }),
        ),
        ("audit.list", json!({})),
        ("usage.list", json!({})),
        ("expiring.list", json!({ "within": 400 * DAY })),
        ("organization.list", json!({})),
        ("environment.delete", json!({ "environment": "acme/production" })),
    ] {
        let answer = home.call(method, params);
        answers += &answer.map_or_else(|refused| refused.to_string(), |answer| answer.to_string());
    }
    for issued in both {
        assert!(answers.contains(&issued.id) && !leaks(answers.as_bytes(), issued), "{answers}");
    }
    home.ok("vault.backup", json!({ "file": home.path().join("backup") }));
    assert!(daemon.stop().success());
    let files = home.files();
    assert!(files.len() >= 4, "{files:?}");
    for file in files {
        let bytes = fs::read(&file).unwrap();
        assert!(!both.iter().any(|issued| leaks(&bytes, issued)), "{} holds some of it", file.display());
    }
}

#[test]
fn it_works_after_a_restart_and_under_new_keys() {
    let (home, mut daemon) = with_site();
    let active = issue(&home, "acme", "viewer", None);
    let revoked = issue(&home, "acme", "viewer", None);
    home.ok("client_secret.revoke", json!({ "id": revoked.id }));
    for round in 0..3 {
        assert!(works(&home, &active), "round {round}");
        assert!(!works(&home, &revoked), "round {round}");
        match round {
            0 => {
                daemon.kill9();
                daemon = home.start();
            }
            1 => drop(home.ok("vault.rekey", json!({}))),
            _ => {
                home.ok("vault.lock", json!({}));
                let refused =
                    home.call("authenticate", json!({ "client_secrets": [active.value] })).unwrap_err();
                assert_eq!(refused.name, "locked");
                home.ok("vault.unlock", json!({}));
            }
        }
    }
    assert!(works(&home, &active));
    home.ok("audit.list", json!({})); // what waits is written first
    let used = show(&home, &active);
    assert!(!used["last_used_at"].is_null(), "{used}");
    assert!(daemon.stop().success());
    let _daemon = home.start();
    assert_eq!(show(&home, &active), used);
}

#[test]
fn a_backup_holds_it_as_it_stood() {
    let (home, _daemon) = with_site();
    let (kept, later_revoked) = (issue(&home, "acme", "viewer", None), issue(&home, "acme", "viewer", None));
    let file = home.path().join("backup");
    home.ok("vault.backup", json!({ "file": file }));
    home.ok("client_secret.revoke", json!({ "id": later_revoked.id }));
    let later = issue(&home, "acme", "viewer", None);
    let elsewhere = Home::new();
    let _elsewhere_daemon = elsewhere.start();
    elsewhere.ok("vault.restore", json!({ "file": file, "key_file": home.key_file() }));
    elsewhere.call("vault.unlock", json!({ "key_file": home.key_file() })).ok();
    assert!(works(&elsewhere, &kept));
    assert!(works(&elsewhere, &later_revoked), "a backup knows nothing of what came after it");
    assert_eq!(elsewhere.refused("client_secret.show", json!({ "id": later.id })), "not_found");
    home.ok("vault.restore", json!({ "file": file }));
    home.call("vault.unlock", json!({})).ok();
    assert!(works(&home, &kept) && !works(&home, &later));
}

#[test]
fn a_successor_takes_over_after_an_overlap() {
    let (home, _daemon) = with_site();
    let further = json!({ "environment": "staging", "expires_in": 7_200, "analytics": "complete" });
    let first = issue_with(&home, "acme", "viewer", further);
    let answer = home.ok("client_secret.rotate", json!({ "id": first.id, "overlap": 3_600 }));
    let second = issued(&answer);
    assert_ne!((&first.id, &first.value), (&second.id, &second.value));
    assert!(works(&home, &first) && works(&home, &second));
    let (old, new) = (show(&home, &first), show(&home, &second));
    for same in ["organization", "environment", "description", "role", "analytics"] {
        assert_eq!(old[same], new[same], "{same}");
    }
    assert_eq!((&old["successor"], &new["successor"]), (&json!(second.id), &Value::Null));
    assert_eq!((&old["status"], &new["status"]), (&json!("active"), &json!("active")));
    let (now, life) =
        (seconds(&new["created_at"]), seconds(&new["expires_at"]) - seconds(&new["created_at"]));
    assert_eq!((seconds(&old["expires_at"]) - now, life), (3_600, 7_200));
    // there is one line of successors
    let refused = home.call("client_secret.rotate", json!({ "id": first.id })).unwrap_err();
    assert!(refused.name == "conflict" && refused.hint.contains(&second.id), "{refused}");

    // an overlap lets nothing live longer than it would have
    let answer = home.ok("client_secret.rotate", json!({ "id": second.id, "overlap": 100 * DAY }));
    let third = issued(&answer);
    assert_eq!(show(&home, &second)["expires_at"], new["expires_at"]);
    // and without one the old one is over at once
    home.ok("client_secret.rotate", json!({ "id": third.id }));
    assert_eq!(show(&home, &third)["status"], "expired");
    assert!(!works(&home, &third) && works(&home, &second));
    assert_eq!(home.refused("client_secret.rotate", json!({ "id": "k3j9x2m4pq" })), "not_found");
}

#[test]
fn it_ends_with_its_environment_and_its_organization() {
    let (home, daemon) = with_site();
    organization(&home, "beta");
    let of_production = issue(&home, "acme", "viewer", Some("production"));
    let of_beta = issue(&home, "beta", "viewer", None);
    let of_acme = issue(&home, "acme", "viewer", None);
    let deleted = home.ok("environment.delete", json!({ "environment": "acme/production" }));
    assert_eq!(deleted["revoked"], json!([of_production.id]));
    home.ok("organization.delete", json!({ "organization": "beta" }));
    let check = || {
        assert_eq!(show(&home, &of_production)["status"], "revoked");
        assert_eq!(home.refused("client_secret.show", json!({ "id": of_beta.id })), "not_found");
        assert!(works(&home, &of_acme));
    };
    check();
    // an environment of that name that comes later is another one
    home.ok("environment.create", json!({ "environment": "acme/production", "stage": "production" }));
    organization(&home, "beta");
    let refused = home.call("authenticate", json!({ "client_secrets": [of_production.value] })).unwrap_err();
    assert_eq!(refused.name, "client_secret_revoked");
    daemon.kill9();
    let _daemon = home.start();
    check();
    let refused = home.call("authenticate", json!({ "client_secrets": [of_beta.value] })).unwrap_err();
    assert_eq!(refused.name, "client_secret_unknown");
}
