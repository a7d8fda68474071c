//! Changing values that are not strings: one lookup, the change in place, and the accounts afterwards.

use crate::entry::{Entry, EntryPlace, INLINE_MAX, Parts, Remains, Value, buffer_of};
use crate::fields::next_due;
use crate::keyspace::Keyspace;
use crate::types::{Cause, Key, NewString, Ttl, WrongKind};
use datatypes::{HashMut, Kind, Large, Limits, ListMut, Object, Place, SetMut, Stored, Stream, ZSetMut};
use stdx::{DbIndex, UnixMs};

/// What [`Keyspace::edit`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edited<R> {
    /// What the change returned.
    pub result: R,
    /// The key was not there before, and is now.
    pub made: bool,
    /// The value became empty, and the key went.
    pub removed: bool,
}

/// A value that is being changed.
pub struct Editing<'a> {
    place: &'a mut dyn Place,
    limits: &'a Limits,
    changes: u64,
    discarded: Option<Remains>,
}

impl<'a> Editing<'a> {
    fn new(place: &'a mut dyn Place, limits: &'a Limits) -> Self {
        Self { place, limits, changes: 0, discarded: None }
    }

    /// Counts `changes`, as `rdb_changes_since_last_save` does. What is not counted is not a change: watchers are not
    /// told, nothing is journalled, a key that is being made is not kept.
    #[inline]
    pub fn changed(&mut self, changes: u64) {
        self.changes += changes;
    }

    /// Takes what was a part of the value, once for each edit, to be freed in slices.
    pub fn discard(&mut self, part: Large) {
        self.discarded = Remains::of(part);
    }

    /// When values stop being compact.
    pub fn limits(&self) -> &Limits {
        self.limits
    }

    /// The value, which is a list.
    #[inline]
    pub fn list(&mut self) -> ListMut<'_> {
        ListMut::new(self.place, self.limits)
    }

    /// The value, which is a set.
    #[inline]
    pub fn set(&mut self) -> SetMut<'_> {
        SetMut::new(self.place, self.limits)
    }

    /// The value, which is a sorted set.
    #[inline]
    pub fn zset(&mut self) -> ZSetMut<'_> {
        ZSetMut::new(self.place, self.limits)
    }

    /// The value, which is a hash.
    #[inline]
    pub fn hash(&mut self) -> HashMut<'_> {
        HashMut::new(self.place, self.limits)
    }

    /// The value, which is a stream.
    #[inline]
    pub fn stream(&mut self) -> &mut Stream {
        match self.place.large_mut() {
            Large::Stream(stream) => stream,
            other => unreachable!("a stream is edited, not {:?}", other.form()),
        }
    }
}

impl std::fmt::Debug for Editing<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let stored = self.place.stored();
        f.debug_struct("Editing").field("stored", &stored).field("changes", &self.changes).finish()
    }
}

impl Keyspace {
    /// Changes the value of `kind` at `key` through `change`. A missing key is `None`, or with `make` starts as an
    /// empty value, which is kept if it was changed and is not empty. A value that is empty after a change goes with
    /// its key, unless it is a stream. Errors: `WrongKind`; nothing was done.
    #[inline]
    pub fn edit<R>(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        kind: Kind,
        make: bool,
        now: UnixMs,
        change: impl FnOnce(&mut Editing<'_>) -> R,
    ) -> Result<Option<Edited<R>>, WrongKind> {
        let hash = self.hasher.hash(key.bytes);
        self.before_change(db, key, hash);
        let place = &mut self.dbs[db.index()];
        let before = place.bytes();
        match place.dict.find_mut(key.slot, hash, key.bytes) {
            Some(entry) if !entry.due(now) => {
                if entry.kind() != kind {
                    return Err(WrongKind);
                }
                entry.set_clock(self.clock.touched(entry.clock(), now, &mut self.random));
                let size = entry.memory();
                // Known where this is compiled: nothing is asked of lists and sets.
                let due_of = |entry: &Entry| if kind == Kind::Hash { next_due(entry) } else { None };
                let due = due_of(entry);
                let mut at = EntryPlace { entry, links: &mut place.links };
                let mut editing = Editing::new(&mut at, &self.limits);
                let result = change(&mut editing);
                let (changes, discarded) = (editing.changes, editing.discarded);
                place.entry_bytes = place.entry_bytes - size + at.entry.memory();
                let due_now = due_of(at.entry);
                let removed = kind != Kind::Stream && is_empty(at.entry.stored());
                place.move_due(key.bytes, due, due_now);
                if removed {
                    let entry = place.remove(key, hash).expect("a key that was just seen");
                    self.bury(entry);
                }
                if discarded.is_some() {
                    self.graveyard.bury_remains(discarded);
                }
                if changes > 0 {
                    self.changed(db, key, hash, before, changes);
                } else {
                    self.resized(db, before);
                }
                return Ok(Some(Edited { result, made: false, removed }));
            }
            Some(_) => self.expire(db, key, hash),
            None => {}
        }
        Ok(if make { Some(self.edit_new(db, key, hash, kind, now, change)) } else { None })
    }

    /// Changes an empty value, and keeps it if there is something to keep.
    fn edit_new<R>(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        hash: u64,
        kind: Kind,
        now: UnixMs,
        change: impl FnOnce(&mut Editing<'_>) -> R,
    ) -> Edited<R> {
        let mut object = Object::new(kind);
        if let Object::Compact(_, bytes) = &mut object {
            self.scratch.clear();
            *bytes = std::mem::take(&mut self.scratch);
        }
        let mut editing = Editing::new(&mut object, &self.limits);
        let result = change(&mut editing);
        let changes = editing.changes;
        let made = changes > 0 && (kind == Kind::Stream || !is_empty(object.stored()));
        match object {
            Object::Compact(form, bytes) => {
                if made {
                    let parts = self.new_parts(key, form, compact_value(&bytes), now);
                    self.insert(db, key, hash, parts, changes);
                }
                if bytes.capacity() <= SCRATCH_MAX {
                    self.scratch = bytes;
                }
            }
            Object::Large(large) if made => {
                let parts = self.new_parts(key, large.form(), Value::Boxed(large), now);
                self.insert(db, key, hash, parts, changes);
            }
            Object::Large(_) => {}
        }
        Edited { result, made, removed: false }
    }

    /// Puts a whole value under `key`, over whatever was there; counts as one change. The value is not empty, unless
    /// it is a string or a stream.
    pub fn store(&mut self, db: DbIndex, key: Key<'_>, value: datatypes::Value, ttl: Ttl, now: UnixMs) {
        let object = match value {
            datatypes::Value::String(bytes) => {
                return self.set_string(db, key, NewString::Bytes(&bytes), ttl, now);
            }
            datatypes::Value::Object(object) => object,
        };
        let hash = self.hasher.hash(key.bytes);
        self.before_loss(db, key, hash);
        let before = self.dbs[db.index()].bytes();
        let old = self.dbs[db.index()].remove(key, hash);
        let due = old.as_ref().is_some_and(|old| old.due(now));
        let is_new = old.is_none() || due;
        let kept = old.as_ref().filter(|_| !due).and_then(Entry::expiry);
        if let Some(old) = old {
            if due {
                self.note_removal(db, key.bytes, Cause::Expired);
            }
            self.bury(old);
        }
        self.resized(db, before);
        let expiry = match ttl {
            Ttl::Clear => None,
            Ttl::Keep => kept,
            Ttl::At(at) => Some(at),
        };
        let before = self.dbs[db.index()].bytes();
        match object {
            Object::Compact(form, bytes) => {
                let parts = self.new_parts(key, form, compact_value(&bytes), now);
                self.put_in(db, key, hash, Parts { expiry, ..parts });
            }
            Object::Large(large) => {
                let parts = self.new_parts(key, large.form(), Value::Boxed(large), now);
                self.put_in(db, key, hash, Parts { expiry, ..parts });
            }
        }
        self.dbs[db.index()].made = is_new;
        self.changed(db, key, hash, before, 1);
    }

    /// What a new key is made of.
    pub(crate) fn new_parts<'a>(
        &self,
        key: Key<'a>,
        form: datatypes::Form,
        value: Value<'a>,
        now: UnixMs,
    ) -> Parts<'a> {
        Parts { key: key.bytes, form, value, raw: false, expiry: None, clock: self.clock.fresh(now) }
    }

    /// Puts a new entry under a key that is not there.
    pub(crate) fn insert(&mut self, db: DbIndex, key: Key<'_>, hash: u64, parts: Parts<'_>, changes: u64) {
        let before = self.dbs[db.index()].bytes();
        self.put_in(db, key, hash, parts);
        self.changed(db, key, hash, before, changes);
    }

    /// The same, of which nobody is told.
    #[inline]
    pub(crate) fn put_in(&mut self, db: DbIndex, key: Key<'_>, hash: u64, parts: Parts<'_>) {
        self.dbs[db.index()].upsert(
            key,
            hash,
            &self.hasher,
            |_, _, _| unreachable!("the key was just looked for"),
            |tag| Entry::new(tag, parts),
        );
    }
}

/// The room kept between edits.
const SCRATCH_MAX: usize = 64 * 1024;

pub(crate) fn compact_value(bytes: &[u8]) -> Value<'_> {
    if bytes.len() <= INLINE_MAX { Value::Inline(bytes) } else { Value::Buffer(buffer_of(bytes)) }
}

/// Whether a value holds nothing. Every form says so with no bytes at all.
fn is_empty(stored: Stored<'_>) -> bool {
    match stored {
        Stored::Compact(_, bytes) => bytes.is_empty(),
        Stored::Large(large) => large.is_empty(),
    }
}
