//! Patterns over names of units and of credentials: `*` is any text, `?` one character, everything else itself. Pure.

/// A pattern over ASCII names; a template stands in it with its instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern(Box<str>);

impl Pattern {
    /// A pattern over names that are compared as they are.
    pub(super) fn of_names(text: &str) -> Self {
        Self(text.into())
    }

    /// A pattern over units: a template such as `app@.service` means its instances, of which each has a name.
    pub(super) fn of_units(text: &str) -> Self {
        Self(match text.rsplit_once('.') {
            Some((stem, kind)) if stem.ends_with('@') => format!("{stem}?*.{kind}").into(),
            _ => text.into(),
        })
    }

    /// Whether it fits the whole of `name`. It never takes more steps than both lengths multiplied: only the last `*` is
    /// ever tried again, as what stands before it fits in any case.
    pub(super) fn fits(&self, name: &str) -> bool {
        let (glob, name) = (self.0.as_bytes(), name.as_bytes());
        let (mut at, mut next) = (0, 0);
        // where the last `*` stands, and up to where the name was given to it
        let mut star = None;
        while next < name.len() {
            match glob.get(at) {
                Some(b'*') => {
                    star = Some((at, next));
                    at += 1;
                }
                Some(byte) if *byte == b'?' || *byte == name[next] => {
                    at += 1;
                    next += 1;
                }
                _ => {
                    let Some((last, given)) = star else { return false };
                    star = Some((last, given + 1));
                    (at, next) = (last + 1, given + 1);
                }
            }
        }
        glob[at..].iter().all(|byte| *byte == b'*')
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The plain meaning, for short texts.
    fn means(glob: &[u8], name: &[u8]) -> bool {
        match (glob.split_first(), name.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => {
                means(rest, name) || name.split_first().is_some_and(|(_, n)| means(glob, n))
            }
            (Some((b'?', rest)), Some((_, name))) => means(rest, name),
            (Some((one, rest)), Some((other, name))) => one == other && means(rest, name),
            _ => false,
        }
    }

    #[test]
    fn a_star_is_any_text_and_a_question_mark_one_character() {
        for (pattern, fitting, others) in [
            ("app.service", &["app.service"][..], &["app.servic", "app.services", "xapp.service", ""][..]),
            (
                "app*.service",
                &["app.service", "app-1.service", "app@x.service"],
                &["ap.service", "app.socket"],
            ),
            ("app-?.service", &["app-1.service"], &["app-.service", "app-12.service"]),
            ("*", &["", "a", "a.service"], &[]),
            ("**a**", &["a", "bab"], &["", "b"]),
            ("?", &["a"], &["", "ab"]),
            ("", &[], &["a"]),
        ] {
            let pattern = Pattern::of_names(pattern);
            for name in fitting {
                assert!(pattern.fits(name), "{pattern:?} {name}");
            }
            for name in others {
                assert!(!pattern.fits(name), "{pattern:?} {name}");
            }
        }
    }

    #[test]
    fn a_template_means_its_instances_and_not_itself() {
        let template = Pattern::of_units("app@.service");
        assert!(template.fits("app@blue.service") && template.fits("app@a.b.service"));
        for other in ["app@.service", "app.service", "other@blue.service", "app@blue.socket"] {
            assert!(!template.fits(other), "{other}");
        }
        assert!(Pattern::of_units("app@b*.service").fits("app@b.service"));
    }

    #[test]
    fn a_pattern_made_to_be_slow_is_not() {
        // backtracking over each star would take longer than the world is old
        let pattern = Pattern::of_names(&"*a".repeat(120));
        assert!(!pattern.fits(&"a".repeat(119)));
        assert!(pattern.fits(&"a".repeat(255)));
        assert!(!Pattern::of_names(&format!("{}b", "a*".repeat(127))).fits(&"a".repeat(255)));
    }

    proptest! {
        #[test]
        fn what_fits_is_what_the_pattern_means(glob in "[ab*?]{0,8}", name in "[ab]{0,8}") {
            prop_assert_eq!(Pattern::of_names(&glob).fits(&name), means(glob.as_bytes(), name.as_bytes()));
        }

        #[test]
        fn every_name_fits_itself_and_the_star(name in "[!-)+->@-~]{1,80}") {
            prop_assert!(Pattern::of_names(&name).fits(&name) && Pattern::of_names("*").fits(&name));
        }

        #[test]
        fn a_template_fits_every_instance(instance in r"[A-Za-z0-9:_.\\-]{1,40}") {
            let name = format!("app@{instance}.service");
            prop_assert!(Pattern::of_units("app@.service").fits(&name));
        }
    }
}
