//! MULTI in the turn of a connection: commands are queued, and EXEC runs the queue.
//!
//! | keys of the queue, and watched ones | EXEC |
//! |---|---|
//! | none, or all on this core, which has no locks | runs at once, a part of the turn; if all of it, MULTI to EXEC, has come together, without having been queued |
//! | all on one shard, and no command about the connection | one hop there; where there are locks it waits in their lines |
//! | anything else | a held transaction, in stages: [`ExecFlight`] |

use super::{Blocked, Turn, Verdict};
use crate::exec::flight::{ExecFlight, Mute};
use crate::exec::{self, Exec};
use crate::flights::Flight;
use crate::hop::Item;
use crate::publish;
use crate::snapshot;
use crate::transaction::Parked;
use crate::wait::{self, Unit};
use crate::watching::Watching;
use commands::transaction::{self, Place, Queue, Reach, Watched};
use commands::{Caller, ClientFlags, CommandError, CommandRef, Crossing, Flags, effects};
use coordinator::locks::{Admission, Claim, Scope};
use coordinator::pipeline::{self, Kind};
use stdx::{Args, ShardId, Slot};

impl Turn<'_> {
    /// Whether nothing but the queue stands between a command of one shard and its reply.
    #[inline]
    pub(super) fn may_queue(&self, command: CommandRef) -> bool {
        is_plain(command)
            && !self.skips
            && !self.is_loading
            && !self.is_resp2_subscriber
            && !self.tracks
            && !self.is_monitor
            && self.node.pause.get().is_none()
            && !self.node.control.busy.is_any()
            && !self.state.core.shared.health.refuses_any()
            && !self.is_refused_by_role
            && self.state.core.config.maxmemory == 0
    }

    #[inline]
    pub(super) fn place_of_key(&self, slot: Slot) -> Place {
        Place::Shard(self.node.router.shard_of(slot), Some(slot))
    }

    /// What becomes of a command inside MULTI; `None` when it runs as ever.
    pub(super) fn inside_multi(&mut self, command: CommandRef, args: Args<'_>) -> Option<Verdict> {
        let flags = command.row.flags;
        if flags.has(Flags::NO_MULTI) {
            return Some(self.refuse(command, &CommandError::NOT_IN_MULTI.text()));
        }
        let ends = flags.has(Flags::NOT_QUEUED) && !matches!(command.row.name, "multi" | "watch");
        if !ends && self.is_full() {
            return Some(self.refuse(command, shard::OUT_OF_MEMORY));
        }
        if flags.has(Flags::NOT_QUEUED) {
            return None;
        }
        let place = self.place_of(command, args);
        Some(self.enqueue(command, args, place))
    }

    /// A queue may grow without end, so nothing is queued while memory is full.
    fn is_full(&mut self) -> bool {
        self.state.core.config.maxmemory != 0 && !shard::make_room(&mut self.state.core, self.now)
    }

    /// Queues a command, unless EXEC will run nothing anyway.
    #[inline]
    pub(super) fn enqueue(&mut self, command: CommandRef, args: Args<'_>, place: Place) -> Verdict {
        self.last_command = Some(command);
        // What a master has taken is not too long.
        let limit = if self.follows { u64::MAX } else { self.state.core.config.client_query_buffer_limit };
        let client = self.client_mut();
        if !transaction::is_aborted(client.flags) {
            let queue = &mut client.transaction.get_or_insert_default().queue;
            queue.push(command, args, place);
            if queue.bytes() as u64 > limit {
                return self.cut_queue();
            }
        }
        if !self.muted {
            self.outgoing.replies.buf().extend_from_slice(QUEUED);
        }
        Verdict::Done
    }

    /// Ends a connection whose queue is too long: what is queued counts as read and not yet run.
    #[cold]
    fn cut_queue(&mut self) -> Verdict {
        self.state.core.stats.query_limit_disconnections += 1;
        let client = self.client_mut();
        tracing::warn!(
            client = client.id.0,
            addr = client.addr,
            "closing a client whose MULTI reached client-query-buffer-limit"
        );
        client.flags.set(ClientFlags::CLOSE_NOW, true);
        Verdict::Close
    }

    /// Where the keys of a command to be queued are.
    fn place_of(&self, command: CommandRef, args: Args<'_>) -> Place {
        let router = self.node.router;
        match command.row.crossing {
            Crossing::OneShard => self.place_of_key(Slot::of(args.at(command.first_key as usize))),
            Crossing::Session if command.row.flags.has(Flags::ADMIN) => Place::Special,
            Crossing::Session => Place::Home,
            Crossing::Global(..) | Crossing::Walk | Crossing::Script => Place::Special,
            Crossing::Exec | Crossing::Watch => unreachable!("never queued"),
            Crossing::Fanout(_) | Crossing::TwoHops => {
                let mut keys = Vec::new();
                commands::table::keys_of(command, args, &mut keys);
                let mut slots = keys.iter().map(|&at| Slot::of(args.at(at as usize)));
                let Some(first) = slots.next() else { return Place::Home };
                let shard = router.shard_of(first);
                if router.shards() > 1 && commands::generic::sort::reads_by_pattern(command, args) {
                    Place::Special
                } else if router.shards() == 1 || slots.all(|slot| router.shard_of(slot) == shard) {
                    Place::Shard(shard, Some(first))
                } else {
                    Place::Shards
                }
            }
        }
    }

    /// A command could not be queued: EXEC is to run nothing.
    pub(super) fn spoil_queue(&mut self) {
        if self.queues {
            self.client_mut().flags.set(ClientFlags::DIRTY_EXEC, true);
        }
    }

    /// The flags by which a command is admitted: EXEC's are those of all that it runs.
    pub(super) fn flags_of(&self, command: CommandRef) -> Flags {
        let is_exec = matches!(command.row.crossing, Crossing::Exec);
        let client = self.state.core.clients.get(self.client).filter(|_| is_exec && self.queues);
        let queue =
            client.and_then(|client| client.transaction.as_ref()).map(|transaction| &transaction.queue);
        let Some(queue) = queue else { return command.row.flags };
        let flags = command.row.flags.or(queue.flags());
        let is_for_stale = queue.iter().all(|queued| queued.command.row.flags.has(Flags::STALE));
        if is_for_stale { flags } else { flags.without(Flags::STALE) }
    }

    /// The same with what scripts say of themselves.
    #[cold]
    pub(super) fn flags_with_scripts(&mut self, command: CommandRef, args: Args<'_>) -> Flags {
        match command.row.crossing {
            Crossing::Script => commands::scripting::admission_flags(&mut self.state.core, command, args),
            Crossing::Exec if self.queues => {
                let flags = self.flags_of(command);
                self.with_queue(|turn, queue| {
                    let core = &mut turn.state.core;
                    let scripts =
                        queue.iter().filter(|queued| matches!(queued.command.row.crossing, Crossing::Script));
                    scripts.fold(flags, |flags, queued| {
                        let said = commands::scripting::admission_flags(core, queued.command, queued.args);
                        let flags = if said.has(Flags::STALE) { flags } else { flags.without(Flags::STALE) };
                        if said.has(Flags::WRITE) { flags.or(Flags::WRITE) } else { flags }
                    })
                })
                .unwrap_or(flags)
            }
            _ => command.row.flags,
        }
    }

    /// Has a look at the client's queue, and at all else meanwhile. `None`: it has no queue.
    fn with_queue<R>(&mut self, look: impl FnOnce(&mut Self, &Queue) -> R) -> Option<R> {
        let queue = std::mem::take(&mut self.client_mut().transaction.as_mut()?.queue);
        let seen = look(self, &queue);
        if let Some(transaction) = &mut self.client_mut().transaction {
            transaction.queue = queue;
        }
        Some(seen)
    }

    /// Whether EXEC would write, as far as the scripts in the queue say of themselves.
    #[cold]
    pub(super) fn queue_may_write(&mut self) -> bool {
        self.with_queue(|turn, queue| {
            let core = &mut turn.state.core;
            queue.iter().any(|queued| {
                let (command, flags) = (queued.command, queued.command.row.flags);
                match command.row.crossing {
                    Crossing::Script => commands::scripting::may_write(core, command, queued.args),
                    _ => flags.has(Flags::WRITE) || flags.has(Flags::MAY_REPLICATE),
                }
            })
        })
        .unwrap_or(false)
    }

    /// EXEC has run its queue; its replies begin at `replied`.
    pub(super) fn ran(&mut self, exec: CommandRef, began: u64, replied: usize) -> Verdict {
        self.last_command = Some(exec);
        let nanos = self.ticks.nanos(began, self.last);
        self.state.core.stats.record(exec.index, nanos);
        super::is_slow(&mut self.state.core, exec, nanos, self.now);
        match self.after_session(replied) {
            Verdict::Done if self.written > super::OUTPUT_STEP_BYTES => Verdict::Pause,
            verdict => verdict,
        }
    }

    /// EXEC that is not admitted ends the transaction.
    #[cold]
    pub(super) fn refuse_exec(&mut self, command: CommandRef, text: &(impl AsRef<[u8]> + ?Sized)) -> Verdict {
        transaction::end(&mut self.state.core, self.client);
        self.learn();
        let text = CommandError::exec_refused(text.as_ref()).text();
        self.state.core.stats.rejected(command.index, &text);
        self.error(&text)
    }

    /// EXEC
    pub(super) fn exec(&mut self, command: CommandRef, args: Args<'_>) -> Verdict {
        if transaction::is_aborted(self.client_mut().flags) {
            return self.session(command, args);
        }
        let home = self.node.id;
        let (reach, has_session) = {
            let transaction = self.client_mut().transaction.as_ref().expect("made by MULTI");
            let watched = transaction.watched.iter();
            let reach = watched.fold(transaction.queue.reach(), |reach, watched| reach.with(watched.shard));
            (reach, transaction.queue.has_session())
        };
        if matches!(reach, Reach::One(shard) if shard == home) {
            self.meet_queue();
        }
        let is_idle = self.state.participant.is_idle();
        let kind = match reach {
            Reach::Nowhere => Kind::Local,
            Reach::One(shard) if !has_session || (shard == home && is_idle) => Kind::Signal(shard),
            Reach::One(_) | Reach::Several => Kind::Barrier,
        };
        // PUBLISH and its like wait for all that came before, although they have no key.
        let flags = self.flags_of(command);
        let order = if kind == Kind::Local && flags.has(Flags::SIGNALS) { Kind::Barrier } else { kind };
        let may_go = self.outgoing.overlap.ask(order) == pipeline::Verdict::Go;
        if !may_go || (kind != Kind::Local && kind != Kind::Signal(home) && !self.has_room()) {
            return Verdict::Blocked(Blocked::Order);
        }
        if flags.has(Flags::DENYOOM) && self.is_full() {
            return self.refuse_exec(command, shard::OUT_OF_MEMORY);
        }
        let (queue, watched) = self.take_queue();
        match kind {
            Kind::Barrier => self.hold((command, args), queue, watched),
            Kind::Signal(shard) if shard != home => self.send_queue(command, queue, watched, shard),
            _ if is_idle || kind == Kind::Local => self.run_queue(command, queue, &watched),
            _ => self.admit_queue(command, queue, watched, kind),
        }
    }

    /// Shows the queue to the snapshot that is being taken.
    fn meet_queue(&mut self) {
        if !self.state.snapshot.asks() {
            return;
        }
        self.with_queue(|turn, queue| snapshot::meet_queue(turn.node, turn.state, turn.caller.db, queue));
    }

    /// Takes the queue and the watches from the client, which is out of MULTI. It is shown as running the queue until
    /// [`Turn::put_back`].
    fn take_queue(&mut self) -> (Queue, Vec<Watched>) {
        let client = self.client_mut();
        client.flags.set(ClientFlags::MULTI, false);
        let transaction = client.transaction.as_mut().expect("made by MULTI");
        let taken = (transaction.take_queue(), std::mem::take(&mut transaction.watched));
        self.learn();
        taken
    }

    /// The queue is done with; its memory is kept for the next one.
    fn put_back(&mut self, queue: Queue) {
        if let Some(transaction) = &mut self.client_mut().transaction {
            transaction.put_back(queue);
        }
    }

    /// Runs a queue here and now.
    fn run_queue(&mut self, command: CommandRef, queue: Queue, watched: &[Watched]) -> Verdict {
        let (began, was_muted) = (self.last, self.muted);
        let replied = self.outgoing.replies.buf().len();
        let core = &mut self.state.core;
        if exec::have_changed(core, watched, self.now) {
            if !was_muted {
                resp::Reply::new(self.outgoing.replies.buf(), self.caller.proto).null_array();
            }
        } else {
            effects::begin_unit(core);
            if !was_muted {
                resp::Reply::new(self.outgoing.replies.buf(), self.caller.proto).array(queue.len());
            }
            // Replies that are to be held back are held back whole, and what is pushed comes behind them.
            let is_held_back = queue.flags().has(Flags::PUBSUB);
            self.outgoing.behind_exec = is_held_back.then(Vec::new);
            for queued in queue.iter() {
                self.caller.may_park = false;
                match queued.place {
                    // Whether there is memory was asked before the first.
                    Place::Shard(_, slot) => {
                        if !is_held_back {
                            self.state.core.long.ask();
                        }
                        self.run_by(shard::run, queued.command, queued.args, slot);
                    }
                    _ => self.run_at_home(queued.command, queued.args),
                }
                if self.is_monitored {
                    self.show_now(queued.command, queued.args);
                }
            }
            effects::end_unit(&mut self.state.core);
            publish::call(self.node, &mut self.state.core);
            wait::serve(self.state, Unit::Queue(&queue), self.now);
        }
        self.put_back(queue);
        self.caller.may_park = true;
        let verdict = self.ran(command, began, replied);
        if let Some(pushes) = self.outgoing.behind_exec.take() {
            self.outgoing.pushes().extend_from_slice(&pushes);
        }
        verdict
    }

    /// A queued command about the connection, or one that lacks the value of its last key.
    fn run_at_home(&mut self, command: CommandRef, args: Args<'_>) {
        if command.has_whole_groups(args.len()) {
            if command.row.flags.has(Flags::PUSHES) {
                // What was published before goes to those who subscribe before.
                let own = Some((self.client, &mut *self.outgoing));
                self.published |= publish::post_published(self.node, &mut self.state.core, own);
            }
            return self.run_session(command, args);
        }
        let text = CommandError::Arity(command.full_name.into()).text();
        self.state.core.stats.record_untimed(command.index);
        self.state.core.stats.failed(command.index, &text);
        self.error(&text);
    }

    /// Sends a queue to the shard of its keys.
    fn send_queue(
        &mut self,
        command: CommandRef,
        queue: Queue,
        watched: Vec<Watched>,
        shard: ShardId,
    ) -> Verdict {
        self.show_queue(&queue);
        let exec = self.depart(command, queue, watched, Kind::Signal(shard));
        self.node.mailbox.outbox(shard.index(), |hop| hop.say(Item::Exec(exec)));
        self.last = self.ticks.now();
        Verdict::Done
    }

    /// Runs a queue of this shard's keys if its locks allow it; else it is parked.
    #[cold]
    fn admit_queue(
        &mut self,
        command: CommandRef,
        queue: Queue,
        watched: Vec<Watched>,
        kind: Kind,
    ) -> Verdict {
        let names = exec::names(&queue, &watched);
        let claim = Claim { scope: Scope::Keys(&names), mode: exec::mode(&queue) };
        if !self.state.participant.may_run(self.caller.id, claim) {
            self.show_queue(&queue);
            let exec = self.depart(command, queue, watched, kind);
            let admission = self.state.participant.admit(self.caller.id, claim, || Parked::Exec(exec));
            debug_assert_eq!(admission, Admission::Parked);
            return Verdict::Done;
        }
        self.run_queue(command, queue, &watched)
    }

    /// Shows monitors what a transaction runs that leaves the connection; if a watched key has changed, what it would have run.
    fn show_queue(&mut self, queue: &Queue) {
        if self.is_monitored {
            queue.iter().for_each(|queued| self.show_now(queued.command, queued.args));
        }
    }

    /// A transaction that leaves the connection, for whose reply a hole is left.
    fn depart(&mut self, command: CommandRef, queue: Queue, watched: Vec<Watched>, kind: Kind) -> Box<Exec> {
        let sink = self.hole(kind);
        let caller = Caller { slot: None, may_park: false, ..*self.caller };
        self.put_back(Queue::default());
        let is_timeless = self.is_timeless();
        Box::new(Exec { command, queue, watched, caller, sink, home: self.node.id, is_timeless })
    }

    /// Puts a transaction under way that has several shards, or needs its connection on the way.
    fn hold(
        &mut self,
        (command, args): (CommandRef, Args<'_>),
        queue: Queue,
        watched: Vec<Watched>,
    ) -> Verdict {
        let is_one_stage = ExecFlight::is_one_stage(self.node, &queue, &watched);
        if is_one_stage {
            self.show_queue(&queue);
        }
        self.shows_itself = self.is_monitored && !is_one_stage;
        let mute = match (self.muted, self.skips) {
            (false, _) => Mute::No,
            (true, true) => Mute::Skip,
            (true, false) => Mute::Off,
        };
        let from = self.from();
        self.outgoing.overlap.sent(Kind::Barrier);
        let mut flight = ExecFlight::new(self.node, command, queue, watched, from, mute);
        if self.shows_itself {
            flight.show_itself(args);
        }
        self.flights.take_off(Flight::Exec(Box::new(flight)));
        Verdict::Done
    }

    /// WATCH
    pub(super) fn watch(&mut self, command: CommandRef, args: Args<'_>) -> Verdict {
        if self.queues {
            return self.session(command, args);
        }
        let router = self.node.router;
        let is_here = |key| self.node.is_home(router.shard_of_key(key));
        if !self.state.participant.is_idle() || !args.from(1).iter().all(is_here) {
            if self.outgoing.overlap.ask(Kind::Barrier) != pipeline::Verdict::Go {
                return Verdict::Blocked(Blocked::Order);
            }
            let from = self.from();
            self.outgoing.overlap.sent(Kind::Barrier);
            let watching = Watching::new(self.node, command, args, from, self.muted);
            self.flights.take_off(Flight::Watch(Box::new(watching)));
            return Verdict::Done;
        }
        if self.outgoing.overlap.ask(Kind::Signal(self.node.id)) != pipeline::Verdict::Go {
            return Verdict::Blocked(Blocked::Order);
        }
        let core = &mut self.state.core;
        for key in args.from(1).iter() {
            let watched = Watched::begin(core, self.caller.db, key, self.now);
            transaction::note(core, self.client, watched);
        }
        if !self.muted {
            resp::Reply::new(self.outgoing.replies.buf(), self.caller.proto).ok();
        }
        let end = self.ticks.now();
        let nanos = self.ticks.nanos(self.last, end);
        self.last = end;
        core.stats.record(command.index, nanos);
        Verdict::Done
    }
}

/// Whether a command inside MULTI is queued whatever else is the case.
#[inline]
pub(super) fn is_plain(command: CommandRef) -> bool {
    const EXAMINED: Flags = Flags::PROTECTED.or(Flags::NO_MULTI).or(Flags::NOT_QUEUED);
    command.row.flags.0 & EXAMINED.0 == 0
}

pub(super) const QUEUED: &[u8] = b"+QUEUED\r\n";
