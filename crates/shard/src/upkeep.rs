//! What a shard does between commands, in slices that never hold up a command for long.

use commands::Core;
use config::MaxmemoryPolicy;
use keyspace::Held;
use std::sync::atomic::Ordering::Relaxed;
use stdx::{DbIndex, UnixMs};

/// Has the other shards know how much memory this one uses and what it could evict, if there is a limit that they share.
pub fn tell_memory(core: &mut Core) {
    if core.config.maxmemory != 0 {
        core.tell_used_bytes();
        core.shared.evictable_keys[core.id.index()].store(evictable_keys(core), Relaxed);
    }
}

/// After a write or an eviction under a limit: tells the others at once of much that was added or has gone, and leaves the
/// rest to the end of the turn. What all shards have not told is a small part of the limit at any time, so that several that
/// evict at once do not each evict all that is over it.
#[inline]
pub(crate) fn tell_change(core: &mut Core) {
    let untold = core.own_bytes().abs_diff(core.told_bytes);
    let parts = UNTOLD_PARTS * u64::from(core.shards);
    if untold >= UNTOLD_BYTES_MIN && untold as u64 * parts >= core.config.maxmemory {
        core.tell_used_bytes();
    }
}

/// Makes room for a write: evicts until memory fits `maxmemory`, for as long as maxmemory-eviction-tenacity lets one
/// command take; the periodic work goes on. False when memory stays over the limit and no shard can evict anything.
///
/// When it is for others to evict, `core.wants_room` says so, for the server to pass on. Locked keys are left alone, and are evicted
/// soon after if they have to be.
#[inline]
pub fn make_room(core: &mut Core, now: UnixMs) -> bool {
    core.is_loading || core.used_bytes() as u64 <= core.config.maxmemory || evict_for_write(core, now)
}

#[cold]
fn evict_for_write(core: &mut Core, now: UnixMs) -> bool {
    // A master's data is as large as it is there.
    if core.shared.following.is_on() {
        return true;
    }
    let (clock, began) = (core.nanos, (core.nanos)());
    let nanos_max = eviction_nanos_max(core.config.maxmemory_eviction_tenacity);
    let evicted = evict_while(core, now, &mut || clock() - began <= nanos_max);
    if evicted != Evicted::AllItCould {
        return true;
    }
    core.wants_room =
        core.config.maxmemory_policy != MaxmemoryPolicy::NoEviction && others_can_evict(core, 0);
    core.wants_room
}

/// Redis's scale: up to 10 in steps of 50 us, from there to 99 growing by 15 % a step, to 2 minutes; 100 is no bound.
fn eviction_nanos_max(tenacity: u32) -> u64 {
    match tenacity {
        0..=10 => 50_000 * u64::from(tenacity),
        11..=99 => (500_000.0 * 1.15f64.powi(tenacity as i32 - 10)) as u64,
        _ => u64::MAX,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Evicted {
    /// Memory fits the limit.
    Enough,
    /// It was told to stop.
    Interrupted,
    /// It does not fit, and there is nothing for this shard to evict.
    AllItCould,
}

/// Evicts from this shard until all shards together fit `maxmemory`, or `go_on` (asked every [`ASK_EVERY`] keys) says no.
///
/// A shard within its equal part of the limit is not at fault while another is over its part and can evict; else a burst
/// on one shard would empty the others. It may then exceed the limit by [`LENIENCE_PARTS`], and from there on it evicts
/// too.
fn evict_while(core: &mut Core, now: UnixMs, go_on: &mut dyn FnMut() -> bool) -> Evicted {
    let evicted = if core.used_bytes() as u64 <= core.config.maxmemory {
        Evicted::Enough
    } else if core.config.maxmemory_policy == MaxmemoryPolicy::NoEviction {
        Evicted::AllItCould
    } else {
        evict_over_limit(core, now, go_on)
    };
    note_excess(core, evicted);
    evicted
}

/// Keeps account of the time for which memory stays over the limit.
fn note_excess(core: &mut Core, evicted: Evicted) {
    if evicted != Evicted::Enough {
        core.over_limit_since.get_or_insert((core.nanos)());
    } else if let Some(since) = core.over_limit_since.take() {
        core.stats.eviction_exceeded_nanos += (core.nanos)() - since;
    }
}

fn evict_over_limit(core: &mut Core, now: UnixMs, go_on: &mut dyn FnMut() -> bool) -> Evicted {
    let share = core.config.maxmemory / u64::from(core.shards);
    let lenient = core.config.maxmemory + core.config.maxmemory / LENIENCE_PARTS;
    let began = (core.nanos)();
    let mut keys = 0;
    let evicted = loop {
        let is_within = core.keyspace.used_bytes() as u64 <= share && core.used_bytes() as u64 <= lenient;
        if is_within && others_can_evict(core, share) {
            break Evicted::AllItCould;
        }
        if !evict(core, now) {
            let is_for_later = core.keyspace.held() != Held::Nothing && evictable_keys(core) > 0;
            break if is_for_later { Evicted::Interrupted } else { Evicted::AllItCould };
        }
        keys += 1;
        tell_change(core);
        if core.used_bytes() as u64 <= core.config.maxmemory {
            break Evicted::Enough;
        }
        if keys % ASK_EVERY == 0 && !go_on() {
            break Evicted::Interrupted;
        }
    };
    if keys > 0 {
        core.note_latency("eviction-cycle", (core.nanos)() - began, now);
    }
    evicted
}

/// Evicts one key, if there is one.
fn evict(core: &mut Core, now: UnixMs) -> bool {
    let samples = core.config.maxmemory_samples as usize;
    let random = core.rng.next_u64();
    if core.config.latency_monitor_threshold_ms == 0 {
        return core.keyspace.evict(core.config.maxmemory_policy, samples, now, random);
    }
    let began = (core.nanos)();
    let done = core.keyspace.evict(core.config.maxmemory_policy, samples, now, random);
    core.note_latency("eviction-del", (core.nanos)() - began, now);
    done
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

/// What a slice of periodic work left undone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Expired keys that are still there, most likely.
    pub expired: bool,
    /// Memory over the limit, or freed and not yet given back.
    pub memory: bool,
}

impl Left {
    /// Whether there is anything, so that the caller comes back soon.
    pub fn any(self) -> bool {
        self.expired || self.memory
    }
}

/// One slice of periodic work: expires, evicts and reclaims while `go_on` says so, drops the interpreters of scripts that were
/// flushed, and tells the other shards how much memory is used here. While CLIENT PAUSE has the keyspace frozen it neither
/// expires nor evicts.
pub fn upkeep(core: &mut Core, now: UnixMs, go_on: &mut dyn FnMut() -> bool) -> Left {
    let expired = core.active_expire && !core.keyspace.is_frozen() && expire(core, now, go_on);
    let evicts_on = core.config.maxmemory != 0 && shrink(core, now, go_on);
    if core.config.maxmemory == 0 {
        note_excess(core, Evicted::Enough);
    }
    let reclaims_on = core.keyspace.reclaim(go_on);
    core.scripts.tend();
    core.tell_used_bytes();
    tell_memory(core);
    core.shared.peak_bytes.fetch_max(core.used_bytes(), Relaxed);
    Left { expired, memory: evicts_on || reclaims_on }
}

/// Looks for expired keys, and fields; true when it was stopped before few were left.
fn expire(core: &mut Core, now: UnixMs, go_on: &mut dyn FnMut() -> bool) -> bool {
    let began = (core.nanos)();
    let cycle = core.keyspace.expire_cycle(now, core.config.active_expire_effort as u8, go_on);
    let has_due_fields = core.keyspace.expire_fields_cycle(now, go_on);
    let nanos = (core.nanos)() - began;
    core.stats.expire_cycle_ran(cycle.looked, cycle.removed, nanos);
    core.note_latency("expire-cycle", nanos, now);
    cycle.has_more || has_due_fields
}

/// Evicts while memory is over the limit, this shard is the one to evict, and `go_on` says so. True when it stopped early.
pub fn shrink(core: &mut Core, now: UnixMs, go_on: &mut dyn FnMut() -> bool) -> bool {
    if core.keyspace.is_frozen() {
        return false;
    }
    let evicted = evict_while(core, now, go_on);
    tell_memory(core);
    evicted == Evicted::Interrupted
}

/// Keys evicted between two looks at the clock.
const ASK_EVERY: usize = 16;
/// One part in so many of the limit may be exceeded while other shards are about to evict.
const LENIENCE_PARTS: u64 = 256;
/// One part in so many of the limit is what all shards together keep from each other in the middle of a turn,
const UNTOLD_PARTS: u64 = 4096;
/// or, with a small limit, so many bytes each.
const UNTOLD_BYTES_MIN: usize = 1024;

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
        let used_bytes_total = AtomicUsize::new(10 * limit);
        let evictable_keys = vec![AtomicUsize::new(0), AtomicUsize::new(evictable)];
        let shared = Shared { used_bytes, used_bytes_total, evictable_keys, ..Shared::default() };
        let mut config = Config::default();
        config.maxmemory = limit as u64;
        config.maxmemory_policy = policy;
        Core::new(ShardId(0), 2, Keyspace::new(0..SLOTS as u16 / 2, 16, 1), config, Arc::new(shared))
    }

    #[test]
    fn nobody_writes_under_a_limit_of_one_byte() {
        let mut core = beside_a_full_shard(MaxmemoryPolicy::NoEviction, 0);
        other_shard_uses(&core, 0);
        core.config.maxmemory = 1;
        assert!(!make_room(&mut core, UnixMs(0)));
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

    /// All keys of a shard are locked, or this one.
    struct Locked(Option<&'static [u8]>);

    impl keyspace::Locks for Locked {
        fn held(&self) -> Held {
            self.0.map_or(Held::Whole, |_| Held::Keys)
        }

        fn is_locked(&self, key: &[u8]) -> bool {
            self.0.is_none_or(|name| name == key)
        }
    }

    #[test]
    fn writes_go_on_while_what_could_be_evicted_is_locked() {
        let mut core = filled(false);
        core.config.maxmemory = core.keyspace.used_bytes() as u64 - 10_000;
        core.keyspace.set_locks(Box::new(Locked(None)));
        assert!(make_room(&mut core, UnixMs(2)));
        assert_eq!(core.keyspace.stats.evicted, 0);
        assert!(shrink(&mut core, UnixMs(2), &mut || true), "there is more to do");
        core.keyspace.set_locks(Box::new(Locked(Some(b"none of them"))));
        assert!(make_room(&mut core, UnixMs(2)) && core.keyspace.stats.evicted > 0);
        let mut core = beside_a_full_shard(MaxmemoryPolicy::AllKeysLru, 0);
        core.keyspace.set_locks(Box::new(Locked(None)));
        assert!(!make_room(&mut core, UnixMs(2)), "there is nothing to evict");
    }

    /// The other shard says that it uses so many bytes.
    fn other_shard_uses(core: &Core, bytes: usize) {
        core.shared.used_bytes[1].store(bytes, Relaxed);
        core.shared.used_bytes_total.store(core.told_bytes + bytes, Relaxed);
    }

    #[test]
    fn a_shard_that_need_not_evict_does_so_when_the_limit_is_exceeded_by_too_much() {
        let mut core = filled(false);
        core.shared.evictable_keys[1].store(1, Relaxed);
        let mine = core.own_bytes();
        let limit = 4 * mine as u64;
        core.config.maxmemory = limit;
        core.config.maxmemory_eviction_tenacity = 100;
        let check = |core: &mut Core, over: u64, evicts: bool| {
            let before = core.keyspace.stats.evicted;
            other_shard_uses(core, (limit + over) as usize - core.own_bytes());
            core.wants_room = false;
            assert!(make_room(core, UnixMs(2)) && core.wants_room, "{over} bytes over the limit");
            assert_eq!(core.keyspace.stats.evicted > before, evicts, "{over} bytes over the limit");
            assert!(core.used_bytes() as u64 <= limit + limit / LENIENCE_PARTS);
        };
        check(&mut core, 1, false);
        check(&mut core, limit / LENIENCE_PARTS, false);
        check(&mut core, limit / LENIENCE_PARTS + 1, true);
        check(&mut core, limit / 8, true);
    }

    #[test]
    fn growth_is_told_before_it_is_much() {
        let mut core = beside_a_full_shard(MaxmemoryPolicy::NoEviction, 0);
        other_shard_uses(&core, 1000);
        let told = |core: &Core| core.shared.used_bytes[0].load(Relaxed);
        let untold_max = core.config.maxmemory as usize / (2 * UNTOLD_PARTS as usize);
        for key in 0..20_000_u32 {
            let name = format!("key:{key}");
            let key = keyspace::Key::new(name.as_bytes());
            if core.keyspace.owns(key.slot) {
                let value = keyspace::NewString::Bytes(&[b'x'; 100]);
                core.keyspace.set_string(DbIndex(0), key, value, keyspace::Ttl::Clear, UnixMs(1));
            }
            tell_change(&mut core);
            let used = core.own_bytes();
            assert!(used - told(&core) < untold_max, "{used} bytes, told {}", told(&core));
            assert_eq!(core.used_bytes(), used + 1000);
            assert_eq!(core.shared.used_bytes_total.load(Relaxed), told(&core) + 1000);
        }
        assert!(told(&core) > 1_000_000);
    }

    #[test]
    fn what_is_evicted_is_told_while_more_is() {
        let mut core = filled(false);
        core.tell_used_bytes();
        core.config.maxmemory = core.own_bytes() as u64 - 500_000;
        let shared = Arc::clone(&core.shared);
        let mut told = vec![shared.used_bytes_total.load(Relaxed)];
        let stopped = shrink(&mut core, UnixMs(2), &mut || {
            told.push(shared.used_bytes_total.load(Relaxed));
            true
        });
        assert!(!stopped && told.len() > 100, "it was asked {} times", told.len());
        assert!(told.is_sorted_by(|before, after| before > after), "{told:?}");
    }

    thread_local!(static NANOS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) });

    /// A clock by which each look at it takes 100 us.
    fn ticking() -> u64 {
        NANOS.set(NANOS.get() + 100_000);
        NANOS.get()
    }

    /// A shard alone with some 10,000 keys, all of which have expired at 3 ms if `volatile`.
    fn filled(volatile: bool) -> Core {
        let mut core = beside_a_full_shard(MaxmemoryPolicy::AllKeysLru, 0);
        other_shard_uses(&core, 0);
        core.config.maxmemory = 0;
        core.nanos = ticking;
        for key in 0..20_000 {
            let name = format!("key:{key}");
            let key = keyspace::Key::new(name.as_bytes());
            if core.keyspace.owns(key.slot) {
                let value = keyspace::NewString::Bytes(&[b'x'; 100]);
                let ttl = if volatile { keyspace::Ttl::At(UnixMs(3)) } else { keyspace::Ttl::Clear };
                core.keyspace.set_string(DbIndex(0), key, value, ttl, UnixMs(1));
            }
        }
        core
    }

    #[test]
    fn a_write_evicts_for_as_long_as_tenacity_lets_it() {
        let check = |tenacity, expected: std::ops::RangeInclusive<u64>| {
            let mut core = filled(false);
            core.config.maxmemory = core.keyspace.used_bytes() as u64 - 500_000;
            core.config.maxmemory_eviction_tenacity = tenacity;
            assert!(make_room(&mut core, UnixMs(2)));
            let evicted = core.keyspace.stats.evicted;
            assert!(expected.contains(&evicted), "tenacity {tenacity}: {evicted} keys");
        };
        check(0, 16..=16);
        check(4, 32..=48);
        check(10, 80..=112);
        check(20, 300..=400);
        check(100, 2000..=5000);
        assert_eq!([0, 1, 10].map(eviction_nanos_max), [0, 50_000, 500_000]);
        assert!((110_000_000_000..150_000_000_000).contains(&eviction_nanos_max(99)), "about two minutes");
    }

    #[test]
    fn slow_upkeep_is_seen_by_the_latency_monitor() {
        let seen = |core: &Core| core.latency.iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
        let mut core = filled(true);
        core.config.latency_monitor_threshold_ms = 1;
        assert!(!upkeep(&mut core, UnixMs(2), &mut || true).any());
        assert_eq!(seen(&core), [""; 0], "nothing took 1 ms");
        core.nanos = || ticking() * 20;
        assert!(!upkeep(&mut core, UnixMs(4), &mut || true).expired);
        assert_eq!(seen(&core), ["expire-cycle"]);
        assert!(core.stats.stale_share > 0.01 && core.stats.expire_cycle_nanos > 0);
        let mut core = filled(false);
        core.config.maxmemory = core.keyspace.used_bytes() as u64 - 10_000;
        core.nanos = || ticking() * 20;
        assert!(make_room(&mut core, UnixMs(2)));
        assert_eq!(seen(&core), [""; 0], "the monitor is off");
        core.config.latency_monitor_threshold_ms = 1;
        core.config.maxmemory -= 10_000;
        assert!(make_room(&mut core, UnixMs(2)));
        assert_eq!(seen(&core), ["eviction-cycle", "eviction-del"]);
    }

    #[test]
    fn time_over_the_limit_is_accounted_for() {
        let mut core = filled(false);
        core.config.maxmemory = core.keyspace.used_bytes() as u64 - 500_000;
        assert!(shrink(&mut core, UnixMs(2), &mut || false));
        let since = core.over_limit_since.expect("it is over the limit");
        while shrink(&mut core, UnixMs(2), &mut || false) {
            assert_eq!(core.over_limit_since, Some(since));
        }
        assert_eq!(core.over_limit_since, None);
        core.config.maxmemory = 1;
        core.config.maxmemory_policy = MaxmemoryPolicy::NoEviction;
        assert!(!make_room(&mut core, UnixMs(2)) && core.over_limit_since.is_some());
        core.config.maxmemory = 0;
        upkeep(&mut core, UnixMs(2), &mut || true);
        assert_eq!(core.over_limit_since, None);
        assert!(core.stats.eviction_exceeded_nanos > 1_000_000);
    }

    #[test]
    fn expiry_that_was_stopped_early_is_told() {
        let mut core = filled(true);
        let left = upkeep(&mut core, UnixMs(4), &mut || false);
        assert_eq!(left, Left { expired: true, memory: false });
    }

    #[test]
    fn a_lower_limit_is_reached_in_slices() {
        let mut core = filled(false);
        core.config.maxmemory = core.keyspace.used_bytes() as u64 - 500_000;
        let mut slices = 0;
        while shrink(&mut core, UnixMs(2), &mut || false) {
            slices += 1;
        }
        assert!(core.keyspace.used_bytes() as u64 <= core.config.maxmemory);
        assert!(slices > 10, "{slices} slices of {ASK_EVERY} keys");
    }
}
