//! Whose process is on the other end of a loopback connection: the kernel's tables name the user of each socket.
//!
//! The address of an authorization stands in a browser's arguments, where other users of the machine can read it. With what
//! it holds they could let a grant of their own account land here. So only the user who asked may bring a redirect back.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::net::{Ipv4Addr, SocketAddr};

/// The tables of TCP sockets. A client that speaks IPv6 sockets reaches an IPv4 address through them, too.
const TABLES: [&str; 2] = ["/proc/self/net/tcp", "/proc/self/net/tcp6"];

/// The most of a table that is read, in bytes: a hundred thousand sockets.
const TABLE_MAX: u64 = 16 * 1024 * 1024;

/// The user whose socket `client` is, connected to `port` here; `None` where the kernel knows of none, for instance because
/// it was closed already.
pub(super) fn user_of(client: SocketAddr, port: u16) -> io::Result<Option<u32>> {
    for table in TABLES {
        let file = match File::open(table) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            file => file?,
        };
        for line in BufReader::new(file.take(TABLE_MAX)).lines().skip(1) {
            if let Some(uid) = user_in(&line?, client.port(), port) {
                return Ok(Some(uid));
            }
        }
    }
    Ok(None)
}

/// The user in a line of a table, if it is of the socket from loopback `from` to loopback `to`, and that is still somebody's.
fn user_in(line: &str, from: u16, to: u16) -> Option<u32> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let (local, remote) = (words.next()?, words.next()?);
    let (_state, _queues, _timer, _retransmits) =
        (words.next()?, words.next()?, words.next()?, words.next()?);
    let (uid, _timeout, inode) = (words.next()?, words.next()?, words.next()?);
    // a socket without an inode belongs to nobody any more, and says user 0
    if ends_at(local, from) && ends_at(remote, to) && inode != "0" { uid.parse().ok() } else { None }
}

/// Whether an address of a table is the IPv4 loopback, plain or within IPv6, with this port.
fn ends_at(address: &str, port: u16) -> bool {
    let Some((host, digits)) = address.split_once(':') else { return false };
    let loopback = u32::from_ne_bytes(Ipv4Addr::LOCALHOST.octets());
    let plain = format!("{loopback:08X}");
    let mapped = format!("{:08X}{:08X}{:08X}{plain}", 0, 0, u32::from_ne_bytes([0, 0, 0xff, 0xff]));
    (host == plain || host == mapped) && u16::from_str_radix(digits, 16) == Ok(port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn the_kernel_names_the_user_of_an_open_socket() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (accepted, address) = listener.accept().unwrap();
        let own = rustix::process::geteuid().as_raw();
        assert_eq!(user_of(address, port).unwrap(), Some(own));
        assert_eq!(user_of(address, port ^ 1).unwrap(), None);
        drop((client, accepted));
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn lines_of_both_tables_are_read() {
        let plain = "   0: 0100007F:D431 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0";
        let mapped = "   1: 0000000000000000FFFF00000100007F:D431 0000000000000000FFFF00000100007F:1F90 01 00000000:00000000 00:00000000 00000000  1001        0 4711 1 0";
        assert_eq!(user_in(plain, 54_321, 8_080), Some(1_000));
        assert_eq!(user_in(mapped, 54_321, 8_080), Some(1_001));
        for (line, from, to) in [
            (plain.to_owned(), 8_080, 54_321),
            (plain.replace("4711", "0"), 54_321, 8_080),
            (plain.replace("0100007F:D431", "0200007F:D431"), 54_321, 8_080),
            (String::new(), 54_321, 8_080),
        ] {
            assert_eq!(user_in(&line, from, to), None, "{line}");
        }
    }
}
