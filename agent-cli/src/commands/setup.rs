//! `bursar setup …`: what a package would do. Without `--apply` it shows that, and changes nothing.

mod files;

use crate::agent::without_client_secrets;
use crate::args::setup::{Systemd, Verb};
use crate::output::shell::word;
use crate::output::text::printable;
use crate::session::Session;
use crate::stop::Stop;
use files::{Found, Manager, Placed, links, placed};
use serde::Serialize;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The permissions of what systemd reads: nothing in it is secret.
const MODE: u32 = 0o644;

/// What the hardened service of a server does not see.
const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];

pub(crate) fn run(session: &Session, verb: &Verb) -> Result<(), Stop> {
    match verb {
        Verb::Systemd(asked) => systemd(session, asked),
    }
}

/// What was found and what is done about it.
#[derive(Serialize)]
struct Report {
    applied: bool,
    files: Vec<Line>,
    commands: &'static [&'static str],
    commands_ran: bool,
}

#[derive(Serialize)]
struct Line {
    path: PathBuf,
    found: Found,
    action: Option<Action>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    Write,
    Remove,
}

fn systemd(session: &Session, asked: &Systemd) -> Result<(), Stop> {
    let manager = if asked.system { Manager::System } else { Manager::User };
    if asked.system && asked.apply && !rustix::process::geteuid().is_root() {
        return Err(Stop::usage("the files of the system are root's").hint("run this with sudo"));
    }
    if !asked.remove && !asked.force && Path::new(manager.packaged()).exists() {
        let why = format!("a package has brought units: {}", manager.packaged());
        let enable = manager.commands(false).last().copied().unwrap_or_default();
        return Err(
            Stop::usage(why).hint(format!("use them: {enable}; or put others before them with --force"))
        );
    }
    let programs = programs(manager)?;
    let base = match manager {
        Manager::User => session
            .surroundings
            .user_config()
            .ok_or_else(|| Stop::usage("no place for units: neither XDG_CONFIG_HOME nor HOME is set"))?,
        Manager::System => PathBuf::from("/etc"),
    };
    let files = placed(manager, &base, &programs);
    let mut lines = plan(&files, asked)?;
    if asked.remove {
        let link = |path| Line { path, found: Found::Current, action: Some(Action::Remove) };
        lines.extend(links(manager, &base).into_iter().map(link));
    }
    if asked.apply {
        refuse_changes(&files, &lines, asked)?;
        carry_out(&files, &lines)?;
    }
    let commands = manager.commands(asked.remove);
    if asked.now {
        commands.iter().try_for_each(|command| run_command(command))?;
    }
    let report = Report { applied: asked.apply, files: lines, commands, commands_ran: asked.now };
    session.printer.reply(&report, |_| describe(&report) + &next(session, asked, &report))
}

/// The directory of this program, with `bursard` in it, as units can name it.
fn programs(manager: Manager) -> Result<String, Stop> {
    let own = std::env::current_exe().map_err(|error| Stop::local(format!("no path: {}", error.kind())))?;
    let directory = own.parent().unwrap_or(Path::new("/"));
    let daemon = directory.join("bursard");
    fs::metadata(&daemon).map_err(|error| {
        Stop::unreadable(&daemon, &error)
            .hint("install bursard beside bursar: both have to stay where they are")
    })?;
    let plain = |text: &&str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._+-@".contains(&b));
    let Some(text) = directory.to_str().filter(plain) else {
        return Err(Stop::usage("the path of bursard cannot stand in a unit")
            .hint("install bursar and bursard where the path has letters, digits and ._+-@ alone"));
    };
    if manager == Manager::System {
        let hint = format!(
            "install {text}/bursar {text}/bursard /usr/local/bin/, and run /usr/local/bin/bursar setup systemd --system"
        );
        if HOMES.iter().any(|home| directory.starts_with(home)) {
            let why = format!("the service of a server sees no home, and bursard is in {text}");
            return Err(Stop::usage(why).hint(hint));
        }
        // who can write to a directory can put another program there
        let real = fs::canonicalize(&daemon).map_err(|error| Stop::unreadable(&daemon, &error))?;
        let others = real.ancestors().find(|path| {
            !fs::metadata(path).is_ok_and(|about| about.uid() == 0 && about.mode() & 0o022 == 0)
        });
        if let Some(path) = others {
            let why = format!(
                "{text}/bursard would run as root, and others than root can write to {}",
                path.display()
            );
            return Err(Stop::usage(why).hint(hint));
        }
    }
    Ok(text.to_owned())
}

/// What is to be done with each file.
fn plan(files: &[Placed], asked: &Systemd) -> Result<Vec<Line>, Stop> {
    let line = |file: &Placed| {
        let found = file.found().map_err(|error| Stop::unreadable(&file.path, &error))?;
        let action = match (asked.remove, found) {
            (true, Found::Current) => Some(Action::Remove),
            (false, Found::Missing) => Some(Action::Write),
            (false, Found::Changed) if asked.force && !file.is_config => Some(Action::Write),
            _ => None,
        };
        Ok(Line { path: file.path.clone(), found, action })
    };
    files.iter().map(line).collect()
}

/// Refuses to write some files while others are as somebody changed them: they belong together.
fn refuse_changes(files: &[Placed], lines: &[Line], asked: &Systemd) -> Result<(), Stop> {
    let in_the_way = |(file, line): &(&Placed, &Line)| {
        line.found == Found::Changed && line.action.is_none() && !file.is_config
    };
    let changed: Vec<String> = (files.iter().zip(lines).filter(in_the_way))
        .map(|(file, _)| format!("{} is another one than this would write", file.path.display()))
        .collect();
    if asked.remove || changed.is_empty() {
        return Ok(());
    }
    Err(Stop::usage(changed.join("\n")).hint("--force writes over it; nothing was written"))
}

fn carry_out(files: &[Placed], lines: &[Line]) -> Result<(), Stop> {
    for (number, line) in lines.iter().enumerate() {
        let done = match (line.action, files.get(number)) {
            (Some(Action::Write), Some(file)) => write(file),
            (Some(Action::Remove), _) => fs::remove_file(&line.path),
            _ => Ok(()),
        };
        done.map_err(|error| Stop::unwritable(&line.path, &error))?;
    }
    Ok(())
}

/// Writes a file whole or not at all, for everybody to read whatever the umask is.
fn write(file: &Placed) -> io::Result<()> {
    let directory = file.path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(directory)?;
    let draft = directory.join(format!(".bursar-setup.{}", std::process::id()));
    let mut opened = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&draft)?;
    let written = (opened.write_all(file.text.as_bytes()))
        .and_then(|()| opened.set_permissions(Permissions::from_mode(MODE)))
        .and_then(|()| opened.sync_all())
        .and_then(|()| fs::rename(&draft, &file.path));
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written
}

fn run_command(text: &str) -> Result<(), Stop> {
    let mut words = text.split(' ');
    let mut command = without_client_secrets(Command::new(words.next().unwrap_or_default()));
    let run = command.args(words).stdin(Stdio::null()).output();
    let output = run.map_err(|error| Stop::local(format!("cannot run {text}: {}", error.kind())))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Stop::local(format!("{text} failed ({}): {}", output.status, said.trim())))
}

fn describe(report: &Report) -> String {
    let line = |line: &Line| {
        let what = match (line.action, line.found, report.applied) {
            (Some(Action::Write), _, true) => "written",
            (Some(Action::Write), _, false) => "to write",
            (Some(Action::Remove), _, true) => "removed",
            (Some(Action::Remove), _, false) => "to remove",
            (None, Found::Missing, _) => "not there",
            (None, Found::Current, _) => "is there",
            (None, Found::Changed, _) => "changed",
        };
        format!("{what:10} {}\n", printable(&line.path.display().to_string()))
    };
    report.files.iter().map(line).collect()
}

/// Commands to go on with.
fn next(session: &Session, asked: &Systemd, report: &Report) -> String {
    if report.commands_ran {
        return String::new();
    }
    let mut text = String::from("\nnext:\n");
    if !asked.apply {
        let flags = [(asked.system, " --system"), (asked.remove, " --remove"), (asked.force, " --force")];
        let flags: String = flags.iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| *flag).collect();
        text = format!("{text}  {} setup systemd{flags} --apply\n", word(&session.program));
    }
    report.commands.iter().fold(text, |text, command| text + "  " + command + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: Systemd = Systemd { apply: true, now: false, system: false, force: false, remove: false };

    /// What is done at `base` about each file; none where it is refused.
    fn done(base: &Path, asked: &Systemd) -> Option<Vec<(Found, Option<Action>)>> {
        let manager = if asked.system { Manager::System } else { Manager::User };
        let files = placed(manager, base, "/opt/bin");
        let lines = plan(&files, asked).unwrap();
        refuse_changes(&files, &lines, asked).ok()?;
        carry_out(&files, &lines).unwrap();
        Some(lines.iter().map(|line| (line.found, line.action)).collect())
    }

    #[test]
    fn what_is_there_is_not_written_again() {
        let base = tempfile::tempdir().unwrap();
        assert!(done(base.path(), &ASKED).unwrap().iter().all(|(_, action)| *action == Some(Action::Write)));
        let unit = base.path().join("systemd/user/bursar.service");
        assert_eq!(fs::metadata(&unit).unwrap().mode() & 0o777, MODE);
        assert!(fs::read_to_string(unit).unwrap().contains("\nExecStart=/opt/bin/bursard\n"));
        assert!(done(base.path(), &ASKED).unwrap().iter().all(|found| *found == (Found::Current, None)));
        assert_eq!(fs::read_dir(base.path().join("systemd/user")).unwrap().count(), 5, "a draft was left");
    }

    #[test]
    fn a_unit_that_somebody_changed_stays_unless_it_is_forced() {
        let base = tempfile::tempdir().unwrap();
        let unit = base.path().join("systemd/user/bursar.socket");
        fs::create_dir_all(unit.parent().unwrap()).unwrap();
        fs::write(&unit, "mine").unwrap();
        assert_eq!(done(base.path(), &ASKED), None);
        assert_eq!(fs::read_dir(unit.parent().unwrap()).unwrap().count(), 1, "some were written");
        assert!(done(base.path(), &Systemd { remove: true, ..ASKED }).is_some());
        assert_eq!(fs::read(&unit).unwrap(), b"mine");
        assert!(done(base.path(), &Systemd { force: true, ..ASKED }).is_some());
        assert!(fs::read_to_string(&unit).unwrap().contains("[Socket]"));
    }

    #[test]
    fn a_config_is_written_once_and_never_over_another() {
        let base = tempfile::tempdir().unwrap();
        let asked = Systemd { system: true, ..ASKED };
        let config = base.path().join("bursar/bursar.toml");
        assert!(done(base.path(), &asked).is_some());
        assert!(fs::read_to_string(&config).unwrap().contains("[access]"));
        fs::write(&config, "mine").unwrap();
        assert!(done(base.path(), &Systemd { force: true, ..asked }).is_some());
        assert!(done(base.path(), &asked).is_some());
        assert_eq!(fs::read(&config).unwrap(), b"mine");
    }

    #[test]
    fn a_removal_takes_what_was_written_and_no_more() {
        let base = tempfile::tempdir().unwrap();
        let asked = Systemd { system: true, ..ASKED };
        done(base.path(), &asked).unwrap();
        let config = base.path().join("bursar/bursar.toml");
        fs::write(&config, "mine").unwrap();
        done(base.path(), &Systemd { system: true, remove: true, ..ASKED }).unwrap();
        assert!(config.exists());
        assert_eq!(fs::read_dir(base.path().join("systemd/system")).unwrap().count(), 0);
        assert_eq!(fs::read_dir(base.path().join("sysusers.d")).unwrap().count(), 0);
    }
}
