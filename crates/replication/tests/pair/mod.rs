//! Both ends of replication in memory: a node that follows, with toy data, and a master that answers it.
//!
//! Data are bytes, a command of the stream is [`COMMAND_LEN`] bytes that are put behind them, and a payload is all bytes behind their number
//! and checksum.

#![allow(dead_code)]

use replication::psync::{Follower, Psync, Replconf};
use replication::role::{History, Options, Output, Piece, Report};
use replication::{Attempt, Backlog, Endpoint, Position, ReplId, ResyncGrant, Role};
use resp::{Limits, Parsed, Parser};
use stdx::{Args, Rng};

pub(crate) const COMMAND_LEN: usize = 4;

pub(crate) fn id(byte: u8) -> ReplId {
    ReplId::parse(&[byte; 40]).unwrap()
}

pub(crate) fn options() -> Options {
    Options {
        me: id(b'm'),
        gives: id(b'm'),
        listening_port: 6380,
        announce_ip: None,
        user: None,
        password: None,
        timeout_ms: 60_000,
        accepts_less: false,
    }
}

pub(crate) fn endpoint() -> Endpoint {
    Endpoint { host: "master".to_owned(), port: 6379 }
}

/// A payload of `data`.
pub(crate) fn payload(data: &[u8]) -> Vec<u8> {
    let mut bytes = (data.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(&crc32c::crc32c(data).to_le_bytes());
    bytes.extend_from_slice(data);
    bytes
}

/// The data of a payload, if it is one.
pub(crate) fn open(payload: &[u8]) -> Result<&[u8], String> {
    let (head, data) = payload.split_at_checked(12).ok_or("it has no head")?;
    let len = u64::from_le_bytes(head[..8].try_into().unwrap());
    let crc = u32::from_le_bytes(head[8..].try_into().unwrap());
    if len != data.len() as u64 || crc != crc32c::crc32c(data) {
        return Err(format!("{} bytes, and a wrong sum", data.len()));
    }
    Ok(data)
}

/// A node with its role.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) role: Role,
    pub(crate) data: Vec<u8>,
    pub(crate) staged: Option<Vec<u8>>,
    /// What is to be sent to the master.
    pub(crate) out: Vec<u8>,
    pub(crate) attempt: Attempt,
    pub(crate) is_connecting: bool,
    pub(crate) has_link: bool,
    pub(crate) now_ms: u64,
    /// The stream, as far as it is no whole command.
    begun: Vec<u8>,
    applied: u64,
    pub(crate) replaced: u64,
    pub(crate) log: Vec<String>,
}

impl Node {
    pub(crate) fn new(data: &[u8]) -> Self {
        Self::with(data, options(), History::default())
    }

    pub(crate) fn with(data: &[u8], options: Options, history: History) -> Self {
        Self {
            role: Role::new(options, history, Rng::new(7)),
            data: data.to_vec(),
            staged: None,
            out: Vec::new(),
            attempt: Attempt(0),
            is_connecting: false,
            has_link: false,
            now_ms: 1000,
            begun: Vec::new(),
            applied: 0,
            replaced: 0,
            log: Vec::new(),
        }
    }

    pub(crate) fn replicaof(&mut self) {
        self.role.replicaof(endpoint(), self.role.history(), self.now_ms);
        self.settle();
    }

    /// Carries out what is to be done, as far as no other answers.
    pub(crate) fn settle(&mut self) {
        while let Some(output) = self.role.poll() {
            match output {
                Output::Connect { attempt, .. } => {
                    assert!(!self.has_link && !self.is_connecting, "one link at a time");
                    (self.attempt, self.is_connecting) = (attempt, true);
                    self.out.clear();
                }
                Output::Send { attempt, bytes } => {
                    assert_eq!(attempt, self.attempt);
                    assert!(self.has_link);
                    self.out.extend_from_slice(&bytes);
                }
                Output::Close { attempt } => {
                    assert_eq!(attempt, self.attempt);
                    (self.has_link, self.is_connecting) = (false, false);
                }
                Output::Stage { .. } => self.staged = Some(Vec::new()),
                Output::Discard { .. } => {
                    assert!(self.staged.take().is_some(), "something was staged");
                }
                Output::Verify { attempt } => self.verify(attempt),
                Output::Replace(grant) => self.replace(grant),
                Output::Follow { position, .. } => {
                    self.applied = position.offset;
                    self.begun.clear();
                }
                Output::Drain { attempt } => {
                    self.begun.clear();
                    self.role.drained(attempt, self.applied, self.now_ms);
                }
                Output::Promoted { .. } => self.log.push("promoted".to_owned()),
                Output::HandedOver => self.log.push("handed over".to_owned()),
                Output::NotHandedOver { .. } => self.log.push("not handed over".to_owned()),
                Output::Open { .. } => unreachable!("no flows are wanted"),
                Output::Failed { reason, .. } => self.log.push(reason.to_string()),
            }
        }
    }

    fn verify(&mut self, attempt: Attempt) {
        let own_keys = self.data.len() as u64;
        match open(self.staged.as_deref().expect("something was staged")) {
            Ok(data) => {
                let report = Report { keys: data.len() as u64, own_keys, ..Report::default() };
                self.role.verified(attempt, report, self.now_ms);
            }
            Err(why) => self.role.rejected(attempt, &why, self.now_ms),
        }
    }

    fn replace(&mut self, grant: ResyncGrant) {
        let staged = self.staged.take().expect("something was staged");
        self.data = open(&staged).expect("it was verified").to_vec();
        assert_eq!(grant.keys(), self.data.len() as u64);
        self.replaced += 1;
        self.role.replaced(grant.attempt(), self.now_ms);
    }

    pub(crate) fn connect(&mut self) {
        assert!(std::mem::take(&mut self.is_connecting));
        self.has_link = true;
        self.role.connected(self.attempt, self.now_ms);
        self.settle();
    }

    pub(crate) fn lose(&mut self) {
        (self.has_link, self.is_connecting) = (false, false);
        self.role.lost(self.attempt, "reset by peer", self.now_ms);
        self.settle();
    }

    /// Bytes come from the master.
    pub(crate) fn receive(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (staged, begun) = (&mut self.staged, &mut self.begun);
            let mut sink = |piece: Piece<'_>| match piece {
                Piece::Payload(bytes) => {
                    staged.as_mut().expect("it was to be staged").extend_from_slice(bytes);
                }
                Piece::Stream(bytes) => begun.extend_from_slice(bytes),
            };
            let used = self.role.receive(self.attempt, bytes, &mut sink, self.now_ms);
            bytes = &bytes[used..];
            let whole = self.begun.len() - self.begun.len() % COMMAND_LEN;
            self.data.extend(self.begun.drain(..whole));
            if whole > 0 {
                self.applied += whole as u64;
                self.role.applied(self.attempt, self.applied);
            }
            self.settle();
            if used == 0 && !self.role.reads() {
                return;
            }
        }
    }

    /// Time passes, to the next deadline.
    pub(crate) fn wait(&mut self) {
        let deadline = self.role.deadline().expect("something is waited for");
        self.now_ms = self.now_ms.max(deadline);
        self.role.tick(self.now_ms);
        self.settle();
    }
}

/// A master with one replica at a time.
#[derive(Debug)]
pub(crate) struct Master {
    pub(crate) data: Vec<u8>,
    pub(crate) backlog: Backlog,
    pub(crate) follower: Follower,
    pub(crate) names: Vec<ReplId>,
    pub(crate) password: Option<String>,
    pub(crate) is_marked: bool,
    /// What is sent to the replica.
    pub(crate) out: Vec<u8>,
    /// Where the follower reads, when it is online.
    pub(crate) sent: u64,
    pub(crate) got: Vec<u8>,
    pub(crate) is_in: bool,
}

pub(crate) const MARK: &[u8; 40] = b"0123456789012345678901234567890123456789";

impl Master {
    pub(crate) fn new(data: &[u8]) -> Self {
        Self {
            data: data.to_vec(),
            backlog: Backlog::new(id(b'a'), 100, 64),
            follower: Follower::new(0),
            names: vec![id(b'x')],
            password: None,
            is_marked: false,
            out: Vec::new(),
            sent: 0,
            got: Vec::new(),
            is_in: false,
        }
    }

    pub(crate) fn accept(&mut self) {
        self.follower = Follower::new(0);
        self.out.clear();
        self.got.clear();
        self.is_in = self.password.is_none();
    }

    pub(crate) fn write(&mut self, command: &[u8; COMMAND_LEN]) {
        self.data.extend_from_slice(command);
        self.backlog.append(command);
        self.feed();
    }

    fn feed(&mut self) {
        while self.follower.is_online() && self.sent < self.backlog.end() {
            let part = self.backlog.read(self.sent).expect("the ring is large enough");
            self.out.extend_from_slice(part);
            self.sent += part.len() as u64;
        }
    }

    /// Commands come from the replica.
    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        self.got.extend_from_slice(bytes);
        loop {
            let got = std::mem::take(&mut self.got);
            let mut spans = Vec::new();
            match Parser::new(Limits::default()).parse(&got, &mut spans) {
                Ok(Parsed::Command { len }) => {
                    let args = Args::new(&got, &spans);
                    let args: Vec<&[u8]> = (0..spans.len()).map(|index| args.at(index)).collect();
                    self.command(&args);
                    self.got = got[len..].to_vec();
                }
                Ok(Parsed::Empty { len }) => self.got = got[len..].to_vec(),
                _ => {
                    self.got = got;
                    return;
                }
            }
        }
    }

    fn command(&mut self, args: &[&[u8]]) {
        let name = args[0].to_ascii_uppercase();
        let reply = match name.as_slice() {
            b"AUTH" => {
                self.is_in = Some(args[args.len() - 1]) == self.password.as_ref().map(|word| word.as_bytes());
                if self.is_in { "+OK\r\n" } else { "-WRONGPASS invalid\r\n" }.to_owned()
            }
            _ if !self.is_in => "-NOAUTH Authentication required.\r\n".to_owned(),
            b"PING" => "+PONG\r\n".to_owned(),
            b"REPLCONF" => match self.follower.replconf(&args[1..], 1) {
                Ok(Replconf::Ok | Replconf::Flows) => "+OK\r\n".to_owned(),
                Ok(Replconf::Silence | Replconf::AckNow) => {
                    self.feed();
                    return;
                }
                Ok(Replconf::Names) => {
                    let names: Vec<String> = self.names.iter().map(ReplId::to_string).collect();
                    format!("+LACEWING {}\r\n", names.join(" "))
                }
                Err(error) => format!("-{error}\r\n"),
            },
            b"PSYNC" => return self.psync(args),
            _ => "-ERR unknown command\r\n".to_owned(),
        };
        self.out.extend_from_slice(reply.as_bytes());
    }

    fn psync(&mut self, args: &[&[u8]]) {
        let offset = String::from_utf8_lossy(args[2]).parse().unwrap();
        match self.follower.psync(args[1], offset, &self.backlog, true) {
            Psync::Continue { line, from } => {
                self.out.extend_from_slice(line.as_bytes());
                self.sent = from;
            }
            Psync::Full => {
                let from = Position { replid: self.backlog.replid(), offset: self.backlog.end() };
                let line = self.follower.begins(from, self.is_marked);
                let payload = payload(&self.data);
                self.out.extend_from_slice(line.as_bytes());
                self.out.extend_from_slice(b"\n");
                if self.is_marked {
                    self.out.extend_from_slice(&[b"$EOF:", &MARK[..], b"\r\n", &payload, MARK].concat());
                } else {
                    self.out.extend_from_slice(format!("${}\r\n", payload.len()).as_bytes());
                    self.out.extend_from_slice(&payload);
                }
                self.follower.ends(1);
                self.sent = from.offset;
            }
            Psync::NoMasterLink => self.out.extend_from_slice(b"-NOMASTERLINK no\r\n"),
        }
        self.feed();
    }
}

/// Lets both speak until nothing more is said, or the master has said `bytes_max` bytes; says how many it has said. Its bytes come in
/// pieces of `piece`.
pub(crate) fn talk(node: &mut Node, master: &mut Master, piece: usize, bytes_max: usize) -> usize {
    let mut said = 0;
    loop {
        let asked = std::mem::take(&mut node.out);
        master.receive(&asked);
        let answer = std::mem::take(&mut master.out);
        if answer.is_empty() && asked.is_empty() {
            return said;
        }
        let answer = &answer[..answer.len().min(bytes_max - said)];
        said += answer.len();
        answer.chunks(piece).for_each(|part| node.receive(part));
        if said == bytes_max || !node.has_link {
            return said;
        }
    }
}

/// Connects both, and lets them speak.
pub(crate) fn meet(node: &mut Node, master: &mut Master) {
    master.accept();
    node.connect();
    talk(node, master, usize::MAX, usize::MAX);
}
