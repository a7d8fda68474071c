//! Who waits for which key, written down apart from the machines: what they do is judged by it.

use super::Violation;
use shard::WaiterId;
use std::collections::{BTreeMap, BTreeSet};

/// The lines at all keys, and what was seen.
#[derive(Debug, Default)]
pub(super) struct Lines {
    waiting: BTreeMap<String, Vec<WaiterId>>,
    pushed: BTreeSet<String>,
    pub(super) overtaken: Vec<Violation>,
}

impl Lines {
    /// A client stands in line from now on.
    pub(super) fn enter(&mut self, id: WaiterId, keys: impl Iterator<Item = String>) {
        for key in keys {
            let line = self.waiting.entry(key).or_default();
            if !line.contains(&id) {
                line.push(id);
            }
        }
    }

    /// It has left the lines of these keys, as their shard knows.
    pub(super) fn leave(&mut self, id: WaiterId, of_shard: impl Fn(&str) -> bool) {
        for (_, line) in self.waiting.iter_mut().filter(|(key, _)| of_shard(key)) {
            line.retain(|waiter| *waiter != id);
        }
    }

    /// A client that may wait has taken from a key.
    pub(super) fn taken(&mut self, id: WaiterId, key: &str) {
        let first = self.waiting.get(key).and_then(|line| line.first());
        if let Some(first) = first.filter(|first| **first != id) {
            self.overtaken.push(Violation::Overtaken(key.to_owned(), *first));
        }
    }

    /// Everybody who stands in a line.
    pub(super) fn all(&self) -> BTreeSet<(u16, u32)> {
        self.waiting.values().flatten().map(|id| (id.home.0, id.client.0)).collect()
    }

    /// An element was added to a list.
    pub(super) fn push(&mut self, element: &str) {
        self.pushed.insert(element.to_owned());
    }

    pub(super) fn was_pushed(&self, element: &str) -> bool {
        self.pushed.contains(element)
    }
}
