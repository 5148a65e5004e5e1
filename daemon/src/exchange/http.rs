//! The one way out: token requests over HTTP, within limits of time, size and number.
//!
//! It follows no redirect and sends nothing through a proxy that is meant for this machine. What an answer
//! means is `wire`'s business. reqwest's errors carry the URL, so their text goes nowhere.

use super::form::Form;
use super::marked::{Marked, NotMarked};
use super::person::Mark;
use super::wire::{self, Answer, Sent};
use super::{Cause, Failure, Granted, Reach};
use crate::clock::Clock;
use crate::credentials::{host_name, is_loopback};
use bursar_proto::time::Timestamp;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Certificate, Client, ClientBuilder, Response};
use std::collections::HashMap;
use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use url::Url;
use zeroize::Zeroizing;

/// The largest answer that is read, in bytes; a token answer has a few thousand.
const ANSWER_MAX: usize = 1024 * 1024;

/// The most exchanges at one token host at once: an issuer that is slow, or just back, is not stormed.
const PER_HOST_MAX: usize = 4;

/// How long an idle connection is kept for the next exchange.
const IDLE: Duration = Duration::from_secs(30);

/// The largest extra CA file, in bytes; the roots of a whole system have some 200 KiB.
const CA_FILE_MAX: u64 = 4 * 1024 * 1024;

/// How requests are made. Proxies are those of `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, and root
/// certificates the system's or those of `SSL_CERT_FILE`, as they stand in the environment at the start.
#[derive(Debug, Clone)]
pub(crate) struct HttpSettings {
    /// From the first packet to a connection with TLS.
    pub(crate) connect_timeout: Duration,
    /// From the start to the last byte of the answer.
    pub(crate) total_timeout: Duration,
    /// PEM certificates that are trusted beside the system's.
    pub(crate) extra_ca_file: Option<PathBuf>,
}

/// Why there is no way out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The extra CA file cannot be read.
    #[error("the extra ca file cannot be read: {}: {}", .0.display(), .1.kind())]
    CaFile(PathBuf, #[source] io::Error),
    /// The extra CA file is not what it should be.
    #[error("the extra ca file holds no usable certificate as PEM, or is over 4 MiB: {}", .0.display())]
    CaContent(PathBuf),
    /// The TLS library refuses to start.
    #[error("no http client can be made")]
    Client(#[source] reqwest::Error),
    /// The system gives no thread.
    #[error("no thread can be started for exchanges: {}", .0.kind())]
    Thread(#[source] io::Error),
}

/// A request for a token.
pub(super) struct TokenRequest<'a> {
    pub(super) url: &'a Url,
    pub(super) form: &'a Form,
    /// What the answer is judged by.
    pub(super) sent: Sent<'a>,
    /// A whole header value.
    pub(super) authorization: Option<&'a str>,
    /// What has to be durable before the form leaves.
    pub(super) mark: Option<&'a Mark>,
}

/// The clients.
pub(super) struct Http {
    /// Through the proxy, where there is one.
    outside: Client,
    /// For loopback: never through a proxy, and `localhost` is not looked up.
    loopback: Client,
    /// Whether this system has no root certificates, so that no https can work.
    rootless: bool,
    settings: HttpSettings,
    hosts: Hosts,
}

impl Http {
    /// Makes the clients.
    ///
    /// # Errors
    /// The extra CA file cannot be used.
    pub(super) fn new(settings: &HttpSettings) -> Result<Self, StartError> {
        // reqwest takes whichever provider the process has; it is fine where ring's is there already
        let _ = rustls::crypto::ring::default_provider().install_default();
        let extra = extra_roots(settings)?;
        let localhost =
            [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()].map(|ip| SocketAddr::new(ip, 0));
        let builder = || {
            Client::builder()
                .user_agent(concat!("bursard/", env!("CARGO_PKG_VERSION")))
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(settings.connect_timeout)
                .timeout(settings.total_timeout)
                .pool_idle_timeout(IDLE)
                .pool_max_idle_per_host(PER_HOST_MAX)
        };
        let (outside, rootless) = trusting(builder, &extra, settings)?;
        let direct = || builder().no_proxy().resolve_to_addrs("localhost", &localhost);
        let (loopback, _) = trusting(direct, &extra, settings)?;
        Ok(Self { outside, loopback, rootless, settings: settings.clone(), hosts: Hosts::default() })
    }

    /// Waits for a turn at the host of `url`; only then is it time to look at the clock.
    pub(super) async fn turn(&self, url: &Url, clock: &dyn Clock) -> Turn {
        let place = self.hosts.enter(url).await;
        Turn { began_at: clock.now(), _place: place }
    }

    /// Sends a token request and judges its answer.
    pub(super) async fn token(&self, turn: &Turn, request: TokenRequest<'_>) -> Result<Granted, Failure> {
        let TokenRequest { url, form, sent, authorization, mark } = request;
        let (body, left): (reqwest::Body, _) = match mark {
            None => (form.body().to_owned().into(), None),
            Some(mark) => {
                let (body, left) = Marked::new(form.body().to_owned(), mark);
                (reqwest::Body::wrap(body), Some(left))
            }
        };
        let reach = || {
            let left = left.as_ref().is_none_or(|left| left.load(Ordering::Acquire));
            if left { Reach::Unanswered } else { Reach::Unsent }
        };
        let client = if is_loopback(url) { &self.loopback } else { &self.outside };
        let mut request = client
            .post(url.clone())
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body);
        if let Some(mut header) = authorization.and_then(|text| HeaderValue::from_str(text).ok()) {
            header.set_sensitive(true);
            request = request.header(AUTHORIZATION, header);
        }
        let broken = |failure: Failure| Failure { reach: reach(), ..failure };
        let mut response = request.send().await.map_err(|error| broken(self.unreachable(url, &error)))?;
        let body = self.body(url, &mut response).await.map_err(broken)?;
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        wire::judge(
            &Answer { sent_at: turn.began_at, status: response.status().as_u16(), content_type, body: &body },
            &sent,
        )
    }

    async fn body(&self, url: &Url, response: &mut Response) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let mut body = Zeroizing::new(Vec::new());
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(url, &error))? {
            if body.len() + chunk.len() > ANSWER_MAX {
                let status = response.status().as_u16();
                let details = format!(
                    "the issuer's answer (HTTP {status}) is over 1 MiB; hint: check that token_url is the token endpoint"
                );
                return Err(Failure::new(Cause::Transient, details));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn unreachable(&self, url: &Url, error: &reqwest::Error) -> Failure {
        let host = host_name(url);
        if find::<NotMarked>(error).is_some() {
            let details = "the agent could not keep that it asks the issuer, so it did not ask; hint: see to the disk and the agent's log";
            return Failure::new(Cause::Transient, details);
        }
        Failure::new(
            Cause::Unreachable,
            format!("the issuer at {host} was not reached: {}", self.reason(error)),
        )
    }

    /// What broke, in our own words.
    fn reason(&self, error: &reqwest::Error) -> String {
        if error.is_timeout() {
            return if error.is_connect() {
                format!(
                    "no connection within {:?}; hint: check network and proxy",
                    self.settings.connect_timeout
                )
            } else {
                format!("no complete answer within {:?}; hint: wait", self.settings.total_timeout)
            };
        }
        if let Some(fault) = find::<rustls::Error>(error) {
            return format!("tls failed: {}", self.tls_reason(fault));
        }
        // the resolver's and the tunnel's own types are private; their first words are fixed
        let says = |words: &str| chain(error).any(|cause| cause.to_string().starts_with(words));
        if says("dns error") {
            return "its name is not known; hint: check token_url, network and proxy".to_owned();
        }
        if says("tunnel error") {
            return "the proxy made no connection; hint: check the proxy variables".to_owned();
        }
        match find::<io::Error>(error) {
            Some(fault) => format!("{}; hint: check token_url, network and proxy", fault.kind()),
            None if error.is_connect() => {
                "no connection; hint: check token_url, network and proxy".to_owned()
            }
            None => "the connection broke off, or it does not speak http; hint: check token_url".to_owned(),
        }
    }

    fn tls_reason(&self, fault: &rustls::Error) -> &'static str {
        use rustls::CertificateError as Bad;
        let rustls::Error::InvalidCertificate(bad) = fault else {
            return "the two ends do not agree; hint: check that token_url is an https address";
        };
        match bad {
            Bad::UnknownIssuer if self.rootless => {
                "this system has no root certificates; hint: install ca-certificates, or set SSL_CERT_FILE"
            }
            Bad::UnknownIssuer => {
                "its certificate comes of no authority that is trusted here; hint: name that authority's certificate as http.extra_ca_file in bursar.toml"
            }
            Bad::Expired | Bad::ExpiredContext { .. } => {
                "its certificate has expired; hint: ask whoever runs the issuer"
            }
            Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
                "its certificate is not valid yet; hint: check the clock of this machine"
            }
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => {
                "its certificate is for another name; hint: check token_url"
            }
            Bad::Revoked => "its certificate was revoked; hint: ask whoever runs the issuer",
            _ => "its certificate is not acceptable; hint: ask whoever runs the issuer",
        }
    }
}

/// A client that trusts the system's roots and `extra`, and whether it trusts none at all.
fn trusting(
    builder: impl Fn() -> ClientBuilder,
    extra: &[Certificate],
    settings: &HttpSettings,
) -> Result<(Client, bool), StartError> {
    match (builder().tls_certs_merge(extra.iter().cloned()).build(), &settings.extra_ca_file) {
        (Ok(client), _) => Ok((client, false)),
        (Err(_), Some(file)) => Err(StartError::CaContent(file.clone())),
        // most likely the system has no root store; http to loopback must work all the same
        (Err(_), None) => {
            let client = builder().tls_certs_only([]).build().map_err(StartError::Client)?;
            Ok((client, true))
        }
    }
}

fn extra_roots(settings: &HttpSettings) -> Result<Vec<Certificate>, StartError> {
    use io::Read as _;
    let Some(path) = &settings.extra_ca_file else { return Ok(Vec::new()) };
    let mut pem = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(CA_FILE_MAX + 1).read_to_end(&mut pem))
        .map_err(|error| StartError::CaFile(path.clone(), error))?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(roots) if !roots.is_empty() && pem.len() as u64 <= CA_FILE_MAX => Ok(roots),
        _ => Err(StartError::CaContent(path.clone())),
    }
}

/// An error and what it stems from.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| match error.downcast_ref::<io::Error>() {
        // an io error shows its inner error's source, and not the inner error itself
        Some(io) => io.get_ref().map(|inner| inner as &(dyn Error + 'static)),
        None => error.source(),
    })
}

fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    chain(error).find_map(|cause| cause.downcast_ref())
}

/// Who is at which token host. A host is forgotten with its last exchange.
#[derive(Default)]
struct Hosts(Arc<Mutex<HashMap<String, Arc<Semaphore>>>>);

impl Hosts {
    /// Waits for one of the places at the host of `url`, first come first served.
    async fn enter(&self, url: &Url) -> Place {
        let port = url.port_or_known_default().unwrap_or_default();
        let host = format!("{}:{port}", url.host_str().unwrap_or_default());
        let semaphore = {
            let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(hosts.entry(host.clone()).or_insert_with(|| Arc::new(Semaphore::new(PER_HOST_MAX))))
        };
        let mut place = Place { hosts: Arc::clone(&self.0), host, semaphore, permit: None };
        // it is never closed, so there is always a permit in the end
        let permit: Result<_, AcquireError> = Arc::clone(&place.semaphore).acquire_owned().await;
        place.permit = permit.ok();
        place
    }
}

/// The right to ask a token host now.
pub(super) struct Turn {
    /// When it began.
    pub(super) began_at: Timestamp,
    _place: Place,
}

/// A place at a token host, or in the queue for one.
struct Place {
    hosts: Arc<Mutex<HashMap<String, Arc<Semaphore>>>>,
    host: String,
    semaphore: Arc<Semaphore>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.permit = None;
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        // the map's and ours; every other holder took its own under this lock
        if Arc::strong_count(&self.semaphore) == 2 {
            hosts.remove(&self.host);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::Poll;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[tokio::test]
    async fn a_fifth_exchange_waits_and_a_host_is_forgotten() {
        let hosts = Hosts::default();
        let (here, there) = (url("https://a.example/x"), url("https://b.example/"));
        let mut places = Vec::new();
        for _ in 0..PER_HOST_MAX {
            places.push(hosts.enter(&here).await);
        }
        let other = hosts.enter(&there).await;
        {
            let mut fifth = pin!(hosts.enter(&here));
            let waits = poll_fn(|task| Poll::Ready(fifth.as_mut().poll(task).is_pending())).await;
            assert!(waits);
            places.pop();
            places.push(fifth.await);
        }
        drop((places, other));
        assert!(hosts.0.lock().unwrap().is_empty());
    }

    #[test]
    fn a_ca_file_must_hold_certificates() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "no pem").unwrap();
        let settings = |path: PathBuf| HttpSettings {
            connect_timeout: Duration::from_secs(1),
            total_timeout: Duration::from_secs(1),
            extra_ca_file: Some(path),
        };
        let refused = |path: PathBuf| Http::new(&settings(path)).err().unwrap().to_string();
        assert!(refused(file.path().to_owned()).contains("holds no usable certificate"));
        assert!(refused("/nowhere/ca.pem".into()).contains("cannot be read"));
    }
}
