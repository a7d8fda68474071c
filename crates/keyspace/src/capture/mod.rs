//! The capture of all databases as they were at one instant, while commands go on.
//!
//! [`Keyspace::open_capture`] chooses the instant. From then on slices of a walk ([`Keyspace::capture_slice`]) give the
//! entries to an [`Encode`]r, which turns them into bytes, and whatever is about to change an entry that was not captured
//! yet gives it to the encoder first (`hooks`). So each entry that was there is captured once, as it was; what is made
//! later is not captured. Entries are told apart by their place and one flag: see [`watch`].
//!
//! ```text
//!                         walk ──► small: written ───────────────────────────────┐
//!                           └────► large: passed, and streamed ──────────┐       ├─► out ──► the caller
//!  a change of what is not captured ──► small: written (aside, while     │       │
//!                           │              a large one is streamed) ─────┼───────┤
//!                           └────► large: goes ── the value is kept ─────┤       │
//!                                         stays ─ a copy is ─────────────┴► streamed, one at a time, in slices
//! ```
//!
//! - What is small is written by whoever changes it. A large value that goes, is overwritten, expires or is evicted is not
//!   copied: the capture takes it over. Only one that is changed in place has to be copied, which takes time and memory.
//!   [`Keyspace::capture_state`] tells beforehand which keys that would be; who asks lets their writers wait, and has them
//!   streamed first ([`Keyspace::capture_first`]). What the capture holds is right either way.
//! - A database that is flushed is taken over whole, in constant time. One that is exchanged takes its walk with it.
//! - Recency (LRU, LFU) is as of when an entry is captured, but not later than the opening: reads do not tell the capture.
//! - The sum of what was captured is compared with what was there at the opening: [`Keyspace::close_capture`].

mod hooks;
mod walk;
mod watch;

pub(crate) use watch::Watch;

use crate::access::Clock;
use crate::db::Db;
use crate::entry::{Entry, EntryRef};
use crate::keyspace::Keyspace;
use crate::types::{Key, Recency};
use datatypes::ValueRef;
use std::collections::VecDeque;
use std::fmt::Debug;
use stdx::{DbIndex, UnixMs};

/// An entry as it was at the opening.
#[derive(Clone, Copy, Debug)]
pub struct Captured<'a> {
    /// Its database then.
    pub db: DbIndex,
    /// Seconds since its last use or how often it was used, by the policy in force: then, or later if it was used since.
    pub recency: Recency,
    entry: EntryRef<'a>,
}

impl<'a> Captured<'a> {
    /// Its key.
    pub fn key(&self) -> &'a [u8] {
        self.entry.key()
    }

    /// Its value.
    pub fn value(&self) -> ValueRef<'a> {
        self.entry.value()
    }

    /// When it expires, or has.
    pub fn expiry(&self) -> Option<UnixMs> {
        self.entry.expiry()
    }
}

/// Turns entries into bytes. They come in the order of the calls, but that the rest of an entry that was begun comes before what is
/// written whole meanwhile.
pub trait Encode: Debug + Send {
    /// Appends an entry to `out`.
    fn whole(&mut self, out: &mut Vec<u8>, entry: Captured<'_>);

    /// Begins an entry, or goes on with the one that it began: appends about `budget` bytes of it to `out`, and says whether
    /// that was the rest. Each call up to that one gets the same entry, though not always at the same address, and there is no
    /// call of [`Encode::whole`] for the same `out` in between.
    fn part(&mut self, out: &mut Vec<u8>, entry: Captured<'_>, budget: usize) -> bool;
}

/// What a call of [`Keyspace::capture_slice`] may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Keys to look at. A few more are where their hashes begin alike.
    pub keys: usize,
    /// Bytes to write: exceeded by at most one small entry, or by what the encoder makes of the rest.
    pub bytes: usize,
}

/// What there is to do after a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Slices.
    More,
    /// Nothing: the capture is to be closed, unless it was cancelled, and then there is none any more.
    Nothing,
}

/// What a change of a key would mean to the capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaptureState {
    /// Nothing: it is captured, or was not there at the opening.
    Settled,
    /// It is not captured, and small: the change writes it.
    Small,
    /// It is not captured, and large: a change in place copies it.
    Large,
}

/// How far a capture has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaptureProgress {
    /// Keys that were there at the opening.
    pub keys: u64,
    /// Those that are captured.
    pub captured: u64,
    /// Bytes that were written, taken by the caller or not.
    pub written_bytes: u64,
    /// Of those, what the caller has not taken yet.
    pub output_bytes: usize,
    /// Bytes of memory that the capture keeps from being freed or has copied: values and databases that are not the
    /// keyspace's any more.
    pub kept_bytes: usize,
    /// Large values that had to be copied, because they changed where they are.
    pub copied: u64,
}

/// One database in a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CapturedDb {
    /// Its number at the opening.
    pub db: DbIndex,
    /// Keys that it held then.
    pub keys: u64,
    /// Those of them that had an expiry.
    pub expiring: u64,
    /// How many were captured.
    pub captured: u64,
}

#[derive(Debug)]
pub(crate) struct Capture {
    encode: Box<dyn Encode>,
    /// Entries that take more memory are large.
    large_bytes: usize,
    opened: UnixMs,
    out: Vec<u8>,
    /// Whole entries, written while another is streamed.
    aside: Vec<u8>,
    written_bytes: u64,
    /// Databases that were flushed and are not walked to the end.
    flushed: Vec<Db>,
    /// Large values whose keys hold others now, or none.
    kept: VecDeque<(DbIndex, Entry)>,
    kept_bytes: usize,
    copied: u64,
    /// Keys that somebody waits for.
    first: VecDeque<Name>,
    /// Large ones that the walk has passed.
    passed: VecDeque<Name>,
    stream: Option<Stream>,
    databases: Vec<CapturedDb>,
    /// The key that a change was announced of: asserted when it is over.
    announced: Option<(DbIndex, u64)>,
    /// It is only cleared away.
    is_cancelled: bool,
}

/// A key, by the number of its database at the opening.
#[derive(Debug)]
struct Name {
    db: DbIndex,
    key: Box<[u8]>,
}

/// The large entry that is being written.
#[derive(Debug)]
struct Stream {
    name: Name,
    /// It, if it is not the keyspace's any more.
    entry: Option<Entry>,
    /// Whether any of it is written.
    is_begun: bool,
}

impl Capture {
    /// An entry that takes more bytes of memory is large.
    #[inline]
    pub(crate) fn large_bytes(&self) -> usize {
        self.large_bytes
    }
}

impl Keyspace {
    /// Opens a capture of what is there now: nothing is lent, since no transaction is under way. An entry that takes more than
    /// `large_bytes` of memory is streamed in slices. Panics when there is one already, cancelled or not.
    pub fn open_capture(&mut self, encode: Box<dyn Encode>, large_bytes: usize, now: UnixMs) {
        assert!(self.capture.is_none(), "one capture at a time");
        let mut databases = Vec::new();
        for (number, db) in self.dbs.iter_mut().enumerate() {
            let (number, keys) = (DbIndex(number as u16), db.dict.len() as u64);
            if keys > 0 {
                db.watch = Watch::open(number);
                databases.push(CapturedDb { db: number, keys, expiring: db.links.len() as u64, captured: 0 });
            }
        }
        self.capture = Some(Box::new(Capture::new(encode, large_bytes, databases, now)));
        self.watch_changes();
    }

    /// Whether there is a capture, be it one that was cancelled and is being cleared away.
    pub fn has_capture(&self) -> bool {
        self.capture.is_some()
    }

    /// What a change of a key would mean to the open capture.
    pub fn capture_state(&self, db: DbIndex, key: Key<'_>) -> CaptureState {
        let (place, hash) = (&self.dbs[db.index()], self.hasher.hash(key.bytes));
        if !place.watch.asks(key.slot) {
            return CaptureState::Settled;
        }
        let found = place.find(key, hash).filter(|entry| place.watch.is_open(entry, key.slot, hash));
        match (found, &self.capture) {
            (Some(entry), Some(capture)) if entry.memory() > capture.large_bytes => CaptureState::Large,
            (Some(_), Some(_)) => CaptureState::Small,
            _ => CaptureState::Settled,
        }
    }

    /// Whether a key holds a value of more than so many bytes of memory, or one that is away and may be.
    pub fn may_be_large(&self, db: DbIndex, key: Key<'_>, bytes: usize) -> bool {
        let found = self.dbs[db.index()].find(key, self.hasher.hash(key.bytes));
        found.is_some_and(|entry| entry.memory() > bytes || entry.is_away())
    }

    /// Has a key captured before all others that nobody asked for. One that is settled is left alone.
    pub fn capture_first(&mut self, db: DbIndex, key: &[u8]) {
        let db = self.dbs[db.index()].watch.number;
        if let Some(capture) = self.capture.as_deref_mut().filter(|capture| !capture.is_cancelled) {
            capture.first.push_back(Name { db, key: key.into() });
        }
    }

    /// What the capture has written and the caller has not taken: to be taken or emptied. `None` without a capture.
    pub fn capture_output(&mut self) -> Option<&mut Vec<u8>> {
        self.capture.as_deref_mut().map(|capture| &mut capture.out)
    }

    /// How far the capture has come; zeros without one.
    pub fn capture_progress(&self) -> CaptureProgress {
        self.capture.as_deref().map(Capture::progress).unwrap_or_default()
    }

    /// The databases that had keys at the opening, by their numbers then.
    pub fn captured_databases(&self) -> &[CapturedDb] {
        self.capture.as_deref().map_or(&[], |capture| &capture.databases)
    }

    /// Gives up the open capture. It holds nothing any more, and changes do not tell it; slices go on until the flags that it
    /// has left in entries are cleared, and before that none can be opened.
    pub fn cancel_capture(&mut self) {
        let Some(capture) = self.capture.as_deref_mut().filter(|capture| !capture.is_cancelled) else {
            return;
        };
        capture.is_cancelled = true;
        (capture.out, capture.aside, capture.kept_bytes) = (Vec::new(), Vec::new(), 0);
        capture.first.clear();
        // What is streamed where it is may be odd, like what the walk has passed.
        let stream = capture.stream.take();
        let (flushed, kept) = (std::mem::take(&mut capture.flushed), std::mem::take(&mut capture.kept));
        if let Some(Stream { name, entry: None, .. }) = stream {
            capture.passed.push_back(name);
        } else if let Some(entry) = stream.and_then(|stream| stream.entry) {
            self.bury(entry);
        }
        flushed.into_iter().for_each(|db| self.graveyard.bury(db));
        kept.into_iter().for_each(|(_, entry)| self.bury(entry));
        self.dbs.iter_mut().for_each(|db| db.watch.give_up());
        self.watch_changes();
    }

    /// Ends a capture of which [`Left::Nothing`] is left and whose output was taken; returns what it has captured. Errors:
    /// a number of keys is not what it was at the opening, and what was written is of no use. Panics when there is anything
    /// left.
    pub fn close_capture(&mut self) -> Result<Vec<CapturedDb>, Miscounted> {
        let capture = self.capture.take().expect("a capture is open");
        // Data safety: what is not written would be lost.
        assert!(capture.out.is_empty() && capture.is_empty(), "a capture is closed before it is whole");
        assert!(self.dbs.iter().all(|db| db.watch.is_over()), "a capture is closed before its walk is over");
        self.dbs.iter_mut().for_each(|db| db.watch = Watch::CLOSED);
        self.watch_changes();
        match capture.databases.iter().find(|db| db.keys != db.captured) {
            None => Ok(capture.databases),
            Some(&wrong) => Err(Miscounted(wrong)),
        }
    }
}

/// A database of which not as many keys were captured as were there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Miscounted(pub CapturedDb);

impl std::fmt::Display for Miscounted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let CapturedDb { db, keys, captured, .. } = self.0;
        write!(f, "captured {captured} keys of database {}, which held {keys}", db.0)
    }
}

impl std::error::Error for Miscounted {}

impl Capture {
    fn new(encode: Box<dyn Encode>, large_bytes: usize, databases: Vec<CapturedDb>, opened: UnixMs) -> Self {
        Self {
            encode,
            large_bytes,
            opened,
            out: Vec::new(),
            aside: Vec::new(),
            written_bytes: 0,
            flushed: Vec::new(),
            kept: VecDeque::new(),
            kept_bytes: 0,
            copied: 0,
            first: VecDeque::new(),
            passed: VecDeque::new(),
            stream: None,
            databases,
            announced: None,
            is_cancelled: false,
        }
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.is_cancelled
    }

    /// Whether nothing is kept to be written. (There may be something to walk.)
    fn is_empty(&self) -> bool {
        self.flushed.is_empty()
            && self.kept.is_empty()
            && self.passed.is_empty()
            && self.first.is_empty()
            && self.stream.is_none()
    }

    fn progress(&self) -> CaptureProgress {
        let (keys, captured) = self
            .databases
            .iter()
            .fold((0, 0), |(keys, captured), db| (keys + db.keys, captured + db.captured));
        CaptureProgress {
            keys,
            captured,
            written_bytes: self.written_bytes,
            output_bytes: self.out.len() + self.aside.len(),
            kept_bytes: self.kept_bytes,
            copied: self.copied,
        }
    }

    /// Takes a database that was flushed, if there is anything in it to capture; else gives it back.
    pub(crate) fn take_flushed(&mut self, db: Db) -> Option<Db> {
        if self.is_cancelled || db.watch.is_over() {
            return Some(db);
        }
        self.kept_bytes += db.bytes();
        self.flushed.push(db);
        None
    }

    /// Writes a small entry of database `db`.
    fn write(&mut self, db: DbIndex, entry: &Entry, clock: Clock) {
        let is_amid = self.stream.as_ref().is_some_and(|stream| stream.is_begun);
        let out = if is_amid { &mut self.aside } else { &mut self.out };
        let before = out.len();
        self.encode.whole(out, captured(db, entry, clock, self.opened));
        self.written_bytes += (out.len() - before) as u64;
        self.count(db);
    }

    /// Counts an entry of database `db`.
    fn count(&mut self, db: DbIndex) {
        let found = self.databases.binary_search_by_key(&db, |known| known.db);
        self.databases[found.expect("it held keys at the opening")].captured += 1;
    }
}

fn captured(db: DbIndex, entry: &Entry, clock: Clock, opened: UnixMs) -> Captured<'_> {
    Captured { db, recency: clock.recency(entry.clock(), opened), entry: entry.as_ref(clock) }
}

#[cfg(test)]
mod tests;
