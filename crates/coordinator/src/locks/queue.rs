//! The queue of one lock: who holds it, and who waits, first come, first served.

use std::collections::VecDeque;

/// What is asked of one lock. Only the lock of the whole shard knows the two intents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// Some key of this shard will be read.
    IntentShared,
    /// Some key of this shard will be written.
    IntentExclusive,
    /// All that the lock covers is read.
    Shared,
    /// All that the lock covers is written.
    Exclusive,
}

const LEVELS: [Level; 4] = [Level::IntentShared, Level::IntentExclusive, Level::Shared, Level::Exclusive];

impl Level {
    pub(super) fn conflicts_with(self, other: Level) -> bool {
        use Level::{Exclusive, IntentExclusive, IntentShared, Shared};
        match (self, other) {
            (Exclusive, _) | (_, Exclusive) => true,
            (IntentExclusive, Shared) | (Shared, IntentExclusive) => true,
            (IntentShared | IntentExclusive, IntentShared | IntentExclusive) => false,
            (Shared, Shared | IntentShared) | (IntentShared, Shared) => false,
        }
    }
}

/// Holders are only counted; waiters stand in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Queue {
    held: [u32; LEVELS.len()],
    awaited: [u32; LEVELS.len()],
    waiting: VecDeque<(usize, Level)>,
}

impl Queue {
    /// Whether a claim that came now would conflict with nobody, holder or waiter.
    pub(super) fn has_room(&self, level: Level) -> bool {
        LEVELS.iter().all(|&other| {
            self.held[other as usize] + self.awaited[other as usize] == 0 || !level.conflicts_with(other)
        })
    }

    /// Takes its place; says whether it holds the lock.
    pub(super) fn enter(&mut self, claim: usize, level: Level) -> bool {
        let has_room = self.has_room(level);
        if has_room {
            self.held[level as usize] += 1;
        } else {
            self.awaited[level as usize] += 1;
            self.waiting.push_back((claim, level));
        }
        has_room
    }

    /// So many hold it, and nobody waits: how a queue begins that was none before.
    pub(super) fn hold(&mut self, level: Level, count: u32) {
        debug_assert!(self.is_empty(), "a queue that is in use");
        self.held[level as usize] = count;
    }

    /// A claim goes; `gave_up`: it may be waiting. Those who hold the lock now are given to `grant`.
    pub(super) fn quit(&mut self, claim: usize, level: Level, gave_up: bool, mut grant: impl FnMut(usize)) {
        if gave_up {
            self.give_up(claim, level);
        } else {
            self.held[level as usize] -= 1;
        }
        while let Some(next) = self.advance() {
            grant(next);
        }
    }

    /// A claim gives up, whether it holds this lock or waits for it. Walks over those who wait.
    fn give_up(&mut self, claim: usize, level: Level) {
        match self.waiting.iter().position(|waiter| waiter.0 == claim) {
            Some(place) => {
                self.waiting.remove(place);
                self.awaited[level as usize] -= 1;
            }
            None => self.held[level as usize] -= 1,
        }
    }

    /// Grants the lock to the first who waits, if it conflicts with no holder.
    fn advance(&mut self) -> Option<usize> {
        let &(claim, level) = self.waiting.front()?;
        let is_blocked =
            LEVELS.iter().any(|&other| self.held[other as usize] > 0 && level.conflicts_with(other));
        if is_blocked {
            return None;
        }
        self.waiting.pop_front();
        self.awaited[level as usize] -= 1;
        self.held[level as usize] += 1;
        Some(claim)
    }

    /// Whether nobody holds it and nobody waits.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.held == [0; LEVELS.len()] && self.waiting.is_empty()
    }
}
