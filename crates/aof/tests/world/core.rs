//! One core: locks, journal, log, and what waits to leave until the journal is safe.

use std::collections::{BTreeMap, VecDeque};

use aof::{Encoder, HEADER_LEN, LogId, Lsn, Stamp, TxNumber};
use stdx::{Rng, ShardId, UnixMs};

use super::{DB, header};

#[derive(Clone, Copy)]
pub(crate) enum Why {
    Commands,
    /// With a change of policy, or without.
    Cut {
        switches: bool,
    },
}

pub(crate) struct Request {
    pub(crate) id: u64,
    pub(crate) home: usize,
    pub(crate) keys: Vec<u32>,
    pub(crate) is_whole: bool,
}

pub(crate) enum Message {
    Lock(Request),
    Locked(u64),
    Release {
        id: u64,
        number: TxNumber,
    },
    Cut {
        id: u64,
        number: u64,
        durable: u64,
        switches: bool,
    },
    /// To a client of this core: its command is done.
    Seen(u32),
}

pub(crate) struct Core {
    encoder: Encoder,
    /// What was journalled and not written.
    pub(crate) journal: Vec<u8>,
    /// The position at which it begins.
    base: Lsn,
    pub(crate) file: Vec<u8>,
    /// What is synced of it, in the log's positions.
    synced: Lsn,
    pub(crate) always: bool,
    /// With the position up to which the journal must be safe.
    outbox: VecDeque<(Lsn, usize, Message)>,
    /// By sender.
    pub(crate) inbox: Vec<VecDeque<Message>>,
    held: BTreeMap<u64, Request>,
    waiting: VecDeque<Request>,
    /// Cuts that were written and not synced.
    cuts: VecDeque<(u64, Lsn)>,
    /// A cut's locks, which are kept until it is synced everywhere.
    pub(crate) cut_locked: Option<u64>,
}

impl Core {
    pub(crate) fn new(log: LogId, shards: usize) -> Self {
        Self {
            encoder: Encoder::new(log, Lsn(0)),
            journal: Vec::new(),
            base: Lsn(0),
            file: header(log),
            synced: Lsn(0),
            always: false,
            outbox: VecDeque::new(),
            inbox: (0..shards).map(|_| VecDeque::new()).collect(),
            held: BTreeMap::new(),
            waiting: VecDeque::new(),
            cuts: VecDeque::new(),
            cut_locked: None,
        }
    }

    /// Whether a plain command may touch this key.
    pub(crate) fn is_free(&self, key: u32) -> bool {
        !self.held.values().any(|held| held.is_whole || held.keys.contains(&key))
    }

    /// Takes its place in the line; who has got a lock by that.
    pub(crate) fn lock(&mut self, request: Request) -> Vec<Request> {
        self.waiting.push_back(request);
        self.grant()
    }

    pub(crate) fn release(&mut self, id: u64) -> Vec<Request> {
        assert!(self.held.remove(&id).is_some(), "a lock that was held");
        self.grant()
    }

    fn grant(&mut self) -> Vec<Request> {
        let mut granted = Vec::new();
        while let Some(next) = self.waiting.front() {
            let conflicts = |held: &Request| {
                held.is_whole || next.is_whole || held.keys.iter().any(|key| next.keys.contains(key))
            };
            if self.held.values().any(conflicts) {
                break;
            }
            let Some(next) = self.waiting.pop_front() else { break };
            let (id, home, is_whole) = (next.id, next.home, next.is_whole);
            self.held.insert(id, next);
            granted.push(Request { id, home, keys: Vec::new(), is_whole });
        }
        granted
    }

    fn stamp(&self) -> Stamp {
        Stamp { synced: self.synced, always: self.always }
    }

    /// The end of the journal.
    pub(crate) fn position(&self) -> Lsn {
        self.base.plus(self.journal.len() as u64)
    }

    pub(crate) fn journal_plain(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if !self.encoder.is_open() {
            self.encoder.begin_plain(&mut self.journal, DB);
        }
        write(&mut self.journal);
    }

    /// Seals the record that is open.
    pub(crate) fn close(&mut self) {
        if self.encoder.is_open() {
            let stamp = self.stamp();
            self.encoder.seal(&mut self.journal, stamp);
        }
    }

    pub(crate) fn journal_whole(
        &mut self,
        tx: TxNumber,
        others: &[ShardId],
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        self.close();
        self.encoder.begin_whole(&mut self.journal, tx, others, DB);
        write(&mut self.journal);
        self.close();
    }

    pub(crate) fn journal_marker(&mut self, tx: TxNumber, home: ShardId) {
        self.close();
        let stamp = self.stamp();
        self.encoder.marker(&mut self.journal, tx, home, stamp);
    }

    pub(crate) fn journal_cut(&mut self, number: u64, at: UnixMs, durable: u64) {
        self.close();
        let stamp = self.stamp();
        let end = self.encoder.cut(&mut self.journal, number, at, durable, stamp);
        self.cuts.push_back((number, end));
    }

    pub(crate) fn send(&mut self, to: usize, message: Message) {
        self.outbox.push_back((self.position(), to, message));
    }

    pub(crate) fn write(&mut self) {
        self.close();
        self.file.append(&mut self.journal);
        self.base = self.encoder.next_lsn();
    }

    /// The cut that is synced by this, if one is.
    pub(crate) fn sync(&mut self) -> Option<u64> {
        self.synced = self.base;
        self.cuts.pop_front_if(|(_, end)| *end <= self.base).map(|(number, _)| number)
    }

    /// What may leave.
    pub(crate) fn leaving(&mut self) -> Vec<(usize, Message)> {
        let safe = if self.always { self.synced } else { self.base };
        let mut leaving = Vec::new();
        while let Some((_, to, message)) = self.outbox.pop_front_if(|(at, ..)| *at <= safe) {
            leaving.push((to, message));
        }
        leaving
    }

    pub(crate) fn after_power_loss(&self, rng: &mut Rng) -> Vec<u8> {
        let synced = HEADER_LEN + self.synced.0 as usize;
        let mut bytes = self.file.clone();
        let mut at = synced;
        while at < bytes.len() {
            let end = (at / SECTOR * SECTOR + SECTOR).min(bytes.len());
            if rng.one_in(3) {
                bytes[at..end].fill(0);
            }
            at = end;
        }
        if rng.one_in(2) {
            bytes.truncate(synced + rng.index(bytes.len() - synced + 1));
        } else {
            bytes.resize(bytes.len() + rng.index(500), 0);
        }
        bytes
    }
}

/// What lands, or does not, as one. Small, for the logs are.
const SECTOR: usize = 64;
