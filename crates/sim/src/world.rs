//! The world around the cores: time, links, stalls, clients that pipeline, leave and cancel.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use stdx::ShardId;
use stdx::rng::Rng;

use crate::between;
use crate::core::{Core, Message, Node, Shared};
use crate::elle::{self, Anomaly};
use crate::fault::Fault;
use crate::history::{Access, Fate, History, Key, Lists, Op, Trace};
use crate::journal::{self, Entry};
use crate::wire::{Decoded, decode};
use crate::workload::{NOBODY, Verb, Workload};

/// Something that must not happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// The history has no explanation; and that in words.
    Inconsistent(Anomaly, String),
    /// Somebody waits for ever.
    Stuck(String),
    /// A claim went before an earlier one that conflicts with it: (the earlier, the later).
    Overtaken(usize, usize),
    /// A shard executed two commands of one connection the wrong way round: (the earlier, the later).
    OutOfOrder(usize, usize),
    /// A command saw less of a key than an earlier one of its connection.
    Backwards(usize, Key),
    /// A client read replies that are not the next of its commands.
    WrongReply(String),
    /// What was journalled by some instant does not make what it should.
    Journal(String),
    /// A machine's own assertion failed.
    Panicked(String),
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Violation::Inconsistent(_, words) => out.write_str(words),
            other => write!(out, "{other:?}"),
        }
    }
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Everything that must not be; empty if all is well.
    pub violations: Vec<Violation>,
    /// Commands that were sent.
    pub sent: usize,
    /// Those that touched several shards.
    pub across: usize,
    /// Answered, and executed.
    pub done: usize,
    /// Not executed: cancelled, or dropped with their connection.
    pub never: usize,
    /// Messages between cores.
    pub hops: usize,
}

/// Runs the cluster of `seed` to its end. The same arguments always give the same report.
pub fn run(seed: u64, fault: Option<Fault>) -> Report {
    let ran = catch_unwind(AssertUnwindSafe(|| {
        let mut world = World::new(seed, fault);
        world.run();
        world.report()
    }));
    ran.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.into())).unwrap_or_default();
        Report { violations: vec![Violation::Panicked(text)], ..Report::default() }
    })
}

/// A run that is not over after this many events never will be: a normal one takes some hundreds.
const EVENTS_MAX: usize = 200_000;

/// How many events lie between two instants at which a crash is imagined.
const CRASH_EVERY: u64 = 7;

/// Sweeps and cuts come before this tick.
const SWEEPS_UNTIL: u64 = 5000;

struct World {
    shared: Shared,
    cores: Vec<Station>,
    clients: Vec<Client>,
    ops: Vec<Op>,
    rng: Rng,
    pace: Pace,
    now: u64,
    /// Counts events: the clock of the history, in which no two things happen at once.
    instant: u64,
    /// How many events were ever planned.
    planned: u64,
    events: BinaryHeap<Reverse<Event>>,
    /// When the last message on each link arrives; those of cuts have links of their own.
    links: BTreeMap<(Node, Node, bool), u64>,
    hops: usize,
    violations: Vec<Violation>,
    crashes: Vec<Crash>,
}

/// What a crash at some instant would have left.
struct Crash {
    /// How many records of each shard.
    records: Vec<usize>,
    /// The commands that clients had been told of.
    done: Vec<usize>,
}

/// A core and the messages that wait for it.
struct Station {
    core: Core,
    inbox: VecDeque<Message>,
    is_working: bool,
}

struct Client {
    home: ShardId,
    /// How many of its script are sent.
    sent: usize,
    awaited: VecDeque<usize>,
    window: usize,
    is_gone: bool,
    /// Whether its next turn is among the events.
    is_due: bool,
}

/// How fast this world is, in ticks.
struct Pace {
    delay_max: u64,
    work_max: u64,
    think_max: u64,
    /// One message in this many stalls the core that works on it.
    stalls_one_in: u64,
    stall_max: u64,
    leaves_one_in: u64,
    cancels_one_in: u64,
}

struct Event {
    at: u64,
    /// Of two at one time, the one made first.
    number: u64,
    what: What,
}

enum What {
    Arrive(Node, Message),
    Work(ShardId),
    Turn(usize),
    Leave(usize, bool),
}

impl World {
    fn new(seed: u64, fault: Option<Fault>) -> Self {
        let mut rng = Rng::new(seed);
        let workload = Workload::draw(&mut rng);
        let ops: Vec<Op> = (0..workload.commands.len())
            .map(|op| Op {
                client: workload.commands[op].client as u32,
                invoked: 0,
                returned: None,
                fate: Fate::Failed,
                accesses: Vec::new(),
            })
            .collect();
        let shards = workload.router.shards();
        let station =
            |shard| Station { core: Core::new(ShardId(shard)), inbox: VecDeque::new(), is_working: false };
        let mut world = Self {
            cores: (0..shards).map(station).collect(),
            clients: Vec::new(),
            pace: Pace::draw(&mut rng),
            rng,
            now: 0,
            instant: 0,
            planned: 0,
            events: BinaryHeap::new(),
            links: BTreeMap::new(),
            hops: 0,
            violations: Vec::new(),
            crashes: Vec::new(),
            shared: Shared {
                appends: vec![Trace::new(); ops.len()],
                watched: vec![Lists::new(); ops.len()],
                checked_early: vec![Lists::new(); ops.len()],
                never: BTreeSet::new(),
                journals: !seed.is_multiple_of(3),
                numbers: 0,
                ended_cuts: Vec::new(),
                workload,
                fault,
            },
            ops,
        };
        for client in 0..world.shared.workload.scripts.len() {
            let home = ShardId(world.rng.below(u64::from(shards)) as u16);
            world.cores[home.index()].core.connect(&world.shared, client);
            let window = between(&mut world.rng, 1, 8) as usize;
            let awaited = VecDeque::new();
            world.clients.push(Client { home, sent: 0, awaited, window, is_gone: false, is_due: false });
            world.plan_turn(client);
        }
        for op in 0..world.ops.len() {
            let command = &world.shared.workload.commands[op];
            if command.verb == Verb::Sweep {
                let shard = Node::Core(world.shared.workload.shard_of(command.keys[0]));
                let at = world.rng.below(SWEEPS_UNTIL);
                world.plan(at, What::Arrive(shard, Message::Sweep(op)));
            } else if command.verb == Verb::Cut && world.shared.journals {
                let home = Node::Core(ShardId(0));
                let at = world.rng.below(SWEEPS_UNTIL);
                world.plan(at, What::Arrive(home, Message::Cut(op)));
                if world.rng.one_in(3) {
                    // Patience comes to an end.
                    let later = at + between(&mut world.rng, 0, 4 * world.pace.delay_max);
                    world.plan(later, What::Arrive(home, Message::Cancel(NOBODY)));
                }
            }
        }
        world
    }

    fn run(&mut self) {
        while let Some(Reverse(event)) = self.events.pop() {
            self.now = event.at;
            self.instant += 1;
            if self.instant as usize > EVENTS_MAX {
                self.violations.push(Violation::Stuck(format!("not over after {EVENTS_MAX} events")));
                return;
            }
            match event.what {
                What::Arrive(Node::Core(shard), message) => {
                    self.cores[shard.index()].inbox.push_back(message);
                    self.plan_work(shard);
                }
                What::Arrive(Node::Client(client), Message::Bytes(bytes)) => self.receive(client, &bytes),
                What::Arrive(..) => unreachable!("clients are sent bytes only"),
                What::Work(shard) => self.work(shard),
                What::Turn(client) => self.turn(client),
                What::Leave(client, cancels) => self.leave(client, cancels),
            }
            if self.shared.journals && self.instant.is_multiple_of(CRASH_EVERY) {
                self.note_crash();
            }
        }
        self.cores.iter_mut().for_each(|station| station.core.end());
        if self.shared.journals {
            self.note_crash();
        }
    }

    fn note_crash(&mut self) {
        let records = self.cores.iter().map(|station| station.core.journal().len()).collect();
        let is_done = |op: &usize| self.ops[*op].fate == Fate::Done;
        let done = (0..self.ops.len()).filter(is_done).collect();
        self.crashes.push(Crash { records, done });
    }

    /// What is wrong with what crashes would have left; the last is the end of the run.
    fn judge_crashes(&self) -> Vec<Violation> {
        let mut last = Lists::new();
        self.cores.iter().for_each(|station| last.extend(station.core.lists().clone()));
        let judge = |crash: &Crash| self.judge_crash(crash, &last);
        let found = self.crashes.iter().filter_map(|crash| judge(crash).err());
        found.take(1).map(Violation::Journal).collect()
    }

    fn judge_crash(&self, crash: &Crash, last: &Lists) -> Result<(), String> {
        let journals: Vec<&[Entry]> = self
            .cores
            .iter()
            .zip(&crash.records)
            .map(|(station, &count)| station.core.journal().first(count))
            .collect();
        let lists = journal::replay(&journals)?;
        let none = Vec::new();
        let found = |key: Key| lists.get(&key).unwrap_or(&none);
        for (key, list) in last {
            if !list.starts_with(found(*key)) {
                return Err(format!("key {key} comes back as {:?}, and it was {list:?}", found(*key)));
            }
        }
        let is_end = std::ptr::eq(crash, self.crashes.last().expect("this one"));
        if is_end && last.iter().any(|(key, list)| list != found(*key)) {
            return Err(format!("the end comes back as {lists:?}, and it was {last:?}"));
        }
        for (op, trace) in self.shared.appends.iter().enumerate() {
            let appends = journal::appends(trace);
            let back = appends.iter().filter(|(key, value)| found(*key).contains(value)).count();
            if back > 0 && back < appends.len() {
                return Err(format!("of {appends:?} of command {op} only {back} come back"));
            }
            if back < appends.len() && crash.done.contains(&op) {
                return Err(format!("command {op} was answered, and does not come back"));
            }
        }
        Ok(())
    }

    /// What a loss of power leaves, of which a cut is the newest that all journals have: who reads it sees what one sees that
    /// read all keys when the cut was made.
    fn read_cuts(&mut self) {
        for op in 0..self.ops.len() {
            let is_cut = self.shared.workload.commands[op].verb == Verb::Cut;
            if !is_cut || self.ops[op].fate != Fate::Done {
                continue;
            }
            match self.state_at(op) {
                Ok(lists) => {
                    let list = |key| Access::List(key, lists.get(&key).cloned().unwrap_or_default());
                    self.ops[op].accesses = (0..self.shared.workload.keys).map(list).collect();
                }
                Err(error) => {
                    self.ops[op].fate = Fate::Failed;
                    self.violations.push(Violation::Journal(format!("at cut {op}: {error}")));
                }
            }
        }
    }

    fn state_at(&self, cut: usize) -> Result<Lists, String> {
        let until = |station: &Station| Some(station.core.journal().until(cut)?.to_vec());
        let journals: Option<Vec<Vec<Entry>>> = self.cores.iter().map(until).collect();
        let journals = journals.ok_or("it is not in all journals")?;
        journal::replay(&journals.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    fn report(mut self) -> Report {
        self.read_cuts();
        let clients = self.clients.iter().enumerate();
        let waiting = clients.filter(|one| !one.1.is_gone && !one.1.awaited.is_empty());
        let mut stuck: Vec<String> =
            waiting.map(|(client, one)| format!("client {client} waits for {:?}", one.awaited)).collect();
        stuck.extend(self.cores.iter().filter_map(|station| station.core.left_over()));
        self.violations.extend(stuck.into_iter().map(Violation::Stuck));
        for station in &self.cores {
            let overtaken = station.core.overtaken().iter();
            self.violations.extend(overtaken.map(|&(ahead, op)| Violation::Overtaken(ahead, op)));
            let swapped = station.core.out_of_order().iter();
            self.violations.extend(swapped.map(|&(earlier, op)| Violation::OutOfOrder(earlier, op)));
        }
        let (sent, across) = (self.clients.iter().map(|client| client.sent).sum(), self.across());
        let hops = self.hops;
        let mut violations = std::mem::take(&mut self.violations);
        violations.extend(self.judge_crashes());
        let history = self.history();
        let verdict = elle::check(&history);
        let explain = |anomaly: Anomaly| {
            let alone = elle::Verdict { anomalies: vec![anomaly.clone()], ..elle::Verdict::default() };
            Violation::Inconsistent(anomaly, alone.explain(&history))
        };
        violations.extend(verdict.anomalies.into_iter().map(explain));
        violations.extend(self.shared.workload.scripts.iter().flat_map(|script| backwards(&history, script)));
        let count = |fate| history.ops.iter().filter(|op| op.fate == fate).count();
        Report { violations, sent, across, done: count(Fate::Done), never: count(Fate::Failed), hops }
    }

    fn across(&self) -> usize {
        let ops = 0..self.ops.len();
        ops.filter(|&op| self.ops[op].invoked > 0 && self.shared.workload.shards_of(op).len() > 1).count()
    }

    /// What was sent, with what was written; and at the end somebody who reads the lists of all shards.
    fn history(&mut self) -> History {
        let mut last: Lists = (0..self.shared.workload.keys).map(|key| (key, Vec::new())).collect();
        for station in &self.cores {
            last.extend(station.core.lists().clone());
        }
        for (op, record) in self.ops.iter_mut().enumerate() {
            let command = &self.shared.workload.commands[op];
            let is_known = command.verb.appends_to_all_keys() && record.invoked > 0;
            let intended = command.keys.iter().map(|&key| Access::Append(key, command.value));
            let known: Trace = if is_known { intended.collect() } else { self.shared.appends[op].clone() };
            // Whoever was not answered, or too early, has not seen all of what it did.
            for append in known {
                if !record.accesses.contains(&append) {
                    record.accesses.push(append);
                }
            }
            if self.shared.never.contains(&op) && record.fate == Fate::Unknown {
                record.fate = Fate::Failed;
            }
        }
        let (invoked, returned) = (self.instant + 1, Some(self.instant + 2));
        let accesses = last.into_iter().map(|(key, list)| Access::List(key, list)).collect();
        self.ops.push(Op { client: elle::OBSERVER, invoked, returned, fate: Fate::Done, accesses });
        let workload = &self.shared.workload;
        let pairs = |op: usize| workload.promised_before(op).into_iter().map(move |earlier| (earlier, op));
        History {
            promised: (0..workload.commands.len()).flat_map(pairs).collect(),
            ops: std::mem::take(&mut self.ops),
        }
    }

    // ---- events

    fn plan(&mut self, at: u64, what: What) {
        self.planned += 1;
        self.events.push(Reverse(Event { at, number: self.planned, what }));
    }

    /// A message arrives after those sent before it on the same link. What is said for a cut passes all else, and is passed.
    fn send(&mut self, from: Node, to: Node, message: Message) {
        let is_cut = match message {
            Message::Order(tx, ..) | Message::Notice(tx, ..) => {
                self.shared.workload.commands[tx.0 as usize].verb == Verb::Cut
            }
            _ => false,
        };
        let slow = if self.rng.one_in(30) { 20 } else { 1 };
        let mut at = self.now + between(&mut self.rng, 1, self.pace.delay_max) * slow;
        let last = self.links.entry((from, to, is_cut)).or_default();
        let is_hop = matches!((from, to), (Node::Core(_), Node::Core(_)));
        if !(is_hop && self.shared.fault == Some(Fault::LinksReorder)) {
            at = at.max(*last + 1);
        }
        *last = at;
        self.hops += usize::from(is_hop);
        self.plan(at, What::Arrive(to, message));
    }

    fn plan_work(&mut self, shard: ShardId) {
        let station = &mut self.cores[shard.index()];
        if station.is_working || station.inbox.is_empty() {
            return;
        }
        station.is_working = true;
        let mut pause = between(&mut self.rng, 0, self.pace.work_max);
        if self.rng.one_in(self.pace.stalls_one_in) {
            pause += between(&mut self.rng, 1, self.pace.stall_max);
        }
        self.plan(self.now + pause, What::Work(shard));
    }

    fn work(&mut self, shard: ShardId) {
        let station = &mut self.cores[shard.index()];
        station.is_working = false;
        let message = station.inbox.pop_front().expect("planned when there was one");
        let swept = if let Message::Sweep(op) = message { Some(op) } else { None };
        if let Message::Cut(op) = message {
            self.ops[op].invoked = self.instant;
        }
        for (to, message) in station.core.handle(&mut self.shared, message) {
            self.send(Node::Core(shard), to, message);
        }
        if let Some(op) = swept {
            let record = &mut self.ops[op];
            (record.invoked, record.returned) = (self.instant, Some(self.instant));
            record.fate = if self.shared.appends[op].is_empty() { Fate::Failed } else { Fate::Done };
        }
        for (cut, was_made) in self.shared.ended_cuts.drain(..) {
            let record = &mut self.ops[cut];
            record.returned = Some(self.instant);
            record.fate = if was_made { Fate::Done } else { Fate::Failed };
        }
        self.plan_work(shard);
    }

    // ---- clients

    fn plan_turn(&mut self, client: usize) {
        let one = &mut self.clients[client];
        let script = &self.shared.workload.scripts[client];
        if one.is_due || one.is_gone || one.sent == script.len() || one.awaited.len() >= one.window {
            return;
        }
        one.is_due = true;
        let think = if self.rng.one_in(2) { 0 } else { between(&mut self.rng, 0, self.pace.think_max) };
        self.plan(self.now + think, What::Turn(client));
    }

    fn turn(&mut self, client: usize) {
        let one = &mut self.clients[client];
        one.is_due = false;
        if one.is_gone {
            return;
        }
        let (op, home) = (self.shared.workload.scripts[client][one.sent], one.home);
        one.sent += 1;
        one.awaited.push_back(op);
        self.ops[op].invoked = self.instant;
        self.ops[op].fate = Fate::Unknown;
        self.send(Node::Client(client), Node::Core(home), Message::Request(op));
        let later = self.now + between(&mut self.rng, 0, 4 * self.pace.delay_max);
        if self.rng.one_in(self.pace.leaves_one_in) {
            let cancels = self.rng.one_in(2);
            self.plan(later, What::Leave(client, cancels));
        } else if self.rng.one_in(self.pace.cancels_one_in) {
            self.plan(later, What::Arrive(Node::Core(home), Message::Cancel(client)));
        }
        self.plan_turn(client);
    }

    fn leave(&mut self, client: usize, cancels: bool) {
        if !self.clients[client].is_gone {
            self.clients[client].is_gone = true;
            let home = Node::Core(self.clients[client].home);
            self.send(Node::Client(client), home, Message::Hangup(client, cancels));
        }
    }

    fn receive(&mut self, client: usize, bytes: &[u8]) {
        if self.clients[client].is_gone {
            return;
        }
        for Decoded { op, never, trace } in decode(bytes) {
            if self.clients[client].awaited.pop_front() != Some(op) {
                self.violations.push(Violation::WrongReply(format!("client {client} was answered {op}")));
                return;
            }
            let record = &mut self.ops[op];
            record.returned = Some(self.instant);
            record.fate = if never { Fate::Failed } else { Fate::Done };
            record.accesses = if never { Vec::new() } else { trace };
        }
        self.plan_turn(client);
    }
}

/// Commands of one connection that saw less of a key than an earlier one of it.
fn backwards(history: &History, script: &[usize]) -> Vec<Violation> {
    let mut longest: BTreeMap<Key, usize> = BTreeMap::new();
    let mut found = Vec::new();
    for &op in script.iter().filter(|&&op| history.ops[op].fate == Fate::Done) {
        for access in &history.ops[op].accesses {
            let Access::List(key, list) = access else { continue };
            let seen = longest.entry(*key).or_default();
            if list.len() < *seen {
                found.push(Violation::Backwards(op, *key));
            }
            *seen = list.len().max(*seen);
        }
    }
    found
}

impl Pace {
    fn draw(rng: &mut Rng) -> Self {
        Self {
            delay_max: between(rng, 2, 100),
            work_max: between(rng, 0, 20),
            think_max: between(rng, 1, 200),
            stalls_one_in: between(rng, 5, 100),
            stall_max: between(rng, 10, 3000),
            leaves_one_in: between(rng, 10, 200),
            cancels_one_in: between(rng, 4, 40),
        }
    }
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}

impl Eq for Event {}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Event {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}
