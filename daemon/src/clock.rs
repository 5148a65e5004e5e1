//! Wall time. It comes from nowhere else, so that tests can set it.

use bursar_proto::time::Timestamp;
use std::time::{SystemTime, UNIX_EPOCH};

/// Tells the time.
pub(crate) trait Clock: Send + Sync {
    /// Now, in whole seconds, rounded down.
    fn now(&self) -> Timestamp;
}

/// The system's clock.
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    fn now(&self) -> Timestamp {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        Timestamp::from_seconds(i64::try_from(seconds).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
pub(crate) mod manual {
    use super::{Clock, Timestamp};
    use std::sync::atomic::{AtomicI64, Ordering};

    /// A clock that stands until it is moved.
    pub(crate) struct ManualClock(AtomicI64);

    impl ManualClock {
        pub(crate) fn at(seconds: i64) -> Self {
            Self(AtomicI64::new(seconds))
        }

        pub(crate) fn advance(&self, seconds: i64) {
            self.0.fetch_add(seconds, Ordering::Relaxed);
        }
    }

    impl Clock for ManualClock {
        fn now(&self) -> Timestamp {
            Timestamp::from_seconds(self.0.load(Ordering::Relaxed))
        }
    }
}
