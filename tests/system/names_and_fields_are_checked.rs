//! Hostile names and fields are refused by the field's name, and never repeated.

use bursar_tests::keys::{certificate_until, known, short, unknown};
use bursar_tests::{Home, open_vault};
use serde_json::{Value, json};

/// Stands in every bad value, and must not come back.
const CANARY: &str = "canary-77b1";

#[track_caller]
fn invalid(home: &Home, params: Value, word: &str) {
    let shown = params.to_string();
    let refused = home.call("secret.create", params).expect_err(&shown);
    assert_eq!(refused.name, "invalid", "{shown}: {refused}");
    assert!(refused.message.contains(word), "no {word} in: {refused}\nfor {shown}");
    assert!(!refused.to_string().contains(CANARY), "{refused}");
}

fn create(kind: &str, credentials: Value) -> Value {
    json!({ "secret": "x", "type": kind, "credentials": credentials })
}

#[test]
fn names_with_anything_unusual_are_refused() {
    let (home, _daemon) = open_vault();
    let long = format!("{CANARY}{}", "a".repeat(10_000));
    for name in
        ["", "-x", ".x", "a/b/c", "/x", "x/", "../x", "a\0b", "a\nb", "a b", "ä", "x\u{202e}", "A/x", &long]
    {
        let mut params = create("token", json!({ "token": "t" }));
        params["secret"] = json!(name);
        invalid(&home, params, "secret");
        assert_eq!(
            home.refused("organization.create", json!({ "organization": format!("{name}!") })),
            "invalid"
        );
        let environment = json!({ "environment": format!("{name}!"), "stage": "development" });
        assert_eq!(home.refused("environment.create", environment), "invalid");
    }
    assert_eq!(home.ok("secret.list", json!({})), json!([]));
}

#[test]
fn unknown_missing_doubled_and_mistyped_fields_are_named() {
    let (home, _daemon) = open_vault();
    invalid(&home, create("token", json!({ "token": "t", "tokn": CANARY })), "tokn");
    invalid(&home, create("token", json!({ "token": "t", "zz-canary-77b1": 1 })), "field number 2");
    invalid(&home, create("token", json!({})), "token");
    invalid(&home, create("token", json!({ "token": [CANARY] })), "token");
    invalid(&home, create("token", json!(CANARY)), "credentials");
    invalid(&home, create(CANARY, json!({})), "type");
    let mut params = create("token", json!({ "token": "t" }));
    params["colour"] = json!(CANARY);
    invalid(&home, params, "colour");
    let mut socket = home.connect();
    socket
        .send(concat!(
            r#"{"jsonrpc":"2.0","id":1,"method":"secret.create","params":{"secret":"x","type":"token","#,
            r#""credentials":{"token":"canary-77b1","token":"b"}}}"#,
            "\n"
        ))
        .unwrap();
    let answer = socket.json();
    assert_eq!(answer["error"]["data"]["name"], "invalid", "{answer}");
    assert!(answer["error"]["message"].as_str().unwrap().contains("token is given twice"), "{answer}");
}

fn grant(change: &str, to: Value) -> Value {
    let mut credentials =
        json!({ "client_id": "c", "client_secret": "s", "token_url": "https://issuer.test/token" });
    credentials[change] = to;
    create("oauth2-client_credentials", credentials)
}

#[test]
fn a_grant_is_checked_before_anything_is_sent() {
    let (home, _daemon) = open_vault();
    for url in [
        "http://issuer.test/token",
        "ftp://issuer.test/",
        "https://u:canary-77b1@issuer.test/",
        "canary-77b1",
        "",
        "https://",
        "http://127.0.0.1.issuer.test/",
        "file:///etc/passwd",
    ] {
        invalid(&home, grant("token_url", json!(url)), "token_url");
    }
    for offset in [json!(0), json!(-1), json!("60"), json!(1.5)] {
        invalid(&home, grant("refresh_offset", offset), "refresh_offset");
    }
    for name in ["grant_type", "client_id", "client_secret", "assertion"] {
        invalid(&home, grant("options", json!({ name: CANARY })), "options");
    }
    invalid(&home, grant("options", json!({ "scope": 1 })), "options");
    invalid(&home, grant("client_auth", json!(CANARY)), "client_auth");
    invalid(&home, grant("client_secret", json!("")), "client_secret");
}

fn jwt(change: &str, to: Value) -> Value {
    let mut credentials = json!({
        "iss": "i", "aud": "a", "ttl": 3600, "alg": "RS256", "private_key": known().pkcs8,
    });
    credentials[change] = to;
    create("oauth2-jwt", credentials)
}

#[test]
fn a_jwt_is_checked_before_it_is_signed() {
    let (home, _daemon) = open_vault();
    for alg in ["HS256", "none", "RS512", "ES256", "rs256"] {
        invalid(&home, jwt("alg", json!(alg)), "alg");
    }
    for claim in ["iss", "aud", "sub", "exp", "iat"] {
        invalid(&home, jwt("custom_claims", json!({ claim: CANARY })), "custom_claims");
    }
    let rubbish = format!("-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----\n");
    let elliptic = certificate_until(2090).private_key;
    for key in [CANARY, "", &rubbish, &known().public, &elliptic, &short().pkcs8, &short().pkcs1] {
        invalid(&home, jwt("private_key", json!(key)), "private_key");
    }
    invalid(&home, jwt("ttl", json!(0)), "ttl");
    // would refresh for ever: the default offset is 1800
    invalid(&home, jwt("ttl", json!(1800)), "refresh_offset");
}

#[test]
fn headers_users_certificates_and_dates_are_checked() {
    let (home, _daemon) = open_vault();
    invalid(&home, create("simple-http", json!({ "username": "a:b", "password": "p" })), "username");
    for name in ["", "X Y", "X:", "X\r\nY", "ä"] {
        invalid(&home, create("api-key", json!({ "header_name": name, "value": "v" })), "header_name");
    }
    for value in ["a\r\nX: canary-77b1", "a\0", "a\nb"] {
        invalid(&home, create("api-key", json!({ "header_name": "X", "value": value })), "value");
        let bearer = json!({ "header_name": "X", "header_value": value });
        invalid(&home, create("bearer-token", bearer), "header_value");
    }
    let good = certificate_until(2090);
    let certificate = |certificate: &str, key: &str| {
        create("certificate", json!({ "certificate": certificate, "private_key": key }))
    };
    invalid(&home, certificate(CANARY, &good.private_key), "certificate");
    invalid(&home, certificate(&good.private_key, &good.private_key), "certificate");
    invalid(&home, certificate(&good.certificate, CANARY), "private_key");
    invalid(&home, certificate(&good.certificate, &certificate_until(2090).private_key), "private_key");
    invalid(&home, certificate(&good.certificate, &unknown().pkcs8), "private_key");
    let mut dated = certificate(&good.certificate, &good.private_key);
    dated["expiration_date"] = json!("2089-01-01");
    invalid(&home, dated, "expiration_date");
    for date in [json!("2020-01-01"), json!("soon canary-77b1"), json!(5)] {
        let mut params = create("token", json!({ "token": "t" }));
        params["expiration_date"] = date;
        invalid(&home, params, "expiration_date");
    }
    for entries in [json!({}), json!({ "A": 1 }), json!([CANARY])] {
        invalid(&home, create("key-value", json!({ "entries": entries })), "entries");
    }
    let mut with_policy = create("token", json!({ "token": "t" }));
    with_policy["exchange_policy"] = json!("standard");
    invalid(&home, with_policy, "exchange_policy");
}

#[test]
fn a_secret_that_is_too_large_is_refused_and_one_of_23_kib_is_kept() {
    let (home, _daemon) = open_vault();
    let mut large = create("token", json!({ "token": "t".repeat(23 * 1024) }));
    large["secret"] = json!("large");
    assert_eq!(home.create(large)["status"], "succeeded");
    assert_eq!(home.artifact("large")["value"].as_str().unwrap().len(), 23 * 1024);
    invalid(&home, create("token", json!({ "token": "t".repeat(128 * 1024) })), "");
}
