//! Files that hold values for one command: 0600 in memory, and gone when the command ends, however it ends.
//!
//! The command takes this process's place, so nobody of us is left to clean up. A sweeper is: a process of its own, in
//! a session of its own, that holds a handle on this process and waits for its end. It is no child of the command,
//! which may wait for all of its children.

use crate::stop::Stop;
use crate::surroundings::Surroundings;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FsWord, statfs};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, getpid, pidfd_open, setsid};
use std::ffi::OsString;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The first argument of a sweeper.
const SWEEP: &str = "__sweep";

/// How the names of our directories begin; a sweeper touches no other.
const PREFIX: &str = "bursar-exec-";

/// The type of a file system in memory, `TMPFS_MAGIC`.
const TMPFS: FsWord = 0x0102_1994;

/// Where there is one for everybody.
const SHARED_MEMORY: &str = "/dev/shm";

/// How many names for a directory are tried: one that is taken is another command's, or left of a machine that crashed.
const TRIES: u32 = 16;

/// This program, also where its file has been replaced since.
const OURSELVES: &str = "/proc/self/exe";

/// A directory for one command.
pub(crate) struct Files {
    directory: PathBuf,
}

impl Files {
    /// Makes the directory, and starts its sweeper.
    ///
    /// # Errors
    /// There is no file system in memory, or no sweeper can be started; then nothing is left behind.
    pub(crate) fn begin(surroundings: &Surroundings) -> Result<Self, Stop> {
        let shared = Path::new(SHARED_MEMORY).to_owned();
        let runtime = surroundings.runtime_dir.iter().map(PathBuf::from).filter(|path| path.is_absolute());
        let files = Self::within(runtime.chain([shared]))?;
        watch(&files.directory).map_err(|error| {
            Stop::local(format!("no sweeper for the files of --file: {}", error.kind()))
                .hint("hand the value over in a variable: --set NAME=TEMPLATE")
        })?;
        Ok(files)
    }

    /// Makes the directory in the first place that is in memory and takes it.
    fn within(places: impl Iterator<Item = PathBuf>) -> Result<Self, Stop> {
        let mut refused = None;
        for place in places.filter(|place| statfs(place).is_ok_and(|found| found.f_type == TMPFS)) {
            match make_directory(&place) {
                Ok(directory) => return Ok(Self { directory }),
                Err(error) => refused = Some(Stop::unwritable(&place, &error)),
            }
        }
        Err(refused.unwrap_or_else(|| {
            Stop::local(format!("--file: neither XDG_RUNTIME_DIR nor {SHARED_MEMORY} is in memory (tmpfs)"))
                .hint("hand the value over in a variable: --set NAME=TEMPLATE")
        }))
    }

    /// Writes one file; its name must be plain.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn write(&self, name: &str, content: &str) -> Result<PathBuf, Stop> {
        let path = self.directory.join(name);
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let written = opened.and_then(|mut file| file.write_all(content.as_bytes()));
        written.map(|()| path.clone()).map_err(|error| Stop::unwritable(&path, &error))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // where this fails, the sweeper tries again
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn make_directory(place: &Path) -> io::Result<PathBuf> {
    let own = std::process::id();
    for number in 0..TRIES {
        let directory = place.join(format!("{PREFIX}{own}-{number}"));
        match DirBuilder::new().mode(0o700).create(&directory) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made.map(|()| directory),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Starts a sweeper that waits for the end of this process, whatever program it runs by then.
fn watch(directory: &Path) -> io::Result<()> {
    let this = pidfd_open(getpid(), PidfdFlags::empty())?;
    // the first leaves the terminal's session, starts the second, and ends: so the second is nobody's child
    let status = sweeper("leave", directory).stdin(this).status()?;
    if status.success() { Ok(()) } else { Err(io::ErrorKind::Other.into()) }
}

fn sweeper(part: &str, directory: &Path) -> Command {
    let mut command = Command::new(OURSELVES);
    command.arg(SWEEP).arg(part).arg(directory).env_clear().current_dir("/");
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Runs as a sweeper, where the arguments say so: `bursar __sweep leave|stay DIRECTORY`, with a handle of a process as
/// standard input.
pub(crate) fn sweep(arguments: &[OsString]) -> Option<ExitCode> {
    let [_, verb, part, directory] = arguments else { return None };
    if verb != SWEEP {
        return None;
    }
    let directory = Path::new(directory);
    let name = directory.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let done = match part.to_str() {
        _ if !name.starts_with(PREFIX) => Err(io::ErrorKind::InvalidInput.into()),
        Some("leave") => leave(directory),
        Some("stay") => stay(directory),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    };
    Some(if done.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn leave(directory: &Path) -> io::Result<()> {
    setsid()?;
    sweeper("stay", directory).spawn().map(drop)
}

fn stay(directory: &Path) -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    // whoever ends a whole group of processes does not mean the one that cleans up after them
    for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    let process = io::stdin();
    let mut end = [PollFd::new(&process, PollFlags::IN)];
    loop {
        match poll(&mut end, None) {
            Ok(_) => break,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    fs::remove_dir_all(directory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_private_and_goes_with_its_directory() {
        let files = Files::within([PathBuf::from(SHARED_MEMORY)].into_iter()).unwrap();
        let path = files.write("KEY", "value").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&files.directory)), (0o600, 0o700));
        assert_eq!(fs::read(&path).unwrap(), b"value");
        assert!(files.write("KEY", "other").is_err());
        drop(files);
        assert!(!path.parent().unwrap().exists());
    }

    #[test]
    fn two_commands_of_one_process_have_a_directory_each() {
        let place = || [PathBuf::from(SHARED_MEMORY)].into_iter();
        let (one, other) = (Files::within(place()).unwrap(), Files::within(place()).unwrap());
        assert_ne!(one.directory, other.directory);
    }

    #[test]
    fn what_is_not_in_memory_takes_no_file() {
        let Err(Stop::Failed(error)) = Files::within([PathBuf::from("/proc")].into_iter()) else { panic!() };
        assert!(error.message.contains("tmpfs"), "{}", error.message);
    }

    #[test]
    fn a_sweeper_touches_no_other_directory() {
        let home = tempfile::tempdir().unwrap();
        let arguments = |part: &str, directory: &Path| {
            ["bursar", SWEEP, part]
                .map(OsString::from)
                .into_iter()
                .chain([directory.into()])
                .collect::<Vec<_>>()
        };
        assert_eq!(sweep(&arguments("stay", home.path())), Some(ExitCode::FAILURE));
        assert!(home.path().exists());
        assert!(sweep(&["bursar", "get", "x", "y"].map(OsString::from)).is_none());
    }
}
