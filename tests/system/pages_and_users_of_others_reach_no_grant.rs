//! Pages of other sites, names that lead here, and other users of the machine bring no redirect home, and use none up, not
//! even the right one.

use bursar_tests::google::{ask, of_another_site};
use bursar_tests::http::{get, parameters, send, visit};
use bursar_tests::users::{as_user, can_become_others};
use bursar_tests::{Browser, Choice, Daemon, Google, Home, open_vault};
use serde_json::{Value, json};

/// A vault with a secret that waits for a person, and the redirect that authorizes it.
fn waiting(google: &Google) -> (Home, Daemon, String) {
    let (home, daemon) = open_vault();
    google.configure(&home);
    let redirect = google.consent(&ask(&home, "ads"));
    (home, daemon, redirect)
}

fn status(home: &Home) -> Value {
    home.ok("secret.show", json!({ "secret": "ads" }))["status"].take()
}

/// That nothing has happened, and the redirect still works.
#[track_caller]
fn still_works(google: &Google, home: &Home, redirect: &str) {
    assert_eq!((status(home), google.seen().codes), (json!("manual_authorization"), 0));
    let (_, page) = visit(redirect);
    assert!(page.body.contains("personal/ads is authorized"), "{page:?}");
    assert_eq!(status(home), "succeeded");
}

#[test]
fn a_page_of_another_site_learns_nothing_and_uses_nothing_up() {
    let mut browser = Browser::start();
    let google = Google::oidc();
    let (home, _daemon, redirect) = waiting(&google);
    let right = &parameters(&redirect)["state"];
    // what navigates there is a browser on its way: it is answered by the state it has
    let wrong = redirect.replace(right, "wrong");
    for target in [&wrong, &redirect] {
        for attempt in browser.attack(target) {
            if attempt.way == "navigation" {
                continue;
            }
            assert!(!attempt.outcome.contains("read:"), "{attempt:?}");
            assert!(matches!(attempt.status, None | Some(403)), "{target}: {attempt:?}");
        }
        if *target == wrong {
            assert_eq!((status(&home), google.seen().codes), (json!("manual_authorization"), 0));
        }
    }
    // a page that has the right one, and goes there, is what the issuer does
    assert_eq!((status(&home), google.seen().codes), (json!("succeeded"), 1));
}

#[test]
fn a_name_that_leads_here_is_no_address_of_ours() {
    let mut browser = Browser::start();
    let google = Google::oidc();
    let (home, _daemon, redirect) = waiting(&google);
    let rebound = of_another_site(&redirect);
    let landed = browser.walk(&rebound, Choice::Nothing);
    assert_eq!((landed.status, landed.text.trim()), (Some(403), "forbidden"), "{landed:?}");
    for host in ["localhost", "accounts.test", "127.0.0.1", "[::1]", "127.0.0.1:1"] {
        let answer = send("GET", &redirect, &[("host", host)], None).unwrap();
        assert_eq!(answer.status, 403, "{host}: {answer:?}");
    }
    still_works(&google, &home, &redirect);
}

#[test]
fn another_user_of_the_machine_brings_nothing_home() {
    if !can_become_others() {
        return;
    }
    for google in [Google::oidc(), Google::authlib()] {
        let (home, _daemon, redirect) = waiting(&google);
        let page = as_user(65_534, || get(&redirect));
        assert_eq!(page.status, 400, "{page:?}");
        assert!(page.body.contains("This browser is not known to be yours"), "{page:?}");
        assert!(!page.body.contains("ads"), "which secret is nobody's business: {page:?}");
        // and one that has no state learns no more than anybody
        let wrong = redirect.replace(&parameters(&redirect)["state"], "wrong");
        let [theirs, ours] = [as_user(65_534, || get(&wrong)), get(&wrong)];
        assert_eq!((theirs.status, theirs.body), (ours.status, ours.body));
        still_works(&google, &home, &redirect);
    }
}
