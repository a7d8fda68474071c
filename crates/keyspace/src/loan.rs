//! Values on the move: taken out, put in, copied, and lent to another core.

use crate::entry::Detached;
use crate::fields::next_due;
use crate::keyspace::Keyspace;
use crate::types::Key;
use datatypes::segments::Item;
use std::cell::Cell;
use stdx::{DbIndex, UnixMs};

impl Keyspace {
    /// Takes a key's value out, expiry included (RENAME, MOVE). Not counted in `dirty`: the [`Keyspace::put`] that
    /// follows is.
    pub fn take(&mut self, db: DbIndex, key: Key<'_>, now: UnixMs) -> Option<Detached> {
        let hash = self.hasher.hash(key.bytes);
        self.before_change(db, key, hash);
        self.take_out(db, key, hash, now, 0).map(|entry| Detached { entry })
    }

    /// Puts a value under `key`, over whatever was there, with its own expiry.
    pub fn put(&mut self, db: DbIndex, key: Key<'_>, value: Detached, now: UnixMs) {
        let hash = self.hasher.hash(key.bytes);
        self.expire_if_due(db, key, hash, now);
        self.replace(db, key, hash, value, true);
    }

    /// A copy of a key's value and expiry (COPY).
    pub fn duplicate(&mut self, db: DbIndex, key: Key<'_>, now: UnixMs) -> Option<Detached> {
        let hash = self.hasher.hash(key.bytes);
        self.expire_if_due(db, key, hash, now);
        self.dbs[db.index()].find(key, hash).map(|entry| Detached { entry: entry.duplicate() })
    }

    /// Lends a key's value to a transaction that runs on another core. Until [`Keyspace::give_back`] the key is
    /// locked by the caller; it stays visible to scans, counts and random picks, and is neither expired nor evicted.
    /// A long string moves: until then its key reads as empty.
    pub fn lend(&mut self, db: DbIndex, key: Key<'_>, now: UnixMs) -> Option<Detached> {
        let hash = self.hasher.hash(key.bytes);
        self.expire_if_due(db, key, hash, now);
        self.before_change(db, key, hash);
        let before = self.dbs[db.index()].bytes();
        let entry = self.dbs[db.index()].update(key, hash, |entry, _| entry.lend())?;
        self.resized(db, before);
        Some(Detached { entry })
    }

    /// Ends a loan: the key now holds `value`, or is gone. `changed` says whether the transaction wrote to it; if it
    /// did not, `value` is what [`Keyspace::lend`] gave. For a key that was not there when the transaction began,
    /// this is [`Keyspace::put`] or nothing.
    pub fn give_back(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        value: Option<Detached>,
        changed: bool,
        now: UnixMs,
    ) {
        let hash = self.hasher.hash(key.bytes);
        match (changed, value) {
            // Where it ran, it was told whether it made the key.
            (true, Some(value)) => self.replace(db, key, hash, value, false),
            (true, None) => {
                // A lent key is never due, so this is no expiry.
                if let Some(old) = self.take_out(db, key, hash, now, 1) {
                    self.bury(old);
                }
            }
            (false, value) => {
                let before = self.dbs[db.index()].bytes();
                let loan = value.map(|value| value.entry);
                let due = self.dbs[db.index()].update(key, hash, |entry, links| {
                    entry.end_loan(links, loan);
                    next_due(entry)
                });
                // It may have been put off meanwhile.
                self.dbs[db.index()].move_due(key.bytes, None, due.flatten());
                self.resized(db, before);
            }
        }
    }

    /// Puts a value under `key`, over whatever was there. `is_new` says whether that counts as a new key, as it does for
    /// RENAME even over a key that is there.
    fn replace(&mut self, db: DbIndex, key: Key<'_>, hash: u64, value: Detached, is_new: bool) {
        self.before_loss(db, key, hash);
        let before = self.dbs[db.index()].bytes();
        // Only one of the two closures runs.
        let value = Cell::new(Some(value.entry));
        let (mut buried, mut due) = (None, None);
        let named = |tag| {
            let mut entry = value.take().expect("put once");
            if entry.key() == key.bytes {
                entry.set_tag(tag);
                // Where it was before, a capture may have gone by it.
                entry.set_odd(false);
                return entry;
            }
            entry.renamed(tag, key.bytes)
        };
        self.dbs[db.index()].upsert(
            key,
            hash,
            &self.hasher,
            |place, links, bytes| {
                let mut entry = named(place.tag());
                links.remove(place);
                if entry.expiry().is_some() {
                    links.insert(&mut entry);
                }
                due = Some((next_due(place), next_due(&entry)));
                let old = std::mem::replace(place, entry);
                *bytes = *bytes - old.memory() + place.memory();
                buried = Some(old);
            },
            named,
        );
        if let Some(old) = buried {
            self.bury(old);
        }
        if let Some((before, after)) = due {
            self.dbs[db.index()].move_due(key.bytes, before, after);
        }
        self.dbs[db.index()].made = is_new;
        self.changed(db, key, hash, before, 1);
    }
}
