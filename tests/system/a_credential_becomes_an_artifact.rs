//! A credential that goes in once comes out as a token of a real issuer.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bursar_tests::issuer::Issuer;
use bursar_tests::keys::{known, unknown};
use bursar_tests::secrets::own_jwt;
use bursar_tests::{Home, open_vault, seconds};
use serde_json::{Value, json};

fn client_credentials(name: &str, issuer: &Issuer, client_id: &str, client_auth: &str) -> Value {
    json!({ "secret": name, "type": "oauth2-client_credentials", "credentials": {
        "client_id": client_id, "client_secret": issuer.client_secret, "client_auth": client_auth,
        "token_url": issuer.token_url(86_400), "options": { "scope": "read" },
    } })
}

fn becomes_a_token(home: &Home, params: Value) {
    let name = params["secret"].as_str().unwrap().to_owned();
    let secret = home.create(params);
    assert_eq!(secret["status"], "succeeded", "{secret}");
    let artifact = home.artifact(&name);
    assert!(artifact["value"].as_str().unwrap().len() > 20, "{artifact}");
    assert_eq!(seconds(&artifact["expires_at"]) - seconds(&secret["activated_at"]), 86_400);
    assert_eq!(seconds(&secret["expires_at"]) - seconds(&secret["refresh_at"]), 14_400);
    let test = home.ok("secret.test", json!({ "secret": name }));
    assert_eq!(test["expires_in"], 86_400, "{test}");
    assert_eq!(test["scope"], "read", "{test}");
    assert_eq!(test["fingerprint"].as_str().unwrap().len(), 16, "{test}");
    assert_eq!(home.artifact(&name)["value"], artifact["value"], "a test changes nothing");
}

#[test]
fn authlib_grants_by_form_and_by_header() {
    let (home, _daemon) = open_vault();
    let issuer = Issuer::authlib();
    becomes_a_token(&home, client_credentials("by-form", &issuer, "robot", "post"));
    becomes_a_token(&home, client_credentials("by-header", &issuer, "robot", "basic"));
}

#[test]
fn oidc_provider_grants_by_form_and_by_header() {
    let (home, _daemon) = open_vault();
    let issuer = Issuer::oidc();
    becomes_a_token(&home, client_credentials("by-form", &issuer, "robot-post", "post"));
    becomes_a_token(&home, client_credentials("by-header", &issuer, "robot-basic", "basic"));
}

#[test]
fn a_wrong_client_secret_fails_by_the_issuers_word() {
    let (home, _daemon) = open_vault();
    for (name, issuer) in [("authlib", Issuer::authlib()), ("oidc", Issuer::oidc())] {
        let mut params = client_credentials(name, &issuer, "robot-post", "post");
        params["credentials"]["client_secret"] = json!("not-the-secret");
        let secret = home.create(params);
        assert_eq!(secret["status"], "failed", "{secret}");
        let details = secret["status_details"].as_str().unwrap();
        assert!(details.contains("invalid_client"), "{details}");
        assert!(!details.contains("not-the-secret"), "{details}");
        assert_eq!(home.refused("artifact.get", json!({ "secret": name })), "failed");
    }
}

fn assertion(name: &str, issuer: &Issuer) -> Value {
    json!({ "secret": name, "type": "oauth2-jwt", "credentials": {
        "iss": "robot", "aud": issuer.audience(), "sub": "robot@example.test", "ttl": 60, "alg": "RS256",
        "token_url": issuer.token_url(3600), "private_key": known().pkcs1, "options": { "scope": "read" },
    } })
}

#[test]
fn a_signed_assertion_is_exchanged_for_a_token() {
    let (home, _daemon) = open_vault();
    let issuer = Issuer::authlib();
    let secret = home.create(assertion("signed", &issuer));
    assert_eq!(secret["status"], "succeeded", "{secret}");
    let artifact = home.artifact("signed");
    assert_eq!(seconds(&artifact["expires_at"]) - seconds(&secret["activated_at"]), 3600);
    assert_eq!(seconds(&secret["expires_at"]) - seconds(&secret["refresh_at"]), 1800);
}

#[test]
fn an_expired_a_misdirected_and_a_foreign_assertion_fail_as_invalid_grant() {
    let (home, _daemon) = open_vault();
    let issuer = Issuer::authlib();
    let mut expired = assertion("expired", &issuer);
    expired["credentials"]["ttl"] = json!(1);
    // the issuer looks at it only when its second is over
    expired["credentials"]["token_url"] = json!(format!("{}&delay=2.1", issuer.token_url(3600)));
    let mut misdirected = assertion("misdirected", &issuer);
    misdirected["credentials"]["aud"] = json!("https://elsewhere.test/token");
    let mut foreign = assertion("foreign", &issuer);
    foreign["credentials"]["private_key"] = json!(unknown().pkcs8);
    for params in [expired, misdirected, foreign] {
        let secret = home.create(params);
        assert_eq!(secret["status"], "failed", "{secret}");
        assert!(secret["status_details"].as_str().unwrap().contains("invalid_grant"), "{secret}");
    }
}

#[test]
fn a_jwt_of_its_own_is_believed_as_it_is_and_refused_once_altered() {
    let (home, _daemon) = open_vault();
    let issuer = Issuer::authlib();
    let mut params = own_jwt("own");
    params["credentials"]["aud"] = json!(issuer.audience());
    assert_eq!(home.create(params)["status"], "succeeded");
    let jwt = home.artifact("own")["value"].as_str().unwrap().to_owned();
    let (status, answer) = issuer.judge(&jwt);
    assert_eq!(status, 200, "{answer}");

    let [header, claims, signature] = jwt.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
    let claims = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    let altered =
        BASE64_URL_SAFE_NO_PAD.encode(claims.replace("\"robot@example.test\"", "\"robot@example.tesT\""));
    let (status, answer) = issuer.judge(&format!("{header}.{altered}.{signature}"));
    assert_eq!(status, 400, "{answer}");
    assert!(answer.contains("invalid_grant"), "{answer}");
}
