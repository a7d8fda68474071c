//! Identifiers and units, each its own type so that they cannot be mixed up.

use std::fmt;

use crate::rng::Rng;

/// One shard, which is one core: 0 to cores - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ShardId(pub u16);

impl ShardId {
    /// As an index into per-shard tables.
    #[inline]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One connection, unique in the life of the process, as CLIENT ID prints it. Its low 16 bits need not mean
/// anything; ids rise with time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ClientId(pub u64);

/// One of the numbered databases (SELECT).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct DbIndex(pub u16);

impl DbIndex {
    /// As an index into the table of databases.
    #[inline]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Milliseconds since the Unix epoch; the only clock that the keyspace knows, always passed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixMs(pub i64);

/// A random name of 40 hexadecimal digits, as `run_id` and replication ids are.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RunId([u8; 40]);

impl RunId {
    /// A new one; two of them are different as far as `rng` was seeded differently.
    pub fn random(rng: &mut Rng) -> Self {
        Self(std::array::from_fn(|_| b"0123456789abcdef"[rng.index(16)]))
    }

    /// Its 40 digits.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("hexadecimal digits are ASCII")
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_ids_are_40_hexadecimal_digits_and_differ() {
        let mut rng = Rng::new(1);
        let (a, b) = (RunId::random(&mut rng), RunId::random(&mut rng));
        assert_eq!(a.as_str().len(), 40);
        assert!(a.as_str().bytes().all(|byte| b"0123456789abcdef".contains(&byte)));
        assert_ne!(a, b);
    }
}
