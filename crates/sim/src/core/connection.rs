//! A connection at its home: its pipeline in, its replies out.

use coordinator::locks::{Admission, TxId};
use coordinator::pipeline::{HoleId, Kind, Verdict};

use super::shard::{admit, fingerprints};
use super::{Connection, Core, Hop, Message, Node, Shared};
use crate::fault::Fault;
use crate::history::Trace;
use crate::wire::encode;

impl Core {
    pub(super) fn connection(&mut self, client: usize) -> &mut Connection {
        self.connections.get_mut(&client).expect("connected")
    }

    /// Starts all commands that may start, and sends all replies that are ready.
    pub(super) fn go_on(&mut self, shared: &mut Shared, client: usize) {
        while let Some(&op) = self.connection(client).waiting.front() {
            let kind = shared.workload.kind(op);
            let overlaps = shared.fault == Some(Fault::OverlapsEverything);
            if !self.may_go(shared, client, op, kind) && !overlaps {
                break;
            }
            self.connection(client).waiting.pop_front();
            self.start(shared, client, op, kind);
        }
        let connection = self.connection(client);
        if connection.replies.ready() > 0 {
            let bytes = connection.replies.take_ready(Vec::new()).to_vec();
            if !connection.is_gone {
                self.out.push((Node::Client(client), Message::Bytes(bytes)));
            }
        }
    }

    fn may_go(&mut self, shared: &Shared, client: usize, op: usize, kind: Kind) -> bool {
        let overlap = &self.connection(client).overlap;
        match overlap.ask(kind) {
            Verdict::Go => true,
            Verdict::GoIfApart if shared.fault == Some(Fault::ForgetsSpreadKeys) => true,
            Verdict::GoIfApart => fingerprints(shared, op).all(|key| overlap.is_apart(key)),
            Verdict::Wait => false,
        }
    }

    pub(super) fn start(&mut self, shared: &mut Shared, client: usize, op: usize, kind: Kind) {
        match kind {
            Kind::Plain(shard) | Kind::Signal(shard) if shard == self.id => {
                self.start_here(shared, client, op);
            }
            Kind::Plain(shard) | Kind::Signal(shard) => {
                let hole = self.leave_hole(shared, client, op, kind);
                let hop = Hop { home: self.id, op, hole };
                self.out.push((Node::Core(shard), Message::Hop(hop)));
            }
            _ => self.begin(shared, client, op, kind),
        }
    }

    pub(super) fn leave_hole(&mut self, shared: &Shared, client: usize, op: usize, kind: Kind) -> HoleId {
        let connection = self.connection(client);
        if shared.fault != Some(Fault::OverlapsEverything) {
            match kind {
                Kind::Spread => connection.overlap.sent_spread(fingerprints(shared, op)),
                _ => connection.overlap.sent(kind),
            }
        }
        connection.replies.hole()
    }

    pub(super) fn start_here(&mut self, shared: &mut Shared, client: usize, op: usize) {
        let home = self.id;
        let connection = self.connections.get_mut(&client).expect("connected");
        let (kind, ignores_order) =
            (shared.workload.kind(op), shared.fault == Some(Fault::OverlapsEverything));
        let park = || {
            if !ignores_order {
                connection.overlap.sent(kind);
            }
            Hop { home, op, hole: connection.replies.hole() }
        };
        if admit(shared, &mut self.participant, &mut self.fairness, home, op, park) == Admission::Run {
            let trace = self.execute_single(shared, op);
            let never = shared.never.contains(&op);
            encode(self.connection(client).replies.buf(), op, never, &trace);
        }
    }

    /// The reply of a command that left a hole.
    pub(super) fn answer(&mut self, shared: &mut Shared, hop: Hop, trace: &Trace) {
        let client = shared.workload.commands[hop.op].client;
        let never = shared.never.contains(&hop.op);
        self.fill(shared, client, hop.hole, hop.op, never, trace);
    }

    pub(super) fn fill(
        &mut self,
        shared: &mut Shared,
        client: usize,
        hole: HoleId,
        op: usize,
        never: bool,
        trace: &Trace,
    ) {
        let connection = self.connection(client);
        connection.replies.fill_with(hole, |buf| encode(buf, op, never, trace));
        if shared.fault != Some(Fault::OverlapsEverything) {
            match shared.workload.kind(op) {
                Kind::Spread => connection.overlap.answered_spread(),
                _ => connection.overlap.answered(),
            }
        }
        self.go_on(shared, client);
    }

    pub(super) fn hang_up(&mut self, shared: &mut Shared, client: usize, cancels: bool) {
        let connection = self.connection(client);
        connection.is_gone = true;
        shared.never.extend(connection.waiting.drain(..));
        if cancels {
            self.cancel(shared, client);
        }
    }

    pub(super) fn cancel(&mut self, shared: &mut Shared, client: usize) {
        let is_mine = |tx: &TxId| shared.workload.commands[tx.0 as usize].client == client;
        let mine: Vec<TxId> = self.transactions.keys().copied().filter(is_mine).collect();
        for tx in mine {
            let driven = self.transactions.get_mut(&tx).expect("just listed");
            driven.wants_cancel = true;
            driven.machine.cancel();
            self.drive(shared, tx);
        }
    }
}
