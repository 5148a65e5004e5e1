//! Who is refused again and again fills no log: it has some lines, and one that says how many were left out. Others keep theirs.

use bursar_tests::users::{as_user, can_become_others};
use bursar_tests::{Daemon, Home, configured};
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;

const ANN: u32 = 64_411;
const BEN: u32 = 64_412;

/// Far more than a log should hold.
const TIMES: usize = 3_000;

/// The lines that one caller has in a minute.
const LINES: usize = 10;

/// What nobody vouches for.
const UNKNOWN: &str = "name-of-nothing";

/// A home that every user can go to.
fn open_to_all(config: &str) -> (Home, Daemon) {
    let (home, daemon) = configured(config);
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(home.socket(), fs::Permissions::from_mode(0o666)).unwrap();
    (home, daemon)
}

fn lines(home: &Home, parts: &[&str]) -> Vec<String> {
    let log = home.log();
    let has = |line: &&str| parts.iter().all(|part| line.contains(part));
    log.lines().filter(has).map(str::to_owned).collect()
}

/// Ends the daemon, which tells what it has left out so far.
fn left_out(home: &Home, daemon: Daemon, uid: u32) -> Vec<String> {
    assert!(daemon.stop().success());
    lines(home, &["more was refused", &format!("uid {uid}\"")])
}

#[test]
fn thousands_of_refused_connections_are_some_lines_and_a_number() {
    if !can_become_others() {
        return;
    }
    let (home, daemon) = open_to_all("");
    as_user(ANN, || {
        for _ in 0..TIMES {
            home.connect().line();
        }
    });
    as_user(BEN, || home.connect().line());
    let of = |uid: u32| lines(&home, &["a connection was refused", &format!("uid {uid}\""), "denied"]).len();
    assert_eq!((of(ANN), of(BEN)), (LINES, 1));
    let told = left_out(&home, daemon, ANN);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains(&format!("left_out={}", TIMES - LINES)), "{told:?}");
}

#[test]
fn thousands_of_refused_requests_are_some_lines_without_what_was_asked() {
    if !can_become_others() {
        return;
    }
    let (home, daemon) = open_to_all(&format!("[access]\nadmit = [\"uid {ANN}\"]\n"));
    as_user(ANN, || {
        let mut socket = home.connect();
        for _ in 0..TIMES / 2 {
            assert_eq!(socket.call("artifact.get", json!({ "secret": UNKNOWN })).unwrap_err().name, "denied");
            assert_eq!(socket.call("secret.show", json!({ "secret": UNKNOWN })).unwrap_err().name, "denied");
        }
    });
    let refused = lines(&home, &["a request was refused", &format!("uid {ANN}\"")]);
    assert_eq!(refused.len(), LINES, "{refused:?}");
    let whole = |line: &String| line.contains("WARN") && line.contains("denied") && line.contains("pid=");
    assert!(refused.iter().all(whole), "{refused:?}");
    for method in ["artifact.get", "secret.show"] {
        assert!(refused.iter().any(|line| line.contains(method)), "{method}: {refused:?}");
    }
    let told = left_out(&home, daemon, ANN);
    assert!(told.len() == 1 && told[0].contains(&format!("left_out={}", TIMES - LINES)), "{told:?}");
    assert!(!home.log().contains(UNKNOWN));
}
