//! Clients that cache what they read, as client libraries do: a cache never holds what the server no longer has, once all is
//! quiet, and never anything older than what it was told of.

use super::{arrived, server};
use lacewing_tests::{Client, show};
use resp::Value;
use std::collections::HashMap;
use std::thread;
use stdx::Rng;

/// A client with a cache.
struct Caching {
    client: Client,
    mode: &'static str,
    cache: HashMap<String, String>,
}

impl Caching {
    fn new(mut client: Client, mode: &'static str) -> Self {
        assert_eq!(client.line(&format!("CLIENT TRACKING ON {mode}")), "+OK");
        Self { client, mode, cache: HashMap::new() }
    }

    /// Follows what has come, in its order among the replies.
    fn follow(&mut self, message: &Value) {
        let Value::Push(parts) = message else { panic!("a push: {}", show(message)) };
        assert_eq!(show(&parts[0]), "\"invalidate\"");
        match &parts[1] {
            Value::Null => self.cache.clear(),
            Value::Array(keys) => keys.iter().for_each(|key| drop(self.cache.remove(&show(key)))),
            other => panic!("keys: {}", show(other)),
        }
    }

    /// The next reply; what comes before it is followed.
    fn read(&mut self) -> Value {
        loop {
            match self.client.read_any().expect("it answers") {
                Some(push @ Value::Push(_)) => self.follow(&push),
                Some(reply) => return reply,
                None => panic!("the server closed the connection"),
            }
        }
    }

    fn call(&mut self, command: &str) -> Value {
        self.client.send(&command.split(' ').collect::<Vec<_>>());
        self.read()
    }

    /// Reads keys, some at once, and caches what comes.
    fn fetch(&mut self, keys: &[String]) {
        if self.mode.contains("OPTIN") {
            assert_eq!(show(&self.call("CLIENT CACHING YES")), "+OK");
        }
        let Value::Array(values) = self.call(&format!("MGET {}", keys.join(" "))) else { panic!("values") };
        for (key, value) in keys.iter().zip(&values) {
            self.cache.insert(format!("\"{key}\""), show(value));
        }
    }

    /// The same in a pipeline of single commands: a message may come between two replies.
    fn fetch_singly(&mut self, keys: &[String]) {
        let mut bytes = Vec::new();
        for key in keys {
            if self.mode.contains("OPTIN") {
                resp::encode_command(&["CLIENT", "CACHING", "YES"], &mut bytes);
            }
            resp::encode_command(&["GET", key], &mut bytes);
        }
        self.client.send_bytes(&bytes);
        for key in keys {
            if self.mode.contains("OPTIN") {
                self.read();
            }
            let value = show(&self.read());
            self.cache.insert(format!("\"{key}\""), value);
        }
    }

    /// All is quiet: what it holds is what the server has.
    #[track_caller]
    fn check(&mut self, truth: &HashMap<String, String>, seed: u64) {
        self.call("PING");
        for (key, value) in &self.cache {
            assert_eq!(
                value, &truth[key],
                "{key} in the cache of a client with {:?}, seed {seed}",
                self.mode
            );
        }
    }
}

/// One thing that writers do.
fn write(client: &mut Client, rng: &mut Rng, number: u64) {
    let mut key = || format!("k{}", rng.below(KEYS));
    let (one, other) = (key(), key());
    let command = match rng.below(14) {
        0..4 => format!("SET {one} {number}"),
        4 => format!("SET {one} {number} PX 1"),
        5 => format!("MSET {one} {number} {other} {number}"),
        6 => format!("DEL {one} {other}"),
        7 => format!("RENAME {one} {other}"),
        8 => format!("COPY {one} {other} REPLACE"),
        9 => format!("INCRBY {one} 7"),
        10 => format!("GETEX {one} PX 1"),
        11 => format!("MSETNX {one} {number} {other} {number}"),
        12 => format!("APPEND {one} 1"),
        _ if rng.below(8) == 0 => ["FLUSHALL", "FLUSHDB", "SWAPDB 0 1"][rng.index(3)].to_owned(),
        _ => format!("UNLINK {one}"),
    };
    client.line(&command);
}

/// Some writers and caching readers at once, then quiet, over and over.
fn round(readers: &mut [Caching], writers: &mut [Client], seed: u64) {
    thread::scope(|scope| {
        for (index, writer) in writers.iter_mut().enumerate() {
            scope.spawn(move || {
                let mut rng = Rng::new(seed * 1_000 + index as u64);
                (0..STEPS).for_each(|number| write(writer, &mut rng, number));
            });
        }
        for (index, reader) in readers.iter_mut().enumerate() {
            scope.spawn(move || {
                let mut rng = Rng::new(seed * 1_000 + 500 + index as u64);
                for _ in 0..STEPS {
                    let keys: Vec<String> =
                        (0..1 + rng.below(4)).map(|_| format!("k{}", rng.below(KEYS))).collect();
                    if rng.one_in(2) { reader.fetch(&keys) } else { reader.fetch_singly(&keys) }
                }
            });
        }
    });
}

/// What the server has, when nothing more expires.
fn truth(client: &mut Client) -> HashMap<String, String> {
    let get = |client: &mut Client, key: &str| client.line(&format!("GET {key}"));
    let keys: Vec<String> = (0..KEYS).map(|number| format!("k{number}")).collect();
    lacewing_tests::until("nothing more expires", || {
        keys.iter().all(|key| client.line(&format!("PTTL {key}")).starts_with(":-")).then_some(())
    });
    keys.iter().map(|key| (format!("\"{key}\""), get(client, key).replace("nil", "null"))).collect()
}

fn check_caches(cores: &str, args: &[&str], seeds: std::ops::Range<u64>) {
    let server = if args.is_empty() {
        server(cores)
    } else {
        lacewing_tests::Server::with(&[&["--cores", cores, "--pin", "no"], args].concat())
    };
    let mut writers: Vec<Client> = (0..2).map(|_| server.client()).collect();
    let modes = ["", "OPTIN", "BCAST", "OPTOUT NOLOOP", "BCAST PREFIX k"];
    let mut readers: Vec<Caching> =
        modes.into_iter().map(|mode| Caching::new(server.client().resp3(), mode)).collect();
    let mut judge = server.client();
    let mut has_held = false;
    for seed in seeds {
        round(&mut readers, &mut writers, seed);
        let truth = truth(&mut judge);
        readers.iter_mut().for_each(|reader| reader.check(&truth, seed));
        has_held |= readers.iter().any(|reader| !reader.cache.is_empty());
    }
    assert!(has_held, "a cache that is always empty shows nothing");
}

#[test]
fn caches_hold_what_the_server_has() {
    check_caches("1", &[], 0..6);
    check_caches("4", &[], 0..12);
}

#[test]
fn caches_hold_what_the_server_has_although_few_keys_are_remembered() {
    check_caches("4", &["--tracking-table-max-keys", "8"], 20..24);
}

#[test]
fn caches_hold_what_the_server_has_in_strict_order() {
    check_caches("4", &["--pipeline-order", "strict"], 30..34);
}

/// A limit that is lowered is kept, and whoever had read the keys that go is told.
#[test]
fn a_lowered_limit_is_told_key_by_key() {
    let server = server("2");
    let (mut reader, mut other) = (server.client().resp3(), server.client());
    reader.line("CLIENT TRACKING ON");
    (0..500).for_each(|number| drop(reader.line(&format!("GET key:{number}"))));
    assert_eq!(super::info(&mut other, "tracking_total_keys"), 500);
    assert_eq!(super::info(&mut other, "tracking_clients"), 1);
    assert_eq!(other.line("CONFIG SET tracking-table-max-keys 100"), "+OK");
    let mut told = Vec::new();
    lacewing_tests::until("all but a hundred are told", || {
        told.extend(arrived(&mut reader));
        (told.len() >= 400).then_some(())
    });
    assert!(super::info(&mut other, "tracking_total_keys") <= 100);
    told.sort();
    told.dedup();
    assert!(told.len() >= 400, "each key is told of once");
}

const KEYS: u64 = 12;
const STEPS: u64 = 150;
