//! What a person allowed counts where the issuer gives a whole grant for it: otherwise the secret has failed, and page, answer
//! and exit code say why, whether the code is spent, and how to start over.

use bursar_tests::google::{SCOPES, ask, ask_again, exchanged_at, redirected};
use bursar_tests::http::visit;
use bursar_tests::{FaultIssuer, Google, Home, Reply, Wall, now, open_vault, seconds};
use serde_json::{Value, json};

const JSON: &str = "application/json";

/// An answer of the token endpoint.
fn tokens(further: Value) -> Reply {
    let mut answer =
        json!({ "access_token": "at-0123456789", "refresh_token": "rt-0123456789", "expires_in": 3599 });
    answer.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
    Reply::Answer(200, JSON, answer.to_string())
}

/// Has a code come for a secret whose address is `url`; answers the page, and the secret at the end.
fn landed(home: &Home, url: &str) -> (String, Value) {
    let (_, page) = visit(&redirected(url, "code=4711"));
    (page.body, home.ok("secret.wait", json!({ "secret": "ads" })))
}

#[test]
fn what_is_no_grant_fails_and_a_new_code_mends_it() {
    let (home, _daemon) = open_vault();
    let issuer = FaultIssuer::new(Reply::Drop);
    exchanged_at(&home, &issuer.token_url());
    let mut url = ask(&home, "ads");
    let wanting = json!({ "scope": SCOPES[1] });
    for (reply, exit, reason) in [
        (Reply::Json(400, r#"{"error":"invalid_grant"}"#), 7, "invalid_grant"),
        (Reply::Json(401, r#"{"error":"invalid_client"}"#), 7, "invalid_client"),
        (Reply::Json(500, "{}"), 8, "500"),
        (Reply::Answer(200, "text/html", "<h1>Sign in</h1>".into()), 7, ""),
        (tokens(json!({ "refresh_token": null })), 7, "gave no refresh token"),
        (tokens(wanting), 7, "https://www.googleapis.com/auth/adwords is missing"),
        (tokens(json!({ "expires_in": 19 })), 7, "the shortest lifetime is 20 s"),
        (Reply::Drop, 8, "the request was sent, and its answer is not known"),
    ] {
        issuer.then(reply.clone());
        let (page, secret) = landed(&home, &url);
        let details = secret["status_details"].as_str().unwrap_or_else(|| panic!("{reply:?}: {secret}"));
        assert_eq!(secret["status"], "failed", "{reply:?}: {secret}");
        assert!(details.contains(reason), "{reply:?}: {secret}");
        assert!(details.contains("bursar secret reauthorize personal/ads"), "{reply:?}: {secret}");
        assert!(!details.contains("nothing was sent"), "{reply:?}: {secret}");
        assert!(page.contains("personal/ads is not authorized"), "{reply:?}: {page}");
        let commands = page.split("<pre>").nth(1).unwrap();
        assert!(commands.contains("bursar secret reauthorize personal/ads</pre>"), "{reply:?}: {page}");
        assert!(!commands.contains("then"), "only commands stand there: {reply:?}: {page}");
        let run = home.cli(&["wait", "ads"]);
        assert_eq!(
            (run.code, run.err.contains("reauthorize personal/ads")),
            (exit, true),
            "{reply:?}: {run:?}"
        );
        assert_eq!(home.refused("artifact.get", json!({ "secret": "ads" })), "failed", "{reply:?}");
        url = ask_again(&home, "ads");
    }
    assert_eq!(issuer.count(), 8, "each code is sent once");
    issuer.then(tokens(json!({})));
    let (page, secret) = landed(&home, &url);
    assert_eq!((&secret["status"], &secret["status_details"]), (&json!("succeeded"), &Value::Null), "{page}");
    assert_eq!(home.artifact("ads")["value"], "at-0123456789");
}

#[test]
fn an_issuer_that_cannot_be_reached_is_told_apart_from_one_that_does_not_answer() {
    let (home, _daemon) = open_vault();
    let gone = Wall::new();
    exchanged_at(&home, &gone.token_url());
    let (page, secret) = landed(&home, &ask(&home, "ads"));
    let details = secret["status_details"].as_str().unwrap();
    assert!(details.contains("nothing was sent") && !details.contains("not known"), "{secret}");
    assert!(page.contains("othing was sent"), "{page}");
    let run = home.cli(&["wait", "ads"]);
    assert_eq!(run.code, 8, "{run:?}");
}

#[test]
fn real_issuers_that_give_no_refresh_token_are_told() {
    for google in [Google::oidc(), Google::authlib()] {
        let (home, _daemon) = open_vault();
        google.configure(&home);
        google.gives_refresh_tokens(false);
        let (_, page) = google.land(&ask(&home, "ads"));
        assert!(page.body.contains("gave no refresh token"), "{page:?}");
        let secret = home.ok("secret.wait", json!({ "secret": "ads" }));
        assert_eq!(secret["status"], "failed", "{secret}");
        google.gives_refresh_tokens(true);
        google.land(&ask_again(&home, "ads"));
        assert_eq!(home.ok("secret.wait", json!({ "secret": "ads" }))["status"], "succeeded");
    }
}

#[test]
fn a_token_counts_an_hour_unless_the_issuer_says_clearly_less() {
    let (home, _daemon) = open_vault();
    let issuer = FaultIssuer::new(Reply::Drop);
    exchanged_at(&home, &issuer.token_url());
    let mut url = ask(&home, "ads");
    for (said, counts, offset) in [
        (json!(3600), 3_600, 1_800),
        (json!("3599"), 3_600, 1_800),
        (json!(7200), 3_600, 1_800),
        (json!(3540), 3_600, 1_800),
        (json!(3539), 3_539, 1_769),
        (json!(20), 20, 10),
    ] {
        issuer.then(tokens(json!({ "expires_in": said })));
        let before = now();
        let (_, secret) = landed(&home, &url);
        let ends = seconds(&secret["expires_at"]);
        assert!((before + counts..=now() + counts).contains(&ends), "{said}: {secret}");
        assert_eq!(ends - seconds(&secret["refresh_at"]), offset, "{said}: {secret}");
        url = ask_again(&home, "ads");
    }
}
