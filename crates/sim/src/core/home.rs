//! Transactions at their home: each machine is driven to its end.

use std::collections::BTreeMap;

use coordinator::locks::{Mode, TxId};
use coordinator::pipeline::{HoleId, Kind};
use coordinator::tx::{Notice, Outcome, Plan, Stage, Step, Transaction};
use stdx::ShardId;

use super::{Core, Driven, Message, Node, Part, Shared};
use crate::fault::Fault;
use crate::history::{Lists, Trace, Value};
use crate::journal::{Deed, Entry, appends};
use crate::store::{run_handler, take};
use crate::workload::Verb;

impl Core {
    pub(super) fn begin(&mut self, shared: &mut Shared, client: usize, op: usize, kind: Kind) {
        let hole = self.leave_hole(shared, client, op, kind);
        self.begin_with(shared, op, Some(hole));
    }

    /// The server makes a cut: nobody waits for an answer.
    pub(super) fn begin_cut(&mut self, shared: &mut Shared, op: usize) {
        self.begin_with(shared, op, None);
    }

    fn begin_with(&mut self, shared: &mut Shared, op: usize, hole: Option<HoleId>) {
        let shards = shared.workload.shards_of(op).iter().map(|shard| self.flip(shared, shard)).collect();
        let plan = match shared.workload.commands[op].verb {
            Verb::AppendAll | Verb::ReadAll | Verb::Cut => Plan::Whole(shared.workload.router.shards()),
            Verb::Exec | Verb::Script => Plan::Hold(shards),
            Verb::Mingle => Plan::Lend(shards),
            Verb::Append | Verb::Signal | Verb::Read | Verb::Watch | Verb::Sweep => Plan::Fanout(shards),
            Verb::Check => unreachable!("only a stage"),
        };
        let tx = TxId(op as u64);
        let machine = Transaction::new(tx, self.flip(shared, self.id), plan);
        let is_fanout = matches!(plan, Plan::Fanout(_) | Plan::Whole(_));
        let verb = shared.workload.commands[op].verb;
        let keeps = shared.journals && is_fanout && verb.mode() == Mode::Exclusive;
        let number = if shared.fault == Some(Fault::NumbersEarly) { draw_number(shared) } else { 0 };
        let driven = Driven {
            machine: if keeps { machine.keeping() } else { machine },
            deeds: Vec::new(),
            number,
            is_journalled: false,
            hole,
            lent: BTreeMap::new(),
            trace: Trace::new(),
            stages: 0,
            wants_cancel: false,
        };
        self.transactions.insert(tx, driven);
        self.drive(shared, tx);
    }

    pub(super) fn drive(&mut self, shared: &mut Shared, tx: TxId) {
        while let Some(driven) = self.transactions.get_mut(&tx) {
            match driven.machine.poll() {
                None => return,
                Some(Step::Home(order)) => {
                    let (stage, entries) = (driven.stage(), Lists::new());
                    let part = Part { home: self.id, order, stage, number: 0, entries };
                    self.order(shared, tx, order, part);
                }
                Some(Step::Send { to, order }) => {
                    let to = self.flip(shared, to);
                    let driven = self.transactions.get_mut(&tx).expect("just polled");
                    let lent = driven.lent.remove(&to);
                    let number = if order.release && driven.is_journalled { driven.number } else { 0 };
                    let lent = lent.unwrap_or_default();
                    let message = Message::Order(tx, order, self.id, driven.stage(), number, lent);
                    self.out.push((Node::Core(to), message));
                }
                Some(Step::Ran) => self.journal_whole(shared, tx),
                Some(Step::Granted) => self.begin_stage(shared, tx),
                Some(Step::Done(outcome)) => self.finish(shared, tx, outcome),
            }
        }
    }

    /// The locks are held and no stage is under way.
    pub(super) fn begin_stage(&mut self, shared: &mut Shared, tx: TxId) {
        let op = tx.0 as usize;
        let driven = self.transactions.get_mut(&tx).expect("it is driven");
        let (done, next) = (driven.stages.checked_sub(1), driven.stages);
        if done.is_some_and(|stage| shared.stops_after(op, stage, &driven.trace)) {
            driven.machine.release();
            return self.journal_whole(shared, tx);
        }
        driven.stages += 1;
        let shards = shared.workload.shards_of_stage(op, next);
        let is_loan = shared.workload.commands[op].stages[next].verb == Verb::Mingle;
        // The last one releases; half of them are told separately.
        let is_last =
            next + 1 == shared.workload.commands[op].stages.len() && op.is_multiple_of(2) && !shared.journals;
        let shards = shards.iter().map(|shard| self.flip(shared, shard)).collect();
        let driven = self.transactions.get_mut(&tx).expect("it is driven");
        driven.machine.stage(if is_loan { Stage::Lend(shards) } else { Stage::Run(shards) }, is_last);
    }

    pub(super) fn finish(&mut self, shared: &mut Shared, tx: TxId, outcome: Outcome) {
        let driven = self.transactions.remove(&tx).expect("it was driven");
        let lies = shared.fault == Some(Fault::CancelsLie) && driven.wants_cancel;
        if shared.workload.commands[tx.0 as usize].verb == Verb::Cut {
            shared.ended_cuts.push((tx.0 as usize, outcome == Outcome::Executed));
        }
        let never = outcome == Outcome::Cancelled || lies || shared.never.contains(&(tx.0 as usize));
        if never {
            shared.never.insert(tx.0 as usize);
        }
        if let Some(hole) = driven.hole {
            let client = shared.workload.commands[tx.0 as usize].client;
            self.fill(shared, client, hole, tx.0 as usize, never, &driven.trace);
        }
    }

    pub(super) fn tell(
        &mut self,
        shared: &mut Shared,
        home: ShardId,
        tx: TxId,
        notice: Notice,
        entries: Lists,
        trace: Trace,
    ) {
        if home == self.id {
            self.notice(shared, tx, self.id, notice, entries, trace);
        } else {
            self.out.push((Node::Core(home), Message::Notice(tx, self.id, notice, entries, trace)));
        }
    }

    pub(super) fn notice(
        &mut self,
        shared: &mut Shared,
        tx: TxId,
        from: ShardId,
        notice: Notice,
        entries: Lists,
        trace: Trace,
    ) {
        let flipped = self.flip(shared, from);
        let driven = self.transactions.get_mut(&tx).expect("no notice comes after the end");
        driven.machine.handle(flipped, notice);
        let is_loan = shared.workload.part(tx.0 as usize, driven.stage(), self.id).0 == Verb::Mingle;
        if !is_loan {
            let deeds = appends(&trace).into_iter().map(|(key, value)| Deed::Append(key, value));
            driven.deeds.extend(deeds);
        }
        match notice {
            Notice::Lent => drop(driven.lent.insert(from, entries)),
            _ => driven.trace.extend(trace),
        }
        let is_early = shared.fault == Some(Fault::RepliesEarly);
        let early = driven.hole.take_if(|_| is_early);
        let trace = driven.trace.clone();
        if let Some(hole) = early {
            let op = tx.0 as usize;
            self.fill(shared, shared.workload.commands[op].client, hole, op, false, &trace);
        }
        self.drive(shared, tx);
    }

    /// The handler of a loan, over home's own entries and those that were lent.
    pub(super) fn mingle(&mut self, shared: &mut Shared, tx: TxId) -> Trace {
        let op = tx.0 as usize;
        let driven = self.transactions.get_mut(&tx).expect("a loan runs at home");
        let (verb, keys) = shared.workload.part(op, driven.stage(), self.id);
        let mut entries = take(&mut self.lists, &keys);
        for lent in driven.lent.values() {
            entries.extend(lent.clone());
        }
        let value = shared.workload.commands[op].value + driven.stage() as Value;
        let names = entries.keys().copied().collect();
        let trace = run_handler(verb, value, &mut entries);
        let trace = shared.ran(op, verb, trace);
        driven.deeds.push(Deed::Mingle(names, value));
        for (key, list) in entries {
            let owner = shared.workload.shard_of(key);
            if owner == self.id {
                self.lists.insert(key, list);
            } else if shared.fault != Some(Fault::ReturnsOldEntries) {
                driven.lent.entry(owner).or_default().insert(key, list);
            }
        }
        if shared.workload.commands[op].stages.is_empty() {
            self.journal_whole(shared, tx);
        }
        trace
    }

    /// Writes down all that a transaction did: all its locks are held.
    fn journal_whole(&mut self, shared: &mut Shared, tx: TxId) {
        let driven = self.transactions.get_mut(&tx).expect("it is driven");
        if !shared.journals || driven.deeds.is_empty() || shared.fault == Some(Fault::JournalsParts) {
            return;
        }
        let deeds = std::mem::take(&mut driven.deeds);
        let shards = shared.workload.shards_of(tx.0 as usize);
        let others: Vec<ShardId> = shards.iter().filter(|shard| *shard != self.id).collect();
        if driven.number == 0 {
            driven.number = draw_number(shared);
        }
        driven.is_journalled = true;
        self.journal.add(Entry::Whole { number: driven.number, others, deeds });
    }

    /// Under [`Fault::LocksDescending`] cores with odd numbers count shards from the other end.
    pub(super) fn flip(&self, shared: &Shared, shard: ShardId) -> ShardId {
        let is_flipped = shared.fault == Some(Fault::LocksDescending) && self.id.0 % 2 == 1;
        if is_flipped { ShardId(shared.workload.router.shards() - 1 - shard.0) } else { shard }
    }
}

fn draw_number(shared: &mut Shared) -> u64 {
    shared.numbers += 1;
    shared.numbers
}
