//! Runs without a person: in a session without a terminal, with no home directory, and with nothing in the environment but
//! what is said.

use crate::binaries::binaries;
use crate::cli::Run;
use crate::client_secrets::Issued;
use crate::home::Home;
use crate::workspace::Workspace;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::{Command, Stdio};

/// A program with its arguments in a directory, not started yet. `setsid` of util-linux takes the terminal from it, and
/// ends as it does.
pub fn command(home: &Home, directory: &Path, program: impl AsRef<OsStr>, arguments: &[&str]) -> Command {
    let mut command = Command::new("setsid");
    command
        .arg("--wait")
        .arg(program)
        .args(arguments)
        .env_clear()
        .env("PATH", path())
        .env("BURSAR_SOCK", home.socket())
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// `bursar --non-interactive` in a workspace, not started yet.
pub fn bursar(workspace: &Workspace<'_>, arguments: &[&str]) -> Command {
    let arguments = [&["--non-interactive"], arguments].concat();
    command(workspace.home(), workspace.root(), &binaries().bursar, &arguments)
}

/// Runs it to its end with these client secrets in `BURSAR_CLIENT_SECRETS`.
pub fn run(workspace: &Workspace<'_>, client_secrets: &[&Issued], arguments: &[&str]) -> Run {
    let mut bursar = bursar(workspace, arguments);
    Run::of(bursar.env("BURSAR_CLIENT_SECRETS", list(client_secrets)))
}

/// The same with `--json`, which must be refused with that error; answers exit code and words.
#[track_caller]
pub fn refused(
    workspace: &Workspace<'_>,
    client_secrets: &[&Issued],
    name: &str,
    arguments: &[&str],
) -> (i32, String) {
    let run = run(workspace, client_secrets, &[&["--json"], arguments].concat());
    assert_eq!(run.out, "", "{arguments:?}: {run:?}");
    let error = run.json_error();
    assert_eq!(error["code"], name, "{arguments:?}: {error}");
    let text = |member: &str| error[member].as_str().unwrap_or_default().to_owned();
    (run.code, format!("{}\nhint: {}", text("message"), text("hint")))
}

/// As `BURSAR_CLIENT_SECRETS` has them.
pub fn list(client_secrets: &[&Issued]) -> String {
    client_secrets.iter().map(|one| one.value.as_str()).collect::<Vec<_>>().join(";")
}

/// Where programs are found, `bursar` the first.
pub fn path() -> OsString {
    let mut path = binaries().bursar.parent().expect("a program lies in a directory").as_os_str().to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    path
}
