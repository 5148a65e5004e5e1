//! A vault that is locked, gets new keys, or whose daemon is stopped while a refresh token is exchanged: the new one is kept,
//! and where nobody waited for it, that is told.

use bursar_tests::google::{LIFETIME, ask_again};
use bursar_tests::rotation::{
    WAYS, Way, answered, is_sent_and_unknown, settled, show, the_newest_is_kept, told,
};
use bursar_tests::{Daemon, Gate, Google, Hold, Home, RawSocket, open_vault, until};
use rustix::process::Signal;
use serde_json::json;

/// A home with a grant, at an issuer that holds an answer: it has rotated already.
fn answer_held(google: &Google, way: Way) -> (Home, Daemon, RawSocket) {
    let (home, daemon) = open_vault();
    google.configure(&home);
    google.granted(&home, "ads");
    google.hold(Hold::After);
    let caller = way.begin(&home, "ads");
    google.until_held(1);
    (home, daemon, caller)
}

fn unlocked_again(google: &Google) {
    for way in WAYS {
        let (home, daemon, caller) = answer_held(google, way);
        home.ok("vault.lock", json!({}));
        google.release();
        // the issuer answers one after another: this one has left it
        assert_eq!(google.seen().held, 0);
        home.ok("vault.unlock", json!({}));
        // who asked is told that the vault was locked, or waited for the unlock
        let answer = answered(caller).unwrap();
        assert!(answer.as_ref().err().is_none_or(|refused| refused.name == "locked"), "{way:?}: {answer:?}");
        until("what was answered is kept", || told(&home, "ads").is_empty().then_some(()));
        assert_eq!(show(&home, "ads")["status"], "succeeded", "{way:?}");
        the_newest_is_kept(google, &home, "ads");
        daemon.kill9();
        let _daemon = home.start();
        the_newest_is_kept(google, &home, "ads");
    }
}

#[test]
fn what_was_answered_while_the_vault_was_locked_is_kept_at_oidc_provider() {
    unlocked_again(&Google::oidc());
}

#[test]
fn what_was_answered_while_the_vault_was_locked_is_kept_at_authlib() {
    unlocked_again(&Google::authlib());
}

#[test]
fn a_vault_that_stays_locked_until_the_daemon_is_gone_tells_what_was_sent() {
    let google = Google::oidc();
    for stop in [Daemon::kill9, |daemon: Daemon| assert!(daemon.stop().success())] {
        let (home, daemon, _caller) = answer_held(&google, Way::Get);
        home.ok("vault.lock", json!({}));
        google.release();
        stop(daemon);
        let _daemon = home.start();
        assert!(is_sent_and_unknown(&told(&home, "ads")), "{}", told(&home, "ads"));
    }
}

#[test]
fn a_locked_vault_sends_nothing_and_the_unlock_takes_it_up() {
    let google = Google::oidc();
    for way in WAYS {
        let (home, _daemon) = open_vault();
        let mut gate = Gate::before(&google.token_url(LIFETIME));
        google.configure_at(&home, &gate.through(&google.token_url(LIFETIME)));
        google.granted(&home, "ads");
        gate.shut();
        let before = google.seen();
        let caller = way.begin(&home, "ads");
        gate.until_knocked();
        home.ok("vault.lock", json!({}));
        gate.open();
        assert_eq!(answered(caller).unwrap().unwrap_err().name, "locked", "{way:?}");
        assert_eq!(google.seen(), before, "{way:?}: nothing leaves that cannot be marked");
        home.ok("vault.unlock", json!({}));
        assert_eq!(settled(&home, "ads")["status"], "succeeded", "{way:?}");
        the_newest_is_kept(&google, &home, "ads");
        assert_eq!(google.seen().refreshes_granted, google.seen().refreshes);
    }
}

#[test]
fn new_keys_meanwhile_lose_nothing() {
    let google = Google::oidc();
    for way in WAYS {
        let (home, daemon, caller) = answer_held(&google, way);
        home.ok("vault.rekey", json!({}));
        google.release();
        answered(caller).unwrap().unwrap();
        the_newest_is_kept(&google, &home, "ads");
        daemon.kill9();
        let _daemon = home.start();
        the_newest_is_kept(&google, &home, "ads");
    }
}

#[test]
fn a_config_that_is_read_anew_meanwhile_loses_nothing() {
    let google = Google::oidc();
    let (home, daemon, caller) = answer_held(&google, Way::Get);
    daemon.signal(Signal::HUP);
    until("the config is read anew", || home.log().contains("the config was read anew").then_some(()));
    google.release();
    answered(caller).unwrap().unwrap();
    the_newest_is_kept(&google, &home, "ads");
}

#[test]
fn a_change_meanwhile_loses_nothing() {
    let google = Google::oidc();
    for way in WAYS {
        let (home, _daemon, caller) = answer_held(&google, way);
        home.ok("secret.retry", json!({ "secret": "ads" }));
        home.ok("vault.rekey", json!({}));
        google.release();
        answered(caller).unwrap().unwrap();
        assert_eq!(settled(&home, "ads")["status"], "succeeded", "{way:?}");
        the_newest_is_kept(&google, &home, "ads");
    }
}

/// Tells the daemon to stop, and waits until it does.
fn told_to_stop(home: &Home, daemon: &Daemon) {
    daemon.signal(Signal::TERM);
    until("the daemon stops", || home.log().contains("stopping").then_some(()));
}

fn released_in_time(google: &Google) {
    for way in WAYS {
        let (home, daemon, _caller) = answer_held(google, way);
        told_to_stop(&home, &daemon);
        google.release();
        assert!(daemon.wait().success());
        let _daemon = home.start();
        assert_eq!((&show(&home, "ads")["status"], told(&home, "ads")), (&json!("succeeded"), String::new()));
        the_newest_is_kept(google, &home, "ads");
    }
}

#[test]
fn a_stop_waits_for_the_answer_at_oidc_provider() {
    released_in_time(&Google::oidc());
}

#[test]
fn a_stop_waits_for_the_answer_at_authlib() {
    released_in_time(&Google::authlib());
}

#[test]
fn a_stop_that_waited_in_vain_is_told_as_such() {
    let google = Google::authlib();
    let (home, daemon, _caller) = answer_held(&google, Way::Get);
    assert!(daemon.stop().success());
    google.hang_up();
    let _daemon = home.start();
    assert!(is_sent_and_unknown(&told(&home, "ads")), "{}", told(&home, "ads"));
    home.call("secret.test", json!({ "secret": "ads" })).unwrap_err();
    google.land(&ask_again(&home, "ads"));
    assert_eq!(settled(&home, "ads")["status"], "succeeded");
    the_newest_is_kept(&google, &home, "ads");
}
