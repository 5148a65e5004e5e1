//! Client secrets as text. Never a value.

use crate::output::Printer;
use crate::output::text::{cell, printable, record, table, time};
use bursar_proto::kind::{ClientSecretStatus, Role};
use bursar_proto::reply::ClientSecret;
use bursar_proto::time::Timestamp;
use std::path::Path;

pub(super) fn list(printer: &Printer, all: &[ClientSecret]) -> String {
    let rows: Vec<_> = all
        .iter()
        .map(|one| {
            [
                one.id.to_string(),
                one.description.clone(),
                one.role.to_string(),
                applies_to(one),
                one.created_at.to_string(),
                one.expires_at.to_string(),
                cell(one.last_used_at),
                one.analytics.to_string(),
                one.status.to_string(),
            ]
        })
        .collect();
    let heading =
        ["ID", "DESCRIPTION", "ROLE", "FOR", "CREATED", "EXPIRES", "LAST USED", "ANALYTICS", "STATUS"];
    table(printer, heading, &rows)
}

pub(super) fn describe(one: &ClientSecret, now: Timestamp) -> String {
    let at = |at: Option<Timestamp>| at.map(|at| time(at, now));
    record(&[
        ("id", Some(one.id.to_string())),
        ("description", Some(one.description.clone())),
        ("organization", Some(one.organization.to_string())),
        ("environment", one.environment.as_ref().map(ToString::to_string)),
        ("role", Some(one.role.to_string())),
        ("status", Some(one.status.to_string())),
        ("created", at(Some(one.created_at))),
        ("expires", at(Some(one.expires_at))),
        ("revoked", at(one.revoked_at)),
        ("last used", Some(at(one.last_used_at).unwrap_or_else(|| "never".to_owned()))),
        ("analytics", Some(one.analytics.to_string())),
        ("successor", one.successor.as_ref().map(ToString::to_string)),
    ])
}

/// What a person must know of a client secret that was issued now, its value in that file or on standard output.
pub(super) fn issued(one: &ClientSecret, file: Option<&Path>, now: Timestamp) -> String {
    let organization = &one.organization;
    let place = one.environment.as_ref().map(|name| format!(" in {name}")).unwrap_or_default();
    let may = format!("it can have the packages of {organization}, and their values{place}");
    let may = match one.role {
        Role::Viewer => may,
        Role::Contributor => format!(
            "{may}; and publish\n\
             warning: it can publish a package that names any secret of {organization}, and so reach it"
        ),
    };
    let value = file.map_or_else(
        || "its value is shown this once".to_owned(),
        |file| format!("its value is in {}, and nowhere else", printable(&file.display().to_string())),
    );
    format!(
        "client secret {}, {}; {value}\n{may}\nit ends {}\n",
        named(one),
        one.role,
        time(one.expires_at, now)
    )
}

/// What becomes of the one that was rotated.
pub(super) fn overlap(old: &ClientSecret, now: Timestamp) -> String {
    let id = &old.id;
    if old.status == ClientSecretStatus::Active {
        let end = time(old.expires_at, now);
        format!("{id} counts until {end}; end it sooner: bursar client-secret revoke {id}\n")
    } else {
        format!("{id} has ended\n")
    }
}

/// A client secret by its id, and what a person calls it.
pub(super) fn named(one: &ClientSecret) -> String {
    printable(&format!("{} ({})", one.id, one.description))
}

fn applies_to(one: &ClientSecret) -> String {
    one.environment.as_ref().map_or_else(|| one.organization.to_string(), ToString::to_string)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn example() -> ClientSecret {
        serde_json::from_value(serde_json::json!({
            "id": "k3j9x2m4pq", "organization": "acme", "environment": null, "description": "nightly",
            "role": "viewer", "status": "active", "created_at": "2026-11-21T06:00:00Z",
            "expires_at": "2027-02-19T06:00:00Z", "revoked_at": null, "last_used_at": null,
            "analytics": "limited", "successor": null
        }))
        .unwrap()
    }

    fn now() -> Timestamp {
        "2026-11-21T06:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_list_has_a_row_for_each() {
        let staging = ClientSecret { environment: Some("acme/staging".parse().unwrap()), ..example() };
        let text = list(&Printer::new(false, true), &[example(), staging]);
        let rows: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(
            rows,
            [
                "k3j9x2m4pq  nightly      viewer  acme          2026-11-21T06:00:00Z  2027-02-19T06:00:00Z  -          \
                 limited    active",
                "k3j9x2m4pq  nightly      viewer  acme/staging  2026-11-21T06:00:00Z  2027-02-19T06:00:00Z  -          \
                 limited    active",
            ]
        );
    }

    #[test]
    fn who_is_issued_one_hears_what_it_can_do_and_when_it_ends() {
        assert_eq!(
            issued(&example(), None, now()),
            "client secret k3j9x2m4pq (nightly), viewer; its value is shown this once\n\
             it can have the packages of acme, and their values\n\
             it ends 2027-02-19T06:00:00Z (in 90 d)\n"
        );
        let contributor = ClientSecret { role: Role::Contributor, ..example() };
        let told = issued(&contributor, Some(Path::new("ci\u{1b}.secret")), now());
        assert!(told.contains("publish a package that names any secret of acme, and so reach it"), "{told}");
        assert!(told.contains("; its value is in ci\u{fffd}.secret, and nowhere else\n"), "{told}");
    }

    #[test]
    fn a_rotated_one_is_told_with_its_end() {
        assert_eq!(
            overlap(&example(), now()),
            "k3j9x2m4pq counts until 2027-02-19T06:00:00Z (in 90 d); \
             end it sooner: bursar client-secret revoke k3j9x2m4pq\n"
        );
        let ended = ClientSecret { status: ClientSecretStatus::Expired, ..example() };
        assert_eq!(overlap(&ended, now()), "k3j9x2m4pq has ended\n");
    }

    #[test]
    fn a_description_steers_no_terminal() {
        let hostile = ClientSecret { description: "a\u{1b}[2J\u{202e}".to_owned(), ..example() };
        for text in [
            named(&hostile),
            issued(&hostile, None, now()),
            overlap(&hostile, now()) + &named(&hostile),
            describe(&hostile, now()),
            list(&Printer::new(false, true), &[hostile]),
        ] {
            assert!(text.contains("\u{fffd}[2J\u{fffd}") && !text.contains('\u{1b}'), "{text}");
        }
    }

    #[test]
    fn one_that_was_never_used_says_so() {
        assert!(describe(&example(), now()).contains("\nlast used     never\n"));
    }
}
