//! EXEC where all keys are on one shard: the queue runs there in one go.
//!
//! At home that is a part of the turn ([`crate::dispatch`]). Elsewhere the whole queue is one hop, and its reply fills a
//! hole like that of any command. While the shard has locks the queue is admitted like a single command with all the
//! keys, and waits in their lines. Watched keys are looked at right before it runs.

pub(crate) mod flight;

use crate::clock::{Ticks, before_all_times};
use crate::dispatch::{is_slow, note_slow};
use crate::hop::{Hop, Item, Sink};
use crate::node::{Node, State};
use crate::transaction::{self, Parked};
use crate::wait::{self, Unit};
use commands::transaction::{Place, Queue, Watched, has_changed};
use commands::{Caller, CommandRef, Core, Flags, effects};
use coordinator::locks::{Admission, Claim, KeyName, Mode, Scope};
use keyspace::Key;
use stdx::{ShardId, UnixMs};

/// A transaction at its shard, or on its way there.
pub(crate) struct Exec {
    /// EXEC itself.
    pub(crate) command: CommandRef,
    pub(crate) queue: Queue,
    /// Watched keys, all of that shard.
    pub(crate) watched: Vec<Watched>,
    pub(crate) caller: Caller,
    pub(crate) sink: Sink,
    pub(crate) home: ShardId,
    /// It is what a master did, or a journal says: no key's time has come for it.
    pub(crate) is_timeless: bool,
}

/// The lock names of all keys that a transaction names.
pub(crate) fn names(queue: &Queue, watched: &[Watched]) -> Vec<KeyName> {
    let keyed = queue.iter().filter(|queued| queued.place != Place::Home);
    let mut names: Vec<KeyName> =
        keyed.flat_map(|queued| transaction::names(queued.command, queued.args)).collect();
    names.extend(watched.iter().map(|watched| transaction::name(&watched.key)));
    names
}

/// How a queue locks.
pub(crate) fn mode(queue: &Queue) -> Mode {
    if queue.flags().has(Flags::WRITE) { Mode::Exclusive } else { Mode::Shared }
}

/// Whether a watched key of this shard has changed; the watches end with this.
pub(crate) fn have_changed(core: &mut Core, watched: &[Watched], now: UnixMs) -> bool {
    if watched.is_empty() {
        return false;
    }
    // Of those that have expired.
    effects::begin_unit(core);
    let have_changed = watched.iter().any(|watched| has_changed(&mut core.keyspace, watched, now));
    effects::end_unit(core);
    unwatch(core, watched);
    have_changed
}

/// Ends watches of keys of this shard.
pub(crate) fn unwatch(core: &mut Core, watched: &[Watched]) {
    for watched in watched {
        core.keyspace.unwatch(watched.db, Key::new(&watched.key));
    }
}

/// A transaction that another core has sent: runs, or waits for locks.
pub(crate) fn receive(node: &Node, exec: Box<Exec>) {
    if let Some(error) = node.control.busy.error(node.id) {
        return crate::script::busy::refuse(node, Parked::Exec(exec), &error);
    }
    let admitted = {
        let state = &mut *node.state.borrow_mut();
        crate::snapshot::meet_exec(node, state, &exec);
        admit(state, exec)
    };
    if let Some(exec) = admitted {
        run(node, &exec);
    }
}

/// Gives a transaction back that may run now; else it is parked.
fn admit(state: &mut State, exec: Box<Exec>) -> Option<Box<Exec>> {
    if state.participant.is_idle() {
        return Some(exec);
    }
    let (names, mode, origin) = (names(&exec.queue, &exec.watched), mode(&exec.queue), exec.caller.id);
    let claim = Claim { scope: Scope::Keys(&names), mode };
    let mut exec = Some(exec);
    let admission =
        state.participant.admit(origin, claim, || Parked::Exec(exec.take().expect("parked once")));
    debug_assert_eq!(admission == Admission::Run, exec.is_some());
    exec
}

/// Runs a transaction on its shard, and answers it.
pub(crate) fn run(node: &Node, exec: &Exec) {
    let mut state = node.state.borrow_mut();
    let ticks = node.ticks.get();
    state.core.clock_us = ticks.unix_us();
    let mut slow = Vec::new();
    if exec.home == node.id {
        let mut out = Vec::new();
        run_all(&mut state.core, exec, ticks, &mut out, &mut slow);
        for (index, nanos) in slow {
            let queued = exec.queue.get(index);
            let (client, now) = (exec.sink.client, ticks.unix_ms());
            note_slow(&mut state.core, queued.command, queued.args, nanos, client, now);
        }
        wait::serve(&mut state, Unit::Queue(&exec.queue), ticks.unix_ms());
        node.pass_on_wants(&mut state);
        drop(state);
        return crate::mail::fill(node, exec.sink, &out);
    }
    node.mailbox.outbox(exec.home.index(), |back: &mut Hop| {
        back.reply(exec.sink, |out| run_all(&mut state.core, exec, ticks, out, &mut slow));
        for (index, nanos) in slow {
            let queued = exec.queue.get(index);
            back.say(Item::slow(queued.command, exec.sink.client, queued.args, nanos));
        }
    });
    wait::serve(&mut state, Unit::Queue(&exec.queue), ticks.unix_ms());
    crate::track::tell_before_reply(node, &mut state, exec.home);
    shard::tell_memory(&mut state.core);
    node.pass_on_wants(&mut state);
}

/// The transaction itself. `slow`: places in the queue of the commands that were slow, and how long they took.
fn run_all(core: &mut Core, exec: &Exec, ticks: Ticks, out: &mut Vec<u8>, slow: &mut Vec<(usize, u64)>) {
    let now = ticks.unix_ms();
    let now = if exec.is_timeless { before_all_times(now) } else { now };
    let began = ticks.now();
    make_room(core, &exec.queue, now);
    let mut reply = resp::Reply::new(out, exec.caller.proto);
    if have_changed(core, &exec.watched, now) {
        reply.null_array();
    } else {
        reply.array(exec.queue.len());
        effects::begin_unit(core);
        run_queue(core, &exec.queue, exec.caller, (ticks, now), out, &mut |core, ran| {
            if is_slow(core, exec.queue.get(ran.index).command, ran.nanos, now) {
                slow.push((ran.index, ran.nanos));
            }
        });
        effects::end_unit(core);
    }
    let nanos = ticks.nanos(began, ticks.now());
    core.stats.record(exec.command.index, nanos);
    is_slow(core, exec.command, nanos, now);
}

/// One command of a queue that has run.
pub(crate) struct Ran {
    pub(crate) index: usize,
    pub(crate) nanos: u64,
    /// Where its reply ends.
    pub(crate) end: usize,
}

/// Evicts what has to go before a queue runs. Whether there is memory for it was asked where it came from.
pub(crate) fn make_room(core: &mut Core, queue: &Queue, now: UnixMs) {
    if queue.flags().has(Flags::DENYOOM) && core.config.maxmemory != 0 {
        shard::make_room(core, now);
    }
}

/// Runs commands of this shard one after the other and counts them; `each` is told of every one.
pub(crate) fn run_queue(
    core: &mut Core,
    queue: &Queue,
    caller: Caller,
    (ticks, now): (Ticks, UnixMs),
    out: &mut Vec<u8>,
    each: &mut dyn FnMut(&mut Core, Ran),
) {
    let mut last = ticks.now();
    for (index, queued) in queue.iter().enumerate() {
        let slot = if let Place::Shard(_, slot) = queued.place { slot } else { None };
        // None waits: `caller` may not.
        shard::run(core, queued.command, caller, queued.args, slot, out, now);
        let end = ticks.now();
        let nanos = ticks.nanos(last, end);
        last = end;
        core.stats.record(queued.command.index, nanos);
        each(core, Ran { index, nanos, end: out.len() });
    }
}
