//! The edge of a core's log: how far those may read it who are sent it ([`crate::flows`]), and its newest bytes in memory.
//!
//! ```text
//!            ring                        leaves         written
//!  ──────────┬──────────────────────────────┬──────────────┐
//!  segments  │ in memory, while somebody    │ not yet on   │
//!  on disk   │ reads                        │ the disk (under `always`)
//!  ──────────┴──────────────────────────────┴──────────────┘
//! ```
//!
//! What only replicas are told (PUBLISH) is in no log: it waits here, for each reader apart, at the place behind which it is to be run.
//!
//! What leaves by the rule of leaving may be read by others, and is told of here before anything else leaves that tells of it: so whoever has an
//! answer finds the edge behind what it tells of.

use crate::connection::Link;
use aof::{Generation, Lsn};
use replication::{Backlog, ReplId};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};
use stdx::ShardId;

/// The edges of all logs, as all cores see them.
#[derive(Debug)]
pub(crate) struct Edges(Vec<Edge>);

/// That of one, on cache lines of its own: its core writes it in each turn.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Edge {
    generation: AtomicU64,
    leaves: AtomicU64,
}

impl Edges {
    /// Of so many cores.
    pub(crate) fn new(cores: usize) -> Self {
        Self((0..cores).map(|_| Edge::default()).collect())
    }

    /// Of all logs of a generation, the byte behind the last that may be read; `None` if not all of them are written.
    pub(crate) fn of(&self, generation: Generation) -> Option<Vec<Lsn>> {
        let of = |edge: &Edge| {
            let is_it = edge.generation.load(Acquire) == generation.0;
            is_it.then(|| Lsn(edge.leaves.load(Acquire)))
        };
        self.0.iter().map(of).collect()
    }
}

/// What a core keeps of its own.
pub(super) struct Near {
    edges: Arc<Edges>,
    /// The place of the journal at which the log's first byte is.
    base: Cell<u64>,
    /// The place that was told last.
    told: Cell<u64>,
    readers: RefCell<Vec<Reader>>,
    /// Readers have something to take that is in no log.
    has_messages: Cell<bool>,
}

/// Who is sent the log.
struct Reader {
    link: Rc<Link>,
    /// What it is to be told beside it, each with the place of the journal behind which it is.
    messages: VecDeque<(u64, Rc<[u8]>)>,
    bytes: usize,
    /// Some of that was too much.
    has_lost: bool,
}

impl Near {
    pub(super) fn new(edges: Arc<Edges>) -> Self {
        Self {
            edges,
            base: Cell::new(0),
            told: Cell::new(0),
            readers: RefCell::default(),
            has_messages: Cell::new(false),
        }
    }

    /// A log begins, whose first byte is at this place.
    pub(super) fn begin(&self, core: ShardId, generation: Generation, base: u64) {
        self.base.set(base);
        self.told.set(base);
        let edge = &self.edges.0[core.index()];
        edge.leaves.store(0, Release);
        edge.generation.store(generation.0, Release);
    }

    /// All up to this place may be read.
    #[inline]
    pub(super) fn tell(&self, core: ShardId, place: u64) {
        if place != self.told.get() || self.has_messages.get() {
            self.has_messages.set(false);
            self.told.set(place);
            self.edges.0[core.index()].leaves.store(place - self.base.get(), Release);
            self.readers.borrow().iter().for_each(|reader| reader.link.kick());
        }
    }

    /// All readers are to be told this behind this place.
    pub(super) fn message(&self, place: u64, commands: &[u8]) {
        let mut readers = self.readers.borrow_mut();
        if commands.is_empty() || readers.is_empty() {
            return;
        }
        let commands: Rc<[u8]> = commands.into();
        readers.iter_mut().for_each(|reader| reader.add(place, &commands));
        self.has_messages.set(true);
    }

    /// What this reader is to be told next, if it has been sent all up to there.
    pub(super) fn take_message(&self, link: &Rc<Link>, sent: Lsn) -> Option<Rc<[u8]>> {
        let mut readers = self.readers.borrow_mut();
        let reader = readers.iter_mut().find(|reader| Rc::ptr_eq(&reader.link, link))?;
        let (_, commands) = reader.messages.pop_front_if(|(place, _)| *place <= self.base.get() + sent.0)?;
        reader.bytes -= commands.len();
        Some(commands)
    }

    /// Where the next of it is to be told.
    pub(super) fn next_message(&self, link: &Rc<Link>) -> Option<Lsn> {
        let readers = self.readers.borrow();
        let reader = readers.iter().find(|reader| Rc::ptr_eq(&reader.link, link))?;
        reader.messages.front().map(|(place, _)| Lsn(place.saturating_sub(self.base.get())))
    }

    pub(super) fn has_readers(&self) -> bool {
        !self.readers.borrow().is_empty()
    }

    pub(super) fn leaves(&self) -> Lsn {
        Lsn(self.told.get() - self.base.get())
    }

    pub(super) fn lsn(&self, place: u64) -> Lsn {
        Lsn(place - self.base.get())
    }

    pub(super) fn add(&self, reader: &Rc<Link>) {
        let link = Rc::clone(reader);
        self.readers.borrow_mut().push(Reader { link, messages: VecDeque::new(), bytes: 0, has_lost: false });
    }

    /// Whether it was the last one.
    pub(super) fn remove(&self, reader: &Rc<Link>) -> bool {
        let mut readers = self.readers.borrow_mut();
        readers.retain(|other| !Rc::ptr_eq(&other.link, reader));
        readers.is_empty()
    }
}

impl Reader {
    /// The oldest go if there is too much: whoever is so slow hears of messages late anyway.
    fn add(&mut self, place: u64, commands: &Rc<[u8]>) {
        self.messages.push_back((place, Rc::clone(commands)));
        self.bytes += commands.len();
        while self.bytes > MESSAGE_BYTES_MAX && self.messages.len() > 1 {
            let (_, lost) = self.messages.pop_front().expect("there is more than one");
            self.bytes -= lost.len();
            if !std::mem::replace(&mut self.has_lost, true) {
                tracing::warn!("a replica is too slow for what is published, and does not get all of it");
            }
        }
    }
}

/// So much of what is published waits for a reader.
const MESSAGE_BYTES_MAX: usize = 4 << 20;

/// The newest bytes of a log.
#[derive(Debug)]
pub(super) struct Ring(Backlog);

impl Ring {
    /// An empty one, for what is behind `end`.
    pub(super) fn new(end: Lsn, bytes: usize) -> Self {
        let unnamed = ReplId::parse(&[b'0'; 40]).expect("letters and digits");
        Self(Backlog::new(unnamed, end.0, bytes))
    }

    pub(super) fn append(&mut self, at: Lsn, bytes: &[u8]) {
        assert_eq!(at.0, self.0.end(), "the ring has all that was written since it began");
        self.0.append(bytes);
    }

    pub(super) fn resize(&mut self, bytes: usize) {
        if self.0.capacity() != bytes {
            self.0.resize(bytes);
        }
    }

    /// Bytes from `at` on, as many as lie together, if they are there.
    pub(super) fn read(&self, at: Lsn) -> Option<&[u8]> {
        self.0.read(at.0).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_those_of_one_generation_or_none() {
        let edges = Arc::new(Edges::new(2));
        let (one, two) = (Near::new(Arc::clone(&edges)), Near::new(Arc::clone(&edges)));
        one.begin(ShardId(0), Generation(3), 100);
        assert_eq!(edges.of(Generation(3)), None);
        two.begin(ShardId(1), Generation(3), 0);
        one.tell(ShardId(0), 140);
        assert_eq!(edges.of(Generation(3)), Some(vec![Lsn(40), Lsn(0)]));
        assert_eq!(edges.of(Generation(2)), None);
        assert_eq!((one.leaves(), one.lsn(150)), (Lsn(40), Lsn(50)));
    }

    #[test]
    fn the_ring_has_the_newest_bytes() {
        let mut ring = Ring::new(Lsn(10), 4);
        ring.append(Lsn(10), b"abc");
        assert_eq!(ring.read(Lsn(9)), None);
        assert_eq!(ring.read(Lsn(13)), Some(&b""[..]));
        ring.append(Lsn(13), b"def");
        assert_eq!(ring.read(Lsn(11)), None);
        ring.resize(8);
        assert_eq!(ring.read(Lsn(12)), Some(&b"cdef"[..]));
    }
}
