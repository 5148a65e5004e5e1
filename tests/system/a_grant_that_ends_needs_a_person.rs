//! Where the issuer ends a grant, a person has to come: status, hook, answers and builds say so and name the command that
//! mends it, and the token that there is serves until its end.

use bursar_tests::google::ask_again;
use bursar_tests::library::{organization, until_past};
use bursar_tests::{Daemon, Google, Home, Workspace, open_vault, until};
use serde_json::{Value, json};
use std::fs;

/// How long tokens live here, in seconds: the shortest that there is.
const LIFETIME: u64 = 20;

const MEND: &str = "bursar secret reauthorize acme/ads";

const LIBRARY: &str = "
    organization = 'acme'
    environment = 'development'
    [library]
    name = 'acme/site'
    version = '1.0.0'
    [library.elements]
    ADS = 'acme/ads-token'
    [[library.files]]
    template = 'ads.tmpl'
    path = '.ads'
";

/// A home whose hook keeps what it is told in the file `told`.
fn with_hook() -> (Home, Daemon) {
    let home = Home::new();
    let told = home.path().join("told");
    let script =
        home.file("hook.sh", format!("read -r line\nprintf '%s\\n' \"$line\" >> {}\n", told.display()));
    home.config(&format!("[hook]\ncommand = [\"/bin/sh\", \"{}\"]\n", script.display()));
    let daemon = home.start();
    home.ok("vault.init", json!({ "key_file": home.key_file() }));
    organization(&home, "acme");
    (home, daemon)
}

/// What the hook was told of people who are needed.
fn told(home: &Home) -> Vec<Value> {
    let text = fs::read_to_string(home.path().join("told")).unwrap_or_default();
    let documents = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    documents.filter(|one| one["event"] == "needs_authorization").collect()
}

fn show(home: &Home) -> Value {
    home.ok("secret.show", json!({ "secret": "acme/ads" }))
}

fn ends(google: &Google) {
    let (home, daemon) = with_hook();
    google.configure_for(&home, LIFETIME);
    let granted = google.granted(&home, "acme/ads");
    home.ok("element.set", json!({ "element": "acme/ads-token", "development": "acme/ads" }));
    let site = Workspace::with(&home, "site", LIBRARY);
    site.write("ads.tmpl", "%ADS%");
    for command in ["check", "build"] {
        site.run(&[command]).ok();
    }
    let token = home.artifact("acme/ads");
    let mut watch = home.connect();
    watch.call("artifact.watch", json!({ "secret": "acme/ads" })).unwrap();
    google.revoke_all();

    let told_to_watch = watch.json()["params"].take();
    assert_eq!(told_to_watch["change"], "needs_authorization", "{told_to_watch}");
    let secret = show(&home);
    assert_eq!(secret["status"], "manual_authorization", "{secret}");
    assert_eq!(secret["refresh_status"], "failed", "{secret}");
    for details in ["status_details", "refresh_status_details"] {
        let text = secret[details].as_str().unwrap();
        assert!(text.contains("invalid_grant") && text.contains(MEND), "{details}: {secret}");
    }
    assert_eq!((&secret["next_attempt_at"], &secret["expires_at"]), (&Value::Null, &granted["expires_at"]));
    assert_eq!(secret["authorization_url"], Value::Null, "nobody asked for one: {secret}");

    // while there is a token it is served, and builds are refused already
    assert_eq!(home.artifact("acme/ads"), token);
    for arguments in [&["element", "resolve", "acme/ads-token", "-e", "acme/development"][..], &["build"]] {
        let run = site.run(arguments);
        assert!(run.code == 7 && run.err.contains(MEND), "{arguments:?}: {run:?}");
    }
    let check = site.run(&["check"]);
    assert!(check.code == 1 && check.out.contains(MEND), "{check:?}");

    let hook = until("the hook is told", || told(&home).pop());
    assert_eq!(
        (&hook["secret"], &hook["expires_at"]),
        (&json!("acme/ads"), &granted["expires_at"]),
        "{hook}"
    );
    assert!(hook["details"].as_str().unwrap().contains("invalid_grant"), "{hook}");
    assert!(hook["hint"].as_str().unwrap().ends_with(MEND), "{hook}");

    until_past(&granted["expires_at"]);
    for command in [&["get", "acme/ads"][..], &["secret", "retry", "acme/ads"]] {
        let run = home.cli(command);
        assert!(run.code == 6 && run.err.contains(MEND), "{run:?}");
    }
    assert_eq!((google.seen().refreshes, told(&home).len()), (1, 1), "it is asked once, and told once");
    drop(daemon);
    let _daemon = home.start();
    assert_eq!(show(&home)["status"], "manual_authorization");
    assert_eq!(google.seen().refreshes, 1, "a start asks nobody either");

    google.land(&ask_again(&home, "acme/ads"));
    let mended = home.ok("secret.wait", json!({ "secret": "acme/ads" }));
    assert_eq!((&mended["status"], &mended["status_details"]), (&json!("succeeded"), &Value::Null));
    assert_eq!((&mended["refresh_status"], &mended["refresh_status_details"]), (&Value::Null, &Value::Null));
    assert_ne!(home.artifact("acme/ads")["value"], token["value"]);
    site.run(&["build"]).ok();
}

#[test]
fn at_oidc_provider() {
    ends(&Google::oidc());
}

#[test]
fn at_authlib() {
    ends(&Google::authlib());
}

#[test]
fn a_caller_who_needs_more_than_is_left_learns_it_first() {
    let google = Google::oidc();
    let (home, _daemon) = open_vault();
    google.configure(&home);
    let granted = google.granted(&home, "ads");
    google.revoke_all();
    until_past(&granted["activated_at"]);
    let run = home.cli(&["get", "ads", "--min-validity", "3600s", "--json"]);
    let error = run.json_error();
    assert_eq!((run.code, &error["code"]), (6, &json!("needs_authorization")), "{run:?}");
    assert!(error["hint"].as_str().unwrap().contains("bursar secret reauthorize personal/ads"), "{error}");
    home.artifact("ads");
}
