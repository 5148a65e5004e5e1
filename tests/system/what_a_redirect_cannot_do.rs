//! A redirect counts once, for its own secret, while its authorization is the last one: any other changes nothing, and
//! leaves the one that waits usable.

use bursar_tests::google::{ask, ask_again, exchanged_at, is_closed, port, redirected};
use bursar_tests::http::{Response, get, parameters, visit};
use bursar_tests::{Daemon, FaultIssuer, Google, Home, Reply, open_vault, until};
use serde_json::{Value, json};

fn both() -> [Google; 2] {
    [Google::oidc(), Google::authlib()]
}

fn configured(google: &Google) -> (Home, Daemon) {
    let (home, daemon) = open_vault();
    google.configure(&home);
    (home, daemon)
}

fn status(home: &Home, name: &str) -> Value {
    home.ok("secret.show", json!({ "secret": name }))["status"].take()
}

fn wait(home: &Home, name: &str) -> Value {
    home.ok("secret.wait", json!({ "secret": name }))
}

/// What a page says that takes no redirect.
#[track_caller]
fn refusing(response: &Response, title: &str) {
    assert_eq!(response.status, 400, "{response:?}");
    assert!(response.body.contains(&format!("<h1 class=\"bad\">{title}</h1>")), "{response:?}");
}

#[test]
fn who_denies_is_told_so_and_may_start_over() {
    for google in both() {
        let (home, _daemon) = configured(&google);
        let (_, page) = visit(&google.deny(&ask(&home, "ads")));
        assert_eq!(page.status, 200);
        assert!(page.body.contains("personal/ads is not authorized"), "{page:?}");
        assert!(page.body.contains("bursar secret reauthorize personal/ads"), "{page:?}");
        let secret = wait(&home, "ads");
        let details = secret["status_details"].as_str().unwrap();
        assert_eq!(secret["status"], "failed", "{secret}");
        assert!(
            details.contains("access_denied") && details.contains("bursar secret reauthorize personal/ads")
        );
        let run = home.cli(&["get", "ads"]);
        assert!(run.code == 7 && run.err.contains("bursar secret reauthorize personal/ads"), "{run:?}");
        assert_eq!(google.seen().codes, 0);
        google.land(&ask_again(&home, "ads"));
        assert_eq!(wait(&home, "ads")["status"], "succeeded");
    }
}

#[test]
fn a_state_that_is_wrong_or_missing_authorizes_nothing_and_uses_nothing_up() {
    for google in both() {
        let (home, _daemon) = configured(&google);
        let url = ask(&home, "ads");
        let redirect = google.consent(&url);
        let state = &parameters(&url)["state"];
        let other = if state.starts_with('A') { "B" } else { "A" };
        let first = format!("state={}", &state[..1]);
        for wrong in [
            redirect.replace(state, "wrong"),
            redirect.replace(&first, &format!("state={other}")),
            redirect.replace(state, &format!("{state}A")),
            redirect.replace(state, ""),
            redirect.replace("state=", "stat="),
            format!("{redirect}&state={state}"),
            format!("{redirect}&code=another"),
            redirect.replace("code=", "cod="),
            parameters(&url)["redirect_uri"].clone(),
        ] {
            refusing(&get(&wrong), "This address authorizes nothing");
        }
        assert_eq!((status(&home, "ads"), google.seen().codes), (json!("manual_authorization"), 0));
        let (landed, page) = visit(&redirect);
        assert!(page.body.contains("personal/ads is authorized"), "{page:?}");
        assert!(!landed.contains('?') && !landed.contains(state.as_str()), "{landed}");
    }
}

#[test]
fn a_second_visit_is_told_that_the_address_was_used() {
    for google in both() {
        let (home, _daemon) = configured(&google);
        let redirect = google.consent(&ask(&home, "ads"));
        let (landed, page) = visit(&redirect);
        let token = home.artifact("ads");
        assert_eq!(token["expires_at"], wait(&home, "ads")["expires_at"]);
        refusing(&get(&redirect), "This address was used already");
        assert_eq!(get(&landed).body, page.body, "the page can be loaded again");
        // the code is not sent again, by which both issuers would void the grant
        assert_eq!((google.seen().codes, status(&home, "ads")), (1, json!("succeeded")));
        assert_eq!(home.artifact("ads"), token);
        home.ok("secret.test", json!({ "secret": "ads" }));
    }
}

#[test]
fn two_visits_at_once_are_one_exchange() {
    let (home, _daemon) = open_vault();
    let tokens = json!({ "access_token": "at", "refresh_token": "rt", "expires_in": 3600 });
    let issuer = FaultIssuer::new(Reply::Answer(200, "application/json", tokens.to_string()));
    exchanged_at(&home, &issuer.token_url());
    let redirect = redirected(&ask(&home, "ads"), "code=4711");
    let pages = std::thread::scope(|scope| {
        let visits: Vec<_> = (0..8).map(|_| scope.spawn(|| get(&redirect))).collect();
        visits.into_iter().map(|visit| visit.join().unwrap().status).collect::<Vec<_>>()
    });
    let of = |status: u16| pages.iter().filter(|page| **page == status).count();
    assert_eq!((of(303), of(400)), (1, 7), "{pages:?}");
    assert_eq!((wait(&home, "ads")["status"].clone(), issuer.count()), (json!("succeeded"), 1));
}

#[test]
fn an_address_that_another_took_the_place_of_is_dead() {
    for google in both() {
        let (home, _daemon) = configured(&google);
        let dead = google.consent(&ask(&home, "ads"));
        let alive = ask_again(&home, "ads");
        assert_eq!(parameters(&dead)["state"].len(), parameters(&alive)["state"].len());
        let page = get(&dead);
        refusing(&page, "This authorization is over");
        assert!(page.body.contains("bursar secret reauthorize personal/ads"), "{page:?}");
        assert_eq!((status(&home, "ads"), google.seen().codes), (json!("manual_authorization"), 0));
        google.land(&alive);
        assert_eq!(wait(&home, "ads")["status"], "succeeded");
        refusing(&get(&dead), "This authorization is over");
    }
}

#[test]
fn an_hour_that_is_no_use_any_more_ends_at_once() {
    let google = Google::oidc();
    let (home, _daemon) = configured(&google);
    google.granted(&home, "ads");
    let url = ask_again(&home, "ads");
    // the grant of before is still good, and is used instead
    home.ok("secret.retry", json!({ "secret": "ads" }));
    assert_eq!(wait(&home, "ads")["status"], "succeeded");
    until("the listener is closed", || is_closed(&url).then_some(()));
    // a secret that is deleted takes its hour along
    let other = ask(&home, "other");
    assert!(!is_closed(&other));
    home.ok("secret.delete", json!({ "secret": "other" }));
    until("the listener is closed", || is_closed(&other).then_some(()));
}

#[test]
fn a_deleted_secret_is_authorized_by_nobody() {
    let google = Google::authlib();
    let (home, _daemon) = configured(&google);
    let url = ask(&home, "ads");
    let redirect = google.consent(&url);
    // another one holds the port open
    assert_eq!(port(&ask(&home, "other")), port(&url));
    home.ok("secret.delete", json!({ "secret": "ads" }));
    refusing(&get(&redirect), "This address authorizes nothing");
    ask(&home, "ads");
    refusing(&get(&redirect), "This address authorizes nothing");
    assert_eq!((status(&home, "ads"), google.seen().codes), (json!("manual_authorization"), 0));
}
