//! The promise that a server never serves what it cannot prove to hold, as a type.

use std::cell::Cell;

/// Proof that the data a server begins with is all there. Its constructors can be called by the loader alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Recovered(Dataset);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dataset {
    /// All that was to be loaded was, to its last byte, and every shard has put in what was its.
    Whole,
    /// There was nothing to load.
    Empty,
}

impl Recovered {
    /// After a whole load.
    pub(super) fn whole() -> Self {
        Self(Dataset::Whole)
    }

    /// Whether something was loaded.
    pub(super) fn is_whole(self) -> bool {
        self.0 == Dataset::Whole
    }

    /// When there is nothing to load.
    pub(super) fn empty() -> Self {
        Self(Dataset::Empty)
    }
}

/// Whether a core may run commands on data.
#[derive(Debug, Default)]
pub(crate) struct Admission(Cell<Option<Recovered>>);

impl Admission {
    /// Lets commands in, until the data is replaced.
    pub(crate) fn open(&self, recovered: Recovered) {
        assert!(self.0.replace(Some(recovered)).is_none(), "a core begins to serve once");
    }

    /// Lets none in from now on: the data is about to be replaced. Returns the proof of that which there still is.
    pub(crate) fn close(&self) -> Recovered {
        self.0.take().expect("what is replaced was served")
    }

    /// Whether commands are let in.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.0.get().is_some()
    }
}
