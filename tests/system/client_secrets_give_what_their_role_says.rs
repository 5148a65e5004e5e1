//! A client secret gives what its role says: what published packages hand out, publishing for contributors, nothing else.

use bursar_tests::client_secrets::{Issued, authenticated, issue};
use bursar_tests::library::{STAGES, acme_with_api, bound, file, organization, publish};
use bursar_tests::{Daemon, Home, RawSocket, open_vault};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// `acme/site` and `beta/site` 1.0.0, each with the element `TOKEN`; and `acme/private`, which no package names.
fn with_sites() -> (Home, Daemon) {
    let (home, daemon) = open_vault();
    acme_with_api(&home);
    bound(&home, "acme/private", "staging", "value-of-nobody");
    organization(&home, "beta");
    bound(&home, "beta/api", "staging", "value-of-beta");
    for (package, elements) in [
        ("acme/site", json!({ "TOKEN": "api" })),
        ("beta/site", json!({ "TOKEN": { "staging": "beta/api" } })),
    ] {
        publish(&home, package, "1.0.0", elements, json!([file(".npmrc", "%TOKEN%")]));
    }
    (home, daemon)
}

/// Parameters of `package.get`: the element `TOKEN` of version 1.0.0.
fn token_of(package: &str, environment: &str) -> Value {
    json!({ "package": package, "version": "1.0.0", "environment": environment, "element": "TOKEN" })
}

/// Parameters of `package.publish`: a version that hands out `secret` in staging.
fn release(package: &str, version: &str, secret: &str) -> Value {
    json!({ "package": package, "version": version, "elements": { "TOKEN": { "staging": secret } }, "files": [] })
}

#[track_caller]
fn value(socket: &mut RawSocket, package: &str, environment: &str) -> Value {
    let answer = socket.call("package.get", token_of(package, environment));
    answer.unwrap_or_else(|refused| panic!("{package} {environment}: {refused}"))["value"].take()
}

#[track_caller]
fn refused(socket: &mut RawSocket, method: &str, params: Value) -> String {
    match socket.call(method, params) {
        Ok(answer) => panic!("{method} should have been refused, and answered {answer}"),
        Err(refused) => refused.name,
    }
}

#[test]
fn a_viewer_gets_what_a_published_version_hands_out() {
    let (home, _daemon) = with_sites();
    let mut ci = authenticated(&home, &[&issue(&home, "acme", "viewer", None)]);
    for stage in STAGES {
        assert_eq!(value(&mut ci, "acme/site", stage), format!("value-of-{stage}"));
    }
    let listed = ci.call("package.list", json!({})).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 1, "only its own organization's: {listed}");
    assert_eq!(listed[0]["package"], "acme/site");
    for (method, params) in [
        ("package.show", json!({ "package": "acme/site" })),
        ("package.fetch", json!({ "package": "acme/site", "version": "1.0.0" })),
        ("package.resolve", json!({ "package": "acme/site", "version": "1.0.0", "stage": "staging" })),
        ("environment.show", json!({ "environment": "acme/staging" })),
        ("workspace.record", json!({ "workspace": "/w", "environment": "acme/staging", "files": [] })),
        ("workspace.show", json!({ "workspace": "/w" })),
    ] {
        assert_eq!(ci.call(method, params).err(), None, "{method}");
    }
}

#[test]
fn a_viewer_gets_nothing_else() {
    let (home, _daemon) = with_sites();
    let mut ci = authenticated(&home, &[&issue(&home, "acme", "viewer", None)]);
    for (method, params) in [
        ("artifact.get", json!({ "secret": "acme/api-staging" })),
        ("artifact.get", json!({ "secret": "acme/api-staging", "environment": "acme/staging" })),
        ("artifact.watch", json!({})),
        ("secret.show", json!({ "secret": "acme/api-staging" })),
        ("secret.list", json!({ "organization": "acme" })),
        ("element.resolve", json!({ "element": "acme/api", "environment": "acme/staging" })),
        ("library.resolve", json!({ "organization": "acme", "elements": {}, "stage": "staging" })),
        ("client_secret.list", json!({ "organization": "acme" })),
        ("audit.list", json!({})),
        ("audit.watch", json!({})),
        ("workspace.list", json!({})),
        ("vault.lock", json!({})),
        ("agent.status", json!({})),
        ("agent.stop", json!({})),
    ] {
        assert_eq!(refused(&mut ci, method, params), "denied", "{method}");
    }
    assert_eq!(refused(&mut ci, "package.publish", release("acme/site", "2.0.0", "private")), "wrong_role");
    // nor what lies beside what a version names
    for element in ["private", "acme/private", "acme/api", "api-staging"] {
        let mut params = token_of("acme/site", "staging");
        params["element"] = json!(element);
        assert_eq!(refused(&mut ci, "package.get", params), "not_found", "{element}");
    }
    assert_eq!(home.artifact("acme/private")["value"], "value-of-nobody", "the owner still does");
}

#[test]
fn a_contributor_publishes_and_reaches_what_that_names() {
    let (home, _daemon) = with_sites();
    let contributor = issue(&home, "acme", "contributor", None);
    let mut ci = authenticated(&home, &[&contributor]);
    let mut dry = release("acme/tool", "1.0.0", "private");
    dry["dry_run"] = json!(true);
    ci.call("package.publish", dry).unwrap();
    assert_eq!(refused(&mut ci, "package.get", token_of("acme/tool", "staging")), "not_found");
    let published = ci.call("package.publish", release("acme/tool", "1.0.0", "private")).unwrap();
    assert_eq!(published["published_by"], format!("client secret {}", contributor.id));
    assert_eq!(value(&mut ci, "acme/tool", "staging"), "value-of-nobody");
    assert_eq!(refused(&mut ci, "artifact.get", json!({ "secret": "acme/private" })), "denied");
    assert_eq!(
        refused(&mut ci, "package.publish", release("beta/tool", "1.0.0", "api")),
        "wrong_organization"
    );
}

#[test]
fn one_for_an_environment_gives_that_environment() {
    let (home, _daemon) = with_sites();
    let mut ci = authenticated(&home, &[&issue(&home, "acme", "viewer", Some("staging"))]);
    assert_eq!(value(&mut ci, "acme/site", "staging"), "value-of-staging");
    assert_eq!(value(&mut ci, "acme/site", "acme/staging"), "value-of-staging");
    for environment in ["production", "development", "acme/nowhere"] {
        let params = token_of("acme/site", environment);
        assert_eq!(refused(&mut ci, "package.get", params), "wrong_environment", "{environment}");
    }
    assert_eq!(ci.call("environment.show", json!({ "environment": "acme/staging" })).err(), None);
    let production = json!({ "environment": "acme/production" });
    assert_eq!(refused(&mut ci, "environment.show", production), "wrong_environment");
}

#[test]
fn each_request_needs_one_of_several_that_allows_it() {
    let (home, _daemon) = with_sites();
    let (viewer, contributor) =
        (issue(&home, "acme", "viewer", None), issue(&home, "beta", "contributor", None));
    let narrow = issue(&home, "beta", "viewer", Some("production"));
    for order in [[&viewer, &contributor, &narrow], [&narrow, &contributor, &viewer]] {
        let mut ci = authenticated(&home, &order);
        assert_eq!(value(&mut ci, "acme/site", "staging"), "value-of-staging");
        assert_eq!(value(&mut ci, "beta/site", "staging"), "value-of-beta");
        assert_eq!(
            refused(&mut ci, "package.publish", release("acme/site", "2.0.0", "private")),
            "wrong_role"
        );
        let mut dry = release("beta/site", "2.0.0", "api");
        dry["dry_run"] = json!(true);
        ci.call("package.publish", dry).unwrap();
        let listed = ci.call("package.list", json!({})).unwrap();
        assert_eq!(listed.as_array().unwrap().len(), 2, "{listed}");
        let files = |secrets: [&str; 2]| {
            let file = |secret: &str| json!({ "path": secret, "package": format!("{}/site", &secret[..4]), "version": "1.0.0", "digests": ["0".repeat(64)], "secrets": [secret] });
            json!({ "workspace": "/w", "environment": "acme/staging", "files": secrets.map(file) })
        };
        ci.call("workspace.record", files(["acme/api-staging", "beta/api"])).unwrap();
    }
    // both are needed for what is of both
    let mut ci = authenticated(&home, &[&viewer]);
    let file = json!({ "path": "a", "package": "beta/site", "version": "1.0.0", "digests": ["0".repeat(64)], "secrets": [] });
    let params = json!({ "workspace": "/w", "environment": "acme/staging", "files": [file] });
    assert_eq!(refused(&mut ci, "workspace.record", params), "wrong_organization");
}

#[test]
fn the_owner_s_rights_are_gone_whatever_comes_of_authenticating() {
    let (home, _daemon) = with_sites();
    let viewer = issue(&home, "acme", "viewer", None);
    let revoked = issue(&home, "acme", "contributor", None);
    home.ok("client_secret.revoke", json!({ "id": revoked.id }));
    for (params, outcome) in [
        (json!({ "client_secrets": [viewer.value] }), None),
        (json!({ "client_secrets": [revoked.value] }), Some("client_secret_revoked")),
        (json!({ "client_secrets": ["rubbish"] }), Some("client_secret_malformed")),
        (json!({ "client_secrets": [] }), Some("invalid")),
        (json!({ "client_secrets": [viewer.value], "command": "Not A Word" }), Some("invalid")),
        (json!({ "client_secrets": [viewer.value], "ci": { "a": "\u{1b}[2J" } }), Some("invalid")),
        (json!({ "client_secrets": viewer.value }), Some("invalid")),
        (json!({ "client_secrets": [viewer.value], "further": true }), Some("invalid")),
        (json!({}), Some("invalid")),
        (json!([viewer.value]), Some("invalid")),
    ] {
        let mut socket = home.connect();
        socket.call("artifact.get", json!({ "secret": "acme/private" })).unwrap();
        let answer = socket.call("authenticate", params.clone());
        assert_eq!(answer.err().map(|refused| refused.name).as_deref(), outcome, "{params}");
        for method in ["artifact.get", "secret.show", "secret.delete"] {
            assert_eq!(
                refused(&mut socket, method, json!({ "secret": "acme/private" })),
                "denied",
                "{params}"
            );
        }
        let got =
            socket.call("package.get", token_of("acme/site", "staging")).map_err(|refused| refused.name);
        match outcome {
            None => assert_eq!(got.unwrap()["value"], "value-of-staging"),
            Some("client_secret_revoked") => assert_eq!(got, Err("client_secret_revoked".into())),
            Some(_) => assert_eq!(got, Err("denied".into()), "{params}"),
        }
        assert_eq!(socket.call("hello", json!({})).unwrap()["agent"], "bursard");
    }
}

/// Reads until it is told that the secret `acme/private` changed, and that this was recorded.
fn until_told(socket: &mut RawSocket) {
    let (mut changed, mut recorded) = (false, false);
    while !(changed && recorded) {
        let line = socket.json();
        if line["params"]["secret"] == "acme/private" {
            changed |= line["method"] == "artifact.changed";
            recorded |= line["method"] == "audit.entry";
        }
    }
}

#[test]
fn watches_from_before_end() {
    let (home, _daemon) = with_sites();
    let watching = || {
        let mut socket = home.connect();
        socket.call("artifact.watch", json!({})).unwrap();
        socket.call("audit.watch", json!({})).unwrap();
        socket
    };
    let (mut ci, mut witness) = (watching(), watching());
    home.ok("secret.deactivate", json!({ "secret": "acme/private" }));
    until_told(&mut ci);
    until_told(&mut witness);
    let viewer = issue(&home, "acme", "viewer", None);
    ci.call("authenticate", json!({ "client_secrets": [viewer.value] })).unwrap();
    for method in ["artifact.watch", "audit.watch"] {
        assert_eq!(refused(&mut ci, method, json!({})), "denied");
    }
    home.ok("secret.reactivate", json!({ "secret": "acme/private" }));
    until_told(&mut witness);
    for _ in 0..3 {
        let id = ci.ask("hello", &json!({}));
        let line = ci.json();
        assert_eq!(line["id"], id, "it is told nothing any more: {line}");
    }
}

#[test]
fn lines_behind_it_in_one_burst_have_the_new_rights() {
    let (home, _daemon) = with_sites();
    let viewer = issue(&home, "acme", "viewer", None);
    let secret = json!({ "secret": "acme/private" });
    let lines = [
        ("artifact.get", secret.clone()),
        ("secret.show", secret.clone()),
        ("authenticate", json!({ "client_secrets": [viewer.value] })),
        ("artifact.get", secret.clone()),
        ("secret.show", secret),
        ("package.get", token_of("acme/site", "staging")),
    ];
    let request = |(id, (method, params)): (usize, &(&str, Value))| {
        format!("{}\n", json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }))
    };
    let burst: String = lines.iter().enumerate().map(request).collect();
    let mut socket = home.connect();
    socket.send(burst).unwrap();
    let outcome = |line: Value| (line["id"].as_u64().unwrap(), line["error"]["data"]["name"].clone());
    let outcomes: BTreeMap<u64, Value> = lines.iter().map(|_| outcome(socket.json())).collect();
    let expected = [json!(null), json!(null), json!(null), json!("denied"), json!("denied"), json!(null)];
    assert_eq!(outcomes.into_values().collect::<Vec<_>>(), expected);
}

#[test]
fn a_connection_may_authenticate_again_and_the_last_time_counts() {
    let (home, _daemon) = with_sites();
    let all: Vec<Issued> =
        ["acme", "beta"].map(|organization| issue(&home, organization, "viewer", None)).into();
    let mut ci = authenticated(&home, &[&all[0]]);
    assert_eq!(value(&mut ci, "acme/site", "staging"), "value-of-staging");
    assert_eq!(refused(&mut ci, "package.get", token_of("beta/site", "staging")), "wrong_organization");
    ci.call("authenticate", json!({ "client_secrets": [all[1].value] })).unwrap();
    assert_eq!(value(&mut ci, "beta/site", "staging"), "value-of-beta");
    assert_eq!(refused(&mut ci, "package.get", token_of("acme/site", "staging")), "wrong_organization");
    ci.call("authenticate", json!({ "client_secrets": ["rubbish"] })).unwrap_err();
    assert_eq!(refused(&mut ci, "package.get", token_of("beta/site", "staging")), "denied");
    ci.call("authenticate", json!({ "client_secrets": [all[0].value, all[1].value] })).unwrap();
    assert_eq!(value(&mut ci, "acme/site", "staging"), "value-of-staging");
    assert_eq!(value(&mut ci, "beta/site", "staging"), "value-of-beta");
}
