//! Places in a table that does not change, to stop at and go on from.

use crate::segments::{BRANCH_BITS, Segments};

/// The place of an element in a table, for as long as the table is as it is. The default is the first.
///
/// In the upper half the numbers of the branches that lead to the segment, from the top; in the lower the bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place(u64);

/// Visits elements from `place` on until `visit` refuses one, and returns the place of that one.
pub(super) fn visit<'a, T>(
    segments: &'a Segments<T>,
    place: Place,
    visit: &mut impl FnMut(&'a T) -> bool,
) -> Option<Place> {
    within(segments, 0, 0, place.0, visit).map(Place)
}

/// `path` is where the segments are, and `from` where among them to begin.
fn within<'a, T>(
    segments: &'a Segments<T>,
    depth: u32,
    path: u64,
    from: u64,
    visit: &mut impl FnMut(&'a T) -> bool,
) -> Option<u64> {
    match segments {
        Segments::One(table) => {
            let first = (from as u32) as usize;
            let buckets = table.iter_buckets().skip_while(|bucket| *bucket < first);
            for bucket in buckets {
                let item = table.get_bucket(bucket).expect("an occupied bucket");
                if !visit(item) {
                    return Some(path | bucket as u64);
                }
            }
            None
        }
        Segments::Many(branch) => {
            let shift = u64::BITS - BRANCH_BITS * (depth + 1);
            let first = from >> shift & (branch.children.len() as u64 - 1);
            (first..branch.children.len() as u64).find_map(|number| {
                let from = if number == first { from } else { 0 };
                let child = &branch.children[number as usize];
                within(child, depth + 1, path | number << shift, from, visit)
            })
        }
    }
}
