//! `bursar exec`: everything that a command needs is pulled and rendered before it starts, or it does not start.

use crate::args::live::{Assignment, Exec};
use crate::exec::{FAILED_BEFORE, Files, Launch, Patterns, VALUE_MIN, check_variable};
use crate::live::{self, Placed, Scope};
use crate::session::Session;
use crate::stop::Stop;
use crate::values::Values;
use bursar_proto::template::{Mark, Template};
use std::collections::BTreeSet;
use zeroize::Zeroizing;

/// The longest name of a file, in bytes, on any file system.
const FILE_NAME_MAX: usize = 255;

pub(crate) fn run(session: &Session, exec: Exec) -> Result<(), Stop> {
    let (launch, patterns) = prepare(session, exec).map_err(|stop| match stop {
        Stop::Failed(error) => {
            session.printer.failure(&error);
            Stop::Ended(FAILED_BEFORE)
        }
        other => other,
    })?;
    let ended = match patterns {
        None => Err(launch.replace()),
        Some(patterns) => launch.masked(&patterns),
    };
    Err(Stop::Ended(ended.unwrap_or_else(|not_run| {
        session.printer.failure(&not_run.error);
        not_run.exit_code
    })))
}

/// Where a rendered template goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Into {
    Variable,
    File,
}

fn prepare(session: &Session, exec: Exec) -> Result<(Launch, Option<Patterns>), Stop> {
    let scope = Scope::find(exec.environment)?;
    let assigned = assigned(&exec.set, &exec.file)?;
    let env = scope.workspace.as_ref().map(|workspace| &workspace.manifest.env);
    let inherited = env.into_iter().flatten().filter(|(name, _)| !assigned.iter().any(|one| one.1 == *name));
    let inherited = inherited.map(|(name, template)| {
        (format!("bursar.toml, [env] {name}"), name.as_str(), template.as_str(), Into::Variable)
    });
    let all: Vec<_> =
        inherited.chain(assigned.iter().map(|one| (one.0.clone(), one.1, one.2, one.3))).collect();

    let templates = live::parse(all.iter().map(|(place, _, template, _)| (place.clone(), *template)))?;
    let values = scope.values(session, &templates)?;
    let texts = live::render(&templates, &values)?;
    for ((place, _, _, into), text) in all.iter().zip(&texts) {
        if *into == Into::Variable {
            check_variable(place, text)?;
        }
    }
    let patterns = exec.mask.then(|| patterns(session, &templates, &values)).transpose()?;

    let files =
        all.iter().any(|one| one.3 == Into::File).then(|| Files::begin(&session.surroundings)).transpose()?;
    let (mut variables, mut paths) = (Vec::new(), Vec::new());
    for ((_, name, _, into), text) in all.iter().zip(texts) {
        match (into, &files) {
            (Into::File, Some(files)) => paths.push(((*name).to_owned(), files.write(name, &text)?)),
            _ => variables.push(((*name).to_owned(), text)),
        }
    }
    Ok((Launch { command: exec.command, variables, paths, files }, patterns))
}

/// What the flags assign: place, name, template, and where it goes.
fn assigned<'a>(
    set: &'a [Assignment],
    file: &'a [Assignment],
) -> Result<Vec<(String, &'a str, &'a str, Into)>, Stop> {
    let mut seen = BTreeSet::new();
    let variables = set.iter().map(|one| ("--set", one, Into::Variable));
    let files = file.iter().map(|one| ("--file", one, Into::File));
    let check = |(flag, one, into): (&str, &'a Assignment, Into)| {
        let name = one.name.as_str();
        let place = format!("{flag} {name}");
        if !seen.insert(name) {
            return Err(Stop::usage(format!("{place}: the variable is given twice")));
        }
        // the file has this name, too
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if into == Into::File
            && (name.starts_with('.') || !name.bytes().all(plain) || name.len() > FILE_NAME_MAX)
        {
            return Err(Stop::usage(format!(
                "{place}: the name has other characters than letters, digits, . _ -"
            )));
        }
        Ok((place, name, one.template.as_str(), into))
    };
    variables.chain(files).map(check).collect()
}

/// What is to be masked: every value that a template names.
fn patterns(session: &Session, templates: &[Placed<'_>], values: &Values) -> Result<Patterns, Stop> {
    let mut masked = Vec::new();
    let mut filtered = Vec::new();
    let mut short = BTreeSet::new();
    for mark in templates.iter().flat_map(|placed| placed.template.marks()) {
        match values.text(mark) {
            Ok(text) if text.len() >= VALUE_MIN => {
                masked.push(text);
                filtered.extend(self::filtered(mark, text));
            }
            _ => drop(short.insert(mark.subject.to_string())),
        }
    }
    // the quotes of a JSON text are no part of what it says
    masked.extend(filtered.iter().map(|text| text.trim_matches('"')));
    for name in short {
        session.printer.note(&format!("note: {name} has fewer than {VALUE_MIN} bytes, and is not masked"));
    }
    Patterns::of(masked).map_err(|_| Stop::local("there is too much to mask"))
}

/// A value as it stands in the text of its template.
fn filtered(mark: &Mark, text: &str) -> Option<Zeroizing<String>> {
    let parts: Vec<&str> =
        ["x"].into_iter().chain(mark.filters.iter().map(|filter| filter.as_str())).collect();
    let alone = (!mark.filters.is_empty()).then(|| format!("%{}%", parts.join("|")))?;
    Template::parse(&alone).ok()?.render(|_| Ok(text)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(set: &[&str], file: &[&str]) -> String {
        let read = |all: &[&str]| all.iter().map(|one| one.parse().unwrap()).collect::<Vec<Assignment>>();
        match assigned(&read(set), &read(file)) {
            Err(Stop::Failed(error)) => error.message,
            _ => panic!("{set:?} {file:?}: was taken"),
        }
    }

    #[test]
    fn what_filters_make_of_a_value_is_known() {
        let template = Template::parse("%x% %x|json|url%").unwrap();
        let made: Vec<_> = template.marks().map(|mark| filtered(mark, "a\"b")).collect();
        assert!(made[0].is_none());
        assert_eq!(made[1].as_ref().unwrap().as_str(), "%22a%5C%22b%22");
    }

    #[test]
    fn a_variable_is_given_once() {
        assert_eq!(refused(&["A=1", "A=2"], &[]), "--set A: the variable is given twice");
        assert_eq!(refused(&["A=1"], &["A=2"]), "--file A: the variable is given twice");
    }

    #[test]
    fn a_file_has_a_plain_name() {
        for name in ["../x", ".x", "a b", "a/b"] {
            assert!(refused(&[], &[&format!("{name}=1")]).contains("letters, digits"), "{name}");
        }
        assert!(refused(&[], &[&format!("{}=1", "x".repeat(FILE_NAME_MAX + 1))]).starts_with("--file"));
    }
}
