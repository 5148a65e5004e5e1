//! Tables, records and times as text.

use super::Printer;
use bursar_proto::time::{Timestamp, in_words};
use std::fmt::{Display, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};
use zeroize::Zeroizing;

/// What stands where a cell is empty.
const EMPTY: &str = "-";

/// Space between columns.
const GAP: &str = "  ";

/// Rows under a heading, aligned.
pub(crate) fn table<const N: usize>(printer: &Printer, heading: [&str; N], rows: &[[String; N]]) -> String {
    grid(printer, &heading, rows)
}

/// The same where the number of columns is known when it runs: every row has as many cells as the heading.
pub(crate) fn grid(printer: &Printer, heading: &[&str], rows: &[impl AsRef<[String]>]) -> String {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.as_ref().iter().map(|cell| printable(cell)).collect()).collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([heading[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heading.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> = cells.zip(&widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
        padded.join(GAP).trim_end().to_owned()
    };
    let mut text = printer.bold(&line(&mut heading.iter().copied())) + "\n";
    for row in &rows {
        text.push_str(&line(&mut row.iter().map(String::as_str)));
        text.push('\n');
    }
    text
}

/// Lines `key  value`, aligned; pairs without a value are left out.
pub(crate) fn record(pairs: &[(&str, Option<String>)]) -> String {
    let shown = || pairs.iter().filter_map(|(key, value)| Some((key, value.as_ref()?)));
    let width = shown().map(|(key, _)| key.chars().count()).max().unwrap_or(0);
    shown().fold(String::new(), |text, (key, value)| {
        text + &format!("{:width$}{GAP}{}\n", printable(key), printable(value))
    })
}

/// A cell's text, or what stands for none.
pub(crate) fn cell(value: Option<impl Display>) -> String {
    value.map_or_else(|| EMPTY.to_owned(), |value| value.to_string())
}

/// `yes` or `no`.
pub(crate) fn yes_no(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

/// An instant with how far away it is.
pub(crate) fn time(at: Timestamp, now: Timestamp) -> String {
    match at.since(now) {
        ahead @ 1.. => format!("{at} (in {})", in_words(ahead)),
        behind => format!("{at} ({} ago)", in_words(-behind)),
    }
}

/// The wall clock.
pub(crate) fn now() -> Timestamp {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Timestamp::from_seconds(i64::try_from(seconds).unwrap_or(i64::MAX))
}

/// Text without what would move a terminal's cursor, change its colours, or show its characters in another order.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if steers(c) { '\u{fffd}' } else { c }).collect()
}

/// The same JSON with such characters as escapes: it says the same, and a terminal shows it.
pub(crate) fn printable_json(json: &str) -> Option<Zeroizing<String>> {
    // the newline that ends a document is no part of a text
    let moves = |c: char| steers(c) && c != '\n';
    if !json.chars().any(moves) {
        return None;
    }
    let mut text = Zeroizing::new(String::with_capacity(json.len() * 2));
    for c in json.chars() {
        if moves(c) {
            // into memory, which takes it
            let _ = write!(text, "\\u{:04x}", u32::from(c));
        } else {
            text.push(c);
        }
    }
    Some(text)
}

/// Control characters, line separators, and what turns the direction of a line (`Bidi_Control` in Unicode).
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let printer = Printer::new(false, true);
        let rows = [["a".to_owned(), "x".to_owned()], ["acme/long".to_owned(), "y".to_owned()]];
        assert_eq!(
            table(&printer, ["NAME", "STATUS"], &rows),
            "NAME       STATUS\na          x\nacme/long  y\n"
        );
    }

    #[test]
    fn empty_attributes_are_left_out() {
        let pairs = [("name", Some("x".to_owned())), ("environment", None), ("id", Some("1".to_owned()))];
        assert_eq!(record(&pairs), "name  x\nid    1\n");
    }

    #[test]
    fn times_say_how_far_away_they_are() {
        let now = Timestamp::from_seconds(1_000_000);
        assert!(time(now.plus(12_000), now).ends_with("(in 3 h 20 min)"));
        assert!(time(now.plus(-45), now).ends_with("(45 s ago)"));
    }

    #[test]
    fn a_terminal_is_not_steered_from_outside() {
        assert_eq!(printable("a\x1b[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");
        assert_eq!(printable("\u{9b}31m\u{202e}\u{7f}é"), "\u{fffd}31m\u{fffd}\u{fffd}é");
    }
}
