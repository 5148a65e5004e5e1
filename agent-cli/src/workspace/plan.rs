//! What has to happen so that a workspace's files are what they should be. Pure: what is wanted, what was recorded and
//! what lies on disk are given.
//!
//! A file that a person wrote or edited is known by its digest: it is none of those that were recorded.

use super::tree::{Found, MODE_BITS};
use bursar_proto::library::{Digest, FileMode, FilePath};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// How a file stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// As it should be.
    Current,
    /// Written by us, and no longer what it should be.
    Stale,
    /// Not there.
    Missing,
    /// Written by somebody else.
    Edited,
    /// The value of a deleted secret is in it. No plan says so: it is what the agent knows.
    #[serde(rename = "holds_deleted_value")]
    HoldsDeleted,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Current => "current",
            Self::Stale => "stale",
            Self::Missing => "missing",
            Self::Edited => "edited",
            Self::HoldsDeleted => "holds a deleted value",
        })
    }
}

/// What a file should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// The digest of its content; none where that cannot be made now.
    pub(super) digest: Option<Digest>,
    pub(super) mode: FileMode,
}

/// What has to happen.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// How the wanted files stand.
    pub(super) states: BTreeMap<FilePath, State>,
    /// How those stand that were recorded and that nothing wants any more, where they are still there: stale or edited.
    pub(super) leftovers: BTreeMap<FilePath, State>,
}

impl Plan {
    /// Compares.
    pub(super) fn new(
        wanted: &BTreeMap<FilePath, Target>,
        recorded: &BTreeMap<FilePath, Vec<Digest>>,
        found: &BTreeMap<FilePath, Found>,
    ) -> Self {
        let ours = |path: &FilePath| recorded.get(path).map_or(&[][..], Vec::as_slice);
        let states =
            wanted.iter().map(|(path, target)| (path.clone(), judge(target, found.get(path), ours(path))));
        let left = recorded.iter().filter(|(path, _)| !wanted.contains_key(*path));
        let leftovers = left.filter_map(|(path, ours)| {
            let state = if is_ours(found.get(path)?, ours) { State::Stale } else { State::Edited };
            Some((path.clone(), state))
        });
        Self { states: states.collect(), leftovers: leftovers.collect() }
    }

    /// The wanted files that would be written over though somebody else wrote them.
    pub(super) fn edited(&self) -> impl Iterator<Item = &FilePath> {
        self.states.iter().filter(|(_, state)| **state == State::Edited).map(|(path, _)| path)
    }

    /// The files to write.
    pub(super) fn writes(&self) -> impl Iterator<Item = &FilePath> {
        self.states.iter().filter(|(_, state)| **state != State::Current).map(|(path, _)| path)
    }

    /// The files to remove; with `force` also those that somebody edited.
    pub(super) fn removals(&self, force: bool) -> impl Iterator<Item = &FilePath> {
        self.leftovers.iter().filter(move |(_, state)| force || **state == State::Stale).map(|(path, _)| path)
    }

    /// The files that stay though nothing wants them any more.
    pub(super) fn kept(&self, force: bool) -> impl Iterator<Item = &FilePath> {
        self.leftovers
            .iter()
            .filter(move |(_, state)| !force && **state == State::Edited)
            .map(|(path, _)| path)
    }

    /// Whether nothing has to happen.
    pub(super) fn is_current(&self) -> bool {
        self.leftovers.is_empty() && self.states.values().all(|state| *state == State::Current)
    }
}

fn judge(target: &Target, found: Option<&Found>, ours: &[Digest]) -> State {
    let Some(found) = found else { return State::Missing };
    let is_open = found.mode & MODE_BITS & !target.mode.bits() != 0;
    match &target.digest {
        Some(_) if found.digest == target.digest && !is_open => State::Current,
        Some(_) if found.digest == target.digest => State::Stale,
        _ if is_ours(found, ours) => State::Stale,
        _ => State::Edited,
    }
}

fn is_ours(found: &Found, ours: &[Digest]) -> bool {
    found.digest.as_ref().is_some_and(|digest| ours.contains(digest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::{btree_map, vec};
    use proptest::option;
    use proptest::prelude::*;

    fn digest(number: u8) -> Digest {
        format!("{number:02x}").repeat(32).parse().unwrap()
    }

    fn target(number: u8) -> Target {
        Target { digest: Some(digest(number)), mode: FileMode::PRIVATE }
    }

    fn found(number: u8, mode: u32) -> Found {
        Found { digest: Some(digest(number)), mode }
    }

    #[test]
    fn a_file_is_current_missing_stale_or_edited() {
        for (lies, ours, state) in [
            (None, vec![], State::Missing),
            (None, vec![digest(1)], State::Missing),
            (Some(found(1, 0o600)), vec![], State::Current),
            (Some(found(1, 0o400)), vec![], State::Current),
            (Some(found(1, 0o640)), vec![], State::Stale),
            (Some(found(2, 0o600)), vec![digest(2), digest(3)], State::Stale),
            (Some(found(3, 0o600)), vec![digest(2), digest(3)], State::Stale),
            (Some(found(4, 0o600)), vec![digest(2), digest(3)], State::Edited),
            (Some(found(2, 0o600)), vec![], State::Edited),
            (Some(Found { digest: None, mode: 0o600 }), vec![digest(2)], State::Edited),
        ] {
            assert_eq!(judge(&target(1), lies.as_ref(), &ours), state, "{lies:?} {ours:?}");
        }
    }

    #[test]
    fn a_file_whose_content_cannot_be_made_is_missing_edited_or_stale() {
        let unknown = Target { digest: None, mode: FileMode::PRIVATE };
        for (lies, state) in [
            (None, State::Missing),
            (Some(found(1, 0o600)), State::Stale),
            (Some(found(2, 0o600)), State::Edited),
            (Some(Found { digest: None, mode: 0o600 }), State::Edited),
        ] {
            assert_eq!(judge(&unknown, lies.as_ref(), &[digest(1)]), state, "{lies:?}");
        }
    }

    #[test]
    fn what_nothing_wants_goes_unless_it_was_edited() {
        let path = |text: &str| text.parse::<FilePath>().unwrap();
        let recorded = BTreeMap::from(["a", "b", "c"].map(|name| (path(name), vec![digest(1)])));
        let lies = BTreeMap::from([(path("a"), found(1, 0o600)), (path("b"), found(2, 0o600))]);
        let plan = Plan::new(&BTreeMap::new(), &recorded, &lies);
        let texts = |paths: Vec<&FilePath>| paths.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(texts(plan.removals(false).collect()), ["a"]);
        assert_eq!(texts(plan.kept(false).collect()), ["b"]);
        assert_eq!(texts(plan.removals(true).collect()), ["a", "b"]);
        assert_eq!(plan.kept(true).count(), 0);
    }

    fn paths() -> impl Strategy<Value = FilePath> {
        "[a-d]".prop_map(|name| name.parse().unwrap())
    }

    fn some_found() -> impl Strategy<Value = Found> {
        (option::weighted(0.9, 0..4_u8), prop::sample::select(vec![0o600, 0o644, 0o400]))
            .prop_map(|(number, mode)| Found { digest: number.map(digest), mode })
    }

    proptest! {
        #[test]
        fn a_plan_touches_nothing_of_others_and_ends_what_it_begins(
            wanted in btree_map(paths(), (0..4_u8).prop_map(target), 0..4),
            recorded in btree_map(paths(), vec((0..4_u8).prop_map(digest), 0..3), 0..4),
            mut lies in btree_map(paths(), some_found(), 0..4),
            force: bool,
        ) {
            let before = lies.clone();
            let plan = Plan::new(&wanted, &recorded, &lies);
            prop_assert!(plan.states.keys().eq(wanted.keys()));
            prop_assert!(plan.leftovers.keys().all(|path| !wanted.contains_key(path)));
            if plan.edited().next().is_some() && !force {
                return Ok(());
            }
            for path in plan.writes() {
                lies.insert(path.clone(), Found { digest: wanted[path].digest, mode: wanted[path].mode.bits() });
            }
            for path in plan.removals(force) {
                lies.remove(path);
            }
            for (path, old) in &before {
                let is_recorded = recorded.get(path).is_some_and(|ours| is_ours(old, ours));
                let is_same = lies.get(path).is_some_and(|new| new.digest == old.digest);
                prop_assert!(force || is_recorded || is_same, "{path} was not ours");
                if !wanted.contains_key(path) && !recorded.contains_key(path) {
                    prop_assert_eq!(lies.get(path), Some(old));
                }
            }
            let record = wanted.iter().map(|(path, target)| (path.clone(), target.digest.into_iter().collect()));
            let kept = plan.kept(force).map(|path| (path.clone(), recorded[path].clone()));
            let after = Plan::new(&wanted, &record.chain(kept).collect(), &lies);
            prop_assert_eq!(after.writes().count(), 0);
            prop_assert_eq!(after.removals(force).count(), 0);
            prop_assert_eq!(after.is_current(), plan.kept(force).next().is_none());
        }
    }
}
