//! The time limits of a connection, on one timer that is set anew only when it rings too early.

use crate::config::SocketConfig;
use std::pin::Pin;
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// How long a peer may still take, and for what.
pub(super) struct Patience {
    limits: SocketConfig,
    waits_for: WaitsFor,
    deadline: Instant,
    timer: Pin<Box<Sleep>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum WaitsFor {
    /// The first whole line.
    First,
    /// The rest of a line.
    Rest,
    /// Another line.
    Next,
}

impl Patience {
    pub(super) fn new(limits: SocketConfig) -> Self {
        let deadline = Instant::now() + limits.first_frame_timeout;
        Self {
            limits,
            waits_for: WaitsFor::First,
            deadline,
            timer: Box::pin(tokio::time::sleep_until(deadline)),
        }
    }

    /// Something came: `handled` says whether there was a whole line in it, `whole` whether it ended with one.
    pub(super) fn next(&mut self, handled: bool, whole: bool) {
        match (self.waits_for, handled, whole) {
            (_, _, true) => self.idle(),
            (_, true, false) | (WaitsFor::Next, false, false) => {
                self.wait(WaitsFor::Rest, self.limits.frame_timeout);
            }
            // an unfinished line does not buy more time by another byte
            (WaitsFor::First | WaitsFor::Rest, false, false) => {}
        }
    }

    pub(super) fn idle(&mut self) {
        self.wait(WaitsFor::Next, self.limits.idle_timeout);
    }

    fn wait(&mut self, waits_for: WaitsFor, limit: Duration) {
        self.waits_for = waits_for;
        self.deadline = Instant::now() + limit;
        if self.deadline < self.timer.deadline() {
            self.timer.as_mut().reset(self.deadline);
        }
    }

    pub(super) async fn run_out(&mut self) {
        loop {
            self.timer.as_mut().await;
            if Instant::now() >= self.deadline {
                return;
            }
            self.timer.as_mut().reset(self.deadline);
        }
    }

    pub(super) fn complaint(&self) -> String {
        let (what, limit) = match self.waits_for {
            WaitsFor::First => ("no request came", self.limits.first_frame_timeout),
            WaitsFor::Rest => ("a request was not finished", self.limits.frame_timeout),
            WaitsFor::Next => ("no further request came", self.limits.idle_timeout),
        };
        format!("{what} within {} s", limit.as_secs())
    }
}
