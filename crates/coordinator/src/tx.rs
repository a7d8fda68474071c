//! One command that touches several shards: the coordinator's side, on the core of the command's connection.
//!
//! ```text
//!        ┌─────────┐ locked ┌────────────┐ all locked           ┌─────────┐ all ran ┌──────┐
//!  ─────►│ TryHome ├───────►│ TryRemotes ├─────────────────────►│ Running ├────────►│ Done │
//!    │   └────┬────┘        └─────┬──────┘                      └─────────┘         └──────┘
//!    │        │ refused           │ any refused                      ▲                  ▲
//!    │        ▼                   ▼                                  │                  │
//!    │   ┌───────────────────────────────────┐ all locked            │                  │
//!    └──►│ InOrder: lock the lowest missing  ├───────────────────────┘                  │
//!        └────────────────┬──────────────────┘                                          │
//!                         └ cancelled (anywhere), and no part was told to run ──────────┘
//! ```
//!
//! It starts in order where a try could gain nothing: with no remote shard, or a single one that is above home or
//! without home. A single remote shard in TryRemotes runs at once, and so does the last shard in order.
//!
//! **Try.** The home part is locked first, for that is free; then every remote shard is asked at once, and none of
//! them waits. A single remote shard is asked to lock, run and release in one message: the uncontended command with
//! one remote shard costs one request and one reply.
//!
//! **In order.** If anybody refuses, locks are taken one shard after another, in ascending order, waiting in line
//! at each. What the try got below the lowest refusal is kept, the rest given back first. The last shard in the
//! order locks, runs and releases in one message.
//!
//! **No deadlock, no starvation, no retry.** A try waits for nobody. A transaction in order waits at one shard
//! and holds locks only on shards below it. Within a shard a claim waits only for claims that came before it
//! ([`crate::locks`]). Suppose some waits never ended, and take the highest shard where one of them is: the first
//! claim that never goes there waits for a holder that never releases; that one is not trying (it would end),
//! not running (running does not wait), so it waits at a higher shard: a contradiction. The try is made once.
//!
//! **Strictly serializable.** Every part runs under locks of its own shard, and no lock is released before all have
//! been acquired: where an order both runs and releases, the other shards' locks are held already (that is
//! asserted), or it is the last of them. (What a refused try gives back does not count: nothing was done under it, and
//! nothing is, before it is locked again.) So there is an instant, between the command's arrival and its reply, at
//! which all its locks are held: its serialization point. An ordinary command's point is its execution. Take two
//! commands that conflict, on whichever shard: the locks let one of them go there only after the other released,
//! which is after the other's point and before its own. So conflicts on all shards point the same way, that of the
//! points, and the points respect real time.
//!
//! **No half.** Between the first part's effect and the last part's, the shards whose parts have not run are still
//! locked. A reader that saw the one waits at the other until it has run too; a reader that was at the second
//! before it was locked has its point before the transaction's, and so cannot have seen the first.
//!
//! **The reply** is given at [`Step::Done`]. For a fan-out every part has run by then. For a loan the handler
//! has run, and what it changed is on its way back to owners that are locked until it arrives, so nobody can look
//! earlier; this saves a round trip.
//!
//! What the proof leans on, and the driver must see to: messages from one core to another arrive in the order in
//! which they were sent, none is lost; whoever executes a command asks [`crate::participant`] first, and that
//! includes whatever looks at keys it does not name (SCAN, KEYS, RANDOMKEY claim the whole shard: lent entries are
//! away); what removes keys unasked (expiry, eviction) leaves locked ones alone; no core waits for room in another's
//! mailbox; a part that was told to run cannot fail and leave the others done (what may refuse, memory say, is asked
//! before); and all parts use one `now`, so that a key is expired for all of them or for none.

use stdx::ShardId;

pub use crate::locks::TxId;
use crate::shards::ShardSet;

/// Which shards take part, and how the work is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Each of these shards runs its part on its own entries; the driver merges the replies (MSET, DEL, MGET).
    Fanout(ShardSet),
    /// These shards lend their entries to home, which runs the handler over all of them (RENAME, MSETNX, EXEC).
    /// The driver claims them exclusively.
    Lend(ShardSet),
    /// A fan-out to shards 0 to n - 1; the driver claims each of them whole (FLUSHALL, SWAPDB, KEYS).
    Whole(u16),
}

/// How an order gets its locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acquire {
    /// It has them.
    Held,
    /// Take them if that is possible at once, else answer Refused and do nothing.
    Try,
    /// Wait in line for them, then do the rest.
    Wait,
}

/// What a shard does for an order, under the locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Only what concerns the locks.
    Nothing,
    /// Run this shard's part; at home, for a loan: the handler, over home's entries and all that were lent.
    Run,
    /// Take the entries of the claimed keys out, and send them home.
    Lend,
    /// Put the entries back that came with this message.
    Return,
    /// Leave the line, if this transaction still waits in it: answered Abandoned, or (granted before) not at all.
    Abandon,
}

/// What one shard is asked to do: acquire, then act, then release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// First.
    pub acquire: Acquire,
    /// Then.
    pub act: Act,
    /// Whether the locks are released afterwards.
    pub release: bool,
}

impl Order {
    /// Answered Locked or Refused.
    pub const TRY_LOCK: Self = Self::of(Acquire::Try, Act::Nothing, false);
    /// Answered Lent or Refused.
    pub const TRY_LOCK_LEND: Self = Self::of(Acquire::Try, Act::Lend, false);
    /// Answered Ran or Refused.
    pub const TRY_LOCK_RUN_RELEASE: Self = Self::of(Acquire::Try, Act::Run, true);
    /// Answered Locked.
    pub const LOCK: Self = Self::of(Acquire::Wait, Act::Nothing, false);
    /// Answered Lent.
    pub const LOCK_LEND: Self = Self::of(Acquire::Wait, Act::Lend, false);
    /// Answered Ran.
    pub const LOCK_RUN_RELEASE: Self = Self::of(Acquire::Wait, Act::Run, true);
    /// Answered Ran. Only at home, where it holds no locks.
    pub const RUN: Self = Self::of(Acquire::Held, Act::Run, false);
    /// Answered Ran.
    pub const RUN_RELEASE: Self = Self::of(Acquire::Held, Act::Run, true);
    /// Not answered.
    pub const RETURN_RELEASE: Self = Self::of(Acquire::Held, Act::Return, true);
    /// Not answered.
    pub const RELEASE: Self = Self::of(Acquire::Held, Act::Nothing, true);
    /// Answered Abandoned, or not at all when the order it gives up was carried out before.
    pub const ABANDON: Self = Self::of(Acquire::Held, Act::Abandon, false);

    const fn of(acquire: Acquire, act: Act, release: bool) -> Self {
        Self { acquire, act, release }
    }
}

impl Act {
    /// What the shard answers once it has done this.
    pub fn notice(self) -> Option<Notice> {
        match self {
            Act::Run => Some(Notice::Ran),
            Act::Lend => Some(Notice::Lent),
            Act::Nothing | Act::Return | Act::Abandon => None,
        }
    }
}

/// A shard's answer to an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The locks are held.
    Locked,
    /// They are not, and nothing was done.
    Refused,
    /// The part ran; its reply comes with this.
    Ran,
    /// The locks are held, and the entries come with this.
    Lent,
    /// The order that waited in line was withdrawn; nothing was done.
    Abandoned,
}

/// What the driver does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send `order` to another shard, with its claim and its arguments.
    Send {
        /// Never home.
        to: ShardId,
        /// To its participant.
        order: Order,
    },
    /// Give `order` to home's own participant.
    Home(Order),
    /// It is over: reply. Nothing is awaited, and all locks are released or that is on its way.
    Done(Outcome),
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every part ran.
    Executed,
    /// No part ran.
    Cancelled,
}

/// The machine. Poll it until `None` after it was made and after every notice; it must be driven to
/// [`Step::Done`], also when its client is gone, for it holds other commands up.
#[derive(Debug)]
pub struct Transaction {
    id: TxId,
    home: ShardId,
    lends: bool,
    parts: ShardSet,
    phase: Phase,
    /// Orders of this phase that are yet to be polled.
    outgoing: ShardSet,
    /// Locks to be given back, before those orders.
    returning: ShardSet,
    /// Shards that owe an answer.
    awaited: ShardSet,
    /// Shards whose locks it has.
    held: ShardSet,
    /// Shards whose part ran (for a loan: home, once the handler did).
    ran: ShardSet,
    is_cancelled: bool,
    abandons: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    TryHome,
    TryRemotes,
    InOrder,
    Running,
    Ended(Outcome),
    Told,
}

impl Transaction {
    /// Panics when no shard takes part.
    pub fn new(id: TxId, home: ShardId, plan: Plan) -> Self {
        let (parts, lends) = match plan {
            Plan::Fanout(shards) => (shards, false),
            Plan::Lend(shards) => (shards, true),
            Plan::Whole(count) => (ShardSet::all(count), false),
        };
        assert!(!parts.is_empty(), "a transaction that touches no shard");
        let mut tx = Self {
            id,
            home,
            lends,
            parts,
            phase: Phase::InOrder,
            outgoing: ShardSet::EMPTY,
            returning: ShardSet::EMPTY,
            awaited: ShardSet::EMPTY,
            held: ShardSet::EMPTY,
            ran: ShardSet::EMPTY,
            is_cancelled: false,
            abandons: false,
        };
        tx.start();
        tx
    }

    /// As given.
    pub fn id(&self) -> TxId {
        self.id
    }

    /// What to do next; `None` when it waits for a notice, or is over.
    pub fn poll(&mut self) -> Option<Step> {
        if let Some(shard) = self.returning.pop_first() {
            let lent = self.lends && shard != self.home;
            return Some(self.step(shard, if lent { Order::RETURN_RELEASE } else { Order::RELEASE }));
        }
        // The answer may have come since it was cancelled; then there is nothing to give up.
        if std::mem::take(&mut self.abandons)
            && let Some(shard) = self.awaited.first()
        {
            return Some(self.step(shard, Order::ABANDON));
        }
        if let Some(shard) = self.pop_outgoing() {
            self.awaited.insert(shard);
            return Some(self.step(shard, self.order_for(shard)));
        }
        let Phase::Ended(outcome) = self.phase else { return None };
        self.phase = Phase::Told;
        Some(Step::Done(outcome))
    }

    /// The answer of `from` (home too) to an order. Panics when none is awaited from it.
    pub fn handle(&mut self, from: ShardId, notice: Notice) {
        assert!(self.awaited.remove(from), "{:?}: {notice:?} from {from:?}, which owes none", self.id);
        match notice {
            Notice::Locked | Notice::Lent => self.held.insert(from),
            Notice::Ran => {
                self.held.remove(from);
                self.ran.insert(from);
            }
            Notice::Refused => assert!(self.is_trying(), "{:?}: {from:?} refuses to queue", self.id),
            Notice::Abandoned => assert!(self.is_cancelled, "{:?}: abandoned unasked", self.id),
        }
        self.advance();
    }

    /// Asks it to stop, wherever it is. If no part was told to run yet, it takes its locks back and ends as
    /// Cancelled; if one was, it goes on to the end (a part that is refused, or leaves its line, did not run). The
    /// driver polls on in either case; the outcome says which it was.
    pub fn cancel(&mut self) {
        if self.is_cancelled {
            return;
        }
        self.is_cancelled = true;
        if self.phase == Phase::Running && (!self.ran.is_empty() || !self.awaited.is_empty()) {
            return;
        }
        self.outgoing = ShardSet::EMPTY;
        self.abandons = self.phase == Phase::InOrder && !self.awaited.is_empty();
        self.advance();
    }

    fn start(&mut self) {
        let has_home = self.parts.contains(self.home);
        // With one remote shard above home, or none, the ordered path costs no message more than the try.
        let in_order = match self.parts.len() - usize::from(has_home) {
            0 => true,
            1 => !has_home || self.parts.first() == Some(self.home),
            _ => false,
        };
        if in_order {
            self.lock_next();
        } else if has_home {
            self.phase = Phase::TryHome;
            self.outgoing.insert(self.home);
        } else {
            self.try_remotes();
        }
    }

    fn try_remotes(&mut self) {
        self.phase = Phase::TryRemotes;
        self.outgoing = self.parts;
        self.outgoing.remove(self.home);
    }

    /// Once all that was asked is answered: what now?
    fn advance(&mut self) {
        let is_over = matches!(self.phase, Phase::Ended(_) | Phase::Told);
        if is_over || !self.awaited.is_empty() || !self.outgoing.is_empty() {
            return;
        }
        let has_run = if self.lends { !self.ran.is_empty() } else { self.ran.len() == self.parts.len() };
        if has_run {
            self.end(Outcome::Executed);
        } else if self.is_cancelled && self.ran.is_empty() {
            self.end(Outcome::Cancelled);
        } else if self.missing() == 0 {
            self.run();
        } else if self.phase == Phase::TryHome && self.held.contains(self.home) {
            self.try_remotes();
        } else {
            self.lock_next();
        }
    }

    /// How many parts are neither locked nor done. (What ran is no longer held.)
    fn missing(&self) -> usize {
        self.parts.len() - self.held.len() - self.ran.len()
    }

    /// Locks the lowest shard that is missing, holding nothing above it.
    fn lock_next(&mut self) {
        let next = self.parts.first_outside(&self.held).expect("called while one is missing");
        self.phase = Phase::InOrder;
        self.held.move_above(next, &mut self.returning);
        self.outgoing.insert(next);
    }

    fn run(&mut self) {
        self.phase = Phase::Running;
        if self.lends {
            self.outgoing.insert(self.home);
        } else {
            self.outgoing = self.held;
        }
    }

    fn end(&mut self, outcome: Outcome) {
        self.phase = Phase::Ended(outcome);
        while let Some(shard) = self.held.pop_first() {
            self.returning.insert(shard);
        }
    }

    /// Remote shards first, so that they work while home does.
    fn pop_outgoing(&mut self) -> Option<ShardId> {
        let home_too = self.outgoing.remove(self.home);
        match self.outgoing.pop_first() {
            None => home_too.then_some(self.home),
            remote => {
                if home_too {
                    self.outgoing.insert(self.home);
                }
                remote
            }
        }
    }

    fn order_for(&self, shard: ShardId) -> Order {
        let lends = self.lends && shard != self.home;
        // Whether every other shard is held: only then may this one release what it locks.
        let is_last = self.missing() == 1;
        match self.phase {
            Phase::TryHome => Order::TRY_LOCK,
            Phase::TryRemotes if lends => Order::TRY_LOCK_LEND,
            Phase::TryRemotes if is_last => Order::TRY_LOCK_RUN_RELEASE,
            Phase::TryRemotes => Order::TRY_LOCK,
            Phase::InOrder if lends => Order::LOCK_LEND,
            Phase::InOrder if is_last => Order::LOCK_RUN_RELEASE,
            Phase::InOrder => Order::LOCK,
            Phase::Running => {
                assert_eq!(self.missing(), 0, "{:?} runs before it holds all its locks", self.id);
                if self.held.contains(shard) { Order::RUN_RELEASE } else { Order::RUN }
            }
            Phase::Ended(_) | Phase::Told => unreachable!("nothing is ordered after the end"),
        }
    }

    fn is_trying(&self) -> bool {
        matches!(self.phase, Phase::TryHome | Phase::TryRemotes)
    }

    fn step(&self, shard: ShardId, order: Order) -> Step {
        if shard == self.home { Step::Home(order) } else { Step::Send { to: shard, order } }
    }
}

#[cfg(test)]
mod tests;
