//! The listener on loopback on which browsers come back. Whatever is no redirect learns nothing here.
//!
//! HTTP is hyper's; what is served is two paths: the redirect, which is answered by sending the browser on to an address
//! without a code in it, and that page.

use super::connections::Connections;
use super::page::{self, Page};
use super::{Authorizations, CALLBACK, Redirect, ended, peer};
use crate::agent::Agent;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, LOCATION,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// How long a client may take for its head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the last page is waited for: more than an exchange takes by its usual limits, less than browsers do.
const PAGE_WAIT: Duration = Duration::from_secs(100);

/// How long a connection may last: the head, the wait, and the page.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(150);

/// The most bytes of a head: what browsers send has two or three thousand, and a redirect's address some more.
const HEAD_MAX: usize = 16 * 1024;

/// The most headers of a request; browsers send some twenty.
const HEADERS_MAX: usize = 64;

/// The longest sleep: a clock that jumps is noticed that soon.
const NAP: Duration = Duration::from_secs(30);

/// The pause after a connection that could not be taken: too many open files, most often.
const PAUSE: Duration = Duration::from_millis(100);

/// The path of the last page, before its name.
const RESULT: &str = "/oauth2/result/";

/// Serves until no authorization needs it, or the daemon stops.
pub(super) async fn run(agent: Arc<Agent>, mut listener: TcpListener, port: u16) {
    let mut connections = Connections::default();
    tracing::info!(port, "listening on loopback for a person's authorization");
    loop {
        let now = agent.clock.now();
        let Some((kept, until)) = agent.authorizations.close_idle(listener, now) else {
            tracing::info!(port, "nobody authorizes any more; the listener is closed");
            return;
        };
        listener = kept;
        let nap = Duration::from_secs(u64::try_from(until.since(now).max(1)).unwrap_or(1)).min(NAP);
        tokio::select! {
            () = agent.shutdown.cancelled() => return,
            () = agent.authorizations.bell.notified() => {}
            () = tokio::time::sleep(nap) => {}
            accepted = listener.accept() => match accepted {
                // without a place it is dropped: the client sees a closed connection
                Ok((stream, client)) => if let Some(place) = connections.enter() {
                    let agent = agent.clone();
                    agent.clone().tasks.spawn(async move {
                        let shutdown = agent.shutdown.clone();
                        tokio::select! {
                            () = serve(agent, stream, client, port, place.heard.clone()) => {}
                            () = place.over.cancelled() => {}
                            () = shutdown.cancelled() => {}
                        }
                        place.over.cancel();
                    });
                    // what it has said already is read before others can take its place
                    tokio::task::yield_now().await;
                },
                Err(error) => {
                    tracing::debug!(reason = %error, "a connection was not taken");
                    tokio::time::sleep(PAUSE).await;
                }
            },
        }
    }
}

async fn serve(agent: Arc<Agent>, stream: TcpStream, client: SocketAddr, port: u16, heard: Arc<AtomicBool>) {
    if !client.ip().is_loopback() {
        return;
    }
    let service = service_fn(|request| {
        heard.store(true, Ordering::Release);
        let agent = agent.clone();
        async move { Ok::<_, Infallible>(answer(&agent, &request, client, port).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_MAX)
        .max_headers(HEADERS_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // a client that is slow, leaves or talks rubbish is no news
    let _ = tokio::time::timeout(CONNECTION_TIMEOUT, connection).await;
}

async fn answer(
    agent: &Arc<Agent>,
    request: &Request<Incoming>,
    client: SocketAddr,
    port: u16,
) -> Response<Full<Bytes>> {
    if request.uri().authority().is_some() {
        // for a proxy, which this is not
        return plain(StatusCode::BAD_REQUEST);
    }
    if !is_navigation(request.headers(), port) {
        return plain(StatusCode::FORBIDDEN);
    }
    let path = request.uri().path();
    let result = path.strip_prefix(RESULT);
    if path != CALLBACK && result.is_none() {
        return plain(StatusCode::NOT_FOUND);
    }
    if request.method() != Method::GET {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED);
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
        return response;
    }
    match result {
        Some(result) => match last_page(agent, result).await {
            Some(page) => whole(StatusCode::OK, &page),
            None => plain(StatusCode::NOT_FOUND),
        },
        None => callback(agent, request.uri().query().unwrap_or_default(), client, port).await,
    }
}

/// Whether this is a browser on its way, to this address: no script, image or frame of another site, and no name that merely
/// resolves to this machine. Headers of the fetch metadata standard are taken at their word where they are there.
fn is_navigation(headers: &HeaderMap, port: u16) -> bool {
    let own = format!("{}:{port}", Ipv4Addr::LOCALHOST);
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next().is_some_and(|host| host.as_bytes() == own.as_bytes()) && hosts.next().is_none();
    let says = |name: &str, word: &str| {
        headers.get_all(name).iter().all(|value| value.as_bytes() == word.as_bytes())
    };
    host && says("sec-fetch-mode", "navigate") && says("sec-fetch-dest", "document")
}

/// Takes a redirect, and sends the browser on to an address that holds nothing of it.
async fn callback(agent: &Arc<Agent>, query: &str, client: SocketAddr, port: u16) -> Response<Full<Bytes>> {
    let Ok(redirect) = Redirect::parse(query) else {
        return whole(StatusCode::BAD_REQUEST, &page::unknown());
    };
    // most of what is no redirect ends here, before tables are read that may be long
    if agent.authorizations.asker(redirect.state.expose()).is_none() {
        return whole(StatusCode::BAD_REQUEST, &page::unknown());
    }
    let user = match tokio::task::spawn_blocking(move || peer::user_of(client, port)).await {
        Ok(Ok(user)) => user,
        Ok(Err(error)) => {
            tracing::warn!(reason = %error, "the kernel does not tell whose browser came back");
            None
        }
        Err(_) => None,
    };
    match agent.land(redirect, user, None) {
        Ok((result, _)) => {
            let mut response = whole(StatusCode::SEE_OTHER, &page::on_the_way());
            if let Ok(location) = HeaderValue::from_str(&format!("{RESULT}{result}")) {
                response.headers_mut().insert(LOCATION, location);
            }
            response
        }
        Err(refused) => whole(StatusCode::BAD_REQUEST, &page::refused(&refused)),
    }
}

/// The page that says how it went, once that is known.
async fn last_page(agent: &Arc<Agent>, result: &str) -> Option<Page> {
    let authorizations: &Authorizations = &agent.authorizations;
    let (secret, over) = authorizations.result(result)?;
    if let Some(over) = over
        && tokio::time::timeout(PAGE_WAIT, ended(over)).await.is_err()
    {
        return Some(page::on_the_way());
    }
    authorizations.shown(result, agent.clock.now());
    Some(page::outcome(&agent.authorized(&secret)))
}

fn plain(status: StatusCode) -> Response<Full<Bytes>> {
    let text = format!("{}\n", status.canonical_reason().unwrap_or("no").to_lowercase());
    response(status, "text/plain; charset=utf-8", text)
}

fn whole(status: StatusCode, page: &Page) -> Response<Full<Bytes>> {
    response(status, "text/html; charset=utf-8", page.html())
}

fn response(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(policy) = HeaderValue::from_str(page::policy()) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_browser_on_its_way_to_this_very_address_is_heard() {
        let heard = |lines: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(*name, HeaderValue::from_static(value));
            }
            is_navigation(&headers, 4711)
        };
        let own = ("host", "127.0.0.1:4711");
        assert!(heard(&[own]));
        assert!(heard(&[own, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")]));
        for other in [
            &[("host", "localhost:4711")] as &[_],
            &[],
            &[own, own],
            &[own, ("host", "evil.example")],
            &[("host", "127.0.0.1")],
            &[own, ("sec-fetch-mode", "no-cors")],
            &[own, ("sec-fetch-mode", "cors")],
            &[own, ("sec-fetch-mode", "navigate"), ("sec-fetch-mode", "cors")],
            &[own, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")],
        ] {
            assert!(!heard(other), "{other:?}");
        }
    }
}
