//! The connection to a master: made, read and written; what the bytes mean is the role's.

use super::Event;
use super::seat::Seat;
use crate::node::Node;
use commands::ClientSlot;
use reactor::net::Socket;
use replication::{Attempt, Endpoint};
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use stdx::DbIndex;

/// A connection that stands.
pub(super) struct Link {
    /// Once the master is followed.
    seat: Option<Seat>,
    socket: Socket,
    pub(super) attempt: Attempt,
    /// What was read; up to `taken` the role has it.
    read: Vec<u8>,
    len: usize,
    taken: usize,
    /// What is to be sent; up to `sent` it was.
    unsent: Vec<u8>,
    sent: usize,
}

impl Link {
    pub(super) fn new(socket: Socket, attempt: Attempt, is_prompt: bool) -> Self {
        // Without them it is a connection all the same.
        let _ = socket.set_nodelay(is_prompt);
        let _ = socket.set_keepalive(KEEPALIVE_S);
        let read = vec![0; READ_BYTES];
        Self { seat: None, socket, attempt, read, len: 0, taken: 0, unsent: Vec::new(), sent: 0 }
    }

    /// The master is followed: the link is shown among the clients.
    pub(super) fn sit(&mut self, node: &Rc<Node>) {
        self.seat.get_or_insert_with(|| Seat::take(node, &self.socket));
    }

    /// Where the master is.
    pub(super) fn peer(&self) -> Option<IpAddr> {
        match self.socket.peer() {
            reactor::net::Endpoint::Tcp(address) => Some(address.ip()),
            reactor::net::Endpoint::Unix(_) => None,
        }
    }

    /// Whether it is this client.
    pub(super) fn has_seat(&self, slot: ClientSlot) -> bool {
        self.seat.as_ref().is_some_and(|seat| seat.is(slot))
    }

    /// The master was heard of so many milliseconds ago, and has selected this database.
    pub(super) fn note(&self, heard_ms: u64, db: DbIndex) {
        if let Some(seat) = &self.seat {
            seat.note(heard_ms, db);
        }
    }

    /// What was read, and was not taken.
    pub(super) fn left(&self) -> &[u8] {
        &self.read[self.taken..self.len]
    }

    /// So much of it was taken.
    pub(super) fn take(&mut self, used: usize) {
        self.taken += used;
    }

    /// Sends this behind what is to be sent already.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.unsent.extend_from_slice(bytes);
    }

    /// Reads, if all was taken that was read. Ready when there is something to take. Errors: the connection has ended.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), String>> {
        if self.taken < self.len {
            return Poll::Ready(Ok(()));
        }
        (self.taken, self.len) = (0, 0);
        self.socket.poll_read(cx, &mut self.read).map(|read| match read {
            Ok(0) => Err("it was closed".to_owned()),
            Ok(len) => {
                self.len = len;
                Ok(())
            }
            Err(error) => Err(error.to_string()),
        })
    }

    /// Writes what there is. Errors: the connection has ended.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<(), String> {
        while self.sent < self.unsent.len() {
            match self.socket.poll_write(cx, &self.unsent[self.sent..]) {
                Poll::Ready(Ok(len)) => self.sent += len,
                Poll::Ready(Err(error)) => return Err(error.to_string()),
                Poll::Pending => return Ok(()),
            }
        }
        self.unsent.clear();
        self.sent = 0;
        Ok(())
    }
}

/// Connects, and tells the role.
pub(super) async fn connect(node: Rc<Node>, attempt: Attempt, to: Endpoint, timeout: Duration) {
    let connected = attempt_all(&to, timeout).await.map_err(|error| error.to_string());
    node.replica.desk.put(Event::Connected(attempt, connected));
}

/// Tries all addresses that the host has. Errors: that of the last.
pub(super) async fn attempt_all(to: &Endpoint, timeout: Duration) -> io::Result<Socket> {
    let addresses = match to.host.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, to.port)],
        Err(_) => resolve(to.clone()).await?,
    };
    let mut failure = io::Error::other("the host has no address");
    for address in addresses {
        match Socket::connect(address, timeout).await {
            Ok(socket) => return Ok(socket),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// On a thread: the resolver blocks.
async fn resolve(to: Endpoint) -> io::Result<Vec<SocketAddr>> {
    let found = reactor::task::offload(move || (to.host.as_str(), to.port).to_socket_addrs()).await??;
    Ok(found.collect())
}

/// So much is read at a time.
const READ_BYTES: usize = 256 * 1024;
/// After so many seconds of silence the kernel asks whether the master is there.
pub(super) const KEEPALIVE_S: u32 = 60;
