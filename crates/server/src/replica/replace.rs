//! A grant is carried out: the data of all cores becomes that which has come, in one step.
//!
//! ```text
//!  no snapshot is under way, and none begins
//!  a cut: all shards are locked, no command is let in            failure: the old data goes on
//!  the logs of the next generation are made                      the same: there is room for what is written behind the new data
//!  the manifest gets its name                               ◄──  from here on the new data is the present
//!  the old logs end; everything is forgotten; the set is loaded  failure: the process ends, the next start loads it
//!      or: the keyspaces that were filled beside the others take their place
//!  the next generation begins; every core has its log, and knows where it stands
//!  commands are let in; the locks go
//! ```
//!
//! What is in memory already takes no time to put in: then commands are not refused, but wait for the locks. What is not kept on the disk
//! ([`super::beside`]) has no manifest, and its step is the exchange.

use super::round::{self, Round};
use super::staging::Verified;
use super::{Event, Message};
use crate::clock::unix_ms;
use crate::cut::{self, Deed, Ending, Meanwhile};
use crate::journal::sink::LogSink;
use crate::load::{self, Incoming, LoadError, Recovered};
use crate::node::Node;
use durable::generation::Waiting;
use durable::log::LogWriter;
use durable::manifest::SetFile;
use durable::staging::Source;
use durable::{Manifest, Staging, StagingError};
use reactor::task::offload;
use reactor::timer;
use replication::flow::place::Place;
use replication::{ResyncGrant, StreamPosition};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};
use std::task::Poll;
use std::time::Duration;

/// What came of it.
pub(super) enum Outcome {
    /// The data is the new one, in memory and on the disk.
    Replaced(Place),
    /// It is the old one, for this reason.
    Unchanged(String),
    /// The server ends.
    Over,
}

/// Carries a grant out, and tells the role.
pub(super) async fn carry_out(node: Rc<Node>, grant: ResyncGrant, verified: Verified) {
    let attempt = grant.attempt();
    let outcome = exchange(&node, &grant, verified).await;
    crate::snapshot::unbar(&node);
    crate::cut::policy::changed(&node);
    node.replica.desk.put(Event::Replaced(attempt, outcome));
}

async fn exchange(node: &Rc<Node>, grant: &ResyncGrant, verified: Verified) -> Outcome {
    if !has_no_snapshot(node).await {
        return Outcome::Over;
    }
    let writes_log = node.state.borrow().core.config.appendonly;
    if writes_log {
        // Transactions that would let their last shard go before their end are to be over before a log begins.
        node.control.expects_log.store(true, Relaxed);
    }
    let standing = Round::begin(node).await;
    let meanwhile = if verified.incoming.is_some() { Meanwhile::Wait } else { Meanwhile::Refused };
    let mut cut = pin!(cut::take(node, Deed::Replace(meanwhile)));
    let mut work = pin!(under_locks(node, standing, grant, verified, writes_log));
    let mut taken = None;
    let outcome = poll_fn(|cx| {
        if taken.is_none()
            && let Poll::Ready(result) = cut.as_mut().poll(cx)
        {
            taken = Some(result);
        }
        if matches!(taken, Some(Err(Ending))) {
            return Poll::Ready(Outcome::Over);
        }
        work.as_mut().poll(cx)
    })
    .await;
    if taken.is_none() && !matches!(outcome, Outcome::Over) {
        // The locks go.
        let _ = cut.await;
    }
    outcome
}

/// A snapshot of the old data would get a number above that of the new. False if the server ends.
async fn has_no_snapshot(node: &Rc<Node>) -> bool {
    loop {
        crate::snapshot::bar(node);
        if node.stopping.get() {
            return false;
        }
        if !node.control.is_saving() && !node.cuts.policy.is_void() {
            return true;
        }
        timer::sleep(LOOK).await;
    }
}

/// What is done when all cores stand still.
async fn under_locks(
    node: &Rc<Node>,
    standing: Round<'_>,
    grant: &ResyncGrant,
    verified: Verified,
    writes_log: bool,
) -> Outcome {
    if standing.end().await.is_none() {
        return Outcome::Over;
    }
    let place = match &verified.flows {
        Some(flows) => Place::Flows(flows.clone()),
        None => Place::Stream(StreamPosition { at: grant.position(), db: verified.db }),
    };
    tracing::info!(keys = grant.keys(), %place, "the data is replaced by the master's");
    let Verified { staging, files, incoming, .. } = verified;
    let committed = match staging {
        Some(staging) => commit(node, (staging, files), &place, writes_log).await.map(Some),
        // The log could not begin behind what is in memory alone.
        None if writes_log => {
            Err(Uncommitted::Unchanged("the log was switched on while the data came".to_owned()))
        }
        None => Ok(None),
    };
    let committed = match committed {
        Ok(committed) => committed,
        Err(Uncommitted::Unchanged(why)) => {
            return go_on(node, None, Outcome::Unchanged(why)).await;
        }
        Err(Uncommitted::InDoubt(why)) => return fail(node, why),
    };
    match put_in(node, committed, incoming, &place).await {
        Ok(Some(recovered)) => {
            crate::master::replaced(node);
            go_on(node, Some(recovered), Outcome::Replaced(place)).await
        }
        Ok(None) => {
            // Those who wait for the locks are not waited for.
            crate::stop::hurry(node);
            Outcome::Over
        }
        Err(why) => fail(node, why),
    }
}

/// What came of it, once all cores serve again: who is told of it finds it so.
async fn go_on(node: &Rc<Node>, recovered: Option<Recovered>, outcome: Outcome) -> Outcome {
    match round::all(node, |_| Message::GoOn(recovered)).await {
        Some(_) => outcome,
        None => Outcome::Over,
    }
}

/// Why the new data is not the present.
enum Uncommitted {
    Unchanged(String),
    InDoubt(String),
}

/// What is on the disk for good.
struct Committed {
    manifest: Manifest,
    /// The logs that go on behind it, if any are to, and will begin when it is in memory.
    log: Option<(Waiting, Vec<LogWriter>)>,
}

/// The step that a crash cannot split, on a thread.
async fn commit(
    node: &Node,
    (staging, files): (Staging, Vec<SetFile>),
    place: &Place,
    writes_log: bool,
) -> Result<Committed, Uncommitted> {
    let (data, shards) = (Arc::clone(&node.control.data), node.router.shards());
    let (at, db) = (place.at(), place.db());
    let flows = matches!(place, Place::Flows(_)).then(|| place.to_string());
    let committed = offload(move || {
        // What cannot be gone on with is not begun.
        let log = if writes_log { Some(data.begin_later(shards)?) } else { None };
        let mut held = data.held().expect("the load was whole");
        let (identity, loaded) = held.parts();
        let source = Source {
            replid: at.replid.as_str().as_bytes().try_into().expect("it has 40 characters"),
            offset: at.offset,
            db: db.0,
            flows,
            node: identity.node,
            log: log.as_ref().map(|(waiting, _)| waiting.generation()),
            version: commands::VERSION.to_owned(),
            now: unix_ms(),
        };
        match staging.commit(source, files, identity, loaded) {
            Ok(manifest) => Ok(Committed { manifest, log }),
            Err(error) => {
                if let (StagingError::Unchanged(_), Some((waiting, _))) = (&error, log) {
                    // The first error is the one that matters.
                    let _ = waiting.give_up(&data.places);
                }
                Err(error)
            }
        }
    });
    match committed.await {
        Ok(Ok(committed)) => Ok(committed),
        Ok(Err(StagingError::Unchanged(fault))) => Err(Uncommitted::Unchanged(fault.to_string())),
        Ok(Err(error @ StagingError::InDoubt(_))) => Err(Uncommitted::InDoubt(error.to_string())),
        Err(error) => Err(Uncommitted::Unchanged(error.to_string())),
    }
}

/// The new data into all cores, out of the set or, if it is in memory already, from there; and the log that goes on behind it. `None`
/// if the server is asked to end. Errors: there is no whole dataset in memory, or not the one that a start would find.
async fn put_in(
    node: &Rc<Node>,
    committed: Option<Committed>,
    incoming: Option<Incoming>,
    place: &Place,
) -> Result<Option<Recovered>, String> {
    if round::all(node, |_| Message::LeaveLog).await.is_none() {
        return Ok(None);
    }
    node.control.data.end_log();
    let shared = Arc::clone(&node.state.borrow().core.shared);
    shared.log.set_begun(false);
    let exchanged = incoming.as_ref().map(|incoming| incoming.recovered);
    let recovered = match (incoming, &committed) {
        (Some(incoming), _) => {
            load::is_over(node);
            shared.scripts.take_libraries(&incoming.libraries);
            shared.loading.base_bytes.store(incoming.bytes, Relaxed);
            incoming.recovered
        }
        (None, Some(committed)) => match load::replace(node, &committed.manifest).await? {
            Some(recovered) => recovered,
            None => return Ok(None),
        },
        (None, None) => unreachable!("what is to be put in is in memory or on the disk"),
    };
    let log = committed.and_then(|committed| Some((committed.manifest.number, committed.log?)));
    let writes_log = log.is_some();
    let mut logs: Vec<Option<Box<LogWriter>>> = Vec::new();
    if let Some((set, (mut waiting, writers))) = log {
        let data = Arc::clone(&node.control.data);
        let begun = offload(move || data.begin_behind(set, &mut waiting));
        begun.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        logs = writers.into_iter().map(|log| Some(Box::new(log))).collect();
    }
    let begin = |shard: stdx::ShardId| {
        let log = logs.get_mut(shard.index()).and_then(Option::take);
        Message::Begin(Box::new(place.clone()), log, exchanged)
    };
    if round::all(node, begin).await.is_none() {
        return Ok(None);
    }
    shared.log.set_begun(writes_log);
    shared.log.set_base(shared.loading.base_bytes.load(Relaxed), 0, shared.log.written_bytes());
    Ok(Some(recovered))
}

/// The data in memory is not the present, and the present is not in memory: the process ends.
fn fail(node: &Rc<Node>, reason: String) -> Outcome {
    let error = LoadError::Replacement { reason };
    tracing::error!("{error}");
    node.control.failure.lock().expect("no core panics").get_or_insert(error);
    crate::stop::stop_all(node);
    crate::stop::hurry(node);
    Outcome::Over
}

/// What has come beside the data of this core takes its place, under the locks of all.
pub(super) fn exchange_here(node: &Node, recovered: Recovered) {
    node.replica.turns.take();
    let core = &mut node.state.borrow_mut().core;
    let incoming = core.incoming.take().expect("all of it was put in here");
    core.keyspace.exchange(*incoming, node.ticks.get().unix_ms());
    // It is served with the proof of what it is.
    node.admission.close();
    node.admission.open(recovered);
}

/// The new data is in all cores: this one's journal begins, and says where it stands.
pub(super) fn begin_here(node: &Node, place: &Place, log: Option<LogWriter>) {
    let state = &mut *node.state.borrow_mut();
    if let Some(log) = log {
        let sink = LogSink::start(log, node.journal.bell()).expect("a thread for the log");
        let policy = state.core.config.appendfsync;
        node.journal.start(&mut state.core, sink, policy, node.cuts.performed());
    }
    crate::follow::set_here(node, state, place);
    // What was loaded is in the set.
    state.core.keyspace.stats.dirty = 0;
    state.core.is_loading = false;
    commands::tracking::flushed(&mut state.core);
    shard::tell_memory(&mut state.core);
    node.pass_on_wants(state);
}

/// Commands are let in, and the locks may go.
pub(super) fn go_on_here(node: &Rc<Node>, recovered: Option<Recovered>) {
    // What was exchanged in memory was served all the while.
    if let Some(before) = node.replica.before.take() {
        let core = &mut node.state.borrow_mut().core;
        core.is_loading = false;
        node.admission.open(recovered.unwrap_or(before));
        core.shared.loading.refusing.fetch_sub(1, AcqRel);
    }
    if node.id == cut::HOME {
        cut::go_on(node);
    }
}

/// How often it is looked whether a snapshot has ended.
const LOOK: Duration = Duration::from_millis(10);
