//! A library with a fault is not published: every fault is told with its place, and none repeats a value. Nor is one whose
//! templates hold what is a live secret.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bursar_tests::keys::{certificate_until, known};
use bursar_tests::library::{acme_with_api, bound, file, organization, site};
use bursar_tests::secrets::{grant, own_jwt};
use bursar_tests::{Daemon, FaultIssuer, Home, Refused, Reply, open_vault};
use serde_json::{Value, json};

/// Stands in what is refused, and must not come back.
const CANARY: &str = "canary-93f2";

/// The longest template, in bytes.
const TEMPLATE_MAX: usize = 131_072;

fn with_api() -> (Home, Daemon) {
    let (home, daemon) = open_vault();
    acme_with_api(&home);
    (home, daemon)
}

/// A try to publish `files` in a library with the element `TOKEN`; nothing of it is ever there afterwards.
#[track_caller]
fn refused(home: &Home, files: Value) -> Refused {
    let refused = home
        .call("package.publish", site("1.0.0", json!({ "TOKEN": "api" }), files.clone()))
        .expect_err(&files.to_string());
    assert_eq!(refused.name, "invalid", "{refused}");
    assert!(!refused.to_string().contains(CANARY), "{refused}");
    assert_eq!(home.ok("package.list", json!({})), json!([]));
    refused
}

#[test]
fn a_fault_of_a_template_is_told_with_file_line_and_column() {
    let (home, _daemon) = with_api();
    for (template, told) in [
        ("ok\n %OTHER%", "a.conf: line 2, column 2: OTHER is no element of this library"),
        ("%acme/api%", "a.conf: line 1, column 1: acme/api is no element of this library"),
        (
            "%secret:acme/api-staging%",
            "a.conf: line 1, column 1: a library reaches a secret through an element alone",
        ),
        ("%secret:TOKEN%", "a.conf: line 1, column 1: a library reaches a secret through an element alone"),
        (
            "é %TOKEN|canary-93f2%",
            "a.conf: line 1, column 3: after | stands a filter; expected one of: base64, json, url, xml",
        ),
        ("%TOKEN|%", "a.conf: line 1, column 1: after | stands a filter"),
        ("%TOKEN:%", "a.conf: line 1, column 1: after : stands the name of a field, 1 to 100 bytes"),
        (
            "\n\n%TOKEN canary-93f2\n%",
            "a.conf: line 3, column 1: this mark is not closed on its line; write %% for a percent sign",
        ),
        ("100% canary-93f2 sure, 100% safe", "a.conf: line 1, column 4: this is no mark"),
        ("a\0b", "a.conf: line 1, column 2: a template is text, and this is a zero byte"),
    ] {
        let refused = refused(&home, json!([file("a.conf", template)]));
        assert!(refused.message.starts_with(told), "{template:?}: {refused}");
    }
}

#[test]
fn all_faults_are_told_at_once() {
    let (home, _daemon) = with_api();
    let told = refused(
        &home,
        json!([
            file("b", "%B%\n%TOKEN% %C|json%\n"),
            file("a", "%no mark%\n%"),
            { "path": "c", "mode": "0644", "template": "%TOKEN%" },
            file("d", "fine %TOKEN%"),
        ]),
    );
    let lines: Vec<&str> = told.message.lines().collect();
    let expected = [
        "a: line 1, column 1: this is no mark",
        "a: line 2, column 1: this mark is not closed",
        "b: line 1, column 1: B is no element of this library",
        "b: line 2, column 9: C is no element of this library",
        "c: a file with values is for its owner alone: mode 0600",
    ];
    assert_eq!(lines.len(), expected.len(), "{told}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with(expected), "{line}");
    }
}

#[test]
fn a_file_with_values_is_for_its_owner_alone() {
    let (home, _daemon) = with_api();
    let with = |mode: &str, template: &str| json!([{ "path": "a", "mode": mode, "template": template }]);
    for mode in ["0644", "0640", "0604", "0610", "0601", "777"] {
        let refused = refused(&home, with(mode, "%TOKEN%"));
        assert_eq!(refused.message, "a: a file with values is for its owner alone: mode 0600", "{mode}");
    }
    for mode in ["", "0200", "4755", "01777", "rw-r--r--", "canary-93f2", "888"] {
        let refused = refused(&home, with(mode, "x"));
        assert!(refused.message.starts_with("field files: number 1: field mode: a mode has"), "{refused}");
    }
    // a mark makes the difference, and a percent sign is none
    for (version, mode, template) in [
        ("1.0.0", "0644", "100%%"),
        ("1.0.1", "0755", ""),
        ("1.0.2", "0400", "%TOKEN%"),
        ("1.0.3", "700", "%TOKEN%"),
    ] {
        home.ok("package.publish", site(version, json!({ "TOKEN": "api" }), with(mode, template)));
    }
}

#[test]
fn a_path_stays_in_the_workspace_and_away_from_what_steers_it() {
    let (home, _daemon) = with_api();
    let long = "x".repeat(201);
    for (path, told) in [
        ("/etc/canary-93f2", "the path leaves the workspace"),
        ("../canary-93f2", "the path leaves the workspace"),
        ("a/../canary-93f2", "the path leaves the workspace"),
        ("a//b", "the path leaves the workspace"),
        ("a/", "the path leaves the workspace"),
        ("./a", "the path leaves the workspace"),
        (".git/hooks/pre-commit", "the path is git's or bursar's own"),
        ("sub/.Git/config", "the path is git's or bursar's own"),
        ("bursar.toml", "the path is git's or bursar's own"),
        ("Bursar.lock", "the path is git's or bursar's own"),
        ("sub/bursar.toml", "the path is git's or bursar's own"),
        ("sub/.gitignore", "the path is git's or bursar's own"),
        ("a/.b.bursar-draft", "the path is git's or bursar's own"),
        ("", "a path has 1 to 200 bytes"),
        ("a\nb", "a path has 1 to 200 bytes"),
        ("a\0b", "a path has 1 to 200 bytes"),
        (&long, "a path has 1 to 200 bytes"),
    ] {
        // the second of two: the number says which
        let refused = refused(&home, json!([file("good", ""), file(path, "")]));
        let told = format!("field files: number 2: field path: {told}");
        assert!(refused.message.starts_with(&told), "{path:?}: {refused}");
    }
    for (one, other) in [("a", "a"), ("a", "a/b"), ("a/b/c", "a/b")] {
        for files in [[one, other], [other, one]] {
            let refused = refused(&home, json!([file(files[0], ""), file(files[1], "")]));
            assert!(refused.message.contains("clashes with the file"), "{refused}");
        }
    }
    let files = json!([
        file("a", ""),
        file("ab", ""),
        file("a.b/c", ""),
        file(".github/x", ""),
        file(&long[..200], "")
    ]);
    home.ok("package.publish", site("1.0.0", json!({}), files));
}

#[test]
fn a_template_is_bounded() {
    let (home, _daemon) = with_api();
    let told = refused(&home, json!([file("a", &"x".repeat(TEMPLATE_MAX + 1))]));
    assert_eq!(told.message, "field files: number 1: field template: has at most 128 KiB");
    let mark = |length: usize| json!([file("a", &format!("%TOKEN:{}%", "f".repeat(length)))]);
    assert!(refused(&home, mark(101)).message.contains("1 to 100 bytes"));
    let filters = format!("%TOKEN{}%", "|json".repeat(4));
    assert!(refused(&home, json!([file("a", &filters)])).message.contains("a mark has at most 3 filters"));
    let publish = |version: &str, files: Value| {
        home.ok("package.publish", site(version, json!({ "TOKEN": "api" }), files));
    };
    publish("1.0.0", json!([file("a", &"x".repeat(TEMPLATE_MAX))]));
    publish("1.0.1", mark(100));
}

#[test]
fn a_file_that_is_no_file_is_refused_by_its_number_and_field() {
    let (home, _daemon) = with_api();
    for (item, told) in [
        (json!({ "path": "a", "mode": "0600" }), "field files: number 1: field template: is required"),
        (
            json!({ "path": "a", "mode": "0600", "template": "", "owner": CANARY }),
            "field files: number 1: unknown field owner",
        ),
        (
            json!({ "path": "a", "mode": 384, "template": "" }),
            "field files: number 1: field mode: expected a text",
        ),
        (json!(CANARY), "field files: number 1: expected an object"),
    ] {
        let refused = refused(&home, json!([item]));
        assert!(refused.message.starts_with(told), "{refused}");
    }
    assert!(refused(&home, json!(CANARY)).message.starts_with("field files: expected an array"));
    let nobody = json!({ "package": "nobody/site", "version": "1.0.0", "elements": {}, "files": [] });
    assert_eq!(home.refused("package.publish", nobody), "not_found");
}

/// Publishes `template`, which is to be refused for `secret` on `line`.
#[track_caller]
fn leaks(home: &Home, template: &str, secret: &str, line: usize) {
    // with other files around it, none of which is to blame
    let files = json!([file("a", "plain\n"), file("sub/b", template), file("z", "plain\n")]);
    let told = refused(home, files);
    assert_eq!(told.message, format!("sub/b: line {line}: holds what looks like the live secret {secret}"));
    assert!(told.hint.contains("%name%"), "{told}");
}

#[test]
fn a_live_value_is_found_raw_and_in_base64() {
    let (home, _daemon) = with_api();
    organization(&home, "beta");
    bound(&home, "beta/t", "production", CANARY);
    leaks(&home, &format!("one\ntoken = \"{CANARY}\"\n"), "beta/t", 2);
    leaks(&home, CANARY, "beta/t", 1);
    leaks(&home, &format!("%TOKEN%\n\n\n-{CANARY}%%"), "beta/t", 4);
    let encoded = STANDARD.encode(CANARY);
    leaks(&home, &format!("auth={encoded}\n"), "beta/t", 1);
    leaks(&home, encoded.trim_end_matches('='), "beta/t", 1);
    // the file's path and the names of elements are looked at by people; a part of a value is none
    home.ok("package.publish", site("1.0.0", json!({}), json!([file("a", &CANARY[..CANARY.len() - 1])])));
    // what is no longer there is no longer secret
    home.ok("secret.delete", json!({ "secret": "beta/t" }));
    home.ok("package.publish", site("1.0.1", json!({}), json!([file("a", CANARY)])));
}

#[test]
fn every_sensitive_field_and_every_artifact_is_looked_for() {
    let (home, _daemon) = with_api();
    let make = |name: &str, kind: &str, credentials: Value| {
        home.create(json!({ "secret": format!("acme/{name}"), "type": kind, "credentials": credentials }));
    };
    make("http", "simple-http", json!({ "username": "robot-user", "password": "canary-93f2-http" }));
    make("key", "api-key", json!({ "header_name": "X-Api-Key", "value": "canary-93f2-key" }));
    make(
        "bearer",
        "bearer-token",
        json!({ "header_name": "X-Header", "header_value": "canary-93f2-bearer" }),
    );
    make(
        "client",
        "client-credentials",
        json!({ "client_id": "robot-user", "client_secret": "canary-93f2-client" }),
    );
    make(
        "kv",
        "key-value",
        json!({ "entries": { "NAME_OF_ENTRY": "value", "B": "canary-93f2 \"quoted\"" } }),
    );
    let issuer = FaultIssuer::new(Reply::Answer(
        200,
        "application/json",
        r#"{"access_token":"canary-93f2-access","expires_in":36000}"#.into(),
    ));
    home.create(grant("acme/grant", &issuer.token_url()));
    leaks(&home, "p=canary-93f2-http", "acme/http", 1);
    leaks(&home, &STANDARD.encode("robot-user:canary-93f2-http"), "acme/http", 1);
    leaks(&home, "canary-93f2-key", "acme/key", 1);
    leaks(&home, "canary-93f2-bearer", "acme/bearer", 1);
    leaks(&home, "canary-93f2-client", "acme/client", 1);
    leaks(&home, "\ncanary-93f2 \"quoted\"", "acme/kv", 2);
    leaks(&home, "canary-93f2-access", "acme/grant", 1);
    leaks(&home, "cs-0123456789", "acme/grant", 1); // its client secret
    // what is not sensitive may stand there
    let plain = "robot-user X-Api-Key NAME_OF_ENTRY http://127.0.0.1/token canary-93f2";
    home.ok("package.publish", site("1.0.0", json!({}), json!([file("a", plain)])));
}

#[test]
fn an_inactive_an_unbound_and_an_edited_secret_is_still_one() {
    let (home, _daemon) = with_api();
    bound(&home, "acme/t", "staging", "canary-93f2-first");
    home.ok("secret.deactivate", json!({ "secret": "acme/t" }));
    leaks(&home, "canary-93f2-first", "acme/t", 1);
    home.ok("secret.reactivate", json!({ "secret": "acme/t" }));
    home.ok("environment.delete", json!({ "environment": "acme/staging" }));
    leaks(&home, "canary-93f2-first", "acme/t", 1);
    home.ok("secret.edit", json!({ "secret": "acme/t", "credentials": { "token": "canary-93f2-second" } }));
    leaks(&home, "canary-93f2-second", "acme/t", 1);
    home.ok("package.publish", site("1.0.0", json!({}), json!([file("a", "canary-93f2-first")])));
}

#[test]
fn a_line_of_a_private_key_is_enough() {
    let (home, _daemon) = with_api();
    home.create(own_jwt("acme/jwt"));
    let key = &known().pkcs8;
    // those that hold the private exponent; what stands before it is public
    for line in key.lines().skip(7).take(5) {
        leaks(&home, &format!("key: |\n  {line}\n"), "acme/jwt", 2);
    }
    // as json and env files write it: on one line
    leaks(&home, &format!("{{\"key\":\"{}\"}}", key.replace('\n', "\\n")), "acme/jwt", 1);
    assert!(refused(&home, json!([file("a", key)])).message.ends_with("the live secret acme/jwt"));
    leaks(&home, home.artifact("acme/jwt")["value"].as_str().unwrap(), "acme/jwt", 1);
    let certificate = certificate_until(2090);
    let credentials =
        json!({ "certificate": certificate.certificate, "private_key": certificate.private_key });
    home.create(json!({ "secret": "acme/tls", "type": "certificate", "credentials": credentials }));
    leaks(&home, &certificate.private_key, "acme/tls", 1);
    leaks(&home, certificate.private_key.lines().nth(1).unwrap(), "acme/tls", 1);
    // neither what frames every key nor what is public
    let public =
        format!("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n{}", certificate.certificate);
    home.ok("package.publish", site("1.0.0", json!({}), json!([file("a", &public)])));
}

#[test]
fn a_value_is_found_as_a_file_would_have_it() {
    let (home, _daemon) = with_api();
    bound(&home, "acme/odd", "staging", "a<b%c\"d&e f/g+h");
    for template in [
        "a<b%%c\"d&e f/g+h",
        r#"{"x":"a<b%%c\"d&e f/g+h"}"#,
        "a&lt;b%%c&quot;d&amp;e f/g+h",
        "a%%3Cb%%25c%%22d%%26e%%20f%%2Fg%%2Bh",
    ] {
        leaks(&home, &format!("one\n x={template} \n"), "acme/odd", 2);
    }
    // a short one within a longer word is another word
    bound(&home, "acme/db", "staging", "postgres");
    leaks(&home, "user = postgres\n", "acme/db", 1);
    home.ok("package.publish", site("1.0.0", json!({}), json!([file("a", "postgresql://localhost\n")])));
}

#[test]
fn a_key_is_found_in_the_form_in_which_it_was_put_in() {
    let (home, _daemon) = with_api();
    let mut params = own_jwt("acme/jwt");
    params["credentials"]["private_key"] = json!(known().pkcs1);
    home.create(params);
    leaks(&home, &known().pkcs1, "acme/jwt", 1);
    leaks(&home, &format!("a: 1\nkey: '{}'\n", known().pkcs1.trim_end()), "acme/jwt", 2);
    leaks(&home, &format!("{{\"key\": \"{}\"}}", known().pkcs1.replace('\n', "\\n")), "acme/jwt", 1);
}

#[test]
fn what_stands_beside_a_secret_is_none() {
    let (home, _daemon) = with_api();
    bound(&home, "acme/words", "staging", "staging password");
    let account = format!(
        "{{\n  \"type\": \"service_account_of_someone\",\n  \"private_key\": {}\n}}",
        json!(known().pkcs8)
    );
    home.create(json!({ "secret": "acme/gcp", "type": "key-value", "credentials": { "entries": { "json": account } } }));
    let harmless = "the password\n  \"type\": \"service_account_of_someone\",\n";
    home.ok("package.publish", site("1.0.0", json!({}), json!([file("a", harmless)])));
    let basic = STANDARD.encode("ann:staging password");
    let refused =
        home.call("package.publish", site("1.0.1", json!({}), json!([file("a", &format!("_auth={basic}"))])));
    assert!(refused.unwrap_err().message.contains("acme/words"));
}

#[test]
fn short_values_and_values_of_nothing_are_not_looked_for() {
    let (home, _daemon) = with_api();
    bound(&home, "acme/short", "staging", "hunter2");
    bound(&home, "acme/eight", "staging", "password");
    home.create(json!({ "secret": "acme/kv", "type": "key-value", "credentials": { "entries": { "A": "", "B": "true" } } }));
    home.ok("package.publish", site("1.0.0", json!({}), json!([file("a", "hunter2 true")])));
    let told = home
        .call("package.publish", site("1.0.1", json!({}), json!([file("a", "the password is")])))
        .unwrap_err();
    assert_eq!(told.message, "a: line 1: holds what looks like the live secret acme/eight");
}
