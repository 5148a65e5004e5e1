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

/// The path of an executable, which whoever wants it waits for.
pub(crate) type Awaited = Box<dyn FnOnce() -> Option<Arc<str>> + Send>;

/// Asks for the path of a process's executable, where the system shows it. It is looked for meanwhile, so that mostly nobody waits.
pub(crate) fn executable(pid: i32) -> Awaited {
    let Some(looker) = LOOKER.get() else { return Box::new(move || look(pid)) };
    let (answer, answered) = sync_channel(1);
    // if it has gone, so has its end of the channel
    let _ = looker.send((pid, answer));
    Box::new(move || answered.recv().ok()?)
}

fn look(pid: i32) -> Option<Arc<str>> {
    let path = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    Some(path.to_string_lossy().into())
}
