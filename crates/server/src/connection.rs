//! One connection: reads what is there, runs it, writes what came of it; a state machine polled by its own task.
//!
//! ```text
//!            bytes          commands                 replies in order
//!   socket ────────► held ────────────► dispatch ───► replies ────────► socket
//!                      ▲                   │  │          ▲
//!                      └── stays, while ───┘  └─ hops ───┘ other cores
//!                          it has to wait
//! ```
//!
//! It reads only while it may run what it reads, but it does so whether or not its client takes the replies: a client
//! that sends a long pipeline before it reads is served, and one that never reads is cut at its output buffer limit.
//! It leaves the table of connections only when nothing that could answer it is under way.

use crate::clock::unix_ms;
use crate::dispatch::{Blocked, Turn, Verdict};
use crate::flights::{Flight, Flights, Letters};
use crate::input::{Input, SHORT_BYTES};
use crate::node::{Node, READ_BUFFER_BYTES, State};
use crate::output::Output;
use crate::spread::Answers;
use crate::wait::{self, Wait, Why};
use crate::window::Window;
use commands::{Caller, Client, ClientFlags, ClientSlot, Core};
use config::ClientClass;
use coordinator::pipeline::{Overlap, PipelineOrder, Replies};
use reactor::net::Socket;
use resp::{Limits, Parsed, Parser, Proto};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker};
use stdx::{Args, ShardId, Span, UnixMs};

/// What the rest of its core may touch of a connection.
pub(crate) struct Link {
    pub(crate) slot: ClientSlot,
    pub(crate) outgoing: RefCell<Outgoing>,
    pub(crate) wire: RefCell<Wire>,
    /// What came for the multi-shard commands under way.
    pub(crate) letters: RefCell<Letters>,
    /// The same for fan-outs.
    pub(crate) answers: RefCell<Answers>,
    /// A shard has become busy with a script: commands that wait for it are refused.
    pub(crate) is_told_busy: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    killed: Cell<bool>,
    /// Whether [`crate::courier`] is to send what is ready.
    pub(crate) is_called: Cell<bool>,
    /// Bytes that were pushed to it since.
    pub(crate) pushed_bytes: Cell<usize>,
    /// Whether it has a command that has not come to its end, or not begun: it waits for us and we not for it.
    pub(crate) waits: Cell<bool>,
    /// When it will have been over its soft output limit for too long.
    pub(crate) cut_at: Cell<Option<UnixMs>>,
}

/// Where a connection's replies leave.
pub(crate) struct Wire {
    pub(crate) socket: Socket,
    pub(crate) output: Output,
}

/// The replies of a connection, and what it has unanswered.
pub(crate) struct Outgoing {
    /// In which form push messages are sent.
    pub(crate) proto: Proto,
    pub(crate) replies: Replies,
    pub(crate) overlap: Overlap,
    pub(crate) window: Window,
    /// What the client waits for, if it does.
    pub(crate) wait: Option<Wait>,
}

impl Link {
    fn new(slot: ClientSlot, socket: Socket, order: PipelineOrder) -> Self {
        Self {
            slot,
            outgoing: RefCell::new(Outgoing {
                proto: Proto::default(),
                replies: Replies::default(),
                overlap: Overlap::new(order),
                window: Window::default(),
                wait: None,
            }),
            wire: RefCell::new(Wire { socket, output: Output::default() }),
            letters: RefCell::default(),
            answers: RefCell::default(),
            is_told_busy: Cell::new(false),
            waker: RefCell::default(),
            killed: Cell::new(false),
            is_called: Cell::new(false),
            pushed_bytes: Cell::new(0),
            waits: Cell::new(false),
            cut_at: Cell::new(None),
        }
    }

    /// Has the connection look at the world anew.
    pub(crate) fn kick(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Ends the connection without sending what is left.
    pub(crate) fn kill(&self) {
        self.killed.set(true);
        self.kick();
    }

    /// Whether it has ended, or is to end without sending what is left.
    #[inline]
    pub(crate) fn is_killed(&self) -> bool {
        self.killed.get()
    }

    fn listen(&self, cx: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }
}

/// A connection, owned by its task.
pub(crate) struct Connection {
    node: Rc<Node>,
    link: Rc<Link>,
    slot: ClientSlot,
    caller: Caller,
    flags: ClientFlags,
    parser: Parser,
    spans: Vec<Span>,
    input: Input,
    /// Where the large argument of the last command goes, if to another core.
    sent_large: Option<ShardId>,
    blocked: Option<Blocked>,
    flights: Flights,
    eof: bool,
    broken: bool,
    /// How often it has gone round in this turn; as often as it may, once its commands took long.
    rounds: usize,
}

impl Connection {
    /// Enters a connection in the tables of `node`; `client` says who it is.
    pub(crate) fn new(node: Rc<Node>, socket: Socket, client: Client) -> Self {
        let (slot, caller, flags, parser, order) = {
            let mut state = node.state.borrow_mut();
            let parser = Parser::new(limits(&state, client.authenticated));
            let (flags, order) = (client.flags, pipeline_order(&state));
            let slot = state.core.clients.insert(client);
            let caller =
                state.core.clients.get(slot).map_or_else(Caller::default, |client| Caller::of(client, slot));
            (slot, caller, flags, parser, order)
        };
        let link = Rc::new(Link::new(slot, socket, order));
        node.links.borrow_mut().insert(slot, Rc::clone(&link));
        Self {
            node,
            link,
            slot,
            caller,
            flags,
            parser,
            spans: Vec::new(),
            input: Input::default(),
            sent_large: None,
            blocked: None,
            flights: Flights::default(),
            eof: false,
            broken: false,
            rounds: 0,
        }
    }

    /// Serves the connection to its end.
    pub(crate) async fn serve(mut self) {
        while std::future::poll_fn(|cx| self.poll(cx)).await == Turned::MayGoOn {
            // Others have their turn before this client's next bytes, and so has the socket they come from.
            reactor::task::yield_now().await;
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Turned> {
        self.link.listen(cx);
        while self.rounds < ROUNDS_PER_TURN {
            self.rounds += 1;
            self.resume();
            let has_more = self.flush(cx);
            if self.is_over() {
                return Poll::Ready(Turned::IsOver);
            }
            if has_more {
                self.rounds = 0;
                return Poll::Ready(Turned::MayGoOn);
            }
            if self.can_run_held() {
                continue;
            }
            self.link.waits.set(self.blocked.is_some() || !self.flights.is_empty() || self.is_waiting());
            self.show_whether_paused();
            if !self.wants_input() {
                self.rounds = 0;
                return Poll::Pending;
            }
            match self.read(cx) {
                Poll::Pending => {
                    self.rounds = 0;
                    return Poll::Pending;
                }
                Poll::Ready(Ok(0)) => self.ended(),
                Poll::Ready(Ok(_)) => {
                    // Answers when the others that are ready have been read: one path of the kernel at a time stays in
                    // the processor's caches, and clients are woken together.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Ready(Err(_)) => self.broken = true,
            }
        }
        self.rounds = 0;
        self.flush(cx);
        Poll::Ready(Turned::MayGoOn)
    }

    /// Takes up what had to wait: the multi-shard commands under way, then the bytes behind them.
    fn resume(&mut self) {
        if let Some(attempt) = wait::call(&self.node, &self.link) {
            self.flights.take_off(Flight::Command(attempt));
        }
        self.advance_flights();
        if self.blocked == Some(Blocked::Order) && self.link.outgoing.borrow().overlap.has_barrier() {
            return;
        }
        if self.blocked.take().is_some() || self.can_run_held() {
            self.run_held();
        }
    }

    fn advance_flights(&mut self) {
        if self.flights.is_empty() {
            return;
        }
        let landed = self.flights.advance(&self.node, &self.link);
        if landed.barrier {
            self.follow_up();
        }
        if landed.any && self.blocked == Some(Blocked::Order) {
            self.blocked = None;
        }
    }

    /// Whether it can go on without waiting for anything.
    fn can_run_held(&self) -> bool {
        self.input.may_run() && self.blocked.is_none() && !self.broken && !self.is_closing()
    }

    fn run_held(&mut self) {
        let held = self.input.take();
        let used = self.run(&held);
        if self.input.large_argument().is_some() {
            return self.settle_large(held, used);
        }
        if let Some(buffer) = self.input.put_back(held, used) {
            self.node.state.borrow_mut().core.keyspace.bury_buffer(buffer);
        }
        self.set_large_apart();
    }

    /// The command that begins with a large argument has run, or has to wait: the buffer is its value, goes to the shard
    /// that runs it, or is needed no more.
    #[cold]
    fn settle_large(&mut self, held: Vec<u8>, used: usize) {
        let buffer = self.input.put_back(held, used);
        let (sent, mut state) = (self.sent_large.take(), self.node.state.borrow_mut());
        match (sent, buffer) {
            (Some(shard), Some(buffer)) => {
                state.core.keyspace.end_offer(None);
                self.node.mailbox.outbox(shard.index(), |hop| hop.large(buffer));
            }
            (_, buffer) => state.core.keyspace.end_offer(buffer),
        }
        shard::tell_memory(&mut state.core);
    }

    /// Gives a large argument that has begun to arrive a buffer of its own.
    #[inline]
    fn set_large_apart(&mut self) {
        if self.parser.open_argument().is_some()
            && let Err(error) = self.input.set_large_apart(&mut self.parser)
        {
            tracing::warn!(client = self.caller.id.0, %error, "closing a client whose command does not fit memory");
            self.broken = true;
        }
    }

    /// Reads once and runs what came. Straight from the core's buffer when nothing is held.
    fn read(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<usize>> {
        if self.input.len() > 0 {
            return self.read_more(cx);
        }
        let node = Rc::clone(&self.node);
        let mut buffer = node.read_buffer.borrow_mut();
        let read = self.link.wire.borrow_mut().socket.poll_read(cx, &mut buffer);
        let Poll::Ready(read) = read else { return Poll::Pending };
        let len = read?;
        self.count_input(len);
        if len <= SHORT_BYTES && self.approach(&buffer[..len]) {
            self.input.hold(&buffer[..len]);
            return Poll::Ready(Ok(len));
        }
        let used = self.run(&buffer[..len]);
        if used < len {
            self.input.hold(&buffer[used..len]);
            self.set_large_apart();
        }
        Poll::Ready(Ok(len))
    }

    fn read_more(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<usize>> {
        let read = self.input.poll_more(&mut self.link.wire.borrow_mut().socket, cx);
        let Poll::Ready(read) = read else { return Poll::Pending };
        let len = read?;
        self.count_input(len);
        self.rounds += len / READ_BUFFER_BYTES;
        let limit = self.node.state.borrow().core.config.client_query_buffer_limit as usize;
        if self.input.len() > limit {
            self.over_query_limit();
        }
        Poll::Ready(Ok(len))
    }

    /// Asks for the memory that short commands will need; false when they might as well run at once.
    fn approach(&self, bytes: &[u8]) -> bool {
        self.node.lookahead.borrow_mut().approach(&self.parser, bytes, &self.node, self.caller.db)
    }

    fn count_input(&mut self, len: usize) {
        let mut state = self.node.state.borrow_mut();
        state.core.stats.net_in += len as u64;
        state.core.stats.reads += 1;
        if let Some(client) = state.core.clients.get_mut(self.slot) {
            client.total_in += len as u64;
            client.query_len = self.input.len();
            client.query_free = self.input.room();
        }
    }

    /// Runs the whole commands that `bytes` begins with, as far as they may run now. Returns the bytes used up.
    fn run(&mut self, bytes: &[u8]) -> usize {
        let Self { node, link, parser, spans, caller, slot, flights, .. } = self;
        let mut state = node.state.borrow_mut();
        let mut outgoing = link.outgoing.borrow_mut();
        let mut lookahead = node.lookahead.borrow_mut();
        lookahead.arrive(&state.core.keyspace);
        let mut turn = Turn::new(node, &mut state, &mut outgoing, flights, caller, *slot);
        let mut used = 0;
        self.input.wants(0);
        'turn: while used < bytes.len() {
            if turn.is_authenticated() == parser.limits().unauthenticated {
                // What comes after AUTH, in the same pipeline too, is read with the limits of those who may send it.
                let unauthenticated = !turn.is_authenticated();
                parser.set_limits(Limits { unauthenticated, ..parser.limits() });
            }
            lookahead.fill(parser, bytes, used);
            let (keyspace, db) = turn.keyspace();
            lookahead.prefetch(keyspace, bytes, node, db);
            for planned in lookahead.commands() {
                let verdict = turn.planned(planned, bytes);
                if !matches!(verdict, Verdict::Blocked(_)) {
                    used += planned.len;
                }
                if !matches!(verdict, Verdict::Done) {
                    Self::stop(verdict, &mut used, bytes.len(), &mut self.blocked);
                    break 'turn;
                }
            }
            if !lookahead.commands().is_empty() {
                continue;
            }
            let rest = &bytes[used..];
            let (len, args) = match parser.parse(rest, spans) {
                Ok(Parsed::Command { len }) => (len, Args::new(rest, spans)),
                Ok(Parsed::Inline { len }) => (len, Args::new(parser.inline(), spans)),
                Ok(Parsed::Empty { len }) => {
                    used += len;
                    continue;
                }
                Ok(Parsed::Incomplete { needs }) => {
                    self.input.wants(needs.max(1));
                    break;
                }
                Err(error) => {
                    turn.protocol_error(&error);
                    used = bytes.len();
                    break;
                }
            };
            let large = self.input.large_argument();
            let verdict = match large {
                None => turn.command(args),
                Some(large) => turn.command_with_large(args, &rest[..large]),
            };
            if !matches!(verdict, Verdict::Blocked(_)) {
                used += len;
            } else if large.is_some() {
                parser.again(len, spans);
            }
            let goes_on = matches!(verdict, Verdict::Done) && large.is_none();
            if !matches!(verdict, Verdict::Done) {
                Self::stop(verdict, &mut used, bytes.len(), &mut self.blocked);
            }
            if !goes_on {
                // The buffer of a large argument is settled before the next command.
                self.sent_large = turn.sent_large();
                break;
            }
        }
        drop(lookahead);
        if spans.capacity() > SPANS_KEPT {
            *spans = Vec::new();
        }
        if turn.is_long() {
            self.rounds = ROUNDS_PER_TURN;
        }
        let (flags, published) = turn.finish(bytes.len() - used, self.input.room());
        self.flags = flags;
        // What it has not been sent yet it does not get.
        self.broken |= flags.has(ClientFlags::CLOSE_NOW);
        if published && self.blocked.is_none() && node.publishing.is_full() {
            self.blocked = Some(Blocked::Order);
            node.publishing.wait(link);
        }
        let has_actions = !state.core.actions.is_empty();
        drop((state, outgoing));
        if has_actions {
            self.follow_up();
        }
        self.advance_flights();
        used
    }

    /// Takes down why a turn ends before its bytes do.
    fn stop(verdict: Verdict, used: &mut usize, len: usize, blocked: &mut Option<Blocked>) {
        match verdict {
            Verdict::Done | Verdict::Pause => {}
            Verdict::Blocked(why) => *blocked = Some(why),
            // What follows is not read.
            Verdict::Close => *used = len,
        }
    }

    /// Does what commands asked of the server, and follows what they changed about this client.
    fn follow_up(&mut self) {
        if let Err(text) = crate::action::perform_all(&self.node) {
            self.turn_ok_into(&text);
        }
        let state = self.node.state.borrow();
        let Some(client) = state.core.clients.get(self.slot) else { return };
        self.flags = client.flags;
        self.parser.set_limits(limits(&state, client.authenticated));
        self.link.outgoing.borrow_mut().overlap.set_order(pipeline_order(&state));
    }

    /// The command that was last answered `+OK` has failed after all. Nothing follows it yet.
    #[cold]
    fn turn_ok_into(&mut self, error: &str) {
        let mut outgoing = self.link.outgoing.borrow_mut();
        let out = outgoing.replies.buf();
        if let Some(len) = out.len().checked_sub(OK.len()).filter(|&at| out[at..] == *OK) {
            out.truncate(len);
            resp::Reply::new(out, self.caller.proto).error(error);
        }
    }

    /// Sends what is ready. True when there is more to send at once.
    fn flush(&mut self, cx: &mut Context<'_>) -> bool {
        if self.broken {
            return false;
        }
        let mut outgoing = self.link.outgoing.borrow_mut();
        let mut wire = self.link.wire.borrow_mut();
        let Wire { socket, output } = &mut *wire;
        let was_pending = !output.is_empty();
        let written = output.send(socket, cx, &mut outgoing).unwrap_or_else(|_| {
            self.broken = true;
            0
        });
        let (pending, has_more) = (output.len(), output.has_more());
        if written > 0 {
            let core = &mut self.node.state.borrow_mut().core;
            sent(core, self.slot, output, written);
            if was_pending && let Some(client) = core.clients.get_mut(self.slot) {
                // One that takes a long reply slowly is not idle.
                client.last_active = unix_ms();
            }
        }
        drop((outgoing, wire));
        if pending > 0 {
            self.enforce_output_limit();
        } else if self.link.cut_at.get().is_some() {
            self.link.cut_at.set(None);
        }
        has_more
    }

    /// Cuts a client that lets too many replies pile up.
    #[cold]
    fn enforce_output_limit(&mut self) {
        let output = &self.link.wire.borrow().output;
        let pending = (output.len() + self.link.outgoing.borrow().replies.buffered_bytes()) as u64;
        let mut state = self.node.state.borrow_mut();
        let core = &mut state.core;
        if let Some(client) = core.clients.get_mut(self.slot) {
            client.output_len = pending as usize;
            client.output_capacity = output.capacity();
        }
        let is_subscriber = self.flags.has(ClientFlags::PUBSUB);
        let class = if is_subscriber { ClientClass::Pubsub } else { ClientClass::Normal };
        let limit = core.config.client_output_buffer_limit.of(class);
        let now = unix_ms();
        let is_soft = limit.soft_bytes > 0 && pending >= limit.soft_bytes;
        if !is_soft {
            self.link.cut_at.set(None);
        } else if self.link.cut_at.get().is_none() {
            self.link.cut_at.set(Some(UnixMs(now.0 + i64::from(limit.soft_s) * 1000)));
        }
        let is_hard = limit.hard_bytes > 0 && pending >= limit.hard_bytes;
        if is_hard || self.link.cut_at.get().is_some_and(|at| at <= now) {
            cut(core, self.slot, pending);
            self.broken = true;
        }
    }

    /// It reads on, to a bound, while CLIENT PAUSE holds it back or it waits for a key: so it learns when its client has gone.
    fn wants_input(&self) -> bool {
        let may_read = match self.blocked {
            None => true,
            Some(Blocked::Pause) => self.input.len() < PAUSED_HELD_MAX,
            Some(Blocked::Order) => self.is_waiting() && self.input.len() < PAUSED_HELD_MAX,
        };
        may_read && !self.eof && !self.broken && !self.is_closing()
    }

    /// Whether it waits for a key.
    fn is_waiting(&self) -> bool {
        self.link.outgoing.borrow().wait.is_some()
    }

    /// The client sends nothing more. One that CLIENT PAUSE holds back, or that waits for a key, is let go, as Redis does; any other gets its
    /// answers first.
    fn ended(&mut self) {
        self.eof = true;
        self.broken |= self.is_paused();
    }

    fn is_paused(&self) -> bool {
        self.blocked == Some(Blocked::Pause)
    }

    /// Tells CLIENT LIST and INFO whether CLIENT PAUSE holds this client back.
    fn show_whether_paused(&mut self) {
        let is_paused = self.is_paused();
        if self.flags.has(ClientFlags::BLOCKED) == is_paused {
            return;
        }
        let mut state = self.node.state.borrow_mut();
        if let Some(client) = state.core.clients.get_mut(self.slot) {
            client.flags.set(ClientFlags::BLOCKED, is_paused);
            self.flags = client.flags;
        }
    }

    fn is_closing(&self) -> bool {
        self.flags.has(ClientFlags::CLOSE_AFTER_REPLY)
    }

    /// Whether the connection has come to its end: nothing to send that could be sent, and nothing under way.
    fn is_over(&mut self) -> bool {
        if self.link.killed.get() || self.flags.has(ClientFlags::CLOSE_NOW) {
            self.broken = true;
        }
        if (self.broken || self.eof || self.node.stopping.get()) && self.is_waiting() {
            self.broken = true;
            wait::give_up(&self.node, &self.link, Why::Gone);
        }
        let replies = &self.link.outgoing.borrow().replies;
        let is_answered = replies.outstanding() == 0;
        if self.broken || self.node.stopping.get() {
            return is_answered;
        }
        let is_ending = self.is_closing() || (self.eof && self.blocked.is_none() && !self.can_run_held());
        is_ending && is_answered && replies.ready() == 0 && self.link.wire.borrow().output.is_empty()
    }

    #[cold]
    fn over_query_limit(&mut self) {
        let mut state = self.node.state.borrow_mut();
        state.core.stats.query_limit_disconnections += 1;
        let addr = state.core.clients.get(self.slot).map_or("", |client| &client.addr);
        let (client, bytes) = (self.caller.id.0, self.input.len());
        tracing::warn!(client, addr, bytes, "closing a client that reached client-query-buffer-limit");
        self.broken = true;
    }
}

/// Counts what a connection has sent.
pub(crate) fn sent(core: &mut Core, slot: ClientSlot, output: &mut Output, written: usize) {
    output.take_spent().for_each(|bytes| core.keyspace.bury_shared(bytes));
    core.stats.net_out += written as u64;
    core.stats.writes += 1;
    if let Some(client) = core.clients.get_mut(slot) {
        client.total_out += written as u64;
        client.output_len = output.len();
        client.output_capacity = output.capacity();
    }
}

/// Counts and logs that a client is cut because `pending` bytes wait for it.
#[cold]
pub(crate) fn cut(core: &mut Core, slot: ClientSlot, pending: u64) {
    core.stats.output_limit_disconnections += 1;
    let (client, addr) = core.clients.get(slot).map_or((0, ""), |client| (client.id.0, &client.addr));
    tracing::warn!(client, addr, pending, "closing a client that reached its output buffer limit");
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.link.killed.set(true);
        self.node.links.borrow_mut().remove(self.slot);
        let mut state = self.node.state.borrow_mut();
        crate::publish::leave(&self.node, &mut state.core, self.slot);
        commands::transaction::unwatch_all(&mut state.core, self.slot);
        self.node.pass_on_wants(&mut state);
        state.core.keyspace.bury_buffer(self.input.take());
        let unsent = self.link.wire.borrow_mut().output.abandon();
        let unsent = unsent.chain(self.link.outgoing.borrow_mut().replies.drop_ready());
        unsent.for_each(|bytes| state.core.keyspace.bury_shared(bytes));
        state.core.clients.remove(self.slot);
        state.core.shared.connected.fetch_sub(1, Relaxed);
    }
}

/// What became of a turn.
#[derive(PartialEq, Eq)]
enum Turned {
    /// There may be more to do at once.
    MayGoOn,
    /// The connection has ended.
    IsOver,
}

/// The parser's limits for a client.
fn limits(state: &State, authenticated: bool) -> Limits {
    let bulk_len_max = state.core.config.proto_max_bulk_len as usize;
    Limits { bulk_len_max, unauthenticated: !authenticated, ..Limits::default() }
}

fn pipeline_order(state: &State) -> PipelineOrder {
    match state.core.config.pipeline_order {
        config::PipelineOrder::Relaxed => PipelineOrder::Relaxed,
        config::PipelineOrder::Strict => PipelineOrder::Strict,
    }
}

const OK: &[u8] = b"+OK\r\n";

/// How often a connection reads, or takes up what it holds, before others have their turn.
const ROUNDS_PER_TURN: usize = 8;
/// How much a connection that CLIENT PAUSE holds back reads ahead, in bytes.
const PAUSED_HELD_MAX: usize = 1024 * 1024;
/// A list of arguments with room for so many is kept.
const SPANS_KEPT: usize = 1024;
