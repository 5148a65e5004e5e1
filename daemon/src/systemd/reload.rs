//! `bursard --reload-units`: takes the requests that the daemon left, and has the service manager tell the units.
//!
//! It runs as root, and the directory is the daemon's, who has no such right: so whatever lies in it counts by its name
//! alone, only units that the config names are told, and no link is followed.

use crate::config::{Config, Paths};
use crate::render::{Action, names, prepared, requests};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, openat, renameat, unlinkat};
use rustix::io::Errno;
use rustix::path::Arg;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::ScopedJoinHandle;

/// What speaks with the service manager.
const SYSTEMCTL: &str = "/usr/bin/systemctl";

/// The environment of the system's one, which needs nothing of ours.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How much of what it says is told, in bytes: a line.
const TOLD_MAX: usize = 300;

/// How many names that nobody knows are told: some help, a thousand fill the journal.
const STRAYS_TOLD: usize = 8;

/// Units were not told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Untold {
    /// The directory of requests cannot be read.
    #[error("{0}: {1}")]
    Requests(String, io::Error),
    /// What was asked for, and did not work.
    #[error("not told: {0}")]
    Units(String),
}

/// Carries out the requests that are there.
///
/// # Errors
/// The service manager did not do it for some units, or the requests cannot be read.
pub(crate) fn units(paths: &Paths, config: &Config) -> Result<(), Untold> {
    let path = requests(&paths.runtime);
    let units: BTreeMap<&str, Action> = config
        .render
        .iter()
        .filter_map(|render| render.unit.as_ref())
        .map(|(unit, action)| (unit.as_str(), *action))
        .collect();
    let system = paths.system;
    carry_out(&path, &units, |unit, action| tell(system, unit, action))
}

fn carry_out(
    path: &Path,
    units: &BTreeMap<&str, Action>,
    tell: impl Fn(&str, Action) -> Result<(), String> + Sync,
) -> Result<(), Untold> {
    let fault = |error: io::Error| Untold::Requests(path.display().to_string(), error);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = match openat(CWD, path, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(()),
        opened => opened.map_err(|error| fault(error.into()))?,
    };
    let mut untold = Vec::new();
    let mut asked = Vec::new();
    // by the names of the config, so that no crowd of others can hide a request
    for (unit, action) in units {
        // first: what is asked for from now on is asked for again
        match remove(&directory, *unit) {
            Ok(true) => asked.push((*unit, *action)),
            Ok(false) => {}
            Err(error) => {
                tracing::error!(unit, %error, "what asks for it cannot be taken away");
                untold.push(*unit);
            }
        }
    }
    // all at once: one that takes long to reload holds up no other
    let told = std::thread::scope(|scope| {
        let tell = &tell;
        let telling: Vec<_> =
            asked.into_iter().map(|(unit, action)| (unit, scope.spawn(move || tell(unit, action)))).collect();
        let ended =
            |telling: ScopedJoinHandle<'_, _>| telling.join().unwrap_or_else(|_| Err("it panicked".into()));
        telling.into_iter().map(|(unit, telling)| (unit, ended(telling))).collect::<Vec<_>>()
    });
    for (unit, told) in told {
        match told {
            Ok(()) => tracing::info!(unit, "told of new values"),
            Err(reason) => {
                tracing::error!(unit, reason, "could not be told of new values");
                untold.push(unit);
            }
        }
    }
    remove_strays(&directory, units).map_err(fault)?;
    if untold.is_empty() { Ok(()) } else { Err(Untold::Units(untold.join(", "))) }
}

/// Puts the requests off until the daemon looks at its files again: while the config cannot be read, nobody knows what they are worth,
/// and the path unit would start this for each of them without end.
pub(crate) fn put_off(paths: &Paths) {
    let path = requests(&paths.runtime);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Ok(directory) = openat(CWD, &path, flags, Mode::empty()) else { return };
    for name in names(&directory).unwrap_or_default() {
        let Some(unit) = name.to_str().ok().filter(|name| !name.starts_with('.')) else { continue };
        if let Err(error) = renameat(&directory, unit, &directory, prepared(unit)) {
            tracing::warn!(?name, %error, "a request cannot be put off");
        }
    }
}

/// Removes what asks for units that the config does not name.
fn remove_strays(directory: &OwnedFd, units: &BTreeMap<&str, Action>) -> io::Result<()> {
    let known =
        |name: &[u8]| units.keys().any(|unit| unit.as_bytes() == name || prepared(unit).as_bytes() == name);
    let strays = names(directory)?.into_iter().filter(|name| !known(name.to_bytes()));
    for (at, name) in strays.enumerate() {
        let removed = remove(directory, &name);
        if at < STRAYS_TOLD {
            match removed {
                Ok(_) => tracing::warn!(?name, "removed: no render names that unit"),
                Err(error) => tracing::warn!(?name, %error, "no render names that unit"),
            }
        } else if at == STRAYS_TOLD {
            tracing::warn!("and more");
        }
    }
    Ok(())
}

/// Removes what has a name, whatever it is; answers whether it was there.
fn remove(directory: &OwnedFd, name: impl Arg + Copy) -> io::Result<bool> {
    match unlinkat(directory, name, AtFlags::empty()) {
        Err(Errno::NOENT) => Ok(false),
        Err(Errno::ISDIR) => Ok(unlinkat(directory, name, AtFlags::REMOVEDIR).map(|()| true)?),
        removed => Ok(removed.map(|()| true)?),
    }
}

/// Has a unit told that runs; one that does not is left as it is, and reads its files when it starts.
fn tell(system: bool, unit: &str, action: Action) -> Result<(), String> {
    let run = |words: &[&str]| systemctl(system, words, unit);
    match action {
        Action::Reload => run(&["try-reload-or-restart"]).map(drop),
        Action::Restart => run(&["try-restart"]).map(drop),
        Action::Signal(signal) => {
            if run(&["show", "--property=MainPID", "--value"])?.trim() == "0" {
                return Ok(());
            }
            run(&["kill", "--kill-who=main", &format!("--signal={signal}")]).map(drop)
        }
    }
}

/// Runs `systemctl`; answers what it printed, or why it failed.
fn systemctl(system: bool, words: &[&str], unit: &str) -> Result<String, String> {
    let mut command = Command::new(SYSTEMCTL);
    if system {
        command.env_clear().env("PATH", PATH);
    } else {
        // the user's own, which is found by the environment
        command.arg("--user");
    }
    command.args(["--no-ask-password", "--no-pager"]).args(words).args(["--", unit]);
    let output = command
        .current_dir("/")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{SYSTEMCTL} cannot be run: {}", error.kind()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.lines().next().unwrap_or_default();
    let line: String = line.chars().filter(|c| !c.is_control()).collect();
    Err(format!("{}: {}", output.status, &line[..line.floor_char_boundary(TOLD_MAX)]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{FileType, mknodat};
    use std::collections::BTreeSet;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::sync::Mutex;

    const UNITS: [(&str, Action); 3] = [
        ("app.service", Action::Reload),
        ("web.service", Action::Restart),
        ("worker.service", Action::Signal("SIGHUP")),
    ];

    /// Who was told, with what came of it.
    fn told(path: &Path, fails: &str) -> (Vec<String>, Result<(), String>) {
        let told = Mutex::new(Vec::new());
        let carried = carry_out(path, &UNITS.into(), |unit, _| {
            // what is asked for meanwhile is asked for again
            assert!(!path.join(unit).exists());
            told.lock().unwrap().push(unit.to_owned());
            if unit == fails { Err("it failed".into()) } else { Ok(()) }
        });
        let mut told = told.into_inner().unwrap();
        told.sort();
        (told, carried.map_err(|error| error.to_string()))
    }

    #[test]
    fn each_request_is_carried_out_once_and_a_failure_holds_up_no_other() {
        let dir = tempfile::tempdir().unwrap();
        for unit in ["app.service", "worker.service"] {
            fs::write(dir.path().join(unit), "").unwrap();
        }
        let both = vec!["app.service".to_owned(), "worker.service".to_owned()];
        assert_eq!(told(dir.path(), "app.service"), (both, Err("not told: app.service".into())));
        assert_eq!(told(dir.path(), ""), (vec![], Ok(())));
    }

    #[test]
    fn no_directory_is_no_request() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(told(&dir.path().join("reload"), ""), (vec![], Ok(())));
    }

    #[test]
    fn a_link_in_the_place_of_the_directory_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("elsewhere")).unwrap();
        fs::write(dir.path().join("elsewhere/app.service"), "").unwrap();
        symlink("elsewhere", dir.path().join("reload")).unwrap();
        let (told, carried) = told(&dir.path().join("reload"), "");
        assert!(told.is_empty() && carried.is_err(), "{carried:?}");
        assert!(dir.path().join("elsewhere/app.service").exists());
    }

    #[test]
    fn what_lies_there_counts_by_its_name_alone() {
        let outside = tempfile::tempdir().unwrap();
        let kept = outside.path().join("kept");
        fs::write(&kept, "kept").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        symlink(&kept, path("app.service")).unwrap();
        symlink(outside.path(), path("other.service")).unwrap();
        mknodat(CWD, path("web.service"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        fs::create_dir(path("worker.service")).unwrap();
        fs::create_dir(path("full")).unwrap();
        fs::write(path("full/in"), "").unwrap();
        for name in ["--now", "ssh.service", "a\nb", ".hidden", ".app.service", "app.service ", "APP.service"]
        {
            fs::write(path(name), "").unwrap();
        }
        fs::write(
            dir.path().join(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"\xff")),
            "",
        )
        .unwrap();
        let (told, carried) = told(dir.path(), "");
        assert_eq!((told, carried), (UNITS.map(|(unit, _)| unit.to_owned()).to_vec(), Ok(())));
        assert_eq!(fs::read_to_string(&kept).unwrap(), "kept");
        let left: BTreeSet<_> =
            fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        let kept = [".app.service", "full"].map(Into::into);
        assert_eq!(left, kept.into(), "what is not handed over yet is the daemon's");
    }

    #[test]
    fn what_is_put_off_is_asked_for_again_by_the_daemon_alone() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths {
            config: dir.path().join("bursar.toml"),
            config_required: false,
            state: dir.path().join("state"),
            socket: dir.path().join("s"),
            runtime: dir.path().to_owned(),
            credentials: None,
            system: true,
        };
        put_off(&paths);
        let path = requests(dir.path());
        fs::create_dir(&path).unwrap();
        for name in ["app.service", "a\nb", ".kept"] {
            fs::write(path.join(name), "").unwrap();
        }
        put_off(&paths);
        let left: BTreeSet<_> =
            fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, [".app.service", ".a\nb", ".kept"].map(Into::into).into());
        assert_eq!(told(&path, ""), (vec![], Ok(())));
        assert!(path.join(".app.service").exists());
    }

    #[test]
    fn a_crowd_hides_no_request() {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..3_000 {
            fs::write(dir.path().join(format!("{number}.service")), "").unwrap();
        }
        fs::write(dir.path().join("web.service"), "").unwrap();
        assert_eq!(told(dir.path(), ""), (vec!["web.service".to_owned()], Ok(())));
        assert!(
            fs::read_dir(dir.path()).unwrap().count() > 1_000,
            "it looks at so many, and no more, at once"
        );
    }
}
