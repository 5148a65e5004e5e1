//! What a person granted, from the code to the last refresh.

use crate::agent::tests::{ADWORDS, Asked, PUBSUB, Says, Stage, hook_into_fifo};
use crate::exchange::Cause;
use crate::vault::store::{Breaks, Kind};
use bursar_proto::error::ErrorName;
use bursar_proto::time::Timestamp;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::time::Duration;

/// How long a token counts, and when it is refreshed, in seconds.
pub(in crate::refresh) const HOUR: i64 = 3_600;
pub(in crate::refresh) const HALF: i64 = 1_800;

/// When the attempts of a refresh stand, from the beginning of the token on.
pub(in crate::refresh) const ATTEMPTS: [i64; 4] = [1_800, 2_250, 2_700, 3_150];

impl Stage {
    /// Starts what is due, and waits until it has landed.
    pub(in crate::refresh) async fn refresh(&self) {
        self.agent.start_due(self.now());
        let under_way: Vec<_> = ["x", "y"].iter().filter_map(|name| self.under_way(name)).collect();
        for flight in under_way {
            flight.landed().await;
        }
    }

    pub(in crate::refresh) fn under_way(&self, name: &str) -> Option<crate::refresh::Flight> {
        let id = self.agent.vault().unlocked().ok()?.catalog.secret_id("personal", name)?;
        self.agent.flights.under_way(&id)
    }

    /// Waits until the exchange of a secret is over, and with it all that comes of it.
    pub(in crate::refresh) async fn settled(&self, name: &str) {
        for _ in 0..100_000 {
            if self.under_way(name).is_none() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("the exchange of {name} does not end");
    }

    /// The refresh token that is kept.
    pub(in crate::refresh) fn kept(&self, name: &str) -> Option<String> {
        let id = self.id(name);
        let grant = self.agent.vault().unlocked().unwrap().grant(&id).unwrap();
        grant.map(|grant| grant.refresh_token.expose().to_owned())
    }

    /// How many parts lie in the store: the client's, and one for each grant.
    pub(in crate::refresh) fn parts(&self) -> usize {
        let mut count = 0;
        self.agent.vault().bare_store().scan(Kind::Part, |_, _| count += 1).unwrap();
        count
    }

    pub(in crate::refresh) fn breaks(&self, at: Breaks) {
        self.agent.vault().bare_store().break_at(at);
    }

    /// What is kept of a request whose answer is not known: when it left.
    pub(in crate::refresh) fn marked(&self, name: &str) -> Option<Timestamp> {
        let id = self.id(name);
        self.agent.vault().unlocked().unwrap().catalog.secrets[&id].unanswered.map(|sent| sent.at)
    }
}

/// What a refresh offers.
fn refresh(token: &str) -> String {
    format!("refresh {token}")
}

pub(in crate::refresh) fn at(shown: &Value, attribute: &str) -> Timestamp {
    shown[attribute].as_str().unwrap_or_else(|| panic!("{attribute}: {shown}")).parse().unwrap()
}

pub(in crate::refresh) fn text<'v>(shown: &'v Value, attribute: &str) -> &'v str {
    shown[attribute].as_str().unwrap_or_else(|| panic!("{attribute}: {shown}"))
}

#[tokio::test]
async fn a_code_brings_an_hour_that_is_refreshed_at_its_half_whatever_longer_the_issuer_says() {
    for says in [3_540, 3_599, 3_600, 86_400] {
        let stage = Stage::configured().await;
        let asked = stage.ask("x").await;
        stage.clock.advance(100);
        stage.issuer.says(&[Says::Token(says, Some("r1"))]);
        let shown = stage.authorize("x", &asked.redirect("code=c")).await.unwrap();
        let now = stage.now();
        assert_eq!(shown["status"], "succeeded");
        assert_eq!(
            (at(&shown, "expires_at"), at(&shown, "refresh_at")),
            (now.plus(HOUR), now.plus(HALF)),
            "{says}"
        );
        assert_eq!((at(&shown, "activated_at"), at(&shown, "next_attempt_at")), (now, now.plus(HALF)));
        for nothing in
            ["status_details", "refresh_status", "refresh_status_details", "failure", "authorization_url"]
        {
            assert!(shown[nothing].is_null(), "{nothing}: {shown}");
        }
        assert_eq!((stage.get("x").await, stage.kept("x")), (Ok("token-1".into()), Some("r1".into())));
        stage.clock.advance(HOUR - 1);
        assert_eq!(stage.get("x").await, Ok("token-1".into()));
    }
}

#[tokio::test]
async fn an_issuer_that_says_clearly_less_is_believed_and_one_that_says_next_to_nothing_fails() {
    for (says, lifetime, half) in [(3_539, 3_539, 1_769), (20, 20, 10)] {
        let stage = Stage::configured().await;
        stage.ask("x").await;
        let asked = stage.ask_again("x").await;
        stage.issuer.says(&[Says::Token(says, Some("r1"))]);
        let shown = stage.authorize("x", &asked.redirect("code=c")).await.unwrap();
        let now = stage.now();
        assert_eq!(at(&shown, "expires_at"), now.plus(lifetime), "{says}");
        assert_eq!(at(&shown, "refresh_at"), now.plus(lifetime - half), "{says}");
    }
    let stage = Stage::configured().await;
    let asked = stage.ask("x").await;
    stage.issuer.says(&[Says::Token(19, Some("r1"))]);
    let shown = stage.authorize("x", &asked.redirect("code=c")).await.unwrap();
    assert_eq!(shown["status"], "failed");
    assert!(text(&shown, "status_details").contains("the shortest lifetime is 20 s"), "{shown}");
    assert_eq!(stage.get("x").await, Err("failed".into()));
}

#[tokio::test]
async fn a_secret_without_an_environment_keeps_its_grant_and_no_token_and_binding_it_needs_no_person() {
    let stage = Stage::configured().await;
    let scopes = json!({ "scopes": [PUBSUB] });
    let create = json!({ "secret": "x", "type": "oauth2-google", "unbound": true, "credentials": scopes });
    let asked = Asked::of(stage.ok("secret.create", create).await);
    stage.issuer.says(&[Says::Token(3_600, Some("r1"))]);
    let shown = stage.authorize("x", &asked.redirect("code=c")).await.unwrap();
    assert_eq!((&shown["status"], &shown["activated_at"]), (&json!("succeeded"), &Value::Null));
    assert_eq!((stage.get("x").await, stage.kept("x")), (Err("unbound".into()), Some("r1".into())));
    let bound = stage.ok("secret.bind", json!({ "secret": "x", "environment": "development" })).await;
    assert_eq!((&bound["status"], &bound["authorization_url"]), (&json!("pending"), &Value::Null));
    assert_eq!(stage.ok("secret.wait", json!({ "secret": "x" })).await["status"], "succeeded");
    assert_eq!(
        (stage.issuer.left(), stage.get("x").await),
        (vec!["code c".into(), refresh("r1")], Ok("token-2".into()))
    );
}

#[tokio::test]
async fn binding_while_a_person_is_asked_leaves_the_hour_alone() {
    let stage = Stage::configured().await;
    let scopes = json!({ "scopes": [PUBSUB] });
    let create = json!({ "secret": "x", "type": "oauth2-google", "unbound": true, "credentials": scopes });
    let asked = Asked::of(stage.ok("secret.create", create).await);
    let bound = stage.ok("secret.bind", json!({ "secret": "x", "environment": "development" })).await;
    assert_eq!(bound["status"], "manual_authorization");
    stage.issuer.says(&[Says::Token(3_600, Some("r1"))]);
    stage.authorize("x", &asked.redirect("code=c")).await.unwrap();
    assert_eq!(stage.get("x").await, Ok("token-1".into()));
}

#[tokio::test]
async fn retrying_exchanges_what_was_granted_and_asks_for_a_person_where_nobody_granted_anything() {
    let stage = Stage::configured().await;
    let asked = stage.ask("x").await;
    let retry = json!({ "secret": "x" });
    let error = stage.call("secret.retry", retry.clone()).await.unwrap_err();
    assert_eq!(error.name, ErrorName::NeedsAuthorization);
    assert!(error.hint.as_deref().unwrap().contains("bursar secret reauthorize personal/x"), "{error}");
    stage.issuer.says(&[Says::Token(3_600, Some("r1"))]);
    stage.authorize("x", &asked.redirect("code=c")).await.unwrap();
    assert_eq!(stage.ok("secret.retry", retry).await["status"], "pending");
    assert_eq!(stage.ok("secret.wait", json!({ "secret": "x" })).await["status"], "succeeded");
    assert_eq!(stage.issuer.left(), ["code c", "refresh r1"]);
}

#[tokio::test]
async fn a_refresh_needs_no_person_and_puts_the_new_refresh_token_in_the_place_of_the_old() {
    let stage = Stage::configured().await;
    stage.granted("x", "r1").await;
    assert_eq!(stage.parts(), 2);
    stage.clock.advance(HALF - 1);
    stage.refresh().await;
    assert_eq!(stage.issuer.offered().len(), 1);
    stage.clock.advance(1);
    stage.issuer.says(&[Says::Token(3_600, Some("r2"))]);
    stage.refresh().await;
    let (shown, now) = (stage.show("x").await, stage.now());
    assert_eq!((&shown["refresh_status"], at(&shown, "refresh_at")), (&json!("succeeded"), now.plus(HALF)));
    assert_eq!((stage.kept("x"), stage.parts()), (Some("r2".into()), 2), "and the old one is gone");
    // the disk says the same
    let found = stage.as_if_killed("later");
    assert_eq!((found.kept("x"), found.get("x").await), (Some("r2".into()), Ok("token-2".into())));
    assert_eq!(at(&found.show("x").await, "expires_at"), now.plus(HOUR));
    // and the next one goes out with it
    stage.clock.advance(HALF);
    stage.refresh().await;
    assert_eq!(stage.issuer.left(), ["code c", "refresh r1", "refresh r2"]);
    assert_eq!(
        stage.issuer.offered()[2].client,
        "client client-secret at https://oauth2.googleapis.com/token"
    );
}

#[tokio::test]
async fn an_answer_without_a_refresh_token_leaves_the_one_that_is_there() {
    let stage = Stage::configured().await;
    stage.granted("x", "r1").await;
    for _ in 0..3 {
        stage.clock.advance(HALF);
        stage.refresh().await;
        assert_eq!(stage.show("x").await["refresh_status"], "succeeded");
        assert_eq!((stage.kept("x"), stage.parts()), (Some("r1".into()), 2));
    }
    assert_eq!(stage.issuer.left(), ["code c", "refresh r1", "refresh r1", "refresh r1"]);
}

#[tokio::test]
async fn a_refresh_token_that_came_with_a_token_too_short_to_count_is_kept() {
    let stage = Stage::configured().await;
    stage.granted("x", "r1").await;
    stage.clock.advance(HALF);
    stage.issuer.says(&[Says::Token(5, Some("r2"))]);
    stage.refresh().await;
    let shown = stage.show("x").await;
    assert!(text(&shown, "refresh_status_details").contains("the token lives 5 s"), "{shown}");
    assert_eq!((stage.kept("x"), stage.parts(), stage.marked("x")), (Some("r2".into()), 2, None));
    stage.clock.advance(ATTEMPTS[1] - HALF);
    stage.refresh().await;
    assert_eq!((stage.issuer.left()[2].as_str(), stage.get("x").await), ("refresh r2", Ok("token-3".into())));
}

#[tokio::test]
async fn a_grant_that_is_withdrawn_asks_for_a_person_and_the_token_is_served_to_its_end() {
    let stage = Stage::configured().await;
    stage.granted("x", "r1").await;
    stage.clock.advance(HALF);
    stage.issuer.says(&[Says::No(Cause::Withdrawn)]);
    stage.refresh().await;
    let shown = stage.show("x").await;
    let details = "the issuer said no; hint: bursar secret reauthorize personal/x";
    assert_eq!(
        (&shown["status"], &shown["refresh_status"]),
        (&json!("manual_authorization"), &json!("failed"))
    );
    assert_eq!((text(&shown, "status_details"), text(&shown, "refresh_status_details")), (details, details));
    assert_eq!((&shown["next_attempt_at"], &shown["failure"]), (&Value::Null, &json!("permanent")));
    assert_eq!((stage.kept("x"), stage.parts()), (None, 1));
    // nothing is tried any more, whoever asks and whatever wakes
    for _ in 0..3 {
        assert_eq!(stage.get("x").await, Ok("token-1".into()));
        stage.clock.advance(450);
        stage.agent.vault().unlocked().unwrap().catalog.recover_all(stage.now());
        stage.refresh().await;
    }
    let error = stage.call("secret.retry", json!({ "secret": "x" })).await.unwrap_err();
    assert_eq!(error.name, ErrorName::NeedsAuthorization);
    let longer = json!({ "secret": "x", "min_validity": 1_000 });
    assert_eq!(stage.call("artifact.get", longer).await.unwrap_err().name, ErrorName::NeedsAuthorization);
    stage.clock.advance(HOUR - HALF - 3 * 450);
    let error = stage.call("artifact.get", json!({ "secret": "x" })).await.unwrap_err();
    assert_eq!(error.name, ErrorName::NeedsAuthorization);
    assert_eq!(error.hint.as_deref(), Some("bursar secret reauthorize personal/x"));
    assert_eq!(stage.issuer.offered().len(), 2);
    // a person mends it
    let asked = stage.ask_again("x").await;
    stage.issuer.says(&[Says::Token(3_600, Some("r3"))]);
    let shown = stage.authorize("x", &asked.redirect("code=d")).await.unwrap();
    assert!(shown["refresh_status"].is_null() && shown["refresh_status_details"].is_null(), "{shown}");
    assert_eq!((stage.get("x").await, stage.kept("x")), (Ok("token-3".into()), Some("r3".into())));
}

#[tokio::test]
async fn the_hook_is_told_once_that_a_person_is_needed() {
    let mut fifo = None;
    let stage = Stage::set_with(|dir| {
        let (config, read) = hook_into_fifo(dir.path());
        fifo = Some(read);
        config
    });
    let stage = stage.await;
    stage.configure().await;
    stage.granted("x", "r1").await;
    stage.clock.advance(HALF);
    stage.issuer.says(&[Says::No(Cause::Withdrawn)]);
    for _ in 0..3 {
        stage.refresh().await;
        stage.clock.advance(450);
    }
    // what is told after it says that there is no more
    stage.granted("y", "r2").await;
    let mut told = Vec::new();
    for line in BufReader::new(fifo.unwrap()).lines() {
        let document: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let last = document["secret"] == "personal/y";
        told.push(document);
        if last {
            break;
        }
    }
    let events: Vec<_> = told.iter().map(|one| one["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["refreshed", "needs_authorization", "refreshed"]);
    assert_eq!(
        (&told[1]["secret"], &told[1]["details"], &told[1]["hint"]),
        (&json!("personal/x"), &json!("the issuer said no"), &json!("bursar secret reauthorize personal/x"))
    );
}

#[tokio::test]
async fn failures_that_may_pass_keep_the_schedule_the_grant_and_the_token() {
    for says in [Says::No(Cause::Transient), Says::No(Cause::Permanent), Says::Unreached, Says::Silence] {
        let stage = Stage::configured().await;
        stage.granted("x", "r1").await;
        let began = stage.now();
        stage.issuer.says(&[says; 4]);
        for (failed, attempt) in ATTEMPTS.into_iter().enumerate() {
            let due = at(&stage.show("x").await, "next_attempt_at");
            assert_eq!(due, began.plus(attempt), "{says:?}");
            stage.clock.advance(due.since(stage.now()) - 1);
            stage.refresh().await;
            assert_eq!(stage.issuer.offered().len(), 1 + failed, "{says:?}");
            stage.clock.advance(1);
            stage.refresh().await;
            let shown = stage.show("x").await;
            assert_eq!(
                (&shown["status"], &shown["refresh_attempt"]),
                (&json!("succeeded"), &json!(failed + 1))
            );
            assert_eq!((stage.get("x").await, stage.kept("x")), (Ok("token-1".into()), Some("r1".into())));
        }
        let shown = stage.show("x").await;
        assert_eq!((&shown["refresh_status"], &shown["next_attempt_at"]), (&json!("failed"), &Value::Null));
        stage.clock.advance(HOUR - ATTEMPTS[3]);
        let recovers = stage.get("x").await;
        match says {
            // not hammered
            Says::No(Cause::Permanent) => {
                assert_eq!((recovers, stage.issuer.offered().len()), (Err("expired".into()), 5));
            }
            _ => assert_eq!(recovers, Ok("token-6".into()), "{says:?}"),
        }
    }
}

#[tokio::test]
async fn an_edit_that_asks_for_the_same_keeps_the_grant_and_one_that_asks_for_something_else_drops_it() {
    let stage = Stage::configured().await;
    stage.granted("x", "r1").await;
    let same = json!({ "secret": "x", "credentials": { "scopes": [PUBSUB] } });
    let shown = stage.ok("secret.edit", same).await;
    assert_eq!((&shown["status"], stage.kept("x")), (&json!("manual_authorization"), Some("r1".into())));
    assert!(shown["authorization_url"].is_string(), "{shown}");
    let more = json!({ "secret": "x", "credentials": { "scopes": [PUBSUB, ADWORDS] } });
    stage.ok("secret.edit", more).await;
    assert_eq!((stage.kept("x"), stage.parts()), (None, 1));
    // what there is of it is served to its end
    assert_eq!(stage.get("x").await, Ok("token-1".into()));
    stage.clock.advance(HOUR);
    assert_eq!(stage.get("x").await, Err("needs_authorization".into()));
    assert_eq!(stage.as_if_killed("later").kept("x"), None);
    assert_eq!(stage.issuer.left(), ["code c"]);
}

#[tokio::test]
async fn a_grant_to_another_client_is_over_without_a_request() {
    let stage = Stage::configured().await;
    stage.granted("x", "r1").await;
    stage.configure_as("another").await;
    stage.clock.advance(HALF);
    stage.refresh().await;
    let shown = stage.show("x").await;
    assert_eq!(shown["status"], "manual_authorization");
    assert_eq!(
        text(&shown, "status_details"),
        "it was allowed with another client id or token url than are set up now; hint: bursar secret reauthorize personal/x; or set those up again, and: bursar secret retry personal/x"
    );
    assert_eq!((stage.issuer.offered().len(), stage.get("x").await), (1, Ok("token-1".into())));
    // the client for which it is good may be set up again
    stage.configure_as("client").await;
    stage.ok("secret.retry", json!({ "secret": "x" })).await;
    assert_eq!(stage.ok("secret.wait", json!({ "secret": "x" })).await["status"], "succeeded");
    assert_eq!(stage.issuer.left(), ["code c", "refresh r1"]);
    // and another one is used from the next authorization on
    stage.configure_as("another").await;
    let asked = stage.ask_again("x").await;
    assert_eq!(asked.parameter("client_id"), "another");
    stage.issuer.says(&[Says::Token(3_600, Some("r2"))]);
    stage.authorize("x", &asked.redirect("code=d")).await.unwrap();
    assert!(stage.issuer.offered()[2].client.starts_with("another another-secret at "));
}

#[tokio::test]
async fn a_new_secret_of_the_same_client_changes_no_grant() {
    let stage = Stage::configured().await;
    stage.granted("x", "r1").await;
    let renewed = json!({ "issuer": "google", "client_id": "client", "client_secret": "renewed" });
    stage.ok("issuer.configure", renewed).await;
    assert_eq!(stage.parts(), 2, "the old secret of the client is gone");
    stage.clock.advance(HALF);
    stage.refresh().await;
    assert_eq!(stage.show("x").await["refresh_status"], "succeeded");
    assert!(stage.issuer.offered()[1].client.starts_with("client renewed at "));
}

#[tokio::test]
async fn grants_and_clients_are_there_after_a_restart_new_keys_and_a_backup() {
    let stage = Stage::configured().await;
    stage.granted("x", "r1").await;
    let stage = stage.restart(10).await;
    assert_eq!(stage.kept("x").as_deref(), Some("r1"));
    let file = json!({ "file": stage.dir.path().join("backup") });
    stage.ok("vault.rekey", json!({})).await;
    stage.ok("vault.backup", file.clone()).await;
    assert_eq!((stage.kept("x").as_deref(), stage.parts()), (Some("r1"), 2));
    stage.clock.advance(HALF);
    stage.issuer.says(&[Says::Token(3_600, Some("r2"))]);
    stage.refresh().await;
    let (agent, now) = (stage.agent.clone(), stage.now());
    tokio::task::spawn_blocking(move || agent.vault().compact(now).unwrap()).await.unwrap();
    assert_eq!((stage.kept("x").as_deref(), stage.parts()), (Some("r2"), 2));
    stage.ok("vault.restore", file).await;
    assert_eq!((stage.kept("x").as_deref(), stage.parts()), (Some("r1"), 2));
    let stage = stage.restart(10).await;
    stage.refresh().await;
    assert_eq!(stage.issuer.left(), ["code c", "refresh r1", "refresh r1"]);
    assert!(stage.issuer.offered()[2].client.starts_with("client client-secret at "));
}

#[tokio::test]
async fn a_deleted_secret_leaves_nothing_of_its_grant_in_the_store() {
    let stage = Stage::configured().await;
    stage.granted("x", "r1").await;
    stage.granted("y", "r2").await;
    assert_eq!(stage.parts(), 3);
    stage.ok("secret.delete", json!({ "secret": "x" })).await;
    assert_eq!((stage.parts(), stage.kept("y")), (2, Some("r2".into())));
    let found = stage.as_if_killed("later");
    assert_eq!((found.parts(), found.kept("y")), (2, Some("r2".into())));
}

#[tokio::test]
async fn an_environment_that_goes_leaves_the_grant() {
    let stage = Stage::configured().await;
    stage.granted("x", "r1").await;
    stage.ok("environment.delete", json!({ "environment": "development" })).await;
    assert_eq!((stage.kept("x"), stage.get("x").await), (Some("r1".into()), Err("unbound".into())));
}

#[tokio::test]
async fn an_old_grant_counts_until_a_new_one_is_there() {
    let stage = Stage::configured().await;
    stage.granted("x", "r1").await;
    let asked = stage.ask_again("x").await;
    assert_eq!((stage.kept("x"), stage.get("x").await), (Some("r1".into()), Ok("token-1".into())));
    let shown = stage.authorize("x", &asked.redirect("error=access_denied")).await.unwrap();
    assert_eq!((&shown["status"], stage.kept("x")), (&json!("failed"), Some("r1".into())));
    assert_eq!(stage.get("x").await, Ok("token-1".into()));
    let asked = stage.ask_again("x").await;
    stage.issuer.says(&[Says::Token(3_600, Some("r2"))]);
    stage.authorize("x", &asked.redirect("code=d")).await.unwrap();
    assert_eq!(
        (stage.kept("x"), stage.parts(), stage.get("x").await),
        (Some("r2".into()), 2, Ok("token-2".into()))
    );
}
