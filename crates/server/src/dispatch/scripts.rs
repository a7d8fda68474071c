//! Scripts and functions on their way to the shard of their keys, or to all shards; and who is told that a shard is busy.
//!
//! | keys of the script | it runs |
//! |---|---|
//! | all that it may touch are known, and on one shard | there, like any command |
//! | they are known, and on several shards | here, holding locks of these keys: [`ScriptFlight`] |
//! | they are not known | here, holding all shards |

use super::{Blocked, Turn, Verdict};
use crate::flights::Flight;
use crate::script;
use crate::script::flight::ScriptFlight;
use crate::transaction::hold::Locks;
use commands::scripting::{self, Callee};
use commands::transaction::Queue;
use commands::{CommandError, CommandRef, Crossing, Flags, Lock, effects};
use coordinator::locks::Mode;
use coordinator::pipeline::Kind;
use stdx::{Args, ShardId, Slot};

impl Turn<'_> {
    /// EVAL, FCALL and their kin.
    pub(super) fn script(&mut self, command: CommandRef, args: Args<'_>) -> Verdict {
        let home = self.node.id;
        if self.node.router.shards() == 1 {
            return self.script_on(command, args, home, Kind::Signal(home));
        }
        let Ok(callee) = scripting::callee(&mut self.state.core, command, args) else {
            // Its handler answers the error.
            return self.script_on(command, args, home, Kind::Plain(home));
        };
        match self.only_shard(&callee, args) {
            // Scripts set locks free, and more that others take as a signal.
            Some(shard) => self.script_on(command, args, shard, Kind::Signal(shard)),
            None => self.script_anywhere(command, args, &callee),
        }
    }

    /// The shard that has all keys that a script touches, when that is known.
    fn only_shard(&self, callee: &Callee, args: Args<'_>) -> Option<ShardId> {
        if !callee.is_tame {
            return None;
        }
        let router = self.node.router;
        let mut shards = args.part(3, callee.keys).iter().map(|key| router.shard_of(Slot::of(key)));
        let Some(first) = shards.next() else { return Some(self.node.id) };
        shards.all(|shard| shard == first).then_some(first)
    }

    /// A script whose keys are all on `shard`.
    fn script_on(&mut self, command: CommandRef, args: Args<'_>, shard: ShardId, kind: Kind) -> Verdict {
        // It looks for its keys by itself.
        let slot = Slot::of(b"");
        if self.is_monitored
            && self.may_go(kind, command, args)
            && (self.node.is_home(shard) || self.has_room())
        {
            self.show_script(command, args);
        }
        effects::begin_unit(&mut self.state.core);
        let verdict = self.on_shard(command, args, slot, shard, kind);
        if self.state.core.paused.is_some() {
            let sink = self.hole(kind);
            let from = script::From { command, origin: self.caller.id, sink, home: self.node.id };
            script::take_paused(self.node, self.state, from);
        }
        effects::end_unit(&mut self.state.core);
        if self.state.core.pubsub.has_published() { self.deliver() } else { verdict }
    }

    /// Shows a script that is about to begin to the monitors, wherever they are, before what it runs.
    #[cold]
    fn show_script(&mut self, command: CommandRef, args: Args<'_>) {
        self.show_now(command, args);
        self.settle();
    }

    /// A script that holds locks while it runs here.
    fn script_anywhere(&mut self, command: CommandRef, args: Args<'_>, callee: &Callee) -> Verdict {
        if !self.may_go(Kind::Barrier, command, args) || !self.has_room() {
            return Verdict::Blocked(Blocked::Order);
        }
        if self.is_monitored {
            self.show_script(command, args);
        }
        let router = self.node.router;
        let locks = if callee.is_tame {
            let mut locks = Locks::none(Mode::Exclusive, self.now);
            if self.node.control.is_saving() {
                locks = locks.keep_keys(self.caller.db);
            }
            let keys = args.part(3, callee.keys);
            keys.iter().for_each(|key| locks.add(router.shard_of(Slot::of(key)), key));
            locks
        } else {
            Locks::whole(router.shards(), Mode::Exclusive, self.now)
        };
        let from = self.from();
        self.outgoing.overlap.sent(Kind::Barrier);
        let flight = ScriptFlight::new(self.node, command, args, locks, from, self.muted);
        self.flights.take_off(Flight::Script(Box::new(flight)));
        Verdict::Done
    }

    /// What a command is told while a script is busy on a shard that it needs.
    #[cold]
    pub(super) fn is_busy(&self, command: CommandRef, args: Args<'_>) -> Option<CommandError> {
        if matches!(command.row.crossing, Crossing::Exec) {
            let client = self.state.core.clients.get(self.client).filter(|_| self.queues);
            let queue = client.and_then(|client| Some(&client.transaction.as_ref()?.queue));
            let mut queued = queue.into_iter().flat_map(Queue::iter);
            if queued.any(|queued| !queued.command.row.flags.has(Flags::ALLOW_BUSY)) {
                let mut queued = queue.into_iter().flat_map(Queue::iter);
                return queued
                    .find_map(|queued| self.is_busy(queued.command, queued.args))
                    .or_else(|| self.is_watched_busy());
            }
            // It has no keys.
        }
        if command.row.flags.has(Flags::ALLOW_BUSY) {
            return None;
        }
        let busy = &self.node.control.busy;
        match command.row.crossing {
            // What is asked of every shard without locks each of them answers.
            Crossing::Global(Lock::None, _) => return busy.error(self.node.id),
            Crossing::Global(..) | Crossing::Walk => {
                let mut shards = (0..self.node.router.shards()).map(ShardId);
                return shards.find_map(|shard| busy.error(shard));
            }
            _ => {}
        }
        let mut keys = Vec::new();
        commands::table::keys_of(command, args, &mut keys);
        if keys.is_empty() {
            return busy.error(self.node.id);
        }
        let mut shards = keys.iter().map(|&at| self.node.router.shard_of(Slot::of(args.at(at as usize))));
        shards.find_map(|shard| busy.error(shard))
    }

    /// The same of an EXEC because of a key that its client watches, which is locked with those of the queue.
    fn is_watched_busy(&self) -> Option<CommandError> {
        let client = self.state.core.clients.get(self.client)?;
        let watched = &client.transaction.as_ref()?.watched;
        watched.iter().find_map(|watched| self.node.control.busy.error(watched.shard))
    }
}
