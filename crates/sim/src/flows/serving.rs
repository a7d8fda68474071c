//! One flow's connection, at the master: what is next is sent, and what the replica says is heard.

use std::collections::VecDeque;
use std::sync::Arc;

use aof::{Generation, Lsn};
use durable::Places;
use durable::staging::Staging;
use replication::flow::course::Course;
use replication::flow::credit::Sender;
use replication::flow::frame::{Channel, Frame, Side};
use replication::flow::hello::SessionId;
use stdx::{Rng, ShardId};

use crate::disk::MemDisk;
use crate::flows::master::Session;
use crate::flows::store::Store;
use crate::flows::toy::{self, Item};
use crate::pair::process::TIMEOUT_MS;
use crate::pair::violation::Violation;

/// See the module's comment.
pub(super) struct Serving {
    pub(super) session: SessionId,
    pub(super) flow: u16,
    course: Course,
    writes: Channel,
    hears: Channel,
    credit: Sender,
    held: Vec<u8>,
    /// What is told beside the log, each with its place in the present one.
    messages: VecDeque<(Lsn, Vec<u8>)>,
    /// What is sent of the first of them.
    told: usize,
    heard_ms: u64,
    pings_ms: u64,
    failed: Option<String>,
    has_said: bool,
}

impl Serving {
    pub(super) fn new(session: &Session, flow: u16, start: Lsn, window: u32, now_ms: u64) -> Self {
        let id = session.id;
        Self {
            session: id,
            flow,
            course: Course::new(flow, Arc::clone(&session.legs), start, session.files.is_some()),
            writes: Channel::new(id.0, flow, Side::Master),
            hears: Channel::new(id.0, flow, Side::Replica),
            credit: Sender::new(window.into()),
            held: Vec::new(),
            messages: VecDeque::new(),
            told: 0,
            heard_ms: now_ms,
            pings_ms: now_ms,
            failed: None,
            has_said: false,
        }
    }

    /// It is told behind this place.
    pub(super) fn publish(&mut self, (generation, lsn): (Generation, Lsn), number: u64) {
        let told = Item::Told { number, flow: self.flow, generation, lsn };
        self.messages.push_back((lsn, toy::encode(&[told])));
    }

    /// Looks at it from time to time. True: it is over.
    pub(super) fn round(&mut self, session: Option<&mut Session>, now_ms: u64) -> bool {
        let Some(session) = session else { return true };
        if self.has_said || session.progress.why_over().is_some() {
            return true;
        }
        if now_ms > self.heard_ms + TIMEOUT_MS {
            session.progress.end("it is silent");
            return true;
        }
        if now_ms > self.pings_ms + 1000 {
            self.pings_ms = now_ms;
        }
        false
    }

    /// Bytes of the replica. Errors: the connection is of no more use.
    pub(super) fn hear(
        &mut self,
        bytes: &[u8],
        session: Option<&mut Session>,
        now_ms: u64,
    ) -> Result<(), String> {
        let Some(session) = session else { return Err("the session is over".to_owned()) };
        self.heard_ms = now_ms;
        self.held.extend_from_slice(bytes);
        let mut at = 0;
        while let Some((frame, len)) = self.hears.read(&self.held[at..]).map_err(|error| error.to_string())? {
            match frame {
                Frame::Credit(bytes) => {
                    self.credit.returned(bytes.into()).map_err(|error| error.to_string())?;
                }
                Frame::Applied { generation, lsn } => {
                    assert!(self.course.has_sent(generation, lsn), "it has applied what it was not sent");
                    session.progress.applied(self.flow, generation, lsn)?;
                }
                Frame::Ping => {}
                frame => panic!("a replica does not say {frame:?}"),
            }
            at += len;
        }
        self.held.drain(..at);
        Ok(())
    }

    /// Sends some of what is next, if there is something.
    pub(super) fn send(
        &mut self,
        session: &mut Session,
        store: &Store,
        edges: &[Lsn],
        rng: &mut Rng,
        out: &mut Vec<u8>,
    ) -> Result<(), Violation> {
        if let Some(why) = &self.failed {
            if !self.has_said {
                self.writes.write(Frame::Fail(why), out);
                self.has_said = true;
                session.progress.end(why);
            }
            return Ok(());
        }
        if rng.one_in(40) {
            self.writes.write(Frame::Ping, out);
        }
        let flow = usize::from(self.flow);
        if let Some(sent) = self.course.payload() {
            let file = &session.files.as_ref().expect("a file is sent")[flow];
            if sent == file.len() as u64 {
                self.course.end_payload(crc64(file), &mut self.writes, out);
                session.progress.sent_payload(self.flow);
            } else {
                let piece = some(&file[sent as usize..], rng);
                self.course.send(piece, (&mut self.writes, &mut self.credit), out);
            }
            return self.check();
        }
        let at = self.course.at();
        if self.course.end() == Some(at) {
            self.course.go_over(&mut self.writes, out);
            return Ok(());
        }
        if self.course.end().is_none()
            && let Some((place, message)) = self.messages.front()
            && *place <= at
        {
            let sent =
                self.course.tell(some(&message[self.told..], rng), (&mut self.writes, &mut self.credit), out);
            self.told += sent;
            if self.told == message.len() {
                self.messages.pop_front();
                self.told = 0;
            }
            return self.check();
        }
        let next = self.messages.front().map_or(Lsn(u64::MAX), |(place, _)| *place);
        let end = self.course.end().unwrap_or_else(|| edges[flow].min(next));
        if at >= end {
            return Ok(());
        }
        let generation = self.course.generation();
        let log = store.generations.iter().find(|one| one.name.0 == generation);
        match log.and_then(|one| one.logs[flow].read(at, end)) {
            Some(bytes) => {
                self.course.send(some(bytes, rng), (&mut self.writes, &mut self.credit), out);
            }
            None => self.failed = Some("the log is no longer there".to_owned()),
        }
        self.check()
    }

    fn check(&self) -> Result<(), Violation> {
        let waits: usize = self.held.len();
        if waits > HELD_BYTES_MAX {
            return Err(Violation::Overrun(format!("{waits} bytes of a replica wait")));
        }
        Ok(())
    }
}

/// Some of it, from the beginning on.
fn some<'a>(bytes: &'a [u8], rng: &mut Rng) -> &'a [u8] {
    if bytes.is_empty() || rng.one_in(3) { bytes } else { &bytes[..1 + rng.index(bytes.len())] }
}

/// As a set's files have it.
fn crc64(file: &[u8]) -> u64 {
    let places = Places::local(Arc::new(MemDisk::new(1)));
    let staging = Staging::begin(&places, &mut Rng::new(1)).expect("a disk");
    let mut writer = staging.files().file(ShardId(0), false).expect("a file");
    writer.write(file).expect("room");
    writer.finish(Vec::new()).expect("room").crc64
}

/// So much of an unfinished frame waits.
const HELD_BYTES_MAX: usize = 64 << 10;
