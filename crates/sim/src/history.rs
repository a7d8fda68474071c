//! What happens in a simulation, as far as the outside can tell. Keys hold lists that only grow, of values that are never
//! used twice.

use std::collections::BTreeMap;

pub use crate::elle::{Access, Fate, History, Key, Op, Value};

/// What lists hold.
pub type Lists = BTreeMap<Key, Vec<Value>>;

/// What a command saw and appended, in order.
pub type Trace = Vec<Access>;
