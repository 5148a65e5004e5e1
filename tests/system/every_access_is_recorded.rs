//! Every access stands in the record: who, by which process, what, about what, and how it ended. Never a value.

use bursar_proto::call::Call;
use bursar_tests::client_secrets::{Issued, authenticated, issue, issued};
use bursar_tests::google::{ask, ask_again, exchanged_at, redirected};
use bursar_tests::http::get;
use bursar_tests::issuer::Issuer;
use bursar_tests::library::{acme_with_api, organization, publish};
use bursar_tests::secrets::{grant, token};
use bursar_tests::users::{as_user, can_become_others};
use bursar_tests::{Daemon, FaultIssuer, Home, RawSocket, Reply, now, open_vault, seconds};
use rustix::process::geteuid;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// How often the daemon is killed.
const ROUNDS: u32 = 20;

/// Stands wherever a value may stand.
const CANARY: &str = "canary-7e11";

/// What leaves no entry, for it tells nothing.
const SILENT: [&str; 3] = ["hello", "agent.status", "agent.doctor"];

/// Entries of the record, all pages of it, the oldest first.
fn entries(home: &Home, filter: Value) -> Vec<Value> {
    let mut socket = home.connect();
    let mut params = filter;
    params["after"] = json!(0);
    let mut all = Vec::new();
    for _ in 0..100 {
        let mut page = socket.call("audit.list", params.clone()).unwrap();
        all.append(page["entries"].as_array_mut().unwrap());
        if page["next"].is_null() {
            return all;
        }
        params["after"] = page["next"].take();
    }
    panic!("the record does not end");
}

#[track_caller]
fn prove(home: &Home) -> Value {
    let proof = home.ok("audit.verify", json!({}));
    assert_eq!((&proof["sound"], &proof["faults"]), (&json!(true), &json!([])), "{proof}");
    proof
}

/// The last entry of a method.
#[track_caller]
fn last_of<'e>(entries: &'e [Value], method: &str) -> &'e Value {
    let found = entries.iter().rev().find(|entry| entry["method"] == method);
    found.unwrap_or_else(|| panic!("there is no entry of {method}"))
}

/// That an entry tells this process.
#[track_caller]
fn is_of_this_process(entry: &Value) {
    assert_eq!(entry["uid"], geteuid().as_raw(), "{entry}");
    assert_eq!(entry["pid"], std::process::id(), "{entry}");
    let executable = std::env::current_exe().unwrap();
    assert_eq!(entry["executable"], executable.to_str().unwrap(), "{entry}");
}

/// A call with what its entry has to say that it was about.
type Step = (&'static str, Value, Option<&'static str>);

/// Calls of all methods that need nothing but a vault, in an order in which each succeeds.
fn steps(token_url: &str) -> Vec<Step> {
    let of_t = || json!({ "secret": "acme/t" });
    let of_g = || json!({ "secret": "acme/g" });
    let workspace = || json!({ "workspace": "/w" });
    let element = || json!({ "element": "acme/e" });
    let version = || json!({ "package": "acme/p", "version": "1.0.0" });
    let with = |mut params: Value, further: Value| {
        params.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
        params
    };
    let staging = || json!({ "environment": "acme/staging" });
    vec![
        ("organization.create", json!({ "organization": "acme" }), Some("acme")),
        ("organization.create", json!({ "organization": "beta" }), Some("beta")),
        ("organization.list", json!({}), None),
        ("organization.delete", json!({ "organization": "beta" }), Some("beta")),
        ("environment.create", json!({ "environment": "acme/qa", "stage": "development" }), Some("acme/qa")),
        ("environment.delete", json!({ "environment": "acme/qa" }), Some("acme/qa")),
        ("environment.create", with(staging(), json!({ "stage": "staging" })), Some("acme/staging")),
        ("environment.list", json!({ "organization": "acme" }), Some("acme")),
        ("environment.show", staging(), Some("acme/staging")),
        ("secret.create", with(token("acme/t", CANARY), staging()), Some("acme/t")),
        ("secret.create", with(token("acme/u", CANARY), json!({ "unbound": true })), Some("acme/u")),
        ("secret.create", grant("acme/g", token_url), Some("acme/g")),
        ("secret.wait", of_g(), Some("acme/g")),
        ("secret.list", json!({ "organization": "acme" }), Some("acme")),
        ("secret.show", of_t(), Some("acme/t")),
        (
            "secret.edit",
            with(of_t(), json!({ "credentials": { "token": format!("{CANARY}-2") } })),
            Some("acme/t"),
        ),
        ("secret.bind", json!({ "secret": "acme/u", "environment": "acme/staging" }), Some("acme/u")),
        ("secret.test", of_g(), Some("acme/g")),
        ("secret.retry", of_g(), Some("acme/g")),
        ("secret.wait", of_g(), Some("acme/g")),
        ("secret.where", of_t(), Some("acme/t")),
        ("secret.deactivate", of_t(), Some("acme/t")),
        ("secret.reactivate", of_t(), Some("acme/t")),
        ("artifact.get", of_t(), Some("acme/t")),
        ("artifact.get", of_g(), Some("acme/g")),
        ("artifact.watch", of_t(), Some("acme/t")),
        ("element.set", with(element(), json!({ "staging": "acme/t" })), Some("acme/e")),
        ("element.list", json!({ "organization": "acme" }), Some("acme")),
        ("element.show", element(), Some("acme/e")),
        ("element.resolve", with(element(), staging()), Some("acme/e")),
        (
            "library.resolve",
            json!({ "organization": "acme", "elements": { "E": "e" }, "stage": "staging" }),
            Some("acme"),
        ),
        (
            "package.publish",
            with(version(), json!({ "elements": { "E": "e" }, "files": [] })),
            Some("acme/p@1.0.0"),
        ),
        ("package.list", json!({ "organization": "acme" }), Some("acme")),
        ("package.show", json!({ "package": "acme/p" }), Some("acme/p")),
        ("package.fetch", version(), Some("acme/p@1.0.0")),
        ("package.resolve", with(version(), staging()), Some("acme/p@1.0.0")),
        (
            "package.get",
            with(version(), json!({ "environment": "acme/staging", "element": "E" })),
            Some("E of acme/p@1.0.0 in acme/staging"),
        ),
        ("workspace.trust", with(workspace(), json!({ "digest": "0".repeat(64) })), Some("/w")),
        (
            "workspace.record",
            with(workspace(), json!({ "environment": "acme/staging", "files": [] })),
            Some("/w"),
        ),
        ("workspace.show", workspace(), Some("/w")),
        ("workspace.list", json!({}), None),
        ("workspace.forget", workspace(), Some("/w")),
        ("element.delete", element(), Some("acme/e")),
        ("secret.delete", json!({ "secret": "acme/u" }), Some("acme/u")),
        ("secret.deleted", json!({}), None),
        ("audit.list", of_t(), Some("acme/t")),
        ("audit.watch", of_t(), Some("acme/t")),
        ("audit.verify", json!({}), None),
        ("usage.list", of_t(), Some("acme/t")),
        ("expiring.list", json!({ "organization": "acme" }), Some("acme")),
        ("vault.lock", json!({}), None),
        ("vault.unlock", json!({}), None),
        ("vault.rekey", json!({}), None),
        ("vault.passphrase", json!({ "new": format!("{CANARY} as a passphrase") }), None),
    ]
}

/// Calls of the methods with which a person authorizes; answers them with what their entries have to tell.
fn persons_steps(home: &Home, token_url: &str) -> Vec<(&'static str, String)> {
    exchanged_at(home, token_url);
    home.ok("issuer.show", json!({ "issuer": "google" }));
    ask(home, "acme/ads");
    let redirect = redirected(&ask_again(home, "acme/ads"), &format!("code={CANARY}"));
    let authorized = home.ok("secret.authorize", json!({ "secret": "acme/ads", "redirect": redirect }));
    assert_eq!(authorized["status"], "succeeded", "{authorized}");
    vec![
        ("issuer.configure", "google".into()),
        ("issuer.show", "google".into()),
        ("secret.reauthorize", "acme/ads".into()),
        ("secret.authorize", "acme/ads".into()),
    ]
}

/// Calls of the methods of client secrets; answers them with the id that their entries have to tell.
fn client_secret_steps(home: &Home) -> Vec<(&'static str, String)> {
    let first = issue(home, "acme", "viewer", None);
    let id = json!({ "id": first.id });
    home.ok("client_secret.show", id.clone());
    home.ok("client_secret.set_analytics", json!({ "id": first.id, "analytics": "complete" }));
    drop(authenticated(home, &[&first]));
    let second = issued(&home.ok("client_secret.rotate", json!({ "id": first.id, "overlap": 60 })));
    home.ok("client_secret.revoke", id);
    home.ok("client_secret.list", json!({ "organization": "acme" }));
    vec![
        ("client_secret.create", first.id.clone()),
        ("client_secret.show", first.id.clone()),
        ("client_secret.set_analytics", first.id.clone()),
        ("client_secret.rotate", format!("{} {}", first.id, second.id)),
        ("client_secret.revoke", first.id),
        ("client_secret.list", "acme".into()),
    ]
}

#[test]
fn each_method_leaves_an_entry() {
    let began = now();
    let (home, daemon) = open_vault();
    let issuer = FaultIssuer::new(Reply::Answer(
        200,
        "application/json",
        format!(r#"{{"access_token":"{CANARY}","refresh_token":"{CANARY}","expires_in":36000}}"#),
    ));
    for (method, params, about) in steps(&issuer.token_url()) {
        home.ok(method, params);
        if method == "vault.lock" {
            home.ok("vault.unlock", json!({}));
        }
        let all = entries(&home, json!({}));
        let entry = last_of(&all, method);
        assert_eq!((&entry["method"], &entry["outcome"]), (&json!(method), &json!("ok")), "{entry}");
        assert_eq!(entry["principal"], "owner", "{entry}");
        is_of_this_process(entry);
        let told = [&entry["subject"], &entry["secret"]].map(|member| member.as_str());
        assert!(told.contains(&about), "{about:?}: {entry}");
        let at = seconds(&entry["at"]);
        assert!((began..=now()).contains(&at) && entry["count"] == 1, "{entry}");
        assert_eq!(entry["ci"], Value::Null, "{entry}");
    }
    let further = [client_secret_steps(&home), persons_steps(&home, &issuer.token_url())].concat();
    for (method, about) in further {
        let all = entries(&home, json!({}));
        let entry = last_of(&all, method);
        let told = if entry["secret"].is_null() { &entry["subject"] } else { &entry["secret"] };
        assert_eq!((told, &entry["outcome"]), (&json!(about), &json!("ok")), "{entry}");
    }
    // this process is in no unit, and so it is refused
    home.connect().call("credential.get", json!({ "credential": "token" })).unwrap_err();
    let file = home.path().join("backup");
    home.ok("vault.backup", json!({ "file": file }));
    let mut all = entries(&home, json!({}));
    assert_eq!(last_of(&all, "vault.backup")["subject"], file.to_str().unwrap());
    prove(&home);
    home.ok("vault.restore", json!({ "file": file, "passphrase": format!("{CANARY} as a passphrase") }));
    prove(&home);
    home.ok("agent.stop", json!({}));
    assert!(daemon.wait().success());
    let _daemon = home.start();
    all.extend(entries(&home, json!({})));
    let proof = prove(&home);
    assert_eq!(proof["first"], 1, "{proof}");
    for method in ["vault.restore", "agent.stop"] {
        assert_eq!(last_of(&all, method)["outcome"], "ok");
    }

    let seen: BTreeSet<&str> = all.iter().map(|entry| entry["method"].as_str().unwrap()).collect();
    let mut expected: BTreeSet<&str> = Call::METHODS.iter().copied().collect();
    expected.retain(|method| !SILENT.contains(method));
    expected.insert("exchange");
    assert_eq!(seen, expected, "every method, and no other");
    assert!(!json!(all).to_string().contains(CANARY), "an entry holds a value");
}

#[test]
fn what_is_refused_leaves_one_too() {
    let (home, _daemon) = open_vault();
    acme_with_api(&home);
    publish(&home, "acme/site", "1.0.0", json!({ "TOKEN": "api" }), json!([]));
    let last = |home: &Home, method: &str| last_of(&entries(home, json!({})), method).clone();
    let viewer = issue(&home, "acme", "viewer", Some("staging"));
    let told = |entry: &Value| {
        let member = |name: &str| entry[name].as_str().unwrap_or("-").to_owned();
        [member("principal"), member("secret"), member("outcome")].join(" ")
    };

    home.ok("secret.deactivate", json!({ "secret": "acme/api-production" }));
    let edit = json!({ "secret": "acme/api-staging", "type": "api-key" });
    for (method, params, expected) in [
        ("artifact.get", json!({ "secret": "acme/none" }), "owner acme/none not_found"),
        ("artifact.get", json!({ "secret": "acme/api-production" }), "owner acme/api-production inactive"),
        (
            "artifact.get",
            json!({ "secret": "acme/api-staging", "environment": "acme/production" }),
            "owner acme/api-staging unbound",
        ),
        ("artifact.watch", json!({ "secret": "acme/none" }), "owner acme/none not_found"),
        ("secret.create", token("acme/api-staging", CANARY), "owner acme/api-staging conflict"),
        ("secret.edit", edit, "owner acme/api-staging conflict"),
        ("organization.delete", json!({ "organization": "acme" }), "owner - conflict"),
        ("vault.init", json!({ "passphrase": CANARY }), "owner - conflict"),
        ("vault.backup", json!({ "file": "relative" }), "owner - invalid"),
        ("audit.list", json!({ "client_secret": "k3j9x2m4pq" }), "owner - not_found"),
    ] {
        home.refused(method, params);
        let entry = last(&home, method);
        assert_eq!(told(&entry), expected, "{entry}");
        is_of_this_process(&entry);
    }

    let mut ci = authenticated(&home, &[&viewer]);
    let by = format!("client secret {}", viewer.id);
    let get = |environment: &str| json!({ "package": "acme/site", "version": "1.0.0", "environment": environment, "element": "TOKEN" });
    let nothing = json!({ "package": "beta/x", "version": "1.0.0", "elements": {}, "files": [] });
    ci.call("package.get", get("staging")).unwrap();
    assert_eq!(told(&last(&home, "package.get")), format!("{by} acme/api-staging ok"));
    for (method, params, outcome) in [
        ("package.get", get("production"), "wrong_environment"),
        ("package.publish", nothing, "wrong_organization"),
        ("secret.list", json!({}), "denied"),
        ("audit.watch", json!({}), "denied"),
        ("agent.stop", json!({}), "denied"),
    ] {
        assert_eq!(ci.call(method, params).unwrap_err().name, outcome);
        let entry = last(&home, method);
        assert_eq!(told(&entry), format!("{by} - {outcome}"), "{entry}");
        is_of_this_process(&entry);
    }
    ci.call("artifact.get", json!({ "secret": "acme/api-staging" })).unwrap_err();
    assert_eq!(last(&home, "artifact.get")["outcome"], "denied");

    // nobody vouches for the names that somebody says who has no rights
    let mut nobody = home.connect();
    nobody.call("authenticate", json!({ "client_secrets": ["rubbish"] })).unwrap_err();
    assert_eq!(told(&last(&home, "authenticate")), "nobody - client_secret_malformed");
    for (method, params) in [
        ("artifact.get", json!({ "secret": "acme/api-staging" })),
        ("secret.show", json!({ "secret": "acme/api-staging" })),
        ("package.get", get("staging")),
    ] {
        nobody.call(method, params).unwrap_err();
        let entry = last(&home, method);
        assert_eq!(told(&entry), "nobody - denied", "{entry}");
        assert_eq!(entry["subject"], Value::Null, "{entry}");
    }

    // who brings a wrong key is recorded once there is a place for it
    home.ok("vault.lock", json!({}));
    let wrong = json!({ "key_file": home.file("wrong", [7_u8; 64]) });
    assert_eq!(home.refused("vault.unlock", wrong), "wrong_key");
    home.ok("vault.unlock", json!({}));
    let all = entries(&home, json!({}));
    let order = ["vault.lock ok", "vault.unlock wrong_key", "vault.unlock ok"];
    let vault = all
        .iter()
        .filter(|entry| entry["subject"].is_null())
        .map(|entry| format!("{} {}", entry["method"].as_str().unwrap(), entry["outcome"].as_str().unwrap()));
    let vault: Vec<String> = vault.filter(|told| told.contains("lock")).collect();
    assert_eq!(vault, order);
    assert!(!json!(all).to_string().contains(CANARY), "an entry holds a value");
    prove(&home);
}

#[test]
fn what_comes_again_within_a_second_is_counted() {
    let (home, _daemon) = open_vault();
    home.create(token("t", CANARY));
    home.create(token("u", CANARY));
    let mut socket = home.connect();
    let mut burst = String::new();
    for id in 0..60 {
        let params = json!({ "secret": if id % 3 == 0 { "u" } else { "t" } });
        burst +=
            &json!({ "jsonrpc": "2.0", "id": id, "method": "artifact.get", "params": params }).to_string();
        burst.push('\n');
    }
    socket.send(&burst).unwrap();
    for _ in 0..60 {
        assert!(socket.json()["error"].is_null());
    }
    // and once by another process
    home.cli(&["get", "t"]).ok();
    let gets: Vec<Value> =
        entries(&home, json!({})).into_iter().filter(|entry| entry["method"] == "artifact.get").collect();
    let counted = |secret: &str, here: bool| -> u64 {
        let wanted =
            |entry: &&Value| entry["secret"] == secret && (entry["pid"] == std::process::id()) == here;
        gets.iter().filter(wanted).map(|entry| entry["count"].as_u64().unwrap()).sum()
    };
    assert_eq!((counted("personal/t", true), counted("personal/u", true)), (40, 20), "{gets:?}");
    assert_eq!(counted("personal/t", false), 1, "{gets:?}");
    assert!(gets.len() < 60, "sixty gets in one burst are no sixty entries");
    let other = gets.iter().find(|entry| entry["pid"] != std::process::id()).unwrap();
    assert!(other["executable"].as_str().unwrap().ends_with("/bursar"), "{other}");
    assert_ne!(other["executable"], gets[0]["executable"]);
    prove(&home);
}

#[test]
fn reads_reach_the_disk_by_themselves() {
    let (home, daemon) = open_vault();
    home.create(token("t", CANARY));
    let mut watcher = home.connect();
    watcher.call("audit.watch", json!({ "secret": "t" })).unwrap();
    home.artifact("t");
    // nobody asks for the record: what watchers are told is on the disk
    let told = loop {
        let line = watcher.json();
        assert_eq!(line["method"], "audit.entry", "{line}");
        if line["params"]["method"] == "artifact.get" {
            break line["params"].clone();
        }
    };
    assert!(!told.to_string().contains(CANARY));
    daemon.kill9();
    let _daemon = home.start();
    assert_eq!(*last_of(&entries(&home, json!({})), "artifact.get"), told);
    prove(&home);
}

#[test]
fn watchers_are_told_what_they_want_to_hear() {
    let (home, _daemon) = open_vault();
    acme_with_api(&home);
    publish(&home, "acme/site", "1.0.0", json!({ "TOKEN": "api" }), json!([]));
    let (one, other) = (issue(&home, "acme", "viewer", None), issue(&home, "acme", "viewer", None));
    let watch = |filter: Value| {
        let mut socket = home.connect();
        socket.call("audit.watch", filter).unwrap();
        socket
    };
    let mut all = watch(json!({}));
    let mut of_secret = watch(json!({ "secret": "acme/api-staging" }));
    let mut of_client = watch(json!({ "client_secret": one.id }));
    assert_eq!(home.refused("audit.watch", json!({ "client_secret": "k3j9x2m4pq" })), "not_found");

    let get =
        json!({ "package": "acme/site", "version": "1.0.0", "environment": "staging", "element": "TOKEN" });
    home.artifact("acme/api-production");
    for issued in [&other, &one] {
        authenticated(&home, &[issued]).call("package.get", get.clone()).unwrap();
    }
    home.ok("secret.deactivate", json!({ "secret": "acme/api-staging" }));
    let until_one = |socket: &mut RawSocket, method: &str| {
        let mut seen = Vec::new();
        loop {
            let entry = socket.json()["params"].clone();
            seen.push(entry.clone());
            if entry["method"] == method {
                return seen;
            }
        }
    };
    let seen = until_one(&mut of_secret, "secret.deactivate");
    assert!(seen.iter().all(|entry| entry["secret"] == "acme/api-staging"), "{seen:?}");
    let seen = until_one(&mut of_client, "package.get");
    let by = format!("client secret {}", one.id);
    assert!(seen.iter().all(|entry| entry["principal"] == by), "{seen:?}");
    let seen = until_one(&mut all, "secret.deactivate");
    let numbers: Vec<u64> = seen.iter().map(|entry| entry["number"].as_u64().unwrap()).collect();
    assert!(!seen.is_empty() && numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
    // what is told is what is recorded
    let recorded = entries(&home, json!({}));
    assert!(seen.iter().all(|entry| recorded.contains(entry)), "{seen:?}");
}

#[test]
fn a_write_that_was_acknowledged_has_its_entry_after_a_kill() {
    let (home, daemon) = open_vault();
    let mut daemon = Some(daemon);
    let mut acknowledged: Vec<(String, String)> = Vec::new();
    for round in 0..ROUNDS {
        let mut socket = home.connect();
        let organization = format!("o{round}");
        socket.call("organization.create", json!({ "organization": organization })).unwrap();
        acknowledged.push(("organization.create".into(), organization.clone()));
        let secret = format!("{organization}/t");
        socket.call("secret.create", token(&secret, CANARY)).unwrap();
        acknowledged.push(("secret.create".into(), secret));
        let params = json!({ "organization": organization, "role": "viewer", "description": "of a test" });
        let issued = socket.call("client_secret.create", params).unwrap();
        acknowledged.push(("client_secret.create".into(), issued["id"].as_str().unwrap().to_owned()));
        daemon.take().unwrap().kill9();
        daemon = Some(home.start());
        let all = entries(&home, json!({}));
        for (method, about) in &acknowledged {
            let is_it = |entry: &&Value| {
                entry["method"] == *method && (entry["subject"] == *about || entry["secret"] == *about)
            };
            let found: Vec<_> = all.iter().filter(is_it).collect();
            assert_eq!(found.len(), 1, "round {round}: {method} {about}: {found:?}");
        }
        let proof = prove(&home);
        assert_eq!(proof["next"].as_u64().unwrap() - proof["first"].as_u64().unwrap(), proof["entries"]);
    }
}

/// What the pages of the record hold, `limit` entries at the most each, the oldest first.
fn paged(socket: &mut RawSocket, limit: u64, start: Option<u64>, filter: &Value, end: u64) -> Vec<Value> {
    let direction = if start.is_some() { "after" } else { "before" };
    let mut params = filter.clone();
    params["limit"] = json!(limit);
    params[direction] = json!(start.unwrap_or(end));
    let mut pages = Vec::new();
    for _ in 0..1_000 {
        let mut page = socket.call("audit.list", params.clone()).unwrap();
        let mut found = std::mem::take(page["entries"].as_array_mut().unwrap());
        assert!(found.len() as u64 <= limit);
        found.retain(|entry| entry["number"].as_u64().unwrap() < end);
        pages.push(found);
        if page["next"].is_null() {
            if direction == "before" {
                pages.reverse();
            }
            return pages.concat();
        }
        params[direction] = page["next"].take();
        // the list records itself: what came since the start is not looked at
        if direction == "after" && params["after"].as_u64().unwrap() >= end {
            return pages.concat();
        }
    }
    panic!("the pages do not end");
}

#[test]
fn it_is_read_in_pages_forwards_and_backwards() {
    let (home, _daemon) = open_vault();
    home.create(token("t", CANARY));
    for at in 0..40 {
        home.create(token(&format!("s{at}"), CANARY));
        if at % 4 == 0 {
            home.artifact("t");
        }
    }
    let whole = entries(&home, json!({}));
    let end = whole.last().unwrap()["number"].as_u64().unwrap() + 1;
    let numbers: Vec<u64> = whole.iter().map(|entry| entry["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..end).collect::<Vec<_>>());
    let of_t: Vec<Value> = whole.iter().filter(|entry| entry["secret"] == "personal/t").cloned().collect();
    assert!(whole.len() > 80 && of_t.len() > 2, "{} {}", whole.len(), of_t.len());
    let mut socket = home.connect();
    for limit in [1, 7, 1_000] {
        for (filter, expected) in [(json!({}), &whole), (json!({ "secret": "t" }), &of_t)] {
            assert_eq!(paged(&mut socket, limit, Some(0), &filter, end), *expected, "forwards by {limit}");
            assert_eq!(paged(&mut socket, limit, None, &filter, end), *expected, "backwards by {limit}");
        }
    }
    let page = |params: Value| home.ok("audit.list", params)["entries"].clone();
    let numbers = |page: &Value| -> Vec<u64> {
        page.as_array().unwrap().iter().map(|entry| entry["number"].as_u64().unwrap()).collect()
    };
    assert_eq!(numbers(&page(json!({ "after": 10, "limit": 3 }))), [11, 12, 13]);
    assert_eq!(numbers(&page(json!({ "before": 10, "limit": 3 }))), [7, 8, 9]);
    assert_eq!(page(json!({ "after": 1_000_000 })), json!([]));
    assert_eq!(page(json!({ "before": 1 })), json!([]));
    assert_eq!(page(json!({ "before": 0 })), json!([]));
    assert_eq!(page(json!({ "after": u64::MAX })), json!([]));
    let newest = page(json!({ "limit": 2 }));
    assert_eq!(newest[1]["method"], "audit.list", "without a start it is the newest page: {newest}");
    assert_eq!(home.refused("audit.list", json!({ "after": 1, "before": 9 })), "invalid");
}

#[test]
fn it_is_filtered_by_secret_by_client_secret_and_by_time() {
    let (home, _daemon) = open_vault();
    acme_with_api(&home);
    organization(&home, "beta");
    publish(&home, "acme/site", "1.0.0", json!({ "TOKEN": "api" }), json!([]));
    home.create(token("acme/first", CANARY));
    let get = |secret: &str| {
        home.artifact(secret);
        home.ok("audit.list", json!({})); // what waits is written, so that what comes after it stands behind it
    };
    get("acme/first");
    home.ok("secret.edit", json!({ "secret": "acme/first", "name": "second" }));
    get("acme/second");
    let methods = |filter: Value| -> Vec<String> {
        let found = entries(&home, filter).into_iter();
        let found = found.filter(|entry| entry["method"] != "audit.list" && entry["method"] != "secret.wait");
        found.map(|entry| entry["method"].as_str().unwrap().to_owned()).collect()
    };
    let whole = ["secret.create", "artifact.get", "secret.edit", "artifact.get"];
    assert_eq!(methods(json!({ "secret": "acme/second" })), whole, "what it did under its old name too");
    assert_eq!(methods(json!({ "secret": "acme/first" })), whole[..3], "a name that is gone still finds");
    home.ok("secret.delete", json!({ "secret": "acme/second" }));
    assert_eq!(methods(json!({ "secret": "acme/second" })), ["artifact.get", "secret.delete"]);
    assert_eq!(methods(json!({ "secret": "acme/none" })), [""; 0]);

    // one that comes after it under its name is another one, and both are found by it
    home.create(token("acme/second", CANARY));
    assert_eq!(
        methods(json!({ "secret": "acme/second" })),
        ["artifact.get", "secret.delete", "secret.create"]
    );

    let (one, other) = (issue(&home, "acme", "viewer", None), issue(&home, "beta", "viewer", None));
    let get =
        json!({ "package": "acme/site", "version": "1.0.0", "environment": "staging", "element": "TOKEN" });
    authenticated(&home, &[&other, &one]).call("package.get", get.clone()).unwrap();
    authenticated(&home, &[&other]).call("package.get", get).unwrap_err();
    let of = |issued: &Issued| entries(&home, json!({ "client_secret": issued.id }));
    assert_eq!(of(&one).len(), 1, "{:?}", of(&one));
    let of_other: Vec<Value> = of(&other).iter().map(|entry| entry["outcome"].clone()).collect();
    assert_eq!(
        of_other,
        ["ok", "ok", "wrong_organization"],
        "twice it authenticated, and once it was refused"
    );
    assert_eq!(home.refused("audit.list", json!({ "client_secret": "k3j9x2m4pq" })), "not_found");

    let all = entries(&home, json!({}));
    let since = |at: &str| entries(&home, json!({ "since": at }));
    assert!(since("2999-01-01").is_empty());
    assert!(since("2000-01-01").len() >= all.len());
    let last = all.last().unwrap()["at"].as_str().unwrap().to_owned();
    let found = since(&last);
    assert!(!found.is_empty() && found.iter().all(|entry| seconds(&entry["at"]) >= seconds(&json!(last))));
    let backwards = home.ok("audit.list", json!({ "since": last }));
    let backwards = backwards["entries"].as_array().unwrap();
    assert!(found.iter().all(|entry| backwards.contains(entry)), "{found:?}");
}

#[test]
fn the_agent_s_own_exchanges_are_there() {
    let (home, _daemon): (Home, Daemon) = open_vault();
    let issuer = Issuer::authlib();
    let mut good = grant("g", &issuer.token_url(36_000));
    good["credentials"]["client_secret"] = json!(issuer.client_secret);
    assert_eq!(home.create(good)["status"], "succeeded");
    let mut bad = grant("b", &issuer.token_url(36_000));
    bad["credentials"]["client_secret"] = json!(CANARY);
    assert_eq!(home.create(bad)["status"], "failed");
    let value = home.artifact("g")["value"].as_str().unwrap().to_owned();
    let all = entries(&home, json!({}));
    for (secret, outcome) in [("personal/g", "ok"), ("personal/b", "failed")] {
        let of = |entry: &&Value| entry["method"] == "exchange" && entry["secret"] == secret;
        let found: Vec<&Value> = all.iter().filter(of).collect();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((&found[0]["principal"], &found[0]["outcome"]), (&json!("agent"), &json!(outcome)));
        for member in ["uid", "pid", "executable", "ci"] {
            assert_eq!(found[0][member], Value::Null, "{member}: {}", found[0]);
        }
    }
    let text = json!(all).to_string();
    assert!(!text.contains(CANARY) && !text.contains(&value) && !text.contains(issuer.client_secret));
    prove(&home);
}

#[test]
fn a_browser_that_brings_a_grant_is_recorded_by_its_user() {
    let (home, _daemon) = open_vault();
    exchanged_at(&home, "http://127.0.0.1:1/token");
    let redirect = redirected(&ask(&home, "ads"), &format!("code={CANARY}"));
    if can_become_others() {
        assert_eq!(as_user(65_534, || get(&redirect)).status, 400);
    }
    assert_eq!(get(&redirect).status, 303);
    home.ok("secret.wait", json!({ "secret": "ads" }));
    let all = entries(&home, json!({ "secret": "ads" }));
    let brought: Vec<_> = all.iter().filter(|entry| entry["principal"] == "browser").collect();
    let of = |entry: &Value| (entry["uid"].as_u64(), entry["outcome"].as_str().unwrap().to_owned());
    let (own, denied) = (geteuid().as_raw().into(), (Some(65_534), "denied".to_owned()));
    let expected = [denied, (Some(own), "ok".to_owned())];
    let expected = if can_become_others() { &expected[..] } else { &expected[1..] };
    assert_eq!(brought.iter().map(|entry| of(entry)).collect::<Vec<_>>(), expected, "{all:?}");
    for entry in brought {
        assert_eq!(
            (&entry["method"], &entry["secret"]),
            (&json!("secret.authorize"), &json!("personal/ads"))
        );
    }
    assert!(!json!(all).to_string().contains(CANARY));
}
