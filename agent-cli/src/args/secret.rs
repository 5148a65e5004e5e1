//! `bursar secret …`

use super::fields::FieldFlags;
use super::{Confirmation, Deferred, secret_type, status, word};
use bursar_proto::kind::{ExchangePolicy, SecretType, Status};
use bursar_proto::name::{OrganizationName, Reference};
use bursar_proto::time::Timestamp;
use clap::Subcommand;
use clap::builder::TypedValueParser;
use std::path::PathBuf;

#[derive(clap::Args)]
pub(crate) struct Secret {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Put a credential in and start its exchange
    #[command(after_help = "Examples:\n  bursar secret create acme/npm --type token --token-file -\n  \
                            bursar secret create acme/adobe-io --from-file adobe-io.json --wait\n  \
                            bursar secret create ads --type oauth2-google \
                            --scopes https://www.googleapis.com/auth/adwords")]
    Create(Deferred<Box<Create>>),
    /// List secrets
    #[command(after_help = "Example:\n  bursar secret list --organization acme --status failed")]
    List(List),
    /// Show a secret's attributes, never its credentials' sensitive ones
    #[command(after_help = "Example:\n  bursar secret show acme/adobe-io")]
    Show(Named),
    /// Change a secret and exchange it again
    #[command(after_help = "Examples:\n  bursar secret edit acme/npm --token-file -\n  \
                            bursar secret edit acme/npm --name npm-publish")]
    Edit(Deferred<Box<Edit>>),
    /// Bind an unbound secret to an environment, once
    #[command(after_help = "Example:\n  bursar secret bind acme/adobe-io acme/staging")]
    Bind(Bind),
    /// Run an exchange and report it; nothing is changed
    #[command(after_help = "Example:\n  bursar secret test acme/adobe-io")]
    Test(Named),
    /// Run the exchange anew
    #[command(after_help = "Example:\n  bursar secret retry acme/adobe-io --wait")]
    Retry(Retry),
    /// Ask a person for the grant of a secret, anew: in a browser, within the hour
    #[command(after_help = "Examples:\n  bursar secret reauthorize acme/ads\n  \
                            bursar secret reauthorize acme/ads --no-browser\n\n\
                            Until a person has come its token is served and not refreshed, and builds with it are \
                            refused.\n\n\
                            With --json the document comes first, for it has the address, and --wait or --no-browser \
                            follows to the end: the exit code tells it.")]
    Reauthorize(Reauthorize),
    /// Show where a secret is applied
    #[command(after_help = "Example:\n  bursar secret where acme/adobe-io")]
    Where(Named),
    /// Make a secret unavailable until it is reactivated
    #[command(after_help = "Example:\n  bursar secret deactivate acme/adobe-io")]
    Deactivate(Named),
    /// Make a deactivated secret available again
    #[command(after_help = "Example:\n  bursar secret reactivate acme/adobe-io")]
    Reactivate(Named),
    /// Delete a secret for good
    #[command(after_help = "Example:\n  bursar secret delete acme/adobe-io")]
    Delete(Delete),
    /// List the secrets that were deleted while their values may still lie somewhere, and where
    #[command(after_help = "Example:\n  bursar secret deleted")]
    Deleted,
}

#[derive(clap::Args)]
pub(crate) struct Named {
    /// The secret: NAME or ORGANIZATION/NAME
    pub(crate) secret: Reference,
}

// Whether to follow the exchange.
#[derive(clap::Args)]
pub(crate) struct Following {
    /// Follow the exchange to its end; the default on a terminal
    #[arg(long, conflicts_with = "no_wait")]
    pub(crate) wait: bool,
    /// Answer at once, with the status as it is by then
    #[arg(long)]
    pub(crate) no_wait: bool,
}

impl Following {
    /// Whether it is followed; `default` counts where no flag says so.
    pub(crate) fn is_wanted(&self, default: bool) -> bool {
        (self.wait || default) && !self.no_wait
    }
}

// Where the browser is in which a person authorizes.
#[derive(Default, clap::Args)]
pub(crate) struct Browsing {
    /// Open a browser without asking, where a person has to authorize
    #[arg(long, conflicts_with = "no_browser")]
    pub(crate) browser: bool,
    /// The browser is on another machine: take the address that it ends on, from the terminal or from standard input
    #[arg(long, conflicts_with = "no_wait")]
    pub(crate) no_browser: bool,
}

#[derive(clap::Args)]
pub(crate) struct Create {
    #[command(flatten)]
    pub(crate) named: Named,
    #[arg(
        long,
        value_name = "FILE",
        help = "Read all from this JSON file, - for standard input: {\"type\", \
        \"environment\", \"unbound\", \"exchange_policy\", \"expiration_date\", \"credentials\"}; flags win over it",
        conflicts_with = "type"
    )]
    pub(crate) from_file: Option<PathBuf>,
    /// What the secret is
    #[arg(long, required_unless_present = "from_file", value_parser = secret_type())]
    pub(crate) r#type: Option<SecretType>,
    /// What it is bound to; the organization's development if not said
    #[arg(long, value_name = "NAME", conflicts_with = "unbound")]
    pub(crate) environment: Option<Reference>,
    /// Bind it to no environment
    #[arg(long)]
    pub(crate) unbound: bool,
    /// Which lifetimes are accepted
    #[arg(long, value_name = "POLICY", value_parser = policy())]
    pub(crate) exchange_policy: Option<ExchangePolicy>,
    /// When it ends: 2026-11-21 or 2026-11-21T06:00:00Z
    #[arg(long, value_name = "DATE")]
    pub(crate) expiration_date: Option<Timestamp>,
    #[command(flatten)]
    pub(crate) following: Following,
    #[command(flatten)]
    pub(crate) browsing: Browsing,
    #[command(flatten)]
    pub(crate) fields: FieldFlags<true>,
}

#[derive(clap::Args)]
pub(crate) struct Edit {
    #[command(flatten)]
    pub(crate) named: Named,
    #[arg(long, value_name = "FILE", help = "Read the changes from this JSON file, - for standard input: \
        {\"name\", \"type\", \"environment\", \"exchange_policy\", \"expiration_date\", \"credentials\"}",
        conflicts_with_all = ["name", "exchange_policy", "expiration_date", "no_expiration_date"])]
    pub(crate) from_file: Option<PathBuf>,
    /// Its new name, in the same organization
    #[arg(long)]
    pub(crate) name: Option<Reference>,
    /// Bind it to this environment, where it is bound to none
    #[arg(long, value_name = "NAME", conflicts_with = "from_file")]
    pub(crate) environment: Option<Reference>,
    /// Which lifetimes are accepted
    #[arg(long, value_name = "POLICY", value_parser = policy())]
    pub(crate) exchange_policy: Option<ExchangePolicy>,
    /// When it ends: 2026-11-21 or 2026-11-21T06:00:00Z
    #[arg(long, value_name = "DATE", conflicts_with = "no_expiration_date")]
    pub(crate) expiration_date: Option<Timestamp>,
    /// It no longer ends by itself
    #[arg(long)]
    pub(crate) no_expiration_date: bool,
    #[command(flatten)]
    pub(crate) following: Following,
    #[command(flatten)]
    pub(crate) browsing: Browsing,
    #[command(flatten)]
    pub(crate) fields: FieldFlags<false>,
}

#[derive(clap::Args)]
pub(crate) struct List {
    /// Only this organization's
    #[arg(long)]
    pub(crate) organization: Option<OrganizationName>,
    /// Only of this type
    #[arg(long, value_parser = secret_type())]
    pub(crate) r#type: Option<SecretType>,
    /// Only bound to this environment
    #[arg(long, value_name = "NAME")]
    pub(crate) environment: Option<Reference>,
    /// Only in this status
    #[arg(long, value_parser = status())]
    pub(crate) status: Option<Status>,
}

#[derive(clap::Args)]
pub(crate) struct Bind {
    #[command(flatten)]
    pub(crate) named: Named,
    /// An environment of the same organization
    pub(crate) environment: Reference,
    #[command(flatten)]
    pub(crate) following: Following,
}

#[derive(clap::Args)]
pub(crate) struct Retry {
    #[command(flatten)]
    pub(crate) named: Named,
    #[command(flatten)]
    pub(crate) following: Following,
}

#[derive(clap::Args)]
pub(crate) struct Reauthorize {
    #[command(flatten)]
    pub(crate) named: Named,
    #[command(flatten)]
    pub(crate) following: Following,
    #[command(flatten)]
    pub(crate) browsing: Browsing,
}

#[derive(clap::Args)]
pub(crate) struct Delete {
    #[command(flatten)]
    pub(crate) named: Named,
    #[command(flatten)]
    pub(crate) confirmation: Confirmation,
}

fn policy() -> impl TypedValueParser<Value = ExchangePolicy> {
    word(ExchangePolicy::ALL)
}
