//! The floor of `bursar get`: connects to the socket in its first argument, sends the request in its second,
//! and writes the answer to standard output. The benchmark compiles it by itself, with nothing but std.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let socket = arguments.next().expect("the path of a socket");
    let request = arguments.next().expect("a request");
    let mut stream = UnixStream::connect(socket).expect("the agent listens");
    stream.write_all(request.as_bytes()).expect("the agent reads");
    let mut answer = Vec::with_capacity(4096);
    let mut chunk = [0; 4096];
    while answer.last() != Some(&b'\n') {
        let read = stream.read(&mut chunk).expect("the agent answers");
        answer.extend_from_slice(&chunk[..read]);
        assert!(read > 0, "the agent closed the connection");
    }
    std::io::stdout().write_all(&answer).expect("somebody reads");
}
