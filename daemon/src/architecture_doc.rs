//! Holds the code map of `docs/architecture.md` to the files: none is missing there, and none that stands there is gone.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const DOCUMENT: &str = include_str!("../../docs/architecture.md");
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const SOURCES: [&str; 3] = ["proto/src", "daemon/src", "agent-cli/src"];

/// Every source file, as the document writes its path. A `tests.rs` belongs to the module beside it.
fn sources() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut left = SOURCES.map(str::to_owned).to_vec();
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(Path::new(ROOT).join(&directory)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let path = format!("{directory}/{name}");
            if entry.file_type().unwrap().is_dir() {
                left.push(path);
            } else if is_rust(&name) && name != "tests.rs" {
                found.insert(path);
            }
        }
    }
    found
}

/// What stands in the first column of the code map.
fn mapped() -> BTreeSet<String> {
    let rows = DOCUMENT.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    rows.map(|(path, _)| path.to_owned()).filter(|path| is_rust(path)).collect()
}

#[test]
fn the_code_map_has_every_file_and_no_other() {
    let (sources, mapped) = (sources(), mapped());
    let missing: Vec<_> = sources.difference(&mapped).collect();
    let gone: Vec<_> = mapped.difference(&sources).collect();
    assert!(missing.is_empty() && gone.is_empty(), "not in the code map: {missing:?}; not there: {gone:?}");
}

#[test]
fn every_path_in_the_text_exists() {
    let paths: Vec<_> = DOCUMENT.split('`').skip(1).step_by(2).filter(|word| is_rust(word)).collect();
    assert!(paths.iter().any(|path| path.contains('/')), "no path was found");
    for path in paths.into_iter().filter(|path| path.contains('/')) {
        assert!(
            Path::new(ROOT).join(path).is_file(),
            "docs/architecture.md names {path}, which is not there"
        );
    }
}

#[test]
fn every_test_that_an_invariant_names_exists() {
    let mut code = String::new();
    let system = fs::read_dir(Path::new(ROOT).join("tests/system")).unwrap();
    let mut files: Vec<_> = system.map(|entry| entry.unwrap().path()).collect();
    let mut left: Vec<_> = SOURCES.iter().map(|source| Path::new(ROOT).join(source)).collect();
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { left.push(path) } else { files.push(path) }
        }
    }
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "rs")) {
        code += &fs::read_to_string(file).unwrap();
    }
    let (_, invariants) = DOCUMENT.split_once("## Invariants").unwrap();
    let (invariants, _) = invariants.split_once("\n## ").unwrap();
    // a test's name is a sentence: it has three words or more
    let names = invariants.split('`').skip(1).step_by(2).filter(|word| {
        word.matches('_').count() >= 2
            && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit())
    });
    let names: Vec<_> = names.collect();
    assert!(names.len() >= 10, "{names:?}");
    for name in names {
        assert!(
            code.contains(&format!("fn {name}(")),
            "docs/architecture.md names the test {name}, which is not there"
        );
    }
}

fn is_rust(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == "rs")
}
