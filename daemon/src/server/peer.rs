//! Who is on the other end: what the kernel vouches for, asked before a byte is read.

mod process;
mod unit;

use crate::access::{Access, Facts};
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
    /// Asks the kernel who it is, and `access` as whom it acts. Of the daemon's own user nothing further is asked.
    ///
    /// # Errors
    /// The kernel does not say.
    pub(crate) fn of(stream: &UnixStream, access: &Access) -> std::io::Result<Self> {
        let peer = stream.peer_cred()?;
        // a process of a namespace that is not shown here has the number 0
        let pid = peer.pid().filter(|pid| *pid > 0);
        let principal = if peer.uid() == rustix::process::geteuid().as_raw() {
            Principal::Own
        } else {
            let mut facts = Facts { uid: peer.uid(), gid: peer.gid(), ..Facts::default() };
            if let Some(pid) = pid.filter(|_| access.asks_the_process()) {
                process::look(stream, pid, &mut facts);
            }
            access.principal(&facts)
        };
        Ok(Self { uid: peer.uid(), pid, principal, executable: OnceLock::new() })
    }

    /// This process itself, as its own caller.
    #[cfg(test)]
    pub(crate) fn own() -> Self {
        Self { uid: 0, pid: None, principal: Principal::Own, executable: OnceLock::new() }
    }

    /// A process of another user, whom the config lets in without a role.
    #[cfg(test)]
    pub(crate) fn of_user(uid: u32) -> Self {
        let principal = Principal::Admitted(Arc::default());
        Self { uid, pid: None, principal, executable: OnceLock::new() }
    }

    /// The user id, as of the connect.
    pub(crate) fn uid(&self) -> u32 {
        self.uid
    }

    /// The process id, as of the connect; none where the daemon's namespace does not show it.
    pub(crate) fn pid(&self) -> Option<i32> {
        self.pid
    }

    /// As whom the process acts.
    pub(crate) fn principal(&self) -> &Principal {
        &self.principal
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_daemons_own_user_is_itself_whatever_the_rules_say() {
        let (stream, _peer) = UnixStream::pair().unwrap();
        let own = rustix::process::geteuid().as_raw();
        let access: Access = toml::from_str(&format!("admit = ['uid {own}', 'unit a.service']")).unwrap();
        let caller = Caller::of(&stream, &access).unwrap();
        assert_eq!(caller.principal(), &Principal::Own);
        assert_eq!(caller.uid(), own);
        assert_eq!(caller.pid(), i32::try_from(std::process::id()).ok());
    }
}
