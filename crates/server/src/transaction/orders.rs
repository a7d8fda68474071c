//! A shard's side: it takes orders, and does what its participant says.

use super::chore::{self, Chore};
use super::work::Work;
use super::{Message, OrderPart, Parked, ParkedCommand, Task, attempt};
use crate::cut;
use crate::flights::{Letter, deliver};
use crate::hop::Item;
use crate::journal::deeds::{self, Done};
use crate::loan::{self, Loan};
use crate::node::{Node, Ordered, State};
use crate::spread;
use crate::wait::{self, Call, Unit};
use commands::{Caller, ClientSlot, CommandRef, Flags, Outcome, effects};
use coordinator::locks::{Claim, Mode, Scope, TxId};
use coordinator::participant::Deed;
use coordinator::shards::ShardSet;
use coordinator::tx::{Acquire, Act, Notice, Order};
use shard::WaiterId;
use std::rc::Rc;
use stdx::{Args, UnixMs};

/// A message from another core: an order for this shard, or news for a connection here.
pub(crate) fn receive(node: &Rc<Node>, message: Message) {
    match message {
        Message::Order(tx, order, part) => obey(node, tx, order, part),
        Message::News(client, flight, letter) => deliver(node, client, flight, letter),
    }
}

pub(super) fn obey(node: &Rc<Node>, tx: TxId, order: Order, part: OrderPart) {
    let task = part.task.clone();
    {
        let state = &mut *node.state.borrow_mut();
        // A loan that home takes no part in is run at home without a lock there.
        let claim = task.claim(node.id).unwrap_or(NO_CLAIM);
        if order.act == Act::Nothing {
            deeds::mark(node, &mut state.core, part.number, part.home);
        }
        if order.acquire != Acquire::Held && state.snapshot.asks() {
            task.meet(node, state);
        }
        state.participant.order(tx, order, claim, Ordered::Work(part));
        let freed = match order.act {
            // What was done under the locks can be seen only now.
            Act::Nothing if order.release => Some(Unit::Claim(claim)),
            // It stands in nobody's way any more, and has never had the locks.
            Act::Abandon => Some(Unit::Nothing),
            _ => None,
        };
        if let Some(unit) = freed {
            wait::serve(state, unit, now_after(node, &task));
            node.pass_on_wants(state);
        }
    }
    carry_out(node);
}

/// The time for those who are served next to a transaction, which may have taken long (DEBUG SLEEP inside MULTI): what has
/// expired meanwhile is not for them.
fn now_after(node: &Node, task: &Task) -> UnixMs {
    task.now().max(node.ticks.get().unix_ms())
}

/// Does what the participant says, until it says nothing more.
pub(crate) fn carry_out(node: &Rc<Node>) {
    loop {
        let Some(deed) = node.state.borrow_mut().participant.poll() else { return };
        match deed {
            Deed::Command(Parked::Command(parked)) => run_parked(node, &parked),
            Deed::Long(tx, Parked::Command(parked)) => crate::script::run_parked(node, tx, &parked),
            Deed::Long(..) => unreachable!("only scripts take long"),
            Deed::Command(Parked::Exec(exec)) => crate::exec::run(node, &exec),
            Deed::Command(Parked::Watch(part)) => crate::watching::run(node, &part),
            Deed::Answer { notice, part: Ordered::Spread(queued), .. } => {
                spread::answer(node, &queued, notice, &[]);
            }
            Deed::Perform { tx, part: Ordered::Spread(queued), .. } => spread::perform(node, tx, &queued),
            Deed::Answer { notice, part: Ordered::Cut(part), .. } => cut::answer(node, &part, notice),
            Deed::Perform { act, part: Ordered::Cut(part), .. } => cut::perform(node, act, &part),
            Deed::Answer { notice, part: Ordered::Work(part), .. } => {
                answer(node, &part, notice, Performed::default());
            }
            Deed::Perform { tx, act, part: Ordered::Work(mut part) } => {
                let loans = std::mem::take(&mut part.loans);
                let performed = perform(node, tx, act, &part, loans);
                if let Some(notice) = act.notice() {
                    answer(node, &part, notice, performed);
                }
            }
        }
    }
}

/// What came of an order.
#[derive(Default)]
struct Performed {
    reply: Vec<u8>,
    loans: Vec<Loan>,
    done: Done,
}

fn perform(node: &Rc<Node>, tx: TxId, act: Act, part: &OrderPart, loans: Vec<Loan>) -> Performed {
    let mut reply = Vec::new();
    let ((loans, done), has_actions) = {
        let mut state = node.state.borrow_mut();
        let state = &mut *state;
        deeds::mark(node, &mut state.core, part.number, part.home);
        let client = (part.home == node.id).then_some(part.client);
        let done = match &part.task {
            Task::Command(work) if work.may_park() => {
                attempt::perform(node, state, act, work, part, loans, &mut reply)
            }
            Task::Command(work) => perform_work(node, state, act, (work, false), client, loans, &mut reply),
            Task::Held(_, Chore::Command(work)) => {
                perform_work(node, state, act, (work, true), client, loans, &mut reply)
            }
            Task::Held(_, chore) => (Vec::new(), chore::perform(node, state, chore, part, &mut reply)),
        };
        if !state.participant.knows(tx) {
            // Nothing more is to come under these locks.
            let unit = part.task.claim(node.id).map_or(Unit::Nothing, Unit::Claim);
            wait::serve(state, unit, now_after(node, &part.task));
        }
        shard::tell_memory(&mut state.core);
        node.pass_on_wants(state);
        (done, !state.core.actions.is_empty())
    };
    if has_actions
        && let Err(error) = crate::action::perform_all(node)
        && reply == OK
    {
        reply.clear();
        resp::Reply::new(&mut reply, resp::Proto::Resp2).error(&error);
    }
    Performed { reply, loans, done }
}

/// Does what `act` says of this shard's part of a command. `client` asked for it, if it is connected here.
fn perform_work(
    node: &Node,
    state: &mut State,
    act: Act,
    (work, is_held): (&Work, bool),
    client: Option<ClientSlot>,
    loans: Vec<Loan>,
    reply: &mut Vec<u8>,
) -> (Vec<Loan>, Done) {
    if work.command.row.flags.has(Flags::DENYOOM) && state.core.config.maxmemory != 0 && act != Act::Lend {
        // Whether it may run was asked at home, before any part ran; here it only makes room for itself.
        shard::make_room(&mut state.core, work.now);
    }
    match act {
        Act::Run if work.lends => {
            let own = work.parts.iter().find(|part| part.shard == node.id);
            let keys = own.map(|part| part.args.as_args());
            loan::run(node, state, &Borrowing::of(work, keys, is_held), loans, reply)
        }
        Act::Run => {
            let part = work.part(node.id);
            let args = if part.names.is_empty() { work.args.as_args() } else { part.args.as_args() };
            let caller = Caller { slot: client, ..work.caller };
            let core = &mut state.core;
            // A reader's effects are those of keys that have expired on its way.
            let is_cut = work.mode == Mode::Exclusive;
            match (is_cut, is_held) {
                (true, false) => effects::begin_part(core),
                _ => effects::begin_unit(core),
            }
            shard::run_part(core, work.command, caller, args, reply, work.now);
            let mut done = Done::default();
            if is_cut {
                done.cut = effects::cut_unit(core, &mut done.effects);
            } else {
                effects::end_unit(core);
            }
            (Vec::new(), done)
        }
        Act::Lend => {
            let part = work.part(node.id);
            let borrowing = Borrowing::of(work, Some(part.args.as_args()), is_held);
            (loan::lend(&mut state.core, node.id, &borrowing), Done::default())
        }
        Act::Return => {
            loan::give_back(&mut state.core, loans, work.caller.id, work.now);
            (Vec::new(), Done::default())
        }
        Act::Nothing | Act::Abandon => unreachable!("the participant does these itself"),
    }
}

/// What a loan needs to know of its command.
pub(crate) struct Borrowing<'a> {
    pub(crate) command: CommandRef,
    pub(crate) caller: Caller,
    pub(crate) args: Args<'a>,
    /// The keys of the shard that lends.
    pub(crate) keys: Option<Args<'a>>,
    pub(crate) now: UnixMs,
    /// The shards of the transaction, if this is all that it does.
    pub(crate) shards: Option<ShardSet>,
}

impl<'a> Borrowing<'a> {
    /// CLIENT TRACKING: whether it is remembered that the caller has read the keys.
    pub(crate) fn remembers(&self) -> bool {
        self.caller.tracks && self.command.row.flags.has(Flags::READONLY)
    }

    pub(super) fn of(work: &'a Work, keys: Option<Args<'a>>, is_held: bool) -> Self {
        let shards = (!is_held).then(|| work.shards());
        let args = work.args.as_args();
        Self { command: work.command, caller: work.caller, args, keys, now: work.now, shards }
    }
}

fn answer(node: &Node, part: &OrderPart, notice: Notice, performed: Performed) {
    let Performed { reply, loans, done } = performed;
    let letter = Letter::Notice { from: node.id, notice, reply, loans, done };
    if part.home == node.id {
        return deliver(node, part.client, part.flight, letter);
    }
    let message = Message::News(part.client, part.flight, letter);
    node.mailbox.outbox(part.home.index(), |hop| hop.say(Item::Transaction(Box::new(message))));
}

fn run_parked(node: &Node, parked: &ParkedCommand) {
    let mut out = Vec::new();
    let nanos = {
        let mut state = node.state.borrow_mut();
        let ParkedCommand { command, caller, slot, sink, home, ref args } = *parked;
        let ticks = node.ticks.get();
        let (args, now) = (args.as_args(), ticks.unix_ms());
        let began = ticks.now();
        if wait::may_park(command, args) {
            let id = WaiterId { home, client: sink.client };
            wait::reserve(&mut state, id, (command, caller), args, now);
        }
        let outcome = shard::execute(&mut state.core, command, caller, args, slot, &mut out, now);
        state.core.reserved.clear();
        let nanos = ticks.nanos(began, ticks.now());
        if outcome != Outcome::Refused {
            state.core.stats.record(command.index, nanos);
        }
        wait::serve(&mut state, Unit::Command(command, args), now);
        if outcome == Outcome::Park {
            wait::park_for(node, &mut state, &Call { command, caller, args, slot, home, sink });
        }
        node.pass_on_wants(&mut state);
        if outcome == Outcome::Park {
            return;
        }
        let is_slow = crate::dispatch::is_slow(&mut state.core, command, nanos, now);
        if is_slow && home == node.id {
            crate::dispatch::note_slow(&mut state.core, command, args, nanos, sink.client, now);
        }
        is_slow.then_some(nanos)
    };
    if parked.home == node.id {
        return crate::mail::fill(node, parked.sink, &out);
    }
    node.mailbox.outbox(parked.home.index(), |hop| {
        hop.reply(parked.sink, |buf| buf.extend_from_slice(&out));
        if let Some(nanos) = nanos {
            hop.say(Item::slow(parked.command, parked.sink.client, parked.args.as_args(), nanos));
        }
    });
}

const OK: &[u8] = b"+OK\r\n";

const NO_CLAIM: Claim<'static> = Claim { scope: Scope::Keys(&[]), mode: Mode::Shared };
