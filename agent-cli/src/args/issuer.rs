//! `bursar google …`: the settings of an issuer that has a name of its own.

use clap::Subcommand;
use std::path::PathBuf;

#[derive(clap::Args)]
pub(crate) struct Issuer {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Set the OAuth client that the issuer knows this vault by
    #[command(after_help = "Examples:\n  bursar google configure --client-file client_secret.json\n  \
                      bursar google configure --client-id 1234.apps.googleusercontent.com --client-secret-file -")]
    Configure(Configure),
    /// Show the settings, never the client's secret
    #[command(after_help = "Example:\n  bursar google show")]
    Show,
}

#[derive(clap::Args)]
pub(crate) struct Configure {
    /// The OAuth client's id; it or --client-file is required
    #[arg(long, value_name = "TEXT")]
    pub(crate) client_id: Option<String>,
    /// Read the OAuth client's secret from this file, - for standard input; asked for on a terminal
    #[arg(long, value_name = "FILE")]
    pub(crate) client_secret_file: Option<PathBuf>,
    /// Read id and secret from the JSON file that the issuer's console offers for a client of type "Desktop app", - for
    /// standard input; its other members do not count
    #[arg(long, value_name = "FILE", conflicts_with_all = ["client_id", "client_secret_file"])]
    pub(crate) client_file: Option<PathBuf>,
    /// Where a person is sent; the issuer's own if not said
    #[arg(long, value_name = "URL")]
    pub(crate) authorization_url: Option<String>,
    /// Where codes and refresh tokens are exchanged; the issuer's own if not said
    #[arg(long, value_name = "URL")]
    pub(crate) token_url: Option<String>,
}
