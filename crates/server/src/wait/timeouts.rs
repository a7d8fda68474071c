//! When the waits of one core's clients end: one timer for all of them.

use super::{Why, give_up};
use crate::clock::unix_ms;
use crate::node::Node;
use commands::ClientSlot;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;
use stdx::UnixMs;

/// The clients that wait with a timeout, in the order in which their time is up.
#[derive(Default)]
pub(crate) struct Timeouts {
    due: RefCell<BTreeSet<(UnixMs, ClientSlot)>>,
    /// For when the timer is set; later than all when it is not.
    armed: Cell<Option<UnixMs>>,
    waker: RefCell<Option<Waker>>,
}

impl Timeouts {
    pub(crate) fn insert(&self, until: UnixMs, client: ClientSlot) {
        self.due.borrow_mut().insert((until, client));
        if self.armed.get().is_none_or(|armed| until < armed)
            && let Some(waker) = &*self.waker.borrow()
        {
            waker.wake_by_ref();
        }
    }

    pub(crate) fn remove(&self, until: UnixMs, client: ClientSlot) {
        self.due.borrow_mut().remove(&(until, client));
    }

    fn first(&self) -> Option<UnixMs> {
        self.due.borrow().first().map(|(until, _)| *until)
    }

    /// Takes one whose time is up.
    fn take_due(&self, now: UnixMs) -> Option<ClientSlot> {
        let mut due = self.due.borrow_mut();
        due.first().filter(|(until, _)| *until <= now)?;
        due.pop_first().map(|(_, client)| client)
    }
}

/// Ends waits whose time is up, for as long as the core runs.
pub(crate) async fn run(node: Rc<Node>) {
    let timeouts = &node.timeouts;
    while !node.stopping.get() {
        let first = timeouts.first();
        timeouts.armed.set(first);
        let wait_ms = first.map_or(A_DAY_MS, |at| (at.0 - unix_ms().0).clamp(0, A_DAY_MS));
        {
            let mut sleeping = pin!(reactor::timer::sleep(Duration::from_millis(wait_ms as u64)));
            poll_fn(|cx| {
                *timeouts.waker.borrow_mut() = Some(cx.waker().clone());
                let is_sooner = timeouts.first().is_some_and(|at| first.is_none_or(|armed| at < armed));
                if is_sooner || node.poll_stopping(cx).is_ready() {
                    return Poll::Ready(());
                }
                sleeping.as_mut().poll(cx)
            })
            .await;
        }
        let now = unix_ms();
        while let Some(client) = timeouts.take_due(now) {
            let link = node.links.borrow().get(client).cloned();
            if let Some(link) = link {
                give_up(&node, &link, Why::Timeout);
            }
        }
    }
}

/// The timer is set for so long at most; it is set again then.
const A_DAY_MS: i64 = 86_400_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_due_in_order_and_until_they_are_taken_back() {
        let timeouts = Timeouts::default();
        for (until, client) in [(30, 1), (10, 2), (20, 3), (10, 4)] {
            timeouts.insert(UnixMs(until), ClientSlot(client));
        }
        timeouts.remove(UnixMs(10), ClientSlot(4));
        let due = |now| timeouts.take_due(UnixMs(now)).map(|client| client.0);
        assert_eq!([due(9), due(25), due(25), due(25)], [None, Some(2), Some(3), None]);
        assert_eq!(timeouts.first(), Some(UnixMs(30)));
    }
}
