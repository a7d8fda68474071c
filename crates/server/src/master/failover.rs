//! FAILOVER: a replica of this node is to be its master, and nothing that was acknowledged is to be lost by that.
//!
//! ```text
//!   FAILOVER ─► writes are held back on all cores, keys expire no more
//!                 │ those under way have ended, and are in the stream: its end does not move any more
//!                 ▼
//!               a replica has acknowledged the end ─► PSYNC .. FAILOVER, as its replica ([`crate::replica`]) ─► writes are refused
//!                 │ ABORT, or the time is up            │ it does not agree, or ABORT
//!                 ▼                                     ▼
//!               writes go on                          a master again: writes go on
//! ```
//!
//! With FORCE the target is asked when the time is up, whatever it has.

use super::{Marks, Message, Peer, now_ms, tell};
use crate::node::Node;
use crate::stop::{self, Cause};
use commands::masters::{Failover, FailoverState};
use commands::replica::Wish;
use config::MasterAddress;
use replication::Position;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use stdx::ShardId;

/// What core 0 keeps.
#[derive(Default)]
pub(super) struct Desk {
    under_way: RefCell<Option<UnderWay>>,
    /// The number of the last that was taken back. That may be known here before the one itself is.
    aborted: Cell<u64>,
}

struct UnderWay {
    asked: Failover,
    /// Cores that still have writes under way.
    unfenced: usize,
    /// When they have none: what has to be in the stream.
    marks: Option<Marks>,
    /// The replica is asked; the role tells what comes of it.
    is_handed: bool,
}

impl Desk {
    /// Whether the stream is to stand still, so that a replica can have all of it.
    pub(super) fn holds_stream(&self) -> bool {
        self.under_way.borrow().is_some()
    }

    fn number(&self) -> Option<u64> {
        self.under_way.borrow().as_ref().map(|one| one.asked.number)
    }

    /// When it is over, if ever.
    pub(super) fn deadline(&self) -> Option<u64> {
        let under_way = self.under_way.borrow();
        under_way.as_ref().filter(|one| !one.is_handed).and_then(|one| until_ms(&one.asked))
    }
}

/// A client of this core has said FAILOVER, and it was noted so.
pub(crate) fn ask_failover(node: &Rc<Node>, asked: Failover) {
    tell(node, ShardId(0), Message::Failover(Box::new(asked)));
}

/// It has said FAILOVER ABORT, and none is noted as under way any more.
pub(crate) fn abort_failover(node: &Rc<Node>, number: u64) {
    tell(node, ShardId(0), Message::AbortFailover(number));
}

pub(super) fn aborted(node: &Rc<Node>, number: u64) {
    let desk = &node.masters.failover;
    desk.aborted.set(number.max(desk.aborted.get()));
    if desk.number().is_some_and(|current| current <= number) {
        abort(node, "Failover manually aborted");
    }
}

pub(super) fn begin(node: &Rc<Node>, asked: Failover) {
    let desk = &node.masters.failover;
    if asked.number <= desk.aborted.get() {
        return;
    }
    // Another core has noted that it is taken back, and this comes before that.
    abort(node, "Failover manually aborted");
    match &asked.target {
        Some((host, port)) => tracing::info!("FAILOVER requested to {host}:{port}."),
        None => tracing::info!("FAILOVER requested to any replica."),
    }
    let (unfenced, attempt) = (node.router.shards().into(), asked.number as u32);
    *desk.under_way.borrow_mut() = Some(UnderWay { asked, unfenced, marks: None, is_handed: false });
    stop::hold_writes(node, Cause::Failover, attempt);
    node.masters.wake();
}

/// A core has no writes under way any more.
pub(crate) fn fenced(node: &Node, attempt: u32) {
    let desk = &node.masters.failover;
    let is_it = |one: &&mut UnderWay| one.asked.number as u32 == attempt;
    if let Some(one) = desk.under_way.borrow_mut().as_mut().filter(is_it) {
        one.unfenced -= 1;
    }
    node.masters.wake();
}

/// Looks whether the replica can be asked, or the time is up. All that was handed over by the cores has been taken.
pub(super) fn look(node: &Rc<Node>) {
    match next(node) {
        Step::Nothing => {}
        Step::GiveUp(why) => abort(node, why),
        Step::HandOver(to, at) => {
            let number = node.masters.failover.number().expect("it is under way");
            set_state(node, number, FailoverState::InProgress);
            crate::replica::hand_over(node, to, at);
        }
    }
}

enum Step {
    Nothing,
    GiveUp(&'static str),
    HandOver(MasterAddress, Position),
}

fn next(node: &Node) -> Step {
    let mut under_way = node.masters.failover.under_way.borrow_mut();
    let Some(one) = under_way.as_mut().filter(|one| !one.is_handed) else { return Step::Nothing };
    let source = node.masters.source.borrow();
    if one.unfenced == 0 && one.marks.is_none() {
        one.marks = Some(Marks::now(node, &source));
    }
    // What stands still.
    let marks = one.marks.as_ref().filter(|marks| marks.are_merged(&source));
    let is_late = until_ms(&one.asked).is_some_and(|until| until <= now_ms());
    let to = match (&one.asked.target, marks) {
        (Some(_), Some(_)) if is_late && one.asked.force => match find(node, &one.asked, |_| true) {
            Some(found) => {
                tracing::info!("FAILOVER to {} time out exceeded, failing over.", shown(&found));
                found
            }
            None => return Step::GiveUp("Failover target has gone"),
        },
        // What this node has itself is not known before.
        (Some(_), None) if is_late && one.asked.force => {
            return Step::GiveUp("Writes that were under way did not end");
        }
        _ if is_late => return Step::GiveUp("Replica never caught up before timeout"),
        (_, None) => return Step::Nothing,
        (_, Some(marks)) => {
            let end = source.backlog().end();
            match find(node, &one.asked, |peer| marks.are_with(peer, end)) {
                Some(found) => {
                    tracing::info!("Failover target {} is synced, failing over.", shown(&found));
                    found
                }
                None => return Step::Nothing,
            }
        }
    };
    // Those who are sent the logs know this node's data by another name than those who are sent the stream.
    let flows = to.session().and_then(|_| crate::flows::history(node));
    let at = match flows {
        Some(replid) => Position { replid, offset: node.masters.logs_end() },
        None => Position { replid: source.backlog().replid(), offset: source.backlog().end() },
    };
    let (host, port) = address(&to);
    one.is_handed = true;
    Step::HandOver(MasterAddress { host, port }, at)
}

/// The replica that was named, or any, of which this holds.
fn find(node: &Node, asked: &Failover, is_it: impl Fn(&Peer) -> bool) -> Option<Rc<Peer>> {
    let is_wanted = |(host, port): &(String, u16)| match &asked.target {
        Some((wanted, at)) => at == port && wanted.eq_ignore_ascii_case(host),
        None => *port != 0,
    };
    let peers = node.masters.peers.borrow();
    peers.iter().find(|peer| is_wanted(&address(peer)) && is_it(peer)).cloned()
}

/// Where it serves clients.
fn address(peer: &Peer) -> (String, u16) {
    let follower = peer.follower.borrow();
    (follower.ip_address.clone().unwrap_or_else(|| peer.address.clone()), follower.listening_port)
}

fn shown(peer: &Peer) -> String {
    let (host, port) = address(peer);
    format!("{host}:{port}")
}

/// The replica has agreed: this node follows it.
pub(crate) fn handed_over(node: &Rc<Node>) {
    if end(node) {
        tracing::info!("the replica is the master now, and this server follows it");
    }
}

/// The replica has not agreed, and this node is a master again.
pub(crate) fn not_handed_over(node: &Rc<Node>, why: &str) {
    if end(node) {
        tracing::warn!(why, "FAILOVER aborted: Failover target rejected psync request");
    }
}

/// It is taken back, or its time is up.
fn abort(node: &Rc<Node>, why: &str) {
    let is_handed = node.masters.failover.under_way.borrow().as_ref().is_some_and(|one| one.is_handed);
    if !end(node) {
        return;
    }
    tracing::warn!("FAILOVER aborted: {why}");
    if is_handed {
        crate::replica::ask(node, Wish::NoOne, None);
    }
}

/// Nothing is under way any more. False if nothing was.
fn end(node: &Rc<Node>) -> bool {
    let Some(one) = node.masters.failover.under_way.take() else { return false };
    set_state(node, one.asked.number, FailoverState::None);
    stop::let_writes_go(node, Cause::Failover);
    node.masters.wake();
    true
}

/// Notes how far it is, unless it was noted that this one is taken back.
fn set_state(node: &Node, number: u64, state: FailoverState) {
    let shared = &node.state.borrow().core.shared;
    let mut known = shared.masters.known();
    if known.failovers == number && known.failover != FailoverState::None {
        known.failover = state;
    }
}

fn until_ms(asked: &Failover) -> Option<u64> {
    asked.until.map(|until| until.0.max(0) as u64)
}
