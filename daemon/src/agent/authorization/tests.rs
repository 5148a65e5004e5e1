//! Asking a person, and taking what the issuer sent back: who may, for what, and what is said where it cannot be taken.

use super::*;
use crate::agent::tests::{Says, Stage, own};
use crate::authorization::HOUR;
use serde_json::{Value, json};

/// The hint of an error, and its name.
fn told(error: &CallError) -> (ErrorName, &str) {
    (error.name, error.hint.as_deref().unwrap_or_default())
}

#[tokio::test]
async fn the_url_is_in_the_answer_to_who_asked_and_in_no_other() {
    let stage = Stage::configured().await;
    let asked = stage.ask("x").await;
    assert_eq!(asked.shown["status"], "manual_authorization");
    let oauth_state = asked.parameter("state");
    for (method, params) in [
        ("secret.show", json!({ "secret": "x" })),
        ("secret.list", json!({})),
        ("audit.list", json!({})),
        ("secret.where", json!({ "secret": "x" })),
        ("issuer.show", json!({ "issuer": "google" })),
    ] {
        let answer = stage.ok(method, params).await.to_string();
        assert!(!answer.contains(&oauth_state) && !answer.contains("code_challenge"), "{method}: {answer}");
    }
    let shown = stage.show("x").await;
    assert_eq!(
        (&shown["authorization_url"], &shown["authorization_url_expires_at"]),
        (&Value::Null, &Value::Null)
    );
}

#[tokio::test]
async fn used_lapsed_and_unknown_are_told_apart_and_none_of_them_starts_an_exchange() {
    let stage = Stage::configured().await;
    let used = stage.ask("used").await;
    stage.issuer.says(&[Says::Token(3_600, Some("r"))]);
    stage.authorize("used", &used.redirect("code=c")).await.unwrap();
    let lapsed = stage.ask("lapsed").await;
    stage.later(HOUR);
    let error = stage.authorize("used", &used.redirect("code=d")).await.unwrap_err();
    assert!(error.message.contains("was used already"), "{error}");
    assert_eq!(
        told(&error),
        (ErrorName::NeedsAuthorization, "start over: bursar secret reauthorize personal/used")
    );
    let error = stage.authorize("lapsed", &lapsed.redirect("code=d")).await.unwrap_err();
    assert!(error.message.contains("has expired"), "{error}");
    assert_eq!(
        told(&error),
        (ErrorName::NeedsAuthorization, "start over: bursar secret reauthorize personal/lapsed")
    );
    let unknown = used.redirect("code=d").replace(&used.parameter("state"), "no-such-state");
    let error = stage.authorize("used", &unknown).await.unwrap_err();
    assert!(error.message.contains("is not of an authorization"), "{error}");
    assert_eq!(error.name, ErrorName::NeedsAuthorization);
    for address in ["", "c", "https://127.0.0.1/oauth2/callback?code=c&state=s", &used.redirect("x=y")] {
        let error = stage.authorize("used", address).await.unwrap_err();
        assert_eq!(error.name, ErrorName::Invalid, "{address}: {error}");
    }
    assert_eq!(stage.issuer.offered().len(), 1);
}

#[tokio::test]
async fn while_the_hour_runs_the_details_say_until_when_and_after_a_restart_that_it_is_over() {
    let stage = Stage::configured().await;
    stage.ask("x").await;
    let until = stage.now().plus(HOUR);
    let details = |shown: &Value| shown["status_details"].as_str().unwrap().to_owned();
    let shown = details(&stage.show("x").await);
    assert!(shown.contains(&format!("open its authorization url, until {until}; hint: ")), "{shown}");
    let stage = stage.restart(10).await;
    let shown = details(&stage.show("x").await);
    assert!(shown.contains("is not open any more: the agent was started anew; hint: "), "{shown}");
    let stage = stage.restart(HOUR - 10).await;
    let shown = details(&stage.show("x").await);
    assert!(shown.contains(&format!("expired at {until}; hint: ")), "{shown}");
}

#[tokio::test]
async fn two_secrets_are_authorized_at_the_same_time_each_by_its_own() {
    let stage = Stage::configured().await;
    let (x, y) = (stage.ask("x").await, stage.ask("y").await);
    // of the other secret it is nothing, and not used up
    let error = stage.authorize("y", &x.redirect("code=x")).await.unwrap_err();
    assert!(error.message.contains("is not of an authorization of personal/y"), "{error}");
    let gate = stage.issuer.stops(true);
    stage.issuer.says(&[Says::Token(3_600, Some("rx")), Says::Token(3_600, Some("ry"))]);
    let (one, other) = tokio::join!(
        async {
            let redirect = x.redirect("code=x");
            stage.authorize("x", &redirect).await.unwrap()
        },
        async {
            gate.arrived().await;
            let shown = stage.authorize("y", &y.redirect("code=y")).await.unwrap();
            gate.open();
            shown
        }
    );
    assert_eq!((&one["status"], &other["status"]), (&json!("succeeded"), &json!("succeeded")));
    assert_eq!(stage.issuer.left(), ["code x", "code y"]);
    assert_eq!((stage.get("x").await, stage.get("y").await), (Ok("token-1".into()), Ok("token-2".into())));
}

#[tokio::test]
async fn only_who_asked_the_daemons_own_user_and_root_bring_a_redirect_back() {
    let stage = Stage::configured().await;
    let asked = stage.ask("x").await;
    let own_uid = own().caller.uid();
    let land = |user| {
        let redirect = Redirect::parse(&format!("code=c&state={}", asked.parameter("state"))).ok().unwrap();
        stage.agent.land(redirect, user, None)
    };
    for stranger in [None, Some(own_uid + 1), Some(u32::MAX)] {
        assert!(matches!(land(stranger), Err(NotTaken::Stranger)), "{stranger:?}");
    }
    // nothing was used up
    assert!(land(Some(0)).is_ok());
}

#[tokio::test]
async fn a_deactivated_secret_takes_no_redirect_and_keeps_its_hour() {
    let stage = Stage::configured().await;
    let asked = stage.ask("x").await;
    stage.ok("secret.deactivate", json!({ "secret": "x" })).await;
    let error = stage.authorize("x", &asked.redirect("code=c")).await.unwrap_err();
    assert_eq!(error.name, ErrorName::Inactive);
    assert_eq!(
        stage.call("secret.reauthorize", json!({ "secret": "x" })).await.unwrap_err().name,
        ErrorName::Inactive
    );
    stage.ok("secret.reactivate", json!({ "secret": "x" })).await;
    stage.issuer.says(&[Says::Token(3_600, Some("r"))]);
    assert_eq!(stage.authorize("x", &asked.redirect("code=c")).await.unwrap()["status"], "succeeded");
}

#[tokio::test]
async fn a_locked_vault_takes_no_redirect_and_keeps_the_hour() {
    let stage = Stage::configured().await;
    let asked = stage.ask("x").await;
    stage.agent.lock_recorded().await;
    assert_eq!(stage.authorize("x", &asked.redirect("code=c")).await.unwrap_err().name, ErrorName::Locked);
    stage.ok("vault.unlock", json!({})).await;
    stage.issuer.says(&[Says::Token(3_600, Some("r"))]);
    assert_eq!(stage.authorize("x", &asked.redirect("code=c")).await.unwrap()["status"], "succeeded");
}

#[tokio::test]
async fn a_refusal_in_the_browser_fails_the_secret_and_asks_the_issuer_nothing() {
    let stage = Stage::configured().await;
    for (answer, reason) in [
        ("error=access_denied", "it was not allowed in the browser (access_denied)"),
        ("error=server_error", "the issuer ended the authorization (server_error)"),
        ("error=%3Cscript%3E", "the issuer ended the authorization"),
    ] {
        let asked = if stage.call("secret.show", json!({ "secret": "x" })).await.is_ok() {
            stage.ask_again("x").await
        } else {
            stage.ask("x").await
        };
        let shown = stage.authorize("x", &asked.redirect(answer)).await.unwrap();
        assert_eq!(shown["status"], "failed");
        assert_eq!(
            shown["status_details"],
            format!("{reason}; hint: start over: bursar secret reauthorize personal/x")
        );
        let error = stage.authorize("x", &asked.redirect("code=c")).await.unwrap_err();
        assert!(error.message.contains("was used already"), "{error}");
    }
    assert_eq!(stage.issuer.offered(), []);
}

#[tokio::test]
async fn only_secrets_of_an_issuer_are_authorized() {
    let stage = Stage::configured().await;
    stage.create("t").await;
    let redirect = stage.ask("x").await.redirect("code=c");
    for error in [
        stage.call("secret.reauthorize", json!({ "secret": "t" })).await.unwrap_err(),
        stage.authorize("t", &redirect).await.unwrap_err(),
    ] {
        assert!(
            error.name == ErrorName::Invalid && error.message.contains("no person authorizes"),
            "{error}"
        );
    }
    for (method, params) in [
        ("secret.reauthorize", json!({ "secret": "no-such" })),
        ("secret.authorize", json!({ "secret": "no-such", "redirect": redirect })),
    ] {
        assert_eq!(stage.call(method, params).await.unwrap_err().name, ErrorName::NotFound, "{method}");
    }
}
