//! WATCH and UNWATCH: which keys a client watches, and whether they have changed.

use super::Transaction;
use crate::client::ClientSlot;
use crate::core::Core;
use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use keyspace::{Access, Key, Keyspace, Version};
use stdx::{Args, DbIndex, ShardId, UnixMs};

/// A watched key, as its client's core remembers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// Its database.
    pub db: DbIndex,
    /// Whose shard counts its versions.
    pub shard: ShardId,
    /// The key.
    pub key: Box<[u8]>,
    /// What it was when it was watched.
    pub version: Version,
    /// Whether it was there then.
    pub existed: bool,
}

impl Watched {
    /// Begins to watch a key of this core's shard. Its client's core takes it down with [`note`]. A key that has expired
    /// is removed first: that is no change then.
    pub fn begin(core: &mut Core, db: DbIndex, key: &[u8], now: UnixMs) -> Self {
        let shard = core.id;
        let existed = core.keyspace.find(db, Key::new(key), now, Access::Peek).is_some();
        let version = core.keyspace.watch(db, Key::new(key));
        Self { db, shard, key: key.into(), version, existed }
    }
}

/// WATCH key [key ...] inside MULTI.
pub(super) fn watch(_: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    Err(CommandError::WATCH_IN_MULTI)
}

/// UNWATCH
pub(super) fn unwatch(ctx: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    let slot = ctx.client_slot();
    unwatch_all(ctx.core, slot);
    ctx.out.ok();
    Ok(Outcome::Done)
}

/// Takes down that a client of this core watches a key, of this shard or another. A key that the client watches already keeps its old version, and
/// the watch just begun is to be ended.
pub fn note(core: &mut Core, client: ClientSlot, watched: Watched) {
    if is_watched(core, client, watched.db, &watched.key) {
        return end_watch(core, watched);
    }
    transaction(core, client).watched.push(watched);
}

/// Ends all watches of a client: at once those of this core's keys, and the others by leaving them in `core.unwatched`.
#[inline]
pub fn unwatch_all(core: &mut Core, client: ClientSlot) {
    let transaction = core.clients.get_mut(client).and_then(|client| client.transaction.as_mut());
    let Some(transaction) = transaction.filter(|transaction| !transaction.watched.is_empty()) else { return };
    let watched = std::mem::take(&mut transaction.watched);
    end_watches(core, watched);
}

/// Ends watches of a client of this core that are noted nowhere any more, in the same way.
pub fn end_watches(core: &mut Core, watched: Vec<Watched>) {
    watched.into_iter().for_each(|watched| end_watch(core, watched));
}

/// Whether a watched key of this keyspace has changed, which it also has when it has expired since. One that was not there
/// may have expired without having been there in between: another database came in its place (SWAPDB).
pub fn has_changed(keyspace: &mut Keyspace, watched: &Watched, now: UnixMs) -> bool {
    let key = Key::new(&watched.key);
    // What has expired for this client is removed, so that it has for all others, whatever their clocks say.
    let is_another = keyspace.version(watched.db, key) != watched.version;
    let is_there = keyspace.find(watched.db, key, now, Access::Peek).is_some();
    is_another || (watched.existed && !is_there)
}

fn end_watch(core: &mut Core, watched: Watched) {
    if watched.shard == core.id {
        core.keyspace.unwatch(watched.db, Key::new(&watched.key));
    } else {
        core.unwatched.push(watched);
    }
}

fn is_watched(core: &mut Core, client: ClientSlot, db: DbIndex, key: &[u8]) -> bool {
    let watched = &transaction(core, client).watched;
    watched.iter().any(|watched| watched.db == db && *watched.key == *key)
}

fn transaction(core: &mut Core, client: ClientSlot) -> &mut Transaction {
    let client = core.clients.get_mut(client).expect("the client is in the table while its command runs");
    client.transaction.get_or_insert_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::World;

    fn register(core: &mut Core, client: ClientSlot, db: DbIndex, key: &[u8], now: UnixMs) {
        let watched = Watched::begin(core, db, key, now);
        note(core, client, watched);
    }

    /// Whether a key that is watched after `before` has changed after `after`.
    #[track_caller]
    fn check(before: &[&str], after: &[&str], changed: bool) {
        let mut world = World::new(1);
        before.iter().for_each(|command| drop(world.run(command)));
        let (client, now) = (world.client, world.now);
        register(&mut world.cores[0], client, DbIndex(0), b"k", now);
        for command in after {
            match command.strip_prefix("wait ") {
                Some(ms) => world.wait_ms(ms.parse().unwrap()),
                None => drop(world.run(command)),
            }
        }
        let watched = world.client().transaction.as_ref().unwrap().watched[0].clone();
        let now = world.now;
        let found = has_changed(&mut world.cores[0].keyspace, &watched, now);
        assert_eq!(found, changed, "{before:?}, WATCH k, {after:?}");
    }

    #[test]
    fn whatever_changes_a_key_is_seen() {
        for change in ["SET k w", "SET k v", "DEL k", "APPEND k x", "EXPIRE k 100", "RENAME k l", "PERSIST k"]
        {
            check(&["SET k v EX 1000"], &[change], true);
        }
        check(&["SET l v"], &["RENAME l k"], true);
        check(&["SET l v"], &["COPY l k"], true);
        check(&["SET k v"], &["FLUSHALL"], true);
        check(&["SET k v"], &["SWAPDB 0 1"], true);
        check(&["SET k v"], &["MOVE k 1"], true);
        check(&["LPUSH k a"], &["LPOP k"], true);
        check(&["SADD k a"], &["SADD k b"], true);
    }

    #[test]
    fn what_changes_nothing_is_no_change() {
        for command in ["GET k", "SET l v", "DEL l", "PERSIST k", "SELECT 1", "SETNX k w", "TOUCH k", "TTL k"]
        {
            check(&["SET k v"], &[command], false);
        }
        check(&["SADD k a"], &["SADD k a"], false);
        check(&[], &["FLUSHALL"], false);
        check(&[], &["SWAPDB 0 1"], false);
        check(&["SELECT 1", "SET k v", "SELECT 0"], &["SELECT 1", "SET k w", "SELECT 0"], false);
    }

    #[test]
    fn an_expiry_is_a_change_unless_the_key_had_expired_before() {
        check(&["SET k v PX 10"], &["wait 20"], true);
        check(&["SET k v PX 10"], &["wait 20", "GET k"], true);
        let mut world = World::new(1);
        world.run("SET k v PX 10");
        world.wait_ms(20);
        let (client, now) = (world.client, world.now);
        register(&mut world.cores[0], client, DbIndex(0), b"k", now);
        world.run("FLUSHALL");
        world.run("DEL k");
        let watched = world.client().transaction.as_ref().unwrap().watched[0].clone();
        assert!(!has_changed(&mut world.cores[0].keyspace, &watched, now));
    }

    #[test]
    fn a_key_that_has_expired_for_a_watcher_is_gone_for_all() {
        let mut world = World::new(1);
        world.run("SET k v PX 10");
        let (client, now) = (world.client, world.now);
        register(&mut world.cores[0], client, DbIndex(0), b"k", now);
        world.wait_ms(10);
        let watched = world.client().transaction.as_ref().unwrap().watched[0].clone();
        let now = world.now;
        assert!(has_changed(&mut world.cores[0].keyspace, &watched, now));
        // By the clock of another core.
        world.wait_ms(-5);
        world.check(&["GET k"], "$-1");
    }

    #[test]
    fn an_expired_key_that_swapdb_brings_is_none() {
        let stale = ["SELECT 1", "SET k v PX 10", "SELECT 0"];
        for before in [&[][..], &["SET k v PX 10"]] {
            let mut world = World::new(1);
            stale.iter().chain(before).for_each(|command| drop(world.run(command)));
            world.wait_ms(20);
            let (client, now) = (world.client, world.now);
            register(&mut world.cores[0], client, DbIndex(0), b"k", now);
            world.run("SWAPDB 0 1");
            let watched = world.client().transaction.as_ref().unwrap().watched[0].clone();
            assert!(!has_changed(&mut world.cores[0].keyspace, &watched, now), "{before:?}");
        }
    }

    #[test]
    fn a_key_is_watched_once_and_keeps_its_first_version() {
        let mut world = World::new(1);
        let (client, now) = (world.client, world.now);
        register(&mut world.cores[0], client, DbIndex(0), b"k", now);
        world.run("SET k v");
        register(&mut world.cores[0], client, DbIndex(0), b"k", now);
        register(&mut world.cores[0], client, DbIndex(1), b"k", now);
        let watched = world.client().transaction.as_ref().unwrap().watched.clone();
        assert_eq!(watched.len(), 2);
        assert!(has_changed(&mut world.cores[0].keyspace, &watched[0], now));
        assert!(!has_changed(&mut world.cores[0].keyspace, &watched[1], now));
        world.check(&["UNWATCH"], "+OK");
        assert_eq!(world.cores[0].keyspace.version(DbIndex(0), Key::new(b"k")), Version(0), "forgotten");
    }

    #[test]
    fn watches_of_other_shards_are_ended_by_the_server() {
        let mut world = World::new(2);
        let (client, now) = (world.client, world.now);
        for _ in 0..2 {
            let watched = Watched::begin(&mut world.cores[1], DbIndex(0), b"far", now);
            note(&mut world.cores[0], client, watched);
        }
        assert_eq!(world.cores[0].unwatched.len(), 1, "the second watch of the same key");
        world.run("UNWATCH");
        assert_eq!(world.cores[0].unwatched.len(), 2);
        assert!(world.client().transaction.as_ref().unwrap().watched.is_empty());
    }
}
