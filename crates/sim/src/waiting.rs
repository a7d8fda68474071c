//! Clients that wait for lists on several shards: the real machines (`shard`'s waitroom with a real keyspace,
//! `coordinator`'s locks, transactions and vigils) on a seed, with links that stall and clients that give up or go.
//!
//! ```text
//!   client ── start, give up ──► home ◄── orders, notices, offers, cancels ──► shards
//!      ▲                          │
//!      └──────── replies ─────────┘
//! ```
//!
//! A run ends when no message is under way. Then all of these must hold:
//! - every element that was pushed is in one list, or was answered to one client, once ([`Violation::Lost`], `Doubled`);
//! - nobody waits for a key at which there is something ([`Violation::Forgotten`]);
//! - nobody took an element at a key where somebody else had waited for longer ([`Violation::Overtaken`]);
//! - a client that gave up has one answer, no lock is held, and shards remember nobody who does not wait
//!   ([`Violation::LeftOver`]).
//!
//! The driver does what the server does around these machines (`server/src/wait`), in miniature.

mod core;
mod desk;
mod home;
mod lines;

use self::core::Core;
use crate::between;
use lines::Lines;
use shard::WaiterId;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use stdx::ShardId;
use stdx::rng::Rng;

/// Faults to plant: each breaks one thing that the protocol leans on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A client stands in line only some time after its attempt has released the keys.
    EntersLate,
    /// Shards are not told that an attempt found nothing.
    ForgetsToDecline,
    /// Some offers are dropped.
    DropsOffers,
    /// An attempt takes an element although its client has given up.
    TakesAlthoughGivenUp,
    /// Attempts take what others have waited for for longer.
    IgnoresReserved,
    /// What an attempt has left to others is not looked at again when it is given back.
    ForgetsWhatItLeft,
    /// A client goes without a word to the shards.
    LeavesSilently,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Fault; 7] = [
        Fault::EntersLate,
        Fault::ForgetsToDecline,
        Fault::DropsOffers,
        Fault::TakesAlthoughGivenUp,
        Fault::IgnoresReserved,
        Fault::ForgetsWhatItLeft,
        Fault::LeavesSilently,
    ];
}

/// Something that must not happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// Elements that are nowhere.
    Lost(Vec<String>),
    /// An element that is in two places.
    Doubled(String),
    /// A key that somebody waits for, although there is something.
    Forgotten(String),
    /// A client took from a key at which this one had waited for longer.
    Overtaken(String, WaiterId),
    /// What is left when nothing should be.
    LeftOver(String),
    /// A machine's own assertion failed.
    Panicked(String),
}

impl Violation {
    /// Its kind, in a word.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Lost(_) => "lost",
            Self::Doubled(_) => "doubled",
            Self::Forgotten(_) => "forgotten",
            Self::Overtaken(..) => "overtaken",
            Self::LeftOver(_) => "left over",
            Self::Panicked(_) => "panicked",
        }
    }
}

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What must not happen, and did.
    pub violations: Vec<Violation>,
    /// Elements pushed.
    pub pushed: usize,
    /// Times that a client waited at several shards.
    pub waits: usize,
    /// Attempts that were made for those who waited.
    pub attempts: usize,
    /// Of them, those that found nothing.
    pub declined: usize,
    /// Clients that gave up or went.
    pub gave_up: usize,
}

/// What all cores look at, and where they note what only a simulation can know.
struct World {
    fault: Option<Fault>,
    shards: u16,
    /// What each client does, one after the other.
    scripts: Vec<Vec<Task>>,
    /// Who waits for what, by the hand of those who only watch.
    lines: Lines,
    /// Replies, as their clients would read them.
    replies: Vec<Vec<u8>>,
    report: Report,
}

/// One command of a client.
#[derive(Clone, Debug)]
struct Task {
    words: Vec<String>,
    /// When it gives up after it was given, and whether the client is gone then.
    gives_up: Option<(u64, bool)>,
}

impl World {
    fn home(&self, client: usize) -> ShardId {
        ShardId((client % self.shards as usize) as u16)
    }

    /// Keys are `k0`, `k1`...: dealt to shards by their number.
    fn shard_of(&self, key: &[u8]) -> ShardId {
        let number: u16 =
            std::str::from_utf8(&key[1..]).ok().and_then(|text| text.parse().ok()).expect("a key");
        ShardId(number % self.shards)
    }

    fn draw(rng: &mut Rng, fault: Option<Fault>) -> Self {
        let shards = between(rng, 1, 4) as u16;
        let keys = between(rng, 2, 6);
        let mut pushed = 0;
        let scripts = (0..between(rng, 3, 8))
            .map(|_| (0..between(rng, 2, 8)).map(|_| draw_task(rng, keys, &mut pushed)).collect())
            .collect();
        let report = Report { pushed, ..Report::default() };
        Self { fault, shards, scripts, lines: Lines::default(), replies: Vec::new(), report }
    }
}

fn draw_task(rng: &mut Rng, keys: u64, pushed: &mut usize) -> Task {
    let mut key = || format!("k{}", rng.below(keys));
    let (first, second, third) = (key(), key(), key());
    let mut words: Vec<String> = match rng.below(10) {
        0..=3 => {
            let elements = between(rng, 1, 2) as usize;
            let named = (0..elements).map(|at| format!("e{}", *pushed + at)).collect::<Vec<_>>();
            *pushed += elements;
            return Task { words: [vec!["RPUSH".into(), first], named].concat(), gives_up: None };
        }
        4 => return Task { words: vec!["LPOP".into(), first], gives_up: None },
        5 => vec!["BLMOVE".into(), first, second, "LEFT".into(), "RIGHT".into()],
        6 => vec!["BLPOP".into(), first],
        7 => vec!["BRPOP".into(), first, second],
        _ => vec!["BLPOP".into(), first, second, third],
    };
    words.push("0".into());
    let gives_up = rng.one_in(3).then(|| (rng.below(60), rng.one_in(2)));
    Task { words, gives_up }
}

/// Runs one seed.
pub fn run(seed: u64, fault: Option<Fault>) -> Report {
    let mut rng = Rng::new(seed);
    let mut world = World::draw(&mut rng, fault);
    let ran = catch_unwind(AssertUnwindSafe(|| Run::new(&mut world, rng).finish()));
    let violations = ran.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        vec![Violation::Panicked(text.unwrap_or_default())]
    });
    world.report.violations.extend(violations);
    world.report
}

/// Who sends: a core, or the world outside.
type From = Option<ShardId>;

struct Run<'a> {
    world: &'a mut World,
    rng: Rng,
    cores: Vec<Core>,
    now: u64,
    /// When the last message on each link arrives: links keep order.
    links: BTreeMap<(From, ShardId), u64>,
    events: BinaryHeap<Reverse<(u64, usize)>>,
    messages: BTreeMap<usize, (ShardId, core::Message)>,
    sent: usize,
}

impl<'a> Run<'a> {
    fn new(world: &'a mut World, rng: Rng) -> Self {
        let cores = (0..world.shards).map(|shard| Core::new(ShardId(shard), world.shards)).collect();
        Self {
            world,
            rng,
            cores,
            now: 0,
            links: BTreeMap::new(),
            events: BinaryHeap::new(),
            messages: BTreeMap::new(),
            sent: 0,
        }
    }

    fn finish(mut self) -> Vec<Violation> {
        for client in 0..self.world.scripts.len() {
            let (home, at) = (self.world.home(client), self.rng.below(30));
            self.send_at(home, at, core::Message::Start(client));
        }
        while let Some(Reverse((at, number))) = self.events.pop() {
            self.now = at;
            let (to, message) = self.messages.remove(&number).expect("an event has its message");
            for sent in self.cores[to.index()].handle(self.world, message) {
                self.send(to, sent);
            }
        }
        self.judge()
    }

    fn send(&mut self, from: ShardId, sent: core::Sent) {
        match sent {
            core::Sent::To(to, message) => {
                // Most messages are quick; some links stall.
                let delay = if self.rng.one_in(8) {
                    between(&mut self.rng, 1, 40)
                } else {
                    between(&mut self.rng, 1, 4)
                };
                let last = self.links.entry((Some(from), to)).or_default();
                let at = (self.now + delay).max(*last + 1);
                *last = at;
                self.send_at(to, at, message);
            }
            core::Sent::Later(delay, message) => self.send_at(from, self.now + delay, message),
            core::Sent::Soon(message) => {
                let delay = between(&mut self.rng, 1, 30);
                self.send_at(from, self.now + delay, message);
            }
        }
    }

    fn send_at(&mut self, to: ShardId, at: u64, message: core::Message) {
        self.sent += 1;
        assert!(self.sent < MESSAGES_MAX, "it never comes to rest");
        self.messages.insert(self.sent, (to, message));
        self.events.push(Reverse((at, self.sent)));
    }

    fn judge(mut self) -> Vec<Violation> {
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        let mut found = std::mem::take(&mut self.world.lines.overtaken);
        for core in &mut self.cores {
            found.extend(core.left_over().map(Violation::LeftOver));
            for key in core.awaited_in_vain() {
                found.push(Violation::Forgotten(key));
            }
            for element in core.elements() {
                *places.entry(element).or_default() += 1;
            }
        }
        for (home, client) in self.world.lines.all() {
            if !self.cores[home as usize].waits(client as usize) {
                found.push(Violation::LeftOver(format!("client {client} stands in line and does not wait")));
            }
        }
        for element in self.world.replies.iter().flat_map(|reply| elements(reply)) {
            *places.entry(element).or_default() += 1;
        }
        let lost: Vec<String> = (0..self.world.report.pushed)
            .map(|number| format!("e{number}"))
            .filter(|element| !places.contains_key(element) && self.world.lines.was_pushed(element))
            .collect();
        if !lost.is_empty() {
            found.push(Violation::Lost(lost));
        }
        found.extend(places.into_iter().filter(|place| place.1 > 1).map(|place| Violation::Doubled(place.0)));
        found
    }
}

/// The elements that a reply hands over.
fn elements(reply: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(reply);
    text.split("\r\n").filter(|line| line.starts_with('e')).map(str::to_owned).collect()
}

/// No run sends nearly as many.
const MESSAGES_MAX: usize = 20_000;
