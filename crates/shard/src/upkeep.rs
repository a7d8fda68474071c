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

/// Has the other shards know how much memory this one uses, if there is a limit that they share.
pub fn tell_memory(core: &Core) {
    if core.config.maxmemory != 0 {
        core.shared.used_bytes[core.id.index()].store(core.keyspace.used_bytes(), Relaxed);
    }
}

/// Evicts from this shard until all shards together fit `maxmemory`, for at most [`EVICTIONS_MAX`] keys at a time.
/// False when memory stays over the limit and nothing here can be evicted.
///
/// Under a policy that may evict any key, a shard within its equal part of the limit is not at fault: another is over
/// its part, and evicts. Else a burst on one shard would empty the others, and have them refuse writes.
pub fn make_room(core: &mut Core, now: UnixMs) -> bool {
    let policy = core.config.maxmemory_policy;
    let share = core.config.maxmemory / u64::from(core.shards);
    for _ in 0..EVICTIONS_MAX {
        if used_bytes(core) as u64 <= core.config.maxmemory {
            return true;
        }
        if is_allkeys(policy) && core.keyspace.used_bytes() as u64 <= share {
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

fn is_allkeys(policy: MaxmemoryPolicy) -> bool {
    use MaxmemoryPolicy::{AllKeysLfu, AllKeysLru, AllKeysRandom};
    matches!(policy, AllKeysLru | AllKeysLfu | AllKeysRandom)
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

#[cfg(test)]
mod tests {
    use super::*;
    use commands::core::Shared;
    use config::Config;
    use keyspace::Keyspace;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use stdx::{SLOTS, ShardId};

    /// An empty shard, with a second one that says that it uses ten times the limit.
    fn beside_a_full_shard(policy: MaxmemoryPolicy) -> Core {
        let limit = 10 << 20;
        let used_bytes = vec![AtomicUsize::new(0), AtomicUsize::new(10 * limit)];
        let shared = Shared { used_bytes, ..Shared::default() };
        let mut config = Config::default();
        config.maxmemory = limit as u64;
        config.maxmemory_policy = policy;
        Core::new(ShardId(0), 2, Keyspace::new(0..SLOTS as u16 / 2, 16, 1), config, Arc::new(shared))
    }

    #[test]
    fn writes_go_on_while_another_shard_has_to_evict() {
        let check = |policy, expected| {
            assert_eq!(make_room(&mut beside_a_full_shard(policy), UnixMs(0)), expected, "{policy:?}");
        };
        check(MaxmemoryPolicy::AllKeysLru, true);
        check(MaxmemoryPolicy::AllKeysLfu, true);
        check(MaxmemoryPolicy::AllKeysRandom, true);
        check(MaxmemoryPolicy::VolatileTtl, false);
        check(MaxmemoryPolicy::NoEviction, false);
    }
}
