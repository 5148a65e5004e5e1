//! A daemon that is killed at any moment around the answer to a refresh has the new refresh token whenever it said so; and
//! otherwise has it too, or says that a request was sent whose answer it does not know.

use bursar_tests::rotation::{Cut, WAYS, Way, answered, now_and_then, the_newest_is_kept_or_not_known};
use bursar_tests::{Answer, Daemon, Google, Hold, Home, open_vault};
use std::io::Write as _;
use std::thread;

const ROUNDS: u32 = 24;

/// Refreshes once and kills the daemon; answers what it told before that.
fn refreshed_and_killed(google: &Google, home: &Home, daemon: Daemon, way: Way, cut: Cut) -> Option<Answer> {
    google.hold(Hold::After);
    let caller = way.begin(home, "ads");
    google.until_held(1);
    match cut {
        Cut::BeforeTheAnswer => {
            daemon.kill9();
            google.hang_up();
            answered(caller)
        }
        Cut::AtAnyMoment => thread::scope(|scope| {
            let answer = scope.spawn(|| answered(caller));
            google.release();
            now_and_then();
            daemon.kill9();
            answer.join().unwrap()
        }),
        Cut::AfterItWasTold => {
            google.release();
            let answer = answered(caller);
            daemon.kill9();
            answer
        }
    }
}

fn around_the_answer(google: &Google) {
    let (home, mut daemon) = open_vault();
    google.configure(&home);
    google.granted(&home, "ads");
    let (mut told, mut unknown) = (0, 0);
    for round in 0..ROUNDS {
        let cut = match round % 6 {
            0 => Cut::BeforeTheAnswer,
            1 => Cut::AfterItWasTold,
            _ => Cut::AtAnyMoment,
        };
        let way = WAYS[round as usize / 6 % WAYS.len()];
        let answer = refreshed_and_killed(google, &home, daemon, way, cut);
        eprintln!("round {round}, {cut:?}, {way:?}: {answer:?}");
        told += u32::from(answer.is_some());
        google.hold(Hold::Before);
        daemon = home.start();
        unknown += u32::from(the_newest_is_kept_or_not_known(google, &home, cut, answer));
    }
    assert!(told >= ROUNDS / 6 && unknown >= ROUNDS / 6, "{told} and {unknown} of {ROUNDS}");
    writeln!(std::io::stderr(), "{ROUNDS} rounds: {told} were told, {unknown} not known").ok();
}

#[test]
fn at_oidc_provider() {
    around_the_answer(&Google::oidc());
}

#[test]
fn at_authlib() {
    around_the_answer(&Google::authlib());
}
