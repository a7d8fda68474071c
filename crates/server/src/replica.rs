//! This node as a replica: whom it follows, and how its data becomes its master's.
//!
//! ```text
//!  a client on any core       core 0: the role                        threads             all cores
//!  REPLICAOF ───────────────► wish ──► Role                           connect, resolve
//!                                       │  link: handshake
//!                                       │  payload ─────────────────► sync/..             old data, served
//!                                       │  whole ───────────────────► read to its end
//!                                       │  a grant: no snapshots; a cut locks all ──────► stand still, -LOADING
//!                                       │                             the manifest        ◄── from here on a start finds the new data
//!                                       │  the old log ends; emptied, loaded; the next log begins; locks go
//!                                       ▼  stream ──► [`crate::follow`]
//! ```
//!
//! [`replication::Role`] decides; [`run`] carries out what it wants, one thing after the other. What takes long (connecting,
//! verifying, replacing, applying what is left) is done by tasks of their own, which say what came of it. Until the manifest is written
//! every failure leaves data and log as they were. After it there is no way back: the new data is loaded, or the process ends
//! (exit code 114) and the next start loads it.
//!
//! Why it is so: docs/decisions/0024-replication.md, docs/decisions/0027-a-replica-in-the-server.md.

mod beside;
mod flows;
mod link;
mod replace;
mod round;
mod run;
mod safe;
mod seat;
mod staging;

use crate::cut::Meanwhile;
use crate::hop::{self, Hop, Item, Sink};
use crate::load::{Desk, Part, Recovered, Turns, Worth};
use crate::mail;
use crate::node::{Node, State};
use crate::wait::{self, Why};
use commands::ClientSlot;
use commands::replica::Wish;
use config::MasterAddress;
use durable::log::LogWriter;
use durable::manifest::SetFile;
use replication::flow::place::{FlowPlace, Place};
use replication::{Attempt, Endpoint, Position};
use round::Rounds;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::Ordering::AcqRel;
use stdx::{DbIndex, ShardId};

/// What a core keeps of its node's role.
#[derive(Default)]
pub(crate) struct Replica {
    /// On core 0: what the role is to be told.
    desk: Desk<Event>,
    /// On core 0: what all cores were asked to do.
    rounds: Rounds,
    /// The flows in which the data comes.
    flows: flows::Flows,
    /// While a copy is loaded beside the data that is served: who reads files of it here takes turns.
    turns: RefCell<Option<Rc<Turns>>>,
    /// While the data is replaced by what is on the disk: the proof that what there was before was whole.
    before: Cell<Option<Recovered>>,
}

/// What the role is told.
enum Event {
    /// REPLICAOF, by a client that waits for an answer, or by nobody in particular.
    Wish(Wish, Option<Asker>),
    /// A replica is to be this node's master, and all that was written is in the stream up to here.
    HandOver(MasterAddress, Position),
    /// CLIENT KILL names what may be the link.
    Killed(ClientSlot),
    /// Parameters have changed.
    Options,
    Connected(Attempt, Result<reactor::net::Socket, String>),
    Verified(Attempt, staging::Outcome),
    Replaced(Attempt, replace::Outcome),
    /// All that came of a stream was applied, up to here.
    Drained(Attempt, Place),
    /// So many bytes of the payload have come in flows.
    Kept(Attempt, u64),
    /// The payload has come in flows.
    Gathered(Attempt, Gathered),
    /// A flow cannot go on.
    FlowFailed(Attempt, flows::Trouble),
    /// All that came in flows was applied.
    FlowsRest(Attempt),
}

/// A payload that came in flows, each file of which is whole and, if it is kept, safe.
#[derive(Default)]
struct Gathered {
    bytes: u64,
    /// Those that are kept.
    files: Vec<SetFile>,
    /// Those that are in memory.
    parts: Vec<Part>,
    /// By what they are judged.
    worth: Worth,
    /// By flow: where the log goes on.
    places: Vec<FlowPlace>,
}

/// A client that is answered when the role is what it has asked for.
struct Asker {
    home: ShardId,
    sink: Sink,
    /// What it is answered then.
    reply: Vec<u8>,
}

impl Asker {
    /// It was so already, which a client hears that has said nothing else.
    fn already(mut self) -> Self {
        if self.reply == b"+OK\r\n" {
            self.reply.truncate(b"+OK".len());
            self.reply.extend_from_slice(b" Already connected to specified master\r\n");
        }
        self
    }
}

/// Between core 0 and the others.
pub(crate) enum Message {
    /// To core 0: REPLICAOF was said, and this is to be answered when that is so.
    Wish(Wish, Option<(Sink, Vec<u8>)>),
    /// This is whom the node follows from now on; whether it followed nobody so far.
    Named(Option<MasterAddress>, bool),
    /// How many keys are there?
    Count,
    /// Leave the log.
    LeaveLog,
    /// Have an empty keyspace beside your own, for data that is about to come; or drop it.
    Beside(bool),
    /// Put nothing more into those of others, and wait until what was sent to them is there.
    LeaveBeside,
    /// The new data is there, which is that of this place: write this log from now on, if there is one. With a proof it is what has
    /// come beside what you have, and takes its place.
    Begin(Box<Place>, Option<Box<LogWriter>>, Option<Recovered>),
    /// Serve again, if you do not: the new data, or if that is `None` the old.
    GoOn(Option<Recovered>),
    /// To core 0: it is done, and how many that makes.
    Done(u64),
    /// Of flows.
    Flows(flows::Message),
}

/// A client of this core has said REPLICAOF: it gets its answer when that is so, if there is a place for it.
pub(crate) fn ask(node: &Node, wish: Wish, answer: Option<(Sink, Vec<u8>)>) {
    if let Some((sink, _)) = &answer
        && let Some(link) = node.links.borrow().get(sink.client)
    {
        link.awaits.set(sink.part.hole());
    }
    if node.id.index() == 0 {
        put_wish(node, node.id, wish, answer);
    } else {
        node.mailbox.outbox(0, |hop| hop.say(Item::Replica(Box::new(Message::Wish(wish, answer)))));
    }
}

fn put_wish(node: &Node, home: ShardId, wish: Wish, answer: Option<(Sink, Vec<u8>)>) {
    let asker = answer.map(|(sink, reply)| Asker { home, sink, reply });
    node.replica.desk.put(Event::Wish(wish, asker));
}

/// Core 0: a replica of this node, which has all that was written, or as much as it is to have, is to be its master. `at`: where this node's
/// stream ends. [`crate::master`] is told what comes of it.
pub(crate) fn hand_over(node: &Node, to: MasterAddress, at: Position) {
    node.replica.desk.put(Event::HandOver(to, at));
}

/// CLIENT KILL has found a client of this core that no connection serves: it is the link to the master, if that is still there.
pub(crate) fn kill(node: &Node, slot: ClientSlot) {
    if node.id.index() == 0 {
        node.replica.desk.put(Event::Killed(slot));
    }
}

/// Core 0: parameters of the role have changed.
pub(crate) fn options_changed(node: &Node) {
    node.replica.desk.put(Event::Options);
}

/// Core 0, before any core lets commands in: data that is a master's takes no writes before it is known whether it stays so.
pub(crate) fn prepare(node: &Node) {
    let is_configured = node.state.borrow().core.config.replicaof.is_some();
    if is_configured || crate::follow::place(node).is_some() {
        crate::follow::set_following(node, true);
        run::tell_before(node);
    }
}

/// Core 0: plays the role that is configured, and those that are asked for, from now on.
pub(crate) fn start(node: &Rc<Node>) {
    reactor::task::spawn(run::serve(Rc::clone(node)));
}

/// A message from a core.
pub(crate) fn receive(node: &Rc<Node>, from: ShardId, message: Message) {
    match message {
        Message::Wish(wish, answer) => put_wish(node, from, wish, answer),
        Message::Done(count) => node.replica.rounds.done(count),
        Message::Named(master, is_new) => {
            node.state.borrow_mut().core.config.replicaof = master;
            if is_new {
                unblock(node);
            }
        }
        Message::Count => done(node, keys(node)),
        Message::LeaveLog => {
            crate::journal::switch::leave_log(node);
            done(node, 0);
        }
        Message::Beside(is_wanted) => {
            beside::set_up_here(node, is_wanted);
            done(node, 0);
        }
        Message::LeaveBeside => beside::leave_here(node),
        Message::Begin(position, log, incoming) => {
            if let Some(recovered) = incoming {
                replace::exchange_here(node, recovered);
            }
            replace::begin_here(node, &position, log.map(|log| *log));
            done(node, 0);
        }
        Message::GoOn(recovered) => {
            replace::go_on_here(node, recovered);
            done(node, 0);
        }
        Message::Flows(message) => flows::receive(node, message),
    }
}

/// Under the locks of a cut: nothing runs here before the data was replaced, or that was given up.
pub(crate) fn stand_still(node: &Node, state: &mut State, meanwhile: Meanwhile) {
    if meanwhile == Meanwhile::Refused {
        node.replica.before.set(Some(node.admission.close()));
        state.core.is_loading = true;
        state.core.shared.loading.refusing.fetch_add(1, AcqRel);
    }
    done(node, 0);
}

/// Clients that wait for keys wait no longer, as the node is no master now.
fn unblock(node: &Node) {
    let waiting: Vec<_> = node.links.borrow().iter().cloned().collect();
    for link in waiting {
        wait::give_up(node, &link, Why::RoleChanged);
    }
}

fn keys(node: &Node) -> u64 {
    let keyspace = &node.state.borrow().core.keyspace;
    (0..keyspace.databases()).map(|db| keyspace.len(DbIndex(db)) as u64).sum()
}

/// Tells core 0.
fn done(node: &Node, count: u64) {
    if node.id.index() == 0 {
        return node.replica.rounds.done(count);
    }
    post(node, ShardId(0), Message::Done(count));
}

/// Sends at once, past what waits for the disk: it tells nothing of data.
fn post(node: &Node, peer: ShardId, message: Message) {
    let mut hop = Hop::default();
    hop.say(Item::Replica(Box::new(message)));
    hop::send_past(node, peer, hop);
}

/// Answers a client that has said REPLICAOF.
fn answer(node: &Node, Asker { home, sink, reply }: Asker) {
    if home == node.id {
        mail::fill(node, sink, &reply);
    } else {
        node.mailbox.outbox(home.index(), |hop| hop.reply(sink, |out| out.extend_from_slice(&reply)));
    }
}

fn endpoint(master: &MasterAddress) -> Endpoint {
    Endpoint { host: master.host.clone(), port: master.port }
}
