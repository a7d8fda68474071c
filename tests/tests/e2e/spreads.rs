//! Pipelines of plain commands over one and over several shards, which overlap: on each key a connection's commands take
//! effect in their order, so that it gets the replies that Redis would give.

use std::collections::HashMap;
use std::thread;

use lacewing_tests::{Server, show};
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
