//! Keeps artifacts fresh: the plan (pure), one exchange at a time per secret, and the loop that waits.
//!
//! There is one path: the loop, a create and a `get` that needs more all join the flight of the secret. A
//! flight runs on the daemon's task tracker, so a caller who leaves cancels nothing.

mod flight;
mod person;
pub(crate) mod plan;
mod settle;

pub(crate) use flight::{Flight, Flights, Job, Next, Unreadable};
pub(crate) use person::ungranted;

#[cfg(test)]
mod tests;

use crate::agent::Agent;
use bursar_proto::time::Timestamp;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The longest sleep: a suspended machine or a changed clock is noticed that soon.
const NAP: Duration = Duration::from_secs(30);

/// Exchanges that are started and not landed, at the most. The limit per token host is the exchange's own;
/// this one bounds memory when everything is due at once.
const FLIGHTS_MAX: usize = 4_096;

/// Exchanges that are started before other work gets its turn.
const STARTS_AT_ONCE: usize = 64;

/// How far the wall clock may drift from the monotonic one in a nap before it counts as a jump, in seconds.
const JUMP: i64 = 10;

/// Time between two snapshots, in seconds.
const SNAPSHOT_EVERY: i64 = 24 * 3_600;

/// Waits for what is due and starts it, until the daemon stops.
pub(crate) async fn run(agent: Arc<Agent>) {
    let mut slept = (agent.clock.now(), Instant::now());
    // none: as soon as the vault is open
    let mut endings_at = None;
    let mut snapshot_at = agent.clock.now().plus(SNAPSHOT_EVERY);
    loop {
        let now = agent.clock.now();
        if jumped(slept, (now, Instant::now())) {
            tracing::info!("the clock jumped, or the machine slept; overdue exchanges are tried now");
            if let Ok(unlocked) = agent.vault().unlocked() {
                unlocked.catalog.recover_all(now);
            }
            endings_at = None;
        }
        if now >= snapshot_at {
            agent.drop_stale_usage(now).await;
            agent.snapshot().await;
            snapshot_at = now.plus(SNAPSHOT_EVERY);
        }
        if endings_at.is_none_or(|at| now >= at) {
            agent.sweep(now).await;
            endings_at = agent.tell_endings(now).await;
        }
        let more = agent.start_due(now);
        let deadline = [agent.auto_lock(now).await, agent.next_due(), Some(snapshot_at), endings_at]
            .into_iter()
            .flatten()
            .min();
        agent.tell_status();
        agent.pulse.beat();
        slept = (agent.clock.now(), Instant::now());
        let nap = if more { Duration::ZERO } else { nap(now, deadline) };
        tokio::select! {
            () = agent.shutdown.cancelled() => return,
            () = agent.wake.notified() => {}
            () = tokio::time::sleep(nap) => {}
        }
    }
}

fn nap(now: Timestamp, deadline: Option<Timestamp>) -> Duration {
    let seconds = deadline.map_or(i64::MAX, |deadline| deadline.since(now));
    // what is due but cannot start waits a second, so that the loop never spins
    Duration::from_secs(u64::try_from(seconds.max(1)).unwrap_or(1)).min(NAP)
}

fn jumped(before: (Timestamp, Instant), after: (Timestamp, Instant)) -> bool {
    let wall = after.0.since(before.0);
    let monotonic = i64::try_from(after.1.duration_since(before.1).as_secs()).unwrap_or(i64::MAX);
    (wall - monotonic).abs() > JUMP
}

impl Agent {
    /// Starts what is due; answers whether there is more to start at once.
    fn start_due(self: &Arc<Self>, now: Timestamp) -> bool {
        let room = FLIGHTS_MAX.saturating_sub(self.flights.count()).min(STARTS_AT_ONCE);
        let mut vault = self.vault();
        let Ok(unlocked) = vault.unlocked() else { return false };
        let due = unlocked.catalog.due_at(now, room);
        let more = due.len() == room && room > 0;
        for id in due {
            drop(self.join(id, unlocked));
        }
        more
    }

    fn next_due(&self) -> Option<Timestamp> {
        self.vault().unlocked().ok()?.catalog.next_due()
    }
}

#[cfg(test)]
mod nap_tests {
    use super::*;

    #[test]
    fn no_nap_is_longer_than_thirty_seconds_and_none_spins() {
        let at = Timestamp::from_seconds;
        assert_eq!(nap(at(100), None), NAP);
        assert_eq!(nap(at(100), Some(at(1_000))), NAP);
        assert_eq!(nap(at(100), Some(at(107))), Duration::from_secs(7));
        assert_eq!(nap(at(100), Some(at(90))), Duration::from_secs(1));
    }

    #[test]
    fn a_clock_that_moves_by_itself_is_noticed() {
        let start = Instant::now();
        let at = Timestamp::from_seconds;
        let later = start + NAP;
        assert!(!jumped((at(0), start), (at(31), later)));
        assert!(jumped((at(0), start), (at(3_600), later)));
        assert!(jumped((at(4_000), start), (at(100), later)));
    }
}
