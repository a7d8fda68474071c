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
//! **Replicas.** While somebody follows, what is recorded goes to core 0, too, log or no log ([`tap`]); it leaves by the same rule.
//!
//! [`Output`]: crate::output::Output

pub(crate) mod deeds;
pub(crate) mod edge;
mod leave;
pub(crate) mod sink;
pub(crate) mod switch;
pub(crate) mod tap;
mod writer;

pub(crate) use leave::{
    beware, end, gate, leave, leave_now, leave_to, open_gate, place, serve, tend, wait_for,
};
pub(crate) use writer::Record;

use crate::clock::unix_ms;
use crate::connection::Link;
use crate::node::Node;
use aof::{Generation, Lsn};
use commands::Core;
use commands::effects;
use commands::health::LogTrouble;
use commands::log::LogFigures;
use config::AppendFsync;
use reactor::bell::{Bell, Ear, bell};
use sink::LogSink;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};
use stdx::{ShardId, UnixMs};
use writer::Writer;

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
    /// The cut at which the log began, which is safe by other means; 0 if it began with the server.
    first_cut: Cell<u64>,
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
    unkept: switch::Unkept,
    rounds: switch::Rounds,
    /// Under `always`: what was written is to be brought to the disk.
    is_sync_due: Cell<bool>,
    syncer: RefCell<Option<Waker>>,
    tap: tap::Tap,
    taps: Arc<tap::Taps>,
    near: edge::Near,
    /// Connections with replies that wait for the disk, each with the place that it waits for: in order.
    waiting: RefCell<VecDeque<(u64, Rc<Link>)>>,
}

impl Journal {
    /// One that is off. Errors: no descriptors to be had.
    pub(crate) fn new(taps: Arc<tap::Taps>, edges: Arc<edge::Edges>) -> io::Result<Self> {
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
            first_cut: Cell::new(0),
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
            unkept: switch::Unkept::default(),
            rounds: switch::Rounds::default(),
            is_sync_due: Cell::new(false),
            syncer: RefCell::default(),
            tap: tap::Tap::default(),
            taps,
            near: edge::Near::new(edges),
            waiting: RefCell::default(),
        })
    }

    /// What the threads of a log are to ring.
    pub(crate) fn bell(&self) -> Arc<Bell> {
        Arc::clone(&self.bell)
    }

    /// Journals, to this log, whatever the core does from now on. No command of the core and no part of a transaction may be
    /// half done. What was before this cut is safe by other means.
    pub(crate) fn start(&self, core: &mut Core, sink: LogSink, policy: AppendFsync, cut: u64) {
        assert!(!self.is_on(), "a core has one log at a time");
        let writer = Writer::new(sink, self.recorded.get(), policy, Arc::clone(&core.shared));
        self.near.begin(core.id, writer.sink.id().generation, writer.base());
        *self.writer.borrow_mut() = Some(writer);
        self.policy.set(policy);
        // Those of an earlier log are not in this one.
        self.cuts.borrow_mut().clear();
        self.synced_cut.set(cut);
        self.first_cut.set(cut);
        self.has_news.set(false);
        core.shared.log.note_cut(core.id, cut, self.written.get());
        core.shared.log.note_synced(core.id, cut);
        self.is_on.set(true);
        core.effects.draft().clear();
        effects::follow(core, true);
        self.tell_figures(core, self.writer.borrow().as_ref().expect("it was just put there"));
    }

    /// Whether there is a log.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.is_on.get()
    }

    /// Whether anything is journalled, for a log or for replicas.
    #[inline]
    pub(crate) fn records(&self) -> bool {
        self.is_on.get() || self.tap.is_on()
    }

    /// Has what is journalled go to core 0, too, or no longer. Under the locks of a cut.
    pub(crate) fn set_tap(&self, core: &mut Core, is_on: bool) {
        self.write(core);
        self.tap.set(is_on);
        core.effects.tell_replicas(is_on || self.near.has_readers());
        if !self.is_on.get() {
            core.effects.draft().clear();
            effects::follow(core, is_on);
        }
    }

    /// How many entries were ever made for core 0, those that may not leave yet included. Nothing is missing of what was done
    /// before.
    pub(crate) fn tapped(&self, core: &mut Core) -> u64 {
        self.write(core);
        self.tap.count()
    }

    /// A connection of this core is sent the log from now on, and is kicked when more of it may leave. The newest bytes are kept in memory
    /// meanwhile, so many. False if there is no log.
    pub(crate) fn begin_reader(&self, core: &mut Core, reader: &Rc<Link>, ring_bytes: usize) -> bool {
        let mut writer = self.writer.borrow_mut();
        let Some(writer) = &mut *writer else { return false };
        let written = writer.sink.written();
        writer.ring.get_or_insert_with(|| edge::Ring::new(written, ring_bytes)).resize(ring_bytes);
        self.near.add(reader);
        core.effects.tell_replicas(true);
        true
    }

    /// It is sent it no longer.
    pub(crate) fn end_reader(&self, core: &mut Core, reader: &Rc<Link>) {
        let is_last = self.near.remove(reader);
        core.effects.tell_replicas(self.tap.is_on() || !is_last);
        if let Some(writer) = &mut *self.writer.borrow_mut()
            && is_last
        {
            writer.ring = None;
        }
    }

    /// The byte of the log behind the last that may be read.
    pub(crate) fn leaves(&self) -> Lsn {
        self.near.leaves()
    }

    /// Bytes of the log from `at` on, if they are in memory, given to `each`: some of them, perhaps none.
    pub(crate) fn read_newest<T>(&self, at: Lsn, each: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let writer = self.writer.borrow();
        writer.as_ref()?.ring.as_ref()?.read(at).map(each)
    }

    /// What a reader of this log, which was sent all up to there, is to be told next beside it.
    pub(crate) fn take_message(&self, reader: &Rc<Link>, sent: Lsn) -> Option<Rc<[u8]>> {
        self.near.take_message(reader, sent)
    }

    /// Where it is to be told something next, as far as is known.
    pub(crate) fn next_message(&self, reader: &Rc<Link>) -> Option<Lsn> {
        self.near.next_message(reader)
    }

    /// Readers of the log are to be told this behind all that was recorded so far.
    pub(crate) fn message(&self, commands: &[u8]) {
        self.near.message(self.recorded.get(), commands);
    }

    /// The byte of the log behind all that was done here so far, if there is a log.
    pub(crate) fn end_of_log(&self, core: &mut Core) -> Option<Lsn> {
        self.write(core);
        self.is_on.get().then(|| self.near.lsn(self.recorded.get()))
    }

    /// Which generation of the log is written, if one is.
    pub(crate) fn generation(&self) -> Option<Generation> {
        self.writer.borrow().as_ref().map(|writer| writer.sink.id().generation)
    }

    /// When the log is synced.
    pub(crate) fn policy(&self) -> AppendFsync {
        self.policy.get()
    }

    /// Has it synced so from now on. If `always` is the old policy or the new one, that is to be at a cut that is on the disk
    /// everywhere ([`crate::cut::policy`]).
    pub(crate) fn set_policy(&self, policy: AppendFsync) {
        if let Some(writer) = &mut *self.writer.borrow_mut() {
            writer.set_policy(policy);
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
        self.gather(core, writer.as_mut());
        if let Some(writer) = &mut *writer {
            writer.add(&record);
            self.recorded.set(writer.recorded());
            self.note_news(writer);
        }
        if self.tap.is_on() {
            self.tap.record(self.recorded.get(), &record);
        }
        writer.as_ref().map(|writer| writer.encoder.next_lsn())
    }

    /// Makes records of what commands did, if they did anything.
    fn gather(&self, core: &mut Core, writer: Option<&mut Writer>) {
        effects::gather(core);
        let is_amid_unit = core.effects.is_amid_unit();
        let draft = core.effects.draft();
        if draft.is_empty() && !draft.has_told() {
            return;
        }
        // Data safety: half of a transaction would be in the log.
        assert!(!is_amid_unit, "effects are written when what they belong to is whole");
        let effects = draft.finish();
        if let Some(writer) = writer
            && !effects.is_empty()
        {
            writer.add_plain(effects);
            self.recorded.set(writer.recorded());
            self.note_news(writer);
        }
        self.message(draft.told());
        if self.tap.is_on() {
            let place = self.recorded.get();
            match draft.finished_for_replicas() {
                Some(all) => self.tap.plain(place, &all),
                None => self.tap.plain(place, draft.finish()),
            }
        }
        draft.clear();
    }

    /// Lets go what may leave, to core 0 and to those who are sent the log.
    fn hand_over(&self, core: ShardId) {
        if self.is_on.get() {
            self.near.tell(core, self.safe());
        }
        if self.tap.is_on() {
            let safe = if self.is_on.get() { self.safe() } else { u64::MAX };
            self.tap.hand_over(&self.taps, core, safe);
        }
    }

    /// Adds a cut and has the disk follow up to it, if the policy asks that or the cut does. Returns the position behind it; `None` when nothing is journalled.
    pub(crate) fn cut(&self, core: &mut Core, cut: Record<'_>, needs_disk: bool) -> Option<Lsn> {
        let Record::Cut { number, .. } = cut else { unreachable!("it is called for cuts") };
        let lsn = self.add(core, cut);
        self.write(core);
        let lsn = lsn?;
        self.has_news.set(false);
        core.shared.log.note_cut(core.id, number, self.written.get());
        let place = self.recorded.get();
        self.cuts.borrow_mut().push_back((number, place));
        if needs_disk || self.policy.get() != AppendFsync::No {
            self.wanted.set(place);
        }
        self.follow_disk(core.id);
        Some(lsn)
    }

    /// Whether something has happened since the last cut.
    pub(crate) fn has_news(&self, core: &Core) -> bool {
        self.has_news.get() || (self.is_on() && core.effects.has_draft())
    }

    /// Whether this cut, if there was one, is a record of the log that is written.
    pub(crate) fn has_cut(&self, number: u64) -> bool {
        number > self.first_cut.get()
    }

    /// The newest cut that is known to be on the disk, 0 for none.
    pub(crate) fn synced_cut(&self) -> u64 {
        self.synced_cut.get()
    }

    /// Writes what has happened so far, if the disk takes it.
    pub(crate) fn write(&self, core: &mut Core) {
        let mut writer = self.writer.borrow_mut();
        if writer.is_some() || self.tap.is_on() {
            self.gather(core, writer.as_mut());
        }
        if let Some(writer) = &mut *writer
            && !writer.bytes.is_empty()
        {
            writer.append(UnixMs(core.clock_us / 1000));
            self.written.set(writer.written());
            self.heed(writer);
            self.tell_figures(core, writer);
        }
        drop(writer);
        self.hand_over(core.id);
    }

    fn note_news(&self, writer: &Writer) {
        if !self.has_news.replace(true) {
            writer.shared.log.note_news(writer.sink.id().shard);
        }
    }

    /// What INFO tells of the log.
    fn tell_figures(&self, core: &mut Core, writer: &Writer) {
        core.log = LogFigures {
            is_on: true,
            is_always: self.policy.get() == AppendFsync::Always,
            written_bytes: self.written.get(),
            unsynced_bytes: self.recorded.get() - self.synced.get(),
            kept_bytes: self.recorded.get() - self.written.get(),
            is_syncing: writer.sink.is_syncing(),
            delayed_syncs: writer.sink.delayed_syncs(),
        };
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
    fn follow_disk(&self, core: ShardId) {
        if let Some(writer) = &mut *self.writer.borrow_mut() {
            writer.sink.attend();
            writer.stamp.synced = writer.sink.synced();
            let synced = writer.synced();
            self.synced.set(synced);
            let is_always = self.policy.get() == AppendFsync::Always;
            let wanted = if is_always { u64::MAX } else { self.wanted.get() };
            if synced < wanted.min(writer.written()) {
                if is_always {
                    self.want_sync(writer);
                } else {
                    writer.sink.sync();
                }
            }
            let mut cuts = self.cuts.borrow_mut();
            while let Some((number, _)) = cuts.pop_front_if(|(_, place)| *place <= synced) {
                self.synced_cut.set(number);
                writer.shared.log.note_synced(writer.sink.id().shard, number);
            }
            self.heed(writer);
        }
        self.hand_over(core);
    }

    /// Has [`sync_together`] have the disk follow.
    #[inline]
    fn want_sync(&self, writer: &Writer) {
        if !writer.sink.is_syncing()
            && !self.is_sync_due.replace(true)
            && let Some(waker) = self.syncer.take()
        {
            waker.wake();
        }
    }

    /// What the log needs from time to time, if nothing happens that looks after it.
    fn tend(&self, core: &mut Core) {
        if let Some(writer) = &mut *self.writer.borrow_mut() {
            writer.sink.retry();
            if writer.shared.log.is_waited_for() {
                self.wanted.set(self.recorded.get());
            }
            if self.policy.get() == AppendFsync::Everysec {
                writer.sink.sync_each(SYNC_EACH);
            }
            writer.sink.look_each(LOOK_EACH);
        }
        self.write(core);
        self.follow_disk(core.id);
        if let Some(writer) = &*self.writer.borrow() {
            self.tell_figures(core, writer);
        }
    }

    /// Ends the log: nothing is recorded behind this.
    fn end(&self, core: &mut Core) {
        if let Some(writer) = &mut *self.writer.borrow_mut() {
            self.gather(core, Some(writer));
            let Writer { bytes, encoder, stamp, .. } = writer;
            encoder.end(bytes, unix_ms(), *stamp);
            self.recorded.set(writer.recorded());
        }
    }

    /// Waits, with all that this core does, until all that was recorded is on the disk; for the end. False if it cannot be had by
    /// `deadline`, or soon while the disk fails.
    fn finish(&self, core: &mut Core, deadline: Instant) -> bool {
        loop {
            if let Some(writer) = &mut *self.writer.borrow_mut() {
                writer.sink.retry();
            }
            self.write(core);
            let mut writer = self.writer.borrow_mut();
            let Some(writer) = &mut *writer else { return true };
            let is_done = writer.sink.finish(deadline) && writer.bytes.is_empty();
            self.synced.set(writer.synced());
            let left = deadline.saturating_duration_since(Instant::now());
            if is_done || left < FINISH_MAX - TROUBLE_MAX {
                return is_done;
            }
            std::thread::sleep(FINISH_STEP);
        }
    }
}

/// Begins the syncs that replies wait for, as long as the core runs.
///
/// Not at once: clients that the last one has let go are about to send more, and a sync costs the same however many wait for it. So the
/// core looks a few times at what has come, and runs it, before the next one begins: if there is nothing, that takes a microsecond.
pub(crate) async fn sync_together(node: Rc<Node>) {
    let journal = &node.journal;
    loop {
        poll_fn(|cx| {
            if journal.is_sync_due.get() {
                return Poll::Ready(());
            }
            journal.syncer.replace(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
        for _ in 0..LOOKS {
            reactor::task::yield_now().await;
        }
        journal.is_sync_due.set(false);
        journal.write(&mut node.state.borrow_mut().core);
        if let Some(writer) = &mut *journal.writer.borrow_mut() {
            writer.sink.sync();
        }
        // Where the thread has no CPU of its own it is to hand the disk its work before the core goes on.
        std::thread::yield_now();
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

/// How often what has come is looked at before a sync that replies wait for.
const LOOKS: u32 = 4;
/// The pause between two syncs under `everysec`, in rounds of periodic work: those come four times a second at least.
const SYNC_EACH: Duration = Duration::from_millis(750);
/// How often it is looked whether a log is there still, that nobody has synced perhaps.
const LOOK_EACH: Duration = Duration::from_secs(1);
/// How long the end of a core waits for its log; and how long while the disk fails, trying again so often.
const FINISH_MAX: Duration = Duration::from_secs(10);
const TROUBLE_MAX: Duration = Duration::from_secs(2);
const FINISH_STEP: Duration = Duration::from_millis(50);
