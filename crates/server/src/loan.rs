//! Commands over keys of several shards that need them side by side: the values come to the client's core on loan,
//! the handler runs once over them in a scratch keyspace, and they go back to their owners.
//!
//! The keys are locked exclusively on their shards from before the loan until after the return.

use crate::journal::deeds::{Deeds, Done};
use crate::node::{Node, State};
use crate::transaction::Borrowing;
use commands::generic::sort;
use commands::{Caller, Core, effects};
use keyspace::{Detached, Effects, Key, Keyspace};
use std::collections::HashSet;
use stdx::{ClientId, DbIndex, SLOTS, ShardId, UnixMs};

/// One key's value away from its shard; `None` when there is no such key.
pub(crate) struct Loan {
    pub(crate) owner: ShardId,
    db: DbIndex,
    key: Box<[u8]>,
    value: Option<Detached>,
    changed: bool,
    /// For whoever has waited for it for longer than the client of this command, and that is to leave it alone.
    pub(crate) is_reserved: bool,
    /// Somebody is to be told if it changes (CLIENT TRACKING).
    is_tracked: bool,
}

impl Loan {
    /// Whose value it is.
    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }

    /// In which database.
    pub(crate) fn db(&self) -> DbIndex {
        self.db
    }

    /// Whether its owner has something to tell when it comes back.
    pub(crate) fn is_news(&self) -> bool {
        self.changed && self.is_tracked
    }
}

/// Takes the values of `borrowing.keys` out of this shard.
pub(crate) fn lend(core: &mut Core, owner: ShardId, borrowing: &Borrowing<'_>) -> Vec<Loan> {
    let mut loans: Vec<Loan> = Vec::new();
    let Some(keys) = borrowing.keys else { return loans };
    for db in databases(core, borrowing) {
        let mut seen = HashSet::new();
        for key in keys.iter() {
            if !seen.insert(key) {
                continue;
            }
            let value = core.keyspace.lend(db, Key::new(key), borrowing.now);
            if borrowing.remembers() {
                commands::tracking::remember(core, key, borrowing.caller.reader());
            }
            let is_tracked = commands::tracking::is_tracked(core, key);
            let (key, changed, is_reserved) = (key.into(), false, false);
            loans.push(Loan { owner, db, key, value, changed, is_reserved, is_tracked });
        }
    }
    loans
}

/// Puts values back where they belong, as the command of client `by` left them.
pub(crate) fn give_back(core: &mut Core, loans: Vec<Loan>, by: ClientId, now: UnixMs) {
    for loan in loans {
        core.keyspace.give_back(loan.db, Key::new(&loan.key), loan.value, loan.changed, now);
    }
    commands::tracking::gather(core, by);
}

/// Runs the command over what others lent and what this shard itself has. Returns the others' values.
pub(crate) fn run(
    node: &Node,
    state: &mut State,
    borrowing: &Borrowing<'_>,
    mut loans: Vec<Loan>,
    reply: &mut Vec<u8>,
) -> (Vec<Loan>, Done) {
    loans.extend(lend(&mut state.core, node.id, borrowing));
    let now = borrowing.now;
    let databases = state.core.keyspace.databases();
    let scratch =
        state.scratch.get_or_insert_with(|| Keyspace::new(0..SLOTS as u16, databases, SCRATCH_SEED));
    scratch.set_limits(&state.core.config);
    scratch.record(false, false, false);
    for loan in &mut loans {
        if let Some(value) = loan.value.take() {
            scratch.put(loan.db, Key::new(&loan.key), value, now);
        }
    }
    // Nothing is replied then, and the command looks again.
    let runs = knows_all(scratch, borrowing, &loans);
    let versions: Vec<_> = loans.iter().map(|loan| scratch.watch(loan.db, Key::new(&loan.key))).collect();
    let Effects { on, made, missed, .. } = state.core.keyspace.effects;
    scratch.record(on, made, missed);
    effects::begin_unit(&mut state.core);
    std::mem::swap(&mut state.core.keyspace, scratch);
    if runs {
        // What it reads was remembered where it was lent.
        let caller = Caller { tracks: false, ..borrowing.caller };
        shard::run_part(&mut state.core, borrowing.command, caller, borrowing.args, reply, now);
    }
    let mut done = Done::default();
    done.cut = effects::cut_unit(&mut state.core, &mut done.effects);
    std::mem::swap(&mut state.core.keyspace, scratch);
    for (loan, version) in loans.iter_mut().zip(versions) {
        let key = Key::new(&loan.key);
        loan.changed = scratch.version(loan.db, key) != version;
        scratch.unwatch(loan.db, key);
        loan.value = scratch.take(loan.db, key, now);
    }
    // Data safety: what is left here would be lost.
    let left: usize = (0..databases).map(|db| scratch.len(DbIndex(db))).sum();
    assert!(left == 0, "{} wrote {left} keys that it had not named", borrowing.command.full_name);
    state.core.keyspace.stats.hits += std::mem::take(&mut scratch.stats.hits);
    state.core.keyspace.stats.misses += std::mem::take(&mut scratch.stats.misses);
    scratch.stats = Default::default();
    let (own, others) = loans.into_iter().partition(|loan| loan.owner == node.id);
    give_back(&mut state.core, own, borrowing.caller.id, now);
    if let Some(shards) = &borrowing.shards {
        // All locks are held, and this is all that the transaction does.
        let mut deeds = Deeds::default();
        deeds.add(node.id, &done.effects);
        done = Done { number: deeds.journal(node, &mut state.core, shards), ..Done::default() };
    }
    (others, done)
}

/// Whether a command that reads keys by patterns was lent all that it will read.
fn knows_all(scratch: &mut Keyspace, borrowing: &Borrowing<'_>, loans: &[Loan]) -> bool {
    if !sort::reads_by_pattern(borrowing.command, borrowing.args) {
        return true;
    }
    let lent: HashSet<&[u8]> = loans.iter().map(|loan| &*loan.key).collect();
    let db = borrowing.caller.db;
    sort::is_covered(scratch, db, borrowing.args, borrowing.now, &|key| lent.contains(key))
}

/// The databases that the command may reach into: the selected one, and COPY's DB.
fn databases(core: &Core, borrowing: &Borrowing<'_>) -> Vec<DbIndex> {
    let mut databases = vec![borrowing.caller.db];
    if borrowing.command.row.name == "copy" {
        // Options that are wrong are the handler's to answer.
        let other =
            commands::generic::destination_db(borrowing.args, databases[0], core.keyspace.databases());
        databases.extend(other.ok().filter(|db| *db != borrowing.caller.db));
    }
    databases
}

const SCRATCH_SEED: u64 = 1;
