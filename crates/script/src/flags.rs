//! What a script or function says of itself: `no-writes` and its kin.

/// A set of flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScriptFlags(u8);

impl ScriptFlags {
    /// It writes nothing, and may run where writes may not.
    pub const NO_WRITES: Self = Self(1);
    /// It may run when memory is full.
    pub const ALLOW_OOM: Self = Self(1 << 1);
    /// It may run on a replica that has lost its master.
    pub const ALLOW_STALE: Self = Self(1 << 2);
    /// It is not to run in a cluster.
    pub const NO_CLUSTER: Self = Self(1 << 3);
    /// Its keys may be of different slots.
    pub const ALLOW_CROSS_SLOT: Self = Self(1 << 4);
    /// It has no first line that says: a script as they were before Redis 7, judged by what it does.
    pub const UNSAID: Self = Self(1 << 5);

    /// By name, in the order in which FUNCTION LIST names them.
    pub const NAMES: &[(&'static str, Self)] = &[
        ("no-writes", Self::NO_WRITES),
        ("allow-oom", Self::ALLOW_OOM),
        ("allow-stale", Self::ALLOW_STALE),
        ("no-cluster", Self::NO_CLUSTER),
        ("allow-cross-slot-keys", Self::ALLOW_CROSS_SLOT),
    ];

    /// Whether all of `other` is in this set.
    #[inline]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets together.
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The flag of this name.
    pub(crate) fn named(name: &[u8]) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| known.as_bytes() == name).map(|(_, flag)| *flag)
    }

    /// The names of the flags in this set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.iter().filter(move |(_, flag)| self.has(*flag)).map(|(name, _)| *name)
    }
}
