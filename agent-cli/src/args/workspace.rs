//! `bursar workspace …`

use bursar_proto::name::{OrganizationName, Reference};
use clap::Subcommand;
use std::path::PathBuf;

#[derive(clap::Args)]
pub(crate) struct Workspace {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Make a workspace of this directory: write a bursar.toml, and trust it
    #[command(after_help = "Examples:\n  bursar workspace init --organization acme -e staging\n  \
                            bursar workspace init --library acme/site")]
    Init(Init),
    /// Let the bursar.toml of this workspace pull values, as it is now
    #[command(after_help = "Example:\n  bursar workspace trust")]
    Trust,
    /// List the workspaces that the agent knows
    #[command(after_help = "Example:\n  bursar workspace list")]
    List,
    /// Let the agent forget a workspace; its files stay, and are no longer known to hold values
    #[command(after_help = "Examples:\n  bursar workspace forget\n  bursar workspace forget ~/old/site\n  \
                            bursar workspace forget /srv/build --uid 990")]
    Forget(Forget),
}

#[derive(clap::Args)]
pub(crate) struct Init {
    /// Whose the names without an organization are
    #[arg(long)]
    pub(crate) organization: Option<OrganizationName>,
    /// What the workspace builds for
    #[arg(long, short, value_name = "ENV")]
    pub(crate) environment: Option<Reference>,
    /// The package that the workspace publishes
    #[arg(long, value_name = "NAME")]
    pub(crate) library: Option<Reference>,
}

#[derive(clap::Args)]
pub(crate) struct Forget {
    /// Its directory; the workspace around if not said
    #[arg(value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
    /// The user who synced it, by number; you if not said
    #[arg(long, value_name = "UID", requires = "directory")]
    pub(crate) uid: Option<u64>,
}
