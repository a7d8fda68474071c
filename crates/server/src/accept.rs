//! Taking connections in: every core accepts on its own listeners and keeps what it accepted. The unix socket has one
//! listener, whose connections are dealt to the cores in turn.

use crate::clock::unix_ms;
use crate::connection::Connection;
use crate::hop::{Hop, Item};
use crate::node::Node;
use commands::{Client, ClientFlags, ClientSlot};
use reactor::net::{Endpoint, Listener, Socket};
use std::future::{Future, poll_fn};
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use stdx::ShardId;

/// Accepts until the core is told to stop; then the listener is closed, and the file of a unix socket removed.
pub(crate) async fn accept(node: Rc<Node>, mut listener: Listener) {
    let is_dealt = matches!(listener.local(), Endpoint::Unix(_));
    let mut next = 0;
    loop {
        let accepted = {
            let mut accepting = pin!(listener.accept());
            poll_fn(|cx| match node.poll_stopping(cx) {
                Poll::Ready(()) => Poll::Ready(None),
                Poll::Pending => accepting.as_mut().poll(cx).map(Some),
            })
            .await
        };
        let socket = match accepted {
            None => return,
            Some(Ok(socket)) => socket,
            Some(Err(error)) => {
                tracing::error!(%error, listener = %listener.local(), "this listener accepts no more connections");
                return;
            }
        };
        let core = next % node.router.shards() as usize;
        next += 1;
        if !is_dealt || core == node.id.index() {
            serve(&node, socket);
        } else if let Ok(fd) = socket.into_fd() {
            // It has not said anything yet, so it waits for nothing that others have.
            let mut hop = Hop::default();
            hop.say(Item::Accepted(fd));
            crate::hop::send_past(&node, ShardId(core as u16), hop);
        }
    }
}

/// Serves a connection that another core accepted, unless this one is about to end.
pub(crate) fn adopt(node: &Rc<Node>, socket: OwnedFd) {
    if !node.stopping.get() {
        serve(node, Socket::from_fd(socket));
    }
}

fn serve(node: &Rc<Node>, mut socket: Socket) {
    let client = match admit(node, &socket) {
        Ok(client) => client,
        Err(refusal) => {
            // Best effort: the client is turned away, and may have gone already.
            let _ = socket.try_write(refusal.as_bytes());
            return;
        }
    };
    reactor::task::spawn(Connection::new(Rc::clone(node), socket, client).serve());
}

/// Counts a connection in that was handed over by the core that had accepted it, and has a client of its own here.
pub(crate) fn take_in(node: &Node, client: Client) -> ClientSlot {
    let core = &mut node.state.borrow_mut().core;
    core.shared.connected.fetch_add(1, Relaxed);
    core.clients.insert(client)
}

/// Such a connection has ended.
pub(crate) fn let_go(node: &Node, slot: ClientSlot) {
    let core = &mut node.state.borrow_mut().core;
    core.clients.remove(slot);
    core.shared.connected.fetch_sub(1, Relaxed);
}

/// Counts the connection in, or says why not.
fn admit(node: &Node, socket: &Socket) -> Result<Client, &'static str> {
    let mut state = node.state.borrow_mut();
    let core = &mut state.core;
    let (peer, local) = (socket.peer(), socket.local());
    let connected = core.shared.connected.fetch_add(1, Relaxed);
    if connected >= core.config.maxclients as usize {
        core.shared.connected.fetch_sub(1, Relaxed);
        core.stats.rejected_connections += 1;
        return Err("-ERR max number of clients reached\r\n");
    }
    let needs_password = !core.config.requirepass.is_empty();
    if core.config.protected_mode && !needs_password && is_foreign(&peer) {
        core.shared.connected.fetch_sub(1, Relaxed);
        core.stats.rejected_connections += 1;
        return Err(PROTECTED);
    }
    if let Endpoint::Tcp(_) = peer {
        // A socket whose options cannot be set has been reset; its first read says so.
        let _ = socket.set_nodelay(true);
        if core.config.tcp_keepalive_s > 0 {
            let _ = socket.set_keepalive(core.config.tcp_keepalive_s);
        }
    }
    core.stats.connections += 1;
    let id = core.shared.new_client_id();
    let mut client = Client::new(id, peer.to_string(), local.to_string(), socket.raw_fd(), unix_ms());
    client.authenticated = !needs_password;
    client.home = node.id;
    client.flags.set(ClientFlags::UNIX, matches!(local, Endpoint::Unix(_)));
    client.flags.set(ClientFlags::LOCAL, !is_foreign(&peer));
    Ok(client)
}

fn is_foreign(peer: &Endpoint) -> bool {
    match peer {
        Endpoint::Tcp(addr) => !addr.ip().to_canonical().is_loopback(),
        Endpoint::Unix(_) => false,
    }
}

const PROTECTED: &str = "-DENIED Lacewing is running in protected mode because protected mode is enabled and no \
    password is set for the default user. In this mode connections are only accepted from the loopback interface. \
    To connect from other hosts, either set a password (CONFIG SET requirepass, or requirepass in the configuration \
    file), or, if the network is trusted, switch protected mode off (protected-mode no), or connect from the host \
    itself.\r\n";
