//! The keys of one command, dealt to the shards that have them.

use crate::transaction::name;
use coordinator::locks::KeyName;
use coordinator::router::Router;
use std::ops::Range;
use stdx::{Args, ShardId, Slot, Span};

/// Which shard runs what of a command. A buffer to be used again.
#[derive(Default)]
pub(crate) struct Deal {
    /// The shard of each key, in the order of the command; then its part.
    key_order: Vec<u16>,
    /// In ascending order of shards.
    parts: Vec<DealtPart>,
    /// The lock names of all keys, part by part, in the order of the command within each.
    names: Vec<KeyName>,
    /// The command lines of the parts, one after the other.
    spans: Vec<Span>,
    /// By shard: how many keys it has, then which part it is.
    by_shard: Vec<u32>,
}

/// One shard's part.
#[derive(Clone)]
pub(crate) struct DealtPart {
    pub(crate) shard: ShardId,
    names: Range<u32>,
    spans: Range<u32>,
}

impl Deal {
    /// Finds the shard of each key; the keys are at `positions`, of which there is at least one. Gives the slot of the first
    /// key, and whether one shard has all.
    pub(crate) fn find(&mut self, router: Router, args: Args<'_>, positions: &[u32]) -> (Slot, bool) {
        let slot = Slot::of(args.at(positions[0] as usize));
        let first = router.shard_of(slot).0;
        self.key_order.clear();
        self.key_order.push(first);
        let others = positions[1..].iter().map(|&at| router.shard_of_key(args.at(at as usize)).0);
        self.key_order.extend(others);
        (slot, self.key_order.iter().all(|&shard| shard == first))
    }

    /// Deals what [`Deal::find`] has found. `group_len` arguments belong to each key.
    pub(crate) fn deal(&mut self, router: Router, args: Args<'_>, positions: &[u32], group_len: usize) {
        self.by_shard.clear();
        self.by_shard.resize(router.shards() as usize, 0);
        self.key_order.iter().for_each(|&shard| self.by_shard[shard as usize] += 1);
        self.parts.clear();
        let (mut names, mut spans) = (0, 0);
        for (shard, keys) in self.by_shard.iter_mut().enumerate().filter(|(_, keys)| **keys > 0) {
            let names_end = names + *keys;
            let spans_end = spans + 1 + *keys * group_len as u32;
            *keys = self.parts.len() as u32;
            // The ends move as the keys come.
            self.parts.push(DealtPart {
                shard: ShardId(shard as u16),
                names: names..names,
                spans: spans..spans + 1,
            });
            (names, spans) = (names_end, spans_end);
        }
        self.names.clear();
        self.names.resize(names as usize, name(b""));
        self.spans.clear();
        self.spans.resize(spans as usize, args.spans()[0]);
        for (shard, &at) in self.key_order.iter_mut().zip(positions) {
            *shard = self.by_shard[*shard as usize] as u16;
            let part = &mut self.parts[*shard as usize];
            self.names[part.names.end as usize] = name(args.at(at as usize));
            part.names.end += 1;
            let (from, to) = (at as usize, part.spans.end as usize);
            self.spans[to..to + group_len].copy_from_slice(&args.spans()[from..from + group_len]);
            part.spans.end += group_len as u32;
        }
    }

    pub(crate) fn parts(&self) -> &[DealtPart] {
        &self.parts
    }

    /// Where the part of `shard` is among the parts. Panics when it has none.
    pub(crate) fn index_of(&self, shard: ShardId) -> usize {
        let index = self.by_shard[shard.index()] as usize;
        assert_eq!(self.parts[index].shard, shard, "only shards that take part are asked");
        index
    }

    pub(crate) fn part_of(&self, shard: ShardId) -> &DealtPart {
        &self.parts[self.index_of(shard)]
    }

    /// The lock names of a part.
    pub(crate) fn names(&self, part: &DealtPart) -> &[KeyName] {
        &self.names[part.names.start as usize..part.names.end as usize]
    }

    /// The lock names of all keys.
    pub(crate) fn all_names(&self) -> &[KeyName] {
        &self.names
    }

    /// The command line of a part; `bytes` are those of the whole command.
    pub(crate) fn args<'a>(&'a self, part: &DealtPart, bytes: &'a [u8]) -> Args<'a> {
        Args::new(bytes, &self.spans[part.spans.start as usize..part.spans.end as usize])
    }

    /// The part of each key, in the order of the command.
    pub(crate) fn key_order(&self) -> &[u16] {
        &self.key_order
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stdx::args::OwnedArgs;

    #[test]
    fn each_shard_gets_its_keys_in_their_order() {
        // Slots: a 15495, b 3300, c 7365, foo 12182.
        let args = OwnedArgs::new(&["MSET", "a", "1", "b", "2", "foo", "3", "c", "4", "a", "5"]);
        let (args, router) = (args.as_args(), Router::new(2));
        let mut deal = Deal::default();
        for _ in 0..2 {
            let (slot, is_one) = deal.find(router, args, &[1, 3, 5, 7, 9]);
            assert_eq!((slot, is_one), (Slot::of(b"a"), false));
            deal.deal(router, args, &[1, 3, 5, 7, 9], 2);
            let line = |part| deal.args(part, args.buf()).iter().collect::<Vec<_>>().join(&b' ');
            let lines: Vec<_> = deal.parts().iter().map(|part| (part.shard.0, line(part))).collect();
            assert_eq!(lines, [(0, b"MSET b 2 c 4".to_vec()), (1, b"MSET a 1 foo 3 a 5".to_vec())]);
            assert_eq!(deal.key_order(), [1, 0, 1, 0, 1]);
            assert_eq!(deal.names(deal.part_of(ShardId(0))), [name(b"b"), name(b"c")]);
            assert_eq!(deal.index_of(ShardId(1)), 1);
        }
    }

    #[test]
    fn more_keys_are_dealt_than_16_bits_count() {
        const KEYS: usize = 200_000;
        let words: Vec<String> =
            std::iter::once("DEL".to_owned()).chain((0..KEYS).map(|n| n.to_string())).collect();
        let args = OwnedArgs::new(&words.iter().map(String::as_str).collect::<Vec<_>>());
        let (args, router) = (args.as_args(), Router::new(2));
        let positions: Vec<u32> = (1..=KEYS as u32).collect();
        let mut deal = Deal::default();
        assert!(!deal.find(router, args, &positions).1);
        deal.deal(router, args, &positions, 1);
        let mut dealt = 0;
        for part in deal.parts() {
            let line = deal.args(part, args.buf());
            assert!(line.from(1).iter().all(|key| router.shard_of_key(key) == part.shard));
            assert_eq!(line.len() - 1, deal.names(part).len());
            dealt += line.len() - 1;
        }
        assert_eq!(dealt, KEYS);
    }

    #[test]
    fn keys_of_one_shard_are_known_as_such() {
        let args = OwnedArgs::new(&["DEL", "{a}1", "{a}2"]);
        let found = Deal::default().find(Router::new(4), args.as_args(), &[1, 2]);
        assert_eq!(found, (Slot::of(b"a"), true));
    }
}
