//! Secrets as text.

use crate::output::Printer;
use crate::output::text::{cell, now, printable, record, table, time, yes_no};
use bursar_proto::library::FilePath;
use bursar_proto::reply::{Applied, AppliedPackage, AppliedWorkspace, ExchangeTest, Secret};
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
    let fields: Vec<_> =
        one.credentials.iter().map(|(name, value)| (row_name(name), plain(name, value))).collect();
    pairs.extend(fields.iter().map(|(name, value)| (name.as_str(), value.clone())));
    pairs.extend([
        ("exchange policy", one.exchange_policy.map(|policy| policy.to_string())),
        ("status", Some(one.status.to_string())),
        ("status details", one.status_details.clone()),
        ("active", Some(yes_no(one.active))),
        ("created", at(Some(one.created_at))),
        ("updated", at(Some(one.updated_at))),
        ("activated", at(one.activated_at)),
        ("expires", at(one.expires_at)),
        ("refresh due", at(one.refresh_at)),
        ("refresh status", one.refresh_status.map(|status| status.as_str().to_owned())),
        ("refresh status details", one.refresh_status_details.clone()),
        ("refresh attempt", (one.refresh_attempt > 0).then(|| one.refresh_attempt.to_string())),
        ("next attempt", at(one.next_attempt_at)),
        ("expiration date", at(one.expiration_date)),
        ("authorization url", one.authorization_url.clone()),
        ("authorization url expires", at(one.authorization_url_expires_at)),
    ]);
    record(&pairs)
}

/// A field's name as rows are named.
fn row_name(field: &str) -> String {
    field.replace('_', " ")
}

/// A field's value; `None` where it is empty.
fn plain(field: &str, value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => return None,
        Value::String(text) => text.clone(),
        Value::Number(seconds) if field == "ttl" || field == "refresh_offset" => {
            seconds.as_i64().map_or_else(|| seconds.to_string(), seconds_in_words)
        }
        Value::Object(pairs) if field == "options" => {
            let shown = pairs.iter().map(|(name, value)| {
                format!("{name}={}", value.as_str().map_or_else(|| value.to_string(), str::to_owned))
            });
            shown.collect::<Vec<_>>().join(", ")
        }
        Value::Array(all) if all.iter().all(Value::is_string) => {
            all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    })
    .filter(|text| !text.is_empty())
}

fn seconds_in_words(seconds: i64) -> String {
    match in_words(seconds) {
        // under a minute the words are the number
        words if words == format!("{seconds} s") => words,
        words => format!("{seconds} s ({words})"),
    }
}

pub(super) fn test(test: &ExchangeTest) -> String {
    let lifetime = i64::try_from(test.expires_in).unwrap_or(i64::MAX);
    record(&[
        ("secret", Some(test.secret.to_string())),
        ("lifetime", Some(seconds_in_words(lifetime))),
        ("token type", test.token_type.clone()),
        ("scope", test.scope.clone()),
        ("fingerprint", Some(test.fingerprint.clone())),
    ])
}

pub(super) fn applied(printer: &Printer, applied: &Applied) -> String {
    let now = now();
    let mut text = record(&[
        ("secret", Some(applied.secret.to_string())),
        ("environment", Some(cell(applied.environment.as_ref()))),
    ]);
    let mut part = |title: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            text.extend([title, ":\n"]);
        }
        text.extend(lines.iter().map(|line| format!("  {}\n", printable(line))));
    };
    part(
        "data elements",
        applied.elements.iter().map(|one| format!("{}, {}", one.element, one.stage)).collect(),
    );
    part("packages", applied.packages.iter().map(package).collect());
    part("workspaces", applied.workspaces.iter().map(|one| workspace(one, now)).collect());
    if applied.callers.is_empty() {
        return text + "nobody has asked for it since the agent started\n";
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
    text + "asked for since the agent started:\n"
        + &table(printer, ["LAST SEEN", "COUNT", "UID", "CALLER"], &rows)
}

fn package(one: &AppliedPackage) -> String {
    format!("{} {}: {}, {}", one.package, one.version, one.element, one.stage)
}

fn workspace(one: &AppliedWorkspace, now: Timestamp) -> String {
    let files: Vec<_> = one.files.iter().map(FilePath::as_str).collect();
    let synced = one.synced_at.map(|at| format!(", synced {}", time(at, now))).unwrap_or_default();
    format!("{}: {}{synced}", one.workspace, files.join(", "))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn example() -> Value {
        serde_json::json!({
            "name": "acme/x", "id": "7f", "type": "oauth2-client_credentials", "environment": "acme/development",
            "stage": "development", "credentials": { "client_id": "i", "refresh_offset": 3600, "options": { "scope": "a" }, "client_auth": null },
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
                .find(|line| line.starts_with(&format!("{key}  ")))
                .map(|line| line[key.len()..].trim())
        };
        assert_eq!(line("name"), Some("acme/x"));
        assert_eq!(line("client id"), Some("i"));
        assert_eq!(line("options"), Some("scope=a"));
        assert_eq!(line("refresh offset"), Some("3600 s (1 h)"));
        assert_eq!(line("client auth"), None);
        assert_eq!(line("expires"), Some("2026-11-21T06:00:00Z (in 3 h 20 min)"));
        assert_eq!(line("refresh due"), Some("2026-11-21T02:00:00Z (40 min ago)"));
        assert_eq!(line("expiration date"), None);
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
    #[test]
    fn where_a_secret_is_applied_has_a_line_for_each_place() {
        let applied: Applied = serde_json::from_value(serde_json::json!({
            "secret": "acme/x", "environment": "acme/staging",
            "elements": [{ "element": "acme/token", "stage": "staging" }],
            "packages": [{ "package": "acme/site", "version": "1.2.0", "element": "TOKEN", "stage": "staging" }],
            "workspaces": [{ "workspace": "/w", "files": [".npmrc", "a/b"], "synced_at": null }],
            "callers": []
        }))
        .unwrap();
        assert_eq!(
            super::applied(&Printer::new(false, true), &applied),
            "secret       acme/x\nenvironment  acme/staging\ndata elements:\n  acme/token, staging\npackages:\n  \
             acme/site 1.2.0: TOKEN, staging\nworkspaces:\n  /w: .npmrc, a/b\n\
             nobody has asked for it since the agent started\n"
        );
    }
}
