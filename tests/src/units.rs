//! Units without a service manager: control groups with the names that systemd gives to those of units, processes in them, and the
//! socket from which systemd fetches credentials. Only root can.

use crate::binaries::binaries;
use crate::cli::Run;
use crate::daemon::Daemon;
use crate::home::Home;
use crate::machine;
use rustix::process::geteuid;
use serde_json::json;
use std::fs;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio, id};
use std::sync::atomic::{AtomicU32, Ordering};

/// How many bytes are sent to a service manager that is refused: one more than it takes.
pub const REFUSAL: usize = 1024 * 1024 + 1;

/// Connects from an abstract address, as systemd does; reads to the end and prints it.
const FETCH: &str = r#"
use Socket;
my ($path, $address) = @ARGV;
socket(my $s, AF_UNIX, SOCK_STREAM, 0) or die "socket: $!";
bind($s, pack_sockaddr_un("\0$address")) or die "bind: $!";
connect($s, pack_sockaddr_un($path)) or die "connect: $!";
while (sysread($s, my $bytes, 65536)) { print $bytes }
"#;

/// Whose manager a unit has.
#[derive(Debug, Clone, Copy)]
pub enum Manager {
    /// The system's.
    System,
    /// That of root, as a user.
    User,
}

/// A unit: its control group, for as long as the value lives.
#[derive(Debug)]
pub struct Unit {
    /// Its name, which no other test's unit has: it begins with `bt` and ends as was asked for.
    pub name: String,
    directory: PathBuf,
}

impl Unit {
    /// A unit whose name ends with `-` and `name`; says so where there can be none.
    pub fn new(manager: Manager, name: &str) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("bt{}x{}-{name}", id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let slice = match manager {
            Manager::System => "system.slice",
            Manager::User => "user.slice/user-0.slice/user@0.service/app.slice",
        };
        // version 2 by itself, or beside version 1
        let mounts = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(Path::new);
        let root = mounts.into_iter().find(|mount| mount.join("cgroup.procs").exists());
        let directory = root.map(|root| root.join(slice).join(&name));
        let made = directory.filter(|path| geteuid().is_root() && fs::create_dir_all(path).is_ok());
        if made.is_none() {
            machine::leave_out("it takes root, and control groups of version 2 that can be written");
        }
        Some(Self { name, directory: made? })
    }

    /// A program in it.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("sh");
        command.arg("-c").arg(r#"echo $$ >"$1/cgroup.procs" && shift && exec "$@""#).arg("sh");
        command.arg(&self.directory).arg(program);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Fetches a credential for this unit, as systemd does when it starts.
    pub fn fetch(&self, home: &Home, credential: &str) -> Fetched {
        fetch(home, Some(self), None, &self.address(credential))
    }

    /// An address from which systemd would do so.
    pub fn address(&self, credential: &str) -> String {
        format!("{}/unit/{}/{credential}", number(), self.name)
    }

    /// Runs `bursar` in it.
    pub fn bursar(&self, home: &Home, arguments: &[&str]) -> Run {
        let mut command = self.command(&binaries().bursar.display().to_string());
        Run::of(command.args(arguments).env("BURSAR_SOCK", home.socket()))
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        // a process of it may still be ending, and the next start of the machine clears it as well
        drop(fs::remove_dir(&self.directory));
    }
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Fetched {
    /// These bytes: systemd hands them to the unit.
    Value(String),
    /// More than systemd takes: it fails the unit.
    Refused,
    /// Nobody let the process connect.
    NoWay(String),
}

impl Fetched {
    /// What a process that prints what it read came to.
    pub fn of(command: &mut Command) -> Self {
        let run = Run::of(command);
        if run.code != 0 {
            return Self::NoWay(run.err);
        }
        if run.out.len() < REFUSAL {
            return Self::Value(run.out);
        }
        assert!(run.out.len() == REFUSAL && run.out.bytes().all(|byte| byte == 0), "a refusal is of zeros");
        Self::Refused
    }

    /// A value.
    pub fn value(text: &str) -> Self {
        Self::Value(text.to_owned())
    }
}

/// Fetches from an address of one's choice: in a unit or in the control group of this process, as root or as another user.
pub fn fetch(home: &Home, unit: Option<&Unit>, uid: Option<u32>, address: &str) -> Fetched {
    let uid = uid.map(|uid| uid.to_string());
    let program = uid.as_ref().map_or("perl", |_| "setpriv");
    let mut command = unit.map_or_else(|| Command::new(program), |unit| unit.command(program));
    if let Some(uid) = &uid {
        command.args(["--reuid", uid, "--regid", uid, "--clear-groups", "perl"]);
    }
    command.arg("-e").arg(FETCH).arg(home.credentials()).arg(address);
    Fetched::of(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))
}

/// A number that makes an abstract address one's own.
pub fn number() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{:x}{:x}", id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A home whose daemon was handed the socket for credentials, and whose vault is open. `table` is of the config.
pub fn with_table(manager: Manager, table: &str) -> (Home, Daemon) {
    let home = Home::new();
    home.config(table);
    let daemon = start_handed(&home, manager);
    home.ok("vault.init", json!({ "key_file": home.key_file() }));
    (home, daemon)
}

/// Starts a daemon that is handed the socket for credentials as systemd does it.
pub fn start_handed(home: &Home, manager: Manager) -> Daemon {
    drop(fs::remove_file(home.credentials()));
    let socket = UnixListener::bind(home.credentials()).expect("a path in the home");
    let system = match manager {
        Manager::System => "--system",
        Manager::User => "--foreground",
    };
    Daemon::start_handed(home, socket, "credentials", &[system])
}
