//! A server comes up unlocked without a person, by a credential that systemd decrypts for the agent; where that is missing,
//! everybody is told which one, and a passphrase still opens the vault.

use bursar_tests::{Machine, until};

const UNIT: &str = "bursar.service";
const PASSPHRASE: &str = "echo 'correct horse battery' |";

#[test]
fn by_its_credential_and_says_so_where_that_is_missing() {
    let Some(mut machine) = Machine::boot() else { return };
    machine.install_unlocked_agent();
    machine.sh("systemctl enable --quiet bursar.service");
    machine.sh("printf the-value | bursar secret create one --type token --token-file -");
    machine.sh(&format!("{PASSPHRASE} bursar passphrase --new-file -"));
    machine.reboot();
    until("it is up", || (machine.property(UNIT, "StatusText") == "unlocked, 1 secret").then_some(()));
    assert_eq!(machine.sh("bursar get one"), "the-value\n");

    machine.sh("mv /etc/credstore.encrypted/unlock-key /root");
    machine.reboot();
    assert_eq!(machine.property(UNIT, "ActiveState"), "active");
    let why = "the credential unlock-key was not handed to the agent";
    let status = machine.agent_status();
    assert_eq!(status["vault"], "locked");
    assert!(status["problem"].as_str().unwrap().contains(why), "{status}");
    let shown = machine.sh("bursar agent status");
    assert!(shown.contains(why), "{shown}");
    let shown = machine.sh("systemctl status bursar.service");
    assert!(shown.contains(&format!("Status: \"locked: {why}")), "{shown}");
    let said = machine.messages(UNIT);
    assert!(said.contains(why), "{said}");
    let refused = machine.try_sh("bursar get one");
    assert_eq!(refused.code, 3);
    assert!(refused.err.contains(why), "{refused:?}");

    machine.sh(&format!("{PASSPHRASE} bursar unlock --passphrase-file -"));
    assert_eq!(machine.sh("bursar get one"), "the-value\n");
    assert!(machine.agent_status()["problem"].is_null());

    // a credential that is another one is no better, and the right one is as good as ever
    machine.make_unlock_key();
    machine.sh("systemctl restart bursar.service");
    let status = machine.agent_status();
    assert_eq!(status["vault"], "locked");
    assert!(status["problem"].as_str().unwrap().contains("does not open this vault"), "{status}");
    machine.sh("mv /root/unlock-key /etc/credstore.encrypted; systemctl restart bursar.service");
    assert_eq!(machine.sh("bursar get one"), "the-value\n");
}
