//! Sets of integers only: a sorted array.
//!
//! ```text
//!  u8 width: 2, 4 or 8 | integers of that many bytes, little-endian, ascending
//! ```
//! All have the width that the widest one needed. No bytes at all is the empty set.

use crate::Form;
use crate::place::Place;

/// A sorted array of integers, read only.
#[derive(Clone, Copy, Debug)]
pub struct Ints<'a> {
    width: Width,
    body: &'a [u8],
}

/// Bytes of each integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Width {
    Two,
    Four,
    Eight,
}

impl Width {
    fn of(int: i64) -> Self {
        match int {
            -0x8000..=0x7FFF => Self::Two,
            -0x8000_0000..=0x7FFF_FFFF => Self::Four,
            _ => Self::Eight,
        }
    }

    fn from_byte(byte: u8) -> Self {
        match byte {
            2 => Self::Two,
            4 => Self::Four,
            8 => Self::Eight,
            other => unreachable!("integers of {other} bytes"),
        }
    }

    #[inline]
    fn bytes(self) -> usize {
        match self {
            Self::Two => 2,
            Self::Four => 4,
            Self::Eight => 8,
        }
    }

    fn write(self, int: i64, place: &mut [u8]) {
        place.copy_from_slice(&int.to_le_bytes()[..self.bytes()]);
    }
}

impl<'a> Ints<'a> {
    /// The array in `bytes`.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        match bytes.split_first() {
            None => Self { width: Width::Two, body: &[] },
            Some((&width, body)) => Self { width: Width::from_byte(width), body },
        }
    }

    /// How many there are.
    #[inline]
    pub fn len(self) -> usize {
        self.body.len() / self.width.bytes()
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.body.is_empty()
    }

    /// The integer at `index`, in ascending order. Panics past the end.
    #[inline]
    pub fn get(self, index: usize) -> i64 {
        match self.width {
            Width::Two => i64::from(i16::from_le_bytes(part(self.body, index))),
            Width::Four => i64::from(i32::from_le_bytes(part(self.body, index))),
            Width::Eight => i64::from_le_bytes(part(self.body, index)),
        }
    }

    /// All of them, ascending.
    pub fn iter(self) -> impl ExactSizeIterator<Item = i64> + use<'a> {
        (0..self.len()).map(move |index| self.get(index))
    }

    /// Whether `int` is among them.
    pub fn contains(self, int: i64) -> bool {
        self.search(int).is_ok()
    }

    /// Where `int` is, or where it would be.
    pub fn search(self, int: i64) -> Result<usize, usize> {
        let len = self.len();
        // Additions in ascending order are common.
        if len == 0 || self.get(len - 1) < int {
            return Err(len);
        }
        let (mut low, mut high) = (0, len);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.get(middle) < int {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        if self.get(low) == int { Ok(low) } else { Err(low) }
    }
}

#[inline]
fn part<const N: usize>(body: &[u8], index: usize) -> [u8; N] {
    body[index * N..][..N].try_into().expect("as many bytes")
}

/// Adds `int` to the array in `place` and returns how many there are now; `None` when it was there.
pub(super) fn add(place: &mut dyn Place, int: i64) -> Option<usize> {
    let bytes = super::compact(place);
    let ints = Ints::new(bytes);
    let at = ints.search(int).err()?;
    let (len, width) = (ints.len(), ints.width);
    if bytes.is_empty() || Width::of(int) > width {
        // Wider than all others: it goes before or after them.
        let mut all = Vec::with_capacity(len + 1);
        all.extend(ints.iter());
        all.insert(at, int);
        place.set_compact(Form::IntSet, &encode(&all));
    } else {
        width.write(int, place.gap(1 + at * width.bytes(), 0, width.bytes()));
    }
    Some(len + 1)
}

/// Removes `int` from the array in `place`; false when it was not there.
pub(super) fn remove(place: &mut dyn Place, int: i64) -> bool {
    let ints = Ints::new(super::compact(place));
    let Ok(at) = ints.search(int) else { return false };
    remove_at(place, at);
    true
}

/// Removes the integer at index `at` from the array in `place`.
pub(super) fn remove_at(place: &mut dyn Place, at: usize) {
    let ints = Ints::new(super::compact(place));
    let (len, width) = (ints.len(), ints.width.bytes());
    if len == 1 {
        place.gap(0, 1 + width, 0);
    } else {
        place.gap(1 + at * width, width, 0);
    }
}

/// The array of `ints`, which ascend.
pub fn encode(ints: &[i64]) -> Vec<u8> {
    let ends = [ints.first(), ints.last()];
    let Some(width) = ends.into_iter().flatten().map(|&int| Width::of(int)).max() else { return Vec::new() };
    let mut bytes = vec![0; 1 + ints.len() * width.bytes()];
    bytes[0] = width.bytes() as u8;
    for (place, &int) in bytes[1..].chunks_exact_mut(width.bytes()).zip(ints) {
        width.write(int, place);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Object, Stored};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn bytes(object: &Object) -> &[u8] {
        match object.stored() {
            Stored::Compact(Form::IntSet, bytes) => bytes,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_widest_integer_sets_the_width_for_good() {
        let mut object = Object::Compact(Form::IntSet, Vec::new());
        for (int, width) in [(5, 2), (-3, 2), (32_768, 4), (-32_769, 4), (i64::MIN, 8), (i64::MAX, 8), (0, 8)]
        {
            assert!(add(&mut object, int).is_some());
            assert!(add(&mut object, int).is_none());
            assert_eq!(bytes(&object)[0], width);
        }
        let all: Vec<i64> = Ints::new(bytes(&object)).iter().collect();
        assert_eq!(all, [i64::MIN, -32_769, -3, 0, 5, 32_768, i64::MAX]);
        assert_eq!(encode(&all), bytes(&object));
        for int in all {
            assert!(remove(&mut object, int) && !remove(&mut object, int));
        }
        assert!(bytes(&object).is_empty());
    }

    proptest! {
        #[test]
        fn arrays_agree_with_a_tree(ops: Vec<(bool, i64, u8)>) {
            let (mut object, mut model) = (Object::Compact(Form::IntSet, Vec::new()), BTreeSet::new());
            for (adds, int, shift) in ops {
                let int = int >> (shift % 64);
                if adds {
                    let added = model.insert(int);
                    prop_assert_eq!(add(&mut object, int), added.then_some(model.len()));
                } else {
                    prop_assert_eq!(remove(&mut object, int), model.remove(&int));
                }
                prop_assert_eq!(Ints::new(bytes(&object)).contains(int), adds);
            }
            prop_assert!(Ints::new(bytes(&object)).iter().eq(model));
        }
    }
}
