//! Whatever is asked about elements, libraries and packages: no answer and no refusal holds a value, but `package.get`.

use bursar_tests::library::{STAGES, organization, site};
use bursar_tests::secrets::{grant, of_every_static_type};
use bursar_tests::{FaultIssuer, Reply, open_vault};
use serde_json::{Value, json};

/// Stands in every value, and must be in no answer.
const CANARY: &str = "canary-5e1a";

#[test]
fn no_answer_about_elements_holds_a_value() {
    let (home, _daemon) = open_vault();
    organization(&home, "acme");
    let body = format!(r#"{{"access_token":"{CANARY}","expires_in":36000}}"#);
    let issuer = FaultIssuer::new(Reply::Answer(200, "application/json", body));
    let mut secrets = of_every_static_type();
    secrets.push(grant("granted", &issuer.token_url()));
    let mut elements = serde_json::Map::new();
    for params in &mut secrets {
        let name = format!("acme/{}", params["secret"].as_str().unwrap());
        params["secret"] = json!(name);
        for field in ["password", "token", "value", "header_value", "client_secret"] {
            if !params["credentials"][field].is_null() {
                params["credentials"][field] = json!(CANARY);
            }
        }
        if params["type"] == "key-value" {
            params["credentials"]["entries"] = json!({ "A": CANARY });
        }
        home.create(params.clone());
        elements.insert(name.clone(), json!(name));
    }
    let mut answers = String::new();
    let mut keep = |answer: Value| answers += &answer.to_string();
    for name in elements.keys() {
        keep(home.ok("element.set", json!({ "element": name, "development": name })));
        keep(home.ok("element.show", json!({ "element": name })));
        keep(home.ok("element.resolve", json!({ "element": name, "environment": "development" })));
        keep(json!(
            home.call("element.resolve", json!({ "element": name, "environment": "staging" }))
                .unwrap_err()
                .to_string()
        ));
        keep(home.ok("secret.where", json!({ "secret": name })));
    }
    keep(home.ok("element.list", json!({})));
    keep(home.ok("package.publish", site("1.0.0", json!(elements), json!([]))));
    keep(home.ok("package.show", json!({ "package": "acme/site" })));
    for stage in STAGES {
        let mut params = json!({ "organization": "acme", "elements": elements, "stage": stage });
        keep(home.ok("library.resolve", params));
        params = json!({ "package": "acme/site", "version": "1.0.0", "stage": stage });
        keep(home.ok("package.resolve", params));
    }
    // and where it is said in a place where it does not belong
    for params in [
        json!({ "element": format!("{CANARY}!") }),
        json!({ "element": "acme/e", "development": format!("{CANARY}!") }),
        json!({ "element": "acme/e", "environment": format!("{CANARY}!") }),
        json!({ "element": "acme/e", CANARY: CANARY }),
        json!({ "organization": "acme", "stage": CANARY, "elements": {} }),
        json!({ "organization": "acme", "stage": "staging", "elements": { format!("{CANARY}!"): "x" } }),
        json!({ "organization": "acme", "stage": "staging", "elements": { "A": format!("{CANARY}!") } }),
        json!({ "organization": "acme", "stage": "staging", "elements": { "A": { "staging": [CANARY] } } }),
    ] {
        for method in ["element.set", "element.show", "element.resolve", "library.resolve"] {
            keep(json!(home.call(method, params.clone()).expect_err(method).to_string()));
        }
    }
    assert!(answers.contains("\"good\"") && !answers.contains(CANARY), "an answer holds it");
}
