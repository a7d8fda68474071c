//! REPLICAOF inside MULTI, as Sentinel says it, while much of the master's stream is still to be applied.

use std::io::Write;

use lacewing_tests::{Client, Server, show};

use super::master::{Master, full, rdb, sized, until_gone};
use super::{field, replicaof, until_field, until_up};

/// So many INCRs a master sends at once.
const COMMANDS: u64 = 200_000;
const INCR: &[u8] = b"*2\r\n$4\r\nINCR\r\n$7\r\ncounter\r\n";

/// A master that sends one key, and then COMMANDS INCRs.
fn busy_master() -> Master {
    Master::start(|stream, asked| {
        // Whoever goes on gets nothing more.
        if asked[1] == "?" {
            full(stream, 'a', 100);
            let _ = stream.write_all(&sized(&rdb(&[("seed", "1")])));
            let _ = stream.write_all(&INCR.repeat(COMMANDS as usize));
        } else {
            let _ = stream.write_all(b"+CONTINUE\r\n");
        }
        until_gone(stream);
    })
}

/// A replica that has read all of the stream of [`busy_master`], and has it to apply.
fn behind(server: &Server, master: &Master) -> Client {
    let mut client = server.client();
    replicaof(&mut client, master.port());
    let read = 100 + COMMANDS * INCR.len() as u64;
    until_field(&mut client, "slave_read_repl_offset", &read.to_string());
    client
}

/// Without a key, and with keys of several shards.
const BEFORE: [&[&str]; 2] = [&[], &["GET a", "GET b", "GET c", "GET d"]];

#[test]
fn exec_is_answered_when_what_came_is_applied_and_the_server_a_master() {
    for before in BEFORE {
        let (master, server) = (busy_master(), Server::with(&["--pin", "no", "--cores", "2"]));
        let mut client = behind(&server, &master);
        client.send_line("MULTI");
        before.iter().for_each(|line| client.send_line(line));
        client.send_line("REPLICAOF NO ONE");
        client.send_line("EXEC");
        for _ in 0..before.len() + 2 {
            client.read();
        }
        let all = ["nil", "nil", "nil", "nil", "+OK"];
        assert_eq!(show(&client.read()), format!("[{}]", all[4 - before.len()..].join(", ")));
        assert_eq!(client.line("SET own 1"), "+OK", "it is a master's");
        assert_eq!(client.line("GET counter"), format!("\"{COMMANDS}\""));
        assert!(client.line("ROLE").starts_with(r#"["master""#));
    }
}

#[test]
fn a_master_that_is_named_right_behind_no_one_is_followed() {
    for in_transaction in [true, false] {
        // Each full sync is of the same place.
        let args = ["--pin", "no", "--cores", "2", "--replica-accept-less", "yes"];
        let (master, server) = (busy_master(), Server::with(&args));
        let mut client = behind(&server, &master);
        let mut other = server.client();
        if in_transaction {
            assert_eq!(client.line("MULTI"), "+OK");
            assert_eq!(client.line("REPLICAOF NO ONE"), "+QUEUED");
            client.send_line("EXEC");
        } else {
            client.send_line("REPLICAOF NO ONE");
        }
        client.send_line(&format!("REPLICAOF 127.0.0.1 {}", master.port()));
        let answer = show(&client.read());
        assert_eq!(answer, if in_transaction { "[+OK]" } else { "+OK" });
        assert_eq!(show(&client.read()), "+OK");
        until_up(&mut other);
        let port = field(&mut other, "master_port");
        assert_eq!(port, Some(master.port().to_string()));
    }
}

#[test]
fn a_sentinels_transaction_writes_the_new_role_to_the_configuration() {
    let dir = crate::disk::directory();
    std::fs::write(dir.path().join("a.conf"), "hz 20\n").expect("it can be written");
    let args = ["--pin", "no", "--cores", "2"];
    let server = Server::from_file_in(std::sync::Arc::clone(&dir), "a.conf", &args);
    let master = busy_master();
    drop(behind(&server, &master));
    let rewritten = |role: &str| {
        for before in BEFORE {
            let mut client = server.client();
            client.send_line("MULTI");
            before.iter().for_each(|line| client.send_line(line));
            client.send_line(&format!("REPLICAOF {role}"));
            client.send_line("CONFIG REWRITE");
            client.send_line("EXEC");
            for _ in 0..before.len() + 3 {
                client.read();
            }
            assert!(show(&client.read()).ends_with("+OK, +OK]"));
        }
        std::fs::read_to_string(dir.path().join("a.conf")).expect("it is there")
    };
    let text = rewritten("NO ONE");
    assert!(!text.contains("replicaof 127"), "{text}");
    let text = rewritten(&format!("127.0.0.1 {}", master.port()));
    assert!(text.contains(&format!("replicaof 127.0.0.1 {}\n", master.port())), "{text}");
}
