//! Commands that run on several shards: the machines of `coordinator`, driven over this core's mailbox.
//!
//! At home an [`InFlight`] belongs to the connection, which advances it to its end, also when the client has gone
//! ([`crate::flights`]). On every shard that takes part, orders go to the [`Participant`], and [`carry_out`] does what it
//! says.
//!
//! [`Participant`]: coordinator::participant::Participant

mod patterns;

use crate::connection::Link;
use crate::flights::{FlightId, Letter, deliver};
use crate::hop::{Item, Part, Sink};
use crate::loan::{self, Loan};
use crate::node::{Node, State};
use crate::wait::{self, Call, Unit};
use commands::{Caller, ClientSlot, CommandRef, Crossing, Ctx, Flags, Lock, Merge, Outcome};
use coordinator::locks::{Claim, KeyName, Mode, Scope, TxId};
use coordinator::merge::{first_error, merge};
use coordinator::participant::Deed;
use coordinator::router::{Partition, Route};
use coordinator::shards::ShardSet;
use coordinator::tx::{Act, Notice, Order, Plan, Step, Transaction};
use foldhash::fast::FixedState;
use patterns::Patterns;
use std::hash::BuildHasher;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use stdx::args::OwnedArgs;
use stdx::{Args, DbIndex, ShardId, Slot, UnixMs};

/// A single-shard command that waits for locks, on its shard.
pub(crate) struct ParkedCommand {
    pub(crate) command: CommandRef,
    pub(crate) caller: Caller,
    pub(crate) slot: Option<Slot>,
    pub(crate) sink: Sink,
    pub(crate) home: ShardId,
    pub(crate) args: OwnedArgs,
}

/// What an order carries besides itself.
pub(crate) struct OrderPart {
    work: Arc<Work>,
    home: ShardId,
    client: ClientSlot,
    flight: FlightId,
    /// With Return: what goes back to its owner. With Run over loans: all that was lent.
    loans: Vec<Loan>,
}

/// One command over several shards: the same for all that take part, and never changed.
pub(crate) struct Work {
    command: CommandRef,
    caller: Caller,
    /// One clock for all parts, so that a key is expired for all of them or for none.
    now: UnixMs,
    mode: Mode,
    args: OwnedArgs,
    /// In ascending order of shards.
    parts: Vec<WorkPart>,
    /// For each key, in the order of the command, the part that it is in.
    key_order: Vec<u16>,
    lends: bool,
}

struct WorkPart {
    shard: ShardId,
    /// Empty: the whole shard.
    names: Vec<KeyName>,
    /// The command line that this shard runs; of a loan, the keys.
    args: OwnedArgs,
}

/// Between the cores: an order for a shard, or its answer.
pub(crate) struct Message {
    tx: TxId,
    what: What,
}

enum What {
    Order(Order, OrderPart),
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
    /// Whether it is a plain fan-out, which others may overlap with.
    pub(crate) is_spread: bool,
    /// Whether it is to be told to go on: it is new, or a letter has come.
    pub(crate) is_called: bool,
    began: u64,
    /// Replies by part.
    replies: Vec<Vec<u8>>,
    loans: Vec<Loan>,
    /// What the server could not do that the command asked of it here.
    failure: Option<String>,
    /// Of a command that reads keys by patterns: how far it is.
    patterns: Option<Patterns>,
    progress: Progress,
}

enum Progress {
    Locking(Box<Transaction>),
    /// Every shard runs it without locks; how many have not answered, once it was sent.
    Gathering(Option<usize>),
    Walking(Walk),
}

/// SCAN on its way from shard to shard.
struct Walk {
    cursor: u64,
    wanted: usize,
    found: usize,
    elements: Vec<u8>,
    asked: bool,
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
    if command.row.flags.has(Flags::WRITE) { Mode::Exclusive } else { Mode::Shared }
}

impl Work {
    fn part(&self, shard: ShardId) -> &WorkPart {
        let index = self.parts.binary_search_by_key(&shard, |part| part.shard);
        &self.parts[index.expect("only shards that take part are asked")]
    }

    fn claim(&self, shard: ShardId) -> Claim<'_> {
        let names = &self.part(shard).names;
        let scope = if names.is_empty() { Scope::Whole } else { Scope::Keys(names) };
        Claim { scope, mode: self.mode }
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
        let From { caller, now, .. } = from;
        let lends = matches!(command.row.crossing, Crossing::TwoHops);
        let mut partition = Partition::default();
        let route = node.router.partition(args, positions.iter().map(|&at| at as usize), &mut partition);
        debug_assert_eq!(route, Route::Several);
        let group_len = group_len(positions, args.len());
        let mut part_of = vec![0; node.router.shards() as usize];
        let mut parts = Vec::new();
        for (index, group) in partition.groups().enumerate() {
            part_of[group.shard().index()] = index as u16;
            let mut part = WorkPart { shard: group.shard(), names: Vec::new(), args: OwnedArgs::default() };
            if !lends {
                part.args.push(args.at(0));
            }
            for position in group.positions() {
                part.names.push(name(args.at(position)));
                for offset in 0..if lends { 1 } else { group_len } {
                    part.args.push(args.at(position + offset));
                }
            }
            parts.push(part);
        }
        let shard_at = |&at: &u32| node.router.shard_of_key(args.at(at as usize)).index();
        let key_order = positions.iter().map(|at| part_of[shard_at(at)]).collect();
        let mode = if lends { Mode::Exclusive } else { mode(command) };
        let caller = Caller { slot: None, may_park: false, ..caller };
        let work = Arc::new(Work { command, caller, now, mode, args: args.into(), parts, key_order, lends });
        let shards: ShardSet = work.parts.iter().map(|part| part.shard).collect();
        let plan = if lends { Plan::Lend(shards) } else { Plan::Fanout(shards) };
        Self::new(node, work, from, locking(node, plan))
    }

    /// A command that every shard runs, or that goes from shard to shard.
    pub(crate) fn everywhere(node: &Node, command: CommandRef, args: Args<'_>, from: From) -> Self {
        let From { caller, now, .. } = from;
        let (mode, progress) = match command.row.crossing {
            Crossing::Global(Lock::None, _) => (Mode::Shared, Progress::Gathering(None)),
            Crossing::Global(lock, _) => {
                let mode = if lock == Lock::Shared { Mode::Shared } else { Mode::Exclusive };
                (mode, locking(node, Plan::Whole(node.router.shards())))
            }
            _ => (Mode::Shared, Progress::Walking(Walk::new(args))),
        };
        let parts = (0..node.router.shards())
            .map(|shard| WorkPart { shard: ShardId(shard), names: Vec::new(), args: OwnedArgs::default() })
            .collect();
        let work = Work {
            command,
            caller: Caller { slot: None, ..caller },
            now,
            mode,
            args: args.into(),
            parts,
            key_order: Vec::new(),
            lends: false,
        };
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
            is_spread: false,
            is_called: true,
            began,
            replies,
            loans: Vec::new(),
            failure: None,
            patterns: None,
            progress,
        }
    }

    /// Its number.
    pub(crate) fn id(&self) -> FlightId {
        self.id
    }

    /// The fingerprints of its keys.
    pub(crate) fn fingerprints(&self) -> impl Iterator<Item = u64> + '_ {
        self.work.parts.iter().flat_map(|part| &part.names).map(|name| name.fingerprint)
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
            if !self.takes_next_step(node) {
                break;
            }
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
        }
    }

    fn advance_locking(&mut self, node: &Node) -> bool {
        loop {
            let Progress::Locking(machine) = &mut self.progress else { unreachable!("called while locking") };
            let tx = machine.id();
            match machine.poll() {
                None => return false,
                Some(Step::Done(_)) => return true,
                Some(Step::Granted) => unreachable!("only held transactions are granted"),
                Some(Step::Send { to, order }) => {
                    let part = self.order_part(node, order, to);
                    let message = Message { tx, what: What::Order(order, part) };
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
        OrderPart { work: Arc::clone(&self.work), home: node.id, client: self.client, flight: self.id, loans }
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
            self.reply(&mut state, out);
            if out.get(start) == Some(&b'-') {
                let text = String::from_utf8_lossy(&out[start + 1..]).trim_end().to_owned();
                state.core.stats.failed(self.work.command.index, &text);
            }
            if self.muted {
                out.truncate(start);
            }
            len = out.len() - start;
        });
        if self.is_spread {
            outgoing.overlap.answered_spread();
        } else {
            outgoing.overlap.answered();
        }
        outgoing.window.answered(len, outgoing.replies.outstanding());
        let work = &*self.work;
        let ticks = node.ticks.get();
        let nanos = ticks.nanos(self.began, ticks.now());
        state.core.stats.record(work.command.index, nanos);
        if crate::dispatch::is_slow(&mut state.core, work.command, nanos, work.now) {
            let args = work.args.as_args();
            crate::dispatch::note_slow(&mut state.core, work.command, args, nanos, self.client, work.now);
        }
    }

    /// Appends the reply.
    fn reply(&mut self, state: &mut State, out: &mut Vec<u8>) {
        let start = out.len();
        let work = &*self.work;
        let parts: Vec<&[u8]> = self.replies.iter().map(Vec::as_slice).collect();
        match work.command.row.crossing {
            Crossing::Global(_, Merge::Custom(run)) => match first_error(&parts) {
                Some(error) => out.extend_from_slice(error),
                None => {
                    let caller = Caller { slot: Some(self.client), ..work.caller };
                    let mut ctx = Ctx::new(&mut state.core, caller, out, work.now);
                    if let Err(error) = run(&mut ctx, work.args.as_args(), &parts) {
                        out.truncate(start);
                        resp::Reply::new(out, work.caller.proto).error(&error.text());
                    }
                }
            },
            Crossing::Global(_, how) | Crossing::Fanout(how) => merge(how, &parts, &work.key_order, out),
            // The handler ran once, or the walk put its reply together: one part has the reply.
            _ => out.extend_from_slice(parts.iter().find(|part| !part.is_empty()).expect("it has replied")),
        }
        if let Some(error) = self.failure.take().filter(|_| out[start..] == *b"+OK\r\n") {
            out.truncate(start);
            resp::Reply::new(out, work.caller.proto).error(&error);
        }
    }
}

impl Walk {
    fn new(args: Args<'_>) -> Self {
        let cursor = args.get(1).and_then(|text| std::str::from_utf8(text).ok()?.parse().ok()).unwrap_or(0);
        let count =
            count_option(args).and_then(|at| std::str::from_utf8(args.get(at + 1)?).ok()?.parse().ok());
        Self { cursor, wanted: count.unwrap_or(SCAN_COUNT), found: 0, elements: Vec::new(), asked: false }
    }

    /// The command line for the next shard: the same with its own cursor, and only as many keys as still wanted.
    fn args(&self, args: Args<'_>) -> OwnedArgs {
        if self.found == 0 && self.elements.is_empty() && args.len() < 2 {
            return args.into();
        }
        let mut next = OwnedArgs::default();
        let count = count_option(args).map_or(usize::MAX, |at| at + 1);
        let started = !self.elements.is_empty() || self.found > 0;
        for (index, arg) in args.iter().enumerate() {
            if index == 1 && started {
                next.push(self.cursor.to_string().as_bytes());
            } else if index == count && started {
                next.push((self.wanted - self.found).to_string().as_bytes());
            } else {
                next.push(arg);
            }
        }
        next
    }

    /// Takes in one shard's reply; true when the scan's reply is complete.
    fn take(&mut self, reply: Vec<u8>) -> bool {
        let Some((cursor, found, elements)) = scan_reply(&reply) else {
            // An error: it is the reply.
            self.elements = reply;
            self.found = usize::MAX;
            return true;
        };
        self.cursor = cursor;
        self.found += found;
        self.elements.extend_from_slice(elements);
        self.cursor == 0 || self.found >= self.wanted
    }

    fn write(&mut self, out: &mut Vec<u8>) {
        if self.found == usize::MAX {
            return *out = std::mem::take(&mut self.elements);
        }
        let mut reply = resp::Reply::new(out, resp::Proto::Resp2);
        reply.array(2);
        reply.bulk(self.cursor.to_string().as_bytes());
        reply.array(self.found);
        reply.raw(&self.elements);
    }
}

/// Where SCAN's COUNT is among its options, which come in pairs behind the cursor; the last one counts.
fn count_option(args: Args<'_>) -> Option<usize> {
    (2..args.len()).step_by(2).rfind(|&at| args.at(at).eq_ignore_ascii_case(b"count"))
}

/// SCAN's reply taken apart: the cursor, how many keys, and the keys as RESP. `None` when it is an error.
fn scan_reply(reply: &[u8]) -> Option<(u64, usize, &[u8])> {
    let rest = reply.strip_prefix(b"*2\r\n$")?;
    let mut lines = rest.splitn(4, |&byte| byte == b'\n');
    let (_, cursor, count) = (lines.next()?, lines.next()?, lines.next()?);
    let number = |line: &[u8]| std::str::from_utf8(line.strip_suffix(b"\r")?).ok()?.parse::<u64>().ok();
    Some((number(cursor)?, number(count.strip_prefix(b"*")?)? as usize, lines.next()?))
}

/// A message from another core: an order for this shard, or news for a connection here.
pub(crate) fn receive(node: &Node, message: Message) {
    match message.what {
        What::Order(order, part) => obey(node, message.tx, order, part),
        What::News(client, flight, letter) => deliver(node, client, flight, letter),
    }
}

fn obey(node: &Node, tx: TxId, order: Order, part: OrderPart) {
    let work = Arc::clone(&part.work);
    // A loan that home takes no part in is run at home without a lock there.
    let has_part = work.parts.iter().any(|part| part.shard == node.id);
    let claim =
        if has_part { work.claim(node.id) } else { Claim { scope: Scope::Keys(&[]), mode: Mode::Shared } };
    {
        let state = &mut *node.state.borrow_mut();
        state.participant.order(tx, order, claim, part);
        if order.release && order.act == Act::Nothing {
            // What was done under the locks can be seen only now.
            wait::serve(state, Unit::Claim(claim), work.now);
            node.pass_on_wants(state);
        }
    }
    carry_out(node);
}

/// Does what the participant says, until it says nothing more.
pub(crate) fn carry_out(node: &Node) {
    loop {
        let Some(deed) = node.state.borrow_mut().participant.poll() else { return };
        match deed {
            Deed::Command(parked) => run_parked(node, &parked),
            Deed::Answer { tx, notice, part } => answer(node, tx, &part, notice, Vec::new(), Vec::new()),
            Deed::Perform { tx, act, mut part } => {
                let loans = std::mem::take(&mut part.loans);
                let (reply, loans) = perform(node, tx, act, &part.work, loans);
                if let Some(notice) = act.notice() {
                    answer(node, tx, &part, notice, reply, loans);
                }
            }
        }
    }
}

fn perform(node: &Node, tx: TxId, act: Act, work: &Work, loans: Vec<Loan>) -> (Vec<u8>, Vec<Loan>) {
    let mut state = node.state.borrow_mut();
    let mut reply = Vec::new();
    if work.command.row.flags.has(Flags::DENYOOM) && state.core.config.maxmemory != 0 && act != Act::Lend {
        // Whether it may run was asked at home, before any part ran; here it only makes room for itself.
        shard::make_room(&mut state.core, work.now);
    }
    let done = perform_on(node, &mut state, act, work, loans, &mut reply);
    if !state.participant.knows(tx) {
        // Nothing more is to come under these locks.
        let has_part = work.parts.iter().any(|part| part.shard == node.id);
        let unit = if has_part { Unit::Claim(work.claim(node.id)) } else { Unit::Nothing };
        wait::serve(&mut state, unit, work.now);
    }
    shard::tell_memory(&mut state.core);
    node.pass_on_wants(&mut state);
    (reply, done)
}

fn perform_on(
    node: &Node,
    state: &mut State,
    act: Act,
    work: &Work,
    loans: Vec<Loan>,
    reply: &mut Vec<u8>,
) -> Vec<Loan> {
    match act {
        Act::Run if work.lends => {
            let own = work.parts.iter().find(|part| part.shard == node.id);
            let keys = own.map(|part| part.args.as_args());
            loan::run(node, state, &Borrowing::of(work, keys), loans, reply)
        }
        Act::Run => {
            let part = work.part(node.id);
            let args = if part.names.is_empty() { work.args.as_args() } else { part.args.as_args() };
            shard::run(&mut state.core, work.command, work.caller, args, None, reply, work.now);
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

fn answer(node: &Node, tx: TxId, part: &OrderPart, notice: Notice, reply: Vec<u8>, loans: Vec<Loan>) {
    let letter = Letter::Notice { from: node.id, notice, reply, loans };
    if part.home == node.id {
        return deliver(node, part.client, part.flight, letter);
    }
    let message = Message { tx, what: What::News(part.client, part.flight, letter) };
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
        let outcome = shard::execute(&mut state.core, command, caller, args, slot, &mut out, now);
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
    let id = TxId(node.control.next_tx.fetch_add(1, Relaxed));
    Progress::Locking(Box::new(Transaction::new(id, node.id, plan)))
}

/// How many arguments belong to each key: the distance between keys, of a command whose arguments are all keys and
/// what goes with them (MSET: 2).
fn group_len(positions: &[u32], args: usize) -> usize {
    match positions {
        [first, second, ..] => (second - first) as usize,
        [only] => args - *only as usize,
        [] => 1,
    }
}

/// SCAN's COUNT when none is given.
const SCAN_COUNT: usize = 10;

const FINGERPRINT_SEED: u64 = 0x6c61_6365_7769_6e67;
