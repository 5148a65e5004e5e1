//! Memory that is not written to a swap: all of it where the system sets no limit, the pages of keys otherwise.

use region::LockGuard;
use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CapabilitySet, capabilities};
use std::ops::Deref;

/// How much of the memory is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lock {
    /// All, now and later.
    Everything,
    /// The keys of the vault.
    Keys,
    /// The system refuses: no limit is left, or a container forbids it.
    Nothing,
}

impl Lock {
    /// Raises the limit as far as it goes, and locks what it allows.
    pub(super) fn take() -> Self {
        let unlimited = raise() || is_exempt();
        // under a limit, an allocation that has nothing to do with secrets would fail once it is reached. Pages are locked as they are
        // used: no room is taken that is not needed
        let all = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
        if unlimited && mlockall(all).is_ok() {
            return Self::Everything;
        }
        if Locked::new([0_u8; 1]).is_locked() { Self::Keys } else { Self::Nothing }
    }
}

/// Raises the limit of locked memory: away, where the system lets us, otherwise to the hard one. Says whether there is none left.
fn raise() -> bool {
    if setrlimit(Resource::Memlock, Rlimit { current: None, maximum: None }).is_ok() {
        return true;
    }
    let hard = getrlimit(Resource::Memlock).maximum;
    let raised = setrlimit(Resource::Memlock, Rlimit { current: hard, maximum: hard });
    raised.is_ok() && hard.is_none()
}

/// Whether the limit does not count for this process: it has the capability, and not only in a user namespace, where it means nothing.
fn is_exempt() -> bool {
    let may = capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::IPC_LOCK));
    let users = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    may && users.split_whitespace().eq(["0", "0", "4294967295"])
}

/// How much may be locked, in bytes; nothing without a limit.
pub(crate) fn limit() -> Option<u64> {
    getrlimit(Resource::Memlock).current
}

/// A value on pages of its own, which are kept out of the swap where the system allows it. Whether it does is told at the start;
/// a value that is not locked works as well.
pub(crate) struct Locked<T> {
    // before the page, which may be another's once it is free
    lock: Option<LockGuard>,
    page: Box<Page<T>>,
}

/// What stands here shares its pages with nothing else, so that unlocking them unlocks nothing else. On machines with larger pages
/// two of them may; there the one that ends first unlocks the other.
#[repr(align(4096))]
struct Page<T>(T);

impl<T> Locked<T> {
    /// Puts a value on its pages.
    pub(crate) fn new(value: T) -> Self {
        let page = Box::new(Page(value));
        // where everything is locked, unlocking it again would leave a hole
        let alone = super::held().is_none_or(|held| held.memory == Lock::Keys);
        let lock = alone.then(|| region::lock(&raw const *page, size_of::<Page<T>>()).ok()).flatten();
        Self { lock, page }
    }

    fn is_locked(&self) -> bool {
        self.lock.is_some()
    }
}

impl<T> Deref for Locked<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.page.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How much of this process is locked, in KiB.
    fn locked() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
        line.trim().trim_end_matches(" kB").trim().parse().unwrap()
    }

    #[test]
    fn a_value_has_pages_of_its_own_and_holds_what_was_put_in() {
        let (one, other) = (Locked::new([7_u8; 5000]), Locked::new(8_u8));
        assert_eq!((one[4999], *other), (7, 8));
        for start in [(&raw const *one).addr(), (&raw const *other).addr()] {
            assert_eq!(start % 4096, 0);
        }
    }

    #[test]
    fn what_the_limit_allows_is_locked_and_what_it_does_not_works_as_well() {
        let allowed = limit().is_none_or(|bytes| bytes >= 1024 * 1024);
        let value = Locked::new([1_u8; 4096]);
        // in a container it may be forbidden whatever the limit is
        let page = [0_u8; 4096];
        let possible = region::lock(page.as_ptr(), page.len()).is_ok();
        assert_eq!(value.is_locked(), allowed && possible);
        assert!(!value.is_locked() || locked() >= 4);
        assert_eq!(value[0], 1);
        // more than is allowed
        let many: Vec<_> = (0..64).map(|n: u64| Locked::new([n; 8])).collect();
        assert!(many.iter().zip(0..).all(|(value, n)| value[7] == n));
    }
}
