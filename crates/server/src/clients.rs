//! maxmemory-clients: what the buffers of all clients may take together.
//!
//! Each core tells the others what its clients take and how large the largest of them is that may be evicted. While the
//! sum is over the limit, the core that has the largest of all evicts it: as soon as a client of its own grows, when the limit
//! changes, and in every round of periodic work, in which all are counted anew. It costs nothing while there is no limit.

use crate::node::Node;
use commands::{ClientFlags, ClientSlot, Core};
use config::MemoryOrPercent;
use std::sync::atomic::Ordering::Relaxed;

/// Whether there is a limit, most likely.
#[inline]
pub(crate) fn are_limited(core: &Core) -> bool {
    core.config.maxmemory_clients != MemoryOrPercent::Bytes(0)
}

/// Counts a client anew, and evicts if it has grown and all together are over the limit.
#[cold]
pub(crate) fn measure(node: &Node, core: &mut Core, slot: ClientSlot) {
    let Some(client) = core.clients.get_mut(slot) else { return };
    let bytes = client.memory();
    let before = std::mem::replace(&mut client.counted_bytes, bytes);
    add(node, core, bytes.wrapping_sub(before));
    if bytes > before && !node.evicts_in_vain.get() && is_over(core) {
        keep_within_limit(node, core);
    }
}

/// A client is no more.
pub(crate) fn forget(node: &Node, core: &Core, counted_bytes: usize) {
    add(node, core, counted_bytes.wrapping_neg());
}

fn add(node: &Node, core: &Core, bytes: usize) {
    let own = &core.shared.client_bytes[node.id.index()];
    own.store(own.load(Relaxed).wrapping_add(bytes), Relaxed);
}

fn limit(core: &Core) -> u64 {
    core.config.maxmemory_clients.bytes(core.config.maxmemory)
}

fn is_over(core: &Core) -> bool {
    let limit = limit(core);
    let all: usize = core.shared.client_bytes.iter().map(|bytes| bytes.load(Relaxed)).sum();
    limit != 0 && all as u64 > limit
}

/// Evicts clients of this core for as long as all clients are over the limit and the largest is here.
pub(crate) fn keep_within_limit(node: &Node, core: &mut Core) {
    node.evicts_in_vain.set(false);
    if limit(core) == 0 {
        return;
    }
    let mine = node.id.index();
    let (mut bytes, mut clients) = (0, Vec::new());
    for (slot, client) in core.clients.iter_mut() {
        // One that was told to go is not counted again while it ends.
        let stays = !client.flags.has(ClientFlags::CLOSE_NOW);
        client.counted_bytes = if stays { client.memory() } else { 0 };
        bytes += client.counted_bytes;
        let is_link = client.flags.has(ClientFlags::REPLICA) || client.flags.has(ClientFlags::MASTER);
        let may_go = !client.flags.has(ClientFlags::NO_EVICT) && !is_link;
        if stays && may_go {
            clients.push((client.counted_bytes, slot));
        }
    }
    clients.sort_unstable_by_key(|(bytes, _)| *bytes);
    loop {
        let largest = clients.pop();
        core.shared.client_bytes[mine].store(bytes, Relaxed);
        core.shared.client_bytes_max[mine].store(largest.map_or(0, |(bytes, _)| bytes), Relaxed);
        if !is_over(core) {
            return;
        }
        let is_largest = |(size, _): &(usize, _)| {
            core.shared.client_bytes_max.iter().all(|max| max.load(Relaxed) <= *size)
        };
        let Some((size, slot)) = largest.filter(is_largest) else { return node.evicts_in_vain.set(true) };
        evict(node, core, slot, size);
        bytes -= size;
    }
}

fn evict(node: &Node, core: &mut Core, slot: ClientSlot, size: usize) {
    let limit = limit(core);
    if let (Some(link), Some(client)) = (node.links.borrow().get(slot), core.clients.get_mut(slot)) {
        tracing::warn!(
            client = client.id.0,
            addr = client.addr,
            size,
            limit,
            "evicting a client: maxmemory-clients"
        );
        client.flags.set(ClientFlags::CLOSE_NOW, true);
        client.counted_bytes = 0;
        link.kill();
        core.stats.evicted_clients += 1;
    }
}
