//! `README.md` works as it stands: every command of the `sh` blocks right after a line `<!-- tour -->`, and every
//! `json` block as a file for `secret create`.

use bursar_tests::binaries::binaries;
use bursar_tests::{Daemon, Home};
use serde_json::{Value, json};
use std::env;
use std::fs;
use std::process::{Command, Stdio};

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");

/// The blocks of README.md that begin with `opening`.
fn blocks(opening: &str) -> Vec<String> {
    let page = fs::read_to_string(README).expect("README.md");
    let blocks: Vec<_> = page
        .split(opening)
        .skip(1)
        .map(|rest| rest.split_once("```").expect("the end of the block").0.to_owned())
        .collect();
    assert!(!blocks.is_empty(), "README.md has no block that begins with {opening:?}");
    blocks
}

#[test]
fn every_line_of_the_tour_works_in_a_shell_of_its_own() {
    let home = Home::new();
    let binaries = binaries().bursar.parent().unwrap().to_owned();
    let mut path = binaries.into_os_string();
    path.push(":");
    path.push(env::var_os("PATH").unwrap_or_default());
    let tour = blocks("<!-- tour -->\n```sh\n").concat();
    let failed = tour.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let run = Command::new("timeout")
            .args(["60", "sh", "-euc", line])
            .env_clear()
            .env("PATH", &path)
            .env("HOME", home.path())
            .env("BURSAR_HOME", home.path().join("home"))
            .current_dir(home.path())
            .stdin(Stdio::null())
            .output()
            .expect("a shell");
        let shown = || [run.stdout, run.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        (!run.status.success()).then(|| format!("{line}: {}\n{}", run.status, shown().concat()))
    });
    // a daemon that the tour started, and did not stop, goes with it
    let socket = home.path().join("home/bursar.sock");
    if socket.exists() {
        home.cli(&["--socket", socket.to_str().unwrap(), "agent", "stop"]);
    }
    assert_eq!(failed, None, "{}", failed.as_deref().unwrap_or_default());
}

#[test]
fn every_json_block_is_a_file_that_create_takes() {
    let home = Home::new();
    // its issuers are asked by way of a proxy that refuses: nothing leaves this machine
    let _daemon = Daemon::start(&home, &[("HTTPS_PROXY", "http://127.0.0.1:1")]);
    home.ok("vault.init", json!({ "key_file": home.key_file() }));
    for (at, block) in blocks("```json\n").iter().enumerate() {
        let (name, file) = (format!("block-{at}"), home.file("block.json", block));
        home.cli(&["secret", "create", &name, "--from-file", file.to_str().unwrap()]).ok();
        let said: Value = serde_json::from_str(block).expect("the block is json");
        let shown = home.cli(&["secret", "show", &name, "--json"]).ok().json();
        assert_eq!(shown["type"], said["type"], "{block}");
    }
}
