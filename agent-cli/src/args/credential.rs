//! `credential`.

use bursar_proto::time::parse_duration;
use std::path::PathBuf;

#[derive(clap::Args)]
pub(crate) struct Credential {
    /// The credential, as a `[[credential]]` table of the agent's config names it for the unit in which this runs; on a server the
    /// unit needs `SupplementaryGroups=bursar-clients`
    pub(crate) name: String,
    /// How long it must still be valid, where the config does not ask for more: 90s, 10m, 4h
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, allow_hyphen_values = true)]
    pub(crate) min_validity: Option<u64>,
    /// Write to this file (0600, by rename) instead of standard output (-)
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}
