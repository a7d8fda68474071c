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

use super::{Marks, Message, now_ms, tell};
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
    let stands_still = source.is_on() && one.marks.as_ref().is_some_and(|marks| marks.are_merged(&source));
    let at = Position { replid: source.backlog().replid(), offset: source.backlog().end() };
    let is_late = until_ms(&one.asked).is_some_and(|until| until <= now_ms());
    let (host, port) = match &one.asked.target {
        Some(target) if is_late && one.asked.force && stands_still => {
            tracing::info!("FAILOVER to {}:{} time out exceeded, failing over.", target.0, target.1);
            target.clone()
        }
        // What this node has itself is not known before.
        Some(_) if is_late && one.asked.force => {
            return Step::GiveUp("Writes that were under way did not end");
        }
        _ if is_late => return Step::GiveUp("Replica never caught up before timeout"),
        _ if !stands_still => return Step::Nothing,
        _ => match level(node, &one.asked, at.offset) {
            Some(found) => {
                tracing::info!("Failover target {}:{} is synced, failing over.", found.0, found.1);
                found
            }
            None => return Step::Nothing,
        },
    };
    one.is_handed = true;
    Step::HandOver(MasterAddress { host, port }, at)
}

/// The replica that has all: the one that was named, or any.
fn level(node: &Node, asked: &Failover, end: u64) -> Option<(String, u16)> {
    let peers = node.masters.peers.borrow();
    peers.iter().find_map(|peer| {
        let follower = peer.follower.borrow();
        let host = follower.ip_address.clone().unwrap_or_else(|| peer.address.clone());
        let port = follower.listening_port;
        let is_wanted = asked
            .target
            .as_ref()
            .is_none_or(|(wanted, at)| *at == port && wanted.eq_ignore_ascii_case(&host));
        let has_all = follower.is_online() && follower.acknowledged() == end;
        (is_wanted && has_all && port != 0).then_some((host, port))
    })
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
