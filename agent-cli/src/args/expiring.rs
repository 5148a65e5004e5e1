//! `bursar expiring`

use bursar_proto::name::OrganizationName;
use bursar_proto::time::parse_duration;

#[derive(clap::Args)]
pub(crate) struct Expiring {
    /// What ends within this time: 12h, 90d
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, allow_hyphen_values = true,
        default_value = "30d")]
    pub(crate) within: u64,
    /// Only this organization's
    #[arg(long)]
    pub(crate) organization: Option<OrganizationName>,
}
