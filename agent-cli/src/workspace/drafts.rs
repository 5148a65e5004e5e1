//! Writes into a workspace, all or nothing as far as a file system lets: everything is written beside its place first,
//! and put there by renames only once nothing can be lacking any more.
//!
//! A draft has a name that follows from its file's, so what a killed process left is found and removed by the next one.

use super::tree::{MODE_BITS, Tree, no_plain_file, obstacle};
use crate::signals::Interrupt;
use crate::stop::Stop;
use bursar_proto::library::DRAFT_END;
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, fchmod, fsync, mkdirat, openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;

/// The permissions of a new directory, and of a new file without values; the umask takes from them.
const OPEN: (Mode, Mode) = (Mode::from_raw_mode(0o755), Mode::from_raw_mode(0o644));

const DRAFT: OFlags =
    OFlags::WRONLY.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A file that is to be written.
pub(super) struct NewFile<'a> {
    pub(super) path: &'a str,
    pub(super) content: &'a [u8],
    /// Its permissions; without them it keeps those of the file in whose place it comes.
    pub(super) mode: Option<u32>,
}

/// Removes the drafts that a killed process left of these files: they may hold values.
pub(super) fn sweep<'a>(tree: &Tree, paths: impl IntoIterator<Item = &'a str>) {
    for (parents, name) in paths.into_iter().map(split) {
        if let Ok(Some(directory)) = tree.directory(parents) {
            let _ = unlinkat(&directory, draft_name(name), AtFlags::empty());
        }
    }
}

/// Files that lie beside their places. Dropped, they are gone again, and the directories made for them too.
pub(super) struct Drafts<'t> {
    tree: &'t Tree,
    /// Directories by path, the root's being empty.
    directories: BTreeMap<String, Rc<OwnedFd>>,
    /// Those that were made: where, and by which name.
    made: Vec<(Rc<OwnedFd>, String)>,
    waiting: Vec<Draft>,
}

struct Draft {
    directory: Rc<OwnedFd>,
    name: String,
    path: String,
}

impl<'t> Drafts<'t> {
    /// Writes all files beside their places, and onto the disk.
    ///
    /// # Errors
    /// The system refuses, or a signal came; then nothing is left.
    pub(super) fn write<'a>(
        tree: &'t Tree,
        files: impl IntoIterator<Item = NewFile<'a>>,
        interrupt: &Interrupt,
    ) -> Result<Self, Stop> {
        let mut drafts = Self { tree, directories: BTreeMap::new(), made: Vec::new(), waiting: Vec::new() };
        for file in files {
            interrupt.check()?;
            drafts.add(&file)?;
        }
        interrupt.check()?;
        Ok(drafts)
    }

    fn add(&mut self, file: &NewFile<'_>) -> Result<(), Stop> {
        let (parents, name) = split(file.path);
        let directory = self.directory(parents)?;
        let refused = |error: Errno| unwritable(file.path, error);
        let draft = draft_name(name);
        match unlinkat(&directory, &*draft, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            // what was left there is no draft of ours
            Err(error) if statat(&directory, &*draft, AtFlags::SYMLINK_NOFOLLOW).is_ok() => {
                return Err(unwritable(&in_directory(parents, &draft), error));
            }
            Err(error) => return Err(refused(error)),
        }
        let present = statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW).ok();
        if present.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile) {
            return Err(no_plain_file(file.path));
        }
        let exact = file.mode.or(present.map(|stat| stat.st_mode & MODE_BITS)).map(Mode::from_raw_mode);
        let opened = openat(&directory, &*draft, DRAFT, exact.unwrap_or(OPEN.1)).map_err(refused)?;
        self.waiting.push(Draft { directory, name: name.to_owned(), path: file.path.to_owned() });
        let mut opened = File::from(opened);
        let written = opened.write_all(file.content).and_then(|()| {
            if let Some(exact) = exact {
                fchmod(&opened, exact)?;
            }
            opened.sync_all()
        });
        written.map_err(|error| Stop::unwritable(Path::new(file.path), &error))
    }

    /// Opens a directory, and makes what is missing of it.
    fn directory(&mut self, path: &str) -> Result<Rc<OwnedFd>, Stop> {
        if let Some(known) = self.directories.get(path) {
            return Ok(Rc::clone(known));
        }
        let opened = match self.tree.directory(path)? {
            Some(opened) => opened,
            None => self.make(path)?,
        };
        let opened = Rc::new(opened);
        self.directories.insert(path.to_owned(), Rc::clone(&opened));
        Ok(opened)
    }

    fn make(&mut self, path: &str) -> Result<OwnedFd, Stop> {
        let (parents, name) = split(path);
        let parent = self.directory(parents)?;
        match mkdirat(&*parent, name, OPEN.0) {
            Ok(()) => self.made.push((Rc::clone(&parent), name.to_owned())),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(unwritable(path, error)),
        }
        self.tree.directory(path)?.ok_or_else(|| obstacle(&*parent, name, path, Errno::NOENT))
    }

    /// Puts all files into their places, removes others, and waits for the disk. What cannot be put or removed is named
    /// after everything else was; the rest is done then.
    ///
    /// # Errors
    /// The system refuses some of it.
    pub(super) fn commit<'a>(mut self, removals: impl IntoIterator<Item = &'a str>) -> Result<(), Stop> {
        // the directories hold what was asked for from now on
        self.made.clear();
        let mut refused = None;
        for draft in std::mem::take(&mut self.waiting) {
            let Draft { directory, name, path } = &draft;
            if let Err(error) = renameat(&**directory, draft_name(name), &**directory, name) {
                refused.get_or_insert_with(|| unwritable(path, error));
                // dropped with the others
                self.waiting.push(draft);
            }
        }
        for path in removals {
            if let Err(stop) = self.remove(path) {
                refused.get_or_insert(stop);
            }
        }
        for (path, directory) in &self.directories {
            if let Err(error) = fsync(&**directory) {
                refused.get_or_insert_with(|| unwritable(if path.is_empty() { "." } else { path }, error));
            }
        }
        refused.map_or(Ok(()), Err)
    }

    fn remove(&mut self, path: &str) -> Result<(), Stop> {
        let (parents, name) = split(path);
        let Some(directory) = self.tree.directory(parents)? else { return Ok(()) };
        match unlinkat(&directory, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(unwritable(path, error)),
        }
        self.directories.entry(parents.to_owned()).or_insert(Rc::new(directory));
        self.clear(parents);
        Ok(())
    }

    /// Removes a directory that has become empty, and so on upwards.
    fn clear(&self, mut path: &str) {
        while !path.is_empty() {
            let (parents, name) = split(path);
            let Ok(Some(parent)) = self.tree.directory(parents) else { return };
            if unlinkat(&parent, name, AtFlags::REMOVEDIR).is_err() {
                return;
            }
            path = parents;
        }
    }
}

impl Drop for Drafts<'_> {
    fn drop(&mut self) {
        for Draft { directory, name, .. } in &self.waiting {
            let _ = unlinkat(&**directory, draft_name(name), AtFlags::empty());
        }
        for (parent, name) in self.made.iter().rev() {
            // somebody else may have put something there by now; then it stays
            let _ = unlinkat(&**parent, name, AtFlags::REMOVEDIR);
        }
    }
}

fn draft_name(name: &str) -> String {
    format!(".{name}{DRAFT_END}")
}

/// The directory and the name of a path.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

fn in_directory(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}

fn unwritable(path: &str, error: Errno) -> Stop {
    Stop::unwritable(Path::new(path), &io::Error::from(error))
}

#[cfg(test)]
mod tests;
