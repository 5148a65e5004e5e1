//! Everything that ends stands on one calendar, and the hook is told of it, and of refreshes, before somebody asks.

use bursar_proto::time::Timestamp;
use bursar_tests::client_secrets::{Issued, issue, issue_with};
use bursar_tests::keys::certificate_until;
use bursar_tests::library::{acme_with_api, brief_grant, organization, until_past};
use bursar_tests::secrets::{grant, token};
use bursar_tests::{Daemon, FaultIssuer, Home, Reply, configured, now, open_vault, seconds, until};
use serde_json::{Value, json};
use std::fs;

const DAY: i64 = 86_400;

/// Stands in every value, and in no document.
const CANARY: &str = "canary-2b94";

/// The instant so many seconds from now.
fn in_seconds(seconds: i64) -> String {
    Timestamp::from_seconds(now() + seconds).to_string()
}

/// A token that ends then.
fn dated(home: &Home, name: &str, date: &str) {
    let mut params = token(name, CANARY);
    params["expiration_date"] = json!(date);
    home.create(params);
}

fn expiring(home: &Home, params: Value) -> Vec<Value> {
    home.ok("expiring.list", params).as_array().unwrap().clone()
}

/// What each is, and its name.
fn named(all: &[Value]) -> Vec<String> {
    let name = |one: &Value| {
        let name = one["secret"].as_str().or_else(|| one["client_secret"].as_str()).unwrap();
        format!("{} {name}", one["what"].as_str().unwrap())
    };
    all.iter().map(name).collect()
}

#[test]
fn secrets_certificates_and_client_secrets_stand_in_the_order_of_their_ends() {
    let (home, _daemon) = open_vault();
    organization(&home, "acme");
    organization(&home, "beta");
    dated(&home, "acme/soon", &in_seconds(2 * DAY));
    dated(&home, "beta/later", &in_seconds(20 * DAY));
    dated(&home, "acme/much-later", &in_seconds(40 * DAY));
    home.create(token("acme/never", CANARY));
    let pem = certificate_until(2090);
    let credentials = json!({ "certificate": pem.certificate, "private_key": pem.private_key });
    home.create(json!({ "secret": "acme/cert", "type": "certificate", "credentials": credentials }));
    let with = |days: i64| json!({ "expires_in": days * DAY, "description": format!("for {days} days") });
    let ten: Issued = issue_with(&home, "acme", "viewer", with(10));
    let ninety = issue(&home, "acme", "contributor", None);

    let (soon, later, cert) = ("secret acme/soon", "secret beta/later", "certificate acme/cert");
    let of = |issued: &Issued| format!("client_secret {}", issued.id);
    assert_eq!(named(&expiring(&home, json!({}))), [soon, &of(&ten), later], "30 days if nobody says");
    assert_eq!(named(&expiring(&home, json!({ "within": 0 }))), [""; 0]);
    assert_eq!(named(&expiring(&home, json!({ "within": 3 * DAY }))), [soon]);
    assert_eq!(named(&expiring(&home, json!({ "organization": "beta" }))), [later]);
    assert_eq!(home.refused("expiring.list", json!({ "organization": "none" })), "not_found");
    let century = json!({ "within": 36_500 * DAY });
    let all = expiring(&home, century.clone());
    let much_later = "secret acme/much-later";
    assert_eq!(named(&all), [soon, &of(&ten), later, much_later, &of(&ninety), cert]);
    let ends: Vec<i64> = all.iter().map(|one| seconds(&one["expires_at"])).collect();
    assert!(ends.windows(2).all(|pair| pair[0] <= pair[1]), "{ends:?}");
    for one in &all {
        assert!(one["expired"] == false && one["reason"].is_null(), "{one}");
        assert!(one["hint"].as_str().unwrap().contains("bursar "), "what to do: {one}");
    }
    assert_eq!((&all[1]["description"], &all[0]["description"]), (&json!("for 10 days"), &Value::Null));
    assert!(all[5]["expires_at"].as_str().unwrap().starts_with("2090-01-01"), "{}", all[5]);

    // what nobody relies on any more does not end; one with a successor does, as long as it counts
    home.ok("client_secret.revoke", json!({ "id": ninety.id }));
    let next = home.ok("client_secret.rotate", json!({ "id": ten.id, "overlap": DAY }));
    home.ok("secret.deactivate", json!({ "secret": "acme/soon" }));
    home.ok("secret.edit", json!({ "secret": "acme/much-later", "expiration_date": null }));
    home.ok("secret.delete", json!({ "secret": "acme/cert" }));
    let next = format!("client_secret {}", next["id"].as_str().unwrap());
    assert_eq!(named(&expiring(&home, century)), [&of(&ten), &next, later]);
}

#[test]
fn what_has_ended_stays_listed_until_something_is_done() {
    let (home, daemon) = open_vault();
    organization(&home, "acme");
    dated(&home, "acme/t", &in_seconds(2));
    let issued = issue_with(&home, "acme", "viewer", json!({ "expires_in": 2 }));
    let ended = || {
        let all = expiring(&home, json!({ "within": 0 }));
        (all.len() == 2).then_some(all)
    };
    let all = until("both have ended", ended);
    assert!(all.iter().all(|one| one["expired"] == true), "{all:?}");
    assert_eq!(home.refused("artifact.get", json!({ "secret": "acme/t" })), "expired");
    daemon.kill9();
    let _daemon = home.start();
    assert_eq!(ended(), Some(all));
    home.ok("secret.edit", json!({ "secret": "acme/t", "expiration_date": in_seconds(400 * DAY) }));
    home.ok("client_secret.rotate", json!({ "id": issued.id }));
    let within_the_second = expiring(&home, json!({ "within": 0 }));
    assert_eq!(within_the_second, [] as [Value; 0], "each has a successor");
}

/// Waits for an exchange that fails beside the schedule: somebody asked for more than is left.
fn fail_a_refresh(home: &Home, secret: &str, lifetime: i64) {
    let fresh = home.ok("secret.show", json!({ "secret": secret }));
    until_past(&fresh["activated_at"]);
    let params = json!({ "secret": secret, "min_validity": lifetime });
    let refused = until("a refresh fails", || home.call("artifact.get", params.clone()).err());
    assert_eq!(refused.name, "issuer_unreachable", "{refused}");
}

#[test]
fn a_token_whose_issuer_no_longer_answers_is_listed_until_it_does() {
    let (home, _daemon) = open_vault();
    organization(&home, "acme");
    let issuer = FaultIssuer::new(Reply::Grant(7_200));
    let created = home.create(grant("acme/g", &issuer.token_url()));
    assert_eq!(named(&expiring(&home, json!({ "within": DAY }))), [""; 0], "it is refreshed by itself");
    issuer.from_now_on(Reply::Drop);
    fail_a_refresh(&home, "acme/g", 7_200);
    let all = expiring(&home, json!({ "within": DAY }));
    assert_eq!(named(&all), ["token acme/g"]);
    assert_eq!((&all[0]["expires_at"], &all[0]["expired"]), (&created["expires_at"], &json!(false)));
    let [reason, hint] = ["reason", "hint"].map(|member| all[0][member].as_str().unwrap());
    assert!(!reason.is_empty() && !reason.contains("hint") && !hint.is_empty(), "{}", all[0]);
    assert_eq!(home.artifact("acme/g")["value"], "granted-1", "it is served to its end");
    issuer.from_now_on(Reply::Grant(7_200));
    home.ok("secret.retry", json!({ "secret": "acme/g" }));
    home.ok("secret.wait", json!({ "secret": "acme/g" }));
    assert_eq!(named(&expiring(&home, json!({ "within": DAY }))), [""; 0]);
}

/// A home whose hook keeps what it is told in the file `told`.
fn with_hook(further: &str) -> (Home, Daemon) {
    let home = Home::new();
    let told = home.path().join("told");
    // one write of a whole line each
    let script =
        home.file("hook.sh", format!("read -r line\nprintf '%s\\n' \"$line\" >> {}\n", told.display()));
    home.config(&format!("[hook]\ncommand = [\"/bin/sh\", \"{}\"]\n{further}", script.display()));
    let daemon = home.start();
    home.ok("vault.init", json!({ "key_file": home.key_file() }));
    (home, daemon)
}

/// The documents that the hook was given so far.
fn told(home: &Home) -> Vec<Value> {
    let text = fs::read_to_string(home.path().join("told")).unwrap_or_default();
    assert!(!text.contains(CANARY) && !text.contains("granted-"), "the hook is told a value: {text}");
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Waits until the hook is told of this event, of this secret.
fn until_told(home: &Home, event: &str, name: &str) -> Value {
    until(&format!("the hook is told that {name} is {event}"), || {
        let is_it =
            |one: &Value| one["event"] == event && (one["secret"] == name || one["client_secret"] == name);
        told(home).into_iter().find(is_it)
    })
}

#[test]
fn the_hook_is_told_of_refreshes_and_of_those_that_fail() {
    let (home, _daemon) = with_hook("");
    organization(&home, "acme");
    let issuer = FaultIssuer::new(Reply::Grant(2));
    let began = now();
    home.create(brief_grant("acme/g", &issuer.token_url()));
    let document = until_told(&home, "refreshed", "acme/g");
    assert!((began..=now()).contains(&seconds(&document["at"])), "{document}");
    assert!(!document["expires_at"].is_null(), "{document}");
    assert_eq!(document["environment"], "acme/development");
    for member in ["client_secret", "description", "days", "details", "hint"] {
        assert_eq!(document.get(member), Some(&Value::Null), "{member}: {document}");
    }
    issuer.from_now_on(Reply::Json(500, "{}"));
    let document = until_told(&home, "refresh_failed", "acme/g");
    assert!(document["details"].as_str().unwrap().contains("500"), "{document}");
    assert!(!document["hint"].as_str().unwrap().is_empty(), "{document}");
}

#[test]
fn the_hook_is_told_what_ends_in_seven_days_and_what_has_ended() {
    let (home, daemon) = with_hook("");
    acme_with_api(&home);
    let (week, over) = (in_seconds(7 * DAY + 2), in_seconds(2));
    dated(&home, "acme/week", &week);
    dated(&home, "acme/over", &over);
    dated(&home, "acme/month", &in_seconds(60 * DAY));
    let temporary =
        issue_with(&home, "acme", "viewer", json!({ "expires_in": 2, "description": "site, in the CI" }));
    until("they have ended", || (expiring(&home, json!({ "within": 0 })).len() == 2).then_some(()));
    until_past(&json!(over));
    // they are looked for each hour, and at every start
    assert!(daemon.stop().success());
    let daemon = home.start();
    let document = until_told(&home, "expiring", "acme/week");
    assert_eq!((&document["days"], &document["expires_at"]), (&json!(7), &json!(week)), "{document}");
    assert_eq!(document["environment"], "acme/development", "{document}");
    let document = until_told(&home, "expiring", "acme/over");
    assert_eq!((&document["days"], &document["expires_at"]), (&json!(0), &json!(over)), "{document}");
    let document = until_told(&home, "expiring", &temporary.id);
    assert_eq!((&document["days"], &document["secret"]), (&json!(0), &Value::Null), "{document}");
    assert_eq!(document["description"], "site, in the CI");
    assert!(document["hint"].as_str().unwrap().contains(&format!("rotate {}", temporary.id)), "{document}");

    // each is told once; what is told later comes behind it
    assert!(daemon.stop().success());
    let _daemon = home.start();
    let issuer = FaultIssuer::new(Reply::Grant(36_000));
    home.create(grant("acme/g", &issuer.token_url()));
    until_told(&home, "refreshed", "acme/g");
    let all = told(&home);
    let expiring: Vec<&Value> = all.iter().filter(|one| one["event"] == "expiring").collect();
    assert_eq!(expiring.len(), 3, "{expiring:?}");
}

#[test]
fn the_hook_is_told_what_the_config_wants_and_one_that_fails_stops_nothing() {
    let (home, _daemon) = with_hook("events = [\"refresh_failed\"]\n");
    organization(&home, "acme");
    let issuer = FaultIssuer::new(Reply::Grant(2));
    home.create(brief_grant("acme/g", &issuer.token_url()));
    issuer.until_count(2); // it was refreshed
    issuer.from_now_on(Reply::Json(500, "{}"));
    until_told(&home, "refresh_failed", "acme/g");
    assert!(told(&home).iter().all(|one| one["event"] == "refresh_failed"));

    let (home, _daemon) = configured("[hook]\ncommand = [\"/nonexistent/hook\"]\n");
    home.create(grant("g", &FaultIssuer::new(Reply::Grant(36_000)).token_url()));
    until("the log says that the hook could not be run", || home.log().contains("hook").then_some(()));
    assert_eq!(home.artifact("g")["value"], "granted-1");
}
