//! Sets.

use crate::Limits;
use crate::object::LargeValue;
use crate::place::Place;

/// A large set.
#[derive(Clone, Debug, Default)]
pub struct Set;

impl LargeValue for Set {
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

/// A set, read only.
#[derive(Clone, Copy, Debug)]
pub enum SetRef<'a> {
    /// A sorted array of integers.
    Ints(&'a [u8]),
    /// Packed members.
    Packed(&'a [u8]),
    /// A structure of its own.
    Large(&'a Set),
}

impl SetRef<'_> {
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

/// A set to be changed.
pub struct SetMut<'a> {
    place: &'a mut dyn Place,
    limits: &'a Limits,
}

impl<'a> SetMut<'a> {
    /// The set in `place`.
    pub fn new(place: &'a mut dyn Place, limits: &'a Limits) -> Self {
        Self { place, limits }
    }

    /// The thresholds in force.
    pub fn limits(&self) -> &'a Limits {
        self.limits
    }
}

impl std::fmt::Debug for SetMut<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SetMut").field(&self.place.stored()).finish()
    }
}
