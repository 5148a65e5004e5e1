//! `bursar exec`: everything that a command needs is pulled and rendered before it starts, or it does not start.

use crate::args::live::{Assignment, Exec};
use crate::exec::{FAILED_BEFORE, Files, Launch, PATTERNS_MAX, Patterns, VALUE_MIN, check_variable};
use crate::live::{self, Placed, Scope};
use crate::session::Session;
use crate::stop::Stop;
use crate::values::Values;
use crate::workspace::manifest::MANIFEST;
use bursar_proto::template::filtered;
use std::collections::BTreeSet;

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

/// A variable that the command gets.
struct Variable<'a> {
    /// Where it is said, for faults.
    place: String,
    name: &'a str,
    template: &'a str,
    /// Whether it is set to the path of a file that holds the text, and not to the text.
    is_file: bool,
}

fn prepare(session: &Session, exec: Exec) -> Result<(Launch, Option<Patterns>), Stop> {
    let scope = Scope::find(session, exec.environment)?;
    let assigned = assigned(&exec.set, &exec.file)?;
    let mut all: Vec<Variable<'_>> = inherited(&scope);
    all.retain(|one| !assigned.iter().any(|other| other.name == one.name));
    all.extend(assigned);

    let templates = live::parse(all.iter().map(|one| (one.place.clone(), one.template)))?;
    let values = scope.values(session, &templates)?;
    let texts = live::render(&templates, &values)?;
    for (one, text) in all.iter().zip(&texts).filter(|(one, _)| !one.is_file) {
        check_variable(&one.place, text)?;
    }
    let patterns = exec.mask.then(|| patterns(session, &templates, &values)).transpose()?;

    let files = all.iter().any(|one| one.is_file).then(|| Files::begin(&session.surroundings)).transpose()?;
    let (mut variables, mut paths) = (Vec::new(), Vec::new());
    for (one, text) in all.iter().zip(texts) {
        match &files {
            Some(files) if one.is_file => paths.push((one.name.to_owned(), files.write(one.name, &text)?)),
            _ => variables.push((one.name.to_owned(), text)),
        }
    }
    Ok((Launch { command: exec.command, variables, paths, files }, patterns))
}

/// What `[env]` of the workspace sets.
fn inherited(scope: &Scope) -> Vec<Variable<'_>> {
    let env = scope.workspace.iter().flat_map(|workspace| &workspace.manifest.env);
    env.map(|(name, template)| Variable {
        place: format!("{MANIFEST}, [env] {name}"),
        name,
        template,
        is_file: false,
    })
    .collect()
}

/// What the flags assign.
fn assigned<'a>(set: &'a [Assignment], file: &'a [Assignment]) -> Result<Vec<Variable<'a>>, Stop> {
    let mut seen = BTreeSet::new();
    let variables = set.iter().map(|one| ("--set", one, false));
    let files = file.iter().map(|one| ("--file", one, true));
    let check = |(flag, one, is_file): (&str, &'a Assignment, bool)| {
        let name = one.name.as_str();
        let place = format!("{flag} {name}");
        if !seen.insert(name) {
            return Err(Stop::usage(format!("{place}: the variable is given twice")));
        }
        // the file has this name, too
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if is_file && (name.starts_with('.') || !name.bytes().all(plain) || name.len() > FILE_NAME_MAX) {
            return Err(Stop::usage(format!(
                "{place}: the name has other characters than letters, digits, . _ -"
            )));
        }
        Ok(Variable { place, name, template: &one.template, is_file })
    };
    variables.chain(files).map(check).collect()
}

/// What is to be masked: every value that a template names.
fn patterns(session: &Session, templates: &[Placed<'_>], values: &Values) -> Result<Patterns, Stop> {
    let mut masked = Vec::new();
    let mut in_templates = Vec::new();
    let mut short = BTreeSet::new();
    for mark in templates.iter().flat_map(|placed| placed.template.marks()) {
        match values.text(mark) {
            Ok(text) if text.len() >= VALUE_MIN => {
                masked.push(text);
                // a value as it stands is masked as it stands, with quotes of its own
                in_templates.extend((!mark.filters.is_empty()).then(|| filtered(text, &mark.filters)));
            }
            _ => drop(short.insert(mark.subject.to_string())),
        }
    }
    // the quotes of a JSON text are no part of what it says
    masked.extend(in_templates.iter().map(|text| text.trim_matches('"')));
    for name in short {
        session.printer.note(&format!("note: {name} has fewer than {VALUE_MIN} bytes, and is not masked"));
    }
    Patterns::of(masked).map_err(|_| {
        let most = PATTERNS_MAX / 1024 / 1024;
        Stop::usage(format!("--mask: the values have more than {most} MiB in all forms that are looked for"))
            .hint("name fewer of them, or shorter ones")
    })
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
