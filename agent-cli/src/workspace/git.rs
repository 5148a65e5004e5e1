//! Whether git would track a file. Git itself is asked, about the directory that the file is in, so that every rule of
//! its own holds; nothing that a repository configures is run.

use crate::stop::Stop;
use crate::surroundings::CLIENT_SECRETS;
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::library::FilePath;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

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

/// How long git may take for an answer: it reads an index and some patterns, on a slow disk too.
const GIT_LIMIT: Duration = Duration::from_secs(30);

/// Refuses files that git tracks or would track.
///
/// # Errors
/// All such files, named; or git cannot say.
pub(super) fn refuse_tracked<'p>(
    root: &Path,
    paths: impl IntoIterator<Item = &'p FilePath>,
) -> Result<(), Stop> {
    let tracked: Vec<String> = tracked(root, paths)?.iter().map(ToString::to_string).collect();
    if tracked.is_empty() {
        return Ok(());
    }
    let message = format!("git would track what has values in it: {}", tracked.join(", "));
    Err(Stop::from(CallError::new(ErrorName::Conflict, message))
        .hint("add it to .gitignore (git rm --cached what is tracked already), or: --allow-tracked"))
}

/// Those of some files that git tracks or would track, sorted.
///
/// # Errors
/// Git cannot say.
pub(super) fn tracked<'p>(
    root: &Path,
    paths: impl IntoIterator<Item = &'p FilePath>,
) -> Result<Vec<FilePath>, Stop> {
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
            files.iter().filter(|(_, rest)| !ignored.contains(rest)).map(|(path, _)| (*path).clone()),
        );
    }
    tracked.sort_unstable();
    Ok(tracked)
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
    let mut asking = git(directory);
    let output = match answer(asking.args(["rev-parse", "--is-inside-work-tree"]), Vec::new(), GIT_LIMIT) {
        Ok(output) => output,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return without_git(directory).map(|()| false);
        }
        Err(error) => return Err(silent(&error)),
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
    let mut asking = git(directory);
    let asked = answer(asking.args(["check-ignore", "-z", "--stdin"]), input, GIT_LIMIT);
    let output = asked.map_err(|error| silent(&error))?;
    // a file that it did not answer for counts as tracked: a part of an answer lets nothing through
    if !matches!(output.status.code(), Some(0 | 1)) {
        return Err(unknown(&said(&output)));
    }
    let paths = output.stdout.split(|byte| *byte == 0).filter_map(|path| std::str::from_utf8(path).ok());
    Ok(paths.map(str::to_owned).collect())
}

/// Runs a command that is given `input`, for `limit` at most.
///
/// # Errors
/// It cannot be started, or takes longer; then it is killed.
fn answer(command: &mut Command, input: Vec<u8>, limit: Duration) -> io::Result<Output> {
    let mut child = command.stdin(Stdio::piped()).spawn()?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (tell, told) = channel();
    // it answers while it reads: who only wrote could wait for ever
    std::thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(&input)));
    std::thread::spawn(move || {
        let errors = std::thread::spawn(move || read(stderr));
        let _ = tell.send((read(stdout), errors.join().unwrap_or_default()));
    });
    let Ok((stdout, stderr)) = told.recv_timeout(limit) else {
        child.kill()?;
        child.wait()?;
        return Err(io::ErrorKind::TimedOut.into());
    };
    Ok(Output { status: child.wait()?, stdout, stderr })
}

/// Reads to the end, or as far as can be read.
fn read(source: Option<impl Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    source.map(|mut source| source.read_to_end(&mut bytes));
    bytes
}

fn silent(error: &io::Error) -> Stop {
    if error.kind() == io::ErrorKind::TimedOut {
        return unknown(&format!("git took over {} seconds, and was ended", GIT_LIMIT.as_secs()));
    }
    unknown(&error.kind().to_string())
}

/// Git, told to look at a directory, to run nothing and to speak English.
fn git(directory: &Path) -> Command {
    let mut git = Command::new("git");
    git.args([OsStr::new("-C"), directory.as_os_str()]);
    git.args(["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"]);
    // a directory that only looks like a repository sets nothing
    git.args(["-c", "safe.bareRepository=explicit"]);
    for name in STRAY.into_iter().chain(CLIENT_SECRETS) {
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
