//! CLIENT TRACKING on the side of the keys: who has read which key of this shard, and what clients are to be told. Gathered
//! while commands run, taken by the server, which knows the ways to clients of other cores.
//!
//! Nothing is kept and nothing paid on a shard whose keys no client has read with tracking on, while no client anywhere
//! has prefixes.

use crate::core::Core;
use crate::ctx::Caller;
use crate::effects;
use crate::row::{Crossing, Flags};
use crate::table::{CommandRef, keys_of};
use pubsub::{Reader, Tracking};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use stdx::{Args, ClientId};

/// What clients are to be told, and what of.
#[derive(Debug)]
pub struct Invalidations {
    /// The keys that clients have read.
    pub read: Tracking,
    /// How many of them are counted in `Shared::tracked_keys`.
    told_len: usize,
    /// Readers to be told of one key each, in order.
    pub invalid: Vec<Invalid>,
    /// Changed keys that some client's prefix covers, in order.
    pub changed: Vec<Changed>,
    /// How often all that was read may have changed: FLUSHALL, FLUSHDB, SWAPDB. All clients that track are to be told.
    pub flushes: u32,
}

/// A reader's key has changed.
#[derive(Clone, Debug)]
pub struct Invalid {
    /// Who has read it.
    pub reader: Reader,
    /// What has changed.
    pub changed: Changed,
}

/// A key has changed.
#[derive(Clone, Debug)]
pub struct Changed {
    /// The key.
    pub key: Arc<[u8]>,
    /// Whose command changed it; 0 when it went by itself.
    pub by: ClientId,
}

impl Invalidations {
    /// Without keys. `seed` is secret.
    pub fn new(seed: u64) -> Self {
        Self { read: Tracking::new(seed), told_len: 0, invalid: Vec::new(), changed: Vec::new(), flushes: 0 }
    }

    /// Whether clients are to be told something.
    #[inline]
    pub fn is_pending(&self) -> bool {
        self.flushes > 0 || !self.invalid.is_empty() || !self.changed.is_empty()
    }
}

/// After a command of `caller`: first what it has changed, then what it has read.
pub(crate) fn after(core: &mut Core, command: CommandRef, caller: &Caller, args: Args<'_>) {
    gather(core, caller.id);
    // What a script reads is remembered, not what it declares.
    let is_script = matches!(command.row.crossing, Crossing::Script);
    if caller.tracks && command.row.flags.has(Flags::READONLY) && !is_script {
        let mut positions = Vec::new();
        keys_of(command, args, &mut positions);
        for at in positions {
            remember(core, args.at(at as usize), caller.reader());
        }
    }
}

/// A client has read a key of this shard.
pub fn remember(core: &mut Core, key: &[u8], reader: Reader) {
    let was_empty = core.tracking.read.is_empty();
    core.tracking.read.remember(key, reader);
    tell_len(core);
    if was_empty {
        update(core);
    }
    // One more than there may be costs another its place.
    let mut once = true;
    evict(core, &mut || std::mem::take(&mut once));
}

/// Whether somebody is to be told when a key changes.
pub fn is_tracked(core: &Core, key: &[u8]) -> bool {
    core.keyspace.effects.touches && (core.tracking.read.has(key) || core.pubsub.has_prefix_of(key))
}

/// Finds out whom the keys concern that have changed since it was last asked, by a command of `by` if not by themselves.
#[inline]
pub fn gather(core: &mut Core, by: ClientId) {
    if !core.keyspace.effects.touched.is_empty() {
        gather_all(core, by);
    }
}

fn gather_all(core: &mut Core, by: ClientId) {
    let mut touched = std::mem::take(&mut core.keyspace.effects.touched);
    for (key, by_itself) in touched.iter() {
        let readers = core.tracking.read.forget(key);
        let has_prefix = core.pubsub.has_prefix_of(key);
        if has_prefix || !readers.is_empty() {
            // Whoever was running when a key expired does not know of it.
            let by = if by_itself { ClientId::default() } else { by };
            let changed = Changed { key: key.into(), by };
            tell(core, readers, &changed);
            if has_prefix {
                core.tracking.changed.push(changed);
            }
        }
    }
    touched.clear();
    core.keyspace.effects.touched = touched;
    tell_len(core);
    update(core);
}

/// FLUSHALL, FLUSHDB, SWAPDB: whatever was read may have changed, of whichever database. Every shard runs them.
pub fn flushed(core: &mut Core) {
    core.tracking.read.clear();
    core.tracking.flushes += 1;
    tell_len(core);
    update(core);
}

/// Forgets keys of this shard while all shards have more than tracking-table-max-keys allows, this one more than its part, and
/// `may_go_on` says yes; their readers are told as though they had changed.
pub fn evict(core: &mut Core, may_go_on: &mut dyn FnMut() -> bool) {
    let max = core.config.tracking_table_max_keys;
    if max == 0 {
        return;
    }
    let part = part_of(max, core);
    while core.shared.tracked_keys.load(Relaxed) as u64 > max
        && core.tracking.read.len() > part
        && may_go_on()
    {
        let random = core.rng.next_u64();
        let (key, readers) = core.tracking.read.evict(random).expect("there are more than none");
        tell_len(core);
        tell(core, readers, &Changed { key: key.into(), by: ClientId::default() });
    }
}

/// A shard's part of the keys that all shards may remember: the parts add up to these, so when there are more one shard at
/// least has more than its part.
fn part_of(max: u64, core: &Core) -> usize {
    let shards = u64::from(core.shards);
    let has_one_more = u64::from(core.id.0) < max % shards;
    usize::try_from(max / shards + u64::from(has_one_more)).unwrap_or(usize::MAX)
}

/// Adds to the count of all shards what has come and gone here.
fn tell_len(core: &mut Core) {
    let (now, told) = (core.tracking.read.len(), core.tracking.told_len);
    if now != told {
        core.shared.tracked_keys.fetch_add(now.wrapping_sub(told), Relaxed);
        core.tracking.told_len = now;
    }
}

/// Periodic work: forgets what is too much, and frees what was forgotten, while `may_go_on` says yes. True when there is more.
pub fn upkeep(core: &mut Core, may_go_on: &mut dyn FnMut() -> bool) -> bool {
    evict(core, may_go_on);
    while may_go_on() {
        if !core.tracking.read.reclaim() {
            return false;
        }
    }
    true
}

/// Follows what clients of any core want to be told: has changed keys recorded, or not.
pub fn update(core: &mut Core) {
    let tracks = !core.tracking.read.is_empty() || core.pubsub.has_prefixes();
    if tracks != core.keyspace.effects.touches {
        effects::track(core, tracks);
    }
}

fn tell(core: &mut Core, readers: Vec<Reader>, changed: &Changed) {
    let invalid = readers.into_iter().map(|reader| Invalid { reader, changed: changed.clone() });
    core.tracking.invalid.extend(invalid);
}

#[cfg(test)]
mod tests {
    use crate::testing::World;

    /// Runs the command lines, the last as another client's, and says who is told of what: `1:key`, `*:key` for whoever has
    /// a prefix of it, `all`.
    #[track_caller]
    fn check(commands: &[&str], by_other: &str, expected: &str) {
        let mut world = World::new(1);
        commands.iter().for_each(|command| drop(world.run(command)));
        let (own, other) = (world.client, world.connect(0));
        world.client = other;
        world.run(by_other);
        world.client = own;
        let tracking = &world.cores[0].tracking;
        let text = |key: &[u8]| key.escape_ascii().to_string();
        let mut told: Vec<String> = tracking
            .invalid
            .iter()
            .map(|one| format!("{}:{}", one.reader.id.0, text(&one.changed.key)))
            .chain(tracking.changed.iter().map(|one| format!("*:{}", text(&one.key))))
            .collect();
        told.extend((0..tracking.flushes).map(|_| "all".to_owned()));
        assert_eq!(told.join(" "), expected, "{commands:?}, then {by_other}");
    }

    #[test]
    fn readers_are_told_once_when_a_key_changes() {
        check(&["CLIENT TRACKING ON", "GET a"], "SET a 1", "1:a");
        check(&["CLIENT TRACKING ON", "GET a"], "SET b 1", "");
        check(&["CLIENT TRACKING ON", "GET a", "SET a 1"], "SET a 2", "1:a");
        check(&["CLIENT TRACKING ON", "MGET a b c"], "DEL a b c", "");
        check(&["CLIENT TRACKING ON", "MSET a 1 b 1", "MGET a b c"], "DEL a b c", "1:a 1:b");
        check(&["GET a", "CLIENT TRACKING ON"], "SET a 1", "");
        check(&["CLIENT TRACKING ON", "SET a 1"], "SET a 2", "");
        for everything in ["FLUSHALL", "FLUSHDB", "SWAPDB 0 1"] {
            check(&["CLIENT TRACKING ON", "GET a"], everything, "all");
        }
        check(&["CLIENT TRACKING ON", "GET a"], "FLUSHALL nonsense", "");
    }

    #[test]
    fn caching_is_chosen_or_declined_for_one_command() {
        let optin = ["CLIENT TRACKING ON OPTIN", "GET a", "CLIENT CACHING YES", "GET b"];
        check(&optin, "MSET a 1 b 1", "1:b");
        let optout = ["CLIENT TRACKING ON OPTOUT", "GET a", "CLIENT CACHING NO", "GET b"];
        check(&optout, "MSET a 1 b 1", "1:a");
    }

    #[test]
    fn prefixes_are_for_all_keys_that_begin_so() {
        let tracking = ["CLIENT TRACKING ON BCAST PREFIX a PREFIX b"];
        check(&tracking, "MSET a 1 ab 2 c 3 b 4", "*:a *:ab *:b");
        check(&["CLIENT TRACKING ON BCAST"], "MSET a 1 c 3", "*:a *:c");
        check(&["CLIENT TRACKING ON BCAST", "CLIENT TRACKING OFF"], "SET a 1", "");
    }

    #[test]
    fn keys_beyond_the_limit_are_told_and_forgotten() {
        let mut world = World::new(1);
        world.run("CONFIG SET tracking-table-max-keys 2");
        world.run("CLIENT TRACKING ON");
        ["a", "b", "c", "d", "a"].iter().for_each(|key| drop(world.run(&format!("GET {key}"))));
        let tracking = &world.cores[0].tracking;
        assert_eq!(tracking.read.len(), 2);
        assert!((2..=3).contains(&tracking.invalid.len()), "{:?}", tracking.invalid);
    }

    #[test]
    fn the_limit_is_for_the_keys_of_all_shards_together() {
        let mut world = World::new(3);
        let parts = |world: &World| [0, 1, 2].map(|core| super::part_of(8, &world.cores[core]));
        assert_eq!(parts(&world), [3, 3, 2], "and what is left over");
        world.run("CLIENT TRACKING ON");
        world.run("CONFIG SET tracking-table-max-keys 8");
        let told =
            |world: &World| -> usize { world.cores.iter().map(|core| core.tracking.invalid.len()).sum() };
        (0..8).for_each(|key| drop(world.run(&format!("GET {{a}}{key}"))));
        assert_eq!(
            told(&world),
            0,
            "one shard has more than its part, but they have no more than all may have"
        );
        (0..9).for_each(|key| drop(world.run(&format!("GET {{b}}{key}"))));
        world.cores.iter_mut().for_each(|core| super::evict(core, &mut || true));
        let left: usize = world.cores.iter().map(|core| core.tracking.read.len()).sum();
        assert_eq!((left, told(&world)), (8, 9));
    }

    #[test]
    fn nothing_is_recorded_while_nobody_tracks() {
        let mut world = World::new(1);
        world.run("SET a 1");
        assert!(!world.cores[0].keyspace.effects.touches);
        world.run("CLIENT TRACKING ON");
        world.run("GET a");
        assert!(world.cores[0].keyspace.effects.touches);
        world.run("SET a 2");
        assert!(!world.cores[0].keyspace.effects.touches, "nobody has read anything that is still there");
    }
}
