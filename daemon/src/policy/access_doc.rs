//! Holds `docs/access.md` to the table: each cell on the page is what [`Policy::authorize`] says of a real call.
//!
//! It fails with the whole page as it should stand. Who may call a method by `docs/protocol.md` is compared as well.

use super::{Call, Grant, GrantedBy, Needs, Place, Policy, Principal, Subject, TABLE, needs};
use crate::vault::catalog::{Catalog, Environment};
use bursar_proto::kind::{Role, Stage};
use bursar_proto::time::Timestamp;
use std::collections::BTreeMap;
use std::fmt::Write as _;

const PAGE: &str = include_str!("../../../docs/access.md");
const PROTOCOL: &str = include_str!("../../../docs/protocol.md");

/// The heading under which the table stands, the last one of the page.
const HEADING: &str = "## Every method\n";

/// What stands above the table's columns, and who they are in a call about `acme/staging`.
const COLUMNS: [(&str, &[Asking]); 9] = [
    ("own user", &[Asking::Is(&Principal::Own)]),
    ("owner", &[Asking::Is(&Principal::Owner)]),
    (
        "contributor there",
        &[
            Asking::Has(Role::Contributor, "acme", None),
            Asking::Has(Role::Contributor, "acme", Some("acme/staging")),
        ],
    ),
    ("contributor beside", &[Asking::Has(Role::Contributor, "acme", Some("acme/production"))]),
    (
        "contributor elsewhere",
        &[
            Asking::Has(Role::Contributor, "globex", None),
            Asking::Has(Role::Contributor, "globex", Some("globex/staging")),
        ],
    ),
    (
        "viewer there",
        &[Asking::Has(Role::Viewer, "acme", None), Asking::Has(Role::Viewer, "acme", Some("acme/staging"))],
    ),
    ("viewer elsewhere", &[Asking::Has(Role::Viewer, "globex", None)]),
    ("no role", &[Asking::HasNone]),
    ("anybody else", &[Asking::Is(&Principal::Stranger)]),
];

/// Calls where the right depends on what they are about, or on a parameter: with what, and all parameters.
const CALLS: [(&str, &str, &str); 16] = [
    ("vault.init", "", "{}"),
    ("vault.init", "key_file", r#"{"key_file":"/k"}"#),
    ("vault.unlock", "", "{}"),
    ("vault.unlock", "key_file", r#"{"key_file":"/k"}"#),
    ("environment.show", "", r#"{"environment":"acme/staging"}"#),
    ("package.publish", "", r#"{"package":"acme/site","version":"1.0.0","elements":{},"files":[]}"#),
    ("package.list", "", "{}"),
    ("package.list", "organization", r#"{"organization":"acme"}"#),
    ("package.show", "", r#"{"package":"acme/site"}"#),
    ("package.fetch", "", r#"{"package":"acme/site","version":"1.0.0"}"#),
    (
        "package.resolve",
        "environment",
        r#"{"package":"acme/site","version":"1.0.0","environment":"acme/staging"}"#,
    ),
    ("package.resolve", "stage", r#"{"package":"acme/site","version":"1.0.0","stage":"staging"}"#),
    (
        "package.get",
        "",
        r#"{"package":"acme/site","version":"1.0.0","environment":"acme/staging","element":"T"}"#,
    ),
    ("workspace.show", "", r#"{"workspace":"/w"}"#),
    (
        "workspace.trust",
        "",
        r#"{"workspace":"/w","digest":"c0124787fb7d5e6a2702c89a29955cc46a6197a01b076852e117a855123a2e26"}"#,
    ),
    (
        "workspace.record",
        "",
        r#"{"workspace":"/w","environment":"acme/staging","files":[{"path":"f","package":"acme/site","version":null,"digests":[],"secrets":["acme/t"]}]}"#,
    ),
];

/// Who asks.
#[derive(Clone, Copy)]
enum Asking {
    Is(&'static Principal),
    /// A role in an organization, or in one of its environments.
    Has(Role, &'static str, Option<&'static str>),
    HasNone,
}

/// Who asks, by the config and by client secrets, where both can be.
fn principals(asking: Asking) -> Vec<Principal> {
    let grants = match asking {
        Asking::Is(principal) => return vec![principal.clone()],
        Asking::HasNone => Vec::new(),
        Asking::Has(role, organization, environment) => vec![Grant {
            organization: organization.parse().unwrap(),
            environment: environment.map(|name| Some(name.parse().unwrap())),
            role,
            by: GrantedBy::Rule("uid 7".into()),
            lapse: None,
        }],
    };
    vec![Principal::Admitted(grants.clone().into()), Principal::Secrets(grants.into())]
}

/// A vault with `acme/staging`, for the calls that name a stage.
fn with_staging() -> Catalog {
    let mut catalog = Catalog::default();
    let created_at = Timestamp::from_seconds(0);
    catalog.insert_organization("acme".parse().unwrap(), [1; 16], created_at);
    let name = "acme/staging".parse().unwrap();
    catalog.insert_environment([2; 16], Environment { name, stage: Stage::Staging, created_at });
    catalog
}

/// A row: a real call where there is one, else what its method takes.
enum Asked {
    Call(&'static str, &'static str),
    Taking(Needs),
}

struct Taking(Needs);

impl super::Asks for Taking {
    fn needs(&self) -> Needs {
        self.0
    }
}

impl Asked {
    fn call(&self) -> Option<Call> {
        let Self::Call(method, params) = self else { return None };
        let call = Call::decode(method, Some(params)).unwrap();
        Some(call.unwrap_or_else(|refused| panic!("{method} {params}: {refused}")))
    }

    /// Where a right is needed, where a role can be one.
    fn places(&self) -> Vec<Place> {
        let of_role = self.call().filter(|call| is_for_roles(needs(call)));
        let of = |call: Call| Subject::of(&call, &"acme".parse().unwrap(), Some(&with_staging())).places;
        of_role.map(of).unwrap_or_default()
    }

    fn role_in(&self) -> String {
        let is_of_role = self.call().is_some_and(|call| is_for_roles(needs(&call)));
        let place = |place: &Place| match place {
            Place::Anywhere => "any organization",
            Place::Organization(_) => "organization",
            Place::Environment(_) | Place::Stage(..) | Place::SomeEnvironment(_) => "environment",
        };
        match self.places() {
            none if none.is_empty() && is_of_role => place(&Place::Anywhere).to_owned(),
            places => places.iter().map(place).collect::<Vec<_>>().join(", "),
        }
    }

    /// `yes`, or the name of the refusal.
    fn told(&self, principal: &Principal) -> &'static str {
        let refused = match (self.call(), self) {
            (Some(call), _) => Policy::authorize(principal, call, &self.places()).err(),
            (None, Self::Taking(needs)) => Policy::authorize(principal, Taking(*needs), &[]).err(),
            (None, Self::Call(..)) => unreachable!("a call is one"),
        };
        refused.map_or("yes", |error| error.name.as_str())
    }

    /// What all of a column are told: the same, but that a rule of the config may do where no client secret does.
    fn cell(&self, column: &[Asking]) -> String {
        let all: Vec<_> = column.iter().flat_map(|asking| principals(*asking)).collect();
        let (secrets, others): (Vec<_>, Vec<_>) =
            all.iter().partition(|principal| matches!(principal, Principal::Secrets(_)));
        let one = |principals: &[&Principal]| {
            let mut told = principals.iter().map(|principal| self.told(principal));
            let first = told.next()?;
            assert!(told.all(|other| other == first), "a column has to be told apart");
            Some(first)
        };
        match (one(&others).unwrap(), one(&secrets)) {
            (rule, Some(secret)) if rule != secret => format!("{rule} by a rule, else {secret}"),
            (rule, _) => rule.to_owned(),
        }
    }
}

/// Whether a role can be enough.
fn is_for_roles(needs: Needs) -> bool {
    matches!(needs, Needs::Viewer | Needs::User | Needs::Contributor)
}

/// The whole table, in the order of the reference.
fn table() -> String {
    let heads: Vec<_> = COLUMNS.iter().map(|(head, _)| *head).collect();
    let mut table =
        format!("| method | role in | {} |\n|---|---|{}\n", heads.join(" | "), "---|".repeat(heads.len()));
    let mut row = |method: &str, with: &str, asked: &Asked| {
        let with = if with.is_empty() { String::new() } else { format!(" with `{with}`") };
        let cells: Vec<_> = COLUMNS.iter().map(|(_, column)| asked.cell(column)).collect();
        writeln!(table, "| `{method}`{with} | {} | {} |", asked.role_in(), cells.join(" | ")).unwrap();
    };
    let rows: BTreeMap<_, _> = TABLE.iter().copied().collect();
    for method in Call::METHODS {
        let calls: Vec<_> = CALLS.iter().filter(|(of, _, _)| of == method).collect();
        for (_, with, params) in &calls {
            row(method, with, &Asked::Call(method, params));
        }
        if calls.is_empty() {
            let needs = rows[method];
            assert!(!is_for_roles(needs), "{method} lacks a call in CALLS");
            row(method, "", &Asked::Taking(needs));
        }
    }
    table
}

#[test]
fn the_page_has_the_table() {
    let (above, below) = PAGE.split_once(HEADING).unwrap();
    let (between, _) = below.split_once("\n| ").unwrap();
    let page = format!("{above}{HEADING}{between}\n{}", table());
    assert!(page == PAGE, "docs/access.md differs from the table; it should be:\n\n{page}");
}

#[test]
fn the_protocol_says_of_each_method_who_may() {
    let word = |needs: Needs| match needs {
        Needs::Anyone => "anyone",
        Needs::Unit => "units by the config",
        Needs::Viewer => "viewers",
        Needs::User => "viewers by the config",
        Needs::Contributor => "contributors",
        Needs::Owner => "owners",
        Needs::Own => "the daemon's own user",
    };
    let sections = PROTOCOL.split("\n### `").skip(1).filter_map(|section| section.split_once('`'));
    let said: BTreeMap<_, _> = sections
        .filter_map(|(method, text)| {
            let (text, _) = text.split_once("\n#").unwrap_or((text, ""));
            Some((method, text.split_once("\n- Who may: ")?.1.lines().next()?))
        })
        .collect();
    let wrong: Vec<_> = TABLE
        .iter()
        .filter(|(method, needs)| said.get(method) != Some(&word(*needs)))
        .map(|(method, needs)| format!("{method}: - Who may: {}", word(*needs)))
        .collect();
    assert!(wrong.is_empty(), "docs/protocol.md lacks\n{}", wrong.join("\n"));
    assert_eq!(said.len(), TABLE.len(), "it says who may of what is no method");
}
