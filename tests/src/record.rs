//! The record of accesses, as the owner reads it.

use crate::home::Home;
use serde_json::{Value, json};

/// More pages than any test fills.
const PAGES: usize = 200;

/// All entries, the oldest first.
pub fn entries(home: &Home) -> Vec<Value> {
    let mut socket = home.connect();
    let mut params = json!({ "after": 0 });
    let mut all = Vec::new();
    for _ in 0..PAGES {
        let mut page = socket.call("audit.list", params.clone()).expect("the owner reads the record");
        all.append(page["entries"].as_array_mut().expect("a page has entries"));
        if page["next"].is_null() {
            return all;
        }
        params["after"] = page["next"].take();
    }
    panic!("the record does not end");
}

/// How many calls of a method ended so, as entries count them.
pub fn counted(entries: &[Value], method: &str, outcome: &str) -> u64 {
    let of = entries.iter().filter(|entry| entry["method"] == method && entry["outcome"] == outcome);
    of.map(|entry| entry["count"].as_u64().expect("an entry has a count")).sum()
}

/// Proves the record; answers the proof.
#[track_caller]
pub fn sound(home: &Home) -> Value {
    let proof = home.ok("audit.verify", json!({}));
    assert_eq!((&proof["sound"], &proof["faults"]), (&json!(true), &json!([])), "{proof}");
    proof
}
