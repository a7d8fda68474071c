//! Transactions: what a client has queued and what it watches, and the commands that control both.
//!
//! MULTI, DISCARD and UNWATCH run where the client is connected. The server runs WATCH on the shards of its keys, and
//! EXEC's queue where its keys are: see [`Crossing::Watch`] and [`Crossing::Exec`].
//!
//! [`Crossing::Watch`]: crate::Crossing::Watch
//! [`Crossing::Exec`]: crate::Crossing::Exec

mod control;
mod queue;
mod rows;
mod watch;

pub use control::{end, is_aborted};
pub use queue::{Place, Queue, Queued, Reach};
pub use rows::COMMANDS;
pub use watch::{Watched, end_watches, has_changed, note, unwatch_all};

/// A client's queue and watched keys.
#[derive(Clone, Debug, Default)]
pub struct Transaction {
    /// The commands since MULTI; empty outside of it.
    pub queue: Queue,
    /// The keys it watches, each once.
    pub watched: Vec<Watched>,
    /// How many commands EXEC is running.
    running: usize,
}

impl Transaction {
    /// How many commands are queued, or are being run.
    pub fn queued(&self) -> usize {
        self.queue.len().max(self.running)
    }

    /// Takes the queue out, to run it.
    #[inline]
    pub fn take_queue(&mut self) -> Queue {
        self.running = self.queue.len();
        std::mem::take(&mut self.queue)
    }

    /// The queue has been run, or has gone elsewhere; what is given here is emptied and used again.
    #[inline]
    pub fn put_back(&mut self, mut queue: Queue) {
        queue.clear();
        self.running = 0;
        self.queue = queue;
    }

    /// Bytes of memory that it takes (CLIENT LIST multi-mem).
    pub fn memory(&self) -> usize {
        let keys: usize = self.watched.iter().map(|watched| watched.key.len()).sum();
        size_of::<Self>() + self.queue.memory() + self.watched.capacity() * size_of::<Watched>() + keys
    }
}
