//! What elements cost: `check`, `sync` and `status` with one, a hundred and a thousand of them, and `exec` beside `env`.

use crate::agent::{Agent, name as secret};
use crate::machine::{self, Ends};
use crate::table::{Job, print};
use bursar_tests::binaries::binaries;
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Elements of the packages; the first is the floor.
const SIZES: [usize; 3] = [1, 100, 1_000];
/// Rounds; every command once for every size in each.
const ROUNDS: usize = 31;
/// Rounds of `exec` and `env`.
const EXECS: usize = 300;

/// A workspace with one package of so many elements.
struct Workspace {
    elements: usize,
    root: PathBuf,
}

pub(crate) fn run() {
    let agent = Agent::with(SIZES[SIZES.len() - 1]);
    let workspaces = SIZES.map(|elements| fill(&agent, elements));
    let check: [&str; 1] = ["check"];
    let commands: [(&str, &[&str], bool); 4] = [
        ("check", &check, false),
        ("status", &["status"], false),
        ("sync, nothing to do", &["sync"], false),
        ("sync, the file is gone", &["sync"], true),
    ];
    let mut jobs = Vec::new();
    machine::place(Ends::Apart, agent.daemon.pid());
    for (name, arguments, is_gone) in commands {
        let mut whole = Job::new(format!("bursar {name}"), "ms");
        let mut each = Job::new("  for each element more", "us");
        for _ in 0..ROUNDS {
            let times = [0, 1, 2].map(|at| {
                let workspace = &workspaces[at];
                if is_gone {
                    std::fs::remove_file(workspace.root.join("values.conf")).expect("a synced file");
                }
                let time = timed(&mut bursar(&agent, arguments, workspace));
                whole.note(&format!("{} elements", workspace.elements), time);
                time
            });
            for at in [1, 2] {
                #[expect(clippy::cast_precision_loss, reason = "a thousand")]
                let more = (SIZES[at] - SIZES[0]) as f64;
                each.note(&format!("{} elements", SIZES[at]), (times[at] - times[0]) * 1e3 / more);
            }
        }
        jobs.extend([whole, each]);
    }
    jobs.push(exec(&agent, &workspaces[0]));
    machine::free();
    let remarks =
        ["one connection, requests pipelined; linear where each further element costs the same".to_owned()];
    print("library: elements, and a command with a value", &jobs, &remarks);
}

/// `exec` with one value beside `env` with one, from fork to exit.
fn exec(agent: &Agent, workspace: &Workspace) -> Job {
    let mut job = Job::new("a command with one value", "us");
    let set = format!("TOKEN=%secret:{}%", secret(0));
    for _ in 0..EXECS {
        let mut env = Command::new("env");
        env.args(["TOKEN=x", "/bin/true"]);
        job.note("env", timed(&mut env) * 1e3);
        let mut exec = bursar(agent, &["exec", "--set", &set, "--", "/bin/true"], workspace);
        exec.current_dir(agent.home.path());
        job.note("bursar exec", timed(&mut exec) * 1e3);
        let mut true_alone = Command::new("/bin/true");
        job.note("/bin/true alone", timed(&mut true_alone) * 1e3);
    }
    job
}

fn bursar(agent: &Agent, arguments: &[&str], workspace: &Workspace) -> Command {
    let mut command = Command::new(&binaries().bursar);
    command
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("BURSAR_HOME", agent.home.path())
        .current_dir(&workspace.root);
    command
}

/// Milliseconds from fork to exit.
fn timed(command: &mut Command) -> f64 {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let status = command.status().expect("the program starts");
    let time = start.elapsed().as_secs_f64() * 1e3;
    assert!(status.success(), "{command:?} ended with {status}");
    time
}

/// Publishes a package of so many elements, and syncs a workspace that uses it.
fn fill(agent: &Agent, elements: usize) -> Workspace {
    let names: Vec<_> = (0..elements).map(|number| format!("E{number:04}")).collect();
    let define = |(number, name): (usize, &String)| (name.clone(), json!({ "development": secret(number) }));
    let defined: Map<String, Value> = names.iter().enumerate().map(define).collect();
    let lines: Vec<_> = names.iter().map(|name| format!("{name} = %{name}%")).collect();
    let template = lines.join("\n");
    let package = format!("personal/bench-{elements}");
    agent.home.ok(
        "package.publish",
        json!({ "package": package, "version": "1.0.0", "elements": defined,
            "files": [{ "path": "values.conf", "mode": "0600", "template": template }] }),
    );
    let root = agent.home.path().join(format!("workspace-{elements}"));
    std::fs::create_dir(&root).expect("a directory");
    let manifest =
        format!("environment = \"personal/development\"\n\n[packages]\n\"{package}\" = \"1.0.0\"\n");
    std::fs::write(root.join("bursar.toml"), manifest).expect("a file");
    let workspace = Workspace { elements, root };
    for arguments in [&["workspace", "trust"][..], &["sync"]] {
        timed(&mut bursar(agent, arguments, &workspace));
    }
    workspace
}
