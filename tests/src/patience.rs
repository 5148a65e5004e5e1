//! Bounded waiting: for what must come, never for what should be ready by now.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long anything may take before a test fails; far more than it needs on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How often [`until`] looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Looks until `found` answers something, and fails the test with `what` after [`PATIENCE`].
pub fn until<T>(what: &str, found: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, found).unwrap_or_else(|| panic!("waited {PATIENCE:?} in vain: {what}"))
}

/// Looks until `found` answers something, or until `limit` is over.
pub fn within<T>(limit: Duration, mut found: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        if let Some(found) = found() {
            return Some(found);
        }
        if start.elapsed() >= limit {
            return None;
        }
        sleep(PAUSE);
    }
}
