//! A published version hands out the artifacts of its elements, in an environment of its organization, and nothing else.

use bursar_tests::library::{STAGES, acme_with_api, bound, environment, file, organization, site};
use bursar_tests::secrets::{grant, token};
use bursar_tests::{Daemon, FaultIssuer, Home, Refused, Reply, open_vault, until};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// `acme/site` 1.0.0, with elements of every kind.
fn with_site() -> (Home, Daemon) {
    let (home, daemon) = open_vault();
    acme_with_api(&home);
    let elements =
        json!({ "TOKEN": "api", "OWN": { "staging": "api-staging" }, "acme/api": "api", "NONE": {} });
    home.ok("package.publish", site("1.0.0", elements, json!([file(".npmrc", "%TOKEN% %OWN% %acme/api%")])));
    (home, daemon)
}

fn asked(element: &str, environment: &str) -> Value {
    json!({ "package": "acme/site", "version": "1.0.0", "element": element, "environment": environment })
}

#[track_caller]
fn get(home: &Home, element: &str, environment: &str) -> Value {
    home.ok("package.get", asked(element, environment))
}

#[track_caller]
fn refused(home: &Home, element: &str, environment: &str) -> Refused {
    home.call("package.get", asked(element, environment)).expect_err(element)
}

/// `package.resolve` of `acme/site` 1.0.0.
fn resolve(home: &Home, target: Value) -> Result<Value, Refused> {
    let mut params = json!({ "package": "acme/site", "version": "1.0.0" });
    params.as_object_mut().unwrap().extend(target.as_object().unwrap().clone());
    home.call("package.resolve", params)
}

#[test]
fn each_element_gives_the_artifact_of_its_stage() {
    let (home, _daemon) = with_site();
    for stage in STAGES {
        let artifact = home.artifact(&format!("acme/api-{stage}"));
        assert_eq!(artifact["value"], format!("value-of-{stage}"));
        for element in ["TOKEN", "acme/api"] {
            for environment in [stage.to_owned(), format!("acme/{stage}")] {
                assert_eq!(get(&home, element, &environment), artifact, "{element} {environment}");
            }
        }
    }
    assert_eq!(get(&home, "OWN", "staging")["value"], "value-of-staging");
    // the element is another one's now, and the version follows; what it froze stays
    bound(&home, "acme/other", "staging", "another");
    home.ok("element.set", json!({ "element": "acme/api", "staging": "other" }));
    assert_eq!(get(&home, "TOKEN", "staging")["value"], "another");
    assert_eq!(get(&home, "OWN", "staging")["value"], "value-of-staging");
    let seen = home.ok("secret.where", json!({ "secret": "acme/other" }));
    assert_eq!(seen["callers"][0]["count"], 1, "{seen}");
}

#[test]
fn nothing_comes_out_that_the_version_does_not_name() {
    let (home, _daemon) = with_site();
    bound(&home, "acme/private", "staging", "not yours");
    home.ok("element.set", json!({ "element": "acme/private", "staging": "acme/private" }));
    for element in
        ["private", "acme/private", "api", "api-staging", "acme/api-staging", "acme/TOKEN", "token"]
    {
        let refused = refused(&home, element, "staging");
        assert_eq!(refused.name, "not_found", "{refused}");
        assert_eq!(refused.message, format!("no element {element} in acme/site 1.0.0"));
    }
    for element in ["secret:acme/private", "%TOKEN%", "TOKEN:value", ""] {
        assert_eq!(refused(&home, element, "staging").name, "invalid", "{element}");
    }
    // a later version has it, and lends it to no other
    home.ok("package.publish", site("1.1.0", json!({ "NEW": "private" }), json!([])));
    assert_eq!(refused(&home, "NEW", "staging").name, "not_found");
    let mut params = asked("NEW", "staging");
    params["version"] = json!("1.1.0");
    assert_eq!(home.ok("package.get", params.clone())["value"], "not yours");
    params["version"] = json!("1.2.0");
    assert_eq!(home.refused("package.get", params.clone()), "not_found");
    params["package"] = json!("acme/elsewhere");
    assert_eq!(home.refused("package.get", params), "not_found");
}

#[test]
fn another_organization_s_environment_is_none_for_it() {
    let (home, _daemon) = with_site();
    organization(&home, "beta");
    bound(&home, "beta/api-staging", "staging", "beta's");
    home.ok("element.set", json!({ "element": "beta/api", "staging": "api-staging" }));
    for environment in ["beta/staging", "personal/development"] {
        let refused = refused(&home, "TOKEN", environment);
        assert_eq!(refused.name, "invalid", "{refused}");
        assert_eq!(refused.message, format!("{environment} is of another organization than acme/site"));
        assert_eq!(resolve(&home, json!({ "environment": environment })).unwrap_err().name, "invalid");
    }
    assert_eq!(refused(&home, "TOKEN", "qa").name, "not_found");
    let foreign = site("2.0.0", json!({ "A": "beta/api" }), json!([]));
    assert_eq!(home.refused("package.publish", foreign), "invalid");
}

#[test]
fn what_does_not_resolve_is_not_handed_out() {
    let (home, _daemon) = with_site();
    environment(&home, "acme/dev-2", "development");
    let says = |element: &str, environment: &str, message: &str| {
        let refused = refused(&home, element, environment);
        assert_eq!((refused.name.as_str(), refused.message.as_str()), ("unresolved", message), "{refused}");
        assert!(!refused.hint.is_empty(), "{refused}");
    };
    says("NONE", "staging", "NONE, staging: the slot staging is empty");
    says("OWN", "production", "OWN, production: the slot production is empty");
    says(
        "TOKEN",
        "dev-2",
        "TOKEN, development: acme/api-development is bound to acme/development, not to acme/dev-2",
    );
    home.ok("secret.deactivate", json!({ "secret": "acme/api-staging" }));
    says("TOKEN", "staging", "TOKEN, staging: acme/api-staging is deactivated");
    says("OWN", "staging", "OWN, staging: acme/api-staging is deactivated");
    home.ok("secret.delete", json!({ "secret": "acme/api-staging" }));
    says("TOKEN", "staging", "TOKEN, staging: the slot staging of acme/api is empty");
    says("OWN", "staging", "OWN, staging: there is no secret acme/api-staging");
    home.ok("element.delete", json!({ "element": "acme/api" }));
    says("acme/api", "staging", "acme/api, staging: there is no data element acme/api");
    // the same slot, but for a secret of another environment
    bound(&home, "acme/api-staging", "production", "misplaced");
    says("OWN", "staging", "OWN, staging: acme/api-staging is bound to acme/production, not to acme/staging");
}

#[test]
fn a_stage_stands_for_the_only_environment_of_it() {
    let (home, _daemon) = with_site();
    let resolution = resolve(&home, json!({ "stage": "staging" })).unwrap();
    assert_eq!(resolution, resolve(&home, json!({ "environment": "staging" })).unwrap());
    assert_eq!(resolution["environment"], "acme/staging");
    let elements = resolution["elements"].as_array().unwrap().iter();
    let states: BTreeMap<_, _> =
        elements.map(|one| (one["element"].as_str().unwrap(), one["state"].as_str().unwrap())).collect();
    let expected = [("acme/api", "good"), ("NONE", "empty"), ("OWN", "good"), ("TOKEN", "good")];
    assert_eq!(states, expected.into());

    environment(&home, "acme/dev-2", "development");
    let several = resolve(&home, json!({ "stage": "development" })).unwrap_err();
    assert_eq!(several.name, "invalid", "{several}");
    assert!(
        several.message.contains("acme/dev-2") && several.message.contains("acme/development"),
        "{several}"
    );
    resolve(&home, json!({ "environment": "dev-2" })).unwrap();
    home.ok("environment.delete", json!({ "environment": "acme/production" }));
    let none = resolve(&home, json!({ "stage": "production" })).unwrap_err();
    assert_eq!(
        (none.name.as_str(), none.message.as_str()),
        ("not_found", "acme has no environment of stage production")
    );
    assert_eq!(none.hint, "make one: bursar environment create acme/production --stage production");
    for target in [json!({}), json!({ "environment": "staging", "stage": "staging" })] {
        assert_eq!(resolve(&home, target).unwrap_err().message, "give environment or stage, one of them");
    }
    assert_eq!(resolve(&home, json!({ "environment": "qa" })).unwrap_err().name, "not_found");
    let mut params = json!({ "package": "acme/site", "version": "9.0.0", "stage": "staging" });
    assert_eq!(home.refused("package.resolve", params.clone()), "not_found");
    params["package"] = json!("site");
    assert_eq!(home.refused("package.resolve", params), "not_found");
}

#[test]
fn validity_is_asked_for_as_of_an_artifact() {
    let (home, _daemon) = open_vault();
    organization(&home, "acme");
    let issuer = FaultIssuer::new(Reply::Held(3600));
    home.ok("secret.create", grant("acme/g", &issuer.token_url()));
    home.ok("package.publish", site("1.0.0", json!({ "G": { "development": "g" } }), json!([])));
    // the first exchange is waited for, and whoever asks for something else meanwhile is answered
    let mut socket = home.connect();
    let first = socket.ask("package.get", &asked("G", "development"));
    let later = socket.ask("hello", &json!({}));
    assert_eq!(socket.json()["id"], later);
    issuer.until_count(1);
    issuer.release();
    let answer = socket.json();
    assert_eq!((&answer["id"], &answer["result"]["value"]), (&json!(first), &json!("granted-1")), "{answer}");
    let need = |seconds: u64| {
        let mut params = asked("G", "development");
        params["min_validity"] = json!(seconds);
        home.call("package.get", params)
    };
    assert_eq!(need(3601).unwrap_err().name, "validity_too_long");
    assert_eq!(issuer.count(), 1);
    assert_eq!(need(60).unwrap()["value"], "granted-1");
    until("a second passes, and a fresher one is needed", || {
        need(3600).ok().filter(|artifact| artifact["value"] != "granted-1")
    });
    assert!(issuer.count() >= 2);
}

#[test]
fn an_artifact_may_be_asked_for_within_one_environment() {
    let (home, _daemon) = with_site();
    environment(&home, "acme/dev-2", "development");
    organization(&home, "beta");
    let mut unbound = token("acme/unbound", "v");
    unbound["unbound"] = json!(true);
    home.create(unbound);
    let get = |secret: &str, environment: &str| {
        home.call("artifact.get", json!({ "secret": secret, "environment": environment }))
    };
    for environment in ["staging", "acme/staging"] {
        assert_eq!(get("acme/api-staging", environment).unwrap()["value"], "value-of-staging");
    }
    for (secret, environment) in [
        ("acme/api-staging", "acme/production"),
        ("acme/api-staging", "development"),
        ("acme/api-development", "acme/dev-2"),
        ("acme/api-staging", "beta/staging"),
        ("acme/unbound", "staging"),
    ] {
        let refused = get(secret, environment).unwrap_err();
        assert_eq!(refused.name, "unbound", "{secret} {environment}: {refused}");
        assert!(refused.message.starts_with(&format!("{secret} is not bound to ")), "{refused}");
    }
    for environment in ["qa", "acme/qa", "nobody/staging"] {
        assert_eq!(get("acme/api-staging", environment).unwrap_err().name, "not_found", "{environment}");
    }
    assert_eq!(get("acme/nowhere", "staging").unwrap_err().name, "not_found");
    assert_eq!(get("acme/api-staging", "no name").unwrap_err().name, "invalid");
    // null is absent
    let params = json!({ "secret": "acme/api-staging", "environment": null });
    assert_eq!(home.ok("artifact.get", params)["value"], "value-of-staging");
}

#[test]
fn a_locked_vault_says_nothing_of_elements_packages_and_workspaces() {
    let (home, _daemon) = with_site();
    home.ok("vault.lock", json!({}));
    let digest = "0".repeat(64);
    for (method, params) in [
        ("element.set", json!({ "element": "acme/api" })),
        ("element.list", json!({})),
        ("element.show", json!({ "element": "acme/api" })),
        ("element.delete", json!({ "element": "acme/api" })),
        ("element.resolve", json!({ "element": "acme/api", "environment": "staging" })),
        ("library.resolve", json!({ "organization": "acme", "elements": {}, "stage": "staging" })),
        ("package.publish", site("1.0.0", json!({}), json!([]))),
        ("package.list", json!({})),
        ("package.show", json!({ "package": "acme/site" })),
        ("package.fetch", json!({ "package": "acme/site", "version": "1.0.0" })),
        ("package.resolve", json!({ "package": "acme/site", "version": "1.0.0", "stage": "staging" })),
        ("package.get", asked("TOKEN", "staging")),
        ("workspace.show", json!({ "workspace": "/w" })),
        ("workspace.list", json!({})),
        ("workspace.trust", json!({ "workspace": "/w", "digest": digest })),
        ("workspace.record", json!({ "workspace": "/w", "environment": "acme/staging", "files": [] })),
        ("workspace.forget", json!({ "workspace": "/w" })),
    ] {
        assert_eq!(home.refused(method, params), "locked", "{method}");
    }
    home.ok("vault.unlock", json!({}));
    assert_eq!(get(&home, "TOKEN", "staging")["value"], "value-of-staging");
}
