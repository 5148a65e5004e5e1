//! The one generator of load: a closed loop of lines over Unix sockets, single-threaded, the same towards every
//! server. It counts lines, checks how long answers are, and never parses one.

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::fd::OwnedFd;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// How much is read at once, in bytes.
const READ: usize = 64 * 1024;

/// What a run of load came to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tally {
    /// Answers that came.
    pub(crate) answers: u32,
    /// From the first request to the last answer.
    pub(crate) time: Duration,
    /// All bytes of all answers.
    pub(crate) bytes: usize,
}

impl Tally {
    /// Thousands of answers a second.
    pub(crate) fn thousands_a_second(&self) -> f64 {
        f64::from(self.answers) / self.time.as_secs_f64() / 1e3
    }

    /// Microseconds an answer.
    pub(crate) fn microseconds(&self) -> f64 {
        self.share(self.time)
    }

    /// An answer's share of `time`, in microseconds.
    pub(crate) fn share(&self, time: Duration) -> f64 {
        time.as_secs_f64() * 1e6 / f64::from(self.answers)
    }
}

/// Connections to one server.
pub(crate) struct Load {
    epoll: OwnedFd,
    connections: Vec<UnixStream>,
    lines_an_answer: usize,
}

impl Load {
    /// Connects `count` times to a server whose answers have so many lines.
    pub(crate) fn connect(socket: &Path, count: usize, lines_an_answer: usize) -> Self {
        let epoll = epoll::create(CreateFlags::CLOEXEC).expect("an epoll");
        let connections: Vec<UnixStream> =
            (0..count).map(|_| UnixStream::connect(socket).expect("the server listens")).collect();
        for (place, connection) in (0..).zip(&connections) {
            epoll::add(&epoll, connection, EventData::new_u64(place), EventFlags::IN).expect("a socket");
        }
        Self { epoll, connections, lines_an_answer }
    }

    /// Keeps `depth` requests in flight on every connection until `request`, which writes the next one, answers
    /// false; then waits for the answers that are out.
    pub(crate) fn run(&mut self, depth: usize, mut request: impl FnMut(&mut Vec<u8>) -> bool) -> Tally {
        let mut output = Vec::with_capacity(READ);
        let mut input = vec![0; READ];
        let mut events = Vec::with_capacity(self.connections.len());
        let (mut under_way, mut lines, mut bytes) = (0, 0, 0);
        let start = Instant::now();
        let mut send = |mut connection: &UnixStream, count: usize| {
            output.clear();
            let sent = (0..count).take_while(|_| request(&mut output)).count();
            if sent > 0 {
                connection.write_all(&output).expect("the server reads");
            }
            sent
        };
        for connection in &self.connections {
            under_way += send(connection, depth) * self.lines_an_answer;
        }
        while under_way > 0 {
            epoll::wait(&self.epoll, spare_capacity(&mut events), None).expect("our own epoll");
            for event in events.drain(..) {
                let place = usize::try_from(event.data.u64()).expect("a place that we gave");
                let mut connection = &self.connections[place];
                let read = connection.read(&mut input).expect("the server answers");
                assert!(read > 0, "the server closed a connection");
                let came = newlines(&input[..read]);
                under_way -= came;
                let answered = (lines + came) / self.lines_an_answer - lines / self.lines_an_answer;
                lines += came;
                bytes += read;
                under_way += send(connection, answered) * self.lines_an_answer;
            }
        }
        let answers = u32::try_from(lines / self.lines_an_answer).expect("a run of some seconds");
        Tally { answers, time: start.elapsed(), bytes }
    }
}

/// Counts newlines, in pieces whose sums fit a byte: many bytes at a time.
fn newlines(bytes: &[u8]) -> usize {
    let count = |piece: &[u8]| piece.iter().map(|byte| u8::from(*byte == b'\n')).sum::<u8>();
    bytes.chunks(usize::from(u8::MAX)).map(|piece| usize::from(count(piece))).sum()
}

/// Asks `count` times and waits for each answer, blocking: the shortest way there and back.
pub(crate) fn round_trips(socket: &Path, request: &[u8], answer: usize, count: u32) -> Tally {
    let mut connection = UnixStream::connect(socket).expect("the server listens");
    let mut input = vec![0; READ];
    let start = Instant::now();
    for _ in 0..count {
        ask(&mut connection, request, answer, &mut input);
    }
    Tally { answers: count, time: start.elapsed(), bytes: answer * count as usize }
}

/// The same on a connection that began with a request of its own, whose answer is not counted.
pub(crate) fn round_trips_after(
    socket: &Path,
    first: &[u8],
    request: &[u8],
    answer: usize,
    count: u32,
) -> Tally {
    let mut connection = UnixStream::connect(socket).expect("the server listens");
    let mut input = vec![0; READ];
    if !first.is_empty() {
        connection.write_all(first).expect("the server reads");
        while connection.read(&mut input).expect("the server answers") == READ {}
    }
    let start = Instant::now();
    for _ in 0..count {
        ask(&mut connection, request, answer, &mut input);
    }
    Tally { answers: count, time: start.elapsed(), bytes: answer * count as usize }
}

/// Connects, asks, waits for the answer and closes, `count` times.
pub(crate) fn visits(socket: &Path, request: &[u8], answer: usize, count: u32) -> Tally {
    let mut input = vec![0; READ];
    let start = Instant::now();
    for _ in 0..count {
        let mut connection = UnixStream::connect(socket).expect("the server listens");
        ask(&mut connection, request, answer, &mut input);
    }
    Tally { answers: count, time: start.elapsed(), bytes: answer * count as usize }
}

fn ask(connection: &mut UnixStream, request: &[u8], answer: usize, input: &mut [u8]) {
    connection.write_all(request).expect("the server reads");
    let mut came = 0;
    while came < answer {
        match connection.read(input).expect("the server answers") {
            0 => break,
            read => came += read,
        }
    }
    assert_eq!(came, answer, "an answer has another length than the first one had");
}
