//! Pages of the documentation as tests see them: their blocks, and the commands in these.

use crate::home::Home;
use crate::unattended::path;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What opens a block whose lines are run, each in a shell of its own.
pub const TOUR: &str = "<!-- tour -->\n```sh\n";

/// A file of the project, by its path from the root.
pub fn page(path: &str) -> String {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The blocks of a page that begin with `opening`; there is one at least.
pub fn blocks(page: &str, opening: &str) -> Vec<String> {
    let blocks: Vec<_> = page
        .split(opening)
        .skip(1)
        .map(|rest| rest.split_once("```").expect("the end of the block").0.to_owned())
        .collect();
    assert!(!blocks.is_empty(), "the page has no block that begins with {opening:?}");
    blocks
}

/// Runs every line of the [`TOUR`] of a page in a shell of its own, in a fresh home; answers the first that fails, with what it
/// said.
pub fn failing_line(page: &str) -> Option<String> {
    let home = Home::new();
    let tour = blocks(page, TOUR).concat();
    let failed = tour.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let run = Command::new("timeout")
            .args(["60", "sh", "-euc", line])
            .env_clear()
            .env("PATH", path())
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
        home.cli(&["--socket", socket.to_str().expect("a path in /tmp"), "agent", "stop"]);
    }
    failed
}
