//! EVAL and FCALL over several shards, as a flight of their connection ([`crate::flights`]).

use super::held::{HeldScript, Stop};
use crate::connection::Link;
use crate::dispatch::{is_slow, note_slow};
use crate::flights::{FlightId, Letter};
use crate::node::Node;
use crate::transaction::From;
use crate::transaction::hold::{Held, Hold, Locks};
use commands::CommandRef;
use std::rc::Rc;
use stdx::Args;

/// Such a script under way.
pub(crate) struct ScriptFlight {
    from: From,
    hold: Hold,
    script: HeldScript,
    /// The letter has come by which its script goes on.
    has_turn: bool,
    /// It is over but for its reply: so many shards have not said that they have told clients of what it changed.
    telling: Option<usize>,
    out: Vec<u8>,
    is_muted: bool,
    pub(crate) is_called: bool,
}

impl ScriptFlight {
    pub(crate) fn new(
        node: &Node,
        command: CommandRef,
        args: Args<'_>,
        locks: Locks,
        from: From,
        is_muted: bool,
    ) -> Self {
        let script = HeldScript::new(command, args, from.caller, locks.shards(), from.now);
        let hold = Hold::begin(node, locks, from);
        Self {
            from,
            hold,
            script,
            has_turn: false,
            telling: None,
            out: Vec::new(),
            is_muted,
            is_called: true,
        }
    }

    pub(crate) fn id(&self) -> FlightId {
        self.from.flight
    }

    pub(crate) fn read(&mut self, letter: Letter) {
        self.is_called = true;
        match letter {
            Letter::Turn => self.has_turn = true,
            Letter::Told => *self.telling.as_mut().expect("it has asked") -= 1,
            letter => self.hold.read(letter),
        }
    }

    /// A shard has become busy with another script.
    pub(crate) fn give_up_if_busy(&mut self, node: &Node) {
        self.is_called |= self.hold.give_up_if_busy(node);
    }

    /// Goes on as far as it can without another letter. True when it is over and its reply fills its hole.
    pub(crate) fn advance(&mut self, node: &Rc<Node>, link: &Link) -> bool {
        self.is_called = false;
        if let Some(missing) = self.telling {
            return self.land_if_told(node, link, missing);
        }
        loop {
            if !std::mem::take(&mut self.has_turn) {
                match self.hold.advance(node) {
                    Held::Waits => return false,
                    Held::Ready => {}
                    Held::Over => {
                        if let Some(error) = self.hold.refusal() {
                            resp::Reply::new(&mut self.out, self.from.caller.proto).error(&error.text());
                        }
                        let missing = self.hold.ask_tellers(node);
                        return self.land_if_told(node, link, missing);
                    }
                }
            }
            let place = (self.from.client, self.from.flight);
            match self.script.go_on(node, &mut self.hold, place, &mut self.out) {
                Stop::Called => {}
                Stop::Pauses => return false,
                Stop::Ended => self.hold.release(node),
            }
        }
    }

    fn land_if_told(&mut self, node: &Node, link: &Link, missing: usize) -> bool {
        self.telling = Some(missing);
        if missing == 0 {
            self.land(node, link);
        }
        missing == 0
    }

    /// Fills the hole that was left for it, and counts the command.
    fn land(&mut self, node: &Node, link: &Link) {
        let core = &mut node.state.borrow_mut().core;
        let outgoing = &mut *link.outgoing.borrow_mut();
        if self.is_muted {
            self.out.clear();
        }
        outgoing.replies.fill(self.from.flight.0, &self.out);
        outgoing.overlap.answered();
        outgoing.window.answered(self.out.len(), outgoing.replies.outstanding());
        let (command, args) = self.script.called();
        let nanos = self.script.nanos();
        core.stats.record(command.index, nanos);
        if is_slow(core, command, nanos, self.from.now) {
            note_slow(core, command, args, nanos, self.from.client, self.from.now);
        }
    }
}
