//! Takes the one socket and the one state directory, or says who has them.
//!
//! The directory is private before the socket is in it; a socket that nobody answers is replaced. For a group both are opened,
//! the directory last.

use bursar_proto::socket::{PathTooLong, check_path};
use rustix::fs::{AtFlags, CWD, FlockOperation, Gid, chownat, flock};
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a daemon that lets go of the state may still hold the socket.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// The pause between two looks at it.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A directory for its owner alone.
const PRIVATE: u32 = 0o700;

/// A directory that a group may pass through, and not list. Only what had [`PRIVATE`] gets it, so it is known by it.
const PASSABLE: u32 = 0o710;

/// Why the daemon does not get its place.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlaceError {
    /// Another daemon has this state directory.
    #[error("an agent is already running{}", pid.map_or_else(String::new, |pid| format!(" (pid {pid})")))]
    AlreadyRunning {
        /// Its process id, where it left one.
        pid: Option<u32>,
    },
    /// Another daemon answers at the socket.
    #[error("another agent answers at {}", .0.display())]
    SocketTaken(PathBuf),
    /// What is there is no socket.
    #[error("{} is in the way and is no socket", .0.display())]
    NoSocket(PathBuf),
    /// The directory is another user's.
    #[error("the socket's directory {} belongs to another user", .0.display())]
    ForeignDirectory(PathBuf),
    /// The daemon may not give a file to that group.
    #[error(
        "{} cannot be given to the group {group}: the agent's user is no member of it; \
         hint: add it (sudo usermod -aG {group} USER), then start the agent from a new login", path.display()
    )]
    NoMember {
        /// What was to be given.
        path: PathBuf,
        /// The group's name, or its number.
        group: String,
    },
    /// Longer than the system takes.
    #[error(transparent)]
    PathTooLong(#[from] PathTooLong),
    /// The file system.
    #[error("{}: {}", path.display(), reason.kind())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        reason: io::Error,
    },
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> PlaceError + '_ {
    |reason| PlaceError::Io { path: path.to_owned(), reason }
}

/// Holds the state directory for this process; the kernel lets go of it when the process ends.
pub(crate) struct StateLock(#[expect(dead_code, reason = "held for its lock")] File);

impl StateLock {
    /// Takes the directory, made private if absent, or says who has it.
    pub(crate) fn take(state: &Path) -> Result<Self, PlaceError> {
        crate::vault::store::make_private(state).map_err(at(state))?;
        let path = state.join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(at(&path))?;
        if let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if error != rustix::io::Errno::WOULDBLOCK {
                return Err(at(&path)(error.into()));
            }
            let mut text = String::new();
            // who it is helps, but is not what was asked
            drop(file.take(16).read_to_string(&mut text));
            return Err(PlaceError::AlreadyRunning { pid: text.trim().parse().ok() });
        }
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        write(&mut file).map_err(at(&path))?;
        Ok(Self(file))
    }
}

/// A bound socket that is removed when the daemon ends in order.
pub(crate) struct Socket {
    path: PathBuf,
    inode: u64,
}

impl Socket {
    /// Binds `path`, for the owner alone from its first moment, and then for `group` where there is one.
    pub(crate) fn bind(path: &Path, group: Option<u32>) -> Result<(Self, UnixListener), PlaceError> {
        check_path(path)?;
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        crate::vault::store::make_private(directory).map_err(at(directory))?;
        let owner = std::fs::metadata(directory).map_err(at(directory))?.uid();
        if owner != own() && owner != 0 {
            return Err(PlaceError::ForeignDirectory(directory.to_owned()));
        }
        // another agent's directory keeps its mode: this fails before it is changed
        make_way(path)?;
        let closed = close(directory)?;
        let listener = UnixListener::bind(path).map_err(at(path))?;
        let inode = std::fs::symlink_metadata(path).map_err(at(path))?.ino();
        let socket = Self { path: path.to_owned(), inode };
        // the umask has kept others out since the bind; a socket has no use for the x bit that is left
        set_mode(path, 0o600)?;
        if let Some(group) = group {
            give(path, group)?;
            set_mode(path, 0o660)?;
            if closed {
                give(directory, group)?;
                set_mode(directory, PASSABLE)?;
            }
        }
        listener.set_nonblocking(true).map_err(at(path))?;
        Ok((socket, listener))
    }
}

fn own() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Makes a directory private that is the daemon's own, or that an earlier run had opened for a group; and says whether it is such a
/// one. Any other, as `/run` or one that its owner opened for more, is left as it is.
fn close(directory: &Path) -> Result<bool, PlaceError> {
    let about = std::fs::metadata(directory).map_err(at(directory))?;
    let mode = about.mode() & 0o7777;
    if about.uid() != own() || !matches!(mode, PRIVATE | PASSABLE) {
        return Ok(false);
    }
    if mode == PASSABLE {
        set_mode(directory, PRIVATE)?;
    }
    Ok(true)
}

fn set_mode(path: &Path, mode: u32) -> Result<(), PlaceError> {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).map_err(at(path))
}

fn give(path: &Path, group: u32) -> Result<(), PlaceError> {
    match chownat(CWD, path, None, Some(Gid::from_raw(group)), AtFlags::SYMLINK_NOFOLLOW) {
        Err(rustix::io::Errno::PERM) => {
            let named = nix::unistd::Group::from_gid(group.into()).ok().flatten();
            let group = named.map_or_else(|| group.to_string(), |group| group.name);
            Err(PlaceError::NoMember { path: path.to_owned(), group })
        }
        given => given.map_err(|error| at(path)(error.into())),
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // only our own: somebody may have put another one there
        if std::fs::metadata(&self.path).is_ok_and(|about| about.ino() == self.inode) {
            drop(std::fs::remove_file(&self.path));
        }
    }
}

/// Removes a socket that nobody answers.
fn make_way(path: &Path) -> Result<(), PlaceError> {
    use std::os::unix::fs::FileTypeExt as _;
    let about = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        about => about.map_err(at(path))?,
    };
    if !about.file_type().is_socket() {
        return Err(PlaceError::NoSocket(path.to_owned()));
    }
    let started = Instant::now();
    loop {
        match UnixStream::connect(path) {
            Ok(_) if started.elapsed() > LAST_WORDS => return Err(PlaceError::SocketTaken(path.to_owned())),
            Ok(_) => std::thread::sleep(LOOK_AGAIN),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                tracing::warn!(socket = %path.display(), "replaced a stale socket");
                return std::fs::remove_file(path).map_err(at(path));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(at(path)(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_taker_is_told_the_pid_of_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let _first = StateLock::take(dir.path()).unwrap();
        let told = StateLock::take(dir.path()).err().unwrap().to_string();
        assert_eq!(told, format!("an agent is already running (pid {})", std::process::id()));
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        drop(UnixListener::bind(&path).unwrap());
        let (_socket, _listener) = Socket::bind(&path, None).unwrap();
        assert!(matches!(Socket::bind(&path, None), Err(PlaceError::SocketTaken(_))));
    }

    #[test]
    fn what_is_no_socket_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        std::fs::write(&path, b"precious").unwrap();
        assert!(matches!(Socket::bind(&path, None), Err(PlaceError::NoSocket(_))));
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().mode() & 0o7777
    }

    fn a_group_of_ours() -> u32 {
        rustix::process::getegid().as_raw()
    }

    #[test]
    fn without_a_group_socket_and_directory_are_for_their_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/s");
        let (_socket, _listener) = Socket::bind(&path, None).unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    }

    #[test]
    fn a_group_reaches_the_socket_and_cannot_list_its_directory() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/s");
        let directory = path.parent().unwrap();
        for _ in 0..2 {
            let (socket, listener) = Socket::bind(&path, Some(a_group_of_ours())).unwrap();
            assert_eq!((mode(&path), mode(directory)), (0o660, 0o710));
            assert_eq!(std::fs::metadata(&path).unwrap().gid(), a_group_of_ours());
            assert_eq!(std::fs::metadata(directory).unwrap().gid(), a_group_of_ours());
            drop((socket, listener));
        }
        let (_socket, _listener) = Socket::bind(&path, None).unwrap();
        assert_eq!((mode(&path), mode(directory)), (0o600, 0o700));
    }

    #[test]
    fn a_directory_that_is_open_otherwise_keeps_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        for (other, group) in [(0o755, Some(a_group_of_ours())), (0o750, None), (0o1710, None)] {
            set_mode(dir.path(), other).unwrap();
            let (_socket, _listener) = Socket::bind(&dir.path().join("s"), group).unwrap();
            assert_eq!(mode(dir.path()), other);
        }
    }

    #[test]
    fn another_agents_directory_stays_open() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/s");
        let (_socket, _listener) = Socket::bind(&path, Some(a_group_of_ours())).unwrap();
        assert!(matches!(Socket::bind(&path, None), Err(PlaceError::SocketTaken(_))));
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o660, 0o710));
    }

    #[test]
    fn a_group_that_is_not_ours_to_give_to_is_named_and_leaves_nothing_open() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/s");
        let bound = Socket::bind(&path, Some(0));
        if own() == 0 {
            // root may
            assert!(bound.is_ok() && mode(&path) == 0o660);
            return;
        }
        let told = bound.err().unwrap().to_string();
        assert!(told.contains("cannot be given to the group root: the agent's user is no member"), "{told}");
        assert!(!path.exists());
        assert_eq!(mode(path.parent().unwrap()), 0o700);
    }
}
