//! Who waits for which key of this shard: the clients that blocking commands have parked, in the order in which they came.
//!
//! ```text
//!   key a ─┬─ lists   ── w1 ── w4 ── w7          each waiter stands once in the line of each of its keys;
//!          └─ group g ── w5                      it leaves all of them at once
//!   key b ─── lists   ── w2 ── w4
//! ```
//!
//! A line is for one key and one kind of thing that may come there, so the first in it can use what comes, or nobody can:
//! serving one never walks over others. A waiter that cannot be served here alone, because it has keys on other shards, is
//! *offered* the key: its home runs the command anew, and meanwhile the lines that it was offered stand still, so that
//! nobody behind it is served first.
//!
//! This only keeps the lines. [`crate::serve`] runs the commands.

use commands::{ClientSlot, Wanted};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use stdx::{DbIndex, ShardId};

/// A waiter's name: no client waits twice at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WaiterId {
    /// The core that its client is connected to.
    pub home: ShardId,
    /// The client's place there.
    pub client: ClientSlot,
}

/// A waiter's place in all of its lines: the lower, the earlier it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// One key and what is wanted there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineName {
    /// The key's database.
    pub db: DbIndex,
    /// The key.
    pub key: Box<[u8]>,
    /// What comes there.
    pub wanted: Wanted,
}

/// What changed about the keys that somebody waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The first waiter for this key has come.
    Awaited(DbIndex, Box<[u8]>),
    /// The last has gone.
    Forgotten(DbIndex, Box<[u8]>),
}

/// All waiters of one shard; `W` is what is to be known of one to serve it.
#[derive(Debug)]
pub struct Waiters<W> {
    waiters: BTreeMap<Ticket, Waiter<W>>,
    tickets: HashMap<WaiterId, Ticket>,
    keys: HashMap<DbIndex, HashMap<Box<[u8]>, Lines>>,
    next: u64,
    keys_of_groups: usize,
}

#[derive(Debug)]
struct Waiter<W> {
    id: WaiterId,
    db: DbIndex,
    keys: Vec<Box<[u8]>>,
    wanted: Wanted,
    is_offered: bool,
    what: W,
}

/// The lines at one key.
type Lines = BTreeMap<Wanted, Line>;

#[derive(Debug, Default)]
struct Line {
    waiting: BTreeSet<Ticket>,
    /// Who was offered the key, and has not answered.
    offered: Option<Ticket>,
}

impl<W> Default for Waiters<W> {
    fn default() -> Self {
        Self {
            waiters: BTreeMap::new(),
            tickets: HashMap::new(),
            keys: HashMap::new(),
            next: 0,
            keys_of_groups: 0,
        }
    }
}

impl<W> Waiters<W> {
    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiters.len()
    }

    /// How many keys somebody waits for who wants to know when the key goes.
    pub fn keys_of_groups(&self) -> usize {
        self.keys_of_groups
    }

    /// Puts a waiter at the end of the lines of its keys, which may name one twice. Panics when it waits already.
    pub fn enter(
        &mut self,
        id: WaiterId,
        db: DbIndex,
        keys: Vec<Box<[u8]>>,
        wanted: Wanted,
        what: W,
        notices: &mut Vec<Notice>,
    ) {
        let ticket = Ticket(self.next);
        self.next += 1;
        let known = self.tickets.insert(id, ticket);
        assert!(known.is_none(), "{id:?} waits twice");
        let lines_of = self.keys.entry(db).or_default();
        let mut own: Vec<Box<[u8]>> = Vec::new();
        for key in keys {
            if !lines_of.contains_key(&key) {
                lines_of.insert(key.clone(), BTreeMap::new());
                notices.push(Notice::Awaited(db, key.clone()));
            }
            let lines = lines_of.get_mut(&key).expect("there or just inserted");
            if is_group(&wanted) && !lines.keys().any(is_group) {
                self.keys_of_groups += 1;
            }
            if lines.entry(wanted.clone()).or_default().waiting.insert(ticket) {
                own.push(key);
            }
        }
        self.waiters.insert(ticket, Waiter { id, db, keys: own, wanted, is_offered: false, what });
    }

    /// Takes a waiter out of all its lines; `None` when it does not wait. What stood still for its sake, and is to be
    /// served from the start, is added to `stirred`.
    pub fn leave(
        &mut self,
        id: WaiterId,
        notices: &mut Vec<Notice>,
        stirred: &mut Vec<LineName>,
    ) -> Option<W> {
        let ticket = self.tickets.remove(&id)?;
        let Waiter { db, keys, wanted, what, .. } = self.waiters.remove(&ticket).expect("as its ticket says");
        let lines_of = self.keys.get_mut(&db).expect("a waiter stands in lines");
        for key in keys {
            let lines = lines_of.get_mut(&key).expect("a waiter stands in the lines of its keys");
            let line = lines.get_mut(&wanted).expect("a waiter stands in the line of what it wants");
            line.waiting.remove(&ticket);
            if line.offered == Some(ticket) {
                line.offered = None;
                stirred.push(LineName { db, key: key.clone(), wanted: wanted.clone() });
            }
            if line.waiting.is_empty() {
                lines.remove(&wanted);
                if is_group(&wanted) && !lines.keys().any(is_group) {
                    self.keys_of_groups -= 1;
                }
            }
            if lines.is_empty() {
                lines_of.remove(&key);
                notices.push(Notice::Forgotten(db, key));
            }
        }
        if lines_of.is_empty() {
            self.keys.remove(&db);
        }
        Some(what)
    }

    /// What is wanted at a key, in no particular order.
    pub fn wanted(&self, db: DbIndex, key: &[u8]) -> impl Iterator<Item = &Wanted> {
        self.keys.get(&db).and_then(|lines_of| lines_of.get(key)).into_iter().flat_map(BTreeMap::keys)
    }

    /// The first in a line, or the first behind `after`. `None` too while the line stands still for somebody who was
    /// offered the key.
    pub fn next(&self, name: &LineName, after: Option<Ticket>) -> Option<(Ticket, WaiterId)> {
        let line = self.keys.get(&name.db)?.get(&name.key)?.get(&name.wanted)?;
        if line.offered.is_some() {
            return None;
        }
        let behind = after.map_or(Bound::Unbounded, Bound::Excluded);
        let ticket = *line.waiting.range((behind, Bound::Unbounded)).next()?;
        Some((ticket, self.waiters[&ticket].id))
    }

    /// Whether somebody stands in a line before this one, which may not stand there itself.
    pub fn has_before(&self, db: DbIndex, key: &[u8], wanted: &Wanted, id: WaiterId) -> bool {
        let lines = self.keys.get(&db).and_then(|lines_of| lines_of.get(key));
        let first = lines.and_then(|lines| lines.get(wanted)?.waiting.first());
        first.is_some_and(|first| self.tickets.get(&id) != Some(first))
    }

    /// What is known of a waiter.
    pub fn get(&self, id: WaiterId) -> Option<&W> {
        Some(&self.waiters.get(self.tickets.get(&id)?)?.what)
    }

    /// Whether some key is offered to this waiter, and it has not answered.
    pub fn is_offered(&self, id: WaiterId) -> bool {
        self.tickets.get(&id).is_some_and(|ticket| self.waiters[ticket].is_offered)
    }

    /// Offers a key to a waiter that stands in that line: the line stands still until [`Waiters::decline`] or
    /// [`Waiters::leave`]. Says whether this is news to the waiter: one offer for all of its keys is enough.
    pub fn offer(&mut self, id: WaiterId, key: &[u8]) -> bool {
        let ticket = self.tickets[&id];
        let waiter = self.waiters.get_mut(&ticket).expect("as its ticket says");
        let line =
            self.keys.get_mut(&waiter.db).and_then(|lines_of| lines_of.get_mut(key)?.get_mut(&waiter.wanted));
        line.expect("a key is offered to who waits for it").offered = Some(ticket);
        !std::mem::replace(&mut waiter.is_offered, true)
    }

    /// The waiter had no use for what it was offered and stays in its lines; those behind it in each are next. Returns
    /// the lines and its place. Nothing when it does not wait.
    pub fn decline(&mut self, id: WaiterId) -> (Option<Ticket>, Vec<LineName>) {
        let Some(&ticket) = self.tickets.get(&id) else { return (None, Vec::new()) };
        let waiter = self.waiters.get_mut(&ticket).expect("as its ticket says");
        waiter.is_offered = false;
        let lines_of = self.keys.get_mut(&waiter.db).expect("a waiter stands in lines");
        let mut stirred = Vec::new();
        for key in &waiter.keys {
            let line = lines_of.get_mut(key).and_then(|lines| lines.get_mut(&waiter.wanted));
            let line = line.expect("a waiter stands in the lines of its keys");
            if line.offered.take_if(|offered| *offered == ticket).is_some() {
                stirred.push(LineName { db: waiter.db, key: key.clone(), wanted: waiter.wanted.clone() });
            }
        }
        (Some(ticket), stirred)
    }
}

fn is_group(wanted: &Wanted) -> bool {
    matches!(wanted, Wanted::Group(_))
}

#[cfg(test)]
mod tests;
