//! The daily verbs: `get`, `wait`, `watch`.

use bursar_proto::name::Reference;
use bursar_proto::time::parse_duration;
use std::path::PathBuf;

#[derive(clap::Args)]
pub(crate) struct Get {
    /// The secret: NAME or ORGANIZATION/NAME
    pub(crate) secret: Reference,
    /// Print the whole header line
    #[arg(long, conflicts_with = "field")]
    pub(crate) header: bool,
    /// Print one field
    #[arg(long, value_name = "NAME")]
    pub(crate) field: Option<String>,
    /// How long it must still be valid: 90s, 10m, 4h
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, allow_hyphen_values = true)]
    pub(crate) min_validity: Option<u64>,
    /// Write to this file (0600, by rename) instead of standard output (-)
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(crate) struct Wait {
    /// The secret: NAME or ORGANIZATION/NAME
    pub(crate) secret: Reference,
    /// Wait no longer than this: 30s, 5m
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, allow_hyphen_values = true)]
    pub(crate) timeout: Option<u64>,
}

#[derive(clap::Args)]
pub(crate) struct Watch {
    /// Only this secret
    pub(crate) secret: Option<Reference>,
}
