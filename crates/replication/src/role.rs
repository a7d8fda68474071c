//! The replica's role: whom this node follows, and every step from the command to the stream.
//!
//! ```text
//!             REPLICAOF                                   CONTINUE
//!  Master ───────────────► Connecting ──► Greeting ────────────────────────────────────► Following
//!    ▲                       ▲   ▲           │ FULLRESYNC                                ▲    │ the link ends
//!    │ NO ONE                │   │           ▼                                           │    ▼
//!    └── from anywhere       │   │       Receiving ──► Verifying ──► Replacing ──────────┘  Draining
//!        but Replacing,      │   │           whole         │ a ResyncGrant    replaced        │
//!        which ends first    │   └── Waiting ◄─────────────┘ nothing has changed              │
//!                            └──────── ▲ ◄────────────────────────────────────────────────────┘
//!                                      └── any failure before the grant, with its reason
//! ```
//!
//! Until the grant nothing has changed but what is staged; with it the dataset is replaced, whatever happens to the link or is wished
//! meanwhile. What the machine is told of an attempt that is over is nobody's.
//!
//! Whoever runs it carries out what [`Role::poll`] gives, in order; tells what came of it; hands in bytes with
//! [`Role::receive`] while [`Role::reads`]; and calls [`Role::tick`] at [`Role::deadline`].

mod backoff;
mod facts;
mod following;
mod greet;
mod judge;
mod output;
mod reason;
mod resync;

pub use facts::{Facts, LinkState, Transfer};
pub use judge::{History, Report};
pub use output::{Output, Piece, ResyncGrant};
pub use reason::{During, Reason};

use std::collections::VecDeque;

use stdx::Rng;

use crate::flow::hello::{Announced, Session, Sync};
use crate::flow::place::{Place, history};
use crate::ids::{Attempt, Endpoint, Position, ReplId};
use crate::psync::{self, Frame, Payload};
use backoff::Backoff;
use greet::{Greeter, Step};
use judge::Known;

/// The role machine of one node.
#[derive(Debug)]
pub struct Role {
    options: Options,
    history: History,
    /// Whom this node follows, if anybody.
    master: Option<Endpoint>,
    /// What is to happen when what cannot be stopped is over.
    wish: Option<Wish>,
    state: State,
    attempt: Attempt,
    /// Whether the attempt has a connection, or one is being made.
    has_link: bool,
    /// Whether the data comes in flows, so that the connection brings nothing but signs of life.
    has_flows: bool,
    /// What is asked for where there are flows; `None` if they are not wanted.
    wanted_flows: Option<Sync>,
    /// Whether this node's data is that of the master it was told to follow, and nobody has told it anything since.
    has_masters_data: bool,
    /// A history that had no keys when its master was asked.
    began_empty: Option<ReplId>,
    /// Whether something of this attempt is staged.
    has_staged: bool,
    /// Whether the stream of the master made no sense, so that nothing is resumed.
    is_torn: bool,
    /// Whether the next handshake asks for everything: the master has less, and is followed all the same. It ends the connection with that
    /// answer, so what is asked next is asked on another.
    asks_anew: bool,
    /// Whether the master is this node's replica so far, and has not agreed yet.
    is_handing_over: bool,
    last_io_ms: u64,
    next_word_ms: u64,
    read: u64,
    /// What was applied and is on this node's disk, as far as is known; `None` where there is no log.
    safe: Option<Place>,
    /// The master has asked how far this node is, and is to hear when all that was applied by then is on the disk.
    owed: Option<u64>,
    backoff: Backoff,
    /// The same of streams that made no sense: each costs a full sync, so it goes on until one was followed for long.
    torn: Backoff,
    /// The same of payloads that came to their end and were no dataset, as long as nothing else happens.
    rejected: Backoff,
    followed_since_ms: u64,
    facts: facts::Counters,
    outputs: VecDeque<Output>,
    rng: Rng,
}

/// What an operator has set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// This node's name for other Lacewings; of this process.
    pub me: ReplId,
    /// The name of the history that this node's own replicas are in. It is nobody else's, and who is a master has another.
    pub gives: ReplId,
    /// `replica-announce-port`, or the port.
    pub listening_port: u16,
    /// `replica-announce-ip`.
    pub announce_ip: Option<String>,
    /// `masteruser`.
    pub user: Option<String>,
    /// `masterauth`.
    pub password: Option<String>,
    /// `repl-timeout`, in milliseconds.
    pub timeout_ms: u64,
    /// `replica-accept-less`: whether a master's empty or shorter history may replace this node's data.
    pub accepts_less: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Wish {
    NoOne,
    Follow(Endpoint),
}

#[derive(Debug)]
enum State {
    Master,
    Waiting { until_ms: u64 },
    Connecting,
    Greeting(Greeter),
    Receiving { payload: Payload, from: Position },
    Gathering { from: Position, received: u64, len: u64 },
    Verifying { from: Position },
    Replacing { from: Position },
    Following,
    Draining,
}

impl Role {
    /// A master, whose data has this history.
    pub fn new(options: Options, history: History, rng: Rng) -> Self {
        Self {
            options,
            history,
            master: None,
            wish: None,
            state: State::Master,
            attempt: Attempt(0),
            has_link: false,
            has_flows: false,
            wanted_flows: None,
            has_masters_data: false,
            began_empty: None,
            has_staged: false,
            is_torn: false,
            asks_anew: false,
            is_handing_over: false,
            last_io_ms: 0,
            next_word_ms: 0,
            read: 0,
            safe: None,
            owed: None,
            backoff: Backoff::default(),
            torn: Backoff::default(),
            rejected: Backoff::rare(),
            followed_since_ms: 0,
            facts: facts::Counters::default(),
            outputs: VecDeque::new(),
            rng,
        }
    }

    /// What was set anew; it counts from the next step on.
    pub fn set_options(&mut self, options: Options, now_ms: u64) {
        let insists = options.accepts_less && !self.options.accepts_less;
        self.options = options;
        let is_put_off = self.facts.last_reason.as_ref().is_some_and(Reason::is_judgement);
        if insists && is_put_off {
            self.hurry(now_ms);
        }
    }

    /// What is set.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// `REPLICAOF <host> <port>`. The same master as before changes nothing. `history` is where this node's data stands,
    /// if it is a master so far.
    pub fn replicaof(&mut self, to: Endpoint, history: History, now_ms: u64) {
        if self.will_follow() == Some(&to) {
            return;
        }
        if self.is_master() {
            self.history = history;
        }
        (self.is_torn, self.asks_anew) = (false, false);
        (self.has_masters_data, self.began_empty) = (false, None);
        (self.backoff, self.torn, self.rejected) = (Backoff::default(), Backoff::default(), Backoff::rare());
        self.facts.begin();
        self.turn_to(Wish::Follow(to), now_ms);
    }

    /// The next attempt is not waited for: somebody has said so, or what the last one failed for is no longer so.
    pub fn hurry(&mut self, now_ms: u64) {
        if let State::Waiting { until_ms } = &mut self.state {
            *until_ms = now_ms;
        }
    }

    /// This node followed before it was started again, and what it was told then still holds.
    pub fn goes_on(&mut self) {
        self.has_masters_data = true;
    }

    /// FAILOVER: a replica of this node is to be its master. `at` is where this node's own stream ends, and nothing is written any more.
    /// Ends with [`Output::HandedOver`], [`Output::NotHandedOver`] or another wish; until then it is attempted again and again.
    pub fn hand_over(&mut self, to: Endpoint, at: Position, now_ms: u64) {
        assert!(self.is_master() && self.wish.is_none(), "only a master has something to hand over");
        self.replicaof(to, History { current: Some(at), second: self.history.second }, now_ms);
        self.is_handing_over = true;
    }

    /// `REPLICAOF NO ONE`.
    pub fn no_one(&mut self, now_ms: u64) {
        if self.will_follow().is_some() {
            self.turn_to(Wish::NoOne, now_ms);
        }
    }

    /// Whom this node follows when all that was asked for is done.
    fn will_follow(&self) -> Option<&Endpoint> {
        match &self.wish {
            Some(Wish::NoOne) => None,
            Some(Wish::Follow(to)) => Some(to),
            None => self.master.as_ref(),
        }
    }

    fn turn_to(&mut self, wish: Wish, now_ms: u64) {
        self.is_handing_over = false;
        self.wish = Some(wish);
        match self.state {
            State::Replacing { .. } | State::Draining => {}
            State::Following => self.drain(),
            _ => {
                self.abandon();
                self.grant_wish(now_ms);
            }
        }
    }

    /// Nothing is under way: what was wished is done.
    fn grant_wish(&mut self, now_ms: u64) {
        match self.wish.take() {
            Some(Wish::NoOne) => {
                self.master = None;
                self.state = State::Master;
                let replid = ReplId::random(&mut self.rng);
                self.history.shift(replid);
                self.outputs.push_back(Output::Promoted { replid, history: self.history });
            }
            Some(Wish::Follow(to)) => {
                self.master = Some(to);
                self.connect(now_ms);
            }
            None => self.wait(now_ms),
        }
    }

    fn connect(&mut self, now_ms: u64) {
        let to = self.master.clone().expect("a node that connects follows somebody");
        self.attempt.0 += 1;
        self.facts.attempts += 1;
        (self.has_link, self.last_io_ms) = (true, now_ms);
        self.state = State::Connecting;
        self.outputs.push_back(Output::Connect { attempt: self.attempt, to });
    }

    fn wait(&mut self, now_ms: u64) {
        let wait_ms = match &self.facts.last_reason {
            Some(reason) if reason.is_judgement() => backoff::LONGEST_MS,
            Some(Reason::Stream(_)) => self.torn.next_ms(&mut self.rng),
            Some(Reason::Rejected(_)) => self.rejected.next_ms(&mut self.rng),
            _ => self.backoff.next_ms(&mut self.rng),
        };
        self.state = State::Waiting { until_ms: now_ms + wait_ms };
    }

    /// Ends the attempt: what it has staged goes, its link is closed.
    fn abandon(&mut self) {
        let attempt = self.attempt;
        if std::mem::take(&mut self.has_staged) {
            self.outputs.push_back(Output::Discard { attempt });
        }
        if std::mem::take(&mut self.has_link) {
            self.outputs.push_back(Output::Close { attempt });
        }
    }

    fn fail(&mut self, reason: Reason, now_ms: u64) {
        assert!(
            !matches!(self.state, State::Master | State::Replacing { .. }),
            "what cannot fail has failed: {reason}"
        );
        self.outputs.push_back(Output::Failed { attempt: self.attempt, reason: reason.clone() });
        if !matches!(reason, Reason::Rejected(_)) {
            self.rejected = Backoff::rare();
        }
        if self.is_steady(now_ms) {
            (self.backoff, self.torn) = (Backoff::default(), Backoff::default());
        }
        self.facts.failed(reason, now_ms);
        if matches!(self.state, State::Following) {
            return self.drain();
        }
        if matches!(self.state, State::Draining) {
            return;
        }
        self.abandon();
        self.grant_wish(now_ms);
    }

    /// What has come is applied to its last whole command, and then the position is known.
    fn drain(&mut self) {
        self.abandon();
        self.state = State::Draining;
        self.outputs.push_back(Output::Drain { attempt: self.attempt });
    }

    fn is_now(&self, attempt: Attempt) -> bool {
        attempt == self.attempt && !matches!(self.state, State::Master | State::Waiting { .. })
    }

    /// Whether flows are wanted, and from where on. It counts from the next handshake on.
    pub fn want_flows(&mut self, from: Option<Sync>) {
        self.wanted_flows = from;
    }

    /// The connection stands.
    pub fn connected(&mut self, attempt: Attempt, now_ms: u64) {
        if self.is_now(attempt) && matches!(self.state, State::Connecting) {
            self.last_io_ms = now_ms;
            self.has_flows = false;
            let all = Sync { stands: None, offset: 0 };
            let is_anew = std::mem::take(&mut self.asks_anew) || self.is_torn;
            let flows = self.wanted_flows.clone().map(|from| if is_anew { all } else { from });
            // Whoever is asked to be the master is asked by PSYNC.
            let flows = flows.filter(|_| !self.is_handing_over);
            self.state = State::Greeting(Greeter::begin(self.position_to_ask(), flows, self.is_handing_over));
            let mut bytes = Vec::new();
            psync::ask::ping(&mut bytes);
            self.send(bytes);
        }
    }

    fn position_to_ask(&self) -> Option<Position> {
        self.history.current.filter(|_| !self.is_torn)
    }

    /// The connection could not be made, or has ended; `why` in words.
    pub fn lost(&mut self, attempt: Attempt, why: &str, now_ms: u64) {
        if !self.is_now(attempt) || !std::mem::take(&mut self.has_link) {
            return;
        }
        let reason = match &self.state {
            State::Connecting => Reason::Unreachable(why.to_owned()),
            State::Greeting(_) => Reason::Lost { during: During::Greeting, why: why.to_owned() },
            State::Receiving { payload, .. } => Reason::Truncated {
                received: payload.received(),
                len: payload.announced(),
                why: why.to_owned(),
            },
            State::Gathering { received, len, .. } => {
                Reason::Truncated { received: *received, len: Some(*len), why: why.to_owned() }
            }
            // The payload is there, and as good as it would be with a link.
            State::Verifying { .. } | State::Replacing { .. } | State::Draining => return,
            State::Following => Reason::Lost { during: During::Stream, why: why.to_owned() },
            State::Master | State::Waiting { .. } => unreachable!("no attempt is under way"),
        };
        self.fail(reason, now_ms);
    }

    /// Whether bytes are wanted now. While not, they stay with the connection.
    pub fn reads(&self) -> bool {
        let comes = match self.state {
            State::Greeting(_) | State::Receiving { .. } | State::Following => true,
            // That the master lives.
            State::Gathering { .. } | State::Verifying { .. } | State::Replacing { .. } => self.has_flows,
            _ => false,
        };
        self.has_link && comes
    }

    /// Bytes have come. Says how many were taken: fewer than all where something is to be done before what follows is looked at, where
    /// that is not wanted yet, or where the attempt has ended. So carry out what there is, and as long as it [`Role::reads`], call again.
    pub fn receive(
        &mut self,
        attempt: Attempt,
        bytes: &[u8],
        sink: &mut dyn FnMut(Piece<'_>),
        now_ms: u64,
    ) -> usize {
        let mut used = 0;
        while used < bytes.len() && attempt == self.attempt && self.reads() && self.outputs.is_empty() {
            self.last_io_ms = now_ms;
            used += self.step(&bytes[used..], sink, now_ms);
        }
        used
    }

    fn step(&mut self, bytes: &[u8], sink: &mut dyn FnMut(Piece<'_>), now_ms: u64) -> usize {
        match &mut self.state {
            State::Gathering { .. } | State::Verifying { .. } | State::Replacing { .. } => bytes.len(),
            State::Following if self.has_flows => bytes.len(),
            State::Greeting(greeter) => {
                let (used, step) = greeter.take(bytes, &self.options);
                if !matches!(step, Step::Nothing | Step::Send(_) | Step::Fail(_) | Step::AskAnew(_)) {
                    self.facts.upstream = greeter.names().to_vec();
                }
                self.greet(step, now_ms);
                used
            }
            State::Receiving { payload, .. } => {
                let mut frames = |frame: Frame<'_>| match frame {
                    Frame::Begins(_) | Frame::Whole => {}
                    Frame::Bytes(bytes) => sink(Piece::Payload(bytes)),
                };
                match payload.take(bytes, &mut frames) {
                    Ok(used) => {
                        if payload.is_whole() {
                            self.whole(now_ms);
                        }
                        used
                    }
                    Err(error) => {
                        self.fail(Reason::Payload(error), now_ms);
                        bytes.len()
                    }
                }
            }
            State::Following => {
                self.read += bytes.len() as u64;
                sink(Piece::Stream(bytes));
                bytes.len()
            }
            _ => unreachable!("nothing is read now"),
        }
    }

    fn greet(&mut self, step: Step, now_ms: u64) {
        match step {
            Step::Nothing => {}
            Step::Send(bytes) => self.send(bytes),
            Step::Fail(reason) => self.refused(reason, now_ms),
            Step::AskAnew(reason) => {
                self.asks_anew = true;
                self.fail(reason, now_ms);
                self.hurry(now_ms);
            }
            Step::Full(_) | Step::Resume(..) if self.is_handing_over => {
                self.is_handing_over = false;
                self.outputs.push_back(Output::HandedOver);
                self.greet(step, now_ms);
            }
            Step::FullFlows(session, payload) => self.full_flows(session, payload),
            Step::ResumeFlows(session) => self.resume_flows(session, now_ms),
            Step::Full(Position { replid, .. }) if replid == self.options.gives => {
                self.fail(Reason::Cycle, now_ms);
            }
            Step::Full(from) => match self.history.judge_position(from, self.options.accepts_less) {
                Err(reason) => self.fail(reason, now_ms),
                Ok(()) => {
                    self.state = State::Receiving { payload: Payload::default(), from };
                    self.has_staged = true;
                    self.facts.full_syncs += 1;
                    self.outputs.push_back(Output::Stage { attempt: self.attempt });
                }
            },
            Step::Resume(position, name) => {
                let is_renamed = name.is_some_and(|name| name != position.replid);
                if let Some(name) = name.filter(|_| is_renamed) {
                    self.history.shift(name);
                }
                self.facts.partial_syncs += 1;
                self.follow(true, is_renamed, now_ms);
            }
        }
    }

    /// The master does not want this node. If it was to take over, this node stays the master.
    fn refused(&mut self, reason: Reason, now_ms: u64) {
        if std::mem::take(&mut self.is_handing_over) {
            self.outputs.push_back(Output::NotHandedOver { reason: reason.clone() });
            self.wish = Some(Wish::NoOne);
        }
        self.fail(reason, now_ms);
    }

    fn full_flows(&mut self, session: Session, payload: Announced) {
        self.has_flows = true;
        self.has_staged = true;
        self.facts.full_syncs += 1;
        let from = Position { replid: history(session.node), offset: session.offset };
        self.state = State::Gathering { from, received: 0, len: payload.bytes };
        self.outputs.push_back(Output::Stage { attempt: self.attempt });
        self.outputs.push_back(Output::Open { attempt: self.attempt, session, payload: Some(payload) });
    }

    fn resume_flows(&mut self, session: Session, now_ms: u64) {
        self.has_flows = true;
        self.facts.partial_syncs += 1;
        let replid = history(session.node);
        self.history.current = Some(Position { replid, offset: session.offset });
        self.outputs.push_back(Output::Open { attempt: self.attempt, session, payload: None });
        self.follow(true, false, now_ms);
    }

    /// Whether the data comes in flows.
    pub fn has_flows(&self) -> bool {
        self.has_flows
    }

    /// The time has come.
    pub fn tick(&mut self, now_ms: u64) {
        if let State::Waiting { until_ms } = self.state {
            if now_ms >= until_ms {
                self.connect(now_ms);
            }
            return;
        }
        if let Some(during) = self.is_awaited().filter(|_| now_ms >= self.io_deadline_ms()) {
            let silent_ms = now_ms - self.last_io_ms;
            return self.fail(Reason::TimedOut { during, silent_ms }, now_ms);
        }
        if now_ms >= self.next_word_ms {
            match self.state {
                State::Following => self.say_place(now_ms),
                State::Gathering { .. } | State::Verifying { .. } | State::Replacing { .. }
                    if self.has_link =>
                {
                    // So that the master does not take this node for dead while it is busy.
                    self.next_word_ms = now_ms + WORD_EACH_MS;
                    self.send(b"\n".to_vec());
                }
                _ => {}
            }
        }
    }

    /// When to call [`Role::tick`]; nothing changes before.
    pub fn deadline(&self) -> Option<u64> {
        let io = self.is_awaited().map(|_| self.io_deadline_ms());
        match self.state {
            State::Master | State::Draining => None,
            State::Waiting { until_ms } => Some(until_ms),
            State::Connecting | State::Greeting(_) | State::Receiving { .. } => io,
            State::Following | State::Gathering { .. } => io.map(|io| io.min(self.next_word_ms)),
            State::Verifying { .. } | State::Replacing { .. } => self.has_link.then_some(self.next_word_ms),
        }
    }

    /// What the master is to say something for.
    fn is_awaited(&self) -> Option<During> {
        match &self.state {
            State::Connecting => Some(During::Connecting),
            State::Greeting(_) => Some(During::Greeting),
            State::Receiving { .. } | State::Gathering { .. } => Some(During::Payload),
            State::Following => Some(During::Stream),
            _ => None,
        }
    }

    fn io_deadline_ms(&self) -> u64 {
        self.last_io_ms + self.options.timeout_ms
    }

    fn send(&mut self, bytes: Vec<u8>) {
        if self.has_link {
            self.outputs.push_back(Output::Send { attempt: self.attempt, bytes });
        }
    }

    /// What is to be done next.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Whether this node follows nobody.
    pub fn is_master(&self) -> bool {
        matches!(self.state, State::Master)
    }

    /// Whether it has what its master has, but for what is under way: nobody may be given its data while not.
    pub fn is_following(&self) -> bool {
        matches!(self.state, State::Following)
    }

    /// Where its data stands, as far as is known.
    pub fn history(&self) -> History {
        self.history
    }
}

/// How often a master hears from this node.
const WORD_EACH_MS: u64 = 1000;
/// A stream that was followed for so long went well: when it makes no sense then, that is no part of what was before.
const STEADY_MS: u64 = 60_000;

#[cfg(test)]
mod tests;
