//! What a transaction over several shards has done, on its way into the journal of its home.
//!
//! ```text
//!   a shard that takes part                    home
//!   its part runs, its effects are cut out ──► Done ──► Deeds, of all parts
//!                                              all have run, all locks are held: the number, the whole record
//!   the marker, the release  ◄──────────────── Release, with the number
//! ```
//!
//! See docs/decisions/0017-durability.md for why this is right.

use super::Record;
use crate::node::Node;
use commands::Core;
use commands::effects::{Cut, Draft};
use coordinator::shards::ShardSet;
use std::sync::atomic::Ordering::Relaxed;
use stdx::{Args, DbIndex, ShardId};

/// What one part did.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) cut: Cut,
    /// Its effects, if they are written out.
    pub(crate) effects: Vec<u8>,
    /// The number under which it is journalled already, or 0.
    pub(crate) number: u64,
}

/// What all parts did.
#[derive(Debug, Default)]
pub(crate) struct Deeds {
    draft: Draft,
    /// The shards that have changed something.
    pub(crate) wrote: ShardSet,
}

impl Deeds {
    /// A shard's part did this.
    pub(crate) fn add(&mut self, shard: ShardId, effects: &[u8]) {
        if !effects.is_empty() {
            self.wrote.insert(shard);
            self.draft.add(effects);
        }
    }

    /// A shard's part, which did this, says no more.
    pub(crate) fn add_command(&mut self, shard: ShardId, db: DbIndex, args: Args<'_>) {
        self.wrote.insert(shard);
        self.draft.add_command(db, args);
    }

    /// Replicas alone are told this, behind what was done before.
    pub(crate) fn tell(&mut self, told: &[u8]) {
        self.draft.tell_again(told);
    }

    /// Journals all of it, now that all locks of the transaction are held; it touched `shards`. Returns the number for the
    /// markers of the others; 0 when they need none, because nothing was done, or by home alone: that is a plain record.
    pub(crate) fn journal(&mut self, node: &Node, core: &mut Core, shards: &ShardSet) -> u64 {
        if self.wrote.is_empty() {
            core.effects.draft().tell_again(&self.draft.take_told());
            return 0;
        }
        let others = shards.without(&ShardSet::one(node.id));
        self.draft.finish_unit();
        let number = if others.is_empty() {
            core.effects.draft().add_draft(&self.draft);
            0
        } else {
            let number = node.control.next_tx.fetch_add(1, Relaxed);
            let for_replicas = self.draft.finished_for_replicas();
            let (commands, for_replicas) = (self.draft.finish(), for_replicas.as_deref());
            node.journal.add(core, Record::Whole { number, shards: &others, commands, for_replicas });
            node.journal.message(self.draft.told());
            number
        };
        self.clear();
        number
    }

    /// Begins anew.
    pub(crate) fn clear(&mut self) {
        self.draft.clear();
        self.wrote = ShardSet::EMPTY;
    }
}

/// Puts the marker of a transaction into the journal of a shard that takes part, if it has one: before its locks go.
#[inline]
pub(crate) fn mark(node: &Node, core: &mut Core, number: u64, home: ShardId) {
    if number != 0 && home != node.id {
        node.journal.add(core, Record::Marker { number, home });
    }
}
