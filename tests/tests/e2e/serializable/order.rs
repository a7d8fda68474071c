//! What a pipeline promises about the order of its commands, said without the server's machine for it.

use stdx::ShardId;

/// An operation of a pipeline, as to order.
pub(super) struct Place {
    pub(super) class: Class,
    /// Each with its shard, and whether it may be written.
    pub(super) keys: Vec<(String, ShardId, bool)>,
}

/// What an operation is to those around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// May overlap with others, also when its keys are on several shards (GET, MSET).
    Plain,
    /// As a plain one while its keys are on one shard, else nothing else is under way (RENAME).
    Together,
    /// Others take it as a signal that what came before is done (RPUSH, EXEC); over several shards as above.
    Signal,
    /// Nobody knows its keys: nothing else is under way.
    Unknown,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain(ShardId),
    Signal(ShardId),
    Spread,
    Barrier,
}

/// Pairs of places, sent in one go, the first of which must take effect before the second.
pub(super) fn promised(places: &[Place], is_strict: bool) -> Vec<(usize, usize)> {
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

impl Place {
    fn kind(&self) -> Kind {
        let first = self.keys.first().map(|key| key.1);
        let one = first.filter(|first| self.keys.iter().all(|key| key.1 == *first));
        match (self.class, one) {
            (Class::Plain | Class::Together, Some(shard)) => Kind::Plain(shard),
            (Class::Signal, Some(shard)) => Kind::Signal(shard),
            (Class::Plain, None) => Kind::Spread,
            (Class::Together | Class::Signal, None) | (Class::Unknown, _) => Kind::Barrier,
        }
    }

    fn precedes(&self, later: &Self) -> bool {
        match (self.kind(), later.kind()) {
            (Kind::Barrier, _) | (_, Kind::Barrier | Kind::Signal(_)) => true,
            (Kind::Spread, _) | (_, Kind::Spread) => self.conflicts_with(later),
            (Kind::Plain(one) | Kind::Signal(one), Kind::Plain(other)) => one == other,
        }
    }

    /// Whether they share a key, and one of them writes it.
    fn conflicts_with(&self, other: &Self) -> bool {
        self.keys.iter().any(|mine| other.keys.iter().any(|its| mine.0 == its.0 && (mine.2 || its.2)))
    }
}
