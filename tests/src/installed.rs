//! Packages from `PyPI` and npm, in versions pinned beside the code that needs them.
//!
//! They are installed once into `target/issuers`, named by the hash of what pins them; a lock file keeps parallel
//! tests from installing twice.

use crate::binaries::profile_dir;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The directory of the npm packages that the lock file in `pins` names; answers its `package.json`.
pub(crate) fn from_npm(name: &str, pins: &str) -> PathBuf {
    let files = ["package.json", "package-lock.json"];
    let modules = installed(name, pins, &files, |dir| {
        for file in files {
            fs::copy(format!("{pins}/{file}"), dir.join(file)).expect("a copy beside the packages");
        }
        run("npm", "nodejs and npm", dir, &["ci", "--silent", "--no-audit", "--no-fund"]);
    });
    modules.join("package.json")
}

/// A virtual environment with the packages that `requirements.txt` in `pins` names; answers its Python.
pub(crate) fn from_pypi(name: &str, pins: &str) -> PathBuf {
    let venv = installed(name, pins, &["requirements.txt"], |dir| {
        run("python3", "python3 and python3-venv", dir, &["-m", "venv", "."]);
        let pip = dir.join("bin/pip");
        let pip = pip.to_str().expect("a target directory in UTF-8");
        let pins = format!("{pins}/requirements.txt");
        run(pip, "python3-venv", dir, &["install", "--quiet", "--no-deps", "--requirement", &pins]);
    });
    venv.join("bin/python")
}

/// The directory of packages that `files` in `pins` pin, made by `install` if nobody has yet.
fn installed(name: &str, pins: &str, files: &[&str], install: impl FnOnce(&Path)) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    for file in files {
        fs::read(format!("{pins}/{file}")).expect("the file that pins versions").hash(&mut hasher);
    }
    let root = profile_dir().parent().expect("a target directory").join("issuers");
    fs::create_dir_all(&root).expect("a directory for packages");
    let dir = root.join(format!("{name}-{:016x}", hasher.finish()));
    let lock = File::create(root.join(format!("{name}.lock"))).expect("a lock file");
    lock.lock().expect("the lock of the installation");
    let done = dir.join(".installed");
    if !done.exists() {
        // what an interrupted installation left is not to be trusted
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir(&dir).expect("a directory for these packages");
        install(&dir);
        File::create(done).expect("a mark");
    }
    dir
}

fn run(program: &str, packages: &str, dir: &Path, arguments: &[&str]) {
    let status = Command::new(program)
        .args(arguments)
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .unwrap_or_else(|error| panic!("{program}: {error}; on Debian: apt-get install {packages}"));
    assert!(status.success(), "{program} failed ({status}); on Debian: apt-get install {packages}");
}
