//! EXEC over several shards, or with commands about the connection among those of another shard: a held transaction.
//!
//! Its keys, and the watched ones, are locked on all their shards. Then the watched keys are looked at. Then the queue is
//! worked off: commands of single shards that follow one another are one stage, on all these shards at the same time;
//! a command over several shards is called by itself; one about the connection runs here, at its place in the order. The
//! replies are put together in the order of the queue.

use super::mode;
use crate::connection::Link;
use crate::dispatch::{is_slow, note_slow};
use crate::flights::{FlightId, Letter};
use crate::hop::{Part, Sink};
use crate::journal::switch::{self, UnkeptOne};
use crate::node::Node;
use crate::publish;
use crate::script::held::{HeldScript, Stop};
use crate::transaction::From;
use crate::transaction::hold::{Held, Hold, List, Locks, apart};
use commands::monitor;
use commands::replica::Wish;
use commands::transaction::{Place, Queue, Watched, end_watches};
use commands::{Caller, ClientFlags, CommandError, CommandRef, Crossing, effects};
use coordinator::locks::Mode;
use coordinator::shards::ShardSet;
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;
use stdx::args::OwnedArgs;
use stdx::{Args, ShardId};

/// Such an EXEC under way.
pub(crate) struct ExecFlight {
    from: From,
    command: CommandRef,
    queue: Queue,
    watched: Vec<Watched>,
    hold: Hold,
    doing: Doing,
    /// The next command of the queue.
    next: usize,
    /// As of the next command.
    caller: Caller,
    mute: Mute,
    out: Vec<u8>,
    pub(crate) is_called: bool,
    /// The letter has come by which a script goes on.
    has_turn: bool,
    /// EXEC itself, to be shown to monitors when it is over.
    shown: Option<OwnedArgs>,
    /// What REPLICAOF has asked for: the answer is given when that is so, which may take what its locks are in the way of.
    wish: Option<Wish>,
    began: u64,
    _unkept: Option<UnkeptOne>,
}

/// Whether replies are thrown away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mute {
    No,
    /// CLIENT REPLY SKIP was said before EXEC: that of EXEC is.
    Skip,
    /// CLIENT REPLY OFF: they are until it is ON.
    Off,
}

/// What is under way.
enum Doing {
    Locking,
    Watches,
    /// These commands of the queue.
    List(Range<usize>),
    /// One command.
    Call,
    /// A script.
    Script(Box<HeldScript>),
    /// All cores are told what a command has changed about the client's subscriptions; with the answer comes its reply.
    Confirming {
        is_known: bool,
    },
    Ending,
    /// So many shards have not said that they have told clients of what was changed.
    Telling(usize),
}

impl ExecFlight {
    pub(crate) fn new(
        node: &Node,
        command: CommandRef,
        queue: Queue,
        watched: Vec<Watched>,
        from: From,
        mute: Mute,
    ) -> Self {
        let is_one_stage = Self::is_one_stage(node, &queue, &watched);
        let locks = locks(node, &queue, &watched, is_one_stage, from);
        let unkept = if mode(&queue) == Mode::Exclusive { switch::unkept(node) } else { None };
        let all = 0..queue.len();
        let (hold, doing) = if is_one_stage {
            let lists = lists(&queue, all.clone(), from.caller, from);
            (Hold::once(node, locks, lists, from), Doing::List(all.clone()))
        } else {
            (Hold::begin(node, locks, from), Doing::Locking)
        };
        let next = if is_one_stage { all.end } else { 0 };
        let mut out = Vec::new();
        if mute == Mute::No {
            resp::Reply::new(&mut out, from.caller.proto).array(queue.len());
        }
        let caller = Caller { may_park: false, ..from.caller };
        let began = node.ticks.get().now();
        Self {
            from,
            command,
            queue,
            watched,
            hold,
            doing,
            next,
            caller,
            mute,
            out,
            is_called: true,
            has_turn: false,
            shown: None,
            wish: None,
            began,
            _unkept: unkept,
        }
    }

    /// Whether all shards run their parts at once: then its commands are shown to monitors beforehand.
    pub(crate) fn is_one_stage(node: &Node, queue: &Queue, watched: &[Watched]) -> bool {
        // What writes is journalled before it is released.
        let is_journalled = switch::is_expected(node) && mode(queue) == Mode::Exclusive;
        let is_one_stage =
            watched.is_empty() && queue.iter().all(|queued| matches!(queued.place, Place::Shard(..)));
        is_one_stage && !is_journalled
    }

    /// Has EXEC, given like this, shown to monitors when it is over.
    pub(crate) fn show_itself(&mut self, args: Args<'_>) {
        self.shown = Some(args.into());
    }

    pub(crate) fn id(&self) -> FlightId {
        self.from.flight
    }

    pub(crate) fn read(&mut self, letter: Letter) {
        self.is_called = true;
        match letter {
            Letter::Reply(_, reply) => {
                self.add(&reply);
                self.doing = Doing::Confirming { is_known: true };
            }
            Letter::Turn => self.has_turn = true,
            Letter::Told => {
                let Doing::Telling(missing) = &mut self.doing else { unreachable!("it has asked") };
                *missing -= 1;
            }
            letter => self.hold.read(letter),
        }
    }

    /// A shard has become busy with a script.
    pub(crate) fn give_up_if_busy(&mut self, node: &Node) {
        self.is_called |= self.hold.give_up_if_busy(node);
    }

    /// Goes on as far as it can without another letter. True when it is over and its reply fills its hole, or is going to.
    pub(crate) fn advance(&mut self, node: &Rc<Node>, link: &Link) -> bool {
        self.is_called = false;
        if let Doing::Confirming { is_known: true } = self.doing {
            self.doing = Doing::Ending;
            self.go_on(node);
        }
        if std::mem::take(&mut self.has_turn) {
            self.go_on(node);
        }
        if let Doing::Telling(missing) = self.doing {
            if missing == 0 {
                self.land(node, link);
            }
            return missing == 0;
        }
        loop {
            match self.hold.advance(node) {
                Held::Waits => return false,
                Held::Ready => {
                    self.take_results();
                    self.go_on(node);
                }
                Held::Over => {
                    match self.hold.refusal() {
                        None => self.take_results(),
                        Some(error) => {
                            let text = CommandError::exec_refused(&error.text()).text();
                            self.end_watches(node);
                            self.out.clear();
                            if self.mute == Mute::No {
                                resp::Reply::new(&mut self.out, self.caller.proto).error(&text);
                            }
                        }
                    }
                    let missing = self.hold.ask_tellers(node);
                    if missing > 0 {
                        self.doing = Doing::Telling(missing);
                        return false;
                    }
                    self.land(node, link);
                    return true;
                }
            }
        }
    }

    /// It was refused before it has looked at what is watched.
    fn end_watches(&mut self, node: &Node) {
        let state = &mut *node.state.borrow_mut();
        end_watches(&mut state.core, std::mem::take(&mut self.watched));
        node.pass_on_wants(state);
    }

    fn take_results(&mut self) {
        if matches!(self.doing, Doing::Script(_)) {
            // It looks at them itself.
            return;
        }
        match std::mem::replace(&mut self.doing, Doing::Ending) {
            Doing::Locking if !self.watched.is_empty() => {
                self.hold.watches(std::mem::take(&mut self.watched));
                self.doing = Doing::Watches;
            }
            Doing::Watches if self.hold.has_changed() => {
                self.out.clear();
                if self.mute == Mute::No {
                    resp::Reply::new(&mut self.out, self.caller.proto).null_array();
                }
                self.next = self.queue.len();
            }
            Doing::List(range) => self.add_replies(range),
            Doing::Call => {
                let reply = self.hold.take_reply();
                self.add(&reply);
            }
            Doing::Locking | Doing::Watches | Doing::Confirming { .. } | Doing::Script(_) => {}
            Doing::Ending | Doing::Telling(_) => {}
        }
    }

    /// Begins what comes next.
    fn go_on(&mut self, node: &Rc<Node>) {
        if matches!(self.doing, Doing::Watches) || !self.has_script_ended(node) {
            return;
        }
        while self.next < self.queue.len() {
            let queued = self.queue.get(self.next);
            let is_about_connection = matches!(queued.command.row.crossing, Crossing::Session);
            match queued.place {
                Place::Shard(..) => return self.run_lists(node),
                Place::Special if matches!(queued.command.row.crossing, Crossing::Script) => {
                    let (caller, now) = (self.caller, self.from.now);
                    let shards = ShardSet::all(node.router.shards());
                    let script = HeldScript::new(queued.command, queued.args, caller, shards, now);
                    self.doing = Doing::Script(Box::new(script));
                    self.show(node, self.next..self.next + 1);
                    self.next += 1;
                    if !self.has_script_ended(node) {
                        return;
                    }
                }
                Place::Shards | Place::Special if !is_about_connection => {
                    self.hold.call(node, queued.command, queued.args, self.caller);
                    self.doing = Doing::Call;
                    self.show(node, self.next..self.next + 1);
                    self.next += 1;
                    return;
                }
                _ => {
                    let queue = std::mem::take(&mut self.queue);
                    let queued = queue.get(self.next);
                    self.run_here(node, queued.command, queued.args);
                    self.queue = queue;
                    self.show(node, self.next..self.next + 1);
                    self.next += 1;
                    if matches!(self.doing, Doing::Confirming { .. }) {
                        return;
                    }
                }
            }
        }
        self.hold.release(node);
    }

    /// Has a script go on that is under way; false when it needs another letter.
    fn has_script_ended(&mut self, node: &Rc<Node>) -> bool {
        let Doing::Script(script) = &mut self.doing else { return true };
        let (place, mut reply) = ((self.from.client, self.from.flight), Vec::new());
        if script.go_on(node, &mut self.hold, place, &mut reply) != Stop::Ended {
            return false;
        }
        let ((command, _), nanos) = (script.called(), script.nanos());
        node.state.borrow_mut().core.stats.record(command.index, nanos);
        self.doing = Doing::Ending;
        self.add(&reply);
        true
    }

    /// All commands from here on that are of one shard each.
    fn run_lists(&mut self, node: &Node) {
        let start = self.next;
        let is_of_one = |&index: &usize| matches!(self.queue.get(index).place, Place::Shard(..));
        let end = start + (start..self.queue.len()).take_while(is_of_one).count();
        let lists = lists(&self.queue, start..end, self.caller, self.from);
        self.hold.lists(lists, end == self.queue.len() && !node.journal.records());
        self.show(node, start..end);
        self.doing = Doing::List(start..end);
        self.next = end;
    }

    /// Shows monitors these commands of the queue.
    fn show(&self, node: &Node, range: Range<usize>) {
        let state = &mut *node.state.borrow_mut();
        if !state.core.pubsub.has_monitors() {
            return;
        }
        let now_us = node.ticks.get().unix_us();
        for queued in range.map(|index| self.queue.get(index)) {
            let (command, args) = (queued.command, queued.args);
            monitor::show(&mut state.core, self.from.client, command, args, self.caller.db, now_us);
        }
        node.pass_on_wants(state);
    }

    fn add_replies(&mut self, range: Range<usize>) {
        let replies = self.hold.take_replies();
        let of = |index: usize| match self.queue.get(index).place {
            Place::Shard(shard, _) => shard,
            _ => unreachable!("a list has commands of one shard each"),
        };
        let len = |shard: ShardId| range.clone().filter(|&index| of(index) == shard).count();
        let mut apart: BTreeMap<ShardId, _> =
            replies.iter().map(|(&shard, reply)| (shard, apart(reply, len(shard)))).collect();
        let in_order = range.clone().map(|index| {
            let replies = apart.get_mut(&of(index)).expect("every shard has answered");
            replies.next().expect("every command has a reply")
        });
        if self.mute != Mute::No {
            in_order.for_each(drop);
        } else {
            in_order.for_each(|reply| self.out.extend_from_slice(reply));
        }
    }

    fn add(&mut self, reply: &[u8]) {
        if self.mute == Mute::No {
            self.out.extend_from_slice(reply);
        }
    }

    /// Runs a command about the connection.
    fn run_here(&mut self, node: &Rc<Node>, command: CommandRef, args: Args<'_>) {
        let mut reply = Vec::new();
        let (client, now, ticks) = (self.from.client, self.from.now, node.ticks.get());
        {
            let state = &mut *node.state.borrow_mut();
            let core = &mut state.core;
            let began = ticks.now();
            effects::begin_unit(core);
            if command.has_whole_groups(args.len()) {
                shard::run(core, command, self.caller, args, None, &mut reply, now);
            } else {
                let text = CommandError::Arity(command.full_name.into()).text();
                resp::Reply::new(&mut reply, self.caller.proto).error(&text);
                core.stats.failed(command.index, &text);
            }
            let mut done = Vec::new();
            effects::cut_unit(core, &mut done);
            self.hold.did(node, &done, &effects::cut_told(core));
            let nanos = ticks.nanos(began, ticks.now());
            core.stats.record(command.index, nanos);
            if is_slow(core, command, nanos, now) {
                note_slow(core, command, args, nanos, client, now);
            }
            if core.pubsub.has_changes() {
                let sink = Sink { client, part: Part::Shard(self.from.flight, 0) };
                publish::announce(node, core, Some((sink, std::mem::take(&mut reply))));
                self.doing = Doing::Confirming { is_known: false };
            }
            node.pass_on_wants(state);
            let core = &mut state.core;
            self.wish = core.waits_for_role.take().or(self.wish.take());
            if let Some(client) = core.clients.get(client) {
                self.caller = Caller { may_park: false, ..Caller::of(client, self.from.client) };
                if self.mute != Mute::Skip {
                    self.mute = if client.flags.has(ClientFlags::REPLY_OFF) { Mute::Off } else { Mute::No };
                }
            }
        }
        if let Err(error) = crate::action::perform_all(node)
            && reply == b"+OK\r\n"
        {
            reply.clear();
            resp::Reply::new(&mut reply, self.caller.proto).error(&error);
        }
        self.add(&reply);
    }

    /// Fills the hole that was left for it, or has it filled when the role is what was asked for; the client is shown as running it no longer.
    fn land(&mut self, node: &Node, link: &Link) {
        let state = &mut *node.state.borrow_mut();
        if let Some(args) = self.shown.take() {
            let (now_us, db) = (node.ticks.get().unix_us(), self.caller.db);
            monitor::show(&mut state.core, self.from.client, self.command, args.as_args(), db, now_us);
            node.pass_on_wants(state);
        }
        let core = &mut state.core;
        match self.wish.take() {
            None => {
                let outgoing = &mut *link.outgoing.borrow_mut();
                outgoing.replies.fill(self.from.flight.0, &self.out);
                outgoing.overlap.answered();
                outgoing.window.answered(self.out.len(), outgoing.replies.outstanding());
            }
            Some(wish) => {
                let sink = Sink { client: self.from.client, part: Part::Hole(self.from.flight.0) };
                crate::replica::ask(node, wish, Some((sink, std::mem::take(&mut self.out))));
            }
        }
        if let Some(client) = core.clients.get_mut(self.from.client) {
            client.last_command = self.command.full_name;
            // Said inside: it was for the rest of the queue.
            client.forgets_caching(Some(self.command));
            if client.flags.has(ClientFlags::REPLY_SKIP_NEXT) {
                // Said inside: it is for the command after EXEC.
                client.takes_reply();
            }
            if let Some(transaction) = &mut client.transaction {
                transaction.put_back(std::mem::take(&mut self.queue));
            }
        }
        let ticks = node.ticks.get();
        let nanos = ticks.nanos(self.began, ticks.now());
        core.stats.record(self.command.index, nanos);
        is_slow(core, self.command, nanos, self.from.now);
    }
}

/// The locks for all that a queue may touch. Others may read what it only reads, but not between its stages: they would find
/// that keys have expired since it began, and remove those that it has found alive.
fn locks(node: &Node, queue: &Queue, watched: &[Watched], is_one_stage: bool, from: From) -> Locks {
    let is_about_connection = |command: CommandRef| matches!(command.row.crossing, Crossing::Session);
    let looks_everywhere =
        queue.iter().any(|queued| queued.place == Place::Special && !is_about_connection(queued.command));
    if looks_everywhere {
        return Locks::whole(node.router.shards(), Mode::Exclusive, from.now);
    }
    let mut locks = Locks::none(if is_one_stage { mode(queue) } else { Mode::Exclusive }, from.now);
    if node.control.is_saving() {
        locks = locks.keep_keys(from.caller.db);
    }
    let mut keys = Vec::new();
    for queued in queue.iter().filter(|queued| matches!(queued.place, Place::Shard(..) | Place::Shards)) {
        commands::table::keys_of(queued.command, queued.args, &mut keys);
        for key in keys.iter().map(|&at| queued.args.at(at as usize)) {
            locks.add(node.router.shard_of_key(key), key);
        }
    }
    for watched in watched {
        locks.add(watched.shard, &watched.key);
    }
    if locks.is_empty() {
        // It touches no key, and yet has to be somewhere: on a name of this core.
        locks.add(node.id, b"");
    }
    locks
}

/// These commands by shard.
fn lists(queue: &Queue, range: Range<usize>, caller: Caller, from: From) -> BTreeMap<ShardId, List> {
    let mut queues: BTreeMap<ShardId, Queue> = BTreeMap::new();
    for queued in range.map(|index| queue.get(index)) {
        if let Place::Shard(shard, _) = queued.place {
            queues.entry(shard).or_default().push(queued.command, queued.args, queued.place);
        }
    }
    queues.into_iter().map(|(shard, queue)| (shard, List::new(queue, caller, from.now))).collect()
}
