//! What a shard does of another core's fan-out, or of its own.

use super::Origin;
use crate::clock::Ticks;
use crate::hop::{Hop, Part, Place, Sink, Stretch};
use crate::node::{Node, Ordered, State};
use crate::wait::{self, Unit};
use commands::{Core, Flags};
use coordinator::locks::{Claim, Mode, Scope, TxId};
use coordinator::participant::Participant;
use coordinator::tx::{Acquire, Act, Notice, Order};
use stdx::args::OwnedArgs;
use stdx::{Args, ShardId};

/// An order for a shard's part, as it travels. What it claims and what it runs is in the batch.
pub(crate) struct PartOrder {
    pub(crate) origin: Origin,
    pub(crate) tx: TxId,
    pub(crate) order: Order,
    /// Where the names of its keys are among those of the batch.
    pub(crate) names: Stretch,
    /// Where its command line is, if it runs.
    pub(crate) args: (Place, Stretch),
}

/// An order that waits for locks.
pub(crate) struct Queued {
    pub(crate) origin: Origin,
    pub(crate) home: ShardId,
    /// What it will run, if it does.
    pub(crate) args: OwnedArgs,
}

impl PartOrder {
    /// Whether it waits for nothing and sets nothing free, so that it can be done among ordinary commands.
    pub(crate) fn tries(&self) -> bool {
        self.order.acquire == Acquire::Try
    }

    fn claim<'a>(&self, hop: &'a Hop) -> Claim<'a> {
        let is_write = self.origin.command.row.flags.has(Flags::WRITE);
        let mode = if is_write { Mode::Exclusive } else { Mode::Shared };
        Claim { scope: Scope::Keys(hop.names(self.names)), mode }
    }
}

/// Does an order that tries, and appends the answer to `back`.
pub(crate) fn try_part(state: &mut State, ticks: Ticks, hop: &Hop, order: &PartOrder, back: &mut Hop) {
    let sink = |notice| sink_of(&order.origin, notice);
    if !acquire(&mut state.participant, order.tx, order.order, order.claim(hop)) {
        return back.reply(sink(Notice::Refused), |_| {});
    }
    if order.order.act != Act::Run {
        return back.reply(sink(Notice::Locked), |_| {});
    }
    back.reply(sink(Notice::Ran), |out| {
        run_and_tell(&mut state.core, ticks, (order.tx, &order.origin), hop.part_args(order), out);
    });
    serve(state, &order.origin, hop.part_args(order));
}

/// Does any other order for this shard. The caller carries out what it has set free.
pub(crate) fn obey(node: &Node, from: ShardId, hop: &Hop, order: &PartOrder) {
    let state = &mut *node.state.borrow_mut();
    let claim = order.claim(hop);
    if order.order.act == Act::Abandon {
        abandon(state, (order.tx, order.order), claim, (order.origin, from));
        return node.pass_on_wants(state);
    }
    let holds = order.order.acquire == Acquire::Held;
    if !holds && !acquire(&mut state.participant, order.tx, order.order, claim) {
        let args = hop.part_args(order).into();
        let queued = Queued { origin: order.origin, home: from, args };
        return state.participant.order(order.tx, order.order, claim, queued.into());
    }
    let runs = order.order.act == Act::Run;
    if runs || !holds {
        let notice = if runs { Notice::Ran } else { Notice::Locked };
        node.mailbox.outbox(from.index(), |back| {
            back.reply(sink_of(&order.origin, notice), |out| {
                if runs {
                    let whose = (order.tx, &order.origin);
                    run_and_tell(&mut state.core, node.ticks.get(), whose, hop.part_args(order), out);
                }
            });
        });
    }
    if order.order.release && holds {
        state.participant.release(order.tx);
    }
    if runs {
        serve(state, &order.origin, hop.part_args(order));
        shard::tell_memory(&mut state.core);
    } else if order.order.release {
        // What it has kept others from may be ready for them by now.
        wait::serve(state, Unit::Nothing, order.origin.now);
    }
    node.pass_on_wants(state);
}

/// Takes a part out of the lines in which it waits. Clients that wait for keys may be served that it has kept them from.
pub(super) fn abandon(
    state: &mut State,
    (tx, order): (TxId, Order),
    claim: Claim<'_>,
    (origin, home): (Origin, ShardId),
) {
    let queued = Queued { origin, home, args: OwnedArgs::default() };
    state.participant.order(tx, order, claim, queued.into());
    wait::serve(state, Unit::Nothing, origin.now);
}

/// Runs a part that has waited for its locks.
pub(crate) fn perform(node: &Node, tx: TxId, queued: &Queued) {
    let mut reply = Vec::new();
    {
        let state = &mut *node.state.borrow_mut();
        let args = queued.args.as_args();
        run_and_tell(&mut state.core, node.ticks.get(), (tx, &queued.origin), args, &mut reply);
        serve(state, &queued.origin, args);
        shard::tell_memory(&mut state.core);
        node.pass_on_wants(state);
    }
    answer(node, queued, Notice::Ran, &reply);
}

/// Tells the home of an order that has waited what became of it.
pub(crate) fn answer(node: &Node, queued: &Queued, notice: Notice, reply: &[u8]) {
    let sink = sink_of(&queued.origin, notice);
    if queued.home == node.id {
        return crate::flights::inform(node, sink.client, queued.origin.flight, node.id, notice, reply);
    }
    node.mailbox.outbox(queued.home.index(), |back| back.reply(sink, |out| out.extend_from_slice(reply)));
}

/// Takes the locks of an order if nobody would have to wait, or says that somebody would. One that runs and releases at
/// once needs to hold them for no time: nothing comes between.
pub(super) fn acquire<C, P>(
    participant: &mut Participant<C, P>,
    tx: TxId,
    order: Order,
    claim: Claim<'_>,
) -> bool {
    debug_assert_ne!(order.acquire, Acquire::Held);
    match order.release {
        true => participant.is_idle() || participant.is_free(claim),
        false => participant.try_lock(tx, claim),
    }
}

/// Runs a part, and appends its reply behind the time that it took: see [`took`].
fn run_and_tell(core: &mut Core, ticks: Ticks, whose: (TxId, &Origin), args: Args<'_>, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; TIME_BYTES]);
    let nanos = run(core, ticks, whose, args, out);
    out[start..start + TIME_BYTES].copy_from_slice(&nanos.to_le_bytes());
}

/// The nanoseconds that a part took, and its reply.
pub(super) fn took(reply: &[u8]) -> (u64, &[u8]) {
    let (nanos, reply) = reply.split_first_chunk().expect("what ran tells how long");
    (u64::from_le_bytes(*nanos), reply)
}

/// Runs a part; gives the nanoseconds that it took. Whether memory allows it was asked at home, before any part ran; here
/// it only makes room for itself.
pub(super) fn run(
    core: &mut Core,
    ticks: Ticks,
    (tx, origin): (TxId, &Origin),
    args: Args<'_>,
    out: &mut Vec<u8>,
) -> u64 {
    let began = ticks.now();
    if core.config.maxmemory != 0 && origin.command.row.flags.has(Flags::DENYOOM) {
        shard::make_room(core, origin.now);
    }
    if core.effects.journals() {
        core.effects.unit = tx.0;
    }
    shard::run(core, origin.command, origin.caller, args, None, out, origin.now);
    core.effects.unit = 0;
    ticks.nanos(began, ticks.now())
}

const TIME_BYTES: usize = size_of::<u64>();

/// Serves those who wait for keys that a part has changed. Its locks are given back by then.
pub(super) fn serve(state: &mut State, origin: &Origin, args: Args<'_>) {
    wait::serve(state, Unit::Command(origin.command, args), origin.now);
}

fn sink_of(origin: &Origin, notice: Notice) -> Sink {
    Sink { client: origin.client, part: Part::Notice(origin.flight, notice) }
}

impl From<Queued> for Ordered {
    fn from(queued: Queued) -> Self {
        Self::Spread(Box::new(queued))
    }
}
