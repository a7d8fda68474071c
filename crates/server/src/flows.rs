//! Flows: Lacewings that follow this node are sent its logs, each shard's by its own core. See docs/decisions/0031-flows-in-the-server.md.
//!
//! ```text
//!   core 0                                              core n
//!   LACEWING.SYNC ─► [`open`]: what is kept of the logs?
//!                    all flows go on, or a snapshot ─► [`Session`] ◄── LACEWING.FLOW ─► [`flow`]: a task for each
//!   its link: ACK, PING; the role of a peer                │            its file of the snapshot, then the log:
//!                                                          │            from the disk, or what is in memory ([`reading`])
//!   WAIT, INFO ◄──── how far all flows are ────────────────┘
//! ```
//!
//! What a flow may send is what may leave ([`crate::journal`]), so a replica never has what its master would lose. Nothing of it passes core 0.
//! A flow has its window ([`replication::flow::credit`]); what waits for it is in the log on the disk. If one connection of a session ends,
//! the session does, and the replica comes back with all its places.

mod flow;
mod offsets;
mod open;
mod reading;
mod session;

pub(crate) use flow::adopt;
pub(crate) use offsets::{before_stream, end_of_logs, shown};
pub(crate) use open::open;
pub(crate) use session::Session;

use crate::connection::Link;
use crate::hop::Item;
use crate::journal::edge::Edges;
use crate::node::Node;
use aof::{Generation, NodeId};
use durable::generation::LogEnd;
use replication::ReplId;
use replication::flow::hello::SessionId;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::{Arc, Mutex, MutexGuard};
use stdx::{Rng, ShardId};

/// Between all cores.
#[derive(Debug)]
pub(crate) struct Flows {
    edges: Arc<Edges>,
    sessions: Mutex<Vec<Arc<Session>>>,
    /// Core 0 is to be told at once how far a replica is.
    is_waited_for: AtomicBool,
}

/// What a core keeps.
pub(crate) struct Desk {
    /// The connections of this core's flows.
    links: RefCell<Vec<Rc<Link>>>,
    /// Core 0.
    count: offsets::Count,
    /// Core 0: whose logs they are, once anybody was sent them.
    name: Cell<Option<NodeId>>,
    rng: RefCell<Rng>,
}

impl Desk {
    pub(crate) fn new(rng: Rng) -> Self {
        Self {
            links: RefCell::default(),
            count: offsets::Count::default(),
            name: Cell::new(None),
            rng: RefCell::new(rng),
        }
    }
}

impl Flows {
    /// Of so many cores.
    pub(crate) fn new(cores: usize) -> Self {
        Self {
            edges: Arc::new(Edges::new(cores)),
            sessions: Mutex::default(),
            is_waited_for: AtomicBool::new(false),
        }
    }

    pub(crate) fn edges(&self) -> Arc<Edges> {
        Arc::clone(&self.edges)
    }

    fn sessions(&self) -> MutexGuard<'_, Vec<Arc<Session>>> {
        self.sessions.lock().expect("nobody panics with it")
    }

    fn find(&self, id: SessionId) -> Option<Arc<Session>> {
        self.sessions().iter().find(|session| session.id() == id && session.why_over().is_none()).cloned()
    }

    /// From where on the logs are needed, for who removes what is not. Whoever is further behind than the bound has to do without.
    pub(crate) fn needed(&self, present: Option<Generation>) -> Vec<LogEnd> {
        let ends = present.and_then(|generation| self.edges.of(generation)).unwrap_or_default();
        let is_near = |session: &&Arc<Session>| session.behind(&ends) <= HELD_BYTES_MAX;
        self.sessions().iter().filter(is_near).map(|session| session.needed()).collect()
    }

    /// Has core 0 told at once of what replicas have applied, or no longer.
    pub(crate) fn set_waited_for(&self, is_waited_for: bool) {
        self.is_waited_for.store(is_waited_for, SeqCst);
    }
}

/// Core 0: looks what has become of the sessions.
pub(crate) fn look(node: &Rc<Node>, now_ms: u64) {
    let mut has_over = false;
    for peer in crate::master::with_session(node) {
        let session = peer.session().expect("it has one");
        session.look(now_ms);
        if let Some(why) = session.why_over() {
            has_over = true;
            peer.end(&why);
        } else {
            follow(node, &peer, &session, now_ms);
        }
    }
    if has_over {
        node.control.flows.sessions().retain(|session| session.why_over().is_none());
        for core in (0..node.router.shards()).map(ShardId).filter(|core| *core != node.id) {
            let over = Box::new(crate::master::Message::FlowsOver);
            node.mailbox.outbox(core.index(), |hop| hop.say(Item::Master(over)));
        }
        end_over(node);
    }
}

/// What its replica is told of, in INFO and by ROLE.
fn follow(node: &Node, peer: &crate::master::Peer, session: &Session, now_ms: u64) {
    let mut follower = peer.follower().borrow_mut();
    if !follower.is_online() && session.has_sent_payload() {
        follower.ends(now_ms);
        tracing::info!(session = %session.id(), "a replica follows by flows");
    }
    if follower.is_online() {
        let (heard, offset) = (follower.lag_ms(now_ms), offsets::of(node, session));
        // It is its link that tells that it lives.
        follower.acknowledge(offset, now_ms.saturating_sub(heard));
    }
}

/// A session is over: its flows that this core has are to see that.
pub(crate) fn end_over(node: &Node) {
    node.flows.links.borrow().iter().for_each(|link| link.kick());
}

/// There is no log here any more: nothing can be sent.
pub(crate) fn log_has_ended(node: &Node) {
    for session in &*node.control.flows.sessions() {
        session.end("the log has ended");
    }
    end_over(node);
    node.control.taps.ring();
}

/// The link of a session has ended.
pub(crate) fn link_has_ended(node: &Node, session: &Session) {
    session.end("its link has ended");
    node.control.flows.sessions().retain(|other| other.id() != session.id());
    node.masters.wake();
}

/// The name under which those who follow by flows know whose data they have.
pub(crate) fn history(node: &Node) -> Option<ReplId> {
    node.flows.name.get().map(replication::flow::place::history)
}

/// Whether anybody follows by flows.
pub(crate) fn are_any(node: &Node) -> bool {
    !node.control.flows.sessions().is_empty()
}

/// A replica has applied something; core 0 is told if it waits for that.
fn tell_applied(node: &Node) {
    if node.control.flows.is_waited_for.load(Relaxed) {
        node.control.taps.ring();
    }
}

/// The log is kept for a replica that is behind by so much at most: that of longer ago goes with the snapshots that make it needless.
const HELD_BYTES_MAX: u64 = 8 << 30;
