//! agent.doctor: what protects the agent here, and what does not.
//!
//! Each thing that is looked at is a function that looks, or is told what was seen, and answers one finding.

use super::{Agent, on_worker};
use crate::config::{self, Config};
use crate::harden::landlock::Landlock;
use crate::harden::memory::Lock;
use crate::harden::{held, memory};
use crate::render::is_in_memory;
use bursar_proto::error::CallError;
use bursar_proto::kind::{FindingState, VaultState};
use bursar_proto::reply::{Doctor, Finding};
use nix::sys::socket::{getsockopt, sockopt::PeerPidfd};
use rustix::fs::{statfs, statvfs};
use rustix::process::{DumpableBehavior, Resource, dumpable_behavior, getrlimit};
use std::fs::read_to_string;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Free room on the vault's disk under which it is weak, in bytes: some snapshots of a large vault.
const ROOM_MIN: u64 = 64 * 1024 * 1024;

impl Agent {
    pub(super) async fn doctor(self: &Arc<Self>) -> Result<Doctor, CallError> {
        let agent = self.clone();
        // it waits for disks, and for those who know the names of users
        on_worker(move || Doctor { findings: agent.findings() }).await
    }

    fn findings(&self) -> Vec<Finding> {
        let status = read_to_string("/proc/thread-self/status").unwrap_or_default();
        let lock = held().map_or(Lock::Nothing, |held| held.memory);
        let mut all = vec![
            core_files(getrlimit(Resource::Core).maximum),
            dumpable(dumpable_behavior().ok()),
            new_privileges(number(&status, "NoNewPrivs")),
            seccomp(number(&status, "Seccomp"), number(&status, "Seccomp_filters")),
            memory_lock(lock, memory::limit()),
        ];
        if lock != Lock::Everything {
            all.push(swap(&read_to_string("/proc/swaps").unwrap_or_default(), lock));
        }
        all.extend(held().map(|held| landlock(&held.landlock)));
        all.extend(self.about_vault());
        all.extend([self.about_store(), accesses(self.audit.records()), self.about_socket()]);
        all.extend([self.about_config(), callers(), manager(sd_notify::watchdog_enabled())]);
        if !self.config().render.is_empty() {
            let kind = statfs(&self.paths.runtime).ok().map(|about| about.f_type);
            all.push(rendering(&self.paths.runtime, kind.is_some_and(is_in_memory)));
        }
        all
    }

    fn about_vault(&self) -> Vec<Finding> {
        let vault = self.vault();
        let header = match vault.header() {
            Err(_) if vault.state() == VaultState::Absent => {
                return vec![weak("vault", "there is none yet", "bursar init")];
            }
            Err(error) => {
                let CallError { message, hint, .. } = error.into();
                return vec![Finding { hint, ..bad("vault", message, "") }];
            }
            Ok(header) => header,
        };
        let file = header.key_file().map(|path| (format!("the key file {}", path.display()), path.exists()));
        let credential = header.credential().map(|name| {
            let directory = self.paths.credentials.as_deref();
            (
                format!("the credential {name}"),
                directory.is_some_and(|directory| directory.join(name).exists()),
            )
        });
        let passphrase = header.has_passphrase().then(|| ("a passphrase".to_owned(), true));
        let openers: Vec<_> = [passphrase, file, credential].into_iter().flatten().collect();
        let names: Vec<&str> = openers.iter().map(|(name, _)| name.as_str()).collect();
        let opened = format!("{}, opened by {}", vault.state(), names.join(", "));
        let first = match (vault.state(), vault.problem()) {
            (VaultState::Unlocked, _) => good("vault", opened),
            (_, Some(problem)) => bad("vault", format!("{opened}: {problem}"), "bursar unlock"),
            (_, None) => weak("vault", opened, "bursar unlock"),
        };
        let missing = openers.iter().filter(|(_, there)| !there).map(|(name, _)| {
            bad(
                "vault",
                format!("{name} is not there"),
                "the next start cannot open the vault by it: put it back",
            )
        });
        [first].into_iter().chain(missing).collect()
    }

    fn about_store(&self) -> Finding {
        let writable = self.vault().writable();
        let room = statvfs(&self.paths.state).ok().map(|about| about.f_bavail.saturating_mul(about.f_frsize));
        store(&self.paths.state, writable, room)
    }

    fn about_socket(&self) -> Finding {
        let path = self.paths.socket.display();
        let Ok(about) = std::fs::metadata(&self.paths.socket) else {
            let mend = if self.activated { "systemctl restart bursar.socket" } else { "restart the agent" };
            return bad("socket", format!("{path} is gone"), mend);
        };
        let (mode, gid) = (about.mode() & 0o777, about.gid());
        let group = nix::unistd::Group::from_gid(gid.into()).ok().flatten();
        let group = group.map_or_else(|| gid.to_string(), |group| group.name);
        let whose = if self.activated { "kept by systemd" } else { "made by the agent" };
        let told = format!("{path}, mode {mode:o}, group {group}, {whose}");
        if !about.file_type().is_socket() {
            bad("socket", format!("{path} is no socket any more"), "restart the agent")
        } else if mode & 0o007 != 0 {
            weak(
                "socket",
                format!("{told}: every user can connect, and is turned away by its number"),
                "chmod o= it",
            )
        } else {
            good("socket", told)
        }
    }

    fn about_config(&self) -> Finding {
        let file = self.paths.config.display();
        match Config::read(&self.paths.config, self.paths.config_required) {
            Err(error) => {
                bad("config", error.to_string(), "mend it: until then the old one holds, and a restart fails")
            }
            Ok(config) if config != *self.config() => weak(
                "config",
                format!("{file} has changed since it was read"),
                "have it read: kill -HUP the agent",
            ),
            Ok(_) if !self.paths.config.exists() => {
                good("config", format!("{file} is not there: all as usual"))
            }
            Ok(_) => good("config", format!("{file} is in force")),
        }
    }
}

fn good(about: &str, told: impl Into<String>) -> Finding {
    Finding { about: about.into(), state: FindingState::Good, told: told.into(), hint: None }
}

fn weak(about: &str, told: impl Into<String>, hint: &str) -> Finding {
    Finding { state: FindingState::Weak, hint: Some(hint.into()), ..good(about, told) }
}

fn bad(about: &str, told: impl Into<String>, hint: &str) -> Finding {
    Finding { state: FindingState::Bad, ..weak(about, told, hint) }
}

/// A number in a status of `/proc`.
fn number(status: &str, field: &str) -> Option<u32> {
    status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')?.trim().parse().ok())
}

fn core_files(limit: Option<u64>) -> Finding {
    match limit {
        Some(0) => good("core files", "forbidden"),
        _ => bad("core files", "allowed: a crash would write keys to the disk", "restart the agent"),
    }
}

fn dumpable(behavior: Option<DumpableBehavior>) -> Finding {
    match behavior {
        Some(DumpableBehavior::NotDumpable) => good("dumpable", "no: only root reads the agent's memory"),
        _ => bad(
            "dumpable",
            "yes: other processes of the user may read the agent's memory",
            "restart the agent",
        ),
    }
}

fn new_privileges(no_new: Option<u32>) -> Finding {
    match no_new {
        Some(1) => good("new privileges", "given up"),
        _ => weak("new privileges", "possible", "restart the agent"),
    }
}

fn seccomp(mode: Option<u32>, filters: Option<u32>) -> Finding {
    match mode {
        Some(0) | None => weak(
            "seccomp",
            "no filter: every system call is possible",
            "run the agent as a service of systemd, whose unit has one",
        ),
        Some(_) => good("seccomp", format!("{} filters of system calls", filters.unwrap_or(1))),
    }
}

fn memory_lock(lock: Lock, limit: Option<u64>) -> Finding {
    let limit = limit.map_or_else(|| "no limit".into(), |bytes| format!("the limit is {} KiB", bytes / 1024));
    match lock {
        Lock::Everything => good("memory lock", "everything"),
        Lock::Keys => good("memory lock", format!("the vault's keys, {limit}")),
        Lock::Nothing => weak(
            "memory lock",
            format!("nothing, {limit}"),
            "raise the limit (LimitMEMLOCK=, ulimit -l); in a container, allow mlock",
        ),
    }
}

/// From the table of swaps, a heading and a line each. Whether one is encrypted cannot be seen from here.
fn swap(table: &str, lock: Lock) -> Finding {
    let count = table.lines().skip(1).count();
    match (count, lock) {
        (0, _) => good("swap", "there is none"),
        (_, Lock::Keys) => weak(
            "swap",
            format!("{count} in use: keys stay out of it, values that pass through the agent may come in"),
            "encrypt it, which cannot be seen from here; or raise the limit (LimitMEMLOCK=infinity)",
        ),
        _ => weak(
            "swap",
            format!("{count} in use, and keys may come in"),
            "encrypt it, which cannot be seen from here; or let the agent lock its memory",
        ),
    }
}

fn landlock(landlock: &Landlock) -> Finding {
    match landlock {
        Landlock::Holds { abi, writable } => {
            let mut paths: Vec<String> = writable.iter().map(|path| path.display().to_string()).collect();
            paths.sort();
            paths.dedup();
            good("landlock", format!("version {abi}: runs no program, writes below {}", paths.join(", ")))
        }
        Landlock::Nothing(reason) => {
            weak("landlock", format!("nothing: {reason}"), "it takes Linux 5.19 with landlock among its lsm=")
        }
    }
}

fn store(state: &Path, writable: Result<(), String>, room: Option<u64>) -> Finding {
    let told = |room: u64| format!("{}, {} MiB free", state.display(), room / 1024 / 1024);
    match (writable, room) {
        (Err(why), _) => bad("store", why, "see to the disk"),
        (Ok(()), Some(room)) if room < ROOM_MIN => weak("store", told(room), "make room"),
        (Ok(()), Some(room)) => good("store", told(room)),
        (Ok(()), None) => good("store", state.display().to_string()),
    }
}

fn accesses(recorded: bool) -> Finding {
    if recorded {
        good("accesses", "recorded")
    } else {
        bad("accesses", "cannot be recorded, and so nothing is handed out", "see to the disk")
    }
}

/// Whether the kernel names the process at the other end of a socket for good, so that its unit and its groups count.
fn callers() -> Finding {
    let asked = UnixStream::pair().is_ok_and(|(one, _other)| getsockopt(&one, PeerPidfd).is_ok());
    if asked {
        good("callers", "known by user, group and unit")
    } else {
        weak(
            "callers",
            "known by user alone: rules for units and further groups do not count",
            "it takes Linux 6.5",
        )
    }
}

fn manager(watchdog: Option<Duration>) -> Finding {
    match (config::notify_socket(), watchdog) {
        (None, _) => weak("systemd", "the agent is no service", "see bursar setup systemd"),
        (Some(_), None) => good("systemd", "told how the agent stands"),
        (Some(_), Some(time)) => good(
            "systemd",
            format!("told how the agent stands, and that it lives, every {} s", time.as_secs()),
        ),
    }
}

fn rendering(runtime: &Path, in_memory: bool) -> Finding {
    let path = runtime.display();
    if in_memory {
        good("rendering", format!("{path} is in memory"))
    } else {
        bad("rendering", format!("{path} is on a disk: nothing is rendered there"), "put it on a tmpfs")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_mended_says_how() {
        let weak = [
            core_files(None),
            dumpable(None),
            new_privileges(Some(0)),
            seccomp(Some(0), Some(0)),
            memory_lock(Lock::Nothing, Some(8 * 1024 * 1024)),
            swap("Filename Type\n/dev/sda2 partition\n", Lock::Keys),
            landlock(&Landlock::Nothing("this kernel has none".into())),
            store(Path::new("/s"), Ok(()), Some(ROOM_MIN - 1)),
            store(Path::new("/s"), Err("the disk is full".into()), None),
            accesses(false),
            rendering(Path::new("/r"), false),
        ];
        for finding in weak {
            assert!(finding.state != FindingState::Good && finding.hint.is_some(), "{finding:?}");
        }
        let good = [
            core_files(Some(0)),
            dumpable(Some(DumpableBehavior::NotDumpable)),
            new_privileges(Some(1)),
            seccomp(Some(2), Some(3)),
            memory_lock(Lock::Keys, None),
            swap("Filename Type\n", Lock::Nothing),
            landlock(&Landlock::Holds { abi: 6, writable: vec!["/s".into()] }),
            store(Path::new("/s"), Ok(()), Some(ROOM_MIN)),
            accesses(true),
            rendering(Path::new("/r"), true),
        ];
        for finding in good {
            assert!(finding.state == FindingState::Good && finding.hint.is_none(), "{finding:?}");
        }
    }

    #[test]
    fn numbers_are_read_from_their_own_line() {
        let status = "Name:\tSeccomp: 7\nSeccomp:\t2\nSeccomp_filters:\t11\n";
        assert_eq!((number(status, "Seccomp"), number(status, "Seccomp_filters")), (Some(2), Some(11)));
        assert_eq!(number(status, "NoNewPrivs"), None);
    }
}
