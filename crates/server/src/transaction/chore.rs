//! What a held transaction locks, and what a shard does for it in a stage.

use super::{OrderPart, Work, name};
use crate::dispatch::{is_slow, note_slow};
use crate::exec::{have_changed, make_room, run_queue};
use crate::hop::Item;
use crate::journal::deeds::Done;
use crate::node::{Node, State};
use commands::transaction::{Queue, Watched};
use commands::{Caller, effects};
use coordinator::locks::{Claim, KeyName, Mode, Scope};
use coordinator::shards::ShardSet;
use std::collections::BTreeMap;
use std::sync::Arc;
use stdx::{DbIndex, ShardId, UnixMs};

/// The locks of a held transaction.
pub(crate) struct Locks {
    mode: Mode,
    /// Its clock, the same on all shards.
    pub(super) now: UnixMs,
    /// By shard; a shard without names is locked whole.
    names: BTreeMap<ShardId, Vec<KeyName>>,
    /// While a snapshot is taken: the keys themselves.
    keys: Option<Keys>,
}

/// Keys of one database, each with its shard.
struct Keys {
    db: DbIndex,
    keys: Vec<(ShardId, Box<[u8]>)>,
}

/// What one shard does in a stage.
#[derive(Clone)]
pub(super) enum Chore {
    /// There is no stage yet.
    Nothing,
    /// Its part of a command, or of a loan.
    Command(Arc<Work>),
    /// These commands.
    List(Arc<List>),
    /// It tells whether one of these keys has changed.
    Watches(Arc<Vec<Watched>>),
}

/// Commands that one shard runs one after the other.
pub(crate) struct List {
    pub(super) queue: Queue,
    pub(super) caller: Caller,
    pub(super) now: UnixMs,
}

impl Locks {
    /// All shards, each as a whole.
    pub(crate) fn whole(shards: u16, mode: Mode, now: UnixMs) -> Self {
        let names = (0..shards).map(|shard| (ShardId(shard), Vec::new())).collect();
        Self { mode, now, names, keys: None }
    }

    /// No key; they are added.
    pub(crate) fn none(mode: Mode, now: UnixMs) -> Self {
        Self { mode, now, names: BTreeMap::new(), keys: None }
    }

    /// Keeps the keys themselves too, which are of database `db`.
    pub(crate) fn keep_keys(mut self, db: DbIndex) -> Self {
        self.keys = Some(Keys { db, keys: Vec::new() });
        self
    }

    /// The keys of `shard` and their database, if they are kept.
    pub(super) fn keys(&self, shard: ShardId) -> Option<(DbIndex, impl Iterator<Item = &[u8]>)> {
        let Keys { db, keys } = self.keys.as_ref()?;
        Some((*db, keys.iter().filter(move |(of, _)| *of == shard).map(|(_, key)| &**key)))
    }

    /// Adds a key of `shard`.
    pub(crate) fn add(&mut self, shard: ShardId, key: &[u8]) {
        self.names.entry(shard).or_default().push(name(key));
        if let Some(kept) = &mut self.keys {
            kept.keys.push((shard, key.into()));
        }
    }

    /// Whether it may change what it has locked.
    pub(super) fn is_exclusive(&self) -> bool {
        self.mode == Mode::Exclusive
    }

    /// Whether no key was added.
    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The shards that have keys.
    pub(crate) fn shards(&self) -> ShardSet {
        self.names.keys().copied().collect()
    }

    /// What is locked on `shard`; `None` when nothing is.
    pub(super) fn claim(&self, shard: ShardId) -> Option<Claim<'_>> {
        let names = self.names.get(&shard)?;
        let scope = if names.is_empty() { Scope::Whole } else { Scope::Keys(names) };
        Some(Claim { scope, mode: self.mode })
    }
}

/// Does a chore of this shard, of those that are no command's part. A list's reply is that of [`replies`].
pub(super) fn perform(
    node: &Node,
    state: &mut State,
    chore: &Chore,
    part: &OrderPart,
    reply: &mut Vec<u8>,
) -> Done {
    match chore {
        Chore::List(list) => return run_list(node, state, list, part, reply),
        Chore::Watches(watched) => {
            let now = part.task.now();
            let changed = have_changed(&mut state.core, watched, now);
            reply.push(u8::from(changed));
        }
        Chore::Nothing | Chore::Command(_) => unreachable!("not told to run"),
    }
    Done::default()
}

/// The replies one after the other, and behind them where each ends.
fn run_list(node: &Node, state: &mut State, list: &List, part: &OrderPart, reply: &mut Vec<u8>) -> Done {
    make_room(&mut state.core, &list.queue, list.now);
    effects::begin_unit(&mut state.core);
    let mut ends: Vec<u8> = Vec::with_capacity(list.queue.len() * size_of::<u64>());
    run_queue(
        &mut state.core,
        &list.queue,
        list.caller,
        (node.ticks.get(), list.now),
        reply,
        &mut |core, ran| {
            ends.extend((ran.end as u64).to_le_bytes());
            let queued = list.queue.get(ran.index);
            if !is_slow(core, queued.command, ran.nanos, list.now) {
            } else if part.home == node.id {
                note_slow(core, queued.command, queued.args, ran.nanos, part.client, list.now);
            } else {
                let slow = Item::slow(queued.command, part.client, queued.args, ran.nanos);
                node.mailbox.outbox(part.home.index(), |hop| hop.say(slow));
            }
        },
    );
    reply.extend(ends);
    let mut done = Done::default();
    // What only reads is not held back by the journal; its effects are those of keys that have expired on its way.
    if part.task.is_exclusive() {
        done.cut = effects::cut_unit(&mut state.core, &mut done.effects);
    } else {
        effects::end_unit(&mut state.core);
    }
    done
}

/// The replies to a list of `len` commands, apart.
pub(super) fn replies(reply: &[u8], len: usize) -> impl Iterator<Item = &[u8]> {
    let (replies, ends) = reply.split_at(reply.len() - len * size_of::<u64>());
    let (ends, _) = ends.as_chunks::<{ size_of::<u64>() }>();
    let mut start = 0;
    ends.iter().map(move |end| {
        let end = u64::from_le_bytes(*end) as usize;
        &replies[std::mem::replace(&mut start, end)..end]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_of_a_list_come_apart() {
        let ends = [5u64, 5, 9].map(u64::to_le_bytes).concat();
        let reply = [b"+OK\r\n:1\r\n", &ends[..]].concat();
        let apart: Vec<&[u8]> = replies(&reply, 3).collect();
        assert_eq!(apart, [b"+OK\r\n" as &[u8], b"", b":1\r\n"]);
        assert_eq!(replies(b"", 0).count(), 0);
    }

    #[test]
    fn a_shard_is_locked_by_its_keys_or_whole() {
        let whole = Locks::whole(2, Mode::Shared, UnixMs(0));
        assert_eq!(whole.shards().len(), 2);
        assert_eq!(whole.claim(ShardId(1)), Some(Claim { scope: Scope::Whole, mode: Mode::Shared }));
        assert_eq!(whole.claim(ShardId(2)), None);
        let mut locks = Locks::none(Mode::Exclusive, UnixMs(0));
        locks.add(ShardId(1), b"k");
        assert_eq!(locks.shards(), ShardSet::one(ShardId(1)));
        let claim = locks.claim(ShardId(1)).expect("it has a key");
        assert_eq!(claim.scope, Scope::Keys(&[name(b"k")]));
    }
}
