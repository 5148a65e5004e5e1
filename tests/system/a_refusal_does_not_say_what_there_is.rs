//! A refusal is the same to the byte before and after that comes to be which the caller has no right to.

use bursar_tests::client_secrets::issue;
use bursar_tests::library::{STAGES, bound, environment, file, organization, publish};
use bursar_tests::{Home, open_vault};
use serde_json::{Value, json};

const DIGEST: &str = "c0124787fb7d5e6a2702c89a29955cc46a6197a01b076852e117a855123a2e26";

/// A connection's client secrets, and what they ask for.
struct Caller {
    name: &'static str,
    values: Vec<String>,
    asks: Vec<(&'static str, Value)>,
}

impl Caller {
    /// The answers as they come over the wire, each on a connection of its own.
    fn told(&self, home: &Home) -> Vec<String> {
        let told = self.asks.iter().map(|(method, params)| {
            let mut socket = home.connect();
            drop(socket.call("authenticate", json!({ "client_secrets": self.values })));
            socket.ask(method, params);
            format!("{method} {params} by {}: {}", self.name, socket.line().unwrap())
        });
        told.collect()
    }
}

/// Calls about `acme/staging`.
fn about_staging() -> Vec<(&'static str, Value)> {
    let site = |more: Value| {
        let mut params = json!({ "package": "acme/site", "version": "1.0.0" });
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        params
    };
    vec![
        ("environment.show", json!({ "environment": "acme/staging" })),
        ("package.resolve", site(json!({ "environment": "acme/staging" }))),
        ("package.resolve", site(json!({ "environment": "staging" }))),
        ("package.resolve", site(json!({ "stage": "staging" }))),
        ("package.get", site(json!({ "environment": "acme/staging", "element": "TOKEN" }))),
        ("workspace.record", record("acme/staging", &[])),
        ("workspace.record", record("acme/staging", &["acme/api-staging"])),
    ]
}

/// Calls about `acme`.
fn about_acme() -> Vec<(&'static str, Value)> {
    let mut asks = about_staging();
    asks.extend([
        ("package.list", json!({ "organization": "acme" })),
        ("package.show", json!({ "package": "acme/site" })),
        ("package.show", json!({ "package": "acme/site", "version": "1.0.0" })),
        ("package.fetch", json!({ "package": "acme/site", "version": "1.0.0" })),
        (
            "package.publish",
            json!({ "package": "acme/site", "version": "1.0.0", "elements": { "TOKEN": "api" }, "files": [] }),
        ),
        // from where there is a right, across to where there is none
        ("workspace.record", record("globex/staging", &["acme/api-staging"])),
        (
            "package.get",
            json!({ "package": "globex/site", "version": "1.0.0", "environment": "acme/staging", "element": "TOKEN" }),
        ),
        (
            "package.get",
            json!({ "package": "globex/site", "version": "1.0.0", "environment": "staging", "element": "acme/api" }),
        ),
    ]);
    asks.extend(["acme/api", "acme/api-staging"].map(across));
    // what no role is enough for
    asks.extend([
        ("secret.show", json!({ "secret": "acme/api-staging" })),
        ("artifact.get", json!({ "secret": "acme/api-staging" })),
        ("element.show", json!({ "element": "acme/api" })),
        ("secret.list", json!({ "organization": "acme" })),
        ("client_secret.list", json!({ "organization": "acme" })),
        ("organization.delete", json!({ "organization": "acme" })),
    ]);
    asks
}

/// Parameters of `workspace.record` for one file with these secrets.
fn record(environment: &str, secrets: &[&str]) -> Value {
    let (organization, _) = environment.split_once('/').unwrap();
    let written = json!({ "path": ".npmrc", "package": format!("{organization}/site"), "version": "1.0.0",
        "digests": [DIGEST], "secrets": secrets });
    json!({ "workspace": "/w", "environment": environment, "files": [written] })
}

/// A version of a package of `globex` with something of `acme` in it.
fn across(named: &'static str) -> (&'static str, Value) {
    let elements = json!({ "TOKEN": { "staging": named }, "OTHER": named });
    (
        "package.publish",
        json!({ "package": "globex/tool", "version": "1.0.0", "elements": elements, "files": [] }),
    )
}

#[track_caller]
fn same(before: &[String], after: &[String]) {
    for (before, after) in before.iter().zip(after) {
        assert_eq!(before, after);
    }
}

#[test]
fn what_another_organization_has_changes_no_refusal() {
    let (home, _daemon) = open_vault();
    organization(&home, "globex");
    bound(&home, "globex/api", "staging", "value-of-globex");
    publish(&home, "globex/site", "1.0.0", json!({ "TOKEN": { "staging": "api" } }), json!([]));
    let viewer = issue(&home, "globex", "viewer", None).value;
    let contributor = issue(&home, "globex", "contributor", None).value;
    let staging = issue(&home, "globex", "viewer", Some("staging")).value;
    let revoked = issue(&home, "globex", "contributor", None);
    home.ok("client_secret.revoke", json!({ "id": revoked.id }));
    let caller = |name, values| Caller { name, values, asks: about_acme() };
    let callers = [
        caller("a viewer", vec![viewer.clone()]),
        caller("a contributor", vec![contributor.clone()]),
        caller("a viewer of one environment", vec![staging]),
        caller("several", vec![viewer, contributor]),
        caller("a revoked one", vec![revoked.value]),
        caller("nobody", vec!["bcs_k3j9x2m4pq_cut".to_owned()]),
    ];
    let told = |home: &Home| callers.iter().flat_map(|caller| caller.told(home)).collect::<Vec<_>>();

    let nothing = told(&home);
    for line in &nothing {
        assert!(line.contains("\"error\""), "{line}");
    }
    organization(&home, "acme");
    same(&nothing, &told(&home));
    let mut element = json!({ "element": "acme/api" });
    for stage in STAGES {
        bound(&home, &format!("acme/api-{stage}"), stage, "a-value");
        element[stage] = json!(format!("acme/api-{stage}"));
    }
    home.ok("element.set", element);
    same(&nothing, &told(&home));
    publish(&home, "acme/site", "1.0.0", json!({ "TOKEN": "api" }), json!([file(".npmrc", "%TOKEN%")]));
    same(&nothing, &told(&home));
    home.ok("workspace.record", record("acme/staging", &["acme/api-staging"]));
    same(&nothing, &told(&home));
    // the calls are good ones: who has the right gets an answer
    let insider = Caller {
        name: "a viewer",
        values: vec![issue(&home, "acme", "viewer", None).value],
        asks: about_staging(),
    };
    for line in insider.told(&home) {
        assert!(line.contains("\"result\""), "{line}");
    }
}

#[test]
fn what_another_environment_is_changes_no_refusal() {
    let (home, _daemon) = open_vault();
    home.ok("organization.create", json!({ "organization": "acme" }));
    let values = vec![issue(&home, "acme", "contributor", Some("development")).value];
    let caller = Caller { name: "one for development", values, asks: about_staging() };
    let nothing = caller.told(&home);
    for line in &nothing {
        assert!(line.contains("\"wrong_environment\""), "{line}");
    }
    environment(&home, "acme/staging", "staging");
    same(&nothing, &caller.told(&home));
    bound(&home, "acme/api-staging", "staging", "a-value");
    publish(&home, "acme/site", "1.0.0", json!({ "TOKEN": { "staging": "api-staging" } }), json!([]));
    same(&nothing, &caller.told(&home));
}
