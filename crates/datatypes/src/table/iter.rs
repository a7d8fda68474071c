//! All elements of a table, one after the other.

use crate::segments::Segments;
use hashbrown::hash_table;
use std::iter::FusedIterator;
use std::slice;

/// Elements of a table, segment by segment.
#[derive(Clone, Debug)]
pub struct Iter<'a, T> {
    /// What is left of the branches above the segment.
    branches: Vec<slice::Iter<'a, Segments<T>>>,
    segment: hash_table::Iter<'a, T>,
    left: usize,
}

impl<'a, T> Iter<'a, T> {
    pub(super) fn new(segments: &'a Segments<T>) -> Self {
        let mut iter = Self { branches: Vec::new(), segment: hash_table::Iter::default(), left: 0 };
        iter.left = match segments {
            Segments::One(table) => table.len(),
            Segments::Many(branch) => branch.len,
        };
        iter.enter(segments);
        iter
    }

    fn enter(&mut self, segments: &'a Segments<T>) {
        match segments {
            Segments::One(table) => self.segment = table.iter(),
            Segments::Many(branch) => self.branches.push(branch.children.iter()),
        }
    }
}

impl<'a, T> Iterator for Iter<'a, T> {
    type Item = &'a T;

    #[inline]
    fn next(&mut self) -> Option<&'a T> {
        loop {
            if let Some(item) = self.segment.next() {
                self.left -= 1;
                return Some(item);
            }
            match self.branches.last_mut()?.next() {
                Some(child) => self.enter(child),
                None => drop(self.branches.pop()),
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<T> ExactSizeIterator for Iter<'_, T> {}
impl<T> FusedIterator for Iter<'_, T> {}
