//! What a transaction tells others: messages and notifications, after the whole and in their order.

use super::servers;
use lacewing_tests::{Client, Server, show};

/// One that is told of everything.
fn listener(server: &Server) -> Client {
    let mut listener = server.client();
    assert_eq!(listener.line("CONFIG SET notify-keyspace-events EA"), "+OK");
    listener.send(&["PSUBSCRIBE", "*"]);
    assert_eq!(show(&listener.read()), r#"["psubscribe", "*", :1]"#);
    listener
}

/// The next messages, as `channel message`; events without what is the same in all.
fn told(listener: &mut Client, count: usize) -> Vec<String> {
    let text = |listener: &mut Client| {
        let message = show(&listener.read());
        let rest = message.strip_prefix(r#"["pmessage", "*", "#).expect("a message").trim_end_matches(']');
        rest.replace("__keyevent@0__:", "").replace('"', "").replace(", ", " ")
    };
    (0..count).map(|_| text(listener)).collect()
}

fn exec(client: &mut Client, queue: &[&str]) -> String {
    client.line("MULTI");
    queue.iter().for_each(|line| assert_eq!(client.line(line), "+QUEUED", "{line}"));
    client.line("EXEC")
}

#[test]
fn on_one_shard_all_is_told_in_the_order_of_the_queue() {
    for server in servers() {
        let mut listener = listener(&server);
        for tag in ["a", "b", "c", "d"] {
            let mut client = server.client();
            let key = |line: &str| line.replace("{t}", &format!("{{{tag}}}"));
            let queue: Vec<String> =
                ["SET {t}s 1", "LPUSH {t}l 1", "INCR {t}s", "DEL {t}s {t}l"].map(key).into();
            exec(&mut client, &queue.iter().map(String::as_str).collect::<Vec<_>>());
            let want = ["set {t}s", "lpush {t}l", "incrby {t}s", "del {t}s", "del {t}l"].map(key);
            assert_eq!(told(&mut listener, 5), want);
        }
    }
}

#[test]
fn messages_come_at_their_place_among_the_events() {
    for server in servers() {
        let mut listener = listener(&server);
        for key in ["a", "b", "c", "d"] {
            let mut client = server.client();
            let (set, del) = (format!("SET {key} 1"), format!("DEL {key}"));
            let replies =
                exec(&mut client, &["PUBLISH x one", &set, "PUBLISH y two", &del, "PUBLISH x three"]);
            assert_eq!(replies, "[:1, +OK, :1, :1, :1]");
            let want = ["x one", &format!("set {key}"), "y two", &format!("del {key}"), "x three"];
            assert_eq!(told(&mut listener, 5), want);
        }
    }
}

#[test]
fn messages_of_a_transaction_over_several_shards_keep_their_order() {
    for server in servers() {
        let mut listener = listener(&server);
        let mut client = server.client();
        for round in 0..20 {
            let queue = [
                "MSET a 1 b 2 c 3 d 4".to_owned(),
                format!("PUBLISH x {round}:1"),
                "DBSIZE".to_owned(),
                format!("PUBLISH x {round}:2"),
                "DEL a b c d".to_owned(),
                format!("PUBLISH x {round}:3"),
            ];
            let queue: Vec<&str> = queue.iter().map(String::as_str).collect();
            assert_eq!(exec(&mut client, &queue), "[+OK, :1, :4, :1, :4, :1]");
            let mut told = told(&mut listener, 11);
            told[0..4].sort();
            told[6..10].sort();
            let [one, two, three] = [1, 2, 3].map(|number| format!("x {round}:{number}"));
            let mut want = vec!["set a", "set b", "set c", "set d", &one, &two];
            want.extend(["del a", "del b", "del c", "del d", &three]);
            assert_eq!(told, want);
        }
    }
}

#[test]
fn what_is_not_run_is_not_told() {
    for server in servers() {
        let mut listener = listener(&server);
        let (mut client, mut other) = (server.client(), server.client());
        client.line("WATCH a b c d");
        other.line("SET c 1");
        assert_eq!(exec(&mut client, &["PUBLISH x no", "SET a 1"]), "nil[]");
        client.line("MULTI");
        client.line("PUBLISH x no");
        client.line("NOSUCH");
        assert!(client.line("EXEC").starts_with("-EXECABORT"));
        client.line("MULTI");
        client.line("PUBLISH x no");
        assert_eq!(client.line("DISCARD"), "+OK");
        client.line("PUBLISH x yes");
        assert_eq!(told(&mut listener, 2), ["set c", "x yes"]);
    }
}

#[test]
fn who_is_served_after_it_is_told_after_it() {
    for server in servers() {
        let mut listener = listener(&server);
        for key in ["a", "b", "c", "d"] {
            let (mut client, mut waiting) = (server.client(), server.client());
            waiting.send(&["BLPOP", key, "0"]);
            lacewing_tests::until("it waits", || {
                (super::info(&mut client, "blocked_clients") == 1).then_some(())
            });
            let (push, other) = (format!("RPUSH {key} 1 2"), format!("RPUSH {key} 3"));
            exec(&mut client, &[&push, "PUBLISH x y", &other]);
            assert_eq!(show(&waiting.read()), format!(r#"["{key}", "1"]"#));
            let (push, pop) = (format!("rpush {key}"), format!("lpop {key}"));
            assert_eq!(told(&mut listener, 4), [&push, "x y", &push, &pop]);
        }
    }
}

#[test]
fn a_subscriber_that_publishes_inside_reads_it_after_its_reply() {
    for server in servers() {
        let mut client = server.client().resp3();
        client.send(&["SUBSCRIBE", "x"]);
        assert_eq!(show(&client.read_push()), r#">["subscribe", "x", :1]"#);
        for key in ["a", "b", "c", "d"] {
            let set = format!("SET {key} 1");
            for line in ["MULTI", &set, "PUBLISH x 1", "PUBLISH x 2"] {
                client.line(line);
            }
            client.send(&["EXEC"]);
            let got: Vec<String> = (0..3).map(|_| show(&client.read_push())).collect();
            assert_eq!(
                got,
                ["[+OK, :1, :1]", r#">["message", "x", "1"]"#, r#">["message", "x", "2"]"#],
                "{key}"
            );
        }
    }
}

#[test]
fn messages_go_to_those_who_subscribe_when_they_are_published() {
    for server in servers() {
        let mut client = server.client().resp3();
        for (set, other) in [("SET a 1", "SET b 1"), ("SET c 1", "SET d 1"), ("SET a 1", "SET a 2")] {
            client.send(&["SUBSCRIBE", "x"]);
            assert_eq!(show(&client.read_push()), r#">["subscribe", "x", :1]"#);
            let queue =
                ["PUBLISH x 1", set, "UNSUBSCRIBE x", "PUBLISH x 2", "PSUBSCRIBE *", other, "PUBLISH x 3"];
            client.line("MULTI");
            queue.iter().for_each(|line| assert_eq!(client.line(line), "+QUEUED", "{line}"));
            client.send(&["EXEC"]);
            let replies = r#"[:1, +OK, >["unsubscribe", "x", :0], :0, >["psubscribe", "*", :1], +OK, :1]"#;
            let got: Vec<String> = (0..3).map(|_| show(&client.read_any().unwrap().unwrap())).collect();
            assert_eq!(got, [replies, r#">["message", "x", "1"]"#, r#">["pmessage", "*", "x", "3"]"#]);
            client.send(&["PUNSUBSCRIBE"]);
            assert_eq!(show(&client.read_push()), r#">["punsubscribe", "*", :0]"#);
        }
    }
}

#[test]
fn who_expects_one_reply_per_command_neither_monitors_nor_subscribes_to_shard_channels() {
    for server in servers() {
        for queue in [&[][..], &["SET a 1"], &["SET a 1", "SET b 1"], &["SET a 1", "DBSIZE"]] {
            let mut client = server.client();
            client.line("MULTI");
            queue.iter().for_each(|line| drop(client.line(line)));
            for line in ["MONITOR", "SSUBSCRIBE x", "MONITOR"] {
                assert_eq!(client.line(line), "+QUEUED");
            }
            let reply = client.line("EXEC");
            let monitor = r"-ERR MONITOR isn\'t allowed for DENY BLOCKING client";
            let subscribe = r"-ERR SSUBSCRIBE isn\'t allowed for a DENY BLOCKING client";
            assert!(reply.ends_with(&format!("{monitor}, {subscribe}, {monitor}]")), "{queue:?}: {reply}");
            assert_eq!(client.line("PING"), "+PONG");
        }
    }
}

#[test]
fn subscriptions_inside_are_confirmed_in_their_place() {
    for server in servers() {
        for (queue, rest) in [(["SET a 1", "SET b 1"], "+OK, +OK"), (["SET a 1", "DBSIZE"], "+OK, :2")] {
            let mut client = server.client();
            client.line("MULTI");
            queue.iter().for_each(|line| drop(client.line(line)));
            client.line("SUBSCRIBE x");
            client.send(&["EXEC"]);
            // As in Redis, the array has the confirmation among its elements.
            assert_eq!(show(&client.read()), format!(r#"[{rest}, ["subscribe", "x", :1]]"#));
            let mut other = server.client();
            assert_eq!(other.line("PUBLISH x hello"), ":1");
            assert_eq!(show(&client.read()), r#"["message", "x", "hello"]"#);
            drop(client);
            lacewing_tests::until("it has gone", || (other.line("PUBLISH x m") == ":0").then_some(()));
        }
    }
}

/// A message that is delivered amid a transaction, since its client subscribes there, leaves when all that was done is written as one. It
/// parted the transaction in the log, and ended the server.
#[test]
fn a_message_amid_a_transaction_does_not_part_it() {
    let args = ["--cores", "4", "--pin", "no", "--appendonly", "yes"];
    let mut server = Server::with(&args);
    // On every core somebody listens, with all but certainty.
    let mut listeners: Vec<Client> = (0..32).map(|_| server.client()).collect();
    for listener in &mut listeners {
        listener.send(&["SUBSCRIBE", "news"]);
        listener.read();
    }
    // Some of these are keys of the core that the client is connected to.
    let keys =
        || (0..16).flat_map(|number| ["a", "b", "c", "d", "e", "f"].map(|name| format!("{name}{number}")));
    for key in keys() {
        for behind in 0..4 {
            let set = format!("SET {key} 1");
            // What comes before it in its turn is in the same record of the log.
            let before = [&*set, "MULTI", &set, "PUBLISH news of:it", "SUBSCRIBE other"];
            let add = format!("INCR {key}");
            let lines = before.into_iter().chain(std::iter::repeat_n(&*add, behind)).chain(["EXEC"]);
            let commands: Vec<Vec<&str>> = lines.map(|line| line.split(' ').collect()).collect();
            let replies = server.client().pipeline(&commands);
            let exec = show(replies.last().expect("EXEC is answered"));
            assert!(exec.starts_with(r#"[+OK, :32, ["subscribe", "other", :1]"#), "{exec}");
        }
    }
    let dir = server.dir_handle();
    server.kill();
    let server = Server::on(dir, &args);
    let mut client = server.client();
    keys().for_each(|key| assert_eq!(client.line(&format!("GET {key}")), "\"4\""));
}
