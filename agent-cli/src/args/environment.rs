//! `bursar environment …`

use super::{Confirmation, stage};
use bursar_proto::kind::Stage;
use bursar_proto::name::{OrganizationName, Reference};
use clap::Subcommand;

#[derive(clap::Args)]
pub(crate) struct Environment {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Make an environment
    #[command(after_help = "Example:\n  bursar environment create acme/staging --stage staging")]
    Create(Create),
    /// List environments
    #[command(after_help = "Example:\n  bursar environment list --organization acme")]
    List(List),
    /// Show one environment
    #[command(after_help = "Example:\n  bursar environment show acme/staging")]
    Show(Named),
    /// Delete an environment: its secrets become unbound, their artifacts are dropped
    #[command(after_help = "Example:\n  bursar environment delete acme/staging")]
    Delete(Delete),
}

#[derive(clap::Args)]
pub(crate) struct Named {
    /// The environment: NAME or ORGANIZATION/NAME
    #[arg(value_name = "ENVIRONMENT")]
    pub(crate) environment: Reference,
}

#[derive(clap::Args)]
pub(crate) struct Create {
    #[command(flatten)]
    pub(crate) named: Named,
    /// Its stage; an organization has at most one staging and one production
    #[arg(long, value_parser = stage())]
    pub(crate) stage: Stage,
}

#[derive(clap::Args)]
pub(crate) struct List {
    /// Only this organization's
    #[arg(long)]
    pub(crate) organization: Option<OrganizationName>,
}

#[derive(clap::Args)]
pub(crate) struct Delete {
    #[command(flatten)]
    pub(crate) named: Named,
    #[command(flatten)]
    pub(crate) confirmation: Confirmation,
}
