//! `bursar usage`

use super::client_secret::refuse_whole;
use bursar_proto::client_secret::{PREFIX, PublicId};
use bursar_proto::name::{OrganizationName, Reference};
use bursar_proto::time::parse_duration;
use std::str::FromStr;

#[derive(clap::Args)]
pub(crate) struct Usage {
    /// Only this one, day by day: the name of a secret, or the id of a client secret
    #[arg(value_name = "NAME|ID")]
    pub(crate) subject: Option<Subject>,
    /// Only this organization's
    #[arg(long)]
    pub(crate) organization: Option<OrganizationName>,
    /// How many days back, at most 365
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    pub(crate) days: u64,
    /// Only what was not used for so long: 90d
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, allow_hyphen_values = true)]
    pub(crate) unused: Option<u64>,
    /// Print rows of day, kind, name, by, count, separated by commas (RFC 4180)
    #[arg(long, conflicts_with = "events")]
    pub(crate) csv: bool,
    /// Print each use of NAME, where all of them are kept
    #[arg(long, requires = "subject", conflicts_with = "unused")]
    pub(crate) events: bool,
}

/// What a person calls something that is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A secret, by its name.
    Secret(Reference),
    /// A client secret, by its id.
    ClientSecret(PublicId),
    /// Ten characters that may be either.
    Either(PublicId, Reference),
}

impl FromStr for Subject {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        // a value behind an organization would be a name, and be repeated
        refuse_whole(text.rsplit_once('/').map_or(text, |(_, name)| name))?;
        let id = text.parse::<PublicId>();
        if text.starts_with(PREFIX) {
            return id.map(Self::ClientSecret).map_err(|error| error.to_string());
        }
        let name = text.parse::<Reference>().map_err(|error| error.to_string())?;
        Ok(match id {
            Ok(id) => Self::Either(id, name),
            Err(_) => Self::Secret(name),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_an_id_and_what_may_be_both_are_told_apart() {
        let read = |text: &str| text.parse::<Subject>().unwrap();
        assert_eq!(read("acme/k3j9x2m4pq"), Subject::Secret("acme/k3j9x2m4pq".parse().unwrap()));
        assert_eq!(read("adobe-io"), Subject::Secret("adobe-io".parse().unwrap()));
        assert_eq!(read("bcs_k3j9x2m4pq"), Subject::ClientSecret("k3j9x2m4pq".parse().unwrap()));
        let either = Subject::Either("backend123".parse().unwrap(), "backend123".parse().unwrap());
        assert_eq!(read("backend123"), either);
    }

    #[test]
    fn the_value_of_a_client_secret_is_no_name() {
        for text in ["bcs_k3j9x2m4pq_0123456789", "acme/bcs_k3j9x2m4pq_0123456789", "bcs_short"] {
            let refused = text.parse::<Subject>().unwrap_err();
            assert!(!refused.contains("0123") && !refused.contains("short"), "{refused}");
        }
    }
}
