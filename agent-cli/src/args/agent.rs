//! `bursar agent …`

use crate::output::shell::Syntax;
use clap::Subcommand;

#[derive(clap::Args)]
pub(crate) struct Agent {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Start the agent in the background
    #[command(after_help = "Example:\n  bursar agent start")]
    Start,
    /// Stop the agent once it has answered what is under way
    #[command(after_help = "Example:\n  bursar agent stop")]
    Stop,
    /// Show the agent and its vault; exit code 9 when none runs
    #[command(after_help = "Example:\n  bursar agent status --json")]
    Status,
    /// Print what points other programs to the agent
    #[command(
        after_help = "Examples:\n  eval \"$(bursar agent env)\"\n  bursar agent env --shell fish | source"
    )]
    Env(Env),
}

#[derive(clap::Args)]
pub(crate) struct Env {
    /// Whose syntax
    #[arg(long, value_enum, default_value = "sh")]
    pub(crate) shell: Syntax,
}
