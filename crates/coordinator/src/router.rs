//! Which shard owns a key. Slots are dealt to shards in contiguous ranges of equal length (within one slot), so
//! that a shard's slots are a range, and keys with one hash tag are on one shard everywhere.

use std::ops::Range;

use stdx::{Args, SLOTS, ShardId, Slot};

use crate::shards::{SHARDS_MAX, ShardSet};

/// The map from slots to shards: fixed for the life of the process.
#[derive(Clone, Copy, Debug)]
pub struct Router {
    shards: u16,
}

impl Router {
    /// `shards` is 1 to [`SHARDS_MAX`]; panics outside.
    pub fn new(shards: u16) -> Self {
        assert!((1..=SHARDS_MAX).contains(&(shards as usize)), "{shards} shards: want 1 to {SHARDS_MAX}");
        Self { shards }
    }

    /// How many shards there are.
    pub fn shards(self) -> u16 {
        self.shards
    }

    /// The shard that owns `slot`.
    #[inline]
    pub fn shard_of(self, slot: Slot) -> ShardId {
        ShardId((slot.index() * self.shards as usize / SLOTS) as u16)
    }

    /// The shard that owns `key`.
    #[inline]
    pub fn shard_of_key(self, key: &[u8]) -> ShardId {
        if self.shards == 1 { ShardId(0) } else { self.shard_of(Slot::of(key)) }
    }

    /// The slots of `shard`.
    pub fn slots_of(self, shard: ShardId) -> Range<u16> {
        let bound = |index: usize| (index * SLOTS).div_ceil(self.shards as usize) as u16;
        bound(shard.index())..bound(shard.index() + 1)
    }

    /// Deals the keys of a command to their shards. `positions` are the places of the keys in `args`, in order; one
    /// past the end of `args` panics. `dealt` is filled only when the answer is `Several`; keep one per connection
    /// or core, and nothing is allocated in the steady state.
    #[inline]
    pub fn partition(
        self,
        args: Args<'_>,
        positions: impl Iterator<Item = usize> + Clone,
        dealt: &mut Partition,
    ) -> Route {
        dealt.keys.clear();
        let mut shards = positions.clone().map(|position| self.shard_of_key(args.at(position)));
        let Some(first) = shards.next() else { return Route::Keyless };
        if shards.all(|shard| shard == first) {
            return Route::One(first);
        }
        dealt.fill(positions.map(|position| (self.shard_of_key(args.at(position)), position as u32)));
        Route::Several
    }
}

/// Where a command's keys live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// It names no key.
    Keyless,
    /// All on this shard.
    One(ShardId),
    /// On several: see the [`Partition`].
    Several,
}

/// The keys of one command, grouped by shard. A buffer to be used again.
#[derive(Debug, Default)]
pub struct Partition {
    /// Sorted by shard, then by position.
    keys: Vec<(ShardId, u32)>,
}

impl Partition {
    /// The shards in ascending order, each with the positions of its keys in the command, in the command's order.
    pub fn groups(&self) -> impl Iterator<Item = Group<'_>> {
        self.keys.chunk_by(|left, right| left.0 == right.0).map(|keys| Group { keys })
    }

    /// The shards that have a key.
    pub fn shards(&self) -> ShardSet {
        self.groups().map(|group| group.shard()).collect()
    }

    fn fill(&mut self, keys: impl Iterator<Item = (ShardId, u32)>) {
        self.keys.extend(keys);
        self.keys.sort_unstable();
        self.keys.shrink_to(KEPT_KEYS_MAX.max(self.keys.len()));
    }
}

/// One shard's keys of a command.
#[derive(Clone, Copy, Debug)]
pub struct Group<'a> {
    keys: &'a [(ShardId, u32)],
}

impl<'a> Group<'a> {
    /// The shard that owns them.
    pub fn shard(self) -> ShardId {
        self.keys[0].0
    }

    /// Their positions in the command, ascending.
    pub fn positions(self) -> impl ExactSizeIterator<Item = usize> + 'a {
        self.keys.iter().map(|key| key.1 as usize)
    }
}

/// How many keys' room a [`Partition`] keeps for the next command: 64 KiB.
const KEPT_KEYS_MAX: usize = 8192;

#[cfg(test)]
mod tests {
    use stdx::args::OwnedArgs;

    use super::*;

    #[test]
    fn every_slot_is_in_its_shards_range_and_ranges_are_even() {
        for shards in [1, 2, 3, 5, 7, 48, 128, 1000, 1024] {
            let router = Router::new(shards);
            let mut next = 0;
            for shard in (0..shards).map(ShardId) {
                let range = router.slots_of(shard);
                assert_eq!(range.start, next, "{shards} shards, {shard:?}");
                assert!(range.clone().all(|slot| router.shard_of(Slot::new(slot)) == shard));
                assert!((range.len()).abs_diff(SLOTS / shards as usize) <= 1);
                next = range.end;
            }
            assert_eq!(next as usize, SLOTS);
        }
    }

    /// `positions` of `parts` on four shards, as `(route, [(shard, positions)])`.
    fn dealt(parts: &[&str], positions: &[usize]) -> (Route, Vec<(u16, Vec<usize>)>) {
        let args = OwnedArgs::new(parts);
        let mut partition = Partition::default();
        // What an earlier command left must not show.
        partition.fill([(ShardId(9), 9)].into_iter());
        let route = Router::new(4).partition(args.as_args(), positions.iter().copied(), &mut partition);
        let groups = partition.groups().map(|group| (group.shard().0, group.positions().collect())).collect();
        (route, groups)
    }

    #[test]
    fn keys_of_one_shard_are_not_dealt() {
        assert_eq!(dealt(&["PING"], &[]), (Route::Keyless, vec![]));
        let shard = Router::new(4).shard_of_key(b"{a}1");
        assert_eq!(dealt(&["DEL", "{a}1", "{a}2"], &[1, 2]), (Route::One(shard), vec![]));
    }

    #[test]
    fn keys_of_several_shards_keep_their_order_within_each() {
        // Slots: a 15495, b 3300, c 7365, foo 12182.
        let (route, groups) = dealt(&["MSET", "a", "1", "b", "2", "foo", "3", "c", "4"], &[1, 3, 5, 7]);
        assert_eq!(route, Route::Several);
        assert_eq!(groups, [(0, vec![3]), (1, vec![7]), (2, vec![5]), (3, vec![1])]);
        let (_, groups) = dealt(&["DEL", "{a}2", "b", "{a}1", "{b}9"], &[1, 2, 3, 4]);
        assert_eq!(groups, [(0, vec![2, 4]), (3, vec![1, 3])]);
    }

    #[test]
    fn a_huge_command_does_not_pin_its_memory() {
        let mut partition = Partition::default();
        partition.fill((0..100_000).map(|key| (ShardId(key as u16 % 2), key)));
        partition.keys.clear();
        partition.fill([(ShardId(0), 1), (ShardId(1), 2)].into_iter());
        assert!(partition.keys.capacity() <= KEPT_KEYS_MAX);
    }
}
