//! Going on where it stopped: out of memory, out of segments, over restarts of the master; and when that cannot be.

use super::replica::{Link, Replica};
use super::{master, master_on, ok};
use aof::{Generation, Lsn};
use replication::flow::hello::{Answer, Sync};
use replication::flow::resume::Stands;

/// What a master answers to one who stands there.
fn answer(server: &lacewing_tests::Process, stands: &Stands) -> Answer {
    let mut link = Link::greeted(server.addr()).expect("it sends flows");
    link.ask(&Sync { stands: Some(stands.clone()), offset: 0 })
}

#[test]
fn a_replica_goes_on_out_of_memory_or_out_of_segments() {
    let server = master(&["--repl-backlog-size", "64kb", "--log-segment-size", "1mb"]);
    let mut client = server.client();
    let mut replica = Replica::full(&server);
    ok(&mut client, &["MSET", "a", "1", "b", "2", "c", "3"]);
    replica.catch_up(&server);
    for mib in [0, 8] {
        let stands = replica.stands();
        drop(replica);
        client.fill(mib);
        ok(&mut client, &["MSET", "a", "2", "b", "2", "c", "3"]);
        replica = Replica::resumed(&server, &stands, 0);
        replica.catch_up(&server);
        replica.check_log(&server);
        assert!(replica.flows.iter().map(|flow| flow.log.len()).sum::<usize>() >= mib << 20);
    }
}

#[test]
fn a_replica_goes_on_over_restarts_of_its_master() {
    let mut server = master(&[]);
    let mut replica = Replica::full(&server);
    for round in 0..3 {
        let mut client = server.client();
        ok(&mut client, &["MSET", "a", "1", "b", "2", "c", "3"]);
        replica.catch_up(&server);
        let stands = replica.stands();
        drop(replica);
        ok(&mut client, &["MSET", "a", "2", "b", "2", "c", "3", "d", "4"]);
        if round == 1 {
            server.kill();
        } else {
            server.stop();
        }
        server = master_on(server.dir_handle(), &[]);
        replica = Replica::resumed(&server, &stands, 1 << 40);
        assert!(replica.session.offset >= 1 << 40, "it goes on with what was told");
        replica.until(|flow| flow.generation > stands.generation);
        replica.catch_up(&server);
        replica.check_log(&server);
    }
}

#[test]
fn who_has_more_than_there_is_is_told_so() {
    let server = master(&[]);
    let mut replica = Replica::full(&server);
    ok(&mut server.client(), &["MSET", "a", "1", "b", "2", "c", "3"]);
    replica.catch_up(&server);
    let stands = replica.stands();
    let check = |change: &dyn Fn(&mut Stands), expected: &str| {
        let mut stands = stands.clone();
        change(&mut stands);
        let Answer::Older(text) = answer(&server, &stands) else { panic!("{expected}") };
        assert!(text.starts_with("-OLDER") && text.contains(expected), "{text}");
    };
    check(&|stands| stands.lsns[1] = Lsn(1 << 30), "flow 1 has byte 1073741824");
    check(&|stands| stands.generation = Generation(7), "the newest is 1");
    check(&|stands| stands.birth += 1, "another generation 1");
}

#[test]
fn what_is_no_longer_there_is_sent_anew() {
    let server = master(&["--log-segment-size", "1mb", "--snapshot-keep", "1"]);
    let mut client = server.client();
    let mut replica = Replica::full(&server);
    replica.catch_up(&server);
    let stands = replica.stands();
    let other = Stands { node: aof::NodeId([7; 20]), ..stands.clone() };
    assert!(matches!(answer(&server, &other), Answer::Full { .. }));
    let count = Stands { lsns: vec![Lsn(0)], ..stands };
    assert!(matches!(answer(&server, &count), Answer::Full { .. }));
    // While it is sent them, segments stay that no snapshot needs.
    client.fill(8);
    ok(&mut client, &["SAVE"]);
    replica.catch_up(&server);
    drop(replica);
    client.fill(8);
    ok(&mut client, &["SAVE"]);
    let Answer::Full { reason, .. } = answer(&server, &stands) else { panic!("a full sync") };
    assert!(reason.contains("which begins at"), "{reason}");
    let mut replica = Replica::full(&server);
    ok(&mut client, &["SET", "a", "1"]);
    replica.catch_up(&server);
    replica.check_log(&server);
}
