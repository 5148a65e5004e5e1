//! The socket for credentials speaks first and reads nothing: who is silent, talks, does not read or comes a thousand times keeps nobody
//! from its credential.

use bursar_tests::library::bound;
use bursar_tests::units::{Fetched, Manager, REFUSAL, Unit, with_table};
use bursar_tests::{Daemon, Home};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

const TABLE: &str = "[[credential]]\nunit = '*'\ncredential = '*'\nsecret = 'one'\n";

fn home() -> (Home, Daemon) {
    let (home, daemon) = with_table(Manager::System, TABLE);
    bound(&home, "one", "development", "value-one");
    (home, daemon)
}

/// A connection without an address, by root: who is no service manager for sure.
fn connect(home: &Home) -> UnixStream {
    UnixStream::connect(home.credentials()).unwrap()
}

/// All that a connection reads; nothing more than is sent can be lost by its end.
fn read_all(mut stream: UnixStream) -> usize {
    let (mut length, mut bytes) = (0, vec![1; 64 * 1024]);
    while let Ok(read) = stream.read(&mut bytes) {
        if read == 0 {
            break;
        }
        assert!(bytes[..read].iter().all(|byte| *byte == 0));
        length += read;
    }
    length
}

#[test]
fn who_is_silent_or_talks_has_the_same_answer() {
    let Some(unit) = Unit::new(Manager::System, "app.service") else { return };
    let (home, _daemon) = home();
    let silent = connect(&home);
    let mut talking = connect(&home);
    let _ = talking.write_all(&[b'{'; 4_096]);
    let mut half = connect(&home);
    let _ = half.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"agent.stop\",\"params\":{}}\n");
    drop(half.shutdown(std::net::Shutdown::Write));
    assert_eq!(unit.fetch(&home, "x"), Fetched::value("value-one"));
    for stream in [silent, talking, half] {
        assert_eq!(read_all(stream), REFUSAL);
    }
    // and in the unit, where the answer is a value
    let talk = r#"
        use Socket;
        my ($path, $address) = @ARGV;
        socket(my $s, AF_UNIX, SOCK_STREAM, 0) or die; bind($s, pack_sockaddr_un("\0$address")) or die;
        connect($s, pack_sockaddr_un($path)) or die;
        $SIG{PIPE} = "IGNORE"; syswrite($s, "x" x 4096) for 1..4;
        while (sysread($s, my $bytes, 65536)) { print $bytes }
    "#;
    let mut talking = unit.command("perl");
    talking.args(["-e", talk]).arg(home.credentials()).arg(unit.address("x"));
    assert_eq!(Fetched::of(&mut talking), Fetched::value("value-one"));
    home.ok("agent.status", serde_json::json!({}));
}

#[test]
fn who_does_not_read_is_left_behind() {
    let Some(unit) = Unit::new(Manager::System, "app.service") else { return };
    let (home, _daemon) = home();
    let deaf: Vec<_> = (0..100).map(|_| connect(&home)).collect();
    for _ in 0..3 {
        assert_eq!(unit.fetch(&home, "x"), Fetched::value("value-one"));
    }
    // more than have a place at once: the time limit ends the first of them
    let more: Vec<_> = (0..100).map(|_| connect(&home)).collect();
    assert_eq!(unit.fetch(&home, "x"), Fetched::value("value-one"));
    assert!(deaf.into_iter().map(read_all).all(|length| length < REFUSAL));
    drop(more);
}

#[test]
fn thousands_of_connections_keep_nobody_out() {
    let Some(unit) = Unit::new(Manager::System, "app.service") else { return };
    let (home, daemon) = home();
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap().count();
    let before = descriptors();
    for round in 0..3_000 {
        drop(connect(&home));
        if round % 1_000 == 0 {
            assert_eq!(unit.fetch(&home, "x"), Fetched::value("value-one"));
        }
    }
    assert_eq!(unit.fetch(&home, "x"), Fetched::value("value-one"));
    bursar_tests::until("the daemon has let all of them go", || (descriptors() <= before + 4).then_some(()));
    // what they cost the record is bounded, and the log
    let lines = home.log().lines().filter(|line| line.contains("no service manager")).count();
    assert!(lines <= 20, "{lines}");
}
