//! Subscriptions and messages between cores, and messages on their way to subscribers.
//!
//! ```text
//!   home of the subscriber                other cores                  home of the publisher
//!   SUBSCRIBE ─► its own directory
//!             ─► Subscriptions ─────────► their directories
//!   confirmed ◄─ Known (from all) ◄──────
//!                                                                      PUBLISH ─► the directory: how many receive it
//!   frames to its subscribers ◄──────────────────── Published ◄────────        ─► frames to its own subscribers
//! ```
//!
//! A client is told that it is subscribed, or no longer, when every core knows; so whoever publishes after that, anywhere,
//! reaches it, or not. Messages of one publisher to one channel keep their order, as mailboxes do.
//!
//! Nobody waits for subscribers: what they do not take piles up to their output buffer limit, and there they are cut. But
//! publishers wait, before their next command, while what they have published has not been tried to be sent, here or on
//! another core, and is more than [`UNSENT_BYTES_MAX`].

use crate::connection::{Link, Outgoing, cut};
use crate::courier::Courier;
use crate::hop::{Item, Sink};
use crate::node::Node;
use commands::{ClientFlags, ClientSlot, Core};
use config::{ClientClass, OutputLimit};
use pubsub::{Change, Frame, Message, Subscriber};
use resp::Proto;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use stdx::{ClientId, ShardId, UnixMs};

/// One core's part in publishing.
pub(crate) struct Publishing {
    pub(crate) courier: Courier,
    frame: RefCell<Frame>,
    /// Which cores the message at hand is for.
    cores: RefCell<Box<[bool]>>,
    /// Those that are to be sent what is for them before the publisher has its reply.
    called: RefCell<Vec<usize>>,
    confirmations: RefCell<Confirmations>,
    /// Bytes sent to each core that it has not told to have delivered.
    ahead: Box<[Cell<usize>]>,
    /// Bytes from each core that were delivered here, and not told of yet.
    delivered: Box<[Cell<usize>]>,
    /// Publishers that wait for what is unsent to become less.
    waiting: RefCell<Vec<Rc<Link>>>,
}

/// Changes of subscriptions that not all cores know yet.
#[derive(Default)]
struct Confirmations {
    next: u32,
    open: HashMap<u32, Confirmation>,
}

struct Confirmation {
    sink: Sink,
    reply: Vec<u8>,
    missing: u16,
}

/// The connection whose turn it is, if it is one's: it sends what it is given by itself.
pub(crate) type Own<'a> = Option<(ClientSlot, &'a mut Outgoing)>;

impl Publishing {
    pub(crate) fn new(cores: u16) -> Self {
        let counters = || (0..cores).map(|_| Cell::new(0)).collect();
        Self {
            courier: Courier::default(),
            frame: RefCell::default(),
            cores: RefCell::new(vec![false; cores as usize].into()),
            called: RefCell::default(),
            confirmations: RefCell::default(),
            ahead: counters(),
            delivered: counters(),
            waiting: RefCell::default(),
        }
    }

    /// Whether so much is unsent that publishers should wait.
    pub(crate) fn is_full(&self) -> bool {
        self.is_behind() || self.ahead.iter().any(|bytes| bytes.get() > UNSENT_BYTES_MAX)
    }

    /// Whether so much is unsent on this core.
    #[inline]
    fn is_behind(&self) -> bool {
        self.courier.bytes() > UNSENT_BYTES_MAX
    }

    /// Has a connection kicked when there is room again.
    pub(crate) fn wait(&self, link: &Rc<Link>) {
        self.waiting.borrow_mut().push(Rc::clone(link));
    }

    fn wake(&self) {
        if !self.is_full() {
            self.waiting.take().iter().for_each(|link| link.kick());
        }
    }
}

/// Delivers what commands have published, and what has happened to keys if somebody wants to know. Returns whether there
/// was anything.
#[inline]
pub(crate) fn settle(node: &Node, core: &mut Core, own: Own<'_>) -> bool {
    let is_quiet = !core.effects.listens_for_events()
        && core.keyspace.effects.touched.is_empty()
        && !core.tracking.is_pending()
        && !core.pubsub.has_published()
        && !core.pubsub.has_changes();
    !is_quiet && deliver_all(node, core, own)
}

#[inline(never)]
fn deliver_all(node: &Node, core: &mut Core, mut own: Own<'_>) -> bool {
    if core.pubsub.has_changes() {
        announce(node, core, None);
    }
    commands::tracking::gather(core, ClientId::default());
    if core.tracking.is_pending() {
        crate::track::tell(node, core, &mut own, None);
    }
    deliver_published(node, core, own)
}

/// Delivers what was published to those who subscribe by now, of what has happened to keys too. Returns whether there was anything.
pub(crate) fn deliver_published(node: &Node, core: &mut Core, own: Own<'_>) -> bool {
    let has_any = post_published(node, core, own);
    call(node, core);
    has_any
}

/// The same amid a unit of effects, of which nothing may leave before it is whole: [`call`] is to follow when it is.
pub(crate) fn post_published(node: &Node, core: &mut Core, mut own: Own<'_>) -> bool {
    commands::pubsub::publish_events(core);
    if !core.pubsub.has_published() {
        return false;
    }
    let mut called = node.publishing.called.borrow_mut();
    for message in core.pubsub.take_published() {
        let bytes = cost(&message);
        let mut cores = node.publishing.cores.borrow_mut();
        cores.fill(false);
        deliver(node, core, &message, &mut cores, &mut own);
        let message = Arc::new(message);
        for (peer, _) in cores.iter().enumerate().filter(|(_, wants)| **wants) {
            let ahead = &node.publishing.ahead[peer];
            ahead.set(ahead.get() + bytes);
            node.mailbox.outbox(peer, |hop| hop.say(Item::Published(Arc::clone(&message))));
            called.push(peer);
        }
    }
    true
}

/// Sends other cores what was published for them: they have it before the publisher has its reply, and before another core goes on
/// with what it waited for.
#[inline]
pub(crate) fn call(node: &Node, core: &mut Core) {
    if !node.publishing.called.borrow().is_empty() {
        call_all(node, core);
    }
}

fn call_all(node: &Node, core: &mut Core) {
    let mut called = node.publishing.called.take();
    called.sort_unstable();
    called.dedup();
    called.into_iter().for_each(|peer| crate::journal::leave_to(node, core, peer));
}

/// A message from another core, for the subscribers of this one.
pub(crate) fn receive(node: &Node, from: ShardId, message: &Message) {
    let mut state = node.state.borrow_mut();
    let mut cores = node.publishing.cores.borrow_mut();
    deliver(node, &mut state.core, message, &mut cores, &mut None);
    let delivered = &node.publishing.delivered[from.index()];
    delivered.set(delivered.get() + cost(message));
    tell_delivered(node, from.index());
}

/// Tells a core what was delivered of its messages, now and then, and not while too much is unsent here.
fn tell_delivered(node: &Node, core: usize) {
    let delivered = &node.publishing.delivered[core];
    if delivered.get() >= TOLD_BYTES && !node.publishing.is_behind() {
        let bytes = delivered.take();
        node.mailbox.outbox(core, |hop| hop.say(Item::Delivered(bytes)));
    }
}

/// Another core has delivered so many bytes of this one's messages.
pub(crate) fn delivered(node: &Node, from: ShardId, bytes: usize) {
    let ahead = &node.publishing.ahead[from.index()];
    ahead.set(ahead.get() - bytes);
    node.publishing.wake();
}

/// After something was sent: lets those go on who wait for it.
#[inline]
pub(crate) fn relieve(node: &Node) {
    let publishing = &node.publishing;
    if publishing.courier.bytes() > UNSENT_BYTES_MAX / 2 {
        return;
    }
    if !publishing.waiting.borrow().is_empty() {
        publishing.wake();
    }
    (0..publishing.delivered.len()).for_each(|core| tell_delivered(node, core));
}

/// Gives every subscriber of this core its frames, and marks the other cores that have subscribers.
fn deliver(node: &Node, core: &mut Core, message: &Message, cores: &mut [bool], own: &mut Own<'_>) {
    let limit = core.config.client_output_buffer_limit.of(ClientClass::Pubsub);
    let links = node.links.borrow();
    let mut slow: Vec<(&Rc<Link>, u64)> = Vec::new();
    core.pubsub.deliver(message, cores, &mut node.publishing.frame.borrow_mut(), |who, frame| {
        let slot = ClientSlot(who.0);
        if let Some((_, outgoing)) = own.as_mut().filter(|(own, _)| *own == slot) {
            let proto = outgoing.proto;
            return frame.append(outgoing.pushes(), proto);
        }
        let link = links.get(slot).expect("a subscriber is connected");
        if let Some(pending) = push(node, link, limit, |out, proto| frame.append(out, proto)) {
            slow.push((link, pending));
        }
    });
    for (link, pending) in slow {
        cut_off(core, link, pending);
    }
}

/// Appends a push message, which `write` encodes, to what a client of this core is sent.
pub(crate) fn push_with(
    node: &Node,
    core: &mut Core,
    own: &mut Own<'_>,
    slot: ClientSlot,
    write: impl FnOnce(&mut Vec<u8>),
) {
    if let Some((_, outgoing)) = own.as_mut().filter(|(own, _)| *own == slot) {
        return write(outgoing.pushes());
    }
    let links = node.links.borrow();
    let Some(link) = links.get(slot) else { return };
    let flags = core.clients.get(slot).map_or_else(ClientFlags::default, |client| client.flags);
    let limit = core.config.client_output_buffer_limit.of(class_of(flags));
    if let Some(pending) = push(node, link, limit, |out, _| write(out)) {
        cut_off(core, link, pending);
    }
}

/// The class whose output limit a client is held to. Monitors are like subscribers: they do not choose how much comes.
pub(crate) fn class_of(flags: ClientFlags) -> ClientClass {
    const LISTENERS: u32 = ClientFlags::PUBSUB.0 | ClientFlags::MONITOR.0;
    match flags.0 {
        flags if flags & ClientFlags::REPLICA.0 != 0 => ClientClass::Replica,
        flags if flags & LISTENERS != 0 => ClientClass::Pubsub,
        _ => ClientClass::Normal,
    }
}

#[cold]
fn cut_off(core: &mut Core, link: &Link, pending: u64) {
    if !link.is_killed() {
        cut(core, link.slot, pending);
        link.kill();
        let unsent = link.outgoing.borrow_mut().replies.drop_ready();
        unsent.for_each(|bytes| core.keyspace.bury_shared(bytes));
    }
}

/// Appends a message to what a connection sends. `Some` when so many bytes wait that it is to be cut.
#[inline]
fn push(
    node: &Node,
    link: &Rc<Link>,
    limit: OutputLimit,
    append: impl FnOnce(&mut Vec<u8>, Proto),
) -> Option<u64> {
    if link.is_killed() {
        return None;
    }
    let outgoing = &mut *link.outgoing.borrow_mut();
    let proto = outgoing.proto;
    let pushes = outgoing.pushes();
    let before = pushes.len();
    append(pushes, proto);
    let bytes = pushes.len() - before;
    node.publishing.courier.call(link, bytes);
    let held = match outgoing.replies.outstanding() {
        0 => outgoing.replies.ready(),
        _ => outgoing.replies.buffered_bytes(),
    };
    let pending = (held + link.wire.borrow().output.len()) as u64;
    if limit.soft_bytes > 0 && pending >= limit.soft_bytes && link.cut_at.get().is_none() {
        let now = crate::clock::unix_ms();
        link.cut_at.set(Some(UnixMs(now.0 + i64::from(limit.soft_s) * 1000)));
    }
    (limit.hard_bytes > 0 && pending >= limit.hard_bytes).then_some(pending)
}

/// Tells the other cores what has changed in this one's subscriptions. `confirms` is the client's reply, and where it goes
/// when all of them know.
pub(crate) fn announce(node: &Node, core: &mut Core, confirms: Option<(Sink, Vec<u8>)>) {
    let changes: Arc<[Change]> = core.pubsub.take_changes().into();
    let id = confirms.map(|(sink, reply)| {
        let confirmations = &mut *node.publishing.confirmations.borrow_mut();
        let id = confirmations.next;
        confirmations.next = id.wrapping_add(1);
        let missing = node.router.shards() - 1;
        let before = confirmations.open.insert(id, Confirmation { sink, reply, missing });
        assert!(before.is_none(), "4 billion confirmations are open");
        id
    });
    for peer in (0..node.router.shards()).filter(|&peer| peer != node.id.0) {
        let changes = Arc::clone(&changes);
        node.mailbox.outbox(peer as usize, |hop| hop.say(Item::Subscriptions(changes, id)));
    }
}

/// Takes in what has changed in another core's subscriptions.
pub(crate) fn learn(node: &Node, from: ShardId, changes: &[Change], id: Option<u32>) {
    let core = &mut node.state.borrow_mut().core;
    core.pubsub.apply(from.0, changes);
    commands::tracking::update(core);
    if let Some(id) = id {
        node.mailbox.outbox(from.index(), |hop| hop.say(Item::Known(id)));
    }
}

/// Another core knows of a change; when it is the last, the client is told.
pub(crate) fn known(node: &Node, id: u32) {
    let confirmations = &mut *node.publishing.confirmations.borrow_mut();
    let confirmation = confirmations.open.get_mut(&id).expect("a core confirms what it was told");
    confirmation.missing -= 1;
    if confirmation.missing == 0 {
        let Confirmation { sink, reply, .. } = confirmations.open.remove(&id).expect("just seen");
        crate::mail::fill(node, sink, &reply);
    }
}

/// A client has gone, and with it its subscriptions.
pub(crate) fn leave(node: &Node, core: &mut Core, slot: ClientSlot) {
    core.pubsub.leave(Subscriber(slot.0));
    commands::tracking::update(core);
    if core.pubsub.has_changes() && !node.stopping.get() {
        announce(node, core, None);
    }
}

/// What a message counts while it is unsent.
fn cost(message: &Message) -> usize {
    message.channel().len() + message.payload().len() + MESSAGE_BYTES
}

/// More bytes than this that were published and not yet tried to be sent make publishers wait.
const UNSENT_BYTES_MAX: usize = 4 << 20;
/// A core is told of its delivered messages when they are so many bytes.
const TOLD_BYTES: usize = UNSENT_BYTES_MAX / 16;
/// What a message takes besides its text.
const MESSAGE_BYTES: usize = 64;
