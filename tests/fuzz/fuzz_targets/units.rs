//! What a process may choose that asks for a unit's credential: its address and the names of its control groups. They are read or not,
//! without a panic, and what is read is a plain name that stands there.

#![no_main]

use bursard::fuzz::{claim, units};
use libfuzzer_sys::fuzz_target;

fn is_unit(name: &str) -> bool {
    let ends = [".service", ".socket", ".mount", ".swap"]
        .iter()
        .any(|kind| name.len() > kind.len() && name.ends_with(kind));
    ends && name.len() <= 255 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b":-_.\\@".contains(&b))
}

fuzz_target!(|input: (&[u8], &str, u32)| {
    let (address, cgroup, uid) = input;
    if let Some((unit, credential)) = claim(address) {
        assert!(is_unit(unit));
        assert!(
            credential.len() <= 255
                && credential.bytes().all(|b| b.is_ascii_graphic() && !b"/:".contains(&b))
        );
        assert!(address.ends_with(format!("/unit/{unit}/{credential}").as_bytes()));
    }
    let [system, of_user] = units(cgroup, uid);
    for unit in [system, of_user].into_iter().flatten() {
        assert!(is_unit(unit) && cgroup.contains(unit));
    }
    // a user's own unit is below its manager, which is a unit of the system
    assert!(of_user.is_none() || system == Some(&*format!("user@{uid}.service")));
});
