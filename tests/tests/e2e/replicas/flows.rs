//! Full copies that come in flows, from masters that do what a test says: kept on the disk, or loaded beside the data that is served.

use datatypes::{StringRef, ValueRef};
use lacewing_tests::{Client, Server, until};
use rdb::Version;
use rdb::file::{Attributes, Writer};
use stdx::DbIndex;
use stdx::rng::Rng;

use super::beside::{BESIDE, KEYS, expect_exchange, expect_new, files, info, until_much_is_there, value};
use super::crashes::kill_and_look;
use super::flow_master::{FlowMaster, Sent, shard_of};
use super::{expect_own, replicaof, until_field, until_up, with_data};

const LIBRARY: &[u8] = b"#!lua name=lib\nredis.register_function{function_name='f', flags={'no-writes'}, callback=function() return 7 end}";
const SHARDS: usize = 3;

/// A file of a snapshot, with these keys and libraries.
fn file(keys: &[String], libraries: &[&[u8]]) -> Vec<u8> {
    let mut writer = Writer::new(Version::V10, false);
    libraries.iter().for_each(|code| writer.library(code));
    for key in keys {
        let number = key.strip_prefix("new:").and_then(|number| number.parse().ok()).unwrap_or(0);
        let value = value(number);
        let value = ValueRef::String(StringRef::Bytes(value.as_bytes()));
        writer.keys().key(DbIndex(0), key.as_bytes(), Attributes::default(), value);
    }
    writer.end().0
}

/// The keys of a shard, of those that [`expect_new`] wants.
fn keys_of(shard: usize) -> Vec<String> {
    (0..KEYS).map(|key| format!("new:{key}")).filter(|key| shard_of(key, SHARDS) == shard).collect()
}

/// A file for each shard of a master.
fn all() -> Vec<Sent> {
    (0..SHARDS).map(|shard| Sent::whole(file(&keys_of(shard), &[]))).collect()
}

/// The same, with a library.
fn with_library() -> Vec<Sent> {
    let mut files = all();
    files[0].bytes = file(&keys_of(0), &[LIBRARY]);
    files
}

fn with(args: &[&str]) -> Server {
    with_data(&[&BESIDE, args].concat())
}

fn expect_library(client: &mut Client) {
    assert_eq!(client.line("FCALL f 0"), ":7");
}

#[test]
fn by_flows_the_old_data_is_read_until_the_new_is_there_and_never_a_mixture() {
    for (cores, is_packed) in [("1", false), ("2", true), ("3", false), ("4", true)] {
        let mut sent = with_library();
        if is_packed {
            sent.iter_mut()
                .for_each(|file| file.bytes = zstd::encode_all(&file.bytes[..], 1).expect("memory"));
        }
        let last = &mut sent[1];
        last.waits_at = Some(last.bytes.len() - 1);
        let master = FlowMaster::start(sent);
        let server = with(&["--cores", cores, "--pin", "no"]);
        let mut client = server.client();
        let before = files(server.dir());
        replicaof(&mut client, master.port());
        until_much_is_there(&mut client);
        expect_own(&mut client);
        assert_eq!((info(&mut client, "loading"), info(&mut client, "async_loading")), (0, 1));
        assert!(client.line("FCALL f 0").contains("Function not found"));
        assert_eq!(files(server.dir()), before, "nothing is written");

        expect_exchange(&server, &mut client, || master.go_on());
        expect_library(&mut client);
        assert_eq!(files(server.dir()), before, "nothing was written");
        assert!(!server.log().contains("panicked"));
    }
}

#[test]
fn by_flows_what_is_loaded_beside_is_kept_where_data_is() {
    let master = FlowMaster::start(with_library());
    let mut server = with(&["--appendonly", "yes"]);
    let mut client = server.client();
    replicaof(&mut client, master.port());
    until_up(&mut client);
    expect_new(&mut client);
    server.kill();
    let again = Server::on(server.dir_handle(), &["--appendonly", "yes"]);
    let mut client = again.client();
    expect_new(&mut client);
    expect_library(&mut client);
}

#[test]
fn hazard_15_a_file_of_a_flow_that_is_no_part_of_a_dataset_leaves_the_old_data() {
    // What is said where it is read from the disk, and where it is loaded while it comes.
    let mut lies: Vec<((&str, &str), Vec<Sent>)> = Vec::new();
    let mut lie = |on_disk, beside, change: &dyn Fn(&mut [Sent])| {
        let mut files = with_library();
        change(&mut files);
        lies.push(((on_disk, beside), files));
    };
    lie("a file has", "a file has", &|files| files[2].has_wrong_sum = true);
    lie("checksum", "checksum", &|files| *files[1].bytes.last_mut().expect("it has an end") ^= 7);
    // A type that there is not, behind all keys.
    lie("cannot be used", "cannot be used", &|files| {
        let at = files[1].bytes.len() - 9;
        files[1].bytes[at] = 0xB0;
    });
    lie("cannot be used", "cannot be used", &|files| files[0].bytes.truncate(1 << 19));
    lie("behind its end", "behind its end", &|files| files[2].bytes.extend_from_slice(b"more"));
    lie("there twice", "there twice", &|files| {
        let mut keys = keys_of(1);
        keys.push(keys[7].clone());
        files[1].bytes = file(&keys, &[]);
    });
    // The same key in the files of two shards: in one of them it is another's.
    lie("another shard's", "there twice", &|files| {
        let mut keys = keys_of(1);
        keys.push(keys_of(2)[7].clone());
        files[1].bytes = file(&keys, &[]);
    });
    let of_libraries = "several files have libraries";
    lie(of_libraries, of_libraries, &|files| files[2].bytes = file(&keys_of(2), &[LIBRARY]));
    lie("incomplete frame", "zstd frame is not ended", &|files| {
        files[1].bytes = zstd::encode_all(&files[1].bytes[..], 1).expect("memory");
        files[1].bytes.pop();
    });
    lie("empty file", "empty file", &|files| files[1].bytes.clear());
    for (how, log) in [("disabled", "yes"), ("swapdb", "no"), ("swapdb", "yes")] {
        let mut server =
            with_data(&["--repl-diskless-load", how, "--appendonly", log, "--cores", "2", "--pin", "no"]);
        let mut client = server.client();
        for ((on_disk, beside), files) in &lies {
            let master = FlowMaster::start(files.clone());
            replicaof(&mut client, master.port());
            let reason = if how == "disabled" { on_disk } else { beside };
            until_field(&mut client, "master_link_last_error", reason);
            expect_own(&mut client);
            assert_eq!(client.line("REPLICAOF NO ONE"), "+OK");
            expect_own(&mut client);
            assert_eq!(
                (info(&mut client, "async_loading"), info(&mut client, "used_memory_incoming")),
                (0, 0)
            );
        }
        assert_eq!(client.line("SET later 1"), "+OK");
        assert!(!server.log().contains("panicked"), "{how}, log {log}");
        assert!(server.stop().success());
        let master = FlowMaster::start(with_library());
        let again = Server::on(server.dir_handle(), &["--repl-diskless-load", how, "--appendonly", log]);
        let mut client = again.client();
        replicaof(&mut client, master.port());
        until_up(&mut client);
        expect_new(&mut client);
    }
}

/// One flow's file is refused while others, which the same core reads, come to their ends.
#[test]
fn hazard_15_a_file_that_is_refused_where_others_are_read_leaves_the_old_data() {
    const FLOWS: usize = 16;
    let keys_of =
        |shard| (0..400).map(|key| format!("new:{key}")).filter(move |key| shard_of(key, FLOWS) == shard);
    let server = with(&["--cores", "1"]);
    let mut client = server.client();
    for round in 0..20 {
        let mut files: Vec<Sent> = (0..FLOWS)
            .map(|shard| Sent {
                waits_at: Some(20),
                ..Sent::whole(file(&keys_of(shard).collect::<Vec<_>>(), &[]))
            })
            .collect();
        let lying = round % FLOWS;
        let keys: Vec<String> = keys_of(lying).chain(keys_of(lying).take(1)).collect();
        files[lying].bytes = file(&keys, &[]);
        let master = FlowMaster::start(files);
        replicaof(&mut client, master.port());
        until_field(&mut client, "master_link_state", "sync");
        master.go_on();
        until_field(&mut client, "master_link_last_error", "there twice");
        expect_own(&mut client);
        assert_eq!(client.line("REPLICAOF NO ONE"), "+OK");
    }
    assert!(!server.log().contains("panicked"));
}

#[test]
fn hazard_15_flows_that_are_cut_anywhere_leave_the_old_data() {
    for (how, log) in [("disabled", "no"), ("swapdb", "no"), ("swapdb", "yes")] {
        let server =
            with_data(&["--repl-diskless-load", how, "--appendonly", log, "--cores", "2", "--pin", "no"]);
        let mut client = server.client();
        let len = all()[1].bytes.len();
        for ends_at in [20, 1 << 17, (1 << 18) + 7, len - 9, len - 1] {
            let mut files = all();
            files[1].ends_at = Some(ends_at);
            let master = FlowMaster::start(files);
            replicaof(&mut client, master.port());
            until_field(&mut client, "master_link_last_error", "flow 1: ");
            expect_own(&mut client);
            assert_eq!(client.line("REPLICAOF NO ONE"), "+OK");
            expect_own(&mut client);
            assert_eq!(
                (info(&mut client, "async_loading"), info(&mut client, "used_memory_incoming")),
                (0, 0)
            );
        }
        let master = FlowMaster::start(all());
        replicaof(&mut client, master.port());
        until_up(&mut client);
        expect_new(&mut client);
        assert!(!server.log().contains("panicked"), "{how}, log {log}");
    }
}

/// One whose second file stops before its end until it is told to go on.
fn stalling() -> FlowMaster {
    let mut files = all();
    files[1].waits_at = Some(files[1].bytes.len() - 1);
    FlowMaster::start(files)
}

#[test]
fn hazard_15_flows_that_stall_are_given_up_and_what_they_gave_is_freed() {
    let master = stalling();
    let mut server = with(&["--repl-timeout", "2"]);
    let mut client = server.client();
    replicaof(&mut client, master.port());
    until_much_is_there(&mut client);
    until_field(&mut client, "master_link_last_error", "nothing was heard");
    expect_own(&mut client);
    assert_eq!(client.line("REPLICAOF NO ONE"), "+OK");
    until("it is dropped", || (info(&mut client, "used_memory_incoming") == 0).then_some(()));
    until("it is freed", || (info(&mut client, "lazyfree_pending_objects") == 0).then_some(()));
    expect_own(&mut client);
    assert!(server.stop().success());
}

#[test]
fn replicaof_no_one_while_flows_are_loaded_keeps_the_old_data() {
    for log in ["no", "yes"] {
        let master = stalling();
        let mut server = with(&["--appendonly", log]);
        let mut client = server.client();
        replicaof(&mut client, master.port());
        until_much_is_there(&mut client);
        assert_eq!(client.line("REPLICAOF NO ONE"), "+OK");
        expect_own(&mut client);
        assert_eq!((info(&mut client, "async_loading"), info(&mut client, "used_memory_incoming")), (0, 0));
        // Another one takes its place.
        let other = FlowMaster::start(all());
        replicaof(&mut client, other.port());
        until_up(&mut client);
        expect_new(&mut client);
        assert!(server.stop().success());
    }
}

#[test]
fn the_end_of_the_server_does_not_wait_for_flows_that_are_loaded() {
    for log in ["no", "yes"] {
        let master = stalling();
        let mut server = with(&["--appendonly", log, "--cores", "2", "--pin", "no"]);
        let mut client = server.client();
        assert_eq!(client.line("SAVE"), "+OK");
        replicaof(&mut client, master.port());
        until_much_is_there(&mut client);
        assert!(server.stop().success());
        expect_own(&mut Server::on(server.dir_handle(), &["--appendonly", log]).client());
    }
}

#[test]
fn hazard_15_a_replica_that_is_killed_while_it_loads_flows_beside_has_the_old_data_or_the_new() {
    let debug = ["--enable-debug-command", "yes"];
    let master =
        Server::with(&[&debug[..], &["--appendonly", "yes", "--cores", "3", "--pin", "no"]].concat());
    assert_eq!(master.client().line("DEBUG POPULATE 20000 key 64"), "+OK");
    let mut rng = Rng::new(7);
    let (mut old, mut new) = (0, 0);
    for round in 0..10 {
        let cores = ["1", "2", "3"][round % 3];
        let args = ["--appendonly", "yes", "--cores", cores, "--pin", "no", "--key-load-delay", "2"];
        let server = with(&args);
        let mut client = server.client();
        replicaof(&mut client, master.addr().port());
        let has_new = kill_and_look(server, "yes", &mut rng);
        *(if has_new { &mut new } else { &mut old }) += 1;
    }
    println!("old {old}, new {new}");
}
