//! Sends what was pushed to connections, straight to their sockets: a message for a thousand subscribers wakes no task but
//! this one.
//!
//! A connection that is called stands in line once, however much is pushed to it before its turn comes, and then all of it
//! leaves in one call. The line is served in turns of the core like any other work, so a message for many subscribers holds
//! up neither other clients nor the publisher's next message, which then shares the calls of the first.

use crate::connection::{Link, Wire, sent};
use crate::journal;
use crate::node::Node;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

/// The connections of one core that something was pushed to.
#[derive(Default)]
pub(crate) struct Courier {
    line: RefCell<VecDeque<Rc<Link>>>,
    /// Bytes pushed to those in line.
    bytes: Cell<usize>,
    waker: RefCell<Option<Waker>>,
}

impl Courier {
    /// Has what was pushed to a connection, `bytes` more, sent soon.
    #[inline]
    pub(crate) fn call(&self, link: &Rc<Link>, bytes: usize) {
        link.pushed_bytes.set(link.pushed_bytes.get() + bytes);
        self.bytes.set(self.bytes.get() + bytes);
        if !link.is_called.replace(true) {
            self.enqueue(link);
        }
    }

    /// Bytes that wait in line.
    #[inline]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.get()
    }

    fn enqueue(&self, link: &Rc<Link>) {
        let mut line = self.line.borrow_mut();
        line.push_back(Rc::clone(link));
        if line.len() == 1
            && let Some(waker) = &*self.waker.borrow()
        {
            waker.wake_by_ref();
        }
    }

    fn next(&self) -> Option<Rc<Link>> {
        let link = self.line.borrow_mut().pop_front()?;
        link.is_called.set(false);
        self.bytes.set(self.bytes.get() - link.pushed_bytes.take());
        Some(link)
    }
}

/// Serves the line for as long as the core runs.
pub(crate) async fn serve(node: Rc<Node>) {
    let courier = &node.publishing.courier;
    loop {
        poll_fn(|cx| {
            if !courier.line.borrow().is_empty() {
                return Poll::Ready(());
            }
            *courier.waker.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
        while let Some(link) = courier.next() {
            send(&node, &link);
            crate::publish::relieve(&node);
            reactor::task::yield_if_needed().await;
        }
    }
}

/// Sends what is ready. What the socket does not take is left to the connection's task, which waits for room.
fn send(node: &Node, link: &Rc<Link>) {
    if link.is_killed() {
        return;
    }
    let gate = journal::open_gate(node, link);
    let outgoing = &mut *link.outgoing.borrow_mut();
    let Wire { socket, output } = &mut *link.wire.borrow_mut();
    if !gate.is_open && output.has_next(outgoing) {
        let place = journal::place(node);
        output.set_apart(outgoing, place);
        journal::wait_for(node, link, place);
    }
    if output.is_blocked() {
        // It waits for room already.
        let waiting = outgoing.replies.buffered_bytes();
        let core = &mut node.state.borrow_mut().core;
        if let Some(client) = core.clients.get_mut(link.slot) {
            client.output_len = output.len() + waiting;
            client.output_capacity = output.capacity() + waiting;
        }
        if crate::clients::are_limited(core) {
            crate::clients::measure(node, core, link.slot);
        }
        return;
    }
    let Ok(written) = output.send_now(socket, outgoing, gate) else { return link.kill() };
    if written > 0 {
        sent(&mut node.state.borrow_mut().core, link.slot, output, written);
    }
    if output.is_blocked() || (output.is_empty() && link.is_ending.get()) {
        link.kick();
    } else if link.cut_at.get().is_some() {
        link.cut_at.set(None);
    }
}
