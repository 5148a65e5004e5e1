//! However many connect to the loopback listener and say nothing, little, or too much: the person who was asked gets through,
//! whoever is slow is hung up on, and afterwards the daemon holds nothing more than before.

use bursar_tests::google::{ask, port};
use bursar_tests::http::{Response, get, join, send};
use bursar_tests::patience::{PATIENCE, within};
use bursar_tests::processes::{number, open_files};
use bursar_tests::users::{as_user, can_become_others};
use bursar_tests::{Daemon, Google, Hold, Home, open_vault, until};
use serde_json::json;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// Connections of a crowd: more than the listener takes at once.
const CROWD: usize = 100;

/// Requests of a scanner, each with a head of some kilobytes.
const SCANNED: usize = 2_000;

/// How much the memory of the daemon may grow over those, in KiB; all that they say has twice that.
const GROWTH_MAX: u32 = 16 * 1024;

/// A daemon that waits for a person.
struct Waiting {
    home: Home,
    daemon: Daemon,
    google: Google,
    url: String,
    port: u16,
}

impl Waiting {
    fn new() -> Self {
        let (home, daemon) = open_vault();
        let google = Google::authlib();
        google.configure(&home);
        let url = ask(&home, "ads");
        Self { port: port(&url), url, home, daemon, google }
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port)).unwrap()
    }

    fn crowd(&self) -> Vec<TcpStream> {
        (0..CROWD).map(|_| self.connect()).collect()
    }

    /// Goes where a browser goes, and is let in at the first knock.
    #[track_caller]
    fn authorize(&self) {
        let redirect = self.google.consent(&self.url);
        let sent = get(&redirect);
        self.last_page(&redirect, &sent);
    }

    #[track_caller]
    fn last_page(&self, redirect: &str, sent: &Response) {
        assert_eq!(sent.status, 303, "{}", sent.body);
        let page = get(&join(redirect, sent.header("location").unwrap()));
        assert!(page.body.contains("personal/ads is authorized"), "{}", page.body);
        assert_eq!(self.home.ok("secret.wait", json!({ "secret": "ads" }))["status"], "succeeded");
    }

    fn files(&self) -> usize {
        // connections to the issuer stay a while for the next exchange, and those to us for our next question
        open_files(self.daemon.pid()).len()
    }
}

/// Whether the other end has hung up.
fn is_over(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let mut rest = [0; 4096];
    loop {
        match stream.read(&mut rest) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != ErrorKind::WouldBlock,
        }
    }
}

#[test]
fn a_crowd_that_says_nothing_stands_in_nobodys_way_and_is_sent_off() {
    let waiting = Waiting::new();
    let before = waiting.files();
    let mut crowd = waiting.crowd();
    assert!(!crowd.iter_mut().all(is_over), "some of them are let in");
    waiting.authorize();
    until("whoever says nothing is hung up on", || crowd.iter_mut().all(is_over).then_some(()));
    until("nothing is left of them", || (waiting.files() <= before).then_some(()));
}

#[test]
fn a_crowd_that_comes_while_a_page_is_waited_for_takes_nobodys_place() {
    let waiting = Waiting::new();
    waiting.google.hold(Hold::After);
    let redirect = waiting.google.consent(&waiting.url);
    let sent = get(&redirect);
    waiting.google.until_held(1);
    thread::scope(|scope| {
        let page = scope.spawn(|| waiting.last_page(&redirect, &sent));
        let crowds = [waiting.crowd(), waiting.crowd()];
        assert_eq!(get(&redirect).status, 400, "it is used, and answers");
        waiting.google.release();
        page.join().unwrap();
        drop(crowds);
    });
}

#[test]
fn a_crowd_that_never_stops_coming_keeps_a_person_out_for_no_more_than_a_reload() {
    let waiting = Waiting::new();
    let redirect = waiting.google.consent(&waiting.url);
    let (over, came) = (AtomicBool::new(false), AtomicUsize::new(0));
    let knock = || {
        while !over.load(Ordering::Acquire) {
            // all at once, and gone again: more than stand in the queue are turned away by the system
            let knocks: Vec<_> =
                (0..CROWD).filter_map(|_| TcpStream::connect(("127.0.0.1", waiting.port)).ok()).collect();
            came.fetch_add(knocks.len(), Ordering::AcqRel);
        }
    };
    thread::scope(|scope| {
        scope.spawn(knock);
        until("they come", || (came.load(Ordering::Acquire) > CROWD).then_some(()));
        let sent = within(PATIENCE, || send("GET", &redirect, &[], None).ok());
        over.store(true, Ordering::Release);
        waiting.last_page(&redirect, &sent.expect("the person gets through"));
    });
}

#[test]
fn a_crowd_of_another_user_stands_in_nobodys_way() {
    if !can_become_others() {
        return;
    }
    let waiting = Waiting::new();
    let crowd = as_user(65_534, || waiting.crowd());
    waiting.authorize();
    drop(crowd);
}

#[test]
fn a_head_that_never_ends_is_not_waited_for() {
    let waiting = Waiting::new();
    let before = waiting.files();
    let host = format!("host: 127.0.0.1:{}\r\n", waiting.port);
    let mut slow: Vec<_> = [
        String::new(),
        "G".into(),
        "GET /oauth2/callback?code=x&state=y".into(),
        "GET / HTTP/1.1\r\n".into(),
        format!("GET / HTTP/1.1\r\n{host}x: "),
        format!("GET / HTTP/1.1\r\n{host}\r"),
    ]
    .iter()
    .map(|start| {
        let mut stream = waiting.connect();
        stream.write_all(start.as_bytes()).unwrap();
        stream
    })
    .collect();
    // and whoever says a byte now and then has no more time than the others
    until("whoever is slow is hung up on", || {
        for stream in &mut slow[3..5] {
            drop(stream.write_all(b"a"));
        }
        slow.iter_mut().all(is_over).then_some(())
    });
    waiting.authorize();
    until("nothing is left of them", || (waiting.files() <= before).then_some(()));
}

#[test]
fn whoever_does_not_read_or_leaves_in_the_middle_leaves_nothing_behind() {
    let waiting = Waiting::new();
    let before = waiting.files();
    let request = format!("GET / HTTP/1.1\r\nhost: 127.0.0.1:{}\r\n\r\n", waiting.port);
    let mut deaf = Vec::new();
    for _ in 0..CROWD {
        let mut stream = waiting.connect();
        stream.write_all(request.as_bytes()).unwrap();
        deaf.push(stream);
        // half a request, and gone
        waiting.connect().write_all(&request.as_bytes()[..10]).unwrap();
        // a body that does not come
        let body = request.replace("\r\n\r\n", "\r\ncontent-length: 1000000\r\n\r\n").replace("GET", "POST");
        let mut stream = waiting.connect();
        stream.write_all(body.as_bytes()).unwrap();
        deaf.push(stream);
    }
    until("nothing is left of them", || (waiting.files() <= before).then_some(()));
    waiting.authorize();
    drop(deaf);
}

#[test]
fn a_scanner_costs_no_memory_and_no_files() {
    let waiting = Waiting::new();
    let scan = |from: usize, to: usize| {
        for n in from..to {
            let url = format!(
                "http://127.0.0.1:{}/oauth2/callback?code={n}&state={}",
                waiting.port,
                "s".repeat(4_000)
            );
            let filler = "f".repeat(4_000);
            let answer = send("GET", &url, &[("x-filler", &filler)], None).unwrap();
            assert_eq!(answer.status, 400, "{}", answer.body);
        }
    };
    // buffers and threads that stay are made now
    scan(0, CROWD);
    let memory = || number(waiting.daemon.pid(), "VmRSS").unwrap();
    let before = (memory(), waiting.files());
    scan(CROWD, SCANNED);
    let after = memory();
    assert!(after < before.0 + GROWTH_MAX, "it had {} KiB, and has {after} KiB", before.0);
    until("no file stays open", || (waiting.files() <= before.1).then_some(()));
    waiting.authorize();
}
