//! A master of flows that the test makes: it sends a file for each flow, as the test says, and then signs of life.

use aof::{Generation, Lsn, NodeId};
use durable::sets::FileSum;
use replication::flow::frame::{Channel, Frame, Side};
use replication::flow::hello::{Announced, Answer, CAPABLE, FLOW, SYNC, Session, SessionId};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use stdx::Slot;

use super::master::read_command;

/// Ends when dropped.
pub(super) struct FlowMaster {
    port: u16,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    files: Vec<Sent>,
    is_over: AtomicBool,
    /// Whether files are sent to their ends.
    goes_on: Mutex<bool>,
    going_on: Condvar,
}

/// What is sent of one file.
#[derive(Clone)]
pub(super) struct Sent {
    pub(super) bytes: Vec<u8>,
    /// Behind so many bytes it waits until it is told to go on.
    pub(super) waits_at: Option<usize>,
    /// Behind so many bytes the connection ends.
    pub(super) ends_at: Option<usize>,
    /// What is said of its checksum is not so.
    pub(super) has_wrong_sum: bool,
}

impl Sent {
    pub(super) fn whole(bytes: Vec<u8>) -> Self {
        Self { bytes, waits_at: None, ends_at: None, has_wrong_sum: false }
    }
}

/// The shard of a key, of so many.
pub(super) fn shard_of(key: &str, shards: usize) -> usize {
    Slot::of(key.as_bytes()).index() * shards / 16_384
}

impl FlowMaster {
    /// One with a shard for each of these files.
    pub(super) fn start(files: Vec<Sent>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("it listens").port();
        let shared = Arc::new(Shared {
            files,
            is_over: AtomicBool::new(false),
            goes_on: Mutex::new(false),
            going_on: Condvar::new(),
        });
        let all = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let mut connections = Vec::new();
            for stream in listener.incoming().map_while(Result::ok) {
                if all.is_over() {
                    break;
                }
                let shared = Arc::clone(&all);
                connections.push(std::thread::spawn(move || shared.serve(stream)));
            }
            connections.into_iter().for_each(|connection| _ = connection.join());
        });
        Self { port, shared, thread: Some(thread) }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Files are sent to their ends from now on.
    pub(super) fn go_on(&self) {
        *self.shared.goes_on.lock().expect("nobody panics") = true;
        self.shared.going_on.notify_all();
    }
}

impl Drop for FlowMaster {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Release);
        self.go_on();
        // It waits for a connection.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// Answers what is asked on one connection; `None` when that has ended.
    fn serve(&self, mut stream: TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        loop {
            // Signs of life.
            while reader.fill_buf().ok()?.first() == Some(&b'\n') {
                reader.consume(1);
            }
            let command = read_command(&mut reader)?;
            let has = |word: &str| command.iter().any(|said| said.eq_ignore_ascii_case(word));
            let answer = match command[0].to_ascii_uppercase().as_str() {
                "PING" => "+PONG\r\n".to_owned(),
                "REPLCONF" if has("ack") => continue,
                "REPLCONF" if has("lacewing-id") => format!("+LACEWING {}\r\n", "cd".repeat(20)),
                "REPLCONF" if has("lacewing-flows") => format!("+{CAPABLE}\r\n"),
                SYNC => self.answer().line(),
                FLOW => {
                    stream.write_all(b"+OK\r\n").ok()?;
                    return self.send(&mut stream, command[2].parse().ok()?);
                }
                _ => "+OK\r\n".to_owned(),
            };
            stream.write_all(answer.as_bytes()).ok()?;
        }
    }

    fn answer(&self) -> Answer {
        let bytes = self.files.iter().map(|file| file.bytes.len() as u64).sum();
        let session = Session {
            id: ID,
            flows: self.files.len() as u16,
            window: 64 << 20,
            node: NodeId([0xcd; 20]),
            offset: 100,
        };
        let payload = Announced { generation: GENERATION, birth: 7, set: 1, bytes };
        Answer::Full { session, payload, reason: "the replica has nothing".to_owned() }
    }

    fn send(&self, stream: &mut TcpStream, flow: u16) -> Option<()> {
        let Sent { bytes, waits_at, ends_at, has_wrong_sum } = &self.files[usize::from(flow)];
        let mut says = Channel::new(ID.0, flow, Side::Master);
        let mut frame = |stream: &mut TcpStream, frame: Frame<'_>| {
            let mut out = Vec::new();
            says.write(frame, &mut out);
            stream.write_all(&out).ok()
        };
        let mut sent = 0;
        let stops = [waits_at.unwrap_or(usize::MAX), ends_at.unwrap_or(usize::MAX)];
        while sent < bytes.len() {
            let next = stops.iter().filter(|stop| **stop > sent).min().copied().unwrap_or(usize::MAX);
            let until = bytes.len().min(sent + (64 << 10)).min(next);
            frame(stream, Frame::Payload(&bytes[sent..until]))?;
            sent = until;
            if Some(sent) == *ends_at {
                return None;
            }
            if Some(sent) == *waits_at {
                let goes_on = self.goes_on.lock().expect("nobody panics");
                drop(self.going_on.wait_while(goes_on, |goes_on| !*goes_on));
            }
        }
        let mut sum = FileSum::default();
        sum.add(bytes);
        let (bytes, crc64) = sum.end();
        let crc64 = if *has_wrong_sum { !crc64 } else { crc64 };
        frame(stream, Frame::PayloadEnd { bytes, crc64, generation: GENERATION, lsn: Lsn(0) })?;
        while !self.is_over() {
            frame(stream, Frame::Ping)?;
            std::thread::park_timeout(SAY_EACH);
        }
        Some(())
    }
}

const ID: SessionId = SessionId([0xab; 16]);
const GENERATION: Generation = Generation(4);
const SAY_EACH: Duration = Duration::from_millis(100);
