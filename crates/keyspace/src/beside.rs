//! A second keyspace beside the first: filled while the first is served, and then put in its place, or dropped.

use crate::db::Db;
use crate::keyspace::Keyspace;
use crate::types::Key;
use stdx::{DbIndex, UnixMs};

impl Keyspace {
    /// An empty keyspace for the same keys, with the same hash function and the same idea of how values are kept. Fill it with
    /// [`Keyspace::load`].
    pub fn beside(&self) -> Self {
        let mut beside = Self::new(self.slots.clone(), self.databases(), 0);
        beside.hasher = self.hasher.clone();
        beside.clock = self.clock;
        beside.limits = self.limits;
        beside
    }

    /// Takes all data of `beside` in the place of its own, in constant time for each database; the memory of what was there comes
    /// back through [`Keyspace::reclaim`]. Watched keys that existed, or that exist now and have not expired, have changed. Nothing
    /// is counted in `dirty`, and nobody is told.
    ///
    /// No capture may be open: what is captured is of one dataset.
    pub fn exchange(&mut self, beside: Self, now: UnixMs) {
        assert!(self.capture.is_none(), "nothing is captured while the data is replaced");
        assert!(self.slots == beside.slots && self.dbs.len() == beside.dbs.len(), "it is for the same keys");
        self.used = beside.used;
        let before = std::mem::replace(&mut self.dbs, beside.dbs);
        if !self.watches.is_empty() {
            for ((before, after), db) in before.iter().zip(&self.dbs).zip(0..) {
                self.watches.bump_where(DbIndex(db), |key, hash| {
                    let key = Key::new(key);
                    let comes = after.find(key, hash).is_some_and(|entry| !entry.due(now));
                    comes || before.find(key, hash).is_some()
                });
            }
        }
        self.expire_db = 0;
        self.pool.clear();
        self.bury_all(before);
    }

    /// Drops what came beside; its memory comes back through [`Keyspace::reclaim`].
    pub fn bury_beside(&mut self, beside: Self) {
        self.bury_all(beside.dbs);
    }

    fn bury_all(&mut self, dbs: Vec<Db>) {
        dbs.into_iter().for_each(|db| self.graveyard.bury(db));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::LoadedValue;
    use crate::types::{Access, NewString, Ttl};

    const NOW: UnixMs = UnixMs(1_700_000_000_000);

    fn key(name: &str) -> Key<'_> {
        Key::new(name.as_bytes())
    }

    fn set(keyspace: &mut Keyspace, db: u16, name: &str) {
        keyspace.set_string(DbIndex(db), key(name), NewString::Bytes(b"v"), Ttl::Clear, NOW);
    }

    fn load(keyspace: &mut Keyspace, db: u16, name: &str) {
        let value = LoadedValue::Owned(vec![b'x'; 100_000]);
        assert!(keyspace.load(DbIndex(db), key(name), value, Some(UnixMs(NOW.0 + 5)), None, NOW));
    }

    fn has(keyspace: &mut Keyspace, db: u16, name: &str) -> bool {
        keyspace.find(DbIndex(db), key(name), NOW, Access::Peek).is_some()
    }

    #[test]
    fn what_came_beside_is_all_there_is_after_the_exchange() {
        let mut keyspace = Keyspace::new(0..16384, 2, 7);
        let empty = keyspace.used_bytes();
        for name in 0..1000 {
            set(&mut keyspace, 1, &format!("old:{name}"));
        }
        let mut beside = keyspace.beside();
        load(&mut beside, 0, "new");
        assert!(has(&mut keyspace, 1, "old:7") && !has(&mut keyspace, 0, "new"));
        let used = beside.used_bytes();
        keyspace.stats.dirty = 0;
        keyspace.exchange(beside, NOW);
        assert!(!has(&mut keyspace, 1, "old:7") && has(&mut keyspace, 0, "new"));
        assert_eq!((keyspace.len(DbIndex(0)), keyspace.len(DbIndex(1))), (1, 0));
        assert_eq!((keyspace.used_bytes(), keyspace.stats.dirty), (used, 0));
        assert_eq!(keyspace.expiring(DbIndex(0)), 1);
        keyspace.audit();
        assert!(keyspace.unreclaimed_bytes() > 0, "it is freed in slices");
        assert!(!keyspace.reclaim(&mut || true));
        assert_eq!(keyspace.stats.lazyfreed, 1000);
        assert!(keyspace.remove(DbIndex(0), key("new"), NOW));
        keyspace.audit();
        assert_eq!(Keyspace::new(0..16384, 2, 7).used_bytes(), empty);
    }

    #[test]
    fn what_is_dropped_leaves_what_is_there_alone() {
        let mut keyspace = Keyspace::new(0..16384, 2, 7);
        set(&mut keyspace, 0, "old");
        let used = keyspace.used_bytes();
        let mut beside = keyspace.beside();
        load(&mut beside, 1, "new");
        keyspace.bury_beside(beside);
        assert!(has(&mut keyspace, 0, "old") && !has(&mut keyspace, 1, "new"));
        assert_eq!(keyspace.used_bytes(), used);
        assert!(!keyspace.reclaim(&mut || true));
        keyspace.audit();
    }

    #[test]
    fn keys_that_are_watched_have_changed_if_they_were_there_or_are_now() {
        let mut keyspace = Keyspace::new(0..16384, 2, 7);
        set(&mut keyspace, 0, "goes");
        set(&mut keyspace, 1, "comes");
        let names = ["goes", "comes", "never"];
        let before = names.map(|name| keyspace.watch(DbIndex(0), key(name)));
        keyspace.await_key(DbIndex(0), b"comes");
        let mut beside = keyspace.beside();
        load(&mut beside, 0, "comes");
        keyspace.exchange(beside, NOW);
        let after = names.map(|name| keyspace.version(DbIndex(0), key(name)));
        let changed: Vec<bool> = before.iter().zip(&after).map(|(before, after)| before != after).collect();
        assert_eq!(changed, [true, true, false]);
        assert_eq!(keyspace.take_changed().map(|changed| changed.key), Some((*b"comes").into()));
    }
}
