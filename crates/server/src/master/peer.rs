//! One replica's connection, on core 0: a task that sends it what it lacks, and hears how far it is.
//!
//! ```text
//!   Waiting ──► Sending: the payload, piece by piece from its file ──► Online: the ring, from its own place on
//!      └──────────────── PSYNC that goes on where it was ────────────────▲
//! ```

use super::{Newcomer, Tapping, now_ms};
use crate::accept;
use crate::connection::Link;
use crate::flows::Session;
use crate::node::Node;
use crate::snapshot::Payload;
use commands::masters::{Asked, Wants};
use commands::replica::Wish;
use commands::{Client, ClientFlags};
use config::OutputLimit;
use coordinator::pipeline::PipelineOrder;
use reactor::cores::stand_back;
use reactor::net::{Endpoint, Socket};
use reactor::task::offload;
use reactor::timer;
use replication::Position;
use replication::psync::{Follower, Psync};
use resp::{Limits, Parsed, Parser};
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use stdx::{Args, ClientId, Span};

/// A replica that follows.
pub(crate) struct Peer {
    id: ClientId,
    link: Rc<Link>,
    pub(super) follower: RefCell<Follower>,
    /// Where it is seen from, without its port.
    pub(super) address: String,
    stage: RefCell<Stage>,
    /// What it is sent before anything else, and how much of it is sent.
    out: RefCell<(Vec<u8>, usize)>,
    /// It has said SYNC: the payload comes without a word before it.
    is_bare: bool,
    /// Its flows, if it follows by these.
    session: RefCell<Option<Arc<Session>>>,
    /// Since when it is behind by more than the soft bound.
    late_since: Cell<Option<u64>>,
    /// Why it is to end, if it is.
    why: RefCell<Option<String>>,
}

/// Where it is.
enum Stage {
    Waiting,
    /// It is sent the payload, so far; behind it the stream goes on at this offset.
    Sending {
        payload: Arc<Payload>,
        sent: u64,
        then: u64,
    },
    /// It is sent the stream, and the next byte is this one.
    Online(u64),
    /// It wanted the payload alone, and has it.
    Served,
    /// It is sent logs, on connections of their own, or will be.
    Flows,
    /// It is told why it is not served, and no more.
    Refused,
}

/// What one task keeps.
struct Reading {
    parser: Parser,
    spans: Vec<Span>,
    held: Vec<u8>,
    /// The next piece of the payload, on its way from the file.
    piece: Option<Piece>,
}

type Piece = Pin<Box<dyn Future<Output = io::Result<io::Result<Vec<u8>>>>>>;

impl Peer {
    /// Whether it waits for a payload.
    pub(super) fn waits(&self) -> bool {
        matches!(*self.stage.borrow(), Stage::Waiting) && self.why.borrow().is_none()
    }

    /// From where on it needs the stream.
    pub(super) fn place(&self) -> Option<u64> {
        match *self.stage.borrow() {
            Stage::Sending { then: at, .. } | Stage::Online(at) => Some(at),
            Stage::Waiting | Stage::Served | Stage::Flows | Stage::Refused => None,
        }
    }

    /// There is something for it.
    pub(super) fn kick(&self) {
        self.link.kick();
    }

    /// Cuts it off.
    pub(crate) fn end(&self, why: &str) {
        self.why.borrow_mut().get_or_insert_with(|| why.to_owned());
        self.link.kill();
    }

    /// Whether it is behind by more than the soft bound for so long that it is to be cut off.
    pub(super) fn is_late(&self, end: u64, limit: OutputLimit, now_ms: u64) -> bool {
        let behind = self.place().map_or(0, |at| end.saturating_sub(at));
        if limit.soft_bytes == 0 || behind < limit.soft_bytes {
            self.late_since.set(None);
            return false;
        }
        let since = self.late_since.get().unwrap_or(now_ms);
        self.late_since.set(Some(since));
        now_ms.saturating_sub(since) > u64::from(limit.soft_s) * 1000
    }

    /// Tells it that this node lives, if its flows go on.
    pub(super) fn say_that_it_lives(&self) {
        if self.session.borrow().is_some() {
            self.say("*1\r\n$4\r\nPING\r\n");
        }
    }

    /// The same, if it waits for its payload.
    pub(super) fn say_that_it_comes(&self) {
        let is_by_flows = matches!(*self.stage.borrow(), Stage::Flows);
        if self.session.borrow().is_none() && (self.waits() || is_by_flows) {
            self.say("\n");
        }
    }

    fn say(&self, line: &str) {
        self.out.borrow_mut().0.extend_from_slice(line.as_bytes());
        self.kick();
    }

    /// Says this, and nothing more.
    pub(crate) fn say_last(&self, line: &str) {
        *self.stage.borrow_mut() = Stage::Refused;
        self.say(line);
    }

    /// Its flows may come; `line` says so. They begin at this offset.
    pub(crate) fn begin_session(&self, line: &str, session: Arc<Session>, at: Position) {
        *self.session.borrow_mut() = Some(session);
        let _ = self.follower.borrow_mut().begins(at, false);
        self.say(line);
    }

    /// Its flows, if it follows by these.
    pub(crate) fn session(&self) -> Option<Arc<Session>> {
        self.session.borrow().clone()
    }

    /// Who it is, as this node's client.
    pub(crate) fn id(&self) -> ClientId {
        self.id
    }

    /// What is known of it.
    pub(crate) fn follower(&self) -> &RefCell<Follower> {
        &self.follower
    }

    /// The same as others are told, where this offset is shown for the node, and the logs end at that.
    pub(super) fn shown(&self, (end, logs_end): (u64, u64)) -> Follower {
        let follower = self.follower.borrow().clone();
        if self.session.borrow().is_none() {
            return follower;
        }
        let offset = crate::flows::shown(follower.acknowledged(), logs_end, end);
        follower.shown_at(offset)
    }

    /// Whether its connection has ended, or is to.
    pub(crate) fn is_over(&self) -> bool {
        self.link.is_killed()
    }

    /// Its payload is there; `line` announces it, and the stream goes on behind it at `then`.
    pub(super) fn begin(&self, line: &str, payload: Arc<Payload>, then: u64) {
        let out = &mut self.out.borrow_mut().0;
        if !self.is_bare {
            out.extend_from_slice(line.as_bytes());
        }
        out.extend_from_slice(format!("${}\r\n", payload.bytes).as_bytes());
        *self.stage.borrow_mut() = Stage::Sending { payload, sent: 0, then };
        self.kick();
    }

    /// If it wants a part alone that is at hand, it is sent that. Who wants the stream too has all data: it goes on from nothing less. (`redis-cli
    /// --replica` asks for an empty payload, and passes over whatever comes.)
    fn begin_part(&self, node: &Node) {
        let filter = {
            let follower = self.follower.borrow();
            follower.filter.filter(|_| follower.payload_only)
        };
        let Some(filter) = filter else { return };
        let (at, line) = {
            let source = node.masters.source.borrow();
            let at = Position { replid: source.backlog().replid(), offset: source.backlog().end() };
            (at, self.follower.borrow_mut().begins(at, false))
        };
        self.begin(&line, Arc::new(Payload::beside_keys(node, filter)), at.offset);
    }

    fn poll(&self, node: &Node, cx: &mut Context<'_>, reading: &mut Reading) -> Poll<String> {
        self.link.listen(cx);
        if let Some(why) = self.why.borrow().clone() {
            return Poll::Ready(why);
        }
        if self.link.is_killed() {
            return Poll::Ready("CLIENT KILL".to_owned());
        }
        if node.poll_stopping(cx).is_ready() {
            return Poll::Ready("the server ends".to_owned());
        }
        if let Poll::Ready(why) = self.poll_hear(node, cx, reading) {
            return Poll::Ready(why);
        }
        let mut sent = 0;
        while sent < TURN_BYTES {
            match ready!(self.poll_send(node, cx, reading)) {
                Ok(bytes) => sent += bytes,
                Err(why) => return Poll::Ready(why),
            }
        }
        // Others have their turn.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Reads what it says. Ready with why it is over.
    fn poll_hear(&self, node: &Node, cx: &mut Context<'_>, reading: &mut Reading) -> Poll<String> {
        for _ in 0..READS_PER_TURN {
            let buffer = &mut *node.read_buffer.borrow_mut();
            match ready!(self.link.wire.borrow_mut().socket.poll_read(cx, buffer)) {
                Ok(0) => return Poll::Ready("it has closed its connection".to_owned()),
                Ok(len) => reading.held.extend_from_slice(&buffer[..len]),
                Err(error) => return Poll::Ready(error.to_string()),
            }
            if let Err(why) = self.hear(node, reading) {
                return Poll::Ready(why.to_owned());
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn hear(&self, node: &Node, reading: &mut Reading) -> Result<(), &'static str> {
        let Reading { parser, spans, held, .. } = reading;
        let (mut at, now_ms) = (0, now_ms());
        let mut follower = self.follower.borrow_mut();
        follower.heard(now_ms);
        while at < held.len() {
            let (len, args) = match parser.parse(&held[at..], spans) {
                Ok(Parsed::Command { len }) => (len, Args::new(&held[at..], spans)),
                Ok(Parsed::Inline { len }) => (len, Args::new(parser.inline(), spans)),
                Ok(Parsed::Empty { len }) => {
                    at += len;
                    continue;
                }
                Ok(Parsed::Incomplete { .. }) => break,
                Err(_) => return Err("it does not speak RESP"),
            };
            // Whatever else it says has no answer: what it reads is the stream.
            if args.at(0).eq_ignore_ascii_case(b"REPLCONF") {
                let words: Vec<&[u8]> = args.from(1).iter().collect();
                let _ = follower.replconf(&words, now_ms);
            }
            at += len;
        }
        held.drain(..at);
        if held.len() > HELD_BYTES_MAX {
            return Err("it says more than a replica has to say");
        }
        if let Some(client) = node.state.borrow_mut().core.clients.get_mut(self.link.slot) {
            client.last_active = crate::clock::unix_ms();
        }
        node.masters.wake();
        Ok(())
    }

    /// Sends some of what is next. Pending when there is nothing, or no room.
    fn poll_send(
        &self,
        node: &Node,
        cx: &mut Context<'_>,
        reading: &mut Reading,
    ) -> Poll<Result<usize, String>> {
        let socket = &mut self.link.wire.borrow_mut().socket;
        let mut write = |cx: &mut Context<'_>, bytes: &[u8]| match ready!(socket.poll_write(cx, bytes)) {
            Ok(len) => {
                node.state.borrow().core.shared.masters.sent_bytes.fetch_add(len as u64, Relaxed);
                Poll::Ready(Ok(len))
            }
            Err(error) => Poll::Ready(Err(error.to_string())),
        };
        let (out, sent) = &mut *self.out.borrow_mut();
        if *sent < out.len() {
            let end = out.len().min(*sent + WRITE_BYTES);
            let written = ready!(write(cx, &out[*sent..end]));
            *sent += written.as_ref().map_or(0, |len| *len);
            if *sent == out.len() {
                (*out, *sent) = (Vec::new(), 0);
            }
            return Poll::Ready(written);
        }
        let stage = &mut *self.stage.borrow_mut();
        match stage {
            Stage::Waiting | Stage::Served | Stage::Flows => Poll::Pending,
            Stage::Refused => Poll::Ready(Err("it was refused".to_owned())),
            Stage::Sending { payload, sent, .. } if *sent < payload.bytes => {
                let piece = reading.piece.get_or_insert_with(|| {
                    let (payload, at) = (Arc::clone(payload), *sent);
                    Box::pin(offload(move || {
                        stand_back();
                        payload.piece(at, PIECE_BYTES)
                    }))
                });
                let piece = ready!(piece.as_mut().poll(cx)).and_then(|read| read);
                reading.piece = None;
                Poll::Ready(match piece {
                    Ok(piece) => {
                        *sent += piece.len() as u64;
                        *out = piece;
                        Ok(0)
                    }
                    Err(error) => Err(format!("its payload cannot be read: {error}")),
                })
            }
            Stage::Sending { then, .. } => {
                let mut follower = self.follower.borrow_mut();
                follower.ends(now_ms());
                *stage = if follower.payload_only { Stage::Served } else { Stage::Online(*then) };
                tracing::info!(client = self.id.0, addr = self.address, "a replica was sent all data");
                node.masters.wake();
                Poll::Ready(Ok(0))
            }
            Stage::Online(at) => {
                let source = node.masters.source.borrow();
                match source.backlog().read(*at) {
                    Ok([]) => Poll::Pending,
                    Ok(bytes) => {
                        let written = ready!(write(cx, &bytes[..bytes.len().min(WRITE_BYTES)]));
                        *at += written.as_ref().map_or(0, |len| *len as u64);
                        Poll::Ready(written)
                    }
                    Err(forgotten) => Poll::Ready(Err(format!(
                        "it is behind by more than client-output-buffer-limit replica allows: {forgotten}"
                    ))),
                }
            }
        }
    }
}

/// Serves a connection that has become a replica's.
pub(super) fn adopt(node: &Rc<Node>, newcomer: Newcomer) {
    if node.stopping.get() {
        return;
    }
    let Newcomer { socket, id, addr, laddr, name, created, asked } = newcomer;
    let socket = Socket::from_fd(socket);
    let address = match socket.peer() {
        Endpoint::Tcp(peer) => peer.ip().to_canonical().to_string(),
        Endpoint::Unix(_) => String::new(),
    };
    let is_prompt = !node.state.borrow().core.config.repl_disable_tcp_nodelay;
    // Without it, it is a connection all the same.
    let _ = socket.set_nodelay(is_prompt);
    let mut client = Client::new(id, addr, laddr, socket.raw_fd(), created);
    client.name = name;
    client.home = node.id;
    client.last_active = crate::clock::unix_ms();
    client.flags.set(ClientFlags::REPLICA, true);
    let Asked { mut follower, wants, .. } = asked;
    client.last_command = match &wants {
        Wants::Stream(..) => "psync",
        Wants::Everything => "sync",
        Wants::Session(_) | Wants::Flow(_) => "lacewing.sync",
    };
    let slot = accept::take_in(node, client);
    let link = Rc::new(Link::new(slot, socket, PipelineOrder::Strict));
    node.links.borrow_mut().insert(slot, Rc::clone(&link));
    let is_bare = wants == Wants::Everything;
    let (stage, line) = answer(node, &mut follower, &wants);
    tracing::info!(
        client = id.0,
        addr = address,
        port = follower.listening_port,
        state = line.trim_end(),
        "a replica follows"
    );
    let peer = Rc::new(Peer {
        id,
        link,
        follower: RefCell::new(follower),
        address,
        stage: RefCell::new(stage),
        out: RefCell::new((line.into_bytes(), 0)),
        is_bare,
        session: RefCell::default(),
        late_since: Cell::new(None),
        why: RefCell::default(),
    });
    if peer.waits() {
        peer.begin_part(node);
    }
    node.masters.peers.borrow_mut().push(Rc::clone(&peer));
    node.masters.wake();
    node.masters.wake_maker();
    reactor::task::spawn(serve(Rc::clone(node), Rc::clone(&peer)));
    if let Wants::Session(asked) = wants {
        reactor::task::spawn(crate::flows::open(Rc::clone(node), peer, asked));
    }
}

/// Serves the connection of what was this node's master so far, and wants this node to be the master (FAILOVER): when it is.
pub(super) fn adopt_promoted(node: &Rc<Node>, newcomer: Newcomer) {
    tracing::info!(
        client = newcomer.id.0,
        addr = newcomer.addr,
        "the master wants this server to be the master"
    );
    crate::replica::ask(node, Wish::NoOne, None);
    let node = Rc::clone(node);
    reactor::task::spawn(async move {
        while node.state.borrow().core.shared.replica.is_replica() {
            if node.stopping.get() {
                return;
            }
            timer::sleep(PROMOTION_STEP).await;
        }
        adopt(&node, newcomer);
    });
}

/// Whether it goes on where it was, and what it is told.
fn answer(node: &Node, follower: &mut Follower, wants: &Wants) -> (Stage, String) {
    let source = node.masters.source.borrow();
    let (replid, offset): (&[u8], i64) = match wants {
        Wants::Stream(replid, offset) => (replid, *offset),
        Wants::Everything | Wants::Session(_) | Wants::Flow(_) => (b"?", -1),
    };
    let is_on = node.masters.tapping.get() == Tapping::On && source.is_on();
    // What was kept while somebody followed does not tell what was written since.
    let asked = if is_on { (replid, offset) } else { (&b"?"[..], -1) };
    let facts = &node.state.borrow().core.shared.masters;
    match follower.psync(asked.0, asked.1, source.backlog(), true) {
        Psync::Continue { line, from } => {
            facts.partial_syncs.fetch_add(1, Relaxed);
            (Stage::Online(from), line)
        }
        Psync::Full if matches!(wants, Wants::Session(_)) => (Stage::Flows, String::new()),
        Psync::Full => {
            facts.full_syncs.fetch_add(1, Relaxed);
            facts.partial_refusals.fetch_add(u64::from(replid != b"?"), Relaxed);
            (Stage::Waiting, String::new())
        }
        Psync::NoMasterLink => unreachable!("it was said that there is data"),
    }
}

async fn serve(node: Rc<Node>, peer: Rc<Peer>) {
    let mut reading = Reading {
        parser: Parser::new(Limits { bulk_len_max: HELD_BYTES_MAX, ..Limits::default() }),
        spans: Vec::new(),
        held: Vec::new(),
        piece: None,
    };
    let why = poll_fn(|cx| peer.poll(&node, cx, &mut reading)).await;
    let state = peer.follower.borrow().state().map_or("", |state| state.as_str());
    tracing::info!(client = peer.id.0, addr = peer.address, state, why, "a replica follows no longer");
    node.masters.peers.borrow_mut().retain(|other| !Rc::ptr_eq(other, &peer));
    if let Some(session) = peer.session() {
        crate::flows::link_has_ended(&node, &session);
    }
    let slot = peer.link.slot;
    // Whoever finds the link elsewhere is to leave it alone.
    peer.link.kill();
    node.links.borrow_mut().remove(slot);
    accept::let_go(&node, slot);
    node.masters.wake();
}

/// What is given to the kernel at once, and in one poll, of which a turn has some: within one machine the kernel puts it in its receiver's socket in
/// the same call, which takes a core some 50 us.
const WRITE_BYTES: usize = 64 << 10;
const TURN_BYTES: usize = 64 << 10;
/// A piece of the payload.
const PIECE_BYTES: usize = 1 << 20;
const READS_PER_TURN: usize = 4;
/// How often it is looked whether this node is the master now.
const PROMOTION_STEP: Duration = Duration::from_millis(2);
/// So much of an unfinished command is kept of what a replica says.
const HELD_BYTES_MAX: usize = 64 << 10;
