//! The vault opens with its passphrase or its key file, and with nothing else.

use bursar_tests::secrets::token;
use bursar_tests::{Daemon, Home, open_vault, until};
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;

const PASSPHRASE: &str = "correct horse battery staple";

fn with_passphrase() -> (Home, Daemon) {
    let home = Home::new();
    let daemon = home.start();
    let vault = home.ok("vault.init", json!({ "passphrase": PASSPHRASE }));
    assert_eq!((&vault["vault"], &vault["passphrase"]), (&json!("unlocked"), &json!(true)));
    home.create(token("t", "value"));
    (home, daemon)
}

fn unlock(home: &Home, passphrase: &str) -> Result<(), String> {
    home.call("vault.unlock", json!({ "passphrase": passphrase })).map(drop).map_err(|refused| refused.name)
}

#[test]
fn before_there_is_a_vault_everything_says_so() {
    let home = Home::new();
    let _daemon = home.start();
    assert_eq!(home.ok("agent.status", json!({}))["vault"], "absent");
    assert_eq!(home.refused("secret.list", json!({})), "no_vault");
    assert_eq!(home.refused("vault.unlock", json!({ "passphrase": "x" })), "no_vault");
    assert_eq!(home.refused("vault.init", json!({})), "invalid");
    let both = json!({ "passphrase": PASSPHRASE, "key_file": home.key_file() });
    assert_eq!(home.refused("vault.init", both), "invalid");
    assert_eq!(home.refused("vault.init", json!({ "key_file": "relative/key" })), "invalid");
    home.ok("vault.init", json!({ "passphrase": PASSPHRASE }));
    assert_eq!(home.refused("vault.init", json!({ "passphrase": PASSPHRASE })), "conflict");
}

#[test]
fn a_passphrase_vault_is_locked_after_a_start_and_opens_with_its_passphrase() {
    let (home, daemon) = with_passphrase();
    assert!(daemon.stop().success());
    let _daemon = home.start();
    assert_eq!(home.ok("agent.status", json!({}))["vault"], "locked");
    assert_eq!(unlock(&home, "correct horse battery stapl"), Err("wrong_key".into()));
    until("the wait is over", || unlock(&home, PASSPHRASE).ok());
    assert_eq!(home.artifact("t")["value"], "value");
}

#[test]
fn wrong_passphrases_cost_growing_time_and_the_right_one_still_opens() {
    let (home, _daemon) = with_passphrase();
    home.ok("vault.lock", json!({}));
    let mut seen = Vec::new();
    for at in 0..10 {
        let refused = unlock(&home, &format!("guess {at}")).unwrap_err();
        seen.push(refused.clone());
        if refused == "throttled" {
            break;
        }
        assert_eq!(refused, "wrong_key");
    }
    assert_eq!(seen.first().map(String::as_str), Some("wrong_key"));
    assert_eq!(seen.last().map(String::as_str), Some("throttled"), "ten guesses in a row are not slowed");
    until("the wait is over", || unlock(&home, PASSPHRASE).ok());
    assert_eq!(home.artifact("t")["value"], "value");
}

#[test]
fn a_new_passphrase_replaces_the_old_one() {
    let (home, _daemon) = with_passphrase();
    let change = |current: &str| json!({ "current": current, "new": "another passphrase" });
    assert_eq!(home.refused("vault.passphrase", change("not the passphrase")), "wrong_key");
    until("the wait is over", || home.call("vault.passphrase", change(PASSPHRASE)).ok());
    home.ok("vault.lock", json!({}));
    assert_eq!(unlock(&home, PASSPHRASE), Err("wrong_key".into()));
    until("the wait is over", || unlock(&home, "another passphrase").ok());
    assert_eq!(home.artifact("t")["value"], "value");
}

#[test]
fn a_key_file_is_made_remembered_and_opens_by_itself() {
    let (home, daemon) = open_vault();
    home.create(token("t", "value"));
    let mode = fs::metadata(home.key_file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(daemon.stop().success());
    let daemon = home.start();
    assert_eq!(home.artifact("t")["value"], "value", "it was open before the daemon listened");
    home.ok("vault.lock", json!({}));
    home.ok("vault.unlock", json!({}));
    assert!(daemon.stop().success());

    let key = fs::read(home.key_file()).unwrap();
    fs::remove_file(home.key_file()).unwrap();
    let daemon = home.start();
    assert_eq!(home.ok("agent.status", json!({}))["vault"], "locked");
    home.call("vault.unlock", json!({})).unwrap_err();
    let moved = home.file("moved", &key);
    home.ok("vault.unlock", json!({ "key_file": moved }));
    assert_eq!(home.artifact("t")["value"], "value");
    drop(daemon);
}

#[test]
fn a_foreign_key_file_does_not_open() {
    let (home, _daemon) = open_vault();
    let (other, _other_daemon) = open_vault();
    home.ok("vault.lock", json!({}));
    let unlock = json!({ "key_file": other.key_file() });
    assert_eq!(home.refused("vault.unlock", unlock), "wrong_key");
    let rubbish = home.file("rubbish", "hunter2");
    let refused = home.call("vault.unlock", json!({ "key_file": rubbish })).unwrap_err();
    assert!(["wrong_key", "invalid", "throttled"].contains(&refused.name.as_str()), "{refused}");
    assert!(!refused.to_string().contains("hunter2"));
}

#[test]
fn new_data_keys_keep_every_secret() {
    let (home, daemon) = open_vault();
    for at in 0..20 {
        home.create(token(&format!("t-{at}"), &format!("value-{at}")));
    }
    home.ok("vault.rekey", json!({}));
    for round in 0..2 {
        for at in 0..20 {
            assert_eq!(home.artifact(&format!("t-{at}"))["value"], format!("value-{at}"), "round {round}");
        }
        home.ok("vault.lock", json!({}));
        home.ok("vault.unlock", json!({}));
    }
    daemon.kill9();
    let _daemon = home.start();
    assert_eq!(home.artifact("t-7")["value"], "value-7");
}
