//! An issuer on loopback that does as it is told: a token endpoint with a queue of replies, and a memory.
//!
//! Every connection takes one request and is closed. Threads end with the value: whoever hangs looks up now
//! and then.

use crate::keys::{PrivateCa, private_ca};
use crate::patience::{until, within};
use rustls::{ServerConnection, StreamOwned};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

/// How long a connection may stay silent, and a hanging or endless reply may last at most.
const LIMIT: Duration = Duration::from_mins(1);

/// The largest request that is read, in bytes.
const REQUEST_MAX: usize = 256 * 1024;

/// What the issuer does with one request.
#[derive(Debug, Clone)]
pub enum Reply {
    /// A token that lives so many seconds; a new one each time.
    Grant(u64),
    /// Any status, content type and body.
    Answer(u16, &'static str, String),
    /// A JSON body with a status.
    Json(u16, &'static str),
    /// A redirect to this address.
    Redirect(String),
    /// A token in a body that goes on for ever.
    Endless,
    /// A JSON body of so many bytes, well-formed.
    Huge(usize),
    /// Closes without a word.
    Drop,
    /// Says nothing until the issuer is dropped.
    Hang,
    /// Grants when [`FaultIssuer::release`] is called.
    Held(u64),
}

/// One request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    /// Path and query.
    pub target: String,
    /// Headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The form's fields.
    pub form: BTreeMap<String, String>,
}

#[derive(Debug)]
struct State {
    queue: Mutex<VecDeque<Reply>>,
    default: Mutex<Reply>,
    requests: Mutex<Vec<Request>>,
    tokens: AtomicUsize,
    present: AtomicUsize,
    most: AtomicUsize,
    released: AtomicBool,
    ended: AtomicBool,
}

/// The issuer.
pub struct FaultIssuer {
    state: Arc<State>,
    port: u16,
    ca: Option<PrivateCa>,
}

impl FaultIssuer {
    /// An issuer over plain HTTP that answers `default` where nothing is queued.
    pub fn new(default: Reply) -> Self {
        Self::serve(default, None)
    }

    /// An issuer over TLS with a certificate of a private CA; see [`Self::ca_pem`].
    pub fn over_tls(default: Reply) -> Self {
        Self::serve(default, Some(private_ca()))
    }

    fn serve(default: Reply, ca: Option<PrivateCa>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
        let port = listener.local_addr().expect("a bound listener").port();
        let state = Arc::new(State {
            queue: Mutex::default(),
            default: Mutex::new(default),
            requests: Mutex::default(),
            tokens: AtomicUsize::new(0),
            present: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            released: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        });
        let tls = ca.as_ref().map(|ca| Arc::clone(&ca.server));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.ended.load(Ordering::SeqCst) {
                    return;
                }
                let (state, tls) = (Arc::clone(&shared), tls.clone());
                thread::spawn(move || {
                    let _ = stream.set_read_timeout(Some(LIMIT));
                    let _ = stream.set_write_timeout(Some(LIMIT));
                    // a client that hangs up or mistrusts the certificate is no fault of the issuer
                    let _ = match tls.map(ServerConnection::new) {
                        None => state.handle(stream),
                        Some(tls) => state.handle(StreamOwned::new(tls.expect("a tls session"), stream)),
                    };
                });
            }
        });
        Self { state, port, ca }
    }

    /// Its token endpoint.
    pub fn token_url(&self) -> String {
        let scheme = if self.ca.is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}/token", self.port)
    }

    /// The certificate of its private CA.
    pub fn ca_pem(&self) -> &str {
        &self.ca.as_ref().expect("an issuer over tls").pem
    }

    /// Queues one reply.
    pub fn then(&self, reply: Reply) -> &Self {
        lock(&self.state.queue).push_back(reply);
        self
    }

    /// Changes what it answers where nothing is queued.
    pub fn from_now_on(&self, reply: Reply) {
        *lock(&self.state.default) = reply;
    }

    /// Lets every [`Reply::Held`] go.
    pub fn release(&self) {
        self.state.released.store(true, Ordering::SeqCst);
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.state.requests).clone()
    }

    /// How many requests came so far.
    pub fn count(&self) -> usize {
        lock(&self.state.requests).len()
    }

    /// Waits until `count` requests have come.
    pub fn until_count(&self, count: usize) {
        until("the issuer is asked", || (self.count() >= count).then_some(()));
    }

    /// The most requests that were under way at one moment.
    pub fn most_at_once(&self) -> usize {
        self.state.most.load(Ordering::SeqCst)
    }
}

impl Drop for FaultIssuer {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::SeqCst);
        // wakes the listener, which then sees that it is over
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl State {
    fn handle(&self, mut stream: impl Read + Write) -> io::Result<()> {
        let Some(request) = read_request(&mut stream)? else { return Ok(()) };
        lock(&self.requests).push(request);
        let present = self.present.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(present, Ordering::SeqCst);
        let queued = lock(&self.queue).pop_front();
        let reply = queued.unwrap_or_else(|| lock(&self.default).clone());
        let done = self.reply(&mut stream, reply);
        self.present.fetch_sub(1, Ordering::SeqCst);
        done
    }

    fn reply(&self, stream: &mut impl Write, reply: Reply) -> io::Result<()> {
        let json = "application/json";
        match reply {
            Reply::Grant(lifetime) => answer(stream, 200, json, &self.grant(lifetime)),
            Reply::Answer(status, kind, body) => answer(stream, status, kind, &body),
            Reply::Json(status, body) => answer(stream, status, json, body),
            Reply::Redirect(to) => {
                write!(stream, "HTTP/1.1 307 x\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n")
            }
            Reply::Huge(bytes) => {
                let padding = "x".repeat(bytes);
                let body = format!(r#"{{"access_token":"huge","expires_in":90000,"padding":"{padding}"}}"#);
                answer(stream, 200, json, &body)
            }
            Reply::Endless => {
                write!(stream, "HTTP/1.1 200 x\r\ncontent-type: {json}\r\n\r\n{{\"access_token\":\"")?;
                let chunk = vec![b'x'; 64 * 1024];
                within(LIMIT, || {
                    let over = self.ended.load(Ordering::SeqCst);
                    if over { Some(Ok(())) } else { stream.write_all(&chunk).err().map(Err) }
                })
                .unwrap_or(Ok(()))
            }
            Reply::Drop => Ok(()),
            Reply::Hang => {
                within(LIMIT, || self.ended.load(Ordering::SeqCst).then_some(()));
                Ok(())
            }
            Reply::Held(lifetime) => {
                let either = || self.released.load(Ordering::SeqCst) || self.ended.load(Ordering::SeqCst);
                within(LIMIT, || either().then_some(()));
                answer(stream, 200, json, &self.grant(lifetime))
            }
        }?;
        stream.flush()
    }

    fn grant(&self, lifetime: u64) -> String {
        let number = self.tokens.fetch_add(1, Ordering::SeqCst) + 1;
        format!(r#"{{"access_token":"granted-{number}","token_type":"Bearer","expires_in":{lifetime}}}"#)
    }
}

fn answer(stream: &mut impl Write, status: u16, kind: &str, body: &str) -> io::Result<()> {
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status} x\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    )?;
    stream.write_all(body.as_bytes())
}

fn read_request(stream: &mut impl Read) -> io::Result<Option<Request>> {
    let mut bytes = Vec::new();
    let mut chunk = [0_u8; 4096];
    let head = loop {
        if let Some(at) = bytes.windows(4).position(|end| end == b"\r\n\r\n") {
            break at;
        }
        match stream.read(&mut chunk)? {
            0 => return Ok(None),
            read => bytes.extend_from_slice(&chunk[..read]),
        }
        assert!(bytes.len() <= REQUEST_MAX, "the daemon sent too large a request");
    };
    let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
    let mut lines = text.lines();
    let target = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default().to_owned();
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length: usize = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = bytes.split_off(head + 4);
    while body.len() < length.min(REQUEST_MAX) {
        match stream.read(&mut chunk)? {
            0 => return Ok(None),
            read => body.extend_from_slice(&chunk[..read]),
        }
    }
    Ok(Some(Request { target, headers, form: form(&String::from_utf8_lossy(&body)) }))
}

/// The fields of a form, or of a query.
pub fn form(body: &str) -> BTreeMap<String, String> {
    body.split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (unescape(name), unescape(value)))
        .collect()
}

/// Undoes `application/x-www-form-urlencoded`.
pub fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next().unwrap_or(b'0'), rest.next().unwrap_or(b'0')];
                u8::from_str_radix(&String::from_utf8_lossy(&digits), 16).expect("two hex digits")
            }
            byte => byte,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
