//! What waits for the record of accesses, and what is given while it cannot be written.

use super::writer::GATHER;
use super::*;
use crate::agent::tests::{DAY, START, Stage, own};
use crate::vault::store::Breaks;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

/// An artifact that was handed out to the process `pid`.
fn got(pid: u32, at: Timestamp) -> Entry {
    let name = "personal/a".parse().unwrap();
    Entry { pid: Some(pid), ..Entry::of_agent("artifact.get", ([1; 16], name), OK, at) }
}

/// The disk refused what was taken.
fn not_written(audit: &Audit, taken: Vec<Entry>) {
    audit.fails(true);
    audit.landed(0, taken);
}

/// The disk has as many as were taken.
fn written(audit: &Audit, taken: usize) {
    audit.fails(false);
    audit.landed(taken, Vec::new());
}

/// What waits, as `pid second count`.
fn waiting(audit: &Audit) -> Vec<(u32, i64, u64)> {
    let queue = audit.lock();
    queue.waiting.iter().map(|entry| (entry.pid.unwrap(), entry.at.seconds(), entry.count)).collect()
}

#[test]
fn the_same_within_a_second_is_one_entry_and_the_next_second_another() {
    let audit = Audit::default();
    for second in [1, 1, 1, 2, 2, 1] {
        audit.note(got(7, at(second)), true).unwrap();
    }
    assert_eq!(waiting(&audit), [(7, 1, 4), (7, 2, 2)]);
}

#[test]
fn what_differs_in_anything_is_an_entry_of_its_own() {
    let audit = Audit::default();
    let entry = got(7, at(1));
    let other_name = "personal/b".parse().unwrap();
    let public = PublicId::from_random([1; 8]);
    let ci = BTreeMap::from([("provider".to_owned(), "github".to_owned())]);
    let all = [
        entry.clone(),
        Entry { principal: "owner".into(), ..entry.clone() },
        Entry { uid: Some(1), ..entry.clone() },
        Entry { pid: Some(8), ..entry.clone() },
        Entry { executable: Some("/bin/x".into()), ..entry.clone() },
        Entry { method: "secret.show", ..entry.clone() },
        Entry { subject: Some("x".into()), ..entry.clone() },
    ];
    let more = [
        Entry { secret: Some((Some([1; 16]), other_name)), ..entry.clone() },
        Entry { client_secret: Some(public), ..entry.clone() },
        Entry { outcome: "expired", ..entry.clone() },
        Entry { ci: Some(Arc::new(ci)), ..entry },
    ];
    for half in [&all[..], &more[..]] {
        for _ in 0..2 {
            for entry in half {
                audit.note(entry.clone(), true).unwrap();
            }
        }
    }
    let counts: Vec<_> = audit.lock().waiting.iter().map(|entry| entry.count).collect();
    assert_eq!(counts, [2; 11]);
}

#[test]
fn the_same_is_looked_for_among_the_last_entries_alone() {
    let audit = Audit::default();
    let different = u32::try_from(SAME_WITHIN).unwrap();
    for pid in 1..=different {
        audit.note(got(pid, at(1)), true).unwrap();
    }
    audit.note(got(1, at(1)), true).unwrap();
    assert_eq!(waiting(&audit)[0], (1, 1, 2));
    audit.note(got(different + 1, at(1)), true).unwrap();
    audit.note(got(1, at(1)), true).unwrap();
    assert_eq!(waiting(&audit).last(), Some(&(1, 1, 1)));
}

#[test]
fn a_use_that_is_counted_is_never_merged_away() {
    let audit = Audit::default();
    let follows = got(7, at(1));
    let counted = Entry { used_for: Some("sync".into()), ..follows.clone() };
    for entry in [&counted, &follows, &counted, &follows] {
        audit.note(entry.clone(), true).unwrap();
    }
    let queue = audit.lock();
    assert_eq!(queue.waiting.iter().filter(|entry| entry.used_for.is_some()).count(), 2);
    assert_eq!(queue.waiting.iter().map(|entry| entry.count).sum::<u64>(), 4);
}

#[test]
fn what_one_party_gets_by_the_short_way_is_never_counted_as_anothers() {
    let audit = Audit::default();
    let get = |party: u64, pid, second| audit.note_get(party, &[1; 16], at(second), || got(pid, at(second)));
    for (party, pid) in [(1, 70), (2, 80), (1, 70), (2, 80), (2, 80)] {
        get(party, pid, 1).unwrap();
    }
    assert_eq!(waiting(&audit), [(70, 1, 2), (80, 1, 3)]);
    // another secret, and another second
    let name = "personal/b".parse().unwrap();
    let other = Entry { pid: Some(70), ..Entry::of_agent("artifact.get", ([2; 16], name), OK, at(1)) };
    audit.note_get(1, &[2; 16], at(1), || other).unwrap();
    get(1, 70, 2).unwrap();
    get(1, 70, 1).unwrap();
    let told = waiting(&audit);
    assert_eq!(told[2..4], [(70, 1, 1), (70, 2, 1)]);
    assert_eq!(told.iter().map(|(.., count)| count).sum::<u64>(), 8);
}

#[test]
fn what_is_noted_while_others_are_written_is_not_added_to_them() {
    let audit = Audit::default();
    let get = || audit.note_get(1, &[1; 16], at(1), || got(7, at(1)));
    get().unwrap();
    let taken = audit.take();
    get().unwrap();
    get().unwrap();
    assert_eq!((taken[0].count, waiting(&audit)), (1, vec![(7, 1, 2)]));
    // not written: it waits again, before what came since, and what comes is added to the right one
    not_written(&audit, taken);
    assert_eq!(get(), Err(NotRecorded));
    written(&audit, 1);
    get().unwrap();
    assert_eq!(waiting(&audit), [(7, 1, 1), (7, 1, 3)]);
}

/// Fills the queue with entries that differ.
fn fill(audit: &Audit, count: usize) {
    for pid in 0..u32::try_from(count).unwrap() {
        audit.note(got(pid, at(1)), true).unwrap();
    }
}

#[test]
fn a_full_queue_gives_nothing_and_refusals_still_go_out() {
    let audit = Audit::default();
    fill(&audit, WAITING_MAX);
    let another = || got(u32::MAX, at(1));
    assert_eq!(audit.note(another(), true), Err(NotRecorded));
    assert_eq!(audit.note_get(9, &[1; 16], at(1), another), Err(NotRecorded));
    assert_eq!(audit.note(Entry { outcome: "denied", ..another() }, false), Ok(()));
    assert_eq!(waiting(&audit).len(), WAITING_MAX);
    // what is under way still takes its place, as it may have to wait again
    let taken = audit.take();
    assert_eq!(audit.note(another(), true), Err(NotRecorded));
    not_written(&audit, taken);
    assert_eq!(waiting(&audit).len(), WAITING_MAX);
    let taken = audit.take();
    written(&audit, WAITING_MAX);
    assert_eq!(taken.len(), WAITING_MAX);
    assert_eq!(audit.note(another(), true), Ok(()));
}

#[test]
fn what_is_the_same_as_one_that_waits_has_a_place_in_a_full_queue() {
    let audit = Audit::default();
    fill(&audit, WAITING_MAX);
    let last = u32::try_from(WAITING_MAX - 1).unwrap();
    assert_eq!(audit.note(got(last, at(1)), true), Ok(()));
    assert_eq!(waiting(&audit).last(), Some(&(last, 1, 2)));
}

#[test]
fn an_access_that_is_refused_as_it_cannot_be_recorded_is_not_counted_as_given() {
    let audit = Audit::default();
    audit.note(got(7, at(1)), true).unwrap();
    let taken = audit.take();
    not_written(&audit, taken);
    assert_eq!(audit.note(got(7, at(1)), true), Err(NotRecorded));
    assert_eq!(audit.note_get(1, &[1; 16], at(1), || got(7, at(1))), Err(NotRecorded));
    assert_eq!(waiting(&audit), [(7, 1, 1)]);
    assert_eq!(audit.note(Entry { outcome: "denied", ..got(8, at(1)) }, false), Ok(()));
    assert_eq!(waiting(&audit).len(), 2);
}

/// The whole record, as `method subject outcome`.
async fn recorded(stage: &Stage) -> Vec<String> {
    let page = stage.ok("audit.list", json!({ "after": 0 })).await;
    assert!(page["next"].is_null());
    let entries = page["entries"].as_array().unwrap();
    assert!(entries.iter().map(|entry| entry["number"].as_u64().unwrap()).eq(1..=entries.len() as u64));
    let text = |one: &Value, name: &str| one[name].as_str().unwrap_or("-").to_owned();
    entries.iter().map(|one| ["method", "subject", "outcome"].map(|name| text(one, name)).join(" ")).collect()
}

async fn get(stage: &Stage, name: &str) -> Option<ErrorName> {
    stage.call("artifact.get", json!({ "secret": name })).await.err().map(|error| error.name)
}

#[tokio::test]
async fn a_change_and_its_entry_are_there_together_or_not_at_all() {
    for breaks in [Breaks::Applying, Breaks::Syncing] {
        let stage = Stage::set().await;
        stage.create("a").await;
        stage.agent.vault().bare_store().break_at(breaks);
        let token = json!({ "secret": "b", "type": "token", "credentials": { "token": "v" } });
        let error = stage.call("secret.create", token).await.unwrap_err();
        assert_eq!(error.name, ErrorName::StoreFailed);
        // a killed daemon, so that what waits is lost and the disk alone tells
        let stage = stage.restart(1).await;
        let there = get(&stage, "b").await.is_none();
        assert_eq!(there, breaks == Breaks::Syncing);
        let told = recorded(&stage).await;
        let created = told.iter().filter(|told| *told == "secret.create personal/b ok").count();
        assert_eq!(created, usize::from(there), "{told:?}");
        assert_eq!(stage.ok("audit.verify", json!({})).await["sound"], true);
    }
}

#[tokio::test]
async fn a_change_that_failed_is_told_as_such() {
    let stage = Stage::set().await;
    stage.agent.vault().bare_store().break_at(Breaks::Applying);
    let token = json!({ "secret": "b", "type": "token", "credentials": { "token": "v" } });
    stage.call("secret.create", token.clone()).await.unwrap_err();
    stage.call("secret.create", token.clone()).await.unwrap();
    stage.call("secret.create", token).await.unwrap_err();
    let told = recorded(&stage).await;
    // what succeeded is written with its commit, what failed within a second
    let expected = ["ok", "store_failed", "conflict"].map(|how| format!("secret.create personal/b {how}"));
    assert_eq!(told, expected);
}

#[tokio::test]
async fn what_could_not_be_written_waits_and_is_written_once_and_in_order() {
    let stage = Stage::set().await;
    for name in ["a", "b", "c"] {
        stage.create(name).await;
    }
    assert_eq!(get(&stage, "a").await, None);
    assert_eq!(get(&stage, "b").await, None);
    stage.agent.vault().bare_store().break_at(Breaks::Applying);
    assert_eq!(stage.agent.write_accesses().await, Written::Failed);
    assert!(!stage.agent.audit.records());
    // nothing is handed out until it is recorded, by neither way
    for _ in 0..2 {
        assert_eq!(get(&stage, "c").await, Some(ErrorName::StoreFailed));
    }
    let party = own();
    let quick = bursar_proto::call::QuickGet::read(Some(r#"{"secret":"personal/c"}"#)).unwrap();
    let quick = crate::policy::Policy::authorize(&party.bare_principal(), quick, &[]).unwrap();
    let mut out = Vec::new();
    assert!(stage.agent.get_now(quick, &party, &mut out).is_err());
    assert!(out.is_empty());
    stage.agent.vault().bare_store().break_at(Breaks::Applying);
    assert_eq!(stage.agent.write_accesses().await, Written::Failed);
    assert_eq!(stage.agent.write_accesses().await, Written::All);
    assert_eq!(get(&stage, "c").await, None);
    let told = recorded(&stage).await;
    let gets: Vec<_> = told.iter().filter_map(|told| told.strip_prefix("artifact.get personal/")).collect();
    assert_eq!(gets, ["a ok", "b ok", "c ok"]);
    let stage = stage.restart(1).await;
    assert_eq!(recorded(&stage).await.iter().filter(|told| told.starts_with("artifact.get")).count(), 3);
    assert_eq!(stage.ok("audit.verify", json!({})).await["sound"], true);
}

#[tokio::test]
async fn what_the_disk_took_without_saying_so_is_told_twice_rather_than_lost() {
    let stage = Stage::set().await;
    stage.create("a").await;
    assert_eq!(get(&stage, "a").await, None);
    stage.agent.vault().bare_store().break_at(Breaks::Syncing);
    assert_eq!(stage.agent.write_accesses().await, Written::Failed);
    assert_eq!(stage.agent.write_accesses().await, Written::All);
    let told = recorded(&stage).await;
    let gets = told.iter().filter(|told| told.starts_with("artifact.get")).count();
    assert!((1..=2).contains(&gets), "{told:?}");
    assert_eq!(stage.ok("audit.verify", json!({})).await["sound"], true);
}

#[tokio::test]
async fn a_full_queue_is_written_in_one_turn() {
    let stage = Stage::set().await;
    fill(&stage.agent.audit, WAITING_MAX);
    assert_eq!(stage.agent.write_accesses().await, Written::All);
    let proof = stage.ok("audit.verify", json!({})).await;
    assert_eq!((&proof["sound"], &proof["next"]), (&json!(true), &json!(1 + WAITING_MAX)));
}

#[tokio::test]
async fn a_locked_vault_has_what_was_given_before_and_takes_what_is_refused_at_the_next_unlock() {
    let stage = Stage::set().await;
    stage.create("a").await;
    assert_eq!(get(&stage, "a").await, None);
    stage.agent.lock_recorded().await;
    assert!(stage.agent.audit.is_empty());
    assert_eq!(get(&stage, "a").await, Some(ErrorName::Locked));
    assert_eq!(stage.agent.audit.note(got(7, at(START)), true), Err(NotRecorded));
    let refused = Entry { outcome: "denied", ..got(7, at(START)) };
    assert_eq!(stage.agent.audit.note(refused, false), Ok(()));
    assert_eq!(stage.agent.write_accesses().await, Written::Locked);
    stage.ok("vault.unlock", json!({})).await;
    stage.clock.advance(DAY);
    assert_eq!(get(&stage, "a").await, None);
    let page = stage.ok("audit.list", json!({ "secret": "a" })).await;
    let entries = page["entries"].as_array().unwrap().iter();
    let told: Vec<_> = entries.map(|one| (one["at"].clone(), one["outcome"].clone())).collect();
    let times = [START, START, START, START + DAY].map(|seconds| json!(at(seconds)));
    let outcomes = ["ok", "ok", "denied", "ok"].map(|outcome| json!(outcome));
    assert_eq!(told, times.into_iter().zip(outcomes).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_lock_that_is_asked_for_leaves_nothing_waiting() {
    let stage = Stage::set().await;
    stage.create("a").await;
    assert_eq!(get(&stage, "a").await, None);
    stage.ok("vault.lock", json!({})).await;
    assert!(stage.agent.audit.is_empty());
    let stage = stage.restart(1).await;
    let told = recorded(&stage).await;
    assert_eq!(told[1..], ["artifact.get personal/a ok", "vault.lock - ok"]);
}

#[tokio::test]
async fn watchers_are_told_the_numbers_that_the_record_has() {
    let stage = Stage::set().await;
    let mut told = stage.agent.audit.watch();
    stage.create("a").await;
    assert_eq!(get(&stage, "a").await, None);
    stage.create("b").await;
    assert_eq!(stage.agent.write_accesses().await, Written::All);
    let mut heard = Vec::new();
    while let Ok(entry) = told.try_recv() {
        heard.push((entry.number, entry.method.clone()));
    }
    let methods = ["secret.create", "secret.create", "artifact.get"];
    assert_eq!(heard, (1..).zip(methods.map(str::to_owned)).collect::<Vec<_>>());
    assert_eq!(recorded(&stage).await.len(), 3);
}

/// Lets everything go on that does not wait for the time.
async fn go_on() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_gathers_also_where_the_bell_rang_for_it_before() {
    let stage = Stage::set().await;
    stage.create("a").await;
    let run = stage.agent.tasks.spawn(run(stage.agent.clone()));
    let audit = &stage.agent.audit;
    assert_eq!(get(&stage, "a").await, None);
    go_on().await;
    // as by an entry that came while others were written
    audit.bell.notify_one();
    go_on().await;
    tokio::time::advance(GATHER / 2).await;
    go_on().await;
    assert!(!audit.is_empty(), "it was written at once");
    tokio::time::advance(GATHER).await;
    go_on().await;
    assert!(audit.is_empty());
    stage.agent.shutdown.cancel();
    run.await.unwrap();
}
