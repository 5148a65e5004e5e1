//! One daemon to a home; it ends on every usual signal, and what an earlier one left behind does not stop it.

use bursar_tests::{Daemon, Home, open_vault};
use rustix::process::Signal;
use serde_json::json;
use std::fs;
use std::os::unix::net::UnixListener;

#[test]
fn a_second_daemon_says_already_running_with_the_pid() {
    let (home, daemon) = open_vault();
    let second = Daemon::spawn(&home, &[]).wait();
    assert!(!second.success());
    let log = home.log();
    assert!(log.contains("already running") && log.contains(&daemon.pid().to_string()), "{log}");
    assert_eq!(home.ok("agent.status", json!({}))["pid"], daemon.pid());
}

#[test]
fn a_stale_socket_is_replaced_and_logged() {
    let home = Home::new();
    drop(UnixListener::bind(home.socket()).unwrap()); // nobody listens, the file stays
    let daemon = home.start();
    assert!(home.log().contains("stale"), "{}", home.log());
    daemon.kill9();
    assert!(home.socket().exists(), "a kill leaves the socket behind");
    let _daemon = home.start();
}

#[test]
fn what_is_no_socket_is_not_replaced() {
    let home = Home::new();
    fs::write(home.socket(), "precious").unwrap();
    assert!(!Daemon::spawn(&home, &[]).wait().success());
    assert_eq!(fs::read_to_string(home.socket()).unwrap(), "precious");
    assert!(home.log().contains("bursar.sock"), "{}", home.log());
}

#[test]
fn a_path_that_is_too_long_is_named() {
    let home = Home::new();
    let long = home.path().join("x".repeat(120));
    let long = long.to_str().unwrap();
    assert!(!Daemon::spawn(&home, &[("BURSAR_HOME", long)]).wait().success());
    assert!(home.log().contains("107"), "{}", home.log());
    let run = home.cli(&["--socket", long, "agent", "status"]);
    assert!(run.code != 0 && run.err.contains("107"), "{run:?}");
}

#[test]
fn the_usual_signals_end_it_in_order() {
    for signal in [Signal::TERM, Signal::INT] {
        let (home, daemon) = open_vault();
        daemon.signal(signal);
        assert!(daemon.wait().success(), "{signal:?}: {}", home.log());
        assert!(!home.socket().exists(), "{signal:?}");
    }
}

#[test]
fn it_stops_when_asked_and_starts_with_what_it_had() {
    let (home, daemon) = open_vault();
    home.create(bursar_tests::secrets::token("t", "value"));
    home.ok("agent.stop", json!({}));
    assert!(daemon.wait().success());
    assert!(!home.socket().exists());
    let _daemon = home.start();
    assert_eq!(home.artifact("t")["value"], "value");
}
