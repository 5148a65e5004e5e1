//! A machine with a booted systemd: Debian bookworm in a container of its own, with a disk of its own and no network
//! but loopback. Only root can; a test says what it leaves out where there is none.
//!
//! | module | holds |
//! |---|---|
//! | `image` | the image of all machines, made once |
//! | `place` | the disk over it, mounts, the control groups, and the end of all of it |
//! | `container` | the container that is booted there |
//! | `groups` | control groups |
//! | `slots` | how many machines run at once |
//! | `agent` | the agent in a machine: programs, units |
//! | `people` | users of a machine, and their managers |

mod agent;
mod container;
mod groups;
mod image;
mod people;
mod place;
mod slots;

use crate::cli::Run;
use crate::power::Moment;
use container::Container;
use place::Place;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;
use slots::Slot;
use std::env;
use std::fs::File;
use std::io::{Write as _, stderr};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

/// The environment of commands in a machine.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A machine; it ends with the value, or with this process.
#[derive(Debug)]
pub struct Machine {
    container: Container,
    place: Place,
    _slot: Slot,
}

/// The disk of a machine while it does not answer.
#[derive(Debug)]
pub struct Frozen<'a>(&'a Machine);

impl Machine {
    /// Boots a machine and waits until all of it is up; says why there is none where this process cannot have one.
    pub fn boot() -> Option<Self> {
        Self::boot_in(|_| ())
    }

    /// The same with `/var/lib/bursar` on a disk of its own, of some megabytes.
    pub fn boot_with_disk() -> Option<Self> {
        Self::boot_in(Place::add_disk)
    }

    fn boot_in(prepare: impl FnOnce(&mut Place)) -> Option<Self> {
        let slot = Slot::take();
        let place = image::image().and_then(Place::over);
        let mut place = place.map_err(|why| leave_out(&why)).ok()?;
        prepare(&mut place);
        Some(Self { container: Container::booted(&place), place, _slot: slot })
    }

    /// Takes the power away: of what runs, nothing comes to its end. What was written is there, as after a kill;
    /// [`Machine::cut`] is about what the disk has.
    pub fn power_off(&mut self) {
        self.place.cut();
        self.container.wait();
    }

    /// Boots again with the same disk, after [`Machine::power_off`].
    pub fn boot_again(&mut self) {
        self.container = Container::booted(&self.place);
    }

    /// Shuts down as a person does, and boots again.
    pub fn reboot(&mut self) {
        // its answer may not come through any more
        self.try_sh("systemctl poweroff");
        self.container.wait();
        self.power_off();
        self.boot_again();
    }

    /// What the disk of the agent has now. Who writes meanwhile is not stopped.
    pub fn moment(&self) -> Moment {
        self.place.moment()
    }

    /// Takes the power away, and gives it back: of all that was written for the agent, what its disk had at `moment` is
    /// there.
    pub fn cut(&mut self, moment: Moment) {
        self.power_off();
        self.place.restore(moment);
        self.boot_again();
    }

    /// Lets the disk of the agent be silent: whoever writes to it waits.
    pub fn freeze(&self) -> Frozen<'_> {
        self.place.freeze(true);
        Frozen(self)
    }

    /// A command in the machine, as root.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--target"]);
        command.arg(self.container.first().to_string()).arg("--").arg(program);
        command.env_clear().env("PATH", PATH).env("HOME", "/root").env("LANG", "C.UTF-8");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a program to its end, as root.
    pub fn run(&self, command: &[&str]) -> Run {
        Run::of(self.command(command[0]).args(&command[1..]))
    }

    /// Runs a script to its end, as root.
    pub fn try_sh(&self, script: &str) -> Run {
        self.run(&["sh", "-euc", script])
    }

    /// Runs a script, which must succeed; answers its standard output.
    #[track_caller]
    pub fn sh(&self, script: &str) -> String {
        self.try_sh(script).ok().out
    }

    /// Writes a file, and the directories that lead to it; `mode` in octal.
    #[track_caller]
    pub fn write(&self, path: &str, text: &str, mode: &str) {
        let mut install = self.command("install");
        install.args(["-D", "--mode", mode, "/dev/stdin", path]).stdin(Stdio::piped());
        Run::finish(install.spawn().expect("util-linux is there"), Some(text)).ok();
    }

    /// Reads a file.
    #[track_caller]
    pub fn read(&self, path: &str) -> String {
        self.run(&["cat", path]).ok().out
    }

    /// The entries of a unit in the journal, with their fields.
    #[track_caller]
    pub fn journal(&self, unit: &str) -> Vec<Value> {
        self.entries(&["--unit", unit])
    }

    /// The entries in the journal that `matches` selects.
    #[track_caller]
    pub fn entries(&self, matches: &[&str]) -> Vec<Value> {
        self.sh("journalctl --sync");
        let run =
            self.run(&[&["journalctl", "--output=json", "--all", "--quiet", "--boot"], matches].concat());
        let entry = |line| serde_json::from_str(line).expect("the journal speaks json");
        run.ok().out.lines().map(entry).collect()
    }

    /// Does `work` on a thread in the machine's network, which is loopback alone: what listens or connects there does so
    /// in the machine, and so do threads and processes that it starts.
    pub fn networked<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let network =
            File::open(format!("/proc/{}/ns/net", self.container.first())).expect("our own machine");
        let enter_and_work = || {
            move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))
                .expect("root enters");
            work()
        };
        thread::scope(|scope| scope.spawn(enter_and_work).join().expect("a thread in the machine ends"))
    }

    /// Copies a file of the host to where no file system of the running machine hides it; `mode` in octal.
    fn copy(&self, from: &Path, to: &str, mode: &str) {
        let mut install = self.place.command("install");
        install
            .args(["-D", "--mode", mode])
            .arg(from)
            .arg(self.place.root().join(to.trim_start_matches('/')));
        let run = install.output().expect("nsenter is there");
        assert!(run.status.success(), "{to}: {}", String::from_utf8_lossy(&run.stderr));
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.place.end();
        self.container.wait();
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        self.0.place.freeze(false);
    }
}

/// Says which test is left out, and why, past what catches the output of tests. Where everything must be tested, it is
/// a failure.
pub(crate) fn leave_out(why: &str) {
    let test = thread::current().name().unwrap_or_default().to_owned();
    assert!(env::var_os("CI").is_none(), "there must be a machine in CI: {why}");
    writeln!(stderr(), "left out: {test}: {why}").ok();
}

/// Whether a program is there that not every machine has; says what is left out where it is not.
pub fn has_program(program: &str, arguments: &[&str]) -> bool {
    let has = Command::new(program).args(arguments).output().is_ok_and(|run| run.status.success());
    if !has {
        leave_out(&format!("there is no {program} {}", arguments.join(" ")));
    }
    has
}
