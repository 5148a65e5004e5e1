//! A connection that tried to authenticate is never the owner's any more, however badly the try was written.

use bursar_tests::client_secrets::{Issued, issue};
use bursar_tests::library::acme_with_api;
use bursar_tests::{Daemon, Home, RawSocket, open_vault};
use serde_json::{Value, json};

fn vault() -> (Home, Daemon, Issued) {
    let (home, daemon) = open_vault();
    acme_with_api(&home);
    let issued = issue(&home, "acme", "viewer", None);
    (home, daemon, issued)
}

/// A try as it should be written.
fn good(value: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":7,"method":"authenticate","params":{{"client_secrets":["{value}"]}}}}"#)
}

/// Each way in which it may be broken.
fn broken(value: &str) -> Vec<(&'static str, Vec<u8>)> {
    let good = good(value);
    let with = |from: &str, to: &str| {
        assert!(good.contains(from));
        good.replacen(from, to, 1).into_bytes()
    };
    let method = r#""method":"authenticate""#;
    let middle = good.find(value).unwrap() + value.len() / 2;
    let mut invalid = good.clone().into_bytes();
    invalid[middle] = 0xff;
    let (start, end) = good.split_at(middle);
    vec![
        ("a byte that is no text", invalid),
        ("no id", with(r#""id":7,"#, "")),
        ("an id that is null", with(r#""id":7"#, r#""id":null"#)),
        ("an id that is an object", with(r#""id":7"#, r#""id":{}"#)),
        ("an id that is too long", with(r#""id":7"#, &format!(r#""id":"{}""#, "7".repeat(1_000)))),
        ("another version", with("2.0", "1.0")),
        ("no version", with(r#""jsonrpc":"2.0","#, "")),
        ("the method twice, another first", with(method, &format!(r#""method":"hello",{method}"#))),
        ("the method twice, another last", with(method, &format!(r#"{method},"method":"hello""#))),
        ("the parameters twice", with(r#""params""#, r#""params":{},"params""#)),
        ("a further member", with(method, &format!(r#"{method},"further":1"#))),
        ("no brace at the end", good[..good.len() - 1].into()),
        ("half of it", good[..middle].into()),
        ("something behind it", format!("{good} x").into()),
        ("something before it", format!("\u{feff}{good}").into()),
        ("the method with an escape", with("authenticate", r"\u0061uthenticate")),
        ("the method in capitals", with("authenticate", "Authenticate")),
        ("the method with a blank", with("authenticate", "authenticate ")),
        ("the method misspelt", with("authenticate", "autenticate")),
        ("no method", with(&format!("{method},"), "")),
        ("in an array", format!("[{good}]").into()),
        ("on two lines", format!("{start}\n{end}").into()),
        ("parameters in an array", with(r#"{"client_secrets":["#, "[[").into_iter().collect()),
        ("no parameters", with(&format!(r#"{{"client_secrets":["{value}"]}}"#), "null")),
        ("an empty list", with(&format!(r#""{value}""#), "")),
        ("a text for a list", with(&format!(r#"["{value}"]"#), &format!(r#""{value}""#))),
        ("a further field", with(r#"{"client_secrets""#, r#"{"further":1,"client_secrets""#)),
        ("a command that is none", with(r#"{"client_secrets""#, r#"{"command":7,"client_secrets""#)),
    ]
}

/// What a get answers that comes in one burst with `line`, behind it.
fn get_behind(socket: &mut RawSocket, line: &[u8]) -> Value {
    let get =
        r#"{"jsonrpc":"2.0","id":"get","method":"artifact.get","params":{"secret":"acme/api-staging"}}"#;
    socket.send([line, b"\n", get.as_bytes(), b"\n"].concat()).unwrap();
    loop {
        let answer = socket.json();
        if answer["id"] == "get" {
            return answer;
        }
        assert!(!answer["error"].is_null(), "it should be refused: {answer}");
    }
}

#[test]
fn a_broken_try_leaves_nothing() {
    let (home, _daemon, issued) = vault();
    for (how, line) in broken(&issued.value) {
        let mut socket = home.connect();
        let answer = get_behind(&mut socket, &line);
        assert_eq!(answer["error"]["data"]["name"], "denied", "{how}: {answer}");
        // and the right one still gives what it gives
        let told = socket.call("authenticate", json!({ "client_secrets": [issued.value] })).unwrap();
        assert_eq!(told["client_secrets"][0]["role"], "viewer", "{how}");
        socket.call("package.list", json!({})).unwrap();
        assert_eq!(socket.call("secret.list", json!({})).unwrap_err().name, "denied", "{how}");
    }
}

#[test]
fn what_it_had_before_goes_as_well() {
    let (home, _daemon, issued) = vault();
    for (how, line) in broken(&issued.value) {
        let mut socket = home.connect();
        socket.call("authenticate", json!({ "client_secrets": [issued.value] })).unwrap();
        socket.call("package.list", json!({})).unwrap();
        get_behind(&mut socket, &line);
        assert_eq!(socket.call("package.list", json!({})).unwrap_err().name, "denied", "{how}");
    }
}

#[test]
fn any_other_broken_line_takes_nothing() {
    let (home, _daemon, _) = vault();
    let mut socket = home.connect();
    for line in [
        r#"{"jsonrpc":"2.0","id":7,"method":"hello""#,
        r#"{"jsonrpc":"1.0","id":7,"method":"hello"}"#,
        r#"{"jsonrpc":"2.0","id":null,"method":"secret.list"}"#,
        r#"{"jsonrpc":"2.0","id":7,"method":"no.such"}"#,
        r#"{"jsonrpc":"2.0","id":7,"method":"client_secret.no_such"}"#,
        r#"{"jsonrpc":"2.0","id":7,"method":"client_secret.show","params":{}}"#,
        "[]",
        "\u{feff}",
    ] {
        let answer = get_behind(&mut socket, line.as_bytes());
        assert_eq!(answer["result"]["value"], "value-of-staging", "{line}: {answer}");
    }
}
