//! What a server's disk has when the power fails in the middle of writes is enough: it boots again, opens its vault by
//! itself, and has all that was acknowledged before.

use bursar_tests::{Machine, until};
use std::io::{BufRead as _, BufReader};
use std::sync::Mutex;
use std::thread;

const ROUNDS: u32 = 4;

/// How many creations are acknowledged before a cut, at least.
const ACKNOWLEDGED: usize = 5;

#[test]
fn and_unlocked() {
    let Some(mut machine) = Machine::boot_with_disk() else { return };
    machine.install_unlocked_agent();
    machine.sh("systemctl enable --quiet bursar.service");
    let mut kept = Vec::new();
    for round in 0..ROUNDS {
        let create = format!(
            "i=0
            while head --bytes 1500 /dev/urandom | base64 --wrap 0 |
                bursar secret create r{round}-$i --type token --token-file - >/dev/null
            do
                echo r{round}-$i
                i=$((i + 1))
            done"
        );
        let mut creating = machine.command("sh").args(["-c", &create]).spawn().unwrap();
        let lines = BufReader::new(creating.stdout.take().unwrap()).lines();
        let acknowledged = Mutex::new(Vec::new());
        thread::scope(|scope| {
            scope.spawn(|| lines.for_each(|name| acknowledged.lock().unwrap().push(name.unwrap())));
            let enough = || acknowledged.lock().unwrap().len() >= ACKNOWLEDGED;
            until("some are acknowledged", || enough().then_some(()));
            kept.extend(acknowledged.lock().unwrap().clone());
            let moment = machine.moment();
            machine.cut(moment);
        });
        creating.wait().unwrap();
        assert_eq!(machine.agent_status()["vault"], "unlocked");
        let there = machine.sh("bursar --json secret list");
        let lost: Vec<_> = kept.iter().filter(|name| !there.contains(&format!("{name}\""))).collect();
        assert!(lost.is_empty(), "{} of {} lost: {lost:?}", lost.len(), kept.len());
        assert_eq!(machine.sh(&format!("bursar get {} | wc --chars", kept[kept.len() - 1])), "2001\n");
    }
}
