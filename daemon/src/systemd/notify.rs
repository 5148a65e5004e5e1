//! What the service manager is told (`sd_notify(3)`): that the agent is ready, how it stands, that it stops.

use crate::agent::Agent;
use bursar_proto::kind::VaultState;
use sd_notify::NotifyState;
use std::fmt::Write as _;
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};

/// The last status that was told, so that the same is not told again.
#[derive(Default)]
pub(crate) struct Told(Mutex<String>);

/// Tells that requests are answered from now on.
pub(crate) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// Tells that the end has begun.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
}

/// Whether the service manager listens on an abstract socket, as it does for some containers.
pub(crate) fn is_abstract() -> bool {
    crate::config::notify_socket().is_some_and(|name| name.as_encoded_bytes().starts_with(b"@"))
}

/// Tells that the agent lives.
pub(super) fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// Has the service manager keep a connection as well, under a name by which it comes back to the next start: so it does not end
/// with this process. It lets go of it when the other end does (`FileDescriptorStoreMax=`).
pub(crate) fn keep(connection: &impl AsFd, name: &str) {
    let state = [NotifyState::FdStore, NotifyState::FdName(name)];
    if let Err(error) = sd_notify::notify_with_fds(&state, &[connection.as_fd()]) {
        tracing::debug!(reason = %error.kind(), "the service manager keeps no connection");
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(reason = %error.kind(), "the service manager could not be told");
    }
}

impl Agent {
    /// Tells the service manager how the agent stands, if that changed.
    pub(crate) fn tell_status(&self) {
        let text = self.in_a_line();
        let mut told = self.told.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *told != text {
            tell(&[NotifyState::Status(&text)]);
            *told = text;
        }
    }

    /// How it stands: `unlocked, 12 secrets, next exchange at 2026-11-22T06:00:00Z, 1 fails`.
    fn in_a_line(&self) -> String {
        let mut vault = self.vault();
        let catalog = match (vault.state(), vault.problem()) {
            (VaultState::Absent, _) => return "no vault yet: bursar init".into(),
            (VaultState::Locked, Some(problem)) => return format!("locked: {problem}"),
            (VaultState::Locked, None) => return "locked: bursar unlock".into(),
            (VaultState::Unlocked, _) => match vault.unlocked() {
                Ok(unlocked) => &unlocked.catalog,
                Err(error) => return error.to_string(),
            },
        };
        let mut line: String = match catalog.secrets.len() {
            1 => "unlocked, 1 secret".into(),
            n => format!("unlocked, {n} secrets"),
        };
        if let Some(at) = catalog.next_due() {
            // into a string that always works
            let _ = write!(line, ", next exchange at {at}");
        }
        match catalog.secrets.values().filter(|secret| secret.failing()).count() {
            0 => {}
            1 => line += ", 1 fails",
            n => drop(write!(line, ", {n} fail")),
        }
        line
    }
}
