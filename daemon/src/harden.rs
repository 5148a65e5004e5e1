//! What the process does to itself before it touches a secret: umask, no core file, not dumpable.
//!
//! It must run before the first file is made and before the runtime starts.

use rustix::fs::Mode;
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit, umask};

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
