//! Fetching the memory of several keys at once, before commands need it one after the other.
//!
//! A lookup reads four places, each of which says where the next one is: the slot, the table's control bytes, the bucket and
//! the entry. For one key the processor waits four times; for the keys of a pipeline the waits overlap.

use crate::keyspace::Keyspace;
use crate::types::Key;
use stdx::DbIndex;

impl Keyspace {
    /// Brings the entries of `keys` near, those that there are. Changes nothing that can be seen.
    pub fn prefetch<'k>(&self, db: DbIndex, keys: impl Iterator<Item = Key<'k>> + Clone) {
        let Some(db) = self.dbs.get(db.index()).filter(|db| db.dict.len() > WORTH_IT_KEYS) else { return };
        for key in keys.clone() {
            db.prefetch_slot(key.slot);
        }
        for key in keys {
            if let Some(entry) = db.peek(key.slot, self.hasher.hash(key.bytes)) {
                entry.prefetch();
            }
        }
    }
}

/// With fewer keys than this a database is in the cache anyway.
const WORTH_IT_KEYS: usize = 4096;
