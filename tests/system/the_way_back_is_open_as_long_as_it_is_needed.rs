//! The port on which a browser comes back is there while a person may authorize, for all secrets at once, and closed after
//! the last; where it cannot be opened nothing is begun.

use bursar_tests::google::{ads, ask, ask_again, is_closed, port};
use bursar_tests::{Google, Home, configured, open_vault, until};
use serde_json::{Value, json};
use std::net::{Ipv4Addr, TcpListener};

fn show(home: &Home, name: &str) -> Value {
    home.ok("secret.show", json!({ "secret": name }))
}

fn wait(home: &Home, name: &str) -> Value {
    home.ok("secret.wait", json!({ "secret": name }))
}

/// A port that nobody has, and what keeps it from others.
fn taken_port() -> (TcpListener, u16) {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    (taken, port)
}

#[test]
fn two_secrets_are_authorized_at_the_same_time_in_either_order() {
    for google in [Google::oidc(), Google::authlib()] {
        let (home, _daemon) = open_vault();
        google.configure(&home);
        for names in [["a", "b"], ["c", "d"]] {
            let urls = names.map(|name| ask(&home, name));
            assert_eq!(port(&urls[0]), port(&urls[1]), "they share it");
            let mut redirects = urls.each_ref().map(|url| google.consent(url));
            let mut order = names;
            if names[0] == "c" {
                redirects.reverse();
                order.reverse();
            }
            for (redirect, name) in redirects.iter().zip(order) {
                let (_, page) = bursar_tests::http::visit(redirect);
                assert!(page.body.contains(&format!("personal/{name} is authorized")), "{page:?}");
                assert_eq!(wait(&home, name)["status"], "succeeded");
            }
            assert_ne!(home.artifact(names[0])["value"], home.artifact(names[1])["value"]);
        }
        assert_eq!(google.seen().codes_granted, 4);
    }
}

#[test]
fn the_port_is_closed_after_the_last_and_opened_again_for_the_next() {
    let google = Google::authlib();
    let (home, _daemon) = open_vault();
    google.configure(&home);
    let urls = ["a", "b"].map(|name| ask(&home, name));
    google.land(&urls[0]);
    wait(&home, "a");
    assert!(!is_closed(&urls[1]), "one waits yet");
    google.land(&urls[1]);
    wait(&home, "b");
    until("the port is closed", || is_closed(&urls[0]).then_some(()));
    let log = home.log();
    assert!(log.contains("the listener is closed"), "{log}");
    google.land(&ask_again(&home, "a"));
    assert_eq!(wait(&home, "a")["status"], "succeeded");
}

#[test]
fn a_port_that_is_taken_is_told_and_nothing_is_begun() {
    let google = Google::oidc();
    let (taken, number) = taken_port();
    let (home, _daemon) = configured(&format!("[authorization]\nport = {number}\n"));
    google.configure(&home);
    let scope = bursar_tests::google::SCOPES[0];
    let create = ["secret", "create", "ads", "--type", "oauth2-google", "--scopes", scope, "--json"];
    let run = home.cli(&create);
    let error = run.json_error();
    assert_eq!((run.code, &error["code"]), (7, &json!("no_listener")), "{run:?}");
    assert!(error["message"].as_str().unwrap().contains(&number.to_string()), "{error}");
    assert!(error["hint"].as_str().unwrap().contains("authorization.port"), "{error}");
    assert_eq!(home.ok("secret.list", json!({})), json!([]));
    drop(taken);
    // a process that another test was just starting may have it a moment longer
    until("nobody has the port", || TcpListener::bind((Ipv4Addr::LOCALHOST, number)).ok());

    let url = ask(&home, "ads");
    assert_eq!(port(&url), number);
    google.land(&url);
    let granted = wait(&home, "ads");
    assert_eq!(granted["status"], "succeeded");

    // and one that is there already stays as it is
    until("the port is closed", || is_closed(&url).then_some(()));
    let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, number)).unwrap();
    let edit = json!({ "secret": "ads", "expiration_date": "2090-01-01" });
    for (method, params) in [
        ("secret.reauthorize", json!({ "secret": "ads" })),
        ("secret.edit", edit),
        ("secret.create", ads("b")),
    ] {
        assert_eq!(home.refused(method, params), "no_listener", "{method}");
    }
    assert_eq!(show(&home, "ads"), granted);
    home.artifact("ads");
    home.ok("secret.retry", json!({ "secret": "ads" }));
    assert_eq!(wait(&home, "ads")["status"], "succeeded", "a refresh needs no port");
}

#[test]
fn an_agent_that_starts_anew_knows_of_no_address_and_says_so() {
    let google = Google::oidc();
    let (home, daemon) = open_vault();
    google.configure(&home);
    let url = ask(&home, "ads");
    let redirect = google.consent(&url);
    assert!(daemon.stop().success());
    assert!(is_closed(&url));

    let _daemon = home.start();
    let secret = show(&home, "ads");
    let details = secret["status_details"].as_str().unwrap();
    assert_eq!(secret["status"], "manual_authorization", "{secret}");
    assert!(details.contains("the agent was started anew"), "{secret}");
    assert!(details.contains("bursar secret reauthorize personal/ads"), "{secret}");
    assert_eq!(wait(&home, "ads"), secret, "nobody waits for what cannot come");
    let run = home.cli(&["wait", "ads"]);
    assert!(run.code == 6 && run.err.contains("bursar secret reauthorize personal/ads"), "{run:?}");
    let paste = json!({ "secret": "ads", "redirect": redirect });
    assert_eq!(home.refused("secret.authorize", paste), "needs_authorization");
    assert!(is_closed(&url), "nothing waits, so nobody listens");
    google.land(&ask_again(&home, "ads"));
    assert_eq!(wait(&home, "ads")["status"], "succeeded");
}
