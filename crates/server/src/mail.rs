//! What comes from other cores: their commands run here, their replies go to the connections that wait for them.

use crate::clock::unix_ms;
use crate::connection::{Link, Outgoing};
use crate::dispatch::TURN_NANOS;
use crate::flights::{self, Letter};
use crate::hop::{Hop, Item, Part, Remote, Sink};
use crate::node::{Node, State};
use crate::publish;
use crate::spread;
use crate::track;
use crate::transaction::{self, ParkedCommand};
use crate::wait::{self, Call, Unit};
use commands::{ClientSlot, Core, Crossing, Flags, LongPart, Outcome};
use keyspace::Key;
use shard::WaiterId;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use stdx::{Args, ShardId};

/// Handles what arrives, for as long as the core runs.
pub(crate) async fn serve(node: Rc<Node>) {
    loop {
        let (from, hop) = node.mailbox.recv().await;
        node.handled.begin();
        handle(&node, ShardId(from as u16), hop).await;
        node.handled.end();
        reactor::task::yield_if_needed().await;
    }
}

/// How many batches have come and were handled, for connections that wait for what has come by now.
#[derive(Default)]
pub(crate) struct Handled {
    begun: Cell<u64>,
    ended: Cell<u64>,
    waiting: RefCell<Vec<Rc<Link>>>,
}

impl Handled {
    fn begin(&self) {
        self.begun.set(self.begun.get() + 1);
    }

    fn end(&self) {
        self.ended.set(self.ended.get() + 1);
        if !self.waiting.borrow().is_empty() {
            self.waiting.take().iter().for_each(|link| link.kick());
        }
    }

    /// Whether the first `count` batches were handled.
    pub(crate) fn has_ended(&self, count: u64) -> bool {
        self.ended.get() >= count
    }

    /// Has a connection kicked when the next batch was handled.
    pub(crate) fn wait(&self, link: &Rc<Link>) {
        self.waiting.borrow_mut().push(Rc::clone(link));
    }
}

/// How many batches have come by now, those that were handled included.
pub(crate) fn arrived(node: &Node) -> u64 {
    node.handled.begun.get() + node.mailbox.arrived() as u64
}

async fn handle(node: &Rc<Node>, from: ShardId, mut hop: Hop) {
    // A core that has nothing but mail knows the time as well: a replay writes it down.
    node.state.borrow_mut().core.clock_us = node.ticks.get().unix_us();
    let mut items = hop.take_items();
    let mut large = hop.take_large();
    let mut at = 0;
    while at < items.len() {
        let commands = items[at..].iter().take_while(|item| item.is_command()).count();
        // While the log fails each is looked at by itself: whether its answer may go past what waits.
        let commands = if node.journal.is_failing() { commands.min(1) } else { commands };
        if commands > 0 {
            run_all(node, from, &hop, &mut large, &items[at..at + commands]).await;
            at += commands;
            continue;
        }
        let item = std::mem::replace(&mut items[at], Item::Gone);
        at += 1;
        if !item.tells_nothing() {
            crate::journal::beware(node);
        }
        match item {
            Item::Command(_) | Item::Gone => unreachable!("commands are taken in rows, all else once"),
            Item::Part(order) => {
                spread::obey(node, from, &hop, &order);
                transaction::carry_out(node);
            }
            Item::Reply(sink, place) => match sink.part {
                Part::Notice(flight, notice) => {
                    flights::inform(node, sink.client, flight, from, notice, hop.bytes(place));
                }
                _ => fill(node, sink, hop.bytes(place)),
            },
            Item::LongReply(sink, place, long) => fill_long(node, sink, hop.bytes(place), long),
            Item::Transaction(message) => transaction::receive(node, *message),
            Item::Cut(message) => crate::cut::receive(node, from, *message),
            Item::Slow(slow) => {
                let core = &mut node.state.borrow_mut().core;
                let (client, args) = (slow.client, slow.args.as_args());
                crate::dispatch::note_slow(core, slow.command, args, slow.nanos, client, unix_ms());
            }
            Item::Took(client, nanos) => {
                if let Some(link) = node.links.borrow().get(client) {
                    link.outgoing.borrow_mut().window.took(nanos);
                }
            }
            Item::Accepted(socket) => crate::accept::adopt(node, socket),
            Item::Subscriptions(changes, id) => publish::learn(node, from, &changes, id),
            Item::Known(id) => publish::known(node, id),
            Item::Published(message) => publish::receive(node, from, &message),
            Item::Delivered(bytes) => publish::delivered(node, from, bytes),
            Item::Invalid(batch) => track::receive(node, batch),
            Item::Changed(changed) => track::distribute(node, &changed),
            Item::TellFirst(client, flight) => {
                // What came before this is done.
                node.mailbox.outbox(from.index(), |hop| hop.say(Item::Told(client, flight)));
            }
            Item::Told(client, flight) => flights::deliver(node, client, flight, Letter::Told),
            Item::Refused(client, flight, text) => {
                flights::deliver(node, client, flight, Letter::Refused(text));
            }
            Item::Flushed(count) => track::receive_flushed(node, from, count),
            Item::Redirected(message) => track::receive_redirected(node, *message),
            Item::Broken(reader, gone) => track::receive_broken(node, reader, gone),
            Item::Parked(parked) => wait::parked(node, from, parked),
            Item::Offered(sink, client) => wait::offered(node, sink, client),
            Item::Cancel(client, why) => wait::cancel(node, WaiterId { home: from, client }, why),
            Item::Exec(exec) => crate::exec::receive(node, exec),
            Item::Watch(part) => crate::watching::receive(node, part),
            Item::Unwatch(watched) => crate::exec::unwatch(&mut node.state.borrow_mut().core, &watched),
            Item::Busy => crate::script::busy::refuse_waiting(node),
            Item::MakeRoom => {
                let began = std::time::Instant::now();
                let state = &mut *node.state.borrow_mut();
                let now = node.ticks.get().unix_ms();
                shard::shrink(&mut state.core, now, &mut || began.elapsed() < crate::cron::SLICE);
                wait::serve(state, Unit::Nothing, now);
                node.pass_on_wants(state);
            }
            Item::Load(batch) => crate::load::receive(node, from, batch),
            Item::Loaded(batch) => crate::load::returned(node, from, *batch),
            Item::LoadOrder(order) => node.load.orders.put(order),
            Item::LoadParts(batch) => node.load.parts.receive(batch),
            Item::LoadNews(news) => node.load.news.put(*news),
            Item::Recovered(recovered, log) => crate::load::admit(node, recovered, log.map(|log| *log)),
            Item::Snapshot(message) => crate::snapshot::receive(node, from, *message),
            Item::Replica(message) => crate::replica::receive(node, from, *message),
            Item::Master(message) => crate::master::receive(node, from, *message),
            Item::Ending(message) => crate::stop::receive(node, from, *message),
        }
    }
    items.clear();
    if hop.recycle(items) {
        node.mailbox.recycle(from.index(), hop);
    }
}

/// Another core's commands for this shard, in their order. Those that take long give way to this core's clients in between.
async fn run_all(
    node: &Rc<Node>,
    from: ShardId,
    hop: &Hop,
    large: &mut VecDeque<Vec<u8>>,
    commands: &[Item],
) {
    prefetch(&node.state.borrow(), hop, commands);
    let mut left = commands.iter();
    loop {
        run(node, from, hop, large, &mut left);
        if left.len() == 0 {
            return;
        }
        reactor::task::yield_now().await;
    }
}

/// Runs commands for as long as one turn may take.
fn run(
    node: &Rc<Node>,
    from: ShardId,
    hop: &Hop,
    large: &mut VecDeque<Vec<u8>>,
    commands: &mut std::slice::Iter<'_, Item>,
) {
    let now = node.time();
    // It was sent past all that waits for a log, and so is its answer: that may be just about to fail.
    let is_urgent = node.journal.is_on()
        && matches!(commands.as_slice(), [Item::Command(remote)] if is_about_the_server(remote));
    let has_actions = {
        let mut state = node.state.borrow_mut();
        let ticks = node.ticks.get();
        let mut last = ticks.now();
        let mut spent = Spent::default();
        let refuses = state.core.shared.health.refuses_any();
        if refuses {
            state.core.keyspace.freeze(true);
        }
        let mut answer = |state: &mut State, back: &mut Hop| {
            for item in commands.by_ref() {
                let remote = match item {
                    Item::Part(order) => {
                        spent.turn_to(order.origin.client, back);
                        crate::journal::beware(node);
                        spread::try_part(node, state, ticks, hop, order, back);
                        let end = ticks.now();
                        spent.add(ticks.nanos(last, end));
                        last = end;
                        if let Some(why) = pauses(&state.core, back, &spent) {
                            return why;
                        }
                        continue;
                    }
                    Item::Command(remote) => remote,
                    _ => unreachable!("not a command"),
                };
                let buffer = if remote.is_large { large.pop_front() } else { None };
                if refuses && is_refused(state, remote, back) {
                    continue;
                }
                let args = match &buffer {
                    None => hop.args(remote),
                    Some(buffer) => {
                        let (args, large) = hop.large_args(remote, buffer);
                        state.core.keyspace.offer(large);
                        args
                    }
                };
                if node.control.busy.is_any() && is_busy(node, state, remote, back) {
                    state.core.keyspace.end_offer(buffer);
                    continue;
                }
                crate::snapshot::meet(node, state, remote.caller.db, remote.command, args);
                if must_park(node, state, remote, args, from) {
                    state.core.keyspace.end_offer(buffer);
                    continue;
                }
                spent.turn_to(remote.sink.client, back);
                let mut outcome = Outcome::Done;
                if matches!(remote.command.row.crossing, Crossing::Script) {
                    if !crate::script::run_remote(node, state, remote, args, from, back, now) {
                        state.core.keyspace.end_offer(buffer);
                        last = ticks.now();
                        continue;
                    }
                } else if wait::may_park(remote.command, args) {
                    let Remote { command, caller, slot, sink, .. } = *remote;
                    let call = Call { command, caller, args, slot, home: from, sink };
                    outcome = wait::run_for(state, &call, back, now);
                } else {
                    let core = &mut state.core;
                    // A part of a command that every shard runs is merged with the others.
                    let Remote { command, caller, slot, .. } = *remote;
                    if slot.is_some() {
                        core.long.ask();
                    }
                    back.reply(remote.sink, |out| {
                        outcome = match slot {
                            Some(_) => shard::execute(core, command, caller, args, slot, out, now),
                            None => shard::run_part(core, command, caller, args, out, now),
                        };
                    });
                    if !core.long.is_empty() {
                        back.put_long(core.long.take());
                    }
                }
                wait::serve(state, Unit::Command(remote.command, args), now);
                let core = &mut state.core;
                let end = ticks.now();
                let nanos = ticks.nanos(last, end);
                last = end;
                spent.add(nanos);
                // What every shard runs is counted once, where its client is.
                if remote.slot.is_some() && outcome != Outcome::Refused {
                    core.stats.record(remote.command.index, nanos);
                    // One that waits may be slow when it is served.
                    let is_over = outcome == Outcome::Done;
                    if is_over && crate::dispatch::is_slow(core, remote.command, nanos, now) {
                        back.say(Item::slow(remote.command, remote.sink.client, args, nanos));
                    }
                }
                if buffer.is_some() {
                    core.keyspace.end_offer(buffer);
                }
                if let Some(why) = pauses(core, back, &spent) {
                    return why;
                }
            }
            spent.tell(back);
            Answered::All
        };
        loop {
            if is_urgent {
                let mut own = Hop::default();
                answer(&mut state, &mut own);
                crate::hop::send_past(node, from, own);
                break;
            }
            match node.mailbox.outbox(from.index(), |back| answer(&mut state, back)) {
                Answered::All => break,
                // Large answers go at once: the other core takes them in while this one makes more.
                Answered::Much => crate::journal::leave_now(node, &mut state.core),
                Answered::WithNews => track::tell_before_reply(node, &mut state, from),
                Answered::Long => {
                    node.mailbox.outbox(from.index(), |back| spent.tell(back));
                    break;
                }
            }
        }
        shard::tell_memory(&mut state.core);
        node.pass_on_wants(&mut state);
        !state.core.actions.is_empty()
    };
    if has_actions {
        // The command's own core reports what fails; it is asked the same.
        if let Err(error) = crate::action::perform_all(node) {
            tracing::warn!(error, "a command of another core failed here");
        }
    }
}

/// Whether every shard runs it, and it neither reads nor writes data.
fn is_about_the_server(remote: &Remote) -> bool {
    let Remote { command, sink, .. } = remote;
    matches!(sink.part, Part::Shard(..)) && !commands::health::is_about_data(command, command.row.flags)
}

/// Why the other core's commands are left, for a moment at least.
enum Answered {
    /// None is left.
    All,
    /// The batch of answers is large.
    Much,
    /// Clients are to be told of what the last one changed, before its answer goes.
    WithNews,
    /// They took as long as one turn may.
    Long,
}

/// Whether something is to be done before the next command.
#[inline]
fn pauses(core: &Core, back: &Hop, spent: &Spent) -> Option<Answered> {
    if core.effects.listens() && core.tracking.is_pending() {
        Some(Answered::WithNews)
    } else if spent.all_nanos > TURN_NANOS {
        Some(Answered::Long)
    } else if back.is_large() {
        Some(Answered::Much)
    } else {
        None
    }
}

/// How long the commands of one slice took.
#[derive(Default)]
struct Spent {
    all_nanos: u64,
    /// Whose commands are being run, and how long they took since these began.
    client: Option<ClientSlot>,
    nanos: u64,
}

impl Spent {
    /// From here on commands are this client's.
    #[inline]
    fn turn_to(&mut self, client: ClientSlot, back: &mut Hop) {
        if self.client != Some(client) {
            self.tell(back);
            self.client = Some(client);
        }
    }

    #[inline]
    fn add(&mut self, nanos: u64) {
        self.nanos += nanos;
        self.all_nanos += nanos;
    }

    /// Tells the client's core if that was long.
    #[inline]
    fn tell(&mut self, back: &mut Hop) {
        let nanos = std::mem::take(&mut self.nanos);
        if let Some(client) = self.client
            && nanos > TOLD_NANOS
        {
            back.say(Item::Took(client, nanos));
        }
    }
}

/// Less time of one client's commands is not told.
const TOLD_NANOS: u64 = TURN_NANOS / 8;

/// Fetches the memory of the commands' keys together.
fn prefetch(state: &State, hop: &Hop, commands: &[Item]) {
    if let [Item::Command(first), _, ..] = commands {
        let db = first.caller.db;
        let here = commands.iter().filter_map(|item| match item {
            Item::Command(remote)
                if remote.caller.db == db && !remote.is_large && remote.command.first_key != 0 =>
            {
                Some(remote)
            }
            _ => None,
        });
        let keys = here.filter_map(|remote| {
            let bytes = hop.args(remote).get(remote.command.first_key as usize)?;
            Some(Key { bytes, slot: remote.slot? })
        });
        state.core.keyspace.prefetch(db, keys);
    }
}

/// Whether a command has to wait for locks; if so it is parked. One without a key's slot is run by every shard, and
/// locks nothing.
#[inline]
fn must_park(node: &Node, state: &mut State, remote: &Remote, args: Args<'_>, home: ShardId) -> bool {
    if remote.slot.is_none() || state.participant.is_idle() {
        return false;
    }
    let origin = (remote.command, remote.caller.id, args);
    transaction::must_park(
        node,
        &mut state.participant,
        || ParkedCommand {
            command: remote.command,
            caller: remote.caller,
            slot: remote.slot,
            sink: remote.sink,
            home,
            args: args.into(),
        },
        origin,
    )
}

/// Refuses a command of another core while a script here is busy.
#[cold]
fn is_busy(node: &Node, state: &mut State, remote: &Remote, back: &mut Hop) -> bool {
    if remote.slot.is_none() || remote.command.row.flags.has(Flags::ALLOW_BUSY) {
        return false;
    }
    let Some(error) = node.control.busy.error(node.id) else { return false };
    let text = error.text();
    state.core.stats.rejected(remote.command.index, &text);
    back.reply(remote.sink, |out| resp::Reply::new(out, remote.caller.proto).error(&text));
    true
}

/// Refuses a command of another core that was let in there before the disk failed.
#[cold]
fn is_refused(state: &mut State, remote: &Remote, back: &mut Hop) -> bool {
    // What every shard runs is let in or refused as a whole.
    let refusal = remote.slot.and_then(|_| {
        let Remote { command, .. } = *remote;
        state.core.shared.health.refuses(command, command.row.flags)
    });
    let Some(text) = refusal else { return false };
    state.core.stats.rejected(remote.command.index, &text);
    back.reply(remote.sink, |out| resp::Reply::new(out, remote.caller.proto).error(&text));
    true
}

/// A reply for a connection of this core.
pub(crate) fn fill(node: &Node, sink: Sink, reply: &[u8]) {
    fill_long(node, sink, reply, Vec::new());
}

/// The same with long strings that belong into it.
fn fill_long(node: &Node, sink: Sink, reply: &[u8], long: Vec<LongPart>) {
    fill_and(node, sink, reply, long, |outgoing| {
        wait::end(node, &mut node.state.borrow_mut().core, outgoing, sink.client);
    });
}

/// The same while the node's state is borrowed.
pub(crate) fn fill_in(node: &Node, core: &mut Core, sink: Sink, reply: &[u8]) {
    fill_and(node, sink, reply, Vec::new(), |outgoing| wait::end(node, core, outgoing, sink.client));
}

#[inline]
fn fill_and(
    node: &Node,
    sink: Sink,
    reply: &[u8],
    long: Vec<LongPart>,
    end_wait: impl FnOnce(&mut Outgoing),
) {
    if let Part::Shard(flight, shard) = sink.part {
        assert!(long.is_empty(), "who merges parts does not ask for long strings");
        return flights::deliver(node, sink.client, flight, Letter::Reply(shard, reply.to_vec()));
    }
    let links = node.links.borrow();
    let Some(link) = links.get(sink.client) else {
        // Only a core that ends gives up connections that are still owed an answer.
        return assert!(node.stopping.get(), "a connection stays until its holes are filled");
    };
    let outgoing = &mut *link.outgoing.borrow_mut();
    if outgoing.wait.is_some() {
        end_wait(outgoing);
    }
    let len = reply.len() + long.iter().map(|part| part.bytes.len()).sum::<usize>();
    match sink.part {
        Part::Hole(hole) => outgoing.replies.fill_long(hole, reply, long),
        Part::Muted(hole) => outgoing.replies.fill(hole, b""),
        Part::Shard(..) | Part::Notice(..) => unreachable!("delivered to flights"),
    }
    outgoing.overlap.answered();
    outgoing.window.answered(len, outgoing.replies.outstanding());
    if outgoing.replies.outstanding() == 0 {
        link.kick();
    }
}
