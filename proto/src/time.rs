//! Whole seconds: instants as RFC 3339 text in UTC, durations as `90s`, `10m`, `4h`, `30d`.

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// An instant, in whole seconds since 1970-01-01T00:00:00Z. Text is RFC 3339 in UTC: `2026-11-21T06:00:00Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The last instant with a year of four digits: 9999-12-31T23:59:59Z.
const LAST: i64 = 253_402_300_799;

impl Timestamp {
    /// The instant `seconds` after 1970; what lies before 1970 or after 9999 is moved to that end.
    pub fn from_seconds(seconds: i64) -> Self {
        Self(seconds.clamp(0, LAST))
    }

    /// Seconds since 1970.
    pub fn seconds(self) -> i64 {
        self.0
    }

    /// The instant `seconds` later (earlier where negative).
    #[must_use]
    pub fn plus(self, seconds: i64) -> Self {
        Self::from_seconds(self.0.saturating_add(seconds))
    }

    /// Seconds from `earlier` to `self`; negative where `earlier` is the later one.
    pub fn since(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = DateTime::<Utc>::from_timestamp(self.0, 0).unwrap_or_default();
        f.write_str(&time.to_rfc3339_opts(SecondsFormat::Secs, true))
    }
}

/// A text that is neither an instant nor a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a time is written as 2026-11-21T06:00:00Z, or as a date, 2026-11-21")]
pub struct TimestampError;

impl FromStr for Timestamp {
    type Err = TimestampError;
    /// Reads RFC 3339 with any offset, or a bare date as its first second in UTC.
    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let seconds = match DateTime::parse_from_rfc3339(text) {
            Ok(time) => time.timestamp(),
            Err(_) => NaiveDate::parse_from_str(text, "%Y-%m-%d")
                .map_err(|_| TimestampError)?
                .and_hms_opt(0, 0, 0)
                .ok_or(TimestampError)?
                .and_utc()
                .timestamp(),
        };
        if (0..=LAST).contains(&seconds) { Ok(Self(seconds)) } else { Err(TimestampError) }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A text that is no duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a duration is a whole number with a unit: 90s, 10m, 4h, 30d")]
pub struct DurationError;

/// Reads a duration (`90s`, `10m`, `4h`, `30d`; a bare number is seconds) as seconds.
///
/// # Errors
/// Anything else, and what does not fit 64 bits.
pub fn parse_duration(text: &str) -> Result<u64, DurationError> {
    let (digits, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
        Some(at) => text.split_at(at),
        None => (text, "s"),
    };
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(DurationError),
    };
    digits.parse::<u64>().ok().and_then(|n| n.checked_mul(factor)).ok_or(DurationError)
}

/// Writes seconds as a person says them: `45 s`, `12 min`, `3 h 20 min`, `9 d 4 h`.
pub fn in_words(seconds: i64) -> String {
    let s = seconds.max(0);
    let pair = |big: i64, big_unit: &str, small: i64, small_unit: &str| {
        if small == 0 {
            format!("{big} {big_unit}")
        } else {
            format!("{big} {big_unit} {small} {small_unit}")
        }
    };
    match s {
        0..60 => format!("{s} s"),
        60..3_600 => format!("{} min", s / 60),
        3_600..86_400 => pair(s / 3_600, "h", s % 3_600 / 60, "min"),
        _ => pair(s / 86_400, "d", s % 86_400 / 3_600, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn offsets_and_dates_become_utc() {
        let read = |text: &str| text.parse::<Timestamp>().unwrap().to_string();
        assert_eq!(read("2026-11-21T06:00:00+02:00"), "2026-11-21T04:00:00Z");
        assert_eq!(read("2026-11-21"), "2026-11-21T00:00:00Z");
        for text in ["", "21.11.2026", "2026-13-01", "1969-12-31", "2026-11-21T06:00:00"] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(
            ["90", "90s", "10m", "4h", "30d"].map(parse_duration),
            [90, 90, 600, 14_400, 2_592_000].map(Ok)
        );
        for text in ["", "m", "1w", "1.5h", "-3s", "99999999999999999999d"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn instants_print_as_they_read(seconds in 0..=LAST) {
            let time = Timestamp::from_seconds(seconds);
            prop_assert_eq!(time.to_string().parse::<Timestamp>(), Ok(time));
        }
    }
}
