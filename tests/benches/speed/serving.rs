//! Gets of one token on the socket, beside a bare echo server and, where it is installed, redis.

use crate::agent::{Agent, name};
use crate::echo::Echo;
use crate::load::{Load, round_trips, visits};
use crate::machine::{self, Ends};
use crate::redis::Redis;
use crate::table::{Job, print};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Rounds of every job.
const ROUNDS: usize = 13;
/// Requests in a round of round trips.
const ROUND_TRIPS: u32 = 8_000;
/// Connections in a round of visits.
const VISITS: u32 = 1_500;
/// How long a round of many connections takes.
const STRETCH: Duration = Duration::from_millis(120);
/// Connections, and requests in flight on each.
const CROWDS: [(usize, usize); 3] = [(8, 1), (64, 1), (64, 16)];

/// A server that is asked for the token.
struct Entrant {
    name: &'static str,
    pid: u32,
    socket: PathBuf,
    get: Vec<u8>,
    answer: usize,
    lines_an_answer: usize,
}

pub(crate) fn run() {
    let agent = Agent::with(100);
    let (get, answer) = agent.get(&name(42));
    let echo = Echo::start(agent.home.path(), answer);
    let redis = Redis::start(&agent.home);
    let mut entrants = vec![
        Entrant {
            name: "echo",
            pid: echo.pid(),
            socket: echo.socket().to_owned(),
            get: get.clone(),
            answer,
            lines_an_answer: 1,
        },
        Entrant {
            name: "bursar",
            pid: agent.daemon.pid(),
            socket: agent.home.socket(),
            get,
            answer,
            lines_an_answer: 1,
        },
    ];
    if let Some(redis) = &redis {
        let (get, answer) = Redis::get();
        entrants.push(Entrant {
            name: "redis",
            pid: redis.pid(),
            socket: redis.socket(),
            get,
            answer,
            lines_an_answer: 2,
        });
    }
    // another build of the daemon, to see what a change costs
    let before =
        std::env::var_os("BURSAR_BENCH_BEFORE").map(|bursard| Agent::of_build(bursard.as_ref(), 100));
    if let Some(before) = &before {
        let (get, answer) = before.get(&name(42));
        entrants.push(Entrant {
            name: "before",
            pid: before.daemon.pid(),
            socket: before.home.socket(),
            get,
            answer,
            lines_an_answer: 1,
        });
    }
    let mut jobs = single(&entrants);
    for (connections, depth) in CROWDS {
        jobs.extend(crowd(&entrants, connections, depth));
    }
    machine::free();
    let mut remarks = vec![
        format!("an answer of {answer} bytes; CPU is the server's main thread's, an answer"),
        "round trips and visits with both ends on one core, the rest with each end on its own".to_owned(),
    ];
    if machine::cores() < 2 {
        remarks.push("there is one core only: rates of many connections say little".to_owned());
    }
    if redis.is_none() {
        remarks.push("redis skipped: redis-server is not installed".to_owned());
    }
    print("serving: a get of one token", &jobs, &remarks);
}

/// One connection at a time.
fn single(entrants: &[Entrant]) -> Vec<Job> {
    let mut trip = Job::new("round trip, 1 connection", "us");
    let mut trip_cpu = Job::new("  server CPU", "us");
    let mut visit = Job::new("connect, get, close", "thousand/s");
    let mut visit_cpu = Job::new("  server CPU", "us");
    for _ in 0..ROUNDS {
        for entrant in entrants {
            let Entrant { name, pid, socket, get, answer, .. } = entrant;
            machine::place(Ends::Together, *pid);
            let (trips, cpu_of_trips) =
                machine::cpu_during(*pid, || round_trips(socket, get, *answer, ROUND_TRIPS));
            let (visits, cpu_of_visits) = machine::cpu_during(*pid, || visits(socket, get, *answer, VISITS));
            trip.note(name, trips.microseconds());
            trip_cpu.note(name, trips.share(cpu_of_trips));
            visit.note(name, visits.thousands_a_second());
            visit_cpu.note(name, visits.share(cpu_of_visits));
        }
    }
    vec![trip, trip_cpu, visit, visit_cpu]
}

/// Many connections at once.
fn crowd(entrants: &[Entrant], connections: usize, depth: usize) -> [Job; 2] {
    let mut rate = Job::new(format!("{connections} connections, {depth} in flight"), "thousand/s");
    let mut cpu = Job::new("  server CPU", "us");
    let mut loads: Vec<Load> = entrants
        .iter()
        .map(|entrant| Load::connect(&entrant.socket, connections, entrant.lines_an_answer))
        .collect();
    for _ in 0..ROUNDS {
        for (entrant, load) in entrants.iter().zip(&mut loads) {
            machine::place(Ends::Apart, entrant.pid);
            let end = Instant::now() + STRETCH;
            let (tally, spent) = machine::cpu_during(entrant.pid, || {
                load.run(depth, |out| {
                    let goes_on = Instant::now() < end;
                    if goes_on {
                        out.extend_from_slice(&entrant.get);
                    }
                    goes_on
                })
            });
            assert_eq!(tally.bytes, tally.answers as usize * entrant.answer, "an answer has another length");
            rate.note(entrant.name, tally.thousands_a_second());
            cpu.note(entrant.name, tally.share(spent));
        }
    }
    [rate, cpu]
}
