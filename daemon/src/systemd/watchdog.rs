//! The watchdog (`WatchdogSec=`): the service manager is told that the agent lives only after those have answered without
//! whom it does not, the refresh loop and the store.

use super::notify;
use crate::agent::Agent;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// Of the time that the service manager gives, the part after which it is told again: two may be late before it acts.
const PART: u32 = 3;

/// The turns of the refresh loop.
#[derive(Default)]
pub(crate) struct Pulse {
    turns: AtomicU64,
    turned: Notify,
}

impl Pulse {
    /// Notes a turn.
    pub(crate) fn beat(&self) {
        self.turns.fetch_add(1, Ordering::Relaxed);
        self.turned.notify_waiters();
    }

    /// Waits until a turn has ended that began after this was asked: of two that end, the second.
    async fn two_turns(&self, wake: &Notify) {
        let from = self.turns.load(Ordering::Relaxed);
        loop {
            let turned = self.turned.notified();
            if self.turns.load(Ordering::Relaxed) >= from + 2 {
                return;
            }
            wake.notify_one();
            turned.await;
        }
    }
}

/// Answers the watchdog until the daemon ends, where there is one.
pub(crate) async fn run(agent: Arc<Agent>) {
    let Some(time) = sd_notify::watchdog_enabled().filter(|time| !time.is_zero()) else { return };
    answer(&agent, time / PART).await;
}

async fn answer(agent: &Arc<Agent>, pause: Duration) {
    loop {
        tokio::select! {
            () = agent.shutdown.cancelled() => return,
            alive = lives(agent) => if alive { notify::alive() },
        }
        tokio::select! {
            () = agent.shutdown.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Waits for the refresh loop and for the store. What hangs is not waited for here: the time of the service manager runs.
async fn lives(agent: &Arc<Agent>) -> bool {
    agent.pulse.two_turns(&agent.wake).await;
    let asked = agent.vault().unlocked().ok().map(|unlocked| unlocked.ask_store());
    match asked {
        // nothing is open that could hang
        None => true,
        // a disk that refuses has answered; the store is mended elsewhere
        Some(asked) => matches!(asked.durable().await, Ok(()) | Err(_)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::tests::Stage;

    #[tokio::test]
    async fn the_refresh_loop_and_the_store_answer_who_asks() {
        let stage = Stage::set().await;
        let refresh = stage.agent.tasks.spawn(crate::refresh::run(stage.agent.clone()));
        let answered = tokio::time::timeout(Duration::from_secs(30), lives(&stage.agent)).await;
        assert_eq!(answered, Ok(true));
        stage.agent.shutdown.cancel();
        refresh.await.unwrap();
    }

    // time that nobody works in is passed over
    #[tokio::test(start_paused = true)]
    async fn while_the_refresh_loop_does_not_turn_nobody_is_told_that_the_agent_lives() {
        let stage = Stage::set().await;
        let hour = Duration::from_hours(1);
        assert!(tokio::time::timeout(hour, lives(&stage.agent)).await.is_err());
        // a turn that was under way when it was asked says nothing of the next
        let asked = tokio::time::timeout(hour, lives(&stage.agent));
        let (asked, ()) = tokio::join!(asked, async { stage.agent.pulse.beat() });
        assert!(asked.is_err());
    }
}
