//! What scripts may rely on: exit codes, JSON shapes, the flags of `get`, filters, confirmations.

use bursar_tests::secrets::{grant, of_every_static_type, token};
use bursar_tests::{Daemon, FaultIssuer, Home, Reply, cli, open_vault};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

fn with_every_type() -> (Home, Daemon) {
    let (home, daemon) = open_vault();
    for params in of_every_static_type() {
        home.create(params);
    }
    (home, daemon)
}

#[test]
fn every_exit_code_means_what_the_table_says() {
    let (home, _daemon) = with_every_type();
    let issuer = FaultIssuer::new(Reply::Grant(3600));
    home.create(grant("hour", &issuer.token_url()));
    let code = |expected: i32, name: &str, arguments: &[&str]| {
        let run = home.cli(&[&["--json"], arguments].concat());
        assert_eq!(run.code, expected, "{arguments:?}: {run:?}");
        if expected != 0 {
            assert_eq!(run.json_error()["code"], name, "{arguments:?}");
            assert!(run.out.is_empty(), "{arguments:?}: {run:?}");
        }
    };
    code(0, "", &["get", "one-token"]);
    code(2, "invalid", &["get"]);
    code(2, "invalid", &["get", "a/b/c"]);
    code(2, "invalid", &["frobnicate"]);
    code(2, "invalid", &["get", "one-token", "--frobnicate"]);
    code(2, "invalid", &["secret", "create", "g", "--type", "token"]);
    code(5, "not_found", &["get", "nowhere"]);
    code(5, "not_found", &["secret", "show", "nobody/nowhere"]);
    code(7, "validity_too_long", &["get", "hour", "--min-validity", "2h"]);
    code(0, "", &["secret", "deactivate", "one-api-key"]);
    code(7, "inactive", &["get", "one-api-key"]);
    code(0, "", &["secret", "test", "hour"]);
    issuer.from_now_on(Reply::Drop);
    code(8, "issuer_unreachable", &["secret", "test", "hour"]);
    code(10, "conflict", &["organization", "create", "personal"]);
    code(10, "conflict", &["secret", "bind", "one-token", "development"]);
    let passphrase = home.file("passphrase", "not the passphrase\n");
    code(0, "", &["lock"]);
    code(3, "locked", &["get", "one-token"]);
    code(4, "wrong_key", &["unlock", "--passphrase-file", passphrase.to_str().unwrap()]);
    code(0, "", &["unlock"]);
    code(0, "", &["agent", "stop"]);
    code(9, "daemon_unreachable", &["agent", "status"]);
    code(9, "daemon_unreachable", &["get", "one-token"]);
}

#[test]
fn a_failed_exchange_is_followed_to_its_exit_code() {
    let (home, _daemon) = open_vault();
    let issuer = FaultIssuer::new(Reply::Json(401, r#"{"error":"invalid_client"}"#));
    let mut file = grant("x", &issuer.token_url());
    file.as_object_mut().unwrap().remove("secret");
    let create = |name: &str, flags: &[&str]| {
        let arguments = [&["secret", "create", name, "--from-file", "-"], flags].concat();
        home.cli_with_input(&arguments, &file.to_string())
    };
    let run = create("bad", &["--wait"]);
    assert_eq!(run.code, 7, "{run:?}");
    assert!(run.err.contains("invalid_client"), "{run:?}");
    assert_eq!((run.err.matches("hint:").count(), run.out.matches("hint:").count()), (1, 0), "{run:?}");
    assert!(run.err.contains("bursar secret retry personal/bad"), "{run:?}");
    issuer.from_now_on(Reply::Grant(3600));
    create("good", &["--wait"]).ok();
    let run = create("later", &["--json"]).ok();
    assert_eq!(run.json()["status"], "pending");
    home.cli(&["wait", "later", "--timeout", "20s"]).ok();
    assert_eq!(home.cli(&["get", "later"]).ok().out, "granted-2\n".to_owned());
}

#[test]
fn an_issuer_that_is_not_there_has_an_exit_code_of_its_own() {
    let (home, _daemon) = open_vault();
    let mut file = grant("x", "http://127.0.0.1:1/token");
    file.as_object_mut().unwrap().remove("secret");
    let run =
        home.cli_with_input(&["secret", "create", "x", "--from-file", "-", "--wait"], &file.to_string());
    assert_eq!(run.code, 8, "{run:?}");
    assert_eq!(home.cli(&["secret", "retry", "x", "--wait"]).code, 8);
    // what is stored is a failure, whatever its cause was
    assert_eq!(home.cli(&["get", "x"]).code, 7);
}

#[test]
fn flags_win_over_a_file_and_null_there_means_unbound() {
    let (home, _daemon) = open_vault();
    let create = |name: &str, environment: Value, flags: &[&str]| {
        let file = serde_json::json!({ "type": "token", "environment": environment, "credentials": { "token": "v" } });
        let arguments = [&["secret", "create", name, "--from-file", "-", "--json"], flags].concat();
        home.cli_with_input(&arguments, &file.to_string()).ok().json()["environment"].clone()
    };
    assert_eq!(create("a", "development".into(), &[]), "personal/development");
    assert_eq!(create("b", "development".into(), &["--unbound"]), Value::Null);
    assert_eq!(create("c", Value::Null, &[]), Value::Null);
    assert_eq!(create("d", Value::Null, &["--environment", "development"]), "personal/development");
}

#[test]
fn get_prints_values_headers_fields_and_files() {
    let (home, _daemon) = with_every_type();
    let out = |arguments: &[&str]| home.cli(&[&["get"], arguments].concat()).ok().out;
    assert_eq!(out(&["one-token"]), "npm_0123456789\n");
    assert_eq!(out(&["personal/one-token", "--field", "token"]), "npm_0123456789\n");
    assert_eq!(out(&["one-api-key"]), "k-0123456789\n");
    assert_eq!(out(&["one-api-key", "--header"]), "X-Api-Key: k-0123456789\n");
    assert_eq!(out(&["one-bearer-token"]), "Bearer b-01234\n");
    assert_eq!(out(&["one-bearer-token", "--header"]), "Authorization: Bearer b-01234\n");
    assert_eq!(out(&["one-key-value", "--field", "PIN"]), "p-0123456789\n");
    assert_eq!(out(&["one-client-credentials", "--field", "client_secret"]), "cs-0123456789\n");
    assert!(out(&["one-certificate", "--field", "private_key"]).starts_with("-----BEGIN PRIVATE KEY-----\n"));
    for name in ["one-key-value", "one-certificate", "one-client-credentials"] {
        let run = home.cli(&["get", name]);
        assert_eq!(run.code, 2, "{run:?}");
        assert!(run.out.is_empty() && run.err.contains("--field"), "{run:?}");
    }
    assert_eq!(home.cli(&["get", "one-key-value", "--header"]).code, 2);
    assert_eq!(home.cli(&["get", "one-token", "--min-validity", "soon"]).code, 2);

    let file = home.file("out", "old");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(out(&["one-token", "--output", file.to_str().unwrap()]), "");
    assert_eq!(fs::read_to_string(&file).unwrap(), "npm_0123456789\n");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    let json = home.cli(&["get", "one-api-key", "--json"]).ok().json();
    assert_eq!((&json["secret"], &json["value"]), (&json!("personal/one-api-key"), &json!("k-0123456789")));
}

#[test]
fn create_takes_flags_files_and_standard_input_but_no_sensitive_flag() {
    let (home, _daemon) = open_vault();
    let password = home.file("password", "pass:word\n");
    home.cli(&[
        "secret",
        "create",
        "by-flags",
        "--type",
        "simple-http",
        "--username",
        "robot",
        "--password-file",
        password.to_str().unwrap(),
        "--expiration-date",
        "2090-01-01",
    ])
    .ok();
    assert_eq!(home.artifact("by-flags")["value"], "cm9ib3Q6cGFzczp3b3Jk");
    home.cli_with_input(&["secret", "create", "by-stdin", "--type", "token", "--token-file", "-"], "t\n")
        .ok();
    assert_eq!(home.artifact("by-stdin")["value"], "t");
    home.cli_with_input(&["secret", "edit", "by-stdin", "--token-file", "-"], "new").ok();
    assert_eq!(home.artifact("by-stdin")["value"], "new");

    let run = home.cli(&["secret", "create", "x", "--type", "token", "--token", "canary-3f1e"]);
    assert_eq!(run.code, 2);
    assert!(run.err.contains("--token-file") && !run.err.contains("canary-3f1e"), "{run:?}");
    let bad = [
        r#"{"type":"token","credentials":{"token":"canary-3f1e""#,
        r#"{"type":"token","credentials":{"tocken":"canary-3f1e"}}"#,
        r#"{"type":"canary-3f1e","credentials":{}}"#,
        "canary-3f1e",
        "",
    ];
    for text in bad {
        let run = home.cli_with_input(&["secret", "create", "x", "--from-file", "-"], text);
        assert_eq!(run.code, 2, "{text}: {run:?}");
        assert!(!run.err.contains("canary-3f1e") && run.out.is_empty(), "{text}: {run:?}");
    }
}

#[test]
fn a_refused_field_is_named_with_its_file_or_its_flag() {
    let (home, _daemon) = open_vault();
    let error = |arguments: &[&str]| {
        let run = home.cli(&[&["secret", "create", "x", "--json"], arguments].concat());
        assert_eq!(run.code, 2, "{arguments:?}: {run:?}");
        run.json_error()["message"].as_str().unwrap().to_owned()
    };
    let of_file = |content: &str| {
        home.file("crm.json", content);
        error(&["--from-file", "crm.json"])
    };
    assert_eq!(of_file("{\n  \"type\": canary-3f1e\n}\n"), "crm.json: no json: line 2, column 11");
    assert_eq!(of_file(r#"{"type":"token","credentials":{}}"#), "crm.json: field token: is required");
    assert_eq!(of_file(r#"{"typ":"token"}"#), "crm.json: unknown field typ");
    home.file("s", "s");
    let flags = [
        "--type",
        "oauth2-client_credentials",
        "--client-id",
        "i",
        "--client-secret-file",
        "s",
        "--token-url",
        "ftp://x",
    ];
    assert!(error(&flags).starts_with("--token-url: "), "{}", error(&flags));
    let scopes = ["--type", "oauth2-google", "--scopes", "https://www.googleapis.com/auth/drive"];
    assert!(error(&scopes).starts_with("--scopes: "), "{}", error(&scopes));
}

#[test]
fn an_indented_file_is_taken() {
    let (home, _daemon) = open_vault();
    home.file("x.json", "{\n  \"type\": \"token\",\n  \"credentials\": {\n    \"token\": \"a b\"\n  }\n}\n");
    home.cli(&["secret", "create", "x", "--from-file", "x.json"]).ok();
    assert_eq!(home.artifact("x")["value"], "a b");
}

#[test]
fn lists_are_filtered_and_arrays_in_json() {
    let (home, _daemon) = with_every_type();
    home.ok("organization.create", json!({ "organization": "acme" }));
    home.create(token("acme/other", "value"));
    let names = |filter: &[&str]| -> Vec<String> {
        let run = home.cli(&[&["secret", "list", "--json"], filter].concat()).ok();
        let list: Value = run.json();
        list.as_array().unwrap().iter().map(|secret| secret["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&[]).len(), 8);
    assert!(names(&[]).is_sorted());
    assert_eq!(names(&["--organization", "acme"]), ["acme/other"]);
    assert_eq!(names(&["--type", "token"]), ["acme/other", "personal/one-token"]);
    assert_eq!(names(&["--environment", "acme/development"]), ["acme/other"]);
    assert_eq!(names(&["--status", "succeeded"]).len(), 8);
    assert_eq!(names(&["--status", "failed"]), Vec::<String>::new());
    for (noun, count) in [("organization", 2), ("environment", 2)] {
        let run = home.cli(&[noun, "list", "--json"]).ok();
        assert_eq!(run.json().as_array().unwrap().len(), count);
    }
    let table = home.cli(&["secret", "list"]).ok().out;
    for word in ["personal/one-token", "token", "succeeded"] {
        assert!(table.contains(word), "{table}");
    }
    assert!(!table.contains('\u{1b}'), "no colour outside a terminal");
    let status = home.cli(&["agent", "status", "--json"]).ok().json();
    assert_eq!((&status["secrets"], &status["vault"]), (&json!(8), &json!("unlocked")));
}

#[test]
fn deleting_needs_a_confirmation() {
    let (home, _daemon) = with_every_type();
    let run = home.cli_with_input(&["secret", "delete", "one-token"], "one-token\n");
    assert_eq!(run.code, 2, "{run:?}");
    assert!(run.err.contains("--yes"), "{run:?}");
    assert_eq!(home.artifact("one-token")["value"], "npm_0123456789");
    home.cli(&["secret", "delete", "one-token", "--yes"]).ok();
    assert_eq!(home.cli(&["get", "one-token"]).code, 5);
    assert_eq!(home.cli(&["environment", "delete", "development"]).code, 2);
    let run = home.cli(&["environment", "delete", "development", "--yes", "--json"]).ok();
    assert_eq!(run.json()["unbound"].as_array().unwrap().len(), 6);
}

#[test]
fn a_whole_life_without_a_person() {
    let home = Home::new();
    let key = home.key_file();
    let (key, backup) = (key.to_str().unwrap(), home.path().join("backup"));
    let backup = backup.to_str().unwrap();
    home.cli(&["init", "--key-file", key]).ok(); // starts the agent as well
    home.cli_with_input(&["secret", "create", "t", "--type", "token", "--token-file", "-"], "value").ok();
    home.cli(&["secret", "where", "t"]).ok();
    home.cli(&["rekey"]).ok();
    home.cli(&["backup", backup]).ok();
    home.cli(&["secret", "delete", "t", "--yes"]).ok();
    home.cli(&["restore", backup, "--yes"]).ok();
    home.cli(&["unlock"]);
    assert_eq!(home.cli(&["get", "t"]).ok().out, "value\n");
    home.cli(&["lock"]).ok();
    home.cli(&["unlock", "--key-file", key]).ok();
    home.cli(&["agent", "stop"]).ok();
    home.cli(&["agent", "start"]).ok();
    assert_eq!(home.cli(&["get", "t"]).ok().out, "value\n");
    let env = home.cli(&["agent", "env"]).ok().out;
    assert!(env.contains("BURSAR_SOCK") && env.contains("bursar.sock"), "{env}");
    home.cli(&["agent", "stop"]).ok();
}

#[test]
fn a_passphrase_that_nobody_can_be_asked_for_is_wanted_as_a_file() {
    let home = Home::new();
    home.file("pass", "correct horse\n");
    home.file("short", "horse\n");
    let refused = |arguments: &[&str]| {
        let run = home.cli(&[&["--json"], arguments].concat());
        assert_eq!(run.code, 2, "{arguments:?}: {run:?}");
        let error = run.json_error();
        (error["message"].as_str().unwrap().to_owned(), error["hint"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(refused(&["init", "--passphrase-file", "short"]).0, "a passphrase has 8 to 1024 bytes");
    home.cli(&["init", "--passphrase-file", "pass"]).ok();
    home.cli(&["backup", "b"]).ok();
    assert_eq!(refused(&["backup", "b"]).1, "confirm with --yes");
    home.cli(&["backup", "b", "--yes"]).ok();
    let wanted =
        ("no passphrase, and no terminal to ask on".to_owned(), "use --passphrase-file FILE".to_owned());
    assert_eq!(refused(&["rekey"]), wanted);
    assert_eq!(refused(&["restore", "b", "--yes"]), wanted);
    assert_eq!(refused(&["passphrase", "--new-file", "pass"]).1, "use --current-file FILE");
    assert!(refused(&["restore", "/nope", "--yes"]).0.starts_with("cannot read /nope"));
    home.cli(&["lock"]).ok();
    assert_eq!(refused(&["unlock"]), wanted);
    home.cli(&["unlock", "--passphrase-file", "pass"]).ok();
    home.cli(&["agent", "stop"]).ok();
    let run = home.cli(&["agent", "stop"]);
    assert_eq!(run.code, 9, "{run:?}");
    assert!(!run.err.contains("hint:"), "{run:?}");
}

#[test]
fn quickstart_says_what_to_type_next() {
    let home = Home::new();
    let out = home.cli(&["quickstart"]).ok().out;
    let program = bursar_tests::binaries::binaries().bursar.display().to_string();
    for line in ["agent stop", "get personal/hello", "secret list"] {
        assert!(out.contains(&format!("  {program} {line}\n")), "{out}");
    }
    let next = out.split_once("next:\n").unwrap().1;
    assert!(next.starts_with(&format!("  export BURSAR_HOME='{}'\n", home.path().display())), "{out}");
    let env = home.cli(&["agent", "env", "--json"]).ok().json();
    assert_eq!(env["BURSAR_HOME"], home.path().to_str().unwrap());
    let run = cli::Run::finish(
        cli::command(&home, &["agent", "start"])
            .env("BURSAR_SOCK", home.path().join("other.sock"))
            .spawn()
            .unwrap(),
        None,
    );
    assert!(run.err.contains("other.sock") && run.err.contains("unset one of them"), "{run:?}");
}

#[test]
fn a_stopped_agent_can_be_started_at_once() {
    let home = Home::new();
    home.cli(&["init", "--key-file", home.key_file().to_str().unwrap()]).ok();
    for _ in 0..10 {
        home.cli(&["agent", "stop"]).ok();
        home.cli(&["agent", "start"]).ok();
    }
    home.cli(&["agent", "stop"]).ok();
}

#[test]
fn a_watch_prints_a_line_for_a_change() {
    let (home, _daemon) = open_vault();
    let mut child = cli::command(&home, &["watch", "--json"]).stderr(Stdio::inherit()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    // the watch may begin after the first changes, so they go on until one is told
    let line = std::thread::scope(|scope| {
        let told = scope.spawn(|| lines.next().unwrap().unwrap());
        let mut round = 0;
        bursar_tests::until("a change is told", || {
            round += 1;
            home.create(token(&format!("t-{round}"), "value"));
            told.is_finished().then_some(())
        });
        told.join().unwrap()
    });
    child.kill().unwrap();
    child.wait().unwrap();
    let line: Value = serde_json::from_str(&line).unwrap();
    assert!(line["secret"].as_str().unwrap().starts_with("personal/t-"), "{line}");
}

#[test]
fn completions_manual_pages_help_and_version_need_no_agent() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish"] {
        assert!(home.cli(&["completions", shell]).ok().out.contains("bursar"));
    }
    assert!(home.cli(&["man"]).ok().out.contains(".TH bursar"));
    assert!(home.cli(&["--help"]).ok().out.contains("secret"));
    assert!(home.cli(&["--version"]).ok().out.starts_with("bursar "));
}
