//! Who is let in but owns nothing adds so many entries a second and no more; all calls are counted, and the owner's are told whole.

use bursar_tests::client_secrets::{authenticated, issue};
use bursar_tests::library::{acme_with_api, publish};
use bursar_tests::record::{entries, sound};
use bursar_tests::users::{as_user, can_become_others};
use bursar_tests::{Daemon, Home, RawSocket, configured};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::thread;

/// A user who is let in, and has no role.
const ADMITTED: u32 = 64_051;

/// How many entries a user has for itself in a second. Beyond it there is one for each method and outcome, in each turn of
/// the writer.
const OTHERS_A_SECOND: usize = 64;

/// More turns of the writer than there are in a second: it gathers for a third of one.
const TURNS: usize = 6;

/// How many calls are made, none like the other.
const CALLS: usize = 6_000;

/// How many of them are under way at once.
const BURST: usize = 30;

fn vault() -> (Home, Daemon) {
    let (home, daemon) = configured(&format!("[access]\nadmit = [\"uid {ADMITTED}\"]\n"));
    acme_with_api(&home);
    publish(&home, "acme/site", "1.0.0", json!({ "TOKEN": "api" }), json!([]));
    (home, daemon)
}

/// A call that no other one is like: refused and allowed ones in turn.
fn call(number: usize) -> (&'static str, Value) {
    let name = format!("acme/n{number}");
    match number % 7 {
        0 => ("artifact.get", json!({ "secret": name })),
        1 => ("secret.show", json!({ "secret": name })),
        2 => ("package.show", json!({ "package": name })),
        3 => ("environment.show", json!({ "environment": name })),
        4 => ("workspace.show", json!({ "workspace": format!("/w/{number}") })),
        5 => (
            "package.get",
            json!({ "package": "acme/site", "version": "1.0.0", "environment": "staging", "element": format!("N{number}") }),
        ),
        _ => ("package.resolve", json!({ "package": name, "version": "1.0.0", "stage": "staging" })),
    }
}

/// Makes all those calls.
fn cycle(mut socket: RawSocket) {
    for burst in (0..CALLS).collect::<Vec<_>>().chunks(BURST) {
        for number in burst {
            let (method, params) = call(*number);
            socket.ask(method, &params);
        }
        for _ in burst {
            socket.json();
        }
    }
}

/// Gets of the owner, while others call; answers how many of each secret.
fn gets_of_the_owner(home: &Home, over: impl Fn() -> bool) -> BTreeMap<String, u64> {
    let mut socket = home.connect();
    let mut given = BTreeMap::new();
    while !over() {
        for stage in ["development", "staging", "production"] {
            let secret = format!("acme/api-{stage}");
            let answer = socket.call("artifact.get", json!({ "secret": secret })).unwrap();
            assert_eq!(answer["value"], format!("value-of-{stage}"));
            *given.entry(secret).or_insert(0) += 1;
        }
    }
    given
}

fn count(entry: &Value) -> u64 {
    entry["count"].as_u64().unwrap()
}

/// That entries of `principal` are bounded and count all calls, and that the owner's gets are told whole.
fn check(home: &Home, principal: &str, owners: &BTreeMap<String, u64>) {
    let all = entries(home);
    let made = |entry: &&Value| entry["method"] != "authenticate" && entry["principal"] == principal;
    let theirs: Vec<&Value> = all.iter().filter(made).collect();
    assert_eq!(theirs.iter().map(|entry| count(entry)).sum::<u64>(), CALLS as u64, "every call is counted");
    let kinds: BTreeSet<_> =
        theirs.iter().map(|entry| format!("{} {}", entry["method"], entry["outcome"])).collect();
    assert!(kinds.len() >= 7, "{kinds:?}");
    let mut seconds: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in &theirs {
        *seconds.entry(entry["at"].as_str().unwrap()).or_default() += 1;
    }
    let most = OTHERS_A_SECOND + kinds.len() * TURNS;
    assert!(seconds.values().all(|entries| *entries <= most), "more than {most}: {seconds:?}");
    // the first of a second are told whole, and one of them may have been authenticate
    let whole = theirs.iter().filter(|entry| entry["pid"] == std::process::id()).map(|entry| count(entry));
    assert!(whole.sum::<u64>() > OTHERS_A_SECOND as u64 - 2, "{theirs:?}");

    let mut told: BTreeMap<String, u64> = BTreeMap::new();
    for entry in all.iter().filter(|one| one["method"] == "artifact.get" && one["principal"] == "owner") {
        assert_eq!((&entry["outcome"], &entry["pid"]), (&json!("ok"), &json!(std::process::id())), "{entry}");
        assert!(entry["executable"].is_string(), "{entry}");
        *told.entry(entry["secret"].as_str().unwrap().to_owned()).or_default() += count(entry);
    }
    assert_eq!(told, *owners);
    sound(home);
}

#[test]
fn a_client_secret_that_asks_for_everything_leaves_room() {
    let (home, _daemon) = vault();
    let viewer = issue(&home, "acme", "viewer", None);
    let owners = thread::scope(|scope| {
        let busy = scope.spawn(|| cycle(authenticated(&home, &[&viewer])));
        gets_of_the_owner(&home, || busy.is_finished())
    });
    check(&home, &format!("client secret {}", viewer.id), &owners);
}

#[test]
fn who_is_let_in_without_a_role_leaves_room() {
    if !can_become_others() {
        return;
    }
    let (home, _daemon) = vault();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o711)).unwrap();
    fs::set_permissions(home.socket(), fs::Permissions::from_mode(0o666)).unwrap();
    let owners = thread::scope(|scope| {
        let busy = scope.spawn(|| as_user(ADMITTED, || cycle(home.connect())));
        gets_of_the_owner(&home, || busy.is_finished())
    });
    check(&home, "nobody", &owners);
}

#[test]
fn what_is_counted_together_is_nobody_elses() {
    let (home, _daemon) = vault();
    let (busy, quiet) = (issue(&home, "acme", "viewer", None), issue(&home, "acme", "viewer", None));
    let mut socket = authenticated(&home, &[&quiet]);
    let mut made = 0;
    let mut other = authenticated(&home, &[&busy]);
    for number in 0..600 {
        let (method, params) = call(number * 7 + 1);
        other.ask(method, &params);
        if number % 20 == 19 {
            assert_eq!(socket.call(method, params).unwrap_err().name, "denied");
            made += 1;
            for _ in 0..20 {
                other.json();
            }
        }
    }
    let all = entries(&home);
    let of = |id: &str| -> u64 {
        let principal = format!("client secret {id}");
        all.iter()
            .filter(|one| one["principal"] == principal && one["method"] == "secret.show")
            .map(count)
            .sum()
    };
    assert_eq!((of(&busy.id), of(&quiet.id)), (600, made));
}

#[test]
fn many_connections_are_no_way_round() {
    const CONNECTIONS: usize = 1_500;
    let (home, _daemon) = vault();
    let viewer = issue(&home, "acme", "viewer", None);
    for _ in 0..CONNECTIONS {
        authenticated(&home, &[&viewer]).call("package.list", json!({})).unwrap();
    }
    let all = entries(&home);
    let uses: Vec<&Value> = all.iter().filter(|one| one["method"] == "package.list").collect();
    assert_eq!(uses.iter().map(|one| count(one)).sum::<u64>(), CONNECTIONS as u64);
    let mut seconds: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in &uses {
        *seconds.entry(entry["at"].as_str().unwrap()).or_default() += 1;
    }
    let most = OTHERS_A_SECOND + TURNS;
    assert!(seconds.values().all(|entries| *entries <= most), "more than {most}: {seconds:?}");
    let listed = home.ok("usage.list", json!({ "client_secret": viewer.id }));
    assert_eq!(listed[0]["count"], CONNECTIONS, "each use is counted: {listed}");
}
