//! Sessions: how they begin, what is told of them, and that they end together.

use super::replica::{Link, Replica};
use super::{field, master, ok};
use lacewing_tests::{Client, show, until};
use replication::flow::frame::Frame;
use replication::flow::hello::{Answer, Sync};
use resp::Value;
use std::time::Duration;

#[test]
fn a_full_sync_is_files_and_then_the_log_and_wait_counts_it() {
    let server = master(&[]);
    let mut client = server.client();
    for number in 0..500 {
        ok(&mut client, &["SET", &format!("k{number}"), "v"]);
    }
    let mut replica = Replica::full(&server);
    let is_packed = |payload: &[u8]| payload.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]);
    assert!(replica.flows.iter().all(|flow| is_packed(&flow.payload)), "files as they are");
    for round in 0..50 {
        ok(&mut client, &["MSET", "a", &round.to_string(), "b", "1", "c", "2"]);
        ok(&mut client, &["INCR", "n"]);
        replica.catch_up(&server);
    }
    replica.check_log(&server);
    assert!(replica.flows.iter().all(|flow| !flow.log.is_empty()));
    until("it is level", || {
        // Cuts come behind what was written.
        replica.flows.iter_mut().for_each(super::replica::Flow::take);
        let slave = field(&mut client, "slave0");
        let end = field(&mut client, "master_repl_offset");
        let is_level = slave.contains(&format!("port=7777,state=online,offset={end},lag="));
        (is_level && end != "0").then_some(())
    });
    assert_eq!(field(&mut client, "connected_slaves"), "1");
    let role = show(&client.call(&["ROLE"]));
    assert!(role.contains("7777"), "{role}");
    let list = show(&client.call(&["CLIENT", "LIST", "TYPE", "replica"]));
    assert_eq!(
        (list.matches("cmd=lacewing.flow").count(), list.matches("flags=S").count()),
        (2, 3),
        "{list}"
    );
    client.send_line("WAIT 2 500");
    assert_eq!(show(&answered(&mut client, &mut [&mut replica])), ":1");
}

/// The reply that a client waits for, while replicas take what comes.
#[track_caller]
fn answered(client: &mut Client, replicas: &mut [&mut Replica]) -> Value {
    client.timeout(Some(Duration::from_millis(10))).expect("a bound can be set");
    until("an answer comes", || {
        replicas.iter_mut().flat_map(|replica| &mut replica.flows).for_each(super::replica::Flow::take);
        client.read_any().ok().flatten()
    })
}

#[test]
fn several_replicas_are_each_sent_all_of_it() {
    let server = master(&[]);
    let mut client = server.client();
    let (mut one, mut other) = (Replica::full(&server), Replica::full(&server));
    client.fill(1);
    client.send_line("WAIT 2 20000");
    assert_eq!(show(&answered(&mut client, &mut [&mut one, &mut other])), ":2");
    let places = |replica: &Replica| replica.flows.iter().map(|flow| flow.lsn).collect::<Vec<_>>();
    // What is recorded from time to time comes to both, and not at the same moment.
    until("both have the same", || {
        [&mut one, &mut other]
            .into_iter()
            .flat_map(|replica| &mut replica.flows)
            .for_each(super::replica::Flow::take);
        (places(&one) == places(&other)).then_some(())
    });
    assert!(one.flows.iter().all(|flow| flow.log.len() > 100_000));
    one.check_log(&server);
    other.check_log(&server);
}

#[test]
fn hazard_19_a_session_ends_with_any_of_its_connections() {
    let server = master(&[]);
    let mut client = server.client();
    let mut replica = Replica::full(&server);
    let stands = replica.stands();
    drop(replica.flows.remove(0));
    replica.link.expect_closed();
    replica.until(|flow| flow.is_closed() && flow.failed.is_some());
    until("it is gone", || (field(&mut client, "connected_slaves") == "0").then_some(()));
    let Replica { link, mut flows, .. } = Replica::resumed(&server, &stands, 0);
    drop(link);
    until("its flows end", || {
        flows.iter_mut().for_each(super::replica::Flow::take);
        flows.iter().all(|flow| flow.is_closed()).then_some(())
    });
    assert_eq!(flows[0].failed.as_deref(), Some("its link has ended"));
    // What a replica says that makes no sense ends it as well, and so does a replica that gives up.
    let ahead = Frame::Applied { generation: stands.generation, lsn: stands.lsns[1].plus(1 << 20) };
    for frame in [Frame::Payload(b"x"), Frame::Fail("no room"), Frame::Credit(1), ahead] {
        let mut replica = Replica::resumed(&server, &stands, 0);
        replica.flows[1].say(frame);
        replica.link.expect_closed();
    }
    assert_eq!(client.line("WAIT 1 10"), ":0");
}

#[test]
fn flows_that_do_not_come_end_the_session() {
    let server = master(&[]);
    let mut link = Link::greeted(server.addr()).expect("it sends flows");
    let answer = link.ask(&Sync { stands: None, offset: 0 });
    assert!(matches!(answer, Answer::Full { .. }), "{answer:?}");
    assert_eq!(server.client().line("WAIT 1 10"), ":0", "a session without flows has nothing");
    link.expect_closed();
}

#[test]
fn without_a_log_there_are_no_flows() {
    let server = master(&["--appendonly", "no"]);
    let mut client = server.client();
    assert!(Link::greeted(server.addr()).is_none());
    ok(&mut client, &["CONFIG", "SET", "appendonly", "yes"]);
    until("the log has begun", || Link::greeted(server.addr()).map(|_| ()));
    let mut replica = Replica::full(&server);
    ok(&mut client, &["CONFIG", "SET", "appendonly", "no"]);
    replica.until(|flow| flow.is_closed());
    assert_eq!(replica.flows[0].failed.as_deref(), Some("the log has ended"));
    let server = master(&["--repl-flows", "no"]);
    assert!(Link::greeted(server.addr()).is_none());
}

#[test]
fn clients_know_nothing_of_it() {
    let server = master(&[]);
    let mut client = server.client();
    for line in ["LACEWING.SYNC ? 0 0 ? 0", "LACEWING.FLOW x 0"] {
        assert!(client.line(line).starts_with("-ERR unknown command"), "{line}");
    }
    let mut link = Link::greeted(server.addr()).expect("it sends flows");
    link.say(&["LACEWING.FLOW", &"00".repeat(16), "1"]);
    assert_eq!(link.line(), "-ERR there is no such session");
    link.expect_closed();
}
