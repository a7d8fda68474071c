//! The home of some clients: it gives their commands, drives transactions to their end, and decides who is served.

use super::core::{Core, Fate, Hop, Message, Op, Part, Sent, Standing, args, caller, id, keys, note_taken};
use super::desk::{self, Loan};
use super::{Fault, World};
use coordinator::locks::TxId;
use coordinator::shards::ShardSet;
use coordinator::tx::{Act, Notice, Order, Plan, Step, Transaction};
use coordinator::vigil::{Next, Verdict, Vigil};
use shard::Waiter;
use std::sync::Arc;
use stdx::ShardId;
use stdx::args::OwnedArgs;

/// A client.
#[derive(Debug, Default)]
pub(super) struct Seat {
    /// What it has given and has no answer to.
    op: Option<Op>,
    next: usize,
    place: Option<Place>,
    /// It has given up before it was known where it waits; whether it is gone.
    gives_up: Option<bool>,
    is_gone: bool,
}

/// Where a client waits.
#[derive(Debug)]
enum Place {
    /// At one shard, which knows that it is to leave, or does not.
    One(ShardId, bool),
    Several(Vigil<bool>, Arc<Standing>),
}

/// A transaction under way.
#[derive(Debug)]
pub(super) struct Driven {
    machine: Transaction,
    op: Op,
    args: OwnedArgs,
    lent: Vec<Loan>,
    reply: Vec<u8>,
}

impl Core {
    pub(super) fn start(&mut self, world: &mut World, client: usize) {
        let seat = self.seats.entry(client).or_default();
        if seat.is_gone || seat.next == world.scripts[client].len() {
            return;
        }
        let op = Op { client, index: seat.next };
        seat.next += 1;
        let before = seat.op.replace(op);
        assert!(before.is_none(), "one at a time");
        if let Some((after, is_gone)) = world.scripts[client][op.index].gives_up {
            self.out.push(Sent::Later(after, Message::GiveUp(op, is_gone)));
        }
        let args = args(world, op);
        let shards: ShardSet = keys(&args).iter().map(|key| world.shard_of(key)).collect();
        match shards.first() {
            Some(shard) if shards.len() == 1 => {
                self.tell(world, shard, Message::Run(Hop { op, home: self.id }));
            }
            _ => self.begin(world, op, args),
        }
    }

    fn begin(&mut self, world: &mut World, op: Op, args: OwnedArgs) {
        let shards: ShardSet = keys(&args).iter().map(|key| world.shard_of(key)).collect();
        let tx = TxId(self.next_tx);
        self.next_tx += 1;
        let machine = Transaction::new(tx, self.id, Plan::Lend(shards));
        self.transactions.insert(tx, Driven { machine, op, args, lent: Vec::new(), reply: Vec::new() });
        self.drive(world, tx);
    }

    fn drive(&mut self, world: &mut World, tx: TxId) {
        while let Some(driven) = self.transactions.get_mut(&tx) {
            match driven.machine.poll() {
                None => return,
                Some(Step::Granted) => unreachable!("only held transactions are granted"),
                Some(Step::Home(order)) => {
                    let part = self.part(tx, order, self.id);
                    self.order(world, tx, order, part);
                }
                Some(Step::Send { to, order }) => {
                    let part = self.part(tx, order, to);
                    self.out.push(Sent::To(to, Message::Order(tx, order, part)));
                }
                Some(Step::Done(_)) => self.over(world, tx),
                Some(Step::Ran) => unreachable!("nothing is journalled here"),
            }
        }
    }

    fn part(&mut self, tx: TxId, order: Order, to: ShardId) -> Part {
        let driven = self.transactions.get_mut(&tx).expect("it is driven");
        let (op, args, lent) = (driven.op, driven.args.clone(), std::mem::take(&mut driven.lent));
        let (loans, kept) = match order.act {
            Act::Run => (lent, Vec::new()),
            Act::Return => lent.into_iter().partition(|loan| loan.owner == to),
            _ => (Vec::new(), lent),
        };
        driven.lent = kept;
        let fate = if order.act == Act::Return { self.fate(op.client) } else { None };
        Part { op, home: self.id, args, loans, fate }
    }

    fn fate(&self, client: usize) -> Option<Fate> {
        let Some(Place::Several(vigil, standing)) = &self.seats[&client].place else { return None };
        Some(match vigil.verdict()? {
            Verdict::Enters => Fate::Enter(Arc::clone(standing)),
            Verdict::Declines => Fate::Decline,
            Verdict::Leaves => Fate::Leave,
        })
    }

    pub(super) fn notice(
        &mut self,
        world: &mut World,
        tx: TxId,
        from: ShardId,
        notice: Notice,
        lent: Vec<Loan>,
    ) {
        let driven = self.transactions.get_mut(&tx).expect("no notice comes after the end");
        driven.lent.extend(lent);
        driven.machine.handle(from, notice);
        self.drive(world, tx);
    }

    /// Runs a command over what was lent and what is here.
    pub(super) fn attempt(&mut self, world: &mut World, tx: TxId, part: &mut Part) {
        let op = part.op;
        let mut loans = std::mem::take(&mut part.loans);
        loans.extend(self.lend(world, part));
        let (waits, mut gives_up) = match &self.seats[&op.client].place {
            Some(Place::Several(vigil, _)) => (true, vigil.gives_up()),
            _ => (false, None),
        };
        world.report.attempts += usize::from(waits);
        let mut reply = Vec::new();
        let takes_all_the_same =
            world.fault == Some(Fault::TakesAlthoughGivenUp) && gives_up.take().is_some();
        let parking = match gives_up {
            Some(is_gone) => {
                reply = nil(is_gone);
                None
            }
            None => desk::run(&mut self.desk, &part.args, caller(op), &mut loans, &mut reply),
        };
        note_taken(world, id(self.id, op), &part.args, &reply);
        if takes_all_the_same {
            reply = nil(false);
        }
        let (own, others) = loans.into_iter().partition(|loan| loan.owner == self.id);
        desk::give_back(&mut self.state, own);
        let seat = self.seats.get_mut(&op.client).expect("its client");
        match (&mut seat.place, parking) {
            (Some(Place::Several(vigil, _)), None) => vigil.tried(Verdict::Leaves),
            (Some(Place::Several(vigil, _)), Some(_)) => {
                world.report.declined += 1;
                vigil.tried(Verdict::Declines);
            }
            (None, Some(parking)) => {
                world.report.waits += 1;
                let command = commands::lookup(part.args.as_args()).expect("a command of the table");
                let (args, caller) = (part.args.clone(), caller(op));
                let waiter = Waiter { command, caller, args, is_whole: false, sink: op };
                seat.place = Some(Place::Several(Vigil::enter(), Arc::new(Standing { waiter, parking })));
            }
            (None, None) => {}
            (Some(Place::One(..)), _) => unreachable!("it waits at several, or not yet"),
        }
        if let Some(fate) = self.fate(op.client) {
            let here = self.here(world, &part.args);
            self.settle(world, id(self.id, op), &fate, &here);
        }
        let driven = self.transactions.get_mut(&tx).expect("it is driven");
        (driven.lent, driven.reply) = (others, reply);
    }

    fn over(&mut self, world: &mut World, tx: TxId) {
        let Driven { op, reply, .. } = self.transactions.remove(&tx).expect("it was driven");
        let seat = self.seats.get_mut(&op.client).expect("its client");
        let Some(Place::Several(vigil, _)) = &mut seat.place else { return self.reply(world, op, reply) };
        match vigil.over() {
            Next::Answered => self.reply(world, op, reply),
            Next::Tries => self.out.push(Sent::Soon(Message::Call(op.client))),
            Next::GivesUp(is_gone) => self.leave(world, op.client, is_gone),
            Next::Stands => {
                if let Some(is_gone) = seat.gives_up.take() {
                    self.end_wait(world, op.client, is_gone);
                }
            }
        }
    }

    pub(super) fn call(&mut self, world: &mut World, client: usize) {
        let seat = self.seats.get_mut(&client).expect("its client");
        if let Some(Place::Several(vigil, standing)) = &mut seat.place
            && vigil.begin()
        {
            let (op, args) = (standing.waiter.sink, standing.waiter.args.clone());
            self.begin(world, op, args);
        }
    }

    pub(super) fn offered(&mut self, world: &mut World, op: Op) {
        let seat = self.seats.get_mut(&op.client).expect("its client");
        let Some(Place::Several(vigil, _)) = &mut seat.place else { return };
        if world.fault == Some(Fault::DropsOffers) && op.index.is_multiple_of(2) {
            return;
        }
        if seat.op == Some(op) && vigil.offered() {
            self.out.push(Sent::Soon(Message::Call(op.client)));
        }
    }

    pub(super) fn parked(&mut self, world: &mut World, op: Op, shard: ShardId) {
        let seat = self.seats.get_mut(&op.client).expect("its client");
        assert_eq!(seat.op, Some(op), "it waits for something else");
        seat.place = Some(Place::One(shard, false));
        if let Some(is_gone) = seat.gives_up.take() {
            self.end_wait(world, op.client, is_gone);
        }
    }

    pub(super) fn give_up(&mut self, world: &mut World, op: Op, is_gone: bool) {
        let seat = self.seats.get_mut(&op.client).expect("its client");
        if seat.op != Some(op) {
            return;
        }
        world.report.gave_up += 1;
        seat.is_gone |= is_gone;
        if seat.place.is_none() {
            seat.gives_up = Some(is_gone);
        } else {
            self.end_wait(world, op.client, is_gone);
        }
    }

    fn end_wait(&mut self, world: &mut World, client: usize, is_gone: bool) {
        let seat = self.seats.get_mut(&client).expect("its client");
        let op = seat.op.expect("it waits");
        match seat.place.as_mut().expect("it waits") {
            Place::One(_, true) => {}
            Place::One(shard, is_told) => {
                *is_told = true;
                let shard = *shard;
                self.tell(world, shard, Message::Cancel(id(self.id, op), is_gone));
            }
            Place::Several(vigil, _) => {
                if vigil.give_up(is_gone) {
                    self.leave(world, client, is_gone);
                }
            }
        }
    }

    /// Takes a client out of its lines and answers it.
    fn leave(&mut self, world: &mut World, client: usize, is_gone: bool) {
        let seat = &self.seats[&client];
        let op = seat.op.expect("it waits");
        let Some(Place::Several(_, standing)) = &seat.place else { unreachable!("it waits at several") };
        let shards: ShardSet = standing.keys().map(|key| world.shard_of(key.as_bytes())).collect();
        if world.fault != Some(Fault::LeavesSilently) {
            for shard in shards.iter() {
                self.tell(world, shard, Message::Cancel(id(self.id, op), is_gone));
            }
        }
        self.reply(world, op, nil(is_gone));
    }

    pub(super) fn reply(&mut self, world: &mut World, op: Op, reply: Vec<u8>) {
        let seat = self.seats.get_mut(&op.client).expect("its client");
        assert_eq!(seat.op, Some(op), "one answer to each command");
        (seat.op, seat.place, seat.gives_up) = (None, None, None);
        // What was moved is not handed over.
        if world.scripts[op.client][op.index].words[0] != "BLMOVE" {
            world.replies.push(reply);
        }
        self.out.push(Sent::Soon(Message::Start(op.client)));
    }

    /// Whether a client has given a command and has no answer.
    pub(super) fn waits(&self, client: usize) -> bool {
        self.seats.get(&client).is_some_and(|seat| seat.place.is_some())
    }
}

fn nil(is_gone: bool) -> Vec<u8> {
    if is_gone { Vec::new() } else { b"*-1\r\n".to_vec() }
}
