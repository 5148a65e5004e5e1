//! `bursar agent …`

use crate::agent::{await_end, connect_or_start};
use crate::args::agent::{Syntax, Verb};
use crate::file::absolute_text;
use crate::output::text::{cell, now, record, time};
use crate::session::Session;
use crate::stop::Stop;
use bursar_proto::call::{AgentStatus, AgentStop};
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
    let (mut client, started) = connect_or_start(session)?;
    let reply = Started { started, status: client.call(&AgentStatus {})? };
    session.printer.reply(&reply, |_| {
        let how = if started { "the agent was started" } else { "the agent runs already" };
        format!("{how}: pid {}, socket {}\n", reply.status.pid, reply.status.socket)
    })
}

fn stop(session: &Session) -> Result<(), Stop> {
    let reply = session.ask(&AgentStop {})?;
    await_end(session)?;
    session.printer.reply(&reply, |_| "the agent has stopped\n".to_owned())
}

fn describe(status: &reply::AgentStatus) -> String {
    let now = now();
    record(&[
        ("version", Some(status.version.clone())),
        ("pid", Some(status.pid.to_string())),
        ("socket", Some(status.socket.clone())),
        ("started", Some(time(status.started_at, now))),
        ("vault", Some(status.vault.to_string())),
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
    }
    let candidates = session.places.candidates();
    let there = candidates.into_iter().find(|path| path.exists());
    let reply = Environment { socket: absolute_text(&there.unwrap_or_else(|| session.places.own()))? };
    session.printer.reply(&reply, |_| assignment(syntax, &reply.socket))
}

fn assignment(syntax: Syntax, socket: &str) -> String {
    match syntax {
        Syntax::Sh => format!("export BURSAR_SOCK='{}'\n", socket.replace('\'', r"'\''")),
        Syntax::Fish => {
            format!("set -gx BURSAR_SOCK '{}'\n", socket.replace('\\', r"\\").replace('\'', r"\'"))
        }
        // in single quotes csh still expands history
        Syntax::Csh => {
            format!("setenv BURSAR_SOCK '{}'\n", socket.replace('\'', r"'\''").replace('!', r"\!"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_reads_the_path_as_it_is() {
        assert_eq!(assignment(Syntax::Sh, "/a b/it's"), "export BURSAR_SOCK='/a b/it'\\''s'\n");
        assert_eq!(assignment(Syntax::Fish, "/it's\\"), "set -gx BURSAR_SOCK '/it\\'s\\\\'\n");
        assert_eq!(assignment(Syntax::Csh, "/a!b"), "setenv BURSAR_SOCK '/a\\!b'\n");
    }
}
