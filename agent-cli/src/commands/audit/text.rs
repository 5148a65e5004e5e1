//! The record of accesses as text. Whoever made an access chose parts of it, so nothing goes through as it is.

use crate::output::shell::word;
use crate::output::text::printable;
use bursar_proto::kind::AuditFault;
use bursar_proto::reply::{AuditEntry, AuditFaultFound, AuditProof};

pub(super) fn lines(entries: &[AuditEntry]) -> String {
    entries.iter().map(line).collect()
}

/// When, its number, as whom, by which process, what, about what, how it ended, how often.
pub(super) fn line(entry: &AuditEntry) -> String {
    let count = if entry.count > 1 { format!(" (x{})", entry.count) } else { String::new() };
    let parts = [
        entry.at.to_string(),
        entry.number.to_string(),
        printable(&entry.principal),
        process(entry),
        one_word(&entry.method),
        subject(entry),
        one_word(&entry.outcome) + &count,
    ];
    let ci: Vec<String> = entry
        .ci
        .iter()
        .flatten()
        .map(|(name, fact)| format!("{}={}", one_word(name), one_word(fact)))
        .collect();
    let ci = if ci.is_empty() { String::new() } else { format!("  ci: {}", ci.join(" ")) };
    parts.join("  ") + &ci + "\n"
}

fn process(entry: &AuditEntry) -> String {
    let uid = entry.uid.map(|uid| format!("uid {uid}"));
    let pid = entry.pid.map(|pid| format!("pid {pid}"));
    let known: Vec<String> =
        [uid, pid, entry.executable.as_deref().map(one_word)].into_iter().flatten().collect();
    if known.is_empty() { "-".to_owned() } else { known.join(" ") }
}

/// What it was about, and the secret where that is another name.
fn subject(entry: &AuditEntry) -> String {
    let secret = entry.secret.as_ref().map(ToString::to_string);
    match (entry.subject.as_deref(), secret) {
        (Some(subject), Some(secret)) if subject != secret => format!("{} ({secret})", one_word(subject)),
        (Some(subject), _) => one_word(subject),
        (None, Some(secret)) => secret,
        (None, None) => "-".to_owned(),
    }
}

/// A text that cannot pass for two parts of a line.
fn one_word(text: &str) -> String {
    let text = printable(text);
    if text.is_empty() || text.contains(|c: char| c.is_whitespace() || c == '\'') {
        word(&text)
    } else {
        text
    }
}

/// What a proof says, and each fault with its place.
pub(super) fn proof(proof: &AuditProof) -> String {
    let mut lines: Vec<String> = proof.faults.iter().map(fault).collect();
    let last = proof.next.saturating_sub(1);
    if proof.sound {
        lines.push(match proof.entries {
            0 => "the record is sound, and empty".to_owned(),
            1 => format!("the record is sound: entry {last}"),
            count => format!("the record is sound: {count} entries, {} to {last}", proof.first),
        });
    } else {
        lines.push(format!("the record is not sound: {} entries are kept, up to {last}", proof.entries));
    }
    if proof.first > 1 {
        lines.push(format!(
            "older entries were dropped, as the config's limit says: 1 to {}",
            proof.first - 1
        ));
    }
    lines.join("\n") + "\n"
}

fn fault(found: &AuditFaultFound) -> String {
    let (one, many) = match found.fault {
        AuditFault::Cut => ("is missing", "are missing"),
        AuditFault::Altered => ("is not what was written", "are not what was written"),
        AuditFault::Broken => ("does not follow the one before it", "do not follow the ones before them"),
        AuditFault::Surplus => ("stands behind the end", "stand behind the end"),
    };
    if found.from == found.to {
        format!("entry {} {one}", found.from)
    } else {
        format!("entries {} to {} {many}", found.from, found.to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(changes: serde_json::Value) -> AuditEntry {
        let mut json = serde_json::json!({
            "number": 7, "at": "2026-11-21T06:00:00Z", "principal": "owner", "uid": 1000, "pid": 42,
            "executable": "/usr/bin/bursar", "method": "artifact.get", "subject": "acme/npm", "secret": "acme/npm",
            "outcome": "ok", "count": 1, "ci": null
        });
        if let (Some(json), serde_json::Value::Object(changes)) = (json.as_object_mut(), changes) {
            json.extend(changes);
        }
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_line_says_who_did_what_and_how_it_ended() {
        assert_eq!(
            line(&entry(serde_json::json!({}))),
            "2026-11-21T06:00:00Z  7  owner  uid 1000 pid 42 /usr/bin/bursar  artifact.get  acme/npm  ok\n"
        );
        let more = serde_json::json!({
            "principal": "client secret k3j9x2m4pq", "pid": null, "method": "package.get",
            "subject": "acme/site 1.2.0 TOKEN", "outcome": "wrong_environment", "count": 3,
            "ci": { "provider": "github", "run": "1 2" }
        });
        assert_eq!(
            line(&entry(more)),
            "2026-11-21T06:00:00Z  7  client secret k3j9x2m4pq  uid 1000 /usr/bin/bursar  package.get  \
             'acme/site 1.2.0 TOKEN' (acme/npm)  wrong_environment (x3)  ci: provider=github run='1 2'\n"
        );
        let agent = serde_json::json!({
            "principal": "agent", "uid": null, "pid": null, "executable": null, "method": "refresh", "subject": null
        });
        assert_eq!(line(&entry(agent)), "2026-11-21T06:00:00Z  7  agent  -  refresh  acme/npm  ok\n");
    }

    #[test]
    fn no_part_steers_a_terminal_or_passes_for_another() {
        let hostile = "/tmp/\u{1b}[2J\u{9b}31m\n\r\u{202e}x  artifact.get  acme/other  ok";
        for part in ["principal", "executable", "method", "subject", "outcome"] {
            let told = line(&entry(serde_json::json!({ part: hostile })));
            let end = told.strip_suffix('\n').unwrap();
            assert!(!end.contains(char::is_control) && !end.contains('\u{202e}'), "{part}: {told}");
            if part != "principal" {
                assert!(told.contains("x  artifact.get  acme/other  ok'"), "{part} is not in quotes: {told}");
            }
        }
        let told = line(&entry(serde_json::json!({ "ci": { "a\u{1b}": "\u{7}b' c" } })));
        assert!(told.ends_with("ci: a\u{fffd}='\u{fffd}b'\\'' c'\n"), "{told}");
    }

    #[test]
    fn a_proof_says_what_is_proved_and_each_fault_where_it_is() {
        let proved = |json| proof(&serde_json::from_value(json).unwrap());
        assert_eq!(
            proved(
                serde_json::json!({ "sound": true, "entries": 4210, "first": 1, "next": 4211, "faults": [] })
            ),
            "the record is sound: 4210 entries, 1 to 4210\n"
        );
        assert_eq!(
            proved(serde_json::json!({ "sound": true, "entries": 0, "first": 1, "next": 1, "faults": [] })),
            "the record is sound, and empty\n"
        );
        assert_eq!(
            proved(serde_json::json!({ "sound": false, "entries": 80, "first": 101, "next": 200, "faults": [
                { "fault": "cut", "from": 120, "to": 133 }, { "fault": "altered", "from": 140, "to": 140 },
                { "fault": "broken", "from": 141, "to": 141 }, { "fault": "surplus", "from": 200, "to": 201 }
            ]})),
            "entries 120 to 133 are missing\nentry 140 is not what was written\n\
             entry 141 does not follow the one before it\nentries 200 to 201 stand behind the end\n\
             the record is not sound: 80 entries are kept, up to 199\n\
             older entries were dropped, as the config's limit says: 1 to 100\n"
        );
    }
}
