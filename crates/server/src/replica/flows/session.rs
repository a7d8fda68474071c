//! Core 0: all flows of a session together.

use super::{Message, Order, server_of, tell};
use crate::follow;
use crate::node::Node;
use crate::replica::{Event, Gathered};
use durable::manifest::SetFile;
use replication::Attempt;
use replication::flow::meet::{Head, Meet, Step};
use replication::flow::place::{FlowPlace, FlowPlaces, Place};
use std::rc::Rc;
use std::sync::Arc;
use stdx::ShardId;

/// Why a flow does not go on, and with it none.
pub(crate) enum Trouble {
    /// Its connection has ended.
    Lost(String),
    /// What came makes no sense, or cannot be run.
    Stream(String),
    /// The payload is no dataset.
    Rejected(String),
    /// The payload cannot be kept.
    Disk(String),
}

/// All flows of a session.
pub(super) struct Together {
    order: Arc<Order>,
    /// By flow.
    kept: Vec<u64>,
    files: Vec<Option<(SetFile, FlowPlace)>>,
    /// Once they are applied.
    meet: Option<Meet>,
    /// By flow: it has something to run that was met for.
    is_running: Vec<bool>,
    /// By flow: it applies nothing any more.
    rests: Vec<bool>,
    is_draining: bool,
}

/// Opens the flows of a session. What there was of another is closed.
pub(in crate::replica) fn open(node: &Rc<Node>, order: Order) {
    close(node);
    let (flows, order) = (order.session.flows, Arc::new(order));
    let count = usize::from(flows);
    let together = Together {
        order: Arc::clone(&order),
        kept: vec![0; count],
        files: vec![None; count],
        meet: None,
        is_running: vec![false; count],
        rests: vec![false; count],
        is_draining: false,
    };
    *node.replica.flows.session.borrow_mut() = Some(together);
    for flow in 0..flows {
        tell(node, server_of(node, flow), Message::Open(Arc::clone(&order), flow));
    }
}

/// Leaves all flows.
pub(in crate::replica) fn close(node: &Rc<Node>) {
    let session = node.replica.flows.session.borrow_mut().take();
    if let Some(together) = session {
        for core in (0..node.router.shards()).map(ShardId) {
            tell(node, core, Message::Close(together.order.attempt));
        }
    }
}

/// Has the flows be applied from these places on, which are those of the data.
pub(in crate::replica) fn begin(node: &Rc<Node>, attempt: Attempt, places: &FlowPlaces) {
    {
        let session = &mut *node.replica.flows.session.borrow_mut();
        let Some(together) = session.as_mut().filter(|one| one.order.attempt == attempt && !one.is_draining)
        else {
            return;
        };
        together.meet = Some(Meet::new(&places.flows));
    }
    for (flow, place) in (0..).zip(&places.flows) {
        tell(node, server_of(node, flow), Message::Apply(attempt, flow, places.log, *place));
    }
}

/// Has all that came be applied, as far as it can be; then [`Event::FlowsRest`] comes.
pub(in crate::replica) fn drain(node: &Rc<Node>, attempt: Attempt) {
    let flows = {
        let session = &mut *node.replica.flows.session.borrow_mut();
        match session {
            Some(together) => {
                together.is_draining = true;
                if together.meet.is_none() {
                    // None of them has begun.
                    together.rests.fill(true);
                }
                together.order.session.flows
            }
            None => 0,
        }
    };
    for flow in 0..flows {
        tell(node, server_of(node, flow), Message::Drain(attempt, flow));
    }
    look_whether_all_rest(node, attempt);
}

/// A flow has told something.
pub(super) fn told(node: &Rc<Node>, message: Message) {
    let attempt = match &message {
        Message::Kept(attempt, ..)
        | Message::Whole(attempt, ..)
        | Message::Stands(attempt, ..)
        | Message::Ran(attempt, ..)
        | Message::Crossed(attempt)
        | Message::Rests(attempt, ..)
        | Message::Failed(attempt, ..) => *attempt,
        _ => unreachable!("it is for those that serve flows"),
    };
    let steps = {
        let session = &mut *node.replica.flows.session.borrow_mut();
        let Some(together) = session.as_mut().filter(|one| one.order.attempt == attempt) else { return };
        match message {
            Message::Failed(_, trouble) => {
                node.replica.desk.put(Event::FlowFailed(attempt, trouble));
                return;
            }
            Message::Kept(_, flow, bytes) => {
                together.kept[usize::from(flow)] = bytes;
                node.replica.desk.put(Event::Kept(attempt, together.kept.iter().sum()));
                return;
            }
            Message::Whole(_, flow, file, place) => {
                together.files[usize::from(flow)] = Some((file, place));
                if together.files.iter().all(Option::is_some) {
                    let (files, places) = together.files.drain(..).flatten().unzip();
                    node.replica.desk.put(Event::Gathered(attempt, Gathered { files, places }));
                }
                return;
            }
            Message::Rests(_, flow) => {
                together.rests[usize::from(flow)] = true;
                together.is_running[usize::from(flow)] = false;
                Ok(Vec::new())
            }
            met => together.met(met),
        }
    };
    match steps {
        Ok(steps) => {
            for step in steps {
                carry_out(node, attempt, step);
            }
            look_whether_all_rest(node, attempt);
        }
        Err(why) => node.replica.desk.put(Event::FlowFailed(attempt, Trouble::Stream(why))),
    }
}

impl Together {
    /// A flow stands, or has run what was met for: what follows.
    fn met(&mut self, message: Message) -> Result<Vec<Step>, String> {
        let Some(meet) = &mut self.meet else { return Ok(Vec::new()) };
        let done = match message {
            Message::Stands(_, flow, end, head) => meet.stand(flow, end, head as Head),
            Message::Ran(_, flow) => {
                self.is_running[usize::from(flow)] = false;
                meet.ran(flow)
            }
            Message::Crossed(_) => {
                self.is_running[0] = false;
                meet.crossed();
                Ok(())
            }
            _ => unreachable!("it is no news of what is met for"),
        };
        done.map_err(|error| error.to_string())?;
        let steps: Vec<Step> = std::iter::from_fn(|| meet.next()).collect();
        for step in &steps {
            match step {
                Step::Run { home, .. } => self.is_running[usize::from(*home)] = true,
                Step::Cross { .. } => self.is_running[0] = true,
                Step::Pass(_) => {}
            }
        }
        Ok(steps)
    }

    fn all_rest(&self) -> bool {
        let stands = |flow: usize| self.meet.as_ref().is_some_and(|meet| meet.stands(flow as u16));
        let rests = |flow: usize| self.rests[flow] || stands(flow);
        !self.is_running.contains(&true) && (0..self.rests.len()).all(rests)
    }
}

fn carry_out(node: &Rc<Node>, attempt: Attempt, step: Step) {
    match step {
        Step::Pass(flow) => tell(node, server_of(node, flow), Message::Pass(attempt, flow)),
        Step::Run { home, places } => tell(node, server_of(node, home), Message::Run(attempt, home, places)),
        Step::Cross { next, birth } => match follow::place(node) {
            Some(Place::Flows(places)) => {
                let places = places.crossed(next, birth);
                tell(node, server_of(node, 0), Message::Cross(attempt, 0, places));
            }
            _ => {
                let why = Trouble::Stream("it is not known where the data is".to_owned());
                node.replica.desk.put(Event::FlowFailed(attempt, why));
            }
        },
    }
}

fn look_whether_all_rest(node: &Rc<Node>, attempt: Attempt) {
    let session = &*node.replica.flows.session.borrow();
    let rest = match session {
        Some(together) => together.is_draining && together.order.attempt == attempt && together.all_rest(),
        None => true,
    };
    if rest {
        node.replica.desk.put(Event::FlowsRest(attempt));
    }
}
