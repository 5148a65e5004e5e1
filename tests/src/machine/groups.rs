//! Control groups of one machine: two machines below one group would take each other's services for their own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The groups of one machine.
#[derive(Debug)]
pub(super) struct Groups {
    /// In version 2.
    unified: PathBuf,
    /// In systemd's own hierarchy of version 1, on a host that has one beside it.
    named: Option<PathBuf>,
}

impl Groups {
    /// Groups called `name` below those of this process, or the reason why there can be none.
    pub(super) fn make(name: &str) -> Result<Self, String> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("proc is mounted");
        let own = fs::read_to_string("/proc/self/cgroup").expect("proc is mounted");
        let unified = below(&mounts, " - cgroup2 ", &own, "0::").map(|own| own.join(name));
        let unified = unified.ok_or("there are no control groups of version 2")?;
        let named = below(&mounts, ",name=systemd", &own, ":name=systemd:").map(|own| own.join(name));
        for group in named.iter().chain([&unified]) {
            fs::create_dir(group).map_err(|error| format!("no control group can be made: {error}"))?;
        }
        Ok(Self { unified, named })
    }

    /// Their directories.
    pub(super) fn all(&self) -> impl Iterator<Item = &PathBuf> {
        self.named.iter().chain([&self.unified])
    }

    /// Ends all that runs in them, in one moment.
    pub(super) fn kill(&self) {
        fs::write(self.unified.join("cgroup.kill"), "1").expect("a control group of ours");
    }

    /// Whether nobody runs in them any more; what was below them is removed.
    pub(super) fn cleared(&self) -> bool {
        self.all().all(|group| clear(group).is_ok())
    }
}

/// The group of this process in the hierarchy whose mount says `kind`, and whose line in `own` begins behind `line`.
fn below(mounts: &str, kind: &str, own: &str, line: &str) -> Option<PathBuf> {
    let mount = mounts.lines().find(|mount| mount.contains(kind))?.split(' ').nth(4)?;
    let (_, group) = own.lines().find_map(|own| own.split_once(line))?;
    Some(Path::new(mount).join(group.trim_start_matches('/')))
}

/// Removes the groups below `group`; fails where somebody runs in one.
fn clear(group: &Path) -> io::Result<()> {
    for entry in fs::read_dir(group)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            clear(&entry.path())?;
            fs::remove_dir(entry.path())?;
        }
    }
    Ok(())
}
