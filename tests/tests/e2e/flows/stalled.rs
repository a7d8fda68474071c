//! Replicas that stall: the master's memory is bounded, nobody else feels it, and they go on.

use super::master;
use super::replica::Replica;
use lacewing_tests::until;
use replication::flow::frame::Frame;

#[test]
fn hazard_20_a_replica_that_stalls_costs_no_memory_and_goes_on() {
    let server = master(&["--repl-backlog-size", "2mb"]);
    let mut client = server.client();
    let mut replica = Replica::full(&server);
    client.fill(4);
    replica.catch_up(&server);
    let before = server.rss_peak_mib();
    // It returns no credit, and reads nothing.
    client.fill(96);
    let grown = server.rss_peak_mib() - before;
    assert!(grown < 60, "{grown} MiB");
    assert_eq!(client.line("WAIT 1 50"), ":0");
    // It reads, and still returns no credit: what it is sent ends with the window.
    let mut sent = [0; 2];
    until("the window is full", || {
        for (flow, sent) in replica.flows.iter_mut().zip(&mut sent) {
            *sent += flow.take_silently();
        }
        sent.iter().all(|sent| *sent == replica.session.window).then_some(())
    });
    for (flow, sent) in replica.flows.iter_mut().zip(sent) {
        assert_eq!(flow.take_silently(), 0);
        flow.say(Frame::Credit(sent));
    }
    replica.catch_up(&server);
    replica.check_log(&server);
}

#[test]
fn a_replica_that_says_nothing_is_cut_off() {
    let server = master(&["--repl-timeout", "2"]);
    let mut client = server.client();
    let mut replica = Replica::full(&server);
    until("it is cut off", || (super::field(&mut client, "connected_slaves") == "0").then_some(()));
    replica.link.expect_closed();
}
