//! Lists.

use crate::Limits;
use crate::object::LargeValue;
use crate::place::Place;

/// A large list.
#[derive(Clone, Debug, Default)]
pub struct List;

impl LargeValue for List {
    fn memory(&self) -> usize {
        0
    }

    fn len(&self) -> usize {
        0
    }

    fn dismantle(&mut self, _budget: usize) -> bool {
        false
    }
}

/// A list, read only.
#[derive(Clone, Copy, Debug)]
pub enum ListRef<'a> {
    /// Packed elements in order.
    Compact(&'a [u8]),
    /// A structure of its own.
    Large(&'a List),
}

impl ListRef<'_> {
    /// How many there are.
    pub fn len(&self) -> usize {
        0
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// OBJECT ENCODING's word.
    pub fn encoding(&self) -> &'static str {
        "listpack"
    }
}

/// A list to be changed.
pub struct ListMut<'a> {
    place: &'a mut dyn Place,
    limits: &'a Limits,
}

impl<'a> ListMut<'a> {
    /// The list in `place`.
    pub fn new(place: &'a mut dyn Place, limits: &'a Limits) -> Self {
        Self { place, limits }
    }

    /// The thresholds in force.
    pub fn limits(&self) -> &'a Limits {
        self.limits
    }
}

impl std::fmt::Debug for ListMut<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ListMut").field(&self.place.stored()).finish()
    }
}
