//! What lies below a workspace's root, reached directory by directory. No symlink is followed, so nothing outside is
//! read or written, whatever a package names and whoever else writes there.

use super::document::line_of;
use crate::stop::Stop;
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::library::{Digest, FilePath};
use bursar_proto::template::RENDERED_MAX;
use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags, flock, fstat, open, openat, statat};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// How a directory is opened.
const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// How a file is opened; what is no file must not make us wait.
const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// How long another bursar is waited for: pulling all values of a large workspace takes less.
const HOLD_MAX: Duration = Duration::from_mins(1);

/// How often it is looked whether the other one is done.
const HOLD_STEP: Duration = Duration::from_millis(50);

/// The bits of a mode that are compared.
pub(super) const MODE_BITS: u32 = 0o777;

/// A root, opened.
pub(crate) struct Tree {
    root: OwnedFd,
}

/// A file as it is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// The SHA-256 of its content; none where it is nothing that is written here: too long, or no plain file.
    pub(super) digest: Option<Digest>,
    /// Its permissions.
    pub(super) mode: u32,
}

impl Tree {
    /// Opens a root by its path.
    pub(crate) fn open(path: &Path) -> Result<Self, Stop> {
        let root =
            open(path, DIRECTORY, Mode::empty()).map_err(|error| Stop::unreadable(path, &error.into()))?;
        Ok(Self { root })
    }

    /// Keeps others from writing here, as far as they ask for the same, until this is dropped; `waits` hears that somebody
    /// has to be waited for.
    ///
    /// # Errors
    /// Somebody had it for all of [`HOLD_MAX`]; `path` is what the root is called then.
    pub(super) fn hold(&self, path: &Path, waits: impl FnOnce()) -> Result<(), Stop> {
        self.hold_within(path, HOLD_MAX, waits)
    }

    fn hold_within(&self, path: &Path, most: Duration, waits: impl FnOnce()) -> Result<(), Stop> {
        if self.try_hold()? {
            return Ok(());
        }
        waits();
        let until = Instant::now() + most;
        while Instant::now() < until {
            std::thread::sleep(HOLD_STEP.min(most));
            if self.try_hold()? {
                return Ok(());
            }
        }
        let (path, most) = (path.display(), most.as_secs());
        let message = format!("another bursar has held {path} for over {most} seconds");
        Err(Stop::from(CallError::new(ErrorName::Conflict, message))
            .hint("wait for it, or find it and end it (pgrep -a bursar), then try again"))
    }

    /// The same, without waiting; false where somebody else holds it.
    pub(super) fn try_hold(&self) -> Result<bool, Stop> {
        match flock(&self.root, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(Stop::unreadable(Path::new("."), &error.into())),
        }
    }

    /// Reads a text; `None` where there is no such file.
    ///
    /// # Errors
    /// It is no plain file, longer than `most` bytes, or no text; the path is named.
    pub(crate) fn text(&self, path: &str, most: usize) -> Result<Option<Zeroizing<String>>, Stop> {
        let Some((file, _)) = self.file(path)? else { return Ok(None) };
        let mut bytes = Zeroizing::new(Vec::new());
        file.take(most as u64 + 1).read_to_end(&mut bytes).map_err(|error| unreadable(path, &error))?;
        if bytes.len() > most {
            return Err(Stop::usage(format!("{path}: over {} KiB", most / 1024)));
        }
        if bytes.contains(&0) {
            return Err(Stop::usage(format!("{path}: no text, there is a zero byte in it")));
        }
        match str::from_utf8(&bytes) {
            Ok(text) => Ok(Some(Zeroizing::new(text.to_owned()))),
            Err(error) => {
                let good = bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid());
                let line = line_of(good, error.valid_up_to());
                Err(Stop::usage(format!("{path}, line {line}: no utf-8 text")))
            }
        }
    }

    /// What lies at a path; `None` where there is nothing.
    ///
    /// # Errors
    /// It is no plain file, or cannot be read.
    pub(super) fn found(&self, path: &FilePath) -> Result<Option<Found>, Stop> {
        let path = path.as_str();
        let Some((file, mode)) = self.file(path)? else { return Ok(None) };
        let mut hash = Sha256::new();
        let mut chunk = Zeroizing::new([0_u8; 16 * 1024]);
        let mut source = file.take(RENDERED_MAX as u64 + 1);
        let mut length = 0;
        loop {
            match source.read(&mut *chunk) {
                Ok(0) => break,
                Ok(read) => {
                    length += read;
                    hash.update(&chunk[..read]);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(unreadable(path, &error)),
            }
        }
        let digest = (length <= RENDERED_MAX).then(|| <[u8; 32]>::from(hash.finalize()).into());
        Ok(Some(Found { digest, mode }))
    }

    /// The same for who only shows it: what is no plain file, or cannot be read, is a file of somebody else's.
    pub(super) fn glimpsed(&self, path: &FilePath) -> Option<Found> {
        self.found(path).unwrap_or(Some(Found { digest: None, mode: 0 }))
    }

    /// Opens a plain file; says its mode.
    fn file(&self, path: &str) -> Result<Option<(File, u32)>, Stop> {
        let (parents, name) = path.rsplit_once('/').map_or(("", path), |(parents, name)| (parents, name));
        let Some(directory) = self.directory(parents)? else { return Ok(None) };
        let file = match openat(&directory, name, FILE, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(obstacle(&directory, name, path, error)),
        };
        let stat = fstat(&file).map_err(|error| unreadable(path, &error.into()))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(no_plain_file(path));
        }
        Ok(Some((File::from(file), stat.st_mode & MODE_BITS)))
    }

    /// Opens the directory at `path`, the root where that is empty; `None` where a part of it is not there.
    pub(super) fn directory(&self, path: &str) -> Result<Option<OwnedFd>, Stop> {
        let mut directory = self
            .root
            .try_clone()
            .map_err(|error| unreadable(if path.is_empty() { "." } else { path }, &error))?;
        let mut end = 0;
        for part in path.split('/').filter(|part| !part.is_empty()) {
            end += part.len();
            match openat(&directory, part, DIRECTORY, Mode::empty()) {
                Ok(inner) => directory = inner,
                Err(Errno::NOENT) => return Ok(None),
                Err(error) => return Err(obstacle(&directory, part, &path[..end], error)),
            }
            end += 1;
        }
        Ok(Some(directory))
    }
}

/// Why something could not be opened; `path` is how it is called from the root.
pub(super) fn obstacle(directory: impl AsFd, name: &str, path: &str, error: Errno) -> Stop {
    let kind =
        statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).map(|stat| FileType::from_raw_mode(stat.st_mode));
    match kind {
        Ok(FileType::Symlink) => {
            Stop::usage(format!("{path} is a symlink, and nothing is read or written through one"))
                .hint("put a file or a directory of its own in its place")
        }
        Ok(FileType::RegularFile) if error == Errno::NOTDIR => {
            Stop::usage(format!("{path} is a file, and a directory is needed there"))
        }
        Ok(FileType::RegularFile | FileType::Directory) | Err(_) => unreadable(path, &error.into()),
        Ok(_) => no_plain_file(path),
    }
}

pub(super) fn no_plain_file(path: &str) -> Stop {
    Stop::usage(format!("{path} is no plain file")).hint("move it away, then try again")
}

fn unreadable(path: &str, error: &io::Error) -> Stop {
    Stop::unreadable(Path::new(path), error)
}

/// The SHA-256 of `bytes`.
pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    <[u8; 32]>::from(Sha256::digest(bytes)).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn tree(home: &tempfile::TempDir) -> Tree {
        Tree::open(home.path()).unwrap()
    }

    fn refused<T>(result: Result<T, Stop>) -> String {
        match result {
            Err(Stop::Failed(error)) => error.message,
            _ => panic!("was not refused"),
        }
    }

    #[test]
    fn a_digest_is_the_one_of_fips_180() {
        assert_eq!(
            sha256(b"abc").to_string(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn a_file_has_digest_and_mode() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("a")).unwrap();
        fs::write(home.path().join("a/b"), "abc").unwrap();
        fs::set_permissions(home.path().join("a/b"), fs::Permissions::from_mode(0o640)).unwrap();
        let found = tree(&home).found(&"a/b".parse().unwrap()).unwrap().unwrap();
        assert_eq!(found, Found { digest: Some(sha256(b"abc")), mode: 0o640 });
        for absent in ["a/c", "x/y", "x"] {
            assert_eq!(tree(&home).found(&absent.parse().unwrap()).unwrap(), None, "{absent}");
        }
    }

    #[test]
    fn nobody_waits_for_ever() {
        let home = tempfile::tempdir().unwrap();
        let first = tree(&home);
        assert!(first.try_hold().unwrap());
        assert!(!tree(&home).try_hold().unwrap());
        let refused = tree(&home).hold_within(home.path(), Duration::from_millis(20), || {});
        let Err(Stop::Failed(error)) = refused else { panic!("it is held twice") };
        assert_eq!(error.name.exit_code(), 10);
        assert!(error.message.contains(&home.path().display().to_string()), "{}", error.message);
        assert_eq!(HOLD_MAX.as_secs(), 60);
    }

    #[test]
    fn who_comes_second_waits_for_the_first() {
        let home = tempfile::tempdir().unwrap();
        let first = tree(&home);
        first.hold(home.path(), || panic!("nobody holds it")).unwrap();
        let mut first = Some(first);
        tree(&home).hold(home.path(), || drop(first.take())).unwrap();
        assert!(first.is_none());
    }

    #[test]
    fn a_file_longer_than_any_of_ours_has_no_digest() {
        let home = tempfile::tempdir().unwrap();
        for (length, ours) in [(RENDERED_MAX, true), (RENDERED_MAX + 1, false)] {
            fs::write(home.path().join("x"), vec![b'x'; length]).unwrap();
            let found = tree(&home).found(&"x".parse().unwrap()).unwrap().unwrap();
            assert_eq!(found.digest.is_some(), ours, "{length}");
        }
    }

    #[test]
    fn nothing_is_read_through_a_symlink() {
        let home = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("f"), "x").unwrap();
        symlink(outside.path(), home.path().join("dir")).unwrap();
        symlink(outside.path().join("f"), home.path().join("file")).unwrap();
        symlink("nowhere", home.path().join("dead")).unwrap();
        for (path, named) in
            [("dir/f", "dir is a symlink"), ("file", "file is a symlink"), ("dead", "dead is a symlink")]
        {
            let said = refused(tree(&home).found(&path.parse().unwrap()));
            assert!(said.starts_with(named), "{said}");
            assert_eq!(tree(&home).glimpsed(&path.parse().unwrap()), Some(Found { digest: None, mode: 0 }));
        }
        assert_eq!(tree(&home).glimpsed(&"none".parse().unwrap()), None);
    }

    #[test]
    fn what_is_no_file_is_named_and_nobody_waits_for_it() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("d")).unwrap();
        fs::write(home.path().join("f"), "").unwrap();
        rustix::fs::mknodat(&tree(&home).root, "pipe", FileType::Fifo, Mode::RWXU, 0).unwrap();
        assert_eq!(refused(tree(&home).text("d", 9)), "d is no plain file");
        assert_eq!(refused(tree(&home).text("pipe", 9)), "pipe is no plain file");
        assert_eq!(refused(tree(&home).text("f/x", 9)), "f is a file, and a directory is needed there");
    }

    #[test]
    fn what_is_no_text_is_refused_unseen() {
        let home = tempfile::tempdir().unwrap();
        let read = |bytes: &[u8]| {
            fs::write(home.path().join("t"), bytes).unwrap();
            tree(&home).text("t", 1024)
        };
        assert_eq!(read(b"x\n").unwrap().unwrap().as_str(), "x\n");
        assert_eq!(refused(read(b"a\n\xff")), "t, line 2: no utf-8 text");
        assert_eq!(refused(read(b"a\0")), "t: no text, there is a zero byte in it");
        assert!(read(&[b'x'; 1024]).is_ok());
        assert_eq!(refused(read(&[b'x'; 1025])), "t: over 1 KiB");
        assert!(tree(&home).text("none", 9).unwrap().is_none());
    }
}
