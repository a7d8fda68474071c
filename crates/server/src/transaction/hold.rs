//! A transaction that holds its locks while it works in stages: EXEC over several shards, and scripts.
//!
//! ```text
//!   Hold::begin ──► advance ─┬─► Waits    letters come: hand each to `read`, then advance again
//!                      ▲     ├─► Ready    look at the results; then `lists`, `watches`, `call`, or `release`
//!                      └─────┴─► Over     look at the results; it is gone, and all locks with it
//! ```
//!
//! How a flight ([`crate::flights`]) uses it: it makes one with the [`Locks`] of all keys that it may touch
//! ([`Locks::whole`] when it does not know them), and in its own `advance` calls [`Hold::advance`] until that says
//! [`Held::Waits`]. Whenever it says [`Held::Ready`] all locks are held and nothing is under way: results of the stage
//! before are there ([`Hold::take_reply`], [`Hold::take_replies`], [`Hold::has_changed`]), and the next stage may be
//! begun, one at a time. [`Hold::call`] runs one command, whatever it is, and gives its one reply, as RESP: for a script it
//! is `redis.call`. While it is ready, a command whose keys are all on this core's shard may as well be run at once with
//! `shard::run`: the locks are this transaction's. After the last stage [`Hold::release`], unless that stage was begun as
//! the last (a journalled one must not be: it is written when it is released). It must be driven to [`Held::Over`], also when its client has gone, for it holds others up.
//!
//! Locks named by keys allow nothing but these keys; with locks of whole shards any command may be called.

use super::chore::{self, Chore};
pub(crate) use super::chore::{List, Locks};
use super::orders::obey;
use super::walk::Walk;
use super::work::{Work, WorkPart};
use super::{From, Message, OrderPart, Task, patterns};
use crate::flights::Letter;
use crate::hop::Item;
use crate::journal::deeds::{Deeds, Done};
use crate::loan::Loan;
use crate::node::Node;
use crate::track::Tellers;
use commands::effects::Cut;
use commands::generic::sort;
use commands::transaction::{Place, Queue, Watched};
use commands::{Caller, CommandError, CommandRef, Crossing};
use coordinator::shards::ShardSet;
use coordinator::tx::{Act, Order, Outcome, Plan, Stage, Step, Transaction, TxId};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use stdx::args::OwnedArgs;
use stdx::{Args, ShardId, Slot};

/// A held transaction under way.
pub(crate) struct Hold {
    machine: Transaction,
    locks: Arc<Locks>,
    from: From,
    /// What the shards do in the stage under way: the same for all, or each its own.
    chores: Chores,
    /// What they have answered.
    replies: BTreeMap<ShardId, Vec<u8>>,
    loans: Vec<Loan>,
    tellers: Tellers,
    call: Option<Call>,
    is_granted: bool,
    /// Why it gives up.
    refusal: Option<CommandError>,
    /// What it has done so far, for the journal.
    deeds: Deeds,
    /// Whether some of it looks at several shards: then it cannot be home's alone.
    is_shared: bool,
    /// Of a command that every shard runs: whether one has said what it did.
    has_been_told: bool,
    /// Its number in the journal, once it is there.
    number: u64,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// For letters.
    Waits,
    /// It has its locks, and nothing is under way.
    Ready,
    /// It has no locks any more.
    Over,
}

enum Chores {
    Nothing,
    Command(Arc<Work>),
    Each(BTreeMap<ShardId, Chore>),
}

/// One command that is called, in one stage or several.
struct Call {
    command: CommandRef,
    caller: Caller,
    args: OwnedArgs,
    progress: Progress,
    began: u64,
    /// Once it is over.
    reply: Vec<u8>,
}

enum Progress {
    /// All shards that take part run it at once.
    Once(Arc<Work>),
    /// One shard runs it.
    Alone,
    /// SCAN.
    Walking(Walk),
    /// SORT asks for the elements whose patterns it follows.
    Asking,
    Over,
}

impl Hold {
    /// Takes the locks, when it is advanced.
    pub(crate) fn begin(node: &Node, locks: Locks, from: From) -> Self {
        let plan = Plan::Hold(locks.shards());
        Self::new(node, locks, plan, Chores::Nothing, from)
    }

    /// Takes the locks, runs one stage of lists, and releases: nothing can come before or after it, and that saves a round
    /// trip. It is over when it is ready for the first time.
    pub(crate) fn once(node: &Node, locks: Locks, lists: BTreeMap<ShardId, List>, from: From) -> Self {
        let plan = Plan::Fanout(locks.shards());
        Self::new(node, locks, plan, each(lists, Chore::List), from)
    }

    fn new(node: &Node, locks: Locks, plan: Plan, chores: Chores, from: From) -> Self {
        let id = TxId(node.control.next_tx.fetch_add(1, Relaxed));
        Self {
            machine: Transaction::new(id, node.id, plan),
            locks: Arc::new(locks),
            from,
            chores,
            replies: BTreeMap::new(),
            loans: Vec::new(),
            tellers: Tellers::default(),
            call: None,
            is_granted: false,
            refusal: None,
            deeds: Deeds::default(),
            is_shared: false,
            has_been_told: false,
            number: 0,
        }
    }

    /// Takes in what has come for it.
    pub(crate) fn read(&mut self, letter: Letter) {
        let Letter::Notice { from, notice, reply, loans, done } = letter else {
            unreachable!("it asks for nothing without locks")
        };
        self.take_in(from, &done);
        if !reply.is_empty() {
            self.replies.insert(from, reply);
        }
        self.loans.extend(loans);
        self.machine.handle(from, notice);
    }

    /// Takes down what a part of a stage did.
    fn take_in(&mut self, shard: ShardId, done: &Done) {
        if done.cut == Cut::Nothing {
            return;
        }
        if let Chores::Command(work) = &self.chores {
            self.is_shared |= work.lends;
            // Of what every shard runs all say the same.
            if matches!(work.command.row.crossing, Crossing::Global(..))
                && std::mem::replace(&mut self.has_been_told, true)
            {
                return self.deeds.wrote.insert(shard);
            }
        }
        self.deeds.add(shard, &done.effects);
    }

    /// What was done here between the stages, under its locks; and what replicas are to hear of it when all that the transaction did
    /// is there.
    pub(crate) fn did(&mut self, node: &Node, effects: &[u8], told: &[u8]) {
        self.deeds.add(node.id, effects);
        self.deeds.tell(told);
    }

    /// A shard has become busy with a script: if this waits for it, it gives up, unless it has its locks. Returns whether it
    /// may do so: ask [`Hold::refusal`] when it is over.
    pub(crate) fn give_up_if_busy(&mut self, node: &Node) -> bool {
        if self.is_granted || self.refusal.is_some() {
            return false;
        }
        self.refusal = self.locks.shards().iter().find_map(|shard| node.control.busy.error(shard));
        if self.refusal.is_some() {
            self.machine.cancel();
        }
        self.refusal.is_some()
    }

    /// Why it did nothing at all, if it gave up.
    pub(crate) fn refusal(&self) -> Option<&CommandError> {
        self.refusal.as_ref()
    }

    /// Goes on as far as it can without another letter. Must not be called while the node's state is borrowed.
    pub(crate) fn advance(&mut self, node: &Rc<Node>) -> Held {
        let tx = self.machine.id();
        loop {
            match self.machine.poll() {
                None => return Held::Waits,
                Some(Step::Done(outcome)) => {
                    if outcome == Outcome::Executed {
                        self.refusal = None;
                    }
                    return Held::Over;
                }
                Some(Step::Granted) => {
                    self.is_granted = true;
                    if !self.goes_on_calling(node) {
                        return Held::Ready;
                    }
                }
                Some(Step::Ran) => unreachable!("it keeps its locks anyway"),
                Some(Step::Send { to, order }) => {
                    let message = Message::Order(tx, order, self.order_part(node, order, to));
                    node.mailbox.outbox(to.index(), |hop| hop.say(Item::Transaction(Box::new(message))));
                }
                Some(Step::Home(order)) => {
                    let part = self.order_part(node, order, node.id);
                    obey(node, tx, order, part);
                }
            }
        }
    }

    /// The next stage: each of these shards runs its list, all at the same time. The locks go with it if it is the last.
    pub(crate) fn lists(&mut self, lists: BTreeMap<ShardId, List>, is_last: bool) {
        self.run_each(each(lists, Chore::List), is_last);
    }

    /// The next stage: have these keys changed since they were watched? The watches end with it.
    pub(crate) fn watches(&mut self, watched: Vec<Watched>) {
        let mut by_shard: BTreeMap<ShardId, Vec<Watched>> = BTreeMap::new();
        for watched in watched {
            by_shard.entry(watched.shard).or_default().push(watched);
        }
        self.run_each(each(by_shard, Chore::Watches), false);
    }

    /// The next stages: one command, which is none about the connection. It is counted, and its reply is there when it is
    /// ready again.
    pub(crate) fn call(&mut self, node: &Node, command: CommandRef, args: Args<'_>, caller: Caller) {
        let caller = Caller { slot: None, may_park: false, ..caller };
        let call = Call {
            command,
            caller,
            args: args.into(),
            progress: Progress::Alone,
            began: node.ticks.get().now(),
            reply: Vec::new(),
        };
        self.call = Some(call);
        let now = self.from.now;
        match command.row.crossing {
            Crossing::OneShard => {
                let slot = Slot::of(args.at(command.first_key as usize));
                self.call_alone(node.router.shard_of(slot), Some(slot));
            }
            Crossing::Global(..) => {
                self.call_once(Work::everywhere(node, command, args, caller, now));
            }
            Crossing::Walk => {
                self.set_progress(Progress::Walking(Walk::new(args)));
                self.walk(node);
            }
            Crossing::Fanout(_) | Crossing::TwoHops => self.call_over_keys(node, args),
            Crossing::Session | Crossing::Exec | Crossing::Watch | Crossing::Script => {
                unreachable!("{} is not called on shards", command.full_name)
            }
        }
    }

    /// The reply to the command that was called last.
    pub(crate) fn take_reply(&mut self) -> Vec<u8> {
        self.call.take().map(|call| call.reply).expect("a command was called")
    }

    /// The replies of the stage of lists before, by shard: hand each with its list's length to [`apart`].
    pub(crate) fn take_replies(&mut self) -> BTreeMap<ShardId, Vec<u8>> {
        std::mem::take(&mut self.replies)
    }

    /// Whether the stage of watches before has found a change.
    pub(crate) fn has_changed(&mut self) -> bool {
        self.take_replies().values().any(|reply| *reply == [1])
    }

    /// Journals what was done, and gives the locks back. Must not be called while the node's state is borrowed.
    pub(crate) fn release(&mut self, node: &Node) {
        let home = ShardSet::one(node.id);
        let is_home_alone = !self.is_shared && self.deeds.wrote.without(&home).is_empty();
        let shards = if is_home_alone { home } else { self.locks.shards() };
        self.number = self.deeds.journal(node, &mut node.state.borrow_mut().core, &shards);
        self.machine.release();
    }

    /// After [`Held::Over`]: so many shards will say ([`Letter::Told`]) when clients have been told of what it changed there.
    /// The flight is answered when all have.
    pub(crate) fn ask_tellers(&mut self, node: &Node) -> usize {
        self.tellers.ask(node, self.from.client, self.from.flight)
    }

    // ---- stages

    fn run_each(&mut self, chores: Chores, is_last: bool) {
        let Chores::Each(by_shard) = &chores else { unreachable!("made by `each`") };
        let shards = by_shard.keys().copied().collect();
        self.chores = chores;
        self.replies.clear();
        self.machine.stage(Stage::Run(shards), is_last);
    }

    fn run_work(&mut self, work: Work) {
        let shards = work.shards();
        let stage = if work.lends { Stage::Lend(shards) } else { Stage::Run(shards) };
        self.chores = Chores::Command(Arc::new(work));
        self.has_been_told = false;
        self.replies.clear();
        self.machine.stage(stage, false);
    }

    fn order_part(&mut self, node: &Node, order: Order, to: ShardId) -> OrderPart {
        let loans = match (order.act, &self.chores) {
            (Act::Run, Chores::Command(work)) if work.lends => std::mem::take(&mut self.loans),
            (Act::Return, _) => {
                let back: Vec<Loan> = self.loans.extract_if(.., |loan| loan.owner == to).collect();
                self.tellers.note(to, &back);
                back
            }
            _ => Vec::new(),
        };
        let chore = match &self.chores {
            Chores::Nothing => Chore::Nothing,
            Chores::Command(work) => Chore::Command(Arc::clone(work)),
            Chores::Each(by_shard) => by_shard.get(&to).cloned().unwrap_or(Chore::Nothing),
        };
        let task = Task::Held(Arc::clone(&self.locks), chore);
        OrderPart {
            task,
            home: node.id,
            client: self.from.client,
            flight: self.from.flight,
            loans,
            fate: None,
            number: if order.release { self.number } else { 0 },
        }
    }

    // ---- calls

    fn call_over_keys(&mut self, node: &Node, args: Args<'_>) {
        let Call { command, caller, .. } = *self.called();
        if node.router.shards() > 1 && sort::reads_by_pattern(command, args) {
            self.set_progress(Progress::Asking);
            let part = patterns::scout(node, args);
            return self.run_work(Work::of_parts(command, caller, self.from.now, args, vec![part], false));
        }
        let mut keys = Vec::new();
        commands::table::keys_of(command, args, &mut keys);
        let mut slots = keys.iter().map(|&at| Slot::of(args.at(at as usize)));
        let Some(first) = slots.next() else { return self.call_alone(node.id, None) };
        let shard = node.router.shard_of(first);
        if slots.all(|slot| node.router.shard_of(slot) == shard) {
            return self.call_alone(shard, Some(first));
        }
        self.call_once(Work::over_keys(node, command, args, &keys, caller, self.from.now));
    }

    fn call_alone(&mut self, shard: ShardId, slot: Option<Slot>) {
        let (Call { command, caller, args, .. }, now) = (self.called(), self.from.now);
        let mut queue = Queue::default();
        queue.push(command, args.as_args(), Place::Shard(shard, slot));
        let list = List::new(queue, *caller, now);
        self.run_each(each(BTreeMap::from([(shard, list)]), Chore::List), false);
    }

    fn call_once(&mut self, work: Work) {
        self.run_work(work);
        if let Chores::Command(work) = &self.chores {
            self.set_progress(Progress::Once(Arc::clone(work)));
        }
    }

    /// A stage is over: whether the command called needs another one, which has begun.
    fn goes_on_calling(&mut self, node: &Node) -> bool {
        let Some(call) = &mut self.call else { return false };
        match std::mem::replace(&mut call.progress, Progress::Over) {
            Progress::Over => return false,
            Progress::Alone => {
                let reply = self.replies.pop_first().map(|(_, reply)| reply).expect("one shard has run it");
                call.reply.extend(chore::replies(&reply, 1).flatten());
                // The shard has counted it.
                return false;
            }
            Progress::Once(work) => {
                let none = Vec::new();
                let replies: Vec<&[u8]> = if work.lends {
                    self.replies.values().map(Vec::as_slice).collect()
                } else {
                    work.parts
                        .iter()
                        .map(|part| &self.replies.get(&part.shard).unwrap_or(&none)[..])
                        .collect()
                };
                let core = &mut node.state.borrow_mut().core;
                work.merge(core, self.from.client, &replies, &mut call.reply);
            }
            Progress::Walking(mut walk) => {
                let reply = self.replies.pop_first().map(|(_, reply)| reply).expect("a shard has run it");
                let shard = node.router.shard_of(keyspace::Keyspace::cursor_slot(walk.cursor));
                let is_over = walk.take(reply);
                if !is_over && node.router.shard_of(keyspace::Keyspace::cursor_slot(walk.cursor)) != shard {
                    call.progress = Progress::Walking(walk);
                    self.walk(node);
                    return true;
                }
                walk.write(&mut call.reply);
            }
            Progress::Asking => {
                let reply = self.replies.pop_first().map(|(_, reply)| reply).expect("a shard has run it");
                if let Some(elements) = patterns::elements(&reply) {
                    let (command, caller, now) = (call.command, call.caller, self.from.now);
                    let parts = patterns::keys(node, command, call.args.as_args(), &elements);
                    let work = Work::of_parts(command, caller, now, call.args.as_args(), parts, true);
                    self.call_once(work);
                    return true;
                }
                call.reply = reply;
            }
        }
        self.count(node);
        false
    }

    fn walk(&mut self, node: &Node) {
        let Call { command, caller, args, progress, .. } = self.called();
        let Progress::Walking(walk) = progress else { unreachable!("called while walking") };
        let shard = node.router.shard_of(keyspace::Keyspace::cursor_slot(walk.cursor));
        let args = walk.args(args.as_args());
        let part = WorkPart { shard, names: Vec::new(), args: OwnedArgs::default() };
        let work = Work::of_parts(command, *caller, self.from.now, args.as_args(), vec![part], false);
        self.run_work(work);
    }

    /// Counts a command that was called, once for all shards.
    fn count(&mut self, node: &Node) {
        let (Call { command, began, reply, args, .. }, ticks) = (self.called(), node.ticks.get());
        let nanos = ticks.nanos(*began, ticks.now());
        let core = &mut node.state.borrow_mut().core;
        if let Some(error) = reply.strip_prefix(b"-") {
            core.stats.failed(command.index, String::from_utf8_lossy(error).trim_end());
        }
        core.stats.record(command.index, nanos);
        if crate::dispatch::is_slow(core, command, nanos, self.from.now) {
            let (client, now) = (self.from.client, self.from.now);
            crate::dispatch::note_slow(core, command, args.as_args(), nanos, client, now);
        }
    }

    fn called(&self) -> &Call {
        self.call.as_ref().expect("a command is called")
    }

    fn set_progress(&mut self, progress: Progress) {
        self.call.as_mut().expect("a command is called").progress = progress;
    }
}

impl List {
    /// Commands whose keys are all on one shard; `caller` is who sent them.
    pub(crate) fn new(queue: Queue, caller: Caller, now: stdx::UnixMs) -> Self {
        Self { queue, caller: Caller { slot: None, may_park: false, ..caller }, now }
    }
}

/// The replies to a list of `len` commands, apart.
pub(crate) fn apart(reply: &[u8], len: usize) -> impl Iterator<Item = &[u8]> {
    chore::replies(reply, len)
}

fn each<T>(by_shard: BTreeMap<ShardId, T>, chore: fn(Arc<T>) -> Chore) -> Chores {
    Chores::Each(by_shard.into_iter().map(|(shard, one)| (shard, chore(Arc::new(one)))).collect())
}
