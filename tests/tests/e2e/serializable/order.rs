//! What a pipeline promises about the order of its commands, said without the server's machine for it.

use super::keys::Keys;
use super::task::{Item, Shape, Task};
use coordinator::router::Router;
use stdx::ShardId;

/// A task as to order.
struct Place<'a> {
    items: &'a [Item],
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// One shard, and no signal to others.
    Plain(ShardId),
    /// One shard, and others take it as a signal.
    Signal(ShardId),
    /// Several shards, and may overlap with all that it does not conflict with.
    Spread,
    /// Several shards, and nothing else is under way.
    Barrier,
}

/// Pairs of places in `tasks`, sent in one go, the first of which must take effect before the second.
pub(super) fn promised(tasks: &[Task], keys: &Keys, router: Router, is_strict: bool) -> Vec<(usize, usize)> {
    let places: Vec<Place<'_>> = tasks.iter().map(|task| Place::of(task, keys, router)).collect();
    let mut pairs = Vec::new();
    for (at, place) in places.iter().enumerate() {
        if is_strict {
            pairs.extend(at.checked_sub(1).map(|before| (before, at)));
        } else {
            pairs.extend((0..at).filter(|&before| places[before].precedes(place)).map(|before| (before, at)));
        }
    }
    pairs
}

impl<'a> Place<'a> {
    fn of(task: &'a Task, keys: &Keys, router: Router) -> Self {
        let mut shards: Vec<ShardId> =
            task.items.iter().map(|item| router.shard_of_key(keys.name(item.key()).as_bytes())).collect();
        shards.sort_unstable();
        shards.dedup();
        let is_plain = match task.shape {
            Shape::Mset | Shape::Mget => true,
            Shape::Single => !is_push(task.items[0]),
            Shape::Exec | Shape::Watched | Shape::Script | Shape::WildScript => false,
        };
        // A script that declares no key may touch any.
        let one = (shards.len() == 1 && task.shape != Shape::WildScript).then(|| shards[0]);
        let kind = match (one, is_plain) {
            (Some(shard), true) => Kind::Plain(shard),
            (Some(shard), false) => Kind::Signal(shard),
            (None, true) => Kind::Spread,
            (None, false) => Kind::Barrier,
        };
        Self { items: &task.items, kind }
    }

    fn precedes(&self, later: &Self) -> bool {
        match (self.kind, later.kind) {
            (Kind::Barrier, _) | (_, Kind::Barrier | Kind::Signal(_)) => true,
            (Kind::Spread, _) | (_, Kind::Spread) => self.conflicts_with(later),
            (Kind::Plain(one) | Kind::Signal(one), Kind::Plain(other)) => one == other,
        }
    }

    /// Whether they share a key, and one of them writes it.
    fn conflicts_with(&self, other: &Self) -> bool {
        let meets =
            |mine: &Item, theirs: &Item| mine.key() == theirs.key() && (mine.writes() || theirs.writes());
        self.items.iter().any(|mine| other.items.iter().any(|theirs| meets(mine, theirs)))
    }
}

/// RPUSH can wake others.
fn is_push(item: Item) -> bool {
    matches!(item, Item::Write(key, _) if super::keys::kind_of(key) == super::keys::Kind::List)
}
