//! Which signals this process heeds, and work that ends well where one comes. What its caller lets it ignore, under nohup
//! for one, stays ignored.

use crate::stop::Stop;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The exit code of a command that a person interrupted, as shells have it.
const INTERRUPTED: u8 = 130;

/// Whether somebody wants this to end. From its making on, the signals that would end it are only noted.
#[derive(Default)]
pub(crate) struct Interrupt(pub(crate) Arc<AtomicBool>);

impl Interrupt {
    /// Begins to take the signals.
    pub(crate) fn take() -> Result<Self, Stop> {
        let interrupt = Self::default();
        for signal in heeded(&[SIGINT, SIGTERM, SIGHUP]) {
            flag::register(signal, Arc::clone(&interrupt.0))
                .map_err(|error| Stop::local(format!("signals cannot be taken: {}", error.kind())))?;
        }
        Ok(interrupt)
    }

    /// Ends the work where a signal asked for it.
    ///
    /// # Errors
    /// A signal came.
    pub(crate) fn check(&self) -> Result<(), Stop> {
        if self.0.load(Ordering::Relaxed) { Err(Stop::Ended(INTERRUPTED)) } else { Ok(()) }
    }
}

/// Those of `signals` that are not ignored. A handler would make them count.
pub(crate) fn heeded(signals: &[i32]) -> impl Iterator<Item = i32> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    signals.iter().copied().filter(move |signal| ignored & (1 << (signal - 1)) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use signal_hook::consts::SIGPIPE;

    #[test]
    fn what_is_ignored_is_not_heeded() {
        // rust programs ignore the one, nobody the other
        assert_eq!(heeded(&[SIGPIPE, SIGTERM]).collect::<Vec<_>>(), [SIGTERM]);
    }
}
