//! What the process does to itself before it touches a secret: umask, no core file, not dumpable.
//!
//! It must run before the first file is made and before the runtime starts.

use rustix::fs::Mode;
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit, umask,
};

/// Descriptors that connections leave to the store, to issuers and to backups.
const SPARE_DESCRIPTORS: u64 = 64;

/// Sets the umask to 077, forbids core files, and keeps other processes of the user from reading our memory.
///
/// # Errors
/// The system refuses; the daemon then does not start, because its promises would not hold.
pub(crate) fn process() -> std::io::Result<()> {
    umask(Mode::RWXG | Mode::RWXO);
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// Raises the limit of open files as far as the system allows, and answers how many connections that leaves room for.
pub(crate) fn connections() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let files = if setrlimit(Resource::Nofile, raised).is_ok() { limit.maximum } else { limit.current };
    let room = files.unwrap_or(u64::MAX).saturating_sub(SPARE_DESCRIPTORS).max(1);
    usize::try_from(room).unwrap_or(usize::MAX)
}
