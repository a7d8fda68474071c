//! The flows of a session, on the replica's side: a connection for each shard of the master, each served by a core of its own.
//!
//! ```text
//!  master's shard i          core (i mod cores)                                              core 0
//!  frames ────────► wire ──► log that has come ──► apply: EXEC with the place behind it
//!         ◄─ credit, Applied ◄─────────────────────┘   │ lends what is of several shards ──► meet ──► conduct: EXEC
//!                                                      ◄─ ran, crossed ─────────────────────────────┘  with all places
//!  payload ───────► wire ──► sync/.., verified ──────────────────────────────────────────────► the role
//! ```
//!
//! [`wire`] reads and writes, [`apply`] runs what the log says, [`payload`] keeps a full sync's files, or loads them. Plain records are run by each flow
//! apart, and pass no other core than their shards'. What is of several shards is met for on core 0 ([`session`], by
//! [`replication::flow::meet`]), and what is in order of all that has come is run there at once ([`conduct`]). A batch and the places behind
//! it are one EXEC, as with a stream ([`crate::follow`]).
//!
//! All of it is of one attempt; what is told of another is nobody's.
//!
//! Why it is so: docs/decisions/0031-flows-in-the-server.md.

mod apply;
mod come;
mod conduct;
mod line;
mod payload;
mod session;
mod wire;

use super::Message as Outer;
use crate::follow::Unit;
use crate::node::Node;
use aof::{Generation, Lsn};
use durable::staging::Files;
use replication::flow::hello::{Announced, Session};
use replication::flow::inflow::Inflow;
use replication::flow::meet::Piece;
use replication::flow::place::{FlowLog, FlowPlace, FlowPlaces};
use replication::{Attempt, Endpoint};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;
use stdx::ShardId;

use come::Reader;
use payload::Whole;
pub(super) use session::{Trouble, begin, close, drain, open};

/// What a core has of flows.
#[derive(Default)]
pub(super) struct Flows {
    /// Those that it serves.
    here: RefCell<Vec<Rc<Flow>>>,
    /// On core 0: all of them together.
    session: RefCell<Option<session::Together>>,
}

/// What all flows of a session have in common.
pub(crate) struct Order {
    pub(super) attempt: Attempt,
    pub(super) session: Session,
    pub(super) to: Endpoint,
    /// Who this node is to the master.
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) timeout: Duration,
    pub(super) is_prompt: bool,
    /// Where the logs go on, if no payload comes before them.
    pub(super) from: Option<FlowPlaces>,
    /// The payload that comes before them.
    pub(super) payload: Option<Announced>,
    /// What its files are made with, if they are kept.
    pub(super) files: Option<Files>,
    /// Whether it is loaded while it comes.
    pub(super) is_beside: bool,
}

/// Between core 0 and those that serve flows.
pub(crate) enum Message {
    /// Serve this flow.
    Open(Arc<Order>, u16),
    /// Apply what comes, from this place on.
    Apply(Attempt, u16, FlowLog, FlowPlace),
    /// What the flow has lent was run up to there.
    Ran(Attempt, u16, FlowLog, FlowPlace),
    /// All flows stand at the beginning of this generation.
    Crossed(Attempt, u16, FlowLog),
    /// Take nothing more, and say when what has come is applied.
    Drain(Attempt, u16),
    /// Leave the flows of this attempt.
    Close(Attempt),

    /// So much of the payload was kept.
    Kept(Attempt, u16, u64),
    /// The file of the payload is whole, and there the log goes on.
    Whole(Attempt, u16, Box<Whole>, FlowPlace),
    /// This is to be met for, with what comes behind it; it begins there.
    Lent(Attempt, u16, Lsn, Vec<Piece<Unit>>),
    /// All that came of this generation is applied, or lent.
    Rests(Attempt, u16, Generation),
    /// It cannot go on.
    Failed(Attempt, Trouble),
}

/// One flow, on the core that serves it.
struct Flow {
    order: Arc<Order>,
    index: u16,
    inner: RefCell<Inner>,
}

struct Inner {
    /// Nobody wants it any more.
    is_over: bool,
    inflow: Inflow,
    reader: Reader,
    wire: Option<Waker>,
    apply: Option<Waker>,
}

impl Flow {
    fn new(order: Arc<Order>, index: u16) -> Self {
        let from = order.from.as_ref().map(|from| (from.log.generation, from.flows[usize::from(index)].lsn));
        let inflow = Inflow::new(order.session, index, from);
        let inner = Inner { is_over: false, inflow, reader: Reader::default(), wire: None, apply: None };
        Self { order, index, inner: RefCell::new(inner) }
    }

    fn is_over(&self) -> bool {
        self.inner.borrow().is_over
    }

    fn end(&self) {
        let inner = &mut *self.inner.borrow_mut();
        inner.is_over = true;
        inner.wake_apply();
        inner.wake_wire();
    }

    /// Tells core 0.
    fn tell(&self, node: &Rc<Node>, message: Message) {
        tell(node, ShardId(0), message);
    }

    /// Tells core 0 that nothing more is applied or lent here of this generation.
    fn rest(&self, node: &Rc<Node>) {
        let reached = self.inner.borrow().inflow.reached();
        if let Some((log, _)) = reached {
            self.tell(node, Message::Rests(self.order.attempt, self.index, log.generation));
        }
    }

    fn fail(&self, node: &Rc<Node>, trouble: Trouble) {
        if !self.is_over() {
            self.tell(node, Message::Failed(self.order.attempt, trouble));
        }
    }
}

impl Inner {
    /// All up to here was run.
    fn reach(&mut self, log: FlowLog, place: FlowPlace) {
        self.inflow.reach(log, place);
        self.wake_apply();
        self.wake_wire();
    }

    /// The next generation was begun.
    fn cross(&mut self, log: FlowLog) {
        self.inflow.cross(log);
        self.wake_apply();
        self.wake_wire();
    }

    /// Nothing more of what comes is taken.
    fn read_all(&mut self) {
        self.inflow.read_all();
        self.wake_apply();
    }

    fn wake_apply(&mut self) {
        if let Some(waker) = self.apply.take() {
            waker.wake();
        }
    }

    fn wake_wire(&mut self) {
        if let Some(waker) = self.wire.take() {
            waker.wake();
        }
    }
}

/// The core that serves a flow.
fn server_of(node: &Node, flow: u16) -> ShardId {
    ShardId(flow % node.router.shards())
}

/// Sends a message, or takes it in here.
fn tell(node: &Rc<Node>, core: ShardId, message: Message) {
    if core == node.id {
        receive(node, message);
    } else {
        super::post(node, core, Outer::Flows(message));
    }
}

/// A message from a core.
pub(super) fn receive(node: &Rc<Node>, message: Message) {
    match message {
        Message::Open(order, index) => {
            let flow = Rc::new(Flow::new(order, index));
            node.replica.flows.here.borrow_mut().push(Rc::clone(&flow));
            reactor::task::spawn(wire::serve(Rc::clone(node), flow));
        }
        Message::Apply(attempt, index, log, place) => {
            let here = node.replica.flows.here.borrow();
            let found = here.iter().find(|flow| flow.order.attempt == attempt && flow.index == index);
            if let Some(flow) = found {
                {
                    let inner = &mut *flow.inner.borrow_mut();
                    inner.inflow.apply(log, place);
                    inner.wake_wire();
                }
                reactor::task::spawn(apply::apply(Rc::clone(node), Rc::clone(flow)));
            }
        }
        Message::Ran(attempt, flow, log, place) => {
            with(node, attempt, flow, |inner| inner.reach(log, place));
        }
        Message::Crossed(attempt, flow, log) => with(node, attempt, flow, |inner| inner.cross(log)),
        Message::Drain(attempt, flow) => with(node, attempt, flow, |inner| {
            inner.inflow.drain();
            inner.wake_apply();
            inner.wake_wire();
        }),
        Message::Close(attempt) => node.replica.flows.here.borrow_mut().retain(|flow| {
            let stays = flow.order.attempt != attempt;
            if !stays {
                flow.end();
            }
            stays
        }),
        told => session::told(node, told),
    }
}

fn with(node: &Node, attempt: Attempt, index: u16, act: impl FnOnce(&mut Inner)) {
    let here = node.replica.flows.here.borrow();
    if let Some(flow) = here.iter().find(|flow| flow.order.attempt == attempt && flow.index == index) {
        act(&mut flow.inner.borrow_mut());
    }
}
