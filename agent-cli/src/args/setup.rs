//! `bursar setup …`

use clap::Subcommand;

#[derive(clap::Args)]
pub(crate) struct Setup {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Let systemd run the agent, where no package of Bursar does; shows what it would write, and with --apply writes it
    #[command(after_help = "Examples:\n  bursar setup systemd\n  bursar setup systemd --apply --now\n  \
                            bursar setup systemd --system --apply --now\n  bursar setup systemd --remove --apply --now")]
    Systemd(Systemd),
}

#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[derive(clap::Args)]
pub(crate) struct Systemd {
    /// Write the files, or remove them
    #[arg(long)]
    pub(crate) apply: bool,
    /// Run the commands that follow, too
    #[arg(long, requires = "apply")]
    pub(crate) now: bool,
    /// For the whole server, instead of for yourself; takes root
    #[arg(long)]
    pub(crate) system: bool,
    /// Write over units that somebody changed; the config of a server stays in any case
    #[arg(long, conflicts_with = "remove")]
    pub(crate) force: bool,
    /// Take away what this wrote and nobody changed; the vault stays
    #[arg(long)]
    pub(crate) remove: bool,
}
