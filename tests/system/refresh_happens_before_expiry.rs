//! A token is fresh before the old one ends; where the issuer fails, the old one is served to its end, no longer.

use bursar_tests::secrets::grant;
use bursar_tests::{FaultIssuer, Reply, open_vault, seconds, until};
use serde_json::json;

#[test]
fn a_short_token_is_refreshed_by_itself() {
    let (home, _daemon) = open_vault();
    let issuer = FaultIssuer::new(Reply::Grant(20));
    let first = home.create(grant("s", &issuer.token_url()));
    assert!(first["refresh_status"].is_null(), "{first}");
    issuer.until_count(2); // nobody asked for it
    let second = until("the new token is kept", || {
        let secret = home.ok("secret.show", json!({ "secret": "s" }));
        (secret["refresh_status"] == "succeeded").then_some(secret)
    });
    assert_eq!(home.artifact("s")["value"], "granted-2");
    assert!(seconds(&second["activated_at"]) < seconds(&first["expires_at"]), "{second}");
    assert_eq!(seconds(&second["expires_at"]) - seconds(&second["refresh_at"]), 10);
    assert_eq!((&second["refresh_attempt"], &second["status"]), (&json!(0), &json!("succeeded")));
}

#[test]
fn a_failing_refresh_is_tried_four_times_and_nothing_expired_is_served() {
    let (home, _daemon) = open_vault();
    let issuer = FaultIssuer::new(Reply::Grant(20));
    home.create(grant("s", &issuer.token_url()));
    issuer.from_now_on(Reply::Json(500, "{}"));
    let mut attempts = vec![];
    let last = until("four attempts fail", || {
        let secret = home.ok("secret.show", json!({ "secret": "s" }));
        let attempt = secret["refresh_attempt"].as_u64().unwrap();
        if attempts.last() != Some(&attempt) {
            attempts.push(attempt);
        }
        if attempt < 4 {
            assert_eq!(home.artifact("s")["value"], "granted-1", "{secret}");
        }
        (secret["refresh_status"] == "failed").then_some(secret)
    });
    assert_eq!(attempts, [0, 1, 2, 3, 4]);
    assert_eq!(last["status"], "succeeded", "the credentials are not at fault: {last}");
    assert!(last["refresh_status_details"].as_str().unwrap().contains("500"), "{last}");
    assert_eq!(issuer.count(), 5);
    let refused = until("the token ends", || home.call("artifact.get", json!({ "secret": "s" })).err());
    assert_eq!(refused.name, "expired", "{refused}");
}

#[test]
fn an_overdue_refresh_happens_at_the_start() {
    let (home, daemon) = open_vault();
    let issuer = FaultIssuer::new(Reply::Grant(20));
    let secret = home.create(grant("s", &issuer.token_url()));
    assert!(daemon.stop().success());
    let due = seconds(&secret["refresh_at"]);
    until("the refresh is due", || {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        (i64::try_from(now).unwrap() > due).then_some(())
    });
    assert_eq!(issuer.count(), 1, "nobody refreshes while there is no daemon");
    let _daemon = home.start();
    issuer.until_count(2);
}

#[test]
fn nothing_inactive_or_locked_is_refreshed() {
    let (home, _daemon) = open_vault();
    let issuer = FaultIssuer::new(Reply::Grant(20));
    let witness = FaultIssuer::new(Reply::Grant(20));
    home.create(grant("sleeper", &issuer.token_url()));
    home.ok("secret.deactivate", json!({ "secret": "sleeper" }));
    home.create(grant("witness", &witness.token_url()));
    witness.until_count(2); // it was created later, so the sleeper's moment is past
    assert_eq!(issuer.count(), 1);
    home.ok("secret.reactivate", json!({ "secret": "sleeper" }));
    issuer.until_count(2);
}
