//! Holds `docs/protocol.md` to the code: nothing that it says may be wrong, and nothing may be missing.
//!
//! Each test reads the document anew, collects every fault, and fails with all of them and, where it can, with
//! the line that should stand there. It knows the document's shape (headings, tables, `→` and `←` lines) and
//! nothing of the daemon.

use crate::call::{self, Call, Method};
use crate::client_secret::{self, PublicId};
use crate::error::{ErrorName, WireError};
use crate::frame::{ID_MAX, REPLY_MAX, REQUEST_MAX, Request};
use crate::kind::{
    Analytics, AuditFault, Change, ClientSecretStatus, ElementState, Ending, ExchangePolicy, FailureCause,
    Field, Filter, FindingState, Issuer, RefreshStatus, Role, SecretType, Shape, Stage, Status, VaultState,
};
use crate::{frame, library, name, reply, socket, template};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

const DOCUMENT: &str = include_str!("../../docs/protocol.md");
const NOTIFICATIONS: [&str; 4] = ["artifact.changed", "artifact.missed", "audit.entry", "audit.missed"];

/// Who may call a method, from the fewest rights to the most.
const WHO: [&str; 7] = [
    "anyone",
    "units by the config",
    "viewers",
    "viewers by the config",
    "contributors",
    "owners",
    "the daemon's own user",
];

/// The part of the document under one heading of the second or third level.
struct Section {
    title: &'static str,
    lines: Vec<&'static str>,
}

fn sections() -> Vec<Section> {
    let mut sections = Vec::new();
    for line in DOCUMENT.lines() {
        if let Some(title) = line.strip_prefix("### ").or_else(|| line.strip_prefix("## ")) {
            sections.push(Section { title, lines: Vec::new() });
        } else if let Some(section) = sections.last_mut() {
            section.lines.push(line);
        }
    }
    sections
}

fn section(title: &str) -> Section {
    sections().into_iter().find(|s| s.title == title).unwrap_or_else(|| panic!("no heading: {title}"))
}

impl Section {
    /// The name of the method or notification that this section describes.
    fn code_title(&self) -> Option<&'static str> {
        self.title.strip_prefix('`')?.strip_suffix('`')
    }

    /// The rows of all its tables, heads apart, as they stand.
    fn rows(&self) -> Vec<&'static str> {
        let is_row = |line: &str| line.starts_with('|');
        let mut rows = Vec::new();
        for (at, line) in self.lines.iter().enumerate() {
            let is_head = at == 0 || !is_row(self.lines[at - 1]);
            if is_row(line) && !is_head && !line.starts_with("|---") {
                rows.push(*line);
            }
        }
        rows
    }

    /// The first column of its tables without its backticks, and whether the third says `yes`.
    fn fields(&self) -> BTreeMap<&'static str, bool> {
        self.rows().into_iter().map(|row| (cell(row, 1).trim_matches('`'), cell(row, 3) == "yes")).collect()
    }

    /// The fields whose second column is an array of objects that have a heading of their own, and that heading.
    fn arrays(&self) -> Vec<(&'static str, &'static str)> {
        let heading = |row| Some(cell(row, 2).strip_prefix("array of [")?.split_once(']')?.0);
        self.rows()
            .into_iter()
            .filter_map(|row| Some((cell(row, 1).trim_matches('`'), heading(row)?)))
            .collect()
    }

    /// The names of its fields, with those of the heading that it says it has all of.
    fn members(&self) -> BTreeSet<String> {
        let base = |line: &&'static str| Some(line.strip_prefix("All of [")?.split_once(']')?.0);
        let inherited = self.lines.iter().find_map(base).map(|title| section(title).fields());
        texts(self.fields().into_keys().chain(inherited.unwrap_or_default().into_keys()))
    }

    /// The rest of its line `- LABEL: …`.
    fn item(&self, label: &str) -> Option<&'static str> {
        self.lines.iter().find_map(|line| line.strip_prefix("- ")?.strip_prefix(label)?.strip_prefix(": "))
    }

    fn requests(&self) -> Vec<&'static str> {
        self.lines.iter().filter_map(|line| line.strip_prefix("→ ")).collect()
    }

    fn answers(&self) -> Vec<&'static str> {
        self.lines.iter().filter_map(|line| line.strip_prefix("← ")).collect()
    }
}

fn cell(row: &'static str, at: usize) -> &'static str {
    row.split('|').nth(at).unwrap_or_default().trim()
}

/// Where a link to a heading leads, as `GitHub` makes it.
fn anchor(title: &str) -> String {
    let kept = |c: &char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '-' | '_');
    title.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")
}

/// What is wrong; it fails at its end, with all of it.
#[derive(Default)]
struct Faults(BTreeSet<String>);

impl Faults {
    fn add(&mut self, title: &str, fault: impl AsRef<str>) {
        self.0.insert(format!("{title}: {}", fault.as_ref()));
    }

    /// Both sets must be the same.
    fn compare(&mut self, title: &str, documented: &BTreeSet<String>, coded: &BTreeSet<String>) {
        for missing in coded.difference(documented) {
            self.add(title, format!("lacks  {missing}"));
        }
        for unknown in documented.difference(coded) {
            self.add(title, format!("has, unlike the code,  {unknown}"));
        }
    }

    fn finish(self) {
        let faults: Vec<_> = self.0.into_iter().collect();
        assert!(faults.is_empty(), "docs/protocol.md differs from the code:\n{}\n", faults.join("\n"));
    }
}

fn texts<T: ToString>(items: impl IntoIterator<Item = T>) -> BTreeSet<String> {
    items.into_iter().map(|item| item.to_string()).collect()
}

/// The fields of the struct that stands at `depth` in a pretty `Debug`: the one place that lists them all,
/// present or not. (`Debug` writes `r#type` as `type`.)
fn debug_fields(value: &impl Debug, depth: usize) -> BTreeSet<String> {
    let indent = " ".repeat(4 * depth);
    let field = |line: &str| {
        let (name, _) = line.strip_prefix(&indent)?.split_once(": ")?;
        name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_').then(|| name.to_owned())
    };
    format!("{value:#?}").lines().filter_map(field).collect()
}

fn members(value: &Value) -> BTreeSet<String> {
    value.as_object().map(|object| texts(object.keys())).unwrap_or_default()
}

/// Reads `json` as `T` and writes it again: what is unknown, missing or written in another way shows.
fn check_object<T: DeserializeOwned + Serialize>(json: &Value) -> Result<(), String> {
    // the error's text is of the document, so it may be shown
    let read: T = serde_json::from_value(json.clone()).map_err(|error| error.to_string())?;
    match serde_json::to_value(&read).map_err(|error| error.to_string())? {
        Value::Array(none) if none.is_empty() => Err("the example is an empty list".to_owned()),
        written if written == *json => Ok(()),
        written => Err(format!("the code writes  {written}")),
    }
}

/// The same for replies with values, which are only ever read.
fn check_read<T: DeserializeOwned + Debug>(json: &Value) -> Result<(), String> {
    let read: T = serde_json::from_value(json.clone()).map_err(|error| error.to_string())?;
    let (documented, coded) = (members(json), debug_fields(&read, 1));
    if documented == coded {
        return Ok(());
    }
    Err(format!("the example has {documented:?}, the code {coded:?}"))
}

/// Checks a result against the reply of its method. A method that is not here is a fault.
fn check_result(method: &str, result: &Value) -> Result<(), String> {
    macro_rules! replies {
        ($($method:ident)+) => {
            match method {
                call::ArtifactGet::NAME | call::PackageGet::NAME => check_read::<reply::Artifact>(result),
                call::CredentialGet::NAME => check_read::<reply::Credential>(result),
                $(call::$method::NAME => check_object::<<call::$method as Method>::Reply>(result),)+
                _ => Err("add the method to the list in protocol_doc.rs".to_owned()),
            }
        };
    }
    replies! {
        Hello Authenticate AgentStatus AgentStop AgentDoctor
        VaultInit VaultUnlock VaultLock VaultPassphrase VaultRekey VaultBackup VaultRestore
        OrganizationCreate OrganizationList OrganizationDelete
        EnvironmentCreate EnvironmentList EnvironmentShow EnvironmentDelete
        SecretCreate SecretList SecretShow SecretEdit SecretBind SecretTest SecretRetry
        SecretReauthorize SecretAuthorize SecretWait SecretWhere
        SecretDeactivate SecretReactivate SecretDelete SecretDeleted
        IssuerConfigure IssuerShow
        ArtifactWatch
        ElementSet ElementList ElementShow ElementDelete ElementResolve LibraryResolve
        PackagePublish PackageList PackageShow PackageFetch PackageResolve
        WorkspaceShow WorkspaceList WorkspaceTrust WorkspaceRecord WorkspaceForget
        ClientSecretCreate ClientSecretList ClientSecretShow ClientSecretSetAnalytics ClientSecretRotate
        ClientSecretRevoke
        AuditList AuditWatch AuditVerify UsageList ExpiringList
    }
}

fn check_notification(answer: &Value) -> Result<(), String> {
    match answer["method"].as_str() {
        Some("artifact.changed") => check_object::<reply::Changed>(&answer["params"]),
        Some("artifact.missed" | "audit.missed") => check_object::<reply::Missed>(&answer["params"]),
        Some("audit.entry") => check_object::<reply::AuditEntry>(&answer["params"]),
        _ => Err("an answer without an id is an error or a notification".to_owned()),
    }
}

/// Checks an error, and answers its name.
fn check_error(error: &Value) -> Result<ErrorName, String> {
    let error: WireError = serde_json::from_value(error.clone()).map_err(|error| error.to_string())?;
    let (name, code) = (error.data.name, error.data.name.code());
    if error.code == code { Ok(name) } else { Err(format!("{name} has the code {code}, not {}", error.code)) }
}

fn decode(request: &str) -> Result<(Value, Result<Call, String>), String> {
    let request: Request<'_> = serde_json::from_str(request).map_err(|error| error.to_string())?;
    let (Some("2.0"), Some(id), Some(method)) = (request.jsonrpc, request.id, request.method) else {
        return Err("a request has jsonrpc 2.0, an id and a method".to_owned());
    };
    let call = Call::decode(method, request.params.map(serde_json::value::RawValue::get));
    let call = call.map_or_else(|| Err("unknown method".to_owned()), |call| call.map_err(|e| e.to_string()));
    Ok((serde_json::from_str(id.get()).map_err(|error| error.to_string())?, call))
}

#[test]
fn every_method_and_notification_has_its_heading_and_nothing_else_has() {
    let documented = texts(sections().iter().filter_map(Section::code_title));
    let coded = texts(Call::METHODS.iter().chain(&NOTIFICATIONS));
    let mut faults = Faults::default();
    faults.compare("headings", &documented, &coded);
    for section in sections().iter().filter(|s| s.code_title().is_some_and(|t| Call::METHODS.contains(&t))) {
        if !matches!(section.item("Needs"), Some("nothing" | "an unlocked vault")) {
            faults.add(section.title, "lacks  - Needs: nothing (or: an unlocked vault)");
        }
        if !section.item("Who may").is_some_and(|who| WHO.contains(&who)) {
            faults.add(section.title, format!("lacks  - Who may:  and one of {WHO:?}"));
        }
        let errors = section.item("Errors").unwrap_or("missing");
        for name in errors.split(", ").filter(|name| *name != "none of its own") {
            if !ErrorName::ALL.iter().any(|error| format!("`{error}`") == name) {
                faults.add(section.title, format!("after  - Errors:  stands no error: {name}"));
            }
        }
    }
    faults.finish();
}

#[test]
fn every_example_is_read_as_the_code_reads_it() {
    let mut faults = Faults::default();
    for section in sections() {
        let mut calls = BTreeMap::new();
        for request in section.requests() {
            match decode(request) {
                Ok((id, call)) => drop(calls.insert(id.to_string(), (call, false))),
                Err(fault) => faults.add(section.title, format!("{fault}\n  → {request}")),
            }
        }
        for answer in section.answers() {
            let Ok(json) = serde_json::from_str::<Value>(answer) else {
                faults.add(section.title, format!("no json\n  ← {answer}"));
                continue;
            };
            let call = calls.get_mut(&json["id"].to_string()).map(|(call, answered)| {
                *answered = true;
                &*call
            });
            let verdict = match (json.get("error"), call) {
                (Some(error), call) => check_error(error).and_then(|name| match (call, name) {
                    (Some(Err(_)), ErrorName::Invalid | ErrorName::UnknownMethod)
                    | (Some(Ok(_)) | None, _) => Ok(()),
                    (Some(Err(refused)), _) => Err(format!("the request is refused: {refused}")),
                }),
                (None, Some(Ok(call))) => check_result(call.method(), &json["result"]),
                (None, Some(Err(refused))) => Err(format!("the request is refused: {refused}")),
                (None, None) => check_notification(&json),
            };
            if let Err(fault) = verdict {
                faults.add(section.title, format!("{fault}\n  ← {answer}"));
            }
        }
        for id in calls.iter().filter_map(|(id, (_, answered))| (!answered).then_some(id)) {
            faults.add(section.title, format!("nothing answers the request {id}"));
        }
        if let Some(name) = section.code_title() {
            let shows = |call: &Result<Call, String>| call.as_ref().is_ok_and(|call| call.method() == name);
            let has_example = calls.values().any(|(call, _)| shows(call))
                || NOTIFICATIONS.contains(&name) && section.answers().iter().any(|line| line.contains(name));
            if !has_example {
                faults.add(section.title, "has no example of its own");
            }
        }
    }
    faults.finish();
}

#[test]
fn every_parameter_stands_in_its_table_and_says_whether_it_is_required() {
    let mut faults = Faults::default();
    for section in sections() {
        let Some(method) = section.code_title().filter(|name| Call::METHODS.contains(name)) else { continue };
        let Some(request) = section.requests().first().copied() else { continue };
        let Ok((_, Ok(call))) = decode(request) else { continue }; // the test of the examples says why
        let documented = section.fields();
        faults.compare(section.title, &texts(documented.keys()), &debug_fields(&call, 2));

        let mut request: Value = serde_json::from_str(request).unwrap();
        let params = std::mem::take(&mut request["params"]);
        for (field, is_required) in documented {
            let mut without = params.clone();
            if let Some(object) = without.as_object_mut() {
                object.remove(field);
            }
            let refused = match Call::decode(method, Some(&without.to_string())) {
                Some(Err(invalid)) => invalid.to_string() == format!("field {field}: is required"),
                _ => false,
            };
            if refused != is_required {
                faults
                    .add(section.title, format!("{field} is {}required", if refused { "" } else { "not " }));
            }
        }
    }
    faults.finish();
}

#[test]
fn every_reply_has_its_object_and_every_object_its_fields() {
    let mut faults = Faults::default();
    let mut used = BTreeSet::new();
    for section in sections() {
        let Some(method) = section.code_title() else { continue };
        let example = section.answers().into_iter().find_map(|line| {
            let json: Value = serde_json::from_str(line).ok()?;
            Some(json.get("result").or_else(|| json.get("params"))?.clone())
        });
        let Some(example) = example else { continue }; // the test of the examples says so
        if NOTIFICATIONS.contains(&method) {
            faults.compare(section.title, &texts(section.fields().keys()), &members(&example));
            continue;
        }
        let array = if example.is_array() { "An array of " } else { "" };
        let object = section.item("Reply").and_then(|item| item.strip_prefix(array)?.strip_prefix('['));
        let Some((object, link)) = object.and_then(|object| object.split_once(']')) else {
            faults.add(section.title, format!("lacks  - Reply: {array}[Object](#object)"));
            continue;
        };
        if link != format!("(#{})", anchor(object)) {
            faults.add(section.title, format!("the link {link} does not lead to {object}"));
        }
        let mut items = vec![(object, if example.is_array() { &example[0] } else { &example })];
        while let Some((object, item)) = items.pop() {
            let Some(table) = sections().into_iter().find(|s| s.title == object) else {
                faults.add(section.title, format!("there is no heading  ### {object}"));
                continue;
            };
            if !item.is_object() {
                faults.add(section.title, format!("the first example shows no {object}"));
            }
            faults.compare(object, &table.members(), &members(item));
            items.extend(table.arrays().into_iter().map(|(field, object)| (object, &item[field][0])));
            used.insert(object);
        }
    }
    // an entry of the record is told as a notification too, and stands there
    used.retain(|object| !NOTIFICATIONS.contains(&object.trim_matches('`')));
    let titles: Vec<_> = sections().iter().map(|section| section.title).collect();
    let objects =
        titles.iter().skip_while(|t| **t != "Objects").take_while(|t| **t != "Notifications").skip(1);
    faults.compare("Objects", &texts(objects), &texts(used));
    faults.finish();
}

#[test]
fn every_link_within_the_document_leads_to_a_heading() {
    let headings = texts(sections().iter().map(|section| anchor(section.title)));
    let links = DOCUMENT.split("](#").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
    let mut faults = Faults::default();
    for link in links.filter(|link| !headings.contains(*link)) {
        faults.add("links", format!("no heading is at  #{link}"));
    }
    faults.finish();
}

#[test]
fn every_client_secret_that_is_shown_whole_is_well_formed() {
    let mut faults = Faults::default();
    let mut whole = 0;
    for rest in DOCUMENT.split(client_secret::PREFIX).skip(1) {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (said, behind) = rest.split_at(end);
        // the prefix alone, a public id, and one that is cut short
        if said.is_empty() || said.parse::<PublicId>().is_ok() || behind.starts_with('…') {
            continue;
        }
        whole += 1;
        if let Err(malformed) = client_secret::parse(&format!("{}{said}", client_secret::PREFIX)) {
            faults.add("client secret", format!("{said}: {malformed}"));
        }
    }
    assert!(whole > 0, "the document shows no client secret");
    faults.finish();
}

#[test]
fn the_expression_for_scanners_takes_what_client_secrets_are_made_of() {
    const DIGITS: &str = "0-9a-hjkmnp-tv-z";
    let example = client_secret::compose(
        &PublicId::from_random([7; 8]),
        &client_secret::Random::new(zeroize::Zeroizing::new([7; client_secret::RANDOM_LEN])),
    );
    let parts: Vec<_> = example.expose()[client_secret::PREFIX.len()..].split('_').collect();
    let parts: Vec<_> = parts.iter().map(|part| format!("[{DIGITS}]{{{}}}", part.len())).collect();
    let expression = format!("{}{}", client_secret::PREFIX, parts.join("_"));
    assert!(section("Client secrets").lines.contains(&&*expression), "lacks the line  {expression}");

    let ranges: Vec<_> = DIGITS.chars().collect();
    let is_taken = |c: char| {
        ranges.iter().enumerate().any(|(at, first)| match ranges[at + 1..] {
            ['-', last, ..] => (*first..=last).contains(&c),
            _ => *first == c && c != '-',
        })
    };
    for c in '\u{20}'..='\u{7e}' {
        let id = c.to_string().repeat(client_secret::PUBLIC_ID_LEN);
        assert_eq!(id.parse::<PublicId>().is_ok(), is_taken(c), "{c}");
    }
}

#[test]
fn every_error_stands_in_the_table_with_its_codes() {
    // the last column is prose
    let documented =
        section("Errors").rows().into_iter().map(|row| row.splitn(5, '|').take(4).collect::<Vec<_>>());
    let documented = texts(documented.map(|cells| cells.join("|")));
    let row = |error: &ErrorName| format!("| `{error}` | {} | {} ", error.code(), error.exit_code());
    let mut faults = Faults::default();
    faults.compare("Errors", &documented, &ErrorName::ALL.iter().map(row).collect());
    faults.finish();
}

#[test]
fn every_field_of_every_secret_type_stands_in_the_table() {
    let row = |kind: SecretType, field: &Field| {
        let shape = match field.shape {
            Shape::Text => "text",
            Shape::Seconds => "seconds, at least 1",
            Shape::Texts => "object of texts",
            Shape::Object => "object",
            Shape::List => "array of texts",
        };
        let yes = |is: bool| if is { "yes" } else { "no" };
        let (required, sensitive) = (yes(field.required), yes(field.sensitive));
        format!("| `{kind}` | `{}` | {shape} | {required} | {sensitive} | {} |", field.name, field.help)
    };
    let coded = SecretType::ALL.iter().flat_map(|kind| kind.fields().iter().map(|field| row(*kind, field)));
    let mut faults = Faults::default();
    faults.compare("Secret types", &texts(section("Secret types").rows()), &coded.collect());
    faults.finish();
}

#[test]
fn every_closed_set_of_words_is_whole() {
    fn row<T: ToString>(name: &str, words: &[T]) -> String {
        let words: Vec<_> = words.iter().map(|word| format!("`{}`", word.to_string())).collect();
        format!("| {name} | {} |", words.join(", "))
    }
    let coded = [
        row("secret type", SecretType::ALL),
        row("issuer", Issuer::ALL),
        row("stage", Stage::ALL),
        row("status", Status::ALL),
        row("refresh status", RefreshStatus::ALL),
        row("failure", FailureCause::ALL),
        row("exchange policy", ExchangePolicy::ALL),
        row("vault state", VaultState::ALL),
        row("change", Change::ALL),
        row("element state", ElementState::ALL),
        row("filter", Filter::ALL),
        row("role", Role::ALL),
        row("analytics", Analytics::ALL),
        row("client secret status", ClientSecretStatus::ALL),
        row("ending", Ending::ALL),
        row("finding state", FindingState::ALL),
        row("audit fault", AuditFault::ALL),
    ];
    let documented = section("Values").rows().into_iter().filter(|row| row.contains("| `"));
    let mut faults = Faults::default();
    faults.compare("Values", &texts(documented), &texts(coded));
    faults.finish();
}

#[test]
fn every_limit_has_its_number() {
    let coded = [
        format!("| request line, its newline apart | {REQUEST_MAX} bytes |"),
        format!("| reply line that a client has to read | {REPLY_MAX} bytes |"),
        format!("| `id` | {ID_MAX} bytes of JSON |"),
        format!("| name of an organization | {} bytes |", name::ORGANIZATION_MAX),
        format!("| any other name | {} bytes |", name::NAME_MAX),
        format!("| path of the socket | {} bytes |", socket::PATH_MAX),
        format!("| secrets in a page of `secret.list` | {} |", call::SECRETS_PAGE_MAX),
        format!("| requests of a connection under way at once | {} |", frame::UNDER_WAY_MAX),
        format!("| versions of a package | {} |", library::VERSIONS_MAX),
        format!("| workspaces | {} |", library::WORKSPACES_MAX),
        format!("| digests of a file | {} |", library::DIGESTS_MAX),
        format!("| elements of a library | {} |", library::ELEMENTS_MAX),
        format!("| files of a package | {} |", library::PACKAGE_FILES_MAX),
        format!("| files of a workspace | {} |", library::WORKSPACE_FILES_MAX),
        format!("| path of a file in a workspace | {} bytes |", library::FILE_PATH_MAX),
        format!("| path of a workspace | {} bytes |", library::WORKSPACE_PATH_MAX),
        format!("| template | {} bytes |", template::TEMPLATE_MAX),
        format!("| filters of a mark | {} |", template::FILTERS_MAX),
        format!("| text that a template may become | {} bytes |", template::RENDERED_MAX),
        format!("| client secret | {} bytes |", client_secret::CLIENT_SECRET_LEN),
        format!("| public id of a client secret | {} bytes |", client_secret::PUBLIC_ID_LEN),
        format!("| client secrets of an `authenticate` | {} |", client_secret::CLIENT_SECRETS_MAX),
        format!("| facts that a CI says of itself | {} |", call::CI_FACTS_MAX),
        format!("| name or text of such a fact | {} bytes |", call::CI_FACT_MAX),
        format!("| description of a client secret | {} bytes |", call::DESCRIPTION_MAX),
        format!("| life of a client secret, if not said | {} seconds |", call::CLIENT_SECRET_LIFE),
        format!("| life of a client secret, at most | {} seconds |", call::CLIENT_SECRET_LIFE_MAX),
        format!("| entries in a page of `audit.list` | {} |", call::AUDIT_PAGE_MAX),
        format!("| days of `usage.list` | {} |", call::USAGE_DAYS_MAX),
        format!("| `redirect` of `secret.authorize` | {} bytes |", call::REDIRECT_MAX),
        format!("| id or secret of an issuer's client | {} bytes |", call::ISSUER_CLIENT_MAX),
    ];
    let mut faults = Faults::default();
    faults.compare("Limits", &texts(section("Limits").rows()), &texts(coded));
    faults.finish();
}
