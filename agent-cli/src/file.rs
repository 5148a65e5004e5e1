//! Files that hold values: 0600 from their first byte, and there as a whole or not at all.

use crate::stop::Stop;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Writes `content` to `path`, 0600, by rename.
///
/// # Errors
/// The system refuses; then nothing is left behind and what was there before stays.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> Result<(), Stop> {
    let refused = |error: io::Error| Stop::unwritable(path, &error);
    let name = path.file_name().ok_or_else(|| refused(io::ErrorKind::IsADirectory.into()))?;
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut draft_name = OsString::from(".");
    draft_name.push(name);
    draft_name.push(format!(".{}", std::process::id()));
    let draft = directory.join(draft_name);
    let written = write_new(&draft, content)
        .and_then(|()| fs::rename(&draft, path))
        .and_then(|()| File::open(directory)?.sync_all());
    written.map_err(|error| {
        // after the rename there is no draft, and this does nothing
        let _ = fs::remove_file(&draft);
        refused(error)
    })
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Makes `path` and what is missing above it, 0700.
pub(crate) fn create_private_dir(path: &Path) -> Result<(), Stop> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| Stop::unwritable(path, &error))
}

/// Makes sure that a file can be read, before anybody is asked for what opens it.
pub(crate) fn check_readable(path: &Path) -> Result<(), Stop> {
    File::open(path).map(drop).map_err(|error| Stop::unreadable(path, &error))
}

/// Makes a path absolute: the daemon has another working directory.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, Stop> {
    std::path::absolute(path).map_err(|error| Stop::unreadable(path, &error))
}

/// The same as text, for the wire.
pub(crate) fn absolute_text(path: &Path) -> Result<String, Stop> {
    absolute(path)?
        .into_os_string()
        .into_string()
        .map_err(|_| Stop::usage("a path for the agent must be utf-8"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_written_file_is_private_and_alone() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("value");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        write_private(&path, b"new\n").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_replaced_stays_and_no_draft_is_left() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("directory");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("inside"), "").unwrap();
        assert!(write_private(&path, b"new").is_err());
        assert!(path.join("inside").exists());
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
    }
}
