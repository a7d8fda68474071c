//! `repl-diskless-load swapdb`: a full copy is loaded beside the data that is served, and takes its place in one step, or not at all.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Barrier};
use std::thread::JoinHandle;
use std::time::Duration;

use lacewing_tests::{Client, RedisServer, Server, show, until};
use resp::Value;
use stdx::rng::Rng;

use super::crashes::kill_and_look;
use super::master::{Master, full, rdb, sized, until_gone};
use super::{expect_own, field, replicaof, until_field, until_up, with_data};

pub(super) const BESIDE: [&str; 2] = ["--repl-diskless-load", "swapdb"];
/// So many keys take a payload of some 3 MB, which is loaded in several steps.
pub(super) const KEYS: usize = 40_000;
/// So long at most a master of a test waits for the test.
const STALL_MAX: Duration = Duration::from_secs(60);

pub(super) fn value(key: usize) -> String {
    format!("{key:0>60}")
}

/// An RDB file with all keys.
fn all_keys() -> Vec<u8> {
    let pairs: Vec<(String, String)> = (0..KEYS).map(|key| (format!("new:{key}"), value(key))).collect();
    rdb(&pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect::<Vec<_>>())
}

/// It has what [`all_keys`] has, and nothing else.
#[track_caller]
pub(super) fn expect_new(client: &mut Client) {
    assert_eq!(client.line("DBSIZE"), format!(":{KEYS}"));
    let commands: Vec<Vec<String>> = (0..KEYS).map(|key| vec!["GET".into(), format!("new:{key}")]).collect();
    for (chunk, start) in commands.chunks(1000).zip((0..KEYS).step_by(1000)) {
        for (reply, key) in client.pipeline(chunk).iter().zip(start..) {
            assert_eq!(reply, &Value::Bulk(value(key).into_bytes()), "new:{key}");
        }
    }
}

fn with(args: &[&str]) -> Server {
    with_data(&[&BESIDE, args].concat())
}

/// A field of INFO.
#[track_caller]
pub(super) fn info(client: &mut Client, name: &str) -> u64 {
    let all = client.call(&["INFO"]);
    let text = String::from_utf8_lossy(all.as_bytes().expect("INFO is text")).into_owned();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no number {name}"))
}

/// All files below a directory, with their sizes.
pub(super) fn files(dir: &Path) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    let mut left = vec![dir.to_owned()];
    while let Some(dir) = left.pop() {
        for entry in std::fs::read_dir(&dir).expect("a directory").map(|entry| entry.expect("an entry")) {
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => left.push(entry.path()),
                Ok(metadata) => _ = found.insert(entry.path().display().to_string(), metadata.len()),
                // It has gone meanwhile.
                Err(_) => {}
            }
        }
    }
    found
}

/// A master that gives all keys, but stops before the last bytes of each payload until it is told to go on.
struct Stalling {
    /// Before the master, which waits for it or for its end.
    go_on: Sender<()>,
    master: Master,
}

impl Stalling {
    fn start(left: usize) -> Self {
        let (go_on, may_go_on): (Sender<()>, Receiver<()>) = mpsc::channel();
        let payload = sized(&all_keys());
        let master = Master::start(move |stream, _| {
            full(stream, 'a', 100);
            let (first, last) = payload.split_at(payload.len() - left);
            let _ = stream.write_all(first);
            if may_go_on.recv_timeout(STALL_MAX).is_ok() {
                let _ = stream.write_all(last);
                until_gone(stream);
            }
        });
        Self { go_on, master }
    }

    fn go_on(&self) {
        self.go_on.send(()).expect("the master waits");
    }
}

/// Much of the payload is loaded, and the rest does not come.
#[track_caller]
pub(super) fn until_much_is_there(client: &mut Client) {
    until("much of it is in memory", || (info(client, "used_memory_incoming") > 2 << 20).then_some(()));
}

#[test]
fn the_old_data_is_read_until_the_new_is_there_and_never_a_mixture() {
    for cores in ["1", "2", "3"] {
        let stalling = Stalling::start(1);
        let server = with(&["--cores", cores, "--pin", "no"]);
        let mut client = server.client();
        let before = files(server.dir());
        replicaof(&mut client, stalling.master.port());
        until_much_is_there(&mut client);
        expect_own(&mut client);
        assert_eq!((info(&mut client, "loading"), info(&mut client, "async_loading")), (0, 1));
        assert!(info(&mut client, "loading_loaded_bytes") > 2 << 20);
        // More may come between the two.
        let incoming = info(&mut client, "used_memory_incoming");
        assert!(info(&mut client, "used_memory") > incoming);
        assert_eq!(files(server.dir()), before, "nothing is written");

        expect_exchange(&server, &mut client, || stalling.go_on());
        assert_eq!(files(server.dir()), before, "nothing was written");
        until("the old data is freed", || (info(&mut client, "lazyfree_pending_objects") == 0).then_some(()));
        assert!(!server.log().contains("panicked"));
    }
}

/// The rest of the copy comes: readers see one dataset or the other, and who watches a key of both is told.
#[track_caller]
pub(super) fn expect_exchange(server: &Server, client: &mut Client, go_on: impl FnOnce()) {
    let readers = Readers::start(server);
    assert_eq!(client.line("WATCH own:1 new:1"), "+OK");
    go_on();
    until_up(client);
    readers.end();
    assert_eq!(client.line("MULTI"), "+OK");
    assert_eq!(client.line("GET own:1"), "+QUEUED");
    assert_eq!(client.line("EXEC"), "nil[]", "what was watched has changed");
    expect_new(client);
    assert_eq!((info(client, "async_loading"), info(client, "used_memory_incoming")), (0, 0));
}

/// Clients that read keys of both datasets all the time.
pub(super) struct Readers {
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<usize>>,
}

impl Readers {
    /// Each has seen the old data then.
    pub(super) fn start(server: &Server) -> Self {
        let (is_over, begun) = (Arc::new(AtomicBool::new(false)), Arc::new(Barrier::new(3)));
        let threads = (0..2).map(|_| {
            let (mut client, is_over, begun) = (server.client(), Arc::clone(&is_over), Arc::clone(&begun));
            std::thread::spawn(move || watch_one_dataset(&mut client, &is_over, &begun))
        });
        let threads = threads.collect();
        begun.wait();
        Self { is_over, threads }
    }

    /// The new data is there: nobody has seen anything but one of both.
    #[track_caller]
    pub(super) fn end(self) {
        self.is_over.store(true, Ordering::Release);
        for thread in self.threads {
            assert!(thread.join().expect("it saw one dataset at a time") > 0);
        }
    }
}

/// Reads keys of both datasets, on all shards, until the new one was seen and it is over: it is always one of them. Returns how often
/// the old one was seen; `begun` when that was once.
fn watch_one_dataset(client: &mut Client, is_over: &AtomicBool, begun: &Barrier) -> usize {
    let own = (0..20).map(|key| format!("own:{key}"));
    let words: Vec<String> =
        ["MGET".to_owned()].into_iter().chain(own).chain((0..20).map(|key| format!("new:{key}"))).collect();
    let mut old = 0;
    let mut is_new = false;
    loop {
        let was_over = is_over.load(Ordering::Acquire);
        let reply = client.call(&words);
        let Value::Array(values) = &reply else { panic!("it is answered: {}", show(&reply)) };
        let is_there: Vec<bool> = values.iter().map(|value| matches!(value, Value::Bulk(_))).collect();
        let (own, new) = is_there.split_at(20);
        let is_one =
            |these: &[bool], those: &[bool]| these.iter().all(|is| *is) && those.iter().all(|is| !is);
        if is_one(own, new) {
            assert!(!is_new, "the old data is there again");
            old += 1;
            if old == 1 {
                begun.wait();
            }
        } else {
            assert!(is_one(new, own), "{}", show(&reply));
            is_new = true;
        }
        let size = client.line("DBSIZE");
        assert!(size == format!(":{KEYS}") || !is_new && size == ":101", "{size}");
        if was_over && is_new {
            return old;
        }
    }
}

#[test]
fn hazard_15_a_payload_that_is_cut_anywhere_leaves_the_old_data() {
    for log in ["no", "yes"] {
        let payload = sized(&all_keys());
        let cuts: Vec<usize> = [20, 1 << 20, (2 << 20) + 7, payload.len() - 9, payload.len() - 1].into();
        let mut next = cuts.clone().into_iter();
        let master = Master::start(move |stream, _| {
            full(stream, 'a', 100);
            let bytes = next.next().unwrap_or(payload.len());
            let _ = stream.write_all(&payload[..bytes]);
            if bytes == payload.len() {
                until_gone(stream);
            }
        });
        let server = with(&["--appendonly", log]);
        let mut client = server.client();
        for (sync, _) in cuts.iter().enumerate() {
            replicaof(&mut client, master.port());
            until_field(&mut client, "master_link_last_error", "the connection ended after");
            assert_eq!(master.syncs(), sync + 1);
            expect_own(&mut client);
            // The next attempt is made at once.
            assert_eq!(client.line("REPLICAOF NO ONE"), "+OK");
            expect_own(&mut client);
            assert_eq!(
                (info(&mut client, "async_loading"), info(&mut client, "used_memory_incoming")),
                (0, 0)
            );
        }
        replicaof(&mut client, master.port());
        until_up(&mut client);
        expect_new(&mut client);
    }
}

#[test]
fn hazard_15_a_payload_that_is_damaged_late_leaves_the_old_data() {
    let damaged = |change: fn(&mut Vec<u8>)| {
        let mut payload = all_keys();
        change(&mut payload);
        let payload = sized(&payload);
        Master::start(move |stream, _| {
            full(stream, 'a', 100);
            let _ = stream.write_all(&payload);
            until_gone(stream);
        })
    };
    let checksum = damaged(|payload| *payload.last_mut().expect("it has an end") = 7);
    // A type that there is not, behind most of the keys.
    let garbage = damaged(|payload| {
        let at = payload.len() - 9;
        payload[at] = 0xB0;
    });
    let twice = damaged(|payload| {
        let at = payload.len() - 9;
        payload.splice(at..at, *b"\x00\x05new:7\x01x").for_each(drop);
    });
    let behind = damaged(|payload| payload.extend_from_slice(b"more"));
    let server = with(&[]);
    let mut client = server.client();
    for (master, reason) in [
        (checksum, "checksum"),
        (garbage, "cannot be used"),
        (twice, "is there twice"),
        (behind, "behind its end"),
    ] {
        replicaof(&mut client, master.port());
        until_field(&mut client, "master_link_last_error", reason);
        expect_own(&mut client);
        assert_eq!(client.line("REPLICAOF NO ONE"), "+OK");
        assert_eq!((info(&mut client, "async_loading"), info(&mut client, "used_memory_incoming")), (0, 0));
    }
    assert_eq!(client.line("SET later 1"), "+OK");
}

#[test]
fn hazard_15_a_master_that_stalls_is_given_up_and_what_it_gave_is_freed() {
    let stalling = Stalling::start(1);
    let mut server = with(&["--repl-timeout", "2"]);
    let mut client = server.client();
    replicaof(&mut client, stalling.master.port());
    until_much_is_there(&mut client);
    until_field(&mut client, "master_link_last_error", "nothing was heard");
    expect_own(&mut client);
    until("it is dropped", || (info(&mut client, "used_memory_incoming") == 0).then_some(()));
    until("it is freed", || (info(&mut client, "lazyfree_pending_objects") == 0).then_some(()));
    expect_own(&mut client);
    assert!(server.stop().success());
}

#[test]
fn the_end_of_the_server_does_not_wait_for_a_copy_that_comes() {
    let stalling = Stalling::start(1);
    let mut server = with(&["--appendonly", "yes"]);
    let mut client = server.client();
    replicaof(&mut client, stalling.master.port());
    until_much_is_there(&mut client);
    assert!(server.stop().success());
    let again = Server::on(server.dir_handle(), &["--appendonly", "yes"]);
    expect_own(&mut again.client());
}

#[test]
fn replicaof_no_one_in_the_middle_keeps_the_old_data() {
    for log in ["no", "yes"] {
        let stalling = Stalling::start(1);
        let mut server = with(&["--appendonly", log]);
        let mut client = server.client();
        replicaof(&mut client, stalling.master.port());
        until_much_is_there(&mut client);
        assert_eq!(client.line("REPLICAOF NO ONE"), "+OK");
        expect_own(&mut client);
        assert_eq!(client.line("SET later 1"), "+OK");
        assert_eq!((info(&mut client, "async_loading"), info(&mut client, "used_memory_incoming")), (0, 0));
        stalling.go_on();
        until("it is freed", || (info(&mut client, "lazyfree_pending_objects") == 0).then_some(()));
        assert_eq!(client.line("DBSIZE"), ":102");
        if log == "yes" {
            server.kill();
            let again = Server::on(server.dir_handle(), &["--appendonly", log]);
            let mut client = again.client();
            assert_eq!(client.line("DEL later"), ":1");
            expect_own(&mut client);
        }
    }
}

#[test]
fn another_master_in_the_middle_gives_its_data_and_the_first_one_none() {
    let stalling = Stalling::start(1);
    let other = Master::start(|stream, _| {
        full(stream, 'b', 100);
        let _ = stream.write_all(&sized(&rdb(&[("k", "v")])));
        until_gone(stream);
    });
    let server = with(&[]);
    let mut client = server.client();
    replicaof(&mut client, stalling.master.port());
    until_much_is_there(&mut client);
    replicaof(&mut client, other.port());
    until_up(&mut client);
    assert_eq!(client.line("DBSIZE"), ":1");
    assert_eq!(client.line("GET k"), "\"v\"");
    stalling.go_on();
}

#[test]
fn the_old_data_is_not_evicted_for_the_new() {
    let stalling = Stalling::start(1);
    let server = with(&["--maxmemory", "2mb", "--maxmemory-policy", "allkeys-lru"]);
    let mut client = server.client();
    replicaof(&mut client, stalling.master.port());
    until_much_is_there(&mut client);
    assert!(info(&mut client, "used_memory") > 2 << 20);
    expect_own(&mut client);
    assert_eq!(client.line("REPLICAOF NO ONE"), "+OK");
    assert_eq!(client.line("SET later 1"), "+OK");
    assert_eq!(client.line("DBSIZE"), ":102");
    assert_eq!(info(&mut client, "evicted_keys"), 0);
    stalling.go_on();
}

#[test]
fn on_empty_db_is_that_while_there_are_no_keys() {
    let args = ["--repl-diskless-load", "on-empty-db"];
    for is_empty in [true, false] {
        let stalling = Stalling::start(1);
        let server = if is_empty { Server::with(&args) } else { with_data(&args) };
        let mut client = server.client();
        replicaof(&mut client, stalling.master.port());
        until_field(&mut client, "master_sync_in_progress", "1");
        if is_empty {
            until_much_is_there(&mut client);
        } else {
            let is_staged = || std::fs::read_dir(server.dir().join("sync")).is_ok_and(|dir| dir.count() == 1);
            until("it is kept on the disk", || is_staged().then_some(()));
            assert_eq!(info(&mut client, "async_loading"), 0);
        }
        stalling.go_on();
        until_up(&mut client);
        expect_new(&mut client);
    }
}

#[test]
fn a_log_that_is_switched_on_meanwhile_has_the_data_that_a_crash_leaves() {
    let stalling = Stalling::start(1);
    let mut server = with(&[]);
    let mut client = server.client();
    replicaof(&mut client, stalling.master.port());
    until_much_is_there(&mut client);
    assert_eq!(client.line("CONFIG SET appendonly yes"), "+OK");
    // The one that had begun without a file is of no use; the next has one.
    stalling.go_on();
    until_field(&mut client, "master_link_last_error", "the log was switched on");
    expect_own(&mut client);
    stalling.go_on();
    until_up(&mut client);
    expect_new(&mut client);
    server.kill();
    let again = Server::on(server.dir_handle(), &["--appendonly", "yes"]);
    expect_new(&mut again.client());
}

#[test]
fn hazard_15_a_replica_that_is_killed_while_it_loads_beside_has_the_old_data_or_the_new() {
    let Some(redis) = RedisServer::with(&["--repl-diskless-sync-delay", "0"]) else { return };
    let mut master = redis.client();
    assert_eq!(master.line("DEBUG POPULATE 20000 key 64"), "+OK");
    let mut rng = Rng::new(7);
    let (mut old, mut new) = (0, 0);
    for round in 0..10 {
        let cores = ["1", "2", "3"][round % 3];
        let args = ["--appendonly", "yes", "--cores", cores, "--pin", "no", "--key-load-delay", "2"];
        let server = with(&args);
        let mut client = server.client();
        replicaof(&mut client, redis.port());
        let has_new = kill_and_look(server, "yes", &mut rng);
        *(if has_new { &mut new } else { &mut old }) += 1;
    }
    println!("old {old}, new {new}");
}

#[test]
fn what_was_put_in_and_what_follows_survive_a_kill() {
    let Some(redis) = RedisServer::with(&["--repl-diskless-sync-delay", "0"]) else { return };
    let mut master = redis.client();
    assert_eq!(master.line("DEBUG POPULATE 20000 key 64"), "+OK");
    let mut server = with(&["--appendonly", "yes"]);
    let mut client = server.client();
    replicaof(&mut client, redis.port());
    until("the new data is there", || (client.line("EXISTS key:7") == ":1").then_some(()));
    server.kill();
    let mut server = Server::on(server.dir_handle(), &["--appendonly", "yes"]);
    let mut client = server.client();
    assert_eq!(client.line("DBSIZE"), ":20000");
    assert_eq!(client.line("CONFIG SET repl-diskless-load swapdb"), "+OK");
    replicaof(&mut client, redis.port());
    until_up(&mut client);
    assert_eq!(master.line("SET later 1"), "+OK");
    until("it follows", || (client.line("GET later") == "\"1\"").then_some(()));
    server.kill();
    let again = Server::on(server.dir_handle(), &["--appendonly", "yes"]);
    assert_eq!(again.client().line("DBSIZE"), ":20001");
}

#[test]
fn without_a_log_a_killed_replica_has_what_was_saved_last() {
    let stalling = Stalling::start(1);
    let mut server = with(&[]);
    let mut client = server.client();
    assert_eq!(client.line("SAVE"), "+OK");
    replicaof(&mut client, stalling.master.port());
    stalling.go_on();
    until_up(&mut client);
    expect_new(&mut client);
    server.kill();
    let mut server = Server::on(server.dir_handle(), &BESIDE);
    let mut client = server.client();
    expect_own(&mut client);
    replicaof(&mut client, stalling.master.port());
    stalling.go_on();
    until_up(&mut client);
    assert_eq!(client.line("SAVE"), "+OK");
    server.kill();
    let again = Server::on(server.dir_handle(), &[]);
    expect_new(&mut again.client());
}

#[test]
fn a_master_that_is_a_lacewing_gives_one_stream_or_flows() {
    for flows in ["no", "yes"] {
        let debug = ["--enable-debug-command", "yes"];
        let master =
            Server::with(&[&debug[..], &["--appendonly", "yes", "--cores", "3", "--pin", "no"]].concat());
        let mut theirs = master.client();
        assert_eq!(theirs.line("DEBUG POPULATE 20000 key 64"), "+OK");
        let server = with(&["--appendonly", "yes", "--repl-flows", flows]);
        let mut client = server.client();
        replicaof(&mut client, master.port());
        until_up(&mut client);
        assert_eq!(client.line("DBSIZE"), ":20000");
        assert_eq!(theirs.line("SET later 1"), "+OK");
        until("it follows", || (client.line("GET later") == "\"1\"").then_some(()));
        assert_eq!(field(&mut client, "role").as_deref(), Some("slave"));
    }
}

#[test]
fn who_waits_for_a_stream_hears_of_what_the_new_data_has_there() {
    let Some(redis) = RedisServer::with(&["--repl-diskless-sync-delay", "0"]) else { return };
    assert_eq!(redis.client().line("XADD stream 5-0 k v"), "\"5-0\"");
    // So that there is time to wait.
    let server = with(&["--key-load-delay", "300000"]);
    let mut client = server.client();
    replicaof(&mut client, redis.port());
    let mut waiting = server.client();
    waiting.send(&["XREAD", "BLOCK", "30000", "STREAMS", "stream", "1-0"]);
    assert!(show(&waiting.read()).contains("5-0"));
}
