//! Sets and logs together; the sets are written here, as a server would that has all that the directory holds.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aof::{BootId, NodeId};
use coordinator::router::Router;
use datatypes::{StringRef, ValueRef};
use durable::generation;
use durable::manifest::{DbKeys, Manifest, Position};
use durable::recover::{self, Options, Recovered};
use durable::sets::{Commit, Draft};
use durable::store::Places;
use lacewing_tests::{RedisServer, Server, until};
use rdb::Version;
use rdb::file::{Attributes, Writer};
use stdx::{DbIndex, Rng, ShardId, Slot, UnixMs};
use storage::Directory;
use tempfile::TempDir;

use super::refused::refused;
use super::{LOGGING, directory, logs, now_ms, run, server};

/// A key of a set: its database, name and value, and when it expires.
type Pair<'a> = (u16, &'a str, &'a str, Option<i64>);

/// How a set is written.
#[derive(Clone, Copy)]
struct How {
    shards: u16,
    packed: bool,
    /// Its cut is at the ends of the logs; else it is of a time at which no log was written.
    with_log: bool,
}

const PLAIN: How = How { shards: 2, packed: false, with_log: true };

/// Writes a set of these keys, as if a server had all that is in the directory and these keys came of it.
fn save(dir: &TempDir, keys: &[Pair<'_>], how: How) -> Manifest {
    let places = Places::local(Arc::new(Directory::open(dir.path()).expect("it is there")));
    let boot = BootId(storage::boot_id().expect("the kernel says"));
    let now = UnixMs(now_ms());
    let found = recover::recover(&places, &Options::new(boot)).expect("it is in order");
    let (mut identity, mut loaded, ends) = match found {
        Recovered::Empty(empty) => {
            let (identity, loaded) = empty.accept(&places, NodeId([7; 20]), now).expect("it is in order");
            (identity, loaded, None)
        }
        Recovered::Whole(plan) => {
            let files = plan.set.iter().flat_map(|set| &set.files);
            let keys: Vec<Vec<DbKeys>> = files.map(|file| file.keys.clone()).collect();
            let (identity, loaded) = plan.accept(&places, &keys, now).expect("it is in order");
            (identity, loaded, plan.replays.last().map(|last| (last.generation, last.ends.clone())))
        }
    };
    let position = match ends.filter(|_| how.with_log) {
        Some((generation, lsns)) => Position { generation, cut: 0, lsns },
        None => {
            let generation = generation::next(&places).expect("it can be read");
            Position { generation, cut: 0, lsns: Vec::new() }
        }
    };
    let draft = Draft::begin(&places, &loaded, &mut Rng::new(now.0 as u64)).expect("it can be written");
    let router = Router::new(how.shards);
    let file = |shard| {
        let (bytes, counts) =
            file_of(keys.iter().filter(|key| router.shard_of(Slot::of(key.1.as_bytes())) == shard), shard);
        let mut file = draft.file(shard, how.packed).expect("it can be written");
        let bytes =
            if how.packed { zstd::encode_all(&bytes[..], 1).expect("memory has room") } else { bytes };
        file.write(&bytes).expect("it can be written");
        file.finish(counts).expect("it can be written")
    };
    let files = (0..how.shards).map(|shard| file(ShardId(shard))).collect();
    let commit = Commit { node: identity.node, version: "test".to_owned(), cut: now, now, position };
    draft.commit(commit, files, &mut identity, &mut loaded).expect("it can be written")
}

fn file_of<'a>(keys: impl Iterator<Item = &'a Pair<'a>>, shard: ShardId) -> (Vec<u8>, Vec<DbKeys>) {
    let mut writer = Writer::new(Version::V10, false);
    if shard.0 == 0 {
        writer.library(b"#!lua name=of_set\nredis.register_function('of_set', function() return 5 end)");
    }
    let mut counts: Vec<DbKeys> = Vec::new();
    let mut keys: Vec<_> = keys.collect();
    keys.sort_by_key(|key| key.0);
    for (db, key, value, expiry) in keys {
        let attributes = Attributes { expiry: expiry.map(UnixMs), ..Attributes::default() };
        let value = ValueRef::String(StringRef::Bytes(value.as_bytes()));
        writer.keys().key(DbIndex(*db), key.as_bytes(), attributes, value);
        match counts.last_mut().filter(|last| last.db == *db) {
            Some(last) => last.keys += 1,
            None => counts.push(DbKeys { db: *db, keys: 1 }),
        }
    }
    (writer.end().0, counts)
}

/// Its files, by shard.
fn files(dir: &TempDir, manifest: &Manifest) -> Vec<PathBuf> {
    let path = dir.path().join(format!("snapshots/{:010}", manifest.number));
    manifest.files.iter().map(|file| path.join(&file.name)).collect()
}

pub(super) fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).expect("it is there");
    bytes[at] ^= 1;
    std::fs::write(path, bytes).expect("it can be written");
}

/// A directory that a server of two cores has left, after it did this.
fn left_behind(lines: &str) -> Arc<TempDir> {
    let dir = directory();
    let mut old = server(&dir, 2, &[]);
    run(&mut old.client(), lines);
    old.kill();
    dir
}

const KEYS: [Pair<'_>; 6] = [
    (0, "a", "1", None),
    (0, "b", "2", None),
    (0, "c", "3", None),
    (2, "d", "4", None),
    (2, "a", "5", None),
    (0, "e", "6", None),
];

#[test]
fn a_set_is_loaded_by_all_cores_into_any_number_of_shards() {
    for packed in [false, true] {
        for shards in [1, 2, 3, 5] {
            let dir = directory();
            save(&dir, &KEYS, How { shards, packed, with_log: false });
            for cores in [2, 1, 3] {
                let mut new = server(&dir, cores, &[]);
                let mut client = new.client();
                assert_eq!(client.line("MGET a b c e"), "[\"1\", \"2\", \"3\", \"6\"]");
                assert_eq!(client.line("FCALL of_set 0"), ":5");
                assert_eq!(client.line("DBSIZE"), ":4");
                client.line("SELECT 2");
                assert_eq!(client.line("MGET a d"), "[\"5\", \"4\"]");
                new.kill();
            }
        }
    }
}

#[test]
fn the_log_goes_on_from_the_set() {
    for (packed, cores) in [(false, 2), (true, 2), (false, 3), (true, 1)] {
        let dir = left_behind("SET a 0 | SET gone 1 | MSET b 2 c 3 e 6 | DEL gone | SELECT 2 | SET d 4");
        save(&dir, &KEYS, How { packed, ..PLAIN });
        let mut second = server(&dir, cores, &[]);
        let mut client = second.client();
        assert_eq!(
            client.line("MGET a b c e"),
            "[\"1\", \"2\", \"3\", \"6\"]",
            "the set's, where both have it"
        );
        run(&mut client, "APPEND a x | MSET b 7 f 8 | DEL c | FUNCTION DELETE of_set");
        second.kill();
        let third = server(&dir, 2, &[]);
        let mut client = third.client();
        assert_eq!(client.line("MGET a b c e f"), "[\"1x\", \"7\", nil, \"6\", \"8\"]");
        assert_eq!(client.line("FUNCTION LIST"), "[]");
        assert!(third.log().contains("snapshots/0000000001"), "{}", third.log());
    }
}

/// The log may keep a key of a set whose time has come since.
#[test]
fn keys_of_a_set_expire_as_the_log_says() {
    let dir = left_behind("SET a 1");
    let soon = now_ms() + 3000;
    save(
        &dir,
        &[(0, "a", "1", Some(soon)), (0, "b", "2", Some(soon)), (0, "c", "3", Some(now_ms() - 5000))],
        PLAIN,
    );
    let mut second = server(&dir, 2, &[]);
    run(&mut second.client(), "PERSIST a");
    second.kill();
    until("the time comes", || (now_ms() > soon).then_some(()));
    for cores in [2, 3] {
        let mut third = server(&dir, cores, &[]);
        assert_eq!(third.client().line("MGET a b c"), "[\"1\", nil, nil]");
        third.kill();
    }
}

#[test]
fn hazard_8_a_flipped_bit_in_a_set_is_seen_and_the_log_makes_up_for_it_if_it_can() {
    let dir = left_behind("MSET a 1 b 2 c 3 e 6");
    for packed in [false, true] {
        let manifest = save(&dir, &KEYS, How { packed, ..PLAIN });
        let file = &files(&dir, &manifest)[1];
        flip(file, std::fs::metadata(file).expect("it is there").len() as usize / 2);
    }
    // All logs are still there from the beginning.
    let new = server(&dir, 2, &[]);
    new.wait_for_log("snapshot set 2 cannot be loaded");
    assert!(new.log().contains("bad crc64"), "{}", new.log());
    assert_eq!(new.client().line("MGET a b c e"), "[\"1\", \"2\", \"3\", \"6\"]");
    assert_eq!(new.client().line("FUNCTION LIST"), "[]", "nothing of the set is left");
    assert!(dir.path().join("quarantine/0000000001/snapshots/0000000002/manifest").exists());
}

#[test]
fn hazard_9_a_damaged_set_is_refused_and_an_older_one_is_taken_if_the_operator_says_so() {
    let dir = directory();
    save(&dir, &KEYS, How { with_log: false, ..PLAIN });
    let mut second = server(&dir, 2, &["--appendonly", "no"]);
    run(&mut second.client(), "SET a 7");
    second.kill();
    let newer = [(0, "a", "7", None), (0, "n", "8", None)];
    let manifest = save(&dir, &newer, How { with_log: false, packed: true, ..PLAIN });
    let file = &files(&dir, &manifest)[0];
    flip(file, std::fs::metadata(file).expect("it is there").len() as usize - 10);
    let name = file.file_name().expect("it has a name").to_string_lossy().into_owned();
    refused(
        dir.path(),
        &[],
        97,
        &["snapshot set 2 is not whole", &name, "bad crc64", "--on-load-failure previous"],
    );
    let mut new = server(&dir, 2, &["--on-load-failure", "previous"]);
    new.wait_for_log("is LOST");
    assert_eq!(new.client().line("MGET a n"), "[\"1\", nil]");
    new.kill();
    let again = server(&dir, 2, &[]);
    assert_eq!(again.client().line("MGET a n"), "[\"1\", nil]");
    assert!(dir.path().join("quarantine/0000000001/snapshots/0000000002").join(name).exists());
}

#[test]
fn hazard_4_a_set_without_one_of_its_files_is_refused() {
    let dir = directory();
    let manifest = save(&dir, &KEYS, How { with_log: false, ..PLAIN });
    let file = &files(&dir, &manifest)[1];
    let bytes = std::fs::read(file).expect("it is there");
    std::fs::remove_file(file).expect("it is there");
    refused(dir.path(), &[], 96, &["snapshot set 1 is not whole", "is missing", "Restore the set"]);
    std::fs::write(file, &bytes[..bytes.len() - 1]).expect("it can be written");
    refused(dir.path(), &[], 97, &["snapshot set 1 is not whole", "bytes, want"]);
    let other = directory();
    let foreign = save(&other, &KEYS, How { shards: 2, ..PLAIN });
    std::fs::copy(&files(&other, &foreign)[0], file).expect("it can be written");
    refused(dir.path(), &[], 97, &["snapshot set 1 is not whole"]);
    std::fs::write(file, &bytes).expect("it can be written");
    assert_eq!(server(&dir, 2, &[]).client().line("DBSIZE"), ":4");
}

/// The older set is whole, and nothing but the identity says that there was a newer one.
#[test]
fn hazard_4_a_set_that_went_is_missed_unless_the_log_has_it_all() {
    let dir = directory();
    save(&dir, &KEYS, How { with_log: false, ..PLAIN });
    save(&dir, &[(0, "n", "8", None)], How { with_log: false, ..PLAIN });
    let newest = dir.path().join("snapshots/0000000002");
    std::fs::remove_dir_all(&newest).expect("it is there");
    refused(dir.path(), &[], 96, &["snapshot set 2 is not whole", "is missing", "Restore the set"]);
    let new = server(&dir, 2, &["--on-load-failure", "previous"]);
    new.wait_for_log("is LOST");
    assert_eq!(new.client().line("DBSIZE"), ":4");
    drop(new);
    assert_eq!(server(&dir, 2, &[]).client().line("DBSIZE"), ":4");

    let dir = left_behind("MSET a 1 b 2 c 3 e 6");
    save(&dir, &KEYS, PLAIN);
    std::fs::remove_dir_all(dir.path().join("snapshots/0000000001")).expect("it is there");
    assert_eq!(server(&dir, 2, &[]).client().line("MGET a b c e"), "[\"1\", \"2\", \"3\", \"6\"]");
}

#[test]
fn hazard_6_files_without_a_manifest_are_no_set() {
    let dir = directory();
    let manifest = save(&dir, &KEYS, How { with_log: false, ..PLAIN });
    // An attempt that came to its end but for the manifest.
    let attempt = dir.path().join("snapshots/0000000002");
    std::fs::create_dir(&attempt).expect("the directory is writable");
    for file in files(&dir, &manifest) {
        let name = file.file_name().expect("it has a name");
        std::fs::copy(&file, attempt.join(name)).expect("it can be written");
    }
    let mut new = server(&dir, 2, &["--appendonly", "no"]);
    assert_eq!(new.client().line("DBSIZE"), ":4");
    new.kill();
    std::fs::remove_dir_all(&attempt).expect("it is there");
    // A set that lost its manifest was one.
    save(&dir, &[(0, "a", "7", None)], How { with_log: false, ..PLAIN });
    std::fs::remove_file(attempt.join("manifest")).expect("it is there");
    refused(dir.path(), &[], 96, &["snapshot set 2 is not whole", "is missing"]);
}

/// A set is what its files say, counted.
#[test]
fn a_set_with_other_keys_than_it_should_have_is_refused() {
    let dir = directory();
    let manifest = save(&dir, &KEYS, How { with_log: false, ..PLAIN });
    let path = dir.path().join("snapshots/0000000001/manifest");
    let mut wrong = manifest;
    wrong.files[0].keys[0].keys += 1;
    std::fs::write(path, stdx::envelope::seal(&wrong)).expect("it can be written");
    refused(dir.path(), &[], 98, &["snapshot set 1 is not whole", "keys in database 0, want"]);
}

/// Writes something for so long that cuts of the log were made meanwhile: one is made within a second while something is written.
pub(super) fn write_on(client: &mut lacewing_tests::Client) {
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(2500) {
        run(client, "INCR n");
    }
}

pub(super) fn seconds(time_ms: i64) -> String {
    format!("{}.{:03}", time_ms / 1000, time_ms % 1000)
}

/// The whole of it can be had again as it was at a time, and what is newer is kept aside.
#[test]
fn the_state_of_a_time_can_be_had() {
    for (before, cores) in [(true, 2), (false, 2), (true, 3), (false, 3), (true, 1)] {
        let dir = if before { left_behind("SET gone 1 | DEL gone") } else { directory() };
        if before {
            // A set that the logs go on from; the way to the time begins at it.
            save(&dir, &KEYS, PLAIN);
        }
        let mut old = server(&dir, 2, &[]);
        let mut client = old.client();
        run(&mut client, "MSET a 1 b 1");
        write_on(&mut client);
        let time = now_ms();
        run(&mut client, "FLUSHALL | MSET a 2 b 2");
        write_on(&mut client);
        let counted = client.line("GET n");
        old.kill();
        // And a set that is too new.
        save(&dir, &[(0, "a", "2", None)], PLAIN);
        let until = seconds(time);
        let args = ["--recover-until", &until];
        let mut then = server(&dir, cores, &args);
        then.wait_for_log("what is newer is left out, as was asked for");
        let mut client = then.client();
        assert_eq!(client.line("MGET a b"), "[\"1\", \"1\"]");
        assert_eq!(client.line("GET c"), if before { "\"3\"" } else { "nil" });
        assert_ne!(client.line("GET n"), counted);
        run(&mut client, "SET c 4");
        then.kill();
        // Whoever asks for the same time again, as a service does that is restarted, keeps what was written since.
        let mut again = server(&dir, 2, &args);
        again.wait_for_log("the parameter has no effect any more");
        assert_eq!(again.client().line("MGET a b c"), "[\"1\", \"1\", \"4\"]");
        run(&mut again.client(), "SET d 5");
        again.kill();
        let after = server(&dir, cores, &[]);
        assert_eq!(after.client().line("MGET a b c d"), "[\"1\", \"1\", \"4\", \"5\"]");
        let quarantine = dir.path().join("quarantine/0000000001/snapshots");
        let aside = std::fs::read_dir(quarantine).expect("it is there").count();
        assert_eq!(aside, 1, "the set that was too new");
    }
}

/// Without a log that is written the wish counts until a set was.
#[test]
fn a_state_of_a_time_that_was_not_written_again_is_found_again() {
    let dir = directory();
    let mut old = server(&dir, 2, &[]);
    let mut client = old.client();
    run(&mut client, "MSET a 1 b 1");
    write_on(&mut client);
    let until = seconds(now_ms());
    run(&mut client, "MSET a 2 b 2");
    write_on(&mut client);
    old.kill();
    let mut then = server(&dir, 2, &["--recover-until", &until, "--appendonly", "no"]);
    assert_eq!(then.client().line("MGET a b"), "[\"1\", \"1\"]");
    run(&mut then.client(), "SET a 3");
    then.kill();
    // What is newer than the time is still there, and is not to come back unasked.
    let mut again = server(&dir, 2, &[]);
    again.wait_for_log("this one goes on with it");
    assert_eq!(again.client().line("MGET a b"), "[\"1\", \"1\"]");
    run(&mut again.client(), "SET a 4");
    again.kill();
    assert_eq!(server(&dir, 2, &[]).client().line("MGET a b"), "[\"4\", \"1\"]");
}

/// Behind the newest cut is what was written since, and it was acknowledged.
#[test]
fn a_time_behind_everything_leaves_nothing_out() {
    for (is_future, cores) in [(false, 1), (true, 2), (false, 3)] {
        let dir = directory();
        let mut old = server(&dir, 2, &[]);
        let mut client = old.client();
        run(&mut client, "MSET a 1 b 1");
        write_on(&mut client);
        (0..300).for_each(|number| run(&mut client, &format!("SET k{number} 1")));
        old.kill();
        let written = now_ms();
        until("time goes on", || (now_ms() > written + 50).then_some(()));
        let time = seconds(now_ms() + if is_future { 3_600_000 } else { 0 });
        let args = ["--recover-until", &time];
        let mut then = server(&dir, cores, &args);
        then.wait_for_log("recover-until leaves nothing out");
        let mut client = then.client();
        assert_eq!(client.line("MGET a k299"), "[\"1\", \"1\"]");
        run(&mut client, "SET since 1");
        then.kill();
        // It is done, also when that time has come.
        let again = server(&dir, 2, &args);
        again.wait_for_log("the parameter has no effect any more");
        assert_eq!(again.client().line("MGET a k299 since"), "[\"1\", \"1\", \"1\"]");
    }
}

#[test]
fn a_time_before_all_that_is_kept_is_refused() {
    let dir = left_behind("SET a 1");
    refused(
        dir.path(),
        &["--recover-until", "1970-01-01T00:00:05Z"],
        102,
        &["nothing that is kept reaches back to 1970-01-01T00:00:05.000Z", "Ask for a later time"],
    );
}

/// Every file of a set is one that redis-server reads.
#[test]
fn redis_loads_the_file_of_a_shard() {
    let dir = directory();
    let manifest = save(&dir, &KEYS, How { shards: 1, packed: false, with_log: false });
    let copy = directory();
    std::fs::copy(&files(&dir, &manifest)[0], copy.path().join("dump.rdb")).expect("it can be written");
    let Some(redis) = RedisServer::on(copy, &[]) else { return };
    assert_eq!(redis.client().line("MGET a b c e"), "[\"1\", \"2\", \"3\", \"6\"]");
}

#[test]
fn hazard_12_a_signal_while_a_set_is_loaded_ends_the_server_and_harms_nothing() {
    let dir = directory();
    let names: Vec<String> = (0..50_000).map(|number| format!("k{number}")).collect();
    let keys: Vec<Pair<'_>> = names.iter().map(|name| (0, name.as_str(), "some value", None)).collect();
    save(&dir, &keys, How { with_log: false, packed: true, ..PLAIN });
    for (delay, cores) in [("1000", "2"), ("1000", "3"), ("0", "2")] {
        let args = [&LOGGING[..], &["--key-load-delay", delay, "--cores", cores]].concat();
        let mut new = Server::loading(Arc::clone(&dir), &args, &[]);
        new.signal("TERM");
        assert_eq!(new.wait().code(), Some(0));
        assert!(delay == "0" || !new.log().contains("ready to accept"), "{}", new.log());
    }
    assert_eq!(server(&dir, 2, &[]).client().line("DBSIZE"), ":50000");
    assert_eq!(logs(&dir, 1).len(), 2);
}
