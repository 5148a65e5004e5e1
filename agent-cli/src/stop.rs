//! Why a command ends before its end.

use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::fields::Invalid;
use std::fmt;
use std::io;
use std::path::Path;

/// Why a command ends early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Something failed; it is said on stderr, and the exit code is the error's.
    Failed(CallError),
    /// Whoever reads our output closed it; nothing is wrong.
    ReaderLeft,
    /// What was asked about is not as it should be, and the answer says so already: exit code 1.
    NotCurrent,
    /// All is said, and this is the exit code: another program's, or that of `exec`.
    Ended(u8),
}

impl Stop {
    /// Input that is refused: exit code 2.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Failed(CallError::new(ErrorName::Invalid, message))
    }

    /// Something on this side that failed: exit code 1.
    pub(crate) fn local(message: impl Into<String>) -> Self {
        Self::Failed(CallError::new(ErrorName::Internal, message))
    }

    /// A file that was given and cannot be read: exit code 2.
    pub(crate) fn unreadable(path: &Path, error: &io::Error) -> Self {
        Self::usage(format!("cannot read {}: {}", path.display(), reason(error)))
    }

    /// A file or directory that cannot be written: exit code 1.
    pub(crate) fn unwritable(path: &Path, error: &io::Error) -> Self {
        Self::local(format!("cannot write {}: {}", path.display(), reason(error)))
    }

    /// The same with a hint.
    pub(crate) fn hint(self, hint: impl fmt::Display) -> Self {
        match self {
            Self::Failed(error) => Self::Failed(error.hint(hint.to_string())),
            other => other,
        }
    }
}

/// One refusal of all faults that input has, a line each.
///
/// # Errors
/// There is one.
pub(crate) fn told(faults: &[String]) -> Result<(), Stop> {
    if faults.is_empty() { Ok(()) } else { Err(Stop::usage(faults.join("\n"))) }
}

/// Why the system refused, in words that hold no input.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        // the library's own words are "entity not found"
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        kind => kind.to_string(),
    }
}

impl From<CallError> for Stop {
    fn from(error: CallError) -> Self {
        Self::Failed(error)
    }
}

impl From<Invalid> for Stop {
    fn from(invalid: Invalid) -> Self {
        Self::Failed(invalid.into())
    }
}
