//! The middle of the hot path: admit a command, find its shard, run it there.
//!
//! A command on a key of this core is a synchronous call: [`Turn::command`], [`Turn::one_shard`], `shard::execute`.

mod multi;
mod scripts;

use crate::clock::Ticks;
use crate::connection::Outgoing;
use crate::flights::{Flight, FlightId, Flights};
use crate::hop::{Part, Sink};
use crate::lookahead::{Planned, is_script};
use crate::node::{Node, State};
use crate::publish;
use crate::spread::{Deal, Origin, Spread};
use crate::transaction::{self, InFlight, ParkedCommand};
use crate::wait::{self, Call, Unit};
use commands::table::Misfit;
use commands::transaction::Place;
use commands::{Caller, ClientFlags, ClientSlot, CommandRef, Core, Crossing, Flags, Outcome};
use coordinator::pipeline::{self, Kind, SPREAD_KEYS_MAX};
use keyspace::Keyspace;
use shard::WaiterId;
use stdx::args::OwnedArgs;
use stdx::{Args, DbIndex, ShardId, Slot, UnixMs};

/// What became of a command.
pub(crate) enum Verdict {
    /// It ran, or is on its way; the next may follow.
    Done,
    /// It was not begun: try again when what it waits for may have come.
    Blocked(Blocked),
    /// It is done; the connection does other things before the next one: what the command asked of the server, or
    /// sending the replies that have piled up.
    Pause,
    /// Nothing more is to be read from this client.
    Close,
}

/// Whether a command's name is how a line of an HTTP request begins.
fn is_http(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"POST") || name.eq_ignore_ascii_case(b"Host:")
}

/// What a command waits for before it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blocked {
    /// Earlier commands of the same pipeline.
    Order,
    /// The end of CLIENT PAUSE.
    Pause,
}

/// The commands that one connection runs in one turn, with what they share: one clock reading, one borrow each.
pub(crate) struct Turn<'a> {
    node: &'a Node,
    state: &'a mut State,
    outgoing: &'a mut Outgoing,
    flights: &'a mut Flights,
    caller: &'a mut Caller,
    client: ClientSlot,
    now: UnixMs,
    ticks: Ticks,
    /// When the last command ended.
    last: u64,
    last_command: Option<CommandRef>,
    authenticated: bool,
    /// Subscribed, with the protocol that has no push messages: only some commands are open to it.
    is_resp2_subscriber: bool,
    /// The client is in a state in which its commands are not simply run.
    special: bool,
    /// It has said MULTI.
    queues: bool,
    muted: bool,
    /// Messages were published in this turn.
    published: bool,
    /// CLIENT REPLY SKIP is to be moved on after the command.
    skips: bool,
    /// Bytes of replies that commands of this core have written in this turn.
    written: usize,
    /// How long they took.
    nanos: u64,
    /// The command has a large argument in a buffer of its own.
    has_large: bool,
    /// Where that goes.
    sent_large: Option<ShardId>,
}

impl<'a> Turn<'a> {
    /// Reads the clock, once for all of them.
    pub(crate) fn new(
        node: &'a Node,
        state: &'a mut State,
        outgoing: &'a mut Outgoing,
        flights: &'a mut Flights,
        caller: &'a mut Caller,
        client: ClientSlot,
    ) -> Self {
        let ticks = node.ticks.get();
        let now_us = ticks.unix_us();
        state.core.clock_us = now_us;
        let mut turn = Self {
            node,
            state,
            outgoing,
            flights,
            caller,
            client,
            now: UnixMs(now_us / 1000),
            ticks,
            last: ticks.now(),
            last_command: None,
            authenticated: true,
            is_resp2_subscriber: false,
            special: false,
            queues: false,
            muted: false,
            published: false,
            skips: false,
            written: 0,
            nanos: 0,
            has_large: false,
            sent_large: None,
        };
        turn.learn();
        turn
    }

    /// The keyspace and the database of its commands, to look ahead in.
    #[inline]
    pub(crate) fn keyspace(&self) -> (&Keyspace, DbIndex) {
        (&self.state.core.keyspace, self.caller.db)
    }

    /// Runs a command that was looked at ahead.
    #[inline]
    pub(crate) fn planned(&mut self, planned: &Planned, bytes: &[u8]) -> Verdict {
        let args = planned.args(bytes);
        match planned.route {
            Some((command, slot)) if self.is_admitted(command) => {
                self.last_command = Some(command);
                if is_script(command) {
                    self.script(command, args)
                } else {
                    self.one_shard(command, args, slot)
                }
            }
            Some((command, slot)) if self.queues && !is_script(command) && self.may_queue(command) => {
                self.enqueue(command, args, self.place_of_key(slot))
            }
            _ => self.command(args),
        }
    }

    /// Whether nothing stands in the way of a plain command: no password, no pause, no CLIENT REPLY SKIP, no subscription, no
    /// MULTI.
    #[inline]
    fn is_admitted(&self, command: CommandRef) -> bool {
        !self.special
            && self.node.pause.get().is_none()
            && !self.node.control.busy.is_any()
            && !command.row.flags.has(Flags::PROTECTED)
    }

    /// Runs one command, or starts it, or says why not.
    #[inline]
    pub(crate) fn command(&mut self, args: Args<'_>) -> Verdict {
        let verdict = self.start(args);
        if self.skips && !matches!(verdict, Verdict::Blocked(_)) {
            self.skipped();
        }
        verdict
    }

    /// Runs a command whose buffer begins with a `large` argument, and may be kept: by the keyspace, to which it is
    /// offered, or by another core ([`Turn::sent_large`]).
    #[cold]
    pub(crate) fn command_with_large(&mut self, args: Args<'_>, large: &[u8]) -> Verdict {
        self.state.core.keyspace.offer(large);
        self.has_large = true;
        let verdict = self.command(args);
        self.has_large = false;
        verdict
    }

    /// The shard that the large argument is to be sent to: its command has gone there without the bytes.
    pub(crate) fn sent_large(&self) -> Option<ShardId> {
        self.sent_large
    }

    #[inline]
    fn start(&mut self, args: Args<'_>) -> Verdict {
        let command = match commands::lookup(args) {
            Ok(command) => command,
            Err(Misfit::Unknown(_)) if is_http(args.at(0)) => return self.hang_up(),
            Err(misfit) => return self.refuse_misfit(&misfit, args),
        };
        if !self.authenticated && !command.row.flags.has(Flags::NO_AUTH) {
            return self.refuse(command, NO_AUTH);
        }
        if self.is_resp2_subscriber && !is_open_to_subscribers(command) {
            let name = command.full_name;
            return self.refuse(command, &format!(
                "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in \
                 this context"
            ));
        }
        if self.node.pause.get().is_some() && self.is_paused(command, args) {
            return Verdict::Blocked(Blocked::Pause);
        }
        if self.node.control.busy.is_any()
            && let Some(error) = self.is_busy(command, args)
        {
            return self.refuse(command, &error.text());
        }
        if command.row.flags.has(Flags::PROTECTED)
            && let Err(error) = commands::server::debug::allowed(&self.state.core, self.caller)
        {
            return self.refuse(command, &error.text());
        }
        if self.queues
            && let Some(verdict) = self.inside_multi(command, args)
        {
            return verdict;
        }
        self.last_command = Some(command);
        match command.row.crossing {
            Crossing::OneShard => {
                let slot = Slot::of(args.at(command.first_key as usize));
                self.one_shard(command, args, slot)
            }
            Crossing::Session => self.session(command, args),
            Crossing::Fanout(_) | Crossing::TwoHops => self.many_keys(command, args),
            Crossing::Global(..) | Crossing::Walk => self.everywhere(command, args),
            Crossing::Script => self.script(command, args),
            Crossing::Exec => self.exec(command, args),
            Crossing::Watch => self.watch(command, args),
        }
    }

    /// A command whose keys are all on the shard of `slot`.
    #[inline]
    fn one_shard(&mut self, command: CommandRef, args: Args<'_>, slot: Slot) -> Verdict {
        let shard = self.node.router.shard_of(slot);
        let signals = command.row.flags.has(Flags::SIGNALS);
        let kind = if signals { Kind::Signal(shard) } else { Kind::Plain(shard) };
        self.on_shard(command, args, slot, shard, kind)
    }

    /// The same for a command of this kind, on this shard.
    #[inline]
    fn on_shard(
        &mut self,
        command: CommandRef,
        args: Args<'_>,
        slot: Slot,
        shard: ShardId,
        kind: Kind,
    ) -> Verdict {
        if !self.may_go(kind, command, args) {
            return Verdict::Blocked(Blocked::Order);
        }
        if !self.node.is_home(shard) {
            if !self.has_room() {
                return Verdict::Blocked(Blocked::Order);
            }
            return self.send(command, args, slot, kind, shard);
        }
        if !self.state.participant.is_idle() && self.must_park(command, args, slot, kind) {
            return Verdict::Done;
        }
        self.run_here(command, args, Some(slot));
        if self.written > OUTPUT_STEP_BYTES || self.is_long() { Verdict::Pause } else { Verdict::Done }
    }

    /// The same for one that may have its client wait. Nothing follows before it is answered.
    fn one_shard_or_wait(&mut self, command: CommandRef, args: Args<'_>, slot: Slot) -> Verdict {
        let (shard, kind) = (self.node.router.shard_of(slot), Kind::Barrier);
        if !self.may_go(kind, command, args) {
            return Verdict::Blocked(Blocked::Order);
        }
        if !self.node.is_home(shard) {
            return self.send(command, args, slot, kind, shard);
        }
        if !self.state.participant.is_idle() && self.must_park(command, args, slot, kind) {
            return Verdict::Done;
        }
        let (caller, home) = (*self.caller, self.node.id);
        let id = WaiterId { home, client: self.client };
        wait::reserve(self.state, id, (command, caller), args, self.now);
        let outcome = self.run_here(command, args, Some(slot));
        self.state.core.reserved.clear();
        if outcome == Outcome::Park {
            let sink = self.hole(kind);
            let call = Call { command, caller, args, slot: Some(slot), home, sink };
            let until = wait::park(self.state, &call);
            wait::begin_here(self.node, &mut self.state.core, self.outgoing, sink, until);
        }
        Verdict::Done
    }

    /// Runs a command on this core, counts it, and serves those who waited for what it did.
    #[inline]
    fn run_here(&mut self, command: CommandRef, args: Args<'_>, slot: Option<Slot>) -> Outcome {
        self.state.core.long.ask();
        let outcome = self.run_by(shard::execute, command, args, slot);
        if self.state.core.paused.is_none() {
            wait::serve(self.state, Unit::Command(command, args), self.now);
        }
        outcome
    }

    /// Runs a command on this core with the function that runs commands, and counts it. Nobody is served who waits for what
    /// it did: more of the same may follow.
    #[inline]
    fn run_by(
        &mut self,
        run: impl FnOnce(&mut Core, CommandRef, Caller, Args<'_>, Option<Slot>, &mut Vec<u8>, UnixMs) -> Outcome,
        command: CommandRef,
        args: Args<'_>,
        slot: Option<Slot>,
    ) -> Outcome {
        let core = &mut self.state.core;
        let out = self.outgoing.replies.buf();
        let start = out.len();
        let outcome = run(core, command, *self.caller, args, slot, out, self.now);
        if core.paused.is_some() {
            // A script that goes on later, and is counted then.
            self.last = self.ticks.now();
            return outcome;
        }
        if self.muted {
            out.truncate(start);
        }
        self.written += out.len() - start;
        if !core.long.is_empty() {
            self.written += take_long(core, self.outgoing, self.muted);
        }
        let end = self.ticks.now();
        let nanos = self.ticks.nanos(self.last, end);
        self.last = end;
        self.nanos += nanos;
        core.stats.record(command.index, nanos);
        if is_slow(core, command, nanos, self.now) {
            note_slow(core, command, args, nanos, self.client, self.now);
        }
        outcome
    }

    fn session(&mut self, command: CommandRef, args: Args<'_>) -> Verdict {
        let flags = command.row.flags;
        let is_barrier = flags.has(Flags::ADMIN) || flags.has(Flags::SIGNALS);
        let kind = if is_barrier { Kind::Barrier } else { Kind::Local };
        if self.outgoing.overlap.ask(kind) == pipeline::Verdict::Wait {
            return Verdict::Blocked(Blocked::Order);
        }
        if flags.has(Flags::PUBSUB) && !self.outgoing.window.has_room(self.outgoing.replies.outstanding()) {
            return Verdict::Blocked(Blocked::Order);
        }
        self.client_mut().last_command = command.full_name;
        let replied = self.outgoing.replies.buf().len();
        self.run_session(command, args);
        wait::serve(self.state, Unit::Command(command, args), self.now);
        self.after_session(replied)
    }

    /// Runs a command that may change what is known of the client.
    fn run_session(&mut self, command: CommandRef, args: Args<'_>) {
        let replied = self.outgoing.replies.buf().len();
        // Whether this one is answered is for it to say: it may be CLIENT REPLY.
        self.muted = false;
        self.run_by(shard::execute, command, args, None);
        self.learn();
        if self.muted && !command.row.flags.has(Flags::PUSHES) {
            self.outgoing.replies.buf().truncate(replied);
        }
    }

    /// Does what commands about the connection have left to do; their reply begins at `replied`.
    fn after_session(&mut self, replied: usize) -> Verdict {
        if self.state.core.pubsub.has_changes() {
            self.confirm_later(replied);
        }
        if self.state.core.pubsub.has_published() {
            return self.deliver();
        }
        if self.client_mut().flags.has(ClientFlags::CLOSE_AFTER_REPLY) {
            Verdict::Close
        } else if self.state.core.actions.is_empty() {
            Verdict::Done
        } else {
            Verdict::Pause
        }
    }

    /// Holds back the reply that begins at `replied` until every core knows of this client's subscriptions.
    #[cold]
    fn confirm_later(&mut self, replied: usize) {
        let reply = self.outgoing.replies.buf().split_off(replied);
        let sink = hole(self.outgoing, self.client, false, Kind::Local);
        publish::announce(self.node, &mut self.state.core, Some((sink, reply)));
    }

    /// Delivers what was published, behind the reply of the command that did.
    fn deliver(&mut self) -> Verdict {
        publish::settle(self.node, &mut self.state.core, Some((self.client, self.outgoing)));
        self.published = true;
        if self.node.publishing.is_full() { Verdict::Pause } else { Verdict::Done }
    }

    /// A command over keys that may be anywhere: most often they are on one shard.
    fn many_keys(&mut self, command: CommandRef, args: Args<'_>) -> Verdict {
        let node = self.node;
        let (keys, deal) = &mut *node.keys.borrow_mut();
        commands::table::keys_of(command, args, keys);
        if keys.is_empty() {
            self.run_here(command, args, None);
            return Verdict::Done;
        }
        let several_shards = node.router.shards() > 1;
        if several_shards && commands::generic::sort::reads_by_pattern(command, args) {
            return self.by_patterns(command, args);
        }
        let (slot, is_one) = deal.find(node.router, args, keys);
        if is_one && wait::may_park(command, args) {
            return self.one_shard_or_wait(command, args, slot);
        }
        if is_one {
            return self.one_shard(command, args, slot);
        }
        let is_plain =
            matches!(command.row.crossing, Crossing::Fanout(_)) && !command.row.flags.has(Flags::SIGNALS);
        if is_plain && keys.len() <= SPREAD_KEYS_MAX {
            return self.spread(command, args, keys, deal);
        }
        if !self.may_go(Kind::Barrier, command, args) {
            return Verdict::Blocked(Blocked::Order);
        }
        if transaction::is_full(self.state, command, self.now) {
            return self.refuse(command, shard::OUT_OF_MEMORY);
        }
        let from = self.from();
        self.take_off(Kind::Barrier, InFlight::over_keys(node, command, args, keys, from))
    }

    /// A plain fan-out over several shards, which `deal` has found.
    fn spread(&mut self, command: CommandRef, args: Args<'_>, keys: &[u32], deal: &mut Deal) -> Verdict {
        let verdict = self.outgoing.overlap.ask(Kind::Spread);
        if verdict == pipeline::Verdict::Wait || !self.has_room() {
            return Verdict::Blocked(Blocked::Order);
        }
        deal.deal(self.node.router, args, keys, transaction::group_len(keys, args.len()));
        let mut names = deal.all_names().iter().map(|name| name.fingerprint);
        let is_apart = |name| self.outgoing.overlap.is_apart(name);
        if verdict == pipeline::Verdict::GoIfApart && !names.clone().all(is_apart) {
            return Verdict::Blocked(Blocked::Order);
        }
        if transaction::is_full(self.state, command, self.now) {
            return self.refuse(command, shard::OUT_OF_MEMORY);
        }
        self.outgoing.overlap.sent_spread(names.by_ref());
        let flight = FlightId(self.outgoing.replies.hole());
        let origin = Origin { command, caller: *self.caller, client: self.client, flight, now: self.now };
        let mut spread = Spread::new(self.node, origin, args, self.muted, deal);
        let is_over = spread.advance(self.node, self.state);
        debug_assert!(!is_over && !self.state.participant.has_deeds(), "it waits for another shard");
        self.flights.spread(spread);
        self.last = self.ticks.now();
        Verdict::Done
    }

    /// A command that reads keys by patterns, wherever they are.
    #[cold]
    fn by_patterns(&mut self, command: CommandRef, args: Args<'_>) -> Verdict {
        if !self.may_go(Kind::Barrier, command, args) {
            return Verdict::Blocked(Blocked::Order);
        }
        if transaction::is_full(self.state, command, self.now) {
            return self.refuse(command, shard::OUT_OF_MEMORY);
        }
        let from = self.from();
        self.take_off(Kind::Barrier, InFlight::by_patterns(self.node, command, args, from))
    }

    fn everywhere(&mut self, command: CommandRef, args: Args<'_>) -> Verdict {
        if !self.may_go(Kind::Barrier, command, args) {
            return Verdict::Blocked(Blocked::Order);
        }
        self.client_mut().last_command = command.full_name;
        let from = self.from();
        self.take_off(Kind::Barrier, InFlight::everywhere(self.node, command, args, from))
    }

    /// Whether what is unanswered in this pipeline lets the command go now.
    #[inline]
    fn may_go(&self, kind: Kind, command: CommandRef, args: Args<'_>) -> bool {
        match self.outgoing.overlap.ask(kind) {
            pipeline::Verdict::Go => true,
            pipeline::Verdict::GoIfApart => self.is_apart(command, args),
            pipeline::Verdict::Wait => false,
        }
    }

    /// Whether it shares no key with the spreads under way.
    fn is_apart(&self, command: CommandRef, args: Args<'_>) -> bool {
        let overlap = &self.outgoing.overlap;
        transaction::names(command, args).iter().all(|name| overlap.is_apart(name.fingerprint))
    }

    /// Whether the window lets another command go to other cores.
    #[inline]
    fn has_room(&self) -> bool {
        self.outgoing.window.has_room(self.outgoing.replies.outstanding())
    }

    /// Puts a command under way that was made with [`Turn::from`].
    fn take_off(&mut self, kind: Kind, mut in_flight: InFlight) -> Verdict {
        in_flight.muted = self.muted;
        self.outgoing.overlap.sent(kind);
        self.flights.take_off(Flight::Command(in_flight));
        Verdict::Done
    }

    /// Sends a command to the shard that has its key. Its reply will fill a hole in ours.
    fn send(
        &mut self,
        command: CommandRef,
        args: Args<'_>,
        slot: Slot,
        kind: Kind,
        shard: ShardId,
    ) -> Verdict {
        let sink = self.hole(kind);
        let caller = Caller { slot: None, ..*self.caller };
        self.node.mailbox.outbox(shard.index(), |hop| {
            if self.has_large {
                hop.large_command(command, caller, slot, sink, args);
            } else {
                hop.command(command, caller, Some(slot), sink, args);
            }
        });
        self.sent_large = self.has_large.then_some(shard);
        self.last = self.ticks.now();
        Verdict::Done
    }

    /// Whether a command of this core's shard has to wait for locks; if so it is parked, and a hole is left for it.
    #[cold]
    fn must_park(&mut self, command: CommandRef, args: Args<'_>, slot: Slot, kind: Kind) -> bool {
        let (caller, home) = (*self.caller, self.node.id);
        let (client, muted, outgoing) = (self.client, self.muted, &mut *self.outgoing);
        transaction::must_park(
            self.node,
            &mut self.state.participant,
            || {
                let sink = hole(outgoing, client, muted, kind);
                ParkedCommand { command, caller, slot: Some(slot), sink, home, args: args.into() }
            },
            (command, caller.id, args),
        )
    }

    /// Who asks for a flight; a hole is left for its reply.
    fn from(&mut self) -> transaction::From {
        let flight = FlightId(self.outgoing.replies.hole());
        transaction::From { caller: *self.caller, client: self.client, flight, now: self.now }
    }

    fn hole(&mut self, kind: Kind) -> Sink {
        hole(self.outgoing, self.client, self.muted, kind)
    }

    #[cold]
    fn is_paused(&mut self, command: CommandRef, args: Args<'_>) -> bool {
        let Some(pause) = self.node.pause.get().filter(|pause| pause.until > self.now) else { return false };
        if !pause.writes_only {
            return true;
        }
        if matches!(command.row.crossing, Crossing::Script) && !self.queues {
            return commands::scripting::may_write(&mut self.state.core, command, args);
        }
        let flags = self.flags_of(command);
        flags.has(Flags::WRITE) || flags.has(Flags::MAY_REPLICATE)
    }

    #[cold]
    fn refuse(&mut self, command: CommandRef, text: &(impl AsRef<[u8]> + ?Sized)) -> Verdict {
        let text = text.as_ref();
        if matches!(command.row.crossing, Crossing::Exec) {
            return self.refuse_exec(command, text);
        }
        self.spoil_queue();
        self.state.core.stats.rejected(command.index, text);
        self.error(text)
    }

    /// Ends a connection that speaks HTTP, without an answer, also to the lines before this one that have none yet: what
    /// follows may be commands that a web page had its reader's browser send.
    #[cold]
    fn hang_up(&mut self) -> Verdict {
        let client = self.client_mut();
        tracing::warn!(addr = %client.addr, "closing a client that speaks HTTP: a web page may have made a browser attack");
        client.flags.set(ClientFlags::CLOSE_NOW, true);
        Verdict::Close
    }

    /// As in Redis this is told before the password is asked for.
    #[cold]
    fn refuse_misfit(&mut self, misfit: &Misfit, args: Args<'_>) -> Verdict {
        let text = misfit.error().text();
        match *misfit {
            Misfit::HalfGroup(command) if !self.authenticated => return self.refuse(command, NO_AUTH),
            // It will fail when its turn comes.
            Misfit::HalfGroup(command) if self.queues => return self.enqueue(command, args, Place::Home),
            Misfit::HalfGroup(command) => {
                self.state.core.stats.record_untimed(command.index);
                self.state.core.stats.failed(command.index, &text);
            }
            Misfit::Arity(command) => return self.refuse(command, &text),
            Misfit::Unknown(_) => {
                self.spoil_queue();
                self.state.core.stats.refused(&text);
            }
        }
        self.error(&text)
    }

    fn error(&mut self, text: &(impl AsRef<[u8]> + ?Sized)) -> Verdict {
        if !self.muted {
            resp::Reply::new(self.outgoing.replies.buf(), self.caller.proto).error(text);
        }
        Verdict::Done
    }

    /// Answers bytes that are not the protocol; the connection ends after that.
    #[cold]
    pub(crate) fn protocol_error(&mut self, error: &resp::ProtocolError) {
        let text = format!("ERR {error}");
        self.state.core.stats.refused(&text);
        if !self.muted {
            error.write(self.outgoing.replies.buf());
        }
        self.client_mut().flags.set(ClientFlags::CLOSE_AFTER_REPLY, true);
    }

    /// Moves CLIENT REPLY SKIP on by one command.
    #[cold]
    fn skipped(&mut self) {
        self.client_mut().takes_reply();
        self.learn();
    }

    /// Whether its commands took so long that others should have their turn.
    #[inline]
    pub(crate) fn is_long(&self) -> bool {
        self.nanos > TURN_NANOS
    }

    /// Whether the client may do more than authenticate, after the commands so far.
    pub(crate) fn is_authenticated(&self) -> bool {
        self.authenticated
    }

    /// Ends the turn: writes down what CLIENT LIST shows. `left` and `room` are bytes of the query buffer.
    ///
    /// Returns the client's flags, and whether anything was published.
    pub(crate) fn finish(mut self, left: usize, room: usize) -> (ClientFlags, bool) {
        shard::tell_memory(&mut self.state.core);
        self.published |=
            publish::settle(self.node, &mut self.state.core, Some((self.client, self.outgoing)));
        self.node.pass_on_wants(self.state);
        let published = self.published;
        let (output, now, last) = (self.outgoing.replies.ready(), self.now, self.last_command);
        let client = self.client_mut();
        client.last_active = now;
        client.query_len = left;
        client.query_free = room;
        client.output_len = output;
        if let Some(command) = last {
            client.last_command = command.full_name;
        }
        (client.flags, published)
    }

    /// Takes over what a session command may have changed about the client.
    fn learn(&mut self) {
        let client =
            self.state.core.clients.get(self.client).expect("a client is in the table while it runs");
        *self.caller = Caller::of(client, self.client);
        self.authenticated = client.authenticated;
        self.is_resp2_subscriber = client.is_resp2_subscriber();
        self.outgoing.proto = client.proto;
        let flags = client.flags;
        self.queues = flags.has(ClientFlags::MULTI);
        self.muted = flags.has(ClientFlags::REPLY_OFF) || flags.has(ClientFlags::REPLY_SKIP);
        self.skips = flags.has(ClientFlags::REPLY_SKIP_NEXT) || flags.has(ClientFlags::REPLY_SKIP);
        self.special = !self.authenticated
            || self.skips
            || self.is_resp2_subscriber
            || flags.0 & ClientFlags::SPECIAL.0 != 0;
    }

    fn client_mut(&mut self) -> &mut commands::Client {
        self.state.core.clients.get_mut(self.client).expect("a client is in the table while it runs")
    }
}

/// Whether a client of RESP2 may give this command while it is subscribed.
#[cold]
fn is_open_to_subscribers(command: CommandRef) -> bool {
    command.row.flags.has(Flags::PUSHES) || matches!(command.full_name, "ping" | "quit" | "reset")
}

/// Puts long strings that a command has left out into its reply, if there is to be one. Returns their bytes.
#[cold]
fn take_long(core: &mut Core, outgoing: &mut Outgoing, muted: bool) -> usize {
    let mut long = core.long.take();
    long.truncate(if muted { 0 } else { long.len() });
    let bytes = long.iter().map(|part| part.bytes.len()).sum();
    outgoing.replies.put_long(long);
    bytes
}

/// Leaves room for the reply of a command that went elsewhere, and says where that reply is to go.
fn hole(outgoing: &mut Outgoing, client: ClientSlot, muted: bool, kind: Kind) -> Sink {
    outgoing.overlap.sent(kind);
    let hole = outgoing.replies.hole();
    Sink { client, part: if muted { Part::Muted(hole) } else { Part::Hole(hole) } }
}

/// Whether a command took so long that the slow log wants it; the latency monitor takes it here if it wants it.
#[inline]
pub(crate) fn is_slow(core: &mut Core, command: CommandRef, nanos: u64, now: UnixMs) -> bool {
    let event = if command.row.flags.has(Flags::FAST) { "fast-command" } else { "command" };
    core.note_latency(event, nanos, now);
    // A negative threshold, off, is a very large unsigned one.
    let threshold_us = core.config.slowlog_log_slower_than_us as u64;
    nanos / 1000 >= threshold_us && !command.row.flags.has(Flags::SKIP_SLOWLOG)
}

/// Enters a command in the slow log of the core that its client is connected to.
#[cold]
pub(crate) fn note_slow(
    core: &mut Core,
    command: CommandRef,
    args: Args<'_>,
    nanos: u64,
    client: ClientSlot,
    now: UnixMs,
) {
    let redacted = commands::server::redact::redacted(command, args);
    let args = redacted.as_ref().map_or(args, OwnedArgs::as_args);
    let Some(client) = core.clients.get(client) else { return };
    let len_max = core.config.slowlog_max_len as usize;
    core.slowlog.push(args, now.0 / 1000, nanos / 1000, (&client.addr, &client.name), len_max);
}

const NO_AUTH: &str = "NOAUTH Authentication required.";

/// How many bytes of replies may pile up in one turn before the connection sends them, in the middle of a long pipeline.
const OUTPUT_STEP_BYTES: usize = 256 * 1024;
/// How long the commands of one connection may take before others have their turn; a command that was begun is finished.
/// A command that comes meanwhile may wait for several such turns: until it is read, and from then until it is answered.
pub(crate) const TURN_NANOS: u64 = reactor::task::TURN_MAX.as_nanos() as u64;
