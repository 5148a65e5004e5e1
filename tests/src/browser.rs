//! A real browser: Debian's Chromium, headless, in a profile of its own that goes with the value.
//!
//! It is driven by `tests/browser/walk.mjs`, which is asked by one line of JSON and answers by one. Every walk is a
//! session of its own, without the cookies of another. It knows every name under `.test` as this machine.

use crate::installed::from_npm;
use crate::patience::{PATIENCE, within};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

const WALK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/browser");

/// How long one command may take, which walk.mjs itself ends well before this.
const COMMAND_MAX: Duration = Duration::from_mins(2);

/// The button that a person presses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Allow.
    Allow,
    /// Deny.
    Deny,
    /// None: the page is only opened.
    Nothing,
}

/// How a page is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// Whether the browser runs scripts at all.
    pub scripts: bool,
    /// The directory that gets `390.png` and `1280.png`.
    pub pictures: Option<&'a Path>,
}

/// Where a walk ended.
#[derive(Debug, Clone)]
pub struct Landed {
    /// What the address bar shows.
    pub address: String,
    /// The status of the page; none where nothing answered.
    pub status: Option<u16>,
    /// Its headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Why there is no page, in the browser's word: `net::ERR_CONNECTION_REFUSED`. Then all that follows is empty.
    pub failed: Option<String>,
    /// What led there in one go: addresses that answered by a redirect, with their status.
    pub redirects: Vec<(String, u16)>,
    /// What the page asked for, its icon too: addresses, each with the referrer that was sent.
    pub requests: Vec<(String, Option<String>)>,
    /// The addresses of scripts that ran: the page's own for one within it.
    pub ran: Vec<String>,
    /// How many script elements, and elements with handlers, the page has.
    pub scripts: u64,
    /// Its title.
    pub title: String,
    /// Its text, as seen.
    pub text: String,
    /// `document.referrer`.
    pub referrer: String,
    /// What the back button leads through, and the page itself.
    pub history: Vec<String>,
    /// The width of the window, a phone's and a desk's, and of the page in it, in pixels.
    pub widths: Vec<(u64, u64)>,
}

impl Landed {
    /// Whether the page is wider than a window: something is cut off, or everything is too small to read.
    pub fn overflows(&self) -> bool {
        self.widths.iter().any(|(window, content)| content > window)
    }
}

/// What came of one way in which a page of another site reached for an address.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// `fetch`, `fetch-no-cors`, `post-no-cors`, `image`, `script`, `style`, `frame`, or `navigation`.
    pub way: String,
    /// What that page's scripts learned; `read: …` is what they must not.
    pub outcome: String,
    /// The status, where the browser itself let it through.
    pub status: Option<u16>,
    /// Why the browser kept it back: `net::ERR_BLOCKED_BY_ORB`.
    pub failed: Option<String>,
}

/// The browser; it ends with the value, or with this process.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    answers: Receiver<String>,
    _profile: TempDir,
}

impl Browser {
    /// Starts it.
    pub fn start() -> Self {
        let chromium = chromium();
        let packages = from_npm("browser", WALK);
        let profile = tempfile::Builder::new().prefix("bt-").tempdir_in("/tmp").expect("a directory in /tmp");
        let mut child = Command::new("node")
            .arg(format!("{WALK}/walk.mjs"))
            .args([packages.as_path(), &chromium, profile.path()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node starts");
        let lines = BufReader::new(child.stdout.take().expect("stdout is a pipe")).lines();
        let (sender, answers) = mpsc::channel();
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut browser = Self { child, answers, _profile: profile };
        assert_eq!(browser.answer()["ready"], true, "chromium starts");
        browser
    }

    /// Opens `url`, presses the button, and looks at where that leads.
    #[track_caller]
    pub fn walk(&mut self, url: &str, choice: Choice) -> Landed {
        self.walk_with(url, choice, Look { scripts: true, pictures: None })
    }

    /// The same, looking in another way.
    #[track_caller]
    pub fn walk_with(&mut self, url: &str, choice: Choice, look: Look<'_>) -> Landed {
        let button = match choice {
            Choice::Allow => json!("Allow"),
            Choice::Deny => json!("Deny"),
            Choice::Nothing => Value::Null,
        };
        let picture = |width: &str| look.pictures.map(|to| to.join(format!("{width}.png")));
        let landed = self.ask(json!({
            "do": "walk", "url": url, "choice": button, "scripts": look.scripts,
            "pictures": { "390": picture("390"), "1280": picture("1280") },
        }));
        Landed::of(&landed)
    }

    /// Opens a page of another site that reaches for `target` in every way a page can.
    #[track_caller]
    pub fn attack(&mut self, target: &str) -> Vec<Attempt> {
        let answer = self.ask(json!({ "do": "attack", "target": target }));
        list(&answer["seen"], |seen| Attempt {
            way: text(&seen["way"]),
            outcome: text(&seen["outcome"]),
            status: status(&seen["status"]),
            failed: optional(&seen["failed"]),
        })
    }

    #[track_caller]
    fn ask(&mut self, command: Value) -> Value {
        let stdin = self.child.stdin.as_mut().expect("stdin is a pipe");
        writeln!(stdin, "{command}").expect("node reads");
        let answer = self.answer();
        assert!(answer["error"].is_null(), "the browser could not: {}", answer["error"]);
        answer
    }

    #[track_caller]
    fn answer(&mut self) -> Value {
        let line = self.answers.recv_timeout(COMMAND_MAX);
        let line =
            line.unwrap_or_else(|_| panic!("no answer of the browser; node: {:?}", self.child.try_wait()));
        serde_json::from_str(&line).expect("an answer in json")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(self.child.stdin.take()); // tells it to end
        if within(PATIENCE, || self.child.try_wait().ok().flatten()).is_none() {
            let _ = self.child.kill(); // chromium ends with its pipe to node
            let _ = self.child.wait();
        }
    }
}

impl Landed {
    fn of(answer: &Value) -> Self {
        let page = &answer["page"];
        let headers = answer["headers"].as_object().expect("headers");
        let number = |value: &Value| value.as_u64().unwrap_or(0);
        Self {
            address: text(&answer["address"]),
            status: status(&answer["status"]),
            headers: headers.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
            failed: optional(&answer["failed"]),
            redirects: list(&answer["redirects"], |hop| {
                (text(&hop["url"]), status(&hop["status"]).expect("a status"))
            }),
            requests: list(&answer["requests"], |request| {
                (text(&request["url"]), optional(&request["referer"]))
            }),
            ran: list(&answer["ran"], text),
            scripts: number(&page["scripts"]) + number(&page["handlers"]),
            title: text(&page["title"]),
            text: text(&page["text"]),
            referrer: text(&page["referrer"]),
            history: list(&page["history"], text),
            widths: list(&page["widths"], |width| (number(&width["window"]), number(&width["content"]))),
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn optional(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn status(value: &Value) -> Option<u16> {
    value.as_u64().and_then(|status| status.try_into().ok())
}

fn list<T>(value: &Value, of: impl FnMut(&Value) -> T) -> Vec<T> {
    value.as_array().map_or_else(Vec::new, |values| values.iter().map(of).collect())
}

/// Debian's Chromium.
fn chromium() -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .map(|directory| directory.join("chromium"))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("there is no chromium on PATH; on Debian: apt-get install chromium"))
}
