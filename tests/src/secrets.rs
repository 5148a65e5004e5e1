//! Parameters of `secret.create`: one of every type, and the two grants against an issuer.

use crate::keys::{Certificate, certificate_until, known};
use serde_json::{Value, json};

/// The types without an exchange over the network, each with a canary-like sensitive text, by type.
pub fn of_every_static_type() -> Vec<Value> {
    let Certificate { certificate, private_key } = certificate_until(2090);
    let secret = |r#type: &str, credentials: Value| json!({ "secret": format!("one-{type}"), "type": r#type, "credentials": credentials });
    vec![
        secret("simple-http", json!({ "username": "robot", "password": "pass:word" })),
        secret("token", json!({ "token": "npm_0123456789" })),
        secret("api-key", json!({ "header_name": "X-Api-Key", "value": "k-0123456789" })),
        secret("bearer-token", json!({ "header_name": "Authorization", "header_value": "Bearer b-01234" })),
        secret(
            "client-credentials",
            json!({ "client_id": "robot", "client_secret": "cs-0123456789", "scopes": ["read", "write"] }),
        ),
        secret("certificate", json!({ "certificate": certificate, "private_key": private_key })),
        secret("key-value", json!({ "entries": { "USER": "robot", "PIN": "p-0123456789" } })),
    ]
}

/// A `token`: the smallest secret that there is.
pub fn token(name: &str, token: &str) -> Value {
    json!({ "secret": name, "type": "token", "credentials": { "token": token } })
}

/// A jwt that is its own artifact.
pub fn own_jwt(name: &str) -> Value {
    json!({ "secret": name, "type": "oauth2-jwt", "credentials": {
        "iss": "robot", "aud": "https://aud.test", "sub": "robot@example.test", "ttl": 3600, "alg": "RS256",
        "private_key_id": "k1", "custom_claims": { "team": ["a", 1] }, "private_key": known().pkcs8,
    } })
}

/// A client credentials grant at `token_url`, short-lived tokens accepted.
pub fn grant(name: &str, token_url: &str) -> Value {
    let mut grant = standard_grant(name, token_url);
    grant["exchange_policy"] = json!("short-lived");
    grant
}

/// A client credentials grant at `token_url` under the standard policy.
pub fn standard_grant(name: &str, token_url: &str) -> Value {
    json!({ "secret": name, "type": "oauth2-client_credentials", "credentials": {
        "client_id": "robot", "client_secret": "cs-0123456789", "token_url": token_url,
    } })
}
