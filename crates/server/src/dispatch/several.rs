//! Commands over keys that may be on several shards, and those that every shard runs.

use super::{Blocked, Turn, Verdict};
use crate::flights::{Flight, FlightId};
use crate::spread::{Deal, Origin, Spread};
use crate::transaction::{self, InFlight};
use crate::wait;
use commands::{CommandRef, Crossing, Flags};
use coordinator::pipeline::{self, Kind, SPREAD_KEYS_MAX};
use stdx::Args;

impl Turn<'_> {
    /// A command over keys that may be anywhere: most often they are on one shard.
    pub(super) fn many_keys(&mut self, command: CommandRef, args: Args<'_>) -> Verdict {
        let node = self.node;
        let (keys, deal) = &mut *node.keys.borrow_mut();
        commands::table::keys_of(command, args, keys);
        if keys.is_empty() {
            self.run_here(command, args, None);
            return Verdict::Done;
        }
        let several_shards = node.router.shards() > 1;
        if several_shards && commands::generic::sort::reads_by_pattern(command, args) {
            return self.by_patterns(command, args);
        }
        let (slot, is_one) = deal.find(node.router, args, keys);
        if is_one && wait::may_park(command, args) {
            return self.one_shard_or_wait(command, args, slot);
        }
        if is_one {
            return self.one_shard(command, args, slot);
        }
        let is_plain =
            matches!(command.row.crossing, Crossing::Fanout(_)) && !command.row.flags.has(Flags::SIGNALS);
        if is_plain && keys.len() <= SPREAD_KEYS_MAX {
            return self.spread(command, args, keys, deal);
        }
        if !self.may_go(Kind::Barrier, command, args) {
            return Verdict::Blocked(Blocked::Order);
        }
        if transaction::is_full(self.state, command, self.now) {
            return self.refuse(command, shard::OUT_OF_MEMORY);
        }
        let from = self.from();
        self.take_off(Kind::Barrier, InFlight::over_keys(node, command, args, keys, from))
    }

    /// A plain fan-out over several shards, which `deal` has found.
    fn spread(&mut self, command: CommandRef, args: Args<'_>, keys: &[u32], deal: &mut Deal) -> Verdict {
        let verdict = self.outgoing.overlap.ask(Kind::Spread);
        if verdict == pipeline::Verdict::Wait || !self.has_room() {
            return Verdict::Blocked(Blocked::Order);
        }
        deal.deal(self.node.router, args, keys, transaction::group_len(keys, args.len()));
        let mut names = deal.all_names().iter().map(|name| name.fingerprint);
        let is_apart = |name| self.outgoing.overlap.is_apart(name);
        if verdict == pipeline::Verdict::GoIfApart && !names.clone().all(is_apart) {
            return Verdict::Blocked(Blocked::Order);
        }
        if transaction::is_full(self.state, command, self.now) {
            return self.refuse(command, shard::OUT_OF_MEMORY);
        }
        self.outgoing.overlap.sent_spread(names.by_ref());
        let flight = FlightId(self.outgoing.replies.hole());
        let origin = Origin { command, caller: *self.caller, client: self.client, flight, now: self.now };
        let mut spread = Spread::new(self.node, origin, args, self.muted, deal);
        let is_over = spread.advance(self.node, self.state);
        debug_assert!(!is_over && !self.state.participant.has_deeds(), "it waits for another shard");
        self.flights.spread(spread);
        self.last = self.ticks.now();
        Verdict::Done
    }

    /// A command that reads keys by patterns, wherever they are.
    #[cold]
    fn by_patterns(&mut self, command: CommandRef, args: Args<'_>) -> Verdict {
        if !self.may_go(Kind::Barrier, command, args) {
            return Verdict::Blocked(Blocked::Order);
        }
        if transaction::is_full(self.state, command, self.now) {
            return self.refuse(command, shard::OUT_OF_MEMORY);
        }
        let from = self.from();
        self.take_off(Kind::Barrier, InFlight::by_patterns(self.node, command, args, from))
    }

    pub(super) fn everywhere(&mut self, command: CommandRef, args: Args<'_>) -> Verdict {
        if !self.may_go(Kind::Barrier, command, args) {
            return Verdict::Blocked(Blocked::Order);
        }
        if transaction::is_full(self.state, command, self.now) {
            return self.refuse(command, shard::OUT_OF_MEMORY);
        }
        let len = self.len;
        let client = self.client_mut();
        (client.last_command, client.running_len) = (command.full_name, len);
        let from = self.from();
        self.take_off(Kind::Barrier, InFlight::everywhere(self.node, command, args, from))
    }

    /// Puts a command under way that was made with [`Turn::from`].
    fn take_off(&mut self, kind: Kind, mut in_flight: InFlight) -> Verdict {
        in_flight.muted = self.muted;
        self.outgoing.overlap.sent(kind);
        self.flights.take_off(Flight::Command(in_flight));
        Verdict::Done
    }
}
