//! A plain fan-out over several shards (MSET, MGET, DEL ...) at its home: locks everywhere, each shard runs its part, one
//! reply. Most of what a transaction over several shards may need (loans, whole shards, many steps) it does not, so it is
//! made to cost little: its memory comes from a pool, its orders and their answers travel in the batches between cores as
//! commands and replies do, and what home itself is asked is done at once. The steps are those of
//! [`coordinator::tx::Transaction`], and so is the proof.
//!
//! [`part`] is what the shards do.

mod deal;
mod part;

use crate::connection::Outgoing;
use crate::flights::FlightId;
use crate::journal::deeds::Deeds;
use crate::journal::switch::{self, UnkeptOne};
use crate::node::{Node, State};
use crate::snapshot;
use commands::effects::Cut;
use commands::{Caller, ClientSlot, CommandError, CommandRef, Core, Crossing, Flags};
use coordinator::locks::{Claim, Mode, Scope, TxId};
use coordinator::merge::merge;
use coordinator::shards::ShardSet;
use coordinator::tx::{Acquire, Act, Notice, Order, Outcome, Plan, Step, Transaction};
use std::cell::{Cell, RefCell};
use std::ops::Range;
use stdx::{Args, ShardId, Span, UnixMs};

pub(crate) use deal::Deal;
use part::Took;
pub(crate) use part::{PartOrder, Queued, answer, obey, perform, try_part};

/// Whose command it is, and when it came.
#[derive(Clone, Copy)]
pub(crate) struct Origin {
    pub(crate) command: CommandRef,
    pub(crate) caller: Caller,
    pub(crate) client: ClientSlot,
    pub(crate) flight: FlightId,
    /// One clock for all parts, so that a key is expired for all of them or for none.
    pub(crate) now: UnixMs,
}

/// A fan-out under way.
pub(crate) struct Spread {
    origin: Origin,
    /// CLIENT REPLY OFF: it runs, and its reply is thrown away.
    muted: bool,
    mode: Mode,
    /// How long the parts have run so far, in nanoseconds: what waits cost is not the command's.
    nanos: u64,
    machine: Transaction,
    unkept: Option<UnkeptOne>,
    /// The command, as it came.
    bytes: Vec<u8>,
    spans: Vec<Span>,
    deal: Deal,
    /// What the parts have answered: part i has `replies[places[i]]`.
    replies: Vec<u8>,
    places: Vec<Range<usize>>,
    /// What the parts did, for the journal, and the number under which that is there.
    deeds: Deeds,
    as_is: ShardSet,
    wrote: ShardSet,
    number: u64,
    /// Why it gives up.
    refusal: Option<CommandError>,
}

/// Answers of shards to the spreads of one connection, in the order in which they came.
#[derive(Default)]
pub(crate) struct Answers {
    list: Vec<Answer>,
    bytes: Vec<u8>,
}

struct Answer {
    flight: FlightId,
    from: ShardId,
    notice: Notice,
    reply: Range<usize>,
}

/// What one core keeps for its spreads.
#[derive(Default)]
pub(crate) struct Pool {
    #[expect(clippy::vec_box, reason = "they go in and out as boxes, without being copied")]
    emptied: RefCell<Vec<Box<Spread>>>,
    /// How many there were.
    count: Cell<u64>,
}

impl Pool {
    /// A number that no other transaction of the process has.
    fn next_tx(&self, home: ShardId) -> TxId {
        let number = self.count.get();
        self.count.set(number + 1);
        TxId(SPREAD_TX | (home.index() as u64) << TX_COUNT_BITS | number)
    }

    /// Takes back what is over.
    pub(crate) fn keep(&self, mut spread: Box<Spread>) {
        spread.unkept = None;
        let mut emptied = self.emptied.borrow_mut();
        let is_small = spread.bytes.capacity() + spread.replies.capacity() <= KEPT_BYTES;
        if emptied.len() < KEPT_MAX && is_small && spread.spans.capacity() <= KEPT_SPANS {
            spread.bytes.clear();
            spread.spans.clear();
            spread.replies.clear();
            spread.places.clear();
            emptied.push(spread);
        }
    }
}

impl Spread {
    /// The command of `origin`, whose keys `deal` has dealt to several shards. `deal` is given an emptied one.
    pub(crate) fn new(
        node: &Node,
        origin: Origin,
        args: Args<'_>,
        muted: bool,
        deal: &mut Deal,
    ) -> Box<Self> {
        let shards: ShardSet = deal.parts().iter().map(|part| part.shard).collect();
        let machine = Transaction::new(node.spreads.next_tx(node.id), node.id, Plan::Fanout(shards));
        let is_write = origin.command.row.flags.has(Flags::WRITE);
        let unkept = if is_write { switch::unkept(node) } else { None };
        let machine = if is_write && unkept.is_none() { machine.keeping() } else { machine };
        let mode = if is_write { Mode::Exclusive } else { Mode::Shared };
        let origin = Origin { caller: Caller { slot: None, ..origin.caller }, ..origin };
        let spare = node.spreads.emptied.borrow_mut().pop();
        let mut spread = match spare {
            Some(mut spread) => {
                (spread.origin, spread.muted, spread.mode) = (origin, muted, mode);
                (spread.nanos, spread.machine, spread.refusal) = (0, machine, None);
                (spread.as_is, spread.wrote, spread.number) = (ShardSet::EMPTY, ShardSet::EMPTY, 0);
                spread.unkept = unkept;
                spread
            }
            None => Box::new(Self {
                origin,
                muted,
                mode,
                nanos: 0,
                machine,
                unkept,
                bytes: Vec::new(),
                spans: Vec::new(),
                deal: Deal::default(),
                replies: Vec::new(),
                places: Vec::new(),
                deeds: Deeds::default(),
                as_is: ShardSet::EMPTY,
                wrote: ShardSet::EMPTY,
                number: 0,
                refusal: None,
            }),
        };
        std::mem::swap(&mut spread.deal, deal);
        let end = args.spans().iter().map(|span| (span.start + span.len) as usize).max().unwrap_or(0);
        spread.bytes.extend_from_slice(&args.buf()[..end]);
        spread.spans.extend_from_slice(args.spans());
        spread.places.resize(spread.deal.parts().len(), 0..0);
        spread
    }

    /// Its number.
    pub(crate) fn id(&self) -> FlightId {
        self.origin.flight
    }

    /// Takes in what a shard answers.
    pub(crate) fn hear(&mut self, from: ShardId, notice: Notice, reply: &[u8]) {
        if notice == Notice::Ran {
            let Took { nanos, cut, effects, reply } = part::took(reply);
            self.nanos += nanos;
            self.take_in(from, cut, effects);
            let start = self.replies.len();
            self.replies.extend_from_slice(reply);
            self.places[self.deal.index_of(from)] = start..self.replies.len();
        }
        self.machine.handle(from, notice);
    }

    /// Takes down what a part did.
    fn take_in(&mut self, shard: ShardId, cut: Cut, effects: &[u8]) {
        match cut {
            Cut::Nothing => {}
            Cut::AsIs => self.as_is.insert(shard),
            Cut::Effects => self.deeds.add(shard, effects),
        }
    }

    /// Journals what all parts did, now that all locks are held.
    fn journal(&mut self, node: &Node, core: &mut Core) {
        let (mut deeds, db) = (std::mem::take(&mut self.deeds), self.origin.caller.db);
        let wrote: ShardSet = self.as_is.iter().chain(deeds.wrote.iter()).collect();
        if self.as_is.len() == self.deal.parts().len() {
            // All of it, in one piece.
            deeds.add_command(node.id, db, Args::new(&self.bytes, &self.spans));
        } else {
            self.as_is.iter().for_each(|shard| deeds.add_command(shard, db, self.args_of(shard)));
        }
        self.number = deeds.journal(node, core, &wrote);
        (self.deeds, self.wrote) = (deeds, wrote);
    }

    /// A shard has become busy with a script: if this waits for it, it gives up, unless a part of it has run.
    pub(crate) fn give_up_if_busy(&mut self, node: &Node) {
        let mut shards = self.deal.parts().iter().map(|part| part.shard);
        self.refusal = shards.find_map(|shard| node.control.busy.error(shard));
        if self.refusal.is_some() {
            self.machine.cancel();
        }
    }

    /// Goes on as far as it can without another answer. True when every part has run. What it has set free here are
    /// deeds of the participant, to be carried out by the caller before anything else runs.
    pub(crate) fn advance(&mut self, node: &Node, state: &mut State) -> bool {
        loop {
            match self.machine.poll() {
                None => return false,
                Some(Step::Done(outcome)) => {
                    if outcome == Outcome::Executed {
                        self.refusal = None;
                    }
                    return true;
                }
                Some(Step::Send { to, order }) => self.send(node, to, order),
                Some(Step::Home(order)) => self.do_here(node, state, order),
                Some(Step::Ran) => self.journal(node, &mut state.core),
                Some(Step::Granted) => unreachable!("only held transactions are granted"),
            }
        }
    }

    fn send(&self, node: &Node, to: ShardId, order: Order) {
        let part = self.deal.part_of(to);
        let names = if order.acquire == Acquire::Held { &[] } else { self.deal.names(part) };
        // Where a snapshot is taken, what it will do to the keys is asked before it has their locks.
        let asks = order.acquire != Acquire::Held && node.control.is_saving();
        let args = (order.act == Act::Run || asks).then(|| self.args_of(to));
        let number = if order.release && self.wrote.contains(to) { self.number } else { 0 };
        let tx = (self.machine.id(), number);
        node.mailbox.outbox(to.index(), |hop| hop.part(&self.origin, tx, order, names, args));
    }

    /// Home's own part. The participant has no deeds when this is called, for of all orders of one step only the last one
    /// at home releases.
    fn do_here(&mut self, node: &Node, state: &mut State, order: Order) {
        let tx = self.machine.id();
        let part = self.deal.part_of(node.id);
        let claim = Claim { scope: Scope::Keys(self.deal.names(part)), mode: self.mode };
        if order.act == Act::Abandon {
            return part::abandon(state, (tx, order), claim, (self.origin, node.id));
        }
        if order.acquire != Acquire::Held {
            snapshot::meet(node, state, self.origin.caller.db, self.origin.command, self.args_of(node.id));
        }
        let State { core, participant, .. } = state;
        if order.acquire != Acquire::Held && !part::acquire(participant, tx, order, claim) {
            match order.acquire {
                Acquire::Try => self.machine.handle(node.id, Notice::Refused),
                _ => {
                    let args = self.args_of(node.id).into();
                    let queued = Queued { origin: self.origin, home: node.id, args };
                    participant.order(tx, order, claim, queued.into());
                }
            }
            return;
        }
        if order.act == Act::Run {
            let (start, args) = (self.replies.len(), self.deal.args(part, &self.bytes));
            let mut effects = Vec::new();
            let (nanos, cut) =
                part::run(core, node.ticks.get(), &self.origin, args, &mut self.replies, &mut effects);
            self.nanos += nanos;
            match cut {
                Cut::Nothing => {}
                Cut::AsIs => self.as_is.insert(node.id),
                Cut::Effects => self.deeds.add(node.id, &effects),
            }
            self.places[self.deal.index_of(node.id)] = start..self.replies.len();
        }
        if order.release {
            if order.acquire == Acquire::Held {
                participant.release(tx);
            }
            part::serve(state, &self.origin, self.deal.args(part, &self.bytes));
        }
        match order.act {
            Act::Run => self.machine.handle(node.id, Notice::Ran),
            _ if order.acquire != Acquire::Held => self.machine.handle(node.id, Notice::Locked),
            _ => {}
        }
    }

    /// Fills the hole that was left for it, and counts the command once.
    pub(crate) fn land(&self, state: &mut State, outgoing: &mut Outgoing) {
        let Origin { command, client, now, .. } = self.origin;
        let core = &mut state.core;
        let mut len = 0;
        outgoing.replies.fill_with(self.origin.flight.0, |out| {
            let start = out.len();
            match &self.refusal {
                Some(error) => resp::Reply::new(out, self.origin.caller.proto).error(&error.text()),
                None => self.merge(out),
            }
            if out.get(start) == Some(&b'-') {
                let text = String::from_utf8_lossy(&out[start + 1..]).trim_end().to_owned();
                core.stats.failed(command.index, &text);
            }
            if self.muted {
                out.truncate(start);
            }
            len = out.len() - start;
        });
        outgoing.overlap.answered_spread();
        outgoing.window.answered(len, outgoing.replies.outstanding());
        core.stats.record(command.index, self.nanos);
        if crate::dispatch::is_slow(core, command, self.nanos, now) {
            let args = Args::new(&self.bytes, &self.spans);
            crate::dispatch::note_slow(core, command, args, self.nanos, client, now);
        }
    }

    fn merge(&self, out: &mut Vec<u8>) {
        let Crossing::Fanout(how) = self.origin.command.row.crossing else {
            unreachable!("only fan-outs are spread");
        };
        let replies = self.places.iter().map(|place| &self.replies[place.clone()]);
        let mut few: [&[u8]; FEW_PARTS] = [&[]; FEW_PARTS];
        if self.places.len() <= FEW_PARTS {
            few.iter_mut().zip(replies).for_each(|(place, reply)| *place = reply);
            merge(how, &few[..self.places.len()], self.deal.key_order(), out);
        } else {
            merge(how, &replies.collect::<Vec<_>>(), self.deal.key_order(), out);
        }
    }

    fn args_of(&self, shard: ShardId) -> Args<'_> {
        self.deal.args(self.deal.part_of(shard), &self.bytes)
    }
}

impl Answers {
    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Adds one.
    pub(crate) fn push(&mut self, flight: FlightId, from: ShardId, notice: Notice, reply: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(reply);
        self.list.push(Answer { flight, from, notice, reply: start..self.bytes.len() });
    }

    /// All of them: for which flight, from which shard, what, and the reply of its part.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (FlightId, ShardId, Notice, &[u8])> {
        self.list.iter().map(|one| (one.flight, one.from, one.notice, &self.bytes[one.reply.clone()]))
    }

    /// Empties it for its next use.
    pub(crate) fn clear(&mut self) {
        self.list.clear();
        self.bytes.clear();
        if self.list.capacity() > KEPT_ANSWERS || self.bytes.capacity() > KEPT_BYTES {
            *self = Self::default();
        }
    }
}

/// Numbers of spreads have this bit, the number of their home above these bits, and there a count.
const SPREAD_TX: u64 = 1 << 63;
const TX_COUNT_BITS: u32 = 50;

/// Emptied spreads kept by a core, and how large each may be, in bytes and arguments.
const KEPT_MAX: usize = 256;
const KEPT_BYTES: usize = 16 * 1024;
const KEPT_SPANS: usize = 1024;
/// A list of answers with room for so many is used again.
const KEPT_ANSWERS: usize = 256;
/// Replies of so many shards are merged without a list of their own.
const FEW_PARTS: usize = 16;
