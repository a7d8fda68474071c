//! ZSets.

use crate::Limits;
use crate::object::LargeValue;
use crate::place::Place;

/// A large zset.
#[derive(Clone, Debug, Default)]
pub struct ZSet;

impl LargeValue for ZSet {
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

/// A zset, read only.
#[derive(Clone, Copy, Debug)]
pub enum ZSetRef<'a> {
    /// Packed member and score in turn.
    Compact(&'a [u8]),
    /// A structure of its own.
    Large(&'a ZSet),
}

impl ZSetRef<'_> {
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

/// A zset to be changed.
pub struct ZSetMut<'a> {
    place: &'a mut dyn Place,
    limits: &'a Limits,
}

impl<'a> ZSetMut<'a> {
    /// The zset in `place`.
    pub fn new(place: &'a mut dyn Place, limits: &'a Limits) -> Self {
        Self { place, limits }
    }

    /// The thresholds in force.
    pub fn limits(&self) -> &'a Limits {
        self.limits
    }
}

impl std::fmt::Debug for ZSetMut<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ZSetMut").field(&self.place.stored()).finish()
    }
}
