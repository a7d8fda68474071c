//! The shared half of a mailbox: a bounded queue, and who waits at either end of it.

use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use crate::bell::{Bell, Ear, bell};

/// One core's inbox. All cores push, its own core pops.
///
/// Aligned so that no two inboxes share a cache line, nor the pair of lines that the processor fetches together.
#[repr(align(128))]
pub(super) struct Inbox<B> {
    sender: Sender<(usize, B)>,
    receiver: Receiver<(usize, B)>,
    capacity: usize,
    /// Set by the receiver before it waits; whoever clears it rings.
    sleeping: AtomicBool,
    bell: Bell,
    /// The other end of the bell, until the receiver takes it.
    ear: Mutex<Option<Ear>>,
    /// Some sender found the queue full, and `blocked` says which.
    crowded: AtomicBool,
    blocked: Box<[AtomicBool]>,
    /// An inbox that this core found full has room now.
    room_call: AtomicBool,
}

impl<B> Inbox<B> {
    pub(super) fn new(cores: usize, capacity: usize) -> Inbox<B> {
        let (sender, receiver) = bounded(capacity);
        let (bell, ear) =
            bell().expect("no descriptors left for a core's mailbox: raise the limit on open files");
        Inbox {
            sender,
            receiver,
            capacity,
            sleeping: AtomicBool::new(false),
            bell,
            ear: Mutex::new(Some(ear)),
            crowded: AtomicBool::new(false),
            blocked: (0..cores).map(|_| AtomicBool::new(false)).collect(),
            room_call: AtomicBool::new(false),
        }
    }

    /// Adds a batch from core `from` and wakes the receiver if it waits. Gives the batch back when the queue is full;
    /// `from` is then called when there is room.
    pub(super) fn push(&self, from: usize, batch: B) -> Result<(), B> {
        let batch = match self.try_push(from, batch) {
            Ok(()) => return Ok(()),
            Err(batch) => batch,
        };
        self.blocked[from].store(true, Ordering::Release);
        self.crowded.store(true, Ordering::Release);
        // Pairs with `tell_blocked_senders`: it sees `crowded`, or we see the room that it made.
        fence(Ordering::SeqCst);
        self.try_push(from, batch)
    }

    fn try_push(&self, from: usize, batch: B) -> Result<(), B> {
        match self.sender.try_send((from, batch)) {
            Ok(()) => {
                self.wake_if_sleeping();
                Ok(())
            }
            Err(TrySendError::Full((_, batch)) | TrySendError::Disconnected((_, batch))) => Err(batch),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.receiver.len()
    }

    pub(super) fn pop(&self) -> Option<(usize, B)> {
        self.receiver.try_recv().ok()
    }

    /// After a pop: calls for every sender that found the queue full, once it is half empty.
    pub(super) fn tell_blocked_senders(&self, mut call: impl FnMut(usize)) {
        // Pairs with `push`.
        fence(Ordering::SeqCst);
        if !self.crowded.load(Ordering::Relaxed) || self.receiver.len() > self.capacity / 2 {
            return;
        }
        self.crowded.swap(false, Ordering::AcqRel);
        for (sender, blocked) in self.blocked.iter().enumerate() {
            if blocked.swap(false, Ordering::AcqRel) {
                call(sender);
            }
        }
    }

    /// Tells this core that an inbox it found full has room.
    pub(super) fn call_for_room(&self) {
        self.room_call.store(true, Ordering::Release);
        self.wake_if_sleeping();
    }

    /// Whether this core was told so since it was last asked.
    pub(super) fn take_room_call(&self) -> bool {
        self.room_call.load(Ordering::Relaxed) && self.room_call.swap(false, Ordering::AcqRel)
    }

    /// The receiver's end of the bell, once.
    pub(super) fn take_ear(&self) -> Ear {
        let mut ear = self.ear.lock().unwrap_or_else(PoisonError::into_inner);
        ear.take().expect("ports are opened once")
    }

    /// Prepares the receiver to wait for the bell. False if there is something after all: look again.
    pub(super) fn sleep(&self) -> bool {
        self.sleeping.store(true, Ordering::Release);
        // Pairs with `wake_if_sleeping`: it sees `sleeping`, or we see what it left.
        fence(Ordering::SeqCst);
        if self.receiver.is_empty() && !self.room_call.load(Ordering::Relaxed) {
            return true;
        }
        self.sleeping.store(false, Ordering::Relaxed);
        false
    }

    fn wake_if_sleeping(&self) {
        // Pairs with `sleep`.
        fence(Ordering::SeqCst);
        if self.sleeping.load(Ordering::Relaxed) && self.sleeping.swap(false, Ordering::AcqRel) {
            self.bell.ring();
        }
    }
}
