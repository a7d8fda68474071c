//! Walking elements in the order of their hashes, a bounded number at a time.
//!
//! The place of an element, the top bits of its hash, never changes, whatever the segments do: so an element that stays
//! is visited exactly once by a walk that goes on where it stopped. Elements of the same place are visited together.

use super::{BRANCH_BITS, Hashes, Item, Segments};
use hashbrown::HashTable;

/// A walk in progress.
pub struct Walk<'s, 'a, T, H> {
    /// Hashes keys as for the segments.
    pub hasher: &'s H,
    /// A place is a hash without its lowest so many bits.
    pub place_shift: u32,
    /// Elements still to visit in this call, more or less.
    pub budget: usize,
    /// Room to choose a segment's next elements in.
    pub chosen: &'s mut Vec<u64>,
    /// Is given each element.
    pub visit: &'s mut dyn FnMut(&'a T),
}

impl<'a, T: Item, H: Hashes> Walk<'_, 'a, T, H> {
    /// Visits elements from hash `from` on. Returns the hash to go on from, a place, or `None` when it came to the end.
    pub fn run(&mut self, segments: &'a Segments<T>, from: u64) -> Option<u64> {
        self.walk(segments, 0, 0, from)
    }

    /// Visits the elements of `segments`, whose hashes begin with `path`, from hash `from` on.
    fn walk(&mut self, segments: &'a Segments<T>, depth: u32, path: u64, from: u64) -> Option<u64> {
        let branch = match segments {
            Segments::One(table) => return self.walk_one(table, depth, path, from),
            Segments::Many(branch) => branch,
        };
        let shift = u64::BITS - BRANCH_BITS * (depth + 1);
        let first = (from - path) >> shift;
        (first..branch.children.len() as u64).find_map(|number| {
            let child_path = path | number << shift;
            self.walk(&branch.children[number as usize], depth + 1, child_path, from.max(child_path))
        })
    }

    fn walk_one(&mut self, table: &'a HashTable<T>, depth: u32, path: u64, from: u64) -> Option<u64> {
        if table.is_empty() {
            return None;
        }
        if self.budget == 0 {
            return Some(from);
        }
        // A tag tells the hash up to `width`: of those that `from` falls amid, the elements tell the rest.
        let shift = u64::BITS - u16::BITS - BRANCH_BITS * depth;
        let width = 1 << shift;
        let known = |item: &T| path | u64::from(item.tag()) << shift;
        self.chosen.clear();
        for bucket in table.iter_buckets() {
            let item = table.get_bucket(bucket).expect("an occupied bucket");
            let least = known(item);
            if least >= from || (least + (width - 1) >= from && self.hasher.hash(item.key()) >= from) {
                self.chosen.push(u64::from(item.tag()) << 32 | bucket as u64);
            }
        }
        let mut stop = None;
        if self.chosen.len() > self.budget {
            // Only now does the order matter: the elements before some place, all of that place together.
            let (_, last, _) = self.chosen.select_nth_unstable(self.budget - 1);
            let step = width.max(1 << self.place_shift);
            let group = (path | (*last >> 32) << shift) & !(step - 1);
            stop = group.checked_add(step);
            let end = group + (step - 1);
            self.chosen.retain(|chosen| path | (chosen >> 32) << shift <= end);
        }
        self.budget = self.budget.saturating_sub(self.chosen.len());
        // They lie anywhere in memory, and whoever visits them reads them.
        for chosen in self.chosen.iter().take(AHEAD) {
            table.get_bucket(*chosen as u32 as usize).into_iter().for_each(Item::prefetch);
        }
        for (number, chosen) in self.chosen.iter().enumerate() {
            if let Some(later) = self.chosen.get(number + AHEAD) {
                table.get_bucket(*later as u32 as usize).into_iter().for_each(Item::prefetch);
            }
            (self.visit)(table.get_bucket(*chosen as u32 as usize).expect("an occupied bucket"));
        }
        stop
    }
}

/// So many elements are fetched before they are visited: about as many as a core can wait for at a time.
const AHEAD: usize = 8;

impl<T, H> std::fmt::Debug for Walk<'_, '_, T, H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Walk").field("budget", &self.budget).finish_non_exhaustive()
    }
}
