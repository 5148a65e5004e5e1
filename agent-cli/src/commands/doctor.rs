//! `bursar doctor`: what protects the agent, and what stands between it and the command line.

use crate::output::Printer;
use crate::output::text::{printable, table};
use crate::session::Session;
use crate::stop::Stop;
use bursar_proto::PROTOCOL;
use bursar_proto::call::{AgentDoctor, Hello};
use bursar_proto::client::Client;
use bursar_proto::error::CallError;
use bursar_proto::kind::FindingState;
use bursar_proto::reply::{Doctor, Finding};
use bursar_proto::socket::{Places, SYSTEM};
use std::path::{Path, PathBuf};

/// Where systemd finds units that a package or an administrator put there.
const UNITS: [&str; 4] =
    ["/etc/systemd/system", "/usr/lib/systemd/system", "/etc/systemd/user", "/usr/lib/systemd/user"];

/// The unit that brings the agent.
const UNIT: &str = "bursar.socket";

pub(crate) fn run(session: &Session) -> Result<(), Stop> {
    let mut findings = vec![units(&unit_places(session), Path::exists)];
    findings.extend(elsewhere(&session.places, Path::exists));
    let unanswered = look(session, &mut findings).err();
    if let Some(error) = &unanswered {
        findings.insert(0, no_agent(&session.places, error));
    }
    let doctor = Doctor { findings };
    session.printer.reply(&doctor, |printer| describe(printer, &doctor))?;
    let bad = doctor.findings.iter().any(|finding| finding.state == FindingState::Bad);
    match unanswered {
        Some(error) => Err(Stop::Ended(error.name.exit_code())),
        None if bad => Err(Stop::NotCurrent),
        None => Ok(()),
    }
}

/// Puts what the agent says before what is seen from here.
fn look(session: &Session, findings: &mut Vec<Finding>) -> Result<(), CallError> {
    let mut client = session.connect()?;
    let hello = client.call(&Hello { protocol: Some(PROTOCOL) })?;
    let mut seen = vec![connection(&session.places, &client), versions(&hello.version)];
    seen.extend(client.call(&AgentDoctor {})?.findings);
    seen.append(findings);
    *findings = seen;
    Ok(())
}

fn good(about: &str, told: impl Into<String>) -> Finding {
    Finding { about: about.into(), state: FindingState::Good, told: told.into(), hint: None }
}

fn weak(about: &str, told: impl Into<String>, hint: impl Into<String>) -> Finding {
    Finding { state: FindingState::Weak, hint: Some(hint.into()), ..good(about, told) }
}

fn no_agent(places: &Places, error: &CallError) -> Finding {
    let told = format!("{}; {}", error.message, because(places));
    Finding { state: FindingState::Bad, hint: error.hint.clone(), ..good("agent", told) }
}

fn connection(places: &Places, client: &Client) -> Finding {
    good("agent", format!("answers at {}; {}", client.path().display(), because(places)))
}

/// Why it is looked for where it is.
fn because(places: &Places) -> &'static str {
    if places.flag.is_some() {
        "--socket says so"
    } else if places.sock.is_some() {
        "BURSAR_SOCK says so"
    } else if places.home.is_some() {
        "BURSAR_HOME says so"
    } else {
        "the first of the usual places that answers counts"
    }
}

fn versions(agent: &str) -> Finding {
    let own = env!("CARGO_PKG_VERSION");
    if agent == own {
        return good("version", format!("{own}, as the agent"));
    }
    weak(
        "version",
        format!("the agent is {agent}, the command line {own}"),
        "restart the agent: bursar agent stop",
    )
}

/// Another agent than the one that is asked, where this user's would be.
fn elsewhere(places: &Places, exists: impl Fn(&Path) -> bool) -> Option<Finding> {
    let usual = Places { flag: None, sock: None, home: None, ..places.clone() };
    let asked = places.candidates();
    let mut others = usual.candidates().into_iter();
    // a server's is for all
    let other = others.find(|path| !asked.contains(path) && path != Path::new(SYSTEM) && exists(path))?;
    let (said, other) = (because(places), other.display());
    let hint = format!("bursar --socket {other} doctor asks that one");
    Some(weak("another agent", format!("there is a socket at {other}, and it is not asked: {said}"), hint))
}

fn unit_places(session: &Session) -> Vec<PathBuf> {
    let own = session.surroundings.user_config().map(|config| config.join("systemd/user"));
    UNITS.into_iter().map(PathBuf::from).chain(own).map(|directory| directory.join(UNIT)).collect()
}

fn units(places: &[PathBuf], exists: impl Fn(&Path) -> bool) -> Finding {
    let there: Vec<String> =
        places.iter().filter(|path| exists(path)).map(|path| path.display().to_string()).collect();
    if there.is_empty() {
        return weak("units", "systemd has none for the agent", "see: bursar setup systemd");
    }
    good("units", there.join(", "))
}

fn describe(printer: &Printer, doctor: &Doctor) -> String {
    let row = |one: &Finding| [one.state.to_string(), one.about.clone(), one.told.replace('\n', " ")];
    let rows: Vec<_> = doctor.findings.iter().map(row).collect();
    let text = table(printer, ["STATE", "ABOUT", "FOUND"], &rows);
    let hinted = doctor.findings.iter().filter_map(|one| Some((&one.about, one.hint.as_ref()?)));
    hinted.fold(text, |text, (about, hint)| text + &printable(about) + ": hint: " + &printable(hint) + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use bursar_proto::error::ErrorName;

    #[test]
    fn each_finding_has_a_row_and_each_hint_a_line() {
        let doctor = Doctor {
            findings: vec![
                good("core files", "forbidden"),
                weak("swap", "1 in use\u{1b}[2J", "encrypt it"),
                Finding { state: FindingState::Bad, ..weak("config", "line 2\nno such key", "mend it") },
            ],
        };
        assert_eq!(
            describe(&Printer::new(false, true), &doctor),
            "STATE  ABOUT       FOUND\n\
             good   core files  forbidden\n\
             weak   swap        1 in use\u{fffd}[2J\n\
             bad    config      line 2 no such key\n\
             swap: hint: encrypt it\n\
             config: hint: mend it\n"
        );
    }

    #[test]
    fn the_place_is_told_with_what_said_it() {
        let mut places = Places { uid: 4_000_000, ..Places::default() };
        let error = CallError::new(ErrorName::DaemonUnreachable, "no agent runs").hint("start one");
        assert_eq!(
            no_agent(&places, &error).told,
            "no agent runs; the first of the usual places that answers counts"
        );
        places.home = Some("/h".into());
        assert!(no_agent(&places, &error).told.ends_with("; BURSAR_HOME says so"));
        places.sock = Some("/s".into());
        assert!(no_agent(&places, &error).told.ends_with("; BURSAR_SOCK says so"));
    }

    #[test]
    fn an_agent_that_is_not_asked_is_told_of() {
        let mut places =
            Places { uid: 4_000_000, runtime_dir: Some("/run/user/4".into()), ..Places::default() };
        let usual = Path::new("/run/user/4/bursar/bursar.sock");
        assert_eq!(elsewhere(&places, |_| true), None);
        places.sock = Some("/elsewhere".into());
        let told = elsewhere(&places, |path| path == usual).unwrap();
        assert!(told.told.contains("/run/user/4/bursar/bursar.sock") && told.hint.is_some(), "{told:?}");
        // a server's is for all
        assert_eq!(elsewhere(&places, |path| path == Path::new(SYSTEM)), None);
        places.sock = Some(usual.into());
        assert_eq!(elsewhere(&places, |path| path == usual), None);
    }

    #[test]
    fn versions_that_differ_and_missing_units_are_weak() {
        assert_eq!(versions(env!("CARGO_PKG_VERSION")).state, FindingState::Good);
        assert_eq!(versions("0.0.1").state, FindingState::Weak);
        let places = ["/a/bursar.socket".into(), "/b/bursar.socket".into()];
        assert_eq!(units(&places, |_| false).state, FindingState::Weak);
        assert_eq!(units(&places, |path| path.starts_with("/b")).told, "/b/bursar.socket");
    }
}
