//! What a shard does of another core's fan-out, or of its own.

use super::Origin;
use crate::clock::Ticks;
use crate::hop::{Hop, Part, Place, Sink, Stretch};
use crate::journal::deeds;
use crate::node::{Node, Ordered, State};
use crate::snapshot;
use crate::wait::{self, Unit};
use commands::effects::{self, Cut};
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
    /// Of one that releases: the number of its marker in the journal, or 0.
    pub(crate) number: u64,
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
pub(crate) fn try_part(
    node: &Node,
    state: &mut State,
    ticks: Ticks,
    hop: &Hop,
    order: &PartOrder,
    back: &mut Hop,
) {
    meet(node, state, hop, order);
    let sink = |notice| sink_of(&order.origin, notice);
    if !acquire(&mut state.participant, order.tx, order.order, order.claim(hop)) {
        return back.reply(sink(Notice::Refused), |_| {});
    }
    if order.order.act != Act::Run {
        return back.reply(sink(Notice::Locked), |_| {});
    }
    back.reply(sink(Notice::Ran), |out| {
        run_and_tell(&mut state.core, ticks, &order.origin, hop.part_args(order), out);
    });
    if order.order.release {
        serve(state, &order.origin, hop.part_args(order));
    }
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
    if !holds {
        meet(node, state, hop, order);
    }
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
                    run_and_tell(&mut state.core, node.ticks.get(), &order.origin, hop.part_args(order), out);
                }
            });
        });
    }
    if order.order.release && holds {
        deeds::mark(node, &mut state.core, order.number, from);
        state.participant.release(order.tx);
    }
    if runs {
        if order.order.release {
            serve(state, &order.origin, hop.part_args(order));
        }
        shard::tell_memory(&mut state.core);
    } else if order.order.release {
        // What it has kept others from may be ready for them by now.
        wait::serve(state, Unit::Nothing, order.origin.now);
    }
    crate::track::tell_before_reply(node, state, from);
    node.pass_on_wants(state);
}

/// Shows a part to the snapshot that is being taken. One that only locks has its command with it then.
fn meet(node: &Node, state: &mut State, hop: &Hop, order: &PartOrder) {
    let Origin { command, caller, .. } = order.origin;
    let args = hop.part_args(order);
    if args.len() > 0 {
        snapshot::meet(node, state, caller.db, command, args);
    }
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
        run_and_tell(&mut state.core, node.ticks.get(), &queued.origin, args, &mut reply);
        if !state.participant.knows(tx) {
            serve(state, &queued.origin, args);
        }
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

/// Runs a part, and appends its reply behind the time that it took and what it did: see [`took`].
fn run_and_tell(core: &mut Core, ticks: Ticks, origin: &Origin, args: Args<'_>, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; HEAD_BYTES]);
    let mut effects = Vec::new();
    let (nanos, cut) = run(core, ticks, origin, args, out, &mut effects);
    let head = nanos.min(NANOS_MAX)
        | match cut {
            Cut::Nothing => 0,
            Cut::AsIs => IS_AS_IS,
            Cut::Effects => HAS_EFFECTS,
        };
    out[start..start + HEAD_BYTES].copy_from_slice(&head.to_le_bytes());
    if cut == Cut::Effects {
        out.extend_from_slice(&effects);
        out.extend_from_slice(&(effects.len() as u64).to_le_bytes());
    }
}

/// What a part says.
pub(super) struct Took<'a> {
    pub(super) nanos: u64,
    pub(super) cut: Cut,
    pub(super) effects: &'a [u8],
    pub(super) reply: &'a [u8],
}

/// The nanoseconds that a part took, what it did, and its reply.
pub(super) fn took(reply: &[u8]) -> Took<'_> {
    let (head, reply) = reply.split_first_chunk().expect("what ran tells how long");
    let head = u64::from_le_bytes(*head);
    let (nanos, cut) = (head & NANOS_MAX, head & !NANOS_MAX);
    if cut != HAS_EFFECTS {
        let cut = if cut == IS_AS_IS { Cut::AsIs } else { Cut::Nothing };
        return Took { nanos, cut, effects: &[], reply };
    }
    let (reply, len) = reply.split_last_chunk().expect("effects have a length");
    let (reply, effects) = reply.split_at(reply.len() - u64::from_le_bytes(*len) as usize);
    Took { nanos, cut: Cut::Effects, effects, reply }
}

/// Runs a part; gives the nanoseconds that it took, and whether it did anything, which is not journalled here. Whether memory
/// allows it was asked at home, before any part ran; here it only makes room for itself.
pub(super) fn run(
    core: &mut Core,
    ticks: Ticks,
    origin: &Origin,
    args: Args<'_>,
    out: &mut Vec<u8>,
    done: &mut Vec<u8>,
) -> (u64, Cut) {
    let began = ticks.now();
    if core.config.maxmemory != 0 && origin.command.row.flags.has(Flags::DENYOOM) {
        shard::make_room(core, origin.now);
    }
    let is_cut = core.effects.journals() && origin.command.row.flags.has(Flags::WRITE);
    if is_cut {
        effects::begin_part(core);
    }
    shard::run_part(core, origin.command, origin.caller, args, out, origin.now);
    let cut = if is_cut { effects::cut_unit(core, done) } else { Cut::Nothing };
    (ticks.nanos(began, ticks.now()), cut)
}

const HEAD_BYTES: usize = size_of::<u64>();
/// The two highest bits of the time say what a part did.
const NANOS_MAX: u64 = (1 << 62) - 1;
const IS_AS_IS: u64 = 1 << 62;
const HAS_EFFECTS: u64 = 1 << 63;

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
