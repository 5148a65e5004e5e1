//! The template language: text in which marks stand for artifacts.
//!
//! | mark | stands for |
//! |---|---|
//! | `%name%`, `%org/name%` | the artifact of a data element |
//! | `%secret:org/name%` | the artifact of a secret; the owner's own `render` and `exec` alone take it |
//! | `%name:field%` | one field of an artifact that has several |
//! | `%name\|base64%` | its value through a [`Filter`]; several follow each other |
//! | `%%` | a percent sign |
//!
//! A mark stands on one line. Parsing needs no artifact and rendering no file, so both ends use this; a fault says
//! line, column and what is wrong, and never holds an artifact.

use crate::kind::Filter;
use crate::name::Reference;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;
use std::fmt::{self, Write as _};
use zeroize::Zeroizing;

/// The longest template, in bytes: with its envelope it fits a request, even where half of it is escaped.
pub const TEMPLATE_MAX: usize = 128 * 1024;

/// The longest text that a template may become, in bytes: a short one could name a long artifact ten thousand times.
pub const RENDERED_MAX: usize = 4 * 1024 * 1024;

/// How many faults of one template are told: more do not help whoever mends it.
pub const FAULTS_MAX: usize = 20;

/// How many filters a mark has at the most: each may make a text several times as long.
pub const FILTERS_MAX: usize = 3;

/// The longest name of a field, in bytes.
const FIELD_MAX: usize = 100;

/// The prefix of a mark that names a secret.
const SECRET: &str = "secret:";

const SHAPE: &str = "this is no mark: write %name%, %name:field% or %name|filter%, and %% for a percent sign";

/// Where something stands in a template. Both count from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The character in it.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// What is wrong with a template, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {reason}")]
pub struct Fault {
    /// Where.
    pub place: Place,
    /// What; it holds nothing of the template but well-formed names and words.
    pub reason: Cow<'static, str>,
}

/// What a mark stands for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A data element.
    Element(Reference),
    /// A secret, named directly.
    Secret(Reference),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Element(name) => name.fmt(f),
            Self::Secret(name) => write!(f, "{SECRET}{name}"),
        }
    }
}

/// A mark, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// What it stands for.
    pub subject: Subject,
    /// The field of it; without one the artifact's single value is meant.
    pub field: Option<String>,
    /// What its text goes through, the first first.
    pub filters: Vec<Filter>,
    /// Where its first percent sign stands.
    pub place: Place,
}

#[derive(Debug)]
enum Piece<'a> {
    Text(&'a str),
    Mark(Mark),
}

/// A template, read. It borrows its text.
#[derive(Debug)]
pub struct Template<'a>(Vec<Piece<'a>>);

impl<'a> Template<'a> {
    /// Reads a template.
    ///
    /// # Errors
    /// Up to [`FAULTS_MAX`] faults, in the order in which they stand.
    pub fn parse(text: &'a str) -> Result<Self, Vec<Fault>> {
        let start = Place { line: 1, column: 1 };
        if text.len() > TEMPLATE_MAX {
            let reason = format!("a template has at most {} KiB", TEMPLATE_MAX / 1024);
            return Err(vec![Fault { place: start, reason: reason.into() }]);
        }
        let mut pieces = Vec::new();
        let mut faults = Vec::new();
        for (line, text) in (1..).zip(text.split_inclusive('\n')) {
            read_line(line, text, &mut pieces, &mut faults);
            if faults.len() >= FAULTS_MAX {
                faults.truncate(FAULTS_MAX);
                break;
            }
        }
        if faults.is_empty() { Ok(Self(pieces)) } else { Err(faults) }
    }

    /// Its marks, in the order in which they stand.
    pub fn marks(&self) -> impl Iterator<Item = &Mark> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Mark(mark) => Some(mark),
            Piece::Text(_) => None,
        })
    }

    /// The text around its marks, each of which is a zero byte here.
    pub fn text(&self) -> String {
        let piece = |piece: &Piece<'a>| match piece {
            Piece::Text(text) => *text,
            Piece::Mark(_) => "\0",
        };
        self.0.iter().map(piece).collect()
    }

    /// The text with `value` in the place of each mark. What comes out is wiped on drop.
    ///
    /// # Errors
    /// Up to [`FAULTS_MAX`] reasons of `value`, each with its place; or the text grows over [`RENDERED_MAX`].
    pub fn render<'v>(
        &self,
        mut value: impl FnMut(&Mark) -> Result<&'v str, String>,
    ) -> Result<Zeroizing<String>, Vec<Fault>> {
        let mut out = Zeroizing::new(String::new());
        let mut faults = Vec::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Mark(mark) => match value(mark) {
                    Ok(text) => push_filtered(&mut out, text, &mark.filters),
                    Err(reason) => faults.push(Fault { place: mark.place, reason: reason.into() }),
                },
            }
            if out.len() > RENDERED_MAX {
                let place = Place { line: 1, column: 1 };
                let reason = format!("what comes out is over {} MiB", RENDERED_MAX / 1024 / 1024);
                return Err(vec![Fault { place, reason: reason.into() }]);
            }
            if faults.len() == FAULTS_MAX {
                break;
            }
        }
        if faults.is_empty() { Ok(out) } else { Err(faults) }
    }
}

/// Reads one line, its newline included.
fn read_line<'a>(line: usize, text: &'a str, pieces: &mut Vec<Piece<'a>>, faults: &mut Vec<Fault>) {
    let place = |at: usize| Place { line, column: text[..at].chars().count() + 1 };
    let mut fault = |at: usize, reason: Cow<'static, str>| faults.push(Fault { place: place(at), reason });
    if let Some(at) = text.find('\0') {
        return fault(at, "a template is text, and this is a zero byte".into());
    }
    let mut from = 0;
    while let Some(open) = text[from..].find('%').map(|found| from + found) {
        if open > from {
            pieces.push(Piece::Text(&text[from..open]));
        }
        let Some(length) = text[open + 1..].find('%') else {
            return fault(open, "this mark is not closed on its line; write %% for a percent sign".into());
        };
        let body = &text[open + 1..open + 1 + length];
        from = open + length + 2;
        if body.is_empty() {
            pieces.push(Piece::Text("%"));
            continue;
        }
        match read_mark(body, place(open)) {
            Ok(mark) => pieces.push(Piece::Mark(mark)),
            Err(reason) => fault(open, reason),
        }
    }
    if from < text.len() {
        pieces.push(Piece::Text(&text[from..]));
    }
}

/// Reads what stands between two percent signs.
fn read_mark(body: &str, place: Place) -> Result<Mark, Cow<'static, str>> {
    let mut parts = body.split('|');
    let subject = parts.next().unwrap_or_default();
    let (secret, rest) = match subject.strip_prefix(SECRET) {
        Some(rest) => (true, rest),
        None => (false, subject),
    };
    let (name, field) = match rest.split_once(':') {
        None => (rest, None),
        Some((name, field)) => (name, Some(field)),
    };
    let name: Reference = name.parse().map_err(|_| SHAPE)?;
    if let Some(field) = field
        && (field.is_empty() || field.len() > FIELD_MAX || field.chars().any(char::is_control))
    {
        return Err(format!("after : stands the name of a field, 1 to {FIELD_MAX} bytes").into());
    }
    let filters = parts.map(str::parse).collect::<Result<_, _>>();
    let filters: Vec<_> = filters.map_err(|error| Cow::from(format!("after | stands a filter; {error}")))?;
    if filters.len() > FILTERS_MAX {
        return Err(format!("a mark has at most {FILTERS_MAX} filters").into());
    }
    let subject = if secret { Subject::Secret(name) } else { Subject::Element(name) };
    Ok(Mark { subject, field: field.map(str::to_owned), filters, place })
}

/// A text through filters, the first first. What comes out is wiped on drop.
pub fn filtered(text: &str, filters: &[Filter]) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::new());
    push_filtered(&mut out, text, filters);
    out
}

fn push_filtered(out: &mut String, text: &str, filters: &[Filter]) {
    let Some((first, rest)) = filters.split_first() else { return out.push_str(text) };
    if rest.is_empty() {
        return filter(out, text, *first);
    }
    let mut between = Zeroizing::new(String::new());
    filter(&mut between, text, *first);
    push_filtered(out, &between, rest);
}

fn filter(out: &mut String, text: &str, filter: Filter) {
    match filter {
        Filter::Base64 => STANDARD.encode_string(text, out),
        Filter::Json => json_text(out, text),
        Filter::Url => {
            for byte in text.bytes() {
                match byte {
                    b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                        out.push(byte.into());
                    }
                    // a String takes whatever is written to it
                    _ => drop(write!(out, "%{byte:02X}")),
                }
            }
        }
        Filter::Xml => {
            for character in text.chars() {
                match character {
                    '&' => out.push_str("&amp;"),
                    '<' => out.push_str("&lt;"),
                    '>' => out.push_str("&gt;"),
                    '"' => out.push_str("&quot;"),
                    '\'' => out.push_str("&apos;"),
                    other => out.push(other),
                }
            }
        }
    }
}

/// A JSON text with its quotes, RFC 8259 section 7.
fn json_text(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control < ' ' => drop(write!(out, "\\u{:04x}", u32::from(control))),
            other => out.push(other),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn render(text: &str) -> Result<String, String> {
        let joined =
            |faults: Vec<Fault>| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let template = Template::parse(text).map_err(joined)?;
        let rendered =
            template.render(|mark| match (mark.subject.to_string().as_str(), mark.field.as_deref()) {
                ("token", None) => Ok("a\"b&<é"),
                ("acme/db", Some("user")) => Ok("ann"),
                ("secret:acme/x", None) => Ok("x"),
                (name, _) => Err(format!("no element {name}")),
            });
        rendered.map(|text| text.to_string()).map_err(joined)
    }

    #[test]
    fn marks_become_values_and_the_rest_stays() {
        assert_eq!(render("u=%acme/db:user%\np=%token%\n"), Ok("u=ann\np=a\"b&<é\n".into()));
        assert_eq!(render("%secret:acme/x%%token%"), Ok("xa\"b&<é".into()));
        assert_eq!(render("100%% and %%token%%"), Ok("100% and %token%".into()));
        assert_eq!(render(""), Ok(String::new()));
    }

    #[test]
    fn the_text_around_marks_keeps_its_lines() {
        assert_eq!(Template::parse("a%x%b\n%%c").unwrap().text(), "a\0b\n%c");
    }

    #[test]
    fn filters_follow_each_other() {
        assert_eq!(render("%token|json%"), Ok("\"a\\\"b&<é\"".into()));
        assert_eq!(render("%token|base64%"), Ok("YSJiJjzDqQ==".into()));
        assert_eq!(render("%token|url%"), Ok("a%22b%26%3C%C3%A9".into()));
        assert_eq!(render("%token|xml%"), Ok("a&quot;b&amp;&lt;é".into()));
        assert_eq!(render("%token|base64|json%"), Ok("\"YSJiJjzDqQ==\"".into()));
    }

    #[test]
    fn a_fault_says_line_and_column() {
        let cases = [
            ("a\n b %token\nc", "line 2, column 4: this mark is not closed"),
            ("é %no such%", "line 1, column 3: this is no mark"),
            (
                "%token|rot13%",
                "line 1, column 1: after | stands a filter; expected one of: base64, json, url, xml",
            ),
            ("%token:%", "line 1, column 1: after : stands the name of a field"),
            ("%a/b/c%", "line 1, column 1: this is no mark"),
            ("x\0y", "line 1, column 2: a template is text"),
            ("ok\n%token% %nope%", "line 2, column 9: no element nope"),
        ];
        for (text, expected) in cases {
            let refused = render(text).unwrap_err();
            assert!(refused.starts_with(expected), "{text:?}: {refused}");
        }
    }

    #[test]
    fn all_faults_are_told_up_to_a_limit() {
        assert_eq!(Template::parse("%a b%\n%c\n%d e%").unwrap_err().len(), 3);
        assert_eq!(Template::parse(&"%a b%\n".repeat(50)).unwrap_err().len(), FAULTS_MAX);
        assert_eq!(Template::parse(&"%a b%".repeat(50)).unwrap_err().len(), FAULTS_MAX);
    }

    #[test]
    fn sizes_are_bounded() {
        assert!(Template::parse(&"x".repeat(TEMPLATE_MAX)).is_ok());
        assert!(Template::parse(&"x".repeat(TEMPLATE_MAX + 1)).is_err());
        let value = "v".repeat(RENDERED_MAX / 2 + 1);
        let template = Template::parse("%a%%a%").unwrap();
        let refused = template.render(|_| Ok(&value)).unwrap_err();
        assert!(refused[0].reason.contains("over 4 MiB"), "{refused:?}");
        let filters = |count| format!("%a{}%", "|json".repeat(count));
        assert!(Template::parse(&filters(FILTERS_MAX)).is_ok());
        let refused = Template::parse(&filters(FILTERS_MAX + 1)).unwrap_err();
        assert_eq!(refused[0].reason, "a mark has at most 3 filters");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[%a-z:|/\\n \\PC]{0,80}") {
            if let Ok(template) = Template::parse(&text) {
                let marks = template.marks().count();
                let _ = template.render(|_| Ok("v"));
                prop_assert!(marks <= text.len());
            }
        }

        #[test]
        fn text_without_percent_signs_is_itself(text in "[^%\0]{0,80}") {
            let template = Template::parse(&text).unwrap();
            let rendered = template.render(|_| Ok("")).unwrap();
            prop_assert_eq!(rendered.as_str(), text.as_str());
        }

        #[test]
        fn a_json_text_reads_as_what_it_was(text in any::<String>()) {
            let mut json = String::new();
            json_text(&mut json, &text);
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }
}
