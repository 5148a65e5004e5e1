//! A daemon with secrets in it: what every table asks.

use crate::load::{Load, Tally};
use bursar_tests::{Daemon, Home, open_vault};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;

/// The length of the token in every secret, in bytes: a usual access token of an issuer.
pub(crate) const TOKEN: usize = 1_100;

/// Connections that fill a vault.
const FILLERS: usize = 64;

/// A daemon in a home of its own, with an open vault.
pub(crate) struct Agent {
    pub(crate) home: Home,
    pub(crate) daemon: Daemon,
}

impl Agent {
    /// Starts one and makes `count` secrets.
    pub(crate) fn with(count: usize) -> Self {
        let (home, daemon) = open_vault();
        Self { home, daemon }.filled(count)
    }

    /// The same with another build of the daemon.
    pub(crate) fn of_build(bursard: &Path, count: usize) -> Self {
        let home = Home::new();
        let daemon = Daemon::start_other(bursard, &home);
        home.ok("vault.init", json!({ "key_file": home.key_file() }));
        Self { home, daemon }.filled(count)
    }

    fn filled(self, count: usize) -> Self {
        let agent = self;
        let mut next = 0;
        agent.create(FILLERS, || {
            next += 1;
            (next <= count).then(|| name(next - 1))
        });
        if count > 0 {
            agent.home.ok("secret.wait", json!({ "secret": name(count - 1) }));
            agent.home.artifact(&name(count - 1));
        }
        agent
    }

    /// Makes a secret of every name that `next` gives, over so many connections at once.
    pub(crate) fn create(&self, connections: usize, mut next: impl FnMut() -> Option<String>) -> Tally {
        let token = token();
        let tally = Load::connect(&self.home.socket(), connections, 1).run(1, |out| match next() {
            Some(name) => {
                let params = json!({ "secret": name, "type": "token", "credentials": { "token": token } });
                out.extend_from_slice(&request("secret.create", &params));
                true
            }
            None => false,
        });
        let errors = "an answer to secret.create has some hundred bytes and more, an error has less";
        assert!(tally.bytes >= tally.answers as usize * 250, "{errors}");
        tally
    }

    /// A get of `secret`, and the length of its answer.
    pub(crate) fn get(&self, secret: &str) -> (Vec<u8>, usize) {
        let mut socket = self.home.connect();
        let get = get(secret);
        socket.send(&get).expect("the daemon reads");
        let answer = socket.line().expect("an answer");
        assert!(answer.len() > TOKEN && answer.contains(&token()), "no token came: {answer}");
        (get, answer.len())
    }
}

/// The name of a secret by its number; all names have one length.
pub(crate) fn name(number: usize) -> String {
    format!("personal/bench-{number:06}")
}

/// The line that asks for `secret`.
pub(crate) fn get(secret: &str) -> Vec<u8> {
    request("artifact.get", &json!({ "secret": secret }))
}

pub(crate) fn request(method: &str, params: &Value) -> Vec<u8> {
    format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"{method}\",\"params\":{params}}}\n").into_bytes()
}

/// Text that looks like a token: letters and digits, nothing that JSON escapes.
pub(crate) fn token() -> String {
    let mut token = String::with_capacity(TOKEN + 16);
    let mut word: u64 = 0x9E37_79B9_7F4A_7C15;
    while token.len() < TOKEN {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let _ = write!(token, "{word:016x}");
    }
    token.truncate(TOKEN);
    token
}
