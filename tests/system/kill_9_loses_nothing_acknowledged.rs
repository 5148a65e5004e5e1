//! What the daemon has acknowledged is there after it was killed at any moment.

use bursar_tests::secrets::{grant, token};
use bursar_tests::{FaultIssuer, Home, RawSocket, Reply, open_vault, seconds, until};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Write as _;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const ROUNDS: u32 = 20;

/// Creates secrets until the connection breaks; answers the names that were acknowledged.
fn create_until_killed(home: &Home, round: u32) -> Vec<String> {
    let mut socket = home.connect();
    let mut acknowledged = Vec::new();
    for at in 0..10_000 {
        let name = format!("r{round}-{at}");
        if socket.ask_quietly("secret.create", &token(&name, "value")).is_err() {
            break;
        }
        match socket.line().filter(|line| line.ends_with('\n')) {
            Some(line) => {
                let answer: Value = serde_json::from_str(&line).unwrap();
                assert!(answer["error"].is_null(), "{answer}");
                acknowledged.push(format!("personal/{name}"));
            }
            None => break,
        }
    }
    acknowledged
}

fn all_names(home: &Home) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut socket = home.connect();
    for _ in 0..1000 {
        let page = socket.call("secret.list", json!({ "after": names.last() })).unwrap();
        let page = page.as_array().unwrap();
        names.extend(page.iter().map(|secret| secret["name"].as_str().unwrap().to_owned()));
        if page.is_empty() {
            return names;
        }
    }
    panic!("the list does not end");
}

#[test]
fn creates_that_were_answered_are_there() {
    let (home, daemon) = open_vault();
    let mut daemon = Some(daemon);
    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
        let moment = Duration::from_micros(u64::from(nanos / 1000 % 120_000));
        thread::scope(|scope| {
            let writer = scope.spawn(|| create_until_killed(&home, round));
            thread::sleep(moment); // the random moment itself, not a wait for anything
            daemon.take().unwrap().kill9();
            acknowledged.extend(writer.join().unwrap());
        });
        daemon = Some(home.start());
        let present = all_names(&home);
        let lost: Vec<&String> = acknowledged.iter().filter(|name| !present.contains(*name)).collect();
        assert!(lost.is_empty(), "round {round}: {} of {} lost: {lost:?}", lost.len(), acknowledged.len());
    }
    assert!(acknowledged.len() > 50, "only {} were acknowledged", acknowledged.len());
    let last = acknowledged.last().unwrap();
    until("its exchange ends", || {
        (home.ok("secret.wait", json!({ "secret": last }))["status"] == "succeeded").then_some(())
    });
    assert_eq!(home.artifact(last)["value"], "value");
    writeln!(std::io::stderr(), "{} acknowledged in {ROUNDS} rounds", acknowledged.len()).ok();
}

#[test]
fn a_kill_in_the_middle_of_a_refresh_leaves_the_old_artifact() {
    let (home, daemon) = open_vault();
    let issuer = FaultIssuer::new(Reply::Grant(60));
    let secret = home.create(grant("s", &issuer.token_url()));
    until("a second passes", || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        (i64::try_from(now).unwrap() > seconds(&secret["activated_at"]) + 1).then_some(())
    });
    issuer.from_now_on(Reply::Held(3600));
    let mut caller = RawSocket::connect(&home.socket()).unwrap();
    caller.ask("artifact.get", &json!({ "secret": "s", "min_validity": 60 }));
    issuer.until_count(2);
    daemon.kill9();
    let daemon = home.start();
    assert_eq!(home.artifact("s")["value"], "granted-1");
    issuer.release();
    let fresh = home.ok("artifact.get", json!({ "secret": "s", "min_validity": 60 }));
    assert_ne!(fresh["value"], "granted-1");
    daemon.kill9();
    let _daemon = home.start();
    assert_eq!(
        home.artifact("s")["value"],
        fresh["value"],
        "the new one was durable before it was handed out"
    );
}

#[test]
fn a_pending_exchange_is_taken_up_again_after_a_kill() {
    let (home, daemon) = open_vault();
    let issuer = FaultIssuer::new(Reply::Held(3600));
    assert_eq!(home.ok("secret.create", grant("s", &issuer.token_url()))["status"], "pending");
    issuer.until_count(1);
    daemon.kill9();
    let _daemon = home.start();
    issuer.until_count(2);
    issuer.release();
    assert_eq!(home.ok("secret.wait", json!({ "secret": "s" }))["status"], "succeeded");
}
