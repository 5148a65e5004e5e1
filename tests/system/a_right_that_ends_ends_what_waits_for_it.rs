//! A call that waits for an issuer is answered as its right stands when the issuer has answered.

use bursar_tests::client_secrets::{Issued, authenticated, issue};
use bursar_tests::library::{organization, site, until_past};
use bursar_tests::record::{counted, entries};
use bursar_tests::secrets::grant;
use bursar_tests::{Daemon, FaultIssuer, Home, RawSocket, Reply, open_vault};
use serde_json::{Value, json};

/// `acme/site` with the element `G`, whose secret has its tokens from the issuer.
fn with_site(first: Reply) -> (Home, Daemon, FaultIssuer) {
    let (home, daemon) = open_vault();
    organization(&home, "acme");
    let issuer = FaultIssuer::new(first);
    home.ok("secret.create", grant("acme/g", &issuer.token_url()));
    home.ok("package.publish", site("1.0.0", json!({ "G": { "development": "g" } }), json!([])));
    (home, daemon, issuer)
}

fn of_site() -> Value {
    json!({ "package": "acme/site", "version": "1.0.0", "environment": "development" })
}

fn element() -> Value {
    let mut params = of_site();
    params["element"] = json!("G");
    params
}

/// Calls, and answers once the call waits.
fn waiting(home: &Home, with: &[&Issued], method: &str, params: &Value) -> (RawSocket, u64) {
    let mut socket = authenticated(home, with);
    let id = socket.ask(method, params);
    let later = socket.ask("hello", &json!({}));
    assert_eq!(socket.json()["id"], later, "{method} should wait");
    (socket, id)
}

#[track_caller]
fn is_refused(socket: &mut RawSocket, id: u64, revoked: &Issued) {
    let answer = socket.json();
    let error = &answer["error"];
    assert_eq!((&answer["id"], &error["data"]["name"]), (&json!(id), &json!("client_secret_revoked")));
    assert!(error["message"].as_str().unwrap().contains(&revoked.id), "{answer}");
    assert!(!answer.to_string().contains("granted"), "{answer}");
}

#[test]
fn a_revoked_client_secret_gets_nothing_of_what_it_waited_for() {
    let (home, _daemon, issuer) = with_site(Reply::Held(3600));
    let (gone, good) = (issue(&home, "acme", "viewer", None), issue(&home, "acme", "viewer", None));
    issuer.until_count(1);
    let mut alone = waiting(&home, &[&gone], "package.get", &element());
    let mut resolving = waiting(&home, &[&gone], "package.resolve", &of_site());
    let mut other = waiting(&home, &[&good], "package.get", &element());
    let mut both = waiting(&home, &[&gone, &good], "package.get", &element());
    home.ok("client_secret.revoke", json!({ "id": gone.id }));
    issuer.release();
    is_refused(&mut alone.0, alone.1, &gone);
    is_refused(&mut resolving.0, resolving.1, &gone);
    // the others did wait, for a value that came
    for (socket, id) in [&mut other, &mut both] {
        let answer = socket.json();
        assert_eq!(
            (&answer["id"], &answer["result"]["value"]),
            (&json!(*id), &json!("granted-1")),
            "{answer}"
        );
    }
    let all = entries(&home);
    assert_eq!((counted(&all, "package.get", "ok"), counted(&all, "package.resolve", "ok")), (2, 0));
    for method in ["package.get", "package.resolve"] {
        assert_eq!(counted(&all, method, "client_secret_revoked"), 1, "{method}");
    }
}

#[test]
fn nor_of_a_fresher_value() {
    let (home, _daemon, issuer) = with_site(Reply::Grant(3600));
    let secret = home.ok("secret.wait", json!({ "secret": "acme/g" }));
    let (gone, good) = (issue(&home, "acme", "viewer", None), issue(&home, "acme", "viewer", None));
    // what is there lives shorter than that by now
    until_past(&secret["activated_at"]);
    issuer.from_now_on(Reply::Held(7200));
    let mut fresher = element();
    fresher["min_validity"] = json!(3600);
    let mut alone = waiting(&home, &[&gone], "package.get", &fresher);
    let mut other = waiting(&home, &[&good], "package.get", &fresher);
    issuer.until_count(2);
    home.ok("client_secret.revoke", json!({ "id": gone.id }));
    issuer.release();
    is_refused(&mut alone.0, alone.1, &gone);
    assert_eq!(other.0.json()["result"]["value"], "granted-2");
}
