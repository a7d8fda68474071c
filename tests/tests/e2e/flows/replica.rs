//! A replica that knows of flows what is needed to test a master: it keeps what it is sent as bytes.

use aof::{Generation, Lsn};
use lacewing_tests::Process;
use replication::flow::frame::{Channel, Frame, Side};
use replication::flow::hello::{Announced, Answer, CAPABLE, Join, Session, Sync};
use replication::flow::resume::Stands;
use resp::encode_command;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// The link of a session.
pub(super) struct Link {
    stream: TcpStream,
    read: Vec<u8>,
}

/// A session with all its flows.
pub(super) struct Replica {
    pub(super) link: Link,
    pub(super) session: Session,
    pub(super) flows: Vec<Flow>,
    birth: u64,
}

/// One flow's connection.
pub(super) struct Flow {
    link: Link,
    hears: Channel,
    says: Channel,
    /// Where it is.
    pub(super) generation: Generation,
    pub(super) lsn: Lsn,
    pub(super) birth: u64,
    /// What came of the payload, and whether that was all.
    pub(super) payload: Vec<u8>,
    pub(super) has_payload: bool,
    /// What came of the log since it began, or since the generation did.
    pub(super) log: Vec<u8>,
    /// Why the master has given up.
    pub(super) failed: Option<String>,
    is_closed: bool,
}

impl Link {
    pub(super) fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).expect("it accepts");
        stream.set_read_timeout(Some(Duration::from_millis(20))).expect("a timeout");
        Self { stream, read: Vec::new() }
    }

    /// One that has said that it is a Lacewing. `None` if the master sends no flows.
    pub(super) fn greeted(addr: SocketAddr) -> Option<Self> {
        let mut link = Self::connect(addr);
        link.say(&["REPLCONF", "listening-port", "7777"]);
        assert_eq!(link.line(), "+OK");
        link.say(&["REPLCONF", "capa", "eof", "capa", "psync2", "capa", "lacewing-flows"]);
        let is_able = link.line() == format!("+{CAPABLE}");
        link.say(&["REPLCONF", "lacewing-id", &"ab".repeat(20)]);
        assert!(link.line().starts_with("+LACEWING "));
        is_able.then_some(link)
    }

    pub(super) fn say(&mut self, words: &[&str]) {
        let mut bytes = Vec::new();
        encode_command(words, &mut bytes);
        self.stream.write_all(&bytes).expect("it takes it");
    }

    pub(super) fn ask(&mut self, asked: &Sync) -> Answer {
        let mut bytes = Vec::new();
        asked.encode(&mut bytes);
        self.stream.write_all(&bytes).expect("it takes it");
        Answer::parse(self.line().as_bytes())
    }

    /// Reads what is there, and waits for a moment if nothing is. False when nothing comes any more.
    fn fill(&mut self) -> bool {
        let mut buffer = vec![0; 1 << 18];
        match self.stream.read(&mut buffer) {
            Ok(0) => false,
            Ok(len) => {
                self.read.extend_from_slice(&buffer[..len]);
                true
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => true,
            Err(_) => false,
        }
    }

    /// The next line that is not empty.
    #[track_caller]
    pub(super) fn line(&mut self) -> String {
        let start = Instant::now();
        loop {
            while let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                let line = String::from_utf8(line).expect("text").trim().to_owned();
                if !line.is_empty() {
                    return line;
                }
            }
            assert!(self.fill() && start.elapsed() < PATIENCE, "no line, but {:?}", self.read);
        }
    }

    /// Waits until the master has closed it.
    #[track_caller]
    pub(super) fn expect_closed(&mut self) {
        let start = Instant::now();
        while self.fill() {
            assert!(start.elapsed() < PATIENCE, "it stays open");
        }
    }
}

impl Replica {
    /// Begins with all data.
    #[track_caller]
    pub(super) fn full(master: &Process) -> Self {
        let mut link = Link::greeted(master.addr()).expect("it sends flows");
        let answer = link.ask(&Sync { stands: None, offset: 0 });
        let Answer::Full { session, payload, .. } = answer else { panic!("{answer:?}") };
        let Announced { generation, birth, bytes, .. } = payload;
        let flows = (0..session.flows).map(|flow| Flow::join(master.addr(), session, flow));
        let flows = flows.map(|flow| Flow { generation, birth, has_payload: false, ..flow }).collect();
        let mut replica = Self { link, session, flows, birth };
        replica.until(|flow| flow.has_payload);
        let sent: usize = replica.flows.iter().map(|flow| flow.payload.len()).sum();
        assert_eq!(sent as u64, bytes);
        replica
    }

    /// Goes on where it stands.
    #[track_caller]
    pub(super) fn resumed(master: &Process, stands: &Stands, offset: u64) -> Self {
        let mut link = Link::greeted(master.addr()).expect("it sends flows");
        let answer = link.ask(&Sync { stands: Some(stands.clone()), offset });
        let Answer::Resume(session) = answer else { panic!("{answer:?}") };
        assert_eq!((session.node, usize::from(session.flows)), (stands.node, stands.lsns.len()));
        let flow = |flow: u16| Flow {
            generation: stands.generation,
            lsn: stands.lsns[usize::from(flow)],
            birth: stands.birth,
            ..Flow::join(master.addr(), session, flow)
        };
        let flows = (0..session.flows).map(flow).collect();
        Self { link, session, flows, birth: stands.birth }
    }

    /// Where it stands.
    pub(super) fn stands(&self) -> Stands {
        let generation = self.flows[0].generation;
        assert!(self.flows.iter().all(|flow| flow.generation == generation));
        let birth = self.flows[0].birth;
        assert!(generation > Generation(0) && (birth == self.birth || self.flows[0].birth != self.birth));
        let lsns = self.flows.iter().map(|flow| flow.lsn).collect();
        Stands { node: self.session.node, generation, birth, lsns }
    }

    /// Takes what comes until this is so of all flows.
    #[track_caller]
    pub(super) fn until(&mut self, is_so: impl Fn(&Flow) -> bool) {
        let start = Instant::now();
        while !self.flows.iter().all(&is_so) {
            self.flows.iter_mut().for_each(Flow::take);
            let failed: Vec<_> = self.flows.iter().filter_map(|flow| flow.failed.as_deref()).collect();
            assert!(start.elapsed() < PATIENCE, "in vain: {failed:?}");
        }
    }

    /// Takes what comes until it has all that the master has told of; says how far it is.
    #[track_caller]
    pub(super) fn catch_up(&mut self, master: &Process) {
        let mut client = master.client();
        client.send_line("WAIT 1 20000");
        let start = Instant::now();
        client.timeout(Some(Duration::from_millis(1))).expect("a timeout");
        loop {
            self.flows.iter_mut().for_each(Flow::take);
            match client.read_any() {
                Ok(reply) => {
                    return assert_eq!(
                        reply.map(|reply| lacewing_tests::show(&reply)).as_deref(),
                        Some(":1")
                    );
                }
                Err(_) => assert!(start.elapsed() < PATIENCE, "it does not get there"),
            }
        }
    }

    /// That what came of the log is what the master has on its disk.
    #[track_caller]
    pub(super) fn check_log(&self, master: &Process) {
        for (shard, flow) in self.flows.iter().enumerate() {
            let begin = flow.lsn.0 - flow.log.len() as u64;
            let on_disk = log(master, flow.generation, shard, begin, flow.log.len());
            assert!(on_disk == flow.log, "flow {shard}, from {begin} to {}", flow.lsn);
        }
    }
}

impl Flow {
    #[track_caller]
    fn join(addr: SocketAddr, session: Session, flow: u16) -> Self {
        let mut link = Link::connect(addr);
        let mut bytes = Vec::new();
        Join { session: session.id, flow }.encode(&mut bytes);
        link.stream.write_all(&bytes).expect("it takes it");
        assert_eq!(link.line(), "+OK");
        Self {
            link,
            hears: Channel::new(session.id.0, flow, Side::Master),
            says: Channel::new(session.id.0, flow, Side::Replica),
            generation: Generation(0),
            lsn: Lsn(0),
            birth: 0,
            payload: Vec::new(),
            has_payload: true,
            log: Vec::new(),
            failed: None,
            is_closed: false,
        }
    }

    /// Takes what has come, and says so.
    pub(super) fn take(&mut self) {
        let before = (self.generation, self.lsn);
        let credit = self.take_silently();
        if credit > 0 {
            self.say(Frame::Credit(credit));
        }
        let (generation, lsn) = (self.generation, self.lsn);
        if self.has_payload && before != (generation, lsn) {
            self.say(Frame::Applied { generation, lsn });
        }
    }

    /// Takes what has come. Bytes that credit is owed for.
    pub(super) fn take_silently(&mut self) -> u32 {
        self.is_closed |= !self.link.fill();
        let (mut at, mut owed) = (0, 0);
        while let Some((frame, len)) = self.hears.read(&self.link.read[at..]).expect("sound frames") {
            match frame {
                Frame::Payload(bytes) => {
                    self.payload.extend_from_slice(bytes);
                    owed += bytes.len();
                }
                Frame::PayloadEnd { bytes, generation, lsn, .. } => {
                    assert_eq!((bytes, generation), (self.payload.len() as u64, self.generation));
                    (self.has_payload, self.lsn) = (true, lsn);
                }
                Frame::Log { generation, lsn, records } => {
                    assert_eq!((generation, lsn), (self.generation, self.lsn));
                    self.log.extend_from_slice(records);
                    self.lsn = lsn.plus(records.len() as u64);
                    owed += records.len();
                }
                Frame::NextGeneration { generation, end, next, birth } => {
                    assert_eq!((generation, end), (self.generation, self.lsn));
                    (self.generation, self.birth, self.lsn) = (next, birth, Lsn(0));
                    self.log.clear();
                }
                Frame::Ping => {}
                Frame::Fail(why) => self.failed = Some(why.to_owned()),
                frame => panic!("{frame:?}"),
            }
            at += len;
        }
        self.link.read.drain(..at);
        owed as u32
    }

    pub(super) fn say(&mut self, frame: Frame<'_>) {
        let mut bytes = Vec::new();
        self.says.write(frame, &mut bytes);
        // It may have been closed.
        let _ = self.link.stream.write_all(&bytes);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }
}

/// Bytes of a master's log, from its segments.
#[track_caller]
fn log(master: &Process, generation: Generation, shard: usize, begin: u64, len: usize) -> Vec<u8> {
    let directory = master.dir().join(format!("log/{:010}", generation.0));
    let entries = fs::read_dir(&directory).expect("it is there").map(|entry| entry.expect("a file"));
    let names = entries.filter_map(|entry| aof::SegmentName::parse(entry.file_name().to_str()?));
    let mut own: Vec<_> = names.filter(|name| usize::from(name.shard.0) == shard).collect();
    own.sort();
    let mut bytes = Vec::new();
    for (index, name) in own.iter().enumerate() {
        let records = fs::read(directory.join(name.to_string())).expect("it can be read");
        let records = &records[aof::HEADER_LEN..];
        let end = own.get(index + 1).map_or(usize::MAX, |next| (next.base.0 - name.base.0) as usize);
        let records = &records[..records.len().min(end)];
        let skipped = (begin.saturating_sub(name.base.0) as usize).min(records.len());
        bytes.extend_from_slice(&records[skipped..]);
    }
    assert!(own.first().is_some_and(|first| first.base.0 <= begin), "the beginning is there");
    bytes.truncate(len);
    bytes
}

/// So long something may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
