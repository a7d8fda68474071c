//! The middle of the hot path: admit a command, find its shard, run it there.
//!
//! A command on a key of this core is a synchronous call: [`Turn::command`], [`Turn::one_shard`], `shard::execute`.

mod admission;
mod multi;
mod one_shard;
mod scripts;
mod session;
mod several;
mod slow;
mod whole;

use crate::clock::{Ticks, before_all_times};
use crate::connection::Outgoing;
use crate::flights::{FlightId, Flights};
use crate::hop::{Part, Sink};
use crate::lookahead::{Planned, is_script};
use crate::node::{Node, State};
use crate::publish;
use crate::transaction;
use crate::wait::{self, Unit};
use admission::{LOADING, NO_AUTH, NOT_FOR_MONITORS, NOT_OF_A_MASTER};
use admission::{is_about_keys, is_http, is_open_to_subscribers, is_open_while_loading};
use commands::monitor;
use commands::table::Misfit;
use commands::{Caller, ClientFlags, ClientSlot, CommandRef, Core, Crossing, Flags, Outcome};
use coordinator::pipeline::{self, Kind};
use keyspace::Keyspace;
pub(crate) use slow::{is_slow, note_slow};
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

/// What a command waits for before it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blocked {
    /// Earlier commands of the same pipeline.
    Order,
    /// The end of CLIENT PAUSE.
    Pause,
    /// What other cores have sent by now, and is not handled.
    News,
}

/// The commands that one connection runs in one turn, with what they share: one clock reading, one borrow each.
pub(crate) struct Turn<'a> {
    node: &'a Node,
    state: &'a mut State,
    outgoing: &'a mut Outgoing,
    flights: &'a mut Flights,
    caller: &'a mut Caller,
    client: ClientSlot,
    /// Bytes of its commands.
    len: usize,
    now: UnixMs,
    ticks: Ticks,
    /// When the last command ended.
    last: u64,
    last_command: Option<CommandRef>,
    authenticated: bool,
    /// Subscribed, with the protocol that has no push messages: only some commands are open to it.
    is_resp2_subscriber: bool,
    /// The client is in a state in which its commands are not simply run: see [`Turn::learn`].
    special: bool,
    /// Data is being loaded: only some commands are open to anybody.
    is_loading: bool,
    /// Its commands are a master's.
    follows: bool,
    /// The server is a replica, and may refuse what the client wants.
    is_refused_by_role: bool,
    /// CLIENT TRACKING is on.
    tracks: bool,
    /// Somebody is shown all commands.
    is_monitored: bool,
    /// It is one of those who are.
    is_monitor: bool,
    /// The command under way is shown when it is over.
    shows_itself: bool,
    /// It has said MULTI.
    queues: bool,
    muted: bool,
    /// Messages were published in this turn.
    published: bool,
    /// CLIENT REPLY SKIP is to be moved on after the command.
    skips: bool,
    /// Bytes of replies that commands of this core have written in this turn.
    written: usize,
    /// How long the client has had the core, these commands included.
    nanos: u64,
    /// The command has a large argument in a buffer of its own.
    has_large: bool,
    /// Where that goes.
    sent_large: Option<ShardId>,
}

impl<'a> Turn<'a> {
    /// Reads the clock, once for all of them. `len`: bytes of the commands; `spent`: nanoseconds that the client has had the core
    /// already.
    pub(crate) fn new(
        node: &'a Node,
        state: &'a mut State,
        outgoing: &'a mut Outgoing,
        flights: &'a mut Flights,
        caller: &'a mut Caller,
        (client, len, spent): (ClientSlot, usize, u64),
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
            len,
            now: UnixMs(now_us / 1000),
            ticks,
            last: ticks.now(),
            last_command: None,
            authenticated: true,
            is_resp2_subscriber: false,
            special: false,
            is_loading: false,
            follows: false,
            is_refused_by_role: false,
            tracks: false,
            is_monitored: false,
            is_monitor: false,
            shows_itself: false,
            queues: false,
            muted: false,
            published: false,
            skips: false,
            written: 0,
            nanos: spent,
            has_large: false,
            sent_large: None,
        };
        turn.learn();
        if turn.is_timeless() {
            turn.now = before_all_times(turn.now);
        }
        turn
    }

    /// Whether its commands were run before, by a master or before a start: no key's time has come for them.
    fn is_timeless(&self) -> bool {
        (!self.node.admission.is_open() && !self.is_loading) || self.follows
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
        let Some(command) = planned.command else { return self.command(args) };
        match planned.slot {
            Some(slot) if self.is_admitted(command) => {
                self.last_command = Some(command);
                if is_script(command) {
                    self.script(command, args)
                } else {
                    self.one_shard(command, args, slot)
                }
            }
            Some(slot) if self.queues && !is_script(command) && self.may_queue(command) => {
                self.enqueue(command, args, self.place_of_key(slot))
            }
            _ => self.known(command, args),
        }
    }

    /// Runs one command, or starts it, or says why not.
    #[inline]
    pub(crate) fn command(&mut self, args: Args<'_>) -> Verdict {
        let misfit = match commands::lookup(args) {
            Ok(command) => return self.known(command, args),
            Err(misfit) => misfit,
        };
        let before = if self.special { self.before_special() } else { None };
        let verdict = match misfit {
            Misfit::Unknown(_) if is_http(args.at(0)) => self.hang_up(),
            misfit => self.refuse_misfit(&misfit, args),
        };
        if self.special { self.after_special(args, verdict, before) } else { verdict }
    }

    /// The same for one that was found.
    #[inline]
    fn known(&mut self, command: CommandRef, args: Args<'_>) -> Verdict {
        let before = if self.special { self.before_special() } else { None };
        let verdict = self.start(command, args);
        if self.special { self.after_special(args, verdict, before) } else { verdict }
    }

    /// What precedes a command of a client that is not an ordinary one. Returns which was the last; there is none until this
    /// one is begun.
    #[cold]
    fn before_special(&mut self) -> Option<CommandRef> {
        let before = self.last_command.take();
        if self.tracks {
            self.before_tracked();
        }
        before
    }

    fn before_tracked(&mut self) {
        // It hears of keys that are evicted, or forgotten, before the reply to the command that finds that there are too many.
        let mut left = TRACKED_EVICTED_MAX;
        commands::tracking::evict(&mut self.state.core, &mut || {
            left -= 1;
            left > 0
        });
        if self.state.core.config.maxmemory != 0 {
            shard::make_room(&mut self.state.core, self.now);
        }
        self.settle();
    }

    /// What follows a command of a client that is not an ordinary one, or when somebody monitors.
    #[cold]
    fn after_special(&mut self, args: Args<'_>, verdict: Verdict, before: Option<CommandRef>) -> Verdict {
        let begun = self.last_command;
        self.last_command = begun.or(before);
        if matches!(verdict, Verdict::Blocked(_)) {
            return verdict;
        }
        if self.skips {
            self.skipped();
        }
        if self.tracks {
            self.after_tracked(begun);
        }
        if let Some(command) = begun.filter(|_| self.is_monitored) {
            if !std::mem::take(&mut self.shows_itself) {
                self.show(command, args);
            }
            if self.state.core.pubsub.unsent_bytes() > SHOWN_BYTES_AT_ONCE && matches!(verdict, Verdict::Done)
            {
                return self.deliver();
            }
        }
        verdict
    }

    /// CLIENT CACHING counts for one command. What the client is told of its own command comes right behind its reply.
    fn after_tracked(&mut self, command: Option<CommandRef>) {
        if self.client_mut().forgets_caching(command) {
            self.learn();
        }
        self.settle();
    }

    /// Shows a command to the monitors, which has run or was sent to its shard.
    fn show(&mut self, command: CommandRef, args: Args<'_>) {
        // What is queued is shown when it runs, and scripts when they begin.
        let is_queued = self.queues && command.full_name != "multi";
        if !is_queued && !matches!(command.row.crossing, Crossing::Script) {
            self.show_now(command, args);
        }
    }

    fn show_now(&mut self, command: CommandRef, args: Args<'_>) {
        let now_us = self.ticks.unix_us();
        monitor::show(&mut self.state.core, self.client, command, args, self.caller.db, now_us);
    }

    /// Passes on what was published, and what clients are to be told of changed keys: behind the replies of those who waited,
    /// and were served.
    fn settle(&mut self) {
        wait::deliver(self.node, self.state);
        let own = Some((self.client, &mut *self.outgoing));
        self.published |= publish::settle(self.node, &mut self.state.core, own);
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
    fn start(&mut self, command: CommandRef, args: Args<'_>) -> Verdict {
        if !self.authenticated && !command.row.flags.has(Flags::NO_AUTH) {
            return self.refuse(command, NO_AUTH);
        }
        if self.state.core.shared.health.refuses_any()
            && (!self.follows || self.state.core.shared.health.has_log_trouble())
            && let Some(text) = self.state.core.shared.health.refuses(command, self.flags_of(command))
        {
            return self.refuse(command, &text);
        }
        if self.is_refused_by_role {
            let flags = self.flags_with_scripts(command, args);
            if let Some(text) = self.state.core.shared.replica.refuses(&self.state.core.config, flags) {
                return self.refuse(command, text);
            }
        }
        if self.follows && !commands::following::is_recorded(command) {
            return self.refuse(command, NOT_OF_A_MASTER);
        }
        if self.is_resp2_subscriber && !is_open_to_subscribers(command) {
            let name = command.full_name;
            return self.refuse(command, &format!(
                "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in \
                 this context"
            ));
        }
        if self.is_loading && !is_open_while_loading(command) {
            return self.refuse(command, LOADING);
        }
        if self.is_monitor && is_about_keys(command) {
            return self.refuse(command, NOT_FOR_MONITORS);
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
            && let Some(verdict) = self.keep_from(command, args)
        {
            return verdict;
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
        if outcome == Outcome::Refused {
            return outcome;
        }
        core.stats.record(command.index, nanos);
        // One that waits may be slow when it is served.
        if outcome != Outcome::Park && is_slow(core, command, nanos, self.now) {
            note_slow(core, command, args, nanos, self.client, self.now);
        }
        outcome
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

    /// Whether the window lets another command go to other cores. While the log takes no records it goes alone, for messages may
    /// overtake each other then.
    #[inline]
    fn has_room(&self) -> bool {
        let outstanding = self.outgoing.replies.outstanding();
        self.outgoing.window.has_room(outstanding) && (outstanding == 0 || !self.node.journal.is_failing())
    }

    /// Who asks for a flight; a hole is left for its reply.
    fn from(&mut self) -> transaction::From {
        let flight = FlightId(self.outgoing.replies.hole());
        transaction::From { caller: *self.caller, client: self.client, flight, now: self.now }
    }

    fn hole(&mut self, kind: Kind) -> Sink {
        hole(self.outgoing, self.client, self.muted, kind)
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

    /// How long the client has had the core.
    pub(crate) fn nanos(&self) -> u64 {
        self.nanos
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
        self.settle();
        self.node.pass_on_wants(self.state);
        let published = self.published;
        let (output, now, last) = (self.outgoing.replies.ready(), self.now, self.last_command);
        let is_under_way = self.outgoing.overlap.has_barrier();
        // A master's commands run at another time.
        let now = if self.follows { self.ticks.unix_ms() } else { now };
        let client = self.client_mut();
        client.last_active = now;
        client.query_len = left;
        if !is_under_way {
            client.running_len = 0;
        }
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
        self.tracks = client.tracking.is_some();
        self.is_monitored = self.state.core.pubsub.has_monitors();
        self.outgoing.proto = client.proto;
        let flags = client.flags;
        self.is_monitor = flags.has(ClientFlags::MONITOR);
        self.queues = flags.has(ClientFlags::MULTI);
        self.muted = flags.has(ClientFlags::REPLY_OFF) || flags.has(ClientFlags::REPLY_SKIP);
        self.skips = flags.has(ClientFlags::REPLY_SKIP_NEXT) || flags.has(ClientFlags::REPLY_SKIP);
        self.is_loading = !self.node.admission.is_open() && !flags.has(ClientFlags::REPLAYS);
        self.follows = flags.has(ClientFlags::FOLLOWS);
        let is_own = self.follows || flags.has(ClientFlags::REPLAYS);
        self.is_refused_by_role = self.state.core.shared.replica.is_replica() && !is_own;
        let refuses = self.state.core.shared.health.refuses_any();
        if refuses || self.state.core.shared.following.is_on() {
            // Nothing expires that the log could not be told of, or that is a master's; the periodic work thaws what this freezes.
            self.state.core.keyspace.freeze(true);
        }
        self.special = !self.authenticated
            || self.is_loading
            || self.skips
            || self.is_resp2_subscriber
            || self.is_monitored
            || refuses
            || self.is_refused_by_role
            || self.follows
            || flags.0 & ClientFlags::SPECIAL.0 != 0;
    }

    fn client_mut(&mut self) -> &mut commands::Client {
        self.state.core.clients.get_mut(self.client).expect("a client is in the table while it runs")
    }
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

/// How many bytes of replies may pile up in one turn before the connection sends them, in the middle of a long pipeline.
const OUTPUT_STEP_BYTES: usize = 256 * 1024;
/// How long the commands of one connection may take before others have their turn; a command that was begun is finished.
/// A command that comes meanwhile may wait for several such turns: until it is read, and from then until it is answered.
pub(crate) const TURN_NANOS: u64 = reactor::task::TURN_MAX.as_nanos() as u64;

/// How many keys that clients have read are forgotten before a command, at most, when there are too many, and when their
/// bound is set.
pub(crate) const TRACKED_EVICTED_MAX: usize = 100;
/// So many bytes are shown to monitors together.
const SHOWN_BYTES_AT_ONCE: usize = 64 * 1024;
