//! A home on a disk of its own, whose power can be cut: an image with ext4, mounted by loop. Only root can.
//!
//! A copy of the image holds what the disk has at that moment: what the kernel keeps to itself is not in it. Mounted in
//! the place of the first it is what a machine finds when power is back; replaying the journal is up to the mount.

use crate::home::Home;
use crate::patience::until;
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::geteuid;
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// The size of a disk, in bytes: the store's reserve, a store, and a journal; small, so that a copy is a moment.
const SIZE: u64 = 40 * 1024 * 1024;

/// A disk, and the home on it.
#[derive(Debug)]
pub struct Disk {
    home: Home,
    images: TempDir,
    cuts: u32,
}

/// What a disk had at one moment.
#[derive(Debug)]
pub struct Moment(Vec<u8>);

impl Moment {
    /// What `image` has now.
    pub(crate) fn of(image: &Path) -> Self {
        Self(fs::read(image).expect("our own image"))
    }

    /// Makes it another image.
    pub(crate) fn write(self, image: &Path) {
        fs::write(image, self.0).expect("another image");
    }
}

impl Disk {
    /// A fresh disk, mounted; says on standard error why there is none where this process may not.
    #[expect(clippy::print_stderr, reason = "a test says what it leaves out")]
    pub fn mounted() -> Option<Self> {
        if !geteuid().is_root() {
            eprintln!("needs root, to mount a disk");
            return None;
        }
        if !Path::new("/dev/loop-control").exists() {
            eprintln!("needs loop devices, to mount a disk");
            return None;
        }
        let images =
            tempfile::Builder::new().prefix("bt-disk-").tempdir_in("/tmp").expect("a directory in /tmp");
        let disk = Self { home: Home::new(), images, cuts: 0 };
        format(&disk.image());
        disk.mount();
        Some(disk)
    }

    /// The home on it.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// What it has now. Who writes meanwhile is not stopped.
    pub fn moment(&self) -> Moment {
        Moment::of(&self.image())
    }

    /// Cuts its power, and gives it back: of all that was written, what it had at `moment` is there. The daemon on it was
    /// killed before.
    pub fn cut(&mut self, moment: Moment) {
        self.unmount();
        fs::remove_file(self.image()).expect("our own image");
        self.cuts += 1;
        moment.write(&self.image());
        self.mount();
    }

    /// Leaves no room on it.
    pub fn fill(&self) {
        fill(&self.ballast());
    }

    /// Takes away what fills it.
    pub fn make_room(&self) {
        fs::remove_file(self.ballast()).expect("what fills the disk");
    }

    fn ballast(&self) -> PathBuf {
        self.home.path().join("ballast")
    }

    fn image(&self) -> PathBuf {
        self.images.path().join(format!("after-{}-cuts", self.cuts))
    }

    fn mount(&self) {
        run(Command::new("mount").args(["-o", "loop"]).arg(self.image()).arg(self.home.path()), "mount");
        fs::set_permissions(self.home.path(), Permissions::from_mode(0o700)).expect("our own disk");
    }

    fn unmount(&self) {
        // what was killed lets go of its files some time after it is gone
        until("the disk is let go", || unmount(self.home.path(), UnmountFlags::empty()).ok());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // even where a test failed with its daemon on it
        let _ = unmount(self.home.path(), UnmountFlags::DETACH);
    }
}

/// Makes an empty disk of [`SIZE`].
pub(crate) fn format(image: &Path) {
    File::create_new(image).and_then(|image| image.set_len(SIZE)).expect("an image");
    // all of it at once: no thread of the kernel goes on writing
    let whole = "lazy_itable_init=0,lazy_journal_init=0";
    run(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0", "-E", whole]).arg(image), "e2fsprogs");
}

/// Lets `ballast` grow until its file system has no room for another byte.
pub fn fill(ballast: &Path) {
    let mut ballast = File::create(ballast).expect("a file on a disk of ours");
    for size in [64 * 1024, 1024, 16] {
        let chunk = vec![0; size];
        while ballast.write_all(&chunk).is_ok() {}
    }
}

fn run(command: &mut Command, package: &str) {
    let run = command.output().unwrap_or_else(|error| {
        panic!("{}: {error}; on Debian: apt-get install {package}", command.get_program().display())
    });
    assert!(run.status.success(), "{command:?}: {}", String::from_utf8_lossy(&run.stderr));
}
