//! Keys on their way to their shard: many at a time, in buffers that go round.

use crate::clock::before_all_times;
use commands::Core;
use datatypes::Object;
use keyspace::{Key, Keyspace, LoadedValue, NewString, Recency};
use rdb::file::Loaded;
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use stdx::{DbIndex, Slot, UnixMs};

/// Keys with their values for one shard, and afterwards what became of them.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    items: Vec<Item>,
    /// Keys and short strings.
    bytes: Vec<u8>,
    pub(super) tally: Tally,
    /// Whether keys whose time has come are put in all the same.
    pub(super) keeps_expired: bool,
    /// Whether they are put in beside what is served.
    pub(super) is_beside: bool,
}

/// What became of the keys of a batch.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) loaded: u64,
    /// Their time had come.
    pub(super) expired: u64,
    /// The first that was there already.
    pub(super) twice: Option<Twice>,
}

/// A key that was there already, and where in the file it begins.
#[derive(Clone, Debug)]
pub(super) struct Twice {
    pub(super) at: u64,
    pub(super) db: DbIndex,
    pub(super) key: Vec<u8>,
}

impl fmt::Display for Twice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, db, key } = self;
        write!(f, "at byte {at}: the key '{}' of database {} is there twice", key.escape_ascii(), db.0)
    }
}

#[derive(Debug)]
struct Item {
    db: DbIndex,
    slot: Slot,
    key: Range<usize>,
    value: Held,
    expiry: Option<UnixMs>,
    recency: Option<Recency>,
    at: u64,
}

#[derive(Debug)]
enum Held {
    Int(i64),
    Bytes(Range<usize>),
    Owned(Vec<u8>),
    Object(Object),
}

impl Batch {
    /// Adds a key; `at` is where in the file it begins.
    pub(super) fn add(&mut self, key: rdb::file::Key<'_>, slot: Slot, at: u64) {
        let name = self.put(&key.key);
        let value = match key.value {
            Loaded::Int(int) => Held::Int(int),
            Loaded::String(Cow::Owned(bytes)) if bytes.len() > COPIED_MAX => Held::Owned(bytes),
            Loaded::String(bytes) => Held::Bytes(self.put(&bytes)),
            Loaded::Object(object) => Held::Object(object),
        };
        let recency = match (key.idle_s, key.freq) {
            (Some(seconds), _) => Some(Recency::IdleSeconds(seconds)),
            (_, Some(counter)) => Some(Recency::Frequency(counter)),
            _ => None,
        };
        self.items.push(Item { db: key.db, slot, key: name, value, expiry: key.expiry, recency, at });
    }

    fn put(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }

    /// Whether it is to be sent before more is added.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.items.len() >= KEYS_MAX || self.bytes.len() >= BYTES_MAX
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Puts the keys into this core's keyspace, and is empty but for its tally afterwards.
    pub(super) fn put_in(&mut self, core: &mut Core, now: UnixMs) {
        let now = if self.keeps_expired { before_all_times(now) } else { now };
        let Self { items, bytes, tally, is_beside, .. } = self;
        *tally = Tally::default();
        let keyspace = if *is_beside {
            core.incoming.as_deref_mut().expect("it is there before keys come for it, and until all are in")
        } else {
            &mut core.keyspace
        };
        let mut ahead = 0;
        for index in 0..items.len() {
            if index == ahead {
                ahead = (index + AHEAD).min(items.len());
                prefetch(keyspace, &items[index..ahead], bytes);
            }
            let item = &mut items[index];
            if item.expiry.is_some_and(|at| at <= now) {
                tally.expired += 1;
                continue;
            }
            let value = match std::mem::replace(&mut item.value, Held::Int(0)) {
                Held::Int(int) => LoadedValue::String(NewString::Int(int)),
                Held::Bytes(place) => LoadedValue::String(NewString::Bytes(&bytes[place])),
                Held::Owned(bytes) => LoadedValue::Owned(bytes),
                Held::Object(object) => LoadedValue::Object(object),
            };
            let key = Key { bytes: &bytes[item.key.clone()], slot: item.slot };
            if keyspace.load(item.db, key, value, item.expiry, item.recency, now) {
                tally.loaded += 1;
            } else if tally.twice.is_none() {
                tally.twice = Some(Twice { at: item.at, db: item.db, key: key.bytes.to_vec() });
            }
        }
        items.clear();
        if bytes.capacity() > KEPT_BYTES {
            *bytes = Vec::new();
        }
        bytes.clear();
        shard::tell_memory(core);
    }
}

/// Asks for the memory where the keys will be, of all of them at once.
fn prefetch(keyspace: &Keyspace, items: &[Item], bytes: &[u8]) {
    let Some(first) = items.first() else { return };
    let keys = items.iter().filter(|item| item.db == first.db);
    let keys = keys.map(|item| Key { bytes: &bytes[item.key.clone()], slot: item.slot });
    keyspace.prefetch(first.db, keys);
}

/// A batch is full with so many keys, or so many bytes: putting it in takes some 200 us.
const KEYS_MAX: usize = 512;
const BYTES_MAX: usize = 128 * 1024;
/// Strings of more bytes that have a buffer of their own keep it.
const COPIED_MAX: usize = 4096;
/// A larger buffer is not used again.
const KEPT_BYTES: usize = 4 * BYTES_MAX;
/// For so many keys memory is fetched together.
const AHEAD: usize = 16;
