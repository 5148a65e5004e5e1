//! `bursard --reload-units` runs with more rights than the daemon, whose directory it reads: only units of the config are told,
//! in the config's words, whatever lies there.

use bursar_tests::binaries::binaries;
use bursar_tests::users::can_become_others;
use bursar_tests::{Home, has_program};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const CONFIG: &str = "
[[render]]
file = 'a'
text = 'a'
unit = 'app.service'
[[render]]
file = 'b'
text = 'b'
unit = 'web@1.service'
action = 'restart'
[[render]]
file = 'c'
text = 'c'
unit = 'worker.service'
action = 'SIGUSR1'
";

fn home() -> Home {
    let home = Home::new();
    home.config(CONFIG);
    fs::create_dir(requests(&home)).unwrap();
    home
}

fn requests(home: &Home) -> PathBuf {
    home.path().join("reload")
}

fn request(home: &Home, unit: &str) -> PathBuf {
    let path = requests(home).join(unit);
    fs::write(&path, "").unwrap();
    path
}

/// Takes the requests as `bursar-reload.service` does, with `systemctl` in the place of the machine's own.
fn run(home: &Home, systemctl: &Path, flags: &[&str]) -> Output {
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", "mount --bind \"$0\" /usr/bin/systemctl && exec \"$@\""])
        .arg(systemctl)
        .arg(&binaries().bursard)
        .args(flags)
        .arg("--reload-units")
        .env("BURSAR_HOME", home.path())
        .env("CANARY", "canary-51d0");
    command.output().unwrap()
}

/// A `systemctl` that notes its words and its environment, and fails where a file `fails` says of which unit.
fn systemctl(home: &Home) -> PathBuf {
    let place = home.path().display();
    let path = home.file(
        "systemctl",
        format!(
            "#!/bin/sh\necho \"$*\" >>{place}/calls\nenv >>{place}/environment\n\
             case \"$*\" in *show*) cat {place}/pid;; *\"$(cat {place}/fails)\"*) echo 'it failed' >&2; exit 4;; esac\n"
        ),
    );
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    home.file("pid", "42\n");
    home.file("fails", "nothing at all");
    path
}

/// Whether this process can put another `systemctl` in the place of the machine's own.
fn can_replace_systemctl() -> bool {
    has_program("systemctl", &["--version"]) && can_become_others()
}

/// What `systemctl` was run with, sorted: the units are told at once.
fn calls(home: &Home) -> Vec<String> {
    let calls = fs::read_to_string(home.path().join("calls")).unwrap_or_default();
    let _ = fs::remove_file(home.path().join("calls"));
    let mut calls: Vec<_> = calls.lines().map(str::to_owned).collect();
    calls.sort();
    calls
}

#[test]
fn each_unit_is_told_in_its_way_once() {
    if !can_replace_systemctl() {
        return;
    }
    let (home, flags) = (home(), "--user --no-ask-password --no-pager");
    let systemctl = systemctl(&home);
    for unit in ["app.service", "web@1.service", "worker.service"] {
        request(&home, unit);
    }
    let ran = run(&home, &systemctl, &[]);
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    assert_eq!(
        calls(&home),
        [
            format!("{flags} kill --kill-who=main --signal=SIGUSR1 -- worker.service"),
            format!("{flags} show --property=MainPID --value -- worker.service"),
            format!("{flags} try-reload-or-restart -- app.service"),
            format!("{flags} try-restart -- web@1.service"),
        ]
    );
    assert!(run(&home, &systemctl, &[]).status.success());
    assert_eq!(calls(&home), [""; 0], "what was asked for is done");

    // nobody to signal
    home.file("pid", "0\n");
    request(&home, "worker.service");
    assert!(run(&home, &systemctl, &[]).status.success());
    assert_eq!(calls(&home).len(), 1);
}

#[test]
fn for_a_server_it_hands_on_nothing_of_its_environment() {
    if !can_replace_systemctl() {
        return;
    }
    let home = home();
    let systemctl = systemctl(&home);
    request(&home, "app.service");
    assert!(run(&home, &systemctl, &["--system"]).status.success());
    assert_eq!(calls(&home), ["--no-ask-password --no-pager try-reload-or-restart -- app.service"]);
    let environment = fs::read_to_string(home.path().join("environment")).unwrap();
    assert!(!environment.contains("canary") && !environment.contains("BURSAR"), "{environment}");
}

#[test]
fn a_unit_that_cannot_be_told_fails_it_and_holds_up_no_other() {
    if !can_replace_systemctl() {
        return;
    }
    let home = home();
    let systemctl = systemctl(&home);
    home.file("fails", "app.service");
    for unit in ["app.service", "web@1.service"] {
        request(&home, unit);
    }
    let ran = run(&home, &systemctl, &[]);
    let told = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!(ran.status.code(), Some(1), "{told}");
    assert!(told.contains("it failed") && told.contains("not told: app.service"), "{told}");
    assert!(calls(&home).iter().any(|call| call.ends_with("web@1.service")));
    assert_eq!(fs::read_dir(requests(&home)).unwrap().count(), 0);
}

#[test]
fn whatever_lies_there_counts_by_its_name_alone() {
    if !can_replace_systemctl() {
        return;
    }
    let home = home();
    let systemctl = systemctl(&home);
    let kept = home.file("kept", "kept");
    let path = |name: &str| requests(&home).join(name);
    symlink(&kept, path("app.service")).unwrap();
    mknodat(CWD, path("web@1.service"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    symlink(home.path(), path("home.service")).unwrap();
    fs::create_dir(path("ssh.service")).unwrap();
    let strange =
        ["--now", "-H", "dbus.service", "web@2.service", "web@*.service", "line\nfeed", "\u{1b}[31m", ".x"];
    for name in strange {
        request(&home, name);
    }
    for number in 0..500 {
        request(&home, &format!("{number}.service"));
    }
    let ran = run(&home, &systemctl, &[]);
    let told = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(ran.status.success(), "{told}");
    let calls = calls(&home);
    assert_eq!(calls.len(), 2, "{calls:?}");
    assert!(calls[0].ends_with("-- app.service") && calls[1].ends_with("-- web@1.service"), "{calls:?}");
    assert_eq!(fs::read_dir(requests(&home)).unwrap().count(), 0);
    assert_eq!(fs::read_to_string(kept).unwrap(), "kept");
    assert!(told.contains("no render names that unit") && told.lines().count() < 20, "{told}");
    assert!(!told.contains('\u{1b}') && !told.contains("line\nfeed"), "{told}");
}

#[test]
fn a_link_in_the_place_of_the_directory_is_refused() {
    let home = Home::new();
    home.config(CONFIG);
    fs::create_dir(home.path().join("elsewhere")).unwrap();
    home.file("elsewhere/app.service", "");
    symlink("elsewhere", requests(&home)).unwrap();
    let mut command = Command::new(&binaries().bursard);
    let ran = command.arg("--reload-units").env("BURSAR_HOME", home.path()).output().unwrap();
    assert_eq!(ran.status.code(), Some(1));
    assert!(home.path().join("elsewhere/app.service").exists());
}
