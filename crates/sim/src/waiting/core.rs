//! One core: a shard with real lists, and the home of some clients. This half is the shard.

use super::desk::{self, DB, Loan, NOW};
use super::{Fault, World};
use commands::{Caller, ClientSlot, Outcome, Parking};
use coordinator::locks::{Admission, Claim, KeyName, Mode, Scope, TxId};
use coordinator::participant::{Deed, Participant};
use coordinator::tx::{Act, Notice, Order};
use shard::{Waiter, WaiterId, Waitroom, Woken};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use stdx::args::OwnedArgs;
use stdx::{ClientId, ShardId, Slot};

use super::home::{Driven, Seat};

/// One command of one client: which of its tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Op {
    pub(super) client: usize,
    pub(super) index: usize,
}

/// A message, or an event at a core.
#[derive(Debug)]
pub(super) enum Message {
    /// A client gives its next command.
    Start(usize),
    /// A client gives up this command; whether it is gone.
    GiveUp(Op, bool),
    /// A client looks into an offer.
    Call(usize),
    /// A command whose keys are all here.
    Run(Hop),
    /// What came of it.
    Reply(Op, Vec<u8>),
    /// It waits there.
    Parked(Op, ShardId),
    /// A transaction's order.
    Order(TxId, Order, Part),
    /// The answer.
    Notice(TxId, ShardId, Notice, Vec<Loan>),
    /// Something may be there for a client.
    Offered(Op),
    /// A client waits no longer; whether it is gone.
    Cancel(WaiterId, bool),
    /// Of [`Fault::EntersLate`]: a client stands in line.
    Enter(WaiterId, Arc<Standing>),
}

/// What a core sends.
#[derive(Debug)]
pub(super) enum Sent {
    /// To another core, in order.
    To(ShardId, Message),
    /// To itself, after some time.
    Soon(Message),
    /// To itself, after so long.
    Later(u64, Message),
}

/// A command away from its home.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hop {
    pub(super) op: Op,
    pub(super) home: ShardId,
}

/// What a participant keeps for an order.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) op: Op,
    pub(super) home: ShardId,
    pub(super) args: OwnedArgs,
    pub(super) loans: Vec<Loan>,
    pub(super) fate: Option<Fate>,
}

/// What a shard is told of an attempt.
#[derive(Clone, Debug)]
pub(super) enum Fate {
    Enter(Arc<Standing>),
    Decline,
    Leave,
}

/// A client that is to stand in line at several shards.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) waiter: Waiter<Op>,
    pub(super) parking: Parking,
}

impl Standing {
    /// The keys that it waits for.
    pub(super) fn keys(&self) -> impl Iterator<Item = String> + '_ {
        named(&self.waiter.args, self.parking.keys.clone())
    }
}

pub(super) struct Core {
    pub(super) id: ShardId,
    pub(super) shards: u16,
    pub(super) state: commands::Core,
    pub(super) desk: commands::Core,
    pub(super) room: Waitroom<Op>,
    pub(super) participant: Participant<Hop, Part>,
    pub(super) seats: BTreeMap<usize, Seat>,
    pub(super) transactions: BTreeMap<TxId, Driven>,
    pub(super) next_tx: u64,
    pub(super) out: Vec<Sent>,
}

impl Core {
    pub(super) fn new(id: ShardId, shards: u16) -> Self {
        Self {
            id,
            shards,
            state: desk::core(id, shards),
            desk: desk::core(id, shards),
            room: Waitroom::default(),
            participant: Participant::default(),
            seats: BTreeMap::new(),
            transactions: BTreeMap::new(),
            next_tx: u64::from(id.0) * 1_000_000,
            out: Vec::new(),
        }
    }

    /// Works on one message, and returns what it sends.
    pub(super) fn handle(&mut self, world: &mut World, message: Message) -> Vec<Sent> {
        match message {
            Message::Start(client) => self.start(world, client),
            Message::GiveUp(op, is_gone) => self.give_up(world, op, is_gone),
            Message::Call(client) => self.call(world, client),
            Message::Run(hop) => self.visit(world, hop),
            Message::Reply(op, reply) => self.reply(world, op, reply),
            Message::Parked(op, shard) => self.parked(world, op, shard),
            Message::Order(tx, order, part) => self.order(world, tx, order, part),
            Message::Notice(tx, from, notice, loans) => self.notice(world, tx, from, notice, loans),
            Message::Offered(op) => self.offered(world, op),
            Message::Cancel(id, is_gone) => self.cancel(world, id, is_gone),
            Message::Enter(id, standing) => self.enter(world, id, &standing),
        }
        std::mem::take(&mut self.out)
    }

    pub(super) fn tell(&mut self, world: &mut World, to: ShardId, message: Message) {
        if to != self.id {
            return self.out.push(Sent::To(to, message));
        }
        match message {
            Message::Run(hop) => self.visit(world, hop),
            Message::Order(tx, order, part) => self.order(world, tx, order, part),
            Message::Cancel(id, is_gone) => self.cancel(world, id, is_gone),
            // A home takes note of its own shard's news when it comes to it.
            other => self.out.push(Sent::Later(0, other)),
        }
    }

    fn visit(&mut self, world: &mut World, hop: Hop) {
        let args = args(world, hop.op);
        let names = names(&keys(&args));
        let claim = Claim { scope: Scope::Keys(&names), mode: Mode::Exclusive };
        if self.participant.admit(caller(hop.op).id, claim, || hop) == Admission::Run {
            self.run(world, hop);
        }
        self.carry_out(world);
    }

    /// Runs a command whose keys are all here.
    fn run(&mut self, world: &mut World, hop: Hop) {
        let Hop { op, home } = hop;
        let (args, caller, id) = (args(world, op), caller(op), id(home, op));
        let command = commands::lookup(args.as_args()).expect("a command of the table");
        let wait = shard::serve::Wait { id, command, db: DB, args: args.as_args() };
        let mut out = Vec::new();
        self.state.reserved = self.room.reserved(&mut self.state, wait, |_| true, NOW);
        let outcome = shard::execute(&mut self.state, command, caller, args.as_args(), None, &mut out, NOW);
        self.state.reserved.clear();
        if args.as_args().at(0) == b"RPUSH" {
            args.as_args().iter().skip(2).for_each(|word| world.lines.push(&String::from_utf8_lossy(word)));
        }
        if outcome == Outcome::Park {
            let parking = self.state.parking.take().expect("who parks says what for");
            world.lines.enter(id, named(&args, parking.keys.clone()));
            let waiter = Waiter { command, caller, args: args.clone(), is_whole: true, sink: op };
            self.room.park(&mut self.state, id, parking.keys, parking.wanted, waiter);
            self.tell(world, home, Message::Parked(op, self.id));
        } else {
            note_taken(world, id, &args, &out);
            self.tell(world, home, Message::Reply(op, out));
        }
        self.serve(world, &keys(&args));
    }

    /// Serves who can be served next to what has just run with `own` keys, and sends out what came of it.
    fn serve(&mut self, world: &mut World, own: &[Vec<u8>]) {
        if self.state.keyspace.has_changed() {
            let Self { state, room, participant, .. } = self;
            room.serve(state, NOW, &mut may_touch(participant, own));
        }
        for woken in self.room.take_woken() {
            match woken {
                Woken::Served { id, waiter, reply, .. } => {
                    note_taken(world, id, &args(world, waiter.sink), &reply);
                    self.has_left(world, id);
                    self.tell(world, id.home, Message::Reply(waiter.sink, reply));
                }
                Woken::Offered { id, sink, .. } => self.tell(world, id.home, Message::Offered(sink)),
            }
        }
    }

    fn has_left(&self, world: &mut World, id: WaiterId) {
        let (shards, here) = (self.shards, self.id.0);
        world.lines.leave(id, |key| key[1..].parse::<u16>().is_ok_and(|number| number % shards == here));
    }

    fn cancel(&mut self, world: &mut World, id: WaiterId, is_gone: bool) {
        let Some(waiter) = self.room.cancel(&mut self.state, id) else { return };
        self.has_left(world, id);
        if waiter.is_whole {
            let reply = if is_gone { Vec::new() } else { b"*-1\r\n".to_vec() };
            self.tell(world, id.home, Message::Reply(waiter.sink, reply));
        }
        self.serve(world, &[]);
    }

    pub(super) fn order(&mut self, world: &mut World, tx: TxId, order: Order, part: Part) {
        let here = self.here(world, &part.args);
        let names = names(&here);
        let mode = if here.is_empty() { Mode::Shared } else { Mode::Exclusive };
        self.participant.order(tx, order, Claim { scope: Scope::Keys(&names), mode }, part);
        if order.release && order.act == Act::Nothing {
            self.serve(world, &here);
        }
        self.carry_out(world);
    }

    fn carry_out(&mut self, world: &mut World) {
        while let Some(deed) = self.participant.poll() {
            match deed {
                Deed::Command(hop) => self.run(world, hop),
                Deed::Long(..) => unreachable!("no command here takes long"),
                Deed::Answer { tx, notice, part } => {
                    self.tell(world, part.home, Message::Notice(tx, self.id, notice, Vec::new()));
                }
                Deed::Perform { tx, act, part } => self.perform(world, tx, act, part),
            }
        }
    }

    fn perform(&mut self, world: &mut World, tx: TxId, act: Act, mut part: Part) {
        let here = self.here(world, &part.args);
        let mut lent = Vec::new();
        match act {
            Act::Lend => lent = self.lend(world, &part),
            Act::Run => self.attempt(world, tx, &mut part),
            Act::Return => {
                let loans = std::mem::take(&mut part.loans);
                let left: Vec<Vec<u8>> =
                    loans.iter().filter(|loan| loan.is_reserved).map(|loan| loan.key.clone()).collect();
                desk::give_back(&mut self.state, loans);
                if let Some(fate) = part.fate.take() {
                    self.settle(world, id(part.home, part.op), &fate, &here);
                    // Those to whom something was left may have gone meanwhile.
                    if world.fault != Some(Fault::ForgetsWhatItLeft) {
                        left.iter().for_each(|key| self.state.keyspace.mark_changed(DB, key));
                    }
                }
            }
            Act::Nothing | Act::Abandon => unreachable!("the participant does these itself"),
        }
        if !self.participant.knows(tx) {
            self.serve(world, &here);
        }
        if let Some(notice) = act.notice() {
            self.tell(world, part.home, Message::Notice(tx, self.id, notice, lent));
        }
    }

    /// Lends this shard's keys of a command.
    pub(super) fn lend(&mut self, world: &World, part: &Part) -> Vec<Loan> {
        let command = commands::lookup(part.args.as_args()).expect("a command of the table");
        let wait =
            shard::serve::Wait { id: id(part.home, part.op), command, db: DB, args: part.args.as_args() };
        let here = self.here(world, &part.args);
        let is_here = |key: &[u8]| here.iter().any(|here| here == key);
        let mut reserved = self.room.reserved(&mut self.state, wait, is_here, NOW);
        if world.fault == Some(Fault::IgnoresReserved) {
            reserved.clear();
        }
        desk::lend(&mut self.state, self.id, &here, &reserved)
    }

    /// Does what an attempt has come to, under its locks.
    pub(super) fn settle(&mut self, world: &mut World, id: WaiterId, fate: &Fate, here: &[Vec<u8>]) {
        match fate {
            Fate::Decline if world.fault == Some(Fault::ForgetsToDecline) => {}
            Fate::Decline => {
                let Self { state, room, participant, .. } = self;
                room.decline(state, id, NOW, &mut may_touch(participant, here));
            }
            Fate::Leave => {
                self.room.cancel(&mut self.state, id);
                self.has_left(world, id);
            }
            Fate::Enter(standing) if world.fault == Some(Fault::EntersLate) && id.home != self.id => {
                self.out.push(Sent::Soon(Message::Enter(id, Arc::clone(standing))));
            }
            Fate::Enter(standing) => self.enter(world, id, standing),
        }
    }

    fn enter(&mut self, world: &mut World, id: WaiterId, standing: &Standing) {
        let Standing { waiter, parking } = standing;
        let is_here = |at: &usize| world.shard_of(waiter.args.as_args().at(*at)) == self.id;
        let here: Vec<usize> = parking.keys.clone().filter(is_here).collect();
        if let Some(&first) = here.first() {
            let keys = here.iter().flat_map(|&at| named(&waiter.args, at..at + 1)).collect::<Vec<_>>();
            world.lines.enter(id, keys.into_iter());
            debug_assert!(first > 0);
            self.room.park(&mut self.state, id, here.into_iter(), parking.wanted.clone(), waiter.clone());
        }
    }

    /// The keys of a command that are here, each once.
    pub(super) fn here(&self, world: &World, args: &OwnedArgs) -> Vec<Vec<u8>> {
        let mut here: Vec<Vec<u8>> =
            keys(args).into_iter().filter(|key| world.shard_of(key) == self.id).collect();
        here.sort();
        here.dedup();
        here
    }

    /// What is left when nothing should be.
    pub(super) fn left_over(&self) -> Option<String> {
        if let Some(tx) = self.transactions.keys().next() {
            return Some(format!("{:?}: {tx:?} is not over", self.id));
        }
        (!self.participant.is_idle()).then(|| format!("{:?}: locks are held", self.id))
    }

    /// Keys at which there is something, and somebody waits.
    pub(super) fn awaited_in_vain(&mut self) -> Vec<String> {
        let keys = (0..KEYS_MAX).map(|number| format!("k{number}"));
        let in_vain = |key: &String| {
            let is_awaited = self.room.waiters().wanted(DB, key.as_bytes()).next().is_some();
            is_awaited && !range(&mut self.state, key).is_empty()
        };
        keys.collect::<Vec<_>>().into_iter().filter(in_vain).collect()
    }

    /// All elements here.
    pub(super) fn elements(&mut self) -> Vec<String> {
        (0..KEYS_MAX).flat_map(|number| range(&mut self.state, &format!("k{number}"))).collect()
    }
}

fn range(state: &mut commands::Core, key: &str) -> Vec<String> {
    let args = OwnedArgs::new(&["LRANGE", key, "0", "-1"]);
    let command = commands::lookup(args.as_args()).expect("a command of the table");
    let mut out = Vec::new();
    shard::execute(state, command, Caller::default(), args.as_args(), None, &mut out, NOW);
    super::elements(&out)
}

/// Notes from which key a client has taken that may wait, if it has.
pub(super) fn note_taken(world: &mut World, id: WaiterId, args: &OwnedArgs, reply: &[u8]) {
    let words = String::from_utf8_lossy(reply).into_owned();
    let source = String::from_utf8_lossy(args.as_args().at(1)).into_owned();
    match args.as_args().at(0) {
        b"BLMOVE" if words.starts_with("$2") || words.starts_with("$3") => world.lines.taken(id, &source),
        b"BLPOP" | b"BRPOP" if words.starts_with("*2") => {
            let key = words.split("\r\n").nth(2).expect("the key comes first").to_owned();
            world.lines.taken(id, &key);
        }
        _ => {}
    }
}

fn may_touch<'a>(
    participant: &'a Participant<Hop, Part>,
    own: &'a [Vec<u8>],
) -> impl FnMut(&[u8]) -> bool + 'a {
    move |key| {
        let names = [name(key)];
        let claim = Claim { scope: Scope::Keys(&names), mode: Mode::Exclusive };
        own.iter().any(|own| own == key) || participant.is_untouched(claim)
    }
}

pub(super) fn args(world: &World, op: Op) -> OwnedArgs {
    OwnedArgs::new(&world.scripts[op.client][op.index].words)
}

pub(super) fn caller(op: Op) -> Caller {
    Caller { id: ClientId(op.client as u64), may_park: true, ..Caller::default() }
}

pub(super) fn id(home: ShardId, op: Op) -> WaiterId {
    WaiterId { home, client: ClientSlot(op.client as u32) }
}

pub(super) fn keys(args: &OwnedArgs) -> Vec<Vec<u8>> {
    let words = args.as_args();
    let mut positions = Vec::new();
    commands::table::keys_of(commands::lookup(words).expect("a command of the table"), words, &mut positions);
    positions.into_iter().map(|at| words.at(at as usize).to_vec()).collect()
}

fn named(args: &OwnedArgs, positions: Range<usize>) -> impl Iterator<Item = String> + '_ {
    positions.map(|at| String::from_utf8_lossy(args.as_args().at(at)).into_owned())
}

fn names(keys: &[Vec<u8>]) -> Vec<KeyName> {
    keys.iter().map(|key| name(key)).collect()
}

fn name(key: &[u8]) -> KeyName {
    KeyName { db: DB, fingerprint: Slot::of(key).index() as u64 }
}

/// No run has more keys.
const KEYS_MAX: usize = 8;
