//! The thread that looks at callers. Landlock keeps a thread that it restricts from looking into processes that it does not restrict,
//! and the path of an executable counts as such; so this thread stays free. It is told nothing but a number.

use std::io;
use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::Builder;

/// A process, and whoever waits for its executable.
type Question = (i32, SyncSender<Option<Arc<str>>>);

static LOOKER: OnceLock<Sender<Question>> = OnceLock::new();

/// Starts the thread.
pub(super) fn start() -> io::Result<()> {
    let (ask, asked) = channel::<Question>();
    Builder::new().name("looker".into()).spawn(move || {
        for (pid, answer) in asked {
            // who asked may have gone
            let _ = answer.send(look(pid));
        }
    })?;
    // there is one start
    let _ = LOOKER.set(ask);
    Ok(())
}

/// The path of a process's executable, where the system shows it.
pub(crate) fn executable(pid: i32) -> Option<Arc<str>> {
    let Some(looker) = LOOKER.get() else { return look(pid) };
    let (answer, answered) = sync_channel(1);
    looker.send((pid, answer)).ok()?;
    answered.recv().ok()?
}

fn look(pid: i32) -> Option<Arc<str>> {
    let path = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    Some(path.to_string_lossy().into())
}
