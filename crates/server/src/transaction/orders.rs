//! A shard's side: it takes orders, and does what its participant says.

use super::chore::{self, Chore};
use super::work::Work;
use super::{Message, OrderPart, Parked, ParkedCommand, Task, attempt};
use crate::flights::{Letter, deliver};
use crate::hop::Item;
use crate::loan::{self, Loan};
use crate::node::{Node, Ordered, State};
use crate::spread;
use crate::wait::{self, Call, Unit};
use commands::{Caller, ClientSlot, CommandRef, Flags, Outcome};
use coordinator::locks::{Claim, Mode, Scope, TxId};
use coordinator::participant::Deed;
use coordinator::tx::{Act, Notice, Order};
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
        state.participant.order(tx, order, claim, Ordered::Work(part));
        let freed = match order.act {
            // What was done under the locks can be seen only now.
            Act::Nothing if order.release => Some(Unit::Claim(claim)),
            // It stands in nobody's way any more, and has never had the locks.
            Act::Abandon => Some(Unit::Nothing),
            _ => None,
        };
        if let Some(unit) = freed {
            wait::serve(state, unit, task.now());
            node.pass_on_wants(state);
        }
    }
    carry_out(node);
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
            Deed::Answer { notice, part: Ordered::Work(part), .. } => {
                answer(node, &part, notice, Vec::new(), Vec::new());
            }
            Deed::Perform { tx, act, part: Ordered::Work(mut part) } => {
                let loans = std::mem::take(&mut part.loans);
                let (reply, loans) = perform(node, tx, act, &part, loans);
                if let Some(notice) = act.notice() {
                    answer(node, &part, notice, reply, loans);
                }
            }
        }
    }
}

fn perform(node: &Rc<Node>, tx: TxId, act: Act, part: &OrderPart, loans: Vec<Loan>) -> (Vec<u8>, Vec<Loan>) {
    let mut reply = Vec::new();
    let (done, has_actions) = {
        let mut state = node.state.borrow_mut();
        let state = &mut *state;
        if state.core.effects.journals() {
            state.core.effects.unit = tx.0;
        }
        let client = (part.home == node.id).then_some(part.client);
        let done = match &part.task {
            Task::Command(work) if work.may_park() => {
                attempt::perform(node, state, act, work, part, loans, &mut reply)
            }
            Task::Command(work) | Task::Held(_, Chore::Command(work)) => {
                perform_work(node, state, act, work, client, loans, &mut reply)
            }
            Task::Held(_, chore) => {
                chore::perform(node, state, chore, part, &mut reply);
                Vec::new()
            }
        };
        state.core.effects.unit = 0;
        if !state.participant.knows(tx) {
            // Nothing more is to come under these locks.
            let unit = part.task.claim(node.id).map_or(Unit::Nothing, Unit::Claim);
            wait::serve(state, unit, part.task.now());
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
    (reply, done)
}

/// Does what `act` says of this shard's part of a command. `client` asked for it, if it is connected here.
fn perform_work(
    node: &Node,
    state: &mut State,
    act: Act,
    work: &Work,
    client: Option<ClientSlot>,
    loans: Vec<Loan>,
    reply: &mut Vec<u8>,
) -> Vec<Loan> {
    if work.command.row.flags.has(Flags::DENYOOM) && state.core.config.maxmemory != 0 && act != Act::Lend {
        // Whether it may run was asked at home, before any part ran; here it only makes room for itself.
        shard::make_room(&mut state.core, work.now);
    }
    match act {
        Act::Run if work.lends => {
            let own = work.parts.iter().find(|part| part.shard == node.id);
            let keys = own.map(|part| part.args.as_args());
            loan::run(node, state, &Borrowing::of(work, keys), loans, reply)
        }
        Act::Run => {
            let part = work.part(node.id);
            let args = if part.names.is_empty() { work.args.as_args() } else { part.args.as_args() };
            let caller = Caller { slot: client, ..work.caller };
            shard::run(&mut state.core, work.command, caller, args, None, reply, work.now);
            Vec::new()
        }
        Act::Lend => {
            let part = work.part(node.id);
            loan::lend(&mut state.core, node.id, &Borrowing::of(work, Some(part.args.as_args())))
        }
        Act::Return => {
            loan::give_back(&mut state.core, loans, work.now);
            Vec::new()
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
}

impl<'a> Borrowing<'a> {
    pub(super) fn of(work: &'a Work, keys: Option<Args<'a>>) -> Self {
        Self { command: work.command, caller: work.caller, args: work.args.as_args(), keys, now: work.now }
    }
}

fn answer(node: &Node, part: &OrderPart, notice: Notice, reply: Vec<u8>, loans: Vec<Loan>) {
    let letter = Letter::Notice { from: node.id, notice, reply, loans };
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
        let (args, now) = (args.as_args(), crate::clock::unix_ms());
        let ticks = node.ticks.get();
        let began = ticks.now();
        if wait::may_park(command, args) {
            let id = WaiterId { home, client: sink.client };
            wait::reserve(&mut state, id, (command, caller), args, now);
        }
        let outcome = shard::execute(&mut state.core, command, caller, args, slot, &mut out, now);
        state.core.reserved.clear();
        let nanos = ticks.nanos(began, ticks.now());
        state.core.stats.record(command.index, nanos);
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
