//! `bursar environment …`

use crate::args::environment::{Delete, Verb};
use crate::output::text::{now, printable, record, table, time};
use crate::session::Session;
use crate::stop::Stop;
use bursar_proto::call::{
    ClientSecretList, EnvironmentCreate, EnvironmentDelete, EnvironmentList, EnvironmentShow,
};
use bursar_proto::kind::ClientSecretStatus;
use bursar_proto::reply::Environment;

pub(crate) fn run(session: &Session, verb: Verb) -> Result<(), Stop> {
    match verb {
        Verb::Create(create) => {
            let environment = session.complete(create.named.environment)?;
            let made = session.ask(&EnvironmentCreate { environment, stage: create.stage })?;
            session.printer.reply(&made, |_| format!("made {}, {}\n", made.environment, made.stage))
        }
        Verb::List(list) => {
            let all = session.ask(&EnvironmentList { organization: list.organization })?;
            session.printer.reply(&all, |printer| {
                let rows: Vec<_> = all.iter().map(row).collect();
                table(printer, ["NAME", "STAGE", "SECRETS", "CREATED"], &rows)
            })
        }
        Verb::Show(named) => {
            let one = session.ask(&EnvironmentShow { environment: session.complete(named.environment)? })?;
            session.printer.reply(&one, |_| {
                record(&[
                    ("name", Some(one.environment.to_string())),
                    ("stage", Some(one.stage.to_string())),
                    ("secrets", Some(one.secrets.to_string())),
                    ("created", Some(time(one.created_at, now()))),
                ])
            })
        }
        Verb::Delete(delete) => self::delete(session, delete),
    }
}

fn row(one: &Environment) -> [String; 4] {
    [one.environment.to_string(), one.stage.to_string(), one.secrets.to_string(), one.created_at.to_string()]
}

fn delete(session: &Session, delete: Delete) -> Result<(), Stop> {
    let environment = session.complete(delete.named.environment)?;
    let mut client = session.connect()?;
    let found = client.call(&EnvironmentShow { environment })?;
    let name = found.environment.to_string();
    let listed =
        client.call(&ClientSecretList { organization: Some(found.environment.organization.clone()) })?;
    session.printer.note(&format!("bound to {name}: {} secrets; they become unbound", found.secrets));
    let for_it = listed.iter().filter(|one| {
        one.environment.as_ref() == Some(&found.environment) && one.status == ClientSecretStatus::Active
    });
    for one in for_it {
        session.printer.note(&printable(&format!(
            "for {name} alone: the client secret {} ({}); it is revoked",
            one.id, one.description
        )));
    }
    session.input.confirm(&format!("deleting the environment {name}"), &name, delete.confirmation.yes)?;
    let reply = client.call(&EnvironmentDelete { environment: found.environment.into() })?;
    session.printer.reply(&reply, |_| {
        let mut lines = vec![format!("deleted {name}")];
        lines.extend(reply.unbound.iter().map(|secret| format!("unbound {secret}")));
        lines.extend(reply.revoked.iter().map(|id| format!("revoked the client secret {id}")));
        lines.join("\n") + "\n"
    })
}
