//! `bursar organization …`

use crate::args::organization::Verb;
use crate::output::text::table;
use crate::session::Session;
use crate::stop::Stop;
use bursar_proto::call::{OrganizationCreate, OrganizationDelete, OrganizationList};

const HEADING: [&str; 7] =
    ["NAME", "ENVIRONMENTS", "SECRETS", "ELEMENTS", "PACKAGES", "CLIENT SECRETS", "CREATED"];

pub(crate) fn run(session: &Session, verb: Verb) -> Result<(), Stop> {
    match verb {
        Verb::Create(named) => {
            let made = session.ask(&OrganizationCreate { organization: named.organization })?;
            session.printer.reply(&made, |_| format!("made {}\n", made.organization))
        }
        Verb::List => {
            let all = session.ask(&OrganizationList {})?;
            session.printer.reply(&all, |printer| {
                let rows: Vec<_> = all
                    .iter()
                    .map(|one| {
                        [
                            one.organization.to_string(),
                            one.environments.to_string(),
                            one.secrets.to_string(),
                            one.elements.to_string(),
                            one.packages.to_string(),
                            one.client_secrets.to_string(),
                            one.created_at.to_string(),
                        ]
                    })
                    .collect();
                table(printer, HEADING, &rows)
            })
        }
        Verb::Delete(delete) => {
            let organization = delete.named.organization;
            let name = organization.to_string();
            session.input.confirm(
                &format!("deleting the organization {name}"),
                &name,
                delete.confirmation.yes,
            )?;
            let reply = session.ask(&OrganizationDelete { organization })?;
            session.printer.reply(&reply, |_| format!("deleted {name}\n"))
        }
    }
}
