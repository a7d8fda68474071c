//! A core's journal: what its commands did, on its way to whoever keeps it, and what may not leave before.
//!
//! ```text
//!   commands ──► effects ──► records ──► sink: the kernel's, later the disk's
//!      │       (the draft)                  │
//!      ├──► replies ──► courier ──► socket ◄┤  as safe as the policy asks?
//!      └──► mails ────► postman ──► peers  ◄┘
//! ```
//!
//! **The rule of leaving.** Nothing leaves a core before the journal of all that the core executed before it is as safe as
//! the policy asks. What can leave, and where it is held back:
//!
//! | what | passes |
//! |---|---|
//! | replies: of commands here, of other cores (holes that are filled), of transactions, of clients that waited | [`Output`], which takes bytes from a connection's replies only where its [`Gate`] says so |
//! | pushed messages: subscriptions, keyspace events; long strings sent from where they are kept; the last words to a client that is cut off | the same: they are replies, in pieces |
//! | commands for other cores and the replies to them, orders of transactions and what is answered, loans, watches, offers to clients that wait, published messages | the mailbox, which only [`leave`] and its kin send |
//!
//! What leaves without asking tells nothing of data: refusals of connections, counters, marks that a shard is busy.
//!
//! **Once per turn.** A connection that has run commands does not send by itself while their effects are not written: the
//! courier does, and so does the postman with what is for other cores. Both come after all tasks that were ready. Whoever
//! comes first writes what all of them did, in one go.
//!
//! **Waiting for the disk** (`appendfsync always`). What was to leave is set apart with the place in the log that it needs,
//! replies in their [`Output`], mails in the mailbox, and the core goes on. Another thread syncs, one sync at a time; what
//! comes meanwhile shares the next.
//!
//! [`Output`]: crate::output::Output

pub(crate) mod deeds;
pub(crate) mod sink;

use crate::clock::unix_ms;
use crate::connection::Link;
use crate::hop::Hop;
use crate::node::Node;
use crate::output::Gate;
use aof::{Encoder, Lsn, Stamp, TxNumber};
use commands::Core;
use commands::core::Shared;
use commands::effects;
use commands::health::LogTrouble;
use config::AppendFsync;
use coordinator::shards::ShardSet;
use reactor::bell::{Bell, Ear, bell};
use sink::LogSink;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};
use stdx::{DbIndex, ShardId, UnixMs};

/// One core's journal: off until it is given a log. Places in it are counted in bytes over all the logs that it ever had, and
/// never become less.
pub(crate) struct Journal {
    is_on: Cell<bool>,
    policy: Cell<AppendFsync>,
    writer: RefCell<Option<Writer>>,
    /// The place behind all that was recorded.
    recorded: Cell<u64>,
    /// The place behind all that the kernel has. It stays behind what was recorded while the disk takes nothing.
    written: Cell<u64>,
    /// The place up to which all is on the disk.
    synced: Cell<u64>,
    /// The place up to which all is to be brought to the disk, whatever the policy.
    wanted: Cell<u64>,
    /// Whether something was written since the last cut.
    has_news: Cell<bool>,
    /// The newest cut that is on the disk, 0 for none.
    synced_cut: Cell<u64>,
    /// Cuts that are not on the disk yet, each with its place, in order.
    cuts: RefCell<VecDeque<(u64, u64)>>,
    /// Whether the log takes no records.
    is_failing: Cell<bool>,
    /// Whether data must not be seen, for it is not safe and cannot be made so now.
    hides_data: Cell<bool>,
    /// The place up to which what depends on it was held back since the log takes no records.
    held: Cell<u64>,
    /// Whether all that is ready now is to be held back, of replies and of messages.
    holds_replies: Cell<bool>,
    holds_mails: Cell<bool>,
    /// What the others were told of it.
    told: RefCell<Option<LogTrouble>>,
    /// Rung by the threads that do what blocks.
    bell: Arc<Bell>,
    /// Taken by the postman.
    ear: Cell<Option<Ear>>,
    /// When the end of the core waits no longer for its log.
    deadline: OnceCell<Instant>,
    /// Connections with replies that wait for the disk, each with the place that it waits for: in order.
    waiting: RefCell<VecDeque<(u64, Rc<Link>)>>,
}

/// What is to be written, and where.
struct Writer {
    /// Whole records that the kernel does not have.
    bytes: Vec<u8>,
    encoder: Encoder,
    stamp: Stamp,
    sink: LogSink,
    /// The place of the log's first record.
    base: u64,
    shared: Arc<Shared>,
}

/// A record that stands between what commands of this shard alone have done. Cuts are added with [`Journal::cut`].
pub(crate) enum Record<'a> {
    /// What a transaction over several shards did, whose home is this core.
    Whole {
        /// Taken while all its locks are held.
        number: u64,
        /// The others that take part.
        shards: &'a ShardSet,
        /// RESP, which begins and ends in database 0.
        commands: &'a [u8],
    },
    /// The place of such a transaction at another shard.
    Marker {
        /// Its number.
        number: u64,
        /// Where the whole record is.
        home: ShardId,
    },
    /// A cut, which all shards have: see [`crate::cut`].
    Cut {
        /// Its number.
        number: u64,
        /// When it is.
        at: UnixMs,
        /// The newest cut that is known to be on the disk in all logs, 0 for none.
        durable: u64,
    },
}

impl Journal {
    /// One that is off. Errors: no descriptors to be had.
    pub(crate) fn new() -> io::Result<Self> {
        let (bell, ear) = bell()?;
        Ok(Self {
            is_on: Cell::new(false),
            policy: Cell::new(AppendFsync::Everysec),
            writer: RefCell::default(),
            recorded: Cell::new(0),
            written: Cell::new(0),
            synced: Cell::new(0),
            wanted: Cell::new(0),
            has_news: Cell::new(false),
            synced_cut: Cell::new(0),
            cuts: RefCell::default(),
            is_failing: Cell::new(false),
            hides_data: Cell::new(false),
            held: Cell::new(0),
            holds_replies: Cell::new(false),
            holds_mails: Cell::new(false),
            told: RefCell::default(),
            bell: Arc::new(bell),
            ear: Cell::new(Some(ear)),
            deadline: OnceCell::new(),
            waiting: RefCell::default(),
        })
    }

    /// What the threads of a log are to ring.
    pub(crate) fn bell(&self) -> Arc<Bell> {
        Arc::clone(&self.bell)
    }

    /// Journals, to this log, whatever the core does from now on. No command of the core and no part of a transaction may be
    /// half done.
    pub(crate) fn start(&self, core: &mut Core, sink: LogSink, policy: AppendFsync) {
        assert!(!self.is_on(), "a core has one log at a time");
        let writer = Writer {
            bytes: Vec::new(),
            encoder: Encoder::new(sink.id(), sink.written()),
            stamp: Stamp { synced: sink.synced(), always: policy == AppendFsync::Always },
            base: self.recorded.get() - sink.written().0,
            sink,
            shared: Arc::clone(&core.shared),
        };
        *self.writer.borrow_mut() = Some(writer);
        self.policy.set(policy);
        // Those of an earlier log are not in this one.
        self.cuts.borrow_mut().clear();
        self.synced_cut.set(0);
        self.is_on.set(true);
        effects::follow(core, true);
    }

    /// Whether anything is journalled.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.is_on.get()
    }

    /// When the log is synced.
    pub(crate) fn policy(&self) -> AppendFsync {
        self.policy.get()
    }

    /// Has it synced so from now on. If `always` is the old policy or the new one, that is to be at a cut that is on the disk
    /// everywhere ([`crate::cut::policy`]).
    pub(crate) fn set_policy(&self, policy: AppendFsync) {
        if let Some(writer) = &mut *self.writer.borrow_mut() {
            writer.stamp.always = policy == AppendFsync::Always;
        }
        self.policy.set(policy);
    }

    /// Whether the log takes no records. What was done meanwhile, and whatever tells of it, waits; the rest goes on.
    #[inline]
    pub(crate) fn is_failing(&self) -> bool {
        self.is_failing.get()
    }

    /// Adds a record behind all that has happened so far. Returns the position behind it, if there is a log.
    pub(crate) fn add(&self, core: &mut Core, record: Record<'_>) -> Option<Lsn> {
        let mut writer = self.writer.borrow_mut();
        let writer = writer.as_mut()?;
        writer.gather(core);
        writer.add(record);
        self.recorded.set(writer.recorded());
        self.has_news.set(true);
        Some(writer.encoder.next_lsn())
    }

    /// Adds a cut and has the disk follow up to it, if the policy asks that or the cut does. Returns the position behind it; `None` when nothing is journalled.
    pub(crate) fn cut(&self, core: &mut Core, cut: Record<'_>, needs_disk: bool) -> Option<Lsn> {
        let Record::Cut { number, .. } = cut else { unreachable!("it is called for cuts") };
        let lsn = self.add(core, cut)?;
        self.write(core);
        self.has_news.set(false);
        let place = self.recorded.get();
        self.cuts.borrow_mut().push_back((number, place));
        if needs_disk || self.policy.get() != AppendFsync::No {
            self.wanted.set(place);
        }
        self.follow_disk();
        Some(lsn)
    }

    /// Whether something has happened since the last cut.
    pub(crate) fn has_news(&self, core: &Core) -> bool {
        self.has_news.get() || (self.is_on() && core.effects.has_draft())
    }

    /// The newest cut that is known to be on the disk, 0 for none.
    pub(crate) fn synced_cut(&self) -> u64 {
        self.synced_cut.get()
    }

    /// Writes what has happened so far, if the disk takes it.
    pub(crate) fn write(&self, core: &mut Core) {
        if let Some(writer) = &mut *self.writer.borrow_mut() {
            if writer.gather(core) {
                self.recorded.set(writer.recorded());
                self.has_news.set(true);
            }
            if !writer.bytes.is_empty() {
                writer.append(UnixMs(core.clock_us / 1000));
                self.written.set(writer.written());
                self.heed(writer);
            }
        }
    }

    /// Follows whether the log takes records.
    #[inline]
    fn heed(&self, writer: &Writer) {
        if writer.sink.is_troubled() || self.told.borrow().is_some() {
            self.heed_trouble(writer);
        }
    }

    #[cold]
    fn heed_trouble(&self, writer: &Writer) {
        let is_failing = writer.sink.is_failing();
        let is_unsafe = self.safe() < self.recorded.get();
        self.is_failing.set(is_failing);
        self.hides_data.set(is_failing && is_unsafe && self.policy.get() == AppendFsync::Always);
        if is_failing && is_unsafe && self.held.replace(self.recorded.get()) < self.recorded.get() {
            self.hold();
        } else if !is_failing {
            self.holds_replies.set(false);
            self.holds_mails.set(false);
            self.held.set(self.safe());
        }
        let hides_data = self.hides_data.get();
        let trouble =
            writer.sink.trouble().map(|reason| LogTrouble { reason: reason.to_owned(), hides_data });
        if *self.told.borrow() != trouble {
            tell(writer.sink.id().shard, trouble.as_ref());
            writer.shared.health.set_log(writer.sink.id().shard, trouble.clone());
            *self.told.borrow_mut() = trouble;
        }
    }

    /// Holds back all that is ready to leave now.
    fn hold(&self) {
        self.holds_replies.set(true);
        self.holds_mails.set(true);
    }

    /// The place up to which all is as safe as the policy asks.
    fn safe(&self) -> u64 {
        if self.policy.get() == AppendFsync::Always { self.synced.get() } else { self.written.get() }
    }

    /// Has the disk follow, and learns how far it is.
    fn follow_disk(&self) {
        if let Some(writer) = &mut *self.writer.borrow_mut() {
            writer.sink.attend();
            writer.stamp.synced = writer.sink.synced();
            let synced = writer.synced();
            self.synced.set(synced);
            let is_always = self.policy.get() == AppendFsync::Always;
            let wanted = if is_always { u64::MAX } else { self.wanted.get() };
            if synced < wanted.min(writer.written()) {
                writer.sink.sync();
            }
            let mut cuts = self.cuts.borrow_mut();
            while let Some((number, _)) = cuts.pop_front_if(|(_, place)| *place <= synced) {
                self.synced_cut.set(number);
            }
            self.heed(writer);
        }
    }

    /// What the log needs from time to time, if nothing happens that looks after it.
    fn tend(&self, core: &mut Core) {
        if let Some(writer) = &mut *self.writer.borrow_mut() {
            writer.sink.retry();
            if self.policy.get() == AppendFsync::Everysec {
                writer.sink.sync_each(SYNC_EACH);
            }
        }
        self.write(core);
    }

    /// Ends the log: nothing is recorded behind this.
    fn end(&self, core: &mut Core) {
        if let Some(writer) = &mut *self.writer.borrow_mut() {
            writer.gather(core);
            let Writer { bytes, encoder, stamp, .. } = writer;
            encoder.end(bytes, unix_ms(), *stamp);
            self.recorded.set(writer.recorded());
        }
    }

    /// Waits, with all that this core does, until all that was recorded is on the disk; for the end. False if it is not by
    /// `deadline`.
    fn finish(&self, core: &mut Core, deadline: Instant) -> bool {
        self.write(core);
        let mut writer = self.writer.borrow_mut();
        let Some(writer) = &mut *writer else { return true };
        let is_done = writer.sink.finish(deadline) && writer.bytes.is_empty();
        self.synced.set(writer.synced());
        is_done
    }
}

impl Writer {
    /// Gives the kernel what it does not have.
    fn append(&mut self, now: UnixMs) {
        if self.sink.append(&self.bytes, now) {
            self.bytes.clear();
            self.bytes.shrink_to(KEPT_BYTES);
        }
    }

    /// The places up to which all is recorded, written, on the disk.
    fn recorded(&self) -> u64 {
        self.base + self.encoder.next_lsn().0
    }

    fn written(&self) -> u64 {
        self.base + self.sink.written().0
    }

    fn synced(&self) -> u64 {
        self.base + self.sink.synced().0
    }

    /// Makes a record of what commands did, if they did anything.
    fn gather(&mut self, core: &mut Core) -> bool {
        effects::gather(core);
        let draft = core.effects.draft();
        if draft.is_empty() {
            return false;
        }
        let Self { bytes, encoder, stamp, .. } = self;
        encoder.begin_plain(bytes, DbIndex(0));
        bytes.extend_from_slice(draft.finish());
        encoder.seal(bytes, *stamp);
        draft.clear();
        true
    }

    fn add(&mut self, record: Record<'_>) {
        let Self { bytes, encoder, stamp, .. } = self;
        match record {
            Record::Whole { number, shards, commands } => {
                let shards: Vec<ShardId> = shards.iter().collect();
                encoder.begin_whole(bytes, TxNumber(number), &shards, DbIndex(0));
                bytes.extend_from_slice(commands);
                encoder.seal(bytes, *stamp);
            }
            Record::Marker { number, home } => {
                encoder.marker(bytes, TxNumber(number), home, *stamp);
            }
            Record::Cut { number, at, durable } => {
                encoder.cut(bytes, number, at, durable, *stamp);
            }
        }
    }
}

/// What a connection may send now. Nothing is written for it. None of the core's connections may be borrowed.
#[inline]
pub(crate) fn gate(node: &Node, link: &Link) -> Gate {
    if node.journal.is_on() { gate_of(node, link) } else { Gate::OPEN }
}

fn gate_of(node: &Node, link: &Link) -> Gate {
    let journal = &node.journal;
    if node.stopping.get() {
        // There is no next turn.
        journal.write(&mut node.state.borrow_mut().core);
        if journal.safe() < journal.recorded.get() {
            finish(node);
        }
    }
    if journal.holds_replies.get() {
        hold_replies(node);
    }
    let is_dirty = node.state.borrow().core.effects.has_draft();
    let safe = journal.safe();
    let is_safe = safe == journal.recorded.get() || (journal.is_failing.get() && link.held.get() <= safe);
    Gate { is_open: !is_dirty && is_safe, safe }
}

/// The disk has not taken what was done here: the replies that tell of it wait, and so does whatever comes behind them. All that
/// is ready may tell of it.
#[cold]
fn hold_replies(node: &Node) {
    node.journal.holds_replies.set(false);
    let place = place(node);
    for link in node.links.borrow().iter() {
        let outgoing = &mut *link.outgoing.borrow_mut();
        if outgoing.replies.ready() > 0 {
            link.wire.borrow_mut().output.set_apart(outgoing, place);
            wait(node, link, place);
            link.held.set(place);
        } else if outgoing.replies.outstanding() > 0 || link.wire.borrow().output.has_apart() {
            // There may be some behind those that other cores owe; and nothing overtakes what waits.
            link.held.set(place);
        }
    }
}

/// Something runs here whatever the disk does, and what it says may tell of data that must not be seen.
#[inline]
pub(crate) fn beware(node: &Node) {
    if node.journal.hides_data.get() {
        node.journal.hold();
    }
}

/// For the courier: writes what has happened, and says what may be sent. What may not is to be set apart for [`place`], and to be
/// told of with [`wait`].
#[inline]
pub(crate) fn open_gate(node: &Node, link: &Link) -> Gate {
    if node.journal.is_on() {
        node.journal.write(&mut node.state.borrow_mut().core);
        node.journal.follow_disk();
    }
    gate(node, link)
}

/// What was recorded so far is safe beyond this place.
pub(crate) fn place(node: &Node) -> u64 {
    node.journal.recorded.get()
}

/// A connection has set replies apart until the disk has come to `place`.
pub(crate) fn wait(node: &Node, link: &Rc<Link>, place: u64) {
    node.journal.waiting.borrow_mut().push_back((place, Rc::clone(link)));
}

/// Writes the journal and sends what is for other cores, or sets it apart until the disk has followed.
pub(crate) fn leave(node: &Node) {
    leave_with(node, || node.journal.write(&mut node.state.borrow_mut().core), || node.mailbox.flush_now());
}

/// The same while the core is borrowed.
pub(crate) fn leave_now(node: &Node, core: &mut Core) {
    leave_with(node, || node.journal.write(core), || node.mailbox.flush_now());
}

/// The same for what is for one other core.
pub(crate) fn leave_to(node: &Node, core: &mut Core, peer: usize) {
    leave_with(node, || node.journal.write(core), || node.mailbox.flush_to(peer));
}

#[inline]
fn leave_with(node: &Node, write: impl FnOnce(), send: impl FnOnce()) {
    let journal = &node.journal;
    if !journal.is_on() {
        return send();
    }
    write();
    journal.follow_disk();
    let (safe, recorded) = (journal.safe(), journal.recorded.get());
    if node.mailbox.release(safe) && safe == recorded {
        send();
    } else if journal.is_failing() && !journal.holds_mails.replace(false) {
        // Nothing of this tells of what the disk has not taken.
        node.mailbox.flush_past(recorded, Hop::may_be_late);
    } else {
        node.mailbox.seal(recorded);
    }
}

/// The postman of a core: comes at the end of every turn, and when the disk has followed.
pub(crate) async fn serve(node: Rc<Node>) {
    let ear = node.journal.ear.take().expect("a core has one postman");
    let disk = ear.listen().expect("memory to watch the journal's disk");
    poll_fn(|cx| {
        node.mailbox.attend(cx);
        while disk.poll_rung(cx).is_ready() {}
        leave(&node);
        let_replies_go(&node);
        crate::cut::look_at_disk(&node);
        Poll::<()>::Pending
    })
    .await;
}

/// Has the courier send what waited for the disk.
fn let_replies_go(node: &Node) {
    let safe = node.journal.safe();
    let mut waiting = node.journal.waiting.borrow_mut();
    while let Some((_, link)) = waiting.pop_front_if(|(place, _)| *place <= safe) {
        node.publishing.courier.call(&link, 0);
    }
}

/// Tells the operator that writes are refused, or no longer.
fn tell(shard: ShardId, trouble: Option<&LogTrouble>) {
    let shard = shard.0;
    if let Some(LogTrouble { reason, hides_data }) = trouble {
        tracing::error!(shard, reason, hides_data, "writes are refused until the log can be written");
    } else {
        tracing::info!(shard, "the log can be written again");
    }
}

/// In every round of the core's periodic work.
pub(crate) fn tend(node: &Node) {
    if node.journal.is_on() {
        node.journal.tend(&mut node.state.borrow_mut().core);
        // What waited for the disk may go.
        node.mailbox.call();
    }
}

/// Waits until all that was done here is on the disk. False if it cannot be had.
fn finish(node: &Node) -> bool {
    let deadline = *node.journal.deadline.get_or_init(|| Instant::now() + FINISH_MAX);
    node.journal.finish(&mut node.state.borrow_mut().core, deadline)
}

/// The end of a core: all that it did is on the disk.
pub(crate) fn end(node: &Node) {
    leave(node);
    node.journal.end(&mut node.state.borrow_mut().core);
    if !finish(node) {
        tracing::error!(shard = node.id.0, "the log could not be brought to the disk");
    }
    leave(node);
}

/// The pause between two syncs under `everysec`, in rounds of periodic work: those come four times a second at least.
const SYNC_EACH: Duration = Duration::from_millis(750);
/// How long the end of a core waits for its log.
const FINISH_MAX: Duration = Duration::from_secs(10);
/// So much memory is kept for the next records.
const KEPT_BYTES: usize = 256 * 1024;
