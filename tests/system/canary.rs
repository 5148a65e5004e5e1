//! A canary in every sensitive place is found nowhere: not in answers, errors, logs, listings, nor on the disk.

use bursar_tests::secrets::grant;
use bursar_tests::{FaultIssuer, Home, Reply, open_vault};
use serde_json::{Value, json};
use std::fs;

/// Stands in every sensitive field.
const CANARY: &str = "canary-51d0";

/// Stands in names: they may be shown, but not lie on the disk.
const NAME: &str = "osprey-88c2";

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

fn every_kind(token_url: &str) -> Vec<Value> {
    let secret = |kind: &str, credentials: Value| json!({ "secret": format!("{NAME}-{kind}"), "type": kind, "credentials": credentials });
    let mut granted = grant(&format!("{NAME}-grant"), token_url);
    granted["credentials"]["client_secret"] = json!(CANARY);
    vec![
        granted,
        secret("simple-http", json!({ "username": NAME, "password": CANARY })),
        secret("token", json!({ "token": CANARY })),
        secret("api-key", json!({ "header_name": "X", "value": CANARY })),
        secret("bearer-token", json!({ "header_name": "X", "header_value": CANARY })),
        secret("client-credentials", json!({ "client_id": NAME, "client_secret": CANARY })),
        secret("key-value", json!({ "entries": { "A": CANARY } })),
    ]
}

#[test]
fn the_canary_is_nowhere_but_in_artifacts() {
    let (home, daemon) = open_vault();
    let issuer = FaultIssuer::new(Reply::Answer(
        200,
        "application/json",
        format!(r#"{{"access_token":"{CANARY}","expires_in":36000}}"#),
    ));
    let mut answers = String::new();
    let mut keep = |answer: &Value| answers += &answer.to_string();
    for params in every_kind(&issuer.token_url()) {
        let name = params["secret"].clone();
        keep(&home.create(params.clone()));
        keep(&home.ok("secret.show", json!({ "secret": name })));
        keep(&home.ok("secret.where", json!({ "secret": name })));
        assert!(home.artifact(name.as_str().unwrap()).to_string().len() > 20);

        // and the same in a place where it does not belong
        for (at, wrong) in [
            json!({ CANARY: CANARY }),
            json!({ "credentials": { "passwort": CANARY } }),
            json!({ "credentials": CANARY }),
            json!({ "credentials": { "token": { "x": CANARY } } }),
            json!({ "expiration_date": CANARY }),
            json!({ "exchange_policy": CANARY }),
            json!({ "secret": format!("{CANARY} {CANARY}") }),
        ]
        .iter()
        .enumerate()
        {
            for method in ["secret.create", "secret.edit", "secret.show", "artifact.get"] {
                let mut params = params.clone();
                params["secret"] = json!(format!("x-{at}"));
                params.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
                let refused = home.call(method, params).unwrap_err();
                keep(&json!(refused.to_string()));
            }
        }
    }
    keep(&home.ok("secret.list", json!({})));
    keep(&home.ok("secret.test", json!({ "secret": format!("{NAME}-grant") })));
    for passphrase in [CANARY, "x"] {
        for method in ["vault.unlock", "vault.init", "vault.passphrase", "vault.rekey"] {
            if let Err(refused) =
                home.call(method, json!({ "passphrase": passphrase, "current": 1, "new": CANARY }))
            {
                keep(&json!(refused.to_string()));
            }
        }
    }
    let mut raw = home.connect();
    raw.send(format!("{CANARY}\n{{\"{CANARY}\":\"{CANARY}\"}}\n")).unwrap();
    keep(&raw.json());
    keep(&raw.json());
    assert!(!answers.contains(CANARY), "an answer holds it");

    let backup = home.path().join("backup");
    home.ok("vault.backup", json!({ "file": backup }));
    assert!(daemon.stop().success());
    let files = home.files();
    assert!(files.len() >= 4, "{files:?}");
    for file in files {
        let bytes = fs::read(&file).unwrap();
        assert!(!holds(&bytes, CANARY), "{} holds it", file.display());
        let is_log = file.file_name().is_some_and(|name| name == "stderr.log"); // it may say names
        assert!(is_log || !holds(&bytes, NAME), "{} holds a name", file.display());
    }
}

#[test]
fn a_passphrase_is_nowhere() {
    let home = Home::new();
    let daemon = home.start();
    home.ok("vault.init", json!({ "passphrase": CANARY }));
    home.ok("vault.lock", json!({}));
    home.ok("vault.unlock", json!({ "passphrase": CANARY }));
    let environment = fs::read(format!("/proc/{}/environ", daemon.pid())).unwrap_or_default();
    let arguments = fs::read(format!("/proc/{}/cmdline", daemon.pid())).unwrap();
    assert!(!holds(&environment, CANARY) && !holds(&arguments, CANARY));
    assert!(daemon.stop().success());
    for file in home.files() {
        assert!(!holds(&fs::read(&file).unwrap(), CANARY), "{} holds it", file.display());
    }
}
