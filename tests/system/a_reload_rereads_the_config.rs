//! `systemctl reload` rereads the config of a server: what changed holds, what cannot change at run time is named, and a mistake
//! fails the reload, says where it is, and leaves what held.

use bursar_tests::{Machine, until};

const UNIT: &str = "bursar.service";
const DROP_IN: &str = "/etc/bursar/conf.d/site.toml";

fn until_said(machine: &Machine, words: &str) {
    until(words, || machine.messages(UNIT).contains(words).then_some(()));
}

fn asked_by_unit(machine: &Machine) -> i32 {
    machine.try_sh("systemctl reset-failed; systemctl start asks.service").code
}

#[test]
fn and_says_what_waits_for_a_start_and_what_is_wrong() {
    let Some(machine) = Machine::boot() else { return };
    machine.install_unlocked_agent();
    machine.sh("printf the-value | bursar secret create one --type token --token-file - --environment personal/development");
    machine.write(
        "/etc/systemd/system/asks.service",
        "[Service]\nType=oneshot\nLoadCredential=one:/run/bursar/credentials.sock\n\
         ExecStart=/bin/sh -c 'test \"$(cat $CREDENTIALS_DIRECTORY/one)\" = the-value'\n",
        "644",
    );
    machine.sh("systemctl daemon-reload");
    assert_ne!(asked_by_unit(&machine), 0, "no rule, no credential");

    machine.write(
        DROP_IN,
        "[[credential]]\nunit = \"asks.service\"\ncredential = \"one\"\nsecret = \"personal/one\"\n\
         [audit]\nentries = 5000\n[log]\nlevel = \"debug\"\n",
        "644",
    );
    let pid = machine.property(UNIT, "MainPID");
    machine.sh("systemctl reload bursar.service");
    until_said(&machine, "the config was read anew");
    assert_eq!(asked_by_unit(&machine), 0);
    until_said(&machine, "log.level, audit.entries will change with the next start, and not before");

    machine.write(
        DROP_IN,
        "[[credential]]\nunit = \"asks.service\"\ncredential = \"one\"\nsecrets = \"personal/one\"\n",
        "644",
    );
    let refused = machine.try_sh("systemctl reload bursar.service");
    assert_ne!(refused.code, 0);
    for words in [DROP_IN, "line 4", "unknown field `secrets`"] {
        until_said(&machine, words);
    }
    assert_eq!(asked_by_unit(&machine), 0, "what held holds");

    // past the check of the unit as well
    machine.sh("systemctl kill --signal HUP --kill-who main bursar.service");
    until_said(&machine, "the config has a mistake; the old one stays");
    assert_eq!(asked_by_unit(&machine), 0);
    assert_eq!(machine.property(UNIT, "MainPID"), pid);
    assert_eq!(machine.property(UNIT, "NRestarts"), "0");
}
