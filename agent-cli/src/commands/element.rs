//! `bursar element …`: names of secrets, never a value.

use crate::args::element::{Delete, Resolve, Set, Verb};
use crate::output::text::{cell, now, record, table, time};
use crate::progress::call_all;
use crate::session::Session;
use crate::stop::Stop;
use bursar_proto::call::{
    ElementDelete, ElementList, ElementResolve, ElementSet, ElementShow, PackageList, PackageShow,
};
use bursar_proto::client::Client;
use bursar_proto::error::CallError;
use bursar_proto::fields::Edit;
use bursar_proto::kind::Stage;
use bursar_proto::library::Definition;
use bursar_proto::name::{Qualified, Reference};
use bursar_proto::reply::{Element, PackageVersion};

pub(crate) fn run(session: &Session, verb: Verb) -> Result<(), Stop> {
    match verb {
        Verb::Set(set) => {
            let mut call = call(set)?;
            call.element = session.complete(call.element)?;
            let element = session.connect()?.call(&call).map_err(by_flag)?;
            session.printer.reply(&element, |_| describe(&element))
        }
        Verb::List(list) => {
            let all = session.ask(&ElementList { organization: list.organization })?;
            session.printer.reply(&all, |printer| {
                let rows: Vec<_> = all.iter().map(row).collect();
                table(printer, ["NAME", "DEVELOPMENT", "STAGING", "PRODUCTION"], &rows)
            })
        }
        Verb::Show(named) => {
            let element = session.ask(&ElementShow { element: session.complete(named.element)? })?;
            session.printer.reply(&element, |_| describe(&element))
        }
        Verb::Delete(delete) => self::delete(session, delete),
        Verb::Resolve(resolve) => self::resolve(session, resolve),
    }
}

/// What the flags say of the slots; a slot without a flag stays.
fn call(set: Set) -> Result<ElementSet, Stop> {
    let slot = |secret: Option<Reference>, stage: Stage| match (secret, set.clear.contains(&stage)) {
        (Some(_), true) => Err(Stop::usage(format!("--{stage} and --clear {stage} exclude each other"))),
        (Some(secret), false) => Ok(Edit::Set(secret)),
        (None, true) => Ok(Edit::Clear),
        (None, false) => Ok(Edit::Keep),
    };
    let call = ElementSet {
        element: set.named.element,
        development: slot(set.development, Stage::Development)?,
        staging: slot(set.staging, Stage::Staging)?,
        production: slot(set.production, Stage::Production)?,
    };
    if [&call.development, &call.staging, &call.production].into_iter().all(Edit::is_keep) {
        return Err(Stop::usage(
            "missing: --development, --staging or --production SECRET, or --clear STAGE",
        ));
    }
    Ok(call)
}

/// `field staging: …` as `--staging: …`.
pub(super) fn by_flag(error: CallError) -> CallError {
    let message = error.message.strip_prefix("field ").map(|rest| format!("--{rest}"));
    CallError { message: message.unwrap_or(error.message), ..error }
}

fn row(one: &Element) -> [String; 4] {
    [
        one.element.to_string(),
        cell(one.development.as_ref()),
        cell(one.staging.as_ref()),
        cell(one.production.as_ref()),
    ]
}

fn describe(one: &Element) -> String {
    let now = now();
    record(&[
        ("name", Some(one.element.to_string())),
        ("development", Some(cell(one.development.as_ref()))),
        ("staging", Some(cell(one.staging.as_ref()))),
        ("production", Some(cell(one.production.as_ref()))),
        ("created", Some(time(one.created_at, now))),
        ("updated", Some(time(one.updated_at, now))),
    ])
}

fn delete(session: &Session, delete: Delete) -> Result<(), Stop> {
    let element = session.complete(delete.named.element)?;
    let mut client = session.connect()?;
    let found = client.call(&ElementShow { element })?;
    let name = found.element.to_string();
    session.printer.note(&describe_uses(&uses(session, &mut client, &found.element)?));
    session.input.confirm(&format!("deleting the data element {name}"), &name, delete.confirmation.yes)?;
    let reply = client.call(&ElementDelete { element: found.element.into() })?;
    session.printer.reply(&reply, |_| format!("deleted {name}\n"))
}

/// The packages whose highest version uses an element.
fn uses(session: &Session, client: &mut Client, element: &Qualified) -> Result<Vec<PackageVersion>, Stop> {
    let listed = client.call(&PackageList { organization: Some(element.organization.clone()) })?;
    let calls: Vec<_> =
        listed.into_iter().map(|one| PackageShow { package: one.package.into(), version: None }).collect();
    let used = Definition::Uses(element.clone().into());
    let highest = call_all(session, client, "looking for packages", &calls)?
        .into_iter()
        // one that is gone by now uses nothing
        .filter_map(|shown| shown.ok()?.versions.into_iter().next());
    Ok(highest.filter(|one| one.elements.iter().flatten().any(|(_, one)| *one == used)).collect())
}

fn describe_uses(packages: &[PackageVersion]) -> String {
    if packages.is_empty() {
        return "no package uses it in its highest version".to_owned();
    }
    let line = |one: &PackageVersion| format!("\n  {} {}", one.package, one.version);
    format!("packages that use it:{}", packages.iter().map(line).collect::<String>())
}

fn resolve(session: &Session, resolve: Resolve) -> Result<(), Stop> {
    let element = session.complete(resolve.named.element)?;
    let resolved = session.ask(&ElementResolve { element, environment: resolve.environment })?;
    session.printer.reply(&resolved, |_| format!("{}\n", cell(resolved.secret.as_ref())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Args, Command};
    use clap::Parser;

    fn set(flags: &str) -> Result<ElementSet, Stop> {
        let args = Args::try_parse_from(format!("bursar element set x {flags}").split_whitespace()).unwrap();
        let Command::Element(noun) = args.command else { panic!("{flags}") };
        let Verb::Set(set) = noun.0.verb else { panic!("{flags}") };
        call(set)
    }

    #[test]
    fn a_slot_without_a_flag_stays() {
        let call = set("--development a --clear staging").unwrap();
        assert_eq!(call.development, Edit::Set("a".parse().unwrap()));
        assert_eq!((call.staging, call.production), (Edit::Clear, Edit::Keep));
    }

    #[test]
    fn a_slot_is_said() {
        let Err(Stop::Failed(error)) = set("") else { panic!() };
        assert!(error.name.exit_code() == 2 && error.message.starts_with("missing: --development"));
    }

    #[test]
    fn a_slot_is_not_filled_and_emptied_at_once() {
        let Err(Stop::Failed(error)) = set("--staging a --clear production --clear staging") else {
            panic!()
        };
        assert_eq!(error.message, "--staging and --clear staging exclude each other");
    }
}
