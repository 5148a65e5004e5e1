//! Who may publish for one environment is told of live values of its own, and cannot try out those of others.

use bursar_tests::client_secrets::{authenticated, issue};
use bursar_tests::library::{acme_with_api, bound, file, organization, site};
use bursar_tests::secrets::token;
use bursar_tests::{Answer, Daemon, Home, RawSocket, open_vault};
use serde_json::json;

/// `acme` with a secret for each environment and one that is bound to none, and `beta` with one.
fn vault() -> (Home, Daemon) {
    let (home, daemon) = open_vault();
    acme_with_api(&home);
    organization(&home, "beta");
    bound(&home, "beta/api", "staging", "value-of-beta");
    let mut unbound = token("acme/unbound", "value-of-unbound");
    unbound["unbound"] = json!(true);
    home.create(unbound);
    (home, daemon)
}

/// A dry run of publishing a file that holds `value`.
fn try_out(socket: &mut RawSocket, value: &str) -> Answer {
    let mut params = site("1.0.0", json!({ "TOKEN": "api" }), json!([file("a", &format!("v={value}\n"))]));
    params["dry_run"] = json!(true);
    socket.call("package.publish", params)
}

#[track_caller]
fn is_told(socket: &mut RawSocket, value: &str, secret: &str) {
    let refused = try_out(socket, value).unwrap_err();
    assert_eq!(refused.message, format!("a: line 1: holds what looks like the live secret {secret}"));
}

#[test]
fn of_each_environment_its_own_contributor_is_told() {
    let (home, _daemon) = vault();
    for own in ["staging", "production"] {
        let contributor = issue(&home, "acme", "contributor", Some(own));
        let mut socket = authenticated(&home, &[&contributor]);
        for stage in ["development", "staging", "production"] {
            let value = format!("value-of-{stage}");
            if stage == own {
                is_told(&mut socket, &value, &format!("acme/api-{stage}"));
            } else {
                try_out(&mut socket, &value).unwrap();
            }
        }
        // what is bound to none may go anywhere within the organization
        is_told(&mut socket, "value-of-unbound", "acme/unbound");
        try_out(&mut socket, "value-of-beta").unwrap();
        assert_eq!(home.ok("package.list", json!({})), json!([]), "a dry run publishes nothing");
    }
}

#[test]
fn who_publishes_for_all_of_them_is_told_of_all_and_the_owner_of_everything() {
    let (home, _daemon) = vault();
    let contributor = issue(&home, "acme", "contributor", None);
    let mut socket = authenticated(&home, &[&contributor]);
    let mut owner = home.connect();
    for stage in ["development", "staging", "production"] {
        for socket in [&mut socket, &mut owner] {
            is_told(socket, &format!("value-of-{stage}"), &format!("acme/api-{stage}"));
        }
    }
    try_out(&mut socket, "value-of-beta").unwrap();
    is_told(&mut owner, "value-of-beta", "beta/api");
}
