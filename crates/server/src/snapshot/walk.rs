//! A shard's part in a snapshot: its capture goes into its file, slice by slice, between commands.
//!
//! A task per core, which waits for a part to come ([`open`], under the locks of a cut). A slice takes [`SLICE`] at most, and
//! then all other tasks have their turn: on a busy core the walk has the time of one slice in each turn of its loop, on an
//! idle one all of it.

use super::file::{Head, PIECE_BYTES, ShardFile};
use super::{Job, Message, SaveError};
use crate::node::{Node, State};
use crate::transaction;
use durable::manifest::{DbKeys, SetFile};
use keyspace::Budget;
use rdb::Version;
use rdb::file::Keys;
use shard::snapshot::{Bounds, RdbKeys, Step};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use stdx::{DbIndex, UnixMs};

/// A part that has come: its file, or why there is none.
type New = (Arc<Job>, Result<ShardFile, SaveError>);

/// What a core knows of its part.
#[derive(Default)]
pub(crate) struct Part {
    /// One that has come and was not begun.
    new: RefCell<Option<New>>,
    waker: RefCell<Option<Waker>>,
    /// The shard's count of changes at the opening.
    dirty: Cell<u64>,
}

impl Part {
    /// Has the walk look around: it may have been given up.
    pub(super) fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// There is a snapshot of what there was at the opening: how many changes are in it.
    pub(super) fn saved(&self) -> u64 {
        self.dirty.take()
    }
}

/// Has commands ask from now on whether they have to wait: the claim of the cut is being entered.
pub(crate) fn arm(state: &mut State) {
    if state.snapshot.is_idle() {
        state.snapshot.arm(Bounds::default());
    }
}

/// The cut did not come about, or has to be tried again: nobody waits for it.
pub(crate) fn disarm(node: &Node, state: &mut State) {
    if state.snapshot.is_armed() {
        state.snapshot.disarm();
        settle(node, state);
    }
}

/// The shard's part begins: what is there now is what the snapshot holds. Under the locks of a cut.
pub(crate) fn open(node: &Node, state: &mut State, job: &Arc<Job>, at: UnixMs) {
    let part = &node.snapshots.part;
    let seat = job.take_seat(node.id);
    let file = if job.is_cancelled() {
        // What it was armed for is cleared away with the part.
        Err(SaveError::Cancelled)
    } else {
        begin(node, state, job, at)
    };
    let file = file.and_then(|head| Ok(seat.sit_down(head)?));
    part.dirty.set(state.core.keyspace.stats.dirty);
    *part.new.borrow_mut() = Some((Arc::clone(job), file));
    part.wake();
}

fn begin(node: &Node, state: &mut State, job: &Job, at: UnixMs) -> Result<Head, SaveError> {
    // It is armed already, unless the locks were had without a claim.
    arm(state);
    let core = &mut state.core;
    let has_field_expiry =
        (0..core.keyspace.databases()).any(|db| core.keyspace.has_expiring_fields(DbIndex(db)));
    // The oldest that has words for what is there, so that as many servers as may be read it.
    let version = if has_field_expiry { Version::V12 } else { Version::V10 };
    let keeps_access = core.config.maxmemory_policy.asks_for_use();
    let keys =
        if job.how.is_for_others { Keys::new } else { Keys::exact }(version, job.how.compresses_strings);
    let libraries = match node.id.index() {
        0 => core.shared.scripts.libraries().0.iter().map(|library| library.code.to_vec()).collect(),
        _ => Vec::new(),
    };
    let used_bytes = core.used_bytes() as u64;
    state.snapshot.open(core, Box::new(RdbKeys::new(keys, keeps_access)), at);
    Ok(Head {
        version,
        created: at,
        used_bytes,
        shard: node.id,
        shards: node.router.shards(),
        set: job.set,
        // It counts in the first shard's file, whose it is; the others say by it that the data is a master's.
        position: core.shared.following.place(),
        libraries,
        databases: core.keyspace.captured_databases().to_vec(),
    })
}

/// Does the parts of this core's shard as they come, for as long as the core runs.
pub(crate) async fn serve(node: Rc<Node>) {
    loop {
        let (job, file) = next(&node).await;
        let result = match file {
            Ok(file) => write(&node, &job, file).await,
            Err(error) => Err(error),
        };
        if result.is_err() {
            clear(&node).await;
        }
        super::tell_home(&node, Message::Part(result));
    }
}

async fn next(node: &Node) -> New {
    let part = &node.snapshots.part;
    poll_fn(|cx| match part.new.borrow_mut().take() {
        Some(new) => Poll::Ready(new),
        None => {
            *part.waker.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        }
    })
    .await
}

/// Writes the shard's file to its end.
async fn write(node: &Rc<Node>, job: &Job, mut file: ShardFile) -> Result<SetFile, SaveError> {
    // The locks of the cut are still held.
    reactor::task::yield_now().await;
    loop {
        goes_on(node, job, &mut file)?;
        match slice(node, &mut file) {
            Step::More => reactor::task::yield_now().await,
            Step::Full => wait_for_room(node, job, &mut file).await?,
            Step::Whole => break,
            Step::Idle => unreachable!("nobody else ends it"),
        }
    }
    let keys = close(node, job, &mut file).await?;
    file.end(keys);
    loop {
        is_wanted(node, job)?;
        if let Some(outcome) = file.outcome() {
            return Ok(outcome?);
        }
        poll_fn(|cx| poll_anything(node, job, &mut file, cx)).await;
    }
}

fn is_wanted(node: &Node, job: &Job) -> Result<(), SaveError> {
    match () {
        () if job.is_cancelled() => Err(SaveError::Cancelled),
        () if node.stopping.get() => Err(SaveError::Ending),
        () => Ok(()),
    }
}

/// Whether the snapshot is wanted, and the file can be written on.
fn goes_on(node: &Node, job: &Job, file: &mut ShardFile) -> Result<(), SaveError> {
    is_wanted(node, job)?;
    match file.outcome() {
        Some(Err(error)) => Err(error.into()),
        Some(Ok(_)) => unreachable!("only its end makes it whole"),
        None => Ok(()),
    }
}

/// Goes on for a while.
fn slice(node: &Rc<Node>, file: &mut ShardFile) -> Step {
    let began = Instant::now();
    let step = {
        let state = &mut *node.state.borrow_mut();
        let step = loop {
            // Nothing is written that has no buffer to go to: a thread that is slow would have all buffers grow.
            if !pour(state, file, PIECE_BYTES) {
                break Step::Full;
            }
            match state.snapshot.slice(&mut state.core, BUDGET) {
                Step::Full | Step::More if began.elapsed() < SLICE => {}
                Step::Full => break Step::More,
                step => break step,
            }
        };
        tell_progress(node, state);
        settle(node, state);
        step
    };
    transaction::carry_out(node);
    step
}

/// Lets those go whose keys are captured.
fn settle(node: &Node, state: &mut State) {
    let mut has_ended = false;
    for guard in state.snapshot.take_ended() {
        state.participant.end_guard(guard);
        has_ended = true;
    }
    if has_ended {
        crate::wait::serve(state, crate::wait::Unit::Nothing, node.ticks.get().unix_ms());
        node.pass_on_wants(state);
    }
}

/// Hands over what is written, if it is so many bytes at least. False when there is no empty buffer to take its place.
fn pour(state: &mut State, file: &mut ShardFile, bytes_min: usize) -> bool {
    let Some(out) = state.snapshot.output(&mut state.core) else { return true };
    if out.len() < bytes_min {
        return true;
    }
    let Some(spare) = file.spare() else { return false };
    file.write(std::mem::replace(out, spare));
    true
}

fn tell_progress(node: &Node, state: &mut State) {
    let progress = state.snapshot.progress(&state.core);
    let gauges = &state.core.shared.saves.cores[node.id.index()];
    gauges.keys.store(progress.keys, Relaxed);
    gauges.captured.store(progress.captured, Relaxed);
    gauges.bytes.store(progress.written_bytes, Relaxed);
    let extra_bytes = (progress.kept_bytes + progress.output_bytes) as u64;
    gauges.extra_bytes.store(extra_bytes, Relaxed);
    gauges.extra_bytes_max.fetch_max(extra_bytes, Relaxed);
}

/// Hands over what is left, and ends the capture: what is in it.
async fn close(node: &Rc<Node>, job: &Job, file: &mut ShardFile) -> Result<Vec<DbKeys>, SaveError> {
    while !pour(&mut node.state.borrow_mut(), file, 1) {
        wait_for_room(node, job, file).await?;
        goes_on(node, job, file)?;
    }
    let state = &mut *node.state.borrow_mut();
    let databases = state.snapshot.close(&mut state.core).map_err(SaveError::Miscounted)?;
    Ok(databases.iter().map(|db| DbKeys { db: db.db.0, keys: db.captured }).collect())
}

/// Waits until a buffer has come back, or all is over. Errors: nothing has come back for long, while commands waited.
async fn wait_for_room(node: &Node, job: &Job, file: &mut ShardFile) -> Result<(), SaveError> {
    let mut stalled = Duration::ZERO;
    loop {
        let mut patience = pin!(reactor::timer::sleep(STALL_STEP));
        let has_news = poll_fn(|cx| match poll_anything(node, job, file, cx) {
            Poll::Ready(()) => Poll::Ready(true),
            Poll::Pending => patience.as_mut().poll(cx).map(|()| false),
        })
        .await;
        if has_news {
            return Ok(());
        }
        let is_awaited = node.state.borrow().snapshot.is_awaited();
        stalled = if is_awaited { stalled + STALL_STEP } else { Duration::ZERO };
        if stalled >= STALL_MAX {
            return Err(SaveError::Stalled { seconds: STALL_MAX.as_secs() });
        }
    }
}

fn poll_anything(node: &Node, job: &Job, file: &mut ShardFile, cx: &Context<'_>) -> Poll<()> {
    if job.is_cancelled() || node.poll_stopping(cx).is_ready() {
        return Poll::Ready(());
    }
    *node.snapshots.part.waker.borrow_mut() = Some(cx.waker().clone());
    file.poll_news(cx)
}

/// Gives the capture up, and clears away what it has left in the keyspace.
async fn clear(node: &Rc<Node>) {
    {
        let state = &mut *node.state.borrow_mut();
        state.snapshot.cancel(&mut state.core);
        settle(node, state);
    }
    transaction::carry_out(node);
    loop {
        let began = Instant::now();
        {
            let state = &mut *node.state.borrow_mut();
            while state.snapshot.slice(&mut state.core, BUDGET) != Step::Idle {
                if began.elapsed() >= SLICE {
                    break;
                }
            }
            if state.snapshot.is_idle() {
                return;
            }
        }
        reactor::task::yield_now().await;
    }
}

/// The walk has the core for so long at a time.
const SLICE: Duration = Duration::from_micros(50);
/// After so much the clock is looked at. A segment of the dictionary is looked through whole for whatever part of it is taken,
/// so all of it is.
const BUDGET: Budget = Budget { keys: 512, bytes: 64 << 10 };
/// When commands wait, and the disk takes nothing for so long, the snapshot is given up rather than they.
pub(super) const STALL_MAX: Duration = Duration::from_secs(10);
const STALL_STEP: Duration = Duration::from_secs(1);
