//! What the process does to itself before it touches a secret.
//!
//! [`process`] must run before the first file is made. [`threads`] holds for the thread that calls it and for all that it starts, so
//! it must run after those that stay free and before all others.

pub(crate) mod landlock;
pub(crate) mod looker;
pub(crate) mod memory;

use self::landlock::Landlock;
use self::memory::Lock;
use rustix::fs::Mode;
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit, umask,
};
use std::path::PathBuf;
use std::sync::OnceLock;

/// Descriptors that connections leave to the store, to issuers and to backups.
const SPARE_DESCRIPTORS: u64 = 64;

/// What came of it.
static HELD: OnceLock<Held> = OnceLock::new();

/// What holds for this process.
pub(crate) struct Held {
    /// How much of its memory stays out of the swap.
    pub(crate) memory: Lock,
    /// Where it may write.
    pub(crate) landlock: Landlock,
}

/// What holds; nothing before [`threads`], and in tests.
pub(crate) fn held() -> Option<&'static Held> {
    HELD.get()
}

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

/// Takes from this thread, and from those that it starts, what the agent does not need: new privileges, running programs, writing
/// anywhere but below `writable`. Locks memory as far as the system allows. What the system does not have is done without, and told.
///
/// # Errors
/// The system has no thread to give, or refuses to forbid new privileges.
pub(crate) fn threads(writable: &[PathBuf], abstract_sockets: bool) -> std::io::Result<()> {
    rustix::thread::set_no_new_privs(true)?;
    looker::start()?;
    let held = Held { memory: Lock::take(), landlock: Landlock::restrict(writable, abstract_sockets) };
    if matches!(held.memory, Lock::Nothing) {
        tracing::warn!("memory cannot be locked, so keys may come into a swap; hint: raise LimitMEMLOCK=");
    }
    if let Landlock::Nothing(reason) = &held.landlock {
        tracing::warn!(reason, "landlock does not hold: the agent may write wherever its user may");
    }
    // there is one start
    let _ = HELD.set(held);
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
