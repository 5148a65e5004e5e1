//! A person grants once, in a browser; from then on there is a token without one.

use bursar_tests::google::{SCOPES, address, ads, ask};
use bursar_tests::http::parameters;
use bursar_tests::{Google, Home, Run, now, open_vault, seconds};
use serde_json::{Value, json};

/// How long a person may authorize, and how long a token counts, in seconds.
const HOUR: i64 = 3_600;

fn both() -> [Google; 2] {
    [Google::oidc(), Google::authlib()]
}

fn show(home: &Home, name: &str) -> Value {
    home.ok("secret.show", json!({ "secret": name }))
}

fn wait(home: &Home, name: &str) -> Value {
    home.ok("secret.wait", json!({ "secret": name }))
}

/// That no answer but the one to the call that asks a person has what stands in its address.
#[track_caller]
fn assert_no_address(answer: &Value, url: &str) {
    for part in ["state", "code_challenge"] {
        assert!(!answer.to_string().contains(&parameters(url)[part]), "{answer}");
    }
    for secret in answer.as_array().unwrap_or(&vec![answer.clone()]) {
        let address = [&secret["authorization_url"], &secret["authorization_url_expires_at"]];
        assert_eq!(address, [&Value::Null, &Value::Null], "{secret}");
    }
}

#[test]
fn an_address_is_answered_once_and_what_a_person_allows_there_becomes_a_token() {
    for google in both() {
        let (home, _daemon) = open_vault();
        google.configure(&home);
        let mut watch = home.connect();
        watch.call("artifact.watch", json!({})).unwrap();

        let before = now();
        let asked = home.ok("secret.create", ads("ads"));
        let url = address(&asked);
        let opened = seconds(&asked["authorization_url_expires_at"]) - HOUR;
        assert!((before..=now()).contains(&opened), "{asked}");
        assert_eq!(asked["status"], "manual_authorization", "{asked}");
        assert_eq!(asked["credentials"], json!({ "scopes": [SCOPES[0]] }), "{asked}");
        let waiting = show(&home, "ads");
        assert!(waiting["status_details"].as_str().unwrap().contains("secret reauthorize personal/ads"));
        assert_no_address(&waiting, &url);
        assert_no_address(&home.ok("secret.list", json!({})), &url);
        // asked before a person allows it, and answered after
        let mut socket = home.connect();
        socket.ask("secret.wait", &json!({ "secret": "ads" }));

        let before = now();
        let (_, page) = google.land(&url);
        assert!(page.body.contains("personal/ads is authorized"), "{page:?}");
        let secret = socket.json()["result"].take();
        assert_no_address(&secret, &url);
        assert_eq!((&secret["status"], &secret["status_details"]), (&json!("succeeded"), &Value::Null));
        let (ends, renewed) = (seconds(&secret["expires_at"]), seconds(&secret["refresh_at"]));
        assert!((before..=now()).contains(&(ends - HOUR)), "{secret}");
        assert_eq!(ends - renewed, HOUR / 2, "{secret}");
        assert_eq!(secret["next_attempt_at"], secret["refresh_at"]);
        for change in ["created", "refreshed"] {
            let told = watch.json();
            assert_eq!(told["params"]["change"], change, "{told}");
            assert_no_address(&told["params"], &url);
        }

        let artifact = home.artifact("ads");
        assert_eq!(artifact["expires_at"], secret["expires_at"]);
        assert_eq!(home.cli(&["get", "ads"]).ok().out.trim(), artifact["value"].as_str().unwrap());
        assert_eq!(google.seen().codes_granted, 1);
    }
}

#[test]
fn what_waits_for_a_person_says_what_to_do_whoever_asks() {
    let google = Google::oidc();
    let (home, _daemon) = open_vault();
    google.configure(&home);
    ask(&home, "ads");
    for command in [&["get", "ads"][..], &["secret", "retry", "ads"]] {
        let run = home.cli(&[command, &["--json"]].concat());
        let error = run.json_error();
        assert_eq!((run.code, &error["code"]), (6, &json!("needs_authorization")), "{run:?}");
        assert!(
            error["hint"].as_str().unwrap().contains("bursar secret reauthorize personal/ads"),
            "{error}"
        );
    }
    assert_eq!(google.seen().codes, 0);
}

#[test]
fn what_is_granted_unbound_is_bound_later_without_a_person() {
    for google in both() {
        let (home, _daemon) = open_vault();
        google.configure(&home);
        let mut unbound = ads("ads");
        unbound["unbound"] = json!(true);
        let (_, page) = google.land(&address(&home.ok("secret.create", unbound)));
        assert!(page.body.contains("personal/ads is authorized"), "{page:?}");
        assert!(page.body.contains("bursar secret bind personal/ads ENVIRONMENT"), "{page:?}");
        let secret = wait(&home, "ads");
        assert_eq!((&secret["status"], &secret["activated_at"]), (&json!("succeeded"), &Value::Null));
        assert_eq!(home.refused("artifact.get", json!({ "secret": "ads" })), "unbound");

        let bound = home.ok("secret.bind", json!({ "secret": "ads", "environment": "development" }));
        assert_eq!((&bound["status"], &bound["authorization_url"]), (&json!("pending"), &Value::Null));
        assert_eq!(wait(&home, "ads")["status"], "succeeded");
        assert!(home.artifact("ads")["value"].is_string());
        let seen = google.seen();
        assert_eq!((seen.codes, seen.refreshes_granted), (1, 1), "{seen:?}");
    }
}

#[test]
fn what_is_bound_while_it_waits_is_granted_for_the_environment_as_well() {
    let google = Google::oidc();
    let (home, _daemon) = open_vault();
    google.configure(&home);
    let mut unbound = ads("ads");
    unbound["unbound"] = json!(true);
    let url = address(&home.ok("secret.create", unbound));
    let bound = home.ok("secret.bind", json!({ "secret": "ads", "environment": "development" }));
    assert_eq!(bound["status"], "manual_authorization", "{bound}");
    assert_no_address(&bound, &url);
    google.land(&url);
    assert_eq!(wait(&home, "ads")["status"], "succeeded");
    assert!(home.artifact("ads")["value"].is_string());
}

#[test]
fn an_edit_starts_over_while_the_old_token_is_served() {
    for google in both() {
        let (home, _daemon) = open_vault();
        google.configure(&home);
        google.granted(&home, "ads");
        let old = home.artifact("ads");

        // other scopes: nobody has allowed these
        let edit = json!({ "secret": "ads", "credentials": { "scopes": SCOPES } });
        let edited = home.ok("secret.edit", edit);
        assert_eq!(edited["status"], "manual_authorization", "{edited}");
        assert_eq!(parameters(&address(&edited))["scope"], SCOPES.join(" "));
        assert_eq!(home.artifact("ads"), old);
        assert_eq!(home.refused("secret.retry", json!({ "secret": "ads" })), "needs_authorization");
        google.land(&address(&edited));
        assert_eq!(wait(&home, "ads")["status"], "succeeded");
        let new = home.artifact("ads");
        assert_ne!(new["value"], old["value"]);

        // the same scopes: what was allowed counts until a person has allowed it anew
        let edited = home.ok("secret.edit", json!({ "secret": "ads", "expiration_date": "2090-01-01" }));
        assert_eq!(edited["status"], "manual_authorization", "{edited}");
        assert_eq!(home.artifact("ads"), new);
        home.ok("secret.retry", json!({ "secret": "ads" }));
        assert_eq!(wait(&home, "ads")["status"], "succeeded");
        assert_ne!(home.artifact("ads")["value"], new["value"]);
        assert_eq!((google.seen().codes, google.seen().refreshes), (2, 1));
    }
}

#[test]
fn scopes_are_checked_before_the_settings_and_without_those_nothing_is_made() {
    let (home, _daemon) = open_vault();
    let create = |scopes: &str| -> Run {
        let kind = ["secret", "create", "ads", "--json", "--type", "oauth2-google", "--scopes", scopes];
        home.cli(&kind)
    };
    let twice = format!("{0},{0}", SCOPES[1]);
    for scopes in ["https://www.googleapis.com/auth/drive", "adwords", &twice, ""] {
        let run = create(scopes);
        assert_eq!((run.code, &run.json_error()["code"]), (2, &json!("invalid")), "{scopes}: {run:?}");
    }
    let run = create(SCOPES[0]);
    let error = run.json_error();
    assert_eq!((run.code, &error["code"]), (7, &json!("not_configured")), "{run:?}");
    assert!(error["hint"].as_str().unwrap().contains("bursar google configure"), "{error}");
    assert_eq!(home.ok("secret.list", json!({})), json!([]));
    assert_eq!(home.cli(&["google", "show"]).code, 7);

    let google = Google::oidc();
    google.configure(&home);
    let both = create(&SCOPES.join(",")).ok().json();
    assert_eq!(both["credentials"]["scopes"], json!(SCOPES));
    google.land(&address(&both));
    assert_eq!(wait(&home, "ads")["status"], "succeeded");
}
