//! Connections of a core with itself: commands that the server has from elsewhere go the way of clients' commands.

use super::Connection;
use crate::clock::unix_ms;
use crate::node::Node;
use commands::ClientFlags;
use reactor::net::Socket;
use std::io;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use stdx::ClientId;

/// Connects this core with itself: the far end, and who the near one is among the clients, where it is called `name` and is what
/// `role` says. Errors: no descriptors to be had.
pub(crate) fn connect(node: &Rc<Node>, name: &str, role: ClientFlags) -> io::Result<(Socket, ClientId)> {
    let (near, far) = UnixStream::pair()?;
    near.set_nonblocking(true)?;
    far.set_nonblocking(true)?;
    let far = Socket::from_fd(far.into());
    let client = {
        let core = &node.state.borrow().core;
        core.shared.connected.fetch_add(1, Relaxed);
        let id = core.shared.new_client_id();
        let mut client = commands::Client::new(id, name.to_owned(), name.to_owned(), far.raw_fd(), unix_ms());
        client.authenticated = true;
        client.home = node.id;
        client.flags.set(ClientFlags::UNIX, true);
        client.flags.set(ClientFlags::LOCAL, true);
        client.flags.set(ClientFlags::NO_EVICT, true);
        client.flags.set(role, true);
        client
    };
    let id = client.id;
    reactor::task::spawn(Connection::new(Rc::clone(node), far, client).serve());
    Ok((Socket::from_fd(near.into()), id))
}

/// Whether it is one of those: what comes was taken before, by this server or by its master, and is not too long for it.
pub(super) fn is_own(flags: ClientFlags) -> bool {
    flags.is_own()
}
