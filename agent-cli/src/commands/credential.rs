//! `credential`: what the agent's config hands the unit in which this runs.

use super::artifact::{Exposed, line, write_line};
use crate::args::credential::Credential;
use crate::output::json_line;
use crate::session::Session;
use crate::stop::Stop;
use bursar_proto::call::CredentialGet;
use bursar_proto::name::Qualified;
use bursar_proto::reply;
use bursar_proto::time::Timestamp;
use serde::Serialize;

pub(crate) fn run(session: &Session, asked: Credential) -> Result<(), Stop> {
    let Credential { name, min_validity, output } = asked;
    let given = session.connect()?.call(&CredentialGet { credential: name, min_validity })?;
    let line = if session.printer.json() { json_line(&Shown::from(&given))? } else { line("", &given.value) };
    write_line(output.as_deref(), &line)
}

/// A credential as `--json` shows it.
#[derive(Serialize)]
struct Shown<'a> {
    credential: &'a str,
    unit: &'a str,
    secret: &'a Qualified,
    value: Exposed<'a>,
    expires_at: Option<Timestamp>,
}

impl<'a> From<&'a reply::Credential> for Shown<'a> {
    fn from(given: &'a reply::Credential) -> Self {
        Self {
            credential: &given.credential,
            unit: &given.unit,
            secret: &given.secret,
            value: Exposed(&given.value),
            expires_at: given.expires_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_shows_every_attribute() {
        let json =
            r#"{"credential":"db","unit":"app.service","secret":"acme/db","value":"v","expires_at":null}"#;
        let given: reply::Credential = serde_json::from_str(json).unwrap();
        let line = json_line(&Shown::from(&given)).unwrap();
        assert_eq!(std::str::from_utf8(&line).unwrap(), format!("{json}\n"));
    }
}
