//! CLIENT TRACKING on the side of the clients: who is told that keys have changed, and in which form.
//!
//! ```text
//!   the shard of the key                 home of the reader                 home of the client it redirects to
//!   a key changes ──── Invalid ─────────► its options: told itself,
//!                                         or another ──── Redirected ──────► told, if it is still there
//!                                         noted as broken ◄── Broken ─────── if it is not
//!   a key changes ──── Changed ─────────► clients with a prefix of it
//!   all are flushed ── Flushed ─────────► all its clients, when every shard has said so
//! ```
//!
//! What a shard has to say of a key goes to the reader's home behind the reply of the command that read it, so no client
//! hears of a change before it has the value: a mailbox keeps its order. It goes there before the reply of the command that
//! changed it goes anywhere ([`tell`] is called before that reply leaves), and a client that tracks waits until all is handled that has come when its next
//! command has ([`crate::mail::Handled`]). So once a write is acknowledged, the next reply on a connection that has read the key comes
//! behind the news of it, on whichever core.
//!
//! What a client is told of its own command comes behind the reply of that.

use crate::flights::FlightId;
use crate::hop::Item;
use crate::loan::Loan;
use crate::node::{Node, State};
use crate::publish::{self, Own};
use commands::tracking::{Changed, Invalid};
use commands::{ClientFlags, ClientSlot, Core};
use pubsub::Reader;
use resp::{Proto, Reply};
use std::cell::Cell;
use std::sync::Arc;
use stdx::{ClientId, ShardId};

/// What a client is told has changed.
#[derive(Clone, Debug)]
pub(crate) enum Told {
    /// This key.
    Key(Arc<[u8]>),
    /// The keys of this array, as both protocols write it.
    Keys(Arc<[u8]>),
    /// Every key, for all it knows.
    All,
}

/// What a client is told in another's stead.
pub(crate) struct Redirected {
    to: Reader,
    /// Who has read it, and should know if the other has gone.
    reader: Reader,
    told: Told,
}

/// How often each shard has said that all of its keys were flushed. Every flush runs on all shards, and in one order: the
/// clients here are told of one when the last shard has spoken, and then everything that was read before it is here.
pub(crate) struct Flushes {
    by_shard: Box<[Cell<u64>]>,
    told: Cell<u64>,
}

impl Flushes {
    pub(crate) fn new(shards: u16) -> Self {
        Self { by_shard: (0..shards).map(|_| Cell::new(0)).collect(), told: Cell::new(0) }
    }

    /// Counts some of a shard's. Returns how many are to be told now.
    fn add(&self, shard: ShardId, count: u32) -> u64 {
        let own = &self.by_shard[shard.index()];
        own.set(own.get() + u64::from(count));
        let complete = self.by_shard.iter().map(Cell::get).min().expect("there is a shard");
        complete - self.told.replace(complete)
    }
}

/// The shards that get values back that a command has borrowed and changed, and that somebody tracks. They tell clients when
/// they get them; the command is answered when they have.
#[derive(Default)]
pub(crate) struct Tellers(Vec<ShardId>);

impl Tellers {
    /// These values go back to `owner`.
    pub(crate) fn note(&mut self, owner: ShardId, loans: &[Loan]) {
        if loans.iter().any(Loan::is_news) {
            self.0.push(owner);
        }
    }

    /// Asks them to say when they have told clients: so many will, to this flight of a client here.
    pub(crate) fn ask(&mut self, node: &Node, client: ClientSlot, flight: FlightId) -> usize {
        let tellers = std::mem::take(&mut self.0);
        for teller in &tellers {
            node.mailbox.outbox(teller.index(), |hop| hop.say(Item::TellFirst(client, flight)));
        }
        tellers.len()
    }
}

/// Tells clients what has changed on this shard. The outbox for `writer` may hold the reply of the command that changed it:
/// that one goes last.
#[cold]
pub(crate) fn tell(node: &Node, core: &mut Core, own: &mut Own<'_>, writer: Option<ShardId>) {
    let mut called = vec![false; node.router.shards() as usize];
    tell_readers(node, core, own, &mut called);
    if !core.tracking.changed.is_empty() {
        broadcast(node, core, own, &mut called);
    }
    let flushes = std::mem::take(&mut core.tracking.flushes);
    if flushes > 0 {
        for peer in (0..called.len()).filter(|&peer| peer != node.id.index()) {
            node.mailbox.outbox(peer, |hop| hop.say(Item::Flushed(flushes)));
            called[peer] = true;
        }
        flushed_on(node, core, own, node.id, flushes);
    }
    // They have it before anybody has the reply of the command that did it.
    let last = writer.map(ShardId::index).filter(|&peer| called[peer]);
    let others = (0..called.len()).filter(|&peer| called[peer] && Some(peer) != last);
    others.chain(last).for_each(|peer| crate::journal::leave_to(node, core, peer));
}

/// The same on behalf of another core, the outbox for which holds the reply already.
pub(crate) fn tell_before_reply(node: &Node, state: &mut State, writer: ShardId) {
    if state.core.tracking.is_pending() {
        crate::wait::deliver(node, state);
        tell(node, &mut state.core, &mut None, Some(writer));
    }
}

/// Tells those who have read keys, the most of which may be of other cores.
fn tell_readers(node: &Node, core: &mut Core, own: &mut Own<'_>, called: &mut [bool]) {
    let mut elsewhere: Vec<Vec<Invalid>> = Vec::new();
    for invalid in std::mem::take(&mut core.tracking.invalid) {
        let home = invalid.reader.home;
        if node.is_home(home) {
            invalidate(node, core, own, invalid);
        } else {
            elsewhere.resize_with(called.len(), Vec::new);
            elsewhere[home.index()].push(invalid);
        }
    }
    for (home, batch) in elsewhere.into_iter().enumerate().filter(|(_, batch)| !batch.is_empty()) {
        node.mailbox.outbox(home, |hop| hop.say(Item::Invalid(batch)));
        called[home] = true;
    }
}

/// What another core says of keys that clients of this one have read.
pub(crate) fn receive(node: &Node, batch: Vec<Invalid>) {
    let core = &mut node.state.borrow_mut().core;
    batch.into_iter().for_each(|one| invalidate(node, core, &mut None, one));
}

fn invalidate(node: &Node, core: &mut Core, own: &mut Own<'_>, invalid: Invalid) {
    let Invalid { reader, changed } = invalid;
    let client = core.clients.get(ClientSlot(reader.slot)).filter(|client| client.id == reader.id);
    let wants = client
        .and_then(|client| client.tracking.as_ref())
        .is_some_and(|tracking| !tracking.bcast && (!tracking.noloop || changed.by != reader.id));
    if wants {
        tell_client(node, core, own, reader, Told::Key(changed.key));
    }
}

/// Tells all cores that have clients with prefixes of the changed keys.
fn broadcast(node: &Node, core: &mut Core, own: &mut Own<'_>, called: &mut [bool]) {
    let changed: Arc<[Changed]> = std::mem::take(&mut core.tracking.changed).into();
    let mut cores = vec![false; called.len()];
    for one in &*changed {
        core.pubsub.mark_prefixes(&one.key, &mut cores);
    }
    for peer in (0..cores.len()).filter(|&peer| cores[peer]) {
        let changed = Arc::clone(&changed);
        node.mailbox.outbox(peer, |hop| hop.say(Item::Changed(changed)));
        called[peer] = true;
    }
    distribute_to(node, core, own, &changed);
}

/// Keys that have changed on another shard, for the clients here that have prefixes of them.
pub(crate) fn distribute(node: &Node, changed: &[Changed]) {
    distribute_to(node, &mut node.state.borrow_mut().core, &mut None, changed);
}

fn distribute_to(node: &Node, core: &mut Core, own: &mut Own<'_>, changed: &[Changed]) {
    let mut told: Vec<(Reader, Told)> = Vec::new();
    for (prefix, clients) in core.pubsub.prefixes() {
        let mut of_prefix: Vec<&Changed> = changed.iter().filter(|one| one.key.starts_with(prefix)).collect();
        if of_prefix.is_empty() {
            continue;
        }
        of_prefix.sort_by(|one, other| one.key.cmp(&other.key));
        let all = encode(&of_prefix, None);
        for slot in clients.iter().map(|who| ClientSlot(who.0)) {
            let client = core.clients.get(slot).expect("who has a prefix is connected");
            let noloop = client.tracking.as_ref().is_some_and(|tracking| tracking.noloop);
            let keys = if noloop { encode(&of_prefix, Some(client.id)) } else { all.clone() };
            if let Some(keys) = keys {
                let reader = Reader { id: client.id, home: node.id, slot: slot.0 };
                told.push((reader, Told::Keys(keys)));
            }
        }
    }
    told.into_iter().for_each(|(reader, told)| tell_client(node, core, own, reader, told));
}

/// The keys of `changed`, which is sorted, each once; but for those that only `without` has changed. `None` when none is left.
fn encode(changed: &[&Changed], without: Option<ClientId>) -> Option<Arc<[u8]>> {
    let wanted = changed.iter().filter(|one| without != Some(one.by));
    let mut keys: Vec<&[u8]> = wanted.map(|one| &*one.key).collect();
    keys.dedup();
    if keys.is_empty() {
        return None;
    }
    let mut bytes = Vec::new();
    let mut reply = Reply::new(&mut bytes, Proto::Resp2);
    reply.array(keys.len());
    keys.iter().for_each(|key| reply.bulk(key));
    Some(bytes.into())
}

/// Another shard has flushed its keys.
pub(crate) fn receive_flushed(node: &Node, from: ShardId, count: u32) {
    flushed_on(node, &mut node.state.borrow_mut().core, &mut None, from, count);
}

fn flushed_on(node: &Node, core: &mut Core, own: &mut Own<'_>, shard: ShardId, count: u32) {
    for _ in 0..node.flushes.add(shard, count) {
        let tracking = core.clients.iter().filter(|(_, client)| client.tracking.is_some());
        let readers: Vec<Reader> =
            tracking.map(|(slot, client)| Reader { id: client.id, home: node.id, slot: slot.0 }).collect();
        readers.into_iter().for_each(|reader| tell_client(node, core, own, reader, Told::All));
    }
}

/// Tells a client of this core that tracks, or whom it wants told instead.
fn tell_client(node: &Node, core: &mut Core, own: &mut Own<'_>, reader: Reader, told: Told) {
    let client = core.clients.get(ClientSlot(reader.slot)).expect("it was just seen");
    match client.tracking.as_ref().and_then(|tracking| tracking.redirect) {
        None => send(node, core, own, reader, &told, false),
        Some(to) if node.is_home(to.home) => redirected(node, core, own, Redirected { to, reader, told }),
        Some(to) => {
            let message = Redirected { to, reader, told };
            node.mailbox.outbox(to.home.index(), |hop| hop.say(Item::Redirected(Box::new(message))));
        }
    }
}

/// What a client of this core is told in the stead of one of another.
pub(crate) fn receive_redirected(node: &Node, message: Redirected) {
    redirected(node, &mut node.state.borrow_mut().core, &mut None, message);
}

fn redirected(node: &Node, core: &mut Core, own: &mut Own<'_>, message: Redirected) {
    let Redirected { to, reader, told } = message;
    if core.clients.get(ClientSlot(to.slot)).is_some_and(|client| client.id == to.id) {
        send(node, core, own, to, &told, true);
    } else if node.is_home(reader.home) {
        broken(node, core, own, reader, to.id);
    } else {
        node.mailbox.outbox(reader.home.index(), |hop| hop.say(Item::Broken(reader, to.id)));
    }
}

/// The client that `reader` of this core wants told has gone.
pub(crate) fn receive_broken(node: &Node, reader: Reader, gone: ClientId) {
    broken(node, &mut node.state.borrow_mut().core, &mut None, reader, gone);
}

fn broken(node: &Node, core: &mut Core, own: &mut Own<'_>, reader: Reader, gone: ClientId) {
    let client = core.clients.get_mut(ClientSlot(reader.slot)).filter(|client| client.id == reader.id);
    let is_meant = |client: &&mut commands::Client| {
        let redirect = client.tracking.as_ref().and_then(|tracking| tracking.redirect);
        redirect.is_some_and(|to| to.id == gone)
    };
    let Some(client) = client.filter(is_meant) else { return };
    client.flags.set(ClientFlags::TRACKING_BROKEN, true);
    if client.proto == Proto::Resp3 {
        publish::push_with(node, core, own, ClientSlot(reader.slot), |out| {
            let mut reply = Reply::new(out, Proto::Resp3);
            reply.push(2);
            reply.bulk(b"tracking-redir-broken");
            reply.int(gone.0 as i64);
        });
    }
}

/// Sends a client what has changed, if its protocol has a form for it: a push message, or a message of a channel of its own
/// for a subscriber of RESP2 who is told in another's stead.
fn send(node: &Node, core: &mut Core, own: &mut Own<'_>, to: Reader, told: &Told, is_redirected: bool) {
    let client = core.clients.get(ClientSlot(to.slot)).expect("it was just seen");
    let (proto, is_subscriber) = (client.proto, client.flags.has(ClientFlags::PUBSUB));
    if proto != Proto::Resp3 && !(is_redirected && is_subscriber) {
        return;
    }
    publish::push_with(node, core, own, ClientSlot(to.slot), |out| {
        let mut reply = Reply::new(out, proto);
        if proto == Proto::Resp3 {
            reply.push(2);
            reply.bulk(b"invalidate");
        } else {
            reply.array(3);
            reply.bulk(b"message");
            reply.bulk(b"__redis__:invalidate");
        }
        match told {
            Told::All => reply.null(),
            Told::Keys(keys) => reply.raw(keys),
            Told::Key(key) => {
                reply.array(1);
                reply.bulk(key);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flush_is_told_when_every_shard_has_said_so() {
        let flushes = Flushes::new(3);
        let add = |shard, count| flushes.add(ShardId(shard), count);
        assert_eq!([add(0, 1), add(2, 2), add(0, 1)], [0; 3]);
        assert_eq!(add(1, 1), 1);
        assert_eq!([add(1, 2), add(0, 1), add(2, 1)], [1, 0, 1]);
        assert_eq!(Flushes::new(1).add(ShardId(0), 2), 2);
    }
}
