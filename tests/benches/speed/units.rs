//! What our credential costs a service that starts: beside one without any, and beside one from a plain file; and what the daemon
//! under its unit takes of memory, and of a quiet minute. Needs root, and a container: see `bursar_tests::Machine`.

use crate::table::{Job, print};
use bursar_tests::Machine;
use std::time::Duration;

/// Rounds of every consumer.
const ROUNDS: usize = 41;
/// How long the daemon is watched while nobody asks it for anything; longer than its longest nap, so that the share of
/// the watchdog is in it.
const QUIET: Duration = Duration::from_mins(2);
/// The consumers: a service that ends at once, and what its unit adds.
const CONSUMERS: [(&str, &str); 3] = [
    ("none", ""),
    ("file", "LoadCredential=token:/root/token\n"),
    ("bursar", "LoadCredential=token:/run/bursar/credentials.sock\n"),
];

pub(crate) fn run() {
    let Some(machine) = Machine::boot() else { return };
    machine.write("/etc/bursar/conf.d/bench.toml", "[[credential]]\nunit = \"bench-bursar.service\"\ncredential = \"token\"\nsecret = \"personal/token\"\n", "644");
    machine.install_unlocked_agent();
    machine.write("/root/token", "a token of the size that tokens have", "600");
    machine.sh("bursar secret create personal/token --type token --token-file /root/token --environment personal/development --no-wait");
    for (name, line) in CONSUMERS {
        let unit = format!("[Service]\nType=exec\nRemainAfterExit=yes\nExecStart=/bin/true\n{line}");
        machine.write(&format!("/etc/systemd/system/bench-{name}.service"), &unit, "644");
    }
    machine.sh("systemctl daemon-reload");
    let mut starts = Job::new("start of a unit to its main process", "us");
    for round in 0..ROUNDS {
        for (name, _) in CONSUMERS {
            let unit = format!("bench-{name}.service");
            machine.sh(&format!("systemctl start {unit}"));
            let at = |property: &str| -> u64 {
                machine.property(&unit, property).parse().expect("systemd says a time")
            };
            // of this type a unit is active once its program runs
            let taken = at("ActiveEnterTimestampMonotonic") - at("InactiveExitTimestampMonotonic");
            machine.sh(&format!("systemctl stop {unit}"));
            // the first of each reads programs from the disk
            if round > 0 {
                #[expect(clippy::cast_precision_loss, reason = "some thousand microseconds")]
                starts.note(name, taken as f64);
            }
        }
    }
    let pid = machine.property("bursar.service", "MainPID");
    let before = switches(&machine, &pid);
    std::thread::sleep(QUIET);
    let wakes = switches(&machine, &pid) - before;
    let status = machine.sh(&format!("grep -E '^(VmRSS|VmHWM|VmLck)' /proc/{pid}/status"));
    let limit = machine.property("bursar.service", "MemoryMax");
    let remarks = [
        format!("wake-ups in {} quiet seconds: {wakes}", QUIET.as_secs()),
        format!(
            "memory under MemoryMax={limit}: {}",
            status.split_whitespace().collect::<Vec<_>>().join(" ")
        ),
    ];
    print("units: what a credential costs a service", &[starts], &remarks);
}

/// How often threads of a process went to sleep by themselves, and so were woken.
fn switches(machine: &Machine, pid: &str) -> u64 {
    let script = format!("cat /proc/{pid}/task/*/status");
    let lines = machine.sh(&script);
    let counts = lines.lines().filter_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    counts.filter_map(|count| count.trim().parse::<u64>().ok()).sum()
}
