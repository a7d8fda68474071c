//! One command under way on several shards, at home.

use super::orders::obey;
use super::patterns::Patterns;
use super::walk::Walk;
use super::work::Work;
use super::{From, Message, OrderPart, Task, new_tx};
use crate::connection::{Link, Outgoing};
use crate::cut;
use crate::flights::{FlightId, Letter};
use crate::hop::{Hop, Item, Part, Sink};
use crate::journal::deeds::{Deeds, Done};
use crate::journal::switch::{self, UnkeptOne};
use crate::loan::Loan;
use crate::node::{Node, State};
use crate::track::Tellers;
use crate::wait;
use commands::effects::Cut;
use commands::{Caller, ClientSlot, CommandError, CommandRef, Crossing, Flags, Lock};
use coordinator::locks::Mode;
use coordinator::tx::{Act, Order, Plan, Step, Transaction};
use shard::Waiter;
use std::rc::Rc;
use std::sync::Arc;
use stdx::{Args, ShardId};

/// A command under way on several shards.
pub(crate) struct InFlight {
    id: FlightId,
    pub(super) work: Arc<Work>,
    client: ClientSlot,
    /// CLIENT REPLY OFF: it runs, and its reply is thrown away.
    pub(crate) muted: bool,
    /// Whether it is to be told to go on: it is new, or a letter has come.
    pub(crate) is_called: bool,
    began: u64,
    /// Replies by part.
    pub(super) replies: Vec<Vec<u8>>,
    loans: Vec<Loan>,
    /// What the server could not do that the command asked of it here.
    failure: Option<String>,
    /// Why it did not run, if it gave up: then its machine was cancelled.
    refusal: Option<CommandError>,
    tellers: Tellers,
    /// Of a command that reads keys by patterns: how far it is.
    pub(super) patterns: Option<Patterns>,
    /// Whether it is a client's that has waited: it was counted when it began to.
    is_again: bool,
    /// What its parts did, for the journal, and the number under which that is there.
    deeds: Deeds,
    number: u64,
    pub(super) progress: Progress,
}

pub(super) enum Progress {
    Locking(
        Box<Transaction>,
        #[expect(dead_code, reason = "held until they are all given back")] Option<UnkeptOne>,
    ),
    /// Every shard runs it without locks; how many have not answered, once it was sent.
    Gathering(Option<usize>),
    Walking(Walk),
    /// It is over but for its reply: so many shards have not said that they have told clients of what it changed.
    Telling(usize),
}

impl InFlight {
    /// A command whose keys, at `positions`, are on several shards.
    pub(crate) fn over_keys(
        node: &Node,
        command: CommandRef,
        args: Args<'_>,
        positions: &[u32],
        from: From,
    ) -> Self {
        let work = Work::over_keys(node, command, args, positions, from.caller, from.now);
        let shards = work.shards();
        let plan = if work.lends { Plan::Lend(shards) } else { Plan::Fanout(shards) };
        let progress = locking(node, plan, work.mode);
        Self::new(node, Arc::new(work), from, progress)
    }

    /// A command that every shard runs, or that goes from shard to shard.
    pub(crate) fn everywhere(node: &Node, command: CommandRef, args: Args<'_>, from: From) -> Self {
        let work = Work::everywhere(node, command, args, from.caller, from.now);
        let progress = match command.row.crossing {
            Crossing::Global(Lock::None, _) => Progress::Gathering(None),
            Crossing::Global(..) => locking(node, Plan::Whole(node.router.shards()), work.mode),
            _ => Progress::Walking(Walk::new(args)),
        };
        Self::new(node, Arc::new(work), from, progress)
    }

    pub(super) fn new(node: &Node, work: Arc<Work>, from: From, progress: Progress) -> Self {
        let replies = vec![Vec::new(); work.parts.len()];
        let began = node.ticks.get().now();
        Self {
            id: from.flight,
            work,
            client: from.client,
            muted: false,
            is_called: true,
            began,
            replies,
            loans: Vec::new(),
            failure: None,
            refusal: None,
            tellers: Tellers::default(),
            patterns: None,
            is_again: false,
            deeds: Deeds::default(),
            number: 0,
            progress,
        }
    }

    /// The command of a client that waits, to be run anew because something may be there.
    pub(crate) fn again(node: &Node, sink: Sink, waiter: &Waiter<Sink>) -> Self {
        let hole = sink.part.hole().expect("what a client waits for fills a hole");
        let (args, mut keys) = (waiter.args.as_args(), Vec::new());
        commands::table::keys_of(waiter.command, args, &mut keys);
        let now = node.ticks.get().unix_ms();
        let from = From { caller: waiter.caller, client: sink.client, flight: FlightId(hole), now };
        let muted = matches!(sink.part, Part::Muted(_));
        Self { muted, is_again: true, ..Self::over_keys(node, waiter.command, args, &keys, from) }
    }

    /// Its number.
    pub(crate) fn id(&self) -> FlightId {
        self.id
    }

    /// Whether it reads or writes data.
    pub(crate) fn is_about_data(&self) -> bool {
        let command = self.work.command;
        commands::health::is_about_data(command, command.row.flags)
    }

    /// Goes on as far as it can without another letter. True when it is over and its reply fills its hole.
    pub(crate) fn advance(&mut self, node: &Rc<Node>, link: &Link) -> bool {
        self.is_called = false;
        loop {
            let is_over = match &mut self.progress {
                Progress::Locking(..) => self.advance_locking(node),
                Progress::Gathering(_) => self.advance_gathering(node),
                Progress::Walking(_) => self.advance_walk(node),
                Progress::Telling(missing) => *missing == 0,
            };
            if !is_over {
                return false;
            }
            if self.refusal.is_none() && self.takes_next_step(node) {
                continue;
            }
            let asks_policy = matches!(self.progress, Progress::Gathering(_))
                && self.work.command.full_name == "config|set";
            let policy = if asks_policy { cut::policy::ask(node, self.client, self.id) } else { 0 };
            match self.tellers.ask(node, self.client, self.id) + policy {
                0 => break,
                missing => self.progress = Progress::Telling(missing),
            }
        }
        if self.work.may_park() && wait::stays(node, link, self.muted) {
            return true;
        }
        self.land(node, link);
        true
    }

    /// Takes in what has come for it.
    pub(crate) fn read(&mut self, letter: Letter) {
        self.is_called = true;
        match letter {
            Letter::Reply(part, reply) => {
                self.replies[part as usize] = reply;
                if let Progress::Gathering(Some(missing)) = &mut self.progress {
                    *missing -= 1;
                }
            }
            Letter::Notice { from, notice, reply, loans, done } => {
                let index = self.work.parts.iter().position(|part| part.shard == from);
                self.replies[index.unwrap_or(0)] = reply;
                self.loans.extend(loans);
                self.take_in(from, &done);
                if let Progress::Locking(machine, _) = &mut self.progress {
                    machine.handle(from, notice);
                }
            }
            Letter::Told => {
                let Progress::Telling(missing) = &mut self.progress else { unreachable!("it has asked") };
                *missing -= 1;
            }
            Letter::Refused(error) => {
                let Progress::Telling(missing) = &mut self.progress else { unreachable!("it has asked") };
                *missing -= 1;
                self.failure = Some(error);
            }
            Letter::Watched(_) | Letter::Turn => {
                unreachable!("no key is watched for it, nor does it take turns")
            }
        }
    }

    /// Takes down what a part did.
    fn take_in(&mut self, shard: ShardId, done: &Done) {
        let work = &*self.work;
        self.number = self.number.max(done.number);
        match done.cut {
            Cut::Nothing => {}
            // All shards say the same.
            _ if matches!(work.command.row.crossing, Crossing::Global(..))
                && !self.deeds.wrote.is_empty() =>
            {
                self.deeds.wrote.insert(shard);
            }
            Cut::Effects => self.deeds.add(shard, &done.effects),
            Cut::AsIs => {
                let part = work.part(shard);
                let args = if part.names.is_empty() { work.args.as_args() } else { part.args.as_args() };
                self.deeds.add_command(shard, work.caller.db, args);
            }
        }
    }

    /// A shard has become busy with a script: if this waits for it, it gives up, unless a part of it has run.
    pub(crate) fn give_up_if_busy(&mut self, node: &Node) {
        let Progress::Locking(machine, _) = &mut self.progress else { return };
        let mut shards = self.work.parts.iter().map(|part| part.shard);
        self.refusal = shards.find_map(|shard| node.control.busy.error(shard));
        if self.refusal.is_some() {
            machine.cancel();
            self.is_called = true;
        }
    }

    fn advance_locking(&mut self, node: &Rc<Node>) -> bool {
        loop {
            let Progress::Locking(machine, _) = &mut self.progress else {
                unreachable!("called while locking")
            };
            let tx = machine.id();
            match machine.poll() {
                None => return false,
                Some(Step::Done(outcome)) => {
                    if outcome == coordinator::tx::Outcome::Executed {
                        self.refusal = None;
                    }
                    return true;
                }
                Some(Step::Ran) => {
                    let wrote = self.deeds.wrote;
                    self.number = self.deeds.journal(node, &mut node.state.borrow_mut().core, &wrote);
                    self.deeds.wrote = wrote;
                }
                Some(Step::Granted) => unreachable!("only held transactions are granted"),
                Some(Step::Send { to, order }) => {
                    let part = self.order_part(node, order, to);
                    let message = Message::Order(tx, order, part);
                    node.mailbox.outbox(to.index(), |hop| hop.say(Item::Transaction(Box::new(message))));
                }
                Some(Step::Home(order)) => {
                    let part = self.order_part(node, order, node.id);
                    obey(node, tx, order, part);
                }
            }
        }
    }

    fn order_part(&mut self, node: &Node, order: Order, to: ShardId) -> OrderPart {
        let loans = match order.act {
            Act::Run if self.work.lends => std::mem::take(&mut self.loans),
            Act::Return => {
                let (back, kept) =
                    std::mem::take(&mut self.loans).into_iter().partition(|loan: &Loan| loan.owner == to);
                self.loans = kept;
                self.tellers.note(to, &back);
                back
            }
            _ => Vec::new(),
        };
        let task = Task::Command(Arc::clone(&self.work));
        let asks_fate = self.work.may_park() && order.act == Act::Return;
        let fate = if asks_fate { wait::fate(node, self.client) } else { None };
        let is_marked = order.release && (self.work.lends || self.deeds.wrote.contains(to));
        let number = if is_marked { self.number } else { 0 };
        OrderPart { task, home: node.id, client: self.client, flight: self.id, loans, fate, number }
    }

    fn advance_gathering(&mut self, node: &Rc<Node>) -> bool {
        let Progress::Gathering(missing) = &mut self.progress else { unreachable!("called while gathering") };
        if let Some(missing) = missing {
            return *missing == 0;
        }
        let shards = node.router.shards();
        *missing = Some(shards as usize - 1);
        let work = &*self.work;
        // What waits for a log is not to keep those waiting who ask why, or mend it; and it may be just about to fail.
        let is_urgent = node.journal.is_on() && !self.is_about_data();
        for shard in (0..shards).filter(|&shard| shard != node.id.0) {
            let sink = Sink { client: self.client, part: Part::Shard(self.id, shard) };
            let args = work.args.as_args();
            let say = |hop: &mut Hop| hop.command(work.command, work.caller, None, sink, args);
            let mut own = Hop::default();
            if is_urgent {
                say(&mut own);
            }
            // Where there is no room at once it goes with the rest.
            if !is_urgent || node.mailbox.send_past(shard.into(), own).is_err() {
                node.mailbox.outbox(shard.into(), say);
            }
        }
        let caller = Caller { slot: Some(self.client), ..work.caller };
        let out = &mut self.replies[node.id.index()];
        let mut state = node.state.borrow_mut();
        shard::run_part(&mut state.core, work.command, caller, work.args.as_args(), out, work.now);
        if !state.core.actions.is_empty() {
            drop(state);
            // The others are asked first, so that what takes time takes it everywhere at once (DEBUG SLEEP).
            crate::journal::leave(node);
            self.failure = crate::action::perform_all(node).err();
        }
        shards == 1
    }

    fn advance_walk(&mut self, node: &Node) -> bool {
        let Progress::Walking(walk) = &mut self.progress else { unreachable!("called while walking") };
        let work = &*self.work;
        loop {
            let shard = node.router.shard_of(keyspace::Keyspace::cursor_slot(walk.cursor));
            if walk.asked {
                let reply = std::mem::take(&mut self.replies[shard.index()]);
                if reply.is_empty() {
                    return false;
                }
                walk.asked = false;
                if walk.take(reply)
                    || node.router.shard_of(keyspace::Keyspace::cursor_slot(walk.cursor)) == shard
                {
                    walk.write(&mut self.replies[0]);
                    return true;
                }
                continue;
            }
            walk.asked = true;
            let args = walk.args(work.args.as_args());
            if shard == node.id {
                let mut state = node.state.borrow_mut();
                let out = &mut self.replies[shard.index()];
                shard::run_part(&mut state.core, work.command, work.caller, args.as_args(), out, work.now);
                node.pass_on_wants(&mut state);
            } else {
                let sink = Sink { client: self.client, part: Part::Shard(self.id, shard.0) };
                node.mailbox.outbox(shard.index(), |hop| {
                    hop.command(work.command, work.caller, None, sink, args.as_args());
                });
            }
        }
    }

    /// Fills the hole that was left for it, and counts the command once.
    fn land(&mut self, node: &Node, link: &Link) {
        let mut state = node.state.borrow_mut();
        let outgoing = &mut *link.outgoing.borrow_mut();
        if self.work.command.row.flags.has(Flags::SUBSCRIBES) {
            self.land_subscribed(node, &mut state, outgoing);
        } else {
            let (hole, mut len, is_about_data) = (self.id.0, 0, self.is_about_data());
            let encode = |out: &mut Vec<u8>| len = self.reply(&mut state, out);
            if is_about_data {
                outgoing.replies.fill_with(hole, encode);
            } else {
                outgoing.replies.fill_plain(hole, encode);
            }
            answered(outgoing, len);
        }
        wait::end(node, &mut state.core, outgoing, self.client);
        let work = &*self.work;
        let ticks = node.ticks.get();
        let nanos = ticks.nanos(self.began, ticks.now());
        // One that has waited was counted when it began to.
        if !self.is_again {
            state.core.stats.record(work.command.index, nanos);
        }
        if crate::dispatch::is_slow(&mut state.core, work.command, nanos, work.now) {
            let args = work.args.as_args();
            crate::dispatch::note_slow(&mut state.core, work.command, args, nanos, self.client, work.now);
        }
    }

    /// The same for a command that may change subscriptions: if it does, the hole is filled when every core knows.
    fn land_subscribed(&mut self, node: &Node, state: &mut State, outgoing: &mut Outgoing) {
        let mut reply = Vec::new();
        self.reply(state, &mut reply);
        if state.core.pubsub.has_changes() {
            let sink = Sink { client: self.client, part: Part::Hole(self.id.0) };
            return crate::publish::announce(node, &mut state.core, Some((sink, reply)));
        }
        outgoing.replies.fill(self.id.0, &reply);
        answered(outgoing, reply.len());
    }

    /// Appends what the client gets, and counts it if it is an error. Returns its length.
    fn reply(&mut self, state: &mut State, out: &mut Vec<u8>) -> usize {
        let start = out.len();
        if let Some(error) = &self.refusal {
            resp::Reply::new(out, self.work.caller.proto).error(&error.text());
        } else {
            let parts: Vec<&[u8]> = self.replies.iter().map(Vec::as_slice).collect();
            self.work.merge(&mut state.core, self.client, &parts, out);
        }
        if let Some(error) = self.failure.take().filter(|_| out[start..] == *b"+OK\r\n") {
            out.truncate(start);
            resp::Reply::new(out, self.work.caller.proto).error(&error);
        }
        if out.get(start) == Some(&b'-') {
            let text = String::from_utf8_lossy(&out[start + 1..]).trim_end().to_owned();
            state.core.stats.failed(self.work.command.index, &text);
        }
        if self.muted {
            out.truncate(start);
        }
        out.len() - start
    }
}

/// A flight has its reply, of so many bytes.
fn answered(outgoing: &mut Outgoing, len: usize) {
    outgoing.overlap.answered();
    outgoing.window.answered(len, outgoing.replies.outstanding());
}

pub(super) fn locking(node: &Node, plan: Plan, mode: Mode) -> Progress {
    let machine = Transaction::new(new_tx(node), node.id, plan);
    let may_keep = mode == Mode::Exclusive && !matches!(plan, Plan::Lend(_));
    let unkept = if may_keep { switch::unkept(node) } else { None };
    let machine = if may_keep && unkept.is_none() { machine.keeping() } else { machine };
    Progress::Locking(Box::new(machine), unkept)
}
