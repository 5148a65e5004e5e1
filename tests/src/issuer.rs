//! Real issuers on loopback: Authlib (Python) and oidc-provider (Node), in versions pinned beside their code.
//!
//! Their packages are installed once into `target/issuers`, named by the hash of what pins them; a lock file
//! keeps parallel tests from installing twice.

use crate::binaries::profile_dir;
use crate::keys::known;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
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
        let venv = installed("authlib", &["requirements.txt"], |dir| {
            run("python3", "python3 and python3-venv", dir, &["-m", "venv", "."]);
            let pip = dir.join("bin/pip");
            let pip = pip.to_str().expect("a target directory in UTF-8");
            let pins = format!("{AUTHLIB}/requirements.txt");
            run(pip, "python3-venv", dir, &["install", "--quiet", "--no-deps", "--requirement", &pins]);
        });
        let key = tempfile::NamedTempFile::new().expect("a temporary file");
        fs::write(key.path(), &known().public).expect("a public key");
        let mut python = Command::new(venv.join("bin/python"));
        python.arg(format!("{AUTHLIB}/server.py")).arg(key.path());
        Self::start(python, "a secret with spaces, + and %41 & ä")
    }

    /// oidc-provider. Clients `robot-post` and `robot-basic`, each held to its way of authenticating.
    pub fn oidc() -> Self {
        let modules = installed("oidc", &["package.json", "package-lock.json"], |dir| {
            for file in ["package.json", "package-lock.json"] {
                fs::copy(format!("{OIDC}/{file}"), dir.join(file)).expect("a copy beside the packages");
            }
            run("npm", "nodejs and npm", dir, &["ci", "--silent", "--no-audit", "--no-fund"]);
        });
        let mut node = Command::new("node");
        node.arg(format!("{OIDC}/server.mjs")).arg(modules.join("package.json"));
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

    /// Its token endpoint, bare: the audience of an assertion.
    pub fn audience(&self) -> String {
        format!("http://127.0.0.1:{}/token", self.port)
    }

    /// Its token endpoint for tokens of `lifetime` seconds.
    pub fn token_url(&self, lifetime: u64) -> String {
        format!("{}?lifetime={lifetime}", self.audience())
    }

    /// What it answers to an assertion that is sent past the daemon: status and body.
    pub fn judge(&self, assertion: &str) -> (u16, String) {
        let body =
            format!("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={assertion}");
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the issuer listens");
        write!(
            stream,
            "POST /token HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .expect("the issuer reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the issuer answers");
        let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status line");
        (status, answer)
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The directory of packages that `files` in `issuers/NAME` pin, made by `install` if nobody has yet.
fn installed(name: &str, files: &[&str], install: impl FnOnce(&Path)) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    for file in files {
        fs::read(format!("{}/issuers/{name}/{file}", env!("CARGO_MANIFEST_DIR")))
            .expect("the file that pins versions")
            .hash(&mut hasher);
    }
    let root = profile_dir().parent().expect("a target directory").join("issuers");
    fs::create_dir_all(&root).expect("a directory for issuers");
    let dir = root.join(format!("{name}-{:016x}", hasher.finish()));
    let lock = File::create(root.join(format!("{name}.lock"))).expect("a lock file");
    lock.lock().expect("the lock of the installation");
    let done = dir.join(".installed");
    if !done.exists() {
        // what an interrupted installation left is not to be trusted
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir(&dir).expect("a directory for one issuer");
        install(&dir);
        File::create(done).expect("a mark");
    }
    dir
}

fn run(program: &str, packages: &str, dir: &Path, arguments: &[&str]) {
    let status = Command::new(program)
        .args(arguments)
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .unwrap_or_else(|error| panic!("{program}: {error}; on Debian: apt-get install {packages}"));
    assert!(status.success(), "{program} failed ({status}); on Debian: apt-get install {packages}");
}
