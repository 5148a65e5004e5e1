//! Whatever was handed out before the vault was locked is in the record, however it was locked and whatever came then.

use bursar_tests::client_secrets::{Issued, authenticated, issue};
use bursar_tests::library::{acme_with_api, publish};
use bursar_tests::record::{counted, entries, sound};
use bursar_tests::{Daemon, Home, RawSocket, open_vault, until};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// How often it is locked in each way.
const ROUNDS: u64 = 8;

/// Connections of the owner, and as many with a client secret.
const CALLERS: usize = 3;

/// How many calls a connection makes before it reads an answer.
const BURST: usize = 25;

/// How many values are out before the vault is locked.
const BEFORE: u64 = 150;

/// A vault that hands out, and what has come out of it.
struct Giving {
    home: Home,
    viewer: Issued,
    /// Values that `artifact.get` and `package.get` answered.
    given: [AtomicU64; 2],
}

impl Giving {
    fn new() -> (Self, Daemon) {
        let (home, daemon) = open_vault();
        acme_with_api(&home);
        publish(&home, "acme/site", "1.0.0", json!({ "TOKEN": "api" }), json!([]));
        let viewer = issue(&home, "acme", "viewer", None);
        (Self { home, viewer, given: [0, 0].map(AtomicU64::new) }, daemon)
    }

    fn given(&self) -> [u64; 2] {
        self.given.each_ref().map(|given| given.load(Ordering::SeqCst))
    }

    /// Has values handed out on several connections, and `end` happen in the middle of that.
    fn until_it(&self, end: impl FnOnce()) {
        let before: u64 = self.given().iter().sum();
        thread::scope(|scope| {
            for _ in 0..CALLERS {
                let secret = json!({ "secret": "acme/api-staging" });
                scope.spawn(|| take(self.home.connect(), "artifact.get", secret, &self.given[0]));
                let element = json!({ "package": "acme/site", "version": "1.0.0", "environment": "staging", "element": "TOKEN" });
                let ci = authenticated(&self.home, &[&self.viewer]);
                scope.spawn(|| take(ci, "package.get", element, &self.given[1]));
            }
            until("values are handed out both ways", || {
                let given = self.given();
                let both = given.iter().all(|count| *count > 0);
                (both && given.iter().sum::<u64>() >= before + BEFORE).then_some(())
            });
            end();
        });
    }

    /// That the record has each value that was handed out, once.
    #[track_caller]
    fn check(&self) {
        let all = entries(&self.home);
        let recorded = ["artifact.get", "package.get"].map(|method| counted(&all, method, "ok"));
        assert_eq!(recorded, self.given(), "recorded, and handed out");
        assert!(recorded.iter().all(|count| *count > 0), "both ways are gone: {recorded:?}");
        sound(&self.home);
    }
}

/// Asks until it is refused, and counts the values.
fn take(mut socket: RawSocket, method: &str, params: Value, given: &AtomicU64) {
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let burst = format!("{call}\n").repeat(BURST);
    loop {
        // a daemon that has ended reads no more, and what it answered is read all the same
        let sent = socket.send(&burst).is_ok();
        for _ in 0..BURST {
            let Some(line) = socket.line().filter(|line| line.ends_with('\n')) else { return };
            let answer: Value = serde_json::from_str(&line).unwrap();
            if answer["error"].is_null() {
                assert_eq!(answer["result"]["value"], "value-of-staging", "{answer}");
                given.fetch_add(1, Ordering::SeqCst);
                continue;
            }
            let name = answer["error"]["data"]["name"].as_str().unwrap();
            // what could not be recorded any more is not given
            assert!(["locked", "stopping", "store_failed"].contains(&name), "{answer}");
            if !sent || name == "locked" || name == "stopping" {
                return;
            }
        }
    }
}

#[test]
fn a_lock_that_was_acknowledged_has_it_on_the_disk() {
    let (giving, mut daemon) = Giving::new();
    for _ in 0..ROUNDS {
        giving.until_it(|| drop(giving.home.ok("vault.lock", json!({}))));
        daemon.kill9();
        daemon = giving.home.start();
        giving.check();
    }
}

#[test]
fn a_lock_by_a_signal_has_it_too() {
    let (giving, daemon) = Giving::new();
    for _ in 0..ROUNDS {
        giving.until_it(|| daemon.signal(Signal::USR1));
        giving.home.ok("vault.unlock", json!({}));
        giving.check();
    }
}

#[test]
fn an_end_right_after_a_lock_loses_none() {
    let (giving, mut daemon) = Giving::new();
    for round in 0..ROUNDS {
        giving.until_it(|| {
            if round % 2 == 0 {
                daemon.signal(Signal::USR1);
            } else {
                giving.home.ok("vault.lock", json!({}));
            }
            daemon.signal(Signal::TERM);
        });
        assert!(daemon.wait().success());
        daemon = giving.home.start();
        giving.check();
    }
}

#[test]
fn an_end_without_a_lock_loses_none() {
    let (giving, mut daemon) = Giving::new();
    for _ in 0..ROUNDS {
        giving.until_it(|| daemon.signal(Signal::TERM));
        assert!(daemon.wait().success());
        daemon = giving.home.start();
        giving.check();
    }
}
