//! `bursar organization …`

use super::Confirmation;
use bursar_proto::name::OrganizationName;
use clap::Subcommand;

#[derive(clap::Args)]
pub(crate) struct Organization {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Make an organization, with its environment development
    #[command(after_help = "Example:\n  bursar organization create acme")]
    Create(Named),
    /// List all organizations
    #[command(after_help = "Example:\n  bursar organization list")]
    List,
    /// Delete an organization that has no secrets
    #[command(after_help = "Example:\n  bursar organization delete acme")]
    Delete(Delete),
}

#[derive(clap::Args)]
pub(crate) struct Named {
    /// The organization
    #[arg(value_name = "ORGANIZATION")]
    pub(crate) organization: OrganizationName,
}

#[derive(clap::Args)]
pub(crate) struct Delete {
    #[command(flatten)]
    pub(crate) named: Named,
    #[command(flatten)]
    pub(crate) confirmation: Confirmation,
}
