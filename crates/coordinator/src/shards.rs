//! Sets of shards, as bits: copied freely, walked in ascending order, never allocated.

use std::ops::{BitOr, Sub};

use stdx::ShardId;

/// How many shards one process may have.
pub const SHARDS_MAX: usize = 1024;

const WORDS: usize = SHARDS_MAX / 64;

/// A set of shards below [`SHARDS_MAX`].
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct ShardSet {
    words: [u64; WORDS],
}

impl ShardSet {
    /// The set of none.
    pub const EMPTY: Self = Self { words: [0; WORDS] };

    /// The set of one.
    pub fn one(shard: ShardId) -> Self {
        let mut set = Self::EMPTY;
        set.insert(shard);
        set
    }

    /// Shards 0 to `count` - 1.
    pub fn all(count: u16) -> Self {
        (0..count).map(ShardId).collect()
    }

    /// Adds `shard`; panics at [`SHARDS_MAX`] and above.
    #[inline]
    pub fn insert(&mut self, shard: ShardId) {
        self.words[shard.index() / 64] |= 1 << (shard.index() % 64);
    }

    /// Takes `shard` out; says whether it was in.
    #[inline]
    pub fn remove(&mut self, shard: ShardId) -> bool {
        let was_in = self.contains(shard);
        self.words[shard.index() / 64] &= !(1 << (shard.index() % 64));
        was_in
    }

    /// Whether `shard` is in.
    #[inline]
    pub fn contains(&self, shard: ShardId) -> bool {
        self.words[shard.index() / 64] >> (shard.index() % 64) & 1 == 1
    }

    /// How many are in.
    pub fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether none is in.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|&word| word == 0)
    }

    /// The lowest.
    pub fn first(&self) -> Option<ShardId> {
        let word = self.words.iter().position(|&word| word != 0)?;
        Some(ShardId((word * 64) as u16 + self.words[word].trailing_zeros() as u16))
    }

    /// Takes the lowest out.
    pub fn pop_first(&mut self) -> Option<ShardId> {
        let first = self.first()?;
        self.remove(first);
        Some(first)
    }

    /// Those whose number is higher than `shard`'s.
    pub fn above(&self, shard: ShardId) -> Self {
        self.iter().filter(|&member| member > shard).collect()
    }

    /// In ascending order.
    pub fn iter(&self) -> impl Iterator<Item = ShardId> {
        let mut rest = *self;
        std::iter::from_fn(move || rest.pop_first())
    }
}

impl FromIterator<ShardId> for ShardSet {
    fn from_iter<I: IntoIterator<Item = ShardId>>(shards: I) -> Self {
        let mut set = Self::EMPTY;
        for shard in shards {
            set.insert(shard);
        }
        set
    }
}

impl BitOr for ShardSet {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self { words: std::array::from_fn(|word| self.words[word] | other.words[word]) }
    }
}

impl Sub for ShardSet {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self { words: std::array::from_fn(|word| self.words[word] & !other.words[word]) }
    }
}

impl std::fmt::Debug for ShardSet {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_set().entries(self.iter().map(|shard| shard.0)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(shards: &[u16]) -> ShardSet {
        shards.iter().copied().map(ShardId).collect()
    }

    #[test]
    fn walks_upwards_across_words() {
        let walked: Vec<u16> = set(&[700, 3, 64, 63, 1023]).iter().map(|shard| shard.0).collect();
        assert_eq!(walked, [3, 63, 64, 700, 1023]);
        assert_eq!(set(&[700, 3, 64]).len(), 3);
        assert_eq!(ShardSet::all(130).len(), 130);
    }

    #[test]
    fn unions_differences_and_those_above() {
        assert_eq!(set(&[1, 2]) | set(&[2, 90]), set(&[1, 2, 90]));
        assert_eq!(set(&[1, 2, 90]) - set(&[2, 5]), set(&[1, 90]));
        assert_eq!(set(&[1, 2, 90]).above(ShardId(2)), set(&[90]));
        assert_eq!(ShardSet::EMPTY.first(), None);
    }

    #[test]
    fn removing_says_whether_it_was_in() {
        let mut one = ShardSet::one(ShardId(65));
        assert!(one.remove(ShardId(65)));
        assert!(!one.remove(ShardId(65)));
        assert!(one.is_empty());
    }
}
