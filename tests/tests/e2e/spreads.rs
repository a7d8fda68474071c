//! Pipelines of plain commands over one and over several shards, which overlap: on each key a connection's commands take
//! effect in their order, so that it gets the replies that Redis would give. And what they mean to clients that wait.

use std::collections::HashMap;
use std::thread;

use lacewing_tests::{Server, show, until};
use resp::Value;
use stdx::rng::Rng;

/// Keys of one connection's own; few, so that commands of one pipeline meet on them.
const KEYS: u64 = 12;
/// Keys that all connections write: commands that name them have to wait for others' locks.
const CROWDED: u64 = 3;
const CONNECTIONS: u64 = 6;
const PIPELINE_MAX: u64 = 60;

#[test]
fn replies_are_those_of_one_command_after_the_other() {
    check(&[]);
}

#[test]
fn and_so_they_are_in_strict_order_and_on_more_cores() {
    check(&["--pipeline-order", "strict"]);
    check(&["--cores", "5", "--pin", "no"]);
}

/// Streams and groups, so many, with a client that waits for each; they are on all shards.
const GROUPS: usize = 12;

/// A spread makes no list ready, but it may remove the stream of a group that somebody waits for.
#[test]
fn who_waits_for_a_group_hears_of_it_when_a_spread_removes_the_stream() {
    for cores in ["1", "2", "5"] {
        let server = Server::with(&["--cores", cores, "--pin", "no"]);
        let mut client = server.client();
        let stream = |number: usize| format!("stream:{number}");
        let mut waiters: Vec<_> = (0..GROUPS).map(|_| server.client()).collect();
        for (number, waiter) in waiters.iter_mut().enumerate() {
            let stream = stream(number);
            assert_eq!(client.line(&format!("XGROUP CREATE {stream} group $ MKSTREAM")), "+OK");
            waiter.send(&["XREADGROUP", "GROUP", "group", "me", "BLOCK", "0", "STREAMS", &stream, ">"]);
        }
        let all_wait = format!("\\nblocked_clients:{GROUPS}\\r");
        until("every client waits", || client.line("INFO clients").contains(&all_wait).then_some(()));
        let removed: Vec<_> = (0..GROUPS / 2).map(stream).collect();
        let overwritten: Vec<_> = (GROUPS / 2..GROUPS).map(|number| stream(number) + " v").collect();
        assert_eq!(client.line(&format!("DEL {}", removed.join(" "))), format!(":{}", GROUPS / 2));
        assert_eq!(client.line(&format!("MSET {}", overwritten.join(" "))), "+OK");
        for (number, waiter) in waiters.iter_mut().enumerate() {
            let start = if number < GROUPS / 2 { "-NOGROUP No such key" } else { "-WRONGTYPE" };
            let reply = show(&waiter.read());
            assert!(reply.starts_with(start), "{cores} cores, client {number}: {reply}");
        }
    }
}

/// Clients that wait while spreads lock their keys, and connections that send those.
const WAITERS: usize = 6;
const LOCKERS: u64 = 3;

/// A list may become ready while a spread holds it, or the list that its element is to be moved to: whatever lets go of the
/// locks has to look after those who wait.
#[test]
fn waiters_are_served_although_spreads_lock_their_keys() {
    for cores in ["2", "5"] {
        let server = Server::with(&["--cores", cores, "--pin", "no"]);
        let mut client = server.client();
        let mut waiters: Vec<_> = (0..WAITERS).map(|_| server.client()).collect();
        thread::scope(|scope| {
            let server = &server;
            let lockers: Vec<_> =
                (0..LOCKERS).map(|seed| scope.spawn(move || lock_lists(server, seed))).collect();
            let mut round = 0;
            while round == 0 || lockers.iter().any(|locker| !locker.is_finished()) {
                for (number, waiter) in waiters.iter_mut().enumerate() {
                    let (from, to) = (format!("{{{number}}}from"), format!("{{{number}}}to"));
                    waiter.send(&["BLMOVE", &from, &to, "LEFT", "RIGHT", "0"]);
                }
                let pushes = (0..WAITERS).map(|number| format!("RPUSH {{{number}}}from {round}"));
                pushes.for_each(|push| assert_eq!(client.line(&push), ":1"));
                for (number, waiter) in waiters.iter_mut().enumerate() {
                    let reply = waiter.read();
                    let want = Value::Bulk(round.to_string().into());
                    assert_eq!(reply, want, "{cores} cores, round {round}, client {number}");
                }
                round += 1;
            }
        });
    }
}

/// Spreads over the lists of [`waiters_are_served_although_spreads_lock_their_keys`] that take nothing from the waiters.
fn lock_lists(server: &Server, seed: u64) {
    let (mut client, mut rng) = (server.client(), Rng::new(seed));
    for _ in 0..150 {
        let mut lines = Vec::new();
        for _ in 0..10 {
            let (name, end) = [("DEL", "to"), ("MGET", "to"), ("TOUCH", "from")][rng.below(3) as usize];
            let first = rng.below(WAITERS as u64);
            let keys = (first..first + 3).map(|at| format!("{{{}}}{end}", at % WAITERS as u64));
            lines.push([name.to_owned()].into_iter().chain(keys).collect::<Vec<_>>());
        }
        client.pipeline(&lines);
    }
}

fn check(settings: &[&str]) {
    let server = Server::with(settings);
    let seed = std::env::var("LACEWING_SEED").map_or(1, |text| text.parse().expect("a number"));
    eprintln!("LACEWING_SEED={seed}");
    let rounds = if std::env::var_os("LACEWING_LONG").is_some() { 5_000 } else { 60 };
    thread::scope(|scope| {
        for number in 0..CONNECTIONS {
            let server = &server;
            scope.spawn(move || {
                let mut rng = Rng::new(seed * 1000 + number);
                let mut client = server.client();
                let mut model = Model::new(number);
                for round in 0..rounds {
                    let commands: Vec<_> =
                        (0..1 + rng.below(PIPELINE_MAX)).map(|_| model.draw(&mut rng)).collect();
                    let lines: Vec<&[String]> = commands.iter().map(|one| one.0.as_slice()).collect();
                    let replies = client.pipeline(&lines);
                    for (at, (reply, (line, expected))) in replies.iter().zip(&commands).enumerate() {
                        let is_right = expected.as_ref().is_none_or(|expected| matches(reply, expected));
                        let context =
                            || format!("connection {number}, round {round}, command {at}: {line:?}");
                        assert!(is_right, "{}: {} and not {expected:?}", context(), show(reply));
                    }
                }
            });
        }
    });
}

/// What is expected: elements that are `None` may be anything.
#[derive(Debug)]
enum Expected {
    Ok,
    Integer(i64),
    Bulk(Option<String>),
    Array(Vec<Option<Option<String>>>),
}

fn matches(reply: &Value, expected: &Expected) -> bool {
    let is_bulk = |value: &Value, expected: &Option<String>| match (value, expected) {
        (Value::Bulk(bytes), Some(text)) => bytes == text.as_bytes(),
        (Value::NullBulk, None) => true,
        _ => false,
    };
    match (reply, expected) {
        (_, Expected::Ok) => show(reply) == "+OK",
        (Value::Int(number), Expected::Integer(expected)) => number == expected,
        (Value::Array(values), Expected::Array(expected)) => {
            let pairs = values.iter().zip(expected);
            values.len() == expected.len()
                && pairs
                    .into_iter()
                    .all(|(value, want)| want.as_ref().is_none_or(|want| is_bulk(value, want)))
        }
        (_, Expected::Bulk(expected)) => is_bulk(reply, expected),
        _ => false,
    }
}

/// What one connection's keys hold.
struct Model {
    number: u64,
    values: HashMap<String, String>,
    written: u64,
}

impl Model {
    fn new(number: u64) -> Self {
        Self { number, values: HashMap::new(), written: 0 }
    }

    fn own(&self, rng: &mut Rng) -> String {
        format!("own:{}:{}", self.number, rng.below(KEYS))
    }

    fn several(&self, rng: &mut Rng) -> Vec<String> {
        (0..1 + rng.below(5)).map(|_| self.own(rng)).collect()
    }

    fn value(&mut self) -> String {
        self.written += 1;
        self.written.to_string()
    }

    /// A command and its reply; the model is as after it.
    fn draw(&mut self, rng: &mut Rng) -> (Vec<String>, Option<Expected>) {
        let line = |name: &str, rest: Vec<String>| [vec![name.to_owned()], rest].concat();
        match rng.below(12) {
            0..=2 => {
                let keys = self.several(rng);
                let mut rest = Vec::new();
                for key in keys {
                    let value = self.value();
                    self.values.insert(key.clone(), value.clone());
                    rest.extend([key, value]);
                }
                if rng.one_in(3) {
                    rest.extend([format!("crowded:{}", rng.below(CROWDED)), "x".repeat(20)]);
                }
                (line("MSET", rest), Some(Expected::Ok))
            }
            3..=4 => {
                let mut keys = self.several(rng);
                let mut values: Vec<_> = keys.iter().map(|key| Some(self.values.get(key).cloned())).collect();
                if rng.one_in(3) {
                    keys.push(format!("crowded:{}", rng.below(CROWDED)));
                    values.push(None);
                }
                (line("MGET", keys), Some(Expected::Array(values)))
            }
            5 => {
                let keys = self.several(rng);
                let gone = keys.iter().filter(|key| self.values.remove(*key).is_some()).count();
                (
                    line(if rng.one_in(2) { "DEL" } else { "UNLINK" }, keys),
                    Some(Expected::Integer(gone as i64)),
                )
            }
            6 => {
                let keys = self.several(rng);
                let there = keys.iter().filter(|key| self.values.contains_key(*key)).count();
                (
                    line(if rng.one_in(2) { "EXISTS" } else { "TOUCH" }, keys),
                    Some(Expected::Integer(there as i64)),
                )
            }
            7 => {
                let (key, value) = (self.own(rng), self.value());
                self.values.insert(key.clone(), value.clone());
                (line("SET", vec![key, value]), Some(Expected::Ok))
            }
            8..=9 => {
                let key = self.own(rng);
                let value = self.values.get(&key).cloned();
                (line("GET", vec![key]), Some(Expected::Bulk(value)))
            }
            10 => {
                let key = self.own(rng);
                let next = self.values.get(&key).map_or(0, |text| text.parse::<i64>().expect("a number")) + 1;
                self.values.insert(key.clone(), next.to_string());
                (line("INCR", vec![key]), Some(Expected::Integer(next)))
            }
            _ => match rng.below(4) {
                // A signal, a barrier, a loan.
                0 => (line("LPUSH", vec![format!("list:{}", self.number), "x".into()]), None),
                1 => (line("DBSIZE", vec![]), None),
                2 => {
                    let (from, to) = (self.own(rng), self.own(rng));
                    let is_new =
                        from != to && self.values.contains_key(&from) && !self.values.contains_key(&to);
                    if is_new {
                        self.values.insert(to.clone(), self.values[&from].clone());
                    }
                    let expected = (from != to).then_some(Expected::Integer(i64::from(is_new)));
                    (line("COPY", vec![from, to]), expected)
                }
                _ => (
                    line("SET", vec![format!("crowded:{}", rng.below(CROWDED)), "y".into()]),
                    Some(Expected::Ok),
                ),
            },
        }
    }
}
