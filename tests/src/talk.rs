//! A process that is talked to while it runs: through pipes, or through a terminal of its own.

use crate::patience::{PATIENCE, until, within};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// Rows and columns of a [`Talk::on_terminal`]: not what anybody has by chance.
pub const WINDOW: (u16, u16) = (31, 97);

/// What a process has written so far.
#[derive(Debug)]
pub struct Output {
    seen: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
    from: usize,
}

impl Output {
    fn of(mut stream: impl Read + Send + 'static) -> Self {
        let seen = Arc::new(Mutex::default());
        let shared: Arc<Mutex<Vec<u8>>> = Arc::clone(&seen);
        let reader = thread::spawn(move || {
            let mut chunk = [0; 4096];
            // a terminal that nobody has open any more is an error to read, and the end as well
            while let Ok(read @ 1..) = stream.read(&mut chunk) {
                shared.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&chunk[..read]);
            }
        });
        Self { seen, reader: Some(reader), from: 0 }
    }

    /// All of it.
    pub fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// Waits until `text` comes, after what was waited for before; answers what stood before it.
    #[track_caller]
    pub fn expect(&mut self, text: &str) -> String {
        let found = within(PATIENCE, || {
            let seen = self.so_far();
            let at = self.from + seen.get(self.from..)?.find(text)?;
            Some((seen[self.from..at].to_owned(), at + text.len()))
        });
        let Some((before, from)) = found else { panic!("{text:?} did not come: {:?}", self.so_far()) };
        self.from = from;
        before
    }

    /// Waits for the end; answers all of it.
    pub fn whole(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            until("the end of an output", || reader.is_finished().then_some(()));
        }
        self.so_far()
    }
}

/// A process that is talked to. It ends with the value.
#[derive(Debug)]
pub struct Talk {
    child: Child,
    input: Option<Box<File>>,
    /// Standard output; on a terminal all that it shows.
    pub out: Output,
    /// Standard error; on a terminal nothing.
    pub err: Output,
}

impl Talk {
    /// Starts a command of [`crate::cli::command`] with pipes.
    pub fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("a process starts");
        let input = child.stdin.take().map(|input| Box::new(File::from(std::os::fd::OwnedFd::from(input))));
        let out = Output::of(child.stdout.take().expect("stdout is a pipe"));
        let err = Output::of(child.stderr.take().expect("stderr is a pipe"));
        Self { child, input, out, err }
    }

    /// Starts it on a terminal of [`WINDOW`], in a session of its own. `setsid` of util-linux gives it that, and becomes
    /// the command.
    pub fn on_terminal(command: &Command) -> Self {
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        grantpt(&master).expect("our own terminal");
        unlockpt(&master).expect("our own terminal");
        let (ws_row, ws_col) = WINDOW;
        tcsetwinsize(&master, Winsize { ws_row, ws_col, ws_xpixel: 0, ws_ypixel: 0 }).expect("a size");
        let name = ptsname(&master, Vec::new()).expect("a name");
        let slave = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(i32::try_from(OpenptFlags::NOCTTY.bits()).expect("flags"))
            .open(OsStr::from_bytes(name.to_bytes()))
            .expect("the other end");
        let mut inside = Command::new("setsid");
        inside.arg("--ctty").arg(command.get_program()).args(command.get_args()).env_clear();
        inside.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        if let Some(directory) = command.get_current_dir() {
            inside.current_dir(directory);
        }
        let end = || slave.try_clone().expect("one more handle");
        let child = inside.stdin(end()).stdout(end()).stderr(end()).spawn().expect("setsid of util-linux");
        let keys = File::from(master);
        let out = Output::of(keys.try_clone().expect("one more handle"));
        Self { child, input: Some(Box::new(keys)), out, err: Output::of(std::io::empty()) }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Types, or writes to its standard input.
    pub fn say(&mut self, text: &str) {
        let input = self.input.as_mut().expect("an input that is open");
        input.write_all(text.as_bytes()).expect("somebody reads");
    }

    /// Ends its standard input.
    pub fn hush(&mut self) {
        self.input = None;
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("our own child");
    }

    /// Waits until it has ended.
    #[track_caller]
    pub fn ended(&mut self) -> ExitStatus {
        let ended = within(PATIENCE, || self.child.try_wait().expect("our own child"));
        ended.unwrap_or_else(|| {
            panic!("did not end; it said {:?}, {:?}", self.out.so_far(), self.err.so_far())
        })
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
