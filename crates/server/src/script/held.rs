//! A script that touches several shards: it runs here, under the locks of a held transaction, and each of its commands whose
//! keys are elsewhere is a stage of that.
//!
//! ```text
//!  HeldScript::go_on ──► the script runs ─┬─► Called   by a command of other shards: go on when `hold` is ready again
//!        ▲                                ├─► Pauses   for others' sake: go on when the letter has come
//!        └────────────────────────────────┴─► Ended    its reply is there; the locks are still held
//! ```

use super::Next;
use super::busy::Tracked;
use crate::flights::FlightId;
use crate::node::Node;
use crate::transaction::hold::Hold;
use commands::generic::sort;
use commands::scripting::{self, Execution, Progress};
use commands::{Caller, ClientSlot, CommandError, CommandRef, Crossing, effects};
use coordinator::shards::ShardSet;
use std::rc::Rc;
use stdx::args::OwnedArgs;
use stdx::{Args, Slot, UnixMs};

/// A script under way.
pub(crate) struct HeldScript {
    command: CommandRef,
    args: OwnedArgs,
    /// The shards that it has locks on.
    shards: ShardSet,
    execution: Option<Execution>,
    tracked: Option<Tracked>,
    waits: Waits,
    began: u64,
}

/// How far it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    Called,
    Pauses,
    Ended,
}

enum Waits {
    Start(Caller, UnixMs),
    Call,
    Turn,
}

impl HeldScript {
    /// One that starts when it goes on for the first time, with locks on `shards`.
    pub(crate) fn new(
        command: CommandRef,
        args: Args<'_>,
        caller: Caller,
        shards: ShardSet,
        now: UnixMs,
    ) -> Self {
        let waits = Waits::Start(caller, now);
        let began = crate::clock::nanos();
        Self { command, args: args.into(), shards, execution: None, tracked: None, waits, began }
    }

    /// Goes on: `hold` is ready, or the letter has come that it asked for. Its reply is appended to `out` when it has ended.
    pub(crate) fn go_on(
        &mut self,
        node: &Rc<Node>,
        hold: &mut Hold,
        (client, flight): (ClientSlot, FlightId),
        out: &mut Vec<u8>,
    ) -> Stop {
        let stop = self.run(node, hold, out);
        if matches!(stop, Stop::Pauses) {
            node.scripts.wait(Next::Flight(client, flight));
        }
        stop
    }

    fn run(&mut self, node: &Rc<Node>, hold: &mut Hold, out: &mut Vec<u8>) -> Stop {
        let mut is_busy = false;
        let progress = {
            let state = &mut *node.state.borrow_mut();
            effects::begin_unit(&mut state.core);
            let progress = self.advance(node, state, hold, out);
            let mut done = Vec::new();
            effects::cut_unit(&mut state.core, &mut done);
            hold.did(node, &done, &effects::cut_told(&mut state.core));
            if self.execution.is_some() {
                is_busy = self.look(node, state);
            }
            shard::tell_memory(&mut state.core);
            node.pass_on_wants(state);
            progress
        };
        if is_busy {
            super::busy::refuse_all_waiting(node);
        }
        if let Err(error) = crate::action::perform_all(node) {
            tracing::warn!(error, "a command of a script failed");
        }
        match progress {
            Progress::Elsewhere(command) => {
                let execution = self.execution.as_ref().expect("it runs");
                execution.wanted(|args, caller| hold.call(node, command, args, caller));
                self.waits = Waits::Call;
                Stop::Called
            }
            Progress::Paused => {
                self.waits = Waits::Turn;
                Stop::Pauses
            }
            Progress::Ended => Stop::Ended,
        }
    }

    fn advance(
        &mut self,
        node: &Node,
        state: &mut crate::node::State,
        hold: &mut Hold,
        out: &mut Vec<u8>,
    ) -> Progress {
        let core = &mut state.core;
        let is_killed = self.tracked.as_ref().is_some_and(|tracked| tracked.is_killed(core));
        if let Some(execution) = self.execution.as_mut().filter(|_| is_killed) {
            execution.kill();
        }
        match self.waits {
            Waits::Start(caller, now) => match self.start(core, caller, now) {
                Ok(execution) => self.execution = Some(execution),
                Err(error) => {
                    fail(core, self.command, &error, caller.proto, out);
                    return Progress::Ended;
                }
            },
            Waits::Call => {
                let reply = hold.take_reply();
                self.running().answer(core, &reply, super::SLICE_NANOS);
            }
            Waits::Turn => self.running().go_on(core, super::SLICE_NANOS),
        }
        let progress = self.running().advance(core, |command, args| is_here(node, command, args));
        if let Progress::Elsewhere(command) = progress
            && core.pubsub.has_monitors()
        {
            self.execution.as_ref().expect("it runs").show(core, command);
        }
        if matches!(progress, Progress::Ended) {
            let execution = self.execution.take().expect("it has ended");
            if let Some(tracked) = self.tracked.take() {
                tracked.end(&node.control, core);
            }
            let (proto, start) = (execution.proto(), out.len());
            if let Err(error) = execution.finish(core, self.args.as_args(), &mut resp::Reply::new(out, proto))
            {
                out.truncate(start);
                fail(core, self.command, &error, proto, out);
            }
        }
        progress
    }

    fn start(
        &self,
        core: &mut commands::Core,
        caller: Caller,
        now: UnixMs,
    ) -> Result<Execution, CommandError> {
        let args = self.args.as_args();
        let callee = scripting::callee(core, self.command, args)?;
        core.clock_us = crate::clock::unix_us();
        let caller = Caller { may_park: true, ..caller };
        scripting::start(core, &callee, caller, args, scripting::is_read_only(self.command), now)
    }

    /// Has others know of it once it has run for long, however short its steps are. True when it has become busy.
    fn look(&mut self, node: &Node, state: &mut crate::node::State) -> bool {
        let execution = self.execution.as_ref().expect("called while it runs");
        if self.tracked.is_none() {
            if crate::clock::nanos() - execution.began() < super::SLICE_NANOS {
                return false;
            }
            let running = execution.describe(self.args.as_args());
            self.tracked = Some(Tracked::begin(node, &mut state.core, running, self.shards));
        }
        let wrote = execution.wrote();
        self.tracked.as_mut().expect("made above").look(node, state, wrote)
    }

    fn running(&mut self) -> &mut Execution {
        self.execution.as_mut().expect("it runs")
    }

    /// The command that called it.
    pub(crate) fn called(&self) -> (CommandRef, Args<'_>) {
        (self.command, self.args.as_args())
    }

    /// For how long it has run, in nanoseconds.
    pub(crate) fn nanos(&self) -> u64 {
        crate::clock::nanos() - self.began
    }
}

#[cold]
fn fail(
    core: &mut commands::Core,
    command: CommandRef,
    error: &CommandError,
    proto: resp::Proto,
    out: &mut Vec<u8>,
) {
    let text = error.text();
    resp::Reply::new(out, proto).error(&text);
    core.stats.failed(command.index, &text);
}

/// Whether a command can run on this core alone.
fn is_here(node: &Node, command: CommandRef, args: Args<'_>) -> bool {
    let is_home = |at: usize| node.is_home(node.router.shard_of(Slot::of(args.at(at))));
    match command.row.crossing {
        Crossing::Session => true,
        Crossing::OneShard => is_home(command.first_key as usize),
        Crossing::Fanout(_) | Crossing::TwoHops => {
            if node.router.shards() > 1 && sort::reads_by_pattern(command, args) {
                return false;
            }
            let mut keys = Vec::new();
            commands::table::keys_of(command, args, &mut keys);
            keys.iter().all(|&at| is_home(at as usize))
        }
        _ => node.router.shards() == 1,
    }
}
