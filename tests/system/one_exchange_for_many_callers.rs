//! However many ask: one exchange at a time for a secret, and four at once to one issuer.

use bursar_tests::secrets::grant;
use bursar_tests::{FaultIssuer, RawSocket, Reply, open_vault, seconds, until};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

const CALLERS: usize = 200;

fn past(instant: i64) {
    until("the clock moves on", || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        (i64::try_from(now).unwrap() > instant).then_some(())
    });
}

#[test]
fn two_hundred_callers_share_one_exchange() {
    let (home, _daemon) = open_vault();
    let issuer = FaultIssuer::new(Reply::Grant(60));
    let secret = home.create(grant("s", &issuer.token_url()));
    past(seconds(&secret["activated_at"]) + 1);
    // the next token lives longer, so that nobody needs a third one however late they come
    issuer.from_now_on(Reply::Held(3600));
    let need = json!({ "secret": "s", "min_validity": 60 });
    let mut callers: Vec<RawSocket> = (0..CALLERS).map(|_| home.connect()).collect();
    for caller in &mut callers {
        caller.ask("artifact.get", &need);
    }
    issuer.until_count(2);
    // some leave; that cancels nothing
    callers.drain(..20);
    issuer.release();
    for caller in &mut callers {
        let answer = caller.json();
        assert_eq!(answer["result"]["value"], "granted-2", "{answer}");
    }
    assert_eq!(issuer.count(), 2);
    assert_eq!(home.artifact("s")["value"], "granted-2");
}

#[test]
fn all_who_wait_share_a_failure_too() {
    let (home, _daemon) = open_vault();
    let issuer = FaultIssuer::new(Reply::Grant(60));
    let secret = home.create(grant("s", &issuer.token_url()));
    past(seconds(&secret["activated_at"]) + 1);
    issuer.from_now_on(Reply::Json(503, "{}"));
    let mut callers: Vec<RawSocket> = (0..50).map(|_| home.connect()).collect();
    for caller in &mut callers {
        caller.ask("artifact.get", &json!({ "secret": "s", "min_validity": 60 }));
    }
    for caller in &mut callers {
        let answer: Value = caller.json();
        let name = answer["error"]["data"]["name"].as_str().unwrap_or_else(|| panic!("{answer}"));
        assert!(["issuer_unreachable", "failed"].contains(&name), "{answer}");
    }
    assert_eq!(issuer.count(), 2, "a failure is not repeated within a minute");
    assert_eq!(home.artifact("s")["value"], "granted-1", "what is still valid is served");
}

#[test]
fn no_more_than_four_at_once_to_one_issuer() {
    let (home, _daemon) = open_vault();
    let issuer = FaultIssuer::new(Reply::Held(36_000));
    for at in 0..12 {
        home.ok("secret.create", grant(&format!("s-{at}"), &issuer.token_url()));
    }
    issuer.until_count(4);
    assert_eq!(home.ok("hello", json!({}))["agent"], "bursard");
    issuer.release();
    for at in 0..12 {
        let secret = home.ok("secret.wait", json!({ "secret": format!("s-{at}") }));
        assert_eq!(secret["status"], "succeeded", "{secret}");
    }
    assert_eq!((issuer.count(), issuer.most_at_once()), (12, 4));
}
