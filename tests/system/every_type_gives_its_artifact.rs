//! Every type of secret hands out what its tools need, and shows nothing of it anywhere else.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use bursar_tests::google::SCOPES;
use bursar_tests::secrets::{of_every_static_type, own_jwt};
use bursar_tests::{Google, open_vault, seconds};
use serde_json::{Value, json};

#[test]
fn static_types_hand_out_what_was_put_in() {
    let (home, _daemon) = open_vault();
    for params in of_every_static_type() {
        let (name, kind) = (params["secret"].as_str().unwrap().to_owned(), params["type"].clone());
        let put_in = params["credentials"].clone();
        let is_certificate = kind == "certificate";
        let secret = home.create(params);
        assert_eq!(secret["status"], "succeeded", "{secret}");
        assert!(secret["refresh_at"].is_null() && secret["exchange_policy"].is_null(), "{secret}");
        assert_eq!(secret["expiration_date"].is_null(), !is_certificate, "{secret}");

        let artifact = home.artifact(&name);
        assert_eq!((&artifact["type"], &artifact["secret"]), (&kind, &json!(format!("personal/{name}"))));
        match kind.as_str().unwrap() {
            "simple-http" => assert_eq!(artifact["value"], BASE64_STANDARD.encode("robot:pass:word")),
            "token" => assert_eq!(artifact["value"], put_in["token"]),
            "api-key" => {
                assert_eq!(artifact["value"], put_in["value"]);
                assert_eq!(artifact["header"], json!({"name": "X-Api-Key", "prefix": ""}));
            }
            "bearer-token" => {
                assert_eq!(artifact["value"], put_in["header_value"]);
                assert_eq!(artifact["header"], json!({"name": "Authorization", "prefix": ""}));
            }
            "client-credentials" => {
                assert!(artifact["value"].is_null(), "{artifact}");
                for field in ["client_id", "client_secret"] {
                    assert_eq!(artifact["fields"][field], put_in[field]);
                }
            }
            "certificate" => {
                assert!(artifact["value"].is_null(), "{artifact}");
                for field in ["certificate", "private_key"] {
                    let handed_out = artifact["fields"][field].as_str().unwrap();
                    assert_eq!(handed_out.trim(), put_in[field].as_str().unwrap().trim());
                }
                assert_eq!(secret["expiration_date"], "2090-01-01T00:00:00Z");
            }
            "key-value" => assert_eq!(artifact["fields"], put_in["entries"]),
            other => panic!("no expectation for {other}"),
        }
    }
}

#[test]
fn no_attribute_shows_a_sensitive_field() {
    let (home, _daemon) = open_vault();
    let mut hidden = Vec::new();
    for params in of_every_static_type().into_iter().chain([own_jwt("jwt")]) {
        for field in ["password", "token", "value", "header_value", "client_secret", "private_key"] {
            hidden.extend(params["credentials"][field].as_str().map(str::to_owned));
        }
        hidden.extend(params["credentials"]["entries"]["PIN"].as_str().map(str::to_owned));
        home.create(params);
    }
    assert_eq!(hidden.len(), 8);
    let mut shown = home.ok("secret.list", json!({})).to_string();
    for secret in home.ok("secret.list", json!({})).as_array().unwrap() {
        shown += &home.ok("secret.show", json!({ "secret": secret["name"] })).to_string();
        shown += &home.ok("secret.where", json!({ "secret": secret["name"] })).to_string();
    }
    for text in hidden {
        // a PEM in JSON has its line ends escaped, so one line of it stands for the whole
        let line = text.lines().nth(1).unwrap_or(&text);
        assert!(!shown.contains(line), "an attribute shows a sensitive field");
    }
}

#[test]
fn a_jwt_carries_its_claims() {
    let (home, _daemon) = open_vault();
    let secret = home.create(own_jwt("jwt"));
    assert_eq!(secret["status"], "succeeded", "{secret}");
    assert_eq!(seconds(&secret["expires_at"]) - seconds(&secret["refresh_at"]), 1800);
    let artifact = home.artifact("jwt");
    let parts: Vec<&str> = artifact["value"].as_str().unwrap().split('.').collect();
    let part = |at: usize| -> Value {
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(parts[at]).unwrap()).unwrap()
    };
    let (header, claims) = (part(0), part(1));
    assert_eq!((&header["alg"], &header["kid"]), (&json!("RS256"), &json!("k1")));
    assert_eq!(claims["iss"], "robot");
    assert_eq!(claims["aud"], "https://aud.test");
    assert_eq!(claims["sub"], "robot@example.test");
    assert_eq!(claims["team"], json!(["a", 1]));
    assert!(claims["jti"].as_str().unwrap().len() >= 16);
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3600);
    assert_eq!(claims["exp"].as_i64().unwrap(), seconds(&artifact["expires_at"]));
}

#[test]
fn google_takes_a_person_and_gives_an_access_token() {
    let google = Google::authlib();
    let (home, _daemon) = open_vault();
    google.configure(&home);
    let secret = google.granted(&home, "g");
    let scopes = json!({ "scopes": [SCOPES[0]] });
    assert_eq!((&secret["type"], &secret["credentials"]), (&json!("oauth2-google"), &scopes), "{secret}");
    assert_eq!((&secret["status"], &secret["exchange_policy"]), (&json!("succeeded"), &Value::Null));
    let artifact = home.artifact("g");
    assert_eq!((&artifact["type"], &artifact["secret"]), (&json!("oauth2-google"), &json!("personal/g")));
    assert!(artifact["value"].is_string() && artifact["expires_at"] == secret["expires_at"], "{artifact}");
    assert_eq!(artifact["header"], json!({ "name": "Authorization", "prefix": "Bearer " }));
}

#[test]
fn every_attribute_is_present_in_json() {
    let (home, _daemon) = open_vault();
    let secret = home.create(own_jwt("jwt"));
    for attribute in [
        "name",
        "id",
        "type",
        "environment",
        "stage",
        "credentials",
        "exchange_policy",
        "status",
        "status_details",
        "active",
        "created_at",
        "updated_at",
        "activated_at",
        "expires_at",
        "refresh_at",
        "refresh_status",
        "refresh_status_details",
        "refresh_attempt",
        "next_attempt_at",
        "expiration_date",
        "authorization_url",
        "authorization_url_expires_at",
    ] {
        assert!(secret.as_object().unwrap().contains_key(attribute), "{attribute} is missing: {secret}");
    }
    assert_eq!(secret["environment"], "personal/development");
    assert_eq!(secret["stage"], "development");
}
