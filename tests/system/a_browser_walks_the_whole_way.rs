//! A real browser goes the whole way, from the address to our page: it says how it ended, at a phone's width and a desk's, with
//! scripts or without, and leaves nothing of the grant in address bar, history or referrer.

use bursar_tests::browser::{Landed, Look};
use bursar_tests::google::{ask, ask_again, of_another_site};
use bursar_tests::http::parameters;
use bursar_tests::{Browser, Choice, Daemon, Google, Home, open_vault};
use serde_json::json;

fn configured(google: &Google) -> (Home, Daemon) {
    let (home, daemon) = open_vault();
    google.configure(&home);
    (home, daemon)
}

/// That a page is ours, and plain: it runs and loads nothing, fits, and holds nothing that was in its redirect.
#[track_caller]
fn is_ours(landed: &Landed, url: &str) {
    let policy = &landed.headers["content-security-policy"];
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{landed:?}");
    assert!(policy.contains("frame-ancestors 'none'"), "{landed:?}");
    for (header, value) in [
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
    ] {
        assert_eq!(landed.headers[header], value, "{landed:?}");
    }
    assert!(landed.scripts == 0 && landed.ran.is_empty() && landed.referrer.is_empty(), "{landed:?}");
    assert!(!landed.overflows() && landed.widths.len() == 2, "{landed:?}");
    // what a browser asks for by itself is sent without a referrer
    assert!(landed.requests.iter().all(|(_, referrer)| referrer.is_none()), "{landed:?}");
    assert!(landed.title.ends_with(" · Bursar"), "{landed:?}");
    let shown =
        format!("{} {} {}", landed.title, landed.text, landed.headers.values().cloned().collect::<String>());
    assert!(!shown.contains(&parameters(url)["state"]), "{landed:?}");
}

/// That the address bar and the history know nothing of a redirect.
#[track_caller]
fn is_forgotten(landed: &Landed, url: &str) {
    let callback = &parameters(url)["redirect_uri"];
    for address in landed.history.iter().chain([&landed.address]) {
        assert!(!address.contains("code=") && !address.starts_with(callback.as_str()), "{landed:?}");
    }
    let path = landed.address.split_once("/oauth2/result/").unwrap().1;
    assert!(!path.is_empty() && path.bytes().all(|byte| byte.is_ascii_hexdigit()), "{landed:?}");
    let (callback_hop, status) = landed.redirects.last().unwrap();
    assert!(callback_hop.starts_with(callback.as_str()) && *status == 303, "{landed:?}");
}

#[test]
fn who_allows_lands_on_a_page_that_says_that_it_worked() {
    let mut browser = Browser::start();
    for google in [Google::oidc(), Google::authlib()] {
        let (home, _daemon) = configured(&google);
        for (name, scripts) in [("ads", true), ("b", false)] {
            let url = ask(&home, name);
            // Google is another site, and so is this name
            let landed =
                browser.walk_with(&of_another_site(&url), Choice::Allow, Look { scripts, pictures: None });
            assert_eq!(landed.status, Some(200), "{landed:?}");
            is_ours(&landed, &url);
            is_forgotten(&landed, &url);
            assert!(landed.text.contains(&format!("personal/{name} is authorized")), "{landed:?}");
            assert_eq!(home.ok("secret.wait", json!({ "secret": name }))["status"], "succeeded");
            home.artifact(name);
        }
        assert_eq!((google.seen().codes, google.seen().codes_granted), (2, 2));
    }
}

#[test]
fn who_denies_lands_on_a_page_that_says_what_to_do() {
    let mut browser = Browser::start();
    for google in [Google::oidc(), Google::authlib()] {
        let (home, _daemon) = configured(&google);
        let url = ask(&home, "ads");
        let landed = browser.walk(&of_another_site(&url), Choice::Deny);
        is_ours(&landed, &url);
        is_forgotten(&landed, &url);
        for words in
            ["personal/ads is not authorized", "access_denied", "bursar secret reauthorize personal/ads"]
        {
            assert!(landed.text.contains(words), "{landed:?}");
        }
        assert_eq!(home.ok("secret.wait", json!({ "secret": "ads" }))["status"], "failed");
    }
}

#[test]
fn who_comes_again_or_late_or_by_a_wrong_address_is_told() {
    let mut browser = Browser::start();
    let google = Google::oidc();
    let (home, _daemon) = configured(&google);
    let late = ask(&home, "ads");
    let late_redirect = google.consent(&late);
    let url = ask_again(&home, "ads");
    let redirect = google.consent(&url);
    let wrong = redirect.replace(&parameters(&url)["state"], "wrong");
    for (address, words) in [
        (&wrong, "This address authorizes nothing"),
        (&late_redirect, "This authorization is over"),
        (&redirect, "personal/ads is authorized"),
        (&redirect, "This address was used already"),
    ] {
        let landed = browser.walk(address, Choice::Nothing);
        is_ours(&landed, &url);
        assert!(landed.text.contains(words), "{landed:?}");
        assert!(!landed.text.contains(&parameters(&redirect)["code"]), "{landed:?}");
    }
    assert_eq!(google.seen().codes, 1);
    let nobody = browser.walk(&late, Choice::Allow);
    assert!(nobody.text.contains("This authorization is over"), "the late address itself: {nobody:?}");
}

#[test]
fn a_name_that_fills_its_place_still_fits() {
    let mut browser = Browser::start();
    let google = Google::authlib();
    let (home, _daemon) = configured(&google);
    let organization = "o".repeat(39);
    home.ok("organization.create", json!({ "organization": organization }));
    let name = format!("{organization}/{}", "n".repeat(100));
    for (choice, words) in [(Choice::Deny, "is not authorized"), (Choice::Allow, "is authorized")] {
        let url = if choice == Choice::Deny { ask(&home, &name) } else { ask_again(&home, &name) };
        let landed = browser.walk(&url, choice);
        is_ours(&landed, &url);
        assert!(landed.text.contains(&format!("{name} {words}")), "{landed:?}");
    }
}
