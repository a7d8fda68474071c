//! One client's own subscriptions.

use crate::directory::EntryId;
use crate::{KINDS, Kind, Subscriptions};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// What a client of this core is subscribed to.
#[derive(Debug, Default)]
pub(crate) struct Member {
    /// By [`Kind`].
    joined: [HashMap<EntryId, Joined, FixedState>; 5],
    /// The number of its next subscription.
    next: u64,
    bytes: usize,
}

#[derive(Clone, Copy, Debug)]
struct Joined {
    /// Its position among the name's subscribers.
    position: u32,
    /// Subscriptions are numbered in their order.
    number: u64,
}

impl Member {
    #[inline]
    pub(crate) fn has(&self, kind: Kind, id: EntryId) -> bool {
        self.joined[kind as usize].contains_key(&id)
    }

    pub(crate) fn join(&mut self, kind: Kind, id: EntryId, position: u32, name_len: usize) {
        let joined = Joined { position, number: self.next };
        self.next += 1;
        self.bytes += name_len + SUBSCRIPTION_BYTES;
        let before = self.joined[kind as usize].insert(id, joined);
        debug_assert!(before.is_none(), "a subscription is entered once");
    }

    /// Forgets a subscription, and gives its position; `None` when there is none.
    pub(crate) fn leave(&mut self, kind: Kind, id: EntryId, name_len: usize) -> Option<u32> {
        let joined = self.joined[kind as usize].remove(&id)?;
        self.bytes -= name_len + SUBSCRIPTION_BYTES;
        Some(joined.position)
    }

    /// It stands at another position among the name's subscribers.
    pub(crate) fn moved(&mut self, kind: Kind, id: EntryId, position: u32) {
        let joined = self.joined[kind as usize].get_mut(&id);
        joined.expect("who moved is subscribed").position = position;
    }

    pub(crate) fn in_order(&self, kind: Kind) -> Vec<EntryId> {
        let mut ids: Vec<(u64, EntryId)> =
            self.joined[kind as usize].iter().map(|(id, joined)| (joined.number, *id)).collect();
        ids.sort_unstable_by_key(|(number, _)| *number);
        ids.into_iter().map(|(_, id)| id).collect()
    }

    /// Whether it has joined nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.joined.iter().all(HashMap::is_empty)
    }

    pub(crate) fn subscriptions(&self) -> Subscriptions {
        let [channels, patterns, shards, ..] = KINDS.map(|kind| self.joined[kind as usize].len() as u32);
        Subscriptions { channels, patterns, shards, bytes: self.bytes }
    }
}

/// What a subscription takes besides its name, here and in the directory.
const SUBSCRIPTION_BYTES: usize = 64;
