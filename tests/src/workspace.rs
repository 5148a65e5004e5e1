//! A directory in which `bursar` is run: a workspace, or what becomes one.

use crate::cli::{Run, command};
use crate::home::Home;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a file was at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// Its content.
    pub content: Vec<u8>,
    /// Its permissions.
    pub mode: u32,
    /// Its inode.
    pub inode: u64,
    /// When it was last changed, its attributes too.
    pub changed: (i64, i64),
}

/// A directory below a home.
#[derive(Debug)]
pub struct Workspace<'h> {
    home: &'h Home,
    root: PathBuf,
}

impl<'h> Workspace<'h> {
    /// An empty directory of this name.
    pub fn empty(home: &'h Home, name: &str) -> Self {
        let root = home.path().join(name);
        fs::create_dir_all(&root).expect("a directory in the home");
        Self { home, root }
    }

    /// One with this `bursar.toml`, trusted.
    pub fn with(home: &'h Home, name: &str, manifest: &str) -> Self {
        let workspace = Self::empty(home, name);
        workspace.write("bursar.toml", manifest);
        workspace.run(&["workspace", "trust"]).ok();
        workspace
    }

    /// The home that it is below.
    pub fn home(&self) -> &'h Home {
        self.home
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The path of a file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Writes a file, and the directories that it needs.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a file lies in a directory")).expect("directories");
        fs::write(path, content).expect("a file in the workspace");
    }

    /// Reads a file.
    #[track_caller]
    pub fn read(&self, name: &str) -> String {
        let read = fs::read_to_string(self.path(name));
        read.unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Whether there is anything of that name, a link that leads nowhere too.
    pub fn has(&self, name: &str) -> bool {
        self.path(name).symlink_metadata().is_ok()
    }

    /// The names of all files below it, sorted.
    pub fn files(&self) -> Vec<String> {
        let mut files = Vec::new();
        let mut directories = vec![self.root.clone()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry")) {
                let is_directory = entry.file_type().expect("a type").is_dir();
                let into = if is_directory { &mut directories } else { &mut files };
                into.push(entry.path());
            }
        }
        let relative = |path: PathBuf| path.strip_prefix(&self.root).expect("below").display().to_string();
        let mut files: Vec<_> = files.into_iter().map(relative).collect();
        files.sort();
        files
    }

    /// What [`files`](Self::files) are: content, permissions, inode and the time of the last change.
    pub fn stamps(&self) -> BTreeMap<String, Stamp> {
        let stamp = |name: String| {
            let path = self.path(&name);
            let found = path.symlink_metadata().expect("a file that is there");
            let content = if found.is_file() { fs::read(&path).expect("a file") } else { Vec::new() };
            let changed = (found.ctime(), found.ctime_nsec());
            (name, Stamp { content, mode: found.mode() & 0o7777, inode: found.ino(), changed })
        };
        self.files().into_iter().map(stamp).collect()
    }

    /// `bursar` in it, not started yet.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut bursar = command(self.home, arguments);
        bursar.current_dir(&self.root);
        bursar
    }

    /// Runs `bursar` in it to its end.
    pub fn run(&self, arguments: &[&str]) -> Run {
        Run::finish(self.command(arguments).spawn().expect("bursar starts"), None)
    }

    /// Runs `bursar --json` in it to its end, which must be this exit code with this error; answers message and hint.
    #[track_caller]
    pub fn refused(&self, code: i32, name: &str, arguments: &[&str]) -> String {
        let run = self.run(&[&["--json"], arguments].concat());
        assert_eq!((run.code, run.out.as_str()), (code, ""), "{arguments:?}: {run:?}");
        let error = run.json_error();
        assert_eq!(error["code"], name, "{arguments:?}: {error}");
        let text = |member: &str| error[member].as_str().unwrap_or_default().to_owned();
        format!("{}\nhint: {}", text("message"), text("hint"))
    }
}
