//! The watchdog watches what matters: an agent that stands still is restarted, and so is one whose disk does not answer;
//! nothing is lost that was acknowledged.

use bursar_tests::{Machine, until};

const UNIT: &str = "bursar.service";

/// A server that its service manager gives up after some seconds.
fn watched(machine: Option<Machine>) -> Option<Machine> {
    let machine = machine?;
    machine.install_unlocked_agent();
    machine.write("/etc/systemd/system/bursar.service.d/soon.conf", "[Service]\nWatchdogSec=5\n", "644");
    machine.sh("systemctl daemon-reload; systemctl restart bursar.service");
    machine.sh("printf the-value | bursar secret create one --type token --token-file -");
    Some(machine)
}

fn until_missed(machine: &Machine) {
    until("the watchdog", || machine.messages(UNIT).contains("Watchdog timeout").then_some(()));
}

fn until_restarted(machine: &Machine) {
    until("another one", || {
        let state = machine.property(UNIT, "ActiveState");
        (state == "active" && machine.property(UNIT, "NRestarts") != "0").then_some(())
    });
    assert_eq!(machine.sh("bursar get one"), "the-value\n");
}

#[test]
fn that_stands_still() {
    let Some(machine) = watched(Machine::boot()) else { return };
    machine.sh("systemctl kill --signal STOP --kill-who main bursar.service");
    until_missed(&machine);
    until_restarted(&machine);
    let cores = machine.sh("find / -xdev -name 'core*' -type f -size +1M");
    assert_eq!(cores, "", "it was aborted");
}

#[test]
fn whose_disk_is_silent() {
    let Some(machine) = watched(Machine::boot_with_disk()) else { return };
    let frozen = machine.freeze();
    let waiting = machine
        .command("sh")
        .args(["-c", "printf v | bursar secret create two --type token --token-file -"])
        .spawn()
        .unwrap();
    until_missed(&machine);
    drop(frozen);
    let created = bursar_tests::Run::finish(waiting, None);
    until_restarted(&machine);
    let there = machine.try_sh("bursar get two");
    assert!(created.code != 0 || there.out == "v\n", "{created:?} {there:?}");
}
