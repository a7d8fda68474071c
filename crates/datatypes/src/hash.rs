//! Hashs.

use crate::Limits;
use crate::object::LargeValue;
use crate::place::Place;

/// A large hash.
#[derive(Clone, Debug, Default)]
pub struct Hash;

impl LargeValue for Hash {
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

/// A hash, read only.
#[derive(Clone, Copy, Debug)]
pub enum HashRef<'a> {
    /// Packed field and value in turn.
    Compact(&'a [u8]),
    /// Packed field, value and expiry in turn.
    CompactTtl(&'a [u8]),
    /// A structure of its own.
    Large(&'a Hash),
}

impl HashRef<'_> {
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

/// A hash to be changed.
pub struct HashMut<'a> {
    place: &'a mut dyn Place,
    limits: &'a Limits,
}

impl<'a> HashMut<'a> {
    /// The hash in `place`.
    pub fn new(place: &'a mut dyn Place, limits: &'a Limits) -> Self {
        Self { place, limits }
    }

    /// The thresholds in force.
    pub fn limits(&self) -> &'a Limits {
        self.limits
    }
}

impl std::fmt::Debug for HashMut<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("HashMut").field(&self.place.stored()).finish()
    }
}
