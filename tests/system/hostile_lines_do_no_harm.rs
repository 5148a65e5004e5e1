//! Whatever is written to the socket, the writer gets a named error, and everybody else is served on.

use bursar_proto::frame::{ID_MAX, REQUEST_MAX};
use bursar_tests::secrets::{grant, token};
use bursar_tests::{FaultIssuer, Home, RawSocket, Reply, configured, open_vault};
use serde_json::{Value, json};
use std::time::Duration;

fn error_of(answer: &Value) -> (&str, i64) {
    (answer["error"]["data"]["name"].as_str().unwrap(), answer["error"]["code"].as_i64().unwrap())
}

#[track_caller]
fn still_serves(home: &Home) {
    assert_eq!(home.ok("hello", json!({}))["agent"], "bursard");
}

#[test]
fn a_bad_line_gets_its_error_and_the_connection_goes_on() {
    let (home, _daemon) = open_vault();
    let mut socket = home.connect();
    let deep = "[".repeat(100_000);
    let long_id = format!(r#"{{"jsonrpc":"2.0","id":"{}","method":"hello"}}"#, "x".repeat(ID_MAX + 1));
    let table: &[(&[u8], &[&str])] = &[
        (b"hunter2", &["parse_error"]),
        (b"{", &["parse_error"]),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"hello\"} x", &["parse_error"]),
        (b"\xff\xfe\x00", &["parse_error"]),
        (deep.as_bytes(), &["parse_error", "invalid_request"]),
        (b"[]", &["invalid_request"]),
        (b"7", &["invalid_request"]),
        (b"{}", &["invalid_request"]),
        (b"[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"hello\"}]", &["invalid_request"]),
        (b"{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"hello\"}", &["invalid_request"]),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1}", &["invalid_request"]),
        (b"{\"jsonrpc\":\"2.0\",\"id\":[1],\"method\":\"hello\"}", &["invalid_request"]),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":7}", &["invalid_request"]),
        (b"{\"jsonrpc\":\"2.0\",\"method\":\"hello\"}", &["invalid_request"]),
        (long_id.as_bytes(), &["invalid_request"]),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"hunter2\"}", &["unknown_method"]),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"secret.show\",\"params\":[\"hunter2\"]}", &["invalid"]),
        (
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"secret.show\",\"params\":{\"secret\":7}}",
            &["invalid"],
        ),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"secret.show\"}", &["invalid"]),
    ];
    for (line, expected) in table {
        let shown = String::from_utf8_lossy(&line[..line.len().min(80)]).into_owned();
        socket.send([line, b"\n".as_slice()].concat()).unwrap();
        let answer = socket.json();
        assert!(expected.contains(&error_of(&answer).0), "{shown}: {answer}");
        assert!(!answer.to_string().contains("hunter2"), "{answer}");
        assert!(answer["id"].is_null() || answer["id"] == 1, "{shown}: {answer}");
    }
    assert_eq!(socket.call("hello", json!({})).unwrap()["agent"], "bursard");
    assert!(!home.log().contains("hunter2"));
}

#[test]
fn a_line_over_the_limit_ends_its_connection_and_one_at_the_limit_does_not() {
    let (home, _daemon) = open_vault();
    let fill = |length: usize| {
        let (head, tail) = (r#"{"jsonrpc":"2.0","id":1,"method":"hello","params":{"x":""#, r#""}}"#);
        format!("{head}{}{tail}\n", "x".repeat(length - head.len() - tail.len()))
    };
    let mut socket = home.connect();
    socket.send(fill(REQUEST_MAX)).unwrap();
    assert_eq!(error_of(&socket.json()).0, "invalid");
    socket.send(fill(REQUEST_MAX + 1)).ok();
    assert_eq!(error_of(&socket.json()), ("line_too_long", -32001));
    assert_eq!(socket.line(), None, "the connection is closed");

    let mut endless = home.connect();
    let chunk = vec![b'x'; 64 * 1024];
    let written = (0..1024).take_while(|_| endless.send(&chunk).is_ok()).count();
    assert!(written < 1024, "64 MiB without a newline were taken");
    still_serves(&home);
}

#[test]
fn half_a_line_and_silence_are_bounded() {
    let limits = "[socket]\nframe_timeout = \"1s\"\nfirst_frame_timeout = \"1s\"\nidle_timeout = \"2s\"\n";
    let (home, _daemon) = configured(limits);
    let mut half = home.connect();
    half.send(r#"{"jsonrpc":"2.0","#).unwrap();
    let mut silent = home.connect();
    let mut idle = home.connect();
    idle.call("hello", json!({})).unwrap();
    for (what, socket) in [("half a line", &mut half), ("silence", &mut silent), ("idle", &mut idle)] {
        socket.read_timeout(Duration::from_secs(20));
        if let Some(line) = socket.line() {
            assert!(line.contains("too_slow"), "{what}: {line}");
            assert_eq!(socket.line(), None, "{what}: the connection is closed");
        }
    }
    still_serves(&home);
}

#[test]
fn too_many_connections_are_turned_away_and_the_old_ones_served() {
    let (home, _daemon) = configured("[socket]\nmax_connections = 8\n");
    let mut first = home.connect();
    first.call("hello", json!({})).unwrap();
    let mut kept: Vec<RawSocket> = Vec::new();
    let mut turned_away = 0;
    for _ in 0..1000 {
        let Ok(mut socket) = RawSocket::connect(&home.socket()) else { continue };
        // beyond the limit the daemon speaks first, and closes
        socket.ask_quietly("hello", &json!({})).ok();
        match socket.line() {
            Some(line) if line.contains("too_many_connections") => turned_away += 1,
            Some(line) => {
                assert!(line.contains("bursard"), "{line}");
                kept.push(socket);
            }
            None => turned_away += 1,
        }
    }
    assert!(kept.len() <= 8 && turned_away >= 992, "{} kept, {turned_away} turned away", kept.len());
    assert_eq!(first.call("hello", json!({})).unwrap()["agent"], "bursard");
    drop(kept);
    bursar_tests::until("there is place again", || {
        RawSocket::connect(&home.socket()).ok()?.call("hello", json!({})).ok()
    });
}

#[test]
fn a_thousand_connections_come_and_go() {
    let (home, _daemon) = open_vault();
    for round in 0..1000 {
        let mut socket = home.connect();
        if round % 3 == 0 {
            socket.send("{\"jsonrpc\":").unwrap(); // and leaves in the middle of a line
        } else if round % 3 == 1 {
            socket.call("hello", json!({})).unwrap();
        }
    }
    still_serves(&home);
}

#[test]
fn pipelined_calls_are_all_answered_with_their_ids() {
    let (home, _daemon) = open_vault();
    home.create(token("t", "value"));
    let mut socket = home.connect();
    let mut batch = String::new();
    for id in 0..500 {
        let line = match id % 3 {
            0 => json!({ "jsonrpc": "2.0", "id": id, "method": "artifact.get", "params": { "secret": "t" } }),
            1 => json!({ "jsonrpc": "2.0", "id": format!("text-{id}"), "method": "hello" }),
            _ => json!({ "jsonrpc": "2.0", "id": id, "method": "no.such" }),
        };
        batch += &line.to_string();
        batch.push('\n');
    }
    socket.send(&batch).unwrap();
    let mut seen: Vec<Value> = Vec::new();
    for _ in 0..500 {
        let answer = socket.json();
        let id = answer["id"].clone();
        match id.as_u64().map(|id| id % 3) {
            Some(0) => assert_eq!(answer["result"]["value"], "value", "{answer}"),
            Some(_) => assert_eq!(error_of(&answer).0, "unknown_method", "{answer}"),
            None => assert_eq!(answer["result"]["agent"], "bursard", "{answer}"),
        }
        assert!(!seen.contains(&id), "{id} is answered twice");
        seen.push(id);
    }
}

#[test]
fn who_has_said_all_still_gets_the_answer() {
    let (home, _daemon) = open_vault();
    let issuer = FaultIssuer::new(Reply::Held(3600));
    home.ok("secret.create", grant("slow", &issuer.token_url()));
    let mut socket = home.connect();
    socket.ask("secret.wait", &json!({ "secret": "slow" }));
    socket.finish(); // as `nc -N` and `socat` do at the end of their input
    home.ok("hello", json!({}));
    issuer.release();
    assert_eq!(socket.json()["result"]["status"], "succeeded");
    assert_eq!(socket.line(), None);
}

#[test]
fn a_reader_who_does_not_read_delays_nobody() {
    let (home, _daemon) = open_vault();
    home.create(token("t", &"v".repeat(20_000)));
    let mut greedy = home.connect();
    greedy.write_timeout(Duration::from_millis(500));
    for _ in 0..2000 {
        let request = r#"{"jsonrpc":"2.0","id":1,"method":"artifact.get","params":{"secret":"t"}}"#;
        if greedy.send(format!("{request}\n")).is_err() {
            break; // full: the daemon waits for us to read
        }
    }
    assert_eq!(home.artifact("t")["value"].as_str().unwrap().len(), 20_000);
}
