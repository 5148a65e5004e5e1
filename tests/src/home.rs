//! A directory of its own as `BURSAR_HOME`: config, socket, store, log, key file.

use crate::cli::Run;
use crate::daemon::{Daemon, END};
use crate::patience::{PATIENCE, within};
use crate::raw::{Answer, RawSocket};
use bursar_proto::client::Client;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A home. The directory goes when it is dropped.
#[derive(Debug)]
pub struct Home {
    dir: TempDir,
}

impl Default for Home {
    fn default() -> Self {
        Self::new()
    }
}

impl Home {
    /// A fresh home, with a short path: the path of a socket is limited.
    pub fn new() -> Self {
        Self::below("/tmp")
    }

    /// The same in memory, where files may be rendered.
    pub fn in_memory() -> Self {
        Self::below("/dev/shm")
    }

    fn below(parent: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("bt-").tempdir_in(parent).expect("a directory for all");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).expect("our own directory");
        Self { dir }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Every file below it.
    pub fn files(&self) -> Vec<PathBuf> {
        let (mut left, mut files) = (vec![self.path().to_path_buf()], vec![]);
        while let Some(directory) = left.pop() {
            for entry in fs::read_dir(directory).expect("a directory of the home").flatten() {
                let kind = entry.file_type().expect("a type");
                if kind.is_dir() {
                    left.push(entry.path());
                } else if kind.is_file() {
                    files.push(entry.path());
                }
            }
        }
        files
    }

    /// The socket.
    pub fn socket(&self) -> PathBuf {
        self.path().join("bursar.sock")
    }

    /// The socket for credentials of units, where a daemon was handed one.
    pub fn credentials(&self) -> PathBuf {
        self.path().join("credentials.sock")
    }

    /// The key file of [`open_vault`].
    pub fn key_file(&self) -> PathBuf {
        self.path().join("key")
    }

    /// What the daemons of this home wrote to standard error.
    pub fn log(&self) -> String {
        fs::read(self.log_file()).map(|log| String::from_utf8_lossy(&log).into_owned()).unwrap_or_default()
    }

    pub(crate) fn log_file(&self) -> PathBuf {
        self.path().join("stderr.log")
    }

    /// Writes the config file, for daemons that start after this.
    pub fn config(&self, toml: &str) {
        fs::write(self.path().join("bursar.toml"), toml).expect("a config file");
    }

    /// Writes a file, 0600; answers its path.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, content).expect("a file in the home");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("our own file");
        path
    }

    /// A connection, where somebody listens.
    pub fn connect_if_open(&self) -> Option<RawSocket> {
        RawSocket::connect(&self.socket()).ok()
    }

    /// Starts a daemon and waits until it answers.
    pub fn start(&self) -> Daemon {
        Daemon::start(self, &[])
    }

    /// A connection that speaks plain JSON.
    pub fn connect(&self) -> RawSocket {
        RawSocket::connect(&self.socket()).expect("the daemon listens")
    }

    /// One call on a connection of its own.
    pub fn call(&self, method: &str, params: Value) -> Answer {
        self.connect().call(method, params)
    }

    /// One call that must succeed.
    #[track_caller]
    pub fn ok(&self, method: &str, params: Value) -> Value {
        self.call(method, params).unwrap_or_else(|refused| panic!("{method} was refused: {refused}"))
    }

    /// One call that must be refused; answers the error's name.
    #[track_caller]
    pub fn refused(&self, method: &str, params: Value) -> String {
        match self.call(method, params) {
            Ok(answer) => panic!("{method} should have been refused, and answered {answer}"),
            Err(refused) => refused.name,
        }
    }

    /// Makes a secret and waits for the end of its exchange; answers its attributes.
    #[track_caller]
    pub fn create(&self, params: Value) -> Value {
        let name = params["secret"].clone();
        self.ok("secret.create", params);
        self.ok("secret.wait", json!({ "secret": name }))
    }

    /// The artifact of `secret`.
    #[track_caller]
    pub fn artifact(&self, secret: &str) -> Value {
        self.ok("artifact.get", json!({ "secret": secret }))
    }

    /// The typed client that the command line has too.
    pub fn client(&self) -> Client {
        let client = Client::connect(&[self.socket()]).expect("the daemon listens");
        client.set_timeout(Some(PATIENCE)).expect("a socket takes a time limit");
        client
    }

    /// Runs `bursar` to its end.
    pub fn cli(&self, arguments: &[&str]) -> Run {
        Run::new(self, arguments, None)
    }

    /// Runs `bursar` to its end with `input` as its standard input.
    pub fn cli_with_input(&self, arguments: &[&str], input: &str) -> Run {
        Run::new(self, arguments, Some(input))
    }
}

impl Drop for Home {
    /// Ends a daemon that the command line started, and that the test did not come to stop.
    fn drop(&mut self) {
        if let Some(mut socket) = self.connect_if_open()
            && socket.ask_quietly("agent.stop", &json!({})).is_ok()
        {
            within(END, || (!self.socket().exists()).then_some(()));
        }
    }
}

/// A home with a running daemon and a vault that its key file opens.
pub fn open_vault() -> (Home, Daemon) {
    configured("")
}

/// The same with a config file.
pub fn configured(toml: &str) -> (Home, Daemon) {
    let home = Home::new();
    if !toml.is_empty() {
        home.config(toml);
    }
    let daemon = home.start();
    home.ok("vault.init", json!({ "key_file": home.key_file() }));
    (home, daemon)
}
