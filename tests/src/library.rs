//! What libraries are made of: an organization with a secret for each stage, and parameters of the calls.

use crate::home::Home;
use crate::keys::known;
use crate::patience::until;
use crate::raw::seconds;
use crate::secrets::token;
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// The stages, in order.
pub const STAGES: [&str; 3] = ["development", "staging", "production"];

/// Makes an organization with the environments `development`, `staging` and `production`, one of each stage.
pub fn organization(home: &Home, name: &str) {
    home.ok("organization.create", json!({ "organization": name }));
    environment(home, &format!("{name}/staging"), "staging");
    environment(home, &format!("{name}/production"), "production");
}

/// Makes an environment.
pub fn environment(home: &Home, name: &str, stage: &str) {
    home.ok("environment.create", json!({ "environment": name, "stage": stage }));
}

/// Makes a token secret that is bound to `environment`.
pub fn bound(home: &Home, name: &str, environment: &str, value: &str) {
    let mut params = token(name, value);
    params["environment"] = json!(environment);
    home.create(params);
}

/// Makes `acme` with a token secret for each stage: `acme/api-STAGE`, whose value is `value-of-STAGE`, and with the
/// element `acme/api` that has them.
pub fn acme_with_api(home: &Home) {
    organization(home, "acme");
    let mut element = json!({ "element": "acme/api" });
    for stage in STAGES {
        bound(home, &format!("acme/api-{stage}"), stage, &format!("value-of-{stage}"));
        element[stage] = json!(format!("acme/api-{stage}"));
    }
    home.ok("element.set", element);
}

/// Parameters of `secret.create`: tokens of a JWT grant at `token_url` that are refreshed a second before their end, so
/// that they may live for two seconds.
pub fn brief_grant(name: &str, token_url: &str) -> Value {
    json!({ "secret": name, "type": "oauth2-jwt", "credentials": {
        "iss": "robot", "aud": "https://aud.test", "ttl": 3600, "alg": "RS256", "refresh_offset": 1,
        "private_key": known().pkcs8, "token_url": token_url,
    } })
}

/// Waits until the instant in `attribute` has passed.
pub fn until_past(attribute: &Value) {
    let instant = seconds(attribute);
    until("an instant passes", || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_secs();
        (now > instant.unsigned_abs()).then_some(())
    });
}

/// A file of a package, 0600.
pub fn file(path: &str, template: &str) -> Value {
    json!({ "path": path, "mode": "0600", "template": template })
}

/// Parameters of `package.publish` for `acme/site`.
pub fn site(version: &str, elements: Value, files: Value) -> Value {
    json!({ "package": "acme/site", "version": version, "elements": elements, "files": files })
}

/// Publishes a version of any package; answers its digest.
pub fn publish(home: &Home, package: &str, version: &str, elements: Value, files: Value) -> String {
    let params = json!({ "package": package, "version": version, "elements": elements, "files": files });
    home.ok("package.publish", params)["digest"].as_str().expect("a digest").to_owned()
}
