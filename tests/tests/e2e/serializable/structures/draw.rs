//! What clients of a group do next.

use super::super::abilities::Abilities;
use super::command::{Command, End, KINDS, Key, Kind, kind_of};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use stdx::rng::Rng;

/// How commands become an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// One command.
    Single,
    /// Between MULTI and EXEC.
    Exec,
    /// The same, of a client that has watched keys and looked at them before.
    Watched,
    /// By a script that names commands and keys.
    Script,
    /// By one that does not.
    WildScript,
}

impl Shape {
    /// Whether each of its commands is answered +QUEUED, and all at the end.
    pub(super) fn is_queued(self) -> bool {
        matches!(self, Shape::Exec | Shape::Watched)
    }
}

/// What a group is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mix {
    /// All commands.
    Everything,
    /// One client sets keys that expire at once, all others look: each core by its own clock.
    Expiry,
    /// Lists and sorted sets: what is waited for, what wakes, and what takes away meanwhile.
    Waiting,
}

/// Draws operations.
pub(super) struct Draw<'a> {
    pub(super) values: &'a AtomicU32,
    pub(super) abilities: Abilities,
    pub(super) mix: Mix,
    /// Whether this is the first client of its group.
    pub(super) is_first: bool,
    pub(super) rng: Rng,
}

impl Draw<'_> {
    /// What is sent in one go.
    pub(super) fn batch(&mut self) -> Vec<(Shape, Vec<Command>)> {
        if self.mix == Mix::Expiry {
            return vec![(Shape::Single, vec![self.about_expiry()])];
        }
        let len = if self.rng.one_in(6) { 2 + self.rng.below(2) } else { 1 };
        (0..len).map(|_| self.operation()).collect()
    }

    fn operation(&mut self) -> (Shape, Vec<Command>) {
        let count = 2 + self.rng.below(2);
        let shape = match self.rng.below(8) {
            0 if self.abilities.transactions => Shape::Exec,
            1 if self.abilities.scripts => Shape::Script,
            2 if self.abilities.scripts => Shape::WildScript,
            _ => return (Shape::Single, vec![self.command()]),
        };
        let mut commands: Vec<Command> = (0..count).map(|_| self.command()).collect();
        if shape != Shape::Exec {
            // Redis 7.0 refuses them in scripts.
            commands.retain(|command| !command.blocks());
            commands.push(Command::Exists(vec![0, 1]));
        }
        (shape, commands)
    }

    /// Keys to watch.
    pub(super) fn watched(&mut self) -> Vec<Key> {
        let keys: Vec<Key> = (0..=self.rng.below(3)).map(|_| self.rng.below(KEYS.into()) as Key).collect();
        distinct(&keys)
    }

    /// What is done between MULTI and EXEC.
    pub(super) fn transaction(&mut self) -> Vec<Command> {
        (0..=self.rng.below(3)).map(|_| self.command()).collect()
    }

    fn command(&mut self) -> Command {
        if self.mix == Mix::Waiting {
            return match self.rng.below(12) {
                0..=4 => self.of_lists(),
                5..=10 => self.of_scores(),
                _ => self.of_any(),
            };
        }
        match self.rng.below(13) {
            0..=3 => self.of_lists(),
            4..=6 => self.of_texts(),
            7 | 8 => self.of_sets(),
            9..=11 => self.of_scores(),
            _ => self.of_any(),
        }
    }

    fn about_expiry(&mut self) -> Command {
        let keys = [self.key(Kind::Text), self.key(Kind::Text)];
        match self.rng.below(6) {
            _ if self.is_first => Command::SetPx(keys[0], self.value(), 1 + self.rng.below(3)),
            0 | 1 => Command::Get(keys[0]),
            2 => Command::Exists(distinct(&keys)),
            _ => Command::Mget(distinct(&keys)),
        }
    }

    fn of_lists(&mut self) -> Command {
        let (key, other) = (self.key(Kind::List), self.key(Kind::List));
        let (end, side) = (self.end(), self.end());
        match self.rng.below(12) {
            0..=2 => Command::Push(key, end, self.value()),
            3 | 4 => Command::Pop(key, end),
            5 | 6 => Command::Move(key, end, other, side),
            7 if self.abilities.blocking => {
                let keys = if self.rng.one_in(2) { vec![key] } else { distinct(&[key, other]) };
                Command::BlockingPop(keys, end, self.wait_ms())
            }
            8 if self.abilities.blocking => Command::BlockingMove(key, end, other, side, self.wait_ms()),
            _ => Command::Range(key),
        }
    }

    fn of_texts(&mut self) -> Command {
        let key = self.key(Kind::Text);
        let several = distinct(&[key, self.key(Kind::Text), self.key(Kind::Text)]);
        let pairs: Vec<_> = several.iter().map(|&key| (key, self.value())).collect();
        match self.rng.below(14) {
            0 => Command::Set(key, self.value()),
            1 | 2 => Command::SetPx(key, self.value(), 1 + self.rng.below(TTL_MS_MAX)),
            3 => Command::SetNx(key, self.value()),
            4 => Command::GetDel(key),
            5 => Command::Mset(pairs),
            6 | 7 => Command::MsetNx(pairs),
            8..=10 => Command::Mget(several),
            _ => Command::Get(key),
        }
    }

    fn of_sets(&mut self) -> Command {
        let (key, other, third) = (self.key(Kind::Set), self.key(Kind::Set), self.key(Kind::Set));
        // Few members, so that they meet.
        let member = self.rng.below(4) as u32;
        match self.rng.below(9) {
            0 | 1 => Command::Add(key, member),
            2 => Command::Remove(key, member),
            3..=5 => Command::SetMove(key, other, member),
            6 => Command::UnionStore(key, other, third),
            _ => Command::Members(key),
        }
    }

    fn of_scores(&mut self) -> Command {
        let (key, other) = (self.key(Kind::Scores), self.key(Kind::Scores));
        let (end, member, score) = (self.end(), self.rng.below(6) as u32, self.rng.below(4) as u32);
        match self.rng.below(10) {
            0..=2 => Command::Score(key, member, score),
            3 => Command::PopScore(key, end),
            4 => Command::ScoresStore(key, other),
            5 | 6 if self.abilities.blocking => {
                let keys = if self.rng.one_in(2) { vec![key] } else { distinct(&[key, other]) };
                Command::BlockingPopScore(keys, end, self.wait_ms())
            }
            _ => Command::Scores(key),
        }
    }

    fn of_any(&mut self) -> Command {
        let kind = *self.rng.pick(&KINDS);
        let key = self.key(kind);
        let Some(&other) = distinct(&[key, self.key(kind), self.key(kind)]).get(1) else {
            return Command::Persist(key);
        };
        match self.rng.below(10) {
            0 | 1 => Command::Rename(key, other),
            2 => Command::RenameNx(key, other),
            3 | 4 => Command::Copy(key, other, self.rng.one_in(2)),
            5 => Command::Del(vec![key, other]),
            6 => Command::Exists(vec![key, other]),
            7 | 8 => Command::PExpire(key, 1 + self.rng.below(TTL_MS_MAX)),
            _ => Command::Persist(key),
        }
    }

    fn key(&mut self, kind: Kind) -> Key {
        let keys: Vec<Key> = (0..KEYS).filter(|&key| kind_of(key) == kind).collect();
        *self.rng.pick(&keys)
    }

    fn end(&mut self) -> End {
        if self.rng.one_in(2) { End::Left } else { End::Right }
    }

    fn wait_ms(&mut self) -> u64 {
        if self.rng.one_in(4) { 2 * TIMER_SLACK_MS } else { 5 + self.rng.below(10) }
    }

    fn value(&self) -> u32 {
        self.values.fetch_add(1, Relaxed)
    }
}

/// Each key once.
fn distinct(keys: &[Key]) -> Vec<Key> {
    let mut distinct = Vec::new();
    for key in keys {
        if !distinct.contains(key) {
            distinct.push(*key);
        }
    }
    distinct
}

/// Keys of a group, a quarter of each kind.
pub(super) const KEYS: Key = 12;
/// The server counts a wait from when its loop last looked at the clock, which may be before the command was sent, on a
/// machine that is busy with other tests: the wait may end this much earlier.
pub(super) const TIMER_SLACK_MS: u64 = 80;
const TTL_MS_MAX: u64 = 60;
