//! Once a person has granted, tokens are refreshed by themselves: each rotation of the refresh token is kept, nothing is
//! served that has ended, and nobody is asked again.

use bursar_tests::google::{ads, exchanged_at, redirected};
use bursar_tests::http::visit;
use bursar_tests::{Daemon, FaultIssuer, Google, Home, Reply, now, open_vault, seconds, until};
use serde_json::{Value, json};

/// How long tokens live here, in seconds: the shortest that there is.
const LIFETIME: u64 = 20;

fn show(home: &Home) -> Value {
    home.ok("secret.show", json!({ "secret": "ads" }))
}

/// A granted secret whose tokens live so long, and its first token.
fn granted(google: &Google) -> (Home, Daemon, Value) {
    let (home, daemon) = open_vault();
    google.configure_for(&home, LIFETIME);
    let secret = google.granted(&home, "ads");
    assert_eq!(seconds(&secret["expires_at"]) - seconds(&secret["refresh_at"]), 10, "{secret}");
    let first = home.artifact("ads")["value"].take();
    (home, daemon, first)
}

/// Waits until another token than `old` is served; it is looked all the time whether one is.
fn next(home: &Home, old: &Value) -> Value {
    until("the token is refreshed", || {
        let artifact = home.artifact("ads");
        assert!(seconds(&artifact["expires_at"]) >= now(), "{}", show(home));
        (artifact["value"] != *old).then(|| artifact["value"].clone())
    })
}

#[test]
fn a_token_is_refreshed_again_and_again_while_one_is_served_all_the_time() {
    let google = Google::oidc();
    let (home, _daemon, first) = granted(&google);
    let issued = google.seen().issued;
    let second = next(&home, &first);
    let seen = google.seen();
    assert_eq!(seen.presented, issued, "the refresh token that came with the code");
    assert_ne!(seen.issued, issued, "it was rotated");
    let secret = show(&home);
    assert_eq!((&secret["status"], &secret["refresh_status"]), (&json!("succeeded"), &json!("succeeded")));
    assert_eq!((&secret["refresh_attempt"], &secret["refresh_status_details"]), (&json!(0), &Value::Null));
    next(&home, &second);
    assert_eq!(google.seen().presented, seen.issued, "the one that took its place");
    assert_eq!((google.seen().codes, google.seen().refreshes), (1, 2));
}

#[test]
fn a_refresh_token_that_is_good_for_ever_is_kept() {
    let google = Google::authlib();
    google.rotates(false);
    let (home, daemon, first) = granted(&google);
    // this one answers a refresh without a refresh token, as Google does; a restart changes nothing
    assert!(daemon.stop().success());
    let _daemon = home.start();
    let second = next(&home, &first);
    let presented = google.seen().presented;
    home.ok("secret.retry", json!({ "secret": "ads" }));
    home.ok("secret.wait", json!({ "secret": "ads" }));
    assert_ne!(home.artifact("ads")["value"], second);
    assert_eq!(google.seen().presented, presented);
    assert_eq!((google.seen().codes, google.seen().refreshes_granted), (1, 2));
}

#[test]
fn a_rotated_refresh_token_is_kept_whoever_brought_it_about() {
    for google in [Google::oidc(), Google::authlib()] {
        let (home, daemon) = open_vault();
        google.configure(&home);
        google.granted(&home, "ads");
        let asks = [("secret.test", "asked"), ("secret.retry", "retried"), ("secret.test", "asked again")];
        for (method, said) in asks {
            let issued = google.seen().issued;
            home.ok(method, json!({ "secret": "ads" }));
            home.ok("secret.wait", json!({ "secret": "ads" }));
            let seen = google.seen();
            assert_eq!(seen.presented, issued, "{said}");
            assert_ne!(seen.issued, issued, "{said}");
        }
        daemon.kill9();
        let _daemon = home.start();
        home.ok("secret.retry", json!({ "secret": "ads" }));
        assert_eq!(home.ok("secret.wait", json!({ "secret": "ads" }))["status"], "succeeded");
        assert_eq!((google.seen().codes, google.seen().refreshes_granted), (1, 4));
    }
}

#[test]
fn an_issuer_out_of_order_is_asked_again_with_the_same_refresh_token() {
    let (home, _daemon) = open_vault();
    let issuer = FaultIssuer::new(Reply::Json(500, "{}"));
    exchanged_at(&home, &issuer.token_url());
    let tokens = |access: &str| {
        let tokens = json!({ "access_token": access, "refresh_token": "rt-1", "expires_in": LIFETIME });
        Reply::Answer(200, "application/json", tokens.to_string())
    };
    issuer.then(tokens("at-1")).then(Reply::Json(503, "{}")).then(tokens("at-2"));
    let asked = home.ok("secret.create", ads("ads"));
    visit(&redirected(&bursar_tests::google::address(&asked), "code=4711"));
    home.ok("secret.wait", json!({ "secret": "ads" }));
    let failing = until("an attempt fails", || {
        let secret = show(&home);
        (secret["refresh_attempt"] == 1).then_some(secret)
    });
    assert_eq!(failing["status"], "succeeded", "{failing}");
    assert!(failing["refresh_status_details"].as_str().unwrap().contains("503"), "{failing}");
    assert_eq!(next(&home, &json!("at-1")), "at-2");
    let requests = issuer.requests();
    assert_eq!(requests[1].form, requests[2].form);
}
