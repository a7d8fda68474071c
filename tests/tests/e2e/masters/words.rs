//! In whose words payloads are: told by what a replica says before it asks for one.

use super::{master, ok};
use lacewing_tests::{Client, Server};
use rdb::file::{Event, Options, Reader};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// A replica that the test makes: it has said who it is, and has been answered.
struct Replica(BufReader<TcpStream>);

impl Replica {
    /// It says what a Valkey does, in that order, with these commands in the place of Valkey's version.
    #[track_caller]
    fn greeting(server: &Server, said: &[&str]) -> Self {
        let stream = TcpStream::connect(server.addr()).expect("it accepts");
        let mut replica = Self(BufReader::new(stream));
        assert_eq!(replica.ask("PING"), "+PONG");
        assert_eq!(replica.ask("REPLCONF listening-port 7777"), "+OK");
        assert_eq!(replica.ask("REPLCONF capa eof capa psync2"), "+OK");
        for line in said {
            let reply = replica.ask(line);
            assert!(reply.starts_with('+'), "{line}: {reply}");
        }
        replica
    }

    fn say(&mut self, line: &str) {
        self.0.get_mut().write_all(format!("{line}\r\n").as_bytes()).expect("it takes it");
    }

    fn ask(&mut self, line: &str) -> String {
        self.say(line);
        self.line()
    }

    /// The next line that says something.
    fn line(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.0.read_line(&mut line).expect("a line"), 0, "the connection ended");
            if !line.trim().is_empty() {
                return line.trim().to_owned();
            }
        }
    }

    /// The payload that PSYNC was answered with.
    fn payload(&mut self) -> Vec<u8> {
        let full = self.line();
        assert!(full.starts_with("+FULLRESYNC "), "{full}");
        let len: usize = self.line()[1..].parse().expect("a length");
        let mut payload = vec![0; len];
        self.0.read_exact(&mut payload).expect("it is whole");
        payload
    }
}

/// How many keys a payload has, which is read to its end.
fn keys(payload: &[u8]) -> u64 {
    let mut reader = Reader::new(Options::default());
    reader.feed(payload);
    reader.ended();
    loop {
        match reader.next().expect("it is whole") {
            Some(Event::End(end)) => return end.keys,
            Some(_) => {}
            None => panic!("it has no end"),
        }
    }
}

/// What payloads begin with, by what their replicas have said, all of whom wait at the same time.
#[track_caller]
fn check(server: &Server, number: u64, expected: &[(&[&str], &[&str])]) {
    let mut replicas: Vec<_> =
        expected.iter().map(|(said, header)| (Replica::greeting(server, said), header)).collect();
    for (replica, _) in &mut replicas {
        replica.say("PSYNC ? -1");
    }
    for (replica, headers) in &mut replicas {
        let payload = replica.payload();
        let header = payload[..9].escape_ascii().to_string();
        assert!(headers.contains(&&*header), "{header}, expected one of {headers:?}");
        assert_eq!(keys(&payload), number);
    }
}

fn with_fields(client: &mut Client, keys: u64) {
    for key in 0..keys {
        ok(client, &["HSET", &format!("h{key}"), "f", "v", "stays", "w"]);
        ok(client, &["HPEXPIREAT", &format!("h{key}"), "4000000000000", "FIELDS", "1", "f"]);
    }
}

#[test]
fn who_reads_valkeys_words_gets_them_where_fields_expire() {
    let id = format!("REPLCONF lacewing-id {}", "a".repeat(40));
    let (valkey, newer, older) =
        ("REPLCONF version 9.0.0", "REPLCONF version 9.1.2", "REPLCONF version 8.1.8");
    for cores in ["1", "2", "3"] {
        let server = master(&["--cores", cores]);
        let mut client = server.client();
        ok(&mut client, &["SET", "s", "v"]);
        let any: &[&str] = &["REDIS0010", "REDIS0011"];
        check(&server, 1, &[(&[valkey], any), (&[], any), (&[older], any), (&[valkey, &id], any)]);
        with_fields(&mut client, 20);
        let (redis, own): (&[&str], &[&str]) = (&["REDIS0012"], &["VALKEY080"]);
        check(&server, 21, &[(&[valkey], own)]);
        check(&server, 21, &[(&[], redis)]);
        let said: &[(&[&str], &[&str])] = &[
            (&[valkey], own),
            (&[], redis),
            (&[newer], own),
            (&[older], redis),
            (&[valkey, &id], redis),
            (&[&id, valkey], redis),
            (&["REPLCONF rdb-only 1", newer], own),
        ];
        check(&server, 21, said);
        // What it has on its disk is as it was.
        ok(&mut client, &["SAVE", "RDB"]);
        let saved = std::fs::read(server.dir().join("dump.rdb")).expect("it was written");
        assert!(saved.starts_with(b"REDIS0012"));
    }
}
