//! A connection sends its replies, and is cut when its client takes them too slowly.

use super::Connection;
use super::link::Wire;
use crate::clock::unix_ms;
use crate::journal;
use crate::output::Output;
use commands::{ClientSlot, Core};
use std::task::Context;
use stdx::UnixMs;

impl Connection {
    /// Sends what is ready. True when there is more to send at once.
    pub(super) fn flush(&mut self, cx: &mut Context<'_>) -> bool {
        if self.broken {
            return false;
        }
        let ready = self.link.outgoing.borrow().replies.ready();
        if ready > FIRST_BUFFER_BYTES && self.is_over_hard_limit(ready) {
            self.broken = true;
            return false;
        }
        let gate = journal::gate(&self.node, &self.link);
        let mut outgoing = self.link.outgoing.borrow_mut();
        let mut wire = self.link.wire.borrow_mut();
        let Wire { socket, output } = &mut *wire;
        if !gate.is_open {
            self.link.is_ending.set(self.eof || self.is_closing());
            if output.has_next(&outgoing) {
                self.node.publishing.courier.call(&self.link, 0);
            }
        }
        let was_pending = !output.is_empty();
        let written = output.send(socket, cx, &mut outgoing, gate).unwrap_or_else(|_| {
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
        let limit = core.config.client_output_buffer_limit.of(crate::publish::class_of(self.flags));
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
        } else if crate::clients::are_limited(core) {
            crate::clients::measure(&self.node, core, self.slot);
        }
    }

    /// Cuts a client whose replies are over its hard limit before any of them is sent, as Redis does. Those that fit Redis's
    /// first buffer are not asked about.
    #[cold]
    fn is_over_hard_limit(&mut self, ready: usize) -> bool {
        let core = &mut self.node.state.borrow_mut().core;
        let hard_bytes =
            core.config.client_output_buffer_limit.of(crate::publish::class_of(self.flags)).hard_bytes;
        let is_over = hard_bytes > 0 && ready as u64 >= hard_bytes;
        if is_over {
            cut(core, self.slot, ready as u64);
        }
        is_over
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

/// Replies that fit a buffer which Redis's output limits leave out.
const FIRST_BUFFER_BYTES: usize = 16 * 1024;
