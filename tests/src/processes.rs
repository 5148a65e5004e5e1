//! What `/proc` says of processes: what anybody else on the machine could see, or the same user.

use std::fs;
use std::path::PathBuf;

/// The processes that run now.
pub fn all() -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("a /proc");
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// A file of a process; nothing where it has ended, or is not ours.
pub fn file(pid: u32, name: &str) -> Vec<u8> {
    fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default()
}

/// Where a link of a process leads.
pub fn link(pid: u32, name: &str) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/{name}")).ok()
}

/// The arguments of a process, with spaces between them.
pub fn arguments(pid: u32) -> String {
    String::from_utf8_lossy(&file(pid, "cmdline")).replace('\0', " ")
}

/// A number in the status of a process.
pub fn number(pid: u32, field: &str) -> Option<u32> {
    let status = String::from_utf8_lossy(&file(pid, "status")).into_owned();
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':').map(str::to_owned));
    line?.split_whitespace().next()?.parse().ok()
}

/// The processes that have `text` among the bytes of this file of theirs.
pub fn with(text: &str, name: &str) -> Vec<u32> {
    let has = |pid: &u32| file(*pid, name).windows(text.len()).any(|part| part == text.as_bytes());
    all().into_iter().filter(has).collect()
}
