//! `bursar expiring`: everything that ends, on one calendar.

use super::element::by_flag;
use crate::args::expiring::Expiring as Args;
use crate::output::Printer;
use crate::output::text::{cell, now, printable, table};
use crate::session::Session;
use crate::stop::Stop;
use bursar_proto::call::ExpiringList;
use bursar_proto::reply::Expiring;
use bursar_proto::time::{Timestamp, in_words};

pub(crate) fn run(session: &Session, args: Args) -> Result<(), Stop> {
    let within = args.within;
    let call = ExpiringList { within: Some(within), organization: args.organization };
    let all = session.connect()?.call(&call).map_err(by_flag)?;
    session.printer.reply(&all, |printer| {
        if all.is_empty() {
            let within = in_words(i64::try_from(within).unwrap_or(i64::MAX));
            return format!("nothing has ended, or ends within {within}\n");
        }
        list(printer, &all, now())
    })?;
    if all.is_empty() { Ok(()) } else { Err(Stop::NotCurrent) }
}

fn list(printer: &Printer, all: &[Expiring], now: Timestamp) -> String {
    let rows: Vec<_> = all
        .iter()
        .map(|one| {
            [
                one.what.as_str().replace('_', " "),
                name(one),
                one.expires_at.to_string(),
                if one.expired { "expired".to_owned() } else { in_words(one.expires_at.since(now)) },
                cell(one.reason.as_ref()),
            ]
        })
        .collect();
    let text = table(printer, ["WHAT", "NAME", "ENDS", "IN", "REASON"], &rows);
    let mut hints: Vec<&str> = Vec::new();
    for hint in all.iter().filter_map(|one| one.hint.as_deref()) {
        if !hints.contains(&hint) {
            hints.push(hint);
        }
    }
    hints.iter().fold(text, |text, hint| text + "hint: " + &printable(hint) + "\n")
}

/// What a person calls it.
fn name(one: &Expiring) -> String {
    match (&one.secret, &one.client_secret, &one.description) {
        (Some(secret), _, _) => secret.to_string(),
        (None, Some(id), Some(description)) => format!("{id} ({description})"),
        (None, Some(id), None) => id.to_string(),
        (None, None, _) => cell(None::<&str>),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_row_and_each_hint_one_line() {
        let all: Vec<Expiring> = serde_json::from_value(serde_json::json!([
            { "what": "token", "secret": "acme/adobe-io", "client_secret": null, "description": null,
              "expires_at": "2026-11-21T05:00:00Z", "expired": true, "reason": "invalid_client\u{1b}[2J",
              "hint": "bursar secret show acme/adobe-io" },
            { "what": "client_secret", "secret": null, "client_secret": "k3j9x2m4pq", "description": "nightly",
              "expires_at": "2026-11-24T06:00:00Z", "expired": false, "reason": null,
              "hint": "bursar client-secret rotate k3j9x2m4pq" },
            { "what": "certificate", "secret": "acme/tls", "client_secret": null, "description": null,
              "expires_at": "2026-11-25T06:00:00Z", "expired": false, "reason": null,
              "hint": "bursar secret show acme/adobe-io" }
        ]))
        .unwrap();
        assert_eq!(
            list(&Printer::new(false, true), &all, "2026-11-21T06:00:00Z".parse().unwrap()),
            "WHAT           NAME                  ENDS                  IN       REASON\n\
             token          acme/adobe-io         2026-11-21T05:00:00Z  expired  invalid_client\u{fffd}[2J\n\
             client secret  k3j9x2m4pq (nightly)  2026-11-24T06:00:00Z  3 d      -\n\
             certificate    acme/tls              2026-11-25T06:00:00Z  4 d      -\n\
             hint: bursar secret show acme/adobe-io\n\
             hint: bursar client-secret rotate k3j9x2m4pq\n"
        );
    }
}
