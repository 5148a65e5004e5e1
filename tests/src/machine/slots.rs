//! How many machines run at once.

use std::sync::{Condvar, Mutex, MutexGuard};

/// How many: one for each processor of a small host; more would only make all of them late.
const SLOTS: u32 = 2;

static FREE: Mutex<u32> = Mutex::new(SLOTS);
static FREED: Condvar = Condvar::new();

/// The right to one machine.
#[derive(Debug)]
pub(super) struct Slot(());

impl Slot {
    /// Waits for one.
    pub(super) fn take() -> Self {
        *FREED.wait_while(free(), |free| *free == 0).expect("nobody panics with it") -= 1;
        Self(())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        *free() += 1;
        FREED.notify_one();
    }
}

fn free() -> MutexGuard<'static, u32> {
    FREE.lock().expect("nobody panics with it")
}
