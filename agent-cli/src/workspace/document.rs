//! Reads a TOML file of ours member by member. A fault names file, line and key, and never what the key was set to.

use crate::stop::Stop;
use bursar_proto::error::{CallError, ErrorName};
use std::fmt::Display;
use std::str::FromStr;
use toml_edit::{Document, Item, TableLike};

/// How many slips of the keyboard a key may be away from the one that was meant.
const SLIPS_MAX: usize = 2;

/// The longest unknown key that a fault repeats, in bytes.
const ECHO_MAX: usize = 40;

/// A file's name and text.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    name: &'static str,
    text: &'a str,
    /// What to do about a fault, where there is one answer to all.
    mend: Option<&'static str>,
}

impl<'a> Source<'a> {
    pub(super) fn new(name: &'static str, text: &'a str) -> Self {
        Self { name, text, mend: None }
    }

    /// The same with a hint for every fault.
    pub(super) fn mend(self, hint: &'static str) -> Self {
        Self { mend: Some(hint), ..self }
    }

    /// Reads the text as TOML.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn parse(self) -> Result<Document<&'a str>, Stop> {
        Document::parse(self.text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            // the message holds no text of the file, its long form does
            let message = error.message().lines().next().unwrap_or("no toml").to_lowercase();
            self.fault(at, message)
        })
    }

    /// The top of a document that this source gave.
    pub(super) fn table<'d>(self, document: &'d Document<&'a str>) -> Table<'d>
    where
        'a: 'd,
    {
        Table { source: self, items: document.as_table(), path: String::new(), at: 0 }
    }

    fn fault(self, at: usize, reason: impl Display) -> Stop {
        let line = line_of(self.text, at);
        let error = CallError::new(ErrorName::Invalid, format!("{}, line {line}: {reason}", self.name));
        Stop::Failed(match self.mend {
            Some(hint) => error.hint(hint),
            None => error,
        })
    }
}

/// The line in which the byte `at` stands, from 1.
pub(super) fn line_of(text: &str, at: usize) -> usize {
    text.char_indices().take_while(|(place, _)| *place < at).filter(|(_, letter)| *letter == '\n').count() + 1
}

/// A table, and where it stands.
pub(super) struct Table<'d> {
    source: Source<'d>,
    items: &'d dyn TableLike,
    /// The keys that lead to it, joined by dots.
    path: String,
    at: usize,
}

impl<'d> Table<'d> {
    /// Refuses keys that are not among `known`.
    ///
    /// # Errors
    /// The first other key, with the known one that is nearest to it.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Stop> {
        let Some((name, _)) = self.items.iter().find(|(name, _)| !known.contains(name)) else {
            return Ok(());
        };
        let place = if self.path.is_empty() { String::new() } else { format!(" in [{}]", self.path) };
        let named = if harmless(name) {
            format!("unknown key {name}{place}")
        } else {
            format!("an unknown key{place}")
        };
        let fault = self.source.fault(self.place_of(name), named);
        Err(match nearest(name, known) {
            Some(meant) => fault.hint(format!("did you mean: {meant}")),
            None => fault.hint(format!("known there: {}", known.join(", "))),
        })
    }

    /// What a key is set to.
    pub(super) fn entry(&self, name: &str) -> Option<Entry<'d>> {
        self.items.get(name).map(|item| self.entry_of(name, item))
    }

    /// The same for a key that must be there.
    ///
    /// # Errors
    /// It is not.
    pub(super) fn required(&self, name: &str) -> Result<Entry<'d>, Stop> {
        self.entry(name).ok_or_else(|| self.fault(format!("{} is missing", self.path_to(name))))
    }

    /// All of it, in the order in which it stands.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'d str, Entry<'d>)> {
        self.items.iter().map(|(name, item)| (name, self.entry_of(name, item)))
    }

    /// A fault of the table as a whole.
    pub(super) fn fault(&self, reason: impl Display) -> Stop {
        self.source.fault(self.at, reason)
    }

    fn entry_of(&self, name: &str, item: &'d Item) -> Entry<'d> {
        Entry { source: self.source, item, path: self.path_to(name), at: self.place_of(name) }
    }

    fn path_to(&self, name: &str) -> String {
        let name = if harmless(name) { name } else { "(a key)" };
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    fn place_of(&self, name: &str) -> usize {
        let key = self.items.get_key_value(name).and_then(|(key, item)| key.span().or_else(|| item.span()));
        key.map_or(self.at, |span| span.start)
    }
}

/// What a key is set to, and where.
pub(super) struct Entry<'d> {
    source: Source<'d>,
    item: &'d Item,
    path: String,
    at: usize,
}

impl<'d> Entry<'d> {
    /// The text that it is.
    ///
    /// # Errors
    /// It is no text.
    pub(super) fn text(&self) -> Result<&'d str, Stop> {
        self.item.as_str().ok_or_else(|| self.wrong("a text"))
    }

    /// Reads a text as `T`, whose own words say what was expected.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&self) -> Result<T, Stop> {
        self.text()?.parse().map_err(|error| self.fault(error))
    }

    /// Reads a text as `T`; a fault says `expected`, for where `T`'s own words repeat the text.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn expected<T: FromStr>(&self, expected: &str) -> Result<T, Stop> {
        self.text()?.parse().map_err(|_| self.fault(format!("expected {expected}")))
    }

    /// Whether it is a text, where it may be something else.
    pub(super) fn is_text(&self) -> bool {
        self.item.is_str()
    }

    /// The table that it is.
    ///
    /// # Errors
    /// It is no table.
    pub(super) fn table(&self) -> Result<Table<'d>, Stop> {
        let items = self.item.as_table_like().ok_or_else(|| self.wrong("a table"))?;
        Ok(self.inner(items, self.path.clone(), self.item.span()))
    }

    /// The tables that it lists.
    ///
    /// # Errors
    /// It is no list of tables.
    pub(super) fn tables(&self) -> Result<Vec<Table<'d>>, Stop> {
        let path = |at: usize| format!("{}.{}", self.path, at + 1);
        if let Some(tables) = self.item.as_array_of_tables() {
            let inner = tables.iter().enumerate();
            return Ok(inner.map(|(at, table)| self.inner(table, path(at), table.span())).collect());
        }
        let wrong = || self.wrong("a list of tables");
        let array = self.item.as_array().ok_or_else(wrong)?;
        let inner = array.iter().enumerate().map(|(at, value)| {
            let table = value.as_inline_table().ok_or_else(wrong)?;
            Ok(self.inner(table, path(at), table.span()))
        });
        inner.collect()
    }

    /// A fault of this key.
    pub(super) fn fault(&self, reason: impl Display) -> Stop {
        self.source.fault(self.at, format!("{}: {reason}", self.path))
    }

    fn wrong(&self, expected: &str) -> Stop {
        let found = match self.item.type_name() {
            "string" => "a text",
            "integer" | "float" => "a number",
            "boolean" => "true or false",
            "table" | "inline table" => "a table",
            "array" | "array of tables" => "a list",
            "datetime" => "a date",
            _ => "something else",
        };
        self.fault(format!("expected {expected}, found {found}"))
    }

    fn inner(
        &self,
        items: &'d dyn TableLike,
        path: String,
        span: Option<std::ops::Range<usize>>,
    ) -> Table<'d> {
        Table { source: self.source, items, path, at: span.map_or(self.at, |span| span.start) }
    }
}

/// Whether a key may be repeated: it reads as a name, so it is no value in the wrong place.
fn harmless(key: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
    (1..=ECHO_MAX).contains(&key.len()) && key.bytes().all(plain)
}

/// The one of `known` that was probably meant.
pub(crate) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    if !harmless(word) {
        return None;
    }
    let near = known.iter().map(|known| (distance(word, known), *known));
    near.min().filter(|(slips, known)| *slips <= SLIPS_MAX && *slips < known.len()).map(|(_, known)| known)
}

/// How many letters have to be put in, left out or exchanged to make one word of the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (column, counterpart) in other.bytes().enumerate() {
            let exchanged = diagonal + usize::from(letter != counterpart);
            diagonal = row[column + 1];
            row[column + 1] = exchanged.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_counted() {
        for (one, other, slips) in [
            ("", "abc", 3),
            ("packages", "packages", 0),
            ("packges", "packages", 1),
            ("envrionment", "environment", 2),
        ] {
            assert_eq!(distance(one, other), slips, "{one}");
            assert_eq!(distance(other, one), slips, "{one}");
        }
        assert_eq!(nearest("packge", &["env", "packages"]), Some("packages"));
        assert_eq!(nearest("zzz", &["env", "packages"]), None);
        assert_eq!(nearest(&"x".repeat(41), &["x"]), None);
    }
}
