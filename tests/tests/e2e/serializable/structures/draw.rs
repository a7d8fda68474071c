//! What clients of a group do next.

use super::super::abilities::Abilities;
use super::command::{Command, End, Key, Kind, kind_of};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use stdx::rng::Rng;

/// How commands become an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// One command.
    Single,
    /// Between MULTI and EXEC.
    Exec,
    /// By a script that names commands and keys.
    Script,
    /// By one that does not.
    WildScript,
}

/// Draws operations.
pub(super) struct Draw<'a> {
    pub(super) values: &'a AtomicU32,
    pub(super) abilities: Abilities,
    pub(super) rng: Rng,
}

impl Draw<'_> {
    /// What is sent in one go.
    pub(super) fn batch(&mut self) -> Vec<(Shape, Vec<Command>)> {
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

    fn command(&mut self) -> Command {
        match self.rng.below(10) {
            0..=3 => self.of_lists(),
            4..=6 => self.of_texts(),
            7 | 8 => self.of_sets(),
            _ => self.of_any(),
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

    fn of_any(&mut self) -> Command {
        let kind = [Kind::Text, Kind::List, Kind::Set][self.rng.index(3)];
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
        5 + self.rng.below(40)
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

/// Keys of a group, a third of each kind.
pub(super) const KEYS: Key = 9;
const TTL_MS_MAX: u64 = 60;
