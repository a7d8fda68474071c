//! WAIT, WAITAOF: clients that wait until replicas have what they had written, or have it on their disks.
//!
//! ```text
//!   home                           core 0
//!   WAIT 1 100 ── a ticket ──────► how much has come of each journal
//!                                  when that is in the stream: its end; the replicas are asked how far they are
//!   the hole is filled ◄── count ─ enough have acknowledged that, or the time is up
//! ```
//!
//! Whatever a client has an answer to was handed over to core 0 before the answer left its shard, so what has come when the ticket comes
//! has all of it. The same is true of how far the logs may be read: a replica that follows by flows has it when each of its flows has run all
//! up to there. What it has on its disk it says later, unasked or with its next word: by offset, or by place for those who follow by flows.

use super::{Message, Peer, now_ms};
use crate::connection::Outgoing;
use crate::hop::{Item, Sink};
use crate::node::Node;
use crate::wait::{self, Had};
use aof::{Generation, Lsn};
use commands::Core;
use commands::core::Shared;
use commands::masters::{OnDisks, ReplicaWait};
use replication::Source;
use replication::source::Waits;
use std::cell::{Cell, LazyCell as Lazy, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use stdx::ShardId;

/// What a core keeps.
#[derive(Default)]
pub(super) struct Desk {
    /// The number of the last ticket of this core.
    last_ticket: Cell<u64>,
    /// Core 0: tickets that have come, and whose place in the stream is not known yet.
    asked: RefCell<Vec<Ticket>>,
    /// Core 0: those whose place is known.
    waits: RefCell<Waits<Waiting>>,
}

/// A client waits.
pub(crate) struct Order {
    who: Who,
    wait: ReplicaWait,
}

/// The number of a ticket, with the core of its client, and where the answer goes there.
#[derive(Clone, Copy, Debug)]
struct Who {
    home: ShardId,
    number: u64,
    sink: Sink,
}

/// A ticket whose place in the stream is known, with its places in the logs.
#[derive(Debug)]
struct Waiting {
    who: Who,
    logs: Option<Logs>,
    /// WAITAOF.
    disks: Option<OnDisks>,
    _watch: Option<Watch>,
}

/// Has cores tell when they have brought a cut to the disk, as long as it is there.
struct Watch(Arc<Shared>);

impl Watch {
    /// Until this cut is there.
    fn until(cut: u64, shared: &Arc<Shared>) -> Option<Self> {
        shared.log.wait_for(cut).then(|| Self(Arc::clone(shared)))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.log.waits_no_more();
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watch")
    }
}

/// A place in all logs of a generation.
type Logs = (Generation, Vec<Lsn>);

/// What has become of a ticket.
pub(crate) struct Answer {
    who: Who,
    had: Had,
}

struct Ticket {
    order: Order,
    watch: Option<Watch>,
    /// What has to be in the stream, and in the logs; unknown before it was taken.
    marks: Option<Marks>,
}

/// A place in all journals.
#[derive(Clone, Debug)]
pub(super) struct Marks {
    /// How many entries each had: for those who are sent the stream.
    entries: Vec<u64>,
    /// For those who are sent the logs.
    logs: Option<Logs>,
}

impl Marks {
    /// Behind all that has come of the cores, and that this one has made.
    pub(super) fn now(node: &Node, source: &Source) -> Self {
        let mut entries: Vec<u64> =
            (0..node.router.shards()).map(|shard| source.taken(ShardId(shard))).collect();
        // Of a client of this core nothing had to leave.
        let own = node.journal.tapped(&mut node.state.borrow_mut().core);
        entries[0] = entries[0].max(if source.is_on() { own } else { 0 });
        Self { entries, logs: logs(node) }
    }

    /// Whether all before it is in the stream.
    pub(super) fn are_merged(&self, source: &Source) -> bool {
        (0..).zip(&self.entries).all(|(shard, mark)| source.has_merged(ShardId(shard), *mark))
    }

    /// Whether a replica has all before it, which is in the stream up to `end`.
    pub(super) fn are_with(&self, peer: &Peer, end: u64) -> bool {
        match (peer.session(), &self.logs) {
            (Some(session), Some((generation, lsns))) => session.has(*generation, lsns),
            (Some(_), None) => false,
            (None, _) => {
                let follower = peer.follower.borrow();
                follower.is_online() && follower.acknowledged() >= end
            }
        }
    }
}

/// A client of this core waits from now on.
pub(crate) fn begin(node: &Node, core: &mut Core, outgoing: &mut Outgoing, sink: Sink, wait: ReplicaWait) {
    let desk = &node.masters.waits;
    let number = desk.last_ticket.get() + 1;
    desk.last_ticket.set(number);
    wait::begin_for_replicas(node, core, outgoing, sink, (number, wait.disks.is_some()));
    let order = Order { who: Who { home: node.id, number, sink }, wait };
    if node.id.index() == 0 {
        take_down(node, &core.shared, order);
    } else {
        node.mailbox.outbox(0, |hop| hop.say(Item::Master(Box::new(Message::Wait(order)))));
    }
}

/// A client of this core waits no longer.
pub(crate) fn forget(node: &Node, number: u64) {
    if node.id.index() == 0 {
        forget_of(node, node.id, number);
    } else {
        node.mailbox.outbox(0, |hop| hop.say(Item::Master(Box::new(Message::Forget(number)))));
    }
}

/// Core 0: a client of another core waits.
pub(super) fn asked(node: &Rc<Node>, _: ShardId, order: Order) {
    let shared = Arc::clone(&node.state.borrow().core.shared);
    take_down(node, &shared, order);
}

/// Core 0: it waits no longer.
pub(super) fn forgotten(node: &Node, from: ShardId, number: u64) {
    forget_of(node, from, number);
}

fn take_down(node: &Node, shared: &Arc<Shared>, order: Order) {
    let awaited = order.wait.disks.filter(|disks| disks.is_awaited);
    let watch = awaited.and_then(|disks| Watch::until(disks.cut, shared));
    node.masters.waits.asked.borrow_mut().push(Ticket { order, watch, marks: None });
    node.masters.wake();
}

/// On any core: a cut has come to the disk, which core 0 may wait for.
pub(crate) fn more_is_on_disk(node: &Node) {
    if !node.masters.waits.waits.borrow().is_empty() {
        node.masters.wake();
    }
}

/// On any core: there is no log any more. Core 0 answers those who wait for it.
pub(crate) fn log_has_ended(node: &Node) {
    let desk = &node.masters.waits;
    let is_lost = |disks: Option<OnDisks>| disks.is_some_and(|disks| disks.is_awaited);
    let asked: Vec<Who> = desk
        .asked
        .borrow_mut()
        .extract_if(.., |ticket| is_lost(ticket.order.wait.disks))
        .map(|ticket| ticket.order.who)
        .collect();
    let waiting = desk.waits.borrow_mut().forget(|waiting| is_lost(waiting.disks));
    for who in asked.into_iter().chain(waiting.into_iter().map(|waiting| waiting.who)) {
        answer(node, who, Had::NoLog);
    }
}

fn forget_of(node: &Node, home: ShardId, number: u64) {
    let desk = &node.masters.waits;
    let is = |who: &Who| who.home == home && who.number == number;
    desk.asked.borrow_mut().retain(|ticket| !is(&ticket.order.who));
    desk.waits.borrow_mut().forget(|waiting| is(&waiting.who));
}

/// The next time at which somebody waits no longer.
pub(super) fn deadline(node: &Node) -> Option<u64> {
    let desk = &node.masters.waits;
    let asked = desk.asked.borrow();
    let asked = asked.iter().filter_map(|ticket| until_ms(&ticket.order.wait));
    asked.chain(desk.waits.borrow().deadline()).min()
}

/// Core 0: looks whom to answer. What was handed over has been taken.
pub(super) fn serve(node: &Rc<Node>) {
    let desk = &node.masters.waits;
    let is_idle = desk.asked.borrow().is_empty() && desk.waits.borrow().is_empty();
    node.control.flows.set_waited_for(!is_idle);
    if is_idle {
        return;
    }
    renew(node);
    if place(node) {
        node.masters.source.borrow_mut().ask();
        node.masters.peers.borrow().iter().for_each(|peer| peer.kick());
    }
    let (shared, has_log) = {
        let core = &node.state.borrow().core;
        (Arc::clone(&core.shared), core.log.is_on)
    };
    let is_safe = |disks: &OnDisks| has_log && shared.log.is_durable(disks.cut);
    let have = |waiting: &Waiting, offset: u64| {
        let peers = node.masters.peers.borrow();
        peers.iter().filter(|peer| has(peer, waiting, offset)).count()
    };
    let is_ready = |waiting: &Waiting| waiting.disks.is_none_or(|disks| !disks.is_awaited || is_safe(&disks));
    let served = desk.waits.borrow_mut().served_by(have, is_ready, now_ms());
    for (Waiting { who, disks, .. }, replicas) in served {
        let had = match disks {
            None => Had::Replicas(replicas),
            Some(disks) => Had::Disks { is_safe: is_safe(&disks), replicas },
        };
        answer(node, who, had);
    }
}

/// Whether a replica has what somebody waits for, up to `offset` in the stream.
fn has(peer: &Peer, waiting: &Waiting, offset: u64) -> bool {
    let follower = peer.follower.borrow();
    match (peer.session(), &waiting.logs) {
        (Some(_), None) => false,
        (Some(session), Some((generation, lsns))) => match waiting.disks {
            None => session.has(*generation, lsns),
            Some(_) => follower.is_safe_in_flows(*generation, lsns),
        },
        (None, _) if waiting.disks.is_some() => follower.is_safe(offset),
        (None, _) => follower.is_online() && follower.acknowledged() >= offset,
    }
}

/// How far all logs may be read now, if there are any. Who is sent them may come while somebody waits.
fn logs(node: &Node) -> Option<Logs> {
    let generation = node.control.data.generation()?;
    let mut lsns = node.control.flows.edges().of(generation)?;
    // Of a client of this core nothing had to leave.
    let own = node.journal.end_of_log(&mut node.state.borrow_mut().core)?;
    lsns[0] = lsns[0].max(own);
    Some((generation, lsns))
}

/// Where the log has begun anew while somebody waits, the places are those of now: behind all that is waited for.
fn renew(node: &Node) {
    let present = node.control.data.generation();
    let is_other = |logs: &Option<Logs>| logs.as_ref().map(|(generation, _)| *generation) != present;
    let here = Lazy::new(|| logs(node));
    let look = |logs: &mut Option<Logs>| {
        if is_other(logs) {
            logs.clone_from(&here);
        }
    };
    node.masters.waits.waits.borrow_mut().all_mut().for_each(|waiting| look(&mut waiting.logs));
    let mut asked = node.masters.waits.asked.borrow_mut();
    asked.iter_mut().filter_map(|ticket| ticket.marks.as_mut()).for_each(|marks| look(&mut marks.logs));
}

/// Finds the place of those that were asked for. True if the replicas are to be asked how far they are.
fn place(node: &Node) -> bool {
    let desk = &node.masters.waits;
    let source = node.masters.source.borrow();
    let now = Marks::now(node, &source);
    let mut has_new = false;
    desk.asked.borrow_mut().retain_mut(|Ticket { order: Order { who, wait }, watch, marks }| {
        let marks = marks.get_or_insert_with(|| now.clone());
        let is_there = marks.are_merged(&source);
        let until_ms = until_ms(wait);
        let is_late = until_ms.is_some_and(|until| until <= now_ms());
        if is_there || is_late {
            // Its time is up before its place is known: nobody has it.
            let offset = if is_there { source.backlog().end() } else { u64::MAX };
            let (logs, disks) = (marks.logs.take(), wait.disks);
            let waiting = Waiting { who: *who, logs, disks, _watch: watch.take() };
            desk.waits.borrow_mut().add(waiting, offset, wait.replicas, until_ms);
            has_new = true;
        }
        !is_there && !is_late
    });
    has_new && !node.masters.peers.borrow().is_empty() && !node.masters.stands_still()
}

fn until_ms(wait: &ReplicaWait) -> Option<u64> {
    wait.until.map(|until| until.0.max(0) as u64)
}

/// Core 0: has the client answered.
fn answer(node: &Node, who: Who, had: Had) {
    let answer = Answer { who, had };
    if who.home == node.id {
        answered(node, answer);
    } else {
        let message = Box::new(Message::Waited(answer));
        node.mailbox.outbox(who.home.index(), |hop| hop.say(Item::Master(message)));
    }
}

/// Home: answers the client, if it still waits.
pub(super) fn answered(node: &Node, answer: Answer) {
    let Who { number, sink, .. } = answer.who;
    let link = node.links.borrow().get(sink.client).cloned();
    if let Some(link) = link {
        wait::replicas_have(node, &link, number, answer.had);
    }
}
