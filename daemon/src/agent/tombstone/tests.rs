//! What becomes of deleted secrets, under a clock that only the test moves.

use super::*;
use crate::agent::tests::{DAY as DAY_LONG, START, Stage};
use crate::vault::store::{Id, Key, Kind};
use serde_json::{Value, json};
use std::path::Path;

/// What is known of deleted secrets, as `name store files`.
async fn deleted(stage: &Stage) -> Vec<String> {
    let answer = stage.ok("secret.deleted", json!({})).await;
    let shown = |one: &Value| {
        assert_eq!(one["store"], one["snapshots"]);
        let store = if one["store"] == true { "stored" } else { "swept" };
        let files: Vec<_> = one["workspaces"].as_array().unwrap().iter().map(|one| &one["files"]).collect();
        format!("{} {store} {}", one["secret"].as_str().unwrap(), json!(files))
    };
    answer.as_array().unwrap().iter().map(shown).collect()
}

async fn delete(stage: &Stage, name: &str) {
    stage.ok("secret.delete", json!({ "secret": name })).await;
}

/// Some seconds go by, and the daemon looks for what is to be swept.
async fn sweep(stage: &Stage, later: i64) {
    stage.clock.advance(later);
    stage.agent.sweep(stage.agent.clock.now()).await;
}

/// Says that these secrets' values lie in a file of a workspace.
async fn record(stage: &Stage, secrets: &[&str]) {
    let secrets: Vec<_> = secrets.iter().map(|name| format!("personal/{name}")).collect();
    let files = if secrets.is_empty() {
        json!([])
    } else {
        let digests = ["0".repeat(64)];
        json!([{ "path": "t.txt", "package": "personal/p", "digests": digests, "secrets": secrets }])
    };
    let params = json!({ "workspace": "/w", "environment": "development", "files": files, "synced": true });
    stage.ok("workspace.record", params).await;
}

fn lies_below(directory: &Path, bytes: &[u8]) -> bool {
    std::fs::read_dir(directory).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            lies_below(&path, bytes)
        } else {
            std::fs::read(path).unwrap().windows(bytes.len()).any(|window| window == bytes)
        }
    })
}

/// The sealed bytes of a secret's credentials and artifact.
fn sealed(stage: &Stage, id: Id) -> Vec<Vec<u8>> {
    let vault = stage.agent.vault();
    let kinds = [Kind::Credentials, Kind::Artifact];
    kinds.map(|kind| vault.bare_store().get(&Key::new(kind, id)).unwrap().unwrap().to_vec()).to_vec()
}

#[tokio::test]
async fn a_deleted_secret_is_gone_from_the_disk_a_day_later() {
    let stage = Stage::set().await;
    stage.create("a").await;
    let left = sealed(&stage, stage.create("gone").await);
    stage.agent.snapshot().await;
    delete(&stage, "gone").await;
    let disk = stage.dir.path().join("state");
    assert_eq!(deleted(&stage).await, ["personal/gone stored []"]);
    sweep(&stage, DAY_LONG - 1).await;
    assert_eq!(deleted(&stage).await, ["personal/gone stored []"]);
    assert!(left.iter().all(|bytes| lies_below(&disk, bytes)));
    sweep(&stage, 1).await;
    assert_eq!(deleted(&stage).await, [""; 0]);
    assert!(!left.iter().any(|bytes| lies_below(&disk, bytes)));
    assert!(stage.agent.vault().newest_snapshot().is_some(), "a new snapshot is kept");
    let stage = stage.restart(1).await;
    assert_eq!(deleted(&stage).await, [""; 0]);
    assert_eq!(stage.ok("artifact.get", json!({ "secret": "a" })).await["value"], "value-a");
    assert_eq!(stage.ok("audit.verify", json!({})).await["sound"], true);
}

#[tokio::test]
async fn one_whose_value_lies_in_a_workspace_is_remembered_until_a_sync_there() {
    let stage = Stage::set().await;
    for name in ["a", "b"] {
        stage.create(name).await;
    }
    record(&stage, &["a", "b"]).await;
    delete(&stage, "a").await;
    sweep(&stage, DAY_LONG).await;
    assert_eq!(deleted(&stage).await, [r#"personal/a swept [["t.txt"]]"#]);
    let stage = stage.restart(1).await;
    assert_eq!(deleted(&stage).await, [r#"personal/a swept [["t.txt"]]"#]);
    // the file is the same as before, so the value lies there still
    record(&stage, &["b"]).await;
    assert_eq!(deleted(&stage).await, [r#"personal/a swept [["t.txt"]]"#]);
    record(&stage, &[]).await;
    assert_eq!(deleted(&stage).await, [""; 0]);
}

#[tokio::test]
async fn a_workspace_that_is_cleaned_first_leaves_what_the_store_holds() {
    let stage = Stage::set().await;
    stage.create("a").await;
    record(&stage, &["a"]).await;
    delete(&stage, "a").await;
    record(&stage, &[]).await;
    assert_eq!(deleted(&stage).await, ["personal/a stored []"]);
    sweep(&stage, DAY_LONG).await;
    assert_eq!(deleted(&stage).await, [""; 0]);
}

#[tokio::test]
async fn after_thirty_days_nobody_looks_for_it_any_more() {
    let stage = Stage::set().await;
    stage.create("a").await;
    record(&stage, &["a"]).await;
    delete(&stage, "a").await;
    let until = Timestamp::from_seconds(START + 30 * DAY_LONG);
    assert_eq!(stage.ok("secret.deleted", json!({})).await[0]["until"], json!(until));
    sweep(&stage, 30 * DAY_LONG - 1).await;
    assert_eq!(deleted(&stage).await, [r#"personal/a swept [["t.txt"]]"#]);
    sweep(&stage, 1).await;
    assert_eq!(deleted(&stage).await, [""; 0]);
    let stage = stage.restart(1).await;
    assert_eq!(deleted(&stage).await, [""; 0]);
}

#[tokio::test]
async fn what_is_deleted_while_the_store_is_written_anew_counts_as_stored() {
    let stage = Stage::set().await;
    for name in ["a", "b"] {
        stage.create(name).await;
    }
    delete(&stage, "a").await;
    stage.clock.advance(DAY_LONG);
    let now = stage.agent.clock.now();
    tokio::join!(stage.agent.sweep(now), delete(&stage, "b"));
    assert_eq!(deleted(&stage).await, ["personal/b stored []"]);
    sweep(&stage, DAY_LONG).await;
    assert_eq!(deleted(&stage).await, [""; 0]);
}

#[tokio::test]
async fn a_store_that_cannot_be_written_anew_keeps_serving_and_is_tried_again() {
    let stage = Stage::set().await;
    stage.create("a").await;
    let left = sealed(&stage, stage.create("gone").await);
    delete(&stage, "gone").await;
    // a file where snapshots would lie: what was written anew is in place by then, and they cannot be dropped
    let snapshots = stage.dir.path().join("state/snapshots");
    std::fs::write(&snapshots, b"no directory").unwrap();
    sweep(&stage, DAY_LONG).await;
    assert_eq!(deleted(&stage).await, ["personal/gone stored []"]);
    assert_eq!(stage.ok("artifact.get", json!({ "secret": "a" })).await["value"], "value-a");
    stage.create("b").await;
    std::fs::remove_file(&snapshots).unwrap();
    sweep(&stage, 3_600).await;
    assert_eq!(deleted(&stage).await, [""; 0]);
    let disk = stage.dir.path().join("state");
    assert!(!left.iter().any(|bytes| lies_below(&disk, bytes)));
}

#[tokio::test]
async fn a_clock_that_was_set_back_delays_a_sweep_and_forgets_nothing() {
    let stage = Stage::set().await;
    stage.create("a").await;
    delete(&stage, "a").await;
    sweep(&stage, -40 * DAY_LONG).await;
    assert_eq!(deleted(&stage).await, ["personal/a stored []"]);
    sweep(&stage, 41 * DAY_LONG).await;
    assert_eq!(deleted(&stage).await, [""; 0]);
}

#[tokio::test]
async fn a_locked_vault_is_not_swept_and_the_next_look_finds_it() {
    let stage = Stage::set().await;
    stage.create("a").await;
    delete(&stage, "a").await;
    stage.agent.lock_recorded().await;
    sweep(&stage, DAY_LONG).await;
    stage.ok("vault.unlock", json!({})).await;
    assert_eq!(deleted(&stage).await, ["personal/a stored []"]);
    sweep(&stage, 0).await;
    assert_eq!(deleted(&stage).await, [""; 0]);
}

#[tokio::test]
async fn a_daemon_that_never_runs_for_a_day_sweeps_all_the_same() {
    let stage = Stage::set().await;
    stage.create("a").await;
    delete(&stage, "a").await;
    let stage = stage.restart(DAY_LONG).await;
    let run = stage.agent.tasks.spawn(crate::refresh::run(stage.agent.clone()));
    let swept = async {
        while !deleted(&stage).await.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    let in_time = tokio::time::timeout(std::time::Duration::from_mins(1), swept).await;
    stage.agent.shutdown.cancel();
    run.await.unwrap();
    assert!(in_time.is_ok(), "it is not swept at the start");
}

#[tokio::test]
async fn new_keys_sweep_too() {
    let stage = Stage::set().await;
    stage.create("a").await;
    delete(&stage, "a").await;
    stage.ok("vault.rekey", json!({})).await;
    assert_eq!(deleted(&stage).await, [""; 0]);
}
