//! A master that the test makes: it answers as a Redis does up to PSYNC, and then does what the test says.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

/// Ends when dropped.
pub(super) struct Master {
    port: u16,
    is_over: Arc<AtomicBool>,
    syncs: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

/// How the handshake of a Redis of today goes.
pub(super) const HANDSHAKE: [&str; 5] = [
    "+PONG",
    "+OK",
    "+OK",
    "-ERR Unrecognized REPLCONF option: version",
    "-ERR Unrecognized REPLCONF option: lacewing-id",
];

impl Master {
    /// One that has got as far as PSYNC each time when `act` is called, with what PSYNC was.
    pub(super) fn start(act: impl FnMut(&mut TcpStream, &[String]) + Send + 'static) -> Self {
        Self::saying(&HANDSHAKE, act)
    }

    /// The same with other answers, one for each command; the connection is closed when there are no more.
    pub(super) fn saying(
        answers: &'static [&'static str],
        mut act: impl FnMut(&mut TcpStream, &[String]) + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("it listens").port();
        let (is_over, syncs) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (over, count) = (Arc::clone(&is_over), Arc::clone(&syncs));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                if over.load(Ordering::Acquire) {
                    return;
                }
                if let Some(asked) = greet(&mut stream, answers) {
                    count.fetch_add(1, Ordering::AcqRel);
                    act(&mut stream, &asked);
                }
            }
        });
        Self { port, is_over, syncs, thread: Some(thread) }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// How often it was asked for its data.
    pub(super) fn syncs(&self) -> usize {
        self.syncs.load(Ordering::Acquire)
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        // It waits for a connection.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Answers until PSYNC comes; `None` if the connection ends before.
fn greet(stream: &mut TcpStream, answers: &[&str]) -> Option<Vec<String>> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut answers = answers.iter();
    loop {
        let command = read_command(&mut reader)?;
        if command[0].eq_ignore_ascii_case("PSYNC") {
            return Some(command);
        }
        stream.write_all(format!("{}\r\n", answers.next()?).as_bytes()).ok()?;
    }
}

/// One command; `None` when the connection has ended.
pub(super) fn read_command(reader: &mut impl BufRead) -> Option<Vec<String>> {
    let mut line = String::new();
    let mut next = |reader: &mut dyn BufRead| -> Option<String> {
        line.clear();
        (reader.read_line(&mut line).ok()? > 0).then(|| line.trim_end().to_owned())
    };
    let count: usize = next(reader)?.strip_prefix('*')?.parse().ok()?;
    let mut words = Vec::new();
    for _ in 0..count {
        next(reader)?;
        words.push(next(reader)?);
    }
    Some(words)
}

/// A replication id.
pub(super) fn replid(letter: char) -> String {
    letter.to_string().repeat(40)
}

/// Says that everything is sent, from this place on.
pub(super) fn full(stream: &mut TcpStream, letter: char, offset: u64) {
    // Who has gone is noticed later.
    let _ = stream.write_all(format!("+FULLRESYNC {} {offset}\r\n", replid(letter)).as_bytes());
}

/// A payload with its length before it.
pub(super) fn sized(payload: &[u8]) -> Vec<u8> {
    [format!("${}\r\n", payload.len()).as_bytes(), payload].concat()
}

/// An RDB file with these strings in database 0, without a checksum.
pub(super) fn rdb(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = b"REDIS0009".to_vec();
    bytes.extend_from_slice(&[0xFE, 0]);
    for (key, value) in pairs {
        bytes.push(0);
        for text in [key, value] {
            bytes.push(text.len() as u8);
            bytes.extend_from_slice(text.as_bytes());
        }
    }
    bytes.push(0xFF);
    bytes.extend_from_slice(&[0; 8]);
    bytes
}

/// Reads until the replica has gone.
pub(super) fn until_gone(stream: &mut TcpStream) {
    let mut reader = BufReader::new(stream);
    let mut bytes = Vec::new();
    while reader.read_until(b'\n', &mut bytes).is_ok_and(|len| len > 0) {
        bytes.clear();
    }
}
