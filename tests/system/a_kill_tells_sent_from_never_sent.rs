//! A daemon that is killed in the middle of a refresh knows afterwards whether a request was sent whose answer nobody
//! knows, or none: says so, and goes on as far as the issuer lets it.

use bursar_tests::google::{LIFETIME, ask_again};
use bursar_tests::rotation::{
    WAYS, Way, answered, is_sent_and_unknown, now_and_then, settled, show, the_newest_is_kept, told,
};
use bursar_tests::{Daemon, Gate, Google, Hold, Home, configured, open_vault};
use serde_json::json;
use std::io::Write as _;

const ROUNDS: u32 = 20;

/// What mends a secret that only a person can mend.
const MENDS: &str = "bursar secret reauthorize personal/ads";

/// A home whose Google is behind a gate, with a grant; the daemon was started anew, and has no connection.
fn behind_a_gate(google: &Google, toml: &str) -> (Gate, Home, Daemon) {
    let (home, daemon) = configured(toml);
    let mut gate = Gate::before(&google.token_url(LIFETIME));
    google.configure_at(&home, &gate.through(&google.token_url(LIFETIME)));
    google.granted(&home, "ads");
    gate.shut();
    (gate, home, daemon)
}

#[test]
fn what_found_no_connection_was_never_sent() {
    let google = Google::oidc();
    let (mut gate, home, mut daemon) = behind_a_gate(&google, "");
    for way in WAYS {
        let _caller = way.begin(&home, "ads");
        gate.until_knocked();
        assert_eq!(told(&home, "ads"), "", "{way:?}");
        daemon.kill9();
        daemon = home.start();
        assert_eq!(told(&home, "ads"), "", "{way:?}");
        assert_eq!(google.seen().refreshes_granted, google.seen().refreshes);
        gate.open();
        assert_eq!(settled(&home, "ads")["status"], "succeeded");
        the_newest_is_kept(&google, &home, "ads");
        gate.shut();
    }
}

#[test]
fn what_waited_for_its_turn_was_never_sent() {
    let google = Google::authlib();
    let (home, daemon) = open_vault();
    google.configure(&home);
    let names = ["one", "two", "three", "four", "five"];
    for name in names {
        google.granted(&home, name);
    }
    google.hold(Hold::Before);
    // no more than four at once to one issuer
    let (last, sent) = names.split_last().unwrap();
    let _callers: Vec<_> = sent.iter().map(|name| Way::Get.begin(&home, name)).collect();
    google.until_held(4);
    let _last = Way::Get.begin(&home, last);
    home.ok("hello", json!({}));
    daemon.kill9();
    google.hang_up();
    let _daemon = home.start();
    for name in sent {
        assert!(is_sent_and_unknown(&told(&home, name)), "{name}: {}", told(&home, name));
    }
    assert_eq!(told(&home, last), "");
    for name in names {
        home.ok("secret.test", json!({ "secret": name }));
        assert_eq!(told(&home, name), "");
    }
}

#[test]
fn a_refresh_that_reached_nobody_says_so_after_a_kill_too() {
    let google = Google::oidc();
    let (mut gate, home, daemon) = behind_a_gate(&google, "[http]\nconnect_timeout = \"1s\"\n");
    let refused = answered(Way::Get.begin(&home, "ads")).unwrap().unwrap_err();
    assert_eq!(refused.name, "issuer_unreachable", "{refused}");
    assert!(told(&home, "ads").contains("nothing was sent"), "{}", told(&home, "ads"));
    daemon.kill9();
    let _daemon = home.start();
    let unsent = told(&home, "ads");
    assert!(unsent.contains("nothing was sent") && !unsent.contains("not known"), "{unsent}");
    gate.open();
    home.ok("secret.retry", json!({ "secret": "ads" }));
    assert_eq!(settled(&home, "ads")["status"], "succeeded");
    the_newest_is_kept(&google, &home, "ads");
}

#[test]
fn a_request_that_was_sent_is_told_beside_a_later_one_that_was_not() {
    let google = Google::oidc();
    let (mut gate, home, daemon) = behind_a_gate(&google, "[http]\nconnect_timeout = \"1s\"\n");
    gate.open();
    google.hold(Hold::Before);
    let _caller = Way::Get.begin(&home, "ads");
    google.until_held(1);
    daemon.kill9();
    google.hang_up();
    gate.shut();
    let _daemon = home.start();
    answered(Way::Get.begin(&home, "ads")).unwrap().unwrap_err();
    let both = told(&home, "ads");
    assert!(both.contains("nothing was sent") && is_sent_and_unknown(&both), "{both}");
    gate.open();
    home.ok("secret.retry", json!({ "secret": "ads" }));
    assert_eq!(settled(&home, "ads")["status"], "succeeded");
    the_newest_is_kept(&google, &home, "ads");
}

#[test]
fn a_connection_that_broke_off_is_told_and_known_after_a_kill_too() {
    let google = Google::oidc();
    let (home, mut daemon) = open_vault();
    google.configure(&home);
    google.granted(&home, "ads");
    for hold in [Hold::Before, Hold::After] {
        google.hold(hold);
        let caller = Way::Get.begin(&home, "ads");
        google.until_held(1);
        google.hang_up();
        let refused = answered(caller).unwrap().unwrap_err();
        let broken = told(&home, "ads");
        assert_eq!(refused.name, "issuer_unreachable", "{hold:?}: {refused}");
        assert!(broken.contains("the request was sent, and its answer is not known"), "{hold:?}: {broken}");
        daemon.kill9();
        daemon = home.start();
        assert_eq!(told(&home, "ads"), broken, "{hold:?}");
        home.ok("secret.retry", json!({ "secret": "ads" }));
        let status = if hold == Hold::Before { "succeeded" } else { "manual_authorization" };
        assert_eq!(settled(&home, "ads")["status"], status, "{hold:?}");
        assert_eq!(told(&home, "ads"), "", "{hold:?}");
    }
}

#[test]
fn a_kill_while_it_is_sent_never_hides_that_it_was() {
    let google = Google::oidc();
    // what comes after the kill, and is looked at later, does no harm
    google.rotates(false);
    let (home, mut daemon) = open_vault();
    google.configure(&home);
    google.granted(&home, "ads");
    let (mut came, mut known) = (0, 0);
    for round in 0..ROUNDS {
        let before = google.seen().refreshes;
        google.hold(Hold::Before);
        let caller = Way::Test.begin(&home, "ads");
        now_and_then();
        daemon.kill9();
        assert!(answered(caller).is_none());
        let has_come = google.seen().refreshes > before;
        google.hang_up();
        daemon = home.start();
        let told = told(&home, "ads");
        let is_known = is_sent_and_unknown(&told);
        assert!(is_known || told.is_empty() && !has_come, "round {round}: {told}");
        (came, known) = (came + u32::from(has_come), known + u32::from(is_known));
        the_newest_is_kept(&google, &home, "ads");
    }
    writeln!(std::io::stderr(), "{ROUNDS} rounds: {came} requests came, {known} were known").ok();
}

/// Kills the daemon while the issuer holds its request, hangs up, and starts it again before an issuer that holds what
/// comes now; answers the new one once the words are seen.
fn killed(google: &Google, home: &Home, daemon: Daemon, way: Way, hold: Hold) -> Daemon {
    google.hold(hold);
    let caller = way.begin(home, "ads");
    google.until_held(1);
    daemon.kill9();
    assert!(answered(caller).is_none());
    google.hang_up();
    google.hold(Hold::Before);
    let daemon = home.start();
    assert!(is_sent_and_unknown(&told(home, "ads")), "{way:?}: {}", told(home, "ads"));
    let shown = home.cli(&["secret", "show", "ads"]).ok();
    assert!(shown.out.contains("a request was sent at "), "{}", shown.out);
    daemon
}

fn untaken(google: &Google) {
    let (home, mut daemon) = open_vault();
    google.configure(&home);
    google.granted(&home, "ads");
    for way in WAYS {
        daemon = killed(google, &home, daemon, way, Hold::Before);
        google.release();
        assert_eq!(settled(&home, "ads")["status"], "succeeded", "{way:?}");
        // a retry was taken up by the start, and was answered; the others wait for who asks next
        assert_eq!(told(&home, "ads").is_empty(), way == Way::Retry, "{way:?}");
        the_newest_is_kept(google, &home, "ads");
    }
}

#[test]
fn what_was_sent_and_not_taken_is_known_and_mends_itself_at_oidc_provider() {
    untaken(&Google::oidc());
}

#[test]
fn what_was_sent_and_not_taken_is_known_and_mends_itself_at_authlib() {
    untaken(&Google::authlib());
}

/// What was taken and rotated: an issuer that takes a refresh token once alone asks for a person, and it is told how.
fn rotated(google: &Google) {
    let (home, mut daemon) = open_vault();
    google.configure(&home);
    google.granted(&home, "ads");
    for way in WAYS {
        let served = home.artifact("ads")["value"].clone();
        let before = google.seen();
        daemon = killed(google, &home, daemon, way, Hold::After);
        google.release();
        // a retry is taken up by the start
        if way != Way::Retry {
            // a test says what it found, and changes nothing but that there was an answer
            let refused = answered(Way::Test.begin(&home, "ads")).unwrap().unwrap_err();
            assert!(refused.message.contains("invalid_grant"), "{refused}");
            assert_eq!(told(&home, "ads"), "", "{way:?}");
            let refused = answered(Way::Get.begin(&home, "ads")).unwrap().unwrap_err();
            assert!(refused.name == "needs_authorization" && refused.hint.ends_with(MENDS), "{refused}");
        }
        let after = settled(&home, "ads");
        assert_eq!(google.seen().presented, before.issued, "the old one was all there was");
        assert_eq!(after["status"], "manual_authorization", "{way:?}: {after}");
        let refresh = (way != Way::Retry).then_some(&after["refresh_status_details"]);
        for details in [&after["status_details"]].into_iter().chain(refresh) {
            let details = details.as_str().unwrap_or_default();
            assert!(details.contains("invalid_grant"), "{way:?}: {after}");
            assert!(details.ends_with(MENDS), "{way:?}: {after}");
        }
        assert_eq!(home.artifact("ads")["value"], served, "it is served until it expires");
        google.land(&ask_again(&home, "ads"));
        assert_eq!(settled(&home, "ads")["status"], "succeeded");
        the_newest_is_kept(google, &home, "ads");
    }
}

#[test]
fn what_was_taken_and_rotated_is_known_and_asks_for_a_person_at_oidc_provider() {
    rotated(&Google::oidc());
}

#[test]
fn what_was_taken_and_rotated_is_known_and_asks_for_a_person_at_authlib() {
    rotated(&Google::authlib());
}

fn taken(google: &Google) {
    let (home, mut daemon) = open_vault();
    google.rotates(false);
    google.configure(&home);
    google.granted(&home, "ads");
    for way in WAYS {
        daemon = killed(google, &home, daemon, way, Hold::After);
        google.release();
        assert_eq!(settled(&home, "ads")["status"], "succeeded", "{way:?}");
        // a retry was taken up by the start, and was answered; the others wait for who asks next
        assert_eq!(told(&home, "ads").is_empty(), way == Way::Retry, "{way:?}");
        the_newest_is_kept(google, &home, "ads");
    }
}

#[test]
fn what_was_taken_and_not_rotated_is_known_and_mends_itself_at_oidc_provider() {
    taken(&Google::oidc());
}

#[test]
fn what_was_taken_and_not_rotated_is_known_and_mends_itself_at_authlib() {
    taken(&Google::authlib());
}

#[test]
fn what_has_ended_before_the_kill_is_told_as_it_ended() {
    let google = Google::authlib();
    let (home, daemon) = open_vault();
    google.configure(&home);
    google.granted(&home, "ads");
    google.hold(Hold::After);
    let caller = Way::Get.begin(&home, "ads");
    google.until_held(1);
    assert!(is_sent_and_unknown(&told(&home, "ads")), "while it runs too: {}", told(&home, "ads"));
    google.release();
    let fresh = answered(caller).unwrap().unwrap();
    daemon.kill9();
    let _daemon = home.start();
    let secret = show(&home, "ads");
    assert_eq!((&secret["refresh_status"], told(&home, "ads").as_str()), (&json!("succeeded"), ""));
    assert_eq!(home.artifact("ads")["value"], fresh["value"]);
    the_newest_is_kept(&google, &home, "ads");
}
