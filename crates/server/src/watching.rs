//! WATCH of keys of other shards, and the end of such watches.
//!
//! Each shard starts to watch its keys, and answers their versions, which home remembers until EXEC. A shard that has
//! locks lets it wait in their lines like a command that reads the keys: who watches a key after a transaction was
//! answered does not see that transaction's change. While the shard is busy with a script nobody waits: whoever watches a
//! key that the script changes later is told at EXEC. Watches end where EXEC runs, or with a message from home.

use crate::connection::Link;
use crate::flights::{FlightId, Letter, deliver};
use crate::hop::Item;
use crate::node::Node;
use crate::transaction::{self, From, Parked};
use commands::transaction::{Watched, note};
use commands::{Caller, ClientSlot, CommandRef, Core};
use coordinator::locks::{Admission, Claim, Mode, Scope};
use std::collections::BTreeMap;
use stdx::args::OwnedArgs;
use stdx::{Args, ShardId};

/// A WATCH under way.
pub(crate) struct Watching {
    from: From,
    command: CommandRef,
    /// The command lines for the shards, until they are sent.
    parts: Vec<(ShardId, OwnedArgs)>,
    /// How many of them are not answered.
    missing: usize,
    muted: bool,
    pub(crate) is_called: bool,
    began: u64,
}

/// A shard's part of a WATCH.
pub(crate) struct WatchPart {
    command: CommandRef,
    caller: Caller,
    args: OwnedArgs,
    home: ShardId,
    client: ClientSlot,
    flight: FlightId,
}

impl Watching {
    pub(crate) fn new(node: &Node, command: CommandRef, args: Args<'_>, from: From, muted: bool) -> Self {
        let mut parts: BTreeMap<ShardId, OwnedArgs> = BTreeMap::new();
        for key in args.from(1).iter() {
            let shard = node.router.shard_of_key(key);
            parts.entry(shard).or_insert_with(|| OwnedArgs::new(&[args.at(0)])).push(key);
        }
        Self {
            from,
            command,
            missing: parts.len(),
            parts: parts.into_iter().collect(),
            muted,
            is_called: true,
            began: node.ticks.get().now(),
        }
    }

    pub(crate) fn id(&self) -> FlightId {
        self.from.flight
    }

    /// Goes on as far as it can without another letter. True when it is over and its reply fills its hole.
    pub(crate) fn advance(&mut self, node: &Node, link: &Link) -> bool {
        self.is_called = false;
        for (shard, args) in std::mem::take(&mut self.parts) {
            let From { caller, client, flight, .. } = self.from;
            let caller = Caller { slot: None, ..caller };
            let part =
                Box::new(WatchPart { command: self.command, caller, args, home: node.id, client, flight });
            if shard == node.id {
                receive(node, part);
            } else {
                node.mailbox.outbox(shard.index(), |hop| hop.say(Item::Watch(part)));
            }
        }
        if self.missing > 0 {
            return false;
        }
        let outgoing = &mut *link.outgoing.borrow_mut();
        let reply: &[u8] = if self.muted { b"" } else { b"+OK\r\n" };
        outgoing.replies.fill(self.from.flight.0, reply);
        outgoing.overlap.answered();
        outgoing.window.answered(reply.len(), outgoing.replies.outstanding());
        let ticks = node.ticks.get();
        let nanos = ticks.nanos(self.began, ticks.now());
        node.state.borrow_mut().core.stats.record(self.command.index, nanos);
        true
    }

    /// Takes down what a shard has answered.
    pub(crate) fn read(&mut self, node: &Node, letter: Letter) {
        let Letter::Watched(watched) = letter else { unreachable!("a WATCH asks for nothing else") };
        self.is_called = true;
        self.missing -= 1;
        let state = &mut *node.state.borrow_mut();
        for watched in watched {
            note(&mut state.core, self.from.client, watched);
        }
        node.pass_on_wants(state);
    }
}

/// A shard's part: runs, or waits for locks.
pub(crate) fn receive(node: &Node, part: Box<WatchPart>) {
    if node.control.busy.error(node.id).is_some() {
        return run(node, &part);
    }
    let names = transaction::names(part.command, part.args.as_args());
    let claim = Claim { scope: Scope::Keys(&names), mode: Mode::Shared };
    let mut part = Some(part);
    let admission = {
        let participant = &mut node.state.borrow_mut().participant;
        let origin = part.as_ref().expect("just put there").caller.id;
        participant.admit(origin, claim, || Parked::Watch(part.take().expect("parked once")))
    };
    if admission == Admission::Run {
        run(node, &part.expect("it was not parked"));
    }
}

/// Runs a shard's part, and answers it.
pub(crate) fn run(node: &Node, part: &WatchPart) {
    let now = node.ticks.get().unix_ms();
    let keys = part.args.as_args().from(1);
    let watched = {
        let core = &mut node.state.borrow_mut().core;
        keys.iter().map(|key| Watched::begin(core, part.caller.db, key, now)).collect()
    };
    let letter = Letter::Watched(watched);
    if part.home == node.id {
        return deliver(node, part.client, part.flight, letter);
    }
    let message = transaction::Message::News(part.client, part.flight, letter);
    node.mailbox.outbox(part.home.index(), |hop| hop.say(Item::Transaction(Box::new(message))));
}

/// Has the other shards end watches that have ended here.
#[cold]
pub(crate) fn pass_on(node: &Node, core: &mut Core) {
    let mut by_shard: BTreeMap<ShardId, Vec<Watched>> = BTreeMap::new();
    for watched in core.unwatched.drain(..) {
        by_shard.entry(watched.shard).or_default().push(watched);
    }
    for (shard, watched) in by_shard {
        node.mailbox.outbox(shard.index(), |hop| hop.say(Item::Unwatch(watched)));
    }
}
