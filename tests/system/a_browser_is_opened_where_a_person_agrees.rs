//! `bursar` shows where to authorize, opens a browser where a person sits before it and agrees, or was told to, and follows
//! to the end: never unasked, never over SSH, never where nobody can be asked.

use bursar_tests::cli::command;
use bursar_tests::google::{ads, ask_again};
use bursar_tests::http::visit;
use bursar_tests::{Daemon, Google, Home, Talk, open_vault, until};
use serde_json::{Value, json};
use std::fs;
use std::process::Command;

const REAUTHORIZE: [&str; 3] = ["secret", "reauthorize", "ads"];
const OFFER: &str = "open it in a browser now? [y/N] ";
const WAITING: &str = "waiting for the browser …";

/// A vault with a secret that waits for a person.
fn waiting(google: &Google) -> (Home, Daemon) {
    let (home, daemon) = open_vault();
    google.configure(&home);
    home.ok("secret.create", ads("ads"));
    (home, daemon)
}

/// `bursar` where `BROWSER` is a program that keeps the address it is given in the file `opened`.
fn with_browser(home: &Home, arguments: &[&str]) -> Command {
    let opened = home.path().join("opened");
    let script =
        home.file("browser.sh", format!("printf %s \"$1\" > {0}.new; mv {0}.new {0}\n", opened.display()));
    let mut command = command(home, arguments);
    command.env("BROWSER", format!("sh {}", script.display()));
    command
}

/// What the browser was told to open, if it was started.
fn opened(home: &Home) -> Option<String> {
    fs::read_to_string(home.path().join("opened")).ok()
}

/// The address that is shown on a line of its own.
#[track_caller]
fn shown(talk: &mut Talk, end: &str) -> String {
    talk.out.expect(&format!("on this machine{end}"));
    talk.out.expect(end)
}

fn status(home: &Home) -> Value {
    home.ok("secret.show", json!({ "secret": "ads" }))["status"].take()
}

#[test]
fn who_agrees_gets_a_browser_and_sees_the_time_run_and_the_end() {
    for google in [Google::oidc(), Google::authlib()] {
        let (home, _daemon) = waiting(&google);
        let mut talk = Talk::on_terminal(&with_browser(&home, &REAUTHORIZE));
        let url = shown(&mut talk, "\r\n");
        talk.out.expect(OFFER);
        assert_eq!(opened(&home), None, "nobody has agreed yet");
        talk.say("y\n");
        assert_eq!(until("the browser is started", || opened(&home)), url);
        talk.out.expect(WAITING);
        let first = talk.out.expect(" left");
        talk.out.expect(WAITING);
        let next = talk.out.expect(" left");
        assert!(next != first && next.starts_with(" 59:"), "the time runs: {first:?}, {next:?}");
        google.land(&url);
        talk.out.expect("succeeded");
        assert!(talk.ended().success(), "{:?}", talk.out.so_far());
        home.artifact("ads");
    }
}

#[test]
fn who_does_not_agree_opens_it_by_hand() {
    let google = Google::oidc();
    let (home, _daemon) = waiting(&google);
    for answer in ["\n", "n\n", "what?\n"] {
        let mut talk = Talk::on_terminal(&with_browser(&home, &REAUTHORIZE));
        let url = shown(&mut talk, "\r\n");
        talk.out.expect(OFFER);
        talk.say(answer);
        talk.out.expect(WAITING);
        google.land(&url);
        talk.out.expect("succeeded");
        assert!(talk.ended().success(), "{:?}", talk.out.so_far());
    }
    assert_eq!(opened(&home), None);
}

#[test]
fn nobody_is_offered_a_browser_that_nobody_would_see() {
    let google = Google::oidc();
    let (home, _daemon) = waiting(&google);
    let over_ssh =
        [("SSH_CONNECTION", "192.0.2.1 5 192.0.2.2 22"), ("SSH_TTY", "/dev/pts/1"), ("SSH_CLIENT", "x")];
    for (name, value) in over_ssh.into_iter().chain([("BROWSER", "")]) {
        let mut command = with_browser(&home, &REAUTHORIZE);
        command.env("DISPLAY", if name == "BROWSER" { "" } else { ":0" }).env(name, value);
        let mut talk = Talk::on_terminal(&command);
        let url = shown(&mut talk, "\r\n");
        talk.out.expect(
            "hint: if the browser is on another machine: bursar secret reauthorize personal/ads --no-browser",
        );
        talk.out.expect(WAITING);
        google.land(&url);
        assert!(talk.ended().success(), "{:?}", talk.out.so_far());
        assert!(!talk.out.whole().contains("[y/N]"), "{name}: {:?}", talk.out.so_far());
    }
    assert_eq!(opened(&home), None);
}

#[test]
fn where_nobody_can_be_asked_the_address_is_shown_and_that_is_all() {
    let google = Google::oidc();
    let (home, _daemon) = waiting(&google);
    for arguments in [&REAUTHORIZE[..], &[&REAUTHORIZE[..], &["--json"]].concat()] {
        let mut talk = Talk::start(with_browser(&home, arguments));
        assert!(talk.ended().success(), "{:?}", talk.err.so_far());
        let (out, err) = (talk.out.whole(), talk.err.whole());
        assert!(!err.contains("[y/N]") && !err.contains(WAITING), "{err}");
        assert_eq!(out.contains("authorization_url"), arguments.contains(&"--json"), "{out}");
        assert!(format!("{out}{err}").contains(&google.authorization_url()), "{out}{err}");
    }
    // on a terminal a script may want the document, and no question
    let mut talk = Talk::on_terminal(&with_browser(&home, &[&REAUTHORIZE[..], &["--json"]].concat()));
    assert!(talk.ended().success());
    assert!(!talk.out.whole().contains("[y/N]"), "{:?}", talk.out.so_far());
    assert_eq!((opened(&home), status(&home)), (None, json!("manual_authorization")));
}

#[test]
fn who_says_so_gets_a_browser_anywhere_and_waits_where_that_is_said() {
    let google = Google::authlib();
    let (home, _daemon) = waiting(&google);
    let mut command = with_browser(&home, &[&REAUTHORIZE[..], &["--browser", "--wait"]].concat());
    let mut talk = Talk::start({
        command.env("SSH_CONNECTION", "192.0.2.1 5 192.0.2.2 22");
        command
    });
    talk.err.expect("on this machine\n");
    let url = talk.err.expect("\n");
    assert_eq!(until("the browser is started", || opened(&home)), url);
    talk.err.expect(&format!("{WAITING}\n"));
    google.land(&url);
    assert!(talk.ended().success(), "{:?}", talk.err.so_far());
    assert!(talk.out.whole().contains("succeeded"));
    let said = talk.err.whole();
    assert!(said.matches(WAITING).count() == 1 && !said.contains('\x1b'), "no countdown in a file: {said}");
}

#[test]
fn a_browser_that_cannot_be_opened_is_told_and_the_address_stays() {
    let google = Google::oidc();
    let (home, _daemon) = waiting(&google);
    for (browser, told) in [
        ("/nonexistent/browser", "no browser was opened: there is no program"),
        ("false", "open the address by hand"),
    ] {
        let mut command = command(&home, &[&REAUTHORIZE[..], &["--browser", "--wait"]].concat());
        command.env("BROWSER", browser);
        let mut talk = Talk::start(command);
        talk.err.expect("on this machine\n");
        let url = talk.err.expect("\n");
        talk.err.expect(told);
        google.land(&url);
        assert!(talk.ended().success(), "{:?}", talk.err.so_far());
    }
}

#[test]
fn who_waits_no_longer_can_still_authorize_and_wait_again() {
    let google = Google::oidc();
    let (home, _daemon) = waiting(&google);
    let mut talk = Talk::on_terminal(&command(&home, &REAUTHORIZE));
    let url = shown(&mut talk, "\r\n");
    talk.out.expect(" left");
    talk.say("\x03");
    talk.out.expect("it can still be authorized until ");
    talk.out.expect("to wait again: bursar wait personal/ads");
    assert_eq!(talk.ended().code(), Some(130), "{:?}", talk.out.so_far());
    assert_eq!(status(&home), "manual_authorization");
    let mut again = Talk::on_terminal(&command(&home, &["wait", "ads"]));
    again.out.expect("waiting for the issuer, or for a person …");
    google.land(&url);
    assert!(again.ended().success(), "{:?}", again.out.so_far());
    assert_eq!(status(&home), "succeeded");
}

#[test]
fn who_waits_learns_how_it_ended_also_by_a_later_address() {
    let google = Google::authlib();
    let (home, _daemon) = waiting(&google);
    for denies in [true, false] {
        let mut talk = Talk::start(command(&home, &[&REAUTHORIZE[..], &["--wait"]].concat()));
        talk.err.expect("on this machine\n");
        let url = talk.err.expect("\n");
        talk.err.expect(&format!("{WAITING}\n"));
        if denies {
            visit(&google.deny(&url));
            assert_eq!(talk.ended().code(), Some(7), "{:?}", talk.err.so_far());
            talk.err.expect("access_denied");
            talk.err.expect("start over: bursar secret reauthorize personal/ads");
        } else {
            google.land(&ask_again(&home, "ads"));
            assert!(talk.ended().success(), "{:?}", talk.err.so_far());
            assert!(talk.out.whole().contains("succeeded"));
        }
    }
}
