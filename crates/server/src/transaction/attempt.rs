//! A shard's part of a command whose client may have to wait for it.

use super::{Borrowing, OrderPart, Work};
use crate::hop::{Part, Sink};
use crate::journal::deeds::Done;
use crate::loan::{self, Loan};
use crate::node::{Node, State};
use crate::wait::{self, Unit};
use commands::Flags;
use coordinator::tx::Act;
use shard::WaiterId;

/// Does what `act` says. What becomes of the client's wait is settled with it, under the same locks.
pub(super) fn perform(
    node: &Node,
    state: &mut State,
    act: Act,
    work: &Work,
    part: &OrderPart,
    loans: Vec<Loan>,
    reply: &mut Vec<u8>,
) -> (Vec<Loan>, Done) {
    if work.command.row.flags.has(Flags::DENYOOM) && state.core.config.maxmemory != 0 && act != Act::Lend {
        shard::make_room(&mut state.core, work.now);
    }
    let own = work.parts.iter().find(|part| part.shard == node.id);
    let borrowing = Borrowing::of(work, own.map(|part| part.args.as_args()), false);
    let unit = own.map_or(Unit::Nothing, |_| Unit::Claim(work.claim(node.id)));
    let id = WaiterId { home: part.home, client: part.client };
    match act {
        Act::Run => {
            let sink = Sink { client: part.client, part: Part::Hole(part.flight.0) };
            wait::attempt(node, state, &borrowing, (sink, unit), loans, reply)
        }
        Act::Lend => (wait::lend(node, state, id, &borrowing), Done::default()),
        Act::Return => {
            match &part.fate {
                None => loan::give_back(&mut state.core, loans, work.caller.id, work.now),
                Some(fate) => {
                    wait::take_back(node, state, (id, work.caller.id), (fate, loans), (unit, work.now));
                }
            }
            (Vec::new(), Done::default())
        }
        Act::Nothing | Act::Abandon => unreachable!("the participant does these itself"),
    }
}
