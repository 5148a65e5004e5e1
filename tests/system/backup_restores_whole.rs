//! A backup is one sealed file, and restores everything that was there, here or elsewhere.

use bursar_tests::secrets::{of_every_static_type, token};
use bursar_tests::{Daemon, Home, open_vault};
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

fn backed_up() -> (Home, Daemon, PathBuf) {
    let (home, daemon) = open_vault();
    home.ok("organization.create", json!({ "organization": "acme" }));
    home.create(token("acme/canary-name", "canary-value"));
    for params in of_every_static_type() {
        home.create(params);
    }
    let file = home.path().join("backup");
    let backup = home.ok("vault.backup", json!({ "file": file }));
    assert_eq!(backup["secrets"], 8, "{backup}");
    (home, daemon, file)
}

#[test]
fn what_was_deleted_since_is_there_again() {
    let (home, daemon, file) = backed_up();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let bytes = fs::read(&file).unwrap();
    for plain in ["canary-value", "canary-name", "npm_0123456789"] {
        assert!(!bytes.windows(plain.len()).any(|window| window == plain.as_bytes()), "{plain}");
    }
    let before = home.ok("secret.list", json!({}));
    home.ok("secret.delete", json!({ "secret": "acme/canary-name" }));
    home.create(token("later", "later"));
    let restored = home.ok("vault.restore", json!({ "file": file }));
    assert_eq!(restored["secrets"], 8, "{restored}");
    assert!(PathBuf::from(restored["replaced"].as_str().unwrap()).exists(), "{restored}");
    for _ in 0..2 {
        home.call("vault.unlock", json!({})).ok(); // a restored vault may be locked
        assert_eq!(home.ok("secret.list", json!({})), before);
        assert_eq!(home.artifact("acme/canary-name")["value"], "canary-value");
        home.ok("vault.lock", json!({}));
    }
    daemon.kill9();
    let _daemon = home.start();
    assert_eq!(home.artifact("acme/canary-name")["value"], "canary-value");
    assert_eq!(home.refused("artifact.get", json!({ "secret": "later" })), "not_found");
}

#[test]
fn another_home_takes_it_with_its_key_alone() {
    let (home, _daemon, file) = backed_up();
    let other = Home::new();
    let _other_daemon = other.start();
    let foreign = other.file("foreign", [7_u8; 64]);
    let params = json!({ "file": file, "key_file": foreign });
    other.call("vault.restore", params).unwrap_err();
    assert_eq!(other.ok("agent.status", json!({}))["vault"], "absent");
    let params = json!({ "file": file, "key_file": home.key_file() });
    bursar_tests::until("the wait is over", || other.call("vault.restore", params.clone()).ok());
    other.call("vault.unlock", json!({ "key_file": home.key_file() })).ok();
    assert_eq!(other.artifact("acme/canary-name")["value"], "canary-value");
}

#[test]
fn a_damaged_backup_changes_nothing() {
    let (home, _daemon, file) = backed_up();
    home.create(token("later", "later"));
    let good = fs::read(&file).unwrap();
    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let cut = good[..good.len() - 20].to_vec();
    for (name, bytes) in
        [("flipped", flipped), ("cut", cut), ("empty", vec![]), ("text", b"hunter2".to_vec())]
    {
        let damaged = home.file(name, bytes);
        let refused = home.call("vault.restore", json!({ "file": damaged })).expect_err(name);
        assert!(!refused.to_string().contains("hunter2"), "{refused}");
        assert_eq!(home.artifact("later")["value"], "later", "{name}");
    }
    assert_eq!(home.refused("vault.restore", json!({ "file": home.path().join("none") })), "not_found");
    assert_eq!(home.refused("vault.backup", json!({ "file": "relative" })), "invalid");
}

#[test]
fn a_passphrase_backup_needs_its_passphrase() {
    let home = Home::new();
    let _daemon = home.start();
    home.ok("vault.init", json!({ "passphrase": "the first passphrase" }));
    home.create(token("t", "value"));
    let file = home.path().join("backup");
    home.ok("vault.backup", json!({ "file": file }));
    let other = Home::new();
    let _other_daemon = other.start();
    let restore =
        |passphrase: &str| other.call("vault.restore", json!({ "file": file, "passphrase": passphrase }));
    assert_eq!(restore("not the passphrase").unwrap_err().name, "wrong_key");
    bursar_tests::until("the wait is over", || restore("the first passphrase").ok());
    other.call("vault.unlock", json!({ "passphrase": "the first passphrase" })).ok();
    assert_eq!(other.artifact("t")["value"], "value");
}
