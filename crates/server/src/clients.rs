//! maxmemory-clients: what the buffers of all clients may take together.
//!
//! Each core tells the others what its clients take and how large the largest of them is that may be evicted. While the
//! sum is over the limit, the core that has the largest of all evicts it. This is done in every round of periodic work;
//! it costs nothing while there is no limit.

use crate::node::Node;
use commands::ClientFlags;
use std::sync::atomic::Ordering::Relaxed;

/// Evicts clients of this core for as long as all clients are over the limit and the largest is here.
pub(crate) fn keep_within_limit(node: &Node) {
    let mut state = node.state.borrow_mut();
    let core = &mut state.core;
    let limit = core.config.maxmemory_clients.bytes(core.config.maxmemory);
    if limit == 0 {
        return;
    }
    let mine = node.id.index();
    // One that was told to go is not counted again while it ends.
    let staying = core.clients.iter().filter(|(_, client)| !client.flags.has(ClientFlags::CLOSE_NOW));
    let (mut bytes, mut clients) = (0, Vec::new());
    for (slot, client) in staying {
        bytes += client.memory();
        if !client.flags.has(ClientFlags::NO_EVICT) {
            clients.push((client.memory(), slot));
        }
    }
    clients.sort_unstable_by_key(|(bytes, _)| *bytes);
    loop {
        let largest = clients.pop();
        core.shared.client_bytes[mine].store(bytes, Relaxed);
        core.shared.client_bytes_max[mine].store(largest.map_or(0, |(bytes, _)| bytes), Relaxed);
        let all: usize = core.shared.client_bytes.iter().map(|bytes| bytes.load(Relaxed)).sum();
        let Some((size, slot)) = largest else { return };
        let is_largest = core.shared.client_bytes_max.iter().all(|max| max.load(Relaxed) <= size);
        if (all as u64) < limit || !is_largest {
            return;
        }
        if let (Some(link), Some(client)) = (node.links.borrow().get(slot), core.clients.get_mut(slot)) {
            tracing::warn!(
                client = client.id.0,
                addr = client.addr,
                size,
                limit,
                "evicting a client: maxmemory-clients"
            );
            client.flags.set(ClientFlags::CLOSE_NOW, true);
            link.kill();
            core.stats.evicted_clients += 1;
        }
        bytes -= size;
    }
}
