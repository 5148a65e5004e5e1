//! What a person granted reaches its secret whatever else asks for it meanwhile, and whatever else an answer says.

use bursar_tests::google::{ask, ask_again, exchanged_at, redirected};
use bursar_tests::http::get;
use bursar_tests::rotation::{Way, answered, settled, show};
use bursar_tests::{FaultIssuer, Google, Hold, Reply, open_vault};
use serde_json::{Value, json};

#[test]
fn a_test_takes_no_code() {
    let (home, _daemon) = open_vault();
    let google = Google::authlib();
    google.configure(&home);
    google.granted(&home, "ads");
    google.hold(Hold::Before);
    let refresh = Way::Get.begin(&home, "ads");
    google.until_held(1);
    // it waits for its turn behind the refresh
    let test = Way::Test.begin(&home, "ads");
    let redirect = google.consent(&ask_again(&home, "ads"));
    assert_eq!(get(&redirect).status, 303);
    google.release();
    assert_eq!(answered(test).unwrap().unwrap_err().name, "conflict");
    answered(refresh).unwrap().ok();
    assert_eq!(settled(&home, "ads")["status"], "succeeded", "{}", show(&home, "ads"));
    assert_eq!(google.seen().codes_granted, 2);
}

#[test]
fn a_refresh_token_is_kept_whatever_lifetime_its_answer_says() {
    kept_whatever(json!(5), "the shortest lifetime is 20 s");
}

#[test]
fn a_refresh_token_is_kept_whatever_else_of_its_answer_cannot_be_used() {
    kept_whatever(json!("an hour"), "expires_in is no whole number of seconds");
}

fn kept_whatever(useless: Value, details: &str) {
    let (home, daemon) = open_vault();
    let tokens = |token: &str, lifetime: Value| {
        let answer = json!({ "access_token": "at", "refresh_token": token, "expires_in": lifetime });
        Reply::Answer(200, "application/json", answer.to_string())
    };
    let hour = || json!(3_600);
    let issuer = FaultIssuer::new(Reply::Drop);
    exchanged_at(&home, &issuer.token_url());
    issuer.then(tokens("first", hour())).then(tokens("second", useless)).then(tokens("third", hour()));
    let url = ask(&home, "ads");
    get(&redirected(&url, "code=4711"));
    assert_eq!(settled(&home, "ads")["status"], "succeeded");
    home.ok("secret.retry", json!({ "secret": "ads" }));
    let secret = settled(&home, "ads");
    assert!(secret["status_details"].as_str().unwrap().contains(details), "{secret}");
    daemon.kill9();
    let _daemon = home.start();
    home.ok("secret.retry", json!({ "secret": "ads" }));
    assert_eq!(settled(&home, "ads")["status"], "succeeded");
    assert_eq!(issuer.requests().last().unwrap().form["refresh_token"], "second");
}
