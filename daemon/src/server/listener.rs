//! Takes the one socket and the one state directory, or says who has them.
//!
//! The directory is private before the socket is in it; a socket that nobody answers is replaced.

use bursar_proto::socket::{PathTooLong, check_path};
use rustix::fs::{FlockOperation, flock};
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
    /// Binds `path`, for the owner alone from its first moment.
    pub(crate) fn bind(path: &Path) -> Result<(Self, UnixListener), PlaceError> {
        check_path(path)?;
        if let Some(directory) = path.parent() {
            crate::vault::store::make_private(directory).map_err(at(directory))?;
            let owner = std::fs::metadata(directory).map_err(at(directory))?.uid();
            let own = rustix::process::geteuid().as_raw();
            if owner != own && owner != 0 {
                return Err(PlaceError::ForeignDirectory(directory.to_owned()));
            }
        }
        make_way(path)?;
        let listener = UnixListener::bind(path).map_err(at(path))?;
        // the umask has kept others out since the bind; a socket has no use for the x bit that is left
        std::fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(at(path))?;
        listener.set_nonblocking(true).map_err(at(path))?;
        let inode = std::fs::metadata(path).map_err(at(path))?.ino();
        Ok((Self { path: path.to_owned(), inode }, listener))
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
        let (_socket, _listener) = Socket::bind(&path).unwrap();
        assert!(matches!(Socket::bind(&path), Err(PlaceError::SocketTaken(_))));
    }

    #[test]
    fn what_is_no_socket_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        std::fs::write(&path, b"precious").unwrap();
        assert!(matches!(Socket::bind(&path), Err(PlaceError::NoSocket(_))));
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    }
}
