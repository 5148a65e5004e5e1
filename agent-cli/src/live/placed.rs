//! Templates with their places: every fault, and everything that is not to be had, is told where it stands.

use crate::stop::{Stop, told};
use crate::values::{Missed, Values};
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::template::{Fault, Subject, Template};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// A template, and how its faults begin.
pub(crate) struct Placed<'a> {
    pub(crate) place: String,
    pub(crate) template: Template<'a>,
}

/// Reads templates, each with its place.
///
/// # Errors
/// All faults of all of them.
pub(crate) fn parse<'a>(texts: impl IntoIterator<Item = (String, &'a str)>) -> Result<Vec<Placed<'a>>, Stop> {
    let mut faults = Vec::new();
    let mut read = Vec::new();
    for (place, text) in texts {
        match Template::parse(text) {
            Ok(template) => read.push(Placed { place, template }),
            Err(all) => faults.extend(lines(&place, &all)),
        }
    }
    told(&faults)?;
    Ok(read)
}

/// Renders templates, in their order.
///
/// # Errors
/// All faults of all of them.
pub(crate) fn render(templates: &[Placed<'_>], values: &Values) -> Result<Vec<Zeroizing<String>>, Stop> {
    let mut faults = Vec::new();
    let mut texts = Vec::with_capacity(templates.len());
    for Placed { place, template } in templates {
        match template.render(|mark| values.text(mark)) {
            Ok(text) => texts.push(text),
            Err(all) => faults.extend(lines(place, &all)),
        }
    }
    told(&faults)?;
    Ok(texts)
}

fn lines<'f>(place: &'f str, faults: &'f [Fault]) -> impl Iterator<Item = String> + 'f {
    faults.iter().map(move |fault| format!("{place}: {fault}"))
}

/// One refusal of all that was missed, each at the first mark that names it; the hint is the first's.
///
/// # Errors
/// Something was; [`ErrorName::Unresolved`] if an element is not resolved.
pub(super) fn tell(templates: &[Placed<'_>], missed: &Missed) -> Result<(), Stop> {
    let mut left: BTreeMap<&Subject, &CallError> =
        missed.iter().map(|(subject, error)| (subject, error)).collect();
    let mut placed = Vec::new();
    for Placed { place, template } in templates {
        for mark in template.marks() {
            if let Some(error) = left.remove(&mark.subject) {
                placed.push((format!("{place}: {}: {}", mark.place, error.message), error));
            }
        }
    }
    let Some((_, first)) = placed.first() else { return Ok(()) };
    let is_unresolved = placed.iter().any(|(_, error)| error.name == ErrorName::Unresolved);
    let name = if is_unresolved { ErrorName::Unresolved } else { first.name };
    let hint = placed.iter().find_map(|(_, error)| error.hint.clone());
    let lines: Vec<_> = placed.into_iter().map(|(line, _)| line).collect();
    Err(CallError { name, message: lines.join("\n"), hint }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_faults_of_all_templates_are_told() {
        let texts = [("a".to_owned(), "%x\n%y|z%"), ("b".to_owned(), "fine"), ("c".to_owned(), "%")];
        let Err(Stop::Failed(error)) = parse(texts) else { panic!("they were read") };
        let begin: Vec<_> = error
            .message
            .lines()
            .map(|line| line.split(": ").take(2).collect::<Vec<_>>().join(": "))
            .collect();
        assert_eq!(begin, ["a: line 1, column 1", "a: line 2, column 1", "c: line 1, column 1"]);
    }

    #[test]
    fn what_is_missed_is_told_where_it_is_named_first() {
        let texts = [("a".to_owned(), "%x% %y%\n %secret:o/z% %x%"), ("b".to_owned(), "%x%%w%")];
        let templates = parse(texts).unwrap();
        assert!(tell(&templates, &Missed::new()).is_ok());
        let element = |name: &str| Subject::Element(name.parse().unwrap());
        let error = |name, message: &str| CallError::new(name, message).hint(format!("mend {message}"));
        let missed = vec![
            (element("w"), error(ErrorName::Unresolved, "no w")),
            (element("x"), error(ErrorName::Invalid, "no x")),
            (Subject::Secret("o/z".parse().unwrap()), error(ErrorName::NotFound, "no z")),
        ];
        let told = |missed: &Missed| match tell(&templates, missed) {
            Err(Stop::Failed(error)) => error,
            _ => panic!("nothing was told"),
        };
        let all = told(&missed);
        assert_eq!(
            all.message,
            "a: line 1, column 1: no x\na: line 2, column 2: no z\nb: line 1, column 4: no w"
        );
        assert_eq!((all.name, all.hint.unwrap().as_str()), (ErrorName::Unresolved, "mend no x"));
        assert_eq!(told(&missed[2..].to_vec()).name, ErrorName::NotFound);
    }
}
