//! The tour in `README.md` works as it stands: every `sh` block right after a line `<!-- tour -->`, in one shell.

use bursar_tests::Home;
use bursar_tests::binaries::binaries;
use std::env;
use std::fs;
use std::process::{Command, Stdio};

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");

fn tour() -> String {
    let page = fs::read_to_string(README).expect("README.md");
    let blocks: Vec<&str> = page
        .split("<!-- tour -->\n```sh\n")
        .skip(1)
        .map(|rest| rest.split_once("```").expect("the end of the block").0)
        .collect();
    assert!(!blocks.is_empty(), "README.md has no block of sh after a line <!-- tour -->");
    blocks.concat()
}

#[test]
fn every_line_of_the_tour_works() {
    let home = Home::new();
    let binaries = binaries().bursar.parent().unwrap().to_owned();
    let mut path = binaries.into_os_string();
    path.push(":");
    path.push(env::var_os("PATH").unwrap_or_default());
    // -e ends at the first line that fails, -x says which
    let run = Command::new("timeout")
        .args(["60", "sh", "-eux", "-c", &tour()])
        .env_clear()
        .env("PATH", path)
        .env("HOME", home.path())
        .env("BURSAR_HOME", home.path().join("home"))
        .current_dir(home.path())
        .stdin(Stdio::null())
        .output()
        .expect("a shell");
    // a daemon that the tour started, and did not stop, goes with it
    let socket = home.path().join("home/bursar.sock");
    if socket.exists() {
        home.cli(&["--socket", socket.to_str().unwrap(), "agent", "stop"]);
    }
    let shown = [run.stdout, run.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(run.status.success(), "{}\n{}", shown[0], shown[1]);
}
