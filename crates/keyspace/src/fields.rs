//! Fields of hashes that expire: removing those that are due, when they are met and actively.
//!
//! Each database keeps the keys of its hashes with such fields in the order of their next due field. A hash that is not
//! lent is in there at that time; entries of other times are left over from loans, and are put right when their time
//! comes.

use crate::capture::Capture;
use crate::entry::{Entry, EntryPlace};
use crate::keyspace::{Keyspace, is_locked};
use crate::types::{ExpiredFields, Happened, Held, Key};
use datatypes::{Form, HashMut, HashRef, Kind, Large, Stored};
use stdx::{DbIndex, UnixMs};

impl Keyspace {
    /// Whether any hash of database `db` has fields that expire.
    #[inline]
    pub fn has_expiring_fields(&self, db: DbIndex) -> bool {
        !self.dbs[db.index()].field_dues.is_empty()
    }

    /// How many hashes of database `db` have fields that expire.
    pub fn hashes_with_expiry(&self, db: DbIndex) -> usize {
        self.dbs[db.index()].field_dues.len()
    }

    /// Removes at most `max` of the fields of the hash at `key` that are due, those first that have been for longest,
    /// and the key with its last field. Returns how many went; none of a key that is lent, missing or no hash.
    pub fn expire_fields(&mut self, db: DbIndex, key: Key<'_>, now: UnixMs, max: usize) -> usize {
        self.remove_fields(db, key, now, |hash, removed| {
            hash.remove_due(now, max, &mut |name| removed.push(name.into()));
        })
    }

    /// As [`Keyspace::expire_fields`], for those of the fields `names` that are due.
    pub fn remove_due_fields(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        names: &mut dyn Iterator<Item = &[u8]>,
        now: UnixMs,
    ) -> usize {
        self.remove_fields(db, key, now, |hash, removed| {
            for name in names {
                if hash.get().field(name).is_some_and(|field| field.due(now)) {
                    hash.remove(name);
                    removed.push(name.into());
                }
            }
        })
    }

    /// Removes fields that are due from as many hashes as there are any in, until `go_on` says no: asked after every
    /// 64 fields or hash, so that each call does something. True when there are more. Hashes that are locked stay as they are.
    pub fn expire_fields_cycle(&mut self, now: UnixMs, go_on: &mut dyn FnMut() -> bool) -> bool {
        if self.held() == Held::Whole {
            return false;
        }
        let mut stay = Vec::new();
        let has_more = self.expire_fields_but(&mut stay, now, go_on);
        for (db, at, name) in stay {
            let place = &mut self.dbs[db.index()];
            let before = place.bytes();
            place.field_dues.insert(at, &name);
            self.resized(db, before);
        }
        has_more
    }

    /// The same; hashes that have to stay as they are for now are taken out, and put into `stay` with their time.
    fn expire_fields_but(
        &mut self,
        stay: &mut Vec<(DbIndex, UnixMs, Box<[u8]>)>,
        now: UnixMs,
        go_on: &mut dyn FnMut() -> bool,
    ) -> bool {
        for number in 0..self.dbs.len() {
            let db = DbIndex(number as u16);
            while self.has_due_fields(db, now) {
                if let Some((at, name)) = self.expire_next_hash(db, now) {
                    stay.push((db, at, name));
                }
                if !go_on() {
                    return (number..self.dbs.len()).any(|db| self.has_due_fields(DbIndex(db as u16), now));
                }
            }
        }
        false
    }

    fn has_due_fields(&self, db: DbIndex, now: UnixMs) -> bool {
        self.dbs[db.index()].field_dues.next_due().is_some_and(|at| at <= now)
    }

    /// Does a slice of the hash that has been due for longest, and puts it where it belongs then; or gives it back with its
    /// time, if it has to stay as it is: it is locked, or large and a capture has yet to write it, which would copy it.
    fn expire_next_hash(&mut self, db: DbIndex, now: UnixMs) -> Option<(UnixMs, Box<[u8]>)> {
        let place = &mut self.dbs[db.index()];
        let before = place.bytes();
        let name = place.field_dues.pop_due(now)?;
        let key = Key::new(&name);
        let hash = self.hasher.hash(&name);
        let Some(entry) = place.find(key, hash) else {
            self.resized(db, before);
            return None;
        };
        let due = next_due(entry);
        let large_bytes = self.capture.as_deref().map_or(usize::MAX, Capture::large_bytes);
        let is_awaited = entry.memory() > large_bytes && place.watch.is_open(entry, key.slot, hash);
        if let Some(at) = due
            && (is_awaited || is_locked(self.locks.as_deref(), &name))
        {
            self.resized(db, before);
            return Some((at, name));
        }
        // A hash that is lent comes back soon. Any other is put in at its time, for then it is taken out there.
        let again = if entry.is_lent() { Some(UnixMs(now.0 + LENT_RETRY_MS)) } else { due };
        let key_is_due = entry.due(now);
        if let Some(at) = again {
            place.field_dues.insert(at, &name);
        }
        self.resized(db, before);
        if key_is_due {
            self.expire(db, key, hash);
        } else if again.is_some_and(|at| at <= now) {
            self.expire_fields(db, key, now, SLICE);
        }
        None
    }

    /// Lets `remove` take due fields out of the hash at `key`; it adds their names to the list it is given.
    fn remove_fields(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        now: UnixMs,
        remove: impl FnOnce(&mut HashMut<'_>, &mut Vec<Box<[u8]>>),
    ) -> usize {
        let hash = self.hasher.hash(key.bytes);
        self.before_change(db, key, hash);
        let place = &mut self.dbs[db.index()];
        let before = place.bytes();
        let Some(entry) = place.dict.find_mut(key.slot, hash, key.bytes) else { return 0 };
        if entry.is_lent() || entry.kind() != Kind::Hash || entry.due(now) {
            return 0;
        }
        let Some(due) = next_due(entry).filter(|&at| at <= now) else { return 0 };
        let size = entry.memory();
        let mut names = Vec::new();
        let mut at = EntryPlace { entry, links: &mut place.links };
        remove(&mut HashMut::new(&mut at, &self.limits), &mut names);
        place.entry_bytes = place.entry_bytes - size + at.entry.memory();
        let (after, emptied) = (next_due(at.entry), is_empty(at.entry));
        place.move_due(key.bytes, Some(due), after);
        if emptied {
            let entry = place.remove(key, hash).expect("a key that was just seen");
            self.bury(entry);
        }
        if names.is_empty() {
            return 0;
        }
        self.changed(db, key, hash, before, 0);
        self.stats.expired_fields += names.len() as u64;
        let count = names.len();
        if self.effects.on {
            let key = key.bytes.into();
            self.effects.happened.push(Happened::Fields(ExpiredFields { db, key, names, emptied }));
        }
        count
    }
}

/// When the next field of an entry is due; `None` for all but hashes, and for what is away on a loan.
#[inline]
pub(crate) fn next_due(entry: &Entry) -> Option<UnixMs> {
    if entry.kind() == Kind::Hash && !entry.is_away() { stored_due(entry.stored()) } else { None }
}

#[inline]
fn stored_due(stored: Stored<'_>) -> Option<UnixMs> {
    match stored {
        Stored::Compact(Form::HashTtl, bytes) => HashRef::CompactTtl(bytes).next_due(),
        Stored::Large(Large::Hash(hash)) => HashRef::Large(hash).next_due(),
        _ => None,
    }
}

fn is_empty(entry: &Entry) -> bool {
    match entry.stored() {
        Stored::Compact(_, bytes) => bytes.is_empty(),
        Stored::Large(large) => large.is_empty(),
    }
}

/// Fields removed between two looks at the caller's clock.
const SLICE: usize = 64;
/// When to look again at a hash that is lent.
const LENT_RETRY_MS: i64 = 100;
