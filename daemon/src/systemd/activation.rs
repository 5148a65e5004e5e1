//! Sockets that systemd handed over (`sd_listen_fds(3)`): known by their names, and refused if they are anything else.

use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;
use rustix::net::{AddressFamily, SocketType};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

/// The name of the socket that speaks our protocol: `FileDescriptorName=api`.
const API: &str = "api";

/// The name of the socket that hands credentials to units: `FileDescriptorName=credentials`.
const CREDENTIALS: &str = "credentials";

/// The name of connections that systemd kept for a daemon that ended before it had answered.
pub(crate) const WAITING: &str = "waiting";

/// The sockets that were handed over.
#[derive(Debug, Default)]
pub(crate) struct Handed {
    /// Where we speak our protocol.
    pub(crate) api: Option<UnixListener>,
    /// Where systemd asks for the credentials of units.
    pub(crate) credentials: Option<UnixListener>,
    /// Who asked there, and still waits.
    pub(crate) waiting: Vec<UnixStream>,
}

/// A socket that cannot be served.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    /// The environment and the descriptors do not fit.
    #[error(
        "the sockets that systemd handed over cannot be counted: LISTEN_FDS and LISTEN_FDNAMES do not fit"
    )]
    Uncounted,
    /// A name that means nothing here. It is systemd's to say, so it may be told.
    #[error("systemd handed over a socket named {0:?}; hint: FileDescriptorName= is {API} or {CREDENTIALS}")]
    Name(String),
    /// Not what is listened on.
    #[error(
        "the socket {0}, which systemd handed over, is no listening unix stream socket; hint: use ListenStream= with a path"
    )]
    Type(&'static str),
    /// A second one of a name.
    #[error("systemd handed over two sockets named {0}; hint: one ListenStream= in each unit")]
    Twice(&'static str),
}

impl Handed {
    /// Takes what was handed over; it must run before there are other threads, as the environment is changed.
    ///
    /// # Errors
    /// A socket of another name or type: whoever wrote the unit expects something that does not happen.
    pub(crate) fn take() -> Result<Self, Unfit> {
        let found = sd_notify::listen_fds_with_names().map_err(|_| Unfit::Uncounted)?;
        let names: Vec<String> = found.map(|(_, name)| name).collect();
        if names.is_empty() {
            return Ok(Self::default());
        }
        let mut sockets = ListenFd::from_env();
        let (family, kind) = (AddressFamily::UNIX.as_raw().into(), SocketType::STREAM.as_raw().cast_signed());
        Self::sort(&names, |at| sockets.take_custom(at, family, kind, "unix stream socket").ok().flatten())
    }

    fn sort(names: &[String], mut take: impl FnMut(usize) -> Option<OwnedFd>) -> Result<Self, Unfit> {
        let mut handed = Self::default();
        for (at, name) in names.iter().enumerate() {
            let (place, name) = match name.as_str() {
                API => (&mut handed.api, API),
                CREDENTIALS => (&mut handed.credentials, CREDENTIALS),
                WAITING => {
                    // one that has gone meanwhile waits for nothing
                    let stream = take(at).map(UnixStream::from);
                    handed.waiting.extend(stream.filter(|stream| stream.set_nonblocking(true).is_ok()));
                    continue;
                }
                other => return Err(Unfit::Name(other.to_owned())),
            };
            let listener = take(at).filter(|socket| socket_acceptconn(socket).unwrap_or(false));
            let listener = listener.map(UnixListener::from).ok_or(Unfit::Type(name))?;
            listener.set_nonblocking(true).map_err(|_| Unfit::Type(name))?;
            if place.replace(listener).is_some() {
                return Err(Unfit::Twice(name));
            }
        }
        Ok(handed)
    }

    /// The path of the socket that speaks our protocol.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        self.api.as_ref()?.local_addr().ok()?.as_pathname().map(ToOwned::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(names: &[&str]) -> Result<Handed, Unfit> {
        let dir = tempfile::tempdir().unwrap();
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        Handed::sort(&names, |at| Some(UnixListener::bind(dir.path().join(at.to_string())).unwrap().into()))
    }

    #[test]
    fn sockets_are_known_by_their_names_in_any_order() {
        let handed = sorted(&["credentials", "api"]).unwrap();
        assert!(handed.path().unwrap().ends_with("1"));
        assert!(handed.credentials.is_some());
        assert!(sorted(&[]).unwrap().api.is_none());
    }

    #[test]
    fn a_name_that_means_nothing_and_one_that_comes_twice_are_refused() {
        assert_eq!(sorted(&["api", "bursar.socket"]).err(), Some(Unfit::Name("bursar.socket".into())));
        assert_eq!(sorted(&["api", "api"]).err(), Some(Unfit::Twice("api")));
    }

    #[test]
    fn what_does_not_listen_is_refused_but_for_those_who_wait() {
        let taken = |name: &str| {
            let (one, _other) = UnixStream::pair().unwrap();
            Handed::sort(&[name.to_owned()], |_| Some(one.try_clone().unwrap().into()))
        };
        assert_eq!(taken(API).err(), Some(Unfit::Type(API)));
        assert_eq!(taken(WAITING).unwrap().waiting.len(), 1);
        assert_eq!(Handed::sort(&[CREDENTIALS.into()], |_| None).err(), Some(Unfit::Type(CREDENTIALS)));
    }

    #[test]
    fn who_hands_nothing_over_gets_nothing_taken() {
        let Ok(Handed { api: None, credentials: None, waiting }) = Handed::take() else { panic!() };
        assert!(waiting.is_empty());
    }
}
