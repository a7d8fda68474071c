//! What clients do next.

use super::abilities::Abilities;
use super::keys::{Keys, Kind};
use super::task::{Item, Shape, Task};
use sim::elle::Key;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use stdx::rng::Rng;

/// Draws tasks. What one draws depends on what others have drawn, for the keys move on.
pub(super) struct Draw<'a> {
    pub(super) keys: &'a Keys,
    /// The next value that nobody has written.
    pub(super) values: &'a AtomicU32,
    pub(super) abilities: Abilities,
    pub(super) rng: Rng,
}

const KINDS: [Kind; 3] = [Kind::List, Kind::Text, Kind::Register];

impl Draw<'_> {
    /// What is sent in one go: half of the time one task, else a pipeline.
    pub(super) fn batch(&mut self) -> Vec<Task> {
        let len = if self.rng.one_in(2) { 1 } else { 2 + self.rng.below(PIPELINE_MAX - 1) };
        (0..len).map(|_| self.task()).collect()
    }

    fn task(&mut self) -> Task {
        let items = 2 + self.rng.below(ITEMS_MAX - 1);
        let (shape, items) = match self.rng.below(12) {
            0 => (Shape::Mset, (0..items).map(|_| self.write(Kind::Register)).collect()),
            1 | 2 => (Shape::Mget, self.mget(items)),
            3 | 4 if self.abilities.transactions => (Shape::Exec, self.items(items)),
            5 if self.abilities.scripts => (Shape::Script, self.items(items)),
            6 if self.abilities.scripts => (Shape::WildScript, self.items(items)),
            _ => (Shape::Single, self.items(1)),
        };
        Task { shape, items, seen: Vec::new() }
    }

    /// Keys to watch, the first of which is about to be written.
    pub(super) fn watched(&mut self) -> Vec<Key> {
        let kinds: Vec<Kind> = (0..=self.rng.below(WATCHED_MAX)).map(|_| *self.rng.pick(&KINDS)).collect();
        let first = self.keys.to_write(kinds[0], &mut self.rng);
        let mut watched = vec![first];
        for &kind in &kinds[1..] {
            let key = self.keys.to_read(kind, &mut self.rng);
            if !watched.contains(&key) {
                watched.push(key);
            }
        }
        watched
    }

    /// What an operation does that has watched and read keys, the first of them this.
    pub(super) fn after_watch(&mut self, watched: Key) -> Vec<Item> {
        let mut items = vec![Item::Write(watched, self.value())];
        if self.rng.one_in(2) {
            items.extend(self.items(1));
        }
        items
    }

    fn items(&mut self, count: u64) -> Vec<Item> {
        (0..count).map(|_| self.item()).collect()
    }

    fn item(&mut self) -> Item {
        let kind = *self.rng.pick(&KINDS);
        match self.rng.below(5) {
            0 if kind == Kind::Register => Item::Swap(self.keys.to_write(kind, &mut self.rng), self.value()),
            0..=2 => self.write(kind),
            _ => Item::Read(self.keys.to_read(kind, &mut self.rng)),
        }
    }

    fn write(&mut self, kind: Kind) -> Item {
        Item::Write(self.keys.to_write(kind, &mut self.rng), self.value())
    }

    fn mget(&mut self, count: u64) -> Vec<Item> {
        let mut kind = || if self.rng.one_in(2) { Kind::Text } else { Kind::Register };
        let kinds: Vec<Kind> = (0..count).map(|_| kind()).collect();
        kinds.into_iter().map(|kind| Item::Read(self.keys.to_read(kind, &mut self.rng))).collect()
    }

    fn value(&self) -> u32 {
        self.values.fetch_add(1, Relaxed)
    }
}

const PIPELINE_MAX: u64 = 12;
const ITEMS_MAX: u64 = 4;
const WATCHED_MAX: u64 = 3;
