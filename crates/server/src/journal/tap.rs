//! What a core journals, on its way to core 0, which makes one stream of it for replicas ([`crate::master`]).
//!
//! ```text
//!   records ──► made ──► [`Queue`] of this core ──► core 0
//!               waits until the journal is as safe as the policy asks, as all does that leaves
//! ```
//!
//! A core hands over what it made and goes on. If core 0 does not come to take it, the core waits for that, a little each time
//! ([`PATIENCE`]): so little that nothing stands still, and enough that core 0, once it is free, is not overrun. If it is so busy
//! that [`QUEUE_BYTES_MAX`] wait, the stream is given up, and replicas begin anew.

use super::writer::Record;
use aof::TxNumber;
use reactor::bell::{Bell, Ear, bell};
use replication::merge::Entry;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::AcqRel};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;
use stdx::ShardId;

/// Between all cores and core 0.
#[derive(Debug)]
pub(crate) struct Taps {
    queues: Vec<Queue>,
    bell: Bell,
    /// Taken by core 0.
    ear: Mutex<Option<Ear>>,
    /// The bell has rung, and core 0 has not looked since.
    has_rung: AtomicBool,
}

/// What one core has handed over.
#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    /// It was taken.
    taken: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    entries: VecDeque<Entry>,
    bytes: usize,
    /// There was too much of it: something is missing from here on.
    is_broken: bool,
}

impl Taps {
    /// Of so many cores. Errors: no descriptors to be had.
    pub(crate) fn new(cores: usize) -> io::Result<Self> {
        let (bell, ear) = bell()?;
        Ok(Self {
            queues: (0..cores).map(|_| Queue::default()).collect(),
            bell,
            ear: Mutex::new(Some(ear)),
            has_rung: AtomicBool::new(false),
        })
    }

    /// For core 0, once: rings when there is something to take.
    pub(crate) fn ear(&self) -> Ear {
        self.ear.lock().expect("nobody panics with it").take().expect("core 0 listens once")
    }

    /// Calls core 0, which looks at all that concerns replicas.
    pub(crate) fn ring(&self) {
        if !self.has_rung.swap(true, AcqRel) {
            self.bell.ring();
        }
    }

    /// Core 0 has heard the bell, and looks now.
    pub(crate) fn hear(&self) {
        self.has_rung.store(false, std::sync::atomic::Ordering::Release);
    }

    /// Takes all that a core has handed over. False when there was too much of it, and something is missing behind what was taken.
    pub(crate) fn take(&self, core: ShardId, mut each: impl FnMut(Entry)) -> bool {
        let queue = &self.queues[core.index()];
        let Waiting { entries, is_broken, .. } = std::mem::take(&mut *queue.waiting());
        queue.taken.notify_all();
        entries.into_iter().for_each(&mut each);
        !is_broken
    }

    fn put(&self, core: ShardId, entries: impl Iterator<Item = Entry>) {
        let queue = &self.queues[core.index()];
        let mut waiting = queue.waiting();
        for entry in entries {
            waiting.bytes += len(&entry);
            if !waiting.is_broken {
                waiting.entries.push_back(entry);
            }
        }
        if waiting.bytes > QUEUE_BYTES_MAX && !waiting.is_broken {
            // Nothing behind what is missing is of any use.
            *waiting = Waiting { is_broken: true, ..Waiting::default() };
        }
        self.ring();
        // Core 0 cannot wait for itself.
        if waiting.bytes > QUEUE_BYTES && core.index() != 0 {
            let is_full = |waiting: &mut Waiting| waiting.bytes > QUEUE_BYTES;
            // Whether it was taken or not, the core goes on.
            let _ = queue.taken.wait_timeout_while(waiting, PATIENCE, is_full);
        }
    }
}

impl Queue {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("nobody panics with it")
    }
}

/// One core's end, while the core is tapped.
#[derive(Debug, Default)]
pub(super) struct Tap {
    is_on: Cell<bool>,
    /// What was made and may not leave yet, each with the place of the journal that is to be safe before.
    made: RefCell<VecDeque<(u64, Entry)>>,
    /// How many entries were ever made since it is on.
    count: Cell<u64>,
}

impl Tap {
    #[inline]
    pub(super) fn is_on(&self) -> bool {
        self.is_on.get()
    }

    pub(super) fn set(&self, is_on: bool) {
        self.is_on.set(is_on);
        self.made.take();
        self.count.set(0);
    }

    /// How many entries were ever made.
    pub(super) fn count(&self) -> u64 {
        self.count.get()
    }

    /// Commands of this shard alone did this; it is recorded at this place.
    pub(super) fn plain(&self, place: u64, effects: &[u8]) {
        let made = &mut *self.made.borrow_mut();
        if let Some((last, Entry::Plain(bytes))) = made.back_mut()
            && bytes.len() < PLAIN_BYTES
        {
            *last = place;
            return bytes.extend_from_slice(effects);
        }
        self.add(made, place, Entry::Plain(effects.to_vec()));
    }

    pub(super) fn record(&self, place: u64, record: &Record<'_>) {
        let entry = match *record {
            Record::Whole { number, shards, commands, for_replicas } => Entry::Whole {
                tx: TxNumber(number),
                participants: shards.iter().collect(),
                commands: for_replicas.unwrap_or(commands).to_vec(),
            },
            Record::Marker { number, home } => Entry::Marker { tx: TxNumber(number), home },
            Record::Cut { number, .. } => Entry::Cut(number),
        };
        self.add(&mut self.made.borrow_mut(), place, entry);
    }

    fn add(&self, made: &mut VecDeque<(u64, Entry)>, place: u64, entry: Entry) {
        made.push_back((place, entry));
        self.count.set(self.count.get() + 1);
    }

    /// Hands over what may leave: all up to the place up to which the journal is safe.
    #[inline]
    pub(super) fn hand_over(&self, taps: &Taps, core: ShardId, safe: u64) {
        let mut made = self.made.borrow_mut();
        if made.front().is_some_and(|(place, _)| *place <= safe) {
            let count = made.partition_point(|(place, _)| *place <= safe);
            taps.put(core, made.drain(..count).map(|(_, entry)| entry));
        }
    }
}

fn len(entry: &Entry) -> usize {
    const EACH: usize = size_of::<Entry>();
    EACH + match entry {
        Entry::Plain(commands) | Entry::Whole { commands, .. } => commands.len(),
        Entry::Marker { .. } | Entry::Cut(_) => 0,
    }
}

/// Plain records are put together up to so many bytes.
const PLAIN_BYTES: usize = 64 << 10;
/// When so many bytes of a core wait, the core waits with each new one, for so long at most.
const QUEUE_BYTES: usize = 16 << 20;
const PATIENCE: Duration = Duration::from_millis(1);
/// When so many do, it is too much.
pub(crate) const QUEUE_BYTES_MAX: usize = 256 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(taps: &Taps) -> (Vec<Entry>, bool) {
        let mut entries = Vec::new();
        let is_whole = taps.take(ShardId(0), |entry| entries.push(entry));
        (entries, is_whole)
    }

    #[test]
    fn what_is_not_safe_yet_is_not_handed_over() {
        let (taps, tap) = (Taps::new(1).expect("descriptors"), Tap::default());
        tap.set(true);
        tap.plain(10, b"a");
        tap.plain(20, b"b");
        tap.record(30, &Record::Marker { number: 7, home: ShardId(1) });
        tap.plain(40, b"c");
        assert_eq!(tap.count(), 3);
        tap.hand_over(&taps, ShardId(0), 19);
        assert_eq!(taken(&taps), (Vec::new(), true), "what was put together leaves together");
        tap.hand_over(&taps, ShardId(0), 30);
        let marker = Entry::Marker { tx: TxNumber(7), home: ShardId(1) };
        assert_eq!(taken(&taps), (vec![Entry::Plain(b"ab".to_vec()), marker], true));
        tap.hand_over(&taps, ShardId(0), 40);
        assert_eq!(taken(&taps), (vec![Entry::Plain(b"c".to_vec())], true));
    }

    #[test]
    fn too_much_is_told_and_not_kept() {
        let taps = Taps::new(1).expect("descriptors");
        let piece = || std::iter::once(Entry::Plain(vec![0; QUEUE_BYTES_MAX / 2 + 1]));
        taps.put(ShardId(0), piece());
        taps.put(ShardId(0), piece());
        taps.put(ShardId(0), piece());
        assert_eq!(taken(&taps), (Vec::new(), false));
        taps.put(ShardId(0), std::iter::once(Entry::Cut(1)));
        assert_eq!(taken(&taps), (vec![Entry::Cut(1)], true));
    }
}
