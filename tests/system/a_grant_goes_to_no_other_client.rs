//! What a person allowed to one OAuth client is sent to no other: neither the code, where another is set up while the person
//! is away, nor the refresh token. A client that is set up by mistake costs no grant.

use bursar_tests::google::{ask, exchanged_at, redirected};
use bursar_tests::http::visit;
use bursar_tests::rotation::{settled, show};
use bursar_tests::{FaultIssuer, Google, Reply, open_vault};
use serde_json::json;

#[test]
fn a_code_is_for_the_client_for_which_the_person_was_asked() {
    let (home, _daemon) = open_vault();
    let [first, second] = [(); 2].map(|()| FaultIssuer::new(Reply::Grant(3_600)));
    exchanged_at(&home, &first.token_url());
    let url = ask(&home, "ads");
    exchanged_at(&home, &second.token_url());
    let (_, page) = visit(&redirected(&url, "code=4711"));
    assert!(page.body.contains("personal/ads is not authorized"), "{}", page.body);
    assert!(page.body.contains("bursar secret reauthorize personal/ads"), "{}", page.body);
    let secret = settled(&home, "ads");
    assert_eq!(secret["status"], "failed", "{secret}");
    let details = secret["status_details"].as_str().unwrap();
    assert!(details.contains("another OAuth client was set up meanwhile"), "{details}");
    assert_eq!((first.count(), second.count()), (0, 0), "the code went to nobody");
}

#[test]
fn the_same_client_with_another_secret_is_no_other() {
    let (home, _daemon) = open_vault();
    let google = Google::authlib();
    exchanged_at(&home, &google.token_url(3_600));
    let settings = |client_secret: &str| {
        home.ok(
            "issuer.configure",
            json!({
                "issuer": "google", "client_id": google.client_id, "client_secret": client_secret,
                "authorization_url": google.authorization_url(), "token_url": google.token_url(3_600),
            }),
        );
    };
    settings("of-last-year");
    let url = ask(&home, "ads");
    settings(google.client_secret);
    google.land(&url);
    assert_eq!(settled(&home, "ads")["status"], "succeeded");
}

#[test]
fn a_client_that_was_set_up_by_mistake_costs_no_grant() {
    let (home, daemon) = open_vault();
    let google = Google::oidc();
    google.configure(&home);
    google.granted(&home, "ads");
    let mistake = FaultIssuer::new(Reply::Grant(3_600));
    exchanged_at(&home, &mistake.token_url());
    home.ok("secret.retry", json!({ "secret": "ads" }));
    let secret = settled(&home, "ads");
    assert_eq!(secret["status"], "manual_authorization", "{secret}");
    assert!(
        secret["status_details"].as_str().unwrap().contains("another client id or token url"),
        "{secret}"
    );
    assert_eq!(mistake.count(), 0);
    drop(daemon);
    let _daemon = home.start();
    google.configure(&home);
    home.ok("secret.retry", json!({ "secret": "ads" }));
    assert_eq!(settled(&home, "ads")["status"], "succeeded", "{}", show(&home, "ads"));
    assert_eq!(google.seen().codes, 1, "nobody was asked again");
}
