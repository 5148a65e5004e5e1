//! Whoever waits for a person is told as soon as none can come any more: the secret is gone, deactivated, or has its token by another way,
//! the daemon stops, the vault is locked with the outcome on its way. And nobody who waits holds the daemon up.

use bursar_tests::google::{ask, ask_again, exchanged_at, is_closed, port};
use bursar_tests::http::{get, send};
use bursar_tests::rotation::answered;
use bursar_tests::{Google, Hold, Home, RawSocket, open_vault, until};
use serde_json::json;

/// Somebody who waits, and is waiting by now.
fn waiting(home: &Home) -> RawSocket {
    let mut socket = home.connect();
    socket.ask("secret.wait", &json!({ "secret": "ads" }));
    // answered in their order, so that the wait has begun
    socket.ask("hello", &json!({}));
    assert_eq!(socket.json()["result"]["agent"], "bursard");
    socket
}

fn nobody_can_come(home: &Home) {
    exchanged_at(home, "http://127.0.0.1:1/token");
    ask(home, "ads");
}

#[test]
fn a_stop_waits_for_nobody_who_waits_for_a_person() {
    let (home, daemon) = open_vault();
    nobody_can_come(&home);
    let waits = [waiting(&home), waiting(&home)];
    assert!(daemon.stop().success());
    assert!(!home.log().contains("still under way"), "{}", home.log());
    for wait in waits {
        assert_eq!(answered(wait).unwrap().unwrap_err().name, "stopping");
    }
}

#[test]
fn a_secret_that_is_deleted_is_waited_for_no_more() {
    let (home, _daemon) = open_vault();
    nobody_can_come(&home);
    let wait = waiting(&home);
    home.ok("secret.delete", json!({ "secret": "ads" }));
    assert_eq!(answered(wait).unwrap().unwrap_err().name, "not_found");
}

#[test]
fn a_secret_that_is_deactivated_is_waited_for_no_more() {
    let (home, _daemon) = open_vault();
    nobody_can_come(&home);
    let wait = waiting(&home);
    // what happens to others ends no wait
    ask(&home, "others");
    home.ok("secret.deactivate", json!({ "secret": "ads" }));
    let told = answered(wait).unwrap().unwrap();
    assert_eq!((&told["active"], &told["status"]), (&json!(false), &json!("manual_authorization")));
}

#[test]
fn an_address_is_over_once_there_is_a_token_by_another_way() {
    let (home, _daemon) = open_vault();
    let google = Google::authlib();
    google.configure(&home);
    google.granted(&home, "ads");
    let url = ask_again(&home, "ads");
    let wait = waiting(&home);
    home.ok("secret.retry", json!({ "secret": "ads" }));
    assert_eq!(answered(wait).unwrap().unwrap()["status"], "succeeded");
    // where nobody else is asked there is not even a page that says so
    if let Ok(page) = send("GET", &google.consent(&url), &[], None) {
        assert!(page.status == 400 && page.body.contains("This authorization is over"), "{}", page.body);
    }
    assert_eq!(google.seen().codes, 1);
    google.revoke_all();
    home.ok("secret.retry", json!({ "secret": "ads" }));
    let secret = home.ok("secret.wait", json!({ "secret": "ads" }));
    assert_eq!(secret["status"], "manual_authorization", "nobody can come by that address: {secret}");
}

#[test]
fn a_vault_that_is_locked_meanwhile_is_told_of() {
    let (home, _daemon) = open_vault();
    let google = Google::oidc();
    google.configure(&home);
    let redirect = google.consent(&ask(&home, "ads"));
    google.hold(Hold::After);
    get(&redirect);
    google.until_held(1);
    let wait = waiting(&home);
    home.ok("vault.lock", json!({}));
    google.release();
    assert_eq!(answered(wait).unwrap().unwrap_err().name, "locked");
    home.ok("vault.unlock", json!({}));
    until("the outcome is kept", || {
        (home.ok("secret.show", json!({ "secret": "ads" }))["status"] == "succeeded").then_some(())
    });
}

#[test]
fn a_backup_that_is_restored_ends_every_authorization() {
    let (home, _daemon) = open_vault();
    let google = Google::authlib();
    google.configure(&home);
    let url = ask(&home, "ads");
    let wait = waiting(&home);
    let backup = home.path().join("backup");
    home.ok("vault.backup", json!({ "file": backup }));
    home.ok("vault.restore", json!({ "file": backup, "key_file": home.key_file() }));
    assert_eq!(answered(wait).unwrap().unwrap()["status"], "manual_authorization");
    until("nobody needs the listener", || is_closed(&url).then_some(()));
    // and it does not count where another one opens it anew
    let next = ask(&home, "others");
    let redirect = google.consent(&url).replace(&port(&url).to_string(), &port(&next).to_string());
    let page = get(&redirect);
    assert!(page.status == 400 && page.body.contains("authorizes nothing"), "{}", page.body);
    assert_eq!(google.seen().codes, 0);
    google.land(&ask_again(&home, "ads"));
    assert_eq!(home.ok("secret.wait", json!({ "secret": "ads" }))["status"], "succeeded");
}
