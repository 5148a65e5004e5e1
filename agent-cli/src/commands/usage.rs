//! `bursar usage`: how often, on which days, by what.

mod view;

use super::audit;
use super::element::by_flag;
use crate::args::usage::{Subject, Usage as Args};
use crate::output::text::now;
use crate::output::write_out;
use crate::session::Session;
use crate::stop::Stop;
use bursar_proto::call::{ClientSecretShow, USAGE_DAYS_MAX, UsageList};
use bursar_proto::client::Client;
use bursar_proto::client_secret::PublicId;
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::kind::Analytics;
use bursar_proto::name::{OrganizationName, Reference};
use bursar_proto::reply::Usage;
use bursar_proto::time::Timestamp;

pub(crate) fn run(session: &Session, args: Args) -> Result<(), Stop> {
    if args.csv && session.printer.json() {
        return Err(Stop::usage("--csv and --json exclude each other"));
    }
    let mut client = session.connect()?;
    let is_one = args.subject.is_some();
    let (secret, client_secret) = match args.subject {
        None => (None, None),
        Some(subject) => of(session, &mut client, subject, args.organization.as_ref())?,
    };
    let call = UsageList {
        organization: args.organization,
        secret,
        client_secret,
        days: Some(args.days),
        unused: args.unused,
    };
    let all = client.call(&call).map_err(by_flag)?;
    if args.events {
        return events(session, &mut client, call, &all);
    }
    if args.csv {
        return write_out(view::csv(&all).as_bytes());
    }
    session.printer.reply(&all, |printer| match &*all {
        [one] if is_one => view::one(printer, one, args.days, now()),
        _ => view::table(printer, &all, columns(args.days), now()),
    })
}

/// As many days as are kept, at the most: nobody shows more.
fn columns(days: u64) -> usize {
    usize::try_from(days.min(USAGE_DAYS_MAX)).unwrap_or_default()
}

/// Whether a person means a secret or a client secret.
fn of(
    session: &Session,
    client: &mut Client,
    subject: Subject,
    organization: Option<&OrganizationName>,
) -> Result<(Option<Reference>, Option<PublicId>), Stop> {
    let secret = |name: Reference| -> Result<_, Stop> {
        let name = match organization {
            Some(organization) => name.within(organization).into(),
            None => session.complete(name)?,
        };
        Ok((Some(name), None))
    };
    match subject {
        Subject::Secret(name) => secret(name),
        Subject::ClientSecret(id) => Ok((None, Some(id))),
        Subject::Either(id, name) => match client.call(&ClientSecretShow { id: id.clone() }) {
            Ok(_) => Ok((None, Some(id))),
            Err(CallError { name: ErrorName::NotFound, .. }) => secret(name),
            Err(error) => Err(error.into()),
        },
    }
}

/// Shows each use of one, where each is kept.
fn events(session: &Session, client: &mut Client, call: UsageList, all: &[Usage]) -> Result<(), Stop> {
    if let Some(one) = all.iter().find(|one| one.analytics != Analytics::Complete) {
        return Err(refusal(one));
    }
    let days = i64::try_from(call.days.unwrap_or_default()).unwrap_or(i64::MAX);
    let wanted = audit::Wanted { secret: call.secret, client_secret: call.client_secret };
    let since = now().plus(days.saturating_mul(-DAY));
    audit::print_since(session, client, &wanted, Some(since))
}

/// A day, in seconds.
const DAY: i64 = 86_400;

fn refusal(one: &Usage) -> Stop {
    let (name, hint) = match (&one.secret, &one.client_secret) {
        (_, Some(id)) => (id.to_string(), format!("bursar client-secret set-analytics {id} complete")),
        (Some(secret), None) => (
            secret.to_string(),
            "set in the agent's bursar.toml, below [usage]: secrets = \"complete\"".into(),
        ),
        (None, None) => ("this".to_owned(), "bursar usage --help".into()),
    };
    let message = format!("the use of {name} is kept as {}, without events", one.analytics);
    Stop::usage(message).hint(hint)
}

/// The day on which an instant lies, counted from 1970.
fn day_of(at: Timestamp) -> i64 {
    at.seconds().div_euclid(DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_that_are_not_kept_are_refused_with_what_would_keep_them() {
        let told = |secret: Option<&str>, id: Option<&str>| {
            let json = serde_json::json!({
                "secret": secret, "client_secret": id, "description": null, "analytics": "limited",
                "last_used_at": null, "count": 0, "days": []
            });
            let Stop::Failed(error) = refusal(&serde_json::from_value(json).unwrap()) else { panic!() };
            (error.message, error.hint.unwrap())
        };
        let (message, hint) = told(None, Some("k3j9x2m4pq"));
        assert_eq!(message, "the use of k3j9x2m4pq is kept as limited, without events");
        assert_eq!(hint, "bursar client-secret set-analytics k3j9x2m4pq complete");
        assert!(told(Some("acme/npm"), None).1.ends_with("secrets = \"complete\""));
    }
}
