//! What is shown of work that lasts: a line on stderr, only where a person looks on and waits, and gone at the end.

use crate::output::Printer;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long work stays silent: nobody reads what is gone within a second.
const SILENCE: Duration = Duration::from_secs(1);

/// How often the line is drawn anew.
const PACE: Duration = Duration::from_millis(200);

/// Work under way. The line is gone when this is dropped.
pub(crate) struct Progress {
    count: Arc<Count>,
    line: Option<(mpsc::Sender<()>, JoinHandle<()>)>,
}

#[derive(Default)]
struct Count {
    done: AtomicUsize,
    total: AtomicUsize,
}

impl Progress {
    /// Begins; `what` is in words: `resolving`.
    pub(crate) fn start(printer: &Printer, what: &'static str) -> Self {
        let count = Arc::new(Count::default());
        let shown = !printer.json() && io::stderr().is_terminal();
        let line = shown.then(|| {
            let (end, ended) = mpsc::channel();
            let count = Arc::clone(&count);
            (end, std::thread::spawn(move || draw(what, &count, &ended)))
        });
        Self { count, line }
    }

    /// Says how much is done.
    pub(crate) fn step(&self, done: usize, total: usize) {
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
        let _ = write!(io::stderr(), "\r\x1b[K{line}");
        pause = PACE;
    }
    if pause == PACE {
        let _ = write!(io::stderr(), "\r\x1b[K");
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
    fn nothing_is_drawn_under_json() {
        let progress = Progress::start(&Printer::new(true, true), "resolving");
        progress.step(1, 2);
        assert!(progress.line.is_none());
    }
}
