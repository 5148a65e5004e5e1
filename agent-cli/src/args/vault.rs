//! The verbs of the vault. Passphrases come from files, standard input or a prompt, never from a flag's value.

use super::Confirmation;
use std::path::PathBuf;

#[derive(clap::Args)]
pub(crate) struct Init {
    #[command(flatten)]
    pub(crate) key: Key,
}

// What opens a vault.
#[derive(clap::Args)]
pub(crate) struct Key {
    /// Read the passphrase from this file, - for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "key_file")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Use this key file, and nobody need be asked; init makes it if it is absent
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(crate) struct Passphrase {
    /// Read the present passphrase from this file, - for standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) current_file: Option<PathBuf>,
    /// Read the new passphrase from this file, - for standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) new_file: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(crate) struct Rekey {
    /// Read the passphrase from this file, - for standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(crate) struct Backup {
    /// The file to write (0600, by rename)
    pub(crate) file: PathBuf,
}

#[derive(clap::Args)]
pub(crate) struct Restore {
    /// The backup
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) key: Key,
    #[command(flatten)]
    pub(crate) confirmation: Confirmation,
}
