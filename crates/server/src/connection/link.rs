//! What the rest of a core may touch of a connection.

use crate::flights::Letters;
use crate::output::Output;
use crate::spread::Answers;
use crate::wait::Wait;
use crate::window::Window;
use commands::ClientSlot;
use commands::masters::Asked;
use coordinator::pipeline::{HoleId, Overlap, PipelineOrder, Replies};
use reactor::net::Socket;
use resp::Proto;
use std::cell::{Cell, RefCell};
use std::task::{Context, Waker};
use stdx::UnixMs;

/// What the rest of its core may touch of a connection.
pub(crate) struct Link {
    pub(crate) slot: ClientSlot,
    pub(crate) outgoing: RefCell<Outgoing>,
    pub(crate) wire: RefCell<Wire>,
    /// What came for the multi-shard commands under way.
    pub(crate) letters: RefCell<Letters>,
    /// The same for fan-outs.
    pub(crate) answers: RefCell<Answers>,
    /// A shard has become busy with a script: commands that wait for it are refused.
    pub(crate) is_told_busy: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    /// Whether it is to look at the world anew.
    is_kicked: Cell<bool>,
    pub(super) killed: Cell<bool>,
    /// Whether [`crate::courier`] is to send what is ready.
    pub(crate) is_called: Cell<bool>,
    /// Bytes that were pushed to it since.
    pub(crate) pushed_bytes: Cell<usize>,
    /// Whether its task waits for its replies to have left, to end it.
    pub(crate) is_ending: Cell<bool>,
    /// Whether it has a command that has not come to its end, or not begun: it waits for us and we not for it.
    pub(crate) waits: Cell<bool>,
    /// The last hole that was left for what is no work of the client's: the end of the server, a snapshot.
    pub(crate) awaits: Cell<Option<HoleId>>,
    /// While the log takes no records: the place that its replies wait for.
    pub(crate) held: Cell<u64>,
    /// When it will have been over its soft output limit for too long.
    pub(crate) cut_at: Cell<Option<UnixMs>>,
}

/// Where a connection's replies leave.
pub(crate) struct Wire {
    pub(crate) socket: Socket,
    pub(crate) output: Output,
}

/// The replies of a connection, and what it has unanswered.
pub(crate) struct Outgoing {
    /// In which form push messages are sent.
    pub(crate) proto: Proto,
    pub(crate) replies: Replies,
    pub(crate) overlap: Overlap,
    pub(crate) window: Window,
    /// It is to be a replica's connection when all before that is answered.
    pub(crate) follows: Option<Box<Asked>>,
    /// What the client waits for, if it does.
    pub(crate) wait: Option<Wait>,
    /// While EXEC writes its reply: what is pushed meanwhile, which comes behind that.
    pub(crate) behind_exec: Option<Vec<u8>>,
}

impl Outgoing {
    /// Where a push message goes: behind all replies, those that are still to come included; but before that of a command
    /// that waits for a key, perhaps for ever.
    #[inline]
    pub(crate) fn pushes(&mut self) -> &mut Vec<u8> {
        match &mut self.behind_exec {
            Some(pushes) => pushes,
            None if self.wait.is_some() => self.replies.overtake(),
            None => self.replies.buf(),
        }
    }
}

impl Link {
    pub(crate) fn new(slot: ClientSlot, socket: Socket, order: PipelineOrder) -> Self {
        Self {
            slot,
            outgoing: RefCell::new(Outgoing {
                proto: Proto::default(),
                replies: Replies::default(),
                overlap: Overlap::new(order),
                window: Window::default(),
                follows: None,
                wait: None,
                behind_exec: None,
            }),
            wire: RefCell::new(Wire { socket, output: Output::default() }),
            letters: RefCell::default(),
            answers: RefCell::default(),
            is_told_busy: Cell::new(false),
            waker: RefCell::default(),
            is_kicked: Cell::new(false),
            killed: Cell::new(false),
            is_called: Cell::new(false),
            pushed_bytes: Cell::new(0),
            is_ending: Cell::new(false),
            waits: Cell::new(false),
            awaits: Cell::new(None),
            held: Cell::new(0),
            cut_at: Cell::new(None),
        }
    }

    /// Has the connection look at the world anew.
    pub(crate) fn kick(&self) {
        self.is_kicked.set(true);
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Ends the connection without sending what is left.
    pub(crate) fn kill(&self) {
        self.killed.set(true);
        self.kick();
    }

    /// Whether it has ended, or is to end without sending what is left.
    #[inline]
    pub(crate) fn is_killed(&self) -> bool {
        self.killed.get()
    }

    /// Whether it was kicked since this was last asked.
    #[inline]
    pub(super) fn take_kick(&self) -> bool {
        self.is_kicked.take()
    }

    pub(crate) fn listen(&self, cx: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }
}
