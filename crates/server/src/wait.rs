//! Clients that wait for keys (BLPOP and the like), on their own core and on the shards of the keys.
//!
//! ```text
//!   home                                            the shard of the keys
//!   BLPOP k 5 ──────────── Command ───────────────► nothing there: it stands in line      ([`shard::Waitroom`])
//!   `Outgoing::wait` ◄──── Parked, until when ────
//!                                                   a command makes k ready: it is served, in the same turn
//!   the hole is filled ◄── Reply ─────────────────
//!   or: time is up, CLIENT UNBLOCK, the client goes
//!                     ──── Cancel ────────────────► still in line: it leaves
//!                     ◄─── Reply (nil, an error) ──  served before: that reply is on its way, and nothing more is said
//! ```
//!
//! The shard alone decides whether a waiter was served or has given up, so an element goes to one of them or stays, and every
//! wait has exactly one reply. A client that goes at the moment in which it is served has taken its element along.
//!
//! [`several`] tells of keys on several shards.
//!
//! While a connection waits it has one hole and a barrier in its pipeline: nothing that follows runs. It costs nothing but
//! its place in line, and one in the order of timeouts.

mod log;
mod replicas;
mod several;
mod timeouts;

pub(crate) use log::{LogWaiters, begin_for_log, log_has_ended, serve as serve_log_waiters};
pub(crate) use replicas::{Had, begin_for_replicas, replicas_have};
pub(crate) use several::{Fate, attempt, call, fate, lend, offered, stays, take_back};
pub(crate) use timeouts::{Timeouts, run as run_timeouts};

use crate::connection::{Link, Outgoing};
use crate::exec;
use crate::hop::{Hop, Item, Sink};
use crate::node::{Node, State};
use crate::transaction;
use commands::transaction::Queue;
use commands::{Caller, ClientFlags, ClientSlot, CommandError, CommandRef, Core, Flags, Outcome};
use coordinator::locks::{Claim, KeyName, Mode, Scope};
use resp::Proto;
use several::Several;
use shard::serve::MayTouch;
use shard::{Waiter, WaiterId, Waitroom, Woken};
use stdx::args::OwnedArgs;
use stdx::{Args, ClientId, ShardId, Slot, UnixMs};

/// What home knows of a client's wait.
#[derive(Debug)]
pub(crate) struct Wait {
    place: Place,
    /// Where the reply goes.
    sink: Sink,
    until: Option<UnixMs>,
}

impl Wait {
    /// Whether nothing is being done for it.
    pub(crate) fn is_idle(&self) -> bool {
        match &self.place {
            Place::Shard(..) | Place::Log(_) | Place::Replicas { .. } => true,
            Place::Shards(several) => several.is_idle(),
        }
    }
}

/// Where a waiter stands in line.
#[derive(Debug)]
enum Place {
    /// At one shard, which answers it. Whether that knows that it is to leave.
    Shard(ShardId, bool),
    /// At several, and home answers it.
    Shards(Box<Several>),
    /// Nowhere: it waits until this cut is on the disk in all logs.
    Log(u64),
    /// At core 0, with this ticket: it waits for replicas, or for their disks.
    Replicas { ticket: u64, is_for_disks: bool },
}

/// A shard's message to the home of a client whose command it has parked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parked {
    sink: Sink,
    id: ClientId,
    until: Option<UnixMs>,
}

/// Why a wait ends without what was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// Its time is up, or CLIENT UNBLOCK says so.
    Timeout,
    /// CLIENT UNBLOCK ERROR.
    Unblocked,
    /// The server has become a replica.
    RoleChanged,
    /// The client is no more.
    Gone,
}

/// A blocking command at the shard of its keys.
pub(crate) struct Call<'a> {
    pub(crate) command: CommandRef,
    pub(crate) caller: Caller,
    pub(crate) args: Args<'a>,
    pub(crate) slot: Option<Slot>,
    pub(crate) home: ShardId,
    pub(crate) sink: Sink,
}

/// What has just run as one, for those who may be served next to it.
#[derive(Clone, Copy)]
pub(crate) enum Unit<'a> {
    /// One command of this shard.
    Command(CommandRef, Args<'a>),
    /// The commands of one transaction of this shard.
    Queue(&'a Queue),
    /// A transaction's part, whose locks are given back.
    Claim(Claim<'a>),
    /// Periodic work, or the end of somebody's wait.
    Nothing,
}

/// Whether this command line may have its client wait.
#[inline]
pub(crate) fn may_park(command: CommandRef, args: Args<'_>) -> bool {
    command.row.flags.has(Flags::BLOCKING) && commands::parking::may_park(command.row.name, args)
}

/// Puts the client of a command in line that has just parked. Returns until when it waits.
pub(crate) fn park(state: &mut State, call: &Call<'_>) -> Option<UnixMs> {
    let parking = state.core.parking.take().expect("who parks says what for");
    let args = parking.args.unwrap_or_else(|| OwnedArgs::from(call.args));
    let (id, caller) = (id(call.home, call.sink), Caller { slot: None, ..call.caller });
    let waiter = Waiter { command: call.command, caller, args, is_whole: true, sink: call.sink };
    state.waitroom.park(&mut state.core, id, parking.keys, parking.wanted, waiter);
    parking.until
}

/// The same for a command that had to wait for locks: home is told, too.
pub(crate) fn park_for(node: &Node, state: &mut State, call: &Call<'_>) {
    let until = park(state, call);
    let told = Parked { sink: call.sink, id: call.caller.id, until };
    if !node.is_home(call.home) {
        return node.mailbox.outbox(call.home.index(), |hop| hop.say(Item::Parked(told)));
    }
    parked_here(node, &mut state.core, node.id, told);
}

/// Runs a command that may park, and sends what came of it to its home, on another core.
pub(crate) fn run_for(state: &mut State, call: &Call<'_>, back: &mut Hop, now: UnixMs) -> Outcome {
    let mut out = Vec::new();
    reserve(state, id(call.home, call.sink), (call.command, call.caller), call.args, now);
    let core = &mut state.core;
    let outcome = shard::execute(core, call.command, call.caller, call.args, call.slot, &mut out, now);
    core.reserved.clear();
    match outcome {
        Outcome::Done | Outcome::Refused => back.reply(call.sink, |buf| buf.extend_from_slice(&out)),
        Outcome::Park => {
            let until = park(state, call);
            back.say(Item::Parked(Parked { sink: call.sink, id: call.caller.id, until }));
        }
    }
    outcome
}

/// Has a command leave alone what others have waited for for longer, until `core.reserved` is cleared. It is one that may
/// park, and has all its keys here.
#[inline]
pub(crate) fn reserve(
    state: &mut State,
    id: WaiterId,
    (command, caller): (CommandRef, Caller),
    args: Args<'_>,
    now: UnixMs,
) {
    if !state.waitroom.waiters().is_empty() {
        let wait = shard::serve::Wait { id, command, db: caller.db, args };
        state.core.reserved = state.waitroom.reserved(&mut state.core, wait, |_| true, now);
    }
}

/// Home: a client waits from now on, at its own shard.
pub(crate) fn begin_here(
    node: &Node,
    core: &mut Core,
    outgoing: &mut Outgoing,
    sink: Sink,
    until: Option<UnixMs>,
) {
    begin(node, core, outgoing, (Place::Shard(node.id, false), sink), until);
}

fn begin(
    node: &Node,
    core: &mut Core,
    outgoing: &mut Outgoing,
    (place, sink): (Place, Sink),
    until: Option<UnixMs>,
) {
    let client = sink.client;
    assert!(outgoing.wait.is_none(), "a client waits twice");
    outgoing.wait = Some(Wait { place, sink, until });
    // Messages that came before it was known to wait.
    outgoing.replies.overtake();
    if let Some(until) = until {
        node.timeouts.insert(until, client);
    }
    core.waiting_with_timeout += usize::from(until.is_some());
    if let Some(client) = core.clients.get_mut(client) {
        client.flags.set(ClientFlags::WAITING, true);
    }
}

/// Home: what the client waited for has come, or it waits no longer, if it did.
pub(crate) fn end(node: &Node, core: &mut Core, outgoing: &mut Outgoing, client: ClientSlot) {
    let Some(wait) = outgoing.wait.take() else { return };
    if let Some(until) = wait.until {
        node.timeouts.remove(until, client);
    }
    core.waiting_with_timeout -= usize::from(wait.until.is_some());
    if let Some(client) = core.clients.get_mut(client) {
        client.flags.set(ClientFlags::WAITING, false);
    }
}

/// Home: the shard has parked a client's command.
pub(crate) fn parked(node: &Node, from: ShardId, parked: Parked) {
    parked_here(node, &mut node.state.borrow_mut().core, from, parked);
}

fn parked_here(node: &Node, core: &mut Core, from: ShardId, parked: Parked) {
    let links = node.links.borrow();
    let Parked { sink, id, until } = parked;
    let Some(link) = links.get(sink.client) else {
        // Only a core that ends gives up connections that are still owed an answer.
        return assert!(node.stopping.get(), "a connection stays until its holes are filled");
    };
    debug_assert_eq!(core.clients.get(sink.client).map(|client| client.id), Some(id));
    begin(node, core, &mut link.outgoing.borrow_mut(), (Place::Shard(from, false), sink), until);
    // It may have gone meanwhile.
    link.kick();
}

/// Home: ends a client's wait, if it waits. Nothing that it waits for has come, so far as is known here.
#[cold]
pub(crate) fn give_up(node: &Node, link: &Link, why: Why) {
    let shard = {
        let mut outgoing = link.outgoing.borrow_mut();
        let Some(wait) = &mut outgoing.wait else { return };
        match &mut wait.place {
            Place::Shard(_, true) => return,
            Place::Shard(shard, is_told) => {
                *is_told = true;
                *shard
            }
            Place::Log(_) => {
                drop(outgoing);
                return log::give_up(node, link, why);
            }
            Place::Replicas { .. } => {
                drop(outgoing);
                return replicas::give_up(node, link, why);
            }
            Place::Shards(several) => {
                let gives_up_now = several.give_up(why);
                drop(outgoing);
                if gives_up_now {
                    several::leave(node, link, why);
                }
                return;
            }
        }
    };
    tell(node, shard, link.slot, why);
}

/// Home: has a shard take a client out of line.
fn tell(node: &Node, shard: ShardId, client: ClientSlot, why: Why) {
    if node.is_home(shard) {
        cancel(node, WaiterId { home: node.id, client }, why);
    } else {
        node.mailbox.outbox(shard.index(), |hop| hop.say(Item::Cancel(client, why)));
    }
}

/// What a client is told that gave up.
fn say_why(core: &mut Core, command: CommandRef, proto: Proto, why: Why, out: &mut Vec<u8>) {
    let mut reply = resp::Reply::new(out, proto);
    match why {
        Why::Timeout => reply.null_array(),
        Why::Unblocked | Why::RoleChanged => {
            let error =
                if why == Why::Unblocked { CommandError::UNBLOCKED } else { CommandError::ROLE_CHANGED };
            let text = error.text();
            core.stats.failed(command.index, &text);
            reply.error(&text);
        }
        Why::Gone => {}
    }
}

/// The shard: takes a waiter out of line, if it still stands there, and answers it if that is for the shard to do.
pub(crate) fn cancel(node: &Node, id: WaiterId, why: Why) {
    let state = &mut *node.state.borrow_mut();
    // If it does not stand there any more, what it has got is on its way.
    let Some(waiter) = state.waitroom.cancel(&mut state.core, id) else { return };
    if waiter.is_whole {
        let mut out = Vec::new();
        say_why(&mut state.core, waiter.command, waiter.caller.proto, why, &mut out);
        answer(node, &mut state.core, id.home, waiter.sink, &out);
    }
    // It may have kept others waiting.
    serve(state, Unit::Nothing, node.ticks.get().unix_ms());
    node.pass_on_wants(state);
}

/// Serves those who wait for keys that `unit` has made ready.
#[inline]
pub(crate) fn serve(state: &mut State, unit: Unit<'_>, now: UnixMs) {
    if state.core.keyspace.has_changed() {
        serve_changed(state, unit, now);
    }
}

#[cold]
fn serve_changed(state: &mut State, unit: Unit<'_>, now: UnixMs) {
    with_may_touch(state, unit, |waitroom, core, may_touch| waitroom.serve(core, now, may_touch));
}

/// Hands on whether keys may be touched next to what has just run.
fn with_may_touch(
    state: &mut State,
    unit: Unit<'_>,
    run: impl FnOnce(&mut Waitroom<Sink>, &mut Core, &mut MayTouch<'_>),
) {
    let State { core, participant, waitroom, .. } = state;
    if participant.is_idle() {
        return run(waitroom, core, &mut |_| true);
    }
    let own: Vec<KeyName>;
    let claim = match unit {
        Unit::Command(command, args) => {
            own = transaction::names(command, args);
            transaction::claim(command, &own)
        }
        Unit::Queue(queue) => {
            own = exec::names(queue, &[]);
            Claim { scope: Scope::Keys(&own), mode: exec::mode(queue) }
        }
        Unit::Claim(claim) => claim,
        Unit::Nothing => Claim { scope: Scope::Keys(&[]), mode: Mode::Shared },
    };
    // What the unit has locked, or need not have locked because it was free, is its own until others have their turn.
    run(waitroom, core, &mut |key| {
        let name = transaction::name(key);
        let is_own = match claim.scope {
            Scope::Keys(names) => names.contains(&name),
            Scope::Whole => true,
        };
        let whole = Claim { scope: Scope::Keys(&[name]), mode: Mode::Exclusive };
        (is_own && claim.mode == Mode::Exclusive) || participant.is_untouched(whole)
    });
}

/// Sends out what has become of waiters.
#[inline]
pub(crate) fn deliver(node: &Node, state: &mut State) {
    if state.waitroom.has_woken() {
        deliver_all(node, state);
    }
}

#[cold]
fn deliver_all(node: &Node, state: &mut State) {
    for woken in state.waitroom.take_woken() {
        match woken {
            Woken::Served { id, waiter, reply, nanos } => {
                answer(node, &mut state.core, id.home, waiter.sink, &reply);
                let now = node.ticks.get().unix_ms();
                if crate::dispatch::is_slow(&mut state.core, waiter.command, nanos, now) {
                    note_slow(node, &mut state.core, id, &waiter, nanos, now);
                }
            }
            Woken::Offered { id, caller, sink } if id.home == node.id => {
                several::offered_here(node, &state.core, sink, caller.id);
            }
            Woken::Offered { id, caller, sink } => {
                node.mailbox.outbox(id.home.index(), |hop| hop.say(Item::Offered(sink, caller.id)));
            }
        }
    }
}

/// The shard: has the core of a waiter know that serving it was slow.
fn note_slow(node: &Node, core: &mut Core, id: WaiterId, waiter: &Waiter<Sink>, nanos: u64, now: UnixMs) {
    let (command, args) = (waiter.command, waiter.args.as_args());
    if node.is_home(id.home) {
        crate::dispatch::note_slow(core, command, args, nanos, id.client, now);
    } else {
        let slow = Item::slow(command, id.client, args, nanos);
        node.mailbox.outbox(id.home.index(), |hop| hop.say(slow));
    }
}

/// The shard: replies to a waiter.
fn answer(node: &Node, core: &mut Core, home: ShardId, sink: Sink, reply: &[u8]) {
    if home == node.id {
        crate::mail::fill_in(node, core, sink, reply);
    } else {
        node.mailbox.outbox(home.index(), |hop| hop.reply(sink, |buf| buf.extend_from_slice(reply)));
    }
}

fn id(home: ShardId, sink: Sink) -> WaiterId {
    WaiterId { home, client: sink.client }
}
