//! The hash of an element: foldhash, keyed for the process.

use foldhash::{SharedSeed, quality::FoldHasher};
use std::hash::Hasher;
use std::sync::OnceLock;

static KEYS: OnceLock<Keys> = OnceLock::new();

struct Keys {
    seed: u64,
    shared: SharedSeed,
}

impl Keys {
    fn new(seed: u64) -> Self {
        Self { seed, shared: SharedSeed::from_u64(seed) }
    }
}

/// Keys the hash for this process: a server calls it at its start, with a number that nobody can guess, for whoever
/// knows the hash can choose elements that agree in it. False: something has been hashed already, and the hash stays
/// as it was. Where this is never called, in tests and tools, hashes are the same in every run.
pub fn set_seed(seed: u64) -> bool {
    KEYS.set(Keys::new(seed)).is_ok()
}

/// 64 bits, all of them good, and the same for all tables of the process.
#[inline]
pub fn hash(bytes: &[u8]) -> u64 {
    let keys = KEYS.get_or_init(|| Keys::new(0));
    let mut hasher = FoldHasher::with_seed(keys.seed, &keys.shared);
    hasher.write(bytes);
    hasher.finish()
}
