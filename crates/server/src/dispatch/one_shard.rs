//! Commands whose keys are all on one shard: here, or one hop away.

use super::{Blocked, OUTPUT_STEP_BYTES, Turn, Verdict, hole};
use crate::snapshot;
use crate::transaction::{self, ParkedCommand};
use crate::wait::{self, Call};
use commands::{Caller, CommandRef, Flags, Outcome};
use coordinator::pipeline::Kind;
use shard::WaiterId;
use stdx::{Args, ShardId, Slot};

impl Turn<'_> {
    /// A command whose keys are all on the shard of `slot`.
    #[inline]
    pub(super) fn one_shard(&mut self, command: CommandRef, args: Args<'_>, slot: Slot) -> Verdict {
        let shard = self.node.router.shard_of(slot);
        let signals = command.row.flags.has(Flags::SIGNALS);
        let kind = if signals { Kind::Signal(shard) } else { Kind::Plain(shard) };
        self.on_shard(command, args, slot, shard, kind)
    }

    /// The same for a command of this kind, on this shard.
    #[inline]
    pub(super) fn on_shard(
        &mut self,
        command: CommandRef,
        args: Args<'_>,
        slot: Slot,
        shard: ShardId,
        kind: Kind,
    ) -> Verdict {
        if !self.may_go(kind, command, args) {
            return Verdict::Blocked(Blocked::Order);
        }
        if !self.node.is_home(shard) {
            if !self.has_room() {
                return Verdict::Blocked(Blocked::Order);
            }
            return self.send(command, args, slot, kind, shard);
        }
        snapshot::meet(self.node, self.state, self.caller.db, command, args);
        if !self.state.participant.is_idle() && self.must_park(command, args, slot, kind) {
            return Verdict::Done;
        }
        self.run_here(command, args, Some(slot));
        if self.written > OUTPUT_STEP_BYTES || self.is_long() { Verdict::Pause } else { Verdict::Done }
    }

    /// The same for one that may have its client wait. Nothing follows before it is answered.
    pub(super) fn one_shard_or_wait(&mut self, command: CommandRef, args: Args<'_>, slot: Slot) -> Verdict {
        let (shard, kind) = (self.node.router.shard_of(slot), Kind::Barrier);
        if !self.may_go(kind, command, args) {
            return Verdict::Blocked(Blocked::Order);
        }
        if !self.node.is_home(shard) {
            return self.send(command, args, slot, kind, shard);
        }
        snapshot::meet(self.node, self.state, self.caller.db, command, args);
        if !self.state.participant.is_idle() && self.must_park(command, args, slot, kind) {
            return Verdict::Done;
        }
        let (caller, home) = (*self.caller, self.node.id);
        let id = WaiterId { home, client: self.client };
        wait::reserve(self.state, id, (command, caller), args, self.now);
        let outcome = self.run_here(command, args, Some(slot));
        self.state.core.reserved.clear();
        if outcome == Outcome::Park {
            let sink = self.hole(kind);
            let call = Call { command, caller, args, slot: Some(slot), home, sink };
            let until = wait::park(self.state, &call);
            wait::begin_here(self.node, &mut self.state.core, self.outgoing, sink, until);
        }
        Verdict::Done
    }

    /// Sends a command to the shard that has its key. Its reply will fill a hole in ours.
    fn send(
        &mut self,
        command: CommandRef,
        args: Args<'_>,
        slot: Slot,
        kind: Kind,
        shard: ShardId,
    ) -> Verdict {
        let sink = self.hole(kind);
        let caller = Caller { slot: None, ..*self.caller };
        self.node.mailbox.outbox(shard.index(), |hop| {
            if self.has_large {
                hop.large_command(command, caller, slot, sink, args);
            } else {
                hop.command(command, caller, Some(slot), sink, args);
            }
        });
        self.sent_large = self.has_large.then_some(shard);
        self.last = self.ticks.now();
        Verdict::Done
    }

    /// Whether a command of this core's shard has to wait for locks; if so it is parked, and a hole is left for it.
    #[cold]
    fn must_park(&mut self, command: CommandRef, args: Args<'_>, slot: Slot, kind: Kind) -> bool {
        let (caller, home) = (*self.caller, self.node.id);
        let (client, muted, outgoing) = (self.client, self.muted, &mut *self.outgoing);
        transaction::must_park(
            self.node,
            &mut self.state.participant,
            || {
                let sink = hole(outgoing, client, muted, kind);
                ParkedCommand { command, caller, slot: Some(slot), sink, home, args: args.into() }
            },
            (command, caller.id, args),
        )
    }
}
