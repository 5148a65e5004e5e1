//! What the disk has when the power fails opens; nothing is lost that was acknowledged before; and of a refresh token that
//! was rotated the disk has the new one, or that a request was sent whose answer is not known.

use bursar_tests::power::Moment;
use bursar_tests::rotation::{Cut, Way, answered, now_and_then, the_newest_is_kept_or_not_known};
use bursar_tests::secrets::token;
use bursar_tests::{Answer, Disk, Google, Hold, Home, until};
use serde_json::{Value, json};
use std::io::Write as _;
use std::sync::Mutex;
use std::thread;

const ROUNDS: u32 = 12;

/// Creates secrets until the daemon ends; `acknowledged` gets the names of those that were.
fn create_until_killed(home: &Home, round: u32, acknowledged: &Mutex<Vec<String>>) {
    let mut socket = home.connect();
    for at in 0..1_000 {
        let name = format!("r{round}-{at}");
        if socket.ask_quietly("secret.create", &token(&name, &"v".repeat(2_000))).is_err() {
            return;
        }
        let Some(line) = socket.line().filter(|line| line.ends_with('\n')) else { return };
        let answer: Value = serde_json::from_str(&line).unwrap();
        assert!(answer["error"].is_null(), "{answer}");
        acknowledged.lock().unwrap().push(name);
    }
}

/// Refreshes once, on a disk that others write to as well, and looks at that disk: answers what it had, what was answered
/// before it was looked at, and how many creations were acknowledged before.
fn refreshed(
    google: &Google,
    disk: &Disk,
    way: Way,
    cut: Cut,
    acknowledged: &Mutex<Vec<String>>,
) -> (Moment, Option<Answer>, usize) {
    until("others write as well", || (acknowledged.lock().unwrap().len() > 2).then_some(()));
    google.hold(Hold::After);
    let caller = way.begin(disk.home(), "ads");
    google.until_held(1);
    let answer = Mutex::new(None);
    let look = || {
        let told = answer.lock().unwrap().take();
        let count = acknowledged.lock().unwrap().len();
        (disk.moment(), told, count)
    };
    if cut == Cut::BeforeTheAnswer {
        let looked = look();
        google.hang_up();
        return looked;
    }
    thread::scope(|scope| {
        google.release();
        let asked = scope.spawn(|| {
            let told = answered(caller);
            *answer.lock().unwrap() = told;
        });
        if cut == Cut::AfterItWasTold {
            asked.join().unwrap();
        } else {
            now_and_then();
        }
        look()
    })
}

fn around_the_answer(google: &Google) {
    let Some(mut disk) = Disk::mounted() else { return };
    let mut daemon = disk.home().start();
    disk.home().ok("vault.init", json!({ "key_file": disk.home().key_file() }));
    google.configure(disk.home());
    google.granted(disk.home(), "ads");
    let mut kept = Vec::new();
    let (mut told, mut unknown) = (0, 0);
    for round in 0..ROUNDS {
        let cut = match round % 4 {
            0 => Cut::BeforeTheAnswer,
            1 => Cut::AfterItWasTold,
            _ => Cut::AtAnyMoment,
        };
        let way = if round / 4 % 2 == 0 { Way::Retry } else { Way::Test };
        let acknowledged = Mutex::new(Vec::new());
        let (moment, answer, count) = thread::scope(|scope| {
            scope.spawn(|| create_until_killed(disk.home(), round, &acknowledged));
            let looked = refreshed(google, &disk, way, cut, &acknowledged);
            daemon.kill9();
            looked
        });
        kept.extend(acknowledged.into_inner().unwrap().drain(..count));
        eprintln!("round {round}, {cut:?}, {way:?}: {answer:?}, {} creations", kept.len());
        told += u32::from(answer.is_some());
        google.hold(Hold::Before);
        disk.cut(moment);
        daemon = disk.home().start();
        let home = disk.home();
        assert_eq!(home.ok("agent.status", json!({}))["vault"], "unlocked", "{}", home.log());
        unknown += u32::from(the_newest_is_kept_or_not_known(google, home, cut, answer));
        let is_lost = |name: &&String| home.call("artifact.get", json!({ "secret": name })).is_err();
        let lost: Vec<_> = kept.iter().filter(is_lost).collect();
        assert!(lost.is_empty(), "{} of {} lost: {lost:?}", lost.len(), kept.len());
    }
    assert!(told >= ROUNDS / 4 && unknown >= ROUNDS / 4, "{told} and {unknown} of {ROUNDS}");
    let kept = kept.len();
    writeln!(std::io::stderr(), "{ROUNDS} cuts: {told} were told, {unknown} not known, {kept} creations")
        .ok();
}

#[test]
fn at_oidc_provider() {
    around_the_answer(&Google::oidc());
}

#[test]
fn at_authlib() {
    around_the_answer(&Google::authlib());
}
