//! Whole exchanges against a responder on loopback.

use super::*;
use crate::clock::manual::ManualClock;
use crate::credentials::tests::{grant_at, parse_jwt};
use serde_json::json;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Longer than any exchange here takes on a busy machine.
pub(super) const AMPLE: Duration = Duration::from_mins(1);

const GRANT: &str = r#"{"access_token":"t0ken","expires_in":"36000","token_type":"bearer"}"#;

/// An issuer that answers each connection by `answer` and tells what it was asked.
pub(super) struct Responder {
    pub(super) port: u16,
    pub(super) requests: Receiver<String>,
}

impl Responder {
    pub(super) fn start(answer: impl Fn(&mut TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tell, requests) = channel();
        std::thread::spawn(move || {
            // ends with its test: when nobody hears the requests any more, or the process is over
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                if tell.send(request(&mut stream)).is_err() {
                    return;
                }
                answer(&mut stream);
            }
        });
        Self { port, requests }
    }

    pub(super) fn answering(status: &'static str, headers: &'static str, body: String) -> Self {
        Self::start(move |stream| {
            let head = format!("HTTP/1.1 {status}\r\n{headers}connection: close\r\n");
            let whole = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
            // a client that has seen enough hangs up
            let _ = stream.write_all(whole.as_bytes());
        })
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/token", self.port)
    }
}

/// One request, its head in lower case up to the header values, and its body.
pub(super) fn request(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    for _ in 0..1000 {
        let read = stream.read(&mut buffer).unwrap_or(0);
        text.extend_from_slice(&buffer[..read]);
        let so_far = String::from_utf8_lossy(&text).into_owned();
        // 22 begins a TLS handshake, of which nothing here reads more
        if read == 0 || text[0] == 22 {
            return so_far;
        }
        let Some((head, body)) = so_far.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().unwrap())
        });
        if body.len() >= length.unwrap_or(0) {
            return so_far;
        }
    }
    panic!("no whole request");
}

pub(super) fn issuers(total_timeout: Duration) -> Issuers {
    let settings = HttpSettings { connect_timeout: AMPLE, total_timeout, extra_ca_file: None };
    Issuers::start(&settings).unwrap()
}

async fn exchange(credentials: Credentials) -> Result<Granted, Failure> {
    issuers(AMPLE)
        .exchange(Offer::Credentials(Arc::new(credentials)), Arc::new(ManualClock::at(1_800_000_000)))
        .await
}

async fn refused(responder: &Responder) -> Failure {
    let failure = exchange(grant_at(&responder.url(), "post")).await.unwrap_err();
    assert!(!failure.details.contains("hunter2"), "{}", failure.details);
    failure
}

#[tokio::test]
async fn client_credentials_go_into_the_form() {
    let issuer = Responder::answering("200 OK", "content-type: application/json\r\n", GRANT.into());
    let granted = exchange(grant_at(&issuer.url(), "post")).await.unwrap();
    assert_eq!((granted.access_token.expose(), granted.expires_in), ("t0ken", 36_000));
    assert_eq!(granted.token_type.as_deref(), Some("bearer"));
    let asked = issuer.requests.recv_timeout(AMPLE).unwrap();
    assert!(asked.starts_with("POST /token HTTP/1.1\r\n"), "{asked}");
    assert!(asked.to_lowercase().contains("content-type: application/x-www-form-urlencoded\r\n"), "{asked}");
    assert!(!asked.to_lowercase().contains("authorization:"), "{asked}");
    assert!(
        asked.ends_with(
            "\r\n\r\ngrant_type=client_credentials&client_id=id&client_secret=hunter2&scope=a+b%26c"
        ),
        "{asked}"
    );
}

#[tokio::test]
async fn basic_keeps_them_out_of_the_form() {
    let issuer = Responder::answering("200 OK", "", GRANT.into());
    exchange(grant_at(&issuer.url(), "basic")).await.unwrap();
    let asked = issuer.requests.recv_timeout(AMPLE).unwrap();
    assert!(asked.contains("uthorization: Basic aWQ6aHVudGVyMg=="), "{asked}");
    assert!(asked.ends_with("\r\n\r\ngrant_type=client_credentials&scope=a+b%26c"), "{asked}");
}

#[tokio::test]
async fn a_jwt_is_exchanged_as_an_assertion() {
    let issuer = Responder::answering("200 OK", "", GRANT.into());
    let jwt = parse_jwt(&json!({"token_url": issuer.url(), "options": {"scope": "a"}})).unwrap();
    assert_eq!(exchange(jwt).await.unwrap().access_token.expose(), "t0ken");
    let asked = issuer.requests.recv_timeout(AMPLE).unwrap();
    let (_, form) = asked.split_once("\r\n\r\n").unwrap();
    let members: Vec<_> = url::form_urlencoded::parse(form.as_bytes()).collect();
    assert_eq!(members[0].1, "urn:ietf:params:oauth:grant-type:jwt-bearer");
    assert_eq!((&*members[1].0, members[1].1.split('.').count()), ("assertion", 3));
    assert_eq!((&*members[2].0, &*members[2].1), ("scope", "a"));
}

#[tokio::test]
async fn a_jwt_without_a_token_url_is_the_token() {
    let granted = exchange(parse_jwt(&json!({})).unwrap()).await.unwrap();
    assert_eq!(granted.expires_in, 3_600);
    assert_eq!(granted.access_token.expose().split('.').count(), 3);
}

#[tokio::test]
async fn a_static_type_has_no_exchange() {
    let token = Credentials::load(bursar_proto::kind::SecretType::Token, r#"{"token":"x"}"#).unwrap();
    assert_eq!(exchange(token).await.unwrap_err().cause, Cause::Permanent);
}

#[tokio::test]
async fn an_empty_refusal_is_read() {
    let failure = refused(&Responder::answering("403 Forbidden", "", String::new())).await;
    assert_eq!(failure.cause, Cause::Transient);
    assert!(failure.details.contains("HTTP 403 with an empty body"), "{}", failure.details);
}

#[tokio::test]
async fn a_refusal_that_echoes_shows_its_code_alone() {
    let body = r#"{"error":"invalid_client","error_description":"hunter2 is wrong"}"#;
    let failure = refused(&Responder::answering("401 Unauthorized", "", body.into())).await;
    assert_eq!(failure.cause, Cause::Permanent);
    assert!(failure.details.contains("invalid_client, HTTP 401"), "{}", failure.details);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let port = elsewhere.local_addr().unwrap().port();
    let issuer = Responder::start(move |stream| {
        let head = format!("HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:{port}/\r\n");
        let _ = stream.write_all(format!("{head}connection: close\r\ncontent-length: 0\r\n\r\n").as_bytes());
    });
    let failure = refused(&issuer).await;
    assert!(failure.details.contains("redirects (HTTP 307)"), "{}", failure.details);
    assert_eq!(elsewhere.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn an_answer_of_one_mebibyte_is_read_and_a_larger_one_is_not() {
    const MIB: usize = 1024 * 1024;
    let padded = |size: usize| format!("{GRANT}{}", " ".repeat(size - GRANT.len()));
    let whole = Responder::answering("200 OK", "", padded(MIB));
    assert!(exchange(grant_at(&whole.url(), "post")).await.is_ok());
    let failure = refused(&Responder::answering("200 OK", "", padded(MIB + 1))).await;
    assert_eq!(failure.cause, Cause::Transient);
    assert!(failure.details.contains("over 1 MiB"), "{}", failure.details);
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let issuer = Responder::start(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
        while stream.write_all(&[b' '; 8_192]).is_ok() {}
    });
    assert!(refused(&issuer).await.details.contains("over 1 MiB"));
}

#[tokio::test]
async fn silence_ends_at_the_total_limit() {
    let (hold, release) = channel::<()>();
    let release = std::sync::Mutex::new(release);
    let issuer = Responder::start(move |_| {
        let _ = release.lock().unwrap().recv();
    });
    let issuers = issuers(Duration::from_millis(200));
    let credentials = Arc::new(grant_at(&issuer.url(), "post"));
    let failure =
        issuers.exchange(Offer::Credentials(credentials), Arc::new(ManualClock::at(1))).await.unwrap_err();
    drop(hold);
    assert_eq!(failure.cause, Cause::Unreachable);
    assert!(failure.details.contains("no complete answer within 200ms"), "{}", failure.details);
}

#[tokio::test]
async fn a_closed_port_is_unreachable_and_named() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let failure = exchange(grant_at(&format!("http://127.0.0.1:{port}/t"), "post")).await.unwrap_err();
    assert_eq!(failure.cause, Cause::Unreachable);
    let shown = format!("the issuer at 127.0.0.1:{port} was not reached: connection refused");
    assert!(failure.details.starts_with(&shown), "{}", failure.details);
}

#[tokio::test]
async fn a_connection_that_breaks_or_speaks_no_http_is_unreachable() {
    for answer in [&b""[..], b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{"] {
        let issuer = Responder::start(move |stream| {
            let _ = stream.write_all(answer);
        });
        let failure = refused(&issuer).await;
        assert_eq!(failure.cause, Cause::Unreachable, "{}", failure.details);
    }
}

#[tokio::test]
async fn tls_against_what_speaks_none_is_unreachable() {
    let issuer = Responder::start(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    let url = format!("https://localhost:{}/t", issuer.port);
    let failure = exchange(grant_at(&url, "post")).await.unwrap_err();
    assert_eq!(failure.cause, Cause::Unreachable);
    assert!(failure.details.contains("tls failed: the two ends do not agree"), "{}", failure.details);
}

/// An issuer that speaks TLS under a certificate of its own for `localhost`, which is the second value.
fn tls_responder() -> (u16, String) {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let connection = rustls::ServerConnection::new(config).unwrap();
        let mut stream = rustls::StreamOwned::new(connection, stream);
        // a client that does not trust us is gone by now
        let _ = stream.read(&mut [0; 4096]);
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{GRANT}", GRANT.len());
        let _ = stream.write_all(answer.as_bytes());
        let _ = stream.flush();
    });
    (port, cert.pem())
}

#[tokio::test]
async fn a_certificate_is_trusted_by_the_extra_ca_file_alone() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for trusted in [true, false] {
        let (port, authority) = tls_responder();
        std::fs::write(file.path(), authority).unwrap();
        let issuers = Issuers::start(&HttpSettings {
            connect_timeout: AMPLE,
            total_timeout: AMPLE,
            extra_ca_file: trusted.then(|| file.path().to_owned()),
        })
        .unwrap();
        let credentials = Arc::new(grant_at(&format!("https://localhost:{port}/t"), "post"));
        let granted = issuers.exchange(Offer::Credentials(credentials), Arc::new(ManualClock::at(1))).await;
        if trusted {
            assert_eq!(granted.unwrap().access_token.expose(), "t0ken");
        } else {
            let failure = granted.unwrap_err();
            assert_eq!(failure.cause, Cause::Unreachable);
            assert!(
                failure.details.contains("tls failed: its certificate comes of no authority")
                    || failure.details.contains("this system has no root certificates"),
                "{}",
                failure.details
            );
        }
    }
}

#[tokio::test]
async fn an_exchange_goes_on_when_its_caller_leaves() {
    let issuer = Responder::answering("200 OK", "", GRANT.into());
    let issuers = issuers(AMPLE);
    drop(issuers.exchange(
        Offer::Credentials(Arc::new(grant_at(&issuer.url(), "post"))),
        Arc::new(ManualClock::at(1)),
    ));
    assert!(issuer.requests.recv_timeout(AMPLE).unwrap().ends_with("scope=a+b%26c"));
}

#[tokio::test]
async fn localhost_is_this_machine_without_a_lookup() {
    let issuer = Responder::answering("200 OK", "", GRANT.into());
    let url = issuer.url().replace("127.0.0.1", "localhost");
    assert!(exchange(grant_at(&url, "post")).await.is_ok());
}

#[test]
fn dropping_the_issuers_ends_their_thread_under_way_or_not() {
    drop(issuers(AMPLE));
    let (hold, release) = channel::<()>();
    let release = std::sync::Mutex::new(release);
    let issuer = Responder::start(move |_| {
        let _ = release.lock().unwrap().recv();
    });
    let issuers = issuers(AMPLE);
    drop(issuers.exchange(
        Offer::Credentials(Arc::new(grant_at(&issuer.url(), "post"))),
        Arc::new(ManualClock::at(1)),
    ));
    issuer.requests.recv_timeout(AMPLE).unwrap();
    // the drop joins the thread
    drop(issuers);
    drop(hold);
}
