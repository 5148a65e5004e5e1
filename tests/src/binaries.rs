//! The binaries under test: built once, with the profile of the tests, into the same target directory.
//!
//! `BURSAR_TEST_BIN_DIR` names a directory with ready ones instead.

use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// Where the two binaries are.
#[derive(Debug)]
pub struct Binaries {
    /// The daemon.
    pub bursard: PathBuf,
    /// The command line.
    pub bursar: PathBuf,
}

/// The binaries, built when first asked for.
pub fn binaries() -> &'static Binaries {
    static BUILT: OnceLock<Binaries> = OnceLock::new();
    BUILT.get_or_init(|| {
        let dir = env::var_os("BURSAR_TEST_BIN_DIR").map_or_else(build, PathBuf::from);
        let found = Binaries { bursard: dir.join("bursard"), bursar: dir.join("bursar") };
        for file in [&found.bursard, &found.bursar] {
            assert!(file.is_file(), "there is no binary {}", file.display());
        }
        found
    })
}

/// The directory that holds this run's build: `target/debug` or its like.
pub fn profile_dir() -> PathBuf {
    let test = env::current_exe().expect("a test knows its own path");
    test.ancestors().nth(2).expect("a test lies in target/PROFILE/deps").to_path_buf()
}

fn build() -> PathBuf {
    let dir = profile_dir();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--package", "bursard", "--package", "bursar"]);
    cargo.arg("--manifest-path").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"));
    cargo.arg("--target-dir").arg(dir.parent().expect("a profile lies in a target directory"));
    match dir.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => {}
        Some(profile) => {
            cargo.args(["--profile", profile]);
        }
    }
    // what cargo told this test about itself is not for the build
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR") {
            cargo.env_remove(name);
        }
    }
    let status = cargo.status().expect("cargo runs");
    assert!(status.success(), "cargo could not build bursard and bursar");
    dir
}
