//! What a shard does between commands, in slices that never hold up a command for long.

use commands::Core;
use config::MaxmemoryPolicy;
use std::sync::atomic::Ordering::Relaxed;
use stdx::UnixMs;

/// Bytes that the data of all shards takes: this shard's now, the others' as they last told.
pub fn used_bytes(core: &Core) -> usize {
    let mine = core.keyspace.used_bytes();
    let others = core.shared.used_bytes.iter().enumerate().filter(|(shard, _)| *shard != core.id.index());
    mine + others.map(|(_, bytes)| bytes.load(Relaxed)).sum::<usize>()
}

/// Evicts from this shard until all shards together fit `maxmemory`, for at most [`EVICTIONS_MAX`] keys at a time.
/// False when memory stays over the limit and nothing here can be evicted.
pub fn make_room(core: &mut Core, now: UnixMs) -> bool {
    let policy = core.config.maxmemory_policy;
    for _ in 0..EVICTIONS_MAX {
        if used_bytes(core) as u64 <= core.config.maxmemory {
            return true;
        }
        let samples = core.config.maxmemory_samples as usize;
        if policy == MaxmemoryPolicy::NoEviction
            || !core.keyspace.evict(policy, samples, now, core.rng.next_u64())
        {
            return false;
        }
    }
    true
}

/// One round of periodic work: expires, evicts and reclaims while `go_on` says so, and tells the other shards how
/// much memory is used here. True when there is more to reclaim, so that the caller comes back soon.
pub fn upkeep(core: &mut Core, now: UnixMs, go_on: &mut dyn FnMut() -> bool) -> bool {
    if core.active_expire {
        core.keyspace.expire_cycle(now, go_on);
    }
    if core.config.maxmemory != 0 {
        make_room(core, now);
    }
    let more = core.keyspace.reclaim(go_on);
    core.shared.used_bytes[core.id.index()].store(core.keyspace.used_bytes(), Relaxed);
    core.shared.peak_bytes.fetch_max(used_bytes(core), Relaxed);
    more
}

/// How many keys one command or one round evicts at most: a bound on how long it takes; the next goes on.
const EVICTIONS_MAX: usize = 128;
