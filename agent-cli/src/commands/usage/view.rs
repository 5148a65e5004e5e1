//! Use as text: a table with bars, the days of one, rows for a spreadsheet.

use super::{DAY, day_of};
use crate::output::text::{cell, record, table as aligned, time};
use crate::output::{Printer, bars, csv as rows};
use bursar_proto::kind::Analytics;
use bursar_proto::reply::Usage;
use bursar_proto::time::Timestamp;

/// From how many days on a bar stands for a week: more bars than this are wider than a terminal.
const DAYS_AS_BARS: usize = 60;

/// How much of a description stands in a table with bars, in characters.
const DESCRIPTION_SHOWN: usize = 30;

/// The length of a day's bar where each has a line, in cells.
const BAR: usize = 24;

/// All of them, a row each with a bar for each day.
pub(super) fn table(printer: &Printer, all: &[Usage], days: usize, now: Timestamp) -> String {
    let step = if days > DAYS_AS_BARS { 7 } else { 1 };
    let today = today(all, now);
    let counts: Vec<Vec<u64>> = all.iter().map(|one| by_column(one, days, step, today)).collect();
    let most = counts.iter().flatten().copied().max().unwrap_or(0);
    let rows: Vec<_> = all
        .iter()
        .zip(&counts)
        .map(|(one, counts)| [short_name(one), used(one), cell(one.last_used_at), bars::row(counts, most)])
        .collect();
    let heading = format!("BY {}", if step == 1 { "DAY" } else { "WEEK" });
    let text = aligned(printer, ["NAME", "USED", "LAST USED", &heading], &rows);
    let scale = if most == 0 {
        String::new()
    } else {
        let first = today.saturating_add(1).saturating_sub_unsigned(days as u64);
        format!("{} to {}; the highest bar is {most}\n", day_text(first), day_text(today))
    };
    tinted(printer, &text) + &scale
}

/// One of them, a line for each day on which it was used.
pub(super) fn one(printer: &Printer, one: &Usage, days: u64, now: Timestamp) -> String {
    let last = one.last_used_at.map_or_else(|| "-".to_owned(), |at| time(at, now));
    let head = record(&[
        ("name", Some(name(one))),
        ("analytics", Some(one.analytics.to_string())),
        ("used", Some(format!("{} in {}", used(one), in_days(days)))),
        ("last used", Some(last)),
    ]);
    if one.days.is_empty() {
        return head;
    }
    let most = one.days.iter().map(|day| day.count).max().unwrap_or(0);
    let rows: Vec<_> = one
        .days
        .iter()
        .map(|day| {
            let by: Vec<_> = day.by.iter().map(|(what, count)| format!("{what} {count}")).collect();
            [day.day.clone(), day.count.to_string(), bars::line(day.count, most, BAR), by.join(", ")]
        })
        .collect();
    head + &tinted(printer, &aligned(printer, ["DAY", "USED", "", "BY"], &rows))
}

/// A row for each day and each way of use; one without a day for what was not used.
pub(super) fn csv(all: &[Usage]) -> String {
    let mut text = rows::row(&["day", "kind", "name", "by", "count"]);
    for one in all {
        let (kind, name) = match (&one.secret, &one.client_secret) {
            (Some(secret), _) => ("secret", secret.to_string()),
            (None, id) => ("client_secret", cell(id.as_ref())),
        };
        if one.days.is_empty() {
            text += &rows::row(&["", kind, &name, "", "0"]);
        }
        for day in &one.days {
            if day.by.is_empty() {
                text += &rows::row(&[&day.day, kind, &name, "", &day.count.to_string()]);
            }
            for (by, count) in &day.by {
                text += &rows::row(&[&day.day, kind, &name, by, &count.to_string()]);
            }
        }
    }
    text
}

/// How often in each column, the oldest first.
fn by_column(one: &Usage, days: usize, step: usize, today: i64) -> Vec<u64> {
    let mut columns = vec![0_u64; days.div_ceil(step)];
    for day in &one.days {
        let back = number(&day.day).and_then(|number| usize::try_from(today - number).ok());
        let Some(back) = back.map(|back| back / step).filter(|&back| back < columns.len()) else { continue };
        let at = columns.len() - 1 - back;
        columns[at] = columns[at].saturating_add(day.count);
    }
    columns
}

/// The last day that is shown: the agent may count a later one than our clock does.
fn today(all: &[Usage], now: Timestamp) -> i64 {
    let last = all.iter().flat_map(|one| &one.days).filter_map(|day| number(&day.day)).max();
    last.unwrap_or(0).max(day_of(now))
}

/// A day as it is written, counted from 1970.
fn number(day: &str) -> Option<i64> {
    day.parse().ok().map(day_of)
}

fn day_text(day: i64) -> String {
    Timestamp::from_seconds(day * DAY).to_string().chars().take_while(|&c| c != 'T').collect()
}

fn in_days(days: u64) -> String {
    if days == 1 { "1 day".to_owned() } else { format!("{days} days") }
}

/// How often; nobody counted where only the last use is kept.
fn used(one: &Usage) -> String {
    if one.analytics == Analytics::Disabled { cell(None::<u64>) } else { one.count.to_string() }
}

/// What a person calls it.
fn name(one: &Usage) -> String {
    called(one, one.description.clone())
}

/// The same where there is little room.
fn short_name(one: &Usage) -> String {
    let shortened = |text: &String| match text.char_indices().nth(DESCRIPTION_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.clone(),
    };
    called(one, one.description.as_ref().map(shortened))
}

fn called(one: &Usage, description: Option<String>) -> String {
    match (&one.secret, &one.client_secret, description) {
        (Some(secret), _, _) => secret.to_string(),
        (None, Some(id), Some(description)) => format!("{id} ({description})"),
        (None, id, _) => cell(id.as_ref()),
    }
}

/// The bars of each line in a colour, on a terminal.
fn tinted(printer: &Printer, text: &str) -> String {
    text.split_inclusive('\n')
        .map(|line| match (line.find(bars::is_bar), line.rfind(bars::is_bar)) {
            (Some(from), Some(last)) => {
                let to = last + line[last..].chars().next().map_or(0, char::len_utf8);
                format!("{}{}{}", &line[..from], printer.tinted(&line[from..to]), &line[to..])
            }
            _ => line.to_owned(),
        })
        .collect()
}

#[cfg(test)]
mod tests;
