//! Pages of the record, under a clock that only the test moves.

use super::*;
use crate::agent::tests::{DAY, START, Stage};
use crate::vault::store::{Key, Kind};
use serde_json::{Value, json};

async fn get(stage: &Stage, name: &str) {
    stage.ok("artifact.get", json!({ "secret": name })).await;
}

/// A page: the numbers of its entries, and what to give for the next.
async fn page(stage: &Stage, params: Value) -> (Vec<u64>, Option<u64>) {
    let page = stage.ok("audit.list", params).await;
    let numbers = page["entries"].as_array().unwrap().iter().map(|one| one["number"].as_u64().unwrap());
    (numbers.collect(), page["next"].as_u64())
}

/// A record of ten entries; 2, 4, 6, 8 and 10 are about the secret `a`, one each day.
async fn ten() -> Stage {
    let stage = Stage::set().await;
    for name in ["b", "a"] {
        stage.create(name).await;
    }
    for _ in 0..4 {
        stage.clock.advance(DAY);
        get(&stage, "b").await;
        get(&stage, "a").await;
        stage.agent.recorded_so_far().await.unwrap();
    }
    stage
}

#[tokio::test]
async fn pages_forwards_and_backwards_hold_each_entry_once_and_in_order() {
    let stage = ten().await;
    for limit in [1, 3, 10] {
        let (mut forwards, mut after) = (Vec::new(), Some(0));
        while let Some(number) = after {
            let (numbers, next) = page(&stage, json!({ "after": number, "limit": limit })).await;
            assert!(numbers.len() <= limit);
            forwards.extend(numbers);
            // whoever looks is recorded too, and would follow his own traces
            after = next.filter(|number| *number < 10);
        }
        let (mut backwards, mut next) = page(&stage, json!({ "before": 11, "limit": limit })).await;
        while let Some(number) = next {
            let (mut numbers, more) = page(&stage, json!({ "before": number, "limit": limit })).await;
            numbers.append(&mut backwards);
            (backwards, next) = (numbers, more);
        }
        let all: Vec<u64> = (1..=10).collect();
        forwards.truncate(10);
        assert_eq!((&forwards, &backwards), (&all, &all), "limit {limit}");
    }
}

#[tokio::test]
async fn a_page_of_one_secret_holds_what_was_done_under_each_of_its_names_and_after_its_end() {
    let stage = ten().await;
    let of_a = [2, 4, 6, 8, 10];
    assert_eq!(page(&stage, json!({ "secret": "a" })).await.0, of_a);
    assert_eq!(page(&stage, json!({ "secret": "a", "before": 11, "limit": 2 })).await.0, of_a[3..]);
    assert_eq!(page(&stage, json!({ "secret": "a", "after": 4, "limit": 2 })).await.0, of_a[2..4]);
    let since = |day: i64| json!({ "secret": "a", "before": 11, "since": Timestamp::from_seconds(START + day * DAY) });
    assert_eq!(page(&stage, since(3)).await.0, of_a[3..]);
    stage.ok("secret.edit", json!({ "secret": "a", "name": "c" })).await;
    // by its id, whatever its name was
    let renamed = page(&stage, json!({ "secret": "c" })).await.0;
    assert!(renamed.starts_with(&of_a), "{renamed:?}");
    stage.ok("secret.delete", json!({ "secret": "c" })).await;
    assert!(page(&stage, json!({ "secret": "a" })).await.0.starts_with(&of_a));
}

#[tokio::test]
async fn a_clock_that_was_set_back_hides_nothing_from_the_pages() {
    let stage = Stage::set().await;
    stage.create("a").await;
    stage.clock.advance(DAY);
    get(&stage, "a").await;
    stage.agent.recorded_so_far().await.unwrap();
    stage.clock.advance(-DAY / 2);
    get(&stage, "a").await;
    let since = Timestamp::from_seconds(START + DAY);
    assert_eq!(page(&stage, json!({ "secret": "a", "since": since })).await.0, [2]);
    assert_eq!(page(&stage, json!({ "secret": "a", "before": 4 })).await.0, [1, 2, 3]);
}

#[tokio::test]
async fn a_proof_tells_what_is_missing_and_the_pages_show_the_rest() {
    let stage = ten().await;
    let fifth = Key::new(Kind::Audit, 5_u128.to_be_bytes());
    let dropped = stage.agent.vault().bare_store().commit(vec![(fifth, None)]);
    dropped.durable().await.unwrap();
    let proof = stage.ok("audit.verify", json!({})).await;
    let faults = json!([{ "fault": "cut", "from": 5, "to": 6 }]);
    assert_eq!((&proof["sound"], &proof["faults"]), (&json!(false), &faults));
    assert_eq!(page(&stage, json!({ "secret": "a", "after": 2 })).await.0, [4, 8, 10]);
    assert_eq!(page(&stage, json!({ "secret": "a", "before": 11 })).await.0, [2, 4, 8, 10]);
}

#[tokio::test]
async fn what_stands_behind_the_end_is_on_no_page() {
    let stage = ten().await;
    let manifest = stage.agent.vault().bare_store().get(&Key::MANIFEST).unwrap();
    stage.clock.advance(DAY);
    get(&stage, "a").await;
    stage.agent.recorded_so_far().await.unwrap();
    let put_back = stage.agent.vault().bare_store().commit(vec![(Key::MANIFEST, manifest)]);
    put_back.durable().await.unwrap();
    let stage = stage.restart(0).await;
    let proof = stage.agent.audit_verify().await.unwrap();
    assert_eq!(proof.faults.iter().map(|found| (found.from, found.to)).collect::<Vec<_>>(), [(11, 11)]);
    assert_eq!(page(&stage, json!({ "after": 10 })).await, (vec![], None));
    assert_eq!(page(&stage, json!({ "limit": 1, "before": 11 })).await.0, [10]);
}
