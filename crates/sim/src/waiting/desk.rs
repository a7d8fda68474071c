//! Where a core runs a command over what several shards lend: a keyspace of its own, empty before and after.

use commands::{Caller, Core, Outcome, Parking};
use config::Config;
use keyspace::{Detached, Key, Keyspace};
use std::sync::Arc;
use stdx::args::OwnedArgs;
use stdx::{DbIndex, SLOTS, ShardId, UnixMs};

/// The one moment at which all happens, as far as keys are concerned.
pub(super) const NOW: UnixMs = UnixMs(1_000);
pub(super) const DB: DbIndex = DbIndex(0);

/// A value away from its shard.
#[derive(Debug)]
pub(super) struct Loan {
    pub(super) owner: ShardId,
    pub(super) key: Vec<u8>,
    value: Option<Detached>,
    changed: bool,
    pub(super) is_reserved: bool,
}

/// A core's state without clients.
pub(super) fn core(id: ShardId, shards: u16) -> Core {
    let keyspace = Keyspace::new(0..SLOTS as u16, 1, 1);
    Core::new(id, shards, keyspace, Config::default(), Arc::default())
}

pub(super) fn lend(core: &mut Core, owner: ShardId, keys: &[Vec<u8>], reserved: &[Box<[u8]>]) -> Vec<Loan> {
    let lend = |key: &Vec<u8>| {
        let value = core.keyspace.lend(DB, Key::new(key), NOW);
        let is_reserved = reserved.iter().any(|reserved| **reserved == **key);
        Loan { owner, key: key.clone(), value, changed: false, is_reserved }
    };
    keys.iter().map(lend).collect()
}

pub(super) fn give_back(core: &mut Core, loans: Vec<Loan>) {
    for loan in loans {
        core.keyspace.give_back(DB, Key::new(&loan.key), loan.value, loan.changed, NOW);
    }
}

/// Runs a command over the loans. Returns its wait if it parks; the reply is appended.
pub(super) fn run(
    desk: &mut Core,
    args: &OwnedArgs,
    caller: Caller,
    loans: &mut [Loan],
    reply: &mut Vec<u8>,
) -> Option<Parking> {
    for loan in loans.iter_mut() {
        if let Some(value) = loan.value.take() {
            desk.keyspace.put(DB, Key::new(&loan.key), value, NOW);
        }
        if loan.is_reserved {
            desk.reserved.push(loan.key.clone().into());
        }
    }
    let versions: Vec<_> = loans.iter().map(|loan| desk.keyspace.watch(DB, Key::new(&loan.key))).collect();
    let command = commands::lookup(args.as_args()).expect("a command of the table");
    let outcome = shard::execute(desk, command, caller, args.as_args(), None, reply, NOW);
    for (loan, version) in loans.iter_mut().zip(versions) {
        let key = Key::new(&loan.key);
        loan.changed = desk.keyspace.version(DB, key) != version;
        desk.keyspace.unwatch(DB, key);
        loan.value = desk.keyspace.take(DB, key, NOW);
    }
    desk.reserved.clear();
    assert_eq!(desk.keyspace.len(DB), 0, "a command leaves nothing behind");
    if outcome == Outcome::Park { desk.parking.take() } else { None }
}
