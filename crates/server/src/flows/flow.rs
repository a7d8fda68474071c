//! One flow's connection, on the core of its shard: a task that sends what is next, and hears how far its replica is.

use super::open::WINDOW_BYTES;
use super::reading::Reading;
use super::session::Session;
use super::{offsets, tell_applied};
use crate::accept;
use crate::connection::Link;
use crate::master::{Newcomer, now_ms};
use crate::node::Node;
use commands::{Client, ClientFlags};
use coordinator::pipeline::PipelineOrder;
use reactor::net::Socket;
use reactor::timer;
use replication::flow::credit::Sender;
use replication::flow::frame::{Channel, Frame, Side};
use replication::flow::hello::Join;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use stdx::ClientId;

/// What one task keeps.
struct Task {
    link: Rc<Link>,
    session: Arc<Session>,
    flow: u16,
    reading: Reading,
    writes: Channel,
    hears: Channel,
    credit: Sender,
    /// What is to be sent, and how much of it is.
    out: (Vec<u8>, usize),
    /// What came of an unfinished frame.
    held: Vec<u8>,
    heard_ms: u64,
    /// Nothing was sent since the last round.
    is_silent: bool,
    /// It gives up, for this reason, when the replica was told.
    failed: Option<String>,
}

/// Serves a connection that has become a flow's.
pub(crate) fn adopt(node: &Rc<Node>, newcomer: Newcomer, join: Join) {
    if node.stopping.get() {
        return;
    }
    let Newcomer { socket, id, addr, laddr, name, created, .. } = newcomer;
    let mut socket = Socket::from_fd(socket);
    let found = node.control.flows.find(join.session).ok_or("there is no such session");
    let is_here = usize::from(join.flow) == node.id.index();
    let found = found.and_then(|session| if is_here { Ok(session) } else { Err("there is no such flow") });
    let joined = found.and_then(|session| session.join(join.flow).map(|start| (session, start)));
    let (session, start) = match joined {
        Ok(joined) => joined,
        Err(why) => {
            tracing::info!(client = id.0, addr, why, "a flow is refused");
            // It may not wait for it.
            let _ = socket.try_write(format!("-ERR {why}\r\n").as_bytes());
            return;
        }
    };
    let mut client = Client::new(id, addr, laddr, socket.raw_fd(), created);
    client.name = name;
    client.home = node.id;
    client.last_active = crate::clock::unix_ms();
    client.flags.set(ClientFlags::REPLICA, true);
    client.last_command = "lacewing.flow";
    let slot = accept::take_in(node, client);
    let link = Rc::new(Link::new(slot, socket, PipelineOrder::Strict));
    node.links.borrow_mut().insert(slot, Rc::clone(&link));
    node.flows.links.borrow_mut().push(Rc::clone(&link));
    let ring_bytes = ring_bytes(node);
    if !node.journal.begin_reader(&mut node.state.borrow_mut().core, &link, ring_bytes) {
        session.end("there is no log");
    }
    let session_id = session.id().0;
    let task = Task {
        reading: Reading::new(Arc::clone(&session), Rc::clone(&link), join.flow, start),
        link,
        session,
        flow: join.flow,
        writes: Channel::new(session_id, join.flow, Side::Master),
        hears: Channel::new(session_id, join.flow, Side::Replica),
        credit: Sender::new(WINDOW_BYTES.into()),
        out: (b"+OK\r\n".to_vec(), 0),
        held: Vec::new(),
        heard_ms: now_ms(),
        is_silent: false,
        failed: None,
    };
    node.control.taps.ring();
    reactor::task::spawn(serve(Rc::clone(node), task, id));
}

/// How much of each log is kept in memory: so much of all together as of a stream.
fn ring_bytes(node: &Node) -> usize {
    let bytes = node.state.borrow().core.config.repl_backlog_bytes as usize;
    (bytes / usize::from(node.router.shards())).max(RING_BYTES_MIN)
}

async fn serve(node: Rc<Node>, mut task: Task, id: ClientId) {
    let why = loop {
        let mut timer = pin!(timer::sleep(ROUND));
        let why = poll_fn(|cx| {
            if let Poll::Ready(why) = task.poll(&node, cx) {
                return Poll::Ready(Some(why));
            }
            timer.as_mut().poll(cx).map(|()| None)
        })
        .await;
        if let Some(why) = why.or_else(|| task.round(&node)) {
            break why;
        }
    };
    task.session.end(&format!("flow {}: {why}", task.flow));
    tracing::info!(client = id.0, session = %task.session.id(), flow = task.flow, why, "a flow has ended");
    let link = &task.link;
    node.journal.end_reader(&mut node.state.borrow_mut().core, link);
    node.flows.links.borrow_mut().retain(|other| !Rc::ptr_eq(other, link));
    // Whoever finds the link elsewhere is to leave it alone.
    link.kill();
    node.links.borrow_mut().remove(link.slot);
    accept::let_go(&node, link.slot);
    node.control.taps.ring();
}

impl Task {
    /// Ready with why it is over.
    fn poll(&mut self, node: &Node, cx: &mut Context<'_>) -> Poll<String> {
        self.link.listen(cx);
        if self.link.is_killed() {
            return Poll::Ready("CLIENT KILL".to_owned());
        }
        if node.poll_stopping(cx).is_ready() {
            return Poll::Ready("the server ends".to_owned());
        }
        if self.failed.is_none()
            && let Some(why) = self.session.why_over()
        {
            self.fail(why);
        }
        if let Poll::Ready(why) = self.poll_hear(node, cx) {
            return Poll::Ready(why);
        }
        let mut sent = 0;
        while sent < TURN_BYTES {
            match ready!(self.poll_send(node, cx)) {
                Ok(bytes) => sent += bytes,
                Err(why) => return Poll::Ready(why),
            }
        }
        // Others have their turn.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// The replica is told why, behind what it is being sent.
    fn fail(&mut self, why: String) {
        self.writes.write(Frame::Fail(&why), &mut self.out.0);
        self.failed = Some(why);
    }

    /// What is to be done from time to time. Why it is over, if it is.
    fn round(&mut self, node: &Node) -> Option<String> {
        if let Some(why) = &self.failed {
            // It was told, or does not listen.
            return Some(why.clone());
        }
        let timeout_ms = u64::from(node.state.borrow().core.config.repl_timeout_s) * 1000;
        if now_ms().saturating_sub(self.heard_ms) > timeout_ms {
            return Some("it is silent for longer than repl-timeout".to_owned());
        }
        if std::mem::replace(&mut self.is_silent, true) && self.out.0.is_empty() {
            self.writes.write(Frame::Ping, &mut self.out.0);
        }
        None
    }

    /// Reads what it says. Ready with why it is over.
    fn poll_hear(&mut self, node: &Node, cx: &mut Context<'_>) -> Poll<String> {
        for _ in 0..READS_PER_TURN {
            let buffer = &mut *node.read_buffer.borrow_mut();
            match ready!(self.link.wire.borrow_mut().socket.poll_read(cx, buffer)) {
                Ok(0) => return Poll::Ready("it has closed its connection".to_owned()),
                Ok(len) => self.held.extend_from_slice(&buffer[..len]),
                Err(error) => return Poll::Ready(error.to_string()),
            }
            if let Err(why) = self.hear(node) {
                return Poll::Ready(why);
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn hear(&mut self, node: &Node) -> Result<(), String> {
        self.heard_ms = now_ms();
        let (mut at, mut has_applied) = (0, false);
        while let Some((frame, len)) = self.hears.read(&self.held[at..]).map_err(|error| error.to_string())? {
            match frame {
                Frame::Credit(bytes) => {
                    self.credit.returned(bytes.into()).map_err(|error| error.to_string())?;
                }
                Frame::Applied { generation, lsn } => {
                    if !self.reading.has_sent(generation, lsn) {
                        return Err("it has applied what it was not sent".to_owned());
                    }
                    self.session.applied(self.flow, generation, lsn)?;
                    has_applied = true;
                }
                Frame::Ping => {}
                Frame::Fail(why) => return Err(format!("the replica gives up: {why}")),
                _ => return Err("it says what only a master has to say".to_owned()),
            }
            at += len;
        }
        self.held.drain(..at);
        if self.held.len() > HELD_BYTES_MAX {
            return Err("it says more than a replica has to say".to_owned());
        }
        if has_applied {
            tell_applied(node);
        }
        if let Some(client) = node.state.borrow_mut().core.clients.get_mut(self.link.slot) {
            client.last_active = crate::clock::unix_ms();
        }
        Ok(())
    }

    /// Sends some of what is next. Pending when there is nothing, no credit or no room.
    fn poll_send(&mut self, node: &Node, cx: &mut Context<'_>) -> Poll<Result<usize, String>> {
        let (out, sent) = &mut self.out;
        if *sent == out.len() {
            out.clear();
            out.shrink_to(KEPT_BYTES);
            *sent = 0;
            if let Some(why) = &self.failed {
                return Poll::Ready(Err(why.clone()));
            }
            let account = (&mut self.writes, &mut self.credit);
            if let Err(why) = ready!(self.reading.poll_next(node, cx, account, out)) {
                self.fail(why);
            }
            return Poll::Ready(Ok(0));
        }
        self.is_silent = false;
        match ready!(self.link.wire.borrow_mut().socket.poll_write(cx, &out[*sent..])) {
            Ok(len) => {
                *sent += len;
                offsets::sent(node, len);
                Poll::Ready(Ok(len))
            }
            Err(error) => Poll::Ready(Err(error.to_string())),
        }
    }
}

/// How often it is looked whether the other side lives.
const ROUND: Duration = Duration::from_secs(1);
/// What is given to the kernel in one turn.
const TURN_BYTES: usize = 1 << 20;
const READS_PER_TURN: usize = 4;
/// Memory that is kept for the next frames.
const KEPT_BYTES: usize = 64 << 10;
/// So much of an unfinished frame is kept of what a replica says.
const HELD_BYTES_MAX: usize = 64 << 10;
/// Of each log so much is kept in memory at least.
const RING_BYTES_MIN: usize = 16 << 10;
