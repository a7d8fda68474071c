//! Whether a key is in a file twice, which a start would refuse: told by 64 bits of each name, without the names themselves.

use foldhash::quality::FixedState;
use std::hash::{BuildHasher, RandomState};
use stdx::DbIndex;

/// The names of keys that were read: 8 bytes of each.
pub(crate) struct Names {
    hash: FixedState,
    /// By the lowest bits, so that each part is sorted in a cache.
    parts: Vec<Vec<u64>>,
}

impl Names {
    /// None so far. Two names that are different are taken for one by chance, of 10 million once in 400,000 times: with other names the next
    /// time, for the seed is another.
    pub(crate) fn new() -> Self {
        let hash = FixedState::with_seed(RandomState::new().hash_one(()));
        Self { hash, parts: vec![Vec::new(); PARTS] }
    }

    /// Adds one.
    pub(crate) fn add(&mut self, db: DbIndex, name: &[u8]) {
        let hash = self.hash.hash_one((db.0, name));
        self.parts[hash as usize % PARTS].push(hash);
    }

    /// Whether one was added twice.
    pub(crate) fn has_twice(&mut self) -> bool {
        self.parts.iter_mut().any(|part| {
            part.sort_unstable();
            part.windows(2).any(|pair| pair[0] == pair[1])
        })
    }
}

/// What is said of a file that has one.
pub(crate) const TWICE: &str = "a key is there twice";
/// Ten million names make parts of 80 KB.
const PARTS: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_there_twice_in_one_database_only() {
        let mut names = Names::new();
        assert!(!names.has_twice());
        for number in 0..100_000u32 {
            names.add(DbIndex(0), &number.to_le_bytes());
            names.add(DbIndex(1), &number.to_le_bytes());
        }
        assert!(!names.has_twice());
        names.add(DbIndex(1), &70_000u32.to_le_bytes());
        assert!(names.has_twice());
    }
}
