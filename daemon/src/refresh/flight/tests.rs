//! An exchange of what a person granted, and what may come between: a crash, a lock, a disk that fails, an edit, a test. What is
//! worth one exchange is not lost, and nothing is claimed that is not known.

use super::*;
use crate::agent::tests::{ADWORDS, Asked, PATIENCE, Says, Stage};
use crate::exchange::Cause;
use crate::refresh::person::tests::{ATTEMPTS, HALF, at, text};
use crate::vault::store::Breaks;
use bursar_proto::error::ErrorName;
use serde_json::{Value, json};
use tokio::time::timeout;

#[tokio::test]
async fn what_is_worth_one_exchange_leaves_only_once_the_disk_knows() {
    let stage = Stage::configured().await;
    let asked = stage.ask("x").await;
    stage.issuer.says(&[Says::Token(3_600, Some("r1"))]);
    let gate = stage.issuer.stops(true);
    let redirect = asked.redirect("code=c");
    let (shown, ()) = tokio::join!(stage.authorize("x", &redirect), async {
        gate.arrived().await;
        let found = stage.as_if_killed("code");
        assert_eq!(found.marked("x"), Some(stage.now()));
        let shown = found.show("x").await;
        let sent = format!("a request was sent at {}, and its answer is not known", stage.now());
        assert_eq!(shown["status"], "manual_authorization");
        assert!(text(&shown, "status_details").contains(&sent), "{shown}");
        assert!(shown["refresh_status_details"].is_null(), "{shown}");
        gate.open();
    });
    assert_eq!(shown.unwrap()["status"], "succeeded");
    assert_eq!(stage.marked("x"), None);

    stage.clock.advance(HALF);
    let before = stage.issuer.stops(false);
    stage.agent.start_due(stage.now());
    before.arrived().await;
    assert_eq!(stage.marked("x"), None, "nothing is marked that has not left");
    let found = stage.as_if_killed("before");
    assert!(found.show("x").await["refresh_status_details"].is_null());
    let after = stage.issuer.stops(true);
    before.open();
    after.arrived().await;
    let found = stage.as_if_killed("after");
    let shown = found.show("x").await;
    let sent = format!("a request was sent at {}, and its answer is not known", stage.now());
    assert_eq!((&shown["status"], text(&shown, "refresh_status_details")), (&json!("succeeded"), &*sent));
    assert_eq!((found.kept("x"), found.get("x").await), (Some("r1".into()), Ok("token-1".into())));
    // whatever became of that one, an answer clears it
    found.refresh().await;
    let shown = found.show("x").await;
    assert_eq!(
        (&shown["refresh_status"], &shown["refresh_status_details"]),
        (&json!("succeeded"), &Value::Null)
    );
    assert_eq!(found.issuer.left(), ["refresh r1"]);
    after.open();
    stage.settled("x").await;
    assert!(stage.show("x").await["refresh_status_details"].is_null());
}

#[tokio::test]
async fn an_answer_of_any_kind_clears_the_mark() {
    for says in [Says::No(Cause::Transient), Says::No(Cause::Permanent), Says::No(Cause::Withdrawn)] {
        let stage = Stage::configured().await;
        stage.granted("x", "r1").await;
        stage.clock.advance(HALF);
        stage.issuer.says(&[Says::Silence, says]);
        stage.refresh().await;
        assert_eq!(stage.marked("x"), Some(stage.now()));
        stage.clock.advance(ATTEMPTS[1] - HALF);
        stage.refresh().await;
        assert_eq!(stage.marked("x"), None, "{says:?}");
        let shown = stage.show("x").await;
        assert_eq!(
            text(&shown, "refresh_status_details"),
            "the issuer said no; hint: bursar secret reauthorize personal/x"
        );
        assert_eq!(stage.as_if_killed("later").marked("x"), None);
    }
}

#[tokio::test]
async fn what_was_never_sent_leaves_the_word_on_an_earlier_request_alone() {
    let stage = Stage::configured().await;
    stage.granted("x", "r1").await;
    stage.clock.advance(HALF);
    stage.issuer.says(&[Says::Unreached, Says::Silence, Says::Unreached]);
    stage.refresh().await;
    let shown = stage.show("x").await;
    assert_eq!(text(&shown, "refresh_status_details"), "nobody is there; nothing was sent");
    stage.clock.advance(ATTEMPTS[1] - ATTEMPTS[0]);
    stage.refresh().await;
    let sent_at = stage.now();
    let shown = stage.show("x").await;
    assert_eq!(text(&shown, "refresh_status_details"), "it hung up, and its answer is not known");
    stage.clock.advance(ATTEMPTS[2] - ATTEMPTS[1]);
    stage.refresh().await;
    assert_eq!(stage.marked("x"), Some(sent_at));
    let shown = stage.show("x").await;
    assert_eq!(
        text(&shown, "refresh_status_details"),
        format!(
            "nobody is there; nothing was sent; before that, a request was sent at {sent_at}, and its answer is not known"
        )
    );
    // neither does asking a person anew
    stage.ask_again("x").await;
    assert_eq!(stage.marked("x"), Some(sent_at));
}

#[tokio::test(start_paused = true)]
async fn nothing_leaves_where_the_disk_does_not_take_the_mark() {
    for breaks in [Breaks::Applying, Breaks::Syncing] {
        let stage = Stage::configured().await;
        stage.granted("x", "r1").await;
        stage.clock.advance(HALF);
        let gate = stage.issuer.stops(false);
        stage.agent.start_due(stage.now());
        gate.arrived().await;
        stage.breaks(breaks);
        gate.open();
        stage.settled("x").await;
        assert_eq!(
            (stage.issuer.offered().len(), stage.issuer.left()),
            (2, vec!["code c".into()]),
            "{breaks:?}"
        );
        let shown = stage.show("x").await;
        assert!(text(&shown, "refresh_status_details").contains("nothing was sent"), "{breaks:?}: {shown}");
        // the next attempt goes out as ever
        stage.clock.advance(ATTEMPTS[1] - HALF);
        stage.refresh().await;
        assert_eq!(stage.issuer.left(), ["code c", "refresh r1"]);
    }
}

#[tokio::test]
async fn nothing_leaves_of_a_secret_that_changed_a_moment_before() {
    let stage = Stage::configured().await;
    stage.granted("x", "r1").await;
    stage.clock.advance(HALF);
    let gate = stage.issuer.stops(false);
    stage.agent.start_due(stage.now());
    gate.arrived().await;
    let other = json!({ "secret": "x", "credentials": { "scopes": [ADWORDS] } });
    let asked = Asked::of(stage.ok("secret.edit", other).await);
    gate.open();
    stage.settled("x").await;
    assert_eq!(stage.issuer.left(), ["code c"]);
    assert_eq!(
        (stage.kept("x"), stage.show("x").await["status"].clone()),
        (None, json!("manual_authorization"))
    );
    stage.issuer.says(&[Says::Token(3_600, Some("r2"))]);
    assert_eq!(stage.authorize("x", &asked.redirect("code=d")).await.unwrap()["status"], "succeeded");
}

#[tokio::test]
async fn an_outcome_that_comes_while_the_vault_is_locked_is_written_when_it_opens() {
    let stage = Stage::configured().await;
    stage.granted("x", "r1").await;
    stage.clock.advance(HALF);
    stage.issuer.says(&[Says::Token(3_600, Some("r2"))]);
    let gate = stage.issuer.stops(true);
    stage.agent.start_due(stage.now());
    gate.arrived().await;
    let landed = stage.under_way("x").unwrap();
    stage.agent.lock_recorded().await;
    gate.open();
    // whoever waits learns that it is locked
    timeout(PATIENCE, landed.landed()).await.expect("nobody waits for an unlock");
    stage.clock.advance(10);
    stage.ok("vault.unlock", json!({})).await;
    // what is due by then joins the exchange that is on its way
    stage.agent.start_due(stage.now());
    stage.settled("x").await;
    assert_eq!((stage.kept("x"), stage.marked("x")), (Some("r2".into()), None));
    assert_eq!(stage.issuer.left(), ["code c", "refresh r1"], "and nothing was asked twice");
    let shown = stage.show("x").await;
    assert_eq!(at(&shown, "refresh_at"), stage.now().plus(HALF - 10), "its life began when it was asked for");
    assert_eq!(stage.as_if_killed("later").kept("x"), Some("r2".into()));
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_the_disk_refuses_is_kept_and_written_later() {
    for breaks in [Breaks::Applying, Breaks::Syncing] {
        let stage = Stage::configured().await;
        stage.granted("x", "r1").await;
        stage.clock.advance(HALF);
        stage.issuer.says(&[Says::Token(3_600, Some("r2"))]);
        let gate = stage.issuer.stops(true);
        stage.agent.start_due(stage.now());
        gate.arrived().await;
        stage.breaks(breaks);
        let flight = stage.under_way("x").unwrap();
        gate.open();
        flight.landed().await;
        if breaks == Breaks::Applying {
            // neither the token nor the refresh token is there without the other
            let shown = stage.show("x").await;
            assert_eq!((stage.kept("x"), at(&shown, "refresh_at")), (Some("r1".into()), stage.now()));
            assert_eq!(stage.get("x").await, Ok("token-1".into()));
        }
        stage.settled("x").await;
        assert_eq!(
            (stage.kept("x"), stage.get("x").await),
            (Some("r2".into()), Ok("token-2".into())),
            "{breaks:?}"
        );
        assert_eq!((stage.issuer.left().len(), stage.parts(), stage.marked("x")), (2, 2, None));
        assert_eq!(
            stage.as_if_killed(if breaks == Breaks::Applying { "a" } else { "b" }).kept("x"),
            Some("r2".into())
        );
    }
}

#[tokio::test(start_paused = true)]
async fn while_a_new_refresh_token_waits_for_the_disk_nothing_goes_out_with_the_old() {
    let stage = Stage::configured().await;
    stage.granted("x", "r1").await;
    stage.clock.advance(HALF);
    stage.issuer.says(&[Says::Token(3_600, Some("r2"))]);
    let gate = stage.issuer.stops(true);
    stage.agent.start_due(stage.now());
    gate.arrived().await;
    stage.breaks(Breaks::Applying);
    let flight = stage.under_way("x").unwrap();
    gate.open();
    flight.landed().await;
    stage.ok("secret.test", json!({ "secret": "x" })).await;
    assert_eq!(stage.issuer.left(), ["code c", "refresh r1", "refresh r2"]);
}

#[tokio::test]
async fn an_edit_during_a_refresh_keeps_the_refresh_token_that_comes_of_it() {
    let stage = Stage::configured().await;
    stage.granted("x", "r1").await;
    stage.clock.advance(HALF);
    stage.issuer.says(&[Says::Token(3_600, Some("r2"))]);
    let gate = stage.issuer.stops(true);
    stage.agent.start_due(stage.now());
    gate.arrived().await;
    let renamed = json!({ "secret": "x", "name": "y" });
    let asked = Asked::of(stage.ok("secret.edit", renamed).await);
    gate.open();
    stage.settled("y").await;
    let shown = stage.show("y").await;
    assert_eq!((&shown["status"], stage.kept("y")), (&json!("manual_authorization"), Some("r2".into())));
    assert_eq!((stage.get("y").await, stage.marked("y"), stage.parts()), (Ok("token-1".into()), None, 2));
    assert_eq!(stage.as_if_killed("later").kept("y"), Some("r2".into()));
    // so nobody has to come: it can be exchanged at once
    stage.ok("secret.retry", json!({ "secret": "y" })).await;
    assert_eq!(stage.ok("secret.wait", json!({ "secret": "y" })).await["status"], "succeeded");
    assert_eq!(stage.issuer.left(), ["code c", "refresh r1", "refresh r2"]);
    // and the authorization of before that is over
    let error = stage.authorize("y", &asked.redirect("code=d")).await.unwrap_err();
    assert_eq!(error.name, ErrorName::NeedsAuthorization);
}

#[tokio::test]
async fn a_test_keeps_the_refresh_token_that_comes_of_it_and_changes_nothing_else() {
    let stage = Stage::configured().await;
    stage.granted("x", "r1").await;
    let before = stage.show("x").await;
    stage.clock.advance(10);
    stage.issuer.says(&[Says::Token(3_000, Some("r2"))]);
    let tested = stage.ok("secret.test", json!({ "secret": "x" })).await;
    assert_eq!((&tested["expires_in"], tested.to_string().contains("token-2")), (&json!(3_000), false));
    assert_eq!(stage.show("x").await, before);
    assert_eq!(
        (stage.kept("x"), stage.parts(), stage.get("x").await),
        (Some("r2".into()), 2, Ok("token-1".into()))
    );
    assert_eq!(stage.as_if_killed("later").kept("x"), Some("r2".into()));
    // one that brings none leaves the one that is there
    stage.ok("secret.test", json!({ "secret": "x" })).await;
    assert_eq!(stage.kept("x"), Some("r2".into()));
}

#[tokio::test]
async fn a_test_that_fails_says_so_and_leaves_no_trace_but_of_what_is_not_known() {
    let stage = Stage::configured().await;
    stage.granted("x", "r1").await;
    let before = stage.show("x").await;
    for cause in [Cause::Transient, Cause::Permanent, Cause::Withdrawn] {
        stage.issuer.says(&[Says::No(cause)]);
        let error = stage.call("secret.test", json!({ "secret": "x" })).await.unwrap_err();
        assert_eq!(error.name, ErrorName::Failed);
        assert_eq!(
            (stage.show("x").await, stage.kept("x")),
            (before.clone(), Some("r1".into())),
            "{cause:?}"
        );
    }
    stage.issuer.says(&[Says::Unreached, Says::Silence]);
    for sent in [false, true] {
        let error = stage.call("secret.test", json!({ "secret": "x" })).await.unwrap_err();
        assert_eq!((error.name, stage.marked("x").is_some()), (ErrorName::IssuerUnreachable, sent));
    }
    let shown = stage.show("x").await;
    let sent = format!("a request was sent at {}, and its answer is not known", stage.now());
    assert_eq!(text(&shown, "refresh_status_details"), sent);
}

#[tokio::test(start_paused = true)]
async fn a_test_whose_refresh_token_the_disk_refuses_does_not_lose_it() {
    let stage = Stage::configured().await;
    stage.granted("x", "r1").await;
    stage.issuer.says(&[Says::Token(3_600, Some("r2"))]);
    let gate = stage.issuer.stops(true);
    let (_, ()) = tokio::join!(stage.call("secret.test", json!({ "secret": "x" })), async {
        gate.arrived().await;
        stage.breaks(Breaks::Applying);
        gate.open();
    });
    stage.clock.advance(HALF);
    stage.refresh().await;
    assert_eq!(stage.issuer.left(), ["code c", "refresh r1", "refresh r2"]);
}

#[tokio::test]
async fn an_edit_during_a_refresh_that_is_refused_knows_that_there_was_an_answer() {
    let stage = Stage::configured().await;
    stage.granted("x", "r1").await;
    stage.clock.advance(HALF);
    stage.issuer.says(&[Says::No(Cause::Transient), Says::Silence]);
    for known in [true, false] {
        let gate = stage.issuer.stops(true);
        stage.ok("secret.retry", json!({ "secret": "x" })).await;
        gate.arrived().await;
        stage.ok("secret.edit", json!({ "secret": "x", "credentials": {} })).await;
        gate.open();
        stage.settled("x").await;
        assert_eq!((stage.marked("x").is_none(), stage.kept("x")), (known, Some("r1".into())));
    }
    // with the grant goes what may have become of it
    let other = json!({ "secret": "x", "credentials": { "scopes": [ADWORDS] } });
    stage.ok("secret.edit", other).await;
    assert_eq!((stage.marked("x"), stage.kept("x")), (None, None));
}

#[tokio::test]
async fn an_outcome_is_not_dropped_where_the_vault_locks_a_moment_before_it_is_written() {
    let stage = Stage::configured().await;
    let id = stage.granted("x", "r1").await;
    let over = Over {
        revision: 1,
        by: Some(By::RefreshToken),
        person: None,
        sent_at: stage.now(),
        outcome: Err(Failure::new(Cause::Transient, "no")),
    };
    stage.agent.lock_recorded().await;
    assert!(matches!(stage.agent.settle(id, &over).await, Settled::Locked));
}
