//! Under systemd log lines are entries of the journal: with fields, with priorities that fit, and never with a value.

use bursar_tests::{Machine, until};
use serde_json::{Value, json};

const CANARY: &str = "canary-7c1e";

fn find<'a>(entries: &'a [Value], fields: &[(&str, &str)]) -> Option<&'a Value> {
    entries.iter().find(|entry| fields.iter().all(|(name, value)| entry[*name] == *value))
}

#[test]
fn each_line_has_its_fields_and_a_priority() {
    let Some(machine) = Machine::boot() else { return };
    machine.install_unlocked_agent();
    machine.sh("bursar organization create acme
        bursar environment create acme/production --stage production");
    machine.sh(&format!(
        "printf {CANARY} | bursar secret create acme/api --type token --token-file - --environment acme/production
        bursar get acme/api"
    ));
    let ann = machine.add_user("ann");
    machine.sh("usermod --append --groups bursar-clients ann");
    let refused = machine.as_user("ann", "bursar --socket /run/bursar/bursar.sock get acme/api");
    assert_eq!(refused.code, 4, "{refused:?}");
    machine.write("/etc/bursar/conf.d/bad.toml", "organization = 7\n", "644");
    machine.sh("systemctl kill --signal HUP --kill-who main bursar.service");

    let entries = until("the mistake is told", || {
        let entries = machine.journal("bursar.service");
        find(&entries, &[("PRIORITY", "3"), ("SYSLOG_IDENTIFIER", "bursard")]).is_some().then_some(entries)
    });
    let made = [("BURSAR_METHOD", "secret.create"), ("BURSAR_SECRET", "acme/api"), ("PRIORITY", "6")];
    let entry = find(&entries, &made).unwrap_or_else(|| panic!("{entries:?}"));
    assert_eq!(
        [&entry["BURSAR_CALLER"], &entry["BURSAR_ENVIRONMENT"], &entry["BURSAR_OUTCOME"]],
        [&json!("uid 0"), &json!("acme/production"), &json!("ok")]
    );
    let caller = format!("uid {ann}");
    let entry = find(&entries, &[("BURSAR_CALLER", &caller), ("PRIORITY", "4")]);
    let entry = entry.unwrap_or_else(|| panic!("{entries:?}"));
    assert_eq!(entry["BURSAR_OUTCOME"], "denied", "{entry}");
    assert!(entry["MESSAGE"].as_str().unwrap().contains(&caller), "{entry}");
    let mistake = find(&entries, &[("PRIORITY", "3"), ("SYSLOG_IDENTIFIER", "bursard")]).unwrap();
    let reason = mistake["BURSAR_REASON"].as_str().unwrap();
    assert!(reason.contains("bad.toml") && reason.contains("line 1"), "{mistake}");
    // what is only read is in the record of accesses
    assert_eq!(find(&entries, &[("BURSAR_METHOD", "artifact.get"), ("BURSAR_OUTCOME", "ok")]), None);
    assert!(!machine.sh("journalctl --output json --all --boot").contains(CANARY));
}
