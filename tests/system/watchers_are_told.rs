//! Whoever watches is told of every change, and never a value.

use bursar_proto::call::ArtifactWatch;
use bursar_proto::client::Notification;
use bursar_proto::kind::Change;
use bursar_tests::open_vault;
use bursar_tests::secrets::token;
use serde_json::json;

#[test]
fn every_change_is_told_in_its_order() {
    let (home, _daemon) = open_vault();
    home.create(token("other", "the-value"));
    let mut watcher = home.client();
    watcher.call(&ArtifactWatch { secret: None }).unwrap();
    let mut other = home.connect();
    other.call("artifact.watch", json!({ "secret": "other" })).unwrap();

    home.create(token("t", "the-value"));
    home.ok("secret.deactivate", json!({ "secret": "t" }));
    home.ok("secret.reactivate", json!({ "secret": "t" }));
    home.ok("secret.delete", json!({ "secret": "t" }));
    let mut seen = Vec::new();
    while seen.last() != Some(&Change::Deleted) {
        let Notification::Changed(changed) = watcher.next_notification().unwrap() else { panic!("missed") };
        assert_eq!(changed.secret.to_string(), "personal/t");
        seen.push(changed.change);
        assert!(seen.len() < 20, "{seen:?}");
    }
    assert_eq!(seen.first(), Some(&Change::Created), "{seen:?}");
    let at = |change| seen.iter().position(|seen| *seen == change);
    assert!(
        at(Change::Deactivated).is_some() && at(Change::Deactivated) < at(Change::Reactivated),
        "{seen:?}"
    );

    home.ok("secret.deactivate", json!({ "secret": "other" }));
    let told = other.json();
    assert_eq!(told["params"]["secret"], "personal/other", "told of the one it watches alone");
    assert_eq!(told["method"], "artifact.changed");
    assert!(!told.to_string().contains("the-value"), "{told}");
}

#[test]
fn a_watcher_who_does_not_read_is_told_how_much_it_missed() {
    let (home, _daemon) = open_vault();
    let mut watcher = home.client();
    watcher.call(&ArtifactWatch { secret: None }).unwrap();
    home.create(token("t", "value"));
    let mut socket = home.connect();
    let mut made = 0;
    for _ in 0..3000 {
        socket.call("secret.deactivate", json!({ "secret": "t" })).unwrap();
        socket.call("secret.reactivate", json!({ "secret": "t" })).unwrap();
        made += 2;
    }
    socket.call("secret.delete", json!({ "secret": "t" })).unwrap();
    let (mut told, mut missed) = (0, 0);
    loop {
        match watcher.next_notification().unwrap() {
            Notification::Missed(some) => missed += some.count,
            Notification::Changed(changed) if changed.change == Change::Deleted => break,
            Notification::Changed(_) => told += 1,
            Notification::Audited(_) => panic!("nobody watches the record here"),
        }
    }
    assert!(told + missed >= made, "{told} told, {missed} missed, {made} made");
}
