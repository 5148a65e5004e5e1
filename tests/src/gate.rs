//! A gate before an issuer: a port of its own that passes everything on, or where nobody comes in.
//!
//! Shut, it is an issuer behind a network that swallows: who knocks gets neither a connection nor a refusal.

use crate::patience::until;
use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket};
use std::fs;
use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// The state of a connection that was asked for and not taken, in `/proc/net/tcp`.
const SYN_SENT: &str = "02";

/// Who is not let in within this time finds the queue full; on loopback a connection is a matter of microseconds.
const FULL: Duration = Duration::from_secs(1);

/// A port that is taken and that nobody listens on: whoever knocks is refused, whatever else this machine runs.
#[derive(Debug)]
pub struct Wall {
    port: u16,
    _socket: OwnedFd,
}

impl Wall {
    /// A new one.
    pub fn new() -> Self {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = getsockname(&socket).expect("the address of a socket");
        let address: SocketAddrV4 = address.try_into().expect("an address of this kind");
        Self { port: address.port(), _socket: socket }
    }

    /// A token endpoint there.
    pub fn token_url(&self) -> String {
        format!("http://127.0.0.1:{}/token", self.port)
    }
}

impl Default for Wall {
    fn default() -> Self {
        Self::new()
    }
}

/// The gate; open at first. It goes with the value.
#[derive(Debug)]
pub struct Gate {
    port: u16,
    to: SocketAddr,
    shut: Arc<AtomicBool>,
    /// Both ends of what passes through.
    passing: Arc<Mutex<Vec<TcpStream>>>,
    /// Says that nothing more is accepted.
    parked: Receiver<()>,
    /// Lets the doorkeeper go on.
    opened: Sender<()>,
    /// Takes the one place in the queue of a shut gate.
    filler: Option<TcpStream>,
}

impl Gate {
    /// A gate before what listens at `url`.
    pub fn before(url: &str) -> Self {
        let listener = narrow_listener().expect("a port on loopback");
        let port = listener.local_addr().expect("a bound listener").port();
        let (_, rest) = url.split_once("://").expect("an address");
        let to = rest.split('/').next().and_then(|authority| authority.parse().ok());
        let to = to.unwrap_or_else(|| panic!("no address with a port: {url}"));
        let (shut, passing) = (Arc::<AtomicBool>::default(), Arc::<Mutex<Vec<TcpStream>>>::default());
        let (now_parked, parked) = channel();
        let (opened, until_opened) = channel();
        let keeper = Keeper { listener, to, shut: shut.clone(), passing: passing.clone() };
        thread::spawn(move || keeper.run(&now_parked, &until_opened));
        Self { port, to, shut, passing, parked, opened, filler: None }
    }

    /// The same address through the gate.
    pub fn through(&self, url: &str) -> String {
        url.replacen(&self.to.to_string(), &format!("127.0.0.1:{}", self.port), 1)
    }

    /// Shuts it, and cuts what passes through.
    pub fn shut(&mut self) {
        self.shut.store(true, Ordering::SeqCst);
        let here = (Ipv4Addr::LOCALHOST, self.port).into();
        let knock = || TcpStream::connect_timeout(&here, FULL).ok();
        // wakes the doorkeeper, who then sees that it is shut
        drop(knock());
        self.parked.recv().expect("a doorkeeper");
        // none where somebody else just took the place
        self.filler = knock();
        let mut passing = self.passing.lock().unwrap_or_else(PoisonError::into_inner);
        for stream in passing.drain(..) {
            // the other end may be gone already
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Opens it: whoever still knocks comes in.
    pub fn open(&mut self) {
        self.shut.store(false, Ordering::SeqCst);
        self.filler = None;
        self.opened.send(()).expect("a doorkeeper");
    }

    /// Waits until somebody knocks in vain.
    pub fn until_knocked(&self) {
        let here = format!("0100007F:{:04X}", self.port);
        until("somebody knocks at the gate", || {
            let table = fs::read_to_string("/proc/net/tcp").expect("a table of connections");
            let knocks = |line: &str| {
                let mut fields = line.split_whitespace().skip(2);
                fields.next() == Some(&here) && fields.next() == Some(SYN_SENT)
            };
            table.lines().any(knocks).then_some(())
        });
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if !self.shut.load(Ordering::SeqCst) {
            self.shut();
        }
        // the doorkeeper ends with the channel
    }
}

/// Accepts while the gate is open.
struct Keeper {
    listener: TcpListener,
    to: SocketAddr,
    shut: Arc<AtomicBool>,
    passing: Arc<Mutex<Vec<TcpStream>>>,
}

impl Keeper {
    fn run(self, parked: &Sender<()>, opened: &Receiver<()>) {
        for stream in self.listener.incoming().flatten() {
            if !self.shut.load(Ordering::SeqCst) {
                // a connection that ends at once is its end's own affair
                let _ = self.pass(&stream);
                continue;
            }
            drop(stream);
            if parked.send(()).is_err() || opened.recv().is_err() {
                return;
            }
        }
    }

    fn pass(&self, stream: &TcpStream) -> io::Result<()> {
        let beyond = TcpStream::connect(self.to)?;
        for (from, to) in [(stream, &beyond), (&beyond, stream)] {
            let (mut from, mut to) = (from.try_clone()?, to.try_clone()?);
            thread::spawn(move || {
                let _ = io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Both);
            });
        }
        let mut passing = self.passing.lock().unwrap_or_else(PoisonError::into_inner);
        passing.extend([stream.try_clone()?, beyond]);
        Ok(())
    }
}

/// A listener in whose queue one connection has room: with that one the system swallows all others.
fn narrow_listener() -> io::Result<TcpListener> {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
    listen(&socket, 0)?;
    Ok(socket.into())
}
