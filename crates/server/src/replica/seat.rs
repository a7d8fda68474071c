//! The link to the master among the clients of core 0, as Redis has it: CLIENT LIST shows it, and CLIENT KILL ends it.

use crate::clock::unix_ms;
use crate::node::Node;
use commands::{Client, ClientFlags, ClientSlot};
use reactor::net::Socket;
use std::rc::Rc;
use stdx::DbIndex;

/// Its place in the table, from when the master is followed until the link ends.
pub(super) struct Seat {
    node: Rc<Node>,
    slot: ClientSlot,
}

impl Seat {
    pub(super) fn take(node: &Rc<Node>, socket: &Socket) -> Self {
        let core = &mut node.state.borrow_mut().core;
        let id = core.shared.new_client_id();
        let (addr, laddr) = (socket.peer().to_string(), socket.local().to_string());
        let mut client = Client::new(id, addr, laddr, socket.raw_fd(), unix_ms());
        client.home = node.id;
        client.flags.set(ClientFlags::MASTER, true);
        client.last_command = "ping";
        Self { node: Rc::clone(node), slot: core.clients.insert(client) }
    }

    /// Whether it is this one's.
    pub(super) fn is(&self, slot: ClientSlot) -> bool {
        self.slot == slot
    }

    /// The master was heard of so many milliseconds ago, and has selected this database.
    pub(super) fn note(&self, heard_ms: u64, db: DbIndex) {
        if let Some(client) = self.node.state.borrow_mut().core.clients.get_mut(self.slot) {
            client.last_active.0 = unix_ms().0.saturating_sub_unsigned(heard_ms);
            client.db = db;
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.node.state.borrow_mut().core.clients.remove(self.slot);
    }
}
