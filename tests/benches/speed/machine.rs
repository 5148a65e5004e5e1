//! What the kernel says: cores, CPU time, resident memory.

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::fs;
use std::sync::OnceLock;
use std::time::Duration;

/// The cores that this process may run on, as they were when it started.
fn all() -> &'static CpuSet {
    static ALL: OnceLock<CpuSet> = OnceLock::new();
    ALL.get_or_init(|| sched_getaffinity(None).expect("the kernel knows our cores"))
}

/// Where the two ends of a conversation run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ends {
    /// Both on one core: no wake-up crosses cores.
    Together,
    /// Each on a core of its own, where there are two.
    Apart,
}

/// Puts this thread and the main thread of `server` where `ends` says.
pub(crate) fn place(ends: Ends, server: u32) {
    let cores: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|core| all().is_set(*core)).collect();
    let (first, last) = (cores[0], cores[cores.len() - 1]);
    let (ours, theirs) = match ends {
        Ends::Together => (only(first), only(first)),
        Ends::Apart => (only(last), only(first)),
    };
    sched_setaffinity(None, &ours).expect("our own thread");
    sched_setaffinity(Some(pid(server)), &theirs).expect("our own child");
}

/// Lets this thread run anywhere again; what it starts inherits that.
pub(crate) fn free() {
    sched_setaffinity(None, all()).expect("our own thread");
}

/// How many cores there are to run on.
pub(crate) fn cores() -> u32 {
    all().count()
}

fn only(core: usize) -> CpuSet {
    let mut set = CpuSet::new();
    set.set(core);
    set
}

fn pid(process: u32) -> Pid {
    i32::try_from(process).ok().and_then(Pid::from_raw).expect("a process id")
}

/// Does `work`, and answers with what it came to and the CPU time that the main thread of `process` took meanwhile.
pub(crate) fn cpu_during<T>(process: u32, work: impl FnOnce() -> T) -> (T, Duration) {
    let before = cpu_time(process);
    let came = work();
    (came, cpu_time(process).saturating_sub(before))
}

/// CPU time of the main thread of `process` since it started.
pub(crate) fn cpu_time(process: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/schedstat")).expect("schedstat of our own child");
    let nanoseconds = stat.split(' ').next().and_then(|word| word.parse().ok());
    Duration::from_nanos(nanoseconds.expect("schedstat begins with the time on a core"))
}

/// Resident memory of `process`, in KiB.
pub(crate) fn resident(process: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("status of our own child");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).expect("VmRSS in KiB")
}
