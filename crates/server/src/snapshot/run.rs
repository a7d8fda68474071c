//! Core 0: takes snapshots, one after the other.

use super::file::{How, Seat};
use super::{Job, SaveError, Waiter, Wanted, answer, replicas, single, tell_all};
use crate::clock::unix_ms;
use crate::cut::{self, Deed, Taken};
use crate::data_dir::DataDir;
use crate::flows::Flows;
use crate::journal::switch::NewLogs;
use crate::node::Node;
use commands::saves::{Current, Form, Saved};
use config::{AppendFsync, Config, SnapshotCompression};
use durable::generation::Waiting;
use durable::manifest::{Manifest, Position, SetFile};
use durable::sets::{Commit, Draft, Pruned};
use durable::store::StoreTrouble;
use reactor::cores::stand_back;
use reactor::task::offload;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Instant;
use stdx::ShardId;
use stdx::rng::Rng;

/// Takes what is asked for, for as long as the core runs.
pub(super) async fn serve(node: Rc<Node>) {
    let shared = Arc::clone(&node.state.borrow().core.shared);
    while let Some(current) = next(&node).await {
        let waiting = node.snapshots.desk.waiting.take();
        let began = Instant::now();
        node.control.saving.store(true, Relaxed);
        let wanted = replicas::wanted(&waiting);
        node.snapshots.desk.is_for_replicas.set(wanted.is_some());
        node.snapshots.desk.is_for_others.set(wanted.is_some_and(Wanted::is_for_others));
        node.snapshots.desk.is_unfinished.set(true);
        let result = run(&node)
            .await
            .map_err(|error| if is_of_the_end(&node, &error) { SaveError::Ending } else { error });
        node.snapshots.desk.is_unfinished.set(false);
        let single = match &result {
            Ok(manifest) if wants_single(&waiting) => save_single(&node, manifest.clone()).await,
            _ => Ok(()),
        };
        let payloads = match (&result, wanted) {
            (Ok(manifest), Some(wanted)) => Some(replicas::make(&node, manifest.clone(), wanted).await),
            _ => None,
        };
        let files = match &result {
            Ok(manifest) if replicas::are_flows(&waiting) => {
                Some(replicas::open(&node, manifest.clone()).await)
            }
            _ => None,
        };
        node.control.saving.store(false, Relaxed);
        node.snapshots.desk.under_way.take();
        node.snapshots.desk.parts.take();
        report(&current, &result, began);
        let now = unix_ms();
        match &result {
            Ok(manifest) => {
                let saved = Saved { set: manifest.number, keys: manifest.keys(), bytes: manifest.bytes() };
                shared.saves.end(Ok(saved), now);
                tell_all(&node, || super::Message::Saved);
            }
            Err(SaveError::Cancelled | SaveError::Ending) => shared.saves.end_cancelled(),
            Err(error) => shared.saves.end(Err(error.to_string()), now),
        }
        match &result {
            Ok(_) => cut::policy::changed(&node),
            Err(error) => {
                cut::policy::refuse(&node, &format!("the snapshot that the log begins with failed: {error}"));
            }
        }
        super::tell_health(&node.state.borrow().core);
        let result = result.map(|_| ()).map_err(|error| error.to_string());
        let single = result.clone().and(single);
        answer(&node, waiting, &result, &single, payloads.as_ref(), files.as_ref());
    }
    let waiting = node.snapshots.desk.waiting.take();
    let result = Err(SaveError::Ending.to_string());
    answer(&node, waiting, &result, &result, None, None);
}

/// Whether a snapshot failed because the server ends, which has its dealings with a store over a network end first.
fn is_of_the_end(node: &Node, error: &SaveError) -> bool {
    let SaveError::Disk(error) = error else { return false };
    node.stopping.get() && error.store_trouble() == Some(StoreTrouble::Unreachable)
}

fn wants_single(waiting: &[Waiter]) -> bool {
    waiting.iter().any(|waiter| matches!(waiter, Waiter::Client(_, _, Form::SingleFile)))
}

/// Writes a set's data as one RDB file, on a thread. Errors: why there is none, for those who wait.
async fn save_single(node: &Node, manifest: Manifest) -> Result<(), String> {
    let data = Arc::clone(&node.control.data);
    let name = node.state.borrow().core.config.dbfilename.clone().unwrap_or_default();
    let (set, file) = (manifest.number, name.clone());
    let places = data.places.clone();
    let saved =
        offload(move || single::save(places.disk(), places.target().as_ref(), &manifest, &name)).await;
    let saved =
        saved.map_err(|error| error.to_string()).and_then(|saved| saved.map_err(|error| error.to_string()));
    match &saved {
        Ok(bytes) => tracing::info!(set, file, bytes, "the snapshot was written as one RDB file, too"),
        Err(error) => tracing::error!(set, file, error, "the snapshot could not be written as one RDB file"),
    }
    saved.map(|_| ())
}

/// Waits for something to take. `None` when the server ends.
async fn next(node: &Node) -> Option<Current> {
    let shared = Arc::clone(&node.state.borrow().core.shared);
    let desk = &node.snapshots.desk;
    poll_fn(|cx| {
        if node.poll_stopping(cx).is_ready() {
            return Poll::Ready(None);
        }
        *desk.waker.borrow_mut() = Some(cx.waker().clone());
        if desk.is_barred.get() {
            return Poll::Pending;
        }
        let waits = !desk.waiting.borrow().is_empty();
        shared.saves.next(waits, unix_ms()).map_or(Poll::Pending, |current| Poll::Ready(Some(current)))
    })
    .await
}

fn report(current: &Current, result: &Result<Manifest, SaveError>, began: Instant) {
    let (kind, seconds) = (current.kind, format!("{:.3}", began.elapsed().as_secs_f64()));
    match result {
        Ok(manifest) => {
            let (set, keys, bytes) = (manifest.number, manifest.keys(), manifest.bytes());
            tracing::info!(?kind, set, keys, bytes, seconds, "snapshot taken");
        }
        Err(SaveError::Cancelled) => tracing::info!(?kind, seconds, "snapshot cancelled"),
        Err(SaveError::Ending) => tracing::info!(?kind, "snapshot given up: the server ends"),
        Err(error) => {
            tracing::error!(?kind, seconds, "NO SNAPSHOT was taken: {error}; the one before is untouched");
        }
    }
}

async fn run(node: &Rc<Node>) -> Result<Manifest, SaveError> {
    let data = Arc::clone(&node.control.data);
    let (how, keep, log) = {
        let config = &node.state.borrow().core.config;
        // Whoever asks for a log has seen to it that one may begin: see `journal::switch`.
        let is_expected = node.control.expects_log.load(Relaxed);
        let begins_log = config.appendonly && is_expected && !node.journal.is_on();
        let how = How { is_for_others: node.snapshots.desk.is_for_others.get(), ..how(config) };
        (how, config.snapshot_keep as usize, begins_log.then_some(config.appendfsync))
    };
    let (shards, seed) = (node.router.shards(), node.state.borrow_mut().core.rng.next_u64());
    let (draft, job, mut waiting) = {
        let data = Arc::clone(&data);
        offload(move || {
            stand_back();
            prepare(&data, shards, how, seed, log)
        })
        .await??
    };
    *node.snapshots.desk.under_way.borrow_mut() = Some(Arc::clone(&job));
    tracing::info!(set = job.set, "taking a snapshot");
    let written = write(node, &job).await;
    match written {
        Ok((taken, files, log_bytes)) => {
            let flows = Arc::clone(&node.control.flows);
            let (committed, waiting) = offload(move || {
                stand_back();
                let committed = commit(&data, &flows, draft, (&taken, files), keep, &mut waiting);
                (committed, waiting)
            })
            .await?;
            let (manifest, pruned) = match committed {
                Ok(committed) => committed,
                Err(error) => {
                    abandon(node, waiting);
                    return Err(error);
                }
            };
            let shared = &node.state.borrow().core.shared;
            let log = &shared.log;
            if waiting.is_some() {
                log.set_begun(true);
                tracing::info!(set = manifest.number, "the log has begun, and goes on from this snapshot");
                if !node.journal.is_on() {
                    // It was switched off again meanwhile, and ends there.
                    node.control.data.end_log();
                }
            }
            log.set_base(shared.saves.sum(|core| &core.bytes), 0, log_bytes);
            tell_pruned(pruned);
            Ok(manifest)
        }
        Err(error) => {
            abandon(node, waiting);
            // What cannot be removed now is removed before the next one.
            let aborted = offload(move || draft.abort()).await;
            if let Ok(Err(error)) = aborted {
                tracing::warn!(%error, "what was written of a snapshot is left behind");
            }
            Err(error)
        }
    }
}

/// What logs were to continue does not come about: they end, and others are made later.
fn abandon(node: &Rc<Node>, waiting: Option<Waiting>) {
    if let Some(waiting) = waiting {
        node.cuts.policy.give_up(waiting);
    }
}

fn how(config: &Config) -> How {
    let compresses_files = config.snapshot_compression == SnapshotCompression::Zstd;
    How {
        compresses_files,
        compresses_strings: config.rdbcompression && !compresses_files,
        sync_bytes: config.rdb_save_incremental_fsync.then_some(SYNC_BYTES),
        is_for_others: false,
    }
}

/// On a thread: a number for the set, and files; and logs, if any are to begin with it.
fn prepare(
    data: &DataDir,
    shards: u16,
    how: How,
    seed: u64,
    log: Option<AppendFsync>,
) -> Result<(Draft, Arc<Job>, Option<Waiting>), SaveError> {
    let (mut logs, mut waiting) = (None, None);
    if let Some(policy) = log {
        let (later, writers) = data.begin_later(shards)?;
        (logs, waiting) = (Some(NewLogs::new(writers, policy)), Some(later));
    }
    let prepared = prepare_files(data, shards, how, seed, logs);
    if let (Err(_), Some(waiting)) = (&prepared, waiting.take_if(|_| prepared.is_err())) {
        // The first error is the one that matters.
        let _ = waiting.give_up(&data.places);
    }
    prepared.map(|(draft, job)| (draft, job, waiting))
}

fn prepare_files(
    data: &DataDir,
    shards: u16,
    how: How,
    seed: u64,
    logs: Option<NewLogs>,
) -> Result<(Draft, Arc<Job>), SaveError> {
    let mut held = data.held().ok_or(SaveError::NotLoaded)?;
    let (_, loaded) = held.parts();
    if let Err(error) = loaded.sweep(&data.places, None) {
        tracing::warn!(%error, "what an earlier snapshot has left behind cannot be removed");
    }
    let draft = Draft::begin(&data.places, loaded, &mut Rng::new(seed))?;
    match seats(&draft, shards, how) {
        Ok(seats) => {
            let is_cancelled = AtomicBool::new(false);
            let job = Job { set: draft.number(), how, seats, is_cancelled, logs };
            Ok((draft, Arc::new(job)))
        }
        Err(error) => {
            // The first error is the one that matters.
            let _ = draft.abort();
            Err(error)
        }
    }
}

fn seats(draft: &Draft, shards: u16, how: How) -> Result<Vec<Mutex<Option<Seat>>>, SaveError> {
    let seat = |shard| {
        let file = draft.file(ShardId(shard), how.compresses_files)?;
        Ok(Mutex::new(Some(Seat::start(file, how)?)))
    };
    (0..shards).map(seat).collect()
}

/// The cut, the files of all shards, and how much had been written to the logs by then.
async fn write(node: &Rc<Node>, job: &Arc<Job>) -> Result<(Taken, Vec<SetFile>, u64), SaveError> {
    let taken = cut::take(node, Deed::Capture(Arc::clone(job))).await.map_err(|_| SaveError::Ending)?;
    if node.snapshots.desk.is_for_replicas.get() {
        crate::master::captured(node, taken.number);
    }
    let log_bytes = node.state.borrow().core.shared.log.written_bytes();
    let shards = node.router.shards() as usize;
    let desk = &node.snapshots.desk;
    let mut files = Vec::with_capacity(shards);
    let mut failure = None;
    for _ in 0..shards {
        let part = poll_fn(|cx| {
            if let Some(part) = desk.parts.borrow_mut().pop() {
                return Poll::Ready(part);
            }
            *desk.waker.borrow_mut() = Some(cx.waker().clone());
            node.poll_stopping(cx).map(|()| Err(SaveError::Ending))
        })
        .await;
        match part {
            Ok(file) => files.push(file),
            // The other cores end too; nobody answers any more.
            Err(SaveError::Ending) => return Err(SaveError::Ending),
            Err(error) => {
                // The first says why; those after it were given up for it.
                failure.get_or_insert(error);
                super::give_up(node);
            }
        }
    }
    if let Some(failure) = failure {
        return Err(failure);
    }
    on_disk(node, job, &taken).await?;
    Ok((taken, files, log_bytes))
}

/// The set says that its log goes on at the cut: the cut is on the disk before the set is there. A disk that fails is waited for, unless
/// the snapshot is given up.
async fn on_disk(node: &Rc<Node>, job: &Job, taken: &Taken) -> Result<(), SaveError> {
    let mut on_disk = pin!(cut::on_disk(node, taken));
    poll_fn(|cx| {
        if job.is_cancelled() {
            return Poll::Ready(Err(SaveError::Cancelled));
        }
        *node.snapshots.desk.waker.borrow_mut() = Some(cx.waker().clone());
        match on_disk.as_mut().poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(true)) => Poll::Ready(Ok(())),
            Poll::Ready(Ok(false)) => Poll::Ready(Err(SaveError::LogEnded)),
            Poll::Ready(Err(cut::Ending)) => Poll::Ready(Err(SaveError::Ending)),
        }
    })
    .await
}

/// On a thread: what was written becomes a set, and what it makes needless goes.
fn commit(
    data: &DataDir,
    flows: &Flows,
    draft: Draft,
    (taken, files): (&Taken, Vec<SetFile>),
    keep: usize,
    waiting: &mut Option<Waiting>,
) -> Result<(Manifest, Pruned), SaveError> {
    // A log that has begun to wait was made before its cut, and has nothing of what was before.
    let generation = match waiting.as_ref().map(Waiting::generation).or(taken.generation) {
        Some(generation) => generation,
        None => durable::generation::next(&data.places)?,
    };
    let mut held = data.held().ok_or(SaveError::NotLoaded)?;
    let (identity, loaded) = held.parts();
    let cut = if taken.lsns.is_empty() { 0 } else { taken.number };
    let commit = Commit {
        node: identity.node,
        version: commands::VERSION.to_owned(),
        cut: taken.at,
        now: unix_ms(),
        position: Position { generation, cut, lsns: taken.lsns.clone() },
    };
    let manifest = draft.commit(commit, files, identity, loaded).inspect_err(|_| {
        // The first error is the one that matters.
        let _ = loaded.sweep(&data.places, None);
    })?;
    if let Some(waiting) = waiting {
        waiting.begin(&data.places, manifest.number, identity)?;
        data.begun(waiting.generation());
    }
    let pruned =
        loaded.prune_but(&data.places, keep, &flows.needed(data.generation())).unwrap_or_else(|error| {
            tracing::warn!(%error, "older snapshots, or the log before them, cannot be removed");
            Pruned::default()
        });
    Ok((manifest, pruned))
}

fn tell_pruned(pruned: Pruned) {
    if pruned != Pruned::default() {
        let Pruned { sets, log_files, strangers } = pruned;
        if !strangers.is_empty() {
            tracing::error!(
                ?strangers,
                "ANOTHER SERVER of this node writes snapshots to the same place: nothing is removed there; stop one of them"
            );
        } else {
            tracing::info!(?sets, log_files, "what the new snapshot makes needless was removed");
        }
    }
}

/// The disk is told to follow after so many bytes, as Redis does.
const SYNC_BYTES: u64 = 32 << 20;
