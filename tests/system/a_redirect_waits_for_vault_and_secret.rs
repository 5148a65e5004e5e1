//! A redirect that comes while the vault is locked or its secret deactivated is not lost: the page says what to do, and the
//! same address works afterwards.

use bursar_tests::google::ask;
use bursar_tests::http::{get, visit};
use bursar_tests::{Google, Hold, open_vault, until};
use serde_json::json;
use std::thread;

#[test]
fn a_vault_that_is_locked_when_the_browser_comes_back_is_unlocked_and_the_page_loaded_again() {
    for google in [Google::oidc(), Google::authlib()] {
        let (home, _daemon) = open_vault();
        google.configure(&home);
        let redirect = google.consent(&ask(&home, "ads"));
        home.ok("vault.lock", json!({}));
        let page = get(&redirect);
        assert_eq!(page.status, 400, "{page:?}");
        assert!(page.body.contains("The vault is locked") && page.body.contains("bursar unlock"), "{page:?}");
        assert!(!page.body.contains("ads"), "a locked vault names no secret: {page:?}");
        assert_eq!(home.cli(&["secret", "reauthorize", "ads"]).code, 3);
        assert_eq!(google.seen().codes, 0);
        home.ok("vault.unlock", json!({}));
        let (_, page) = visit(&redirect);
        assert!(page.body.contains("personal/ads is authorized"), "{page:?}");
        home.artifact("ads");
    }
}

#[test]
fn a_vault_that_is_locked_during_the_exchange_loses_nothing_of_it() {
    for google in [Google::oidc(), Google::authlib()] {
        let (home, _daemon) = open_vault();
        google.configure(&home);
        let redirect = google.consent(&ask(&home, "ads"));
        google.hold(Hold::After);
        thread::scope(|scope| {
            let page = scope.spawn(|| visit(&redirect).1);
            google.until_held(1);
            home.ok("vault.lock", json!({}));
            google.release();
            let page = page.join().unwrap();
            assert!(page.body.contains("The vault is locked"), "{page:?}");
        });
        home.ok("vault.unlock", json!({}));
        let secret = until("the outcome is kept", || {
            let secret = home.ok("secret.show", json!({ "secret": "ads" }));
            (secret["status"] == "succeeded").then_some(secret)
        });
        assert_eq!(home.artifact("ads")["expires_at"], secret["expires_at"]);
        // with the refresh token that only the agent's memory had
        home.ok("secret.test", json!({ "secret": "ads" }));
        assert_eq!((google.seen().codes, google.seen().refreshes_granted), (1, 1));
    }
}

#[test]
fn a_deactivated_secret_is_reactivated_and_the_page_loaded_again() {
    let google = Google::oidc();
    let (home, _daemon) = open_vault();
    google.configure(&home);
    let redirect = google.consent(&ask(&home, "ads"));
    home.ok("secret.deactivate", json!({ "secret": "ads" }));
    let page = get(&redirect);
    assert_eq!(page.status, 400, "{page:?}");
    for words in ["personal/ads is deactivated", "bursar secret reactivate personal/ads"] {
        assert!(page.body.contains(words), "{page:?}");
    }
    for method in ["secret.reauthorize", "artifact.get"] {
        assert_eq!(home.refused(method, json!({ "secret": "ads" })), "inactive", "{method}");
    }
    let paste = json!({ "secret": "ads", "redirect": redirect });
    assert_eq!(home.refused("secret.authorize", paste), "inactive");
    assert_eq!(google.seen().codes, 0);
    home.ok("secret.reactivate", json!({ "secret": "ads" }));
    let (_, page) = visit(&redirect);
    assert!(page.body.contains("personal/ads is authorized"), "{page:?}");
    home.artifact("ads");
}
