//! The harness that plays Google keeps its own promises: what a person allows becomes tokens, once, and the browser
//! sees what is there.

use bursar_tests::browser::Look;
use bursar_tests::google::{SCOPES, of_another_site};
use bursar_tests::http::{escape, get, parameters, send};
use bursar_tests::{Browser, Choice, FaultIssuer, Google, Hold, Reply, Wall};
use serde_json::Value;
use std::fs;
use std::thread;
use tempfile::TempDir;

// RFC 7636, appendix B
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

const NOBODY: &str = "http://127.0.0.1:65535/oauth2/callback";

fn both() -> [Google; 2] {
    [Google::authlib(), Google::oidc()]
}

/// Where a client sends a person who shall come back to `redirect`.
fn address(google: &Google, redirect: &str) -> String {
    format!(
        "{}?response_type=code&client_id={}&redirect_uri={}&scope={}&state=one&code_challenge={CHALLENGE}\
         &code_challenge_method=S256&access_type=offline&prompt=consent",
        google.authorization_url(),
        google.client_id,
        escape(redirect),
        escape(&SCOPES.join(" ")),
    )
}

/// A token request of the client: status and body, or nothing where the issuer hung up.
fn request(google: &Google, fields: &[(&str, &str)]) -> Option<(u16, Value)> {
    let client = [("client_id", google.client_id), ("client_secret", google.client_secret)];
    let fields = client.iter().chain(fields).map(|(name, value)| format!("{name}={}", escape(value)));
    let form = fields.collect::<Vec<_>>().join("&");
    let answer = send("POST", &google.token_url(20), &[], Some(&form)).ok()?;
    Some((answer.status, serde_json::from_str(&answer.body).unwrap()))
}

fn exchange(google: &Google, redirect: &str) -> (u16, Value) {
    let code = &parameters(redirect)["code"];
    let grant = [("grant_type", "authorization_code"), ("code", code), ("code_verifier", VERIFIER)];
    request(google, &[grant[0], grant[1], grant[2], ("redirect_uri", NOBODY)]).unwrap()
}

fn refresh(google: &Google, refresh_token: &Value) -> Option<(u16, Value)> {
    let refresh_token = refresh_token.as_str().expect("a refresh token");
    request(google, &[("grant_type", "refresh_token"), ("refresh_token", refresh_token)])
}

/// A refresh token of a grant of its own.
fn granted(google: &Google) -> Value {
    let (status, answer) = exchange(google, &google.consent(&address(google, NOBODY)));
    assert_eq!((status, &answer["expires_in"]), (200, &20.into()), "{answer}");
    answer["refresh_token"].clone()
}

#[track_caller]
fn assert_invalid_grant(answer: Option<(u16, Value)>) {
    let (status, answer) = answer.expect("an answer");
    assert_eq!((status, &answer["error"]), (400, &"invalid_grant".into()), "{answer}");
}

#[test]
fn what_is_allowed_becomes_tokens_and_what_is_replayed_voids_the_grant() {
    for google in both() {
        let redirect = google.consent(&address(&google, NOBODY));
        assert!(redirect.starts_with(NOBODY), "{redirect}");
        assert_eq!(parameters(&redirect)["state"], "one");
        let (status, tokens) = exchange(&google, &redirect);
        assert_eq!(status, 200, "{tokens}");
        assert_invalid_grant(Some(exchange(&google, &redirect)));
        assert_invalid_grant(refresh(&google, &tokens["refresh_token"]));

        let old = granted(&google);
        let (_, rotated) = refresh(&google, &old).unwrap();
        assert_ne!(rotated["refresh_token"], old, "{rotated}");
        assert_eq!(refresh(&google, &rotated["refresh_token"]).unwrap().0, 200);
        assert_invalid_grant(refresh(&google, &old));

        let other = granted(&google);
        google.revoke_all();
        assert_invalid_grant(refresh(&google, &other));
    }
}

#[test]
fn who_denies_or_asks_without_pkce_gets_no_code() {
    for google in both() {
        let asked = address(&google, NOBODY);
        let denied = parameters(&google.deny(&asked));
        assert_eq!((denied["error"].as_str(), denied["state"].as_str()), ("access_denied", "one"));
        for method in ["", "&code_challenge_method=plain"] {
            let weak = asked.replace("&code_challenge_method=S256", method);
            assert_eq!(parameters(&google.consent(&weak))["error"], "invalid_request", "{weak}");
        }
        let elsewhere = asked.replace(&escape(NOBODY), &escape("http://127.0.0.1:65535/elsewhere"));
        assert_eq!(get(&elsewhere).status, 400, "no redirect to a path that the client does not have");
    }
}

#[test]
fn what_is_held_is_untaken_before_and_rotated_after() {
    for google in both() {
        let mut token = granted(&google);
        for (hold, hangs_up) in
            [(Hold::Before, false), (Hold::Before, true), (Hold::After, false), (Hold::After, true)]
        {
            let before = google.seen();
            google.hold(hold);
            let answer = thread::scope(|scope| {
                let asked = scope.spawn(|| refresh(&google, &token));
                google.until_held(1);
                let granted = google.seen().refreshes_granted - before.refreshes_granted;
                assert_eq!(granted == 1, hold == Hold::After, "{hold:?}");
                if hangs_up {
                    google.hang_up();
                } else {
                    google.release();
                }
                asked.join().unwrap()
            });
            assert_eq!(answer.is_none(), hangs_up, "{answer:?}");
            token = answer.map_or(token, |(_, tokens)| tokens["refresh_token"].clone());
            let after = google.seen();
            assert_eq!((after.refreshes - before.refreshes, after.held), (1, 0));
            assert_eq!(before.issued, after.presented, "the last one is the one that came");
        }
        assert_invalid_grant(refresh(&google, &token));
    }
}

#[test]
fn rotation_and_refresh_tokens_can_be_left_out() {
    for google in both() {
        let token = granted(&google);
        google.rotates(false);
        for _ in 0..2 {
            let (status, answer) = refresh(&google, &token).unwrap();
            assert!(status == 200 && [&Value::Null, &token].contains(&&answer["refresh_token"]), "{answer}");
        }
        google.gives_refresh_tokens(false);
        assert_eq!(granted(&google), Value::Null);
    }
}

const PLAIN: &str = "<!DOCTYPE html><meta name=viewport content='width=device-width'><title>Plain</title>
    <link rel=icon href='data:,'><h1>It worked</h1>";
const LOUD: &str = "<!DOCTYPE html><title>Loud</title><p style='width: 2000px'>wide</p>
    <img src='/picture' onerror='0'><script>document.title = 'ran'</script>";

/// A server that answers everything with one page, and its origin.
fn site(page: &str) -> (FaultIssuer, String) {
    let site = FaultIssuer::new(Reply::Answer(200, "text/html", page.to_owned()));
    let origin = site.token_url().replace("/token", "");
    (site, origin)
}

/// Reads the width of a picture, and takes it away.
fn width_of_png(directory: &TempDir, name: &str) -> u32 {
    let file = directory.path().join(format!("{name}.png"));
    let picture = fs::read(&file).unwrap();
    fs::remove_file(file).unwrap();
    u32::from_be_bytes(picture[16..20].try_into().unwrap())
}

#[test]
fn a_browser_consents_with_scripts_or_without_and_denies() {
    let mut browser = Browser::start();
    let (site, origin) = site(PLAIN);
    let redirect = format!("{origin}/oauth2/callback");
    for google in both() {
        let asked = address(&google, &redirect);
        let pictures = tempfile::tempdir().unwrap();
        for scripts in [true, false] {
            let look = Look { scripts, pictures: Some(pictures.path()) };
            let landed = browser.walk_with(&asked, Choice::Allow, look);
            assert!(landed.address.starts_with(&redirect), "{landed:?}");
            assert!(parameters(&landed.address).contains_key("code"), "{landed:?}");
            assert_eq!((landed.status, landed.title.as_str()), (Some(200), "Plain"), "{landed:?}");
            assert_eq!(landed.text, "It worked");
            assert_eq!(landed.referrer, google.authorization_url().replace("/auth", "/"));
            assert!(!landed.overflows() && landed.scripts == 0 && landed.ran.is_empty(), "{landed:?}");
            assert_eq!(landed.requests, []);
            assert_eq!([width_of_png(&pictures, "390"), width_of_png(&pictures, "1280")], [390, 1280]);
        }
        let denied = browser.walk(&of_another_site(&asked), Choice::Deny);
        assert_eq!(parameters(&denied.address)["error"], "access_denied", "{denied:?}");
    }
    let sites: Vec<_> =
        site.requests().into_iter().map(|request| request.headers["sec-fetch-site"].clone()).collect();
    let one = ["same-site", "same-site", "cross-site"];
    assert_eq!(sites, [one, one].concat(), "one request for each walk");
}

#[test]
fn a_browser_tells_what_a_page_does_and_that_nobody_answers() {
    let mut browser = Browser::start();
    let (_site, origin) = site(LOUD);
    let loud = browser.walk(&format!("{origin}/loud"), Choice::Nothing);
    assert!(loud.overflows() && loud.scripts == 2, "{loud:?}");
    assert_eq!(loud.title, "ran");
    assert_eq!(loud.ran, [loud.address.as_str(), loud.address.as_str()], "the script and the handler");
    assert!(loud.requests.contains(&(format!("{origin}/picture"), Some(loud.address.clone()))), "{loud:?}");

    let gone = Wall::new();
    let nobody = browser.walk(&gone.token_url(), Choice::Nothing);
    assert_eq!((nobody.address, nobody.status), (gone.token_url(), None));
    assert!(nobody.failed.is_some());
}

#[test]
fn a_page_of_another_site_reaches_in_every_way_and_reads_nothing_it_is_not_given() {
    let mut browser = Browser::start();
    let (site, origin) = site(PLAIN);
    let target = format!("{origin}/target?state=one");
    let attempts = browser.attack(&target);
    let ways: Vec<_> = attempts.iter().map(|attempt| attempt.way.as_str()).collect();
    let all = ["fetch", "fetch-no-cors", "post-no-cors", "image", "script", "style", "frame", "navigation"];
    assert_eq!(ways, all);
    assert!(attempts.iter().all(|attempt| !attempt.outcome.contains("read:")), "{attempts:?}");
    let came: Vec<_> =
        site.requests().into_iter().filter(|request| request.target == "/target?state=one").collect();
    assert_eq!(came.len(), all.len(), "each came as far as the server: {came:?}");
    assert!(came.iter().all(|request| request.headers["sec-fetch-site"] == "cross-site"), "{came:?}");
}
