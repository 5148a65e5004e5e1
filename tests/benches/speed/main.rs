//! How fast Bursar is, side by side with a floor in the same run: `cargo bench -p bursar-tests`.
//!
//! Name tables to run only some: `cargo bench -p bursar-tests -- serving opening`. Rounds of all entrants are
//! interleaved, so that what else the machine does weighs on all alike; read the ratios, not the times. Nothing
//! here asserts a time. `BURSAR_BENCH_BEFORE=PATH` names another build of the daemon to serve beside this one. `BURSAR_BENCH_LARGE=1` opens a vault of 100,000 secrets too.
//!
//! | file | holds |
//! |---|---|
//! | `serving` | gets on the socket, beside a bare echo server |
//! | `rights` | gets of a package by owners and by client secrets; `authenticate` |
//! | `command` | `bursar get` from fork to exit, beside a bare client |
//! | `library` | `check` and `sync` with many elements, `exec` beside `env` |
//! | `storing` | durable creates, beside an append log |
//! | `opening` | from exec to the first answer, and what a large vault costs |
//! | `units` | services that start with a credential of ours, beside a file's; needs root |
//! | `echo`, `bare.rs`, `redis` | the floors and the neighbour |
//! | `agent` | a daemon with secrets in it |
//! | `load` | the one generator of load |
//! | `machine` | cores, CPU time, resident memory |
//! | `table` | medians, quartiles, ratios |

#![expect(clippy::expect_used, reason = "a benchmark that cannot go on ends by panicking")]

mod agent;
mod command;
mod echo;
mod library;
mod load;
mod machine;
mod opening;
mod redis;
mod rights;
mod serving;
mod storing;
mod table;
mod units;

/// Every table by its name.
const TABLES: [(&str, fn()); 7] = [
    ("serving", serving::run),
    ("rights", rights::run),
    ("command", command::run),
    ("library", library::run),
    ("storing", storing::run),
    ("opening", opening::run),
    ("units", units::run),
];

fn main() {
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.next_if_eq(echo::FLAG).is_some() {
        return echo::serve(&mut arguments);
    }
    // cargo adds flags of its own
    let wanted: Vec<String> = arguments.filter(|argument| !argument.starts_with("--")).collect();
    for (name, run) in TABLES {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            run();
        }
    }
}
