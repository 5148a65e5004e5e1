//! A disk that is full while a refresh token is exchanged: nothing is sent that could not be marked before; and a new one that
//! could not be written waits in memory until there is room, at the latest until the daemon is stopped.

use bursar_tests::rotation::{
    WAYS, Way, answered, is_sent_and_unknown, settled, show, the_newest_is_kept, told,
};
use bursar_tests::{Daemon, Disk, Google, Hold};
use serde_json::json;

/// A disk with a home that has a grant, and its daemon.
fn granted(google: &Google) -> Option<(Disk, Daemon)> {
    let disk = Disk::mounted()?;
    let home = disk.home();
    let daemon = home.start();
    home.ok("vault.init", json!({ "key_file": home.key_file() }));
    google.configure(home);
    google.granted(home, "ads");
    Some((disk, daemon))
}

#[test]
fn nothing_is_sent_that_could_not_be_marked() {
    let google = Google::oidc();
    // a retry is refused before: it could not be written
    for way in [Way::Get, Way::Test] {
        let Some((disk, daemon)) = granted(&google) else { return };
        let before = google.seen();
        way.prepare(disk.home(), "ads");
        disk.fill();
        let refused = answered(way.ask(disk.home(), "ads")).unwrap().unwrap_err();
        assert!(!refused.message.is_empty() && !refused.hint.is_empty(), "{way:?}: {refused}");
        assert_eq!(google.seen(), before, "{way:?}: {refused}");
        daemon.kill9();
        disk.make_room();
        let _daemon = disk.home().start();
        assert_eq!(told(disk.home(), "ads"), "", "{way:?}");
        the_newest_is_kept(&google, disk.home(), "ads");
    }
}

#[test]
fn what_could_not_be_written_is_written_at_the_end_or_told() {
    let google = Google::oidc();
    for way in WAYS {
        for stops in [true, false] {
            let Some((disk, daemon)) = granted(&google) else { return };
            let home = disk.home();
            google.hold(Hold::After);
            let caller = way.begin(home, "ads");
            google.until_held(1);
            disk.fill();
            google.release();
            let refused = answered(caller).unwrap().unwrap_err();
            assert!(!refused.message.is_empty() && !refused.hint.is_empty(), "{way:?}: {refused}");
            disk.make_room();
            if stops {
                assert!(daemon.stop().success());
            } else {
                daemon.kill9();
            }
            google.hold(Hold::Before);
            let _daemon = home.start();
            if stops {
                let secret = show(home, "ads");
                assert_eq!(
                    (&secret["status"], told(home, "ads")),
                    (&json!("succeeded"), String::new()),
                    "{way:?}"
                );
                google.release();
                the_newest_is_kept(&google, home, "ads");
            } else {
                assert!(is_sent_and_unknown(&told(home, "ads")), "{way:?}: {}", told(home, "ads"));
                google.release();
                settled(home, "ads");
            }
        }
    }
}
