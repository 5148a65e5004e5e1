//! How often secrets and client secrets are used is counted by day, as much as the owner wants to know.

use bursar_tests::client_secrets::{Issued, authenticated, issue, issue_with};
use bursar_tests::library::{acme_with_api, organization, publish};
use bursar_tests::secrets::token;
use bursar_tests::{Daemon, Home, RawSocket, configured, open_vault, seconds, until};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

const DAY: i64 = 86_400;

/// `acme/site` 1.0.0 with the element `TOKEN`.
fn with_site(config: &str) -> (Home, Daemon) {
    let (home, daemon) = configured(config);
    acme_with_api(&home);
    publish(&home, "acme/site", "1.0.0", json!({ "TOKEN": "api" }), json!([]));
    (home, daemon)
}

fn token_of_site() -> Value {
    json!({ "package": "acme/site", "version": "1.0.0", "environment": "staging", "element": "TOKEN" })
}

fn use_of(home: &Home, filter: Value) -> Value {
    let mut all = home.ok("usage.list", filter);
    assert_eq!(all.as_array().unwrap().len(), 1, "{all}");
    all[0].take()
}

fn of_secret(home: &Home, secret: &str) -> Value {
    use_of(home, json!({ "secret": secret }))
}

fn of_client(home: &Home, issued: &Issued) -> Value {
    use_of(home, json!({ "client_secret": issued.id }))
}

/// How often by which name, all days together: a test may run past midnight.
fn by(usage: &Value, name: &str) -> u64 {
    let days = usage["days"].as_array().unwrap();
    days.iter().map(|day| day["by"][name].as_u64().unwrap_or(0)).sum()
}

/// A connection of a command.
fn command(home: &Home, issued: &[&Issued], command: &str) -> RawSocket {
    let values: Vec<&str> = issued.iter().map(|issued| issued.value.as_str()).collect();
    let mut socket = home.connect();
    socket.call("authenticate", json!({ "client_secrets": values, "command": command })).unwrap();
    socket
}

#[test]
fn what_is_handed_out_counts_for_its_secret() {
    let (home, _daemon) = with_site("");
    let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let unused = of_secret(&home, "acme/api-staging");
    assert_eq!(
        unused,
        json!({
            "secret": "acme/api-staging", "client_secret": null, "description": null, "analytics": "limited",
            "last_used_at": null, "count": 0, "days": [],
        })
    );
    let mut socket = home.connect();
    for _ in 0..7 {
        socket.call("artifact.get", json!({ "secret": "acme/api-staging" })).unwrap();
    }
    let bound = json!({ "secret": "acme/api-staging", "environment": "acme/staging" });
    socket.call("artifact.get", bound).unwrap();
    for _ in 0..3 {
        socket.call("package.get", token_of_site()).unwrap();
    }
    let viewer = issue(&home, "acme", "viewer", None);
    authenticated(&home, &[&viewer]).call("package.get", token_of_site()).unwrap();
    // what is refused, and what tells no value, is no use
    home.refused("artifact.get", json!({ "secret": "acme/api-staging", "environment": "acme/production" }));
    authenticated(&home, &[&viewer])
        .call("artifact.get", json!({ "secret": "acme/api-staging" }))
        .unwrap_err();
    home.ok("secret.show", json!({ "secret": "acme/api-staging" }));
    home.ok("element.resolve", json!({ "element": "acme/api", "environment": "acme/staging" }));

    let used = of_secret(&home, "acme/api-staging");
    assert_eq!(
        (&used["count"], by(&used, "artifact.get"), by(&used, "package.get")),
        (&json!(12), 8, 4),
        "{used}"
    );
    assert!(seconds(&used["last_used_at"]) >= i64::try_from(before).unwrap(), "{used}");
    for day in used["days"].as_array().unwrap() {
        let text = day["day"].as_str().unwrap();
        assert!(used["last_used_at"].as_str().unwrap().starts_with(&text[..4]) && text.len() == 10, "{used}");
        let counts = day["by"].as_object().unwrap().values().map(|count| count.as_u64().unwrap());
        assert_eq!(day["count"], counts.sum::<u64>(), "{used}");
    }
    assert_eq!(of_secret(&home, "acme/api-production")["count"], 0);

    // it follows a new name, and goes with the secret
    home.create(token("acme/t", "v"));
    home.artifact("acme/t");
    home.ok("secret.edit", json!({ "secret": "acme/t", "name": "u" }));
    assert_eq!(of_secret(&home, "acme/u")["count"], 1);
    home.ok("secret.delete", json!({ "secret": "acme/u" }));
    assert_eq!(home.refused("usage.list", json!({ "secret": "acme/u" })), "not_found");
    home.create(token("acme/u", "v"));
    assert_eq!(of_secret(&home, "acme/u")["count"], 0);
}

#[test]
fn a_command_counts_once_for_each_client_secret_that_allowed_something() {
    let (home, _daemon) = with_site("");
    organization(&home, "beta");
    let used = issue_with(&home, "acme", "viewer", json!({ "description": "site, in the CI" }));
    let idle = issue(&home, "beta", "viewer", None);
    for _ in 0..3 {
        let mut ci = command(&home, &[&idle, &used], "sync");
        for _ in 0..5 {
            ci.call("package.get", token_of_site()).unwrap();
        }
    }
    // what it allowed counts, whatever became of it; what nothing allowed does not
    let mut ci = command(&home, &[&used], "info");
    ci.call("package.show", json!({ "package": "acme/none" })).unwrap_err();
    ci.call("package.show", json!({ "package": "acme/site" })).unwrap();
    command(&home, &[&used], "publish").call("secret.list", json!({})).unwrap_err();
    drop(command(&home, &[&used], "status"));
    // who says no command is counted by what was asked first
    authenticated(&home, &[&used]).call("package.list", json!({})).unwrap();

    let counted = of_client(&home, &used);
    assert_eq!(
        ["sync", "info", "package.list", "publish", "status"].map(|name| by(&counted, name)),
        [3, 1, 1, 0, 0],
        "{counted}"
    );
    assert_eq!((&counted["count"], &counted["description"]), (&json!(5), &json!("site, in the CI")));
    assert_eq!((&counted["secret"], &counted["client_secret"]), (&Value::Null, &json!(used.id)));
    let shown = home.ok("client_secret.show", json!({ "id": used.id }));
    assert_eq!(shown["last_used_at"], counted["last_used_at"]);
    assert!(!shown["last_used_at"].is_null());
    let idle = of_client(&home, &idle);
    assert_eq!((&idle["count"], &idle["last_used_at"]), (&json!(0), &Value::Null), "{idle}");
}

#[test]
fn of_a_client_secret_as_much_is_kept_as_it_says() {
    let (home, _daemon) = with_site("");
    let ci = json!({ "repository": "acme/site", "run": "1042" });
    let run = |issued: &Issued| {
        let mut socket = home.connect();
        let params = json!({ "client_secrets": [issued.value], "command": "sync", "ci": ci });
        socket.call("authenticate", params).unwrap();
        socket.call("package.get", token_of_site()).unwrap();
        socket
            .call(
                "package.publish",
                json!({ "package": "acme/x", "version": "1.0.0", "elements": {}, "files": [] }),
            )
            .unwrap_err();
    };
    let facts = |issued: &Issued| -> Vec<Value> {
        let page = home.ok("audit.list", json!({ "client_secret": issued.id }));
        page["entries"].as_array().unwrap().iter().map(|entry| entry["ci"].clone()).collect()
    };
    for (analytics, count) in [("disabled", 0), ("limited", 1), ("complete", 1)] {
        let issued = issue_with(&home, "acme", "viewer", json!({ "analytics": analytics }));
        run(&issued);
        let used = of_client(&home, &issued);
        assert_eq!((&used["analytics"], &used["count"]), (&json!(analytics), &json!(count)), "{used}");
        assert_eq!(used["days"].as_array().unwrap().len(), count, "{used}");
        assert!(!used["last_used_at"].is_null(), "that is kept in any case: {used}");
        let facts = facts(&issued);
        assert!(facts.len() >= 3, "the record has each access in any case: {facts:?}");
        let kept = if analytics == "complete" { &ci } else { &Value::Null };
        assert!(facts.iter().all(|fact| fact == kept), "{analytics}: {facts:?}");
    }

    // what was kept stays, and what comes goes by the new word
    let issued = issue(&home, "acme", "viewer", None);
    run(&issued);
    assert_eq!(of_client(&home, &issued)["count"], 1, "and all of it is written");
    for (analytics, count) in [("disabled", 1), ("complete", 2), ("limited", 3)] {
        home.ok("client_secret.set_analytics", json!({ "id": issued.id, "analytics": analytics }));
        run(&issued);
        let used = of_client(&home, &issued);
        assert_eq!((&used["analytics"], &used["count"]), (&json!(analytics), &json!(count)), "{used}");
    }
    let with_facts = facts(&issued).iter().filter(|fact| !fact.is_null()).count();
    assert_eq!(with_facts, 3, "its authenticate, its get and its refusal, of one run");
}

#[test]
fn of_secrets_as_much_is_kept_as_the_config_says() {
    let (home, daemon) = with_site("[usage]\nsecrets = \"disabled\"\n");
    let counts = |expected: u64, analytics: &str| {
        let used = of_secret(&home, "acme/api-staging");
        assert_eq!((&used["count"], &used["analytics"]), (&json!(expected), &json!(analytics)), "{used}");
        assert!(!used["last_used_at"].is_null(), "that is kept in any case: {used}");
    };
    home.artifact("acme/api-staging");
    counts(0, "disabled");
    for (expected, analytics) in [(1, "complete"), (2, "limited"), (2, "disabled")] {
        home.config(&format!("[usage]\nsecrets = \"{analytics}\"\n"));
        daemon.signal(Signal::HUP);
        until("the new config holds", || {
            (of_secret(&home, "acme/api-staging")["analytics"] == analytics).then_some(())
        });
        home.artifact("acme/api-staging");
        counts(expected, analytics);
    }
}

#[test]
fn what_is_new_is_not_unused_yet() {
    let (home, _daemon) = with_site("");
    organization(&home, "beta");
    home.create(token("beta/t", "v"));
    let (used, idle) = (issue(&home, "acme", "viewer", None), issue(&home, "acme", "viewer", None));
    authenticated(&home, &[&used]).call("package.get", token_of_site()).unwrap();
    let names = |filter: Value| -> Vec<String> {
        let listed = home.ok("usage.list", filter);
        let name = |one: &Value| {
            one["secret"].as_str().or_else(|| one["client_secret"].as_str()).unwrap().to_owned()
        };
        listed.as_array().unwrap().iter().map(name).collect()
    };
    let all = names(json!({}));
    let secrets = ["acme/api-development", "acme/api-production", "acme/api-staging", "beta/t"];
    assert_eq!(all[..4], secrets, "secrets by name, then client secrets");
    assert_eq!(all.len(), 6);
    assert_eq!(names(json!({ "unused": DAY })), [""; 0], "all of it was made a moment ago");
    assert_eq!(names(json!({ "unused": 0 })), all, "for no time at all nothing is used");
    assert_eq!(names(json!({ "unused": 0, "organization": "beta" })), ["beta/t"]);
    assert_eq!(names(json!({ "unused": 0, "client_secret": idle.id })), [idle.id.as_str()]);
    home.ok("client_secret.revoke", json!({ "id": idle.id }));
    assert_eq!(names(json!({ "unused": 0 })).len(), 5, "what was revoked is used no more");
    for (params, refusal) in [
        (json!({ "days": 0 }), "invalid"),
        (json!({ "days": 366 }), "invalid"),
        (json!({ "organization": "none" }), "not_found"),
        (json!({ "secret": "acme/none" }), "not_found"),
        (json!({ "client_secret": "k3j9x2m4pq" }), "not_found"),
        (json!({ "client_secret": idle.id, "secret": "beta/t" }), "invalid"),
    ] {
        assert_eq!(home.refused("usage.list", params.clone()), refusal, "{params}");
    }
    assert_eq!(names(json!({ "days": 365 })), all);
}

#[test]
fn counts_outlive_the_daemon_and_its_keys() {
    let (home, daemon) = open_vault();
    acme_with_api(&home);
    publish(&home, "acme/site", "1.0.0", json!({ "TOKEN": "api" }), json!([]));
    let issued = issue(&home, "acme", "viewer", None);
    let counts = |expected: u64| {
        let (secret, client) = (of_secret(&home, "acme/api-staging"), of_client(&home, &issued));
        assert_eq!(
            (&secret["count"], &client["count"]),
            (&json!(expected), &json!(expected)),
            "{secret} {client}"
        );
    };
    let mut expected = 0;
    let mut daemon = Some(daemon);
    for killed in [true, false, true] {
        let mut watcher = home.connect();
        watcher.call("audit.watch", json!({ "client_secret": issued.id })).unwrap();
        authenticated(&home, &[&issued]).call("package.get", token_of_site()).unwrap();
        expected += 1;
        // what watchers are told is on the disk
        while watcher.json()["params"]["method"] != "package.get" {}
        let running = daemon.take().unwrap();
        if killed {
            running.kill9();
        } else {
            assert!(running.stop().success());
        }
        daemon = Some(home.start());
        counts(expected);
    }
    home.ok("vault.rekey", json!({}));
    counts(expected);
    // an orderly end writes what waits
    authenticated(&home, &[&issued]).call("package.get", token_of_site()).unwrap();
    assert!(daemon.take().unwrap().stop().success());
    let _daemon = home.start();
    counts(expected + 1);
}
