//! Producers and consumers on many connections over several shards, which come and go: nothing is lost or doubled, nobody
//! is forgotten.

use super::{THREE, gauge, until_gauge};
use lacewing_tests::{Client, Server, WAIT_MAX, show, until};
use resp::Value;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use stdx::rng::Rng;

const KEYS: [&str; 6] = ["{a}1", "{b}1", "{c}1", "{a}2", "{b}2", "{c}2"];
/// Where moves go to.
const DONE: [&str; 3] = ["{a}done", "{b}done", "{c}done"];
const PRODUCERS: u64 = 4;
const CONSUMERS: u64 = 14;
const PUSHES: usize = 1_500;

/// What a consumer has had.
#[derive(Default)]
struct Had {
    elements: Vec<String>,
    /// How often it went away while it waited, or was just served: each time it may have taken that many along.
    may_be_lost: usize,
    /// How often it waited.
    waits: usize,
}

fn produce(mut client: Client, number: u64) {
    let mut rng = Rng::new(number);
    for push in 0..PUSHES {
        let key = *rng.pick(&KEYS);
        let element = format!("{number}:{push}");
        let reply = match rng.below(4) {
            0 => client.call(&["RPUSH", key, &element, &format!("{element}+")]),
            1 => {
                // It comes by another key.
                client.call(&["RPUSH", &format!("{{b}}staged{number}"), &element]);
                client.call(&["RENAME", &format!("{{b}}staged{number}"), &format!("{{c}}staged{number}")]);
                client.call(&["LMOVE", &format!("{{c}}staged{number}"), key, "LEFT", "RIGHT"])
            }
            _ => client.call(&["LPUSH", key, &element]),
        };
        assert!(!matches!(reply, Value::Error(_)), "{}", show(&reply));
        if rng.one_in(4) {
            // Consumers catch up, and wait.
            std::thread::yield_now();
        }
    }
}

/// All bulk strings of a reply but the names of keys.
fn elements(reply: &Value, into: &mut Vec<String>) {
    match reply {
        Value::Array(parts) => parts.iter().for_each(|part| elements(part, into)),
        Value::Bulk(text) => {
            let text = String::from_utf8(text.clone()).expect("elements are text");
            if !text.starts_with('{') {
                into.push(text);
            }
        }
        _ => {}
    }
}

fn consume(server: &Server, number: u64, stop: &AtomicBool) -> Had {
    let mut rng = Rng::new(1_000 + number);
    let mut had = Had::default();
    let mut client = server.client();
    while !stop.load(Relaxed) {
        let mut keys: Vec<&str> = KEYS.to_vec();
        let first = rng.index(keys.len());
        keys.rotate_left(first);
        keys.truncate(1 + rng.index(KEYS.len()));
        let count = keys.len().to_string();
        let timeout = *rng.pick(&["0.001", "0.01", "0.1", "1"]);
        let moves = rng.one_in(4);
        let command: Vec<&str> = match rng.below(3) {
            _ if moves => vec!["BLMOVE", keys[0], *rng.pick(&DONE), "LEFT", "RIGHT", timeout],
            0 => ["BLPOP"].into_iter().chain(keys).chain([timeout]).collect(),
            1 => ["BRPOP"].into_iter().chain(keys).chain([timeout]).collect(),
            _ => {
                let keys = keys.into_iter().chain(["LEFT", "COUNT", "2"]);
                ["BLMPOP", timeout, &count].into_iter().chain(keys).collect()
            }
        };
        client.send(&command);
        had.waits += 1;
        if rng.one_in(20) {
            if rng.one_in(2) {
                std::thread::park_timeout(Duration::from_micros(rng.below(3_000)));
            }
            // A move leaves its element on the server.
            had.may_be_lost += if moves { 0 } else { 2 };
            client = server.client();
            continue;
        }
        let reply = client.read();
        assert!(!matches!(reply, Value::Error(_)), "{}", show(&reply));
        if !moves {
            elements(&reply, &mut had.elements);
        }
    }
    had
}

/// What is left in the keys.
fn drain(client: &mut Client) -> Vec<String> {
    let mut left = Vec::new();
    for key in KEYS.iter().chain(&DONE) {
        elements(&client.call(&["LRANGE", key, "0", "-1"]), &mut left);
    }
    left
}

#[test]
fn nothing_is_lost_or_doubled_and_nobody_is_forgotten() {
    let server = Server::with(THREE);
    let stop = AtomicBool::new(false);
    let mut had = Vec::new();
    std::thread::scope(|scope| {
        let (server, stop) = (&server, &stop);
        let consumers: Vec<_> =
            (0..CONSUMERS).map(|number| scope.spawn(move || consume(server, number, stop))).collect();
        let producers: Vec<_> =
            (0..PRODUCERS).map(|number| scope.spawn(move || produce(server.client(), number))).collect();
        producers.into_iter().for_each(|thread| thread.join().expect("producers do not panic"));
        stop.store(true, Relaxed);
        had.extend(consumers.into_iter().map(|thread| thread.join().expect("consumers do not panic")));
    });
    let mut control = server.client();
    // Those who have gone are forgotten.
    until_gauge(&mut control, "blocked_clients", 0);
    until_gauge(&mut control, "total_blocking_keys", 0);
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let left = drain(&mut control);
    for element in had.iter().flat_map(|had| &had.elements).chain(&left) {
        *seen.entry(element.clone()).or_default() += 1;
    }
    let doubled: Vec<_> = seen.iter().filter(|(_, times)| **times > 1).collect();
    assert!(doubled.is_empty(), "more than once: {doubled:?}");
    let pushed = pushed();
    let lost: Vec<&String> = pushed.iter().filter(|element| !seen.contains_key(*element)).collect();
    let may_be_lost: usize = had.iter().map(|had| had.may_be_lost).sum();
    let waits: usize = had.iter().map(|had| had.waits).sum();
    println!("{} pushed, {waits} waits, {} gone with their clients", pushed.len(), lost.len());
    assert!(lost.len() <= may_be_lost, "{} lost, {may_be_lost} could be: {lost:?}", lost.len());
    assert!(seen.len() + lost.len() == pushed.len(), "elements that nobody pushed");
    assert!(waits > 500, "only {waits} waits");
}

/// All that the producers push.
fn pushed() -> Vec<String> {
    let mut all = Vec::new();
    for number in 0..PRODUCERS {
        let mut rng = Rng::new(number);
        for push in 0..PUSHES {
            rng.pick(&KEYS);
            let element = format!("{number}:{push}");
            if rng.below(4) == 0 {
                all.push(format!("{element}+"));
            }
            all.push(element);
            rng.one_in(4);
        }
    }
    all
}

/// Waiters at all keys, some of whom go at the moment at which elements come: the others get all that is left.
#[test]
fn what_was_meant_for_one_who_goes_is_for_the_next() {
    let server = Server::with(THREE);
    let mut control = server.client();
    let taken = AtomicUsize::new(0);
    for round in 0..60 {
        let mut waiters: Vec<Client> = (0..8).map(|_| server.client()).collect();
        let mut keys = KEYS;
        for (at, waiter) in waiters.iter_mut().enumerate() {
            keys.rotate_left(1);
            let command: Vec<&str> = ["BLPOP"].into_iter().chain(keys).chain(["0"]).collect();
            waiter.send(&command);
            until_gauge(&mut control, "blocked_clients", at + 1);
        }
        // Four come, and four of those who wait go.
        let mut rest = waiters.split_off(4);
        std::thread::scope(|scope| {
            scope.spawn(|| drop(waiters));
            for at in 0..4 {
                control.send(&["RPUSH", KEYS[(round + at) % KEYS.len()], "x"]);
            }
        });
        (0..4).for_each(|_| assert!(matches!(control.read(), Value::Int(_))));
        // However many of them were taken along, one more for each of those who are left serves them all.
        until("those who have gone are forgotten", || {
            let waiting = gauge(&mut control, "blocked_clients");
            let left: usize = KEYS.iter().map(|key| length(&mut control, key)).sum();
            // Nobody waits while there is something.
            (waiting <= 4 && (left == 0 || waiting == 0)).then(|| taken.fetch_add(4 - waiting, Relaxed))
        });
        for _ in 0..gauge(&mut control, "blocked_clients") {
            control.line(&format!("RPUSH {} x", KEYS[round % KEYS.len()]));
        }
        for waiter in &mut rest {
            waiter.timeout(Some(WAIT_MAX)).expect("a timeout can be set");
            assert!(show(&waiter.read()).ends_with(r#", "x"]"#), "round {round}");
        }
        control.line("FLUSHALL");
    }
    println!("{} of 240 elements were served to those who stayed", taken.load(Relaxed));
}

fn length(client: &mut Client, key: &str) -> usize {
    let Value::Int(len) = client.call(&["LLEN", key]) else { panic!("a length is a number") };
    len as usize
}
