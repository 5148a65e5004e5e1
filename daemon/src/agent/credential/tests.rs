//! What units are handed, under a table of units.

use super::VALUE_TIMEOUT;
use crate::agent::tests::{Says, Stage, own};
use crate::config::Config;
use crate::server::peer::Caller;
use crate::server::session::Party;
use bursar_proto::error::CallError;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

impl Stage {
    /// Puts a table in the place of the one before.
    fn table(&self, rules: &str) {
        let config: Config = toml::from_str(rules).unwrap();
        self.agent.reconfigure(config, self.issuer.clone());
    }

    async fn ask_as(
        &self,
        party: &Arc<Party>,
        credential: &str,
        min_validity: Option<u64>,
    ) -> Result<Value, CallError> {
        let params = json!({ "credential": credential, "min_validity": min_validity });
        self.call_as(party, "credential.get", params).await
    }

    /// The value that a unit is handed, or the refusal.
    async fn hand(&self, unit: &str, credential: &str) -> Result<String, String> {
        let given = self.ask_as(&of(unit), credential, None).await;
        given.map(|given| given["value"].as_str().unwrap().to_owned()).map_err(|refused| {
            format!("{}: {} ({})", refused.name, refused.message, refused.hint.unwrap_or_default())
        })
    }

    /// The last entries of the record: principal, subject, secret, outcome.
    async fn recorded(&self) -> Vec<[String; 4]> {
        self.agent.recorded_so_far().await.unwrap();
        let page = self.ok("audit.list", json!({})).await;
        let of_units = |one: &&Value| one["method"] == "credential.get";
        let text = |one: &Value, key: &str| one[key].as_str().unwrap_or("-").to_owned();
        let row = |one: &Value| ["principal", "subject", "secret", "outcome"].map(|key| text(one, key));
        page["entries"].as_array().unwrap().iter().filter(of_units).map(row).collect()
    }
}

/// A process of a unit.
fn of(unit: &str) -> Arc<Party> {
    Party::new(Arc::new(Caller::of_unit(unit)))
}

fn rule(unit: &str, credential: &str, rest: &str) -> String {
    format!("[[credential]]\nunit = '{unit}'\ncredential = '{credential}'\n{rest}\n")
}

async fn key_value(stage: &Stage, name: &str) {
    let entries = json!({ "entries": { "user": "robot", "password": "p-1" } });
    stage.ok("secret.create", json!({ "secret": name, "type": "key-value", "credentials": entries })).await;
}

#[tokio::test]
async fn a_unit_is_handed_what_its_rule_says_and_both_is_recorded() {
    let stage = Stage::set().await;
    for name in ["db-blue", "other"] {
        stage.create(name).await;
    }
    stage.table(&rule("app@.service", "db*", "secret = 'db-%i'"));
    let given = stage.ask_as(&of("app@blue.service"), "db-password", None).await.unwrap();
    let expected = json!({
        "credential": "db-password", "unit": "app@blue.service", "secret": "personal/db-blue",
        "value": "value-db-blue", "expires_at": null
    });
    assert_eq!(given, expected);
    let refused = stage.hand("app@red.service", "db").await.unwrap_err();
    assert!(refused.starts_with("not_found: no secret personal/db-red"), "{refused}");
    let refused = stage.hand("other.service", "db").await.unwrap_err();
    assert!(refused.starts_with("denied: other.service is not handed db"), "{refused}");
    let recorded = stage.recorded().await;
    let row = |row: [&str; 4]| row.map(str::to_owned);
    assert_eq!(
        recorded,
        [
            row(["unit app@blue.service", "db-password", "personal/db-blue", "ok"]),
            row(["unit app@red.service", "db", "-", "not_found"]),
            row(["unit other.service", "db", "-", "denied"]),
        ]
    );
}

#[tokio::test]
async fn a_field_is_named_by_the_rule_or_by_the_end_of_the_credentials_name() {
    let stage = Stage::set().await;
    key_value(&stage, "kv").await;
    stage.create("single").await;
    stage.table(
        &[
            rule("a.service", "kv.*", "secret = 'kv'"),
            rule("a.service", "user", "secret = 'kv'\nfield = 'user'"),
            rule("a.service", "lost*", "secret = 'kv'\nfield = 'lost'"),
            rule("a.service", "token", "secret = 'single'\nfield = 'token'"),
            rule("a.service", "*one*", "secret = 'single'"),
            rule("a.service", "bare", "secret = 'kv'"),
            rule("a.service", "wrong", "secret = 'single'\nfield = 'other'"),
        ]
        .concat(),
    );
    for (credential, value) in [
        ("kv.password", "p-1"),
        ("kv.x.user", "robot"),
        ("user", "robot"),
        ("token", "value-single"),
        ("one.field", "value-single"),
    ] {
        assert_eq!(stage.hand("a.service", credential).await, Ok(value.into()), "{credential}");
    }
    for (credential, told) in [
        ("kv.lost", "not_found: personal/kv has no field lost"),
        ("lost.user", "not_found: personal/kv has no field lost"),
        ("bare", "not_found: personal/kv has several fields, and nothing says which one"),
        ("wrong", "not_found: personal/single has no field other"),
    ] {
        let refused = stage.hand("a.service", credential).await.unwrap_err();
        assert!(refused.starts_with(told), "{credential}: {refused}");
        let names = if credential == "wrong" { "one of: token" } else { "one of: password, user" };
        assert!(refused.contains(names), "{credential}: {refused}");
    }
}

#[tokio::test]
async fn an_element_stands_for_the_secret_of_its_environment() {
    let stage = Stage::set().await;
    stage.create("db-dev").await;
    stage.table(
        &[
            rule("a.service", "db", "element = 'db'\nenvironment = 'development'"),
            rule("a.service", "elsewhere", "element = 'db'\nenvironment = 'production'"),
            rule("a.service", "nowhere", "element = 'db'\nenvironment = 'lost'"),
        ]
        .concat(),
    );
    let refused = stage.hand("a.service", "db").await.unwrap_err();
    assert!(
        refused.starts_with("unresolved: personal/db, development: there is no data element"),
        "{refused}"
    );
    stage.ok("element.set", json!({ "element": "db", "development": "db-dev" })).await;
    assert_eq!(stage.hand("a.service", "db").await, Ok("value-db-dev".into()));
    stage.ok("environment.create", json!({ "environment": "production", "stage": "production" })).await;
    let refused = stage.hand("a.service", "elsewhere").await.unwrap_err();
    assert!(refused.contains("the slot production of personal/db is empty"), "{refused}");
    let refused = stage.hand("a.service", "nowhere").await.unwrap_err();
    assert!(refused.starts_with("not_found: no environment personal/lost"), "{refused}");
}

#[tokio::test]
async fn nothing_that_artifact_get_refuses_is_handed_to_a_unit() {
    let stage = Stage::set().await;
    stage.create("a").await;
    stage.table(&rule("*", "*", "secret = 'a'"));
    stage.ok("secret.deactivate", json!({ "secret": "a" })).await;
    let refused = stage.hand("a.service", "x").await.unwrap_err();
    assert!(refused.starts_with("inactive: "), "{refused}");
    stage.agent.lock_recorded().await;
    let refused = stage.hand("a.service", "x").await.unwrap_err();
    assert!(refused.starts_with("locked: "), "{refused}");
}

#[tokio::test]
async fn who_is_in_no_unit_or_came_with_client_secrets_is_handed_nothing() {
    let stage = Stage::set().await;
    stage.create("a").await;
    stage.table(&rule("*", "*", "secret = 'a'"));
    let refused = stage.ask_as(&own(), "x", None).await.unwrap_err();
    assert!(refused.message.contains("no unit"), "{refused:?}");
    let created = stage
        .ok(
            "client_secret.create",
            json!({ "organization": "personal", "role": "contributor", "description": "ci" }),
        )
        .await;
    let (party, _) = stage.authenticate(7, &[created["client_secret"].as_str().unwrap()]);
    let refused = stage.ask_as(&party, "x", None).await.unwrap_err();
    assert_eq!(refused.name.as_str(), "denied");
    for name in ["", "a/b", "..", "a:b", "a b", &"a".repeat(4_096)] {
        let refused = stage.ask_as(&of("a.service"), name, None).await.unwrap_err();
        assert_eq!((refused.name.as_str(), refused.message.len() < 200), ("invalid", true), "{name}");
    }
}

#[tokio::test]
async fn the_longer_of_both_validities_counts() {
    let stage = Stage::configured().await;
    stage.granted("g", "r-1").await;
    stage.table(
        &[
            rule("a.service", "long", "secret = 'g'\nmin_validity = '2h'"),
            rule("a.service", "x", "secret = 'g'"),
        ]
        .concat(),
    );
    assert!(stage.hand("a.service", "x").await.is_ok());
    assert!(stage.hand("a.service", "long").await.unwrap_err().starts_with("validity_too_long"));
    let refused = stage.ask_as(&of("a.service"), "x", Some(7_200)).await.unwrap_err();
    assert_eq!(refused.name.as_str(), "validity_too_long");
}

#[tokio::test]
async fn a_rule_that_goes_while_an_exchange_runs_hands_out_nothing() {
    let stage = Stage::configured().await;
    stage.granted("g", "r-1").await;
    stage.table(&rule("a.service", "x", "secret = 'g'"));
    stage.clock.advance(3_700);
    let gate = stage.issuer.stops(true);
    stage.issuer.says(&[Says::Token(3_600, None)]);
    let party = of("a.service");
    let asking = stage.ask_as(&party, "x", None);
    let reloading = async {
        gate.arrived().await;
        stage.table("");
        gate.open();
    };
    let (given, ()) = tokio::join!(asking, reloading);
    assert_eq!(given.unwrap_err().name.as_str(), "denied");
}

#[test]
fn a_unit_has_its_answer_before_systemd_gives_up_its_start() {
    // systemd's default for the start of a unit
    assert!(VALUE_TIMEOUT < Duration::from_secs(90));
}
