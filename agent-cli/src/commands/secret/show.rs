//! Secrets as text.

use crate::output::Printer;
use crate::output::text::{cell, now, record, table, time, yes_no};
use bursar_proto::reply::{Applied, ExchangeTest, Secret};
use bursar_proto::time::{Timestamp, in_words};
use serde_json::Value;

pub(super) fn list(printer: &Printer, all: &[Secret]) -> String {
    let rows: Vec<_> = all
        .iter()
        .map(|one| {
            [
                one.name.to_string(),
                one.r#type.to_string(),
                cell(one.environment.as_ref()),
                one.status.to_string(),
                yes_no(one.active),
                cell(one.expires_at.or(one.expiration_date)),
                one.created_at.to_string(),
            ]
        })
        .collect();
    table(printer, ["NAME", "TYPE", "ENVIRONMENT", "STATUS", "ACTIVE", "EXPIRES", "CREATED"], &rows)
}

pub(super) fn secret(one: &Secret) -> String {
    describe(one, now())
}

fn describe(one: &Secret, now: Timestamp) -> String {
    let at = |at: Option<Timestamp>| at.map(|at| time(at, now));
    let mut pairs: Vec<(&str, Option<String>)> = vec![
        ("name", Some(one.name.to_string())),
        ("id", Some(one.id.clone())),
        ("type", Some(one.r#type.to_string())),
        ("environment", Some(cell(one.environment.as_ref()))),
        ("stage", one.stage.map(|stage| stage.to_string())),
    ];
    pairs.extend(one.credentials.iter().map(|(name, value)| (name.as_str(), Some(plain(value)))));
    pairs.extend([
        ("exchange_policy", one.exchange_policy.map(|policy| policy.to_string())),
        ("status", Some(one.status.to_string())),
        ("status_details", one.status_details.clone()),
        ("active", Some(yes_no(one.active))),
        ("created_at", at(Some(one.created_at))),
        ("updated_at", at(Some(one.updated_at))),
        ("activated_at", at(one.activated_at)),
        ("expires_at", at(one.expires_at)),
        ("refresh_at", at(one.refresh_at)),
        ("refresh_status", one.refresh_status.map(|status| status.as_str().to_owned())),
        ("refresh_status_details", one.refresh_status_details.clone()),
        ("refresh_attempt", (one.refresh_attempt > 0).then(|| one.refresh_attempt.to_string())),
        ("next_attempt_at", at(one.next_attempt_at)),
        ("expiration_date", at(one.expiration_date)),
        ("authorization_url", one.authorization_url.clone()),
        ("authorization_url_expires_at", at(one.authorization_url_expires_at)),
    ]);
    record(&pairs)
}

/// A text as it is, anything else as JSON.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

pub(super) fn test(test: &ExchangeTest) -> String {
    let lifetime = i64::try_from(test.expires_in).unwrap_or(i64::MAX);
    record(&[
        ("secret", Some(test.secret.to_string())),
        ("expires_in", Some(format!("{} s ({})", test.expires_in, in_words(lifetime)))),
        ("token_type", test.token_type.clone()),
        ("scope", test.scope.clone()),
        ("fingerprint", Some(test.fingerprint.clone())),
    ])
}

pub(super) fn applied(printer: &Printer, applied: &Applied) -> String {
    let now = now();
    let head = record(&[
        ("secret", Some(applied.secret.to_string())),
        ("environment", Some(cell(applied.environment.as_ref()))),
    ]);
    if applied.callers.is_empty() {
        return format!("{head}nobody has asked for it since the agent started\n");
    }
    let rows: Vec<_> = applied
        .callers
        .iter()
        .map(|caller| {
            [
                time(caller.last_seen_at, now),
                caller.count.to_string(),
                caller.uid.to_string(),
                cell(caller.executable.as_ref()),
            ]
        })
        .collect();
    head + &table(printer, ["LAST SEEN", "COUNT", "UID", "CALLER"], &rows)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn example() -> Value {
        serde_json::json!({
            "name": "acme/x", "id": "7f", "type": "oauth2-client_credentials", "environment": "acme/development",
            "stage": "development", "credentials": { "client_id": "i", "options": { "scope": "a" } },
            "exchange_policy": "standard", "status": "succeeded", "status_details": null, "active": true,
            "created_at": "2026-11-20T06:00:00Z", "updated_at": "2026-11-20T06:00:00Z",
            "activated_at": "2026-11-20T06:00:00Z", "expires_at": "2026-11-21T06:00:00Z",
            "refresh_at": "2026-11-21T02:00:00Z", "refresh_status": null, "refresh_status_details": null,
            "refresh_attempt": 0, "next_attempt_at": "2026-11-21T02:00:00Z", "expiration_date": null,
            "authorization_url": null, "authorization_url_expires_at": null
        })
    }

    #[test]
    fn a_secret_shows_what_it_has() {
        let secret: Secret = serde_json::from_value(example()).unwrap();
        let text = describe(&secret, "2026-11-21T02:40:00Z".parse().unwrap());
        let line = |key: &str| {
            text.lines()
                .find(|line| line.starts_with(&format!("{key} ")))
                .map(|line| line[key.len()..].trim())
        };
        assert_eq!(line("name"), Some("acme/x"));
        assert_eq!(line("options"), Some("{\"scope\":\"a\"}"));
        assert_eq!(line("expires_at"), Some("2026-11-21T06:00:00Z (in 3 h 20 min)"));
        assert_eq!(line("refresh_at"), Some("2026-11-21T02:00:00Z (40 min ago)"));
        assert_eq!(line("expiration_date"), None);
    }

    #[test]
    fn a_list_has_a_row_for_each() {
        let secret: Secret = serde_json::from_value(example()).unwrap();
        let text = list(&Printer::new(false, true), &[secret]);
        assert_eq!(
            text.lines().nth(1),
            Some(
                "acme/x  oauth2-client_credentials  acme/development  succeeded  yes     2026-11-21T06:00:00Z  \
                 2026-11-20T06:00:00Z"
            )
        );
    }
}
