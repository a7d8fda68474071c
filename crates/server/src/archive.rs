//! Copies of the log in the place of snapshots, while the server runs: made by a thread of its own, from cut to cut.
//!
//! ```text
//!   core 0: every cut ──► marks ──► thread, every log-archive-interval: the log up to the newest mark ──► pieces
//! ```
//!
//! No command waits for it. What is not archived when the server ends, or the store does not answer, is still in the log here, and
//! goes there later.

use crate::cut::Taken;
use crate::data_dir::DataDir;
use crate::node::Node;
use aof::Generation;
use commands::core::Shared;
use durable::archive::{Archive, ArchiveError, Mark};
use reactor::cores;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// A cut of this generation of the log.
type Marked = (Generation, Mark);

/// Core 0's end of it. Dropped, the thread ends.
#[derive(Default)]
pub(crate) struct Archiving(RefCell<Option<SyncSender<Marked>>>);

/// Starts the thread, on core 0, if the log is to be archived. Errors: no thread to be had.
pub(crate) fn start(node: &Node) -> io::Result<()> {
    let (seconds, shared, writer) = {
        let core = &mut node.state.borrow_mut().core;
        (core.config.log_archive_interval_s, Arc::clone(&core.shared), core.rng.next_u64())
    };
    let data = Arc::clone(&node.control.data);
    if seconds == 0 {
        return Ok(());
    }
    if data.places.archive().is_none() {
        tracing::warn!("the log is not archived: log-archive-interval needs a snapshot-dir");
        return Ok(());
    }
    let (give, marks) = sync_channel(MARKS_MAX);
    let interval = Duration::from_secs(u64::from(seconds));
    let worker =
        Worker { data, shared, writer, archive: None, marks: VecDeque::new(), pruned: Instant::now() };
    thread::Builder::new().name("lacewing-archive".to_owned()).spawn(move || {
        cores::unpin();
        cores::stand_back();
        worker.run(&marks, interval);
    })?;
    *node.archiving.0.borrow_mut() = Some(give);
    Ok(())
}

/// A cut was made. On core 0.
pub(crate) fn mark(node: &Node, taken: &Taken) {
    let archiving = node.archiving.0.borrow();
    let (Some(give), Some(generation)) = (&*archiving, node.control.data.generation()) else { return };
    // One that is written before it begins counts for nothing yet.
    if taken.generation == Some(generation) {
        let mark = Mark { cut: taken.number, at: taken.at, lsns: taken.lsns.clone() };
        // Full, it has waited for the store for long: a later cut will stand for this one.
        let _ = give.try_send((generation, mark));
    }
}

/// Ends it, when the server ends.
pub(crate) fn end(node: &Node) {
    node.archiving.0.take();
}

/// The thread.
struct Worker {
    data: Arc<DataDir>,
    shared: Arc<Shared>,
    writer: u64,
    archive: Option<(Generation, Archive)>,
    /// Cuts that the archive was not told of.
    marks: VecDeque<Marked>,
    /// When it was last looked for pieces that nobody needs.
    pruned: Instant,
}

impl Worker {
    fn run(mut self, marks: &Receiver<Marked>, interval: Duration) {
        self.shared.archived.begin();
        loop {
            match self.attempt() {
                Ok(newest) => self.well(newest.as_ref()),
                Err(error) => {
                    self.ill(&error);
                    if matches!(error, ArchiveError::Taken(_)) {
                        return;
                    }
                }
            }
            if !self.gather(marks, interval) {
                return;
            }
        }
    }

    /// Takes cuts in for a while. False when the server ends.
    fn gather(&mut self, marks: &Receiver<Marked>, interval: Duration) -> bool {
        let end = Instant::now() + interval;
        loop {
            match marks.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(mark) => self.marks.push_back(mark),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
        let excess = self.marks.len().saturating_sub(MARKS_MAX);
        self.marks.drain(..excess);
        true
    }

    /// Archives all that there is, and returns the newest cut that is there now.
    fn attempt(&mut self) -> Result<Option<Mark>, ArchiveError> {
        let Some(generation) = self.data.generation() else { return Ok(None) };
        if self.archive.as_ref().is_none_or(|(own, _)| *own != generation) {
            let archive = Archive::begin(&self.data.places, generation, self.writer)?;
            self.archive = archive.map(|archive| (generation, archive));
        }
        let Some((_, archive)) = &mut self.archive else { return Ok(None) };
        for (of, mark) in self.marks.drain(..) {
            if of == generation {
                archive.mark(mark);
            }
        }
        self.shared.archived.owes(archive.owed_bytes());
        let newest = archive.ship()?;
        if self.pruned.elapsed() >= PRUNE_EACH {
            archive.prune()?;
            self.pruned = Instant::now();
        }
        Ok(newest)
    }

    fn well(&self, newest: Option<&Mark>) {
        let after = self.shared.archived.ok(newest.map(|mark| mark.at));
        if after > 0 {
            tracing::info!(after, "the log is archived again");
        }
    }

    fn ill(&self, error: &ArchiveError) {
        let failures = self.shared.archived.failed(error.to_string());
        // The server's end ends its dealings with the store first, which is no failure.
        if failures == 1 && !self.shared.shutting_down.load(Relaxed) {
            tracing::error!("THE LOG IS NOT ARCHIVED: {error}");
        }
    }
}

/// As many cuts as come in a quarter of an hour.
const MARKS_MAX: usize = 1024;
const PRUNE_EACH: Duration = Duration::from_secs(300);
