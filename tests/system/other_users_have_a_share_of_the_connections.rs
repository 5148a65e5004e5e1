//! Of the connections each user who is no owner has a share, and a part is kept for owners.

use bursar_tests::users::{as_user, can_become_others};
use bursar_tests::{Daemon, Home, RawSocket, configured, until};
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// Users who are let in, and have no role.
const ANN: u32 = 64_061;
const BEN: u32 = 64_062;

/// All connections; what one other user may have of them; and what is kept for owners.
const ALL: usize = 64;
const SHARE: usize = ALL / 8;
const RESERVE: usize = ALL / 4;

/// How often somebody tries again who was refused: what was closed is free a moment later.
const TRIES: usize = 200;

fn server() -> Option<(Home, Daemon)> {
    if !can_become_others() {
        return None;
    }
    let (home, daemon) = configured(&format!(
        "[socket]\nmax_connections = {ALL}\n[access]\nadmit = [\"uid {ANN}\", \"uid {BEN}\"]\n"
    ));
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o711)).unwrap();
    fs::set_permissions(home.socket(), fs::Permissions::from_mode(0o666)).unwrap();
    Some((home, daemon))
}

/// A connection that is served, or none where there are too many.
fn open(home: &Home) -> Option<RawSocket> {
    let mut socket = home.connect();
    // who is turned away is told so before it has said anything
    drop(socket.ask_quietly("hello", &json!({})));
    let answer = socket.json();
    if answer["error"].is_null() {
        return Some(socket);
    }
    assert_eq!(answer["error"]["data"]["name"], "too_many_connections", "{answer}");
    assert!(!answer["error"]["data"]["hint"].is_null(), "{answer}");
    None
}

/// Opens connections until it is refused, time and again.
fn as_many_as_there_are(home: &Home) -> Vec<RawSocket> {
    let mut open_ones = Vec::new();
    let mut refused = 0;
    while refused < TRIES {
        match open(home) {
            Some(socket) => open_ones.push(socket),
            None => refused += 1,
        }
        assert!(open_ones.len() <= ALL, "there is no end of connections");
    }
    open_ones
}

/// Opens so many, as soon as there is room for them.
fn exactly(home: &Home, count: usize) -> Vec<RawSocket> {
    (0..count).map(|_| until("there is room for a connection", || open(home))).collect()
}

#[test]
fn one_user_has_its_share_and_the_owner_the_rest() {
    let Some((home, _daemon)) = server() else { return };
    let mut anns = as_user(ANN, || as_many_as_there_are(&home));
    assert_eq!(anns.len(), SHARE);
    let bens = as_user(BEN, || as_many_as_there_are(&home));
    assert_eq!(bens.len(), SHARE, "one's share is not another's");
    // those of the owner are not counted with theirs, and take all that is left
    let owners = exactly(&home, ALL - 2 * SHARE);
    assert!(open(&home).is_none());
    for socket in &mut anns {
        assert_eq!(socket.call("secret.list", json!({})).unwrap_err().name, "denied");
    }
    drop(owners);
    // what a user closes it may open again
    anns.truncate(SHARE - 3);
    let again = as_user(ANN, || exactly(&home, 3));
    assert_eq!(as_user(ANN, || as_many_as_there_are(&home)).len(), 0);
    drop((anns, again, bens));
}

#[test]
fn what_is_kept_for_owners_is_nobody_elses() {
    let Some((home, _daemon)) = server() else { return };
    // all at once, so that nothing of before is still being closed
    let mut owners = exactly(&home, ALL);
    assert!(open(&home).is_none());
    let half = SHARE / 2;
    owners.truncate(ALL - RESERVE - SHARE - half);
    let anns = as_user(ANN, || exactly(&home, SHARE));
    let bens = as_user(BEN, || exactly(&home, half));
    assert_eq!(as_user(BEN, || as_many_as_there_are(&home)).len(), 0, "the rest is kept");
    assert_eq!(as_user(ANN, || as_many_as_there_are(&home)).len(), 0);
    owners.extend(exactly(&home, RESERVE));
    assert_eq!(owners.len() + anns.len() + bens.len(), ALL);
    assert!(open(&home).is_none());
    assert!(as_user(BEN, || open(&home)).is_none());
}
