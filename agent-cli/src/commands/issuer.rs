//! `bursar google …`: the settings of an issuer that has a name of its own. Its client's secret goes from a file or a
//! prompt into the one call, and nowhere else.

mod client_file;

use crate::args::issuer::{Configure, Verb};
use crate::origin::Origin;
use crate::output::text::{now, record, time};
use crate::session::Session;
use crate::stop::Stop;
use bursar_proto::call::{IssuerConfigure, IssuerShow};
use bursar_proto::error::CallError;
use bursar_proto::kind::{Issuer, SecretType};
use bursar_proto::reply::IssuerSettings;
use bursar_proto::sensitive::Sensitive;
use bursar_proto::time::Timestamp;
use client_file::Client;
use std::path::Path;

pub(crate) fn run(session: &Session, issuer: Issuer, verb: Verb) -> Result<(), Stop> {
    match verb {
        Verb::Configure(configure) => self::configure(session, issuer, configure),
        Verb::Show => print(session, &session.ask(&IssuerShow { issuer })?),
    }
}

fn configure(session: &Session, issuer: Issuer, configure: Configure) -> Result<(), Stop> {
    let file = configure.client_file;
    let client = match (&file, configure.client_id) {
        (Some(file), _) => client_file::read(session, file)?,
        (None, Some(client_id)) => {
            Client { client_id, client_secret: secret(session, configure.client_secret_file.as_deref())? }
        }
        (None, None) => return Err(Stop::usage("missing: --client-id, or --client-file")),
    };
    let call = IssuerConfigure {
        issuer,
        client_id: client.client_id,
        client_secret: client.client_secret,
        authorization_url: configure.authorization_url,
        token_url: configure.token_url,
    };
    // a prompt comes before the connection: the agent need not wait for a person
    let mut client = session.connect()?;
    let before = client.call(&IssuerShow { issuer }).ok();
    let set = client.call(&call).map_err(|error| blame(file.as_deref(), error))?;
    print(session, &set)?;
    if before.is_some_and(|before| replaces(&before, &set)) {
        session.printer.note(
            "what was allowed to the former client waits for a person from its next refresh on, unless the former \
             client id and token url come back",
        );
    }
    Ok(())
}

/// Whether refresh tokens of the settings before are of no use under the new ones.
fn replaces(before: &IssuerSettings, set: &IssuerSettings) -> bool {
    before.secrets > 0 && (&before.client_id, &before.token_url) != (&set.client_id, &set.token_url)
}

/// The client's secret: from its file, or from a person.
fn secret(session: &Session, file: Option<&Path>) -> Result<Sensitive, Stop> {
    let mut text = match file {
        Some(file) => session.input.value(file)?,
        None if session.input.interactive() => session.input.prompt("the client's secret")?,
        None => return Err(Stop::usage("missing: --client-secret-file, or --client-file")),
    };
    Ok(Sensitive::new(std::mem::take(&mut *text)))
}

/// Says of a refused field which file or flag it came from.
fn blame(file: Option<&Path>, error: CallError) -> CallError {
    match file {
        Some(file) if error.message.starts_with("field client_") => Origin::file(file).blame(error),
        // whose fields are a client's, under the same flags
        _ => Origin::Flags(SecretType::ClientCredentialsGrant).blame(error),
    }
}

fn print(session: &Session, settings: &IssuerSettings) -> Result<(), Stop> {
    session.printer.reply(settings, |_| describe(settings, now()))
}

fn describe(settings: &IssuerSettings, now: Timestamp) -> String {
    record(&[
        ("issuer", Some(settings.issuer.to_string())),
        ("client id", Some(settings.client_id.clone())),
        ("authorization url", Some(settings.authorization_url.clone())),
        ("token url", Some(settings.token_url.clone())),
        ("updated", Some(time(settings.updated_at, now))),
        ("secrets", Some(settings.secrets.to_string())),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Args;
    use crate::commands;
    use crate::session::tests::{agent, session};
    use bursar_proto::error::ErrorName;
    use clap::Parser;
    use serde_json::{Value, json};

    fn settings() -> Value {
        json!({
            "issuer": "google", "client_id": "i.apps.example", "authorization_url": "https://a", "token_url": "https://t",
            "updated_at": "2026-11-21T06:00:00Z", "secrets": 2
        })
    }

    /// What the agent was asked by a command line.
    fn asked(home: &Path, line: &str) -> (String, Value) {
        let agent = agent(home, |_| json!({ "result": settings() }));
        let (session, command) = session(home, line);
        commands::run(&session, command).unwrap();
        drop(session);
        // what was set before is looked at first
        agent.join().unwrap().pop().unwrap()
    }

    #[test]
    fn another_client_or_token_url_is_told_where_secrets_hang_on_the_former() {
        let set: IssuerSettings = serde_json::from_value(settings()).unwrap();
        let with = |change: fn(&mut IssuerSettings)| {
            let mut other = set.clone();
            change(&mut other);
            other
        };
        assert!(replaces(&with(|one| one.client_id = "j".into()), &set));
        assert!(replaces(&with(|one| one.token_url = "https://u".into()), &set));
        assert!(!replaces(&with(|one| one.authorization_url = "https://b".into()), &set));
        assert!(!replaces(&with(|one| (one.secrets, one.client_id) = (0, "j".into())), &set));
    }

    #[test]
    fn a_client_is_set_by_its_id_and_a_file_with_its_secret() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("f");
        std::fs::write(&file, "hunter2\r\n").unwrap();
        let line = format!(
            "bursar google configure --client-id i --client-secret-file {} --token-url https://t",
            file.display()
        );
        let (method, params) = asked(home.path(), &line);
        assert_eq!(method, "issuer.configure");
        assert_eq!(
            params,
            json!({
                "issuer": "google", "client_id": "i", "client_secret": "hunter2", "authorization_url": null,
                "token_url": "https://t"
            })
        );
    }

    #[test]
    fn a_client_is_set_by_the_file_of_the_console_without_its_addresses() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("client_secret_1.json");
        std::fs::write(
            &file,
            r#"{"installed":{"client_id":"i","project_id":"p","auth_uri":"https://elsewhere","token_uri":"https://elsewhere",
                "client_secret":"hunter2","redirect_uris":["http://localhost"]}}"#,
        )
        .unwrap();
        let (_, params) =
            asked(home.path(), &format!("bursar google configure --client-file {}", file.display()));
        assert_eq!(
            params,
            json!({
                "issuer": "google", "client_id": "i", "client_secret": "hunter2", "authorization_url": null,
                "token_url": null
            })
        );
    }

    #[test]
    fn what_is_missing_and_what_excludes_each_other_is_said() {
        let home = tempfile::tempdir().unwrap();
        // nobody listens: it is refused before anybody is asked
        let (session, command) = session(home.path(), "bursar google configure --token-url https://t");
        let Err(Stop::Failed(error)) = commands::run(&session, command) else { panic!() };
        assert_eq!(
            (error.name.exit_code(), error.message.as_str()),
            (2, "missing: --client-id, or --client-file")
        );
        for flag in ["--client-id i", "--client-secret-file f"] {
            let line = format!("bursar google configure --client-file c.json {flag}");
            assert!(Args::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }

    #[test]
    fn settings_are_shown_with_how_many_secrets_hang_on_them() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(
            asked(home.path(), "bursar google show"),
            ("issuer.show".into(), json!({ "issuer": "google" }))
        );
        let settings = serde_json::from_value(settings()).unwrap();
        assert_eq!(
            describe(&settings, "2026-11-21T07:00:00Z".parse().unwrap()),
            "issuer             google\nclient id          i.apps.example\nauthorization url  https://a\n\
             token url          https://t\nupdated            2026-11-21T06:00:00Z (1 h ago)\nsecrets            2\n"
        );
    }

    #[test]
    fn a_refused_field_is_told_by_its_file_or_its_flag() {
        let told = |file: Option<&str>, message: &str| {
            blame(file.map(Path::new), CallError::new(ErrorName::Invalid, message)).message
        };
        assert_eq!(told(None, "field client_secret: is empty"), "--client-secret-file: is empty");
        assert_eq!(told(None, "field client_id: is empty"), "--client-id: is empty");
        assert_eq!(told(Some("c.json"), "field client_id: is empty"), "c.json: field client_id: is empty");
        assert_eq!(told(Some("c.json"), "field authorization_url: no url"), "--authorization-url: no url");
    }
}
