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
//!
//!   a held one:                      stage, again and again
//!                        all locked ┌─────────┐◄────────────┐
//!   TryRemotes, InOrder ───────────►│ Granted ├────────────►│ Staging │ released with ┌──────┐
//!                                   └────┬────┘             └────┬────┘ its last stage│ Done │
//!                                        │ released              └───────────────────►│      │
//!                                        └───────────────────────────────────────────►└──────┘
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
//! **Held transactions** ([`Plan::Hold`]: EXEC, scripts) lock first and then work in any number of stages, each told to the
//! machine when the one before is over. Nothing is released before the driver says so, and stages acquire nothing: so the
//! instant at which all locks are held is the serialization point as before, however long the stages take, and all that
//! was said above holds. A release that comes with the last stage lets a shard go when its part has run: whoever sees its
//! effect there, and looks for another part of it, finds that other shard locked until it has run, too. While it is granted
//! it waits for its driver alone; so that nobody waits for ever, the driver never waits for a lock of its own or of another,
//! and drives the stages to their end.
//!
//! **Journalled fan-outs** ([`Transaction::keeping`]) keep the locks of parts that ran until all have run:
//!
//! ```text
//!   Running ── all ran ──► Step::Ran: home journals the whole ──► Release, with the marker, to all ──► Done
//! ```
//!
//! So whole transactions are written with all locks held, as loans and held ones are anyway: a loan's handler runs while
//! all owners are locked, and a held one is released by its driver. No part is seen before that, since its shard is locked
//! until the release, which is sent behind the whole record; and home draws the transaction's number then. Releasing later takes
//! nothing from what was said above: where an order used to run and release, it only runs.
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
    /// These shards are locked, and stay so through all the stages that the driver then asks for (EXEC, scripts).
    Hold(ShardSet),
}

/// What a held transaction does next, under the locks that it has: see [`Transaction::stage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Each of these shards runs its part of the stage, all at the same time.
    Run(ShardSet),
    /// These shards lend entries to home, which runs the stage over them and its own; then they go back. Home needs no
    /// lock of its own for this, and may be named or not.
    Lend(ShardSet),
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
    /// Answered Lent.
    pub const LEND: Self = Self::of(Acquire::Held, Act::Lend, false);
    /// Not answered.
    pub const RETURN: Self = Self::of(Acquire::Held, Act::Return, false);
    /// Answered Ran. Of a loan only at home, where it may hold no locks.
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
    /// Every part of one that keeps its locks has run: journal what it did, then poll on, and it releases. Told once.
    Ran,
    /// A held transaction has all its locks, or its stage is over: call [`Transaction::stage`] or
    /// [`Transaction::release`], then poll on. Told once each time.
    Granted,
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
    holds: bool,
    /// Whether shards stay locked until all parts have run.
    keeps: bool,
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
    /// Of a held one: the stage under way.
    staging: Staging,
}

/// A stage under way.
#[derive(Clone, Copy, Debug, Default)]
struct Staging {
    is_loan: bool,
    /// Of a loan: whether home was told to run it.
    has_home: bool,
    /// Shards whose entries are at home.
    lent: ShardSet,
    /// Whether the locks go with it.
    releases: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    TryHome,
    TryRemotes,
    InOrder,
    Running,
    /// Of one that keeps its locks: all parts have.
    Ran,
    /// Of a held one: between stages; `false` until the driver has been told.
    Granted(bool),
    Staging,
    Ended(Outcome),
    Told,
}

impl Transaction {
    /// Panics when no shard takes part.
    pub fn new(id: TxId, home: ShardId, plan: Plan) -> Self {
        let (parts, lends, holds) = match plan {
            Plan::Fanout(shards) => (shards, false, false),
            Plan::Lend(shards) => (shards, true, false),
            Plan::Whole(count) => (ShardSet::all(count), false, false),
            Plan::Hold(shards) => (shards, false, true),
        };
        assert!(!parts.is_empty(), "a transaction that touches no shard");
        let mut tx = Self {
            id,
            home,
            lends,
            holds,
            keeps: false,
            parts,
            phase: Phase::InOrder,
            outgoing: ShardSet::EMPTY,
            returning: ShardSet::EMPTY,
            awaited: ShardSet::EMPTY,
            held: ShardSet::EMPTY,
            ran: ShardSet::EMPTY,
            is_cancelled: false,
            abandons: false,
            staging: Staging::default(),
        };
        tx.start();
        tx
    }

    /// Has a fan-out keep all its locks until it has told [`Step::Ran`]. To be called before it is polled; panics for any
    /// other plan, where locks are kept anyway.
    #[must_use]
    pub fn keeping(mut self) -> Self {
        assert!(!self.lends && !self.holds && self.awaited.is_empty(), "{:?}: asked too late", self.id);
        self.keeps = true;
        self
    }

    /// As given.
    pub fn id(&self) -> TxId {
        self.id
    }

    /// What to do next; `None` when it waits for a notice, or is over.
    pub fn poll(&mut self) -> Option<Step> {
        if let Some(shard) = self.returning.pop_first() {
            return Some(self.step(shard, self.order_back(shard)));
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
        match self.phase {
            Phase::Granted(false) => {
                self.phase = Phase::Granted(true);
                Some(Step::Granted)
            }
            Phase::Ran => {
                self.end(Outcome::Executed);
                Some(Step::Ran)
            }
            Phase::Ended(outcome) => {
                self.phase = Phase::Told;
                Some(Step::Done(outcome))
            }
            _ => None,
        }
    }

    /// The next stage of a held transaction, to be called at [`Step::Granted`]. With `releases` it is the last, and each
    /// shard is released as soon as it has nothing more to do. Panics when a stage is under way, or names a shard that
    /// takes no part.
    pub fn stage(&mut self, stage: Stage, releases: bool) {
        assert!(self.phase == Phase::Granted(true), "{:?}: a stage out of turn", self.id);
        let (is_loan, shards) = match stage {
            Stage::Run(shards) => (false, shards),
            Stage::Lend(shards) => (true, shards.without(&ShardSet::one(self.home))),
        };
        let strange = shards.without(&self.held).first();
        assert!(strange.is_none(), "{:?}: a stage on {strange:?}, which it did not lock", self.id);
        self.phase = Phase::Staging;
        self.staging = Staging { is_loan, releases, ..Staging::default() };
        self.outgoing = shards;
        if releases && !is_loan {
            self.returning = self.held.without(&shards);
            self.held = shards;
        }
        self.advance();
    }

    /// Ends a held transaction, at [`Step::Granted`]. Panics when a stage is under way.
    pub fn release(&mut self) {
        assert!(self.phase == Phase::Granted(true), "{:?}: released out of turn", self.id);
        self.staging = Staging::default();
        self.end(Outcome::Executed);
    }

    /// The answer of `from` (home too) to an order. Panics when none is awaited from it.
    pub fn handle(&mut self, from: ShardId, notice: Notice) {
        assert!(self.awaited.remove(from), "{:?}: {notice:?} from {from:?}, which owes none", self.id);
        match notice {
            Notice::Lent if self.holds => self.staging.lent.insert(from),
            Notice::Ran if self.holds && (self.staging.is_loan || !self.staging.releases) => {}
            Notice::Locked | Notice::Lent => self.held.insert(from),
            Notice::Ran if self.keeps => {
                self.held.insert(from);
                self.ran.insert(from);
            }
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
    /// driver polls on in either case; the outcome says which it was. One that is held and has its locks goes on: it is
    /// for the driver to release it.
    pub fn cancel(&mut self) {
        if self.is_cancelled {
            return;
        }
        self.is_cancelled = true;
        let was_told_to_run =
            self.phase == Phase::Running && (!self.ran.is_empty() || !self.awaited.is_empty());
        if was_told_to_run || matches!(self.phase, Phase::Granted(_) | Phase::Staging) {
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
        if self.phase == Phase::Staging {
            return self.advance_stage();
        }
        let has_run = if self.lends { !self.ran.is_empty() } else { self.ran.len() == self.parts.len() };
        if has_run && self.keeps {
            self.phase = Phase::Ran;
        } else if has_run {
            self.end(Outcome::Executed);
        } else if self.is_cancelled && self.ran.is_empty() {
            self.end(Outcome::Cancelled);
        } else if self.missing() == 0 && self.holds {
            self.phase = Phase::Granted(false);
        } else if self.missing() == 0 {
            self.run();
        } else if self.phase == Phase::TryHome && self.held.contains(self.home) {
            self.try_remotes();
        } else {
            self.lock_next();
        }
    }

    /// All that the stage asked of others is answered.
    fn advance_stage(&mut self) {
        if self.staging.is_loan && !std::mem::replace(&mut self.staging.has_home, true) {
            return self.outgoing.insert(self.home);
        }
        if self.staging.releases {
            return self.end(Outcome::Executed);
        }
        self.phase = Phase::Granted(false);
        self.returning = self.staging.lent;
    }

    /// How many parts are neither locked nor done. (What ran is no longer held, unless locks are kept.)
    fn missing(&self) -> usize {
        let released = if self.keeps { 0 } else { self.ran.len() };
        self.parts.len() - self.held.len() - released
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
            self.outgoing = self.held.without(&self.ran);
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

    /// What a shard is told that is needed no longer, or that gets back what it lent.
    fn order_back(&self, shard: ShardId) -> Order {
        let lent =
            if self.holds { self.staging.lent.contains(shard) } else { self.lends && shard != self.home };
        match (lent, self.phase) {
            (true, Phase::Granted(_)) => Order::RETURN,
            (true, _) => Order::RETURN_RELEASE,
            (false, _) => Order::RELEASE,
        }
    }

    fn stage_order(&self, shard: ShardId) -> Order {
        match self.staging {
            Staging { is_loan: true, .. } if shard != self.home => Order::LEND,
            Staging { is_loan: false, releases: true, .. } => Order::RUN_RELEASE,
            _ => Order::RUN,
        }
    }

    fn order_for(&self, shard: ShardId) -> Order {
        let lends = self.lends && shard != self.home;
        // Whether every other shard is held: only then may this one release what it locks.
        let is_last = self.missing() == 1 && !self.holds;
        let kept = |order: Order| Order { release: !self.keeps, ..order };
        match self.phase {
            Phase::TryHome => Order::TRY_LOCK,
            Phase::TryRemotes if lends => Order::TRY_LOCK_LEND,
            Phase::TryRemotes if is_last => kept(Order::TRY_LOCK_RUN_RELEASE),
            Phase::TryRemotes => Order::TRY_LOCK,
            Phase::InOrder if lends => Order::LOCK_LEND,
            Phase::InOrder if is_last => kept(Order::LOCK_RUN_RELEASE),
            Phase::InOrder => Order::LOCK,
            Phase::Running => {
                assert_eq!(self.missing(), 0, "{:?} runs before it holds all its locks", self.id);
                if self.held.contains(shard) { kept(Order::RUN_RELEASE) } else { Order::RUN }
            }
            Phase::Staging => self.stage_order(shard),
            Phase::Ran | Phase::Granted(_) | Phase::Ended(_) | Phase::Told => {
                unreachable!("nothing is ordered between stages, nor after the end")
            }
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
