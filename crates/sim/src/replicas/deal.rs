//! A master's stream, dealt to the shards, which run apart.
//!
//! What a shard runs at once is one record, with the position behind it: that is what an EXEC is to a shard. A command of several shards
//! waits until all before it have run there, and is one whole record for all of them.

use std::collections::VecDeque;

use replication::{Position, ReplId};

use crate::replicas::past::shard_of;
use crate::replicas::toy::{COMMAND_LEN, Command};

/// What is on its way to the shards.
#[derive(Debug)]
pub(super) struct Deal {
    replid: ReplId,
    /// By shard: commands, each with the offset behind it.
    queues: Vec<VecDeque<(u64, Command)>>,
    /// The offset behind the last command that was dealt.
    dealt: u64,
    /// The beginning of a command.
    begun: Vec<u8>,
}

/// What the stream has next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing whole.
    Nothing,
    /// One shard has it to do.
    Queued,
    /// All these shards must be done with what they have, and then run it together.
    Wide(Vec<usize>, u64, Command),
    /// It is no command.
    Torn,
}

impl Deal {
    pub(super) fn begin(at: Position, shards: usize) -> Self {
        let queues = vec![VecDeque::new(); shards];
        Self { replid: at.replid, queues, dealt: at.offset, begun: Vec::new() }
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.begun.extend_from_slice(bytes);
    }

    /// Takes the next command out of what was fed; one that its shards have run already goes nowhere.
    pub(super) fn next(&mut self, positions: &[Option<Position>]) -> Next {
        let Some(bytes) = self.begun.first_chunk::<COMMAND_LEN>() else { return Next::Nothing };
        let Some(command) = Command::decode(bytes) else { return Next::Torn };
        self.begun.drain(..COMMAND_LEN);
        self.dealt += COMMAND_LEN as u64;
        let end = self.dealt;
        let shards = shards_of(command, self.queues.len());
        let has_run =
            |shard: &usize| positions[*shard].is_some_and(|at| at.replid == self.replid && at.offset >= end);
        let done = shards.iter().filter(|shard| has_run(shard)).count();
        assert!(done == 0 || done == shards.len(), "some have run {command:?} at {end}: {positions:?}");
        if done > 0 {
            return Next::Queued;
        }
        match shards[..] {
            [shard] => {
                self.queues[shard].push_back((end, command));
                Next::Queued
            }
            _ => Next::Wide(shards, end, command),
        }
    }

    /// Up to `most` commands that a shard has to run, with the offset behind the last.
    pub(super) fn take(&mut self, shard: usize, most: usize) -> (Vec<Command>, u64) {
        let queue = &mut self.queues[shard];
        let taken: Vec<(u64, Command)> = queue.drain(..most.min(queue.len())).collect();
        let end = taken.last().map_or(0, |(end, _)| *end);
        (taken.into_iter().map(|(_, command)| command).collect(), end)
    }

    /// Shards that have something to do.
    pub(super) fn busy(&self) -> Vec<usize> {
        (0..self.queues.len()).filter(|shard| !self.queues[*shard].is_empty()).collect()
    }

    /// Everything before this was run, on all shards.
    pub(super) fn run(&self) -> u64 {
        let first = self.queues.iter().filter_map(|queue| queue.front());
        first.map(|(end, _)| end - COMMAND_LEN as u64).min().unwrap_or(self.dealt)
    }

    /// The offset behind the last command that was dealt.
    pub(super) fn dealt(&self) -> u64 {
        self.dealt
    }

    /// What a shard has run.
    pub(super) fn position(&self, shard: usize) -> Position {
        let first = self.queues[shard].front();
        let offset = first.map_or(self.dealt, |(end, _)| end - COMMAND_LEN as u64);
        Position { replid: self.replid, offset }
    }

    /// The stream has ended: the beginning of a command is none.
    pub(super) fn end(&mut self) {
        self.begun.clear();
    }
}

fn shards_of(command: Command, shards: usize) -> Vec<usize> {
    let mut own: Vec<usize> = command.keys().map(|key| shard_of(key, shards)).collect();
    own.sort_unstable();
    own.dedup();
    own
}
