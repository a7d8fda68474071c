//! Two Lacewings, with flows between them: on all mixtures of cores, under load, with links that are cut and nodes that are killed.

use super::{field, ok};
use crate::masters::follow::{busy, under_load, under_waiting_load};
use crate::masters::{check_same, linked, stat};
use lacewing_tests::{Client, Proxy, Server, copy_dir, show, until};
use std::sync::Arc;
use tempfile::TempDir;

pub(super) const FIXED: &[&str] = &[
    "--pin",
    "no",
    "--enable-debug-command",
    "yes",
    "--repl-ping-replica-period",
    "1",
    "--repl-flows",
    "yes",
];

pub(super) fn node(cores: &str, args: &[&str]) -> Server {
    Server::with(&[FIXED, &["--cores", cores], args].concat())
}

pub(super) fn node_on(dir: Arc<TempDir>, cores: &str, args: &[&str]) -> Server {
    Server::on(dir, &[FIXED, &["--cores", cores], args].concat())
}

/// A master that writes a log.
pub(super) fn master(cores: &str) -> Server {
    node(cores, &["--appendonly", "yes"])
}

#[track_caller]
pub(super) fn replicaof(replica: &Server, port: u16) {
    assert_eq!(replica.client().line(&format!("REPLICAOF 127.0.0.1 {port}")), "+OK");
    linked(replica);
}

/// How the replicas of a master are told of: by flows, or by a stream.
#[track_caller]
fn link_of(master: &Server) -> String {
    let list = master.client().line("CLIENT LIST TYPE replica");
    let command = list.split("cmd=").nth(1).and_then(|rest| rest.split(' ').next());
    command.unwrap_or_else(|| panic!("nobody follows: {list}")).to_owned()
}

pub(super) fn partial(replica: &Server) -> u64 {
    field(&mut replica.client(), "master_partial_syncs").parse().expect("a number")
}

#[test]
fn they_are_the_same_on_all_mixtures_of_cores() {
    for (cores, others, log) in [
        ("1", "1", "no"),
        ("2", "2", "yes"),
        ("2", "1", "yes"),
        ("1", "3", "no"),
        ("3", "2", "yes"),
        ("2", "3", "no"),
    ] {
        let (from, to) = (master(cores), node(others, &["--appendonly", log]));
        under_load(&from, || {
            busy(&from, 500);
            replicaof(&to, from.port());
            busy(&from, 3000);
        });
        check_same(&from, &to);
        assert_eq!((stat(&mut from.client(), "sync_full"), link_of(&from).as_str()), (1, "lacewing.sync"));
    }
}

#[test]
fn what_is_written_comes_as_it_was_done() {
    for others in ["2", "3"] {
        let (from, to) = (master("2"), node(others, &["--appendonly", "yes"]));
        replicaof(&to, from.port());
        let (mut client, mut there) = (from.client(), to.client());
        let script = "redis.call('SET', KEYS[1], 'a') redis.call('INCR', KEYS[2]) return 1";
        ok(&mut client, &["EVAL", script, "2", "one", "two"]);
        let library = "#!lua name=two\nredis.register_function('two', function(keys) return redis.call('INCR', keys[1]) end)";
        ok(&mut client, &["FUNCTION", "LOAD", library]);
        ok(&mut client, &["FCALL", "two", "1", "counted"]);
        ok(&mut client, &["SET", "gone", "1", "PX", "30"]);
        ok(&mut client, &["MSET", "a", "1", "b", "2", "c", "3", "d", "4"]);
        ok(&mut client, &["RENAME", "a", "e"]);
        ok(&mut client, &["SINTERSTORE", "to", "a1", "b1"]);
        ok(&mut client, &["SELECT", "5"]);
        ok(&mut client, &["SET", "five", "5"]);
        ok(&mut client, &["SWAPDB", "5", "6"]);
        ok(&mut client, &["SELECT", "0"]);
        until("it has expired", || (client.line("EXISTS gone") == ":0").then_some(()));
        check_same(&from, &to);
        assert_eq!(there.line("GET counted"), "\"1\"");
        assert_eq!(there.line("FUNCTION LIST"), client.line("FUNCTION LIST"));
        ok(&mut client, &["FLUSHALL"]);
        ok(&mut client, &["SET", "after", "1"]);
        check_same(&from, &to);
        assert_eq!(there.line("DBSIZE"), ":1");
    }
}

#[test]
fn a_client_that_waits_has_its_writes_there() {
    let (from, to) = (master("2"), node("2", &["--appendonly", "yes"]));
    replicaof(&to, from.port());
    let mut there = to.client();
    let mut clients: Vec<_> = (0..4).map(|_| from.client()).collect();
    for round in 0..30 {
        for (index, client) in clients.iter_mut().enumerate() {
            ok(client, &["MSET", &format!("a{index}"), &round.to_string(), &format!("b{index}"), "1"]);
            ok(client, &["SET", &format!("c{index}"), &round.to_string()]);
            assert_eq!(client.line("WAIT 1 30000"), ":1");
            for key in ["a", "c"] {
                assert_eq!(there.line(&format!("GET {key}{index}")), format!("\"{round}\""));
            }
        }
    }
}

#[test]
fn a_client_that_waits_while_nobody_follows_is_answered_when_somebody_does() {
    let (from, mut to) = (master("2"), node("2", &["--appendonly", "yes"]));
    replicaof(&to, from.port());
    let mut client = from.client();
    ok(&mut client, &["SET", "a", "1"]);
    assert_eq!(client.line("WAIT 1 30000"), ":1");
    to.kill();
    until("nobody follows", || (field(&mut client, "connected_slaves") == "0").then_some(()));
    ok(&mut client, &["SET", "a", "2"]);
    client.send_line("WAIT 1 0");
    let of = from.port().to_string();
    let to = node_on(to.dir_handle(), "2", &["--appendonly", "yes", "--replicaof", "127.0.0.1", &of]);
    assert_eq!(show(&client.read()), ":1");
    assert_eq!(to.client().line("GET a"), "\"2\"");
}

#[test]
fn hazard_19_all_flows_go_on_where_they_were_when_any_of_them_is_cut() {
    for others in ["2", "1"] {
        let (from, to) = (master("2"), node(others, &["--appendonly", "yes"]));
        let proxy = Proxy::to(from.port());
        replicaof(&to, proxy.port);
        under_waiting_load(&from, || {
            let mut client = from.client();
            for round in 0..8 {
                busy(&from, 300);
                assert_eq!(client.line("WAIT 1 30000"), ":1", "all flows stand");
                // The flows are made behind their link: each of the three, and then all at once.
                if round % 4 == 3 {
                    proxy.cut();
                } else {
                    proxy.cut_one(round % 4);
                }
                until("it goes on", || (partial(&to) > round as u64).then_some(()));
            }
        });
        check_same(&from, &to);
        assert_eq!(stat(&mut from.client(), "sync_full"), 1);
    }
}

#[test]
fn a_replica_that_is_killed_goes_on_exactly_where_it_was() {
    let from = master("2");
    let port = from.port().to_string();
    let args = ["--appendonly", "yes", "--replicaof", "127.0.0.1", &port];
    let mut to = node("2", &args);
    linked(&to);
    under_load(&from, || {
        for cores in ["2", "1", "3", "2"] {
            busy(&from, 500);
            to.kill();
            to = node_on(to.dir_handle(), cores, &args);
            linked(&to);
        }
        busy(&from, 300);
    });
    check_same(&from, &to);
    assert_eq!(stat(&mut from.client(), "sync_full"), 1);
}

#[test]
fn a_master_that_is_killed_is_followed_from_where_it_goes_on() {
    let mut from = master("2");
    let dir = from.dir_handle();
    let port = from.port().to_string();
    let to = node("2", &["--appendonly", "yes"]);
    replicaof(&to, from.port());
    for round in 0..3 {
        under_load(&from, || busy(&from, 500));
        if round % 2 == 0 {
            from.kill();
        } else {
            from.client().send_line("SHUTDOWN");
            from.wait();
        }
        from = node_on(Arc::clone(&dir), "2", &["--appendonly", "yes", "--port", &port]);
        until("it goes on", || (partial(&to) > round).then_some(()));
        check_same(&from, &to);
    }
    assert_eq!(field(&mut to.client(), "master_full_syncs"), "1");
}

#[test]
fn hazard_16_a_master_that_was_put_back_is_followed_when_the_operator_says_so() {
    let mut from = master("2");
    let (dir, port) = (from.dir_handle(), from.port().to_string());
    let copy = tempfile::tempdir().expect("a temporary directory can be made");
    let to = node("3", &["--appendonly", "yes"]);
    replicaof(&to, from.port());
    for number in ["1", "2"] {
        ok(&mut from.client(), &["MSET", "a", number, "b", number, "c", number]);
        check_same(&from, &to);
        from.kill();
        let (source, target) =
            if number == "1" { (dir.path(), copy.path()) } else { (copy.path(), dir.path()) };
        std::fs::remove_dir_all(target).expect("it is there");
        copy_dir(source, target).expect("it can be copied");
        from = node_on(Arc::clone(&dir), "2", &["--appendonly", "yes", "--port", &port]);
        if number == "1" {
            until("it goes on", || (partial(&to) > 0).then_some(()));
        }
    }
    // A start with another number of cores begins a log that does not lead back.
    for cores in ["2", "1"] {
        if cores == "1" {
            from.kill();
            from = node_on(Arc::clone(&dir), cores, &["--appendonly", "yes", "--port", &port]);
            from.wait_for_log("no session of flows");
            assert_eq!(stat(&mut from.client(), "sync_full"), 0);
        }
        until("it says why it does not follow", || {
            to.client().line("INFO replication").contains("the master has less of its log").then_some(())
        });
        assert_eq!(to.client().line("GET a"), "\"2\"", "{cores}");
    }
    assert_eq!(to.client().line("CONFIG SET replica-accept-less yes"), "+OK");
    linked(&to);
    check_same(&from, &to);
    assert_eq!(to.client().line("GET a"), "\"1\"");
}

#[test]
fn a_chain_is_followed_by_flows_and_begins_anew_when_its_middle_does() {
    let (first, second, third) =
        (master("2"), node("3", &["--appendonly", "yes"]), node("1", &["--appendonly", "yes"]));
    replicaof(&second, first.port());
    replicaof(&third, second.port());
    under_load(&first, || busy(&first, 1000));
    check_same(&first, &second);
    same(&second, &third);
    assert_eq!(link_of(&second), "lacewing.sync");
    // In one count, as those who watch for lag take one from the other.
    until("the middle shows that its replica has all", || {
        let end = field(&mut second.client(), "master_repl_offset");
        field(&mut second.client(), "slave0").contains(&format!(",offset={end},")).then_some(())
    });
    let other = master("1");
    ok(&mut other.client(), &["MSET", "x", "1", "y", "2"]);
    replicaof(&second, other.port());
    same(&other, &second);
    same(&second, &third);
}

#[test]
fn a_replica_becomes_a_master_and_is_followed_by_the_old_one() {
    let (one, other) = (master("2"), node("2", &["--appendonly", "yes"]));
    replicaof(&other, one.port());
    under_load(&one, || busy(&one, 500));
    check_same(&one, &other);
    assert_eq!(other.client().line("REPLICAOF NO ONE"), "+OK");
    under_load(&other, || busy(&other, 300));
    replicaof(&one, other.port());
    check_same(&other, &one);
    // What it knows of its own time as a replica is over.
    let mut other = other;
    other.kill();
    let other = node_on(other.dir_handle(), "2", &["--appendonly", "yes"]);
    assert_eq!(other.client().line("DEBUG STREAM"), "\"none\"");
}

#[test]
fn without_a_log_or_where_it_is_not_wanted_there_is_one_stream() {
    let plain: [(&[&str], &[&str]); 3] = [
        (&["--appendonly", "no"], &[]),
        (&["--appendonly", "yes", "--repl-flows", "no"], &[]),
        (&["--appendonly", "yes"], &["--repl-flows", "no"]),
    ];
    for (args, others) in plain {
        let (from, to) = (node("2", args), node("2", others));
        replicaof(&to, from.port());
        under_load(&from, || busy(&from, 300));
        check_same(&from, &to);
        assert_eq!(link_of(&from), "psync", "{args:?} {others:?}");
    }
}

/// Waits until both have the same data.
#[track_caller]
fn same(one: &Server, other: &Server) {
    let (mut one, mut other): (Client, Client) = (one.client(), other.client());
    until("both have the same data", || {
        ["DEBUG DIGEST", "DBSIZE"].iter().all(|what| one.line(what) == other.line(what)).then_some(())
    });
}
