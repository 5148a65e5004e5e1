//! The verbs of the vault. Passphrases come from files, standard input or a prompt, never from a flag's value.

use super::Confirmation;
use std::path::PathBuf;

#[derive(clap::Args)]
pub(crate) struct Init {
    /// Read the passphrase from this file, - for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "key_file")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Use this key file, made if it is absent; the agent then opens the vault by itself
    #[arg(long, value_name = "FILE", conflicts_with = "credential")]
    pub(crate) key_file: Option<PathBuf>,
    /// Use this credential, which systemd hands to the agent by `LoadCredentialEncrypted=`; on a server unlock-key
    #[arg(long, value_name = "NAME", conflicts_with = "passphrase_file")]
    pub(crate) credential: Option<String>,
}

#[derive(clap::Args)]
pub(crate) struct Unlock {
    /// Read the passphrase from this file, - for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "key_file")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Open it with this key file; needed only where it is not the one that the vault remembers
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
    /// From now on open it with this credential, too, which systemd hands to the agent; on a server unlock-key
    #[arg(long, value_name = "NAME")]
    pub(crate) credential: Option<String>,
}

#[derive(clap::Args)]
pub(crate) struct Backup {
    /// The file to write (0600, by rename)
    pub(crate) file: PathBuf,
    /// Write over a file that is there, without asking
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(clap::Args)]
pub(crate) struct Restore {
    /// The backup
    pub(crate) file: PathBuf,
    /// Read the backup's passphrase from this file, - for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "key_file")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Open the backup with this key file; needed only where it is not the one that the backup remembers
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) confirmation: Confirmation,
}
