//! A history by keys: who wrote what, and who saw what from outside.

use super::anomaly::Anomaly;
use super::history::{Access, Fate, History, Key, Op, Value};

/// All keys, and the operations that count.
pub(super) struct Index<'a> {
    pub(super) lists: Vec<ListKey<'a>>,
    pub(super) registers: Vec<RegisterKey>,
    /// By operation: whether it surely took effect. At first those that are done.
    pub(super) effective: Vec<bool>,
}

/// A write.
#[derive(Clone, Copy, Debug)]
pub(super) struct Write {
    pub(super) value: Value,
    pub(super) op: usize,
    /// Whether it is its operation's last to the key.
    pub(super) is_last: bool,
    pub(super) fate: Fate,
}

/// A list.
pub(super) struct ListKey<'a> {
    pub(super) key: Key,
    /// By value.
    pub(super) writes: Vec<Write>,
    /// What operations saw before they appended themselves.
    pub(super) reads: Vec<(usize, &'a [Value])>,
}

/// A register.
pub(super) struct RegisterKey {
    pub(super) key: Key,
    /// By value.
    pub(super) writes: Vec<Write>,
    /// What operations saw before they wrote themselves.
    pub(super) reads: Vec<(usize, Option<Value>)>,
    /// By operation: the last that it wrote.
    pub(super) by_op: Vec<(usize, Value)>,
}

/// The write of `value`.
pub(super) fn find(writes: &[Write], value: Value) -> Option<&Write> {
    writes.binary_search_by_key(&value, |write| write.value).ok().map(|at| &writes[at])
}

impl<'a> Index<'a> {
    /// Sorts all accesses by key, and checks every operation by itself on the way.
    pub(super) fn of(history: &'a History, anomalies: &mut Vec<Anomaly>) -> Self {
        let effective = history.ops.iter().map(|op| op.fate == Fate::Done).collect();
        let mut index = Self { lists: Vec::new(), registers: Vec::new(), effective };
        let keys = Keys::of(history);
        let places = keys.places(&mut index);
        let mut sorted: Vec<&Access> = Vec::new();
        for (number, op) in history.ops.iter().enumerate() {
            sorted.clear();
            sorted.extend(&op.accesses);
            sorted.sort_by_key(|access| access.key());
            for accesses in sorted.chunk_by(|left, right| left.key() == right.key()) {
                let place = places[keys.position(accesses[0].key())];
                let fits = if accesses[0].is_list() {
                    index.lists[place].add(number, op, accesses)
                } else {
                    index.registers[place].add(number, op, accesses)
                };
                if !fits {
                    anomalies.push(Anomaly::Internal { op: number, key: accesses[0].key() });
                }
            }
        }
        index.lists.iter_mut().for_each(|list| sort(list.key, &mut list.writes));
        index.registers.iter_mut().for_each(|register| sort(register.key, &mut register.writes));
        index
    }
}

/// Every key once, in order, and whether it is a list.
struct Keys(Vec<(Key, bool)>);

impl Keys {
    fn of(history: &History) -> Self {
        let accesses = history.ops.iter().flat_map(|op| &op.accesses);
        let mut keys: Vec<(Key, bool)> = accesses.map(|access| (access.key(), access.is_list())).collect();
        keys.sort_unstable();
        keys.dedup();
        let is_both = |pair: &[(Key, bool)]| pair[0].0 == pair[1].0;
        assert!(!keys.windows(2).any(is_both), "a key of the history is both a list and a register");
        Self(keys)
    }

    fn position(&self, key: Key) -> usize {
        self.0.binary_search_by_key(&key, |one| one.0).expect("all keys were collected")
    }

    /// Makes the entries of `index`, and says which of them is each key's.
    fn places(&self, index: &mut Index<'_>) -> Vec<usize> {
        let make = |&(key, is_list): &(Key, bool)| {
            if is_list {
                index.lists.push(ListKey { key, writes: Vec::new(), reads: Vec::new() });
                index.lists.len() - 1
            } else {
                index.registers.push(RegisterKey {
                    key,
                    writes: Vec::new(),
                    reads: Vec::new(),
                    by_op: Vec::new(),
                });
                index.registers.len() - 1
            }
        };
        self.0.iter().map(make).collect()
    }
}

fn sort(key: Key, writes: &mut [Write]) {
    writes.sort_unstable_by_key(|write| write.value);
    for pair in writes.windows(2) {
        let value = pair[0].value;
        assert!(
            value != pair[1].value,
            "the history writes {value} to {key} twice: nothing can be told from it"
        );
    }
}

impl<'a> ListKey<'a> {
    /// `accesses` are all that `op` does to this key. Whether it sees what it does itself.
    fn add(&mut self, number: usize, op: &Op, accesses: &[&'a Access]) -> bool {
        let first_write = self.writes.len();
        let mut last: Option<&'a [Value]> = None;
        let mut own: Vec<Value> = Vec::new();
        let mut fits = true;
        for access in accesses {
            match access {
                Access::Append(_, value) => {
                    self.writes.push(Write { value: *value, op: number, is_last: false, fate: op.fate });
                    own.push(*value);
                }
                Access::List(_, seen) if op.fate == Fate::Done && fits => {
                    fits = match last {
                        Some(last) => seen.strip_prefix(last) == Some(own.as_slice()),
                        None => seen.ends_with(&own),
                    };
                    if fits && last.is_none() {
                        self.reads.push((number, &seen[..seen.len() - own.len()]));
                    }
                    (last, own) = (Some(seen.as_slice()), Vec::new());
                }
                Access::List(..) => {}
                Access::Set(..) | Access::Get(..) => unreachable!("keys are of one kind"),
            }
        }
        if let Some(write) = self.writes[first_write..].last_mut() {
            write.is_last = true;
        }
        fits
    }
}

impl RegisterKey {
    /// As [`ListKey::add`].
    fn add(&mut self, number: usize, op: &Op, accesses: &[&Access]) -> bool {
        let first_write = self.writes.len();
        let mut known: Option<Option<Value>> = None;
        let mut fits = true;
        for access in accesses {
            match access {
                Access::Set(_, value) => {
                    self.writes.push(Write { value: *value, op: number, is_last: false, fate: op.fate });
                    known = Some(Some(*value));
                }
                Access::Get(_, seen) if op.fate == Fate::Done => match known {
                    Some(known) => fits &= known == *seen,
                    None => {
                        known = Some(*seen);
                        self.reads.push((number, *seen));
                    }
                },
                Access::Get(..) => {}
                Access::Append(..) | Access::List(..) => unreachable!("keys are of one kind"),
            }
        }
        if let Some(write) = self.writes[first_write..].last_mut() {
            write.is_last = true;
            self.by_op.push((number, write.value));
        }
        fits
    }
}
