//! One core: a shard with a store of lists, and the home of some connections. It drives the machines of
//! `coordinator` as the server does, with messages instead of mailboxes.

mod connection;
mod home;
mod shard;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use coordinator::locks::TxId;
use coordinator::participant::Participant;
use coordinator::pipeline::{HoleId, Overlap, Replies};
use coordinator::tx::{Notice, Order, Transaction};
use stdx::ShardId;

use crate::fairness::Fairness;
use crate::fault::Fault;
use crate::history::{Access, Lists, Trace};
use crate::journal::{Deed, Journal};
use crate::workload::{Verb, Workload};

/// What all cores look at, and where they note what only a simulation can know.
pub struct Shared {
    /// What is run.
    pub workload: Workload,
    /// What is broken.
    pub fault: Option<Fault>,
    /// Per command: what it appended, once that is known.
    pub appends: Vec<Trace>,
    /// Per command that watched: what it saw.
    pub watched: Vec<Lists>,
    /// Under [`Fault::ChecksBeforeLocking`], per EXEC: what it saw when it asked for its locks.
    pub checked_early: Vec<Lists>,
    /// Commands that the server dropped or cancelled, and those that gave up because of a change to what they watched.
    pub never: BTreeSet<usize>,
    /// Whether the shards keep journals.
    pub journals: bool,
    /// How many numbers transactions have drawn for them.
    pub numbers: u64,
    /// Cuts that have ended, each with whether it was made, until the world takes them.
    pub ended_cuts: Vec<(usize, bool)>,
}

impl Shared {
    /// Notes what is known of `op` now that it, or a part of it, ran on the lists of some keys. Of a check: whether they are
    /// still what was watched; what it saw then is taken for what it sees now.
    fn ran(&mut self, op: usize, verb: Verb, trace: Trace) -> Trace {
        self.appends[op].extend(trace.iter().filter(|access| matches!(access, Access::Append(..))).cloned());
        match verb {
            Verb::Watch => {
                let lists = trace.iter().filter_map(|access| match access {
                    Access::List(key, list) => Some((*key, list.clone())),
                    _ => None,
                });
                self.watched[op].extend(lists);
                trace
            }
            Verb::Check => {
                let watches = &self.workload.commands[op].watches;
                // A key that is watched already is not watched anew.
                let seen = |access: &Access| {
                    let list = watches.iter().find_map(|&watch| self.watched[watch].get(&access.key()))?;
                    Some(Access::List(access.key(), list.clone()))
                };
                let seen: Option<Trace> = trace.iter().map(seen).collect();
                let early = |access: Access| match self.checked_early[op].get(&access.key()) {
                    Some(list) => Access::List(access.key(), list.clone()),
                    None => access,
                };
                let trace: Trace = trace.into_iter().map(early).collect();
                let is_unchanged = seen.as_ref() == Some(&trace);
                if !is_unchanged && (seen.is_none() || self.fault != Some(Fault::IgnoresWatches)) {
                    self.never.insert(op);
                }
                seen.unwrap_or_default()
            }
            _ => trace,
        }
    }

    /// Whether a command of several stages stops after this one, given what it has seen so far.
    fn stops_after(&self, op: usize, stage: usize, trace: &Trace) -> bool {
        let command = &self.workload.commands[op];
        let len = |access: &Access| if let Access::List(_, list) = access { list.len() } else { 0 };
        let has_odd = !trace.iter().map(len).sum::<usize>().is_multiple_of(2);
        let has_changed = command.stages[stage].verb == Verb::Check && self.never.contains(&op);
        has_changed || stage + 1 == command.stages.len() || (stage == 0 && command.gives_up_if_odd && has_odd)
    }
}

/// Where a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Node {
    /// A core.
    Core(ShardId),
    /// A client, by number.
    Client(usize),
}

/// A message, or an event at a core.
#[derive(Debug)]
pub enum Message {
    /// A client sends a command.
    Request(usize),
    /// A client is gone; whether its transaction is to be cancelled.
    Hangup(usize, bool),
    /// A client's transaction is to be cancelled, and the client told so.
    Cancel(usize),
    /// A single-shard command goes to its shard.
    Hop(Hop),
    /// Its reply comes back.
    Reply(Hop, Trace),
    /// A transaction's order: for which of its stages, with the number of its marker (or 0), and with the entries that it
    /// returns.
    Order(TxId, Order, ShardId, usize, u64, Lists),
    /// The answer, with what was lent, and what was seen and done.
    Notice(TxId, ShardId, Notice, Lists, Trace),
    /// The shard changes a key of its own accord.
    Sweep(usize),
    /// The server makes a cut.
    Cut(usize),
    /// To a client: encoded replies.
    Bytes(Vec<u8>),
}

/// A single-shard command away from its connection.
#[derive(Clone, Copy, Debug)]
pub struct Hop {
    home: ShardId,
    op: usize,
    hole: HoleId,
}

/// What a participant keeps for an order.
#[derive(Debug)]
struct Part {
    home: ShardId,
    order: Order,
    stage: usize,
    number: u64,
    entries: Lists,
}

/// One core.
pub struct Core {
    id: ShardId,
    lists: Lists,
    participant: Participant<Hop, Part>,
    fairness: Fairness,
    /// The last single-shard command of each client that ran here.
    last_of: BTreeMap<usize, usize>,
    out_of_order: Vec<(usize, usize)>,
    connections: BTreeMap<usize, Connection>,
    transactions: BTreeMap<TxId, Driven>,
    /// Transactions that [`Fault`]s let work here without locks.
    lockless: BTreeSet<TxId>,
    journal: Journal,
    out: Vec<(Node, Message)>,
}

/// A connection at home.
struct Connection {
    waiting: VecDeque<usize>,
    overlap: Overlap,
    replies: Replies,
    is_gone: bool,
}

/// A transaction under way, and its connection's hole.
struct Driven {
    machine: Transaction,
    hole: Option<HoleId>,
    lent: BTreeMap<ShardId, Lists>,
    trace: Trace,
    /// What it did, for the journal, and the number under which that is there.
    deeds: Vec<Deed>,
    number: u64,
    is_journalled: bool,
    /// How many of its stages have begun.
    stages: usize,
    wants_cancel: bool,
}

impl Driven {
    /// Which stage its orders are for.
    fn stage(&self) -> usize {
        self.stages.saturating_sub(1)
    }
}

impl Core {
    /// Without connections.
    pub fn new(id: ShardId) -> Self {
        Self {
            id,
            lists: Lists::new(),
            participant: Participant::default(),
            fairness: Fairness::default(),
            last_of: BTreeMap::new(),
            out_of_order: Vec::new(),
            connections: BTreeMap::new(),
            transactions: BTreeMap::new(),
            lockless: BTreeSet::new(),
            journal: Journal::default(),
            out: Vec::new(),
        }
    }

    /// A client connects.
    pub fn connect(&mut self, shared: &Shared, client: usize) {
        let connection = Connection {
            waiting: VecDeque::new(),
            overlap: Overlap::new(shared.workload.order),
            replies: Replies::default(),
            is_gone: false,
        };
        self.connections.insert(client, connection);
    }

    /// Works on one message, and returns what it sends.
    pub fn handle(&mut self, shared: &mut Shared, message: Message) -> Vec<(Node, Message)> {
        self.journal.write();
        match message {
            Message::Request(op) => {
                let client = shared.workload.commands[op].client;
                self.connection(client).waiting.push_back(op);
                self.go_on(shared, client);
            }
            Message::Hangup(client, cancels) => self.hang_up(shared, client, cancels),
            Message::Cancel(client) => self.cancel(shared, client),
            Message::Hop(hop) => self.visit(shared, hop),
            Message::Reply(hop, trace) => self.answer(shared, hop, &trace),
            Message::Order(tx, order, home, stage, number, entries) => {
                self.order(shared, tx, order, Part { home, order, stage, number, entries });
            }
            Message::Notice(tx, from, notice, entries, trace) => {
                self.notice(shared, tx, from, notice, entries, trace);
            }
            Message::Sweep(op) => self.sweep(shared, op),
            Message::Cut(op) => self.begin_cut(shared, op),
            Message::Bytes(_) => unreachable!("cores do not read replies"),
        }
        if shared.fault != Some(Fault::LeavesBeforeJournal) {
            self.journal.write();
        }
        std::mem::take(&mut self.out)
    }

    /// What it has written down.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Writes down what it has not.
    pub fn end(&mut self) {
        self.journal.write();
    }

    /// The store.
    pub fn lists(&self) -> &Lists {
        &self.lists
    }

    /// Who was overtaken here.
    pub fn overtaken(&self) -> &[(usize, usize)] {
        self.fairness.overtaken()
    }

    /// Single-shard commands of one connection that ran here the wrong way round.
    pub fn out_of_order(&self) -> &[(usize, usize)] {
        &self.out_of_order
    }

    /// What is left when nothing should be.
    pub fn left_over(&self) -> Option<String> {
        if let Some(tx) = self.transactions.keys().next() {
            return Some(format!("{:?}: {tx:?} is not over", self.id));
        }
        if !self.participant.is_idle() {
            return Some(format!("{:?}: locks are held", self.id));
        }
        let open = |connection: &&Connection| {
            connection.overlap.outstanding() > 0 || connection.replies.buffered_bytes() > 0
        };
        self.connections.values().find(open).map(|_| format!("{:?}: a connection waits", self.id))
    }
}
