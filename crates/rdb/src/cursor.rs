//! Places in values that are written in slices.

use datatypes::stream::StreamId;
use datatypes::table::Place;

/// Where the writing of a value stands: nothing of the value itself, so that it can be kept while other things change.
/// The value must not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) at: At,
    pub(crate) step: Step,
}

/// The element that is next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum At {
    /// Nothing was written.
    #[default]
    Begin,
    /// The number of an element.
    Index(usize),
    /// Of a table.
    Place(Place),
    Stream(StreamAt),
}

/// What is next of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StreamAt {
    Block(StreamId),
    /// What is known besides the blocks.
    Totals,
    /// The group of this name or the next, and what it has.
    Group(Vec<u8>),
    /// What is pending in a group, from an id on.
    Pending(Vec<u8>, StreamId),
    /// The consumers of a group, and of these the one of this name or the next.
    Consumer(Vec<u8>, Vec<u8>),
    /// What is pending for a consumer, from an id on.
    Owned(Vec<u8>, Vec<u8>, StreamId),
}

/// How much of the next element is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Step {
    /// Bytes of a long string.
    pub(crate) text: usize,
    /// Whether it is the second string of two.
    pub(crate) second: bool,
}

impl Cursor {
    /// Stands where writing stopped; true when it did not.
    pub(crate) fn stop(&mut self, stopped: Option<At>) -> bool {
        let whole = stopped.is_none();
        self.at = stopped.unwrap_or_default();
        whole
    }
}

impl At {
    pub(crate) fn index(&self) -> usize {
        match self {
            Self::Begin => 0,
            Self::Index(index) => *index,
            _ => unreachable!("a cursor of another value"),
        }
    }

    pub(crate) fn place(&self) -> Place {
        match self {
            Self::Begin => Place::default(),
            Self::Place(place) => *place,
            _ => unreachable!("a cursor of another value"),
        }
    }
}

/// How much of a value is written at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// It stops at the first element after so many bytes, and within a long string.
    pub bytes: usize,
    /// Elements, at most: those of a large value are all over the memory. Not 0.
    pub elements: usize,
}

impl Budget {
    /// A slice of some 100 us.
    pub const SLICE: Self = Self { bytes: 64 * 1024, elements: 1024 };
    /// All.
    pub const ALL: Self = Self { bytes: usize::MAX, elements: usize::MAX };
}

/// What is left of a budget.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Left {
    /// Where the output is to end.
    end: usize,
    elements: usize,
}

impl Left {
    pub(crate) fn new(out: &[u8], budget: Budget) -> Self {
        Self { end: out.len().saturating_add(budget.bytes), elements: budget.elements.max(1) }
    }

    /// Takes `count` neighbouring elements from it; false if nothing is left.
    #[inline]
    pub(crate) fn take(&mut self, out: &[u8], count: usize) -> bool {
        if self.elements == 0 || out.len() >= self.end {
            return false;
        }
        self.elements = self.elements.saturating_sub(count);
        true
    }

    /// Bytes that are left.
    #[inline]
    pub(crate) fn bytes(&self, out: &[u8]) -> usize {
        self.end.saturating_sub(out.len())
    }
}

/// Longer strings are written in pieces, and not compressed then.
pub(crate) const TEXT_MAX: usize = 64 * 1024;
