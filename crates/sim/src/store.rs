//! The made-up store: lists that only grow, and the handlers over them.

use crate::history::{Key, Lists, Value};
use crate::workload::{Verb, mingles_into};

/// Takes the entries of `keys` out of the store; a key that does not exist is an empty list.
pub(crate) fn take(lists: &mut Lists, keys: &[Key]) -> Lists {
    keys.iter().map(|key| (*key, lists.remove(key).unwrap_or_default())).collect()
}

/// Runs a handler over the entries of its keys; says what it read, and notes where it appended. One that has stages
/// appends to a key only `once`.
pub(crate) fn run_handler(
    verb: Verb,
    value: Value,
    once: bool,
    entries: &mut Lists,
    appended: &mut Vec<Key>,
) -> Lists {
    let read = if matches!(verb, Verb::Read | Verb::ReadAll | Verb::Mingle) {
        entries.clone()
    } else {
        Lists::new()
    };
    let targets: Vec<Key> = match verb {
        Verb::Read | Verb::ReadAll | Verb::Exec | Verb::Script => Vec::new(),
        Verb::Append | Verb::Signal | Verb::AppendAll | Verb::Sweep => entries.keys().copied().collect(),
        Verb::Mingle => mingles_into(entries),
    };
    for key in targets {
        if once && appended.contains(&key) {
            continue;
        }
        entries.entry(key).or_default().push(value);
        appended.push(key);
    }
    read
}
