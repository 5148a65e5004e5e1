//! Where values of deleted secrets may still lie, as text.

use crate::output::text::{printable, time};
use bursar_proto::library::FilePath;
use bursar_proto::reply::Tombstone;
use bursar_proto::time::Timestamp;

pub(super) fn list(all: &[Tombstone], now: Timestamp) -> String {
    if all.is_empty() {
        return "no value of a deleted secret is known to lie anywhere\n".to_owned();
    }
    let synced = all.iter().any(|one| !one.workspaces.is_empty());
    let hint =
        if synced { "hint: a sync in a workspace replaces or removes its files: bursar sync\n" } else { "" };
    all.iter().map(|one| describe(one, now)).collect::<String>() + hint
}

fn describe(one: &Tombstone, now: Timestamp) -> String {
    let mut places: Vec<String> = one
        .workspaces
        .iter()
        .map(|place| {
            let files: Vec<_> = place.files.iter().map(FilePath::as_str).collect();
            format!("in {}: {}", place.workspace, files.join(", "))
        })
        .collect();
    if one.store {
        places.push("in the store's own log, sealed; it is rewritten within days".to_owned());
    }
    if one.snapshots {
        places.push("in snapshots, sealed; they go with the store's log".to_owned());
    }
    if places.is_empty() {
        places.push("nowhere any more".to_owned());
    }
    let head = format!(
        "{}, deleted {}, forgotten {}\n",
        one.secret,
        time(one.deleted_at, now),
        time(one.until, now)
    );
    places.iter().fold(head, |text, place| text + "  " + &printable(place) + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tombstone(workspaces: &serde_json::Value, store: bool) -> Tombstone {
        serde_json::from_value(serde_json::json!({
            "secret": "acme/old", "deleted_at": "2026-11-20T06:00:00Z", "until": "2026-12-20T06:00:00Z",
            "store": store, "snapshots": store, "workspaces": workspaces
        }))
        .unwrap()
    }

    #[test]
    fn each_place_has_a_line() {
        let workspaces = serde_json::json!([{
            "workspace": "/home/u/site\u{1b}[2J", "files": [".npmrc", "a/b"], "synced_at": null
        }]);
        let text = list(&[tombstone(&workspaces, true)], "2026-11-21T06:00:00Z".parse().unwrap());
        assert_eq!(
            text,
            "acme/old, deleted 2026-11-20T06:00:00Z (1 d ago), forgotten 2026-12-20T06:00:00Z (in 29 d)\n  \
             in /home/u/site\u{fffd}[2J: .npmrc, a/b\n  \
             in the store's own log, sealed; it is rewritten within days\n  \
             in snapshots, sealed; they go with the store's log\n\
             hint: a sync in a workspace replaces or removes its files: bursar sync\n"
        );
    }

    #[test]
    fn who_has_no_place_left_says_so() {
        let text = list(&[tombstone(&serde_json::json!([]), false)], "2026-11-21T06:00:00Z".parse().unwrap());
        assert!(text.ends_with("\n  nowhere any more\n"), "{text}");
        assert!(list(&[], Timestamp::from_seconds(0)).starts_with("no value"));
    }
}
