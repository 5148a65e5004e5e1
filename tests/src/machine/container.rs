//! The container of a machine, booted.

use super::place::Place;
use crate::patience::until;
use std::fs::{self, File};
use std::process::{Child, Command, Stdio};

/// Calls that a container usually keeps from its services, and a machine does not.
const CALLS: &str = "@memlock memfd_secret landlock_create_ruleset landlock_add_rule landlock_restrict_self";

/// A container that was booted.
#[derive(Debug)]
pub(super) struct Container {
    child: Child,
    first: u32,
}

impl Container {
    /// Boots what is in `place`, and waits until all of it is up.
    pub(super) fn booted(place: &Place) -> Self {
        let mut nspawn = place.grouped("systemd-nspawn");
        nspawn.args(["--quiet", "--boot", "--register=no", "--keep-unit", "--private-network"]);
        nspawn.args(["--console=pipe", "--link-journal=no", "--timezone=off", "--capability=CAP_IPC_LOCK"]);
        nspawn.arg(format!("--system-call-filter={CALLS}")).arg("--machine").arg(place.name());
        nspawn.arg("--directory").arg(place.root());
        // as on a machine of today, whatever this host has
        nspawn.env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1");
        let console = File::create(place.console()).expect("a file of ours");
        let errors = console.try_clone().expect("one more handle");
        let child = nspawn.stdin(Stdio::null()).stdout(console).stderr(errors).spawn();
        let mut child = child.expect("util-linux is there");
        let mut up = || {
            if let Some(status) = child.try_wait().expect("our own child") {
                let console = fs::read(place.console()).unwrap_or_default();
                panic!("a machine ended with {status}:\n{}", String::from_utf8_lossy(&console));
            }
            let first = first(child.id())?;
            is_up(first).then_some(first)
        };
        let first = until("a machine is up", &mut up);
        Self { child, first }
    }

    /// The process that is the first one in it.
    pub(super) fn first(&self) -> u32 {
        self.first
    }

    /// Waits until it is down.
    pub(super) fn wait(&mut self) {
        until("a machine is down", || self.child.try_wait().expect("our own child"));
    }
}

/// The child of `nspawn` that is the first process of its container, once it is systemd and nothing that leads there.
fn first(nspawn: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{nspawn}/task/{nspawn}/children")).ok()?;
    children.split_whitespace().find_map(|child| {
        let status = fs::read_to_string(format!("/proc/{child}/status")).ok()?;
        let has = |name: &str, value: &str| {
            status.lines().any(|line| line.starts_with(name) && line.ends_with(&format!("\t{value}")))
        };
        (has("Name:", "systemd") && has("NSpid:", "1")).then(|| child.parse().ok())?
    })
}

/// Whether all units of the machine have come up, or tried.
fn is_up(first: u32) -> bool {
    let mut ask = Command::new("nsenter");
    ask.args(["--all", "--target", &first.to_string(), "systemctl", "is-system-running", "--wait"]);
    let said = ask.stdin(Stdio::null()).output().expect("util-linux is there");
    matches!(said.stdout.trim_ascii(), b"running" | b"degraded")
}
