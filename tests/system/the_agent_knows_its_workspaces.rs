//! What was told of a workspace is known until it is forgotten: who is trusted, and which files hold which artifact.

use bursar_tests::library::{acme_with_api, environment};
use bursar_tests::{Daemon, Home, Refused, open_vault};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Stands in what is refused, and must not come back.
const CANARY: &str = "canary-c07d";

/// How many workspaces are known at the most.
const WORKSPACES_MAX: usize = 10_000;

/// How often the daemon is killed.
const ROUNDS: u32 = 10;

fn with_api() -> (Home, Daemon) {
    let (home, daemon) = open_vault();
    acme_with_api(&home);
    (home, daemon)
}

/// A digest that ends with `number`.
fn digest(number: usize) -> String {
    format!("{number:064x}")
}

fn file(path: &str, number: usize) -> Value {
    json!({ "path": path, "package": "acme/site", "version": "1.0.0", "digests": [digest(number)], "secrets": ["acme/api-staging"] })
}

fn recording(workspace: &str, files: Value) -> Value {
    json!({ "workspace": workspace, "environment": "acme/staging", "files": files, "synced": true })
}

fn show(home: &Home, workspace: &str) -> Value {
    home.ok("workspace.show", json!({ "workspace": workspace }))
}

fn unknown(workspace: &str) -> Value {
    json!({ "workspace": workspace, "trusted": null, "environment": null, "synced_at": null, "files": [], "deleted": [] })
}

#[test]
fn of_an_unknown_one_it_says_that_it_knows_nothing() {
    let (home, _daemon) = with_api();
    assert_eq!(show(&home, "/home/ann/site"), unknown("/home/ann/site"));
    assert_eq!(home.ok("workspace.list", json!({})), json!([]), "asking makes none");
    let refused = home.call("workspace.forget", json!({ "workspace": "/home/ann/site" })).unwrap_err();
    assert_eq!(
        (refused.name.as_str(), refused.message.as_str()),
        ("not_found", "no workspace /home/ann/site is known")
    );
}

#[test]
fn it_is_trusted_recorded_listed_and_forgotten() {
    let (home, _daemon) = with_api();
    let trust = |path: &str, number: usize| {
        home.ok("workspace.trust", json!({ "workspace": path, "digest": digest(number) }))
    };
    let trusted = trust("/w", 1);
    let mut expected = unknown("/w");
    expected["trusted"] = json!(digest(1));
    assert_eq!(trusted, expected);

    let mut own_build = file("sub/b", 3);
    own_build["version"] = Value::Null;
    own_build["digests"] = json!([digest(3), "abcdef0123456789".repeat(4)]);
    own_build["secrets"] = json!(["acme/api-staging", "acme/api-production"]);
    let files = json!([file(".npmrc", 2), own_build]);
    let recorded = home.ok("workspace.record", recording("/w", files.clone()));
    expected["environment"] = json!("acme/staging");
    expected["synced_at"] = recorded["synced_at"].clone();
    expected["files"] = files;
    assert!(!expected["synced_at"].is_null());
    assert_eq!(recorded, expected, "trust stays");
    assert_eq!(show(&home, "/w"), expected);

    // all files at once take the place of those before, and an own edit is trusted on
    let mut params = recording("/w", json!([file("only", 4)]));
    params["environment"] = json!("acme/production");
    params["trusted"] = json!(digest(5));
    let recorded = home.ok("workspace.record", params);
    assert_eq!(recorded["files"], json!([file("only", 4)]));
    assert_eq!(
        (&recorded["trusted"], &recorded["environment"]),
        (&json!(digest(5)), &json!("acme/production"))
    );
    let again = trust("/w", 6);
    assert_eq!((&again["trusted"], &again["files"]), (&json!(digest(6)), &recorded["files"]));

    home.ok("workspace.record", recording("/a/path with blanks/ä", json!([])));
    trust("/", 7);
    let list = home.ok("workspace.list", json!({}));
    let paths: Vec<&Value> = list.as_array().unwrap().iter().map(|one| &one["workspace"]).collect();
    assert_eq!(paths, ["/", "/a/path with blanks/ä", "/w"]);
    let mut listed = show(&home, "/w");
    listed["files"] = json!(1);
    listed["uid"] = json!(rustix::process::geteuid().as_raw());
    listed.as_object_mut().unwrap().remove("deleted");
    assert_eq!(list[2], listed);
    assert!(list[1]["trusted"].is_null(), "what was written is not trusted by that");

    home.ok("workspace.forget", json!({ "workspace": "/w" }));
    assert_eq!(show(&home, "/w"), unknown("/w"));
    assert_eq!(home.ok("workspace.list", json!({})).as_array().unwrap().len(), 2);
    assert_eq!(home.refused("workspace.forget", json!({ "workspace": "/w" })), "not_found");
    home.ok("workspace.record", recording("/w", json!([])));
    assert!(show(&home, "/w")["trusted"].is_null(), "trust does not come back");
}

#[test]
fn files_are_shown_by_path() {
    let (home, daemon) = with_api();
    home.ok("workspace.record", recording("/w", json!([file("b", 1), file("a/z", 2), file("a", 3)])));
    let paths = || {
        let files = show(&home, "/w")["files"].take();
        files
            .as_array()
            .unwrap()
            .iter()
            .map(|file| file["path"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(paths(), ["a", "a/z", "b"]);
    daemon.kill9();
    let _daemon = home.start();
    assert_eq!(paths(), ["a", "a/z", "b"]);
}

#[test]
fn what_is_about_to_be_written_is_known_and_moves_no_time_and_grants_no_trust() {
    let (home, _daemon) = with_api();
    let mut params = recording("/w", json!([file("a", 1)]));
    params["synced"] = json!(false);
    params["trusted"] = json!(digest(9));
    let recorded = home.ok("workspace.record", params);
    assert_eq!(recorded["files"], json!([file("a", 1)]));
    assert!(recorded["synced_at"].is_null() && recorded["trusted"].is_null(), "{recorded}");
    let twice =
        home.call("workspace.record", recording("/w", json!([file("a", 1), file("a", 2)]))).unwrap_err();
    assert_eq!(twice.message, "field files: a is there twice");
}

#[test]
fn names_follow_what_becomes_of_things() {
    let (home, _daemon) = with_api();
    home.ok("workspace.record", recording("/w", json!([file("a", 1)])));
    home.ok("secret.edit", json!({ "secret": "acme/api-staging", "name": "renamed" }));
    assert_eq!(show(&home, "/w")["files"][0]["secrets"], json!(["acme/renamed"]));
    home.ok("environment.delete", json!({ "environment": "acme/staging" }));
    let workspace = show(&home, "/w");
    assert!(workspace["environment"].is_null() && !workspace["synced_at"].is_null(), "{workspace}");
    environment(&home, "acme/staging", "staging");
    assert!(show(&home, "/w")["environment"].is_null(), "another one of the same name");
}

#[test]
fn what_is_not_there_or_not_plain_is_refused_and_changes_nothing() {
    let (home, _daemon) = with_api();
    home.ok("workspace.record", recording("/w", json!([file("a", 1)])));
    let before = show(&home, "/w");
    let record = |files: Value| home.call("workspace.record", recording("/w", files)).unwrap_err();
    let changed = |field: &str, value: Value| {
        let mut second = file("b", 2);
        second[field] = value;
        record(json!([file("a", 1), second]))
    };
    let told = |refused: Refused, name: &str, message: &str| {
        assert_eq!(refused.name, name, "{refused}");
        assert!(refused.message.starts_with(message), "{message}: {refused}");
        assert!(!refused.to_string().contains(CANARY), "{refused}");
        assert_eq!(show(&home, "/w"), before);
    };
    told(
        changed("secrets", json!(["acme/api-staging", "acme/nowhere"])),
        "not_found",
        "no secret acme/nowhere",
    );
    told(
        changed("secrets", json!(["no name"])),
        "invalid",
        "field files: number 2: field secrets: number 1: ",
    );
    told(
        changed("secrets", json!(["unqualified"])),
        "invalid",
        "field files: number 2: field secrets: number 1: ",
    );
    told(changed("package", json!("unqualified")), "invalid", "field files: number 2: field package: ");
    told(
        changed("version", json!(CANARY)),
        "invalid",
        "field files: number 2: field version: expected a version",
    );
    for path in ["../canary-c07d", "/etc/x", "a//b", "", ".git/config", "bursar.lock"] {
        told(changed("path", json!(path)), "invalid", "field files: number 2: field path: ");
    }
    for bad in [CANARY, &digest(1)[1..], &digest(1).replace('1', "A"), &format!("{} ", digest(1))] {
        told(
            changed("digests", json!([bad])),
            "invalid",
            "field files: number 2: field digests: number 1: a digest is",
        );
        let params = json!({ "workspace": "/w", "digest": bad });
        told(home.call("workspace.trust", params).unwrap_err(), "invalid", "field digest: a digest is");
    }
    told(
        record(json!([{ "path": "a", CANARY: 1 }])),
        "invalid",
        "field files: number 1: unknown field number 1",
    );
    told(record(json!(CANARY)), "invalid", "field files: expected an array");
    let mut elsewhere = recording("/w", json!([]));
    elsewhere["environment"] = json!("acme/qa");
    told(home.call("workspace.record", elsewhere).unwrap_err(), "not_found", "no environment acme/qa");

    let long = format!("/{}", "x".repeat(1_024));
    for path in ["", "w", "./w", "/a/../b", "/a//b", "/a/", "/a/.", "/a\nb", "/a\0b", "//", &long] {
        for (method, rest) in [
            ("workspace.show", json!({})),
            ("workspace.trust", json!({ "digest": digest(1) })),
            ("workspace.record", json!({ "environment": "acme/staging", "files": [] })),
            ("workspace.forget", json!({})),
        ] {
            let mut params = rest;
            params["workspace"] = json!(path);
            let refused = home.call(method, params).expect_err(path);
            told(refused, "invalid", "field workspace: expected an absolute path without . and ..");
        }
    }
    let longest = &long[..1_024];
    home.ok("workspace.trust", json!({ "workspace": longest, "digest": digest(1) }));
    assert_eq!(home.ok("workspace.list", json!({})).as_array().unwrap().len(), 2);
}

#[test]
fn files_paths_and_digests_are_bounded() {
    let (home, daemon) = with_api();
    let many = |count: usize| -> Value { (0..count).map(|at| file(&format!("f/{at:03}"), at)).collect() };
    let record = |files: Value| home.call("workspace.record", recording("/w", files));
    assert_eq!(record(many(500)).unwrap()["files"], many(500));
    let refused = record(many(501)).unwrap_err();
    assert_eq!(
        (refused.name.as_str(), refused.message.as_str()),
        ("invalid", "field files: has at most 500 members")
    );
    assert_eq!(show(&home, "/w")["files"], many(500));
    daemon.kill9();
    let _daemon = home.start();
    assert_eq!(show(&home, "/w")["files"], many(500));

    let longest = "x".repeat(200);
    record(json!([file(&longest, 1)])).unwrap();
    assert_eq!(record(json!([file(&format!("{longest}x"), 1)])).unwrap_err().name, "invalid");
    let digests = |count: usize| {
        let mut only = file("a", 1);
        only["digests"] = (0..count).map(digest).collect();
        record(json!([only]))
    };
    for count in [1, 4] {
        assert_eq!(digests(count).unwrap()["files"][0]["digests"].as_array().unwrap().len(), count);
    }
    for count in [0, 5] {
        let refused = digests(count).unwrap_err();
        assert_eq!(
            (refused.name.as_str(), refused.message.as_str()),
            ("invalid", "field files: a: expected 1 to 4 digests")
        );
    }
}

#[test]
fn ten_thousand_workspaces_are_known_and_no_more() {
    let (home, _daemon) = open_vault();
    let mut socket = home.connect();
    let trust = |at: usize| json!({ "workspace": format!("/w/{at}"), "digest": digest(at) });
    for some in (0..WORKSPACES_MAX).collect::<Vec<_>>().chunks(500) {
        for at in some {
            socket.ask("workspace.trust", &trust(*at));
        }
        for _ in some {
            let answer = socket.json();
            assert!(answer["error"].is_null(), "{answer}");
        }
    }
    let refused = home.call("workspace.trust", trust(WORKSPACES_MAX)).unwrap_err();
    assert_eq!(refused.name, "conflict", "{refused}");
    assert!(refused.hint.contains("bursar workspace forget"), "{refused}");
    home.ok("workspace.trust", trust(0)); // one that is known
    home.ok("workspace.forget", json!({ "workspace": "/w/7" }));
    home.ok("workspace.trust", trust(WORKSPACES_MAX));
    assert_eq!(home.ok("workspace.list", json!({})).as_array().unwrap().len(), WORKSPACES_MAX);
}

#[test]
fn it_survives_a_kill_new_keys_and_a_backup() {
    let (home, daemon) = with_api();
    home.ok("workspace.trust", json!({ "workspace": "/w", "digest": digest(1) }));
    home.ok("workspace.record", recording("/w", json!([file("a", 2), file("b", 3)])));
    home.ok("workspace.trust", json!({ "workspace": "/only/trusted", "digest": digest(4) }));
    let before = home.ok("workspace.list", json!({}));
    daemon.kill9();
    let _daemon = home.start();
    assert_eq!(home.ok("workspace.list", json!({})), before);
    home.ok("vault.rekey", json!({}));
    assert_eq!(home.ok("workspace.list", json!({})), before);
    let backup = home.path().join("backup");
    home.ok("vault.backup", json!({ "file": backup }));
    home.ok("workspace.record", recording("/w", json!([])));
    home.ok("workspace.forget", json!({ "workspace": "/only/trusted" }));
    home.ok("vault.restore", json!({ "file": backup }));
    home.call("vault.unlock", json!({})).ok(); // a restored vault may be locked
    assert_eq!(home.ok("workspace.list", json!({})), before);
}

/// Records three workspaces in turn until the connection breaks; answers the last number that was acknowledged of each.
fn record_until_killed(home: &Home, from: usize) -> BTreeMap<String, usize> {
    let mut socket = home.connect();
    let mut acknowledged = BTreeMap::new();
    for number in from..from + 10_000 {
        let workspace = format!("/w/{}", number % 3);
        let files = json!([file("a", number), file("b", number)]);
        if socket.ask_quietly("workspace.record", &recording(&workspace, files)).is_err() {
            break;
        }
        let Some(line) = socket.line().filter(|line| line.ends_with('\n')) else { break };
        let answer: Value = serde_json::from_str(&line).unwrap();
        assert!(answer["error"].is_null(), "{answer}");
        acknowledged.insert(workspace, number);
    }
    acknowledged
}

#[test]
fn what_was_acknowledged_is_there_after_a_kill_at_any_moment() {
    let (home, daemon) = with_api();
    let mut daemon = Some(daemon);
    let (mut last, mut rounds) = (BTreeMap::new(), 0);
    for round in 0..ROUNDS {
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
        let moment = Duration::from_micros(20_000 + u64::from(nanos / 1000 % 120_000));
        let from = 10_000 * (usize::try_from(round).unwrap() + 1);
        thread::scope(|scope| {
            let writer = scope.spawn(|| record_until_killed(&home, from));
            thread::sleep(moment); // the random moment itself, not a wait for anything
            daemon.take().unwrap().kill9();
            let acknowledged = writer.join().unwrap();
            rounds += usize::from(!acknowledged.is_empty());
            last.extend(acknowledged);
        });
        daemon = Some(home.start());
        for (workspace, number) in &last {
            let files = show(&home, workspace)["files"].take();
            let [a, b] = [0, 1].map(|at| files[at]["digests"][0].as_str().unwrap().to_owned());
            // the one after it may have reached the disk unacknowledged; half of one never
            assert!(a == b && a >= digest(*number), "round {round}: {workspace} {number}: {files}");
        }
    }
    assert!(rounds > 0, "nothing was acknowledged");
}
