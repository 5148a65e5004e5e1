//! Durable creates, beside an append log on the same file system and, where it is installed, redis that syncs
//! every write.

use crate::agent::{Agent, TOKEN, name};
use crate::load::Load;
use crate::machine;
use crate::redis::Redis;
use crate::table::{Job, print};
use std::fs::File;
use std::io::Write as _;
use std::time::Instant;

/// Rounds of every job.
const ROUNDS: usize = 10;
/// Writers, and writes in a round.
const WRITERS: [(usize, u32); 2] = [(1, 60), (64, 1_920)];
/// What a record takes on disk beyond its token, in bytes; about.
const ATTRIBUTES: usize = 400;

pub(crate) fn run() {
    let agent = Agent::with(0);
    let redis = Redis::start(&agent.home);
    let mut log = File::create(agent.home.path().join("append.log")).expect("a file in the home");
    let mut made = 0;
    let mut jobs = Vec::new();
    for (writers, count) in WRITERS {
        let mut job = Job::new(format!("durable create, {writers} writers"), "us a write");
        let mut cpu = Job::new("  server CPU, main thread", "us a write");
        for _ in 0..ROUNDS {
            job.note("append, fdatasync", append(&mut log, writers, count));
            let end = made + count as usize;
            let (tally, spent) = machine::cpu_during(agent.daemon.pid(), || {
                agent.create(writers, || {
                    made += 1;
                    (made <= end).then(|| name(made))
                })
            });
            made = end;
            job.note("bursar", tally.microseconds());
            cpu.note("bursar", tally.share(spent));
            if let Some(redis) = &redis {
                let mut left = count;
                let set = Redis::set();
                let tally = Load::connect(&redis.socket(), writers, 1).run(1, |out| {
                    let more = left > 0;
                    if more {
                        left -= 1;
                        out.extend_from_slice(&set);
                    }
                    more
                });
                job.note("redis, always", tally.microseconds());
            }
        }
        jobs.extend([job, cpu]);
    }
    let mut remarks = vec![
        "the floor of many writers is one log for all: their records in one append, then one sync".to_owned(),
        "a create answers once the secret is durable; its artifact is written behind it and counts too"
            .to_owned(),
        "syncfs waits for all that anybody wrote to the file system: on a busy disk this is worst".to_owned(),
    ];
    if redis.is_none() {
        remarks.push("redis skipped: redis-server is not installed".to_owned());
    }
    print("storing: a token of 1.1 KB", &jobs, &remarks);
}

/// Appends records of `writers` and syncs, again and again; answers microseconds a record.
fn append(log: &mut File, writers: usize, count: u32) -> f64 {
    let record = vec![b'x'; (TOKEN + ATTRIBUTES) * writers];
    let syncs = count as usize / writers;
    let start = Instant::now();
    for _ in 0..syncs {
        log.write_all(&record).expect("room on the disk");
        log.sync_data().expect("a disk that works");
    }
    start.elapsed().as_secs_f64() * 1e6 / f64::from(count)
}
