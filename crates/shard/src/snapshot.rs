//! A shard's snapshot: its capture, whose bytes it hands out in slices, and the commands that have to wait for it.
//!
//! ```text
//!         ┌──────┐ arm  ┌───────┐ open ┌──────┐ nothing left ┌───────┐ close
//!     ┌──►│ Idle ├─────►│ Armed ├─────►│ Open ├─────────────►│ Whole ├───────┐
//!     │   └──────┘      └───┬───┘      └──┬───┘              └───┬───┘       │
//!     │                     │ disarm      │ cancel               │ cancel    │
//!     │                     │          ┌──▼───────┐              │           │
//!     └─────────────────────┴──────────┤ Clearing │◄─────────────┴───────────┘
//!                           nothing left └────────┘    (a whole one is cleared at once)
//! ```
//!
//! **Who waits.** The capture is right whatever happens to a key (`keyspace`'s own tests show that); waiting keeps memory
//! flat and slices short. A command waits that would change, where it is, a large value that is not captured yet, for that
//! would have to be copied; one that replaces or removes a large value, once many such are kept until they are written; and any
//! that writes to what is not captured, once much is written and not taken. For such a key the driver is given a *guard*: a shared
//! claim on the key, entered ahead of the command's own. So the command waits in line, readers go on (but for those who
//! come behind a writer that waits), and the key is captured before all others that nobody waits for. Then the guard ends.
//! The rest go on: a large value that expires or is evicted is taken over, not copied, and what no lock covers (keys
//! that a script did not declare) is copied.
//!
//! **Asked on arrival.** [`Snapshot::meet`] is asked when a command, or a transaction's order, comes, before its claim is
//! entered. That is exact: what is not captured is as it was at the opening, so a key never becomes large and uncaptured after
//! it was asked about. What came before the opening and stands in line behind the cut's claim on the whole shard runs after the
//! opening, too: therefore [`Snapshot::arm`], when that claim is entered. (Only a key that becomes large between arming
//! and opening is missed, and copied.) A transaction that comes to hold a key's lock has therefore no need to wait
//! again, and the walk, which takes no locks, may come to a key whose lock somebody holds: either he came before the cut, and is
//! over; or he was asked, and then the key is captured; or he only reads. Loans tell the capture before they leave, like any change.
//!
//! **No deadlock.** A guard waits, if at all, for claims that came before it and conflict with a reader of its key. The
//! command that it was made for writes that key and came behind it: so it waits for the same claims anyhow, and all that
//! the guard adds to who waits for whom is a step on the way from a waiter to somebody he waits for. While it
//! is held it waits for no lock and no transaction: [`Snapshot::slice`] writes the keys that are waited for whether the guards have
//! their locks or not, in bounded work, if only the driver takes the output. The driver must not make taking output wait
//! for a command. So every guard ends, and the proof in `coordinator::tx` holds with guards among the holders.
//!
//! A claim on the whole shard (FLUSHALL, a cut) waits behind commands that wait here, and keeps all others waiting. Whoever
//! takes such claims often asks [`Snapshot::is_awaited`] first and puts it off.
//!
//! **Memory.** What is written and not taken: at most [`Bounds::output_bytes`] and one slice, by the walk; up to
//! [`Bounds::aside_bytes`] and one value for each command under way, by writers. What is kept: [`Bounds::kept_bytes`] and one value, by
//! writers; beyond that only what expires, is evicted or flushed, which was there before, and what had to be copied
//! ([`Snapshot::progress`] tells how often).

mod encode;

pub use encode::RdbKeys;

use commands::table::{key_flags, keys_of};
use commands::{CommandRef, Core, Flags};
use keyspace::{Budget, CaptureProgress, CaptureState, CapturedDb, Encode, Key, Keyspace, Left, Miscounted};
use std::collections::VecDeque;
use stdx::{Args, DbIndex, UnixMs};

/// What a snapshot may take of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// An entry that takes more bytes of memory is large: written in slices.
    pub large_bytes: usize,
    /// The walk stands still while so many bytes are written and not taken.
    pub output_bytes: usize,
    /// Writers wait while so many are.
    pub aside_bytes: usize,
    /// Those who replace or remove large values wait while so many bytes of them are kept.
    pub kept_bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { large_bytes: 64 << 10, output_bytes: 1 << 20, aside_bytes: 16 << 20, kept_bytes: 64 << 20 }
    }
}

/// What became of a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is more to do.
    More,
    /// There is, when output has been taken.
    Full,
    /// Everything is written: take the output and [`Snapshot::close`] it.
    Whole,
    /// There is nothing to do.
    Idle,
}

/// What a command does to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Only reads it.
    Reads,
    /// Changes it where it is, or takes its value elsewhere.
    Changes,
    /// Replaces or removes it, whatever it holds.
    Replaces,
}

/// A shard's snapshot, if there is one. `T` names a guard.
#[derive(Debug)]
pub struct Snapshot<T> {
    phase: Phase,
    bounds: Bounds,
    awaited: VecDeque<Awaited<T>>,
    /// Guards whose keys are captured.
    ended: Vec<T>,
    /// Room for the positions of a command's keys.
    positions: Vec<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Armed,
    Open,
    Whole,
    Clearing,
}

#[derive(Debug)]
struct Awaited<T> {
    db: DbIndex,
    key: Box<[u8]>,
    guard: T,
}

impl<T> Default for Snapshot<T> {
    fn default() -> Self {
        Self {
            phase: Phase::Idle,
            bounds: Bounds::default(),
            awaited: VecDeque::new(),
            ended: Vec::new(),
            positions: Vec::new(),
        }
    }
}

impl<T> Snapshot<T> {
    /// A snapshot is about to be opened: the claim of its cut is entered here now, so that whoever comes from now on runs after
    /// the opening. Panics when there is one.
    pub fn arm(&mut self, bounds: Bounds) {
        assert!(self.phase == Phase::Idle, "one snapshot at a time");
        (self.phase, self.bounds) = (Phase::Armed, bounds);
    }

    /// There will be no snapshot: the cut did not come about.
    pub fn disarm(&mut self) {
        assert!(self.phase == Phase::Armed, "it was not armed");
        self.phase = Phase::Idle;
        self.let_go();
    }

    /// The instant of the snapshot is now: the cut holds its claims, and nobody else holds any. Panics when it is not
    /// armed.
    pub fn open(&mut self, core: &mut Core, encode: Box<dyn Encode>, now: UnixMs) {
        assert!(self.phase == Phase::Armed, "a snapshot is armed before it is opened");
        core.keyspace.open_capture(encode, self.bounds.large_bytes, now);
        self.phase = Phase::Open;
        for awaited in &self.awaited {
            core.keyspace.capture_first(awaited.db, &awaited.key);
        }
    }

    /// Whether [`Snapshot::meet`] is to be asked: all that commands pay while there is no snapshot.
    #[inline]
    pub fn asks(&self) -> bool {
        matches!(self.phase, Phase::Armed | Phase::Open)
    }

    /// A command, or a transaction's part of one, has come. For each of its keys that is to be captured before it, and has
    /// no guard yet, `guard` makes one, which is entered at once and ends when [`Snapshot::take_ended`] says so. The
    /// command goes its ordinary way then. `lends`: its values go to another core, even those that it only reads. Keys of
    /// other shards are passed over.
    pub fn meet(
        &mut self,
        core: &mut Core,
        db: DbIndex,
        (command, args): (CommandRef, Args<'_>),
        lends: bool,
        guard: &mut dyn FnMut(&[u8]) -> T,
    ) {
        if !self.asks() || !(lends || command.row.flags.has(Flags::WRITE) || may_write(command)) {
            return;
        }
        let mut positions = std::mem::take(&mut self.positions);
        keys_of(command, args, &mut positions);
        for &position in &positions {
            let key = Key::new(args.at(position as usize));
            if core.keyspace.owns(key.slot) {
                let use_of = match use_of(command, args, position) {
                    Use::Reads if lends => Use::Changes,
                    Use::Replaces if lends => Use::Changes,
                    known => known,
                };
                self.meet_key(core, db, key, use_of, guard);
            }
        }
        self.positions = positions;
    }

    /// The same for one key, which is this shard's.
    pub fn meet_key(
        &mut self,
        core: &mut Core,
        db: DbIndex,
        key: Key<'_>,
        use_of: Use,
        guard: &mut dyn FnMut(&[u8]) -> T,
    ) {
        let is_known = |awaited: &Awaited<T>| awaited.db == db && *awaited.key == *key.bytes;
        if !self.must_wait(&core.keyspace, db, key, use_of) || self.awaited.iter().any(is_known) {
            return;
        }
        if self.phase == Phase::Open {
            core.keyspace.capture_first(db, key.bytes);
        }
        self.awaited.push_back(Awaited { db, key: key.bytes.into(), guard: guard(key.bytes) });
    }

    /// Whether whoever uses a key so had better wait: asked before something is done for a client that waits for keys.
    pub fn must_wait(&self, keyspace: &Keyspace, db: DbIndex, key: Key<'_>, use_of: Use) -> bool {
        if use_of == Use::Reads {
            return false;
        }
        if self.phase == Phase::Armed {
            // By then everything is uncaptured.
            return use_of == Use::Changes && keyspace.may_be_large(db, key, self.bounds.large_bytes);
        }
        if self.phase != Phase::Open {
            return false;
        }
        match keyspace.capture_state(db, key) {
            CaptureState::Settled => false,
            CaptureState::Large if use_of == Use::Changes => true,
            CaptureState::Large => keyspace.capture_progress().kept_bytes > self.bounds.kept_bytes,
            CaptureState::Small => keyspace.capture_progress().output_bytes > self.bounds.aside_bytes,
        }
    }

    /// Whether commands wait.
    pub fn is_awaited(&self) -> bool {
        !self.awaited.is_empty()
    }

    /// Does a slice of what is to be done. Not to be called again, once it is [`Step::Full`], before output was taken: it would
    /// do nothing.
    pub fn slice(&mut self, core: &mut Core, budget: Budget) -> Step {
        match self.phase {
            Phase::Idle | Phase::Armed => Step::Idle,
            Phase::Whole => Step::Whole,
            Phase::Clearing => {
                if core.keyspace.capture_slice(budget) == Left::Nothing {
                    self.phase = Phase::Idle;
                    return Step::Idle;
                }
                Step::More
            }
            Phase::Open if self.is_full(&mut core.keyspace) => Step::Full,
            Phase::Open => {
                let left = core.keyspace.capture_slice(budget);
                self.settle(&core.keyspace);
                match left {
                    Left::More if self.is_full(&mut core.keyspace) => Step::Full,
                    Left::More => Step::More,
                    Left::Nothing => {
                        self.phase = Phase::Whole;
                        self.let_go();
                        Step::Whole
                    }
                }
            }
        }
    }

    /// What the snapshot has written and nobody has taken: to be taken, or emptied. `None` without a snapshot.
    pub fn output<'a>(&self, core: &'a mut Core) -> Option<&'a mut Vec<u8>> {
        core.keyspace.capture_output().filter(|_| matches!(self.phase, Phase::Open | Phase::Whole))
    }

    /// The guards whose keys are captured, or need not be any more: each is to end now.
    pub fn take_ended(&mut self) -> std::vec::Drain<'_, T> {
        self.ended.drain(..)
    }

    /// Ends a snapshot that is whole and whose output was taken; returns what it holds. Errors: keys are missing in it, or
    /// there are too many. Panics when it is not whole.
    pub fn close(&mut self, core: &mut Core) -> Result<Vec<CapturedDb>, Miscounted> {
        assert!(self.phase == Phase::Whole, "a snapshot is closed when it is whole");
        self.phase = Phase::Idle;
        core.keyspace.close_capture()
    }

    /// Gives the snapshot up; what it wrote is gone. Slices go on until they are [`Step::Idle`]: before that none can be
    /// armed. Commands do not wait any more.
    pub fn cancel(&mut self, core: &mut Core) {
        match self.phase {
            Phase::Idle | Phase::Clearing => return,
            Phase::Armed => self.phase = Phase::Idle,
            Phase::Open | Phase::Whole => {
                core.keyspace.cancel_capture();
                self.phase = Phase::Clearing;
            }
        }
        self.let_go();
    }

    /// Whether one is about to be opened.
    pub fn is_armed(&self) -> bool {
        self.phase == Phase::Armed
    }

    /// Whether there is none, so that one can be armed.
    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Idle
    }

    /// How far it has come.
    pub fn progress(&self, core: &Core) -> CaptureProgress {
        core.keyspace.capture_progress()
    }

    /// How many keys commands wait for.
    pub fn awaited(&self) -> usize {
        self.awaited.len()
    }

    fn is_full(&self, keyspace: &mut Keyspace) -> bool {
        keyspace.capture_output().is_some_and(|out| out.len() >= self.bounds.output_bytes)
    }

    /// Lets those go whose keys are captured. Keys are captured in the order in which they were asked for, or before; so a few
    /// of them are looked at, in turn.
    fn settle(&mut self, keyspace: &Keyspace) {
        for _ in 0..self.awaited.len().min(SETTLED_AT_ONCE) {
            let awaited = self.awaited.pop_front().expect("as many as there are");
            match keyspace.capture_state(awaited.db, Key::new(&awaited.key)) {
                CaptureState::Settled => self.ended.push(awaited.guard),
                _ => self.awaited.push_back(awaited),
            }
        }
    }

    /// Lets all go.
    fn let_go(&mut self) {
        self.ended.extend(self.awaited.drain(..).map(|awaited| awaited.guard));
    }
}

/// Keys that are looked at after a slice.
const SETTLED_AT_ONCE: usize = 32;

/// Whether a command without the flag of those that write may still write (EVAL).
fn may_write(command: CommandRef) -> bool {
    command.row.flags.has(Flags::MAY_REPLICATE)
}

/// What a command does to the key at `position`, by COMMAND's words for it.
fn use_of(command: CommandRef, args: Args<'_>, position: u32) -> Use {
    let flags = key_flags(command, args, position);
    if flags.contains(&"RO") {
        Use::Reads
    } else if flags.contains(&"OW") || flags.contains(&"RM") {
        Use::Replaces
    } else {
        Use::Changes
    }
}

#[cfg(test)]
mod tests;
