//! systemd fetches what units name in `LoadCredential=`, and is handed what the config says for that unit and that credential;
//! everything else fails the unit, with the reason in the log and in the record of accesses.

use bursar_tests::keys::{Certificate, certificate_until};
use bursar_tests::library::{acme_with_api, bound};
use bursar_tests::units::{Fetched, Manager, Unit, start_handed, with_table};
use bursar_tests::{Home, until};
use rustix::process::Signal;
use serde_json::{Value, json};

const TABLE: &str = r#"
[[credential]]
unit = "bt*-web.service"
credential = "api"
element = "acme/api"
environment = "acme/production"

[[credential]]
unit = "bt*-web.service"
credential = "tls.*"
secret = "acme/tls"

[[credential]]
unit = "bt*-app@.service"
credential = "*"
secret = "acme/api-%i"

[[credential]]
unit = "bt*-home.mount"
credential = "disk"
secret = "acme/kv"
field = "PIN"
"#;

/// The last entry of the record that is about a unit.
fn last(home: &Home) -> Value {
    let page = home.ok("audit.list", json!({}));
    let of_units = |one: &&Value| one["method"] == "credential.get";
    page["entries"].as_array().unwrap().iter().rfind(of_units).unwrap().clone()
}

#[test]
fn each_unit_has_its_own_and_what_is_not_in_the_table_fails_the_unit() {
    let names = ["web.service", "app@staging.service", "app@development.service", "home.mount", "web.socket"];
    let Some(units) =
        names.map(|name| Unit::new(Manager::System, name)).into_iter().collect::<Option<Vec<_>>>()
    else {
        return;
    };
    let [web, staging, development, mount, stranger] = &units[..] else { unreachable!() };
    let (home, _daemon) = with_table(Manager::System, TABLE);
    acme_with_api(&home);
    let Certificate { certificate, private_key } = certificate_until(2090);
    let certificate = json!({ "certificate": certificate, "private_key": private_key });
    for (name, kind, credentials) in [
        ("acme/tls", "certificate", certificate),
        ("acme/kv", "key-value", json!({ "entries": { "USER": "robot", "PIN": "p-1" } })),
    ] {
        let environment = "acme/production";
        home.create(
            json!({ "secret": name, "type": kind, "credentials": credentials, "environment": environment }),
        );
    }

    assert_eq!(web.fetch(&home, "api"), Fetched::value("value-of-production"));
    let entry = last(&home);
    assert_eq!(
        [&entry["principal"], &entry["subject"], &entry["secret"], &entry["outcome"], &entry["uid"]],
        [
            &json!(format!("unit {}", web.name)),
            &json!("api"),
            &json!("acme/api-production"),
            &json!("ok"),
            &json!(0)
        ]
    );
    assert!(entry["pid"].as_u64().unwrap() > 1, "{entry}");
    assert_eq!(staging.fetch(&home, "any.name"), Fetched::value("value-of-staging"));
    assert_eq!(development.fetch(&home, "x"), Fetched::value("value-of-development"));
    assert_eq!(mount.fetch(&home, "disk"), Fetched::value("p-1"));
    // a certificate's fields are credentials each
    for field in ["certificate", "private_key"] {
        let Fetched::Value(pem) = web.fetch(&home, &format!("tls.{field}")) else { panic!("{field}") };
        let begins = if field == "certificate" { "-----BEGIN CERTIFICATE" } else { "-----BEGIN PRIVATE KEY" };
        assert!(pem.starts_with(begins) && !pem.contains('\0'), "{field}");
    }

    for (unit, credential, outcome, reason) in [
        (stranger, "api", "denied", "no [[credential]] of the agent's config fits"),
        (web, "other", "denied", "no [[credential]] of the agent's config fits"),
        (web, "tls.other", "not_found", "acme/tls has no field other"),
        (mount, "disk.x", "denied", "no [[credential]] of the agent's config fits"),
    ] {
        assert_eq!(unit.fetch(&home, credential), Fetched::Refused, "{} {credential}", unit.name);
        let entry = last(&home);
        assert_eq!((&entry["subject"], &entry["outcome"]), (&json!(credential), &json!(outcome)));
        let line =
            home.log().lines().rfind(|line| line.contains("a credential was refused")).unwrap().to_owned();
        for part in [&*unit.name, credential, outcome, reason] {
            assert!(line.contains(part), "{part}: {line}");
        }
    }
    let log = home.log();
    let told = log.lines().find(|line| line.contains("a credential was handed out")).unwrap();
    for part in ["secret=acme/api-production", "environment=acme/production", &web.name, "credential=\"api\""]
    {
        assert!(told.contains(part), "{part}: {told}");
    }
    for value in ["value-of", "p-1", "BEGIN"] {
        assert!(!log.contains(value), "{log}");
    }
}

#[test]
fn a_users_own_units_are_those_of_its_own_manager() {
    let Some(unit) = Unit::new(Manager::User, "job.service") else { return };
    let Some(of_system) = Unit::new(Manager::System, "job.service") else { return };
    let rule = "[[credential]]\nunit = 'bt*-job.service'\ncredential = 'x'\nsecret = 'one'\n";
    let (home, _daemon) = with_table(Manager::User, rule);
    bound(&home, "one", "development", "value-one");
    assert_eq!(unit.fetch(&home, "x"), Fetched::value("value-one"));
    assert_eq!(of_system.fetch(&home, "x"), Fetched::Refused);
}

#[test]
fn a_new_table_counts_from_a_reload_on_and_one_with_a_mistake_changes_nothing() {
    let Some(unit) = Unit::new(Manager::System, "web.service") else { return };
    let rule = |credential: &str| {
        format!("[[credential]]\nunit = 'bt*.service'\ncredential = '{credential}'\nsecret = 'one'\n")
    };
    let (home, daemon) = with_table(Manager::System, &rule("old"));
    bound(&home, "one", "development", "value-one");
    assert_eq!(unit.fetch(&home, "old"), Fetched::value("value-one"));

    home.config(&rule("new/with a mistake"));
    daemon.signal(Signal::HUP);
    until("the mistake is told", || home.log().contains("credential.credential: expected").then_some(()));
    assert_eq!(unit.fetch(&home, "old"), Fetched::value("value-one"));

    home.config(&rule("new"));
    daemon.signal(Signal::HUP);
    until("the new table counts", || (unit.fetch(&home, "new") == Fetched::value("value-one")).then_some(()));
    assert_eq!(unit.fetch(&home, "old"), Fetched::Refused);
}

#[test]
fn a_locked_vault_fails_the_unit_at_once_and_says_so() {
    let Some(unit) = Unit::new(Manager::System, "web.service") else { return };
    let rule = "[[credential]]\nunit = '*'\ncredential = '*'\nsecret = 'one'\n";
    let home = Home::new();
    home.config(rule);
    let daemon = start_handed(&home, Manager::System);
    assert_eq!(unit.fetch(&home, "x"), Fetched::Refused);
    assert!(home.log().contains("outcome=\"no_vault\""), "{}", home.log());
    home.ok("vault.init", json!({ "key_file": home.key_file() }));
    bound(&home, "one", "development", "value-one");
    home.ok("vault.lock", json!({}));
    assert_eq!(unit.fetch(&home, "x"), Fetched::Refused);
    assert!(home.log().contains("outcome=\"locked\""), "{}", home.log());
    home.ok("vault.unlock", json!({}));
    assert_eq!(unit.fetch(&home, "x"), Fetched::value("value-one"));
    assert!(daemon.stop().success());
}
