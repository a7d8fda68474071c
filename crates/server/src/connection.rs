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

mod link;
pub(crate) mod own;
mod read;
mod run;
mod send;

use crate::dispatch::Blocked;
use crate::flights::{Flight, Flights};
use crate::input::Input;
use crate::lookahead::Plan;
use crate::master::Newcomer;
use crate::node::{Node, State};
use crate::wait::{self, Why};
use commands::masters::Asked;
use commands::{Caller, Client, ClientFlags, ClientSlot};
use coordinator::pipeline::PipelineOrder;
pub(crate) use link::{Link, Outgoing, Wire};
use reactor::net::Socket;
use resp::{Limits, Parser};
pub(crate) use send::{cut, sent};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use stdx::{ShardId, Span};

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
    /// The commands at the start of `input`, when they were parsed already.
    plan: Option<Plan>,
    /// Where the large argument of the last command goes, if to another core.
    sent_large: Option<ShardId>,
    blocked: Option<Blocked>,
    /// Batches of other cores that are to be handled before its next commands run.
    news: Option<u64>,
    flights: Flights,
    eof: bool,
    broken: bool,
    /// How often it has gone round in this turn; as often as it may, once its commands took long.
    rounds: usize,
    /// How long its commands took in this turn: what it held, and what it read since, together.
    spent_nanos: u64,
    /// It was left with nothing to do but to read: so it still is, unless it was kicked.
    only_reads: bool,
}

impl Connection {
    /// Enters a connection in the tables of `node`; `client` says who it is.
    pub(crate) fn new(node: Rc<Node>, socket: Socket, client: Client) -> Self {
        let (slot, caller, flags, parser, order) = {
            let mut state = node.state.borrow_mut();
            let parser = Parser::new(limits(&state, client.authenticated, own::is_own(client.flags)));
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
            plan: None,
            sent_large: None,
            blocked: None,
            news: None,
            flights: Flights::default(),
            eof: false,
            broken: false,
            rounds: 0,
            spent_nanos: 0,
            only_reads: false,
        }
    }

    /// Serves the connection to its end.
    pub(crate) async fn serve(mut self) {
        while std::future::poll_fn(|cx| self.poll(cx)).await == Turned::MayGoOn {
            // Others have their turn before this client's next bytes, and so has the socket they come from.
            reactor::task::yield_now().await;
        }
        let follows = self.link.outgoing.borrow_mut().follows.take();
        if let Some(asked) = follows.filter(|_| !self.broken && !self.node.stopping.get()) {
            self.hand_over(*asked);
        }
    }

    /// The connection goes on as a replica's, on the core where these are served.
    #[cold]
    fn hand_over(&self, asked: Asked) {
        let socket = self.link.wire.borrow().socket.as_fd().try_clone_to_owned();
        let newcomer = {
            let state = self.node.state.borrow();
            state.core.clients.get(self.slot).map(|client| {
                (client.addr.clone(), client.laddr.clone(), client.name.clone(), client.created)
            })
        };
        match (socket, newcomer) {
            (Ok(socket), Some((addr, laddr, name, created))) => {
                let id = self.caller.id;
                crate::master::hand_over(
                    &self.node,
                    Newcomer { socket, id, addr, laddr, name, created, asked },
                );
            }
            (Err(error), _) => {
                tracing::warn!(client = self.caller.id.0, %error, "a replica's connection cannot be handed over");
            }
            (_, None) => {}
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Turned> {
        self.spent_nanos = 0;
        let was_kicked = self.link.take_kick();
        if std::mem::take(&mut self.only_reads) && !was_kicked && self.has_read(cx) {
            return Poll::Pending;
        }
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
            if self.has_read(cx) {
                return Poll::Pending;
            }
        }
        self.rounds = 0;
        self.flush(cx);
        Poll::Ready(Turned::MayGoOn)
    }

    /// Reads once. False when the connection has come to its end; else its task is woken, at once if something came.
    #[inline]
    fn has_read(&mut self, cx: &mut Context<'_>) -> bool {
        match self.read(cx) {
            Poll::Pending => {
                self.rounds = 0;
                self.only_reads = self.has_nothing_else();
            }
            Poll::Ready(Ok(0)) => {
                self.ended();
                return false;
            }
            // Answers when the others that are ready have been read: one path of the kernel at a time stays in the
            // processor's caches, and clients are woken together.
            Poll::Ready(Ok(_)) => cx.waker().wake_by_ref(),
            Poll::Ready(Err(_)) => {
                self.broken = true;
                return false;
            }
        }
        true
    }

    /// Whether it has nothing to do before it is kicked, or something comes to be read.
    #[inline]
    fn has_nothing_else(&self) -> bool {
        self.blocked.is_none()
            && self.flights.is_empty()
            && self.input.len() == 0
            && self.link.wire.borrow().output.is_empty()
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
        if self.flights.are_about_data() {
            crate::journal::beware(&self.node);
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

    /// Does what commands asked of the server, and follows what they changed about this client.
    fn follow_up(&mut self) {
        if let Err(text) = crate::action::perform_all(&self.node) {
            self.turn_ok_into(&text);
        }
        let mut state = self.node.state.borrow_mut();
        let Some(client) = state.core.clients.get_mut(self.slot) else { return };
        client.running_len = 0;
        self.flags = client.flags;
        let authenticated = client.authenticated;
        self.parser.set_limits(limits(&state, authenticated, own::is_own(self.flags)));
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

    /// It reads on, to a bound, while CLIENT PAUSE holds it back or it waits for a key: so it learns when its client has gone.
    fn wants_input(&self) -> bool {
        let may_read = match self.blocked {
            None => true,
            Some(Blocked::Pause) => self.input.len() < PAUSED_HELD_MAX,
            Some(Blocked::News) => false,
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
        if let Some(gone) = state.core.clients.remove(self.slot) {
            crate::clients::forget(&self.node, &state.core, gone.counted_bytes);
        }
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
fn limits(state: &State, authenticated: bool, is_own: bool) -> Limits {
    let configured = state.core.config.proto_max_bulk_len as usize;
    let bulk_len_max = if is_own { u32::MAX as usize } else { configured };
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
