//! `bursar element …`

use super::{Confirmation, stage};
use bursar_proto::kind::Stage;
use bursar_proto::name::{OrganizationName, Reference};
use clap::Subcommand;

#[derive(clap::Args)]
pub(crate) struct Element {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Make a data element, or change the slots of one
    #[command(
        after_help = "Examples:\n  bursar element set acme/api-token --development api-dev --staging api-stg\n  \
                      bursar element set acme/api-token --production api --clear staging"
    )]
    Set(Set),
    /// List data elements
    #[command(after_help = "Example:\n  bursar element list --organization acme")]
    List(List),
    /// Show one data element
    #[command(after_help = "Example:\n  bursar element show acme/api-token")]
    Show(Named),
    /// Delete a data element; the secrets in its slots stay
    #[command(after_help = "Example:\n  bursar element delete acme/api-token")]
    Delete(Delete),
    /// Say which secret an element stands for in an environment; exit code 7 where it cannot be used
    #[command(after_help = "Example:\n  bursar element resolve acme/api-token -e staging")]
    Resolve(Resolve),
}

#[derive(clap::Args)]
pub(crate) struct Named {
    /// The data element: NAME or ORGANIZATION/NAME
    pub(crate) element: Reference,
}

#[derive(clap::Args)]
pub(crate) struct Set {
    #[command(flatten)]
    pub(crate) named: Named,
    /// The secret for development: one that is bound to an environment of that stage
    #[arg(long, value_name = "SECRET")]
    pub(crate) development: Option<Reference>,
    /// The secret for staging
    #[arg(long, value_name = "SECRET")]
    pub(crate) staging: Option<Reference>,
    /// The secret for production
    #[arg(long, value_name = "SECRET")]
    pub(crate) production: Option<Reference>,
    /// Empty the slot of this stage; may be given several times
    #[arg(long, value_name = "STAGE", value_parser = stage())]
    pub(crate) clear: Vec<Stage>,
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

#[derive(clap::Args)]
pub(crate) struct Resolve {
    #[command(flatten)]
    pub(crate) named: Named,
    /// An environment of the element's organization
    #[arg(long, short, value_name = "ENV")]
    pub(crate) environment: Reference,
}
