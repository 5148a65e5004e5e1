//! Blots values out of a stream: whole, encoded, or line by line, also where they come in pieces.
//!
//! What is held back is only what may yet become a value; all else goes out at once, so a prompt is seen.

use super::forms::forms;
use aho_corasick::{AhoCorasick, AhoCorasickKind, Input, MatchKind};
use zeroize::{Zeroize, Zeroizing};

/// What stands in the place of a value.
const BLOT: &[u8] = b"***";

/// The shortest value that is masked, in bytes: a shorter one stands by chance in any output, and blots in all those
/// places would tell more of it than they hide.
pub(crate) const VALUE_MIN: usize = 4;

/// The most bytes that all forms of all values may have: the search takes some seventy times as much memory,
/// and a value of 128 KiB stays far below it.
pub(crate) const PATTERNS_MAX: usize = 8 * 1024 * 1024;

/// There is too much to look for.
#[derive(Debug)]
pub(crate) struct TooMuch;

/// What is to be blotted out; streams share it.
pub(crate) struct Patterns {
    search: AhoCorasick,
    /// The same texts in order, so that those which begin with a given text stand beside each other.
    sorted: Vec<Zeroizing<Vec<u8>>>,
    longest: usize,
}

impl Patterns {
    /// Patterns for values of [`VALUE_MIN`] bytes or more.
    ///
    /// # Errors
    /// All their forms have more than [`PATTERNS_MAX`] bytes.
    pub(crate) fn of<'a>(values: impl IntoIterator<Item = &'a str>) -> Result<Self, TooMuch> {
        let mut sorted: Vec<Zeroizing<Vec<u8>>> = Vec::new();
        for value in values {
            sorted.extend(forms(value));
            sorted.sort_unstable_by(|one, other| one.as_slice().cmp(other));
            sorted.dedup_by(|one, other| one.as_slice() == other.as_slice());
            if sorted.iter().map(|one| one.len()).sum::<usize>() > PATTERNS_MAX {
                return Err(TooMuch);
            }
        }
        let search = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            // what it takes by itself for few patterns is of many times their size
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(sorted.iter().map(|one| &**one))
            .map_err(|_| TooMuch)?;
        let longest = sorted.iter().map(|one| one.len()).max().unwrap_or(0);
        Ok(Self { search, sorted, longest })
    }

    /// Whether `tail` may become a value if more follows.
    fn begins_one(&self, tail: &[u8]) -> bool {
        let at = self.sorted.partition_point(|one| one.as_slice() <= tail);
        self.sorted.get(at).is_some_and(|one| one.starts_with(tail))
    }

    /// Where in `text`, from `from` on, the first tail begins that may become a value.
    fn undecided(&self, text: &[u8], from: usize) -> usize {
        let first = from.max(text.len().saturating_sub(self.longest.saturating_sub(1)));
        (first..text.len()).find(|at| self.begins_one(&text[*at..])).unwrap_or(text.len())
    }
}

/// One stream on its way through.
pub(crate) struct Masker<'p> {
    patterns: &'p Patterns,
    /// What may yet become a value.
    held: Zeroizing<Vec<u8>>,
}

impl<'p> Masker<'p> {
    pub(crate) fn new(patterns: &'p Patterns) -> Self {
        Self { patterns, held: Zeroizing::new(Vec::new()) }
    }

    /// Takes what came; answers what can go out.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.hold(bytes);
        self.drain(false)
    }

    /// Answers what was held back: nothing follows it.
    pub(crate) fn end(&mut self) -> Vec<u8> {
        self.drain(true)
    }

    fn hold(&mut self, bytes: &[u8]) {
        if self.held.capacity() - self.held.len() < bytes.len() {
            let mut grown = Vec::with_capacity((self.held.len() + bytes.len()).next_power_of_two());
            grown.extend_from_slice(&self.held);
            self.held.zeroize();
            *self.held = grown;
        }
        self.held.extend_from_slice(bytes);
    }

    fn drain(&mut self, ended: bool) -> Vec<u8> {
        let text = &self.held;
        let mut out = Vec::with_capacity(text.len());
        let decided = |from| if ended { text.len() } else { self.patterns.undecided(text, from) };
        let mut from = 0;
        // a match that begins before this place can neither begin earlier nor become longer by what follows
        let mut end = decided(from);
        loop {
            match self.patterns.search.find(Input::new(text.as_slice()).range(from..)) {
                Some(found) if found.start() < end => {
                    out.extend_from_slice(&text[from..found.start()]);
                    out.extend_from_slice(BLOT);
                    from = found.end();
                    if from > end {
                        end = decided(from);
                    }
                }
                _ => {
                    out.extend_from_slice(&text[from..end]);
                    from = end;
                    break;
                }
            }
        }
        let rest = text.len() - from;
        self.held.copy_within(from.., 0);
        self.held[rest..].zeroize();
        self.held.truncate(rest);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    fn masked(values: &[&str], pieces: &[&[u8]]) -> String {
        let patterns = Patterns::of(values.iter().copied()).unwrap();
        let mut masker = Masker::new(&patterns);
        let mut out: Vec<u8> = pieces.iter().flat_map(|piece| masker.push(piece)).collect();
        out.extend(masker.end());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_value_is_blotted_out_in_all_its_forms() {
        let value = "s3cr&t?/ü>>";
        for text in [
            value,
            "czNjciZ0Py/DvD4+",
            "czNjciZ0Py_DvD4-",
            "s3cr%26t%3F%2F%C3%BC%3E%3E",
            "s3cr%26t%3f%2f%c3%bc%3e%3e",
        ] {
            assert_eq!(masked(&[value], &[b"<", text.as_bytes(), b">"]), "<***>", "{text}");
        }
        assert_eq!(masked(&["four"], &[b"Zm91cg== Zm91cg"]), "*** ***");
    }

    #[test]
    fn a_value_of_several_lines_is_blotted_out_line_by_line() {
        let key = "-----BEGIN KEY-----\nMIIBVAIBADAN\nshort\n";
        assert_eq!(masked(&[key], &[key.as_bytes()]), "***");
        assert_eq!(masked(&[key], &[b"a MIIBVAIBADAN\r\nshort"]), "a ***\r\nshort");
        assert_eq!(masked(&["token\n"], &[b"token."]), "***.");
    }

    #[test]
    fn short_values_are_left_alone() {
        assert_eq!(masked(&["abc"], &[b"abc YWJj"]), "abc YWJj");
        assert_eq!(masked(&["abcd"], &[b"abcd"]), "***");
        assert_eq!(masked(&[], &[b"any"]), "any");
    }

    #[test]
    fn what_is_looked_for_has_an_end() {
        let long = |bytes: usize| Patterns::of(["x".repeat(bytes).as_str()]).is_ok();
        assert!(long(128 * 1024));
        assert!(!long(PATTERNS_MAX / 8));
    }

    #[test]
    fn a_value_within_base64_is_blotted_out() {
        let value = "correct horse battery staple";
        for before in ["user:", "u:", "us:", ""] {
            let text = STANDARD.encode(format!("{before}{value}\n"));
            let out = masked(&[value], &[text.as_bytes()]);
            assert!(out.contains("***") && out.len() <= before.len() * 4 / 3 + 10, "{text}: {out}");
        }
        let long = "0123456789".repeat(20);
        for at in [76, 64] {
            let wrapped: Vec<u8> = STANDARD
                .encode(&long)
                .as_bytes()
                .chunks(at)
                .flat_map(|line| [line, b"\n"].concat())
                .collect();
            assert_eq!(masked(&[&long], &[&wrapped]), "***\n");
        }
    }

    #[test]
    fn the_longest_of_values_with_one_beginning_counts() {
        assert_eq!(masked(&["pass", "password"], &[b"passwo", b"rd pass passwor."]), "*** *** ***wor.");
    }

    #[test]
    fn what_cannot_become_a_value_is_not_held_back() {
        let patterns = Patterns::of(["hunter2"]).unwrap();
        let mut masker = Masker::new(&patterns);
        assert_eq!(masker.push(b"password: "), b"password: ");
        assert_eq!(masker.push(b"oh hunt"), b"oh ");
        assert_eq!(masker.push(b"er1"), b"hunter1");
        assert_eq!(masker.push(b"hunter"), b"");
        assert_eq!(masker.push(b"2!"), b"***!");
        assert_eq!(masker.push(b"hun"), b"");
        assert_eq!(masker.end(), b"hun");
        assert_eq!(masker.end(), b"");
    }

    proptest! {
        #[test]
        fn no_split_lets_a_value_through(
            values in prop::collection::vec("[ab&]{4,7}(\n[ab\"]{3,9})?", 1..4),
            text in "[ab\nYQ=]{0,60}",
            marks in prop::collection::vec((0_usize..60, 0_usize..4, 0_usize..64), 0..4),
            cuts in prop::collection::vec(0_usize..120, 0..12),
        ) {
            let mut text = text;
            for (at, which, form) in marks {
                let forms = forms(&values[which % values.len()]);
                let form = std::str::from_utf8(&forms[form % forms.len()]).unwrap();
                text.insert_str(at.min(text.len()), form);
            }
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &text.as_bytes()[cut[0]..cut[1]]).collect();
            let split = masked(&values, &pieces);
            prop_assert_eq!(&split, &masked(&values, &[text.as_bytes()]));
            for form in values.iter().flat_map(|value| forms(value)) {
                let form = std::str::from_utf8(&form).unwrap();
                prop_assert!(!split.contains(form), "{split:?} holds {form:?}");
            }
        }
    }
}
