//! The neighbour that is fastest: redis, which syncs every write. It takes part where `redis-server` is
//! installed.

use crate::agent::token;
use bursar_tests::{Home, until};
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// The key that the token lies under.
const KEY: &str = "personal/bench-000042";

/// A running redis; it ends with the value.
pub(crate) struct Redis {
    child: Child,
    socket: PathBuf,
}

impl Redis {
    /// Starts one in `home` with the token in it; `None` where it is not installed.
    pub(crate) fn start(home: &Home) -> Option<Self> {
        let socket = home.path().join("redis.sock");
        let child = Command::new("redis-server")
            .args(["--port", "0", "--appendonly", "yes", "--appendfsync", "always", "--save", "", "--dir"])
            .arg(home.path())
            .arg("--unixsocket")
            .arg(&socket)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .ok()?;
        let redis = Self { child, socket };
        let mut stream = until("redis listens", || UnixStream::connect(&redis.socket).ok());
        stream.write_all(&Self::set()).expect("redis reads");
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).expect("redis answers");
        assert_eq!(&answer, b"+OK\r\n", "redis did not take the token");
        Some(redis)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.socket.clone()
    }

    /// A get of the token, and the length of its answer of two lines.
    pub(crate) fn get() -> (Vec<u8>, usize) {
        let token = token();
        (format!("GET {KEY}\r\n").into_bytes(), format!("${}\r\n{token}\r\n", token.len()).len())
    }

    /// A write of the token, which one line answers.
    pub(crate) fn set() -> Vec<u8> {
        format!("SET {KEY} {}\r\n", token()).into_bytes()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
