//! `add`, `sync`, `status`, `info`: what a workspace uses.

use crate::args::package::{Add, At, Shown, Status, Sync};
use crate::output::Printer;
use crate::output::text::{cell, printable, table};
use crate::session::Session;
use crate::stop::Stop;
use crate::workspace::operations::{self, PackageStatus, Synced};
use crate::workspace::plan::State;
use bursar_proto::call::{PackageList, PackageShow};
use bursar_proto::library::{Definition, FilePath};
use bursar_proto::reply::{Package, PackageFileListed, PackageListed, PackageVersion};
use std::fmt::Write as _;

pub(crate) fn sync(session: &Session, sync: Sync) -> Result<(), Stop> {
    let synced = operations::sync(session, sync.place.environment, sync.allowed, sync.update)?;
    print_synced(session, &synced, "")
}

pub(crate) fn add(session: &Session, add: Add) -> Result<(), Stop> {
    let (synced, added) = operations::add(session, add.package, add.place.environment, add.allowed)?;
    let mut head = String::new();
    for ((package, requirement), used) in added.iter().zip(&synced.packages) {
        // writing to a text cannot fail
        let _ = writeln!(head, "added {package} {requirement}: {}", used.version);
    }
    print_synced(session, &synced, &head)
}

/// Says what was written and removed, after `head`.
pub(super) fn print_synced(session: &Session, synced: &Synced, head: &str) -> Result<(), Stop> {
    // of the others it is told already why they stay
    for path in synced.kept.iter().filter(|path| !synced.deleted.contains(path)) {
        session.printer.note(&format!(
            "note: {path} was edited and nothing wants it any more: it stays; remove it, or: bursar sync --force"
        ));
    }
    session.printer.reply(synced, |_| describe(synced, head))
}

fn describe(synced: &Synced, head: &str) -> String {
    let mut text = head.to_owned();
    for file in &synced.written {
        let version = file.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
        // writing to a text cannot fail
        let _ = writeln!(text, "wrote {} ({}{version})", file.path, file.package);
    }
    for path in &synced.removed {
        let _ = writeln!(text, "removed {path}");
    }
    match (text.is_empty(), synced.kept.is_empty() && synced.deleted.is_empty()) {
        (true, true) => "everything is current\n".to_owned(),
        (true, false) => "everything else is current\n".to_owned(),
        (false, _) => text,
    }
}

pub(crate) fn status(session: &Session, status: Status) -> Result<(), Stop> {
    let status = operations::status(session, status.place.environment)?;
    session.printer.reply(&status, |printer| {
        let mut text = String::new();
        for package in &status.packages {
            text += &describe_package(printer, package);
        }
        for file in &status.leftovers {
            let _ = writeln!(text, "{}  {}, and nothing wants it any more", file.path, file.state);
        }
        let listed = status.packages.iter().flat_map(|package| &package.files).chain(&status.leftovers);
        let listed: Vec<&FilePath> = listed.map(|file| &file.path).collect();
        for path in status.deleted.iter().filter(|path| !listed.contains(path)) {
            let _ = writeln!(text, "{path}  {}", State::HoldsDeleted);
        }
        if !status.deleted.is_empty() {
            text.push_str(
                "the values of deleted secrets go with a sync, which names those that stay: bursar sync\n",
            );
        }
        for path in &status.tracked {
            let _ = writeln!(text, "git would track {path}, which has values in it: add it to .gitignore");
        }
        for fault in &status.faults {
            let _ = writeln!(text, "the library: {}", printable(fault));
        }
        if !status.pinned {
            text.push_str("bursar.lock does not pin what is used here: bursar sync\n");
        }
        text + if status.current { "everything is current\n" } else { "not everything is current\n" }
    })?;
    if status.current { Ok(()) } else { Err(Stop::NotCurrent) }
}

fn describe_package(printer: &Printer, package: &PackageStatus) -> String {
    let newer = package.latest.as_ref().filter(|latest| package.version.as_ref() != Some(*latest));
    let newer = newer.map(|latest| format!(", {latest} is there: bursar sync --update")).unwrap_or_default();
    let place = package.environment.as_ref().map(|place| format!(" for {place}")).unwrap_or_default();
    let version = package.version.as_ref().map_or_else(|| "(bursar build)".to_owned(), ToString::to_string);
    let head = format!("{} {version}{place}{newer}", package.package);
    let mut text = printer.bold(&printable(&head)) + "\n";
    for one in &package.elements {
        let line = match (&one.problem, &one.secret) {
            // it names the element
            (Some(problem), _) => format!("element {problem}"),
            (None, Some(secret)) => format!("element {}: {} ({secret})", one.element, one.state),
            (None, None) => format!("element {}: {}", one.element, one.state),
        };
        let _ = writeln!(text, "  {}", printable(&line));
        if let Some(hint) = &one.hint {
            let _ = writeln!(text, "    hint: {}", printable(hint));
        }
    }
    for file in &package.files {
        let _ = writeln!(text, "  file {}: {}", file.path, file.state);
    }
    text
}

pub(crate) fn info(session: &Session, shown: Shown) -> Result<(), Stop> {
    let Some(At { package, at }) = shown.package else {
        let all = session.ask(&PackageList { organization: None })?;
        return session.printer.reply(&all, |printer| {
            let row = |one: &PackageListed| {
                [
                    one.package.to_string(),
                    one.latest.to_string(),
                    one.versions.to_string(),
                    cell(Some(one.published_at)),
                ]
            };
            let rows: Vec<_> = all.iter().map(row).collect();
            table(printer, ["PACKAGE", "LATEST", "VERSIONS", "PUBLISHED"], &rows)
        });
    };
    let package = session.ask(&PackageShow { package: session.complete(package)?, version: at })?;
    session.printer.reply(&package, |printer| describe_versions(printer, &package))
}

fn describe_versions(printer: &Printer, package: &Package) -> String {
    let mut text = printer.bold(&package.package.to_string()) + "\n";
    let rows: Vec<_> = package
        .versions
        .iter()
        .map(|one| [one.version.to_string(), cell(one.published_at), one.published_by.clone()])
        .collect();
    text += &table(printer, ["VERSION", "PUBLISHED", "BY"], &rows);
    if let Some(whole) = package.versions.iter().find(|one| one.files.is_some()) {
        let _ = writeln!(text, "\n{}", printer.bold(&format!("in {}", whole.version)));
        text += &describe_content(printer, whole);
    }
    text
}

/// The elements and files of a version that has them.
pub(super) fn describe_content(printer: &Printer, version: &PackageVersion) -> String {
    let rows: Vec<_> = version.files.iter().flatten().map(file_row).collect();
    let files = table(printer, ["FILE", "MODE", "BYTES", "ELEMENTS"], &rows);
    let elements = version.elements.iter().flatten();
    let rows: Vec<_> = elements.map(|(name, one)| [name.to_string(), stands_for(one)]).collect();
    if rows.is_empty() {
        return files;
    }
    files + "\n" + &table(printer, ["ELEMENT", "STANDS FOR"], &rows)
}

fn file_row(file: &PackageFileListed) -> [String; 4] {
    let elements: Vec<String> = file.elements.iter().map(ToString::to_string).collect();
    let elements = if elements.is_empty() { None } else { Some(elements.join(", ")) };
    [file.path.to_string(), file.mode.to_string(), file.bytes.to_string(), cell(elements)]
}

fn stands_for(definition: &Definition) -> String {
    match definition {
        Definition::Uses(element) => format!("the data element {element}"),
        Definition::Defines(slots) => {
            let slots: Vec<String> =
                slots.filled().map(|(stage, secret)| format!("{stage} {secret}")).collect();
            if slots.is_empty() { "nothing".to_owned() } else { slots.join(", ") }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn synced(written: &[&str], removed: &[&str]) -> Synced {
        let json = |path: &&str| operations::Written {
            path: path.parse().unwrap(),
            package: "acme/site".parse().unwrap(),
            version: Some("1.2.0".parse().unwrap()),
        };
        Synced {
            workspace: "/w".to_owned(),
            environment: "acme/staging".parse().unwrap(),
            packages: Vec::new(),
            written: written.iter().map(json).collect(),
            removed: removed.iter().map(|path| path.parse().unwrap()).collect(),
            kept: Vec::new(),
            deleted: Vec::new(),
        }
    }

    #[test]
    fn what_was_done_is_said_a_line_each() {
        assert_eq!(describe(&synced(&[], &[]), ""), "everything is current\n");
        assert_eq!(
            describe(&synced(&[".npmrc"], &["x"]), "added acme/site ^1.2: 1.2.0\n"),
            "added acme/site ^1.2: 1.2.0\nwrote .npmrc (acme/site 1.2.0)\nremoved x\n"
        );
    }

    #[test]
    fn a_package_with_a_newer_version_says_so() {
        let shown = |latest: Option<&str>| {
            let package = PackageStatus {
                package: "acme/site".parse().unwrap(),
                version: Some("1.2.0".parse().unwrap()),
                digest: Some([0; 32].into()),
                environment: Some("acme/staging".parse().unwrap()),
                latest: latest.map(|version| version.parse().unwrap()),
                elements: Vec::new(),
                files: Vec::new(),
            };
            describe_package(&Printer::new(false, true), &package)
        };
        assert_eq!(
            shown(Some("1.3.0")),
            "acme/site 1.2.0 for acme/staging, 1.3.0 is there: bursar sync --update\n"
        );
        assert_eq!(shown(Some("1.2.0")), "acme/site 1.2.0 for acme/staging\n");
        assert_eq!(shown(None), "acme/site 1.2.0 for acme/staging\n");
    }

    #[test]
    fn a_package_shows_who_published_what_when() {
        let json = serde_json::json!({ "package": "acme/site", "versions": [{
            "package": "acme/site", "version": "1.2.0", "digest": "ab".repeat(32),
            "published_at": "2026-11-20T06:00:00Z", "published_by": "uid 1000",
            "elements": { "token": { "development": "acme/dev", "staging": null, "production": "acme/prod" },
                          "acme/cdn": "acme/cdn" },
            "files": [{ "path": ".npmrc", "mode": "0600", "bytes": 12, "elements": ["token", "acme/cdn"] }]
        }]});
        let text = describe_versions(&Printer::new(false, true), &serde_json::from_value(json).unwrap());
        let lines: Vec<String> =
            text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        for line in [
            "1.2.0 2026-11-20T06:00:00Z uid 1000",
            ".npmrc 0600 12 token, acme/cdn",
            "token development acme/dev, production acme/prod",
            "acme/cdn the data element acme/cdn",
        ] {
            assert!(lines.iter().any(|shown| shown == line), "{line}: {text}");
        }
    }
}
