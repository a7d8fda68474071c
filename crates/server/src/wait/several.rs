//! Waiting for keys on several shards: the client's command is run as a transaction, again and again, until there is something.
//!
//! ```text
//!   home                                            the shards of the keys
//!   a transaction: locks, runs the command ◄──────► lend what they have
//!   nothing there ─────── Return, Enter ──────────► it stands in line, since before anybody else could come
//!   the command is run anew, as a transaction ◄──── Offered: a key is ready; its line stands still
//!   something there ───── Return, Leave ──────────► it has left, the line moves on
//!   nothing any more ──── Return, Decline ────────► it keeps its place, those behind it have their turn
//! ```
//!
//! Home decides ([`coordinator::vigil`]), since nothing is taken before it runs the command: one that gives up sends Cancel and
//! is done. An element is taken at the home of who gets it, together with the decision that it does.
//!
//! First come is first served although an attempt looks at all keys of its client: what it is lent where others stand before
//! it in line is *reserved*, and the handler leaves it alone ([`commands::Core::is_reserved`]).

use super::{Place, Why, begin, id, say_why, tell, with_may_touch};
use crate::connection::{Link, Outgoing};
use crate::hop::{Part, Sink};
use crate::journal::deeds::Done;
use crate::loan::{self, Loan};
use crate::node::{Node, State};
use crate::transaction::{Borrowing, InFlight};
use crate::wait::Unit;
use commands::{Core, Parking, Wanted};
use coordinator::shards::ShardSet;
use coordinator::vigil::{Next, Verdict, Vigil};
use shard::{Waiter, WaiterId};
use std::ops::Range;
use std::sync::Arc;
use stdx::args::OwnedArgs;
use stdx::{ClientId, UnixMs};

/// Home: a client that stands in line at several shards.
#[derive(Debug)]
pub(super) struct Several {
    standing: Arc<Standing>,
    shards: ShardSet,
    vigil: Vigil<Why>,
}

/// A client's command and what it waits for: the same for home and for all its shards.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) waiter: Waiter<Sink>,
    /// The positions of the keys that it waits for.
    keys: Range<usize>,
    wanted: Wanted,
}

/// What an attempt has come to, for the shards.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    /// There was nothing: the client begins to wait.
    Enter(Arc<Standing>),
    /// It waited already, and goes on.
    Decline,
    /// It is answered.
    Leave,
}

impl Several {
    /// Whether no attempt is called for or under way.
    pub(super) fn is_idle(&self) -> bool {
        self.vigil.is_standing()
    }

    /// Whether it is to leave its lines at once.
    pub(super) fn give_up(&mut self, why: Why) -> bool {
        self.vigil.give_up(why)
    }
}

fn several(outgoing: &mut Outgoing) -> Option<&mut Several> {
    match &mut outgoing.wait.as_mut()?.place {
        Place::Shards(several) => Some(several),
        Place::Shard(..) | Place::Log(_) | Place::Replicas { .. } => None,
    }
}

/// Home: something may be there for a client.
pub(crate) fn offered(node: &Node, sink: Sink, client: ClientId) {
    offered_here(node, &node.state.borrow().core, sink, client);
}

pub(super) fn offered_here(node: &Node, core: &Core, sink: Sink, client: ClientId) {
    let links = node.links.borrow();
    // If this wait is over, the shard will know soon.
    let Some(link) = links.get(sink.client) else { return };
    let outgoing = &mut *link.outgoing.borrow_mut();
    let is_same = core.clients.get(sink.client).is_some_and(|known| known.id == client)
        && outgoing.wait.as_ref().is_some_and(|wait| wait.sink.part.hole() == sink.part.hole());
    if let Some(several) = several(outgoing).filter(|_| is_same)
        && several.vigil.offered()
    {
        link.kick();
    }
}

/// Home: the attempt that a client is called to, if it is.
pub(crate) fn call(node: &Node, link: &Link) -> Option<InFlight> {
    let mut outgoing = link.outgoing.borrow_mut();
    let sink = outgoing.wait.as_ref()?.sink;
    let several = several(&mut outgoing)?;
    let standing = several.vigil.begin().then(|| Arc::clone(&several.standing))?;
    drop(outgoing);
    Some(InFlight::again(node, sink, &standing.waiter))
}

/// A shard: lends its part of the keys, and says which of them are for others.
pub(crate) fn lend(node: &Node, state: &mut State, id: WaiterId, borrowing: &Borrowing<'_>) -> Vec<Loan> {
    let reserved = reserved(state, id, borrowing);
    let mut loans = loan::lend(&mut state.core, node.id, borrowing);
    for loan in &mut loans {
        loan.is_reserved = reserved.iter().any(|key| **key == *loan.key());
    }
    loans
}

fn reserved(state: &mut State, id: WaiterId, borrowing: &Borrowing<'_>) -> Vec<Box<[u8]>> {
    let Borrowing { command, caller, args, keys, now, .. } = *borrowing;
    let wait = shard::serve::Wait { id, command, db: caller.db, args };
    let is_here = |key: &[u8]| keys.is_some_and(|keys| keys.iter().any(|here| here == key));
    state.waitroom.reserved(&mut state.core, wait, is_here, now)
}

/// Home: runs a blocking command over what was lent, and what this shard has. Returns the others' values.
///
/// A client that has given up by now takes nothing.
pub(crate) fn attempt(
    node: &Node,
    state: &mut State,
    borrowing: &Borrowing<'_>,
    (sink, unit): (Sink, Unit<'_>),
    loans: Vec<Loan>,
    reply: &mut Vec<u8>,
) -> (Vec<Loan>, Done) {
    let links = node.links.borrow();
    // Only a core that ends gives up connections that are still owed an answer.
    let Some(link) = links.get(sink.client) else { return (loans, Done::default()) };
    let Borrowing { command, caller, args, now, .. } = *borrowing;
    let id = id(node.id, sink);
    let (waits, gives_up) = match several(&mut link.outgoing.borrow_mut()) {
        None => (false, None),
        Some(several) => (true, several.vigil.gives_up()),
    };
    let (loans, done, parking) = match gives_up.or(link.is_killed().then_some(Why::Gone)) {
        Some(why) => {
            say_why(&mut state.core, command, caller.proto, why, reply);
            (loans, Done::default(), None)
        }
        None => {
            let lent = loans.iter().filter(|loan| loan.is_reserved).map(|loan| loan.key().into());
            let own = reserved(state, id, borrowing);
            state.core.reserved = lent.chain(own).collect();
            let (loans, done) = loan::run(node, state, borrowing, loans, reply);
            state.core.reserved.clear();
            (loans, done, state.core.parking.take())
        }
    };
    let outgoing = &mut *link.outgoing.borrow_mut();
    match (several(outgoing), parking) {
        (Some(several), parking) => {
            let verdict = if parking.is_some() { Verdict::Declines } else { Verdict::Leaves };
            several.vigil.tried(verdict);
        }
        (None, Some(Parking { until, keys, wanted, args: known })) => {
            let args = known.unwrap_or_else(|| OwnedArgs::from(args));
            let waiter = Waiter { command, caller, args, is_whole: false, sink };
            let standing = Arc::new(Standing { waiter, keys, wanted });
            let several =
                Box::new(Several { shards: standing.shards(node), standing, vigil: Vigil::enter() });
            begin(node, &mut state.core, outgoing, (Place::Shards(several), sink), until);
        }
        (None, None) => debug_assert!(!waits, "nobody else ends this wait"),
    }
    if let Some(fate) = fate_of(outgoing) {
        settle(node, state, id, &fate, (unit, now));
    }
    (loans, done)
}

impl Standing {
    fn shards(&self, node: &Node) -> ShardSet {
        let args = self.waiter.args.as_args();
        self.keys.clone().map(|at| node.router.shard_of_key(args.at(at))).collect()
    }
}

/// Home: what a shard is to be told of an attempt, once it is known.
pub(crate) fn fate(node: &Node, client: commands::ClientSlot) -> Option<Fate> {
    node.links.borrow().get(client).and_then(|link| fate_of(&mut link.outgoing.borrow_mut()))
}

fn fate_of(outgoing: &mut Outgoing) -> Option<Fate> {
    let several = several(outgoing)?;
    Some(match several.vigil.verdict()? {
        Verdict::Enters => Fate::Enter(Arc::clone(&several.standing)),
        Verdict::Declines => Fate::Decline,
        Verdict::Leaves => Fate::Leave,
    })
}

/// A shard: gets back what it has lent, and does what the attempt has come to.
pub(crate) fn take_back(
    node: &Node,
    state: &mut State,
    (id, by): (WaiterId, ClientId),
    (fate, loans): (&Fate, Vec<Loan>),
    (unit, now): (Unit<'_>, UnixMs),
) {
    let left: Vec<_> =
        loans.iter().filter(|loan| loan.is_reserved).map(|loan| (loan.db(), loan.key().to_vec())).collect();
    loan::give_back(&mut state.core, loans, by, now);
    settle(node, state, id, fate, (unit, now));
    for (db, key) in left {
        // Those to whom it was left may have gone meanwhile.
        state.core.keyspace.mark_changed(db, &key);
    }
}

/// Does what an attempt has come to, next to the unit that has its keys.
fn settle(node: &Node, state: &mut State, id: WaiterId, fate: &Fate, (unit, now): (Unit<'_>, UnixMs)) {
    match fate {
        Fate::Leave => drop(state.waitroom.cancel(&mut state.core, id)),
        Fate::Decline => with_may_touch(state, unit, |waitroom, core, may_touch| {
            waitroom.decline(core, id, now, may_touch);
        }),
        Fate::Enter(standing) => {
            let Standing { waiter, keys, wanted } = &**standing;
            let args = waiter.args.as_args();
            let is_here = |at: &usize| node.is_home(node.router.shard_of_key(args.at(*at)));
            let mut here = keys.clone().filter(is_here).peekable();
            if here.peek().is_some() {
                state.waitroom.park(&mut state.core, id, here, wanted.clone(), waiter.clone());
            }
        }
    }
}

/// Home: ends an attempt. Whether the client waits, or has been told that it waits no longer; if not, it is to be answered.
pub(crate) fn stays(node: &Node, link: &Link, muted: bool) -> bool {
    let mut outgoing = link.outgoing.borrow_mut();
    let Some(several) = several(&mut outgoing) else { return false };
    let (is_new, command) =
        (several.vigil.verdict() == Some(Verdict::Enters), several.standing.waiter.command);
    let next = several.vigil.over();
    if next == Next::Answered {
        return false;
    }
    if is_new {
        node.state.borrow_mut().core.stats.record_untimed(command.index);
    }
    if let Some(wait) = &mut outgoing.wait
        && let (Part::Hole(hole), true) = (wait.sink.part, muted)
    {
        wait.sink.part = Part::Muted(hole);
    }
    drop(outgoing);
    match next {
        Next::GivesUp(why) => leave(node, link, why),
        // It may have gone, or have been called.
        _ => link.kick(),
    }
    true
}

/// Home: takes a client out of its lines and answers it.
pub(super) fn leave(node: &Node, link: &Link, why: Why) {
    let mut outgoing = link.outgoing.borrow_mut();
    let sink = outgoing.wait.as_ref().expect("it waits").sink;
    let Some(Several { shards, standing, .. }) = several(&mut outgoing) else { unreachable!("at several") };
    let (shards, standing) = (*shards, Arc::clone(standing));
    drop(outgoing);
    for shard in shards.iter() {
        tell(node, shard, link.slot, why);
    }
    let Waiter { command, caller, .. } = standing.waiter;
    let (core, mut out) = (&mut node.state.borrow_mut().core, Vec::new());
    say_why(core, command, caller.proto, why, &mut out);
    crate::mail::fill_in(node, core, sink, &out);
}
