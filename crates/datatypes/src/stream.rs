//! Streams.

use crate::Limits;
use crate::object::LargeValue;
use crate::place::Place;

/// A large stream.
#[derive(Clone, Debug, Default)]
pub struct Stream;

impl LargeValue for Stream {
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

/// A stream to be changed.
pub struct StreamMut<'a> {
    place: &'a mut dyn Place,
    limits: &'a Limits,
}

impl<'a> StreamMut<'a> {
    /// The stream in `place`.
    pub fn new(place: &'a mut dyn Place, limits: &'a Limits) -> Self {
        Self { place, limits }
    }

    /// The thresholds in force.
    pub fn limits(&self) -> &'a Limits {
        self.limits
    }
}

impl std::fmt::Debug for StreamMut<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("StreamMut").field(&self.place.stored()).finish()
    }
}
