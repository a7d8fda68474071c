//! A transaction that has come whole, from MULTI to EXEC, as client libraries send it: if all its keys are on this core, its
//! commands run in one go from where they were received. Nobody can tell that they were never queued.

use super::multi::{QUEUED, is_plain};
use super::{Turn, Verdict};
use crate::lookahead::{Planned, is_script};
use crate::wait::{self, Unit};
use commands::{CommandRef, Crossing, Flags, effects};
use coordinator::pipeline::{self, Kind};

impl Turn<'_> {
    /// MULTI, commands on keys of this core, and EXEC, which have come together: runs them without queueing them. Returns how many
    /// they are, and what became of them. None, and nothing is done, when `commands` do not begin so, or when anything
    /// stands in their way.
    #[inline]
    pub(crate) fn whole_transaction(
        &mut self,
        commands: &[Planned],
        bytes: &[u8],
    ) -> Option<(usize, Verdict)> {
        let (first, rest) = commands.split_first()?;
        if first.slot.is_some() || !first.command?.row.flags.has(Flags::NOT_QUEUED) {
            return None;
        }
        self.whole_transaction_of(first.command?, rest, bytes)
    }

    fn whole_transaction_of(
        &mut self,
        multi: CommandRef,
        rest: &[Planned],
        bytes: &[u8],
    ) -> Option<(usize, Verdict)> {
        let len = rest.iter().position(|planned| planned.slot.is_none())?;
        let (queued, exec) = (&rest[..len], rest[len].command?);
        let is_whole = multi.full_name == "multi" && matches!(exec.row.crossing, Crossing::Exec);
        if !is_whole || !self.may_run_whole(multi, queued) {
            return None;
        }
        Some((len + 2, self.run_whole((multi, exec), queued, bytes)))
    }

    fn may_run_whole(&mut self, multi: CommandRef, queued: &[Planned]) -> bool {
        let home = self.node.id;
        let is_here = |planned: &Planned| {
            let (Some(command), Some(slot)) = (planned.command, planned.slot) else { return false };
            is_plain(command)
                && !is_script(command)
                && !command.row.flags.has(Flags::PUBSUB)
                && self.node.router.shard_of(slot) == home
        };
        let transaction =
            self.state.core.clients.get(self.client).and_then(|client| client.transaction.as_ref());
        self.is_admitted(multi)
            && !self.muted
            && self.state.core.config.maxmemory == 0
            && self.state.participant.is_idle()
            && self.outgoing.overlap.ask(Kind::Signal(home)) == pipeline::Verdict::Go
            && transaction.is_none_or(|transaction| transaction.watched.is_empty())
            && queued.iter().all(is_here)
    }

    fn run_whole(
        &mut self,
        (multi, exec): (CommandRef, CommandRef),
        queued: &[Planned],
        bytes: &[u8],
    ) -> Verdict {
        let (began, replied) = (self.last, self.outgoing.replies.buf().len());
        let out = self.outgoing.replies.buf();
        out.extend_from_slice(b"+OK\r\n");
        queued.iter().for_each(|_| out.extend_from_slice(QUEUED));
        resp::Reply::new(out, self.caller.proto).array(queued.len());
        self.last = self.ticks.now();
        self.state.core.stats.record(multi.index, self.ticks.nanos(began, self.last));
        let began = self.last;
        effects::begin_unit(&mut self.state.core);
        self.caller.may_park = false;
        for planned in queued {
            self.state.core.long.ask();
            let command = planned.command.expect("it was looked at");
            self.run_by(shard::run, command, planned.args(bytes), planned.slot);
        }
        self.caller.may_park = true;
        effects::end_unit(&mut self.state.core);
        wait::serve(self.state, Unit::Nothing, self.now);
        self.ran(exec, began, replied)
    }
}
