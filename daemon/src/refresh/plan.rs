//! When a secret is next exchanged. Pure: it follows from the record and the wall clock, and is never stored.
//!
//! A refresh has four attempts: at `refresh_at`, and three more of which the last is no later than two hours
//! before the artifact ends, where there is room for that; else at the quarter points of what is left.

use crate::exchange::Cause;
use crate::vault::catalog::Secret;
use bursar_proto::kind::{RefreshStatus, Status};
use bursar_proto::time::Timestamp;

/// Attempts of one refresh, the first included.
pub(crate) const ATTEMPTS: u8 = 4;

/// The last attempt is at least this long before the end, in seconds, where there is room.
const LAST_BEFORE_END: i64 = 7_200;

/// The room that makes it worth while, in seconds: a minute for each attempt.
const ROOM_MIN: i64 = 180;

/// After a failure nothing is tried again sooner than this, in seconds.
pub(crate) const PAUSE_AFTER_FAILURE: i64 = 60;

/// The times of the four attempts.
pub(crate) fn attempts(refresh_at: Timestamp, expires_at: Timestamp) -> [Timestamp; ATTEMPTS as usize] {
    let room = expires_at.plus(-LAST_BEFORE_END).since(refresh_at);
    let (span, parts) = if room >= ROOM_MIN { (room, 3) } else { (expires_at.since(refresh_at).max(0), 4) };
    [0, 1, 2, 3].map(|k| refresh_at.plus(k * span / parts))
}

/// When `secret` is next due, if ever.
pub(crate) fn due(secret: &Secret) -> Option<Timestamp> {
    if secret.in_flight || !secret.active {
        return None;
    }
    match secret.status {
        // an exchange that a crash or a lock cut off
        Status::Pending => Some(secret.updated_at),
        Status::Succeeded => refresh_due(secret),
        Status::Failed | Status::ManualAuthorization => None,
    }
}

fn refresh_due(secret: &Secret) -> Option<Timestamp> {
    let (refresh_at, expires_at) = (secret.refresh_at?, secret.expires_at?);
    secret.environment?;
    if secret.expiration_date.is_some_and(|date| date <= refresh_at) {
        return None;
    }
    let scheduled = attempts(refresh_at, expires_at).get(usize::from(secret.failed_attempts)).copied();
    let recovery = (secret.recover && may_recover(secret)).then_some(refresh_at);
    let next = match (scheduled, recovery) {
        (Some(scheduled), Some(recovery)) => scheduled.min(recovery),
        (scheduled, recovery) => scheduled.or(recovery)?,
    };
    let last_failed_at = secret.last_attempt_at.filter(|_| secret.last_failure.is_some());
    Some(match last_failed_at {
        // the schedule has its own distances; what was overslept is made up a minute apart
        Some(last) if next <= last || next == refresh_at => next.max(last.plus(PAUSE_AFTER_FAILURE)),
        _ => next,
    })
}

/// Whether an attempt beyond the schedule makes sense: an issuer that said no for good is not asked again.
fn may_recover(secret: &Secret) -> bool {
    matches!(secret.last_failure, Some(Cause::Unreachable | Cause::Transient))
}

/// Whether a caller who needs a fresher artifact may start an exchange now, beside the schedule.
pub(crate) fn may_start(secret: &Secret, now: Timestamp) -> bool {
    match secret.last_failure {
        None => true,
        Some(_) => may_recover(secret) && paused_until(secret, now) <= now,
    }
}

/// The end of the pause after the last failure. A last attempt in the future is a clock that was set back.
fn paused_until(secret: &Secret, now: Timestamp) -> Timestamp {
    secret.last_attempt_at.map_or(now, |last| last.min(now).plus(PAUSE_AFTER_FAILURE))
}

/// Takes a failed attempt to refresh into the record.
pub(crate) fn refresh_failed(secret: &mut Secret, cause: Cause, details: &str, now: Timestamp) {
    secret.last_attempt_at = Some(now);
    secret.last_failure = Some(cause);
    secret.recover = false;
    // an attempt beside the schedule, for a caller or after a wake, uses up none of it
    let scheduled = secret.refresh_at.zip(secret.expires_at).and_then(|(refresh_at, expires_at)| {
        attempts(refresh_at, expires_at).get(usize::from(secret.failed_attempts)).copied()
    });
    if scheduled.is_some_and(|scheduled| scheduled <= now) {
        secret.failed_attempts += 1;
    }
    secret.refresh_status_details = Some(details.into());
    if secret.failed_attempts == ATTEMPTS {
        secret.refresh_status = Some(RefreshStatus::Failed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bursar_proto::kind::SecretType;
    use proptest::prelude::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn seconds(times: [Timestamp; 4]) -> [i64; 4] {
        times.map(Timestamp::seconds)
    }

    fn refreshable(refresh_at: i64, expires_at: i64) -> Secret {
        let mut secret = Secret::new(&"acme/x".parse().unwrap(), SecretType::Jwt, at(0));
        secret.status = Status::Succeeded;
        secret.environment = Some([1; 16]);
        secret.refresh_at = Some(at(refresh_at));
        secret.expires_at = Some(at(expires_at));
        secret
    }

    #[test]
    fn the_attempts_of_the_rule_book_stand() {
        // expires_in 36000, offset 14400
        assert_eq!(seconds(attempts(at(21_600), at(36_000))), [21_600, 24_000, 26_400, 28_800]);
        // exactly 180 s of room, and one second less
        assert_eq!(seconds(attempts(at(1_000), at(8_380))), [1_000, 1_060, 1_120, 1_180]);
        assert_eq!(seconds(attempts(at(1_000), at(8_379))), [1_000, 2_844, 4_689, 6_534]);
        // google: 30 minutes of 60
        assert_eq!(seconds(attempts(at(1_800), at(3_600))), [1_800, 2_250, 2_700, 3_150]);
        // short-lived: the last half of a token of 20 seconds
        assert_eq!(seconds(attempts(at(10), at(20))), [10, 12, 15, 17]);
    }

    #[test]
    fn each_failure_moves_on_to_the_next_attempt_and_the_fourth_ends_it() {
        let mut secret = refreshable(21_600, 36_000);
        for expected in [21_600, 24_000, 26_400, 28_800] {
            assert_eq!(due(&secret), Some(at(expected)));
            assert_eq!(secret.refresh_status, None);
            refresh_failed(&mut secret, Cause::Transient, "no answer", at(expected));
        }
        assert_eq!(due(&secret), None);
        assert_eq!(secret.refresh_status, Some(RefreshStatus::Failed));
        assert_eq!(secret.failed_attempts, ATTEMPTS);
    }

    #[test]
    fn a_machine_that_slept_through_the_schedule_tries_at_once_and_then_once_a_minute() {
        let mut secret = refreshable(100, 100_000);
        let woke = at(99_000);
        assert!(due(&secret).unwrap() <= woke);
        refresh_failed(&mut secret, Cause::Unreachable, "no answer", woke);
        assert_eq!(due(&secret), Some(woke.plus(60)));
    }

    #[test]
    fn recovery_comes_at_once_but_not_within_a_minute_of_a_failure() {
        let mut secret = refreshable(100, 10_000);
        for time in [100, 1_000, 2_000, 3_000] {
            refresh_failed(&mut secret, Cause::Transient, "no answer", at(time));
        }
        assert_eq!(due(&secret), None);
        secret.recover = true;
        assert_eq!(due(&secret), Some(at(3_060)));
    }

    #[test]
    fn attempts_beside_the_schedule_use_up_none_of_it() {
        let mut secret = refreshable(21_600, 36_000);
        for early in [600, 700, 800, 900] {
            refresh_failed(&mut secret, Cause::Unreachable, "no answer", at(early));
        }
        assert_eq!((due(&secret), secret.failed_attempts), (Some(at(21_600)), 0));
        refresh_failed(&mut secret, Cause::Unreachable, "no answer", at(21_600));
        refresh_failed(&mut secret, Cause::Unreachable, "no answer", at(22_000));
        assert_eq!((due(&secret), secret.failed_attempts), (Some(at(24_000)), 1));
    }

    #[test]
    fn a_permanent_answer_keeps_its_schedule_and_gets_no_attempt_beyond_it() {
        let mut secret = refreshable(21_600, 36_000);
        refresh_failed(&mut secret, Cause::Permanent, "invalid_client", at(21_600));
        secret.recover = true;
        assert_eq!(due(&secret), Some(at(24_000)));
        assert!(!may_start(&secret, at(30_000)));
    }

    #[test]
    fn only_what_is_bound_active_and_succeeded_is_due() {
        for unfit in [
            |s: &mut Secret| s.environment = None,
            |s: &mut Secret| s.active = false,
            |s: &mut Secret| s.status = Status::Failed,
            |s: &mut Secret| s.in_flight = true,
            |s: &mut Secret| s.refresh_at = None,
            |s: &mut Secret| s.expiration_date = Some(at(100)),
        ] {
            let mut secret = refreshable(100, 200);
            assert!(due(&secret).is_some());
            unfit(&mut secret);
            assert_eq!(due(&secret), None);
        }
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_stop_a_caller_for_longer_than_a_minute() {
        let mut secret = refreshable(100, 200);
        refresh_failed(&mut secret, Cause::Transient, "no answer", at(1_000_000));
        assert!(!may_start(&secret, at(150)));
        assert_eq!(paused_until(&secret, at(150)), at(210));
    }

    proptest! {
        #[test]
        fn attempts_rise_and_stay_within_the_lifetime(refresh_at in 0_i64..1_000_000, left in 1_i64..1_000_000) {
            let expires_at = at(refresh_at + left);
            let times = attempts(at(refresh_at), expires_at);
            prop_assert!(times.windows(2).all(|pair| pair[0] <= pair[1]));
            prop_assert_eq!(times[0], at(refresh_at));
            prop_assert!(times[3] <= expires_at);
            if left - LAST_BEFORE_END >= ROOM_MIN {
                prop_assert!(times[3] <= expires_at.plus(-LAST_BEFORE_END));
            }
        }

        #[test]
        fn what_is_not_scheduled_comes_a_minute_after_the_last_failure(
            refresh_at in 0_i64..10_000, left in 1_i64..20_000, late in 0_i64..30_000, recover: bool,
        ) {
            let mut secret = refreshable(refresh_at, refresh_at + left);
            let mut now = at(refresh_at + late);
            for _ in 0..8 {
                secret.recover = recover;
                let Some(next) = due(&secret) else { break };
                if let Some(last) = secret.last_attempt_at {
                    let scheduled = attempts(at(refresh_at), at(refresh_at + left));
                    prop_assert!(next > last);
                    prop_assert!(next.since(last) >= PAUSE_AFTER_FAILURE || scheduled.contains(&next));
                }
                now = now.max(next);
                refresh_failed(&mut secret, Cause::Transient, "no answer", now);
            }
        }
    }
}
