//! Where the browser is on another machine, the address that it ends on is pasted, and counts as if it had come by itself:
//! once, for its own secret. It is shown nowhere.

use bursar_tests::cli::command;
use bursar_tests::google::{SCOPES, ads, ask, ask_again, exchanged_at, redirected};
use bursar_tests::http::{get, parameters};
use bursar_tests::{FaultIssuer, Google, Home, Reply, Run, Talk, open_vault};
use serde_json::{Value, json};

const REAUTHORIZE: [&str; 4] = ["secret", "reauthorize", "ads", "--no-browser"];

/// A run that says its address on standard error, and is told where that leads by `to`.
fn pasted(home: &Home, arguments: &[&str], to: impl FnOnce(&str) -> String) -> Run {
    let mut talk = Talk::start(command(home, arguments));
    talk.err.expect("open this in a browser on any machine\n");
    let url = talk.err.expect("\n");
    talk.err.expect("paste that address here");
    talk.say(&format!("{}\n", to(&url)));
    talk.hush();
    let code = talk.ended().code().unwrap();
    Run { code, out: talk.out.whole(), err: talk.err.whole() }
}

fn show(home: &Home) -> Value {
    home.ok("secret.show", json!({ "secret": "ads" }))
}

#[test]
fn what_a_browser_elsewhere_ended_on_authorizes() {
    for google in [Google::oidc(), Google::authlib()] {
        let (home, _daemon) = open_vault();
        google.configure(&home);
        let create =
            ["secret", "create", "ads", "--type", "oauth2-google", "--scopes", SCOPES[0], "--no-browser"];
        let mut redirect = String::new();
        for arguments in [&create[..], &REAUTHORIZE] {
            let run = pasted(&home, arguments, |url| {
                redirect = google.consent(url);
                redirect.clone()
            })
            .ok();
            assert!(run.out.contains("succeeded"), "{run:?}");
            for part in ["code", "state"] {
                let text = &parameters(&redirect)[part];
                assert!(!run.out.contains(text), "{run:?}");
                // the state stands in the address that a person opens, and nowhere else
                let again = run.err.matches(text.as_str()).count();
                assert_eq!(again, usize::from(part == "state"), "{run:?}");
            }
            home.artifact("ads");
        }
        let page = get(&redirect).body;
        assert!(page.contains("This address was used already"), "{page}");
        assert_eq!(google.seen().codes, 2);
    }
}

#[test]
fn the_document_comes_first_and_the_exit_code_last() {
    let google = Google::oidc();
    let (home, _daemon) = open_vault();
    google.configure(&home);
    home.ok("secret.create", ads("ads"));
    let mut talk = Talk::start(command(&home, &[&REAUTHORIZE[..], &["--json"]].concat()));
    let line = talk.out.expect("\n");
    let document: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(document["status"], "manual_authorization", "{document}");
    let redirect = google.consent(document["authorization_url"].as_str().unwrap());
    talk.say(&format!("  {redirect}  \r\n"));
    assert_eq!(talk.ended().code(), Some(0), "{:?}", talk.err.so_far());
    assert_eq!(talk.out.whole(), format!("{line}\n"), "one document");
    assert!(!talk.err.whole().contains(&parameters(&redirect)["code"]));
    assert_eq!(show(&home)["status"], "succeeded");
}

#[test]
fn what_is_no_such_address_is_a_usage_error_and_uses_nothing_up() {
    let google = Google::oidc();
    let (home, _daemon) = open_vault();
    google.configure(&home);
    let mut last = ask(&home, "ads");
    for wrong in [
        "",
        "yes",
        "https://accounts.google.com/o/oauth2/v2/auth?code=canary-77&state=x",
        "http://127.0.0.1:1/elsewhere?code=canary-77&state=x",
        "http://127.0.0.1:1/oauth2/callback?state=canary-77",
        "http://127.0.0.1.example.org/oauth2/callback?code=canary-77&state=x",
        &format!("http://127.0.0.1:1/oauth2/callback?code={}&state=x", "canary-77".repeat(1000)),
    ] {
        let run = pasted(&home, &REAUTHORIZE, |url| {
            last = url.to_owned();
            wrong.to_owned()
        });
        assert_eq!(run.code, 2, "{wrong}: {run:?}");
        assert!(run.err.contains("bursar secret reauthorize personal/ads --no-browser"), "{wrong}: {run:?}");
        assert!(!run.err.contains("canary-77") && !run.out.contains("canary-77"), "{run:?}");
        assert!(!run.err.contains("field"), "a person pastes no field: {run:?}");
        assert_eq!((&show(&home)["status"], google.seen().codes), (&json!("manual_authorization"), 0));
    }
    google.land(&last);
    assert_eq!(home.ok("secret.wait", json!({ "secret": "ads" }))["status"], "succeeded");
}

#[test]
fn what_was_used_or_is_of_another_asks_to_start_over() {
    let google = Google::authlib();
    let (home, _daemon) = open_vault();
    google.configure(&home);
    google.granted(&home, "other");
    let used = {
        let redirect = google.consent(&ask(&home, "ads"));
        home.ok("secret.authorize", json!({ "secret": "ads", "redirect": redirect }));
        redirect
    };
    let others = google.consent(&ask_again(&home, "other"));
    let replaced = google.consent(&ask_again(&home, "ads"));
    let unknown = others.replace(&parameters(&others)["state"], "nobody-drew-this");
    for wrong in [&used, &others, &replaced, &unknown] {
        let run = pasted(&home, &REAUTHORIZE, |_| wrong.clone());
        assert_eq!(run.code, 6, "{wrong}: {run:?}");
        assert!(run.err.contains("bursar secret reauthorize personal/ads"), "{wrong}: {run:?}");
        assert!(!run.err.contains(&parameters(wrong)["code"]), "{run:?}");
        assert_eq!(show(&home)["status"], "manual_authorization");
    }
    // pasted for the wrong one, it still counts for the right one
    home.ok("secret.authorize", json!({ "secret": "other", "redirect": others }));
    assert_eq!(google.seen().codes, 3);
}

#[test]
fn what_the_issuer_says_decides_how_it_ends() {
    let (home, _daemon) = open_vault();
    let issuer = FaultIssuer::new(Reply::Json(400, r#"{"error":"invalid_grant"}"#));
    exchanged_at(&home, &issuer.token_url());
    ask(&home, "ads");
    for (answer, reason) in [("error=access_denied", "access_denied"), ("code=4711", "invalid_grant")] {
        let run = pasted(&home, &REAUTHORIZE, |url| redirected(url, answer));
        assert_eq!(run.code, 7, "{run:?}");
        assert!(run.err.contains(reason), "{run:?}");
        assert!(run.err.contains("bursar secret reauthorize personal/ads"), "{run:?}");
        assert_eq!(show(&home)["status"], "failed");
    }
    let answered = home.call("secret.authorize", json!({ "secret": "ads", "redirect": 1 })).unwrap_err();
    assert_eq!(answered.name, "invalid", "{answered}");
    home.create(bursar_tests::secrets::token("t", "v"));
    let paste = json!({ "secret": "t", "redirect": "http://127.0.0.1/oauth2/callback?code=a&state=b" });
    for method in ["secret.authorize", "secret.reauthorize"] {
        let mut params = paste.clone();
        if method == "secret.reauthorize" {
            params = json!({ "secret": "t" });
        }
        assert_eq!(home.refused(method, params), "invalid", "no person authorizes a token: {method}");
    }
    let run = home.cli_with_input(&["secret", "reauthorize", "t", "--no-browser"], "x\n");
    assert_eq!(run.code, 2, "{run:?}");
}
