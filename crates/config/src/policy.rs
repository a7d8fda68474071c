//! `maxmemory-policy`.

/// Which keys may be evicted when memory is full, and in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum MaxmemoryPolicy {
    /// None: writes that need memory answer an OOM error.
    #[default]
    NoEviction,
    /// Any key, least recently used first.
    AllKeysLru,
    /// Any key, least frequently used first.
    AllKeysLfu,
    /// Any key, at random.
    AllKeysRandom,
    /// Keys with an expiry, least recently used first.
    VolatileLru,
    /// Keys with an expiry, least frequently used first.
    VolatileLfu,
    /// Keys with an expiry, at random.
    VolatileRandom,
    /// Keys with an expiry, soonest to expire first.
    VolatileTtl,
}

impl MaxmemoryPolicy {
    /// Whether it asks when or how often a key was used, so that this is kept where keys are saved.
    pub fn asks_for_use(self) -> bool {
        use MaxmemoryPolicy::{AllKeysLfu, AllKeysLru, VolatileLfu, VolatileLru};
        matches!(self, AllKeysLru | AllKeysLfu | VolatileLru | VolatileLfu)
    }
}
