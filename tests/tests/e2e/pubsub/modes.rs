//! What subscribers of RESP2 and RESP3 may do, and what they are told.

use super::{ask, info, next, on_one_core_and_four};
use lacewing_tests::{Client, Server, show, until};

#[test]
fn messages_reach_channels_patterns_and_shard_channels() {
    on_one_core_and_four(|server| {
        let mut subscriber = server.client();
        assert_eq!(ask(&mut subscriber, "SUBSCRIBE news"), r#"["subscribe", "news", :1]"#);
        assert_eq!(ask(&mut subscriber, "PSUBSCRIBE n*"), r#"["psubscribe", "n*", :2]"#);
        assert_eq!(ask(&mut subscriber, "SSUBSCRIBE news"), r#"["ssubscribe", "news", :1]"#);
        let mut modern = server.client().resp3();
        assert_eq!(ask(&mut modern, "SUBSCRIBE news"), r#">["subscribe", "news", :1]"#);
        let mut publisher = server.client();
        assert_eq!(publisher.line("PUBLISH news hi"), ":3");
        assert_eq!(publisher.line("PUBLISH now there"), ":1");
        assert_eq!(publisher.line("SPUBLISH news sharded"), ":1");
        assert_eq!(publisher.line("PUBLISH other none"), ":0");
        assert_eq!(next(&mut subscriber), r#"["message", "news", "hi"]"#);
        assert_eq!(next(&mut subscriber), r#"["pmessage", "n*", "news", "hi"]"#);
        assert_eq!(next(&mut subscriber), r#"["pmessage", "n*", "now", "there"]"#);
        assert_eq!(next(&mut subscriber), r#"["smessage", "news", "sharded"]"#);
        assert_eq!(next(&mut modern), r#">["message", "news", "hi"]"#);
        assert_eq!(publisher.line("PUBSUB CHANNELS"), r#"["news"]"#);
        assert_eq!(publisher.line("PUBSUB NUMSUB news x"), r#"["news", :2, "x", :0]"#);
        assert_eq!(publisher.line("PUBSUB SHARDCHANNELS"), r#"["news"]"#);
        assert_eq!(publisher.line("PUBSUB NUMPAT"), ":1");
        assert_eq!(info(&mut publisher, "pubsub_channels"), 1);
        assert_eq!(info(&mut publisher, "pubsub_patterns"), 1);
        assert_eq!(info(&mut publisher, "pubsubshard_channels"), 1);
    });
}

#[test]
fn a_subscriber_of_resp2_is_held_to_a_few_commands() {
    on_one_core_and_four(|server| {
        let mut client = server.client();
        ask(&mut client, "SUBSCRIBE c");
        let refused = concat!(
            r"-ERR Can\'t execute \'get\': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are ",
            "allowed in this context"
        );
        for key in ["a", "b", "c", "d"] {
            assert_eq!(client.line(&format!("GET {key}")), refused);
        }
        assert!(client.line("CLIENT LIST").contains(r"\'client|list\'"));
        assert_eq!(client.line("NOPE"), r"-ERR unknown command \'NOPE\', with args beginning with: ");
        assert_eq!(client.line("PING"), r#"["pong", ""]"#);
        assert_eq!(client.line("PING hi"), r#"["pong", "hi"]"#);
        assert_eq!(ask(&mut client, "PSUBSCRIBE p"), r#"["psubscribe", "p", :2]"#);
        assert_eq!(ask(&mut client, "UNSUBSCRIBE"), r#"["unsubscribe", "c", :1]"#);
        assert!(client.line("GET a").contains("only (P|S)SUBSCRIBE"));
        assert_eq!(ask(&mut client, "PUNSUBSCRIBE x p"), r#"["punsubscribe", "x", :1]"#);
        assert_eq!(next(&mut client), r#"["punsubscribe", "p", :0]"#);
        assert_eq!(client.line("GET a"), "nil");
        ask(&mut client, "SSUBSCRIBE s");
        assert_eq!(client.line("RESET"), "+RESET");
        assert_eq!(client.line("GET a"), "nil");
        assert_eq!(client.line("PUBSUB SHARDNUMSUB s"), r#"["s", :0]"#);
        ask(&mut client, "SUBSCRIBE c");
        assert_eq!(client.line("QUIT"), "+OK");
        client.expect_closed();
        let mut other = server.client();
        until("it is unsubscribed", || (other.line("PUBLISH c x") == ":0").then_some(()));
    });
}

#[test]
fn resp3_has_pushes_beside_ordinary_commands() {
    on_one_core_and_four(|server| {
        let mut client = server.client().resp3();
        ask(&mut client, "SUBSCRIBE c");
        for round in 0..50 {
            let key = format!("key:{round}");
            assert_eq!(client.line(&format!("SET {key} {round}")), "+OK");
            assert_eq!(client.line(&format!("PUBLISH c {round}")), ":1");
            assert_eq!(client.line(&format!("GET {key}")), format!("\"{round}\""));
        }
        let got: Vec<String> = client.pushes().iter().map(show).collect();
        let want: Vec<String> = (0..50).map(|round| format!(r#">["message", "c", "{round}"]"#)).collect();
        assert_eq!(got, want);
    });
}

/// The order in which a client that publishes to itself sees what it did.
#[test]
fn own_messages_come_after_the_replies_of_their_commands() {
    on_one_core_and_four(|server| {
        let mut client = server.client().resp3();
        for command in ["SUBSCRIBE d", "PUBLISH d 1", "UNSUBSCRIBE d", "PUBLISH d 2", "GET key"] {
            client.send(&command.split(' ').collect::<Vec<_>>());
        }
        let mut seen = Vec::new();
        while seen.last().is_none_or(|last| last != "null") {
            seen.push(next(&mut client));
        }
        let message = r#">["message", "d", "1"]"#;
        assert_eq!(
            seen,
            [r#">["subscribe", "d", :1]"#, ":1", message, r#">["unsubscribe", "d", :0]"#, ":0", "null"]
        );
    });
}

#[test]
fn client_reply_holds_back_replies_and_not_messages() {
    let server = Server::start();
    let mut client = server.client().resp3();
    let mut other = server.client();
    client.send(&["CLIENT", "REPLY", "OFF"]);
    assert_eq!(ask(&mut client, "SUBSCRIBE c"), r#">["subscribe", "c", :1]"#);
    client.send(&["SET", "k", "v"]);
    client.send(&["PUBLISH", "c", "own"]);
    assert_eq!(next(&mut client), r#">["message", "c", "own"]"#);
    assert_eq!(other.line("PUBLISH c other"), ":1");
    assert_eq!(next(&mut client), r#">["message", "c", "other"]"#);
    assert_eq!(client.line("CLIENT REPLY ON"), "+OK");
    client.send(&["CLIENT", "REPLY", "SKIP"]);
    client.send(&["PUBLISH", "c", "skipped"]);
    assert_eq!(next(&mut client), r#">["message", "c", "skipped"]"#);
    assert_eq!(client.line("GET k"), "\"v\"");
}

#[test]
fn a_client_that_waits_for_a_key_gets_its_messages() {
    on_one_core_and_four(|server| {
        for key in ["a", "b", "c", "d"] {
            let (mut client, mut other) = (server.client().resp3(), server.client());
            // A channel for each: the client before may not have gone yet.
            ask(&mut client, &format!("SUBSCRIBE c{key}"));
            client.send(&["BLPOP", key, "0"]);
            for number in 0..20 {
                assert_eq!(other.line(&format!("PUBLISH c{key} {number}")), ":1");
                assert_eq!(next(&mut client), format!(r#">["message", "c{key}", "{number}"]"#));
            }
            assert_eq!(other.line(&format!("RPUSH {key} v")), ":1");
            assert_eq!(next(&mut client), format!(r#"["{key}", "v"]"#));
        }
    });
}

#[test]
fn subscribers_are_listed_and_killed_by_their_type() {
    on_one_core_and_four(|server| {
        let mut subscribers: Vec<Client> = (0..5).map(|_| server.client()).collect();
        for subscriber in &mut subscribers {
            ask(subscriber, "SUBSCRIBE a");
            ask(subscriber, "PSUBSCRIBE b");
        }
        let mut client = server.client();
        let listed = client.line("CLIENT LIST TYPE pubsub");
        assert_eq!(listed.matches("flags=P db=0 sub=1 psub=1 ssub=0").count(), 5, "{listed}");
        assert!(!client.line("CLIENT LIST TYPE normal").contains("flags=P"));
        assert_eq!(client.line("CLIENT KILL TYPE pubsub"), ":5");
        subscribers.iter_mut().for_each(Client::expect_closed);
        until("their subscriptions end", || (client.line("PUBSUB NUMPAT") == ":0").then_some(()));
        assert_eq!(client.line("PUBSUB CHANNELS"), "[]");
    });
}

#[test]
fn publishing_waits_for_the_end_of_a_pause() {
    let server = Server::start();
    let mut subscriber = server.client();
    ask(&mut subscriber, "SUBSCRIBE c");
    let (mut control, mut publisher) = (server.client(), server.client());
    assert_eq!(control.line("CLIENT PAUSE 60000 WRITE"), "+OK");
    publisher.send(&["PUBLISH", "c", "late"]);
    until("it is held back", || (info(&mut control, "blocked_clients") == 1).then_some(()));
    assert_eq!(subscriber.line("PING"), r#"["pong", ""]"#, "subscribers go on");
    assert_eq!(control.line("CLIENT UNPAUSE"), "+OK");
    assert_eq!(show(&publisher.read()), ":1");
    assert_eq!(next(&mut subscriber), r#"["message", "c", "late"]"#);
}
