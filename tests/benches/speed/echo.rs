//! The floor of serving: a bare single-threaded line server that answers every line with the same bytes, and
//! knows no JSON, no secrets and no limits. It runs as a process of its own, which is this binary again.

use crate::machine;
use bursar_tests::until;
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

/// Makes this binary an echo server: then come the socket's path and the length of an answer.
pub(crate) const FLAG: &str = "--echo";

/// How much is read at once, in bytes; as in the daemon.
const READ: usize = 16 * 1024;

/// A running echo server; it ends with the value.
pub(crate) struct Echo {
    child: Child,
    socket: PathBuf,
}

impl Echo {
    /// Starts one that answers with lines of `length` bytes, and waits until it listens.
    pub(crate) fn start(directory: &Path, length: usize) -> Self {
        let echo = Self::spawn(directory, length);
        until("the echo server listens", || BlockingStream::connect(&echo.socket).ok());
        echo
    }

    /// Starts one, and does not wait.
    pub(crate) fn spawn(directory: &Path, length: usize) -> Self {
        machine::free();
        let socket = directory.join("echo.sock");
        let child = Command::new(std::env::current_exe().expect("a process knows its own path"))
            .arg(FLAG)
            .arg(&socket)
            .arg(length.to_string())
            .stdin(Stdio::null())
            .spawn()
            .expect("we start once more");
        Self { child, socket }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.socket);
    }
}

/// The server itself.
pub(crate) fn serve(arguments: &mut impl Iterator<Item = String>) {
    let socket = arguments.next().expect("the path of a socket");
    let length: usize = arguments.next().and_then(|length| length.parse().ok()).expect("a length");
    let mut line = vec![b'x'; length - 1];
    line.push(b'\n');
    let line: Arc<[u8]> = line.into();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
    runtime.block_on(async {
        let listener = UnixListener::bind(socket).expect("a free path");
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            runtime.spawn(answer(stream, line.clone()));
        }
    });
}

async fn answer(mut stream: UnixStream, line: Arc<[u8]>) {
    let mut input = vec![0; READ];
    let mut output = Vec::new();
    while let Ok(read @ 1..) = stream.read(&mut input).await {
        for _ in input[..read].iter().filter(|byte| **byte == b'\n') {
            output.extend_from_slice(&line);
        }
        if stream.write_all(&output).await.is_err() {
            return;
        }
        output.clear();
    }
}
