//! Cuts: instants at which no command is between two shards. See docs/decisions/0017-durability.md.
//!
//! ```text
//!   core 0                                     another core
//!   ask ──────────────────────────────────────► is a cut welcome? what is new?
//!                            ready ◄────────────┘
//!   lock this shard, then the others ─────────► locked: its part is done here, the place in its journal goes home
//!   its own part                  ◄────────────┘
//!   release all ──────────────────────────────► who has waited goes on
//! ```
//!
//! A cut is a fan-out that locks every shard whole and keeps all locks until every part has run, as FLUSHALL does where there is a
//! journal (`coordinator::tx`): on two cores that is one round trip. So no part runs before all locks are held, and
//! nobody is let go before all parts have run: no transaction has its whole record on one side of the cut and a marker on the
//! other.
//!
//! Nobody is to wait, locked, for a core that is in the middle of something long. So all cores are asked first, while
//! nothing is locked yet; a core where a script runs in slices, or where a writer waits for a snapshot, says that a cut has
//! to wait. One that does not get its locks soon gives them back and comes again later.
//!
//! Cuts are made on core 0 alone, one at a time, by [`serve`]: those that others ask for ([`take`]), and those for the log,
//! every [`PERIOD`] in which something was written.

mod deed;
mod home;
pub(crate) mod policy;
mod serve;
mod shard;

use crate::flights::FlightId;
use crate::hop::{self, Hop, Item};
use crate::journal::switch;
use crate::node::Node;
use aof::{Generation, Lsn};
use commands::ClientSlot;
use coordinator::locks::TxId;
use coordinator::tx::{Notice, Order};
pub(crate) use deed::{Deed, Meanwhile};
use home::UnderWay;
pub(crate) use serve::{bar, log_has_ended, on_disk, serve, take};
pub(crate) use shard::{answer, go_on, look_at_disk, perform};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::Waker;
use stdx::{ShardId, UnixMs};

/// A cut that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Its number, from 1 on: one more than that of the cut before.
    pub(crate) number: u64,
    /// When it was.
    pub(crate) at: UnixMs,
    /// By shard the place in its journal behind the cut; empty when nothing is journalled.
    pub(crate) lsns: Vec<Lsn>,
    /// In which generation of the log that is, if it is.
    pub(crate) generation: Option<Generation>,
}

/// Why there was no cut: the server ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ending;

/// A cut under way, the same for all shards.
pub(crate) struct Cut {
    home: ShardId,
    number: u64,
    at: UnixMs,
    /// The newest cut that is known to be on the disk in all logs, 0 for none.
    durable: u64,
    deed: Deed,
    /// Some shard could not bring it to its disk, where that was asked: the deed is not done.
    is_unsafe: AtomicBool,
}

/// Between core 0 and the others.
pub(crate) enum Message {
    /// Is a cut welcome? With the number of the question.
    Ask(u64),
    /// It is, or not: the answer to a question.
    Ready(u64, Ready),
    /// An order for your shard.
    Order(TxId, Order, Arc<Cut>),
    /// What has become of it, and the place in the journal.
    News(Notice, Option<Lsn>),
    /// One more cut is on the disk here.
    OnDisk,
    /// Take nothing more into your log; then end your journal; and: it is done.
    Freeze,
    /// See `Freeze`.
    EndLog,
    /// See `Freeze`.
    Done,
    /// Say when what was asked of the logs is in force, to this flight of a client here.
    AwaitPolicy(ClientSlot, FlightId),
}

/// What a core answers when it is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ready {
    /// Nothing here would keep a cut waiting for long.
    is_ready: bool,
    /// Something was journalled since the last cut.
    has_news: bool,
}

/// The cuts of a server; most of it is used on core 0 alone.
#[derive(Default)]
pub(crate) struct Cuts {
    requests: RefCell<VecDeque<Request>>,
    /// The number of the last cut.
    last: Cell<u64>,
    /// The number of the last question, and who has not answered it.
    question: Cell<(u64, usize)>,
    /// All answers to it in one.
    ready: Cell<Ready>,
    under_way: RefCell<Option<UnderWay>>,
    /// Notices that the cut under way has yet to take in.
    inbox: RefCell<VecDeque<(ShardId, Notice, Option<Lsn>)>>,
    is_advancing: Cell<bool>,
    /// Who waits for a cut to be on the disk.
    waiting: RefCell<Vec<Waker>>,
    pub(crate) policy: policy::Asked,
    /// Of each core: a cut that home is told of when it is on the disk.
    owed: RefCell<Option<(Arc<Cut>, Option<Lsn>)>>,
    /// Of home: a cut whose part here is under way.
    standing: RefCell<Option<(Arc<Cut>, Option<Lsn>)>>,
    /// Of each core: the number of the last cut of which its part was done.
    performed: Cell<u64>,
    /// Of each core: the newest cut of which the others know that it is on the disk here.
    told: Cell<u64>,
    /// Who makes the cuts.
    waker: RefCell<Option<Waker>>,
    /// None is begun meanwhile.
    is_barred: Cell<bool>,
    /// Who waits until none is under way.
    bars: RefCell<Option<Waker>>,
}

/// Somebody wants a cut, unless they have given up.
struct Request {
    deed: Deed,
    promise: Weak<Promise>,
}

/// What somebody waits for who wants a cut.
#[derive(Default)]
struct Promise {
    kept: RefCell<Option<Result<Taken, Ending>>>,
    waker: RefCell<Option<Waker>>,
}

impl Cuts {
    /// Whether a cut may hold locks.
    pub(crate) fn is_under_way(&self) -> bool {
        self.under_way.borrow().is_some()
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// The number of the cut whose part here was begun last.
    pub(crate) fn performed(&self) -> u64 {
        self.performed.get()
    }

    /// Cuts may begin again: see [`bar`].
    pub(crate) fn unbar(&self) {
        self.is_barred.set(false);
    }
}

/// Sends a message at once, past what waits for the end of the turn or for the disk: locks are held, or are about to be, and it
/// tells nothing of data. No command stands between two shards at a cut, so there is nothing that it could overtake.
pub(crate) fn post(node: &Node, peer: ShardId, message: Message) {
    let mut hop = Hop::default();
    hop.say(Item::Cut(Box::new(message)));
    hop::send_past(node, peer, hop);
}

/// A message from another core.
pub(crate) fn receive(node: &Rc<Node>, from: ShardId, message: Message) {
    match message {
        Message::Ask(question) => shard::asked(node, from, question),
        Message::Ready(question, ready) => serve::answered(node, question, ready),
        Message::OnDisk => serve::one_more_on_disk(node),
        Message::AwaitPolicy(client, flight) => {
            policy::asked(node, from, client, flight);
            if node.stopping.get() {
                policy::let_go(node);
            }
        }
        Message::Freeze => switch::freeze(node),
        Message::EndLog => switch::end_here(node),
        Message::Done => switch::done(node),
        Message::Order(tx, order, cut) => shard::obey(node, tx, order, cut),
        Message::News(notice, lsn) => home::hear(node, from, notice, lsn),
    }
}

/// Where cuts are made.
pub(crate) const HOME: ShardId = ShardId(0);
/// How often a cut is made for the log while something is written. What a loss of power takes is at most what was written since the last
/// cut that is on the disk.
const PERIOD: std::time::Duration = std::time::Duration::from_millis(800);
