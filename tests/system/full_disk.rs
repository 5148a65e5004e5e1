//! A full disk refuses writes, and reads that cannot be recorded, in words; it loses nothing that was acknowledged, and is
//! over once there is room.

use bursar_tests::power::fill;
use bursar_tests::secrets::token;
use bursar_tests::{Daemon, Home, until};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};
use rustix::process::geteuid;
use serde_json::json;
use std::ffi::CString;
use std::fs;

/// A home on a small file system of its own.
struct SmallDisk {
    home: Home,
}

impl SmallDisk {
    fn new() -> Option<Self> {
        if !geteuid().is_root() {
            eprintln!("needs root, to mount a small file system");
            return None;
        }
        let home = Home::new();
        let options = CString::new("size=40m,mode=0700").unwrap();
        mount("none", home.path(), "tmpfs", MountFlags::empty(), options.as_c_str()).expect("a tmpfs");
        Some(Self { home })
    }

    fn fill(&self) {
        fill(&self.home.path().join("ballast"));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        unmount(self.home.path(), UnmountFlags::DETACH).expect("our own mount");
    }
}

#[test]
fn a_full_disk_refuses_writes_and_recovers() {
    let Some(disk) = SmallDisk::new() else { return };
    let home = &disk.home;
    let mut daemon = home.start();
    home.ok("vault.init", json!({ "key_file": home.key_file() }));
    let mut acknowledged = vec![];
    for at in 0..20 {
        let name = format!("before-{at}");
        home.create(token(&name, "value"));
        acknowledged.push(name);
    }
    disk.fill();
    let refused = (0..500)
        .find_map(|at| match home.call("secret.create", token(&format!("full-{at}"), &"v".repeat(8000))) {
            Ok(_) => {
                acknowledged.push(format!("full-{at}"));
                None
            }
            Err(refused) => Some(refused),
        })
        .expect("a full disk refuses writes");
    assert_eq!(refused.name, "store_failed", "{refused}");
    assert!(!refused.message.is_empty() && !refused.hint.is_empty(), "{refused}");
    let read = || home.call("artifact.get", json!({ "secret": "before-0" }));
    let refused = until("a read that cannot be recorded is not given", || read().err());
    assert_eq!(refused.name, "store_failed", "{refused}");
    assert!(!refused.message.is_empty() && !refused.hint.is_empty(), "{refused}");
    assert_ne!(home.ok("agent.status", json!({}))["store"], "writable");
    // what gives nothing away goes on
    home.ok("vault.lock", json!({}));
    home.ok("vault.unlock", json!({}));
    assert_eq!(read().unwrap_err().name, "store_failed");

    fs::remove_file(home.path().join("ballast")).unwrap();
    until("there is room, and writes work again", || {
        if let Some(status) = daemon.exited() {
            panic!("the daemon ended: {status}\n{}", home.log());
        }
        home.call("secret.create", token("after", "value")).ok()
    });
    acknowledged.push("after".to_owned());
    until("accesses are recorded again, and reads given", || read().ok());
    assert_eq!(home.ok("agent.status", json!({}))["store"], "writable");
    for round in 0..2 {
        for name in &acknowledged {
            let secret = home.call("secret.wait", json!({ "secret": name }));
            assert!(secret.is_ok(), "{name} is lost in round {round}: {secret:?}");
        }
        daemon.kill9();
        daemon = home.start();
    }
}

#[test]
fn a_disk_that_cannot_be_written_is_named_at_the_start() {
    let Some(disk) = SmallDisk::new() else { return };
    let home = &disk.home;
    let daemon = home.start();
    home.ok("vault.init", json!({ "key_file": home.key_file() }));
    home.create(token("t", "value"));
    assert!(daemon.stop().success());
    // the log must stay writable
    let log = Home::new();
    mount_remount(home.path(), MountFlags::RDONLY, "").expect("our own mount");
    let spawned = Daemon::spawn(&log, &[("BURSAR_HOME", home.path().to_str().unwrap())]);
    assert!(!spawned.wait().success());
    let words = log.log();
    assert!(!words.is_empty() && !words.contains("panicked"), "{words}");
    mount_remount(home.path(), MountFlags::empty(), "").expect("our own mount");
    let _daemon = home.start();
    assert_eq!(home.artifact("t")["value"], "value");
}
