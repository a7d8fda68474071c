//! The locks of single keys. Nearly all of them are held by one claim, with nobody behind it, and for a short time: such a
//! lock is one small entry of one table. Only where claims meet does it become a queue.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::KeyName;
use super::queue::{Level, Queue};

/// The key locks of one shard that are held or awaited.
#[derive(Debug, Default)]
pub(super) struct KeyLocks {
    locks: HashTable<KeyLock>,
    /// Of locks that claims have met on; a free one is listed in `free`, and empty.
    queues: Vec<Queue>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct KeyLock {
    name: KeyName,
    /// The claim that entered last, if it is still here: a claim may name a key twice.
    last: u32,
    state: State,
}

#[derive(Debug)]
enum State {
    /// By so many claims of this level; nobody waits.
    Held(Level, u32),
    /// See this queue.
    Queued(u32),
}

/// What became of a claim at one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entered {
    /// It holds the lock.
    Held,
    /// It waits.
    Waits,
    /// It is there already.
    Twice,
}

/// No claim.
const NOBODY: u32 = u32::MAX;

impl KeyLocks {
    /// Whether a claim that came now would conflict with nobody, holder or waiter.
    #[inline]
    pub(super) fn has_room(&self, name: KeyName, level: Level) -> bool {
        match self.locks.find(hash(name), |lock| lock.name == name) {
            None => true,
            Some(KeyLock { state: State::Held(held, _), .. }) => !level.conflicts_with(*held),
            Some(KeyLock { state: State::Queued(queue), .. }) => self.queues[*queue as usize].has_room(level),
        }
    }

    /// A claim takes its place.
    #[inline]
    pub(super) fn enter(&mut self, name: KeyName, claim: u32, level: Level) -> Entered {
        let lock = match self.locks.entry(hash(name), |lock| lock.name == name, |lock| hash(lock.name)) {
            Entry::Vacant(place) => {
                place.insert(KeyLock { name, last: claim, state: State::Held(level, 1) });
                return Entered::Held;
            }
            Entry::Occupied(place) => place.into_mut(),
        };
        if lock.last == claim {
            return Entered::Twice;
        }
        lock.last = claim;
        match &mut lock.state {
            State::Held(held, count) if *held == level && !level.conflicts_with(level) => {
                *count += 1;
                return Entered::Held;
            }
            State::Held(held, count) => {
                let index = self.free.pop().unwrap_or_else(|| {
                    self.queues.push(Queue::default());
                    self.queues.len() as u32 - 1
                });
                self.queues[index as usize].hold(*held, *count);
                lock.state = State::Queued(index);
            }
            State::Queued(_) => {}
        }
        let State::Queued(queue) = lock.state else { unreachable!("just made a queue") };
        let holds = self.queues[queue as usize].enter(claim as usize, level);
        if holds { Entered::Held } else { Entered::Waits }
    }

    /// A claim goes, whether it holds this lock or not (`gave_up`: it may be waiting). Those whom it kept waiting here are
    /// given to `grant`. Panics when nobody is there.
    #[inline]
    pub(super) fn leave(
        &mut self,
        name: KeyName,
        claim: u32,
        level: Level,
        gave_up: bool,
        grant: impl FnMut(usize),
    ) {
        let found = self.locks.find_entry(hash(name), |lock| lock.name == name);
        let mut place = found.expect("a claim stands at each of its names");
        let lock = place.get_mut();
        if lock.last == claim {
            lock.last = NOBODY;
        }
        let queue = match &mut lock.state {
            State::Held(_, count) => {
                *count -= 1;
                if *count == 0 {
                    place.remove();
                }
                return;
            }
            State::Queued(index) => *index,
        };
        let line = &mut self.queues[queue as usize];
        line.quit(claim as usize, level, gave_up, grant);
        if line.is_empty() {
            place.remove();
            self.free.push(queue);
        }
    }
}

/// Fingerprints are hashes already.
#[inline]
fn hash(name: KeyName) -> u64 {
    name.fingerprint ^ u64::from(name.db.0).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
