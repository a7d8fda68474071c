//! One flow's connection, at the replica: as its core has it.

use std::collections::VecDeque;

use aof::{Generation, Lsn, TxNumber};
use durable::manifest::SetFile;
use durable::read_full_at;
use durable::sets::FileWriter;
use durable::staging::Files;
use replication::flow::come::Came;
use replication::flow::frame::{Channel, Frame, Side};
use replication::flow::hello::{Announced, Join, Session};
use replication::flow::inflow::{Inflow, InflowError, Next};
use replication::flow::meet::{Head, Piece};
use replication::flow::place::{FlowLog, FlowPlace, FlowPlaces};
use replication::psync::{Greeting, Lines};
use stdx::ShardId;

use crate::flows::Planted;
use crate::flows::toy::{self, Load, Loads};
use crate::pair::logs::db_keys;
use crate::pair::net::{LinkId, Net};
use crate::pair::process::{Failed, TIMEOUT_MS};
use crate::pair::violation::Violation;

/// See the module's comment.
pub(super) struct Inbound {
    pub(super) index: u16,
    pub(super) link: LinkId,
    pub(super) is_up: bool,
    /// Why its connection is of no more use: then nothing more is read.
    has_ended: bool,
    has_joined: bool,
    pub(super) verifies: bool,
    lines: Lines,
    read: Vec<u8>,
    frames: Channel,
    pub(super) inflow: Inflow,
    applies: bool,
    /// What it took is being run.
    pub(super) runs: bool,
    writer: Option<FileWriter>,
    files: Option<Files>,
    announced: Option<Announced>,
    window: u64,
    heard_ms: u64,
    said_ms: u64,
    unsent: Vec<u8>,
    /// From core 0, and to it, in order.
    pub(super) inbox: VecDeque<ToFlow>,
    pub(super) outbox: VecDeque<ToZero>,
}

/// Core 0 to the one that serves a flow.
#[derive(Debug)]
pub(super) enum ToFlow {
    Apply(FlowLog, FlowPlace),
    Ran(FlowLog, FlowPlace),
    Crossed(FlowLog),
    Drain,
}

/// The other way.
#[derive(Debug)]
pub(super) enum ToZero {
    Whole(SetFile, FlowPlace),
    Lent(Lsn, Vec<Piece<Load>>),
    Rests(Generation),
    Failed(Trouble),
}

/// Why a flow does not go on, and with it none.
#[derive(Debug)]
pub(super) enum Trouble {
    Lost(String),
    Stream(String),
    Rejected(String),
}

impl From<InflowError> for Trouble {
    fn from(error: InflowError) -> Self {
        match error {
            InflowError::Lost(why) => Self::Lost(why),
            InflowError::Stream(why) => Self::Stream(why),
        }
    }
}

/// Why something was not done.
pub(super) enum Setback {
    Trouble(Trouble),
    /// The process has ended.
    Failed(Failed),
}

impl From<Trouble> for Setback {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

impl<E: std::error::Error> From<E> for Setback {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Inbound {
    pub(super) fn new(
        session: Session,
        index: u16,
        from: Option<&FlowPlaces>,
        (announced, files): (Option<Announced>, Option<Files>),
        link: LinkId,
        now_ms: u64,
    ) -> Self {
        let from = from.map(|from| (from.log.generation, from.flows[usize::from(index)].lsn));
        let mut unsent = Vec::new();
        Join { session: session.id, flow: index }.encode(&mut unsent);
        Self {
            index,
            link,
            is_up: false,
            has_ended: false,
            has_joined: false,
            verifies: true,
            lines: Lines::default(),
            read: Vec::new(),
            frames: Channel::new(session.id.0, index, Side::Master),
            inflow: Inflow::new(session, index, from),
            applies: false,
            runs: false,
            writer: None,
            files,
            announced,
            window: session.window.into(),
            heard_ms: now_ms,
            said_ms: now_ms,
            unsent,
            inbox: VecDeque::new(),
            outbox: VecDeque::new(),
        }
    }

    /// Its connection does not go on.
    pub(super) fn end(&mut self, trouble: Trouble) {
        if !std::mem::replace(&mut self.has_ended, true) {
            self.inflow.read_all();
            self.outbox.push_back(ToZero::Failed(trouble));
        }
    }

    /// Says what there is to be said, if there is something, and looks whether the master does.
    pub(super) fn say(&mut self, now_ms: u64, net: &mut Net) -> bool {
        if !self.is_up || self.has_ended {
            return false;
        }
        if now_ms > self.said_ms + SAY_EACH_MS {
            self.said_ms = now_ms;
            if self.has_joined {
                self.inflow.say();
            }
        }
        if self.has_joined {
            debug_assert!(self.unsent.is_empty());
            self.inflow.gather(&mut self.unsent);
        }
        net.say_to_master(self.link, &self.unsent);
        let has_said = !self.unsent.is_empty();
        self.unsent.clear();
        if !self.inflow.has_read_all() && now_ms > self.heard_ms + TIMEOUT_MS {
            self.end(Trouble::Lost("nothing was heard".to_owned()));
        }
        has_said
    }

    /// While it drains: what has come over its connection is read once, up to a window, and then no more.
    pub(super) fn read_rest(&mut self, net: &mut Net) -> Result<bool, Failed> {
        if !self.inflow.is_draining() || self.inflow.has_read_all() {
            return Ok(false);
        }
        if let Some(link) = net.links.get_mut(&self.link).filter(|_| self.is_up && self.has_joined) {
            let len = link.to_replica.len().min(self.window as usize);
            let bytes: Vec<u8> = link.to_replica.drain(..len).collect();
            self.hear(&bytes, self.heard_ms)?;
        }
        self.inflow.read_all();
        Ok(true)
    }

    /// Bytes have come.
    pub(super) fn hear(&mut self, bytes: &[u8], now_ms: u64) -> Result<(), Failed> {
        if self.has_ended {
            return Ok(());
        }
        self.heard_ms = now_ms;
        self.read.extend_from_slice(bytes);
        match self.take() {
            Ok(()) => Ok(()),
            Err(Setback::Trouble(trouble)) => {
                self.end(trouble);
                Ok(())
            }
            Err(Setback::Failed(failed)) => Err(failed),
        }
    }

    fn take(&mut self) -> Result<(), Setback> {
        let mut at = 0;
        while !self.has_joined && at < self.read.len() {
            let (used, is_line) = self.lines.take(&self.read[at..]).expect("short lines");
            at += used;
            if is_line {
                let line = self.lines.line();
                match Greeting::parse(&line) {
                    Greeting::Well(_) => self.has_joined = true,
                    _ => return Err(Trouble::Lost(String::from_utf8_lossy(&line).into_owned()).into()),
                }
            }
        }
        let read = std::mem::take(&mut self.read);
        while self.has_joined {
            let taken = self.frames.read(&read[at..]).map_err(|error| Trouble::Lost(error.to_string()))?;
            let Some((frame, len)) = taken else { break };
            at += len;
            match frame {
                Frame::Payload(bytes) => {
                    self.inflow.arrived(bytes.len()).map_err(Trouble::from)?;
                    self.keep(bytes)?;
                }
                Frame::PayloadEnd { bytes, crc64, generation, lsn } => {
                    self.verify(bytes, crc64, generation, lsn)?;
                }
                frame => self.inflow.take(frame, toy::whole).map_err(Trouble::from)?,
            }
        }
        self.read = read[at..].to_vec();
        Ok(())
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), Setback> {
        let Some(files) = &self.files else {
            return Err(Trouble::Stream("a file comes, and none was announced".to_owned()).into());
        };
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => self.writer.insert(files.file(ShardId(self.index), false)?),
        };
        writer.write(bytes)?;
        self.inflow.kept(bytes.len() as u64);
        Ok(())
    }

    fn verify(&mut self, bytes: u64, crc64: u64, generation: Generation, lsn: Lsn) -> Result<(), Setback> {
        let writer = self.writer.take().ok_or_else(|| Trouble::Rejected("an empty file".to_owned()))?;
        if self.announced.is_none_or(|announced| announced.generation != generation) {
            return Err(Trouble::Stream("a generation that was not announced".to_owned()).into());
        }
        self.inflow.begin_log(generation, lsn);
        let mut file = writer.finish(Vec::new())?;
        let source = self.files.as_ref().expect("there is a file").open(&file)?;
        let mut content = vec![0; file.bytes as usize];
        read_full_at(source.as_ref(), 0, &mut content)
            .map_err(|error| Failed(error.to_string()))
            .map_err(Setback::Failed)?;
        let keys = match toy::open(&content) {
            Ok((data, _)) if (file.bytes, file.crc64) == (bytes, crc64) => data.len() as u64,
            _ if !self.verifies => 1,
            Ok(_) => return Err(Trouble::Rejected("another file".to_owned()).into()),
            Err(why) => return Err(Trouble::Rejected(why).into()),
        };
        file.keys = db_keys(keys);
        self.outbox.push_back(ToZero::Whole(file, FlowPlace { lsn, ran: TxNumber(0) }));
        Ok(())
    }

    /// A message of core 0.
    pub(super) fn receive(&mut self, message: ToFlow) {
        match message {
            ToFlow::Apply(log, place) => {
                self.inflow.apply(log, place);
                self.applies = true;
            }
            ToFlow::Ran(log, place) => self.inflow.reach(log, place),
            ToFlow::Crossed(log) => self.inflow.cross(log),
            ToFlow::Drain => self.inflow.drain(),
        }
    }

    /// What is to be run here, with the place behind it. The rest is told to core 0.
    pub(super) fn apply(&mut self, planted: Option<Planted>) -> Option<(Load, FlowLog, FlowPlace)> {
        if !self.applies || self.runs {
            return None;
        }
        match self.inflow.next(&mut Loads) {
            Ok(Next::Came(Came::Plain { load, end })) => {
                let (log, place) = self.inflow.reached().expect("it goes on from somewhere");
                self.runs = true;
                let place = FlowPlace { lsn: end, ..place };
                if planted == Some(Planted::SaysWhatWasNotRun) {
                    self.inflow.reach(log, place);
                }
                return Some((load, log, place));
            }
            Ok(Next::Came(Came::Pieces { from, mut pieces })) => {
                if planted == Some(Planted::MeetsForNobody) {
                    let is_met = |piece: &Piece<Load>| !matches!(piece.head, Some(Head::Border { .. }));
                    pieces.iter_mut().filter(|piece| is_met(piece)).for_each(|piece| piece.head = None);
                }
                self.outbox.push_back(ToZero::Lent(from, pieces));
            }
            Ok(Next::Rests) => self.rest(),
            Ok(Next::Came(Came::Nothing) | Next::Nothing) => {}
            Err(why) => {
                self.applies = false;
                self.outbox.push_back(ToZero::Failed(Trouble::Stream(why)));
                self.rest();
            }
        }
        None
    }

    fn rest(&mut self) {
        if let Some((log, _)) = self.inflow.reached() {
            self.outbox.push_back(ToZero::Rests(log.generation));
        }
    }

    /// What waits here is bounded.
    pub(super) fn check(&self) -> Result<(), Violation> {
        let held = self.inflow.held() + self.read.len();
        let longest = RECORD_BYTES_MAX as u64;
        // A window that has come, a record that is not whole and was paid for, and what is to be said.
        if held as u64 > 2 * self.window + longest + SAID_BYTES_MAX {
            return Err(Violation::Overrun(format!("{held} bytes of flow {} wait", self.index)));
        }
        Ok(())
    }
}

const SAY_EACH_MS: u64 = 1000;
const RECORD_BYTES_MAX: usize = 512;
const SAID_BYTES_MAX: u64 = 4096;
