//! The keys of a round: few, so that clients meet on them, and two of each kind hot.

use sim::elle::Key;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use stdx::rng::Rng;

/// What a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A list that is appended to with RPUSH.
    List,
    /// A list in a string, appended to with APPEND: so that MGET reads several at once.
    Text,
    /// A string that is overwritten.
    Register,
}

const KINDS: [(Kind, &str); 3] = [(Kind::List, "list"), (Kind::Text, "text"), (Kind::Register, "register")];

/// The keys of a round. Where a key has been written so many times, the next of its line takes its place: what is read
/// stays short.
pub(super) struct Keys {
    /// In the keys' names, so that rounds do not meet.
    round: u32,
    /// By kind and place: how many writes were drawn.
    written: [Vec<AtomicU32>; 3],
}

impl Keys {
    pub(super) fn new(round: u32) -> Self {
        let places = || (0..PLACES).map(|_| AtomicU32::new(0)).collect();
        Self { round, written: [places(), places(), places()] }
    }

    /// A key that is about to be written.
    pub(super) fn to_write(&self, kind: Kind, rng: &mut Rng) -> Key {
        let place = draw_place(rng);
        key(kind, place, self.written[kind as usize][place as usize].fetch_add(1, Relaxed) / WRITES_MAX)
    }

    /// A key that is being written, or was lately.
    pub(super) fn to_read(&self, kind: Kind, rng: &mut Rng) -> Key {
        let place = draw_place(rng);
        let line = self.written[kind as usize][place as usize].load(Relaxed) / WRITES_MAX;
        key(kind, place, if rng.one_in(8) { line.saturating_sub(1) } else { line })
    }

    /// All that there have ever been.
    pub(super) fn all(&self) -> Vec<Key> {
        let lines = |kind: Kind, place: u32| {
            0..=self.written[kind as usize][place as usize].load(Relaxed) / WRITES_MAX
        };
        let keys = KINDS.iter().flat_map(|&(kind, _)| {
            (0..PLACES).flat_map(move |place| lines(kind, place).map(move |line| key(kind, place, line)))
        });
        keys.collect()
    }

    /// What the server calls it.
    pub(super) fn name(&self, key: Key) -> String {
        let (place, line) = (key >> PLACE_SHIFT & 0xff, key & LINE_MASK);
        format!("{}:{}:{place}:{line}", KINDS[(key >> KIND_SHIFT) as usize].1, self.round)
    }
}

/// What the key holds.
pub(super) fn kind_of(key: Key) -> Kind {
    KINDS[(key >> KIND_SHIFT) as usize].0
}

fn key(kind: Kind, place: u32, line: u32) -> Key {
    assert!(line <= LINE_MASK, "the round is too long");
    (kind as u32) << KIND_SHIFT | place << PLACE_SHIFT | line
}

fn draw_place(rng: &mut Rng) -> u32 {
    (if rng.one_in(2) { rng.below(2) } else { rng.below(u64::from(PLACES)) }) as u32
}

const KIND_SHIFT: u32 = 28;
const PLACE_SHIFT: u32 = 20;
const LINE_MASK: u32 = (1 << PLACE_SHIFT) - 1;
/// Keys of each kind that are in use at one time.
const PLACES: u32 = 12;
/// Then the next of the line comes.
const WRITES_MAX: u32 = 40;
