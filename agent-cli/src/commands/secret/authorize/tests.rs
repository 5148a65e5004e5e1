use super::super::show;
use super::*;
use crate::commands;
use crate::input::Input;
use crate::session::tests::{agent_of, session};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::path::Path;

const URL: &str = "https://accounts.example/auth?client_id=i&state=s";

fn json_of(status: &str) -> Value {
    let mut json = show::tests::example();
    json["type"] = "oauth2-google".into();
    json["status"] = status.into();
    if status == "manual_authorization" {
        json["authorization_url"] = URL.into();
        json["authorization_url_expires_at"] = "2026-11-21T07:00:00Z".into();
    }
    json
}

fn secret(status: &str) -> Secret {
    serde_json::from_value(json_of(status)).unwrap()
}

/// What a person types, line by line, and what the agent makes of each address.
fn typed(
    on_terminal: bool,
    lines: &[&str],
    answers: impl Fn(&str) -> Result<Secret, CallError>,
) -> (Result<Option<Secret>, CallError>, Vec<String>, usize) {
    let (told, sent, mut lines) = (RefCell::new(Vec::new()), RefCell::new(0), lines.iter());
    let taken = take(
        on_terminal,
        || Ok(Zeroizing::new((*lines.next().expect("asked once more than was typed")).to_owned())),
        |redirect| {
            *sent.borrow_mut() += 1;
            answers(redirect.expose())
        },
        |refused| told.borrow_mut().push(refused.message.clone()),
    );
    let taken = taken.map_err(|stop| match stop {
        Stop::Failed(error) => error,
        other => panic!("{other:?}"),
    });
    (taken, told.into_inner(), sent.into_inner())
}

#[test]
fn the_address_stands_on_a_line_of_its_own() {
    let now = "2026-11-21T06:00:00Z".parse().unwrap();
    for (opening, lines) in
        [(Opening::Open, 2), (Opening::Offer, 2), (Opening::Leave, 3), (Opening::Elsewhere, 3)]
    {
        let mut long = secret("manual_authorization");
        let url = format!("{URL}&scope={}", "x".repeat(2000));
        long.authorization_url = Some(url.clone());
        let text = notice(&long, &url, opening, now);
        let said: Vec<&str> = text.lines().collect();
        assert_eq!(said[1], url, "{opening:?}");
        assert_eq!(said.len(), lines, "{text}");
        assert!(said[0].contains("acme/x until 2026-11-21T07:00:00Z (in 1 h)"), "{text}");
    }
}

#[test]
fn a_person_hears_where_the_browser_may_stand_and_what_it_ends_on() {
    let now = Timestamp::from_seconds(0);
    let said = |opening| notice(&secret("manual_authorization"), URL, opening, now);
    assert!(said(Opening::Elsewhere).contains("in a browser on any machine"));
    assert!(said(Opening::Elsewhere).ends_with(
        "an address that begins with http://127.0.0.1, and may fail to open it: paste that address here"
    ));
    assert!(said(Opening::Leave).contains("in a browser on this machine"));
    assert!(said(Opening::Leave).ends_with("bursar secret reauthorize acme/x --no-browser"));
    let steering = notice(&secret("manual_authorization"), "https://a/\x1b[2J\nx", Opening::Leave, now);
    assert!(steering.contains("\nhttps://a/\u{fffd}[2J\u{fffd}x\n"), "{steering:?}");
}

#[test]
fn an_address_of_this_machine_is_handed_over_as_it_is() {
    for line in [
        "http://127.0.0.1:4711/oauth2/callback?code=4/0Ab&state=s",
        "  http://localhost:4711/oauth2/callback?error=access_denied\r",
        "'http://127.0.0.1:4711/oauth2/callback?code=c&state=s'",
    ] {
        let (taken, told, sent) = typed(false, &[line], |redirect| {
            assert_eq!(redirect, line.trim().trim_matches('\''));
            Ok(secret("succeeded"))
        });
        assert!(taken.unwrap().is_some() && told.is_empty());
        assert_eq!(sent, 1);
    }
}

#[test]
fn what_is_clearly_none_is_asked_for_three_times_on_a_terminal_and_never_repeated() {
    let no_address = ["https://accounts.example/?code=hunter2", "hunter2", "127.0.0.1:1/?code=hunter2"];
    let (taken, told, sent) = typed(true, &no_address, |_| Ok(secret("succeeded")));
    let refused = taken.unwrap_err();
    assert_eq!((refused.name.exit_code(), told.len(), sent), (2, 2, 0));
    assert!(!format!("{} {told:?}", refused.message).contains("unter2"), "{refused}");

    let (taken, told, sent) =
        typed(true, &["hunter2", "http://127.0.0.1:1/oauth2/callback?code=c"], |_| Ok(secret("succeeded")));
    assert!(taken.unwrap().is_some());
    assert_eq!((told.len(), sent), (1, 1));
}

#[test]
fn a_script_has_one_try() {
    for line in ["hunter2", ""] {
        let (taken, told, sent) = typed(false, &[line], |_| Ok(secret("succeeded")));
        assert_eq!((taken.unwrap_err().name.exit_code(), told.len(), sent), (2, 0, 0));
    }
}

#[test]
fn an_address_has_its_length() {
    let start = "http://127.0.0.1:1/?code=";
    let of = |length: usize| start.to_owned() + &"x".repeat(length - start.len());
    assert!(address(&of(REDIRECT_MAX)).is_ok());
    assert_eq!(address(&of(REDIRECT_MAX + 1)).unwrap_err().message, "the address is over 8 KiB");
}

#[test]
fn what_the_agent_does_not_take_for_one_is_asked_for_again_and_other_refusals_end_it() {
    let line = "http://127.0.0.1:1/elsewhere";
    let refuse = |name| move |_: &str| Err(CallError::new(name, "no such address"));
    for name in [ErrorName::Invalid, ErrorName::NeedsAuthorization, ErrorName::Locked] {
        let (taken, told, sent) = typed(true, &[line; 3], refuse(name));
        assert_eq!((taken.unwrap_err().name, told.len(), sent), (name, 2, 3));
        let (taken, told, sent) = typed(false, &[line], refuse(name));
        assert_eq!((taken.unwrap_err().name, told.len(), sent), (name, 0, 1));
    }
    let (taken, told, sent) = typed(true, &[line], refuse(ErrorName::NotFound));
    assert_eq!((taken.unwrap_err().name.exit_code(), told.len(), sent), (5, 0, 1));
}

#[test]
fn nothing_says_that_the_browser_came_through_by_itself() {
    let (taken, _, sent) = typed(true, &[" "], |_| Ok(secret("succeeded")));
    assert!(taken.unwrap().is_none());
    assert_eq!(sent, 0);
}

/// How a command line ends at an agent that answers `secret.wait` with a secret of this status, and what it was asked.
fn ended(line: &str, status: &'static str) -> (Result<(), CallError>, Vec<String>) {
    let home = tempfile::tempdir().unwrap();
    let connections = if line.ends_with("--wait") { 2 } else { 1 };
    let agent = agent_of(home.path(), connections, move |method| match method {
        "secret.wait" => {
            let mut json = json_of(status);
            json["authorization_url"] = Value::Null;
            json["status_details"] = "access_denied; hint: bursar secret reauthorize acme/x".into();
            json!({ "result": json })
        }
        _ => json!({ "result": json_of("manual_authorization") }),
    });
    let ended = run_in(home.path(), line);
    let asked = agent.join().unwrap().into_iter().map(|(method, _)| method).collect();
    (ended, asked)
}

fn run_in(home: &Path, line: &str) -> Result<(), CallError> {
    let (session, command) = session(home, line);
    commands::run(&session, command).map_err(|stop| match stop {
        Stop::Failed(error) => error,
        other => panic!("{other:?}"),
    })
}

#[test]
fn who_does_not_wait_has_the_address_and_is_done() {
    let (ended, asked) = ended("bursar secret reauthorize acme/x", "succeeded");
    assert!(ended.is_ok());
    assert_eq!(asked, ["secret.reauthorize"]);
}

#[test]
fn who_waits_hears_by_the_exit_code_how_it_ended() {
    for (status, code) in [("succeeded", 0), ("failed", 7), ("manual_authorization", 6)] {
        let (ended, asked) = ended("bursar secret reauthorize acme/x --wait", status);
        assert_eq!(asked, ["secret.reauthorize", "secret.wait"]);
        assert_eq!(ended.as_ref().map_or_else(|error| error.name.exit_code(), |()| 0), code, "{status}");
        if let Err(error) = ended {
            assert_eq!(error.hint.as_deref(), Some("bursar secret reauthorize acme/x"));
        }
    }
}

#[test]
fn a_new_secret_is_waited_for_like_one_that_is_authorized_anew() {
    let line = "bursar secret create acme/x --type oauth2-google --scopes https://a,https://b --wait";
    let (ended, asked) = ended(line, "succeeded");
    assert!(ended.is_ok());
    assert_eq!(asked, ["secret.create", "secret.wait"]);
}

#[test]
fn flags_for_a_browser_are_refused_where_no_person_authorizes() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("f");
    std::fs::write(&file, "t").unwrap();
    for flag in ["--browser", "--no-browser"] {
        let line = format!("bursar secret create x --type token --token-file {} {flag}", file.display());
        // nobody listens: it is refused before anybody is asked
        let refused = run_in(home.path(), &line).unwrap_err();
        assert_eq!(refused.name.exit_code(), 2);
        assert_eq!(refused.message, format!("{flag} is for other types than token"));
        assert_eq!(refused.hint.unwrap(), "a person authorizes secrets of: oauth2-google");
    }
}

#[test]
fn an_address_is_not_read_from_where_the_fields_were() {
    let home = tempfile::tempdir().unwrap();
    let (mut session, _) = session(home.path(), "bursar get x");
    let elsewhere = Browsing { browser: false, no_browser: true };
    session.input = Input::default();
    assert!(check(&session, SecretType::Google, &elsewhere).is_ok());
    session.input = Input::without_terminal();
    let Err(Stop::Failed(refused)) = check(&session, SecretType::Google, &elsewhere) else { panic!() };
    assert_eq!(refused.name.exit_code(), 2);
    assert!(check(&session, SecretType::Google, &Browsing::default()).is_ok());
}
