//! CLIENT PAUSE holds clients of all cores back, and lets all of them go on.

use super::key_of;
use lacewing_tests::{Client, Server, show, until};
use std::time::{Duration, Instant};

fn setup() -> (Server, Client, Vec<Client>) {
    let server = Server::with(&["--unixsocket", "s"]);
    let path = server.dir().join("s");
    let clients = (0..4).map(|_| Client::connect_unix(&path)).collect();
    let admin = server.client();
    (server, admin, clients)
}

/// Waits until so many clients are held back.
#[track_caller]
fn until_held(admin: &mut Client, count: u64) {
    until("clients are held back", || (super::info(admin, "blocked_clients") == count).then_some(()));
}

#[test]
fn writes_wait_and_reads_go_on_until_unpaused() {
    let (_server, mut admin, mut clients) = setup();
    let (a, b) = (key_of(0, "a"), key_of(1, "b"));
    assert_eq!(admin.line(&format!("MSET {a} 1 {b} 1")), "+OK");
    assert_eq!(admin.line("CLIENT PAUSE 100000 WRITE"), "+OK");
    for client in &mut clients {
        assert_eq!(client.line(&format!("MGET {a} {b}")), "[\"1\", \"1\"]");
        assert_eq!(client.line("PING"), "+PONG");
    }
    let writes =
        [format!("SET {a} 2"), format!("SET {b} 2"), format!("MSET {a} 2 {b} 2"), format!("DEL {a} {b}")];
    for (client, write) in clients.iter_mut().zip(&writes) {
        client.send_bytes(format!("GET {a}\r\n{write}\r\nGET none\r\n").as_bytes());
        assert_eq!(show(&client.read()), "\"1\"");
    }
    until_held(&mut admin, 4);
    assert_eq!(admin.line(&format!("MGET {a} {b}")), "[\"1\", \"1\"]");
    assert_eq!(admin.line("CLIENT UNPAUSE"), "+OK");
    for client in &mut clients {
        let reply = show(&client.read());
        assert!(["+OK", ":2", ":1", ":0"].contains(&&*reply), "{reply}");
        assert_eq!(show(&client.read()), "nil");
    }
}

#[test]
fn everything_waits_and_goes_on_by_itself() {
    const PAUSE_MS: u64 = 300;
    let (_server, mut admin, mut clients) = setup();
    let began = Instant::now();
    assert_eq!(admin.line(&format!("CLIENT PAUSE {PAUSE_MS}")), "+OK");
    clients.iter_mut().for_each(|client| client.send(&["PING"]));
    clients.iter_mut().for_each(|client| assert_eq!(show(&client.read()), "+PONG"));
    assert!(began.elapsed() >= Duration::from_millis(PAUSE_MS - 1), "held for {:?}", began.elapsed());
    until_held(&mut admin, 0);
}

#[test]
fn pause_in_a_pipeline_holds_back_what_follows_in_it() {
    let (_server, mut admin, mut clients) = setup();
    for client in &mut clients {
        client.send_bytes(b"SET k 1\r\nCLIENT PAUSE 100000 WRITE\r\nGET k\r\nSET k 2\r\nGET k\r\n");
        for expected in ["+OK", "+OK", "\"1\""] {
            assert_eq!(show(&client.read()), expected);
        }
        until_held(&mut admin, 1);
        assert_eq!(admin.line("CLIENT UNPAUSE"), "+OK");
        assert_eq!(show(&client.read()), "+OK");
        assert_eq!(show(&client.read()), "\"2\"");
    }
}

#[test]
fn clients_killed_or_gone_during_a_pause_are_forgotten() {
    let (_server, mut admin, mut clients) = setup();
    assert_eq!(admin.line("CLIENT PAUSE 100000 WRITE"), "+OK");
    clients.iter_mut().for_each(|client| client.send(&["SET", "k", "late"]));
    until_held(&mut admin, 4);
    assert!(admin.line("CLIENT LIST").contains(" flags=bU "));
    let killed = clients.split_off(2);
    assert_eq!(admin.line("CLIENT KILL TYPE normal"), ":4");
    drop(killed);
    clients.iter_mut().for_each(Client::expect_closed);
    super::alone(&mut admin);
    assert_eq!(admin.line("CLIENT UNPAUSE"), "+OK");
    assert_eq!(admin.line("GET k"), "nil");
}

#[test]
fn clients_that_leave_during_a_pause_are_let_go_at_once() {
    let (_server, mut admin, mut clients) = setup();
    assert_eq!(admin.line("CLIENT PAUSE 100000 WRITE"), "+OK");
    clients.iter_mut().for_each(|client| client.send(&["SET", "k", "late"]));
    until_held(&mut admin, 4);
    clients[2].shutdown_write();
    clients[2].expect_closed();
    clients.truncate(2);
    until_held(&mut admin, 2);
    assert_eq!(super::info(&mut admin, "connected_clients"), 3);
    // What is sent meanwhile is read, and kept in order.
    clients[0].send(&["APPEND", "k", "r"]);
    assert_eq!(admin.line("CLIENT UNPAUSE"), "+OK");
    assert_eq!(show(&clients[0].read()), "+OK");
    assert_eq!(show(&clients[1].read()), "+OK");
    assert_eq!(show(&clients[0].read()), ":5");
}

#[test]
fn what_is_due_is_not_found_but_stays_until_the_pause_ends() {
    let (_server, mut admin, _) = setup();
    let (a, b) = (key_of(0, "a"), key_of(1, "b"));
    for line in
        ["MULTI", &format!("SET {a} v PX 20"), &format!("SET {b} v PX 20"), "CLIENT PAUSE 100000 WRITE"]
    {
        admin.line(line);
    }
    assert_eq!(admin.line("EXEC"), "[+OK, +OK, +OK]");
    let read = format!("MGET {a} {b}");
    until("both are due", || (admin.line(&read) == "[nil, nil]").then_some(()));
    assert_eq!((super::info(&mut admin, "expired_keys"), admin.line("DBSIZE").as_str()), (0, ":2"));
    assert_eq!(admin.line("CLIENT UNPAUSE"), "+OK");
    assert_eq!(admin.line(&read), "[nil, nil]");
    assert_eq!((super::info(&mut admin, "expired_keys"), admin.line("DBSIZE").as_str()), (2, ":0"));
}

#[test]
fn scripts_wait_unless_they_say_that_they_only_read() {
    let (_server, mut admin, mut clients) = setup();
    let (a, b) = (key_of(0, "a"), key_of(1, "b"));
    let (says, silent) = (
        "#!lua flags=no-writes\nreturn redis.call('mget', KEYS[1], KEYS[2])",
        "return redis.call('mget', 'a', 'b')",
    );
    assert_eq!(admin.line(&format!("MSET {a} 1 {b} 1")), "+OK");
    assert_eq!(admin.line("CLIENT PAUSE 100000 WRITE"), "+OK");
    for client in &mut clients {
        assert_eq!(show(&client.call(&["EVAL", says, "2", &a, &b])), r#"["1", "1"]"#);
        assert_eq!(show(&client.call(&["EVAL_RO", silent, "2", &a, &b])), "[nil, nil]");
        assert_eq!(client.line("MULTI"), "+OK");
        assert_eq!(show(&client.call(&["EVAL", says, "2", &a, &b])), "+QUEUED");
        assert_eq!(client.line("EXEC"), r#"[["1", "1"]]"#);
    }
    clients[0].send(&["EVAL", silent, "0"]);
    clients[1].send(&["FCALL", "none", "0"]);
    clients[2].send(&["EVAL", "#!lua\nreturn 1", "0"]);
    until_held(&mut admin, 3);
    assert_eq!(admin.line("CLIENT UNPAUSE"), "+OK");
    assert_eq!(show(&clients[0].read()), "[nil, nil]");
    assert_eq!(show(&clients[1].read()), "-ERR Function not found");
    assert_eq!(show(&clients[2].read()), ":1");
}
