//! The socket as a stranger sees it: bytes out, lines in, and calls as plain JSON.
//!
//! It shares no code with the daemon's own client, so that a fault in that one shows.

use crate::patience::PATIENCE;
use serde_json::{Value, json};
use std::fmt;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a call answers.
pub type Answer = Result<Value, Refused>;

/// An error as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// `data.name`.
    pub name: String,
    /// `code`.
    pub code: i64,
    /// `message`.
    pub message: String,
    /// `data.hint`, empty where null.
    pub hint: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {} / hint: {}", self.name, self.code, self.message, self.hint)
    }
}

/// A connection.
#[derive(Debug)]
pub struct RawSocket {
    stream: BufReader<UnixStream>,
    next_id: u64,
}

impl RawSocket {
    /// Connects.
    ///
    /// # Errors
    /// The system's.
    pub fn connect(path: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream: BufReader::new(stream), next_id: 1 })
    }

    /// Bounds how long a read may take.
    pub fn read_timeout(&self, limit: Duration) {
        self.stream.get_ref().set_read_timeout(Some(limit)).expect("a limit above zero");
    }

    /// Bounds how long a write may take.
    pub fn write_timeout(&self, limit: Duration) {
        self.stream.get_ref().set_write_timeout(Some(limit)).expect("a limit above zero");
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// The peer has closed.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes.as_ref())
    }

    /// Says that nothing more will come.
    pub fn finish(&self) {
        self.stream.get_ref().shutdown(std::net::Shutdown::Write).expect("an open connection");
    }

    /// The next line; `None` when the peer has closed.
    pub fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(line),
            Err(error)
                if matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) =>
            {
                None
            }
            Err(error) => panic!("no line came: {error}"),
        }
    }

    /// The next line as JSON.
    #[track_caller]
    pub fn json(&mut self) -> Value {
        let line = self.line().expect("an answer, but the daemon closed the connection");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("no json ({error}): {line}"))
    }

    /// Sends a call, without waiting for its answer; answers its id.
    pub fn ask(&mut self, method: &str, params: &Value) -> u64 {
        self.ask_quietly(method, params).expect("the daemon reads")
    }

    /// The same towards a daemon that may have closed.
    ///
    /// # Errors
    /// It has.
    pub fn ask_quietly(&mut self, method: &str, params: &Value) -> io::Result<u64> {
        let id = self.next_id;
        self.next_id += 1;
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        self.send(format!("{request}\n"))?;
        Ok(id)
    }

    /// Makes a call and waits for its answer; notifications are passed over.
    pub fn call(&mut self, method: &str, params: Value) -> Answer {
        let id = self.ask(method, &params);
        loop {
            let line = self.json();
            // an error that says the connection may not go on has no id
            if line["id"] == id || !line["error"].is_null() {
                return answer(line);
            }
        }
    }
}

/// Splits an answer line.
pub fn answer(mut line: Value) -> Answer {
    assert_eq!(line["jsonrpc"], "2.0", "{line}");
    if line["error"].is_null() {
        return Ok(line["result"].take());
    }
    let error = &line["error"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Err(Refused {
        name: text(&error["data"]["name"]),
        code: error["code"].as_i64().expect("an error has a code"),
        message: text(&error["message"]),
        hint: text(&error["data"]["hint"]),
    })
}

/// The instant in an attribute, in seconds since 1970.
pub fn seconds(value: &Value) -> i64 {
    let text = value.as_str().unwrap_or_else(|| panic!("no instant: {value}"));
    text.parse::<bursar_proto::time::Timestamp>().expect("an instant").seconds()
}

/// Now, in seconds since 1970.
pub fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    now.as_secs().try_into().expect("seconds")
}
