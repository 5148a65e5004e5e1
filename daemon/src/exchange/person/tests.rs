//! What leaves of a person's grant, when, and what an issuer may answer to it.

use super::*;
use crate::agent::tests::{ADWORDS, PUBSUB};
use crate::clock::manual::ManualClock;
use crate::exchange::tests::{AMPLE, Responder, issuers, request};
use crate::exchange::wire::{Answer, judge};
use crate::exchange::{Exchange as _, Offer};
use bursar_proto::time::Timestamp;
use proptest::prelude::*;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How long a mark waits for what must not come before it.
const A_MOMENT: Duration = Duration::from_millis(200);

const GRANTED: &str =
    r#"{"access_token":"t0ken","expires_in":3599,"refresh_token":"r-2","token_type":"Bearer"}"#;

/// How often a mark was asked for; it is kept, or not.
fn marking(keeps: bool) -> (Mark, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let mark: Mark = Arc::new(move || {
        let counted = counted.clone();
        Box::pin(async move {
            counted.fetch_add(1, Ordering::SeqCst);
            keeps
        })
    });
    (mark, asked)
}

fn code() -> Proof {
    Proof::Code {
        code: Sensitive::new("4/0Ab c".into()),
        verifier: Sensitive::new("v-~_.".into()),
        redirect_uri: "http://127.0.0.1:4711/oauth2/callback".into(),
    }
}

fn refresh_token() -> Proof {
    Proof::RefreshToken(Sensitive::new("1//r+1".into()))
}

fn grant(token_url: &str, proof: Proof, mark: Mark) -> Grant {
    Grant {
        issuer: Issuer::Google,
        client_id: "id.example".into(),
        client_secret: Sensitive::new("hunter2&".into()),
        token_url: token_url.parse().unwrap(),
        scopes: vec![PUBSUB.into(), ADWORDS.into()],
        proof,
        mark,
    }
}

async fn exchanged(grant: Grant) -> Result<Granted, Failure> {
    let clock = Arc::new(ManualClock::at(1_800_000_000));
    issuers(AMPLE).exchange(Offer::Grant(Arc::new(grant)), clock).await
}

/// What an issuer that answers `body` makes of a proof.
async fn answered(status: &'static str, body: &str, proof: Proof) -> Result<Granted, Failure> {
    let issuer = Responder::answering(status, "content-type: application/json\r\n", body.into());
    exchanged(grant(&issuer.url(), proof, marking(true).0)).await
}

/// The members of a form, in their order.
fn form(asked: &str) -> Vec<(String, String)> {
    let (_, body) = asked.split_once("\r\n\r\n").unwrap();
    let members = url::form_urlencoded::parse(body.as_bytes());
    members.map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

fn members(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn a_code_goes_out_with_its_verifier_and_its_redirect_uri() {
    let issuer = Responder::answering("200 OK", "", GRANTED.into());
    let (mark, marked) = marking(true);
    let granted = exchanged(grant(&issuer.url(), code(), mark)).await.unwrap();
    assert_eq!((granted.access_token.expose(), granted.expires_in), ("t0ken", 3_599));
    assert_eq!(granted.refresh_token.unwrap().expose(), "r-2");
    assert_eq!(granted.sent_at, Timestamp::from_seconds(1_800_000_000));
    assert_eq!(marked.load(Ordering::SeqCst), 1);
    let asked = issuer.requests.recv_timeout(AMPLE).unwrap();
    let expected = [
        // RFC 6749 section 4.1.3 and RFC 7636 section 4.5
        ("grant_type", "authorization_code"),
        ("code", "4/0Ab c"),
        ("code_verifier", "v-~_."),
        ("redirect_uri", "http://127.0.0.1:4711/oauth2/callback"),
        ("client_id", "id.example"),
        ("client_secret", "hunter2&"),
    ];
    assert_eq!(form(&asked), members(&expected));
    is_a_plain_form(&asked);
}

#[tokio::test]
async fn a_refresh_token_goes_out_without_scopes() {
    let issuer = Responder::answering("200 OK", "", GRANTED.into());
    let (mark, marked) = marking(true);
    exchanged(grant(&issuer.url(), refresh_token(), mark)).await.unwrap();
    assert_eq!(marked.load(Ordering::SeqCst), 1);
    let asked = issuer.requests.recv_timeout(AMPLE).unwrap();
    let expected = [
        // RFC 6749 section 6: without scope it is the scope of before
        ("grant_type", "refresh_token"),
        ("refresh_token", "1//r+1"),
        ("client_id", "id.example"),
        ("client_secret", "hunter2&"),
    ];
    assert_eq!(form(&asked), members(&expected));
    is_a_plain_form(&asked);
}

/// One POST of a form, its length in its head, and nothing secret there.
fn is_a_plain_form(asked: &str) {
    let (head, body) = asked.split_once("\r\n\r\n").unwrap();
    let head = head.to_lowercase();
    assert!(head.starts_with("post /token http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\ncontent-type: application/x-www-form-urlencoded\r\n"), "{head}");
    assert!(head.contains(&format!("\r\ncontent-length: {}", body.len())), "{head}");
    for other in ["transfer-encoding", "authorization", "hunter2"] {
        assert!(!head.contains(other), "{head}");
    }
}

#[tokio::test]
async fn the_body_waits_for_the_mark() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    let (tell, body) = tokio::sync::oneshot::channel();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let asked = request(&mut stream);
        let _ = tell.send(());
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{GRANTED}", GRANTED.len());
        stream.write_all(answer.as_bytes()).unwrap();
        asked
    });
    let body = Arc::new(Mutex::new(Some(body)));
    let came_before = Arc::new(Mutex::new(None));
    let mark: Mark = Arc::new({
        let came_before = came_before.clone();
        move || {
            let (body, came_before) = (body.lock().unwrap().take().unwrap(), came_before.clone());
            Box::pin(async move {
                let came = tokio::time::timeout(A_MOMENT, body).await.is_ok();
                *came_before.lock().unwrap() = Some(came);
                true
            })
        }
    });
    exchanged(grant(&url, code(), mark)).await.unwrap();
    assert_eq!(*came_before.lock().unwrap(), Some(false));
    assert!(server.join().unwrap().contains("code_verifier"));
}

#[tokio::test]
async fn without_the_mark_no_body_leaves() {
    for proof in [code(), refresh_token()] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/token", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut all = Vec::new();
            // whatever comes until it hangs up
            let _ = stream.read_to_end(&mut all);
            String::from_utf8(all).unwrap()
        });
        let (mark, marked) = marking(false);
        let failure = exchanged(grant(&url, proof, mark)).await.unwrap_err();
        assert_eq!((failure.cause, failure.reach), (Cause::Transient, Reach::Unsent));
        assert!(
            failure.details.starts_with("the agent could not keep that it asks the issuer, so it did not ask; nothing was sent; hint: "),
            "{}",
            failure.details
        );
        assert_eq!(marked.load(Ordering::SeqCst), 1);
        let seen = server.join().unwrap();
        assert!(!seen.contains("grant_type") && !seen.contains("hunter2"), "{seen}");
    }
}

#[tokio::test]
async fn where_no_connection_stands_nothing_is_marked_and_nothing_was_sent() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (proof, hint) in [
        (refresh_token(), "hint: check token_url, network and proxy"),
        (code(), "hint: check token_url, network and proxy; then: bursar secret reauthorize NAME"),
    ] {
        let (mark, marked) = marking(true);
        let failure = exchanged(grant(&format!("http://127.0.0.1:{port}/t"), proof, mark)).await.unwrap_err();
        assert_eq!((failure.cause, failure.reach), (Cause::Unreachable, Reach::Unsent));
        assert_eq!(
            failure.details,
            format!(
                "the issuer at 127.0.0.1:{port} was not reached: connection refused; nothing was sent; {hint}"
            )
        );
        assert_eq!(marked.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test]
async fn where_the_connection_breaks_once_it_was_sent_the_answer_is_not_known() {
    for answer in
        [&b""[..], b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"access_token\":\"t", b"SSH-2.0-x\r\n"]
    {
        let issuer = Responder::start(move |stream| {
            let _ = stream.write_all(answer);
        });
        let (mark, marked) = marking(true);
        let failure = exchanged(grant(&issuer.url(), refresh_token(), mark)).await.unwrap_err();
        assert_eq!((failure.cause, failure.reach), (Cause::Unreachable, Reach::Unanswered));
        assert!(
            failure.details.contains("; the request was sent, and its answer is not known; hint: "),
            "{}",
            failure.details
        );
        assert_eq!(marked.load(Ordering::SeqCst), 1);
        // it was asked once: who tried again by itself would offer a token that may be spent
        assert!(issuer.requests.recv_timeout(AMPLE).unwrap().contains("refresh_token"));
        assert!(issuer.requests.try_recv().is_err());
    }
}

#[tokio::test]
async fn an_exchange_that_is_cut_off_inside_claims_nothing() {
    struct Broken;
    impl Clock for Broken {
        fn now(&self) -> Timestamp {
            panic!("a test cuts it off");
        }
    }
    let granted = grant("http://127.0.0.1:9/token", refresh_token(), marking(true).0);
    let failure =
        issuers(AMPLE).exchange(Offer::Grant(Arc::new(granted)), Arc::new(Broken)).await.unwrap_err();
    assert_eq!((failure.cause, failure.reach), (Cause::Transient, Reach::Unanswered));
}

#[tokio::test]
async fn a_code_has_to_bring_a_refresh_token_and_every_scope() {
    let answer = |more: &str| format!(r#"{{"access_token":"t0ken","expires_in":3600{more}}}"#);
    let scope = |scope: &str| answer(&format!(r#","refresh_token":"r-2","scope":"{scope}""#));
    // RFC 6749 section 5.1: an answer that names no scope grants what was asked for
    for whole in [
        answer(r#","refresh_token":"r-2""#),
        scope(&format!("{ADWORDS} openid {PUBSUB}")),
        scope(&format!("{PUBSUB} {ADWORDS}")),
    ] {
        assert!(answered("200 OK", &whole, code()).await.is_ok(), "{whole}");
    }
    for (half, reason) in [
        (answer(""), "the issuer gave no refresh token"),
        (answer(r#","refresh_token":null"#), "the issuer gave no refresh token"),
        (answer(r#","refresh_token":7"#), "cannot be used: refresh_token is no text"),
        (scope(PUBSUB), &format!("not all was allowed: {ADWORDS} is missing") as &str),
        (scope("openid"), &format!("not all was allowed: {PUBSUB} is missing")),
        (scope(&format!("{PUBSUB} {ADWORDS}x")), &format!("not all was allowed: {ADWORDS} is missing")),
    ] {
        let failure = answered("200 OK", &half, code()).await.unwrap_err();
        assert!(failure.details.contains(reason), "{half}: {}", failure.details);
        assert!(failure.details.ends_with("bursar secret reauthorize NAME"), "{}", failure.details);
        assert_eq!(failure.reach, Reach::Answered);
    }
    // a refresh has neither to
    for refreshed in [answer(""), scope(PUBSUB)] {
        assert!(answered("200 OK", &refreshed, refresh_token()).await.is_ok(), "{refreshed}");
    }
}

/// What `wire` makes of an answer, judged without a connection.
fn told_of(status: u16, body: &str, by: By, secrets: Vec<&str>) -> Result<Granted, Failure> {
    let answer = Answer {
        sent_at: Timestamp::from_seconds(0),
        status,
        content_type: Some("application/json"),
        body: body.as_bytes(),
    };
    judge(&answer, &Sent { secrets, person: Some((Issuer::Google, by)) })
}

#[test]
fn refusals_say_what_they_mean_for_what_was_offered() {
    use By::{Code, RefreshToken};
    let again = "bursar secret reauthorize NAME";
    let client = "bursar google configure";
    for (status, code, by, cause, hint) in [
        (400, "invalid_grant", RefreshToken, Cause::Withdrawn, again),
        (400, "invalid_grant", Code, Cause::Permanent, again),
        (401, "invalid_client", RefreshToken, Cause::Permanent, client),
        (401, "invalid_client", Code, Cause::Permanent, client),
        (400, "unauthorized_client", RefreshToken, Cause::Permanent, client),
        (400, "invalid_request", RefreshToken, Cause::Transient, "bursar google show"),
        (400, "slow_down", RefreshToken, Cause::Transient, "bursar google show"),
        (400, "temporarily_unavailable", RefreshToken, Cause::Transient, "wait"),
        (429, "rate_limit_exceeded", RefreshToken, Cause::Transient, "wait"),
        (500, "invalid_grant", RefreshToken, Cause::Unreachable, "wait"),
        (503, "server_error", Code, Cause::Unreachable, "wait"),
        // some issuers refuse with a 200
        (200, "invalid_grant", RefreshToken, Cause::Withdrawn, again),
    ] {
        let body = format!(r#"{{"error":"{code}","error_description":"the grant hunter2 is over"}}"#);
        let failure = told_of(status, &body, by, vec!["hunter2"]).unwrap_err();
        assert_eq!((failure.cause, failure.reach), (cause, Reach::Answered), "{status} {code} {by:?}");
        let (reason, hinted) = failure.details.split_once("; hint: ").unwrap();
        assert!(reason.contains(&format!("{code}, HTTP {status}")), "{reason}");
        assert!(hinted.contains(hint), "{hinted}");
        assert!(!failure.details.contains("hunter2"), "{}", failure.details);
    }
    // what is no OAuth error says nothing of the grant
    for (status, body) in
        [(400, ""), (400, "<html>"), (401, "{}"), (403, r#"{"error":{"code":403}}"#), (404, "")]
    {
        let failure = told_of(status, body, RefreshToken, Vec::new()).unwrap_err();
        assert_eq!(failure.cause, Cause::Transient, "{status} {body}");
    }
}

#[tokio::test]
async fn a_refused_client_says_what_else_it_takes() {
    let body = r#"{"error":"invalid_client"}"#;
    let failure = answered("401 Unauthorized", body, code()).await.unwrap_err();
    assert_eq!(
        failure.details,
        "the issuer refused the client (invalid_client, HTTP 401); hint: set its id and secret anew: bursar google configure; then: bursar secret reauthorize NAME"
    );
    let failure = answered("401 Unauthorized", body, refresh_token()).await.unwrap_err();
    assert!(
        failure.details.ends_with("bursar google configure; then: bursar secret retry NAME"),
        "{}",
        failure.details
    );
}

#[test]
fn a_new_refresh_token_is_not_lost_with_an_answer_that_is_of_no_use() {
    for useless in [r#""expires_in":3600"#, r#""access_token":7"#, r#""access_token":"t","expires_in":"x""#] {
        let body = format!(r#"{{"refresh_token":"next",{useless}}}"#);
        let failure = told_of(200, &body, By::RefreshToken, Vec::new()).unwrap_err();
        assert_eq!(failure.rotated.as_ref().unwrap().token().expose(), "next", "{useless}");
        assert!(!format!("{failure:?}").contains("next"), "{failure:?}");
        // of a code nothing was granted before, and what it brought is not whole
        assert!(told_of(200, &body, By::Code, Vec::new()).unwrap_err().rotated.is_none());
    }
}

#[test]
fn a_refresh_token_that_cannot_be_kept_is_refused_and_not_shown() {
    let read = |token: &str| {
        let body = format!(r#"{{"access_token":"t","expires_in":3600,"refresh_token":{token}}}"#);
        told_of(200, &body, By::RefreshToken, Vec::new())
    };
    for good in ["\"r\"", "\"1//0e -~\"", &format!("\"{}\"", "r".repeat(16 * 1024))] {
        assert!(read(good).unwrap().refresh_token.is_some(), "{good}");
    }
    for (bad, why) in [
        ("\"\"", "refresh_token is empty"),
        ("\" \"", "refresh_token is empty"),
        ("7", "refresh_token is no text"),
        ("[\"r\"]", "refresh_token is no text"),
        ("\"a\\nb\"", "other than visible ascii"),
        ("\"caf\u{e9}\"", "other than visible ascii"),
        (&format!("\"{}\"", "r".repeat(16 * 1024 + 1)) as &str, "refresh_token is over 16 KiB"),
    ] {
        let failure = read(bad).unwrap_err();
        assert!(failure.details.contains(why), "{bad}: {}", failure.details);
    }
    // and nobody asked client credentials for one
    let answer = Answer {
        sent_at: Timestamp::from_seconds(0),
        status: 200,
        content_type: None,
        body: br#"{"access_token":"t","expires_in":60,"refresh_token":7}"#,
    };
    assert!(judge(&answer, &Sent { secrets: Vec::new(), person: None }).unwrap().refresh_token.is_none());
}

#[test]
fn an_answer_that_says_no_lifetime_has_the_rules() {
    let read =
        |more: &str| told_of(200, &format!(r#"{{"access_token":"t"{more}}}"#), By::RefreshToken, Vec::new());
    assert_eq!(read("").unwrap().expires_in, 3_600);
    assert_eq!(read(r#","expires_in":"3599""#).unwrap().expires_in, 3_599);
    for bad in ["-1", "3600.5", "\"soon\"", "\"\""] {
        assert!(read(&format!(r#","expires_in":{bad}"#)).is_err(), "{bad}");
    }
}

#[test]
fn what_is_shown_of_an_answer_holds_neither_what_was_sent_nor_what_came() {
    for scope in ["see t0ken", "see r-2", "see hunter2"] {
        let body = format!(
            r#"{{"access_token":"t0ken","expires_in":60,"refresh_token":"r-2","scope":"{scope}","token_type":"{scope}"}}"#
        );
        let granted = told_of(200, &body, By::RefreshToken, vec!["hunter2"]).unwrap();
        assert_eq!((granted.scope, granted.token_type), (None, None), "{scope}");
    }
}

proptest! {
    #[test]
    fn no_failure_holds_what_was_sent_or_what_came(
        sent in prop_oneof!["[a-z_]{10,16}", "[ -~]{10,30}"],
        came in "[a-zA-Z0-9/+]{10,20}",
        code in prop_oneof![Just(String::new()), "[a-z_]{0,12}".prop_map(|text| text)],
        around in prop_oneof![Just(("", "")), Just(("x_", "")), Just(("", "_x")), Just(("the ", " is over"))],
        status in prop_oneof![Just(200_u16), Just(400), Just(401), Just(429), Just(500), 100_u16..600],
        by_code: bool,
        shape in 0_usize..6,
    ) {
        let json = |text: &str| serde_json::to_string(text).unwrap();
        let echo = json(&format!("{}{sent}{}", around.0, around.1));
        let (code, came_text) = (json(&code), json(&came));
        let body = match shape {
            0 => format!(r#"{{"error":{echo},"error_description":{echo}}}"#),
            1 => format!(r#"{{"error":{code},"error_description":{echo}}}"#),
            2 => format!(r#"{{"access_token":{came_text},"expires_in":{echo},"refresh_token":{echo}}}"#),
            3 => format!(r#"{{"access_token":[{came_text}],"refresh_token":{came_text},"scope":{echo}}}"#),
            4 => format!(r#"{{"access_token":{came_text},"refresh_token":[{came_text}]}}"#),
            _ => format!("{echo}{came}"),
        };
        let by = if by_code { By::Code } else { By::RefreshToken };
        match told_of(status, &body, by, vec![&sent]) {
            Ok(granted) => {
                let shown = format!("{:?} {:?}", granted.scope, granted.token_type);
                prop_assert!(!shown.contains(&sent) && !shown.contains(&came), "{}", shown);
                let debug = format!("{granted:?}");
                prop_assert!(!debug.contains(&came), "{}", debug);
            }
            Err(failure) => {
                let told = told(failure, by).details;
                prop_assert!(!told.contains(&sent) && !told.contains(&came), "{}", told);
            }
        }
    }

    #[test]
    fn no_answer_to_a_grant_panics(status in 100_u16..600, body in "\\PC{0,80}", by_code: bool) {
        let by = if by_code { By::Code } else { By::RefreshToken };
        drop(told_of(status, &body, by, vec!["", "s"]));
    }
}
