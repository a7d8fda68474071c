//! CLIENT, QUIT's relatives, and what they do to connections of the same core and of the other.

use super::{alone, key_of};
use lacewing_tests::{Client, Server, show, until};
use resp::Value;

/// Clients of core 0 and core 1 in turn: the unix socket deals them so.
fn dealt(count: usize, more: &[&str]) -> (Server, Vec<Client>) {
    let server = Server::with(&[&["--unixsocket", "s"], more].concat());
    let path = server.dir().join("s");
    let clients = (0..count).map(|_| Client::connect_unix(&path)).collect();
    (server, clients)
}

#[track_caller]
fn id(client: &mut Client) -> String {
    client.line("CLIENT ID").trim_start_matches(':').to_owned()
}

#[test]
fn clients_are_killed_by_every_filter_on_either_core() {
    let (server, mut clients) = dealt(2, &[]);
    let path = server.dir().join("s");
    for killer in &mut clients {
        // One on each core.
        for mut victim in [Client::connect_unix(&path), Client::connect_unix(&path)] {
            let id = id(&mut victim);
            assert_eq!(killer.line(&format!("CLIENT KILL ID {id}")), ":1");
            victim.expect_closed();
            assert_eq!(killer.line(&format!("CLIENT KILL ID {id}")), ":0");
        }
    }
    let killer = &mut clients[0];
    let mut tcp: Vec<_> = (0..8).map(|_| server.client()).collect();
    let address = |client: &mut Client, field: &str| {
        let info = client.line("CLIENT INFO");
        let value = info.split(&format!(" {field}=")).nth(1).and_then(|rest| rest.split(' ').next());
        value.unwrap_or_else(|| panic!("no {field} in {info}")).to_owned()
    };
    let addr = address(&mut tcp[0], "addr");
    assert_eq!(killer.line(&format!("CLIENT KILL {addr}")), "+OK");
    tcp.remove(0).expect_closed();
    assert_eq!(killer.line(&format!("CLIENT KILL {addr}")), "-ERR No such client");
    let addr = address(&mut tcp[0], "addr");
    assert_eq!(killer.line(&format!("CLIENT KILL ADDR {addr}")), ":1");
    tcp.remove(0).expect_closed();
    let laddr = address(&mut tcp[0], "laddr");
    assert_eq!(killer.line("CLIENT KILL USER default TYPE pubsub"), ":0");
    assert_eq!(killer.line(&format!("CLIENT KILL LADDR {laddr} USER default TYPE normal")), ":6");
    tcp.iter_mut().for_each(Client::expect_closed);
    assert_eq!(killer.line("CLIENT KILL TYPE normal"), ":1");
    clients[1].expect_closed();
    let killer = &mut clients[0];
    killer.send_bytes(b"PING\r\nCLIENT KILL TYPE normal SKIPME no\r\nPING\r\n");
    assert_eq!(show(&killer.read()), "+PONG");
    assert_eq!(show(&killer.read()), ":1");
    killer.expect_closed();
}

#[test]
fn clients_are_killed_in_the_middle_of_their_pipelines() {
    let server = Server::start();
    let mut killer = server.client();
    let (a, b) = (key_of(0, "a"), key_of(1, "b"));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut victim = server.client();
                let text = format!("MSET {a} 1 {b} 2\r\nSET {a} 1\r\nGET {b}\r\n").repeat(100);
                // Until it is cut, in the middle of anything.
                while victim.try_send_bytes(text.as_bytes()).is_ok() {
                    for _ in 0..300 {
                        match victim.read_any() {
                            Ok(Some(_)) => {}
                            Ok(None) | Err(_) => return,
                        }
                    }
                }
            });
        }
        let mut killed = 0;
        until("all are killed", || {
            killed += match killer.call(&["CLIENT", "KILL", "TYPE", "normal"]) {
                Value::Int(count) => count,
                other => panic!("CLIENT KILL was answered {}", show(&other)),
            };
            (killed == 8).then_some(())
        });
    });
    alone(&mut killer);
    assert_eq!(killer.line(&format!("MSET {a} x {b} x")), "+OK");
}

#[test]
fn replies_are_muted_for_every_kind_of_command() {
    let (_server, mut clients) = dealt(2, &[]);
    let (a, b) = (key_of(0, "a"), key_of(1, "b"));
    let commands = [
        format!("SET {a} 1"),
        format!("SET {b} 1"),
        format!("MSET {a} 1 {b} 2"),
        format!("MGET {a} {b}"),
        format!("RENAMENX {a} {b}"),
        "DBSIZE".into(),
        "SCAN 0".into(),
        "CLIENT LIST".into(),
        "PING".into(),
        "NOSUCH".into(),
        "GET".into(),
        "CONFIG GET port".into(),
        "CLIENT REPLY nonsense".into(),
        format!("PUBLISH {a} x"),
        format!("EVAL \"return redis.call('get', KEYS[1])\" 1 {a}"),
        format!("EVAL \"return redis.call('mget', KEYS[1], KEYS[2])\" 2 {a} {b}"),
        format!("BLPOP none{a} none{b} 0.01"),
        "EVAL nonsense 0".into(),
    ];
    for client in &mut clients {
        for command in &commands {
            client.send_bytes(format!("CLIENT REPLY SKIP\r\n{command}\r\nECHO {a}\r\n").as_bytes());
            assert_eq!(show(&client.read()), format!("\"{a}\""), "after {command}");
        }
        client.send_bytes(b"CLIENT REPLY OFF\r\n");
        commands.iter().for_each(|command| client.send_bytes(format!("{command}\r\n").as_bytes()));
        client.send_bytes(b"CLIENT REPLY SKIP\r\nPING\r\nCLIENT REPLY ON\r\nECHO last\r\n");
        assert_eq!(show(&client.read()), "+OK");
        assert_eq!(show(&client.read()), "\"last\"");
        client.send_bytes(b"CLIENT REPLY SKIP\r\nCLIENT REPLY SKIP\r\nPING\r\nECHO x\r\n");
        assert_eq!(show(&client.read()), "\"x\"");
        client.send_bytes(b"CLIENT REPLY OFF\r\nPING\r\nRESET\r\nECHO y\r\n");
        assert_eq!(show(&client.read()), "+RESET");
        assert_eq!(show(&client.read()), "\"y\"");
    }
}

#[test]
fn switches_show_in_the_list_and_reset_takes_them_back() {
    let (_server, mut clients) = dealt(2, &[]);
    for client in &mut clients {
        for command in ["CLIENT NO-EVICT ON", "CLIENT NO-TOUCH ON", "SELECT 3", "CLIENT SETNAME me"] {
            assert_eq!(client.line(command), "+OK");
        }
        let info = client.line("CLIENT INFO");
        assert!(
            info.contains(" name=me ") && info.contains(" flags=UeT ") && info.contains(" db=3 "),
            "{info}"
        );
        let tracking = client.line("CLIENT TRACKINGINFO");
        assert_eq!(tracking, r#"["flags", ["off"], "redirect", :-1, "prefixes", []]"#);
        assert_eq!(client.line("RESET"), "+RESET");
        let info = client.line("CLIENT INFO");
        assert!(info.contains(" name= ") && info.contains(" flags=U ") && info.contains(" db=0 "), "{info}");
    }
    let list = clients[0].line("CLIENT LIST");
    assert_eq!(list.matches("id=").count(), 2, "{list}");
    assert!(list.contains(" cmd=client|list ") && list.contains(" cmd=client|info "), "{list}");
}

/// As in Redis all of the server stands still, once and not core after core; then everybody is answered.
#[test]
fn a_server_that_sleeps_answers_everybody_afterwards() {
    let (_server, mut clients) = dealt(2, &["--enable-debug-command", "yes"]);
    let [sleeper, other] = &mut clients[..] else { unreachable!("two were made") };
    let keys = [key_of(0, "k"), key_of(1, "k")];
    sleeper.send(&["DEBUG", "SLEEP", "0.3"]);
    for key in &keys {
        assert_eq!(other.line(&format!("SET {key} v")), "+OK");
        assert_eq!(other.line(&format!("GET {key}")), "\"v\"");
    }
    assert_eq!(show(&sleeper.read()), "+OK");
    assert_eq!(sleeper.line(&format!("MGET {} {}", keys[0], keys[1])), r#"["v", "v"]"#);
}
