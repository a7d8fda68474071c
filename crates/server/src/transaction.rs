//! Commands that run on several shards: the machines of `coordinator`, driven over this core's mailbox.
//!
//! At home an [`InFlight`] belongs to the connection, which advances it to its end, also when the client has gone
//! ([`crate::flights`]). On every shard that takes part, orders go to the [`Participant`], and [`carry_out`] does what it
//! says.
//!
//! [`Participant`]: coordinator::participant::Participant

mod attempt;
mod chore;
mod claim;
pub(crate) mod hold;
mod in_flight;
mod orders;
mod patterns;
mod walk;
mod work;

use crate::exec::Exec;
use crate::flights::{FlightId, Letter};
use crate::hop::Sink;
use crate::loan::Loan;
use crate::node::{Node, State};
use crate::snapshot;
use crate::wait::Fate;
use crate::watching::WatchPart;
use chore::{Chore, Locks};
pub(crate) use claim::{Claimed, Locked, claim, must_park, name, names};
use commands::{Caller, ClientSlot, CommandRef, Flags};
use coordinator::locks::{Claim, Mode, TxId};
use coordinator::tx::Order;
pub(crate) use in_flight::InFlight;
pub(crate) use orders::{Borrowing, carry_out, receive};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use stdx::args::OwnedArgs;
use stdx::{ShardId, Slot, UnixMs};
use work::Work;
pub(crate) use work::group_len;

/// A single-shard command that waits for locks, on its shard.
pub(crate) struct ParkedCommand {
    pub(crate) command: CommandRef,
    pub(crate) caller: Caller,
    pub(crate) slot: Option<Slot>,
    pub(crate) sink: Sink,
    pub(crate) home: ShardId,
    pub(crate) args: OwnedArgs,
}

/// What waits for locks on its shard, and locks nothing itself.
pub(crate) enum Parked {
    Command(ParkedCommand),
    Exec(Box<Exec>),
    Watch(Box<WatchPart>),
}

/// What an order carries besides itself.
pub(crate) struct OrderPart {
    task: Task,
    home: ShardId,
    client: ClientSlot,
    flight: FlightId,
    /// With Return: what goes back to its owner. With Run over loans: all that was lent.
    loans: Vec<Loan>,
    /// With Return: what becomes of the client's wait there.
    fate: Option<Fate>,
    /// Of one that releases: the number of its marker in the journal, or 0.
    number: u64,
}

/// What an order is about.
#[derive(Clone)]
enum Task {
    /// A command, which locks its keys.
    Command(Arc<Work>),
    /// A held transaction: its locks, and what it does in the stage under way.
    Held(Arc<Locks>, Chore),
}

impl Task {
    /// What it locks on `shard`, if it takes part there.
    fn claim(&self, shard: ShardId) -> Option<Claim<'_>> {
        match self {
            Self::Command(work) => {
                work.parts.iter().any(|part| part.shard == shard).then(|| work.claim(shard))
            }
            Self::Held(locks, _) => locks.claim(shard),
        }
    }

    /// Shows to the snapshot that is being taken what is to be locked here.
    #[cold]
    fn meet(&self, node: &Node, state: &mut State) {
        match self {
            Self::Command(work) => {
                let Some(part) = work.parts.iter().find(|part| part.shard == node.id) else { return };
                if work.lends {
                    snapshot::meet_keys(node, state, work.caller.db, part.args.as_args().iter());
                } else if !part.names.is_empty() {
                    snapshot::meet(node, state, work.caller.db, work.command, part.args.as_args());
                }
            }
            Self::Held(locks, _) if locks.is_exclusive() => {
                if let Some((db, keys)) = locks.keys(node.id) {
                    snapshot::meet_keys(node, state, db, keys);
                }
            }
            Self::Held(..) => {}
        }
    }

    fn is_exclusive(&self) -> bool {
        match self {
            Self::Command(work) => work.mode == Mode::Exclusive,
            Self::Held(locks, _) => locks.is_exclusive(),
        }
    }

    fn now(&self) -> UnixMs {
        match self {
            Self::Command(work) => work.now,
            Self::Held(locks, _) => locks.now,
        }
    }
}

/// Between the cores: an order for a shard, or news for a connection.
pub(crate) enum Message {
    Order(TxId, Order, OrderPart),
    News(ClientSlot, FlightId, Letter),
}

/// Who asked for a command, and when.
#[derive(Clone, Copy)]
pub(crate) struct From {
    pub(crate) caller: Caller,
    pub(crate) client: ClientSlot,
    /// The number of the flight.
    pub(crate) flight: FlightId,
    pub(crate) now: UnixMs,
}

/// The number of a new transaction.
pub(crate) fn new_tx(node: &Node) -> TxId {
    TxId(node.control.next_tx.fetch_add(1, Relaxed))
}

/// Whether the command takes memory and there is none left for it.
pub(crate) fn is_full(state: &mut State, command: CommandRef, now: UnixMs) -> bool {
    command.row.flags.has(Flags::DENYOOM)
        && state.core.config.maxmemory != 0
        && !shard::make_room(&mut state.core, now)
}
