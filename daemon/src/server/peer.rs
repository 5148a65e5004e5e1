//! Who is on the other end: what the kernel vouches for, asked before a byte is read.

use crate::policy::Principal;
use std::sync::{Arc, OnceLock};
use tokio::net::UnixStream;

/// Why a peer is not let in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// The kernel does not say who it is.
    #[error("the system does not say who connects")]
    Unknown,
    /// Another user.
    #[error("this agent serves another user")]
    OtherUser,
}

/// The process on a connection.
pub(crate) struct Caller {
    uid: u32,
    pid: Option<i32>,
    principal: Principal,
    executable: OnceLock<Option<Arc<str>>>,
}

impl Caller {
    /// Asks the kernel, and lets in only the daemon's own user.
    pub(crate) fn of(stream: &UnixStream) -> Result<Self, Refusal> {
        let peer = stream.peer_cred().map_err(|_| Refusal::Unknown)?;
        if peer.uid() != rustix::process::geteuid().as_raw() {
            return Err(Refusal::OtherUser);
        }
        Ok(Self { uid: peer.uid(), pid: peer.pid(), principal: Principal::Owner, executable: OnceLock::new() })
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
