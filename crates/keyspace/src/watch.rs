//! Versions of watched keys. A key that nobody watches costs nothing.

use crate::types::Version;
use hashbrown::HashTable;
use stdx::DbIndex;

/// The keys being watched, in all databases.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    table: HashTable<Watched>,
    /// Versions are drawn from one counter, so that a key watched anew never shows an old version.
    last: u64,
}

#[derive(Debug)]
struct Watched {
    db: DbIndex,
    hash: u64,
    key: Box<[u8]>,
    version: u64,
    watchers: u32,
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
                self.last += 1;
                let version = self.last;
                let watched = Watched { db, hash, key: key.into(), version, watchers: 1 };
                self.table.insert_unique(hash, watched, |watched| watched.hash);
                version
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
        if place.get().watchers == 0 {
            place.remove();
        }
        if self.table.is_empty() {
            self.table = HashTable::new();
        }
    }

    /// The key has changed.
    #[cold]
    pub(crate) fn bump(&mut self, db: DbIndex, hash: u64, key: &[u8]) {
        self.last += 1;
        let version = self.last;
        if let Some(watched) = self.find(db, hash, key) {
            watched.version = version;
        }
    }

    /// All watched keys of `db` for which `changed` says so (given key and hash) have changed.
    pub(crate) fn bump_where(&mut self, db: DbIndex, mut changed: impl FnMut(&[u8], u64) -> bool) {
        self.last += 1;
        for watched in self.table.iter_mut().filter(|watched| watched.db == db) {
            if changed(&watched.key, watched.hash) {
                watched.version = self.last;
            }
        }
    }

    /// Bytes that the table and the keys take.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.table.len()
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
        assert_eq!(watches.len(), 1);
    }
}
