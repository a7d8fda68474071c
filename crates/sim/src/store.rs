//! The made-up store: lists that only grow, and the handlers over them.

use crate::history::{Access, Key, Lists, Trace, Value};
use crate::workload::{Verb, mingles_into};

/// Takes the entries of `keys` out of the store; a key that does not exist is an empty list.
pub(crate) fn take(lists: &mut Lists, keys: &[Key]) -> Lists {
    keys.iter().map(|key| (*key, lists.remove(key).unwrap_or_default())).collect()
}

/// Runs a handler over the entries of its keys; says what it saw and did.
pub(crate) fn run_handler(verb: Verb, value: Value, entries: &mut Lists) -> Trace {
    let reads = matches!(verb, Verb::Read | Verb::ReadAll | Verb::Mingle | Verb::Watch | Verb::Check);
    let mut trace = Trace::new();
    if reads {
        trace.extend(entries.iter().map(|(&key, list)| Access::List(key, list.clone())));
    }
    let targets: Vec<Key> = match verb {
        Verb::Read | Verb::ReadAll | Verb::Watch | Verb::Check => Vec::new(),
        Verb::Exec | Verb::Script | Verb::Cut => Vec::new(),
        Verb::Append | Verb::Signal | Verb::AppendAll | Verb::Sweep => entries.keys().copied().collect(),
        Verb::Mingle => mingles_into(entries),
    };
    for key in targets {
        entries.entry(key).or_default().push(value);
        trace.push(Access::Append(key, value));
    }
    trace
}
