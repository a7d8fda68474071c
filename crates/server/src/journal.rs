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

use crate::connection::Link;
use crate::node::Node;
use crate::output::Gate;
use aof::{Encoder, LogId, Lsn, Stamp, TxNumber};
use commands::Core;
use commands::effects;
use coordinator::shards::ShardSet;
use sink::Sink;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use stdx::{DbIndex, ShardId, UnixMs};

/// One core's journal, which may be off.
#[derive(Default)]
pub(crate) struct Journal {
    is_on: Cell<bool>,
    /// Whether what leaves waits for the disk.
    waits_for_disk: Cell<bool>,
    writer: RefCell<Option<Writer>>,
    /// The place behind all that was written.
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
    /// Connections with replies that wait for the disk, each with the place that it waits for: in order.
    waiting: RefCell<VecDeque<(u64, Rc<Link>)>>,
}

/// What is to be written, and to whom.
struct Writer {
    /// Whole records.
    bytes: Vec<u8>,
    encoder: Encoder,
    stamp: Stamp,
    sink: Box<dyn Sink>,
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
    /// One that writes the records of `log` to `sink`, if there is one.
    pub(crate) fn new(log: LogId, sink: Option<Box<dyn Sink>>, waits_for_disk: bool) -> Self {
        let journal = Self::default();
        journal.is_on.set(sink.is_some());
        journal.waits_for_disk.set(waits_for_disk);
        let writer = |sink| Writer {
            bytes: Vec::new(),
            encoder: Encoder::new(log, Lsn::default()),
            stamp: Stamp { synced: Lsn::default(), always: waits_for_disk },
            sink,
        };
        *journal.writer.borrow_mut() = sink.map(writer);
        journal
    }

    /// Whether anything is journalled.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.is_on.get()
    }

    /// Whether there is something to be written.
    #[inline]
    pub(crate) fn is_dirty(&self, core: &Core) -> bool {
        core.effects.has_draft()
            || self.writer.borrow().as_ref().is_some_and(|writer| !writer.bytes.is_empty())
    }

    /// Adds a record behind all that has happened so far.
    pub(crate) fn add(&self, core: &mut Core, record: Record<'_>) {
        if let Some(writer) = &mut *self.writer.borrow_mut() {
            writer.gather(core);
            writer.add(record);
            self.has_news.set(true);
        }
    }

    /// Adds a cut and has the disk follow up to it. Returns the place behind it; `None` when nothing is journalled.
    pub(crate) fn cut(&self, core: &mut Core, number: u64, at: UnixMs, durable: u64) -> Option<Lsn> {
        let lsn = {
            let mut writer = self.writer.borrow_mut();
            let writer = writer.as_mut()?;
            writer.gather(core);
            writer.add(Record::Cut { number, at, durable });
            writer.encoder.next_lsn()
        };
        self.write(core);
        self.has_news.set(false);
        self.cuts.borrow_mut().push_back((number, lsn.0));
        self.wanted.set(lsn.0);
        self.follow_disk();
        Some(lsn)
    }

    /// Whether something has happened since the last cut.
    pub(crate) fn has_news(&self, core: &Core) -> bool {
        self.has_news.get() || (self.is_on() && self.is_dirty(core))
    }

    /// The newest cut that is known to be on the disk, 0 for none.
    pub(crate) fn synced_cut(&self) -> u64 {
        self.synced_cut.get()
    }

    /// Writes what has happened so far.
    pub(crate) fn write(&self, core: &mut Core) {
        if let Some(writer) = &mut *self.writer.borrow_mut() {
            writer.gather(core);
            let Writer { bytes, sink, encoder, .. } = writer;
            if !bytes.is_empty() {
                sink.append(bytes);
                self.written.set(encoder.next_lsn().0);
                self.has_news.set(true);
                bytes.clear();
                bytes.shrink_to(KEPT_BYTES);
            }
        }
    }

    /// The place up to which all is as safe as the policy asks.
    fn safe(&self) -> u64 {
        if self.waits_for_disk.get() { self.synced.get() } else { self.written.get() }
    }

    /// Has the disk follow, and learns how far it is.
    fn follow_disk(&self) {
        if let Some(Writer { sink, stamp, .. }) = &mut *self.writer.borrow_mut() {
            let synced = sink.synced();
            self.synced.set(synced);
            stamp.synced = Lsn(synced);
            let wanted = if self.waits_for_disk.get() { self.written.get() } else { self.wanted.get() };
            if synced < wanted {
                sink.sync();
            }
            let mut cuts = self.cuts.borrow_mut();
            while let Some((number, _)) = cuts.pop_front_if(|(_, place)| *place <= synced) {
                self.synced_cut.set(number);
            }
        }
    }

    /// Waits, with all that this core does, until all that was written is on the disk. For the end.
    fn finish(&self) {
        if let Some(Writer { sink, .. }) = &mut *self.writer.borrow_mut() {
            sink.finish();
            self.synced.set(self.written.get());
        }
    }
}

impl Writer {
    /// Makes a record of what commands did.
    fn gather(&mut self, core: &mut Core) {
        effects::gather(core);
        let draft = core.effects.draft();
        if !draft.is_empty() {
            let Self { bytes, encoder, stamp, .. } = self;
            encoder.begin_plain(bytes, DbIndex(0));
            bytes.extend_from_slice(draft.finish());
            encoder.seal(bytes, *stamp);
            draft.clear();
        }
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

/// What a connection may send now. Nothing is written for it.
#[inline]
pub(crate) fn gate(node: &Node) -> Gate {
    if node.journal.is_on() { gate_of(node) } else { Gate::OPEN }
}

fn gate_of(node: &Node) -> Gate {
    let journal = &node.journal;
    if node.stopping.get() {
        // There is no next turn.
        journal.write(&mut node.state.borrow_mut().core);
        if journal.safe() < journal.written.get() {
            journal.finish();
        }
    }
    let is_dirty = journal.is_dirty(&node.state.borrow().core);
    Gate { is_open: !is_dirty && journal.safe() == journal.written.get(), safe: journal.safe() }
}

/// For the courier: writes what has happened, and says what may be sent. What may not is to be set apart for
/// [`Gate::needs`], and to be told of with [`wait`].
#[inline]
pub(crate) fn open_gate(node: &Node) -> Gate {
    if node.journal.is_on() {
        node.journal.write(&mut node.state.borrow_mut().core);
        node.journal.follow_disk();
    }
    gate(node)
}

/// What has happened so far is safe beyond this place.
pub(crate) fn place(node: &Node) -> u64 {
    node.journal.written.get()
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
    let is_clear = node.mailbox.release(journal.safe());
    if is_clear && journal.safe() == journal.written.get() {
        send();
    } else {
        node.mailbox.seal(journal.written.get());
    }
}

/// The postman of a core: comes at the end of every turn, and when the disk has followed.
pub(crate) async fn serve(node: Rc<Node>, ear: Option<reactor::bell::Ear>) {
    let disk = ear.map(|ear| ear.listen().expect("memory to watch the journal's disk"));
    poll_fn(|cx| {
        node.mailbox.attend(cx);
        while disk.as_ref().is_some_and(|disk| disk.poll_rung(cx).is_ready()) {}
        leave(&node);
        let_replies_go(&node);
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

/// The end of a core: all that it did is on the disk.
pub(crate) fn end(node: &Node) {
    leave(node);
    node.journal.finish();
    leave(node);
}

/// So much memory is kept for the next records.
const KEPT_BYTES: usize = 256 * 1024;
