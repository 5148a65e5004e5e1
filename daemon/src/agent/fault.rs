//! What goes wrong inside, mapped once to the closed set of the wire.

use crate::exchange::Cause;
use crate::vault::VaultError;
use crate::vault::backup::BackupError;
use crate::vault::catalog::Secret;
use crate::vault::header::HeaderError;
use crate::vault::store::StoreError;
use bursar_proto::error::{CallError, ErrorName, split_hint};
use bursar_proto::kind::Status;
use bursar_proto::name::Qualified;

/// What to do about a vault of a newer version: nothing in it is damaged.
const NEWER: &str = "update bursar, then restart the agent";

impl From<VaultError> for CallError {
    fn from(error: VaultError) -> Self {
        let message = error.to_string();
        match error {
            VaultError::Absent(_) => Self::new(ErrorName::NoVault, message).hint("make one: bursar init"),
            VaultError::Exists => Self::new(ErrorName::Conflict, message).hint("open it: bursar unlock"),
            VaultError::Locked(_) => Self::new(ErrorName::Locked, message).hint("open it: bursar unlock"),
            VaultError::Header(header) => header.into(),
            VaultError::Store(store) | VaultError::Backup(BackupError::Store(store)) => store.into(),
            VaultError::Newer => Self::new(ErrorName::StoreFailed, message).hint(NEWER),
            VaultError::Tampered(_) | VaultError::Unusable(_) => Self::new(ErrorName::StoreFailed, message)
                .hint("put a backup in its place: bursar restore FILE"),
            VaultError::Backup(BackupError::File(std::io::ErrorKind::NotFound)) => {
                Self::new(ErrorName::NotFound, message)
            }
            VaultError::Backup(BackupError::Damaged(_)) => {
                Self::new(ErrorName::Invalid, message).hint("use another backup")
            }
            VaultError::Backup(BackupError::File(_)) => {
                Self::new(ErrorName::StoreFailed, message).hint("see to the disk and try again")
            }
            VaultError::Crypto(_) => Self::new(ErrorName::Internal, message),
        }
    }
}

impl From<HeaderError> for CallError {
    fn from(error: HeaderError) -> Self {
        let message = error.to_string();
        match error {
            HeaderError::WrongKey(_) => Self::new(ErrorName::WrongKey, message)
                .hint("try again; each further wrong one costs a longer wait"),
            HeaderError::PassphraseRequired => {
                Self::new(ErrorName::PassphraseRequired, message).hint("give it: --passphrase-file FILE")
            }
            HeaderError::NotEnrolled("passphrase") => {
                Self::new(ErrorName::WrongKey, message).hint("open it by its key file: --key-file FILE")
            }
            HeaderError::NotEnrolled(_) => Self::new(ErrorName::WrongKey, message)
                .hint("open it by its passphrase: --passphrase-file FILE"),
            HeaderError::Credential { .. } => Self::new(ErrorName::Invalid, message).hint(
                "see LoadCredentialEncrypted= of bursar.service; or open the vault by its passphrase, if it has one: \
                 bursar unlock --passphrase-file FILE",
            ),
            HeaderError::KeyFile { .. } | HeaderError::PassphraseLength | HeaderError::TooLong => {
                Self::new(ErrorName::Invalid, message)
            }
            HeaderError::Newer => Self::new(ErrorName::StoreFailed, message).hint(NEWER),
            HeaderError::Damaged => Self::new(ErrorName::StoreFailed, message)
                .hint("put a backup in its place: bursar restore FILE"),
            HeaderError::Crypto(_) => Self::new(ErrorName::Internal, message),
        }
    }
}

impl From<StoreError> for CallError {
    fn from(error: StoreError) -> Self {
        let hint = match error {
            StoreError::DiskFull { .. } => "make room and try again; nothing was changed",
            StoreError::ReadOnly => "mount it writable and try again; nothing was changed",
            StoreError::Damaged => "put a backup in its place: bursar restore FILE",
            StoreError::InUse => "try again",
            StoreError::TooLarge(_) => "make it smaller",
            StoreError::Disk(_) => "see to the disk and try again",
        };
        Self::new(ErrorName::StoreFailed, error.to_string()).hint(hint)
    }
}

/// The error for a deactivated secret.
pub(super) fn inactive(name: &Qualified) -> CallError {
    CallError::new(ErrorName::Inactive, format!("{name} is deactivated"))
        .hint(format!("undo that: bursar secret reactivate {name}"))
}

/// The error for a secret that only a person can bring on.
pub(super) fn needs_authorization(secret: &Secret) -> CallError {
    let full = secret.full_name();
    let waits = format!("{full} waits for a person to authorize it in a browser");
    match &secret.status_details {
        Some(details) => explained(ErrorName::NeedsAuthorization, &format!("{waits}: "), details, secret),
        None => CallError::new(ErrorName::NeedsAuthorization, waits)
            .hint(format!("ask for its authorization url: bursar secret reauthorize {full}")),
    }
}

/// The error for an exchange that this very call made and that failed.
pub(super) fn failed(secret: &Secret, cause: Cause, details: &str) -> CallError {
    let error = match cause {
        Cause::Unreachable => ErrorName::IssuerUnreachable,
        Cause::Transient | Cause::Permanent | Cause::Withdrawn => ErrorName::Failed,
    };
    explained(error, &format!("the exchange of {} failed: ", secret.full_name()), details, secret)
}

/// An error out of a failure's details, which end with what to do about them.
pub(super) fn explained(error: ErrorName, what: &str, details: &str, secret: &Secret) -> CallError {
    let (reason, hint) = split_hint(details);
    let hint = hint.unwrap_or("see to that");
    let hint = if hint.contains("bursar secret ") {
        hint.to_owned()
    } else if secret.status == Status::Succeeded && secret.last_failure != Some(Cause::Permanent) {
        format!("{hint}; it is tried again by itself")
    } else {
        format!("{hint}; then: bursar secret retry {}", secret.full_name())
    };
    CallError::new(error, format!("{what}{reason}")).hint(hint)
}
