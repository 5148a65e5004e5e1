//! What `/proc` says of a peer, while the kernel keeps its number from others.
//!
//! A process id may be another's at any time; a pidfd never is. As long as the process of the peer's pidfd has not ended, what was
//! read under its number is its own.

use super::unit::unit_of;
use crate::access::Facts;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{getsockopt, sockopt::PeerPidfd};
use std::fs::{File, read_link};
use std::io::{self, Read as _};
use std::os::fd::AsFd;
use std::sync::Once;

/// The largest file that is read, in bytes: 65,536 groups, the most that Linux gives a process, of ten digits each.
const FILE_MAX: u64 = 1024 * 1024;

/// Adds the supplementary groups and the unit of process `pid` at the other end, and answers its control groups. Where they cannot
/// be known for sure they stay empty, and no rule that asks for them matches.
pub(super) fn look(stream: &impl AsFd, pid: i32, facts: &mut Facts) -> Option<String> {
    static TOLD: Once = Once::new();
    match files(stream, pid) {
        Ok(Some((status, cgroup))) => {
            facts.groups = groups_of(&status, facts.uid, facts.gid);
            facts.unit = unit_of(&cgroup).map(str::to_owned);
            Some(cgroup)
        }
        Ok(None) => None,
        Err(error) => {
            TOLD.call_once(|| {
                tracing::warn!(
                    reason = %error,
                    "the units and further groups of callers cannot be read, so no rule of [access] or [[credential]] for them \
                     counts; that takes Linux 6.5, and a /proc that shows all processes"
                );
            });
            None
        }
    }
}

/// The control groups of process `pid` at the other end, which is known to be trusted by its user id. So they are a second wall, and
/// where the kernel has no pidfd for a peer (before Linux 6.5), what stands under its number will do.
pub(super) fn cgroup_of_trusted(stream: &impl AsFd, pid: i32) -> Option<String> {
    match getsockopt(stream, PeerPidfd) {
        Err(Errno::ENOPROTOOPT) => read_bounded(&format!("/proc/{pid}/cgroup")).ok(),
        _ => files(stream, pid).ok().flatten().map(|(_, cgroup)| cgroup),
    }
}

/// Its `status` and its `cgroup`; none if it has ended.
fn files(stream: &impl AsFd, pid: i32) -> io::Result<Option<(String, String)>> {
    let pidfd = match getsockopt(stream, PeerPidfd) {
        Ok(pidfd) => pidfd,
        // some kernels have none for a process that has ended
        Err(Errno::ESRCH | Errno::EINVAL) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    // a /proc of another namespace would count other processes
    if read_link("/proc/self")?.as_os_str() != std::process::id().to_string().as_str() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let read = |name: &str| read_bounded(&format!("/proc/{pid}/{name}"));
    let files = read("status").and_then(|status| Ok((status, read("cgroup")?)));
    // last: it lives now, so it lived while it was read
    if has_ended(&pidfd)? { Ok(None) } else { files.map(Some) }
}

fn read_bounded(path: &str) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn has_ended(pidfd: &impl AsFd) -> io::Result<bool> {
    let mut asked = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
    Ok(poll(&mut asked, PollTimeout::ZERO)? > 0)
}

/// The supplementary groups, if the process still is who connected: one that became somebody else since (by a program that runs as
/// another user or group) may have groups that the connection is not to profit from.
fn groups_of(status: &str, uid: u32, gid: u32) -> Vec<u32> {
    // no name of a process can look like a line: the kernel escapes line ends in it
    let numbers = |key: &str| -> Vec<u32> {
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        line.unwrap_or_default().split_ascii_whitespace().filter_map(|number| number.parse().ok()).collect()
    };
    // real, effective, saved, and that of the file system
    if numbers("Uid:") != [uid; 4] || numbers("Gid:") != [gid; 4] {
        return Vec::new();
    }
    numbers("Groups:")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Pid, PidfdFlags, getegid, geteuid, getgroups, pidfd_open};
    use std::os::unix::net::UnixStream;
    use std::process::{Command, Stdio};

    #[test]
    fn the_groups_and_the_unit_of_a_live_peer_are_read() {
        let (stream, _peer) = UnixStream::pair().unwrap();
        let (status, cgroup) = files(&stream, i32::try_from(std::process::id()).unwrap()).unwrap().unwrap();
        let groups: Vec<u32> = getgroups().unwrap().iter().map(|group| group.as_raw()).collect();
        assert_eq!(groups_of(&status, geteuid().as_raw(), getegid().as_raw()), groups);
        assert!(status.contains("\nGroups:") && cgroup.contains(":/"), "{status}{cgroup}");
    }

    #[test]
    fn a_process_that_has_ended_is_known_to_have() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).unwrap();
        assert!(!has_ended(&pidfd).unwrap());
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(has_ended(&pidfd).unwrap());
    }

    #[test]
    fn groups_count_only_while_the_process_is_who_connected() {
        let status = |uid: &str, gid: &str| {
            format!(
                "Name:\tcat Groups:\t9\nUid:\t{uid}\nGid:\t{gid}\nFDSize:\t64\nGroups:\t4 27 1000 \nNStgid:\t7\n"
            )
        };
        let same = "1000\t1000\t1000\t1000";
        assert_eq!(groups_of(&status(same, same), 1000, 1000), [4, 27, 1000]);
        for (uid, gid) in [
            ("1000\t0\t0\t0", same),
            ("1000\t1000\t0\t1000", same),
            (same, "1000\t27\t27\t27"),
            (same, "1000"),
            ("", ""),
        ] {
            assert_eq!(groups_of(&status(uid, gid), 1000, 1000), [0; 0], "{uid} {gid}");
        }
        assert_eq!(groups_of(&status(same, same), 1001, 1000), [0; 0]);
        assert_eq!(groups_of("", 0, 0), [0; 0]);
    }
}
