//! One core of the server: its shard, its connections, and the ways between it and the other cores.

use crate::clock::Ticks;
use crate::connection::Link;
use crate::data_dir::DataDir;
use crate::hop::{Hop, Item, Sink};
use crate::journal::Journal;
use crate::load::{Admission, LoadError, Returned};
use crate::lookahead::Lookahead;
use crate::publish::Publishing;
use crate::script::Scripts;
use crate::script::busy::Busy;
use crate::transaction::{OrderPart, Parked};
use aof::Lsn;
use commands::{ClientSlot, Core};
use coordinator::locks::TxId;
use coordinator::participant::Participant;
use coordinator::router::Router;
use keyspace::Keyspace;
use reactor::mailbox::Mailbox;
use shard::Waitroom;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use stdx::{ShardId, UnixMs};

/// Everything on one core. Its tasks share it through an `Rc`; none of them holds a borrow while it waits.
pub(crate) struct Node {
    pub(crate) id: ShardId,
    pub(crate) router: Router,
    pub(crate) state: RefCell<State>,
    pub(crate) mailbox: Mailbox<Hop>,
    pub(crate) links: RefCell<Links>,
    pub(crate) publishing: Publishing,
    pub(crate) journal: Journal,
    pub(crate) cuts: crate::cut::Cuts,
    pub(crate) masters: crate::master::Desk,
    pub(crate) flows: crate::flows::Desk,
    pub(crate) archiving: crate::archive::Archiving,
    pub(crate) handled: crate::mail::Handled,
    pub(crate) flushes: crate::track::Flushes,
    pub(crate) timeouts: crate::wait::Timeouts,
    pub(crate) snapshots: crate::snapshot::Snapshots,
    pub(crate) log_waiters: crate::wait::LogWaiters,
    /// Where sockets are read into; a connection that has nothing left over needs no buffer of its own.
    pub(crate) read_buffer: RefCell<Box<[u8]>>,
    pub(crate) lookahead: RefCell<Lookahead>,
    pub(crate) spreads: crate::spread::Pool,
    /// For the command at hand: where its keys are, and which shards have them.
    pub(crate) keys: RefCell<(Vec<u32>, crate::spread::Deal)>,
    pub(crate) ticks: Cell<Ticks>,
    /// The pause in force: see [`crate::stop::Fence`] for who asks for it.
    pub(crate) pause: Cell<Option<Pause>>,
    pub(crate) fence: crate::stop::Fence,
    /// Clients are over maxmemory-clients, and none of this core's can be evicted for it: until the next round.
    pub(crate) evicts_in_vain: Cell<bool>,
    pub(crate) scripts: Scripts,
    /// Set once: the core stops accepting and its connections end.
    pub(crate) stopping: Cell<bool>,
    /// Set once after that: what is under way is not waited for any longer, and nothing of it counts.
    pub(crate) is_giving_up: Cell<bool>,
    pub(crate) replica: crate::replica::Replica,
    /// On core 0: who has asked for the end.
    pub(crate) ending: crate::stop::Desk,
    /// Who waits for `stopping`.
    pub(crate) stop_waiters: RefCell<Vec<Waker>>,
    pub(crate) control: Arc<Control>,
    /// Whether commands on data are let in.
    pub(crate) admission: Admission,
    /// Batches of a load that have come back.
    pub(crate) returned: Returned,
    /// On core 0: a master's stream, as it is applied.
    pub(crate) applying: crate::follow::Applying,
    /// What it is told of loading, and on core 0 what others tell.
    pub(crate) load: crate::load::Desks,
}

/// What commands work on.
pub(crate) struct State {
    pub(crate) core: Core,
    pub(crate) participant: Participant<Parked, Ordered>,
    /// Where a command over keys of several shards runs; made when the first one comes.
    pub(crate) scratch: Option<Keyspace>,
    /// Who waits for keys of this shard.
    pub(crate) waitroom: Waitroom<Sink>,
    /// The shard's part in a snapshot.
    pub(crate) snapshot: shard::Snapshot<TxId>,
}

/// What an order of a transaction carries.
pub(crate) enum Ordered {
    Work(OrderPart),
    Spread(Box<crate::spread::Queued>),
    Cut(Arc<crate::cut::Cut>),
}

/// CLIENT PAUSE in force.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pause {
    pub(crate) until: UnixMs,
    pub(crate) writes_only: bool,
}

impl Pause {
    /// A second pause while one is in force: it may tighten it and lengthen it, never the other way round.
    pub(crate) fn merged(old: Option<Self>, new: Self, now: UnixMs) -> Self {
        match old {
            Some(old) if old.until > now => {
                Self { until: old.until.max(new.until), writes_only: old.writes_only && new.writes_only }
            }
            _ => new,
        }
    }
}

/// What the cores tell each other without messages.
#[derive(Debug)]
pub(crate) struct Control {
    /// How often the service manager wants to hear that all cores live.
    pub(crate) watchdog: Option<Duration>,
    /// Each core adds one in every round of its periodic work: what the watchdog watches.
    pub(crate) heartbeats: Vec<AtomicU64>,
    /// The number of the next transaction over several shards.
    pub(crate) next_tx: AtomicU64,
    /// Which shards are busy with scripts.
    pub(crate) busy: Busy,
    /// A log is about to be begun: transactions that write keep their locks as if there were one.
    pub(crate) expects_log: AtomicBool,
    /// The journals are about to be tapped for replicas: the same.
    pub(crate) expects_tap: AtomicBool,
    /// What they are tapped for.
    pub(crate) taps: Arc<crate::journal::tap::Taps>,
    /// Replicas that are sent the logs.
    pub(crate) flows: Arc<crate::flows::Flows>,
    /// All that was imported is there, and is written before anybody is served: a cut is welcome though no command is.
    pub(crate) keeps_import: AtomicBool,
    /// How many cores let commands in that work on data.
    pub(crate) admitting: AtomicUsize,
    /// Where the server listens, as the log says it.
    pub(crate) listening: String,
    pub(crate) data: Arc<DataDir>,
    /// A snapshot is being taken, or about to be.
    pub(crate) saving: AtomicBool,
    /// Why what was to be loaded could not be.
    pub(crate) failure: Mutex<Option<LoadError>>,
    /// Bytes of the logs that were not known to be on the disk when the server had ended.
    pub(crate) unsynced_bytes: AtomicU64,
    /// A core has ended without all that was under way there.
    pub(crate) has_given_up: AtomicBool,
    /// By shard, when the server ends: where its log ends in order, on the disk.
    pub(crate) log_ends: Mutex<Vec<Option<Lsn>>>,
    /// The server has ended without the snapshot that was to be taken, and there is no log that has all.
    pub(crate) lacks_snapshot: AtomicBool,
}

impl Control {
    /// Whether a snapshot is being taken, or about to be: orders say more then.
    #[inline]
    pub(crate) fn is_saving(&self) -> bool {
        self.saving.load(Relaxed)
    }
}

/// The connections of one core, at the places of their clients.
#[derive(Default)]
pub(crate) struct Links(Vec<Option<Rc<Link>>>);

impl Links {
    pub(crate) fn insert(&mut self, slot: ClientSlot, link: Rc<Link>) {
        let index = slot.0 as usize;
        if self.0.len() <= index {
            self.0.resize(index + 1, None);
        }
        self.0[index] = Some(link);
    }

    pub(crate) fn remove(&mut self, slot: ClientSlot) {
        self.0[slot.0 as usize] = None;
    }

    pub(crate) fn get(&self, slot: ClientSlot) -> Option<&Rc<Link>> {
        self.0.get(slot.0 as usize)?.as_ref()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Rc<Link>> {
        self.0.iter().flatten()
    }
}

impl Node {
    /// Lets every connection look at the world anew: after an unpause, or to end them.
    pub(crate) fn kick_all(&self) {
        for link in self.links.borrow().iter() {
            link.kick();
        }
    }

    /// The time for commands of other cores. While data is loaded these are what was journalled, run again.
    #[inline]
    pub(crate) fn time(&self) -> UnixMs {
        let now = self.ticks.get().unix_ms();
        if self.admission.is_open() { now } else { crate::clock::before_all_times(now) }
    }

    /// Waits until the core is told to stop. Few tasks may: each that waits is woken.
    pub(crate) async fn until_stopping(&self) {
        std::future::poll_fn(|cx| self.poll_stopping(cx)).await;
    }

    /// As [`Node::until_stopping`], for tasks that wait for something else too.
    pub(crate) fn poll_stopping(&self, cx: &Context<'_>) -> Poll<()> {
        if self.stopping.get() {
            return Poll::Ready(());
        }
        let mut waiters = self.stop_waiters.borrow_mut();
        if !waiters.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiters.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Does what commands have left for the server: answers those who waited for keys, delivers what was published, asks the
    /// other cores to evict if a write here went on in the hope that they do, and has them end watches. Called after every
    /// turn in which commands ran.
    #[inline]
    pub(crate) fn pass_on_wants(&self, state: &mut State) {
        crate::wait::deliver(self, state);
        let core = &mut state.core;
        crate::publish::settle(self, core, None);
        if !core.unwatched.is_empty() {
            crate::watching::pass_on(self, core);
        }
        if std::mem::take(&mut core.wants_room) {
            for peer in (0..self.router.shards()).filter(|&peer| peer != self.id.0) {
                self.mailbox.outbox(peer as usize, |hop| hop.say(Item::MakeRoom));
            }
        }
        if core.effects.has_draft() || core.effects.has_told() {
            // It is written at the end of the turn even if nothing waits for it.
            self.mailbox.call();
        }
    }

    /// Whether `shard` is this core's.
    #[inline]
    pub(crate) fn is_home(&self, shard: ShardId) -> bool {
        shard == self.id
    }
}

/// Size of [`Node::read_buffer`], in bytes.
pub(crate) const READ_BUFFER_BYTES: usize = 64 * 1024;
