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
    messages: Messages,
}

/// What a reader is to be told beside the log, each with the place of the journal behind which it is.
#[derive(Default)]
struct Messages {
    waiting: VecDeque<(u64, Rc<[u8]>)>,
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
        readers.iter_mut().for_each(|reader| reader.messages.add(place, &commands));
        self.has_messages.set(true);
    }

    /// What this reader is to be told next, if it has been sent all up to there.
    pub(super) fn take_message(&self, link: &Rc<Link>, sent: Lsn) -> Option<Rc<[u8]>> {
        let mut readers = self.readers.borrow_mut();
        let reader = readers.iter_mut().find(|reader| Rc::ptr_eq(&reader.link, link))?;
        reader.messages.take(self.base.get() + sent.0)
    }

    /// Where the next of it is to be told.
    pub(super) fn next_message(&self, link: &Rc<Link>) -> Option<Lsn> {
        let readers = self.readers.borrow();
        let reader = readers.iter().find(|reader| Rc::ptr_eq(&reader.link, link))?;
        reader.messages.next().map(|place| Lsn(place.saturating_sub(self.base.get())))
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
        self.readers.borrow_mut().push(Reader { link, messages: Messages::default() });
    }

    /// Whether it was the last one.
    pub(super) fn remove(&self, reader: &Rc<Link>) -> bool {
        let mut readers = self.readers.borrow_mut();
        readers.retain(|other| !Rc::ptr_eq(&other.link, reader));
        readers.is_empty()
    }
}

impl Messages {
    /// The oldest go if there is too much: whoever is so slow hears of messages late anyway.
    fn add(&mut self, place: u64, commands: &Rc<[u8]>) {
        self.waiting.push_back((place, Rc::clone(commands)));
        self.bytes += commands.len();
        while self.bytes > MESSAGE_BYTES_MAX && self.waiting.len() > 1 {
            let (_, lost) = self.waiting.pop_front().expect("there is more than one");
            self.bytes -= lost.len();
            if !std::mem::replace(&mut self.has_lost, true) {
                tracing::warn!("a replica is too slow for what is published, and does not get all of it");
            }
        }
    }

    /// The next, if all up to its place was sent.
    fn take(&mut self, sent: u64) -> Option<Rc<[u8]>> {
        let (_, commands) = self.waiting.pop_front_if(|(place, _)| *place <= sent)?;
        self.bytes -= commands.len();
        Some(commands)
    }

    /// Where the next is to be told.
    fn next(&self) -> Option<u64> {
        self.waiting.front().map(|(place, _)| *place)
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
    fn what_is_told_beside_a_log_is_told_at_its_place_and_once() {
        let mut messages = Messages::default();
        assert_eq!((messages.next(), messages.take(u64::MAX)), (None, None));
        for (place, text) in [(100, "a"), (100, "b"), (140, "c")] {
            messages.add(place, &text.as_bytes().into());
        }
        assert_eq!((messages.next(), messages.take(99)), (Some(100), None));
        let mut take =
            |sent| messages.take(sent).map(|commands| String::from_utf8_lossy(&commands).into_owned());
        let taken = [take(100), take(100), take(139), take(140), take(140)];
        assert_eq!(taken, [Some("a"), Some("b"), None, Some("c"), None].map(|one| one.map(str::to_owned)));
        assert_eq!((messages.next(), messages.bytes), (None, 0));
    }

    #[test]
    fn who_is_too_slow_for_what_is_told_loses_the_oldest_and_costs_no_more() {
        let mut messages = Messages::default();
        let commands: Rc<[u8]> = vec![b'x'; MESSAGE_BYTES_MAX / 4].into();
        for place in 0..20 {
            messages.add(place, &commands);
            assert!(messages.bytes <= MESSAGE_BYTES_MAX);
        }
        assert_eq!((messages.next(), messages.has_lost), (Some(16), true));
        // One alone is told however long it is.
        let long: Rc<[u8]> = vec![b'x'; MESSAGE_BYTES_MAX + 1].into();
        messages.add(20, &long);
        assert_eq!(messages.take(20).map(|commands| commands.len()), Some(long.len()));
        assert_eq!((messages.next(), messages.bytes), (None, 0));
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
