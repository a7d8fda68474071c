//! The keyspace: every change to a shard's data goes through one of these methods, and ends in
//! [`Keyspace::changed`].

use crate::access::Clock;
use crate::capture::Capture;
use crate::db::Db;
use crate::entry::{Entry, EntryRef, INLINE_MAX, Links, Parts, Value, buffer_of};
use crate::evict::Pool;
use crate::fields::next_due;
use crate::graveyard::Graveyard;
use crate::hash::{KeyHasher, Random};
use crate::offer::Offer;
use crate::scan::{self, Scan};
use crate::strings::{canonical_int, new_value};
use crate::types::*;
use crate::watch::Watches;
use config::{Config, MaxmemoryPolicy};
use datatypes::{Form, Kind, Limits};
use std::fmt;
use stdx::{DbIndex, Slot, UnixMs};

/// All databases of one shard.
pub struct Keyspace {
    pub(crate) dbs: Vec<Db>,
    pub(crate) hasher: KeyHasher,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) watches: Watches,
    pub(crate) graveyard: Graveyard,
    pub(crate) pool: Pool,
    pub(crate) capture: Option<Box<Capture>>,
    /// Whether somebody is told after changes: `effects.made`, or an open capture.
    tells: bool,
    /// The database at which the expire cycle goes on.
    pub(crate) expire_db: usize,
    /// Bytes of all databases.
    pub(crate) used: usize,
    pub(crate) slots: SlotRange,
    /// When values stop being compact.
    pub(crate) limits: Limits,
    /// Room for strings being put together and for scans; kept to save allocations.
    pub(crate) scratch: Vec<u8>,
    pub(crate) chosen: Vec<u64>,
    /// An argument in a buffer that may become the value it is stored as.
    pub(crate) offer: Offer,
    /// Keys that are due are not found, but stay.
    frozen: bool,
    pub(crate) locks: Option<Box<dyn Locks>>,
    /// Counters for INFO.
    pub stats: KeyspaceStats,
    /// What happened by itself.
    pub effects: Effects,
}

impl Keyspace {
    /// An empty keyspace of `databases` databases for the keys of `slots`. `seed` keys the hash function: the same
    /// for all shards of a process, chosen at random when it starts.
    pub fn new(slots: SlotRange, databases: u16, seed: u64) -> Self {
        Self {
            dbs: (0..databases).map(|_| Db::new(slots.clone())).collect(),
            hasher: KeyHasher::new(seed),
            clock: Clock::new(MaxmemoryPolicy::NoEviction, 10, 1),
            random: Random(seed),
            watches: Watches::default(),
            graveyard: Graveyard::default(),
            pool: Pool::default(),
            capture: None,
            tells: false,
            expire_db: 0,
            used: 0,
            slots,
            limits: Limits::default(),
            scratch: Vec::new(),
            chosen: Vec::new(),
            offer: Offer::default(),
            frozen: false,
            locks: None,
            stats: KeyspaceStats::default(),
            effects: Effects::default(),
        }
    }

    /// Whether keys of `slot` belong here. Every other method takes such keys only.
    #[inline]
    pub fn owns(&self, slot: Slot) -> bool {
        self.slots.contains(&(slot.index() as u16))
    }

    /// How many databases there are.
    pub fn databases(&self) -> u16 {
        self.dbs.len() as u16
    }

    /// Chooses how accesses are remembered (LRU clock or LFU counter) and with which constants.
    pub fn set_policy(&mut self, policy: MaxmemoryPolicy, lfu_log_factor: u32, lfu_decay_minutes: u32) {
        self.clock = Clock::new(policy, lfu_log_factor, lfu_decay_minutes);
        self.pool.clear();
    }

    /// Sets how the memory of large values goes back to the system before they are freed: `discard` is given pieces of
    /// bounded size that nobody will read again, and may do nothing.
    pub fn set_discard(&mut self, discard: fn(&mut [u8])) {
        self.graveyard.discard = discard;
    }

    /// Sets who knows which keys are locked: what goes of its own accord, because its time has come or memory is full, goes when
    /// it is locked no more.
    pub fn set_locks(&mut self, locks: Box<dyn Locks>) {
        self.locks = Some(locks);
    }

    /// What is locked.
    #[inline]
    pub fn held(&self) -> Held {
        self.locks.as_ref().map_or(Held::Nothing, |locks| locks.held())
    }

    /// Whether this key is, or may be.
    #[inline]
    pub(crate) fn is_locked(&self, key: &[u8]) -> bool {
        is_locked(self.locks.as_deref(), key)
    }

    /// Chooses when values stop being compact. Values that are there stay as they are until they change.
    pub fn set_limits(&mut self, config: &Config) {
        self.limits = limits(config);
    }

    /// When values stop being compact.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Sets how recently or how often a key was used, as far as the policy in force remembers it (RESTORE).
    pub fn set_recency(&mut self, db: DbIndex, key: Key<'_>, recency: Recency, now: UnixMs) {
        let (hash, clock) = (self.hasher.hash(key.bytes), self.clock);
        if let Some(entry) = self.dbs[db.index()].dict.find_mut(key.slot, hash, key.bytes)
            && let Some(bits) = clock.remembered(recency, now)
        {
            entry.set_clock(bits);
        }
    }

    /// Finds a key; an expired one is removed first and not found.
    #[inline]
    pub fn find(&mut self, db: DbIndex, key: Key<'_>, now: UnixMs, access: Access) -> Option<EntryRef<'_>> {
        let hash = self.hasher.hash(key.bytes);
        let counts = matches!(access, Access::Read | Access::NoTouch | Access::Inspect);
        match self.dbs[db.index()].dict.find_mut(key.slot, hash, key.bytes) {
            Some(entry) if !entry.due(now) => {
                if matches!(access, Access::Read | Access::Write) {
                    entry.set_clock(self.clock.touched(entry.clock(), now, &mut self.random));
                }
                self.stats.hits += u64::from(counts);
                // SAFETY: the result borrows the keyspace mutably, so the entry stays as it is for as long. (The
                // borrow checker cannot see that the other arm does not run when this one returns.)
                return Some(unsafe { entry.as_ref(self.clock).extend() });
            }
            Some(_) if !self.frozen => self.expire(db, key, hash),
            _ => {}
        }
        if counts {
            self.missed(db, key.bytes, access);
        }
        None
    }

    /// Looks at a key without a trace, so that several can be borrowed at a time. An expired one is not found, but
    /// stays.
    pub fn peek(&self, db: DbIndex, key: Key<'_>, now: UnixMs) -> Option<EntryRef<'_>> {
        let found = self.dbs[db.index()].dict.find(key.slot, self.hasher.hash(key.bytes), key.bytes);
        found.filter(|entry| !entry.due(now)).map(|entry| entry.as_ref(self.clock))
    }

    /// Stores a string under `key`, over whatever was there.
    #[inline]
    pub fn set_string(&mut self, db: DbIndex, key: Key<'_>, value: NewString<'_>, ttl: Ttl, now: UnixMs) {
        let value = if self.offer.is_made() { self.offer.take_up(db, key, value) } else { value };
        let hash = self.hasher.hash(key.bytes);
        self.before_loss(db, key, hash);
        let before = self.dbs[db.index()].bytes();
        let (clock, random, graveyard) = (self.clock, &mut self.random, &mut self.graveyard);
        let (mut expired, mut due) = (false, None);
        self.dbs[db.index()].upsert(
            key,
            hash,
            &self.hasher,
            |entry, links, bytes| {
                expired = entry.due(now);
                if entry.kind() == Kind::Hash {
                    due = next_due(entry);
                }
                let expiry = match ttl {
                    Ttl::Clear => None,
                    Ttl::Keep => entry.expiry().filter(|_| !expired),
                    Ttl::At(at) => Some(at),
                };
                entry.set_clock(clock.touched(entry.clock(), now, random));
                if !overwrite_in_place(entry, value, expiry) {
                    let before = entry.memory();
                    overwrite(entry, links, value, expiry, graveyard);
                    *bytes = *bytes - before + entry.memory();
                }
            },
            |tag| {
                let expiry = if let Ttl::At(at) = ttl { Some(at) } else { None };
                let (value, clock) = (new_value(value), clock.fresh(now));
                let parts = Parts { key: key.bytes, form: Form::String, value, raw: false, expiry, clock };
                Entry::new(tag, parts)
            },
        );
        if expired {
            self.note_removal(db, key.bytes, Cause::Expired);
            self.dbs[db.index()].made = true;
        }
        self.dbs[db.index()].move_due(key.bytes, due, None);
        self.changed(db, key, hash, before, 1);
    }

    /// Removes a key; says whether it was there (an expired one was not).
    pub fn remove(&mut self, db: DbIndex, key: Key<'_>, now: UnixMs) -> bool {
        let hash = self.hasher.hash(key.bytes);
        self.take_out(db, key, hash, now, 1).map(|entry| self.bury(entry)).is_some()
    }

    /// Sets or takes away the expiry; says whether the key was there. A time that has passed removes the key.
    pub fn set_expiry(&mut self, db: DbIndex, key: Key<'_>, expiry: Option<UnixMs>, now: UnixMs) -> bool {
        if expiry.is_some_and(|at| at <= now) {
            return self.remove(db, key, now);
        }
        let hash = self.hasher.hash(key.bytes);
        self.expire_if_due(db, key, hash, now);
        self.before_change(db, key, hash);
        let before = self.dbs[db.index()].bytes();
        let found =
            self.dbs[db.index()].update(key, hash, |entry, links| entry.set_expiry(links, expiry)).is_some();
        if found {
            self.changed(db, key, hash, before, 1);
        }
        found
    }

    /// How many keys database `db` holds, expired ones that were not removed yet included (DBSIZE).
    pub fn len(&self, db: DbIndex) -> usize {
        self.dbs[db.index()].dict.len()
    }

    /// Whether database `db` holds no key.
    pub fn is_empty(&self, db: DbIndex) -> bool {
        self.len(db) == 0
    }

    /// How many keys `slot` holds in database `db` (CLUSTER COUNTKEYSINSLOT).
    pub fn slot_len(&self, db: DbIndex, slot: Slot) -> usize {
        self.dbs[db.index()].dict.segments(slot.index()).map_or(0, |segments| segments.len())
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
        let clock = self.clock;
        let mut scan = Scan {
            hasher: &self.hasher,
            budget: count.max(1),
            chosen: &mut self.chosen,
            visit: &mut |entry| {
                if !entry.due(now) {
                    visit(entry.as_ref(clock));
                }
            },
        };
        scan.run(&self.dbs[db.index()].dict, cursor)
    }

    /// [`Keyspace::scan`] that also removes the expired keys it meets, if `removes` says so of their names. Those that are lent or
    /// locked are there until they are so no more, and are visited.
    pub fn scan_expiring(
        &mut self,
        db: DbIndex,
        cursor: Cursor,
        count: usize,
        now: UnixMs,
        removes: &dyn Fn(&[u8]) -> bool,
        visit: &mut dyn FnMut(EntryRef<'_>),
    ) -> Cursor {
        let (clock, frozen, locks) = (self.clock, self.frozen, self.locks.as_deref());
        let mut due = Vec::new();
        let mut scan = Scan {
            hasher: &self.hasher,
            budget: count.max(1),
            chosen: &mut self.chosen,
            visit: &mut |entry| {
                if !entry.due(now) || entry.is_lent() || is_locked(locks, entry.key()) {
                    visit(entry.as_ref(clock));
                } else if !frozen && removes(entry.key()) {
                    due.push(entry.key().to_vec());
                }
            },
        };
        let next = scan.run(&self.dbs[db.index()].dict, cursor);
        for key in due {
            self.expire(db, Key::new(&key), self.hasher.hash(&key));
        }
        next
    }

    /// Visits all keys of a database. The expired ones are removed, if `removes` says so of their names, and not visited. For who
    /// has the whole shard locked.
    pub fn visit_expiring(
        &mut self,
        db: DbIndex,
        now: UnixMs,
        removes: &dyn Fn(&[u8]) -> bool,
        visit: &mut dyn FnMut(EntryRef<'_>),
    ) {
        let (clock, frozen, mut due) = (self.clock, self.frozen, Vec::new());
        let mut scan = Scan {
            hasher: &self.hasher,
            budget: usize::MAX,
            chosen: &mut self.chosen,
            visit: &mut |entry| {
                if !entry.due(now) {
                    visit(entry.as_ref(clock));
                } else if !frozen && !entry.is_lent() && removes(entry.key()) {
                    due.push(entry.key().to_vec());
                }
            },
        };
        scan.run(&self.dbs[db.index()].dict, 0);
        for key in due {
            self.expire(db, Key::new(&key), self.hasher.hash(&key));
        }
    }

    /// The slot that a cursor stands in: decides the shard that a SCAN goes on at. Any number is some cursor.
    pub fn cursor_slot(cursor: Cursor) -> Slot {
        scan::slot_of(cursor)
    }

    /// A random key that has not expired, or `None` when there is none. Expired ones that it meets are removed.
    pub fn random_key(&mut self, db: DbIndex, now: UnixMs, random: u64) -> Option<EntryRef<'_>> {
        let mut random = Random(random);
        for _ in 0..RANDOM_TRIES {
            let entry = self.dbs[db.index()].dict.random(&mut random)?;
            if !entry.due(now) {
                // SAFETY: as in `find`.
                return Some(unsafe { entry.as_ref(self.clock).extend() });
            }
            if !self.frozen && !is_locked(self.locks.as_deref(), entry.key()) {
                let key = entry.key().to_vec();
                self.expire(db, Key::new(&key), self.hasher.hash(&key));
            }
        }
        None
    }

    /// While it is frozen (CLIENT PAUSE) nothing that is only read goes because its time has come: it is not found, but stays.
    pub fn freeze(&mut self, frozen: bool) {
        self.frozen = frozen;
    }

    /// Whether it is frozen: then the caller neither expires nor evicts.
    #[inline]
    pub fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// Exchanges two databases (SWAPDB). Watched keys that existed, or that exist now and have not expired, have changed.
    /// Not counted in `dirty`: every shard does this for one command.
    pub fn swap(&mut self, a: DbIndex, b: DbIndex, now: UnixMs) {
        if !self.watches.is_empty() && a != b {
            for (db, other) in [(a, b), (b, a)] {
                let (before, after) = (&self.dbs[db.index()], &self.dbs[other.index()]);
                self.watches.bump_where(db, |key, hash| {
                    let key = Key::new(key);
                    let comes = after.find(key, hash).is_some_and(|entry| !entry.due(now));
                    comes || before.find(key, hash).is_some()
                });
            }
        }
        self.dbs.swap(a.index(), b.index());
        self.pool.clear();
    }

    /// Empties one database in constant time; the memory comes back through [`Keyspace::reclaim`].
    /// Returns how many keys went.
    pub fn flush(&mut self, db: DbIndex) -> usize {
        let emptied = std::mem::replace(&mut self.dbs[db.index()], Db::new(self.slots.clone()));
        let keys = emptied.dict.len();
        if !self.watches.is_empty() {
            self.watches.bump_where(db, |key, hash| emptied.find(Key::new(key), hash).is_some());
        }
        self.used -= emptied.bytes();
        self.stats.dirty += keys as u64;
        let emptied = match self.capture.as_deref_mut() {
            Some(capture) => capture.take_flushed(emptied),
            None => Some(emptied),
        };
        emptied.into_iter().for_each(|db| self.graveyard.bury(db));
        self.pool.clear();
        keys
    }

    /// Frees a slice of what was flushed or unlinked, until `go_on` says no; true while there is more to free.
    /// `go_on` is asked at least every 64 entries.
    pub fn reclaim(&mut self, go_on: &mut dyn FnMut() -> bool) -> bool {
        self.graveyard.reclaim(&mut self.stats.lazyfreed, go_on)
    }

    /// Bytes of memory that the data takes: entries, values, tables (used_memory_dataset plus overhead). What was
    /// flushed and waits to be freed is not in it.
    pub fn used_bytes(&self) -> usize {
        self.used
    }

    /// Bytes of `used_bytes` that are tables and bookkeeping, not keys and values (MEMORY STATS overhead).
    pub fn overhead_bytes(&self) -> usize {
        self.dbs.iter().map(Db::overhead).sum()
    }

    /// About how many bytes wait for [`Keyspace::reclaim`]; 0 exactly when nothing does.
    pub fn unreclaimed_bytes(&self) -> usize {
        self.graveyard.bytes()
    }

    /// How many values, buffers and databases wait for [`Keyspace::reclaim`]; 0 exactly when nothing does.
    pub fn unreclaimed(&self) -> usize {
        self.graveyard.pending()
    }

    /// Starts to remember changes of a key and returns its version now; pair it with [`Keyspace::unwatch`]. An
    /// expiry counts as a change when the key is found to have expired: look it up before this (WATCH) and before
    /// [`Keyspace::version`] (EXEC).
    pub fn watch(&mut self, db: DbIndex, key: Key<'_>) -> Version {
        self.watches.watch(db, self.hasher.hash(key.bytes), key.bytes)
    }

    /// The version of a watched key now; 0 for one that is not watched.
    pub fn version(&self, db: DbIndex, key: Key<'_>) -> Version {
        self.watches.version(db, self.hasher.hash(key.bytes), key.bytes)
    }

    /// How many keys are watched, by whomever.
    pub fn watched_keys(&self) -> usize {
        self.watches.watched()
    }

    /// Ends one [`Keyspace::watch`].
    pub fn unwatch(&mut self, db: DbIndex, key: Key<'_>) {
        self.watches.unwatch(db, self.hasher.hash(key.bytes), key.bytes);
    }

    /// Has every change of a key listed for [`Keyspace::take_changed`], whatever it is: made, changed, gone, expired, its
    /// database exchanged or emptied.
    pub fn await_key(&mut self, db: DbIndex, key: &[u8]) {
        self.watches.await_key(db, self.hasher.hash(key), key);
    }

    /// Ends [`Keyspace::await_key`].
    pub fn forget_key(&mut self, db: DbIndex, key: &[u8]) {
        self.watches.forget(db, self.hasher.hash(key), key);
    }

    /// How many keys are awaited.
    pub fn awaited(&self) -> usize {
        self.watches.awaited()
    }

    /// Whether an awaited key has changed: all that a command pays while none has.
    #[inline]
    pub fn has_changed(&self) -> bool {
        self.watches.has_changed()
    }

    /// Takes the awaited key that changed first. One that changes again is listed again.
    pub fn take_changed(&mut self) -> Option<Changed> {
        let hasher = &self.hasher;
        self.watches.take_changed(|key| hasher.hash(key))
    }

    /// Lists an awaited key for [`Keyspace::take_changed`] although it has not changed: somebody else can use it now.
    pub fn mark_changed(&mut self, db: DbIndex, key: &[u8]) {
        self.watches.list(db, self.hasher.hash(key), key);
    }

    /// Puts a key that was taken back to the front, if it is still awaited.
    pub fn put_back_changed(&mut self, changed: Changed) {
        let hash = self.hasher.hash(&changed.key);
        self.watches.put_back(changed, hash);
    }

    /// Takes a key's entry out of its database, unless it is due: then it expires. The change counts `dirty`.
    pub(crate) fn take_out(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        hash: u64,
        now: UnixMs,
        dirty: u64,
    ) -> Option<Entry> {
        self.before_loss(db, key, hash);
        let before = self.dbs[db.index()].bytes();
        let entry = self.dbs[db.index()].remove(key, hash)?;
        if entry.due(now) {
            self.note_removal(db, key.bytes, Cause::Expired);
            self.changed(db, key, hash, before, 0);
            self.bury(entry);
            return None;
        }
        self.changed(db, key, hash, before, dirty);
        Some(entry)
    }

    /// Removes a key because its time has come.
    #[cold]
    pub(crate) fn expire(&mut self, db: DbIndex, key: Key<'_>, hash: u64) {
        self.remove_because(db, key, hash, Cause::Expired);
    }

    pub(crate) fn expire_if_due(&mut self, db: DbIndex, key: Key<'_>, hash: u64, now: UnixMs) {
        if self.dbs[db.index()].find(key, hash).is_some_and(|entry| entry.due(now)) {
            self.expire(db, key, hash);
        }
    }

    /// Removes a key that is there, on the keyspace's own account.
    pub(crate) fn remove_because(&mut self, db: DbIndex, key: Key<'_>, hash: u64, cause: Cause) {
        self.before_loss(db, key, hash);
        let before = self.dbs[db.index()].bytes();
        let entry = self.dbs[db.index()].remove(key, hash).expect("a key that was just seen");
        self.note_removal(db, key.bytes, cause);
        self.changed(db, key, hash, before, 0);
        self.bury(entry);
    }

    pub(crate) fn note_removal(&mut self, db: DbIndex, key: &[u8], cause: Cause) {
        match cause {
            Cause::Expired => self.stats.expired += 1,
            Cause::Evicted => self.stats.evicted += 1,
        }
        if self.effects.on {
            self.effects.happened.push(Happened::Removed(db, key.into(), cause));
        }
    }

    fn missed(&mut self, db: DbIndex, key: &[u8], access: Access) {
        self.stats.misses += 1;
        if self.effects.missed && access != Access::Inspect {
            self.effects.happened.push(Happened::Missed(db, key.into()));
        }
    }

    /// Every change of a key ends here. `before`: the database's bytes before it. `dirty`: how much it counts as a
    /// change for `rdb_changes_since_last_save`, 0 for what the keyspace did by itself.
    #[inline]
    pub(crate) fn changed(&mut self, db: DbIndex, key: Key<'_>, hash: u64, before: usize, dirty: u64) {
        self.resized(db, before);
        self.stats.dirty += dirty;
        if !self.watches.is_empty() {
            self.watches.bump(db, hash, key.bytes);
        }
        if self.tells {
            self.tell(db, key, hash, dirty == 0);
        }
    }

    #[cold]
    fn tell(&mut self, db: DbIndex, key: Key<'_>, hash: u64, by_itself: bool) {
        if self.effects.made {
            self.note_if_made(db, key.bytes);
        }
        if self.effects.touches {
            self.effects.touched.push(key.bytes, by_itself);
        }
        self.tell_capture_after(db, key, hash);
    }

    /// Decides anew whether somebody is told after changes.
    pub(crate) fn watch_changes(&mut self) {
        let captures = self.capture.as_deref().is_some_and(|capture| !capture.is_cancelled());
        self.tells = self.effects.made || self.effects.touches || captures;
    }

    /// Chooses whether keys that change are noted in `effects.touched` from now on.
    pub fn note_touched(&mut self, touches: bool) {
        self.effects.touches = touches;
        self.watch_changes();
    }

    fn note_if_made(&mut self, db: DbIndex, key: &[u8]) {
        if std::mem::take(&mut self.dbs[db.index()].made) {
            self.effects.happened.push(Happened::Made(db, key.into()));
        }
    }

    /// Chooses what is recorded in `effects` from now on.
    pub fn record(&mut self, removals: bool, made: bool, missed: bool) {
        (self.effects.on, self.effects.made, self.effects.missed) = (removals, made, missed);
        self.dbs.iter_mut().for_each(|db| db.made = false);
        self.watch_changes();
    }

    /// The database took `before` bytes and now takes another number.
    #[inline]
    pub(crate) fn resized(&mut self, db: DbIndex, before: usize) {
        self.used = self.used - before + self.dbs[db.index()].bytes();
    }

    /// Frees an entry, what takes a while later.
    pub(crate) fn bury(&mut self, mut entry: Entry) {
        self.graveyard.bury_remains(entry.take_remains());
    }

    /// Takes a buffer that is needed no more and may be large, to be freed by [`Keyspace::reclaim`].
    pub fn bury_buffer(&mut self, buffer: Vec<u8>) {
        self.graveyard.bury_buffer(buffer);
    }

    /// Counts everything anew and panics when a counter or an index is wrong. Reads every entry: for tests.
    pub fn audit(&self) {
        let mut used = 0;
        for db in &self.dbs {
            used += db.audit(&self.hasher);
        }
        assert_eq!(used, self.used, "bytes used");
    }
}

impl fmt::Debug for Keyspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lens: Vec<usize> = self.dbs.iter().map(|db| db.dict.len()).collect();
        f.debug_struct("Keyspace").field("slots", &self.slots).field("lens", &lens).finish_non_exhaustive()
    }
}

fn limits(config: &Config) -> Limits {
    Limits {
        hash_max_listpack_entries: config.hash_max_listpack_entries as usize,
        hash_max_listpack_value: config.hash_max_listpack_value as usize,
        list_max_listpack_size: config.list_max_listpack_size,
        set_max_intset_entries: config.set_max_intset_entries as usize,
        set_max_listpack_entries: config.set_max_listpack_entries as usize,
        set_max_listpack_value: config.set_max_listpack_value as usize,
        zset_max_listpack_entries: config.zset_max_listpack_entries as usize,
        zset_max_listpack_value: config.zset_max_listpack_value as usize,
        stream_node_max_bytes: config.stream_node_max_bytes as usize,
        stream_node_max_entries: config.stream_node_max_entries as usize,
    }
}

/// Whether a key is locked.
#[inline]
pub(crate) fn is_locked(locks: Option<&dyn Locks>, key: &[u8]) -> bool {
    locks.is_some_and(|locks| match locks.held() {
        Held::Nothing => false,
        Held::Keys => locks.is_locked(key),
        Held::Whole => true,
    })
}

/// Expired keys that a random pick removes before it gives up: more than a hundred to one are expired then.
const RANDOM_TRIES: usize = 1000;

/// Writes a short string over an entry's value if it fits where the old one is: the common case.
#[inline]
fn overwrite_in_place(entry: &mut Entry, value: NewString<'_>, expiry: Option<UnixMs>) -> bool {
    let value = match value {
        NewString::Int(int) => Value::Int(int),
        NewString::Bytes(bytes) | NewString::Text(bytes) if bytes.len() > INLINE_MAX => return false,
        NewString::Text(bytes) => Value::Inline(bytes),
        NewString::Bytes(bytes) => canonical_int(bytes).map_or(Value::Inline(bytes), Value::Int),
    };
    entry.assign_in_place(&value, false, expiry)
}

/// Writes a string over an entry's value, whatever both are.
#[inline(never)]
fn overwrite(
    entry: &mut Entry,
    links: &mut Links,
    value: NewString<'_>,
    expiry: Option<UnixMs>,
    graveyard: &mut Graveyard,
) {
    let bytes = match value {
        NewString::Bytes(bytes) | NewString::Text(bytes) => bytes,
        NewString::Int(int) => return entry.assign(links, Value::Int(int), false, expiry),
    };
    if bytes.len() <= INLINE_MAX {
        let int = if let NewString::Text(_) = value { None } else { canonical_int(bytes) };
        let value = int.map_or(Value::Inline(bytes), Value::Int);
        graveyard.bury_remains(entry.take_remains());
        return entry.assign(links, value, false, expiry);
    }
    let is_string = entry.kind() == Kind::String;
    let fits = |buffer: &Vec<u8>| {
        is_string && bytes.len() <= buffer.capacity() && bytes.len() >= buffer.capacity() / 2
    };
    let reused = entry.with_buffer(|buffer| {
        let fits = fits(buffer);
        if fits {
            buffer.clear();
            buffer.extend_from_slice(bytes);
        }
        fits
    });
    if reused == Some(true) {
        entry.set_raw(false);
        return entry.set_expiry(links, expiry);
    }
    graveyard.bury_remains(entry.take_remains());
    entry.assign(links, Value::Buffer(buffer_of(bytes)), false, expiry);
}
