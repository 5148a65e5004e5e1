//! Runs of `bursar`: a clean environment, a time limit, what came out.

use crate::binaries::binaries;
use crate::home::Home;
use crate::patience::{PATIENCE, within};
use serde_json::Value;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread;

/// A finished run.
#[derive(Debug)]
pub struct Run {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// `bursar` in `home`, not started yet; it keeps nothing of the environment but the path.
pub fn command(home: &Home, arguments: &[&str]) -> Command {
    let mut command = Command::new(&binaries().bursar);
    command
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("BURSAR_HOME", home.path())
        .current_dir(home.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

impl Run {
    pub(crate) fn new(home: &Home, arguments: &[&str], input: Option<&str>) -> Self {
        Self::finish(command(home, arguments).spawn().expect("bursar starts"), input)
    }

    /// Runs a command whose outputs are pipes.
    pub fn of(command: &mut Command) -> Self {
        Self::finish(command.spawn().expect("a program starts"), None)
    }

    /// Waits for `child`, whose outputs are pipes.
    pub fn finish(mut child: Child, input: Option<&str>) -> Self {
        let input = input.unwrap_or_default().to_owned();
        if let Some(mut stdin) = child.stdin.take() {
            // a run that does not read its input leaves a broken pipe, which is its right
            thread::spawn(move || stdin.write_all(input.as_bytes()));
        }
        let out = read_all(child.stdout.take().expect("stdout is a pipe"));
        let err = read_all(child.stderr.take().expect("stderr is a pipe"));
        let Some(status) = within(PATIENCE, || child.try_wait().expect("our own child")) else {
            child.kill().expect("our own child");
            panic!("bursar did not end within {PATIENCE:?}");
        };
        let text = |reader: thread::JoinHandle<Vec<u8>>| {
            String::from_utf8_lossy(&reader.join().expect("a reader")).into_owned()
        };
        Self { code: status.code().unwrap_or(-1), out: text(out), err: text(err) }
    }

    /// The run, which must have succeeded.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "stdout: {}\nstderr: {}", self.out, self.err);
        self
    }

    /// The one JSON document on standard output.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|error| panic!("no json ({error}): {}\nstderr: {}", self.out, self.err))
    }

    /// The error object on standard error of a run with `--json`.
    #[track_caller]
    pub fn json_error(&self) -> Value {
        let document: Value = serde_json::from_str(&self.err)
            .unwrap_or_else(|error| panic!("no json on stderr ({error}): {}", self.err));
        document["error"].clone()
    }
}

fn read_all(mut from: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut all = Vec::new();
        from.read_to_end(&mut all).expect("a pipe reads to its end");
        all
    })
}
