//! Other users: what is done under another user id. Only root can.

use rustix::process::{Gid, Uid, geteuid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use std::thread;

/// Whether this process may become other users; says so on standard error where it may not.
#[expect(clippy::print_stderr, reason = "a test says what it leaves out")]
pub fn can_become_others() -> bool {
    let is_root = geteuid().is_root();
    if !is_root {
        eprintln!("needs root, to become other users");
    }
    is_root
}

/// Does `work` on a thread that has become the user `uid`, of the group of that number and no other.
pub fn as_user<T: Send>(uid: u32, work: impl FnOnce() -> T + Send) -> T {
    let become_and_work = move || {
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(uid));
        set_thread_groups(&[]).expect("root gives up its groups");
        set_thread_res_gid(gid, gid, gid).expect("root becomes a group");
        set_thread_res_uid(uid, uid, uid).expect("root becomes a user");
        work()
    };
    thread::scope(|scope| scope.spawn(become_and_work).join().expect("a thread of another user ends"))
}
