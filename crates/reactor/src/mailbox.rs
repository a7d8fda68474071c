//! Batches of messages between cores.
//!
//! What a core has to tell another is gathered in an outbox during a turn of its loop and sent as one message at the
//! end of it, so that the cost of a hop is shared by everything that hopped together. A core is woken only if it waits:
//!
//! ```text
//! sender                      receiver
//! push the batch              queue empty: sleeping = true
//! fence                       fence
//! sleeping? then wake it      look once more, then wait
//! ```
//!
//! The two fences order the two sides: either the receiver's second look finds the batch, or the sender finds it
//! sleeping. Batches of one sender arrive in the order they were sent.
//!
//! An inbox holds [`INBOX_BATCHES_MAX`] batches. When it is full a sender keeps gathering in its outbox, and is told as
//! soon as there is room: nothing is ever lost or refused, and memory is bounded by what callers put into a batch.

mod inbox;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::bell::Listening;
use crate::task;
use inbox::Inbox;

/// What one core sends another in one turn: a container of messages, empty by default.
pub trait Batch: Default + Send + 'static {
    /// Whether there is nothing to send.
    fn is_empty(&self) -> bool;
}

/// Batches that wait for one core, from all others together.
pub const INBOX_BATCHES_MAX: usize = 256;
/// Emptied batches kept for each peer, so that their memory is used again.
const SPARES_MAX: usize = 4;

/// Connects `cores` cores, each with each and with itself. The ports are in the order of the cores. Panics when the
/// process has no two descriptors left for each core.
pub fn mesh<B: Batch>(cores: usize) -> Vec<Ports<B>> {
    let inboxes: Arc<[Inbox<B>]> = (0..cores).map(|_| Inbox::new(cores, INBOX_BATCHES_MAX)).collect();
    (0..cores).map(|index| Ports { index, inboxes: Arc::clone(&inboxes) }).collect()
}

/// One core's ends of the mesh, before it runs.
pub struct Ports<B: Batch> {
    index: usize,
    inboxes: Arc<[Inbox<B>]>,
}

impl<B: Batch> Ports<B> {
    /// Opens the mailbox on the core that it is for, inside its executor.
    pub fn open(self) -> Mailbox<B> {
        let mailbox = self.open_unattended();
        spawn_postman(Rc::downgrade(&mailbox.0));
        mailbox
    }

    /// The same for a core that sends its outboxes by itself: see [`Mailbox::attend`].
    pub fn open_unattended(self) -> Mailbox<B> {
        let peers = self.inboxes.len();
        let local = Rc::new(Local {
            index: self.index,
            bell: self.inboxes[self.index].take_ear().listen().expect("memory to watch a core's mailbox"),
            inboxes: self.inboxes,
            outboxes: RefCell::new((0..peers).map(|_| Outbox::default()).collect()),
            waiting: RefCell::new(Vec::with_capacity(peers)),
            sealed: RefCell::default(),
            postman: RefCell::new(None),
            postman_called: Cell::new(false),
        });
        Mailbox(local)
    }
}

impl<B: Batch> fmt::Debug for Ports<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ports").field("index", &self.index).finish_non_exhaustive()
    }
}

/// A core's mailbox. Clones are handles to the same one.
pub struct Mailbox<B: Batch>(Rc<Local<B>>);

impl<B: Batch> Clone for Mailbox<B> {
    fn clone(&self) -> Self {
        Mailbox(Rc::clone(&self.0))
    }
}

impl<B: Batch> fmt::Debug for Mailbox<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox").field("index", &self.0.index).finish_non_exhaustive()
    }
}

struct Local<B: Batch> {
    index: usize,
    bell: Listening,
    inboxes: Arc<[Inbox<B>]>,
    outboxes: RefCell<Box<[Outbox<B>]>>,
    /// The peers whose outbox is not empty.
    waiting: RefCell<Vec<usize>>,
    /// Batches that may not go yet, each with its peer and with what has to come first: in order.
    sealed: RefCell<VecDeque<(u64, usize, B)>>,
    /// The task that flushes the outboxes at the end of a turn.
    postman: RefCell<Option<Waker>>,
    postman_called: Cell<bool>,
}

#[derive(Default)]
struct Outbox<B> {
    batch: B,
    spares: Vec<B>,
}

impl<B: Batch> Mailbox<B> {
    /// Lets `f` add to the batch being gathered for `peer`, which is sent at the end of this turn. `f` must not use the
    /// mailbox.
    pub fn outbox<R>(&self, peer: usize, f: impl FnOnce(&mut B) -> R) -> R {
        let local = &*self.0;
        let mut outboxes = local.outboxes.borrow_mut();
        let batch = &mut outboxes[peer].batch;
        let was_empty = batch.is_empty();
        let result = f(batch);
        if was_empty && !batch.is_empty() {
            local.waiting.borrow_mut().push(peer);
            local.call_postman();
        }
        result
    }

    /// Sends one outbox without waiting for the end of the turn, before all others. What does not fit stays and follows
    /// later.
    pub fn flush_to(&self, peer: usize) {
        let local = &*self.0;
        let mut waiting = local.waiting.borrow_mut();
        if let Some(index) = waiting.iter().position(|&waits| waits == peer)
            && local.send(peer, &mut local.outboxes.borrow_mut()[peer])
        {
            waiting.remove(index);
        }
    }

    /// Sends all outboxes without waiting for the end of the turn. What does not fit stays and follows later.
    pub fn flush_now(&self) {
        self.0.flush();
    }

    /// Takes what was gathered out of the outboxes and keeps it, behind what was kept before, until [`Mailbox::release`] is
    /// told of `stamp`, which never becomes less.
    pub fn seal(&self, stamp: u64) {
        let local = &*self.0;
        let mut outboxes = local.outboxes.borrow_mut();
        let mut sealed = local.sealed.borrow_mut();
        for peer in local.waiting.borrow_mut().drain(..) {
            let outbox = &mut outboxes[peer];
            let next = outbox.spares.pop().unwrap_or_default();
            sealed.push_back((stamp, peer, std::mem::replace(&mut outbox.batch, next)));
        }
    }

    /// Sends what was sealed with stamps up to this one. True when nothing is sealed any more: then outboxes may be sent.
    pub fn release(&self, stamp: u64) -> bool {
        let mut sealed = self.0.sealed.borrow_mut();
        while let Some((_, peer, batch)) = sealed.pop_front_if(|(sealed, ..)| *sealed <= stamp) {
            if let Err(refused) = self.0.inboxes[peer].push(self.0.index, batch) {
                // The peer calls when there is room.
                sealed.push_front((stamp, peer, refused));
                return false;
            }
        }
        sealed.is_empty()
    }

    /// Sends the outboxes past what is sealed, to peers for whom all of that `may_be_late`. What is for others is sealed with
    /// `stamp`, behind it.
    pub fn flush_past(&self, stamp: u64, may_be_late: impl Fn(&B) -> bool) {
        let local = &*self.0;
        let mut outboxes = local.outboxes.borrow_mut();
        let mut sealed = local.sealed.borrow_mut();
        local.waiting.borrow_mut().retain(|&peer| {
            let outbox = &mut outboxes[peer];
            if sealed.iter().all(|(_, to, batch)| *to != peer || may_be_late(batch)) {
                return !local.send(peer, outbox);
            }
            let next = outbox.spares.pop().unwrap_or_default();
            sealed.push_back((stamp, peer, std::mem::replace(&mut outbox.batch, next)));
            false
        });
    }

    /// Sends a batch of its own at once, past all that was gathered or sealed: for what has to hurry, tells of nothing that
    /// waits, and may come at any place among the rest. Errors: the peer has no room; here is the batch.
    pub fn send_past(&self, peer: usize, batch: B) -> Result<(), B> {
        self.0.inboxes[peer].push(self.0.index, batch)
    }

    /// Has a task of this core woken at the end of every turn in which something was gathered, or when a peer has room again
    /// for what it refused: it is to send the outboxes. To be called whenever that task is polled, before it sends.
    pub fn attend(&self, cx: &Context<'_>) {
        let mut postman = self.0.postman.borrow_mut();
        if !postman.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *postman = Some(cx.waker().clone());
        }
        self.0.postman_called.set(false);
    }

    /// Has that task woken at the end of this turn.
    #[inline]
    pub fn call(&self) {
        self.0.call_postman();
    }

    /// Whether an outbox is not sent yet. A core must not end before: what it gathered would be lost.
    pub fn has_unsent(&self) -> bool {
        !self.0.waiting.borrow().is_empty() || !self.0.sealed.borrow().is_empty()
    }

    /// Waits for a batch, and gives the core it came from. Batches are never empty. One task at a time may wait.
    pub async fn recv(&self) -> (usize, B) {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// As [`Mailbox::recv`], for callers that wait for several things at once.
    pub fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<(usize, B)> {
        let inbox = self.inbox();
        loop {
            if let Some(received) = self.try_recv() {
                return Poll::Ready(received);
            }
            if inbox.sleep() && self.0.bell.poll_rung(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// How many batches have arrived that nobody has taken.
    pub fn arrived(&self) -> usize {
        self.inbox().len()
    }

    /// Takes a batch that has arrived.
    pub fn try_recv(&self) -> Option<(usize, B)> {
        let local = &*self.0;
        let inbox = self.inbox();
        if inbox.take_room_call() {
            local.call_postman();
        }
        let received = inbox.pop()?;
        inbox.tell_blocked_senders(|sender| local.inboxes[sender].call_for_room());
        Some(received)
    }

    /// Gives an emptied batch back, to be filled for `peer` again. Panics if it is not empty.
    pub fn recycle(&self, peer: usize, batch: B) {
        assert!(batch.is_empty(), "a recycled batch would be sent again");
        let spares = &mut self.0.outboxes.borrow_mut()[peer].spares;
        if spares.len() < SPARES_MAX {
            spares.push(batch);
        }
    }

    /// This core's number.
    pub fn index(&self) -> usize {
        self.0.index
    }

    /// The number of cores.
    pub fn cores(&self) -> usize {
        self.0.inboxes.len()
    }

    fn inbox(&self) -> &Inbox<B> {
        &self.0.inboxes[self.0.index]
    }
}

impl<B: Batch> Local<B> {
    fn call_postman(&self) {
        if !self.postman_called.replace(true)
            && let Some(postman) = &*self.postman.borrow()
        {
            postman.wake_by_ref();
        }
    }

    fn flush(&self) {
        let mut outboxes = self.outboxes.borrow_mut();
        self.waiting.borrow_mut().retain(|&peer| !self.send(peer, &mut outboxes[peer]));
    }

    /// Whether the outbox could be sent.
    fn send(&self, peer: usize, outbox: &mut Outbox<B>) -> bool {
        let next = outbox.spares.pop().unwrap_or_default();
        let batch = std::mem::replace(&mut outbox.batch, next);
        match self.inboxes[peer].push(self.index, batch) {
            Ok(()) => true,
            Err(refused) => {
                outbox.spares.push(std::mem::replace(&mut outbox.batch, refused));
                false
            }
        }
    }
}

/// Starts the task that flushes. Woken by the first message of a turn, it runs after all tasks that were ready then.
fn spawn_postman<B: Batch>(local: Weak<Local<B>>) {
    task::spawn(poll_fn(move |cx| {
        let Some(local) = local.upgrade() else { return Poll::Ready(()) };
        local.postman.borrow_mut().get_or_insert_with(|| cx.waker().clone());
        local.postman_called.set(false);
        local.flush();
        Poll::Pending
    }));
}
