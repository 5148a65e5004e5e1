//! The hours in which a person may authorize, under a clock that only the test moves and an issuer that answers as told.

use super::*;
use crate::agent::tests::{ADWORDS, Asked, PATIENCE, PUBSUB, Says, Stage};
use crate::config::{AuthorizationConfig, Config};
use bursar_proto::kind::Issuer;
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeMap;
use tokio::time::timeout;

impl Authorizations {
    /// Has the listener look at its time, as it does by itself after a nap.
    pub(crate) fn ring(&self) {
        self.bell.notify_one();
    }

    fn phases(&self) -> Vec<Phase> {
        self.inner().kept.iter().map(|one| one.phase).collect()
    }
}

/// A stage with a listener on a port that was free just now.
async fn stage_on_a_port() -> (Stage, u16) {
    let stage = Stage::configured().await;
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = Config { authorization: AuthorizationConfig { port }, ..Config::default() };
    stage.agent.reconfigure(config, stage.issuer.clone());
    (stage, port)
}

impl Stage {
    fn find(&self, state: &str) -> Result<Id, Refused> {
        self.agent.authorizations.find(state, self.now()).map(|landing| landing.secret)
    }

    /// Prepares an authorization by the side of the methods.
    fn prepare(&self) -> Result<Prepared, CallError> {
        let mut vault = self.agent.vault();
        let settings = vault.unlocked().unwrap().catalog.issuer(Issuer::Google).unwrap().1;
        self.agent.authorizations.prepare(&self.agent, settings, &[PUBSUB.to_owned()], 0)
    }

    /// Waits until the listener has closed, and with it all that goes on by itself.
    async fn closes(&self, port: u16) {
        timeout(PATIENCE, self.settle()).await.expect("the listener stays open");
        drop(TcpListener::bind(("127.0.0.1", port)).expect("the port is free again"));
    }
}

fn state_in(url: &str) -> String {
    let url = Url::parse(url).unwrap();
    url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned()
}

/// Lets the listener have its turn.
async fn looked() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

fn is_open(port: u16) -> bool {
    let bound = TcpListener::bind(("127.0.0.1", port));
    bound.is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
}

#[tokio::test]
async fn the_url_holds_what_the_standards_and_the_issuers_row_ask_for_and_nothing_else() {
    let stage = Stage::configured().await;
    let both = json!({ "scopes": [PUBSUB, ADWORDS] });
    let params = json!({ "secret": "x", "type": "oauth2-google", "credentials": both });
    let asked = Asked::of(stage.ok("secret.create", params).await);
    let mut url = asked.url.clone();
    url.set_query(None);
    assert_eq!(url.as_str(), "https://accounts.google.com/o/oauth2/v2/auth");
    let (oauth_state, challenge) = (asked.parameter("state"), asked.parameter("code_challenge"));
    let redirect_uri = format!("http://127.0.0.1:{}/oauth2/callback", asked.port());
    let scope = format!("{PUBSUB} {ADWORDS}");
    let expected = BTreeMap::from([
        // RFC 6749 section 4.1.1
        ("response_type", "code"),
        ("client_id", "client"),
        ("redirect_uri", &redirect_uri),
        ("scope", &scope),
        ("state", &oauth_state),
        // RFC 7636 section 4.3
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
        // the row
        ("access_type", "offline"),
        ("prompt", "consent"),
    ]);
    let pairs: Vec<_> = asked.url.query_pairs().collect();
    assert_eq!(pairs.len(), expected.len());
    let held: BTreeMap<&str, &str> = pairs.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(held, expected);
    assert_eq!(asked.shown["authorization_url_expires_at"], json!(stage.now().plus(HOUR)));

    stage.issuer.says(&[Says::Token(3_600, Some("r"))]);
    stage.authorize("x", &asked.redirect("code=4%2F0Ab")).await.unwrap();
    let offered = &stage.issuer.offered()[0];
    let (verifier, sent_to) = offered.of_code.clone().unwrap();
    // RFC 7636 sections 4.1 and 4.2
    assert!((43..=128).contains(&verifier.len()), "{verifier}");
    assert!(verifier.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b)), "{verifier}");
    let digest = digest::digest(&digest::SHA256, verifier.as_bytes());
    assert_eq!(challenge, URL_SAFE_NO_PAD.encode(digest));
    assert_eq!((&*offered.proof, sent_to), ("code 4/0Ab", redirect_uri));
    assert_eq!(offered.client, "client client-secret at https://oauth2.googleapis.com/token");
    assert!(!asked.url.as_str().contains(&verifier) && oauth_state != challenge && oauth_state.len() >= 43);
}

#[tokio::test]
async fn the_url_keeps_what_the_issuers_address_holds_already() {
    let stage = Stage::set().await;
    let client = json!({
        "issuer": "google", "client_id": "a&b", "client_secret": "s",
        "authorization_url": "https://issuer.example/auth?tenant=1",
    });
    stage.ok("issuer.configure", client).await;
    let asked = stage.ask("x").await;
    assert!(asked.url.as_str().starts_with("https://issuer.example/auth?tenant=1&response_type=code&"));
    assert_eq!(asked.parameter("client_id"), "a&b");
}

#[tokio::test]
async fn every_authorization_draws_its_own_state_and_verifier() {
    let stage = Stage::configured().await;
    let (one, other) = (stage.ask("x").await, stage.ask("y").await);
    assert_eq!(one.port(), other.port());
    for name in ["state", "code_challenge"] {
        assert_ne!(one.parameter(name), other.parameter(name), "{name}");
    }
}

#[tokio::test]
async fn a_state_is_found_whole_and_is_used_once() {
    let stage = Stage::configured().await;
    let asked = stage.ask("x").await;
    let (id, oauth_state) = (stage.id("x"), asked.parameter("state"));
    let mut turned = oauth_state.clone().into_bytes();
    turned.reverse();
    let turned = String::from_utf8(turned).unwrap();
    for other in [
        "",
        &oauth_state[..42],
        &oauth_state[1..],
        &format!("{oauth_state}A"),
        &oauth_state.to_lowercase(),
        &turned,
        " ",
    ] {
        assert_eq!(stage.find(other), Err(Refused::Unknown), "{other}");
    }
    // looking uses nothing up
    assert_eq!((stage.find(&oauth_state), stage.find(&oauth_state)), (Ok(id), Ok(id)));
    let redirect = || Redirect::parse(&format!("code=c&state={oauth_state}")).ok().unwrap();
    let authorizations = &stage.agent.authorizations;
    assert!(authorizations.land(redirect(), stage.now()).is_some());
    assert!(authorizations.land(redirect(), stage.now()).is_none());
    assert_eq!(stage.find(&oauth_state), Err(Refused::Used(id)));
    let revision = stage.agent.vault().unlocked().unwrap().catalog.secrets[&id].revision;
    assert!(authorizations.arrived(&id, revision + 1).is_none());
    assert!(authorizations.arrived(&id, revision).is_some());
    assert!(authorizations.arrived(&id, revision).is_none());
}

#[tokio::test]
async fn an_hour_ends_at_its_second() {
    let stage = Stage::configured().await;
    let asked = stage.ask("x").await;
    let (id, oauth_state) = (stage.id("x"), asked.parameter("state"));
    stage.clock.advance(HOUR - 1);
    assert_eq!(stage.find(&oauth_state), Ok(id));
    assert!(stage.agent.authorizations.waiting(&id, stage.now()).is_some());
    stage.clock.advance(1);
    assert_eq!(stage.find(&oauth_state), Err(Refused::Lapsed(id)));
    assert!(stage.agent.authorizations.waiting(&id, stage.now()).is_none());
    let shown = stage.show("x").await;
    assert_eq!(shown["status"], "manual_authorization");
    assert_eq!(
        shown["status_details"],
        format!(
            "its authorization url expired at {}; hint: ask for a new one: bursar secret reauthorize personal/x",
            stage.now()
        )
    );
    // and a clock that is set back begins no new one
    stage.clock.advance(-HOUR);
    assert_eq!(stage.find(&oauth_state), Err(Refused::Lapsed(id)));
}

#[tokio::test]
async fn a_second_authorization_of_a_secret_ends_the_first() {
    let stage = Stage::configured().await;
    let (first, other) = (stage.ask("x").await, stage.ask("other").await);
    let (_, mut over) = stage.agent.authorizations.waiting(&stage.id("x"), stage.now()).unwrap();
    let second = stage.ask_again("x").await;
    let told = timeout(PATIENCE, over.changed()).await.expect("who waited for the first is told");
    assert!(told.is_err());
    let id = stage.id("x");
    assert_eq!(stage.find(&first.parameter("state")), Err(Refused::Lapsed(id)));
    assert_eq!(stage.find(&second.parameter("state")), Ok(id));
    assert!(stage.find(&other.parameter("state")).is_ok(), "the other secret's goes on");
    let error = stage.authorize("x", &first.redirect("code=c")).await.unwrap_err();
    assert!(error.message.contains("another one was asked for since"), "{error}");
    stage.issuer.says(&[Says::Token(3_600, Some("r"))]);
    let shown = stage.authorize("x", &second.redirect("code=c")).await.unwrap();
    assert_eq!(shown["status"], "succeeded");
}

#[tokio::test]
async fn of_two_that_ask_at_once_one_is_given_a_url_and_it_works() {
    let stage = Stage::configured().await;
    stage.ask("x").await;
    let again = || stage.ok("secret.reauthorize", json!({ "secret": "x" }));
    let mut given = Vec::new();
    // on a quick disk the first is answered before the other begins, and then they are not at once
    for _ in 0..50 {
        let (one, other) = tokio::join!(again(), again());
        given = [one, other].into_iter().filter(|one| one["authorization_url"].is_string()).collect();
        if given.len() == 1 {
            break;
        }
    }
    assert_eq!(given.len(), 1);
    let asked = given.into_iter().map(Asked::of).next().unwrap();
    stage.issuer.says(&[Says::Token(3_600, Some("r"))]);
    let shown = stage.authorize("x", &asked.redirect("code=c")).await.unwrap();
    assert_eq!((&shown["status"], stage.issuer.offered().len()), (&json!("succeeded"), 1), "{shown}");
}

#[tokio::test]
async fn only_so_many_are_kept_and_those_that_are_over_go_first() {
    let stage = Stage::configured().await;
    let open = |number: usize| {
        let prepared = stage.prepare().unwrap();
        let mut id = Id::default();
        id[..8].copy_from_slice(&(number as u64 + 1).to_be_bytes());
        prepared.open(id, 1);
        state_in(&prepared.url)
    };
    let mut states: Vec<_> = (0..KEPT_MAX).map(open).collect();
    assert!(states.iter().all(|state| stage.find(state).is_ok()));
    // one in the middle is over: it goes, and no other
    let redirect = Redirect::parse(&format!("code=c&state={}", states[7])).ok().unwrap();
    let result = stage.agent.authorizations.land(redirect, stage.now()).unwrap();
    stage.agent.authorizations.end(&result, stage.now());
    states.push(open(KEPT_MAX));
    assert_eq!(stage.find(&states.remove(7)), Err(Refused::Unknown));
    assert!(states.iter().all(|state| stage.find(state).is_ok()));
    // then the oldest
    states.push(open(KEPT_MAX + 1));
    assert_eq!(stage.find(&states.remove(0)), Err(Refused::Unknown));
    assert!(states.iter().all(|state| stage.find(state).is_ok()));
    assert_eq!(stage.agent.authorizations.phases().len(), KEPT_MAX);
}

#[tokio::test]
async fn what_was_prepared_and_not_begun_leaves_nothing_behind() {
    let stage = Stage::configured().await;
    let prepared = stage.prepare().unwrap();
    assert_eq!(stage.find(&state_in(&prepared.url)), Err(Refused::Unknown), "it has not begun");
    let asked = Asked::of(json!({ "authorization_url": prepared.url }));
    assert!(is_open(asked.port()));
    drop(prepared);
    assert_eq!(stage.agent.authorizations.phases(), []);
    stage.closes(asked.port()).await;
}

#[tokio::test]
async fn a_change_that_is_refused_leaves_no_authorization_behind() {
    let stage = Stage::configured().await;
    stage.create("x").await;
    let scopes = json!({ "scopes": [PUBSUB] });
    let taken = json!({ "secret": "x", "type": "oauth2-google", "credentials": scopes });
    assert_eq!(stage.call("secret.create", taken).await.unwrap_err().name, ErrorName::Conflict);
    let nowhere =
        json!({ "secret": "y", "type": "oauth2-google", "credentials": scopes, "environment": "no-such" });
    assert_eq!(stage.call("secret.create", nowhere).await.unwrap_err().name, ErrorName::NotFound);
    assert_eq!(stage.agent.authorizations.phases(), []);
    timeout(PATIENCE, stage.settle()).await.expect("the listener stays open");
    assert_eq!(stage.agent.authorizations.inner().port, None);
}

#[tokio::test]
async fn the_listener_closes_when_nobody_needs_it_and_opens_again_on_its_port() {
    let (stage, port) = stage_on_a_port().await;
    let asked = stage.ask("x").await;
    assert!(asked.port() == port && is_open(port));
    // it stays for the whole hour
    stage.later(HOUR - 1);
    looked().await;
    assert!(is_open(port));
    stage.later(1);
    stage.closes(port).await;

    // as long as the last page may be asked for, and no longer
    let asked = stage.ask_again("x").await;
    assert!(asked.port() == port && is_open(port));
    stage.issuer.says(&[Says::Token(3_600, Some("r"))]);
    stage.authorize("x", &asked.redirect("code=c")).await.unwrap();
    looked().await;
    assert_eq!(stage.agent.authorizations.phases().last(), Some(&Phase::Ended));
    stage.later(LAST_PAGE - 1);
    looked().await;
    assert!(is_open(port));
    stage.later(1);
    stage.closes(port).await;

    // a secret that goes takes its hour along
    stage.ask_again("x").await;
    assert!(is_open(port));
    stage.ok("secret.delete", json!({ "secret": "x" })).await;
    stage.closes(port).await;
}

#[tokio::test]
async fn the_listener_stays_as_long_as_one_of_several_needs_it() {
    let (stage, port) = stage_on_a_port().await;
    stage.ask("x").await;
    stage.later(HOUR / 2);
    let late = stage.ask("late").await;
    stage.later(HOUR / 2);
    looked().await;
    assert!(is_open(port));
    assert_eq!(stage.find(&late.parameter("state")), Ok(stage.id("late")));
    stage.later(HOUR / 2);
    stage.closes(port).await;
}

#[tokio::test]
async fn a_daemon_that_ends_closes_the_listener() {
    let (stage, port) = stage_on_a_port().await;
    stage.ask("x").await;
    assert!(is_open(port));
    stage.agent.shutdown.cancel();
    stage.closes(port).await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_and_nothing_is_made() {
    let (stage, port) = stage_on_a_port().await;
    let taken = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let scopes = json!({ "scopes": [PUBSUB] });
    let create = json!({ "secret": "x", "type": "oauth2-google", "credentials": scopes });
    let error = stage.call("secret.create", create.clone()).await.unwrap_err();
    assert_eq!(
        error.message,
        format!(
            "port {port} of 127.0.0.1 cannot be opened, on which the browser comes back: another process has it"
        )
    );
    assert!(error.hint.as_deref().unwrap().contains("authorization.port"), "{error}");
    assert_eq!(error.name, ErrorName::NoListener);
    assert_eq!(
        stage.call("secret.show", json!({ "secret": "x" })).await.unwrap_err().name,
        ErrorName::NotFound
    );
    drop(taken);
    stage.ok("secret.create", create).await;
}

#[tokio::test]
async fn who_waits_is_answered_when_the_hour_is_over() {
    let stage = Stage::configured().await;
    stage.ask("x").await;
    let waits = stage.ok("secret.wait", json!({ "secret": "x" }));
    let mut waits = std::pin::pin!(waits);
    stage.later(HOUR - 1);
    for _ in 0..100 {
        let answered =
            std::future::poll_fn(|task| std::task::Poll::Ready(waits.as_mut().poll(task).is_ready())).await;
        assert!(!answered, "the hour runs");
        tokio::task::yield_now().await;
    }
    stage.later(1);
    let shown = timeout(PATIENCE, waits).await.expect("the hour is over");
    assert_eq!(shown["status"], "manual_authorization");
    assert!(shown["status_details"].as_str().unwrap().contains("expired at"), "{shown}");
}

#[tokio::test]
async fn who_waits_is_answered_when_the_person_has_been_there() {
    let stage = Stage::configured().await;
    let asked = stage.ask("x").await;
    let gate = stage.issuer.stops(true);
    stage.issuer.says(&[Says::Token(3_600, Some("r"))]);
    let waits = timeout(PATIENCE, stage.ok("secret.wait", json!({ "secret": "x" })));
    let (waited, ()) = tokio::join!(waits, async {
        let redirect = asked.redirect("code=c");
        let (authorized, ()) = tokio::join!(stage.authorize("x", &redirect), async {
            gate.arrived().await;
            gate.open();
        });
        authorized.unwrap();
    });
    assert_eq!(waited.expect("it is over")["status"], "succeeded");
}

proptest! {
    #[test]
    fn a_state_is_recognized_by_itself_alone(state in "[ -~]{0,50}", other in "[ -~]{0,50}", key in any::<[u8; 32]>()) {
        let known = State::of(&state, &key);
        prop_assert!(known.is(&state));
        prop_assert_eq!(known.is(&other), state == other);
    }
}
