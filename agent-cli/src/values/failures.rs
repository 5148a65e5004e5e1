//! What failed of many things, told at once.

use crate::stop::Stop;
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::kind::ElementState;
use bursar_proto::name::Qualified;
use bursar_proto::reply::Resolved;

/// Lets through only what can be used, all of it; an element may be a package's.
///
/// # Errors
/// [`ErrorName::Unresolved`] with everything that cannot, a line each.
pub(crate) fn gate<'a>(
    resolved: impl IntoIterator<Item = (Option<&'a Qualified>, &'a Resolved)>,
) -> Result<(), Stop> {
    let mut failures = Failures::default();
    failures.gate(resolved);
    failures.end()
}

/// Why an element cannot be used, if it cannot; it may be a package's.
pub(super) fn unresolved(package: Option<&Qualified>, one: &Resolved) -> Option<CallError> {
    if one.state == ElementState::Good {
        return None;
    }
    let problem = one.problem.clone().unwrap_or_else(|| format!("{} is {}", one.element, one.state));
    let problem = package.map_or_else(|| problem.clone(), |package| format!("{package}: {problem}"));
    let hint = one.hint.clone().unwrap_or_else(|| "see them all: bursar check".to_owned());
    Some(CallError::new(ErrorName::Unresolved, problem).hint(hint))
}

/// What failed of many things, to be told at once.
#[derive(Default)]
pub(crate) struct Failures(Vec<CallError>);

impl Failures {
    /// The failures of what was asked for together: where the request is wrong, each of them says the same.
    pub(crate) fn of(all: impl IntoIterator<Item = CallError>) -> Self {
        let mut all: Vec<_> = all.into_iter().collect();
        all.dedup();
        Self(all)
    }

    /// Keeps a failure, and answers what did not fail.
    pub(crate) fn sift<T>(&mut self, result: Result<T, CallError>) -> Option<T> {
        result.map_err(|error| self.0.push(error)).ok()
    }

    fn gate<'a>(&mut self, resolved: impl IntoIterator<Item = (Option<&'a Qualified>, &'a Resolved)>) {
        self.0.extend(resolved.into_iter().filter_map(|(package, one)| unresolved(package, one)));
    }

    /// One error of all that were kept, a line each; the hint is the first's.
    pub(crate) fn end(&mut self) -> Result<(), Stop> {
        let mut all = std::mem::take(&mut self.0);
        let Some(first) = all.first() else { return Ok(()) };
        if all.len() == 1 {
            return Err(all.swap_remove(0).into());
        }
        let closed = all.iter().any(|error| error.name == ErrorName::Unresolved);
        let name = if closed { ErrorName::Unresolved } else { first.name };
        let lines: Vec<_> = all.iter().map(|error| format!("\n  {}", error.message)).collect();
        let message = format!("{} problems:{}", all.len(), lines.concat());
        let hint = all.into_iter().find_map(|error| error.hint);
        Err(CallError { name, message, hint }.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(name: &str, state: &str, problem: Option<&str>, hint: Option<&str>) -> Resolved {
        serde_json::from_value(serde_json::json!({
            "element": name, "stage": "staging", "secret": null, "environment": null, "type": null,
            "expires_at": null, "state": state, "problem": problem, "hint": hint
        }))
        .unwrap()
    }

    #[test]
    fn the_gate_tells_all_that_cannot_be_used() {
        let good = resolved("a", "good", None, None);
        assert!(gate([(None, &good)]).is_ok());
        let empty = resolved("b", "empty", Some("b: its slot staging is empty"), None);
        let dead = resolved("c", "expired", Some("c: acme/c is expired"), Some("bursar secret retry acme/c"));
        let Err(Stop::Failed(error)) = gate([(None, &good), (None, &empty)]) else { panic!("it opened") };
        assert_eq!(error.message, "b: its slot staging is empty");
        assert_eq!((error.name.exit_code(), error.hint.unwrap().as_str()), (7, "see them all: bursar check"));
        let Err(Stop::Failed(error)) =
            gate([(Some(&"acme/site".parse().unwrap()), &dead), (None, &good), (None, &empty)])
        else {
            panic!("it opened")
        };
        assert_eq!(
            error.message,
            "2 problems:\n  acme/site: c: acme/c is expired\n  b: its slot staging is empty"
        );
        assert_eq!(error.hint.unwrap(), "bursar secret retry acme/c");
    }
}
