//! Who comes while a snapshot is taken, and may have to wait until a key that it changes is captured.
//!
//! Whatever is about to be admitted, or to have its claim entered, is shown to the shard's snapshot first
//! (`shard::snapshot` says who waits, and why that ends). What is not shown is right too: its values are copied.

use crate::exec::Exec;
use crate::node::{Node, State};
use crate::transaction::{name, new_tx};
use commands::CommandRef;
use commands::transaction::Queue;
use coordinator::locks::{Claim, Mode, Scope, TxId};
use keyspace::Key;
use shard::snapshot::Use;
use stdx::{Args, DbIndex};

/// A command has come, or a part of one, with all that it runs.
#[inline]
pub(crate) fn meet(node: &Node, state: &mut State, db: DbIndex, command: CommandRef, args: Args<'_>) {
    if state.snapshot.asks() {
        meet_command(node, state, db, command, args);
    }
}

#[cold]
fn meet_command(node: &Node, state: &mut State, db: DbIndex, command: CommandRef, args: Args<'_>) {
    let State { core, participant, snapshot, .. } = state;
    snapshot.meet(core, db, (command, args), false, &mut |key| guard(node, participant, key));
}

/// Keys are about to be locked for somebody who may change them, or takes their values elsewhere.
#[cold]
pub(crate) fn meet_keys<'a>(
    node: &Node,
    state: &mut State,
    db: DbIndex,
    keys: impl Iterator<Item = &'a [u8]>,
) {
    let State { core, participant, snapshot, .. } = state;
    for key in keys {
        let key = Key::new(key);
        snapshot.meet_key(core, db, key, Use::Changes, &mut |key| guard(node, participant, key));
    }
}

/// The commands of a transaction have come.
#[inline]
pub(crate) fn meet_queue(node: &Node, state: &mut State, db: DbIndex, queue: &Queue) {
    if state.snapshot.asks() {
        for queued in queue.iter() {
            meet_command(node, state, db, queued.command, queued.args);
        }
    }
}

/// The same for one that another core has sent.
#[inline]
pub(crate) fn meet_exec(node: &Node, state: &mut State, exec: &Exec) {
    meet_queue(node, state, exec.caller.db, &exec.queue);
}

/// Has writers of a key wait from now on. It takes its place in line like any reader.
fn guard<C, P>(
    node: &Node,
    participant: &mut coordinator::participant::Participant<C, P>,
    key: &[u8],
) -> TxId {
    let tx = new_tx(node);
    participant.guard(tx, Claim { scope: Scope::Keys(&[name(key)]), mode: Mode::Shared });
    tx
}
