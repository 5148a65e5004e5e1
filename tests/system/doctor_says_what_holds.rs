//! `bursar doctor` says what protects the agent and what does not: exit code 1 where something has to be mended, 9 where no agent
//! answers, and then it still says where it looked.

use bursar_tests::cli::command;
use bursar_tests::{Home, Machine, Run, open_vault};
use serde_json::{Value, json};
use std::fs;

/// A finding, as the command line says it in JSON.
#[track_caller]
fn finding(run: &Run, about: &str, state: &str) -> Value {
    let answer = run.json();
    let findings = answer["findings"].as_array().unwrap();
    let found = findings.iter().find(|one| one["about"] == about && one["state"] == state);
    found.unwrap_or_else(|| panic!("{about} is not {state}: {answer}")).clone()
}

fn doctor(home: &Home) -> Run {
    home.cli(&["doctor", "--json"])
}

#[test]
fn an_agent_as_it_should_be_has_nothing_to_mend() {
    let (home, _daemon) = open_vault();
    let run = doctor(&home);
    assert_eq!(run.code, 0, "{run:?}");
    for about in
        ["agent", "version", "core files", "dumpable", "new privileges", "vault", "store", "socket", "config"]
    {
        finding(&run, about, "good");
    }
    assert!(finding(&run, "vault", "good")["told"].as_str().unwrap().contains("opened by the key file"));
    assert!(finding(&run, "agent", "good")["told"].as_str().unwrap().contains("BURSAR_HOME says so"));
    let run = home.cli(&["doctor"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.out.starts_with("STATE  ABOUT") && run.out.contains("\ngood   core files"), "{run:?}");
}

#[test]
fn what_has_to_be_mended_is_told_with_its_place_and_ends_with_1() {
    let (home, _daemon) = open_vault();
    home.config("[http]\ntotal_timeout = \"0s\"\n");
    let run = doctor(&home);
    assert_eq!(run.code, 1, "{run:?}");
    let told = finding(&run, "config", "bad");
    let words = told["told"].as_str().unwrap();
    assert!(words.contains("line 2") && words.contains("at least 1s") && !told["hint"].is_null(), "{told}");
    home.config("organization = \"acme\"\n");
    let run = doctor(&home);
    assert_eq!(run.code, 0, "{run:?}");
    finding(&run, "config", "weak");

    fs::rename(home.key_file(), home.path().join("elsewhere")).unwrap();
    let run = doctor(&home);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(finding(&run, "vault", "bad")["told"].as_str().unwrap().contains("is not there"));
    home.ok("vault.lock", json!({}));
    finding(&doctor(&home), "vault", "weak");
}

#[test]
fn a_vault_that_should_have_opened_by_itself_has_to_be_mended() {
    let (home, daemon) = open_vault();
    assert!(daemon.stop().success());
    fs::rename(home.key_file(), home.path().join("elsewhere")).unwrap();
    let _daemon = home.start();
    let run = doctor(&home);
    assert_eq!(run.code, 1, "{run:?}");
    let told = finding(&run, "vault", "bad");
    assert!(told["told"].as_str().unwrap().contains("the key file"), "{told}");
}

#[test]
fn without_an_agent_it_says_where_it_looked() {
    let home = Home::new();
    let run = doctor(&home);
    assert_eq!(run.code, 9, "{run:?}");
    let told = finding(&run, "agent", "bad");
    let words = told["told"].as_str().unwrap();
    assert!(words.contains(home.socket().to_str().unwrap()) && words.contains("BURSAR_HOME"), "{told}");
    assert!(told["hint"].as_str().unwrap().contains("bursar agent start"), "{told}");
}

#[test]
fn a_variable_that_leads_away_from_the_agent_is_told() {
    let (home, _daemon) = open_vault();
    // where this user's agent is usually
    let usual = home.path().join("run/bursar");
    fs::create_dir_all(&usual).unwrap();
    fs::write(usual.join("bursar.sock"), "").unwrap();
    let mut bursar = command(&home, &["doctor", "--json"]);
    bursar.env_remove("BURSAR_HOME").env("BURSAR_SOCK", home.socket());
    let run = Run::of(bursar.env("XDG_RUNTIME_DIR", home.path().join("run")));
    assert_eq!(run.code, 0, "{run:?}");
    let told = finding(&run, "another agent", "weak");
    let words = told["told"].as_str().unwrap();
    assert!(words.contains("BURSAR_SOCK says so") && words.contains("run/bursar/bursar.sock"), "{told}");
}

#[test]
fn a_server_by_its_units_has_nothing_to_mend() {
    let Some(machine) = Machine::boot() else { return };
    machine.install_unlocked_agent();
    let run = machine.run(&["bursar", "doctor", "--json"]);
    assert_eq!(run.code, 0, "{run:?}");
    for about in ["seccomp", "new privileges", "socket", "systemd", "units"] {
        finding(&run, about, "good");
    }
    let told = finding(&run, "vault", "good");
    assert!(told["told"].as_str().unwrap().contains("the credential unlock-key"), "{told}");
}
