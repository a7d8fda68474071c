//! What happened, as far as clients can tell.

/// A key: a list or a register, never both.
pub type Key = u32;
/// Something written: never twice to the same key.
pub type Value = u32;

/// How an operation ended, as its client knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Answered: it took effect.
    Done,
    /// Answered, and promised not to have taken effect.
    Failed,
    /// Nobody knows: it may have taken effect, at any time from when it was sent, or not.
    Unknown,
}

/// One operation: all its accesses, in their order, at one instant.
#[derive(Clone, Debug)]
pub struct Op {
    /// Whose it is; only shown. [`OBSERVER`] is for who looks at all of it at the end.
    pub client: u32,
    /// When it was sent, in units of the history's clock (nanoseconds, where it is shown).
    pub invoked: u64,
    /// When its answer had arrived: counts only if it is done.
    pub returned: Option<u64>,
    /// How it ended.
    pub fate: Fate,
    /// What it did. Reads count only if it is done.
    pub accesses: Vec<Access>,
}

/// No client of the workload.
pub const OBSERVER: u32 = u32::MAX;

/// One access to one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Appends to a list.
    Append(Key, Value),
    /// Reads a whole list; one that does not exist is empty.
    List(Key, Vec<Value>),
    /// Overwrites a register.
    Set(Key, Value),
    /// Reads a register; `None` is what it held before the first write.
    Get(Key, Option<Value>),
}

impl Access {
    /// Of which key.
    pub fn key(&self) -> Key {
        match *self {
            Access::Append(key, _) | Access::List(key, _) | Access::Set(key, _) | Access::Get(key, _) => key,
        }
    }

    /// Whether of a list.
    pub fn is_list(&self) -> bool {
        matches!(self, Access::Append(..) | Access::List(..))
    }
}

/// Operations, and what connections promise about their order.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// In any order; named by their index.
    pub ops: Vec<Op>,
    /// Pairs of one connection's operations: the first must come before the second, although it may have been
    /// unanswered when the second was sent.
    pub promised: Vec<(usize, usize)>,
}
