//! A running `bursard`, alone in a clean environment; it ends with the value.

use crate::binaries::binaries;
use crate::home::Home;
use crate::patience::{PATIENCE, until, within};
use crate::raw::RawSocket;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use std::fs::OpenOptions;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// How long a daemon may take to end once it was told to.
pub(crate) const END: Duration = Duration::from_secs(20);

/// A daemon.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
}

impl Daemon {
    /// Starts a daemon in `home` and waits until it answers `hello`.
    pub fn start(home: &Home, variables: &[(&str, &str)]) -> Self {
        Self::spawn(home, variables).greeted(home)
    }

    /// The same with another build of it.
    pub fn start_other(bursard: &Path, home: &Home) -> Self {
        Self::spawn_program(bursard, home, &[]).greeted(home)
    }

    /// Starts a daemon that is handed a listening socket of that name, as systemd does it, and waits until it answers `hello`.
    pub fn start_handed(home: &Home, socket: UnixListener, name: &str, arguments: &[&str]) -> Self {
        // the number of a process is known to itself alone
        let hand = "exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$@\"";
        let mut command = Command::new("sh");
        command.args(["-c", hand, "sh"]).arg(&binaries().bursard).args(arguments);
        Self::run(&mut command, home, &[("LISTEN_FDNAMES", name)], OwnedFd::from(socket).into()).greeted(home)
    }

    fn greeted(mut self, home: &Home) -> Self {
        let daemon = &mut self;
        until("the daemon answers hello", || {
            if let Some(status) = daemon.exited() {
                panic!("the daemon ended with {status}:\n{}", home.log());
            }
            let mut socket = RawSocket::connect(&home.socket()).ok()?;
            // after a kill the stale socket refuses; a full backlog may drop us
            socket.call("hello", json!({})).ok()
        });
        self
    }

    /// Starts a daemon in `home`, and does not wait.
    pub fn spawn(home: &Home, variables: &[(&str, &str)]) -> Self {
        Self::spawn_program(&binaries().bursard, home, variables)
    }

    fn spawn_program(bursard: &Path, home: &Home, variables: &[(&str, &str)]) -> Self {
        Self::run(Command::new(bursard).arg("--foreground"), home, variables, Stdio::null())
    }

    fn run(command: &mut Command, home: &Home, variables: &[(&str, &str)], stdin: Stdio) -> Self {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(home.log_file())
            .expect("a log file in the home");
        let child = command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("BURSAR_HOME", home.path())
            .envs(variables.iter().copied())
            .current_dir("/")
            .stdin(stdin)
            .stdout(log.try_clone().expect("one more handle"))
            .stderr(log)
            .spawn()
            .expect("bursard starts");
        Self { child }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as a power switch would.
    pub fn kill9(mut self) {
        self.child.kill().expect("our own child");
        self.child.wait().expect("our own child");
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("our own child");
    }

    /// Ends it with SIGTERM and waits.
    pub fn stop(self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Waits until it has ended by itself.
    pub fn wait(mut self) -> ExitStatus {
        within(END, || self.exited()).unwrap_or_else(|| panic!("the daemon did not end within {END:?}"))
    }

    /// Whether it has ended.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("our own child")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.exited().is_none() {
            let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
            if within(PATIENCE.min(Duration::from_secs(3)), || self.exited()).is_none() {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
        }
    }
}
