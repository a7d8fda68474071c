//! Writes are held back on a core, as by CLIENT PAUSE: before the end, and while another node is to be the master.

use super::{Message, tell_home};
use crate::node::{Node, Pause};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use stdx::UnixMs;

/// What writes are held back for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The server is to end.
    End,
    /// A replica is to be the master.
    Failover,
}

/// What a core keeps of it.
#[derive(Default)]
pub(crate) struct Fence {
    /// For each cause, the attempt for which it is up.
    attempts: [Cell<Option<u32>>; 2],
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
        if self.attempts.iter().all(|attempt| attempt.get().is_none()) {
            return asked;
        }
        let writes_only = asked.is_none_or(|asked| asked.writes_only);
        Some(Pause { until: UnixMs(i64::MAX), writes_only })
    }
}

/// Holds writes back, and tells core 0 when those under way have ended.
pub(super) fn raise(node: &Rc<Node>, cause: Cause, attempt: u32) {
    node.fence.attempts[cause as usize].set(Some(attempt));
    apply(node);
    let node = Rc::clone(node);
    reactor::task::spawn(async move {
        while !is_quiet(&node) {
            if node.fence.attempts[cause as usize].get() != Some(attempt) || node.stopping.get() {
                return;
            }
            reactor::timer::sleep(STEP).await;
        }
        tell_home(&node, Message::Fenced(cause, attempt));
    });
}

/// Lets writes go on, as far as they were held back for this.
pub(super) fn lift(node: &Rc<Node>, cause: Cause) {
    node.fence.attempts[cause as usize].set(None);
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
