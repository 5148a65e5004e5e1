//! What `usage.list` shows, under a clock that only the test moves.

use super::*;
use crate::agent::tests::{DAY as DAY_LONG, START, Stage};
use bursar_proto::error::ErrorName;
use serde_json::{Value, json};

async fn get(stage: &Stage, name: &str) {
    stage.ok("artifact.get", json!({ "secret": name })).await;
}

/// What is shown of use, as `name count last`.
async fn shown(stage: &Stage, params: Value) -> Vec<String> {
    let answer = stage.ok("usage.list", params).await;
    let line = |one: &Value| {
        let name = one["secret"].as_str().or(one["description"].as_str()).unwrap();
        let last = one["last_used_at"].as_str().map_or("never", |at| &at[..10]);
        format!("{name} {} {last}", one["count"])
    };
    answer.as_array().unwrap().iter().map(line).collect()
}

async fn issue(stage: &Stage, more: Value) -> (String, String) {
    let mut params = json!({ "organization": "personal", "description": "the build", "role": "viewer" });
    params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let issued = stage.ok("client_secret.create", params).await;
    (issued["client_secret"].as_str().unwrap().to_owned(), issued["id"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn each_day_is_shown_with_its_count_and_the_days_that_were_asked_for_count() {
    let stage = Stage::set().await;
    for name in ["b", "a"] {
        stage.create(name).await;
    }
    get(&stage, "a").await;
    stage.clock.advance(30 * DAY_LONG);
    for _ in 0..3 {
        get(&stage, "a").await;
    }
    stage.clock.advance(2 * DAY_LONG);
    get(&stage, "a").await;
    let answer = stage.ok("usage.list", json!({ "secret": "a" })).await;
    let days = json!([
        { "day": "2026-01-31", "count": 3, "by": { "artifact.get": 3 } },
        { "day": "2026-02-02", "count": 1, "by": { "artifact.get": 1 } },
    ]);
    assert_eq!((&answer[0]["days"], &answer[0]["count"]), (&days, &json!(4)));
    let all = ["personal/a 4 2026-02-02", "personal/b 0 never"];
    assert_eq!(shown(&stage, json!({})).await, all);
    for (days, line) in
        [(1, "personal/a 1 2026-02-02"), (2, "personal/a 1 2026-02-02"), (33, "personal/a 5 2026-02-02")]
    {
        assert_eq!(shown(&stage, json!({ "secret": "a", "days": days })).await, [line]);
    }
    for days in [0, 366] {
        let error = stage.call("usage.list", json!({ "days": days })).await.unwrap_err();
        assert_eq!(error.name, ErrorName::Invalid);
    }
}

#[tokio::test]
async fn what_was_not_used_for_so_long_is_found_and_what_is_new_is_not() {
    let stage = Stage::set().await;
    stage.create("never").await;
    stage.clock.advance(1);
    for name in ["old", "new"] {
        stage.create(name).await;
    }
    get(&stage, "old").await;
    stage.clock.advance(90 * DAY_LONG - 1);
    get(&stage, "new").await;
    let unused = json!({ "unused": 90 * DAY_LONG });
    assert_eq!(shown(&stage, unused.clone()).await, ["personal/never 0 never"]);
    stage.clock.advance(1);
    assert_eq!(shown(&stage, unused).await, ["personal/never 0 never", "personal/old 0 2026-01-01"]);
}

#[tokio::test]
async fn what_goes_takes_its_use_along() {
    let stage = Stage::set().await;
    let id = stage.create("a").await;
    get(&stage, "a").await;
    stage.ok("usage.list", json!({})).await;
    let (month, _) = Month::and_day(Timestamp::from_seconds(START));
    let known = |id: &Id| stage.agent.vault().unlocked().unwrap().month(id, month).unwrap().is_some();
    assert!(known(&id));
    stage.ok("secret.delete", json!({ "secret": "a" })).await;
    assert!(!known(&id));
    assert_eq!(shown(&stage, json!({})).await, [""; 0]);
    // what was read and not written yet counts for nobody
    let id = stage.create("b").await;
    get(&stage, "b").await;
    stage.ok("secret.delete", json!({ "secret": "b" })).await;
    stage.ok("usage.list", json!({})).await;
    assert!(!known(&id));
}

#[tokio::test]
async fn a_client_secret_that_is_not_counted_still_shows_when_it_was_used_last() {
    let stage = Stage::set().await;
    let (value, id) = issue(&stage, json!({ "analytics": "disabled" })).await;
    stage.clock.advance(DAY_LONG);
    let (party, _) = stage.authenticate(1_000, &[&value]);
    let looked = json!({ "environment": "personal/development" });
    stage.call_as(&party, "environment.show", looked.clone()).await.unwrap();
    assert_eq!(shown(&stage, json!({ "client_secret": id })).await, ["the build 0 2026-01-02"]);
    stage.ok("client_secret.set_analytics", json!({ "id": id, "analytics": "limited" })).await;
    for _ in 0..2 {
        let (party, _) = stage.authenticate(1_000, &[&value]);
        for _ in 0..2 {
            stage.call_as(&party, "environment.show", looked.clone()).await.unwrap();
        }
    }
    let answer = stage.ok("usage.list", json!({ "client_secret": id })).await;
    assert_eq!(answer[0]["days"], json!([{ "day": "2026-01-02", "count": 2, "by": { "sync": 2 } }]));
    let stage = stage.restart(DAY_LONG).await;
    assert_eq!(shown(&stage, json!({ "client_secret": id })).await, ["the build 2 2026-01-02"]);
}
