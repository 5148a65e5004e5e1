//! Where a machine runs: mounts that only it sees, control groups of its own, a disk over the image.
//!
//! A shell holds the mounts and clears all of it away at the end, or when this process is gone, however it went.

use super::groups::Groups;
use crate::patience::{PATIENCE, until, within};
use crate::power::{Moment, format};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Where the agent of a machine keeps its store.
pub(super) const STATE: &str = "var/lib/bursar";

/// Mounts the disk over the image, waits until its input ends, and leaves nothing behind. `cgroup.kill` is there in
/// version 2 alone; directories of groups can be removed once nobody runs in them.
const HOLD: &str = r#"
image=$1 dir=$2
shift 2
mount -t overlay overlay -o "lowerdir=$image,upperdir=$dir/disk,workdir=$dir/work" "$dir/root" || exit
echo mounted
cat
fsfreeze --unfreeze "$dir/root/var/lib/bursar"
for group do
    [ ! -e "$group/cgroup.kill" ] || echo 1 >"$group/cgroup.kill"
done
tries=0
until find "$@" -depth -type d -exec rmdir {} + || [ "$tries" -ge 100 ]; do
    tries=$((tries + 1))
    sleep 0.1
done
umount --recursive --lazy "$dir/root"
rm -rf "$dir"
"#;

/// A place.
#[derive(Debug)]
pub(super) struct Place {
    name: String,
    dir: PathBuf,
    groups: Groups,
    holder: Child,
    disk: bool,
    cuts: u32,
}

impl Place {
    /// A fresh place over `image`, or the reason why there can be none.
    pub(super) fn over(image: &Path) -> Result<Self, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("bt-{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let groups = Groups::make(&name)?;
        // the shell removes it
        let dir = tempfile::Builder::new().prefix("bt-machine-").tempdir_in("/tmp");
        let dir = dir.expect("a directory in /tmp").keep();
        for part in ["disk", "work", "root"] {
            fs::create_dir(dir.join(part)).expect("a directory of ours");
        }
        let errors = fs::File::create(dir.join("holder.log")).expect("a file of ours");
        let mut holder = Command::new("unshare");
        holder.args(["--mount", "--propagation", "slave", "sh", "-c", HOLD, "sh"]);
        holder.arg(image).arg(&dir).args(groups.all());
        // what ends a test from outside does not end who clears up behind it
        holder.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors);
        let mut holder = holder.spawn().expect("util-linux is there");
        let mut line = String::new();
        let said = holder.stdout.take().expect("stdout is a pipe");
        BufReader::new(said).read_line(&mut line).expect("a pipe can be read");
        let place = Self { name, dir, groups, holder, disk: false, cuts: 0 };
        if line.trim() == "mounted" {
            Ok(place)
        } else {
            let why = fs::read_to_string(place.dir.join("holder.log")).unwrap_or_default();
            let _ = fs::remove_dir_all(&place.dir);
            Err(format!("an overlay cannot be mounted: {}", why.trim()))
        }
    }

    /// What it is called; no other place of this time has that name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What the machine wrote to its console.
    pub(super) fn console(&self) -> PathBuf {
        self.dir.join("console")
    }

    /// The machine's own root directory, as the mounts of the place show it.
    pub(super) fn root(&self) -> PathBuf {
        self.dir.join("root")
    }

    /// A command of the host that sees the mounts of the place.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg("--mount").arg("--target").arg(self.holder.id().to_string()).arg("--").arg(program);
        command
    }

    /// The same in its control groups: all that the command starts ends with [`Place::cut`].
    pub(super) fn grouped(&self, program: &str) -> Command {
        let mut command = self.command("sh");
        let join = r#"
            while [ "$1" != -- ]; do
                echo $$ >"$1/cgroup.procs" || exit
                shift
            done
            shift
            exec "$@"
        "#;
        command.args(["-c", join, "sh"]).args(self.groups.all()).arg("--").arg(program);
        command.process_group(0);
        command
    }

    /// Ends everything in it in one moment, and waits until it is gone.
    pub(super) fn cut(&self) {
        self.groups.kill();
        until("the processes of the machine are gone", || self.groups.cleared().then_some(()));
    }

    /// Puts [`STATE`] on a disk of its own.
    pub(super) fn add_disk(&mut self) {
        format(&self.image());
        self.ok("mkdir", &[&self.state()]);
        self.disk = true;
        self.mount_disk();
    }

    /// What that disk has now. Who writes meanwhile is not stopped.
    pub(super) fn moment(&self) -> Moment {
        assert!(self.disk, "the machine has no disk of its own");
        Moment::of(&self.image())
    }

    /// Gives that disk what it had at `moment`. Nobody runs in the place.
    pub(super) fn restore(&mut self, moment: Moment) {
        self.ok("umount", &[&self.state()]);
        fs::remove_file(self.image()).expect("our own image");
        self.cuts += 1;
        moment.write(&self.image());
        self.mount_disk();
    }

    /// Whether that disk answers to those who write; who finds it silent waits.
    pub(super) fn freeze(&self, frozen: bool) {
        let how = if frozen { "--freeze" } else { "--unfreeze" };
        self.ok("fsfreeze", &[Path::new(how), &self.state()]);
    }

    /// Ends what runs there, and clears it away.
    pub(super) fn end(&mut self) {
        drop(self.holder.stdin.take());
        if within(PATIENCE, || self.holder.try_wait().ok().flatten()).is_none() {
            let _ = self.holder.kill();
            let _ = self.holder.wait();
        }
    }

    fn image(&self) -> PathBuf {
        self.dir.join(format!("after-{}-cuts", self.cuts))
    }

    fn state(&self) -> PathBuf {
        self.root().join(STATE)
    }

    fn mount_disk(&self) {
        self.ok("mount", &[Path::new("-o"), Path::new("loop"), &self.image(), &self.state()]);
    }

    fn ok(&self, program: &str, arguments: &[&Path]) {
        let run = self.command(program).args(arguments).output().expect("util-linux is there");
        assert!(run.status.success(), "{program}: {}", String::from_utf8_lossy(&run.stderr));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.end();
    }
}
