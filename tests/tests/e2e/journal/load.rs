//! What clients do to servers that journal.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use lacewing_tests::{Client, until};
use resp::Value;
use stdx::rng::Rng;

/// Sends commands of many kinds, in pipelines, until it is over.
pub(crate) fn work(mut client: Client, mut rng: Rng, is_over: &AtomicBool) {
    while !is_over.load(Relaxed) {
        if rng.one_in(30) {
            // It may wait, or not.
            client.line(&format!("BLPOP {} {} 0.01", key(&mut rng, "l"), key(&mut rng, "l")));
        }
        let lines: Vec<String> = (0..=rng.below(20)).flat_map(|_| some(&mut rng)).collect();
        let commands: Vec<Vec<Vec<u8>>> = lines.iter().map(|line| words_of(line)).collect();
        client.pipeline(&commands);
    }
}

fn words_of(line: &str) -> Vec<Vec<u8>> {
    let (mut bytes, mut spans) = (Vec::new(), Vec::new());
    stdx::words::split(line.as_bytes(), &mut bytes, &mut spans).expect("quotes balance");
    stdx::Args::new(&bytes, &spans).iter().map(<[u8]>::to_vec).collect()
}

fn key(rng: &mut Rng, kind: &str) -> String {
    format!("{kind}{}", rng.below(KEYS))
}

/// One command, or a transaction.
fn some(rng: &mut Rng) -> Vec<String> {
    if !rng.one_in(12) {
        return vec![one(rng)];
    }
    let inner: Vec<String> =
        (0..=rng.below(5)).map(|_| one(rng)).filter(|line| !line.starts_with("SELECT")).collect();
    [vec!["MULTI".to_owned()], inner, vec!["EXEC".to_owned()]].concat()
}

fn one(rng: &mut Rng) -> String {
    let number = rng.below(1000);
    let mut name = |kind| key(rng, kind);
    let (a, b, c) = (name("k"), name("k"), name("k"));
    let (l, m) = (name("l"), name("l"));
    let (s, t, u) = (name("s"), name("s"), name("s"));
    let (h, z, y, x) = (name("h"), name("z"), name("z"), name("x"));
    match rng.below(43) {
        0..4 => format!("SET {a} {number}"),
        4 => format!("SET {a} {number} PX {}", LONG_MS + rng.below(30)),
        5 => format!("SET {a} {number} EX 1000"),
        6 => format!("INCR {a}"),
        7 => format!("APPEND {a} {number}"),
        8..11 => format!("MSET {a} {number} {b} 2 {c} 3"),
        11 => format!("DEL {a} {b} {c}"),
        12 => format!("RENAME {a} {b}"),
        13 => format!("COPY {a} {b} REPLACE"),
        14 => format!("RPUSH {l} {number} 2"),
        15 => format!("LMOVE {l} {m} LEFT RIGHT"),
        16 => format!("LPOP {l} 2"),
        17 => format!("SADD {s} {number} {}", number + 1),
        18 => format!("SPOP {s}"),
        19 => format!("SUNIONSTORE {u} {s} {t}"),
        20 => format!("SMOVE {s} {t} {number}"),
        21 => format!("SDIFFSTORE {u} {s} {t}"),
        22 => format!("HSET {h} f{} {number}", number % 5),
        23 => format!("HPEXPIRE {h} {} FIELDS 1 f{}", LONG_MS + rng.below(30), number % 5),
        24 => format!("HINCRBYFLOAT {h} n 0.25"),
        25 => format!("ZADD {z} {number} m{}", number % 7),
        26 => format!("ZUNIONSTORE {y} 2 {z} {y}"),
        27 => format!("ZPOPMAX {z}"),
        28 => format!("XADD {x} MAXLEN ~ 20 * a {number}"),
        29 => format!("SORT {l} ALPHA STORE {m}"),
        30 => format!(
            "EVAL 'redis.call(\"SET\", KEYS[1], ARGV[1]) return redis.call(\"INCR\", KEYS[1])' 1 {a} {number}"
        ),
        31 => format!(
            "EVAL 'redis.call(\"SET\", KEYS[1], ARGV[1]) redis.call(\"RENAME\", KEYS[1], KEYS[2])' 2 {a} {b} {number}"
        ),
        32 => format!(
            "EVAL 'local k = \"k\" .. ARGV[1] redis.call(\"APPEND\", k, \"s\") redis.call(\"DEL\", \"k0\")' 0 {}",
            number % KEYS
        ),
        33 => format!("PEXPIRE {a} {}", LONG_MS * rng.below(2)),
        34 => format!("PERSIST {a}"),
        35 => format!("GETSET {a} {number}"),
        36 => format!("GET {a}"),
        37 => format!("MGET {a} {b}"),
        38 if rng.one_in(40) => "FLUSHALL".to_owned(),
        39 if rng.one_in(20) => "SWAPDB 0 1".to_owned(),
        40 => format!("SELECT {}", rng.below(3)),
        41 => format!("MSETNX {a} 1 {b} 2"),
        _ => format!("LMPOP 2 {l} {m} RIGHT"),
    }
}

/// Writes long strings, alone and several at a time, to few keys.
pub(super) fn fill(mut client: Client, mut rng: Rng, is_over: &AtomicBool) {
    let value = "x".repeat(10_000);
    while !is_over.load(Relaxed) {
        let commands: Vec<Vec<Vec<u8>>> = (0..4)
            .map(|number| {
                let keys = if number == 0 { 4 } else { 1 };
                let pairs = (0..keys).flat_map(|_| {
                    let unique = format!("{}{value}", rng.next_u64());
                    [format!("k{}", rng.below(60)), unique].map(String::into_bytes)
                });
                [if number == 0 { b"MSET".to_vec() } else { b"SET".to_vec() }]
                    .into_iter()
                    .chain(pairs)
                    .collect()
            })
            .collect();
        client.pipeline(&commands);
    }
}

/// Changes libraries of functions.
pub(super) fn libraries(mut client: Client, mut rng: Rng, is_over: &AtomicBool) {
    while !is_over.load(Relaxed) {
        let (name, number) = (rng.below(5), rng.below(1000));
        let code =
            format!("#!lua name=l{name}\nredis.register_function('f{name}', function() return {number} end)");
        match rng.below(10) {
            0 => drop(client.call(&["FUNCTION", "DELETE", &format!("l{name}")])),
            1 if rng.one_in(5) => drop(client.line("FUNCTION FLUSH")),
            2 => {
                let Value::Bulk(dump) = client.call(&["FUNCTION", "DUMP"]) else { panic!("a payload") };
                client.call(&[&b"FUNCTION"[..], b"RESTORE", &dump, b"REPLACE"]);
            }
            3 => {
                client.line("MULTI");
                client.call(&["SET", &format!("k{name}"), &number.to_string()]);
                client.call(&["FUNCTION", "LOAD", "REPLACE", &code]);
                client.call(&["SET", &format!("m{name}"), &number.to_string()]);
                client.line("EXEC");
            }
            _ => drop(client.call(&["FUNCTION", "LOAD", "REPLACE", &code])),
        }
    }
}

/// Counts, alone and over several shards, until it is over or the server is; gives how far it was told to have come.
pub(crate) fn count(mut client: Client, number: usize, is_over: &AtomicBool) -> (u64, u64) {
    let (mut single, mut pair) = (0, 0);
    let timeout = client.timeout(Some(Duration::from_secs(5)));
    timeout.expect("a socket has a timeout");
    while !is_over.load(Relaxed) {
        let (name, next) = (format!("single{number}"), (pair + 1).to_string());
        let (left, right) = (format!("left{number}"), format!("right{number}"));
        let mut bytes = Vec::new();
        resp::encode_command(&["INCR", &name], &mut bytes);
        resp::encode_command(&["MSET", &left, &next, &right, &next], &mut bytes);
        if client.try_send_bytes(&bytes).is_err() {
            break;
        }
        match client.read_any() {
            Ok(Some(Value::Int(count))) => single = count as u64,
            _ => break,
        }
        match client.read_any() {
            Ok(Some(_)) => pair += 1,
            _ => break,
        }
    }
    (single, pair)
}

/// Waits until each of the first `clients` that [`count`] has been told how far it has counted.
#[track_caller]
pub(crate) fn until_all_have_counted(client: &mut Client, clients: usize) {
    // Who asks for the second has read of the first.
    let mut has_counted = |number| {
        let count = client.line(&format!("GET single{number}"));
        count.trim_matches('"').parse::<u64>().is_ok_and(|count| count >= 2)
    };
    until("everybody has counted", || (0..clients).all(&mut has_counted).then_some(()));
}

/// The number that a key's reading shows.
pub(crate) fn number_in(text: &str) -> u64 {
    let digits: String =
        text.chars().skip_while(|char| !char.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    digits.parse().expect("a counter")
}

const KEYS: u64 = 10;
/// Nothing expires before it is compared: whoever replays on a server that serves would see keys go by its clock.
const LONG_MS: u64 = 1_000_000;
