//! Core 0: all flows of a session together.

use super::conduct::conduct;
use super::line::{Setback, Wanted};
use super::payload::Whole;
use super::{Message, Order, server_of, tell};
use crate::follow::Unit;
use crate::node::Node;
use crate::replica::{Event, Gathered};
use aof::Generation;
use replication::Attempt;
use replication::flow::meet::{MeetError, Step};
use replication::flow::place::{FlowPlace, FlowPlaces};
use replication::flow::together::Together as Machine;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
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
    whole: Vec<Option<(Box<Whole>, FlowPlace)>>,
    machine: Machine<Unit>,
    /// Who runs what they lend.
    conductor: Option<Waker>,
}

/// Opens the flows of a session. What there was of another is closed.
pub(in crate::replica) fn open(node: &Rc<Node>, order: Order) {
    close(node);
    let (flows, order) = (order.session.flows, Arc::new(order));
    let count = usize::from(flows);
    let together = Together {
        order: Arc::clone(&order),
        kept: vec![0; count],
        whole: (0..count).map(|_| None).collect(),
        machine: Machine::new(flows),
        conductor: None,
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
        together.wake();
        for core in (0..node.router.shards()).map(ShardId) {
            tell(node, core, Message::Close(together.order.attempt));
        }
    }
}

/// Has the flows be applied from these places on, which are those of the data.
pub(in crate::replica) fn begin(node: &Rc<Node>, attempt: Attempt, places: &FlowPlaces) {
    let order = {
        let session = &mut *node.replica.flows.session.borrow_mut();
        let Some(together) = session.as_mut().filter(|one| one.order.attempt == attempt) else { return };
        if !together.machine.begin(places) {
            return;
        }
        Arc::clone(&together.order)
    };
    reactor::task::spawn(conduct(Rc::clone(node), order, places.log));
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
                together.machine.drain();
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
        | Message::Lent(attempt, ..)
        | Message::Rests(attempt, ..)
        | Message::Failed(attempt, ..) => *attempt,
        _ => unreachable!("it is for those that serve flows"),
    };
    {
        let session = &mut *node.replica.flows.session.borrow_mut();
        let Some(together) = session.as_mut().filter(|one| one.order.attempt == attempt) else { return };
        match message {
            Message::Failed(_, trouble) => node.replica.desk.put(Event::FlowFailed(attempt, trouble)),
            Message::Kept(_, flow, bytes) => {
                together.kept[usize::from(flow)] = bytes;
                node.replica.desk.put(Event::Kept(attempt, together.kept.iter().sum()));
            }
            Message::Whole(_, flow, file, place) => {
                together.whole[usize::from(flow)] = Some((file, place));
                if together.whole.iter().all(Option::is_some) {
                    node.replica.desk.put(match together.gather() {
                        Ok(gathered) => Event::Gathered(attempt, gathered),
                        Err(trouble) => Event::FlowFailed(attempt, trouble),
                    });
                }
            }
            Message::Lent(_, flow, from, pieces) => {
                together.machine.lend(flow, from, pieces);
                together.wake();
            }
            Message::Rests(_, flow, generation) => together.machine.rest(flow, generation),
            _ => unreachable!("looked at above"),
        }
    }
    look_whether_all_rest(node, attempt);
}

/// Waits for something to be run of what was lent.
pub(super) async fn next_step(node: &Rc<Node>, attempt: Attempt) -> Result<Step<Unit>, Setback> {
    poll_fn(|cx| {
        if node.poll_stopping(cx).is_ready() {
            return Poll::Ready(Err(Setback::Over));
        }
        let next = with(node, attempt, |together| {
            together.conductor = Some(cx.waker().clone());
            together.next()
        });
        match next {
            None => Poll::Ready(Err(Setback::Over)),
            Some(Ok(Some(step))) => Poll::Ready(Ok(step)),
            Some(Ok(None)) => {
                look_whether_all_rest(node, attempt);
                Poll::Pending
            }
            Some(Err(error)) => Poll::Ready(Err(Setback::Failed(error.to_string()))),
        }
    })
    .await
}

/// Whether what the flows have lent is to be run.
pub(super) fn wanted(node: &Node, attempt: Attempt) -> Wanted {
    match with(node, attempt, |together| together.machine.is_draining()) {
        None => Wanted::No,
        Some(true) => Wanted::AtOnce,
        Some(false) => Wanted::Yes,
    }
}

/// The batch was run.
pub(super) fn ran(node: &Node, attempt: Attempt) {
    with(node, attempt, |together| together.machine.ran());
}

/// All places are the beginning of this generation.
pub(super) fn crossed(node: &Node, attempt: Attempt, generation: Generation) {
    with(node, attempt, |together| together.machine.crossed(generation));
}

/// What is lent from now on is not run.
pub(super) fn rest(node: &Node, attempt: Attempt) {
    with(node, attempt, |together| together.machine.stop());
    look_whether_all_rest(node, attempt);
}

fn with<T>(node: &Node, attempt: Attempt, act: impl FnOnce(&mut Together) -> T) -> Option<T> {
    let session = &mut *node.replica.flows.session.borrow_mut();
    session.as_mut().filter(|one| one.order.attempt == attempt).map(act)
}

impl Together {
    /// All files are there, each of which is whole.
    fn gather(&mut self) -> Result<Gathered, Trouble> {
        let mut gathered = Gathered::default();
        let mut with_libraries = 0;
        for (whole, place) in self.whole.drain(..).flatten() {
            gathered.bytes += whole.bytes;
            gathered.files.extend(whole.file);
            gathered.parts.extend(whole.part);
            gathered.places.push(place);
            with_libraries += usize::from(whole.worth.libraries > 0);
            gathered.worth = gathered.worth.and(whole.worth);
        }
        if with_libraries > 1 {
            // A Lacewing writes them into one. A start would refuse what two of them say of one library.
            return Err(Trouble::Rejected("several files have libraries of functions".to_owned()));
        }
        Ok(gathered)
    }

    /// What is to be run next of what was lent.
    fn next(&mut self) -> Result<Option<Step<Unit>>, MeetError> {
        let (mut bytes, mut commands) = (0, 0);
        self.machine.next(|unit| {
            bytes += unit.len();
            commands += unit.commands();
            bytes >= BYTES || commands >= COMMANDS
        })
    }

    fn wake(&self) {
        if let Some(conductor) = &self.conductor {
            conductor.wake_by_ref();
        }
    }
}

fn look_whether_all_rest(node: &Node, attempt: Attempt) {
    let session = &*node.replica.flows.session.borrow();
    let rest = match session {
        Some(together) => together.order.attempt == attempt && together.machine.has_drained(),
        None => true,
    };
    if rest {
        node.replica.desk.put(Event::FlowsRest(attempt));
    }
}

/// A batch takes no further piece when it has so many bytes, or commands: its locks do not last.
const BYTES: usize = 256 << 10;
const COMMANDS: usize = 1024;
