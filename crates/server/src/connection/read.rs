//! A connection reads what is there, straight from the buffer of its core as long as nothing is held.

use super::Connection;
use crate::input::SHORT_BYTES;
use crate::node::READ_BUFFER_BYTES;
use commands::ClientFlags;
use std::rc::Rc;
use std::task::{Context, Poll};

impl Connection {
    /// Reads once and runs what came. Straight from the core's buffer when nothing is held.
    pub(super) fn read(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<usize>> {
        if self.input.len() > 0 {
            return self.read_more(cx);
        }
        let node = Rc::clone(&self.node);
        let mut buffer = node.read_buffer.borrow_mut();
        let read = self.link.wire.borrow_mut().socket.poll_read(cx, &mut buffer);
        let Poll::Ready(read) = read else { return Poll::Pending };
        let len = read?;
        self.count_input(len);
        if self.link.is_killed() {
            return Poll::Ready(Ok(len));
        }
        let is_held = self.flags.has(ClientFlags::TRACKING);
        if is_held || (len <= SHORT_BYTES && self.approach(&buffer[..len])) {
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
        if self.input.len() > limit && !super::own::is_own(self.flags) {
            self.over_query_limit();
        }
        Poll::Ready(Ok(len))
    }

    /// Gives a large argument that has begun to arrive a buffer of its own.
    #[inline]
    pub(super) fn set_large_apart(&mut self) {
        if self.parser.open_argument().is_some()
            && let Err(error) = self.input.set_large_apart(&mut self.parser)
        {
            tracing::warn!(client = self.caller.id.0, %error, "closing a client whose command does not fit memory");
            self.broken = true;
        }
    }

    /// Parses short commands, and asks for the memory that they will need; false when they might as well run at once.
    fn approach(&mut self, bytes: &[u8]) -> bool {
        let mut lookahead = self.node.lookahead.borrow_mut();
        let plan = lookahead.approach(&self.parser, bytes, &self.node, self.caller.db);
        self.plan.insert(plan).is_near
    }

    fn count_input(&mut self, len: usize) {
        let mut state = self.node.state.borrow_mut();
        state.core.stats.net_in += len as u64;
        state.core.stats.reads += 1;
        if let Some(client) = state.core.clients.get_mut(self.slot) {
            client.total_in += len as u64;
            client.query_len = self.input.shown_len();
            client.query_free = self.input.room();
        }
        if crate::clients::are_limited(&state.core) {
            crate::clients::measure(&self.node, &mut state.core, self.slot);
        }
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
