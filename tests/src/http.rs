//! HTTP as a stranger speaks it: one request on a connection of its own, and no cleverness.

use crate::fault::form;
use crate::patience::PATIENCE;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::TcpStream;

/// An answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The headers, names in lower case, in their order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Response {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

/// Asks for `url`, which must be answered; follows nothing.
#[track_caller]
pub fn get(url: &str) -> Response {
    send("GET", url, &[], None).unwrap_or_else(|error| panic!("{url}: {error}"))
}

/// Posts `form`, which must be answered; follows nothing.
#[track_caller]
pub fn post(url: &str, form: &str) -> Response {
    send("POST", url, &[], Some(form)).unwrap_or_else(|error| panic!("{url}: {error}"))
}

/// Asks for `url` as a browser does: goes where it is sent. Answers where that ended, and what stood there.
#[track_caller]
pub fn visit(url: &str) -> (String, Response) {
    let mut url = url.to_owned();
    loop {
        let answer = get(&url);
        match answer.header("location") {
            Some(location) => url = join(&url, location),
            None => return (url, answer),
        }
    }
}

/// Sends one request; a header `host` stands in for the one of `url`.
///
/// # Errors
/// Nobody listens, or the connection ended before the answer did.
pub fn send(method: &str, url: &str, headers: &[(&str, &str)], form: Option<&str>) -> io::Result<Response> {
    let (authority, target) = split(url);
    let mut stream = TcpStream::connect(authority)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut head = vec![format!("{method} {target} HTTP/1.1"), "connection: close".into()];
    if !headers.iter().any(|(name, _)| *name == "host") {
        head.push(format!("host: {authority}"));
    }
    head.extend(headers.iter().map(|(name, value)| format!("{name}: {value}")));
    if let Some(form) = form {
        head.push("content-type: application/x-www-form-urlencoded".into());
        head.push(format!("content-length: {}", form.len()));
    }
    let request = format!("{}\r\n\r\n{}", head.join("\r\n"), form.unwrap_or_default());
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    parse(&answer).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// The parameters in the query of `url`.
pub fn parameters(url: &str) -> BTreeMap<String, String> {
    form(url.split_once('?').map_or("", |(_, query)| query))
}

/// `application/x-www-form-urlencoded`, of anything.
pub fn escape(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

/// Where `location` leads from `base`.
pub fn join(base: &str, location: &str) -> String {
    if location.starts_with('/') {
        format!("http://{}{location}", split(base).0)
    } else {
        location.to_owned()
    }
}

/// Authority and target of an absolute `http` address.
fn split(url: &str) -> (&str, &str) {
    let rest = url.strip_prefix("http://").unwrap_or_else(|| panic!("no http address: {url}"));
    let end = rest.find('/').unwrap_or(rest.len());
    (&rest[..end], if end == rest.len() { "/" } else { &rest[end..] })
}

fn parse(answer: &[u8]) -> Option<Response> {
    let end = answer.windows(4).position(|end| end == b"\r\n\r\n")?;
    let (head, body) = (String::from_utf8_lossy(&answer[..end]), &answer[end + 4..]);
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let response = Response { status, headers, body: String::from_utf8_lossy(body).into_owned() };
    assert!(response.header("transfer-encoding").is_none(), "a body in chunks is not read here");
    match response.header("content-length").map(str::parse::<usize>) {
        Some(length) if length != Ok(body.len()) => None, // cut off
        _ => Some(response),
    }
}
