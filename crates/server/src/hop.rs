//! What cores send each other: one batch per peer and turn, its commands and replies side by side in one buffer.

use crate::flights::FlightId;
use crate::node::Node;
use crate::spread::{Origin, PartOrder};
use crate::track::Redirected;
use crate::wait::{Parked, Why};
use commands::tracking::{Changed, Invalid};
use commands::transaction::Watched;
use commands::{Caller, ClientSlot, CommandRef, LongPart};
use coordinator::locks::{KeyName, TxId};
use coordinator::tx::{Notice, Order};
use pubsub::{Change, Reader};
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use stdx::args::OwnedArgs;
use stdx::{Args, ClientId, ShardId, Slot, Span};

/// One batch from one core to another, in the order in which things were said.
#[derive(Default)]
pub(crate) struct Hop {
    items: Vec<Item>,
    bytes: Vec<u8>,
    spans: Vec<Span>,
    /// The buffers of commands that came in one of their own, in order.
    large: VecDeque<Vec<u8>>,
    names: Vec<KeyName>,
}

/// One thing said.
pub(crate) enum Item {
    /// Run this command at your shard and send its reply to `sink`.
    Command(Remote),
    /// Do this for a fan-out of mine.
    Part(PartOrder),
    /// The reply to a command of yours.
    Reply(Sink, Place),
    /// The same with long strings that are not in the batch.
    LongReply(Sink, Place, Vec<LongPart>),
    /// A transaction's order for your shard, or a shard's notice to a transaction of yours.
    Transaction(Box<crate::transaction::Message>),
    /// Of a cut.
    Cut(Box<crate::cut::Message>),
    /// A connection accepted here that is yours to serve.
    Accepted(OwnedFd),
    /// A command of yours was slow.
    Slow(Box<Slow>),
    /// Commands of your client at this place took so many nanoseconds, which is long.
    Took(ClientSlot, u64),
    /// The sender's subscriptions have changed; with a number it waits to hear that you know.
    Subscriptions(Arc<[Change]>, Option<u32>),
    /// This core knows of your change with this number.
    Known(u32),
    /// A message for your subscribers.
    Published(Arc<pubsub::Message>),
    /// So many bytes of your messages were delivered here.
    Delivered(usize),
    /// Keys of this shard have changed that clients of yours have read.
    Invalid(Vec<Invalid>),
    /// Keys of this shard have changed that clients of yours have prefixes of.
    Changed(Arc<[Changed]>),
    /// Say so when you have told whom the values concern that came back to you, for this flight of a client here.
    TellFirst(ClientSlot, FlightId),
    /// It is done.
    Told(ClientSlot, FlightId),
    /// All keys of this shard were flushed, so often.
    Flushed(u32),
    /// A client of yours is told in the stead of one of this core's.
    Redirected(Box<Redirected>),
    /// The client that a client of yours wants told in its stead has gone.
    Broken(Reader, ClientId),
    /// A command of yours waits here for its keys.
    Parked(Parked),
    /// Your client, which waits at several shards, may find something here.
    Offered(Sink, ClientId),
    /// Your client at this place waits no longer, whether or not what it waited for has come.
    Cancel(ClientSlot, Why),
    /// A transaction for your shard.
    Exec(Box<crate::exec::Exec>),
    /// Keys of yours that a client watches from now on.
    Watch(Box<crate::watching::WatchPart>),
    /// Watches of keys of yours that have ended.
    Unwatch(Vec<Watched>),
    /// What a flight of a client there has asked of the logs is not in force, as an error reply.
    Refused(ClientSlot, FlightId, String),
    /// A shard has become busy with a script.
    Busy,
    /// Evict if it is for you to do: memory is over its limit.
    MakeRoom,
    /// Keys of yours that were read from a file.
    Load(Box<crate::load::Batch>),
    /// What you sent was put in; the batch is empty.
    Loaded(Box<crate::load::Batch>),
    /// Load something.
    LoadOrder(crate::load::Order),
    /// Parts of transactions for your shard, to be run at their places in its log.
    LoadParts(crate::load::PartBatch),
    /// What became of an order of yours.
    LoadNews(Box<crate::load::News>),
    /// All data is there: serve, with this log if there is one.
    Recovered(crate::load::Recovered, Option<Box<durable::log::LogWriter>>),
    /// About a snapshot.
    Snapshot(Box<crate::snapshot::Message>),
    /// About this node's role.
    Replica(Box<crate::replica::Message>),
    /// About replicas.
    Master(Box<crate::master::Message>),
    /// About the end of the server.
    Ending(Box<crate::stop::Message>),
    /// What was here has been taken.
    Gone,
}

/// What the slow log of a command's client is told.
pub(crate) struct Slow {
    pub(crate) client: ClientSlot,
    pub(crate) command: CommandRef,
    pub(crate) args: OwnedArgs,
    pub(crate) nanos: u64,
}

/// A command on its way to its shard. Its spans are in the batch; so are its bytes, if they are not large.
#[derive(Clone, Copy)]
pub(crate) struct Remote {
    pub(crate) command: CommandRef,
    pub(crate) caller: Caller,
    /// The slot of the key it was routed by, when it has one.
    pub(crate) slot: Option<Slot>,
    pub(crate) sink: Sink,
    /// Its bytes are in a buffer of their own, which begins with this many bytes that may stay there for good.
    pub(crate) is_large: bool,
    bytes: Place,
    spans: Stretch,
}

/// Where a reply goes on the core it goes to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sink {
    /// The connection.
    pub(crate) client: ClientSlot,
    /// What it is to the connection.
    pub(crate) part: Part,
}

/// What a reply is to its connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    /// It fills a hole in the output.
    Hole(coordinator::pipeline::HoleId),
    /// It fills a hole with nothing: the client wants no replies.
    Muted(coordinator::pipeline::HoleId),
    /// It is the reply of shard `n` to a command of this number that several shards run.
    Shard(FlightId, u16),
    /// It is a shard's answer to a fan-out.
    Notice(FlightId, Notice),
}

impl Part {
    /// The hole that it fills.
    pub(crate) fn hole(self) -> Option<coordinator::pipeline::HoleId> {
        match self {
            Self::Hole(hole) | Self::Muted(hole) => Some(hole),
            Self::Shard(..) | Self::Notice(..) => None,
        }
    }
}

/// Bytes `start..end` of a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    start: usize,
    end: usize,
}

/// Some of a list of a batch: the place of the first, and how many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretch {
    start: u32,
    len: u32,
}

impl Stretch {
    fn of<'a, T>(&self, list: &'a [T]) -> &'a [T] {
        &list[self.start as usize..][..self.len as usize]
    }
}

impl Item {
    /// Whether it runs on this shard's data, or tries to, and sets nothing free.
    pub(crate) fn is_command(&self) -> bool {
        match self {
            Item::Command(_) => true,
            Item::Part(order) => order.tries(),
            _ => false,
        }
    }

    /// Whether it may come behind what was said after it: it is a plain command, whose client has no other under way, or what
    /// fills a place that is kept for it.
    fn may_be_late(&self) -> bool {
        match self {
            Item::Command(_) | Item::Slow(_) | Item::Took(..) => true,
            Item::Reply(sink, _) | Item::LongReply(sink, ..) => sink.part.hole().is_some(),
            _ => false,
        }
    }

    /// Whether it does nothing by itself that tells of data: a shard's reply for a flight that locks nothing, or something about
    /// connections and counts.
    pub(crate) fn tells_nothing(&self) -> bool {
        match self {
            Item::Reply(sink, _) => matches!(sink.part, Part::Shard(..)),
            Item::Accepted(_)
            | Item::Slow(_)
            | Item::Took(..)
            | Item::Subscriptions(..)
            | Item::Delivered(_)
            | Item::Told(..)
            | Item::Refused(..)
            | Item::Busy => true,
            _ => false,
        }
    }

    /// Tells a client's core that a command of its was slow.
    pub(crate) fn slow(command: CommandRef, client: ClientSlot, args: Args<'_>, nanos: u64) -> Self {
        Self::Slow(Box::new(Slow { client, command, args: args.into(), nanos }))
    }
}

/// Sends a batch past all that waits for the end of the turn or for a log. Where there is no room at once it goes with the rest.
pub(crate) fn send_past(node: &Node, peer: ShardId, hop: Hop) {
    if let Err(mut hop) = node.mailbox.send_past(peer.index(), hop) {
        node.mailbox.outbox(peer.index(), |rest| rest.append(&mut hop));
    }
}

impl reactor::mailbox::Batch for Hop {
    fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

impl Hop {
    /// Adds a command.
    pub(crate) fn command(
        &mut self,
        command: CommandRef,
        caller: Caller,
        slot: Option<Slot>,
        sink: Sink,
        args: Args<'_>,
    ) {
        let (bytes, spans) = self.line(args);
        self.items.push(Item::Command(Remote { command, caller, slot, sink, is_large: false, bytes, spans }));
    }

    /// Adds an order for a part of a fan-out: its number and that of its marker in the journal, the names of the keys that it
    /// claims, and what it runs.
    pub(crate) fn part(
        &mut self,
        origin: &Origin,
        (tx, number): (TxId, u64),
        order: Order,
        names: &[KeyName],
        args: Option<Args<'_>>,
    ) {
        let claimed = Stretch { start: self.names.len() as u32, len: names.len() as u32 };
        self.names.extend_from_slice(names);
        let args = self.line(args.unwrap_or(Args::new(&[], &[])));
        self.items.push(Item::Part(PartOrder { origin: *origin, tx, number, order, names: claimed, args }));
    }

    /// Copies a command line, and says where.
    fn line(&mut self, args: Args<'_>) -> (Place, Stretch) {
        let (bytes, spans) = (self.bytes.len(), self.spans.len());
        for arg in args.iter() {
            self.spans.push(Span { start: (self.bytes.len() - bytes) as u32, len: arg.len() as u32 });
            self.bytes.extend_from_slice(arg);
        }
        let spans = Stretch { start: spans as u32, len: args.len() as u32 };
        (Place { start: bytes, end: self.bytes.len() }, spans)
    }

    /// Adds a command whose bytes are in a buffer of their own. [`Hop::large`] is to follow at once.
    #[cold]
    pub(crate) fn large_command(
        &mut self,
        command: CommandRef,
        caller: Caller,
        slot: Slot,
        sink: Sink,
        args: Args<'_>,
    ) {
        let bytes = Place { start: self.bytes.len(), end: self.bytes.len() };
        let spans = Stretch { start: self.spans.len() as u32, len: args.len() as u32 };
        self.spans.extend_from_slice(args.spans());
        let remote = Remote { command, caller, slot: Some(slot), sink, is_large: true, bytes, spans };
        self.items.push(Item::Command(remote));
    }

    /// Adds the buffer of the large command that was added last.
    pub(crate) fn large(&mut self, buffer: Vec<u8>) {
        self.large.push_back(buffer);
    }

    /// Takes out the buffers of the large commands, in order.
    pub(crate) fn take_large(&mut self) -> VecDeque<Vec<u8>> {
        std::mem::take(&mut self.large)
    }

    /// The arguments of a large command, whose buffer that is, and the one that it begins with.
    pub(crate) fn large_args<'a>(&'a self, remote: &Remote, buffer: &'a [u8]) -> (Args<'a>, &'a [u8]) {
        let spans = remote.spans.of(&self.spans);
        let first = spans.iter().find(|span| span.start == 0).expect("an argument stands at the start");
        (Args::new(buffer, spans), &buffer[..first.len as usize])
    }

    /// Adds what another one has: replies, and what is said without bytes of its own.
    fn append(&mut self, other: &mut Self) {
        for item in other.take_items() {
            match item {
                Item::Reply(sink, place) => {
                    self.reply(sink, |out| out.extend_from_slice(other.bytes(place)));
                }
                item => {
                    let has_bytes = matches!(item, Item::Command(_) | Item::Part(_) | Item::LongReply(..));
                    assert!(!has_bytes, "it is copied by nobody");
                    self.say(item);
                }
            }
        }
    }

    /// Adds a reply, which `write` appends to the buffer it is given.
    pub(crate) fn reply(&mut self, sink: Sink, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        write(&mut self.bytes);
        self.items.push(Item::Reply(sink, Place { start, end: self.bytes.len() }));
    }

    /// Long strings belong into the reply that was added last, which has left them out.
    #[cold]
    pub(crate) fn put_long(&mut self, mut long: Vec<LongPart>) {
        let Some(Item::Reply(sink, place)) = self.items.pop() else { panic!("a reply was added last") };
        long.iter_mut().for_each(|part| part.at -= place.start);
        self.items.push(Item::LongReply(sink, place, long));
    }

    /// Whether it may come behind batches that were sent after it.
    pub(crate) fn may_be_late(&self) -> bool {
        self.items.iter().all(Item::may_be_late)
    }

    /// Whether it is so large that it should be sent before more is added.
    #[inline]
    pub(crate) fn is_large(&self) -> bool {
        self.bytes.len() > LARGE_BYTES
    }

    /// Adds anything else.
    pub(crate) fn say(&mut self, item: Item) {
        self.items.push(item);
    }

    /// Takes out what was said, in order; the bytes stay for [`Hop::args`] and [`Hop::bytes`].
    pub(crate) fn take_items(&mut self) -> Vec<Item> {
        std::mem::take(&mut self.items)
    }

    /// Empties the batch for its next use; `items` is what [`Hop::take_items`] gave, emptied. False when its memory is
    /// too much to keep.
    pub(crate) fn recycle(&mut self, items: Vec<Item>) -> bool {
        self.bytes.clear();
        self.spans.clear();
        self.names.clear();
        self.items = items;
        self.bytes.capacity() <= KEPT_BYTES
            && self.items.capacity() <= KEPT_ITEMS
            && self.spans.capacity() <= KEPT_SPANS
            && self.names.capacity() <= KEPT_SPANS
    }

    /// A command's arguments.
    pub(crate) fn args(&self, remote: &Remote) -> Args<'_> {
        Args::new(self.bytes(remote.bytes), remote.spans.of(&self.spans))
    }

    /// What a part of a fan-out runs: nothing when it only locks.
    pub(crate) fn part_args(&self, order: &PartOrder) -> Args<'_> {
        Args::new(self.bytes(order.args.0), order.args.1.of(&self.spans))
    }

    /// Names of keys.
    pub(crate) fn names(&self, stretch: Stretch) -> &[KeyName] {
        stretch.of(&self.names)
    }

    /// A reply's bytes.
    pub(crate) fn bytes(&self, place: Place) -> &[u8] {
        &self.bytes[place.start..place.end]
    }
}

/// A batch's buffers up to these sizes are used again: 256 KiB of bytes, items, and arguments.
const KEPT_BYTES: usize = 256 * 1024;
const KEPT_ITEMS: usize = 4096;
const KEPT_SPANS: usize = 4 * KEPT_ITEMS;

/// A batch of more bytes is large.
const LARGE_BYTES: usize = 512 * 1024;
