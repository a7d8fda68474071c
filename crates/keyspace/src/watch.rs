//! Versions of watched keys (WATCH), and which awaited keys have changed (blocking commands). A key that nobody watches or
//! awaits costs nothing.

use crate::types::{Changed, Version};
use hashbrown::HashTable;
use std::collections::VecDeque;
use stdx::DbIndex;

/// The keys being watched or awaited, in all databases.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    table: HashTable<Watched>,
    /// Versions are drawn from one counter, so that a key watched anew never shows an old version.
    last: u64,
    /// Awaited keys that have changed, in that order, each once.
    changed: VecDeque<Changed>,
    awaited: usize,
}

#[derive(Debug)]
struct Watched {
    db: DbIndex,
    hash: u64,
    key: Box<[u8]>,
    version: u64,
    watchers: u32,
    awaited: bool,
    /// Whether it is listed as changed.
    is_listed: bool,
}

impl Watched {
    fn list(&mut self, changed: &mut VecDeque<Changed>) {
        if self.awaited && !std::mem::replace(&mut self.is_listed, true) {
            changed.push_back(Changed { db: self.db, key: self.key.clone() });
        }
    }
}

impl Watches {
    /// Whether no key is watched: all that unwatched writes pay.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    pub(crate) fn watch(&mut self, db: DbIndex, hash: u64, key: &[u8]) -> Version {
        let version = match self.find(db, hash, key) {
            Some(watched) => {
                watched.watchers += 1;
                watched.version
            }
            None => {
                let watched = self.insert(db, hash, key);
                watched.watchers = 1;
                watched.version
            }
        };
        Version(version)
    }

    /// The version of a watched key; 0 when it is not watched.
    pub(crate) fn version(&self, db: DbIndex, hash: u64, key: &[u8]) -> Version {
        let found = self.table.find(hash, |watched| watched.db == db && *watched.key == *key);
        Version(found.map_or(0, |watched| watched.version))
    }

    pub(crate) fn unwatch(&mut self, db: DbIndex, hash: u64, key: &[u8]) {
        let Ok(mut place) = self.table.find_entry(hash, |watched| watched.db == db && *watched.key == *key)
        else {
            return;
        };
        place.get_mut().watchers -= 1;
        if place.get().watchers == 0 && !place.get().awaited {
            place.remove();
        }
        if self.table.is_empty() {
            self.table = HashTable::new();
        }
    }

    /// Lists the key when it changes, until [`Watches::forget`].
    pub(crate) fn await_key(&mut self, db: DbIndex, hash: u64, key: &[u8]) {
        if self.find(db, hash, key).is_none() {
            self.insert(db, hash, key);
        }
        let watched = self.find(db, hash, key).expect("there or just inserted");
        let was_awaited = std::mem::replace(&mut watched.awaited, true);
        self.awaited += usize::from(!was_awaited);
    }

    /// Nobody awaits the key any longer. It may still be listed.
    pub(crate) fn forget(&mut self, db: DbIndex, hash: u64, key: &[u8]) {
        let Ok(mut place) = self.table.find_entry(hash, |watched| watched.db == db && *watched.key == *key)
        else {
            return;
        };
        let watched = place.get_mut();
        self.awaited -= usize::from(std::mem::take(&mut watched.awaited));
        watched.is_listed = false;
        if watched.watchers == 0 {
            place.remove();
        }
        if self.table.is_empty() {
            self.table = HashTable::new();
        }
    }

    /// How many keys are awaited.
    pub(crate) fn awaited(&self) -> usize {
        self.awaited
    }

    #[inline]
    pub(crate) fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// The awaited key that changed first; `hash` computes its hash.
    pub(crate) fn take_changed(&mut self, hash: impl FnOnce(&[u8]) -> u64) -> Option<Changed> {
        let first = self.changed.pop_front()?;
        if let Some(watched) = self.find(first.db, hash(&first.key), &first.key) {
            watched.is_listed = false;
        }
        Some(first)
    }

    /// Lists an awaited key as changed, though it has not.
    pub(crate) fn list(&mut self, db: DbIndex, hash: u64, key: &[u8]) {
        let found = self.table.find_mut(hash, |watched| watched.db == db && *watched.key == *key);
        if let Some(watched) = found {
            watched.list(&mut self.changed);
        }
    }

    /// Lists a key as though it had changed before all others.
    pub(crate) fn put_back(&mut self, changed: Changed, hash: u64) {
        if let Some(watched) = self.find(changed.db, hash, &changed.key) {
            if watched.is_listed {
                // It has changed again since: it was first then as well.
                self.changed.retain(|other| *other != changed);
            } else {
                watched.is_listed = true;
            }
            self.changed.push_front(changed);
        }
    }

    /// The key has changed.
    #[cold]
    pub(crate) fn bump(&mut self, db: DbIndex, hash: u64, key: &[u8]) {
        self.last += 1;
        let version = self.last;
        let found = self.table.find_mut(hash, |watched| watched.db == db && *watched.key == *key);
        if let Some(watched) = found {
            watched.version = version;
            watched.list(&mut self.changed);
        }
    }

    /// All watched keys of `db` for which `changed` says so (given key and hash) have changed.
    pub(crate) fn bump_where(&mut self, db: DbIndex, mut changed: impl FnMut(&[u8], u64) -> bool) {
        self.last += 1;
        for watched in self.table.iter_mut().filter(|watched| watched.db == db) {
            if changed(&watched.key, watched.hash) {
                watched.version = self.last;
                watched.list(&mut self.changed);
            }
        }
    }

    fn insert(&mut self, db: DbIndex, hash: u64, key: &[u8]) -> &mut Watched {
        self.last += 1;
        let watched = Watched {
            db,
            hash,
            key: key.into(),
            version: self.last,
            watchers: 0,
            awaited: false,
            is_listed: false,
        };
        self.table.insert_unique(hash, watched, |watched| watched.hash).into_mut()
    }

    /// How many keys are watched. Counts them.
    pub(crate) fn watched(&self) -> usize {
        self.table.iter().filter(|watched| watched.watchers > 0).count()
    }

    fn find(&mut self, db: DbIndex, hash: u64, key: &[u8]) -> Option<&mut Watched> {
        self.table.find_mut(hash, |watched| watched.db == db && *watched.key == *key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::KeyHasher;

    #[test]
    fn a_key_is_remembered_while_somebody_watches_it() {
        let hasher = KeyHasher::new(1);
        let (db, hash) = (DbIndex(0), hasher.hash(b"k"));
        let mut watches = Watches::default();
        let first = watches.watch(db, hash, b"k");
        assert_eq!(watches.watch(db, hash, b"k"), first);
        watches.bump(db, hash, b"k");
        let second = watches.version(db, hash, b"k");
        assert_ne!(second, first);
        watches.unwatch(db, hash, b"k");
        assert_eq!(watches.version(db, hash, b"k"), second);
        watches.unwatch(db, hash, b"k");
        assert!(watches.is_empty());
        let again = watches.watch(db, hash, b"k");
        assert!(again != first && again != second);
        assert_eq!(watches.watched(), 1);
    }

    #[test]
    fn an_awaited_key_is_listed_once_when_it_changes() {
        let hasher = KeyHasher::new(1);
        let (db, hash) = (DbIndex(0), |key: &[u8]| hasher.hash(key));
        let mut watches = Watches::default();
        for key in [b"a", b"b"] {
            watches.await_key(db, hash(key), key);
            watches.await_key(db, hash(key), key);
        }
        watches.watch(db, hash(b"c"), b"c");
        assert_eq!(watches.awaited(), 2);
        for key in [b"c", b"b", b"a", b"b"] {
            watches.bump(db, hash(key), key);
        }
        let first = watches.take_changed(hash).expect("b changed first");
        assert_eq!(&*first.key, b"b");
        watches.bump(db, hash(b"b"), b"b");
        watches.put_back(first.clone(), hash(b"b"));
        assert_eq!(watches.take_changed(hash), Some(first));
        assert_eq!(watches.take_changed(hash).map(|changed| changed.key), Some((*b"a").into()));
        assert_eq!(watches.take_changed(hash), None);
        watches.forget(db, hash(b"a"), b"a");
        watches.bump(db, hash(b"a"), b"a");
        assert!(!watches.has_changed());
        assert_eq!((watches.awaited(), watches.watched(), watches.table.len()), (1, 1, 2));
    }
}
