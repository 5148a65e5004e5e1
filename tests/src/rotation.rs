//! A refresh token that rotates, as tests look at it that cut the daemon off: how an exchange by it is begun, what is
//! told of one whose answer nobody knows, and that the one that was issued last is the one that is kept.

use crate::google::{Google, LIFETIME, ask_again};
use crate::home::Home;
use crate::patience::until;
use crate::raw::{Answer, RawSocket, now, seconds};
use serde_json::{Value, json};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How an exchange by the refresh token comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Somebody asks for as much validity as there can be.
    Get,
    /// Somebody retries.
    Retry,
    /// Somebody tests.
    Test,
}

/// All of them.
pub const WAYS: [Way; 3] = [Way::Get, Way::Retry, Way::Test];

impl Way {
    /// Begins an exchange, and does not wait for it; answers the connection on which the answer comes.
    #[track_caller]
    pub fn begin(self, home: &Home, name: &str) -> RawSocket {
        self.prepare(home, name);
        self.ask(home, name)
    }

    /// Waits until asking in this way takes an exchange.
    #[track_caller]
    pub fn prepare(self, home: &Home, name: &str) {
        if self == Self::Get {
            let secret = show(home, name);
            // of the present token less is left by then than is asked for
            until("a second passes", || (now() > seconds(&secret["activated_at"])).then_some(()));
        }
    }

    /// Asks, and does not wait; answers the connection on which the answer comes.
    #[track_caller]
    pub fn ask(self, home: &Home, name: &str) -> RawSocket {
        let mut socket = home.connect();
        match self {
            Self::Get => socket.ask("artifact.get", &json!({ "secret": name, "min_validity": LIFETIME })),
            Self::Retry => {
                socket.call("secret.retry", json!({ "secret": name })).expect("a retry");
                socket.ask("secret.wait", &json!({ "secret": name }))
            }
            Self::Test => socket.ask("secret.test", &json!({ "secret": name })),
        };
        socket
    }
}

/// When a daemon is cut off that refreshes at an issuer which rotates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The issuer has rotated, and its answer is not on its way.
    BeforeTheAnswer,
    /// It is on its way, or comes, or is being written, or was told.
    AtAnyMoment,
    /// Whoever asked was told of the new token.
    AfterItWasTold,
}

/// What a connection was answered; nothing where the daemon ended before.
pub fn answered(mut socket: RawSocket) -> Option<Answer> {
    let line = socket.line().filter(|line| line.ends_with('\n'))?;
    Some(crate::raw::answer(serde_json::from_str(&line).expect("an answer in json")))
}

/// The attributes of a secret.
#[track_caller]
pub fn show(home: &Home, name: &str) -> Value {
    home.ok("secret.show", json!({ "secret": name }))
}

/// What is told of its refresh; empty where that is nothing.
#[track_caller]
pub fn told(home: &Home, name: &str) -> String {
    show(home, name)["refresh_status_details"].as_str().unwrap_or_default().to_owned()
}

/// Whether it is told of a request that was sent when that was, and that its answer is not known.
pub fn is_sent_and_unknown(told: &str) -> bool {
    let Some((_, rest)) = told.split_once("a request was sent at ") else { return false };
    let Some((at, rest)) = rest.split_once(", ") else { return false };
    (0..=now()).contains(&seconds(&json!(at))) && rest.starts_with("and its answer is not known")
}

/// An exchange succeeds, and with the refresh token that was issued last; nothing else is told afterwards.
#[track_caller]
pub fn the_newest_is_kept(google: &Google, home: &Home, name: &str) {
    let issued = google.seen().issued;
    home.ok("secret.test", json!({ "secret": name }));
    assert_eq!(google.seen().presented, issued, "another refresh token than the newest was kept");
    assert_eq!(told(home, name), "");
}

/// Looks at a daemon that was started after it was cut off, at an issuer that holds what comes since: `answer` is what had
/// been told before. The newest refresh token is kept, or it is told that an answer is not known; answers which. Either way
/// it is refreshed in the end.
#[track_caller]
pub fn the_newest_is_kept_or_not_known(
    google: &Google,
    home: &Home,
    cut: Cut,
    answer: Option<Answer>,
) -> bool {
    let (issued, told) = (google.seen().issued, told(home, "ads"));
    let is_unknown = is_sent_and_unknown(&told);
    google.release();
    let status = settled(home, "ads")["status"].clone();
    if let Some(answer) = answer {
        let answer = answer.unwrap_or_else(|refused| panic!("an exchange without a fault: {refused}"));
        assert!(told.is_empty() && status == "succeeded", "{answer} was told, and is lost: {status}, {told}");
        if !answer["value"].is_null() {
            assert_eq!(home.artifact("ads")["value"], answer["value"], "it was handed out, and is lost");
        }
    }
    assert!(told.is_empty() || is_unknown, "it is told what was not: {told}");
    assert!(is_unknown || cut != Cut::BeforeTheAnswer, "that it was sent is lost: {status}");
    if !is_unknown {
        the_newest_is_kept(google, home, "ads");
    } else if home.call("secret.test", json!({ "secret": "ads" })).is_err() {
        assert_ne!(google.seen().presented, issued, "the newest was kept, and refused");
        google.land(&ask_again(home, "ads"));
        assert_eq!(settled(home, "ads")["status"], "succeeded");
    }
    is_unknown
}

/// Waits until the exchange that runs is over, however it went; answers the attributes.
#[track_caller]
pub fn settled(home: &Home, name: &str) -> Value {
    home.ok("secret.wait", json!({ "secret": name }))
}

/// Lets a moment pass that nobody can foretell: some are over before an answer came, and some after it was written.
pub fn now_and_then() {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").subsec_nanos();
    // the random moment itself, not a wait for anything
    thread::sleep(Duration::from_micros(u64::from(nanos / 1_000 % 6_000)));
}
