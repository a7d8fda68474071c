//! The keyspace: every change to a shard's data goes through one of these methods.

use crate::types::*;
use config::MaxmemoryPolicy;
use std::collections::HashMap;
use stdx::{DbIndex, Slot, UnixMs};

/// All databases of one shard.
#[derive(Debug)]
pub struct Keyspace {
    dbs: Vec<HashMap<Vec<u8>, Detached>>,
    versions: HashMap<(DbIndex, Vec<u8>), u64>,
    /// Counters for INFO.
    pub stats: KeyspaceStats,
    /// What happened by itself.
    pub effects: Effects,
}

impl Keyspace {
    /// An empty keyspace of `databases` databases for the keys of `slots`. `seed` keys the hash function.
    pub fn new(slots: SlotRange, databases: u16, seed: u64) -> Self {
        let _ = (slots, seed);
        Self {
            dbs: (0..databases).map(|_| HashMap::new()).collect(),
            versions: HashMap::new(),
            stats: KeyspaceStats::default(),
            effects: Effects::default(),
        }
    }

    /// How many databases there are.
    pub fn databases(&self) -> u16 {
        self.dbs.len() as u16
    }

    /// Chooses how accesses are remembered (LRU clock or LFU counter) and with which constants.
    pub fn set_policy(&mut self, _policy: MaxmemoryPolicy, _lfu_log_factor: u32, _lfu_decay_minutes: u32) {}

    /// Finds a key; an expired one is removed first and not found.
    #[inline]
    pub fn find(&mut self, db: DbIndex, key: Key<'_>, now: UnixMs, access: Access) -> Option<EntryRef<'_>> {
        self.expire_if_due(db, key, now);
        let found = self.dbs[db.index()].get_key_value(key.bytes);
        if matches!(access, Access::Read | Access::NoTouch) {
            match found {
                Some(_) => self.stats.hits += 1,
                None => self.stats.misses += 1,
            }
        }
        found.map(|(key, detached)| EntryRef { key, detached })
    }

    /// Stores a string under `key`, over whatever was there.
    #[inline]
    pub fn set_string(&mut self, db: DbIndex, key: Key<'_>, value: NewString<'_>, ttl: Ttl, now: UnixMs) {
        self.expire_if_due(db, key, now);
        let old = self.dbs[db.index()].get(key.bytes).and_then(|old| old.expiry);
        let expiry = match ttl {
            Ttl::Clear => None,
            Ttl::Keep => old,
            Ttl::At(at) => Some(at),
        };
        let (value, int): (Box<[u8]>, _) = match value {
            NewString::Int(int) => (int.to_string().into_bytes().into(), Some(int)),
            NewString::Bytes(bytes) => (
                bytes.into(),
                std::str::from_utf8(bytes)
                    .ok()
                    .and_then(|text| text.parse::<i64>().ok().filter(|int| int.to_string() == text)),
            ),
        };
        self.dbs[db.index()].insert(key.bytes.to_vec(), Detached { value, int, expiry });
        self.changed(db, key.bytes);
    }

    /// Appends to a string, making it when it is not there; the expiry stays. Returns the new length in bytes.
    /// The caller has checked the kind and the length limit.
    pub fn append(&mut self, db: DbIndex, key: Key<'_>, bytes: &[u8], now: UnixMs) -> usize {
        let mut value = self.string_bytes(db, key, now);
        value.extend_from_slice(bytes);
        self.store_raw(db, key, value, now)
    }

    /// Overwrites from `offset` on, padding with zero bytes; the expiry stays. Returns the new length in bytes.
    /// The caller has checked the kind and the length limit.
    pub fn set_range(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        offset: usize,
        bytes: &[u8],
        now: UnixMs,
    ) -> usize {
        let mut value = self.string_bytes(db, key, now);
        value.resize(value.len().max(offset + bytes.len()), 0);
        value[offset..offset + bytes.len()].copy_from_slice(bytes);
        self.store_raw(db, key, value, now)
    }

    /// Removes a key; says whether it was there (an expired one was not).
    pub fn remove(&mut self, db: DbIndex, key: Key<'_>, now: UnixMs) -> bool {
        self.take(db, key, now).is_some()
    }

    /// Sets or takes away the expiry; says whether the key was there. A time that has passed removes the key.
    pub fn set_expiry(&mut self, db: DbIndex, key: Key<'_>, expiry: Option<UnixMs>, now: UnixMs) -> bool {
        self.expire_if_due(db, key, now);
        let Some(entry) = self.dbs[db.index()].get_mut(key.bytes) else { return false };
        entry.expiry = expiry;
        if expiry.is_some_and(|at| at <= now) {
            self.dbs[db.index()].remove(key.bytes);
        }
        self.changed(db, key.bytes);
        true
    }

    /// Takes a key's value out, expiry included (RENAME, MOVE).
    pub fn take(&mut self, db: DbIndex, key: Key<'_>, now: UnixMs) -> Option<Detached> {
        self.expire_if_due(db, key, now);
        let taken = self.dbs[db.index()].remove(key.bytes);
        if taken.is_some() {
            self.changed(db, key.bytes);
        }
        taken
    }

    /// Puts a value under `key`, over whatever was there, with its own expiry.
    pub fn put(&mut self, db: DbIndex, key: Key<'_>, value: Detached, _now: UnixMs) {
        self.dbs[db.index()].insert(key.bytes.to_vec(), value);
        self.changed(db, key.bytes);
    }

    /// A copy of a key's value and expiry (COPY).
    pub fn duplicate(&mut self, db: DbIndex, key: Key<'_>, now: UnixMs) -> Option<Detached> {
        self.expire_if_due(db, key, now);
        let found = self.dbs[db.index()].get(key.bytes)?;
        Some(Detached { value: found.value.clone(), int: found.int, expiry: found.expiry })
    }

    /// Lends a key's value to a transaction that runs on another core. Until [`Keyspace::give_back`] the key is
    /// locked by the caller; it stays visible to scans, counts and random picks, and is neither expired nor evicted.
    pub fn lend(&mut self, db: DbIndex, key: Key<'_>, now: UnixMs) -> Option<Detached> {
        self.duplicate(db, key, now)
    }

    /// Ends a loan: the key now holds `value`, or is gone. `changed` says whether the transaction wrote to it.
    pub fn give_back(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        value: Option<Detached>,
        changed: bool,
        now: UnixMs,
    ) {
        if changed {
            match value {
                Some(value) => self.put(db, key, value, now),
                None => drop(self.take(db, key, now)),
            }
        }
    }

    /// How many keys database `db` holds, expired ones that were not removed yet included (DBSIZE).
    pub fn len(&self, db: DbIndex) -> usize {
        self.dbs[db.index()].len()
    }

    /// Whether database `db` holds no key.
    pub fn is_empty(&self, db: DbIndex) -> bool {
        self.len(db) == 0
    }

    /// How many keys of database `db` have an expiry.
    pub fn expiring(&self, db: DbIndex) -> usize {
        self.dbs[db.index()].values().filter(|entry| entry.expiry.is_some()).count()
    }

    /// The average time to live of database `db`'s expiring keys, in ms, estimated by sampling (INFO's avg_ttl).
    pub fn average_ttl_ms(&self, _db: DbIndex, _now: UnixMs) -> u64 {
        0
    }

    /// Visits about `count` keys from `cursor` on, in this shard's slots, and returns where to go on: a cursor in
    /// this shard, or the first cursor past its slots, or 0 after the last slot of all. A key that is present from
    /// the first call of a scan to the last is visited exactly once; expired ones are not visited.
    pub fn scan(
        &mut self,
        db: DbIndex,
        cursor: Cursor,
        count: usize,
        now: UnixMs,
        visit: &mut dyn FnMut(EntryRef<'_>),
    ) -> Cursor {
        let _ = (cursor, count);
        for (key, detached) in &self.dbs[db.index()] {
            if detached.expiry.is_none_or(|at| at > now) {
                visit(EntryRef { key, detached });
            }
        }
        0
    }

    /// The slot that a cursor stands in: decides the shard that a SCAN goes on at.
    pub fn cursor_slot(cursor: Cursor) -> Slot {
        Slot::new((cursor >> 50) as u16)
    }

    /// A random key that has not expired, or `None` when there is none.
    pub fn random_key(&mut self, db: DbIndex, now: UnixMs, _random: u64) -> Option<EntryRef<'_>> {
        let (key, detached) =
            self.dbs[db.index()].iter().find(|(_, entry)| entry.expiry.is_none_or(|at| at > now))?;
        Some(EntryRef { key, detached })
    }

    /// Exchanges two databases (SWAPDB).
    pub fn swap(&mut self, a: DbIndex, b: DbIndex) {
        self.dbs.swap(a.index(), b.index());
    }

    /// Empties one database in constant time; the memory comes back through [`Keyspace::reclaim`].
    /// Returns how many keys went.
    pub fn flush(&mut self, db: DbIndex) -> usize {
        let gone = std::mem::take(&mut self.dbs[db.index()]);
        self.stats.dirty += gone.len() as u64;
        gone.len()
    }

    /// Frees a slice of what was flushed or unlinked, until `go_on` says no; true while there is more to free.
    pub fn reclaim(&mut self, _go_on: &mut dyn FnMut() -> bool) -> bool {
        false
    }

    /// Removes expired keys, until `go_on` says no or few are left to find. Returns how many it removed.
    pub fn expire_cycle(&mut self, now: UnixMs, _go_on: &mut dyn FnMut() -> bool) -> usize {
        let mut removed = 0;
        for db in 0..self.dbs.len() {
            let due: Vec<Vec<u8>> = self.dbs[db]
                .iter()
                .filter(|(_, entry)| entry.expiry.is_some_and(|at| at <= now))
                .map(|(key, _)| key.clone())
                .collect();
            for key in due {
                self.expire_if_due(DbIndex(db as u16), Key::new(&key), now);
                removed += 1;
            }
        }
        removed
    }

    /// Evicts one key by `policy`, the best of `samples` looked at; false when there is none to evict.
    pub fn evict(&mut self, _policy: MaxmemoryPolicy, _samples: usize, _now: UnixMs, _random: u64) -> bool {
        false
    }

    /// Bytes of memory that the data takes: entries, values, tables (used_memory_dataset plus overhead).
    pub fn used_bytes(&self) -> usize {
        0
    }

    /// Bytes of `used_bytes` that are tables and bookkeeping, not keys and values (MEMORY STATS overhead).
    pub fn overhead_bytes(&self) -> usize {
        0
    }

    /// Starts to remember changes of a key and returns its version now; pair it with [`Keyspace::unwatch`].
    pub fn watch(&mut self, db: DbIndex, key: Key<'_>) -> Version {
        Version(*self.versions.entry((db, key.bytes.to_vec())).or_insert(0))
    }

    /// The version of a watched key now.
    pub fn version(&self, db: DbIndex, key: Key<'_>) -> Version {
        Version(self.versions.get(&(db, key.bytes.to_vec())).copied().unwrap_or(0))
    }

    /// Ends one [`Keyspace::watch`].
    pub fn unwatch(&mut self, _db: DbIndex, _key: Key<'_>) {}

    /// How many keys `slot` holds in database `db` (CLUSTER COUNTKEYSINSLOT).
    pub fn slot_len(&self, db: DbIndex, slot: Slot) -> usize {
        self.dbs[db.index()].keys().filter(|key| Slot::of(key) == slot).count()
    }

    fn string_bytes(&mut self, db: DbIndex, key: Key<'_>, now: UnixMs) -> Vec<u8> {
        self.expire_if_due(db, key, now);
        self.dbs[db.index()].get(key.bytes).map(|entry| entry.value.to_vec()).unwrap_or_default()
    }

    fn store_raw(&mut self, db: DbIndex, key: Key<'_>, value: Vec<u8>, _now: UnixMs) -> usize {
        let len = value.len();
        let expiry = self.dbs[db.index()].get(key.bytes).and_then(|entry| entry.expiry);
        self.dbs[db.index()].insert(key.bytes.to_vec(), Detached { value: value.into(), int: None, expiry });
        self.changed(db, key.bytes);
        len
    }

    fn expire_if_due(&mut self, db: DbIndex, key: Key<'_>, now: UnixMs) {
        let due =
            self.dbs[db.index()].get(key.bytes).is_some_and(|entry| entry.expiry.is_some_and(|at| at <= now));
        if due {
            self.dbs[db.index()].remove(key.bytes);
            self.stats.expired += 1;
            if self.effects.on {
                self.effects.removed.push((db, key.bytes.into(), Cause::Expired));
            }
            self.changed(db, key.bytes);
        }
    }

    fn changed(&mut self, db: DbIndex, key: &[u8]) {
        self.stats.dirty += 1;
        if let Some(version) = self.versions.get_mut(&(db, key.to_vec())) {
            *version += 1;
        }
    }
}
