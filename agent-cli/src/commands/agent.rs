//! `bursar agent …`

use crate::agent::{Ending, connect_or_start};
use crate::args::agent::Verb;
use crate::file::absolute_text;
use crate::output::shell::{Syntax, assignment};
use crate::output::text::{cell, now, record, time};
use crate::session::Session;
use crate::stop::Stop;
use bursar_proto::call::{AgentStatus, AgentStop};
use bursar_proto::error::CallError;
use bursar_proto::reply;
use serde::Serialize;

pub(crate) fn run(session: &Session, verb: &Verb) -> Result<(), Stop> {
    match verb {
        Verb::Start => start(session),
        Verb::Stop => stop(session),
        Verb::Status => {
            let status = session.ask(&AgentStatus {})?;
            session.printer.reply(&status, |_| describe(&status))
        }
        Verb::Env(env) => environment(session, env.shell),
    }
}

fn start(session: &Session) -> Result<(), Stop> {
    #[derive(Serialize)]
    struct Started {
        started: bool,
        #[serde(flatten)]
        status: reply::AgentStatus,
    }
    session.warn_of_two_homes();
    let (mut client, started) = connect_or_start(session)?;
    let reply = Started { started, status: client.call(&AgentStatus {})? };
    session.printer.reply(&reply, |_| {
        let how = if started { "the agent was started" } else { "the agent runs already" };
        format!("{how}: pid {}, socket {}\n", reply.status.pid, reply.status.socket)
    })
}

fn stop(session: &Session) -> Result<(), Stop> {
    // whoever stops it wants no hint to start it
    let mut client = session.connect().map_err(|error| CallError { hint: None, ..error })?;
    let status = client.call(&AgentStatus {})?;
    let ending = Ending::of(&client, &status)?;
    let reply = client.call(&AgentStop {})?;
    ending.await_it()?;
    let again = if status.activated { "; systemd starts it again when somebody calls" } else { "" };
    session.printer.reply(&reply, |_| format!("the agent has stopped{again}\n"))
}

fn describe(status: &reply::AgentStatus) -> String {
    let now = now();
    record(&[
        ("version", Some(status.version.clone())),
        ("pid", Some(status.pid.to_string())),
        ("socket", Some(status.socket.clone())),
        ("socket kept by", status.activated.then(|| "systemd".to_owned())),
        ("started", Some(time(status.started_at, now))),
        ("vault", Some(status.vault.to_string())),
        ("problem", status.problem.clone()),
        ("vault lies in", Some(status.state.clone())),
        ("store", Some(status.store.clone())),
        ("secrets", Some(cell(status.secrets))),
        ("failing", Some(cell(status.failing))),
        ("next attempt", Some(cell(status.next_attempt_at.map(|at| time(at, now))))),
    ])
}

fn environment(session: &Session, syntax: Syntax) -> Result<(), Stop> {
    #[derive(Serialize)]
    struct Environment {
        #[serde(rename = "BURSAR_SOCK")]
        socket: String,
        /// Where a program that starts the agent finds the same one.
        #[serde(rename = "BURSAR_HOME")]
        home: Option<String>,
    }
    let candidates = session.places.candidates();
    let there = candidates.into_iter().find(|path| path.exists());
    let socket = absolute_text(&there.unwrap_or_else(|| session.places.own()))?;
    let home = session.surroundings.home.as_ref().map(|home| absolute_text(home.as_ref())).transpose()?;
    let reply = Environment { socket, home };
    session.printer.reply(&reply, |_| {
        let home = reply.home.as_ref().map(|home| assignment(syntax, "BURSAR_HOME", home));
        assignment(syntax, "BURSAR_SOCK", &reply.socket) + &home.unwrap_or_default()
    })
}
