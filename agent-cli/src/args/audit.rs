//! `bursar audit`, `bursar audit verify`

use super::client_secret::id;
use bursar_proto::client_secret::PublicId;
use bursar_proto::name::Reference;
use bursar_proto::time::{Timestamp, parse_duration};
use clap::Subcommand;
use std::str::FromStr;

#[derive(clap::Args)]
pub(crate) struct Audit {
    #[command(subcommand)]
    pub(crate) verb: Option<Verb>,
    /// Only accesses to this secret
    #[arg(long, value_name = "NAME")]
    pub(crate) secret: Option<Reference>,
    /// Only accesses by this client secret
    #[arg(long, value_name = "ID", value_parser = id)]
    pub(crate) client_secret: Option<PublicId>,
    /// Only from this time on: 1h (ago), 2026-11-01, 2026-11-01T06:00:00Z
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) since: Option<Since>,
    /// Only the last entries; 50 if neither --since nor --all is said
    #[arg(long, value_name = "COUNT")]
    pub(crate) last: Option<u64>,
    /// All that is kept
    #[arg(long, conflicts_with_all = ["last", "since"])]
    pub(crate) all: bool,
    /// Then print each entry as it is written; with --json, one document a line
    #[arg(long)]
    pub(crate) follow: bool,
}

#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Prove that no entry was cut out or changed, or say where; exit code 1 if one was
    #[command(after_help = "Example:\n  bursar audit verify --json")]
    Verify,
}

/// From when on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    /// So many seconds ago.
    Ago(u64),
    /// This instant.
    At(Timestamp),
}

impl Since {
    /// The instant that is meant.
    pub(crate) fn at(self, now: Timestamp) -> Timestamp {
        match self {
            // what does not fit is longer ago than any time
            Self::Ago(seconds) => now.plus(i64::try_from(seconds).map_or(i64::MIN, |seconds| -seconds)),
            Self::At(at) => at,
        }
    }
}

impl FromStr for Since {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // a bare number would be seconds, where a year was meant
        let bare = text.bytes().all(|b| b.is_ascii_digit());
        let ago = parse_duration(text).ok().filter(|_| !bare).map(Self::Ago);
        ago.or_else(|| text.parse().ok().map(Self::At)).ok_or(
            "expected how long ago, as 90s, 10m, 4h, 30d, or a time, as 2026-11-21, 2026-11-21T06:00:00Z",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_said_by_its_distance_or_as_it_is() {
        let now: Timestamp = "2026-11-21T06:00:00Z".parse().unwrap();
        let at = |text: &str| text.parse::<Since>().map(|since| since.at(now).to_string());
        assert_eq!(at("1h"), Ok("2026-11-21T05:00:00Z".to_owned()));
        assert_eq!(at("30d"), Ok("2026-10-22T06:00:00Z".to_owned()));
        assert_eq!(at("2026-11-01"), Ok("2026-11-01T00:00:00Z".to_owned()));
        assert_eq!(at("2026-11-01T08:00:00+02:00"), Ok("2026-11-01T06:00:00Z".to_owned()));
        assert_eq!(at("18446744073709551615s"), Ok("1970-01-01T00:00:00Z".to_owned()));
        for text in ["", "2026", "yesterday", "-1h", "1w", "2026-13-01"] {
            assert!(at(text).is_err(), "{text}");
        }
    }
}
