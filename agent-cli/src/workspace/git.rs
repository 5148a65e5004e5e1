//! Whether git would track a file. Git itself is asked, about the directory that the file is in, so that every rule of
//! its own holds; nothing that a repository configures is run.

use crate::stop::Stop;
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::library::FilePath;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Variables by which git would look at another repository than the one that a file is in.
const STRAY: [&str; 9] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_CEILING_DIRECTORIES",
    "GIT_LITERAL_PATHSPECS",
];

/// Refuses files that git tracks or would track.
///
/// # Errors
/// All such files, named; or git cannot say.
pub(super) fn refuse_tracked<'p>(
    root: &Path,
    paths: impl IntoIterator<Item = &'p FilePath>,
) -> Result<(), Stop> {
    let mut groups: BTreeMap<PathBuf, Vec<(&FilePath, String)>> = BTreeMap::new();
    for path in paths {
        let (directory, rest) = nearest(root, path);
        groups.entry(directory).or_default().push((path, rest));
    }
    let mut tracked = Vec::new();
    for (directory, files) in &groups {
        if !is_in_work_tree(directory)? {
            continue;
        }
        let ignored = ignored(directory, files.iter().map(|(_, rest)| rest.as_str()))?;
        tracked.extend(
            files.iter().filter(|(_, rest)| !ignored.contains(rest)).map(|(path, _)| path.to_string()),
        );
    }
    tracked.sort_unstable();
    if tracked.is_empty() {
        return Ok(());
    }
    let message = format!("git would track what has values in it: {}", tracked.join(", "));
    Err(Stop::from(CallError::new(ErrorName::Conflict, message))
        .hint("add it to .gitignore (git rm --cached what is tracked already), or: --allow-tracked"))
}

/// The nearest directory above a file that is there, and the file's path from it.
fn nearest(root: &Path, path: &FilePath) -> (PathBuf, String) {
    let parts: Vec<&str> = path.parts().collect();
    let mut directory = root.to_owned();
    let mut depth = 0;
    for part in &parts[..parts.len() - 1] {
        let inner = directory.join(part);
        if !inner.is_dir() {
            break;
        }
        directory = inner;
        depth += 1;
    }
    // a dot in front keeps git from reading the path as a pattern
    (directory, format!("./{}", parts[depth..].join("/")))
}

/// Whether git keeps files of a directory: it is in a repository's work tree.
fn is_in_work_tree(directory: &Path) -> Result<bool, Stop> {
    let asked = git(directory).args(["rev-parse", "--is-inside-work-tree"]).stdin(Stdio::null()).output();
    let output = match asked {
        Ok(output) => output,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return without_git(directory).map(|()| false);
        }
        Err(error) => return Err(unknown(&error.kind().to_string())),
    };
    let said = said(&output);
    match output.status.code() {
        Some(0) if output.stdout.trim_ascii() == b"true" => Ok(true),
        Some(0) => Err(unknown(&format!("{} is inside of a git directory", directory.display()))),
        _ if said.starts_with("not a git repository (or any") => Ok(false),
        _ => Err(unknown(&said)),
    }
}

/// Where there is no git, there may be a repository nevertheless; then nobody can be asked.
fn without_git(directory: &Path) -> Result<(), Stop> {
    let repository = directory.ancestors().find(|above| above.join(".git").symlink_metadata().is_ok());
    match repository {
        None => Ok(()),
        Some(above) => {
            Err(unknown(&format!("{} is a repository, and git is not installed", above.display())))
        }
    }
}

/// Those of `paths` that git ignores. What it tracks it does not ignore, whatever the patterns say.
fn ignored<'p>(directory: &Path, paths: impl Iterator<Item = &'p str>) -> Result<BTreeSet<String>, Stop> {
    let mut input = Vec::new();
    for path in paths {
        input.extend_from_slice(path.as_bytes());
        input.push(0);
    }
    let failed = |error: io::Error| unknown(&error.kind().to_string());
    let mut child = git(directory)
        .args(["check-ignore", "-z", "--stdin"])
        .stdin(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let stdin = child.stdin.take();
    // git answers while it reads: who only wrote could wait for ever
    let (written, output) = std::thread::scope(|scope| {
        let writer = scope.spawn(move || stdin.map_or(Ok(()), |mut stdin| stdin.write_all(&input)));
        let output = child.wait_with_output();
        (writer.join(), output)
    });
    let output = output.map_err(failed)?;
    match (output.status.code(), written) {
        (Some(0 | 1), Ok(Ok(()))) => {}
        _ => return Err(unknown(&said(&output))),
    }
    let paths = output.stdout.split(|byte| *byte == 0).filter_map(|path| std::str::from_utf8(path).ok());
    Ok(paths.map(str::to_owned).collect())
}

/// Git, told to look at a directory, to run nothing and to speak English.
fn git(directory: &Path) -> Command {
    let mut git = Command::new("git");
    git.args([OsStr::new("-C"), directory.as_os_str()]);
    git.args(["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"]);
    for name in STRAY {
        git.env_remove(name);
    }
    git.env("LC_ALL", "C").env("GIT_OPTIONAL_LOCKS", "0").env("GIT_DISCOVERY_ACROSS_FILESYSTEM", "1");
    git.stdout(Stdio::piped()).stderr(Stdio::piped());
    git
}

/// What git says of a failure: its first line.
fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().next().unwrap_or("git says nothing");
    line.trim_start_matches("fatal: ").trim_end_matches('.').to_owned()
}

fn unknown(reason: &str) -> Stop {
    let message = format!("whether git would track the files cannot be told: {reason}");
    Stop::from(CallError::new(ErrorName::Conflict, message)).hint("mend that, or: --allow-tracked")
}

#[cfg(test)]
mod tests;
