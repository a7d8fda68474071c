//! What happened, as far as the outside can tell. Keys hold lists, writes append values that are never used twice:
//! so a list that was read tells which writes it has seen, and in which order (Kingsbury, Alvaro: "Elle", VLDB 2020).

use std::collections::BTreeMap;

/// A key.
pub type Key = u16;
/// Something appended: unique in a history per key.
pub type Value = u32;
/// What lists hold.
pub type Lists = BTreeMap<Key, Vec<Value>>;

/// How an operation ended, as its client knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Answered: it took effect.
    Done,
    /// Nobody got an answer: it may have taken effect, or may not.
    Unknown,
    /// Promised not to have taken effect.
    Never,
}

/// One operation: all its reads, then all its appends, at one instant.
#[derive(Clone, Debug)]
pub struct Op {
    /// When it was sent.
    pub invoked: u64,
    /// When its answer arrived; `None` when none did.
    pub returned: Option<u64>,
    /// How it ended.
    pub fate: Fate,
    /// The lists it saw, each as it was before its own appends. Counts only if it is done.
    pub reads: Vec<(Key, Vec<Value>)>,
    /// What it appends; at most one value to a key.
    pub appends: Vec<(Key, Value)>,
    /// Operations of its connection that it must come after, by index.
    pub after: Vec<usize>,
}

/// Operations, and the lists at the end.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// In any order; named by their index.
    pub ops: Vec<Op>,
    /// Every list, when nothing was under way any more.
    pub last: Lists,
}
