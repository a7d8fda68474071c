//! Scripts on the core that runs them. Most run in one go, like any command; those that run long do so in slices, so that
//! their core serves others in between.
//!
//! ```text
//!   a command runs its script ─► done within its first slice: nothing of this
//!                │
//!                └► paused: it keeps the locks of its keys ─► [`serve`]: a slice, others, a slice, others, .. ─► its reply
//!                                                                   │
//!                                                                   └► past busy-reply-threshold: its shard is busy
//! ```
//!
//! Whoever comes for its keys waits, as behind any lock; other keys are served. Once its shard is [`busy`], whoever comes for
//! any key of it is told so at once. A script that touches several shards is a [`flight`] of its connection.

pub(crate) mod busy;
pub(crate) mod flight;
pub(crate) mod held;

use crate::flights::{self, FlightId, Letter};
use crate::hop::{Hop, Item, Remote, Sink};
use crate::node::{Node, State};
use crate::transaction::{self, Claimed, ParkedCommand};
use crate::wait::{self, Unit};
use busy::Tracked;
use commands::scripting::{Paused, Progress};
use commands::{ClientSlot, CommandRef, effects};
use coordinator::locks::TxId;
use coordinator::shards::ShardSet;
use script::{Hooks, LogLevel};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Poll, Waker};
use stdx::{Args, ClientId, ShardId, UnixMs};

/// One core's scripts that run long.
#[derive(Default)]
pub(crate) struct Scripts {
    waiting: RefCell<VecDeque<Next>>,
    waker: RefCell<Option<Waker>>,
    next_id: Cell<u64>,
}

/// Whose turn comes.
pub(crate) enum Next {
    /// A script of this shard's keys.
    Here(Box<Long>),
    /// A flight of a connection, which has its script go on.
    Flight(ClientSlot, FlightId),
}

/// A script of this shard's keys that goes on in slices.
pub(crate) struct Long {
    paused: Box<Paused>,
    from: From,
    tx: TxId,
    tracked: Tracked,
    /// What it has done so far: it is journalled as one when it has ended.
    effects: Vec<u8>,
    /// The same of what replicas alone are told.
    told: Vec<u8>,
}

impl Scripts {
    /// Gives one a turn after the others.
    pub(crate) fn wait(&self, next: Next) {
        self.waiting.borrow_mut().push_back(next);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn new_id(&self) -> u64 {
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        id
    }
}

/// Where a script's command came from.
#[derive(Clone, Copy)]
pub(crate) struct From {
    pub(crate) command: CommandRef,
    /// The connection.
    pub(crate) origin: ClientId,
    pub(crate) sink: Sink,
    pub(crate) home: ShardId,
}

/// What scripts borrow of the server.
pub(crate) const HOOKS: Hooks =
    Hooks { nanos: crate::clock::nanos, cpu_nanos: crate::process::cpu_nanos, log };

/// redis.log
fn log(level: LogLevel, line: &[u8]) {
    let line = String::from_utf8_lossy(line);
    match level {
        LogLevel::Debug => tracing::trace!("{line}"),
        LogLevel::Verbose => tracing::debug!("{line}"),
        LogLevel::Notice => tracing::info!("{line}"),
        LogLevel::Warning => tracing::warn!("{line}"),
    }
}

/// A script of another core's client; false when it is answered later.
pub(crate) fn run_remote(
    node: &Node,
    state: &mut State,
    remote: &Remote,
    args: Args<'_>,
    home: ShardId,
    back: &mut Hop,
    now: UnixMs,
) -> bool {
    let mut out = Vec::new();
    effects::begin_unit(&mut state.core);
    state.core.clock_us = node.ticks.get().unix_us();
    shard::execute(&mut state.core, remote.command, remote.caller, args, remote.slot, &mut out, now);
    let from = From { command: remote.command, origin: remote.caller.id, sink: remote.sink, home };
    let is_paused = take_paused(node, state, from);
    effects::end_unit(&mut state.core);
    if !is_paused {
        back.reply(remote.sink, |reply| reply.extend_from_slice(&out));
    }
    !is_paused
}

/// A script that had to wait for the locks that it has now.
pub(crate) fn run_parked(node: &Node, tx: TxId, parked: &ParkedCommand) {
    let ParkedCommand { command, caller, slot, sink, home, ref args } = *parked;
    let from = From { command, origin: caller.id, sink, home };
    let (args, now) = (args.as_args(), node.ticks.get().unix_ms());
    let mut out = Vec::new();
    let slow = {
        let state = &mut *node.state.borrow_mut();
        let began = crate::clock::nanos();
        effects::begin_unit(&mut state.core);
        state.core.clock_us = node.ticks.get().unix_us();
        shard::execute(&mut state.core, command, caller, args, slot, &mut out, now);
        if let Some(paused) = state.core.paused.take() {
            return go_on_later(node, state, from, tx, paused);
        }
        effects::end_unit(&mut state.core);
        release(node, state, from, tx, args, began)
    };
    answer(node, from, &out, slow.map(|nanos| (args, nanos)));
}

/// Takes over a script that has paused, if one has: it takes the locks of its keys, which it was admitted to.
#[inline]
pub(crate) fn take_paused(node: &Node, state: &mut State, from: From) -> bool {
    let Some(paused) = state.core.paused.take() else { return false };
    take(node, state, from, paused);
    true
}

#[cold]
fn take(node: &Node, state: &mut State, from: From, paused: Box<Paused>) {
    let tx = transaction::new_tx(node);
    let claimed = Claimed::by(node, from.command, paused.running.args.as_args());
    state.participant.hold((from.origin, tx), claimed.claim());
    go_on_later(node, state, from, tx, paused);
}

fn go_on_later(node: &Node, state: &mut State, from: From, tx: TxId, paused: Box<Paused>) {
    let tracked = Tracked::begin(node, &mut state.core, paused.running.clone(), ShardSet::one(node.id));
    let mut done = Vec::new();
    effects::cut_unit(&mut state.core, &mut done);
    let told = effects::cut_told(&mut state.core);
    node.scripts.wait(Next::Here(Box::new(Long { paused, from, tx, tracked, effects: done, told })));
}

/// Gives scripts that run long their slices, for as long as the core runs. Those that the end of the server does not wait for are
/// left where they are, with their locks: nobody sees half of what they did.
pub(crate) async fn serve(node: Rc<Node>) {
    loop {
        let next = std::future::poll_fn(|cx| {
            if let Some(next) = node.scripts.waiting.borrow_mut().pop_front() {
                return Poll::Ready(next);
            }
            *node.scripts.waker.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
        if node.is_giving_up.get() {
            return;
        }
        match next {
            Next::Flight(client, flight) => flights::deliver(&node, client, flight, Letter::Turn),
            Next::Here(mut long) => {
                crate::journal::beware(&node);
                if slice(&node, &mut long) {
                    end(&node, *long);
                } else {
                    node.scripts.waiting.borrow_mut().push_back(Next::Here(long));
                }
            }
        }
        reactor::task::yield_now().await;
    }
}

/// Runs a script for a slice; true when it has ended.
fn slice(node: &Rc<Node>, long: &mut Long) -> bool {
    let is_busy;
    let (progress, has_actions) = {
        let mut state = node.state.borrow_mut();
        let core = &mut state.core;
        let execution = &mut long.paused.execution;
        if long.tracked.is_killed(core) {
            execution.kill();
        }
        effects::begin_unit(core);
        execution.go_on(core, SLICE_NANOS);
        let progress = execution.advance(core, |_, _| true);
        effects::cut_unit(core, &mut long.effects);
        long.told.append(&mut effects::cut_told(core));
        let wrote = execution.wrote();
        is_busy = long.tracked.look(node, &mut state, wrote);
        shard::tell_memory(&mut state.core);
        node.pass_on_wants(&mut state);
        (progress, !state.core.actions.is_empty())
    };
    if is_busy {
        busy::refuse_all_waiting(node);
    }
    if has_actions && let Err(error) = crate::action::perform_all(node) {
        tracing::warn!(error, "a command of a script failed");
    }
    matches!(progress, Progress::Ended)
}

/// Ends a script that has ended by itself: replies, and lets others go on.
fn end(node: &Rc<Node>, long: Long) {
    let Long { paused, from, tx, tracked, effects, told } = long;
    let Paused { execution, running } = *paused;
    let mut out = Vec::new();
    let slow = {
        let mut state = node.state.borrow_mut();
        let core = &mut state.core;
        tracked.end(&node.control, core);
        core.effects.draft().add_unit(&effects, &told);
        let proto = execution.proto();
        let start = out.len();
        if let Err(error) =
            execution.finish(core, running.args.as_args(), &mut resp::Reply::new(&mut out, proto))
        {
            let text = error.text();
            out.truncate(start);
            resp::Reply::new(&mut out, proto).error(&text);
            core.stats.failed(from.command.index, &text);
        }
        release(node, &mut state, from, tx, running.args.as_args(), running.began)
    };
    transaction::carry_out(node);
    answer(node, from, &out, slow.map(|nanos| (running.args.as_args(), nanos)));
}

/// A script is over, that has held locks: it is counted, and others may go. Returns how long it took, if that was long.
fn release(node: &Node, state: &mut State, from: From, tx: TxId, args: Args<'_>, began: u64) -> Option<u64> {
    let core = &mut state.core;
    let (nanos, now) = (crate::clock::nanos() - began, node.ticks.get().unix_ms());
    core.stats.record(from.command.index, nanos);
    let is_slow = crate::dispatch::is_slow(core, from.command, nanos, now);
    // Those who waited for what it did come before all others.
    let claimed = Claimed::by(node, from.command, args);
    wait::serve(state, Unit::Claim(claimed.claim()), now);
    state.participant.release(tx);
    node.pass_on_wants(state);
    is_slow.then_some(nanos)
}

fn answer(node: &Node, from: From, out: &[u8], slow: Option<(Args<'_>, u64)>) {
    let (command, sink, client) = (from.command, from.sink, from.sink.client);
    if from.home == node.id {
        if let Some((args, nanos)) = slow {
            let core = &mut node.state.borrow_mut().core;
            crate::dispatch::note_slow(core, command, args, nanos, client, crate::clock::unix_ms());
        }
        return crate::mail::fill(node, sink, out);
    }
    node.mailbox.outbox(from.home.index(), |hop| {
        hop.reply(sink, |reply| reply.extend_from_slice(out));
        if let Some((args, nanos)) = slow {
            hop.say(Item::slow(command, client, args, nanos));
        }
    });
}

/// How long a script runs before others have their turn, in nanoseconds.
const SLICE_NANOS: u64 = 2_000_000;
