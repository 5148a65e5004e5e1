use super::form::tests::made;
use super::*;
use bursar_proto::client_secret::CLIENT_SECRETS_MAX;
use bursar_proto::sensitive::Sensitive;
use clap::{CommandFactory, Parser};
use std::collections::BTreeMap;

fn args(line: &str) -> Args {
    match Args::try_parse_from(line.split(' ')) {
        Ok(args) => args,
        Err(error) => panic!("{line}: {error}"),
    }
}

fn begun_with(line: &str, unattended: Unattended) -> Result<Option<NonInteractive>, CallError> {
    let called = || "bursar it".to_owned();
    match NonInteractive::begin(&args(line), called, || unattended, &Printer::new(true, true)) {
        Ok(mode) => Ok(mode),
        Err(Stop::Failed(error)) => Err(error),
        Err(other) => panic!("{other:?}"),
    }
}

fn begun(line: &str) -> Result<Option<NonInteractive>, CallError> {
    begun_with(line, Unattended::default())
}

fn variable(text: &str) -> Unattended {
    Unattended { client_secrets: Some(Sensitive::new(text.to_owned())), ..Unattended::default() }
}

fn refused(line: &str) -> (u8, String, String) {
    match begun(line) {
        Ok(_) => panic!("{line}: was taken"),
        Err(error) => (error.name.exit_code(), error.message, error.hint.unwrap_or_default()),
    }
}

fn values(mode: &NonInteractive) -> Vec<&str> {
    mode.call.client_secrets.iter().map(Sensitive::expose).collect()
}

#[test]
fn client_secrets_stand_anywhere_in_the_command_line() {
    let (one, two) = (made(1), made(2));
    for line in [
        format!("bursar add -p acme/site --non-interactive --client-secrets {one} {two}"),
        format!("bursar --non-interactive --client-secrets {one} {two} add -p acme/site"),
        format!("bursar --client-secrets {one} {two} --non-interactive add -p acme/site"),
        format!("bursar add --client-secrets {one} {two} -p acme/site --non-interactive"),
        format!("bursar add --client-secrets={one} --client-secrets={two} --non-interactive -p acme/site"),
        format!("bursar --non-interactive add --client-secrets {one};{two} -p acme/site"),
    ] {
        let mode = begun(&line).unwrap().unwrap();
        assert_eq!(values(&mode), [&one, &two], "{line}");
        assert_eq!(mode.call.command.as_deref(), Some("add"), "{line}");
        let Command::Add(add) = args(&line).command else { panic!("{line}") };
        assert_eq!(add.package.len(), 1, "{line}");
    }
    let package = format!("bursar info acme/site --non-interactive --client-secrets {one}");
    let Command::Info(shown) = args(&package).command else { panic!() };
    assert!(shown.package.is_some());
}

#[test]
fn without_the_mode_a_flag_is_refused_and_the_variable_ignored() {
    for (flag, value) in [("--client-secrets", "hunter2"), ("--client-secrets-file", "/nowhere")] {
        for command in ["sync", "get x", "agent status"] {
            let (code, message, hint) = refused(&format!("bursar {command} {flag} {value}"));
            assert_eq!(
                (code, message),
                (2, format!("{flag} counts only with --non-interactive, which is missing"))
            );
            assert_eq!(hint, format!("add --non-interactive, or leave {flag} out"));
        }
    }
    let unread = || -> Unattended { panic!("the variable was looked at") };
    let line = args("bursar sync");
    let mode =
        NonInteractive::begin(&line, || panic!("it was not refused"), unread, &Printer::new(true, true));
    assert!(mode.unwrap().is_none());
}

#[test]
fn only_five_commands_exist() {
    let mut top = Args::command();
    top.build();
    let mut seen = 0;
    for command in top.get_subcommands().filter(|command| command.get_name() != "help") {
        let mut examples = vec![command.get_after_help().map(ToString::to_string).unwrap_or_default()];
        examples.extend(
            command.get_subcommands().filter_map(|verb| verb.get_after_help()).map(ToString::to_string),
        );
        let lines = examples.iter().flat_map(|text| text.lines()).map(str::trim);
        for line in lines.filter_map(|line| line.strip_prefix(&format!("bursar {}", command.get_name()))) {
            let line = line.split(['>', '|', '<']).next().unwrap_or_default().trim_end();
            let line = format!("bursar --non-interactive {}{line}", command.get_name());
            let read = Args::try_parse_from(line.split_whitespace())
                .unwrap_or_else(|error| panic!("{line}: {error}"));
            let exists = ["add", "sync", "status", "publish", "info"].contains(&command.get_name());
            assert_eq!(existing(&read.command), exists.then(|| command.get_name()), "{line}");
            seen += 1;
        }
    }
    assert!(seen > 40, "{seen}");
}

#[test]
fn another_command_is_refused_by_name_before_anything_is_read() {
    let unread = || -> Unattended { panic!("the environment was looked at") };
    for line in [
        "bursar get x --non-interactive",
        "bursar exec --non-interactive -- true",
        "bursar google show --non-interactive",
        "bursar secret reauthorize x --browser --non-interactive",
    ] {
        let mode =
            NonInteractive::begin(&args(line), || "bursar get".into(), unread, &Printer::new(true, true));
        let Err(Stop::Failed(error)) = mode else { panic!("{line}") };
        assert_eq!((error.name, error.name.exit_code()), (ErrorName::Denied, 4));
        assert_eq!(
            error.message,
            "bursar get does not exist in non-interactive mode: add, sync, status, publish and info are all that does"
        );
    }
    let file = refused("bursar secret list --non-interactive --client-secrets-file /nowhere");
    assert_eq!(file.0, 4);
}

#[test]
fn the_mode_needs_client_secrets_and_not_too_many() {
    let (code, message, hint) = refused("bursar sync --non-interactive");
    assert_eq!(
        (code, message.as_str()),
        (2, "non-interactive mode needs client secrets, and none was given")
    );
    assert!(hint.contains("--client-secrets-file FILE"), "{hint}");
    let many = vec!["x"; CLIENT_SECRETS_MAX + 1].join(" ");
    assert_eq!(refused(&format!("bursar sync --non-interactive --client-secrets {many}")).0, 2);
    assert_eq!(refused("bursar sync --non-interactive --client-secrets-file /nowhere").0, 2);
}

#[test]
fn what_is_written_as_one_is_what_the_agent_is_asked_about() {
    let (one, two) = (made(1), made(2));
    let mode = begun_with("bursar sync --non-interactive", variable(&format!(";{one};\nhunter2;{two}\r\n")));
    let mode = mode.unwrap().unwrap();
    assert_eq!(values(&mode), [&one, &two]);
    assert_eq!((mode.call.command.as_deref(), &mode.call.ci), (Some("sync"), &None));
    let (code, message, _) = refused("bursar sync --non-interactive --client-secrets hunter2 hunter3");
    assert!(
        code == 4 && message.contains("client secret 2 is malformed") && !message.contains("unter"),
        "{message}"
    );
}

#[test]
fn what_a_ci_says_goes_along() {
    let ci = BTreeMap::from([("CI", "true".to_owned())]);
    let unattended = Unattended { ci, ..variable(&made(1)) };
    let mode = begun_with("bursar status --non-interactive", unattended).unwrap().unwrap();
    assert_eq!(mode.call.ci, Some(BTreeMap::from([("name".to_owned(), "ci".to_owned())])));
}

#[test]
fn a_client_secret_in_the_place_of_a_name_goes_nowhere() {
    let (one, two) = (made(1), made(2));
    let stray = |line: &str| {
        let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        refuse_stray(&arguments, &args(line))
    };
    for line in [
        format!("bursar info --non-interactive --client-secrets={one} {two}"),
        format!("bursar info {one}"),
        format!("bursar get {one}"),
    ] {
        let Err(Stop::Failed(error)) = stray(&line) else { panic!("{line}") };
        assert_eq!(error.name.exit_code(), 2);
        assert!(!error.message.contains(&one[20..]), "{}", error.message);
    }
    assert!(stray(&format!("bursar info --non-interactive --client-secrets {one} {two}")).is_ok());
    assert!(stray("bursar info acme/site").is_ok());
    assert!(stray(&format!("bursar exec -- echo {one}")).is_ok());
}

#[test]
fn our_copy_of_the_command_line_is_wiped() {
    let (one, two) = (made(1), made(2));
    let line = format!(
        "bursar --non-interactive --client-secrets={one} --client-secrets {two} hunter2 info acme/site"
    );
    let mut arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
    wipe(&mut arguments, &args(&line));
    assert_eq!(arguments.join(" ".as_ref()), "bursar --non-interactive  --client-secrets   info acme/site");
}

#[test]
fn one_that_does_not_count_is_told_on_a_line() {
    let line = |json: serde_json::Value| warning((1, &serde_json::from_value(json).unwrap()));
    let expired = serde_json::json!({
        "id": "k3j9x2m4pq", "organization": null, "environment": null, "role": null, "expires_at": null,
        "error": "client_secret_expired", "problem": "client secret k3j9x2m4pq ended\n on monday",
        "hint": "bursar client-secret rotate"
    });
    assert_eq!(
        line(expired.clone()).unwrap(),
        "warning: client secret k3j9x2m4pq ended\u{fffd} on monday; it does not count; hint: bursar client-secret rotate"
    );
    let mut bare = expired;
    for member in ["problem", "hint", "id"] {
        bare[member] = serde_json::Value::Null;
    }
    assert_eq!(line(bare).unwrap(), "warning: client secret 2: client_secret_expired; it does not count");
    let good = serde_json::json!({
        "id": "k3j9x2m4pq", "organization": "acme", "environment": null, "role": "viewer",
        "expires_at": "2026-11-21T06:00:00Z", "error": null, "problem": null, "hint": null
    });
    assert_eq!(line(good), None);
}
