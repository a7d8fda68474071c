//! A few clients on a few keys that are theirs.

use super::super::abilities::Abilities;
use super::super::link::TryCall;
use super::super::order::{Class, Place, promised};
use super::super::{Target, script};
use super::command::{Answer, Command, Key};
use super::draw::{Draw, Mix, Shape, TIMER_SLACK_MS};
use super::model::{Op, Store};
use super::sabotage::Sabotage;
use coordinator::router::Router;
use lacewing_tests::{Client, show};
use resp::{Value as Reply, encode_command};
use sim::linear::{self, Call, Refused};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};
use stdx::ShardId;
use stdx::rng::Rng;

/// A group.
pub(super) struct Group {
    is_strict: bool,
    addr: SocketAddr,
    abilities: Abilities,
    router: Router,
    /// In the names of its keys.
    round: u32,
    number: u32,
    sabotage: Option<Sabotage>,
    mix: Mix,
    values: AtomicU32,
    calls: AtomicU32,
    /// How many connections were ended in the middle: each makes the history harder to judge.
    losses: AtomicU32,
    /// CLIENT UNBLOCKs that were sent, and those that were answered: a wait in the middle of one may end at any time.
    unblocks: [AtomicU32; 2],
    ids: Mutex<Vec<i64>>,
    is_over: AtomicBool,
    started: Instant,
}

/// What the model says.
pub(super) struct Judged {
    pub(super) calls: usize,
    pub(super) is_too_hard: bool,
    /// Why it does not accept the history.
    pub(super) refused: Option<String>,
}

/// Holds a history against the model.
pub(super) fn judge(history: &[Call<Op>]) -> Judged {
    let verdict = linear::check(Store::default(), history);
    let show = |at: usize| {
        let op = &history[at].op;
        let answers = op.answers.as_ref().map_or_else(|| "?".to_owned(), |answers| format!("{answers:?}"));
        format!("{:?} -> {answers}", op.commands)
    };
    Judged {
        calls: history.len(),
        is_too_hard: verdict == Err(Refused::TooMany),
        refused: verdict
            .err()
            .filter(|refused| *refused != Refused::TooMany)
            .map(|refused| linear::explain(&refused, history, show) + only_in_vain(history)),
    }
}

/// To be added to a refusal that leans on waits in vain: that they lasted to their ends, on a machine however busy.
fn only_in_vain(history: &[Call<Op>]) -> &'static str {
    let as_sent = |call: &Call<Op>| Call { invoked: call.op.sent.unwrap_or(call.invoked), ..call.clone() };
    let history: Vec<Call<Op>> = history.iter().map(as_sent).collect();
    match linear::check(Store::default(), &history) {
        Ok(()) => {
            "it is possible if those that waited in vain may have found nothing at any time of their wait\n"
        }
        Err(_) => "",
    }
}

impl Group {
    pub(super) fn new(
        target: &Target,
        round: u32,
        number: u32,
        mix: Mix,
        sabotage: Option<Sabotage>,
    ) -> Self {
        Self {
            is_strict: target.is_strict,
            addr: target.process.addr(),
            abilities: target.abilities,
            router: target.router,
            round,
            number,
            sabotage,
            mix,
            values: AtomicU32::new(1),
            calls: AtomicU32::new(0),
            losses: AtomicU32::new(0),
            unblocks: [AtomicU32::new(0), AtomicU32::new(0)],
            ids: Mutex::default(),
            is_over: AtomicBool::new(false),
            started: Instant::now(),
        }
    }

    /// Lets the clients work, and returns all that they did.
    pub(super) fn run(&self, length: Duration, rng: &mut Rng) -> Vec<Call<Op>> {
        let mut history = Vec::new();
        thread::scope(|scope| {
            let clients = if self.mix == Mix::Expiry { LOOKERS } else { CLIENTS };
            let workers: Vec<_> = (0..clients)
                .map(|number| {
                    let rng = rng.fork();
                    scope.spawn(move || Session::new(self, number, rng).work())
                })
                .collect();
            while self.started.elapsed() < length && self.calls.load(Relaxed) < CALLS_MAX {
                thread::park_timeout(Duration::from_millis(10));
            }
            self.is_over.store(true, Relaxed);
            for worker in workers {
                let first = history.len();
                let mut calls = worker.join().expect("a client's thread does not panic");
                calls.iter_mut().flat_map(|call| &mut call.after).for_each(|earlier| *earlier += first);
                history.extend(calls);
            }
        });
        history
    }

    fn name(&self, key: Key) -> String {
        format!("{}:{}:{key}", self.round, self.number)
    }

    fn now(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }
}

fn key_of(name: &[u8]) -> Key {
    let name = String::from_utf8_lossy(name);
    name.rsplit(':').next().and_then(|number| number.parse().ok()).expect("a key of the group")
}

/// One client, through all its connections.
struct Session<'a> {
    group: &'a Group,
    number: u32,
    link: Client,
    draw: Draw<'a>,
    calls: Vec<Call<Op>>,
}

impl<'a> Session<'a> {
    fn new(group: &'a Group, number: u32, rng: Rng) -> Self {
        let (values, abilities, mix) = (&group.values, group.abilities, group.mix);
        let draw = Draw { values, abilities, mix, is_first: number == 0, rng };
        Self { group, number, link: connect(group), draw, calls: Vec::new() }
    }

    fn work(mut self) -> Vec<Call<Op>> {
        while !self.group.is_over.load(Relaxed) {
            if self.group.abilities.transactions
                && self.group.mix == Mix::Everything
                && self.draw.rng.one_in(8)
            {
                self.watch();
                continue;
            }
            let batch = self.draw.batch();
            self.group.calls.fetch_add(batch.len() as u32, Relaxed);
            if self.sabotaged(&batch) {
                continue;
            }
            self.perform(&batch);
            if self.group.abilities.blocking && self.draw.rng.one_in(UNBLOCKS_ONE_IN) {
                self.group.unblocks[0].fetch_add(1, SeqCst);
                self.call_about_another(&["CLIENT", "UNBLOCK"]);
                self.group.unblocks[1].fetch_add(1, SeqCst);
            } else if self.draw.rng.one_in(KILLS_ONE_IN) && self.may_lose_one() {
                self.call_about_another(&["CLIENT", "KILL", "ID"]);
            }
        }
        self.calls
    }

    /// WATCH, a look at what is watched, and a transaction that counts on it.
    fn watch(&mut self) {
        let keys = self.draw.watched();
        if self.group.sabotage != Some(Sabotage::IgnoresWatch) {
            let names = keys.iter().map(|&key| self.group.name(key));
            let words: Vec<String> = std::iter::once("WATCH".to_owned()).chain(names).collect();
            match self.link.try_call(&words) {
                Some(Reply::Simple(_)) => {}
                Some(other) => panic!("WATCH was answered {}", show(&other)),
                None => return self.link = connect(self.group),
            }
        }
        let look = self.calls.len();
        let looks: Vec<_> = keys.iter().map(|&key| (Shape::Single, vec![Command::look(key)])).collect();
        if !self.perform(&looks) {
            return;
        }
        let seen = self.calls[look..].iter().map(|call| {
            let answers = call.op.answers.as_ref().expect("all were answered");
            (call.op.commands[0].clone(), answers[0].clone())
        });
        let seen: Vec<_> = seen.collect();
        let call = self.calls.len();
        let commands = self.draw.transaction();
        self.group.calls.fetch_add(1 + looks.len() as u32, Relaxed);
        self.perform(&[(Shape::Watched, commands)]);
        let op = &mut self.calls[call].op;
        if op.answers.as_ref().is_some_and(|answers| !answers.is_empty()) {
            op.counts_on(seen);
        }
    }

    /// Sends it in one go, and reads what comes back; whether the connection is still the same.
    fn perform(&mut self, batch: &[(Shape, Vec<Command>)]) -> bool {
        let unblocked = self.group.unblocks[1].load(SeqCst);
        let first = self.record(batch);
        let mut bytes = Vec::new();
        for operation in batch {
            self.encode(operation, &mut bytes);
        }
        let mut left = batch.len();
        if self.link.try_send_bytes(&bytes).is_ok() {
            if self.draw.rng.one_in(LEAVES_ONE_IN) && self.may_lose_one() {
                // Long enough for some to be answered, and some not.
                let patience = Duration::from_millis(1 + self.draw.rng.below(8));
                self.link.timeout(Some(patience)).expect("a connection takes a timeout");
                self.leave(first, batch);
                return false;
            }
            for (at, (shape, commands)) in batch.iter().enumerate() {
                let Some(reply) = self.reply(*shape, commands.len()) else { break };
                self.conclude(first + at, *shape, &reply);
                if self.group.unblocks[0].load(SeqCst) == unblocked {
                    self.narrow(first + at);
                }
                left -= 1;
            }
        }
        if left > 0 {
            self.link = connect(self.group);
        }
        left == 0
    }

    /// Reads what comes soon, and goes.
    fn leave(&mut self, first: usize, batch: &[(Shape, Vec<Command>)]) {
        for (at, (shape, commands)) in batch.iter().enumerate() {
            let frames = if shape.is_queued() { commands.len() + 2 } else { 1 };
            let mut last = None;
            for _ in 0..frames {
                let Ok(Some(reply)) = self.link.read_any() else {
                    self.link = connect(self.group);
                    return;
                };
                last = Some(reply);
            }
            self.conclude(first + at, *shape, &last.expect("a frame at least"));
        }
        self.link = connect(self.group);
    }

    fn record(&mut self, batch: &[(Shape, Vec<Command>)]) -> usize {
        let (first, invoked) = (self.calls.len(), self.group.now());
        for (shape, commands) in batch {
            let op = Op::new(commands.clone(), *shape == Shape::Single);
            self.calls.push(Call { client: self.number, invoked, returned: None, after: Vec::new(), op });
        }
        let places: Vec<Place> = batch.iter().map(|(shape, commands)| self.place(*shape, commands)).collect();
        for (earlier, later) in promised(&places, self.group.is_strict) {
            self.calls[first + later].after.push(first + earlier);
        }
        first
    }

    fn place(&self, shape: Shape, commands: &[Command]) -> Place {
        let is_plain = |command: &Command| {
            use Command::*;
            matches!(command, Set(..) | SetPx(..) | SetNx(..) | Get(_) | GetDel(_) | Mset(_) | Mget(_))
                || matches!(command, Del(_) | Exists(_))
        };
        let class = match (shape, commands) {
            (Shape::WildScript, _) => Class::Unknown,
            (Shape::Single, [command]) if command.wakes() => Class::Signal,
            (Shape::Single, [command]) if is_plain(command) => Class::Plain,
            (Shape::Single, _) => Class::Together,
            (Shape::Exec | Shape::Watched | Shape::Script, _) => Class::Signal,
        };
        let keys = commands.iter().flat_map(|command| {
            command.keys().into_iter().map(|key| {
                let name = self.group.name(key);
                let shard = self.group.router.shard_of_key(name.as_bytes());
                (name, shard, !command.is_read())
            })
        });
        Place { class, keys: keys.collect() }
    }

    fn encode(&self, (shape, commands): &(Shape, Vec<Command>), bytes: &mut Vec<u8>) {
        let words = || {
            commands.iter().map(|command| {
                let (words, keys) = command.words(&|key| self.group.name(key));
                (words.into_iter().map(String::into_bytes).collect::<Vec<_>>(), keys)
            })
        };
        match shape {
            Shape::Single => words().for_each(|words| encode_command(&words.0, bytes)),
            Shape::Exec | Shape::Watched => {
                encode_command(&["MULTI"], bytes);
                words().for_each(|words| encode_command(&words.0, bytes));
                encode_command(&["EXEC"], bytes);
            }
            Shape::Script => encode_command(&script::tame(words(), "pcall"), bytes),
            Shape::WildScript => encode_command(&script::wild(words(), "pcall"), bytes),
        }
    }

    /// The reply that counts: of a transaction, that to EXEC.
    fn reply(&mut self, shape: Shape, commands: usize) -> Option<Reply> {
        if shape.is_queued() {
            for _ in 0..=commands {
                self.link.try_read()?;
            }
        }
        self.link.try_read()
    }

    fn conclude(&mut self, call: usize, shape: Shape, reply: &Reply) {
        let record = &mut self.calls[call];
        record.returned = Some(self.group.now());
        if (shape, reply) == (Shape::Watched, &Reply::NullArray) {
            return record.op.did_nothing();
        }
        let commands = &record.op.commands;
        let replies = match (shape, reply) {
            (Shape::Single, reply) => std::slice::from_ref(reply),
            (_, Reply::Array(replies)) if replies.len() == commands.len() => replies.as_slice(),
            _ => panic!("{:?} of {commands:?} was answered {}", shape, show(reply)),
        };
        let answers = commands.iter().zip(replies).map(|(command, reply)| command.answer(reply, &key_of));
        record.op.answers = Some(answers.collect::<Result<_, _>>().unwrap_or_else(|wrong| panic!("{wrong}")));
    }

    /// A wait in vain that lasted as long as it was to, and that nobody ended sooner, took effect at its end: nothing was
    /// there then.
    fn narrow(&mut self, call: usize) {
        let record = &mut self.calls[call];
        let (Some([Answer::Nil]), [command], Some(returned)) =
            (record.op.answers.as_deref(), record.op.commands.as_slice(), record.returned)
        else {
            return;
        };
        let shard = |key| self.group.router.shard_of_key(self.group.name(key).as_bytes());
        let shards: BTreeSet<ShardId> = command.keys().into_iter().map(shard).collect();
        let waits = record.op.is_alone && (shards.len() == 1 || self.group.abilities.blocking_over_shards);
        let until = record.invoked + command.waits_ms().unwrap_or(0) * 1_000_000;
        if waits && returned >= until {
            record.op.sent = Some(record.invoked);
            record.invoked = record.invoked.max(until.saturating_sub(TIMER_SLACK_MS * 1_000_000));
        }
    }

    /// Whether a saboteur did it.
    fn sabotaged(&mut self, batch: &[(Shape, Vec<Command>)]) -> bool {
        let (Some(sabotage), [(Shape::Single, commands)]) = (self.group.sabotage, batch) else {
            return false;
        };
        let first = self.record(batch);
        let name = |key| self.group.name(key);
        match sabotage.perform(&mut self.link, &commands[0], &name, &mut self.draw.rng) {
            None => {
                self.calls.truncate(first);
                return false;
            }
            Some(Some(reply)) => {
                self.conclude(first, Shape::Single, &reply);
                if sabotage == Sabotage::WaitsInVain {
                    self.narrow(first);
                }
            }
            Some(None) => self.link = connect(self.group),
        }
        true
    }

    fn may_lose_one(&self) -> bool {
        self.group.losses.fetch_add(1, Relaxed) < LOSSES_MAX
    }

    /// Of whoever had a connection in this group.
    fn call_about_another(&mut self, command: &[&str]) {
        let ids = self.group.ids.lock().expect("no thread panicked").clone();
        let id = self.draw.rng.pick(&ids).to_string();
        if self.link.try_call(&[command, &[id.as_str()]].concat()).is_none() {
            self.link = connect(self.group);
        }
    }
}

fn connect(group: &Group) -> Client {
    loop {
        let mut client = Client::connect(group.addr);
        if let Some(Reply::Int(id)) = client.try_call(&["CLIENT", "ID"]) {
            group.ids.lock().expect("no thread panicked").push(id);
            return client;
        }
    }
}

const CLIENTS: u32 = 4;
/// Clients that mostly look make a history no harder.
const LOOKERS: u32 = 12;
/// Then a history is long enough.
const CALLS_MAX: u32 = 1500;
const LOSSES_MAX: u32 = 3;
const LEAVES_ONE_IN: u64 = 100;
const KILLS_ONE_IN: u64 = 300;
const UNBLOCKS_ONE_IN: u64 = 60;
