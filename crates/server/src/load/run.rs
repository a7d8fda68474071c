//! The load from its beginning to its end, conducted by core 0: what is there, all of it in, what follows from that on the disk, and
//! then every core serves, or none.

use super::file::{FileFailure, FileJob, FileLoaded, LoadFile};
use super::order::{News, Order, give};
use super::progress::Progress;
use super::source::Import;
use super::{Job, LoadError, Recovered, Setback, Stopped, next_news, replay};
use crate::hop::Item;
use crate::node::Node;
use aof::Generation;
use aof::ends::{Dropped, Rule};
use durable::generation::Past;
use durable::layout::SetNumber;
use durable::log::LogWriter;
use durable::manifest::{DbKeys, Manifest};
use durable::recover::{self, Empty, Options, Plan, Replay};
use durable::staging::{FlowOrigin, Origin};
use durable::store::SetStore;
use durable::{Refusal, layout, sets};
use replication::flow::place::Place;
use replication::{Position, ReplId, StreamPosition};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use stdx::DbIndex;

/// Does all of it. All cores serve afterwards; or the server ends, with the reason in `control.failure`.
pub(crate) async fn run(node: Rc<Node>, job: Job) {
    let progress = Progress::begin(&node);
    reactor::task::spawn(super::progress::watch(Rc::clone(&node), Rc::clone(&progress)));
    *node.load.progress.borrow_mut() = Some(Rc::clone(&progress));
    let loaded = conduct(&node, &progress, job).await;
    progress.end();
    node.load.progress.take();
    match loaded {
        Ok((recovered, logs)) => {
            report(&node, &progress);
            // Before any core admits who might ask whether what is logged counts.
            let shared = Arc::clone(&node.state.borrow().core.shared);
            shared.log.set_begun(!logs.is_empty());
            if let Some(Generation(generation)) = node.control.data.generation() {
                tracing::info!(generation, "the log goes on with a new generation");
            }
            crate::replica::prepare(&node);
            let mut logs = logs.into_iter();
            let own = logs.next();
            for core in 1..usize::from(node.router.shards()) {
                let log = logs.next().map(Box::new);
                node.mailbox.outbox(core, |hop| hop.say(Item::Recovered(recovered, log)));
            }
            super::admit(&node, recovered, own);
            crate::replica::start(&node);
        }
        Err(Stopped::Asked) => tracing::info!("loading is given up: the server was asked to end"),
        Err(Stopped::Failed(error)) => {
            tracing::error!("{error}");
            *node.control.failure.lock().expect("no core panics") = Some(error);
            crate::stop::stop_all(&node);
        }
    }
}

/// The proof, and a log for each shard if any is written.
pub(super) type Done = (Recovered, Vec<LogWriter>);

/// The only place where a whole load is told from others.
async fn conduct(node: &Rc<Node>, progress: &Progress, job: Job) -> Result<Done, Stopped> {
    let Job { mut options, import, writes_log } = job;
    loop {
        progress.say("looking for data");
        let data = Arc::clone(&node.control.data);
        let found;
        (options, found) = errand(node, move || {
            let found = data.recover(&options);
            (options, found)
        })
        .await?;
        let plan = match found.map_err(LoadError::from)? {
            recover::Recovered::Empty(empty) => {
                return begin_empty(node, progress, empty, import, writes_log).await;
            }
            recover::Recovered::Whole(plan) => plan,
        };
        if let Some(import) = import {
            return Err(LoadError::ImportOverData { path: import.path }.into());
        }
        match load(node, progress, &plan).await {
            Ok(keys) => return accept(node, plan, keys, writes_log).await,
            Err(setback) => learn(setback, &plan, &mut options)?,
        }
        progress.again();
        empty(node).await?;
    }
}

/// What recovery is to know when it is asked again, after all that was loaded is of no use.
fn learn(setback: Setback, plan: &Plan, options: &mut Options) -> Result<(), Stopped> {
    match setback {
        Setback::Stopped(stopped) => return Err(stopped),
        Setback::Set(fault) => {
            let number = plan.set.as_ref().expect("a set was loaded").number;
            tracing::error!("snapshot set {number} cannot be loaded: {fault}");
            assert!(options.distrusted.insert(number, fault).is_none(), "a set is tried once");
        }
        Setback::Log(refusal) if options.verify_logs => return Err(LoadError::from(refusal).into()),
        Setback::Log(refusal) => {
            tracing::error!("the log cannot be loaded: {refusal}");
            options.verify_logs = true;
        }
    }
    Ok(())
}

/// Begins with nothing, or with files of Redis.
async fn begin_empty(
    node: &Rc<Node>,
    progress: &Progress,
    empty: Empty,
    import: Option<Import>,
    writes_log: bool,
) -> Result<Done, Stopped> {
    if let Some(reason) = &empty.given_up {
        tracing::error!(
            "on-load-failure is 'empty': the server begins with NOTHING, and what is in the data directory goes to \
             'quarantine' there. The reason: {reason}"
        );
    }
    if let Some(import) = import {
        return super::import::begin(node, progress, empty, import, writes_log).await;
    }
    let data = Arc::clone(&node.control.data);
    let shards = node.router.shards();
    let logs = errand(node, move || {
        data.accept_empty(empty)?;
        data.sweep_staged();
        if writes_log { Ok(data.begin(shards, Past::default())?) } else { Ok(Vec::new()) }
    });
    Ok((Recovered::empty(), logs.await?.map_err(|refusal: Refusal| LoadError::from(refusal))?))
}

/// Loads all of a plan; what each file of the set gave.
async fn load(node: &Rc<Node>, progress: &Progress, plan: &Plan) -> Result<Vec<Vec<DbKeys>>, Setback> {
    foretell(plan);
    node.state.borrow().core.shared.following.set_place(None);
    let logs: u64 = plan.replays.iter().map(bytes_of).sum();
    progress.files(plan.set.as_ref().map_or(0, Manifest::bytes) + logs);
    let shared = Arc::clone(&node.state.borrow().core.shared);
    shared.loading.log_bytes.store(logs, Relaxed);
    shared.loading.base_bytes.store(0, Relaxed);
    let keys = match (&plan.set, &plan.store) {
        (Some(manifest), Some(store)) => {
            load_set(node, progress, store, manifest, !plan.replays.is_empty()).await?
        }
        _ => Vec::new(),
    };
    for one in &plan.replays {
        progress.file(
            &format!("{}/{}", node.control.data.places.disk().name(), layout::generation(one.generation)),
            bytes_of(one),
        );
        replay::replay(node, one).await?;
    }
    Ok(keys)
}

/// Bytes of the logs that are to be replayed.
fn bytes_of(replay: &Replay) -> u64 {
    replay.ends.iter().zip(&replay.starts).map(|(end, start)| end.since(*start)).sum()
}

pub(super) async fn load_set(
    node: &Rc<Node>,
    progress: &Progress,
    store: &Arc<dyn SetStore>,
    manifest: &Manifest,
    has_replays: bool,
) -> Result<Vec<Vec<DbKeys>>, Setback> {
    progress.file(&format!("{}/{:010}", store.name(), manifest.number), manifest.bytes());
    let manifest = Arc::new(manifest.clone());
    let origin = origin(node, manifest.number).await?;
    let files = (0..manifest.files.len()).map(|place| LoadFile::OfSet {
        store: Arc::clone(store),
        manifest: Arc::clone(&manifest),
        place,
    });
    let mut keys = Vec::new();
    for (loaded, entry) in load_files(node, files.collect(), has_replays || origin.is_some())
        .await?
        .into_iter()
        .zip(&manifest.files)
    {
        let loaded = loaded.map_err(|failure| match failure {
            FileFailure::Fault(fault) => Setback::Set(fault),
            other => Setback::Stopped(other.into()),
        })?;
        node.state.borrow().core.shared.loading.base_bytes.fetch_add(loaded.bytes, Relaxed);
        sets::check_counts(store.as_ref(), &manifest, entry, &loaded.keys).map_err(Setback::Set)?;
        keys.push(loaded.keys);
    }
    if origin.is_some() {
        // Whatever the master's own files say of whose data it is there.
        node.state.borrow().core.shared.following.set_place(origin);
    }
    Ok(keys)
}

/// The place in a master's stream that a set is of, if it came from one.
async fn origin(node: &Node, set: SetNumber) -> Result<Option<Place>, Stopped> {
    let data = Arc::clone(&node.control.data);
    let read = errand(node, move || {
        let flows = FlowOrigin::read(&data.places, set)?;
        Ok::<_, durable::DiskError>(Origin::read(&data.places, set)?.map(|origin| (origin, flows)))
    });
    let origin = read.await?.unwrap_or_else(|error| {
        tracing::warn!(%error, set, "a master is asked for all of its data: it cannot be told whose this set is");
        None
    });
    Ok(origin.and_then(|(origin, flows)| {
        if let Some(flows) = flows {
            return Place::parse(flows.places.as_bytes());
        }
        let at = Position { replid: ReplId::parse(&origin.replid)?, offset: origin.offset };
        Some(Place::Stream(StreamPosition { at, db: DbIndex(origin.db) }))
    }))
}

/// Has all cores load files, and waits for all of them. If one cannot be loaded, the others are given up; what is wrong comes
/// before what was given up for it.
pub(super) async fn load_files(
    node: &Rc<Node>,
    files: Vec<LoadFile>,
    keeps_expired: bool,
) -> Result<Vec<Result<FileLoaded, FileFailure>>, Stopped> {
    let is_over = Arc::new(AtomicBool::new(false));
    let mut results: Vec<Option<Result<FileLoaded, FileFailure>>> = files.iter().map(|_| None).collect();
    for (index, file) in files.into_iter().enumerate() {
        let job = FileJob { index, file, keeps_expired, is_over: Arc::clone(&is_over) };
        give(node, index % usize::from(node.router.shards()), Order::File(Box::new(job)));
    }
    for _ in 0..results.len() {
        let News::File(index, result) = next_news(node).await? else {
            unreachable!("nothing else was asked for")
        };
        if result.is_err() {
            is_over.store(true, Relaxed);
        }
        results[index] = Some(result);
    }
    let mut results: Vec<_> = results.into_iter().flatten().collect();
    let failed =
        results.iter().position(|one| matches!(one, Err(FileFailure::Fault(_) | FileFailure::Failed(_))));
    match failed {
        Some(index) => Ok(vec![results.swap_remove(index)]),
        None => Ok(results),
    }
}

/// Has all cores forget what they have.
pub(super) async fn empty(node: &Rc<Node>) -> Result<(), Stopped> {
    let cores = usize::from(node.router.shards());
    for core in 0..cores {
        give(node, core, Order::Empty);
    }
    for _ in 0..cores {
        let News::Emptied = next_news(node).await? else { unreachable!("nothing else was asked for") };
    }
    node.state.borrow().core.shared.scripts.flush_libraries();
    Ok(())
}

/// Takes what was loaded for the dataset, and begins the next generation of the log.
async fn accept(
    node: &Rc<Node>,
    plan: Box<Plan>,
    keys: Vec<Vec<DbKeys>>,
    writes_log: bool,
) -> Result<Done, Stopped> {
    let data = Arc::clone(&node.control.data);
    let shards = node.router.shards();
    let logs = errand(node, move || {
        data.accept(&plan, &keys)?;
        data.sweep_staged();
        if !writes_log {
            return Ok(Vec::new());
        }
        let logs = data.begin(shards, plan.past())?;
        if let Err(error) = plan.trim(data.places.disk()) {
            tracing::warn!(%error, "the room behind the last log's end could not be given back");
        }
        Ok(logs)
    });
    Ok((Recovered::whole(), logs.await?.map_err(|refusal: Refusal| LoadError::from(refusal))?))
}

/// Has a thread do what blocks.
pub(super) async fn errand<T: Send + 'static>(
    node: &Node,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Stopped> {
    let mut errand = pin!(reactor::errand::run(THREAD, work));
    let done = poll_fn(|cx| match node.poll_stopping(cx) {
        Poll::Ready(()) => Poll::Ready(None),
        Poll::Pending => errand.as_mut().poll(cx).map(Some),
    });
    done.await.ok_or(Stopped::Asked)?.map_err(|error| LoadError::System(error).into())
}

/// Says what is known of a plan before it is loaded, and loudly what it does without.
fn foretell(plan: &Plan) {
    for note in &plan.notes {
        tracing::warn!("{note}");
    }
    if let Some(lost) = &plan.lost {
        tracing::error!(
            "on-load-failure is 'previous': the server goes back to the newest data that can be had, and what is newer is LOST \
             to it; it goes to 'quarantine' in the data directory. The reason: {}",
            lost.reason
        );
    }
    let is_of_a_time = matches!(plan.ends, Some((Rule::Time, _)));
    for (shard, dropped) in plan.dropped() {
        let Dropped { records, bytes, since, damage, .. } = dropped;
        let since = since.map(stdx::utc);
        if is_of_a_time {
            tracing::warn!(
                shard = shard.0,
                records,
                bytes,
                since,
                "what is newer is left out, as was asked for"
            );
            continue;
        }
        if let (Some((Rule::SameBoot, _)), Some(damage)) = (&plan.ends, damage) {
            let what = damage.to_string();
            tracing::warn!(
                shard = shard.0,
                bytes,
                since,
                what,
                "the end of the log is left out: it is no whole record, as a process leaves that is killed while it writes. The \
                 machine was not restarted since, so no loss of power did"
            );
            continue;
        }
        let what = damage.map_or_else(|| "power was lost".to_owned(), |damage| damage.to_string());
        tracing::warn!(
            shard = shard.0,
            records,
            bytes,
            since,
            what,
            "the end of the log is left out: it was not promised to be on the disk"
        );
    }
}

/// Says what was loaded, and loudly if it is more than the memory that there may be.
fn report(node: &Node, progress: &Progress) {
    let core = &node.state.borrow().core;
    let gauges = &core.shared.loading;
    if gauges.total_bytes.load(Relaxed) > 0 {
        let seconds = format!("{:.3}", progress.elapsed().as_secs_f64());
        let (keys, commands) = progress.some_counts();
        let expired = keys.map(|_| gauges.keys_expired.load(Relaxed));
        tracing::info!(keys, expired, commands, seconds, "loaded");
    }
    let (used, limit) = (core.used_bytes() as u64, core.config.maxmemory);
    if limit != 0 && used > limit {
        let policy = config::Choice::name(core.config.maxmemory_policy);
        let then = match core.config.maxmemory_policy {
            config::MaxmemoryPolicy::NoEviction => "writes will be refused",
            _ => "keys will be evicted as soon as the server serves",
        };
        tracing::error!(
            used_memory = used,
            maxmemory = limit,
            policy,
            "the data that was loaded takes more memory than maxmemory allows: {then}; raise maxmemory to keep all of it"
        );
    }
}

const THREAD: &str = "lacewing-data";
