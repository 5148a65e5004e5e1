//! Who is on the other end: what the kernel vouches for, asked before a byte is read.

pub(crate) mod address;
mod process;
pub(crate) mod unit;

use crate::access::Facts;
use crate::config::{Config, Paths};
use crate::harden::looker::{self, Awaited};
use crate::policy::Principal;
use address::Claim;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use tokio::net::UnixStream;
use unit::{unit_of, user_unit_of};

/// The service manager whose units the config means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manager {
    /// That of the system.
    System,
    /// That of the daemon's own user.
    User(u32),
}

impl Manager {
    /// The one under which a daemon with these places runs.
    pub(crate) fn of(paths: &Paths) -> Self {
        if paths.system { Self::System } else { Self::User(rustix::process::geteuid().as_raw()) }
    }

    /// As whom it fetches the credentials of units.
    fn uid(self) -> u32 {
        match self {
            Self::System => 0,
            Self::User(uid) => uid,
        }
    }

    /// Its unit in which a process of `uid` runs.
    fn unit(self, cgroup: &str, uid: u32) -> Option<&str> {
        match self {
            Self::System => unit_of(cgroup),
            Self::User(own) => user_unit_of(cgroup, own).filter(|_| uid == own),
        }
    }
}

/// The process on a connection.
pub(crate) struct Caller {
    uid: u32,
    pid: Option<i32>,
    principal: Principal,
    unit: Option<Arc<str>>,
    executable: LazyLock<Option<Arc<str>>, Awaited>,
}

impl Caller {
    /// Asks the kernel who it is, and the config as whom it acts. Of the daemon's own user nothing further is asked, unless the table
    /// of units has rules.
    ///
    /// # Errors
    /// The kernel does not say.
    pub(crate) fn of(stream: &UnixStream, config: &Config, manager: Manager) -> std::io::Result<Self> {
        let (uid, gid, pid) = asked(stream)?;
        let is_own = uid == rustix::process::geteuid().as_raw();
        let asks = !is_own && config.access.asks_the_process() || !config.credential.is_empty();
        let mut facts = Facts { uid, gid, ..Facts::default() };
        let cgroup = pid.filter(|_| asks).and_then(|pid| process::look(stream, pid, &mut facts));
        let unit: Option<Arc<str>> = cgroup.and_then(|cgroup| Some(manager.unit(&cgroup, uid)?.into()));
        let principal = if is_own { Principal::Own } else { config.access.principal(&facts) };
        let principal = match (principal, &unit) {
            // it is let in for what the table hands it, and has no role
            (Principal::Stranger, Some(unit)) if config.credential.name(unit) => {
                Principal::Admitted(Arc::default())
            }
            (principal, _) => principal,
        };
        Ok(Self::new(uid, pid, principal, unit))
    }

    /// Who turned out to be this. The path of its executable is looked for meanwhile.
    fn new(uid: u32, pid: Option<i32>, principal: Principal, unit: Option<Arc<str>>) -> Self {
        let asked = pid.map(looker::executable);
        let executable = LazyLock::new(asked.unwrap_or_else(|| Box::new(|| None)));
        Self { uid, pid, principal, unit, executable }
    }

    /// This process itself, as its own caller.
    #[cfg(test)]
    pub(crate) fn own() -> Self {
        Self::new(0, None, Principal::Own, None)
    }

    /// A process of a unit that the table names.
    #[cfg(test)]
    pub(crate) fn of_unit(unit: &str) -> Self {
        Self { unit: Some(unit.into()), ..Self::of_user(7) }
    }

    /// A process of another user, whom the config lets in without a role.
    #[cfg(test)]
    pub(crate) fn of_user(uid: u32) -> Self {
        let principal = Principal::Admitted(Arc::default());
        Self::new(uid, None, principal, None)
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

    /// The unit in which it runs, where the table of units has rules.
    pub(crate) fn unit(&self) -> Option<&str> {
        self.unit.as_deref()
    }

    /// The path of its executable. A hint for people, not a proof: the process
    /// may have ended, and its number may be another's by then.
    pub(crate) fn executable(&self) -> Option<&Arc<str>> {
        self.executable.as_ref()
    }
}

/// Who came to the socket for credentials of units, where nobody is read from.
pub(crate) enum Fetcher {
    /// The service manager, in the unit that is about to start, for that credential.
    Manager(Caller, String),
    /// Anybody else: why that is known.
    Doubtful(Caller, &'static str),
}

impl Fetcher {
    /// Asks the kernel whose process it is, what its address says, and whether it is in that very unit.
    ///
    /// # Errors
    /// The kernel does not say whose it is.
    pub(crate) fn of(stream: &UnixStream, manager: Manager) -> std::io::Result<Self> {
        let (uid, _, pid) = asked(stream)?;
        let caller = |principal, unit| Caller::new(uid, pid, principal, unit);
        let doubtful = |why| Ok(Self::Doubtful(caller(Principal::Stranger, None), why));
        if uid != manager.uid() {
            return doubtful("it is not the service manager's user");
        }
        let address = SocketAddr::from(stream.peer_addr()?);
        let Some(claim) = address.as_abstract_name().and_then(Claim::read) else {
            return doubtful("its address is none that a service manager takes for a unit");
        };
        let cgroup = pid.and_then(|pid| process::cgroup_of_trusted(stream, pid));
        let Some(cgroup) = cgroup else {
            return doubtful("its control group cannot be read");
        };
        if manager.unit(&cgroup, uid) != Some(claim.unit) {
            return doubtful("it is not in the control group of the unit that its address names");
        }
        let fetching = caller(Principal::Admitted(Arc::default()), Some(claim.unit.into()));
        Ok(Self::Manager(fetching, claim.credential.to_owned()))
    }
}

/// User, group and process at the other end. A process of a namespace that is not shown here has the number 0, and so none.
fn asked(stream: &UnixStream) -> std::io::Result<(u32, u32, Option<i32>)> {
    let peer = stream.peer_cred()?;
    Ok((peer.uid(), peer.gid(), peer.pid().filter(|pid| *pid > 0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::UnixListener;

    fn config(text: &str) -> Config {
        toml::from_str(text).unwrap()
    }

    /// The accepted end of a connection from an abstract address.
    async fn connection_from(address: &[u8]) -> (UnixStream, std::os::unix::net::UnixStream) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let kind = rustix::net::SocketType::STREAM;
        let socket = rustix::net::socket(rustix::net::AddressFamily::UNIX, kind, None).unwrap();
        rustix::net::bind(&socket, &rustix::net::SocketAddrUnix::new_abstract_name(address).unwrap())
            .unwrap();
        rustix::net::connect(&socket, &rustix::net::SocketAddrUnix::new(&path).unwrap()).unwrap();
        (listener.accept().await.unwrap().0, socket.into())
    }

    #[tokio::test]
    async fn a_service_manager_is_known_by_user_address_and_control_group() {
        let own = rustix::process::geteuid().as_raw();
        let told = |fetcher| match fetcher {
            Fetcher::Manager(..) => "manager",
            Fetcher::Doubtful(_, why) => why,
        };
        let number = std::process::id();
        for (address, manager, expected) in [
            (format!("{number:x}/unit/a.service/x"), Manager::User(own), "it is not in the control group"),
            (
                format!("{number:x}/unit/a.service/x"),
                Manager::User(own + 1),
                "it is not the service manager's user",
            ),
            (format!("{number:x}/unit/a.service"), Manager::User(own), "its address is none"),
        ] {
            let (stream, _peer) = connection_from(address.as_bytes()).await;
            let fetcher = told(Fetcher::of(&stream, manager).unwrap());
            assert!(fetcher.starts_with(expected), "{address}: {fetcher}");
        }
        let (unnamed, _peer) = UnixStream::pair().unwrap();
        assert!(told(Fetcher::of(&unnamed, Manager::User(own)).unwrap()).starts_with("its address is none"));
    }

    #[test]
    fn each_manager_has_its_own_units() {
        let system = "0::/system.slice/app.service\n";
        let user = "0::/user.slice/user-7.slice/user@7.service/app.slice/app.service\n";
        assert_eq!(Manager::System.unit(system, 33), Some("app.service"));
        assert_eq!(Manager::System.unit(user, 7), Some("user@7.service"));
        assert_eq!(Manager::User(7).unit(user, 7), Some("app.service"));
        assert_eq!((Manager::User(7).unit(user, 8), Manager::User(7).unit(system, 7)), (None, None));
        assert_eq!((Manager::System.uid(), Manager::User(7).uid()), (0, 7));
    }

    #[tokio::test]
    async fn the_daemons_own_user_is_itself_whatever_the_rules_say() {
        let (stream, _peer) = UnixStream::pair().unwrap();
        let own = rustix::process::geteuid().as_raw();
        let config = config(&format!("[access]\nadmit = ['uid {own}', 'unit a.service']"));
        let caller = Caller::of(&stream, &config, Manager::System).unwrap();
        assert_eq!(caller.principal(), &Principal::Own);
        assert_eq!(caller.uid(), own);
        assert_eq!(caller.pid(), i32::try_from(std::process::id()).ok());
    }
}
