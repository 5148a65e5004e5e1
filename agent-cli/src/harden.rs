//! No core file of this process, which holds values. A command that takes its place, or that it starts, has the limit back
//! that was found.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::sync::OnceLock;

/// The limit that was found.
static FOUND: OnceLock<Rlimit> = OnceLock::new();

/// Takes the right to a core file away. Where the system refuses, this is no worse than any other program. It stays
/// dumpable, so that the agent can read which executable asks.
pub(crate) fn no_core() {
    let found = FOUND.get_or_init(|| getrlimit(Resource::Core));
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: found.maximum });
}

/// Starts another program under the limit that was found.
pub(crate) fn as_found<T>(start: impl FnOnce() -> T) -> T {
    if let Some(found) = FOUND.get() {
        let _ = setrlimit(Resource::Core, Rlimit { current: found.current, maximum: found.maximum });
    }
    let started = start();
    no_core();
    started
}
