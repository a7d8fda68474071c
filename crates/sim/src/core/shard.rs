//! A shard: runs commands and parts of transactions, as its participant allows.

use coordinator::locks::{Admission, Claim, KeyName, Mode, Scope, TxId};
use coordinator::participant::{Deed, Participant};
use coordinator::tx::{Acquire, Act, Notice, Order};
use stdx::{ClientId, DbIndex, ShardId};

use super::{Core, Hop, Message, Node, Part, Shared};
use crate::fairness::{Fairness, Want};
use crate::fault::Fault;
use crate::history::{Key, Lists, Trace, Value};
use crate::journal::Entry;
use crate::store::{run_handler, take};
use crate::workload::Verb;

impl Core {
    /// Changes a key unasked, if nobody has locked it.
    pub(super) fn sweep(&mut self, shared: &mut Shared, op: usize) {
        let names = names_of(shared, self.id, op);
        let ignores_locks = shared.fault == Some(Fault::SweepsIgnoreLocks);
        if ignores_locks || self.participant.is_free(claim(shared, op, &names)) {
            let trace = self.execute(shared, op);
            self.journal.add_plain(&trace);
        }
    }

    /// A single-shard command of another core's connection.
    pub(super) fn visit(&mut self, shared: &mut Shared, hop: Hop) {
        if admit(shared, &mut self.participant, &mut self.fairness, self.id, hop.op, || hop) == Admission::Run
        {
            self.execute_and_answer(shared, hop);
        }
    }

    pub(super) fn execute_and_answer(&mut self, shared: &mut Shared, hop: Hop) {
        let trace = self.execute_single(shared, hop.op);
        if hop.home == self.id {
            self.answer(shared, hop, &trace);
        } else {
            self.out.push((Node::Core(hop.home), Message::Reply(hop, trace)));
        }
    }

    pub(super) fn execute_single(&mut self, shared: &mut Shared, op: usize) -> Trace {
        let last = self.last_of.insert(shared.workload.commands[op].client, op);
        self.out_of_order.extend(last.filter(|&last| last > op).map(|last| (op, last)));
        let trace = self.execute(shared, op);
        self.journal.add_plain(&trace);
        trace
    }

    /// Runs all of a command of one shard, and returns what it saw and did.
    pub(super) fn execute(&mut self, shared: &mut Shared, op: usize) -> Trace {
        let mut trace = Trace::new();
        for stage in 0.. {
            trace.extend(self.run_part(shared, op, stage));
            let stages = shared.workload.commands[op].stages.len();
            if stages == 0 || shared.stops_after(op, stage, &trace) {
                break;
            }
        }
        trace
    }

    /// Runs this shard's part of a command, or of one of its stages, over its own entries, and returns what it saw and did.
    pub(super) fn run_part(&mut self, shared: &mut Shared, op: usize, stage: usize) -> Trace {
        let (verb, keys) = shared.workload.part(op, stage, self.id);
        let value = shared.workload.commands[op].value + stage as Value;
        let mut entries = take(&mut self.lists, &keys);
        let trace = run_handler(verb, value, &mut entries);
        self.lists.append(&mut entries);
        shared.ran(op, verb, trace)
    }

    pub(super) fn order(&mut self, shared: &mut Shared, tx: TxId, order: Order, part: Part) {
        let op = tx.0 as usize;
        if order.acquire != Acquire::Held {
            self.fairness.arrived(op, want(shared, self.id, op));
            self.check_early_if_faulty(shared, op);
        }
        let order = self.without_locks(tx, order);
        if order.act == Act::Nothing {
            self.mark(shared, &part);
        }
        let names = names_of(shared, self.id, op);
        let part = Part { order, ..part };
        self.participant.order(tx, order, claim(shared, op, &names), part);
        self.perform(shared);
    }

    /// Puts the marker of a transaction into the journal that releases its locks, or is about to.
    fn mark(&mut self, shared: &Shared, part: &Part) {
        if part.number > 0 && part.home != self.id && shared.fault != Some(Fault::ForgetsMarkers) {
            self.journal.add(Entry::Marker { number: part.number, home: part.home });
        }
    }

    fn check_early_if_faulty(&self, shared: &mut Shared, op: usize) {
        let (verb, keys) = shared.workload.part(op, 0, self.id);
        if verb == Verb::Check && shared.fault == Some(Fault::ChecksBeforeLocking) {
            for key in keys {
                let list = self.lists.get(&key).cloned().unwrap_or_default();
                shared.checked_early[op].entry(key).or_insert(list);
            }
        }
    }

    /// What a fault leaves of an order: who has no locks releases none.
    pub(super) fn without_locks(&mut self, tx: TxId, order: Order) -> Order {
        if order.acquire != Acquire::Held || !self.lockless.contains(&tx) {
            return order;
        }
        if order.release {
            self.lockless.remove(&tx);
        }
        Order { release: false, ..order }
    }

    pub(super) fn perform(&mut self, shared: &mut Shared) {
        while let Some(deed) = self.participant.poll() {
            match deed {
                Deed::Command(hop) => {
                    self.fairness.went(hop.op, &want(shared, self.id, hop.op));
                    self.execute_and_answer(shared, hop);
                }
                Deed::Answer { tx, notice: Notice::Refused, part }
                    if shared.fault == Some(Fault::TriesBarge) =>
                {
                    self.barge(shared, tx, &part);
                }
                Deed::Answer { tx, notice, part } => {
                    let op = tx.0 as usize;
                    match notice {
                        Notice::Locked => self.fairness.went(op, &want(shared, self.id, op)),
                        _ => self.fairness.gave_up(op),
                    }
                    if notice == Notice::Locked {
                        self.release_if_faulty(shared, tx);
                    }
                    self.tell(shared, part.home, tx, notice, Lists::new(), Trace::new());
                }
                Deed::Perform { tx, act, part } => self.act(shared, tx, act, part),
                Deed::Long(..) => unreachable!("no command of the simulator takes long"),
            }
        }
    }

    pub(super) fn act(&mut self, shared: &mut Shared, tx: TxId, act: Act, part: Part) {
        let op = tx.0 as usize;
        let is_loan = shared.workload.part(op, part.stage, self.id).0 == Verb::Mingle;
        if part.order.acquire != Acquire::Held {
            self.fairness.went(op, &want(shared, self.id, op));
        }
        let (mut lent, mut trace) = (Lists::new(), Trace::new());
        match act {
            Act::Run if is_loan => trace = self.mingle(shared, tx),
            Act::Run => {
                trace = self.run_part(shared, op, part.stage);
                if shared.workload.commands[op].verb == Verb::Cut {
                    self.journal.add(Entry::Cut(op));
                }
                if shared.fault == Some(Fault::JournalsParts) {
                    self.journal.add_plain(&trace);
                }
                self.release_between_stages_if_faulty(shared, tx, part.order);
            }
            Act::Lend => {
                lent = take(&mut self.lists, &shared.workload.part(op, part.stage, self.id).1);
                self.release_if_faulty(shared, tx);
            }
            Act::Return => {
                self.mark(shared, &part);
                self.lists.extend(part.entries);
            }
            Act::Nothing | Act::Abandon => unreachable!("no deeds"),
        }
        if let Some(notice) = act.notice() {
            self.tell(shared, part.home, tx, notice, lent, trace);
        }
    }

    pub(super) fn release_if_faulty(&mut self, shared: &mut Shared, tx: TxId) {
        if shared.fault == Some(Fault::ReleasesBeforeRunning) {
            self.release_early(tx);
        }
    }

    pub(super) fn release_between_stages_if_faulty(&mut self, shared: &mut Shared, tx: TxId, order: Order) {
        if shared.fault == Some(Fault::ReleasesBetweenStages) && order == Order::RUN {
            self.release_early(tx);
        }
    }

    fn release_early(&mut self, tx: TxId) {
        if self.lockless.insert(tx) {
            let none = Claim { scope: Scope::Keys(&[]), mode: Mode::Shared };
            let part =
                Part { home: self.id, order: Order::RELEASE, stage: 0, number: 0, entries: Lists::new() };
            self.participant.order(tx, Order::RELEASE, none, part);
        }
    }

    /// A refused try that goes on as though it had its locks. Only what another has borrowed cannot be lent.
    pub(super) fn barge(&mut self, shared: &mut Shared, tx: TxId, part: &Part) {
        let (notice, trace) = match part.order.act {
            Act::Lend => (Notice::Refused, Trace::new()),
            Act::Run => (Notice::Ran, self.execute(shared, tx.0 as usize)),
            _ => {
                self.lockless.insert(tx);
                (Notice::Locked, Trace::new())
            }
        };
        self.tell(shared, part.home, tx, notice, Lists::new(), trace);
    }
}

pub(super) fn admit(
    shared: &Shared,
    participant: &mut Participant<Hop, Part>,
    fairness: &mut Fairness,
    shard: ShardId,
    op: usize,
    park: impl FnOnce() -> Hop,
) -> Admission {
    if participant.is_idle() || shared.fault == Some(Fault::AdmitsIgnoreLocks) {
        return Admission::Run;
    }
    let client = shared.workload.commands[op].client;
    let is_forgotten = shared.fault == Some(Fault::ForgetsOrigin);
    let origin = ClientId(if is_forgotten { 1000 + op as u64 } else { client as u64 });
    let names = names_of(shared, shard, op);
    let admission = participant.admit(origin, claim(shared, op, &names), park);
    match admission {
        Admission::Run => fairness.went(op, &want(shared, shard, op)),
        Admission::Parked => fairness.arrived(op, want(shared, shard, op)),
    }
    admission
}

fn names_of(shared: &Shared, shard: ShardId, op: usize) -> Vec<KeyName> {
    let name = |key: Key| KeyName { db: DbIndex(0), fingerprint: fingerprint(shared, key) };
    shared.workload.keys_on(op, shard).into_iter().map(name).collect()
}

/// The fingerprints of all its keys.
pub(super) fn fingerprints(shared: &Shared, op: usize) -> impl Iterator<Item = u64> + '_ {
    shared.workload.commands[op].keys.iter().map(|&key| fingerprint(shared, key))
}

fn fingerprint(shared: &Shared, key: Key) -> u64 {
    u64::from(key % shared.workload.lock_names)
}

fn claim<'a>(shared: &Shared, op: usize, names: &'a [KeyName]) -> Claim<'a> {
    let verb = shared.workload.commands[op].verb;
    let mode = if shared.fault == Some(Fault::WritersShare) { Mode::Shared } else { verb.mode() };
    let scope = match verb.is_whole() {
        true if shared.fault == Some(Fault::WholeClaimsNothing) => Scope::Keys(&[]),
        true if verb == Verb::Cut && shared.fault == Some(Fault::CutsLockNothing) => Scope::Keys(&[]),
        true => Scope::Whole,
        false => Scope::Keys(names),
    };
    Claim { scope, mode }
}

fn want(shared: &Shared, shard: ShardId, op: usize) -> Want {
    let verb = shared.workload.commands[op].verb;
    let names = names_of(shared, shard, op).into_iter().map(|name| name.fingerprint as Key).collect();
    Want { names: (!verb.is_whole()).then_some(names), mode: verb.mode() }
}
