//! Walking a table in the order of hashes, a bounded number of elements at a time.
//!
//! A cursor is the top [`CURSOR_BITS`] bits of a hash: everything before that place has been visited. The place of an
//! element never changes, whatever the segments do, so an element that stays is visited exactly once. Elements of the
//! same place are visited together.

use super::Item;
use super::hash::hash;
use super::segments::{BRANCH_BITS, Segments};
use hashbrown::HashTable;

/// Bits of a cursor: clients that keep it in a double lose nothing.
const CURSOR_BITS: u32 = 53;
/// From a cursor to a hash.
const PLACE_SHIFT: u32 = u64::BITS - CURSOR_BITS;

/// A walk in progress.
struct Scan<'s, 'a, T> {
    /// Elements still to visit in this call, more or less.
    budget: usize,
    /// Room to choose a segment's next elements in.
    chosen: Vec<u64>,
    visit: &'s mut dyn FnMut(&'a T),
}

/// Visits about `count` elements from `cursor` on and returns where to go on; 0 at the end.
pub(super) fn scan<'a, T: Item>(
    segments: &'a Segments<T>,
    cursor: u64,
    count: usize,
    visit: &mut dyn FnMut(&'a T),
) -> u64 {
    let mut scan = Scan { budget: count.max(1), chosen: Vec::new(), visit };
    // Any number that a client makes up is some cursor.
    let stopped = scan.walk(segments, 0, 0, cursor << PLACE_SHIFT);
    stopped.map_or(0, |hash| hash >> PLACE_SHIFT)
}

impl<'a, T: Item> Scan<'_, 'a, T> {
    /// Visits the elements of `segments`, whose hashes begin with `path`, from hash `from` on. Returns the hash to go
    /// on from, or `None` when it came to the end.
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
            if least >= from || (least + (width - 1) >= from && hash(item.key()) >= from) {
                self.chosen.push(u64::from(item.tag()) << 32 | bucket as u64);
            }
        }
        let mut stop = None;
        if self.chosen.len() > self.budget {
            // Only now does the order matter: the elements before some place, all of that place together.
            let (_, last, _) = self.chosen.select_nth_unstable(self.budget - 1);
            let step = width.max(1 << PLACE_SHIFT);
            let group = (path | (*last >> 32) << shift) & !(step - 1);
            stop = group.checked_add(step);
            let end = group + (step - 1);
            self.chosen.retain(|chosen| path | (chosen >> 32) << shift <= end);
        }
        self.budget = self.budget.saturating_sub(self.chosen.len());
        for chosen in &self.chosen {
            (self.visit)(table.get_bucket(*chosen as u32 as usize).expect("an occupied bucket"));
        }
        stop
    }
}
