//! The socket belongs to one user, and says nothing to others even where they can reach it.

use bursar_tests::secrets::token;
use bursar_tests::users::{as_user, can_become_others};
use bursar_tests::{Home, open_vault};
use serde_json::json;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::thread;

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// What the daemon answers to a thread that has become `uid`.
fn ask_as(uid: u32, home: &Home) -> String {
    as_user(uid, || {
        let mut socket = home.connect();
        socket.ask_quietly("artifact.get", &json!({ "secret": "t" })).ok();
        socket.line().unwrap_or_else(|| "closed".to_owned())
    })
}

#[test]
fn the_socket_and_the_store_are_for_the_owner_alone() {
    let (home, _daemon) = open_vault();
    assert_eq!(mode(&home.socket()), 0o600);
    let mut left = vec![home.path().to_path_buf()];
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(&dir).unwrap().flatten() {
            let path = entry.path();
            let kind = entry.file_type().unwrap();
            if kind.is_file() || kind.is_dir() {
                assert_eq!(mode(&path) & 0o077, 0, "{} is open to others", path.display());
            }
            if kind.is_dir() {
                left.push(path);
            }
        }
    }
}

#[test]
fn another_user_gets_no_answer_even_where_the_socket_is_open() {
    if !can_become_others() {
        return;
    }
    let (home, _daemon) = open_vault();
    home.create(token("t", "the-value"));
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(home.socket(), fs::Permissions::from_mode(0o666)).unwrap();
    assert!(ask_as(0, &home).contains("the-value"), "the way of asking works");
    let answer = ask_as(65534, &home);
    assert!(!answer.contains("the-value") && !answer.contains("result"), "{answer}");
    assert!(answer.contains("denied") || answer.contains("closed"), "{answer}");
    assert_eq!(home.ok("hello", json!({}))["agent"], "bursard");
}

#[test]
fn a_socket_that_another_user_put_there_is_told_nothing() {
    if !can_become_others() {
        return;
    }
    let home = Home::new();
    let place = home.path().join("trap");
    fs::create_dir(&place).unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&place, fs::Permissions::from_mode(0o777)).unwrap();
    let socket = place.join("s");
    let told = thread::scope(|scope| {
        let (ready, set) = std::sync::mpsc::channel();
        let trap = scope.spawn({
            let socket = &socket;
            move || {
                as_user(65534, move || {
                    let listener = UnixListener::bind(socket).unwrap();
                    ready.send(()).unwrap();
                    let mut told = Vec::new();
                    listener.accept().unwrap().0.read_to_end(&mut told).unwrap();
                    told
                })
            }
        });
        set.recv().unwrap();
        let arguments = ["--socket", socket.to_str().unwrap(), "unlock", "--passphrase-file", "-"];
        let run = home.cli_with_input(&arguments, "a passphrase for nobody else\n");
        assert_eq!(run.code, 4, "{run:?}");
        assert!(run.err.contains("runs as another user"), "{run:?}");
        trap.join().unwrap()
    });
    assert!(told.is_empty(), "{} bytes were told", told.len());
}
