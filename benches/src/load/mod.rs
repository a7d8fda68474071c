//! The load generator: threads with an epoll loop each, and what they share: options, start, end and sums.

pub mod command;
pub mod connection;
pub mod frame;
pub mod keys;
pub mod listeners;
pub mod stats;
pub mod value;
pub mod verify;
mod worker;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use anyhow::{Context, Error, Result, anyhow, bail};

use crate::machine::{go_first, pin_thread, raise_descriptor_limit};
use command::{Mix, NameSizes, Writer};
use connection::{Connection, Handshake, Target};
use keys::{Distribution, KeyNames, Picker, share};
use stats::{Second, Summary, TEXTS_MAX};
use value::{ValueSize, Values};
use worker::{Ending, Pace, Plan, SECOND_NS, Worker};

/// When a run ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Until {
    /// After so many seconds.
    Seconds(f64),
    /// After so many commands.
    Requests(u64),
}

/// A load.
#[derive(Clone, Debug)]
pub struct Load {
    /// The server.
    pub target: Target,
    /// Password and protocol.
    pub handshake: Handshake,
    /// Threads of the generator.
    pub threads: usize,
    /// Connections, dealt to the threads.
    pub connections: usize,
    /// Closed loop: commands per batch. Open loop: most commands in flight on a connection.
    pub pipeline: u32,
    /// Arrivals per second of an open loop; `None` is a closed loop.
    pub rate: Option<f64>,
    /// When to end.
    pub until: Until,
    /// How many keys there are.
    pub keys: u64,
    /// How keys are drawn.
    pub distribution: Distribution,
    /// What names of keys begin with.
    pub key_prefix: String,
    /// Length of names in bytes.
    pub key_size: usize,
    /// Length of values.
    pub value_size: ValueSize,
    /// The mix, `set=1,get=9`.
    pub mix: String,
    /// Free templates beside the mix.
    pub templates: Vec<String>,
    /// They are sent in turn, one after the other, and not drawn.
    pub in_turn: bool,
    /// Values carry their key, and values read are checked.
    pub verify: bool,
    /// CPUs for the generator's threads, one each, from the start again when there are fewer; empty: not pinned.
    pub cpus: Vec<usize>,
    /// Its threads run before others on their CPUs, if they may.
    pub goes_first: bool,
    /// Seed of all random choices.
    pub seed: u64,
}

impl Load {
    /// A closed loop of GET and SET over 100,000 keys with 32-byte values, 50 connections, one thread.
    pub fn new(target: Target) -> Self {
        Self {
            target,
            handshake: Handshake::default(),
            threads: 1,
            connections: 50,
            pipeline: 1,
            rate: None,
            until: Until::Seconds(5.0),
            keys: 100_000,
            distribution: Distribution::Uniform,
            key_prefix: "key:".to_owned(),
            key_size: 16,
            value_size: ValueSize::Fixed(32),
            mix: "set,get".to_owned(),
            templates: Vec::new(),
            in_turn: false,
            verify: false,
            cpus: Vec::new(),
            goes_first: false,
            seed: 1,
        }
    }

    /// The same server, keys and values, with each key set once, in order.
    pub fn fill(&self) -> Self {
        Self {
            connections: self.connections.min(FILL_CONNECTIONS_MAX).max(self.threads),
            pipeline: FILL_PIPELINE,
            rate: None,
            until: Until::Requests(self.keys),
            distribution: Distribution::Sequential,
            mix: "set".to_owned(),
            templates: Vec::new(),
            in_turn: false,
            ..self.clone()
        }
    }

    /// What it sends, for messages.
    pub fn commands(&self) -> String {
        let text = [std::slice::from_ref(&self.mix), self.templates.as_slice()].concat().join("; ");
        text.trim_start_matches("; ").chars().take(COMMANDS_SHOWN).collect()
    }

    fn check(&self) -> Result<()> {
        if self.threads == 0 || self.connections < self.threads {
            bail!("{} connections for {} threads: each thread needs one", self.connections, self.threads);
        }
        if self.pipeline == 0 || self.keys == 0 {
            bail!("the pipeline and the count of keys start at 1");
        }
        if self.rate.is_some_and(|rate| !(rate > 0.0 && rate.is_finite())) {
            bail!("the rate must be above 0");
        }
        if matches!(self.until, Until::Seconds(seconds) if !(seconds > 0.0 && seconds < 1e9)) {
            bail!("the time must be above 0 seconds");
        }
        if self.distribution == Distribution::Sequential && self.keys < self.threads as u64 {
            bail!("{} keys for {} threads: each thread needs one", self.keys, self.threads);
        }
        if self.verify && self.value_size.bounds().0 < self.key_size {
            bail!("to verify, values must be at least as long as keys ({} bytes)", self.key_size);
        }
        Ok(())
    }

    fn names(&self) -> Result<[KeyNames; 2]> {
        let counter_size = self.key_size.max(COUNTER_PREFIX.len() + COUNTER_DIGITS);
        let keys = KeyNames::new(&self.key_prefix, self.key_size, self.keys)?;
        Ok([keys, KeyNames::new(COUNTER_PREFIX, counter_size, self.keys)?])
    }

    fn writer(&self, thread: usize) -> Result<Writer> {
        let names = self.names()?;
        let sizes = NameSizes { key: names[0].size(), counter: names[1].size() };
        let mix = Mix::new(&self.mix, &self.templates, sizes)?;
        let mix = if self.in_turn { mix.in_turn() } else { mix };
        let picker = Picker::new(self.distribution, self.keys, thread, self.threads);
        let values = Values::new(self.value_size.clone(), self.verify);
        let seed = self.seed.wrapping_mul(SEEDS_APART).wrapping_add(thread as u64);
        Ok(Writer::new(mix, picker, self.keys, names, values, seed))
    }

    fn plan(&self, thread: usize) -> Plan {
        let pace = self.rate.map_or(Pace::Closed, |rate| {
            let apart = SECOND_NS as f64 / rate;
            Pace::Open { first: apart * thread as f64, interval: apart * self.threads as f64 }
        });
        let (requests, deadline) = match self.until {
            Until::Seconds(seconds) => (u64::MAX, (seconds * SECOND_NS as f64) as u64),
            Until::Requests(requests) => {
                let part = share(requests, thread, self.threads);
                (part.end - part.start, NO_DEADLINE)
            }
        };
        Plan { pace, pipeline: self.pipeline, requests, deadline, verify: self.verify }
    }
}

/// Who watches a run; every call comes on the thread that called [`run`].
pub trait Observer {
    /// All connections are open, nothing has been sent.
    fn started(&mut self) -> Result<()> {
        Ok(())
    }

    /// A second has passed on every thread.
    fn second(&mut self, _second: &Second) {}

    /// Every reply has come, all connections are still open.
    fn finished(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Nobody watches.
impl Observer for () {}

enum Message {
    Connected,
    Second(Second),
    Done(Ending),
    Failed(Error),
}

/// Runs `load` to its end. Errors: options that do not fit together, a connection that could not be made or broke, an
/// answer that is not RESP, a server that went silent. Error replies are counted, not errors.
pub fn run(load: &Load, observer: &mut dyn Observer) -> Result<Summary> {
    load.check()?;
    raise_descriptor_limit(load.connections as u64 + DESCRIPTORS_SPARE)?;
    let stop = Arc::new(AtomicBool::new(false));
    let (sender, receiver) = channel();
    let mut gates = Vec::new();
    let mut threads = Vec::new();
    for thread in 0..load.threads {
        let (gate, gated) = channel();
        threads.push(spawn(load, thread, Arc::clone(&stop), sender.clone(), gated)?);
        gates.push(gate);
    }
    drop(sender);
    let outcome = conduct(&receiver, &gates, observer);
    // Closed gates let the threads go, on failure as at the end.
    stop.store(true, Ordering::Relaxed);
    drop(gates);
    for thread in threads {
        thread.join().map_err(|_| anyhow!("a thread of the load generator panicked"))?;
    }
    outcome
}

fn spawn(
    load: &Load,
    thread: usize,
    stop: Arc<AtomicBool>,
    sender: Sender<Message>,
    gate: Receiver<Instant>,
) -> Result<JoinHandle<()>> {
    let (load, writer, plan) = (load.clone(), load.writer(thread)?, load.plan(thread));
    let work = move || {
        let outcome = (|| -> Result<()> {
            if let Some(&cpu) = load.cpus.get(thread % load.cpus.len().max(1)) {
                pin_thread(&[cpu])?;
            }
            if load.goes_first {
                go_first();
            }
            let part = share(load.connections as u64, thread, load.threads);
            let connections =
                part.map(|_| Connection::open(&load.target, &load.handshake)).collect::<Result<Vec<_>>>()?;
            let mut worker = Worker::new(plan, writer, connections)?;
            // A send fails only when the run was given up, and then nobody listens.
            let _ = sender.send(Message::Connected);
            let Ok(start) = gate.recv() else { return Ok(()) };
            let ending = worker.run(start, &stop, |second| drop(sender.send(Message::Second(second))))?;
            let _ = sender.send(Message::Done(ending));
            // The connections stay open until all threads are done.
            let _ = gate.recv();
            Ok(())
        })();
        if let Err(error) = outcome {
            let _ = sender.send(Message::Failed(error));
        }
    };
    thread::Builder::new().name(format!("load-{thread}")).spawn(work).context("cannot start a thread")
}

/// Starts the threads together, gathers their seconds, and sums up.
fn conduct(
    receiver: &Receiver<Message>,
    gates: &[Sender<Instant>],
    observer: &mut dyn Observer,
) -> Result<Summary> {
    let threads = gates.len();
    let (mut connected, mut endings) = (0, Vec::new());
    let mut open: BTreeMap<u64, (Second, usize)> = BTreeMap::new();
    let mut summary = Summary::default();
    while endings.len() < threads {
        match receiver.recv().context("the load generator's threads are gone")? {
            Message::Connected => {
                connected += 1;
                if connected == threads {
                    observer.started()?;
                    let start = Instant::now();
                    gates.iter().try_for_each(|gate| gate.send(start)).context("a thread is gone")?;
                }
            }
            Message::Second(second) => {
                let (sum, seen) = open.entry(second.index).or_insert_with(|| (Second::new(second.index), 0));
                sum.add(&second);
                *seen += 1;
                while let Some(entry) = open.first_entry().filter(|entry| entry.get().1 == threads) {
                    let (second, _) = entry.remove();
                    summary.add(&second);
                    observer.second(&second);
                }
            }
            Message::Done(ending) => endings.push(ending),
            Message::Failed(error) => return Err(error),
        }
    }
    observer.finished()?;
    // Threads that ended in an earlier second than others did not report the later ones.
    open.values().for_each(|(second, _)| summary.add(second));
    for ending in endings {
        take_ending(&mut summary, ending);
    }
    Ok(summary)
}

fn take_ending(summary: &mut Summary, ending: Ending) {
    summary.seconds = summary.seconds.max(ending.last as f64 / SECOND_NS as f64);
    summary.generator_busy = summary.generator_busy.max(ending.busy);
    summary.unsent += ending.unsent;
    summary.mismatches += ending.findings.mismatches;
    summary.mismatch_texts.extend(ending.findings.mismatch_texts);
    summary.mismatch_texts.truncate(TEXTS_MAX);
    for text in ending.findings.errors {
        if summary.error_texts.len() < TEXTS_MAX && !summary.error_texts.contains(&text) {
            summary.error_texts.push(text);
        }
    }
}

/// Characters of the commands in messages.
const COMMANDS_SHOWN: usize = 100;
/// Commands per batch while keys are loaded.
const FILL_PIPELINE: u32 = 64;
/// Connections while keys are loaded.
const FILL_CONNECTIONS_MAX: usize = 50;
/// Counters have names of their own: INCR of a text value is an error.
const COUNTER_PREFIX: &str = "ctr:";
/// Digits of a counter's name, at least.
const COUNTER_DIGITS: usize = 12;
/// For runs by count: far enough away to be never, near enough for arithmetic.
const NO_DEADLINE: u64 = u64::MAX / 4;
/// Descriptors that are not connections.
const DESCRIPTORS_SPARE: u64 = 64;
/// Keeps the seeds of threads of neighbouring runs apart.
const SEEDS_APART: u64 = 1_000_003;
