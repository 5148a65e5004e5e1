//! `bursar client-secret …`, and how its id is read wherever one is asked for.

use super::{Confirmation, word};
use bursar_proto::client_secret::{PREFIX, PUBLIC_ID_LEN, PublicId, shown_id};
use bursar_proto::kind::{Analytics, Role};
use bursar_proto::name::{OrganizationName, Reference};
use bursar_proto::time::parse_duration;
use clap::Subcommand;
use clap::builder::TypedValueParser;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub(crate) struct ClientSecret {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Issue a client secret; its value is printed this once
    #[command(
        after_help = "Examples:\n  bursar client-secret create --organization acme --role viewer --description nightly\n  \
                      bursar client-secret create --role contributor --description release --expires 30d --json\n  \
                      bursar client-secret create --role viewer --description ci -e staging --output ci.secret"
    )]
    Create(Create),
    /// List client secrets
    #[command(after_help = "Example:\n  bursar client-secret list --organization acme")]
    List(List),
    /// Show one client secret, never its value
    #[command(after_help = "Example:\n  bursar client-secret show k3j9x2m4pq")]
    Show(Named),
    /// Set how much is kept of a client secret's use: all of it that ever changes
    #[command(after_help = "Example:\n  bursar client-secret set-analytics k3j9x2m4pq complete")]
    SetAnalytics(SetAnalytics),
    /// Issue a successor, and end the present one after an overlap
    #[command(after_help = "Examples:\n  bursar client-secret rotate k3j9x2m4pq\n  \
                      bursar client-secret rotate k3j9x2m4pq --overlap 1h --output ci.secret")]
    Rotate(Rotate),
    /// End a client secret at once and for good
    #[command(after_help = "Example:\n  bursar client-secret revoke k3j9x2m4pq")]
    Revoke(Revoke),
}

#[derive(clap::Args)]
pub(crate) struct Named {
    /// The client secret's id, with or without bcs_
    #[arg(value_name = "ID", value_parser = id)]
    pub(crate) id: PublicId,
}

// Where a value goes that is shown once.
#[derive(clap::Args)]
pub(crate) struct Issued {
    /// Write the value to this file (0600, by rename) instead of standard output (-)
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

impl Issued {
    /// The file, where one was said.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.output.as_deref().filter(|path| *path != Path::new("-"))
    }
}

#[derive(clap::Args)]
pub(crate) struct Create {
    /// The organization that it is for; the workspace's if not said, or personal
    #[arg(long)]
    pub(crate) organization: Option<OrganizationName>,
    /// What it may do; a contributor can publish, and so reach every secret of the organization
    #[arg(long, value_parser = word(Role::ALL))]
    pub(crate) role: Role,
    /// What it is for, in words
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: String,
    /// How long it counts: 12h, 30d; at most 24 months, 90 days if not said
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, allow_hyphen_values = true)]
    pub(crate) expires: Option<u64>,
    /// Only in this environment of the organization
    #[arg(long, short, value_name = "ENV")]
    pub(crate) environment: Option<Reference>,
    /// How much is kept of its use; limited if not said
    #[arg(long, value_name = "MODE", value_parser = analytics())]
    pub(crate) analytics: Option<Analytics>,
    #[command(flatten)]
    pub(crate) issued: Issued,
}

#[derive(clap::Args)]
pub(crate) struct List {
    /// Only this organization's
    #[arg(long)]
    pub(crate) organization: Option<OrganizationName>,
}

#[derive(clap::Args)]
pub(crate) struct SetAnalytics {
    #[command(flatten)]
    pub(crate) named: Named,
    /// How much: disabled (when it was last used), limited (that, and counts by day), complete (that, and each use)
    #[arg(value_name = "MODE", value_parser = analytics())]
    pub(crate) analytics: Analytics,
}

#[derive(clap::Args)]
pub(crate) struct Rotate {
    #[command(flatten)]
    pub(crate) named: Named,
    /// How much longer the present one counts, at most: 0s, 1h
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, allow_hyphen_values = true,
        default_value = "24h")]
    pub(crate) overlap: u64,
    #[command(flatten)]
    pub(crate) issued: Issued,
}

#[derive(clap::Args)]
pub(crate) struct Revoke {
    #[command(flatten)]
    pub(crate) named: Named,
    #[command(flatten)]
    pub(crate) confirmation: Confirmation,
}

fn analytics() -> impl TypedValueParser<Value = Analytics> {
    word(Analytics::ALL)
}

/// Reads a public id.
///
/// # Errors
/// It is none. Who pasted a whole client secret hears which part of it is the id, and nothing else of it is repeated.
pub(crate) fn id(text: &str) -> Result<PublicId, String> {
    refuse_whole(text)?;
    text.parse().map_err(|error| format!("{error}"))
}

/// Refuses what may be a client secret's value, whole or a part of it.
///
/// # Errors
/// It is longer than an id.
pub(crate) fn refuse_whole(text: &str) -> Result<(), String> {
    if !text.starts_with(PREFIX) || text.len() <= PREFIX.len() + PUBLIC_ID_LEN {
        return Ok(());
    }
    let id = shown_id(text).map_or_else(
        || format!("it is the {PUBLIC_ID_LEN} characters after {PREFIX}"),
        |id| format!("its id is {id}"),
    );
    Err(format!("this is the value of a client secret, and only its id is asked for; hint: {id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With the checksum of nothing in particular: the form is enough to refuse it.
    const WHOLE: &str = "bcs_k3j9x2m4pq_0123456789abcdefghjkmnpqrstvwxyz0123456789abcdefghjk_0123456";

    #[test]
    fn an_id_is_read_with_and_without_its_prefix() {
        assert_eq!(id("bcs_k3j9x2m4pq").unwrap().as_str(), "k3j9x2m4pq");
        assert_eq!(id("k3j9x2m4pq"), id("bcs_k3j9x2m4pq"));
        assert!(id("k3j9").unwrap_err().starts_with("the id of a client secret has 10 characters"));
    }

    #[test]
    fn a_whole_client_secret_is_refused_by_its_id_alone() {
        for text in [WHOLE, &WHOLE[..40], "bcs_k3j9x2m4pq_0123456789Hunter2"] {
            let refused = id(text).unwrap_err();
            assert!(refused.ends_with("; hint: its id is k3j9x2m4pq"), "{refused}");
            assert!(!refused.contains("0123456789"), "{refused}");
        }
        let refused = id("bcs_Hunter2Hunter2").unwrap_err();
        assert!(
            refused.ends_with("the 10 characters after bcs_") && !refused.contains("unter2"),
            "{refused}"
        );
    }
}
