//! Scripts that have run for long: what others may know of them, and the shards that they keep *busy*.
//!
//! Whoever comes for a busy shard is told so at once, as in Redis, but for the commands that may end the script. Whoever
//! has come before, and waits for locks, is told so too: [`refuse_all_waiting`].

use crate::hop::Item;
use crate::node::{Control, Node, State};
use crate::transaction::{self, Parked};
use crate::wait::{self, Unit};
use commands::scripting::{LongScript, Running, ScriptKind};
use commands::{CommandError, Core};
use coordinator::shards::ShardSet;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use stdx::ShardId;

/// Which shards are busy, for all cores to see.
#[derive(Debug)]
pub(crate) struct Busy {
    /// How many scripts keep shards busy: nothing more is looked at while there is none.
    scripts: AtomicUsize,
    /// For each shard how many scripts keep it busy; functions count in the upper half.
    shards: Vec<AtomicU64>,
}

impl Busy {
    pub(crate) fn new(shards: usize) -> Self {
        Self { scripts: AtomicUsize::new(0), shards: (0..shards).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Whether some shard is busy.
    #[inline]
    pub(crate) fn is_any(&self) -> bool {
        self.scripts.load(Relaxed) != 0
    }

    /// What a command for `shard` is told while that is busy.
    pub(crate) fn error(&self, shard: ShardId) -> Option<CommandError> {
        match self.shards[shard.index()].load(Relaxed) {
            0 => None,
            scripts if scripts as u32 != 0 => Some(CommandError::BUSY_SCRIPT),
            _ => Some(CommandError::BUSY_FUNCTION),
        }
    }

    fn begin(&self, kind: ScriptKind, shards: &ShardSet) {
        for shard in shards.iter() {
            self.shards[shard.index()].fetch_add(one(kind), Relaxed);
        }
        self.scripts.fetch_add(1, Relaxed);
    }

    fn end(&self, kind: ScriptKind, shards: &ShardSet) {
        for shard in shards.iter() {
            self.shards[shard.index()].fetch_sub(one(kind), Relaxed);
        }
        self.scripts.fetch_sub(1, Relaxed);
    }
}

const fn one(kind: ScriptKind) -> u64 {
    match kind {
        ScriptKind::Eval => 1,
        ScriptKind::Function => 1 << 32,
    }
}

/// One script that has run for long, on the core that runs it.
pub(crate) struct Tracked {
    id: u64,
    kind: ScriptKind,
    began: u64,
    /// Those on which it has locks.
    shards: ShardSet,
    is_busy: bool,
}

impl Tracked {
    /// From now on FUNCTION STATS tells of it, and SCRIPT KILL finds it.
    pub(crate) fn begin(node: &Node, core: &mut Core, running: Running, shards: ShardSet) -> Self {
        let id = node.scripts.new_id();
        let (kind, began) = (running.kind, running.began);
        core.long_scripts.push(LongScript { id, running, is_killed: false });
        Self { id, kind, began, shards, is_busy: false }
    }

    /// Whether SCRIPT KILL has found it.
    pub(crate) fn is_killed(&self, core: &Core) -> bool {
        core.long_scripts.iter().any(|script| script.id == self.id && script.is_killed)
    }

    /// After each slice. Past busy-reply-threshold its shards are busy: true when they have become so now, for
    /// [`refuse_all_waiting`] to be called.
    pub(crate) fn look(&mut self, node: &Node, state: &mut State, wrote: bool) -> bool {
        let core = &mut state.core;
        let threshold_ms = core.config.busy_reply_threshold_ms;
        let script = core.long_scripts.iter_mut().find(|script| script.id == self.id);
        let running = &mut script.expect("it is there until its end").running;
        running.wrote = wrote;
        let elapsed_ms = (crate::clock::nanos() - self.began) / 1_000_000;
        if self.is_busy || threshold_ms == 0 || elapsed_ms < threshold_ms {
            return false;
        }
        self.is_busy = true;
        let name = String::from_utf8_lossy(&running.name);
        let kill = match self.kind {
            ScriptKind::Eval => "SCRIPT KILL",
            ScriptKind::Function => "FUNCTION KILL",
        };
        tracing::warn!(%name, elapsed_ms, "slow script: still running; {kill} ends it");
        node.control.busy.begin(self.kind, &self.shards);
        true
    }

    /// It has ended.
    pub(crate) fn end(self, control: &Control, core: &mut Core) {
        core.long_scripts.retain(|script| script.id != self.id);
        if self.is_busy {
            control.busy.end(self.kind, &self.shards);
        }
    }
}

/// On all cores, refuses the commands that wait for a shard which is busy. Must not be called while the node's state is
/// borrowed.
pub(crate) fn refuse_all_waiting(node: &Rc<Node>) {
    for core in (0..node.router.shards()).filter(|&core| core != node.id.0) {
        node.mailbox.outbox(core as usize, |hop| hop.say(Item::Busy));
    }
    refuse_waiting(node);
}

/// The same on this core: commands of this shard that are parked, and flights of its connections.
pub(crate) fn refuse_waiting(node: &Rc<Node>) {
    if let Some(error) = node.control.busy.error(node.id) {
        let parked = {
            let state = &mut *node.state.borrow_mut();
            let parked = state.participant.take_parked(|_| true);
            // Clients wait for keys from which they have kept them.
            wait::serve(state, Unit::Nothing, node.ticks.get().unix_ms());
            node.pass_on_wants(state);
            parked
        };
        parked.into_iter().for_each(|parked| refuse(node, parked, &error));
        transaction::carry_out(node);
    }
    for link in node.links.borrow().iter() {
        link.is_told_busy.set(true);
        link.kick();
    }
}

/// Answers a command of this shard that is not to wait. WATCH, which looks at no value, need not. The watches of a transaction end
/// as if it had run.
pub(crate) fn refuse(node: &Node, parked: Parked, error: &CommandError) {
    let (command, proto, sink, home, text) = match parked {
        Parked::Command(parked) => {
            (parked.command, parked.caller.proto, parked.sink, parked.home, error.text())
        }
        Parked::Exec(exec) => {
            crate::exec::unwatch(&mut node.state.borrow_mut().core, &exec.watched);
            let text = CommandError::exec_refused(&error.text()).text();
            (exec.command, exec.caller.proto, exec.sink, exec.home, text)
        }
        Parked::Watch(part) => return crate::watching::run(node, &part),
    };
    node.state.borrow_mut().core.stats.rejected(command.index, &text);
    let mut reply = Vec::new();
    resp::Reply::new(&mut reply, proto).error(&text);
    if home == node.id {
        return crate::mail::fill(node, sink, &reply);
    }
    node.mailbox.outbox(home.index(), |hop| hop.reply(sink, |out| out.extend_from_slice(&reply)));
}
