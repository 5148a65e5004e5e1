//! From exec to the first answer with the vault open, what a large vault takes of memory, and whether a get
//! among many is dearer than one among few.

use crate::agent::{Agent, get, name};
use crate::echo::Echo;
use crate::load::{Load, Tally, round_trips};
use crate::machine::{self, Ends};
use crate::table::{Job, print};
use bursar_tests::{Daemon, Home};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::yield_now;
use std::time::{Duration, Instant};

/// Starts of every daemon.
const STARTS: usize = 7;
/// Rounds of gets.
const ROUNDS: usize = 11;
/// Gets in a round.
const GETS: usize = 8_000;
/// Secrets in the small vault, which the others are compared with, and the large one.
const SIZES: [usize; 2] = [100, 10_000];
/// Secrets in the vault that takes a minute to fill; see [`LARGE`].
const LARGEST: usize = 100_000;
/// The variable that asks for it.
const LARGE: &str = "BURSAR_BENCH_LARGE";

/// A vault that was filled and closed.
struct Filled {
    entrant: String,
    home: Home,
    size: usize,
    answer: usize,
}

pub(crate) fn run() {
    let mut sizes = SIZES.to_vec();
    let large = std::env::var_os(LARGE).is_some();
    if large {
        sizes.push(LARGEST);
    }
    let vaults: Vec<Filled> = sizes.into_iter().map(fill).collect();
    let mut jobs = starts(&vaults);
    jobs.extend(gets(&vaults));
    let mut remarks = vec![
        "a start ends with the first artifact: key file read, every timer armed".to_owned(),
        "gets with both ends on one core, after each secret was asked for once".to_owned(),
    ];
    if !large {
        remarks.push(format!("{LARGEST} secrets skipped: set {LARGE}=1"));
    }
    print("opening: a vault of many secrets", &jobs, &remarks);
}

fn fill(size: usize) -> Filled {
    let agent = Agent::with(size);
    let (_, answer) = agent.get(&name(size / 2));
    let Agent { home, daemon } = agent;
    let status = daemon.stop();
    assert!(status.success(), "the daemon ended with {status}");
    Filled { entrant: format!("bursar, {size} secrets"), home, size, answer }
}

/// Starts each daemon again and again, beside an echo server.
fn starts(vaults: &[Filled]) -> Vec<Job> {
    let mut time = Job::new("exec to the first answer", "ms");
    let mut cpu = Job::new("  server CPU until then", "ms");
    let mut memory = Job::new("  resident memory then", "KiB");
    for _ in 0..STARTS {
        let start = Instant::now();
        let echo = Echo::spawn(vaults[0].home.path(), vaults[0].answer);
        first_answer(echo.socket(), vaults[0].answer);
        let mut note = |entrant: &str, start: Instant, pid: u32| {
            time.note(entrant, start.elapsed().as_secs_f64() * 1e3);
            cpu.note(entrant, machine::cpu_time(pid).as_secs_f64() * 1e3);
            memory.note(entrant, machine::resident(pid));
        };
        note("echo", start, echo.pid());
        drop(echo);
        for Filled { entrant, home, answer, .. } in vaults {
            let start = Instant::now();
            let daemon = Daemon::spawn(home, &[]);
            first_answer(&home.socket(), *answer);
            note(entrant, start, daemon.pid());
            let status = daemon.stop();
            assert!(status.success(), "the daemon ended with {status}");
        }
    }
    vec![time, cpu, memory]
}

/// Connects until somebody listens, and waits for the first answer.
fn first_answer(socket: &Path, answer: usize) {
    let patience = Instant::now() + Duration::from_secs(30);
    while UnixStream::connect(socket).is_err() {
        assert!(Instant::now() < patience, "nobody listens at {}", socket.display());
        yield_now();
    }
    round_trips(socket, &get(&name(0)), answer, 1);
}

/// Gets of all secrets in turn.
fn gets(vaults: &[Filled]) -> Vec<Job> {
    let mut again = Job::new("get of the same one", "us");
    let mut again_cpu = Job::new("  server CPU", "us");
    let mut turn = Job::new("get of all in turn", "us");
    let mut turn_cpu = Job::new("  server CPU", "us");
    let mut memory = Job::new("  resident memory after", "KiB");
    let agents: Vec<(Daemon, Vec<Vec<u8>>)> = vaults
        .iter()
        .map(|vault| (vault.home.start(), (0..vault.size).map(|number| get(&name(number))).collect()))
        .collect();
    let mut loads: Vec<Load> = vaults.iter().map(|vault| Load::connect(&vault.home.socket(), 1, 1)).collect();
    for (load, (_, requests)) in loads.iter_mut().zip(&agents) {
        in_turn(load, requests, requests.len());
    }
    for _ in 0..ROUNDS {
        for ((vault, (daemon, requests)), load) in vaults.iter().zip(&agents).zip(&mut loads) {
            machine::place(Ends::Together, daemon.pid());
            for (requests, time, cpu) in
                [(&requests[..1], &mut again, &mut again_cpu), (requests, &mut turn, &mut turn_cpu)]
            {
                let (tally, spent) = machine::cpu_during(daemon.pid(), || in_turn(load, requests, GETS));
                assert_eq!(
                    tally.bytes,
                    tally.answers as usize * vault.answer,
                    "an answer has another length"
                );
                time.note(&vault.entrant, tally.microseconds());
                cpu.note(&vault.entrant, tally.share(spent));
            }
            memory.note(&vault.entrant, machine::resident(daemon.pid()));
        }
    }
    machine::free();
    vec![again, again_cpu, turn, turn_cpu, memory]
}

/// Asks `count` times, one after the other; neighbours in turn are far apart in the list.
fn in_turn(load: &mut Load, requests: &[Vec<u8>], count: usize) -> Tally {
    // prime to every size that is used, so that each is asked for
    const STEP: usize = 7_919;
    let mut asked = 0;
    load.run(1, |out| {
        let more = asked < count;
        if more {
            out.extend_from_slice(&requests[asked * STEP % requests.len()]);
            asked += 1;
        }
        more
    })
}
