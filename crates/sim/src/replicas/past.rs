//! All that was ever written, by history, and what a replica may hold of it.

use std::collections::BTreeMap;

use replication::{Position, ReplId};

use crate::pair::violation::Violation;
use crate::replicas::toy::{Command, Data};

/// Every history of the run.
#[derive(Debug, Default)]
pub(super) struct Past {
    histories: BTreeMap<ReplId, Line>,
}

#[derive(Debug)]
struct Line {
    base: Data,
    from: u64,
    /// Commands, each with the offset behind it.
    commands: Vec<(u64, Command)>,
}

impl Past {
    /// A history begins with this data.
    pub(super) fn begin(&mut self, at: Position, base: Data) {
        let line = Line { base, from: at.offset, commands: Vec::new() };
        assert!(self.histories.insert(at.replid, line).is_none(), "a history begins once");
    }

    /// It goes on.
    pub(super) fn wrote(&mut self, replid: ReplId, end: u64, command: Command) {
        let line = self.histories.get_mut(&replid).expect("it has begun");
        line.commands.push((end, command));
    }

    /// The data at a position.
    pub(super) fn at(&self, position: Position) -> Data {
        let line = &self.histories[&position.replid];
        assert!(line.from <= position.offset, "{position:?} before the history begins");
        let mut data = line.base.clone();
        let commands = line.commands.iter().take_while(|(end, _)| *end <= position.offset);
        commands.for_each(|(_, command)| command.run(&mut data));
        data
    }

    /// That each shard holds exactly what its position says; without one, what it has of `base`.
    pub(super) fn check_exact(
        &self,
        data: &Data,
        positions: &[Option<Position>],
        base: &Data,
    ) -> Result<(), Violation> {
        for (index, position) in positions.iter().enumerate() {
            let own = |of: &Data| part(of, index, positions.len());
            let want = position.map_or_else(|| base.clone(), |position| self.at(position));
            if own(data) != own(&want) {
                let what = format!("{:?} instead of {:?}", own(data), own(&want));
                return Err(Violation::Inexact { at: format!("shard {index} at {position:?}"), what });
            }
        }
        Ok(())
    }

    /// That what was promised is there: each shard is at it, or nothing of the shard lies between; or it stands already in the history
    /// `next`, which goes on from it.
    pub(super) fn has(
        &self,
        positions: &[Option<Position>],
        promised: Position,
        next: Option<ReplId>,
    ) -> bool {
        let shards = positions.len();
        positions.iter().enumerate().all(|(index, position)| {
            position.is_some_and(|position| {
                if next == Some(position.replid) {
                    return true;
                }
                position.replid == promised.replid
                    && !self.histories[&promised.replid].commands.iter().any(|(end, command)| {
                        let is_own = command.keys().any(|key| shard_of(key, shards) == index);
                        is_own && *end > position.offset && *end <= promised.offset
                    })
            })
        })
    }
}

/// What a shard has of the data.
pub(super) fn part(data: &Data, shard: usize, shards: usize) -> Data {
    let own = data.iter().filter(|(key, _)| shard_of(**key, shards) == shard);
    own.map(|(key, value)| (*key, *value)).collect()
}

/// Whose a key is.
pub(super) fn shard_of(key: u32, shards: usize) -> usize {
    key as usize % shards
}
