//! What `/proc` says of processes: what anybody else on the machine could see, or the same user.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

/// The state of a socket that listens, in `/proc/net/tcp`.
const LISTEN: &str = "0A";

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

/// The open files of a process: what each leads to.
pub fn open_files(pid: u32) -> Vec<PathBuf> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).expect("a process of our own");
    entries.flatten().filter_map(|entry| fs::read_link(entry.path()).ok()).collect()
}

/// The addresses on which a process listens for TCP.
pub fn listening(pid: u32) -> Vec<SocketAddr> {
    let own = open_files(pid);
    let lines =
        ["tcp", "tcp6"].map(|name| String::from_utf8_lossy(&file(pid, &format!("net/{name}"))).into_owned());
    let listens = |line: &str| {
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        let inode = PathBuf::from(format!("socket:[{}]", words.get(9)?));
        (words[3] == LISTEN && own.contains(&inode)).then(|| address(words[1]))?
    };
    lines.iter().flat_map(|table| table.lines().skip(1)).filter_map(listens).collect()
}

/// An address of the kernel's tables: numbers of 32 bits as this machine has them in memory, and a port.
fn address(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let mut bytes = Vec::new();
    for at in (0..host.len()).step_by(8) {
        bytes.extend(u32::from_str_radix(host.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    }
    match (<[u8; 4]>::try_from(&bytes[..]), <[u8; 16]>::try_from(&bytes[..])) {
        (Ok(four), _) => Some((Ipv4Addr::from(four), port).into()),
        (_, Ok(sixteen)) => Some((Ipv6Addr::from(sixteen), port).into()),
        _ => None,
    }
}
