//! What the config says holds, from the start and after SIGHUP; one with a mistake changes nothing.

use bursar_tests::secrets::{grant, token};
use bursar_tests::{Daemon, FaultIssuer, Home, Reply, configured, open_vault, until};
use rustix::process::Signal;
use serde_json::json;

#[test]
fn the_organization_and_the_policy_of_new_secrets_can_be_changed() {
    let (home, _daemon) = configured("organization = \"acme\"\nexchange_policy = \"short-lived\"\n");
    home.ok("organization.create", json!({ "organization": "acme" }));
    let issuer = FaultIssuer::new(Reply::Grant(3600));
    let mut params = grant("hour", &issuer.token_url());
    params.as_object_mut().unwrap().remove("exchange_policy");
    let secret = home.create(params);
    assert_eq!((&secret["name"], &secret["status"]), (&json!("acme/hour"), &json!("succeeded")), "{secret}");
}

#[test]
fn a_faulty_config_is_refused_by_its_place() {
    for config in ["[http\n", "colour = \"hunter2\"\n", "[socket]\nframe_timeout = \"hunter2\"\n"] {
        let home = Home::new();
        home.config(config);
        assert!(!Daemon::spawn(&home, &[]).wait().success(), "{config}");
        let log = home.log();
        assert!(log.contains("bursar.toml") && !log.contains("panicked"), "{config}: {log}");
    }
}

#[test]
fn sighup_rereads_it_and_keeps_the_old_one_where_the_new_one_has_a_mistake() {
    let (home, daemon) = open_vault();
    home.ok("organization.create", json!({ "organization": "acme" }));
    home.create(token("personal/t", "mine"));
    home.create(token("acme/t", "theirs"));
    assert_eq!(home.artifact("t")["value"], "mine");
    home.config("organization = \"acme\"\n");
    daemon.signal(Signal::HUP);
    until("the new config holds", || (home.artifact("t")["value"] == "theirs").then_some(()));
    home.config("organization = 7\n");
    daemon.signal(Signal::HUP);
    until("the mistake is told", || home.log().contains("mistake").then_some(()));
    assert_eq!(home.artifact("t")["value"], "theirs");
}

#[test]
fn sigusr1_locks_the_vault() {
    let (home, daemon) = open_vault();
    daemon.signal(Signal::USR1);
    until("it is locked", || (home.ok("agent.status", json!({}))["vault"] == "locked").then_some(()));
    home.ok("vault.unlock", json!({}));
}

#[test]
fn an_idle_vault_locks_itself_and_a_used_one_does_not() {
    let (home, _daemon) = configured("[vault]\nauto_lock = \"3s\"\n");
    home.create(token("t", "value"));
    for _ in 0..40 {
        // four seconds of use; each get counts
        assert_eq!(home.artifact("t")["value"], "value");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    until("it is locked", || (home.ok("agent.status", json!({}))["vault"] == "locked").then_some(()));
}
