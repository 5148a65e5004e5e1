//! Who is on the other end: what the kernel vouches for, asked before a byte is read.

use crate::policy::Principal;
use std::sync::{Arc, OnceLock};
use tokio::net::UnixStream;

/// The process on a connection.
pub(crate) struct Caller {
    uid: u32,
    pid: Option<i32>,
    principal: Principal,
    executable: OnceLock<Option<Arc<str>>>,
}

impl Caller {
    /// Asks the kernel. Only the daemon's own user is its owner.
    ///
    /// # Errors
    /// The kernel does not say.
    pub(crate) fn of(stream: &UnixStream) -> std::io::Result<Self> {
        let peer = stream.peer_cred()?;
        let own = peer.uid() == rustix::process::geteuid().as_raw();
        let principal = if own { Principal::Owner } else { Principal::Stranger };
        Ok(Self { uid: peer.uid(), pid: peer.pid(), principal, executable: OnceLock::new() })
    }

    /// This process itself, as its own caller.
    #[cfg(test)]
    pub(crate) fn own() -> Self {
        Self { uid: 0, pid: None, principal: Principal::Owner, executable: OnceLock::new() }
    }

    /// The user id, as of the connect.
    pub(crate) fn uid(&self) -> u32 {
        self.uid
    }

    /// As whom the process acts.
    pub(crate) fn principal(&self) -> Principal {
        self.principal
    }

    /// The path of its executable, read when it is first wanted. A hint for people, not a proof: the process
    /// may have ended, and its number may be another's by then.
    pub(crate) fn executable(&self) -> Option<&Arc<str>> {
        self.executable
            .get_or_init(|| {
                let path = std::fs::read_link(format!("/proc/{}/exe", self.pid?)).ok()?;
                Some(path.to_string_lossy().into())
            })
            .as_ref()
    }
}
