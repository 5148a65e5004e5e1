//! The two directories in the runtime directory: rendered files, which are never on a disk, and requests.
//!
//! Everything goes by the opened directory and one plain name in it, and no link is followed.

use super::acl;
use crate::access::Reader;
use bursar_proto::template::RENDERED_MAX;
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, FsWord, Mode, OFlags, Stat, XattrFlags, fchmod, fgetxattr, fsetxattr, fstat,
    fstatfs, mkdirat, openat, renameat, unlinkat,
};
use rustix::io::Errno;
use rustix::path::Arg;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;
use zeroize::Zeroizing;

/// What a file system in memory calls itself: `TMPFS_MAGIC` and `RAMFS_MAGIC`.
const IN_MEMORY: [FsWord; 2] = [0x0102_1994, 0x8584_58f6];

/// Others may go to a file that they know by name, and not list what there is.
const PASSABLE: Mode = Mode::from_raw_mode(0o711);

/// The mode of a file that nobody else reads; with an access list the bits of the group are its mask.
const PRIVATE: Mode = Mode::from_raw_mode(0o600);

/// How a file is called before it is whole. No render is called so.
const UNFINISHED: &str = ".unfinished";

/// How many names of one directory are looked at, at the most: what is more than that is a fault, and stays.
const NAMES_MAX: usize = 1_024;

/// Whether a file system of that kind keeps files in memory.
pub(crate) fn is_in_memory(kind: FsWord) -> bool {
    IN_MEMORY.contains(&kind)
}

/// A directory of ours.
pub(super) struct Place(OwnedFd);

impl Place {
    /// Opens a directory; `None` where there is none.
    ///
    /// # Errors
    /// It is not ours, or others can write to it.
    pub(super) fn open(path: &Path) -> io::Result<Option<Self>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = match openat(CWD, path, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            opened => opened?,
        };
        let stat = fstat(&directory)?;
        if stat.st_uid != rustix::process::geteuid().as_raw() || stat.st_mode & 0o022 != 0 {
            return Err(io::Error::other("another user owns it or can write to it"));
        }
        Ok(Some(Self(directory)))
    }

    /// Opens a directory, and makes it where there is none.
    ///
    /// # Errors
    /// As of [`Self::open`], or it cannot be made.
    pub(super) fn make(path: &Path) -> io::Result<Self> {
        if let Some(there) = Self::open(path)? {
            return Ok(there);
        }
        mkdirat(CWD, path, Mode::RWXU)?;
        let made = Self::open(path)?.ok_or(io::ErrorKind::NotFound)?;
        // whatever the umask is
        fchmod(&made.0, PASSABLE)?;
        Ok(made)
    }

    /// Whether what is in it never reaches a disk.
    pub(super) fn is_in_memory(&self) -> io::Result<bool> {
        Ok(is_in_memory(fstatfs(&self.0)?.f_type))
    }

    /// The names in it.
    pub(super) fn names(&self) -> io::Result<Vec<CString>> {
        names(&self.0)
    }

    /// Whether a file holds this text for these readers.
    pub(super) fn holds(&self, file: &str, text: &str, readers: &[Reader]) -> io::Result<bool> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = match openat(&self.0, file, flags, Mode::empty()) {
            Err(Errno::NOENT | Errno::LOOP | Errno::ACCESS) => return Ok(false),
            opened => opened?,
        };
        let stat = fstat(&opened)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || !is_for(&opened, &stat, readers)?
        {
            return Ok(false);
        }
        if u64::try_from(stat.st_size).ok() != Some(text.len() as u64) {
            return Ok(false);
        }
        let mut held = Zeroizing::new(Vec::with_capacity(text.len() + 1));
        File::from(opened).take(RENDERED_MAX as u64 + 1).read_to_end(&mut held)?;
        Ok(*held == text.as_bytes())
    }

    /// Puts a file in the place of the one before, whole, and from its first moment for these readers alone.
    pub(super) fn put(&self, file: &str, text: &str, readers: &[Reader]) -> io::Result<()> {
        // what an end in the middle left
        self.remove(UNFINISHED)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut opened = File::from(openat(&self.0, UNFINISHED, flags, PRIVATE)?);
        let put = opened.write_all(text.as_bytes()).and_then(|()| {
            if !readers.is_empty() {
                fsetxattr(&opened, acl::ATTRIBUTE, &acl::of(readers), XattrFlags::empty())?;
            }
            Ok(renameat(&self.0, UNFINISHED, &self.0, file)?)
        });
        if put.is_err() {
            self.remove(UNFINISHED)?;
        }
        put
    }

    /// Puts an empty file there, if there is none.
    pub(super) fn touch(&self, file: &str) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        openat(&self.0, file, flags, PRIVATE)?;
        Ok(())
    }

    /// Gives a file another name, if it is there.
    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        match renameat(&self.0, from, &self.0, to) {
            Err(Errno::NOENT) => Ok(()),
            renamed => Ok(renamed?),
        }
    }

    /// Removes a file; answers whether it was there.
    pub(super) fn remove(&self, file: impl Arg) -> io::Result<bool> {
        match unlinkat(&self.0, file, AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(false),
            removed => Ok(removed.map(|()| true)?),
        }
    }
}

/// Whether a file can be read by these and nobody else.
fn is_for(file: &OwnedFd, stat: &Stat, readers: &[Reader]) -> io::Result<bool> {
    let mut held = Vec::with_capacity(acl::of(readers).len() + 1);
    let list = match fgetxattr(file, acl::ATTRIBUTE, rustix::buffer::spare_capacity(&mut held)) {
        // a longer one is another
        Err(Errno::RANGE) => return Ok(false),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => None,
        got => got.map(|_| Some(&held))?,
    };
    Ok(match list {
        None => readers.is_empty() && Mode::from_raw_mode(stat.st_mode) == PRIVATE,
        Some(list) => !readers.is_empty() && *list == acl::of(readers),
    })
}

/// The names in a directory, as many as are looked at.
pub(crate) fn names(directory: &OwnedFd) -> io::Result<Vec<CString>> {
    let mut found = Vec::new();
    for entry in Dir::read_from(directory)?.take(NAMES_MAX) {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            found.push(entry.file_name().to_owned());
        }
    }
    Ok(found)
}
