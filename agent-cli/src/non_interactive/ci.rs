//! What a CI says of itself: kept by the agent where a client secret's analytics is complete. It is said by variables
//! that anybody can set, so it decides nothing.

use bursar_proto::call::{CI_FACT_MAX, CI_FACTS_MAX};
use std::collections::BTreeMap;

/// A CI that says more than that it is one.
struct Ci {
    /// The variable that is `true` there.
    variable: &'static str,
    name: &'static str,
    /// Facts, and the variables that say them; with the name no more than [`CI_FACTS_MAX`].
    facts: &'static [(&'static str, &'static str)],
}

const KNOWN: [Ci; 2] = [
    Ci {
        variable: "GITHUB_ACTIONS",
        name: "github-actions",
        facts: &[
            ("repository", "GITHUB_REPOSITORY"),
            ("workflow", "GITHUB_WORKFLOW"),
            ("run", "GITHUB_RUN_ID"),
            ("actor", "GITHUB_ACTOR"),
            ("ref", "GITHUB_REF"),
            ("sha", "GITHUB_SHA"),
        ],
    },
    Ci {
        variable: "GITLAB_CI",
        name: "gitlab",
        facts: &[
            ("project", "CI_PROJECT_PATH"),
            ("pipeline", "CI_PIPELINE_ID"),
            ("job", "CI_JOB_ID"),
            ("ref", "CI_COMMIT_REF_NAME"),
            ("sha", "CI_COMMIT_SHA"),
        ],
    },
];

/// What nearly every CI sets.
const ANY: &str = "CI";

/// The variables that are looked at.
pub(super) fn variables() -> impl Iterator<Item = &'static str> {
    let known = KNOWN.iter().flat_map(|ci| ci.facts.iter().map(|(_, name)| *name).chain([ci.variable]));
    known.chain([ANY])
}

/// What the CI around says of itself, by what its variables hold; `None` where there is none.
pub(super) fn facts(said: &BTreeMap<&'static str, String>) -> Option<BTreeMap<String, String>> {
    let say = |name: &str| said.get(name).map(|text| bounded(text)).filter(|text| !text.is_empty());
    let is = |name: &str, word: &str| said.get(name).is_some_and(|text| text.eq_ignore_ascii_case(word));
    let named = |name: &str| BTreeMap::from([("name".to_owned(), name.to_owned())]);
    if let Some(ci) = KNOWN.iter().find(|ci| is(ci.variable, "true")) {
        let facts = ci.facts.iter().filter_map(|(fact, name)| Some(((*fact).to_owned(), say(name)?)));
        return Some(named(ci.name).into_iter().chain(facts).take(CI_FACTS_MAX).collect());
    }
    // some set it to say that this is none
    (say(ANY).is_some() && !is(ANY, "false") && !is(ANY, "0")).then(|| named("ci"))
}

/// Text without control characters, and no longer than a fact may be.
fn bounded(text: &str) -> String {
    let mut text: String = text.chars().filter(|c| !c.is_control()).collect();
    text.truncate(text.floor_char_boundary(CI_FACT_MAX));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn said(all: &[(&'static str, &str)]) -> Option<Vec<String>> {
        let all = all.iter().map(|(name, text)| (*name, (*text).to_owned())).collect();
        facts(&all).map(|facts| facts.iter().map(|(fact, text)| format!("{fact}={text}")).collect())
    }

    #[test]
    fn github_and_gitlab_say_where_they_are() {
        let github = [
            ("CI", "true"),
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_REPOSITORY", "acme/site"),
            ("GITHUB_WORKFLOW", "release"),
            ("GITHUB_RUN_ID", "77"),
            ("GITHUB_ACTOR", "ann"),
            ("GITHUB_REF", "refs/heads/main"),
            ("GITHUB_SHA", "c0ffee"),
            ("CI_JOB_ID", "none of it"),
        ];
        assert_eq!(
            said(&github).unwrap(),
            [
                "actor=ann",
                "name=github-actions",
                "ref=refs/heads/main",
                "repository=acme/site",
                "run=77",
                "sha=c0ffee",
                "workflow=release"
            ]
        );
        let gitlab = [
            ("CI", "true"),
            ("GITLAB_CI", "true"),
            ("CI_PROJECT_PATH", "acme/site"),
            ("CI_PIPELINE_ID", "5"),
            ("CI_JOB_ID", "6"),
            ("CI_COMMIT_REF_NAME", "main"),
            ("CI_COMMIT_SHA", "c0ffee"),
        ];
        assert_eq!(
            said(&gitlab).unwrap(),
            ["job=6", "name=gitlab", "pipeline=5", "project=acme/site", "ref=main", "sha=c0ffee"]
        );
    }

    #[test]
    fn any_other_says_that_it_is_one() {
        assert_eq!(
            said(&[("CI", "1"), ("GITHUB_ACTIONS", "false"), ("GITHUB_ACTOR", "x")]).unwrap(),
            ["name=ci"]
        );
        for none in [&[][..], &[("CI", "false")], &[("CI", "0")], &[("GITHUB_ACTOR", "ann")]] {
            assert_eq!(said(none), None, "{none:?}");
        }
    }

    #[test]
    fn every_fact_fits_what_the_agent_takes() {
        for ci in &KNOWN {
            assert!(ci.facts.len() < CI_FACTS_MAX, "{}", ci.name);
            assert!(variables().any(|name| name == ci.variable));
        }
        let long = format!("\x1b[31m{}é", "x".repeat(CI_FACT_MAX - 5));
        let facts =
            said(&[("GITHUB_ACTIONS", "true"), ("GITHUB_ACTOR", &long), ("GITHUB_REF", "\n\t")]).unwrap();
        // the letter of two bytes fits no more, and what is empty then says nothing
        assert_eq!(
            facts,
            [format!("actor=[31m{}", "x".repeat(CI_FACT_MAX - 5)), "name=github-actions".into()]
        );
    }

    proptest! {
        #[test]
        fn a_fact_is_bounded_and_has_no_control_character(text in "(?s).{0,400}") {
            let fact = bounded(&text);
            prop_assert!(fact.len() <= CI_FACT_MAX && !fact.chars().any(char::is_control));
        }
    }
}
