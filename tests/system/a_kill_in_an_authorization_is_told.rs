//! A daemon that is killed while a person authorizes tells afterwards whether the code was sent or not; a grant that was
//! there before is there still, and starting over mends the rest.

use bursar_tests::google::{LIFETIME, ask, ask_again};
use bursar_tests::http::send;
use bursar_tests::rotation::{is_sent_and_unknown, settled, show, the_newest_is_kept};
use bursar_tests::{Daemon, Gate, Google, Hold, Home, configured, open_vault};
use serde_json::json;
use std::thread;

/// A person consents at `url`, and comes back to a daemon that is killed once `reached` says so.
fn killed(google: &Google, daemon: Daemon, url: &str, reached: impl FnOnce()) {
    let redirect = google.consent(url);
    thread::scope(|scope| {
        // the page may break off
        scope.spawn(|| send("GET", &redirect, &[], None).ok());
        reached();
        daemon.kill9();
    });
}

/// What is told of an authorization that a restart cut off.
fn told(home: &Home, name: &str) -> String {
    let secret = show(home, name);
    assert_eq!(secret["status"], "manual_authorization", "{secret}");
    let details = secret["status_details"].as_str().unwrap_or_default().to_owned();
    assert!(details.contains("its authorization url is not open any more"), "{details}");
    assert!(details.ends_with(&format!("bursar secret reauthorize personal/{name}")), "{details}");
    details
}

fn starting_over_mends(google: &Google, home: &Home, name: &str) {
    google.land(&ask_again(home, name));
    let secret = settled(home, name);
    assert_eq!((&secret["status"], &secret["status_details"]), (&json!("succeeded"), &json!(null)));
    the_newest_is_kept(google, home, name);
}

#[test]
fn killed_before_anybody_came_back() {
    let google = Google::authlib();
    let (home, daemon) = open_vault();
    google.configure(&home);
    let redirect = google.consent(&ask(&home, "ads"));
    daemon.kill9();
    let _daemon = home.start();
    assert!(!told(&home, "ads").contains("sent"), "{}", told(&home, "ads"));
    assert!(send("GET", &redirect, &[], None).is_err(), "nobody listens for a code that nobody can use");
    assert_eq!(google.seen().codes, 0);
    starting_over_mends(&google, &home, "ads");
}

#[test]
fn killed_before_the_code_found_a_connection() {
    let google = Google::oidc();
    let (home, daemon) = configured("");
    let mut gate = Gate::before(&google.token_url(LIFETIME));
    gate.shut();
    google.configure_at(&home, &gate.through(&google.token_url(LIFETIME)));
    killed(&google, daemon, &ask(&home, "ads"), || gate.until_knocked());
    let _daemon = home.start();
    assert!(!told(&home, "ads").contains("sent"), "{}", told(&home, "ads"));
    gate.open();
    starting_over_mends(&google, &home, "ads");
    assert_eq!(google.seen().codes, 1);
}

fn killed_with_the_code_at(google: &Google) {
    let (home, mut daemon) = open_vault();
    google.configure(&home);
    for (name, hold) in [("before", Hold::Before), ("after", Hold::After)] {
        let url = ask(&home, name);
        google.hold(hold);
        killed(google, daemon, &url, || google.until_held(1));
        google.hang_up();
        daemon = home.start();
        assert!(is_sent_and_unknown(&told(&home, name)), "{hold:?}: {}", told(&home, name));
        let shown = home.cli(&["secret", "show", name]).ok();
        assert!(shown.out.contains("a request was sent at "), "{}", shown.out);
        // there is no code any more, and nothing else to exchange
        assert_eq!(home.refused("secret.retry", json!({ "secret": name })), "needs_authorization");
        starting_over_mends(google, &home, name);
    }
}

#[test]
fn killed_with_the_code_at_oidc_provider() {
    killed_with_the_code_at(&Google::oidc());
}

#[test]
fn killed_with_the_code_at_authlib() {
    killed_with_the_code_at(&Google::authlib());
}

/// The grant before is dropped only when another is on disk.
fn the_grant_before_is_there(google: &Google) {
    let (home, mut daemon) = open_vault();
    google.configure(&home);
    google.granted(&home, "ads");
    let served = home.artifact("ads")["value"].clone();
    for hold in [Hold::Before, Hold::After] {
        let grant_before = google.seen().issued;
        let url = ask_again(&home, "ads");
        google.hold(hold);
        killed(google, daemon, &url, || google.until_held(1));
        google.hang_up();
        daemon = home.start();
        assert!(is_sent_and_unknown(&told(&home, "ads")), "{hold:?}: {}", told(&home, "ads"));
        if hold == Hold::Before {
            assert_eq!(home.artifact("ads")["value"], served);
        }
        home.ok("secret.retry", json!({ "secret": "ads" }));
        let secret = settled(&home, "ads");
        assert_eq!((&secret["status"], &secret["status_details"]), (&json!("succeeded"), &json!(null)));
        assert_eq!(google.seen().presented, grant_before, "{hold:?}");
        the_newest_is_kept(google, &home, "ads");
    }
}

#[test]
fn a_grant_that_was_there_before_the_kill_is_there_at_oidc_provider() {
    the_grant_before_is_there(&Google::oidc());
}

#[test]
fn a_grant_that_was_there_before_the_kill_is_there_at_authlib() {
    the_grant_before_is_there(&Google::authlib());
}
