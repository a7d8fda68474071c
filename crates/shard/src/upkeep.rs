//! What a shard does between commands, in slices that never hold up a command for long.

use commands::Core;
use config::MaxmemoryPolicy;
use std::sync::atomic::Ordering::Relaxed;
use stdx::{DbIndex, UnixMs};

/// Bytes that the data of all shards takes: this shard's now, the others' as they last told.
pub fn used_bytes(core: &Core) -> usize {
    let mine = core.keyspace.used_bytes();
    let others = core.shared.used_bytes.iter().enumerate().filter(|(shard, _)| *shard != core.id.index());
    mine + others.map(|(_, bytes)| bytes.load(Relaxed)).sum::<usize>()
}

/// Has the other shards know how much memory this one uses and what it could evict, if there is a limit that they share.
pub fn tell_memory(core: &Core) {
    if core.config.maxmemory != 0 {
        let (shard, shared) = (core.id.index(), &core.shared);
        shared.used_bytes[shard].store(core.keyspace.used_bytes(), Relaxed);
        shared.evictable_keys[shard].store(evictable_keys(core), Relaxed);
    }
}

/// Evicts from this shard until all shards together fit `maxmemory`, for at most [`EVICTIONS_MAX`] keys at a time.
/// False when memory stays over the limit and no shard can evict anything.
///
/// A shard within its equal part of the limit is not at fault while another is over its part and can evict; else a burst
/// on one shard would empty the others. When it is for others to evict, `core.wants_room` says so, for the server to pass on.
pub fn make_room(core: &mut Core, now: UnixMs) -> bool {
    let share = core.config.maxmemory / u64::from(core.shards);
    for _ in 0..EVICTIONS_MAX {
        if used_bytes(core) as u64 <= core.config.maxmemory {
            return true;
        }
        if core.config.maxmemory_policy == MaxmemoryPolicy::NoEviction {
            return false;
        }
        let is_within = core.keyspace.used_bytes() as u64 <= share;
        if (is_within && others_can_evict(core, share)) || !evict(core, now) {
            core.wants_room = others_can_evict(core, 0);
            return core.wants_room;
        }
    }
    true
}

fn evict(core: &mut Core, now: UnixMs) -> bool {
    let samples = core.config.maxmemory_samples as usize;
    core.keyspace.evict(core.config.maxmemory_policy, samples, now, core.rng.next_u64())
}

/// Whether another shard has keys to evict and uses more than `share` bytes.
fn others_can_evict(core: &Core, share: u64) -> bool {
    let shards = core.shared.used_bytes.iter().zip(&core.shared.evictable_keys).enumerate();
    let mut others = shards.filter(|(shard, _)| *shard != core.id.index()).map(|(_, told)| told);
    others.any(|(bytes, keys)| bytes.load(Relaxed) as u64 > share && keys.load(Relaxed) > 0)
}

fn evictable_keys(core: &Core) -> usize {
    use MaxmemoryPolicy::{AllKeysLfu, AllKeysLru, AllKeysRandom, NoEviction};
    let databases = (0..core.keyspace.databases()).map(DbIndex);
    match core.config.maxmemory_policy {
        NoEviction => 0,
        AllKeysLru | AllKeysLfu | AllKeysRandom => databases.map(|db| core.keyspace.len(db)).sum(),
        _ => databases.map(|db| core.keyspace.expiring(db)).sum(),
    }
}

/// One round of periodic work: expires, evicts and reclaims while `go_on` says so, and tells the other shards how
/// much memory is used here. True when there is more to do, so that the caller comes back soon.
pub fn upkeep(core: &mut Core, now: UnixMs, go_on: &mut dyn FnMut() -> bool) -> bool {
    let effort = core.config.active_expire_effort as u8;
    let expires_on = core.active_expire && core.keyspace.expire_cycle(now, effort, go_on).has_more;
    core.keyspace.stats.expired_time_cap_reached += u64::from(expires_on);
    let evicts_on = core.config.maxmemory != 0 && shrink(core, now, go_on);
    let reclaims_on = core.keyspace.reclaim(go_on);
    core.shared.used_bytes[core.id.index()].store(core.keyspace.used_bytes(), Relaxed);
    tell_memory(core);
    core.shared.peak_bytes.fetch_max(used_bytes(core), Relaxed);
    expires_on || evicts_on || reclaims_on
}

/// Evicts while memory is over the limit, this shard is the one to evict, and `go_on` says so. True when it stopped early.
pub fn shrink(core: &mut Core, now: UnixMs, go_on: &mut dyn FnMut() -> bool) -> bool {
    while used_bytes(core) as u64 > core.config.maxmemory {
        let before = core.keyspace.stats.evicted;
        make_room(core, now);
        if core.keyspace.stats.evicted == before {
            return false;
        }
        tell_memory(core);
        if !go_on() {
            return true;
        }
    }
    false
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

    /// An empty shard, with a second one that says that it uses ten times the limit, and has so many keys to evict.
    fn beside_a_full_shard(policy: MaxmemoryPolicy, evictable: usize) -> Core {
        let limit = 10 << 20;
        let used_bytes = vec![AtomicUsize::new(0), AtomicUsize::new(10 * limit)];
        let evictable_keys = vec![AtomicUsize::new(0), AtomicUsize::new(evictable)];
        let shared = Shared { used_bytes, evictable_keys, ..Shared::default() };
        let mut config = Config::default();
        config.maxmemory = limit as u64;
        config.maxmemory_policy = policy;
        Core::new(ShardId(0), 2, Keyspace::new(0..SLOTS as u16 / 2, 16, 1), config, Arc::new(shared))
    }

    #[test]
    fn writes_go_on_while_another_shard_has_to_evict() {
        let check = |policy, evictable, expected| {
            let mut core = beside_a_full_shard(policy, evictable);
            assert_eq!(make_room(&mut core, UnixMs(0)), expected, "{policy:?}, {evictable} keys");
            assert_eq!(core.wants_room, expected, "{policy:?}, {evictable} keys");
        };
        for policy in
            [MaxmemoryPolicy::AllKeysLru, MaxmemoryPolicy::AllKeysRandom, MaxmemoryPolicy::VolatileTtl]
        {
            check(policy, 1, true);
            check(policy, 0, false);
        }
        check(MaxmemoryPolicy::NoEviction, 0, false);
    }

    #[test]
    fn a_lower_limit_is_reached_in_slices() {
        let mut core = beside_a_full_shard(MaxmemoryPolicy::AllKeysLru, 0);
        core.shared.used_bytes[1].store(0, Relaxed);
        core.config.maxmemory = 0;
        for key in 0..20_000 {
            let name = format!("key:{key}");
            let key = keyspace::Key::new(name.as_bytes());
            if core.keyspace.owns(key.slot) {
                let value = keyspace::NewString::Bytes(&[b'x'; 100]);
                core.keyspace.set_string(DbIndex(0), key, value, keyspace::Ttl::Clear, UnixMs(1));
            }
        }
        core.config.maxmemory = core.keyspace.used_bytes() as u64 - 500_000;
        let mut slices = 0;
        while shrink(&mut core, UnixMs(2), &mut || false) {
            slices += 1;
        }
        assert!(core.keyspace.used_bytes() as u64 <= core.config.maxmemory);
        assert!(slices > 10, "{slices} slices: each evicts at most {EVICTIONS_MAX} keys");
    }
}
