use super::*;
use crate::args::{Args, Command};
use crate::commands;
use crate::surroundings::Unattended;
use bursar_proto::client_secret::{PublicId, Random, compose};
use bursar_proto::error::ErrorName;
use bursar_proto::sensitive::Sensitive;
use clap::Parser;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Mutex;
use std::thread::{JoinHandle, scope, spawn};
use zeroize::Zeroizing;

/// An agent for one connection, which answers each method with what `answer` has for it; it ends with what it was asked.
pub(crate) fn agent(
    home: &Path,
    answer: impl Fn(&str) -> Value + Send + Sync + 'static,
) -> JoinHandle<Vec<(String, Value)>> {
    agent_of(home, 1, answer)
}

/// The same for several connections, which may stand at once.
pub(crate) fn agent_of(
    home: &Path,
    connections: usize,
    answer: impl Fn(&str) -> Value + Send + Sync + 'static,
) -> JoinHandle<Vec<(String, Value)>> {
    let listener = UnixListener::bind(home.join("s")).unwrap();
    spawn(move || {
        let asked = Mutex::new(Vec::new());
        scope(|all| {
            for _ in 0..connections {
                let (stream, _) = listener.accept().unwrap();
                all.spawn(|| serve(stream, &answer, &asked));
            }
        });
        asked.into_inner().unwrap()
    })
}

/// Answers one connection to its end.
fn serve(mut stream: UnixStream, answer: impl Fn(&str) -> Value, asked: &Mutex<Vec<(String, Value)>>) {
    for line in BufReader::new(stream.try_clone().unwrap()).lines() {
        let request: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let method = request["method"].as_str().unwrap().to_owned();
        let mut told = answer(&method);
        told["jsonrpc"] = "2.0".into();
        told["id"] = request["id"].clone();
        // before the answer, which its asker may take for the end
        asked.lock().unwrap().push((method, request["params"].clone()));
        writeln!(stream, "{told}").unwrap();
    }
}

fn secret() -> String {
    compose(&PublicId::from_random([1; 8]), &Random::new(Zeroizing::new([1; 32]))).expose().to_owned()
}

/// A session of a command line, and its command.
pub(crate) fn session(home: &Path, line: &str) -> (Session, Command) {
    let line = format!("{line} --json --socket {}", home.join("s").display());
    let args = Args::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{error}"));
    let unattended = Unattended { client_secrets: Some(Sensitive::new(secret())), ..Unattended::default() };
    let printer = Printer::new(true, true);
    let mode = NonInteractive::begin(&args, || "bursar".into(), || unattended, &printer);
    let mode = mode.unwrap_or_else(|stop| panic!("{stop:?}"));
    (Session::new("bursar".into(), args.global, Surroundings::default(), printer, mode), args.command)
}

#[test]
fn without_a_person_every_connection_authenticates_first() {
    let home = tempfile::tempdir().unwrap();
    let agent = agent(home.path(), |method| match method {
        "authenticate" => json!({ "result": { "client_secrets": [] } }),
        _ => json!({ "result": { "package": "acme/site", "versions": [] } }),
    });
    let (session, command) = session(home.path(), "bursar info acme/site --non-interactive");
    assert!(session.is_non_interactive() && !session.input.interactive());
    commands::run(&session, command).unwrap();
    let asked = agent.join().unwrap();
    let methods: Vec<&str> = asked.iter().map(|(method, _)| method.as_str()).collect();
    assert_eq!(methods, ["authenticate", "package.show"]);
    assert_eq!(asked[0].1, json!({ "client_secrets": [secret()], "command": "info", "ci": null }));
}

#[test]
fn who_is_not_let_in_asks_nothing_more() {
    let home = tempfile::tempdir().unwrap();
    let agent = agent(home.path(), |_| {
        let data = json!({ "name": "client_secret_revoked", "hint": "make another" });
        json!({ "error": { "code": -32093, "message": "client secret x was revoked", "data": data } })
    });
    let (session, command) = session(home.path(), "bursar info acme/site --non-interactive");
    let Err(Stop::Failed(error)) = commands::run(&session, command) else { panic!("it was let in") };
    assert_eq!((error.name, error.name.exit_code()), (ErrorName::ClientSecretRevoked, 4));
    assert_eq!(
        (error.message.as_str(), error.hint.as_deref()),
        ("client secret x was revoked", Some("make another"))
    );
    drop(session);
    assert_eq!(agent.join().unwrap().len(), 1);
}

#[test]
fn a_person_does_not_authenticate() {
    let home = tempfile::tempdir().unwrap();
    let agent = agent(home.path(), |_| json!({ "result": [] }));
    let (session, command) = session(home.path(), "bursar info");
    assert!(!session.is_non_interactive());
    commands::run(&session, command).unwrap();
    assert_eq!(agent.join().unwrap(), [("package.list".to_owned(), json!({ "organization": null }))]);
}
