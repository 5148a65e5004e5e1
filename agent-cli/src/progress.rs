//! Many calls at once, and what is shown of them where they last: a line on stderr, only where a person looks on and waits,
//! and gone at the end.

use crate::session::Session;
use crate::stop::Stop;
use bursar_proto::call::Method;
use bursar_proto::client::Client;
use bursar_proto::error::CallError;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long work stays silent: nobody reads what is gone within a second.
const SILENCE: Duration = Duration::from_secs(1);

/// How often the line is drawn anew.
pub(crate) const PACE: Duration = Duration::from_millis(200);

/// Goes to the beginning of a terminal's line, and takes away what stands there.
const ERASE: &str = "\r\x1b[K";

/// Makes calls of one kind over one connection, and answers in their order; `what` is in words: `resolving`.
///
/// # Errors
/// The connection breaks; the agent's own errors stand in the place of the answer that they are.
pub(crate) fn call_all<M: Method>(
    session: &Session,
    client: &mut Client,
    what: &'static str,
    calls: &[M],
) -> Result<Vec<Result<M::Reply, CallError>>, Stop> {
    let progress = Progress::start(what, shown(session.printer.json(), io::stderr().is_terminal()));
    Ok(client.call_all(calls, |done| progress.step(done, calls.len()))?)
}

/// Whether anybody would see a line.
pub(crate) fn shown(json: bool, is_terminal: bool) -> bool {
    is_terminal && !json
}

/// Writes a line on stderr in the place of the one that stood there.
pub(crate) fn redraw(line: &str) {
    let _ = write!(io::stderr(), "{ERASE}{line}");
}

/// Takes that line away.
pub(crate) fn clear() {
    redraw("");
}

/// Work under way. The line is gone when this is dropped.
struct Progress {
    count: Arc<Count>,
    line: Option<(mpsc::Sender<()>, JoinHandle<()>)>,
}

#[derive(Default)]
struct Count {
    done: AtomicUsize,
    total: AtomicUsize,
}

impl Progress {
    fn start(what: &'static str, shown: bool) -> Self {
        let count = Arc::new(Count::default());
        let line = shown.then(|| {
            let (end, ended) = mpsc::channel();
            let count = Arc::clone(&count);
            (end, std::thread::spawn(move || draw(what, &count, &ended)))
        });
        Self { count, line }
    }

    fn step(&self, done: usize, total: usize) {
        self.count.total.store(total, Ordering::Relaxed);
        self.count.done.store(done, Ordering::Relaxed);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((end, line)) = self.line.take() {
            drop(end);
            let _ = line.join();
        }
    }
}

fn draw(what: &str, count: &Count, ended: &mpsc::Receiver<()>) {
    let mut pause = SILENCE;
    // nothing is sent: the channel closes at the end
    while ended.recv_timeout(pause) == Err(mpsc::RecvTimeoutError::Timeout) {
        let line = line(what, count.done.load(Ordering::Relaxed), count.total.load(Ordering::Relaxed));
        redraw(&line);
        pause = PACE;
    }
    if pause == PACE {
        clear();
    }
}

fn line(what: &str, done: usize, total: usize) -> String {
    if total > 1 { format!("{what} {done} of {total} …") } else { format!("{what} …") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_counts_where_there_is_something_to_count() {
        assert_eq!(line("resolving", 3, 10), "resolving 3 of 10 …");
        assert_eq!(line("resolving", 0, 0), "resolving …");
    }

    #[test]
    fn a_line_is_drawn_only_where_a_person_looks_on() {
        for (json, is_terminal, drawn) in
            [(false, true, true), (true, true, false), (false, false, false), (true, false, false)]
        {
            assert_eq!(shown(json, is_terminal), drawn, "{json} {is_terminal}");
        }
    }

    #[test]
    fn what_is_not_shown_draws_nothing() {
        assert!(Progress::start("resolving", false).line.is_none());
    }
}
