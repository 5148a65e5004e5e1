//! Each reason for which a client secret does not do has an error of its own, which names its public id and never its value.

use bursar_proto::client_secret::{CLIENT_SECRETS_MAX, PublicId, Random, compose};
use bursar_proto::error::ErrorName;
use bursar_tests::client_secrets::{Issued, authenticated, issue, issue_with};
use bursar_tests::library::{acme_with_api, bound, organization, publish};
use bursar_tests::{Answer, Daemon, Home, RawSocket, Refused, open_vault, until};
use serde_json::{Value, json};

/// How many digits of a value in a row are one that leaked.
const LEAK: usize = 6;

/// `acme/site` and `beta/site` 1.0.0, each with the element `TOKEN`.
fn with_sites() -> (Home, Daemon) {
    let (home, daemon) = open_vault();
    acme_with_api(&home);
    organization(&home, "beta");
    bound(&home, "beta/api", "staging", "value-of-beta");
    publish(&home, "acme/site", "1.0.0", json!({ "TOKEN": "api" }), json!([]));
    publish(&home, "beta/site", "1.0.0", json!({ "TOKEN": { "staging": "beta/api" } }), json!([]));
    (home, daemon)
}

fn token_of(package: &str, environment: &str) -> Value {
    json!({ "package": package, "version": "1.0.0", "environment": environment, "element": "TOKEN" })
}

fn authenticate(home: &Home, values: &[&str]) -> Answer {
    home.call("authenticate", json!({ "client_secrets": values }))
}

/// A client secret that nobody issued, well-formed, under this public id.
fn forged(id: &str, byte: u8) -> String {
    let id: PublicId = id.parse().unwrap();
    compose(&id, &Random::new([byte; 32].into())).expose().to_owned()
}

/// The random part of a value.
fn random(value: &str) -> &str {
    value.split('_').nth(2).unwrap()
}

fn holds_some_of(text: &str, value: &str) -> bool {
    let random = random(value);
    (0..=random.len() - LEAK).any(|at| text.contains(&random[at..at + LEAK]))
}

/// Looks at one refusal: its name, what follows from that, whom it names, and that it keeps the value to itself.
#[track_caller]
fn check(refused: &Refused, name: &str, named: &[&str], values: &[&str]) {
    assert_eq!(refused.name, name, "{refused}");
    let known = ErrorName::ALL.iter().find(|known| known.as_str() == name).unwrap();
    assert_eq!((i64::from(known.code()), known.exit_code()), (refused.code, 4), "{refused}");
    assert!(!refused.hint.is_empty(), "{refused}");
    for id in named {
        assert!(refused.message.contains(id), "it should name {id}: {refused}");
    }
    for value in values {
        assert!(!holds_some_of(&refused.to_string(), value), "it holds some of the value: {refused}");
    }
}

/// A client secret whose time has passed.
fn expired(home: &Home) -> Issued {
    let issued = issue_with(home, "acme", "contributor", json!({ "expires_in": 1 }));
    until("it expires", || authenticate(home, &[&issued.value]).err());
    issued
}

fn revoked(home: &Home) -> Issued {
    let issued = issue(home, "acme", "contributor", None);
    let shown = home.ok("client_secret.revoke", json!({ "id": issued.id }));
    assert_eq!(shown["status"], "revoked");
    issued
}

#[test]
fn what_is_not_written_as_one_is_malformed() {
    let (home, _daemon) = with_sites();
    let good = issue(&home, "acme", "viewer", None);
    let (id, value) = (good.id.as_str(), good.value.as_str());
    let altered = |at: usize| {
        let digit = if &value[at..=at] == "0" { "1" } else { "0" };
        format!("{}{digit}{}", &value[..at], &value[at + 1..])
    };
    let shows_its_id = [
        value[..value.len() - 1].to_owned(),
        value[..value.len() - 9].to_owned(),
        value[..20].to_owned(),
        format!("{value}0"),
        format!("{value}\n"),
        format!("{value} "),
        format!("{value};{value}"),
        format!("{value},{value}"),
        altered(20),
        altered(66),
        altered(value.len() - 1),
        format!("bcs_{id}_{}", random(value).to_uppercase()),
        format!("bcs_{id}_"),
    ];
    for text in &shows_its_id {
        check(&authenticate(&home, &[text]).unwrap_err(), "client_secret_malformed", &[id], &[value]);
    }
    let shows_none = [
        String::new(),
        " ".to_owned(),
        format!(" {value}"),
        format!("\"{value}\""),
        value[1..].to_owned(),
        value.to_uppercase(),
        random(value).to_owned(),
        altered(0),
        altered(3),
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a".to_owned(),
        "npm_0123456789abcdefghijklmnopqrstuvwxyz".to_owned(),
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJyb2JvdCJ9.c2lnbmF0dXJl".to_owned(),
        "bcs_".to_owned(),
        "bcs_short_x_y".to_owned(),
        "bcs_ünïcödé⛔_".to_owned(),
        "bcs_\u{1b}[2J\0_".to_owned(),
        "x".repeat(100_000),
    ];
    for text in &shows_none {
        let refused = authenticate(&home, &[text]).unwrap_err();
        check(&refused, "client_secret_malformed", &[], &[value]);
        let echoes = text.len() > 8 && refused.to_string().contains(text.as_str());
        assert!(!echoes && !refused.to_string().contains(char::is_control), "{refused:?}");
    }
    // typing it wrong so often has cost nothing
    assert!(authenticate(&home, &[value]).is_ok());
}

#[test]
fn what_this_vault_did_not_issue_is_unknown() {
    let (home, _daemon) = with_sites();
    let (other, _other_daemon) = with_sites();
    let foreign = issue(&other, "acme", "viewer", None);
    let known = issue(&home, "acme", "viewer", None);
    let wrong_body = forged(&known.id, 7);
    let nobody_s = forged("k3j9x2m4pq", 7);
    let all = [wrong_body.as_str(), nobody_s.as_str(), foreign.value.as_str()];
    let refused = authenticate(&home, &all).unwrap_err();
    check(&refused, "client_secret_unknown", &[&known.id, "k3j9x2m4pq", &foreign.id], &all);
    // a public id that is there is told from none by nobody
    let one = authenticate(&home, &[&wrong_body]).unwrap_err();
    let alone = |refused: &Refused, id: &str| refused.message.replace(id, "ID");
    let other = authenticate(&other, &[&wrong_body]).unwrap_err();
    assert_eq!((alone(&one, &known.id), &one.hint), (alone(&other, &known.id), &other.hint));
}

#[test]
fn one_whose_time_has_passed_is_expired() {
    let (home, _daemon) = with_sites();
    let issued = expired(&home);
    let refused = authenticate(&home, &[&issued.value]).unwrap_err();
    check(&refused, "client_secret_expired", &[&issued.id], &[&issued.value]);
    let shown = home.ok("client_secret.show", json!({ "id": issued.id }));
    assert_eq!(shown["status"], "expired");
    assert!(refused.message.contains(shown["expires_at"].as_str().unwrap()), "{refused}");
}

/// A connection that has authenticated with one that will soon end.
fn soon_over(home: &Home) -> (Issued, RawSocket) {
    // as long as it takes to come here on a busy machine
    for seconds in [2, 8, 32] {
        let issued = issue_with(home, "acme", "contributor", json!({ "expires_in": seconds }));
        let mut socket = home.connect();
        if socket.call("authenticate", json!({ "client_secrets": [issued.value] })).is_ok()
            && socket.call("package.get", token_of("acme/site", "staging")).is_ok()
        {
            return (issued, socket);
        }
    }
    panic!("it always expired before it was used");
}

#[test]
fn it_expires_on_connections_that_are_there_already() {
    let (home, daemon) = with_sites();
    let (issued, mut ci) = soon_over(&home);
    let refused = until("it expires", || ci.call("package.get", token_of("acme/site", "staging")).err());
    check(&refused, "client_secret_expired", &[&issued.id], &[&issued.value]);
    let publish = json!({ "package": "acme/x", "version": "1.0.0", "elements": {}, "files": [] });
    let refused = ci.call("package.publish", publish).unwrap_err();
    check(&refused, "client_secret_expired", &[&issued.id], &[&issued.value]);
    daemon.kill9();
    let _daemon = home.start();
    assert_eq!(authenticate(&home, &[&issued.value]).unwrap_err().name, "client_secret_expired");
}

#[test]
fn a_revoked_one_ends_at_once_on_connections_that_are_there_already() {
    let (home, daemon) = with_sites();
    let issued = issue(&home, "acme", "contributor", None);
    let other = issue(&home, "acme", "viewer", None);
    let mut alone = authenticated(&home, &[&issued]);
    let mut both = authenticated(&home, &[&issued, &other]);
    for ci in [&mut alone, &mut both] {
        ci.call("package.get", token_of("acme/site", "staging")).unwrap();
    }
    home.ok("client_secret.revoke", json!({ "id": issued.id }));
    let refused = alone.call("package.get", token_of("acme/site", "staging")).unwrap_err();
    check(&refused, "client_secret_revoked", &[&issued.id], &[&issued.value]);
    both.call("package.get", token_of("acme/site", "staging")).unwrap();
    let publish = json!({ "package": "acme/x", "version": "1.0.0", "elements": {}, "files": [] });
    let refused = both.call("package.publish", publish).unwrap_err();
    check(&refused, "client_secret_revoked", &[&issued.id, &other.id], &[&issued.value, &other.value]);
    for round in 0..2 {
        let refused = authenticate(&home, &[&issued.value]).unwrap_err();
        check(&refused, "client_secret_revoked", &[&issued.id], &[&issued.value]);
        if round == 0 {
            // it is final: revoking it again moves nothing, and nobody gets a successor
            let shown = home.ok("client_secret.show", json!({ "id": issued.id }));
            assert_eq!(home.ok("client_secret.revoke", json!({ "id": issued.id })), shown);
            assert_eq!(home.refused("client_secret.rotate", json!({ "id": issued.id })), "conflict");
        }
    }
    daemon.kill9();
    let _daemon = home.start();
    assert_eq!(authenticate(&home, &[&issued.value]).unwrap_err().name, "client_secret_revoked");
}

#[test]
fn a_role_an_organization_and_an_environment_are_each_wrong_in_their_own_words() {
    let (home, _daemon) = with_sites();
    let viewer = issue(&home, "acme", "viewer", None);
    let staging = issue(&home, "acme", "contributor", Some("staging"));
    let publish = json!({ "package": "acme/x", "version": "1.0.0", "elements": {}, "files": [] });
    for (issued, method, params, name, words) in [
        (&viewer, "package.publish", publish, "wrong_role", "viewer"),
        (&viewer, "package.get", token_of("beta/site", "staging"), "wrong_organization", "beta"),
        (&staging, "package.get", token_of("beta/site", "staging"), "wrong_organization", "beta"),
        (
            &staging,
            "package.get",
            token_of("acme/site", "production"),
            "wrong_environment",
            "acme/production",
        ),
    ] {
        let refused = authenticated(&home, &[issued]).call(method, params).unwrap_err();
        check(&refused, name, &[&issued.id, words], &[&issued.value]);
        assert!(refused.message.contains("acme"), "it says what it is for: {refused}");
    }
    // of several the nearest gives the name, and each is told
    let other = issue(&home, "beta", "viewer", None);
    let mut ci = authenticated(&home, &[&other, &staging, &viewer]);
    let publish = json!({ "package": "beta/x", "version": "1.0.0", "elements": {}, "files": [] });
    let refused = ci.call("package.publish", publish).unwrap_err();
    check(&refused, "wrong_role", &[&other.id, &staging.id, &viewer.id], &[]);
}

#[test]
fn of_a_list_the_good_ones_count() {
    let (home, _daemon) = with_sites();
    let (old, gone) = (expired(&home), revoked(&home));
    let good = issue(&home, "acme", "viewer", Some("staging"));
    let unknown = forged("k3j9x2m4pq", 1);
    let cut = &good.value[..40];
    let given = [cut, "rubbish", &unknown, &old.value, &gone.value, &good.value];
    let mut ci = home.connect();
    let answer = ci.call("authenticate", json!({ "client_secrets": given })).unwrap();
    let told = answer["client_secrets"].as_array().unwrap();
    let column = |name: &str| told.iter().map(|one| one[name].clone()).collect::<Vec<_>>();
    let null = Value::Null;
    assert_eq!(
        column("error"),
        [
            json!("client_secret_malformed"),
            json!("client_secret_malformed"),
            json!("client_secret_unknown"),
            json!("client_secret_expired"),
            json!("client_secret_revoked"),
            null.clone()
        ]
    );
    assert_eq!(
        column("id"),
        [json!(good.id), null.clone(), json!("k3j9x2m4pq"), json!(old.id), json!(gone.id), json!(good.id)]
    );
    // of those that do not count nothing is told but why
    for (at, one) in told.iter().enumerate() {
        let counts = at == 5;
        for name in ["organization", "environment", "role", "expires_at"] {
            assert_eq!(one[name].is_null(), !counts, "{name}: {one}");
        }
        for name in ["problem", "hint"] {
            assert_eq!(one[name].is_null(), counts, "{name}: {one}");
        }
    }
    assert_eq!((&told[5]["organization"], &told[5]["environment"]), (&json!("acme"), &json!("acme/staging")));
    for value in [&unknown, &old.value, &gone.value, &good.value] {
        assert!(!holds_some_of(&answer.to_string(), value), "{answer}");
    }
    let mut get = |environment: &str| ci.call("package.get", token_of("acme/site", environment));
    assert_eq!(get("staging").unwrap()["value"], "value-of-staging");
    // the good one is for another environment; those that ended would have done
    let refused = get("production").unwrap_err();
    check(&refused, "client_secret_revoked", &[&old.id, &gone.id, &good.id], &given[2..]);
}

#[test]
fn of_a_list_without_a_good_one_the_first_names_the_error_and_all_are_told() {
    let (home, _daemon) = with_sites();
    let (old, gone) = (expired(&home), revoked(&home));
    let cut = &issue(&home, "acme", "viewer", None).value[..40];
    let mut given = [old.value.as_str(), &gone.value, cut];
    for name in ["client_secret_expired", "client_secret_revoked", "client_secret_malformed"] {
        let refused = authenticate(&home, &given).unwrap_err();
        check(&refused, name, &[&old.id, &gone.id, &cut[4..14]], &[&old.value, &gone.value]);
        given.rotate_left(1);
    }
}

#[test]
fn a_list_that_is_too_long_is_refused_as_a_whole() {
    let (home, _daemon) = with_sites();
    let all: Vec<Issued> = (0..CLIENT_SECRETS_MAX).map(|_| issue(&home, "acme", "viewer", None)).collect();
    let mut values: Vec<&str> = all.iter().map(|issued| issued.value.as_str()).collect();
    let answer = authenticate(&home, &values).unwrap();
    assert_eq!(answer["client_secrets"].as_array().unwrap().len(), CLIENT_SECRETS_MAX);
    let forged: Vec<String> = (0..1_000_u32).map(|n| forged("k3j9x2m4pq", n.to_le_bytes()[0])).collect();
    values.push(values[0]);
    for given in [values, forged.iter().map(String::as_str).collect(), vec!["rubbish"; 1_000]] {
        let mut ci = home.connect();
        let refused = ci.call("authenticate", json!({ "client_secrets": given })).unwrap_err();
        assert_eq!(refused.name, "invalid", "{refused}");
        let words = "field client_secrets: expected 1 to 32 client secrets";
        assert_eq!(refused.message, words);
        assert_eq!(ci.call("package.get", token_of("acme/site", "staging")).unwrap_err().name, "denied");
    }
    // nobody tried what was not looked at
    assert!(authenticate(&home, &[&all[0].value]).is_ok());
}
