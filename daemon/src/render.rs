//! `[[render]]`: files in memory that are kept fresh for services, and units that are told of it.
//!
//! | module | holds |
//! |---|---|
//! | `config` | what the config says |
//! | `turn` | one look at all files: what is written, removed, told |
//! | `problems` | what keeps files from being rendered: told once |
//! | `place` | the directories |
//! | `acl` | who may read a file |
//!
//! What a template becomes is `agent::render`'s to say. The daemon has no right over units: it leaves a request,
//! and `systemd::reload` carries it out.

mod acl;
mod config;
mod place;
mod problems;
#[cfg(test)]
mod tests;
mod turn;

pub(crate) use config::{Action, Render, parsed, renders};
pub(crate) use place::names;

use crate::agent::Agent;
use crate::audit::NotRecorded;
use crate::vault::store::Id;
use bursar_proto::name::Qualified;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use turn::Renderer;
use zeroize::Zeroizing;

/// How long it must be quiet before files are rendered: what changes together is one batch.
const QUIET: Duration = Duration::from_secs(1);

/// How long changes that follow each other may put that off.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// The pause after a look at which something failed that may be over by itself: a full disk, a record that takes nothing.
const PAUSE: Duration = Duration::from_secs(30);

/// The directory of requests, one for each unit that is to be told.
pub(crate) fn requests(runtime: &Path) -> PathBuf {
    runtime.join("reload")
}

/// The name of a request that is not to be carried out yet.
pub(crate) fn prepared(unit: &str) -> String {
    format!(".{unit}")
}

/// What a template becomes.
pub(crate) enum Filled {
    /// This text, with the values of these secrets in it.
    Text(Zeroizing<String>, Vec<(Id, Qualified)>),
    /// Nothing any more: something that it names is gone.
    Gone(String),
    /// Nothing now; it may be something again.
    NotNow(String),
    /// The vault is locked.
    Locked,
}

/// Where texts come from.
pub(crate) trait Values {
    /// What a template becomes now.
    fn fill(&self, render: &Render) -> Filled;

    /// Records that values are written to a file.
    ///
    /// # Errors
    /// It cannot be recorded, and so nothing is to be written.
    fn record(&self, file: &str, secrets: &[(Id, Qualified)]) -> Result<(), NotRecorded>;
}

/// Keeps files fresh.
pub(crate) struct Rendering {
    renderer: Renderer,
    /// Whether to look again without being rung for.
    again: bool,
}

impl Rendering {
    /// Looks at all files for the first time: who waits for the daemon to be ready finds them.
    pub(crate) async fn begin(agent: &Arc<Agent>) -> Self {
        Self { renderer: Renderer::default(), again: false }.look(agent).await
    }

    /// Looks at them after every change, until the daemon stops.
    pub(crate) async fn run(mut self, agent: Arc<Agent>) {
        loop {
            tokio::select! {
                () = agent.shutdown.cancelled() => return,
                () = quiet_after(&agent.rendering) => {}
                () = tokio::time::sleep(PAUSE), if self.again => {}
            }
            self = self.look(&agent).await;
        }
    }

    async fn look(self, agent: &Arc<Agent>) -> Self {
        let config = agent.config();
        if !self.renderer.has_work(&config.render) {
            return Self { again: false, ..self };
        }
        let (values, mut renderer) = (agent.clone(), self.renderer);
        // templates may lie on a slow disk
        let looked = tokio::task::spawn_blocking(move || {
            let again = renderer.turn(&config.render, &values.paths.runtime, &*values);
            Self { renderer, again }
        });
        looked.await.unwrap_or(Self { renderer: Renderer::default(), again: true })
    }
}

/// Waits until it rings, and then until it is quiet.
async fn quiet_after(bell: &Notify) {
    bell.notified().await;
    let end = Instant::now() + WAIT_MAX;
    while Instant::now() < end && timeout_at(end.min(Instant::now() + QUIET), bell.notified()).await.is_ok() {
    }
}
