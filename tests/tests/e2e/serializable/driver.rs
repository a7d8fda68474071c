//! Connections that do as they please, and write down what they did and what came of it.

use super::abilities::Abilities;
use super::draw::Draw;
use super::keys::Keys;
use super::link::TryCall;
use super::order::promised;
use super::sabotage::{Answer, Sabotage, Saboteur, Sent};
use super::task::{Item, Outcome, Shape, Task};
use coordinator::router::Router;
use lacewing_tests::{Client, show};
use resp::{Value as Reply, encode_command};
use sim::elle::{Access, Fate, History, Key, OBSERVER, Op};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};
use stdx::rng::Rng;

/// One round of load.
pub(super) struct Round {
    pub(super) addr: SocketAddr,
    pub(super) router: Router,
    /// Whether pipelines keep the order of their commands altogether.
    pub(super) is_strict: bool,
    pub(super) abilities: Abilities,
    pub(super) sabotage: Option<Sabotage>,
    pub(super) keys: Keys,
    values: AtomicU32,
    is_over: AtomicBool,
    /// CLIENT IDs, so that connections can kill each other.
    ids: Mutex<Vec<i64>>,
    started: Instant,
}

impl Round {
    pub(super) fn new(number: u32, addr: SocketAddr, router: Router, abilities: Abilities) -> Self {
        Self {
            addr,
            router,
            is_strict: false,
            abilities,
            sabotage: None,
            keys: Keys::new(number),
            values: AtomicU32::new(1),
            is_over: AtomicBool::new(false),
            ids: Mutex::default(),
            started: Instant::now(),
        }
    }

    /// Lets many connections work for a while; at the end somebody looks at every key.
    pub(super) fn run(&self, connections: u32, length: Duration, rng: &mut Rng) -> History {
        let mut history = History::default();
        thread::scope(|scope| {
            let workers: Vec<_> = (0..connections)
                .map(|number| {
                    let rng = rng.fork();
                    scope.spawn(move || Session::new(self, number, rng).work())
                })
                .collect();
            while self.started.elapsed() < length && self.values.load(Relaxed) < VALUES_MAX {
                thread::park_timeout(Duration::from_millis(20));
            }
            self.is_over.store(true, Relaxed);
            for worker in workers {
                let done = worker.join().expect("a connection's thread does not panic");
                let first = history.ops.len();
                history.promised.extend(done.promised.iter().map(|pair| (first + pair.0, first + pair.1)));
                history.ops.extend(done.ops);
            }
        });
        let mut observer = Session::new(self, OBSERVER, rng.fork());
        observer.draw.rng = Rng::new(0);
        for keys in self.keys.all().chunks(OBSERVED_AT_ONCE) {
            observer.batch(&keys.iter().map(|&key| Task::single(Item::Read(key))).collect::<Vec<_>>());
        }
        history.ops.extend(observer.recorded.ops);
        history
    }

    fn now(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }
}

/// One client, through all its connections.
struct Session<'a> {
    round: &'a Round,
    number: u32,
    link: Client,
    draw: Draw<'a>,
    saboteur: Saboteur,
    recorded: History,
}

impl<'a> Session<'a> {
    fn new(round: &'a Round, number: u32, mut rng: Rng) -> Self {
        let (keys, values, abilities) = (&round.keys, &round.values, round.abilities);
        let sabotage = round.sabotage.filter(|_| number != OBSERVER);
        let (withheld, old) = (Vec::new(), HashMap::new());
        Self {
            round,
            number,
            link: connect(round),
            saboteur: Saboteur { sabotage, rng: rng.fork(), withheld, old },
            draw: Draw { keys, values, abilities, rng },
            recorded: History::default(),
        }
    }

    fn work(mut self) -> History {
        while !self.round.is_over.load(Relaxed) {
            if self.round.abilities.transactions && self.draw.rng.one_in(8) {
                self.watch();
            } else {
                let tasks = self.draw.batch();
                self.batch(&tasks);
            }
            if self.draw.rng.one_in(KILLS_ONE_IN) {
                self.kill_another();
            }
        }
        // What was acknowledged is sent at last.
        self.send_withheld();
        self.recorded
    }

    /// WATCH, a look at what is watched, and a transaction that counts on it.
    fn watch(&mut self) {
        let watched = self.draw.watched();
        if !self.saboteur.is(Sabotage::IgnoresWatch) {
            let names = watched.iter().map(|&key| self.round.keys.name(key));
            let words: Vec<String> = std::iter::once("WATCH".to_owned()).chain(names).collect();
            match self.link.try_call(&words) {
                Some(Reply::Simple(_)) => {}
                Some(other) => panic!("WATCH was answered {}", show(&other)),
                None => return self.reconnect(),
            }
        }
        let look = self.recorded.ops.len();
        let looks: Vec<Task> = watched.iter().map(|&key| Task::single(Item::Read(key))).collect();
        if !self.batch(&looks) {
            return;
        }
        let seen = self.recorded.ops[look..].iter().flat_map(|op| op.accesses.clone()).collect();
        let items = self.draw.after_watch(watched[0]);
        self.batch(&[Task { shape: Shape::Watched, items, seen }]);
    }

    /// Sends tasks in one go and reads what comes back; whether the connection is still the same.
    fn batch(&mut self, tasks: &[Task]) -> bool {
        let mut order: Vec<usize> = (0..tasks.len()).collect();
        if self.saboteur.is(Sabotage::ReversesPipelines) {
            order.reverse();
        }
        let keys = &self.round.keys;
        let sent: Vec<Sent> = order.iter().map(|&at| self.saboteur.sent(&tasks[at], keys)).collect();
        let first = self.record(tasks);
        if self.send(&sent).is_err() {
            self.reconnect();
            return false;
        }
        let may_leave = self.number != OBSERVER && self.draw.rng.one_in(LEAVES_ONE_IN);
        let stays_for = if may_leave { self.draw.rng.index(tasks.len()) } else { tasks.len() };
        for (&at, sent) in order.iter().zip(&sent).take(stays_for) {
            let Some(replies) = self.replies(&sent.answers) else {
                self.reconnect();
                return false;
            };
            self.conclude(first + at, &tasks[at], &replies);
        }
        if stays_for < tasks.len() {
            self.reconnect();
            return false;
        }
        if self.saboteur.is(Sabotage::SwapsReplies) {
            self.swap_reads(first);
        }
        self.send_withheld();
        true
    }

    /// In one go; but what a saboteur sends comes command by command, so that others come between.
    fn send(&mut self, sent: &[Sent]) -> io::Result<()> {
        let mut bytes = Vec::new();
        for command in sent.iter().flat_map(|sent| &sent.commands) {
            encode_command(command, &mut bytes);
            if self.saboteur.sabotage.is_some() {
                self.link.try_send_bytes(&bytes)?;
                bytes.clear();
                thread::yield_now();
            }
        }
        self.link.try_send_bytes(&bytes)
    }

    /// Notes that these are under way. The first of their places.
    fn record(&mut self, tasks: &[Task]) -> usize {
        let first = self.recorded.ops.len();
        let invoked = self.round.now();
        for task in tasks {
            self.recorded.ops.push(Op {
                client: self.number,
                invoked,
                returned: None,
                fate: Fate::Unknown,
                accesses: task.writes(),
            });
        }
        let round = self.round;
        let places: Vec<_> = tasks.iter().map(|task| task.place(&round.keys, round.router)).collect();
        let pairs = promised(&places, round.is_strict);
        self.recorded.promised.extend(pairs.into_iter().map(|(one, other)| (first + one, first + other)));
        first
    }

    /// What a task was answered: `None` when the connection has ended.
    fn replies(&mut self, answers: &[Answer]) -> Option<Vec<Reply>> {
        let mut next = || self.link.try_read();
        let mut replies = Vec::new();
        for answer in answers {
            replies.push(match answer {
                Answer::Next => next()?,
                Answer::Given(reply) => reply.clone(),
                Answer::Joined(count) => Reply::Array((0..*count).map(|_| next()).collect::<Option<_>>()?),
                Answer::JoinedOk(count) => {
                    (0..*count).map(|_| next()).collect::<Option<Vec<_>>>()?;
                    Reply::Simple(b"OK".to_vec())
                }
                Answer::FirstOfTwo => {
                    let first = next()?;
                    next()?;
                    first
                }
            });
        }
        Some(replies)
    }

    fn conclude(&mut self, op: usize, task: &Task, replies: &[Reply]) {
        self.saboteur.note(task, &replies[replies.len() - 1]);
        let outcome = task.outcome(replies).unwrap_or_else(|wrong| panic!("{wrong}"));
        let (now, record) = (self.round.now(), &mut self.recorded.ops[op]);
        record.returned = Some(now);
        match outcome {
            Outcome::Done(accesses) => (record.fate, record.accesses) = (Fate::Done, accesses),
            Outcome::Failed => record.fate = Fate::Failed,
        }
    }

    fn swap_reads(&mut self, first: usize) {
        let ops = &mut self.recorded.ops[first..];
        let is_read = |op: &Op| matches!(op.accesses.as_slice(), [Access::List(..)]);
        let reads: Vec<usize> = (0..ops.len()).filter(|&at| is_read(&ops[at])).collect();
        if let [one, other, ..] = *reads {
            let mut take = |at: usize| match &mut ops[at].accesses[0] {
                Access::List(_, seen) => std::mem::take(seen),
                _ => unreachable!("a read of a list"),
            };
            let (left, right) = (take(one), take(other));
            let mut put = |at: usize, list| match &mut ops[at].accesses[0] {
                Access::List(_, seen) => *seen = list,
                _ => unreachable!("a read of a list"),
            };
            put(one, right);
            put(other, left);
        }
    }

    fn send_withheld(&mut self) {
        for command in std::mem::take(&mut self.saboteur.withheld) {
            self.link.try_call(&command);
        }
    }

    fn kill_another(&mut self) {
        let ids = self.round.ids.lock().expect("no thread panicked");
        let id = ids[self.draw.rng.index(ids.len())].to_string();
        drop(ids);
        if self.link.try_call(&["CLIENT", "KILL", "ID", &id]).is_none() {
            self.reconnect();
        }
    }

    fn reconnect(&mut self) {
        self.link = connect(self.round);
    }
}

fn connect(round: &Round) -> Client {
    loop {
        let mut client = Client::connect(round.addr);
        // Somebody who killed an older connection of that id may hit this one.
        if let Some(Reply::Int(id)) = client.try_call(&["CLIENT", "ID"]) {
            round.ids.lock().expect("no thread panicked").push(id);
            return client;
        }
    }
}

/// What an anomaly is shown with.
pub(super) fn explain(round: &Round, verdict: &sim::elle::Verdict, history: &History) -> String {
    verdict.explain_with(history, &|key: Key| round.keys.name(key))
}

/// Then the round is over.
const VALUES_MAX: u32 = 400_000;
/// Batches after one of which a client closes its connection without reading all replies.
const LEAVES_ONE_IN: u64 = 150;
/// Batches after one of which a client kills another's connection.
const KILLS_ONE_IN: u64 = 300;
/// Keys that are read in one pipeline at the end.
const OBSERVED_AT_ONCE: usize = 100;
