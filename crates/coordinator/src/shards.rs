//! Sets of shards, as bits: copied freely, walked in ascending order, never allocated. A summary tells which words
//! have bits, so that small sets cost the same however many shards there may be.

use stdx::ShardId;

/// How many shards one process may have.
pub const SHARDS_MAX: usize = 1024;

const WORDS: usize = SHARDS_MAX / 64;

/// A set of shards below [`SHARDS_MAX`].
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct ShardSet {
    /// Bit w: `words[w]` is not zero.
    summary: u16,
    len: u16,
    words: [u64; WORDS],
}

const _: () = assert!(WORDS <= u16::BITS as usize);

impl ShardSet {
    /// The set of none.
    pub const EMPTY: Self = Self { summary: 0, len: 0, words: [0; WORDS] };

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
        let (word, bit) = (shard.index() / 64, 1 << (shard.index() % 64));
        self.len += u16::from(self.words[word] & bit == 0);
        self.words[word] |= bit;
        self.summary |= 1 << word;
    }

    /// Takes `shard` out; says whether it was in.
    #[inline]
    pub fn remove(&mut self, shard: ShardId) -> bool {
        let (word, bit) = (shard.index() / 64, 1 << (shard.index() % 64));
        let was_in = self.words[word] & bit != 0;
        self.words[word] &= !bit;
        self.len -= u16::from(was_in);
        if self.words[word] == 0 {
            self.summary &= !(1 << word);
        }
        was_in
    }

    /// Whether `shard` is in.
    #[inline]
    pub fn contains(&self, shard: ShardId) -> bool {
        self.words[shard.index() / 64] >> (shard.index() % 64) & 1 == 1
    }

    /// How many are in.
    #[inline]
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether none is in.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Those that are not in `other`.
    pub fn without(&self, other: &Self) -> Self {
        self.iter().filter(|shard| !other.contains(*shard)).collect()
    }

    /// The lowest.
    #[inline]
    pub fn first(&self) -> Option<ShardId> {
        let word = bits(self.summary).next()?;
        Some(ShardId((word * 64) as u16 + self.words[word].trailing_zeros() as u16))
    }

    /// Takes the lowest out.
    #[inline]
    pub fn pop_first(&mut self) -> Option<ShardId> {
        let first = self.first()?;
        self.remove(first);
        Some(first)
    }

    /// The lowest that is not in `other`.
    pub fn first_outside(&self, other: &Self) -> Option<ShardId> {
        bits(self.summary).find_map(|word| {
            let outside = self.words[word] & !other.words[word];
            (outside != 0).then(|| ShardId((word * 64) as u16 + outside.trailing_zeros() as u16))
        })
    }

    /// Moves those whose number is higher than `shard`'s to `other`.
    pub fn move_above(&mut self, shard: ShardId, other: &mut Self) {
        for word in bits(self.summary).skip_while(|&word| word < shard.index() / 64) {
            while self.words[word] != 0 {
                let last = ShardId((word * 64) as u16 + 63 - self.words[word].leading_zeros() as u16);
                if last <= shard {
                    break;
                }
                self.remove(last);
                other.insert(last);
            }
        }
    }

    /// In ascending order.
    pub fn iter(&self) -> impl Iterator<Item = ShardId> {
        let mut rest = *self;
        std::iter::from_fn(move || rest.pop_first())
    }
}

/// The places of the bits that are set, ascending.
#[inline]
fn bits(mut summary: u16) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lowest = (summary != 0).then(|| summary.trailing_zeros() as usize);
        summary &= summary.wrapping_sub(1);
        lowest
    })
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
    fn the_first_outside_another_set() {
        let check = |all: &[u16], other: &[u16], want: Option<u16>| {
            assert_eq!(set(all).first_outside(&set(other)), want.map(ShardId), "{all:?} without {other:?}");
        };
        check(&[1, 2, 90], &[], Some(1));
        check(&[1, 2, 90], &[1, 3], Some(2));
        check(&[1, 2, 90], &[1, 2, 91], Some(90));
        check(&[1, 2, 90], &[1, 2, 90, 91], None);
        check(&[], &[1], None);
        assert_eq!(ShardSet::EMPTY.first(), None);
    }

    #[test]
    fn those_above_move() {
        let check = |all: &[u16], shard: u16, stay: &[u16], go: &[u16]| {
            let (mut from, mut to) = (set(all), set(&[999]));
            from.move_above(ShardId(shard), &mut to);
            to.remove(ShardId(999));
            assert_eq!((from, to), (set(stay), set(go)), "{all:?} above {shard}");
            assert_eq!((from.len(), to.len()), (stay.len(), go.len()));
        };
        check(&[1, 2, 3, 63, 64, 900], 2, &[1, 2], &[3, 63, 64, 900]);
        check(&[1, 2, 64], 63, &[1, 2], &[64]);
        check(&[1, 2, 64, 65], 64, &[1, 2, 64], &[65]);
        check(&[1, 2], 2, &[1, 2], &[]);
        check(&[], 0, &[], &[]);
    }

    #[test]
    fn those_outside_another_set() {
        assert_eq!(set(&[0, 63, 64, 700]).without(&set(&[63, 700, 1023])), set(&[0, 64]));
        assert_eq!(set(&[5]).without(&set(&[5])), ShardSet::EMPTY);
    }

    #[test]
    fn removing_says_whether_it_was_in() {
        let mut one = ShardSet::one(ShardId(65));
        one.insert(ShardId(65));
        assert_eq!(one.len(), 1);
        assert!(one.remove(ShardId(65)));
        assert!(!one.remove(ShardId(65)));
        assert!(one.is_empty());
    }
}
