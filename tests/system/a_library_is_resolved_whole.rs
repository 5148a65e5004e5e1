//! A library is resolved whole: every element is told, whatever is wrong with it, and all are of its own organization.

use bursar_tests::library::{acme_with_api, bound, organization};
use bursar_tests::{Daemon, Home, open_vault};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn with_api() -> (Home, Daemon) {
    let (home, daemon) = open_vault();
    acme_with_api(&home);
    (home, daemon)
}

#[test]
fn a_library_is_told_of_every_element_at_once() {
    let (home, _daemon) = with_api();
    home.ok("element.set", json!({ "element": "acme/e" }));
    home.ok("secret.deactivate", json!({ "secret": "acme/api-staging" }));
    let elements = json!({
        "A": "acme/api",
        "B": "e",
        "C": { "staging": "acme/nowhere" },
        "D": "nothing",
        "E": { "production": "acme/api-production" },
        "F": { "staging": "acme/api-production" },
        "acme/api": "api",
    });
    let resolve = |target: Value| {
        let mut params = json!({ "organization": "acme", "elements": elements });
        params.as_object_mut().unwrap().extend(target.as_object().unwrap().clone());
        home.call("library.resolve", params)
    };
    let states = |resolution: &Value| -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let elements = resolution["elements"].as_array().unwrap().iter();
        elements.map(|one| (text(&one["element"]), text(&one["state"]))).collect()
    };
    let expected = [
        ("acme/api", "inactive"),
        ("A", "inactive"),
        ("B", "empty"),
        ("C", "missing"),
        ("D", "missing"),
        ("E", "empty"),
        ("F", "elsewhere"),
    ];
    let expected: BTreeMap<_, _> = expected.map(|(name, state)| (name.to_owned(), state.to_owned())).into();
    for (target, environment) in [
        (json!({ "environment": "staging" }), json!("acme/staging")),
        (json!({ "stage": "staging" }), Value::Null),
    ] {
        let resolution = resolve(target).unwrap();
        assert_eq!((&resolution["environment"], &resolution["stage"]), (&environment, &json!("staging")));
        assert_eq!(states(&resolution).into_iter().collect::<BTreeMap<_, _>>(), expected);
        for one in resolution["elements"].as_array().unwrap() {
            let name = one["element"].as_str().unwrap();
            let problem = one["problem"].as_str().unwrap();
            assert!(problem.starts_with(&format!("{name}, staging: ")) && !one["hint"].is_null(), "{one}");
        }
    }
    for target in [json!({}), json!({ "environment": "staging", "stage": "staging" })] {
        assert_eq!(resolve(target).unwrap_err().message, "give environment or stage, one of them");
    }
    assert_eq!(resolve(json!({ "environment": "personal/development" })).unwrap_err().name, "invalid");
    assert_eq!(resolve(json!({ "environment": "qa" })).unwrap_err().name, "not_found");
}

#[test]
fn a_library_reaches_its_own_organization_alone() {
    let (home, _daemon) = with_api();
    organization(&home, "beta");
    bound(&home, "beta/x", "development", "v");
    let resolve = |organization: &str, elements: Value| {
        let params = json!({ "organization": organization, "elements": elements, "stage": "development" });
        home.call("library.resolve", params)
    };
    for elements in [
        json!({ "A": "beta/x" }),
        json!({ "A": { "development": "beta/x" } }),
        json!({ "beta/x": "beta/x" }),
        json!({ "beta/x": "acme/api" }),
        json!({ "acme/api": "acme/other" }),
        json!({ "acme/api": { "development": "acme/api-development" } }),
    ] {
        let refused = resolve("acme", elements.clone()).expect_err(&elements.to_string());
        assert_eq!(refused.name, "invalid", "{elements}: {refused}");
    }
    assert_eq!(resolve("nobody", json!({})).unwrap_err().name, "not_found");
    assert_eq!(resolve("acme", json!({})).unwrap()["elements"], json!([]));
    for (elements, word) in [
        (json!({ "no name": "acme/api" }), "field elements: name number 1"),
        (json!({ "A": 1 }), "field elements: A: "),
        (json!({ "A": { "qa": "x" } }), "unknown field qa"),
        (json!([]), "field elements"),
    ] {
        let refused = resolve("acme", elements).unwrap_err();
        assert!(refused.message.contains(word), "{refused}");
    }
}

#[test]
fn a_library_has_a_thousand_elements_and_no_more() {
    let (home, _daemon) = with_api();
    let resolve = |count: usize| {
        let elements: serde_json::Map<String, Value> =
            (0..count).map(|at| (format!("E{at}"), json!("api"))).collect();
        home.call(
            "library.resolve",
            json!({ "organization": "acme", "elements": elements, "environment": "staging" }),
        )
    };
    let resolution = resolve(1_000).unwrap();
    let elements = resolution["elements"].as_array().unwrap();
    assert!(elements.len() == 1_000 && elements.iter().all(|one| one["state"] == "good"));
    assert!(resolve(1_001).unwrap_err().message.contains("at most 1000 elements"));
}
