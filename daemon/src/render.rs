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
pub(crate) use place::{is_in_memory, names};

use crate::agent::Agent;
use crate::audit::NotRecorded;
use crate::vault::store::Id;
use bursar_proto::name::Qualified;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
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

/// Keeps the files fresh, until the daemon stops; says once when they were `looked` at for the first time.
pub(crate) async fn run(agent: Arc<Agent>, looked: oneshot::Sender<()>) {
    let mut renderer = Renderer::default();
    let mut looked = Some(looked);
    loop {
        let config = agent.config();
        let mut again = false;
        if renderer.has_work(&config.render) {
            // templates may lie on a slow disk
            let values = agent.clone();
            let turned = tokio::task::spawn_blocking(move || {
                let again = renderer.turn(&config.render, &values.paths.runtime, &*values);
                (renderer, again)
            });
            (renderer, again) = turned.await.unwrap_or_default();
        }
        // nobody may be waiting any more
        looked.take().map(|looked| looked.send(()));
        tokio::select! {
            () = agent.shutdown.cancelled() => return,
            () = quiet_after(&agent.rendering) => {}
            () = tokio::time::sleep(PAUSE), if again => {}
        }
    }
}

/// Waits until it rings, and then until it is quiet.
async fn quiet_after(bell: &Notify) {
    bell.notified().await;
    let end = Instant::now() + WAIT_MAX;
    while Instant::now() < end && timeout_at(end.min(Instant::now() + QUIET), bell.notified()).await.is_ok() {
    }
}
