//! Commands that run on several shards: the machines of `coordinator`, driven over this core's mailbox.
//!
//! At home an [`InFlight`] belongs to the connection, which advances it to its end, also when the client has gone
//! ([`crate::flights`]). On every shard that takes part, orders go to the [`Participant`], and [`carry_out`] does what it
//! says.
//!
//! [`Participant`]: coordinator::participant::Participant

mod attempt;
mod chore;
pub(crate) mod hold;
mod patterns;
mod walk;
mod work;

use crate::connection::Link;
use crate::exec::Exec;
use crate::flights::{FlightId, Letter, deliver};
use crate::hop::{Item, Part, Sink};
use crate::loan::{self, Loan};
use crate::node::{Node, Ordered, State};
use crate::spread;
use crate::wait::{self, Call, Fate, Unit};
use crate::watching::WatchPart;
use chore::{Chore, Locks};
use commands::{Caller, ClientSlot, CommandError, CommandRef, Crossing, Flags, Lock, Outcome};
use coordinator::locks::{Admission, Claim, KeyName, Mode, Scope, TxId};
use coordinator::participant::{Deed, Participant};
use coordinator::tx::{Act, Notice, Order, Plan, Step, Transaction};
use foldhash::fast::FixedState;
use patterns::Patterns;
use shard::{Waiter, WaiterId};
use std::hash::BuildHasher;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use stdx::args::OwnedArgs;
use stdx::{Args, ClientId, DbIndex, ShardId, Slot, UnixMs};
use walk::Walk;
pub(crate) use work::group_len;
use work::{Work, WorkPart};

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

/// A command under way on several shards.
pub(crate) struct InFlight {
    id: FlightId,
    work: Arc<Work>,
    client: ClientSlot,
    /// CLIENT REPLY OFF: it runs, and its reply is thrown away.
    pub(crate) muted: bool,
    /// Whether it is to be told to go on: it is new, or a letter has come.
    pub(crate) is_called: bool,
    began: u64,
    /// Replies by part.
    replies: Vec<Vec<u8>>,
    loans: Vec<Loan>,
    /// What the server could not do that the command asked of it here.
    failure: Option<String>,
    /// Why it did not run, if it gave up: then its machine was cancelled.
    refusal: Option<CommandError>,
    /// Of a command that reads keys by patterns: how far it is.
    patterns: Option<Patterns>,
    /// Whether it is a client's that has waited: it was counted when it began to.
    is_again: bool,
    progress: Progress,
}

enum Progress {
    Locking(Box<Transaction>),
    /// Every shard runs it without locks; how many have not answered, once it was sent.
    Gathering(Option<usize>),
    Walking(Walk),
}

/// The lock names of a command's keys. A key has one name in all databases: COPY and MOVE reach into two.
pub(crate) fn names(command: CommandRef, args: Args<'_>) -> Vec<KeyName> {
    let mut keys = Vec::new();
    commands::table::keys_of(command, args, &mut keys);
    keys.iter().map(|&at| name(args.at(at as usize))).collect()
}

pub(crate) fn name(key: &[u8]) -> KeyName {
    KeyName { db: DbIndex(0), fingerprint: FixedState::with_seed(FINGERPRINT_SEED).hash_one(key) }
}

/// What a command of one shard claims there.
pub(crate) fn claim<'a>(command: CommandRef, names: &'a [KeyName]) -> Claim<'a> {
    Claim { scope: Scope::Keys(names), mode: mode(command) }
}

fn mode(command: CommandRef) -> Mode {
    // A script that does not say that it only reads may write.
    let is_script = matches!(command.row.crossing, Crossing::Script);
    let writes = command.row.flags.has(if is_script { Flags::MAY_REPLICATE } else { Flags::WRITE });
    if writes { Mode::Exclusive } else { Mode::Shared }
}

/// Whether a command of this shard's keys has to wait for locks; if so it is parked.
pub(crate) fn must_park(
    node: &Node,
    participant: &mut Participant<Parked, Ordered>,
    park: impl FnOnce() -> ParkedCommand,
    (command, origin, args): (CommandRef, ClientId, Args<'_>),
) -> bool {
    let claimed = Claimed::by(node, command, args);
    let park = || Parked::Command(park());
    let admission = if matches!(command.row.crossing, Crossing::Script) {
        participant.admit_long((origin, new_tx(node)), claimed.claim(), park)
    } else {
        participant.admit(origin, claimed.claim(), park)
    };
    admission == Admission::Parked
}

/// The number of a new transaction.
pub(crate) fn new_tx(node: &Node) -> TxId {
    TxId(node.control.next_tx.fetch_add(1, Relaxed))
}

/// What a command of one shard claims there.
pub(crate) struct Claimed {
    names: Vec<KeyName>,
    scope: fn(&[KeyName]) -> Scope<'_>,
    mode: Mode,
}

impl Claimed {
    pub(crate) fn by(node: &Node, command: CommandRef, args: Args<'_>) -> Self {
        // Where there is one shard, a script may touch keys that it does not name.
        let is_open = matches!(command.row.crossing, Crossing::Script) && node.router.shards() == 1;
        let scope: fn(&[KeyName]) -> Scope<'_> =
            if is_open { |_| Scope::Whole } else { |names| Scope::Keys(names) };
        Self { names: names(command, args), scope, mode: mode(command) }
    }

    pub(crate) fn claim(&self) -> Claim<'_> {
        Claim { scope: (self.scope)(&self.names), mode: self.mode }
    }
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
        Self::new(node, Arc::new(work), from, locking(node, plan))
    }

    /// A command that every shard runs, or that goes from shard to shard.
    pub(crate) fn everywhere(node: &Node, command: CommandRef, args: Args<'_>, from: From) -> Self {
        let progress = match command.row.crossing {
            Crossing::Global(Lock::None, _) => Progress::Gathering(None),
            Crossing::Global(..) => locking(node, Plan::Whole(node.router.shards())),
            _ => Progress::Walking(Walk::new(args)),
        };
        let work = Work::everywhere(node, command, args, from.caller, from.now);
        Self::new(node, Arc::new(work), from, progress)
    }

    fn new(node: &Node, work: Arc<Work>, from: From, progress: Progress) -> Self {
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
            patterns: None,
            is_again: false,
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

    /// Goes on as far as it can without another letter. True when it is over and its reply fills its hole.
    pub(crate) fn advance(&mut self, node: &Rc<Node>, link: &Link) -> bool {
        self.is_called = false;
        loop {
            let is_over = match &mut self.progress {
                Progress::Locking(_) => self.advance_locking(node),
                Progress::Gathering(_) => self.advance_gathering(node),
                Progress::Walking(_) => self.advance_walk(node),
            };
            if !is_over {
                return false;
            }
            if self.refusal.is_some() || !self.takes_next_step(node) {
                break;
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
            Letter::Notice { from, notice, reply, loans } => {
                let index = self.work.parts.iter().position(|part| part.shard == from);
                self.replies[index.unwrap_or(0)] = reply;
                self.loans.extend(loans);
                if let Progress::Locking(machine) = &mut self.progress {
                    machine.handle(from, notice);
                }
            }
            Letter::Watched(_) | Letter::Turn => {
                unreachable!("no key is watched for it, nor does it take turns")
            }
        }
    }

    /// A shard has become busy with a script: if this waits for it, it gives up, unless a part of it has run.
    pub(crate) fn give_up_if_busy(&mut self, node: &Node) {
        let Progress::Locking(machine) = &mut self.progress else { return };
        let mut shards = self.work.parts.iter().map(|part| part.shard);
        self.refusal = shards.find_map(|shard| node.control.busy.error(shard));
        if self.refusal.is_some() {
            machine.cancel();
            self.is_called = true;
        }
    }

    fn advance_locking(&mut self, node: &Rc<Node>) -> bool {
        loop {
            let Progress::Locking(machine) = &mut self.progress else { unreachable!("called while locking") };
            let tx = machine.id();
            match machine.poll() {
                None => return false,
                Some(Step::Done(outcome)) => {
                    if outcome == coordinator::tx::Outcome::Executed {
                        self.refusal = None;
                    }
                    return true;
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
                back
            }
            _ => Vec::new(),
        };
        let task = Task::Command(Arc::clone(&self.work));
        let asks_fate = self.work.may_park() && order.act == Act::Return;
        let fate = if asks_fate { wait::fate(node, self.client) } else { None };
        OrderPart { task, home: node.id, client: self.client, flight: self.id, loans, fate }
    }

    fn advance_gathering(&mut self, node: &Rc<Node>) -> bool {
        let Progress::Gathering(missing) = &mut self.progress else { unreachable!("called while gathering") };
        if let Some(missing) = missing {
            return *missing == 0;
        }
        let shards = node.router.shards();
        *missing = Some(shards as usize - 1);
        let work = &*self.work;
        for shard in (0..shards).filter(|&shard| shard != node.id.0) {
            let sink = Sink { client: self.client, part: Part::Shard(self.id, shard) };
            let args = work.args.as_args();
            node.mailbox
                .outbox(shard as usize, |hop| hop.command(work.command, work.caller, None, sink, args));
        }
        let caller = Caller { slot: Some(self.client), ..work.caller };
        let out = &mut self.replies[node.id.index()];
        let mut state = node.state.borrow_mut();
        shard::run(&mut state.core, work.command, caller, work.args.as_args(), None, out, work.now);
        if !state.core.actions.is_empty() {
            drop(state);
            // The others are asked first, so that what takes time takes it everywhere at once (DEBUG SLEEP).
            node.mailbox.flush_now();
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
                shard::run(&mut state.core, work.command, work.caller, args.as_args(), None, out, work.now);
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
        let mut len = 0;
        outgoing.replies.fill_with(self.id.0, |out| {
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
            len = out.len() - start;
        });
        outgoing.overlap.answered();
        outgoing.window.answered(len, outgoing.replies.outstanding());
        wait::end(node, &mut state.core, outgoing, self.client);
        if self.is_again {
            return;
        }
        let work = &*self.work;
        let ticks = node.ticks.get();
        let nanos = ticks.nanos(self.began, ticks.now());
        state.core.stats.record(work.command.index, nanos);
        if crate::dispatch::is_slow(&mut state.core, work.command, nanos, work.now) {
            let args = work.args.as_args();
            crate::dispatch::note_slow(&mut state.core, work.command, args, nanos, self.client, work.now);
        }
    }
}

/// A message from another core: an order for this shard, or news for a connection here.
pub(crate) fn receive(node: &Rc<Node>, message: Message) {
    match message {
        Message::Order(tx, order, part) => obey(node, tx, order, part),
        Message::News(client, flight, letter) => deliver(node, client, flight, letter),
    }
}

fn obey(node: &Rc<Node>, tx: TxId, order: Order, part: OrderPart) {
    let task = part.task.clone();
    {
        let state = &mut *node.state.borrow_mut();
        // A loan that home takes no part in is run at home without a lock there.
        let claim = task.claim(node.id).unwrap_or(NO_CLAIM);
        state.participant.order(tx, order, claim, Ordered::Work(part));
        if order.release && order.act == Act::Nothing {
            // What was done under the locks can be seen only now.
            wait::serve(state, Unit::Claim(claim), task.now());
            node.pass_on_wants(state);
        }
    }
    carry_out(node);
}

/// Does what the participant says, until it says nothing more.
pub(crate) fn carry_out(node: &Rc<Node>) {
    loop {
        let Some(deed) = node.state.borrow_mut().participant.poll() else { return };
        match deed {
            Deed::Command(Parked::Command(parked)) => run_parked(node, &parked),
            Deed::Long(tx, Parked::Command(parked)) => crate::script::run_parked(node, tx, &parked),
            Deed::Long(..) => unreachable!("only scripts take long"),
            Deed::Command(Parked::Exec(exec)) => crate::exec::run(node, &exec),
            Deed::Command(Parked::Watch(part)) => crate::watching::run(node, &part),
            Deed::Answer { notice, part: Ordered::Spread(queued), .. } => {
                spread::answer(node, &queued, notice, &[]);
            }
            Deed::Perform { tx, part: Ordered::Spread(queued), .. } => spread::perform(node, tx, &queued),
            Deed::Answer { notice, part: Ordered::Work(part), .. } => {
                answer(node, &part, notice, Vec::new(), Vec::new());
            }
            Deed::Perform { tx, act, part: Ordered::Work(mut part) } => {
                let loans = std::mem::take(&mut part.loans);
                let (reply, loans) = perform(node, tx, act, &part, loans);
                if let Some(notice) = act.notice() {
                    answer(node, &part, notice, reply, loans);
                }
            }
        }
    }
}

fn perform(node: &Rc<Node>, tx: TxId, act: Act, part: &OrderPart, loans: Vec<Loan>) -> (Vec<u8>, Vec<Loan>) {
    let mut reply = Vec::new();
    let (done, has_actions) = {
        let mut state = node.state.borrow_mut();
        let state = &mut *state;
        if state.core.effects.journals() {
            state.core.effects.unit = tx.0;
        }
        let client = (part.home == node.id).then_some(part.client);
        let done = match &part.task {
            Task::Command(work) if work.may_park() => {
                attempt::perform(node, state, act, work, part, loans, &mut reply)
            }
            Task::Command(work) | Task::Held(_, Chore::Command(work)) => {
                perform_work(node, state, act, work, client, loans, &mut reply)
            }
            Task::Held(_, chore) => {
                chore::perform(node, state, chore, part, &mut reply);
                Vec::new()
            }
        };
        state.core.effects.unit = 0;
        if !state.participant.knows(tx) {
            // Nothing more is to come under these locks.
            let unit = part.task.claim(node.id).map_or(Unit::Nothing, Unit::Claim);
            wait::serve(state, unit, part.task.now());
        }
        shard::tell_memory(&mut state.core);
        node.pass_on_wants(state);
        (done, !state.core.actions.is_empty())
    };
    if has_actions
        && let Err(error) = crate::action::perform_all(node)
        && reply == OK
    {
        reply.clear();
        resp::Reply::new(&mut reply, resp::Proto::Resp2).error(&error);
    }
    (reply, done)
}

/// Does what `act` says of this shard's part of a command. `client` asked for it, if it is connected here.
fn perform_work(
    node: &Node,
    state: &mut State,
    act: Act,
    work: &Work,
    client: Option<ClientSlot>,
    loans: Vec<Loan>,
    reply: &mut Vec<u8>,
) -> Vec<Loan> {
    if work.command.row.flags.has(Flags::DENYOOM) && state.core.config.maxmemory != 0 && act != Act::Lend {
        // Whether it may run was asked at home, before any part ran; here it only makes room for itself.
        shard::make_room(&mut state.core, work.now);
    }
    match act {
        Act::Run if work.lends => {
            let own = work.parts.iter().find(|part| part.shard == node.id);
            let keys = own.map(|part| part.args.as_args());
            loan::run(node, state, &Borrowing::of(work, keys), loans, reply)
        }
        Act::Run => {
            let part = work.part(node.id);
            let args = if part.names.is_empty() { work.args.as_args() } else { part.args.as_args() };
            let caller = Caller { slot: client, ..work.caller };
            shard::run(&mut state.core, work.command, caller, args, None, reply, work.now);
            Vec::new()
        }
        Act::Lend => {
            let part = work.part(node.id);
            loan::lend(&mut state.core, node.id, &Borrowing::of(work, Some(part.args.as_args())))
        }
        Act::Return => {
            loan::give_back(&mut state.core, loans, work.now);
            Vec::new()
        }
        Act::Nothing | Act::Abandon => unreachable!("the participant does these itself"),
    }
}

/// What a loan needs to know of its command.
pub(crate) struct Borrowing<'a> {
    pub(crate) command: CommandRef,
    pub(crate) caller: Caller,
    pub(crate) args: Args<'a>,
    /// The keys of the shard that lends.
    pub(crate) keys: Option<Args<'a>>,
    pub(crate) now: UnixMs,
}

impl<'a> Borrowing<'a> {
    fn of(work: &'a Work, keys: Option<Args<'a>>) -> Self {
        Self { command: work.command, caller: work.caller, args: work.args.as_args(), keys, now: work.now }
    }
}

fn answer(node: &Node, part: &OrderPart, notice: Notice, reply: Vec<u8>, loans: Vec<Loan>) {
    let letter = Letter::Notice { from: node.id, notice, reply, loans };
    if part.home == node.id {
        return deliver(node, part.client, part.flight, letter);
    }
    let message = Message::News(part.client, part.flight, letter);
    node.mailbox.outbox(part.home.index(), |hop| hop.say(Item::Transaction(Box::new(message))));
}

fn run_parked(node: &Node, parked: &ParkedCommand) {
    let mut out = Vec::new();
    let nanos = {
        let mut state = node.state.borrow_mut();
        let ParkedCommand { command, caller, slot, sink, home, ref args } = *parked;
        let (args, now) = (args.as_args(), crate::clock::unix_ms());
        let ticks = node.ticks.get();
        let began = ticks.now();
        if wait::may_park(command, args) {
            let id = WaiterId { home, client: sink.client };
            wait::reserve(&mut state, id, (command, caller), args, now);
        }
        let outcome = shard::execute(&mut state.core, command, caller, args, slot, &mut out, now);
        state.core.reserved.clear();
        let nanos = ticks.nanos(began, ticks.now());
        state.core.stats.record(command.index, nanos);
        wait::serve(&mut state, Unit::Command(command, args), now);
        if outcome == Outcome::Park {
            wait::park_for(node, &mut state, &Call { command, caller, args, slot, home, sink });
        }
        node.pass_on_wants(&mut state);
        if outcome == Outcome::Park {
            return;
        }
        let is_slow = crate::dispatch::is_slow(&mut state.core, command, nanos, now);
        if is_slow && home == node.id {
            crate::dispatch::note_slow(&mut state.core, command, args, nanos, sink.client, now);
        }
        is_slow.then_some(nanos)
    };
    if parked.home == node.id {
        return crate::mail::fill(node, parked.sink, &out);
    }
    node.mailbox.outbox(parked.home.index(), |hop| {
        hop.reply(parked.sink, |buf| buf.extend_from_slice(&out));
        if let Some(nanos) = nanos {
            hop.say(Item::slow(parked.command, parked.sink.client, parked.args.as_args(), nanos));
        }
    });
}

/// Whether the command takes memory and there is none left for it.
pub(crate) fn is_full(state: &mut State, command: CommandRef, now: UnixMs) -> bool {
    command.row.flags.has(Flags::DENYOOM)
        && state.core.config.maxmemory != 0
        && !shard::make_room(&mut state.core, now)
}

fn locking(node: &Node, plan: Plan) -> Progress {
    Progress::Locking(Box::new(Transaction::new(new_tx(node), node.id, plan)))
}

const OK: &[u8] = b"+OK\r\n";
const NO_CLAIM: Claim<'static> = Claim { scope: Scope::Keys(&[]), mode: Mode::Shared };
const FINGERPRINT_SEED: u64 = 0x6c61_6365_7769_6e67;
