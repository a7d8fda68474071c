//! Keyspace notifications of what happens by itself, and across shards.

use super::{ask, next, on_one_core_and_four};
use lacewing_tests::{Client, Server, show};

/// A client that is told of `classes`, and one to make things happen.
fn listening(server: &Server, classes: &str) -> (Client, Client) {
    let (mut listener, mut client) = (server.client(), server.client());
    assert_eq!(client.line(&format!("CONFIG SET notify-keyspace-events {classes}")), "+OK");
    ask(&mut listener, "PSUBSCRIBE *");
    (listener, client)
}

/// The next `channel message`.
#[track_caller]
fn event(listener: &mut Client) -> String {
    let message = next(listener);
    let (_, rest) = message.split_once("\"*\", ").expect("it is subscribed to *");
    rest.trim_end_matches(']').replace('"', "").replace(", ", " ")
}

#[test]
fn classes_are_set_and_shown_in_their_normal_form() {
    let server = Server::start();
    let mut client = server.client();
    for (given, shown) in [("KEA", "AKE"), ("g$lshzxetdmnKE", "AKEmn"), ("Elx", "lxE"), ("", "")] {
        assert_eq!(show(&client.call(&["CONFIG", "SET", "notify-keyspace-events", given])), "+OK");
        let got = client.line("CONFIG GET notify-keyspace-events");
        assert_eq!(got, format!(r#"["notify-keyspace-events", "{shown}"]"#));
    }
    assert!(client.line("CONFIG SET notify-keyspace-events KEq").contains("Invalid event class character"));
}

#[test]
fn keys_and_fields_that_expire_by_themselves_are_told() {
    on_one_core_and_four(|server| {
        let (mut listener, mut client) = listening(server, "Exhg");
        let keys: Vec<String> = (0..20).map(|number| format!("k{number}")).collect();
        keys.iter().for_each(|key| assert_eq!(client.line(&format!("SET {key} v PX 1")), "+OK"));
        let mut told: Vec<String> = keys
            .iter()
            .flat_map(|_| [event(&mut listener), event(&mut listener)])
            .filter(|event| event.starts_with("__keyevent@0__:expired "))
            .collect();
        told.sort();
        let mut want: Vec<String> = keys.iter().map(|key| format!("__keyevent@0__:expired {key}")).collect();
        want.sort();
        assert_eq!(told, want);
        client.line("HSET h a 1 b 2");
        assert_eq!(event(&mut listener), "__keyevent@0__:hset h");
        client.line("HPEXPIRE h 1 FIELDS 1 a");
        assert_eq!(event(&mut listener), "__keyevent@0__:hexpire h");
        assert_eq!(event(&mut listener), "__keyevent@0__:hexpired h");
        client.line("HPEXPIRE h 1 FIELDS 1 b");
        assert_eq!(event(&mut listener), "__keyevent@0__:hexpire h");
        assert_eq!(event(&mut listener), "__keyevent@0__:hexpired h");
        assert_eq!(event(&mut listener), "__keyevent@0__:del h");
    });
}

#[test]
fn keys_that_are_evicted_are_told() {
    on_one_core_and_four(|server| {
        let (mut listener, mut client) = listening(server, "Ke");
        let value = "x".repeat(1_000);
        (0..2_000).for_each(|number| drop(client.call(&["SET", &format!("k{number}"), &value])));
        assert_eq!(client.line("CONFIG SET maxmemory-policy allkeys-random maxmemory 1mb"), "+OK");
        for _ in 0..500 {
            let told = event(&mut listener);
            assert!(told.starts_with("__keyspace@0__:k") && told.ends_with(" evicted"), "{told}");
        }
    });
}

#[test]
fn a_command_over_several_shards_tells_in_the_order_of_its_work() {
    on_one_core_and_four(|server| {
        let (mut listener, mut client) = listening(server, "KEA");
        for round in 0..30 {
            let (from, to) = (format!("from:{round}"), format!("to:{round}"));
            assert_eq!(client.line(&format!("SET {from} v")), "+OK");
            assert_eq!(client.line(&format!("RENAME {from} {to}")), "+OK");
            assert_eq!(client.line(&format!("DEL {to}")), ":1");
            let want = [
                format!("__keyspace@0__:{from} set"),
                format!("__keyevent@0__:set {from}"),
                format!("__keyspace@0__:{from} rename_from"),
                format!("__keyevent@0__:rename_from {from}"),
                format!("__keyspace@0__:{to} rename_to"),
                format!("__keyevent@0__:rename_to {to}"),
                format!("__keyspace@0__:{to} del"),
                format!("__keyevent@0__:del {to}"),
            ];
            want.iter().for_each(|want| assert_eq!(event(&mut listener), *want, "round {round}"));
        }
        assert_eq!(client.line("MSET a 1 b 2 c 3 d 4"), "+OK");
        let mut told: Vec<String> = (0..8).map(|_| event(&mut listener)).collect();
        told.sort();
        let events = ["a", "b", "c", "d"];
        let keyevents = events.map(|key| format!("__keyevent@0__:set {key}"));
        let keyspace = events.map(|key| format!("__keyspace@0__:{key} set"));
        assert_eq!(told, [keyevents, keyspace].concat());
        assert_eq!(client.line("DEL a none b c other d"), ":4");
        let mut told: Vec<String> = (0..8).map(|_| event(&mut listener)).collect();
        told.sort();
        let keyevents = events.map(|key| format!("__keyevent@0__:del {key}"));
        let keyspace = events.map(|key| format!("__keyspace@0__:{key} del"));
        assert_eq!(told, [keyevents, keyspace].concat());
    });
}

#[test]
fn nothing_is_told_once_it_is_switched_off() {
    on_one_core_and_four(|server| {
        let (mut listener, mut client) = listening(server, "KEA");
        client.line("SET a 1");
        assert_eq!(event(&mut listener), "__keyspace@0__:a set");
        assert_eq!(event(&mut listener), "__keyevent@0__:set a");
        assert_eq!(show(&client.call(&["CONFIG", "SET", "notify-keyspace-events", ""])), "+OK");
        (0..10).for_each(|number| drop(client.line(&format!("SET k{number} 1"))));
        assert_eq!(client.line("PUBLISH end x"), ":1");
        assert_eq!(event(&mut listener), "end x");
    });
}
