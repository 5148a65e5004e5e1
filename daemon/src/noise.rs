//! How many log lines one caller may cause: so many in a while, and then one that says how many were left out.
//!
//! Who is refused can ask again at once, and must not fill the disk with that, or push out what others caused. The record of
//! accesses has all of it.

use crate::agent::Agent;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The lines of one caller and one kind within [`PERIOD`]: more than a person reads of them, and a program that is set up wrongly is
/// understood after the first.
const LINES: u32 = 10;

/// From the first line of a caller to where it may cause as many again.
const PERIOD: Duration = Duration::from_mins(1);

/// How many are counted apart at once, each some hundred bytes; those beyond are counted as one.
const CALLERS_MAX: usize = 256;

/// What a line tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// That something was refused.
    Refused,
    /// That something was done.
    Done,
}

/// Whose lines are counted: `uid 1000`, `nginx.service`; `None` for all beyond [`CALLERS_MAX`].
type Counted = (Kind, Option<Arc<str>>);

/// The lines of all callers.
#[derive(Default)]
pub(crate) struct Noise(Mutex<HashMap<Counted, Count>>);

struct Count {
    since: Instant,
    written: u32,
    left_out: u64,
}

/// What becomes of a line.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Write,
    /// It is counted; where it is the first, whoever counts tells at that time.
    LeaveOut(Option<(Counted, Instant)>),
}

impl Noise {
    fn lock(&self) -> MutexGuard<'_, HashMap<Counted, Count>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn line(&self, kind: Kind, caller: &str, now: Instant) -> Verdict {
        let mut counts = self.lock();
        let mut counted: Counted = (kind, Some(caller.into()));
        if !counts.contains_key(&counted) && counts.len() >= CALLERS_MAX {
            // what was left out has still to be told
            counts.retain(|_, count| count.left_out > 0 || now < count.since + PERIOD);
            if counts.len() >= CALLERS_MAX {
                counted.1 = None;
            }
        }
        let count = counts.entry(counted.clone()).or_insert(Count { since: now, written: 0, left_out: 0 });
        if count.left_out == 0 && now >= count.since + PERIOD {
            (count.since, count.written) = (now, 0);
        }
        if count.written < LINES {
            count.written += 1;
            return Verdict::Write;
        }
        count.left_out += 1;
        Verdict::LeaveOut((count.left_out == 1).then(|| (counted, count.since + PERIOD)))
    }

    /// How many lines were left out; the count begins anew.
    fn over(&self, counted: &Counted) -> u64 {
        self.lock().remove(counted).map_or(0, |count| count.left_out)
    }
}

impl Agent {
    /// Writes a line that `caller` causes, unless it causes too many.
    pub(crate) fn log_of(self: &Arc<Self>, kind: Kind, caller: &str, write: impl FnOnce()) {
        let (counted, at) = match self.noise.line(kind, caller, Instant::now()) {
            Verdict::Write => return write(),
            Verdict::LeaveOut(None) => return,
            Verdict::LeaveOut(Some(first)) => first,
        };
        let agent = self.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = agent.shutdown.cancelled() => {}
                () = tokio::time::sleep_until(at.into()) => {}
            }
            let left_out = agent.noise.over(&counted);
            let caller = counted.1.as_deref().unwrap_or("many callers");
            match counted.0 {
                Kind::Refused => tracing::warn!(caller, left_out, "more was refused, and not told"),
                Kind::Done => tracing::info!(caller, left_out, "more was done, and not told"),
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(noise: &Noise, caller: &str, now: Instant, times: u32) -> u32 {
        (0..times).map(|_| u32::from(noise.line(Kind::Refused, caller, now) == Verdict::Write)).sum()
    }

    #[test]
    fn a_caller_has_so_many_lines_and_others_have_their_own() {
        let (noise, now) = (Noise::default(), Instant::now());
        assert_eq!(written(&noise, "uid 1", now, 1_000), LINES);
        assert_eq!(written(&noise, "uid 2", now, 3), 3);
        assert_eq!(noise.line(Kind::Done, "uid 1", now), Verdict::Write);
    }

    #[test]
    fn what_was_left_out_is_counted_once_and_then_it_begins_anew() {
        let (noise, now) = (Noise::default(), Instant::now());
        written(&noise, "uid 1", now, LINES);
        let Verdict::LeaveOut(Some((counted, at))) = noise.line(Kind::Refused, "uid 1", now) else {
            panic!()
        };
        assert_eq!(at, now + PERIOD);
        assert_eq!(noise.line(Kind::Refused, "uid 1", now), Verdict::LeaveOut(None));
        // until it is told it goes on, however late that is
        assert_eq!(noise.line(Kind::Refused, "uid 1", now + 2 * PERIOD), Verdict::LeaveOut(None));
        assert_eq!((noise.over(&counted), noise.over(&counted)), (3, 0));
        assert_eq!(written(&noise, "uid 1", at, 20), LINES);
    }

    #[test]
    fn who_causes_few_lines_loses_none_however_long_it_goes_on() {
        let (noise, start) = (Noise::default(), Instant::now());
        let each = PERIOD / LINES + Duration::from_secs(1);
        for n in 0..100 {
            assert_eq!(noise.line(Kind::Refused, "uid 1", start + n * each), Verdict::Write, "{n}");
        }
    }

    #[test]
    fn those_beyond_the_most_are_counted_as_one_until_there_is_room() {
        let (noise, now) = (Noise::default(), Instant::now());
        for n in 0..CALLERS_MAX {
            assert_eq!(noise.line(Kind::Refused, &format!("uid {n}"), now), Verdict::Write);
        }
        let many: u32 = (0..1_000).map(|n| written(&noise, &format!("unit {n}"), now, 1)).sum();
        assert_eq!((many, noise.lock().len()), (LINES, CALLERS_MAX + 1));
        assert_eq!(written(&noise, "unit x", now + PERIOD, 100), LINES);
        assert!(noise.lock().len() <= 3);
    }

    proptest! {
        #[test]
        fn every_line_is_written_or_counted_and_few_are_kept_in_mind(
            steps in proptest::collection::vec((0_u16..600, 0_u64..30), 0..2_000)
        ) {
            let (noise, mut now) = (Noise::default(), Instant::now());
            let (mut written, mut left_out, mut told) = (0, 0, 0);
            let mut due: Vec<(Counted, Instant)> = Vec::new();
            let count = steps.len() as u64;
            for (caller, pause) in steps {
                now += Duration::from_secs(pause);
                due.retain(|(counted, at)| {
                    if *at <= now {
                        told += noise.over(counted);
                    }
                    *at > now
                });
                match noise.line(Kind::Refused, &format!("uid {caller}"), now) {
                    Verdict::Write => written += 1,
                    Verdict::LeaveOut(first) => {
                        left_out += 1;
                        due.extend(first);
                    }
                }
                prop_assert!(noise.lock().len() <= CALLERS_MAX + 2);
            }
            told += due.iter().map(|(counted, _)| noise.over(counted)).sum::<u64>();
            prop_assert_eq!((written + left_out, told), (count, left_out));
        }
    }
}
