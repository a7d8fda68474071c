//! The hash of a key: foldhash, keyed for the process.

use datatypes::segments::Hashes;
use foldhash::{SharedSeed, quality::FoldHasher};
use std::hash::Hasher;

/// Hashes keys. Every shard of a process is given the same seed, so that an entry may move between shards.
#[derive(Clone, Debug)]
pub(crate) struct KeyHasher {
    seed: u64,
    shared: SharedSeed,
}

impl KeyHasher {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, shared: SharedSeed::from_u64(seed) }
    }

    /// 64 bits, all of them good: the top ones order a slot's keys and choose the segment, the next the bucket.
    #[inline]
    pub(crate) fn hash(&self, key: &[u8]) -> u64 {
        let mut hasher = FoldHasher::with_seed(self.seed, &self.shared);
        hasher.write(key);
        hasher.finish()
    }
}

impl Hashes for KeyHasher {
    #[inline]
    fn hash(&self, key: &[u8]) -> u64 {
        self.hash(key)
    }
}

/// A small generator (splitmix64) for samples and for LFU's logarithmic counter. Not for secrets.
#[derive(Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    #[inline]
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not 0.
    #[inline]
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}
