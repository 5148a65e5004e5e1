//! The files by which systemd runs the agent: the texts of `systemd/`, with the directory of these programs in them, and where
//! each lies.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where the units of the package have the programs.
const PACKAGED: &str = "/usr/bin/bursar";

/// The config of a server: a person's own from the moment it is there.
const CONFIG: &str = "bursar/bursar.toml";

macro_rules! shipped {
    ($($path:literal = $file:literal),+ $(,)?) => {
        &[$(($path, include_str!(concat!("../../../../systemd/", $file)))),+]
    };
}

/// By their paths below the user's config directory.
const USER: &[(&str, &str)] = shipped![
    "systemd/user/bursar.socket" = "user/bursar.socket",
    "systemd/user/bursar-credentials.socket" = "user/bursar-credentials.socket",
    "systemd/user/bursar.service" = "user/bursar.service",
    "systemd/user/bursar-reload.path" = "user/bursar-reload.path",
    "systemd/user/bursar-reload.service" = "user/bursar-reload.service",
];

/// By their paths below `/etc`.
const SYSTEM: &[(&str, &str)] = shipped![
    "systemd/system/bursar.socket" = "system/bursar.socket",
    "systemd/system/bursar-credentials.socket" = "system/bursar-credentials.socket",
    "systemd/system/bursar.service" = "system/bursar.service",
    "systemd/system/bursar-reload.path" = "system/bursar-reload.path",
    "systemd/system/bursar-reload.service" = "system/bursar-reload.service",
    "sysusers.d/bursar.conf" = "sysusers.d/bursar.conf",
    "tmpfiles.d/bursar.conf" = "tmpfiles.d/bursar.conf",
    "bursar/bursar.toml" = "bursar.toml",
];

/// Whose manager runs the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manager {
    User,
    System,
}

impl Manager {
    fn shipped(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::User => USER,
            Self::System => SYSTEM,
        }
    }

    /// Where a package puts the unit that brings the agent.
    pub(super) const fn packaged(self) -> &'static str {
        match self {
            Self::User => "/usr/lib/systemd/user/bursar.socket",
            Self::System => "/usr/lib/systemd/system/bursar.socket",
        }
    }

    /// The links that `systemctl enable` makes.
    fn links(self) -> [&'static str; 2] {
        match self {
            Self::User => [
                "systemd/user/sockets.target.wants/bursar.socket",
                "systemd/user/default.target.wants/bursar.service",
            ],
            Self::System => [
                "systemd/system/sockets.target.wants/bursar.socket",
                "systemd/system/multi-user.target.wants/bursar.service",
            ],
        }
    }

    /// What has to be run behind the files.
    pub(super) fn commands(self, remove: bool) -> &'static [&'static str] {
        match (self, remove) {
            (Self::User, false) => {
                &["systemctl --user daemon-reload", "systemctl --user enable --now bursar.socket"]
            }
            (Self::User, true) => {
                &["systemctl --user stop bursar.socket bursar.service", "systemctl --user daemon-reload"]
            }
            (Self::System, false) => &[
                "systemd-sysusers bursar.conf",
                "systemd-tmpfiles --create bursar.conf",
                "systemctl daemon-reload",
                "systemctl enable --now bursar.service",
            ],
            (Self::System, true) => {
                &["systemctl stop bursar.socket bursar.service", "systemctl daemon-reload"]
            }
        }
    }
}

/// What is found where a file belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Found {
    Missing,
    Current,
    Changed,
}

/// A file with its place.
pub(super) struct Placed {
    pub(super) path: PathBuf,
    pub(super) text: String,
    /// Whether nothing is ever written over it.
    pub(super) is_config: bool,
}

impl Placed {
    /// Looks at its place; a link or a directory there is somebody's change.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn found(&self) -> io::Result<Found> {
        let metadata = match fs::symlink_metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Missing),
            metadata => metadata?,
        };
        if !metadata.is_file() || metadata.len() != self.text.len() as u64 {
            return Ok(Found::Changed);
        }
        let is_same = fs::read(&self.path)? == self.text.as_bytes();
        Ok(if is_same { Found::Current } else { Found::Changed })
    }
}

/// All files of `manager` below `base`, for programs in `programs`.
pub(super) fn placed(manager: Manager, base: &Path, programs: &str) -> Vec<Placed> {
    let here = format!("{}/bursar", programs.trim_end_matches('/'));
    let place = |&(path, text): &(&str, &str)| Placed {
        path: base.join(path),
        text: text.replace(PACKAGED, &here),
        is_config: path == CONFIG,
    };
    manager.shipped().iter().map(place).collect()
}

/// The links below `base` by which the units are enabled.
pub(super) fn links(manager: Manager, base: &Path) -> Vec<PathBuf> {
    let is_link = |path: &PathBuf| fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
    manager.links().iter().map(|path| base.join(path)).filter(is_link).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_unit_of_the_package_is_written() {
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd");
        for (manager, kind) in [(Manager::User, "user"), (Manager::System, "system")] {
            let there = fs::read_dir(top.join(kind)).unwrap();
            let there: BTreeSet<String> =
                there.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            let written: BTreeSet<String> = (manager.shipped().iter())
                .filter_map(|(path, _)| path.strip_prefix(&format!("systemd/{kind}/")))
                .map(str::to_owned)
                .collect();
            assert_eq!(written, there);
        }
    }

    #[test]
    fn units_run_the_programs_that_are_here() {
        for manager in [Manager::User, Manager::System] {
            let files = placed(manager, Path::new("/b"), "/usr/local/bin/");
            let all: String = files.iter().map(|file| file.text.as_str()).collect();
            assert!(!all.contains("/usr/bin/bursar"));
            let started = all.lines().filter_map(|line| line.strip_prefix("ExecStart="));
            assert!(started.clone().count() >= 2);
            assert!(started.clone().all(|line| line.starts_with("/usr/local/bin/bursard")), "{manager:?}");
        }
    }

    #[test]
    fn a_link_is_no_file_of_ours() {
        let dir = tempfile::tempdir().unwrap();
        // as long as the path that the link holds
        let other = dir.path().join("other");
        let text = other.to_str().unwrap().to_owned();
        fs::write(&other, &text).unwrap();
        let file = Placed { path: dir.path().join("f"), text: text.clone(), is_config: false };
        assert_eq!(file.found().unwrap(), Found::Missing);
        std::os::unix::fs::symlink(&other, &file.path).unwrap();
        assert_eq!(file.found().unwrap(), Found::Changed);
        fs::remove_file(&file.path).unwrap();
        let same_length = text.replace("other", "0ther");
        for (there, found) in
            [(text.clone(), Found::Current), (same_length, Found::Changed), (text + "\n", Found::Changed)]
        {
            fs::write(&file.path, &there).unwrap();
            assert_eq!(file.found().unwrap(), found, "{there}");
        }
    }
}
