//! `bursar get` from fork to exit, beside a bare client and `/bin/true`.

use crate::agent::{Agent, get, name as secret, token};
use crate::machine::{self, Ends};
use crate::table::{Job, print};
use bursar_tests::binaries::{binaries, profile_dir};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Rounds; one run of every program in each.
const ROUNDS: usize = 300;

/// The target whose programs need no dynamic loader.
const MUSL: &str = "x86_64-unknown-linux-musl";

/// A program with its arguments.
struct Entrant {
    name: &'static str,
    command: Command,
    /// Whether the token is in what it prints.
    fetches: bool,
}

pub(crate) fn run() {
    let agent = Agent::with(1);
    let ready = Ready { agent: &agent, dir: profile_dir().join("bench") };
    std::fs::create_dir_all(&ready.dir).expect("a directory beside the binaries");
    let mut remarks = vec!["client and agent on one core; standard output goes nowhere".to_owned()];
    let mut entrants = Vec::new();
    if musl_is_installed() {
        entrants.push(ready.bare("bare client, musl", Some(MUSL)));
        entrants.push(ready.bursar("bursar get, musl", &Ready::build_musl()));
    } else {
        remarks.push(format!("musl skipped: rustup target add {MUSL}"));
    }
    entrants.push(ready.bare("bare client, glibc", None));
    entrants.push(ready.bursar("bursar get, glibc", &binaries().bursar));
    entrants.push(Entrant { name: "/bin/true", command: Command::new("/bin/true"), fetches: false });
    for entrant in &mut entrants {
        let output = entrant.command.output().expect("the program starts");
        assert!(output.status.success(), "{} failed", entrant.name);
        let fetched = String::from_utf8_lossy(&output.stdout).contains(&token());
        assert_eq!(fetched, entrant.fetches, "{} printed something else", entrant.name);
    }
    let mut job = Job::new("fork to exit", "us");
    machine::place(Ends::Together, agent.daemon.pid());
    for _ in 0..ROUNDS {
        for Entrant { name, command, .. } in &mut entrants {
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let start = Instant::now();
            let status = command.status().expect("the program starts");
            job.note(name, start.elapsed().as_secs_f64() * 1e6);
            assert!(status.success(), "{name} failed");
        }
    }
    machine::free();
    print("command: one token by a program", &[job], &remarks);
}

/// What the programs need.
struct Ready<'a> {
    agent: &'a Agent,
    dir: PathBuf,
}

impl Ready<'_> {
    fn bursar(&self, name: &'static str, program: &Path) -> Entrant {
        let mut command = Command::new(program);
        command.arg("get").arg(secret(0)).env_clear().env("BURSAR_HOME", self.agent.home.path());
        Entrant { name, command, fetches: true }
    }

    /// Compiles the bare client.
    fn bare(&self, name: &'static str, target: Option<&str>) -> Entrant {
        let program = self.dir.join(target.map_or("bare", |_| "bare-musl"));
        let mut rustc = Command::new("rustc");
        rustc.args(["--edition", "2024", "-C", "opt-level=3", "-C", "panic=abort", "-C", "strip=symbols"]);
        if let Some(target) = target {
            rustc.args(["--target", target]);
        }
        rustc.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/speed/bare.rs")).arg("-o").arg(&program);
        assert!(rustc.status().expect("rustc runs").success(), "the bare client does not compile");
        let mut command = Command::new(program);
        let request = String::from_utf8(get(&secret(0))).expect("json is text");
        command.arg(self.agent.home.socket()).arg(request).env_clear();
        Entrant { name, command, fetches: true }
    }

    /// Builds `bursar` without a dynamic loader, into the directory of the other binaries.
    fn build_musl() -> PathBuf {
        let target_dir = profile_dir().parent().expect("a profile lies in a target directory").to_owned();
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--release", "--package", "bursar", "--target", MUSL])
            .args(["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"), "--target-dir"])
            .arg(&target_dir)
            .status()
            .expect("cargo runs");
        assert!(status.success(), "cargo could not build bursar for {MUSL}");
        target_dir.join(MUSL).join("release/bursar")
    }
}

fn musl_is_installed() -> bool {
    let output = Command::new("rustc").args(["--print", "target-libdir", "--target", MUSL]).output();
    output.is_ok_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir())
}
