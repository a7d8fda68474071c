//! Writes are held back on a core, as by CLIENT PAUSE, while a snapshot is taken before the end.

use super::{Message, tell_home};
use crate::node::{Node, Pause};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use stdx::UnixMs;

/// What a core keeps of it.
#[derive(Default)]
pub(crate) struct Fence {
    /// The attempt to end for which it is up.
    attempt: Cell<Option<u32>>,
    /// The pause that clients have asked for.
    asked: Cell<Option<Pause>>,
}

impl Fence {
    /// The pause that clients have asked for.
    pub(crate) fn asked(&self) -> Option<Pause> {
        self.asked.get()
    }

    /// Clients ask for this pause, or for none. Returns the one that is in force.
    pub(crate) fn ask(&self, asked: Option<Pause>) -> Option<Pause> {
        self.asked.set(asked);
        self.in_force()
    }

    fn in_force(&self) -> Option<Pause> {
        let asked = self.asked.get();
        if self.attempt.get().is_none() {
            return asked;
        }
        let writes_only = asked.is_none_or(|asked| asked.writes_only);
        Some(Pause { until: UnixMs(i64::MAX), writes_only })
    }
}

/// Holds writes back, and tells core 0 when those under way have ended.
pub(super) fn raise(node: &Rc<Node>, attempt: u32) {
    node.fence.attempt.set(Some(attempt));
    apply(node);
    let node = Rc::clone(node);
    reactor::task::spawn(async move {
        while !is_quiet(&node) {
            if node.fence.attempt.get() != Some(attempt) || node.stopping.get() {
                return;
            }
            reactor::timer::sleep(STEP).await;
        }
        tell_home(&node, Message::Fenced(attempt));
    });
}

/// Lets writes go on.
pub(super) fn lift(node: &Rc<Node>) {
    node.fence.attempt.set(None);
    apply(node);
    node.kick_all();
}

fn apply(node: &Node) {
    node.pause.set(node.fence.in_force());
    crate::cron::freeze(node);
}

/// Whether nothing that was begun here is unanswered, but for those who wait for keys, which nobody writes now, for a snapshot, or
/// for the end.
fn is_quiet(node: &Node) -> bool {
    node.links.borrow().iter().all(|link| {
        let outgoing = link.outgoing.borrow();
        let waits_for_others = match &outgoing.wait {
            Some(wait) => wait.is_idle(),
            None => link.awaits.get().is_some_and(|hole| outgoing.replies.waits_for(hole)),
        };
        waits_for_others || outgoing.replies.outstanding() == 0
    })
}

const STEP: Duration = Duration::from_millis(1);
