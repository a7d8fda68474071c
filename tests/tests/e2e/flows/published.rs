//! What is published at a master that is followed by flows: its replica's clients get it, behind what was written before.

use super::pairs::{master, node, replicaof};
use super::{field, ok};
use lacewing_tests::{Client, Proxy, Server, show, until};

/// A client that has subscribed to everything.
fn listener(server: &Server) -> Client {
    let mut client = server.client();
    assert_eq!(client.line("PSUBSCRIBE *"), r#"["psubscribe", "*", :1]"#);
    client
}

fn message(channel: &str, text: &str) -> String {
    format!(r#"["pmessage", "*", "{channel}", "{text}"]"#)
}

#[test]
fn clients_of_the_replica_get_what_is_published_in_its_order() {
    for (cores, others) in [("1", "1"), ("2", "2"), ("2", "1"), ("2", "3")] {
        let (from, to) = (master(cores), node(others, &["--appendonly", "yes"]));
        replicaof(&to, from.port());
        let mut listener = listener(&to);
        let mut client = from.client();
        for number in 0..200 {
            assert_eq!(client.line(&format!("PUBLISH c {number}")), ":0");
        }
        for number in 0..200 {
            assert_eq!(show(&listener.read()), message("c", &number.to_string()));
        }
    }
}

#[test]
fn who_hears_of_a_write_finds_it() {
    for (cores, others) in [("1", "1"), ("1", "2"), ("2", "2"), ("2", "1")] {
        let (from, to) = (master(cores), node(others, &["--appendonly", "yes"]));
        replicaof(&to, from.port());
        let (mut listener, mut there) = (listener(&to), to.client());
        let mut client = from.client();
        for number in 0..100 {
            // On one core all is in one log. Over several, a transaction is with its message.
            if cores == "1" {
                ok(&mut client, &["SET", "a", &number.to_string()]);
                ok(&mut client, &["PUBLISH", "c", &number.to_string()]);
            } else {
                ok(&mut client, &["MULTI"]);
                for key in ["a", "b", "c", "d"] {
                    ok(&mut client, &["SET", key, &number.to_string()]);
                }
                ok(&mut client, &["PUBLISH", "c", &number.to_string()]);
                ok(&mut client, &["EXEC"]);
            }
            assert_eq!(show(&listener.read()), message("c", &number.to_string()), "{cores} {others}");
            assert_eq!(there.line("GET a"), format!("\"{number}\""), "{cores} {others}");
        }
    }
}

#[test]
fn what_is_published_is_passed_on_along_a_chain() {
    let (first, second, third) =
        (master("2"), node("2", &["--appendonly", "yes"]), node("2", &["--appendonly", "yes"]));
    replicaof(&second, first.port());
    replicaof(&third, second.port());
    let mut listener = listener(&third);
    let mut client = first.client();
    for number in 0..50 {
        ok(&mut client, &["PUBLISH", "c", &number.to_string()]);
        let script = "redis.call('SET', KEYS[1], 1) redis.call('PUBLISH', 'd', ARGV[1])";
        assert_eq!(show(&listener.read()), message("c", &number.to_string()));
        // This is published by the core of the key.
        ok(&mut client, &["EVAL", script, "1", "a", &number.to_string()]);
        assert_eq!(show(&listener.read()), message("d", &number.to_string()));
    }
}

#[test]
fn a_message_that_is_longer_than_any_window_comes_whole() {
    let (from, to) = (master("2"), node("2", &["--appendonly", "yes"]));
    replicaof(&to, from.port());
    let mut listener = listener(&to);
    let mut client = from.client();
    let long = "x".repeat(9 << 20);
    for text in ["before", &long, "after"] {
        ok(&mut client, &["PUBLISH", "c", text]);
        assert!(show(&listener.read()) == message("c", text), "{} bytes", text.len());
    }
    ok(&mut client, &["SET", "a", "1"]);
    assert_eq!(client.line("WAIT 1 30000"), ":1");
}

#[test]
fn a_replica_that_was_away_gets_what_is_published_from_then_on() {
    let (from, to) = (master("2"), node("2", &["--appendonly", "yes"]));
    let proxy = Proxy::to(from.port());
    replicaof(&to, proxy.port);
    let mut listener = listener(&to);
    let mut client = from.client();
    for round in 1..4u64 {
        ok(&mut client, &["PUBLISH", "c", &format!("before {round}")]);
        assert_eq!(show(&listener.read()), message("c", &format!("before {round}")));
        proxy.cut();
        until("it goes on", || {
            (field(&mut to.client(), "master_partial_syncs") == round.to_string()).then_some(())
        });
        // Its flows come one after the other.
        ok(&mut client, &["MSET", "a", "1", "b", "2", "c", "3"]);
        assert_eq!(client.line("WAIT 1 30000"), ":1");
    }
}
