//! How many nodes Redis's radix tree of blocks would have: XINFO STREAM tells it.
//!
//! The tree's keys are the blocks' ids as sixteen bytes. A branch node stands at each length of prefix after which keys
//! part; the bytes between two branches, or between a branch and a key's end, are one compressed node, if there are any; each
//! key ends in a leaf. So what one key adds follows from the branches just above and below the place where it parts.

use super::StreamId;

/// Nodes of a tree without keys.
pub(super) const EMPTY: u64 = 1;

/// Where keys are looked up: the nearest ones on either side.
pub(super) trait Keys {
    /// The greatest key at or below `id`.
    fn at_or_below(&self, id: StreamId) -> Option<StreamId>;
    /// The smallest key at or above `id`.
    fn at_or_above(&self, id: StreamId) -> Option<StreamId>;
}

/// How many nodes `key`, which is not among `keys`, would add to their tree.
pub(super) fn added(keys: &impl Keys, key: StreamId) -> u64 {
    let (below, above) = (keys.at_or_below(key), keys.at_or_above(key));
    let parting = match (below, above) {
        (None, None) => return 1,
        (Some(one), None) | (None, Some(one)) => shared(one, key),
        (Some(below), Some(above)) => shared(below, key).max(shared(above, key)),
    };
    let tail = 1 + u64::from(parting < LEN - 1);
    let (low, high) = prefix_range(key, parting);
    let first = keys.at_or_above(low).expect("a key with the shared prefix");
    let last = keys.at_or_below(high).expect("a key with the shared prefix");
    let next_branch = if first == last { LEN } else { shared(first, last) };
    if next_branch == parting {
        return tail;
    }
    let outer =
        [low.before().and_then(|id| keys.at_or_below(id)), high.next().and_then(|id| keys.at_or_above(id))];
    let edge_start = outer.into_iter().flatten().map(|one| shared(one, key) + 1).max().unwrap_or(0);
    let split = u64::from(parting > edge_start) + u64::from(next_branch > parting + 1);
    tail + split
}

/// Bytes of a key.
const LEN: u32 = 16;

/// How many leading bytes two keys share.
fn shared(a: StreamId, b: StreamId) -> u32 {
    let differing = bits(a) ^ bits(b);
    differing.leading_zeros() / 8
}

/// The first and the last id with the same `len` leading bytes as `key`.
fn prefix_range(key: StreamId, len: u32) -> (StreamId, StreamId) {
    let rest = if len == 0 { u128::MAX } else { (1 << (8 * (LEN - len))) - 1 };
    (id(bits(key) & !rest), id(bits(key) | rest))
}

fn bits(id: StreamId) -> u128 {
    u128::from(id.ms) << 64 | u128::from(id.seq)
}

fn id(bits: u128) -> StreamId {
    StreamId::new((bits >> 64) as u64, bits as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    impl Keys for BTreeSet<StreamId> {
        fn at_or_below(&self, id: StreamId) -> Option<StreamId> {
            self.range(..=id).next_back().copied()
        }

        fn at_or_above(&self, id: StreamId) -> Option<StreamId> {
            self.range(id..).next().copied()
        }
    }

    /// Counts the nodes below `depth` bytes of prefix that all of `keys` share.
    fn counted(keys: &[[u8; 16]], depth: usize) -> u64 {
        let branch = (depth..16).find(|&at| keys.iter().any(|key| key[at] != keys[0][at]));
        let end = branch.unwrap_or(16);
        let compressed = u64::from(end > depth);
        if branch.is_none() {
            return compressed + 1;
        }
        let children = keys.chunk_by(|a, b| a[end] == b[end]);
        compressed + 1 + children.map(|keys| counted(keys, end + 1)).sum::<u64>()
    }

    fn check(ids: &[StreamId]) {
        let (mut keys, mut nodes) = (BTreeSet::new(), EMPTY);
        for &id in ids {
            if !keys.contains(&id) {
                nodes += added(&keys, id);
                keys.insert(id);
            }
            let all: Vec<[u8; 16]> = keys.iter().map(|id| id.to_bytes()).collect();
            assert_eq!(nodes, counted(&all, 0), "{keys:?}");
        }
    }

    proptest! {
        #[test]
        fn nodes_are_those_of_a_tree_that_is_built(
            ids in prop::collection::vec((any::<u64>(), any::<u64>(), 0u32..16, 0u32..16), 1..60),
        ) {
            let ids: Vec<StreamId> =
                ids.iter().map(|(ms, seq, a, b)| StreamId::new(ms >> (4 * a) & !0xF0F0, seq >> (4 * b) & 0x0303)).collect();
            check(&ids);
        }
    }

    #[test]
    fn one_key_takes_two_nodes() {
        check(&[StreamId::new(1, 1)]);
        check(&[
            StreamId::new(1, 1),
            StreamId::new(1, 2),
            StreamId::new(1 << 40, 2),
            StreamId::MAX,
            StreamId::MIN,
        ]);
    }
}
