//! Where the socket is: one list of places, for both ends.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The longest path of a Unix socket, in bytes: `sun_path` has 108, one of them the closing NUL.
pub const PATH_MAX: usize = 107;

/// The directory of a server's sockets.
pub const SYSTEM_DIRECTORY: &str = "/run/bursar";

/// The socket of a server.
pub const SYSTEM: &str = "/run/bursar/bursar.sock";

/// What says where the socket is, in the order in which it counts.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// `--socket`.
    pub flag: Option<PathBuf>,
    /// `BURSAR_SOCK`.
    pub sock: Option<OsString>,
    /// `BURSAR_HOME`.
    pub home: Option<OsString>,
    /// `XDG_RUNTIME_DIR`.
    pub runtime_dir: Option<OsString>,
    /// The caller's user id.
    pub uid: u32,
}

impl Places {
    /// The sockets to try, the first that is there wins. Flag, `BURSAR_SOCK` and `BURSAR_HOME` stand alone.
    pub fn candidates(&self) -> Vec<PathBuf> {
        let set = |value: &Option<OsString>| value.as_ref().filter(|v| !v.is_empty()).map(PathBuf::from);
        if let Some(path) = &self.flag {
            return vec![path.clone()];
        }
        if let Some(path) = set(&self.sock) {
            return vec![path];
        }
        if let Some(home) = set(&self.home) {
            return vec![home.join("bursar.sock")];
        }
        let mut found = Vec::new();
        if let Some(dir) = set(&self.runtime_dir) {
            found.push(dir.join("bursar/bursar.sock"));
        }
        let run = PathBuf::from(format!("/run/user/{}/bursar/bursar.sock", self.uid));
        if !found.contains(&run) && run.parent().and_then(Path::parent).is_some_and(Path::is_dir) {
            found.push(run);
        }
        found.push(std::env::temp_dir().join(format!("bursar-{}/bursar.sock", self.uid)));
        found.push(PathBuf::from(SYSTEM));
        found
    }

    /// The socket that a daemon of this user makes.
    pub fn own(&self) -> PathBuf {
        self.candidates().into_iter().next().unwrap_or_else(|| PathBuf::from(SYSTEM))
    }
}

/// A path that is too long for a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the socket's path has {0} bytes, and {PATH_MAX} is the most that the system takes")]
pub struct PathTooLong(pub usize);

/// Checks the length of a socket's path.
///
/// # Errors
/// It is over [`PATH_MAX`].
pub fn check_path(path: &Path) -> Result<(), PathTooLong> {
    let length = path.as_os_str().len();
    if length > PATH_MAX { Err(PathTooLong(length)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_is_said_stands_alone() {
        let mut places = Places {
            flag: Some("/a".into()),
            sock: Some("/b".into()),
            home: Some("/c".into()),
            runtime_dir: Some("/d".into()),
            uid: 4_000_000,
        };
        assert_eq!(places.candidates(), [PathBuf::from("/a")]);
        places.flag = None;
        assert_eq!(places.candidates(), [PathBuf::from("/b")]);
        places.sock = Some("".into());
        assert_eq!(places.candidates(), [PathBuf::from("/c/bursar.sock")]);
        places.home = None;
        assert_eq!(places.own(), PathBuf::from("/d/bursar/bursar.sock"));
        assert_eq!(places.candidates().last(), Some(&PathBuf::from(SYSTEM)));
    }

    #[test]
    fn a_path_of_107_bytes_fits() {
        assert!(check_path(Path::new(&"x".repeat(PATH_MAX))).is_ok());
        assert_eq!(check_path(Path::new(&"x".repeat(PATH_MAX + 1))), Err(PathTooLong(108)));
    }
}
