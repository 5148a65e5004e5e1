//! Real issuers on loopback: Authlib (Python) and oidc-provider (Node), in versions pinned beside their code.

use crate::http;
use crate::installed::{from_npm, from_pypi};
use crate::keys::known;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

const AUTHLIB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/issuers/authlib");
const OIDC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/issuers/oidc");

/// A running issuer; it ends with the value, or with this process.
#[derive(Debug)]
pub struct Issuer {
    child: Child,
    port: u16,
    /// The secret of its clients.
    pub client_secret: &'static str,
}

impl Issuer {
    /// Flask and Authlib. Client `robot`, by form or header, and assertions signed with [`known`].
    pub fn authlib() -> Self {
        let key = tempfile::NamedTempFile::new().expect("a temporary file");
        fs::write(key.path(), &known().public).expect("a public key");
        let mut python = Command::new(from_pypi("authlib", AUTHLIB));
        // -B: no compiled modules beside the source
        python.arg("-B").arg(format!("{AUTHLIB}/server.py")).arg(key.path());
        Self::start(python, "a secret with spaces, + and %41 & ä")
    }

    /// oidc-provider. Clients `robot-post` and `robot-basic`, each held to its way of authenticating.
    pub fn oidc() -> Self {
        let mut node = Command::new("node");
        node.arg(format!("{OIDC}/server.mjs")).arg(from_npm("oidc", OIDC));
        Self::start(node, "a secret with spaces, + and %41 &")
    }

    fn start(mut command: Command, client_secret: &'static str) -> Self {
        let mut child = command
            .stdin(Stdio::piped()) // held open: the issuer ends when it closes
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the issuer starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("stdout is a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("the issuer's first line");
        let port = line.trim().parse().expect("the issuer's first line is its port");
        Self { child, port, client_secret }
    }

    /// An address of it.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Its token endpoint, bare: the audience of an assertion.
    pub fn audience(&self) -> String {
        self.at("/token")
    }

    /// Its token endpoint for tokens of `lifetime` seconds.
    pub fn token_url(&self, lifetime: u64) -> String {
        format!("{}?lifetime={lifetime}", self.audience())
    }

    /// What it answers to an assertion that is sent past the daemon: status and body.
    pub fn judge(&self, assertion: &str) -> (u16, String) {
        let body =
            format!("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={assertion}");
        let answer = http::post(&self.audience(), &body);
        (answer.status, answer.body)
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
