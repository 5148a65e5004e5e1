//! The agent gives up what it does not need: core files, new privileges, being looked into, writing where it has nothing to do. Its hook
//! still runs programs.

use bursar_tests::processes::{file, number};
use bursar_tests::secrets::grant;
use bursar_tests::users::{as_user, can_become_others};
use bursar_tests::{Daemon, FaultIssuer, Home, Reply, configured, open_vault, until};
use serde_json::json;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A user who has nothing else here.
const ANN: u32 = 64_401;

/// A directory that is neither of the home nor for temporary files.
fn elsewhere() -> TempDir {
    tempfile::tempdir_in("/var/tmp").unwrap()
}

/// Whether this kernel has what the agent is held by.
fn has_landlock(home: &Home) -> bool {
    let doctor = home.ok("agent.doctor", json!({}));
    let findings = doctor["findings"].as_array().unwrap();
    let has = findings.iter().any(|one| one["about"] == "landlock" && one["state"] == "good");
    if !has {
        eprintln!("needs a kernel with landlock: {doctor}");
    }
    has
}

fn backup(home: &Home, directory: &Path) -> bursar_tests::Answer {
    home.call("vault.backup", json!({ "file": directory.join("backup") }))
}

#[test]
fn there_is_no_core_file_and_none_but_the_hook_may_gain_privileges() {
    let (_home, daemon) = open_vault();
    let limits = String::from_utf8(file(daemon.pid(), "limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_ascii_whitespace().skip(4).collect::<Vec<_>>(), ["0", "0", "bytes"]);
    let mut threads = 0;
    for thread in fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap().flatten() {
        let pid: u32 = thread.file_name().to_str().unwrap().parse().unwrap();
        // one that has ended by now has no name
        let name = String::from_utf8(file(pid, "comm")).unwrap();
        let Some(no_new) = number(pid, "NoNewPrivs") else { continue };
        assert_eq!(no_new, u32::from(name.trim() != "hook"), "{name}");
        threads += 1;
    }
    assert!(threads > 3, "{threads}");
}

#[test]
fn its_own_user_cannot_look_into_it() {
    if !can_become_others() {
        return;
    }
    // built before somebody else asks for them
    bursar_tests::binaries::binaries();
    let (home, daemon) = as_user(ANN, || {
        let home = Home::new();
        let daemon = Daemon::start(&home, &[]);
        (home, daemon)
    });
    let mut other = as_user(ANN, || Command::new("cat").stdin(Stdio::piped()).spawn().unwrap());
    let readable = |pid: u32, name: &str| fs::File::open(format!("/proc/{pid}/{name}")).is_ok();
    as_user(ANN, || {
        assert_eq!(home.ok("agent.status", json!({}))["pid"], daemon.pid());
        for name in ["mem", "environ", "maps", "auxv"] {
            assert!(readable(other.id(), name), "the way of looking works: {name}");
            assert!(!readable(daemon.pid(), name), "{name}");
        }
        assert!(fs::read_link(format!("/proc/{}/exe", daemon.pid())).is_err());
    });
    other.kill().unwrap();
    other.wait().unwrap();
}

#[test]
fn it_writes_nowhere_but_where_its_config_says() {
    let outside = elsewhere();
    let (home, daemon) = open_vault();
    if !has_landlock(&home) {
        return;
    }
    backup(&home, home.path()).unwrap();
    let refused = backup(&home, outside.path()).unwrap_err();
    assert!(refused.message.contains("outside of what the agent may write"), "{refused}");
    assert!(refused.hint.contains("landlock.writable") && refused.hint.contains("restart"), "{refused}");
    let run = home.cli(&["backup", outside.path().join("backup").to_str().unwrap()]);
    assert!(run.code == 2 && run.err.contains("landlock.writable"), "{run:?}");

    // it takes a restart, and that is told
    home.config(&format!("[landlock]\nwritable = [{:?}]\n", outside.path()));
    daemon.signal(rustix::process::Signal::HUP);
    until("a restart is asked for", || home.log().contains("landlock.writable").then_some(()));
    assert!(backup(&home, outside.path()).is_err());
    assert!(daemon.stop().success());
    let _daemon = home.start();
    backup(&home, outside.path()).unwrap();

    // it is the kernel that says no, to a directory that came into the place of one that was allowed
    let moved = outside.path().with_extension("moved");
    fs::rename(outside.path(), &moved).unwrap();
    fs::create_dir(outside.path()).unwrap();
    let refused = backup(&home, outside.path()).unwrap_err();
    assert!(refused.message.contains("permission denied"), "{refused}");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    fs::remove_dir_all(moved).unwrap();
}

#[test]
fn a_key_file_is_made_only_where_it_may_write() {
    let outside = elsewhere();
    let home = Home::new();
    let _daemon = home.start();
    if !has_landlock(&home) {
        return;
    }
    let place = outside.path().join("key");
    let refused = home.call("vault.init", json!({ "key_file": place })).unwrap_err();
    assert!(refused.hint.contains("landlock.writable") && !place.exists(), "{refused}");
    // one that is there is only read
    let key = home.file("key", "0".repeat(64));
    fs::copy(key, &place).unwrap();
    home.ok("vault.init", json!({ "key_file": place }));
}

#[test]
fn its_hook_runs_programs_that_write_anywhere() {
    let outside = elsewhere();
    let told = outside.path().join("told");
    let (home, _daemon) =
        configured(&format!("[hook]\ncommand = [\"/bin/sh\", \"-c\", \"cat >> {}\"]\n", told.display()));
    let issuer = FaultIssuer::new(Reply::Grant(3600));
    home.create(grant("hour", &issuer.token_url()));
    until("the hook was run", || fs::read_to_string(&told).ok().filter(|text| text.contains("refreshed")));
}
