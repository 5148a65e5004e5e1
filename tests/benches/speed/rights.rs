//! What rights cost: a package's value asked for by the owner and by client secrets, and `authenticate` itself.

use crate::agent::{Agent, name, request};
use crate::load::round_trips_after;
use crate::machine::{self, Ends};
use crate::table::{Job, print};
use serde_json::{Value, json};

/// Rounds of every job.
const ROUNDS: usize = 13;
/// Requests in a round.
const ROUND_TRIPS: u32 = 4_000;
/// How many client secrets authenticate at once; each is of an organization of its own, and the last is the one that counts.
const SECRETS: [usize; 2] = [1, 10];

pub(crate) fn run() {
    let agent = Agent::with(100);
    let home = &agent.home;
    let elements = json!({ "T": { "development": name(42), "staging": null, "production": null } });
    let package = json!({ "package": "personal/p", "version": "1.0.0", "elements": elements, "files": [] });
    home.ok("package.publish", package);
    let get = request(
        "package.get",
        &json!({ "package": "personal/p", "version": "1.0.0", "environment": "development", "element": "T" }),
    );
    let authentications: Vec<(String, Vec<u8>)> = SECRETS
        .iter()
        .map(|count| {
            let secrets: Vec<String> = (1..*count).map(|at| issued(&agent, &format!("other-{at}"))).collect();
            let all: Vec<String> = secrets.into_iter().chain([issued(&agent, "personal")]).collect();
            (count_of(*count), request("authenticate", &json!({ "client_secrets": all })))
        })
        .collect();
    let answer = length(&agent, &[], &get);
    let pid = agent.daemon.pid();
    let mut gets = Job::new("package.get, round trip", "us");
    let mut gets_cpu = Job::new("  server CPU", "us");
    let mut logins = Job::new("authenticate, round trip", "us");
    machine::place(Ends::Together, pid);
    for _ in 0..ROUNDS {
        let nobody = ("the owner".to_owned(), Vec::new());
        for (who, first) in [&nobody].into_iter().chain(&authentications) {
            let (trips, cpu) = machine::cpu_during(pid, || {
                round_trips_after(&home.socket(), first, &get, answer, ROUND_TRIPS)
            });
            gets.note(who, trips.microseconds());
            gets_cpu.note(who, trips.share(cpu));
        }
        for (who, authenticate) in &authentications {
            let length = length(&agent, &[], authenticate);
            let trips = round_trips_after(&home.socket(), &[], authenticate, length, ROUND_TRIPS);
            logins.note(who, trips.microseconds());
        }
    }
    machine::free();
    let remarks = ["both ends on one core; every access is recorded and counted".to_owned()];
    print("rights: what client secrets cost", &[gets, gets_cpu, logins], &remarks);
}

fn count_of(secrets: usize) -> String {
    if secrets == 1 { "1 client secret".to_owned() } else { format!("{secrets} client secrets") }
}

/// A viewer's client secret of an organization, which is made if it is not there.
fn issued(agent: &Agent, organization: &str) -> String {
    let known = agent.home.ok("organization.list", json!({}));
    let known = known.as_array().expect("a list");
    if !known.iter().any(|one| one["organization"] == organization) {
        agent.home.ok("organization.create", json!({ "organization": organization }));
    }
    let wanted = json!({ "organization": organization, "description": "bench", "role": "viewer" });
    let issued: Value = agent.home.ok("client_secret.create", wanted);
    issued["client_secret"].as_str().expect("a value").to_owned()
}

/// The length of the answer to a request, after another.
fn length(agent: &Agent, first: &[u8], request: &[u8]) -> usize {
    let mut socket = agent.home.connect();
    if !first.is_empty() {
        socket.send(first).expect("the daemon reads");
        socket.line().expect("an answer");
    }
    socket.send(request).expect("the daemon reads");
    let answer = socket.line().expect("an answer");
    assert!(answer.contains("\"result\""), "it was refused: {answer}");
    answer.len()
}
