//! Which version of a package a workspace gets. Pure: what there is, what is asked for, and what is pinned are given.

use super::lock::Pin;
use crate::stop::Stop;
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::reply::{Package, PackageVersion};
use bursar_proto::semver::{Comparator, Op, Version, VersionReq};

/// How many versions an error lists: the highest are the ones that are meant.
const LISTED_MAX: usize = 10;

/// The version that a workspace gets: the pinned one where there is a pin, else the highest that meets `requirement`.
///
/// # Errors
/// Nothing meets the requirement; or the pin does not meet it, is not to be had, or has other content.
pub(super) fn choose<'p>(
    package: &'p Package,
    requirement: &VersionReq,
    pin: Option<&Pin>,
) -> Result<&'p PackageVersion, Stop> {
    let Some(Pin { version, digest }) = pin else { return highest(package, requirement) };
    let name = &package.package;
    let refused = |error: ErrorName, message: String| Err(Stop::from(CallError::new(error, message)));
    if !requirement.matches(version) {
        // a pin can be moved only to what there is
        highest(package, requirement)?;
        let message = format!("bursar.lock pins {name} {version}, which does not meet {requirement}");
        return refused(ErrorName::Conflict, message).map_err(to_update);
    }
    match package.versions.iter().find(|one| one.version == *version) {
        None => {
            let there = listed(package);
            let message = format!("bursar.lock pins {name} {version}, and there is no such version: {there}");
            refused(ErrorName::NotFound, message).map_err(to_update)
        }
        Some(found) if found.digest != *digest => {
            let message =
                format!("{name} {version} is not the one that bursar.lock pins: its content differs");
            refused(ErrorName::Conflict, message).map_err(|stop| {
                stop.hint(format!(
                    "see who published it: bursar info {name}; to take it: bursar sync --update"
                ))
            })
        }
        Some(found) => Ok(found),
    }
}

/// The highest version that meets a requirement.
///
/// # Errors
/// None does.
pub(super) fn highest<'p>(
    package: &'p Package,
    requirement: &VersionReq,
) -> Result<&'p PackageVersion, Stop> {
    latest(package, requirement).ok_or_else(|| {
        let message = format!("no version of {} meets {requirement}: {}", package.package, listed(package));
        Stop::from(CallError::new(ErrorName::NotFound, message))
            .hint(format!("see them: bursar info {}", package.package))
    })
}

/// The same; `None` where none meets it.
pub(super) fn latest<'p>(package: &'p Package, requirement: &VersionReq) -> Option<&'p PackageVersion> {
    let meeting = package.versions.iter().filter(|one| requirement.matches(&one.version));
    meeting.max_by(|one, other| one.version.cmp(&other.version))
}

/// The requirement for a package that was added without one: what is compatible with its highest version, one that is
/// no pre-release where there is such.
pub(super) fn caret(package: &Package) -> Option<VersionReq> {
    let highest = package
        .versions
        .iter()
        .map(|one| &one.version)
        .max_by_key(|version| (version.pre.is_empty(), *version));
    highest.map(|Version { major, minor, patch, pre, .. }| {
        let comparator = Comparator {
            op: Op::Caret,
            major: *major,
            minor: Some(*minor),
            patch: Some(*patch),
            pre: pre.clone(),
        };
        VersionReq { comparators: vec![comparator] }
    })
}

fn to_update(stop: Stop) -> Stop {
    stop.hint("move the pins to the highest versions that are asked for: bursar sync --update")
}

fn listed(package: &Package) -> String {
    let mut versions: Vec<&Version> = package.versions.iter().map(|one| &one.version).collect();
    versions.sort_unstable_by(|one, other| other.cmp(one));
    let shown: Vec<String> = versions.iter().take(LISTED_MAX).map(ToString::to_string).collect();
    let more = if versions.len() > LISTED_MAX { " and older ones" } else { "" };
    if shown.is_empty() {
        "there is none".to_owned()
    } else {
        format!("there are {}{more}", shown.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(versions: &[&str]) -> Package {
        let one = |version: &&str| {
            serde_json::json!({
                "package": "acme/site", "version": version, "digest": "ab".repeat(32), "published_at": null,
                "published_by": "uid 1", "elements": {}, "files": []
            })
        };
        let versions: Vec<_> = versions.iter().map(one).collect();
        serde_json::from_value(serde_json::json!({ "package": "acme/site", "versions": versions })).unwrap()
    }

    fn pin(version: &str, digest: &str) -> Pin {
        Pin { version: version.parse().unwrap(), digest: digest.repeat(32).parse().unwrap() }
    }

    fn chosen(versions: &[&str], requirement: &str, pin: Option<&Pin>) -> Result<String, (String, String)> {
        match choose(&package(versions), &requirement.parse().unwrap(), pin) {
            Ok(found) => Ok(found.version.to_string()),
            Err(Stop::Failed(error)) => Err((error.message, error.hint.unwrap_or_default())),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn without_a_pin_the_highest_is_chosen_that_meets() {
        let there = ["1.10.0", "1.9.0", "2.0.0-rc.1", "1.2.0"];
        for (requirement, version) in [
            ("1", "1.10.0"),
            ("~1.2", "1.2.0"),
            ("*", "1.10.0"),
            ("2.0.0-rc.1", "2.0.0-rc.1"),
            ("<1.10", "1.9.0"),
        ] {
            assert_eq!(chosen(&there, requirement, None).unwrap(), version, "{requirement}");
        }
        assert_eq!(
            chosen(&there, "3", None).unwrap_err().0,
            "no version of acme/site meets ^3: there are 2.0.0-rc.1, 1.10.0, 1.9.0, 1.2.0"
        );
        assert!(chosen(&[], "*", None).unwrap_err().0.ends_with("there is none"));
    }

    #[test]
    fn a_pin_holds_as_long_as_it_can() {
        let there = ["1.3.0", "1.2.0"];
        assert_eq!(chosen(&there, "1", Some(&pin("1.2.0", "ab"))).unwrap(), "1.2.0");
        let refused = |requirement, pin: Pin| chosen(&there, requirement, Some(&pin)).unwrap_err();
        let (message, hint) = refused("^1.3", pin("1.2.0", "ab"));
        assert_eq!(message, "bursar.lock pins acme/site 1.2.0, which does not meet ^1.3");
        assert!(hint.ends_with("bursar sync --update"));
        assert!(refused("^9", pin("1.2.0", "ab")).0.starts_with("no version of acme/site meets ^9"));
        let (message, hint) = refused("1", pin("1.2.5", "ab"));
        assert_eq!(
            message,
            "bursar.lock pins acme/site 1.2.5, and there is no such version: there are 1.3.0, 1.2.0"
        );
        assert!(hint.ends_with("bursar sync --update"));
        let (message, hint) = refused("1", pin("1.2.0", "cd"));
        assert_eq!(message, "acme/site 1.2.0 is not the one that bursar.lock pins: its content differs");
        assert!(hint.contains("bursar info acme/site"));
    }

    #[test]
    fn an_error_lists_the_highest_versions_alone() {
        let many: Vec<String> = (0..=LISTED_MAX).map(|minor| format!("1.{minor}.0")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let (message, _) = chosen(&many, "2", None).unwrap_err();
        assert!(
            message.contains("there are 1.10.0, ") && message.ends_with(", 1.1.0 and older ones"),
            "{message}"
        );
    }

    #[test]
    fn what_is_added_gets_all_compatible_versions() {
        let added = |versions: &[&str]| caret(&package(versions)).map(|requirement| requirement.to_string());
        assert_eq!(added(&["1.2.0", "1.10.1", "2.0.0-rc.1"]).unwrap(), "^1.10.1");
        assert_eq!(added(&["2.0.0-rc.1"]).unwrap(), "^2.0.0-rc.1");
        assert_eq!(added(&[]), None);
    }
}
