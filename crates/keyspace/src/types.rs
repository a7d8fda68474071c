//! What goes in and out of a keyspace.

use stdx::{DbIndex, Slot, UnixMs};

/// The slots that one shard owns, as a half-open range.
pub type SlotRange = std::ops::Range<u16>;

/// A key and its slot, so that CRC16 is computed once per command.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    /// The key's bytes.
    pub bytes: &'a [u8],
    /// Its slot.
    pub slot: Slot,
}

impl<'a> Key<'a> {
    /// Computes the slot.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, slot: Slot::of(bytes) }
    }
}

/// The key holds another kind of value than the command is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongKind;

/// A string value to be stored.
#[derive(Clone, Copy, Debug)]
pub enum NewString<'a> {
    /// Bytes as a client sent them; kept as an integer when they are the canonical form of one.
    Bytes(&'a [u8]),
    /// Bytes that stay bytes, whatever they spell (INCRBYFLOAT's sum).
    Text(&'a [u8]),
    /// An integer.
    Int(i64),
}

/// What a write does to the key's expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ttl {
    /// Takes it away (SET).
    Clear,
    /// Leaves it as it is (INCR, SET KEEPTTL).
    Keep,
    /// Sets it (SET PX).
    At(UnixMs),
}

/// How a lookup counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// A client's read: counts a hit or a miss, moves the LRU clock or LFU counter.
    Read,
    /// A read that counts a hit or a miss but leaves LRU and LFU alone (CLIENT NO-TOUCH, EXISTS...).
    NoTouch,
    /// The same, of which nobody is told when the key is not there (OBJECT).
    Inspect,
    /// Looks without a trace (TTL, TYPE, OBJECT, DEBUG, WATCH).
    Peek,
    /// On the way to a write: no hit or miss, but LRU and LFU move.
    Write,
}

/// How recently or how often a key was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recency {
    /// Seconds since it was last used (OBJECT IDLETIME).
    IdleSeconds(u64),
    /// The logarithmic access counter (OBJECT FREQ).
    Frequency(u8),
}

/// SCAN's cursor: a place in the order of (slot, hash). 0 is both start and end.
pub type Cursor = u64;

/// A number that changes whenever the key does; compared by WATCH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version(pub u64);

/// An awaited key that has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Its database.
    pub db: DbIndex,
    /// The key.
    pub key: Box<[u8]>,
}

/// Why a key went away by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Its time had come.
    Expired,
    /// Memory was needed.
    Evicted,
}

/// What the keyspace did by itself, or knows best, for the journal and for notifications; kept only while somebody listens.
#[derive(Debug, Default)]
pub struct Effects {
    /// Whether removals are recorded.
    pub on: bool,
    /// Whether new keys are.
    pub made: bool,
    /// Whether reads are of keys that are not there.
    pub missed: bool,
    /// What happened, in order; the listener drains it.
    pub happened: Vec<Happened>,
    /// Whether changed keys are recorded, whoever changed them.
    pub touches: bool,
    /// The keys that have changed, in order; the listener empties it.
    pub touched: Touched,
}

/// Keys one after another, in memory that is used again: a write allocates nothing for being recorded.
#[derive(Debug, Default)]
pub struct Touched {
    bytes: Vec<u8>,
    /// Where each ends, and whether it went by itself.
    ends: Vec<(usize, bool)>,
}

impl Touched {
    /// Adds a key; `by_itself` says that no command asked for its change: it expired or was evicted.
    pub fn push(&mut self, key: &[u8], by_itself: bool) {
        self.bytes.extend_from_slice(key);
        self.ends.push((self.bytes.len(), by_itself));
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// All of them, with whether each went by itself.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], bool)> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|(end, _)| *end));
        starts.zip(&self.ends).map(|(start, (end, by_itself))| (&self.bytes[start..*end], *by_itself))
    }

    /// Forgets them; the memory is kept up to [`TOUCHED_KEPT_BYTES`].
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        if self.bytes.capacity() > TOUCHED_KEPT_BYTES {
            *self = Self::default();
        }
    }
}

/// What a list of changed keys keeps when it is emptied.
const TOUCHED_KEPT_BYTES: usize = 64 * 1024;

/// Something that happened to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    /// It expired or was evicted.
    Removed(DbIndex, Box<[u8]>, Cause),
    /// Fields of it expired.
    Fields(ExpiredFields),
    /// It was made.
    Made(DbIndex, Box<[u8]>),
    /// It was read, and is not there.
    Missed(DbIndex, Box<[u8]>),
}

/// Fields of one hash that expired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpiredFields {
    /// The hash's database.
    pub db: DbIndex,
    /// Its key.
    pub key: Box<[u8]>,
    /// The fields' names.
    pub names: Vec<Box<[u8]>>,
    /// Whether they were the last, so that the key went too.
    pub emptied: bool,
}

/// Counters that INFO shows.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyspaceStats {
    /// keyspace_hits
    pub hits: u64,
    /// keyspace_misses
    pub misses: u64,
    /// expired_keys
    pub expired: u64,
    /// Fields of hashes that expired.
    pub expired_fields: u64,
    /// evicted_keys
    pub evicted: u64,
    /// Changes since the start: what `rdb_changes_since_last_save` counts.
    pub dirty: u64,
    /// lazyfreed_objects
    pub lazyfreed: u64,
    /// expired_time_cap_reached_count
    pub expired_time_cap_reached: u64,
}

/// What of a shard is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Nothing.
    Nothing,
    /// Some keys.
    Keys,
    /// All of them.
    Whole,
}

/// Knows which keys of a shard are locked by commands under way.
pub trait Locks {
    /// What is locked.
    fn held(&self) -> Held;

    /// Whether this key is: asked where some are.
    fn is_locked(&self, key: &[u8]) -> bool;
}
