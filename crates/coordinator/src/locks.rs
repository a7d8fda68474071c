//! One shard's locks: which commands may run now, which wait, and in which order they go on.
//!
//! Locks exist for commands that touch several shards. Where nobody holds or awaits one, [`LockTable::is_idle`]
//! is all that a command pays. Otherwise an ordinary command asks [`LockTable::admit`], which lets it run (it then
//! leaves no trace) or parks it; a transaction uses `try_lock`, which never waits, or `lock`, which does.
//!
//! **Order.** Every claim takes its place in the queue of each of its names at one instant, its arrival. It goes
//! when it is compatible with everything ahead of it, in all its queues. So a claim waits only for claims that
//! came to this shard before it: within a shard no two claims can wait for each other, and nobody is overtaken by
//! a later claim that conflicts with it. (The converse is not promised: a claim may also wait for an earlier one
//! that it does not conflict with, when that one is blocked in the queue of the whole shard.)
//!
//! **Names.** A key is named by its database and a fingerprint: two keys of one fingerprint are one lock, which
//! costs a needless wait and nothing else. Every claim on keys also stands in the queue of the whole shard with an
//! intent (Gray's granular locks), so a whole-shard claim needs no walk over keys. A parked command stands in a
//! queue of its connection too, which keeps one connection's commands to this shard in order.

mod keys;
mod queue;
mod view;

use std::collections::VecDeque;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use stdx::{ClientId, DbIndex};

use self::keys::Entered;
use self::queue::{Level, Queue};
use self::view::Names;
pub use self::view::{Held, LockView};

/// One command that touches several shards: unique in the life of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TxId(pub u64);

/// What a lock on one key is named by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName {
    /// The numbered database.
    pub db: DbIndex,
    /// A seeded hash of the key.
    pub fingerprint: u64,
}

/// What a claim covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope<'a> {
    /// These keys, in any order; a name may come twice. More than [`CLAIM_KEYS_MAX`] claim the whole shard.
    Keys(&'a [KeyName]),
    /// Every key of every database, also those that do not exist (FLUSHALL, SWAPDB, KEYS, SCAN, DBSIZE).
    Whole,
}

/// With whom a claim may be held together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// With others that only read.
    Shared,
    /// With nobody.
    Exclusive,
}

/// What one command needs of one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim<'a> {
    /// What it covers.
    pub scope: Scope<'a>,
    /// Reading or writing.
    pub mode: Mode,
}

/// The answer to an ordinary command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Execute it now; nothing was recorded.
    Run,
    /// Its token was kept, and comes back as [`Ready::Command`].
    Parked,
}

/// The answer to a transaction that is willing to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant<T> {
    /// It holds its locks; its token is handed back.
    Granted(T),
    /// Its token comes back as [`Ready::Locked`].
    Queued,
}

/// Somebody who need not wait any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready<T> {
    /// A parked command: execute it now. It holds nothing.
    Command(T),
    /// A transaction that now holds its locks.
    Locked(TxId, T),
}

/// The locks of one shard. `T` is whatever the driver wants back when somebody's wait ends.
#[derive(Debug)]
pub struct LockTable<T> {
    names: Names,
    /// Of connections that have commands parked here.
    origins: HashMap<ClientId, Queue, FixedState>,
    transactions: HashMap<TxId, usize, FixedState>,
    /// Claims that are held or wait; a free place has no holder and is listed in `free`.
    claims: Vec<Claimant<T>>,
    free: Vec<usize>,
    /// How many of them are of connections.
    of_origins: usize,
    /// Claims granted and not yet handed out: a work list of `settle`, empty between calls.
    granted: VecDeque<usize>,
}

/// A claim in its queues.
#[derive(Debug)]
struct Claimant<T> {
    /// Each once.
    names: Vec<KeyName>,
    origin: Option<ClientId>,
    level: Level,
    intent: Level,
    /// In how many of its queues it still waits.
    missing: usize,
    holder: Option<Holder<T>>,
}

#[derive(Debug)]
enum Holder<T> {
    Command(Box<T>),
    /// Its token, while it waits.
    Transaction(TxId, Option<Box<T>>),
}

/// Above this many keys a claim is for the whole shard: bounds the table's memory and the time of one call.
pub const CLAIM_KEYS_MAX: usize = 1024;

/// An idle table gives its memory back when it had more claims at once than this.
const KEPT_CLAIMS_MAX: usize = 1024;

impl<T> Default for LockTable<T> {
    fn default() -> Self {
        Self {
            names: Names::default(),
            origins: HashMap::default(),
            transactions: HashMap::default(),
            claims: Vec::new(),
            free: Vec::new(),
            of_origins: 0,
            granted: VecDeque::new(),
        }
    }
}

impl<T> LockTable<T> {
    /// Whether nothing is held and nobody waits: then commands run without asking.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.claims.len() == self.free.len()
    }

    /// An ordinary command of connection `origin`. It runs when nothing that conflicts with it is held or was here
    /// before it, and `origin` has nothing parked here. Otherwise `park` makes the token to keep.
    pub fn admit(&mut self, origin: ClientId, claim: Claim<'_>, park: impl FnOnce() -> T) -> Admission {
        if self.may_run(origin, claim) {
            return Admission::Run;
        }
        let parked = self.enter(claim, Some(origin), Holder::Command(Box::new(park())));
        debug_assert!(self.claims[parked].missing > 0, "refused, and then granted in the same breath");
        Admission::Parked
    }

    /// Whether [`Self::admit`] would let a command run.
    pub fn may_run(&self, origin: ClientId, claim: Claim<'_>) -> bool {
        let is_there = || self.of_origins > 0 && self.origins.contains_key(&origin);
        self.is_idle() || (!is_there() && self.is_free(claim))
    }

    /// The same for a command that may take long. It too runs at once where it can, and leaves no trace; but when it is
    /// parked it comes back as [`Ready::Locked`], and holds its locks until it releases them.
    pub fn admit_long(
        &mut self,
        (origin, tx): (ClientId, TxId),
        claim: Claim<'_>,
        park: impl FnOnce() -> T,
    ) -> Admission {
        if self.may_run(origin, claim) {
            return Admission::Run;
        }
        self.enter(claim, Some(origin), Holder::Transaction(tx, Some(Box::new(park()))));
        Admission::Parked
    }

    /// Takes the locks for a command of `origin` that [`Self::may_run`], and goes on after others have had their turn.
    /// False, and nothing changed, when it may not.
    pub fn hold(&mut self, (origin, tx): (ClientId, TxId), claim: Claim<'_>) -> bool {
        let may_run = self.may_run(origin, claim);
        if may_run {
            self.enter(claim, Some(origin), Holder::Transaction(tx, None));
        }
        may_run
    }

    /// Takes out commands that wait here, those of which `which` says so, and appends them to `taken`; who waited behind them
    /// alone is appended to `ready`. Transactions stay.
    pub fn take_parked(
        &mut self,
        mut which: impl FnMut(&T) -> bool,
        taken: &mut Vec<T>,
        ready: &mut VecDeque<Ready<T>>,
    ) {
        for index in 0..self.claims.len() {
            let held = &self.claims[index];
            let token = match &held.holder {
                Some(Holder::Command(token)) => token,
                Some(Holder::Transaction(_, Some(token))) if held.origin.is_some() => token,
                _ => continue,
            };
            // One without anybody before it has been granted, and is on its way.
            if held.missing == 0 || !which(token) {
                continue;
            }
            match self.leave(index) {
                Holder::Command(token) => taken.push(*token),
                Holder::Transaction(tx, token) => {
                    self.transactions.remove(&tx);
                    taken.extend(token.map(|token| *token));
                }
            }
        }
        self.settle(ready);
    }

    /// Takes the locks for `tx` if nobody would have to wait or be overtaken; else changes nothing.
    pub fn try_lock(&mut self, tx: TxId, claim: Claim<'_>) -> bool {
        let is_free = self.is_free(claim);
        if is_free {
            self.enter(claim, None, Holder::Transaction(tx, None));
        }
        is_free
    }

    /// Takes the locks for `tx`, or its place in their queues. Panics when `tx` has locks here already.
    pub fn lock(&mut self, tx: TxId, claim: Claim<'_>, token: T) -> Grant<T> {
        if self.try_lock(tx, claim) {
            return Grant::Granted(token);
        }
        let index = self.enter(claim, None, Holder::Transaction(tx, Some(Box::new(token))));
        debug_assert!(self.claims[index].missing > 0, "refused, and then granted in the same breath");
        Grant::Queued
    }

    /// Gives back what `tx` holds, and appends those who may now go to `ready`. The caller lets them go at once, in
    /// that order, before anything else is executed on this shard. Panics when `tx` does not hold its locks.
    pub fn release(&mut self, tx: TxId, ready: &mut VecDeque<Ready<T>>) {
        let index = self.transactions.remove(&tx).expect("only a holder releases");
        assert!(self.claims[index].missing == 0, "{tx:?} releases locks that it still waits for");
        self.leave(index);
        self.settle(ready);
    }

    /// Takes `tx` out of its queues and returns its token; appends those who waited behind it alone to `ready`.
    /// `None`, and nothing done, when it does not wait here: it holds its locks, or is not known.
    pub fn abandon(&mut self, tx: TxId, ready: &mut VecDeque<Ready<T>>) -> Option<T> {
        let index = *self.transactions.get(&tx)?;
        if self.claims[index].missing == 0 {
            return None;
        }
        self.transactions.remove(&tx);
        let holder = self.leave(index);
        self.settle(ready);
        match holder {
            Holder::Transaction(_, token) => token.map(|token| *token),
            Holder::Command(_) => unreachable!("listed as a transaction"),
        }
    }

    /// How many claims are held or wait.
    pub fn len(&self) -> usize {
        self.claims.len() - self.free.len()
    }

    /// The same as [`Self::is_idle`].
    pub fn is_empty(&self) -> bool {
        self.is_idle()
    }

    /// Whether `claim` conflicts with nobody here, holder or waiter. Asked by what changes keys of its own accord:
    /// expiry and eviction leave a key alone that is not free.
    pub fn is_free(&self, claim: Claim<'_>) -> bool {
        let (level, intent) = levels(claim);
        let names = self.names.borrow();
        names.whole.has_room(intent) && keys(claim).iter().all(|name| names.keys.has_room(*name, level))
    }

    /// For whoever has to know what is locked and is far from the table.
    pub fn view(&self) -> LockView {
        self.names.view()
    }

    /// Whether `tx` has locks here, or waits for them.
    pub fn knows(&self, tx: TxId) -> bool {
        self.transactions.contains_key(&tx)
    }

    /// Puts a claim into all its queues: of the shard, of its connection, of its keys.
    fn enter(&mut self, claim: Claim<'_>, origin: Option<ClientId>, holder: Holder<T>) -> usize {
        let index = self.place();
        let (level, intent) = levels(claim);
        if let Holder::Transaction(tx, _) = holder {
            let known = self.transactions.insert(tx, index);
            assert!(known.is_none(), "{tx:?} claims twice on one shard");
        }
        let names = &mut *self.names.borrow_mut();
        let mut missing = usize::from(!names.whole.enter(index, intent));
        if let Some(origin) = origin {
            self.of_origins += 1;
            let line = self.origins.entry(origin).or_default();
            missing += usize::from(!line.enter(index, Level::Exclusive));
        }
        let held = &mut self.claims[index];
        for name in keys(claim) {
            match names.keys.enter(*name, index as u32, level) {
                Entered::Twice => continue,
                Entered::Waits => missing += 1,
                Entered::Held => {}
            }
            held.names.push(*name);
        }
        (held.origin, held.level, held.intent) = (origin, level, intent);
        (held.missing, held.holder) = (missing, Some(holder));
        index
    }

    /// Takes a claim out of all its queues; those whom it kept waiting come to `granted`.
    fn leave(&mut self, index: usize) -> Holder<T> {
        let held = &mut self.claims[index];
        let (level, gave_up) = (held.level, held.missing > 0);
        let (mut names, origin, intent) = (std::mem::take(&mut held.names), held.origin, held.intent);
        let holder = held.holder.take().expect("only a claim in use leaves");
        let Self { names: table, origins, of_origins, claims, granted, .. } = self;
        let table = &mut *table.borrow_mut();
        let mut grant = |next: usize| {
            claims[next].missing -= 1;
            if claims[next].missing == 0 {
                granted.push_back(next);
            }
        };
        table.whole.quit(index, intent, gave_up, &mut grant);
        if let Some(origin) = origin {
            *of_origins -= 1;
            let line =
                origins.get_mut(&origin).expect("a parked command stands in the line of its connection");
            line.quit(index, Level::Exclusive, gave_up, &mut grant);
            if line.is_empty() {
                origins.remove(&origin);
            }
        }
        for name in names.drain(..) {
            table.keys.leave(name, index as u32, level, gave_up, &mut grant);
        }
        self.claims[index].names = names;
        self.free.push(index);
        holder
    }

    /// Hands out all who were granted. A command is over as soon as it is handed out, so it leaves at once, and
    /// those behind it may follow.
    fn settle(&mut self, ready: &mut VecDeque<Ready<T>>) {
        while let Some(index) = self.granted.pop_front() {
            if let Some(Holder::Transaction(tx, token)) = &mut self.claims[index].holder {
                ready.push_back(Ready::Locked(*tx, *token.take().expect("kept while it waited")));
            } else if let Holder::Command(token) = self.leave(index) {
                ready.push_back(Ready::Command(*token));
            }
        }
        if self.is_idle() && self.claims.capacity() > KEPT_CLAIMS_MAX {
            let names = std::mem::take(&mut self.names);
            names.forget();
            *self = Self { names, ..Self::default() };
        }
    }

    fn place(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.claims.push(Claimant::vacant());
            self.claims.len() - 1
        })
    }
}

impl<T> Claimant<T> {
    fn vacant() -> Self {
        Self {
            names: Vec::new(),
            origin: None,
            level: Level::Shared,
            intent: Level::Shared,
            missing: 0,
            holder: None,
        }
    }
}

/// The keys that a claim names one by one: none when it covers the whole shard.
fn keys(claim: Claim<'_>) -> &[KeyName] {
    match claim.scope {
        Scope::Keys(keys) if keys.len() <= CLAIM_KEYS_MAX => keys,
        _ => &[],
    }
}

/// The level in the queues of keys, and in the queue of the whole shard.
fn levels(claim: Claim<'_>) -> (Level, Level) {
    let level = match claim.mode {
        Mode::Shared => Level::Shared,
        Mode::Exclusive => Level::Exclusive,
    };
    match (claim.scope, claim.mode) {
        (Scope::Keys(keys), Mode::Shared) if keys.len() <= CLAIM_KEYS_MAX => (level, Level::IntentShared),
        (Scope::Keys(keys), Mode::Exclusive) if keys.len() <= CLAIM_KEYS_MAX => {
            (level, Level::IntentExclusive)
        }
        _ => (level, level),
    }
}

#[cfg(test)]
mod tests;
